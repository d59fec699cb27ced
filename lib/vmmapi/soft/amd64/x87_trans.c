/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * x87_trans.c - x87 transcendental functions (SDM vol. 1 8.3.7, 8.3.8, 8.3.9).
 *
 * They are the host's to the last bit: processors differ there within the accuracy that the manual
 * promises.
 */
#include "x87.h"

/* Of ST(0), in its place */
#define	OF_ONE(name)								\
static uint16_t									\
host_ ## name(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile("fldt %2; " #name "; fnstsw %1; fstpt %0"		\
	    : "=m" (X87_OUT(10, r)), "=a" (sw) : "m" (X87_IN(10, a)) : "st", "st(1)", "st(2)");	\
	return (sw);								\
}
OF_ONE(f2xm1)
OF_ONE(fsin)
OF_ONE(fcos)

/* Of ST(0) and ST(1), in the place of ST(1), which becomes the top */
#define	OF_TWO(name)								\
static uint16_t									\
host_ ## name(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile("fldt %3; fldt %2; " #name "; fnstsw %1; fstpt %0"	\
	    : "=m" (X87_OUT(10, r)), "=a" (sw) : "m" (X87_IN(10, a)), "m" (X87_IN(10, b))	\
	    : "st", "st(1)", "st(2)");						\
	return (sw);								\
}
OF_TWO(fyl2x)
OF_TWO(fyl2xp1)
OF_TWO(fpatan)

/* Of ST(0), in its place and on top of that; only in its place if C2 says that it is too large */
#define	TWO_OF_ONE(name)							\
static uint16_t									\
host_ ## name(const struct x87_reg *a, const void *b, struct x87_reg *r)	\
{										\
	uint16_t sw;								\
										\
	__asm__ volatile("fldt %3; " #name "; fnstsw %2; test $0x400, %2; jnz 1f; "	\
	    "fstpt %1; 1: fstpt %0" : "=m" (X87_OUT(10, r)),			\
	    "=m" (X87_OUT(10, r + 1)), "=a" (sw) : "m" (X87_IN(10, a))		\
	    : "cc", "st", "st(1)", "st(2)");					\
	return (sw);								\
}
TWO_OF_ONE(fptan)
TWO_OF_ONE(fsincos)

static enum x86_status
of_one(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	struct x87_reg r = X87_INDEFINITE;
	bool ok;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (!x87_valid(f, 0)) {
		ok = x87_stack_fault(f, false);
		if (i->arg != X87_F2XM1)
			x87_cc(f, X87_C2, 0);
	} else if (i->arg == X87_F2XM1) {
		ok = x87_compute(f, host_f2xm1, X87_K_LINEAR, 0, &f->st[0], NULL, &r);
	} else {
		ok = x87_compute(f, i->arg == X87_FSIN ? host_fsin : host_fcos, X87_K_LINEAR,
		    X87_C2, &f->st[0], NULL, &r);
	}
	if (ok)
		x87_set(f, 0, r);
	return (X_DONE);
}

static enum x86_status
of_two(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	struct x87_reg r = X87_INDEFINITE, *a = &f->st[0], *b = &f->st[1];
	bool ok;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (!x87_valid(f, 0) || !x87_valid(f, 1))
		ok = x87_stack_fault(f, false);
	else if (i->arg == X87_FYL2X)
		ok = x87_compute(f, host_fyl2x, X87_K_YL2X, 0, a, b, &r);
	else if (i->arg == X87_FYL2XP1)
		ok = x87_compute(f, host_fyl2xp1, X87_K_YL2XP1, 0, a, b, &r);
	else
		ok = x87_compute(f, host_fpatan, X87_K_ATAN, 0, a, b, &r);
	if (ok) {
		x87_set(f, 1, r);
		x87_pop(f);
	}
	return (X_DONE);
}

static enum x86_status
two_of_one(struct x86 *x, const struct x86_insn *i)
{
	struct x87 *f = x87_of(x);
	struct x87_reg r[2] = { X87_INDEFINITE, X87_INDEFINITE };
	bool ok;

	X87_BEGIN(x, f);
	x87_point(x, i, f);
	if (!x87_valid(f, 0)) {
		ok = x87_stack_fault(f, false);
		x87_cc(f, X87_C2, 0);
	} else if (x87_valid(f, 7)) {
		ok = x87_stack_fault(f, true);
		x87_cc(f, X87_C2, 0);
	} else {
		ok = x87_compute(f, i->arg == X87_FPTAN ? host_fptan : host_fsincos, X87_K_LINEAR,
		    X87_C2, &f->st[0], NULL, r);
	}
	if (!ok)
		return (X_DONE);
	x87_set(f, 0, r[0]);
	if ((f->fsw & X87_C2) == 0)
		x87_push(f, r[1]);
	return (X_DONE);
}

bool
x87_bind_trans(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	static x86_op *const ops[] = {
		[X87_F2XM1] = of_one, [X87_FYL2X] = of_two, [X87_FYL2XP1] = of_two,
		[X87_FPTAN] = two_of_one, [X87_FPATAN] = of_two, [X87_FSIN] = of_one,
		[X87_FCOS] = of_one, [X87_FSINCOS] = two_of_one,
	};

	x87_bind(i, d);
	i->fn = ops[arg];
	return (true);
}
