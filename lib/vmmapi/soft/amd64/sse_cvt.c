/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sse_cvt.c - SSE conversions between floating-point formats and integers.
 */
#include "sse_mxcsr.h"

/* As FP_LIST in sse_fp.c. */
#define	CVT_LIST(OP)								\
	OP(CVTPS2PD, cvtps2pd, 8, FP_PLAIN, 8, 2)				\
	OP(CVTPD2PS, cvtpd2ps, 16, FP_NARROW, 4, 2)				\
	OP(CVTSS2SD, cvtss2sd, 4, FP_PLAIN, 8, 1)				\
	OP(CVTSD2SS, cvtsd2ss, 8, FP_NARROW, 4, 1)				\
	OP(CVTDQ2PS, cvtdq2ps, 16, FP_PLAIN, 4, 4)				\
	OP(CVTPS2DQ, cvtps2dq, 16, FP_PLAIN, 4, 4)				\
	OP(CVTTPS2DQ, cvttps2dq, 16, FP_PLAIN, 4, 4)				\
	OP(CVTPD2DQ, cvtpd2dq, 16, FP_PLAIN, 4, 2)				\
	OP(CVTTPD2DQ, cvttpd2dq, 16, FP_PLAIN, 4, 2)

CVT_LIST(FP_DEFINE)

/* Never inexact: MXCSR does not matter. */
VEC_DEFINE(CVTDQ2PD, cvtdq2pd, 8)

static const struct fp_shape plain = { FP_PLAIN, 0, 0 };

/* General registers go through the low element of a vector. */

#define	FROM_DEFINE(name)							\
FP_BOTH_WITH(name##_4, #name "l %k[v], %[d]", uint64_t v = (uint64_t)s[0], (void)0,	\
    [d] "+x" (*d), [v] "r" (v))							\
FP_BOTH_WITH(name##_8, #name "q %[v], %[d]", uint64_t v = (uint64_t)s[0], (void)0,	\
    [d] "+x" (*d), [v] "r" (v))							\
FROM_FUNCTION(name, 4)								\
FROM_FUNCTION(name, 8)

