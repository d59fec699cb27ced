/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_arm64_points.c - where a debugger wants an arm64 processor to stop (vm_debug_set()), and single steps.
 */
#include "soft_arm64_guest.h"

/* X0 counts down from 1000; points are at the NOP and at the store of X0 to DATA. */
static const uint32_t code[] = {
	0xd2807d00,	/* mov x0, #1000 */
	0xd1000400,	/* 1: sub x0, x0, #1 */
	0xd503201f,	/* nop */
	0xf9000020,	/* str x0, [x1] */
	0xf9400022,	/* ldr x2, [x1] */
	0xb5ffff80,	/* cbnz x0, 1b */
	0xd2a1201e, 0xf90003de,	/* mov x30, #0x9000000; str x30, [x30] */
};
#define	AT_NOP		(RAM + 8)
#define	AT_STORE	(RAM + 12)
#define	AT_LOAD		(RAM + 16)

static void
points(const struct vm_debug_point *p, unsigned n)
{
	CHECK_EQ(vm_pause(vm), 0);
	CHECKF(vm_debug_set(vm, p, n) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_resume(vm), 0);
}

static void
expect(enum vm_debug_kind kind, uint64_t addr, uint64_t pc)
{
	CHECKF(vm_run(cpu, &ex) == 0, "%s", vm_errmsg());
	CHECKF(ex.code == VM_EXIT_DEBUG, "exit %d at %#llx", ex.code, (unsigned long long)ex.pc);
	CHECK_EQ(ex.u.debug.why, VM_DEBUG_AT_POINT);
	CHECK_EQ(ex.u.debug.kind, kind);
	CHECK_EQ(ex.u.debug.addr, addr);
	CHECK_EQ(get(VM_ARM64_REG_PC), pc);
}

static void
expect_end(void)
{
	CHECKF(vm_run(cpu, &ex) == 0, "%s", vm_errmsg());
	CHECKF(ex.code == VM_EXIT_MMIO && ex.u.mmio.gpa == DONE, "exit %d at %#llx", ex.code, (unsigned long long)ex.pc);
}

static void
step(uint64_t pc)
{
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_SINGLE_STEP, 1), 0);
	CHECKF(vm_run(cpu, &ex) == 0, "%s", vm_errmsg());
	CHECK_EQ(ex.code, VM_EXIT_DEBUG);
	CHECK_EQ(ex.u.debug.why, VM_DEBUG_BY_STEP);
	CHECK_EQ(get(VM_ARM64_REG_PC), pc);
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_SINGLE_STEP, 0), 0);
}

static void
open_loop(void)
{
	new_vm();
	load_code(RAM, code, sizeof(code));
	set(X(1), DATA);
	set(VM_ARM64_REG_PC, RAM);
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	expect_end();
	set(VM_ARM64_REG_PC, RAM);
	poke(DATA, 0);
}

TEST(stops_at_an_instruction_that_ran_before)
{
	static const struct vm_debug_point p = { VM_DEBUG_EXEC, AT_NOP, 4 };

	open_loop();
	points(&p, 1);
	for (uint64_t left = 999; left > 990; left--) {
		expect(VM_DEBUG_EXEC, AT_NOP, AT_NOP);
		CHECK_EQ(get(X(0)), left);
		CHECK_EQ(peek(DATA), left == 999 ? 0 : left + 1);
		expect(VM_DEBUG_EXEC, AT_NOP, AT_NOP);
		step(AT_STORE);
	}
	points(NULL, 0);
	expect_end();
	CHECK_EQ(get(X(0)), 0);
	vm_close(vm);
}

/* Each kind of instruction, stopped at and stepped over, and then with the stop behind it taken away. */
TEST(every_instruction_of_a_loop)
{
	struct vm_debug_point p[6];

	open_loop();
	for (unsigned i = 0; i < 6; i++)
		p[i] = (struct vm_debug_point){ VM_DEBUG_EXEC, RAM + 4 * i, 4 };
	points(p, 6);
	for (unsigned i = 0; i < 6; i++) {
		expect(VM_DEBUG_EXEC, RAM + 4 * i, RAM + 4 * i);
		step(i < 5 ? RAM + 4 * i + 4 : RAM + 4);
	}
	expect(VM_DEBUG_EXEC, RAM + 4, RAM + 4);
	points(p, 1);
	expect_end();
	CHECK_EQ(get(X(0)), 0);
	CHECK_EQ(peek(DATA), 0);
	CHECK_EQ(get(X(2)), 0);
	vm_close(vm);
}

TEST(stops_before_accesses_to_data)
{
	static const struct vm_debug_point w = { VM_DEBUG_WRITE, DATA + 3, 1 }, r = { VM_DEBUG_READ, DATA, 8 },
	    a = { VM_DEBUG_ACCESS, DATA - 16, 17 };

	open_loop();
	points(&w, 1);
	expect(VM_DEBUG_WRITE, DATA + 3, AT_STORE);
	CHECK_EQ(peek(DATA), 0);
	/* As the architecture's own: once more until it is taken away. */
	expect(VM_DEBUG_WRITE, DATA + 3, AT_STORE);
	points(NULL, 0);
	step(AT_LOAD);
	CHECK_EQ(peek(DATA), 999);
	points(&r, 1);
	expect(VM_DEBUG_READ, DATA, AT_LOAD);
	points(&w, 1);
	expect(VM_DEBUG_WRITE, DATA + 3, AT_STORE);
	CHECK_EQ(get(X(0)), 998);
	points(&a, 1);
	expect(VM_DEBUG_ACCESS, DATA, AT_STORE);
	points(NULL, 0);
	expect_end();
	CHECK_EQ(get(X(0)), 0);
	vm_close(vm);
}

/* Addresses are the guest's: DATA + 0x1000 is at 0x80002000 too, and a store there is none to DATA + 0x1000. */
TEST(virtual_addresses)
{
	static const struct vm_debug_point p[] = { { VM_DEBUG_EXEC, AT_NOP, 4 }, { VM_DEBUG_WRITE, DATA + 0x1000, 8 },
	    { VM_DEBUG_WRITE, 0x80002000, 8 } };

	open_loop();
	mmu_on();
	set(X(1), 0x80002000);
	points(p, 3);
	expect(VM_DEBUG_EXEC, AT_NOP, AT_NOP);
	CHECK_EQ(get(X(0)), 999);
	step(AT_STORE);
	expect(VM_DEBUG_WRITE, 0x80002000, AT_STORE);
	points(p, 2);
	step(AT_LOAD);
	CHECK_EQ(peek(DATA + 0x1000), 999);
	points(NULL, 0);
	expect_end();
	vm_close(vm);
}

TEST(fields_of_the_state)
{
	uint64_t v[2] = { 0x1122334455667788ULL, 0x99aabbccddeeff00ULL }, out[2];

	new_vm();
	CHECKF(vm_vcpu_field_set(cpu, "v", 16 * 31, v, sizeof(v)) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_vcpu_field_get(cpu, "v", 16 * 31, out, sizeof(out)), 0);
	CHECK_EQ(memcmp(v, out, sizeof(v)), 0);
	CHECK_EQ(vm_vcpu_field_set(cpu, "v", 16 * 31 + 1, v, sizeof(v)), -1);
	vm_close(vm);
}

TEST_MAIN()
