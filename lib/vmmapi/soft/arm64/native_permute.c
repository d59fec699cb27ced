/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_permute.c - Advanced SIMD in native code: comparisons, pairs, narrowing, widening, and where elements change places
 * (Arm ARM C4.1.96).  Hosts that have no AVX are left to the functions.
 *
 * xmm0 to xmm2 are scratch; results are made in xmm0.
 */
#include "hostfp.h"
#include "native.h"

#define	P(byte)		OP(0x66, EMIT_0F, byte)
#define	P38(byte)	OP(0x66, EMIT_0F38, byte)

/* By the binary logarithm of the element's size */
static const uint8_t eq[3] = { 0x74, 0x75, 0x76 }, gt[3] = { 0x64, 0x65, 0x66 };
static const uint8_t sub[4] = { 0xf8, 0xf9, 0xfa, 0xfb };
static const uint8_t low[4] = { 0x60, 0x61, 0x62, 0x6c }, high[4] = { 0x68, 0x69, 0x6a, 0x6d };
static const uint8_t shifts[4] = { 0, 0x71, 0x72, 0x73 };

#define	SHIFT_RIGHT	2U		/* of the group that has shifts by immediate: logical, arithmetic, left */
#define	SHIFT_SIGNED	4U
#define	SHIFT_LEFT	6U
#define	SHIFT_BYTES	3U		/* of all of it, to the right, with 0x73 */

static void
op(struct tr *t, uint32_t code, unsigned to, unsigned from)
{
	emit_sse_rr(t->e, code, to, from);
}

static void
shift(struct tr *t, unsigned size, unsigned how, unsigned xmm, unsigned n)
{
	emit_sse_rr(t->e, P(shifts[size]), how, xmm);
	emit8(t->e, n);
}

static void
move(struct tr *t, unsigned to, unsigned from)
{
	emit_sse_rr(t->e, SSE_MOVAPS_LOAD, to, from);
}

static void
invert(struct tr *t)
{
	op(t, SSE_PCMPEQD, 1, 1);
	op(t, SSE_PXOR, 0, 1);
}

static enum native
done(struct tr *t)
{
	if (a64_bits(t->i->word, 30, 30) == 0)
		op(t, SSE_MOVQ_LOAD, 0, 0);
	native_put_vector(t, t->i->rd, 0);
	return (NATIVE_KEPT);
}

/* Comparisons and what one operation does: three same, by U, opcode and size. */
static uint32_t
plain(unsigned how, unsigned size)
{
	static const uint8_t smax[3] = { 0x3c, 0, 0x3d }, smin[3] = { 0x38, 0, 0x39 }, umax[3] = { 0, 0x3e, 0x3f }, umin[3] = { 0, 0x3a, 0x3b };

	switch (how) {
	case 0x06:
		return (size == 3 ? P38(0x37) : 0);		/* PCMPGTQ */
	case 0x31:
		return (size == 3 ? P38(0x29) : 0);		/* PCMPEQQ */
	case 0x0c:
		return (size < 3 && smax[size] != 0 ? P38(smax[size]) : 0);
	case 0x0d:
		return (size < 3 && smin[size] != 0 ? P38(smin[size]) : 0);
	case 0x2c:
		return (size < 3 && umax[size] != 0 ? P38(umax[size]) : 0);
	case 0x2d:
		return (size < 3 && umin[size] != 0 ? P38(umin[size]) : 0);
	case 0x13:
		return (size == 2 ? P38(0x40) : 0);		/* PMULLD */
	default:
		return (0);
	}
}

/* Even elements of xmm0 and xmm1 to xmm0, or odd ones. */
static void
every_other(struct tr *t, unsigned size, bool odd)
{
	if (size == 2) {
		emit_sse_rr(t->e, SSE_SHUFPS, 0, 1);
		emit8(t->e, odd ? 0xdd : 0x88);
		return;
	}
	/* To the lower half of an element twice as large: bytes without a sign, words with one, and packed. */
	for (unsigned xmm = 0; xmm < 2; xmm++) {
		if (!odd)
			shift(t, size + 1, SHIFT_LEFT, xmm, 8U << size);
		shift(t, size + 1, size == 0 ? SHIFT_RIGHT : SHIFT_SIGNED, xmm, 8U << size);
	}
	op(t, P(size == 0 ? 0x67 : 0x6b), 0, 1);
}

