/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The amd64 architecture: registers, capabilities, layout, reset, descriptors, entry states,
 * events.
 */
#include "amd64/amd64.h"
#include "vm_fixture.h"

static struct vmctx *vm;
static struct vcpu *cpu[2];

static void
start(void)
{
	vm = tv_new(VM_ARCH_AMD64, 1 << 20, 0);
	for (unsigned i = 0; i < 2; i++)
		cpu[i] = tv_cpu(vm, i);
}

static void
stop(void)
{
	vm_vcpu_close(cpu[0]);
	vm_vcpu_close(cpu[1]);
	vm_close(vm);
}

static uint64_t
get(int i, int reg)
{
	uint64_t val = 0;

	if (vm_get_register(cpu[i], reg, &val) != 0)
		FAIL("register %d: %s", reg, vm_errmsg());
	return (val);
}

TEST(register_table)
{
	for (unsigned i = 0; i < md_amd64.nregs; i++) {
		const struct md_reg *r = &md_amd64.regs[i];

		if (i > 0)
			CHECK(r->num > md_amd64.regs[i - 1].num);
		CHECK(r->size == 1 || r->size == 2 || r->size == 4 || r->size == 8);
		CHECK(r->bits >= 1 && r->bits <= 8 * r->size);
		CHECK(r->offset + r->size <= md_amd64.state_size);
		for (unsigned j = 0; j < i; j++) {
			CHECK(strcmp(r->name, md_amd64.regs[j].name) != 0);
			CHECK(r->offset != md_amd64.regs[j].offset);
		}
	}
	/* Every number has its entry, but for the two that are descriptors only. */
	CHECK_EQ(md_amd64.nregs, VM_AMD64_REG_LAST - VM_AMD64_REG_FIRST - 2);
	start();
	for (int r = VM_AMD64_REG_FIRST; r < VM_AMD64_REG_LAST; r++) {
		if (r == VM_AMD64_REG_GDTR || r == VM_AMD64_REG_IDTR)
			CHECK(vm_register_name(vm, r, NULL) == NULL);
		else
			CHECK(vm_register_name(vm, r, NULL) != NULL);
	}
	stop();
}

TEST(registers_hold_what_is_set)
{
	static const struct { int reg; uint64_t val; } set[] = {
		{ VM_AMD64_REG_RAX, 0x0123456789abcdefULL }, { VM_AMD64_REG_R15, ~0ULL },
		{ VM_AMD64_REG_RIP, 0xffffffff80000000ULL }, { VM_AMD64_REG_RFLAGS, 0x246 },
		{ VM_AMD64_REG_CR0, 1 }, { VM_AMD64_REG_CR0, 0x80050033 }, { VM_AMD64_REG_CR2, ~0ULL },
		{ VM_AMD64_REG_CR3, 0xffffffffff000ULL }, { VM_AMD64_REG_CR4, 0x20 }, { VM_AMD64_REG_CR8, 15 },
		{ VM_AMD64_REG_DR7, 0x400 }, { VM_AMD64_REG_EFER, 0xd01 }, { VM_AMD64_REG_CS, 0xffff },
		{ VM_AMD64_REG_FS_BASE, 0xffff800000000000ULL }, { VM_AMD64_REG_KGS_BASE, 0x7fffffffffffULL },
		{ VM_AMD64_REG_PAT, 0x0007040600070406ULL }, { VM_AMD64_REG_APIC_BASE, 0xfee00d00 },
		{ VM_AMD64_REG_XCR0, 7 }, { VM_AMD64_REG_RUN_STATE, VM_AMD64_HALTED },
		{ VM_AMD64_REG_INTR_SHADOW, 1 }, { VM_AMD64_REG_TSC, ~0ULL },
	};

	start();
	for (size_t i = 0; i < nitems(set); i++) {
		if (vm_set_register(cpu[0], set[i].reg, set[i].val) != 0)
			FAIL("register %d: %s", set[i].reg, vm_errmsg());
		CHECK_EQ(get(0, set[i].reg), set[i].val);
	}
	/* The base registers are those of the descriptors. */
	{
		uint64_t base;
		uint32_t limit, access;

		CHECK_EQ(vm_get_desc(cpu[0], VM_AMD64_REG_FS, &base, &limit, &access), 0);
		CHECK_EQ(base, 0xffff800000000000ULL);
	}
	stop();
}

