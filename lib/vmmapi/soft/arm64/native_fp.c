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

/* Constants of an element's size: all but the sign; the smallest normal number; the sign of the first one. */
static const struct constants {
	uint64_t	abs[2], smallest[2], sign[2];
} constants[2] __attribute__((aligned(16))) = {
	{ { 0x7fffffff7fffffff, 0x7fffffff7fffffff }, { 0x0080000000800000, 0x0080000000800000 }, { 0x80000000, 0 } },
	{ { 0x7fffffffffffffff, 0x7fffffffffffffff }, { 0x0010000000000000, 0x0010000000000000 }, { 0x8000000000000000, 0 } },
};

/* Theirs, by rcx, which is lost. */
static struct emit_mem
constant(struct tr *t, enum fpx_size sz, size_t member)
{
	emit_mov_ri(t->e, H_RCX, (uintptr_t)&constants[sz == FPX_S ? 0 : 1]);
	return (emit_at(H_RCX, (int32_t)member));
}

#define	CONSTANT(t, sz, member)	constant((t), (sz), offsetof(struct constants, member))

static unsigned
size_of(enum fpx_size sz)
{
	return (sz == FPX_S ? 4 : 8);
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

/* FPCR has nothing that the host does not do (A64_MODE_FPCR): code is for that or for its contrary. */
static bool
host_does(const struct tr *t)
{
	return ((t->c->mode & A64_MODE_FPCR) == 0);
}

/* to = from op with; to is none of the others, but from. */
static void
combine(struct tr *t, uint32_t op, unsigned to, unsigned from, unsigned with)
{
	if (hostfp_has_fma()) {		/* and so VEX */
		emit_vex_rr(t->e, 4, op, to, from, with);
		return;
	}
	if (to != from)
		emit_sse_rr(t->e, SSE_MOVAPS_LOAD, to, from);
	emit_sse_rr(t->e, op, to, with);
}

static void
combine_memory(struct tr *t, uint32_t op, unsigned to, unsigned from, struct emit_mem with)
{
	if (hostfp_has_fma()) {
		emit_vex_rm(t->e, 4, op, to, from, with);
		return;
	}
	if (to != from)
		emit_sse_rr(t->e, SSE_MOVAPS_LOAD, to, from);
	emit_sse_rm(t->e, op, to, with);
}

/*
 * May the result of such an operation be the smallest normal number, rounded up to it (what the host does not call an underflow)?  What
 * sums, differences and square roots are there is exact, as are numbers that become longer.
 */
static bool
rounds_up(const struct host_op *op)
{
	return (op->byte != 0x58 && op->byte != 0x5c && op->byte != 0x51 && op->fn != fp_s_to_d);
}

/* xmm is one that Arm may do otherwise: a NaN, the smallest normal number; xmm1 is lost. */
static void
odd_scalar(struct tr *t, enum fpx_size sz, unsigned xmm, bool smallest, struct late *slow)
{
	struct emit *e = t->e;

	if (!smallest) {
		emit_sse_rr(e, packed_op(sz, 0x2e), xmm, xmm);		/* UCOMISS, UCOMISD */
		emit_jcc(e, CC_P, &slow->from);
		return;
	}
	/* Unordered is like equal in ZF. */
	combine_memory(t, packed_op(sz, 0x54), 1, xmm, CONSTANT(t, sz, abs));
	emit_sse_rm(e, packed_op(sz, 0x2e), 1, emit_at(H_RCX, offsetof(struct constants, smallest)));
	emit_jcc(e, CC_E, &slow->from);
}

/* The scalar of reg, zero-extended, to xmm. */
static void
narrow(struct tr *t, enum fpx_size sz, unsigned xmm, unsigned reg)
{
	if (sz == FPX_D) {
		emit_sse_rr(t->e, SSE_MOVQ_LOAD, xmm, reg);
	} else {
		emit_sse_rr(t->e, SSE_XORPS, xmm, xmm);
		emit_sse_rr(t->e, OP(0xf3, EMIT_0F, 0x10), xmm, reg);		/* MOVSS */
	}
}

/* Vector register n's scalar, zero-extended: in what holds it, else in spare. */
static unsigned
use_scalar(struct tr *t, enum fpx_size sz, unsigned spare, unsigned n)
{
	unsigned reg = native_use_vector(t, n);

	if (t->width[n] <= size_of(sz))
		return (reg);
	narrow(t, sz, spare, reg);
	return (spare);
}

/* The same in one that may be changed. */
static unsigned
copy_scalar(struct tr *t, enum fpx_size sz, unsigned n)
{
	unsigned reg = native_use_vector(t, n), xmm = native_new_vector(t);

	if (t->width[n] <= size_of(sz))
		emit_sse_rr(t->e, SSE_MOVAPS_LOAD, xmm, reg);
	else
		narrow(t, sz, xmm, reg);
	return (xmm);
}

static enum native
scalar(struct tr *t, const struct host_op *op)
{
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i), to = i->fn == fp_s_to_d ? FPX_D : i->fn == fp_d_to_s ? FPX_S : sz;
	struct late *slow;
	unsigned n, m, d;

	if (!host_does(t))
		return (NATIVE_NOT);
	slow = native_slow(t);
	if (op->kind == ONE) {
		n = native_use_vector(t, i->rn);
		d = native_new_vector(t);
		emit_sse_rr(t->e, SSE_XORPS, d, d);
		emit_sse_rr(t->e, scalar_op(sz, op->byte), d, n);
	} else {
		m = native_use_vector(t, i->rm);
		n = use_scalar(t, sz, 0, i->rn);
		d = native_new_vector(t);
		combine(t, scalar_op(sz, op->byte), d, n, m);
	}
	odd_scalar(t, to, d, rounds_up(op), slow);
	if (op->kind == NEGATED)
		emit_sse_rm(t->e, SSE_XORPS, d, CONSTANT(t, sz, sign));
	native_put_narrow(t, i->rd, d, size_of(to));
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* VFMADD231 and its kin: acc += n * m, by what is negated (SDM vol. 2, VEX.128.66.0F38). */
static void
fma231(struct tr *t, enum fpx_size sz, unsigned byte, unsigned acc, unsigned n, unsigned m)
{
	emit_vex_rr(t->e, size_of(sz), OP(0x66, EMIT_0F38, byte), acc, n, m);
}

static enum native
multiply_add(struct tr *t)
{
	static const uint8_t bytes[4] = { 0xb9, 0xbd, 0xbb, 0xbf };
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	struct late *slow;
	unsigned n, m, d;

	if (!hostfp_has_fma() || !host_does(t))
		return (NATIVE_NOT);
	slow = native_slow(t);
	n = native_use_vector(t, i->rn);
	m = native_use_vector(t, i->rm);
	d = copy_scalar(t, sz, i->ra);
	fma231(t, sz, bytes[i->arg & 3], d, n, m);
	odd_scalar(t, sz, d, true, slow);
	native_put_narrow(t, i->rd, d, size_of(sz));
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
	unsigned m = native_use_vector(t, i->rm), lane = (unsigned)i->imm - 1;
	struct emit *e = t->e;

	if (i->imm == 0)
		return (m);
	emit_sse_rr(e, OP(0x66, EMIT_0F, 0x70), xmm, m);		/* PSHUFD */
	emit8(e, fp_size(i) == FPX_S ? 0x55 * lane : lane == 0 ? 0x44 : 0xee);
	return (xmm);
}

/* A lane of xmm is odd; xmm1 and, without VEX, xmm2 are lost. */
static void
odd_vector(struct tr *t, enum fpx_size sz, unsigned xmm, bool smallest, struct late *slow)
{
	struct emit *e = t->e;

	if (hostfp_has_fma()) {
		if (smallest) {
			combine_memory(t, packed_op(sz, 0x54), 1, xmm, CONSTANT(t, sz, abs));
			emit_vex_rm(e, 4, packed_op(sz, 0xc2), 1, 1, emit_at(H_RCX, offsetof(struct constants, smallest)));
			emit8(e, 8);					/* VCMPPS, VCMPPD: equal or unordered */
		} else {
			emit_vex_rr(e, 4, packed_op(sz, 0xc2), 1, xmm, xmm);
			emit8(e, 3);					/* unordered */
		}
		emit_vex_rr(e, 4, OP(0x66, EMIT_0F38, sz == FPX_S ? 0x0e : 0x0f), 1, 0, 1);	/* VTESTPS, VTESTPD */
		emit_jcc(e, CC_NE, &slow->from);
		return;
	}
	emit_sse_rr(e, SSE_MOVAPS_LOAD, 1, xmm);
	emit_sse_rr(e, packed_op(sz, 0xc2), 1, 1);
	emit8(e, 3);
	if (smallest) {
		emit_sse_rr(e, SSE_MOVAPS_LOAD, 2, xmm);
		emit_sse_rm(e, packed_op(sz, 0x54), 2, CONSTANT(t, sz, abs));
		emit_sse_rm(e, packed_op(sz, 0xc2), 2, emit_at(H_RCX, offsetof(struct constants, smallest)));
		emit8(e, 0);						/* equal */
		emit_sse_rr(e, SSE_ORPS, 1, 2);
	}
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
	unsigned n, m, d;

	if (!whole(i) || !host_does(t))
		return (NATIVE_NOT);
	slow = native_slow(t);
	m = second(t, 2);
	n = native_use_vector(t, i->rn);
	d = native_new_vector(t);
	combine(t, packed_op(sz, op->byte), d, n, m);
	odd_vector(t, sz, d, rounds_up(op), slow);
	native_put_vector(t, i->rd, d);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
vector_multiply_add(struct tr *t)
{
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	unsigned n, m, acc, d;
	struct late *slow;

	if (!whole(i) || !hostfp_has_fma() || !host_does(t))
		return (NATIVE_NOT);
	slow = native_slow(t);
	m = second(t, 2);
	n = native_use_vector(t, i->rn);
	acc = native_use_vector(t, i->rd);
	d = native_new_vector(t);
	emit_sse_rr(t->e, SSE_MOVAPS_LOAD, d, acc);
	fma231(t, sz, i->arg == FP_MLS ? 0xbc : 0xb8, d, n, m);
	odd_vector(t, sz, d, true, slow);
	native_put_vector(t, i->rd, d);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/*
 * Comparison: less is N, equal Z and C, greater C: what comes of comparing the integers -1, 0 and 1 with 0, and "above" minus "below" is
 * that integer.  Unordered is the function's.
 */
static enum native
compare(struct tr *t)
{
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	struct emit *e = t->e;
	struct late *slow;
	unsigned n, m = 1;

	if (!host_does(t))
		return (NATIVE_NOT);
	slow = native_slow(t);
	n = native_use_vector(t, i->rn);
	if ((i->arg & 8) != 0)
		emit_sse_rr(e, SSE_XORPS, 1, 1);
	else
		m = native_use_vector(t, i->rm);
	emit_sse_rr(e, packed_op(sz, 0x2e), n, m);
	emit_jcc(e, CC_P, &slow->from);
	emit_setcc_r(e, CC_A, H_RAX);
	emit_alu_ri(e, 1, ALU_SBB, H_RAX, 0);
	native_set_flags(t, true);
	native_joined(t, slow);
	slow->host = true;
	return (NATIVE_KEPT);
}

static enum native
conditional_select(struct tr *t)
{
	const struct a64_insn *i = t->i;
	unsigned n, m, d, size = fp_size(i) == FPX_S ? 4 : 8;
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
	d = native_new_vector(t);
	emit_rr(t->e, 8, SSE_MOVD_LOAD, d, n);
	native_put_narrow(t, i->rd, d, size);
	return (NATIVE_KEPT);
}

/* Moves */

static enum native
move(struct tr *t)
{
	const struct a64_insn *i = t->i;
	enum fpx_size sz = fp_size(i);
	struct emit *e = t->e;
	unsigned reg, xmm;
	int found;

	if (i->fn == fp_fmov_imm) {
		emit_mov_ri(e, H_RAX, i->imm);
		xmm = native_new_vector(t);
		emit_rr(e, 8, SSE_MOVD_LOAD, xmm, H_RAX);
		native_put_narrow(t, i->rd, xmm, 8);
		return (NATIVE_KEPT);
	}
	if (sz != FPX_S && sz != FPX_D && i->fn != fp_top_to_x && i->fn != fp_top_from_x)
		return (NATIVE_NOT);
	if (i->fn == fp_fmov) {
		native_put_narrow(t, i->rd, copy_scalar(t, sz, i->rn), size_of(sz));
	} else if (i->fn == fp_from_x) {
		xmm = native_new_vector(t);
		emit_rr(e, size_of(sz), SSE_MOVD_LOAD, xmm, native_use(t, src(i->rn)));
		native_put_narrow(t, i->rd, xmm, size_of(sz));
	} else if (i->fn == fp_top_from_x) {
		struct emit_mem m = vector_at(i->rd);

		m.disp += 8;
		emit_mov_mr(e, 8, m, native_use(t, src(i->rn)));
		native_lose_vector(t, i->rd);
	} else {
		struct emit_mem m = vector_at(i->rn);

		m.disp += i->fn == fp_top_to_x ? 8 : 0;
		reg = native_new(t);
		found = i->fn == fp_top_to_x ? -1 : native_find_vector(t, i->rn);
		if (found >= 0)
			emit_rr(e, size_of(sz), SSE_MOVD_STORE, (unsigned)found, reg);
		else
			emit_mov_rm(e, i->fn == fp_top_to_x ? 8 : size_of(sz), reg, m);
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
	unsigned size = size_of(sz), d;
	struct emit *e = t->e;

	if (sz != FPX_S && sz != FPX_D)
		return (NATIVE_NOT);
	if (fp_lanes(i) == 1) {
		d = copy_scalar(t, sz, i->rn);
		emit_sse_rm(e, neg ? SSE_XORPS : packed_op(FPX_S, 0x54), d, neg ? CONSTANT(t, sz, sign) : CONSTANT(t, sz, abs));
		native_put_narrow(t, i->rd, d, size_of(sz));
		return (NATIVE_DONE);
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
	const struct a64_insn *i = t->i;
	struct emit *e = t->e;
	struct late *slow;
	unsigned reg, d;

	if (!host_does(t))
		return (NATIVE_NOT);
	slow = native_slow(t);
	reg = native_use(t, src(i->rn));
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
	d = native_new_vector(t);
	emit_sse_rr(e, SSE_XORPS, d, d);
	emit_rr(e, 8, scalar_op(fp_size(i), 0x2a), d, reg);		/* CVTSI2SS, CVTSI2SD */
	native_put_narrow(t, i->rd, d, size_of(fp_size(i)));
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* host_converts() */
static enum native
to_integer(struct tr *t)
{
	const struct a64_insn *i = t->i;
	bool s = fp_size(i) == FPX_S, x = (i->arg & FP_X) != 0, uns = (i->arg & FP_UNSIGNED) != 0;
	unsigned size = s ? 4 : 8, limit = (s ? 127U : 1023U) + (uns ? x ? 63 : 32 : x ? 63 : 31), reg, n;
	struct emit *e = t->e;
	struct late *slow;

	if (!host_does(t))
		return (NATIVE_NOT);
	slow = native_slow(t);
	n = native_use_vector(t, i->rn);
	emit_rr(e, size, SSE_MOVD_STORE, n, H_RAX);
	if (uns) {
		emit_test_rr(e, size, H_RAX, H_RAX);
		emit_jcc(e, CC_S, &slow->from);
	}
	emit_shift_ri(e, size, SH_SHL, H_RAX, 1);
	emit_shift_ri(e, size, SH_SHR, H_RAX, s ? 24 : 53);
	emit_alu_ri(e, 4, ALU_CMP, H_RAX, (int32_t)limit);
	emit_jcc(e, CC_AE, &slow->from);
	reg = native_new(t);
	emit_rr(e, 8, scalar_op(fp_size(i), 0x2c), reg, n);	/* CVTTSS2SI, CVTTSD2SI */
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
