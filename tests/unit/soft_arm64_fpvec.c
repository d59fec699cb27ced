/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arm64 processor's floating point of Advanced SIMD, against the Arm ARM's pseudocode (DDI 0487 J1.3, shared/functions/float; C7.2 by
 * instruction).
 */
#include "soft_arm64_fp.h"

/* 128 bits of singles, lane 0 last as one writes numbers */
#define	Q(hi, lo)	{ (lo), (hi) }
#define	SS(b, a)	((uint64_t)(b) << 32 | (a))

#define	THREE	0x40400000U
#define	FOUR	0x40800000U

struct row {
	uint32_t	word, fpcr;
	uint64_t	n[2], m[2], d[2], want[2];
	uint32_t	fpsr;
};

static void
check(const struct row *r, unsigned count)
{
	for (unsigned k = 0; k < count; k++, r++) {
		fp_clear(r->fpcr);
		fp_reg(1, r->n[0], r->n[1]);
		fp_reg(2, r->m[0], r->m[1]);
		fp_reg(0, r->d[0], r->d[1]);
		fp_exec(r->word);
		CHECKF(fp_s->v[0] == r->want[0] && fp_s->v[1] == r->want[1], "row %u, word %08x: result %016llx_%016llx, wanted %016llx_%016llx", k,
		    r->word, (unsigned long long)fp_s->v[1], (unsigned long long)fp_s->v[0], (unsigned long long)r->want[1],
		    (unsigned long long)r->want[0]);
		CHECKF(fp_s->fpsr == r->fpsr, "row %u, word %08x: FPSR %02x, wanted %02x", k, r->word, fp_s->fpsr, r->fpsr);
	}
}

#define	CHECK_ROWS(table)	check(table, sizeof(table) / sizeof((table)[0]))

#define	Q2	0U			/* 2S */
#define	Q4	0x40000000U		/* 4S */
#define	QD	0x40400000U		/* 2D */
#define	ONE_S	0x50000000U		/* scalar */
#define	ONE_D	0x50400000U

/* Three same: U, the upper bit of size, opcode */
#define	V3(q, u, s1, opcode)	(0x0e200400U | (q) | (u) << 29 | (s1) << 23 | (opcode) << 11 | REGS2)
#define	FADD(q)		V3(q, 0U, 0U, 0x1aU)
#define	FDIV(q)		V3(q, 1U, 0U, 0x1fU)
#define	FMLA(q)		V3(q, 0U, 0U, 0x19U)
#define	FMLS(q)		V3(q, 0U, 1U, 0x19U)
#define	FMULX(q)	V3(q, 0U, 0U, 0x1bU)
#define	FABD(q)		V3(q, 1U, 1U, 0x1aU)
#define	FRECPS(q)	V3(q, 0U, 0U, 0x1fU)
#define	FRSQRTS(q)	V3(q, 0U, 1U, 0x1fU)

/* Two registers */
#define	V2(q, u, s1, opcode)	(0x0e200800U | (q) | (u) << 29 | (s1) << 23 | (opcode) << 12 | REGS1)
#define	FRECPE(q)	V2(q, 0U, 1U, 0x1dU)
#define	FRSQRTE(q)	V2(q, 1U, 1U, 0x1dU)

