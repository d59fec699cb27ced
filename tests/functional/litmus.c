/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * litmus.c - what vCPUs may see of each other's stores, and that their atomics are (Intel SDM vol. 3 8.2, 8.1; Arm ARM B2.2, B2.3;
 * payload litmus.S).
 *
 * On soft, whose processors these are; with kvm they are the host's.
 */
#include "harness.h"

/* Under the thread sanitizer a round takes five times as long, and what it looks for shows in few. */
#ifndef __has_feature
#define	__has_feature(x) 0
#endif
#define	LITMUS_ROUNDS	(__has_feature(thread_sanitizer) ? 1000U : 5000U)

/* On 2 vCPUs, on 4. */
#define	ON2		1U
#define	ON4		2U
#define	ON_BOTH		(ON2 | ON4)

/* An ordering test: its outcome that a weaker processor shows is this one's right, or must not be. */
struct litmus {
	const char	*name;
	unsigned	 row;			/* in the payload */
	unsigned	 on;
	bool		 allowed;
};

static const struct litmus amd64_litmus[] = {
	{ "sb", 0, ON2, true },			/* both loads may be ahead of the other's store */
	{ "mp", 1, ON_BOTH, false },
	{ "lb", 2, ON_BOTH, false },
	{ "iriw", 3, ON4, false },
	{ "sb_fenced", 4, ON_BOTH, false },
	{ .name = NULL }
};

/* What orders: a barrier, release and acquire (which are sequentially consistent together), a dependency. */
static const struct litmus arm64_litmus[] = {
	{ "sb", 0, ON2, true },
	{ "sb_dmb", 1, ON_BOTH, false },
	{ "sb_release_acquire", 2, ON_BOTH, false },
	{ "sb_swp", 3, ON2, false },
	{ "sb_cas", 4, ON2, false },
	{ "sb_exclusive", 5, ON2, false },
	{ "mp", 6, ON2, true },
	{ "mp_release_acquire", 7, ON_BOTH, false },
	{ "mp_dmb", 8, ON_BOTH, false },
	{ "mp_address", 9, ON2, false },
	{ "mp_exclusive", 10, ON2, false },
	{ "lb", 11, ON2, true },
	{ "lb_release_acquire", 12, ON_BOTH, false },
	{ "lb_dmb", 13, ON2, false },
	{ "lb_data", 14, ON2, false },
	{ "iriw", 15, ON4, true },
	{ "iriw_release_acquire", 16, ON4, false },
	{ "iriw_dmb", 17, ON4, false },
	{ "iriw_address", 18, ON4, false },
	{ "coherence", 19, ON_BOTH, false },
	{ "whole", 20, ON_BOTH, false },
	{ .name = NULL }
};

/* A place in the arena at the end: so much per round of each vCPU, and so much per round. */
struct sum {
	uint64_t	at;
	unsigned	size;
	int64_t		each, round;
};

struct sums {
	const char	*name;
	unsigned	 row;
	unsigned	 fewer;			/* rounds are divided by this */
	struct sum	 sum[24];		/* size 0 ends */
};

static const struct sums amd64_sums[] = {
	{ "atomics", 5, 1, {
		{ 0x300, 4, 1, 0 }, { 0x304, 4, 1, 0 }, { 0x308, 4, 1, 0 }, { 0x30c, 2, 1, 0 }, { 0x30e, 2, 0, 0 },
	} },
	/* Across lines and pages.  Each of these stops the other vCPUs, so fewer of them. */
	{ "split_atomics", 6, 10, { { 0x33e, 4, 1, 0 }, { 0x2ffd, 4, 1, 0 }, { 0x3001, 4, 1, 0 } } },
	{ .name = NULL }
};

static const struct sums arm64_sums[] = {
	{ "atomics", 21, 1, {
		{ 0x300, 8, 1, 0 }, { 0x308, 4, 1, 0 }, { 0x30c, 2, 1, 0 }, { 0x30e, 1, 1, 0 },	/* LDADD */
		{ 0x30f, 1, 0, 0 },
		{ 0x310, 8, 1, 0 }, { 0x318, 4, 1, 0 }, { 0x31c, 2, 1, 0 }, { 0x31e, 1, 1, 0 },	/* LDXR, STXR */
		{ 0x31f, 1, 0, 0 },
		{ 0x320, 8, 1, 0 }, { 0x328, 8, 2, 0 },		/* LDXP, STXP */
		{ 0x330, 8, 1, 0 }, { 0x338, 8, 2, 0 },		/* CASP */
		{ 0x340, 8, 1, 0 },				/* CAS */
		{ 0x348, 4, 1, 0 }, { 0x34c, 4, 2, 0 },		/* CASP of words */
		{ 0x350, 8, 0, 0 }, { 0x358, 8, 1, 0 },		/* a lock by SWP, under the lock */
		{ 0x360, 8, 0, 0 }, { 0x368, 8, 0, 0 },		/* bits: toggled evenly often; set and cleared */
		{ 0x370, 8, 0, 1 }, { 0x378, 8, 0, -1 },	/* LDUMAX, LDSMIN */
		{ 0x380, 4, 1, 0 },				/* LDXP, STXP of words */
	} },
	/* Across lines and pages: 16 alignment faults a round, and nothing is stored. */
	{ "split_atomics", 22, 10, {
		{ 0x340, 8, 1, 0 }, { 0x348, 8, 1, 0 }, { 0x3a0, 8, 16, 0 }, { 0x338, 8, 0, 0 }, { 0x2ff0, 8, 0, 0 },
		{ 0x2ff8, 8, 0, 0 }, { 0x3000, 8, 0, 0 },
	} },
	{ .name = NULL }
};

