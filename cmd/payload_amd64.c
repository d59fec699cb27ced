/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload_amd64.c - amd64 payloads start in flat 32-bit protected mode without paging: a GDT at
 * 0x800 (null, code 8, data 16), room for an IDT at 0x1000, a stack below 0x8000.
 */
#include <vmmapi/amd64.h>

#include "payload.h"

#define	GDT	0x800U
#define	IDT	0x1000U
#define	IDT_LEN	0x1000U
#define	STACK	0x8000U

#define	CR0_PE	0x01U
#define	CR0_ET	0x10U
#define	CR0_NE	0x20U

static int
enter(struct vmctx *vm, struct vcpu *vcpu, vm_paddr_t pc)
{
	/* Intel SDM vol. 3 section 3.4.5: base 0, limit 4 GiB - 1 in pages, 32 bits, accessed. */
	static const uint64_t gdt[3] = { 0, 0x00cf9b000000ffffULL, 0x00cf93000000ffffULL };
	static const int data[] = {
		VM_AMD64_REG_DS, VM_AMD64_REG_ES, VM_AMD64_REG_SS, VM_AMD64_REG_FS, VM_AMD64_REG_GS,
	};
	static const int regs[] = {
		VM_AMD64_REG_CR0, VM_AMD64_REG_RFLAGS, VM_AMD64_REG_RIP, VM_AMD64_REG_RSP, VM_AMD64_REG_CS,
		VM_AMD64_REG_TR, VM_AMD64_REG_LDTR,
	};
	const uint64_t vals[] = { CR0_PE | CR0_ET | CR0_NE, 2, pc, STACK, 8, 0, 0 };
	const uint32_t flat = VM_AMD64_SEG_P | VM_AMD64_SEG_DB | VM_AMD64_SEG_G;

	if (vm_gpa_write(vm, GDT, gdt, sizeof(gdt)) != 0 ||
	    vm_set_register_set(vcpu, sizeof(regs) / sizeof(regs[0]), regs, vals) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_CS, 0, UINT32_MAX, flat | 0x1b) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_TR, 0, 0x67, VM_AMD64_SEG_P | 0x0b) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_LDTR, 0, 0, VM_AMD64_SEG_UNUSABLE) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_GDTR, GDT, sizeof(gdt) - 1, 0) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_IDTR, IDT, IDT_LEN - 1, 0) != 0)
		return (-1);
	for (unsigned i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		if (vm_set_register(vcpu, data[i], 16) != 0 ||
		    vm_set_desc(vcpu, data[i], 0, UINT32_MAX, flat | 0x13) != 0)
			return (-1);
	}
	return (0);
}

const struct payload_machine payload_amd64 = {
	.arch = VM_ARCH_AMD64,
	.at = 0x10000,
	.space = VM_SPACE_IO,
	.uart = 0x3f8,
	.uart_line = 4,
	.exit = 0xf4,
	.reserved = GDT,
	.reserved_end = GDT + 24,
	.enter = enter,
};
