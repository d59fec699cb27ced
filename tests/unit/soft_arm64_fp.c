/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arm64 processor's scalar floating point, against the Arm ARM's pseudocode (DDI 0487 J1.3, shared/functions/float; C7.2 by instruction).
 */
#include "soft_arm64_fp.h"

/* Data-processing (2 source), (1 source), (3 source); d: double */
#define	OP2(opcode, d)	(0x1e200800U | (d) << 22 | (opcode) << 12 | REGS2)
#define	OP1(opcode, d)	(0x1e204000U | (d) << 22 | (opcode) << 15 | REGS1)
#define	OP3(o1, o0, d)	(0x1f000000U | (d) << 22 | (o1) << 21 | (o0) << 15 | REGS)
#define	MUL(d)		OP2(0U, d)
#define	DIV(d)		OP2(1U, d)
#define	ADD(d)		OP2(2U, d)
#define	SUB(d)		OP2(3U, d)
#define	MAX(d)		OP2(4U, d)
#define	MIN(d)		OP2(5U, d)
#define	MAXNM(d)	OP2(6U, d)
#define	MINNM(d)	OP2(7U, d)
#define	NMUL(d)		OP2(8U, d)
#define	SQRT(d)		OP1(3U, d)

#define	EPS	0x3ca0000000000000ULL		/* 2^-53: half of the last place of 1 */
#define	SEPS	0x33800000U			/* 2^-24 */

/* A sum that lies half way, a little above, and below zero: FPRound. */
TEST(rounding)
{
	static const struct fp_vector rows[] = {
		{ ADD(1U), RN, DONE1, EPS, 0, DONE1, IXC },
		{ ADD(1U), RN, DONE1 + 1, EPS, 0, DONE1 + 2, IXC },
		{ ADD(1U), RN, DONE1, EPS + 1, 0, DONE1 + 1, IXC },
		{ ADD(1U), RP, DONE1, EPS, 0, DONE1 + 1, IXC },
		{ ADD(1U), RM, DONE1, EPS, 0, DONE1, IXC },
		{ ADD(1U), RZ, DONE1, EPS + 1, 0, DONE1, IXC },
		{ ADD(1U), RP, D0 | DONE1, D0 | EPS, 0, D0 | DONE1, IXC },
		{ ADD(1U), RM, D0 | DONE1, D0 | EPS, 0, D0 | (DONE1 + 1), IXC },
		{ ADD(1U), RZ, D0 | DONE1, D0 | EPS, 0, D0 | DONE1, IXC },
		{ SUB(1U), RZ, DONE1, 1, 0, DONE1 - 1, IXC },
		{ SUB(1U), RP, DONE1, 1, 0, DONE1, IXC },
		{ ADD(0U), RN, SONE, SEPS, 0, SONE, IXC },
		{ ADD(0U), RP, SONE, SEPS, 0, SONE + 1, IXC },
		{ ADD(0U), RZ, SONE, SEPS + 1, 0, SONE, IXC },
		{ ADD(1U), RN, DONE1, DONE1, 0, DTWO, 0 },
		{ DIV(0U), RN, SONE, 0x40400000, 0, 0x3eaaaaab, IXC },
		{ DIV(0U), RZ, SONE, 0x40400000, 0, 0x3eaaaaaa, IXC },
		{ SQRT(1U), RN, DTWO, 0, 0, 0x3ff6a09e667f3bcd, IXC },
		{ SQRT(1U), RZ, DTWO, 0, 0, 0x3ff6a09e667f3bcc, IXC },
		{ SQRT(1U), RP, 0x4010000000000000, 0, 0, DTWO, 0 },
	};

	FP_CHECK(rows);
}

/* A sum that is exactly zero is negative when rounding down (FPAdd); zeros of one sign keep it. */
TEST(zeros)
{
	static const struct fp_vector rows[] = {
		{ SUB(1U), RN, DONE1, DONE1, 0, 0, 0 },
		{ SUB(1U), RM, DONE1, DONE1, 0, D0, 0 },
		{ ADD(1U), RM, 0, 0, 0, 0, 0 },
		{ ADD(1U), RM, 0, D0, 0, D0, 0 },
		{ ADD(1U), RN, D0, D0, 0, D0, 0 },
		{ MUL(0U), RN, S0, SONE, 0, S0, 0 },
		{ NMUL(0U), RN, S0, SONE, 0, 0, 0 },
		{ SQRT(0U), RN, S0, 0, 0, S0, 0 },
	};

	FP_CHECK(rows);
}

