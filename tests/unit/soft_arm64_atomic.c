/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exclusive and atomic accesses of the software arm64 processor (Arm ARM B2.9, C6.2).
 */
#include <pthread.h>

#include "soft_arm64_guest.h"

/* LDADD, LDCLR, LDEOR, LDSET, LDSMAX, LDSMIN, LDUMAX, LDUMIN, SWP */
static uint64_t
model(unsigned op, uint64_t a, uint64_t b, unsigned size)
{
	uint64_t mask = size == 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1;
	int64_t sa = (int64_t)(a << (64 - 8 * size)), sb = (int64_t)(b << (64 - 8 * size));
	uint64_t r[] = { a + b, a & ~b, a ^ b, a | b, sa > sb ? a : b, sa < sb ? a : b, (a & mask) > (b & mask) ? a : b,
	    (a & mask) < (b & mask) ? a : b, b };

	return (r[op] & mask);
}

TEST(operations)
{
	static const uint64_t values[] = { 0, 1, 0x7f, 0x80, 0xff, 0x8000, 0x7fffffff, 0x80000000, 0xffffffffffffffffULL,
	    0x8000000000000000ULL, 0x123456789abcdef0ULL };

	new_vm();
	mmu_on();
	for (unsigned size = 0; size < 4; size++) {
		uint64_t mask = size == 3 ? UINT64_MAX : (1ULL << (8 << size)) - 1;

		for (unsigned n = 0; n < 9 * 11 * 11; n++) {
			unsigned op = n % 9;
			uint64_t a = values[n / 9 % 11], b = values[n / 99];

			poke(DATA, a);
			poke(DATA + 8, 0x5555);
			set(X(1), DATA);
			set(X(2), b);
			one(0x38e20020 | size << 30 | op << 12);	/* ld<op>al x2, x0, [x1] */
			CHECK_EQ(get(X(0)), a & mask);
			CHECK_EQ(peek(DATA), (a & ~mask) | model(op, a, b, 1U << size));
			CHECK_EQ(peek(DATA + 8), 0x5555);
		}
	}
	vm_close(vm);
}

TEST(compare_and_swap)
{
	new_vm();
	mmu_on();
	set(X(1), DATA);
	poke(DATA, 0x1111);
	poke(DATA + 8, 0x2222);
	set(X(2), 0x1111);
	set(X(4), 7);
	set(X(5), 8);
	one(0xc8e2fc24);		/* casal x2, x4, [x1] */
	CHECK_EQ(get(X(2)), 0x1111);
	CHECK_EQ(peek(DATA), 7);
	set(X(2), 0x1111);
	one(0xc8e2fc24);
	CHECK_EQ(get(X(2)), 7);
	CHECK_EQ(peek(DATA), 7);
	set(X(3), 0x2222);
	set(X(4), 9);
	one(0x4862fc24);		/* caspal x2, x3, x4, x5, [x1] */
	CHECK_EQ(peek(DATA), 9);
	CHECK_EQ(peek(DATA + 8), 8);
	set(X(2), 1);
	one(0x4862fc24);
	CHECK_EQ(get(X(2)), 9);
	CHECK_EQ(get(X(3)), 8);
	vm_close(vm);
}

TEST(exclusives)
{
	new_vm();
	mmu_on();
	set(X(1), DATA);
	poke(DATA, 5);
	/* ldxr x0, [x1]; add x0, x0, #1; stxr w2, x0, [x1]; stxr w3, x0, [x1] */
	execute((const uint32_t[]){ 0xc85f7c20, 0x91000400, 0xc8027c20, 0xc8037c20 }, 4);
	CHECK_EQ(get(X(2)), 0);
	CHECK_EQ(get(X(3)), 1);
	CHECK_EQ(peek(DATA), 6);
	/* Somebody's store comes between: ldxr x0, [x1]; str xzr, [x1]; stxr w2, x0, [x1]; or CLREX */
	execute((const uint32_t[]){ 0xc85f7c20, 0xf900003f, 0xc8027c20 }, 3);
	CHECK_EQ(get(X(2)), 1);
	execute((const uint32_t[]){ 0xc85f7c20, 0xd5033f5f, 0xc8027c20 }, 3);
	CHECK_EQ(get(X(2)), 1);
	/* ldxp x4, x5, [x1]; stxp w2, x5, x4, [x1] */
	poke(DATA, 0x10);
	poke(DATA + 8, 0x20);
	execute((const uint32_t[]){ 0xc87f1424, 0xc8221025 }, 2);
	CHECK_EQ(get(X(2)), 0);
	CHECK_EQ(peek(DATA), 0x20);
	CHECK_EQ(peek(DATA + 8), 0x10);
	vm_close(vm);
}

#define	ROUNDS	20000

static void *
run_second(void *arg)
{
	struct vm_exit e;

	CHECKF(vm_run(arg, &e) == 0, "%s", vm_errmsg());
	CHECK_EQ(e.code, VM_EXIT_MMIO);
	return (NULL);
}

/* Two processors count in one place, by exclusives and by LDADD: nothing is lost. */
TEST(two_processors_count)
{
	static const uint32_t code[] = {
		0xc85ffc20,	/* 1: ldaxr x0, [x1] */
		0x91000400,	/* add x0, x0, #1 */
		0xc802fc20,	/* stlxr w2, x0, [x1] */
		0x35ffffa2,	/* cbnz w2, 1b */
		0xf8e60085,	/* ldaddal x6, x5, [x4] */
		0xf1000463,	/* subs x3, x3, #1 */
		0x54ffff41,	/* b.ne 1b */
		0xd2a1201e,	/* mov x30, #0x9000000 */
		0xf90003de,	/* str x30, [x30] */
	};
	struct vcpu *first, *second;
	pthread_t t;

	new_vm();
	first = cpu;
	second = vm_vcpu_open(vm, 1);
	CHECK(second != NULL);
	load_code(RAM, code, sizeof(code));
	for (unsigned i = 0; i < 2; i++) {
		cpu = i == 0 ? first : second;
		mmu_on();
		set(VM_ARM64_REG_RUN_STATE, VM_ARM64_RUNNING);
		set(VM_ARM64_REG_PC, RAM);
		set(X(1), DATA);
		set(X(3), ROUNDS);
		set(X(4), DATA + 64);
		set(X(6), 1);
	}
	CHECK_EQ(pthread_create(&t, NULL, run_second, second), 0);
	CHECKF(vm_run(first, &ex) == 0, "%s", vm_errmsg());
	CHECK_EQ(ex.code, VM_EXIT_MMIO);
	pthread_join(t, NULL);
	CHECK_EQ(peek(DATA), 2 * ROUNDS);
	CHECK_EQ(peek(DATA + 64), 2 * ROUNDS);
	vm_close(vm);
}

TEST_MAIN()
