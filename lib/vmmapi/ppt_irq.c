/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ppt_irq.c - interrupts of host devices: the pin, MSI and MSI-X, of which a device has one kind at a time.
 *
 * A message of the device is one of the library's message handles with an eventfd as its trigger, which VFIO writes to: so a back end that can bind
 * eventfds has no process in between, masks and pending bits are the handle's, and all is as for any other message.
 *
 * The pin is a level, and the host masks it when it interrupts: it is told by a function, and unmasked when the guest has dealt with it.
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ppt.h"

void
ppt_irq_init(struct pptdev *dev)
{
	pthread_mutex_init(&dev->lock, NULL);
	dev->kind = VFIO_IRQS;
	dev->pin_fd = -1;
	for (unsigned n = 0; n < VM_PPTDEV_NOTICES; n++)
		dev->notice_fd[n] = -1;
}

/* SECTION: the pin.  dev->lock is held. */

/* The library's thread read the eventfd. */
static void
pin_raised(void *arg, uint64_t count)
{
	struct pptdev *dev = arg;

	(void)count;
	dev->pin(dev->pin_arg);
}

static int
pin_on(struct pptdev *dev)
{
	if (dev->pin == NULL || dev->kind != VFIO_IRQS)
		return (0);
	dev->pin_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (dev->pin_fd < 0)
		return (vm_fail_sys(errno, "passthrough of %s: its interrupt pin", dev->vfio.name));
	if (fdwatch_add(dev->vm, dev->pin_fd, pin_raised, dev) == 0) {
		if (vfio_irq_set(&dev->vfio, VFIO_IRQ_PIN, 0, 1, &dev->pin_fd) == 0) {
			dev->kind = VFIO_IRQ_PIN;
			return (0);
		}
		fdwatch_del(dev->vm, dev->pin_fd);
	}
	(void)close(dev->pin_fd);
	dev->pin_fd = -1;
	return (-1);
}

static void
pin_off(struct pptdev *dev)
{
	(void)vfio_irq_off(&dev->vfio, VFIO_IRQ_PIN);
	fdwatch_del(dev->vm, dev->pin_fd);
	(void)close(dev->pin_fd);
	dev->pin_fd = -1;
	dev->kind = VFIO_IRQS;
}

/* SECTION: messages.  dev->lock is held. */

static void
vectors_free(struct pptdev *dev)
{
	for (unsigned i = 0; i < dev->nvectors; i++) {
		vm_irq_close(dev->vectors[i].irq);
		if (dev->vectors[i].fd >= 0)
			(void)close(dev->vectors[i].fd);
	}
	free(dev->vectors);
	dev->vectors = NULL;
	dev->nvectors = 0;
}

static int
vectors_make(struct pptdev *dev, unsigned n)
{
	dev->vectors = calloc(n, sizeof(*dev->vectors));
	if (dev->vectors == NULL)
		return (vm_fail(ENOMEM, "passthrough of %s: no memory", dev->vfio.name));
	dev->nvectors = n;
	for (unsigned i = 0; i < n; i++)
		dev->vectors[i].fd = -1;
	return (0);
}

/* A handle, masked, and its eventfd. */
static int
vector_open(struct pptdev *dev, struct ppt_vector *v)
{
	if (v->irq != NULL)
		return (0);
	v->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->fd < 0)
		return (vm_fail_sys(errno, "passthrough of %s: message interrupts", dev->vfio.name));
	v->irq = vm_irq_open_msi(dev->vm, dev->requester);
	if (v->irq != NULL && vm_irq_bind(v->irq, v->fd, -1) == 0)
		return (0);
	vm_irq_close(v->irq);
	v->irq = NULL;
	(void)close(v->fd);
	v->fd = -1;
	return (-1);
}

/* Nothing is switched on afterwards. */
static void
all_off(struct pptdev *dev)
{
	if (dev->kind == VFIO_IRQ_PIN)
		pin_off(dev);
	else if (dev->kind != VFIO_IRQS)
		(void)vfio_irq_off(&dev->vfio, dev->kind);
	dev->kind = VFIO_IRQS;
	vectors_free(dev);
}

