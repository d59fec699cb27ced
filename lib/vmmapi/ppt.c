/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ppt.c - passthrough of host PCI devices: those of a VM, their registers, and their memory in the guest.
 *
 * A device reaches all of the VM's RAM at its guest-physical addresses, whatever the guest has mapped there, from when it is assigned on.  The back end is
 * told of it when it is attached; what cannot have such devices has no group_set.
 */
#include <sys/mman.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ppt.h"

#define	CFG_COMMAND	0x04		/* PCI 6.2.2 */
#define	CFG_BAR0	0x10
#define	CMD_IO		0x0001U
#define	CMD_MEM		0x0002U
#define	CMD_MASTER	0x0004U

static const struct vfio_host the_host = { "/sys", "/dev/vfio" };

void
ppt_keep(struct ppt_failure *why)
{
	why->error = errno;
	(void)snprintf(why->text, sizeof(why->text), "%s", vm_errmsg());
}

int
ppt_again(const struct ppt_failure *why)
{
	return (vm_fail(why->error, "%s", why->text));
}

/* SECTION: finding one */

/* Made once, under vm->lock, and looked at by those that do not hold it. */
static struct ppt *
ppt_of(struct vmctx *vm)
{
	return (__atomic_load_n(&vm->ppt, __ATOMIC_ACQUIRE));
}

/* Whether a back end is chosen that cannot have host devices. */
static bool
refused(struct vmctx *vm)
{
	const struct accel_ops *accel = vm->accel != NULL ? vm->accel : accel_lookup(vm->want);

	return (accel != NULL && accel->group_set == NULL);
}

static int
check(struct vmctx *ctx, int bus, int slot, int func)
{
	char name[VFIO_NAME];

	if (ctx == NULL)
		return (vm_fail(EINVAL, "passthrough: the VM handle is NULL"));
	if (bus < 0 || bus > 0xffffff || slot < 0 || slot > 31 || func < 0 || func > 7)
		return (vm_fail(EINVAL, "passthrough: %d/%d/%d is no PCI address (bus 0-255 and 256 times the domain, slot 0-31, function 0-7)", bus,
		    slot, func));
	if (!refused(ctx))
		return (0);
	vfio_name(bus, slot, func, name);
	return (vm_fail(ENOTSUP, "passthrough of %s: the %s back end cannot give host devices to a guest: it executes the guest itself, and would "
	    "not learn what a device writes; kvm can", name, ctx->accel != NULL ? ctx->accel->name : accel_lookup(ctx->want)->name));
}

static struct pptdev *
lookup(struct vmctx *vm, int bus, int slot, int func)
{
	struct ppt *ppt = ppt_of(vm);
	struct pptdev *dev;

	if (ppt == NULL)
		return (NULL);
	pthread_mutex_lock(&ppt->lock);
	for (dev = ppt->devs; dev != NULL && (dev->bus != bus || dev->slot != slot || dev->func != func); dev = dev->next)
		continue;
	pthread_mutex_unlock(&ppt->lock);
	return (dev);
}

struct pptdev *
ppt_find(struct vmctx *ctx, int bus, int slot, int func)
{
	struct pptdev *dev;
	char name[VFIO_NAME];

	if (check(ctx, bus, slot, func) != 0)
		return (NULL);
	dev = lookup(ctx, bus, slot, func);
	if (dev != NULL)
		return (dev);
	vfio_name(bus, slot, func, name);
	return (vm_fail_null(ENODEV, "passthrough of %s: it is not assigned to vm '%s'", name, ctx->name));
}

/* SECTION: coming and going */

static int
dma_map(struct vmctx *vm)
{
	struct ppt *ppt = vm->ppt;

	for (unsigned i = 0; !ppt->dma && i < vm->nram; i++) {
		if (vfio_dma_map(&ppt->container, vm->ram[i].gpa, vm->ram[i].len, vm->base + vm->ram[i].gpa) != 0)
			return (-1);
	}
	ppt->dma = true;
	return (0);
}

