/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_xsave.c - AVX and AVX-512 registers on their way from one VM of kvm's into another.
 *
 * There are kernels whose KVM keeps these registers without telling guests of AVX in CPUID: what is shown is made more there, so that the way can be gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>
#include <vmmapi/state.h>

#include "kvm/kvm_amd64.h"
#include "test.h"

#define	RAM	(4UL << 20)
#define	CODE	0x1000
#define	PORT	0x80
#define	XMM	160			/* in an FXSAVE image */

static struct vmctx *
guest(void)
{
	/* out 80h, al; jmp back */
	static const uint8_t code[] = { 0xe6, PORT, 0xeb, 0xfc };
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_KVM };
	struct vmctx *vm = vm_new(&spec);
	struct vcpu *cpu;

	CHECKF(vm != NULL && vm_setup_memory(vm, RAM, VM_MMAP_ALL) == 0 && (cpu = vm_vcpu_open(vm, 0)) != NULL, "%s", vm_errmsg());
	CHECK_EQ(vm_set_desc(cpu, VM_AMD64_REG_CS, 0, 0xffff, 0x9b), 0);
	CHECK_EQ(vm_set_register(cpu, VM_AMD64_REG_CS, 0), 0);
	CHECK_EQ(vm_set_register(cpu, VM_AMD64_REG_RIP, CODE), 0);
	CHECK_EQ(vm_gpa_write(vm, CODE, code, sizeof(code)), 0);
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	return (vm);
}

/* Components that the guest can have, where it can have more than it is shown. */
static uint32_t
show_all(struct vmctx *vm)
{
	struct kvm_md_vm *md = kvm_vm(vm)->md;
	struct amd64_vm *av = vm->md_vm;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 256 * sizeof(c->entries[0])), *mine = md->cpuid;
	uint32_t xcr0 = 0;

	CHECK(c != NULL);
	c->nent = 256;
	CHECK_EQ(kvm_ioctl(kvm_vm(vm)->kvmfd, KVM_GET_SUPPORTED_CPUID, c), 0);
	for (uint32_t i = 0; i < c->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function != 0xd)
			continue;
		if (e->index == 0)
			xcr0 = e->eax & ((e->eax & XCR0_AVX512) == XCR0_AVX512 ? XCR0_X87_SSE | XCR0_AVX | XCR0_AVX512 : XCR0_X87_SSE | XCR0_AVX);
		if (e->index >= 5 && e->index <= 7)
			av->xsave_here[e->index - 5] = e->ebx;
		if (md->xcr0 == 0)
			mine->entries[mine->nent++] = *e;
	}
	for (uint32_t i = 0; i < mine->nent; i++) {
		if (mine->entries[i].function == 1)
			mine->entries[i].ecx |= 1U << 26 | ((xcr0 & XCR0_AVX) != 0 ? 1U << 28 : 0);
		if (mine->entries[i].function == 0xd && mine->entries[i].index == 0) {
			mine->entries[i].eax = xcr0;
			mine->entries[i].edx = 0;
		}
	}
	memcpy(av->xsave_seen, av->xsave_here, sizeof(av->xsave_seen));
	av->here[WD_EAX] = av->seen[WD_EAX] = xcr0;
	free(c);
	CHECKF(kvm_cpuid_set(vm->vcpus[0]) == 0, "%s", vm_errmsg());
	return (xcr0);
}

static void
runs(struct vmctx *vm)
{
	struct vm_exit ex;

	CHECKF(vm_run(vm->vcpus[0], &ex) == 0, "%s", vm_errmsg());
	CHECKF(ex.code == VM_EXIT_IO && ex.u.io.port == PORT, "exit %d, %s", ex.code, vm_errmsg());
}

static void
fill(uint8_t *p, size_t len, uint64_t *seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(test_random(seed) >> 24);
}

/* The components of from that the guest has, by a stream through the kernel's registers into to's, which are then in the page. */
static void
pass(struct vmctx *from, struct vmctx *to)
{
	struct vm_state_out *out = vm_state_out_open();
	struct vm_state_in *in;
	const void *data;
	size_t len;

	CHECKF(vm_state_save(from, out) == 0, "%s", vm_errmsg());
	CHECK((data = vm_state_out_data(out, &len)) != NULL);
	CHECK((in = vm_state_in_open(data, len)) != NULL);
	CHECKF(vm_state_load(to, in) == 0, "%s", vm_errmsg());
	vm_state_in_close(in);
	vm_state_out_close(out);
}

