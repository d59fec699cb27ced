/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * parts.c - what machines are put together from: interrupt lines, devices at fixed places, PCI slots.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "parts.h"

#define	NIRQS		96		/* of chips, one for each PCI slot, and those of a test device */

struct parts {
	struct parts_pci pci;
	struct pci_host	*host;
	struct vm_irq	*irq[NIRQS];
	unsigned	 nirqs;
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

	if (c == NULL || cfg == NULL)
		return (NULL);
	place.irq[0] = parts_line(m, parts->pci.line + (devfn >> 3) % parts->pci.nlines);
	if (place.irq[0] == NULL)
		return (NULL);
	return (device_create(m->vmm, c, name, cfg, &place));
}

/* Other slots have the machine's own devices, or do not exist. */
static int
check_slot(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	const struct machine *m = arg;
	const struct parts_pci *pci = &m->parts->pci;
	char wanted[32];
	size_t len = strlen(name);

	if (text == NULL || len < 15 || strncmp(name, "pci.0.", 6) != 0 || strcmp(name + len - 9, ".0.device") != 0)
		return (0);
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
	char name[32];

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
	return (0);
}

void
parts_fini(struct machine *m)
{
	devices_destroy(m->vmm);
	if (m->parts == NULL)
		return;
	pci_host_free(m->parts->host);
	for (unsigned i = 0; i < m->parts->nirqs; i++)
		vm_irq_close(m->parts->irq[i]);
	free(m->parts);
	m->parts = NULL;
}
