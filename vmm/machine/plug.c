/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plug.c - see plug.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../firmware/bootorder.h"
#include "../pci/root_port.h"
#include "parts.h"
#include "plug.h"

#define	NAME_LEN	(CONFIG_NAME_MAX + 1)

const char *
plug_id(struct device *dev)
{
	/* Not every device has a node in a slot. */
	return (config_is_set(dev->config, "id") ? config_str(dev->config, "id") : NULL);
}

bool
plug_is_called(struct device *dev, const char *word)
{
	const char *own = plug_id(dev);

	return (strcmp(dev->name, word) == 0 || (own != NULL && strcmp(own, word) == 0));
}

/* Taking out */

/* Its requests end first: the guest is parked meanwhile, as for every pause of a device.  -1 with a sentence: it is there still. */
static int
take_out(struct machine *m, struct device *port, struct device *dev)
{
	struct vmm *vmm = m->vmm;
	const char *id = plug_id(dev);
	bool park = !vmm->paused, named = id != NULL;
	char node[PARTS_NODE_LEN], own[MACHINE_ID_MAX + 1];

	if (park && vm_pause(vmm->vm) != 0)
		return (vmm_fail_vm("%s cannot be taken out", dev->name));
	(void)parts_node_behind(PCI_SLOT(port->place.devfn), node);
	(void)snprintf(own, sizeof(own), "%s", named ? id : "");
	device_log(dev, LOG_LEVEL_INFO, "taken out");
	device_destroy(dev);
	config_unset_below(vmm->config, node);
	root_port_removed(port);
	if (park)
		(void)vm_resume(vmm->vm);
	if (vmm->plug.gone != NULL)
		vmm->plug.gone(vmm->plug.arg, named ? own : NULL, node);
	return (0);
}

static struct device *
behind(struct device *port)
{
	return (root_port_of(port)->behind != NULL ? root_port_of(port)->behind->dev : NULL);
}

/* The port still has it as one that goes if that fails, for the next device_del or the machine's end. */
static void
released(void *arg, struct device *port)
{
	struct device *dev = behind(port);

	if (dev != NULL && take_out(arg, port, dev) != 0)
		device_log(dev, LOG_LEVEL_ERROR, "%s", vmm_errmsg());
}

static void
kept(void *arg, struct device *port)
{
	struct machine *m = arg;
	struct device *dev = behind(port);

	if (dev == NULL)
		return;
	device_log(dev, LOG_LEVEL_WARN, "the guest does not let go of it");
	if (m->vmm->plug.kept != NULL)
		m->vmm->plug.kept(m->vmm->plug.arg, plug_id(dev), dev->name);
}

void
plug_own(struct machine *m, struct device *port)
{
	const struct root_port_owner owner = { .released = released, .kept = kept, .arg = m };

	root_port_set_owner(port, &owner);
}

void
plug_end(struct machine *m)
{
	for (unsigned slot = 0; slot < PARTS_SLOTS; slot++) {
		struct device *port = parts_port(m, slot);

		if (port != NULL && root_port_ejecting(port))
			released(m, port);
	}
}

/* Why a device that is there cannot be taken out, or that there is none. */
static int
not_behind(struct machine *m, const char *id)
{
	for (struct device *dev = m->vmm->devices; dev != NULL; dev = dev->next) {
		if (plug_is_called(dev, id))
			return (vmm_fail(EINVAL, "device '%.64s' is fixed: only what is behind a root port can be taken out while the guest runs",
			    id));
	}
	return (vmm_fail(ENODEV, "there is no device '%.64s'; query-pci lists them", id));
}

int
plug_remove(struct machine *m, const char *id)
{
	for (unsigned slot = 0; slot < PARTS_SLOTS; slot++) {
		struct device *dev = parts_behind(m, slot);
		int r;

		if (dev == NULL || !plug_is_called(dev, id))
			continue;
		if (!dev->cls->hot)
			return (vmm_fail(EINVAL, "device '%.64s' is one of class '%s', which cannot be taken out while the guest runs", id, dev->cls->name));
		r = root_port_eject(parts_port(m, slot));
		if (r == ROOT_PORT_OFF && take_out(m, parts_port(m, slot), dev) != 0)
			return (-1);
		return (r < 0 ? -1 : r == ROOT_PORT_OFF);
	}
	return (not_behind(m, id));
}

/* Putting in */

/* Every class that can, for a sentence. */
static int
cannot(const struct device_class *cls)
{
	const struct device_class *c;
	char list[256] = "";
	size_t len = 0;

	for (unsigned i = 0; (c = device_class_at(i)) != NULL; i++) {
		if (c->hot && len < sizeof(list))
			len += (size_t)snprintf(list + len, sizeof(list) - len, "%s%s", len != 0 ? ", " : "", c->name);
	}
	return (vmm_fail(EINVAL, "a device of class '%s' cannot be put in while the guest runs; these can: %s", cls->name, list));
}

static bool
taken(struct machine *m, unsigned slot)
{
	char name[PARTS_NODE_LEN];
	struct config_node *node = config_node(m->vmm->config, parts_node_behind(slot, name));

	return (parts_behind(m, slot) != NULL || (node != NULL && config_is_set(node, "device")));
}

struct ports {
	struct machine	*m;
	unsigned	 n;
	const char	*name[2 * PARTS_SLOTS];
};

static const char *
port_name(const void *arg, size_t i)
{
	return (((const struct ports *)arg)->name[i]);
}