/* It answers to accesses to its BARs, always: what the guest switches off is taken from the guest.  It does not reach memory. */
static int
command_set(struct pptdev *dev)
{
	uint64_t cmd;

	if (vfio_read(&dev->vfio, VFIO_CONFIG, CFG_COMMAND, 2, &cmd) != 0)
		return (-1);
	return (vfio_write(&dev->vfio, VFIO_CONFIG, CFG_COMMAND, 2, (cmd | CMD_IO | CMD_MEM) & ~CMD_MASTER));
}

static struct ppt *
ppt_make(struct vmctx *vm)
{
	struct ppt *ppt;

	if (vm->ppt != NULL)
		return (vm->ppt);
	ppt = calloc(1, sizeof(*ppt));
	if (ppt == NULL)
		return (vm_fail_null(ENOMEM, "vm '%s': passthrough: no memory", vm->name));
	vfio_init(&ppt->container, &the_host);
	pthread_mutex_init(&ppt->lock, NULL);
	__atomic_store_n(&vm->ppt, ppt, __ATOMIC_RELEASE);
	return (ppt);
}

static void
unmap(struct pptdev *dev, struct ppt_map **at)
{
	struct ppt_map *m = *at;

	if (m->map.slot >= 0) {
		vm_stop_vcpus(dev->vm);
		dev->vm->accel->mem_unmap(dev->vm, &m->map);
		vm_go_vcpus(dev->vm);
	}
	(void)munmap(m->map.host, m->map.len);
	*at = m->next;
	free(m);
}

/* Nobody learns which pages a device writes. */
static void
all_dirty(struct vmctx *vm)
{
	for (unsigned i = 0; i < vm->nram; i++)
		dirty_commit_seg(vm, vm->ram[i].seg, vm->ram[i].segoff, vm->ram[i].len);
}

/* vm->lock held; it is in no list. */
static void
dev_free(struct pptdev *dev)
{
	struct vfio_group *group = dev->vfio.group;
	struct vmctx *vm = dev->vm;

	while (dev->maps != NULL)
		unmap(dev, &dev->maps);
	ppt_irq_fini(dev);
	if (dev->vfio.fd >= 0)
		(void)command_set(dev);
	vfio_dev_close(&dev->vfio);
	if (group != NULL) {
		if (vm->accel != NULL && group->users == 1)
			(void)vm->accel->group_set(vm, group->fd, false);
		vfio_group_put(&vm->ppt->container, group);
	}
	if (vm->ppt->container.fd < 0)
		vm->ppt->dma = false;		/* unpinned with its last group */
	all_dirty(vm);				/* what it wrote since the last fetch */
	free(dev);
}

static struct pptdev *
dev_make(struct vmctx *vm, int bus, int slot, int func)
{
	struct pptdev *dev = calloc(1, sizeof(*dev));
	struct vfio_container *c = &vm->ppt->container;
	struct vfio_group *group = NULL;
	struct ppt_failure why;
	char name[VFIO_NAME];
	unsigned id = 0;

	if (dev == NULL)
		return (vm_fail_null(ENOMEM, "vm '%s': passthrough: no memory", vm->name));
	dev->vm = vm;
	dev->bus = bus;
	dev->slot = slot;
	dev->func = func;
	dev->vfio.fd = -1;
	ppt_irq_init(dev);
	vfio_name(bus, slot, func, name);
	if (vfio_find(&c->host, name, &id) != 0 || vfio_bars(&c->host, name, dev->hpa) != 0 || (group = vfio_group_get(c, id, name)) == NULL ||
	    dma_map(vm) != 0 || (vm->accel != NULL && group->users == 1 && vm->accel->group_set(vm, group->fd, true) != 0) ||
	    vfio_dev_open(&dev->vfio, group, name) != 0 || command_set(dev) != 0) {
		ppt_keep(&why);
		dev->vfio.group = group;
		dev_free(dev);
		(void)ppt_again(&why);
		return (NULL);
	}
	return (dev);
}

