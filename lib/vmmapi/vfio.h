/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vfio.h - host PCI devices by the kernel's VFIO (its Documentation/driver-api/vfio.rst; linux/vfio.h): what the host has (vfio_find.c), and containers,
 * groups and devices (vfio.c).  ppt.c gives them to VMs.
 *
 * Nothing here knows of VMs, and nothing has a lock: the caller sees to it that calls about one container, or one device, come one
 * at a time; reads and writes of regions may come at any time.  All that fails leaves a sentence.
 */
#ifndef _VMMAPI_VFIO_H_
#define	_VMMAPI_VFIO_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define	VFIO_NAME	20		/* "0000:03:00.0" */
#define	VFIO_BARS	6
#define	VFIO_CONFIG	7		/* the region that is the configuration space */
#define	VFIO_REGIONS	8
#define	VFIO_AREAS	8		/* of a region, parts that can be mapped */

/* Interrupts of the device, and what the kernel tells of it in the same way. */
enum vfio_irq { VFIO_IRQ_PIN, VFIO_IRQ_MSI, VFIO_IRQ_MSIX, VFIO_IRQS, VFIO_IRQ_ERROR = VFIO_IRQS, VFIO_IRQ_WANTED, VFIO_EVENTS };

/* Where the host has its devices: "/sys" and "/dev/vfio", but in tests. */
struct vfio_host {
	const char	*sys, *dev;
};

struct vfio_area {
	uint64_t	 off, len;
};

struct vfio_region {
	uint64_t	 size;		/* 0: there is none */
	uint64_t	 offset;	/* in the device's file */
	unsigned	 nareas;
	struct vfio_area area[VFIO_AREAS];
};

struct vfio_group {
	struct vfio_group *next;
	unsigned	 id;
	int		 fd;
	unsigned	 users;		/* devices */
};

/* Groups that share one view of memory. */
struct vfio_container {
	struct vfio_host host;
	int		 fd;
	struct vfio_group *groups;
};

struct vfio_dev {
	char		 name[VFIO_NAME];
	int		 fd;
	struct vfio_group *group;
	bool		 can_reset;
	unsigned	 nirqs[VFIO_EVENTS];
	struct vfio_region region[VFIO_REGIONS];
};

/* vfio_find.c */

/* The name of the device at domain * 256 + bus, slot, func. */
void	vfio_name(int bus, int slot, int func, char name[VFIO_NAME]);
/*
 * Whether the device can be given away: *group is its IOMMU group, all of which is bound to drivers that let it be so.  Errors: ENOENT (there is
 * no such device), ENODEV (no group), EPERM (its driver), EBUSY (another device of the group).
 */
int	vfio_find(const struct vfio_host *host, const char *name, unsigned *group);
/* Where the host has its BARs: base addresses, 0 of those that it has not. */
int	vfio_bars(const struct vfio_host *host, const char *name, uint64_t base[VFIO_BARS]);

/* vfio.c */

/* No container is open yet: fd is -1. */
void	vfio_init(struct vfio_container *c, const struct vfio_host *host);
/* Close it with all of its groups; there is no device any more. */
void	vfio_fini(struct vfio_container *c);
/* Have group id in the container, which the first one opens; put it back.  NULL with a sentence, about device name. */
struct vfio_group *vfio_group_get(struct vfio_container *c, unsigned id, const char *name);
void	vfio_group_put(struct vfio_container *c, struct vfio_group *group);
/* Let devices reach [host, host + len) at gpa, which pins it.  There is a group. */
int	vfio_dma_map(struct vfio_container *c, uint64_t gpa, size_t len, void *host);

/* Open device name of a group, whose user it becomes.  -1: nothing was opened. */
int	vfio_dev_open(struct vfio_dev *dev, struct vfio_group *group, const char *name);
void	vfio_dev_close(struct vfio_dev *dev);
/* Size is 1, 2, 4 or 8, off a multiple of it.  Beyond the end of a region: EINVAL. */
int	vfio_read(const struct vfio_dev *dev, unsigned region, uint64_t off, unsigned size, uint64_t *val);
int	vfio_write(const struct vfio_dev *dev, unsigned region, uint64_t off, unsigned size, uint64_t val);
/* Whether all of [off, off + len) can be mapped; map it: NULL with a sentence. */
bool	vfio_can_map(const struct vfio_dev *dev, unsigned region, uint64_t off, uint64_t len);
void	*vfio_map(const struct vfio_dev *dev, unsigned region, uint64_t off, size_t len);
/*
 * Have interrupts start to start + count - 1 of a kind write to these eventfds (-1: nowhere).  The first call of a kind switches it on, with
 * as many as there will be; ENOSPC: the host has not as many.
 */
int	vfio_irq_set(const struct vfio_dev *dev, enum vfio_irq kind, unsigned start, unsigned count, const int *fds);
/* Switch a kind off. */
int	vfio_irq_off(const struct vfio_dev *dev, enum vfio_irq kind);
/* Let the pin interrupt again, which masks itself. */
int	vfio_irq_unmask(const struct vfio_dev *dev);
int	vfio_reset(const struct vfio_dev *dev);

#endif /* _VMMAPI_VFIO_H_ */
