/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_ahci.c - a guest's driver against the AHCI controller, with a disk and a CD drive: registers, command headers, FISes, packets, PRDs, resets,
 * snapshots.
 *
 * The input is a series of operations, a byte each with what it needs behind it.  The VM stays, the machine is reset for each input.
 * Commands are told by few bytes, so that mutations stay where something is: addresses by a table.
 */
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "error.h"
#include "fuzz.h"
#include "fuzz_pci.h"

#define	DEVFN		PCI_DEVFN(1, 0)
#define	LIST_AT(p)	(0x10000ULL + 0x1000 * (p))
#define	FIS_AT(p)	(0x12000ULL + 0x1000 * (p))
#define	TABLE_AT(p, s)	(0x20000ULL + 0x8000 * (p) + 0x1000 * (s))
#define	DATA		0x40000ULL
#define	SLOTS		8U
#define	PRDS		16U
#define	OPS_MAX		400

enum {
	OP_REGISTER, OP_CONFIG, OP_PORT, OP_ATA, OP_PACKET, OP_QUEUED, OP_ISSUE, OP_RESTART, OP_POKE, OP_MOVE, OP_START, OP_PRD, OP_TABLE, OP_HEADER,
	OP_TURN, OP_CONTROL,
};

static struct fuzz_pci guest = { .devfn = DEVFN };

static void
reg(unsigned off, uint32_t val)
{
	(void)fuzz_mem(&guest, fuzz_bar(&guest, 5) + off, 4, true, val);
}

static void
port_reg(unsigned port, unsigned off, uint32_t val)
{
	reg(0x100 + 0x80 * port + off, val);
}

static void
make_vm(void)
{
	char keys[128];

	(void)snprintf(keys, sizeof(keys), "ahci.port.0.path=/proc/self/fd/%d\nahci.port.1.path=/proc/self/fd/%d\nahci.port.1.type=cd\n",
	    fuzz_image(), fuzz_image());
	fuzz_pci_function(&guest, "ahci", "ahci", keys);
}

/* An address: memory of data, and what has another purpose or is no memory. */
static uint64_t
address(uint8_t b)
{
	static const uint64_t special[16] = {
		0, LIST_AT(0), FIS_AT(0), TABLE_AT(0, 0), TABLE_AT(0, 0) + 0x80, FUZZ_RAM - 512, FUZZ_RAM - 2, FUZZ_RAM, 0xfee00000, UINT64_MAX - 4095,
		UINT64_MAX - 1, UINT64_MAX, LIST_AT(1), TABLE_AT(1, 1), DATA + 1, DATA + 0xffe,
	};

	if (b < 16)
		return (special[b]);
	return (DATA + 4096 * (uint64_t)(b & 63) + ((b & 64) != 0 ? 510 : 0));
}

static void
prd(unsigned port, unsigned slot, unsigned i, uint64_t gpa, uint32_t control)
{
	uint8_t *at = guest.ram + TABLE_AT(port, slot) + 0x80 + 16 * (i % PRDS);

	memcpy(at, &gpa, 8);
	memcpy(at + 12, &control, 4);
}

/* A command's header and FIS: two regions, of which one byte says the lengths. */
static uint8_t *
put(unsigned port, unsigned slot, uint8_t command, const uint8_t **p, const uint8_t *end)
{
	static const uint32_t lengths[4] = { 1, 511, 4095, 0x1ffff };
	uint8_t *fis = guest.ram + TABLE_AT(port, slot), how = (uint8_t)fuzz_bytes(p, end, 1);
	uint32_t header[4] = { 5 | (uint32_t)(how & 3) << 16, 0, (uint32_t)TABLE_AT(port, slot), 0 };

	memcpy(guest.ram + LIST_AT(port) + 32 * slot, header, sizeof(header));
	memset(fis, 0, 0x80);
	fis[0] = 0x27;
	fis[1] = 0x80;
	fis[2] = command;
	fis[7] = (how & 0x80) != 0 ? (uint8_t)fuzz_bytes(p, end, 1) : 0x40;
	for (unsigned i = 0; i < (how & 3U); i++)
		prd(port, slot, i, address((uint8_t)fuzz_bytes(p, end, 1)), lengths[how >> (2 + 2 * (i & 1)) & 3] | (how & 0x40U) << 25);
	return (fis);
}

static void
ata(unsigned port, unsigned slot, const uint8_t **p, const uint8_t *end)
{
	uint8_t *fis = put(port, slot, (uint8_t)fuzz_bytes(p, end, 1), p, end);

	fis[3] = (uint8_t)fuzz_bytes(p, end, 1);
	for (unsigned i = 4; i < 7; i++)
		fis[i] = (uint8_t)fuzz_bytes(p, end, 1);
	fis[12] = (uint8_t)fuzz_bytes(p, end, 1);
	if ((fis[7] & 1) != 0)
		fis[8] = fis[13] = (uint8_t)fuzz_bytes(p, end, 1);
}

