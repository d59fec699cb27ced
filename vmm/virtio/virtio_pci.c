/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_pci.c - virtio over PCI, without the legacy interface (virtio 1.2 section 4.1).
 *
 * BAR 0 has the four register structures, a page each; BAR 1 the message vectors: one for the
 * configuration and one per queue, as many as there can be.  Each queue has a doorbell, which moves
 * with BAR 0.  A device that may not master the bus does not look at its queues.
 *
 * Doorbells are opened and closed under the segment's lock, or on the control thread while the
 * device cannot be reached.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "../error.h"
#include "virtio.h"

#define	VENDOR		0x1af4
#define	DEVICE_BASE	0x1040		/* 4.1.2: plus the virtio device id */
#define	SUBDEVICE	0x1100
#define	REVISION	1		/* 4.1.2.1: 1 or higher without the legacy interface */

#define	CAP_VENDOR	0x09		/* PCI id of all capabilities here */
/* Types of structures (4.1.4). */
enum { CAP_COMMON = 1, CAP_NOTIFY, CAP_ISR, CAP_DEVICE, CAP_PCI };
/* Registers of a capability. */
#define	CAP_LEN		16
#define	CAP_TYPE	3
#define	CAP_BAR		4
#define	CAP_OFFSET	8
#define	CAP_LENGTH	12
#define	CAP_MORE	16		/* notify: multiplier; PCI: window for data */

#define	BAR_REGS	0
#define	BAR_MSIX	1
#define	PAGE		0x1000U
#define	REGS_LEN	(4 * PAGE)	/* the structures are at multiples of PAGE, in the order of their types */
#define	NOTIFY_STEP	4U		/* bytes from a queue's doorbell to the next one's */
#define	PAGE_OF(type)	(((type) - 1U) * PAGE)

/* struct virtio_pci_common_cfg (4.1.4.3). */
enum {
	C_DEVICE_FEATURE_SELECT	= 0x00,
	C_DEVICE_FEATURE	= 0x04,
	C_DRIVER_FEATURE_SELECT	= 0x08,
	C_DRIVER_FEATURE	= 0x0c,
	C_CONFIG_MSIX_VECTOR	= 0x10,
	C_NUM_QUEUES		= 0x12,
	C_DEVICE_STATUS		= 0x14,
	C_CONFIG_GENERATION	= 0x15,
	C_QUEUE_SELECT		= 0x16,
	C_QUEUE_SIZE		= 0x18,
	C_QUEUE_MSIX_VECTOR	= 0x1a,
	C_QUEUE_ENABLE		= 0x1c,
	C_QUEUE_NOTIFY_OFF	= 0x1e,
	C_QUEUE_DESC		= 0x20,
	C_QUEUE_DRIVER		= 0x28,
	C_QUEUE_DEVICE		= 0x30,
	C_LEN			= 0x38,
};

/* What the driver can write, with its width; 64-bit fields also as two halves (4.1.3.1). */
static const struct {
	uint8_t	off, size;
} writable[] = {
	{ C_DEVICE_FEATURE_SELECT, 4 }, { C_DRIVER_FEATURE_SELECT, 4 }, { C_DRIVER_FEATURE, 4 },
	{ C_CONFIG_MSIX_VECTOR, 2 }, { C_DEVICE_STATUS, 1 }, { C_QUEUE_SELECT, 2 }, { C_QUEUE_SIZE, 2 },
	{ C_QUEUE_MSIX_VECTOR, 2 }, { C_QUEUE_ENABLE, 2 },
	{ C_QUEUE_DESC, 4 }, { C_QUEUE_DESC + 4, 4 }, { C_QUEUE_DESC, 8 },
	{ C_QUEUE_DRIVER, 4 }, { C_QUEUE_DRIVER + 4, 4 }, { C_QUEUE_DRIVER, 8 },
	{ C_QUEUE_DEVICE, 4 }, { C_QUEUE_DEVICE + 4, 4 }, { C_QUEUE_DEVICE, 8 },
};

