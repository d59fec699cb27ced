/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * values.h - random numbers that are worth trying.
 */
#ifndef _TESTS_DIFF_VALUES_H_
#define	_TESTS_DIFF_VALUES_H_

#include <stdbool.h>
#include <stdint.h>

struct rng {
	uint64_t	state;
};

void	 rng_seed(struct rng *r, uint64_t seed, uint64_t number);
uint64_t rng_next(struct rng *r);

/* 0 to n - 1 */
static inline unsigned
rng_below(struct rng *r, unsigned n)
{
	return ((unsigned)(((rng_next(r) >> 32) * n) >> 32));
}

static inline bool
rng_percent(struct rng *r, unsigned percent)
{
	return (rng_below(r, 100) < percent);
}

/* What a vector or a piece of memory holds. */
enum flavour {
	FLAVOUR_INT,		/* integers of all sizes */
	FLAVOUR_F32, FLAVOUR_F64,
	FLAVOUR_STRING,		/* few different bytes, zeros among them */
	FLAVOUR_COUNT,		/* a small number in the low quadword */
	FLAVOUR_ANY,		/* one of those above */
};

/* An integer: boundaries of all widths, small numbers, single bits, random ones. */
uint64_t value_int(struct rng *r);
/* Floating point: zeros, ones, denormals, infinities, NaNs of both kinds, ends of ranges, random.
 */
uint32_t value_f32(struct rng *r);
uint64_t value_f64(struct rng *r);
/* With pseudo-denormals, unnormals, pseudo-NaNs and pseudo-infinities (SDM vol. 1 8.2.2). */
void	 value_f80(struct rng *r, uint8_t out[10]);
/* 18 packed decimal digits, seldom others. */
void	 value_bcd(struct rng *r, uint8_t out[10]);
void	 value_vector(struct rng *r, enum flavour f, uint8_t out[16]);
/* n vectors, often with equal elements in equal places. */
void	 value_vectors(struct rng *r, enum flavour f, uint8_t (*out)[16], unsigned n);

#endif /* _TESTS_DIFF_VALUES_H_ */
