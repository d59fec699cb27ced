/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmx.c - MMX instructions, with those that SSE, SSE2 and SSSE3 added on MMX registers.
 *
 * They execute as the instructions of the same names on XMM registers, with the operands placed so
 * that the result's half is that of 64 bits.
 */
#include "vector.h"

/* The second operand: register, memory of `size' bytes, or immediate.  Behind it nothing can fail. */
static enum x86_status
source(struct x86 *x, const struct x86_insn *i, unsigned size, uint64_t *s)
{
	MMX_BEGIN(x);
	if ((i->flags & XI_MEM) != 0)
		TRY(x86_load(x, i, size, s));
	mmx_enter(x);
	if ((i->flags & XI_MEM) == 0)
		*s = i->r[1] == X86_NOREG ? i->imm & 0xff : mmx_get(x, i->r[1]);
	return (X_DONE);
}

/* Elements of the result are those of the operands' same places, or below: the low half. */
#define	LANES(name, size)	DEFINE(name, size, vec_low(d), vec_low(s), 0)
/* The first operand's are in the lower half of the result, the second's in the upper. */
#define	PAIRS(name, size)	DEFINE(name, size, ((vec) { (long long)d, (long long)s }),	\
	((vec) { (long long)d, (long long)s }), 0)
/* Those of the upper halves of the operands: name is that of the lower halves. */
#define	UPPER(name, low)	DEFINE_TEXT(name, low, 8, vec_low(d), vec_low(s), 1)

#define	DEFINE(name, size, a, b, half)	DEFINE_TEXT(name, #name, size, a, b, half)
#define	DEFINE_TEXT(name, text, size, a, b, half)				\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	uint64_t d, s;								\
	vec r;									\
										\
	TRY(source(x, i, size, &s));						\
	d = mmx_get(x, i->r[0]);						\
	r = a;									\
	__asm__(text " %1, %0" : "+x" (r) : "x" (b));				\
	mmx_set(x, i->r[0], (uint64_t)r[half]);					\
	return (X_DONE);								\
}

#define	LANES_LIST(OP)								\
	OP(PADDB, paddb)	OP(PADDW, paddw)	OP(PADDD, paddd)	\
	OP(PADDQ, paddq)	OP(PADDSB, paddsb)	OP(PADDSW, paddsw)	\
	OP(PADDUSB, paddusb)	OP(PADDUSW, paddusw)				\
	OP(PSUBB, psubb)	OP(PSUBW, psubw)	OP(PSUBD, psubd)	\
	OP(PSUBQ, psubq)	OP(PSUBSB, psubsb)	OP(PSUBSW, psubsw)	\
	OP(PSUBUSB, psubusb)	OP(PSUBUSW, psubusw)				\
	OP(PMULLW, pmullw)	OP(PMULHW, pmulhw)	OP(PMULHUW, pmulhuw)	\
	OP(PMULUDQ, pmuludq)	OP(PMADDWD, pmaddwd)	OP(PSADBW, psadbw)	\
	OP(PAVGB, pavgb)	OP(PAVGW, pavgw)				\
	OP(PMINUB, pminub)	OP(PMAXUB, pmaxub)				\
	OP(PMINSW, pminsw)	OP(PMAXSW, pmaxsw)				\
	OP(PAND, pand)		OP(PANDN, pandn)				\
	OP(POR, por)		OP(PXOR, pxor)					\
	OP(PCMPEQB, pcmpeqb)	OP(PCMPEQW, pcmpeqw)	OP(PCMPEQD, pcmpeqd)	\
	OP(PCMPGTB, pcmpgtb)	OP(PCMPGTW, pcmpgtw)	OP(PCMPGTD, pcmpgtd)	\
	OP(PSLLW, psllw)	OP(PSLLD, pslld)	OP(PSLLQ, psllq)	\
	OP(PSRLW, psrlw)	OP(PSRLD, psrld)	OP(PSRLQ, psrlq)	\
	OP(PSRAW, psraw)	OP(PSRAD, psrad)				\
	OP(PABSB, pabsb)	OP(PABSW, pabsw)	OP(PABSD, pabsd)	\
	OP(PSIGNB, psignb)	OP(PSIGNW, psignw)	OP(PSIGND, psignd)	\
	OP(PMADDUBSW, pmaddubsw) OP(PMULHRSW, pmulhrsw)
