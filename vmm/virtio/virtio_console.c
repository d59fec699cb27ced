/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_console.c - the console device (virtio 1.2 section 5.3) with one port, over a character device.
 *
 * A chain is returned when its bytes are where they belong: one to transmit that the host takes only a part of goes back to the
 * available ring, and txoff says how much of it is done.  So nothing is in flight between calls, and no byte is lost.
 *
 * vd.lock guards everything.  Order: vd.lock, then the character device's.
 */
#include <errno.h>
#include <string.h>

#include "../console/chardev.h"
#include "../error.h"
#include "virtio.h"

#define	QUEUE_SIZE	64
#define	CHUNK		65536U		/* bytes each way before others get the lock */
#define	EMERG		64

/* Features (5.3.3) */
#define	F_SIZE		(1ULL << 0)
#define	F_EMERG_WRITE	(1ULL << 2)

/* Queues (5.3.2) */
enum { RX, TX, NQUEUES };

/* Configuration space (5.3.4) */
struct console_config {
	uint16_t	cols, rows;
	uint32_t	max_nr_ports;
	uint32_t	emerg_wr;
};

_Static_assert(sizeof(struct console_config) == 12, "5.3.4");

struct vconsole {
	struct virtio	 vd;
	struct virtqueue vq[NQUEUES];
	struct virtio_ops ops;		/* a size is offered if there is one */
	struct chardev	*cd;
	struct console_config config;
	/* state */
	uint64_t	 txoff;		/* bytes done of the next chain to transmit */
	uint8_t		 emerg[EMERG], emerglen;	/* emergency bytes that the host did not take */
};

static const struct config_key keys[] = {
	CHARDEV_KEY,
	KEY_INT("cols", 0, 0, UINT16_MAX, "columns that the guest is told; 0: nothing"),
	KEY_INT("rows", 0, 0, UINT16_MAX, "rows that the guest is told; 0: nothing"),
};

/* Transmit from a chain at c->txoff, at most *budget bytes; whether the whole of it is done. */
static bool
transmit_chain(struct vconsole *c, const struct vq_chain *chain, uint32_t *budget)
{
	uint64_t skip = c->txoff;

	for (unsigned i = 0; i < chain->nread; i++) {
		const struct vq_seg *s = &chain->seg[i];
		const uint8_t *p;
		size_t n, done;

		if (skip >= s->len) {
			skip -= s->len;
			continue;
		}
		n = s->len - (size_t)skip < *budget ? s->len - (size_t)skip : *budget;
		p = vm_map_read(c->vd.dev->vmm->vm, s->gpa + skip, n);
		if (p == NULL)
			return (true);		/* it was RAM when it was taken */
		done = n != 0 ? chardev_write(c->cd, p, n) : 0;
		c->txoff += done;
		*budget -= (uint32_t)done;
		if (done < s->len - (size_t)skip)
			return (false);
		skip = 0;
	}
	return (true);
}

/* Whether chains are left, because the host does not take more or the budget is spent. */
static bool
transmit(struct vconsole *c, uint32_t *budget)
{
	struct virtqueue *vq = &c->vq[TX];
	struct vq_seg segs[QUEUE_SIZE];
	struct vq_chain chain = { .seg = segs, .max = QUEUE_SIZE };
	bool left = false;

	for (unsigned n = 0; !left && n < QUEUE_SIZE; n++) {
		if (vq_pop(vq, &chain) != 1)
			break;
		if (transmit_chain(c, &chain, budget)) {
			c->txoff = 0;
			vq_push(vq, &chain, 0);
		} else {
			vq_unpop(vq);
			left = true;
		}
	}
	vq_signal(vq);
	return (left || vq_more(vq));
}

