/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_nvme.c - the NVMe controller under a guest that does anything: to registers, doorbells, commands of both kinds, PRP lists and
 * its PCI function.
 *
 * An input is a series of operations, a byte each with what it needs behind it.  The VM stays, the machine is reset for each input.
 * Commands are told by few bytes, so that mutations stay where something is: addresses by a table.
 */
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "error.h"
#include "fuzz.h"
#include "fuzz_pci.h"

#define	DEVFN		PCI_DEVFN(1, 0)
#define	RING		16U
#define	NQUEUES		4U
#define	SQ_AT(i)	(0x10000ULL + 0x1000 * (i))
#define	CQ_AT(i)	(0x20000ULL + 0x1000 * (i))
#define	LIST		0x30000ULL
#define	DATA		0x40000ULL
#define	OPS_MAX		400

enum {
	OP_REGISTER, OP_CONFIG, OP_MSIX, OP_DOORBELL, OP_ADMIN, OP_IO, OP_TAKE, OP_LIST, OP_POKE, OP_MOVE, OP_START, OP_PAIR, OP_BAR, OP_ENTRY,
	OP_TURN, OP_LAST
};

static struct fuzz_pci guest = { .devfn = DEVFN };
static uint32_t tail[NQUEUES], head[NQUEUES];	/* as the driver knows them */

static void
reg(unsigned off, uint32_t val)
{
	(void)fuzz_mem(&guest, fuzz_bar(&guest, 0) + off, 4, true, val);
}

static void
make_vm(void)
{
	char keys[128];

	(void)snprintf(keys, sizeof(keys), "nvme.path=/proc/self/fd/%d\nnvme.ioslots=3\nnvme.maxq=3\n", fuzz_image());
	fuzz_pci_function(&guest, "nvme", "nvme", keys);
}

/* An address: memory of data, with offsets that may be and may not, lists, queues, and what is no memory. */
static uint64_t
address(uint8_t b)
{
	static const uint64_t special[16] = {
		0, LIST, LIST + 0xff8, LIST + 0x800, LIST + 4, FUZZ_RAM - 4096, FUZZ_RAM - 4, FUZZ_RAM, 0xfee00000, UINT64_MAX - 4095, UINT64_MAX - 3,
		UINT64_MAX, SQ_AT(0), CQ_AT(1), DATA + 1, DATA + 0xffc,
	};

	if (b < 16)
		return (special[b]);
	return (DATA + 4096 * (uint64_t)(b & 63) + ((b & 64) != 0 ? 512 : 0));
}

/* A command out of the input, into queue q, at its tail. */
static void
command(unsigned q, const uint8_t **p, const uint8_t *end)
{
	struct {
		uint8_t	opcode, flags;
		uint16_t cid;
		uint32_t nsid;
		uint64_t reserved, mptr, prp1, prp2;
		uint32_t cdw[6];
	} cmd = { .opcode = (uint8_t)fuzz_bytes(p, end, 1) };
	uint8_t how = (uint8_t)fuzz_bytes(p, end, 1);

	cmd.flags = (how & 0x80) != 0 ? (uint8_t)fuzz_bytes(p, end, 1) : 0;
	cmd.nsid = (how & 0x40) != 0 ? (uint32_t)fuzz_bytes(p, end, 4) : (how & 1);
	cmd.cid = how >> 1 & 7;
	cmd.prp1 = address((uint8_t)fuzz_bytes(p, end, 1));
	cmd.prp2 = address((uint8_t)fuzz_bytes(p, end, 1));
	cmd.cdw[0] = (uint32_t)fuzz_bytes(p, end, 2) | (uint32_t)fuzz_bytes(p, end, 1) << 16;
	cmd.cdw[1] = (how & 0x20) != 0 ? (uint32_t)fuzz_bytes(p, end, 4) : 0;
	cmd.cdw[2] = (uint32_t)fuzz_bytes(p, end, 1) | ((how & 0x10) != 0 ? (uint32_t)fuzz_bytes(p, end, 3) << 8 : 0);
	memcpy(guest.ram + SQ_AT(q) + 64 * tail[q], &cmd, sizeof(cmd));
	tail[q] = (tail[q] + 1) % RING;
	reg(0x1000 + 8 * q, tail[q]);
}

