/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_firmware.c - the devices that firmware talks to under a guest that does anything: registers and descriptors of fw_cfg, by
 * memory and by ports, and commands of flash of both widths.
 *
 * Operations are a byte each with what they need behind it.  The VM stays, the devices are reset for each input.
 */
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "error.h"
#include "firmware/fw_cfg.h"
#include "fuzz.h"
#include "fuzz_devices.h"

#define	FWCFG		0x09020000ULL
#define	PORT		0x510
#define	FLASH32		0x04000000ULL
#define	FLASH8		0xff000000ULL
#define	FLASH_LEN	(256UL << 10)
#define	OPS_MAX		2000

enum { OP_FWCFG, OP_PORT, OP_DMA, OP_FLASH32, OP_FLASH8, OP_COMMAND, OP_POKE, OP_MOVE, OP_LAST };

static struct vmm vmm;
static struct device *fwcfg[2];
static uint8_t *ram;

static struct device *
make(const char *device, const char *name, unsigned on, uint64_t base, const char *keys)
{
	struct device_place place = { .on = on, .base = base };

	return (fuzz_device(&vmm, device, name, keys, &place));
}

static void
make_vm(void)
{
	uint8_t big[100000] = { 1, 2, 3 };

	ram = fuzz_vm_open(&vmm);
	fwcfg[0] = make("fw-cfg", "fwcfg", DEVICE_ON_MMIO, FWCFG, "");
	fwcfg[1] = make("fw-cfg", "fwport", DEVICE_ON_IO, PORT, "");
	for (int i = 0; i < 2; i++) {
		if (fw_cfg_add_file(fwcfg[i], "big", big, sizeof(big)) != 0 || fw_cfg_add_file(fwcfg[i], "none", "", 0) != 0 ||
		    fw_cfg_add_writable(fwcfg[i], "rw", big, 100) != 0)
			abort();
	}
	(void)make("cfi-flash", "flash32", DEVICE_ON_MMIO, FLASH32, "flash32.size=256K\nflash32.block=64K\n");
	(void)make("cfi-flash", "flash8", DEVICE_ON_MMIO, FLASH8,
	    "flash8.size=256K\nflash8.block=4K\nflash8.width=1\nflash8.chips=1\n");
	if (vm_vcpu_open(vmm.vm, 0) == NULL || vm_start(vmm.vm) != 0)
		abort();
}

static void
touch(enum vm_space space, uint64_t addr, const uint8_t **p, const uint8_t *end)
{
	uint8_t how = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned size = 1U << (how & (space == VM_SPACE_IO ? 1 : 3));
	uint64_t val;

	if (space == VM_SPACE_IO && (how & 2) != 0)
		size = 4;
	val = (how & 4) == 0 ? fuzz_bytes(p, end, size) : 0;
	(void)vm_access(vmm.vm, space, addr, size, (how & 4) == 0, &val);
}

/* A descriptor with fields as a driver has them, or not. */
static void
descriptor(const uint8_t **p, const uint8_t *end)
{
	struct { uint32_t control, len; uint64_t addr; } d;
	uint64_t at = fuzz_bytes(p, end, 3) % FUZZ_RAM, val;

	d.control = htobe32((uint32_t)(fuzz_bytes(p, end, 1) % 0x30 << 16 | fuzz_bytes(p, end, 1)));
	d.len = htobe32((uint32_t)fuzz_bytes(p, end, 3));
	d.addr = htobe64(fuzz_bytes(p, end, 3));
	if (at + sizeof(d) <= FUZZ_RAM)
		memcpy(ram + at, &d, sizeof(d));
	val = htobe64(at);
	(void)vm_access(vmm.vm, VM_SPACE_MEM, FWCFG + 0x10, 8, true, &val);
	val = htobe32((uint32_t)at);
	(void)vm_access(vmm.vm, VM_SPACE_IO, PORT + 8, 4, true, &val);
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1);
	uint64_t at, val;

	switch (op % OP_LAST) {
	case OP_FWCFG:
		touch(VM_SPACE_MEM, FWCFG + fuzz_bytes(p, end, 1) % 0x18, p, end);
		break;
	case OP_PORT:
		touch(VM_SPACE_IO, PORT + fuzz_bytes(p, end, 1) % 12, p, end);
		break;
	case OP_DMA:
		descriptor(p, end);
		break;
	case OP_FLASH32:
		touch(VM_SPACE_MEM, FLASH32 + fuzz_bytes(p, end, 3) % FLASH_LEN, p, end);
		break;
	case OP_FLASH8:
		touch(VM_SPACE_MEM, FLASH8 + fuzz_bytes(p, end, 3) % FLASH_LEN, p, end);
		break;
	case OP_COMMAND:
		at = (fuzz_bytes(p, end, 3) % FLASH_LEN) & ~3ULL;
		val = fuzz_bytes(p, end, 1) * 0x10001;
		(void)vm_access(vmm.vm, VM_SPACE_MEM, FLASH32 + at, 4, true, &val);
		(void)vm_access(vmm.vm, VM_SPACE_MEM, FLASH8 + at, 1, true, &val);
		break;
	case OP_POKE:
		fuzz_poke(ram, FUZZ_RAM, p, end);
		break;
	case OP_MOVE:
		fuzz_move(&vmm);
		break;
	}
}

