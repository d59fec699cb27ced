/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virt.c - the arm64 machine: what stock firmware and kernels know from a devicetree, at the addresses where stock firmware looks.
 *
 *	0x00000000	flash, two banks of 64 MiB
 *	0x08000000	GICv3: distributor; 0x08080000 ITS; 0x080a0000 redistributors
 *	0x09000000	PL011; 0x09010000 PL031; 0x09020000 fw_cfg; 0x09030000 PL061
 *	0x10000000	BARs, to 0x3eff0000; from there PCI's 64 KiB of ports
 *	0x40000000	RAM, to 255 GiB
 *	0x4010000000	PCIe configuration (ECAM)
 *	0x8000000000	BARs of 64 bits, to 1 TiB
 *	SPIs		1 PL011, 2 PL031, 3 to 6 PCI pins, 7 PL061
 *	PCI		00:00.0 host bridge, devices of the configuration from 00:01.0
 *
 * The power button is line 3 of the PL061.
 */
#include <errno.h>
#include <stdlib.h>

#include <vmmapi/arm64.h>

#include "../error.h"
#include "../gpio/pl061.h"
#include "parts.h"
#include "virt.h"

#define	GICD		0x08000000ULL
#define	GICD_LEN	0x10000ULL
#define	ITS		0x08080000ULL
#define	GICR		0x080a0000ULL
#define	GICR_LEN	0x00f60000ULL	/* to the PL011: 123 processors */
#define	RTC		0x09010000ULL

#define	LINE_RTC	2

#define	SLOT_HOST	PCI_DEVFN(0, 0)

/* RAM ends where PCI's configuration space begins to be kept free; above it are windows only. */
static const struct vm_layout layout = {
	.name = "virt",
	.nram = 1,
	.nhole = 2,
	.ram = { { VIRT_RAM, 0x4000000000ULL } },
	.hole = { { 0, VIRT_RAM }, { 0x4000000000ULL, VIRT_MEM64_LIMIT } },
};

static const struct machine_part config_parts[] = {
	{ "uart0", "pl011" },
	{ "virt.rtc", "pl031" },
	{ "virt.flash0", "cfi-flash" },
	{ "virt.flash1", "cfi-flash" },
	{ NULL, NULL },
};

static int
virt_init(struct machine *m)
{
	static const struct parts_pci pci = {
		.host = { .ecam = VIRT_ECAM, .io_window = VIRT_PIO, .io_base = 0x1000, .io_limit = VIRT_PIO_LEN,
		    .mem32_base = VIRT_MEM32_BASE, .mem32_limit = VIRT_MEM32_LIMIT,
		    .mem64_base = VIRT_MEM64_BASE, .mem64_limit = VIRT_MEM64_LIMIT },
		.line = VIRT_PCI_LINE, .nlines = VIRT_PCI_LINES, .first = 1, .last = 31,
	};
	static const struct part uart = { "pl011", "uart0", "uart0", DEVICE_ON_MMIO, VIRT_UART, 1, { VIRT_LINE_UART }, true };
	static const struct part rtc = { "pl031", "rtc", "virt.rtc", DEVICE_ON_MMIO, RTC, 1, { LINE_RTC }, false };
	static const struct part gpio = { "pl061", "gpio", "virt.gpio", DEVICE_ON_MMIO, VIRT_GPIO, 1, { VIRT_LINE_GPIO }, false };
	struct virt *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return (vmm_fail(ENOMEM, "virt: no memory"));
	m->priv = v;
	if (vm_attach_vgic(m->vmm->vm, GICD, GICD_LEN, GICR, GICR_LEN) != 0 || vm_attach_its(m->vmm->vm, ITS) != 0)
		return (vmm_fail_vm("virt"));
	if ((v->uart = parts_add(m, &uart)) == NULL || (v->rtc = parts_add(m, &rtc)) == NULL ||
	    (v->gpio = parts_add(m, &gpio)) == NULL)
		return (-1);
	if (m->firmware != NULL && virt_firmware_init(m) != 0)
		return (-1);
	if (parts_pci(m, &pci) != 0 || parts_add_pci(m, "pci-generic", "host-bridge", "virt.host", SLOT_HOST, 0) == NULL)
		return (-1);
	return (parts_add_slots(m));
}

static void
virt_fini(struct machine *m)
{
	parts_fini(m);
	free(m->priv);
	m->priv = NULL;
}

static int
virt_boot(struct machine *m, struct boot_spec *spec, const struct boot_protocol **protocol)
{
	struct dt_blob blob;
	int error;

	spec->map[0] = (struct boot_range){ VIRT_RAM, vm_get_highmem_size(m->vmm->vm), BOOT_RAM };
	spec->nmap = 1;
	/* Firmware gives PCI devices their addresses itself. */
	if ((m->firmware == NULL && pci_host_assign(parts_pci_host(m)) != 0) || virt_fdt(m, &blob) != 0)
		return (-1);
	if (m->firmware != NULL) {
		*protocol = NULL;
		error = virt_firmware_boot(m, spec, &blob);
	} else {
		spec->fdt = &blob;
		error = boot_load(m->vmm->vm, m->vcpus[0], spec, protocol);
		spec->fdt = NULL;
	}
	dt_free(&blob);
	return (error);
}

/* UNDEFINED, at the instruction: exception class 0, of an instruction of 32 bits (Arm ARM D17.2.37). */
static void
virt_unknown_sysreg(struct machine *m, struct vcpu *vcpu, const struct vm_exit *exit)
{
	(void)vm_restart_instruction(vcpu);
	(void)vm_arm64_inject_exception(vcpu, 1U << 25, 0);
}

static void
virt_power_button(struct machine *m)
{
	struct virt *v = m->priv;

	pl061_press(v->gpio, VIRT_POWER_BUTTON);
}

const struct machine_class machine_virt = {
	.name = "virt",
	.arch = VM_ARCH_ARM64,
	.max_cpus = VM_MAXCPU,
	.keys = { NULL, 0 },
	.parts = config_parts,
	.layout = &layout,
	.firmware = virt_firmware_places,
	.init = virt_init,
	.fini = virt_fini,
	.boot = virt_boot,
	.unknown_sysreg = virt_unknown_sysreg,
	.power_button = virt_power_button,
	.target = "aarch64",
};
