/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fp_scalar.c - scalar floating point: moves, comparison and arithmetic (Arm ARM C3.5.1 to C3.5.11).
 */
#include "fp_ops.h"

enum a64_status
fp_fmov(struct a64 *c, const struct a64_insn *i)
{
	return (fp_set(c, i->rd, fp_lane(c, i->rn, fp_size(i), 0), 0));
}

enum a64_status
fp_fmov_imm(struct a64 *c, const struct a64_insn *i)
{
	return (fp_set(c, i->rd, i->imm, 0));
}

enum a64_status
fp_to_x(struct a64 *c, const struct a64_insn *i)
{
	a64_set_x(c, i->rd, true, fp_lane(c, i->rn, fp_size(i), 0));
	return (A_DONE);
}

enum a64_status
fp_from_x(struct a64 *c, const struct a64_insn *i)
{
	uint64_t val = a64_x(c, i->rn);

	return (fp_set(c, i->rd, fp_size(i) == FPX_S ? (uint32_t)val : val, 0));
}

/* FMOV Xd, Vn.D[1] */
enum a64_status
fp_top_to_x(struct a64 *c, const struct a64_insn *i)
{
	a64_set_x(c, i->rd, true, c->s->v[2 * i->rn + 1]);
	return (A_DONE);
}

enum a64_status
fp_top_from_x(struct a64 *c, const struct a64_insn *i)
{
	c->s->v[2 * i->rd + 1] = a64_x(c, i->rn);
	return (A_DONE);
}

enum a64_status
fp_csel(struct a64 *c, const struct a64_insn *i)
{
	return (fp_set(c, i->rd, fp_lane(c, a64_condition(c, i->arg) ? i->rn : i->rm, fp_size(i), 0), 0));
}

static uint32_t
compare(struct a64 *c, const struct a64_insn *i, bool zero, bool signal)
{
	static const uint32_t nzcv[] = {
		[HOSTFP_LT] = PSTATE_N,
		[HOSTFP_EQ] = PSTATE_Z | PSTATE_C,
		[HOSTFP_GT] = PSTATE_C,
	};
	enum hostfp_order o = HOSTFP_UNORDERED;
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	uint32_t r;

	/* rounding does not matter, only flushing */
	if ((x.fpcr & FPCR_FZ) == 0)
		o = sz == FPX_S ? hostfp_cmp_s(fp_get_s(c, i->rn), zero ? 0 : fp_get_s(c, i->rm)) :
		    hostfp_cmp_d(fp_get_d(c, i->rn), zero ? 0 : fp_get_d(c, i->rm));
	if (o != HOSTFP_UNORDERED)
		return (nzcv[o]);
	r = fpx_compare(&x, sz, fp_lane(c, i->rn, sz, 0), zero ? 0 : fp_lane(c, i->rm, sz, 0), signal);
	fp_end(c, &x);
	return (r);
}

/* FCMP, FCMPE; arg is opcode2: with zero, signalling */
enum a64_status
fp_cmp(struct a64 *c, const struct a64_insn *i)
{
	uint32_t nzcv = compare(c, i, (i->arg & 8) != 0, (i->arg & 0x10) != 0);

	c->s->pstate = (c->s->pstate & ~(uint64_t)PSTATE_NZCV) | nzcv;
	return (A_DONE);
}

/* FCCMP, FCCMPE; arg is the condition, imm the flags if it fails and bit 4: signalling */
enum a64_status
fp_ccmp(struct a64 *c, const struct a64_insn *i)
{
	uint32_t nzcv = (uint32_t)(i->imm & 0xf) << 28;

	if (a64_condition(c, i->arg))
		nzcv = compare(c, i, false, (i->imm & 0x10) != 0);
	c->s->pstate = (c->s->pstate & ~(uint64_t)PSTATE_NZCV) | nzcv;
	return (A_DONE);
}