/* Lanes are alone: one's NaN or exception does not change the others; a register of 64 bits clears the rest. */
TEST(lanes)
{
	static const struct row rows[] = {
		{ FADD(Q4), RN, Q(SS(SONE, SINF | 1), SS(STWO, SONE)), Q(SS(SONE, SONE), SS(SONE, SONE)), Q(0, 0),
		    Q(SS(STWO, SNAN | 1), SS(THREE, STWO)), IOC },
		{ FADD(Q2), RN, Q(SS(SINF | 1, SINF | 1), SS(STWO, SONE)), Q(~0ULL, SS(SONE, SONE)), Q(1, 1), Q(0, SS(THREE, STWO)), 0 },
		{ FADD(QD), RM, Q(DONE1, DTWO), Q(D0 | DONE1, D0 | DTWO), Q(1, 1), Q(D0, D0), 0 },
		{ FADD(QD), RN, Q(DONE1, 0x3ca0000000000000), Q(DONE1, DONE1), Q(1, 1), Q(DTWO, DONE1), IXC },
		/* the lanes that are not there do not divide zero by zero */
		{ FDIV(Q2), RN, Q(0, SS(STWO, SONE)), Q(0, SS(STWO, SONE)), Q(1, 1), Q(0, SS(SONE, SONE)), 0 },
		{ FDIV(QD), RN, Q(DONE1, 0), Q(0, 0), Q(1, 1), Q(DINF, DNAN), IOC | DZC },
		{ FABD(Q4), RN, Q(SS(SONE, S0 | SNAN | 1), SS(SONE, STWO)), Q(SS(STWO, SONE), SS(SONE, SONE)), Q(0, 0),
		    Q(SS(SONE, SNAN | 1), SS(0, SONE)), 0 },
		{ FABD(ONE_D), RM, Q(5, DONE1), Q(5, DTWO), Q(1, 1), Q(0, DONE1), 0 },
		{ V2(Q2, 0U, 1U, 0x0fU), RN, Q(1, SS(S0 | SINF | 1, S0)), Q(0, 0), Q(1, 1), Q(0, SS(SINF | 1, 0)), 0 },
		{ V2(QD, 1U, 1U, 0x0fU), RN, Q(0, DONE1), Q(0, 0), Q(1, 1), Q(D0, D0 | DONE1), 0 },
		{ V2(Q4, 1U, 1U, 0x1fU), RN, Q(SS(FOUR, FOUR), SS(S0 | SONE, SONE)), Q(0, 0), Q(1, 1), Q(SS(STWO, STWO), SS(SNAN, SONE)), IOC },
	};

	CHECK_ROWS(rows);
}

/* FMLA and FMLS round once; the destination is the addend, whose NaN comes first. */
TEST(accumulate)
{
	static const struct row rows[] = {
		{ FMLA(QD), RN, Q(DTWO, DONE1 + 1), Q(DTWO, DONE1 + 1), Q(DONE1, D0 | (DONE1 + 2)), Q(0x4014000000000000, 0x3970000000000000), 0 },
		{ FMLS(QD), RN, Q(DTWO, DONE1), Q(DTWO, DONE1), Q(DONE1, DONE1), Q(0xc008000000000000, 0), 0 },
		{ FMLA(Q2), RN, Q(1, SS(SINF, SONE)), Q(1, SS(0, STWO)), Q(1, SS(SNAN | 1, SONE)), Q(0, SS(SNAN, THREE)), IOC },
		{ FMLS(Q4), RN, Q(SS(SNAN | 1, SONE), SS(SONE, SONE)), Q(SS(SONE, SONE), SS(SONE, SONE)), Q(SS(SONE, SNAN | 2), SS(STWO, STWO)),
		    Q(SS(S0 | SNAN | 1, SNAN | 2), SS(SONE, SONE)), 0 },
		{ FMLA(Q4), FZ, Q(SS(1, 1), SS(SONE, SONE)), Q(SS(SONE, SONE), SS(SONE, SONE)), Q(SS(SONE, SONE), SS(1, S0 | SONE)),
		    Q(SS(SONE, SONE), SS(SONE, 0)), IDC },
	};

	CHECK_ROWS(rows);
}

