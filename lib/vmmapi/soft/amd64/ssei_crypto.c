/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ssei_crypto.c - AES rounds and carry-less multiplication.
 */
#include "vector.h"

#define	AES_LIST(OP)								\
	OP(AESENC, aesenc, 16)	OP(AESENCLAST, aesenclast, 16)			\
	OP(AESDEC, aesdec, 16)	OP(AESDECLAST, aesdeclast, 16)			\
	OP(AESIMC, aesimc, 16)

AES_LIST(VEC_DEFINE)

/* The round constant, the immediate, is added to the rotated words. */
static enum x86_status
aeskeygenassist(struct x86 *x, const struct x86_insn *i)
{
	uint32_t constant = (uint32_t)i->imm & 0xff;
	union vec_elems d;
	vec s;

	SSE_BEGIN(x);
	TRY(vec_operand(x, i, 1, 16, &s));
	__asm__("aeskeygenassist $0, %1, %0" : "=x" (d.v) : "x" (s));
	d.d[1] ^= constant;
	d.d[3] ^= constant;
	*vec_xmm(x, i->r[0]) = d.v;
	return (X_DONE);
}

/* Bits 0 and 4 of the immediate choose the halves of destination and source. */
static enum x86_status
pclmulqdq(struct x86 *x, const struct x86_insn *i)
{
	union vec_elems d, s;
	vec r;

	SSE_BEGIN(x);
	TRY(vec_operand(x, i, 1, 16, &s.v));
	d.v = *vec_xmm(x, i->r[0]);
	r = vec_low(d.q[i->imm & 1]);
	__asm__("pclmulqdq $0, %1, %0" : "+x" (r) : "x" (vec_low(s.q[i->imm >> 4 & 1])));
	*vec_xmm(x, i->r[0]) = r;
	return (X_DONE);
}

const struct x86_opdesc x86_ops_ssei_crypto[] = {
	AES_LIST(VEC_ROWS)
	VEC(AESKEYGENASSIST, X, XM, aeskeygenassist),
	VEC(PCLMULQDQ, X, XM, pclmulqdq),
	{ 0 },
};
