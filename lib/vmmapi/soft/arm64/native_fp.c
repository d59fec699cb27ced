/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_fp.c - floating point in native code: what the functions of fp*.c give to the host's units, under the same conditions.  Operands are
 * in registers as far as they were there before, and results go to the state page too.
 *
 * A result that Arm may do otherwise (fp_odd_s(), fp_odd_d()) is the function's.  It calculates again, and the host's exceptions are sticky: they
 * are what they would have been.
 */
#include "fp_ops.h"
#include "native.h"

enum kind { ONE, TWO, NEGATED, VECTOR };

/* Opcodes without prefix: F3 and F2 make them scalar, 66 packed double. */
static const struct host_op {
	a64_op		*fn;
	uint8_t		 byte;
	uint8_t		 kind;
} host_ops[] = {
	{ fp_add_s, 0x58, TWO }, { fp_add_d, 0x58, TWO }, { fp_sub_s, 0x5c, TWO }, { fp_sub_d, 0x5c, TWO },
	{ fp_mul_s, 0x59, TWO }, { fp_mul_d, 0x59, TWO }, { fp_div_s, 0x5e, TWO }, { fp_div_d, 0x5e, TWO },
	{ fp_nmul_s, 0x59, NEGATED }, { fp_nmul_d, 0x59, NEGATED }, { fp_sqrt_s, 0x51, ONE }, { fp_sqrt_d, 0x51, ONE },
	{ fp_s_to_d, 0x5a, ONE }, { fp_d_to_s, 0x5a, ONE },
	{ fp_add_vs, 0x58, VECTOR }, { fp_add_vd, 0x58, VECTOR }, { fp_sub_vs, 0x5c, VECTOR }, { fp_sub_vd, 0x5c, VECTOR },
	{ fp_mul_vs, 0x59, VECTOR }, { fp_mul_vd, 0x59, VECTOR }, { fp_div_vs, 0x5e, VECTOR }, { fp_div_vd, 0x5e, VECTOR },
};

static uint32_t
load_op(enum fpx_size sz)
{
	return (sz == FPX_S ? SSE_MOVD_LOAD : SSE_MOVQ_LOAD);
}

static uint32_t
scalar_op(enum fpx_size sz, unsigned byte)
{
	return (OP(sz == FPX_S ? 0xf3 : 0xf2, EMIT_0F, byte));
}

static uint32_t
packed_op(enum fpx_size sz, unsigned byte)
{
	return (OP(sz == FPX_S ? 0 : 0x66, EMIT_0F, byte));
}

/* fp_host(), or only that nothing is flushed. */
static void
host_or(struct tr *t, uint32_t bits, struct late *slow)
{
	emit_test_mi(t->e, 4, PAGE(fpcr), (int32_t)bits);
	emit_jcc(t->e, CC_NE, &slow->from);
}

/* xmm is one that Arm may do otherwise: a NaN, the smallest normal number. */
static void
odd_scalar(struct tr *t, enum fpx_size sz, unsigned xmm, struct late *slow)
{
	struct emit *e = t->e;

	emit_sse_rr(e, packed_op(sz, 0x2e), xmm, xmm);			/* UCOMISS, UCOMISD */
	emit_jcc(e, CC_P, &slow->from);
	if (sz == FPX_S) {
		emit_rr(e, 4, SSE_MOVD_STORE, xmm, H_RAX);
		emit_alu_rr(e, 4, ALU_ADD, H_RAX, H_RAX);
		emit_alu_ri(e, 4, ALU_CMP, H_RAX, 0x01000000);
	} else {
		emit_rr(e, 8, SSE_MOVD_STORE, xmm, H_RAX);
		emit_mov_ri(e, H_RCX, 0x0020000000000000ULL);
		emit_alu_rr(e, 8, ALU_ADD, H_RAX, H_RAX);
		emit_alu_rr(e, 8, ALU_CMP, H_RAX, H_RCX);
	}
	emit_jcc(e, CC_E, &slow->from);
}

/* An operation of a scalar, or its move: op xmm, vector register n. */
static void
with(struct tr *t, uint32_t op, unsigned xmm, unsigned n)
{
	int reg = native_find_vector(t, n);

	if (reg >= 0)
		emit_sse_rr(t->e, op, xmm, (unsigned)reg);
	else
		emit_sse_rm(t->e, op, xmm, vector_at(n));
}

