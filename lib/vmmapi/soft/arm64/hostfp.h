/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostfp.h - the host's floating-point units, for fp_*.c.
 *
 * All run under the host's defaults: round to nearest, nothing flushed, no exception unmasked.  On amd64 hosts they are single SSE2
 * instructions in volatile asm: a compiler that takes C's operators for free of side effects moves, repeats or drops them, and their side
 * effects are the flags that hostfp_take_flags() collects.  Other hosts have C's operators and <fenv.h>.
 *
 * What differs from Arm's floating point, for callers: the NaN of a result; underflow, which amd64 detects after rounding and Arm before
 * (Arm ARM A1.5.10): visible in results that are the smallest normal number.
 */
#ifndef _SOFT_A64_HOSTFP_H_
#define	_SOFT_A64_HOSTFP_H_

#include <stdbool.h>
#include <stdint.h>

#include "fpx.h"

typedef float hostfp_v4s __attribute__((vector_size(16)));
typedef double hostfp_v2d __attribute__((vector_size(16)));

enum hostfp_order { HOSTFP_LT, HOSTFP_EQ, HOSTFP_GT, HOSTFP_UNORDERED };

#ifdef __x86_64__
#include <xmmintrin.h>

#define	HOSTFP_2(name, type, insn)						\
static inline type								\
hostfp_##name(type a, type b)							\
{										\
	__asm__ volatile(insn " %1, %0" : "+x"(a) : "x"(b));			\
	return (a);								\
}

#define	HOSTFP_1(name, type, from, insn)					\
static inline type								\
hostfp_##name(from a)								\
{										\
	type r;									\
										\
	__asm__ volatile(insn " %1, %0" : "=x"(r) : "x"(a));			\
	return (r);								\
}

