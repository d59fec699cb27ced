/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_ne2k.c - the NE2000 under a driver that does anything to its ports, while frames come, and a back end that refuses now and then.
 *
 * An input is a series of operations, a byte each with what it needs behind it.  The VM stays, the machine is reset for each input.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "fuzz_pci.h"
#include "fuzz_wire.h"

#define	DEVFN		PCI_DEVFN(1, 0)
#define	OPS_MAX		1000
#define	FIRST		0x46U		/* pages of the ring */
#define	LAST		0x80U

enum { OP_REGISTER, OP_DATA, OP_CONFIG, OP_FRAME, OP_SEND, OP_TURN, OP_MOVE, OP_START, OP_LAST };

static struct fuzz_pci guest = { .devfn = DEVFN };
static unsigned sent;

/* Every third frame has to wait. */
static bool
wire_send(struct net *n, const struct net_frame *f)
{
	if (!net_frame_good(f, n->ops->takes))
		abort();
	return (sent++ % 3 != 2);
}

FUZZ_WIRE(0);

static uint64_t
port(unsigned off, unsigned size, bool write, uint64_t val)
{
	(void)vm_access(guest.vmm.vm, VM_SPACE_IO, (fuzz_mem(&guest, fuzz_cfg(&guest, 0x10), 4, false, 0) & ~3ULL) + off, size, write, &val);
	return (val);
}

/* An access to a port, whose width and direction a byte says. */
static void
touch(unsigned off, const uint8_t **p, const uint8_t *end)
{
	uint8_t how = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned size = 1U << (how & 3) % 3;

	(void)port(off, size, (how & 4) == 0, (how & 4) == 0 ? fuzz_bytes(p, end, size) : 0);
}

/* DP8390D data sheet, 11: with a ring, addresses of everybody, and interrupts. */
static void
start(void)
{
	static const struct {
		uint8_t reg, val;
	} regs[] = {
		{ 0, 0x21 }, { 14, 0x49 }, { 10, 0 }, { 11, 0 }, { 12, 0x1c }, { 13, 2 }, { 4, 0x40 }, { 1, FIRST }, { 3, LAST - 1 }, { 2, LAST },
		{ 7, 0xff }, { 15, 0x3f }, { 0, 0x61 }, { 7, FIRST }, { 0, 0x22 }, { 13, 0 },
	};

	for (size_t i = 0; i < sizeof(regs) / sizeof(regs[0]); i++)
		(void)port(regs[i].reg, 1, true, regs[i].val);
}

/* Something from outside. */
static void
frame(const uint8_t **p, const uint8_t *end)
{
	static uint8_t buf[2048];
	const struct iovec iov = { buf, 14 + fuzz_bytes(p, end, 2) % (sizeof(buf) - 14) };
	const struct net_frame f = { .iov = &iov, .niov = 1, .len = iov.iov_len };
	size_t n = (size_t)(end - *p) < 16 ? (size_t)(end - *p) : 16;

	memcpy(buf, *p, n);
	*p += n;
	if (net_receive(wire, &f))
		net_receive_flush(wire);
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1);
	uint64_t len;

	switch ((op & 7) % OP_LAST) {
	case OP_REGISTER:
		touch(op >> 3, p, end);
		break;
	case OP_DATA:			/* remote DMA: where from or to, how much, which way, and as much of it */
		len = fuzz_bytes(p, end, 2);
		(void)port(10, 1, true, len & 0xff);
		(void)port(11, 1, true, len >> 8);
		(void)port(8, 1, true, fuzz_bytes(p, end, 1));
		(void)port(9, 1, true, fuzz_bytes(p, end, 1));
		(void)port(0, 1, true, (op & 0x80) != 0 ? 0x12 : 0x0a);
		for (uint64_t i = 0; i < len && i < 64; i += 2)
			(void)port(16, 1U << (op >> 3 & 3) % 3, (op & 0x80) != 0, (op & 0x80) != 0 ? fuzz_bytes(p, end, 2) : 0);
		break;
	case OP_CONFIG:
		fuzz_touch(&guest, fuzz_cfg(&guest, 0), (uint32_t)fuzz_bytes(p, end, 1), p, end);
		break;
	case OP_FRAME:
		frame(p, end);
		break;
	case OP_SEND:
		len = fuzz_bytes(p, end, 2);
		(void)port(4, 1, true, fuzz_bytes(p, end, 1));
		(void)port(5, 1, true, len & 0xff);
		(void)port(6, 1, true, len >> 8);
		(void)port(0, 1, true, 0x26);
		break;
	case OP_TURN:
		(void)event_loop_once(guest.vmm.loop, 0);
		net_writable(wire);
		break;
	case OP_MOVE:
		fuzz_move(&guest.vmm);
		break;
	case OP_START:
		start();
		break;
	}
}

