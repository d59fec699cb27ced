/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fpx_cvt.c - Arm's floating point by integers: conversions.
 *
 * Functions are the Arm ARM's of the same names (J1.3, shared/functions/float).
 */
#include "fpx_num.h"

/* The integer next to frac * 2^(exp - 63), which is below 2^64; *inexact: it is another number. */
static uint64_t
to_integer(bool sign, int exp, uint64_t frac, enum fpx_round mode, bool *inexact)
{
	int drop = 63 - exp;
	uint64_t r = drop < 64 ? frac >> drop : 0;
	uint64_t rest = drop == 0 ? 0 : drop < 64 ? frac << (64 - drop) : drop == 64 ? frac : 1;

	*inexact = rest != 0;
	switch (mode) {
	case FPX_TIEEVEN:
		return (r + (rest > 1ULL << 63 || (rest == 1ULL << 63 && r & 1)));
	case FPX_TIEAWAY:
		return (r + (rest >= 1ULL << 63));
	case FPX_POSINF:
	case FPX_NEGINF:
		return (r + (rest != 0 && sign == (mode == FPX_NEGINF)));
	default:
		return (r);
	}
}

uint64_t
fpx_rint(struct fpx *x, enum fpx_size sz, uint64_t a, enum fpx_round mode, bool exact)
{
	struct fpx_num n = fpx_unpack(x, sz, a);
	bool inexact;
	uint64_t r;
	unsigned up;

	if (fpx_isnan(&n))
		return (fpx_nan(x, sz, a));
	if (n.cls == FPC_ZERO)
		return (fpx_zero(sz, n.sign));
	if (n.cls == FPC_INF || n.exp >= 63)
		return (a);
	r = to_integer(n.sign, n.exp, n.frac, mode, &inexact);
	if (inexact && exact)
		x->fpsr |= FPSR_IXC;
	if (r == 0)
		return (fpx_zero(sz, n.sign));
	up = (unsigned)__builtin_clzll(r);
	return (fpx_round(x, sz, FPX_ZERO, n.sign, 63 - (int)up, r << up));
}

uint64_t
fpx_tofixed(struct fpx *x, enum fpx_size sz, uint64_t a, unsigned width, unsigned fbits, bool is_unsigned, enum fpx_round mode)
{
	struct fpx_num n = fpx_unpack(x, sz, a);
	bool inexact = false, over = true;
	uint64_t r = 0, limit;

	if (fpx_isnan(&n)) {
		x->fpsr |= FPSR_IOC;
		return (0);
	}
	if (n.cls == FPC_ZERO)
		return (0);
	/* the largest magnitude of this sign */
	if (is_unsigned)
		limit = n.sign ? 0 : fpx_ones(width);
	else
		limit = n.sign ? 1ULL << (width - 1) : fpx_ones(width - 1);
	if (n.cls == FPC_FINITE && n.exp + (int)fbits < 64) {
		r = to_integer(n.sign, n.exp + (int)fbits, n.frac, mode, &inexact);
		over = r > limit;
	}
	if (over) {
		x->fpsr |= FPSR_IOC;
		r = limit;
	} else if (inexact) {
		x->fpsr |= FPSR_IXC;
	}
	return ((n.sign ? -r : r) & fpx_ones(width));
}

uint64_t
fpx_fixed(struct fpx *x, enum fpx_size sz, uint64_t a, unsigned fbits, bool is_unsigned)
{
	bool sign = !is_unsigned && (int64_t)a < 0;
	uint64_t mag = sign ? -a : a;
	unsigned up;

	if (mag == 0)
		return (0);
	up = (unsigned)__builtin_clzll(mag);
	return (fpx_round(x, sz, fpx_mode(x), sign, 63 - (int)up - (int)fbits, mag << up));
}

/* FPConvertNaN, for a NaN that is not the default one: the upper bits of the fraction stay */
static uint64_t
convert_nan(enum fpx_size from, enum fpx_size to, uint64_t a)
{
	const struct fpx_format *f = &fpx_formats[from], *t = &fpx_formats[to];
	uint64_t frac = (a & fpx_ones(f->fbits)) << (52 - f->fbits);

	return (fpx_zero(to, (a & fpx_sign(from)) != 0) | fpx_default_nan(to) | frac >> (52 - t->fbits));
}

uint64_t
fpx_convert(struct fpx *x, enum fpx_size from, enum fpx_size to, uint64_t a, enum fpx_round mode)
{
	struct fpx_num n = fpx_unpack(x, from, a);
	bool alternative = to == FPX_H && x->fpcr & FPCR_AHP;

	switch (n.cls) {
	case FPC_SNAN:
	case FPC_QNAN:
		if (n.cls == FPC_SNAN || alternative)
			x->fpsr |= FPSR_IOC;
		if (alternative)
			return (fpx_zero(to, n.sign));
		return (x->fpcr & FPCR_DN ? fpx_default_nan(to) : convert_nan(from, to, a));
	case FPC_INF:
		if (!alternative)
			return (fpx_inf(to, n.sign));
		x->fpsr |= FPSR_IOC;
		return (fpx_zero(to, n.sign) | fpx_ones(15));
	case FPC_ZERO:
		return (fpx_zero(to, n.sign));
	default:
		return (fpx_round(x, to, mode, n.sign, n.exp, n.frac));
	}
}