/* Overflow gives infinity or the largest number as the mode and the sign say (FPRound). */
TEST(overflow)
{
	static const struct fp_vector rows[] = {
		{ ADD(1U), RN, DMAX, DMAX, 0, DINF, OFC | IXC },
		{ ADD(1U), RP, DMAX, DMAX, 0, DINF, OFC | IXC },
		{ ADD(1U), RM, DMAX, DMAX, 0, DMAX, OFC | IXC },
		{ ADD(1U), RZ, DMAX, DMAX, 0, DMAX, OFC | IXC },
		{ ADD(1U), RP, D0 | DMAX, D0 | DMAX, 0, D0 | DMAX, OFC | IXC },
		{ ADD(1U), RM, D0 | DMAX, D0 | DMAX, 0, D0 | DINF, OFC | IXC },
		{ MUL(0U), RN, SMAX, STWO, 0, SINF, OFC | IXC },
		{ MUL(0U), RZ, SMAX, STWO, 0, SMAX, OFC | IXC },
	};

	FP_CHECK(rows);
}

/*
 * Tininess is found before rounding (A1.5.10): (1 - 2^-2k) times the smallest normal number rounds to that and has underflowed.  Flushed
 * to zero it is no longer inexact; denormal operands are zeros, with IDC, unless what looks at them only moves bits.
 */
TEST(underflow)
{
	static const struct fp_vector rows[] = {
		{ MUL(1U), RN, 0x3fefffffff800000, 0x0010000000400000, 0, DMIN, UFC | IXC },
		{ MUL(1U), DN, 0x3fefffffff800000, 0x0010000000400000, 0, DMIN, UFC | IXC },
		{ MUL(1U), RP, 0x3fefffffff800000, 0x0010000000400000, 0, DMIN, UFC | IXC },
		{ MUL(1U), RZ, 0x3fefffffff800000, 0x0010000000400000, 0, DMIN - 1, UFC | IXC },
		{ MUL(1U), FZ, 0x3fefffffff800000, D0 | 0x0010000000400000, 0, D0, UFC },
		{ MUL(0U), RN, 0x3f7ff800, 0x00800400, 0, SMIN, UFC | IXC },
		{ MUL(0U), FZ, 0x3f7ff800, 0x00800400, 0, 0, UFC },
		{ MUL(1U), RN, DMIN, 0x3fe0000000000000, 0, DMIN >> 1, 0 },
		{ MUL(1U), FZ, DMIN, 0x3fe0000000000000, 0, 0, UFC },
		{ MUL(1U), RN, 1, 0x3fe0000000000000, 0, 0, UFC | IXC },
		{ MUL(1U), RP, 1, 0x3fe0000000000000, 0, 1, UFC | IXC },
		{ ADD(1U), RN, 1, DONE1, 0, DONE1, IXC },
		{ ADD(1U), FZ, 1, DONE1, 0, DONE1, IDC },
		{ ADD(1U), FZ, D0 | 1, D0 | 1, 0, D0, IDC },
		{ DIV(1U), FZ, DONE1, 1, 0, DINF, IDC | DZC },
		{ MAX(1U), FZ, 1, D0 | 5, 0, 0, IDC },
		{ MIN(1U), FZ, 1, D0 | 5, 0, D0, IDC },
		{ SQRT(1U), FZ, D0 | 1, 0, 0, D0, IDC },
		{ OP1(1U, 1U), FZ, D0 | 1, 0, 0, 1, 0 },
		{ OP1(0U, 1U), FZ, 1, 0, 0, 1, 0 },
	};

	FP_CHECK(rows);
}