/* PCI class codes by device id (5); the last for those that the PCI classes have no name for. */
static const struct {
	uint16_t id;
	uint32_t class_code;
} classes[] = {
	{ 1, 0x020000 },		/* network: Ethernet controller */
	{ 2, 0x018000 },		/* block: mass storage */
	{ 3, 0x078000 },		/* console: communication */
	{ 8, 0x010000 },		/* SCSI host */
	{ 9, 0x018000 },		/* 9P transport */
	{ 16, 0x038000 },		/* GPU: display */
	{ 18, 0x098000 },		/* input */
	{ 19, 0x078000 },		/* socket */
	{ 20, 0x108000 },		/* crypto: encryption */
	{ 25, 0x040100 },		/* sound: audio */
	{ 26, 0x018000 },		/* file system */
	{ 0, 0xff0000 },
};

static struct virtio *
of_fn(struct pci_fn *fn)
{
	return ((struct virtio *)(void *)((char *)fn - offsetof(struct virtio, fn)));
}

/* Registers.  vd->lock held. */

/* The selected queue, NULL if there is none of that number. */
static struct virtqueue *
selected(struct virtio *vd)
{
	return (vd->queue_sel < vd->nvq ? &vd->vq[vd->queue_sel] : NULL);
}

static void
put(uint8_t *regs, unsigned off, uint64_t val, unsigned size)
{
	memcpy(regs + off, &val, size);
}

static uint32_t
feature_word(uint64_t features, uint32_t sel)
{
	return (sel < 2 ? (uint32_t)(features >> (32 * sel)) : 0);
}

/* Nothing of the common structure has side effects when it is read, so any width will do. */
static uint64_t
common_read(struct virtio *vd, uint32_t off, unsigned size)
{
	const struct virtqueue *vq = selected(vd);
	uint8_t regs[C_LEN + 8] = { 0 };
	uint64_t val = 0;

	if (off >= C_LEN)
		return (0);
	put(regs, C_DEVICE_FEATURE_SELECT, vd->device_sel, 4);
	put(regs, C_DEVICE_FEATURE, feature_word(virtio_features(vd), vd->device_sel), 4);
	put(regs, C_DRIVER_FEATURE_SELECT, vd->driver_sel, 4);
	put(regs, C_DRIVER_FEATURE, feature_word(vd->driver_features, vd->driver_sel), 4);
	put(regs, C_CONFIG_MSIX_VECTOR, vd->vector, 2);
	put(regs, C_NUM_QUEUES, vd->nvq, 2);
	put(regs, C_DEVICE_STATUS, vd->status, 1);
	put(regs, C_CONFIG_GENERATION, vd->generation, 1);
	put(regs, C_QUEUE_SELECT, vd->queue_sel, 2);
	/* 4.1.4.3.1: a queue that is not there has size 0. */
	put(regs, C_QUEUE_MSIX_VECTOR, VIRTIO_NO_VECTOR, 2);
	if (vq != NULL) {
		put(regs, C_QUEUE_SIZE, vq->num, 2);
		put(regs, C_QUEUE_MSIX_VECTOR, vq->vector, 2);
		put(regs, C_QUEUE_ENABLE, vq->ready, 2);
		put(regs, C_QUEUE_NOTIFY_OFF, vq->index, 2);
		put(regs, C_QUEUE_DESC, vq->desc, 8);
		put(regs, C_QUEUE_DRIVER, vq->avail, 8);
		put(regs, C_QUEUE_DEVICE, vq->used, 8);
	}
	memcpy(&val, regs + off, size);
	return (val);
}

/* 4.1.4.3.1: a vector that does not exist is not taken, which the driver sees when it reads. */
static uint16_t
valid_vector(const struct virtio *vd, uint64_t val)
{
	return (val < vd->nvectors ? (uint16_t)val : VIRTIO_NO_VECTOR);
}

/* Replace bytes [at, at + size) of a ring's address. */
static void
set_part(uint64_t *addr, unsigned at, unsigned size, uint64_t val)
{
	memcpy((uint8_t *)addr + at, &val, size);
}

/* Registers of the selected queue; one that is enabled keeps its place and size (4.1.4.3.2). */
static void
write_queue(struct virtio *vd, uint32_t off, unsigned size, uint64_t val)
{
	struct virtqueue *vq = selected(vd);

	if (vq != NULL && off == C_QUEUE_MSIX_VECTOR) {
		vq->vector = valid_vector(vd, val);
		return;
	}
	if (vq == NULL || vq->ready) {
		device_guest_log(vd->dev, "write of queue register %#x of queue %u, which is %s", off, vd->queue_sel,
		    vq == NULL ? "not there" : "in use");
		return;
	}
	switch (off & ~7U) {
	case C_QUEUE_DESC:
		set_part(&vq->desc, off & 7, size, val);
		break;
	case C_QUEUE_DRIVER:
		set_part(&vq->avail, off & 7, size, val);
		break;
	case C_QUEUE_DEVICE:
		set_part(&vq->used, off & 7, size, val);
		break;
	default:
		if (off == C_QUEUE_SIZE)
			vq->num = val <= vd->ops->queue_max ? (uint16_t)val : 0;	/* 0 never gets enabled */
		else if (val == 1)		/* 4.1.4.3.2: "The driver MUST NOT write a 0" */
			virtio_set_queue_ready(vd, vq, true);
		break;
	}
}

