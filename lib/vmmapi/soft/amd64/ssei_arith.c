/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ssei_arith.c - SSE integer vectors: arithmetic, comparisons, logic, shifts.
 */
#include "vector.h"

/* Mnemonic, name, bytes of a memory operand. */
#define	ARITH_LIST(OP)								\
	OP(PADDB, paddb, 16)	OP(PADDW, paddw, 16)				\
	OP(PADDD, paddd, 16)	OP(PADDQ, paddq, 16)				\
	OP(PADDSB, paddsb, 16)	OP(PADDSW, paddsw, 16)				\
	OP(PADDUSB, paddusb, 16) OP(PADDUSW, paddusw, 16)			\
	OP(PSUBB, psubb, 16)	OP(PSUBW, psubw, 16)				\
	OP(PSUBD, psubd, 16)	OP(PSUBQ, psubq, 16)				\
	OP(PSUBSB, psubsb, 16)	OP(PSUBSW, psubsw, 16)				\
	OP(PSUBUSB, psubusb, 16) OP(PSUBUSW, psubusw, 16)			\
	OP(PMULLW, pmullw, 16)	OP(PMULHW, pmulhw, 16)				\
	OP(PMULHUW, pmulhuw, 16) OP(PMULUDQ, pmuludq, 16)			\
	OP(PMADDWD, pmaddwd, 16) OP(PSADBW, psadbw, 16)				\
	OP(PAVGB, pavgb, 16)	OP(PAVGW, pavgw, 16)				\
	OP(PMINUB, pminub, 16)	OP(PMAXUB, pmaxub, 16)				\
	OP(PMINSW, pminsw, 16)	OP(PMAXSW, pmaxsw, 16)				\
	OP(PAND, pand, 16)	OP(PANDN, pandn, 16)				\
	OP(POR, por, 16)	OP(PXOR, pxor, 16)				\
	OP(PCMPEQB, pcmpeqb, 16) OP(PCMPEQW, pcmpeqw, 16)			\
	OP(PCMPEQD, pcmpeqd, 16) OP(PCMPGTB, pcmpgtb, 16)			\
	OP(PCMPGTW, pcmpgtw, 16) OP(PCMPGTD, pcmpgtd, 16)			\
	OP(PABSB, pabsb, 16)	OP(PABSW, pabsw, 16)				\
	OP(PABSD, pabsd, 16)	OP(PSIGNB, psignb, 16)				\
	OP(PSIGNW, psignw, 16)	OP(PSIGND, psignd, 16)				\
	OP(PHADDW, phaddw, 16)	OP(PHADDD, phaddd, 16)				\
	OP(PHADDSW, phaddsw, 16) OP(PHSUBW, phsubw, 16)				\
	OP(PHSUBD, phsubd, 16)	OP(PHSUBSW, phsubsw, 16)			\
	OP(PMADDUBSW, pmaddubsw, 16) OP(PMULHRSW, pmulhrsw, 16)			\
	OP(PMULLD, pmulld, 16)	OP(PMULDQ, pmuldq, 16)				\
	OP(PMINSB, pminsb, 16)	OP(PMAXSB, pmaxsb, 16)				\
	OP(PMINUW, pminuw, 16)	OP(PMAXUW, pmaxuw, 16)				\
	OP(PMINSD, pminsd, 16)	OP(PMAXSD, pmaxsd, 16)				\
	OP(PMINUD, pminud, 16)	OP(PMAXUD, pmaxud, 16)				\
	OP(PCMPEQQ, pcmpeqq, 16) OP(PCMPGTQ, pcmpgtq, 16)			\
	OP(PHMINPOSUW, phminposuw, 16)

ARITH_LIST(VEC_DEFINE)

/* A count is the low 64 bits of the second operand: an immediate one, too. */
#define	SHIFT_DEFINE(mnemonic, name, size)					\
VEC_DEFINE(mnemonic, name, size)						\
										\
static enum x86_status								\
name##_i(struct x86 *x, const struct x86_insn *i)				\
{										\
	vec d = *vec_xmm(x, i->r[0]);						\
										\
	SSE_BEGIN(x);								\
	__asm__(#name " %1, %0" : "+x" (d) : "x" (vec_low(i->imm & 0xff)));	\
	*vec_xmm(x, i->r[0]) = d;						\
	return (X_DONE);								\
}

#define	SHIFT_LIST(OP)								\
	OP(PSLLW, psllw, 16)	OP(PSLLD, pslld, 16)	OP(PSLLQ, psllq, 16)	\
	OP(PSRLW, psrlw, 16)	OP(PSRLD, psrld, 16)	OP(PSRLQ, psrlq, 16)	\
	OP(PSRAW, psraw, 16)	OP(PSRAD, psrad, 16)

SHIFT_LIST(SHIFT_DEFINE)

#define	SHIFT_ROWS(mnemonic, name, size)					\
	VEC_ROWS(mnemonic, name) VEC(mnemonic, X, R, name##_i),

const struct x86_opdesc x86_ops_ssei_arith[] = {
	ARITH_LIST(VEC_ROWS)
	SHIFT_LIST(SHIFT_ROWS)
	{ 0 },
};
