/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vfio.c - containers, groups and devices of VFIO.  A VM has one container, of type 1: its devices see the same memory at the same addresses.
 *
 * What the kernel answers is as long as it says: a region that names its parts has them behind the fixed structure, at offsets that are checked here
 * as if they came from outside.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <linux/vfio.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "vfio.h"

#define	INFO_MAX	65536U		/* bytes of an answer with parts */

_Static_assert(VFIO_CONFIG == VFIO_PCI_CONFIG_REGION_INDEX, "regions have the kernel's numbers");
_Static_assert((unsigned)VFIO_IRQ_PIN == VFIO_PCI_INTX_IRQ_INDEX && (unsigned)VFIO_IRQ_MSI == VFIO_PCI_MSI_IRQ_INDEX &&
    (unsigned)VFIO_IRQ_MSIX == VFIO_PCI_MSIX_IRQ_INDEX && (unsigned)VFIO_IRQ_ERROR == VFIO_PCI_ERR_IRQ_INDEX &&
    (unsigned)VFIO_IRQ_WANTED == VFIO_PCI_REQ_IRQ_INDEX, "interrupts have the kernel's numbers");

/* Repeated when a signal interrupts it. */
static int
vfio_ioctl(int fd, unsigned long req, void *arg)
{
	int r;

	do {
		r = ioctl(fd, req, arg);
	} while (r < 0 && errno == EINTR);
	return (r);
}

/* SECTION: containers and groups */

void
vfio_init(struct vfio_container *c, const struct vfio_host *host)
{
	*c = (struct vfio_container){ .host = *host, .fd = -1 };
}

/* Who may open a file of VFIO's. */
static int
fail_open(const char *name, const char *path)
{
	int error = errno;
	struct stat st;

	if (error == ENOENT)
		return (vm_fail(ENODEV, "passthrough of %s: there is no %s: the kernel's VFIO is not loaded (modprobe vfio-pci)", name, path));
	if ((error == EACCES || error == EPERM) && stat(path, &st) == 0)
		return (vm_fail(EACCES, "passthrough of %s: %s cannot be opened: it is of user %u and group %u with mode %03o, this process of user %u; "
		    "run as that user, or chown %u %s", name, path, (unsigned)st.st_uid, (unsigned)st.st_gid, (unsigned)st.st_mode & 0777,
		    (unsigned)geteuid(), (unsigned)geteuid(), path));
	if (error == EBUSY)
		return (vm_fail(EBUSY, "passthrough of %s: %s is in use: another process, another VM perhaps, has a device of this group", name, path));
	return (vm_fail_sys(error, "passthrough of %s: %s cannot be opened", name, path));
}

