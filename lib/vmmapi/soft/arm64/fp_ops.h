/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fp_ops.h - what the files of floating point share: fp*.c.
 *
 * A decoded instruction has its operation in arg and the shape of its operands in arg2: their size and how many there are.  One operand is
 * a scalar: the same functions do scalar and vector instructions.  Each operation is done exactly by fpx.h; frequent ones have a
 * function that tries the host's units before, and goes to the exact one with everything that these do not do as Arm does.
 */
#ifndef _SOFT_A64_FP_OPS_H_
#define	_SOFT_A64_FP_OPS_H_

#include <string.h>

#include "a64.h"
#include "fp.h"
#include "fpx.h"
#include "hostfp.h"
#include "insn.h"

enum fp_op2 {
	FP_NONE, FP_ADD, FP_SUB, FP_MUL, FP_DIV, FP_NMUL, FP_MULX, FP_ABD, FP_MAX, FP_MIN, FP_MAXNM, FP_MINNM, FP_RECPS, FP_RSQRTS,
	FP_CMEQ, FP_CMGE, FP_CMGT, FP_ACGE, FP_ACGT, FP_NOP2,
	FP_MLA = FP_NOP2, FP_MLS,	/* three operands, for decoders */
};

enum fp_op1 {
	FP_ABS, FP_NEG, FP_SQRT, FP_RECPE, FP_RSQRTE, FP_RECPX, FP_CMEQ0, FP_CMGE0, FP_CMGT0, FP_CMLE0, FP_CMLT0, FP_URECPE, FP_URSQRTE,
	FP_NOP1,
};

/* arg of the conversions: rounding, or FPCR's */
#define	FP_RMODE	7U
#define	FP_BY_FPCR	7U
#define	FP_EXACT	8U		/* fp_rint: inexact results are noted */
#define	FP_UNSIGNED	8U
#define	FP_X		16U		/* scalar conversions: the integer has 64 bits */

/* arg2 */
#define	FP_SHAPE(sz, lanes)	((uint8_t)((sz) | (lanes) << 2))

static inline enum fpx_size
fp_size(const struct a64_insn *i)
{
	return ((enum fpx_size)(i->arg2 & 3));
}

static inline unsigned
fp_lanes(const struct a64_insn *i)
{
	return (i->arg2 >> 2);
}

/* May the host's units try it? */
static inline bool
fp_host(const struct a64 *c)
{
	return (__builtin_expect((c->s->fpcr & (FPCR_RMODE | FPCR_FZ)) == 0, 1));
}

/* What an exact operation runs under; fp_end() when it is done. */
static inline struct fpx
fp_begin(const struct a64 *c)
{
	return ((struct fpx){ .fpcr = c->s->fpcr });
}

static inline void
fp_end(struct a64 *c, const struct fpx *x)
{
	c->s->fpsr |= x->fpsr;
}

/* A register while it is being made: the bits that nothing writes are zero. */
struct fp_vec {
	uint64_t	q[2];
};

static inline uint64_t
fp_get(const uint64_t *q, enum fpx_size sz, unsigned lane)
{
	switch (sz) {
	case FPX_D:
		return (q[lane]);
	case FPX_S:
		return ((uint32_t)(q[lane >> 1] >> (lane & 1) * 32));
	default:
		return ((uint16_t)(q[lane >> 2] >> (lane & 3) * 16));
	}
}

/* The lane is zero. */
static inline void
fp_put(struct fp_vec *v, enum fpx_size sz, unsigned lane, uint64_t val)
{
	switch (sz) {
	case FPX_D:
		v->q[lane] = val;
		break;
	case FPX_S:
		v->q[lane >> 1] |= val << (lane & 1) * 32;
		break;
	default:
		v->q[lane >> 2] |= val << (lane & 3) * 16;
		break;
	}
}

static inline uint64_t
fp_lane(const struct a64 *c, unsigned reg, enum fpx_size sz, unsigned lane)
{
	return (fp_get(&c->s->v[2 * reg], sz, lane));
}

static inline enum a64_status
fp_set(struct a64 *c, unsigned reg, uint64_t lo, uint64_t hi)
{
	c->s->v[2 * reg] = lo;
	c->s->v[2 * reg + 1] = hi;
	return (A_DONE);
}

static inline float
fp_get_s(const struct a64 *c, unsigned reg)
{
	uint32_t bits = (uint32_t)c->s->v[2 * reg];
	float f;

	memcpy(&f, &bits, sizeof(f));
	return (f);
}

static inline double
fp_get_d(const struct a64 *c, unsigned reg)
{
	double d;

	memcpy(&d, &c->s->v[2 * reg], sizeof(d));
	return (d);
}

static inline uint32_t
fp_bits_s(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return (bits);
}

static inline uint64_t
fp_bits_d(double d)
{
	uint64_t bits;

	memcpy(&bits, &d, sizeof(bits));
	return (bits);
}

/* A result of the host's that Arm may do otherwise: a NaN, the smallest normal number. */
static inline bool
fp_odd_s(uint32_t bits)
{
	return (__builtin_expect(bits << 1 > 0xff000000U || bits << 1 == 0x01000000U, 0));
}

static inline bool
fp_odd_d(uint64_t bits)
{
	return (__builtin_expect(bits << 1 > 0xffe0000000000000U || bits << 1 == 0x0020000000000000U, 0));
}

/* fp_scalar.c */
a64_op	fp_fmov, fp_fmov_imm, fp_to_x, fp_from_x, fp_top_to_x, fp_top_from_x;
a64_op	fp_csel, fp_cmp, fp_ccmp, fp_nmul_s, fp_nmul_d, fp_max_s, fp_max_d, fp_min_s, fp_min_d, fp_madd, fp_madd_s, fp_madd_d;
a64_op	fp_add_s, fp_add_d, fp_sub_s, fp_sub_d, fp_mul_s, fp_mul_d, fp_div_s, fp_div_d, fp_sqrt_s, fp_sqrt_d;

/* fp_vector.c */
/* One of the operations above on each lane: of two operands (imm: 0, or one more than the lane of Rm that is the second one); of one. */
a64_op	fp_arith2, fp_arith1;
/* Neighbours in Rn:Rm, all lanes of Rn */
a64_op	fp_pairs, fp_reduce;
/* d += n * m, d -= n * m (arg) */
a64_op	fp_mla, fp_mla_vs, fp_mla_vd;
a64_op	fp_add_vs, fp_add_vd, fp_sub_vs, fp_sub_vd, fp_mul_vs, fp_mul_vd, fp_div_vs, fp_div_vd, fp_sqrt_vs, fp_sqrt_vd;
a64_op	fp_abs_v, fp_neg_v;

/* fp_cvt.c */
a64_op	fp_rint, fp_to_fixed, fp_from_fixed;	/* lane by lane; imm: bits of fraction */
a64_op	fp_to_int, fp_from_int;			/* to and from a general register */
a64_op	fp_to_zero_s, fp_to_zero_d, fp_from_int_s, fp_from_int_d;	/* the plain ones */
a64_op	fp_convert, fp_s_to_d, fp_d_to_s;	/* from arg2's size to arg's */
a64_op	fp_longer, fp_shorter, fp_shorter_odd;	/* FCVTL; FCVTN; FCVTXN: imm is Q, arg2 has the shorter size */

/* fp_simd.c: the decoder of the vector and scalar Advanced SIMD groups */
bool	fp_decode_simd(uint32_t word, struct a64_insn *i);

#endif /* _SOFT_A64_FP_OPS_H_ */
