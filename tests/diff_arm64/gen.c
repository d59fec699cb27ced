/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gen.c - cases: words of the classes, and registers that are worth trying.
 */
#include <string.h>

#include "diff_arm64.h"
#include "values.h"

/* FPCR: AHP, DN, FZ, RMode; FPSR: QC and the cumulative exceptions */
#define	FPCR_ALL	0x07c00000U
#define	FPSR_ALL	0x0800009fU

static uint32_t
gen_word(struct rng *r, const char *pattern)
{
	uint64_t random = rng_next(r);
	uint32_t word = 0;

	for (const char *p = pattern; *p != '\0'; p++) {
		if (*p == ' ')
			continue;
		word = word << 1 | (*p == '.' ? random & 1 : *p == '1');
		random >>= 1;
	}
	return (word);
}

/* A number close to another, so that sums cancel and results lie at the ends of ranges. */
static uint64_t
nearby(struct rng *r, uint64_t v, bool dbl)
{
	unsigned shift = dbl ? 52 : 23;

	switch (rng_below(r, 5)) {
	case 0:
		return (v ^ (dbl ? 1ULL << 63 : 1ULL << 31));
	case 1:
		return (v + rng_below(r, 5) - 2);
	case 2:
		return (v + ((uint64_t)(rng_below(r, 5) - 2U) << shift));
	case 3:
		/* the other factor of something like the smallest normal number */
		return (((dbl ? 1024ULL : 128ULL) << shift) - v + rng_below(r, 5));
	default:
		return ((v & ~((1ULL << shift) - 1)) | (rng_next(r) & ((1ULL << shift) - 1)));
	}
}

static void
gen_vectors(struct rng *r, uint64_t v[64])
{
	enum flavour f = rng_percent(r, 20) ? FLAVOUR_INT : rng_percent(r, 50) ? FLAVOUR_F32 : FLAVOUR_F64;

	for (unsigned n = 0; n < 32; n++)
		value_vector(r, rng_percent(r, 90) ? f : FLAVOUR_ANY, (uint8_t *)&v[2 * n]);
	if (f == FLAVOUR_INT)
		return;
	for (unsigned n = 0; n < 16; n++) {
		uint64_t *to = &v[2 * rng_below(r, 32)];
		const uint64_t *from = &v[2 * rng_below(r, 32)];

		if (f == FLAVOUR_F64)
			to[0] = nearby(r, from[0], true);
		else
			to[0] = (uint32_t)nearby(r, (uint32_t)from[0], false) | nearby(r, from[0] >> 32, false) << 32;
		to[1] = from[1];
	}
}

/* General registers are integers, or numbers that become integers. */
static void
gen_state(struct rng *r, struct arm_state *s, uint32_t slot)
{
	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < 31; n++)
		s->x[n] = value_int(r);
	s->x[ARM_SLOT_REG] = slot;
	s->sp = value_int(r);
	gen_vectors(r, s->v);
	s->nzcv = rng_below(r, 16) << 28;
	s->fpcr = rng_percent(r, 50) ? 0 : rng_next(r) & FPCR_ALL;
	s->fpsr = rng_percent(r, 75) ? 0 : rng_next(r) & FPSR_ALL;
}

void
gen_batch(uint64_t seed, uint64_t number, const bool *wanted, struct arm_batch *b, uint16_t class_of[ARM_WORDS])
{
	struct rng r;

	rng_seed(&r, seed, number);
	b->nwords = ARM_WORDS;
	for (unsigned w = 0; w < ARM_WORDS; w++) {
		unsigned k;

		do {
			k = rng_below(&r, nclasses);
		} while (!wanted[k]);
		class_of[w] = (uint16_t)k;
		b->word[w] = gen_word(&r, classes[k].pattern);
		for (unsigned i = 0; i < ARM_SETS; i++)
			gen_state(&r, &b->in[w * ARM_SETS + i], ARM_SLOT(w));
	}
}
