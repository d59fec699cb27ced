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
#define	A64_MEMORY	0x04U		/* Device memory counts as not aligned: DC ZVA */

/* mem_arm64.c: with c->cur set; anything that is not in the TLB.  Elements of size bytes. */
enum a64_status a64_read(struct a64 *c, uint64_t va, unsigned size, unsigned total, unsigned how, void *buf);
enum a64_status a64_write(struct a64 *c, uint64_t va, unsigned size, unsigned total, unsigned how, const void *buf);
enum a64_status a64_sp_fault(struct a64 *c);

/* Memory for an exclusive or atomic access: VM_PROT_READ, VM_PROT_WRITE, or both for one that does both. */
struct a64_ref {
	void		*p;
	vm_paddr_t	 gpa;
	bool		 slow;		/* tell soft_wrote() of a store */
};
enum a64_status a64_atomic_slow(struct a64 *c, uint64_t va, unsigned size, int prot, struct a64_ref *ref);

/* SP must be aligned to 16 where SCTLR_EL1 asks for it (Arm ARM D1.8.2). */
A64_INLINE bool
sp_bad(const struct a64 *c, unsigned rn, uint64_t sp)
{
	return (rn >= SLOT(sp_el0) && (sp & 15) != 0 &&
	    (c->s->sctlr_el1 & (a64_el0(c) ? SCTLR_SA0 : SCTLR_SA)) != 0);
}

/*
 * The slow ways get their data by c->buf and not by the address of a local variable: with one of those, going on with the next instruction
 * would be a call for the compiler and not a jump, and the host's return predictor is lost after a few dozen of them.
 */

/* The row of an access made so: none where every one has to be looked at. */
A64_INLINE const struct soft_tlbe *
row_of(const struct a64 *c, unsigned how, bool write)
{
	return ((how & A64_UNPRIV) == 0 ? c->row[write] : c->row_el0[write]);
}

A64_INLINE enum a64_status
load(struct a64 *c, uint64_t va, unsigned size, unsigned how, uint64_t *v)
{
	const void *p = soft_tlb_hit(row_of(c, how, false), a64_tag(c, va), va, size, false);

	if (likely(p != NULL)) {
		*v = host_load(p, size);
		return (A_DONE);
	}
	c->buf[0] = 0;
	TRY(a64_read(c, va, size, size, how, c->buf));
	*v = c->buf[0];
	return (A_DONE);
}

A64_INLINE enum a64_status
store(struct a64 *c, uint64_t va, unsigned size, unsigned how, uint64_t v)
{
	void *p = soft_tlb_hit(row_of(c, how, true), a64_tag(c, va), va, size, true);

	if (likely(p != NULL)) {
		host_store(p, size, v);
		return (A_DONE);
	}
	c->buf[0] = v;
	return (a64_write(c, va, size, size, how, c->buf));
}

/* A register offset: arg2 has option (bits 2:0) and shift (bits 5:3). */
A64_INLINE uint64_t
offset_of(const struct a64 *c, const struct a64_insn *i)
{
	uint64_t m = R(i->rm);

	if ((i->arg2 & 1) == 0)
		m = (i->arg2 & 4) != 0 ? (uint64_t)(int64_t)(int32_t)m : (uint32_t)m;
	return (m << (i->arg2 >> 3));
}

/* The base of an access without offset. */
A64_INLINE enum a64_status
base_of(struct a64 *c, const struct a64_insn *i, uint64_t *va)
{
	*va = R(i->rn);
	return (unlikely(sp_bad(c, i->rn, *va)) ? a64_sp_fault(c) : A_DONE);
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
