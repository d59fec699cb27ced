/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simd_diff.c - Advanced SIMD three different, and by element, vector and scalar (Arm ARM C4.1.96).
 *
 * Operations whose operands or result have elements of twice the size.  In the expressions a and b are the operands (Vn, Vm) and d the
 * old destination, as unsigned elements of the wider size; sa, sb and sd the same as signed ones.
 */
#include "simd.h"

/* Half a register, each element widened by its sign. */
#define	WIDEN_S8(v)	__builtin_convertvector((hs8)(v), vs16)
#define	WIDEN_S16(v)	__builtin_convertvector((hs16)(v), vs32)
#define	WIDEN_S32(v)	__builtin_convertvector((hs32)(v), vs64)
#define	WIDEN_U8(v)	__builtin_convertvector((hu8)(v), vu16)
#define	WIDEN_U16(v)	__builtin_convertvector((hu16)(v), vu32)
#define	WIDEN_U32(v)	__builtin_convertvector((hu32)(v), vu64)

/* Half of Vm; its element imm in every place, as half a register; all of a register of wide elements. */
#define	HALF(bits)	v_half(c, i, i->rm)
#define	ELEMENT(bits)	((hu##bits){ 0 } + ((vu##bits)v_get(c, i->rm))[i->imm])

/* One operation, with how a and b are read. */
#define	WIDE_(bits, wide, name, first, second, expr)				\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		typedef vu##wide vu SIMD_LOCAL;					\
		typedef vs##wide vs SIMD_LOCAL;					\
		const vu a = (vu)(first), b = (vu)(second);			\
		const vu d SIMD_LOCAL = (vu)v_get(c, i->rd);			\
		const vs sa SIMD_LOCAL = (vs)a, sb SIMD_LOCAL = (vs)b;		\
										\
		return (v_put(c, i, (vu64)(expr)));				\
	}
