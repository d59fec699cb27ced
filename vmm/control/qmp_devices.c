/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_devices.c - what a VM's disks and PCI functions are.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../block/block.h"
#include "../error.h"
#include "../machine/machine.h"
#include "../machine/parts.h"
#include "../machine/plug.h"
#include "qmp_internal.h"

/* Disks */

/* Limits, which there are none of: zeros. */
static int
add_limits(json_t *inserted)
{
	static const char *const limits[] = { "bps", "bps_rd", "bps_wr", "iops", "iops_rd", "iops_wr", "write_threshold" };

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (json_object_set_new(inserted, limits[i], json_integer(0)) != 0)
			return (-1);
	}
	return (0);
}

static json_t *
inserted_info(struct device *dev, const struct device_disk *disk)
{
	char name[CONFIG_NAME_MAX + 1], keys[CONFIG_NAME_MAX + sizeof(disk->keys)];
	struct config_node *node;
	const char *path;
	json_t *info;

	(void)snprintf(keys, sizeof(keys), "%s%s", config_node_name(dev->config, name), disk->keys);
	node = config_node(dev->vmm->config, keys);
	path = node != NULL ? config_str(node, "path") : NULL;
	if (path == NULL)
		path = "";
	info = json_pack("{s:o, s:b, s:s, s:b, s:s, s:{s:o, s:s, s:I}, s:{s:b, s:b, s:b}}", "file", qmp_text(path),
	    "ro", block_readonly(disk->image), "drv", block_format(disk->image), "encrypted", 0, "detect_zeroes", "off",
	    "image", "filename", qmp_text(path), "format", block_format(disk->image), "virtual-size", (json_int_t)block_size(disk->image),
	    "cache", "writeback", 1, "direct", node != NULL && config_bool(node, "nocache"), "no-flush", 0);
	if (info != NULL && add_limits(info) == 0)
		return (info);
	json_decref(info);
	return (NULL);
}

static json_t *
disk_names(struct device *dev, const struct device_disk *disk)
{
	char name[CONFIG_NAME_MAX + sizeof(disk->keys)];
	const char *id = plug_id(dev);

	(void)snprintf(name, sizeof(name), "%s%s", dev->name, disk->keys);
	return (json_pack("{s:s, s:o}", "device", name, "qdev", qmp_text(id != NULL ? id : dev->name)));
}

json_t *
qmp_each_disk(const struct qmp_call *call, qmp_disk_fn *fn)
{
	json_t *list = json_array(), *info;
	struct device_disk disk;
	int r;

	for (struct device *dev = call->q->vmm->devices; dev != NULL; dev = dev->next) {
		for (unsigned i = 0; dev->cls->disk != NULL; i++) {
			disk = (struct device_disk){ .image = NULL };
			if (!dev->cls->disk(dev, i, &disk))
				break;
			info = disk_names(dev, &disk);
			r = info != NULL ? fn(info, dev, &disk) : -1;
			if (r == 0)
				r = json_array_append(list, info);
			json_decref(info);
			if (r < 0) {
				json_decref(list);
				return (NULL);
			}
		}
	}
	return (list);
}

static int
block_info(json_t *info, struct device *dev, const struct device_disk *disk)
{
	if (json_object_update_new(info, json_pack("{s:s, s:b, s:b}", "type", "unknown", "removable", disk->removable, "locked", 0)) != 0)
		return (-1);
	return (disk->image != NULL ? json_object_set_new(info, "inserted", inserted_info(dev, disk)) : 0);
}

static json_t *
run_block(const struct qmp_call *call)
{
	return (qmp_each_disk(call, block_info));
}

/* PCI */

#define	CFG_VENDOR	0x00
#define	CFG_DEVICE	0x02
#define	CFG_CLASS	0x0a		/* base class and subclass */
#define	CFG_PRIMARY	0x18
#define	CFG_SECONDARY	0x19
#define	CFG_SUBORDINATE	0x1a
#define	CFG_SUBVENDOR	0x2c
#define	CFG_SUBDEVICE	0x2e
#define	CFG_LINE	0x3c
#define	CFG_PIN		0x3d

static json_t *
region(unsigned n, const struct pci_bar *bar)
{
	json_t *info = json_pack("{s:i, s:s, s:I, s:I}", "bar", (int)n, "type", bar->kind == PCI_BAR_IO ? "io" : "memory",
	    "address", (json_int_t)(bar->range != NULL ? (int64_t)bar->addr : -1), "size", (json_int_t)bar->size);

	if (bar->kind != PCI_BAR_IO) {
		(void)json_object_set_new(info, "prefetch", json_false());
		(void)json_object_set_new(info, "mem_type_64", json_boolean(bar->kind == PCI_BAR_MEM64));
	}
	return (info);
}

