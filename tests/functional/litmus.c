/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * litmus.c - what vCPUs may see of each other's stores, and that their atomics are (Intel SDM vol. 3 8.2, 8.1; payload litmus.S).
 *
 * On soft, whose processors these are; with kvm they are the host's.
 */
#include "harness.h"

enum { SB, MP, LB, IRIW, SB_FENCED, ATOMICS, SPLIT };

struct outcome {
	uint64_t	new, old, forbidden, rounds;
};

static struct h_vm *
play(const struct h_target *t, unsigned test, int ncpu, unsigned rounds)
{
	const struct h_opts o = { .ncpu = ncpu };
	struct h_vm *h = h_open(t, "litmus", &o);

	h_param(h, 0, test);
	h_param(h, 1, rounds);
	h_param(h, 2, (uint64_t)ncpu);
	h_start(h);
	h_join(h);
	CHECK_EQ(h_result(h, 3), rounds);
	return (h);
}

static unsigned
rounds(void)
{
	return (5000 * (unsigned)test_long(20));
}

static void
ordering(const struct h_target *t, unsigned test, int ncpu)
{
	struct h_vm *h;
	struct outcome r;

	h_need(t);
	h = play(t, test, ncpu, rounds());
	r = (struct outcome){ h_result(h, 0), h_result(h, 1), h_result(h, 2), h_result(h, 3) };
	printf("# %u vCPUs: both new %llu, both old %llu, forbidden %llu, of %llu\n", (unsigned)ncpu,
	    (unsigned long long)r.new, (unsigned long long)r.old, (unsigned long long)r.forbidden,
	    (unsigned long long)r.rounds);
	CHECK_EQ(r.forbidden, 0);
	h_close(h);
}

/* Both loads may be ahead of the other's store; whatever they see is allowed. */
H_TEST(sb, 0x1)
{
	ordering(t, SB, 2);
}

H_TEST(sb_fenced, 0x1)
{
	ordering(t, SB_FENCED, 2);
	ordering(t, SB_FENCED, 4);
}

H_TEST(mp, 0x1)
{
	ordering(t, MP, 2);
	ordering(t, MP, 4);
}

H_TEST(lb, 0x1)
{
	ordering(t, LB, 2);
	ordering(t, LB, 4);
}

H_TEST(iriw, 0x1)
{
	ordering(t, IRIW, 4);
}

static void
sums(const struct h_target *t, int ncpu)
{
	unsigned n = rounds();
	uint64_t all = (uint64_t)n * (unsigned)ncpu;
	struct h_vm *h = play(t, ATOMICS, ncpu, n);
	vm_paddr_t count = h->a->arena + 0x300;

	CHECK_EQ(h_read(h, count, 4), (uint32_t)all);
	CHECK_EQ(h_read(h, count + 4, 4), (uint32_t)all);
	CHECK_EQ(h_read(h, count + 8, 4), (uint32_t)all);
	CHECK_EQ(h_read(h, count + 12, 2), (uint16_t)all);
	CHECK_EQ(h_read(h, count + 14, 2), 0);
	h_close(h);
}

H_TEST(atomics, 0x1)
{
	h_need(t);
	sums(t, 2);
	sums(t, 4);
}

/* Each of these stops the other vCPUs, so fewer of them. */
static void
split(const struct h_target *t, int ncpu)
{
	unsigned n = rounds() / 10;
	uint64_t all = (uint64_t)n * (unsigned)ncpu;
	struct h_vm *h = play(t, SPLIT, ncpu, n);

	CHECK_EQ(h_read(h, h->a->arena + 0x33e, 4), (uint32_t)all);
	CHECK_EQ(h_read(h, h->a->arena + 0x2ffd, 4), (uint32_t)all);
	CHECK_EQ(h_read(h, h->a->arena + 0x3001, 4), (uint32_t)all);
	h_close(h);
}

H_TEST(split_atomics, 0x1)
{
	h_need(t);
	split(t, 2);
	split(t, 4);
}

TEST_MAIN()
