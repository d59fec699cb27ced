/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * device.c - the registry of device classes and the lives of devices.
 *
 * Each DEVICE_CLASS() leaves a pointer in the section "hyve_device"; the linker gives the
 * section's bounds.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device.h"
#include "error.h"
#include "trace.h"

/* Weak: a program that links no device at all has no such section. */
extern const struct device_class *const __start_hyve_device[] __attribute__((weak));
extern const struct device_class *const __stop_hyve_device[] __attribute__((weak));

const struct config_key device_selector = KEY_STRING("device", REQUIRED, "which device is in the slot");

static size_t
class_count(void)
{
	return ((size_t)(__stop_hyve_device - __start_hyve_device));
}

/* The linker's order is that of the files; people want names in order.  Selection by rank: the list is short. */
const struct device_class *
device_class_at(unsigned i)
{
	const struct device_class *cls;
	size_t n = class_count(), rank;

	for (size_t k = 0; k < n; k++) {
		cls = __start_hyve_device[k];
		rank = 0;
		for (size_t j = 0; j < n; j++)
			rank += strcmp(__start_hyve_device[j]->name, cls->name) < 0;
		if (rank == i)
			return (cls);
	}
	return (NULL);
}

static const char *
class_name(const void *arg, size_t i)
{
	return (__start_hyve_device[i]->name);
}

const struct device_class *
device_class_find(const char *name)
{
	const char *near;

	for (size_t i = 0; i < class_count(); i++) {
		if (strcmp(__start_hyve_device[i]->name, name) == 0)
			return (__start_hyve_device[i]);
	}
	near = config_nearest(name, class_count(), class_name, NULL);
	if (near != NULL)
		return (vmm_fail_null(ENOENT, "unknown device '%.64s'; did you mean '%s'?", name, near));
	return (vmm_fail_null(ENOENT, "unknown device '%.64s'; 'hyve devices' lists them", name));
}

const struct config_keys *
device_class_keys(const char *device)
{
	const struct device_class *cls = device_class_find(device);

	return (cls != NULL ? &cls->keys : NULL);
}

struct device *
device_lookup(struct vmm *vmm, const char *name)
{
	struct device *dev;

	for (dev = vmm->devices; dev != NULL && strcmp(dev->name, name) != 0; dev = dev->next)
		;
	return (dev);
}

/* Whether the class can be where the machine wants it. */
static int
check_place(const struct device_class *cls, const char *name, const struct device_place *place)
{
	unsigned can = cls->on;

	/* Virtio devices are wherever there is a transport. */
	if ((can & DEVICE_ON_VIRTIO) != 0)
		can |= DEVICE_ON_MMIO | DEVICE_ON_PCI;
	if ((can & place->on) == 0)
		return (vmm_fail(EINVAL, "%s: device '%s' cannot be attached there", name, cls->name));
	if (place->nirqs < cls->nirqs || place->nirqs > DEVICE_MAXIRQ)
		return (vmm_fail(EINVAL, "%s: device '%s' needs %u interrupts, got %u", name, cls->name, cls->nirqs,
		    place->nirqs));
	return (0);
}

static void
free_device(struct device *dev)
{
	free(dev->soft);
	free(dev->name);
	free(dev);
}

struct device *
device_create(struct vmm *vmm, const struct device_class *cls, const char *name, struct config_node *config,
    const struct device_place *place)
{
	struct device *dev, **link;
	int error;

	if (device_lookup(vmm, name) != NULL)
		return (vmm_fail_null(EEXIST, "%s: there is a device of that name", name));
	if (check_place(cls, name, place) != 0 || config_check_node(config) != 0)
		return (NULL);
	dev = calloc(1, sizeof(*dev));
	if (dev == NULL)
		return (vmm_fail_null(ENOMEM, "%s: out of memory", name));
	dev->cls = cls;
	dev->vmm = vmm;
	dev->config = config;
	dev->place = *place;
	dev->name = strdup(name);
	dev->soft = calloc(1, cls->size != 0 ? cls->size : 1);
	if (dev->name == NULL || dev->soft == NULL) {
		free_device(dev);
		return (vmm_fail_null(ENOMEM, "%s: out of memory", name));
	}
	if (cls->init != NULL && cls->init(dev) != 0) {
		error = errno;
		/* A range that init claimed and gave back may have been hit. */
		(void)vm_range_sync(vmm->vm);
		free_device(dev);
		errno = error;
		return (NULL);
	}
	if (vmm->devices == NULL)
		vmm->paused = true;
	for (link = &vmm->devices; *link != NULL; link = &(*link)->next)
		dev->prev = *link;
	*link = dev;
	TRACE(vmm->log, device__reset, dev->name, 0);
	if (cls->reset != NULL)
		cls->reset(dev);
	/* Into a VM whose devices are at work (hot plug). */
	if (!vmm->paused && cls->resume != NULL)
		cls->resume(dev);
	return (dev);
}

