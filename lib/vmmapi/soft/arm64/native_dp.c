/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_dp.c - integer data processing in native code (Arm ARM C4.1.2, C4.1.5): dp*.c have the functions.
 */
#include "native.h"

/* A register of the present instruction to compute in, with a copy of a guest register. */
static bool
fits32(uint64_t v)
{
	return ((int64_t)v >= INT32_MIN && (int64_t)v <= INT32_MAX);
}

/* op reg, imm: 32-bit operations take any immediate of their size. */
static void
alu_imm(struct tr *t, unsigned size, enum emit_alu op, unsigned reg, uint64_t imm)
{
	if (size == 4 || fits32(imm)) {
		emit_alu_ri(t->e, size, op, reg, (int32_t)imm);
		return;
	}
	emit_mov_ri(t->e, H_RAX, imm);
	emit_alu_rr(t->e, size, op, reg, H_RAX);
}

/* Moves and addresses */

static enum native
constant(struct tr *t, unsigned slot, uint64_t v)
{
	unsigned reg = native_new(t);

	emit_mov_ri(t->e, reg, v);
	native_put(t, slot, reg);
	if (slot != SLOT_SINK) {
		t->konst = v;
		t->konst_of = (uint8_t)slot;
	}
	return (NATIVE_KEPT);
}

static enum native
move_wide(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	unsigned size = native_size(w), reg;
	uint64_t mask = 0xffffULL << i->arg;

	if (a64_bits(w, 30, 29) != 3)
		return (constant(t, i->rd, i->imm));
	if (t->konst_of == i->ra)
		return (constant(t, i->rd, ((size == 8 ? t->konst : (uint32_t)t->konst) & ~mask) | i->imm));
	reg = native_copy(t, size, i->ra);
	alu_imm(t, size, ALU_AND, reg, ~mask);
	if (i->imm != 0)
		alu_imm(t, size, ALU_OR, reg, i->imm);
	native_put(t, i->rd, reg);
	return (NATIVE_DONE);
}

static enum native
address(struct tr *t, uint32_t w)
{
	uint64_t imm = t->i->imm + (w >> 31 != 0 ? 0 : t->off + 4 * t->k);
	unsigned reg = native_new(t);

	emit_mov_rm(t->e, 8, reg, CORE(pc0));
	if (fits32(imm)) {
		emit_lea(t->e, 8, reg, emit_at(reg, (int32_t)imm));
	} else {
		emit_mov_ri(t->e, H_RAX, imm);
		emit_lea(t->e, 8, reg, emit_idx(reg, H_RAX, 1, 0));
	}
	native_put(t, t->i->rd, reg);
	return (NATIVE_KEPT);
}

/* Addition and subtraction */

static enum native
add_imm(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	bool sub = (w & 1U << 30) != 0, sets = (w & 1U << 29) != 0, flags = sets && native_flags_seen(t);
	unsigned size = native_size(w), n = native_use(t, i->rn), reg;
	struct nzcv f = { .how = sub ? NZCV_CMP : NZCV_ADD, .size = (uint8_t)size, .a = (uint8_t)n, .imm = true, .with = (int32_t)i->imm };

	if (sets && i->rd == SLOT_SINK) {
		native_compared(t, f, false);
		return (NATIVE_KEPT);
	}
	if (!flags) {
		reg = native_new(t);
		emit_lea(t->e, size, reg, emit_at(n, sub ? -(int32_t)i->imm : (int32_t)i->imm));
		native_put(t, i->rd, reg);
		if (sets)
			native_compared(t, f, false);
		return (NATIVE_KEPT);
	}
	reg = native_new(t);
	emit_mov_rr(t->e, size, reg, n);
	emit_alu_ri(t->e, size, sub ? ALU_SUB : ALU_ADD, reg, (int32_t)i->imm);
	native_put(t, i->rd, reg);
	native_compared(t, f, true);
	return (NATIVE_KEPT);
}

/* A shifted register's value: a register that may be changed if there was anything to do. */
static unsigned
shifted(struct tr *t, uint32_t w, unsigned size)
{
	static const enum emit_shift ops[4] = { SH_SHL, SH_SHR, SH_SAR, SH_ROR };
	unsigned reg;

	if (t->i->arg == 0)
		return (native_use(t, t->i->rm));
	reg = native_copy(t, size, t->i->rm);
	emit_shift_ri(t->e, size, ops[a64_bits(w, 23, 22)], reg, t->i->arg);
	return (reg);
}

