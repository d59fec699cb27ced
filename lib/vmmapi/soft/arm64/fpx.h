/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fpx.h - Arm's floating point exactly, by integers only: what the Arm ARM calls shared/functions/float.
 *
 * It is right in every mode of FPCR and for every operand, and slow.  fp_*.c come here when the host's units cannot be trusted with an
 * operation: another rounding mode than to nearest, flushing to zero, a NaN as the result, a result at the edge of the normal numbers.
 *
 * Values are bit patterns in the low bits of a uint64_t; the bits above are zero.
 */
#ifndef _SOFT_A64_FPX_H_
#define	_SOFT_A64_FPX_H_

#include <stdbool.h>
#include <stdint.h>

/* FPCR (Arm ARM D13.2.48) */
#define	FPCR_AHP	0x04000000U
#define	FPCR_DN		0x02000000U
#define	FPCR_FZ		0x01000000U
#define	FPCR_RMODE	0x00c00000U
#define	FPCR_RMODE_SHIFT 22
/* FPSR (D13.2.49) */
#define	FPSR_IOC	0x01U
#define	FPSR_DZC	0x02U
#define	FPSR_OFC	0x04U
#define	FPSR_UFC	0x08U
#define	FPSR_IXC	0x10U
#define	FPSR_IDC	0x80U

enum fpx_size {
	FPX_H,		/* operand or result of conversions only: Armv8.0 does not calculate in it */
	FPX_S,
	FPX_D,
};

/* The first four as FPCR.RMode has them. */
enum fpx_round {
	FPX_TIEEVEN,
	FPX_POSINF,
	FPX_NEGINF,
	FPX_ZERO,
	FPX_TIEAWAY,
	FPX_ODD,
};

/* What an operation runs under, and the cumulative exceptions that it adds to. */
struct fpx {
	uint32_t	fpcr, fpsr;
};

typedef uint64_t fpx_fn1(struct fpx *x, enum fpx_size sz, uint64_t a);
typedef uint64_t fpx_fn2(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b);

static inline enum fpx_round
fpx_mode(const struct fpx *x)
{
	return ((enum fpx_round)((x->fpcr & FPCR_RMODE) >> FPCR_RMODE_SHIFT));
}

static inline uint64_t
fpx_sign(enum fpx_size sz)
{
	return (sz == FPX_D ? 1ULL << 63 : sz == FPX_S ? 1ULL << 31 : 1ULL << 15);
}

/* fpx.c: arithmetic.  Names and order of operands are those of the pseudocode: FPAdd is fpx_add. */
fpx_fn2	fpx_add, fpx_sub, fpx_mul, fpx_nmul, fpx_mulx, fpx_div, fpx_abd, fpx_recps, fpx_rsqrts;
fpx_fn1	fpx_sqrt;
/* a + n * m, rounded once */
uint64_t fpx_muladd(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t n, uint64_t m);

/* fpx_cmp.c: comparison, and what works on the format only */
fpx_fn2	fpx_max, fpx_min, fpx_maxnm, fpx_minnm;
/* Ones or zero */
fpx_fn2	fpx_cmeq, fpx_cmge, fpx_cmgt, fpx_acge, fpx_acgt;
fpx_fn1	fpx_abs, fpx_neg, fpx_recpe, fpx_rsqrte, fpx_recpx;
/* NZCV in PSTATE's place; signal: quiet NaNs are invalid too */
uint32_t fpx_compare(struct fpx *x, enum fpx_size sz, uint64_t a, uint64_t b, bool signal);
/* UnsignedRecipEstimate and UnsignedRSqrtEstimate */
uint32_t fpx_urecpe(uint32_t a);
uint32_t fpx_ursqrte(uint32_t a);

/* fpx_cvt.c: conversions */
/* FPRoundInt; exact: inexact results are noted */
uint64_t fpx_rint(struct fpx *x, enum fpx_size sz, uint64_t a, enum fpx_round mode, bool exact);
/* FPToFixed: to an integer of width (32, 64) bits, fbits of them fraction */
uint64_t fpx_tofixed(struct fpx *x, enum fpx_size sz, uint64_t a, unsigned width, unsigned fbits, bool is_unsigned,
	    enum fpx_round mode);
/* FixedToFP, by FPCR's rounding; a is extended to 64 bits by its sign, if it has one */
uint64_t fpx_fixed(struct fpx *x, enum fpx_size sz, uint64_t a, unsigned fbits, bool is_unsigned);
/* FPConvert */
uint64_t fpx_convert(struct fpx *x, enum fpx_size from, enum fpx_size to, uint64_t a, enum fpx_round mode);

#endif /* _SOFT_A64_FPX_H_ */
