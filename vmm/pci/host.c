/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host.c - a PCI segment, which is bus 0 and what is behind its ports: configuration by memory (PCIe 7.2.2) and by ports (PCI 3.2.2.3.2).
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

/* Largest naturally aligned piece of [off, off + size). */
static unsigned
piece(uint64_t off, unsigned size)
{
	unsigned n = size >= 4 ? 4 : size >= 2 ? 2 : 1;

	while (off % n != 0)
		n /= 2;
	return (n);
}

/* The function that has this id, if the guest can reach it.  A port takes what is for its bus (PCI-to-PCI Bridge Architecture 3.1.2.1.2). */
static struct pci_fn *
find(const struct pci_host *h, unsigned id)
{
	if (id >> 8 == 0)
		return (h->fn[id]);
	for (const struct pci_port *port = h->ports; port != NULL; port = port->next) {
		if (port->up.on && port->up.bus == id >> 8)
			return ((id & 0xff) == 0 ? port->behind : NULL);
	}
	return (NULL);
}

static uint64_t
cfg_read(struct pci_host *h, unsigned id, unsigned off, unsigned size)
{
	struct pci_fn *fn = find(h, id);
	uint64_t v = 0;
	unsigned n;

	for (unsigned i = 0; i < size; i += n) {
		n = piece(off + i, size - i);
		v |= (uint64_t)(fn == NULL || off + i >= PCI_CFG_LEN ? UINT32_MAX >> (32 - 8 * n) :
		    pci_fn_read(fn, off + i, n)) << (8 * i);
	}
	TRACE(h->vmm->log, pci__read, NULL, id, off, size, v);
	return (v);
}

static void
cfg_write(struct pci_host *h, unsigned id, unsigned off, unsigned size, uint64_t val)
{
	struct pci_fn *fn = find(h, id);
	unsigned n;

	TRACE(h->vmm->log, pci__write, NULL, id, off, size, val);
	for (unsigned i = 0; fn != NULL && i < size && off + i < PCI_CFG_LEN; i += n) {
		n = piece(off + i, size - i);
		pci_fn_write(fn, off + i, n, (uint32_t)(val >> (8 * i)));
	}
}

void
pci_host_uncovered(struct pci_host *h, const struct pci_fn *fn, bool io, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < PCI_NSLOTS; i++) {
		if (h->fn[i] != NULL && h->fn[i] != fn)
			pci_fn_uncovered(h->fn[i], io, addr, len);
	}
	for (const struct pci_port *port = h->ports; port != NULL; port = port->next) {
		if (port->behind != NULL && port->behind != fn)
			pci_fn_uncovered(port->behind, io, addr, len);
	}
}

/* Bus in bits 27:20, device and function in 19:12, register in 11:0. */
static uint64_t
ecam_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct pci_host *h = arg;
	uint64_t v;

	pthread_mutex_lock(&h->lock);
	v = cfg_read(h, (unsigned)(off >> 12) & 0xffff, (unsigned)off & 0xfff, size);
	pthread_mutex_unlock(&h->lock);
	return (v);
}

static void
ecam_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_host *h = arg;

	pthread_mutex_lock(&h->lock);
	cfg_write(h, (unsigned)(off >> 12) & 0xffff, (unsigned)off & 0xfff, size, val);
	pthread_mutex_unlock(&h->lock);
}

/*
 * The register that the address port selects, for an access at off within the data port, and how much
 * of the access is within it; false: none.
 */
static bool
selected(const struct pci_host *h, uint64_t off, unsigned *id, unsigned *reg, unsigned *size)
{
	if (off < DATA || (h->address & ADDRESS_ENABLE) == 0)
		return (false);
	*id = (h->address >> 8) & 0xffff;
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
	unsigned id, reg;

	/* Only whole accesses are to the address (PCI 3.2.2.3.2). */
	pthread_mutex_lock(&h->lock);
	if (off == 0 && size == 4)
		v = h->address;
	else if (selected(h, off, &id, &reg, &size))
		v = cfg_read(h, id, reg, size) | ~(UINT64_MAX >> (64 - 8 * size));
	pthread_mutex_unlock(&h->lock);
	return (v);
}

