/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fp_cvt.c - floating-point conversions: to integers and from them, between precisions, to integral values (Arm ARM C3.5.7 to C3.5.9).
 */
#include "fp_ops.h"

static enum fpx_round
mode(const struct a64 *c, const struct a64_insn *i)
{
	unsigned m = i->arg & FP_RMODE;

	return (m == FP_BY_FPCR ? (enum fpx_round)((c->s->fpcr & FPCR_RMODE) >> FPCR_RMODE_SHIFT) : (enum fpx_round)m);
}

static bool
is_unsigned(const struct a64_insn *i)
{
	return ((i->arg & FP_UNSIGNED) != 0);
}

static unsigned
width(enum fpx_size sz)
{
	return (sz == FPX_D ? 64 : 32);
}

enum a64_status
fp_rint(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	struct fp_vec r = { { 0, 0 } };

	for (unsigned lane = 0; lane < fp_lanes(i); lane++)
		fp_put(&r, sz, lane, fpx_rint(&x, sz, fp_lane(c, i->rn, sz, lane), mode(c, i), (i->arg & FP_EXACT) != 0));
	fp_end(c, &x);
	return (fp_set(c, i->rd, r.q[0], r.q[1]));
}

enum a64_status
fp_to_fixed(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	struct fp_vec r = { { 0, 0 } };

	for (unsigned lane = 0; lane < fp_lanes(i); lane++)
		fp_put(&r, sz, lane,
		    fpx_tofixed(&x, sz, fp_lane(c, i->rn, sz, lane), width(sz), (unsigned)i->imm, is_unsigned(i), mode(c, i)));
	fp_end(c, &x);
	return (fp_set(c, i->rd, r.q[0], r.q[1]));
}

/* An integer of width bits, as fpx_fixed() wants it. */
static uint64_t
extend(const struct a64_insn *i, uint64_t val, unsigned bits)
{
	if (bits == 64)
		return (val);
	return (is_unsigned(i) ? (uint32_t)val : (uint64_t)a64_sext(val, 32));
}

enum a64_status
fp_from_fixed(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	struct fp_vec r = { { 0, 0 } };

	for (unsigned lane = 0; lane < fp_lanes(i); lane++)
		fp_put(&r, sz, lane,
		    fpx_fixed(&x, sz, extend(i, fp_lane(c, i->rn, sz, lane), width(sz)), (unsigned)i->imm, is_unsigned(i)));
	fp_end(c, &x);
	return (fp_set(c, i->rd, r.q[0], r.q[1]));
}

enum a64_status
fp_to_int(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	uint64_t r = fpx_tofixed(&x, sz, fp_lane(c, i->rn, sz, 0), i->arg & FP_X ? 64 : 32, (unsigned)i->imm, is_unsigned(i), mode(c, i));

	fp_end(c, &x);
	a64_set_x(c, i->rd, true, r);
	return (A_DONE);
}

enum a64_status
fp_from_int(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	uint64_t r = fpx_fixed(&x, sz, extend(i, a64_x(c, i->rn), i->arg & FP_X ? 64 : 32), (unsigned)i->imm, is_unsigned(i));

	fp_end(c, &x);
	return (fp_set(c, i->rd, r, 0));
}

/*
 * Does the host convert a number with this sign and (unbiased) exponent to what is asked for?  It knows signed integers of 64 bits; one
 * of 32 bits is the lower half of that, if it is in range.
 */
static bool
host_converts(const struct a64_insn *i, bool sign, int exp)
{
	int bits = i->arg & FP_X ? 64 : 32;

	if (is_unsigned(i))
		return (!sign && exp < (bits == 64 ? 63 : 32));
	return (exp < bits - 1);
}

/* FCVTZS and FCVTZU without a fraction */
enum a64_status
fp_to_zero_s(struct a64 *c, const struct a64_insn *i)
{
	float f = fp_get_s(c, i->rn);
	uint32_t bits = fp_bits_s(f);

	if (!fp_host(c) || !host_converts(i, bits >> 31, (int)(bits >> 23 & 0xff) - 127))
		return (fp_to_int(c, i));
	a64_set_x(c, i->rd, (i->arg & FP_X) != 0, (uint64_t)hostfp_to_i64t_s(f));
	return (A_DONE);
}

