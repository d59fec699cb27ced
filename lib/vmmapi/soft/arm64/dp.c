/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dp.c - integer data processing: decoding (Arm ARM C4.1.2, C4.1.5), addresses, moves, carries and conditions (C6.2).
 */
#include "dp.h"

static enum a64_status
adr(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = a64_pc(c, i) + i->imm;
	return (A64_NEXT(c, i));
}

static enum a64_status
adrp(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = (a64_pc(c, i) & ~0xfffULL) + i->imm;
	return (A64_NEXT(c, i));
}

/* MOVZ and MOVN */
static enum a64_status
movi(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = i->imm;
	return (A64_NEXT(c, i));
}

static enum a64_status
movk(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = (R(i->ra) & ~(0xffffULL << i->arg)) | i->imm;
	return (A64_NEXT(c, i));
}

static enum a64_status
movk32(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = ((uint32_t)R(i->ra) & ~(0xffffU << i->arg)) | i->imm;
	return (A64_NEXT(c, i));
}

static bool
decode_adr(uint32_t w, struct a64_insn *i)
{
	i->imm = (uint64_t)a64_sext((uint64_t)a64_bits(w, 23, 5) << 2 | a64_bits(w, 30, 29), 21);
	if (w >> 31 != 0)
		i->imm <<= 12;
	i->rd = dst(w & 31);
	i->go = w >> 31 != 0 ? adrp : adr;
	return (true);
}

static bool
decode_move_wide(uint32_t w, struct a64_insn *i)
{
	bool sf = w >> 31 != 0;
	unsigned opc = a64_bits(w, 30, 29);

	i->arg = (uint8_t)(16 * a64_bits(w, 22, 21));
	if (opc == 1 || (!sf && i->arg >= 32))
		return (false);
	i->imm = (uint64_t)a64_bits(w, 20, 5) << i->arg;
	i->rd = dst(w & 31);
	i->ra = src(w & 31);
	if (opc == 0)
		i->imm = sf ? ~i->imm : (uint32_t)~i->imm;
	i->go = opc != 3 ? movi : sf ? movk : movk32;
	return (true);
}

static bool
decode_immediate(uint32_t w, unsigned mode, struct a64_insn *i)
{
	switch (a64_bits(w, 25, 23)) {
	case 0:
	case 1:
		return (decode_adr(w, i));
	case 2:
		return (a64_decode_add_imm(w, mode, i));
	case 4:
		return (a64_decode_logical_imm(w, mode, i));
	case 5:
		return (decode_move_wide(w, i));
	case 6:
		return (a64_decode_bitfield(w, i));
	case 7:
		return (a64_decode_extract(w, i));
	default:
		return (false);
	}
}

/* Conditions */

const uint16_t a64_conditions[16] = {
	0xf0f0, 0x0f0f,		/* EQ NE: Z */
	0xcccc, 0x3333,		/* CS CC: C */
	0xff00, 0x00ff,		/* MI PL: N */
	0xaaaa, 0x5555,		/* VS VC: V */
	0x0c0c, 0xf3f3,		/* HI LS: C and not Z */
	0xaa55, 0x55aa,		/* GE LT: N == V */
	0x0a05, 0xf5fa,		/* GT LE: N == V and not Z */
	0xffff, 0xffff,		/* AL; NV is the same */
};

bool
a64_condition(const struct a64 *c, unsigned cond)
{
	return (condition(c, cond));
}

#define	SELECT(name, otherwise)								\
	static enum a64_status								\
	name(struct a64 *c, const struct a64_insn *i)					\
	{										\
		uint64_t n = R(i->rn), m = R(i->rm);					\
											\
		R(i->rd) = (condition(c, i->arg) ? n : (otherwise)) & i->imm;		\
		return (A64_NEXT(c, i));						\
	}

SELECT(csel, m)
SELECT(csinc, m + 1)
SELECT(csinv, ~m)
SELECT(csneg, -m)

static bool
decode_select(uint32_t w, struct a64_insn *i)
{
	static a64_op *const ops[4] = { csel, csinc, csinv, csneg };

	if (a64_bits(w, 29, 29) != 0 || a64_bits(w, 11, 11) != 0)
		return (false);
	i->rd = dst(w & 31);
	i->rn = src(a64_bits(w, 9, 5));
	i->rm = src(a64_bits(w, 20, 16));
	i->arg = (uint8_t)a64_bits(w, 15, 12);
	i->imm = w >> 31 != 0 ? UINT64_MAX : UINT32_MAX;
	i->go = ops[a64_bits(w, 30, 30) << 1 | a64_bits(w, 10, 10)];
	return (true);
}

