/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bootorder.c - the order of devices in which firmware boots: the fw_cfg file "bootorder", a line per device with its Open Firmware path
 * (SeaBIOS' "Runtime configuration"), which SeaBIOS and edk2 look for among what they find.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../pci/pci.h"
#include "bootorder.h"
#include "fw_cfg.h"

#define	PLACES		(DEVICE_BOOT_MAX + 1)
#define	PATH_LEN	96

/* What one boots from: a device, or one of several units of it. */
struct place {
	const struct device *dev;
	unsigned	 unit;
	char		 key[32];
};

/* A text of the class, with the unit's number where it is to be. */
static void
numbered(char *to, size_t len, const char *text, unsigned unit)
{
	int before = (int)strcspn(text, "#");

	if (text[before] == '#')
		(void)snprintf(to, len, "%.*s%u%s", before, text, unit, text + before + 1);
	else
		(void)snprintf(to, len, "%s", text);
}

/* A function: behind a port the node of that, its class's node at its slot, and what is below. */
static void
line(const struct place *p, char text[PATH_LEN])
{
	const struct device *dev = p->dev;
	const char *below = strchr(dev->cls->boot, '/');
	unsigned slot = dev->place.devfn >> 3, fn = dev->place.devfn & 7;
	int node = (int)(below - dev->cls->boot);
	char which[8] = "", unit[48], port[24] = "";

	if (fn != 0)
		(void)snprintf(which, sizeof(which), ",%x", fn);
	if (dev->place.port != NULL)
		(void)snprintf(port, sizeof(port), "pci-bridge@%x/", PCI_SLOT(dev->place.port->fn->devfn));
	numbered(unit, sizeof(unit), below, p->unit);
	(void)snprintf(text, PATH_LEN, "/pci@i0cf8/%s%.*s@%x%s%s%s\n", port, node, dev->cls->boot, slot, which, unit, dev->boot_unit);
}

/* The device's units take the places that their keys say. */
static int
take_places(const struct device *dev, struct place at[PLACES])
{
	unsigned units = dev->cls->boot_units != 0 ? dev->cls->boot_units : 1;

	if (dev->cls->boot == NULL || dev->place.on != DEVICE_ON_PCI)
		return (0);
	for (unsigned unit = 0; unit < units; unit++) {
		struct place p = { .dev = dev, .unit = unit };
		int64_t n;

		numbered(p.key, sizeof(p.key), dev->cls->boot_units != 0 ? dev->cls->boot_key : "bootindex", unit);
		n = config_num(dev->config, p.key);
		if (n < 0)
			continue;
		if (at[n].dev != NULL && at[n].dev == dev)
			return (vmm_fail(EINVAL, "%s: %s and %s are the same, %lld", dev->name, at[n].key, p.key, (long long)n));
		if (at[n].dev != NULL)
			return (vmm_fail(EINVAL, "%s and %s have the same bootindex, %lld", at[n].dev->name, dev->name, (long long)n));
		at[n] = p;
	}
	return (0);
}

/* Every device's. */
static int
take_all(struct vmm *vmm, struct place at[PLACES])
{
	for (const struct device *dev = vmm->devices; dev != NULL; dev = dev->next) {
		if (take_places(dev, at) != 0)
			return (-1);
	}
	return (0);
}

int
bootorder_check(struct vmm *vmm)
{
	struct place at[PLACES] = { { NULL, 0, "" } };

	return (take_all(vmm, at));
}

int
bootorder_publish(struct vmm *vmm, struct device *fw_cfg)
{
	struct place at[PLACES] = { { NULL, 0, "" } };
	char *text;
	size_t len = 0;
	int error;

	if (take_all(vmm, at) != 0)
		return (-1);
	text = calloc(PLACES, PATH_LEN);
	if (text == NULL)
		return (vmm_fail(ENOMEM, "boot order: no memory"));
	for (unsigned i = 0; i < PLACES; i++) {
		if (at[i].dev == NULL)
			continue;
		line(&at[i], text + len);
		len += strlen(text + len);
	}
	/* A string, without a newline behind its last line. */
	if (len != 0)
		text[len - 1] = '\0';
	error = len != 0 ? fw_cfg_add_file(fw_cfg, "bootorder", text, len) : 0;
	free(text);
	return (error);
}
