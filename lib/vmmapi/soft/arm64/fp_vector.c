/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fp_vector.c - floating-point arithmetic lane by lane (Arm ARM C3.5.12 and on), and the exact functions of scalar arithmetic.
 */
#include "fp_ops.h"

static uint64_t
cmeq0(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	return (fpx_cmeq(x, sz, a, 0));
}

static uint64_t
cmge0(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	return (fpx_cmge(x, sz, a, 0));
}

static uint64_t
cmgt0(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	return (fpx_cmgt(x, sz, a, 0));
}

static uint64_t
cmle0(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	return (fpx_cmge(x, sz, 0, a));
}

static uint64_t
cmlt0(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	return (fpx_cmgt(x, sz, 0, a));
}

static uint64_t
urecpe(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	return (fpx_urecpe((uint32_t)a));
}

static uint64_t
ursqrte(struct fpx *x, enum fpx_size sz, uint64_t a)
{
	return (fpx_ursqrte((uint32_t)a));
}

static fpx_fn1 *const exact1[FP_NOP1] = {
	[FP_ABS] = fpx_abs,
	[FP_NEG] = fpx_neg,
	[FP_SQRT] = fpx_sqrt,
	[FP_RECPE] = fpx_recpe,
	[FP_RSQRTE] = fpx_rsqrte,
	[FP_RECPX] = fpx_recpx,
	[FP_CMEQ0] = cmeq0,
	[FP_CMGE0] = cmge0,
	[FP_CMGT0] = cmgt0,
	[FP_CMLE0] = cmle0,
	[FP_CMLT0] = cmlt0,
	[FP_URECPE] = urecpe,
	[FP_URSQRTE] = ursqrte,
};

static fpx_fn2 *const exact2[FP_NOP2] = {
	[FP_ADD] = fpx_add,
	[FP_SUB] = fpx_sub,
	[FP_MUL] = fpx_mul,
	[FP_DIV] = fpx_div,
	[FP_NMUL] = fpx_nmul,
	[FP_MULX] = fpx_mulx,
	[FP_ABD] = fpx_abd,
	[FP_MAX] = fpx_max,
	[FP_MIN] = fpx_min,
	[FP_MAXNM] = fpx_maxnm,
	[FP_MINNM] = fpx_minnm,
	[FP_RECPS] = fpx_recps,
	[FP_RSQRTS] = fpx_rsqrts,
	[FP_CMEQ] = fpx_cmeq,
	[FP_CMGE] = fpx_cmge,
	[FP_CMGT] = fpx_cmgt,
	[FP_ACGE] = fpx_acge,
	[FP_ACGT] = fpx_acgt,
};

enum a64_status
fp_arith1(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	struct fp_vec r = { { 0, 0 } };

	for (unsigned lane = 0; lane < fp_lanes(i); lane++)
		fp_put(&r, sz, lane, exact1[i->arg](&x, sz, fp_lane(c, i->rn, sz, lane)));
	fp_end(c, &x);
	return (fp_set(c, i->rd, r.q[0], r.q[1]));
}

/* The lane of Rm that goes with this one. */
static unsigned
second(const struct a64_insn *i, unsigned lane)
{
	return (i->imm == 0 ? lane : (unsigned)i->imm - 1);
}

enum a64_status
fp_arith2(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	struct fp_vec r = { { 0, 0 } };

	for (unsigned lane = 0; lane < fp_lanes(i); lane++)
		fp_put(&r, sz, lane, exact2[i->arg](&x, sz, fp_lane(c, i->rn, sz, lane), fp_lane(c, i->rm, sz, second(i, lane))));
	fp_end(c, &x);
	return (fp_set(c, i->rd, r.q[0], r.q[1]));
}