enum a64_status
fp_to_zero_d(struct a64 *c, const struct a64_insn *i)
{
	double d = fp_get_d(c, i->rn);
	uint64_t bits = fp_bits_d(d);

	if (!fp_host(c) || !host_converts(i, bits >> 63, (int)(bits >> 52 & 0x7ff) - 1023))
		return (fp_to_int(c, i));
	a64_set_x(c, i->rd, (i->arg & FP_X) != 0, (uint64_t)hostfp_to_i64t_d(d));
	return (A_DONE);
}

/* SCVTF and UCVTF without a fraction; the host has them for signed integers of 64 bits. */
enum a64_status
fp_from_int_s(struct a64 *c, const struct a64_insn *i)
{
	uint64_t val = extend(i, a64_x(c, i->rn), i->arg & FP_X ? 64 : 32);

	if (!fp_host(c) || (is_unsigned(i) && val >> 63 != 0))
		return (fp_from_int(c, i));
	return (fp_set(c, i->rd, fp_bits_s(hostfp_from_i64_s((int64_t)val)), 0));
}

enum a64_status
fp_from_int_d(struct a64 *c, const struct a64_insn *i)
{
	uint64_t val = extend(i, a64_x(c, i->rn), i->arg & FP_X ? 64 : 32);

	if (!fp_host(c) || (is_unsigned(i) && val >> 63 != 0))
		return (fp_from_int(c, i));
	return (fp_set(c, i->rd, fp_bits_d(hostfp_from_i64_d((int64_t)val)), 0));
}

enum a64_status
fp_convert(struct a64 *c, const struct a64_insn *i)
{
	struct fpx x = fp_begin(c);
	uint64_t r = fpx_convert(&x, fp_size(i), (enum fpx_size)i->arg, fp_lane(c, i->rn, fp_size(i), 0), fpx_mode(&x));

	fp_end(c, &x);
	return (fp_set(c, i->rd, r, 0));
}

enum a64_status
fp_s_to_d(struct a64 *c, const struct a64_insn *i)
{
	uint64_t r;

	if (fp_host(c) && !fp_odd_d(r = fp_bits_d(hostfp_s_to_d(fp_get_s(c, i->rn)))))
		return (fp_set(c, i->rd, r, 0));
	return (fp_convert(c, i));
}

enum a64_status
fp_d_to_s(struct a64 *c, const struct a64_insn *i)
{
	uint32_t r;

	if (fp_host(c) && !fp_odd_s(r = fp_bits_s(hostfp_d_to_s(fp_get_d(c, i->rn)))))
		return (fp_set(c, i->rd, r, 0));
	return (fp_convert(c, i));
}

/* FCVTL, FCVTL2: of the lower or upper half of Rn */
enum a64_status
fp_longer(struct a64 *c, const struct a64_insn *i)
{
	enum fpx_size sz = fp_size(i);
	unsigned lanes = fp_lanes(i), from = i->imm != 0 ? lanes : 0;
	struct fpx x = fp_begin(c);
	struct fp_vec r = { { 0, 0 } };

	for (unsigned lane = 0; lane < lanes; lane++)
		fp_put(&r, sz + 1, lane, fpx_convert(&x, sz, sz + 1, fp_lane(c, i->rn, sz, from + lane), fpx_mode(&x)));
	fp_end(c, &x);
	return (fp_set(c, i->rd, r.q[0], r.q[1]));
}

/* FCVTN, FCVTXN: to the lower half of Rd, the upper becomes zero; FCVTN2, FCVTXN2: to the upper, the lower stays */
static enum a64_status
shorter(struct a64 *c, const struct a64_insn *i, bool odd)
{
	enum fpx_size sz = fp_size(i);
	struct fpx x = fp_begin(c);
	struct fp_vec r = { { 0, 0 } };

	for (unsigned lane = 0; lane < fp_lanes(i); lane++)
		fp_put(&r, sz, lane, fpx_convert(&x, sz + 1, sz, fp_lane(c, i->rn, sz + 1, lane), odd ? FPX_ODD : fpx_mode(&x)));
	fp_end(c, &x);
	return (i->imm != 0 ? fp_set(c, i->rd, c->s->v[2 * i->rd], r.q[0]) : fp_set(c, i->rd, r.q[0], 0));
}

enum a64_status
fp_shorter(struct a64 *c, const struct a64_insn *i)
{
	return (shorter(c, i, false));
}

enum a64_status
fp_shorter_odd(struct a64 *c, const struct a64_insn *i)
{
	return (shorter(c, i, true));
}
