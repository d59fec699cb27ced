/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Advanced SIMD instructions that work on elements, against the Arm ARM's pseudocode (C7.2), which computes with integers of any size:
 * each instruction is a row with an expression of such integers, n and m the elements of the operands, d the destination's, b the bits
 * of one.  Every form of it is executed on random and on special elements, and what is no form of it has to be refused.
 */
#include "soft_arm64_simd.h"

typedef __int128 num;

enum kind {
	SAME,		/* all elements of one size */
	PAIR,		/* n and m are neighbours in Vm:Vn */
	LONG,		/* the result has twice the size */
	WIDE,		/* the result and n have */
	NARROW,		/* n and m have */
	FOLD,		/* across: n is the result so far */
	FOLD_LONG,
	SUMS,		/* n and m are neighbours in Vn, the result has twice the size */
};

enum by { VM, LEFT, RIGHT, ELEMENT };

typedef num model(num n, num m, num d, unsigned b);

struct row {
	const char	*name;
	uint32_t	 word;		/* 64-bit vector form, size 0, V0, V1 and V2 */
	unsigned	 sizes, scalar;	/* sizes of the vector forms and of the scalar ones: 1 B, 2 H, 4 S, 8 D */
	enum kind	 kind;
	bool		 sign;
	model		*f;
	enum by		 by;
};

#define	B_		1U
#define	HS_		6U
#define	BHS_		7U
#define	D_		8U
#define	BHSD_		15U

static bool qc;
static uint64_t seed;

static uint64_t
rnd(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33 ^ seed << 31);
}

/* SatQ (J1.2.3) */
static num
clamp(num v, num lo, num hi)
{
	qc |= v < lo || v > hi;
	return (v < lo ? lo : v > hi ? hi : v);
}

static num
sats(num v, unsigned b)
{
	return (clamp(v, -((num)1 << (b - 1)), ((num)1 << (b - 1)) - 1));
}

static num
satu(num v, unsigned b)
{
	return (clamp(v, 0, ((num)1 << b) - 1));
}

/* n times two to the power of sh, as far as elements can tell */
static num
shift(num n, int sh, bool round, unsigned b)
{
	int max = (int)b + 1;

	if (sh >= (int)b)
		return (n == 0 ? 0 : n > 0 ? (num)1 << 100 : -((num)1 << 100));
	if (sh >= 0)
		return (n * ((num)1 << sh));
	sh = -sh > max ? max : -sh;
	return ((n + (round ? (num)1 << (sh - 1) : 0)) >> sh);
}

static num
poly(num n, num m)
{
	num r = 0;

	for (unsigned k = 0; k < 8; k++)
		r ^= (m >> k & 1) != 0 ? n << k : 0;
	return (r);
}

static num
leading(num n, unsigned b)
{
	num r = 0;

	while (b-- > 0 && (n >> b & 1) == 0)
		r++;
	return (r);
}

static num
ones(num n, unsigned b)
{
	num r = 0;

	for (unsigned k = 0; k < b; k++)
		r += n >> k & 1;
	return (r);
}

#define	F(name, expr)								\
	static num								\
	f_##name(num n, num m, num d, unsigned b)				\
	{									\
		return (expr);							\
	}
#define	MAX_(n, m)	((n) > (m) ? (n) : (m))
#define	MIN_(n, m)	((n) < (m) ? (n) : (m))
#define	ABS_(v)		((v) < 0 ? -(v) : (v))