static void
ports_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_host *h = arg;
	unsigned id, reg;

	pthread_mutex_lock(&h->lock);
	if (off == 0 && size == 4)
		h->address = (uint32_t)val & ADDRESS_KNOWN;
	else if (selected(h, off, &id, &reg, &size))
		cfg_write(h, id, reg, size, val);
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
	if (fn->port != NULL && (fn->devfn != 0 || fn->bridge))
		error = vmm_fail(EINVAL, "%s: behind a port is room for one device without other buses", fn->dev->name);
	else if (fn->port != NULL && fn->port->behind != NULL)
		error = vmm_fail(EEXIST, "%s: the slot of %s is taken by %s", fn->dev->name, fn->port->fn->dev->name, fn->port->behind->dev->name);
	else if (fn->port != NULL)
		fn->port->behind = fn;
	else if (h->fn[fn->devfn] != NULL)
		error = vmm_fail(EEXIST, "%s: PCI slot %u.%u is taken by %s", fn->dev->name, fn->devfn >> 3,
		    fn->devfn & 7U, h->fn[fn->devfn]->dev->name);
	else
		h->fn[fn->devfn] = fn;
	if (fn->port == NULL)
		count_functions(h, fn->devfn);
	pthread_mutex_unlock(&h->lock);
	return (error);
}

void
pci_host_detach(struct pci_host *h, struct pci_fn *fn)
{
	pthread_mutex_lock(&h->lock);
	if (fn->port != NULL && fn->port->behind == fn)
		fn->port->behind = NULL;
	if (h->fn[fn->devfn] == fn)
		h->fn[fn->devfn] = NULL;
	if (fn->port == NULL)
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

void
pci_host_add_port(struct pci_host *h, struct pci_port *port)
{
	pthread_mutex_lock(&h->lock);
	port->next = h->ports;
	h->ports = port;
	pthread_mutex_unlock(&h->lock);
}

void
pci_host_remove_port(struct pci_host *h, struct pci_port *port)
{
	struct pci_port **link = &h->ports;

	pthread_mutex_lock(&h->lock);
	while (*link != NULL && *link != port)
		link = &(*link)->next;
	if (*link != NULL)
		*link = port->next;
	pthread_mutex_unlock(&h->lock);
}

struct pci_port *
pci_host_port(struct pci_host *h, const struct pci_fn *fn)
{
	struct pci_port *port;

	pthread_mutex_lock(&h->lock);
	for (port = h->ports; port != NULL && port->fn != fn; port = port->next)
		;
	pthread_mutex_unlock(&h->lock);
	return (port);
}

void
pci_host_up(struct pci_host *h, const struct pci_port *port, struct pci_upstream *up)
{
	pthread_mutex_lock(&h->lock);
	*up = port->up;
	pthread_mutex_unlock(&h->lock);
}

static void
set_line(struct pci_fn *fn, unsigned slot, const uint8_t *line, unsigned n)
{
	if (fn != NULL && pci_fn_read(fn, PCI_INTERRUPT_PIN, 1) != 0)
		pci_fn_write(fn, PCI_INTERRUPT_LINE, 1, line[slot % n]);
}

void
pci_host_set_lines(struct pci_host *h, const uint8_t *line, unsigned n)
{
	pthread_mutex_lock(&h->lock);
	for (unsigned i = 0; i < PCI_NSLOTS; i++)
		set_line(h->fn[i], PCI_SLOT(i), line, n);
	for (struct pci_port *port = h->ports; port != NULL; port = port->next)
		set_line(port->behind, PCI_SLOT(port->fn->devfn), line, n);
	pthread_mutex_unlock(&h->lock);
}

void
pci_host_on_pin(struct pci_host *h, void (*fn)(void *arg, uint8_t devfn, bool level), void *arg)
{
	h->on_pin = fn;
	h->on_pin_arg = arg;
}

/*
 * Pin A of device 0 behind a port comes out at pin A of the port (PCI-to-PCI Bridge Architecture 9.1): for a router it is one more function
 * of the port's slot, in which there is no other.
 */
void
pci_host_pin(struct pci_host *h, const struct pci_fn *fn, bool level)
{
	uint8_t devfn = fn->port != NULL ? PCI_DEVFN(PCI_SLOT(fn->port->fn->devfn), 1) : fn->devfn;

	if (h->on_pin != NULL)
		h->on_pin(h->on_pin_arg, devfn, level);
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
