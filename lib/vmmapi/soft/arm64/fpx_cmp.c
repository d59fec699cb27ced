/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fpx_cmp.c - Arm's floating point by integers: comparison, maximum and minimum, estimates.
 *
 * Functions are the Arm ARM's of the same names (J1.3, shared/functions/float).
 */
#include "fpx_num.h"
#include "../../arm64/arm64.h"

enum order { ORD_LT, ORD_EQ, ORD_GT, ORD_UNORDERED };

static enum order
compare(const struct fpx_num *n, const struct fpx_num *m)
{
	enum order more = n->sign ? ORD_LT : ORD_GT, less = n->sign ? ORD_GT : ORD_LT;

	if (fpx_isnan(n) || fpx_isnan(m))
		return (ORD_UNORDERED);
	if (n->cls == FPC_ZERO)
		return (m->cls == FPC_ZERO ? ORD_EQ : m->sign ? ORD_GT : ORD_LT);
	if (m->cls == FPC_ZERO || n->sign != m->sign)
		return (more);
	if (n->cls != m->cls)
		return (n->cls == FPC_INF ? more : less);
	if (n->cls == FPC_INF)
		return (ORD_EQ);
	if (n->exp != m->exp)
		return (n->exp > m->exp ? more : less);
	return (n->frac == m->frac ? ORD_EQ : n->frac > m->frac ? more : less);
}

static enum order
order(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b, bool signal)
{
	struct fpx_num n = fpx_unpack(x, sz, a), m = fpx_unpack(x, sz, b);
	enum order o = compare(&n, &m);

	if (o == ORD_UNORDERED && (signal || n.cls == FPC_SNAN || m.cls == FPC_SNAN))
		x->fpsr |= FPSR_IOC;
	return (o);
}

uint32_t
fpx_compare(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b, bool signal)
{
	static const uint32_t nzcv[] = {
		[ORD_LT] = PSTATE_N,
		[ORD_EQ] = PSTATE_Z | PSTATE_C,
		[ORD_GT] = PSTATE_C,
		[ORD_UNORDERED] = PSTATE_C | PSTATE_V,
	};

	return (nzcv[order(x, sz, a, b, signal)]);
}

static uint64_t
mask(enum fpx_size sz, bool set)
{
	return (set ? (fpx_sign(sz) << 1) - 1 : 0);
}

uint64_t
fpx_cmeq(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (mask(sz, order(x, sz, a, b, false) == ORD_EQ));
}

uint64_t
fpx_cmge(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	enum order o = order(x, sz, a, b, true);

	return (mask(sz, o == ORD_GT || o == ORD_EQ));
}

uint64_t
fpx_cmgt(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (mask(sz, order(x, sz, a, b, true) == ORD_GT));
}

uint64_t
fpx_acge(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (fpx_cmge(x, sz, a & ~fpx_sign(sz), b & ~fpx_sign(sz)));
}

uint64_t
fpx_acgt(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (fpx_cmgt(x, sz, a & ~fpx_sign(sz), b & ~fpx_sign(sz)));
}

uint64_t
fpx_abs(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	return (a & (fpx_sign(sz) - 1));
}

uint64_t
fpx_neg(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	return ((a & ((fpx_sign(sz) << 1) - 1)) ^ fpx_sign(sz));
}

/* FPMax and FPMin: of two zeros the one with the sign that is the larger, or smaller */
static uint64_t
extreme(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b, bool max)
{
	struct fpx_num n = fpx_unpack(x, sz, a), m = fpx_unpack(x, sz, b), *p;
	uint64_t r;

	if (fpx_nans(x, sz, &n, a, &m, b, &r))
		return (r);
	p = compare(&n, &m) == (max ? ORD_GT : ORD_LT) ? &n : &m;
	if (p->cls == FPC_ZERO)
		return (fpx_zero(sz, max ? n.sign && m.sign : n.sign || m.sign));
	return (p == &n ? a : b);
}

uint64_t
fpx_max(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (extreme(x, sz, a, b, true));
}

uint64_t
fpx_min(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (extreme(x, sz, a, b, false));
}

/* FPMaxNum and FPMinNum: a number wins over a quiet NaN */
static uint64_t
extreme_num(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b, bool max)
{
	struct fpx_num n = fpx_unpack(x, sz, a), m = fpx_unpack(x, sz, b);

	if (n.cls == FPC_QNAN && m.cls != FPC_QNAN)
		a = fpx_inf(sz, max);
	else if (n.cls != FPC_QNAN && m.cls == FPC_QNAN)
		b = fpx_inf(sz, max);
	return (extreme(x, sz, a, b, max));
}

uint64_t
fpx_maxnm(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (extreme_num(x, sz, a, b, true));
}

uint64_t
fpx_minnm(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (extreme_num(x, sz, a, b, false));
}

