/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dp_arith.c - ADD, SUB and the logical operations in all their forms (Arm ARM C4.1.2, C4.1.5; C6.2).
 *
 * One function per operation, size and kind of second operand, so that none of these is looked at when executing.
 */
#include "dp.h"

/* Second operands: shifted registers have the amount in arg; extended ones option in arg2 too. */
enum operand2 { Y_IMM, Y_REG, Y_LSL, Y_LSR, Y_ASR, Y_ROR, Y_EXT, Y_NKINDS };

A64_INLINE uint64_t
shifted(uint64_t v, enum operand2 kind, unsigned n, bool sf)
{
	uint32_t w = (uint32_t)v;

	switch (kind) {
	case Y_LSL:
		return (sf ? v << n : w << n);
	case Y_LSR:
		return (sf ? v >> n : w >> n);
	case Y_ASR:
		return (sf ? (uint64_t)((int64_t)v >> n) : (uint32_t)((int32_t)w >> n));
	case Y_ROR:
		return (sf ? v >> n | v << (-n & 63) : w >> n | w << (-n & 31));
	default:
		return (sf ? v : w);
	}
}

A64_INLINE uint64_t
operand2(const struct a64 *c, const struct a64_insn *i, enum operand2 kind, bool sf)
{
	uint64_t v;

	if (kind == Y_IMM)
		return (i->imm);
	v = R(i->rm);
	if (kind != Y_EXT)
		return (shifted(v, kind, i->arg, sf));
	switch (i->arg2) {		/* ExtendReg() */
	case 0:
		v = (uint8_t)v;
		break;
	case 1:
		v = (uint16_t)v;
		break;
	case 2:
		v = (uint32_t)v;
		break;
	case 4:
		v = (uint64_t)(int8_t)v;
		break;
	case 5:
		v = (uint64_t)(int16_t)v;
		break;
	case 6:
		v = (uint64_t)(int32_t)v;
		break;
	default:
		break;
	}
	v <<= i->arg;
	return (sf ? v : (uint32_t)v);
}

/* op is bits 30:29: subtract, set flags. */
A64_INLINE enum a64_status
add_sub(struct a64 *c, const struct a64_insn *i, bool sf, unsigned op, enum operand2 kind)
{
	uint64_t x = R(i->rn), y = operand2(c, i, kind, sf), r;

	switch (op) {
	case 0:
		r = x + y;
		break;
	case 1:
		r = add_flags(c, x, y, 0, sf);
		break;
	case 2:
		r = x - y;
		break;
	default:
		r = sub_flags(c, x, y, sf);
		break;
	}
	R(i->rd) = sf ? r : (uint32_t)r;
	return (A64_NEXT(c, i));
}

/* op is opc: AND, ORR, EOR, ANDS.  imm inverts the second operand unless it is the operand. */
A64_INLINE enum a64_status
logical(struct a64 *c, const struct a64_insn *i, bool sf, unsigned op, enum operand2 kind)
{
	uint64_t x = R(i->rn), y = operand2(c, i, kind, sf), r;

	if (kind != Y_IMM)
		y ^= i->imm;
	r = op == 1 ? x | y : op == 2 ? x ^ y : x & y;
	if (!sf)
		r = (uint32_t)r;
	if (op == 3)
		set_nzcv(c, (unsigned)(r >> (sf ? 63 : 31)), r == 0, 0, 0);
	R(i->rd) = r;
	return (A64_NEXT(c, i));
}

#define	ONE(f, sf, op, kind)								\
	static enum a64_status f##_##sf##op##_##kind(struct a64 *c, const struct a64_insn *i)	\
	{										\
		return (f(c, i, sf, op, kind));						\
	}
#define	EIGHT(f, kind)									\
	ONE(f, 0, 0, kind) ONE(f, 0, 1, kind) ONE(f, 0, 2, kind) ONE(f, 0, 3, kind)	\
	ONE(f, 1, 0, kind) ONE(f, 1, 1, kind) ONE(f, 1, 2, kind) ONE(f, 1, 3, kind)
#define	ROW(f, kind) [kind] = {								\
	f##_00_##kind, f##_01_##kind, f##_02_##kind, f##_03_##kind,			\
	f##_10_##kind, f##_11_##kind, f##_12_##kind, f##_13_##kind }

EIGHT(add_sub, Y_IMM)
EIGHT(add_sub, Y_REG)
EIGHT(add_sub, Y_LSL)
EIGHT(add_sub, Y_LSR)
EIGHT(add_sub, Y_ASR)
EIGHT(add_sub, Y_EXT)
EIGHT(logical, Y_IMM)
EIGHT(logical, Y_REG)
EIGHT(logical, Y_LSL)
EIGHT(logical, Y_LSR)
EIGHT(logical, Y_ASR)
EIGHT(logical, Y_ROR)