static void
common_write(struct virtio *vd, uint32_t off, unsigned size, uint64_t val)
{
	unsigned i, n = sizeof(writable) / sizeof(writable[0]);

	for (i = 0; i < n && (writable[i].off != off || writable[i].size != size); i++)
		;
	if (i == n) {
		device_guest_log(vd->dev, "write of %u bytes to common register %#x", size, off);
		return;
	}
	switch (off) {
	case C_DEVICE_FEATURE_SELECT:
		vd->device_sel = (uint32_t)val;
		break;
	case C_DRIVER_FEATURE_SELECT:
		vd->driver_sel = (uint32_t)val;
		break;
	case C_DRIVER_FEATURE:
		/* 2.2.1: what was accepted stays.  Bits beyond 63 exist in no device. */
		if ((vd->status & VIRTIO_FEATURES_OK) == 0 && vd->driver_sel < 2)
			set_part(&vd->driver_features, 4 * vd->driver_sel, 4, val);
		break;
	case C_CONFIG_MSIX_VECTOR:
		vd->vector = valid_vector(vd, val);
		break;
	case C_DEVICE_STATUS:
		virtio_set_status(vd, (uint8_t)val);
		break;
	case C_QUEUE_SELECT:
		vd->queue_sel = (uint32_t)val;
		break;
	default:
		write_queue(vd, off, size, val);
		break;
	}
}

static void
refresh(struct virtio *vd)
{
	pci_intx(&vd->fn, vd->isr != 0);
}

/* 4.1.4.5: reading acknowledges. */
static uint64_t
isr_read(struct virtio *vd, uint32_t off)
{
	uint64_t isr = vd->isr;

	if (off != 0)
		return (0);
	vd->isr = 0;
	refresh(vd);
	return (isr);
}

static uint64_t
regs_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct virtio *vd = arg;
	uint32_t in = (uint32_t)off % PAGE;
	uint64_t val = 0;

	pthread_mutex_lock(&vd->lock);
	switch (off / PAGE + 1) {
	case CAP_COMMON:
		val = common_read(vd, in, size);
		break;
	case CAP_ISR:
		val = isr_read(vd, in);
		break;
	case CAP_DEVICE:
		val = virtio_config_read(vd, in, size);
		break;
	default:
		break;
	}
	pthread_mutex_unlock(&vd->lock);
	return (val);
}

static void
regs_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct virtio *vd = arg;
	uint32_t in = (uint32_t)off % PAGE;

	/* Where doorbells are, only what is not as 4.1.5.2 says comes here; where it is says which queue. */
	if (off / PAGE + 1 == CAP_NOTIFY) {
		virtio_notify(vd, in / NOTIFY_STEP);
		return;
	}
	pthread_mutex_lock(&vd->lock);
	if (off / PAGE + 1 == CAP_COMMON)
		common_write(vd, in, size, val);
	else if (off / PAGE + 1 == CAP_DEVICE)
		virtio_config_write(vd, in, size, val);
	pthread_mutex_unlock(&vd->lock);
}

static const struct pci_bar_ops regs_ops = { regs_read, regs_write };

/* Interrupts */

/* 4.1.5.3, 4.1.5.4: by the vector that the driver gave, or the pin.  Lock held. */
static void
interrupt(struct virtio *vd, struct virtqueue *vq)
{
	uint16_t vector = vq != NULL ? vq->vector : vd->vector;

	if (!pci_msix_on(&vd->fn)) {
		refresh(vd);
		return;
	}
	/* 4.1.4.5.1: the queue bit is for the pin, which would rise by it when vectors are switched off. */
	vd->isr &= (uint8_t)~VIRTIO_ISR_QUEUE;
	refresh(vd);
	if (vector != VIRTIO_NO_VECTOR)
		pci_msix_raise(&vd->fn, vector);
}