TEST(registers_refuse_what_they_cannot_hold)
{
	static const struct { int reg; uint64_t val; } bad[] = {
		{ VM_AMD64_REG_RFLAGS, 0 }, { VM_AMD64_REG_RFLAGS, 0x8002 }, { VM_AMD64_REG_RFLAGS, 1ULL << 32 | 2 },
		{ VM_AMD64_REG_CR0, 0x80000000 }, { VM_AMD64_REG_CR0, 0x20000001 }, { VM_AMD64_REG_CR0, 1ULL << 32 },
		{ VM_AMD64_REG_CR3, 1ULL << 63 }, { VM_AMD64_REG_CR4, 1ULL << 15 }, { VM_AMD64_REG_CR4, 1ULL << 40 },
		{ VM_AMD64_REG_CR8, 16 }, { VM_AMD64_REG_DR6, 1ULL << 32 }, { VM_AMD64_REG_DR7, 1ULL << 32 },
		{ VM_AMD64_REG_EFER, 0x400 }, { VM_AMD64_REG_EFER, 2 }, { VM_AMD64_REG_CS, 0x10000 },
		{ VM_AMD64_REG_FS_BASE, 0x800000000000ULL }, { VM_AMD64_REG_LSTAR, 1ULL << 63 },
		{ VM_AMD64_REG_PAT, 2 }, { VM_AMD64_REG_PAT, 0x0800 }, { VM_AMD64_REG_APIC_BASE, 0xfee00400 },
		{ VM_AMD64_REG_APIC_BASE, 1 }, { VM_AMD64_REG_XCR0, 0 }, { VM_AMD64_REG_XCR0, 5 },
		{ VM_AMD64_REG_RUN_STATE, 4 }, { VM_AMD64_REG_INTR_SHADOW, 3 }, { VM_AMD64_REG_TSC_AUX, 1ULL << 32 },
		{ VM_AMD64_REG_GDTR, 0 }, { VM_AMD64_REG_LAST, 0 }, { VM_AMD64_REG_FIRST - 1, 0 }, { -1, 0 },
	};

	start();
	for (size_t i = 0; i < nitems(bad); i++) {
		errno = 0;
		if (vm_set_register(cpu[0], bad[i].reg, bad[i].val) == 0)
			FAIL("case %zu was accepted", i);
		CHECK_EQ(errno, EINVAL);
		CHECK(vm_errmsg()[0] != '\0');
	}
	stop();
}

TEST(capabilities)
{
	int val;

	start();
	CHECK_EQ(vm_get_capability(cpu[0], VM_CAP_UNRESTRICTED_GUEST, &val), 0);
	CHECK_EQ(val, 1);
	CHECK_EQ(vm_set_capability(cpu[0], VM_CAP_UNRESTRICTED_GUEST, 1), 0);
	for (unsigned i = 0; i < md_amd64.ncaps; i++) {
		CHECK_EQ(vm_capability_name2type(md_amd64.caps[i].name), md_amd64.caps[i].type);
		CHECK_EQ(vm_get_capability(cpu[0], md_amd64.caps[i].type, &val), 0);
	}
	stop();
}