static a64_op *const add_sub_ops[Y_NKINDS][8] = {
	ROW(add_sub, Y_IMM), ROW(add_sub, Y_REG), ROW(add_sub, Y_LSL), ROW(add_sub, Y_LSR), ROW(add_sub, Y_ASR),
	ROW(add_sub, Y_EXT),
};
static a64_op *const logical_ops[Y_NKINDS][8] = {
	ROW(logical, Y_IMM), ROW(logical, Y_REG), ROW(logical, Y_LSL), ROW(logical, Y_LSR), ROW(logical, Y_ASR),
	ROW(logical, Y_ROR),
};

static enum a64_status
mov(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = R(i->rm);
	return (A64_NEXT(c, i));
}

static enum a64_status
mov32(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = (uint32_t)R(i->rm);
	return (A64_NEXT(c, i));
}

bool
a64_decode_add_imm(uint32_t w, unsigned mode, struct a64_insn *i)
{
	i->rn = src_sp(a64_bits(w, 9, 5), mode);
	i->rd = (w & 1U << 29) != 0 ? dst(w & 31) : src_sp(w & 31, mode);
	i->imm = (uint64_t)a64_bits(w, 21, 10) << (a64_bits(w, 22, 22) != 0 ? 12 : 0);
	i->go = add_sub_ops[Y_IMM][w >> 29];
	return (true);
}

bool
a64_decode_logical_imm(uint32_t w, unsigned mode, struct a64_insn *i)
{
	uint64_t tmask;

	if ((w >> 31 == 0 && a64_bits(w, 22, 22) != 0) || !a64_bit_masks(a64_bits(w, 22, 22), a64_bits(w, 15, 10),
	    a64_bits(w, 21, 16), true, w >> 31 != 0, &i->imm, &tmask))
		return (false);
	i->rn = src(a64_bits(w, 9, 5));
	i->rd = a64_bits(w, 30, 29) == 3 ? dst(w & 31) : src_sp(w & 31, mode);
	i->go = logical_ops[Y_IMM][w >> 29];
	return (true);
}

/* The kind and amount of a shifted register; false: reserved. */
static bool
shift_kind(uint32_t w, struct a64_insn *i, enum operand2 *kind)
{
	static const enum operand2 kinds[4] = { Y_LSL, Y_LSR, Y_ASR, Y_ROR };

	i->arg = (uint8_t)a64_bits(w, 15, 10);
	*kind = i->arg == 0 ? Y_REG : kinds[a64_bits(w, 23, 22)];
	return (w >> 31 != 0 || i->arg < 32);
}

bool
a64_decode_add_reg(uint32_t w, unsigned mode, struct a64_insn *i)
{
	enum operand2 kind = Y_EXT;

	i->rm = src(a64_bits(w, 20, 16));
	i->rn = src(a64_bits(w, 9, 5));
	i->rd = dst(w & 31);
	if (a64_bits(w, 21, 21) != 0) {		/* extended */
		i->arg = (uint8_t)a64_bits(w, 12, 10);
		i->arg2 = (uint8_t)a64_bits(w, 15, 13);
		if (a64_bits(w, 23, 22) != 0 || i->arg > 4)
			return (false);
		i->rn = src_sp(a64_bits(w, 9, 5), mode);
		if ((w & 1U << 29) == 0)
			i->rd = src_sp(w & 31, mode);
	} else if (a64_bits(w, 23, 22) == 3 || !shift_kind(w, i, &kind)) {
		return (false);
	}
	i->go = add_sub_ops[kind][w >> 29];
	return (true);
}

bool
a64_decode_logical_reg(uint32_t w, struct a64_insn *i)
{
	enum operand2 kind;

	if (!shift_kind(w, i, &kind))
		return (false);
	i->rm = src(a64_bits(w, 20, 16));
	i->rn = src(a64_bits(w, 9, 5));
	i->rd = dst(w & 31);
	i->imm = a64_bits(w, 21, 21) != 0 ? UINT64_MAX : 0;
	i->go = logical_ops[kind][w >> 29];
	if (i->go == logical_ops[Y_REG][5] && i->rn == SLOT_ZERO && i->imm == 0)
		i->go = mov;
	else if (i->go == logical_ops[Y_REG][1] && i->rn == SLOT_ZERO && i->imm == 0)
		i->go = mov32;
	return (true);
}
