/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fpx.c - Arm's floating point by integers: numbers taken apart and put together, and arithmetic.
 *
 * Functions are the Arm ARM's of the same names (J1.3, shared/functions/float).  The pseudocode calculates with real numbers; here a number
 * has 64 bits (sums and products 128) and its last one is set if anything non-zero was dropped below it, which rounds the same.
 */
#include "fpx_num.h"

struct fpx_num
fpx_unpack(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	const struct fpx_format *f = &fpx_formats[sz];
	unsigned exp = (unsigned)(a >> f->fbits & fpx_ones(f->ebits));
	uint64_t frac = a & fpx_ones(f->fbits);
	struct fpx_num n = { .cls = FPC_FINITE, .sign = (a & fpx_sign(sz)) != 0 };
	int bias = (1 << (f->ebits - 1)) - 1;

	if (exp == fpx_ones(f->ebits) && !(sz == FPX_H && x->fpcr & FPCR_AHP)) {
		n.cls = frac == 0 ? FPC_INF : frac >> (f->fbits - 1) != 0 ? FPC_QNAN : FPC_SNAN;
	} else if (exp != 0) {
		n.exp = (int)exp - bias;
		n.frac = 1ULL << 63 | frac << (63 - f->fbits);
	} else if (frac == 0) {
		n.cls = FPC_ZERO;
	} else if (sz != FPX_H && x->fpcr & FPCR_FZ) {
		n.cls = FPC_ZERO;
		x->fpsr |= FPSR_IDC;
	} else {
		unsigned up = (unsigned)__builtin_clzll(frac);

		n.exp = 1 - bias + 63 - (int)f->fbits - (int)up;
		n.frac = frac << up;
	}
	return (n);
}

static uint64_t
overflowed(struct fpx *x, enum fpx_size sz, bool to_inf, bool sign)
{
	if (sz == FPX_H && x->fpcr & FPCR_AHP) {
		x->fpsr |= FPSR_IOC;
		return (fpx_zero(sz, sign) | fpx_ones(15));
	}
	x->fpsr |= FPSR_OFC | FPSR_IXC;
	return (to_inf ? fpx_inf(sz, sign) : fpx_maxnormal(sz, sign));
}

uint64_t
fpx_round(struct fpx *x, enum fpx_size sz, enum fpx_round mode, bool sign, int exp, uint64_t frac)
{
	const struct fpx_format *f = &fpx_formats[sz];
	int bias = (1 << (f->ebits - 1)) - 1, over = exp + bias - 1, drop = 63 - (int)f->fbits;
	bool alternative = sz == FPX_H && x->fpcr & FPCR_AHP, up = false;
	int top = (1 << f->ebits) - (alternative ? 1 : 2);	/* number of normal exponents */
	bool to_inf = mode == FPX_TIEEVEN || mode == FPX_TIEAWAY || mode == (sign ? FPX_NEGINF : FPX_POSINF);
	uint64_t rest, r;

	if (over < 0 && sz != FPX_H && x->fpcr & FPCR_FZ) {
		x->fpsr |= FPSR_UFC;
		return (fpx_zero(sz, sign));
	}
	if (over >= top)
		return (overflowed(x, sz, to_inf, sign));
	if (over < 0)
		drop -= over;
	/* rest: what is dropped, as a fraction of 2^64 */
	r = drop < 64 ? frac >> drop : 0;
	rest = drop < 64 ? frac << (64 - drop) : drop == 64 ? frac : 1;
	if (rest != 0 && over < 0)
		x->fpsr |= FPSR_UFC;		/* tiny before rounding */
	switch (mode) {
	case FPX_TIEEVEN:
		up = rest > 1ULL << 63 || (rest == 1ULL << 63 && r & 1);
		break;
	case FPX_TIEAWAY:
		up = rest >= 1ULL << 63;
		break;
	case FPX_POSINF:
	case FPX_NEGINF:
		up = rest != 0 && to_inf;
		break;
	case FPX_ODD:
		r |= rest != 0;
		break;
	case FPX_ZERO:
		break;
	}
	/* The leading bit adds one to the exponent, and so does a carry. */
	r += up;
	if (over > 0)
		r += (uint64_t)over << f->fbits;
	if (r >> f->fbits >= (uint64_t)top + 1)
		return (overflowed(x, sz, to_inf, sign));
	if (rest != 0)
		x->fpsr |= FPSR_IXC;
	return (fpx_zero(sz, sign) | r);
}