TEST(default_layout)
{
	struct vm_layout l;

	start();
	CHECK_EQ(vm_get_layout(vm, &l), 0);
	CHECK_STR(l.name, "pc");
	CHECK_EQ(l.nram, 2);
	CHECK_EQ(l.ram[0].limit, 0xb0000000);
	CHECK_EQ(l.ram[1].base, 1ULL << 32);
	/* The default is one that could be chosen. */
	stop();
	{
		struct vm_spec spec = { .size = sizeof(spec), .layout = &l };

		vm = vm_new(&spec);
		if (vm == NULL)
			FAIL("vm_new: %s", vm_errmsg());
		CHECK_EQ(vm_get_lowmem_limit(vm), 0xb0000000);
		CHECK_EQ(vm_get_highmem_base(vm), 1ULL << 32);
		vm_close(vm);
	}
}

/* SDM vol. 3 table 9-1. */
TEST(power_on_state)
{
	uint64_t base;
	uint32_t limit, access;

	start();
	for (int i = 0; i < 2; i++) {
		CHECK_EQ(get(i, VM_AMD64_REG_RIP), 0xfff0);
		CHECK_EQ(get(i, VM_AMD64_REG_RFLAGS), 2);
		CHECK_EQ(get(i, VM_AMD64_REG_CR0), 0x60000010);
		CHECK_EQ(get(i, VM_AMD64_REG_RDX), amd64_signature(cpu[i]->vm));
		CHECK_EQ(get(i, VM_AMD64_REG_CS), 0xf000);
		CHECK_EQ(vm_get_desc(cpu[i], VM_AMD64_REG_CS, &base, &limit, &access), 0);
		CHECK(base == 0xffff0000 && limit == 0xffff && access == 0x9b);
		CHECK_EQ(vm_get_desc(cpu[i], VM_AMD64_REG_SS, &base, &limit, &access), 0);
		CHECK(base == 0 && limit == 0xffff && access == 0x93);
		CHECK_EQ(vm_get_desc(cpu[i], VM_AMD64_REG_IDTR, &base, &limit, &access), 0);
		CHECK(base == 0 && limit == 0xffff);
		CHECK_EQ(get(i, VM_AMD64_REG_DR6), 0xffff0ff0);
		CHECK_EQ(get(i, VM_AMD64_REG_DR7), 0x400);
		CHECK_EQ(get(i, VM_AMD64_REG_PAT), 0x0007040600070406ULL);
		CHECK_EQ(get(i, VM_AMD64_REG_XCR0), 1);
		CHECK_EQ(get(i, VM_AMD64_REG_TSC), 0);
	}
	CHECK_EQ(get(0, VM_AMD64_REG_APIC_BASE), 0xfee00900);
	CHECK_EQ(get(1, VM_AMD64_REG_APIC_BASE), 0xfee00800);
	CHECK_EQ(get(0, VM_AMD64_REG_RUN_STATE), VM_AMD64_RUNNING);
	CHECK_EQ(get(1, VM_AMD64_REG_RUN_STATE), VM_AMD64_WAIT_SIPI);
	/* And again after a reset, whatever was there. */
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_RAX, 5), 0);
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_LSTAR, 5), 0);
	CHECK_EQ(vm_vcpu_reset(cpu[0]), 0);
	CHECK_EQ(get(0, VM_AMD64_REG_RAX), 0);
	CHECK_EQ(get(0, VM_AMD64_REG_LSTAR), 0);
	stop();
}

TEST(init_keeps_what_reset_does_not)
{
	struct amd64_state *st;

	start();
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_CR0, 0x33), 0);
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_RAX, 5), 0);
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_SYSENTER_EIP, 0x1234), 0);
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_TSC, 99), 0);
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_XCR0, 3), 0);
	st = cpu[0]->state;
	st->fxsave[32] = 0x55;
	amd64_init(cpu[0]);
	CHECK_EQ(get(0, VM_AMD64_REG_RAX), 0);
	CHECK_EQ(get(0, VM_AMD64_REG_CR0), 0x10);	/* CD and NW as they were */
	CHECK_EQ(get(0, VM_AMD64_REG_RIP), 0xfff0);
	CHECK_EQ(get(0, VM_AMD64_REG_SYSENTER_EIP), 0x1234);
	CHECK_EQ(get(0, VM_AMD64_REG_TSC), 99);
	CHECK_EQ(get(0, VM_AMD64_REG_XCR0), 3);
	CHECK_EQ(st->fxsave[32], 0x55);
	CHECK_EQ(get(0, VM_AMD64_REG_RUN_STATE), VM_AMD64_RUNNING);
	amd64_init(cpu[1]);
	CHECK_EQ(get(1, VM_AMD64_REG_RUN_STATE), VM_AMD64_WAIT_SIPI);
	stop();
}