/* FPProcessNaNs: signalling ones first, then in order of operands, made quiet; FPCR.DN: the default one. */
TEST(nans)
{
	static const struct fp_vector rows[] = {
		{ ADD(1U), RN, DNAN | 5, DNAN | 6, 0, DNAN | 5, 0 },
		{ ADD(1U), RN, DNAN | 5, DINF | 6, 0, DNAN | 6, IOC },
		{ ADD(1U), RN, D0 | DINF | 5, DINF | 6, 0, D0 | DNAN | 5, IOC },
		{ ADD(1U), RN, DONE1, D0 | DNAN | 7, 0, D0 | DNAN | 7, 0 },
		{ ADD(1U), DN, DONE1, D0 | DNAN | 7, 0, DNAN, 0 },
		{ ADD(1U), DN, DINF | 5, DONE1, 0, DNAN, IOC },
		{ ADD(0U), RN, SNAN | 5, SINF | 6, 0, SNAN | 6, IOC },
		{ SUB(1U), RN, DINF, DINF, 0, DNAN, IOC },
		{ MUL(1U), RN, DINF, D0, 0, DNAN, IOC },
		{ DIV(1U), RN, 0, 0, 0, DNAN, IOC },
		{ DIV(1U), RN, DINF, D0 | DINF, 0, DNAN, IOC },
		{ DIV(1U), RN, D0 | DONE1, 0, 0, D0 | DINF, DZC },
		{ DIV(1U), RN, DINF, 0, 0, DINF, 0 },
		{ SQRT(1U), RN, D0 | DONE1, 0, 0, DNAN, IOC },
		/* the result's sign changes, a NaN's as well (C7.2.136) */
		{ NMUL(1U), RN, DNAN | 5, DONE1, 0, D0 | DNAN | 5, 0 },
		{ NMUL(1U), RN, DINF, 0, 0, D0 | DNAN, IOC },
		{ OP1(2U, 1U), DN, DINF | 5, 0, 0, D0 | DINF | 5, 0 },
	};

	FP_CHECK(rows);
}

/* FPMax and FPMaxNum: not what MAXSD does. */
TEST(extremes)
{
	static const struct fp_vector rows[] = {
		{ MAX(1U), RN, D0, 0, 0, 0, 0 },
		{ MAX(1U), RN, 0, D0, 0, 0, 0 },
		{ MIN(1U), RN, 0, D0, 0, D0, 0 },
		{ MIN(0U), RN, S0, 0, 0, S0, 0 },
		{ MAX(1U), RN, D0 | DINF, D0 | DMAX, 0, D0 | DMAX, 0 },
		{ MIN(1U), RN, 1, 2, 0, 1, 0 },
		{ MAX(1U), RN, DONE1, DNAN | 1, 0, DNAN | 1, 0 },
		{ MAX(1U), RN, DNAN | 1, DONE1, 0, DNAN | 1, 0 },
		{ MAXNM(1U), RN, DONE1, DNAN | 1, 0, DONE1, 0 },
		{ MAXNM(1U), RN, DNAN | 1, D0 | DINF, 0, D0 | DINF, 0 },
		{ MINNM(0U), RN, SNAN | 1, SONE, 0, SONE, 0 },
		{ MINNM(1U), RN, DNAN | 1, DNAN | 2, 0, DNAN | 1, 0 },
		{ MINNM(1U), RN, DINF | 1, DONE1, 0, DNAN | 1, IOC },
		{ MAXNM(1U), RN, DNAN | 1, DINF | 2, 0, DNAN | 2, IOC },
	};

	FP_CHECK(rows);
}

/* FPMulAdd: rounded once, the addend's NaN first, infinity times zero beats a quiet one; what is negated (C7.2.93 and others). */
TEST(fused)
{
	static const struct fp_vector rows[] = {
		/* (1 + 2^-52)^2 - (1 + 2^-51) = 2^-104 */
		{ OP3(0U, 0U, 1U), RN, DONE1 + 1, DONE1 + 1, D0 | (DONE1 + 2), 0x3970000000000000, 0 },
		{ OP3(0U, 0U, 1U), RP, DONE1 + 1, DONE1 + 1, D0 | (DONE1 + 2), 0x3970000000000000, 0 },
		{ OP3(0U, 1U, 1U), RN, DTWO, DTWO, DONE1, 0xc008000000000000, 0 },
		{ OP3(1U, 0U, 1U), RN, DTWO, DTWO, DONE1, 0xc014000000000000, 0 },
		{ OP3(1U, 1U, 1U), RN, DTWO, DTWO, DONE1, 0x4008000000000000, 0 },
		{ OP3(0U, 0U, 0U), RN, STWO, STWO, SONE, 0x40a00000, 0 },
		{ OP3(0U, 0U, 1U), RN, DINF, 0, DNAN | 5, DNAN, IOC },
		{ OP3(0U, 0U, 1U), RN, DINF, 0, DINF | 5, DNAN | 5, IOC },
		{ OP3(0U, 0U, 1U), RN, DNAN | 1, DNAN | 2, DNAN | 3, DNAN | 3, 0 },
		{ OP3(0U, 0U, 1U), RN, DNAN | 1, DINF | 2, DNAN | 3, DNAN | 2, IOC },
		{ OP3(0U, 1U, 1U), RN, DNAN | 1, DONE1, DONE1, D0 | DNAN | 1, 0 },
		{ OP3(1U, 0U, 1U), RN, DONE1, DONE1, DNAN | 1, D0 | DNAN | 1, 0 },
		{ OP3(0U, 0U, 1U), RN, DINF, DONE1, D0 | DINF, DNAN, IOC },
		{ OP3(0U, 0U, 1U), RM, DONE1, DONE1, D0 | DONE1, D0, 0 },
		{ OP3(0U, 0U, 1U), RN, D0, DONE1, D0, D0, 0 },
		{ OP3(0U, 0U, 1U), RN, 0x3fefffffff800000, 0x0010000000400000, 0, DMIN, UFC | IXC },
		{ OP3(0U, 0U, 1U), FZ, 1, DONE1, DONE1, DONE1, IDC },
		/* an addend far below and far above */
		{ OP3(0U, 0U, 1U), RP, DONE1, DONE1, 1, DONE1 + 1, IXC },
		{ OP3(0U, 0U, 1U), RZ, D0 | 1, 1, DONE1, DONE1 - 1, IXC },
	};

	FP_CHECK(rows);
}