static unsigned
extended(struct tr *t, unsigned size)
{
	static const uint8_t from[8] = { 1, 2, 4, 8, 1, 2, 4, 8 };
	unsigned m = native_use(t, t->i->rm), kind = t->i->arg2, reg = native_new(t);

	if (from[kind] == 8)
		emit_mov_rr(t->e, 8, reg, m);
	else if (kind < 4)
		emit_movzx_rr(t->e, from[kind], reg, m);
	else
		emit_movsx_rr(t->e, 8, from[kind], reg, m);
	if (t->i->arg != 0)
		emit_shift_ri(t->e, size, SH_SHL, reg, t->i->arg);
	return (reg);
}

static enum native
add_reg(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	bool sub = (w & 1U << 30) != 0, sets = (w & 1U << 29) != 0, flags = sets && native_flags_seen(t);
	bool ext = a64_bits(w, 21, 21) != 0, plain = !ext && a64_bits(w, 23, 22) == 0 && i->arg <= 3;
	unsigned size = native_size(w), n = native_use(t, i->rn), m, reg;
	struct nzcv f = { .how = sub ? NZCV_CMP : NZCV_ADD, .size = (uint8_t)size, .a = (uint8_t)n };

	if (!sets && !sub && plain) {
		m = native_use(t, i->rm);
		reg = native_new(t);
		emit_lea(t->e, size, reg, emit_idx(n, m, 1U << i->arg, 0));
		native_put(t, i->rd, reg);
		return (NATIVE_KEPT);
	}
	m = ext ? extended(t, size) : shifted(t, w, size);
	f.b = (uint8_t)m;
	if (sets && i->rd == SLOT_SINK) {
		native_compared(t, f, false);
		return (NATIVE_KEPT);
	}
	reg = native_new(t);
	emit_mov_rr(t->e, size, reg, n);
	emit_alu_rr(t->e, size, sub ? ALU_SUB : ALU_ADD, reg, m);
	native_put(t, i->rd, reg);
	if (sets)
		native_compared(t, f, true);
	return (flags ? NATIVE_KEPT : NATIVE_DONE);
}

/* ADC, SBC: with Arm's carry, which is a borrow's complement. */
static enum native
add_carry(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	bool sub = (w & 1U << 30) != 0, flags = (w & 1U << 29) != 0 && native_flags_seen(t);
	unsigned size = native_size(w), m = native_use(t, i->rm), reg = native_copy(t, size, i->rn);

	native_carry(t, sub);
	emit_alu_rr(t->e, size, sub ? ALU_SBB : ALU_ADC, reg, m);
	native_put(t, i->rd, reg);
	if (!flags)
		return (NATIVE_DONE);
	native_set_flags(t, sub);
	return (NATIVE_KEPT);
}

/* Logical */

static const enum emit_alu logical_ops[4] = { ALU_AND, ALU_OR, ALU_XOR, ALU_AND };

static enum native
logical_flags(struct tr *t, unsigned size, unsigned a, unsigned b)
{
	native_compared(t, (struct nzcv){ .how = NZCV_TEST, .size = (uint8_t)size, .a = (uint8_t)a, .b = (uint8_t)b }, false);
	return (NATIVE_KEPT);
}

static enum native
logical_imm(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	unsigned opc = a64_bits(w, 30, 29), size = native_size(w), reg;

	if (i->rn == SLOT_ZERO && (opc == 1 || opc == 2))
		return (constant(t, i->rd, i->imm));
	if (opc == 3 && i->rd == SLOT_SINK && (size == 4 || fits32(i->imm))) {
		native_compared(t, (struct nzcv){ .how = NZCV_TEST, .size = (uint8_t)size, .a = (uint8_t)native_use(t, i->rn), .imm = true,
		    .with = (int32_t)i->imm }, false);
		return (NATIVE_KEPT);
	}
	reg = native_copy(t, size, i->rn);
	alu_imm(t, size, logical_ops[opc], reg, i->imm);
	native_put(t, i->rd, reg);
	return (opc == 3 ? logical_flags(t, size, reg, reg) : NATIVE_DONE);
}

