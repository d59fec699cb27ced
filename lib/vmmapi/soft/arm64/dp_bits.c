/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dp_bits.c - bit fields, shifts by registers, reversals, counts, multiplication, division, CRC32 (Arm ARM C4.1.2, C4.1.5; C6.2).
 */
#include "dp.h"

static uint64_t
ones(unsigned n)
{
	return (n >= 64 ? UINT64_MAX : (1ULL << n) - 1);
}

static uint64_t
rotate(uint64_t v, unsigned n, unsigned width)
{
	v &= ones(width);
	n %= width;
	return (n == 0 ? v : (v >> n | v << (width - n)) & ones(width));
}

bool
a64_bit_masks(unsigned n, unsigned imms, unsigned immr, bool logical, bool sf, uint64_t *wmask, uint64_t *tmask)
{
	unsigned combined = n << 6 | (~imms & 0x3f), len, levels, s, r, d, esize;
	uint64_t w, t;

	if (combined < 2)
		return (false);
	len = 31 - (unsigned)__builtin_clz(combined);
	levels = (1U << len) - 1;
	if (logical && (imms & levels) == levels)
		return (false);
	s = imms & levels;
	r = immr & levels;
	d = (s - r) & levels;
	esize = 1U << len;
	w = rotate(ones(s + 1), r, esize);
	t = ones(d + 1);
	for (unsigned i = esize; i < 64; i *= 2) {
		w |= w << i;
		t |= t << i;
	}
	*wmask = sf ? w : (uint32_t)w;
	*tmask = sf ? t : (uint32_t)t;
	return (true);
}

/*
 * SBFM, BFM, UBFM.  With imms >= immr a field of the source goes to the bottom; else its low bits go up.  arg is what the
 * source is shifted left by to have the field at its top, arg2 what it is shifted right by then; imm is BFM's mask.
 */
static enum a64_status
ubfm(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = R(i->rn) << i->arg >> i->arg2;
	return (A64_NEXT(c, i));
}

static enum a64_status
sbfm(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = (uint64_t)((int64_t)(R(i->rn) << i->arg) >> i->arg2);
	return (A64_NEXT(c, i));
}

static enum a64_status
sbfm32(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = (uint32_t)((int64_t)(R(i->rn) << i->arg) >> i->arg2);
	return (A64_NEXT(c, i));
}

/* The field goes to its place by a rotation. */
static enum a64_status
bfm(struct a64 *c, const struct a64_insn *i)
{
	uint64_t v = R(i->rn);

	v = v >> i->arg | v << (-(unsigned)i->arg & 63);
	R(i->rd) = (R(i->ra) & ~i->imm) | (v & i->imm);
	return (A64_NEXT(c, i));
}

static enum a64_status
bfm32(struct a64 *c, const struct a64_insn *i)
{
	uint32_t v = (uint32_t)R(i->rn);

	v = v >> i->arg | v << (-(unsigned)i->arg & 31);
	R(i->rd) = ((uint32_t)R(i->ra) & ~(uint32_t)i->imm) | (v & (uint32_t)i->imm);
	return (A64_NEXT(c, i));
}

bool
a64_decode_bitfield(uint32_t w, struct a64_insn *i)
{
	bool sf = w >> 31 != 0;
	unsigned opc = a64_bits(w, 30, 29), immr = a64_bits(w, 21, 16), imms = a64_bits(w, 15, 10);
	unsigned width = sf ? 64 : 32, len;
	uint64_t wmask, tmask;

	if (opc == 3 || a64_bits(w, 22, 22) != (unsigned)sf || (!sf && ((immr | imms) & 0x20) != 0) ||
	    !a64_bit_masks(sf, imms, immr, false, sf, &wmask, &tmask))
		return (false);
	i->rn = src(a64_bits(w, 9, 5));
	i->rd = dst(w & 31);
	if (opc == 1) {
		i->ra = src(w & 31);
		i->arg = (uint8_t)immr;
		i->imm = wmask & tmask;
		i->go = sf ? bfm : bfm32;
		return (true);
	}
	if (imms >= immr) {
		len = imms - immr + 1;
		i->arg = (uint8_t)(63 - imms);
		i->arg2 = (uint8_t)(64 - len);
	} else {
		len = imms + 1;
		i->arg = (uint8_t)(64 - len);
		i->arg2 = (uint8_t)(64 - len - (width - immr));
	}
	i->go = opc == 2 ? ubfm : sf ? sbfm : sbfm32;
	return (true);
}

static enum a64_status
extr(struct a64 *c, const struct a64_insn *i)
{
	uint64_t hi = R(i->rn), lo = R(i->rm);

	R(i->rd) = i->arg == 0 ? lo : lo >> i->arg | hi << (64 - i->arg);
	return (A64_NEXT(c, i));
}

static enum a64_status
extr32(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = (uint32_t)((R(i->rn) << 32 | (uint32_t)R(i->rm)) >> i->arg);
	return (A64_NEXT(c, i));
}

