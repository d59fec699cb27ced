/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_fp.c - floating point and Advanced SIMD in native code: what the functions of fp*.c give to the host's units, under the same conditions, and vector
 * operations of integers that the host has.  Operands are read from the state page and results go there.
 *
 * A result that Arm may do otherwise (fp_odd_s(), fp_odd_d()) is the function's.  It calculates again, and the host's exceptions are sticky: they
 * are what they would have been.
 */
#include "fp_ops.h"
#include "native.h"

#if defined(__x86_64__)

#define	SSE_XORPS	OP(0, EMIT_0F, 0x57)
#define	SSE_ORPS	OP(0, EMIT_0F, 0x56)
#define	SSE_UNPCKLPD	OP(0x66, EMIT_0F, 0x14)
#define	SSE_SHUFPS	OP(0, EMIT_0F, 0xc6)
#define	SSE_PCMPEQD	OP(0x66, EMIT_0F, 0x76)
#define	SSE_PAND	OP(0x66, EMIT_0F, 0xdb)
#define	SSE_PANDN	OP(0x66, EMIT_0F, 0xdf)
#define	SSE_POR		OP(0x66, EMIT_0F, 0xeb)
#define	SSE_PXOR	OP(0x66, EMIT_0F, 0xef)

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

static struct emit_mem
vector_at(unsigned n)
{
	return (emit_at(RBP, (int32_t)(offsetof(struct arm64_state, v) + 16 * n) - NATIVE_BIAS));
}

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

static void
put_vector(struct tr *t, unsigned n)
{
	emit_sse_rm(t->e, SSE_MOVDQU_STORE, 0, vector_at(n));
}

/* fp_host(), or only that nothing is flushed. */
static void
host_or(struct tr *t, uint32_t bits, struct late *slow)
{
	emit_test_mi(t->e, 4, PAGE(fpcr), (int32_t)bits);
	emit_jcc(t->e, CC_NE, &slow->from);
}

/* xmm0 is one that Arm may do otherwise: a NaN, the smallest normal number. */
static void
odd_scalar(struct tr *t, enum fpx_size sz, struct late *slow)
{
	struct emit *e = t->e;

	emit_sse_rr(e, packed_op(sz, 0x2e), 0, 0);			/* UCOMISS, UCOMISD */
	emit_jcc(e, CC_P, &slow->from);
	if (sz == FPX_S) {
		emit_rr(e, 4, SSE_MOVD_STORE, 0, RAX);
		emit_alu_rr(e, 4, ALU_ADD, RAX, RAX);
		emit_alu_ri(e, 4, ALU_CMP, RAX, 0x01000000);
	} else {
		emit_rr(e, 8, SSE_MOVD_STORE, 0, RAX);
		emit_mov_ri(e, RCX, 0x0020000000000000ULL);
		emit_alu_rr(e, 8, ALU_ADD, RAX, RAX);
		emit_alu_rr(e, 8, ALU_CMP, RAX, RCX);
	}
	emit_jcc(e, CC_E, &slow->from);
}

static enum native
scalar(struct tr *t, const struct host_op *op)
{
	struct late *slow = native_slow(t);
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i), to = i->fn == fp_s_to_d ? FPX_D : i->fn == fp_d_to_s ? FPX_S : sz;
	struct emit *e = t->e;

	host_or(t, FPCR_RMODE | FPCR_FZ, slow);
	if (op->kind == ONE) {
		emit_sse_rr(e, SSE_XORPS, 0, 0);
		emit_sse_rm(e, scalar_op(sz, op->byte), 0, vector_at(i->rn));
	} else {
		emit_sse_rm(e, load_op(sz), 0, vector_at(i->rn));
		emit_sse_rm(e, scalar_op(sz, op->byte), 0, vector_at(i->rm));
	}
	odd_scalar(t, to, slow);
	if (op->kind == NEGATED) {
		/* Twice itself is in rax. */
		emit_rr(e, sz == FPX_S ? 4 : 8, SSE_MOVD_STORE, 0, RAX);
		emit_bt_ri(e, sz == FPX_S ? 4 : 8, 7, RAX, sz == FPX_S ? 31 : 63);
		emit_rr(e, sz == FPX_S ? 4 : 8, SSE_MOVD_LOAD, 0, RAX);
	}
	put_vector(t, i->rd);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* VFMADD231 and its kin: xmm0 += xmm1 * xmm2, by what is negated (SDM vol. 2, VEX.128.66.0F38). */