/* Enabled, with queues in memory that looks new. */
static void
start(uint32_t cc)
{
	(void)fuzz_mem(&guest, fuzz_cfg(&guest, 4), 2, true, PCI_CMD_MEM | PCI_CMD_MASTER);
	reg(0x14, 0);
	memset(guest.ram + CQ_AT(0), 0, 0x1000 * NQUEUES);
	memset(tail, 0, sizeof(tail));
	memset(head, 0, sizeof(head));
	reg(0x24, (RING - 1) << 16 | (RING - 1));
	reg(0x28, SQ_AT(0));
	reg(0x2c, 0);
	reg(0x30, CQ_AT(0));
	reg(0x34, 0);
	reg(0x14, cc);
}

static void
pair(uint8_t q)
{
	const uint8_t cq[] = { 5, 0x20, 0, 0, q, RING - 1, 0, 3, 0, q, 0, 0 };

	for (unsigned i = 0; i < 2; i++) {
		uint64_t at = i == 0 ? CQ_AT(q) : SQ_AT(q);
		uint8_t bytes[sizeof(cq)];
		const uint8_t *p = bytes;

		memcpy(bytes, cq, sizeof(cq));
		bytes[0] = i == 0 ? 5 : 1;
		bytes[4] = q;
		bytes[5] = 0;
		bytes[6] = RING - 1;
		command(0, &p, bytes + sizeof(bytes));
		/* The address, which the table does not have, and again. */
		memcpy(guest.ram + SQ_AT(0) + 64 * ((tail[0] + RING - 1) % RING) + 24, &at, 8);
		tail[0] = (tail[0] + RING - 1) % RING;
		p = bytes;
		command(0, &p, bytes + sizeof(bytes));
	}
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned q = op >> 4 & (NQUEUES - 1);
	uint64_t val, i;

	switch (op & 15) {
	case OP_REGISTER:
		fuzz_touch(&guest, fuzz_bar(&guest, 0), (uint32_t)fuzz_bytes(p, end, 1) & 0x3f, p, end);
		break;
	case OP_CONFIG:
		fuzz_touch(&guest, fuzz_cfg(&guest, 0), (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_MSIX:
		fuzz_touch(&guest, fuzz_bar(&guest, 4), (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_DOORBELL:
		i = fuzz_bytes(p, end, 1);
		reg(0x1000 + 4 * (unsigned)i, (uint32_t)fuzz_bytes(p, end, (op & 0x80) != 0 ? 4 : 1));
		break;
	case OP_ADMIN:
		command(0, p, end);
		break;
	case OP_IO:
		command(q, p, end);
		break;
	case OP_TAKE:
		head[q] = (head[q] + 1) % RING;
		reg(0x1004 + 8 * q, head[q]);
		break;
	case OP_LIST:
		i = fuzz_bytes(p, end, 2) % 512;
		val = address((uint8_t)fuzz_bytes(p, end, 1));
		memcpy(guest.ram + LIST + 8 * i, &val, 8);
		break;
	case OP_POKE:
		fuzz_poke(guest.ram, FUZZ_RAM, p, end);
		break;
	case OP_MOVE:
		fuzz_move(&guest.vmm);
		break;
	case OP_START:
		start((op & 0x80) != 0 ? (uint32_t)fuzz_bytes(p, end, 4) : 0x460001);
		break;
	case OP_PAIR:
		pair((uint8_t)q);
		break;
	case OP_BAR:
		(void)fuzz_mem(&guest, fuzz_cfg(&guest, 0x10 + 16 * (op >> 4 & 1)), 4, true, fuzz_bytes(p, end, 4));
		break;
	case OP_ENTRY:			/* of a queue's memory, by bytes */
		i = fuzz_bytes(p, end, 2) % (RING * 64);
		val = fuzz_bytes(p, end, 4);
		memcpy(guest.ram + SQ_AT(q) + (i & ~3ULL), &val, 4);
		break;
	case OP_TURN:
		(void)event_loop_once(guest.vmm.loop, 0);
		break;
	default:
		break;
	}
}

static const uint8_t reads[] = {
	OP_PAIR | 0x10, OP_TAKE, OP_TAKE,
	/* A block, eight with an offset, by two pages, by a list; the answers; the same written, compared, zeroed, deallocated, flushed. */
	OP_IO | 0x10, 2, 1, 0x20, 0, 0, 0, 0, 0, OP_IO | 0x10, 2, 1, 0x61, 0x22, 9, 0, 0, 7, OP_LIST, 0, 0, 0x23, OP_LIST, 1, 0, 0x24,
	OP_IO | 0x10, 2, 1, 0x20, 1, 0, 0, 0, 23, OP_TAKE | 0x10, OP_TAKE | 0x10, OP_TAKE | 0x10, OP_IO | 0x10, 1, 1, 0x20, 1, 0, 0, 0, 23,
	OP_IO | 0x10, 5, 1, 0x20, 0, 0, 0, 0, 7, OP_IO | 0x10, 8, 0x11, 0, 0, 5, 0, 0, 3, 0, 0, 2, OP_IO | 0x10, 9, 0x21, 0x25, 0, 1, 0, 0, 4, 0, 0, 0, 0,
	OP_IO | 0x10, 0, 1, 0, 0, 0, 0, 0, 0, OP_MOVE, OP_TAKE | 0x10, OP_TAKE | 0x10,
};

static const uint8_t admins[] = {
	/* Identify each, features, logs, event requests and what they wait for, an abort, queues that come and go. */
	OP_ADMIN, 6, 0, 0x20, 0, 1, 0, 0, 0, OP_ADMIN, 6, 1, 0x20, 0, 0, 0, 0, 0, OP_ADMIN, 6, 1, 0x60, 0x21, 3, 0, 0, 0, OP_TAKE, OP_TAKE, OP_TAKE,
	OP_ADMIN, 9, 0x20, 0, 0, 7, 0, 0, 1, 0, 1, 0, 0, OP_ADMIN, 10, 0, 0, 0, 11, 0, 0, 0, OP_ADMIN, 12, 2, 0, 0, 0, 0, 0, 0, OP_DOORBELL, 9, 1,
	OP_ADMIN, 2, 0, 0x20, 0, 1, 0, 31, 0, OP_ADMIN, 12, 4, 0, 0, 0, 0, 0, 0, OP_ADMIN, 8, 0, 0, 0, 0, 0, 2, 0, OP_TAKE, OP_TAKE, OP_PAIR | 0x20,
	OP_ADMIN, 0, 0, 0, 0, 2, 0, 0, 0, OP_ADMIN, 4, 0, 0, 0, 2, 0, 0, 0, OP_MOVE, OP_START, OP_PAIR | 0x10,
	OP_REGISTER, 0x14, 2, 1, 0x40, 0x46, 0, OP_TURN,
};

static const uint8_t registers[] = {
	OP_CONFIG, 0x86, 0, 1, 0x00, 0x80, OP_MSIX, 0x0c, 0, 2, 0, 0, 0, 0, OP_PAIR | 0x10, OP_CONFIG, 4, 0, 1, 2, 0,
	OP_IO | 0x10, 2, 1, 0x20, 0, 0, 0, 0, 0,
	OP_MOVE, OP_CONFIG, 4, 0, 1, 6, 0, OP_REGISTER, 0x0c, 2, 2, 0, 0, 0, OP_BAR, 0, 0, 0, 0xc8, OP_TAKE, OP_BAR, 0, 0, 0, 0xc0,
	OP_REGISTER, 0x1c, 6, OP_REGISTER, 0x14, 2, 0, 0, 0, 0, OP_START | 0x80, 0x81, 0x02, 0x46, 0, OP_DOORBELL | 0x80, 0, 255, 255, 255, 255,
	OP_ENTRY, 0, 0, 2, 0, 0, 0, OP_DOORBELL, 0, 5,
};

/* Switched off and on; reset alone, with a command on its way, in a snapshot too. */
static const uint8_t whole[] = {
	OP_PAIR | 0x10, OP_IO | 0x10, 2, 1, 0x20, 0, 0, 0, 0, 0, OP_CONFIG, 0x44, 0, 0, 3, OP_IO | 0x10, 2, 1, 0x20, 0, 0, 0, 0, 0, OP_MOVE,
	OP_CONFIG, 0x44, 0, 0, 0, OP_TAKE | 0x10, OP_IO | 0x10, 2, 1, 0x20, 0, 0, 0, 0, 0, OP_CONFIG, 0x51, 0, 0, 0x80, OP_MOVE, OP_REGISTER, 0x1c, 6,
	OP_TURN, OP_CONFIG, 0x10, 0, 2, 0, 0, 0, 0xc0, OP_START, OP_CONFIG, 0x51, 0, 0, 0x80, OP_TURN,
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const struct fuzz_input seeds[] = { { reads, sizeof(reads) }, { admins, sizeof(admins) }, { registers, sizeof(registers) },
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
	start(0x460001);
	for (unsigned n = 0; p < end && n < OPS_MAX; n++)
		operate(&p, end);
	(void)event_loop_once(guest.vmm.loop, 0);
	/* Whatever it did, a reset of the controller mends it. */
	fuzz_pci_assign(&guest);
	start(0x460001);
	if (fuzz_mem(&guest, fuzz_bar(&guest, 0) + 0x1c, 4, false, 0) != 1)
		abort();
	return (0);
}
