/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_source.c - data processing with one, two and three sources in native code (Arm ARM C4.1.5).
 */
#include "hostfp.h"
#include "native.h"

/* Neighbours of some bits change places; mask has the lower ones. */
static void
swap_bits(struct tr *t, unsigned size, unsigned reg, uint64_t mask, unsigned bits)
{
	emit_mov_ri(t->e, H_RAX, size == 8 ? mask : (uint32_t)mask);
	emit_mov_rr(t->e, size, H_RCX, reg);
	emit_shift_ri(t->e, size, SH_SHR, H_RCX, bits);
	emit_alu_rr(t->e, size, ALU_AND, H_RCX, H_RAX);
	emit_alu_rr(t->e, size, ALU_AND, reg, H_RAX);
	emit_shift_ri(t->e, size, SH_SHL, reg, bits);
	emit_alu_rr(t->e, size, ALU_OR, reg, H_RCX);
}

static enum native
one_source(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	unsigned size = native_size(w), op = a64_bits(w, 15, 10), reg;

	if (op == 4) {					/* CLZ */
		reg = native_new(t);
		emit_mov_ri(t->e, H_RAX, 16 * size - 1);
		emit_rr(t->e, size, EMIT_0F | 0xbd, reg, native_use(t, i->rn));		/* BSR */
		emit_cmov_rr(t->e, size, CC_E, reg, H_RAX);
		emit_alu_ri(t->e, size, ALU_XOR, reg, (int32_t)(8 * size - 1));
	} else if (op == 3 || (op == 2 && size == 4)) {	/* REV */
		reg = native_copy(t, size, i->rn);
		emit_bswap(t->e, size, reg);
	} else if (op == 0) {				/* RBIT */
		reg = native_copy(t, size, i->rn);
		emit_bswap(t->e, size, reg);
		swap_bits(t, size, reg, 0x0f0f0f0f0f0f0f0fULL, 4);
		swap_bits(t, size, reg, 0x3333333333333333ULL, 2);
		swap_bits(t, size, reg, 0x5555555555555555ULL, 1);
	} else if (op == 1) {				/* REV16 */
		reg = native_copy(t, size, i->rn);
		swap_bits(t, size, reg, 0x00ff00ff00ff00ffULL, 8);
	} else {
		return (NATIVE_NOT);
	}
	native_put(t, i->rd, reg);
	return (NATIVE_DONE);
}

static enum native
divide(struct tr *t, unsigned size, bool sign)
{
	const struct a64_insn *i = t->i;
	unsigned n = native_use(t, i->rn), m = native_use(t, i->rm), reg = native_new(t);
	uint8_t *zero, *minus = NULL, *done;

	/* By zero it is zero; by -1, which overflows for one dividend, a negation. */
	emit_mov_ri(t->e, H_RAX, 0);
	emit_test_rr(t->e, size, m, m);
	zero = emit_jcc_over(t->e, CC_E);
	emit_mov_rr(t->e, size, H_RAX, n);
	if (sign) {
		emit_alu_ri(t->e, size, ALU_CMP, m, -1);
		minus = emit_jcc_over(t->e, CC_E);
		emit_cqo(t->e, size);
	} else {
		emit_mov_ri(t->e, H_RDX, 0);
	}
	emit_unary_r(t->e, size, sign ? UN_IDIV : UN_DIV, m);
	if (sign) {
		done = emit_jmp_over(t->e);
		emit_here(t->e, minus);
		emit_unary_r(t->e, size, UN_NEG, H_RAX);
		emit_here(t->e, done);
	}
	emit_here(t->e, zero);
	emit_mov_rr(t->e, size, reg, H_RAX);
	native_put(t, i->rd, reg);
	return (NATIVE_DONE);
}

static enum native
two_source(struct tr *t, uint32_t w)
{
	static const enum emit_shift shifts[4] = { SH_SHL, SH_SHR, SH_SAR, SH_ROR };
	const struct a64_insn *i = t->i;
	unsigned size = native_size(w), op = a64_bits(w, 15, 10), reg;

	if (op == 2 || op == 3)
		return (divide(t, size, op == 3));
	if (op >> 2 == 5 && hostfp_has_fma()) {		/* CRC32C: a host that has AVX has it */
		reg = native_copy(t, 4, i->rn);
		size = 1U << (op & 3);
		emit_rr(t->e, size, OP(0xf2, EMIT_0F38, size == 1 ? 0xf0 : 0xf1), reg, native_use(t, i->rm));
		native_put(t, i->rd, reg);
		return (NATIVE_DONE);
	}
	if (op >> 2 != 2)
		return (NATIVE_NOT);
	reg = native_copy(t, size, i->rn);
	emit_mov_rr(t->e, 4, H_RCX, native_use(t, i->rm));
	emit_shift_cl(t->e, size, shifts[op & 3], reg);
	native_put(t, i->rd, reg);
	return (NATIVE_DONE);
}

static enum native
three_source(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	bool sub = a64_bits(w, 15, 15) != 0;
	unsigned op = a64_bits(w, 23, 21), size = native_size(w), n = native_use(t, i->rn), m = native_use(t, i->rm), reg;

	reg = native_new(t);
	switch (op) {
	case 0:
		emit_mov_rr(t->e, size, reg, n);
		break;
	case 1:
	case 5:
		if (op == 1) {
			emit_movsx_rr(t->e, 8, 4, reg, n);
			emit_movsx_rr(t->e, 8, 4, H_RAX, m);
		} else {
			emit_mov_rr(t->e, 4, reg, n);
			emit_mov_rr(t->e, 4, H_RAX, m);
		}
		m = H_RAX;
		break;
	default:				/* SMULH, UMULH */
		emit_mov_rr(t->e, 8, H_RAX, n);
		emit_unary_r(t->e, 8, op == 2 ? UN_IMUL : UN_MUL, m);
		emit_mov_rr(t->e, 8, reg, H_RDX);
		native_put(t, i->rd, reg);
		return (NATIVE_DONE);
	}
	emit_imul_rr(t->e, size, reg, m);
	if (i->ra != SLOT_ZERO || sub) {
		n = native_use(t, i->ra);
		if (sub) {
			emit_unary_r(t->e, size, UN_NEG, reg);
		}
		emit_alu_rr(t->e, size, ALU_ADD, reg, n);
	}
	native_put(t, i->rd, reg);
	return (NATIVE_DONE);
}

enum native
native_sources(struct tr *t)
{
	uint32_t w = t->i->word;

	if (a64_bits(w, 28, 24) != 0x1a)
		return (three_source(t, w));
	return (a64_bits(w, 30, 30) != 0 ? one_source(t, w) : two_source(t, w));
}