enum a64_status
fp_mla(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	uint64_t flip = i->arg == FP_MLS ? fpx_sign(sz) : 0;
	struct fpx x = fp_begin(c);
	struct fp_vec r = { { 0, 0 } };

	for (unsigned lane = 0; lane < fp_lanes(i); lane++)
		fp_put(&r, sz, lane, fpx_muladd(&x, sz, fp_lane(c, i->rd, sz, lane), fp_lane(c, i->rn, sz, lane) ^ flip,
		    fp_lane(c, i->rm, sz, second(i, lane))));
	fp_end(c, &x);
	return (fp_set(c, i->rd, r.q[0], r.q[1]));
}

enum a64_status
fp_pairs(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	unsigned lanes = fp_lanes(i);
	struct fpx x = fp_begin(c);
	struct fp_vec r = { { 0, 0 } };

	for (unsigned lane = 0; lane < lanes; lane++) {
		unsigned reg = lane * 2 < lanes ? i->rn : i->rm, at = lane * 2 % lanes;

		fp_put(&r, sz, lane, exact2[i->arg](&x, sz, fp_lane(c, reg, sz, at), fp_lane(c, reg, sz, at + 1)));
	}
	fp_end(c, &x);
	return (fp_set(c, i->rd, r.q[0], r.q[1]));
}

/* FMAXV and others, and scalar pairwise: halves of halves (Reduce(), shared/functions/vector) */
enum a64_status
fp_reduce(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	uint64_t v[4];

	for (unsigned lane = 0; lane < fp_lanes(i); lane++)
		v[lane] = fp_lane(c, i->rn, sz, lane);
	for (unsigned n = fp_lanes(i); n > 1; n /= 2)
		for (unsigned lane = 0; lane < n / 2; lane++)
			v[lane] = exact2[i->arg](&x, sz, v[2 * lane], v[2 * lane + 1]);
	fp_end(c, &x);
	return (fp_set(c, i->rd, v[0], 0));
}

/* Integer masks for whole registers: all ones in the lanes that there are. */
static uint64_t
low_mask(const struct a64_insn *i)
{
	return (fp_size(i) == FPX_S && fp_lanes(i) == 1 ? 0xffffffffU : ~0ULL);
}

static bool
has_high(const struct a64_insn *i)
{
	return (fp_lanes(i) * (fp_size(i) == FPX_S ? 1 : 2) == 4);
}

static uint64_t
signs(const struct a64_insn *i)
{
	return (fp_size(i) == FPX_S ? 0x8000000080000000U : 0x8000000000000000U);
}

enum a64_status
fp_abs_v(struct a64 *c, const struct a64_insn *i)
{
	const uint64_t *n = &c->s->v[2 * i->rn];

	return (fp_set(c, i->rd, n[0] & ~signs(i) & low_mask(i), has_high(i) ? n[1] & ~signs(i) : 0));
}

enum a64_status
fp_neg_v(struct a64 *c, const struct a64_insn *i)
{
	const uint64_t *n = &c->s->v[2 * i->rn];

	return (fp_set(c, i->rd, (n[0] ^ signs(i)) & low_mask(i), has_high(i) ? n[1] ^ signs(i) : 0));
}

/*
 * The host's units do all lanes of a register.  Lanes that an instruction does not have are filled with one that it has, so that they do
 * not raise an exception of their own.
 */
union host_vec {
	uint64_t	q[2];
	hostfp_v4s	s;
	hostfp_v2d	d;
};

static inline union host_vec
splat(enum fpx_size sz, uint64_t val)
{
	if (sz == FPX_S)
		val |= val << 32;
	return ((union host_vec){ .q = { val, val } });
}

static inline union host_vec
host_get(const struct a64 *c, const struct a64_insn *i, unsigned reg)
{
	const uint64_t *q = &c->s->v[2 * reg];

	if (has_high(i))
		return ((union host_vec){ .q = { q[0], q[1] } });
	if (fp_lanes(i) == 1)
		return (splat(fp_size(i), fp_get(q, fp_size(i), 0)));
	return ((union host_vec){ .q = { q[0], q[0] } });
}

static inline union host_vec
host_get_m(const struct a64 *c, const struct a64_insn *i)
{
	if (i->imm != 0)
		return (splat(fp_size(i), fp_lane(c, i->rm, fp_size(i), (unsigned)i->imm - 1)));
	return (host_get(c, i, i->rm));
}