static uint32_t
compare(uint32_t word, uint32_t fpcr, uint64_t n, uint64_t m)
{
	fp_clear(fpcr);
	fp_s->pstate |= PSTATE_NZCV;
	fp_reg(1, n, ~0ULL);
	fp_reg(2, m, ~0ULL);
	fp_exec(word);
	return ((uint32_t)(fp_s->pstate & PSTATE_NZCV) >> 28 | fp_s->fpsr << 8);
}

/* FPCompare: NZCV, and IOC for quiet NaNs too if it signals; in FPSR above. */
TEST(comparison)
{
	const uint32_t cmp = 0x1e602000U | REGS2, cmpe = cmp | 0x10, cmp0 = cmp | 8, cmps = 0x1e202000U | REGS2;

	CHECK_EQ(compare(cmp, 0, DONE1, DTWO), 8);
	CHECK_EQ(compare(cmp, 0, 0, D0), 6);
	CHECK_EQ(compare(cmp, 0, DTWO, DONE1), 2);
	CHECK_EQ(compare(cmp, 0, DNAN, DONE1), 3);
	CHECK_EQ(compare(cmp, 0, DINF | 1, DONE1), 3 | IOC << 8);
	CHECK_EQ(compare(cmpe, 0, DONE1, DNAN), 3 | IOC << 8);
	CHECK_EQ(compare(cmpe, 0, DONE1, DONE1), 6);
	CHECK_EQ(compare(cmp0, 0, D0 | 1, DONE1), 8);
	CHECK_EQ(compare(cmp0, FZ, D0 | 1, DONE1), 6 | IDC << 8);
	CHECK_EQ(compare(cmp, RM, DONE1, DTWO), 8);
	CHECK_EQ(compare(cmps, 0, S0 | SINF, SMAX), 8);
}

/* FCCMP compares if the condition holds, else the flags are the instruction's; FCSEL selects. */
TEST(conditional)
{
	/* EQ, flags 5 */
	const uint32_t ccmp = 0x1e600400U | REGS2 | 5, ccmpe = ccmp | 0x10, csel = 0x1e600c00U | REGS2;

	for (unsigned z = 0; z < 2; z++) {
		fp_clear(0);
		fp_s->pstate |= z != 0 ? PSTATE_Z : 0;
		fp_reg(1, DNAN, 1);
		fp_reg(2, DONE1, 2);
		fp_exec(ccmp);
		CHECK_EQ(fp_s->pstate >> 28, z != 0 ? 3 : 5);
		CHECK_EQ(fp_s->fpsr, 0);
		fp_s->pstate = z != 0 ? PSTATE_Z : 0;
		fp_exec(ccmpe);
		CHECK_EQ(fp_s->fpsr, z != 0 ? IOC : 0);
		fp_s->pstate = z != 0 ? PSTATE_Z : 0;
		fp_exec(csel);
		CHECK_EQ(fp_s->v[0], z != 0 ? DNAN : DONE1);
		CHECK_EQ(fp_s->v[1], 0);
	}
}

#define	CVT(from, to)	(0x1e224000U | (from) << 22 | (to) << 15 | REGS1)	/* 0: single, 1: double, 3: half */