/* By element: index H:L for singles with all of M:Rm, H for doubles; FMULX and scalars too. */
TEST(elements)
{
	const uint32_t fmul = 0x0f809000U | REGS2, fmla = 0x0f801000U | REGS2;
	const uint32_t h = 1U << 11, l = 1U << 21, u = 1U << 29;
	const struct row rows[] = {
		{ fmul | Q4 | h | l, RN, Q(SS(SONE, SONE), SS(STWO, SONE)), Q(SS(THREE, 0), SS(0, 0)), Q(0, 0),
		    Q(SS(THREE, THREE), SS(0x40c00000, THREE)), 0 },
		{ fmul | Q2 | l, RN, Q(SS(SONE, SONE), SS(STWO, SONE)), Q(0, SS(STWO, SINF | 1)), Q(1, 1), Q(0, SS(FOUR, STWO)), 0 },
		{ fmul | QD | h, RN, Q(DONE1, DTWO), Q(DTWO, DINF), Q(0, 0), Q(DTWO, 0x4010000000000000), 0 },
		{ fmul | QD | u, RN, Q(D0, 0), Q(0, DINF), Q(0, 0), Q(D0 | DTWO, DTWO), 0 },
		{ fmla | ONE_D | h, RN, Q(7, DTWO), Q(DTWO, DINF), Q(7, DONE1), Q(0, 0x4014000000000000), 0 },
		{ fmul | ONE_S | h, RN, Q(7, SS(7, STWO)), Q(SS(7, STWO), 7), Q(7, 7), Q(0, FOUR), 0 },
		{ fmul | QD | h | 1U << 20, RN, Q(DONE1, DONE1), Q(0, 0), Q(1, 1), Q(0, 0), 0 },	/* Rm is V18 */
	};

	CHECK_ROWS(rows);
	CHECK(!fp_decodes(fmul | QD | l));
	CHECK(!fp_decodes((fmul | QD) & ~0x40000000U));
	CHECK(!fp_decodes(fmul & ~0x800000U));
}

/* Neighbours of Rn and then of Rm; a scalar pair; all four lanes, halves first. */
TEST(pairs)
{
	static const struct row rows[] = {
		{ V3(Q4, 1U, 0U, 0x1aU), RN, Q(SS(FOUR, SONE), SS(STWO, SONE)), Q(SS(SONE, SONE), SS(STWO, STWO)), Q(0, 0),
		    Q(SS(STWO, FOUR), SS(0x40a00000, THREE)), 0 },
		{ V3(Q2, 1U, 0U, 0x1eU), RN, Q(9, SS(STWO, SONE)), Q(9, SS(SONE, FOUR)), Q(1, 1), Q(0, SS(FOUR, STWO)), 0 },
		{ V3(QD, 1U, 1U, 0x1eU), RN, Q(DTWO, DONE1), Q(0, D0), Q(0, 0), Q(D0, DONE1), 0 },
		{ V3(QD, 1U, 1U, 0x18U), RN, Q(DNAN, DONE1), Q(DTWO, DNAN), Q(0, 0), Q(DTWO, DONE1), 0 },
		{ 0x7e70d800U | REGS1, RN, Q(DTWO, DONE1), Q(0, 0), Q(1, 1), Q(0, 0x4008000000000000), 0 },	/* FADDP D0, V1.2D */
		{ 0x7e30f800U | REGS1, RN, Q(9, SS(STWO, SONE)), Q(0, 0), Q(1, 1), Q(0, STWO), 0 },		/* FMAXP S0, V1.2S */
		{ 0x7eb0c800U | REGS1, RN, Q(9, SS(STWO, SNAN)), Q(0, 0), Q(1, 1), Q(0, STWO), 0 },		/* FMINNMP S0 */
		{ 0x6e30f800U | REGS1, RN, Q(SS(SONE, FOUR), SS(STWO, SONE)), Q(0, 0), Q(1, 1), Q(0, FOUR), 0 },	/* FMAXV S0, V1.4S */
		{ 0x6eb0f800U | REGS1, RN, Q(SS(SONE, FOUR), SS(STWO, SONE)), Q(0, 0), Q(1, 1), Q(0, SONE), 0 },	/* FMINV */
		/* V1.4S = QNaN 1, 1, SNaN 2, QNaN 3: the upper half's signalling one is quiet when it meets the lower half's */
		{ 0x6e30f800U | REGS1, RN, Q(SS(SNAN | 3, SINF | 2), SS(SONE, SNAN | 1)), Q(0, 0), Q(1, 1), Q(0, SNAN | 1), IOC },
		{ 0x6e30c800U | REGS1, RN, Q(SS(SNAN, SNAN), SS(SNAN, FOUR)), Q(0, 0), Q(1, 1), Q(0, FOUR), 0 },	/* FMAXNMV */
	};

	CHECK_ROWS(rows);
	CHECK(!fp_decodes(0x2e30f800U | REGS1));
	CHECK(!fp_decodes(0x6e70f800U | REGS1));
	CHECK(!fp_decodes(0x6e30d800U | REGS1));
}

