/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_chips.c - the chips of both machines that have registers and no memory access, and the PC's interrupt controllers and bridges, under a
 * guest that does anything, while lines say something, buttons are pressed, and time passes.
 *
 * An input is a series of operations, a byte each with what it needs behind it.  The VM stays, the devices are reset for each input.
 */
#include <stdlib.h>
#include <string.h>

#include <vmmapi/amd64.h>

#include "acpi/acpi_pm.h"
#include "console/chardev.h"
#include "fuzz.h"
#include "fuzz_pci.h"
#include "gpio/pl061.h"
#include "pci/q35.h"
#include "testdev/pc_testdev.h"
#include "timer/acpi_pm_timer.h"

#define	OPS_MAX		1000
#define	PM		0x600

enum { OP_TOUCH, OP_PAIR, OP_TIME, OP_TYPE, OP_PRESS, OP_CONFIG, OP_MOVE, OP_RESET, OP_LAST };

/* Those that the VM has besides its library's, with lines of their own. */
static const struct {
	const char	*cls;
	unsigned	 on;
	uint64_t	 base;
	unsigned	 nlines, line[2];
	bool		 serial;
} chips[] = {
	{ "ns16550", DEVICE_ON_IO, 0x3f8, 1, { 4, 0 }, true },
	{ "pl011", DEVICE_ON_MMIO, 0x09000000, 1, { 5, 0 }, true },
	{ "pl031", DEVICE_ON_MMIO, 0x09010000, 1, { 6, 0 }, false },
	{ "pl061", DEVICE_ON_MMIO, 0x09030000, 1, { 7, 0 }, false },
	{ "mc146818", DEVICE_ON_IO, 0x70, 1, { 8, 0 }, false },
	{ "hpet", DEVICE_ON_MMIO, 0xfed00000, 2, { 0, 8 }, false },
	{ "acpi-pm-timer", DEVICE_ON_IO, PM + 8, 0, { 0, 0 }, false },
	{ "acpi-pm", DEVICE_ON_IO, PM, 1, { 9, 0 }, false },
	{ "pc-testdev", DEVICE_ON_IO, PC_TESTDEV_EXIT, 0, { 0, 0 }, false },
};
#define	NCHIPS	(sizeof(chips) / sizeof(chips[0]))

/* Where there are registers. */
enum { NS16550, PL011, PL031, PL061, RTC, HPET, PMTIMER, PMREGS, TESTDEV, PIC };
static const struct {
	enum vm_space	 space;
	uint64_t	 base, len;
} regions[] = {
	{ VM_SPACE_IO, 0x3f8, 8 }, { VM_SPACE_MEM, 0x09000000, 0x1000 }, { VM_SPACE_MEM, 0x09010000, 0x1000 }, { VM_SPACE_MEM, 0x09030000, 0x1000 },
	{ VM_SPACE_IO, 0x70, 4 }, { VM_SPACE_MEM, 0xfed00000, 0x400 }, { VM_SPACE_IO, PM + 8, 4 }, { VM_SPACE_IO, PM, 0x80 },
	{ VM_SPACE_IO, PC_TESTDEV_EXIT, 4 }, { VM_SPACE_IO, 0x20, 2 }, { VM_SPACE_IO, 0xa0, 2 }, { VM_SPACE_IO, 0x4d0, 2 },
	{ VM_SPACE_IO, 0x40, 4 }, { VM_SPACE_IO, 0x61, 1 }, { VM_SPACE_MEM, 0xfec00000, 0x1000 }, { VM_SPACE_MEM, 0xfee00000, 0x1000 },
	{ VM_SPACE_IO, 0xe0, 4 }, { VM_SPACE_IO, 0x2000, PC_TESTDEV_LINES }, { VM_SPACE_MEM, 0xff000000, 0x10000 }, { VM_SPACE_IO, 0xcf9, 1 },
};
#define	NREGIONS	(sizeof(regions) / sizeof(regions[0]))

static const uint8_t bridges[] = { Q35_HOST_DEVFN, Q35_LPC_DEVFN, PCI_DEVFN(5, 0) };

