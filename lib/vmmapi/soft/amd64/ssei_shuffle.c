/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ssei_shuffle.c - SSE integer vectors: packing, shuffling, extending, blending, inserting and
 * extracting.
 */
#include "vector.h"

/* Mnemonic, name, bytes of a memory operand. */
#define	SHUFFLE_LIST(OP)							\
	OP(PACKSSWB, packsswb, 16) OP(PACKSSDW, packssdw, 16)			\
	OP(PACKUSWB, packuswb, 16) OP(PACKUSDW, packusdw, 16)			\
	OP(PUNPCKLBW, punpcklbw, 16) OP(PUNPCKLWD, punpcklwd, 16)		\
	OP(PUNPCKLDQ, punpckldq, 16) OP(PUNPCKLQDQ, punpcklqdq, 16)		\
	OP(PUNPCKHBW, punpckhbw, 16) OP(PUNPCKHWD, punpckhwd, 16)		\
	OP(PUNPCKHDQ, punpckhdq, 16) OP(PUNPCKHQDQ, punpckhqdq, 16)		\
	OP(PSHUFB, pshufb, 16)							\
	OP(PMOVSXBW, pmovsxbw, 8) OP(PMOVSXBD, pmovsxbd, 4) OP(PMOVSXBQ, pmovsxbq, 2)	\
	OP(PMOVSXWD, pmovsxwd, 8) OP(PMOVSXWQ, pmovsxwq, 4) OP(PMOVSXDQ, pmovsxdq, 8)	\
	OP(PMOVZXBW, pmovzxbw, 8) OP(PMOVZXBD, pmovzxbd, 4) OP(PMOVZXBQ, pmovzxbq, 2)	\
	OP(PMOVZXWD, pmovzxwd, 8) OP(PMOVZXWQ, pmovzxwq, 4) OP(PMOVZXDQ, pmovzxdq, 8)

SHUFFLE_LIST(VEC_DEFINE)

/* name: the destination from its old elements, d, the source's, s, and the immediate, n. */
#define	SELECT(name, ...)							\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	unsigned n = (unsigned)i->imm & 0xff;					\
	union vec_elems s;							\
										\
	SSE_BEGIN(x);								\
	TRY(vec_operand(x, i, 1, 16, &s.v));					\
	*vec_xmm(x, i->r[0]) = ((union vec_elems)__VA_ARGS__).v;		\
	return (X_DONE);								\
}

#define	FOUR(e, at)	s.e[at + (n & 3)], s.e[at + (n >> 2 & 3)],		\
    s.e[at + (n >> 4 & 3)], s.e[at + (n >> 6)]

SELECT(pshufd, { .d = { FOUR(d, 0) } })
SELECT(pshuflw, { .w = { FOUR(w, 0), s.w[4], s.w[5], s.w[6], s.w[7] } })
SELECT(pshufhw, { .w = { s.w[0], s.w[1], s.w[2], s.w[3], FOUR(w, 4) } })

