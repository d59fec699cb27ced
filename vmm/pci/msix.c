/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msix.c - message vectors of a PCI function: MSI-X (PCI 6.8.2).
 *
 * Each vector is an interrupt handle, which has the pending bit.  The handle is masked unless the
 * driver uses vectors, neither the vector nor the function is masked, and the function may write
 * to memory, which a message is: so nothing is lost while it may not, and nothing sent.
 */
#include <errno.h>
#include <inttypes.h>

#include "../error.h"
#include "../trace.h"
#include "pci_internal.h"

#define	CAP_MSIX	0x11
#define	R_CONTROL	2		/* 6.8.2.3 */
#define	CONTROL_ENABLE	0x8000U
#define	CONTROL_MASK	0x4000U
#define	R_TABLE		4
#define	R_PBA		8
#define	CAP_LEN		12

#define	ENTRY		16		/* bytes of a table entry (6.8.2.6) */
#define	VECTOR_MASKED	1U
#define	BAR_LEN		4096
#define	PBA		2048		/* offset of the pending bits; the table is at 0 */

_Static_assert(PCI_MSIX_MAX * ENTRY <= PBA, "the table ends before the pending bits");

static uint32_t
control(const struct pci_fn *fn)
{
	return (pci_load(fn, fn->msix_cap + R_CONTROL, 2));
}

bool
pci_msix_enabled(const struct pci_fn *fn)
{
	return (fn->nmsix != 0 && (control(fn) & CONTROL_ENABLE) != 0);
}

bool
pci_msix_concerns(const struct pci_fn *fn, unsigned off, unsigned size)
{
	return (fn->nmsix != 0 &&
	    (pci_covers(off, size, fn->msix_cap + R_CONTROL, 2) || pci_covers(off, size, PCI_COMMAND, 2)));
}

static bool
masked(const struct pci_fn *fn, unsigned vec)
{
	return ((control(fn) & (CONTROL_ENABLE | CONTROL_MASK)) != CONTROL_ENABLE ||
	    (pci_command(fn) & PCI_CMD_MASTER) == 0 || (fn->msix[vec].control & VECTOR_MASKED) != 0);
}

/* The message before the mask, which may send what is pending. */
static void
update(struct pci_fn *fn, unsigned vec)
{
	struct pci_msix_vector *v = &fn->msix[vec];

	if (vm_irq_set_msi(v->irq, v->addr, v->data) != 0 || vm_irq_set_mask(v->irq, masked(fn, vec)) != 0)
		device_guest_log(fn->dev, "message vector %u: %s", vec, vm_errmsg());
}

void
pci_msix_update(struct pci_fn *fn)
{
	struct vmctx *vm = fn->dev->vmm->vm;

	(void)vm_irq_hold(vm);
	for (unsigned i = 0; i < fn->nmsix; i++)
		update(fn, i);
	if (vm_irq_release(vm) != 0)
		device_guest_log(fn->dev, "message vectors: %s", vm_errmsg());
}

static bool
pending(const struct pci_fn *fn, unsigned vec)
{
	struct vm_irq_info info = { 0 };

	(void)vm_irq_get_info(fn->msix[vec].irq, &info);
	return (info.pending);
}

/* A double word of the table or the pending bits; what is neither reads as 0. */
static uint32_t
word(const struct pci_fn *fn, uint64_t off)
{
	unsigned vec = (unsigned)(off / ENTRY);
	uint32_t bits = 0;

	if (off < PBA) {
		if (vec >= fn->nmsix)
			return (0);
		switch (off % ENTRY) {
		case 0:
			return ((uint32_t)fn->msix[vec].addr);
		case 4:
			return ((uint32_t)(fn->msix[vec].addr >> 32));
		case 8:
			return (fn->msix[vec].data);
		default:
			return (fn->msix[vec].control);
		}
	}
	vec = 8 * (unsigned)(off - PBA);
	for (unsigned i = 0; i < 32 && vec + i < fn->nmsix; i++) {
		if (pending(fn, vec + i))
			bits |= 1U << i;
	}
	return (bits);
}

/* Pending bits are read-only. */
static void
set_word(struct pci_fn *fn, uint64_t off, uint32_t val)
{
	unsigned vec = (unsigned)(off / ENTRY);
	struct pci_msix_vector *v;

	if (off >= PBA || vec >= fn->nmsix)
		return;
	v = &fn->msix[vec];
	switch (off % ENTRY) {
	case 0:
		v->addr = (v->addr & ~(uint64_t)UINT32_MAX) | (val & ~3U);
		break;
	case 4:
		v->addr = (v->addr & UINT32_MAX) | (uint64_t)val << 32;
		break;
	case 8:
		v->data = val;
		break;
	default:
		v->control = val & VECTOR_MASKED;
		break;
	}
}

/* 6.8.2: accesses are aligned and of four or eight bytes; others are not defined, and do nothing here. */
static bool
allowed(struct pci_fn *fn, uint64_t off, unsigned size)
{
	if ((size == 4 || size == 8) && off % size == 0)
		return (true);
	device_guest_log(fn->dev, "access of %u bytes at %#" PRIx64 " of its message table", size, off);
	return (false);
}

static uint64_t
table_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct pci_fn *fn = arg;
	uint64_t v;

	if (!allowed(fn, off, size))
		return (UINT64_MAX);
	pthread_mutex_lock(&fn->lock);
	v = word(fn, off);
	if (size == 8)
		v |= (uint64_t)word(fn, off + 4) << 32;
	pthread_mutex_unlock(&fn->lock);
	return (v);
}