#define	HOSTFP_ARITH(suffix, type, x)						\
	HOSTFP_2(add_##suffix, type, "add" x)					\
	HOSTFP_2(sub_##suffix, type, "sub" x)					\
	HOSTFP_2(mul_##suffix, type, "mul" x)					\
	HOSTFP_2(div_##suffix, type, "div" x)					\
	HOSTFP_1(sqrt_##suffix, type, type, "sqrt" x)				\
										\
/* a + n * m: only where hostfp_has_fma() */					\
static inline type								\
hostfp_fma_##suffix(type a, type n, type m)					\
{										\
	__asm__ volatile("vfmadd231" x " %2, %1, %0" : "+x"(a) : "x"(n), "x"(m));	\
	return (a);								\
}

HOSTFP_ARITH(s, float, "ss")
HOSTFP_ARITH(d, double, "sd")
HOSTFP_ARITH(4s, hostfp_v4s, "ps")
HOSTFP_ARITH(2d, hostfp_v2d, "pd")

/* Quiet: only a signalling NaN is invalid. */
#define	HOSTFP_CMP(suffix, type, insn)						\
static inline enum hostfp_order							\
hostfp_cmp_##suffix(type a, type b)						\
{										\
	bool cf, zf, pf;							\
										\
	__asm__ volatile(insn " %4, %3" : "=@ccc"(cf), "=@ccz"(zf), "=@ccp"(pf) : "x"(a), "x"(b));	\
	return (pf ? HOSTFP_UNORDERED : zf ? HOSTFP_EQ : cf ? HOSTFP_LT : HOSTFP_GT);	\
}

HOSTFP_CMP(s, float, "ucomiss")
HOSTFP_CMP(d, double, "ucomisd")

/* Conversions of integers, and to integers that the result can be: rounded to nearest, or to zero (t). */
#define	HOSTFP_INT(suffix, type, from, to, trunc)				\
static inline type								\
hostfp_from_i64_##suffix(int64_t a)						\
{										\
	type r = 0;								\
										\
	__asm__ volatile(from " %1, %0" : "+x"(r) : "r"(a));			\
	return (r);								\
}										\
										\
static inline int64_t								\
hostfp_to_i64_##suffix(type a)							\
{										\
	int64_t r;								\
										\
	__asm__ volatile(to " %1, %0" : "=r"(r) : "x"(a));			\
	return (r);								\
}										\
										\
static inline int64_t								\
hostfp_to_i64t_##suffix(type a)							\
{										\
	int64_t r;								\
										\
	__asm__ volatile(trunc " %1, %0" : "=r"(r) : "x"(a));			\
	return (r);								\
}

HOSTFP_INT(s, float, "cvtsi2ssq", "cvtss2siq", "cvttss2siq")
HOSTFP_INT(d, double, "cvtsi2sdq", "cvtsd2siq", "cvttsd2siq")
HOSTFP_1(s_to_d, double, float, "cvtss2sd")
HOSTFP_1(d_to_s, float, double, "cvtsd2ss")

static inline bool
hostfp_has_fma(void)
{
	return (__builtin_cpu_supports("fma"));
}

/* The exceptions since the last call, as FPSR has them; the host's are cleared. */
static inline uint32_t
hostfp_take_flags(void)
{
	uint32_t csr = _mm_getcsr(), f = csr & 0x3f;

	if (f == 0)
		return (0);
	_mm_setcsr(csr & ~0x3fU);
	/* MXCSR (SDM vol. 1 10.2.3): IE, DE, ZE, OE, UE, PE; DE has no counterpart */
	return ((f & 1 ? FPSR_IOC : 0) | (f & 4 ? FPSR_DZC : 0) | (f & 8 ? FPSR_OFC : 0) | (f & 0x10 ? FPSR_UFC : 0) |
	    (f & 0x20 ? FPSR_IXC : 0));
}

#undef HOSTFP_2
#undef HOSTFP_1
#undef HOSTFP_CMP

#else /* other hosts */

#include <fenv.h>
#include <math.h>

/* Through memory, so that the operation is done once and where it stands. */
#define	HOSTFP_2(name, type, op)						\
static inline type								\
hostfp_##name(type a, type b)							\
{										\
	volatile type x = a, y = b, r = x op y;					\
										\
	return (r);								\
}

#define	HOSTFP_ARITH(suffix, type)						\
	HOSTFP_2(add_##suffix, type, +)						\
	HOSTFP_2(sub_##suffix, type, -)						\
	HOSTFP_2(mul_##suffix, type, *)						\
	HOSTFP_2(div_##suffix, type, /)

HOSTFP_ARITH(s, float)
HOSTFP_ARITH(d, double)
HOSTFP_ARITH(4s, hostfp_v4s)
HOSTFP_ARITH(2d, hostfp_v2d)

static inline float
hostfp_sqrt_s(float a)
{
	volatile float x = a, r = sqrtf(x);

	return (r);
}

static inline double
hostfp_sqrt_d(double a)
{
	volatile double x = a, r = sqrt(x);

	return (r);
}

static inline hostfp_v4s
hostfp_sqrt_4s(hostfp_v4s a)
{
	return ((hostfp_v4s){ hostfp_sqrt_s(a[0]), hostfp_sqrt_s(a[1]), hostfp_sqrt_s(a[2]), hostfp_sqrt_s(a[3]) });
}

static inline hostfp_v2d
hostfp_sqrt_2d(hostfp_v2d a)
{
	return ((hostfp_v2d){ hostfp_sqrt_d(a[0]), hostfp_sqrt_d(a[1]) });
}

static inline float
hostfp_fma_s(float a, float n, float m)
{
	volatile float x = a, y = n, z = m, r = fmaf(y, z, x);

	return (r);
}

static inline double
hostfp_fma_d(double a, double n, double m)
{
	volatile double x = a, y = n, z = m, r = fma(y, z, x);

	return (r);
}

static inline hostfp_v4s
hostfp_fma_4s(hostfp_v4s a, hostfp_v4s n, hostfp_v4s m)
{
	return ((hostfp_v4s){ hostfp_fma_s(a[0], n[0], m[0]), hostfp_fma_s(a[1], n[1], m[1]), hostfp_fma_s(a[2], n[2], m[2]),
	    hostfp_fma_s(a[3], n[3], m[3]) });
}

static inline hostfp_v2d
hostfp_fma_2d(hostfp_v2d a, hostfp_v2d n, hostfp_v2d m)
{
	return ((hostfp_v2d){ hostfp_fma_d(a[0], n[0], m[0]), hostfp_fma_d(a[1], n[1], m[1]) });
}

#define	HOSTFP_SCALAR(suffix, type, nearest)					\
static inline enum hostfp_order							\
hostfp_cmp_##suffix(type a, type b)						\
{										\
	return (isunordered(a, b) ? HOSTFP_UNORDERED : isless(a, b) ? HOSTFP_LT : isgreater(a, b) ? HOSTFP_GT : HOSTFP_EQ);	\
}										\
										\
static inline type								\
hostfp_from_i64_##suffix(int64_t a)						\
{										\
	volatile int64_t x = a;							\
	volatile type r = (type)x;						\
										\
	return (r);								\
}										\
										\
static inline int64_t								\
hostfp_to_i64_##suffix(type a)							\
{										\
	volatile type x = a;							\
	volatile int64_t r = nearest(x);					\
										\
	return (r);								\
}										\
										\
static inline int64_t								\
hostfp_to_i64t_##suffix(type a)							\
{										\
	volatile type x = a;							\
	volatile int64_t r = (int64_t)x;					\
										\
	return (r);								\
}

HOSTFP_SCALAR(s, float, llrintf)
HOSTFP_SCALAR(d, double, llrint)

static inline double
hostfp_s_to_d(float a)
{
	volatile float x = a;
	volatile double r = x;

	return (r);
}

static inline float
hostfp_d_to_s(double a)
{
	volatile double x = a;
	volatile float r = (float)x;

	return (r);
}

static inline bool
hostfp_has_fma(void)
{
	return (true);
}

static inline uint32_t
hostfp_take_flags(void)
{
	int f = fetestexcept(FE_ALL_EXCEPT);

	if (f == 0)
		return (0);
	feclearexcept(FE_ALL_EXCEPT);
	return ((f & FE_INVALID ? FPSR_IOC : 0) | (f & FE_DIVBYZERO ? FPSR_DZC : 0) | (f & FE_OVERFLOW ? FPSR_OFC : 0) |
	    (f & FE_UNDERFLOW ? FPSR_UFC : 0) | (f & FE_INEXACT ? FPSR_IXC : 0));
}

#undef HOSTFP_2
#undef HOSTFP_SCALAR
#endif

#undef HOSTFP_ARITH
#undef HOSTFP_INT

#endif /* _SOFT_A64_HOSTFP_H_ */
