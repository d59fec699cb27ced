/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads and stores of the software arm64 processor (Arm ARM C6.2, C7.2): sizes, pages, faults, structures, code that changes.
 */
#include "soft_arm64_guest.h"

#define	MISSING	0x80001000ULL		/* mmu_on(): no page */

static void
pattern(void)
{
	for (unsigned i = 0; i < 0x4000; i += 8)
		poke(DATA + i, 0x8796a5b4c3d2e1f0ULL + i * 0x0101010101010101ULL);
}

/* What memory holds at gpa. */
static uint64_t
bytes(uint64_t gpa, unsigned n)
{
	uint64_t v = 0;

	CHECK_EQ(vm_gpa_read(vm, gpa, &v, n), 0);
	return (v);
}

TEST(sizes_and_signs)
{
	new_vm();
	pattern();
	mmu_on();
	for (unsigned off = 0; off < 24; off++) {
		uint64_t at = DATA + 0x100 + off;

		set(X(1), at);
		one(0x39400020);	/* ldrb w0, [x1] */
		CHECK_EQ(get(X(0)), bytes(at, 1));
		one(0x79400020);	/* ldrh w0, [x1] */
		CHECK_EQ(get(X(0)), bytes(at, 2));
		one(0xb9400020);	/* ldr w0, [x1] */
		CHECK_EQ(get(X(0)), bytes(at, 4));
		one(0xf9400020);	/* ldr x0, [x1] */
		CHECK_EQ(get(X(0)), bytes(at, 8));
		one(0x39800020);	/* ldrsb x0, [x1] */
		CHECK_EQ(get(X(0)), (uint64_t)(int64_t)(int8_t)bytes(at, 1));
		one(0x79c00020);	/* ldrsh w0, [x1] */
		CHECK_EQ(get(X(0)), (uint32_t)(int32_t)(int16_t)bytes(at, 2));
		one(0xb9800020);	/* ldrsw x0, [x1] */
		CHECK_EQ(get(X(0)), (uint64_t)(int64_t)(int32_t)bytes(at, 4));
		one(0x69400820);	/* ldpsw x0, x2, [x1] */
		CHECK_EQ(get(X(0)), (uint64_t)(int64_t)(int32_t)bytes(at, 4));
		CHECK_EQ(get(X(2)), (uint64_t)(int64_t)(int32_t)bytes(at + 4, 4));
	}
	vm_close(vm);
}

/* Across pages that are not neighbours in memory. */
TEST(page_crossings)
{
	new_vm();
	pattern();
	mmu_on();
	for (unsigned k = 1; k < 8; k++) {
		uint64_t va = 0x80003000 - k, lo = DATA + 0x2000 - k, v = 0x1122334455667788ULL;

		set(X(1), va);
		set(X(2), v);
		one(0xf9000022);	/* str x2, [x1] */
		CHECK_EQ(bytes(lo, k), v & ((1ULL << (8 * k)) - 1));
		CHECK_EQ(bytes(DATA + 0x3000, 8 - k), v >> (8 * k));
		one(0xf9400020);	/* ldr x0, [x1] */
		CHECK_EQ(get(X(0)), v);
		set(X(1), va - 8);
		one(0xa9401023);	/* ldp x3, x4, [x1] */
		CHECK_EQ(get(X(4)), v);
	}
	vm_close(vm);
}

/* A fault leaves registers and the first page alone, and names the byte that is not there (D13.2.37, D13.2.40). */
static void
faults(uint32_t word, uint64_t base, uint64_t far, bool write)
{
	uint64_t before = peek(DATA + 0xff8);

	set(X(0), 111);
	set(X(1), base);
	set(X(2), 222);
	one(word);
	CHECK_EQ(get(X(20)), write ? 0x96000047 : 0x96000007);
	CHECK_EQ(get(X(21)), far);
	CHECK_EQ(get(X(22)), RAM);
	CHECK_EQ(get(X(0)), 111);
	CHECK_EQ(get(X(1)), base);
	CHECK_EQ(get(X(2)), 222);
	CHECK_EQ(peek(DATA + 0xff8), before);
}

TEST(faults_change_nothing)
{
	new_vm();
	pattern();
	mmu_on();
	set(VM_ARM64_REG_CPACR_EL1, 3 << 20);
	faults(0xf8408c20, MISSING - 8, MISSING, false);	/* ldr x0, [x1, #8]! */
	faults(0xf8008c20, MISSING - 8, MISSING, true);		/* str x0, [x1, #8]! */
	faults(0xf8408420, MISSING, MISSING, false);		/* ldr x0, [x1], #8 */
	faults(0xf8408420, MISSING - 4, MISSING, false);
	faults(0xf8008420, MISSING - 4, MISSING, true);		/* str x0, [x1], #8 */
	faults(0xa8c10820, MISSING - 8, MISSING, false);	/* ldp x0, x2, [x1], #16 */
	faults(0xa8810820, MISSING - 8, MISSING, true);		/* stp x0, x2, [x1], #16 */
	faults(0xa9400821, MISSING - 8, MISSING, false);	/* ldp x1, x2, [x1] */
	faults(0x4cdfa020, MISSING - 16, MISSING, false);	/* ld1 {v0.16b, v1.16b}, [x1], #32 */
	faults(0x4c9f2020, MISSING - 8, MISSING, true);		/* st1 {v0.16b - v3.16b}, [x1], #64 */
	vm_close(vm);
}