static const uint8_t items[] = {
	OP_FWCFG, 8, 1, 0x00, 0x19, OP_FWCFG, 0, 7, OP_FWCFG, 0, 6, OP_PORT, 0, 1, 0x20, 0, OP_PORT, 1, 4, OP_MOVE,
	OP_DMA, 0x00, 0x10, 0x00, 0x20, 0x0a, 0x00, 0x80, 0x01, 0x00, 0x40, 0x00,
	OP_DMA, 0x00, 0x10, 0x00, 0x22, 0x18, 50, 0, 0, 0x00, 0x40, 0x00,
	OP_DMA, 0xf8, 0xff, 0x0f, 0x00, 0x02, 0xff, 0xff, 0xff, 0x00, 0xf0, 0x0f, OP_PORT, 4, 2, 0, 0, 0, 1,
};

static const uint8_t commands[] = {
	OP_COMMAND, 0, 0, 1, 0x60, OP_COMMAND, 0, 0, 1, 0xd0, OP_COMMAND, 0, 0, 1, 0x20, OP_COMMAND, 0, 0, 1, 0xd0,
	OP_COMMAND, 0, 0, 1, 0xe8, OP_COMMAND, 0, 0, 1, 0x02, OP_COMMAND, 0, 0, 1, 1, OP_MOVE, OP_COMMAND, 4, 0, 1, 2,
	OP_COMMAND, 8, 0, 1, 3, OP_COMMAND, 0, 0, 1, 0xd0, OP_FLASH32, 0, 0, 1, 6, OP_COMMAND, 0, 0, 0, 0xff,
	OP_COMMAND, 0x54, 1, 0, 0x98, OP_FLASH32, 0x40, 0, 0, 6, OP_FLASH8, 0x10, 0, 0, 4, OP_COMMAND, 0, 0, 0, 0x90,
	OP_COMMAND, 0xfc, 0xff, 3, 0xe8, OP_COMMAND, 0xfc, 0xff, 3, 0x1f, OP_COMMAND, 0xfc, 0xff, 3, 5, OP_COMMAND, 0, 0, 0, 0x10,
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const struct fuzz_input seeds[] = { { items, sizeof(items) }, { commands, sizeof(commands) } };

	return (fuzz_input(seeds, sizeof(seeds) / sizeof(seeds[0]), n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;
	uint64_t val = 0;

	if (vmm.vm == NULL)
		make_vm();
	fuzz_restart(&vmm, ram);
	for (unsigned n = 0; p < end && n < OPS_MAX; n++)
		operate(&p, end);
	/* Whatever it did, what was fixed still is. */
	val = htobe16(0);
	(void)vm_access(vmm.vm, VM_SPACE_MEM, FWCFG + 8, 2, true, &val);
	if (vm_access(vmm.vm, VM_SPACE_MEM, FWCFG, 4, false, &val) != 0 || memcmp(&val, "QEMU", 4) != 0)
		abort();
	return (0);
}