static struct fuzz_pci guest;
static struct chardev *line[2];
static struct device *pm, *gpio;

static struct vm_irq *
open_line(unsigned n)
{
	struct vm_irq *irq = vm_irq_open_line(guest.vmm.vm, n);

	if (irq == NULL)
		abort();
	return (irq);
}

static void
make_chips(void)
{
	struct vm_irq *lines[PC_TESTDEV_LINES];
	struct device *dev[NCHIPS];
	unsigned nserial = 0;

	for (unsigned i = 0; i < NCHIPS; i++) {
		struct device_place place = { .on = chips[i].on, .base = chips[i].base, .nirqs = chips[i].nlines };

		for (unsigned n = 0; n < chips[i].nlines; n++)
			place.irq[n] = open_line(chips[i].line[n]);
		if (chips[i].serial) {
			line[nserial] = place.chardev = chardev_open_ring(guest.vmm.loop, 64);
			if (line[nserial++] == NULL)
				abort();
		}
		dev[i] = fuzz_device(&guest.vmm, chips[i].cls, chips[i].cls, "", &place);
	}
	for (unsigned n = 0; n < PC_TESTDEV_LINES; n++)
		lines[n] = open_line(n);
	pc_testdev_connect(dev[TESTDEV], lines, NULL, NULL);
	gpio = dev[PL061];
	pm = dev[PMREGS];
	acpi_pm_set_timer(pm, dev[PMTIMER]);
}

static void
make_bridges(void)
{
	static const char *const classes[] = { "q35-host", "ich9-lpc", "pci-generic" };
	struct vm_irq *isa[Q35_ISA_LINES] = { NULL };

	for (unsigned i = 0; i < Q35_ISA_LINES; i++) {
		if (q35_lpc_routes_to(i))
			isa[i] = open_line(i);
	}
	for (unsigned i = 0; i < sizeof(bridges); i++) {
		struct device_place place = { .on = DEVICE_ON_PCI, .pci = guest.host, .devfn = bridges[i], .base = i == 1 ? PM : 1 };
		struct device *dev = fuzz_device(&guest.vmm, classes[i], classes[i], "", &place);

		if (i == 1)
			q35_lpc_set_isa(dev, isa);
	}
}

static void
make_vm(void)
{
	fuzz_pci_open(&guest);
	if (config_declare(guest.vmm.config, "", &config_global_keys) != 0 || vm_amd64_i8254_open(guest.vmm.vm) == NULL)
		abort();
	make_chips();
	make_bridges();
	fuzz_pci_start(&guest);
}

/* An access to a region: where in it, its width and direction, and what. */
static void
touch(unsigned r, uint64_t off, const uint8_t **p, const uint8_t *end)
{
	uint8_t how = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned size = 1U << (how & 3);
	uint64_t val;

	r %= NREGIONS;
	if (regions[r].space == VM_SPACE_IO && size == 8)
		size = 4;
	val = (how & 4) == 0 ? fuzz_bytes(p, end, size) : 0;
	(void)vm_access(guest.vmm.vm, regions[r].space, regions[r].base + off % regions[r].len, size, (how & 4) == 0, &val);
}

/* Configuration registers by ports, as the window may be anywhere. */
static void
configure(const uint8_t **p, const uint8_t *end)
{
	uint64_t val = 0x80000000U | (uint64_t)bridges[fuzz_bytes(p, end, 1) % sizeof(bridges)] << 8, off = fuzz_bytes(p, end, 1);
	uint8_t how = (uint8_t)fuzz_bytes(p, end, 1);

	val |= off & 0xfc;
	(void)vm_access(guest.vmm.vm, VM_SPACE_IO, 0xcf8, 4, true, &val);
	val = (how & 4) == 0 ? fuzz_bytes(p, end, 1U << (how & 3) % 3) : 0;
	(void)vm_access(guest.vmm.vm, VM_SPACE_IO, 0xcfc + (off & 3), 1U << (how & 3) % 3, (how & 4) == 0, &val);
}

