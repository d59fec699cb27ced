/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_i8042.c - a guest at the ports of the keyboard controller and of address line 20: pairs of bytes, which port and what, with
 * snapshots in between.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "fuzz_devices.h"
#include "input/i8042.h"

#define	IRQS	2

static struct vmm vmm;
static struct vm_irq *irq[IRQS];

/* A driver's way through controller, keyboard and mouse. */
size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const uint8_t seed[] = {
		1, 0xaa, 2, 0, 1, 0x60, 0, 0x43, 0, 0xff, 2, 0, 0, 0xf2, 2, 0, 0, 0xf0, 0, 0, 2, 0, 1, 0xd4, 0, 0xf3, 1, 0xd4, 0, 200,
		1, 0xd4, 0, 0xe9, 5, 0, 1, 0xd3, 0, 0x5a, 1, 0xd1, 0, 0xdd, 4, 0, 4, 2, 3, 0,
	};

	if (n > 0 || max < sizeof(seed))
		return (0);
	memcpy(buf, seed, sizeof(seed));
	return (sizeof(seed));
}

static struct device *
add(const char *name, uint64_t base, unsigned nirqs)
{
	struct device_place place = { .on = DEVICE_ON_IO, .base = base, .nirqs = nirqs, .irq = { irq[0], irq[1] } };

	return (fuzz_device(&vmm, name, name, "", &place));
}

static void
start(void)
{
	struct device *port92;

	(void)fuzz_vm_open(&vmm);
	if ((irq[0] = vm_irq_open_line(vmm.vm, 1)) == NULL || (irq[1] = vm_irq_open_line(vmm.vm, 12)) == NULL)
		abort();
	port92 = add("port92", 0x92, 0);
	i8042_set_port92(add("i8042", 0x60, IRQS), port92);
}

static void
reset(void)
{
	devices_pause(&vmm);
	devices_reset(&vmm);
	devices_resume(&vmm);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t port[] = { 0x60, 0x64, 0x60, 0x64, 0x92, 0x92 };

	if (vmm.vm == NULL)
		start();
	reset();
	for (; size >= 2; data += 2, size -= 2) {
		uint64_t val = data[1];
		unsigned what = data[0] % 8;

		if (what < 6)
			(void)vm_access(vmm.vm, VM_SPACE_IO, port[what], 1U << (data[0] >> 6) % 3, what == 0 || what == 1 || what == 4, &val);
		else if (what == 6)
			fuzz_move(&vmm);
		else
			reset();
	}
	(void)vm_unsuspend(vmm.vm);
	return (0);
}