/* Vector register n's scalar to xmm, zero-extended. */
static void
get_scalar(struct tr *t, enum fpx_size sz, unsigned xmm, unsigned n)
{
	int reg = native_find_vector(t, n);

	if (reg < 0) {
		emit_sse_rm(t->e, load_op(sz), xmm, vector_at(n));
	} else if (sz == FPX_D) {
		emit_sse_rr(t->e, SSE_MOVQ_LOAD, xmm, (unsigned)reg);
	} else {
		emit_sse_rr(t->e, SSE_XORPS, xmm, xmm);
		emit_sse_rr(t->e, OP(0xf3, EMIT_0F, 0x10), xmm, (unsigned)reg);		/* MOVSS */
	}
}

static enum native
scalar(struct tr *t, const struct host_op *op)
{
	struct late *slow = native_slow(t);
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i), to = i->fn == fp_s_to_d ? FPX_D : i->fn == fp_d_to_s ? FPX_S : sz;
	unsigned size = sz == FPX_S ? 4 : 8;
	struct emit *e = t->e;

	host_or(t, FPCR_RMODE | FPCR_FZ, slow);
	if (op->kind == ONE) {
		emit_sse_rr(e, SSE_XORPS, 0, 0);
		with(t, scalar_op(sz, op->byte), 0, i->rn);
	} else {
		get_scalar(t, sz, 0, i->rn);
		with(t, scalar_op(sz, op->byte), 0, i->rm);
	}
	odd_scalar(t, to, 0, slow);
	if (op->kind == NEGATED) {
		/* Twice itself is in rax. */
		emit_rr(e, size, SSE_MOVD_STORE, 0, H_RAX);
		emit_bt_ri(e, size, 7, H_RAX, 8 * size - 1);
		emit_rr(e, size, SSE_MOVD_LOAD, 0, H_RAX);
	}
	native_put_vector(t, i->rd, 0);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* VFMADD231 and its kin: acc += n * m, by what is negated (SDM vol. 2, VEX.128.66.0F38). */
static void
fma231(struct tr *t, enum fpx_size sz, unsigned byte, unsigned acc, unsigned n, unsigned m)
{
	emit_vex_rr(t->e, sz == FPX_S ? 4 : 8, OP(0x66, EMIT_0F38, byte), acc, n, m);
}

