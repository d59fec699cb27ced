/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_pci.h - for targets that play a guest of PCI functions: a VM with a host bridge, and what a driver reaches of the function under work.
 */
#ifndef _FUZZ_PCI_H_
#define	_FUZZ_PCI_H_

#include <sys/mman.h>

#include <stdio.h>
#include <unistd.h>

#include "fuzz_devices.h"
#include "pci/pci.h"

#define	FUZZ_ECAM	0xb0000000ULL

struct fuzz_pci {
	struct vmm	 vmm;
	struct pci_host	*host;
	uint8_t		*ram;
	unsigned	 devfn;		/* of the function under work */
};

/* Everything but devices and a processor. */
static inline void
fuzz_pci_open(struct fuzz_pci *g)
{
	const struct pci_host_spec hs = {
		.ecam = FUZZ_ECAM, .ports = true, .io_base = 0x6000, .io_limit = 0x10000, .mem32_base = 0xc0000000, .mem32_limit = 0xd0000000,
	};

	g->ram = fuzz_vm_open(&g->vmm);
	g->host = pci_host_new(&g->vmm, &hs);
	if (g->host == NULL)
		abort();
}

/* An image of 1 MiB for a device's `path', which is /proc/self/fd/N. */
static inline int
fuzz_image(void)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, 1 << 20) != 0)
		abort();
	return (fd);
}

/* With a processor for messages to arrive at. */
static inline void
fuzz_pci_start(struct fuzz_pci *g)
{
	if (vm_vcpu_open(g->vmm.vm, 0) == NULL || vm_start(g->vmm.vm) != 0)
		abort();
}

/* All of it, with the function under work: of a class, with keys in lines "name.key=value", and a pin. */
static inline void
fuzz_pci_function(struct fuzz_pci *g, const char *cls, const char *name, const char *keys)
{
	struct device_place place = { .on = DEVICE_ON_PCI, .devfn = (uint8_t)g->devfn, .nirqs = 1 };

	fuzz_pci_open(g);
	place.pci = g->host;
	place.irq[0] = vm_irq_open_line(g->vmm.vm, 16);
	if (place.irq[0] == NULL)
		abort();
	(void)fuzz_device(&g->vmm, cls, name, keys, &place);
	fuzz_pci_start(g);
}

static inline uint64_t
fuzz_mem(struct fuzz_pci *g, uint64_t addr, unsigned size, bool write, uint64_t val)
{
	(void)vm_access(g->vmm.vm, VM_SPACE_MEM, addr, size, write, &val);
	return (val);
}

static inline uint64_t
fuzz_cfg(const struct fuzz_pci *g, unsigned off)
{
	return (FUZZ_ECAM + ((uint64_t)g->devfn << 12) + off);
}

/* The function under work is there, after the reset that it may have been asked for, and switched on (PM 1.2). */
static inline void
fuzz_pci_wake(struct fuzz_pci *g)
{
	unsigned n, off;

	for (n = 0; n < 100 && fuzz_mem(g, fuzz_cfg(g, 0), 2, false, 0) == 0xffff; n++)
		(void)event_loop_once(g->vmm.loop, 1);
	off = (unsigned)fuzz_mem(g, fuzz_cfg(g, 0x34), 1, false, 0);
	for (n = 0; n < 48 && off != 0 && fuzz_mem(g, fuzz_cfg(g, off), 1, false, 0) != 1; n++)
		off = (unsigned)fuzz_mem(g, fuzz_cfg(g, off + 1), 1, false, 0);
	if (off != 0)
		(void)fuzz_mem(g, fuzz_cfg(g, off + 4), 1, true, 0);
}

/* It is awake, and BARs get addresses, as firmware gives them. */
static inline void
fuzz_pci_assign(struct fuzz_pci *g)
{
	fuzz_pci_wake(g);
	if (pci_host_assign(g->host) != 0)
		abort();
}

/* Where a BAR is, says its register. */
static inline uint64_t
fuzz_bar(struct fuzz_pci *g, unsigned n)
{
	return (fuzz_mem(g, fuzz_cfg(g, 0x10 + 4 * n), 4, false, 0) & ~0xfULL);
}

/* An access to a register, whose width and direction a byte says. */
static inline void
fuzz_touch(struct fuzz_pci *g, uint64_t base, uint32_t off, const uint8_t **p, const uint8_t *end)
{
	uint8_t how = (uint8_t)fuzz_bytes(p, end, 1);
	unsigned size = 1U << (how & 3);

	(void)fuzz_mem(g, base + off, size, (how & 4) == 0, (how & 4) == 0 ? fuzz_bytes(p, end, size) : 0);
}

#endif /* _FUZZ_PCI_H_ */
