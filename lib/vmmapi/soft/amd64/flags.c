/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flags.c - instructions that move the flags register as a whole or its interrupt and alignment bits
 * (Intel SDM vol. 2: PUSHF, POPF, CLI, STI, CLAC, STAC; virtual-8086 mode vol. 3 20.2.7).  CR4.VME and
 * CR4.PVI are not offered.
 */
#include "sys.h"

/* May the program change IF?  (vol. 1 18.5.1) */
static bool
may_mask(const struct x86 *x)
{
	if (x86_v86(x))
		return (x86_iopl(x) == 3);
	return (x86_cpl(x) <= x86_iopl(x));
}

static enum x86_status
op_pushf(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x->s->gpr[RSP];

	if (x86_v86(x) && x86_iopl(x) != 3)
		return (GP0(x));
	/* VM and RF are pushed as 0. */
	TRY(x86_push_at(x, &sp, i->opsize, x->s->rflags & ~(uint64_t)(FL_VM | FL_RF)));
	x86_sp_set(x, sp);
	return (X_DONE);
}

/* What POPF can change (vol. 2, POPF: operation and table 4-15). */
static uint64_t
popf_mask(const struct x86 *x, unsigned size)
{
	uint64_t m = FL_ARITH | FL_TF | FL_DF | FL_NT;

	if (size > 2)
		m |= FL_AC | FL_ID;
	if (may_mask(x))
		m |= FL_IF;
	if (x86_cpl(x) == 0)
		m |= FL_IOPL;
	return (m);
}

static enum x86_status
op_popf(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x->s->gpr[RSP], fl = 0, old = x->s->rflags;

	if (x86_v86(x) && x86_iopl(x) != 3)
		return (GP0(x));
	TRY(x86_pop_at(x, &sp, i->opsize, &fl));
	x86_sp_set(x, sp);
	x86_flags(x, fl, popf_mask(x, i->opsize));
	old ^= x->s->rflags;
	if ((old & FL_AC) != 0)
		x86_mode(x);
	if ((old & (FL_IF | FL_TF)) != 0)
		x->attention = true;
	return (X_DONE);
}

static enum x86_status
op_cli(struct x86 *x, const struct x86_insn *i)
{
	if (!may_mask(x))
		return (GP0(x));
	x86_flags(x, 0, FL_IF);
	return (X_DONE);
}

/* Interrupts wait for the end of the next instruction if they were off. */
static enum x86_status
op_sti(struct x86 *x, const struct x86_insn *i)
{
	if (!may_mask(x))
		return (GP0(x));
	if ((x->s->rflags & FL_IF) == 0) {
		x->shadow = 1;
		x->attention = true;
	}
	x86_flags(x, FL_IF, FL_IF);
	return (X_DONE);
}

/* #UD, not #GP, for programs. */
static enum x86_status
set_ac(struct x86 *x, uint64_t ac)
{
	if (x86_cpl(x) != 0)
		return (UD(x));
	x86_flags(x, ac, FL_AC);
	x86_mode(x);
	return (X_DONE);
}

static enum x86_status
op_clac(struct x86 *x, const struct x86_insn *i)
{
	return (set_ac(x, 0));
}

static enum x86_status
op_stac(struct x86 *x, const struct x86_insn *i)
{
	return (set_ac(x, FL_AC));
}

#define	M(n)	ZYDIS_MNEMONIC_##n

const struct x86_opdesc x86_ops_flags[] = {
	{ M(PUSHF), 0, 0, op_pushf, NULL },
	{ M(PUSHFD), 0, 0, op_pushf, NULL },
	{ M(PUSHFQ), 0, 0, op_pushf, NULL },
	{ M(POPF), XD_END, 0, op_popf, NULL },
	{ M(POPFD), XD_END, 0, op_popf, NULL },
	{ M(POPFQ), XD_END, 0, op_popf, NULL },
	{ M(CLI), 0, 0, op_cli, NULL },
	{ M(STI), XD_END, 0, op_sti, NULL },
	{ M(CLAC), 0, 0, op_clac, NULL },
	{ M(STAC), 0, 0, op_stac, NULL },
	{ 0 },
};