F(hadd, (n + m) >> 1)
F(rhadd, (n + m + 1) >> 1)
F(hsub, (n - m) >> 1)
F(sqadd, sats(n + m, b))
F(uqadd, satu(n + m, b))
F(sqsub, sats(n - m, b))
F(uqsub, satu(n - m, b))
F(gt, n > m ? -1 : 0)
F(ge, n >= m ? -1 : 0)
F(eq, n == m ? -1 : 0)
F(tst, (n & m) != 0 ? -1 : 0)
F(shl, shift(n, (int8_t)m, false, b))
F(rshl, shift(n, (int8_t)m, true, b))
F(sqshl, sats(shift(n, (int8_t)m, false, b), b))
F(uqshl, satu(shift(n, (int8_t)m, false, b), b))
F(sqrshl, sats(shift(n, (int8_t)m, true, b), b))
F(uqrshl, satu(shift(n, (int8_t)m, true, b), b))
F(max, MAX_(n, m))
F(min, MIN_(n, m))
F(abd, ABS_(n - m))
F(aba, d + ABS_(n - m))
F(add, n + m)
F(sub, n - m)
F(mla, d + n * m)
F(mls, d - n * m)
F(mul, n * m)
F(pmul, poly(n, m))
F(sqdmulh, sats(2 * n * m >> b, b))
F(sqrdmulh, sats((2 * n * m + ((num)1 << (b - 1))) >> b, b))
F(sqdmull, sats(2 * n * m, 2 * b))
F(sqdmlal, sats(d + sats(2 * n * m, 2 * b), 2 * b))
F(sqdmlsl, sats(d - sats(2 * n * m, 2 * b), 2 * b))
F(addhn, (n + m) >> b)
F(raddhn, (n + m + ((num)1 << (b - 1))) >> b)
F(subhn, (n - m) >> b)
F(rsubhn, (n - m + ((num)1 << (b - 1))) >> b)
F(adalp, d + n + m)
/* d is read as n is: unsigned for SUQADD, whose destination is signed */
F(suqadd, sats((d >> (b - 1) != 0 ? d - ((num)1 << b) : d) + n, b))
F(usqadd, satu((d < 0 ? d + ((num)1 << b) : d) + n, b))
F(cls, leading(((n >> 1) ^ n) & (((num)1 << (b - 1)) - 1), b) - 1)
F(clz, leading(n, b))
F(cnt, ones(n, b))
F(sqabs, sats(ABS_(n), b))
F(sqneg, sats(-n, b))
F(abs, ABS_(n))
F(neg, -n)
F(gt0, n > 0 ? -1 : 0)
F(ge0, n >= 0 ? -1 : 0)
F(eq0, n == 0 ? -1 : 0)
F(le0, n <= 0 ? -1 : 0)
F(lt0, n < 0 ? -1 : 0)
F(xtn, n)
F(sqxtn, sats(n, b))
F(uqxtn, satu(n, b))
F(shll, n << b)
/* m is the distance */
F(shr, n >> m)
F(rshr, (n + ((num)1 << (m - 1))) >> m)
F(sra, d + (n >> m))
F(rsra, d + ((n + ((num)1 << (m - 1))) >> m))
F(sri, (n >> m) | (d >> (b - m) << (b - m)))
F(lsl, n * ((num)1 << m))
F(sli, n * ((num)1 << m) | (d & (((num)1 << m) - 1)))
F(sqlsl, sats(n * ((num)1 << m), b))
F(uqlsl, satu(n * ((num)1 << m), b))
F(sqshrn, sats(n >> m, b))
F(uqshrn, satu(n >> m, b))
F(sqrshrn, sats((n + ((num)1 << (m - 1))) >> m, b))
F(uqrshrn, satu((n + ((num)1 << (m - 1))) >> m, b))

#define	THREE(u, op)	(0x0e220420U | (u) << 29 | (op) << 11)
#define	DIFF(u, op)	(0x0e220020U | (u) << 29 | (op) << 12)
#define	TWO(u, op)	(0x0e200820U | (u) << 29 | (op) << 12)
#define	ACROSS(u, op)	(0x0e300820U | (u) << 29 | (op) << 12)
#define	IMM(u, op)	(0x0f000420U | (u) << 29 | (op) << 11)
#define	ELEM(u, op)	(0x0f020020U | (u) << 29 | (op) << 12)

