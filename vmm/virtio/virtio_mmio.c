/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_mmio.c - virtio over MMIO, register layout version 2 (virtio 1.2 section 4.2).
 *
 * One range of 512 bytes and one level interrupt, which is high while InterruptStatus is not
 * zero.  Writes to QueueNotify with an existing queue's number are doorbells.
 */
#include <errno.h>

#include "../error.h"
#include "../line.h"
#include "virtio.h"

#define	MAGIC		0x74726976U	/* "virt" */
#define	VERSION		2
#define	VENDOR		0x65767968U	/* "hyve" */
#define	LEN		0x200

/* Table 4.1, by offset. */
enum {
	R_MAGIC			= 0x000,
	R_VERSION		= 0x004,
	R_DEVICE_ID		= 0x008,
	R_VENDOR_ID		= 0x00c,
	R_DEVICE_FEATURES	= 0x010,
	R_DEVICE_FEATURES_SEL	= 0x014,
	R_DRIVER_FEATURES	= 0x020,
	R_DRIVER_FEATURES_SEL	= 0x024,
	R_QUEUE_SEL		= 0x030,
	R_QUEUE_NUM_MAX		= 0x034,
	R_QUEUE_NUM		= 0x038,
	R_QUEUE_READY		= 0x044,
	R_QUEUE_NOTIFY		= 0x050,
	R_INTERRUPT_STATUS	= 0x060,
	R_INTERRUPT_ACK		= 0x064,
	R_STATUS		= 0x070,
	R_QUEUE_DESC_LOW	= 0x080,
	R_QUEUE_DESC_HIGH	= 0x084,
	R_QUEUE_DRIVER_LOW	= 0x090,
	R_QUEUE_DRIVER_HIGH	= 0x094,
	R_QUEUE_DEVICE_LOW	= 0x0a0,
	R_QUEUE_DEVICE_HIGH	= 0x0a4,
	R_SHM_LEN_LOW		= 0x0b0,
	R_SHM_LEN_HIGH		= 0x0b4,
	R_SHM_BASE_LOW		= 0x0b8,
	R_SHM_BASE_HIGH		= 0x0bc,
	R_CONFIG_GENERATION	= 0x0fc,
	R_CONFIG		= 0x100,
};

/* The selected queue, NULL if there is none of that number. */
static struct virtqueue *
selected(struct virtio *vd)
{
	return (vd->queue_sel < vd->nvq ? &vd->vq[vd->queue_sel] : NULL);
}

static uint32_t
read_reg(struct virtio *vd, uint64_t off)
{
	struct virtqueue *vq = selected(vd);

	switch (off) {
	case R_MAGIC:
		return (MAGIC);
	case R_VERSION:
		return (VERSION);
	case R_DEVICE_ID:
		return (vd->ops->id);
	case R_VENDOR_ID:
		return (VENDOR);
	case R_DEVICE_FEATURES:
		return (vd->device_sel < 2 ? (uint32_t)(virtio_features(vd) >> (32 * vd->device_sel)) : 0);
	case R_QUEUE_NUM_MAX:
		return (vq != NULL ? vd->ops->queue_max : 0);
	case R_QUEUE_READY:
		return (vq != NULL && vq->ready);
	case R_INTERRUPT_STATUS:
		return (vd->isr);
	case R_STATUS:
		return (vd->status);
	case R_SHM_LEN_LOW:
	case R_SHM_LEN_HIGH:
	case R_SHM_BASE_LOW:
	case R_SHM_BASE_HIGH:
		/* 4.2.2: a region that does not exist has length and base -1; there are none. */
		return (UINT32_MAX);
	case R_CONFIG_GENERATION:
		return (vd->generation);
	default:
		return (0);
	}
}

static void
refresh(struct virtio *vd)
{
	device_line(vd->dev, vd->dev->place.irq[0], vd->isr != 0);
}

static void
interrupt(struct virtio *vd, struct virtqueue *vq)
{
	refresh(vd);
}

/* Replace the low or high half of a ring's address. */
static void
set_half(uint64_t *addr, bool high, uint32_t val)
{
	if (high)
		*addr = (*addr & UINT32_MAX) | (uint64_t)val << 32;
	else
		*addr = (*addr & ~(uint64_t)UINT32_MAX) | val;
}

/* Registers of the selected queue; a queue that is ready keeps its place and size (4.2.2.2). */
static void
write_queue(struct virtio *vd, uint64_t off, uint32_t val)
{
	struct virtqueue *vq = selected(vd);

	if (vq == NULL || (vq->ready && off != R_QUEUE_READY)) {
		device_guest_log(vd->dev, "write of queue register %#llx of queue %u, which is %s",
		    (unsigned long long)off, vd->queue_sel, vq == NULL ? "not there" : "in use");
		return;
	}
	switch (off) {
	case R_QUEUE_NUM:
		vq->num = val <= vd->ops->queue_max ? (uint16_t)val : 0;	/* 0 never gets ready */
		break;
	case R_QUEUE_READY:
		virtio_set_queue_ready(vd, vq, (val & 1) != 0);
		break;
	case R_QUEUE_DESC_LOW:
	case R_QUEUE_DESC_HIGH:
		set_half(&vq->desc, off == R_QUEUE_DESC_HIGH, val);
		break;
	case R_QUEUE_DRIVER_LOW:
	case R_QUEUE_DRIVER_HIGH:
		set_half(&vq->avail, off == R_QUEUE_DRIVER_HIGH, val);
		break;
	case R_QUEUE_DEVICE_LOW:
	case R_QUEUE_DEVICE_HIGH:
		set_half(&vq->used, off == R_QUEUE_DEVICE_HIGH, val);
		break;
	}
}

