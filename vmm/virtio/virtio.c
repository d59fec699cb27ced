/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio.c - what virtio devices share above their transport (virtio 1.2 sections 2 and 3).
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "../trace.h"
#include "virtio.h"

#define	COMMON_FEATURES	(VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1)

#define	DRIVER_STATUS	(VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK | VIRTIO_FAILED)

static const struct virtio_transport *const transports[] = {
	&virtio_mmio, &virtio_pci,
};

uint64_t
virtio_features(const struct virtio *vd)
{
	return (vd->ops->features | COMMON_FEATURES);
}

bool
virtio_has(const struct virtio *vd, uint64_t feature)
{
	return ((vd->driver_features & feature) != 0);
}

void
virtio_broken(struct virtio *vd, const char *why)
{
	if ((vd->status & VIRTIO_NEEDS_RESET) != 0)
		return;
	vd->status |= VIRTIO_NEEDS_RESET;
	device_guest_log(vd->dev, "the driver broke the queue protocol: %s; the device needs a reset", why);
	/* 2.1.2: "If DRIVER_OK is set, after it sets DEVICE_NEEDS_RESET, the device MUST send a ... notification". */
	if ((vd->status & VIRTIO_DRIVER_OK) != 0) {
		vd->isr |= VIRTIO_ISR_CONFIG;
		vd->transport->interrupt(vd, NULL);
	}
}

void
virtio_config_changed(struct virtio *vd)
{
	vd->generation++;
	if ((vd->status & VIRTIO_DRIVER_OK) != 0) {
		vd->isr |= VIRTIO_ISR_CONFIG;
		vd->transport->interrupt(vd, NULL);
	}
}

void
virtio_notify_later(struct virtqueue *vq)
{
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so the notification is on its way. */
	if (write(vq->fd, &one, sizeof(one)) < 0)
		return;
}

/* Whether the device looks at a queue.  Lock held. */
static bool
works(const struct virtqueue *vq)
{
	const struct virtio *vd = vq->vd;

	return (vd->active && vd->master && vq->ready && (vd->status & VIRTIO_DRIVER_OK) != 0 &&
	    (vd->status & VIRTIO_NEEDS_RESET) == 0);
}

/* Lock held. */
static void
notify_locked(struct virtqueue *vq)
{
	if (works(vq))
		vq->vd->ops->notify(vq->vd, vq);
}

void
virtio_notify(struct virtio *vd, unsigned index)
{
	TRACE(vd->dev->vmm->log, virtio__notify, vd->dev->name, index);
	/* The lock would be in the way of the thread that this wakes, which looks at everything itself. */
	if (vd->ops->service != NULL && index < vd->nvq) {
		virtio_notify_later(&vd->vq[index]);
		return;
	}
	pthread_mutex_lock(&vd->lock);
	if (index < vd->nvq)
		notify_locked(&vd->vq[index]);
	else
		device_guest_log(vd->dev, "notification of queue %u, which does not exist", index);
	pthread_mutex_unlock(&vd->lock);
}

/* The doorbell's eventfd, or virtio_notify_later().  Control thread. */
static void
queue_event(void *arg, unsigned what)
{
	struct virtqueue *vq = arg;
	struct virtio *vd = vq->vd;
	uint64_t count;
	bool work;

	if (read(vq->fd, &count, sizeof(count)) < 0)
		return;
	if (vd->ops->service == NULL) {
		virtio_notify(vd, vq->index);
		return;
	}
	pthread_mutex_lock(&vd->lock);
	work = works(vq);
	pthread_mutex_unlock(&vd->lock);
	if (work)
		vd->ops->service(vd, vq);
}

/* Lock held. */
static void
reset_queue(struct virtqueue *vq)
{
	vq->ready = false;
	vq->num = vq->vd->ops->queue_max;
	vq->next_avail = vq->next_used = vq->signalled = 0;
	vq->armed = false;
	vq->desc = vq->avail = vq->used = 0;
	vq->vector = VIRTIO_NO_VECTOR;
}

/* 2.4: everything as at the start.  Lock held. */
static void
reset_locked(struct virtio *vd)
{
	if (vd->ops->reset != NULL)
		vd->ops->reset(vd);
	vd->status = 0;
	vd->isr = 0;
	vd->driver_features = 0;
	vd->device_sel = vd->driver_sel = vd->queue_sel = 0;
	vd->vector = VIRTIO_NO_VECTOR;
	for (unsigned i = 0; i < vd->nvq; i++)
		reset_queue(&vd->vq[i]);
	vd->transport->refresh(vd);
}

