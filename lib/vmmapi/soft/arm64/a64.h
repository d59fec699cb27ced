/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * a64.h - what the files of the small A64 interpreter share.
 *
 * It executes the integer instructions of Armv8.0 at EL0 and EL1 in AArch64 state, one at a time and straight from memory; floating point,
 * Advanced SIMD and debug are not there and are UNDEFINED.
 */
#ifndef _SOFT_A64_H_
#define	_SOFT_A64_H_

#include "../../arm64/arm64.h"
#include "../soft.h"

/* What became of an instruction. */
enum a64_result {
	A64_NEXT,	/* done: the next one is behind it */
	A64_CHECK,	/* the same, and look for events before it */
	A64_JUMP,	/* done: pc was set */
	A64_TAKEN,	/* an exception was taken instead: pc was set */
	A64_STOP,	/* not done: stop with a64.stop */
	A64_LAST,	/* done: stop with a64.stop before the next one */
};

#define	A64_NTIMERS	2
#define	A64_NOPAGE	1U	/* fetch_va: none */

struct a64 {
	struct soft_cpu	*cpu;
	struct vcpu	*vcpu;
	struct arm64_state *s;
	enum soft_stop	 stop;
	bool		 late;		/* a store made an exit: stop when the instruction is done */
	/* the page that instructions are fetched from; void when the map or the translation may have changed */
	uint64_t	 fetch_va;
	const uint8_t	*fetch;
	/* exclusive monitor (Arm ARM B2.9): what was loaded, from where */
	bool		 excl;
	unsigned	 excl_size;
	vm_paddr_t	 excl_gpa;
	uint64_t	 excl_val;
	struct vm_timer	*timer[A64_NTIMERS];	/* virtual, physical */
};

static inline bool
a64_el0(const struct a64 *c)
{
	return ((c->s->pstate & PSTATE_MODE) == PSTATE_EL0T);
}

static inline uint64_t *
a64_sp(struct a64 *c)
{
	return ((c->s->pstate & PSTATE_MODE) == PSTATE_EL1H ? &c->s->sp_el1 : &c->s->sp_el0);
}

/* X register n, 31 being zero. */
static inline uint64_t
a64_x(const struct a64 *c, unsigned n)
{
	return (n == 31 ? 0 : c->s->x[n]);
}

static inline void
a64_set_x(struct a64 *c, unsigned n, bool sf, uint64_t val)
{
	if (n != 31)
		c->s->x[n] = sf ? val : (uint32_t)val;
}

/* Bits hi to lo of an instruction. */
static inline unsigned
a64_bits(uint32_t insn, unsigned hi, unsigned lo)
{
	return (insn >> lo & ((2U << (hi - lo)) - 1));
}

static inline int64_t
a64_sext(uint64_t val, unsigned width)
{
	return ((int64_t)(val << (64 - width)) >> (64 - width));
}

/* The translation of fetches may be another now, or the memory map. */
static inline void
a64_drop_fetch(struct a64 *c)
{
	c->fetch_va = A64_NOPAGE;
}

/* core_arm64.c */

/* Take an exception to EL1 that returns to pc. */
enum a64_result a64_exception(struct a64 *c, uint64_t esr, uint64_t pc);
/* The same with FAR_EL1. */
enum a64_result a64_fault(struct a64 *c, uint64_t esr, uint64_t far);
enum a64_result a64_undefined(struct a64 *c);
/* ESR of an abort of class ec (EC_IABT, EC_DABT) taken from the present level. */
uint64_t a64_abort_esr(const struct a64 *c, unsigned ec, unsigned fsc, bool write);
/* Translate for one access; A64_NEXT, or A64_TAKEN with the exception taken. */
enum a64_result a64_translate(struct a64 *c, uint64_t va, int prot, bool el0, struct arm64_walk *w);
/* Recompute the timers' outputs and deadlines.  inside: in guest code. */
void	a64_timers(struct a64 *c, bool inside);
/* The count of a timer now: what CNTVCT_EL0 and CNTPCT_EL0 read. */
uint64_t a64_count(struct a64 *c, unsigned timer);
bool	a64_timer_met(struct a64 *c, unsigned timer);
/* Has a wait for an interrupt an end? */
bool	a64_woken(struct a64 *c);
/* Fill vcpu->exit for the instruction at pc. */
struct vm_exit *a64_exit(struct a64 *c, enum vm_exitcode code, bool is_read);

/* insn_arm64.c */
enum a64_result a64_execute(struct a64 *c, uint32_t insn);
bool	a64_condition(const struct a64 *c, unsigned cond);

/* ldst_arm64.c: loads and stores */
enum a64_result a64_ldst(struct a64 *c, uint32_t insn);

/* sys_arm64.c: exception generation, system instructions and registers */
enum a64_result a64_system(struct a64 *c, uint32_t insn);
enum a64_result a64_exception_insn(struct a64 *c, uint32_t insn);
enum a64_result a64_eret(struct a64 *c);
/* Floating point and Advanced SIMD: trapped by CPACR_EL1, else UNDEFINED. */
enum a64_result a64_fp(struct a64 *c);

#endif /* _SOFT_A64_H_ */
