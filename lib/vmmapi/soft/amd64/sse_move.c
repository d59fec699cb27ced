/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sse_move.c - SSE moves: whole registers, parts of them, from and to general registers.
 */
#include "vector.h"

/* Between registers */

static enum x86_status
move(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	*vec_xmm(x, i->r[0]) = *vec_xmm(x, i->r[1]);
	return (X_DONE);
}

/* name: the destination's elements from its old ones, d, and the source's, s. */
#define	MOVE(name, ...)								\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	union vec_elems d, s;							\
										\
	SSE_BEGIN(x);								\
	d.v = *vec_xmm(x, i->r[0]);						\
	s.v = *vec_xmm(x, i->r[1]);						\
	*vec_xmm(x, i->r[0]) = ((union vec_elems)__VA_ARGS__).v;		\
	return (X_DONE);								\
}

MOVE(movss, { .d = { s.d[0], d.d[1], d.d[2], d.d[3] } })
MOVE(movsd, { .q = { s.q[0], d.q[1] } })
MOVE(movhlps, { .q = { s.q[1], d.q[1] } })
MOVE(movlhps, { .q = { d.q[0], s.q[0] } })

static enum x86_status
movq(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	*vec_xmm(x, i->r[0]) = vec_low((uint64_t)(*vec_xmm(x, i->r[1]))[0]);
	return (X_DONE);
}

/* From memory */

static enum x86_status
load(struct x86 *x, const struct x86_insn *i)
{
	vec v;

	SSE_BEGIN(x);
	TRY(vec_load(x, i, false, &v));
	*vec_xmm(x, i->r[0]) = v;
	return (X_DONE);
}

static enum x86_status
load_aligned(struct x86 *x, const struct x86_insn *i)
{
	vec v;

	SSE_BEGIN(x);
	TRY(vec_load(x, i, true, &v));
	*vec_xmm(x, i->r[0]) = v;
	return (X_DONE);
}

static enum x86_status
load4(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v;

	SSE_BEGIN(x);
	TRY(x86_load(x, i, 4, &v));
	*vec_xmm(x, i->r[0]) = vec_low(v);
	return (X_DONE);
}

static enum x86_status
load8(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v;

	SSE_BEGIN(x);
	TRY(x86_load(x, i, 8, &v));
	*vec_xmm(x, i->r[0]) = vec_low(v);
	return (X_DONE);
}

static enum x86_status
load_low(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v;

	SSE_BEGIN(x);
	TRY(x86_load(x, i, 8, &v));
	(*vec_xmm(x, i->r[0]))[0] = (long long)v;
	return (X_DONE);
}

static enum x86_status
load_high(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v;

	SSE_BEGIN(x);
	TRY(x86_load(x, i, 8, &v));
	(*vec_xmm(x, i->r[0]))[1] = (long long)v;
	return (X_DONE);
}

/* To memory */

static enum x86_status
store(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	return (vec_store(x, i, false, *vec_xmm(x, i->r[1])));
}

static enum x86_status
store_aligned(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	return (vec_store(x, i, true, *vec_xmm(x, i->r[1])));
}

static enum x86_status
store4(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	return (x86_store(x, i, 4, (uint64_t)(*vec_xmm(x, i->r[1]))[0] & UINT32_MAX));
}

static enum x86_status
store8(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	return (x86_store(x, i, 8, (uint64_t)(*vec_xmm(x, i->r[1]))[0]));
}

static enum x86_status
store_high(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	return (x86_store(x, i, 8, (uint64_t)(*vec_xmm(x, i->r[1]))[1]));
}

/* From and to general registers: 32 bits, 64 with REX.W */

static enum x86_status
from_gpr4(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	*vec_xmm(x, i->r[0]) = vec_low(x86_reg(x, i->r[1], 4));
	return (X_DONE);
}

static enum x86_status
from_gpr8(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	*vec_xmm(x, i->r[0]) = vec_low(x86_reg(x, i->r[1], 8));
	return (X_DONE);
}

static enum x86_status
to_gpr4(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	x86_reg_set(x, i->r[0], 4, (uint64_t)(*vec_xmm(x, i->r[1]))[0]);
	return (X_DONE);
}

static enum x86_status
to_gpr8(struct x86 *x, const struct x86_insn *i)
{
	SSE_BEGIN(x);
	x86_reg_set(x, i->r[0], 8, (uint64_t)(*vec_xmm(x, i->r[1]))[0]);
	return (X_DONE);
}