/* Of the second operand only the low half is used. */
#define	LOWER_LIST(OP)								\
	OP(PUNPCKLBW, punpcklbw) OP(PUNPCKLWD, punpcklwd) OP(PUNPCKLDQ, punpckldq)
#define	PAIRS_LIST(OP)								\
	OP(PACKSSWB, packsswb)	OP(PACKSSDW, packssdw)	OP(PACKUSWB, packuswb)	\
	OP(PHADDW, phaddw)	OP(PHADDD, phaddd)	OP(PHADDSW, phaddsw)	\
	OP(PHSUBW, phsubw)	OP(PHSUBD, phsubd)	OP(PHSUBSW, phsubsw)
#define	UPPER_LIST(OP)								\
	OP(PUNPCKHBW, punpckhbw, "punpcklbw")					\
	OP(PUNPCKHWD, punpckhwd, "punpcklwd")					\
	OP(PUNPCKHDQ, punpckhdq, "punpckldq")

#define	LANES_DEFINE(mnemonic, name)		LANES(name, 8)
#define	LOWER_DEFINE(mnemonic, name)		LANES(name, 4)
#define	PAIRS_DEFINE(mnemonic, name)		PAIRS(name, 8)
#define	UPPER_DEFINE(mnemonic, name, low)	UPPER(name, low)

LANES_LIST(LANES_DEFINE)
LOWER_LIST(LOWER_DEFINE)
PAIRS_LIST(PAIRS_DEFINE)
UPPER_LIST(UPPER_DEFINE)

/* Three bits of an index count. */
DEFINE(pshufb, 8, vec_low(d), vec_low(s & 0x8787878787878787), 0)

static enum x86_status
palignr(struct x86 *x, const struct x86_insn *i)
{
	unsigned n = (unsigned)i->imm & 0xff;
	uint64_t d, s;

	TRY(source(x, i, 8, &s));
	d = mmx_get(x, i->r[0]);
	if (n >= 16)
		d = 0;
	else if (n >= 8)
		d >>= 8 * (n - 8);
	else if (n != 0)
		d = s >> 8 * n | d << (64 - 8 * n);
	else
		d = s;
	mmx_set(x, i->r[0], d);
	return (X_DONE);
}

static enum x86_status
pshufw(struct x86 *x, const struct x86_insn *i)
{
	uint64_t s, d = 0;

	TRY(source(x, i, 8, &s));
	for (unsigned k = 0; k < 4; k++)
		d |= (s >> 16 * (i->imm >> 2 * k & 3) & 0xffff) << 16 * k;
	mmx_set(x, i->r[0], d);
	return (X_DONE);
}

static enum x86_status
pinsrw(struct x86 *x, const struct x86_insn *i)
{
	unsigned shift = 16 * (i->imm & 3);
	uint64_t v;

	MMX_BEGIN(x);
	if ((i->flags & XI_MEM) != 0)
		TRY(x86_load(x, i, 2, &v));
	else
		v = x86_reg(x, i->r[1], 2);
	mmx_enter(x);
	mmx_set(x, i->r[0], (mmx_get(x, i->r[0]) & ~(0xffffULL << shift)) | v << shift);
	return (X_DONE);
}

static enum x86_status
pextrw(struct x86 *x, const struct x86_insn *i)
{
	MMX_BEGIN(x);
	mmx_enter(x);
	x86_reg_set(x, i->r[0], 4, mmx_get(x, i->r[1]) >> 16 * (i->imm & 3) & 0xffff);
	return (X_DONE);
}

static enum x86_status
pmovmskb(struct x86 *x, const struct x86_insn *i)
{
	uint32_t m;

	MMX_BEGIN(x);
	mmx_enter(x);
	__asm__("pmovmskb %1, %0" : "=r" (m) : "x" (vec_low(mmx_get(x, i->r[1]))));
	x86_reg_set(x, i->r[0], 4, m);
	return (X_DONE);
}

/* Moves */

static enum x86_status
load4(struct x86 *x, const struct x86_insn *i)
{
	uint64_t s;

	TRY(source(x, i, 4, &s));
	mmx_set(x, i->r[0], s);
	return (X_DONE);
}

/* Between registers, too. */
static enum x86_status
load8(struct x86 *x, const struct x86_insn *i)
{
	uint64_t s;

	TRY(source(x, i, 8, &s));
	mmx_set(x, i->r[0], s);
	return (X_DONE);
}

