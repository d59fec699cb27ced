/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87.c - what the x87 instructions have in common, and which there are.
 */
#include "x87.h"

#define	LINE_FERR	13		/* of the PC's interrupt wiring */

/* Registers */

void
x87_set_top(struct x87 *f, unsigned top)
{
	while (x87_top(f) != top)
		x87_up(f);
}

void
x87_init(struct x87 *f)
{
	x87_set_top(f, 0);
	f->fcw = X87_FCW_INIT;
	f->fsw = 0;
	f->ftw = 0;
	f->fop = 0;
	f->fip = f->fdp = 0;
}

void
x87_point_real(struct x86 *x, const struct x86_insn *i, struct x87 *f)
{
	const struct amd64_segment *seg = x->s->seg;

	f->fip = (uint32_t)(seg[SEG_CS].base + x86_rip(x, i));
	if ((i->flags & XI_MEM) != 0)
		f->fdp = (uint32_t)(seg[i->seg].base + x86_ea(x, i));
}

/* Memory */

/* A page fault goes first (SDM vol. 3 table 6-2). */
static enum x86_status
check_alignment(struct x86 *x, const struct x86_insn *i, unsigned n, unsigned align, bool write)
{
	uint64_t ea = x86_ea(x, i), lin = ea;

	if (likely(x86_cpl(x) != 3 || (x->s->cr0 & CR0_AM) == 0 || (x->s->rflags & FL_AC) == 0))
		return (X_DONE);
	if (!x->flat || i->seg == SEG_FS || i->seg == SEG_GS)
		lin += x->s->seg[i->seg].base;
	if ((lin & (align - 1)) == 0)
		return (X_DONE);
	TRY(x86_probe(x, (enum amd64_seg)i->seg, ea, n, write));
	return (x86_fault_error(x, EXC_AC, 0));
}

enum x86_status
x87_load(struct x86 *x, const struct x86_insn *i, unsigned n, unsigned align, void *v)
{
	TRY(check_alignment(x, i, n, align, false));
	return (x86_load_bytes(x, (enum amd64_seg)i->seg, x86_ea(x, i), n, v));
}

enum x86_status
x87_store(struct x86 *x, const struct x86_insn *i, unsigned n, unsigned align, const void *v)
{
	TRY(check_alignment(x, i, n, align, true));
	return (x86_store_bytes(x, (enum amd64_seg)i->seg, x86_ea(x, i), n, v));
}

/* Faults */

enum x86_status
x87_denied(struct x86 *x)
{
	return (x86_fault(x, EXC_NM));
}

/*
 * Without CR0.NE, the processor drives FERR# and stands still before the waiting instruction until
 * an interrupt comes.  On a PC FERR# is interrupt 13, whose handler clears the exceptions (SDM vol.
 * 1 8.7.2, appendix D.2).  The line belongs to the PC, not to the processor, but every PC has it:
 * an edge is made each time the instruction is tried, so that no interrupt is lost and none remains
 * when the handler is done.  IGNNE#, which a write to port F0h of a PC asserts, is not wired: what
 * ends the error is that the handler clears or initializes.
 *
 * The instruction is tried again between looks at interrupts; a guest that has them off stands
 * there, as it would.
 */
static enum x86_status
ferr(struct x86 *x)
{
	struct vm_irq *irq;

	x86_sync(x);
	soft_leave(x->cpu);
	irq = vm_irq_open_line(x->vcpu->vm, LINE_FERR);
	if (irq != NULL) {
		(void)vm_irq_pulse(irq);
		vm_irq_close(irq);
	}
	soft_reenter(x->cpu);
	x86_after_device(x);
	/* Done with nothing: a try counts, so that virtual time goes on. */
	x->s->rip = x86_rip(x, x->cur);
	x->attention = true;
	return (X_JUMP);
}

enum x86_status
x87_error(struct x86 *x)
{
	if ((x->s->cr0 & CR0_NE) != 0)
		return (x86_fault(x, EXC_MF));
	return (ferr(x));
}

bool
x87_stack_fault(struct x87 *f, bool over)
{
	x87_cc(f, X87_C1, over ? X87_C1 : 0);
	f->fsw |= X87_SF;
	return (x87_raise(f, X87_IE));
}

/* Decoding */