static const struct row rows[] = {
	{ "shadd", THREE(0U, 0U), BHS_, 0, SAME, true, f_hadd, VM },
	{ "uhadd", THREE(1U, 0U), BHS_, 0, SAME, false, f_hadd, VM },
	{ "sqadd", THREE(0U, 1U), BHSD_, BHSD_, SAME, true, f_sqadd, VM },
	{ "uqadd", THREE(1U, 1U), BHSD_, BHSD_, SAME, false, f_uqadd, VM },
	{ "srhadd", THREE(0U, 2U), BHS_, 0, SAME, true, f_rhadd, VM },
	{ "urhadd", THREE(1U, 2U), BHS_, 0, SAME, false, f_rhadd, VM },
	{ "shsub", THREE(0U, 4U), BHS_, 0, SAME, true, f_hsub, VM },
	{ "uhsub", THREE(1U, 4U), BHS_, 0, SAME, false, f_hsub, VM },
	{ "sqsub", THREE(0U, 5U), BHSD_, BHSD_, SAME, true, f_sqsub, VM },
	{ "uqsub", THREE(1U, 5U), BHSD_, BHSD_, SAME, false, f_uqsub, VM },
	{ "cmgt", THREE(0U, 6U), BHSD_, D_, SAME, true, f_gt, VM },
	{ "cmhi", THREE(1U, 6U), BHSD_, D_, SAME, false, f_gt, VM },
	{ "cmge", THREE(0U, 7U), BHSD_, D_, SAME, true, f_ge, VM },
	{ "cmhs", THREE(1U, 7U), BHSD_, D_, SAME, false, f_ge, VM },
	{ "sshl", THREE(0U, 8U), BHSD_, D_, SAME, true, f_shl, VM },
	{ "ushl", THREE(1U, 8U), BHSD_, D_, SAME, false, f_shl, VM },
	{ "sqshl", THREE(0U, 9U), BHSD_, BHSD_, SAME, true, f_sqshl, VM },
	{ "uqshl", THREE(1U, 9U), BHSD_, BHSD_, SAME, false, f_uqshl, VM },
	{ "srshl", THREE(0U, 10U), BHSD_, D_, SAME, true, f_rshl, VM },
	{ "urshl", THREE(1U, 10U), BHSD_, D_, SAME, false, f_rshl, VM },
	{ "sqrshl", THREE(0U, 11U), BHSD_, BHSD_, SAME, true, f_sqrshl, VM },
	{ "uqrshl", THREE(1U, 11U), BHSD_, BHSD_, SAME, false, f_uqrshl, VM },
	{ "smax", THREE(0U, 12U), BHS_, 0, SAME, true, f_max, VM },
	{ "umax", THREE(1U, 12U), BHS_, 0, SAME, false, f_max, VM },
	{ "smin", THREE(0U, 13U), BHS_, 0, SAME, true, f_min, VM },
	{ "umin", THREE(1U, 13U), BHS_, 0, SAME, false, f_min, VM },
	{ "sabd", THREE(0U, 14U), BHS_, 0, SAME, true, f_abd, VM },
	{ "uabd", THREE(1U, 14U), BHS_, 0, SAME, false, f_abd, VM },
	{ "saba", THREE(0U, 15U), BHS_, 0, SAME, true, f_aba, VM },
	{ "uaba", THREE(1U, 15U), BHS_, 0, SAME, false, f_aba, VM },
	{ "add", THREE(0U, 16U), BHSD_, D_, SAME, true, f_add, VM },
	{ "sub", THREE(1U, 16U), BHSD_, D_, SAME, true, f_sub, VM },
	{ "cmtst", THREE(0U, 17U), BHSD_, D_, SAME, true, f_tst, VM },
	{ "cmeq", THREE(1U, 17U), BHSD_, D_, SAME, true, f_eq, VM },
	{ "mla", THREE(0U, 18U), BHS_, 0, SAME, true, f_mla, VM },
	{ "mls", THREE(1U, 18U), BHS_, 0, SAME, true, f_mls, VM },
	{ "mul", THREE(0U, 19U), BHS_, 0, SAME, true, f_mul, VM },
	{ "pmul", THREE(1U, 19U), B_, 0, SAME, false, f_pmul, VM },
	{ "smaxp", THREE(0U, 20U), BHS_, 0, PAIR, true, f_max, VM },
	{ "umaxp", THREE(1U, 20U), BHS_, 0, PAIR, false, f_max, VM },
	{ "sminp", THREE(0U, 21U), BHS_, 0, PAIR, true, f_min, VM },
	{ "uminp", THREE(1U, 21U), BHS_, 0, PAIR, false, f_min, VM },
	{ "sqdmulh", THREE(0U, 22U), HS_, HS_, SAME, true, f_sqdmulh, VM },
	{ "sqrdmulh", THREE(1U, 22U), HS_, HS_, SAME, true, f_sqrdmulh, VM },
	{ "addp", THREE(0U, 23U), BHSD_, 0, PAIR, true, f_add, VM },
	{ "not three same", THREE(1U, 23U), 0, 0, SAME, true, f_add, VM },

	{ "saddl", DIFF(0U, 0U), BHS_, 0, LONG, true, f_add, VM },
	{ "uaddl", DIFF(1U, 0U), BHS_, 0, LONG, false, f_add, VM },
	{ "saddw", DIFF(0U, 1U), BHS_, 0, WIDE, true, f_add, VM },
	{ "uaddw", DIFF(1U, 1U), BHS_, 0, WIDE, false, f_add, VM },
	{ "ssubl", DIFF(0U, 2U), BHS_, 0, LONG, true, f_sub, VM },
	{ "usubl", DIFF(1U, 2U), BHS_, 0, LONG, false, f_sub, VM },
	{ "ssubw", DIFF(0U, 3U), BHS_, 0, WIDE, true, f_sub, VM },
	{ "usubw", DIFF(1U, 3U), BHS_, 0, WIDE, false, f_sub, VM },
	{ "addhn", DIFF(0U, 4U), BHS_, 0, NARROW, false, f_addhn, VM },
	{ "raddhn", DIFF(1U, 4U), BHS_, 0, NARROW, false, f_raddhn, VM },
	{ "sabal", DIFF(0U, 5U), BHS_, 0, LONG, true, f_aba, VM },
	{ "uabal", DIFF(1U, 5U), BHS_, 0, LONG, false, f_aba, VM },
	{ "subhn", DIFF(0U, 6U), BHS_, 0, NARROW, false, f_subhn, VM },
	{ "rsubhn", DIFF(1U, 6U), BHS_, 0, NARROW, false, f_rsubhn, VM },
	{ "sabdl", DIFF(0U, 7U), BHS_, 0, LONG, true, f_abd, VM },
	{ "uabdl", DIFF(1U, 7U), BHS_, 0, LONG, false, f_abd, VM },
	{ "smlal", DIFF(0U, 8U), BHS_, 0, LONG, true, f_mla, VM },
	{ "umlal", DIFF(1U, 8U), BHS_, 0, LONG, false, f_mla, VM },
	{ "sqdmlal", DIFF(0U, 9U), HS_, HS_, LONG, true, f_sqdmlal, VM },
	{ "smlsl", DIFF(0U, 10U), BHS_, 0, LONG, true, f_mls, VM },
	{ "umlsl", DIFF(1U, 10U), BHS_, 0, LONG, false, f_mls, VM },
	{ "sqdmlsl", DIFF(0U, 11U), HS_, HS_, LONG, true, f_sqdmlsl, VM },
	{ "smull", DIFF(0U, 12U), BHS_, 0, LONG, true, f_mul, VM },
	{ "umull", DIFF(1U, 12U), BHS_, 0, LONG, false, f_mul, VM },
	{ "sqdmull", DIFF(0U, 13U), HS_, HS_, LONG, true, f_sqdmull, VM },
	{ "not three different", DIFF(1U, 13U), 0, 0, LONG, true, f_mul, VM },

	{ "saddlp", TWO(0U, 2U), BHS_, 0, SUMS, true, f_add, VM },
	{ "uaddlp", TWO(1U, 2U), BHS_, 0, SUMS, false, f_add, VM },
	{ "suqadd", TWO(0U, 3U), BHSD_, BHSD_, SAME, false, f_suqadd, VM },
	{ "usqadd", TWO(1U, 3U), BHSD_, BHSD_, SAME, true, f_usqadd, VM },
	{ "cls", TWO(0U, 4U), BHS_, 0, SAME, true, f_cls, VM },
	{ "clz", TWO(1U, 4U), BHS_, 0, SAME, false, f_clz, VM },
	{ "cnt", TWO(0U, 5U), B_, 0, SAME, false, f_cnt, VM },
	{ "sadalp", TWO(0U, 6U), BHS_, 0, SUMS, true, f_adalp, VM },
	{ "uadalp", TWO(1U, 6U), BHS_, 0, SUMS, false, f_adalp, VM },
	{ "sqabs", TWO(0U, 7U), BHSD_, BHSD_, SAME, true, f_sqabs, VM },
	{ "sqneg", TWO(1U, 7U), BHSD_, BHSD_, SAME, true, f_sqneg, VM },
	{ "cmgt zero", TWO(0U, 8U), BHSD_, D_, SAME, true, f_gt0, VM },
	{ "cmge zero", TWO(1U, 8U), BHSD_, D_, SAME, true, f_ge0, VM },
	{ "cmeq zero", TWO(0U, 9U), BHSD_, D_, SAME, true, f_eq0, VM },
	{ "cmle zero", TWO(1U, 9U), BHSD_, D_, SAME, true, f_le0, VM },
	{ "cmlt zero", TWO(0U, 10U), BHSD_, D_, SAME, true, f_lt0, VM },
	{ "abs", TWO(0U, 11U), BHSD_, D_, SAME, true, f_abs, VM },
	{ "neg", TWO(1U, 11U), BHSD_, D_, SAME, true, f_neg, VM },
	{ "xtn", TWO(0U, 18U), BHS_, 0, NARROW, true, f_xtn, VM },
	{ "sqxtun", TWO(1U, 18U), BHS_, BHS_, NARROW, true, f_uqxtn, VM },
	{ "shll", TWO(1U, 19U), BHS_, 0, LONG, false, f_shll, VM },
	{ "sqxtn", TWO(0U, 20U), BHS_, BHS_, NARROW, true, f_sqxtn, VM },
	{ "uqxtn", TWO(1U, 20U), BHS_, BHS_, NARROW, false, f_uqxtn, VM },

	{ "saddlv", ACROSS(0U, 3U), BHS_, 0, FOLD_LONG, true, f_add, VM },
	{ "uaddlv", ACROSS(1U, 3U), BHS_, 0, FOLD_LONG, false, f_add, VM },
	{ "smaxv", ACROSS(0U, 10U), BHS_, 0, FOLD, true, f_max, VM },
	{ "umaxv", ACROSS(1U, 10U), BHS_, 0, FOLD, false, f_max, VM },
	{ "sminv", ACROSS(0U, 26U), BHS_, 0, FOLD, true, f_min, VM },
	{ "uminv", ACROSS(1U, 26U), BHS_, 0, FOLD, false, f_min, VM },
	{ "addv", ACROSS(0U, 27U), BHS_, D_, FOLD, true, f_add, VM },	/* scalar: ADDP */
	{ "not across", ACROSS(1U, 27U), 0, 0, FOLD, true, f_add, VM },

	{ "sshr", IMM(0U, 0U), BHSD_, D_, SAME, true, f_shr, RIGHT },
	{ "ushr", IMM(1U, 0U), BHSD_, D_, SAME, false, f_shr, RIGHT },
	{ "ssra", IMM(0U, 2U), BHSD_, D_, SAME, true, f_sra, RIGHT },
	{ "usra", IMM(1U, 2U), BHSD_, D_, SAME, false, f_sra, RIGHT },
	{ "srshr", IMM(0U, 4U), BHSD_, D_, SAME, true, f_rshr, RIGHT },
	{ "urshr", IMM(1U, 4U), BHSD_, D_, SAME, false, f_rshr, RIGHT },
	{ "srsra", IMM(0U, 6U), BHSD_, D_, SAME, true, f_rsra, RIGHT },
	{ "ursra", IMM(1U, 6U), BHSD_, D_, SAME, false, f_rsra, RIGHT },
	{ "not a shift", IMM(0U, 8U), 0, 0, SAME, false, f_shr, RIGHT },
	{ "sri", IMM(1U, 8U), BHSD_, D_, SAME, false, f_sri, RIGHT },
	{ "shl", IMM(0U, 10U), BHSD_, D_, SAME, true, f_lsl, LEFT },
	{ "sli", IMM(1U, 10U), BHSD_, D_, SAME, false, f_sli, LEFT },
	{ "sqshlu", IMM(1U, 12U), BHSD_, BHSD_, SAME, true, f_uqlsl, LEFT },
	{ "sqshl", IMM(0U, 14U), BHSD_, BHSD_, SAME, true, f_sqlsl, LEFT },
	{ "uqshl", IMM(1U, 14U), BHSD_, BHSD_, SAME, false, f_uqlsl, LEFT },
	{ "shrn", IMM(0U, 16U), BHS_, 0, NARROW, false, f_shr, RIGHT },
	{ "sqshrun", IMM(1U, 16U), BHS_, BHS_, NARROW, true, f_uqshrn, RIGHT },
	{ "rshrn", IMM(0U, 17U), BHS_, 0, NARROW, false, f_rshr, RIGHT },
	{ "sqrshrun", IMM(1U, 17U), BHS_, BHS_, NARROW, true, f_uqrshrn, RIGHT },
	{ "sqshrn", IMM(0U, 18U), BHS_, BHS_, NARROW, true, f_sqshrn, RIGHT },
	{ "uqshrn", IMM(1U, 18U), BHS_, BHS_, NARROW, false, f_uqshrn, RIGHT },
	{ "sqrshrn", IMM(0U, 19U), BHS_, BHS_, NARROW, true, f_sqrshrn, RIGHT },
	{ "uqrshrn", IMM(1U, 19U), BHS_, BHS_, NARROW, false, f_uqrshrn, RIGHT },
	{ "sshll", IMM(0U, 20U), BHS_, 0, LONG, true, f_lsl, LEFT },
	{ "ushll", IMM(1U, 20U), BHS_, 0, LONG, false, f_lsl, LEFT },

	{ "mla element", ELEM(1U, 0U), HS_, 0, SAME, true, f_mla, ELEMENT },
	{ "smlal element", ELEM(0U, 2U), HS_, 0, LONG, true, f_mla, ELEMENT },
	{ "umlal element", ELEM(1U, 2U), HS_, 0, LONG, false, f_mla, ELEMENT },
	{ "sqdmlal element", ELEM(0U, 3U), HS_, HS_, LONG, true, f_sqdmlal, ELEMENT },
	{ "mls element", ELEM(1U, 4U), HS_, 0, SAME, true, f_mls, ELEMENT },
	{ "smlsl element", ELEM(0U, 6U), HS_, 0, LONG, true, f_mls, ELEMENT },
	{ "umlsl element", ELEM(1U, 6U), HS_, 0, LONG, false, f_mls, ELEMENT },
	{ "sqdmlsl element", ELEM(0U, 7U), HS_, HS_, LONG, true, f_sqdmlsl, ELEMENT },
	{ "mul element", ELEM(0U, 8U), HS_, 0, SAME, true, f_mul, ELEMENT },
	{ "smull element", ELEM(0U, 10U), HS_, 0, LONG, true, f_mul, ELEMENT },
	{ "umull element", ELEM(1U, 10U), HS_, 0, LONG, false, f_mul, ELEMENT },
	{ "sqdmull element", ELEM(0U, 11U), HS_, HS_, LONG, true, f_sqdmull, ELEMENT },
	{ "sqdmulh element", ELEM(0U, 12U), HS_, HS_, SAME, true, f_sqdmulh, ELEMENT },
	{ "sqrdmulh element", ELEM(0U, 13U), HS_, HS_, SAME, true, f_sqrdmulh, ELEMENT },
	{ "not by element", ELEM(1U, 8U), 0, 0, SAME, true, f_mul, ELEMENT },
};

