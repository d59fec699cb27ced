/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parts.c - what machines are put together from: interrupt lines, devices at fixed places, PCI slots and root ports.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../pci/root_port.h"
#include "parts.h"
#include "plug.h"

#define	NIRQS		128		/* of chips, one for each PCI slot and what is behind it, and those of a test device */

struct parts {
	struct parts_pci pci;
	struct pci_host	*host;
	struct vm_irq	*irq[NIRQS];
	unsigned	 nirqs;
	struct device	*port[PARTS_SLOTS];	/* root ports */
	struct vm_irq	*behind[PARTS_SLOTS];	/* what is behind one has as its pin; NULL: nothing was yet */
};

static struct parts *
parts_of(struct machine *m)
{
	if (m->parts == NULL && (m->parts = calloc(1, sizeof(*m->parts))) == NULL)
		return (vmm_fail_null(ENOMEM, "%s: no memory", m->cls->name));
	return (m->parts);
}

struct vm_irq *
parts_line(struct machine *m, unsigned line)
{
	struct parts *parts = parts_of(m);
	struct vm_irq *irq;

	if (parts == NULL)
		return (NULL);
	if (parts->nirqs == NIRQS)
		return (vmm_fail_null(ENOSPC, "%s: too many interrupts", m->cls->name));
	irq = vm_irq_open_line(m->vmm->vm, line);
	if (irq == NULL)
		(void)vmm_fail_vm("%s: line %u", m->cls->name, line);
	else
		parts->irq[parts->nirqs++] = irq;
	return (irq);
}

struct device *
parts_add(struct machine *m, const struct part *part)
{
	struct device_place place = { .on = part->on, .base = part->base, .chardev = part->console ? m->console : NULL };
	const struct device_class *c = device_class_find(part->device);
	struct config_node *cfg = config_node(m->vmm->config, part->node);

	if (c == NULL || cfg == NULL)
		return (NULL);
	for (unsigned i = 0; i < part->nlines; i++) {
		place.irq[place.nirqs] = parts_line(m, part->line[i]);
		if (place.irq[place.nirqs++] == NULL)
			return (NULL);
	}
	return (device_create(m->vmm, c, part->name, cfg, &place));
}

int
parts_pci(struct machine *m, const struct parts_pci *pci)
{
	struct parts *parts = parts_of(m);

	if (parts == NULL)
		return (-1);
	parts->pci = *pci;
	parts->host = pci_host_new(m->vmm, &pci->host);
	return (parts->host != NULL ? 0 : -1);
}

struct pci_host *
parts_pci_host(struct machine *m)
{
	return (m->parts != NULL ? m->parts->host : NULL);
}

struct device *
parts_add_pci(struct machine *m, const char *device, const char *name, const char *node, uint8_t devfn, uint64_t base)
{
	struct parts *parts = m->parts;
	struct device_place place = { .on = DEVICE_ON_PCI, .base = base, .pci = parts->host, .devfn = devfn, .nirqs = 1 };
	const struct device_class *c = device_class_find(device);
	struct config_node *cfg = config_node(m->vmm->config, node);
	struct device *dev;

	if (c == NULL || cfg == NULL)
		return (NULL);
	place.irq[0] = parts_line(m, parts->pci.line + PCI_SLOT(devfn) % parts->pci.nlines);
	if (place.irq[0] == NULL)
		return (NULL);
	dev = device_create(m->vmm, c, name, cfg, &place);
	if (dev != NULL && root_port_of(dev) != NULL) {
		parts->port[PCI_SLOT(devfn)] = dev;
		plug_own(m, dev);
	}
	return (dev);
}

struct device *
parts_port(struct machine *m, unsigned slot)
{
	return (m->parts != NULL && slot < PARTS_SLOTS ? m->parts->port[slot] : NULL);
}

struct device *
parts_behind(struct machine *m, unsigned slot)
{
	struct device *port = parts_port(m, slot);
	struct pci_fn *fn = port != NULL ? root_port_of(port)->behind : NULL;

	return (fn != NULL ? fn->dev : NULL);
}

const char *
parts_node_behind(unsigned slot, char name[PARTS_NODE_LEN])
{
	(void)snprintf(name, PARTS_NODE_LEN, "pci.%u.0.0", slot % 256);
	return (name);
}

