/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * other_host.c - the software back end on hosts that are not amd64: which guests it runs, what it says about others, and memory as vCPUs
 * see it.
 */
#include <pthread.h>

#include <vmmapi.h>

#include "soft/hostmem.h"

#include "test.h"

TEST_MAIN()

#define	OK(expr)	CHECKF((expr) == 0, "%s", vm_errmsg())
#define	TIMES		200000U

static const char needs_amd64[] = "soft: amd64 guests need an amd64 host";

static struct vmctx *
make(enum vm_arch arch, enum vm_accel accel, enum vm_clock_source clock, enum vm_jit_how jit)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = arch, .accel = accel, .clock = clock, .jit.how = jit };
	struct vmctx *ctx = vm_new(&spec);

	CHECKF(ctx != NULL, "%s", vm_errmsg());
	OK(vm_setup_memory(ctx, 1 << 20, VM_MMAP_ALL));
	CHECK(vm_vcpu_open(ctx, 0) != NULL);
	return (ctx);
}

TEST(probe)
{
	OK(vm_accel_probe(VM_ACCEL_SOFT, VM_ARCH_ARM64));
	CHECK_EQ(vm_accel_probe(VM_ACCEL_SOFT, VM_ARCH_AMD64), -1);
	CHECK_EQ(errno, ENOTSUP);
	CHECKF(strstr(vm_errmsg(), needs_amd64) != NULL, "%s", vm_errmsg());
}

/* Asked for, by itself, and where virtual time leaves no choice. */
TEST(amd64_does_not_start)
{
	static const struct {
		enum vm_accel		accel;
		enum vm_clock_source	clock;
	} ways[] = { { VM_ACCEL_SOFT, VM_CLOCK_HOST }, { VM_ACCEL_AUTO, VM_CLOCK_HOST }, { VM_ACCEL_AUTO, VM_CLOCK_ICOUNT } };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		struct vmctx *ctx = make(VM_ARCH_AMD64, ways[i].accel, ways[i].clock, VM_JIT_AUTO);

		CHECK_EQ(vm_start(ctx), -1);
		CHECK_EQ(errno, ENOTSUP);
		CHECKF(strstr(vm_errmsg(), needs_amd64) != NULL, "%s", vm_errmsg());
		vm_close(ctx);
	}
}

TEST(native_code_is_refused_where_it_is_asked_for)
{
	struct vmctx *ctx = make(VM_ARCH_ARM64, VM_ACCEL_SOFT, VM_CLOCK_HOST, VM_JIT_ON);

	CHECK_EQ(vm_start(ctx), -1);
	CHECK_EQ(errno, ENOTSUP);
	CHECKF(strstr(vm_errmsg(), "native code is made for amd64 hosts only") != NULL, "%s", vm_errmsg());
	vm_close(ctx);
	ctx = make(VM_ARCH_ARM64, VM_ACCEL_SOFT, VM_CLOCK_HOST, VM_JIT_AUTO);
	OK(vm_start(ctx));
	vm_close(ctx);
}

/* hostmem.h: at every place, of every size, what is there, and nothing beside it. */
TEST(memory_anywhere)
{
	uint8_t mem[48] __attribute__((aligned(16))), was[48], got[16];

	for (unsigned size = 1; size <= 16; size *= 2) {
		for (unsigned at = 8; at < 24; at++) {
			uint64_t v[2] = { 0xf1e2d3c4b5a69788, 0x1122334455667788 }, r = 0;

			for (unsigned i = 0; i < sizeof(mem); i++)
				mem[i] = was[i] = (uint8_t)(i * 7 + size);
			if (size == 16) {
				host_load16(mem + at, got);
				host_store16(mem + at, v);
			} else {
				r = host_load(mem + at, size);
				memcpy(got, &r, sizeof(r));
				host_store(mem + at, size, v[0]);
			}
			CHECK(memcmp(got, was + at, size) == 0);
			memcpy(was + at, v, size);
			CHECK(memcmp(mem, was, sizeof(mem)) == 0);
			if (size < 8)
				CHECK_EQ(r >> (8 * size), 0);
		}
	}
}

/* Two threads count in both halves: a compare-and-swap that took a torn value, or left one, would lose some. */
static uint64_t shared[2] __attribute__((aligned(16)));

static void *
count(void *arg)
{
	for (unsigned i = 0; i < TIMES; i++) {
		uint64_t old[2], new[2];

		host_load16(shared, old);
		do {
			new[0] = old[0] + 1;
			new[1] = old[1] - 1;
		} while (!host_cas16(shared, old, new));
	}
	return (NULL);
}

TEST(compare_and_swap_of_16_bytes)
{
	uint64_t old[2] = { 1, 0 }, new[2] = { 5, 6 };
	pthread_t other;

	CHECK(!host_cas16(shared, old, new));
	CHECK(old[0] == 0 && old[1] == 0 && shared[0] == 0 && shared[1] == 0);
	old[1] = 1;
	CHECK(!host_cas16(shared, old, new));
	CHECK(old[0] == 0 && old[1] == 0);
	CHECK(host_cas16(shared, old, new));
	CHECK(old[0] == 0 && old[1] == 0 && shared[0] == 5 && shared[1] == 6);
	shared[0] = shared[1] = 0;
	CHECK_EQ(pthread_create(&other, NULL, count, NULL), 0);
	(void)count(NULL);
	CHECK_EQ(pthread_join(other, NULL), 0);
	CHECK_EQ(shared[0], 2 * TIMES);
	CHECK_EQ(shared[1], 0 - (uint64_t)(2 * TIMES));
}
