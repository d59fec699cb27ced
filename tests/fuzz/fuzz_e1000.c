/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_e1000.c - the gigabit controller under a guest that does anything, to registers, rings and descriptors of both directions and its PCI
 * function, and under frames from outside that are anything too.
 *
 * An input is a series of operations, a byte each with what it needs behind it.  The VM stays, the machine is reset for each input.
 * Descriptors are told by few bytes, so that mutations stay where something is: addresses by a table.
 */
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "error.h"
#include "fuzz.h"
#include "fuzz_pci.h"
#include "net/net.h"

#define	DEVFN		PCI_DEVFN(1, 0)
#define	RING		16U
#define	TX_RING		0x10000ULL
#define	RX_RING		0x11000ULL
#define	BUFFERS		0x20000ULL
#define	OPS_MAX		300
#define	FRAMES_MAX	4000U		/* that the back end takes for one input, which a segmentation could make many of */

enum {
	OP_REGISTER, OP_FAR, OP_CONFIG, OP_PORT, OP_LEGACY, OP_DATA, OP_CONTEXT, OP_TAIL, OP_RX, OP_FRAME, OP_POKE, OP_MOVE, OP_START, OP_BACKEND,
	OP_TURN, OP_EEPROM
};

static struct fuzz_pci guest = { .devfn = DEVFN };
static uint32_t tail;			/* as the driver knows it */
static struct net *net;
static unsigned frames;			/* left */
static bool refuses;

/* A back end that takes nothing, or everything, and sends back what is broadcast. */
static bool
sink_send(struct net *n, const struct net_frame *f)
{
	const uint8_t *p = f->iov[0].iov_base;
	volatile uint8_t sum = 0;

	if (f->len < NET_HEADER || f->len > NET_FRAME_MAX || f->iov[0].iov_len != f->len ||
	    ((f->flags & NET_NEEDS_CSUM) != 0 && (size_t)f->csum_start + f->csum_off + 2 > f->len))
		abort();
	if (refuses)
		return (false);
	if (frames == 0)
		return (true);
	frames--;
	for (size_t i = 0; i < f->len; i += 64)
		sum = (uint8_t)(sum + p[i]);
	if (p[0] == 0xff && f->flags == 0)
		(void)net_receive(n, f);
	return (true);
}

static void
sink_flush(struct net *n)
{
	net_receive_flush(n);
}

static void
sink_nothing(struct net *n)
{
}

static const struct net_ops sink_ops = {
	.takes = NET_TAKES_CSUM | NET_TAKES_TSO4, .send = sink_send, .flush = sink_flush, .start = sink_nothing, .stop = sink_nothing,
	.close = sink_nothing,
};

static int
sink_open(struct net *n)
{
	net = n;
	n->ops = &sink_ops;
	return (0);
}

NET_BACKEND(sink, "sink", NULL, "nothing, or everything", sink_open);

static void
reg(unsigned off, uint32_t val)
{
	(void)fuzz_mem(&guest, fuzz_bar(&guest, 0) + off, 4, true, val);
}

/* An address: buffers, with offsets, the rings themselves, and what is no memory. */
static uint64_t
address(uint8_t b)
{
	static const uint64_t special[8] = {
		0, FUZZ_RAM - 100, FUZZ_RAM, 0xfee00000, UINT64_MAX - 20, TX_RING, RX_RING + 8, BUFFERS + 1,
	};

	return (b < 8 ? special[b] : BUFFERS + 2048 * (uint64_t)(b & 63) + (b >> 6));
}

static void
descriptor(uint64_t addr, uint64_t rest)
{
	uint64_t d[2] = { addr, rest };

	memcpy(guest.ram + TX_RING + 16 * tail, d, sizeof(d));
	tail = (tail + 1) % RING;
}

/* With rings, filters open, and buffers. */
static void
start(uint32_t rctl)
{
	uint64_t d[2] = { 0 };

	(void)fuzz_mem(&guest, fuzz_cfg(&guest, 4), 2, true, PCI_CMD_MEM | PCI_CMD_IO | PCI_CMD_MASTER);
	reg(0, 0x04000000);
	reg(0, 0x40000040);
	for (unsigned i = 0; i < RING; i++) {
		d[0] = BUFFERS + 2048 * i;
		memcpy(guest.ram + RX_RING + 16 * i, d, sizeof(d));
	}
	tail = 0;
	reg(0x3800, TX_RING);
	reg(0x3808, RING * 16);
	reg(0x2800, RX_RING);
	reg(0x2808, RING * 16);
	reg(0x2818, RING - 1);
	reg(0x5000, 0x300);
	reg(0xd0, 0xff);
	reg(0x400, 10);
	reg(0x100, rctl);
}

