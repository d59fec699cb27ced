/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87.h - the x87 FPU: its registers in the state page and what its instructions share.
 *
 * The FPU lives in the state page's FXSAVE image (SDM vol. 1 10.5.1).  There ST(0) to ST(7) are
 * stored by their distance from the top of the stack, and the abridged tags by register number: a
 * push or a pop turns the registers and leaves the tags' bits where they are.  FSW.ES and FSW.B are
 * kept as what the exception flags and the masks make of them.
 *
 * Arithmetic is the host's own x87 instruction with every exception masked, the guest's rounding
 * and precision control, and operands loaded for that one instruction; x87_compute() then does what
 * the guest's masks ask for.  Nothing of the host's x87 state gets into the guest's.
 */
#ifndef _VMMAPI_SOFT_AMD64_X87_H_
#define	_VMMAPI_SOFT_AMD64_X87_H_

#include <stddef.h>

#include "decode.h"

/* FSW (SDM vol. 1 8.1.3); its low six bits are the exceptions that FCW's low six bits mask. */
#define	X87_IE		0x0001U
#define	X87_DE		0x0002U
#define	X87_ZE		0x0004U
#define	X87_OE		0x0008U
#define	X87_UE		0x0010U
#define	X87_PE		0x0020U
#define	X87_EXC		0x003fU
#define	X87_SF		0x0040U
#define	X87_ES		0x0080U
#define	X87_C0		0x0100U
#define	X87_C1		0x0200U
#define	X87_C2		0x0400U
#define	X87_TOP		0x3800U
#define	X87_C3		0x4000U
#define	X87_B		0x8000U
#define	X87_CC		(X87_C0 | X87_C1 | X87_C2 | X87_C3)

/* FCW (8.1.5).  Bit 6 reads as one; bit 12, infinity control, is kept and does nothing. */
#define	X87_FCW_BITS	0x1f3fU
#define	X87_FCW_ONE	0x0040U
#define	X87_FCW_INIT	0x037fU

/* se: sign and exponent in its low 16 bits, what is above is nobody's. */
struct x87_reg {
	uint64_t	m, se;
} __attribute__((may_alias));

struct x87 {
	uint16_t	fcw, fsw;
	uint8_t		ftw, reserved;
	uint16_t	fop;
	uint64_t	fip, fdp;
	uint32_t	mxcsr, mxcsr_mask;
	struct x87_reg	st[8];
} __attribute__((may_alias));

_Static_assert(sizeof(struct x87) == 160, "the FXSAVE image up to XMM0");
_Static_assert(offsetof(struct amd64_state, fxsave) % 8 == 0, "aligned as struct x87");

/* Operands of asm statements: what is n bytes at p. */
struct x87_m2 { uint8_t b[2]; } __attribute__((may_alias));
struct x87_m4 { uint8_t b[4]; } __attribute__((may_alias));
struct x87_m8 { uint8_t b[8]; } __attribute__((may_alias));
struct x87_m10 { uint8_t b[10]; } __attribute__((may_alias));
#define	X87_OUT(n, p)	(*(struct x87_m ## n *)(void *)(p))
#define	X87_IN(n, p)	(*(const struct x87_m ## n *)(const void *)(p))

#define	X87_INT_BIT	0x8000000000000000ULL
/* The real indefinite: a quiet NaN (4.8.3.7). */
#define	X87_INDEFINITE	((struct x87_reg) { 0xc000000000000000ULL, 0xffff })

X86_INLINE struct x87 *
x87_of(struct x86 *x)
{
	return ((struct x87 *)(void *)x->s->fxsave);
}

X86_INLINE unsigned
x87_top(const struct x87 *f)
{
	return (f->fsw >> 11 & 7);
}

X86_INLINE uint8_t
x87_bit(const struct x87 *f, unsigned n)
{
	return ((uint8_t)(1U << ((x87_top(f) + n) & 7)));
}

/* Is there something in ST(n)? */
X86_INLINE bool
x87_valid(const struct x87 *f, unsigned n)
{
	return ((f->ftw & x87_bit(f, n)) != 0);
}