static int
message_set(struct ppt_vector *v, uint64_t addr, uint32_t data, bool masked)
{
	/* The mask first, or last: nothing is sent by a message that is about to change. */
	if (masked && vm_irq_set_mask(v->irq, true) != 0)
		return (-1);
	if (vm_irq_set_msi(v->irq, addr, data) != 0)
		return (-1);
	return (vm_irq_set_mask(v->irq, masked));
}

/* All messages of MSI, with their handles. */
static int
msi_on(struct pptdev *dev, unsigned n)
{
	int *fds = calloc(n, sizeof(*fds));
	int error = -1;

	if (fds == NULL)
		return (vm_fail(ENOMEM, "passthrough of %s: no memory", dev->vfio.name));
	if (vectors_make(dev, n) == 0) {
		error = 0;
		for (unsigned i = 0; i < n && error == 0; i++) {
			error = vector_open(dev, &dev->vectors[i]);
			fds[i] = dev->vectors[i].fd;
		}
		if (error == 0)
			error = vfio_irq_set(&dev->vfio, VFIO_IRQ_MSI, 0, n, fds);
	}
	free(fds);
	if (error == 0)
		dev->kind = VFIO_IRQ_MSI;
	return (error);
}

/*
 * MSI-X is switched on with all that the device has, since a host cannot be relied upon to give more to one that is at work; eventfds they get as they
 * are needed.  It is on when the guest says so, though all may be masked: there are devices that look at it when they are set up.
 */
static int
msix_on(struct pptdev *dev)
{
	unsigned n = dev->vfio.nirqs[VFIO_IRQ_MSIX];
	int *fds = malloc(n * sizeof(*fds));
	int error;

	if (fds == NULL)
		return (vm_fail(ENOMEM, "passthrough of %s: no memory", dev->vfio.name));
	for (unsigned i = 0; i < n; i++)
		fds[i] = -1;
	error = vectors_make(dev, n);
	if (error == 0)
		error = vfio_irq_set(&dev->vfio, VFIO_IRQ_MSIX, 0, n, fds);
	free(fds);
	if (error == 0)
		dev->kind = VFIO_IRQ_MSIX;
	return (error);
}

/* What was there before may not be there any more; the pin is, if it can. */
static int
failed(struct pptdev *dev)
{
	struct ppt_failure why;

	ppt_keep(&why);
	all_off(dev);
	(void)pin_on(dev);
	return (ppt_again(&why));
}

static int
msi_setup(struct pptdev *dev, uint64_t addr, uint32_t data, unsigned n)
{
	if (n == 0 && dev->kind != VFIO_IRQ_MSI)
		return (0);
	if (n == 0 || dev->kind != VFIO_IRQ_MSI || n != dev->nvectors)
		all_off(dev);
	if (n == 0)
		return (pin_on(dev));
	if (dev->kind != VFIO_IRQ_MSI && msi_on(dev, n) != 0)
		return (failed(dev));
	for (unsigned i = 0; i < n; i++) {
		if (message_set(&dev->vectors[i], addr, (data & ~(n - 1)) | i, false) != 0)
			return (-1);
	}
	return (0);
}

int
vm_setup_pptdev_msi(struct vmctx *ctx, int bus, int slot, int func, uint64_t addr, uint64_t msg, int numvec)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	int error;

	if (dev == NULL)
		return (-1);
	if (numvec < 0 || (unsigned)numvec > dev->vfio.nirqs[VFIO_IRQ_MSI] || ((unsigned)numvec & ((unsigned)numvec - 1)) != 0 || msg > UINT32_MAX)
		return (vm_fail(EINVAL, "passthrough of %s: %d messages from 0x%jx on: it has %u, and they are a power of 2", dev->vfio.name, numvec,
		    (uintmax_t)msg, dev->vfio.nirqs[VFIO_IRQ_MSI]));
	(void)vm_irq_hold(ctx);
	pthread_mutex_lock(&dev->lock);
	error = msi_setup(dev, addr, (uint32_t)msg, (unsigned)numvec);
	pthread_mutex_unlock(&dev->lock);
	return (vm_irq_release(ctx) != 0 ? -1 : error);
}