uint64_t
fpx_nan(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	uint64_t quiet = 1ULL << (fpx_formats[sz].fbits - 1);

	if ((a & quiet) == 0)
		x->fpsr |= FPSR_IOC;
	return (x->fpcr & FPCR_DN ? fpx_default_nan(sz) : (a & ((fpx_sign(sz) << 1) - 1)) | quiet);
}

bool
fpx_nans(struct fpx *x, enum fpx_size sz, const struct fpx_num *n, uint64_t a, const struct fpx_num *m, uint64_t b, uint64_t *r)
{
	if (!fpx_isnan(n) && !fpx_isnan(m))
		return (false);
	if (n->cls == FPC_SNAN || (m->cls != FPC_SNAN && n->cls == FPC_QNAN))
		*r = fpx_nan(x, sz, a);
	else
		*r = fpx_nan(x, sz, b);
	return (true);
}

static fpx_u128
shift_sticky(fpx_u128 v, int by)
{
	if (by == 0)
		return (v);
	if (by > 127)
		return (v != 0);
	return (v >> by | ((v & (((fpx_u128)1 << by) - 1)) != 0));
}

/* v * 2^(exp - 125), rounded; v is not zero. */
static uint64_t
round128(struct fpx *x, enum fpx_size sz, bool sign, int exp, fpx_u128 v)
{
	uint64_t hi = (uint64_t)(v >> 64);
	int up = hi != 0 ? __builtin_clzll(hi) : 64 + __builtin_clzll((uint64_t)v);

	v <<= up;
	return (fpx_round(x, sz, fpx_mode(x), sign, exp + 2 - up, (uint64_t)(v >> 64) | ((uint64_t)v != 0)));
}

/* Finite, or zero (frac 0): frac * 2^(exp - 125), frac below 2^126. */
struct wide {
	bool		sign;
	int		exp;
	fpx_u128	frac;
};

/* (p + q) * 2^scale */
static uint64_t
sum(struct fpx *x, enum fpx_size sz, struct wide p, struct wide q, int scale)
{
	fpx_u128 r;

	if (p.frac == 0 || (q.frac != 0 && p.exp < q.exp)) {
		struct wide t = p;

		p = q;
		q = t;
	}
	if (p.frac == 0)
		return (fpx_sum_zero(x, sz));
	if (q.frac != 0)
		q.frac = shift_sticky(q.frac, p.exp - q.exp);
	if (p.sign == q.sign) {
		r = p.frac + q.frac;
	} else if (p.frac >= q.frac) {
		r = p.frac - q.frac;
	} else {
		r = q.frac - p.frac;
		p.sign = q.sign;
	}
	return (r == 0 ? fpx_sum_zero(x, sz) : round128(x, sz, p.sign, p.exp + scale, r));
}

static struct wide
widen(const struct fpx_num *n)
{
	return ((struct wide){ n->sign, n->exp, (fpx_u128)n->frac << 62 });
}

/* The product exactly: fractions have 53 bits at most, so that the bits shifted out are zero. */
static struct wide
product(const struct fpx_num *n, const struct fpx_num *m)
{
	struct wide w = { n->sign != m->sign, n->exp + m->exp + 1, (fpx_u128)n->frac * m->frac >> 2 };

	if (n->cls == FPC_ZERO || m->cls == FPC_ZERO)
		w.frac = 0;
	else if (w.frac >> 125 == 0) {
		w.frac <<= 1;
		w.exp--;
	}
	return (w);
}