static void
write_reg(struct virtio *vd, uint64_t off, uint32_t val)
{
	switch (off) {
	case R_DEVICE_FEATURES_SEL:
		vd->device_sel = val;
		break;
	case R_DRIVER_FEATURES:
		/* 2.2.1: what was accepted stays.  Bits beyond 63 exist in no device. */
		if ((vd->status & VIRTIO_FEATURES_OK) == 0 && vd->driver_sel < 2)
			set_half(&vd->driver_features, vd->driver_sel == 1, val);
		break;
	case R_DRIVER_FEATURES_SEL:
		vd->driver_sel = val;
		break;
	case R_QUEUE_SEL:
		vd->queue_sel = val;
		break;
	case R_INTERRUPT_ACK:
		vd->isr &= (uint8_t)~val;
		refresh(vd);
		break;
	case R_STATUS:
		virtio_set_status(vd, (uint8_t)val);
		break;
	case R_QUEUE_NUM:
	case R_QUEUE_READY:
	case R_QUEUE_DESC_LOW:
	case R_QUEUE_DESC_HIGH:
	case R_QUEUE_DRIVER_LOW:
	case R_QUEUE_DRIVER_HIGH:
	case R_QUEUE_DEVICE_LOW:
	case R_QUEUE_DEVICE_HIGH:
		write_queue(vd, off, val);
		break;
	default:
		break;
	}
}

/* 4.2.2.2: registers below 0x100 are read and written as aligned 32-bit words only. */
static bool
word_access(struct virtio *vd, uint64_t off, unsigned size)
{
	if (size == 4 && off % 4 == 0)
		return (true);
	device_guest_log(vd->dev, "access of %u bytes to register %#llx", size, (unsigned long long)off);
	return (false);
}

static uint64_t
mmio_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct virtio *vd = arg;
	uint64_t val = 0;

	pthread_mutex_lock(&vd->lock);
	if (off >= R_CONFIG)
		val = virtio_config_read(vd, (uint32_t)off - R_CONFIG, size);
	else if (word_access(vd, off, size))
		val = read_reg(vd, off);
	pthread_mutex_unlock(&vd->lock);
	return (val);
}

static void
mmio_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct virtio *vd = arg;

	/* Numbers of existing queues are doorbells; what arrives here names none, or is badly made. */
	if (off == R_QUEUE_NOTIFY && size == 4) {
		virtio_notify(vd, (unsigned)val);
		return;
	}
	pthread_mutex_lock(&vd->lock);
	if (off >= R_CONFIG)
		virtio_config_write(vd, (uint32_t)off - R_CONFIG, size, val);
	else if (word_access(vd, off, size))
		write_reg(vd, off, (uint32_t)val);
	pthread_mutex_unlock(&vd->lock);
}

/* vCPU's thread. */
static void
ring(void *arg)
{
	struct virtqueue *vq = arg;

	virtio_notify(vq->vd, vq->index);
}

static void
detach(struct virtio *vd)
{
	for (unsigned i = 0; i < vd->nvq; i++) {
		vm_doorbell_close(vd->vq[i].doorbell);
		vd->vq[i].doorbell = NULL;
	}
	vm_range_remove(vd->range);
	vd->range = NULL;
}

static int
attach(struct virtio *vd)
{
	struct device *dev = vd->dev;
	struct vm_doorbell_spec spec = {
		.space = VM_SPACE_MEM,
		.addr = dev->place.base + R_QUEUE_NOTIFY,
		.size = 4,
		.match = true,
		.notify = ring,
	};

	if (dev->place.nirqs < 1)
		return (vmm_fail(EINVAL, "%s: virtio over MMIO needs an interrupt", dev->name));
	vd->range = device_claim(dev, LEN, mmio_read, mmio_write, vd);
	if (vd->range == NULL)
		return (-1);
	for (unsigned i = 0; i < vd->nvq; i++) {
		spec.value = i;
		spec.fd = vd->vq[i].fd;
		spec.arg = &vd->vq[i];
		vd->vq[i].doorbell = vm_doorbell_open(dev->vmm->vm, &spec);
		if (vd->vq[i].doorbell == NULL) {
			(void)vmm_fail_vm("%s", dev->name);
			detach(vd);
			return (-1);
		}
	}
	return (0);
}

const struct virtio_transport virtio_mmio = {
	.name = "virtio-mmio",
	.on = DEVICE_ON_MMIO,
	.attach = attach,
	.detach = detach,
	.interrupt = interrupt,
	.refresh = refresh,
};
