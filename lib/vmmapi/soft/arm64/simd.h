/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simd.h - what the files of Advanced SIMD's integer instructions share.
 *
 * An operation is written once, over whole vectors or over one element, and expanded for the element sizes it has; the compiler makes
 * SSE or NEON of it.  One function serves the 64-bit, the 128-bit and the scalar form: it always works on 128 bits, and only as many
 * bytes of the result as the form has are kept (i->arg2), of saturation too; the rest of the register becomes zero (Arm ARM C1.2.5).
 *
 * Operands in struct a64_insn, besides registers:
 *	arg2	log2 of the bytes of the result, 0 to 4
 *	arg	Q: 128 bits; which half a widening operation reads and a narrowing one writes
 *	imm	shift, index of an element, or immediate
 */
#ifndef _SOFT_A64_SIMD_H_
#define	_SOFT_A64_SIMD_H_

#include <string.h>

#include "a64.h"
#include "insn.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "element 0 of a register is the lowest byte of its word in the state page"
#endif

/* 128 bits of elements, and 64 (h). */
typedef uint8_t		vu8 __attribute__((vector_size(16)));
typedef int8_t		vs8 __attribute__((vector_size(16)));
typedef uint16_t	vu16 __attribute__((vector_size(16)));
typedef int16_t		vs16 __attribute__((vector_size(16)));
typedef uint32_t	vu32 __attribute__((vector_size(16)));
typedef int32_t		vs32 __attribute__((vector_size(16)));
typedef uint64_t	vu64 __attribute__((vector_size(16)));
typedef int64_t		vs64 __attribute__((vector_size(16)));
typedef uint8_t		hu8 __attribute__((vector_size(8)));
typedef int8_t		hs8 __attribute__((vector_size(8)));
typedef uint16_t	hu16 __attribute__((vector_size(8)));
typedef int16_t		hs16 __attribute__((vector_size(8)));
typedef uint32_t	hu32 __attribute__((vector_size(8)));
typedef int32_t		hs32 __attribute__((vector_size(8)));

/* Holds the sum and twice the product of any two elements of the size. */
typedef int64_t		wide8;
typedef int64_t		wide16;
typedef __int128	wide32;
typedef __int128	wide64;

#define	SIMD_LOCAL	__attribute__((unused))	/* an operand that not each operation of a macro has */
#define	FPSR_QC		0x08000000U

/* m ? a : b of each bit; vu is the vector type of the operation. */
#define	SEL(m, a, b)	(((vu)(m) & (a)) | (~(vu)(m) & (b)))

/* Function tables by size. */
#define	F_B(f)		{ f##8, NULL, NULL, NULL }
#define	F_HS(f)		{ NULL, f##16, f##32, NULL }
#define	F_BHS(f)	{ f##8, f##16, f##32, NULL }
#define	F_BHSD(f)	{ f##8, f##16, f##32, f##64 }

/* One operation of a group. */
struct simd_row {
	a64_op		*fn[4];		/* by element size; NULL: unallocated */
	uint8_t		 scalar;	/* sizes that the scalar form has, a bit each */
};
#define	SC_HS		0x6U
#define	SC_BHS		0x7U
#define	SC_D		0x8U
#define	SC_BHSD		0xfU

extern const vu64 simd_lanes[5];	/* by arg2: the bytes of the result */

static inline vu64
v_get(const struct a64 *c, unsigned n)
{
	vu64 v;

	memcpy(&v, &c->s->v[2 * n], sizeof(v));
	return (v);
}

static inline void
v_set(struct a64 *c, unsigned n, vu64 v)
{
	memcpy(&c->s->v[2 * n], &v, sizeof(v));
}

static inline enum a64_status
v_put(struct a64 *c, const struct a64_insn *i, vu64 r)
{
	v_set(c, i->rd, r & simd_lanes[i->arg2]);
	return (A_DONE);
}

/* The same, where q is not zero in elements that saturated. */
static inline enum a64_status
v_put_sat(struct a64 *c, const struct a64_insn *i, vu64 r, vu64 q)
{
	q &= simd_lanes[i->arg2];
	if ((q[0] | q[1]) != 0)
		c->s->fpsr |= FPSR_QC;
	return (v_put(c, i, r));
}

