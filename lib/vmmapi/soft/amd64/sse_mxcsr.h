/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sse_mxcsr.h - floating-point instructions under the guest's MXCSR.
 *
 * The guest's MXCSR is in force for the one host instruction only, and only with all exceptions
 * masked: nothing else executes under it, and the host never traps.  What an unmasked exception
 * does is worked out afterwards (sse_mxcsr.c).
 *
 * A guest's MXCSR is mostly the initial one, flags apart, and so is the host's (core_run() sees to
 * that).  Then the instruction executes as it is, and its flags gather in the host's MXCSR until
 * somebody looks (x86_fp_sync()): reading them behind each instruction would take longer than all
 * the rest.
 */
#ifndef _VMMAPI_SOFT_AMD64_SSE_MXCSR_H_
#define	_VMMAPI_SOFT_AMD64_SSE_MXCSR_H_

#include "vector.h"

/* MXCSR (SDM vol. 1 10.2.3); the masks are 7 bits above their flags. */
#define	MX_IE		0x0001U
#define	MX_DE		0x0002U
#define	MX_ZE		0x0004U
#define	MX_OE		0x0008U
#define	MX_UE		0x0010U
#define	MX_PE		0x0020U
#define	MX_FLAGS	0x003fU
#define	MX_PRE		(MX_IE | MX_DE | MX_ZE)		/* found before the computation */
#define	MX_MASKS	0x1f80U
#define	MX_RC		0x6000U
#define	MX_RC_SHIFT	13
#define	MX_FTZ		0x8000U
#define	MX_INIT		MX_MASKS

X86_INLINE uint32_t *
mxcsr(struct x86 *x)
{
	return (&x87_of(x)->mxcsr);
}

/* Execute the instruction on *d and s: returns MXCSR behind it. */
typedef uint32_t fp_run(uint32_t mx, vec *d, vec s);

static const uint32_t mx_init = MX_INIT;

/*
 * name_run: under mx.  text has the operands out and those that follow it, which come from d and s
 * in `before'; `after' makes *d of them.
 */
#define	FP_RUN_WITH(name, text, before, after, out, ...)			\
static uint32_t									\
name##_run(uint32_t mx, vec *d, vec s)						\
{										\
	before;									\
	__asm__ volatile("ldmxcsr %[mx]\n\t" text "\n\tstmxcsr %[mx]\n\t"	\
	    "ldmxcsr %[init]" : out, [mx] "+m" (mx) : [init] "m" (mx_init), __VA_ARGS__);	\
	after;									\
	return (mx);								\
}

/* name_as_is: under the host's MXCSR.  And name_run. */
#define	FP_BOTH_WITH(name, text, before, after, out, ...)			\
X86_INLINE void									\
name##_as_is(vec *d, vec s)							\
{										\
	before;									\
	__asm__ volatile(text : out : __VA_ARGS__);				\
	after;									\
}										\
										\
FP_RUN_WITH(name, text, before, after, out, __VA_ARGS__)

#define	FP_RUN(name, text)							\
	FP_RUN_WITH(name, text, (void)0, (void)0, [d] "+x" (*d), [s] "x" (s))
#define	FP_BOTH(name, text)							\
	FP_BOTH_WITH(name, text, (void)0, (void)0, [d] "+x" (*d), [s] "x" (s))

/*
 * What an instruction computes, as far as unmasked overflow and underflow depend on it: n results of
 * `width' bytes.
 */
enum fp_op {
	FP_PLAIN,		/* something without overflow and underflow */
	FP_ADD, FP_SUB, FP_MUL, FP_DIV,
	FP_NARROW,		/* doubles to singles */
	FP_ADDSUB, FP_HADD, FP_HSUB,
};

struct fp_shape {
	uint8_t		 op;		/* enum fp_op */
	uint8_t		 width, n;
};

/* With another MXCSR than the initial one: the host's has no flags. */
enum x86_status fp_slow(struct x86 *x, vec *d, vec s, fp_run *run, const struct fp_shape *shape);
/* flags were detected: record them, and raise the exception if one is unmasked. */
enum x86_status fp_finish(struct x86 *x, uint32_t flags);
/* The flags of DPPS and DPPD, step by step (sse_mxcsr.c). */
enum x86_status fp_dot(struct x86 *x, vec d, vec s, unsigned width);

X86_INLINE enum x86_status
fp_execute(struct x86 *x, vec *d, vec s, void (*as_is)(vec *, vec), fp_run *run, const struct fp_shape *shape)
{
	if (unlikely((*mxcsr(x) & ~MX_FLAGS) != MX_INIT))
		return (fp_slow(x, d, s, run, shape));
	as_is(d, s);
	return (X_DONE);
}
#define	FP_EXECUTE(x, d, s, name, shape)	fp_execute(x, d, s, name##_as_is, name##_run, shape)

/*
 * An instruction with a register and a register or memory operand of `size' bytes: its functions
 * name_r and name_m.
 */
#define	FP_DEFINE(mnemonic, name, size, op, width, n)				\
FP_BOTH(name, #name " %[s], %[d]")						\
FP_FUNCTIONS(name, size, op, width, n)

#define	FP_FUNCTIONS(name, size, op, width, n)					\
static const struct fp_shape name##_shape = { op, width, n };			\
										\
static enum x86_status								\
name##_r(struct x86 *x, const struct x86_insn *i)				\
{										\
	vec d = *vec_xmm(x, i->r[0]);						\
										\
	SSE_BEGIN(x);								\
	TRY(FP_EXECUTE(x, &d, *vec_xmm(x, i->r[1]), name, &name##_shape));	\
	*vec_xmm(x, i->r[0]) = d;						\
	return (X_DONE);								\
}										\
										\
static enum x86_status								\
name##_m(struct x86 *x, const struct x86_insn *i)				\
{										\
	vec d = *vec_xmm(x, i->r[0]), s;					\
										\
	SSE_BEGIN(x);								\
	TRY(vec_load_part(x, i, size, &s));					\
	TRY(FP_EXECUTE(x, &d, s, name, &name##_shape));				\
	*vec_xmm(x, i->r[0]) = d;						\
	return (X_DONE);								\
}

#endif /* _VMMAPI_SOFT_AMD64_SSE_MXCSR_H_ */
