/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fpx_num.h - unpacked floating-point numbers, for fpx*.c.
 */
#ifndef _SOFT_A64_FPX_NUM_H_
#define	_SOFT_A64_FPX_NUM_H_

#include "fpx.h"

typedef unsigned __int128 fpx_u128;

enum fpx_class { FPC_ZERO, FPC_FINITE, FPC_INF, FPC_QNAN, FPC_SNAN };

/* A finite number is frac * 2^(exp - 63), frac with its top bit set. */
struct fpx_num {
	enum fpx_class	cls;
	bool		sign;
	int		exp;
	uint64_t	frac;
};

/* Bits of the exponent and of the fraction. */
static const struct fpx_format {
	unsigned	ebits, fbits;
} fpx_formats[] = { [FPX_H] = { 5, 10 }, [FPX_S] = { 8, 23 }, [FPX_D] = { 11, 52 } };

static inline uint64_t
fpx_ones(unsigned n)
{
	return (n >= 64 ? ~0ULL : (1ULL << n) - 1);
}

static inline bool
fpx_isnan(const struct fpx_num *n)
{
	return (n->cls >= FPC_QNAN);
}

static inline uint64_t
fpx_zero(enum fpx_size sz, bool sign)
{
	return (sign ? fpx_sign(sz) : 0);
}

static inline uint64_t
fpx_inf(enum fpx_size sz, bool sign)
{
	const struct fpx_format *f = &fpx_formats[sz];

	return (fpx_zero(sz, sign) | fpx_ones(f->ebits) << f->fbits);
}

/* FPMaxNormal: the pattern before infinity's */
static inline uint64_t
fpx_maxnormal(enum fpx_size sz, bool sign)
{
	return (fpx_inf(sz, sign) - 1);
}

static inline uint64_t
fpx_default_nan(enum fpx_size sz)
{
	return (fpx_inf(sz, false) | 1ULL << (fpx_formats[sz].fbits - 1));
}

static inline uint64_t
fpx_invalid(struct fpx *x, enum fpx_size sz)
{
	x->fpsr |= FPSR_IOC;
	return (fpx_default_nan(sz));
}

/* The sign of a sum that is exactly zero, unless both terms were zeros of one sign. */
static inline uint64_t
fpx_sum_zero(struct fpx *x, enum fpx_size sz)
{
	return (fpx_zero(sz, fpx_mode(x) == FPX_NEGINF));
}

/* FPUnpack */
struct fpx_num fpx_unpack(struct fpx *x, enum fpx_size sz, uint64_t a);
/* FPRound of a finite number, not zero; bit 0 of frac stands for everything below as well */
uint64_t fpx_round(struct fpx *x, enum fpx_size sz, enum fpx_round mode, bool sign, int exp, uint64_t frac);
/* FPProcessNaN */
uint64_t fpx_nan(struct fpx *x, enum fpx_size sz, uint64_t a);
/* FPProcessNaNs: is one of them a NaN? then *r is the result */
bool	fpx_nans(struct fpx *x, enum fpx_size sz, const struct fpx_num *n, uint64_t a, const struct fpx_num *m, uint64_t b, uint64_t *r);

#endif /* _SOFT_A64_FPX_NUM_H_ */