/* FPConvert: NaNs keep the top of their fraction; half precision, and the alternative one without NaN and infinity. */
TEST(precisions)
{
	static const struct fp_vector rows[] = {
		{ CVT(0U, 1U), RN, 0x3eaaaaab, 0, 0, 0x3fd5555560000000, 0 },
		{ CVT(0U, 1U), RN, SINF | 1, 0, 0, DNAN | 1ULL << 29, IOC },
		{ CVT(0U, 1U), DN, S0 | SNAN | 1, 0, 0, DNAN, 0 },
		{ CVT(0U, 1U), RN, 1, 0, 0, 0x36a0000000000000, 0 },
		{ CVT(0U, 1U), FZ, S0 | 1, 0, 0, D0, IDC },
		{ CVT(1U, 0U), RN, 0x3fd5555555555555, 0, 0, 0x3eaaaaab, IXC },
		{ CVT(1U, 0U), RZ, 0x3fd5555555555555, 0, 0, 0x3eaaaaaa, IXC },
		{ CVT(1U, 0U), RN, DMAX, 0, 0, SINF, OFC | IXC },
		{ CVT(1U, 0U), RN, 0x380fffffffffffff, 0, 0, SMIN, UFC | IXC },
		{ CVT(1U, 0U), FZ, 0x380fffffffffffff, 0, 0, 0, UFC },
		{ CVT(1U, 0U), RN, D0 | DNAN | 1ULL << 40, 0, 0, S0 | SNAN | 1U << 11, 0 },
		{ CVT(1U, 3U), RN, 0x40effc0000000000, 0, 0, 0x7bff, 0 },
		{ CVT(1U, 3U), RN, 0x40effe0000000000, 0, 0, 0x7c00, OFC | IXC },
		{ CVT(1U, 3U), AHP, 0x40effe0000000000, 0, 0, 0x7c00, IXC },
		{ CVT(1U, 3U), AHP, 0x40fffe0000000000, 0, 0, 0x7fff, IOC },
		{ CVT(1U, 3U), AHP, D0 | DINF, 0, 0, 0xffff, IOC },
		{ CVT(1U, 3U), AHP, D0 | DNAN, 0, 0, 0x8000, IOC },
		{ CVT(1U, 3U), RN, 0x3e70000000000000, 0, 0, 1, 0 },
		{ CVT(1U, 3U), FZ, 0x3e70000000000000, 0, 0, 1, 0 },
		{ CVT(0U, 3U), RN, 0x3eaaaaab, 0, 0, 0x3555, IXC },
		{ CVT(0U, 3U), RN, SNAN | 1U << 13, 0, 0, 0x7e01, 0 },
		{ CVT(3U, 0U), RN, 0x7bff, 0, 0, 0x477fe000, 0 },
		{ CVT(3U, 0U), RN, 1, 0, 0, 0x33800000, 0 },
		{ CVT(3U, 0U), FZ, 1, 0, 0, 0x33800000, 0 },
		{ CVT(3U, 1U), RN, 0xfc00, 0, 0, D0 | DINF, 0 },
		{ CVT(3U, 1U), RN, 0x7c01, 0, 0, DNAN | 1ULL << 42, IOC },
		{ CVT(3U, 1U), AHP, 0x7fff, 0, 0, 0x40fffc0000000000, 0 },
	};

	FP_CHECK(rows);
}

#define	TOINT(x, d, rmode, opcode)	(0x1e200000U | (x) << 31 | (d) << 22 | (rmode) << 19 | (opcode) << 16 | REGS1)
#define	D25	0x4004000000000000ULL		/* 2.5 */
#define	D05	0x3fe0000000000000ULL
#define	D63	0x43e0000000000000ULL		/* 2^63 */
#define	D31	0x41e0000000000000ULL

