/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simd_same.c - Advanced SIMD three same, vector and scalar (Arm ARM C4.1.96), without the floating point ones.
 *
 * In the expressions a and b are the operands (Vn, Vm) and d the old destination, as unsigned elements; sa and sb the same as signed ones.
 */
#include "simd.h"

/* An operation on whole vectors.  second is how Vm is read. */
#define	OPERANDS(bits, second)							\
	typedef vu##bits vu SIMD_LOCAL;						\
	typedef vs##bits vs SIMD_LOCAL;						\
	const vu a = (vu)v_get(c, i->rn);					\
	const vu b = second;							\
	const vu d SIMD_LOCAL = (vu)v_get(c, i->rd);				\
	const vs sa SIMD_LOCAL = (vs)a, sb SIMD_LOCAL = (vs)b
#define	VECTOR_(bits, name, second, expr)					\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		OPERANDS(bits, second);						\
										\
		return (v_put(c, i, (vu64)(expr)));				\
	}
#define	VECTOR(bits, name, expr)	VECTOR_(bits, name, (vu)v_get(c, i->rm), expr)
#define	VECTOR_BHS(name, expr)		SIMD_BHS(VECTOR, name, expr)
#define	VECTOR_BHSD(name, expr)		SIMD_BHSD(VECTOR, name, expr)

/* The same with saturation: over is all ones where it happened, else r is the result. */
#define	VSAT(bits, name, r_, over_, sat_)					\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		OPERANDS(bits, (vu)v_get(c, i->rm));				\
		const vu top SIMD_LOCAL = (vu){ 0 } + INT##bits##_MAX;		\
		const vu r = r_;						\
		const vs over = over_;						\
										\
		return (v_put_sat(c, i, (vu64)SEL(over, sat_, r), (vu64)over));	\
	}
#define	VSAT_BHSD(name, r, over, sat)	SIMD_BHSD(VSAT, name, r, over, sat)

/* An operation on one element; it sets q if it saturates. */
#define	LANES_(bits, name, second, expr)					\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		typedef vu##bits vu;						\
		const vu n = (vu)v_get(c, i->rn), m = second;			\
		vu r = { 0 }, sat = { 0 };					\
										\
		for (unsigned k = 0; k < 128 / bits; k++) {			\
			const uint##bits##_t a SIMD_LOCAL = n[k], b = m[k];	\
			const int##bits##_t sa SIMD_LOCAL = (int##bits##_t)a;	\
			const int##bits##_t sb SIMD_LOCAL = (int##bits##_t)b;	\
			bool q = false;						\
										\
			r[k] = (uint##bits##_t)(expr);				\
			sat[k] = q;						\
		}								\
		return (v_put_sat(c, i, (vu64)r, (vu64)sat));			\
	}
#define	LANES(bits, name, expr)		LANES_(bits, name, (vu)v_get(c, i->rm), expr)

/* Element imm of Vm in every place. */
#define	ELEMENT		((vu){ 0 } + ((vu)v_get(c, i->rm))[i->imm])

/* Halving (C7.2.259 SHADD, C7.2.304 SRHADD, C7.2.263 SHSUB): no sum is wider than its element. */
VECTOR_BHS(shadd, (sa >> 1) + (sb >> 1) + (sa & sb & 1))
VECTOR_BHS(uhadd, (a >> 1) + (b >> 1) + (a & b & 1))
VECTOR_BHS(srhadd, (sa >> 1) + (sb >> 1) + ((sa | sb) & 1))
VECTOR_BHS(urhadd, (a >> 1) + (b >> 1) + ((a | b) & 1))
VECTOR_BHS(shsub, (sa >> 1) - (sb >> 1) - (~sa & sb & 1))
VECTOR_BHS(uhsub, (a >> 1) - (b >> 1) - (~a & b & 1))

/* Saturating: a signed result overflowed if its sign differs where it cannot. */
VSAT_BHSD(sqadd, a + b, (vs)(~(a ^ b) & (a ^ r)) < 0, top + (a >> (sizeof(a[0]) * 8 - 1)))
VSAT_BHSD(sqsub, a - b, (vs)((a ^ b) & (a ^ r)) < 0, top + (a >> (sizeof(a[0]) * 8 - 1)))
VSAT_BHSD(uqadd, a + b, (vs)(r < a), ~(vu){ 0 })
VSAT_BHSD(uqsub, a - b, (vs)(a < b), (vu){ 0 })

VECTOR_BHSD(cmgt, sa > sb)
VECTOR_BHSD(cmge, sa >= sb)
VECTOR_BHSD(cmhi, a > b)
VECTOR_BHSD(cmhs, a >= b)
VECTOR_BHSD(cmeq, a == b)
VECTOR_BHSD(cmtst, (a & b) != 0)

