/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arm64 part of libvmmapi as the Arm ARM and vmmapi/arm64.h promise it: registers, capabilities, power-on state, bhyve's calls,
 * stage 1 translation, and what a snapshot may bring.
 */
#include <test.h>

#include "arm64/arm64.h"

#define	RAM	0x40000000ULL
#define	MEG	0x100000ULL

static struct vmctx *
open_vm(enum vm_arch arch)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = arch, .accel = VM_ACCEL_SOFT };
	struct vmctx *vm = vm_new(&spec);

	CHECKF(vm != NULL, "%s", vm_errmsg());
	return (vm);
}

static uint64_t
get(struct vcpu *vcpu, int reg)
{
	uint64_t v;

	CHECKF(vm_get_register(vcpu, reg, &v) == 0, "%s", vm_errmsg());
	return (v);
}

static void
set(struct vcpu *vcpu, int reg, uint64_t v)
{
	CHECKF(vm_set_register(vcpu, reg, v) == 0, "%s", vm_errmsg());
}

TEST(every_register_has_a_name_and_a_number)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	unsigned bits;

	for (int r = VM_ARM64_REG_FIRST; r < VM_ARM64_REG_LAST; r++) {
		CHECKF(vm_register_name(vm, r, &bits) != NULL, "register 0x%x has no name", (unsigned)r);
		CHECK(bits == 32 || bits == 64);
		for (int q = VM_ARM64_REG_FIRST; q < r; q++)
			CHECK(strcmp(vm_register_name(vm, r, NULL), vm_register_name(vm, q, NULL)) != 0);
	}
	CHECK_STR(vm_register_name(vm, VM_ARM64_REG_X29, NULL), "x29");
	CHECK_STR(vm_register_name(vm, VM_ARM64_REG_PC, NULL), "pc");
	CHECK(vm_register_name(vm, VM_ARM64_REG_LAST, NULL) == NULL);
	vm_close(vm);
}

TEST(registers_hold_what_was_set)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	struct vcpu *vcpu = vm_vcpu_open(vm, 0);
	unsigned bits;

	for (int r = VM_ARM64_REG_FIRST; r < VM_ARM64_REG_LAST; r++) {
		if (r == VM_ARM64_REG_PSTATE || r == VM_ARM64_REG_MIDR_EL1 || r == VM_ARM64_REG_MPIDR_EL1 ||
		    r == VM_ARM64_REG_RUN_STATE)
			continue;
		(void)vm_register_name(vm, r, &bits);
		set(vcpu, r, bits == 64 ? 0x123456789abcdef0 + (unsigned)r : 0x9abcdef0 + (unsigned)r);
	}
	for (int r = VM_ARM64_REG_FIRST; r < VM_ARM64_REG_LAST; r++) {
		if (r == VM_ARM64_REG_PSTATE || r == VM_ARM64_REG_MIDR_EL1 || r == VM_ARM64_REG_MPIDR_EL1 ||
		    r == VM_ARM64_REG_RUN_STATE)
			continue;
		(void)vm_register_name(vm, r, &bits);
		CHECK_EQ(get(vcpu, r), bits == 64 ? 0x123456789abcdef0 + (unsigned)r : 0x9abcdef0 + (unsigned)r);
	}
	vm_close(vm);
}

TEST(registers_refuse_what_they_cannot_hold)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	struct vcpu *vcpu = vm_vcpu_open(vm, 0);
	static const uint64_t pstates[] = {
		PSTATE_EL1H | PSTATE_NRW,		/* AArch32 */
		0x9,					/* EL2h */
		0xd,					/* EL3h */
		0x2,					/* no such mode */
		PSTATE_EL1H | 1ULL << 40,
	};

	for (size_t i = 0; i < nitems(pstates); i++) {
		errno = 0;
		CHECK_EQ(vm_set_register(vcpu, VM_ARM64_REG_PSTATE, pstates[i]), -1);
		CHECK_EQ(errno, EINVAL);
		CHECK_HAS(vm_errmsg(), "pstate");
	}
	set(vcpu, VM_ARM64_REG_PSTATE, PSTATE_EL0T | PSTATE_N);
	CHECK_EQ(vm_set_register(vcpu, VM_ARM64_REG_MIDR_EL1, 1), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(vm_set_register(vcpu, VM_ARM64_REG_MPIDR_EL1, 1), -1);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(vm_set_register(vcpu, VM_ARM64_REG_FPCR, 1ULL << 32), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_set_register(vcpu, VM_ARM64_REG_RUN_STATE, 3), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_set_register(vcpu, 0x100, 0), -1);		/* another architecture's */
	CHECK_EQ(errno, EINVAL);
	vm_close(vm);
}