static int
msix_check(struct pptdev *dev, int idx)
{
	if (idx >= 0 && (unsigned)idx < dev->vfio.nirqs[VFIO_IRQ_MSIX])
		return (0);
	return (vm_fail(EINVAL, "passthrough of %s: there is no message vector %d, of which it has %u", dev->vfio.name, idx,
	    dev->vfio.nirqs[VFIO_IRQ_MSIX]));
}

static int
msix_setup(struct pptdev *dev, unsigned idx, uint64_t addr, uint32_t data, bool masked)
{
	struct ppt_vector *v;

	if (dev->kind != VFIO_IRQ_MSIX) {
		all_off(dev);
		if (msix_on(dev) != 0)
			return (failed(dev));
	}
	v = &dev->vectors[idx];
	/* Until it is wanted there is nothing to keep. */
	if (!v->wired && masked)
		return (0);
	/* The message is there before the device can send it. */
	if (vector_open(dev, v) != 0 || message_set(v, addr, data, masked) != 0)
		return (-1);
	if (!v->wired && vfio_irq_set(&dev->vfio, VFIO_IRQ_MSIX, idx, 1, &v->fd) != 0)
		return (-1);
	v->wired = true;
	return (0);
}

int
vm_setup_pptdev_msix(struct vmctx *ctx, int bus, int slot, int func, int idx, uint64_t addr, uint64_t msg, uint32_t vector_control)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	int error;

	if (dev == NULL || msix_check(dev, idx) != 0)
		return (-1);
	if (msg > UINT32_MAX)
		return (vm_fail(EINVAL, "passthrough of %s: message 0x%jx has more than 32 bits", dev->vfio.name, (uintmax_t)msg));
	pthread_mutex_lock(&dev->lock);
	error = msix_setup(dev, (unsigned)idx, addr, (uint32_t)msg, (vector_control & 1) != 0);
	pthread_mutex_unlock(&dev->lock);
	return (error);
}

int
vm_disable_pptdev_msix(struct vmctx *ctx, int bus, int slot, int func)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	int error = 0;

	if (dev == NULL)
		return (-1);
	pthread_mutex_lock(&dev->lock);
	if (dev->kind == VFIO_IRQ_MSIX) {
		all_off(dev);
		error = pin_on(dev);
	}
	pthread_mutex_unlock(&dev->lock);
	return (error);
}

int
vm_pptdev_get_pending(struct vmctx *ctx, int bus, int slot, int func, int idx)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	struct vm_irq_info info = { 0 };

	if (dev == NULL || msix_check(dev, idx) != 0)
		return (-1);
	pthread_mutex_lock(&dev->lock);
	if (dev->kind == VFIO_IRQ_MSIX && dev->vectors[idx].irq != NULL)
		(void)vm_irq_get_info(dev->vectors[idx].irq, &info);
	pthread_mutex_unlock(&dev->lock);
	return (info.pending);
}

int
vm_pptdev_set_requester(struct vmctx *ctx, int bus, int slot, int func, uint32_t requester)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);

	if (dev == NULL)
		return (-1);
	if (requester > 0xffff)
		return (vm_fail(EINVAL, "passthrough of %s: 0x%x is no requester id of 16 bits", dev->vfio.name, requester));
	pthread_mutex_lock(&dev->lock);
	dev->requester = requester;
	pthread_mutex_unlock(&dev->lock);
	return (0);
}