static void
fma231(struct tr *t, enum fpx_size sz, unsigned byte)
{
	emit8(t->e, 0xc4);
	emit8(t->e, 0xe2);
	emit8(t->e, sz == FPX_S ? 0x71 : 0xf1);
	emit8(t->e, byte);
	emit8(t->e, 0xc2);
}

static enum native
multiply_add(struct tr *t)
{
	static const uint8_t bytes[4] = { 0xb9, 0xbd, 0xbb, 0xbf };
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	struct late *slow;

	if (!hostfp_has_fma())
		return (NATIVE_NOT);
	slow = native_slow(t);
	host_or(t, FPCR_RMODE | FPCR_FZ, slow);
	emit_sse_rm(t->e, load_op(sz), 0, vector_at(i->ra));
	emit_sse_rm(t->e, load_op(sz), 1, vector_at(i->rn));
	emit_sse_rm(t->e, load_op(sz), 2, vector_at(i->rm));
	fma231(t, sz, bytes[i->arg & 3]);
	odd_scalar(t, sz, slow);
	put_vector(t, i->rd);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* Vectors: all of a register */

static bool
whole(const struct a64_insn *i)
{
	return (fp_lanes(i) == (fp_size(i) == FPX_S ? 4 : 2));
}

/* The second operand to an xmm register: a vector, or one lane of it everywhere. */
static void
second(struct tr *t, unsigned xmm)
{
	const struct a64_insn *i = t->i;
	struct emit_mem m = vector_at(i->rm);
	struct emit *e = t->e;

	if (i->imm == 0) {
		emit_sse_rm(e, SSE_MOVDQU_LOAD, xmm, m);
	} else if (fp_size(i) == FPX_S) {
		m.disp += (int32_t)(4 * (i->imm - 1));
		emit_sse_rm(e, SSE_MOVD_LOAD, xmm, m);
		emit_sse_rr(e, SSE_SHUFPS, xmm, xmm);
		emit8(e, 0);
	} else {
		m.disp += (int32_t)(8 * (i->imm - 1));
		emit_sse_rm(e, SSE_MOVQ_LOAD, xmm, m);
		emit_sse_rr(e, SSE_UNPCKLPD, xmm, xmm);
	}
}

/* A lane of xmm0 is odd.  Of a double's halves the upper one is looked at: that takes a few numbers too many. */
static void
odd_vector(struct tr *t, enum fpx_size sz, struct late *slow)
{
	static const uint32_t smallest[2][4] __attribute__((aligned(16))) = {
		{ 0x01000000, 0x01000000, 0x01000000, 0x01000000 }, { 0, 0x00200000, 0, 0x00200000 } };
	struct emit *e = t->e;

	emit_sse_rr(e, SSE_MOVAPS_LOAD, 1, 0);
	emit_sse_rr(e, packed_op(sz, 0xc2), 1, 1);			/* CMPPS, CMPPD: unordered */
	emit8(e, 3);
	emit_sse_rr(e, SSE_MOVAPS_LOAD, 2, 0);
	emit_sse_rr(e, OP(0x66, EMIT_0F, sz == FPX_S ? 0x72 : 0x73), 6, 2);	/* PSLLD, PSLLQ */
	emit8(e, 1);
	emit_mov_ri(e, RCX, (uintptr_t)smallest[sz == FPX_S ? 0 : 1]);
	emit_sse_rm(e, SSE_PCMPEQD, 2, emit_at(RCX, 0));
	emit_sse_rr(e, SSE_ORPS, 1, 2);
	emit_sse_rr(e, packed_op(sz, 0x50), RAX, 1);			/* MOVMSKPS, MOVMSKPD */
	emit_test_rr(e, 4, RAX, RAX);
	emit_jcc(e, CC_NE, &slow->from);
}

static enum native
vector(struct tr *t, const struct host_op *op)
{
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	struct late *slow;

	if (!whole(i))
		return (NATIVE_NOT);
	slow = native_slow(t);
	host_or(t, FPCR_RMODE | FPCR_FZ, slow);
	second(t, 1);
	emit_sse_rm(t->e, SSE_MOVDQU_LOAD, 0, vector_at(i->rn));
	emit_sse_rr(t->e, packed_op(sz, op->byte), 0, 1);
	odd_vector(t, sz, slow);
	put_vector(t, i->rd);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
vector_multiply_add(struct tr *t)
{
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	struct late *slow;

	if (!whole(i) || !hostfp_has_fma())
		return (NATIVE_NOT);
	slow = native_slow(t);
	host_or(t, FPCR_RMODE | FPCR_FZ, slow);
	second(t, 2);
	emit_sse_rm(t->e, SSE_MOVDQU_LOAD, 1, vector_at(i->rn));
	emit_sse_rm(t->e, SSE_MOVDQU_LOAD, 0, vector_at(i->rd));
	fma231(t, sz, i->arg == FP_MLS ? 0xbc : 0xb8);
	odd_vector(t, sz, slow);
	put_vector(t, i->rd);
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
	emit_sse_rm(e, load_op(sz), 0, vector_at(i->rn));
	if ((i->arg & 8) != 0)
		emit_sse_rr(e, SSE_XORPS, 1, 1);
	else
		emit_sse_rm(e, load_op(sz), 1, vector_at(i->rm));
	emit_sse_rr(e, packed_op(sz, 0x2e), 0, 1);
	emit_jcc(e, CC_P, &slow->from);
	emit_setcc_r(e, CC_B, RAX);
	emit_setcc_r(e, CC_E, RCX);
	emit_movzx_rr(e, 1, RAX, RAX);
	emit_movzx_rr(e, 1, RCX, RCX);
	emit_mov_rr(e, 4, RDX, RAX);
	emit_shift_ri(e, 4, SH_SHL, RDX, 15);
	emit_shift_ri(e, 4, SH_SHL, RCX, 14);
	emit_alu_ri(e, 4, ALU_XOR, RAX, 1);
	emit_shift_ri(e, 4, SH_SHL, RAX, 8);
	emit_alu_rr(e, 4, ALU_OR, RAX, RCX);
	emit_alu_rr(e, 4, ALU_OR, RAX, RDX);
	emit_mov_mr(e, 2, CORE(eflags), RAX);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
conditional_select(struct tr *t)
{
	const struct a64_insn *i = t->i;
	unsigned n, m, size = fp_size(i) == FPX_S ? 4 : 8;
	enum emit_cc cc;
	bool undo;

	if (fp_size(i) != FPX_S && fp_size(i) != FPX_D)
		return (NATIVE_NOT);
	n = native_new(t);
	m = native_new(t);
	emit_mov_rm(t->e, size, n, vector_at(i->rn));
	if ((i->arg & 0xe) != 0xe) {
		emit_mov_rm(t->e, size, m, vector_at(i->rm));
		cc = native_condition(t, i->arg, &undo);
		emit_cmov_rr(t->e, size, (enum emit_cc)(cc ^ 1), n, m);
		if (undo)
			emit_cmc(t->e);
	}
	emit_rr(t->e, 8, SSE_MOVD_LOAD, 0, n);
	put_vector(t, i->rd);
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
		emit_mov_ri(e, RAX, i->imm);
		emit_rr(e, 8, SSE_MOVD_LOAD, 0, RAX);
		put_vector(t, i->rd);
		return (NATIVE_KEPT);
	}
	if (sz != FPX_S && sz != FPX_D && i->fn != fp_top_to_x && i->fn != fp_top_from_x)
		return (NATIVE_NOT);
	if (i->fn == fp_fmov) {
		emit_sse_rm(e, load_op(sz), 0, vector_at(i->rn));
		put_vector(t, i->rd);
	} else if (i->fn == fp_from_x) {
		emit_rr(e, sz == FPX_S ? 4 : 8, SSE_MOVD_LOAD, 0, native_use(t, src(i->rn)));
		put_vector(t, i->rd);
	} else if (i->fn == fp_top_from_x) {
		struct emit_mem m = vector_at(i->rd);

		m.disp += 8;
		emit_mov_mr(e, 8, m, native_use(t, src(i->rn)));
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
		emit_mov_rm(e, size, RAX, vector_at(i->rn));
		emit_bt_ri(e, size, neg ? 7 : 6, RAX, 8 * size - 1);
		emit_rr(e, 8, SSE_MOVD_LOAD, 0, RAX);
	} else if (whole(i)) {
		emit_sse_rm(e, SSE_MOVDQU_LOAD, 0, vector_at(i->rn));
		emit_sse_rr(e, SSE_PCMPEQD, 1, 1);
		emit_sse_rr(e, OP(0x66, EMIT_0F, sz == FPX_S ? 0x72 : 0x73), neg ? 6 : 2, 1);
		emit8(e, neg ? 8 * size - 1 : 1);
		emit_sse_rr(e, neg ? SSE_PXOR : SSE_PAND, 0, 1);
	} else {
		return (NATIVE_NOT);
	}
	put_vector(t, i->rd);
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
			emit_mov_rr(e, 4, RAX, reg);
		else
			emit_movsx_rr(e, 8, 4, RAX, reg);
		reg = RAX;
	} else if ((i->arg & FP_UNSIGNED) != 0) {
		emit_test_rr(e, 8, reg, reg);
		emit_jcc(e, CC_S, &slow->from);
	}
	emit_sse_rr(e, SSE_XORPS, 0, 0);
	emit_rr(e, 8, scalar_op(fp_size(i), 0x2a), 0, reg);		/* CVTSI2SS, CVTSI2SD */
	put_vector(t, i->rd);
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
	emit_mov_rm(e, size, RAX, vector_at(i->rn));
	if (uns) {
		emit_test_rr(e, size, RAX, RAX);
		emit_jcc(e, CC_S, &slow->from);
	}
	emit_shift_ri(e, size, SH_SHL, RAX, 1);
	emit_shift_ri(e, size, SH_SHR, RAX, s ? 24 : 53);
	emit_alu_ri(e, 4, ALU_CMP, RAX, (int32_t)limit);
	emit_jcc(e, CC_AE, &slow->from);
	reg = native_new(t);
	emit_rm(e, 8, scalar_op(fp_size(i), 0x2c), reg, vector_at(i->rn), 0);	/* CVTTSS2SI, CVTTSD2SI */
	if (!x)
		emit_mov_rr(e, 4, reg, reg);
	native_put(t, dst(i->rd), reg);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* Advanced SIMD three same: by U, opcode and size; 0: not here. */
static uint8_t
three_same_op(unsigned u, unsigned opcode, unsigned size)
{
	static const uint8_t add[4] = { 0xfc, 0xfd, 0xfe, 0xd4 }, sub[4] = { 0xf8, 0xf9, 0xfa, 0xfb };
	static const uint8_t eq[4] = { 0x74, 0x75, 0x76, 0 }, gt[4] = { 0x64, 0x65, 0x66, 0 };

	switch (u << 5 | opcode) {
	case 0x10:
		return (add[size]);
	case 0x30:
		return (sub[size]);
	case 0x31:
		return (eq[size]);
	case 0x06:
		return (gt[size]);
	case 0x2c:
		return (size == 0 ? 0xde : 0);		/* UMAX: PMAXUB */
	case 0x2d:
		return (size == 0 ? 0xda : 0);
	case 0x0c:
		return (size == 1 ? 0xee : 0);		/* SMAX: PMAXSW */
	case 0x0d:
		return (size == 1 ? 0xea : 0);
	case 0x13:
		return (size == 1 ? 0xd5 : 0);		/* MUL: PMULLW */
	default:
		return (0);
	}
}

/* xmm0 = the operation of xmm0 (Vn) and xmm1 (Vm). */
static bool
logical(struct tr *t, unsigned u, unsigned size)
{
	const struct a64_insn *i = t->i;
	struct emit *e = t->e;

	switch (u << 2 | size) {
	case 0:
		emit_sse_rr(e, SSE_PAND, 0, 1);
		break;
	case 1:
		emit_sse_rr(e, SSE_PANDN, 1, 0);	/* BIC */
		emit_sse_rr(e, SSE_MOVAPS_LOAD, 0, 1);
		break;
	case 2:
		emit_sse_rr(e, SSE_POR, 0, 1);
		break;
	case 3:
		emit_sse_rr(e, SSE_PCMPEQD, 2, 2);	/* ORN */
		emit_sse_rr(e, SSE_PXOR, 1, 2);
		emit_sse_rr(e, SSE_POR, 0, 1);
		break;
	case 4:
		emit_sse_rr(e, SSE_PXOR, 0, 1);
		break;
	case 5:						/* BSL: Vd ? Vn : Vm */
		emit_sse_rr(e, SSE_PXOR, 0, 1);
		emit_sse_rm(e, SSE_MOVDQU_LOAD, 2, vector_at(i->rd));
		emit_sse_rr(e, SSE_PAND, 0, 2);
		emit_sse_rr(e, SSE_PXOR, 0, 1);
		break;
	default:					/* BIT, BIF: Vm ? Vn : Vd, Vm ? Vd : Vn */
		emit_sse_rm(e, SSE_MOVDQU_LOAD, 2, vector_at(i->rd));
		emit_sse_rr(e, SSE_PXOR, 0, 2);
		if (size == 3) {
			emit_sse_rr(e, SSE_PANDN, 1, 0);
			emit_sse_rr(e, SSE_MOVAPS_LOAD, 0, 1);
		} else {
			emit_sse_rr(e, SSE_PAND, 0, 1);
		}
		emit_sse_rr(e, SSE_PXOR, 0, 2);
		break;
	}
	return (true);
}

static enum native
three_same(struct tr *t, uint32_t w)
{
	unsigned u = a64_bits(w, 29, 29), opcode = a64_bits(w, 15, 11), size = a64_bits(w, 23, 22);
	uint8_t op = three_same_op(u, opcode, size);

	if (op == 0 && opcode != 3)
		return (NATIVE_NOT);
	emit_sse_rm(t->e, SSE_MOVDQU_LOAD, 0, vector_at(t->i->rn));
	emit_sse_rm(t->e, SSE_MOVDQU_LOAD, 1, vector_at(t->i->rm));
	if (opcode == 3)
		(void)logical(t, u, size);
	else
		emit_sse_rr(t->e, OP(0x66, EMIT_0F, op), 0, 1);
	if (a64_bits(w, 30, 30) == 0)
		emit_sse_rr(t->e, SSE_MOVQ_LOAD, 0, 0);
	put_vector(t, t->i->rd);
	return (NATIVE_KEPT);
}

/* eax or rax to each element of xmm0. */
static void
spread(struct tr *t, unsigned size)
{
	struct emit *e = t->e;

	if (size < 2)
		emit_imul_rri(e, 4, RAX, RAX, size == 0 ? 0x01010101 : 0x00010001);
	emit_rr(e, size == 3 ? 8 : 4, SSE_MOVD_LOAD, 0, RAX);
	if (size == 3) {
		emit_sse_rr(e, SSE_UNPCKLPD, 0, 0);
	} else {
		emit_sse_rr(e, OP(0x66, EMIT_0F, 0x70), 0, 0);		/* PSHUFD */
		emit8(e, 0);
	}
}

/* Elements one by one (C4.1.96, Advanced SIMD copy): their place is in memory. */
static enum native
copy(struct tr *t, uint32_t w)
{
	const struct a64_insn *i = t->i;
	unsigned size = (unsigned)__builtin_ctz(a64_bits(w, 20, 16)), bytes = 1U << size, reg;
	struct emit_mem from = vector_at(i->rn), to = vector_at(i->rd);
	struct emit *e = t->e;

	if (a64_bits(w, 29, 29) != 0) {				/* INS (element) */
		from.disp += (int32_t)(i->arg * bytes);
		to.disp += (int32_t)(i->imm * bytes);
		emit_movzx_rm(e, bytes, RAX, from);
		emit_mov_mr(e, bytes, to, RAX);
		return (NATIVE_KEPT);
	}
	switch (a64_bits(w, 14, 11)) {
	case 0:							/* DUP */
	case 1:
		from.disp += (int32_t)(i->imm * bytes);
		if (a64_bits(w, 14, 11) == 0)
			emit_movzx_rm(e, bytes, RAX, from);
		else if (size < 2)
			emit_movzx_rr(e, bytes, RAX, native_use(t, src(i->rn)));
		else
			emit_mov_rr(e, 8, RAX, native_use(t, src(i->rn)));
		spread(t, size);
		if (a64_bits(w, 30, 30) == 0)
			emit_sse_rr(e, SSE_MOVQ_LOAD, 0, 0);
		put_vector(t, i->rd);
		return (NATIVE_DONE);
	case 3:							/* INS (general) */
		to.disp += (int32_t)(i->imm * bytes);
		emit_mov_mr(e, bytes, to, native_use(t, src(i->rn)));
		return (NATIVE_KEPT);
	default:						/* SMOV, UMOV */
		from.disp += (int32_t)(i->imm * bytes);
		reg = native_new(t);
		if (a64_bits(w, 14, 11) == 7)
			emit_movzx_rm(e, bytes, reg, from);
		else
			emit_movsx_rm(e, i->arg != 0 ? 8 : 4, bytes, reg, from);
		native_put(t, dst(i->rd), reg);
		return (NATIVE_KEPT);
	}
}

/* MOVI, MVNI, FMOV: not ORR and BIC */
static enum native
immediate(struct tr *t, uint32_t w)
{
	unsigned cmode = a64_bits(w, 15, 12);

	if (cmode < 12 && (cmode & 1) != 0)
		return (NATIVE_NOT);
	emit_mov_ri(t->e, RAX, t->i->imm);
	emit_rr(t->e, 8, SSE_MOVD_LOAD, 0, RAX);
	if (a64_bits(w, 30, 30) != 0)
		emit_sse_rr(t->e, SSE_UNPCKLPD, 0, 0);
	put_vector(t, t->i->rd);
	return (NATIVE_KEPT);
}

/* SHL, SSHR, USHR of halfwords and more */
static enum native
shift(struct tr *t, uint32_t w)
{
	static const uint8_t bytes[4] = { 0, 0x71, 0x72, 0x73 };
	unsigned size = 28 - (unsigned)__builtin_clz(a64_bits(w, 22, 16)), op = a64_bits(w, 29, 29) << 5 | a64_bits(w, 15, 11);
	unsigned how = op == 0x0a ? 6 : op == 0x20 ? 2 : op == 0 && size != 3 ? 4 : 0;

	if (how == 0 || size == 0)
		return (NATIVE_NOT);
	emit_sse_rm(t->e, SSE_MOVDQU_LOAD, 0, vector_at(t->i->rn));
	emit_sse_rr(t->e, OP(0x66, EMIT_0F, bytes[size]), how, 0);
	emit8(t->e, (unsigned)t->i->imm);
	if (a64_bits(w, 30, 30) == 0)
		emit_sse_rr(t->e, SSE_MOVQ_LOAD, 0, 0);
	put_vector(t, t->i->rd);
	return (NATIVE_KEPT);
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
	if ((i->word & 0x9f200400) == 0x0e200400)
		return (three_same(t, i->word));
	if ((i->word & 0x9fe08400) == 0x0e000400)
		return (copy(t, i->word));
	if ((i->word & 0x9ff80c00) == 0x0f000400)
		return (immediate(t, i->word));
	if ((i->word & 0x9f800400) == 0x0f000400)
		return (shift(t, i->word));
	return (NATIVE_NOT);
}

#endif