VECTOR_BHS(smax, SEL(sa > sb, a, b))
VECTOR_BHS(umax, SEL(a > b, a, b))
VECTOR_BHS(smin, SEL(sa < sb, a, b))
VECTOR_BHS(umin, SEL(a < b, a, b))
VECTOR_BHS(sabd, SEL(sa > sb, a - b, b - a))
VECTOR_BHS(uabd, SEL(a > b, a - b, b - a))
VECTOR_BHS(saba, d + SEL(sa > sb, a - b, b - a))
VECTOR_BHS(uaba, d + SEL(a > b, a - b, b - a))

VECTOR_BHSD(add, a + b)
VECTOR_BHSD(sub, a - b)
VECTOR_BHS(mul, a * b)
VECTOR_BHS(mla, d + a * b)
VECTOR_BHS(mls, d - a * b)
VECTOR_(16, mul_e, ELEMENT, a * b)
VECTOR_(32, mul_e, ELEMENT, a * b)
VECTOR_(16, mla_e, ELEMENT, d + a * b)
VECTOR_(32, mla_e, ELEMENT, d + a * b)
VECTOR_(16, mls_e, ELEMENT, d - a * b)
VECTOR_(32, mls_e, ELEMENT, d - a * b)

SIMD_POLYNOMIAL(8)
VECTOR(8, pmul, simd_polynomial8(a, b))

