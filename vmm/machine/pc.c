/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pc.c - the amd64 machine: a PC with PCI Express, as stock firmware and kernels expect it.
 *
 *	RAM		0 to 0xb0000000, and from 4 GiB
 *	0xb0000000	PCIe configuration (ECAM)
 *	0xc0000000	BARs, to 0xfec00000
 *	0xfec00000	I/O APIC; 0xfed00000 HPET; 0xfee00000 local APICs
 *	4 GiB, below	flash: the firmware, and its variables before it
 *	0xff000000	the test device, if it is asked for; its ports are 0xe0, 0xf4, 0x2000
 *	ports		8254 0x40, i8042 0x60 and 0x64, RTC 0x70, fast reset and A20 0x92, COM1 0x3f8, fw_cfg 0x510, PCI 0xcf8, reset 0xcf9,
 *			ACPI 0x600, BARs from 0x6000
 *	lines		0 8254 or HPET, 1 keyboard, 4 COM1, 8 RTC, 9 ACPI, 12 mouse, 16 to 23 PCI pins
 *	PCI		00:00.0 host bridge, 00:1f.0 LPC bridge, devices of the configuration from 00:01.0
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <vmmapi/amd64.h>

#include "../acpi/acpi_pm.h"
#include "../acpi/tables.h"
#include "../error.h"
#include "../input/i8042.h"
#include "../pci/q35.h"
#include "../testdev/pc_testdev.h"
#include "../timer/acpi_pm_timer.h"
#include "../timer/hpet.h"
#include "parts.h"
#include "pc.h"

#define	ECAM		0xb0000000ULL
#define	MEM32_BASE	0xc0000000ULL
#define	MEM32_LIMIT	0xfec00000ULL
#define	MEM64_LIMIT	0x20000000000ULL	/* what the processors can address: 41 bits */
#define	IO_BASE		0x6000
#define	IO_LIMIT	0x10000
#define	HPET		0xfed00000ULL
#define	PM_BASE		0x600
#define	RTC		0x70
#define	KBC		0x60
#define	PORT92		0x92

#define	LINE_TIMER	0
#define	LINE_KEYBOARD	1
#define	LINE_COM1	4
#define	LINE_RTC	8
#define	LINE_SCI	9
#define	LINE_MOUSE	12
#define	LINE_PIRQ	16		/* and the seven behind it */

/* Firmware tables for direct boot, in the BIOS area. */
#define	LOW_RAM_END	0x9fc00
#define	TABLES		0xe0000
#define	TABLES_LEN	0x10000
#define	RSDP		0xf0000

#define	SLOT_HOST	PCI_DEVFN(0, 0)
#define	SLOT_LPC	PCI_DEVFN(31, 0)

static const struct config_key pc_keys[] = {
	KEY_BOOL("debug_exit", false, "a port, 0x501, by which a test guest ends the run with a code"),
	KEY_BOOL("strictmsr", true, "an access to a model-specific register that there is not faults; else it reads as zero and takes what is written"),
	KEY_BOOL("testdev", false, "have the test device of a PC, which kvm-unit-tests and the like end by and use"),
	KEY_BOOL("hpet", true, "have an HPET"),
	KEY_BOOL("i8042", true, "have a keyboard controller, with a keyboard and a mouse"),
	KEY_BOOL("bios_log", false, "show what SeaBIOS logs"),
};

static const struct machine_part parts[] = {
	{ "pc.rtc", "mc146818" },
	{ "pc.hpet_chip", "hpet" },
	{ "pc.timer", "acpi-pm-timer" },
	{ "com1", "ns16550" },
	{ "pc.flash0", "cfi-flash" },
	{ "pc.flash1", "cfi-flash" },
	{ NULL, NULL },
};

/*
 * The HPET takes lines 0 and 8 for itself in legacy replacement routing.  vCPU's or control thread.
 */
static void
hpet_legacy(void *arg, bool on)
{
	struct pc *pc = arg;

	vm_amd64_i8254_set_mask(pc->pit, on);
	if (pc->rtc_irq != NULL)
		(void)vm_irq_set_mask(pc->rtc_irq, on);
}

