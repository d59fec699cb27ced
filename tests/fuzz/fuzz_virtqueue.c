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
#include "fuzz_devices.h"
#include "virtio/virtio.h"

#define	RAM		(1UL << 20)
#define	BASE		0xd0000000ULL
#define	RINGS		0x10000ULL	/* avail and used follow at 0x4000 and 0x8000 */
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

static struct vmm vmm;
static uint8_t *ram;

static void
make_vm(void)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT };
	struct device_place place = { .on = DEVICE_ON_MMIO, .base = BASE, .nirqs = 1 };
	const struct device_class *cls = device_class_find("fuzz-copier");

	vmm.vm = vm_new(&spec);
	vmm.loop = event_loop_new();
	vmm.config = config_new();
	if (vmm.vm == NULL || vmm.loop == NULL || vmm.config == NULL || cls == NULL ||
	    vm_setup_memory(vmm.vm, RAM, VM_MMAP_ALL) != 0 || (ram = vm_map_gpa(vmm.vm, 0, RAM)) == NULL ||
	    (place.irq[0] = vm_irq_open_line(vmm.vm, 5)) == NULL ||
	    device_create(&vmm, cls, "v", config_node(vmm.config, "v"), &place) == NULL)
		abort();
}

static void
reg(unsigned off, unsigned size, uint64_t val)
{
	(void)vm_access(vmm.vm, VM_SPACE_MEM, BASE + off, size, true, &val);
}

static uint64_t
get(unsigned off)
{
	uint64_t val = 0;

	(void)vm_access(vmm.vm, VM_SPACE_MEM, BASE + off, 4, false, &val);
	return (val);
}

/* virtio 1.2 section 3.1.1, with two queues. */
static void
start(uint32_t features, unsigned num)
{
	reg(0x70, 4, 0);
	reg(0x70, 4, 3);
	reg(0x24, 4, 0);
	reg(0x20, 4, features);
	reg(0x24, 4, 1);
	reg(0x20, 4, 1);
	reg(0x70, 4, 0xb);
	for (unsigned q = 0; q < 2; q++) {
		reg(0x30, 4, q);
		reg(0x38, 4, num);
		reg(0x80, 4, RINGS + 0x10000 * q);
		reg(0x90, 4, RINGS + 0x10000 * q + 0x4000);
		reg(0xa0, 4, RINGS + 0x10000 * q + 0x8000);
		reg(0x44, 4, 1);
	}
	reg(0x70, 4, 0xf);
}

static void
operate(const uint8_t **p, const uint8_t *end)
{
	uint8_t op = (uint8_t)fuzz_bytes(p, end, 1), *rings = ram + RINGS + ((op & 0x80) != 0 ? 0x10000 : 0);
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
		reg(0x50, 4, op >> 7);
		break;
	case OP_REG:
		i = fuzz_bytes(p, end, 2) % 0x200;
		reg((unsigned)i, 1U << (op >> 6), fuzz_bytes(p, end, 4));
		break;
	case OP_POKE:
		fuzz_poke(ram, RAM, p, end);
		break;
	case OP_MOVE:
		fuzz_move(&vmm);
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

	if (n > 1 || sizeof(chain) > max || sizeof(indirect) > max)
		return (0);
	memcpy(buf, n == 0 ? chain : indirect, n == 0 ? sizeof(chain) : sizeof(indirect));
	return (n == 0 ? sizeof(chain) : sizeof(indirect));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;
	uint8_t how;

	if (vmm.vm == NULL)
		make_vm();
	how = (uint8_t)fuzz_bytes(&p, end, 1);
	memset(ram, 0, 0x80000);
	devices_pause(&vmm);
	devices_reset(&vmm);
	devices_resume(&vmm);
	start((how & 3U) << 28, 1U << ((how >> 3) % 7));
	while (p < end) {
		operate(&p, end);
		if (event_loop_once(vmm.loop, 0) != 0 || (get(0x70) & ~0xcfULL) != 0)
			abort();
	}
	reg(0x70, 4, 0);
	if (get(0x70) != 0 || get(0x60) != 0)
		abort();
	return (0);
}
