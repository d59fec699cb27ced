/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * insn_arm64.c - A64 decode (Arm ARM C4.1), data processing and branches (C6.2).
 */
#include "a64.h"

/* x + y + carry, with the flags of it (Arm ARM, AddWithCarry()). */
static uint64_t
add_with_carry(uint64_t x, uint64_t y, unsigned carry, bool sf, uint32_t *nzcv)
{
	unsigned top = sf ? 63 : 31;
	uint64_t r;
	bool c;

	if (sf) {
		unsigned __int128 wide = (unsigned __int128)x + y + carry;

		r = (uint64_t)wide;
		c = (wide >> 64) != 0;
	} else {
		x = (uint32_t)x;
		y = (uint32_t)y;
		r = x + y + carry;
		c = (r >> 32) != 0;
		r = (uint32_t)r;
	}
	*nzcv = ((r >> top & 1) != 0 ? PSTATE_N : 0) | (r == 0 ? PSTATE_Z : 0) | (c ? PSTATE_C : 0) |
	    (((x ^ r) & (y ^ r)) >> top & 1 ? PSTATE_V : 0);
	return (r);
}

static void
set_nzcv(struct a64 *c, uint32_t nzcv)
{
	c->s->pstate = (c->s->pstate & ~(uint64_t)PSTATE_NZCV) | nzcv;
}

static void
set_nz(struct a64 *c, uint64_t r, bool sf)
{
	set_nzcv(c, ((sf ? r >> 63 : r >> 31 & 1) != 0 ? PSTATE_N : 0) | (r == 0 ? PSTATE_Z : 0));
}

bool
a64_condition(const struct a64 *c, unsigned cond)
{
	uint64_t p = c->s->pstate;
	bool n = (p & PSTATE_N) != 0, z = (p & PSTATE_Z) != 0, cc = (p & PSTATE_C) != 0, v = (p & PSTATE_V) != 0;
	bool r;

	switch (cond >> 1) {
	case 0:
		r = z;
		break;
	case 1:
		r = cc;
		break;
	case 2:
		r = n;
		break;
	case 3:
		r = v;
		break;
	case 4:
		r = cc && !z;
		break;
	case 5:
		r = n == v;
		break;
	case 6:
		r = n == v && !z;
		break;
	default:
		return (true);
	}
	return ((cond & 1) != 0 ? !r : r);
}

static uint64_t
ones(unsigned n)
{
	return (n >= 64 ? UINT64_MAX : (1ULL << n) - 1);
}

static uint64_t
rotate(uint64_t v, unsigned n, unsigned width)
{
	v &= ones(width);
	n %= width;
	return (n == 0 ? v : (v >> n | v << (width - n)) & ones(width));
}

/* Bitmask immediates (Arm ARM, DecodeBitMasks()): false for the reserved encodings. */
static bool
bit_masks(unsigned n, unsigned imms, unsigned immr, bool logical, bool sf, uint64_t *wmask, uint64_t *tmask)
{
	unsigned combined = n << 6 | (~imms & 0x3f), len, levels, s, r, d, esize;
	uint64_t w, t;

	if (combined < 2)
		return (false);
	len = 31 - (unsigned)__builtin_clz(combined);
	levels = (1U << len) - 1;
	if (logical && (imms & levels) == levels)
		return (false);
	s = imms & levels;
	r = immr & levels;
	d = (s - r) & levels;
	esize = 1U << len;
	w = rotate(ones(s + 1), r, esize);
	t = ones(d + 1);
	for (unsigned i = esize; i < 64; i *= 2) {
		w |= w << i;
		t |= t << i;
	}
	*wmask = sf ? w : (uint32_t)w;
	*tmask = sf ? t : (uint32_t)t;
	return (true);
}

static uint64_t
shift_reg(uint64_t v, unsigned type, unsigned n, bool sf)
{
	unsigned width = sf ? 64 : 32;

	if (!sf)
		v = (uint32_t)v;
	switch (type) {
	case 0:
		return (sf ? v << n : (uint32_t)(v << n));
	case 1:
		return (v >> n);
	case 2:
		return (sf ? (uint64_t)((int64_t)v >> n) : (uint32_t)((int32_t)v >> n));
	default:
		return (rotate(v, n, width));
	}
}

static uint64_t
extend_reg(uint64_t v, unsigned option, unsigned shift)
{
	unsigned width = 8U << (option & 3);

	if (width < 64)
		v = (option & 4) != 0 ? (uint64_t)a64_sext(v, width) : v & ones(width);
	return (v << shift);
}