TEST(descriptors)
{
	uint64_t base;
	uint32_t limit, access;

	start();
	for (int r = VM_AMD64_REG_ES; r <= VM_AMD64_REG_GDTR; r++) {
		bool table = r == VM_AMD64_REG_GDTR || r == VM_AMD64_REG_IDTR;

		CHECK_EQ(vm_set_desc(cpu[0], r, 0x1000 + (unsigned)r, table ? 0x123 : 0xffffffff, 0xc093), 0);
		CHECK_EQ(vm_get_desc(cpu[0], r, &base, &limit, &access), 0);
		CHECK_EQ(base, 0x1000U + (unsigned)r);
		CHECK_EQ(limit, table ? 0x123 : 0xffffffff);
		CHECK_EQ(access, table ? 0 : 0xc093);
	}
	CHECK_EQ(vm_set_desc(cpu[0], VM_AMD64_REG_LDTR, 0, 0, 0x10082), 0);
	CHECK_EQ(vm_set_desc(cpu[0], VM_AMD64_REG_RAX, 0, 0, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_set_desc(cpu[0], VM_AMD64_REG_FS_BASE, 0, 0, 0), -1);
	CHECK_EQ(vm_set_desc(NULL, VM_AMD64_REG_CS, 0, 0, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_set_desc(cpu[0], VM_AMD64_REG_CS, 0, 0, 0x80000000), -1);
	CHECK_EQ(vm_set_desc(cpu[0], VM_AMD64_REG_CS, 1ULL << 63, 0, 0x9b), -1);
	CHECK_EQ(vm_set_desc(cpu[0], VM_AMD64_REG_GDTR, 0, 0x10000, 0), -1);
	CHECK_EQ(vm_get_desc(cpu[0], VM_AMD64_REG_CS, NULL, &limit, &access), -1);
	CHECK_EQ(vm_get_desc(cpu[0], -1, &base, &limit, &access), -1);
	stop();
}

TEST(other_architectures_have_none_of_this)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_ARM64, .accel = VM_ACCEL_SOFT };
	struct vmctx *arm = vm_new(&spec);
	struct vcpu *c;
	uint64_t base;
	uint32_t limit, access;
	int n;

	CHECK(arm != NULL);
	c = vm_vcpu_open(arm, 0);
	CHECK(c != NULL);
#define	REFUSED(call)	do { errno = 0; CHECK_EQ(call, -1); CHECK_EQ(errno, EINVAL); CHECK_HAS(vm_errmsg(), "arm64"); } while (0)
	REFUSED(vm_set_desc(c, VM_AMD64_REG_CS, 0, 0, 0));
	REFUSED(vm_get_desc(c, VM_AMD64_REG_CS, &base, &limit, &access));
	REFUSED(vm_setup_freebsd_registers(c, 0, 0, 0, 0));
	REFUSED(vm_setup_freebsd_registers_i386(c, 0, 0, 0));
	REFUSED(vm_amd64_inject_exception(c, 13, 1, 0, 0));
	REFUSED(vm_amd64_inject_nmi(c));
	REFUSED(vm_lapic_msi(arm, 0xfee00000, 0x40));
	REFUSED(vm_lapic_irq(c, 0x40));
	REFUSED(vm_ioapic_assert_irq(arm, 4));
	REFUSED(vm_ioapic_pincount(arm, &n));
	REFUSED(vm_isa_pulse_irq(arm, 4, 4));
	REFUSED(vm_apicid2vcpu(arm, 0));
	vm_vcpu_close(c);
	vm_close(arm);
}

