/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fp_simd.c - the decoder of floating point in the Advanced SIMD groups, vector and scalar (Arm ARM C4.1.96).
 *
 * Their tables of opcodes are the same for both; some are vectors' only.  Rows are found by U, the upper bit of size, and opcode.
 */
#include "fp_ops.h"

#define	KEY(u, s1, opcode)	((u) << 6 | (s1) << 5 | (opcode))

static unsigned
key(uint32_t word, unsigned opcode)
{
	return (KEY(a64_bits(word, 29, 29), a64_bits(word, 23, 23), opcode));
}

static bool
is_scalar(uint32_t word)
{
	return (a64_bits(word, 28, 28) != 0);
}

/* The operands, lanes of size sz (0: single) in a register of 64 or 128 bits; false: one double in 64 is reserved. */
static bool
shape(struct a64_insn *i, unsigned sz)
{
	bool q = a64_bits(i->word, 30, 30) != 0;

	if (is_scalar(i->word)) {
		i->arg2 = FP_SHAPE(sz ? FPX_D : FPX_S, 1U);
		return (true);
	}
	i->arg2 = FP_SHAPE(sz ? FPX_D : FPX_S, sz ? 2U : q ? 4U : 2U);
	return (q || !sz);
}

/* Functions that try the host's units. */
static a64_op *
arith2(const struct a64_insn *i)
{
	static a64_op *const fast[][2] = {
		[FP_ADD] = { fp_add_vs, fp_add_vd },
		[FP_SUB] = { fp_sub_vs, fp_sub_vd },
		[FP_MUL] = { fp_mul_vs, fp_mul_vd },
		[FP_DIV] = { fp_div_vs, fp_div_vd },
	};
	bool dbl = fp_size(i) == FPX_D;

	if (i->arg == FP_MLA || i->arg == FP_MLS)
		return (dbl ? fp_mla_vd : fp_mla_vs);
	return (i->arg < sizeof(fast) / sizeof(fast[0]) && fast[i->arg][dbl] != NULL ? fast[i->arg][dbl] : fp_arith2);
}

struct three_row {
	uint8_t	op;
	bool	scalar, pairs;
};

static const struct three_row three_same[128] = {
	[KEY(0, 0, 0x18)] = { FP_MAXNM, false, false },
	[KEY(0, 0, 0x19)] = { FP_MLA, false, false },
	[KEY(0, 0, 0x1a)] = { FP_ADD, false, false },
	[KEY(0, 0, 0x1b)] = { FP_MULX, true, false },
	[KEY(0, 0, 0x1c)] = { FP_CMEQ, true, false },
	[KEY(0, 0, 0x1e)] = { FP_MAX, false, false },
	[KEY(0, 0, 0x1f)] = { FP_RECPS, true, false },
	[KEY(0, 1, 0x18)] = { FP_MINNM, false, false },
	[KEY(0, 1, 0x19)] = { FP_MLS, false, false },
	[KEY(0, 1, 0x1a)] = { FP_SUB, false, false },
	[KEY(0, 1, 0x1e)] = { FP_MIN, false, false },
	[KEY(0, 1, 0x1f)] = { FP_RSQRTS, true, false },
	[KEY(1, 0, 0x18)] = { FP_MAXNM, false, true },
	[KEY(1, 0, 0x1a)] = { FP_ADD, false, true },
	[KEY(1, 0, 0x1b)] = { FP_MUL, false, false },
	[KEY(1, 0, 0x1c)] = { FP_CMGE, true, false },
	[KEY(1, 0, 0x1d)] = { FP_ACGE, true, false },
	[KEY(1, 0, 0x1e)] = { FP_MAX, false, true },
	[KEY(1, 0, 0x1f)] = { FP_DIV, false, false },
	[KEY(1, 1, 0x18)] = { FP_MINNM, false, true },
	[KEY(1, 1, 0x1a)] = { FP_ABD, true, false },
	[KEY(1, 1, 0x1c)] = { FP_CMGT, true, false },
	[KEY(1, 1, 0x1d)] = { FP_ACGT, true, false },
	[KEY(1, 1, 0x1e)] = { FP_MIN, false, true },
};

static bool
decode_three_same(struct a64_insn *i)
{
	const struct three_row *r = &three_same[key(i->word, a64_bits(i->word, 15, 11))];

	if (r->op == FP_NONE || (is_scalar(i->word) && !r->scalar) || !shape(i, a64_bits(i->word, 22, 22)))
		return (false);
	i->arg = r->op;
	i->fn = r->pairs ? fp_pairs : arith2(i);
	return (true);
}

enum misc_kind { MISC_NONE, MISC_BOTH, MISC_VECTOR, MISC_SCALAR, MISC_ESTIMATE, MISC_LONGER, MISC_SHORTER, MISC_SHORTER_ODD };

struct misc_row {
	uint8_t	 kind, arg;
	a64_op	*fn[2];
};