TEST(power_on_is_el1_masked_at_zero)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	struct vcpu *vcpu[3] = { vm_vcpu_open(vm, 0), vm_vcpu_open(vm, 1), vm_vcpu_open(vm, 17) };

	for (unsigned i = 0; i < 3; i++) {
		set(vcpu[i], VM_ARM64_REG_X0, 5);
		set(vcpu[i], VM_ARM64_REG_PC, 0x1000);
		CHECK_EQ(vm_vcpu_reset(vcpu[i]), 0);
		CHECK_EQ(get(vcpu[i], VM_ARM64_REG_X0), 0);
		CHECK_EQ(get(vcpu[i], VM_ARM64_REG_PC), 0);
		CHECK_EQ(get(vcpu[i], VM_ARM64_REG_PSTATE), 0x3c5);	/* EL1h, DAIF set */
		CHECK_EQ(get(vcpu[i], VM_ARM64_REG_SCTLR_EL1) & 0x1005, 0);	/* no MMU, no caches */
		CHECK_EQ(get(vcpu[i], VM_ARM64_REG_RUN_STATE), i == 0 ? VM_ARM64_RUNNING : VM_ARM64_OFF);
	}
	CHECK_EQ(get(vcpu[0], VM_ARM64_REG_MPIDR_EL1), 0x80000000);
	CHECK_EQ(get(vcpu[1], VM_ARM64_REG_MPIDR_EL1), 0x80000001);
	CHECK_EQ(get(vcpu[2], VM_ARM64_REG_MPIDR_EL1), 0x80000101);	/* sixteen to a cluster */
	vm_close(vm);
}

TEST(affinities_name_their_vcpus)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);

	CHECK(vm_vcpu_open(vm, 0) != NULL);
	CHECK(vm_vcpu_open(vm, 63) != NULL);
	for (int id = 0; id < VM_MAXCPU; id++)
		CHECK(arm64_by_affinity(vm, arm64_affinity(id)) == vm->vcpus[id]);
	CHECK(arm64_by_affinity(vm, 0x10) == NULL);
	CHECK(arm64_by_affinity(vm, 0x400) == NULL);
	CHECK(arm64_by_affinity(vm, 0x10000) == NULL);
	CHECK(arm64_by_affinity(vm, 1ULL << 32) == NULL);
	vm_close(vm);
}

TEST(capabilities_are_the_list)
{
	static const struct {
		int type;
		const char *name;
		int initial;
	} caps[] = {
		{ VM_CAP_HALT_EXIT, "halt_exit", 0 },
		{ VM_CAP_PAUSE_EXIT, "pause_exit", 0 },
		{ VM_CAP_UNRESTRICTED_GUEST, "unrestricted_guest", 1 },
		{ VM_CAP_MASK_INTR, "mask_hwintr", 0 },
		{ VM_CAP_SINGLE_STEP, "single_step", 0 },
		{ VM_CAP_BREAK_EXIT, "bpt_exit", 0 },
	};
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	struct vcpu *vcpu = vm_vcpu_open(vm, 0);
	int val;

	for (size_t i = 0; i < nitems(caps); i++) {
		CHECK_EQ(vm_capability_name2type(caps[i].name), caps[i].type);
		CHECK_EQ(vm_get_capability(vcpu, caps[i].type, &val), 0);
		CHECK_EQ(val, caps[i].initial);
	}
	CHECK_EQ(vm_get_capability(vcpu, VM_CAP_MD_FIRST, &val), -1);
	CHECK_EQ(errno, ENOTSUP);
	vm_close(vm);
}