/* An element that something may be wrong with. */
static uint64_t
special(unsigned b)
{
	static const int8_t small[] = { 0, 1, 2, -1, -2, 7, 8, 15, 16, -8, -16, 31, 32, 33, -32, -33, 63, 64, -64, -65, 127, -128 };

	switch (rnd() % 4) {
	case 0:
		return (rnd());
	case 1:
		return (((uint64_t)1 << (b - 1)) - rnd() % 3);
	default:
		return ((uint64_t)(int64_t)small[rnd() % sizeof(small)]);
	}
}

static num
get(const uint64_t *v, unsigned k, unsigned b, bool sign)
{
	uint64_t e = v[k * b / 64] >> k * b % 64 << (64 - b) >> (64 - b);

	return (sign ? (num)((int64_t)(e << (64 - b)) >> (64 - b)) : (num)e);
}

static void
put(uint64_t *v, unsigned k, unsigned b, num e)
{
	uint64_t mask = UINT64_MAX >> (64 - b) << k * b % 64;

	v[k * b / 64] = (v[k * b / 64] & ~mask) | ((uint64_t)e << k * b % 64 & mask);
}

/* What the instruction has to make of V0 to V2: the loop that each pseudocode has.  imm: index or distance. */
static void
expect(const struct row *o, unsigned size, bool q, bool scalar, unsigned imm, uint64_t r[2])
{
	const uint64_t *d = &state.v[0], *n = &state.v[2], *m = &state.v[4];
	unsigned b = 8U << size, wide = o->kind == LONG || o->kind == WIDE || o->kind == NARROW ? 2 : 1;
	unsigned count = scalar ? 1 : (wide == 1 && q ? 128 : 64) / b;
	unsigned part = q && !scalar && wide == 2 ? count : 0;
	unsigned nb = o->kind == WIDE || o->kind == NARROW ? 2 * b : b, mb = o->kind == NARROW ? 2 * b : b;
	unsigned rb = o->kind == LONG || o->kind == WIDE ? 2 * b : b;
	bool s = o->sign;
	num e;

	r[0] = o->kind == NARROW && part != 0 ? d[0] : 0;
	r[1] = 0;
	if (o->kind == FOLD || o->kind == FOLD_LONG) {
		count = scalar ? 2 : count;
		e = get(n, 0, b, s);
		for (unsigned k = 1; k < count; k++)
			e = o->f(e, get(n, k, b, s), 0, b);
		put(r, 0, o->kind == FOLD ? b : 2 * b, e);
		return;
	}
	if (o->kind == SUMS) {
		for (unsigned k = 0; k < count / 2; k++)
			put(r, k, 2 * b, o->f(get(n, 2 * k, b, s), get(n, 2 * k + 1, b, s), get(d, k, 2 * b, s), b));
		return;
	}
	for (unsigned k = 0; k < count; k++) {
		unsigned nk = k + (nb == b ? part : 0), mk = k + (mb == b ? part : 0);

		if (o->kind == PAIR) {
			const uint64_t *v = 2 * k < count ? n : m;

			e = o->f(get(v, 2 * k % count, b, s), get(v, 2 * k % count + 1, b, s), 0, b);
		} else {
			e = o->f(get(n, nk, nb, s),
			    o->by == VM ? get(m, mk, mb, s) : o->by == ELEMENT ? get(m, imm, b, s) : (num)imm,
			    get(d, k, rb, s), b);
		}
		put(r, k + (o->kind == NARROW ? part : 0), rb, e);
	}
}