X86_INLINE void
x87_set(struct x87 *f, unsigned n, struct x87_reg v)
{
	f->st[n].m = v.m;
	f->st[n].se = (uint16_t)v.se;
	f->ftw |= x87_bit(f, n);
}

/*
 * Turn the registers by one.  Eight bytes at a time, as they are written: the processor's own
 * forwarding from its store buffer wants the same pieces.
 */
#define	X87_COPY(to, from) do {							\
	((volatile struct x87_reg *)(to))->m = ((volatile struct x87_reg *)(from))->m;	\
	((volatile struct x87_reg *)(to))->se = ((volatile struct x87_reg *)(from))->se; \
} while (0)

/* TOP - 1; ST(0) is what was ST(7). */
X86_INLINE void
x87_down(struct x87 *f)
{
	struct x87_reg last = f->st[7];

	X87_COPY(&f->st[7], &f->st[6]);
	X87_COPY(&f->st[6], &f->st[5]);
	X87_COPY(&f->st[5], &f->st[4]);
	X87_COPY(&f->st[4], &f->st[3]);
	X87_COPY(&f->st[3], &f->st[2]);
	X87_COPY(&f->st[2], &f->st[1]);
	X87_COPY(&f->st[1], &f->st[0]);
	f->st[0] = last;
	f->fsw = (uint16_t)((f->fsw & ~X87_TOP) | ((f->fsw - 0x800U) & X87_TOP));
}

/* TOP + 1 */
X86_INLINE void
x87_up(struct x87 *f)
{
	struct x87_reg first = f->st[0];

	X87_COPY(&f->st[0], &f->st[1]);
	X87_COPY(&f->st[1], &f->st[2]);
	X87_COPY(&f->st[2], &f->st[3]);
	X87_COPY(&f->st[3], &f->st[4]);
	X87_COPY(&f->st[4], &f->st[5]);
	X87_COPY(&f->st[5], &f->st[6]);
	X87_COPY(&f->st[6], &f->st[7]);
	f->st[7] = first;
	f->fsw = (uint16_t)((f->fsw & ~X87_TOP) | ((f->fsw + 0x800U) & X87_TOP));
}

X86_INLINE void
x87_push(struct x87 *f, struct x87_reg v)
{
	x87_down(f);
	x87_set(f, 0, v);
}

X86_INLINE void
x87_pop(struct x87 *f)
{
	f->ftw &= (uint8_t)~x87_bit(f, 0);
	x87_up(f);
}

/* Every integer has its register form. */
X86_INLINE struct x87_reg
x87_from_int(int64_t n)
{
	struct x87_reg v = { 0, 0 };
	unsigned shift;

	if (n != 0) {
		v.m = n < 0 ? -(uint64_t)n : (uint64_t)n;
		shift = (unsigned)__builtin_clzll(v.m);
		v.m <<= shift;
		v.se = (n < 0 ? 0x8000U : 0) | (0x3fff + 63 - shift);
	}
	return (v);
}

/* Let TOP be top: the registers stay, their distance from it changes. */
void	x87_set_top(struct x87 *f, unsigned top);
/* FNINIT: registers keep their contents (SDM vol. 2 FINIT). */
void	x87_init(struct x87 *f);

/* ES and B follow from flags and masks. */
X86_INLINE void
x87_summary(struct x87 *f)
{
	f->fsw &= (uint16_t)~(X87_ES | X87_B);
	if ((f->fsw & ~f->fcw & X87_EXC) != 0)
		f->fsw |= X87_ES | X87_B;
}

X86_INLINE void
x87_set_fcw(struct x87 *f, uint16_t fcw)
{
	f->fcw = (uint16_t)((fcw & X87_FCW_BITS) | X87_FCW_ONE);
	x87_summary(f);
}

/* New values of the condition bits in mask, for what raised no exception. */
X86_INLINE void
x87_cc(struct x87 *f, unsigned mask, unsigned cc)
{
	f->fsw = (uint16_t)((f->fsw & ~mask) | (cc & mask));
}

/* Checks at the start of an instruction */