TEST(layout_is_virt)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	struct vm_layout l;

	CHECK_EQ(vm_get_layout(vm, &l), 0);
	CHECK_STR(l.name, "virt");
	CHECK_EQ(l.ram[0].base, RAM);
	CHECK_EQ(vm_setup_memory(vm, 64 * MEG, VM_MMAP_ALL), 0);
	CHECK(vm_map_gpa(vm, RAM, 64 * MEG) != NULL);
	CHECK(vm_map_gpa(vm, 0, 0x1000) == NULL);
	vm_close(vm);
}

TEST(there_are_no_ports)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	struct vm_range_spec spec = { .name = "p", .space = VM_SPACE_IO, .base = 0x60, .len = 1 };

	CHECK(vm_range_add(vm, &spec) == NULL);
	CHECK_EQ(errno, EINVAL);
	vm_close(vm);
}

TEST(calls_for_arm64_refuse_amd64)
{
	struct vmctx *vm = open_vm(VM_ARCH_AMD64);
	struct vcpu *vcpu = vm_vcpu_open(vm, 0);

	CHECK_EQ(vm_assert_irq(vm, 40), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_HAS(vm_errmsg(), "arm64");
	CHECK_EQ(vm_deassert_irq(vm, 40), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_attach_vgic(vm, 0, 0x10000, 0x10000, 0x20000), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_HAS(vm_errmsg(), "arm64");
	CHECK_EQ(vm_arm64_inject_exception(vcpu, 0, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_assert_irq(NULL, 40), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_arm64_inject_exception(NULL, 0, 0), -1);
	CHECK_EQ(errno, EINVAL);
	vm_close(vm);
}

TEST(irq_shims_know_their_range)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);

	CHECK_EQ(vm_assert_irq(vm, 31), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_assert_irq(vm, 32 + 256), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_HAS(vm_errmsg(), "288");
	CHECK_EQ(vm_assert_irq(vm, 32), 0);
	CHECK_EQ(vm_assert_irq(vm, 32), 0);
	CHECK_EQ(vm_deassert_irq(vm, 32), 0);
	CHECK_EQ(vm_assert_irq(vm, 287), 0);
	/* They do not stand in the way of a new beginning. */
	CHECKF(vm_reinit(vm) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_deassert_irq(vm, 287), 0);
	vm_close(vm);
}

TEST(vgic_goes_where_it_is_put)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	uint64_t v;

	CHECK(vm_vcpu_open(vm, 0) != NULL);
	CHECK(vm_vcpu_open(vm, 1) != NULL);
	CHECK_EQ(vm_attach_vgic(vm, 0x2f000001, 0x10000, 0x2f100000, 0x40000), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_attach_vgic(vm, 0x2f000000, 0x1000, 0x2f100000, 0x40000), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_attach_vgic(vm, 0x2f000000, 0x10000, 0x2f100000, 0x20000), -1);	/* for one only */
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_attach_vgic(vm, 0x2f000000, 0x10000, 0x2f000000, 0x40000), -1);	/* overlap */
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_attach_vgic(vm, 0x2f000000, 0x10000, UINT64_MAX & ~0xffffULL, 0x40000), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_attach_vgic(vm, 0x2f000000, 0x10000, 0x2f100000, 0x40000), 0);
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_attach_vgic(vm, 0x2f000000, 0x10000, 0x2f100000, 0x40000), -1);
	CHECK_EQ(errno, EBUSY);
	CHECK_EQ(vm_access(vm, VM_SPACE_MEM, 0x2f00ffe8, 4, false, &v), 0);
	CHECK_EQ(v & 0xf0, 0x30);
	CHECK_EQ(vm_access(vm, VM_SPACE_MEM, 0x2f100000 + 0x20000 + 0xffe8, 4, false, &v), 0);
	CHECK_EQ(v & 0xf0, 0x30);
	CHECK_EQ(vm_access(vm, VM_SPACE_MEM, 0x0800ffe8, 4, false, &v), -1);
	CHECK_EQ(errno, EFAULT);
	vm_close(vm);
}

