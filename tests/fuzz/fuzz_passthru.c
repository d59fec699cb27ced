/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_passthru.c - host devices that are anything, and what a guest does to one: no register of either leads out of what there is.
 *
 * An input begins with changes to the configuration space and BARs of a device, from which the model is made; then a series of accesses follows.
 */
#include <stdlib.h>
#include <string.h>

#include "fake_ppt.h"
#include "fuzz.h"
#include "fuzz_pci.h"

#define	DEVFN		PCI_DEVFN(1, 0)
#define	CHANGES_MAX	64
#define	OPS_MAX		500

enum { OP_CONFIG, OP_BAR, OP_TABLE, OP_PIN, OP_TURN, OP_RESET, OP_LAST };

static struct fuzz_pci guest = { .devfn = DEVFN };
static struct vm_irq *pin;

/* A disk, of which something is otherwise. */
static void
host_device(const uint8_t **p, const uint8_t *end)
{
	unsigned n = (unsigned)fuzz_bytes(p, end, 1) % CHANGES_MAX;

	fake_disk();
	for (unsigned i = 0; i < n; i++) {
		unsigned what = (unsigned)fuzz_bytes(p, end, 1);
		struct vm_pptdev_bar *b = &fake.info.bar[what % VM_PPTDEV_BARS];

		switch (what >> 4) {
		case 0:
			b->size = fuzz_bytes(p, end, 6);
			b->hpa = 0xfe000000;
			b->flags = (uint32_t)fuzz_bytes(p, end, 1) & 7;
			break;
		case 1:
			b->size = 1ULL << fuzz_bytes(p, end, 1) % 50;
			b->hpa = 0xfe000000;
			b->flags = (uint32_t)fuzz_bytes(p, end, 1) & 7;
			break;
		case 2:
			fake.info.msix = (unsigned)fuzz_bytes(p, end, 2) % (FAKE_VECTORS + 1);
			fake.info.msi = 1U << fuzz_bytes(p, end, 1) % 6;
			break;
		case 3:
			fake.info.reset = !fake.info.reset;
			fake.info.pin = !fake.info.pin;
			break;
		case 4:
			fake_put((unsigned)fuzz_bytes(p, end, 2) % 1023 * 4, 4, (uint32_t)fuzz_bytes(p, end, 4));
			break;
		default:
			fake_put((unsigned)fuzz_bytes(p, end, 1), 1, (uint32_t)fuzz_bytes(p, end, 1));
			break;
		}
	}
}

static uint64_t
bar(unsigned n)
{
	uint64_t at = fuzz_mem(&guest, fuzz_cfg(&guest, 0x10 + 4 * n), 4, false, 0);

	if ((at & 6) == 4 && n < 5)
		at |= fuzz_mem(&guest, fuzz_cfg(&guest, 0x14 + 4 * n), 4, false, 0) << 32;
	return (at & ~0xfULL);
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	unsigned op = (unsigned)fuzz_bytes(p, end, 1), how = (unsigned)fuzz_bytes(p, end, 1), size = 1U << (how & 3);
	uint64_t off;

	switch (op % OP_LAST) {
	case OP_CONFIG:
		size = size == 8 ? 4 : size;
		off = fuzz_bytes(p, end, 2) % (how & 8 ? 4096 : 256) & ~(uint64_t)(size - 1);
		(void)fuzz_mem(&guest, fuzz_cfg(&guest, (unsigned)off), size, (how & 4) != 0, fuzz_bytes(p, end, size));
		break;
	case OP_BAR:
		off = bar(how >> 4 & 7) + fuzz_bytes(p, end, 2) * size;
		(void)fuzz_mem(&guest, off, size, (how & 4) != 0, fuzz_bytes(p, end, size));
		break;
	case OP_TABLE:
		off = bar(0) + 0x1ff0 + fuzz_bytes(p, end, 1) * 4;
		(void)fuzz_mem(&guest, off, how & 8 ? 4 : size, (how & 4) != 0, fuzz_bytes(p, end, size));
		break;
	case OP_PIN:
		fake.vector[how].pending = !fake.vector[how].pending;
		fake_raise();
		if (fake.eoi != NULL && (how & 1) != 0)
			fake.eoi(fake.eoi_arg);
		break;
	case OP_TURN:
		(void)event_loop_once(guest.vmm.loop, 0);
		break;
	default:
		devices_pause(&guest.vmm);
		devices_reset(&guest.vmm);
		devices_resume(&guest.vmm);
		break;
	}
}

/* A disk as it is, and one without vectors; a driver's accesses. */
size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const uint8_t plain[] = {
		0, OP_CONFIG, 5, 4, 0, 7, 0, OP_BAR, 2, 4, 0, OP_CONFIG, 5, 0x8a, 0, 0, 0x80, OP_TABLE, 0x0c, 4, 1, 2, 3, 4,
		OP_TABLE, 0x0c, 7, 0, 0, 0, 0, OP_PIN, 3, OP_CONFIG, 6, 0x70, 0, 0, 0x80, 0, 0, OP_TURN, 0, OP_RESET, 0,
	};
	static const uint8_t odd[] = {
		4, 0x10, 20, 4, 0x20, 0, 8, 3, 0x30, 0x50, 0x90, 9, OP_CONFIG, 6, 0x10, 0, 0, 0, 0, 0xc0, OP_CONFIG, 5, 4, 0, 7, 0, OP_BAR, 0x16, 1, 0, 1, 2, 3, 4,
	};
	const struct fuzz_input inputs[] = { { plain, sizeof(plain) }, { odd, sizeof(odd) } };

	return (fuzz_input(inputs, 2, n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char keys[] = "given.pptdev=3/0/0\n";
	const uint8_t *p = data, *end = data + size;
	struct device_place place = { .on = DEVICE_ON_PCI, .devfn = DEVFN, .nirqs = 1 };
	struct device *dev;

	if (guest.host == NULL) {
		fuzz_pci_open(&guest);
		pin = vm_irq_open_line(guest.vmm.vm, 16);
		if (pin == NULL)
			abort();
		fuzz_pci_start(&guest);
		if (config_declare(guest.vmm.config, "given", &device_class_find("passthru")->keys) != 0 ||
		    config_load_text(guest.vmm.config, "fuzz", keys, strlen(keys)) != 0)
			abort();
	}
	host_device(&p, end);
	place.pci = guest.host;
	place.irq[0] = pin;
	dev = device_create(&guest.vmm, device_class_find("passthru"), "given", config_node(guest.vmm.config, "given"), &place);
	if (dev != NULL) {
		devices_resume(&guest.vmm);
		for (unsigned i = 0; i < OPS_MAX && p < end; i++)
			operate(&p, end);
		devices_pause(&guest.vmm);
		device_destroy(dev);
	}
	if (fake.assigned)
		abort();
	return (0);
}