/* Fill a chain with what the host has, up to CHUNK; the number of bytes. */
static uint32_t
receive_chain(struct vconsole *c, const struct vq_chain *chain)
{
	struct vm_wsec ws;
	uint32_t total = 0;

	for (unsigned i = 0; i < chain->nwrite && total < CHUNK; i++) {
		const struct vq_seg *s = &chain->seg[chain->nread + i];
		size_t want = s->len < CHUNK - total ? s->len : CHUNK - total, n;
		void *p = vm_write_begin(c->vd.dev->vmm->vm, s->gpa, want, &ws);

		if (p == NULL)
			break;
		n = chardev_read(c->cd, p, want);
		if (n != 0)
			vm_write_commit(&ws);
		else
			vm_write_cancel(&ws);
		total += (uint32_t)n;
		if (n < s->len)
			break;
	}
	return (total);
}

/* Whether there is still room for what the host may have. */
static bool
receive(struct vconsole *c)
{
	struct virtqueue *vq = &c->vq[RX];
	struct vq_seg segs[QUEUE_SIZE];
	struct vq_chain chain = { .seg = segs, .max = QUEUE_SIZE };
	uint32_t got, total = 0;
	bool room = false;

	for (unsigned n = 0; !room && n < QUEUE_SIZE && total < CHUNK; n++) {
		if (vq_pop(vq, &chain) != 1)
			break;
		got = receive_chain(c, &chain);
		total += got;
		if (got != 0 || chain.writelen == 0) {
			vq_push(vq, &chain, got);
		} else {
			vq_unpop(vq);
			room = true;
		}
	}
	vq_signal(vq);
	return (room || vq_more(vq));
}

/* Emergency bytes come before everything else.  Whether all of them went. */
static bool
send_emergency(struct vconsole *c)
{
	size_t n;

	if (c->emerglen == 0)
		return (true);
	n = chardev_write(c->cd, c->emerg, c->emerglen);
	c->emerglen -= (uint8_t)n;
	memmove(c->emerg, c->emerg + n, c->emerglen);
	return (c->emerglen == 0);
}

/* Move what can be moved, then tell the host's side what is waited for.  Lock held. */
static void
exchange(struct vconsole *c)
{
	uint32_t budget = CHUNK;
	bool room = false, left;

	if (!c->vd.active)
		return;
	left = !send_emergency(c);
	if ((c->vd.status & VIRTIO_DRIVER_OK) != 0) {
		if (!left)
			left = transmit(c, &budget);
		room = receive(c);
	}
	/* The rest of a spent budget comes by the same way, as soon as the host is ready for it. */
	chardev_want(c->cd, room, left);
}

static void
vconsole_notify(struct virtio *vd, struct virtqueue *vq)
{
	exchange((struct vconsole *)(void *)vd);
}

/* The host has bytes, or takes some.  Control thread. */
static void
host_ready(void *arg, bool readable, bool writable)
{
	struct vconsole *c = arg;

	pthread_mutex_lock(&c->vd.lock);
	exchange(c);
	pthread_mutex_unlock(&c->vd.lock);
}

static void
vconsole_reset(struct virtio *vd)
{
	struct vconsole *c = (struct vconsole *)(void *)vd;

	c->txoff = 0;
	/* What the driver wrote in an emergency it wants to be seen, most of all behind a reset; only power-on ends it. */
	chardev_want(c->cd, false, vd->active && c->emerglen != 0);
}

static void
vconsole_drain(struct virtio *vd)
{
	struct vconsole *c = (struct vconsole *)(void *)vd;

	pthread_mutex_lock(&vd->lock);
	chardev_want(c->cd, false, false);
	pthread_mutex_unlock(&vd->lock);
}

static uint64_t
vconsole_config_read(struct virtio *vd, uint32_t off, unsigned size)
{
	const struct vconsole *c = (const struct vconsole *)(const void *)vd;
	uint64_t v = 0;

	memcpy(&v, (const char *)&c->config + off, size);
	return (v);
}