#define	SIGNED(bits, wide, name, second, expr)					\
	WIDE_(bits, wide, name, WIDEN_S##bits(v_half(c, i, i->rn)), WIDEN_S##bits(second(bits)), expr)
#define	UNSIGNED(bits, wide, name, second, expr)				\
	WIDE_(bits, wide, name, WIDEN_U##bits(v_half(c, i, i->rn)), WIDEN_U##bits(second(bits)), expr)

/* And of each sign and size: name is the mnemonic without its first letter. */
#define	LONG(name, expr, uexpr)							\
	SIGNED(8, 16, s##name, HALF, expr)					\
	SIGNED(16, 32, s##name, HALF, expr)					\
	SIGNED(32, 64, s##name, HALF, expr)					\
	UNSIGNED(8, 16, u##name, HALF, uexpr)					\
	UNSIGNED(16, 32, u##name, HALF, uexpr)					\
	UNSIGNED(32, 64, u##name, HALF, uexpr)
#define	LONG_E(name, expr)							\
	SIGNED(16, 32, s##name##_e, ELEMENT, expr)				\
	SIGNED(32, 64, s##name##_e, ELEMENT, expr)				\
	UNSIGNED(16, 32, u##name##_e, ELEMENT, expr)				\
	UNSIGNED(32, 64, u##name##_e, ELEMENT, expr)

LONG(addl, a + b, a + b)
LONG(subl, a - b, a - b)
LONG(abal, d + SEL(sa > sb, a - b, b - a), d + SEL(sa > sb, a - b, b - a))
LONG(abdl, SEL(sa > sb, a - b, b - a), SEL(sa > sb, a - b, b - a))

/*
 * Products.  Of widened 32-bit elements the lower 64 bits are right for either sign, but the compiler knows a fast form for unsigned
 * ones only.
 */
LONG(mull, a * b, a * b)
LONG(mlal, d + a * b, d + a * b)
LONG(mlsl, d - a * b, d - a * b)
LONG_E(mull, a * b)
LONG_E(mlal, d + a * b)
LONG_E(mlsl, d - a * b)

/* Wide: Vn has elements of the result's size. */
#define	WIDE(bits, wide)							\
	WIDE_(bits, wide, saddw, v_get(c, i->rn), WIDEN_S##bits(HALF(bits)), a + b)	\
	WIDE_(bits, wide, uaddw, v_get(c, i->rn), WIDEN_U##bits(HALF(bits)), a + b)	\
	WIDE_(bits, wide, ssubw, v_get(c, i->rn), WIDEN_S##bits(HALF(bits)), a - b)	\
	WIDE_(bits, wide, usubw, v_get(c, i->rn), WIDEN_U##bits(HALF(bits)), a - b)
WIDE(8, 16)
WIDE(16, 32)
WIDE(32, 64)

/* Narrow: the upper half of each element of the sum or difference. */
#define	HIGH(bits, wide, name, expr)						\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		typedef vu##wide vu;						\
		const vu a = (vu)v_get(c, i->rn), b = (vu)v_get(c, i->rm);	\
		const vu round SIMD_LOCAL = (vu){ 0 } + ((uint##wide##_t)1 << (bits - 1));	\
										\
		return (v_put_half(c, i, (uint64_t)__builtin_convertvector((expr) >> bits, hu##bits), 0));	\
	}
#define	HIGHS(bits, wide)							\
	HIGH(bits, wide, addhn, a + b)						\
	HIGH(bits, wide, raddhn, a + b + round)					\
	HIGH(bits, wide, subhn, a - b)						\
	HIGH(bits, wide, rsubhn, a - b + round)
HIGHS(8, 16)
HIGHS(16, 32)
HIGHS(32, 64)

/* Doubling product, saturated, and then added or subtracted with saturation (C7.2.285 SQDMLAL): both set QC. */
#define	DOUBLED(bits, wbits, name, second, expr)					\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		const hs##bits n = (hs##bits)v_half(c, i, i->rn), m = (hs##bits)(second(bits));	\
		const vs##wbits old SIMD_LOCAL = (vs##wbits)v_get(c, i->rd);	\
		vs##wbits r = { 0 }, sat = { 0 };				\
										\
		for (unsigned k = 0; k < 128 / wbits; k++) {			\
			const wide##wbits d SIMD_LOCAL = old[k];			\
			bool q = false;						\
			const wide##wbits p = sat_s##wbits(2 * (wide##wbits)n[k] * m[k], &q);	\
										\
			r[k] = sat_s##wbits(expr, &q);				\
			sat[k] = q;						\
		}								\
		return (v_put_sat(c, i, (vu64)r, (vu64)sat));			\
	}
#define	DOUBLEDS(bits, wbits, second, form)					\
	DOUBLED(bits, wbits, sqdmull##form, second, p)				\
	DOUBLED(bits, wbits, sqdmlal##form, second, d + p)			\
	DOUBLED(bits, wbits, sqdmlsl##form, second, d - p)
DOUBLEDS(16, 32, HALF, )
DOUBLEDS(32, 64, HALF, )
DOUBLEDS(16, 32, ELEMENT, _e)
DOUBLEDS(32, 64, ELEMENT, _e)

SIMD_POLYNOMIAL(16)
UNSIGNED(8, 16, pmull, HALF, simd_polynomial16(a, b))

/* By U and opcode, bits 15:12. */
static const struct simd_row rows[2][16] = {
	{
	[0x0] = { F_BHS(saddl), 0 },
	[0x1] = { F_BHS(saddw), 0 },
	[0x2] = { F_BHS(ssubl), 0 },
	[0x3] = { F_BHS(ssubw), 0 },
	[0x4] = { F_BHS(addhn), 0 },
	[0x5] = { F_BHS(sabal), 0 },
	[0x6] = { F_BHS(subhn), 0 },
	[0x7] = { F_BHS(sabdl), 0 },
	[0x8] = { F_BHS(smlal), 0 },
	[0x9] = { F_HS(sqdmlal), SC_HS },
	[0xa] = { F_BHS(smlsl), 0 },
	[0xb] = { F_HS(sqdmlsl), SC_HS },
	[0xc] = { F_BHS(smull), 0 },
	[0xd] = { F_HS(sqdmull), SC_HS },
	[0xe] = { F_B(pmull), 0 },
	}, {
	[0x0] = { F_BHS(uaddl), 0 },
	[0x1] = { F_BHS(uaddw), 0 },
	[0x2] = { F_BHS(usubl), 0 },
	[0x3] = { F_BHS(usubw), 0 },
	[0x4] = { F_BHS(raddhn), 0 },
	[0x5] = { F_BHS(uabal), 0 },
	[0x6] = { F_BHS(rsubhn), 0 },
	[0x7] = { F_BHS(uabdl), 0 },
	[0x8] = { F_BHS(umlal), 0 },
	[0xa] = { F_BHS(umlsl), 0 },
	[0xc] = { F_BHS(umull), 0 },
	},
};
#define	OP_ADDHN	0x4U
#define	OP_SUBHN	0x6U
#define	OP_PMULL	0xeU

/* Set up a widening operation: the result is 128 bits whatever Q, which says what half is read; a scalar's is twice its size. */
static void
widening(uint32_t word, unsigned size, struct a64_insn *i)
{
	i->arg2 = (uint8_t)(simd_scalar(word) ? size + 1 : 4);
}

bool
simd_diff(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned u = a64_bits(word, 29, 29), size = a64_bits(word, 23, 22), op = a64_bits(word, 15, 12);

	if (op == OP_PMULL && u == 0 && size == 3 && !simd_scalar(word) && (features & A64_F_PMULL) != 0) {
		i->arg = a64_bits(word, 30, 30) != 0;
		i->fn = simd_crypto_ops(true)[CRYPTO_PMULL];
		return (true);
	}
	if (!simd_pick(&rows[u][op], size, word, i))
		return (false);
	if (op == OP_ADDHN || op == OP_SUBHN)
		i->arg2 = 3;
	else
		widening(word, size, i);
	return (true);
}

/* By element: by U and opcode, bits 15:12. */
static const struct simd_row smlal_e = { F_HS(smlal_e), 0 }, umlal_e = { F_HS(umlal_e), 0 };
static const struct simd_row smlsl_e = { F_HS(smlsl_e), 0 }, umlsl_e = { F_HS(umlsl_e), 0 };
static const struct simd_row smull_e = { F_HS(smull_e), 0 }, umull_e = { F_HS(umull_e), 0 };
static const struct simd_row sqdmlal_e = { F_HS(sqdmlal_e), SC_HS };
static const struct simd_row sqdmlsl_e = { F_HS(sqdmlsl_e), SC_HS };
static const struct simd_row sqdmull_e = { F_HS(sqdmull_e), SC_HS };
static const struct {
	const struct simd_row *row;
	bool		 wide;
} elements[2][16] = {
	{
	[0x2] = { &smlal_e, true },
	[0x3] = { &sqdmlal_e, true },
	[0x6] = { &smlsl_e, true },
	[0x7] = { &sqdmlsl_e, true },
	[0x8] = { &simd_mul_e, false },
	[0xa] = { &smull_e, true },
	[0xb] = { &sqdmull_e, true },
	[0xc] = { &simd_sqdmulh_e, false },
	[0xd] = { &simd_sqrdmulh_e, false },
	}, {
	[0x0] = { &simd_mla_e, false },
	[0x2] = { &umlal_e, true },
	[0x4] = { &simd_mls_e, false },
	[0x6] = { &umlsl_e, true },
	[0xa] = { &umull_e, true },
	},
};

bool
simd_element(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned u = a64_bits(word, 29, 29), size = a64_bits(word, 23, 22), op = a64_bits(word, 15, 12);
	unsigned h = a64_bits(word, 11, 11), l = a64_bits(word, 21, 21), m = a64_bits(word, 20, 20);

	if (elements[u][op].row == NULL || !simd_pick(elements[u][op].row, size, word, i))
		return (false);
	if (elements[u][op].wide)
		widening(word, size, i);
	/* 16-bit elements are of V0 to V15, and M is a bit of the index (C7.2.200 MUL, by element) */
	if (size == 1) {
		i->rm &= 15;
		i->imm = h << 2 | l << 1 | m;
	} else {
		i->imm = h << 1 | l;
	}
	return (true);
}
