/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fp.c - floating point of the arm64 processor: its exceptions, and the decoder of scalar instructions (Arm ARM C4.1.96).
 */
#include "fp_ops.h"

void
a64_fp_enter(struct a64 *c)
{
	(void)c;
	(void)hostfp_take_flags();
}

void
a64_fp_sync(struct a64 *c)
{
	c->s->fpsr |= hostfp_take_flags();
}

/* Operands are one scalar of the type field's size; half precision is there to be converted only. */
static bool
scalar(struct a64_insn *i, bool half)
{
	static const uint8_t size[] = { FPX_S, FPX_D, 3, FPX_H };
	unsigned sz = size[a64_bits(i->word, 23, 22)];

	if (sz == 3 || (sz == FPX_H && !half))
		return (false);
	i->arg2 = FP_SHAPE(sz, 1);
	return (true);
}

/* VFPExpandImm (Arm ARM C2.2.2) */
static uint64_t
expand_imm(enum fpx_size sz, unsigned imm8)
{
	uint64_t sign = imm8 >> 7, exp = (imm8 >> 6 & 1) != 0 ? 0x7c : 0x80, low = imm8 & 0x3f;

	if (sz == FPX_S)
		return (sign << 31 | exp << 23 | low << 19);
	return (sign << 63 | (exp == 0x80 ? 0x400ULL : 0x3fcULL) << 52 | low << 48);
}

struct one_row {
	a64_op	*fn[2];		/* single, double */
	uint8_t	 arg;
	uint8_t	 half;		/* also half precision */
};

/* Data-processing (1 source), by opcode */
static const struct one_row one_source[64] = {
	[0] = { { fp_fmov, fp_fmov }, 0, 0 },
	[1] = { { fp_abs_v, fp_abs_v }, 0, 0 },
	[2] = { { fp_neg_v, fp_neg_v }, 0, 0 },
	[3] = { { fp_sqrt_s, fp_sqrt_d }, FP_SQRT, 0 },
	[4] = { { NULL, fp_d_to_s }, FPX_S, 1 },
	[5] = { { fp_s_to_d, NULL }, FPX_D, 1 },
	[7] = { { fp_convert, fp_convert }, FPX_H, 0 },
	[8] = { { fp_rint, fp_rint }, FPX_TIEEVEN, 0 },
	[9] = { { fp_rint, fp_rint }, FPX_POSINF, 0 },
	[10] = { { fp_rint, fp_rint }, FPX_NEGINF, 0 },
	[11] = { { fp_rint, fp_rint }, FPX_ZERO, 0 },
	[12] = { { fp_rint, fp_rint }, FPX_TIEAWAY, 0 },
	[14] = { { fp_rint, fp_rint }, FP_BY_FPCR | FP_EXACT, 0 },
	[15] = { { fp_rint, fp_rint }, FP_BY_FPCR, 0 },
};

static bool
decode_one(struct a64_insn *i)
{
	const struct one_row *r = &one_source[a64_bits(i->word, 20, 15)];

	if (!scalar(i, r->half))
		return (false);
	i->fn = fp_size(i) == FPX_H ? fp_convert : r->fn[fp_size(i) == FPX_D];
	i->arg = r->arg;
	return (i->fn != NULL);
}

static bool
decode_two(struct a64_insn *i)
{
	static const struct {
		a64_op	*fn[2];
		uint8_t	 op;
	} two[] = {
		{ { fp_mul_s, fp_mul_d }, FP_MUL },
		{ { fp_div_s, fp_div_d }, FP_DIV },
		{ { fp_add_s, fp_add_d }, FP_ADD },
		{ { fp_sub_s, fp_sub_d }, FP_SUB },
		{ { fp_max_s, fp_max_d }, FP_MAX },
		{ { fp_min_s, fp_min_d }, FP_MIN },
		{ { fp_max_s, fp_max_d }, FP_MAXNM },
		{ { fp_min_s, fp_min_d }, FP_MINNM },
		{ { fp_nmul_s, fp_nmul_d }, FP_NMUL },
	};
	unsigned opcode = a64_bits(i->word, 15, 12);

	if (opcode >= sizeof(two) / sizeof(two[0]) || !scalar(i, false))
		return (false);
	i->fn = two[opcode].fn[fp_size(i) == FPX_D];
	i->arg = two[opcode].op;
	return (true);
}

static bool
decode_three(struct a64_insn *i)
{
	/* FMADD, FMSUB, FNMADD, FNMSUB: what is negated */
	static const uint8_t negated[] = { 0, 1, 3, 2 };

	if (!scalar(i, false))
		return (false);
	i->fn = fp_size(i) == FPX_S ? fp_madd_s : fp_madd_d;
	i->arg = negated[a64_bits(i->word, 21, 21) << 1 | a64_bits(i->word, 15, 15)];
	return (true);
}