/* CCMN, CCMP: rm is the zero for an immediate. */
A64_INLINE enum a64_status
compare_if(struct a64 *c, const struct a64_insn *i, bool sub, bool sf)
{
	uint64_t x = R(i->rn), y = R(i->rm) | i->imm;

	if (!condition(c, i->arg))
		NZCV(c) = i->arg2;
	else if (sub)
		(void)sub_flags(c, x, y, sf);
	else
		(void)add_flags(c, x, y, 0, sf);
	return (A64_NEXT(c, i));
}

/* ADC, SBC */
A64_INLINE enum a64_status
add_carry(struct a64 *c, const struct a64_insn *i, bool sub, bool flags, bool sf)
{
	uint64_t x = R(i->rn), y = R(i->rm), r;
	unsigned carry = (NZCV(c) & NZCV_C) != 0;

	if (sub)
		y = ~y;
	r = flags ? add_flags(c, x, y, carry, sf) : x + y + carry;
	R(i->rd) = sf ? r : (uint32_t)r;
	return (A64_NEXT(c, i));
}

#define	FORM(name, call)								\
	static enum a64_status								\
	name(struct a64 *c, const struct a64_insn *i)					\
	{										\
		return (call);								\
	}

FORM(ccmn32, compare_if(c, i, false, false))
FORM(ccmn, compare_if(c, i, false, true))
FORM(ccmp32, compare_if(c, i, true, false))
FORM(ccmp, compare_if(c, i, true, true))
FORM(adc32, add_carry(c, i, false, false, false))
FORM(adcs32, add_carry(c, i, false, true, false))
FORM(sbc32, add_carry(c, i, true, false, false))
FORM(sbcs32, add_carry(c, i, true, true, false))
FORM(adc, add_carry(c, i, false, false, true))
FORM(adcs, add_carry(c, i, false, true, true))
FORM(sbc, add_carry(c, i, true, false, true))
FORM(sbcs, add_carry(c, i, true, true, true))

static bool
decode_compare_if(uint32_t w, struct a64_insn *i)
{
	static a64_op *const ops[2][2] = { { ccmn32, ccmp32 }, { ccmn, ccmp } };

	if (a64_bits(w, 29, 29) == 0 || (w & 0x410) != 0)
		return (false);
	i->rn = src(a64_bits(w, 9, 5));
	if (a64_bits(w, 11, 11) != 0) {
		i->imm = a64_bits(w, 20, 16);
		i->rm = SLOT_ZERO;
	} else {
		i->rm = src(a64_bits(w, 20, 16));
	}
	i->arg = (uint8_t)a64_bits(w, 15, 12);
	i->arg2 = (uint8_t)((w & 0xf) << 4);
	i->go = ops[w >> 31][a64_bits(w, 30, 30)];
	return (true);
}

static bool
decode_carry(uint32_t w, struct a64_insn *i)
{
	static a64_op *const ops[8] = { adc32, adcs32, sbc32, sbcs32, adc, adcs, sbc, sbcs };

	if (a64_bits(w, 15, 10) != 0)
		return (false);
	i->rd = dst(w & 31);
	i->rn = src(a64_bits(w, 9, 5));
	i->rm = src(a64_bits(w, 20, 16));
	i->go = ops[w >> 29];
	return (true);
}

static bool
decode_register(uint32_t w, unsigned features, unsigned mode, struct a64_insn *i)
{
	switch (a64_bits(w, 28, 24)) {
	case 0x0a:
		return (a64_decode_logical_reg(w, i));
	case 0x0b:
		return (a64_decode_add_reg(w, mode, i));
	case 0x1a:
		switch (a64_bits(w, 23, 21)) {
		case 0:
			return (decode_carry(w, i));
		case 2:
			return (decode_compare_if(w, i));
		case 4:
			return (decode_select(w, i));
		case 6:
			return (a64_bits(w, 30, 30) != 0 ? a64_decode_one_source(w, i) :
			    a64_decode_two_source(w, features, i));
		default:
			return (false);
		}
	case 0x1b:
		return (a64_decode_three_source(w, i));
	default:
		return (false);
	}
}

bool
a64_decode_dp(uint32_t w, unsigned features, unsigned mode, struct a64_insn *i)
{
	return (a64_bits(w, 28, 26) == 4 ? decode_immediate(w, mode, i) : decode_register(w, features, mode, i));
}