/* FPToFixed: to nearest, up, down, to zero, ties away; saturated with IOC only, NaN is 0. */
TEST(to_integers)
{
	static const struct {
		uint32_t	word, fpcr;
		uint64_t	n, want;
		uint32_t	fpsr;
	} rows[] = {
		{ TOINT(1U, 1U, 0U, 0U), 0, D25, 2, IXC },
		{ TOINT(1U, 1U, 1U, 0U), 0, D25, 3, IXC },
		{ TOINT(1U, 1U, 2U, 0U), 0, D0 | D25, -3ULL, IXC },
		{ TOINT(1U, 1U, 3U, 0U), 0, D0 | D25, -2ULL, IXC },
		{ TOINT(1U, 1U, 0U, 4U), 0, D0 | D25, -3ULL, IXC },
		{ TOINT(1U, 1U, 0U, 4U), 0, D05 - 1, 0, IXC },
		{ TOINT(1U, 1U, 0U, 0U), RP, D25, 2, IXC },
		{ TOINT(0U, 1U, 3U, 0U), 0, D0 | D25, 0xfffffffe, IXC },
		{ TOINT(0U, 1U, 3U, 0U), 0, D31, 0x7fffffff, IOC },
		{ TOINT(0U, 1U, 3U, 0U), 0, D0 | D31, 0x80000000, 0 },
		{ TOINT(0U, 1U, 3U, 0U), RM, D0 | DINF, 0x80000000, IOC },
		{ TOINT(1U, 1U, 3U, 0U), 0, D63, 0x7fffffffffffffff, IOC },
		{ TOINT(1U, 1U, 3U, 0U), 0, D0 | D63, 0x8000000000000000, 0 },
		{ TOINT(1U, 1U, 3U, 1U), 0, D63, 0x8000000000000000, 0 },
		{ TOINT(1U, 1U, 3U, 1U), 0, D63 + DMIN, ~0ULL, IOC },
		{ TOINT(1U, 1U, 3U, 1U), 0, D0 | D05, 0, IXC },
		{ TOINT(1U, 1U, 2U, 1U), 0, D0 | D05, 0, IOC },
		{ TOINT(0U, 1U, 3U, 1U), 0, D0 | DONE1, 0, IOC },
		{ TOINT(0U, 1U, 3U, 1U), 0, D31 + DMIN, 0xffffffff, IOC },
		{ TOINT(0U, 1U, 3U, 1U), 0, D31, 0x80000000, 0 },
		{ TOINT(1U, 1U, 3U, 0U), 0, DNAN, 0, IOC },
		{ TOINT(1U, 0U, 3U, 0U), 0, SINF | 1, 0, IOC },
		{ TOINT(1U, 1U, 3U, 0U), FZ, 1, 0, IDC },
		{ TOINT(1U, 1U, 3U, 0U), 0, 1, 0, IXC },
		{ TOINT(0U, 0U, 3U, 0U), 0, 0x4effffff, 0x7fffff80, 0 },
		/* fixed point: FCVTZS W0, D1, #4 and X0, D1, #64 */
		{ (TOINT(0U, 1U, 3U, 0U) & ~0x200000U) | 60U << 10, 0, D25, 40, 0 },
		{ (TOINT(1U, 1U, 3U, 0U) & ~0x200000U), 0, D05, 0x7fffffffffffffff, IOC },
	};

	for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		fp_clear(rows[k].fpcr);
		fp_reg(1, rows[k].n, ~0ULL);
		fp_exec(rows[k].word);
		CHECKF(fp_s->x[0] == rows[k].want && fp_s->fpsr == rows[k].fpsr, "row %u: %llx, FPSR %02x", k,
		    (unsigned long long)fp_s->x[0], fp_s->fpsr);
	}
}

/* FixedToFP */
TEST(from_integers)
{
	static const struct {
		uint32_t	word, fpcr;
		uint64_t	n, want;
		uint32_t	fpsr;
	} rows[] = {
		{ TOINT(1U, 1U, 0U, 2U), 0, -1ULL, D0 | DONE1, 0 },
		{ TOINT(1U, 1U, 0U, 3U), 0, -1ULL, 0x43f0000000000000, IXC },
		{ TOINT(1U, 1U, 0U, 3U), RZ, -1ULL, 0x43efffffffffffff, IXC },
		{ TOINT(0U, 1U, 0U, 3U), 0, -1ULL, 0x41efffffffe00000, 0 },
		{ TOINT(0U, 1U, 0U, 2U), 0, 0xffffffff, D0 | DONE1, 0 },
		{ TOINT(1U, 1U, 0U, 2U), RM, 0, 0, 0 },
		{ TOINT(0U, 0U, 0U, 2U), 0, 0x7fffffff, 0x4f000000, IXC },
		{ TOINT(0U, 0U, 0U, 2U), RM, 0x7fffffff, 0x4effffff, IXC },
		/* SCVTF D0, X1, #64; UCVTF S0, W1, #1 */
		{ TOINT(1U, 1U, 0U, 2U) & ~0x200000U, 0, 1, 0x3bf0000000000000, 0 },
		{ (TOINT(0U, 0U, 0U, 3U) & ~0x200000U) | 63U << 10, 0, 3, 0x3fc00000, 0 },
	};

	for (unsigned k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
		fp_clear(rows[k].fpcr);
		fp_s->x[1] = rows[k].n;
		fp_exec(rows[k].word);
		CHECKF(fp_s->v[0] == rows[k].want && fp_s->v[1] == 0 && fp_s->fpsr == rows[k].fpsr, "row %u: %llx, FPSR %02x", k,
		    (unsigned long long)fp_s->v[0], fp_s->fpsr);
	}
}