/* Pairs of Vm:Vn: all of a register */
static enum native
pairs(struct tr *t, unsigned how, unsigned size)
{
	static const uint8_t add[4] = { 0xfc, 0xfd, 0xfe, 0xd4 };
	unsigned n = native_use_vector(t, t->i->rn), m = native_use_vector(t, t->i->rm), even;
	uint32_t code = how == 0x17 ? P(add[size]) : how == 0x34 ? P(0xde) : P(0xda);

	if (size == 3) {
		move(t, 0, n);
		move(t, 1, n);
		op(t, P(low[3]), 0, m);
		op(t, P(high[3]), 1, m);
		op(t, code, 0, 1);
		return (done(t));
	}
	even = native_new_vector(t);
	move(t, 0, n);
	move(t, 1, m);
	every_other(t, size, false);
	move(t, even, 0);
	move(t, 0, n);
	move(t, 1, m);
	every_other(t, size, true);
	op(t, code, 0, even);
	return (done(t));
}

static enum native
three_same(struct tr *t, uint32_t w)
{
	static const uint8_t umax[3] = { 0xde, 0x3e, 0x3f };
	unsigned how = a64_bits(w, 29, 29) << 5 | a64_bits(w, 15, 11), size = a64_bits(w, 23, 22), n, m;
	uint32_t code = plain(how, size);
	bool whole = a64_bits(w, 30, 30) != 0;

	if (how == 0x17 || (size == 0 && (how == 0x34 || how == 0x35)))
		return (whole ? pairs(t, how, size) : NATIVE_NOT);
	if (code == 0 && (size == 3 || (how != 0x07 && how != 0x26 && how != 0x27 && how != 0x11)))
		return (NATIVE_NOT);
	n = native_use_vector(t, t->i->rn);
	m = native_use_vector(t, t->i->rm);
	if (code != 0) {
		move(t, 0, n);
		op(t, code, 0, m);
		return (done(t));
	}
	switch (how) {
	case 0x07:						/* CMGE: not the other way */
		move(t, 0, m);
		op(t, P(gt[size]), 0, n);
		invert(t);
		break;
	case 0x11:						/* CMTST: not none in common */
		move(t, 0, n);
		op(t, SSE_PAND, 0, m);
		op(t, SSE_PXOR, 1, 1);
		op(t, P(eq[size]), 0, 1);
		invert(t);
		break;
	default:						/* CMHI, CMHS: which one is the greater */
		move(t, 0, n);
		op(t, size == 0 ? P(umax[0]) : P38(umax[size]), 0, m);
		op(t, P(eq[size]), 0, how == 0x26 ? m : n);
		if (how == 0x26)
			invert(t);
		break;
	}
	return (done(t));
}

/* Two registers, miscellaneous */

/* Bytes reversed in elements: by REV64, REV32, REV16 and the size of what is reversed. */
static void
reverse(struct tr *t, unsigned container, unsigned size)
{
	uint64_t mask[2];
	uint8_t *to = (uint8_t *)mask;

	for (unsigned k = 0; k < 16; k++)
		to[k] = (uint8_t)(k ^ (container - 1) ^ ((1U << size) - 1));
	for (unsigned half = 0; half < 2; half++) {
		emit_mov_ri(t->e, H_RAX, mask[half]);
		emit_rr(t->e, 8, SSE_MOVD_LOAD, 1 + half, H_RAX);
	}
	op(t, SSE_UNPCKLPD, 1, 2);
	op(t, P38(0x00), 0, 1);					/* PSHUFB */
}

/* Elements twice the size, shifted to the right, to those of a size. */
static enum native
narrow(struct tr *t, unsigned size, unsigned by)
{
	if (a64_bits(t->i->word, 30, 30) != 0)
		return (NATIVE_NOT);				/* to the upper half */
	move(t, 0, native_use_vector(t, t->i->rn));
	if (by != 0)
		shift(t, size + 1, SHIFT_RIGHT, 0, by);
	move(t, 1, 0);
	every_other(t, size, false);
	return (done(t));
}

static enum native
misc(struct tr *t, uint32_t w)
{
	unsigned how = a64_bits(w, 29, 29) << 5 | a64_bits(w, 16, 12), size = a64_bits(w, 23, 22);
	struct emit *e = t->e;
	unsigned n;

	if (how == 0x12)
		return (narrow(t, size, 0));			/* XTN */
	if (how > 0x01 && how != 0x20 && how != 0x2b && !(how == 0x25 && size == 0) && (size == 3 || how < 0x08 || how > 0x0a) &&
	    (size == 3 || (how != 0x28 && how != 0x29)))
		return (NATIVE_NOT);
	n = native_use_vector(t, t->i->rn);
	op(t, SSE_PXOR, 0, 0);
	switch (how) {
	case 0x00:
	case 0x01:
	case 0x20:
		move(t, 0, n);
		reverse(t, how == 0 ? 8 : how == 1 ? 2 : 4, size);
		return (done(t));
	case 0x25:						/* NOT */
		emit_sse_rr(e, SSE_PCMPEQD, 0, 0);
		op(t, SSE_PXOR, 0, n);
		break;
	case 0x2b:						/* NEG */
		op(t, P(sub[size]), 0, n);
		break;
	case 0x09:						/* CMEQ with zero */
		op(t, P(eq[size]), 0, n);
		break;
	case 0x08:						/* CMGT, CMLE */
	case 0x29:
		op(t, SSE_PXOR, 1, 1);
		move(t, 0, n);
		op(t, P(gt[size]), 0, 1);
		if (how == 0x29)
			invert(t);
		break;
	default:						/* CMLT, CMGE */
		op(t, P(gt[size]), 0, n);
		if (how == 0x28)
			invert(t);
		break;
	}
	return (done(t));
}

