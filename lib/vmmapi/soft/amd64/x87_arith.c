/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87_arith.c - x87 arithmetic (SDM vol. 1 8.3.5): the four operations in all their forms, roots,
 * remainders, scaling, rounding and signs.
 */
#include "x87.h"

/* The four operations */

/* a op b of two registers, of a register and a float or a double. */
#define	HOST(name, insn)							\
X86_INLINE uint16_t								\
host_ ## name(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile("fldt %3; fldt %2; " insn " %%st(1), %%st; "		\
	    "fnstsw %1; fstpt %0; fstp %%st" : "=m" (X87_OUT(10, r)), "=a" (sw) :	\
	    "m" (X87_IN(10, a)), "m" (X87_IN(10, b)) : "st", "st(1)");		\
	return (sw);								\
}										\
X86_INLINE uint16_t								\
host_ ## name ## 32(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile("fldt %2; " insn "s %3; fnstsw %1; fstpt %0"		\
	    : "=m" (X87_OUT(10, r)), "=a" (sw) : "m" (X87_IN(10, a)),			\
	    "m" (X87_IN(4, b)) : "st");				\
	return (sw);								\
}										\
X86_INLINE uint16_t								\
host_ ## name ## 64(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile("fldt %2; " insn "l %3; fnstsw %1; fstpt %0"		\
	    : "=m" (X87_OUT(10, r)), "=a" (sw) : "m" (X87_IN(10, a)),			\
	    "m" (X87_IN(8, b)) : "st");				\
	return (sw);								\
}
HOST(fadd, "fadd")
HOST(fmul, "fmul")
HOST(fsub, "fsub")
HOST(fsubr, "fsubr")
HOST(fdiv, "fdiv")
HOST(fdivr, "fdivr")

/* ST(to) = ST(to) op ST(from) */
X86_INLINE enum x86_status
binary(struct x86 *x, const struct x86_insn *i, x87_host *fn, unsigned kind, unsigned to,
    unsigned from, bool pop)
{
	struct x87 *f = x87_of(x);
	struct x87_reg r;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (unlikely(!x87_valid(f, to) || !x87_valid(f, from))) {
		if (!x87_stack_fault(f, false))
			return (X_DONE);
		r = X87_INDEFINITE;
	} else if (!x87_compute(f, fn, kind, 0, &f->st[to], &f->st[from], &r)) {
		return (X_DONE);
	}
	x87_set(f, to, r);
	if (pop)
		x87_pop(f);
	return (X_DONE);
}

/* ST(0) = ST(0) op b; v: what ST(0) and b are, or are a copy of, in memory. */
X86_INLINE enum x86_status
binary_mem(struct x86 *x, const struct x86_insn *i, struct x87 *f, x87_host *fn, unsigned kind,
    const void *b)
{
	struct x87_reg r = X87_INDEFINITE;

	x87_point(x, i, f);
	if (unlikely(!x87_valid(f, 0))) {
		if (!x87_stack_fault(f, false))
			return (X_DONE);
	} else if (!x87_compute(f, fn, kind, 0, &f->st[0], b, &r)) {
		return (X_DONE);
	}
	x87_set(f, 0, r);
	return (X_DONE);
}