TEST(ordered_accesses_are_aligned)
{
	new_vm();
	mmu_on();
	set(X(1), DATA + 4);
	one(0xc8dffc20);		/* ldar x0, [x1] */
	CHECK_EQ(get(X(20)), 0x96000021);
	CHECK_EQ(get(X(21)), DATA + 4);
	one(0xc89ffc20);		/* stlr x0, [x1] */
	CHECK_EQ(get(X(20)), 0x96000061);
	one(0xc85f7c20);		/* ldxr x0, [x1] */
	CHECK_EQ(get(X(20)), 0x96000021);
	one(0x88dffc20);		/* ldar w0, [x1] */
	CHECK_EQ(get(X(20)), 0);
	vm_close(vm);
}

/* LD2, ST2 and lanes take structures apart and put them together (C7.2, LD2). */
TEST(structures)
{
	new_vm();
	pattern();
	mmu_on();
	set(VM_ARM64_REG_CPACR_EL1, 3 << 20);
	set(X(1), DATA + 0x100);
	set(X(2), DATA + 0x200);
	/* ld2 {v0.8h, v1.8h}, [x1]; umov w3, v0.h[3]; umov w4, v1.h[7]; st2 {v0.8h, v1.8h}, [x2] */
	execute((const uint32_t[]){ 0x4c408420, 0x0e0e3c03, 0x0e1e3c24, 0x4c008440 }, 4);
	CHECK_EQ(get(X(20)), 0);
	CHECK_EQ(get(X(3)), bytes(DATA + 0x100 + 12, 2));
	CHECK_EQ(get(X(4)), bytes(DATA + 0x100 + 30, 2));
	for (unsigned i = 0; i < 32; i += 8)
		CHECK_EQ(peek(DATA + 0x200 + i), peek(DATA + 0x100 + i));
	/* ld1r {v5.4s}, [x1]; umov w3, v5.s[3]; ld1 {v5.s}[1], [x2], #4; umov w4, v5.s[1] */
	execute((const uint32_t[]){ 0x4d40c825, 0x0e1c3ca3, 0x0ddf9045, 0x0e0c3ca4 }, 4);
	CHECK_EQ(get(X(20)), 0);
	CHECK_EQ(get(X(3)), bytes(DATA + 0x100, 4));
	CHECK_EQ(get(X(4)), bytes(DATA + 0x200, 4));
	CHECK_EQ(get(X(2)), DATA + 0x204);
	/* A shorter load clears the rest: ldr q0, [x1]; ldr h0, [x1]; umov x3, v0.d[0]; umov x4, v0.d[1] */
	execute((const uint32_t[]){ 0x3dc00020, 0x7d400020, 0x4e083c03, 0x4e183c04 }, 4);
	CHECK_EQ(get(X(3)), bytes(DATA + 0x100, 2));
	CHECK_EQ(get(X(4)), 0);
	/* Trapped where CPACR_EL1 says so (D13.2.30): ldr q0, [x1] */
	set(VM_ARM64_REG_CPACR_EL1, 0);
	one(0x3dc00020);
	CHECK_EQ(get(X(20)), 0x1fe00000);
	vm_close(vm);
}

/* Code that writes to itself, with and without maintenance: old or new code runs, and the end is reached. */
TEST(code_that_writes_itself)
{
	/* adr x1, 1f; ldr w2, 2f; str w2, [x1]; then nothing or ic ivau, x1 and isb; 1: mov x0, #1; b 3f; 2: mov x0, #2 */
	static const uint32_t without[] = { 0x10000061, 0x18000082, 0xb9000022, 0xd2800020, 0x14000002, 0xd2800040,
	    0xd503201f };
	static const uint32_t with[] = { 0x100000a1, 0x180000c2, 0xb9000022, 0xd50b7521, 0xd5033fdf, 0xd2800020,
	    0x14000002, 0xd2800040, 0xd503201f };

	new_vm();
	mmu_on();
	execute(without, sizeof(without) / 4);
	CHECK(get(X(0)) == 1 || get(X(0)) == 2);
	execute(with, sizeof(with) / 4);
	CHECK_EQ(get(X(0)), 2);
	CHECK_EQ(get(X(20)), 0);
	vm_close(vm);
}

TEST_MAIN()
