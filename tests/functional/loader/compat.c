/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat.c - the library under bhyve's names, for the guest architecture of this program.
 */
#include <vmmapi.h>
#include <x86/segments.h>
#include <x86/specialreg.h>

#include "compat_prototypes.h"
#include "test.h"

TEST_MAIN()

_Static_assert(VM_MMAP_NONE != VM_MMAP_ALL && VM_MMAP_ALL != VM_MMAP_SPARSE, "styles");
_Static_assert(GSEL(1, SEL_KPL) == 8 && GSEL(2, SEL_UPL) == 0x13, "selectors");
_Static_assert(CR0_PE == 1 && (CR0_PG >> 31) == 1 && CR4_PAE == 0x20 && EFER_LME == 0x100 && EFER_LMA == 0x400,
    "control bits");

static struct vmctx *
new_vm(void)
{
	struct vm_spec spec = { .size = sizeof(spec), .accel = VM_ACCEL_SOFT };
	struct vmctx *ctx;

#ifdef VMMAPI_COMPAT_ARM64
	spec.arch = VM_ARCH_ARM64;
#endif
	ctx = vm_new(&spec);
	CHECKF(ctx != NULL, "%s", vm_errmsg());
	return (ctx);
}

TEST(functions_are_there)
{
	const struct promised *p = &promised;

	CHECK(p->create != NULL);
	CHECK(p->run != NULL);
}

TEST(registers)
{
	struct vmctx *ctx = new_vm();
	struct vcpu *vcpu = vm_vcpu_open(ctx, 0);
	uint64_t val = 0;

	CHECK(vcpu != NULL);
#ifdef VMMAPI_COMPAT_ARM64
	for (int r = VM_REG_GUEST_X0; r <= VM_REG_GUEST_X29; r++)
		CHECKF(vm_set_register(vcpu, r, (uint64_t)r) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_get_register(vcpu, VM_REG_GUEST_X17, &val), 0);
	CHECK_EQ(val, VM_REG_GUEST_X17);
	CHECK_STR(vm_register_name(ctx, VM_REG_GUEST_X29, NULL), "x29");
	CHECK_STR(vm_register_name(ctx, VM_REG_GUEST_PC, NULL), "pc");
	CHECK_EQ(vm_inject_exception(vcpu, 0x92000000, 0x1000), 0);
#else
	struct seg_desc desc;

	CHECK_EQ(vm_set_register(vcpu, VM_REG_GUEST_RBX, 5), 0);
	CHECK_EQ(vm_get_register(vcpu, VM_REG_GUEST_RBX, &val), 0);
	CHECK_EQ(val, 5);
	CHECK_STR(vm_register_name(ctx, VM_REG_GUEST_RBX, NULL), "rbx");
	CHECK_STR(vm_register_name(ctx, VM_REG_GUEST_R15, NULL), "r15");
	CHECK_EQ(vm_set_desc(vcpu, VM_REG_GUEST_CS, 0, 0xffffffff, 0xc09b), 0);
	CHECK_EQ(vm_get_seg_desc(vcpu, VM_REG_GUEST_CS, &desc), 0);
	CHECK_EQ(desc.limit, 0xffffffff);
	CHECK(SEG_DESC_PRESENT(desc.access));
	CHECK(SEG_DESC_DEF32(desc.access));
	CHECK(SEG_DESC_GRANULARITY(desc.access));
	CHECK(!SEG_DESC_UNUSABLE(desc.access));
	CHECK_EQ(SEG_DESC_DPL(desc.access), 0);
	CHECK_EQ(SEG_DESC_TYPE(desc.access), 0x1b);
	CHECK_EQ(vm_inject_exception(vcpu, 13, 1, 0, 0), 0);
#endif
	vm_close(ctx);
}

TEST(capabilities)
{
	struct vmctx *ctx = new_vm();
	struct vcpu *vcpu = vm_vcpu_open(ctx, 0);
	int val;

	CHECK(vcpu != NULL);
	CHECK_EQ(vm_get_capability(vcpu, VM_CAP_UNRESTRICTED_GUEST, &val), 0);
	CHECK_EQ(vm_get_capability(vcpu, VM_CAP_HALT_EXIT, &val), 0);
	CHECK_EQ(vm_get_capability(vcpu, VM_CAP_MASK_HWINTR, &val), 0);
#ifndef VMMAPI_COMPAT_ARM64
	CHECK_STR(vm_capability_type2name(VM_CAP_BPT_EXIT), "bpt_exit");
	CHECK_STR(vm_capability_type2name(VM_CAP_RDPID), "rdpid");
	CHECK_STR(vm_capability_type2name(VM_CAP_MASK_HWINTR), "mask_hwintr");
#endif
	vm_close(ctx);
}