static int
no_port(struct machine *m, const char *word)
{
	struct ports ports = { .m = m, .n = 0 };
	const char *near;

	for (unsigned slot = 0; slot < PARTS_SLOTS; slot++) {
		struct device *port = parts_port(m, slot);

		if (port == NULL)
			continue;
		ports.name[ports.n++] = port->name;
		if (plug_id(port) != NULL)
			ports.name[ports.n++] = plug_id(port);
	}
	if (ports.n == 0)
		return (vmm_fail(ENODEV, "this VM has no root port to put a device behind; it is to be configured with some: pci.0.20.0.device="
		    ROOT_PORT));
	near = word != NULL ? config_nearest(word, ports.n, port_name, &ports) : NULL;
	if (near != NULL)
		return (vmm_fail(ENODEV, "there is no root port '%.64s'; did you mean '%s'?", word, near));
	if (word != NULL)
		return (vmm_fail(ENODEV, "there is no root port '%.64s'; '%s' is one", word, ports.name[0]));
	return (vmm_fail(ENOSPC, "there is a device behind every root port"));
}

/* The slot of the port that is wanted; -1 with a sentence. */
static int
find_port(struct machine *m, const char *word)
{
	for (unsigned slot = 0; slot < PARTS_SLOTS; slot++) {
		struct device *port = parts_port(m, slot), *there = parts_behind(m, slot);

		if (port == NULL || (word != NULL ? !plug_is_called(port, word) : taken(m, slot)))
			continue;
		if (taken(m, slot))
			return (vmm_fail(EBUSY, "device '%s' is behind root port '%.64s' already", there != NULL && plug_id(there) != NULL ?
			    plug_id(there) : there != NULL ? there->name : "?", word));
		return ((int)slot);
	}
	return (no_port(m, word));
}

/* A client's values are meant as they are: they name no other keys, so every % stands for itself. */
static int
set_literal(struct config *cfg, const char *name, const char *value)
{
	const struct config_origin origin = { CONFIG_FROM_SOCKET, NULL, 0 };
	char *text = malloc(2 * strlen(value) + 1), *p = text;
	int r, error;

	if (text == NULL)
		return (vmm_fail(ENOMEM, "%s: no memory", name));
	for (; *value != '\0'; value++) {
		if (*value == '%')
			*p++ = '%';
		*p++ = *value;
	}
	*p = '\0';
	r = config_set(cfg, name, text, &origin);
	error = errno;
	free(text);
	errno = error;
	return (r);
}

static int
set_keys(struct machine *m, const struct plug_request *r, const char *node)
{
	struct config *cfg = m->vmm->config;
	char name[NAME_LEN];

	(void)snprintf(name, sizeof(name), "%s.device", node);
	if (set_literal(cfg, name, r->device) != 0)
		return (-1);
	(void)snprintf(name, sizeof(name), "%s.id", node);
	if (r->id != NULL && set_literal(cfg, name, r->id) != 0)
		return (-1);
	for (size_t i = 0; i < r->nkeys; i++) {
		const char *key = r->keys[i].name;

		if (strcmp(key, "device") == 0 || strcmp(key, "id") == 0)
			return (vmm_fail(EINVAL, "'%s' is no key of a device", key));
		if ((size_t)snprintf(name, sizeof(name), "%s.%s", node, key) >= sizeof(name))
			return (vmm_fail(EINVAL, "'%.64s' is no key: it is too long", key));
		if (set_literal(cfg, name, r->keys[i].value) != 0)
			return (-1);
	}
	return (0);
}

/* What begins like a node's name could be one later. */
static int
check_word(const char *id)
{
	if (*id != '\0' && strncmp(id, "pci.", 4) != 0)
		return (0);
	return (vmm_fail(EINVAL, "'%.64s' cannot be an id: it is %s", id, *id == '\0' ? "empty" : "how places are called"));
}

int
plug_check_ids(struct machine *m)
{
	for (struct device *dev = m->vmm->devices; dev != NULL; dev = dev->next) {
		const char *id = plug_id(dev);

		if (id != NULL && check_word(id) != 0)
			return (-1);
		for (struct device *other = m->vmm->devices; id != NULL && other != NULL; other = other->next) {
			if (other != dev && plug_is_called(other, id))
				return (vmm_fail(EINVAL, "%s and %s are both called '%.64s': an id is one device's, and no other's name", dev->name,
				    other->name, id));
		}
	}
	return (0);
}

static int
check_id(struct machine *m, const char *id)
{
	if (check_word(id) != 0)
		return (-1);
	for (struct device *dev = m->vmm->devices; dev != NULL; dev = dev->next) {
		if (plug_is_called(dev, id))
			return (vmm_fail(EEXIST, "there is a device '%.64s' already", id));
	}
	return (0);
}

int
plug_add(struct machine *m, const struct plug_request *r)
{
	const struct device_class *cls = device_class_find(r->device);
	char node[PARTS_NODE_LEN];
	struct device *dev;
	int slot, error;

	if (cls == NULL)
		return (-1);
	if (!cls->hot)
		return (cannot(cls));
	if (r->id != NULL && check_id(m, r->id) != 0)
		return (-1);
	slot = find_port(m, r->port);
	if (slot < 0)
		return (-1);
	(void)parts_node_behind((unsigned)slot, node);
	dev = set_keys(m, r, node) == 0 ? parts_add_behind(m, cls->name, (unsigned)slot) : NULL;
	/* The machine is to start again with it. */
	if (dev != NULL && bootorder_check(m->vmm) == 0) {
		root_port_insert(parts_port(m, (unsigned)slot), true);
		device_log(dev, LOG_LEVEL_INFO, "put in");
		return (0);
	}
	error = errno;
	device_destroy(dev);
	config_unset_below(m->vmm->config, node);
	errno = error;
	return (-1);
}
