/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * freebsd.c - the states in which loaders enter FreeBSD kernels, put together from the
 * architecture: flat segments, 64-bit mode with paging (Intel SDM vol. 3 9.8.5) or protected mode
 * without (9.9.1), interrupts off.
 */
#include <errno.h>
#include <string.h>

#include "amd64.h"

#define	SEL_CODE	8
#define	SEL_DATA	16

/*
 * Descriptors (SDM vol. 3 3.4.5): base 0, limit 4 GiB, present, ring 0, accessed.  A: G and L; C: G
 * and D/B. 9b: code, readable; 93: data, writable.
 */
#define	DESC_CODE64	0x00af9b000000ffffULL
#define	DESC_CODE32	0x00cf9b000000ffffULL
#define	DESC_DATA	0x00cf93000000ffffULL

/* The same as hidden parts. */
#define	ACC_CODE64	(VM_AMD64_SEG_G | VM_AMD64_SEG_L | 0x9bU)
#define	ACC_CODE32	(VM_AMD64_SEG_G | VM_AMD64_SEG_DB | 0x9bU)
#define	ACC_DATA	(VM_AMD64_SEG_G | VM_AMD64_SEG_DB | 0x93U)
#define	ACC_TSS_BUSY	0x8bU
#define	ACC_LDT_NONE	(VM_AMD64_SEG_UNUSABLE | 0x82U)

#define	GDT_ENTRIES	3

void
vm_setup_freebsd_gdt(uint64_t *gdt)
{
	if (gdt == NULL) {
		(void)vm_fail(EINVAL, "FreeBSD descriptors: no place for them");
		return;
	}
	gdt[0] = 0;
	gdt[1] = DESC_CODE64;
	gdt[2] = DESC_DATA;
}

/* What both entries have in common. */
static void
enter(struct amd64_state *st, uint64_t pc, uint64_t sp, uint64_t gdtbase, uint32_t code_access)
{
	st->rip = pc;
	st->gpr[RSP] = sp;
	st->rflags = RFLAGS_FIXED;
	memset(st->pdpte, 0, sizeof(st->pdpte));
	for (int i = SEG_ES; i <= SEG_GS; i++) {
		st->seg[i] = (struct amd64_segment){ .sel = SEL_DATA, .limit = 0xffffffff, .access = ACC_DATA };
	}
	st->seg[SEG_CS].sel = SEL_CODE;
	st->seg[SEG_CS].access = code_access;
	st->seg[SEG_TR] = (struct amd64_segment){ .access = ACC_TSS_BUSY };
	st->seg[SEG_LDTR] = (struct amd64_segment){ .access = ACC_LDT_NONE };
	st->seg[SEG_GDTR] = (struct amd64_segment){ .base = gdtbase, .limit = GDT_ENTRIES * 8 - 1 };
	st->run_state = VM_AMD64_RUNNING;
}

int
vm_setup_freebsd_registers(struct vcpu *vcpu, uint64_t rip, uint64_t cr3, uint64_t gdtbase, uint64_t rsp)
{
	struct amd64_state *st;

	if (amd64_check_vcpu(vcpu, "vm_setup_freebsd_registers") != 0)
		return (-1);
	if (cr3 >> 52 != 0) {
		return (vm_fail(EINVAL, "vm_setup_freebsd_registers: cr3 %#llx has reserved bits set",
		    (unsigned long long)cr3));
	}
	if (!amd64_canonical(gdtbase, 0)) {
		return (vm_fail(EINVAL, "vm_setup_freebsd_registers: GDT base %#llx is not canonical",
		    (unsigned long long)gdtbase));
	}
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	st = vcpu->state;
	enter(st, rip, rsp, gdtbase, ACC_CODE64);
	st->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_PG;
	st->cr3 = cr3;
	st->cr4 = CR4_PAE;
	st->efer = EFER_LME | EFER_LMA;
	vcpu_release(vcpu, true);
	return (0);
}

int
vm_setup_freebsd_registers_i386(struct vcpu *vcpu, uint32_t eip, uint32_t gdtbase, uint32_t esp)
{
	static const uint64_t gdt[GDT_ENTRIES] = { 0, DESC_CODE32, DESC_DATA };
	struct amd64_state *st;
	void *host;

	if (amd64_check_vcpu(vcpu, "vm_setup_freebsd_registers_i386") != 0)
		return (-1);
	host = vm_map_gpa(vcpu->vm, gdtbase, sizeof(gdt));
	if (host == NULL) {
		return (vm_fail(EFAULT, "vm_setup_freebsd_registers_i386: the GDT's address %#x is not RAM", gdtbase));
	}
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	memcpy(host, gdt, sizeof(gdt));
	st = vcpu->state;
	enter(st, eip, esp, gdtbase, ACC_CODE32);
	st->cr0 = CR0_PE | CR0_ET | CR0_NE;
	st->cr3 = 0;
	st->cr4 = 0;
	st->efer = 0;
	vcpu_release(vcpu, true);
	return (0);
}