/* Masks; equality is quiet, order and magnitudes signal. */
TEST(masks)
{
	static const struct row rows[] = {
		{ V3(Q4, 0U, 0U, 0x1cU), RN, Q(SS(SONE, SNAN), SS(S0, STWO)), Q(SS(SONE, SNAN), SS(0, SONE)), Q(0, 0), Q(SS(~0U, 0), SS(~0U, 0)), 0 },
		{ V3(Q2, 0U, 0U, 0x1cU), RN, Q(1, SS(SINF | 1, STWO)), Q(1, SS(SONE, STWO)), Q(1, 1), Q(0, SS(0, ~0U)), IOC },
		{ V3(QD, 1U, 0U, 0x1cU), RN, Q(DONE1, DNAN), Q(DONE1, DONE1), Q(0, 0), Q(~0ULL, 0), IOC },
		{ V3(QD, 1U, 1U, 0x1cU), RN, Q(DONE1, DTWO), Q(DONE1, DONE1), Q(0, 0), Q(0, ~0ULL), 0 },
		{ V3(ONE_S, 1U, 0U, 0x1dU), RN, Q(1, SS(1, S0 | STWO)), Q(1, SS(1, SONE)), Q(1, 1), Q(0, ~0U), 0 },
		{ V3(ONE_D, 1U, 1U, 0x1dU), RN, Q(1, DONE1), Q(1, D0 | DONE1), Q(1, 1), Q(0, 0), 0 },
		{ V3(QD, 1U, 1U, 0x1cU), FZ, Q(1, 2), Q(D0 | 1, 1), Q(0, 0), Q(0, 0), IDC },
		/* with zero: GT, EQ, LT, GE, LE */
		{ V2(Q4, 0U, 1U, 0x0cU), RN, Q(SS(1, 0), SS(S0, S0 | 1)), Q(0, 0), Q(0, 0), Q(SS(~0U, 0), 0), 0 },
		{ V2(Q4, 0U, 1U, 0x0dU), RN, Q(SS(1, 0), SS(S0, SNAN)), Q(0, 0), Q(0, 0), Q(SS(0, ~0U), SS(~0U, 0)), 0 },
		{ V2(Q4, 0U, 1U, 0x0eU), RN, Q(SS(1, 0), SS(S0, S0 | 1)), Q(0, 0), Q(0, 0), Q(0, SS(0, ~0U)), 0 },
		{ V2(ONE_D, 1U, 1U, 0x0cU), RN, Q(1, D0), Q(0, 0), Q(1, 1), Q(0, ~0ULL), 0 },
		{ V2(ONE_D, 1U, 1U, 0x0dU), RN, Q(1, DNAN), Q(0, 0), Q(1, 1), Q(0, 0), IOC },
	};

	CHECK_ROWS(rows);
}