/* By n bytes, zeros behind them. */
#define	BYTES(name, insn)							\
static vec									\
name(vec v, unsigned n)								\
{										\
	switch (n) {								\
	case 0:									\
		break;								\
	BYTE(insn, 1) BYTE(insn, 2) BYTE(insn, 3) BYTE(insn, 4) BYTE(insn, 5)	\
	BYTE(insn, 6) BYTE(insn, 7) BYTE(insn, 8) BYTE(insn, 9) BYTE(insn, 10)	\
	BYTE(insn, 11) BYTE(insn, 12) BYTE(insn, 13) BYTE(insn, 14) BYTE(insn, 15)	\
	default:								\
		return (vec_low(0));						\
	}									\
	return (v);								\
}
#define	BYTE(insn, n)								\
	case n:									\
		__asm__(insn " $" #n ", %0" : "+x" (v));			\
		break;

BYTES(bytes_left, "pslldq")
BYTES(bytes_right, "psrldq")

static enum x86_status
pslldq(struct x86 *x, const struct x86_insn *i)
{
	vec *d = vec_xmm(x, i->r[0]);

	SSE_BEGIN(x);
	*d = bytes_left(*d, (unsigned)i->imm & 0xff);
	return (X_DONE);
}

static enum x86_status
psrldq(struct x86 *x, const struct x86_insn *i)
{
	vec *d = vec_xmm(x, i->r[0]);

	SSE_BEGIN(x);
	*d = bytes_right(*d, (unsigned)i->imm & 0xff);
	return (X_DONE);
}

/* From byte n on of the source, with the destination behind it. */
static enum x86_status
palignr(struct x86 *x, const struct x86_insn *i)
{
	vec *d = vec_xmm(x, i->r[0]), s;
	unsigned n = (unsigned)i->imm & 0xff;

	SSE_BEGIN(x);
	TRY(vec_operand(x, i, 1, 16, &s));
	if (n < 16)
		*d = bytes_right(s, n) | bytes_left(*d, 16 - n);
	else
		*d = bytes_right(*d, n - 16);
	return (X_DONE);
}

static enum x86_status
pblendw(struct x86 *x, const struct x86_insn *i)
{
	union vec_elems d, s;

	SSE_BEGIN(x);
	TRY(vec_operand(x, i, 1, 16, &s.v));
	d.v = *vec_xmm(x, i->r[0]);
	for (unsigned k = 0; k < 8; k++) {
		if ((i->imm >> k & 1) != 0)
			d.w[k] = s.w[k];
	}
	*vec_xmm(x, i->r[0]) = d.v;
	return (X_DONE);
}

static enum x86_status
pblendvb(struct x86 *x, const struct x86_insn *i)
{
	vec d, s;

	SSE_BEGIN(x);
	TRY(vec_operand(x, i, 1, 16, &s));
	d = *vec_xmm(x, i->r[0]);
	__asm__("pblendvb %%xmm0, %1, %0" : "+x" (d) : "x" (s), "Yz" (*vec_xmm(x, 0)));
	*vec_xmm(x, i->r[0]) = d;
	return (X_DONE);
}

static enum x86_status
mpsadbw(struct x86 *x, const struct x86_insn *i)
{
	vec d, s;

	SSE_BEGIN(x);
	TRY(vec_operand(x, i, 1, 16, &s));
	d = *vec_xmm(x, i->r[0]);
	switch (i->imm & 7) {
#define	CASE(n)									\
	case n:									\
		__asm__("mpsadbw $" #n ", %1, %0" : "+x" (d) : "x" (s));	\
		break
	CASE(0);
	CASE(1);
	CASE(2);
	CASE(3);
	CASE(4);
	CASE(5);
	CASE(6);
	CASE(7);
#undef CASE
	}
	*vec_xmm(x, i->r[0]) = d;
	return (X_DONE);
}

/* One element from a general register or memory, and to them; a register is zero-extended. */
#define	INSERT(name, size, e)							\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	union vec_elems d;							\
	uint64_t v;								\
										\
	SSE_BEGIN(x);								\
	if ((i->flags & XI_MEM) != 0)						\
		TRY(x86_load(x, i, size, &v));					\
	else									\
		v = x86_reg(x, i->r[1], size);					\
	d.v = *vec_xmm(x, i->r[0]);						\
	d.e[i->imm & (16 / size - 1)] = (__typeof__(d.e[0]))v;			\
	*vec_xmm(x, i->r[0]) = d.v;						\
	return (X_DONE);								\
}

#define	EXTRACT(name, size, e)							\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	union vec_elems s;							\
	uint64_t v;								\
										\
	SSE_BEGIN(x);								\
	s.v = *vec_xmm(x, i->r[1]);						\
	v = s.e[i->imm & (16 / size - 1)];					\
	if ((i->flags & XI_MEM) != 0)						\
		return (x86_store(x, i, size, v));				\
	x86_reg_set(x, i->r[0], size == 8 ? 8 : 4, v);				\
	return (X_DONE);								\
}

INSERT(pinsrb, 1, b)
INSERT(pinsrw, 2, w)
INSERT(pinsrd, 4, d)
INSERT(pinsrq, 8, q)
EXTRACT(pextrb, 1, b)
EXTRACT(pextrw, 2, w)
EXTRACT(pextrd, 4, d)
EXTRACT(pextrq, 8, q)

static enum x86_status
pmovmskb(struct x86 *x, const struct x86_insn *i)
{
	uint32_t m;

	SSE_BEGIN(x);
	__asm__("pmovmskb %1, %0" : "=r" (m) : "x" (*vec_xmm(x, i->r[1])));
	x86_reg_set(x, i->r[0], 4, m);
	return (X_DONE);
}

/* ZF: no bit of the source is set in the destination; CF: no other is. */
static enum x86_status
ptest(struct x86 *x, const struct x86_insn *i)
{
	vec d, s;
	uint64_t fl = 0;

	SSE_BEGIN(x);
	TRY(vec_operand(x, i, 1, 16, &s));
	d = *vec_xmm(x, i->r[0]);
	if (((d[0] & s[0]) | (d[1] & s[1])) == 0)
		fl |= FL_ZF;
	if (((~d[0] & s[0]) | (~d[1] & s[1])) == 0)
		fl |= FL_CF;
	x86_flags(x, fl, FL_ARITH);
	return (X_DONE);
}

const struct x86_opdesc x86_ops_ssei_shuffle[] = {
	SHUFFLE_LIST(VEC_ROWS)
	VEC(PSHUFD, X, XM, pshufd),
	VEC(PSHUFLW, X, XM, pshuflw),
	VEC(PSHUFHW, X, XM, pshufhw),
	VEC(PSLLDQ, X, R, pslldq),
	VEC(PSRLDQ, X, R, psrldq),
	VEC(PALIGNR, X, XM, palignr),
	VEC(PBLENDW, X, XM, pblendw),
	VEC(PBLENDVB, X, XM, pblendvb),
	VEC(MPSADBW, X, XM, mpsadbw),
	VEC(PINSRB, X, RM, pinsrb),
	VEC(PINSRW, X, RM, pinsrw),
	VEC(PINSRD, X, RM, pinsrd),
	VEC(PINSRQ, X, RM, pinsrq),
	VEC(PEXTRB, RM, X, pextrb),
	VEC(PEXTRW, RM, X, pextrw),
	VEC(PEXTRD, RM, X, pextrd),
	VEC(PEXTRQ, RM, X, pextrq),
	VEC(PMOVMSKB, R, X, pmovmskb),
	VEC(PTEST, X, XM, ptest),
	{ 0 },
};