static int
container_open(struct vfio_container *c, const char *name)
{
	char path[PATH_MAX];
	int v;

	(void)snprintf(path, sizeof(path), "%s/vfio", c->host.dev);
	c->fd = open(path, O_RDWR | O_CLOEXEC);
	if (c->fd < 0)
		return (fail_open(name, path));
	v = vfio_ioctl(c->fd, VFIO_GET_API_VERSION, NULL);
	if (v != VFIO_API_VERSION || vfio_ioctl(c->fd, VFIO_CHECK_EXTENSION, (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU) <= 0) {
		(void)close(c->fd);
		c->fd = -1;
		return (vm_fail(ENODEV, "passthrough of %s: %s is of version %d and has no type 1 IOMMU (modprobe vfio_iommu_type1)", name, path, v));
	}
	return (0);
}

/* The first group of a container decides of what kind its IOMMU is. */
static int
container_join(struct vfio_container *c, struct vfio_group *g, const char *name)
{
	struct vfio_group_status st = { .argsz = sizeof(st) };
	int error;

	if (vfio_ioctl(g->fd, VFIO_GROUP_GET_STATUS, &st) != 0)
		return (vm_fail_sys(errno, "passthrough of %s: IOMMU group %u", name, g->id));
	if ((st.flags & VFIO_GROUP_FLAGS_VIABLE) == 0)
		return (vm_fail(EBUSY, "passthrough of %s: the kernel says that not all of IOMMU group %u is free; see /sys/kernel/iommu_groups/%u/devices",
		    name, g->id, g->id));
	if (c->fd < 0 && container_open(c, name) != 0)
		return (-1);
	if (vfio_ioctl(g->fd, VFIO_GROUP_SET_CONTAINER, &c->fd) != 0)
		return (vm_fail_sys(errno, "passthrough of %s: IOMMU group %u cannot be added to the VM's", name, g->id));
	if (c->groups != NULL || vfio_ioctl(c->fd, VFIO_SET_IOMMU, (void *)(uintptr_t)VFIO_TYPE1v2_IOMMU) == 0)
		return (0);
	error = errno;
	(void)vfio_ioctl(g->fd, VFIO_GROUP_UNSET_CONTAINER, NULL);
	if (error == EPERM)
		return (vm_fail(EPERM, "passthrough of %s: this host's IOMMU does not remap interrupts, so a device could send any to the host: switch "
		    "that on in the firmware's setup (x2APIC, interrupt remapping); with guests that you trust, modprobe vfio_iommu_type1 "
		    "allow_unsafe_interrupts=1", name));
	return (vm_fail_sys(error, "passthrough of %s: the IOMMU of group %u cannot be used", name, g->id));
}

static void
container_idle(struct vfio_container *c)
{
	if (c->groups == NULL && c->fd >= 0) {
		(void)close(c->fd);
		c->fd = -1;
	}
}

struct vfio_group *
vfio_group_get(struct vfio_container *c, unsigned id, const char *name)
{
	char path[PATH_MAX];
	struct vfio_group *g;

	for (g = c->groups; g != NULL; g = g->next) {
		if (g->id == id) {
			g->users++;
			return (g);
		}
	}
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return (vm_fail_null(ENOMEM, "passthrough of %s: no memory", name));
	g->id = id;
	g->users = 1;
	(void)snprintf(path, sizeof(path), "%s/%u", c->host.dev, id);
	g->fd = open(path, O_RDWR | O_CLOEXEC);
	if (g->fd < 0) {
		(void)fail_open(name, path);
		free(g);
		return (NULL);
	}
	if (container_join(c, g, name) != 0) {
		int error = errno;

		(void)close(g->fd);
		free(g);
		container_idle(c);
		errno = error;
		return (NULL);
	}
	g->next = c->groups;
	c->groups = g;
	return (g);
}

void
vfio_group_put(struct vfio_container *c, struct vfio_group *group)
{
	struct vfio_group **p = &c->groups;

	if (group == NULL || --group->users != 0)
		return;
	while (*p != group)
		p = &(*p)->next;
	*p = group->next;
	(void)vfio_ioctl(group->fd, VFIO_GROUP_UNSET_CONTAINER, NULL);
	(void)close(group->fd);
	free(group);
	container_idle(c);
}

void
vfio_fini(struct vfio_container *c)
{
	while (c->groups != NULL) {
		c->groups->users = 1;
		vfio_group_put(c, c->groups);
	}
}

int
vfio_dma_map(struct vfio_container *c, uint64_t gpa, size_t len, void *host)
{
	struct vfio_iommu_type1_dma_map map = { .argsz = sizeof(map), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)host, .iova = gpa, .size = len };
	struct rlimit lim = { RLIM_INFINITY, RLIM_INFINITY };

	if (vfio_ioctl(c->fd, VFIO_IOMMU_MAP_DMA, &map) == 0)
		return (0);
	if (errno == ENOMEM && getrlimit(RLIMIT_MEMLOCK, &lim) == 0 && lim.rlim_cur != RLIM_INFINITY)
		return (vm_fail(ENOMEM, "passthrough: %zu MiB of RAM at 0x%jx cannot be pinned, which a device that reads and writes it needs: this process may "
		    "lock %zu MiB; raise that (ulimit -l; LimitMEMLOCK= of a unit of systemd), or run as root", len >> 20, (uintmax_t)gpa,
		    (size_t)lim.rlim_cur >> 20));
	return (vm_fail_sys(errno, "passthrough: %zu MiB of RAM at 0x%jx cannot be shown to devices", len >> 20, (uintmax_t)gpa));
}

/* SECTION: devices */

/* The parts of a region that can be mapped, from the chain of capabilities behind its description. */
static void
take_areas(struct vfio_region *r, const uint8_t *buf, size_t len)
{
	struct vfio_region_info info;
	struct vfio_region_info_cap_sparse_mmap sparse;
	struct vfio_info_cap_header head;
	size_t at;

	memcpy(&info, buf, sizeof(info));
	r->nareas = 1;
	r->area[0] = (struct vfio_area){ 0, info.size };
	if ((info.flags & VFIO_REGION_INFO_FLAG_CAPS) == 0)
		return;
	/* Offsets go up, so that there is an end. */
	for (at = info.cap_offset; at >= sizeof(info) && at + sizeof(head) <= len; at = head.next > at ? head.next : 0) {
		memcpy(&head, buf + at, sizeof(head));
		if (head.id != VFIO_REGION_INFO_CAP_SPARSE_MMAP || at + sizeof(sparse) > len)
			continue;
		memcpy(&sparse, buf + at, sizeof(sparse));
		r->nareas = 0;
		for (unsigned i = 0; i < sparse.nr_areas && i < VFIO_AREAS; i++) {
			struct vfio_region_sparse_mmap_area a;
			size_t off = at + sizeof(sparse) + i * sizeof(a);

			if (off + sizeof(a) > len)
				return;
			memcpy(&a, buf + off, sizeof(a));
			if (a.size != 0 && a.offset < info.size && a.size <= info.size - a.offset)
				r->area[r->nareas++] = (struct vfio_area){ a.offset, a.size };
		}
	}
}

