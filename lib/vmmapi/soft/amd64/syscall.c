/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * syscall.c - fast calls of the operating system, as an Intel processor has them (Intel SDM vol. 3
 * 5.8.7, 5.8.8; vol. 2).  Segments are not loaded but set.
 */
#include "segment.h"

#define	DR6_BS		0x4000U
/* Flags that SYSRET takes from R11 (vol. 2, SYSRET). */
#define	FL_SYSRET	0x003c7fd7U

/* The privilege level changed: whatever depends on it, and the flags with it. */
static enum x86_status
arrive(struct x86 *x, uint64_t rip)
{
	x->s->rip = rip;
	x86_mode(x);
	x->attention = true;
	return (X_JUMP);
}

/*
 * TF is looked at behind these two: a mask of flags that has TF keeps the trap out of the kernel, and
 * a TF that SYSRET brings back traps as if SYSCALL had just been executed.
 */
static void
trap_behind(struct x86 *x)
{
	x->trap_tf = false;
	if ((x->s->rflags & FL_TF) != 0)
		x->trap6 |= DR6_BS;
}

static enum x86_status
op_syscall(struct x86 *x, const struct x86_insn *i)
{
	struct amd64_state *s = x->s;
	uint16_t sel = (uint16_t)(s->star >> 32);

	if (!x86_64bit(x) || (s->efer & EFER_SCE) == 0)
		return (UD(x));
	s->gpr[RCX] = x86_next_rip(x, i);
	s->gpr[R11] = s->rflags & ~(uint64_t)FL_RF;
	s->rflags = (s->rflags & ~s->sfmask & ~(uint64_t)FL_RF) | RFLAGS_FIXED;
	s->seg[SEG_CS] = x86_flat_code(sel & SEL_MASK, 0, true);
	s->seg[SEG_SS] = x86_flat_stack((uint16_t)(sel + 8), 0);
	trap_behind(x);
	return (arrive(x, s->lstar));
}

/* The address is checked at privilege level 0, with the guest's own stack: as Intel does. */
static enum x86_status
op_sysret(struct x86 *x, const struct x86_insn *i)
{
	struct amd64_state *s = x->s;
	uint16_t sel = (uint16_t)(s->star >> 48);
	bool wide = i->opsize == 8;

	if (!x86_64bit(x) || (s->efer & EFER_SCE) == 0)
		return (UD(x));
	if (x86_cpl(x) != 0 || (wide && !amd64_canonical(s->gpr[RCX], s->cr4)))
		return (GP0(x));
	s->rflags = (s->gpr[R11] & FL_SYSRET) | RFLAGS_FIXED;
	s->seg[SEG_CS] = x86_flat_code((uint16_t)((wide ? sel + 16 : sel) | 3), 3, wide);
	s->seg[SEG_SS] = x86_flat_stack((uint16_t)((sel + 8) | 3), 3);
	trap_behind(x);
	return (arrive(x, wide ? s->gpr[RCX] : (uint32_t)s->gpr[RCX]));
}

static enum x86_status
op_sysenter(struct x86 *x, const struct x86_insn *i)
{
	struct amd64_state *s = x->s;
	uint16_t sel = (uint16_t)s->sysenter_cs & SEL_MASK;
	bool wide = x86_long(x);

	if (!x86_protected(x) || sel == 0)
		return (GP0(x));
	s->rflags &= ~(uint64_t)(FL_VM | FL_IF | FL_RF);
	s->seg[SEG_CS] = x86_flat_code(sel, 0, wide);
	s->seg[SEG_SS] = x86_flat_stack((uint16_t)(sel + 8), 0);
	s->gpr[RSP] = wide ? s->sysenter_esp : (uint32_t)s->sysenter_esp;
	return (arrive(x, wide ? s->sysenter_eip : (uint32_t)s->sysenter_eip));
}

static enum x86_status
op_sysexit(struct x86 *x, const struct x86_insn *i)
{
	struct amd64_state *s = x->s;
	uint16_t sel = (uint16_t)s->sysenter_cs & SEL_MASK;
	bool wide = i->opsize == 8;
	uint64_t rip = s->gpr[RDX], rsp = s->gpr[RCX];

	if (!x86_protected(x) || sel == 0 || x86_cpl(x) != 0)
		return (GP0(x));
	if (wide && (!amd64_canonical(rip, s->cr4) || !amd64_canonical(rsp, s->cr4)))
		return (GP0(x));
	sel = (uint16_t)(sel + (wide ? 32 : 16));
	s->seg[SEG_CS] = x86_flat_code(sel | 3, 3, wide);
	s->seg[SEG_SS] = x86_flat_stack((uint16_t)((sel + 8) | 3), 3);
	s->gpr[RSP] = wide ? rsp : (uint32_t)rsp;
	return (arrive(x, wide ? rip : (uint32_t)rip));
}

static enum x86_status
op_swapgs(struct x86 *x, const struct x86_insn *i)
{
	uint64_t base = x->s->seg[SEG_GS].base;

	if (!x86_64bit(x))
		return (UD(x));
	x->s->seg[SEG_GS].base = x->s->kgs_base;
	x->s->kgs_base = base;
	return (X_DONE);
}

#define	M(n)	ZYDIS_MNEMONIC_##n

const struct x86_opdesc x86_ops_syscall[] = {
	{ M(SYSCALL), XD_END, 0, op_syscall, NULL },
	{ M(SYSRET), XD_END, 0, op_sysret, NULL },
	{ M(SYSENTER), XD_END, 0, op_sysenter, NULL },
	{ M(SYSEXIT), XD_END, 0, op_sysexit, NULL },
	{ M(SWAPGS), XD_CPL0, 0, op_swapgs, NULL },
	{ 0 },
};
