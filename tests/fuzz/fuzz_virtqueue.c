/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_virtqueue.c - a driver that does anything: registers, rings and notifications of a
 * device that copies what it reads to where it may write.
 *
 * The first byte chooses features and queue size; then come operations, a byte each with what
 * it needs behind it.  The VM stays, the device is reset for each input.
 */
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "error.h"
#include "fuzz.h"
#include "fuzz_mmio.h"
#include "virtio/virtio.h"

#define	QMAX		64

enum { OP_DESC, OP_AVAIL, OP_INDEX, OP_NOTIFY, OP_REG, OP_POKE, OP_MOVE, OP_LAST };

struct copier {
	struct virtio	 vd;
	struct virtqueue vq[2];
};

static void
copier_notify(struct virtio *vd, struct virtqueue *vq)
{
	struct vq_seg segs[QMAX];
	struct vq_chain chain = { .seg = segs, .max = QMAX };
	static char buf[4096];
	uint32_t total;
	size_t n;

	for (unsigned i = 0; i < QMAX && vq_pop(vq, &chain) == 1; i++) {
		total = 0;
		if (chain.readlen + chain.writelen > 1ULL << 32 || chain.nread + chain.nwrite > QMAX)
			abort();
		n = vq_copy_out(vq, &chain, 3, buf, sizeof(buf));
		total = (uint32_t)vq_copy_in(vq, &chain, 1, buf, n);
		vq_push(vq, &chain, total);
	}
	vq_signal(vq);
	if (vq_more(vq))
		virtio_notify_later(vq);
}

static uint64_t
copier_config(struct virtio *vd, uint32_t off, unsigned size)
{
	if (off + size > 7)
		abort();
	return (off);
}

static const struct virtio_ops ops = {
	.id = 1, .features = 0xff, .queue_max = QMAX, .config_len = 7, .notify = copier_notify,
	.config_read = copier_config,
};

static int
copier_init(struct device *dev)
{
	struct copier *c = dev->soft;

	return (virtio_init(&c->vd, dev, &ops, c->vq, 2));
}

static const struct vm_state_field fields[] = { VIRTIO_STATE(struct copier), VIRTIO_QUEUES(struct copier) };
static const struct vm_state_table state = VM_STATE_TABLE("fuzz-copier", 1, 1, fields, NULL);

DEVICE_CLASS_NOKEYS(copier, "fuzz-copier", "device of a fuzz target", &state, .on = DEVICE_ON_VIRTIO,
    .size = sizeof(struct copier), .init = copier_init, .fini = virtio_device_fini, .reset = virtio_device_reset,
    .pause = virtio_device_pause, .resume = virtio_device_resume);

static struct fuzz_mmio guest;

static void
operate(const uint8_t **p, const uint8_t *end)
{
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1), *rings = guest.ram + FUZZ_RINGS(op >> 7);
	uint64_t i;

	switch ((op & 0x7f) % OP_LAST) {
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
		fuzz_mmio_reg(&guest, 0x50, op >> 7);
		break;
	case OP_REG:
		i = fuzz_bytes(p, end, 2) % 0x200;
		fuzz_mmio_write(&guest, (unsigned)i, 1U << (op >> 6), fuzz_bytes(p, end, 4));
		break;
	case OP_POKE:
		fuzz_poke(guest.ram, FUZZ_RAM, p, end);
		break;
	case OP_MOVE:
		fuzz_move(&guest.vmm);
		break;
	}
}

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	/* Read 16 bytes at 0x40000, write 16 at 0x50000; make it available; notify; snapshot; notify. */
	static const uint8_t chain[] = {
		0x03,
		OP_DESC, 0, 0x00, 0x00, 0x04, 16, 0, 1, 1,
		OP_DESC, 1, 0x00, 0x00, 0x05, 16, 0, 2, 0,
		OP_AVAIL, 0, 0, OP_INDEX, 1, 0, OP_NOTIFY, OP_MOVE, OP_INDEX, 2, 0, OP_AVAIL, 1, 0, OP_NOTIFY,
	};
	/* An indirect table in guest memory, on the second queue. */
	static const uint8_t indirect[] = {
		0x2b,
		OP_POKE, 0x08, 0x00, 0x06, 8, OP_POKE, 0x02, 0x00, 0x06, 4, OP_POKE, 0x0c, 0x00, 0x06, 2,
		OP_DESC | 0x80, 0, 0x00, 0x00, 0x06, 16, 0, 4, 0,
		OP_INDEX | 0x80, 1, 0, OP_NOTIFY | 0x80,
		OP_REG | 0x40 | 0x80, 0x70, 0, 0, 0, 0, 0,
	};
	const struct fuzz_input inputs[] = { { chain, sizeof(chain) }, { indirect, sizeof(indirect) } };

	return (fuzz_input(inputs, 2, n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;
	uint8_t how;

	if (guest.vmm.vm == NULL)
		fuzz_mmio_open(&guest, "fuzz-copier", "");
	how = (uint8_t)fuzz_bytes(&p, end, 1);
	fuzz_mmio_start(&guest, (how & 3U) << 28, 2, 1U << ((how >> 3) % 7));
	while (p < end) {
		operate(&p, end);
		fuzz_mmio_turn(&guest);
	}
	fuzz_mmio_stop(&guest);
	return (0);
}
