/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_devices.c - see run_devices.h.  Drives take PCI slots from FIRST_SLOT on, folders from the other end, NICs have slots of their own.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "error.h"
#include "net/net.h"
#include "run_devices.h"

#define	FIRST_SLOT	4
#define	SLOTS		24
#define	AHCI_PORTS	6		/* of a controller */
#define	NICS_MAX	5
#define	PREFIX_LEN	24		/* "port.N." */

/* A key of the device in a slot, behind a prefix. */
static int
set_key(struct run_devices *d, unsigned slot, const char *prefix, const char *key, const char *value, int n)
{
	char name[96];

	(void)snprintf(name, sizeof(name), "pci.0.%u.0.%s%.40s", slot, prefix, key);
	return (cmd_config_key(d->config, name, value, n));
}

/* Several: items "key=value", or "key" for true.  NULL: none. */
static int
set_items(struct run_devices *d, unsigned slot, const char *prefix, char *next, int n)
{
	char *item;
	int r = 0;

	if (next == NULL || *next == '\0')
		return (0);
	while (r == 0 && (item = strsep(&next, ",")) != NULL) {
		char *value = strchr(item, '=');

		if (value != NULL)
			*value++ = '\0';
		r = set_key(d, slot, prefix, item, value != NULL ? value : "true", n);
	}
	return (r);
}

/* Take item NAME=value out of a list that is separated by commas; several are joined by semicolons into *value (may stay NULL). */
static int
take_items(char *list, const char *name, char **value)
{
	size_t len = strlen(name), have = 0;
	char *item = list, *end, *joined;

	while (item != NULL && *item != '\0') {
		end = strchrnul(item, ',');
		if (strncmp(item, name, len) != 0 || item[len] != '=') {
			item = *end != '\0' ? end + 1 : NULL;
			continue;
		}
		joined = realloc(*value, have + (size_t)(end - item) + 2);
		if (joined == NULL)
			return (vmm_fail(ENOMEM, "no memory"));
		have += (size_t)snprintf(joined + have, (size_t)(end - item) + 2, "%s%.*s", have != 0 ? ";" : "",
		    (int)(end - item - (ptrdiff_t)len - 1), item + len + 1);
		*value = joined;
		memmove(item, *end != '\0' ? end + 1 : end, strlen(*end != '\0' ? end + 1 : end) + 1);
	}
	/* What was last may have left its comma. */
	len = strlen(list);
	if (len != 0 && list[len - 1] == ',')
		list[len - 1] = '\0';
	return (0);
}

static int
take_slot(struct run_devices *d, bool share)
{
	if (d->drives + d->shares == SLOTS)
		return (vmm_fail(E2BIG, "there are more than %d disks and shared folders", SLOTS));
	return ((int)(share ? FIRST_SLOT + SLOTS - ++d->shares : FIRST_SLOT + d->drives++));
}

/* A slot with that device, or the next port of the controller that has them; the prefix of its keys.  -1 with a sentence. */
static int
take_place(struct run_devices *d, const char *device, int n, char prefix[PREFIX_LEN])
{
	bool ahci = strcmp(device, "ahci") == 0;
	int slot = (int)d->ahci;

	prefix[0] = '\0';
	if (!ahci || d->ports == 0 || d->ports == AHCI_PORTS) {
		slot = take_slot(d, false);
		if (slot < 0 || set_key(d, (unsigned)slot, "", "device", device, n) != 0)
			return (-1);
		if (ahci) {
			d->ahci = (unsigned)slot;
			d->ports = 0;
		}
	}
	if (ahci)
		(void)snprintf(prefix, PREFIX_LEN, "port.%u.", d->ports++);
	return (slot);
}

int
run_add_drive(struct run_devices *d, const char *text, bool cd, int n)
{
	char *copy = strdup(text), *list = copy, *device = NULL, *path, prefix[PREFIX_LEN];
	int slot = -1, r = -1;

	if (copy == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	path = strsep(&list, ",");
	if (list == NULL || take_items(list, "device", &device) == 0)
		slot = take_place(d, device != NULL ? device : cd ? "ahci" : "virtio-blk", n, prefix);
	if (slot >= 0 && (!cd || set_key(d, (unsigned)slot, prefix, "type", "cd", n) == 0) &&
	    set_key(d, (unsigned)slot, prefix, "path", path, n) == 0)
		r = set_items(d, (unsigned)slot, prefix, list, n);
	free(device);
	free(copy);
	return (r);
}

int
run_add_share(struct run_devices *d, const char *text, int n)
{
	char *copy = strdup(text), *list = copy, *path, *equals;
	int slot, r;

	if (copy == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	path = strsep(&list, ",");
	equals = strchr(path, '=');
	slot = take_slot(d, true);
	r = slot < 0 ? -1 : set_key(d, (unsigned)slot, "", "device", "virtio-9p", n);
	/* What has a slash before it is a folder with = in its name. */
	if (r == 0 && equals != NULL && memchr(path, '/', (size_t)(equals - path)) == NULL) {
		*equals = '\0';
		r = set_key(d, (unsigned)slot, "", "sharename", path, n);
		path = equals + 1;
	}
	if (r == 0 && set_key(d, (unsigned)slot, "", "path", path, n) == 0)
		r = set_items(d, (unsigned)slot, "", list, n);
	else
		r = -1;
	free(copy);
	return (r);
}

int
run_add_nic(struct run_devices *d, const char *text, int n)
{
	static const unsigned char slots[NICS_MAX] = { 2, 3, 28, 29, 30 };
	char *copy, *list, *device = NULL, *forwards = NULL, *name;
	const struct net_backend *backend;
	unsigned slot;
	int r = -1;

	if (d->nics == NICS_MAX)
		return (vmm_fail(E2BIG, "there are more than %d network cards", NICS_MAX));
	list = copy = strdup(text);
	if (copy == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	slot = slots[d->nics++];
	name = strsep(&list, ",");
	backend = net_backend_find(name);
	if ((list == NULL || (take_items(list, "device", &device) == 0 && take_items(list, "hostfwd", &forwards) == 0)) &&
	    set_key(d, slot, "", "device", device != NULL ? device : "virtio-net", n) == 0 &&
	    set_key(d, slot, "", "backend", backend != NULL ? backend->name : name, n) == 0 &&
	    (forwards == NULL || set_key(d, slot, "", "hostfwd", forwards, n) == 0))
		r = set_items(d, slot, "", list, n);
	free(forwards);
	free(device);
	free(copy);
	return (r);
}
