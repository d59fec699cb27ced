/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simd_shift.c - Advanced SIMD shift by immediate, vector and scalar (Arm ARM C4.1.96), without the conversions.
 *
 * Right shifts go from 1 to all bits and are made in two steps: C has no shift by all bits.
 */
#include "simd.h"

/* a shifted right, not rounded and rounded: the bit that falls out last is added (C7.2.307 SRSHR). */
#define	RIGHT(a)	((a) >> (sh - 1) >> 1)
#define	ROUNDED(a)	(((a) >> (sh - 1) >> 1) + ((a) >> (sh - 1) & 1))

#define	ONES		(~(vu){ 0 })

#define	VECTOR_BHSD(name, expr)	SIMD_BHSD(SIMD_VECTOR, name, expr)

VECTOR_BHSD(sshr, RIGHT(sa))
VECTOR_BHSD(ushr, RIGHT(a))
VECTOR_BHSD(srshr, ROUNDED(sa))
VECTOR_BHSD(urshr, ROUNDED(a))
VECTOR_BHSD(ssra, sd + RIGHT(sa))
VECTOR_BHSD(usra, d + RIGHT(a))
VECTOR_BHSD(srsra, sd + ROUNDED(sa))
VECTOR_BHSD(ursra, d + ROUNDED(a))
VECTOR_BHSD(sri, (d & ~RIGHT(ONES)) | RIGHT(a))
VECTOR_BHSD(shl, a << sh)
VECTOR_BHSD(sli, (d & ~(ONES << sh)) | a << sh)

/* Saturating left shifts, element by element. */
#define	LANES(bits, name, expr)							\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		const vu##bits n = (vu##bits)v_get(c, i->rn);			\
		const int sh = (int)i->imm;					\
		vu##bits r = { 0 }, sat = { 0 };				\
										\
		for (unsigned k = 0; k < 128 / bits; k++) {			\
			const uint##bits##_t a SIMD_LOCAL = n[k];		\
			const int##bits##_t sa SIMD_LOCAL = (int##bits##_t)n[k];	\
			bool q = false;						\
										\
			r[k] = (uint##bits##_t)(expr);				\
			sat[k] = q;						\
		}								\
		return (v_put_sat(c, i, (vu64)r, (vu64)sat));			\
	}

/* SQSHLU (C7.2.303): a signed operand, an unsigned result. */
static inline uint64_t
shlu(int64_t a, int sh, int bits, bool *q)
{
	if (a >= 0)
		return (simd_shift_u((uint64_t)a, sh, bits, false, true, q));
	*q = true;
	return (0);
}

#define	LEFT(bits)								\
	LANES(bits, sqshl, simd_shift_s(sa, sh, bits, false, true, &q))		\
	LANES(bits, uqshl, simd_shift_u(a, sh, bits, false, true, &q))		\
	LANES(bits, sqshlu, shlu(sa, sh, bits, &q))
LEFT(8)
LEFT(16)
LEFT(32)
LEFT(64)