/* FPMulX, FPRecipStepFused, FPRSqrtStepFused: their own answers for infinity times zero, rounded once, Rn negated. */
TEST(steps)
{
	static const struct row rows[] = {
		{ FMULX(QD), RN, Q(DINF, D0), Q(D0, DINF), Q(0, 0), Q(D0 | DTWO, D0 | DTWO), 0 },
		{ FMULX(ONE_S), RN, Q(1, SS(1, STWO)), Q(1, SS(1, STWO)), Q(1, 1), Q(0, FOUR), 0 },
		{ FMULX(ONE_D), RN, Q(1, DINF | 1), Q(1, DONE1), Q(1, 1), Q(0, DNAN | 1), IOC },
		{ FRECPS(QD), RN, Q(DINF, DTWO), Q(0, DTWO), Q(0, 0), Q(DTWO, D0 | DTWO), 0 },
		{ FRECPS(QD), RM, Q(DONE1, DONE1), Q(DTWO, DINF), Q(0, 0), Q(D0, D0 | DINF), 0 },
		{ FRECPS(ONE_D), RN, Q(1, DONE1 + 1), Q(1, DONE1 + 1), Q(1, 1), Q(0, DONE1 - 4), IXC },
		{ FRECPS(ONE_S), RN, Q(1, SNAN | 1), Q(1, SONE), Q(1, 1), Q(0, S0 | SNAN | 1), 0 },
		{ FRSQRTS(QD), RN, Q(D0 | DINF, DONE1), Q(0, DONE1), Q(0, 0), Q(0x3ff8000000000000, DONE1), 0 },
		{ FRSQRTS(ONE_S), RN, Q(1, SONE), Q(1, THREE), Q(1, 1), Q(0, 0), 0 },
		{ FRSQRTS(ONE_S), RM, Q(1, SONE), Q(1, THREE), Q(1, 1), Q(0, S0), 0 },
		{ FRSQRTS(ONE_D), RN, Q(1, DMAX), Q(1, DTWO), Q(1, 1), Q(0, D0 | DMAX), IXC },
	};

	CHECK_ROWS(rows);
}

/* FPRecipEstimate, FPRSqrtEstimate, FPRecpX, and of unsigned numbers. */
TEST(estimates)
{
	static const struct row rows[] = {
		{ FRECPE(Q4), RN, Q(SS(SONE, STWO), SS(THREE, S0 | SONE)), Q(0, 0), Q(0, 0),
		    Q(SS(0x3f7f8000, 0x3eff8000), SS(0x3eaa8000, 0xbf7f8000)), 0 },
		{ FRECPE(QD), RN, Q(DONE1, 0), Q(0, 0), Q(0, 0), Q(0x3feff00000000000, DINF), DZC },
		{ FRECPE(Q2), RN, Q(1, SS(S0 | SINF, SINF | 1)), Q(0, 0), Q(1, 1), Q(0, SS(S0, SNAN | 1)), IOC },
		/* below 2^-128 it overflows; from 2^126 on the result is denormal */
		{ FRECPE(ONE_S), RN, Q(1, 0x001fffff), Q(0, 0), Q(1, 1), Q(0, SINF), OFC | IXC },
		{ FRECPE(ONE_S), RZ, Q(1, 0x001fffff), Q(0, 0), Q(1, 1), Q(0, SMAX), OFC | IXC },
		{ FRECPE(ONE_S), RM, Q(1, S0 | 0x001fffff), Q(0, 0), Q(1, 1), Q(0, S0 | SINF), OFC | IXC },
		{ FRECPE(ONE_S), RP, Q(1, S0 | 0x001fffff), Q(0, 0), Q(1, 1), Q(0, S0 | SMAX), OFC | IXC },
		{ FRECPE(ONE_S), RN, Q(1, 0x00200000), Q(0, 0), Q(1, 1), Q(0, 0x7f7f8000), 0 },
		{ FRECPE(ONE_S), FZ, Q(1, 0x00200000), Q(0, 0), Q(1, 1), Q(0, SINF), DZC | IDC },
		{ FRECPE(ONE_S), RN, Q(1, 0x7e800000), Q(0, 0), Q(1, 1), Q(0, 0x007fc000), 0 },
		{ FRECPE(ONE_S), RN, Q(1, 0x7f000000), Q(0, 0), Q(1, 1), Q(0, 0x003fe000), 0 },
		{ FRECPE(ONE_S), FZ, Q(1, S0 | 0x7e800000), Q(0, 0), Q(1, 1), Q(0, S0), UFC },
		{ FRSQRTE(Q4), RN, Q(SS(SONE, FOUR), SS(S0 | SONE, S0)), Q(0, 0), Q(0, 0), Q(SS(0x3f7f8000, 0x3eff8000), SS(SNAN, S0 | SINF)),
		    IOC | DZC },
		{ FRSQRTE(ONE_S), RN, Q(1, STWO), Q(0, 0), Q(1, 1), Q(0, 0x3f348000), 0 },
		{ FRSQRTE(ONE_D), RN, Q(1, DINF), Q(0, 0), Q(1, 1), Q(0, 0), 0 },
		{ FRSQRTE(ONE_D), RN, Q(1, 1), Q(0, 0), Q(1, 1), Q(0, 0x617ff00000000000), 0 },
		{ FRSQRTE(ONE_D), FZ, Q(1, 1), Q(0, 0), Q(1, 1), Q(0, DINF), IDC | DZC },
		{ V2(ONE_S, 0U, 1U, 0x1fU), RN, Q(1, S0 | SONE), Q(0, 0), Q(1, 1), Q(0, S0 | 0x40000000), 0 },
		{ V2(ONE_D, 0U, 1U, 0x1fU), RN, Q(1, 3), Q(0, 0), Q(1, 1), Q(0, 0x7fe0000000000000), 0 },
		{ V2(Q4, 0U, 1U, 0x1cU), RN, Q(SS(0x80000000, 0xffffffff), SS(0x7fffffff, 0xc0000000)), Q(0, 0), Q(0, 0),
		    Q(SS(0xff800000, 0x80000000), SS(0xffffffff, 0xaa800000)), 0 },
		{ V2(Q2, 1U, 1U, 0x1cU), RN, Q(1, SS(0x3fffffff, 0x40000000)), Q(0, 0), Q(1, 1), Q(0, SS(0xffffffff, 0xff800000)), 0 },
	};

	CHECK_ROWS(rows);
	CHECK(!fp_decodes(V2(QD, 0U, 1U, 0x1cU)));
	CHECK(!fp_decodes(V2(Q4, 0U, 1U, 0x1fU)));
}