static void
table_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct pci_fn *fn = arg;

	if (!allowed(fn, off, size))
		return;
	pthread_mutex_lock(&fn->lock);
	set_word(fn, off, (uint32_t)val);
	if (size == 8)
		set_word(fn, off + 4, (uint32_t)(val >> 32));
	if (off < PBA && off / ENTRY < fn->nmsix)
		update(fn, (unsigned)(off / ENTRY));
	pthread_mutex_unlock(&fn->lock);
}

static const struct pci_bar_ops table_ops = { table_read, table_write };

int
pci_add_msix(struct pci_fn *fn, unsigned nvec, unsigned n)
{
	uint8_t regs[CAP_LEN - 2] = { 0 };
	unsigned cap;

	if (nvec == 0 || nvec > PCI_MSIX_MAX || fn->nmsix != 0)
		return (vmm_fail(EINVAL, "%s: there cannot be %u message vectors", fn->dev->name, nvec));
	if (pci_add_bar(fn, n, PCI_BAR_MEM32, BAR_LEN, &table_ops, fn) != 0)
		return (-1);
	cap = pci_add_cap(fn, CAP_MSIX, CAP_LEN);
	if (cap == 0)
		return (vmm_fail(ENOSPC, "%s: no room for one more capability", fn->dev->name));
	for (unsigned i = 0; i < nvec; i++) {
		fn->msix[i].irq = vm_irq_open_msi(fn->dev->vmm->vm, pci_requester(fn));
		if (fn->msix[i].irq == NULL)
			return (vmm_fail_vm("%s", fn->dev->name));
		fn->nmsix++;
	}
	fn->msix_cap = (uint8_t)cap;
	fn->msix_bar = (uint8_t)n;
	regs[R_CONTROL - 2] = (uint8_t)(nvec - 1);
	regs[R_TABLE - 2] = (uint8_t)n;
	regs[R_PBA - 2] = (uint8_t)n;
	regs[R_PBA - 1] = PBA >> 8;
	pci_fill(fn, cap + 2, regs, sizeof(regs));
	pci_writable(fn, cap + R_CONTROL, 2, CONTROL_ENABLE | CONTROL_MASK);
	return (0);
}

bool
pci_msix_on(struct pci_fn *fn)
{
	bool on;

	pthread_mutex_lock(&fn->lock);
	on = pci_msix_enabled(fn);
	pthread_mutex_unlock(&fn->lock);
	return (on);
}

void
pci_msix_raise(struct pci_fn *fn, unsigned vec)
{
	pthread_mutex_lock(&fn->lock);
	if (vec < fn->nmsix && pci_msix_enabled(fn)) {
		TRACE(fn->dev->vmm->log, irq__msi, fn->dev->name, vec, fn->msix[vec].data, fn->msix[vec].addr);
		if (vm_irq_assert(fn->msix[vec].irq) != 0)
			device_guest_log(fn->dev, "message vector %u: %s", vec, vm_errmsg());
	}
	pthread_mutex_unlock(&fn->lock);
}

/* Life */

/* 6.8.2.9: vectors are masked after reset. */
void
pci_msix_reset(struct pci_fn *fn)
{
	for (unsigned i = 0; i < fn->nmsix; i++) {
		struct pci_msix_vector *v = &fn->msix[i];

		v->addr = 0;
		v->data = 0;
		v->control = VECTOR_MASKED;
		v->pending = 0;
		(void)vm_irq_set_mask(v->irq, true);
		(void)vm_irq_set_pending(v->irq, false);
	}
	pci_msix_update(fn);
}

void
pci_msix_pause(struct pci_fn *fn)
{
	for (unsigned i = 0; i < fn->nmsix; i++)
		fn->msix[i].pending = pending(fn, i);
}

void
pci_msix_resume(struct pci_fn *fn)
{
	for (unsigned i = 0; i < fn->nmsix; i++) {
		(void)vm_irq_set_mask(fn->msix[i].irq, true);
		(void)vm_irq_set_pending(fn->msix[i].irq, fn->msix[i].pending != 0);
	}
	pci_msix_update(fn);
}

/* A vector that the host has no memory for keeps its handle, and the number that it had. */
void
pci_msix_renumber(struct pci_fn *fn)
{
	for (unsigned i = 0; i < fn->nmsix; i++) {
		struct vm_irq *irq = vm_irq_open_msi(fn->dev->vmm->vm, pci_requester(fn));

		if (irq == NULL || vm_irq_set_mask(irq, true) != 0 || vm_irq_set_pending(irq, pending(fn, i)) != 0) {
			device_guest_log(fn->dev, "message vector %u: %s", i, vm_errmsg());
			vm_irq_close(irq);
			continue;
		}
		vm_irq_close(fn->msix[i].irq);
		fn->msix[i].irq = irq;
	}
}

void
pci_msix_fini(struct pci_fn *fn)
{
	for (unsigned i = 0; i < fn->nmsix; i++)
		vm_irq_close(fn->msix[i].irq);
	fn->nmsix = 0;
}

/* State */

static int
check(void *obj)
{
	const struct pci_msix_vector *v = obj;

	if ((v->control & ~VECTOR_MASKED) != 0 || (v->addr & 3) != 0 || v->pending > 1)
		return (vm_state_complain("message vector with address %#" PRIx64 " and control %#x", v->addr,
		    v->control));
	return (0);
}

static const struct vm_state_field fields[] = {
	VM_STATE_U64(struct pci_msix_vector, addr), VM_STATE_U32(struct pci_msix_vector, data),
	VM_STATE_U32(struct pci_msix_vector, control), VM_STATE_U8(struct pci_msix_vector, pending),
};

const struct vm_state_table pci_msix_table = VM_STATE_TABLE("pci.msix", 1, 1, fields, check);
