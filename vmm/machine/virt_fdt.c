/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virt_fdt.c - the devicetree of the arm64 machine.  Bindings are those of Linux' Documentation/devicetree/bindings.
 *
 * Devices say what is in their nodes, fdt.c writes those, RAM and PCI; here is what an arm64 machine has besides.
 */
#include <sys/random.h>

#include <errno.h>

#include <vmmapi/arm64.h>

#include "../error.h"
#include "virt.h"

/* Phandles; those of devices are dt_device_phandle(). */
enum { GIC = 1, CLOCK, ITS };

/* Interrupt specifiers of a GIC (bindings arm,gic-v3): kind, number, sense. */
enum { SPI, PPI };
#define	LEVEL_HIGH	4U

/* PPIs by number, as INTID less 16: secure, non-secure and virtual timer, hypervisor's timer (Arm BSA 3.8.2). */
#define	PPI_PTIMER_S	13U
#define	PPI_PTIMER	14U
#define	PPI_VTIMER	11U
#define	PPI_HTIMER	10U

#define	APB_CLOCK_HZ	24000000U
#define	KEY_POWER	116U		/* Linux' input-event-codes.h */
#define	ACTIVE_HIGH	0U
#define	MPIDR_AFFINITY	0xff00ffffffULL

static void
spi(unsigned line, uint32_t cells[DT_INTR_CELLS])
{
	cells[0] = SPI;
	cells[1] = line;
	cells[2] = LEVEL_HIGH;
}

static int
cpus(struct dt_writer *w, struct machine *m)
{
	uint64_t mpidr;

	dt_node(w, "cpus", DT_NO_UNIT);
	dt_u32(w, "#address-cells", 1);
	dt_u32(w, "#size-cells", 0);
	for (unsigned i = 0; i < m->ncpus; i++) {
		if (vm_get_register(m->vcpus[i], VM_ARM64_REG_MPIDR_EL1, &mpidr) != 0)
			return (vmm_fail_vm("virt"));
		mpidr &= MPIDR_AFFINITY;
		dt_node(w, "cpu", mpidr);
		dt_text(w, "device_type", "cpu");
		dt_text(w, "compatible", "arm,armv8");
		dt_u32(w, "reg", (uint32_t)mpidr);
		dt_text(w, "enable-method", "psci");
		dt_end(w);
	}
	dt_end(w);
	return (0);
}

static void
psci(struct dt_writer *w)
{
	dt_node(w, "psci", DT_NO_UNIT);
	dt_texts(w, "compatible", "arm,psci-1.0 arm,psci-0.2");
	dt_text(w, "method", "hvc");
	dt_end(w);
}

static void
timer(struct dt_writer *w)
{
	static const uint32_t ppis[] = {
		PPI, PPI_PTIMER_S, LEVEL_HIGH, PPI, PPI_PTIMER, LEVEL_HIGH, PPI, PPI_VTIMER, LEVEL_HIGH, PPI, PPI_HTIMER, LEVEL_HIGH,
	};

	dt_node(w, "timer", DT_NO_UNIT);
	dt_text(w, "compatible", "arm,armv8-timer");
	dt_cells(w, "interrupts", 12, ppis);
	dt_flag(w, "always-on");
	dt_end(w);
}

/* With the ITS as its child, if there is one. */
static void
gic(struct dt_writer *w, const struct vm_arm64_gic *at)
{
	const uint64_t regs[] = { at->dist, at->dist_size, at->redist, at->redist_size };
	uint32_t cells[8];

	for (unsigned i = 0; i < 4; i++) {
		cells[2 * i] = (uint32_t)(regs[i] >> 32);
		cells[2 * i + 1] = (uint32_t)regs[i];
	}
	dt_node(w, "interrupt-controller", at->dist);
	dt_text(w, "compatible", "arm,gic-v3");
	dt_flag(w, "interrupt-controller");
	dt_u32(w, "#interrupt-cells", DT_INTR_CELLS);
	dt_u32(w, "#address-cells", 2);
	dt_u32(w, "#size-cells", 2);
	dt_u32(w, "#redistributor-regions", 1);
	dt_flag(w, "ranges");
	dt_cells(w, "reg", 8, cells);
	dt_u32(w, "phandle", GIC);
	if (at->its_size != 0) {
		dt_node(w, "msi-controller", at->its);
		dt_text(w, "compatible", "arm,gic-v3-its");
		dt_flag(w, "msi-controller");
		dt_u32(w, "#msi-cells", 1);
		dt_reg(w, at->its, at->its_size);
		dt_u32(w, "phandle", ITS);
		dt_end(w);
	}
	dt_end(w);
}