/* Doubling product, upper half (C7.2.288 SQDMULH, C7.2.298 SQRDMULH). */
#define	DOUBLED(bits)	(2 * (wide##bits)sa * sb)
#define	ROUND(bits)	((wide##bits)1 << (bits - 1))
#define	DMULH(bits, second, form)						\
	LANES_(bits, sqdmulh##form, second, sat_s##bits(DOUBLED(bits) >> bits, &q))	\
	LANES_(bits, sqrdmulh##form, second, sat_s##bits((DOUBLED(bits) + ROUND(bits)) >> bits, &q))
DMULH(16, (vu)v_get(c, i->rm), )
DMULH(32, (vu)v_get(c, i->rm), )
DMULH(16, ELEMENT, _e)
DMULH(32, ELEMENT, _e)

/* Shifts by the lowest byte of an element of Vm, right if it is negative. */
#define	SHIFTS(bits)								\
	LANES(bits, sshl, simd_shift_s(sa, (int8_t)b, bits, false, false, &q))	\
	LANES(bits, ushl, simd_shift_u(a, (int8_t)b, bits, false, false, &q))	\
	LANES(bits, srshl, simd_shift_s(sa, (int8_t)b, bits, true, false, &q))	\
	LANES(bits, urshl, simd_shift_u(a, (int8_t)b, bits, true, false, &q))	\
	LANES(bits, sqshl, simd_shift_s(sa, (int8_t)b, bits, false, true, &q))	\
	LANES(bits, uqshl, simd_shift_u(a, (int8_t)b, bits, false, true, &q))	\
	LANES(bits, sqrshl, simd_shift_s(sa, (int8_t)b, bits, true, true, &q))	\
	LANES(bits, uqrshl, simd_shift_u(a, (int8_t)b, bits, true, true, &q))
SHIFTS(8)
SHIFTS(16)
SHIFTS(32)
SHIFTS(64)

/*
 * Pairwise: elements of even and of odd number of Vm:Vn.  A 64-bit form has both operands in one vector, whose pairs make the lower
 * half of the result.
 */
#define	EVEN8		0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
#define	ODD8		1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
#define	EVEN16		0, 2, 4, 6, 8, 10, 12, 14
#define	ODD16		1, 3, 5, 7, 9, 11, 13, 15
#define	EVEN32		0, 2, 4, 6
#define	ODD32		1, 3, 5, 7
#define	EVEN64		0, 2
#define	ODD64		1, 3
#define	PAIRS(bits, name, expr)							\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		typedef vu##bits vu;						\
		typedef vs##bits vs SIMD_LOCAL;					\
		vu64 n = v_get(c, i->rn), m = v_get(c, i->rm);			\
										\
		if (i->arg == 0)						\
			n[1] = m[0];						\
		const vu a = __builtin_shufflevector((vu)n, (vu)m, EVEN##bits);	\
		const vu b = __builtin_shufflevector((vu)n, (vu)m, ODD##bits);	\
		const vs sa SIMD_LOCAL = (vs)a, sb SIMD_LOCAL = (vs)b;		\
										\
		return (v_put(c, i, (vu64)(expr)));				\
	}
#define	PAIRS_BHS(name, expr)							\
	PAIRS(8, name, expr)							\
	PAIRS(16, name, expr)							\
	PAIRS(32, name, expr)
PAIRS_BHS(addp, a + b)
PAIRS(64, addp, a + b)
PAIRS_BHS(smaxp, SEL(sa > sb, a, b))
PAIRS_BHS(umaxp, SEL(a > b, a, b))
PAIRS_BHS(sminp, SEL(sa < sb, a, b))
PAIRS_BHS(uminp, SEL(a < b, a, b))

VECTOR(64, and, a & b)
VECTOR(64, bic, a & ~b)
VECTOR(64, orr, a | b)
VECTOR(64, orn, a | ~b)
VECTOR(64, eor, a ^ b)
VECTOR(64, bsl, (d & a) | (~d & b))
VECTOR(64, bit, (b & a) | (~b & d))
VECTOR(64, bif, (b & d) | (~b & a))

/* By U and opcode, bits 15:11. */
static const struct simd_row rows[2][0x18] = {
	{
	[0x00] = { F_BHS(shadd), 0 },
	[0x01] = { F_BHSD(sqadd), SC_BHSD },
	[0x02] = { F_BHS(srhadd), 0 },
	[0x04] = { F_BHS(shsub), 0 },
	[0x05] = { F_BHSD(sqsub), SC_BHSD },
	[0x06] = { F_BHSD(cmgt), SC_D },
	[0x07] = { F_BHSD(cmge), SC_D },
	[0x08] = { F_BHSD(sshl), SC_D },
	[0x09] = { F_BHSD(sqshl), SC_BHSD },
	[0x0a] = { F_BHSD(srshl), SC_D },
	[0x0b] = { F_BHSD(sqrshl), SC_BHSD },
	[0x0c] = { F_BHS(smax), 0 },
	[0x0d] = { F_BHS(smin), 0 },
	[0x0e] = { F_BHS(sabd), 0 },
	[0x0f] = { F_BHS(saba), 0 },
	[0x10] = { F_BHSD(add), SC_D },
	[0x11] = { F_BHSD(cmtst), SC_D },
	[0x12] = { F_BHS(mla), 0 },
	[0x13] = { F_BHS(mul), 0 },
	[0x14] = { F_BHS(smaxp), 0 },
	[0x15] = { F_BHS(sminp), 0 },
	[0x16] = { F_HS(sqdmulh), SC_HS },
	[0x17] = { F_BHSD(addp), 0 },
	}, {
	[0x00] = { F_BHS(uhadd), 0 },
	[0x01] = { F_BHSD(uqadd), SC_BHSD },
	[0x02] = { F_BHS(urhadd), 0 },
	[0x04] = { F_BHS(uhsub), 0 },
	[0x05] = { F_BHSD(uqsub), SC_BHSD },
	[0x06] = { F_BHSD(cmhi), SC_D },
	[0x07] = { F_BHSD(cmhs), SC_D },
	[0x08] = { F_BHSD(ushl), SC_D },
	[0x09] = { F_BHSD(uqshl), SC_BHSD },
	[0x0a] = { F_BHSD(urshl), SC_D },
	[0x0b] = { F_BHSD(uqrshl), SC_BHSD },
	[0x0c] = { F_BHS(umax), 0 },
	[0x0d] = { F_BHS(umin), 0 },
	[0x0e] = { F_BHS(uabd), 0 },
	[0x0f] = { F_BHS(uaba), 0 },
	[0x10] = { F_BHSD(sub), SC_D },
	[0x11] = { F_BHSD(cmeq), SC_D },
	[0x12] = { F_BHS(mls), 0 },
	[0x13] = { F_B(pmul), 0 },
	[0x14] = { F_BHS(umaxp), 0 },
	[0x15] = { F_BHS(uminp), 0 },
	[0x16] = { F_HS(sqrdmulh), SC_HS },
	},
};
#define	OP_LOGIC	0x03U		/* bits instead of elements; the size is part of the opcode */
static a64_op *const logic[2][4] = { { and64, bic64, orr64, orn64 }, { eor64, bsl64, bit64, bif64 } };

const struct simd_row simd_mul_e = { F_HS(mul_e), 0 };
const struct simd_row simd_mla_e = { F_HS(mla_e), 0 };
const struct simd_row simd_mls_e = { F_HS(mls_e), 0 };
const struct simd_row simd_sqdmulh_e = { F_HS(sqdmulh_e), SC_HS };
const struct simd_row simd_sqrdmulh_e = { F_HS(sqrdmulh_e), SC_HS };

bool
simd_same(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned u = a64_bits(word, 29, 29), size = a64_bits(word, 23, 22), op = a64_bits(word, 15, 11);

	if (op == OP_LOGIC && !simd_scalar(word)) {
		i->fn = logic[u][size];
		i->arg2 = (uint8_t)(3 + a64_bits(word, 30, 30));
		return (true);
	}
	return (op < sizeof(rows[0]) / sizeof(rows[0][0]) && simd_pick(&rows[u][op], size, word, i));
}