TEST(registers_go_along)
{
	struct vmctx *vm[2];
	struct amd64_state *st, want;
	uint64_t seed = 20261130, val;
	uint32_t xcr0;

	if (vm_accel_probe(VM_ACCEL_KVM, VM_ARCH_AMD64) != 0)
		SKIP(vm_errmsg());
	vm[0] = guest();
	vm[1] = guest();
	xcr0 = show_all(vm[0]);
	CHECK_EQ(show_all(vm[1]), xcr0);
	if ((xcr0 & XCR0_AVX) == 0)
		SKIP("this kernel's KVM has no AVX registers");
	printf("# components %#x\n", xcr0);
	for (unsigned round = 0; round < 40; round++) {
		struct vmctx *a = vm[round % 2], *b = vm[1 - round % 2];

		CHECKF(vm_set_register(a->vcpus[0], VM_AMD64_REG_XCR0, round % 3 == 0 ? 1 : round % 3 == 1 ? 7 : xcr0) == 0, "%s", vm_errmsg());
		st = a->vcpus[0]->state;
		CHECK_EQ(vcpu_hold(a->vcpus[0]), 0);
		fill(st->fxsave + XMM, 256, &seed);
		/* One that is as at reset is not in images; all sizes of what is left. */
		for (unsigned i = 0; i < AMD64_NXPARTS; i++) {
			const struct amd64_xpart *p = &amd64_xparts[i];
			uint8_t *at = (uint8_t *)st + p->offset;

			memset(at, 0, p->size);
			if ((xcr0 >> p->nr & 1) != 0 && (round >> i & 1) == 0)
				fill(at, p->size, &seed);
			if ((xcr0 >> p->nr & 1) != 0 && round % 7 == 6)
				at[p->size - 1] = 1;
		}
		want = *st;
		vcpu_release(a->vcpus[0], true);
		runs(a);
		/* What comes now is the kernel's. */
		memset(&st->avx, 0xee, sizeof(st->avx));
		memset(&st->avx512, 0xee, sizeof(st->avx512));
		memset(st->fxsave + XMM, 0xee, 256);
		pass(a, b);
		runs(b);
		st = b->vcpus[0]->state;
		memset(&st->avx, 0xdd, sizeof(st->avx));
		memset(&st->avx512, 0xdd, sizeof(st->avx512));
		memset(st->fxsave + XMM, 0xdd, 256);
		CHECKF(vm_get_register(b->vcpus[0], VM_AMD64_REG_XCR0, &val) == 0, "%s", vm_errmsg());
		CHECK_EQ(val, want.xcr0);
		CHECKF(memcmp(st->fxsave + XMM, want.fxsave + XMM, 256) == 0, "round %u: XMM", round);
		for (unsigned i = 0; i < AMD64_NXPARTS; i++) {
			const struct amd64_xpart *p = &amd64_xparts[i];

			CHECKF(memcmp((uint8_t *)st + p->offset, (uint8_t *)&want + p->offset, p->size) == 0, "round %u: %s", round, p->name);
		}
	}
	vm_close(vm[0]);
	vm_close(vm[1]);
}

/* A value has to be somewhere: a vCPU whose processor does not have the register does not run. */
TEST(registers_that_there_are_not)
{
	struct amd64_state *st;
	struct amd64_vm *av;
	struct vmctx *vm;
	struct vm_exit ex;

	if (vm_accel_probe(VM_ACCEL_KVM, VM_ARCH_AMD64) != 0)
		SKIP(vm_errmsg());
	vm = guest();
	av = vm->md_vm;
	av->here[WD_EAX] = XCR0_X87_SSE;
	for (unsigned i = 0; i < AMD64_NXPARTS; i++) {
		const struct amd64_xpart *p = &amd64_xparts[i];

		CHECK_EQ(vcpu_hold(vm->vcpus[0]), 0);
		st = vm->vcpus[0]->state;
		((uint8_t *)st)[p->offset + p->size - 1] = 1;
		vcpu_release(vm->vcpus[0], true);
		CHECK_EQ(vm_run(vm->vcpus[0], &ex), -1);
		CHECK_EQ(errno, ENOTSUP);
		CHECK_HAS(vm_errmsg(), p->name);
		CHECK_HAS(vm_errmsg(), "which the guest's processor does not have here");
		CHECK_EQ(vcpu_hold(vm->vcpus[0]), 0);
		((uint8_t *)st)[p->offset + p->size - 1] = 0;
		vcpu_release(vm->vcpus[0], true);
		runs(vm);
	}
	vm_close(vm);
}

TEST_MAIN()