static int
region_info(const struct vfio_dev *dev, unsigned n, struct vfio_region *r)
{
	struct vfio_region_info info = { .argsz = sizeof(info), .index = n };
	uint8_t *buf;

	if (vfio_ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, &info) != 0)
		return (errno == EINVAL ? 0 : vm_fail_sys(errno, "passthrough of %s: region %u", dev->name, n));
	r->size = info.size;
	r->offset = info.offset;
	if ((info.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0 || info.size == 0)
		return (0);
	if (info.argsz <= sizeof(info) || info.argsz > INFO_MAX) {
		info.flags &= ~(unsigned)VFIO_REGION_INFO_FLAG_CAPS;
		take_areas(r, (const uint8_t *)&info, sizeof(info));
		return (0);
	}
	buf = calloc(1, info.argsz);
	if (buf == NULL)
		return (vm_fail(ENOMEM, "passthrough of %s: no memory", dev->name));
	memcpy(buf, &info, sizeof(info));
	if (vfio_ioctl(dev->fd, VFIO_DEVICE_GET_REGION_INFO, buf) == 0)
		take_areas(r, buf, info.argsz);
	free(buf);
	return (0);
}

static int
dev_info(struct vfio_dev *dev)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	if (vfio_ioctl(dev->fd, VFIO_DEVICE_GET_INFO, &info) != 0)
		return (vm_fail_sys(errno, "passthrough of %s", dev->name));
	if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0)
		return (vm_fail(EINVAL, "passthrough of %s: VFIO does not have it as a PCI device", dev->name));
	dev->can_reset = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
	for (unsigned n = 0; n < VFIO_REGIONS; n++) {
		if (n < info.num_regions && region_info(dev, n, &dev->region[n]) != 0)
			return (-1);
	}
	if (dev->region[VFIO_CONFIG].size < 256)
		return (vm_fail(EINVAL, "passthrough of %s: VFIO shows no configuration space of it", dev->name));
	for (unsigned n = 0; n < VFIO_EVENTS && n < info.num_irqs; n++) {
		struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = n };

		if (vfio_ioctl(dev->fd, VFIO_DEVICE_GET_IRQ_INFO, &irq) == 0 && (irq.flags & VFIO_IRQ_INFO_EVENTFD) != 0)
			dev->nirqs[n] = irq.count;
	}
	return (0);
}

int
vfio_dev_open(struct vfio_dev *dev, struct vfio_group *group, const char *name)
{
	memset(dev, 0, sizeof(*dev));
	(void)snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->fd = vfio_ioctl(group->fd, VFIO_GROUP_GET_DEVICE_FD, dev->name);
	if (dev->fd < 0)
		return (vm_fail_sys(errno, "passthrough of %s: VFIO does not give it", name));
	if (dev_info(dev) != 0) {
		vfio_dev_close(dev);
		return (-1);
	}
	(void)fcntl(dev->fd, F_SETFD, FD_CLOEXEC);
	dev->group = group;
	return (0);
}

void
vfio_dev_close(struct vfio_dev *dev)
{
	int error = errno;

	if (dev->fd >= 0)
		(void)close(dev->fd);
	dev->fd = -1;
	errno = error;
}

/* Where in the device's file an access is. */
static int
place(const struct vfio_dev *dev, unsigned region, uint64_t off, unsigned size, off_t *at)
{
	const struct vfio_region *r = &dev->region[region < VFIO_REGIONS ? region : 0];

	if (region >= VFIO_REGIONS || (size != 1 && size != 2 && size != 4 && size != 8) || off % size != 0)
		return (vm_fail(EINVAL, "passthrough of %s: %u bytes at 0x%jx of region %u are no access", dev->name, size, (uintmax_t)off, region));
	if (off >= r->size || size > r->size - off)
		return (vm_fail(EINVAL, "passthrough of %s: 0x%jx is beyond the end of region %u", dev->name, (uintmax_t)off, region));
	*at = (off_t)(r->offset + off);
	return (0);
}