/* The guest ends the run with a code.  vCPU's thread. */
static void
end_run(void *arg, int code)
{
	struct machine *m = arg;

	atomic_store(&m->guest_code, code);
	(void)vm_suspend(m->vmm->vm, VM_SUSPEND_POWEROFF);
}

/* As QEMU's isa-debug-exit: a byte v ends the run with exit code 2 * v + 1.  vCPU's thread. */
static void
debug_exit(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	end_run(arg, (int)((val & 0x7f) << 1 | 1));
}

static int
add_debug_exit(struct machine *m)
{
	struct pc *pc = m->priv;
	struct vm_range_spec spec = {
		.name = "debug-exit", .space = VM_SPACE_IO, .base = 0x501, .len = 1, .write = debug_exit, .arg = m,
	};

	if (!config_bool(config_node(m->vmm->config, "pc"), "debug_exit"))
		return (0);
	pc->debug_exit = vm_range_add(m->vmm->vm, &spec);
	return (pc->debug_exit != NULL ? 0 : vmm_fail_vm("pc: debug exit"));
}

static int
add_testdev(struct machine *m)
{
	static const struct part part = { "pc-testdev", "pc-testdev", "pc.testdev_chip", DEVICE_ON_IO, PC_TESTDEV_EXIT, 0, { 0 }, false };
	struct vm_irq *lines[PC_TESTDEV_LINES];
	struct device *dev;

	if (!config_bool(config_node(m->vmm->config, "pc"), "testdev"))
		return (0);
	for (unsigned i = 0; i < PC_TESTDEV_LINES; i++) {
		lines[i] = parts_line(m, i);
		if (lines[i] == NULL)
			return (-1);
	}
	dev = parts_add(m, &part);
	if (dev == NULL)
		return (-1);
	pc_testdev_connect(dev, lines, end_run, m);
	return (0);
}

/* Inputs of the 8259s that PCI's pins can be routed to. */
static int
add_routes(struct machine *m)
{
	struct vm_irq *isa[Q35_ISA_LINES] = { NULL };
	struct pc *pc = m->priv;

	for (unsigned i = 0; i < Q35_ISA_LINES; i++) {
		if (q35_lpc_routes_to(i) && (isa[i] = parts_line(m, i)) == NULL)
			return (-1);
	}
	q35_lpc_set_isa(pc->lpc, isa);
	return (0);
}

