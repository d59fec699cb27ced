/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mem.h - loads and stores: the way through the TLB.
 */
#ifndef _SOFT_A64_MEM_H_
#define	_SOFT_A64_MEM_H_

#include "ops.h"

/* How an access is made beyond its size. */
#define	A64_ALIGNED	0x01U		/* alignment is always checked */
#define	A64_UNPRIV	0x02U		/* with EL0's rights */

/* mem_arm64.c: with c->cur set; anything that is not in the TLB.  Elements of size bytes. */
enum a64_status a64_read(struct a64 *c, uint64_t va, unsigned size, unsigned total, unsigned how, void *buf);
enum a64_status a64_write(struct a64 *c, uint64_t va, unsigned size, unsigned total, unsigned how, const void *buf);
enum a64_status a64_sp_fault(struct a64 *c);

/* Memory for an exclusive or atomic access. */
struct a64_ref {
	void		*p;
	vm_paddr_t	 gpa;
	bool		 slow;		/* tell soft_wrote() of a store */
};
enum a64_status a64_atomic_slow(struct a64 *c, uint64_t va, unsigned size, bool write, struct a64_ref *ref);

/* SP must be aligned to 16 where SCTLR_EL1 asks for it (Arm ARM D1.8.2). */
A64_INLINE bool
sp_bad(const struct a64 *c, unsigned rn, uint64_t sp)
{
	return (rn >= SLOT(sp_el0) && (sp & 15) != 0 &&
	    (c->s->sctlr_el1 & (a64_el0(c) ? SCTLR_SA0 : SCTLR_SA)) != 0);
}

A64_INLINE enum a64_status
load(struct a64 *c, uint64_t va, unsigned size, uint64_t *v)
{
	const void *p = soft_tlb_hit(c->row, a64_tag(c, va), va, size, false);

	if (likely(p != NULL)) {
		*v = host_load(p, size);
		return (A_DONE);
	}
	*v = 0;
	return (a64_read(c, va, size, size, 0, v));
}

A64_INLINE enum a64_status
store(struct a64 *c, uint64_t va, unsigned size, uint64_t v)
{
	void *p = soft_tlb_hit(c->row, a64_tag(c, va), va, size, true);

	if (likely(p != NULL)) {
		host_store(p, size, v);
		return (A_DONE);
	}
	return (a64_write(c, va, size, size, 0, &v));
}

A64_INLINE uint64_t
extend(uint64_t v, unsigned size, bool sign, bool to64)
{
	if (!sign || size == 8)
		return (v);
	v = (uint64_t)a64_sext(v, 8 * size);
	return (to64 ? v : (uint32_t)v);
}

#endif /* _SOFT_A64_MEM_H_ */