static void
set_x_or_sp(struct a64 *c, unsigned n, bool sf, uint64_t val)
{
	if (n == 31)
		*a64_sp(c) = sf ? val : (uint32_t)val;
	else
		a64_set_x(c, n, sf, val);
}

/* ADD, SUB and their flag-setting forms, on operands that were made ready. */
static enum a64_result
add_sub(struct a64 *c, uint32_t insn, uint64_t x, uint64_t y, bool sp)
{
	bool sf = insn >> 31 != 0, sub = (insn >> 30 & 1) != 0, flags = (insn >> 29 & 1) != 0;
	uint32_t nzcv;
	uint64_t r = add_with_carry(x, sub ? ~y : y, sub, sf, &nzcv);

	if (flags)
		set_nzcv(c, nzcv);
	if (sp && !flags)
		set_x_or_sp(c, insn & 31, sf, r);
	else
		a64_set_x(c, insn & 31, sf, r);
	return (A64_NEXT);
}

static uint64_t
x_or_sp(struct a64 *c, unsigned n)
{
	return (n == 31 ? *a64_sp(c) : c->s->x[n]);
}

static enum a64_result
logical(struct a64 *c, uint32_t insn, uint64_t x, uint64_t y, bool sp)
{
	bool sf = insn >> 31 != 0;
	unsigned opc = a64_bits(insn, 30, 29);
	uint64_t r = opc == 1 ? x | y : opc == 2 ? x ^ y : x & y;

	if (!sf)
		r = (uint32_t)r;
	if (opc == 3)
		set_nz(c, r, sf);
	if (sp && opc != 3)
		set_x_or_sp(c, insn & 31, sf, r);
	else
		a64_set_x(c, insn & 31, sf, r);
	return (A64_NEXT);
}

static enum a64_result
move_wide(struct a64 *c, uint32_t insn)
{
	bool sf = insn >> 31 != 0;
	unsigned opc = a64_bits(insn, 30, 29), shift = 16 * a64_bits(insn, 22, 21), rd = insn & 31;
	uint64_t imm = (uint64_t)a64_bits(insn, 20, 5) << shift;

	if (opc == 1 || (!sf && shift >= 32))
		return (a64_undefined(c));
	if (opc == 0)
		imm = ~imm;
	else if (opc == 3)
		imm |= a64_x(c, rd) & ~(0xffffULL << shift);
	a64_set_x(c, rd, sf, imm);
	return (A64_NEXT);
}

/* SBFM, BFM, UBFM: shifts, extensions and bit fields. */
static enum a64_result
bitfield(struct a64 *c, uint32_t insn)
{
	bool sf = insn >> 31 != 0;
	unsigned opc = a64_bits(insn, 30, 29), n = a64_bits(insn, 22, 22), rd = insn & 31;
	unsigned immr = a64_bits(insn, 21, 16), imms = a64_bits(insn, 15, 10), width = sf ? 64 : 32;
	uint64_t src = a64_x(c, a64_bits(insn, 9, 5)), dst = opc == 1 ? a64_x(c, rd) : 0, wmask, tmask, bot, top;

	if (opc == 3 || n != sf || (!sf && ((immr | imms) & 0x20) != 0) ||
	    !bit_masks(n, imms, immr, false, sf, &wmask, &tmask))
		return (a64_undefined(c));
	bot = (dst & ~wmask) | (rotate(src, immr, width) & wmask);
	top = opc == 0 ? ((src >> imms & 1) != 0 ? UINT64_MAX : 0) : dst;
	a64_set_x(c, rd, sf, (top & ~tmask) | (bot & tmask));
	return (A64_NEXT);
}

static enum a64_result
extract(struct a64 *c, uint32_t insn)
{
	bool sf = insn >> 31 != 0;
	unsigned lsb = a64_bits(insn, 15, 10), width = sf ? 64 : 32;
	uint64_t hi = a64_x(c, a64_bits(insn, 9, 5)), lo = a64_x(c, a64_bits(insn, 20, 16));

	if (a64_bits(insn, 30, 29) != 0 || a64_bits(insn, 21, 21) != 0 || a64_bits(insn, 22, 22) != sf || lsb >= width)
		return (a64_undefined(c));
	if (!sf)
		lo = (uint32_t)lo;
	a64_set_x(c, insn & 31, sf, lsb == 0 ? lo : lo >> lsb | hi << (width - lsb));
	return (A64_NEXT);
}