TEST(one_exception_can_be_injected)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	struct vcpu *vcpu = vm_vcpu_open(vm, 0);

	CHECK_EQ(vm_arm64_inject_exception(vcpu, 1ULL << 32, 0), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_arm64_inject_exception(vcpu, 0x96000010, 0x1234), 0);
	CHECK_EQ(vm_arm64_inject_exception(vcpu, 0x96000010, 0x1234), -1);
	CHECK_EQ(errno, EBUSY);
	CHECK_EQ(vm_vcpu_reset(vcpu), 0);
	CHECK_EQ(vm_arm64_inject_exception(vcpu, 0x96000010, 0x1234), 0);
	vm_close(vm);
}

/* Stage 1 translation (Arm ARM D5.2 to D5.4) */

#define	D_AF	(1ULL << 10)
#define	D_EL0	(1ULL << 6)
#define	D_RO	(1ULL << 7)
#define	D_PXN	(1ULL << 53)
#define	D_UXN	(1ULL << 54)
#define	T0	(RAM + 0x10000)		/* TTBR0's level 0 */
#define	T1	(RAM + 0x11000)		/* its level 1 */
#define	T2	(RAM + 0x12000)
#define	T3	(RAM + 0x13000)
#define	U1	(RAM + 0x14000)		/* TTBR1's first level, level 1: 39 bits */
#define	TCR	(16ULL | 25ULL << 16 | 2ULL << 30 | 2ULL << 32)	/* T0SZ 16, T1SZ 25, 4 KiB, 40 bits */

static struct vmctx *wvm;
static struct vcpu *wcpu;

static void
put(uint64_t table, unsigned index, uint64_t desc)
{
	uint64_t *p = vm_map_gpa(wvm, table + 8 * index, 8);

	CHECK(p != NULL);
	*p = desc;
}

static void
walk_vm(void)
{
	wvm = open_vm(VM_ARCH_ARM64);
	wcpu = vm_vcpu_open(wvm, 0);
	CHECK_EQ(vm_setup_memory(wvm, 16 * MEG, VM_MMAP_ALL), 0);
	put(T0, 0, T1 | 3);
	put(T1, 0, T2 | 3);
	put(T1, 1, RAM | D_AF | 1);				/* 1 GiB block at 1 GiB */
	put(T2, 0, T3 | 3);
	put(T2, 1, 0x40200000 | D_AF | 1);			/* 2 MiB block */
	put(T3, 0, 0x40005000 | D_AF | 3);			/* EL1 read and write */
	put(T3, 1, 0x40006000 | D_AF | D_RO | 3);
	put(T3, 2, 0x40007000 | D_AF | D_EL0 | 3);		/* EL0 read and write */
	put(T3, 3, 0x40008000 | D_AF | D_EL0 | D_RO | 3);
	put(T3, 4, 0x40009000 | 3);				/* no access flag */
	put(T3, 5, 0x4000a000 | D_AF | D_PXN | D_UXN | 3);
	put(T3, 6, 0x4000b000 | D_AF | 1);			/* reserved at level 3 */
	put(T3, 7, 0x10000000000 | D_AF | 3);			/* beyond 40 bits */
	put(U1, 511, 0x40000000 | D_AF | 1);
	set(wcpu, VM_ARM64_REG_TTBR0_EL1, T0 | 0x1234ULL << 48);	/* with an ASID */
	set(wcpu, VM_ARM64_REG_TTBR1_EL1, U1);
	set(wcpu, VM_ARM64_REG_TCR_EL1, TCR);
	set(wcpu, VM_ARM64_REG_SCTLR_EL1, SCTLR_RES1 | SCTLR_M);
}