int
vfio_read(const struct vfio_dev *dev, unsigned region, uint64_t off, unsigned size, uint64_t *val)
{
	off_t at;
	ssize_t n;

	*val = size != 0 && size < 8 ? UINT64_MAX >> (64 - 8 * size) : UINT64_MAX;
	if (place(dev, region, off, size, &at) != 0)
		return (-1);
	*val = 0;
	do {
		n = pread(dev->fd, val, size, at);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)size)
		return (0);
	*val = UINT64_MAX >> (64 - 8 * size);
	return (vm_fail_sys(n < 0 ? errno : EIO, "passthrough of %s: 0x%jx of region %u cannot be read", dev->name, (uintmax_t)off, region));
}

int
vfio_write(const struct vfio_dev *dev, unsigned region, uint64_t off, unsigned size, uint64_t val)
{
	off_t at;
	ssize_t n;

	if (place(dev, region, off, size, &at) != 0)
		return (-1);
	do {
		n = pwrite(dev->fd, &val, size, at);
	} while (n < 0 && errno == EINTR);
	if (n == (ssize_t)size)
		return (0);
	return (vm_fail_sys(n < 0 ? errno : EIO, "passthrough of %s: 0x%jx of region %u cannot be written", dev->name, (uintmax_t)off, region));
}

bool
vfio_can_map(const struct vfio_dev *dev, unsigned region, uint64_t off, uint64_t len)
{
	const struct vfio_region *r = &dev->region[region];

	for (unsigned i = 0; i < r->nareas; i++) {
		if (off >= r->area[i].off && off - r->area[i].off < r->area[i].len && len <= r->area[i].len - (off - r->area[i].off))
			return (true);
	}
	return (false);
}

void *
vfio_map(const struct vfio_dev *dev, unsigned region, uint64_t off, size_t len)
{
	void *p;

	if (!vfio_can_map(dev, region, off, len))
		return (vm_fail_null(ENOTSUP, "passthrough of %s: the host does not let 0x%zx bytes at 0x%jx of BAR %u be mapped", dev->name, len,
		    (uintmax_t)off, region));
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, dev->fd, (off_t)(dev->region[region].offset + off));
	if (p != MAP_FAILED)
		return (p);
	(void)vm_fail_sys(errno, "passthrough of %s: 0x%zx bytes at 0x%jx of BAR %u cannot be mapped", dev->name, len, (uintmax_t)off, region);
	return (NULL);
}

/* SECTION: interrupts and reset */

int
vfio_irq_set(const struct vfio_dev *dev, enum vfio_irq kind, unsigned start, unsigned count, const int *fds)
{
	struct vfio_irq_set *set = calloc(1, sizeof(*set) + count * sizeof(*fds));
	int r, error;

	if (set == NULL)
		return (vm_fail(ENOMEM, "passthrough of %s: no memory", dev->name));
	set->argsz = (uint32_t)(sizeof(*set) + count * sizeof(*fds));
	set->flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	set->index = kind;
	set->start = start;
	set->count = count;
	memcpy(set->data, fds, count * sizeof(*fds));
	r = vfio_ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, set);
	error = errno;
	free(set);
	if (r > 0)		/* how many there could be */
		return (vm_fail(ENOSPC, "passthrough of %s: the host has %d of %u message interrupts for it", dev->name, r, count));
	return (r == 0 ? 0 : vm_fail_sys(error, "passthrough of %s: its %s cannot be switched on", dev->name,
	    kind == VFIO_IRQ_PIN ? "interrupt pin" : kind < VFIO_IRQS ? "message interrupts" : "notices"));
}

static int
irq_plain(const struct vfio_dev *dev, enum vfio_irq kind, uint32_t action, unsigned count)
{
	struct vfio_irq_set set = { .argsz = sizeof(set), .flags = VFIO_IRQ_SET_DATA_NONE | action, .index = kind, .count = count };

	return (vfio_ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &set) == 0 ? 0 : vm_fail_sys(errno, "passthrough of %s: its interrupts", dev->name));
}

int
vfio_irq_off(const struct vfio_dev *dev, enum vfio_irq kind)
{
	return (irq_plain(dev, kind, VFIO_IRQ_SET_ACTION_TRIGGER, 0));
}

int
vfio_irq_unmask(const struct vfio_dev *dev)
{
	return (irq_plain(dev, VFIO_IRQ_PIN, VFIO_IRQ_SET_ACTION_UNMASK, 1));
}

int
vfio_reset(const struct vfio_dev *dev)
{
	if (!dev->can_reset)
		return (vm_fail(ENOTSUP, "passthrough of %s: this host has no way to reset it", dev->name));
	return (vfio_ioctl(dev->fd, VFIO_DEVICE_RESET, NULL) == 0 ? 0 : vm_fail_sys(errno, "passthrough of %s: its reset failed", dev->name));
}