/* Doorbells */

/* vCPU's thread. */
static void
ring(void *arg)
{
	struct virtqueue *vq = arg;

	virtio_notify(vq->vd, vq->index);
}

static void
doorbells_close(struct virtio *vd)
{
	for (unsigned i = 0; i < vd->nvq; i++) {
		vm_doorbell_close(vd->vq[i].doorbell);
		vd->vq[i].doorbell = NULL;
	}
}

/*
 * Without its doorbell a queue's notifications come to regs_write(): the back end is full, or another function is in the same
 * place, as for a moment when an operating system moves all BARs.  bar_moved() is told when that one has left.
 */
static void
doorbells_open(struct virtio *vd, uint64_t addr)
{
	struct vm_doorbell_spec spec = { .space = VM_SPACE_MEM, .size = 2, .notify = ring };

	for (unsigned i = 0; i < vd->nvq; i++) {
		spec.addr = addr + PAGE_OF(CAP_NOTIFY) + NOTIFY_STEP * i;
		spec.fd = vd->vq[i].fd;
		spec.arg = &vd->vq[i];
		vd->vq[i].doorbell = vm_doorbell_open(vd->dev->vmm->vm, &spec);
		if (vd->vq[i].doorbell == NULL && errno != EEXIST)
			device_guest_log(vd->dev, "queue %u has no doorbell: %s", i, vm_errmsg());
	}
}

static void
bar_moved(struct pci_fn *fn, unsigned n, bool mapped, uint64_t addr)
{
	struct virtio *vd = of_fn(fn);

	if (n != BAR_REGS)
		return;
	doorbells_close(vd);
	if (mapped)
		doorbells_open(vd, addr);
}

static void
command(struct pci_fn *fn, uint16_t cmd)
{
	struct virtio *vd = of_fn(fn);

	pthread_mutex_lock(&vd->lock);
	virtio_set_dma(vd, (cmd & PCI_CMD_MASTER) != 0);
	pthread_mutex_unlock(&vd->lock);
}

/*
 * 4.1.4.9: the window through which a driver that cannot reach a BAR does so.  What it names must be
 * registers, of a width that is one, and aligned to it.
 */
static bool
window(struct virtio *vd, unsigned off, unsigned size, uint64_t *target, unsigned *len)
{
	unsigned data = vd->pci_cap + CAP_MORE;

	if (off >= data + 4 || off + size <= data)
		return (false);
	*target = pci_get(&vd->fn, vd->pci_cap + CAP_OFFSET, 4);
	*len = pci_get(&vd->fn, vd->pci_cap + CAP_LENGTH, 4);
	if (pci_get(&vd->fn, vd->pci_cap + CAP_BAR, 1) == BAR_REGS && (*len == 1 || *len == 2 || *len == 4) &&
	    *target % *len == 0 && *target < REGS_LEN)
		return (true);
	if (*len != 0)			/* it is after reset, when someone may look at all registers */
		device_guest_log(vd->dev, "the configuration access window names no register");
	return (false);
}

static void
cap_written(struct pci_fn *fn, unsigned off, unsigned size)
{
	struct virtio *vd = of_fn(fn);
	uint64_t target;
	unsigned len;

	if (window(vd, off, size, &target, &len))
		regs_write(vd, NULL, target, len, pci_get(fn, vd->pci_cap + CAP_MORE, len));
}

static bool
cap_read(struct pci_fn *fn, unsigned off, unsigned size, uint32_t *val)
{
	struct virtio *vd = of_fn(fn);
	uint64_t target;
	unsigned len;

	if (window(vd, off, size, &target, &len))
		pci_put(fn, vd->pci_cap + CAP_MORE, len, (uint32_t)regs_read(vd, NULL, target, len));
	return (false);			/* from what is stored now */
}

static const struct pci_ops pci_ops = {
	.bar_moved = bar_moved, .command = command, .cap_written = cap_written, .cap_read = cap_read,
};

/* Life */