#define	SAME(fn)	{ fn, fn }

static const struct misc_row two_reg_misc[128] = {
	[KEY(0, 0, 0x16)] = { MISC_SHORTER, 0, SAME(fp_shorter) },
	[KEY(0, 0, 0x17)] = { MISC_LONGER, 0, SAME(fp_longer) },
	[KEY(0, 0, 0x18)] = { MISC_VECTOR, FPX_TIEEVEN, SAME(fp_rint) },
	[KEY(0, 0, 0x19)] = { MISC_VECTOR, FPX_NEGINF, SAME(fp_rint) },
	[KEY(0, 0, 0x1a)] = { MISC_BOTH, FPX_TIEEVEN, SAME(fp_to_fixed) },
	[KEY(0, 0, 0x1b)] = { MISC_BOTH, FPX_NEGINF, SAME(fp_to_fixed) },
	[KEY(0, 0, 0x1c)] = { MISC_BOTH, FPX_TIEAWAY, SAME(fp_to_fixed) },
	[KEY(0, 0, 0x1d)] = { MISC_BOTH, 0, SAME(fp_from_fixed) },
	[KEY(0, 1, 0x0c)] = { MISC_BOTH, FP_CMGT0, SAME(fp_arith1) },
	[KEY(0, 1, 0x0d)] = { MISC_BOTH, FP_CMEQ0, SAME(fp_arith1) },
	[KEY(0, 1, 0x0e)] = { MISC_BOTH, FP_CMLT0, SAME(fp_arith1) },
	[KEY(0, 1, 0x0f)] = { MISC_VECTOR, 0, SAME(fp_abs_v) },
	[KEY(0, 1, 0x18)] = { MISC_VECTOR, FPX_POSINF, SAME(fp_rint) },
	[KEY(0, 1, 0x19)] = { MISC_VECTOR, FPX_ZERO, SAME(fp_rint) },
	[KEY(0, 1, 0x1a)] = { MISC_BOTH, FPX_POSINF, SAME(fp_to_fixed) },
	[KEY(0, 1, 0x1b)] = { MISC_BOTH, FPX_ZERO, SAME(fp_to_fixed) },
	[KEY(0, 1, 0x1c)] = { MISC_ESTIMATE, FP_URECPE, SAME(fp_arith1) },
	[KEY(0, 1, 0x1d)] = { MISC_BOTH, FP_RECPE, SAME(fp_arith1) },
	[KEY(0, 1, 0x1f)] = { MISC_SCALAR, FP_RECPX, SAME(fp_arith1) },
	[KEY(1, 0, 0x16)] = { MISC_SHORTER_ODD, 0, SAME(fp_shorter_odd) },
	[KEY(1, 0, 0x18)] = { MISC_VECTOR, FPX_TIEAWAY, SAME(fp_rint) },
	[KEY(1, 0, 0x19)] = { MISC_VECTOR, FP_BY_FPCR | FP_EXACT, SAME(fp_rint) },
	[KEY(1, 0, 0x1a)] = { MISC_BOTH, FPX_TIEEVEN | FP_UNSIGNED, SAME(fp_to_fixed) },
	[KEY(1, 0, 0x1b)] = { MISC_BOTH, FPX_NEGINF | FP_UNSIGNED, SAME(fp_to_fixed) },
	[KEY(1, 0, 0x1c)] = { MISC_BOTH, FPX_TIEAWAY | FP_UNSIGNED, SAME(fp_to_fixed) },
	[KEY(1, 0, 0x1d)] = { MISC_BOTH, FP_UNSIGNED, SAME(fp_from_fixed) },
	[KEY(1, 1, 0x0c)] = { MISC_BOTH, FP_CMGE0, SAME(fp_arith1) },
	[KEY(1, 1, 0x0d)] = { MISC_BOTH, FP_CMLE0, SAME(fp_arith1) },
	[KEY(1, 1, 0x0f)] = { MISC_VECTOR, 0, SAME(fp_neg_v) },
	[KEY(1, 1, 0x19)] = { MISC_VECTOR, FP_BY_FPCR, SAME(fp_rint) },
	[KEY(1, 1, 0x1a)] = { MISC_BOTH, FPX_POSINF | FP_UNSIGNED, SAME(fp_to_fixed) },
	[KEY(1, 1, 0x1b)] = { MISC_BOTH, FPX_ZERO | FP_UNSIGNED, SAME(fp_to_fixed) },
	[KEY(1, 1, 0x1c)] = { MISC_ESTIMATE, FP_URSQRTE, SAME(fp_arith1) },
	[KEY(1, 1, 0x1d)] = { MISC_BOTH, FP_RSQRTE, SAME(fp_arith1) },
	[KEY(1, 1, 0x1f)] = { MISC_VECTOR, FP_SQRT, { fp_sqrt_vs, fp_sqrt_vd } },
};

