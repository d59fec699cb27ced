/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_simd.c - Advanced SIMD in native code: operations of integers and moves that the host's vectors have (Arm ARM C4.1.96).  Operands are
 * in registers as far as they were there before, and results go to the state page too.
 */
#include "native.h"

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
static void
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
		emit_sse_rr(e, SSE_MOVAPS_LOAD, 2, native_use_vector(t, i->rd));
		emit_sse_rr(e, SSE_PAND, 0, 2);
		emit_sse_rr(e, SSE_PXOR, 0, 1);
		break;
	default:					/* BIT, BIF: Vm ? Vn : Vd, Vm ? Vd : Vn */
		emit_sse_rr(e, SSE_MOVAPS_LOAD, 2, native_use_vector(t, i->rd));
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
}

/* xmm0, or its lower half if Q is not set, is the result. */
static enum native
result(struct tr *t, uint32_t w)
{
	if (a64_bits(w, 30, 30) == 0)
		emit_sse_rr(t->e, SSE_MOVQ_LOAD, 0, 0);
	native_put_vector(t, t->i->rd, 0);
	return (NATIVE_KEPT);
}

static enum native
three_same(struct tr *t, uint32_t w)
{
	unsigned u = a64_bits(w, 29, 29), opcode = a64_bits(w, 15, 11), size = a64_bits(w, 23, 22);
	uint8_t op = three_same_op(u, opcode, size);
	unsigned n, m;

	if (op == 0 && opcode != 3)
		return (NATIVE_NOT);
	n = native_use_vector(t, t->i->rn);
	m = native_use_vector(t, t->i->rm);
	emit_sse_rr(t->e, SSE_MOVAPS_LOAD, 0, n);
	if (opcode == 3) {
		emit_sse_rr(t->e, SSE_MOVAPS_LOAD, 1, m);
		logical(t, u, size);
	} else {
		emit_sse_rr(t->e, OP(0x66, EMIT_0F, op), 0, m);
	}
	return (result(t, w));
}

/* eax or rax to each element of xmm0. */
static void
spread(struct tr *t, unsigned size)
{
	struct emit *e = t->e;

	if (size < 2)
		emit_imul_rri(e, 4, H_RAX, H_RAX, size == 0 ? 0x01010101 : 0x00010001);
	emit_rr(e, size == 3 ? 8 : 4, SSE_MOVD_LOAD, 0, H_RAX);
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
		emit_movzx_rm(e, bytes, H_RAX, from);
		emit_mov_mr(e, bytes, to, H_RAX);
		native_lose_vector(t, i->rd);
		return (NATIVE_KEPT);
	}
	switch (a64_bits(w, 14, 11)) {
	case 0:							/* DUP */
	case 1:
		from.disp += (int32_t)(i->imm * bytes);
		if (a64_bits(w, 14, 11) == 0)
			emit_movzx_rm(e, bytes, H_RAX, from);
		else if (size < 2)
			emit_movzx_rr(e, bytes, H_RAX, native_use(t, src(i->rn)));
		else
			emit_mov_rr(e, 8, H_RAX, native_use(t, src(i->rn)));
		spread(t, size);
		(void)result(t, w);
		return (NATIVE_DONE);
	case 3:							/* INS (general) */
		to.disp += (int32_t)(i->imm * bytes);
		emit_mov_mr(e, bytes, to, native_use(t, src(i->rn)));
		native_lose_vector(t, i->rd);
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
	emit_mov_ri(t->e, H_RAX, t->i->imm);
	emit_rr(t->e, 8, SSE_MOVD_LOAD, 0, H_RAX);
	if (a64_bits(w, 30, 30) != 0)
		emit_sse_rr(t->e, SSE_UNPCKLPD, 0, 0);
	native_put_vector(t, t->i->rd, 0);
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
	emit_sse_rr(t->e, SSE_MOVAPS_LOAD, 0, native_use_vector(t, t->i->rn));
	emit_sse_rr(t->e, OP(0x66, EMIT_0F, bytes[size]), how, 0);
	emit8(t->e, (unsigned)t->i->imm);
	return (result(t, w));
}

enum native
native_simd(struct tr *t)
{
	const struct a64_insn *i = t->i;
	enum native how = NATIVE_NOT;

	if ((i->word & 0x9f200400) == 0x0e200400)
		how = three_same(t, i->word);
	else if ((i->word & 0x9fe08400) == 0x0e000400)
		how = copy(t, i->word);
	else if ((i->word & 0x9ff80c00) == 0x0f000400)
		how = immediate(t, i->word);
	else if ((i->word & 0x9f800400) == 0x0f000400)
		how = shift(t, i->word);
	return (how == NATIVE_NOT ? native_permute(t) : how);
}
