/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simd_misc.c - Advanced SIMD two-register miscellaneous, across lanes and scalar pairwise (Arm ARM C4.1.96), without the floating
 * point ones.
 */
#include "simd.h"

#define	VECTOR_BHSD(name, expr)	SIMD_BHSD(SIMD_VECTOR, name, expr)

VECTOR_BHSD(cmgt, sa > 0)
VECTOR_BHSD(cmge, sa >= 0)
VECTOR_BHSD(cmeq, a == 0)
VECTOR_BHSD(cmle, sa <= 0)
VECTOR_BHSD(cmlt, sa < 0)
VECTOR_BHSD(abs, SEL(sa < 0, -a, a))
VECTOR_BHSD(neg, -a)
SIMD_VECTOR(64, not, ~a)

/* The negative of the most negative element is itself, and saturates to the one below. */
#define	NEGATE(bits, name, expr)						\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		typedef vu##bits vu;						\
		const vu a = (vu)v_get(c, i->rn);				\
		const vs##bits sa SIMD_LOCAL = (vs##bits)a;			\
		const vu over = (vu)(sa == INT##bits##_MIN);			\
										\
		return (v_put_sat(c, i, (vu64)((expr) + over), (vu64)over));	\
	}
SIMD_BHSD(NEGATE, sqabs, SEL(sa < 0, -a, a))
SIMD_BHSD(NEGATE, sqneg, -a)

/* Add Vn to the destination, the one signed and the other not (C7.2.335 SUQADD, C7.2.399 USQADD). */
#define	ACCUMULATE(bits, name, sign, other)					\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		const v##other##bits n = (v##other##bits)v_get(c, i->rn);	\
		const v##sign##bits old = (v##sign##bits)v_get(c, i->rd);	\
		v##sign##bits r = { 0 }, sat = { 0 };				\
										\
		for (unsigned k = 0; k < 128 / bits; k++) {			\
			bool q = false;						\
										\
			r[k] = sat_##sign##bits((wide##bits)old[k] + n[k], &q);	\
			sat[k] = q;						\
		}								\
		return (v_put_sat(c, i, (vu64)r, (vu64)sat));			\
	}
SIMD_BHSD(ACCUMULATE, suqadd, s, u)
SIMD_BHSD(ACCUMULATE, usqadd, u, s)

