/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host.c - a PCI segment with one bus: configuration by memory (PCIe 7.2.2) and by ports (PCI
 * 3.2.2.3.2), and what firmware would do with the BARs.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../error.h"
#include "../trace.h"
#include "pci.h"
#include "pci_internal.h"

#define	ECAM_BUS_LEN	(1ULL << 20)
#define	ECAM_BUSES	256U
#define	PORTS		0xcf8
#define	PORTS_LEN	8
#define	DATA		4		/* offset of the data port */
#define	ADDRESS_ENABLE	0x80000000U
#define	ADDRESS_KNOWN	0x80fffffcU	/* enable, bus, device, function, register */
#define	NSLOTS		256

struct pci_host {
	struct vmm	*vmm;
	struct pci_host_spec spec;
	pthread_mutex_t	 lock;		/* of everything; held while functions' registers are accessed */
	struct pci_fn	*fn[NSLOTS];
	struct vm_range	*ecam_range, *ports_range;
	uint64_t	 ecam;
	unsigned	 buses;		/* of the window */
	uint32_t	 address;	/* port 0xcf8 */
	void		(*on_pin)(void *arg, uint8_t devfn, bool level);	/* or NULL */
	void		*on_pin_arg;
};

/* Largest naturally aligned piece of [off, off + size). */
static unsigned
piece(uint64_t off, unsigned size)
{
	unsigned n = size >= 4 ? 4 : size >= 2 ? 2 : 1;

	while (off % n != 0)
		n /= 2;
	return (n);
}

static uint64_t
cfg_read(struct pci_host *h, unsigned devfn, unsigned off, unsigned size)
{
	struct pci_fn *fn = h->fn[devfn];
	uint64_t v = 0;
	unsigned n;

	for (unsigned i = 0; i < size; i += n) {
		n = piece(off + i, size - i);
		v |= (uint64_t)(fn == NULL || off + i >= PCI_CFG_LEN ? UINT32_MAX >> (32 - 8 * n) :
		    pci_fn_read(fn, off + i, n)) << (8 * i);
	}
	TRACE(h->vmm->log, pci__read, NULL, devfn, off, size, v);
	return (v);
}

static void
cfg_write(struct pci_host *h, unsigned devfn, unsigned off, unsigned size, uint64_t val)
{
	struct pci_fn *fn = h->fn[devfn];
	unsigned n;

	TRACE(h->vmm->log, pci__write, NULL, devfn, off, size, val);
	for (unsigned i = 0; fn != NULL && i < size && off + i < PCI_CFG_LEN; i += n) {
		n = piece(off + i, size - i);
		pci_fn_write(fn, off + i, n, (uint32_t)(val >> (8 * i)));
	}
}

void
pci_host_uncovered(struct pci_host *h, const struct pci_fn *fn, bool io, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < NSLOTS; i++) {
		if (h->fn[i] != NULL && h->fn[i] != fn)
			pci_fn_uncovered(h->fn[i], io, addr, len);
	}
}

/* Bus in bits 27:20, device and function in 19:12, register in 11:0. */
static uint64_t
ecam_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct pci_host *h = arg;
	uint64_t v = UINT64_MAX;

	if (off >> 20 != 0)
		return (v);
	pthread_mutex_lock(&h->lock);
	v = cfg_read(h, (unsigned)(off >> 12) & 0xff, (unsigned)off & 0xfff, size);
	pthread_mutex_unlock(&h->lock);
	return (v);
}

static void
ecam_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_host *h = arg;

	if (off >> 20 != 0)
		return;
	pthread_mutex_lock(&h->lock);
	cfg_write(h, (unsigned)(off >> 12) & 0xff, (unsigned)off & 0xfff, size, val);
	pthread_mutex_unlock(&h->lock);
}

/*
 * The register that the address port selects, for an access at off within the data port, and how much
 * of the access is within it; false: none.
 */
static bool
selected(const struct pci_host *h, uint64_t off, unsigned *devfn, unsigned *reg, unsigned *size)
{
	if (off < DATA || (h->address & ADDRESS_ENABLE) == 0 || ((h->address >> 16) & 0xff) != 0)
		return (false);
	*devfn = (h->address >> 8) & 0xff;
	*reg = (h->address & 0xfc) + (unsigned)(off - DATA);
	if (*size > PORTS_LEN - off)
		*size = (unsigned)(PORTS_LEN - off);
	return (true);
}

static uint64_t
ports_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct pci_host *h = arg;
	uint64_t v = UINT64_MAX;
	unsigned devfn, reg;

	/* Only whole accesses are to the address (PCI 3.2.2.3.2). */
	pthread_mutex_lock(&h->lock);
	if (off == 0 && size == 4)
		v = h->address;
	else if (selected(h, off, &devfn, &reg, &size))
		v = cfg_read(h, devfn, reg, size) | ~(UINT64_MAX >> (64 - 8 * size));
	pthread_mutex_unlock(&h->lock);
	return (v);
}