static enum a64_result
dp_immediate(struct a64 *c, uint32_t insn)
{
	unsigned rn = a64_bits(insn, 9, 5);
	uint64_t imm, tmask;

	switch (a64_bits(insn, 25, 23)) {
	case 0:
	case 1:		/* ADR, ADRP */
		imm = (uint64_t)a64_sext((uint64_t)a64_bits(insn, 23, 5) << 2 | a64_bits(insn, 30, 29), 21);
		if (insn >> 31 != 0)
			a64_set_x(c, insn & 31, true, (c->s->pc & ~0xfffULL) + (imm << 12));
		else
			a64_set_x(c, insn & 31, true, c->s->pc + imm);
		return (A64_NEXT);
	case 2:
		imm = (uint64_t)a64_bits(insn, 21, 10) << (a64_bits(insn, 22, 22) != 0 ? 12 : 0);
		return (add_sub(c, insn, x_or_sp(c, rn), imm, true));
	case 4:
		if (!bit_masks(a64_bits(insn, 22, 22), a64_bits(insn, 15, 10), a64_bits(insn, 21, 16), true,
		    insn >> 31 != 0, &imm, &tmask) || (insn >> 31 == 0 && a64_bits(insn, 22, 22) != 0))
			return (a64_undefined(c));
		return (logical(c, insn, a64_x(c, rn), imm, true));
	case 5:
		return (move_wide(c, insn));
	case 6:
		return (bitfield(c, insn));
	case 7:
		return (extract(c, insn));
	default:
		return (a64_undefined(c));
	}
}

static uint64_t
reverse_bits(uint64_t v, unsigned width)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < width; i++)
		r |= (v >> i & 1) << (width - 1 - i);
	return (r);
}

/* REV16, REV32, REV: bytes in the other order within containers. */
static uint64_t
reverse_bytes(uint64_t v, unsigned container, unsigned width)
{
	uint64_t r = 0;

	for (unsigned i = 0; i < width; i += 8)
		r |= (v >> i & 0xff) << (i - i % container + container - 8 - i % container);
	return (r);
}

static enum a64_result
one_source(struct a64 *c, uint32_t insn)
{
	bool sf = insn >> 31 != 0;
	unsigned width = sf ? 64 : 32, n = 0;
	uint64_t v = a64_x(c, a64_bits(insn, 9, 5)), r;

	if (!sf)
		v = (uint32_t)v;
	if (a64_bits(insn, 29, 29) != 0 || a64_bits(insn, 20, 16) != 0)
		return (a64_undefined(c));
	switch (a64_bits(insn, 15, 10)) {
	case 0:
		r = reverse_bits(v, width);
		break;
	case 1:
		r = reverse_bytes(v, 16, width);
		break;
	case 2:
		r = reverse_bytes(v, 32, width);
		break;
	case 3:
		if (!sf)
			return (a64_undefined(c));
		r = reverse_bytes(v, 64, width);
		break;
	case 5:		/* CLS: as CLZ of what differs from its neighbour */
		v ^= v >> 1 | (v & 1ULL << (width - 1));
		v &= ones(width - 1);
		for (n = 0; n < width - 1 && (v >> (width - 2 - n) & 1) == 0; n++)
			;
		r = n;
		break;
	case 4:
		for (n = 0; n < width && (v >> (width - 1 - n) & 1) == 0; n++)
			;
		r = n;
		break;
	default:
		return (a64_undefined(c));
	}
	a64_set_x(c, insn & 31, sf, r);
	return (A64_NEXT);
}

/* Division by zero gives zero, and the one overflow wraps (Arm ARM C6.2, SDIV). */
static uint64_t
divide(uint64_t x, uint64_t y, bool is_signed, bool sf)
{
	if (!sf) {
		x = is_signed ? (uint64_t)(int64_t)(int32_t)x : (uint32_t)x;
		y = is_signed ? (uint64_t)(int64_t)(int32_t)y : (uint32_t)y;
	}
	if (y == 0)
		return (0);
	if (!is_signed)
		return (x / y);
	return (y == UINT64_MAX ? -x : (uint64_t)((int64_t)x / (int64_t)y));
}

static enum a64_result
two_source(struct a64 *c, uint32_t insn)
{
	bool sf = insn >> 31 != 0;
	unsigned op = a64_bits(insn, 15, 10);
	uint64_t x = a64_x(c, a64_bits(insn, 9, 5)), y = a64_x(c, a64_bits(insn, 20, 16)), r;

	if (a64_bits(insn, 29, 29) != 0)
		return (a64_undefined(c));
	switch (op) {
	case 2:
	case 3:
		r = divide(x, y, op == 3, sf);
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		r = shift_reg(x, op & 3, (unsigned)y & (sf ? 63 : 31), sf);
		break;
	default:
		return (a64_undefined(c));
	}
	a64_set_x(c, insn & 31, sf, r);
	return (A64_NEXT);
}