static enum native
logical_reg(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	unsigned opc = a64_bits(w, 30, 29), size = native_size(w), m, reg;
	bool invert = a64_bits(w, 21, 21) != 0;

	if (opc == 1 && i->rn == SLOT_ZERO && i->arg == 0) {		/* MOV, MVN */
		m = native_use(t, i->rm);
		reg = native_new(t);
		emit_mov_rr(t->e, size, reg, m);
		if (invert)
			emit_unary_r(t->e, size, UN_NOT, reg);
		native_put(t, i->rd, reg);
		return (NATIVE_KEPT);
	}
	m = shifted(t, w, size);
	if (invert && i->arg == 0)
		m = native_copy(t, size, i->rm);
	if (invert)
		emit_unary_r(t->e, size, UN_NOT, m);
	if (opc == 3 && i->rd == SLOT_SINK) {
		return (logical_flags(t, size, native_use(t, i->rn), m));
	}
	reg = native_copy(t, size, i->rn);
	emit_alu_rr(t->e, size, logical_ops[opc], reg, m);
	native_put(t, i->rd, reg);
	return (opc == 3 ? logical_flags(t, size, reg, reg) : NATIVE_DONE);
}

/* Bit fields: a64_decode_bitfield() has found out the shifts. */

static enum native
bitfield(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	unsigned opc = a64_bits(w, 30, 29), size = native_size(w), immr = a64_bits(w, 21, 16), imms = a64_bits(w, 15, 10);
	unsigned n = native_use(t, i->rn), reg = native_new(t);
	enum native how = NATIVE_DONE;

	if (opc == 1) {
		emit_mov_rr(t->e, size, reg, n);
		if (i->arg != 0)
			emit_shift_ri(t->e, size, SH_ROR, reg, i->arg);
		alu_imm(t, size, ALU_AND, reg, i->imm);
		n = native_copy(t, size, i->ra);
		alu_imm(t, size, ALU_AND, n, ~i->imm);
		emit_alu_rr(t->e, size, ALU_OR, reg, n);
	} else if (immr == 0 && (imms == 7 || imms == 15 || imms == 31)) {
		if (opc == 2)
			emit_movzx_rr(t->e, (imms + 1) / 8, reg, n);
		else if (imms == 31 && size == 4)
			emit_mov_rr(t->e, 4, reg, n);
		else
			emit_movsx_rr(t->e, size, (imms + 1) / 8, reg, n);
		how = NATIVE_KEPT;
	} else if (imms == 8 * size - 1) {		/* LSR, ASR */
		emit_mov_rr(t->e, size, reg, n);
		if (immr != 0)
			emit_shift_ri(t->e, size, opc == 2 ? SH_SHR : SH_SAR, reg, immr);
	} else if (opc == 2 && imms + 1 == immr) {	/* LSL */
		emit_mov_rr(t->e, size, reg, n);
		emit_shift_ri(t->e, size, SH_SHL, reg, 8 * size - immr);
	} else if (opc == 2 && immr < imms && imms - immr < 31) {
		emit_mov_rr(t->e, size, reg, n);
		if (immr != 0)
			emit_shift_ri(t->e, size, SH_SHR, reg, immr);
		emit_alu_ri(t->e, 4, ALU_AND, reg, (int32_t)((2U << (imms - immr)) - 1));
	} else {
		emit_mov_rr(t->e, 8, reg, n);
		if (i->arg != 0)
			emit_shift_ri(t->e, 8, SH_SHL, reg, i->arg);
		if (i->arg2 != 0)
			emit_shift_ri(t->e, 8, opc == 2 ? SH_SHR : SH_SAR, reg, i->arg2);
		if (opc == 0 && size == 4)
			emit_mov_rr(t->e, 4, reg, reg);
	}
	native_put(t, i->rd, reg);
	return (how);
}

static enum native
extract(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	unsigned size = native_size(w), n = native_use(t, i->rn), reg = native_copy(t, size, i->rm);

	if (i->arg != 0 && i->rn == i->rm) {
		emit_shift_ri(t->e, size, SH_ROR, reg, i->arg);
	} else if (i->arg != 0) {
		emit_rr(t->e, size, EMIT_0F | 0xac, n, reg);		/* SHRD */
		emit8(t->e, i->arg);
	}
	native_put(t, i->rd, reg);
	return (NATIVE_DONE);
}