static const struct {
	const struct h_target *target;
	const struct litmus *litmus;
	const struct sums *sums;
} suites[] = {
	{ &h_targets[0], amd64_litmus, amd64_sums },
	{ &h_targets[1], arm64_litmus, arm64_sums },
};

static unsigned
rounds(void)
{
	return (LITMUS_ROUNDS * (unsigned)test_long(20));
}

static struct h_vm *
play(const struct h_target *t, unsigned row, int ncpu, unsigned n)
{
	const struct h_opts o = { .ncpu = ncpu };
	struct h_vm *h = h_open(t, "litmus", &o);

	h_param(h, 0, row);
	h_param(h, 1, n);
	h_param(h, 2, (uint64_t)ncpu);
	h_start(h);
	h_join(h);
	CHECK_EQ(h_result(h, 3), n);
	return (h);
}

static void
ordering(const struct h_target *t, const struct litmus *l, int ncpu)
{
	struct h_vm *h = play(t, l->row, ncpu, rounds());
	uint64_t new = h_result(h, 0), old = h_result(h, 1), weak = h_result(h, 2), all = h_result(h, 3);

	printf("# %d vCPUs: all new %llu, all old %llu, %s %llu, of %llu\n", ncpu, (unsigned long long)new,
	    (unsigned long long)old, l->allowed ? "allowed" : "forbidden", (unsigned long long)weak,
	    (unsigned long long)all);
	CHECK(new + old + weak <= all);
	if (!l->allowed)
		CHECK_EQ(weak, 0);
	h_close(h);
}

static void
sums(const struct h_target *t, const struct sums *s, int ncpu)
{
	unsigned n = rounds() / s->fewer;
	struct h_vm *h = play(t, s->row, ncpu, n);

	for (const struct sum *p = s->sum; p < s->sum + sizeof(s->sum) / sizeof(s->sum[0]) && p->size != 0; p++) {
		uint64_t mask = p->size == 8 ? UINT64_MAX : (1ULL << 8 * p->size) - 1;
		uint64_t want = (uint64_t)(p->each * ncpu + p->round) * n & mask;
		uint64_t got = h_read(h, h->a->arena + p->at, p->size);

		CHECKF(got == want, "%d vCPUs: 0x%llx at 0x%llx, not 0x%llx", ncpu, (unsigned long long)got,
		    (unsigned long long)p->at, (unsigned long long)want);
	}
	h_close(h);
}

/* A case. */
struct play {
	const struct h_target *t;
	const struct litmus *litmus;		/* or */
	const struct sums *sums;
};

static void
run_litmus(const void *arg)
{
	const struct play *p = arg;

	h_need(p->t);
	if ((p->litmus->on & ON2) != 0)
		ordering(p->t, p->litmus, 2);
	if ((p->litmus->on & ON4) != 0)
		ordering(p->t, p->litmus, 4);
}

static void
run_sums(const void *arg)
{
	const struct play *p = arg;

	h_need(p->t);
	sums(p->t, p->sums, 2);
	sums(p->t, p->sums, 4);
}

static void
add_case(const char *name, void (*fn)(const void *arg), const struct play *p)
{
	struct play *copy = malloc(sizeof(*copy));
	char *full;

	if (copy == NULL || asprintf(&full, "%s/%s", name, p->t->name) < 0)
		_exit(1);
	*copy = *p;
	test_add_arg(full, fn, copy);
}

__attribute__((constructor)) static void
add_cases(void)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		struct play p = { .t = suites[i].target };

		for (p.litmus = suites[i].litmus; p.litmus->name != NULL; p.litmus++)
			add_case(p.litmus->name, run_litmus, &p);
		for (p.sums = suites[i].sums; p.sums->name != NULL; p.sums++)
			add_case(p.sums->name, run_sums, &p);
	}
}

TEST_MAIN()
