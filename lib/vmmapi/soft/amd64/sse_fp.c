/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sse_fp.c - SSE floating-point arithmetic, comparisons and rounding.
 */
#include "sse_mxcsr.h"

/*
 * Mnemonic, name, bytes of a memory operand; operation, width and number of the results (struct
 * fp_shape).
 */
#define	FP_LIST(OP)								\
	OP(ADDPS, addps, 16, FP_ADD, 4, 4)	OP(ADDPD, addpd, 16, FP_ADD, 8, 2)	\
	OP(ADDSS, addss, 4, FP_ADD, 4, 1)	OP(ADDSD, addsd, 8, FP_ADD, 8, 1)	\
	OP(SUBPS, subps, 16, FP_SUB, 4, 4)	OP(SUBPD, subpd, 16, FP_SUB, 8, 2)	\
	OP(SUBSS, subss, 4, FP_SUB, 4, 1)	OP(SUBSD, subsd, 8, FP_SUB, 8, 1)	\
	OP(MULPS, mulps, 16, FP_MUL, 4, 4)	OP(MULPD, mulpd, 16, FP_MUL, 8, 2)	\
	OP(MULSS, mulss, 4, FP_MUL, 4, 1)	OP(MULSD, mulsd, 8, FP_MUL, 8, 1)	\
	OP(DIVPS, divps, 16, FP_DIV, 4, 4)	OP(DIVPD, divpd, 16, FP_DIV, 8, 2)	\
	OP(DIVSS, divss, 4, FP_DIV, 4, 1)	OP(DIVSD, divsd, 8, FP_DIV, 8, 1)	\
	OP(MINPS, minps, 16, FP_PLAIN, 4, 4)	OP(MINPD, minpd, 16, FP_PLAIN, 8, 2)	\
	OP(MINSS, minss, 4, FP_PLAIN, 4, 1)	OP(MINSD, minsd, 8, FP_PLAIN, 8, 1)	\
	OP(MAXPS, maxps, 16, FP_PLAIN, 4, 4)	OP(MAXPD, maxpd, 16, FP_PLAIN, 8, 2)	\
	OP(MAXSS, maxss, 4, FP_PLAIN, 4, 1)	OP(MAXSD, maxsd, 8, FP_PLAIN, 8, 1)	\
	OP(SQRTPS, sqrtps, 16, FP_PLAIN, 4, 4)	OP(SQRTPD, sqrtpd, 16, FP_PLAIN, 8, 2)	\
	OP(SQRTSS, sqrtss, 4, FP_PLAIN, 4, 1)	OP(SQRTSD, sqrtsd, 8, FP_PLAIN, 8, 1)	\
	OP(ADDSUBPS, addsubps, 16, FP_ADDSUB, 4, 4)				\
	OP(ADDSUBPD, addsubpd, 16, FP_ADDSUB, 8, 2)				\
	OP(HADDPS, haddps, 16, FP_HADD, 4, 4)	OP(HADDPD, haddpd, 16, FP_HADD, 8, 2)	\
	OP(HSUBPS, hsubps, 16, FP_HSUB, 4, 4)	OP(HSUBPD, hsubpd, 16, FP_HSUB, 8, 2)

FP_LIST(FP_DEFINE)

/*
 * Comparisons into ZF, PF and CF; the other arithmetic flags are clear, and all stay as they were if
 * there is an exception (SDM vol. 2, COMISD).  The flags come back in the low byte of *d.
 */
static const struct fp_shape plain = { FP_PLAIN, 0, 0 };

#define	COMI_DEFINE(name, size)							\
FP_BOTH_WITH(name, #name " %[s], %[d]\n\tlahf", uint32_t fl,			\
    *d = vec_low(fl >> 8 & 0xff), "=&a" (fl), [d] "x" (*d), [s] "x" (s))	\
										\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	vec d, s;								\
										\
	SSE_BEGIN(x);								\
	TRY(vec_operand(x, i, 1, size, &s));					\
	d = *vec_xmm(x, i->r[0]);						\
	TRY(FP_EXECUTE(x, &d, s, name, &plain));				\
	x86_flags(x, (uint64_t)d[0] & (FL_ZF | FL_PF | FL_CF), FL_ARITH);	\
	return (X_DONE);								\
}

