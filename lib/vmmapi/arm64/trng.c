/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * trng.c - random numbers for the guest's firmware and kernel: the True Random Number Generator firmware interface, version 1.0 (Arm
 * DEN 0098), which Linux asks before it has a driver.  They are the host's; on virtual time they are made from the VM's seed, so that
 * two runs are the same.
 */
#include <string.h>
#include <sys/random.h>

#include "arm64.h"

#define	FN_64			0x40000000U
#define	FN_TRNG_VERSION		0x84000050U
#define	FN_TRNG_FEATURES	0x84000051U
#define	FN_TRNG_GET_UUID	0x84000052U
#define	FN_TRNG_RND		0x84000053U
#define	FN_TRNG_LAST		0x8400005fU

#define	TRNG_1_0		0x00010000
#define	TRNG_SUCCESS		0
#define	TRNG_NOT_SUPPORTED	(-1)
#define	TRNG_INVALID_PARAMETERS	(-2)
#define	TRNG_NO_ENTROPY		(-3)

#define	NWORDS			3		/* X1 to X3 */

/* 0f6e2a34-5d1b-4c7e-9a40-6b8d31c2f597, drawn for this back end, as DEN 0028 4.1 lays a UUID out in four registers */
static const uint32_t uuid[] = { 0x342a6e0fU, 0x7e4c1b5dU, 0x8d6b409aU, 0x97f5c231U };

bool
arm64_is_trng(uint32_t fn)
{
	fn &= ~FN_64;
	return (fn >= FN_TRNG_VERSION && fn <= FN_TRNG_LAST);
}

static int64_t
features(uint32_t fn)
{
	switch (fn) {
	case FN_TRNG_VERSION:
	case FN_TRNG_FEATURES:
	case FN_TRNG_GET_UUID:
	case FN_TRNG_RND:
	case FN_TRNG_RND | FN_64:
		return (TRNG_SUCCESS);
	default:
		return (TRNG_NOT_SUPPORTED);
	}
}

/* Fill words with random bits; false if the host has none. */
static bool
draw(struct vcpu *vcpu, uint64_t words[NWORDS])
{
	struct arm64_state *s = vcpu->state;
	uint64_t at;

	if (!clock_is_icount(vcpu->vm))
		return (getrandom(words, NWORDS * sizeof(words[0]), GRND_NONBLOCK) == (ssize_t)(NWORDS * sizeof(words[0])));
	/* The state says how far it is, not which seed: that is the VM's, and each processor has a sequence of its own. */
	for (unsigned i = 0; i < NWORDS; i++) {
		at = clock_seed(vcpu->vm) ^ (uint64_t)vcpu->id << 32;
		at = splitmix64(&at) + s->trng++;
		words[i] = splitmix64(&at);
	}
	return (true);
}

/*
 * The number of bits asked for, from the right of X3 on to X2 and X1, or of W3, W2 and W1; the bits beyond are zero (DEN 0098 2.4).
 */
static int64_t
rnd(struct vcpu *vcpu, uint32_t fn)
{
	struct arm64_state *s = vcpu->state;
	unsigned width = (fn & FN_64) != 0 ? 64 : 32;
	uint64_t bits = (fn & FN_64) != 0 ? s->x[1] : (uint32_t)s->x[1];
	uint64_t words[NWORDS];
	bool good;

	good = bits >= 1 && bits <= (uint64_t)NWORDS * width;
	if (!good || !draw(vcpu, words)) {
		memset(&s->x[1], 0, NWORDS * sizeof(s->x[1]));
		return (good ? TRNG_NO_ENTROPY : TRNG_INVALID_PARAMETERS);
	}
	for (unsigned i = 0; i < NWORDS; i++) {
		unsigned have = bits < width ? (unsigned)bits : width;

		s->x[NWORDS - i] = have == 0 ? 0 : words[i] >> (64 - have);
		bits -= have;
	}
	explicit_bzero(words, sizeof(words));
	return (TRNG_SUCCESS);
}

int64_t
arm64_trng(struct vcpu *vcpu, uint32_t fn)
{
	struct arm64_state *s = vcpu->state;

	switch (fn) {
	case FN_TRNG_VERSION:
		return (TRNG_1_0);
	case FN_TRNG_FEATURES:
		return (features((uint32_t)s->x[1]));
	case FN_TRNG_GET_UUID:
		for (unsigned i = 1; i < nitems(uuid); i++)
			s->x[i] = uuid[i];
		return (uuid[0]);
	case FN_TRNG_RND:
	case FN_TRNG_RND | FN_64:
		return (rnd(vcpu, fn));
	default:
		return (TRNG_NOT_SUPPORTED);
	}
}
