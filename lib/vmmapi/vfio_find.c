/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vfio_find.c - what stands in the way of giving a PCI device of the host to a VM, read from sysfs (the kernel's Documentation/ABI/testing/sysfs-bus-pci,
 * sysfs-kernel-iommu_groups) before anything is opened: VFIO itself says no more than a number.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "vfio.h"

void
vfio_name(int bus, int slot, int func, char name[VFIO_NAME])
{
	(void)snprintf(name, VFIO_NAME, "%04x:%02x:%02x.%x", (unsigned)bus >> 8 & 0xffff, (unsigned)bus & 0xff, (unsigned)slot & 0x1f,
	    (unsigned)func & 7);
}

/* How a device without a driver comes to VFIO's; twice its name. */
#define	BIND	"modprobe vfio-pci; echo vfio-pci >/sys/bus/pci/devices/%s/driver_override; echo %s >/sys/bus/pci/drivers_probe"

/* The last component of what the link called `of` of a device leads to: 0, or -1 if there is none. */
static int
link_end(const struct vfio_host *host, const char *name, const char *of, char end[64])
{
	char path[PATH_MAX], to[PATH_MAX];
	const char *last;
	ssize_t n;

	if ((size_t)snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/%s", host->sys, name, of) >= sizeof(path))
		return (-1);
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return (-1);
	to[n] = '\0';
	last = strrchr(to, '/');
	last = last != NULL ? last + 1 : to;
	if (strlen(last) >= 64)
		return (-1);
	memcpy(end, last, strlen(last) + 1);
	return (0);
}

/*
 * Drivers that leave a device of the group alone, as the kernel has it: those of VFIO, one that does nothing, and that of bridges, which do not
 * reach memory by themselves.
 */
static bool
driver_fits(const char *driver)
{
	return (strncmp(driver, "vfio", 4) == 0 || strcmp(driver, "pci-stub") == 0 || strcmp(driver, "pcieport") == 0);
}

/* All others of the group. */
static int
group_check(const struct vfio_host *host, const char *name, unsigned group)
{
	char path[PATH_MAX], driver[64], culprit[64] = "";
	struct dirent *de;
	DIR *dir;

	if ((size_t)snprintf(path, sizeof(path), "%s/kernel/iommu_groups/%u/devices", host->sys, group) >= sizeof(path) ||
	    (dir = opendir(path)) == NULL)
		return (vm_fail_sys(errno, "passthrough of %s: the devices of its IOMMU group %u cannot be listed", name, group));
	while (culprit[0] == '\0' && (de = readdir(dir)) != NULL) {
		if (de->d_name[0] != '.' && strlen(de->d_name) < sizeof(culprit) && link_end(host, de->d_name, "driver", driver) == 0 &&
		    !driver_fits(driver))
			memcpy(culprit, de->d_name, strlen(de->d_name) + 1);
	}
	(void)closedir(dir);
	if (culprit[0] == '\0')
		return (0);
	return (vm_fail(EBUSY, "passthrough of %s: %s is in the same IOMMU group %u and bound to '%s': a group goes as a whole; unbind that "
	    "(echo %s >/sys/bus/pci/drivers/%s/unbind) or bind it to vfio-pci", name, culprit, group, driver, culprit, driver));
}

int
vfio_find(const struct vfio_host *host, const char *name, unsigned *group)
{
	char path[PATH_MAX], text[64], driver[64], *end;
	unsigned long id;

	if ((size_t)snprintf(path, sizeof(path), "%s/bus/pci/devices/%s", host->sys, name) >= sizeof(path) || access(path, F_OK) != 0)
		return (vm_fail(ENOENT, "passthrough of %s: this host has no such PCI device; lspci -D lists what it has", name));
	if (link_end(host, name, "iommu_group", text) != 0)
		return (vm_fail(ENODEV, "passthrough of %s: no IOMMU group for it: this host has no IOMMU, or it is switched off; switch it on in the "
		    "firmware's setup (VT-d, AMD-Vi, SMMU) and, on Intel's, by intel_iommu=on on the kernel's command line", name));
	id = strtoul(text, &end, 10);
	if (end == text || *end != '\0' || id > INT_MAX)
		return (vm_fail(ENODEV, "passthrough of %s: '%s' is no IOMMU group", name, text));
	*group = (unsigned)id;
	if (link_end(host, name, "driver", driver) != 0)
		return (vm_fail(EPERM, "passthrough of %s: it has no driver, and needs vfio-pci; as root: " BIND, name, name, name));
	if (strncmp(driver, "vfio", 4) != 0)
		return (vm_fail(EPERM, "passthrough of %s: it is bound to '%s', and needs vfio-pci; as root: echo %s >/sys/bus/pci/drivers/%s/unbind; " BIND,
		    name, driver, name, driver, name, name));
	return (group_check(host, name, *group));
}

int
vfio_bars(const struct vfio_host *host, const char *name, uint64_t base[VFIO_BARS])
{
	unsigned long long start, last, flags;
	char path[PATH_MAX], line[128];
	FILE *file;

	memset(base, 0, VFIO_BARS * sizeof(base[0]));
	if ((size_t)snprintf(path, sizeof(path), "%s/bus/pci/devices/%s/resource", host->sys, name) >= sizeof(path) ||
	    (file = fopen(path, "re")) == NULL)
		return (vm_fail_sys(errno, "passthrough of %s: '%s' cannot be read", name, path));
	for (unsigned n = 0; n < VFIO_BARS && fgets(line, sizeof(line), file) != NULL; n++) {
		if (sscanf(line, "%llx %llx %llx", &start, &last, &flags) == 3 && last > start)
			base[n] = start;
	}
	(void)fclose(file);
	return (0);
}
