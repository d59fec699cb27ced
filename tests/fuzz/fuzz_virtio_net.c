/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_virtio_net.c - a driver of the network card that does anything: queues of two pairs and of control, commands, frames from outside
 * meanwhile, snapshots.
 *
 * The first bytes choose features; then come operations, a byte each, of which the upper bits choose a queue.
 */
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "fuzz.h"
#include "fuzz_mmio.h"
#include "fuzz_wire.h"

#define	QUEUES		5U

enum { OP_DESC, OP_AVAIL, OP_INDEX, OP_NOTIFY, OP_COMMAND, OP_POKE, OP_FRAME, OP_MOVE, OP_LAST };

static struct fuzz_mmio guest;
static unsigned patience;

/* The back end: no frame but one that is possible. */

static bool
wire_send(struct net *n, const struct net_frame *f)
{
	uint8_t sum = 0;

	if (!net_frame_good(f, n->ops->takes) || f->queue > 1)
		abort();
	for (size_t i = 0; i < f->len; i++)
		sum ^= ((const uint8_t *)f->iov[0].iov_base)[i];
	return ((patience++ & 7) != sum % 8);
}

FUZZ_WIRE(NET_TAKES_ALL);

/* A command as it should be: class, command, and bytes of the input. */
static void
command(unsigned q, const uint8_t **p, const uint8_t *end)
{
	static const uint64_t descs[2][2] = { { 0x80000, 26 | 1ULL << 32 | 1ULL << 48 }, { 0x80040, 1 | 2ULL << 32 } };
	uint8_t *rings = guest.ram + FUZZ_RINGS(q);
	uint16_t idx;

	for (unsigned i = 0; i < 26; i++)
		guest.ram[0x80000 + i] = (uint8_t)fuzz_bytes(p, end, 1);
	memcpy(rings, descs, sizeof(descs));
	memcpy(&idx, rings + 0x4002, 2);
	memset(rings + 0x4004 + 2 * (idx % 64), 0, 2);
	idx++;
	memcpy(rings + 0x4002, &idx, 2);
	fuzz_mmio_reg(&guest, 0x50, q);
}

/* Something from outside. */
static void
frame(const uint8_t **p, const uint8_t *end)
{
	static uint8_t buf[NET_FRAME_MAX];
	const struct iovec iov = { buf, 14 + fuzz_bytes(p, end, 2) % 65536 };
	struct net_frame f = { .iov = &iov, .niov = 1, .len = iov.iov_len, .flags = (uint8_t)fuzz_bytes(p, end, 1),
	    .gso = (uint8_t)fuzz_bytes(p, end, 1), .gso_size = 100, .csum_start = 14 };
	size_t n = (size_t)(end - *p) < 64 ? (size_t)(end - *p) : 64;

	memcpy(buf, *p, n);
	*p += n;
	if (net_frame_good(&f, atomic_load(&wire->takes)) && net_receive(wire, &f))
		net_receive_flush(wire);
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned q = (op >> 5) % QUEUES;
	uint8_t *rings = guest.ram + FUZZ_RINGS(q);

	switch ((op & 0x1f) % OP_LAST) {
	case OP_DESC:
		fuzz_ring_desc(rings, p, end);
		break;
	case OP_AVAIL:
		fuzz_ring_avail(rings, p, end);
		break;
	case OP_INDEX:
		fuzz_ring_index(rings, p, end);
		break;
	case OP_NOTIFY:
		fuzz_mmio_reg(&guest, 0x50, q);
		break;
	case OP_COMMAND:
		command((op & 0x80) != 0 ? 4 : 2, p, end);
		break;
	case OP_POKE:
		fuzz_poke(guest.ram, FUZZ_RAM, p, end);
		break;
	case OP_FRAME:
		frame(p, end);
		net_writable(wire);
		break;
	case OP_MOVE:
		fuzz_move(&guest.vmm);
		break;
	}
}

#define	CTRL	(OP_COMMAND | 0x80)

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	/* Two pairs, a table of addresses, a VLAN, no offloads; a snapshot. */
	static const uint8_t commands[8 + 27 * 4 + 1] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		CTRL, 4, 0, 2, 0, [8 + 27] = CTRL, 1, 0, 1, 0, 0, 0, 2, 1, 2, 3, 4, 5, 1, 0, 0, 0, 1, 2, 3, 4, 5, 6,
		[8 + 54] = CTRL, 2, 0, 5, 0, [8 + 81] = CTRL, 5, 0, [8 + 108] = OP_MOVE,
	};
	/* A buffer to receive into; a frame to send; last, as it takes what is left, a frame for the buffer. */
	static const uint8_t frames[] = {
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		OP_DESC, 0, 0x00, 0x00, 0x09, 0x00, 0x08, 2, 0, OP_INDEX, 1, 0, OP_NOTIFY,
		OP_DESC | 0x20, 0, 0x00, 0x00, 0x0a, 72, 0, 0, 0, OP_INDEX | 0x20, 1, 0, OP_NOTIFY | 0x20,
		OP_FRAME, 46, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 8, 0, 0x45,
	};
	const struct fuzz_input inputs[] = { { commands, sizeof(commands) }, { frames, sizeof(frames) } };

	return (fuzz_input(inputs, 2, n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;

	if (guest.vmm.vm == NULL)
		fuzz_mmio_open(&guest, "virtio-net", "v.backend=fuzz-wire\nv.queues=2\n");
	fuzz_mmio_start(&guest, fuzz_bytes(&p, end, 8), QUEUES, 64);
	while (p < end) {
		operate(&p, end);
		fuzz_mmio_turn(&guest);
	}
	fuzz_mmio_stop(&guest);
	return (0);
}