void
x87_bind(struct x86_insn *i, const struct x86_decoded *d)
{
	unsigned rm = d->z->raw.modrm.rm;

	/* FOP: the low bits of the first byte, and the second (SDM vol. 1 8.1.9, figure 8-8). */
	i->imm2 = (uint16_t)((d->z->opcode & 7U) << 8 | (unsigned)d->z->raw.modrm.mod << 6 |
	    (unsigned)d->z->raw.modrm.reg << 3 | rm);
	i->r[0] = (uint8_t)rm;
}

#define	OP(name, file, arg)	{ ZYDIS_MNEMONIC_ ## name, 0, X87_ ## arg, NULL, x87_bind_ ## file }
#define	SAME(name, file)	OP(name, file, name)

const struct x86_opdesc x86_ops_x87[] = {
	/* x87_move.c */
	SAME(FLD, move), SAME(FST, move), SAME(FSTP, move), SAME(FSTPNCE, move),
	SAME(FILD, move), SAME(FIST, move), SAME(FISTP, move), SAME(FISTTP, move),
	SAME(FBLD, move), SAME(FBSTP, move), SAME(FXCH, move),
	OP(FCMOVB, move, FCMOV + 0), OP(FCMOVE, move, FCMOV + 1), OP(FCMOVBE, move, FCMOV + 2),
	OP(FCMOVU, move, FCMOV + 3), OP(FCMOVNB, move, FCMOV + 4), OP(FCMOVNE, move, FCMOV + 5),
	OP(FCMOVNBE, move, FCMOV + 6), OP(FCMOVNU, move, FCMOV + 7),
	SAME(FLD1, move), SAME(FLDL2T, move), SAME(FLDL2E, move), SAME(FLDPI, move),
	SAME(FLDLG2, move), SAME(FLDLN2, move), SAME(FLDZ, move),
	/* x87_arith.c */
	SAME(FADD, arith), OP(FADDP, arith, FADD), OP(FIADD, arith, FADD),
	SAME(FMUL, arith), OP(FMULP, arith, FMUL), OP(FIMUL, arith, FMUL),
	SAME(FSUB, arith), OP(FSUBP, arith, FSUB), OP(FISUB, arith, FSUB),
	SAME(FSUBR, arith), OP(FSUBRP, arith, FSUBR), OP(FISUBR, arith, FSUBR),
	SAME(FDIV, arith), OP(FDIVP, arith, FDIV), OP(FIDIV, arith, FDIV),
	SAME(FDIVR, arith), OP(FDIVRP, arith, FDIVR), OP(FIDIVR, arith, FDIVR),
	SAME(FSQRT, arith), SAME(FRNDINT, arith), SAME(FSCALE, arith), SAME(FPREM, arith),
	SAME(FPREM1, arith), SAME(FXTRACT, arith), SAME(FABS, arith), SAME(FCHS, arith),
	/* x87_cmp.c */
	SAME(FCOM, cmp), SAME(FCOMP, cmp), SAME(FCOMPP, cmp), OP(FICOM, cmp, FCOM),
	OP(FICOMP, cmp, FCOMP), SAME(FUCOM, cmp), SAME(FUCOMP, cmp), SAME(FUCOMPP, cmp),
	SAME(FCOMI, cmp), SAME(FCOMIP, cmp), SAME(FUCOMI, cmp), SAME(FUCOMIP, cmp),
	SAME(FTST, cmp), SAME(FXAM, cmp),
	/* x87_trans.c */
	SAME(F2XM1, trans), SAME(FYL2X, trans), SAME(FYL2XP1, trans), SAME(FPTAN, trans),
	SAME(FPATAN, trans), SAME(FSIN, trans), SAME(FCOS, trans), SAME(FSINCOS, trans),
	/* x87_env.c */
	SAME(FNINIT, env), SAME(FNCLEX, env), SAME(FLDCW, env), SAME(FNSTCW, env),
	SAME(FNSTSW, env), SAME(FNSTENV, env), SAME(FLDENV, env), SAME(FNSAVE, env),
	SAME(FRSTOR, env), SAME(FINCSTP, env), SAME(FDECSTP, env), SAME(FFREE, env),
	SAME(FFREEP, env), SAME(FNOP, env), OP(FENI8087_NOP, env, NOP),
	OP(FDISI8087_NOP, env, NOP), OP(FSETPM287_NOP, env, NOP), SAME(FWAIT, env),
	{ 0 }
};