/* Conditions */

static enum native
conditional_select(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	unsigned size = native_size(w), op = a64_bits(w, 30, 30) << 1 | a64_bits(w, 10, 10), n, m, reg;
	bool always = (i->arg & 0xe) == 0xe;
	enum emit_cc cc;

	n = native_use(t, i->rn);
	m = native_use(t, i->rm);
	reg = native_new(t);
	if (always) {
		emit_mov_rr(t->e, size, reg, n);
		native_put(t, i->rd, reg);
		return (NATIVE_KEPT);
	}
	if (op == 1)
		emit_lea(t->e, size, reg, emit_at(m, 1));
	else
		emit_mov_rr(t->e, size, reg, m);
	if (op >= 2)
		emit_unary_r(t->e, size, UN_NOT, reg);
	if (op == 3)
		emit_lea(t->e, size, reg, emit_at(reg, 1));		/* -m, and flags stay */
	cc = native_condition(t, i->arg);
	emit_cmov_rr(t->e, size, cc, reg, n);
	native_put(t, i->rd, reg);
	return (NATIVE_KEPT);
}

/* CCMN, CCMP */
static enum native
compare_if(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	bool sub = a64_bits(w, 30, 30) != 0, imm = a64_bits(w, 11, 11) != 0, always = (i->arg & 0xe) == 0xe;
	unsigned size = native_size(w), n = native_use(t, i->rn), m = imm ? 0 : native_use(t, i->rm), reg = native_new(t);
	unsigned nzcv = i->arg2;
	uint8_t *other = NULL, *join;

	if (!always)
		other = emit_jcc_over(t->e, native_condition(t, i->arg) ^ 1);
	if (sub && imm) {
		emit_alu_ri(t->e, size, ALU_CMP, n, (int32_t)i->imm);
	} else if (sub) {
		emit_alu_rr(t->e, size, ALU_CMP, n, m);
	} else {
		emit_mov_rr(t->e, size, reg, n);
		if (imm)
			emit_alu_ri(t->e, size, ALU_ADD, reg, (int32_t)i->imm);
		else
			emit_alu_rr(t->e, size, ALU_ADD, reg, m);
	}
	if (sub)
		emit_cmc(t->e);
	emit_lahf(t->e);
	emit_setcc_r(t->e, CC_O, H_RAX);
	if (!always) {
		join = emit_jmp_over(t->e);
		emit_here(t->e, other);
		emit_mov_ri(t->e, H_RAX, (nzcv & 0xc0) << 8 | (nzcv & 0x20) << 3 | (nzcv >> 4 & 1));
		emit_here(t->e, join);
	}
	emit_mov_mr(t->e, 2, CORE(eflags), H_RAX);
	emit_alu_ri(t->e, 1, ALU_ADD, H_RAX, 0x7f);
	emit_sahf(t->e);
	t->flags = (struct nzcv){ .saved = true, .host = true };
	t->pinned = 0;
	return (NATIVE_KEPT);
}

static enum native
immediate(struct tr *t, uint32_t w)
{
	switch (a64_bits(w, 25, 23)) {
	case 0:
	case 1:
		return (address(t, w));
	case 2:
		return (add_imm(t, w));
	case 4:
		return (logical_imm(t, w));
	case 5:
		return (move_wide(t, w));
	case 6:
		return (bitfield(t, w));
	case 7:
		return (extract(t, w));
	default:
		return (NATIVE_NOT);
	}
}

/* The instruction is allocated: a64_decode_dp() says so. */
enum native
native_dp(struct tr *t)
{
	uint32_t w = t->i->word;

	if (a64_bits(w, 28, 26) == 4)
		return (immediate(t, w));
	switch (a64_bits(w, 28, 24)) {
	case 0x0a:
		return (logical_reg(t, w));
	case 0x0b:
		return (add_reg(t, w));
	case 0x1a:
		switch (a64_bits(w, 23, 21)) {
		case 0:
			return (add_carry(t, w));
		case 2:
			return (compare_if(t, w));
		case 4:
			return (conditional_select(t, w));
		default:
			return (native_sources(t));
		}
	default:
		return (native_sources(t));
	}
}
