/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * values.c - random numbers that are worth trying.
 */
#include <string.h>

#include "values.h"

void
rng_seed(struct rng *r, uint64_t seed, uint64_t number)
{
	r->state = seed * 0xd1342543de82ef95ULL + number;
	/* Through the mixer, so that neighbours' streams are no shifted copies of one another. */
	r->state = rng_next(r);
	r->state = rng_next(r) ^ seed;
}

/* splitmix64 */
uint64_t
rng_next(struct rng *r)
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return (z ^ (z >> 31));
}

uint64_t
value_int(struct rng *r)
{
	static const uint8_t widths[] = { 8, 16, 32, 64 };
	unsigned w = widths[rng_below(r, 4)];
	uint64_t v;

	switch (rng_below(r, 12)) {
	case 0:
		return (rng_below(r, 4));
	case 1:
		return (0 - (uint64_t)rng_below(r, 4));
	case 2:		/* around the largest signed number of a width */
		return (((1ULL << (w - 1)) - 2) + rng_below(r, 4));
	case 3:		/* the same, sign-extended */
		return (0 - ((1ULL << (w - 1)) - 2) - rng_below(r, 4));
	case 4:		/* around the largest unsigned number of a width */
		v = w == 64 ? 0 : 1ULL << w;
		return (v - 2 + rng_below(r, 4));
	case 5:
		return (1ULL << rng_below(r, 64));
	case 6:
		return (~(1ULL << rng_below(r, 64)));
	case 7:
		return (rng_below(r, 256));
	case 8:		/* one byte all over */
		return ((uint64_t)rng_below(r, 256) * 0x0101010101010101ULL);
	case 9:
		return (rng_next(r) >> rng_below(r, 64));
	default:
		return (rng_next(r));
	}
}

uint32_t
value_f32(struct rng *r)
{
	static const uint32_t special[] = {
		0,
		0x3f800000,
		0x40000000,
		0x3f000000,
		0x3fc00000,
		0x40200000,
		0x00000001,
		0x007fffff,
		0x00800000,
		0x7f7fffff,
		0x7f800000,
		0x7fc00000,
		0x7f800001,
		0x7fbfffff,
		0x7fffffff,
		0x4f000000,
		0x4effffff,
		0x5f000000,
		0x4b000000,
		0x4affffff,
		0x3effffff,
		0x3f7fffff,
		0x4f800000,
		0x47000000,
		0x0c000000,
		0x33800000,
	};
	uint32_t sign = (uint32_t)rng_below(r, 2) << 31;

	switch (rng_below(r, 8)) {
	case 0: case 1: case 2:
		return (special[rng_below(r, sizeof(special) / sizeof(special[0]))] | sign);
	case 3:		/* denormal */
		return (((uint32_t)rng_next(r) & 0x7fffff) | sign);
	case 4:		/* infinity, NaN */
		return (0x7f800000 | ((uint32_t)rng_next(r) & 0x7fffff) | sign);
	case 5:		/* near one: sums cancel, products stay */
		return ((uint32_t)(0x3f800000 + (((int)rng_below(r, 40) - 20) * (1 << 23)) +
		    (int)(rng_next(r) & 0x7fffff)) | sign);
	case 6:		/* small integers */
		{
			float f = (float)(int)rng_below(r, 1U << rng_below(r, 31)) *
			    (rng_percent(r, 50) ? 1.0F : 0.5F);
			uint32_t v;

			memcpy(&v, &f, sizeof(v));
			return (v | sign);
		}
	default:
		return ((uint32_t)rng_next(r));
	}
}

uint64_t
value_f64(struct rng *r)
{
	static const uint64_t special[] = {
		0, 0x3ff0000000000000, 0x4000000000000000, 0x3fe0000000000000, 0x3ff8000000000000,
		0x4004000000000000, 0x0000000000000001, 0x000fffffffffffff, 0x0010000000000000,
		0x7fefffffffffffff, 0x7ff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001,
		0x7ff7ffffffffffff, 0x7fffffffffffffff, 0x41e0000000000000, 0x41dfffffffc00000,
		0x41dfffffffe00000, 0x43e0000000000000, 0x43dfffffffffffff, 0x4330000000000000,
		0x3fdfffffffffffff, 0x3fefffffffffffff, 0x47efffffe0000000, 0x47effffff0000000,
		0x36a0000000000000, 0x3690000000000000, 0x380fffffffffffff,
	};
	uint64_t sign = (uint64_t)rng_below(r, 2) << 63;

	switch (rng_below(r, 9)) {
	case 0: case 1: case 2:
		return (special[rng_below(r, sizeof(special) / sizeof(special[0]))] | sign);
	case 3:
		return ((rng_next(r) & 0xfffffffffffff) | sign);
	case 4:
		return (0x7ff0000000000000 | (rng_next(r) & 0xfffffffffffff) | sign);
	case 5:
		return (((uint64_t)(1023 + (int)rng_below(r, 80) - 40) << 52 |
		    (rng_next(r) & 0xfffffffffffff)) | sign);
	case 6:
		{
			double d = (double)(int64_t)(rng_next(r) >> (1 + rng_below(r, 63))) *
			    (rng_percent(r, 50) ? 1.0 : 0.5);
			uint64_t v;

			memcpy(&v, &d, sizeof(v));
			return (v | sign);
		}
	case 7:		/* in and around the range of single precision */
		return (((uint64_t)(1023 + (int)rng_below(r, 300) - 150) << 52 |
			    (rng_next(r) &
				(rng_percent(r, 50) ? 0xfffffe0000000 : 0xfffffffffffff))) |
		    sign);
	default:
		return (rng_next(r));
	}
}