/* 5.3.5.2: a character to emerg_wr, at any time, even before there is a driver. */
static void
vconsole_config_write(struct virtio *vd, uint32_t off, unsigned size, uint64_t val)
{
	struct vconsole *c = (struct vconsole *)(void *)vd;

	if (off != offsetof(struct console_config, emerg_wr) || !vd->active)
		return;
	(void)send_emergency(c);
	if (c->emerglen < EMERG)
		c->emerg[c->emerglen++] = (uint8_t)val;
	exchange(c);
}

static const struct virtio_ops ops = {
	.id = 3,
	.features = F_EMERG_WRITE,
	.queue_max = QUEUE_SIZE,
	.config_len = sizeof(struct console_config),
	.notify = vconsole_notify,
	.reset = vconsole_reset,
	.drain = vconsole_drain,
	.config_read = vconsole_config_read,
	.config_write = vconsole_config_write,
};

/* The machine's character device is given back, one of our own closed. */
static void
release(struct device *dev, struct chardev *cd)
{
	if (cd != NULL && cd == dev->place.chardev)
		chardev_set_user(cd, NULL, NULL);
	else
		chardev_close(cd);
}

static int
vconsole_init(struct device *dev)
{
	struct vconsole *c = dev->soft;
	const char *path = config_str(dev->config, "path");
	int64_t cols = config_num(dev->config, "cols"), rows = config_num(dev->config, "rows");

	if ((cols == 0) != (rows == 0))
		return (vmm_fail(EINVAL, "%s: cols and rows come together", dev->name));
	c->ops = ops;
	if (cols != 0)
		c->ops.features |= F_SIZE;
	c->config.cols = (uint16_t)cols;
	c->config.rows = (uint16_t)rows;
	c->cd = dev->place.chardev;
	if (c->cd == NULL)
		c->cd = chardev_open(dev->vmm->loop, path != NULL ? path : "null");
	if (c->cd == NULL)
		return (vmm_fail(errno, "%s: %s", dev->name, vmm_errmsg()));
	chardev_set_user(c->cd, host_ready, c);
	if (virtio_init(&c->vd, dev, &c->ops, c->vq, NQUEUES) != 0) {
		release(dev, c->cd);
		return (-1);
	}
	return (0);
}

static void
vconsole_fini(struct device *dev)
{
	struct vconsole *c = dev->soft;

	/* Paused, so the character device calls nobody; a reset by a vCPU may still call it until the transport is gone. */
	virtio_device_fini(dev);
	release(dev, c->cd);
}

static void
vconsole_power_on(struct device *dev)
{
	struct vconsole *c = dev->soft;

	virtio_device_reset(dev);
	c->emerglen = 0;
}

static void
vconsole_resume(struct device *dev)
{
	struct vconsole *c = dev->soft;

	virtio_device_resume(dev);
	pthread_mutex_lock(&c->vd.lock);
	exchange(c);
	pthread_mutex_unlock(&c->vd.lock);
}

static int
vconsole_check(void *obj)
{
	const struct vconsole *c = obj;

	if (c->emerglen > EMERG)
		return (vm_state_complain("%u emergency bytes where %u are kept", c->emerglen, EMERG));
	return (0);
}

static const struct vm_state_field fields[] = {
	VIRTIO_STATE(struct vconsole), VIRTIO_QUEUES(struct vconsole), VM_STATE_U64(struct vconsole, txoff),
	VM_STATE_BYTES(struct vconsole, emerg), VM_STATE_U8(struct vconsole, emerglen),
};

static const struct vm_state_table state = VM_STATE_TABLE("virtio-console", 1, 1, fields, vconsole_check);

DEVICE_CLASS(virtio_console, "virtio-console", "paravirtual console", keys, &state,
    .line = true,
    .on = DEVICE_ON_VIRTIO,
    .size = sizeof(struct vconsole),
    .init = vconsole_init,
    .fini = vconsole_fini,
    .reset = vconsole_power_on,
    .pause = virtio_device_pause,
    .resume = vconsole_resume);