static void
apb_clock(struct dt_writer *w)
{
	dt_node(w, "apb-pclk", DT_NO_UNIT);
	dt_text(w, "compatible", "fixed-clock");
	dt_u32(w, "#clock-cells", 0);
	dt_u32(w, "clock-frequency", APB_CLOCK_HZ);
	dt_text(w, "clock-output-names", "clk24mhz");
	dt_u32(w, "phandle", CLOCK);
	dt_end(w);
}

static void
power_button(struct dt_writer *w, struct device *gpio)
{
	const uint32_t line[] = { dt_device_phandle(gpio), VIRT_POWER_BUTTON, ACTIVE_HIGH };

	dt_node(w, "gpio-keys", DT_NO_UNIT);
	dt_text(w, "compatible", "gpio-keys");
	dt_node(w, "poweroff", DT_NO_UNIT);
	dt_text(w, "label", "power button");
	dt_u32(w, "linux,code", KEY_POWER);
	dt_cells(w, "gpios", 3, line);
	dt_end(w);
	dt_end(w);
}

/* The seeds are for the kernel's address-space randomization and its random numbers; it wipes them once it has read them. */
static int
chosen(struct dt_writer *w, struct device *uart)
{
	char path[80];
	uint32_t seed[2 + 16];

	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return (vmm_fail_sys(errno, "virt: no random numbers"));
	dt_node(w, "chosen", DT_NO_UNIT);
	dt_text(w, "stdout-path", dt_device_path(uart, path, sizeof(path)));
	dt_cells(w, "kaslr-seed", 2, seed);
	dt_cells(w, "rng-seed", 16, seed + 2);
	dt_end(w);
	return (0);
}

int
virt_fdt(struct machine *m, struct dt_blob *blob)
{
	static const struct dt_machine dm = { .clock = CLOCK, .clock_hz = APB_CLOCK_HZ, .intr = spi };
	struct dt_pci pci = {
		.ecam = VIRT_ECAM, .io = VIRT_PIO, .io_len = VIRT_PIO_LEN,
		.mem32 = VIRT_MEM32_BASE, .mem32_len = VIRT_MEM32_LIMIT - VIRT_MEM32_BASE,
		.mem64 = VIRT_MEM64_BASE, .mem64_len = VIRT_MEM64_LIMIT - VIRT_MEM64_BASE,
		.line = VIRT_PCI_LINE, .nlines = VIRT_PCI_LINES, .intc = GIC,
	};
	const struct virt *v = m->priv;
	struct vm_arm64_gic at;
	struct dt_writer w;
	int error;

	if (vm_arm64_get_gic(m->vmm->vm, &at) != 0)
		return (vmm_fail_vm("virt"));
	if (at.its_size != 0)
		pci.msi = ITS;
	if (dt_begin(&w) != 0)
		return (-1);
	dt_text(&w, "compatible", "linux,dummy-virt");
	dt_text(&w, "model", "hyve virt");
	dt_u32(&w, "interrupt-parent", GIC);
	dt_flag(&w, "dma-coherent");
	error = chosen(&w, v->uart);
	dt_memory(&w, m->vmm->vm);
	if (error == 0)
		error = cpus(&w, m);
	psci(&w);
	timer(&w);
	gic(&w, &at);
	apb_clock(&w);
	dt_devices(&w, m->vmm, &dm);
	power_button(&w, v->gpio);
	dt_pci(&w, &pci, &dm);
	if (error != 0) {
		dt_drop(&w);
		return (-1);
	}
	return (dt_finish(&w, blob));
}