static void
put_f80(uint8_t out[10], unsigned exp, uint64_t mant)
{
	memcpy(out, &mant, 8);
	out[8] = (uint8_t)exp;
	out[9] = (uint8_t)(exp >> 8);
}

void
value_f80(struct rng *r, uint8_t out[10])
{
	unsigned sign = rng_below(r, 2) << 15;
	uint64_t mant = rng_next(r);

	if (rng_percent(r, 30))		/* few bits: exact results */
		mant &= ~0ULL << rng_below(r, 64);
	switch (rng_below(r, 16)) {
	case 0:		/* zero */
		put_f80(out, sign, 0);
		break;
	case 1:		/* one and other constants */
		put_f80(out, sign | (0x3fff + rng_below(r, 3) - 1),
		    rng_percent(r, 60) ? 1ULL << 63 : 1ULL << 63 | mant);
		break;
	case 2:		/* denormal */
		put_f80(out, sign, mant & ~(1ULL << 63));
		break;
	case 3:		/* pseudo-denormal */
		put_f80(out, sign, mant | 1ULL << 63);
		break;
	case 4:		/* unnormal */
		put_f80(out, sign | (1 + rng_below(r, 0x7ffe)), mant & ~(1ULL << 63));
		break;
	case 5:		/* infinity */
		put_f80(out, sign | 0x7fff, 1ULL << 63);
		break;
	case 6:		/* quiet NaN, the indefinite one among them */
		put_f80(out, sign | 0x7fff, 3ULL << 62 | (rng_percent(r, 30) ? 0 : mant));
		break;
	case 7:		/* signalling NaN */
		put_f80(out, sign | 0x7fff, (mant & ~(1ULL << 62)) | 1ULL << 63 | 1);
		break;
	case 8:		/* pseudo-NaN, pseudo-infinity; an MMX register's look */
		put_f80(out, sign | 0x7fff, rng_percent(r, 20) ? 0 : mant & ~(1ULL << 63));
		break;
	case 9:		/* ends of the range */
		put_f80(out,
		    sign | (rng_percent(r, 50) ? 1 + rng_below(r, 80) : 0x7ffe - rng_below(r, 80)),
		    1ULL << 63 | mant);
		break;
	case 10:	/* an integer */
		{
			unsigned bits = rng_below(r, 66);

			put_f80(out, sign | (0x3fff + bits), 1ULL << 63 | (mant & ~(bits >= 63 ? 0 :
			    ~0ULL >> (1 + bits) >> (rng_percent(r, 50) ? 0 : 1))));
			break;
		}
	case 11:	/* in and around the range of double precision */
		put_f80(out, sign | (rng_percent(r, 50) ? 0x3fff - 1022 - 60 + rng_below(r, 64) :
		    0x3fff + 1020 + rng_below(r, 6)), 1ULL << 63 |
		    (rng_percent(r, 50) ? mant & ~0x3ffULL : mant));
		break;
	case 12:	/* in and around the range of single precision */
		put_f80(out, sign | (rng_percent(r, 50) ? 0x3fff - 126 - 30 + rng_below(r, 34) :
		    0x3fff + 124 + rng_below(r, 6)), 1ULL << 63 | mant);
		break;
	default:
		put_f80(out, sign | (0x3fff - 40 + rng_below(r, 80)), 1ULL << 63 | mant);
		break;
	}
}

void
value_bcd(struct rng *r, uint8_t out[10])
{
	unsigned digits = rng_below(r, 19);

	memset(out, 0, 10);
	for (unsigned i = 0; i < digits; i++)
		out[i / 2] |= (uint8_t)(rng_below(r, 10) << (i % 2 * 4));
	out[9] = (uint8_t)(rng_below(r, 2) << 7);
}

void
value_vector(struct rng *r, enum flavour f, uint8_t out[16])
{
	uint64_t v;
	uint32_t w;

	if (f == FLAVOUR_ANY)
		f = (enum flavour)rng_below(r, FLAVOUR_ANY);
	switch (f) {
	case FLAVOUR_F32:
		for (unsigned i = 0; i < 16; i += 4) {
			w = value_f32(r);
			memcpy(out + i, &w, 4);
		}
		break;
	case FLAVOUR_F64:
		for (unsigned i = 0; i < 16; i += 8) {
			v = value_f64(r);
			memcpy(out + i, &v, 8);
		}
		break;
	case FLAVOUR_STRING:
		for (unsigned i = 0; i < 16; i++)
			out[i] = (uint8_t)(rng_percent(r, 12) ? 0 : 0x7e + rng_below(r, 4));
		break;
	case FLAVOUR_COUNT:
		v = rng_below(r, 80);
		memcpy(out, &v, 8);
		v = rng_percent(r, 80) ? 0 : value_int(r);
		memcpy(out + 8, &v, 8);
		break;
	default:
		switch (rng_below(r, 4)) {
		case 0:		/* bytes and words of boundary values */
			for (unsigned i = 0; i < 16; i += 2) {
				v = value_int(r);
				memcpy(out + i, &v, 2);
			}
			break;
		case 1:
			for (unsigned i = 0; i < 16; i += 4) {
				v = value_int(r);
				memcpy(out + i, &v, 4);
			}
			break;
		default:
			for (unsigned i = 0; i < 16; i += 8) {
				v = value_int(r);
				memcpy(out + i, &v, 8);
			}
			break;
		}
		break;
	}
}

void
value_vectors(struct rng *r, enum flavour f, uint8_t (*out)[16], unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (i != 0 && rng_percent(r, 25)) {
			memcpy(out[i], out[rng_below(r, i)], 16);
			if (rng_percent(r, 70))
				out[i][rng_below(r, 16)] ^= (uint8_t)(1U << rng_below(r, 8));
			continue;
		}
		value_vector(r, f, out[i]);
	}
}