static void
one_form(const struct row *o, uint32_t word, unsigned size, bool q, bool scalar, unsigned imm)
{
	for (unsigned k = 0; k < (o->by == VM ? 2000U : 200U); k++) {
		uint64_t r[2], was[6];
		unsigned b = 8U << size;

		for (unsigned e = 0; e < 3 * 128 / b; e++)
			put(state.v, e, b, (num)special(b));
		memcpy(was, state.v, sizeof(was));
		qc = false;
		expect(o, size, q, scalar, imm, r);
		state.fpsr = 0;
		execute(word);
		CHECKF(state.v[0] == r[0] && state.v[1] == r[1],
		    "%s %08x: d %016llx%016llx n %016llx%016llx m %016llx%016llx makes %016llx%016llx instead of %016llx%016llx",
		    o->name, word, (unsigned long long)was[1], (unsigned long long)was[0], (unsigned long long)was[3],
		    (unsigned long long)was[2], (unsigned long long)was[5], (unsigned long long)was[4],
		    (unsigned long long)state.v[1], (unsigned long long)state.v[0], (unsigned long long)r[1],
		    (unsigned long long)r[0]);
		CHECKF((state.fpsr == FPSR_QC) == qc && (state.fpsr & ~FPSR_QC) == 0, "%s %08x: FPSR %x", o->name, word, state.fpsr);
	}
}