static json_t *
regions(struct pci_fn *fn)
{
	json_t *list = json_array();

	pthread_mutex_lock(&fn->lock);
	for (unsigned n = 0; n < PCI_NDECODERS; n++) {
		if (fn->bar[n].kind != PCI_BAR_NONE)
			(void)json_array_append_new(list, region(n, &fn->bar[n]));
	}
	pthread_mutex_unlock(&fn->lock);
	return (list);
}

static json_t *	function_info(struct pci_fn *fn);

/* The guest's own numbers: no device is where numbers of the protocol do not reach. */
static json_t *
window(const struct pci_window *w)
{
	if (w->base > INT64_MAX)
		return (json_pack("{s:i, s:i}", "base", 1, "limit", 0));
	return (json_pack("{s:I, s:I}", "base", (json_int_t)w->base, "limit", w->limit > INT64_MAX ? (json_int_t)INT64_MAX : (json_int_t)w->limit));
}

/* A port, and what is behind it. */
static json_t *
bridge_info(struct pci_fn *fn, const struct pci_port *port)
{
	struct pci_upstream up;
	json_t *list = json_array();

	pci_host_up(fn->host, port, &up);
	if (port->behind != NULL)
		(void)json_array_append_new(list, function_info(port->behind));
	return (json_pack("{s:{s:i, s:i, s:i, s:o, s:o, s:o}, s:o}", "bus", "number", (int)pci_get(fn, CFG_PRIMARY, 1),
	    "secondary", (int)pci_get(fn, CFG_SECONDARY, 1), "subordinate", (int)pci_get(fn, CFG_SUBORDINATE, 1), "io_range", window(&up.io),
	    "memory_range", window(&up.mem), "prefetchable_range", window(&up.pref), "devices", list));
}

static json_t *
function_info(struct pci_fn *fn)
{
	uint32_t pin = pci_get(fn, CFG_PIN, 1), line = pci_get(fn, CFG_LINE, 1);
	const struct pci_port *port = pci_host_port(fn->host, fn);
	const char *id = plug_id(fn->dev);
	struct pci_upstream up = { .bus = 0 };
	json_t *info;

	if (fn->port != NULL)
		pci_host_up(fn->host, fn->port, &up);
	info = json_pack("{s:i, s:i, s:i, s:{s:i, s:s}, s:{s:i, s:i}, s:i, s:o, s:o}", "bus", (int)up.bus, "slot", fn->devfn >> 3,
	    "function", fn->devfn & 7, "class_info", "class", (int)pci_get(fn, CFG_CLASS, 2), "desc", fn->dev->cls->doc,
	    "id", "vendor", (int)pci_get(fn, CFG_VENDOR, 2), "device", (int)pci_get(fn, CFG_DEVICE, 2),
	    "irq_pin", (int)pin, "qdev_id", qmp_text(id != NULL ? id : fn->dev->name), "regions", regions(fn));
	if (port == NULL)
		(void)json_object_update_new(json_object_get(info, "id"), json_pack("{s:i, s:i}", "subsystem-vendor",
		    (int)pci_get(fn, CFG_SUBVENDOR, 2), "subsystem", (int)pci_get(fn, CFG_SUBDEVICE, 2)));
	else
		(void)json_object_set_new(info, "pci_bridge", bridge_info(fn, port));
	if (pin != 0)
		(void)json_object_set_new(info, "irq", json_integer((json_int_t)line));
	return (info);
}

static json_t *
run_pci(const struct qmp_call *call)
{
	struct machine *m = call->q->machine;
	struct pci_host *host = m != NULL && call->q->vmm->vm != NULL && m->parts != NULL ? parts_pci_host(m) : NULL;
	json_t *list = json_array();
	struct pci_fn *fn;

	if (host == NULL)
		return (list);
	for (unsigned devfn = 0; devfn < 256; devfn++) {
		fn = pci_host_fn(host, (uint8_t)devfn);
		if (fn != NULL)
			(void)json_array_append_new(list, function_info(fn));
	}
	return (json_pack("[{s:i, s:o}]", "bus", 0, "devices", list));
}

/* Tables */

