/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entry.c - what the boot protocols of amd64 share: the command line's place, modules, entry states.
 */
#include <errno.h>
#include <string.h>

#include <vmmapi/amd64.h>

#include "../../error.h"
#include "amd64.h"

int
boot_check_cmdline(const struct boot_spec *spec)
{
	if (strlen(spec->cmdline) < BOOT_CMDLINE_MAX)
		return (0);
	return (vmm_fail(E2BIG, "the kernel's command line has %zu bytes, and may have %u", strlen(spec->cmdline),
	    BOOT_CMDLINE_MAX - 1));
}

int
boot_modules(struct vmctx *vm, const struct boot_spec *spec, uint64_t floor, struct boot_module place[static BOOT_MODULES_MAX])
{
	uint64_t limit = UINT32_MAX;
	uint32_t args = BOOT_MODARGS;

	for (unsigned i = 0; i < spec->nmodules; i++) {
		const struct boot_file *m = &spec->modules[i];
		size_t arglen = strlen(m->cmdline) + 1;
		void *to;

		if (arglen > BOOT_MODARGS + BOOT_MODARGS_MAX - args)
			return (vmm_fail(E2BIG, "the command lines of the modules have more than %u bytes", BOOT_MODARGS_MAX));
		place[i].at = boot_place(spec, floor, limit, m->len, m->path);
		if (place[i].at == 0)
			return (-1);
		to = boot_ram(vm, spec, place[i].at, m->len, "a module");
		if (to == NULL)
			return (-1);
		if (vm_gpa_write(vm, args, m->cmdline, arglen) != 0)
			return (vmm_fail_vm("'%s'", m->path));
		memcpy(to, m->data, m->len);
		place[i].args = args;
		args += (uint32_t)arglen;
		limit = place[i].at;
	}
	return (0);
}

/* Entry states */

#define	CR0_PE		0x00000001U
#define	CR0_ET		0x00000010U
#define	CR0_PG		0x80000000U
#define	CR4_PAE		0x00000020U
#define	EFER_LME	0x00000100U
#define	EFER_LMA	0x00000400U

/*
 * Null, null, code, data at selectors 0x10 and 0x18, as Linux wants it, and 32-bit code at 0x20; base 0, limit 4 GiB - 1 (Intel
 * SDM vol. 3 3.4.5).
 */
#define	SEL_CODE64	0x10
#define	SEL_DATA	0x18
#define	SEL_CODE32	0x20
static const uint64_t gdt[] = { 0, 0, 0x00af9b000000ffffULL, 0x00cf93000000ffffULL, 0x00cf9b000000ffffULL };

static int
set_segments(struct vmctx *vm, struct vcpu *vcpu, bool wide)
{
	static const int data[] = {
		VM_AMD64_REG_DS, VM_AMD64_REG_ES, VM_AMD64_REG_SS, VM_AMD64_REG_FS, VM_AMD64_REG_GS,
	};
	const uint32_t flat = VM_AMD64_SEG_P | VM_AMD64_SEG_G;

	if (vm_gpa_write(vm, BOOT_GDT, gdt, sizeof(gdt)) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_GDTR, BOOT_GDT, sizeof(gdt) - 1, 0) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_IDTR, 0, 0, 0) != 0 ||
	    vm_set_register(vcpu, VM_AMD64_REG_CS, wide ? SEL_CODE64 : SEL_CODE32) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_CS, 0, UINT32_MAX, flat | 0x1b | (wide ? VM_AMD64_SEG_L : VM_AMD64_SEG_DB)) != 0 ||
	    vm_set_register(vcpu, VM_AMD64_REG_TR, 0) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_TR, 0, 0x67, VM_AMD64_SEG_P | 0x0b) != 0 ||
	    vm_set_register(vcpu, VM_AMD64_REG_LDTR, 0) != 0 ||
	    vm_set_desc(vcpu, VM_AMD64_REG_LDTR, 0, 0, VM_AMD64_SEG_UNUSABLE) != 0)
		return (-1);
	for (size_t i = 0; i < sizeof(data) / sizeof(data[0]); i++) {
		if (vm_set_register(vcpu, data[i], SEL_DATA) != 0 ||
		    vm_set_desc(vcpu, data[i], 0, UINT32_MAX, flat | VM_AMD64_SEG_DB | 0x13) != 0)
			return (-1);
	}
	return (0);
}

int
boot_enter_flat32(struct vmctx *vm, struct vcpu *vcpu, uint32_t eip, uint32_t eax, uint32_t ebx)
{
	static const int regs[] = {
		VM_AMD64_REG_CR0, VM_AMD64_REG_RFLAGS, VM_AMD64_REG_RIP, VM_AMD64_REG_RSP, VM_AMD64_REG_RAX,
		VM_AMD64_REG_RBX,
	};
	const uint64_t vals[] = { CR0_PE | CR0_ET, 2, eip, BOOT_STACK, eax, ebx };

	if (set_segments(vm, vcpu, false) != 0)
		return (-1);
	return (vm_set_register_set(vcpu, sizeof(regs) / sizeof(regs[0]), regs, vals));
}

/* Six pages of tables map the first 4 GiB to themselves, in pages of 2 MiB (SDM vol. 3 4.5). */
static int
identity_map(struct vmctx *vm)
{
	uint64_t *t = vm_map_gpa(vm, BOOT_TABLES, 6 * 4096);

	if (t == NULL)
		return (vmm_fail(ENOMEM, "there is no RAM for page tables at %#x", BOOT_TABLES));
	memset(t, 0, 6 * 4096);
	t[0] = (BOOT_TABLES + 4096) | 3;
	for (unsigned i = 0; i < 4; i++)
		t[512 + i] = (BOOT_TABLES + (2 + i) * 4096ULL) | 3;
	for (unsigned i = 0; i < 2048; i++)
		t[1024 + i] = (uint64_t)i << 21 | 0x83;
	return (0);
}

int
boot_enter_long(struct vmctx *vm, struct vcpu *vcpu, uint64_t rip, uint64_t rsi)
{
	static const int regs[] = {
		VM_AMD64_REG_CR3, VM_AMD64_REG_CR4, VM_AMD64_REG_EFER, VM_AMD64_REG_CR0, VM_AMD64_REG_RFLAGS, VM_AMD64_REG_RIP,
		VM_AMD64_REG_RSP, VM_AMD64_REG_RSI,
	};
	const uint64_t vals[] = { BOOT_TABLES, CR4_PAE, EFER_LME | EFER_LMA, CR0_PE | CR0_ET | CR0_PG, 2, rip, BOOT_STACK, rsi };

	if (identity_map(vm) != 0 || set_segments(vm, vcpu, true) != 0)
		return (-1);
	return (vm_set_register_set(vcpu, sizeof(regs) / sizeof(regs[0]), regs, vals));
}