enum x86_status x87_denied(struct x86 *x);
/*
 * An unmasked exception of an earlier instruction is pending, and this one waits for it: #MF, or
 * without CR0.NE the way of the PC (SDM vol. 1 8.7).  MMX instructions wait, too.
 */
enum x86_status x87_error(struct x86 *x);

/* #NM with CR0.EM or CR0.TS. */
#define	X87_BEGIN_NOWAIT(x) do {						\
	if (unlikely(((x)->s->cr0 & (CR0_EM | CR0_TS)) != 0))			\
		return (x87_denied(x));						\
} while (0)

#define	X87_BEGIN(x, f) do {							\
	X87_BEGIN_NOWAIT(x);							\
	if (unlikely(((f)->fsw & X87_ES) != 0))					\
		return (x87_error(x));						\
} while (0)

/*
 * What the instruction leaves in the instruction, operand and opcode registers (SDM vol. 1 8.1.8,
 * 8.1.9): every one but the control instructions does.  i->imm2 is the opcode.  Selectors are not
 * kept (CPUID leaf 7, EBX bit 13): where a segment's base is 16 times its selector the pointers are
 * linear addresses, so that the images of those modes, which have nothing else, are right.
 */
void	x87_point_real(struct x86 *x, const struct x86_insn *i, struct x87 *f);

X86_INLINE void
x87_point(struct x86 *x, const struct x86_insn *i, struct x87 *f)
{
	f->fop = i->imm2;
	if (unlikely((x->mode & X86_MODE_REAL) != 0)) {
		x87_point_real(x, i, f);
		return;
	}
	f->fip = x86_rip(x, i);
	if ((i->flags & XI_MEM) != 0)
		f->fdp = x86_ea(x, i);
}

/*
 * n bytes of the memory operand, which has to be aligned to `align' where alignment is checked (SDM
 * vol. 3 table 6-7).
 */
enum x86_status x87_load(struct x86 *x, const struct x86_insn *i, unsigned n, unsigned align,
    void *v);
enum x86_status x87_store(struct x86 *x, const struct x86_insn *i, unsigned n, unsigned align,
    const void *v);

/* Exceptions */

/* Set exception flags; false if one is not masked. */
X86_INLINE bool
x87_raise(struct x87 *f, unsigned exc)
{
	f->fsw |= (uint16_t)exc;
	if (likely((exc & ~f->fcw & X87_EXC) == 0))
		return (true);
	f->fsw |= X87_ES | X87_B;
	return (false);
}

/* Stack overflow or underflow (SDM vol. 1 8.5.1.1): whether it is masked. */
bool	x87_stack_fault(struct x87 *f, bool over);

/*
 * A host instruction: asm statements that load a and b, execute it, store FSW and the result, and
 * leave the host's stack empty.  a is a register, b a register or the value in memory, r two
 * registers at most.
 */
typedef uint16_t x87_host(const struct x87_reg *a, const void *b, struct x87_reg *r);

/*
 * What kind of function it is: how the result depends on the operands' exponents, which tells what
 * it is with an exponent that the format does not have (x87_except.c).
 */
enum x87_kind {
	X87_K_PLAIN,		/* neither overflow nor underflow */
	X87_K_LOAD,		/* likewise; a denormal is loaded even with #D unmasked */
	X87_K_COMPARE,		/* the condition bits are the result; r is unused */
	X87_K_STORE32, X87_K_STORE64,	/* r is a float or a double for memory; b unused */
	X87_K_ADD,
	X87_K_SUB,		/* a - b */
	X87_K_SUBR,		/* b - a */
	X87_K_MUL,
	X87_K_DIV,		/* a / b */
	X87_K_DIVR,		/* b / a */
	X87_K_SCALE,
	X87_K_PREM,
	X87_K_LINEAR,		/* f(a) ~ c * a for small a */
	X87_K_ATAN,		/* b / a */
	X87_K_YL2X,		/* b * g(a) */
	X87_K_YL2XP1,
};
/* The same with b a float or a double. */
#define	X87_K_B32	0x40U
#define	X87_K_B64	0x80U

