/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * atomic.h - locked instructions: what they have in common.
 *
 * The usual case, memory within one cache line that can be stored to without more, is a host compare
 * and exchange in place; everything else goes through x86_atomic().
 */
#ifndef _VMMAPI_SOFT_AMD64_ATOMIC_H_
#define	_VMMAPI_SOFT_AMD64_ATOMIC_H_

#include "cpu.h"

#define	ATOMIC_LINE	64U

/* The host's memory behind lin, if the usual case applies. */
X86_INLINE void *
atomic_host(struct x86 *x, uint64_t lin, unsigned size)
{
	if (unlikely((lin & (ATOMIC_LINE - 1)) + size > ATOMIC_LINE))
		return (NULL);
	return (soft_tlb_hit(x->wrow, x->tag, lin, size, true));
}

/* *p == *old: *p = val, true.  Otherwise *old = *p, false. */
X86_INLINE bool
atomic_cas(void *p, unsigned size, uint64_t *old, uint64_t val)
{
	bool done;

#define	CAS(suffix, m)								\
	__asm__ volatile("lock; cmpxchg" suffix " %" m "[val], (%[p]); sete %[done]"	\
	    : "+a" (*old), [done] "=q" (done) : [p] "r" (p), [val] "r" (val) : "cc", "memory")
	switch (size) {
	case 1:
		CAS("b", "b");
		break;
	case 2:
		CAS("w", "w");
		break;
	case 4:
		CAS("l", "k");
		break;
	default:
		CAS("q", "q");
		break;
	}
#undef	CAS
	return (done);
}

/* Functions of LOCK forms by operand size; the operation is in struct x86_insn.arg (alu.h). */
x86_op	*x86_lock_two(unsigned size, bool imm);
x86_op	*x86_lock_one(unsigned size);

#endif /* _VMMAPI_SOFT_AMD64_ATOMIC_H_ */