static enum native
multiply_add(struct tr *t)
{
	static const uint8_t bytes[4] = { 0xb9, 0xbd, 0xbb, 0xbf };
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	struct late *slow;
	int n, m;

	if (!hostfp_has_fma())
		return (NATIVE_NOT);
	slow = native_slow(t);
	host_or(t, FPCR_RMODE | FPCR_FZ, slow);
	n = native_find_vector(t, i->rn);
	m = native_find_vector(t, i->rm);
	get_scalar(t, sz, 0, i->ra);
	if (n < 0)
		emit_sse_rm(t->e, load_op(sz), 1, vector_at(i->rn));
	if (m < 0)
		emit_sse_rm(t->e, load_op(sz), 2, vector_at(i->rm));
	fma231(t, sz, bytes[i->arg & 3], 0, n < 0 ? 1 : (unsigned)n, m < 0 ? 2 : (unsigned)m);
	odd_scalar(t, sz, 0, slow);
	native_put_vector(t, i->rd, 0);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* Vectors: all of a register */

static bool
whole(const struct a64_insn *i)
{
	return (fp_lanes(i) == (fp_size(i) == FPX_S ? 4 : 2));
}

/* The second operand: a vector, or one lane of it everywhere, which goes to xmm. */
static unsigned
second(struct tr *t, unsigned xmm)
{
	const struct a64_insn *i = t->i;
	struct emit_mem m = vector_at(i->rm);
	struct emit *e = t->e;

	if (i->imm == 0)
		return (native_use_vector(t, i->rm));
	if (fp_size(i) == FPX_S) {
		m.disp += (int32_t)(4 * (i->imm - 1));
		emit_sse_rm(e, SSE_MOVD_LOAD, xmm, m);
		emit_sse_rr(e, SSE_SHUFPS, xmm, xmm);
		emit8(e, 0);
	} else {
		m.disp += (int32_t)(8 * (i->imm - 1));
		emit_sse_rm(e, SSE_MOVQ_LOAD, xmm, m);
		emit_sse_rr(e, SSE_UNPCKLPD, xmm, xmm);
	}
	return (xmm);
}

/* A lane of xmm0 is odd.  Of a double's halves the upper one is looked at: that takes a few numbers too many. */
static void
odd_vector(struct tr *t, enum fpx_size sz, struct late *slow)
{
	static const uint32_t smallest[2][4] __attribute__((aligned(16))) = {
		{ 0x01000000, 0x01000000, 0x01000000, 0x01000000 }, { 0, 0x00200000, 0, 0x00200000 } };
	struct emit *e = t->e;

	emit_mov_ri(e, H_RCX, (uintptr_t)smallest[sz == FPX_S ? 0 : 1]);
	if (hostfp_has_fma()) {
		emit_vex_rr(e, 4, packed_op(sz, 0xc2), 1, 0, 0);	/* VCMPPS, VCMPPD: unordered */
		emit8(e, 3);
		emit_vex_rr(e, 4, OP(0x66, EMIT_0F, sz == FPX_S ? 0xfe : 0xd4), 2, 0, 0);	/* VPADDD, VPADDQ */
		emit_sse_rm(e, SSE_PCMPEQD, 2, emit_at(H_RCX, 0));
		emit_sse_rr(e, SSE_ORPS, 1, 2);
		emit_vex_rr(e, 4, OP(0x66, EMIT_0F38, sz == FPX_S ? 0x0e : 0x0f), 1, 0, 1);	/* VTESTPS, VTESTPD */
		emit_jcc(e, CC_NE, &slow->from);
		return;
	}
	emit_sse_rr(e, SSE_MOVAPS_LOAD, 1, 0);
	emit_sse_rr(e, packed_op(sz, 0xc2), 1, 1);
	emit8(e, 3);
	emit_sse_rr(e, SSE_MOVAPS_LOAD, 2, 0);
	emit_sse_rr(e, OP(0x66, EMIT_0F, sz == FPX_S ? 0xfe : 0xd4), 2, 2);
	emit_sse_rm(e, SSE_PCMPEQD, 2, emit_at(H_RCX, 0));
	emit_sse_rr(e, SSE_ORPS, 1, 2);
	emit_sse_rr(e, packed_op(sz, 0x50), H_RAX, 1);			/* MOVMSKPS, MOVMSKPD */
	emit_test_rr(e, 4, H_RAX, H_RAX);
	emit_jcc(e, CC_NE, &slow->from);
}

static enum native
vector(struct tr *t, const struct host_op *op)
{
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	struct late *slow;
	unsigned n, m;

	if (!whole(i))
		return (NATIVE_NOT);
	slow = native_slow(t);
	host_or(t, FPCR_RMODE | FPCR_FZ, slow);
	m = second(t, 1);
	n = native_use_vector(t, i->rn);
	emit_sse_rr(t->e, SSE_MOVAPS_LOAD, 0, n);
	emit_sse_rr(t->e, packed_op(sz, op->byte), 0, m);
	odd_vector(t, sz, slow);
	native_put_vector(t, i->rd, 0);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
vector_multiply_add(struct tr *t)
{
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	unsigned n, m, acc;
	struct late *slow;

	if (!whole(i) || !hostfp_has_fma())
		return (NATIVE_NOT);
	slow = native_slow(t);
	host_or(t, FPCR_RMODE | FPCR_FZ, slow);
	m = second(t, 2);
	n = native_use_vector(t, i->rn);
	acc = native_use_vector(t, i->rd);
	emit_sse_rr(t->e, SSE_MOVAPS_LOAD, 0, acc);
	fma231(t, sz, i->arg == FP_MLS ? 0xbc : 0xb8, 0, n, m);
	odd_vector(t, sz, slow);
	native_put_vector(t, i->rd, 0);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* Comparison: less is N, equal Z and C, greater C; unordered is the function's. */
static enum native
compare(struct tr *t)
{
	struct late *slow = native_slow(t);
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	struct emit *e = t->e;

	host_or(t, FPCR_FZ, slow);
	get_scalar(t, sz, 0, i->rn);
	if ((i->arg & 8) != 0) {
		emit_sse_rr(e, SSE_XORPS, 1, 1);
		emit_sse_rr(e, packed_op(sz, 0x2e), 0, 1);
	} else {
		with(t, packed_op(sz, 0x2e), 0, i->rm);
	}
	emit_jcc(e, CC_P, &slow->from);
	emit_setcc_r(e, CC_B, H_RAX);
	emit_setcc_r(e, CC_E, H_RCX);
	emit_movzx_rr(e, 1, H_RAX, H_RAX);
	emit_movzx_rr(e, 1, H_RCX, H_RCX);
	emit_mov_rr(e, 4, H_RDX, H_RAX);
	emit_shift_ri(e, 4, SH_SHL, H_RDX, 15);
	emit_shift_ri(e, 4, SH_SHL, H_RCX, 14);
	emit_alu_ri(e, 4, ALU_XOR, H_RAX, 1);
	emit_shift_ri(e, 4, SH_SHL, H_RAX, 8);
	emit_alu_rr(e, 4, ALU_OR, H_RAX, H_RCX);
	emit_alu_rr(e, 4, ALU_OR, H_RAX, H_RDX);
	emit_mov_mr(e, 2, CORE(eflags), H_RAX);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
conditional_select(struct tr *t)
{
	const struct a64_insn *i = t->i;
	unsigned n, m, size = fp_size(i) == FPX_S ? 4 : 8;
	enum emit_cc cc;

	if (fp_size(i) != FPX_S && fp_size(i) != FPX_D)
		return (NATIVE_NOT);
	n = native_new(t);
	m = native_new(t);
	emit_mov_rm(t->e, size, n, vector_at(i->rn));
	if ((i->arg & 0xe) != 0xe) {
		emit_mov_rm(t->e, size, m, vector_at(i->rm));
		cc = native_condition(t, i->arg);
		emit_cmov_rr(t->e, size, (enum emit_cc)(cc ^ 1), n, m);
	}
	emit_rr(t->e, 8, SSE_MOVD_LOAD, 0, n);
	native_put_vector(t, i->rd, 0);
	return (NATIVE_KEPT);
}

/* Moves */

static enum native
move(struct tr *t)
{
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	struct emit *e = t->e;
	unsigned reg;

	if (i->fn == fp_fmov_imm) {
		emit_mov_ri(e, H_RAX, i->imm);
		emit_rr(e, 8, SSE_MOVD_LOAD, 0, H_RAX);
		native_put_vector(t, i->rd, 0);
		return (NATIVE_KEPT);
	}
	if (sz != FPX_S && sz != FPX_D && i->fn != fp_top_to_x && i->fn != fp_top_from_x)
		return (NATIVE_NOT);
	if (i->fn == fp_fmov) {
		get_scalar(t, sz, 0, i->rn);
		native_put_vector(t, i->rd, 0);
	} else if (i->fn == fp_from_x) {
		emit_rr(e, sz == FPX_S ? 4 : 8, SSE_MOVD_LOAD, 0, native_use(t, src(i->rn)));
		native_put_vector(t, i->rd, 0);
	} else if (i->fn == fp_top_from_x) {
		struct emit_mem m = vector_at(i->rd);

		m.disp += 8;
		emit_mov_mr(e, 8, m, native_use(t, src(i->rn)));
		native_lose_vector(t, i->rd);
	} else {
		struct emit_mem m = vector_at(i->rn);

		m.disp += i->fn == fp_top_to_x ? 8 : 0;
		reg = native_new(t);
		emit_mov_rm(e, i->fn == fp_top_to_x || sz == FPX_D ? 8 : 4, reg, m);
		native_put(t, dst(i->rd), reg);
	}
	return (NATIVE_KEPT);
}

/* Signs: one lane, or all of a register. */
static enum native
sign(struct tr *t, bool neg)
{
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	unsigned size = sz == FPX_S ? 4 : 8;
	struct emit *e = t->e;

	if (sz != FPX_S && sz != FPX_D)
		return (NATIVE_NOT);
	if (fp_lanes(i) == 1) {
		emit_mov_rm(e, size, H_RAX, vector_at(i->rn));
		emit_bt_ri(e, size, neg ? 7 : 6, H_RAX, 8 * size - 1);
		emit_rr(e, 8, SSE_MOVD_LOAD, 0, H_RAX);
	} else if (whole(i)) {
		emit_sse_rr(e, SSE_MOVAPS_LOAD, 0, native_use_vector(t, i->rn));
		emit_sse_rr(e, SSE_PCMPEQD, 1, 1);
		emit_sse_rr(e, OP(0x66, EMIT_0F, sz == FPX_S ? 0x72 : 0x73), neg ? 6 : 2, 1);
		emit8(e, neg ? 8 * size - 1 : 1);
		emit_sse_rr(e, neg ? SSE_PXOR : SSE_PAND, 0, 1);
	} else {
		return (NATIVE_NOT);
	}
	native_put_vector(t, i->rd, 0);
	return (NATIVE_DONE);
}

/* Integers */

static enum native
from_integer(struct tr *t)
{
	struct late *slow = native_slow(t);
	const struct a64_insn *i = t->i;
	unsigned reg = native_use(t, src(i->rn));
	struct emit *e = t->e;

	host_or(t, FPCR_RMODE | FPCR_FZ, slow);
	if ((i->arg & FP_X) == 0) {
		if ((i->arg & FP_UNSIGNED) != 0)
			emit_mov_rr(e, 4, H_RAX, reg);
		else
			emit_movsx_rr(e, 8, 4, H_RAX, reg);
		reg = H_RAX;
	} else if ((i->arg & FP_UNSIGNED) != 0) {
		emit_test_rr(e, 8, reg, reg);
		emit_jcc(e, CC_S, &slow->from);
	}
	emit_sse_rr(e, SSE_XORPS, 0, 0);
	emit_rr(e, 8, scalar_op(fp_size(i), 0x2a), 0, reg);		/* CVTSI2SS, CVTSI2SD */
	native_put_vector(t, i->rd, 0);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* host_converts() */
static enum native
to_integer(struct tr *t)
{
	struct late *slow = native_slow(t);
	const struct a64_insn *i = t->i;
	bool s = fp_size(i) == FPX_S, x = (i->arg & FP_X) != 0, uns = (i->arg & FP_UNSIGNED) != 0;
	unsigned size = s ? 4 : 8, limit = (s ? 127U : 1023U) + (uns ? x ? 63 : 32 : x ? 63 : 31), reg;
	struct emit *e = t->e;

	host_or(t, FPCR_RMODE | FPCR_FZ, slow);
	emit_mov_rm(e, size, H_RAX, vector_at(i->rn));
	if (uns) {
		emit_test_rr(e, size, H_RAX, H_RAX);
		emit_jcc(e, CC_S, &slow->from);
	}
	emit_shift_ri(e, size, SH_SHL, H_RAX, 1);
	emit_shift_ri(e, size, SH_SHR, H_RAX, s ? 24 : 53);
	emit_alu_ri(e, 4, ALU_CMP, H_RAX, (int32_t)limit);
	emit_jcc(e, CC_AE, &slow->from);
	reg = native_new(t);
	emit_rm(e, 8, scalar_op(fp_size(i), 0x2c), reg, vector_at(i->rn), 0);	/* CVTTSS2SI, CVTTSD2SI */
	if (!x)
		emit_mov_rr(e, 4, reg, reg);
	native_put(t, dst(i->rd), reg);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

enum native
native_fp(struct tr *t)
{
	const struct a64_insn *i = t->i;

	for (unsigned n = 0; n < nitems(host_ops); n++) {
		if (host_ops[n].fn == i->fn)
			return (host_ops[n].kind == VECTOR ? vector(t, &host_ops[n]) : scalar(t, &host_ops[n]));
	}
	if (i->fn == fp_madd_s || i->fn == fp_madd_d)
		return (multiply_add(t));
	if (i->fn == fp_mla_vs || i->fn == fp_mla_vd)
		return (vector_multiply_add(t));
	if (i->fn == fp_cmp && (fp_size(i) == FPX_S || fp_size(i) == FPX_D))
		return (compare(t));
	if (i->fn == fp_csel)
		return (conditional_select(t));
	if (i->fn == fp_fmov || i->fn == fp_fmov_imm || i->fn == fp_to_x || i->fn == fp_from_x || i->fn == fp_top_to_x || i->fn == fp_top_from_x)
		return (move(t));
	if (i->fn == fp_abs_v || i->fn == fp_neg_v)
		return (sign(t, i->fn == fp_neg_v));
	if (i->fn == fp_from_int_s || i->fn == fp_from_int_d)
		return (from_integer(t));
	if (i->fn == fp_to_zero_s || i->fn == fp_to_zero_d)
		return (to_integer(t));
	return (native_simd(t));
}