static int
pc_init(struct machine *m)
{
	struct parts_pci pci = {
		/* Firmware switches the window on itself. */
		.host = { .ecam = m->firmware == NULL ? ECAM : 0, .ports = true, .io_base = IO_BASE, .io_limit = IO_LIMIT,
		    .mem32_base = MEM32_BASE, .mem32_limit = MEM32_LIMIT },
		.line = LINE_PIRQ, .nlines = ACPI_PIRQS, .first = 1, .last = 30,
	};
	static const struct part rtc = { "mc146818", "rtc", "pc.rtc", DEVICE_ON_IO, RTC, 1, { LINE_RTC }, false };
	static const struct part pm_timer = { "acpi-pm-timer", "pm-timer", "pc.timer", DEVICE_ON_IO, PM_BASE + 8, 0, { 0 }, false };
	static const struct part pm = { "acpi-pm", "pm", "pc.pm", DEVICE_ON_IO, PM_BASE, 1, { LINE_SCI }, false };
	static const struct part hpet = { "hpet", "hpet", "pc.hpet_chip", DEVICE_ON_MMIO, HPET, 2, { LINE_TIMER, LINE_RTC }, false };
	static const struct part com1 = { "ns16550", "com1", "com1", DEVICE_ON_IO, PC_COM1, 1, { LINE_COM1 }, true };
	static const struct part port92 = { "port92", "port92", "pc.port92", DEVICE_ON_IO, PORT92, 0, { 0 }, false };
	static const struct part kbc = { "i8042", "i8042", "pc.kbc", DEVICE_ON_IO, KBC, 2, { LINE_KEYBOARD, LINE_MOUSE }, false };
	struct pc *pc = calloc(1, sizeof(*pc));
	struct vmctx *vm = m->vmm->vm;

	if (pc == NULL)
		return (vmm_fail(ENOMEM, "pc: no memory"));
	m->priv = pc;
	pc->pit = vm_amd64_i8254_open(vm);
	if (pc->pit == NULL)
		return (vmm_fail_vm("pc"));
	if (parts_pci(m, &pci) != 0 || (pc->rtc = parts_add(m, &rtc)) == NULL)
		return (-1);
	pc->rtc_irq = pc->rtc->place.irq[0];
	pc->pm_timer = parts_add(m, &pm_timer);
	pc->pm = parts_add(m, &pm);
	if (pc->pm_timer == NULL || pc->pm == NULL)
		return (-1);
	acpi_pm_set_timer(pc->pm, pc->pm_timer);
	pc->port92 = parts_add(m, &port92);
	if (pc->port92 == NULL)
		return (-1);
	pc->lax_msrs = !config_bool(config_node(m->vmm->config, "pc"), "strictmsr");
	if (config_bool(config_node(m->vmm->config, "pc"), "i8042")) {
		pc->kbc = parts_add(m, &kbc);
		if (pc->kbc == NULL)
			return (-1);
		i8042_set_port92(pc->kbc, pc->port92);
	}
	if (config_bool(config_node(m->vmm->config, "pc"), "hpet")) {
		pc->hpet = parts_add(m, &hpet);
		if (pc->hpet == NULL || hpet_on_legacy(pc->hpet, hpet_legacy, pc) != 0)
			return (-1);
	}
	if (m->firmware != NULL && pc_firmware_init(m) != 0)
		return (-1);
	if (parts_add(m, &com1) == NULL ||
	    parts_add_pci(m, "q35-host", "host-bridge", "pc.host", SLOT_HOST, m->firmware != NULL && m->firmware->bios) == NULL ||
	    (pc->lpc = parts_add_pci(m, "ich9-lpc", "lpc-bridge", "pc.lpc", SLOT_LPC, PM_BASE)) == NULL)
		return (-1);
	if (add_routes(m) != 0)
		return (-1);
	/* Slots last, for ids are compared with names of what there is. */
	return (add_debug_exit(m) == 0 && add_testdev(m) == 0 ? parts_add_slots(m) : -1);
}

static void
pc_fini(struct machine *m)
{
	struct pc *pc = m->priv;

	if (pc == NULL)
		return;
	if (pc->hpet != NULL)
		(void)hpet_on_legacy(pc->hpet, NULL, NULL);
	parts_fini(m);
	vm_range_remove(pc->debug_exit);
	vm_range_remove(pc->bios_log);
	vm_amd64_i8254_close(pc->pit);
	free(pc);
	m->priv = NULL;
}

/* What there is for the guest's memory map: RAM but for the BIOS area, and windows. */
static void
memory_map(struct vmctx *vm, struct boot_spec *spec)
{
	uint64_t low = vm_get_lowmem_size(vm), high = vm_get_highmem_size(vm);
	struct boot_range *r = spec->map;

	*r++ = (struct boot_range){ 0, LOW_RAM_END, BOOT_RAM };
	*r++ = (struct boot_range){ LOW_RAM_END, 0x100000 - LOW_RAM_END, BOOT_RESERVED };
	if (low > 0x100000)
		*r++ = (struct boot_range){ 0x100000, low - 0x100000, BOOT_RAM };
	*r++ = (struct boot_range){ ECAM, 256ULL << 20, BOOT_RESERVED };
	if (high != 0)
		*r++ = (struct boot_range){ vm_get_highmem_base(vm), high, BOOT_RAM };
	spec->nmap = (unsigned)(r - spec->map);
}

