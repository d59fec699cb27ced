/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virt_firmware.c - the arm64 machine that starts firmware: flash with its code and its variables, and what it is told.
 *
 * It runs from the first bank of flash, and finds the devicetree at the start of RAM (where edk2's ArmVirtQemu and U-Boot's qemu_arm64
 * look for it); ACPI and SMBIOS tables and a kernel come by fw_cfg.
 */
#include <errno.h>
#include <string.h>

#include <vmmapi/arm64.h>

#include "../acpi/tables.h"
#include "../error.h"
#include "../firmware/firmware.h"
#include "../firmware/fw_cfg.h"
#include "../firmware/smbios.h"
#include "machine_firmware.h"
#include "parts.h"
#include "virt.h"

#define	FLASH_CODE	0x00000000ULL
#define	FLASH_VARS	0x04000000ULL
#define	FW_CFG		0x09020000ULL
#define	FW_CFG_LEN	0x18

#define	GSI_SPI		32U		/* GSIs are INTIDs */
#define	MPIDR_AFFINITY	0xff00ffffffULL
/* The generic timer's interrupts (Arm BSA 3.8.2). */
#define	TIMER_SECURE	29U
#define	TIMER_PHYS	30U
#define	TIMER_VIRT	27U
#define	TIMER_HYP	26U

const struct firmware_place virt_firmware_places[] = {
	{ "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd", "qemu-efi-aarch64 of Debian and Ubuntu" },
	{ "/usr/share/edk2/aarch64/QEMU_EFI-pflash.raw", "/usr/share/edk2/aarch64/vars-template-pflash.raw", "edk2-aarch64 of Fedora" },
	{ "/usr/share/edk2/aarch64/QEMU_CODE.fd", "/usr/share/edk2/aarch64/QEMU_VARS.fd", "edk2-aarch64 of Arch Linux" },
	{ "/usr/share/qemu/aavmf-aarch64-code.bin", "/usr/share/qemu/aavmf-aarch64-vars.bin", "qemu-uefi-aarch64 of openSUSE" },
	{ "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", NULL, "qemu-efi-aarch64 of Debian and Ubuntu" },
	{ NULL, NULL, NULL },
};

int
virt_firmware_init(struct machine *m)
{
	static const struct part code = { "cfi-flash", "flash0", "virt.flash0", DEVICE_ON_MMIO, FLASH_CODE, 0, { 0 }, false };
	static const struct part vars = { "cfi-flash", "flash1", "virt.flash1", DEVICE_ON_MMIO, FLASH_VARS, 0, { 0 }, false };
	static const struct part fw_cfg = { "fw-cfg", "fw-cfg", "virt.fw_cfg", DEVICE_ON_MMIO, FW_CFG, 0, { 0 }, false };
	struct virt *v = m->priv;

	if (machine_firmware_key(m, "virt.flash0.path", m->firmware->code) != 0 || machine_firmware_key(m, "virt.flash0.readonly", "true") != 0 ||
	    machine_firmware_key(m, "virt.flash1.path", m->firmware->vars) != 0 || machine_firmware_key(m, "virt.flash1.template", m->firmware->template) != 0)
		return (-1);
	if (parts_add(m, &code) == NULL || parts_add(m, &vars) == NULL)
		return (-1);
	v->fw_cfg = parts_add(m, &fw_cfg);
	return (v->fw_cfg != NULL ? 0 : -1);
}

static int
get_mpidrs(struct machine *m, uint64_t mpidr[static VM_MAXCPU])
{
	for (unsigned i = 0; i < m->ncpus; i++) {
		if (vm_get_register(m->vcpus[i], VM_ARM64_REG_MPIDR_EL1, &mpidr[i]) != 0)
			return (vmm_fail_vm("virt"));
		mpidr[i] &= MPIDR_AFFINITY;
	}
	return (0);
}

static int
publish_acpi(struct machine *m)
{
	const struct acpi_mmio_dev devs[] = {
		{ "COM0", "ARMH0011", 0, VIRT_UART, 0x1000, GSI_SPI + VIRT_LINE_UART, false },
		{ "FWCF", "QEMU0002", 0, FW_CFG, FW_CFG_LEN, -1, true },
	};
	uint64_t mpidr[VM_MAXCPU];
	struct virt *v = m->priv;
	struct vm_arm64_gic gic;
	struct acpi_virt spec = {
		.ncpus = m->ncpus, .mpidr = mpidr, .timer_secure = TIMER_SECURE, .timer_phys = TIMER_PHYS, .timer_virt = TIMER_VIRT,
		.timer_hyp = TIMER_HYP, .ecam = VIRT_ECAM, .last_bus = 0xff, .io_addr = VIRT_PIO, .io_len = VIRT_PIO_LEN,
		.mem32_base = VIRT_MEM32_BASE, .mem32_last = VIRT_MEM32_LIMIT - 1, .mem64_base = VIRT_MEM64_BASE,
		.mem64_last = VIRT_MEM64_LIMIT - 1, .dev = devs, .ndev = sizeof(devs) / sizeof(devs[0]), .console = &devs[0],
		.gpio = { "GPO0", "ARMH0061", 0, VIRT_GPIO, 0x1000, GSI_SPI + VIRT_LINE_GPIO, false },
		.power_pin = VIRT_POWER_BUTTON,
	};
	struct acpi_blob blob;
	int error;

	if (get_mpidrs(m, mpidr) != 0)
		return (-1);
	if (vm_arm64_get_gic(m->vmm->vm, &gic) != 0)
		return (vmm_fail_vm("virt"));
	spec.gicd = gic.dist;
	spec.gicr = gic.redist;
	spec.gicr_len = (uint32_t)gic.redist_size;
	spec.its = gic.its_size != 0 ? gic.its : 0;
	for (unsigned i = 0; i < VIRT_PCI_LINES; i++)
		spec.pirq[i] = GSI_SPI + VIRT_PCI_LINE + i;
	if (acpi_build_virt(&spec, &blob) != 0)
		return (-1);
	error = acpi_publish(&blob, v->fw_cfg);
	acpi_free(&blob);
	return (error);
}

int
virt_firmware_boot(struct machine *m, const struct boot_spec *spec, const struct dt_blob *fdt)
{
	struct virt *v = m->priv;

	if (publish_acpi(m) != 0 || machine_firmware_tell(m, v->fw_cfg, spec, SMBIOS_FAMILY_ARMV8) != 0)
		return (-1);
	if (vm_gpa_write(m->vmm->vm, VIRT_RAM, fdt->data, fdt->len) != 0)
		return (vmm_fail_vm("virt: devicetree"));
	return (vm_set_register(m->vcpus[0], VM_ARM64_REG_PC, FLASH_CODE) == 0 ? 0 : vmm_fail_vm("virt"));
}