/* Have every queue looked at. */
static void
notify_all_later(struct virtio *vd)
{
	for (unsigned i = 0; i < vd->nvq; i++) {
		if (vd->vq[i].ready)
			virtio_notify_later(&vd->vq[i]);
	}
}

void
virtio_set_status(struct virtio *vd, uint8_t status)
{
	uint8_t set = status & (uint8_t)~vd->status;

	TRACE(vd->dev->vmm->log, virtio__status, vd->dev->name, status, vd->status);
	if (status == 0) {
		reset_locked(vd);
		return;
	}
	/* 2.1.1: the driver clears no bit but by reset; NEEDS_RESET is the device's, and two bits are nobody's. */
	set &= DRIVER_STATUS;
	/* 2.2.2: features that were not offered, or not VERSION_1: FEATURES_OK does not stay. */
	if ((set & VIRTIO_FEATURES_OK) != 0 && ((vd->driver_features & ~virtio_features(vd)) != 0 ||
	    !virtio_has(vd, VIRTIO_F_VERSION_1))) {
		device_guest_log(vd->dev, "the driver's features %#llx are refused",
		    (unsigned long long)vd->driver_features);
		set &= (uint8_t)~VIRTIO_FEATURES_OK;
	}
	/* 3.1.1: DRIVER_OK comes after FEATURES_OK. */
	if ((set & VIRTIO_DRIVER_OK) != 0 && ((vd->status | set) & VIRTIO_FEATURES_OK) == 0)
		set &= (uint8_t)~VIRTIO_DRIVER_OK;
	vd->status |= set;
	if ((set & VIRTIO_DRIVER_OK) == 0)
		return;
	/* Chains may have been made available before (3.1.1 step 8); no notification need follow. */
	notify_all_later(vd);
}

void
virtio_set_dma(struct virtio *vd, bool on)
{
	if (on && !vd->master)
		notify_all_later(vd);
	vd->master = on;
	/*
	 * What the device has begun it completes before it is off the bus, or the driver would wait for it for ever.  Another vCPU
	 * may switch it on meanwhile.
	 */
	if (!on && vd->dma && vd->ops->settle != NULL)
		vd->ops->settle(vd);
	vd->dma = vd->master;
}

void
virtio_set_queue_ready(struct virtio *vd, struct virtqueue *vq, bool ready)
{
	const char *why;

	if (ready == vq->ready)
		return;
	if (!ready) {
		vq->ready = false;
		return;
	}
	why = vq_problem(vq);
	if (why != NULL) {
		virtio_broken(vd, why);
		return;
	}
	vq->next_avail = vq->next_used = vq->signalled = 0;
	vq->armed = false;
	vq->ready = true;
}

uint64_t
virtio_config_read(struct virtio *vd, uint32_t off, unsigned size)
{
	if (off > vd->ops->config_len || size > vd->ops->config_len - off || vd->ops->config_read == NULL)
		return (0);
	return (vd->ops->config_read(vd, off, size));
}

void
virtio_config_write(struct virtio *vd, uint32_t off, unsigned size, uint64_t val)
{
	if (off > vd->ops->config_len || size > vd->ops->config_len - off || vd->ops->config_write == NULL)
		return;
	vd->ops->config_write(vd, off, size, val);
}

static void
fini(struct virtio *vd)
{
	if (vd->transport != NULL)
		vd->transport->detach(vd);
	(void)vm_range_sync(vd->dev->vmm->vm);
	for (unsigned i = 0; i < vd->nvq; i++) {
		event_remove(vd->vq[i].event);
		if (vd->vq[i].fd >= 0)
			close(vd->vq[i].fd);
	}
	pthread_mutex_destroy(&vd->lock);
}