bool
a64_decode_extract(uint32_t w, struct a64_insn *i)
{
	bool sf = w >> 31 != 0;

	i->arg = (uint8_t)a64_bits(w, 15, 10);
	if (a64_bits(w, 30, 29) != 0 || a64_bits(w, 21, 21) != 0 || a64_bits(w, 22, 22) != (unsigned)sf ||
	    (!sf && i->arg >= 32))
		return (false);
	i->rn = src(a64_bits(w, 9, 5));
	i->rm = src(a64_bits(w, 20, 16));
	i->rd = dst(w & 31);
	i->go = sf ? extr : extr32;
	return (true);
}

/* One source */

static uint64_t
swap_halves(uint64_t v, unsigned n, uint64_t mask)
{
	return ((v >> n & mask) | (v & mask) << n);
}

static enum a64_status
rbit(struct a64 *c, const struct a64_insn *i)
{
	uint64_t v = __builtin_bswap64(R(i->rn));

	v = swap_halves(v, 4, 0x0f0f0f0f0f0f0f0fULL);
	v = swap_halves(v, 2, 0x3333333333333333ULL);
	v = swap_halves(v, 1, 0x5555555555555555ULL);
	R(i->rd) = v >> i->arg;
	return (A64_NEXT(c, i));
}

static enum a64_status
rev16(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = swap_halves(R(i->rn), 8, 0x00ff00ff00ff00ffULL) & i->imm;
	return (A64_NEXT(c, i));
}

static enum a64_status
rev32(struct a64 *c, const struct a64_insn *i)
{
	uint64_t v = __builtin_bswap64(R(i->rn));

	R(i->rd) = (v >> 32 | v << 32) & i->imm;
	return (A64_NEXT(c, i));
}

static enum a64_status
rev64(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = __builtin_bswap64(R(i->rn));
	return (A64_NEXT(c, i));
}

static unsigned
leading_zeros(uint64_t v)
{
	return (v == 0 ? 64 : (unsigned)__builtin_clzll(v));
}

static enum a64_status
clz(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = leading_zeros(R(i->rn) & i->imm) - i->arg;
	return (A64_NEXT(c, i));
}

/* The leading bits that are as the sign: zeros of what differs from its neighbour. */
static enum a64_status
cls(struct a64 *c, const struct a64_insn *i)
{
	int64_t v = (int64_t)(R(i->rn) << i->arg);

	v >>= i->arg;
	R(i->rd) = leading_zeros((uint64_t)(v ^ v >> 1)) - 1 - i->arg;
	return (A64_NEXT(c, i));
}

bool
a64_decode_one_source(uint32_t w, struct a64_insn *i)
{
	static a64_op *const ops[6] = { rbit, rev16, rev32, rev64, clz, cls };
	bool sf = w >> 31 != 0;
	unsigned op = a64_bits(w, 15, 10);

	if (a64_bits(w, 29, 29) != 0 || a64_bits(w, 20, 16) != 0 || op > 5 || (op == 3 && !sf))
		return (false);
	i->rn = src(a64_bits(w, 9, 5));
	i->rd = dst(w & 31);
	i->arg = sf ? 0 : 32;
	i->imm = sf ? UINT64_MAX : UINT32_MAX;
	i->go = ops[op];
	return (true);
}

/* Two sources */

/* Division by zero gives zero, and the one overflow wraps (Arm ARM C6.2, SDIV). */
static enum a64_status
udiv(struct a64 *c, const struct a64_insn *i)
{
	uint64_t x = R(i->rn) & i->imm, y = R(i->rm) & i->imm;

	R(i->rd) = y == 0 ? 0 : (x | y) >> 32 == 0 ? (uint32_t)x / (uint32_t)y : x / y;
	return (A64_NEXT(c, i));
}

static enum a64_status
sdiv(struct a64 *c, const struct a64_insn *i)
{
	int64_t x = (int64_t)(R(i->rn) << i->arg) >> i->arg, y = (int64_t)(R(i->rm) << i->arg) >> i->arg;

	R(i->rd) = (y == 0 ? 0 : y == -1 ? -(uint64_t)x : (uint64_t)(x / y)) & i->imm;
	return (A64_NEXT(c, i));
}

#define	SHIFT(name, expr64, expr32)							\
	static enum a64_status								\
	name(struct a64 *c, const struct a64_insn *i)					\
	{										\
		uint64_t v = R(i->rn);							\
		unsigned n = (unsigned)R(i->rm) & 63;					\
											\
		R(i->rd) = (expr64);							\
		return (A64_NEXT(c, i));						\
	}										\
	static enum a64_status								\
	name##32(struct a64 *c, const struct a64_insn *i)				\
	{										\
		uint32_t v = (uint32_t)R(i->rn);					\
		unsigned n = (unsigned)R(i->rm) & 31;					\
											\
		R(i->rd) = (uint32_t)(expr32);						\
		return (A64_NEXT(c, i));						\
	}

