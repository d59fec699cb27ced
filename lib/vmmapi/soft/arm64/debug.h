/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug.h - self-hosted debug (Arm ARM D2): what the core calls.
 *
 * The core asks a64_debug() when the mode changes.  Where it answers with A64_DEBUG_INSN, the core executes one
 * instruction at a time with a64_debug_before() ahead of it and a64_debug_after() behind it; with A64_DEBUG_DATA, no
 * access is fast, and each one is preceded by a64_debug_access().
 */
#ifndef _SOFT_A64_DEBUG_H_
#define	_SOFT_A64_DEBUG_H_

#include "a64.h"

/* MDSCR_EL1 (D13.3.19) */
#define	MDSCR_SS	0x0001U
#define	MDSCR_TDCC	0x1000U
#define	MDSCR_KDE	0x2000U
#define	MDSCR_MDE	0x8000U
#define	MDSCR_KEEP	(MDSCR_SS | MDSCR_TDCC | MDSCR_KDE | MDSCR_MDE)

#define	A64_DEBUG_INSN	0x1U	/* breakpoints or software step */
#define	A64_DEBUG_DATA	0x2U	/* watchpoints */

/* What is to be looked at in the present state. */
unsigned a64_debug(const struct a64 *c);
/* Before the instruction at s->pc is fetched: A_DONE, or A_FAULT with the exception in c->exc. */
enum a64_status a64_debug_before(struct a64 *c);
/*
 * Behind an instruction, or the exception that was taken in place of it: the step is done.  excl: it was a Load-
 * Exclusive.
 */
void	a64_debug_after(struct a64 *c, bool excl);
/* How a block gets to an instruction that a debugger may want to stop at (vm->debug): A_STOP in its place, or what it does. */
enum a64_status a64_debug_stop(struct a64 *c, const struct a64_insn *i);
/* Before an access, without alignment faults and translation faults of its own.  As a64_debug_before(), or A_STOP for a debugger. */
enum a64_status a64_debug_access(struct a64 *c, uint64_t va, unsigned size, bool write, bool el0);
/* PSTATE.SS that an exception return with this SPSR_EL1 sets. */
uint64_t a64_debug_return_ss(struct a64 *c, uint64_t spsr);
/* The instruction is done, although it takes an exception. */
void	a64_debug_advance(struct a64 *c);

#endif /* _SOFT_A64_DEBUG_H_ */