static uint64_t
add(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b, bool sub)
{
	struct fpx_num n = fpx_unpack(x, sz, a), m = fpx_unpack(x, sz, b);
	uint64_t r;

	if (fpx_nans(x, sz, &n, a, &m, b, &r))
		return (r);
	m.sign ^= sub;
	if (n.cls == FPC_INF && m.cls == FPC_INF && n.sign != m.sign)
		return (fpx_invalid(x, sz));
	if (n.cls == FPC_INF || m.cls == FPC_INF)
		return (fpx_inf(sz, n.cls == FPC_INF ? n.sign : m.sign));
	if (n.cls == FPC_ZERO && m.cls == FPC_ZERO && n.sign == m.sign)
		return (fpx_zero(sz, n.sign));
	return (sum(x, sz, widen(&n), widen(&m), 0));
}

uint64_t
fpx_add(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (add(x, sz, a, b, false));
}

uint64_t
fpx_sub(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (add(x, sz, a, b, true));
}

/* FABD (C7.2.45) */
uint64_t
fpx_abd(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (add(x, sz, a, b, true) & ~fpx_sign(sz));
}

static bool
inf_times_zero(const struct fpx_num *n, const struct fpx_num *m)
{
	return ((n->cls == FPC_INF && m->cls == FPC_ZERO) || (n->cls == FPC_ZERO && m->cls == FPC_INF));
}

/* Neither is a NaN, and they are not infinity and zero. */
static uint64_t
multiply(struct fpx *x, enum fpx_size sz, const struct fpx_num *n, const struct fpx_num *m)
{
	bool sign = n->sign != m->sign;
	struct wide w;

	if (n->cls == FPC_INF || m->cls == FPC_INF)
		return (fpx_inf(sz, sign));
	if (n->cls == FPC_ZERO || m->cls == FPC_ZERO)
		return (fpx_zero(sz, sign));
	w = product(n, m);
	return (round128(x, sz, sign, w.exp, w.frac));
}

uint64_t
fpx_mul(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	struct fpx_num n = fpx_unpack(x, sz, a), m = fpx_unpack(x, sz, b);
	uint64_t r;

	if (fpx_nans(x, sz, &n, a, &m, b, &r))
		return (r);
	return (inf_times_zero(&n, &m) ? fpx_invalid(x, sz) : multiply(x, sz, &n, &m));
}

/* FNMUL (C7.2.136): NaNs change their sign as well */
uint64_t
fpx_nmul(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (fpx_mul(x, sz, a, b) ^ fpx_sign(sz));
}

/* 2^exp, or one and a half of it */
static uint64_t
constant(enum fpx_size sz, bool sign, int exp, unsigned half)
{
	const struct fpx_format *f = &fpx_formats[sz];

	return (fpx_zero(sz, sign) | (uint64_t)(exp + (1 << (f->ebits - 1)) - 1) << f->fbits | (uint64_t)half << (f->fbits - 1));
}

uint64_t
fpx_mulx(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	struct fpx_num n = fpx_unpack(x, sz, a), m = fpx_unpack(x, sz, b);
	uint64_t r;

	if (fpx_nans(x, sz, &n, a, &m, b, &r))
		return (r);
	return (inf_times_zero(&n, &m) ? constant(sz, n.sign != m.sign, 1, 0) : multiply(x, sz, &n, &m));
}

uint64_t
fpx_div(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	struct fpx_num n = fpx_unpack(x, sz, a), m = fpx_unpack(x, sz, b);
	bool sign = n.sign != m.sign;
	fpx_u128 num;
	uint64_t q, r;

	if (fpx_nans(x, sz, &n, a, &m, b, &r))
		return (r);
	if (n.cls == m.cls && n.cls != FPC_FINITE)
		return (fpx_invalid(x, sz));
	if (n.cls == FPC_INF || m.cls == FPC_ZERO) {
		if (n.cls != FPC_INF)
			x->fpsr |= FPSR_DZC;
		return (fpx_inf(sz, sign));
	}
	if (n.cls == FPC_ZERO || m.cls == FPC_INF)
		return (fpx_zero(sz, sign));
	num = (fpx_u128)n.frac << (n.frac < m.frac ? 64 : 63);
	q = (uint64_t)(num / m.frac);
	q |= num % m.frac != 0;
	return (fpx_round(x, sz, fpx_mode(x), sign, n.exp - m.exp - (n.frac < m.frac), q));
}