SHIFT(lslv, v << n, v << n)
SHIFT(lsrv, v >> n, v >> n)
SHIFT(asrv, (uint64_t)((int64_t)v >> n), (int32_t)v >> n)
SHIFT(rorv, v >> n | v << (-n & 63), v >> n | v << (-n & 31))

/* CRC32 (C6.2, CRC32B): bit-reflected, polynomial 0x04c11db7, and 0x1edc6f41 for CRC32C. */
static enum a64_status
crc32(struct a64 *c, const struct a64_insn *i)
{
	uint32_t crc = (uint32_t)R(i->rn), poly = (uint32_t)i->imm;
	uint64_t v = R(i->rm);

	for (unsigned n = 0; n < i->arg; n++, v >>= 8) {
		crc ^= (uint8_t)v;
		for (unsigned k = 0; k < 8; k++)
			crc = crc >> 1 ^ (poly & -(crc & 1));
	}
	R(i->rd) = crc;
	return (A64_NEXT(c, i));
}

#define	POLY_CRC32	0xedb88320U
#define	POLY_CRC32C	0x82f63b78U

bool
a64_decode_two_source(uint32_t w, unsigned features, struct a64_insn *i)
{
	static a64_op *const shifts[4][2] = { { lslv32, lslv }, { lsrv32, lsrv }, { asrv32, asrv }, { rorv32, rorv } };
	bool sf = w >> 31 != 0;
	unsigned op = a64_bits(w, 15, 10);

	if (a64_bits(w, 29, 29) != 0)
		return (false);
	i->rn = src(a64_bits(w, 9, 5));
	i->rm = src(a64_bits(w, 20, 16));
	i->rd = dst(w & 31);
	i->arg = sf ? 0 : 32;
	i->imm = sf ? UINT64_MAX : UINT32_MAX;
	if (op == 2 || op == 3) {
		i->go = op == 2 ? udiv : sdiv;
		return (true);
	}
	if (op >> 2 == 2) {
		i->go = shifts[op & 3][sf];
		return (true);
	}
	if (op >> 3 == 2 && (features & A64_F_CRC32) != 0 && sf == ((op & 3) == 3)) {
		i->arg = (uint8_t)(1U << (op & 3));
		i->imm = (op & 4) != 0 ? POLY_CRC32C : POLY_CRC32;
		i->go = crc32;
		return (true);
	}
	return (false);
}

/* Three sources */

#define	MULTIPLY(name, product)								\
	static enum a64_status								\
	name(struct a64 *c, const struct a64_insn *i)					\
	{										\
		uint64_t n = R(i->rn), m = R(i->rm), a = R(i->ra);			\
											\
		R(i->rd) = (product);							\
		return (A64_NEXT(c, i));						\
	}

#define	SMULL(n, m)	((uint64_t)((int64_t)(int32_t)(n) * (int32_t)(m)))
#define	UMULL(n, m)	((uint64_t)(uint32_t)(n) * (uint32_t)(m))

MULTIPLY(madd, a + n * m)
MULTIPLY(msub, a - n * m)
MULTIPLY(madd32, (uint32_t)(a + n * m))
MULTIPLY(msub32, (uint32_t)(a - n * m))
MULTIPLY(smaddl, a + SMULL(n, m))
MULTIPLY(smsubl, a - SMULL(n, m))
MULTIPLY(umaddl, a + UMULL(n, m))
MULTIPLY(umsubl, a - UMULL(n, m))

static enum a64_status
smulh(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = (uint64_t)((__int128)(int64_t)R(i->rn) * (int64_t)R(i->rm) >> 64);
	return (A64_NEXT(c, i));
}

static enum a64_status
umulh(struct a64 *c, const struct a64_insn *i)
{
	R(i->rd) = (uint64_t)((unsigned __int128)R(i->rn) * R(i->rm) >> 64);
	return (A64_NEXT(c, i));
}

bool
a64_decode_three_source(uint32_t w, struct a64_insn *i)
{
	static a64_op *const wide[8][2] = {
		[0] = { madd, msub }, [1] = { smaddl, smsubl }, [2] = { smulh, NULL }, [5] = { umaddl, umsubl },
		[6] = { umulh, NULL },
	};
	bool sub = a64_bits(w, 15, 15) != 0;
	unsigned op = a64_bits(w, 23, 21);

	if (a64_bits(w, 30, 29) != 0 || (w >> 31 == 0 && op != 0))
		return (false);
	i->rn = src(a64_bits(w, 9, 5));
	i->rm = src(a64_bits(w, 20, 16));
	i->ra = src(a64_bits(w, 14, 10));
	i->rd = dst(w & 31);
	i->go = w >> 31 != 0 ? wide[op][sub] : sub ? msub32 : madd32;
	return (i->go != NULL);
}
