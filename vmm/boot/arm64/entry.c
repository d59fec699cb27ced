/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * entry.c - what the boot protocols of arm64 share: initrd, devicetree, and the processor's state at entry.
 */
#include <errno.h>
#include <string.h>

#include <vmmapi/arm64.h>

#include "../../error.h"
#include "../../firmware/fdt.h"
#include "arm64.h"

#define	PSTATE_DAIF	0x3c0U
#define	PSTATE_EL1H	0x5U
/* The initrd is in a window of 32 GiB, aligned to 1 GiB, that has the kernel too ("The kernel", 4). */
#define	GIB		(1ULL << 30)
#define	WINDOW		(32 * GIB)
#define	DTB_MAX		(2ULL << 20)

uint64_t
arm64_ram_base(const struct boot_spec *spec)
{
	for (unsigned i = 0; i < spec->nmap; i++) {
		if (spec->map[i].type == BOOT_RAM)
			return (spec->map[i].base);
	}
	(void)vmm_fail(EINVAL, "'%s': the guest has no RAM", spec->kernel.path);
	return (0);
}

static int
load_initrd(struct vmctx *vm, const struct boot_spec *spec, uint64_t start, uint64_t floor, uint64_t *at)
{
	const struct boot_file *initrd = &spec->modules[0];
	void *to;

	*at = boot_place(spec, floor, start / GIB * GIB + WINDOW, initrd->len, initrd->path);
	to = *at != 0 ? boot_ram(vm, spec, *at, initrd->len, "the initrd") : NULL;
	if (to == NULL)
		return (-1);
	memcpy(to, initrd->data, initrd->len);
	return (0);
}

/* MMU and caches are off after power-on; X0 is the devicetree, X1 to X3 are zero, D, A, I and F are masked ("The kernel", 5). */
static int
set_state(struct vcpu *vcpu, uint64_t pc, uint64_t dtb)
{
	static const int regs[] = {
		VM_ARM64_REG_PC, VM_ARM64_REG_X0, VM_ARM64_REG_X0 + 1, VM_ARM64_REG_X0 + 2, VM_ARM64_REG_X0 + 3, VM_ARM64_REG_PSTATE,
	};
	const uint64_t vals[] = { pc, dtb, 0, 0, 0, PSTATE_DAIF | PSTATE_EL1H };

	return (vm_set_register_set(vcpu, sizeof(regs) / sizeof(regs[0]), regs, vals) == 0 ? 0 : vmm_fail_vm("boot"));
}

int
arm64_enter(struct vmctx *vm, struct vcpu *vcpu, const struct boot_spec *spec, uint64_t start, uint64_t end, uint64_t dtb,
    uint64_t room)
{
	uint64_t initrd = 0, floor = end;
	void *to;

	if (spec->fdt == NULL)
		return (vmm_fail(EINVAL, "'%s' wants a devicetree, and this machine has none", spec->kernel.path));
	if (spec->nmodules > 1)
		return (vmm_fail(EINVAL, "'%s' takes one initrd and no modules", spec->kernel.path));
	if (dtb == 0) {
		dtb = (end + ARM64_RAM_ALIGN - 1) & ~(ARM64_RAM_ALIGN - 1);
		room = DTB_MAX;
		floor = dtb + DT_ROOM;
	}
	if (spec->nmodules == 1 && load_initrd(vm, spec, start, floor, &initrd) != 0)
		return (-1);
	if (dt_set_boot(spec->fdt, spec->cmdline, initrd, spec->nmodules == 1 ? spec->modules[0].len : 0) != 0)
		return (-1);
	if (spec->fdt->len > room)
		return (vmm_fail(E2BIG, "the devicetree has %zu bytes, and may have %llu", spec->fdt->len, (unsigned long long)room));
	to = boot_ram(vm, spec, dtb, spec->fdt->len, "the devicetree");
	if (to == NULL)
		return (-1);
	memcpy(to, spec->fdt->data, spec->fdt->len);
	return (set_state(vcpu, start, dtb));
}