uint64_t
fpx_sqrt(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	struct fpx_num n = fpx_unpack(x, sz, a);
	fpx_u128 rest;
	uint64_t root = 0;

	if (fpx_isnan(&n))
		return (fpx_nan(x, sz, a));
	if (n.cls == FPC_ZERO)
		return (fpx_zero(sz, n.sign));
	if (n.sign)
		return (fpx_invalid(x, sz));
	if (n.cls == FPC_INF)
		return (fpx_inf(sz, false));
	/* an even exponent, and the root's 64 bits one by one */
	rest = (fpx_u128)n.frac << (63 + (n.exp & 1));
	for (int bit = 63; bit >= 0; bit--) {
		fpx_u128 t = ((fpx_u128)root << 1 | (fpx_u128)1 << bit) << bit;

		if (rest >= t) {
			rest -= t;
			root |= 1ULL << bit;
		}
	}
	return (fpx_round(x, sz, fpx_mode(x), false, (n.exp - (n.exp & 1)) / 2, root | (rest != 0)));
}

/* FPProcessNaNs3 */
static bool
nans3(struct fpx *x, enum fpx_size sz, const struct fpx_num n[3], const uint64_t v[3], uint64_t *r)
{
	for (int want = FPC_SNAN; want >= FPC_QNAN; want--)
		for (unsigned i = 0; i < 3; i++)
			if ((int)n[i].cls == want) {
				*r = fpx_nan(x, sz, v[i]);
				return (true);
			}
	return (false);
}

uint64_t
fpx_muladd(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b, uint64_t c)
{
	struct fpx_num n[3] = { fpx_unpack(x, sz, a), fpx_unpack(x, sz, b), fpx_unpack(x, sz, c) };
	bool psign = n[1].sign != n[2].sign, pinf, pzero;
	uint64_t r;

	if (nans3(x, sz, n, (const uint64_t[]){ a, b, c }, &r))
		return (n[0].cls == FPC_QNAN && inf_times_zero(&n[1], &n[2]) ? fpx_invalid(x, sz) : r);
	pinf = n[1].cls == FPC_INF || n[2].cls == FPC_INF;
	pzero = n[1].cls == FPC_ZERO || n[2].cls == FPC_ZERO;
	if ((pinf && pzero) || (pinf && n[0].cls == FPC_INF && psign != n[0].sign))
		return (fpx_invalid(x, sz));
	if (pinf || n[0].cls == FPC_INF)
		return (fpx_inf(sz, pinf ? psign : n[0].sign));
	if (pzero && n[0].cls == FPC_ZERO && psign == n[0].sign)
		return (fpx_zero(sz, psign));
	return (sum(x, sz, widen(&n[0]), product(&n[1], &n[2]), 0));
}

/* (k - a * b) * 2^scale, and k * 2^scale for infinity times zero, k being 2 or 3 */
static uint64_t
step(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b, unsigned k, int scale)
{
	struct fpx_num n, m;
	uint64_t r;

	a ^= fpx_sign(sz);
	n = fpx_unpack(x, sz, a);
	m = fpx_unpack(x, sz, b);
	if (fpx_nans(x, sz, &n, a, &m, b, &r))
		return (r);
	if (inf_times_zero(&n, &m))
		return (constant(sz, false, 1 + scale, k & 1));
	if (n.cls == FPC_INF || m.cls == FPC_INF)
		return (fpx_inf(sz, n.sign != m.sign));
	return (sum(x, sz, (struct wide){ false, 1, (fpx_u128)k << 124 }, product(&n, &m), scale));
}

/* FPRecipStepFused */
uint64_t
fpx_recps(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (step(x, sz, a, b, 2, 0));
}

/* FPRSqrtStepFused */
uint64_t
fpx_rsqrts(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b)
{
	return (step(x, sz, a, b, 3, -1));
}