static bool
decode_misc(struct a64_insn *i)
{
	const struct misc_row *r = &two_reg_misc[key(i->word, a64_bits(i->word, 16, 12))];
	unsigned sz = a64_bits(i->word, 22, 22);
	bool one = is_scalar(i->word);

	i->arg = r->arg;
	i->fn = r->fn[sz];
	switch (r->kind) {
	case MISC_BOTH:
		return (shape(i, sz));
	case MISC_VECTOR:
		return (!one && shape(i, sz));
	case MISC_SCALAR:
		return (one && shape(i, sz));
	case MISC_ESTIMATE:
		return (!one && sz == 0 && shape(i, sz));
	case MISC_LONGER:
	case MISC_SHORTER:
	case MISC_SHORTER_ODD:
		if (r->kind == MISC_SHORTER_ODD ? sz == 0 : one)
			return (false);
		i->arg2 = FP_SHAPE(sz ? FPX_S : FPX_H, one ? 1U : sz ? 2U : 4U);
		i->imm = !one && a64_bits(i->word, 30, 30);
		return (true);
	default:
		return (false);
	}
}

/* Across lanes, which are four singles; scalar pairwise, two of either */
static bool
decode_across(struct a64_insn *i)
{
	unsigned sz = a64_bits(i->word, 22, 22);

	switch (key(i->word, a64_bits(i->word, 16, 12))) {
	case KEY(1, 0, 0x0c):
		i->arg = FP_MAXNM;
		break;
	case KEY(1, 0, 0x0d):
		if (!is_scalar(i->word))
			return (false);
		i->arg = FP_ADD;
		break;
	case KEY(1, 0, 0x0f):
		i->arg = FP_MAX;
		break;
	case KEY(1, 1, 0x0c):
		i->arg = FP_MINNM;
		break;
	case KEY(1, 1, 0x0f):
		i->arg = FP_MIN;
		break;
	default:
		return (false);
	}
	i->fn = fp_reduce;
	if (is_scalar(i->word)) {
		i->arg2 = FP_SHAPE(sz ? FPX_D : FPX_S, 2U);
		return (true);
	}
	i->arg2 = FP_SHAPE(FPX_S, 4U);
	return (sz == 0 && a64_bits(i->word, 30, 30) != 0);
}

static bool
decode_element(struct a64_insn *i)
{
	unsigned sz = a64_bits(i->word, 22, 22), l = a64_bits(i->word, 21, 21), h = a64_bits(i->word, 11, 11);

	switch (key(i->word, a64_bits(i->word, 15, 12))) {
	case KEY(0, 1, 1):
		i->arg = FP_MLA;
		break;
	case KEY(0, 1, 5):
		i->arg = FP_MLS;
		break;
	case KEY(0, 1, 9):
		i->arg = FP_MUL;
		break;
	case KEY(1, 1, 9):
		i->arg = FP_MULX;
		break;
	default:
		return (false);
	}
	/* Rm has five bits here: M is above the four of narrower elements */
	i->imm = 1 + (sz ? h : h << 1 | l);
	if (!shape(i, sz) || (sz && l))
		return (false);
	i->fn = arith2(i);
	return (true);
}

/* Shift by immediate: the number of bits after the point is encoded as a right shift's. */
static bool
decode_fixed(struct a64_insn *i)
{
	unsigned immh = a64_bits(i->word, 22, 19), opcode = a64_bits(i->word, 15, 11), sz = immh >> 3;

	if (a64_bits(i->word, 23, 23) != 0 || immh < 4 || (opcode != 0x1c && opcode != 0x1f) || !shape(i, sz))
		return (false);
	i->imm = (sz ? 128 : 64) - a64_bits(i->word, 22, 16);
	i->arg = (uint8_t)((opcode == 0x1c ? 0 : FPX_ZERO) | (a64_bits(i->word, 29, 29) ? FP_UNSIGNED : 0));
	i->fn = opcode == 0x1c ? fp_from_fixed : fp_to_fixed;
	return (true);
}

/* Words with 0, then 111 in bits 27:25: bit 28 is the scalar groups' */
bool
fp_decode_simd(uint32_t word, struct a64_insn *i)
{
	if (is_scalar(word) && a64_bits(word, 30, 30) == 0)
		return (false);
	if (a64_bits(word, 24, 24) != 0) {
		if (a64_bits(word, 10, 10) == 0)
			return (decode_element(i));
		return (decode_fixed(i));
	}
	if (a64_bits(word, 21, 21) == 0)
		return (false);
	if (a64_bits(word, 10, 10) != 0)
		return (decode_three_same(i));
	if (a64_bits(word, 11, 11) == 0)
		return (false);
	switch (a64_bits(word, 20, 17)) {
	case 0:
		return (decode_misc(i));
	case 8:
		return (decode_across(i));
	default:
		return (false);
	}
}