#define	FROM_FUNCTION(name, isize)						\
static enum x86_status								\
name##_##isize(struct x86 *x, const struct x86_insn *i)				\
{										\
	uint64_t v;								\
	vec d;									\
										\
	SSE_BEGIN(x);								\
	if ((i->flags & XI_MEM) != 0)						\
		TRY(x86_load(x, i, isize, &v));					\
	else									\
		v = x86_reg(x, i->r[1], isize);					\
	d = *vec_xmm(x, i->r[0]);						\
	TRY(FP_EXECUTE(x, &d, vec_low(v), name##_##isize, &plain));		\
	*vec_xmm(x, i->r[0]) = d;						\
	return (X_DONE);								\
}

FROM_DEFINE(cvtsi2ss)
FROM_DEFINE(cvtsi2sd)

#define	TO_DEFINE(name, size)							\
FP_BOTH_WITH(name##_4, #name "l %[s], %k[v]", uint64_t v, *d = vec_low(v),	\
    [v] "=&r" (v), [s] "x" (s))							\
FP_BOTH_WITH(name##_8, #name "q %[s], %[v]", uint64_t v, *d = vec_low(v),	\
    [v] "=&r" (v), [s] "x" (s))							\
TO_FUNCTION(name, size, 4)							\
TO_FUNCTION(name, size, 8)

#define	TO_FUNCTION(name, size, isize)						\
static enum x86_status								\
name##_##isize(struct x86 *x, const struct x86_insn *i)				\
{										\
	vec d = { 0 }, s;							\
										\
	SSE_BEGIN(x);								\
	TRY(vec_operand(x, i, 1, size, &s));					\
	TRY(FP_EXECUTE(x, &d, s, name##_##isize, &plain));			\
	x86_reg_set(x, i->r[0], isize, (uint64_t)d[0]);				\
	return (X_DONE);								\
}

TO_DEFINE(cvtss2si, 4)
TO_DEFINE(cvtsd2si, 8)
TO_DEFINE(cvttss2si, 4)
TO_DEFINE(cvttsd2si, 8)

/*
 * MMX registers.  The host's instructions on XMM registers do the same with two elements, when the
 * other two are zero.
 */

static enum x86_status
mmx_operand(struct x86 *x, const struct x86_insn *i, vec *s)
{
	uint64_t v;

	if ((i->flags & XI_MEM) != 0)
		TRY(x86_load(x, i, 8, &v));
	else
		v = mmx_get(x, i->r[1]);
	*s = vec_low(v);
	return (X_DONE);
}

static enum x86_status
cvtpi2ps(struct x86 *x, const struct x86_insn *i)
{
	vec d = { 0 }, s;

	SSE_MMX_BEGIN(x);
	TRY(mmx_operand(x, i, &s));
	mmx_enter(x);
	TRY(FP_EXECUTE(x, &d, s, cvtdq2ps, &plain));
	(*vec_xmm(x, i->r[0]))[0] = d[0];
	return (X_DONE);
}

/* From memory it is no MMX instruction (SDM vol. 2, CVTPI2PD). */
static enum x86_status
cvtpi2pd(struct x86 *x, const struct x86_insn *i)
{
	vec d, s;

	SSE_BEGIN(x);
	if ((i->flags & XI_MEM) == 0)
		MMX_BEGIN(x);
	TRY(mmx_operand(x, i, &s));
	if ((i->flags & XI_MEM) == 0)
		mmx_enter(x);
	__asm__("cvtdq2pd %1, %0" : "=x" (d) : "x" (s));
	*vec_xmm(x, i->r[0]) = d;
	return (X_DONE);
}

#define	TO_MMX(name, size, as)							\
static enum x86_status								\
name(struct x86 *x, const struct x86_insn *i)					\
{										\
	vec d = { 0 }, s;							\
										\
	SSE_MMX_BEGIN(x);							\
	TRY(vec_operand(x, i, 1, size, &s));					\
	if (size == 8)								\
		s[1] = 0;							\
	mmx_enter(x);								\
	TRY(FP_EXECUTE(x, &d, s, as, &plain));					\
	mmx_set(x, i->r[0], (uint64_t)d[0]);					\
	return (X_DONE);								\
}

TO_MMX(cvtps2pi, 8, cvtps2dq)
TO_MMX(cvttps2pi, 8, cvttps2dq)
TO_MMX(cvtpd2pi, 16, cvtpd2dq)
TO_MMX(cvttpd2pi, 16, cvttpd2dq)

/* arg: bytes of the integer. */
static bool
bind_from(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	return (d->op[1].size == 8 * arg);
}

static bool
bind_to(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	return (d->op[0].size == 8 * arg);
}

#define	INTEGER_ROWS(mnemonic, name, bind)					\
	{ ZYDIS_MNEMONIC_##mnemonic, 0, 4, name##_4, bind },			\
	{ ZYDIS_MNEMONIC_##mnemonic, 0, 8, name##_8, bind }

const struct x86_opdesc x86_ops_sse_cvt[] = {
	CVT_LIST(VEC_ROWS)
	VEC_ROWS(CVTDQ2PD, cvtdq2pd)
	INTEGER_ROWS(CVTSI2SS, cvtsi2ss, bind_from),
	INTEGER_ROWS(CVTSI2SD, cvtsi2sd, bind_from),
	INTEGER_ROWS(CVTSS2SI, cvtss2si, bind_to),
	INTEGER_ROWS(CVTSD2SI, cvtsd2si, bind_to),
	INTEGER_ROWS(CVTTSS2SI, cvttss2si, bind_to),
	INTEGER_ROWS(CVTTSD2SI, cvttsd2si, bind_to),
	VEC(CVTPI2PS, X, PM, cvtpi2ps),
	VEC(CVTPI2PD, X, PM, cvtpi2pd),
	VEC(CVTPS2PI, P, XM, cvtps2pi),
	VEC(CVTPD2PI, P, XM, cvtpd2pi),
	VEC(CVTTPS2PI, P, XM, cvttps2pi),
	VEC(CVTTPD2PI, P, XM, cvttpd2pi),
	{ 0 },
};
