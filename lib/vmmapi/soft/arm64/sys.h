/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sys.h - what the files of the system instructions share, and what the core asks of them.
 */
#ifndef _SOFT_A64_SYS_H_
#define	_SOFT_A64_SYS_H_

#include "a64.h"

/* SCTLR_EL1: what EL0 may do (Arm ARM D13.2.118) */
#define	SCTLR_UMA	(1U << 9)
#define	SCTLR_DZE	(1U << 14)
#define	SCTLR_UCT	(1U << 15)
#define	SCTLR_NTWI	(1U << 16)
#define	SCTLR_NTWE	(1U << 18)
#define	SCTLR_TSCXT	(1U << 20)
#define	SCTLR_UCI	(1U << 26)

/* sys_arm64.c */

/* What the ID registers offer to the decoders: A64_F_*. */
unsigned a64_features(const struct arm64_state *s);
/* A system instruction or register that EL1 keeps from EL0: EC 0x18. */
enum a64_status a64_trapped(struct a64 *c, const struct a64_insn *i);

/* sysreg_arm64.c: MRS, MSR (register) */
bool	a64_decode_sysreg(uint32_t word, unsigned mode, struct a64_insn *i);

/* What MRS, or MSR with *keep of the value, does beyond moving 8 bytes from or to the page: nothing, then their offset.  Else -1. */
int	a64_sysreg_place(const struct a64_insn *i, uint64_t *keep);

/* maint_arm64.c: SYS */
bool	a64_decode_maintenance(uint32_t word, unsigned mode, struct a64_insn *i);
/* Invalidations that have been asked of all are done: DSB. */
enum a64_status a64_complete(struct a64 *c);
/* soft_core.shoot */
void	a64_shoot(struct soft_cpu *cpu, uint32_t what, uint64_t arg);

#endif /* _SOFT_A64_SYS_H_ */