/* FCVTL, FCVTN, FCVTXN and their second halves */
TEST(widths)
{
	static const struct row rows[] = {
		{ V2(Q2, 0U, 0U, 0x17U), RN, Q(1, 0x3c007bff0001fc00), Q(0, 0), Q(0, 0), Q(SS(SONE, 0x477fe000), SS(0x33800000, S0 | SINF)), 0 },
		{ V2(Q4, 0U, 0U, 0x17U), RN, Q(0x3c003c003c003c00, 1), Q(0, 0), Q(0, 0), Q(SS(SONE, SONE), SS(SONE, SONE)), 0 },
		{ V2(0x00400000U, 0U, 0U, 0x17U), RN, Q(1, SS(STWO, SONE)), Q(0, 0), Q(0, 0), Q(DTWO, DONE1), 0 },
		{ V2(QD, 0U, 0U, 0x17U), RN, Q(SS(STWO, SONE), SS(SINF | 1, 0)), Q(0, 0), Q(0, 0), Q(DTWO, DONE1), 0 },
		{ V2(Q2, 0U, 0U, 0x16U), RN, Q(SS(SONE, SONE), SS(STWO, SONE)), Q(0, 0), Q(1, 1), Q(0, 0x3c003c0040003c00), 0 },
		{ V2(Q4, 0U, 0U, 0x16U), RN, Q(SS(SONE, SONE), SS(STWO, SONE)), Q(0, 0), Q(1, 1), Q(0x3c003c0040003c00, 1), 0 },
		{ V2(0x00400000U, 0U, 0U, 0x16U), RN, Q(DTWO, DONE1 + 1), Q(0, 0), Q(1, 1), Q(0, SS(STWO, SONE)), IXC },
		/* to odd: never up to something even, never to infinity (C7.2.82) */
		{ V2(0x00400000U, 1U, 0U, 0x16U), RP, Q(DMAX, DONE1 + 1), Q(0, 0), Q(1, 1), Q(0, SS(SMAX, SONE | 1)), OFC | IXC },
		{ V2(QD, 1U, 0U, 0x16U), RN, Q(1, DONE1), Q(0, 0), Q(7, 7), Q(SS(1, SONE), 7), UFC | IXC },
		{ V2(ONE_D, 1U, 0U, 0x16U), RN, Q(7, D0 | 0x3ff0000030000000), Q(0, 0), Q(7, 7), Q(0, S0 | SONE | 1), IXC },
	};

	CHECK_ROWS(rows);
	CHECK(!fp_decodes(V2(Q2, 1U, 0U, 0x16U)));
	CHECK(!fp_decodes(V2(ONE_S, 1U, 0U, 0x16U)));
	CHECK(!fp_decodes(V2(ONE_D, 0U, 0U, 0x16U)));
}