void
device_destroy(struct device *dev)
{
	struct vmm *vmm;

	if (dev == NULL)
		return;
	vmm = dev->vmm;
	if (!vmm->paused && dev->cls->pause != NULL)
		dev->cls->pause(dev);
	if (!vmm->paused && dev->cls->settle != NULL)
		dev->cls->settle(dev);
	/* What was posted for it up to the pause is called while it is whole, as devices_pause() has it. */
	if (!vmm->paused)
		event_drain(vmm->loop);
	if (dev->cls->fini != NULL)
		dev->cls->fini(dev);
	(void)vm_range_sync(vmm->vm);
	event_drain(vmm->loop);
	if (dev->prev != NULL)
		dev->prev->next = dev->next;
	else
		vmm->devices = dev->next;
	if (dev->next != NULL)
		dev->next->prev = dev->prev;
	free_device(dev);
}

static struct device *
last_device(struct vmm *vmm)
{
	struct device *dev = vmm->devices;

	while (dev != NULL && dev->next != NULL)
		dev = dev->next;
	return (dev);
}

void
devices_destroy(struct vmm *vmm)
{
	struct device *dev;

	devices_pause(vmm);
	while ((dev = last_device(vmm)) != NULL)
		device_destroy(dev);
}

void
devices_pause(struct vmm *vmm)
{
	if (vmm->paused)
		return;
	for (struct device *dev = last_device(vmm); dev != NULL; dev = dev->prev) {
		TRACE(vmm->log, device__pause, dev->name, 0);
		if (dev->cls->pause != NULL)
			dev->cls->pause(dev);
		if (dev->cls->settle != NULL)
			dev->cls->settle(dev);
	}
	vmm->paused = true;
	event_drain(vmm->loop);
}

void
devices_resume(struct vmm *vmm)
{
	if (!vmm->paused)
		return;
	vmm->paused = false;
	for (struct device *dev = vmm->devices; dev != NULL; dev = dev->next) {
		TRACE(vmm->log, device__resume, dev->name, 0);
		if (dev->cls->resume != NULL)
			dev->cls->resume(dev);
	}
}

void
devices_reset(struct vmm *vmm)
{
	for (struct device *dev = vmm->devices; dev != NULL; dev = dev->next) {
		TRACE(vmm->log, device__reset, dev->name, 0);
		if (dev->cls->reset != NULL)
			dev->cls->reset(dev);
	}
}

static int
must_be_paused(struct vmm *vmm)
{
	if (vmm->devices == NULL || vmm->paused)
		return (0);
	return (vmm_fail(EBUSY, "devices: to save or load their state, pause them first"));
}

int
device_restart(struct device *dev)
{
	const struct device_class *cls = dev->cls;

	if (vm_pause(dev->vmm->vm) != 0)
		return (vmm_fail_vm("%s", dev->name));
	if (cls->pause != NULL)
		cls->pause(dev);
	event_drain(dev->vmm->loop);
	TRACE(dev->vmm->log, device__reset, dev->name, 0);
	if (cls->reset != NULL)
		cls->reset(dev);
	if (cls->resume != NULL)
		cls->resume(dev);
	(void)vm_resume(dev->vmm->vm);
	return (0);
}

int
devices_save(struct vmm *vmm, struct vm_state_out *out)
{
	if (must_be_paused(vmm) != 0)
		return (-1);
	for (struct device *dev = vmm->devices; dev != NULL; dev = dev->next) {
		if (dev->cls->saving != NULL && dev->cls->saving(dev) != 0)
			return (-1);
		if (dev->cls->state != NULL && vm_state_put(out, dev->cls->state, dev->name, dev->soft) != 0)
			return (vmm_fail_vm("%s", dev->name));
	}
	return (0);
}

int
devices_load(struct vmm *vmm, struct vm_state_in *in)
{
	if (must_be_paused(vmm) != 0)
		return (-1);
	for (struct device *dev = vmm->devices; dev != NULL; dev = dev->next) {
		if (dev->cls->state != NULL && vm_state_get(in, dev->cls->state, dev->name, dev->soft) != 0)
			return (vmm_fail_vm("%s", dev->name));
	}
	return (0);
}

struct vm_range *
device_claim(struct device *dev, uint64_t len,
    uint64_t (*read)(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size),
    void (*write)(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val), void *arg)
{
	struct vm_range_spec spec = {
		.name = dev->name,
		.space = dev->place.on == DEVICE_ON_IO ? VM_SPACE_IO : VM_SPACE_MEM,
		.base = dev->place.base,
		.len = len,
		.read = read,
		.write = write,
		.arg = arg,
	};
	struct vm_range *range = vm_range_add(dev->vmm->vm, &spec);

	if (range == NULL)
		(void)vmm_fail_vm("%s", dev->name);
	return (range);
}
