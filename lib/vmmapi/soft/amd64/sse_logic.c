/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sse_logic.c - floating-point vectors as bits: logic, shuffles, blends.  MXCSR does not matter.
 */
#include "vector.h"

/* Mnemonic, name, bytes of a memory operand. */
#define	LOGIC_LIST(OP)								\
	OP(ANDPS, andps, 16)	OP(ANDPD, andpd, 16)				\
	OP(ANDNPS, andnps, 16)	OP(ANDNPD, andnpd, 16)				\
	OP(ORPS, orps, 16)	OP(ORPD, orpd, 16)				\
	OP(XORPS, xorps, 16)	OP(XORPD, xorpd, 16)				\
	OP(UNPCKLPS, unpcklps, 16) OP(UNPCKLPD, unpcklpd, 16)			\
	OP(UNPCKHPS, unpckhps, 16) OP(UNPCKHPD, unpckhpd, 16)

LOGIC_LIST(VEC_DEFINE)

/* name: the destination from its old elements, d, the source's, s, and the immediate, n. */
#define	SELECT(name, ...)							\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	union vec_elems d, s;							\
	unsigned n = (unsigned)i->imm & 0xff;					\
										\
	SSE_BEGIN(x);								\
	TRY(vec_operand(x, i, 1, 16, &s.v));					\
	d.v = *vec_xmm(x, i->r[0]);						\
	*vec_xmm(x, i->r[0]) = ((union vec_elems)__VA_ARGS__).v;		\
	return (X_DONE);								\
}

SELECT(shufps, { .d = { d.d[n & 3], d.d[n >> 2 & 3], s.d[n >> 4 & 3], s.d[n >> 6] } })
SELECT(shufpd, { .q = { d.q[n & 1], s.q[n >> 1 & 1] } })
#define	PICK(e, k)	((n >> (k) & 1) != 0 ? s.e[k] : d.e[k])
SELECT(blendps, { .d = { PICK(d, 0), PICK(d, 1), PICK(d, 2), PICK(d, 3) } })
SELECT(blendpd, { .q = { PICK(q, 0), PICK(q, 1) } })

/* The sign bits of XMM0 choose. */
#define	BLENDV(name)								\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	vec d, s;								\
										\
	SSE_BEGIN(x);								\
	TRY(vec_operand(x, i, 1, 16, &s));					\
	d = *vec_xmm(x, i->r[0]);						\
	__asm__(#name " %%xmm0, %1, %0" : "+x" (d) : "x" (s), "Yz" (*vec_xmm(x, 0)));	\
	*vec_xmm(x, i->r[0]) = d;						\
	return (X_DONE);								\
}

BLENDV(blendvps)
BLENDV(blendvpd)

/* Memory is one element; bits 7:6 of the immediate choose among those of a register. */
static enum x86_status
insertps(struct x86 *x, const struct x86_insn *i)
{
	unsigned n = (unsigned)i->imm & 0xff;
	union vec_elems d, s;

	SSE_BEGIN(x);
	TRY(vec_operand(x, i, 1, 4, &s.v));
	d.v = *vec_xmm(x, i->r[0]);
	d.d[n >> 4 & 3] = s.d[(i->flags & XI_MEM) != 0 ? 0 : n >> 6];
	for (unsigned k = 0; k < 4; k++) {
		if ((n >> k & 1) != 0)
			d.d[k] = 0;
	}
	*vec_xmm(x, i->r[0]) = d.v;
	return (X_DONE);
}

static enum x86_status
extractps(struct x86 *x, const struct x86_insn *i)
{
	union vec_elems s;
	uint32_t v;

	SSE_BEGIN(x);
	s.v = *vec_xmm(x, i->r[1]);
	v = s.d[i->imm & 3];
	if ((i->flags & XI_MEM) != 0)
		return (x86_store(x, i, 4, v));
	x86_reg_set(x, i->r[0], 4, v);
	return (X_DONE);
}

const struct x86_opdesc x86_ops_sse_logic[] = {
	LOGIC_LIST(VEC_ROWS)
	VEC(SHUFPS, X, XM, shufps),
	VEC(SHUFPD, X, XM, shufpd),
	VEC(BLENDPS, X, XM, blendps),
	VEC(BLENDPD, X, XM, blendpd),
	VEC(BLENDVPS, X, XM, blendvps),
	VEC(BLENDVPD, X, XM, blendvpd),
	VEC(INSERTPS, X, XM, insertps),
	VEC(EXTRACTPS, RM, X, extractps),
	{ 0 },
};