static enum a64_result
three_source(struct a64 *c, uint32_t insn)
{
	bool sf = insn >> 31 != 0, sub = (insn >> 15 & 1) != 0;
	unsigned op = a64_bits(insn, 23, 21);
	uint64_t n = a64_x(c, a64_bits(insn, 9, 5)), m = a64_x(c, a64_bits(insn, 20, 16)), a, p;

	a = a64_x(c, a64_bits(insn, 14, 10));
	if (a64_bits(insn, 30, 29) != 0 || (op != 0 && !sf))
		return (a64_undefined(c));
	switch (op) {
	case 0:
		p = n * m;
		break;
	case 1:
		p = (uint64_t)((int64_t)(int32_t)n * (int32_t)m);
		break;
	case 5:
		p = (uint64_t)(uint32_t)n * (uint32_t)m;
		break;
	case 2:
	case 6:
		if (sub)
			return (a64_undefined(c));
		if (op == 2)
			p = (uint64_t)((__int128)(int64_t)n * (int64_t)m >> 64);
		else
			p = (uint64_t)((unsigned __int128)n * m >> 64);
		a64_set_x(c, insn & 31, true, p);
		return (A64_NEXT);
	default:
		return (a64_undefined(c));
	}
	a64_set_x(c, insn & 31, sf, sub ? a - p : a + p);
	return (A64_NEXT);
}

static enum a64_result
conditional_select(struct a64 *c, uint32_t insn)
{
	bool sf = insn >> 31 != 0, invert = (insn >> 30 & 1) != 0;
	unsigned op2 = a64_bits(insn, 11, 10);
	uint64_t r;

	if (a64_bits(insn, 29, 29) != 0 || op2 > 1)
		return (a64_undefined(c));
	if (a64_condition(c, a64_bits(insn, 15, 12))) {
		r = a64_x(c, a64_bits(insn, 9, 5));
	} else {
		r = a64_x(c, a64_bits(insn, 20, 16));
		if (invert)
			r = ~r;
		r += op2;
	}
	a64_set_x(c, insn & 31, sf, r);
	return (A64_NEXT);
}

static enum a64_result
conditional_compare(struct a64 *c, uint32_t insn)
{
	bool sf = insn >> 31 != 0, sub = (insn >> 30 & 1) != 0;
	uint64_t y = a64_bits(insn, 20, 16);
	uint32_t nzcv = (insn & 0xf) << 28;

	if (a64_bits(insn, 29, 29) == 0 || (insn & 0x410) != 0)
		return (a64_undefined(c));
	if (a64_bits(insn, 11, 11) == 0)
		y = a64_x(c, (unsigned)y);
	if (a64_condition(c, a64_bits(insn, 15, 12)))
		(void)add_with_carry(a64_x(c, a64_bits(insn, 9, 5)), sub ? ~y : y, sub, sf, &nzcv);
	set_nzcv(c, nzcv);
	return (A64_NEXT);
}

static enum a64_result
add_carry(struct a64 *c, uint32_t insn)
{
	bool sf = insn >> 31 != 0, sub = (insn >> 30 & 1) != 0;
	uint64_t y = a64_x(c, a64_bits(insn, 20, 16)), r;
	uint32_t nzcv;

	if (a64_bits(insn, 15, 10) != 0)
		return (a64_undefined(c));
	r = add_with_carry(a64_x(c, a64_bits(insn, 9, 5)), sub ? ~y : y, (c->s->pstate & PSTATE_C) != 0, sf, &nzcv);
	if (a64_bits(insn, 29, 29) != 0)
		set_nzcv(c, nzcv);
	a64_set_x(c, insn & 31, sf, r);
	return (A64_NEXT);
}

