/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sse_mxcsr.c - unmasked floating-point exceptions of SSE instructions (SDM vol. 1 11.5).
 *
 * The instruction was executed with all exceptions masked.  That tells the flags of the exceptions
 * found before the computation.  Behind it an unmasked exception differs from a masked one in two
 * ways (SDM vol. 1 4.9.1.4, 4.9.1.5): underflow is signalled for every tiny result, also an exact one;
 * and what the result is compared with to be inexact is one with unbounded exponent.  The first
 * shows under flush-to-zero; the second is what the x87 unit computes with its precision set to that of
 * the result, as its exponent is wide enough.
 */
#include "sse_mxcsr.h"

void
x86_fp_sync(struct x86 *x)
{
	uint32_t host;

	__asm__ volatile("stmxcsr %0" : "=m" (host));
	if ((host & MX_FLAGS) == 0)
		return;
	*mxcsr(x) |= host & MX_FLAGS;
	__asm__ volatile("ldmxcsr %0" : : "m" (mx_init));
}

FP_RUN(addss, "addss %[s], %[d]")
FP_RUN(addsd, "addsd %[s], %[d]")
FP_RUN(subss, "subss %[s], %[d]")
FP_RUN(subsd, "subsd %[s], %[d]")
FP_RUN(mulss, "mulss %[s], %[d]")
FP_RUN(mulsd, "mulsd %[s], %[d]")
FP_RUN(divss, "divss %[s], %[d]")
FP_RUN(divsd, "divsd %[s], %[d]")
FP_RUN(cvtsd2ss, "cvtsd2ss %[s], %[d]")

/* By enum fp_op and the width of the result. */
static fp_run *const scalar[][2] = {
	[FP_ADD] = { addss_run, addsd_run },
	[FP_SUB] = { subss_run, subsd_run },
	[FP_MUL] = { mulss_run, mulsd_run },
	[FP_DIV] = { divss_run, divsd_run },
	[FP_NARROW] = { cvtsd2ss_run, NULL },
};

/* An operand or result of one step. */
struct fp_num {
	uint8_t		 width;
	uint64_t	 bits;
};

static struct fp_num
elem(vec v, unsigned width, unsigned n)
{
	union vec_elems e = { .v = v };

	return ((struct fp_num) { (uint8_t)width, width == 4 ? e.d[n] : e.q[n] });
}

static long double
number(struct fp_num v)
{
	uint32_t w = (uint32_t)v.bits;
	double d;
	float f;

	if (v.width == 4) {
		memcpy(&f, &w, sizeof(f));
		return (f);
	}
	memcpy(&d, &v.bits, sizeof(d));
	return (d);
}

/*
 * Is a op b, which overflows or is tiny, inexact, rounded to the precision of `width' without limits
 * of the exponent?  (Denormals that are taken for zeros do not come here: with a zero nothing
 * overflows or is tiny.)  The environment of the host's x87 unit is as before.
 */
static bool
inexact(uint32_t mx, enum fp_op op, unsigned width, struct fp_num a, struct fp_num b)
{
	long double p = number(a), q = op == FP_NARROW ? 1.0L : number(b), r;
	uint16_t cw = (uint16_t)(0x7f | (width == 4 ? 0 : 0x200) | (mx & MX_RC) >> MX_RC_SHIFT << 10);
	uint16_t sw;
	uint8_t env[28];

#define	STEP(insn)								\
	__asm__ volatile("fnstenv %[env]\n\tfnclex\n\tfldcw %[cw]\n\t" insn " %%st(1), %%st\n\t"	\
	    "fnstsw %[sw]\n\tfldenv %[env]" : "=t" (r), [sw] "=a" (sw), [env] "=m" (env)	\
	    : "0" (p), "u" (q), [cw] "m" (cw))
	switch (op) {
	case FP_ADD:
		STEP("fadd");
		break;
	case FP_SUB:
		STEP("fsub");
		break;
	case FP_DIV:
		STEP("fdiv");
		break;
	default:
		STEP("fmul");
		break;
	}
#undef STEP
	(void)r;
	return ((sw & MX_PE) != 0);
}

/* The flags of one operation; um: exceptions that are unmasked. */
static uint32_t
step(uint32_t mx, uint32_t um, enum fp_op op, unsigned width, struct fp_num a, struct fp_num b)
{
	fp_run *run = scalar[op][width == 8];
	vec d = vec_low(a.bits), s = vec_low(op == FP_NARROW ? a.bits : b.bits), t = d;
	uint32_t flags = run(mx, &t, s) & MX_FLAGS;

	if ((um & MX_UE) != 0) {
		t = d;
		flags |= run(mx | MX_FTZ, &t, s) & MX_UE;
	}
	if ((flags & um & (MX_OE | MX_UE)) != 0) {
		flags &= ~MX_PE;
		if (inexact(mx, op, width, a, b))
			flags |= MX_PE;
	}
	return (flags);
}