/* The half of register n that a widening operation reads. */
static inline uint64_t
v_half(const struct a64 *c, const struct a64_insn *i, unsigned n)
{
	return (c->s->v[2 * n + i->arg]);
}

/* Write the result of a narrowing operation; the upper half alone, or the lower and zero (Arm ARM J1.1.3, Vpart). */
static inline enum a64_status
v_put_half(struct a64 *c, const struct a64_insn *i, uint64_t r, uint64_t q)
{
	uint64_t lanes = simd_lanes[i->arg2][0];

	if ((q & lanes) != 0)
		c->s->fpsr |= FPSR_QC;
	if (i->arg != 0) {
		c->s->v[2 * i->rd + 1] = r;
	} else {
		c->s->v[2 * i->rd] = r & lanes;
		c->s->v[2 * i->rd + 1] = 0;
	}
	return (A_DONE);
}

/* v within the signed or unsigned range of an element; *q if it was not (Arm ARM J1.2.3, SatQ). */
#define	SIMD_SAT(bits)								\
	static inline int##bits##_t						\
	sat_s##bits(wide##bits v, bool *q)					\
	{									\
		if (v >= INT##bits##_MIN && v <= INT##bits##_MAX)		\
			return ((int##bits##_t)v);				\
		*q = true;							\
		return (v < 0 ? INT##bits##_MIN : INT##bits##_MAX);		\
	}									\
	static inline uint##bits##_t						\
	sat_u##bits(wide##bits v, bool *q)					\
	{									\
		if (v >= 0 && v <= (wide##bits)UINT##bits##_MAX)		\
			return ((uint##bits##_t)v);				\
		*q = true;							\
		return (v < 0 ? 0 : UINT##bits##_MAX);				\
	}

SIMD_SAT(8)
SIMD_SAT(16)
SIMD_SAT(32)
SIMD_SAT(64)

/*
 * Functions of one operand.  In the expressions a is the operand (Vn) and d the old destination, as unsigned elements; sa and sd the
 * same as signed ones; sh is a shift's distance.
 */
#define	SIMD_VECTOR(bits, name, expr)						\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		typedef vu##bits vu SIMD_LOCAL;					\
		typedef vs##bits vs SIMD_LOCAL;					\
		const int sh SIMD_LOCAL = (int)i->imm;				\
		const vu a SIMD_LOCAL = (vu)v_get(c, i->rn), d SIMD_LOCAL = (vu)v_get(c, i->rd);	\
		const vs sa SIMD_LOCAL = (vs)a, sd SIMD_LOCAL = (vs)d;		\
										\
		return (v_put(c, i, (vu64)(expr)));				\
	}

/* The same where a has elements of twice the size: the result is cut, or saturated to lo to hi; sign is that of a. */
#define	SIMD_NARROW(bits, wbits, name, expr)					\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		const int sh SIMD_LOCAL = (int)i->imm;				\
		const vu##wbits a = (vu##wbits)v_get(c, i->rn);			\
										\
		return (v_put_half(c, i, (uint64_t)__builtin_convertvector(expr, hu##bits), 0));	\
	}
#define	SIMD_NARROW_SAT(bits, wbits, name, sign, expr, lo, hi)			\
	static enum a64_status							\
	name##bits(struct a64 *c, const struct a64_insn *i)			\
	{									\
		typedef v##sign##wbits vu;					\
		const int sh SIMD_LOCAL = (int)i->imm;				\
		const vu a = (vu)v_get(c, i->rn), r = expr;			\
		const vu min = (vu){ 0 } + (lo), max = (vu){ 0 } + (hi);	\
		const vu low = (vu)(r < min), high = (vu)(r > max);		\
		const vu cut = SEL(low, min, SEL(high, max, r));		\
										\
		return (v_put_half(c, i, (uint64_t)__builtin_convertvector(cut, h##sign##bits),	\
		    (uint64_t)__builtin_convertvector(low | high, h##sign##bits)));	\
	}

/* A macro of element sizes for each of them. */
#define	SIMD_BHS(macro, ...)							\
	macro(8, __VA_ARGS__)							\
	macro(16, __VA_ARGS__)							\
	macro(32, __VA_ARGS__)
#define	SIMD_BHSD(macro, ...)							\
	SIMD_BHS(macro, __VA_ARGS__)						\
	macro(64, __VA_ARGS__)

/* Polynomial product of 8-bit elements in elements of the result's size, or its lower byte (J1.2.3 PolynomialMult). */
#define	SIMD_POLYNOMIAL(bits)							\
	static inline vu##bits							\
	simd_polynomial##bits(vu##bits a, vu##bits b)				\
	{									\
		vu##bits r = { 0 };						\
										\
		for (unsigned k = 0; k < 8; k++) {				\
			r ^= a & -(b & 1);					\
			a += a;							\
			b >>= 1;						\
		}								\
		return (r);							\
	}

/*
 * a shifted by s, right if s is negative, in elements of bits bits (Arm ARM C7.2.391, USHL, and C7.2.300, SQSHL, with their
 * rounding forms).  A right shift is made in two steps, so that one by all bits needs nothing special, and none loses a carry.
 */
static inline uint64_t
simd_shift_u(uint64_t a, int s, int bits, bool round, bool sat, bool *q)
{
	const uint64_t max = UINT64_MAX >> (64 - bits);
	uint64_t t;

	if (s >= bits || (s > 0 && a > max >> s)) {
		if (sat && a != 0) {
			*q = true;
			return (max);
		}
		return (s >= bits ? 0 : a << s & max);
	}
	if (s >= 0)
		return (a << s);
	if (s < -bits)
		return (0);
	t = a >> (-s - 1);
	return ((t >> 1) + (round ? t & 1 : 0));
}

static inline int64_t
simd_shift_s(int64_t a, int s, int bits, bool round, bool sat, bool *q)
{
	const int64_t max = INT64_MAX >> (64 - bits);
	int64_t t;

	if (s >= 0) {
		t = s >= bits ? 0 : a64_sext((uint64_t)a << s, (unsigned)bits);
		if (sat && (s >= bits ? a != 0 : t >> s != a)) {
			*q = true;
			return (a < 0 ? ~max : max);
		}
		return (t);
	}
	t = a >> ((s < -bits ? bits : -s) - 1);
	return ((t >> 1) + (round ? t & 1 : 0));
}

/*
 * Decoders of the classes of C4.1.  scalar is the second letter of a class: "Advanced SIMD scalar ...".
 */

/* Take the function of a row for this form. */
bool	simd_pick(const struct simd_row *row, unsigned size, uint32_t word, struct a64_insn *i);
/* Is the word one of a scalar class? */
static inline bool
simd_scalar(uint32_t word)
{
	return ((word >> 28 & 1) != 0);
}

typedef bool simd_decoder(uint32_t word, unsigned features, struct a64_insn *i);

simd_decoder simd_same;			/* simd_same.c: three same */
simd_decoder simd_diff, simd_element;	/* simd_diff.c: three different, by element */
simd_decoder simd_misc, simd_across, simd_pairwise;	/* simd_misc.c: two-register miscellaneous, across lanes */
simd_decoder simd_shift;		/* simd_shift.c: shift by immediate */
simd_decoder simd_copy, simd_modified, simd_ext, simd_table, simd_permute;	/* simd_move.c */
simd_decoder simd_aes, simd_sha3, simd_sha2;	/* simd_crypto.c: AES, three- and two-register SHA */

/* By element, for simd_element: MUL MLA MLS SQDMULH SQRDMULH. */
extern const struct simd_row simd_mul_e, simd_mla_e, simd_mls_e, simd_sqdmulh_e, simd_sqrdmulh_e;

/* simd_crypto.c: AESE, AESD, AESMC, AESIMC and PMULL of doublewords; by the host's instructions if it has them. */
enum { CRYPTO_AESE, CRYPTO_AESD, CRYPTO_AESMC, CRYPTO_AESIMC, CRYPTO_PMULL };
a64_op	*const *simd_crypto_ops(bool host);

#endif /* _SOFT_A64_SIMD_H_ */
