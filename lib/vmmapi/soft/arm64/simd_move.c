/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simd_move.c - Advanced SIMD copy, modified immediate, extract, table lookup and permute (Arm ARM C4.1.96).
 */
#include "simd.h"

/* One element in all places. */
#define	DUP(bits)								\
	static enum a64_status							\
	dup_element##bits(struct a64 *c, const struct a64_insn *i)		\
	{									\
		const vu##bits n = (vu##bits)v_get(c, i->rn);			\
										\
		return (v_put(c, i, (vu64)((vu##bits){ 0 } + n[i->imm])));	\
	}									\
	static enum a64_status							\
	dup_general##bits(struct a64 *c, const struct a64_insn *i)		\
	{									\
		return (v_put(c, i, (vu64)((vu##bits){ 0 } + (uint##bits##_t)a64_x(c, i->rn))));	\
	}

/*
 * One element alone: INS from element arg of Vn and from a general register, and to one (W if arg is 0).  An insertion is a store of
 * the element's own size: it does not wait for the rest of the register.
 */
#define	ELEMENT(bits)								\
	static inline void							\
	insert##bits(struct a64 *c, const struct a64_insn *i, uint##bits##_t e)	\
	{									\
		memcpy((uint8_t *)&c->s->v[2 * i->rd] + i->imm * sizeof(e), &e, sizeof(e));	\
	}									\
	static enum a64_status							\
	ins_element##bits(struct a64 *c, const struct a64_insn *i)		\
	{									\
		insert##bits(c, i, ((vu##bits)v_get(c, i->rn))[i->arg]);	\
		return (A_DONE);						\
	}									\
	static enum a64_status							\
	ins_general##bits(struct a64 *c, const struct a64_insn *i)		\
	{									\
		insert##bits(c, i, (uint##bits##_t)a64_x(c, i->rn));		\
		return (A_DONE);						\
	}									\
	static enum a64_status							\
	umov##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		a64_set_x(c, i->rd, true, ((vu##bits)v_get(c, i->rn))[i->imm]);	\
		return (A_DONE);						\
	}
#define	SMOV(bits)								\
	static enum a64_status							\
	smov##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		a64_set_x(c, i->rd, i->arg != 0, (uint64_t)(int64_t)((vs##bits)v_get(c, i->rn))[i->imm]);	\
		return (A_DONE);						\
	}

DUP(8)
DUP(16)
DUP(32)
DUP(64)
ELEMENT(8)
ELEMENT(16)
ELEMENT(32)
ELEMENT(64)
SMOV(8)
SMOV(16)
SMOV(32)

/* By imm4, bits 14:11, of op 0; op 1 is INS (element) alone. */
#define	COPY_DUP_ELEMENT	0x0U
#define	COPY_DUP_GENERAL	0x1U
#define	COPY_INS_GENERAL	0x3U
#define	COPY_SMOV		0x5U
#define	COPY_UMOV		0x7U
static const struct simd_row copies[8] = {
	[COPY_DUP_ELEMENT] = { F_BHSD(dup_element), SC_BHSD },
	[COPY_DUP_GENERAL] = { F_BHSD(dup_general), 0 },
	[COPY_INS_GENERAL] = { F_BHSD(ins_general), 0 },
	[COPY_SMOV] = { F_BHS(smov), 0 },
	[COPY_UMOV] = { F_BHSD(umov), 0 },
};
static const struct simd_row ins_element = { F_BHSD(ins_element), 0 };

bool
simd_copy(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned imm5 = a64_bits(word, 20, 16), imm4 = a64_bits(word, 14, 11), q = a64_bits(word, 30, 30);
	unsigned size;

	/* the lowest bit of imm5 says the size, what is above it the element */
	if ((imm5 & 15) == 0)
		return (false);
	size = (unsigned)__builtin_ctz(imm5);
	i->imm = imm5 >> (size + 1);
	if (a64_bits(word, 29, 29) != 0) {
		if (simd_scalar(word) || q == 0 || !simd_pick(&ins_element, size, word, i))
			return (false);
		i->arg = (uint8_t)(imm4 >> size);
		return (true);
	}
	if (imm4 >= sizeof(copies) / sizeof(copies[0]) || !simd_pick(&copies[imm4], size, word, i))
		return (false);
	switch (imm4) {
	case COPY_INS_GENERAL:
		return (q != 0);
	case COPY_SMOV:
		return (size < 2 || q != 0);	/* no word into W */
	case COPY_UMOV:
		return (q == (size == 3));	/* X is written from a doubleword alone */
	default:
		return (true);
	}
}

/* Modified immediate. */
static enum a64_status
movi(struct a64 *c, const struct a64_insn *i)
{
	return (v_put(c, i, (vu64){ i->imm, i->imm }));
}

static enum a64_status
orr_imm(struct a64 *c, const struct a64_insn *i)
{
	return (v_put(c, i, v_get(c, i->rd) | (vu64){ i->imm, i->imm }));
}

static enum a64_status
bic_imm(struct a64 *c, const struct a64_insn *i)
{
	return (v_put(c, i, v_get(c, i->rd) & ~(vu64){ i->imm, i->imm }));
}

/* AdvSIMDExpandImm (J1.2.3). */
static uint64_t
expand(unsigned op, unsigned cmode, uint64_t imm8)
{
	const uint64_t words = 0x0000000100000001U, halves = 0x0001000100010001U, bytes = 0x0101010101010101U;
	uint64_t v = 0;

	if (cmode < 8)
		return ((imm8 << cmode / 2 * 8) * words);
	if (cmode < 12)
		return ((imm8 << (cmode / 2 & 1) * 8) * halves);
	if (cmode == 12)
		return ((imm8 << 8 | 0xff) * words);
	if (cmode == 13)
		return ((imm8 << 16 | 0xffff) * words);
	if (cmode == 14 && op == 0)
		return (imm8 * bytes);
	if (cmode == 14) {
		for (unsigned k = 0; k < 8; k++)
			v |= (imm8 >> k & 1) * 0xff << 8 * k;
		return (v);
	}
	/* a floating point number: sign, exponent's top bit inverted and repeated, two bits of exponent, four of fraction */
	if (op == 0)
		return ((imm8 >> 7 << 31 | ((imm8 >> 6 & 1) != 0 ? 0x1fU : 0x20U) << 25 | (imm8 & 0x3f) << 19) * words);
	return (imm8 >> 7 << 63 | ((imm8 >> 6 & 1) != 0 ? 0xffULL : 0x100ULL) << 54 | (imm8 & 0x3f) << 48);
}

bool
simd_modified(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned q = a64_bits(word, 30, 30), op = a64_bits(word, 29, 29), cmode = a64_bits(word, 15, 12);

	/* bit 11 is half-precision; FMOV of doublewords needs two of them */
	if (a64_bits(word, 11, 11) != 0 || (cmode == 15 && op == 1 && q == 0))
		return (false);
	i->arg2 = (uint8_t)(3 + q);
	i->imm = expand(op, cmode, a64_bits(word, 18, 16) << 5 | a64_bits(word, 9, 5));
	if (cmode < 12 && (cmode & 1) != 0) {
		i->fn = op == 0 ? orr_imm : bic_imm;
	} else {
		i->fn = movi;
		if (op == 1 && cmode < 14)	/* MVNI */
			i->imm = ~i->imm;
	}
	return (true);
}

/* EXT: bytes from imm of Vm:Vn, or of their lower halves.  Whole words of the state page, and what of the next one comes in. */
static enum a64_status
ext(struct a64 *c, const struct a64_insn *i)
{
	const uint64_t *n = &c->s->v[2 * i->rn], *m = &c->s->v[2 * i->rm];
	const uint64_t w[4] = { n[0], i->arg != 0 ? n[1] : m[0], m[0], m[1] };
	unsigned k = (unsigned)i->imm / 8, sh = (unsigned)i->imm % 8 * 8;

	return (v_put(c, i, (vu64){ w[k] >> sh | w[k + 1] << 1 << (63 - sh), w[k + 1] >> sh | w[k + 2] << 1 << (63 - sh) }));
}

static enum a64_status
ext8(struct a64 *c, const struct a64_insn *i)
{
	return (v_put(c, i, (vu64){ c->s->v[2 * i->rn + 1], c->s->v[2 * i->rm] }));
}

bool
simd_ext(uint32_t word, unsigned features, struct a64_insn *i)
{
	unsigned q = a64_bits(word, 30, 30);

	i->imm = a64_bits(word, 14, 11);
	if (q == 0 && i->imm >= 8)
		return (false);
	i->fn = i->imm == 8 ? ext8 : ext;
	i->arg = q != 0;
	i->arg2 = (uint8_t)(3 + q);
	return (true);
}

/* TBL and TBX: arg registers from Vn on, after V31 V0.  An index outside gives zero, or leaves the byte as it is. */
static inline vu8
lookup(struct a64 *c, const struct a64_insn *i, vu8 d)
{
	uint8_t table[4 * 16];
	const vu8 m = (vu8)v_get(c, i->rm);

	for (unsigned k = 0; k < i->arg; k++)
		memcpy(table + 16 * k, &c->s->v[(i->rn + k) % 32 * 2], 16);
	for (unsigned k = 0; k < 16; k++)
		if (m[k] < 16 * i->arg)
			d[k] = table[m[k]];
	return (d);
}

static enum a64_status
tbl(struct a64 *c, const struct a64_insn *i)
{
	return (v_put(c, i, (vu64)lookup(c, i, (vu8){ 0 })));
}

static enum a64_status
tbx(struct a64 *c, const struct a64_insn *i)
{
	return (v_put(c, i, (vu64)lookup(c, i, (vu8)v_get(c, i->rd))));
}

bool
simd_table(uint32_t word, unsigned features, struct a64_insn *i)
{
	i->fn = a64_bits(word, 12, 12) != 0 ? tbx : tbl;
	i->arg = (uint8_t)(a64_bits(word, 14, 13) + 1);
	i->arg2 = (uint8_t)(3 + a64_bits(word, 30, 30));
	return (true);
}

/*
 * Permutations of the elements of Vn and Vm: n is the number of those in a vector, from n on Vm's count.  A 64-bit form uses the
 * lower half of what the 128-bit one makes; prepare says how its operands are laid out for that.
 */
#define	PERMUTE(bits, name, prepare, ...)					\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		vu64 n = v_get(c, i->rn), m = v_get(c, i->rm);			\
										\
		if (i->arg == 0)						\
			prepare;						\
		return (v_put(c, i, (vu64)__builtin_shufflevector((vu##bits)n, (vu##bits)m, __VA_ARGS__)));	\
	}

/* Nothing; both operands in one vector; the upper quarters where the 128-bit form has its upper half. */
#define	AS_IT_IS	(void)0
#define	TOGETHER	n[1] = m[0]
#define	UPPER		(n[1] = n[0] >> 32, m[1] = m[0] >> 32)

PERMUTE(8, zip1_, AS_IT_IS, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
PERMUTE(16, zip1_, AS_IT_IS, 0, 8, 1, 9, 2, 10, 3, 11)
PERMUTE(32, zip1_, AS_IT_IS, 0, 4, 1, 5)
PERMUTE(64, zip1_, AS_IT_IS, 0, 2)
PERMUTE(8, zip2_, UPPER, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
PERMUTE(16, zip2_, UPPER, 4, 12, 5, 13, 6, 14, 7, 15)
PERMUTE(32, zip2_, UPPER, 2, 6, 3, 7)
PERMUTE(64, zip2_, AS_IT_IS, 1, 3)
PERMUTE(8, uzp1_, TOGETHER, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
PERMUTE(16, uzp1_, TOGETHER, 0, 2, 4, 6, 8, 10, 12, 14)
PERMUTE(32, uzp1_, TOGETHER, 0, 2, 4, 6)
PERMUTE(8, uzp2_, TOGETHER, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
PERMUTE(16, uzp2_, TOGETHER, 1, 3, 5, 7, 9, 11, 13, 15)
PERMUTE(32, uzp2_, TOGETHER, 1, 3, 5, 7)
PERMUTE(8, trn1_, AS_IT_IS, 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30)
PERMUTE(16, trn1_, AS_IT_IS, 0, 8, 2, 10, 4, 12, 6, 14)
PERMUTE(32, trn1_, AS_IT_IS, 0, 4, 2, 6)
PERMUTE(8, trn2_, AS_IT_IS, 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31)
PERMUTE(16, trn2_, AS_IT_IS, 1, 9, 3, 11, 5, 13, 7, 15)
PERMUTE(32, trn2_, AS_IT_IS, 1, 5, 3, 7)

/* By opcode, bits 14:12.  Of two doublewords there is nothing to choose: UZP and TRN are ZIP. */
static const struct simd_row permutes[8] = {
	[1] = { { uzp1_8, uzp1_16, uzp1_32, zip1_64 }, 0 },
	[2] = { { trn1_8, trn1_16, trn1_32, zip1_64 }, 0 },
	[3] = { { zip1_8, zip1_16, zip1_32, zip1_64 }, 0 },
	[5] = { { uzp2_8, uzp2_16, uzp2_32, zip2_64 }, 0 },
	[6] = { { trn2_8, trn2_16, trn2_32, zip2_64 }, 0 },
	[7] = { { zip2_8, zip2_16, zip2_32, zip2_64 }, 0 },
};

bool
simd_permute(uint32_t word, unsigned features, struct a64_insn *i)
{
	return (simd_pick(&permutes[a64_bits(word, 14, 12)], a64_bits(word, 23, 22), word, i));
}