int
pc_acpi(struct machine *m, uint64_t mem64_base, struct acpi_blob *blob)
{
	static const struct acpi_isa_dev isa[] = {
		{ "COM1", "PNP0501", 1, PC_COM1, 8, LINE_COM1, 0 },
		{ "RTC_", "PNP0B00", 0, RTC, 4, LINE_RTC, 0 },
		{ "KBD_", "PNP0303", 0, KBC, 1, LINE_KEYBOARD, KBC + 4 },
		{ "MOU_", "PNP0F13", 0, 0, 0, LINE_MOUSE, 0 },
	};
	struct pc *pc = m->priv;
	struct acpi_pc spec = {
		.ncpus = m->ncpus, .ecam = ECAM, .io_base = IO_BASE, .io_last = IO_LIMIT - 1,
		.mem32_base = MEM32_BASE, .mem32_last = MEM32_LIMIT - 1, .mem64_base = mem64_base, .mem64_last = MEM64_LIMIT - 1,
		.lpc = SLOT_LPC, .pm_base = PM_BASE, .sci = LINE_SCI,
		.timer32 = acpi_pm_timer_bits(pc->pm_timer) == 32, .hpet = pc->hpet != NULL ? HPET : 0,
		.hpet_id = pc->hpet != NULL ? hpet_block_id(pc->hpet) : 0, .rtc = true, .i8042 = pc->kbc != NULL,
		.isa = isa, .nisa = sizeof(isa) / sizeof(isa[0]) - (pc->kbc != NULL ? 0 : 2),
	};

	for (unsigned i = 0; i < ACPI_PIRQS; i++)
		spec.pirq[i] = LINE_PIRQ + i;
	return (acpi_build_pc(&spec, blob));
}

static int
place_tables(struct machine *m)
{
	struct acpi_blob blob;
	int error;

	if (pc_acpi(m, 0, &blob) != 0)
		return (-1);
	error = acpi_place(&blob, m->vmm->vm, TABLES, TABLES_LEN, RSDP);
	acpi_free(&blob);
	return (error);
}

static int
pc_boot(struct machine *m, struct boot_spec *spec, const struct boot_protocol **protocol)
{
	/* As SeaBIOS and OVMF have it. */
	static const uint8_t routes[Q35_PIRQS] = { 10, 10, 11, 11, 10, 10, 11, 11 };
	struct pc *pc = m->priv;

	if (m->firmware != NULL) {
		*protocol = NULL;
		return (pc_firmware_boot(m, spec));
	}
	memory_map(m->vmm->vm, spec);
	spec->rsdp = RSDP;
	if (place_tables(m) != 0 || pci_host_assign(parts_pci_host(m)) != 0)
		return (-1);
	q35_lpc_route(pc->lpc, routes);
	if (spec->loaded) {
		*protocol = NULL;
		return (0);
	}
	return (boot_load(m->vmm->vm, m->vcpus[0], spec, protocol));
}

/* #GP(0), at the instruction (Intel SDM vol. 2, RDMSR and WRMSR), unless the guest is one that must not see those. */
static void
pc_unknown_sysreg(struct machine *m, struct vcpu *vcpu, const struct vm_exit *exit)
{
	const struct pc *pc = m->priv;

	if (pc->lax_msrs) {
		if (!exit->u.sysreg.write)
			(void)vm_exit_reply(vcpu, 0);
		return;
	}
	(void)vm_restart_instruction(vcpu);
	(void)vm_amd64_inject_exception(vcpu, 13, 1, 0, 1);
}

static void
pc_power_button(struct machine *m)
{
	struct pc *pc = m->priv;

	acpi_pm_power_button(pc->pm);
}

static void
pc_nmi(struct machine *m)
{
	for (unsigned i = 0; i < m->ncpus; i++)
		(void)vm_amd64_inject_nmi(m->vcpus[i]);
}

const struct machine_class machine_pc = {
	.name = "pc",
	.arch = VM_ARCH_AMD64,
	.max_cpus = 32,
	.keys = { pc_keys, sizeof(pc_keys) / sizeof(pc_keys[0]) },
	.parts = parts,
	.firmware = pc_firmware_places,
	.bios = pc_bios_places,
	.init = pc_init,
	.fini = pc_fini,
	.boot = pc_boot,
	.unknown_sysreg = pc_unknown_sysreg,
	.power_button = pc_power_button,
	.nmi = pc_nmi,
	.target = "x86_64",
};