/* Its pin comes out at the pin of its port, so it is on the same line; the handle is for whatever will be there. */
struct device *
parts_add_behind(struct machine *m, const char *device, unsigned slot)
{
	struct parts *parts = m->parts;
	struct device_place place = { .on = DEVICE_ON_PCI, .pci = parts->host, .port = root_port_of(parts->port[slot]), .bus = (uint8_t)slot,
	    .nirqs = 1 };
	const struct device_class *c = device_class_find(device);
	char name[PARTS_NODE_LEN];
	struct config_node *cfg = config_node(m->vmm->config, parts_node_behind(slot, name));

	if (c == NULL || cfg == NULL)
		return (NULL);
	if (parts->behind[slot] == NULL)
		parts->behind[slot] = parts_line(m, parts->pci.line + slot % parts->pci.nlines);
	place.irq[0] = parts->behind[slot];
	if (place.irq[0] == NULL)
		return (NULL);
	return (device_create(m->vmm, c, name, cfg, &place));
}

/* Behind a root port only; the one that is there has the number of its slot as its bus. */
static int
check_behind(const struct machine *m, const char *name, unsigned bus)
{
	char wanted[PARTS_NODE_LEN + 8], port[PARTS_NODE_LEN], node[PARTS_NODE_LEN];
	const char *cls;

	(void)snprintf(port, sizeof(port), "pci.0.%u.0", bus);
	(void)snprintf(wanted, sizeof(wanted), "%s.device", parts_node_behind(bus, node));
	cls = strcmp(name, wanted) == 0 && bus < PARTS_SLOTS ? config_str(config_node(m->vmm->config, port), "device") : NULL;
	if (cls != NULL && strcmp(cls, ROOT_PORT) == 0)
		return (0);
	return (vmm_fail(EINVAL, "%s: on bus %u is what is behind the root port in slot %u, and there is none: pci.0.%u.0.device=" ROOT_PORT,
	    name, bus, bus, bus));
}

/* Other slots have the machine's own devices, or do not exist. */
static int
check_slot(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	const struct machine *m = arg;
	const struct parts_pci *pci = &m->parts->pci;
	char wanted[32], *end;
	size_t len = strlen(name);
	unsigned long bus;

	if (text == NULL || len < 15 || strncmp(name, "pci.", 4) != 0 || strcmp(name + len - 9, ".0.device") != 0)
		return (0);
	bus = strtoul(name + 4, &end, 10);
	if (*end != '.' || strncmp(name, "pci.0.", 6) != 0)
		return (check_behind(m, name, *end == '.' && bus < 256 ? (unsigned)bus : 255));
	for (unsigned slot = pci->first; slot <= pci->last; slot++) {
		(void)snprintf(wanted, sizeof(wanted), "pci.0.%u.0.device", slot);
		if (strcmp(name, wanted) == 0)
			return (0);
	}
	return (vmm_fail(EINVAL, "%s: machine '%s' has its devices in PCI slots %u to %u", name, m->cls->name, pci->first, pci->last));
}

int
parts_add_slots(struct machine *m)
{
	char name[32], behind[PARTS_NODE_LEN];

	if (config_each(m->vmm->config, check_slot, m) != 0)
		return (-1);
	for (unsigned slot = m->parts->pci.first; slot <= m->parts->pci.last; slot++) {
		struct config_node *node;
		const char *cls;

		(void)snprintf(name, sizeof(name), "pci.0.%u.0", slot);
		node = config_node(m->vmm->config, name);
		cls = node != NULL ? config_str(node, "device") : NULL;
		if (cls != NULL && parts_add_pci(m, cls, name, name, PCI_DEVFN(slot, 0), 0) == NULL)
			return (-1);
	}
	for (unsigned slot = 0; slot < PARTS_SLOTS; slot++) {
		const char *cls = NULL;

		if (m->parts->port[slot] != NULL)
			cls = config_str(config_node(m->vmm->config, parts_node_behind(slot, behind)), "device");
		if (cls == NULL)
			continue;
		if (parts_add_behind(m, cls, slot) == NULL)
			return (-1);
		root_port_insert(m->parts->port[slot], false);
	}
	return (plug_check_ids(m));
}

void
parts_fini(struct machine *m)
{
	if (m->parts != NULL)
		plug_end(m);
	devices_destroy(m->vmm);
	if (m->parts == NULL)
		return;
	pci_host_free(m->parts->host);
	for (unsigned i = 0; i < m->parts->nirqs; i++)
		vm_irq_close(m->parts->irq[i]);
	free(m->parts);
	m->parts = NULL;
}