COMI_DEFINE(comiss, 4)
COMI_DEFINE(comisd, 8)
COMI_DEFINE(ucomiss, 4)
COMI_DEFINE(ucomisd, 8)

/* Comparisons under a predicate, bits 2:0 of the immediate: functions by predicate. */
#define	CMP_PREDICATE(name, size, n)						\
FP_BOTH(name##_##n, #name " $" #n ", %[s], %[d]")				\
FP_FUNCTIONS(name##_##n, size, FP_PLAIN, 0, 0)

#define	CMP_DEFINE(name, size)							\
CMP_PREDICATE(name, size, 0)							\
CMP_PREDICATE(name, size, 1)							\
CMP_PREDICATE(name, size, 2)							\
CMP_PREDICATE(name, size, 3)							\
CMP_PREDICATE(name, size, 4)							\
CMP_PREDICATE(name, size, 5)							\
CMP_PREDICATE(name, size, 6)							\
CMP_PREDICATE(name, size, 7)

CMP_DEFINE(cmpps, 16)
CMP_DEFINE(cmppd, 16)
CMP_DEFINE(cmpss, 4)
CMP_DEFINE(cmpsd, 8)

/*
 * Rounding: with bit 2 of the immediate as MXCSR says, else as bits 1:0 say; bit 3 keeps quiet
 * about inexact results (SDM vol. 2, ROUNDPD).
 */
static enum x86_status
round_as(struct x86 *x, unsigned imm, vec *d, vec s, fp_run *run)
{
	uint32_t mx, flags;
	vec r = *d;

	x86_fp_sync(x);
	mx = (*mxcsr(x) | MX_MASKS) & ~MX_FLAGS;
	if ((imm & 4) == 0)
		mx = (mx & ~MX_RC) | (imm & 3) << MX_RC_SHIFT;
	flags = run(mx, &r, s) & MX_FLAGS;
	if ((imm & 8) != 0)
		flags &= ~MX_PE;
	TRY(fp_finish(x, flags));
	*d = r;
	return (X_DONE);
}

#define	ROUND_DEFINE(name, size)						\
FP_RUN(name, #name " $4, %[s], %[d]")						\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	vec d, s;								\
										\
	SSE_BEGIN(x);								\
	TRY(vec_operand(x, i, 1, size, &s));					\
	d = *vec_xmm(x, i->r[0]);						\
	TRY(round_as(x, (unsigned)i->imm, &d, s, name##_run));			\
	*vec_xmm(x, i->r[0]) = d;						\
	return (X_DONE);								\
}

ROUND_DEFINE(roundps, 16)
ROUND_DEFINE(roundpd, 16)
ROUND_DEFINE(roundss, 4)
ROUND_DEFINE(roundsd, 8)

/*
 * Approximations, of four elements: the host's.  They neither use nor change MXCSR (SDM vol. 2,
 * RCPPS).
 */
static vec
reciprocal(vec v)
{
	vec r;

	__asm__("rcpps %1, %0" : "=x" (r) : "x" (v));
	return (r);
}

static vec
reciprocal_root(vec v)
{
	vec r;

	__asm__("rsqrtps %1, %0" : "=x" (r) : "x" (v));
	return (r);
}

static enum x86_status
approx(struct x86 *x, const struct x86_insn *i, unsigned size, vec (*fn)(vec))
{
	union vec_elems r;
	vec s;

	SSE_BEGIN(x);
	TRY(vec_operand(x, i, 1, size, &s));
	r.v = fn(s);
	if (size == 16)
		*vec_xmm(x, i->r[0]) = r.v;
	else
		memcpy(vec_xmm(x, i->r[0]), &r.d[0], 4);
	return (X_DONE);
}

static enum x86_status
rcpps(struct x86 *x, const struct x86_insn *i)
{
	return (approx(x, i, 16, reciprocal));
}

static enum x86_status
rcpss(struct x86 *x, const struct x86_insn *i)
{
	return (approx(x, i, 4, reciprocal));
}

static enum x86_status
rsqrtps(struct x86 *x, const struct x86_insn *i)
{
	return (approx(x, i, 16, reciprocal_root));
}

static enum x86_status
rsqrtss(struct x86 *x, const struct x86_insn *i)
{
	return (approx(x, i, 4, reciprocal_root));
}

/*
 * Dot products: bits 7:4 of the immediate choose the products, bits 3:0 where the sum goes.  A product
 * that is not chosen is zero, without exceptions: so is that of zeros.
 */
FP_RUN(dpps, "dpps $0xff, %[s], %[d]")
FP_RUN(dppd, "dppd $0x33, %[s], %[d]")

static enum x86_status
dot(struct x86 *x, const struct x86_insn *i, unsigned width, fp_run *run)
{
	union vec_elems d, s, r;
	unsigned n = 16 / width, imm = (unsigned)i->imm;

	SSE_BEGIN(x);
	TRY(vec_operand(x, i, 1, 16, &s.v));
	d.v = *vec_xmm(x, i->r[0]);
	for (unsigned k = 0; k < n; k++) {
		if ((imm >> (4 + k) & 1) != 0)
			continue;
		memset(&d.b[k * width], 0, width);
		memset(&s.b[k * width], 0, width);
	}
	r.v = d.v;
	x86_fp_sync(x);
	if ((*mxcsr(x) & MX_MASKS) == MX_MASKS) {
		*mxcsr(x) = run(*mxcsr(x), &r.v, s.v);
	} else {
		TRY(fp_dot(x, d.v, s.v, width));
		(void)run((*mxcsr(x) & ~MX_FLAGS) | MX_MASKS, &r.v, s.v);
	}
	for (unsigned k = 0; k < n; k++) {
		if ((imm >> k & 1) == 0)
			memset(&r.b[k * width], 0, width);
	}
	*vec_xmm(x, i->r[0]) = r.v;
	return (X_DONE);
}

static enum x86_status
dpps(struct x86 *x, const struct x86_insn *i)
{
	return (dot(x, i, 4, dpps_run));
}

static enum x86_status
dppd(struct x86 *x, const struct x86_insn *i)
{
	return (dot(x, i, 8, dppd_run));
}

/* arg: the predicate, and CMP_M. */
#define	CMP_M		8U

static bool
bind_cmp(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	/* CMPSD is also a string instruction, without operands that are named. */
	return (x86_is_reg(d, 0) && (i->imm & 7) == (arg & 7) && x86_is_mem(d, 1) == ((arg & CMP_M) != 0));
}

#define	CMP_ROW(mnemonic, name, n)						\
	{ ZYDIS_MNEMONIC_##mnemonic, 0, n, name##_##n##_r, bind_cmp },		\
	{ ZYDIS_MNEMONIC_##mnemonic, 0, n | CMP_M, name##_##n##_m, bind_cmp }
#define	CMP_ROWS(mnemonic, name)						\
	CMP_ROW(mnemonic, name, 0), CMP_ROW(mnemonic, name, 1),			\
	CMP_ROW(mnemonic, name, 2), CMP_ROW(mnemonic, name, 3),			\
	CMP_ROW(mnemonic, name, 4), CMP_ROW(mnemonic, name, 5),			\
	CMP_ROW(mnemonic, name, 6), CMP_ROW(mnemonic, name, 7)

const struct x86_opdesc x86_ops_sse_fp[] = {
	FP_LIST(VEC_ROWS)
	CMP_ROWS(CMPPS, cmpps),
	CMP_ROWS(CMPPD, cmppd),
	CMP_ROWS(CMPSS, cmpss),
	CMP_ROWS(CMPSD, cmpsd),
	VEC(COMISS, X, XM, comiss),
	VEC(COMISD, X, XM, comisd),
	VEC(UCOMISS, X, XM, ucomiss),
	VEC(UCOMISD, X, XM, ucomisd),
	VEC(ROUNDPS, X, XM, roundps),
	VEC(ROUNDPD, X, XM, roundpd),
	VEC(ROUNDSS, X, XM, roundss),
	VEC(ROUNDSD, X, XM, roundsd),
	VEC(RCPPS, X, XM, rcpps),
	VEC(RCPSS, X, XM, rcpss),
	VEC(RSQRTPS, X, XM, rsqrtps),
	VEC(RSQRTSS, X, XM, rsqrtss),
	VEC(DPPS, X, XM, dpps),
	VEC(DPPD, X, XM, dppd),
	{ 0 },
};