int
vm_assign_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	struct pptdev *dev = NULL;
	char name[VFIO_NAME];

	if (check(ctx, bus, slot, func) != 0)
		return (-1);
	vfio_name(bus, slot, func, name);
	pthread_mutex_lock(&ctx->lock);
	if (lookup(ctx, bus, slot, func) != NULL)
		(void)vm_fail(EEXIST, "passthrough of %s: it is assigned to vm '%s' already", name, ctx->name);
	else if (ctx->nram == 0)
		(void)vm_fail(EINVAL, "passthrough of %s: vm '%s' has no RAM yet (vm_setup_memory())", name, ctx->name);
	else if (ppt_make(ctx) != NULL && (dev = dev_make(ctx, bus, slot, func)) != NULL) {
		pthread_mutex_lock(&ctx->ppt->lock);
		dev->next = ctx->ppt->devs;
		ctx->ppt->devs = dev;
		pthread_mutex_unlock(&ctx->ppt->lock);
	}
	pthread_mutex_unlock(&ctx->lock);
	return (dev != NULL ? 0 : -1);
}

/* vm->lock held. */
static void
unassign(struct pptdev *dev)
{
	struct ppt *ppt = dev->vm->ppt;
	struct pptdev **p = &ppt->devs;

	pthread_mutex_lock(&ppt->lock);
	while (*p != dev)
		p = &(*p)->next;
	*p = dev->next;
	pthread_mutex_unlock(&ppt->lock);
	dev_free(dev);
}

int
vm_unassign_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	struct pptdev *dev;

	if (check(ctx, bus, slot, func) != 0)
		return (-1);
	pthread_mutex_lock(&ctx->lock);
	dev = ppt_find(ctx, bus, slot, func);
	if (dev != NULL)
		unassign(dev);
	pthread_mutex_unlock(&ctx->lock);
	return (dev != NULL ? 0 : -1);
}

bool
ppt_any(struct vmctx *vm)
{
	return (vm->ppt != NULL && vm->ppt->devs != NULL);
}

void
ppt_fini(struct vmctx *vm)
{
	struct ppt *ppt = vm->ppt;

	if (ppt == NULL)
		return;
	pthread_mutex_lock(&vm->lock);
	while (ppt->devs != NULL)
		unassign(ppt->devs);
	pthread_mutex_unlock(&vm->lock);
	vfio_fini(&ppt->container);
	pthread_mutex_destroy(&ppt->lock);
	free(ppt);
	vm->ppt = NULL;
}

/* SECTION: back ends */

int
ppt_attach(struct vmctx *vm)
{
	if (!ppt_any(vm))
		return (0);
	if (vm->accel->group_set == NULL)
		return (vm_fail(ENOTSUP, "vm '%s': host devices are assigned to it, which the %s back end cannot have (%s)", vm->name, vm->accel->name,
		    vm->reason));
	for (struct vfio_group *g = vm->ppt->container.groups; g != NULL; g = g->next) {
		if (vm->accel->group_set(vm, g->fd, true) != 0)
			return (-1);
	}
	for (struct pptdev *dev = vm->ppt->devs; dev != NULL; dev = dev->next) {
		for (struct ppt_map *m = dev->maps; m != NULL; m = m->next) {
			if (vm->accel->mem_map(vm, &m->map) != 0)
				return (-1);
		}
	}
	return (0);
}

void
ppt_detach(struct vmctx *vm)
{
	if (!ppt_any(vm) || vm->accel_vm == NULL)
		return;
	for (struct pptdev *dev = vm->ppt->devs; dev != NULL; dev = dev->next) {
		for (struct ppt_map *m = dev->maps; m != NULL; m = m->next) {
			if (m->map.slot >= 0)
				vm->accel->mem_unmap(vm, &m->map);
			m->map.slot = -1;
		}
	}
	for (struct vfio_group *g = vm->ppt->container.groups; vm->accel->group_set != NULL && g != NULL; g = g->next)
		(void)vm->accel->group_set(vm, g->fd, false);
}

void
ppt_dirty(struct vmctx *vm)
{
	struct ppt *ppt = ppt_of(vm);
	bool any;

	if (ppt == NULL)
		return;
	pthread_mutex_lock(&ppt->lock);
	any = ppt->devs != NULL;
	pthread_mutex_unlock(&ppt->lock);
	if (any)
		all_dirty(vm);
}

/* SECTION: its memory in the guest */