/* The address, or all ones for a fault. */
static uint64_t
tr(uint64_t va, int prot)
{
	vm_paddr_t gpa = 0;
	int fault = 7;

	CHECKF(vm_gva2gpa(wcpu, va, prot, &gpa, &fault) == 0, "%s", vm_errmsg());
	CHECK(fault == 0 || fault == 1);
	return (fault != 0 ? UINT64_MAX : gpa);
}

#define	R	VM_PROT_READ
#define	W	VM_PROT_WRITE
#define	X	VM_PROT_EXEC
#define	FAULT	UINT64_MAX

TEST(without_mmu_addresses_are_physical)
{
	wvm = open_vm(VM_ARCH_ARM64);
	wcpu = vm_vcpu_open(wvm, 0);
	CHECK_EQ(tr(0x12345678, R | W | X), 0x12345678);
	CHECK_EQ(tr(0xffffffffff, R), 0xffffffffff);
	CHECK_EQ(tr(0x10000000000, R), FAULT);		/* no such address */
	vm_close(wvm);
}

TEST(pages_and_blocks_translate)
{
	walk_vm();
	CHECK_EQ(tr(0x123, R | W | X), 0x40005123);
	CHECK_EQ(tr(0x2abcde, R), 0x402abcde);		/* 2 MiB block */
	CHECK_EQ(tr(0x40654321, R), 0x40654321);	/* 1 GiB block */
	CHECK_EQ(tr(0x80000000, R), FAULT);
	CHECK_EQ(tr(0x8000000000, R), FAULT);		/* level 0 */
	CHECK_EQ(tr(0x6000, R), FAULT);
	CHECK_EQ(tr(0x7000, R), FAULT);
	CHECK_EQ(tr(0x4000, R), FAULT);
	vm_close(wvm);
}

TEST(the_upper_half_has_its_own_tables)
{
	walk_vm();
	CHECK_EQ(tr(0xffffffffc0123456, R), 0x40123456);
	CHECK_EQ(tr(0xffffff8000000000, R), FAULT);	/* in reach, not mapped */
	CHECK_EQ(tr(0xffff000000000000, R), FAULT);	/* below T1SZ's region */
	CHECK_EQ(tr(0x0001000000000000, R), FAULT);	/* above T0SZ's */
	/* Tagged addresses only with TBI. */
	CHECK_EQ(tr(0xab00000000000123, R), FAULT);
	set(wcpu, VM_ARM64_REG_TCR_EL1, TCR | 3ULL << 37);
	CHECK_EQ(tr(0xab00000000000123, R), 0x40005123);
	CHECK_EQ(tr(0xabffffffc0123456, R), 0x40123456);
	/* EPD0 and EPD1 switch the walks off. */
	set(wcpu, VM_ARM64_REG_TCR_EL1, TCR | 1U << 7);
	CHECK_EQ(tr(0x123, R), FAULT);
	CHECK_EQ(tr(0xffffffffc0123456, R), 0x40123456);
	set(wcpu, VM_ARM64_REG_TCR_EL1, TCR | 1U << 23);
	CHECK_EQ(tr(0xffffffffc0123456, R), FAULT);
	CHECK_EQ(tr(0x123, R), 0x40005123);
	vm_close(wvm);
}

TEST(permissions_of_el1_and_el0)
{
	walk_vm();
	CHECK_EQ(tr(0x1000, R), 0x40006000);
	CHECK_EQ(tr(0x1000, W), FAULT);
	CHECK_EQ(tr(0x2000, W), 0x40007000);
	CHECK_EQ(tr(0x2000, X), FAULT);			/* EL0 can write it: not executable at EL1 */
	CHECK_EQ(tr(0x3000, X), 0x40008000);
	CHECK_EQ(tr(0x5000, R | W), 0x4000a000);
	CHECK_EQ(tr(0x5000, X), FAULT);
	set(wcpu, VM_ARM64_REG_SCTLR_EL1, SCTLR_RES1 | SCTLR_M | SCTLR_WXN);
	CHECK_EQ(tr(0x0000, X), FAULT);			/* writable */
	CHECK_EQ(tr(0x1000, X), 0x40006000);
	set(wcpu, VM_ARM64_REG_SCTLR_EL1, SCTLR_RES1 | SCTLR_M);
	set(wcpu, VM_ARM64_REG_PSTATE, PSTATE_EL0T);
	CHECK_EQ(tr(0x0000, R), FAULT);
	CHECK_EQ(tr(0x0000, X), 0x40005000);		/* execute-only is possible at EL0 */
	CHECK_EQ(tr(0x2000, R | W | X), 0x40007000);
	CHECK_EQ(tr(0x3000, R), 0x40008000);
	CHECK_EQ(tr(0x3000, W), FAULT);
	vm_close(wvm);
}

