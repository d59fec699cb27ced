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
#include "bootorder.h"
#include "fw_cfg.h"

#define	PLACES		(DEVICE_BOOT_MAX + 1)
#define	PATH_LEN	96

/* A function of bus 0: its class's node at its slot, and what is below. */
static void
line(const struct device *dev, char text[PATH_LEN])
{
	const char *below = strchr(dev->cls->boot, '/');
	unsigned slot = dev->place.devfn >> 3, fn = dev->place.devfn & 7;
	int node = (int)(below - dev->cls->boot);
	char which[8] = "";

	if (fn != 0)
		(void)snprintf(which, sizeof(which), ",%x", fn);
	(void)snprintf(text, PATH_LEN, "/pci@i0cf8/%.*s@%x%s%s%s\n", node, dev->cls->boot, slot, which, below,
	    dev->boot_unit);
}

int
bootorder_publish(struct vmm *vmm, struct device *fw_cfg)
{
	const struct device *at[PLACES] = { NULL };
	char *text;
	size_t len = 0;
	int error;

	for (const struct device *dev = vmm->devices; dev != NULL; dev = dev->next) {
		int64_t place = dev->cls->boot != NULL ? config_num(dev->config, "bootindex") : -1;

		if (place < 0 || dev->place.on != DEVICE_ON_PCI)
			continue;
		if (at[place] != NULL)
			return (vmm_fail(EINVAL, "%s and %s have the same bootindex, %lld", at[place]->name, dev->name, (long long)place));
		at[place] = dev;
	}
	text = calloc(PLACES, PATH_LEN);
	if (text == NULL)
		return (vmm_fail(ENOMEM, "boot order: no memory"));
	for (unsigned i = 0; i < PLACES; i++) {
		if (at[i] == NULL)
			continue;
		line(at[i], text + len);
		len += strlen(text + len);
	}
	/* A string, without a newline behind its last line. */
	if (len != 0)
		text[len - 1] = '\0';
	error = len != 0 ? fw_cfg_add_file(fw_cfg, "bootorder", text, len) : 0;
	free(text);
	return (error);
}