int
ppt_map_check(struct vmctx *vm, vm_paddr_t gpa, size_t len)
{
	for (struct pptdev *dev = vm->ppt != NULL ? vm->ppt->devs : NULL; dev != NULL; dev = dev->next) {
		for (struct ppt_map *m = dev->maps; m != NULL; m = m->next) {
			if (m->map.gpa < gpa + len && gpa < m->map.gpa + m->map.len)
				return (vm_fail(EEXIST, "vm '%s': memory of host device %s is at 0x%jx", vm->name, dev->vfio.name, (uintmax_t)m->map.gpa));
		}
	}
	return (0);
}

/* What is at [gpa, gpa + len) already.  vm->lock held. */
static int
map_check(struct vmctx *vm, const char *name, vm_paddr_t gpa, size_t len)
{
	for (unsigned i = 0; i < vm->nmaps; i++) {
		if (vm->maps[i].gpa < gpa + len && gpa < vm->maps[i].gpa + vm->maps[i].len)
			return (vm_fail(EEXIST, "passthrough of %s: memory of the VM is at 0x%jx", name, (uintmax_t)vm->maps[i].gpa));
	}
	return (ppt_map_check(vm, gpa, len) == 0 ? 0 : vm_fail(EEXIST, "passthrough of %s: %s", name, vm_errmsg()));
}

/* vm->lock held. */
static int
map_add(struct pptdev *dev, vm_paddr_t gpa, size_t len, unsigned bar, uint64_t off)
{
	struct vmctx *vm = dev->vm;
	struct ppt_map *m;
	int error = 0;

	if (map_check(vm, dev->vfio.name, gpa, len) != 0)
		return (-1);
	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return (vm_fail(ENOMEM, "passthrough of %s: no memory", dev->vfio.name));
	m->map = (struct vm_mapping){ .gpa = gpa, .len = len, .segid = VM_MAPPING_DEVICE, .prot = VM_PROT_READ | VM_PROT_WRITE, .slot = -1 };
	m->map.host = vfio_map(&dev->vfio, bar, off, len);
	if (m->map.host == NULL) {
		free(m);
		return (-1);
	}
	if (vm->accel != NULL) {
		vm_stop_vcpus(vm);
		error = vm->accel->mem_map(vm, &m->map);
		vm_go_vcpus(vm);
	}
	m->next = dev->maps;
	dev->maps = m;
	if (error != 0) {
		error = errno;
		unmap(dev, &dev->maps);
		errno = error;
		return (-1);
	}
	return (0);
}

int
vm_map_pptdev_mmio(struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len, vm_paddr_t hpa)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned bar = 0;
	int error;

	if (dev == NULL)
		return (-1);
	if (len == 0 || ((gpa | len | hpa) & (page - 1)) != 0 || gpa > ctx->md->maxpa || len > ctx->md->maxpa - gpa)
		return (vm_fail(EINVAL, "passthrough of %s: 0x%zx bytes of 0x%jx at 0x%jx: nothing, no whole pages, or outside of the address space",
		    dev->vfio.name, len, (uintmax_t)hpa, (uintmax_t)gpa));
	while (bar < VFIO_BARS && (dev->hpa[bar] == 0 || hpa < dev->hpa[bar] || hpa - dev->hpa[bar] >= dev->vfio.region[bar].size ||
	    len > dev->vfio.region[bar].size - (hpa - dev->hpa[bar])))
		bar++;
	if (bar == VFIO_BARS)
		return (vm_fail(EINVAL, "passthrough of %s: none of its BARs has 0x%zx bytes at 0x%jx", dev->vfio.name, len, (uintmax_t)hpa));
	pthread_mutex_lock(&ctx->lock);
	error = map_add(dev, gpa, len, bar, hpa - dev->hpa[bar]);
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