/* Counts. */
#define	COUNTS(bits)								\
	static inline vu##bits							\
	leading##bits(vu##bits v)						\
	{									\
		for (unsigned k = 0; k < 128 / bits; k++)			\
			v[k] = v[k] == 0 ? bits : (uint##bits##_t)(__builtin_clz(v[k]) - (32 - bits));	\
		return (v);							\
	}									\
	SIMD_VECTOR(bits, clz, leading##bits(a))					\
	/* of the bits below the sign, those that are as it is (C7.2.37 CLS) */	\
	SIMD_VECTOR(bits, cls, leading##bits(a ^ (vu)(sa >> 1)) - 1)
COUNTS(8)
COUNTS(16)
COUNTS(32)

static inline vu8
ones(vu8 v)
{
	v -= v >> 1 & 0x55;
	v = (v & 0x33) + (v >> 2 & 0x33);
	return ((v + (v >> 4)) & 0x0f);
}

static inline vu8
reversed(vu8 v)
{
	v = (v >> 1 & 0x55) | (v & 0x55) << 1;
	v = (v >> 2 & 0x33) | (v & 0x33) << 2;
	return (v >> 4 | v << 4);
}
SIMD_VECTOR(8, cnt, ones(a))
SIMD_VECTOR(8, rbit, reversed(a))

/*
 * Elements reversed in groups of 64, 32 and 16 bits.  Bytes are reversed in pairs first, then the pairs: hosts without a shuffle of
 * bytes have one of those.
 */
#define	SHUFFLE(bits, name, ...)	SIMD_VECTOR(bits, name, __builtin_shufflevector(a, a, __VA_ARGS__))
#define	SHUFFLE_PAIRS(name, ...)	SIMD_VECTOR(8, name, __builtin_shufflevector(swapped(a), swapped(a), __VA_ARGS__))
static inline vu16
swapped(vu8 v)
{
	return ((vu16)v << 8 | (vu16)v >> 8);
}
SHUFFLE_PAIRS(rev64_, 3, 2, 1, 0, 7, 6, 5, 4)
SHUFFLE(16, rev64_, 3, 2, 1, 0, 7, 6, 5, 4)
SHUFFLE(32, rev64_, 1, 0, 3, 2)
SHUFFLE_PAIRS(rev32_, 1, 0, 3, 2, 5, 4, 7, 6)
SHUFFLE(16, rev32_, 1, 0, 3, 2, 5, 4, 7, 6)
SIMD_VECTOR(8, rev16_, swapped(a))

/* Sums of pairs: the two elements are the halves of one of twice the size. */
#define	PAIR(bits, name, type, from)						\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		const type v = (type)v_get(c, i->rn), d SIMD_LOCAL = (type)v_get(c, i->rd);	\
										\
		return (v_put(c, i, (vu64)(from + (v >> bits) + (v << bits >> bits))));	\
	}
#define	PAIRS(bits, wbits)							\
	PAIR(bits, saddlp, vs##wbits, )						\
	PAIR(bits, uaddlp, vu##wbits, )						\
	PAIR(bits, sadalp, vs##wbits, d)					\
	PAIR(bits, uadalp, vu##wbits, d)
PAIRS(8, 16)
PAIRS(16, 32)
PAIRS(32, 64)

/* Narrowing, cut or saturated; and SHLL, the other way. */
#define	NARROWS(bits, wbits)							\
	SIMD_NARROW(bits, wbits, xtn, a)					\
	SIMD_NARROW_SAT(bits, wbits, sqxtn, s, a, INT##bits##_MIN, INT##bits##_MAX)	\
	SIMD_NARROW_SAT(bits, wbits, sqxtun, s, a, 0, (int##wbits##_t)UINT##bits##_MAX)	\
	SIMD_NARROW_SAT(bits, wbits, uqxtn, u, a, 0, UINT##bits##_MAX)			\
	static enum a64_status							\
	shll##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		const vu##wbits v = __builtin_convertvector((hu##bits)v_half(c, i, i->rn), vu##wbits);	\
										\
		return (v_put(c, i, (vu64)(v << bits)));			\
	}
NARROWS(8, 16)
NARROWS(16, 32)
NARROWS(32, 64)

/*
 * Across lanes: the upper half of what is left is put onto the lower, until one element is left; w is what is left and e its upper half,
 * moved down.  A vector of 64 bits is doubled first, which no minimum or maximum minds, or has zeros, for sums.  n is the vector.
 */
#define	FOLD(name, bits, type, doubled, first, expr)				\
	static enum a64_status							\
	name(struct a64 *c, const struct a64_insn *i)				\
	{									\
		typedef vu##bits vu SIMD_LOCAL;					\
		vu64 n = v_get(c, i->rn);					\
										\
		if (i->arg == 0)						\
			n[1] = doubled ? n[0] : 0;				\
		n = (vu64)(first);						\
		for (unsigned half = 64; half >= bits; half /= 2) {		\
			const type w = (type)n;					\
			const type e = (type)(half == 64 ? (vu64){ n[1], 0 } : n >> half);	\
										\
			n = (vu64)(expr);					\
		}								\
		return (v_put(c, i, n));					\
	}
#define	ACROSS(bits, wbits)							\
	FOLD(saddlv##bits, wbits, vs##wbits, false, ((vs##wbits)n >> bits) + ((vs##wbits)n << bits >> bits), w + e)	\
	FOLD(uaddlv##bits, wbits, vu##wbits, false, ((vu##wbits)n >> bits) + ((vu##wbits)n << bits >> bits), w + e)	\
	FOLD(addv##bits, bits, vu##bits, false, n, w + e)			\
	FOLD(smaxv##bits, bits, vs##bits, true, n, SEL(w > e, (vu)w, (vu)e))	\
	FOLD(umaxv##bits, bits, vu##bits, true, n, SEL(w > e, w, e))		\
	FOLD(sminv##bits, bits, vs##bits, true, n, SEL(w < e, (vu)w, (vu)e))	\
	FOLD(uminv##bits, bits, vu##bits, true, n, SEL(w < e, w, e))
ACROSS(8, 16)
ACROSS(16, 32)
ACROSS(32, 64)

static enum a64_status
addp_scalar(struct a64 *c, const struct a64_insn *i)
{
	vu64 n = v_get(c, i->rn);

	return (v_put(c, i, (vu64){ n[0] + n[1], 0 }));
}

/* By U and opcode, bits 16:12. */
static const struct simd_row rows[2][0x15] = {
	{
	[0x00] = { F_BHS(rev64_), 0 },
	[0x01] = { F_B(rev16_), 0 },
	[0x02] = { F_BHS(saddlp), 0 },
	[0x03] = { F_BHSD(suqadd), SC_BHSD },
	[0x04] = { F_BHS(cls), 0 },
	[0x05] = { F_B(cnt), 0 },
	[0x06] = { F_BHS(sadalp), 0 },
	[0x07] = { F_BHSD(sqabs), SC_BHSD },
	[0x08] = { F_BHSD(cmgt), SC_D },
	[0x09] = { F_BHSD(cmeq), SC_D },
	[0x0a] = { F_BHSD(cmlt), SC_D },
	[0x0b] = { F_BHSD(abs), SC_D },
	[0x12] = { F_BHS(xtn), 0 },
	[0x14] = { F_BHS(sqxtn), SC_BHS },
	}, {
	[0x00] = { { rev32_8, rev32_16, NULL, NULL }, 0 },
	[0x02] = { F_BHS(uaddlp), 0 },
	[0x03] = { F_BHSD(usqadd), SC_BHSD },
	[0x04] = { F_BHS(clz), 0 },
	[0x05] = { { not64, rbit8, NULL, NULL }, 0 },
	[0x06] = { F_BHS(uadalp), 0 },
	[0x07] = { F_BHSD(sqneg), SC_BHSD },
	[0x08] = { F_BHSD(cmge), SC_D },
	[0x09] = { F_BHSD(cmle), SC_D },
	[0x0b] = { F_BHSD(neg), SC_D },
	[0x12] = { F_BHS(sqxtun), SC_BHS },
	[0x13] = { F_BHS(shll), 0 },
	[0x14] = { F_BHS(uqxtn), SC_BHS },
	},
};
#define	OP_XTN		0x12U		/* and those above: narrowing, but for SHLL */
#define	OP_SHLL		0x13U

bool
simd_misc(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned u = a64_bits(word, 29, 29), size = a64_bits(word, 23, 22), op = a64_bits(word, 16, 12);

	if (op >= sizeof(rows[0]) / sizeof(rows[0][0]) || !simd_pick(&rows[u][op], size, word, i))
		return (false);
	if (op == OP_SHLL)
		i->arg2 = 4;
	else if (op >= OP_XTN && !simd_scalar(word))
		i->arg2 = 3;
	return (true);
}

/* By opcode, bits 16:12. */
static const struct {
	uint8_t		 op;
	bool		 wide;		/* the result has twice the size */
	struct simd_row	 row[2];	/* by U */
} across[] = {
	{ 0x03, true, { { F_BHS(saddlv), 0 }, { F_BHS(uaddlv), 0 } } },
	{ 0x0a, false, { { F_BHS(smaxv), 0 }, { F_BHS(umaxv), 0 } } },
	{ 0x1a, false, { { F_BHS(sminv), 0 }, { F_BHS(uminv), 0 } } },
	{ 0x1b, false, { { F_BHS(addv), 0 }, { { NULL, NULL, NULL, NULL }, 0 } } },
};

bool
simd_across(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned u = a64_bits(word, 29, 29), size = a64_bits(word, 23, 22), op = a64_bits(word, 16, 12);

	for (size_t k = 0; k < sizeof(across) / sizeof(across[0]); k++) {
		if (across[k].op != op)
			continue;
		/* two elements are no vector to go across */
		if (!simd_pick(&across[k].row[u], size, word, i) || (size == 2 && i->arg == 0))
			return (false);
		i->arg2 = (uint8_t)(size + across[k].wide);
		return (true);
	}
	return (false);
}

bool
simd_pairwise(uint32_t word, unsigned features, struct a64_insn *i)
{
	static const struct simd_row addp = { { NULL, NULL, NULL, addp_scalar }, SC_D };

	return (a64_bits(word, 29, 29) == 0 && a64_bits(word, 16, 12) == 0x1b &&
	    simd_pick(&addp, a64_bits(word, 23, 22), word, i));
}