/* FPRoundInt: FRINTN, P, M, Z, A, X, I; only X notes inexact results; the sign of zero stays. */
TEST(integral)
{
	static const struct fp_vector rows[] = {
		{ OP1(8U, 1U), RP, D25, 0, 0, DTWO, 0 },
		{ OP1(9U, 1U), RN, D25, 0, 0, 0x4008000000000000, 0 },
		{ OP1(10U, 1U), RN, D0 | D25, 0, 0, 0xc008000000000000, 0 },
		{ OP1(11U, 1U), RN, D0 | D25, 0, 0, D0 | DTWO, 0 },
		{ OP1(12U, 1U), RN, D25, 0, 0, 0x4008000000000000, 0 },
		{ OP1(14U, 1U), RP, D25, 0, 0, 0x4008000000000000, IXC },
		{ OP1(15U, 1U), RM, D25, 0, 0, DTWO, 0 },
		{ OP1(11U, 1U), RN, D0 | D05, 0, 0, D0, 0 },
		{ OP1(9U, 1U), RN, 1, 0, 0, DONE1, 0 },
		{ OP1(9U, 1U), FZ, 1, 0, 0, 0, IDC },
		{ OP1(8U, 1U), RN, DMAX, 0, 0, DMAX, 0 },
		{ OP1(8U, 1U), RN, DINF | 1, 0, 0, DNAN | 1, IOC },
		{ OP1(14U, 0U), RN, 0x4b000000 - 1, 0, 0, 0x4b000000, IXC },
	};

	FP_CHECK(rows);
}

/* FMOV in all its forms: nothing is converted, what is above becomes zero but for the upper half on its own. */
TEST(moves)
{
	fp_clear(FZ | DN);
	fp_reg(1, 0xfff0000000000001, 0x123456789abcdef0);
	fp_exec(0x1e260000U | REGS1);		/* FMOV W0, S1 */
	CHECK_EQ(fp_s->x[0], 1);
	fp_exec(0x9e660000U | REGS1);		/* FMOV X0, D1 */
	CHECK_EQ(fp_s->x[0], 0xfff0000000000001);
	fp_exec(0x9eae0000U | REGS1);		/* FMOV X0, V1.D[1] */
	CHECK_EQ(fp_s->x[0], 0x123456789abcdef0);
	fp_s->x[1] = 0xaaaaaaaabbbbbbbb;
	fp_exec(0x9eaf0000U | REGS1);		/* FMOV V0.D[1], X1 */
	CHECK_EQ(fp_s->v[0], 0x1111111111111111);
	CHECK_EQ(fp_s->v[1], 0xaaaaaaaabbbbbbbb);
	fp_exec(0x1e270000U | REGS1);		/* FMOV S0, W1 */
	CHECK_EQ(fp_s->v[0], 0xbbbbbbbb);
	CHECK_EQ(fp_s->v[1], 0);
	fp_exec(0x9e670000U | REGS1);		/* FMOV D0, X1 */
	CHECK_EQ(fp_s->v[0], 0xaaaaaaaabbbbbbbb);
	fp_exec(0x9e6703e0U);			/* FMOV D0, XZR */
	CHECK_EQ(fp_s->v[0], 0);
	fp_exec(0x1e601000U | 0x70U << 13);	/* FMOV D0, #1.0 */
	CHECK_EQ(fp_s->v[0], DONE1);
	fp_exec(0x1e201000U | 0x80U << 13);	/* FMOV S0, #-2.0 */
	CHECK_EQ(fp_s->v[0], 0xc0000000);
	fp_exec(0x1e601000U | 0xbfU << 13);	/* FMOV D0, #-31.0 */
	CHECK_EQ(fp_s->v[0], 0xc03f000000000000);
	CHECK_EQ(fp_s->fpsr, 0);
}