static enum a64_result
dp_register(struct a64 *c, uint32_t insn)
{
	bool sf = insn >> 31 != 0;
	unsigned rn = a64_bits(insn, 9, 5), amount = a64_bits(insn, 15, 10);
	uint64_t y = a64_x(c, a64_bits(insn, 20, 16));

	switch (a64_bits(insn, 28, 24)) {
	case 0x0a:	/* logical, shifted register */
		if (!sf && amount >= 32)
			return (a64_undefined(c));
		y = shift_reg(y, a64_bits(insn, 23, 22), amount, sf);
		if (a64_bits(insn, 21, 21) != 0)
			y = ~y;
		return (logical(c, insn, a64_x(c, rn), y, false));
	case 0x0b:
		if (a64_bits(insn, 21, 21) != 0) {	/* extended register */
			if (a64_bits(insn, 23, 22) != 0 || a64_bits(insn, 12, 10) > 4)
				return (a64_undefined(c));
			y = extend_reg(y, a64_bits(insn, 15, 13), a64_bits(insn, 12, 10));
			return (add_sub(c, insn, x_or_sp(c, rn), y, true));
		}
		if (a64_bits(insn, 23, 22) == 3 || (!sf && amount >= 32))
			return (a64_undefined(c));
		return (add_sub(c, insn, a64_x(c, rn), shift_reg(y, a64_bits(insn, 23, 22), amount, sf), false));
	case 0x1a:
		switch (a64_bits(insn, 23, 21)) {
		case 0:
			return (add_carry(c, insn));
		case 2:
			return (conditional_compare(c, insn));
		case 4:
			return (conditional_select(c, insn));
		case 6:
			return (a64_bits(insn, 30, 30) != 0 ? one_source(c, insn) : two_source(c, insn));
		default:
			return (a64_undefined(c));
		}
	case 0x1b:
		return (three_source(c, insn));
	default:
		return (a64_undefined(c));
	}
}

static enum a64_result
jump(struct a64 *c, uint64_t pc)
{
	c->s->pc = pc;
	return (A64_JUMP);
}

static enum a64_result
branch_register(struct a64 *c, uint32_t insn)
{
	unsigned rn = a64_bits(insn, 9, 5);
	uint64_t target = a64_x(c, rn);

	if ((insn & 0x001ffc1f) != 0x001f0000)
		return (a64_undefined(c));
	switch (a64_bits(insn, 24, 21)) {
	case 1:		/* BLR */
		c->s->x[30] = c->s->pc + 4;
		/* FALLTHROUGH */
	case 0:		/* BR */
	case 2:		/* RET */
		return (jump(c, target));
	case 4:
		return (rn == 31 ? a64_eret(c) : a64_undefined(c));
	default:
		return (a64_undefined(c));
	}
}

static enum a64_result
branch(struct a64 *c, uint32_t insn)
{
	uint64_t pc = c->s->pc, v;
	unsigned bit;

	if ((insn & 0x7c000000) == 0x14000000) {	/* B, BL */
		if (insn >> 31 != 0)
			c->s->x[30] = pc + 4;
		return (jump(c, pc + (uint64_t)a64_sext((uint64_t)a64_bits(insn, 25, 0) << 2, 28)));
	}
	if ((insn & 0x7e000000) == 0x34000000) {	/* CBZ, CBNZ */
		v = a64_x(c, insn & 31);
		if (insn >> 31 == 0)
			v = (uint32_t)v;
		if ((v == 0) == (a64_bits(insn, 24, 24) == 0))
			return (jump(c, pc + (uint64_t)a64_sext((uint64_t)a64_bits(insn, 23, 5) << 2, 21)));
		return (A64_NEXT);
	}
	if ((insn & 0x7e000000) == 0x36000000) {	/* TBZ, TBNZ */
		bit = (insn >> 31) << 5 | a64_bits(insn, 23, 19);
		if ((a64_x(c, insn & 31) >> bit & 1) == a64_bits(insn, 24, 24))
			return (jump(c, pc + (uint64_t)a64_sext((uint64_t)a64_bits(insn, 18, 5) << 2, 16)));
		return (A64_NEXT);
	}
	if ((insn & 0xff000010) == 0x54000000) {	/* B.cond */
		if (a64_condition(c, insn & 0xf))
			return (jump(c, pc + (uint64_t)a64_sext((uint64_t)a64_bits(insn, 23, 5) << 2, 21)));
		return (A64_NEXT);
	}
	if ((insn & 0xff000000) == 0xd4000000)
		return (a64_exception_insn(c, insn));
	if ((insn & 0xffc00000) == 0xd5000000)
		return (a64_system(c, insn));
	if ((insn & 0xfe000000) == 0xd6000000)
		return (branch_register(c, insn));
	return (a64_undefined(c));
}

enum a64_result
a64_execute(struct a64 *c, uint32_t insn)
{
	switch (a64_bits(insn, 28, 25)) {
	case 0x8:
	case 0x9:
		return (dp_immediate(c, insn));
	case 0xa:
	case 0xb:
		return (branch(c, insn));
	case 0x4:
	case 0x6:
	case 0xc:
	case 0xe:
		return (a64_ldst(c, insn));
	case 0x5:
	case 0xd:
		return (dp_register(c, insn));
	case 0x7:
	case 0xf:
		return (a64_fp(c));
	default:
		return (a64_undefined(c));
	}
}