/* The flags of all operations of an instruction. */
static uint32_t
steps(uint32_t mx, uint32_t um, const struct fp_shape *shape, vec d, vec s)
{
	unsigned n = shape->n, w = shape->width;
	uint32_t flags = 0;

	for (unsigned k = 0; k < n; k++) {
		enum fp_op op = (enum fp_op)shape->op;
		struct fp_num a, b;

		switch (op) {
		case FP_NARROW:
			a = b = elem(s, 8, k);
			break;
		case FP_HADD:
		case FP_HSUB:
			a = elem(k < n / 2 ? d : s, w, 2 * (k % (n / 2)));
			b = elem(k < n / 2 ? d : s, w, 2 * (k % (n / 2)) + 1);
			op = op == FP_HADD ? FP_ADD : FP_SUB;
			break;
		default:
			a = elem(d, w, k);
			b = elem(s, w, k);
			if (op == FP_ADDSUB)
				op = k % 2 == 0 ? FP_SUB : FP_ADD;
			break;
		}
		flags |= step(mx, um, op, w, a, b);
	}
	return (flags);
}

/* The MXCSR to execute under: all masked.  Flush-to-zero has no effect on unmasked underflow. */
static uint32_t
masked(uint32_t mx, uint32_t *um)
{
	*um = ~(mx >> 7) & MX_FLAGS;
	mx = (mx & ~MX_FLAGS) | MX_MASKS;
	return ((*um & MX_UE) != 0 ? mx & ~MX_FTZ : mx);
}

/*
 * An unmasked exception found before the computation, by whichever element, means that there is no
 * computation (SDM vol. 1 11.5.3).
 */
enum x86_status
fp_finish(struct x86 *x, uint32_t flags)
{
	uint32_t *mx = mxcsr(x), um = ~(*mx >> 7) & MX_FLAGS;

	if ((flags & um & MX_PRE) != 0)
		flags &= MX_PRE;
	*mx |= flags;
	if ((flags & um) == 0)
		return (X_DONE);
	return (x86_fault(x, (x->s->cr4 & CR4_OSXMMEXCPT) != 0 ? EXC_XM : EXC_UD));
}

static enum x86_status
unmasked(struct x86 *x, vec *d, vec s, fp_run *run, const struct fp_shape *shape)
{
	uint32_t um, mx = masked(*mxcsr(x), &um), flags;
	vec r = *d;

	flags = run(mx, &r, s) & MX_FLAGS;
	if (shape->op != FP_PLAIN && (um & (MX_OE | MX_UE)) != 0)
		flags = steps(mx, um, shape, *d, s);
	TRY(fp_finish(x, flags));
	*d = r;
	return (X_DONE);
}

enum x86_status
fp_slow(struct x86 *x, vec *d, vec s, fp_run *run, const struct fp_shape *shape)
{
	uint32_t *mx = mxcsr(x);

	if ((*mx & MX_MASKS) != MX_MASKS)
		return (unmasked(x, d, s, run, shape));
	*mx = run(*mx, d, s);
	return (X_DONE);
}

/*
 * The products, the sums of two of them, the sum of those: exceptions are those of each step, and an
 * unmasked one ends it (SDM vol. 2, DPPS).
 */
enum x86_status
fp_dot(struct x86 *x, vec d, vec s, unsigned width)
{
	static const struct fp_shape ps = { FP_MUL, 4, 4 }, pd = { FP_MUL, 8, 2 };
	static const struct fp_shape add2 = { FP_ADD, 4, 2 }, add = { FP_ADD, 4, 1 }, addd = { FP_ADD, 8, 1 };
	uint32_t um, mx = masked(*mxcsr(x), &um);
	union vec_elems t, a = { .q = { 0, 0 } }, b = { .q = { 0, 0 } };

	t.v = d;
	for (unsigned k = 0; k < 16 / width; k++) {
		vec p = vec_low(elem(d, width, k).bits);

		scalar[FP_MUL][width == 8](mx, &p, vec_low(elem(s, width, k).bits));
		if (width == 4)
			t.d[k] = elem(p, 4, 0).bits & UINT32_MAX;
		else
			t.q[k] = elem(p, 8, 0).bits;
	}
	TRY(fp_finish(x, steps(mx, um, width == 4 ? &ps : &pd, d, s)));
	if (width == 8) {
		a.q[0] = t.q[0];
		b.q[0] = t.q[1];
		return (fp_finish(x, steps(mx, um, &addd, a.v, b.v)));
	}
	a.d[0] = t.d[0];
	b.d[0] = t.d[1];
	a.d[1] = t.d[2];
	b.d[1] = t.d[3];
	TRY(fp_finish(x, steps(mx, um, &add2, a.v, b.v)));
	for (unsigned k = 0; k < 2; k++) {
		vec p = vec_low(a.d[k]);

		addss_run(mx, &p, vec_low(b.d[k]));
		t.d[k] = elem(p, 4, 0).bits & UINT32_MAX;
	}
	a.d[0] = t.d[0];
	b.d[0] = t.d[1];
	return (fp_finish(x, steps(mx, um, &add, a.v, b.v)));
}