/* What Armv8.0 has not, or is other groups'. */
TEST(unallocated)
{
	static const uint32_t words[] = {
		0x1ee22820,	/* FADD H0, H1, H2 */
		0x1ea22820,	/* type 10 */
		0x9e622820,	/* bit 31 */
		0x1e229820,	/* opcode 1001 */
		0x1e224020,	/* FCVT S0, S1 */
		0x1e62c020 | 1U << 19,	/* opcode above */
		0x1e7e0020,	/* FJCVTZS */
		0x1e660020,	/* FMOV W0, D1 */
		0x9e2e0020,	/* the upper half of a single */
		0x1e180000 | 31U << 10,	/* FCVTZS W0, S0, #33 */
		0x1e622021,	/* a comparison's lower bits are not clear */
		0x1fc20c20,	/* FMADD H0 */
		0x3e222820,	/* S */
		0x4e228420,	/* ADD V0.16B */
		0x0f000400,	/* MOVI */
		0x6f00f400,	/* FMOV V0.2D, #2.0: an immediate */
	};

	CHECK(fp_decodes(0x1e622820));
	for (unsigned k = 0; k < sizeof(words) / sizeof(words[0]); k++)
		CHECKF(!fp_decodes(words[k]), "%08x is taken for an instruction", words[k]);
}

/* The host's units and the exact functions agree in every bit and exception, wherever the host's are used. */
static uint64_t
next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (*seed);
}

/* Numbers with few bits and exponents near each other, or near an end. */
static uint64_t
operand(uint64_t *seed, bool dbl)
{
	static const unsigned around[2][4] = { { 127, 1, 64, 254 }, { 1023, 1, 512, 2046 } };
	uint64_t r = next(seed), frac = next(seed);
	unsigned exp = around[dbl][r & 3] + (unsigned)(r >> 2 & 7) - 4;

	if (r & 0x100)
		frac &= 0xff00000000000000;
	if (r & 0x200)
		frac |= 0x00ffffffffffffff;
	if (dbl)
		return ((r & D0) | (uint64_t)(exp & 0x7ff) << 52 | frac >> 12);
	return ((r >> 32 & S0) | (uint64_t)(exp & 0xff) << 23 | frac >> 41);
}

static void
agree(uint32_t word, enum fpx_size sz, fpx_fn2 *fn2, uint64_t *seed)
{
	for (unsigned k = 0; k < 40000; k++) {
		struct fpx x = { .fpcr = 0 };
		uint64_t n = operand(seed, sz == FPX_D), m = operand(seed, sz == FPX_D), a = operand(seed, sz == FPX_D);
		uint64_t want = fn2 != NULL ? fn2(&x, sz, n, m) : fpx_muladd(&x, sz, a, n, m);

		fp_check(&(struct fp_vector){ word, 0, n, m, a, want, x.fpsr }, 1);
	}
}

static uint64_t
sqrt_of(struct fpx *x, enum fpx_size sz, uint64_t n, uint64_t m)
{
	(void)m;
	return (fpx_sqrt(x, sz, n));
}

TEST(host_and_exact)
{
	uint64_t seed = 0x123456789abcdef;

	for (unsigned d = 0; d < 2; d++) {
		enum fpx_size sz = d != 0 ? FPX_D : FPX_S;

		agree(ADD(d), sz, fpx_add, &seed);
		agree(SUB(d), sz, fpx_sub, &seed);
		agree(MUL(d), sz, fpx_mul, &seed);
		agree(DIV(d), sz, fpx_div, &seed);
		agree(NMUL(d), sz, fpx_nmul, &seed);
		agree(MAX(d), sz, fpx_max, &seed);
		agree(MINNM(d), sz, fpx_minnm, &seed);
		agree(SQRT(d), sz, sqrt_of, &seed);
		agree(OP3(0U, 0U, d), sz, NULL, &seed);
	}
}

/* Exceptions collect in the host's register until they are asked for, on top of those that are there. */
TEST(lazy_flags)
{
	struct a64 c = { .s = fp_s };
	struct a64_insn i = { .word = ADD(1U) };

	fp_clear(0);
	fp_reg(1, DONE1, 0);
	fp_reg(2, EPS, 0);
	CHECK(a64_decode_fp(i.word, 0, &i));
	fp_s->fpsr = 0x08000000U | DZC;
	a64_fp_enter(&c);
	CHECK_EQ(i.fn(&c, &i), A_DONE);
	a64_fp_sync(&c);
	CHECK_EQ(fp_s->fpsr, 0x08000000U | DZC | IXC);
	fp_s->fpsr = 0;
	a64_fp_sync(&c);
	CHECK_EQ(fp_s->fpsr, 0);
	/* what someone else calculated is not the guest's */
	CHECK_EQ(i.fn(&c, &i), A_DONE);
	a64_fp_enter(&c);
	a64_fp_sync(&c);
	CHECK_EQ(fp_s->fpsr, 0);
}

TEST_MAIN()
