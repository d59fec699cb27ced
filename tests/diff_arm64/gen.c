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

/* A number at the end of something: of a format's normal or denormal numbers, of integers, of an estimate's cases. */
static uint64_t
edge(struct rng *r, bool dbl)
{
	static const int exps[] = { -1074, -1024, -1023, -1022, -1021, -150, -149, -128, -127, -126, -125, -25, -24, -15, -14, -1, 0, 1, 15, 16,
		31, 32, 63, 64, 125, 126, 127, 128, 1021, 1022, 1023 };
	unsigned shift = dbl ? 52 : 23;
	uint64_t ones = (1ULL << shift) - 1, frac = rng_next(r) & ones, sign = rng_below(r, 2);
	int exp = exps[rng_below(r, sizeof(exps) / sizeof(exps[0]))] + (dbl ? 1023 : 127);

	switch (rng_below(r, 4)) {
	case 0:
		frac = rng_below(r, 4);
		break;
	case 1:
		frac = ones - rng_below(r, 4);
		break;
	case 2:
		frac &= ones << rng_below(r, shift);
		break;
	default:
		break;
	}
	if (exp < 0) {
		frac = (1ULL << shift | frac) >> rng_below(r, dbl ? 52 : 23) >> 1;
		exp = 0;
	} else if (exp > (dbl ? 2046 : 254)) {
		exp = dbl ? 2046 : 254;
	}
	return (sign << (dbl ? 63 : 31) | (uint64_t)exp << shift | frac);
}

/* Two factors whose product is next to a power of two: 1 - x and a 1 + x with that exponent. */
static void
factors(struct rng *r, bool dbl, uint64_t *n, uint64_t *m)
{
	unsigned shift = dbl ? 52 : 23, bit = rng_below(r, shift);
	uint64_t one = (dbl ? 1023ULL : 127ULL) << shift;

	*n = one - (1ULL << bit);
	*m = ((rng_percent(r, 70) ? 1ULL : rng_below(r, 250)) << shift) + (1ULL << bit >> 1) + rng_below(r, 3) - 1;
}

/* What the third operand of a multiplication and addition has to be for the sum to be little. */
static uint64_t
cancels(struct rng *r, bool dbl, uint64_t n, uint64_t m)
{
	uint64_t bits = 0;
	uint32_t half, other;
	double d, e;
	float f, g;

	if (dbl) {
		memcpy(&d, &n, sizeof(d));
		memcpy(&e, &m, sizeof(e));
		d *= rng_percent(r, 50) ? -e : e;
		memcpy(&bits, &d, sizeof(bits));
		return (bits + rng_below(r, 3) - 1);
	}
	half = (uint32_t)n;
	other = (uint32_t)m;
	memcpy(&f, &half, sizeof(f));
	memcpy(&g, &other, sizeof(g));
	f *= rng_percent(r, 50) ? -g : g;
	memcpy(&half, &f, sizeof(half));
	return (half + rng_below(r, 3) - 1);
}

static void
put(uint64_t *v, unsigned lane, bool dbl, uint64_t val)
{
	if (dbl)
		v[lane & 1] = val;
	else
		memcpy((uint8_t *)v + 4 * lane, &val, 4);
}

/* The operands of this word, rather than any, are such that they meet at the ends of ranges. */
static void
gen_operands(struct rng *r, uint32_t word, uint64_t v[64])
{
	uint64_t *d = &v[2 * (word & 31)], *n = &v[2 * (word >> 5 & 31)], *m = &v[2 * (word >> 16 & 31)], *a = &v[2 * (word >> 10 & 31)];
	bool dbl = rng_percent(r, 10) ? (word >> 22 & 1) == 0 : word >> 22 & 1;

	for (unsigned lane = 0; lane < 4; lane++) {
		uint64_t x = edge(r, dbl), y = edge(r, dbl);

		switch (rng_below(r, 4)) {
		case 0:
			factors(r, dbl, &x, &y);
			break;
		case 1:
			y = nearby(r, x, dbl);
			break;
		default:
			break;
		}
		if (rng_percent(r, 30))
			continue;
		put(n, lane, dbl, x);
		put(m, lane, dbl, y);
		if (rng_percent(r, 60)) {
			put(a, lane, dbl, cancels(r, dbl, x, y));
			put(d, lane, dbl, cancels(r, dbl, x, y));
		}
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
gen_state(struct rng *r, uint32_t word, struct arm_state *s, uint32_t slot)
{
	memset(s, 0, sizeof(*s));
	for (unsigned n = 0; n < 31; n++)
		s->x[n] = value_int(r);
	s->x[ARM_SLOT_REG] = slot;
	/* never in the oracle's signal stack, for then the handler's frame would go where SP points */
	s->sp = value_int(r) | 1ULL << 56;
	gen_vectors(r, s->v);
	if (rng_percent(r, 40))
		gen_operands(r, word, s->v);
	s->nzcv = rng_below(r, 16) << 28;
	s->fpcr = rng_percent(r, 50) ? 0 : rng_next(r) & FPCR_ALL;
	s->fpsr = rng_percent(r, 75) ? 0 : rng_next(r) & FPSR_ALL;
}

void
gen_batch(uint64_t seed, uint64_t number, const bool *wanted, struct arm_batch *b, uint16_t class_of[ARM_WORDS])
{
	struct rng r;

	rng_seed(&r, seed, number);
	/* seeds of neighbours are a step of the generator apart, and would be each other's streams */
	r.state = rng_next(&r);
	b->nwords = ARM_WORDS;
	for (unsigned w = 0; w < ARM_WORDS; w++) {
		unsigned k;

		do {
			k = rng_below(&r, nclasses);
		} while (!wanted[k]);
		class_of[w] = (uint16_t)k;
		do {
			b->word[w] = gen_word(&r, classes[k].pattern);
		} while (classes[k].group == GROUP_MEM && !memory_defined(b->word[w]));
		b->memory = classes[k].group == GROUP_MEM;
		for (unsigned i = w * ARM_SETS; i < (w + 1) * ARM_SETS; i++) {
			gen_state(&r, b->word[w], &b->in[i], ARM_SLOT(w));
			if (b->memory == 0)
				continue;
			memory_place(&r, b->word[w], &b->in[i]);
			for (unsigned n = 0; n < ARM_WINDOW_LEN / 8; n++)
				b->mem_in[i][n] = rng_percent(&r, 50) ? value_int(&r) : rng_next(&r);
		}
	}
}