#define	BINARY(name, kind)							\
static enum x86_status								\
name ## _st0(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (binary(x, i, host_ ## name, kind, 0, i->r[0], false));		\
}										\
static enum x86_status								\
name ## _sti(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (binary(x, i, host_ ## name, kind, i->r[0], 0, false));		\
}										\
static enum x86_status								\
name ## _pop(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (binary(x, i, host_ ## name, kind, i->r[0], 0, true));		\
}										\
static enum x86_status								\
name ## _m32(struct x86 *x, const struct x86_insn *i)				\
{										\
	struct x87 *f = x87_of(x);						\
	uint64_t v = 0;								\
										\
	X87_BEGIN(x, f);							\
	TRY(x86_load(x, i, 4, &v));						\
	return (binary_mem(x, i, f, host_ ## name ## 32, kind | X87_K_B32, &v));	\
}										\
static enum x86_status								\
name ## _m64(struct x86 *x, const struct x86_insn *i)				\
{										\
	struct x87 *f = x87_of(x);						\
	uint64_t v = 0;								\
										\
	X87_BEGIN(x, f);							\
	TRY(x86_load(x, i, 8, &v));						\
	return (binary_mem(x, i, f, host_ ## name ## 64, kind | X87_K_B64, &v));	\
}										\
static enum x86_status								\
name ## _i32(struct x86 *x, const struct x86_insn *i)				\
{										\
	struct x87 *f = x87_of(x);						\
	struct x87_reg b;							\
	uint64_t v = 0;								\
										\
	X87_BEGIN(x, f);							\
	TRY(x86_load(x, i, 4, &v));						\
	b = x87_from_int((int32_t)v);						\
	return (binary_mem(x, i, f, host_ ## name, kind, &b));			\
}										\
static enum x86_status								\
name ## _i16(struct x86 *x, const struct x86_insn *i)				\
{										\
	struct x87 *f = x87_of(x);						\
	struct x87_reg b;							\
	uint64_t v = 0;								\
										\
	X87_BEGIN(x, f);							\
	TRY(x86_load(x, i, 2, &v));						\
	b = x87_from_int((int16_t)v);						\
	return (binary_mem(x, i, f, host_ ## name, kind, &b));			\
}
BINARY(fadd, X87_K_ADD)
BINARY(fmul, X87_K_MUL)
BINARY(fsub, X87_K_SUB)
BINARY(fsubr, X87_K_SUBR)
BINARY(fdiv, X87_K_DIV)
BINARY(fdivr, X87_K_DIVR)

/* Of ST(0), or of ST(0) and ST(1) */

#define	UNARY(name)								\
X86_INLINE uint16_t								\
host_ ## name(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile("fldt %2; " #name "; fnstsw %1; fstpt %0"		\
	    : "=m" (X87_OUT(10, r)), "=a" (sw) : "m" (X87_IN(10, a)) : "st");		\
	return (sw);								\
}
UNARY(fsqrt)
UNARY(frndint)

X86_INLINE enum x86_status
unary(struct x86 *x, const struct x86_insn *i, x87_host *fn)
{
	struct x87 *f = x87_of(x);
	struct x87_reg r = X87_INDEFINITE;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (unlikely(!x87_valid(f, 0))) {
		if (!x87_stack_fault(f, false))
			return (X_DONE);
	} else if (!x87_compute(f, fn, X87_K_PLAIN, 0, &f->st[0], NULL, &r)) {
		return (X_DONE);
	}
	x87_set(f, 0, r);
	return (X_DONE);
}

static enum x86_status
fsqrt(struct x86 *x, const struct x86_insn *i)
{
	return (unary(x, i, host_fsqrt));
}

static enum x86_status
frndint(struct x86 *x, const struct x86_insn *i)
{
	return (unary(x, i, host_frndint));
}

/*
 * FSCALE and the remainders: ST(1) stays.  The comparison leaves the condition bits clear: the
 * host's old ones are not the guest's.
 */
#define	OF_TWO(name)								\
static uint16_t									\
host_ ## name(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile("fldz; fld1; fcompp; fldt %3; fldt %2; " #name "; "	\
	    "fnstsw %1; fstpt %0; fstp %%st" : "=m" (X87_OUT(10, r)), "=a" (sw) :	\
	    "m" (X87_IN(10, a)), "m" (X87_IN(10, b)) : "st", "st(1)");		\
	return (sw);								\
}
OF_TWO(fscale)
OF_TWO(fprem)
OF_TWO(fprem1)

static bool
is_nan(const struct x87_reg *r)
{
	return ((r->se & 0x7fff) == 0x7fff && r->m << 1 != 0);
}

static enum x86_status
of_two(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	struct x87_reg r = X87_INDEFINITE;
	uint16_t before = f->fsw;
	bool ok;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (unlikely(!x87_valid(f, 0) || !x87_valid(f, 1))) {
		ok = x87_stack_fault(f, false);
		if (i->arg != X87_FSCALE)
			x87_cc(f, X87_C2, 0);
	} else if (i->arg == X87_FSCALE) {
		ok = x87_compute(f, host_fscale, X87_K_SCALE, 0, &f->st[0], &f->st[1], &r);
	} else {
		ok = x87_compute(f, i->arg == X87_FPREM ? host_fprem : host_fprem1, X87_K_PREM,
		    X87_CC, &f->st[0], &f->st[1], &r);
		/* No quotient, no bits of it. */
		if (ok && is_nan(&r))
			x87_cc(f, X87_C0 | X87_C3, before);
	}
	if (ok)
		x87_set(f, 0, r);
	return (X_DONE);
}

/* Exponent into ST(1), significand on top of it. */
static uint16_t
host_fxtract(const struct x87_reg *a, const void *b, struct x87_reg *r)
{
	uint16_t sw;

	__asm__ volatile("fldt %3; fxtract; fnstsw %2; fstpt %1; fstpt %0"
	    : "=m" (X87_OUT(10, r)), "=m" (X87_OUT(10, r + 1)), "=a" (sw) : "m" (X87_IN(10, a))
	    : "st", "st(1)");
	return (sw);
}

static enum x86_status
fxtract(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	struct x87_reg r[2] = { X87_INDEFINITE, X87_INDEFINITE };
	bool ok;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (unlikely(!x87_valid(f, 0)))
		ok = x87_stack_fault(f, false);
	else if (unlikely(x87_valid(f, 7)))
		ok = x87_stack_fault(f, true);
	else
		ok = x87_compute(f, host_fxtract, X87_K_PLAIN, 0, &f->st[0], NULL, r);
	if (ok) {
		x87_set(f, 0, r[0]);
		x87_push(f, r[1]);
	}
	return (X_DONE);
}

/* Signs of anything, NaNs included: nothing is invalid (SDM vol. 2 FABS, FCHS). */
static enum x86_status
sign(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	struct x87_reg r;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (unlikely(!x87_valid(f, 0))) {
		if (x87_stack_fault(f, false))
			x87_set(f, 0, X87_INDEFINITE);
		return (X_DONE);
	}
	x87_cc(f, X87_C1, 0);
	r = f->st[0];
	r.se = i->arg == X87_FABS ? r.se & 0x7fff : r.se ^ 0x8000;
	x87_set(f, 0, r);
	return (X_DONE);
}

/* Decoding */

#define	FORMS(name)	{ name ## _st0, name ## _sti, name ## _pop, name ## _m32, name ## _m64,	\
			    name ## _i32, name ## _i16 }

/* The first byte says what the operands are (SDM vol. 2 appendix B.17). */
static x86_op *
form(unsigned arg, const struct x86_decoded *d)
{
	static x86_op *const ops[][7] = {
		[X87_FADD] = FORMS(fadd), [X87_FMUL] = FORMS(fmul), [X87_FSUB] = FORMS(fsub),
		[X87_FSUBR] = FORMS(fsubr), [X87_FDIV] = FORMS(fdiv), [X87_FDIVR] = FORMS(fdivr),
	};
	/* by the low bits of the first byte: with a register, with memory */
	static const uint8_t reg[8] = { [0] = 0, [4] = 1, [6] = 2 };
	static const uint8_t mem[8] = { [0] = 3, [2] = 5, [4] = 4, [6] = 6 };
	unsigned low = d->z->opcode & 7;

	return (ops[arg][d->z->raw.modrm.mod == 3 ? reg[low] : mem[low]]);
}

bool
x87_bind_arith(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	x87_bind(i, d);
	switch (arg) {
	case X87_FSQRT:
		i->fn = fsqrt;
		break;
	case X87_FRNDINT:
		i->fn = frndint;
		break;
	case X87_FXTRACT:
		i->fn = fxtract;
		break;
	case X87_FABS:
	case X87_FCHS:
		i->fn = sign;
		break;
	case X87_FSCALE:
	case X87_FPREM:
	case X87_FPREM1:
		i->fn = of_two;
		break;
	default:
		i->fn = form(arg, d);
		break;
	}
	return (true);
}