#define	HOST2(name)											\
enum a64_status												\
fp_##name##_s(struct a64 *c, const struct a64_insn *i)							\
{													\
	uint32_t r;											\
													\
	if (fp_host(c) && !fp_odd_s(r = fp_bits_s(hostfp_##name##_s(fp_get_s(c, i->rn), fp_get_s(c, i->rm)))))	\
		return (fp_set(c, i->rd, r, 0));							\
	return (fp_arith2(c, i));									\
}													\
													\
enum a64_status												\
fp_##name##_d(struct a64 *c, const struct a64_insn *i)							\
{													\
	uint64_t r;											\
													\
	if (fp_host(c) && !fp_odd_d(r = fp_bits_d(hostfp_##name##_d(fp_get_d(c, i->rn), fp_get_d(c, i->rm)))))	\
		return (fp_set(c, i->rd, r, 0));							\
	return (fp_arith2(c, i));									\
}

HOST2(add)
HOST2(sub)
HOST2(mul)
HOST2(div)

enum a64_status
fp_nmul_s(struct a64 *c, const struct a64_insn *i)
{
	uint32_t r;

	if (fp_host(c) && !fp_odd_s(r = fp_bits_s(hostfp_mul_s(fp_get_s(c, i->rn), fp_get_s(c, i->rm)))))
		return (fp_set(c, i->rd, r ^ 1U << 31, 0));
	return (fp_arith2(c, i));
}

enum a64_status
fp_nmul_d(struct a64 *c, const struct a64_insn *i)
{
	uint64_t r;

	if (fp_host(c) && !fp_odd_d(r = fp_bits_d(hostfp_mul_d(fp_get_d(c, i->rn), fp_get_d(c, i->rm)))))
		return (fp_set(c, i->rd, r ^ 1ULL << 63, 0));
	return (fp_arith2(c, i));
}

enum a64_status
fp_sqrt_s(struct a64 *c, const struct a64_insn *i)
{
	uint32_t r;

	if (fp_host(c) && !fp_odd_s(r = fp_bits_s(hostfp_sqrt_s(fp_get_s(c, i->rn)))))
		return (fp_set(c, i->rd, r, 0));
	return (fp_arith1(c, i));
}

enum a64_status
fp_sqrt_d(struct a64 *c, const struct a64_insn *i)
{
	uint64_t r;

	if (fp_host(c) && !fp_odd_d(r = fp_bits_d(hostfp_sqrt_d(fp_get_d(c, i->rn)))))
		return (fp_set(c, i->rd, r, 0));
	return (fp_arith1(c, i));
}

/* FMAX and FMAXNM differ in NaNs only.  Equal numbers are the same, or zeros: the signs' AND or OR. */
#define	HOST_EXTREME(name, want, both)									\
enum a64_status												\
fp_##name##_s(struct a64 *c, const struct a64_insn *i)							\
{													\
	float a = fp_get_s(c, i->rn), b = fp_get_s(c, i->rm);						\
	enum hostfp_order o = fp_host(c) ? hostfp_cmp_s(a, b) : HOSTFP_UNORDERED;			\
													\
	if (o == HOSTFP_UNORDERED)									\
		return (fp_arith2(c, i));								\
	if (o == HOSTFP_EQ)										\
		return (fp_set(c, i->rd, fp_bits_s(a) both fp_bits_s(b), 0));				\
	return (fp_set(c, i->rd, fp_bits_s(o == want ? a : b), 0));					\
}													\
													\
enum a64_status												\
fp_##name##_d(struct a64 *c, const struct a64_insn *i)							\
{													\
	double a = fp_get_d(c, i->rn), b = fp_get_d(c, i->rm);						\
	enum hostfp_order o = fp_host(c) ? hostfp_cmp_d(a, b) : HOSTFP_UNORDERED;			\
													\
	if (o == HOSTFP_UNORDERED)									\
		return (fp_arith2(c, i));								\
	if (o == HOSTFP_EQ)										\
		return (fp_set(c, i->rd, fp_bits_d(a) both fp_bits_d(b), 0));				\
	return (fp_set(c, i->rd, fp_bits_d(o == want ? a : b), 0));					\
}

HOST_EXTREME(max, HOSTFP_GT, &)
HOST_EXTREME(min, HOSTFP_LT, |)

/* FMADD and its kin: arg says what is negated, 1: Rn, 2: Ra */
enum a64_status
fp_madd(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	uint64_t n = fp_lane(c, i->rn, sz, 0), a = fp_lane(c, i->ra, sz, 0), r;

	if (i->arg & 1)
		n ^= fpx_sign(sz);
	if (i->arg & 2)
		a ^= fpx_sign(sz);
	r = fpx_muladd(&x, sz, a, n, fp_lane(c, i->rm, sz, 0));
	fp_end(c, &x);
	return (fp_set(c, i->rd, r, 0));
}

/* A NaN's sign may be changed on the way: fp_madd() does those. */
enum a64_status
fp_madd_s(struct a64 *c, const struct a64_insn *i)
{
	float n = fp_get_s(c, i->rn), a = fp_get_s(c, i->ra);
	uint32_t r;

	if (fp_host(c) && hostfp_has_fma()) {
		r = fp_bits_s(hostfp_fma_s(i->arg & 2 ? -a : a, i->arg & 1 ? -n : n, fp_get_s(c, i->rm)));
		if (!fp_odd_s(r))
			return (fp_set(c, i->rd, r, 0));
	}
	return (fp_madd(c, i));
}

enum a64_status
fp_madd_d(struct a64 *c, const struct a64_insn *i)
{
	double n = fp_get_d(c, i->rn), a = fp_get_d(c, i->ra);
	uint64_t r;

	if (fp_host(c) && hostfp_has_fma()) {
		r = fp_bits_d(hostfp_fma_d(i->arg & 2 ? -a : a, i->arg & 1 ? -n : n, fp_get_d(c, i->rm)));
		if (!fp_odd_d(r))
			return (fp_set(c, i->rd, r, 0));
	}
	return (fp_madd(c, i));
}