static void
pass_time(uint64_t ns)
{
	devices_pause(&guest.vmm);
	(void)vm_clock_set(guest.vmm.vm, vm_clock_now(guest.vmm.vm) + ns);
	devices_resume(&guest.vmm);
}

static void
say(unsigned n, const uint8_t **p, const uint8_t *end)
{
	uint8_t buf[64];
	size_t len = fuzz_bytes(p, end, 1) % sizeof(buf);

	(void)chardev_ring_get(line[n], buf, len);
	if (len > (size_t)(end - *p))
		len = (size_t)(end - *p);
	(void)chardev_ring_put(line[n], *p, len);
	*p += len;
	(void)event_loop_once(guest.vmm.loop, 0);
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned r;

	switch ((op & 0x1f) % OP_LAST) {
	case OP_TOUCH:
		r = (unsigned)fuzz_bytes(p, end, 1);
		touch(r, fuzz_bytes(p, end, regions[r % NREGIONS].len > 256 ? 2 : 1), p, end);
		break;
	case OP_PAIR:			/* an index and its register, of those that have such */
		r = (op & 0x80) != 0 ? RTC : PIC + 5;
		touch(r, 0, p, end);
		touch(r, (op & 0x80) != 0 ? 1 : 0x10, p, end);
		break;
	case OP_TIME:
		pass_time(1ULL << (fuzz_bytes(p, end, 1) % 48));
		break;
	case OP_TYPE:
		say(op >> 7, p, end);
		break;
	case OP_PRESS:
		if ((op & 0x80) != 0)
			acpi_pm_power_button(pm);
		else
			pl061_press(gpio, (unsigned)(op >> 5) % PL061_LINES);
		break;
	case OP_CONFIG:
		configure(p, end);
		break;
	case OP_MOVE:
		fuzz_move(&guest.vmm);
		break;
	case OP_RESET:
		devices_pause(&guest.vmm);
		devices_reset(&guest.vmm);
		devices_resume(&guest.vmm);
		break;
	}
}

static const uint8_t serials[] = {
	/* FIFOs and interrupts on, something each way, time-outs, loops. */
	OP_TOUCH, NS16550, 2, 0, 0x87, OP_TOUCH, NS16550, 1, 0, 0x0f, OP_TYPE, 3, 'a', 'b', 'c', OP_TOUCH, NS16550, 0, 4, OP_TIME, 24, OP_TOUCH, NS16550, 2, 4,
	OP_TOUCH, NS16550, 0, 0, 'x', OP_TOUCH, NS16550, 4, 0, 0x1f, OP_TOUCH, NS16550, 0, 0, 'y', OP_TOUCH, NS16550, 5, 4, OP_MOVE,
	OP_TOUCH, PL011, 0x30, 0, 2, 1, 3, 0, 0, OP_TOUCH, PL011, 0x2c, 0, 2, 0x70, 0, 0, 0, OP_TOUCH, PL011, 0x38, 0, 2, 0xff, 7, 0, 0,
	OP_TYPE | 0x80, 3, 'a', 'b', 'c', OP_TOUCH, PL011, 0, 0, 6, OP_TIME, 24, OP_TOUCH, PL011, 0x3c, 0, 6, OP_TOUCH, PL011, 0, 0, 2, 'x', 0, 0, 0, OP_MOVE,
};

static const uint8_t timers[] = {
	/* RTC: a time, an alarm, periodic interrupts; PL031's match; HPET's comparators, one of them periodic; 8254. */
	OP_PAIR | 0x80, 0, 0x0b, 0, 0x82, OP_PAIR | 0x80, 0, 0, 0, 0x59, OP_PAIR | 0x80, 0, 0x0a, 0, 0x26, OP_PAIR | 0x80, 0, 0x0b, 0, 0x72, OP_TIME, 30,
	OP_PAIR | 0x80, 0, 0x0c, 4, OP_TOUCH, PL031, 4, 0, 2, 1, 0, 0, 0, OP_TOUCH, PL031, 0x10, 0, 2, 1, 0, 0, 0, OP_TIME, 32, OP_TOUCH, PL031, 0x18, 0, 6,
	OP_TOUCH, HPET, 0x00, 1, 2, 0x4c, 0, 0, 0, OP_TOUCH, HPET, 0x08, 1, 2, 0, 1, 0, 0, OP_TOUCH, HPET, 0x10, 0, 2, 3, 0, 0, 0, OP_TIME, 16,
	OP_TOUCH, HPET, 0x20, 0, 2, 7, 0, 0, 0, OP_MOVE, OP_TOUCH, PIC + 3, 3, 0, 0x34, OP_TOUCH, PIC + 3, 0, 0, 0xff, OP_TOUCH, PIC + 3, 0, 0, 1, OP_TIME, 24,
	OP_TOUCH, PMTIMER, 0, 6, OP_TOUCH, PMREGS, 2, 1, 1, 0, OP_TIME, 33, OP_TOUCH, PMREGS, 0, 5, OP_RESET,
};