static enum x86_status
store4(struct x86 *x, const struct x86_insn *i)
{
	MMX_BEGIN(x);
	TRY(x86_store(x, i, 4, mmx_get(x, i->r[1]) & UINT32_MAX));
	mmx_enter(x);
	return (X_DONE);
}

static enum x86_status
store8(struct x86 *x, const struct x86_insn *i)
{
	MMX_BEGIN(x);
	TRY(x86_store(x, i, 8, mmx_get(x, i->r[1])));
	mmx_enter(x);
	return (X_DONE);
}

static enum x86_status
from_gpr4(struct x86 *x, const struct x86_insn *i)
{
	MMX_BEGIN(x);
	mmx_enter(x);
	mmx_set(x, i->r[0], x86_reg(x, i->r[1], 4));
	return (X_DONE);
}

static enum x86_status
from_gpr8(struct x86 *x, const struct x86_insn *i)
{
	MMX_BEGIN(x);
	mmx_enter(x);
	mmx_set(x, i->r[0], x86_reg(x, i->r[1], 8));
	return (X_DONE);
}

static enum x86_status
to_gpr4(struct x86 *x, const struct x86_insn *i)
{
	MMX_BEGIN(x);
	mmx_enter(x);
	x86_reg_set(x, i->r[0], 4, mmx_get(x, i->r[1]));
	return (X_DONE);
}

static enum x86_status
to_gpr8(struct x86 *x, const struct x86_insn *i)
{
	MMX_BEGIN(x);
	mmx_enter(x);
	x86_reg_set(x, i->r[0], 8, mmx_get(x, i->r[1]));
	return (X_DONE);
}

static enum x86_status
maskmovq(struct x86 *x, const struct x86_insn *i)
{
	union vec_elems v, mask;

	MMX_BEGIN(x);
	v.v = vec_low(mmx_get(x, i->r[0]));
	mask.v = vec_low(mmx_get(x, i->r[1]));
	mmx_enter(x);
	return (vec_masked_store(x, i, 8, &v, &mask));
}

/* With XMM registers, which need what SSE instructions need. */

static enum x86_status
movq2dq(struct x86 *x, const struct x86_insn *i)
{
	SSE_MMX_BEGIN(x);
	mmx_enter(x);
	*vec_xmm(x, i->r[0]) = vec_low(mmx_get(x, i->r[1]));
	return (X_DONE);
}

static enum x86_status
movdq2q(struct x86 *x, const struct x86_insn *i)
{
	SSE_MMX_BEGIN(x);
	mmx_enter(x);
	mmx_set(x, i->r[0], (uint64_t)(*vec_xmm(x, i->r[1]))[0]);
	return (X_DONE);
}

#define	ROW(mnemonic, name, ...)	VEC(mnemonic, P, PM, name),
#define	SHIFT_ROW(mnemonic, name)	VEC(mnemonic, P, R, name)

const struct x86_opdesc x86_ops_mmx[] = {
	LANES_LIST(ROW)
	LOWER_LIST(ROW)
	PAIRS_LIST(ROW)
	UPPER_LIST(ROW)
	SHIFT_ROW(PSLLW, psllw), SHIFT_ROW(PSLLD, pslld), SHIFT_ROW(PSLLQ, psllq),
	SHIFT_ROW(PSRLW, psrlw), SHIFT_ROW(PSRLD, psrld), SHIFT_ROW(PSRLQ, psrlq),
	SHIFT_ROW(PSRAW, psraw), SHIFT_ROW(PSRAD, psrad),
	VEC(PSHUFB, P, PM, pshufb),
	VEC(PALIGNR, P, PM, palignr),
	VEC(PSHUFW, P, PM, pshufw),
	VEC(PINSRW, P, RM, pinsrw),
	VEC(PEXTRW, R, P, pextrw),
	VEC(PMOVMSKB, R, P, pmovmskb),
	VEC(MOVD, P, M, load4),
	VEC(MOVD, M, P, store4),
	VEC(MOVD, P, R, from_gpr4),
	VEC(MOVD, R, P, to_gpr4),
	VEC(MOVQ, P, PM, load8),
	VEC(MOVQ, M, P, store8),
	VEC(MOVQ, P, R, from_gpr8),
	VEC(MOVQ, R, P, to_gpr8),
	VEC(MOVNTQ, M, P, store8),
	VEC(MASKMOVQ, P, P, maskmovq),
	VEC(MOVQ2DQ, X, P, movq2dq),
	VEC(MOVDQ2Q, P, X, movdq2q),
	{ 0 },
};