TEST(run)
{
	struct vmctx *ctx = new_vm();
	struct vcpu *vcpu = vm_vcpu_open(ctx, 0);
	struct vm_exit exit;
	cpuset_t set;
	struct vm_run run = { .vm_exit = &exit, .cpuset = &set, .cpusetsize = sizeof(set) };
	struct timeval tv = { 0, 0 };
	uint64_t *stats;
	int n = 0;

	CHECK(vcpu != NULL);
	memset(&set, 0xff, sizeof(set));
	CHECK_EQ(vm_suspend(ctx, VM_SUSPEND_POWEROFF), 0);
	CHECKF(vm_run(vcpu, &run) == 0, "%s", vm_errmsg());
	CHECK_EQ(exit.exitcode, VM_EXITCODE_SUSPENDED);
	CHECK_EQ(exit.u.suspended.how, VM_SUSPEND_POWEROFF);
	CHECK_EQ(exit.native.code, VM_EXIT_SUSPENDED);
	CHECK(!CPU_ISSET(0, &set));
	CHECK_EQ(vm_unsuspend(ctx), 0);
	CHECK_EQ(vm_vcpu_kick(vcpu), 0);
	CHECKF(vm_run(vcpu, &run) == 0, "%s", vm_errmsg());
	CHECK_EQ(exit.exitcode, VM_EXITCODE_BOGUS);
	stats = vm_get_stats(vcpu, &tv, &n);
	CHECK(stats != NULL);
	CHECK_EQ(n, VM_STAT_LAST);
	CHECK(tv.tv_sec != 0);
	CHECK_EQ(stats[VM_STAT_KICK], 1);
	vm_close(ctx);
}

#ifndef VMMAPI_COMPAT_ARM64
/* in al, 0x92; out 0x93, al; hlt */
TEST(port_exits)
{
	static const uint8_t code[] = { 0xe4, 0x92, 0xe6, 0x93, 0xf4 };
	struct vmctx *ctx = new_vm();
	struct vcpu *vcpu = vm_vcpu_open(ctx, 0);
	struct vm_exit exit;
	struct vm_run run = { .vm_exit = &exit, .cpuset = NULL, .cpusetsize = 0 };
	uint64_t rax;

	CHECK(vcpu != NULL);
	CHECKF(vm_setup_memory(ctx, 1 << 20, VM_MMAP_ALL) == 0, "%s", vm_errmsg());
	memcpy(vm_map_gpa(ctx, 0x1000, sizeof(code)), code, sizeof(code));
	CHECKF(vm_setup_freebsd_registers_i386(vcpu, 0x1000, 0x800, 0x2000) == 0, "%s", vm_errmsg());
	CHECKF(vm_set_capability(vcpu, VM_CAP_HALT_EXIT, 1) == 0, "%s", vm_errmsg());
	CHECKF(vm_run(vcpu, &run) == 0, "%s", vm_errmsg());
	CHECK_EQ(exit.exitcode, VM_EXITCODE_INOUT);
	CHECK_EQ(exit.rip, 0x1000);
	CHECK_EQ(exit.u.inout.in, 1);
	CHECK_EQ(exit.u.inout.port, 0x92);
	CHECK_EQ(exit.u.inout.bytes, 1);
	CHECKF(vm_exit_reply(vcpu, 0x42) == 0, "%s", vm_errmsg());
	CHECKF(vm_run(vcpu, &run) == 0, "%s", vm_errmsg());
	CHECK_EQ(exit.exitcode, VM_EXITCODE_INOUT);
	CHECK_EQ(exit.u.inout.in, 0);
	CHECK_EQ(exit.u.inout.port, 0x93);
	CHECK_EQ(exit.u.inout.eax & 0xff, 0x42);
	CHECKF(vm_run(vcpu, &run) == 0, "%s", vm_errmsg());
	CHECK_EQ(exit.exitcode, VM_EXITCODE_HLT);
	CHECK_EQ(vm_get_register(vcpu, VM_REG_GUEST_RAX, &rax), 0);
	CHECK_EQ(rax & 0xff, 0x42);
	vm_close(ctx);
}
#endif