static void
packet(unsigned slot, const uint8_t **p, const uint8_t *end)
{
	uint8_t *fis = put(1, slot, 0xa0, p, end);

	for (unsigned i = 0; i < 12; i++)
		fis[0x40 + i] = (uint8_t)fuzz_bytes(p, end, 1);
}

static void
queued(unsigned slot, const uint8_t **p, const uint8_t *end)
{
	uint8_t *fis = put(0, slot, (uint8_t)(0x60 | (slot & 1)), p, end);

	fis[3] = (uint8_t)fuzz_bytes(p, end, 1);
	fis[4] = (uint8_t)fuzz_bytes(p, end, 1);
	fis[5] = (uint8_t)fuzz_bytes(p, end, 1);
	fis[12] = (uint8_t)(slot << 3);
	port_reg(0, 0x34, 1U << slot);
}

/* A reset by FIS. */
static void
control(unsigned port, unsigned slot, uint8_t val)
{
	const uint8_t *none = NULL;
	uint8_t *fis = put(port, slot, 0, &none, NULL);

	fis[1] = 0;
	fis[15] = val;
	port_reg(port, 0x38, 1U << slot);
}

static void
start(unsigned port)
{
	port_reg(port, 0x18, 0);
	port_reg(port, 0x00, (uint32_t)LIST_AT(port));
	port_reg(port, 0x04, 0);
	port_reg(port, 0x08, (uint32_t)FIS_AT(port));
	port_reg(port, 0x0c, 0);
	port_reg(port, 0x30, UINT32_MAX);
	port_reg(port, 0x10, UINT32_MAX);
	port_reg(port, 0x14, UINT32_MAX);
	port_reg(port, 0x18, 0x10);
	port_reg(port, 0x18, 0x11);
}