/* RecipEstimate: of a number in [256, 512), which stands for [0.5, 1), one in the same range, for [1, 2) */
static unsigned
recip_estimate(unsigned a)
{
	return (((1U << 19) / (a * 2 + 1) + 1) / 2);
}

/* RecipSqrtEstimate: a in [128, 512) stands for [0.25, 1) */
static unsigned
rsqrt_estimate(unsigned a)
{
	unsigned b = 512;

	a = a < 256 ? a * 2 + 1 : ((a >> 1 << 1) + 1) * 2;
	while (a * (b + 1) * (b + 1) < 1U << 28)
		b++;
	return ((b + 1) / 2);
}

/* The exponent as encoded, down to below zero for denormal numbers, and the fraction as bits 51:0. */
static int
estimate_operand(enum fpx_size sz, const struct fpx_num *n, uint64_t *frac)
{
	*frac = n->frac >> 11 & fpx_ones(52);
	return (n->exp + (1 << (fpx_formats[sz].ebits - 1)) - 1);
}

/* FPRecipEstimate */
uint64_t
fpx_recpe(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	struct fpx_num n = fpx_unpack(x, sz, a);
	const struct fpx_format *f = &fpx_formats[sz];
	int bias = (1 << (f->ebits - 1)) - 1, exp;
	enum fpx_round mode = fpx_mode(x);
	uint64_t frac;

	if (fpx_isnan(&n))
		return (fpx_nan(x, sz, a));
	if (n.cls == FPC_INF)
		return (fpx_zero(sz, n.sign));
	if (n.cls == FPC_ZERO) {
		x->fpsr |= FPSR_DZC;
		return (fpx_inf(sz, n.sign));
	}
	if (n.exp < -bias - 1) {
		x->fpsr |= FPSR_OFC | FPSR_IXC;
		return (mode == FPX_TIEEVEN || mode == (n.sign ? FPX_NEGINF : FPX_POSINF) ? fpx_inf(sz, n.sign) :
		    fpx_maxnormal(sz, n.sign));
	}
	if (x->fpcr & FPCR_FZ && n.exp >= bias - 1) {
		x->fpsr |= FPSR_UFC;
		return (fpx_zero(sz, n.sign));
	}
	exp = 2 * bias - 1 - estimate_operand(sz, &n, &frac);
	frac = (uint64_t)(recip_estimate(256U | (unsigned)(frac >> 44)) & 0xff) << 44;
	if (exp == 0) {
		frac = (1ULL << 52 | frac) >> 1;
	} else if (exp == -1) {
		frac = (1ULL << 52 | frac) >> 2;
		exp = 0;
	}
	return (fpx_zero(sz, n.sign) | (uint64_t)exp << f->fbits | frac >> (52 - f->fbits));
}

/* FPRSqrtEstimate */
uint64_t
fpx_rsqrte(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	struct fpx_num n = fpx_unpack(x, sz, a);
	const struct fpx_format *f = &fpx_formats[sz];
	int bias = (1 << (f->ebits - 1)) - 1, exp;
	uint64_t frac;
	unsigned scaled;

	if (fpx_isnan(&n))
		return (fpx_nan(x, sz, a));
	if (n.cls == FPC_ZERO) {
		x->fpsr |= FPSR_DZC;
		return (fpx_inf(sz, n.sign));
	}
	if (n.sign)
		return (fpx_invalid(x, sz));
	if (n.cls == FPC_INF)
		return (fpx_zero(sz, false));
	exp = estimate_operand(sz, &n, &frac);
	scaled = exp & 1 ? 128U | (unsigned)(frac >> 45) : 256U | (unsigned)(frac >> 44);
	/* the quotient is never negative: bias * 3 is larger than any exponent */
	exp = (3 * bias - 1 - exp) / 2;
	frac = (uint64_t)(rsqrt_estimate(scaled) & 0xff) << 44;
	return ((uint64_t)exp << f->fbits | frac >> (52 - f->fbits));
}

/* FPRecpX */
uint64_t
fpx_recpx(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	struct fpx_num n = fpx_unpack(x, sz, a);
	const struct fpx_format *f = &fpx_formats[sz];
	uint64_t exp = a >> f->fbits & fpx_ones(f->ebits);

	if (fpx_isnan(&n))
		return (fpx_nan(x, sz, a));
	exp = exp == 0 ? fpx_ones(f->ebits) - 1 : ~exp & fpx_ones(f->ebits);
	return (fpx_zero(sz, n.sign) | exp << f->fbits);
}

uint32_t
fpx_urecpe(uint32_t a)
{
	return ((a & 0x80000000U) == 0 ? ~0U : recip_estimate(a >> 23) << 23);
}

uint32_t
fpx_ursqrte(uint32_t a)
{
	return ((a & 0xc0000000U) == 0 ? ~0U : rsqrt_estimate(a >> 23) << 23);
}