#define	REG(n)	(OP_REGISTER | (n) << 3)

static const uint8_t both[] = {
	/* A frame to send that is put there, sent, and sent again until it has to wait; one that comes, and is taken from the ring. */
	OP_DATA | 0x88, 64, 0, 0x00, 0x40, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
	33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64,
	OP_SEND, 64, 0, 0x40, OP_TURN, OP_SEND, 64, 0, 0x40, OP_TURN, OP_SEND, 0xea, 5, 0x40, OP_MOVE, OP_TURN, REG(7), 4,
	OP_FRAME, 46, 0, 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, OP_DATA | 8, 64, 0, 0, FIRST, REG(3), 0, FIRST, OP_TURN, REG(7), 0, 0xff,
};

static const uint8_t rings[] = {
	/* A ring that overflows, one of a page, one that is the other way round, loops and monitors, a reset by its port. */
	OP_FRAME, 0xea, 5, 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 0, 0, 0, REG(1), 0, 0x7f, REG(3), 0, 0x7f, OP_START,
	OP_FRAME, 0xea, 5, 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 0, 0, 0, REG(1), 0, 0xff, REG(2), 0, 0x01, REG(3), 0, 0xfe,
	OP_FRAME, 60, 0, 255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 1, 8, 0, 0, 0, OP_MOVE, REG(13), 0, 2, OP_SEND, 60, 0, 0x40, OP_TURN,
	REG(12), 0, 0x3f, OP_FRAME, 60, 0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1, 8, 0, 0, 0, REG(31), 4, OP_START, OP_CONFIG, 4, 1, 0, 0, REG(0), 4,
	OP_CONFIG, 4, 1, 1, 0, OP_DATA, 0xff, 0xff, 0xf0, 0xff, OP_DATA | 0x90, 0, 1, 0xfe, 0x7f,
};

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const struct fuzz_input seeds[] = { { both, sizeof(both) }, { rings, sizeof(rings) } };

	return (fuzz_input(seeds, sizeof(seeds) / sizeof(seeds[0]), n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;

	if (guest.vmm.vm == NULL)
		fuzz_pci_function(&guest, "ne2k-pci", "net", "net.backend=fuzz-wire\n");
	sent = 0;
	fuzz_restart(&guest.vmm, guest.ram);
	fuzz_pci_assign(&guest);
	start();
	for (unsigned n = 0; p < end && n < OPS_MAX; n++)
		operate(&p, end);
	(void)event_loop_once(guest.vmm.loop, 0);
	/* Whatever it did, a reset by its port mends it, and a frame goes out. */
	fuzz_pci_assign(&guest);
	(void)port(0x1f, 1, false, 0);
	start();
	sent = 0;
	(void)port(4, 1, true, 0x40);
	(void)port(5, 1, true, 64);
	(void)port(6, 1, true, 0);
	(void)port(0, 1, true, 0x26);
	for (unsigned n = 0; n < 100; n++) {
		net_writable(wire);
		(void)event_loop_once(guest.vmm.loop, 0);
		if (sent != 0 && (port(7, 1, false, 0) & 2) != 0)
			return (0);
	}
	abort();
}
