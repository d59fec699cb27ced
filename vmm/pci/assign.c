/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assign.c - what firmware would do with a PCI segment, for direct boot: numbers of buses, addresses of BARs, windows of ports.
 *
 * A port gets windows of PORT_MIN at least, whatever is behind it: an operating system can give addresses to what is plugged in later only
 * within them.  Ports of the processor are scarce, so there is such a window only for a device that has a BAR of them.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../error.h"
#include "pci_internal.h"
#include "root_port.h"

#define	PORT_MIN	(2ULL << 20)
#define	MEM_GRAIN	(1ULL << 20)	/* of a port's windows (PCI-to-PCI Bridge Architecture 3.2.5.8, 3.2.5.6) */
#define	IO_GRAIN	0x1000ULL

enum { IO, MEM32, MEM64, NKINDS };

/* Something that gets an address: a BAR, or a window of a port. */
struct want {
	struct pci_fn	*fn;
	bool		 window;
	unsigned	 n;		/* BAR */
	unsigned	 kind;		/* where it goes; of a window, which one it is too */
	uint64_t	 size, align;
};

struct assign {
	struct pci_host	*h;
	struct want	 want[PCI_NSLOTS * PCI_NBARS];
	unsigned	 n;
	uint64_t	 next[NKINDS], limit[NKINDS];
};

static int
larger_first(const void *a, const void *b)
{
	const struct want *x = a, *y = b;

	if (x->align != y->align)
		return (x->align > y->align ? -1 : 1);
	return (x->fn->devfn != y->fn->devfn ? (int)x->fn->devfn - (int)y->fn->devfn : (int)x->n - (int)y->n);
}

static unsigned
kind_of(const struct assign *as, enum pci_bar_kind kind)
{
	if (kind == PCI_BAR_IO)
		return (IO);
	return (kind == PCI_BAR_MEM64 && as->h->spec.mem64_limit != 0 ? MEM64 : MEM32);
}

static void
want_bars(struct assign *as, struct pci_fn *fn)
{
	for (unsigned b = 0; b < PCI_NBARS; b++) {
		const struct pci_bar *bar = &fn->bar[b];

		if (bar->kind != PCI_BAR_NONE)
			as->want[as->n++] = (struct want){ .fn = fn, .n = b, .kind = kind_of(as, bar->kind), .size = bar->size, .align = bar->size };
	}
}

/* The window of a port for BARs of one kind: prefetchable ones, which are those of 64 bits, have a window of their own. */
static void
want_window(struct assign *as, const struct pci_port *port, unsigned which)
{
	uint64_t grain = which == IO ? IO_GRAIN : MEM_GRAIN, size = which == IO ? 0 : PORT_MIN, sum = 0, largest = grain;

	for (unsigned b = 0; port->behind != NULL && b < PCI_NBARS; b++) {
		const struct pci_bar *bar = &port->behind->bar[b];

		if (bar->kind != (which == IO ? PCI_BAR_IO : which == MEM32 ? PCI_BAR_MEM32 : PCI_BAR_MEM64))
			continue;
		sum += bar->size;
		if (bar->size > largest)
			largest = bar->size;
	}
	sum = (sum + grain - 1) & ~(grain - 1);
	if (sum > size)
		size = sum;
	if (size != 0)
		as->want[as->n++] = (struct want){ .fn = port->fn, .window = true, .n = which, .kind = which == MEM64 ?
		    kind_of(as, PCI_BAR_MEM64) : which, .size = size, .align = largest };
}

static void
set_bar(struct pci_fn *fn, unsigned n, uint64_t at)
{
	pci_fn_write(fn, PCI_BAR0 + 4 * n, 4, (uint32_t)at);
	if (fn->bar[n].kind == PCI_BAR_MEM64)
		pci_fn_write(fn, PCI_BAR0 + 4 * n + 4, 4, (uint32_t)(at >> 32));
}

/* The BARs of what is behind a port, the largest first: sizes are powers of 2, so there are no gaps. */
static void
fill_window(struct pci_fn *fn, enum pci_bar_kind kind, uint64_t at)
{
	for (uint64_t size = 1ULL << 48; size != 0; size >>= 1) {
		for (unsigned b = 0; b < PCI_NBARS; b++) {
			if (fn->bar[b].kind != kind || fn->bar[b].size != size)
				continue;
			set_bar(fn, b, at);
			at += size;
		}
	}
}