static inline bool
host_odd_s(const union host_vec *r)
{
	return (fp_odd_s((uint32_t)r->q[0]) || fp_odd_s((uint32_t)(r->q[0] >> 32)) || fp_odd_s((uint32_t)r->q[1]) ||
	    fp_odd_s((uint32_t)(r->q[1] >> 32)));
}

static inline bool
host_odd_d(const union host_vec *r)
{
	return (fp_odd_d(r->q[0]) || fp_odd_d(r->q[1]));
}

static inline enum a64_status
host_set(struct a64 *c, const struct a64_insn *i, const union host_vec *r)
{
	return (fp_set(c, i->rd, r->q[0] & low_mask(i), has_high(i) ? r->q[1] : 0));
}

#define	HOST2(name)							\
enum a64_status								\
fp_##name##_vs(struct a64 *c, const struct a64_insn *i)			\
{									\
	union host_vec r;						\
									\
	if (!fp_host(c))						\
		return (fp_arith2(c, i));				\
	r.s = hostfp_##name##_4s(host_get(c, i, i->rn).s, host_get_m(c, i).s);	\
	return (host_odd_s(&r) ? fp_arith2(c, i) : host_set(c, i, &r));	\
}									\
									\
enum a64_status								\
fp_##name##_vd(struct a64 *c, const struct a64_insn *i)			\
{									\
	union host_vec r;						\
									\
	if (!fp_host(c))						\
		return (fp_arith2(c, i));				\
	r.d = hostfp_##name##_2d(host_get(c, i, i->rn).d, host_get_m(c, i).d);	\
	return (host_odd_d(&r) ? fp_arith2(c, i) : host_set(c, i, &r));	\
}

HOST2(add)
HOST2(sub)
HOST2(mul)
HOST2(div)

enum a64_status
fp_sqrt_vs(struct a64 *c, const struct a64_insn *i)
{
	union host_vec r;

	if (!fp_host(c))
		return (fp_arith1(c, i));
	r.s = hostfp_sqrt_4s(host_get(c, i, i->rn).s);
	return (host_odd_s(&r) ? fp_arith1(c, i) : host_set(c, i, &r));
}

enum a64_status
fp_sqrt_vd(struct a64 *c, const struct a64_insn *i)
{
	union host_vec r;

	if (!fp_host(c))
		return (fp_arith1(c, i));
	r.d = hostfp_sqrt_2d(host_get(c, i, i->rn).d);
	return (host_odd_d(&r) ? fp_arith1(c, i) : host_set(c, i, &r));
}

/* Rn, negated for FMLS: a NaN among the operands makes one of the result, and fp_mla() does those. */
static inline union host_vec
host_get_n(const struct a64 *c, const struct a64_insn *i)
{
	union host_vec n = host_get(c, i, i->rn);

	if (i->arg == FP_MLS) {
		n.q[0] ^= signs(i);
		n.q[1] ^= signs(i);
	}
	return (n);
}

enum a64_status
fp_mla_vs(struct a64 *c, const struct a64_insn *i)
{
	union host_vec r;

	if (!fp_host(c) || !hostfp_has_fma())
		return (fp_mla(c, i));
	r.s = hostfp_fma_4s(host_get(c, i, i->rd).s, host_get_n(c, i).s, host_get_m(c, i).s);
	return (host_odd_s(&r) ? fp_mla(c, i) : host_set(c, i, &r));
}

enum a64_status
fp_mla_vd(struct a64 *c, const struct a64_insn *i)
{
	union host_vec r;

	if (!fp_host(c) || !hostfp_has_fma())
		return (fp_mla(c, i));
	r.d = hostfp_fma_2d(host_get(c, i, i->rd).d, host_get_n(c, i).d, host_get_m(c, i).d);
	return (host_odd_d(&r) ? fp_mla(c, i) : host_set(c, i, &r));
}