/* In guest code the host's control word is the initial one: core_run() sees to that. */
X86_INLINE uint16_t
x87_execute(const struct x87 *f, x87_host *fn, const struct x87_reg *a, const void *b,
    struct x87_reg *r)
{
	static const uint16_t own = X87_FCW_INIT;
	uint16_t sw, guest = f->fcw | X87_EXC | X87_FCW_ONE;

	if (likely(guest == own))
		return (fn(a, b, r));
	__asm__ volatile("fldcw %0" : : "m" (guest));
	sw = fn(a, b, r);
	__asm__ volatile("fldcw %0" : : "m" (own));
	return (sw);
}

/* The rest of x87_compute(), when there is more to it than the result. */
bool	x87_compute_exactly(struct x87 *f, x87_host *fn, unsigned kind, unsigned cc,
	    const struct x87_reg *a, const void *b, struct x87_reg *r);

/*
 * Execute fn on a and b with the guest's rounding, set the exception flags and the condition bits
 * in cc (C1 is always one of them).  false: an unmasked exception, there is no result to deliver.
 *
 * The host's flags are not cleared each time, which would take longer than the rest.  A flag that
 * is set from before does no harm where the guest's own is set and masked.
 */
X86_INLINE bool
x87_compute(struct x87 *f, x87_host *fn, unsigned kind, unsigned cc, const struct x87_reg *a,
    const void *b, struct x87_reg *r)
{
	uint16_t sw = x87_execute(f, fn, a, b, r);

	/* Unmasked, underflow is raised also where the result is exact: the host did not tell. */
	if (unlikely(((sw & X87_EXC & ~(f->fsw & f->fcw)) | (~f->fcw & X87_UE)) != 0))
		return (x87_compute_exactly(f, fn, kind, cc, a, b, r));
	x87_cc(f, cc | X87_C1, sw);
	return (true);
}

/* How the instruction is encoded, for i->imm2 and i->r[0]. */
void	x87_bind(struct x86_insn *i, const struct x86_decoded *d);

/* x86_opdesc.arg of the instructions, by file */
enum {	/* x87_move.c */
	X87_FLD, X87_FST, X87_FSTP, X87_FSTPNCE, X87_FILD, X87_FIST, X87_FISTP, X87_FISTTP,
	X87_FBLD, X87_FBSTP, X87_FXCH, X87_FCMOV, X87_CONST = X87_FCMOV + 8,
	X87_FLD1 = X87_CONST, X87_FLDL2T, X87_FLDL2E, X87_FLDPI, X87_FLDLG2, X87_FLDLN2, X87_FLDZ,
};
enum {	/* x87_arith.c, x87_cmp.c; the first eight as encoded */
	X87_FADD, X87_FMUL, X87_FCOM, X87_FCOMP, X87_FSUB, X87_FSUBR, X87_FDIV, X87_FDIVR,
	X87_FSQRT, X87_FRNDINT, X87_FSCALE, X87_FPREM, X87_FPREM1, X87_FXTRACT, X87_FABS, X87_FCHS,
	X87_FUCOM, X87_FUCOMP, X87_FCOMPP, X87_FUCOMPP, X87_FCOMI, X87_FCOMIP, X87_FUCOMI,
	X87_FUCOMIP, X87_FTST, X87_FXAM,
};
enum {	/* x87_trans.c */
	X87_F2XM1, X87_FYL2X, X87_FYL2XP1, X87_FPTAN, X87_FPATAN, X87_FSIN, X87_FCOS, X87_FSINCOS,
};
enum {	/* x87_env.c */
	X87_FNINIT, X87_FNCLEX, X87_FLDCW, X87_FNSTCW, X87_FNSTSW, X87_FNSTENV, X87_FLDENV,
	X87_FNSAVE, X87_FRSTOR, X87_FINCSTP, X87_FDECSTP, X87_FFREE, X87_FFREEP, X87_FNOP, X87_NOP,
	X87_FWAIT,
};

x86_bind x87_bind_move, x87_bind_arith, x87_bind_cmp, x87_bind_trans, x87_bind_env;

#endif /* _VMMAPI_SOFT_AMD64_X87_H_ */