TEST(tables_limit_what_is_below_them)
{
	walk_vm();
	put(T2, 0, T3 | 3 | 1ULL << 62);		/* APTable: read-only */
	CHECK_EQ(tr(0x0000, R), 0x40005000);
	CHECK_EQ(tr(0x0000, W), FAULT);
	put(T2, 0, T3 | 3 | 1ULL << 59);		/* PXNTable */
	CHECK_EQ(tr(0x3000, X), FAULT);
	put(T2, 0, T3 | 3 | 1ULL << 61);		/* APTable: not for EL0 */
	set(wcpu, VM_ARM64_REG_PSTATE, PSTATE_EL0T);
	CHECK_EQ(tr(0x2000, R), FAULT);
	vm_close(wvm);
}

/* The status codes that an abort reports. */
static bool
read_table(void *cookie, vm_paddr_t gpa, uint64_t *desc)
{
	return (vm_gpa_read(cookie, gpa, desc, 8) == 0);
}

static uint32_t
fsc(uint64_t va, int prot)
{
	struct arm64_walk w;

	CHECK(!arm64_walk(wcpu->state, va, prot, false, read_table, wvm, &w));
	return (w.fsc);
}

TEST(faults_say_what_and_at_which_level)
{
	walk_vm();
	CHECK_EQ(fsc(0x8000000000, R), FSC_TRANSLATION + 0);
	CHECK_EQ(fsc(0x80000000, R), FSC_TRANSLATION + 1);
	CHECK_EQ(fsc(0x400000, R), FSC_TRANSLATION + 2);
	CHECK_EQ(fsc(0x8000, R), FSC_TRANSLATION + 3);
	CHECK_EQ(fsc(0x4000, R), FSC_ACCESS + 3);
	CHECK_EQ(fsc(0x1000, W), FSC_PERMISSION + 3);
	CHECK_EQ(fsc(0x7000, R), FSC_ADDRESS + 3);
	put(T1, 2, 0x1000 | 3);				/* a table where nothing is */
	CHECK_EQ(fsc(0x80000000, R), FSC_EXTERNAL_WALK + 2);
	put(T0, 1, RAM | D_AF | 1);			/* no blocks at level 0 */
	CHECK_EQ(fsc(0x8000000000, R), FSC_TRANSLATION + 0);
	vm_close(wvm);
}

TEST(any_tables_are_walked_without_harm)
{
	uint64_t x = 88172645463325252ULL;

	walk_vm();
	for (unsigned n = 0; n < 200000; n++) {
		struct arm64_walk w;
		uint64_t r[4];

		for (unsigned i = 0; i < 4; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			r[i] = x;
		}
		put(T0 + (r[0] >> 50 & 3) * 0x1000, (unsigned)(r[0] & 0x1ff),
		    (r[1] & 0xfff0000000000fff) | (RAM + 0x10000 + (r[1] >> 20 & 0x7000)));
		((struct arm64_state *)wcpu->state)->tcr_el1 = r[2];
		if ((n & 7) == 0)
			((struct arm64_state *)wcpu->state)->ttbr0_el1 = RAM + 0x10000 + (r[3] >> 60) * 0x400;
		if (arm64_walk(wcpu->state, r[3] >> (r[3] & 31), R, (r[3] & 1) != 0, read_table, wvm, &w))
			CHECK(w.gpa < 1ULL << 40);
	}
	vm_close(wvm);
}

/* Snapshots */