/* SHRN, SSHLL, USHLL */
static enum native
shift_immediate(struct tr *t, uint32_t w)
{
	static const uint8_t extend[2][3] = { { 0x20, 0x23, 0x25 }, { 0x30, 0x33, 0x35 } };	/* PMOVSX, PMOVZX */
	unsigned size = 28 - (unsigned)__builtin_clz(a64_bits(w, 22, 16)), u = a64_bits(w, 29, 29), opcode = a64_bits(w, 15, 11);
	unsigned by = (unsigned)t->i->imm;

	if (size == 3)
		return (NATIVE_NOT);
	if (opcode == 0x10 && u == 0)
		return (narrow(t, size, by));
	if (opcode != 0x14)
		return (NATIVE_NOT);
	move(t, 0, native_use_vector(t, t->i->rn));
	if (a64_bits(w, 30, 30) != 0)
		shift(t, 3, SHIFT_BYTES, 0, 8);
	op(t, P38(extend[u][size]), 0, 0);
	if (by != 0)
		shift(t, size + 1, SHIFT_LEFT, 0, by);
	native_put_vector(t, t->i->rd, 0);
	return (NATIVE_KEPT);
}

/* Bytes from some on of Vm:Vn */
static enum native
extract(struct tr *t, uint32_t w)
{
	unsigned n = native_use_vector(t, t->i->rn), m = native_use_vector(t, t->i->rm), from = a64_bits(w, 14, 11);

	if (a64_bits(w, 30, 30) != 0) {
		move(t, 0, m);
		emit_sse_rr(t->e, OP(0x66, EMIT_0F3A, 0x0f), 0, n);	/* PALIGNR */
		emit8(t->e, from);
	} else {
		move(t, 0, n);
		op(t, P(low[3]), 0, m);
		shift(t, 3, SHIFT_BYTES, 0, from);
	}
	return (done(t));
}

static enum native
permute(struct tr *t, uint32_t w)
{
	unsigned size = a64_bits(w, 23, 22), opcode = a64_bits(w, 14, 12), bits = 8U << size;
	unsigned n = native_use_vector(t, t->i->rn), m = native_use_vector(t, t->i->rm);
	bool whole = a64_bits(w, 30, 30) != 0, second = opcode >= 4;

	move(t, 0, n);
	if ((opcode & 3) == 3 || size == 3) {			/* ZIP */
		op(t, P(second && whole ? high[size] : low[size]), 0, m);
		if (second && !whole)
			shift(t, 3, SHIFT_BYTES, 0, 8);
	} else if ((opcode & 3) == 1) {				/* UZP */
		if (whole) {
			move(t, 1, m);
		} else {
			op(t, P(low[3]), 0, m);
			move(t, 1, 0);
		}
		every_other(t, size, second);
	} else {						/* TRN */
		move(t, 1, m);
		if (second) {
			shift(t, size + 1, SHIFT_RIGHT, 0, bits);
			shift(t, size + 1, SHIFT_RIGHT, 1, bits);
		} else {
			shift(t, size + 1, SHIFT_LEFT, 0, bits);
			shift(t, size + 1, SHIFT_RIGHT, 0, bits);
		}
		shift(t, size + 1, SHIFT_LEFT, 1, bits);
		op(t, SSE_POR, 0, 1);
	}
	return (done(t));
}

enum native
native_permute(struct tr *t)
{
	uint32_t w = t->i->word;

	if (!hostfp_has_fma())
		return (NATIVE_NOT);
	if ((w & 0x9f200400) == 0x0e200400)
		return (three_same(t, w));
	if ((w & 0x9f3e0c00) == 0x0e200800)
		return (misc(t, w));
	if ((w & 0x9f800400) == 0x0f000400 && a64_bits(w, 22, 19) != 0)
		return (shift_immediate(t, w));
	if ((w & 0xbfe08400) == 0x2e000000)
		return (extract(t, w));
	if ((w & 0xbf208c00) == 0x0e000800)
		return (permute(t, w));
	return (NATIVE_NOT);
}
