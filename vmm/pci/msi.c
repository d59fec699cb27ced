/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msi.c - one message of a PCI function: MSI (PCI 6.8.1), of 64 bits and without masking.
 *
 * What the driver writes is in the configuration space, whose state it is part of; the interrupt handle follows it.  Nothing is
 * kept pending: a function that may not write to memory sends no message, and its device raises again what it still wants
 * when it may.
 */
#include <errno.h>

#include "../error.h"
#include "../trace.h"
#include "pci_internal.h"

#define	CAP_MSI		0x05
#define	R_CONTROL	2		/* 6.8.1.3 */
#define	CONTROL_ENABLE	0x0001U
#define	CONTROL_64	0x0080U
#define	R_ADDR		4
#define	R_DATA		12
#define	CAP_LEN		14

bool
pci_msi_enabled(const struct pci_fn *fn)
{
	return (fn->msi != NULL && (pci_load(fn, fn->msi_cap + R_CONTROL, 2) & CONTROL_ENABLE) != 0);
}

bool
pci_msi_concerns(const struct pci_fn *fn, unsigned off, unsigned size)
{
	return (fn->msi != NULL && pci_covers(off, size, fn->msi_cap, CAP_LEN));
}

void
pci_msi_update(struct pci_fn *fn)
{
	uint64_t addr;

	if (fn->msi == NULL)
		return;
	addr = pci_load(fn, fn->msi_cap + R_ADDR, 4) | (uint64_t)pci_load(fn, fn->msi_cap + R_ADDR + 4, 4) << 32;
	if (vm_irq_set_msi(fn->msi, addr, pci_load(fn, fn->msi_cap + R_DATA, 2)) != 0 || vm_irq_set_mask(fn->msi, !pci_msi_enabled(fn)) != 0)
		device_guest_log(fn->dev, "its message: %s", vm_errmsg());
}

int
pci_add_msi(struct pci_fn *fn)
{
	uint8_t control = CONTROL_64;
	unsigned cap;

	if (fn->msi != NULL)
		return (vmm_fail(EINVAL, "%s: it has a message already", fn->dev->name));
	cap = pci_add_cap(fn, CAP_MSI, CAP_LEN);
	if (cap == 0)
		return (vmm_fail(ENOSPC, "%s: no room for one more capability", fn->dev->name));
	fn->msi = vm_irq_open_msi(fn->dev->vmm->vm, pci_requester(fn));
	if (fn->msi == NULL)
		return (vmm_fail_vm("%s", fn->dev->name));
	fn->msi_cap = (uint8_t)cap;
	pci_fill(fn, cap + R_CONTROL, &control, 1);
	pci_writable(fn, cap + R_CONTROL, 1, CONTROL_ENABLE);
	pci_writable(fn, cap + R_ADDR, 4, ~3U);
	pci_writable(fn, cap + R_ADDR + 4, 4, UINT32_MAX);
	pci_writable(fn, cap + R_DATA, 2, 0xffff);
	return (0);
}

void
pci_msi_raise(struct pci_fn *fn)
{
	pthread_mutex_lock(&fn->lock);
	if (pci_msi_enabled(fn) && (pci_command(fn) & PCI_CMD_MASTER) != 0) {
		TRACE(fn->dev->vmm->log, irq__msi, fn->dev->name, 0, pci_load(fn, fn->msi_cap + R_DATA, 2),
		    pci_load(fn, fn->msi_cap + R_ADDR, 4) | (uint64_t)pci_load(fn, fn->msi_cap + R_ADDR + 4, 4) << 32);
		if (vm_irq_assert(fn->msi) != 0)
			device_guest_log(fn->dev, "its message: %s", vm_errmsg());
	}
	pthread_mutex_unlock(&fn->lock);
}

void
pci_msi_renumber(struct pci_fn *fn)
{
	struct vm_irq *irq;

	if (fn->msi == NULL)
		return;
	irq = vm_irq_open_msi(fn->dev->vmm->vm, pci_requester(fn));
	if (irq == NULL || vm_irq_set_mask(irq, true) != 0) {
		device_guest_log(fn->dev, "its message: %s", vm_errmsg());
		vm_irq_close(irq);
		return;
	}
	vm_irq_close(fn->msi);
	fn->msi = irq;
}

void
pci_msi_fini(struct pci_fn *fn)
{
	vm_irq_close(fn->msi);
	fn->msi = NULL;
}