static bool
decode_compare(struct a64_insn *i)
{
	if (a64_bits(i->word, 15, 14) != 0 || a64_bits(i->word, 2, 0) != 0 || !scalar(i, false))
		return (false);
	i->fn = fp_cmp;
	i->arg = (uint8_t)a64_bits(i->word, 4, 0);
	return (true);
}

static bool
decode_conditional(struct a64_insn *i, bool select)
{
	if (!scalar(i, false))
		return (false);
	i->fn = select ? fp_csel : fp_ccmp;
	i->arg = (uint8_t)a64_bits(i->word, 15, 12);
	i->imm = a64_bits(i->word, 4, 0);
	return (true);
}

/* FMOV between a register and a general one, with nothing converted: by sf, type and rmode */
static bool
decode_move(struct a64_insn *i, bool to_x)
{
	i->arg2 = FP_SHAPE(FPX_S, 1);
	i->fn = to_x ? fp_to_x : fp_from_x;
	switch (a64_bits(i->word, 31, 31) << 4 | a64_bits(i->word, 23, 22) << 2 | a64_bits(i->word, 20, 19)) {
	case 0x00:
		return (true);
	case 0x14:
		i->arg2 = FP_SHAPE(FPX_D, 1);
		return (true);
	case 0x19:
		i->fn = to_x ? fp_top_to_x : fp_top_from_x;
		return (true);
	default:
		return (false);
	}
}

/* Conversions from and to a general register, of integers and of fixed-point numbers */
static bool
decode_convert(struct a64_insn *i, bool fixed)
{
	unsigned opcode = a64_bits(i->word, 18, 16), rmode = a64_bits(i->word, 20, 19), scale = a64_bits(i->word, 15, 10);
	bool x = a64_bits(i->word, 31, 31) != 0, dbl, to = opcode < 2;

	if (opcode >= 6 && !fixed)
		return (scale == 0 && decode_move(i, opcode == 6));
	if (!scalar(i, false) || (fixed && (opcode >= 4 || (!x && scale < 32))))
		return (false);
	/* to integers in any mode, of fixed-point numbers to zero; the others have one row */
	if (to ? fixed && rmode != FPX_ZERO : rmode != 0)
		return (false);
	dbl = fp_size(i) == FPX_D;
	i->imm = fixed ? 64 - scale : 0;
	i->arg = (uint8_t)((opcode & 1 ? FP_UNSIGNED : 0) | (x ? FP_X : 0));
	if (opcode == 2 || opcode == 3) {
		i->fn = fixed ? fp_from_int : dbl ? fp_from_int_d : fp_from_int_s;
		return (true);
	}
	i->arg |= to ? rmode : FPX_TIEAWAY;
	i->fn = !to || fixed || rmode != FPX_ZERO ? fp_to_int : dbl ? fp_to_zero_d : fp_to_zero_s;
	return (true);
}

/* Words with 0011110 in bits 30:24 */
static bool
decode_scalar(struct a64_insn *i)
{
	uint32_t w = i->word;

	if (a64_bits(w, 21, 21) == 0)
		return (decode_convert(i, true));
	if (a64_bits(w, 15, 10) == 0)
		return (decode_convert(i, false));
	if (a64_bits(w, 31, 31) != 0)
		return (false);
	switch (a64_bits(w, 11, 10)) {
	case 1:
		return (decode_conditional(i, false));
	case 2:
		return (decode_two(i));
	case 3:
		return (decode_conditional(i, true));
	default:
		break;
	}
	if (a64_bits(w, 14, 10) == 0x10)
		return (decode_one(i));
	if (a64_bits(w, 13, 10) == 8)
		return (decode_compare(i));
	if (a64_bits(w, 12, 10) != 4 || a64_bits(w, 9, 5) != 0 || !scalar(i, false))
		return (false);
	i->fn = fp_fmov_imm;
	i->imm = expand_imm(fp_size(i), a64_bits(w, 20, 13));
	return (true);
}

bool
a64_decode_fp(uint32_t word, unsigned features, struct a64_insn *i)
{
	(void)features;
	i->rd = (uint8_t)a64_bits(word, 4, 0);
	i->rn = (uint8_t)a64_bits(word, 9, 5);
	i->ra = (uint8_t)a64_bits(word, 14, 10);
	i->rm = (uint8_t)a64_bits(word, 20, 16);
	i->imm = 0;
	i->arg = i->arg2 = 0;
	if ((word & 0x7f000000) == 0x1e000000)
		return (decode_scalar(i));
	if ((word & 0xff000000) == 0x1f000000)
		return (decode_three(i));
	return ((word & 0x8e000000) == 0x0e000000 && fp_decode_simd(word, i));
}