int
virtio_init(struct virtio *vd, struct device *dev, const struct virtio_ops *ops, struct virtqueue *vq,
    unsigned nvq)
{
	const struct virtio_transport *transport = NULL;

	for (unsigned i = 0; i < sizeof(transports) / sizeof(transports[0]); i++) {
		if ((transports[i]->on & dev->place.on) != 0)
			transport = transports[i];
	}
	if (transport == NULL || ops->queue_max == 0 || ops->queue_max > VIRTQUEUE_MAX)
		return (vmm_fail(EINVAL, "%s: no virtio transport there", dev->name));
	vd->dev = dev;
	vd->ops = ops;
	vd->vq = vq;
	vd->nvq = nvq;
	vd->dma = vd->master = true;
	pthread_mutex_init(&vd->lock, NULL);
	for (unsigned i = 0; i < nvq; i++) {
		vq[i].vd = vd;
		vq[i].index = (uint16_t)i;
		vq[i].fd = -1;
	}
	for (unsigned i = 0; i < nvq; i++) {
		vq[i].fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (vq[i].fd < 0) {
			(void)vmm_fail_sys(errno, "%s: eventfd", dev->name);
			goto fail;
		}
		vq[i].event = event_fd_add(dev->vmm->loop, vq[i].fd, 0, queue_event, &vq[i]);
		if (vq[i].event == NULL) {
			(void)vmm_fail(errno, "%s: %s", dev->name, vmm_errmsg());
			goto fail;
		}
	}
	if (transport->attach(vd) != 0)
		goto fail;
	vd->transport = transport;
	return (0);
fail:
	fini(vd);
	return (-1);
}

void
virtio_device_fini(struct device *dev)
{
	fini(dev->soft);
}

void
virtio_device_reset(struct device *dev)
{
	struct virtio *vd = dev->soft;

	if (vd->transport->reset != NULL)
		vd->transport->reset(vd);
	pthread_mutex_lock(&vd->lock);
	reset_locked(vd);
	vd->generation = 0;
	pthread_mutex_unlock(&vd->lock);
}

void
virtio_device_pause(struct device *dev)
{
	struct virtio *vd = dev->soft;

	for (unsigned i = 0; i < vd->nvq; i++)
		event_fd_set(vd->vq[i].event, 0);
	pthread_mutex_lock(&vd->lock);
	vd->active = false;
	pthread_mutex_unlock(&vd->lock);
	if (vd->ops->drain != NULL)
		vd->ops->drain(vd);
	if (vd->transport->pause != NULL)
		vd->transport->pause(vd);
}

/* A notification that pause caught on its way is no state: every ready queue is looked at instead. */
void
virtio_device_resume(struct device *dev)
{
	struct virtio *vd = dev->soft;

	if (vd->transport->resume != NULL)
		vd->transport->resume(vd);
	pthread_mutex_lock(&vd->lock);
	vd->active = true;
	for (unsigned i = 0; i < vd->nvq; i++) {
		vd->vq[i].armed = false;
		if (vd->vq[i].ready)
			virtio_notify_later(&vd->vq[i]);
	}
	vd->transport->refresh(vd);
	pthread_mutex_unlock(&vd->lock);
	for (unsigned i = 0; i < vd->nvq; i++)
		event_fd_set(vd->vq[i].event, EVENT_READ);
}

/* What no device can be in. */
static int
check(void *obj)
{
	const struct virtio *vd = obj;

	if ((vd->isr & ~(VIRTIO_ISR_QUEUE | VIRTIO_ISR_CONFIG)) != 0)
		return (vm_state_complain("interrupt reasons %#x do not exist", vd->isr));
	if ((vd->status & ~(DRIVER_STATUS | VIRTIO_NEEDS_RESET)) != 0)
		return (vm_state_complain("status %#x has bits that do not exist", vd->status));
	if ((vd->status & VIRTIO_FEATURES_OK) != 0 && (vd->driver_features & ~virtio_features(vd)) != 0)
		return (vm_state_complain("features %#llx, which this device does not have",
		    (unsigned long long)(vd->driver_features & ~virtio_features(vd))));
	if ((vd->status & VIRTIO_DRIVER_OK) != 0 && (vd->status & VIRTIO_FEATURES_OK) == 0)
		return (vm_state_complain("a driver at work without features"));
	if (vd->vector != VIRTIO_NO_VECTOR && vd->vector >= vd->nvectors)
		return (vm_state_complain("interrupt vector %u does not exist", vd->vector));
	return (0);
}

static const struct vm_state_field fields[] = {
	PCI_STATE(struct virtio),
	VM_STATE_U8(struct virtio, status),
	VM_STATE_U8(struct virtio, isr),
	VM_STATE_U8(struct virtio, generation),
	VM_STATE_U64(struct virtio, driver_features),
	VM_STATE_U32(struct virtio, device_sel),
	VM_STATE_U32(struct virtio, driver_sel),
	VM_STATE_U32(struct virtio, queue_sel),
	VM_STATE_U16(struct virtio, vector),
};

const struct vm_state_table virtio_state_table = VM_STATE_TABLE("virtio", 1, 1, fields, check);