static void
ports_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_host *h = arg;
	unsigned devfn, reg;

	pthread_mutex_lock(&h->lock);
	if (off == 0 && size == 4)
		h->address = (uint32_t)val & ADDRESS_KNOWN;
	else if (selected(h, off, &devfn, &reg, &size))
		cfg_write(h, devfn, reg, size, val);
	pthread_mutex_unlock(&h->lock);
}

/* Functions */

void
pci_host_lock(struct pci_host *h)
{
	pthread_mutex_lock(&h->lock);
}

void
pci_host_unlock(struct pci_host *h)
{
	pthread_mutex_unlock(&h->lock);
}

/* Function 0 tells whether there are more (PCI 6.2.1).  Lock held. */
static void
count_functions(struct pci_host *h, uint8_t devfn)
{
	struct pci_fn *first = h->fn[devfn & ~7U];

	if (first == NULL)
		return;
	first->multi = false;
	for (unsigned i = 1; i < 8; i++)
		first->multi |= h->fn[(devfn & ~7U) | i] != NULL;
}

int
pci_host_attach(struct pci_host *h, struct pci_fn *fn)
{
	int error = 0;

	pthread_mutex_lock(&h->lock);
	if (h->fn[fn->devfn] != NULL)
		error = vmm_fail(EEXIST, "%s: PCI slot %u.%u is taken by %s", fn->dev->name, fn->devfn >> 3,
		    fn->devfn & 7U, h->fn[fn->devfn]->dev->name);
	else
		h->fn[fn->devfn] = fn;
	count_functions(h, fn->devfn);
	pthread_mutex_unlock(&h->lock);
	return (error);
}

void
pci_host_detach(struct pci_host *h, struct pci_fn *fn)
{
	pthread_mutex_lock(&h->lock);
	if (h->fn[fn->devfn] == fn)
		h->fn[fn->devfn] = NULL;
	count_functions(h, fn->devfn);
	pthread_mutex_unlock(&h->lock);
}

enum vm_space
pci_host_io(const struct pci_host *h, uint64_t *addr)
{
	*addr += h->spec.io_window;
	return (h->spec.io_window != 0 ? VM_SPACE_MEM : VM_SPACE_IO);
}

struct pci_fn *
pci_host_fn(struct pci_host *h, uint8_t devfn)
{
	struct pci_fn *fn;

	pthread_mutex_lock(&h->lock);
	fn = h->fn[devfn];
	pthread_mutex_unlock(&h->lock);
	return (fn);
}

/* What firmware does */

struct want {
	struct pci_fn	*fn;
	unsigned	 n;
};

static int
larger_first(const void *a, const void *b)
{
	const struct want *x = a, *y = b;
	uint64_t xs = x->fn->bar[x->n].size, ys = y->fn->bar[y->n].size;

	if (xs != ys)
		return (xs > ys ? -1 : 1);
	return (x->fn->devfn != y->fn->devfn ? (int)x->fn->devfn - (int)y->fn->devfn : (int)x->n - (int)y->n);
}

static int
assign_one(struct pci_host *h, const struct want *w, uint64_t next[3])
{
	const struct pci_bar *bar = &w->fn->bar[w->n];
	static const char *const names[3] = { "ports", "memory below 4 GiB", "memory above 4 GiB" };
	const uint64_t limit[3] = { h->spec.io_limit, h->spec.mem32_limit, h->spec.mem64_limit };
	unsigned kind = bar->kind == PCI_BAR_IO ? 0 : bar->kind == PCI_BAR_MEM64 && h->spec.mem64_limit != 0 ? 2 : 1;
	uint64_t at = (next[kind] + bar->size - 1) & ~(bar->size - 1);

	if (at < next[kind] || at > limit[kind] || bar->size > limit[kind] - at)
		return (vmm_fail(ENOSPC, "%s: no room for %#" PRIx64 " bytes of %s; the machine has too many devices",
		    w->fn->dev->name, bar->size, names[kind]));
	next[kind] = at + bar->size;
	pci_fn_write(w->fn, PCI_BAR0 + 4 * w->n, 4, (uint32_t)at);
	if (bar->kind == PCI_BAR_MEM64)
		pci_fn_write(w->fn, PCI_BAR0 + 4 * w->n + 4, 4, (uint32_t)(at >> 32));
	return (0);
}

/* Decoding on; where the pin goes, as the driver of an interrupt controller counts (PCI 6.2.4). */
static void
switch_on(struct pci_fn *fn)
{
	struct vm_irq_info info = { 0 };
	uint32_t cmd = pci_fn_read(fn, PCI_COMMAND, 2);

	pci_fn_write(fn, PCI_COMMAND, 2, cmd | PCI_CMD_IO | PCI_CMD_MEM);
	if (pci_fn_read(fn, PCI_INTERRUPT_PIN, 1) != 0 && fn->dev->place.irq[0] != NULL &&
	    vm_irq_get_info(fn->dev->place.irq[0], &info) == 0 && info.line < 0xff)
		pci_fn_write(fn, PCI_INTERRUPT_LINE, 1, info.line);
}