TEST(impossible_state_is_refused)
{
	struct arm64_state s, good;
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	struct vcpu *vcpu = vm_vcpu_open(vm, 0);

	memcpy(&good, vcpu->state, sizeof(good));
	CHECK_EQ(arm64_state_table.check(&good), 0);
	s = good;
	s.pstate = 0x9;
	CHECK_EQ(arm64_state_table.check(&s), -1);
	s = good;
	s.pstate |= PSTATE_NRW;
	CHECK_EQ(arm64_state_table.check(&s), -1);
	s = good;
	s.run_state = 3;
	CHECK_EQ(arm64_state_table.check(&s), -1);
	s = good;
	s.on_state = ARM64_ON_CLAIMED;
	CHECK_EQ(arm64_state_table.check(&s), -1);
	s = good;
	s.on_state = ARM64_ON_READY;
	CHECK_EQ(arm64_state_table.check(&s), -1);
	s.run_state = VM_ARM64_OFF;
	CHECK_EQ(arm64_state_table.check(&s), 0);
	s = good;
	s.cntv_ctl_el0 = 4;
	CHECK_EQ(arm64_state_table.check(&s), -1);
	s = good;
	/* PSTATE has PAN where the ID registers have it, and programs of AArch32 where they are. */
	s.pstate |= PSTATE_PAN;
	CHECK_EQ(arm64_state_table.check(&s), -1);
	s.id[ARM64_ID_AA64MMFR1] |= 1ULL << 20;
	CHECK_EQ(arm64_state_table.check(&s), 0);
	s = good;
	s.pstate = PSTATE_NRW | 0x20;			/* Thumb */
	CHECK_EQ(arm64_state_table.check(&s), -1);
	s.id[ARM64_ID_AA64PFR0] = (s.id[ARM64_ID_AA64PFR0] & ~0xfULL) | 2;
	CHECK_EQ(arm64_state_table.check(&s), 0);
	s.pstate |= PSTATE_EL1H;
	CHECK_EQ(arm64_state_table.check(&s), -1);
	vm_close(vm);
}

TEST(every_field_survives)
{
	struct vmctx *vm = open_vm(VM_ARCH_ARM64);
	struct vcpu *vcpu = vm_vcpu_open(vm, 0);
	struct arm64_state in, out;
	struct vm_state_out *so = vm_state_out_open();
	struct vm_state_in *si;
	const void *data;
	uint8_t *p = (uint8_t *)&in;
	size_t len;

	memset(&in, 0, sizeof(in));
	memset(&out, 0, sizeof(out));
	/* Each declared field gets bytes of its own, with those that are checked put right. */
	for (unsigned i = 0; i < arm64_state_table.nfields; i++) {
		const struct vm_state_field *f = &arm64_state_table.fields[i];

		for (unsigned b = 0; b < f->count * f->stride; b++)
			p[f->offset + b] = (uint8_t)(i * 37 + b);
	}
	in.pstate = PSTATE_EL1H;
	in.run_state = VM_ARM64_WAITING;
	in.on_state = ARM64_ON_NONE;
	in.exc_pending = 1;
	in.exc_esr = in.midr_el1 = in.contextidr_el1 = 0x1234567;
	in.cntv_ctl_el0 = 1;
	in.cntp_ctl_el0 = 2;
	memcpy(in.id, ((struct arm64_state *)vcpu->state)->id, sizeof(in.id));
	in.dczid_el0 = 4;
	CHECKF(vm_state_put(so, &arm64_state_table, "0", &in) == 0, "%s", vm_errmsg());
	data = vm_state_out_data(so, &len);
	si = vm_state_in_open(data, len);
	CHECKF(si != NULL, "%s", vm_errmsg());
	CHECKF(vm_state_get(si, &arm64_state_table, "0", &out) == 0, "%s", vm_errmsg());
	CHECK(memcmp(&in, &out, sizeof(in)) == 0);
	vm_state_in_close(si);
	vm_state_out_close(so);
	CHECK(vcpu != NULL);
	vm_close(vm);
}

TEST_MAIN()
