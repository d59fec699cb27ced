/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_vfio.h - a host with two PCI devices in IOMMU group 7, by a made-up sysfs and /dev/vfio.  For programs linked with -Wl,--wrap=ioctl and with FAKE_VFIO_KERNEL
 * defined there is a kernel behind it, too: the device is a file, what VFIO is asked is noted, and any call fails that a test wants to fail.
 */
#ifndef _FAKE_VFIO_H_
#define	_FAKE_VFIO_H_

#include <sys/mman.h>

#include "test.h"
#include "vfio.h"

#define	NAME	"0000:03:00.0"
#define	OTHER	"0000:03:00.1"

static char top[32], sys[64], vfio_dir[64];
static struct vfio_host host;

static inline void
run(const char *fmt, ...)
{
	char cmd[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(cmd, sizeof(cmd), fmt, ap);
	va_end(ap);
	CHECKF(system(cmd) == 0, "%s", cmd);
}

/* Two devices in IOMMU group 7, bound to vfio-pci. */
static inline void
setup(void)
{
	(void)snprintf(top, sizeof(top), "/tmp/hyve-vfio.XXXXXX");
	CHECK(mkdtemp(top) != NULL);
	(void)snprintf(sys, sizeof(sys), "%s/sys", top);
	(void)snprintf(vfio_dir, sizeof(vfio_dir), "%s/vfio", top);
	host = (struct vfio_host){ sys, vfio_dir };
	run("mkdir -p %s/bus/pci/devices/" NAME " %s/bus/pci/devices/" OTHER " %s/kernel/iommu_groups/7/devices %s", sys, sys, sys, vfio_dir);
	for (int i = 0; i < 2; i++) {
		const char *name = i == 0 ? NAME : OTHER;

		run("ln -s ../../../../kernel/iommu_groups/7 %s/bus/pci/devices/%s/iommu_group", sys, name);
		run("ln -s ../../drivers/vfio-pci %s/bus/pci/devices/%s/driver", sys, name);
		run("ln -s ../../../../bus/pci/devices/%s %s/kernel/iommu_groups/7/devices/%s", name, sys, name);
	}
	run("printf '%%s\\n' '0x00000000fe000000 0x00000000fe003fff 0x0000000000140204' '0x0 0x0 0x0' 'nonsense' "
	    "'0x000000000000d000 0x000000000000d007 0x0000000000040101' >%s/bus/pci/devices/" NAME "/resource", sys);
}

static inline void
teardown(void)
{
	run("rm -r %s", top);
}

#ifdef FAKE_VFIO_KERNEL
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include <linux/kvm.h>
#include <linux/vfio.h>

#include <fcntl.h>
#include <pthread.h>

#define	FAKE_BAR0	0x4000U		/* its pages at 0x2000 cannot be mapped */
#define	FAKE_MSI	4U
#define	FAKE_MSIX	9U
#define	FAKE_VECTORS	9U
#define	FAKE_AT(region)	((uint64_t)(region) << 16)

static struct {
	pthread_mutex_t	 lock;
	bool		 on;
	unsigned	 calls, at;		/* of those that count, call `at` fails, counting from 1 */
	int		 error;
	unsigned long	 req;			/* count this one only; 0: all */
	bool		 gone;			/* every call fails: there is no such device any more */
	int		 spare;			/* MSI-X: the host has only so many vectors; 0: enough */
	/* What there is now. */
	int		 joined;		/* groups in containers */
	unsigned	 ranges;		/* of memory that was mapped for devices, ever */
	uint64_t	 iova[8], len[8];
	int		 fd;			/* the device's file, the test's own descriptor of it; -1 */
	unsigned	 opened, resets, master_at_reset;
	int		 trigger[VFIO_EVENTS][FAKE_VECTORS];	/* eventfd, -1; the kernel's own descriptor */
	bool		 kind_on[VFIO_EVENTS];
	bool		 pin_masked;
	int		 kvm_device;		/* made in KVM, -1 */
	int		 kvm_groups;
} fk = { .lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1, .kvm_device = -1 };

int	__real_ioctl(int fd, unsigned long req, ...);
int	__wrap_ioctl(int fd, unsigned long req, void *arg);
int	__real_close(int fd);
int	__wrap_close(int fd);

static inline void
fk_reset(void)
{
	for (unsigned kind = 0; kind < VFIO_EVENTS; kind++) {
		for (unsigned i = 0; i < FAKE_VECTORS; i++)
			fk.trigger[kind][i] = -1;
	}
}

static inline void
fk_arm(unsigned at, int error, unsigned long req)
{
	pthread_mutex_lock(&fk.lock);
	fk.calls = 0;
	fk.at = at;
	fk.error = error;
	fk.req = req;
	fk.on = true;
	pthread_mutex_unlock(&fk.lock);
}

/* How many calls counted. */
static inline unsigned
fk_disarm(void)
{
	unsigned n;

	pthread_mutex_lock(&fk.lock);
	fk.on = false;
	n = fk.calls;
	pthread_mutex_unlock(&fk.lock);
	return (n);
}

/* A disk's configuration space, as far as libvmmapi looks at it. */
static inline int
fk_open(void)
{
	static const uint32_t cfg[] = { 0x5845abcd, 0x00100007, 0x01080203, 0, 0xfe000004, 0, 0, 0, 0x0000d001 };
	int fd = memfd_create("fake-device", MFD_CLOEXEC);

	CHECK(fd >= 0 && ftruncate(fd, (off_t)FAKE_AT(VFIO_REGIONS)) == 0);
	CHECK_EQ(pwrite(fd, cfg, sizeof(cfg), (off_t)FAKE_AT(VFIO_CONFIG)), sizeof(cfg));
	CHECK_EQ(fk.fd, -1);
	fk.fd = fd;
	fk.opened++;
	return (fd);
}

static inline int
fk_region(struct vfio_region_info *info)
{
	/* struct vfio_region_info_cap_sparse_mmap with its areas, of which the last is beyond the end. */
	static const struct {
		struct vfio_info_cap_header head;
		uint32_t nareas, reserved;
		struct vfio_region_sparse_mmap_area area[3];
	} sparse = { { VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1, 0 }, 3, 0, { { 0, 0x2000 }, { 0x3000, 0x1000 }, { 0x4000, 0x1000 } } };
	static const uint64_t size[VFIO_REGIONS] = { [0] = FAKE_BAR0, [4] = 8, [VFIO_CONFIG] = 0x1000 };
	size_t want = sizeof(*info) + sizeof(sparse);

	if (info->index >= VFIO_REGIONS) {
		errno = EINVAL;
		return (-1);
	}
	info->size = size[info->index];
	info->offset = FAKE_AT(info->index);
	info->flags = VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE;
	info->cap_offset = 0;
	if (info->index != 0)
		return (0);
	info->flags |= VFIO_REGION_INFO_FLAG_MMAP | VFIO_REGION_INFO_FLAG_CAPS;
	if (info->argsz >= want) {
		memcpy((char *)info + sizeof(*info), &sparse, sizeof(sparse));
		info->cap_offset = sizeof(*info);
	}
	info->argsz = (uint32_t)want;
	return (0);
}

static inline void
fk_unset(unsigned kind, unsigned i)
{
	if (fk.trigger[kind][i] >= 0)
		(void)__real_close(fk.trigger[kind][i]);
	fk.trigger[kind][i] = -1;
}

static inline void
fk_off(unsigned kind)
{
	for (unsigned i = 0; i < FAKE_VECTORS; i++)
		fk_unset(kind, i);
	fk.kind_on[kind] = false;
}

/* Documentation of VFIO_DEVICE_SET_IRQS in linux/vfio.h. */
static inline int
fk_set_irqs(const struct vfio_irq_set *set)
{
	static const unsigned have[VFIO_EVENTS] = { 1, FAKE_MSI, FAKE_MSIX, 1, 1 };
	const int32_t *fds = (const int32_t *)(const void *)set->data;
	unsigned kind = set->index;

	CHECK(kind < VFIO_EVENTS && set->argsz >= sizeof(*set));
	if (set->flags == (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER) && set->count == 0) {
		fk_off(kind);
		return (0);
	}
	if (set->flags == (VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_UNMASK)) {
		CHECK_EQ(kind, VFIO_IRQ_PIN);
		fk.pin_masked = false;
		return (0);
	}
	CHECK_EQ(set->flags, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER);
	CHECK(set->argsz == sizeof(*set) + set->count * sizeof(*fds) && set->count != 0);
	CHECKF(set->start + set->count <= have[kind], "vectors %u to %u of kind %u", set->start, set->start + set->count - 1, kind);
	for (unsigned other = 0; other < VFIO_IRQS && kind < VFIO_IRQS; other++) {
		if (other != kind && fk.kind_on[other]) {
			errno = EINVAL;		/* one kind at a time */
			return (-1);
		}
	}
	if (kind == VFIO_IRQ_MSIX && fk.spare != 0 && set->count > (unsigned)fk.spare)
		return (fk.spare);
	for (unsigned i = 0; i < set->count; i++) {
		fk_unset(kind, set->start + i);
		if (fds[i] >= 0) {
			fk.trigger[kind][set->start + i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 0);
			CHECKF(fk.trigger[kind][set->start + i] >= 0, "%d is no descriptor", fds[i]);
		}
	}
	if (!fk.kind_on[kind])
		fk.pin_masked = false;
	fk.kind_on[kind] = true;
	return (0);
}

static inline int
fk_dma(const struct vfio_iommu_type1_dma_map *map)
{
	CHECK(fk.joined != 0 && (map->flags & 3) == 3 && fk.ranges < 8);
	fk.iova[fk.ranges] = map->iova;
	fk.len[fk.ranges++] = map->size;
	return (0);
}

static inline int
fk_answer(unsigned long req, void *arg)
{
	uint16_t cmd;

	switch (req) {
	case VFIO_GET_API_VERSION:
		return (VFIO_API_VERSION);
	case VFIO_CHECK_EXTENSION:
		return (1);
	case VFIO_GROUP_GET_STATUS:
		((struct vfio_group_status *)arg)->flags = VFIO_GROUP_FLAGS_VIABLE;
		return (0);
	case VFIO_GROUP_SET_CONTAINER:
		fk.joined++;
		return (0);
	case VFIO_GROUP_UNSET_CONTAINER:
		fk.joined--;
		return (0);
	case VFIO_SET_IOMMU:
		return (0);
	case VFIO_IOMMU_MAP_DMA:
		return (fk_dma(arg));
	case VFIO_GROUP_GET_DEVICE_FD:
		CHECK_STR((const char *)arg, NAME);
		return (fk_open());
	case VFIO_DEVICE_GET_INFO:
		((struct vfio_device_info *)arg)->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
		((struct vfio_device_info *)arg)->num_regions = VFIO_REGIONS;
		((struct vfio_device_info *)arg)->num_irqs = VFIO_EVENTS;
		return (0);
	case VFIO_DEVICE_GET_REGION_INFO:
		return (fk_region(arg));
	case VFIO_DEVICE_GET_IRQ_INFO: {
		struct vfio_irq_info *info = arg;

		info->flags = VFIO_IRQ_INFO_EVENTFD;
		info->count = info->index == VFIO_IRQ_PIN ? 1 : info->index == VFIO_IRQ_MSI ? FAKE_MSI : info->index == VFIO_IRQ_MSIX ? FAKE_MSIX : 1;
		return (0);
	}
	case VFIO_DEVICE_SET_IRQS:
		return (fk_set_irqs(arg));
	case VFIO_DEVICE_RESET:
		CHECK_EQ(pread(fk.fd, &cmd, 2, (off_t)FAKE_AT(VFIO_CONFIG) + 4), 2);
		fk.master_at_reset += (cmd & 4) != 0;
		fk.resets++;
		return (0);
	default:
		FAIL("VFIO is asked %#lx", req);
	}
	return (-1);
}

/* KVM's device for VFIO; -2: it is another call. */
static inline int
fk_kvm(int fd, unsigned long req, void *arg)
{
	if (req == KVM_CREATE_DEVICE && ((struct kvm_create_device *)arg)->type == KVM_DEV_TYPE_VFIO) {
		CHECK_EQ(fk.kvm_device, -1);
		fk.kvm_device = eventfd(0, EFD_CLOEXEC);
		((struct kvm_create_device *)arg)->fd = (uint32_t)fk.kvm_device;
		return (0);
	}
	if (req == KVM_SET_DEVICE_ATTR && fd == fk.kvm_device) {
		bool on = ((struct kvm_device_attr *)arg)->attr == KVM_DEV_VFIO_GROUP_ADD;

		if (!on && fk.kvm_groups == 0) {
			errno = ENOENT;
			return (-1);
		}
		fk.kvm_groups += on ? 1 : -1;
		return (0);
	}
	return (-2);
}

int
__wrap_ioctl(int fd, unsigned long req, void *arg)
{
	bool vfio = _IOC_TYPE(req) == VFIO_TYPE, mine = vfio || req == KVM_CREATE_DEVICE || req == KVM_SET_DEVICE_ATTR, fail = false;
	int r = -2;

	if (!mine)
		return (__real_ioctl(fd, req, arg));
	pthread_mutex_lock(&fk.lock);
	if (fk.on && (fk.req == 0 || fk.req == req))
		fail = ++fk.calls == fk.at;
	if (fail || (vfio && fk.gone)) {
		errno = fail ? fk.error : ENODEV;
		r = -1;
	} else
		r = vfio ? fk_answer(req, arg) : fk_kvm(fd, req, arg);
	pthread_mutex_unlock(&fk.lock);
	return (r == -2 ? __real_ioctl(fd, req, arg) : r);
}

/* With its last descriptor the device's interrupts are gone. */
int
__wrap_close(int fd)
{
	pthread_mutex_lock(&fk.lock);
	if (fd >= 0 && fd == fk.fd) {
		for (unsigned kind = 0; kind < VFIO_EVENTS; kind++)
			fk_off(kind);
		fk.fd = -1;
	}
	if (fd >= 0 && fd == fk.kvm_device)
		fk.kvm_device = -1;
	pthread_mutex_unlock(&fk.lock);
	return (__real_close(fd));
}

/* The device interrupts, as far as it is switched on; the pin masks itself. */
static inline bool
fk_raise(enum vfio_irq kind, unsigned i)
{
	bool sent = false;

	pthread_mutex_lock(&fk.lock);
	if (fk.trigger[kind][i] >= 0 && (kind != VFIO_IRQ_PIN || !fk.pin_masked)) {
		fk.pin_masked = kind == VFIO_IRQ_PIN;
		(void)eventfd_write(fk.trigger[kind][i], 1);
		sent = true;
	}
	pthread_mutex_unlock(&fk.lock);
	return (sent);
}
#endif /* FAKE_VFIO_KERNEL */

#endif /* _FAKE_VFIO_H_ */