static void
set_window(struct assign *as, const struct want *w, uint64_t at)
{
	static const enum pci_bar_kind kinds[NKINDS] = { PCI_BAR_IO, PCI_BAR_MEM32, PCI_BAR_MEM64 };
	const struct pci_port *port;
	uint64_t last = at + w->size - 1;

	if (w->n == IO)
		pci_fn_write(w->fn, ROOT_PORT_IO, 2, (uint32_t)(at >> 8 | last >> 8 << 8));
	else
		pci_fn_write(w->fn, w->n == MEM32 ? ROOT_PORT_MEM : ROOT_PORT_PREF, 4, (uint32_t)(at >> 16 & 0xffff) | (uint32_t)(last >> 16) << 16);
	if (w->n == MEM64) {
		pci_fn_write(w->fn, ROOT_PORT_PREF_UPPER, 4, (uint32_t)(at >> 32));
		pci_fn_write(w->fn, ROOT_PORT_PREF_UPPER + 4, 4, (uint32_t)(last >> 32));
	}
	for (port = as->h->ports; port->fn != w->fn; port = port->next)
		;
	if (port->behind != NULL)
		fill_window(port->behind, kinds[w->n], at);
}

static int
assign_one(struct assign *as, const struct want *w)
{
	static const char *const names[NKINDS] = { "ports", "memory below 4 GiB", "memory above 4 GiB" };
	uint64_t at = (as->next[w->kind] + w->align - 1) & ~(w->align - 1);

	if (at < as->next[w->kind] || at > as->limit[w->kind] || w->size > as->limit[w->kind] - at)
		return (vmm_fail(ENOSPC, "%s: no room for %#" PRIx64 " bytes of %s; the machine has too many devices", w->fn->dev->name,
		    w->size, names[w->kind]));
	as->next[w->kind] = at + w->size;
	if (w->window)
		set_window(as, w, at);
	else
		set_bar(w->fn, w->n, at);
	return (0);
}

/* Decoding on; where the pin goes, as the driver of an interrupt controller counts (PCI 6.2.4). */
static void
switch_on(struct pci_fn *fn)
{
	struct vm_irq_info info = { 0 };
	uint32_t cmd = pci_fn_read(fn, PCI_COMMAND, 2);

	/* What is behind a port is to reach memory when its own driver says so. */
	pci_fn_write(fn, PCI_COMMAND, 2, cmd | PCI_CMD_IO | PCI_CMD_MEM | (fn->bridge ? PCI_CMD_MASTER : 0));
	if (pci_fn_read(fn, PCI_INTERRUPT_PIN, 1) != 0 && fn->dev->place.irq[0] != NULL &&
	    vm_irq_get_info(fn->dev->place.irq[0], &info) == 0 && info.line < 0xff)
		pci_fn_write(fn, PCI_INTERRUPT_LINE, 1, info.line);
}

/* The bus behind a port: its number, without which nothing there is found. */
static void
set_bus(const struct pci_port *port)
{
	uint32_t bus = PCI_SLOT(port->fn->devfn);

	pci_fn_write(port->fn, ROOT_PORT_BUSES, 4, bus << 16 | bus << 8);
}

static int
assign(struct assign *as)
{
	struct pci_host *h = as->h;
	int error = 0;

	for (const struct pci_port *port = h->ports; port != NULL; port = port->next) {
		set_bus(port);
		for (unsigned which = 0; which < NKINDS; which++)
			want_window(as, port, which);
	}
	for (unsigned i = 0; i < PCI_NSLOTS; i++) {
		if (h->fn[i] != NULL)
			want_bars(as, h->fn[i]);
	}
	qsort(as->want, as->n, sizeof(as->want[0]), larger_first);
	for (unsigned i = 0; i < as->n && error == 0; i++)
		error = assign_one(as, &as->want[i]);
	for (unsigned i = 0; i < PCI_NSLOTS && error == 0; i++) {
		if (h->fn[i] != NULL)
			switch_on(h->fn[i]);
	}
	for (const struct pci_port *port = h->ports; port != NULL && error == 0; port = port->next) {
		if (port->behind != NULL)
			switch_on(port->behind);
	}
	return (error);
}

int
pci_host_assign(struct pci_host *h)
{
	struct assign *as = calloc(1, sizeof(*as));
	int error;

	if (as == NULL)
		return (vmm_fail(ENOMEM, "pci: no memory"));
	as->h = h;
	as->next[IO] = h->spec.io_base;
	as->next[MEM32] = h->spec.mem32_base;
	as->next[MEM64] = h->spec.mem64_base;
	as->limit[IO] = h->spec.io_limit;
	as->limit[MEM32] = h->spec.mem32_limit;
	as->limit[MEM64] = h->spec.mem64_limit;
	pthread_mutex_lock(&h->lock);
	error = assign(as);
	pthread_mutex_unlock(&h->lock);
	free(as);
	return (error);
}