static void
start_all(void)
{
	(void)fuzz_mem(&guest, fuzz_cfg(&guest, 4), 2, true, PCI_CMD_MEM | PCI_CMD_MASTER);
	reg(4, 1);
	reg(4, 2);
	start(0);
	start(1);
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned port = op >> 7, slot = op >> 4 & (SLOTS - 1);
	uint64_t i, val;

	switch (op & 15) {
	case OP_REGISTER:
		fuzz_touch(&guest, fuzz_bar(&guest, 5), (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_CONFIG:
		fuzz_touch(&guest, fuzz_cfg(&guest, 0), (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_PORT:
		i = fuzz_bytes(p, end, 1) % 16;
		port_reg(port, 4 * (unsigned)i, (uint32_t)fuzz_bytes(p, end, 4));
		break;
	case OP_ATA:
		ata(port, slot, p, end);
		port_reg(port, 0x38, 1U << slot);
		break;
	case OP_PACKET:
		packet(slot, p, end);
		port_reg(1, 0x38, 1U << slot);
		break;
	case OP_QUEUED:
		queued(slot, p, end);
		port_reg(0, 0x38, 1U << slot);
		break;
	case OP_ISSUE:
		port_reg(port, 0x38, (uint32_t)fuzz_bytes(p, end, 1));
		break;
	case OP_RESTART:
		port_reg(port, 0x18, 0x10);
		port_reg(port, 0x10, UINT32_MAX);
		port_reg(port, 0x18, 0x11);
		break;
	case OP_POKE:
		fuzz_poke(guest.ram, FUZZ_RAM, p, end);
		break;
	case OP_MOVE:
		fuzz_move(&guest.vmm);
		break;
	case OP_START:
		start_all();
		break;
	case OP_PRD:
		i = fuzz_bytes(p, end, 1);
		val = address((uint8_t)fuzz_bytes(p, end, 1));
		prd(port, slot, (unsigned)i, val, (uint32_t)fuzz_bytes(p, end, 4));
		break;
	case OP_TABLE:
		i = fuzz_bytes(p, end, 1);
		guest.ram[TABLE_AT(port, slot) + (i & 0xff)] = (uint8_t)fuzz_bytes(p, end, 1);
		break;
	case OP_HEADER:
		val = fuzz_bytes(p, end, 4);
		memcpy(guest.ram + LIST_AT(port) + 32 * slot, &val, 4);
		break;
	case OP_TURN:
		(void)event_loop_once(guest.vmm.loop, 0);
		break;
	case OP_CONTROL:
		control(port, slot, (uint8_t)fuzz_bytes(p, end, 1));
		break;
	default:
		break;
	}
}

static const uint8_t disks[] = {
	/* Identify, reads and writes of each kind, features, SMART, logs, TRIM, power, an error and what mends it. */
	OP_ATA, 0xec, 5, 0x20, 0, 0, 0, 0, 0, OP_ATA | 0x10, 0x25, 10, 0x20, 0x61, 0, 5, 0, 0, 7, OP_ATA, 0x20, 5, 0x22, 0, 1, 0, 0, 1,
	OP_ATA, 0xca, 5, 0x20, 0, 9, 0, 0, 1, OP_ATA, 0xc6, 0, 0, 0, 0, 0, 4, OP_ATA, 0xc4, 5, 0x20, 0, 1, 0, 0, 1, OP_ATA, 0x3d, 5, 0x21, 0, 3, 0, 0, 1,
	OP_ATA, 0x42, 0, 0, 0, 0, 0, 9, OP_ATA, 0xef, 0, 0x82, 0, 0, 0, 0, OP_ATA, 0xef, 0, 0x03, 0, 0, 0, 0x45, OP_ATA, 0xb0, 5, 0x20, 0xd0, 0, 0x4f, 0xc2, 0,
	OP_ATA, 0x2f, 5, 0x20, 0, 0x10, 0, 0, 1, OP_ATA, 0x06, 5, 0x20, 1, 0, 0, 0, 1, OP_ATA, 0xe0, 0, 0, 0, 0, 0, 0, OP_ATA, 0xe5, 0, 0, 0, 0, 0, 0,
	OP_ATA, 0x25, 5, 0x20, 0, 0, 0, 0xff, 1, OP_MOVE, OP_RESTART, OP_ATA, 0xe7, 0, 0, 0, 0, 0, 0, OP_CONTROL, 4, OP_CONTROL, 0,
	OP_ATA, 0xec, 5, 0x20, 0, 0, 0, 0, 0, OP_TURN,
};

static const uint8_t queues[] = {
	OP_QUEUED, 9, 0x20, 8, 0, 0, OP_QUEUED | 0x10, 9, 0x21, 8, 8, 0, OP_QUEUED | 0x20, 9, 0x22, 8, 16, 0, OP_QUEUED | 0x30, 9, 7, 8, 0, 0, OP_MOVE,
	OP_RESTART, OP_ATA, 0x2f, 5, 0x20, 0, 0x10, 0, 0, 1, OP_QUEUED | 0x40, 5, 0x20, 1, 0xff, 0xff, OP_PORT, 11, 1, 3, 0, 0, OP_PORT, 11, 0, 3, 0, 0, OP_START,
	OP_PRD, 0, 0x30, 1, 0, 0, 0, OP_HEADER, 5, 0, 16, 0, OP_ISSUE, 1, OP_REGISTER, 4, 0, 2, 1, 0, 0, 0,
};

static const uint8_t drives[] = {
	OP_PACKET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, OP_RESTART | 0x80, OP_PACKET, 5, 0x20, 3, 0, 0, 0, 18, 0, 0, 0, 0, 0, 0, 0,
	OP_PACKET, 5, 0x20, 0x12, 0, 0, 0, 36, 0, 0, 0, 0, 0, 0, 0, OP_PACKET, 9, 0x20, 0x28, 0, 0, 0, 0, 3, 0, 0, 2, 0, 0, 0,
	OP_PACKET, 5, 0x20, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, OP_PACKET, 5, 0x20, 0x43, 2, 0, 0, 0, 0, 0, 0, 64, 0, 0, 0,
	OP_PACKET, 5, 0x20, 0x46, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, OP_PACKET, 5, 0x20, 0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 64, 0, 0, 0,
	OP_PACKET, 5, 0x20, 0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0, 0, 0, OP_PACKET, 0, 0x1b, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, OP_MOVE,
	OP_PACKET, 5, 0x20, 0xa8, 0, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, OP_RESTART | 0x80, OP_ATA | 0x80, 0xa1, 5, 0x20, 0, 0, 0, 0, 0,
};

/* Switched off and on, and reset alone, with a command on its way. */
static const uint8_t whole[] = {
	OP_QUEUED, 9, 0x20, 8, 0, 0, OP_CONFIG, 0x44, 0, 0, 3, OP_ISSUE, 1, OP_MOVE, OP_CONFIG, 0x44, 0, 0, 0, OP_ATA, 0xec, 5, 0x20, 0, 0, 0, 0, 0,
	OP_QUEUED | 0x10, 9, 0x21, 8, 8, 0, OP_CONFIG, 0x4c, 0, 0, 1, OP_MOVE, OP_TURN, OP_START, OP_CONFIG, 0x4c, 0, 0, 1, OP_TURN,
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const struct fuzz_input seeds[] = { { disks, sizeof(disks) }, { queues, sizeof(queues) }, { drives, sizeof(drives) },
	    { whole, sizeof(whole) } };

	return (fuzz_input(seeds, sizeof(seeds) / sizeof(seeds[0]), n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;

	if (guest.vmm.vm == NULL)
		make_vm();
	fuzz_restart(&guest.vmm, guest.ram);
	fuzz_pci_assign(&guest);
	start_all();
	for (unsigned n = 0; p < end && n < OPS_MAX; n++)
		operate(&p, end);
	(void)event_loop_once(guest.vmm.loop, 0);
	/* Whatever it did, a reset of the controller mends it. */
	fuzz_pci_assign(&guest);
	start_all();
	if (fuzz_mem(&guest, fuzz_bar(&guest, 5) + 0x120, 4, false, 0) != 0x150)
		abort();
	return (0);
}