/* A frame from outside: its beginning is the input's. */
static void
receive(const uint8_t **p, const uint8_t *end)
{
	static uint8_t data[20000];
	size_t len = (size_t)fuzz_bytes(p, end, 2) % sizeof(data), n = fuzz_bytes(p, end, 1) % 64;
	struct iovec iov[2];
	struct net_frame f = { .iov = iov, .niov = 2, .len = len };

	if (len < NET_HEADER)
		return;
	memset(data, 0, sizeof(data));
	for (size_t i = 0; i < n && *p < end; i++)
		data[i] = *(*p)++;
	iov[0] = (struct iovec){ data, NET_HEADER };
	iov[1] = (struct iovec){ data + NET_HEADER, len - NET_HEADER };
	(void)net_receive(net, &f);
	net_receive_flush(net);
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	static const uint16_t near[16] = {
		0x0000, 0x0100, 0x0400, 0x3800, 0x3808, 0x3810, 0x3818, 0x2800, 0x2808, 0x2810, 0x2818, 0x00c4, 0x5000, 0x0038, 0x0020, 0x3828,
	};
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1);
	uint64_t addr, val;

	switch (op & 15) {
	case OP_REGISTER:
		fuzz_touch(&guest, fuzz_bar(&guest, 0), near[op >> 4], p, end);
		break;
	case OP_FAR:
		fuzz_touch(&guest, fuzz_bar(&guest, 0), (uint32_t)fuzz_bytes(p, end, 2) | (op & 0x10U) << 12, p, end);
		break;
	case OP_CONFIG:
		fuzz_touch(&guest, fuzz_cfg(&guest, 0), (uint32_t)fuzz_bytes(p, end, 2) & 0xfff, p, end);
		break;
	case OP_PORT:
		val = fuzz_bytes(p, end, 4);
		(void)vm_access(guest.vmm.vm, VM_SPACE_IO, (fuzz_mem(&guest, fuzz_cfg(&guest, 0x18), 4, false, 0) & 0xfff0) + (op >> 4 & 7), 4,
		    (op & 0x80) == 0, &val);
		break;
	case OP_LEGACY:			/* address, length, offset, command, start */
		addr = address((uint8_t)fuzz_bytes(p, end, 1));
		descriptor(addr, fuzz_bytes(p, end, 2) | fuzz_bytes(p, end, 1) << 16 | (fuzz_bytes(p, end, 1) & 0xdf) << 24 | fuzz_bytes(p, end, 1) << 40);
		break;
	case OP_DATA:			/* address, length, command, options, tag */
		addr = address((uint8_t)fuzz_bytes(p, end, 1));
		val = fuzz_bytes(p, end, 2) | (uint64_t)(op >> 4) << 16;
		descriptor(addr, val | 1U << 20 | (fuzz_bytes(p, end, 1) | 0x20) << 24 | fuzz_bytes(p, end, 1) << 40 | 0x1234ULL << 48);
		break;
	case OP_CONTEXT:		/* all of it */
		addr = fuzz_bytes(p, end, 8);
		val = fuzz_bytes(p, end, 2) | (uint64_t)(op >> 4) << 16;
		descriptor(addr, val | (fuzz_bytes(p, end, 1) | 0x20) << 24 | fuzz_bytes(p, end, 1) << 40 | fuzz_bytes(p, end, 2) << 48);
		break;
	case OP_TAIL:
		reg(0x3818, tail);
		(void)event_loop_once(guest.vmm.loop, 0);
		break;
	case OP_RX:			/* a receive buffer; more of them */
		addr = address((uint8_t)fuzz_bytes(p, end, 1));
		memcpy(guest.ram + RX_RING + 16 * (op >> 4), &addr, 8);
		reg(0x2818, op >> 4);
		break;
	case OP_FRAME:
		receive(p, end);
		break;
	case OP_POKE:
		fuzz_poke(guest.ram, FUZZ_RAM, p, end);
		break;
	case OP_MOVE:
		fuzz_move(&guest.vmm);
		break;
	case OP_START:
		start((op & 0x80) != 0 ? (uint32_t)fuzz_bytes(p, end, 4) : 0x803a);
		break;
	case OP_BACKEND:
		refuses = (op & 0x10) != 0;
		if (!refuses)
			net_writable(net);
		net->nic->link(net->arg, (op & 0x20) == 0);
		break;
	case OP_TURN:
		(void)event_loop_once(guest.vmm.loop, 0);
		break;
	default:			/* bits to the EEPROM's wires */
		val = fuzz_bytes(p, end, 2);
		for (unsigned i = 0; i < 16; i++) {
			reg(0x10, 0x42 | (uint32_t)(val >> i & 1) << 2);
			reg(0x10, 0x43 | (uint32_t)(val >> i & 1) << 2);
		}
		if ((op & 0x80) != 0)
			reg(0x10, 0x40);
		break;
	}
}

static const uint8_t sends[] = {
	/* One descriptor, two, with a checksum; two data descriptors behind a context; a tag; what comes back. */
	OP_LEGACY, 10, 100, 0, 0, 0x0b, 0, OP_TAIL, OP_LEGACY, 11, 60, 0, 0, 0, 0, OP_LEGACY, 12, 0, 2, 50, 0x0f, 34, OP_TAIL,
	OP_CONTEXT, 14, 24, 33, 0, 34, 50, 0, 0, 0, 0, 3, 54, 0, 0, OP_DATA, 13, 54, 0, 0, 3, OP_DATA, 14, 0, 4, 0x4b, 0, OP_TAIL,
	OP_POKE, 0, 0x20, 0, OP_BACKEND | 0x10, OP_LEGACY, 20, 100, 0, 0, 0x0b, 0, OP_TAIL, OP_MOVE, OP_BACKEND, OP_TURN,
};