/* All distances or elements of a form; it has to be there, or none of it may be. */
static void
all_of_form(const struct row *o, unsigned size, bool q, bool scalar)
{
	unsigned b = 8U << size, first = o->by == RIGHT ? 1 : 0, last = o->by == LEFT ? b - 1 : o->by == RIGHT ? b : 0;
	bool there = ((scalar ? o->scalar : o->sizes) >> size & 1) != 0 && (scalar || size != 3 || q);

	if ((o->kind == FOLD || o->kind == FOLD_LONG) && size == 2 && !q && !scalar)
		there = false;
	if (o->by == ELEMENT)
		last = size == 1 ? 7 : 3;
	for (unsigned imm = first; imm <= last; imm++) {
		uint32_t word = o->word | (scalar ? 0x50000000U : q ? 0x40000000U : 0);

		if (o->by == LEFT)
			word |= (b + imm) << 16;
		else if (o->by == RIGHT)
			word |= (2 * b - imm) << 16;
		else
			word |= size << 22;
		if (o->by == ELEMENT && size == 1)	/* H:L:M */
			word |= (imm >> 2) << 11 | (imm >> 1 & 1) << 21 | (imm & 1) << 20;
		else if (o->by == ELEMENT)		/* H:L */
			word |= (imm >> 1) << 11 | (imm & 1) << 21;
		CHECKF(allocated(word) == there, "%s %08x is %s", o->name, word, there ? "refused" : "accepted");
		if (there)
			one_form(o, word, size, q, scalar, imm);
	}
}

static void
run_row(const void *arg)
{
	const struct row *o = arg;

	seed = o->word;
	for (unsigned size = 0; size < 4; size++) {
		all_of_form(o, size, false, false);
		all_of_form(o, size, true, false);
		all_of_form(o, size, true, true);
	}
}

__attribute__((constructor)) static void
add_rows(void)
{
	for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
		test_add_arg(rows[k].name, run_row, &rows[k]);
}

/* Those whose size field is part of the opcode: one allocated size each. */
TEST(not_and_rbit)
{
	set_v(1, 0x0123456789abcdefULL, 0x8040201008040201ULL);
	execute(0x6e205820);	/* not v0.16b, v1.16b */
	CHECK_V(0, 0xfedcba9876543210ULL, 0x7fbfdfeff7fbfdfeULL);
	execute(0x2e205820);	/* not v0.8b, v1.8b */
	CHECK_V(0, 0, 0x7fbfdfeff7fbfdfeULL);
	execute(0x6e605820);	/* rbit v0.16b, v1.16b */
	CHECK_V(0, 0x80c4a2e691d5b3f7ULL, 0x0102040810204080ULL);
	CHECK(!allocated(0x6ea05820) && !allocated(0x6ee05820));
}

TEST_MAIN()