int
vm_unmap_pptdev_mmio(struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	struct ppt_map **m;
	int error = 0;

	if (dev == NULL)
		return (-1);
	pthread_mutex_lock(&ctx->lock);
	for (m = &dev->maps; *m != NULL && ((*m)->map.gpa != gpa || (*m)->map.len != len); m = &(*m)->next)
		continue;
	if (*m != NULL)
		unmap(dev, m);
	else
		error = vm_fail(ENOENT, "passthrough of %s: 0x%zx bytes at 0x%jx are not mapped as such", dev->vfio.name, len, (uintmax_t)gpa);
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

/* SECTION: registers */

int
vm_reset_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	int error;

	if (dev == NULL)
		return (-1);
	pthread_mutex_lock(&ctx->lock);
	/* The kernel gives it back the registers that it had, so bus mastering goes first. */
	error = command_set(dev);
	if (error == 0)
		error = ppt_irq_reset(dev);
	if (error == 0)
		error = vfio_reset(&dev->vfio);
	if (error == 0)
		error = command_set(dev);
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

int
vm_pptdev_get_info(struct vmctx *ctx, int bus, int slot, int func, struct vm_pptdev_info *info)
{
	struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	uint64_t reg;

	if (dev == NULL)
		return (-1);
	if (info == NULL)
		return (vm_fail(EINVAL, "passthrough of %s: the record is NULL", dev->vfio.name));
	memset(info, 0, sizeof(*info));
	for (unsigned n = 0; n < VFIO_BARS; n++) {
		const struct vfio_region *r = &dev->vfio.region[n];
		struct vm_pptdev_bar *bar = &info->bar[n];

		if (r->size == 0 || vfio_read(&dev->vfio, VFIO_CONFIG, CFG_BAR0 + 4 * n, 4, &reg) != 0)
			continue;
		bar->size = r->size;
		bar->hpa = dev->hpa[n];
		if ((reg & 1) != 0)
			bar->flags |= VM_PPTDEV_BAR_IO;
		else if ((reg & 6) == 4)
			bar->flags |= VM_PPTDEV_BAR_64;
		if (r->nareas != 0 && bar->hpa != 0)
			bar->flags |= VM_PPTDEV_BAR_MAP;
	}
	info->msi = dev->vfio.nirqs[VFIO_IRQ_MSI];
	info->msix = dev->vfio.nirqs[VFIO_IRQ_MSIX];
	info->pin = dev->vfio.nirqs[VFIO_IRQ_PIN] != 0;
	info->reset = dev->vfio.can_reset;
	info->group = dev->vfio.group->id;
	return (0);
}

int
vm_pptdev_cfg_read(struct vmctx *ctx, int bus, int slot, int func, unsigned off, unsigned size, uint32_t *val)
{
	const struct pptdev *dev = ppt_find(ctx, bus, slot, func);
	uint64_t v;
	int error;

	if (dev == NULL)
		return (-1);
	if (val == NULL || size > 4)
		return (vm_fail(EINVAL, "passthrough of %s: a register of %u bytes, or the value is NULL", dev->vfio.name, size));
	error = vfio_read(&dev->vfio, VFIO_CONFIG, off, size, &v);
	*val = (uint32_t)v;
	return (error);
}

int
vm_pptdev_cfg_write(struct vmctx *ctx, int bus, int slot, int func, unsigned off, unsigned size, uint32_t val)
{
	const struct pptdev *dev = ppt_find(ctx, bus, slot, func);

	if (dev == NULL)
		return (-1);
	if (size > 4)
		return (vm_fail(EINVAL, "passthrough of %s: a register of %u bytes", dev->vfio.name, size));
	return (vfio_write(&dev->vfio, VFIO_CONFIG, off, size, val));
}

int
vm_pptdev_bar_read(struct vmctx *ctx, int bus, int slot, int func, unsigned n, uint64_t off, unsigned size, uint64_t *val)
{
	const struct pptdev *dev = ppt_find(ctx, bus, slot, func);

	if (dev == NULL)
		return (-1);
	if (val == NULL || n >= VFIO_BARS)
		return (vm_fail(EINVAL, "passthrough of %s: there is no BAR %u, or the value is NULL", dev->vfio.name, n));
	return (vfio_read(&dev->vfio, n, off, size, val));
}

int
vm_pptdev_bar_write(struct vmctx *ctx, int bus, int slot, int func, unsigned n, uint64_t off, unsigned size, uint64_t val)
{
	const struct pptdev *dev = ppt_find(ctx, bus, slot, func);

	if (dev == NULL)
		return (-1);
	if (n >= VFIO_BARS)
		return (vm_fail(EINVAL, "passthrough of %s: there is no BAR %u", dev->vfio.name, n));
	return (vfio_write(&dev->vfio, n, off, size, val));
}