static enum x86_status
movmskps(struct x86 *x, const struct x86_insn *i)
{
	uint32_t m;

	SSE_BEGIN(x);
	__asm__("movmskps %1, %0" : "=r" (m) : "x" (*vec_xmm(x, i->r[1])));
	x86_reg_set(x, i->r[0], 4, m);
	return (X_DONE);
}

static enum x86_status
movmskpd(struct x86 *x, const struct x86_insn *i)
{
	uint32_t m;

	SSE_BEGIN(x);
	__asm__("movmskpd %1, %0" : "=r" (m) : "x" (*vec_xmm(x, i->r[1])));
	x86_reg_set(x, i->r[0], 4, m);
	return (X_DONE);
}

/* SSE3 duplications, with a register or memory */

#define	DUPLICATE(name, size, ...)						\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	union vec_elems s;							\
										\
	SSE_BEGIN(x);								\
	TRY(vec_operand(x, i, 1, size, &s.v));					\
	*vec_xmm(x, i->r[0]) = ((union vec_elems)__VA_ARGS__).v;		\
	return (X_DONE);								\
}

DUPLICATE(movddup, 8, { .q = { s.q[0], s.q[0] } })
DUPLICATE(movsldup, 16, { .d = { s.d[0], s.d[0], s.d[2], s.d[2] } })
DUPLICATE(movshdup, 16, { .d = { s.d[1], s.d[1], s.d[3], s.d[3] } })

static enum x86_status
maskmovdqu(struct x86 *x, const struct x86_insn *i)
{
	union vec_elems v, mask;

	SSE_BEGIN(x);
	v.v = *vec_xmm(x, i->r[0]);
	mask.v = *vec_xmm(x, i->r[1]);
	return (vec_masked_store(x, i, 16, &v, &mask));
}

const struct x86_opdesc x86_ops_sse_move[] = {
	VEC(MOVAPS, X, X, move),
	VEC(MOVAPS, X, M, load_aligned),
	VEC(MOVAPS, M, X, store_aligned),
	VEC(MOVAPD, X, X, move),
	VEC(MOVAPD, X, M, load_aligned),
	VEC(MOVAPD, M, X, store_aligned),
	VEC(MOVDQA, X, X, move),
	VEC(MOVDQA, X, M, load_aligned),
	VEC(MOVDQA, M, X, store_aligned),
	VEC(MOVUPS, X, X, move),
	VEC(MOVUPS, X, M, load),
	VEC(MOVUPS, M, X, store),
	VEC(MOVUPD, X, X, move),
	VEC(MOVUPD, X, M, load),
	VEC(MOVUPD, M, X, store),
	VEC(MOVDQU, X, X, move),
	VEC(MOVDQU, X, M, load),
	VEC(MOVDQU, M, X, store),
	VEC(LDDQU, X, M, load),
	VEC(MOVSS, X, X, movss),
	VEC(MOVSS, X, M, load4),
	VEC(MOVSS, M, X, store4),
	VEC(MOVSD, X, X, movsd),
	VEC(MOVSD, X, M, load8),
	VEC(MOVSD, M, X, store8),
	VEC(MOVQ, X, R, from_gpr8),
	VEC(MOVQ, R, X, to_gpr8),
	VEC(MOVQ, X, X, movq),
	VEC(MOVQ, X, M, load8),
	VEC(MOVQ, M, X, store8),
	VEC(MOVD, X, R, from_gpr4),
	VEC(MOVD, R, X, to_gpr4),
	VEC(MOVD, X, M, load4),
	VEC(MOVD, M, X, store4),
	VEC(MOVLPS, X, M, load_low),
	VEC(MOVLPS, M, X, store8),
	VEC(MOVLPD, X, M, load_low),
	VEC(MOVLPD, M, X, store8),
	VEC(MOVHPS, X, M, load_high),
	VEC(MOVHPS, M, X, store_high),
	VEC(MOVHPD, X, M, load_high),
	VEC(MOVHPD, M, X, store_high),
	VEC(MOVHLPS, X, X, movhlps),
	VEC(MOVLHPS, X, X, movlhps),
	VEC(MOVNTPS, M, X, store_aligned),
	VEC(MOVNTPD, M, X, store_aligned),
	VEC(MOVNTDQ, M, X, store_aligned),
	VEC(MOVNTDQA, X, M, load_aligned),
	VEC(MOVDDUP, X, XM, movddup),
	VEC(MOVSLDUP, X, XM, movsldup),
	VEC(MOVSHDUP, X, XM, movshdup),
	VEC(MOVMSKPS, R, X, movmskps),
	VEC(MOVMSKPD, R, X, movmskpd),
	VEC(MASKMOVDQU, X, X, maskmovdqu),
	{ 0 },
};