void
pci_host_set_lines(struct pci_host *h, const uint8_t *line, unsigned n)
{
	pthread_mutex_lock(&h->lock);
	for (unsigned i = 0; i < NSLOTS; i++) {
		if (h->fn[i] != NULL && pci_fn_read(h->fn[i], PCI_INTERRUPT_PIN, 1) != 0)
			pci_fn_write(h->fn[i], PCI_INTERRUPT_LINE, 1, line[(i >> 3) % n]);
	}
	pthread_mutex_unlock(&h->lock);
}

void
pci_host_on_pin(struct pci_host *h, void (*fn)(void *arg, uint8_t devfn, bool level), void *arg)
{
	h->on_pin = fn;
	h->on_pin_arg = arg;
}

void
pci_host_pin(struct pci_host *h, uint8_t devfn, bool level)
{
	if (h->on_pin != NULL)
		h->on_pin(h->on_pin_arg, devfn, level);
}

int
pci_host_assign(struct pci_host *h)
{
	struct want *want = calloc(NSLOTS * PCI_NBARS, sizeof(*want));
	uint64_t next[3] = { h->spec.io_base, h->spec.mem32_base, h->spec.mem64_base };
	unsigned n = 0;
	int error = 0;

	if (want == NULL)
		return (vmm_fail(ENOMEM, "pci: no memory"));
	pthread_mutex_lock(&h->lock);
	for (unsigned i = 0; i < NSLOTS; i++) {
		for (unsigned b = 0; h->fn[i] != NULL && b < PCI_NBARS; b++) {
			if (h->fn[i]->bar[b].kind != PCI_BAR_NONE)
				want[n++] = (struct want){ h->fn[i], b };
		}
	}
	qsort(want, n, sizeof(*want), larger_first);
	for (unsigned i = 0; i < n && error == 0; i++)
		error = assign_one(h, &want[i], next);
	for (unsigned i = 0; i < NSLOTS && error == 0; i++) {
		if (h->fn[i] != NULL)
			switch_on(h->fn[i]);
	}
	pthread_mutex_unlock(&h->lock);
	free(want);
	return (error);
}

/* Life */

int
pci_host_set_ecam_buses(struct pci_host *h, uint64_t base, unsigned buses)
{
	struct vm_range_spec spec = {
		.name = "pci-config", .space = VM_SPACE_MEM, .base = base, .len = buses * ECAM_BUS_LEN, .read = ecam_read,
		.write = ecam_write, .arg = h,
	};

	if (base == h->ecam && (base == 0 || buses == h->buses))
		return (0);
	vm_range_remove(h->ecam_range);
	h->ecam_range = base != 0 ? vm_range_add(h->vmm->vm, &spec) : NULL;
	h->ecam = h->ecam_range != NULL ? base : 0;
	h->buses = buses;
	return (h->ecam == base ? 0 : vmm_fail_vm("pci"));
}

int
pci_host_set_ecam(struct pci_host *h, uint64_t base)
{
	return (pci_host_set_ecam_buses(h, base, ECAM_BUSES));
}

uint64_t
pci_host_ecam(const struct pci_host *h)
{
	return (h->ecam);
}

uint32_t
pci_host_address(struct pci_host *h)
{
	uint32_t address;

	pthread_mutex_lock(&h->lock);
	address = h->address;
	pthread_mutex_unlock(&h->lock);
	return (address);
}

void
pci_host_set_address(struct pci_host *h, uint32_t address)
{
	pthread_mutex_lock(&h->lock);
	h->address = address & ADDRESS_KNOWN;
	pthread_mutex_unlock(&h->lock);
}

struct pci_host *
pci_host_new(struct vmm *vmm, const struct pci_host_spec *spec)
{
	struct pci_host *h = calloc(1, sizeof(*h));
	struct vm_range_spec ports = {
		.name = "pci-ports", .space = VM_SPACE_IO, .base = PORTS, .len = PORTS_LEN, .read = ports_read,
		.write = ports_write, .arg = h,
	};

	if (h == NULL)
		return (vmm_fail_null(ENOMEM, "pci: no memory"));
	h->vmm = vmm;
	h->spec = *spec;
	pthread_mutex_init(&h->lock, NULL);
	if (spec->ports && (h->ports_range = vm_range_add(vmm->vm, &ports)) == NULL) {
		(void)vmm_fail_vm("pci");
		goto fail;
	}
	if (pci_host_set_ecam(h, spec->ecam) != 0)
		goto fail;
	return (h);
fail:
	pci_host_free(h);
	return (NULL);
}

void
pci_host_free(struct pci_host *h)
{
	if (h == NULL)
		return;
	vm_range_remove(h->ecam_range);
	vm_range_remove(h->ports_range);
	(void)vm_range_sync(h->vmm->vm);
	pthread_mutex_destroy(&h->lock);
	free(h);
}