int
vm_pptdev_set_pin(struct vmctx *ctx, int bus, int slot, int func, void (*fn)(void *arg), void *arg)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	int error = 0;

	if (dev == NULL)
		return (-1);
	if (fn != NULL && dev->vfio.nirqs[VFIO_IRQ_PIN] == 0)
		return (vm_fail(EINVAL, "passthrough of %s: it has no interrupt pin", dev->vfio.name));
	pthread_mutex_lock(&dev->lock);
	if (dev->kind == VFIO_IRQ_PIN)
		pin_off(dev);
	dev->pin = fn;
	dev->pin_arg = arg;
	error = pin_on(dev);
	pthread_mutex_unlock(&dev->lock);
	return (error);
}

int
vm_pptdev_unmask_pin(struct vmctx *ctx, int bus, int slot, int func)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	int error = 0;

	if (dev == NULL)
		return (-1);
	pthread_mutex_lock(&dev->lock);
	if (dev->kind == VFIO_IRQ_PIN)
		error = vfio_irq_unmask(&dev->vfio);
	pthread_mutex_unlock(&dev->lock);
	return (error);
}

/* SECTION: notices */

static const enum vfio_irq notices[VM_PPTDEV_NOTICES] = { VFIO_IRQ_ERROR, VFIO_IRQ_WANTED };

static void
device_failed(void *arg, uint64_t count)
{
	struct pptdev *dev = arg;

	(void)count;
	dev->notice(dev->notice_arg, VM_PPTDEV_FAILED);
}

static void
device_wanted(void *arg, uint64_t count)
{
	struct pptdev *dev = arg;

	(void)count;
	dev->notice(dev->notice_arg, VM_PPTDEV_WANTED);
}

/* dev->lock is held.  What an interrupt is, is also true of these: the kernel writes to an eventfd. */
static void
notices_off(struct pptdev *dev)
{
	for (unsigned n = 0; n < VM_PPTDEV_NOTICES; n++) {
		if (dev->notice_fd[n] < 0)
			continue;
		(void)vfio_irq_off(&dev->vfio, notices[n]);
		fdwatch_del(dev->vm, dev->notice_fd[n]);
		(void)close(dev->notice_fd[n]);
		dev->notice_fd[n] = -1;
	}
}

static int
notice_on(struct pptdev *dev, unsigned n)
{
	int fd;

	if (dev->vfio.nirqs[notices[n]] == 0)
		return (0);
	fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (fd < 0)
		return (vm_fail_sys(errno, "passthrough of %s: notices", dev->vfio.name));
	if (fdwatch_add(dev->vm, fd, n == VM_PPTDEV_FAILED ? device_failed : device_wanted, dev) != 0) {
		(void)close(fd);
		return (-1);
	}
	dev->notice_fd[n] = fd;
	return (vfio_irq_set(&dev->vfio, notices[n], 0, 1, &fd));
}

int
vm_pptdev_set_notice(struct vmctx *ctx, int bus, int slot, int func, void (*fn)(void *arg, enum vm_pptdev_notice what), void *arg)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	struct ppt_failure why;
	int error = 0;

	if (dev == NULL)
		return (-1);
	pthread_mutex_lock(&dev->lock);
	notices_off(dev);
	dev->notice = fn;
	dev->notice_arg = arg;
	for (unsigned n = 0; n < VM_PPTDEV_NOTICES && fn != NULL && error == 0; n++)
		error = notice_on(dev, n);
	if (error != 0) {
		ppt_keep(&why);
		notices_off(dev);
		(void)ppt_again(&why);
	}
	pthread_mutex_unlock(&dev->lock);
	return (error);
}

/* SECTION: life */

int
ppt_irq_reset(struct pptdev *dev)
{
	int error;

	pthread_mutex_lock(&dev->lock);
	all_off(dev);
	error = pin_on(dev);
	pthread_mutex_unlock(&dev->lock);
	return (error);
}

void
ppt_irq_fini(struct pptdev *dev)
{
	pthread_mutex_lock(&dev->lock);
	if (dev->vfio.fd >= 0) {
		notices_off(dev);
		all_off(dev);
	}
	pthread_mutex_unlock(&dev->lock);
	pthread_mutex_destroy(&dev->lock);
}