static const char *const zero_modes[] = { "off", NULL };
static const char *const region_types[] = { "io", "memory", NULL };
static const struct qmp_member image_info[] = {
	{ "filename", "str", false, "file, device or URI" }, { "format", "str", false, "of the image" },
	{ "virtual-size", "int", false, "bytes that the guest sees" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member cache_info[] = {
	{ "writeback", "bool", false, "whether writes may be kept until a flush" }, { "direct", "bool", false, "whether the host's cache is gone around" },
	{ "no-flush", "bool", false, "whether flushes are ignored: never" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member inserted[] = {
	{ "file", "str", false, "file, device or URI" }, { "ro", "bool", false, "whether writes are refused" },
	{ "drv", "str", false, "what the image is in" }, { "encrypted", "bool", false, "whether it is" },
	{ "detect_zeroes", "BlockdevDetectZeroesOptions", false, "whether zeros that are written are looked for" },
	{ "image", "ImageInfo", false, "the image" }, { "cache", "BlockdevCacheInfo", false, "what caches do" },
	{ "bps", "int", false, "limit on bytes a second: 0, there is none" }, { "bps_rd", "int", false, "the same for reads" },
	{ "bps_wr", "int", false, "the same for writes" }, { "iops", "int", false, "limit on requests a second: 0, there is none" },
	{ "iops_rd", "int", false, "the same for reads" }, { "iops_wr", "int", false, "the same for writes" },
	{ "write_threshold", "int", false, "0: there is none" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member block_members[] = {
	{ "device", "str", false, "name of the disk" }, { "qdev", "str", true, "id or name of the device that it is or is attached to" },
	{ "type", "str", false, "always unknown, for clients that were written for old servers" },
	{ "removable", "bool", false, "whether it is a drive" }, { "locked", "bool", false, "whether the guest keeps its medium" },
	{ "inserted", "BlockDeviceInfo", true, "its image, if there is one" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member region_members[] = {
	{ "bar", "int", false, "number; 6 is the ROM" }, { "type", "PciRegionType", false, "where it is" },
	{ "address", "int", false, "where it decodes, -1: nowhere" }, { "size", "int", false, "bytes" },
	{ "prefetch", "bool", true, "whether reads do nothing" }, { "mem_type_64", "bool", true, "whether it may be above 4 GiB" },
	{ NULL, NULL, false, NULL },
};
static const struct qmp_member class_members[] = {
	{ "class", "int", false, "base class and subclass" }, { "desc", "str", true, "in words" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member id_members[] = {
	{ "device", "int", false, "device ID" }, { "vendor", "int", false, "vendor ID" }, { "subsystem", "int", true, "subsystem ID" },
	{ "subsystem-vendor", "int", true, "subsystem vendor ID" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member function_members[] = {
	{ "bus", "int", false, "number of the bus" }, { "slot", "int", false, "of the device on it" }, { "function", "int", false, "of the function in that" },
	{ "class_info", "PciDeviceClass", false, "what it is" }, { "id", "PciDeviceId", false, "who made it" },
	{ "irq", "int", true, "interrupt line register" }, { "irq_pin", "int", false, "interrupt pin, 0: it has none" },
	{ "qdev_id", "str", false, "id or name of the device" }, { "pci_bridge", "PciBridgeInfo", true, "a root port: what is behind it" },
	{ "regions", "[PciMemoryRegion]", false, "its windows" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member range_members[] = {
	{ "base", "int", false, "first address" }, { "limit", "int", false, "last; below the first: there are none" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member bridge_bus_members[] = {
	{ "number", "int", false, "of the bus it is on" }, { "secondary", "int", false, "of the bus behind it" },
	{ "subordinate", "int", false, "of the last bus behind it" }, { "io_range", "PciMemoryRange", false, "ports that it lets through" },
	{ "memory_range", "PciMemoryRange", false, "memory that it lets through" },
	{ "prefetchable_range", "PciMemoryRange", false, "the same, for memory that reads do nothing to" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member bridge_members[] = {
	{ "bus", "PciBusInfo", false, "numbers and windows, which are the guest's" }, { "devices", "[PciDeviceInfo]", true, "what is behind it" },
	{ NULL, NULL, false, NULL },
};
static const struct qmp_member bus_members[] = {
	{ "bus", "int", false, "number of the bus" }, { "devices", "[PciDeviceInfo]", false, "the functions on it" }, { NULL, NULL, false, NULL },
};

static const struct qmp_type types[] = {
	{ "BlockdevDetectZeroesOptions", NULL, zero_modes }, { "ImageInfo", image_info, NULL }, { "BlockdevCacheInfo", cache_info, NULL },
	{ "BlockDeviceInfo", inserted, NULL }, { "BlockInfo", block_members, NULL }, { "PciRegionType", NULL, region_types },
	{ "PciMemoryRegion", region_members, NULL }, { "PciDeviceClass", class_members, NULL }, { "PciDeviceId", id_members, NULL },
	{ "PciDeviceInfo", function_members, NULL }, { "PciMemoryRange", range_members, NULL }, { "PciBusInfo", bridge_bus_members, NULL },
	{ "PciBridgeInfo", bridge_members, NULL }, { "PciInfo", bus_members, NULL }, { NULL, NULL, NULL },
};
static const struct qmp_command commands[] = {
	{ "query-block", NULL, "[BlockInfo]", run_block, "the disks and drives" },
	{ "query-pci", NULL, "[PciInfo]", run_pci, "the PCI functions, and where the guest has put them" },
	{ NULL, NULL, NULL, NULL, NULL },
};

const struct qmp_group qmp_group_devices = { commands, types, NULL };
