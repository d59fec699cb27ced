/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.c - four processors change page tables, address spaces and code under one another and check what they see (payload stress).
 *
 * The long form plays for HYVE_TEST_STRESS seconds, an hour without it.
 */
#include <time.h>

#include "harness.h"

#define	NCPU	4

#define	ROUNDS	test_rounds(100000)

/* As in the payload. */
static const char *const failures[] = {
	"nothing", "an exception: number or syndrome, PC, address", "a read: slot, got, want", "a read: slot, whether it faulted, mapping",
	"an addition: slot, whether it faulted, mapping", "a page changed: frame, got, want", "a page was written, its entry is not dirty: slot, entry, frame",
	"a function: which, got, want", "a read in a space: slot, got, want", "an access in a space: slot, whether it faulted, mapping",
	"registers: got, want, which", "code that changes itself: got, want", "additions were lost: processor, found, done",
	"interrupts were lost: processor, taken, sent",
};

static uint64_t
result(struct h_vm *h, unsigned n)
{
	return (h_read(h, h->a->results + 8 * n, 8));
}

static void
play(const struct h_target *t, unsigned ncpu, unsigned rounds, unsigned seconds, uint64_t seed)
{
	const struct h_opts o = { .ncpu = (int)ncpu };
	struct h_vm *h = h_open(t, "stress", &o);
	uint64_t what;

	h_param(h, 0, rounds);
	h_param(h, 1, seed);
	h_param(h, 2, ncpu);
	h_start(h);
	for (time_t end = time(NULL) + seconds; seconds != 0 && time(NULL) < end && result(h, 0) == 0;)
		h_nap();
	atomic_store(&h->stop, true);
	h_join(h);
	what = result(h, 0);
	for (unsigned n = 0; n < ncpu; n++)
		printf("# processor %u: %llu rounds, %llu ticks, %llu interrupts of others, %llu changes\n", n,
		    (unsigned long long)result(h, 8 + n), (unsigned long long)result(h, 12 + n), (unsigned long long)result(h, 16 + n),
		    (unsigned long long)result(h, 20 + n));
	CHECKF(what == 0, "seed %llu: %s: 0x%llx 0x%llx 0x%llx", (unsigned long long)seed,
	    what < sizeof(failures) / sizeof(failures[0]) ? failures[what] : "?", (unsigned long long)result(h, 1),
	    (unsigned long long)result(h, 2), (unsigned long long)result(h, 3));
	for (unsigned n = 0; n < ncpu; n++) {
		CHECK(result(h, 8 + n) > 0 && result(h, 12 + n) > 0 && result(h, 20 + n) > 0);
		CHECK(rounds == 0 || result(h, 8 + n) == rounds);
	}
	h_close(h);
}

H_TEST(one_processor, H_SOFT)
{
	h_need(t);
	play(t, 1, ROUNDS, 0, 1);
}

H_TEST(four_processors, H_SOFT)
{
	h_need(t);
	play(t, NCPU, ROUNDS, 0, 2);
}

/* Each minute another seed: long enough for each processor's turn on a host with much else to do. */
H_TEST(an_hour, H_SOFT)
{
	const char *env = getenv("HYVE_TEST_STRESS");
	unsigned seconds = env == NULL ? 3600 : (unsigned)atoi(env);

	if (test_long(2) == 1)
		SKIP("long: runs with HYVE_TEST_LONG=1");
	h_need(t);
	alarm(seconds + 900);		/* a case of this length is not hung */
	for (unsigned n = 0; n < seconds; n += 60)
		play(t, NCPU, 0, seconds - n < 60 ? seconds - n : 60, 1000 + n);
}

TEST_MAIN()