static const uint8_t controls[] = {
	/* 8259s and an I/O APIC's pin, lines by the test device, buttons, routes and windows. */
	OP_TOUCH, PIC, 0, 0, 0x11, OP_TOUCH, PIC, 1, 0, 0x20, OP_TOUCH, PIC, 1, 0, 4, OP_TOUCH, PIC, 1, 0, 1, OP_TOUCH, PIC, 1, 0, 0, OP_TOUCH, PIC + 8, 5, 0, 1,
	OP_TOUCH, PIC, 0, 0, 0x0a, OP_TOUCH, PIC, 0, 4, OP_PAIR, 2, 0x20, 0, 0, 0, 2, 0x31, 0x80, 0, 0, OP_TOUCH, PIC + 8, 8, 0, 1, OP_TOUCH, PIC + 8, 8, 0, 0,
	OP_PRESS | 0x60, OP_TOUCH, PL061, 0x10, 4, 2, 8, 0, 0, 0, OP_PRESS | 0x60, OP_TOUCH, PL061, 0x1c, 4, 2, 8, 0, 0, 0, OP_PRESS | 0x80,
	OP_TOUCH, PMREGS, 4, 1, 0, 0x34, OP_CONFIG, 0, 0x60, 2, 1, 0, 0, 0xe0, OP_CONFIG, 0, 0x90, 0, 0x30, OP_CONFIG, 1, 0x60, 0, 5, OP_CONFIG, 1, 0x40, 2, 1, 8, 0, 0,
	OP_MOVE, OP_TOUCH, PIC + 7, 1, 0, 9, OP_TOUCH, PIC + 9, 0xff, 0xff, 3, 1, 2, 3, 4, 5, 6, 7, 8, OP_TOUCH, PIC + 10, 0, 0, 6, OP_TOUCH, TESTDEV, 0, 2, 1, 0, 0, 0,
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const struct fuzz_input seeds[] = {
		{ serials, sizeof(serials) }, { timers, sizeof(timers) }, { controls, sizeof(controls) },
	};

	return (fuzz_input(seeds, sizeof(seeds) / sizeof(seeds[0]), n, buf, max));
}

static uint32_t
look(unsigned r, uint64_t off, unsigned size)
{
	uint64_t val = 0;

	if (vm_access(guest.vmm.vm, regions[r].space, regions[r].base + off, size, false, &val) != 0)
		abort();
	return ((uint32_t)val);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;

	if (guest.vmm.vm == NULL)
		make_vm();
	fuzz_restart(&guest.vmm, guest.ram);
	for (unsigned n = 0; p < end && n < OPS_MAX; n++)
		operate(&p, end);
	/* Whatever it did, a reset mends it: transmitters are empty, identities there, the counter stands. */
	fuzz_restart(&guest.vmm, guest.ram);
	(void)vm_unsuspend(guest.vmm.vm);
	if ((look(NS16550, 5, 1) & 0x60) != 0x60 || look(PL011, 0xfe0, 4) != 0x11 || look(PL031, 0xfe0, 4) != 0x31 || look(PL061, 0xfe0, 4) != 0x61 ||
	    look(HPET, 0x10, 4) != 0 || look(PIC + 7, 0, 4) != 0 || look(PIC + 8, 5, 1) != 0)
		abort();
	return (0);
}