TEST(freebsd_gdt)
{
	uint64_t gdt[3] = { 1, 2, 3 };

	vm_setup_freebsd_gdt(gdt);
	CHECK_EQ(gdt[0], 0);
	/* Present, code, 64-bit; present, writable data. */
	CHECK_EQ(gdt[1] >> 40 & 0x9a, 0x9a);
	CHECK_EQ(gdt[1] >> 52 & 0x6, 0x2);
	CHECK_EQ(gdt[2] >> 40 & 0x9a, 0x92);
}

TEST(freebsd_64_bit_entry)
{
	uint64_t base;
	uint32_t limit, access;

	start();
	CHECK_EQ(vm_setup_freebsd_registers(cpu[0], 0xffffffff80200000ULL, 0x4000, 0x3000, 0x2000), 0);
	CHECK_EQ(get(0, VM_AMD64_REG_RIP), 0xffffffff80200000ULL);
	CHECK_EQ(get(0, VM_AMD64_REG_RSP), 0x2000);
	CHECK_EQ(get(0, VM_AMD64_REG_CR3), 0x4000);
	CHECK_EQ(get(0, VM_AMD64_REG_CR0) & 0x80000001, 0x80000001);
	CHECK_EQ(get(0, VM_AMD64_REG_CR4) & 0x20, 0x20);
	CHECK_EQ(get(0, VM_AMD64_REG_EFER), 0x500);
	CHECK_EQ(get(0, VM_AMD64_REG_RFLAGS), 2);
	CHECK_EQ(get(0, VM_AMD64_REG_CS), 8);
	CHECK_EQ(get(0, VM_AMD64_REG_DS), 16);
	CHECK_EQ(vm_get_desc(cpu[0], VM_AMD64_REG_CS, &base, &limit, &access), 0);
	CHECK((access & VM_AMD64_SEG_L) != 0 && (access & VM_AMD64_SEG_DB) == 0);
	CHECK_EQ(vm_get_desc(cpu[0], VM_AMD64_REG_GDTR, &base, &limit, &access), 0);
	CHECK(base == 0x3000 && limit == 23);
	CHECK_EQ(vm_get_desc(cpu[0], VM_AMD64_REG_LDTR, &base, &limit, &access), 0);
	CHECK((access & VM_AMD64_SEG_UNUSABLE) != 0);
	/* It is a state that can be carried over. */
	CHECK_EQ(amd64_state_table.check(cpu[0]->state), 0);
	CHECK_EQ(vm_setup_freebsd_registers(cpu[0], 0, 1ULL << 60, 0, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_setup_freebsd_registers(NULL, 0, 0, 0, 0), -1);
	stop();
}

TEST(freebsd_32_bit_entry)
{
	uint64_t base, gdt[3];
	uint32_t limit, access;

	start();
	CHECK_EQ(vm_setup_freebsd_registers_i386(cpu[0], 0x400000, 0x3000, 0x2000), 0);
	CHECK_EQ(get(0, VM_AMD64_REG_RIP), 0x400000);
	CHECK_EQ(get(0, VM_AMD64_REG_CR0) & 0x80000001, 1);
	CHECK_EQ(get(0, VM_AMD64_REG_EFER), 0);
	CHECK_EQ(vm_get_desc(cpu[0], VM_AMD64_REG_CS, &base, &limit, &access), 0);
	CHECK((access & VM_AMD64_SEG_L) == 0 && (access & VM_AMD64_SEG_DB) != 0);
	CHECK_EQ(vm_gpa_read(vm, 0x3000, gdt, sizeof(gdt)), 0);
	CHECK_EQ(gdt[0], 0);
	CHECK_EQ(gdt[1], 0x00cf9b000000ffffULL);
	CHECK_EQ(gdt[2], 0x00cf93000000ffffULL);
	CHECK_EQ(amd64_state_table.check(cpu[0]->state), 0);
	CHECK_EQ(vm_setup_freebsd_registers_i386(cpu[0], 0, 0xfffff0, 0), -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_HAS(vm_errmsg(), "not RAM");
	stop();
}

TEST(exceptions)
{
	struct amd64_state *st;

	start();
	st = cpu[0]->state;
	CHECK_EQ(vm_amd64_inject_exception(cpu[0], 13, 1, 0x18, 0), 0);
	CHECK(st->exc_pending == 1 && st->exc_vector == 13 && st->exc_has_error == 1 && st->exc_error == 0x18);
	CHECK_EQ(vm_amd64_inject_exception(cpu[0], 6, 0, 0, 0), -1);
	CHECK_EQ(errno, EBUSY);
	CHECK_EQ(vm_vcpu_reset(cpu[0]), 0);
	CHECK_EQ(st->exc_pending, 0);
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_RUN_STATE, VM_AMD64_HALTED), 0);
	CHECK_EQ(vm_amd64_inject_exception(cpu[0], 6, 0, 0, 1), 0);
	CHECK(st->exc_pending == 1 && st->exc_vector == 6 && st->exc_has_error == 0);
	CHECK_EQ(get(0, VM_AMD64_REG_RUN_STATE), VM_AMD64_RUNNING);
	CHECK_EQ(vm_amd64_inject_exception(cpu[1], 32, 0, 0, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_amd64_inject_exception(cpu[1], 2, 0, 0, 0), -1);
	CHECK_EQ(vm_amd64_inject_exception(cpu[1], -1, 0, 0, 0), -1);
	CHECK_EQ(vm_amd64_inject_exception(cpu[1], 6, 1, 0, 0), -1);
	CHECK_EQ(vm_amd64_inject_exception(NULL, 6, 0, 0, 0), -1);
	stop();
}

TEST(events_in_order)
{
	start();
	/* INIT and start-up in one look: INIT first. */
	CHECK_EQ(vm_set_register(cpu[1], VM_AMD64_REG_RUN_STATE, VM_AMD64_RUNNING), 0);
	CHECK_EQ(vm_set_register(cpu[1], VM_AMD64_REG_RAX, 1), 0);
	vcpu_post(cpu[1], AMD64_EV_INIT | AMD64_EV_SIPI | 0x0800 | AMD64_EV_NMI);
	amd64_event(cpu[1]);
	CHECK_EQ(get(1, VM_AMD64_REG_RUN_STATE), VM_AMD64_RUNNING);
	CHECK_EQ(get(1, VM_AMD64_REG_RAX), 0);
	CHECK_EQ(get(1, VM_AMD64_REG_CS), 0x0800);
	CHECK_EQ(((struct amd64_state *)cpu[1]->state)->seg[SEG_CS].base, 0x8000);
	CHECK_EQ(((struct amd64_state *)cpu[1]->state)->nmi_pending, 1);
	CHECK(amd64_runnable(cpu[1]));
	CHECK_EQ(vm_set_register(cpu[1], VM_AMD64_REG_RUN_STATE, VM_AMD64_HALTED), 0);
	CHECK(!amd64_runnable(cpu[1]));
	stop();
}

/* What the shims open is not in the way of a reinit or close. */
TEST(shim_handles_go_with_the_vm)
{
	start();
	CHECK_EQ(vm_isa_assert_irq(vm, 4, 4), 0);
	CHECK_EQ(vm_ioapic_pulse_irq(vm, 20), 0);
	if (vm_reinit(vm) != 0)
		FAIL("vm_reinit: %s", vm_errmsg());
	CHECK_EQ(vm_isa_assert_irq(vm, 4, -1), 0);
	stop();
}

TEST_MAIN()