/* Narrowing: elements of twice the size, shifted, then cut or saturated. */
#define	NARROWS(bits, wbits)							\
	SIMD_NARROW(bits, wbits, shrn, RIGHT(a))					\
	SIMD_NARROW(bits, wbits, rshrn, ROUNDED(a))					\
	SIMD_NARROW_SAT(bits, wbits, sqshrn, s, RIGHT(a), INT##bits##_MIN, INT##bits##_MAX)	\
	SIMD_NARROW_SAT(bits, wbits, sqrshrn, s, ROUNDED(a), INT##bits##_MIN, INT##bits##_MAX)	\
	SIMD_NARROW_SAT(bits, wbits, sqshrun, s, RIGHT(a), 0, (int##wbits##_t)UINT##bits##_MAX)	\
	SIMD_NARROW_SAT(bits, wbits, sqrshrun, s, ROUNDED(a), 0, (int##wbits##_t)UINT##bits##_MAX)	\
	SIMD_NARROW_SAT(bits, wbits, uqshrn, u, RIGHT(a), 0, UINT##bits##_MAX)	\
	SIMD_NARROW_SAT(bits, wbits, uqrshrn, u, ROUNDED(a), 0, UINT##bits##_MAX)
NARROWS(8, 16)
NARROWS(16, 32)
NARROWS(32, 64)

/* Widening. */
#define	WIDEN(bits, wbits, name, sign)						\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		const v##sign##wbits a = __builtin_convertvector((h##sign##bits)v_half(c, i, i->rn), v##sign##wbits);	\
										\
		return (v_put(c, i, (vu64)((vu##wbits)a << (int)i->imm)));	\
	}
WIDEN(8, 16, sshll, s)
WIDEN(16, 32, sshll, s)
WIDEN(32, 64, sshll, s)
WIDEN(8, 16, ushll, u)
WIDEN(16, 32, ushll, u)
WIDEN(32, 64, ushll, u)

/* By U and opcode, bits 15:11. */
static const struct simd_row rows[2][0x15] = {
	{
	[0x00] = { F_BHSD(sshr), SC_D },
	[0x02] = { F_BHSD(ssra), SC_D },
	[0x04] = { F_BHSD(srshr), SC_D },
	[0x06] = { F_BHSD(srsra), SC_D },
	[0x0a] = { F_BHSD(shl), SC_D },
	[0x0e] = { F_BHSD(sqshl), SC_BHSD },
	[0x10] = { F_BHS(shrn), 0 },
	[0x11] = { F_BHS(rshrn), 0 },
	[0x12] = { F_BHS(sqshrn), SC_BHS },
	[0x13] = { F_BHS(sqrshrn), SC_BHS },
	[0x14] = { F_BHS(sshll), 0 },
	}, {
	[0x00] = { F_BHSD(ushr), SC_D },
	[0x02] = { F_BHSD(usra), SC_D },
	[0x04] = { F_BHSD(urshr), SC_D },
	[0x06] = { F_BHSD(ursra), SC_D },
	[0x08] = { F_BHSD(sri), SC_D },
	[0x0a] = { F_BHSD(sli), SC_D },
	[0x0c] = { F_BHSD(sqshlu), SC_BHSD },
	[0x0e] = { F_BHSD(uqshl), SC_BHSD },
	[0x10] = { F_BHS(sqshrun), SC_BHS },
	[0x11] = { F_BHS(sqrshrun), SC_BHS },
	[0x12] = { F_BHS(uqshrn), SC_BHS },
	[0x13] = { F_BHS(uqrshrn), SC_BHS },
	[0x14] = { F_BHS(ushll), 0 },
	},
};

/* Of the opcodes: which shift left, which narrow, which widen. */
static const uint32_t lefts = 1U << 0x0a | 1U << 0x0c | 1U << 0x0e | 1U << 0x14;
static const uint32_t narrowing = 1U << 0x10 | 1U << 0x11 | 1U << 0x12 | 1U << 0x13;
static const uint32_t widening = 1U << 0x14;

bool
simd_shift(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned u = a64_bits(word, 29, 29), imm = a64_bits(word, 22, 16), op = a64_bits(word, 15, 11);
	unsigned size;

	/* the highest bit of immh says the size, what is below it and immb the distance */
	if (imm < 8 || op >= sizeof(rows[0]) / sizeof(rows[0][0]))
		return (false);
	size = 28 - (unsigned)__builtin_clz(imm);
	if (!simd_pick(&rows[u][op], size, word, i))
		return (false);
	i->imm = (lefts >> op & 1) != 0 ? imm - (8U << size) : (16U << size) - imm;
	if ((widening >> op & 1) != 0)
		i->arg2 = 4;
	else if ((narrowing >> op & 1) != 0 && !simd_scalar(word))
		i->arg2 = 3;
	return (true);
}