/* struct virtio_pci_cap (4.1.4) for len bytes of the structure's page, with more bytes behind it. */
static int
add_cap(struct virtio *vd, unsigned type, uint32_t len, const void *more, unsigned morelen)
{
	unsigned off = pci_add_cap(&vd->fn, CAP_VENDOR, CAP_LEN + morelen);
	uint32_t page = type != CAP_PCI ? PAGE_OF(type) : 0;
	uint8_t regs[CAP_LEN + 4] = { 0 };

	if (off == 0)
		return (vmm_fail(ENOSPC, "%s: no room for a virtio capability", vd->dev->name));
	regs[2] = (uint8_t)(CAP_LEN + morelen);
	regs[CAP_TYPE] = (uint8_t)type;
	regs[CAP_BAR] = BAR_REGS;
	memcpy(regs + CAP_OFFSET, &page, 4);
	memcpy(regs + CAP_LENGTH, &len, 4);
	if (morelen != 0)
		memcpy(regs + CAP_MORE, more, morelen);
	pci_fill(&vd->fn, off + 2, regs + 2, CAP_LEN + morelen - 2);
	if (type == CAP_PCI) {
		vd->pci_cap = (uint8_t)off;
		pci_writable(&vd->fn, off + CAP_BAR, 1, 0xff);
		pci_writable(&vd->fn, off + CAP_OFFSET, 12, UINT32_MAX);
	}
	return (0);
}

static int
add_caps(struct virtio *vd)
{
	const uint32_t step = NOTIFY_STEP, none = 0;

	if (add_cap(vd, CAP_COMMON, C_LEN, NULL, 0) != 0 ||
	    add_cap(vd, CAP_NOTIFY, NOTIFY_STEP * vd->nvq, &step, 4) != 0 || add_cap(vd, CAP_ISR, 1, NULL, 0) != 0)
		return (-1);
	/* 4.1.4.6.1: for devices that have a configuration */
	if (vd->ops->config_len != 0 && add_cap(vd, CAP_DEVICE, vd->ops->config_len, NULL, 0) != 0)
		return (-1);
	return (add_cap(vd, CAP_PCI, 0, &none, 4));
}

static uint32_t
class_of(uint16_t id)
{
	unsigned i;

	for (i = 0; classes[i].id != id && classes[i].id != 0; i++)
		;
	return (classes[i].class_code);
}

static void
detach(struct virtio *vd)
{
	pci_fini(&vd->fn);
	doorbells_close(vd);
}

static int
attach(struct virtio *vd)
{
	const struct pci_ident ident = {
		.vendor = VENDOR,
		.device = (uint16_t)(DEVICE_BASE + vd->ops->id),
		.subvendor = VENDOR,
		.subdevice = SUBDEVICE,
		.class_code = class_of(vd->ops->id),
		.revision = REVISION,
		.intx = vd->dev->place.irq[0] != NULL,
		.power = true,
		.flr = PCI_FLR_EXPRESS,
	};

	if (vd->nvq > PAGE / NOTIFY_STEP || vd->ops->config_len > PAGE)
		return (vmm_fail(EINVAL, "%s: virtio over PCI is for up to %u queues and %u bytes of configuration",
		    vd->dev->name, PAGE / NOTIFY_STEP, PAGE));
	if (pci_init(&vd->fn, vd->dev, &ident, &pci_ops) != 0)
		return (-1);
	vd->nvectors = vd->nvq + 1 < PCI_MSIX_MAX ? vd->nvq + 1 : PCI_MSIX_MAX;
	vd->dma = vd->master = false;
	if (pci_add_bar(&vd->fn, BAR_REGS, PCI_BAR_MEM32, REGS_LEN, &regs_ops, vd) != 0 ||
	    pci_add_msix(&vd->fn, vd->nvectors, BAR_MSIX) != 0 || add_caps(vd) != 0) {
		pci_fini(&vd->fn);
		return (-1);
	}
	return (0);
}

static void
reset(struct virtio *vd)
{
	pci_reset(&vd->fn);
	command(&vd->fn, 0);
}

static void
pause_function(struct virtio *vd)
{
	pci_pause(&vd->fn);
}

static void
resume(struct virtio *vd)
{
	pci_resume(&vd->fn);
	command(&vd->fn, (uint16_t)(pci_master(&vd->fn) ? PCI_CMD_MASTER : 0));
}

const struct virtio_transport virtio_pci = {
	.name = "virtio-pci",
	.on = DEVICE_ON_PCI,
	.attach = attach,
	.detach = detach,
	.interrupt = interrupt,
	.refresh = refresh,
	.reset = reset,
	.pause = pause_function,
	.resume = resume,
};