static const uint8_t segments[] = {
	/* A segmentation of IPv4 for the back end, one of IPv6 and one of UDP here, one that is refused in the middle. */
	OP_CONTEXT, 14, 24, 33, 0, 34, 50, 0, 0, 0xb8, 0x0b, 7, 54, 0xe8, 3, OP_DATA, 13, 54, 0, 6, 3, OP_DATA, 14, 0xb8, 0x0b, 0x0f, 0, OP_TAIL,
	OP_CONTEXT, 14, 24, 33, 0, 54, 70, 0, 0, 0xb8, 0x0b, 5, 74, 100, 0, OP_DATA, 13, 74, 0, 6, 2, OP_DATA, 14, 0xb8, 0x0b, 0x4f, 0, OP_TAIL,
	OP_CONTEXT, 14, 24, 33, 0, 34, 40, 0, 0, 0xb8, 0x0b, 6, 42, 8, 0, OP_DATA | 0x10, 13, 0, 0, 0x0f, 3, OP_TAIL, OP_BACKEND | 0x10, OP_TURN,
	OP_BACKEND, OP_TURN,
};

static const uint8_t receives[] = {
	OP_FRAME, 100, 0, 0, OP_FRAME, 0xea, 5, 6, 255, 255, 255, 255, 255, 255,
	/* IPv4 with TCP, tagged; a PAUSE frame; long ones in many buffers; buffers that are nowhere; the table of groups. */
	OP_FRAME, 80, 0, 42, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4, 5, 6, 0x81, 0, 0, 5, 8, 0, 0x45, 0, 0, 60, 0, 0, 0, 0, 64, 6, 0, 0, 1, 2, 3, 4, 5, 6, 7,
	8, 1, 2, 3, 4, OP_START | 0x80, 0x3a, 0x80, 3, 0, OP_FRAME, 0, 60, 0, OP_RX | 0x10, 3, OP_RX | 0x30, 2, OP_FRAME, 0, 1, 0, OP_MOVE,
	OP_FRAME, 60, 0, 18, 1, 0x80, 0xc2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x88, 8, 0, 1, 0, 5, OP_FAR, 0, 0x52, 2, 1, 0, 0, 0,
};

static const uint8_t registers[] = {
	OP_EEPROM, 0x30, 0, OP_EEPROM | 0x80, 0, 0, OP_REGISTER | 0xe0, 2, 0, 0, 0x22, 8, OP_FAR, 0x14, 0, 2, 1, 0, 0, 0, OP_FAR, 0xc0, 0, 6,
	OP_PORT, 0x00, 0x54, 0, 0, OP_PORT | 0x40, 1, 2, 3, 4, OP_PORT | 0xc0, 0, 0, 0, 0, OP_CONFIG, 4, 0, 1, 0, 0, OP_START, OP_BACKEND | 0x20, OP_BACKEND,
	OP_CONFIG, 0x44, 0, 0, 3, OP_TAIL, OP_MOVE, OP_CONFIG, 0x44, 0, 0, 0, OP_TAIL, OP_TURN,
	OP_REGISTER | 0x40, 2, 0, 0, 0, 0, OP_REGISTER | 0x60, 2, 9, 0, 0, 0, OP_TURN, OP_REGISTER, 2, 0, 0, 0, 4, OP_FAR | 0x10, 0, 0, 6,
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const struct fuzz_input seeds[] = {
		{ sends, sizeof(sends) }, { segments, sizeof(segments) }, { receives, sizeof(receives) }, { registers, sizeof(registers) },
	};

	return (fuzz_input(seeds, sizeof(seeds) / sizeof(seeds[0]), n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;
	uint64_t d;

	if (guest.vmm.vm == NULL)
		fuzz_pci_function(&guest, "e1000", "net", "net.backend=sink\n");
	refuses = false;
	frames = FRAMES_MAX;
	fuzz_restart(&guest.vmm, guest.ram);
	fuzz_pci_assign(&guest);
	start(0x803a);
	for (unsigned n = 0; p < end && n < OPS_MAX; n++)
		operate(&p, end);
	(void)event_loop_once(guest.vmm.loop, 0);
	/* Whatever it did, a reset by its driver mends it: a frame goes out. */
	refuses = false;
	net_writable(net);
	net->nic->link(net->arg, true);
	fuzz_pci_assign(&guest);
	start(0x803a);
	descriptor(BUFFERS, 100 | 0x0b000000);
	reg(0x3818, tail);
	for (unsigned n = 0; n < 100; n++) {
		(void)event_loop_once(guest.vmm.loop, 0);
		memcpy(&d, guest.ram + TX_RING + 8, 8);
		if ((d >> 32 & 1) != 0)
			return (0);
	}
	abort();
}