/* Integers and fixed-point numbers, lane by lane */
TEST(integers)
{
	static const struct row rows[] = {
		{ V2(Q4, 0U, 1U, 0x1bU), RN, Q(SS(0x40200000, 0xc0200000), SS(SINF, SNAN)), Q(0, 0), Q(0, 0), Q(SS(2, -2U), SS(0x7fffffff, 0)), IOC | IXC },
		{ V2(QD, 1U, 0U, 0x1cU), RN, Q(0x4004000000000000, D0 | DONE1), Q(0, 0), Q(0, 0), Q(3, 0), IOC | IXC },
		{ V2(ONE_D, 0U, 0U, 0x1bU), RN, Q(7, 0xc004000000000000), Q(0, 0), Q(7, 7), Q(0, -3ULL), IXC },
		{ V2(Q2, 0U, 0U, 0x1dU), RN, Q(7, SS(-1U, 3)), Q(0, 0), Q(7, 7), Q(0, SS(S0 | SONE, THREE)), 0 },
		{ V2(QD, 1U, 0U, 0x1dU), RZ, Q(-1ULL, 1), Q(0, 0), Q(7, 7), Q(0x43efffffffffffff, DONE1), IXC },
		{ V2(Q4, 0U, 0U, 0x18U), RP, Q(SS(0x40200000, 0x3f000000), SS(S0 | 1, 0x4b000001)), Q(0, 0), Q(0, 0),
		    Q(SS(STWO, 0), SS(S0, 0x4b000001)), 0 },
		{ V2(QD, 1U, 0U, 0x19U), RP, Q(0x4004000000000000, DONE1), Q(0, 0), Q(0, 0), Q(0x4008000000000000, DONE1), IXC },
		/* SCVTF V0.4S, V1.4S, #1; FCVTZU V0.2D, V1.2D, #64; UCVTF D0, D1, #64; FCVTZS S0, S1, #32 */
		{ 0x4f3fe400U | REGS1, RN, Q(SS(1, 2), SS(-3U, 0)), Q(0, 0), Q(0, 0), Q(SS(0x3f000000, SONE), SS(0xbfc00000, 0)), 0 },
		{ 0x6f40fc00U | REGS1, RN, Q(0x3fe0000000000000, DONE1), Q(0, 0), Q(0, 0), Q(0x8000000000000000, ~0ULL), IOC },
		{ 0x7f40e400U | REGS1, RN, Q(7, 0x8000000000000000), Q(0, 0), Q(7, 7), Q(0, 0x3fe0000000000000), 0 },
		{ 0x5f20fc00U | REGS1, RN, Q(7, SS(7, 0x3e800000)), Q(0, 0), Q(7, 7), Q(0, 0x40000000), 0 },
	};

	CHECK_ROWS(rows);
	CHECK(!fp_decodes(0x4f1fe400U | REGS1));	/* half precision */
	CHECK(!fp_decodes(0x0f40fc00U | REGS1));	/* one double */
}

TEST_MAIN()
