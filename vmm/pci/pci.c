/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pci.c - PCI Express functions: configuration registers, BARs, the interrupt pin.
 *
 * BARs of a segment may overlap on the guest's way from one set of addresses to another.  Each has a
 * priority of its own, below all other ranges, so that none is ever refused, and who wins does not
 * depend on the order of the writes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../trace.h"
#include "pci_internal.h"

#define	STATUS_INTX	0x08		/* PCI 6.2.3 */
#define	STATUS_CAPS	0x10
#define	CMD_PARITY	0x0040
#define	CMD_SERR	0x0100
#define	MULTI		0x80U		/* header type */

#define	BAR_IO		0x1U		/* PCI 6.2.5.1 */
#define	BAR_MEM64	0x4U
#define	BAR_PREFETCH	0x8U
#define	ROM_ENABLE	0x1U		/* PCI 6.2.5.2 */

/* The pin */

/*
 * PCI 6.2.4, 6.2.2: the status bit tells the function's wish, also while INTX_OFF keeps it from the
 * pin; 6.8.3.3: no pin while messages are used.  Lock held.
 */
static void
drive_pin(struct pci_fn *fn)
{
	struct vm_irq *irq = fn->dev->place.irq[0];
	bool wish = fn->intx && fn->initial[PCI_INTERRUPT_PIN] != 0 && !pci_msix_enabled(fn) && !pci_msi_enabled(fn);
	bool level = wish && (pci_command(fn) & PCI_CMD_INTX_OFF) == 0;

	if (irq != NULL && fn->initial[PCI_INTERRUPT_PIN] != 0)
		TRACE(fn->dev->vmm->log, irq__line, fn->dev->name, level);
	if (wish)
		fn->cfg[PCI_STATUS] |= STATUS_INTX;
	else
		fn->cfg[PCI_STATUS] &= (uint8_t)~STATUS_INTX;
	if (irq == NULL || fn->initial[PCI_INTERRUPT_PIN] == 0)
		return;
	(void)(level ? vm_irq_assert(irq) : vm_irq_deassert(irq));
	pci_host_pin(fn->host, fn, level);
}

void
pci_intx(struct pci_fn *fn, bool level)
{
	pthread_mutex_lock(&fn->lock);
	if (fn->intx != level) {
		fn->intx = level;
		drive_pin(fn);
	}
	pthread_mutex_unlock(&fn->lock);
}

bool
pci_master(struct pci_fn *fn)
{
	bool on;

	pthread_mutex_lock(&fn->lock);
	on = (pci_command(fn) & PCI_CMD_MASTER) != 0;
	pthread_mutex_unlock(&fn->lock);
	return (on);
}

uint32_t
pci_get(struct pci_fn *fn, unsigned off, unsigned size)
{
	uint32_t v;

	pthread_mutex_lock(&fn->lock);
	v = pci_load(fn, off, size);
	pthread_mutex_unlock(&fn->lock);
	return (v);
}

void
pci_put(struct pci_fn *fn, unsigned off, unsigned size, uint32_t val)
{
	pthread_mutex_lock(&fn->lock);
	pci_store(fn, off, size, val);
	pthread_mutex_unlock(&fn->lock);
}

/* BARs */

/* Whether a port lets requests for [addr, addr + size) through; a BAR that is in a window only in part is nowhere. */
static bool
let_through(const struct pci_fn *fn, enum pci_bar_kind kind, uint64_t addr, uint64_t size)
{
	const struct pci_upstream *up = &fn->up;
	const struct pci_window *w[2] = { kind == PCI_BAR_IO ? &up->io : &up->mem, kind == PCI_BAR_IO ? &up->io : &up->pref };

	if (fn->port == NULL)
		return (true);
	for (unsigned i = 0; i < 2; i++) {
		if (addr >= w[i]->base && addr <= w[i]->limit && size - 1 <= w[i]->limit - addr)
			return (true);
	}
	return (false);
}

static unsigned
bar_reg(unsigned n)
{
	return (n == PCI_ROM ? PCI_ROM_BASE : PCI_BAR0 + 4 * n);
}

/* Where the registers say that a BAR decodes; 0: nowhere. */
static uint64_t
bar_decodes(const struct pci_fn *fn, unsigned n)
{
	const struct pci_bar *bar = &fn->bar[n];
	uint64_t addr = pci_load(fn, bar_reg(n), 4);
	uint16_t cmd = pci_command(fn);

	switch (bar->kind) {
	case PCI_BAR_IO:
		addr &= ~3ULL;
		return ((cmd & PCI_CMD_IO) != 0 && addr + bar->size <= 0x10000 ? addr : 0);
	case PCI_BAR_MEM64:
		addr |= (uint64_t)pci_load(fn, bar_reg(n + 1), 4) << 32;
		/* FALLTHROUGH */
	case PCI_BAR_MEM32:
		addr &= ~0xfULL;
		return ((cmd & PCI_CMD_MEM) != 0 && addr + bar->size > addr ? addr : 0);
	case PCI_BAR_ROM:
		if ((addr & ROM_ENABLE) == 0)
			return (0);
		addr &= ~0x7ffULL;
		return ((cmd & PCI_CMD_MEM) != 0 && addr != 0 ? addr : 0);
	default:
		return (0);
	}
}

static uint64_t
bar_addr(const struct pci_fn *fn, unsigned n)
{
	uint64_t addr = bar_decodes(fn, n);

	return (addr != 0 && let_through(fn, fn->bar[n].kind, addr, fn->bar[n].size) ? addr : 0);
}

/* A number of its own among all places of the segment. */
static int
place_number(const struct pci_fn *fn)
{
	return (fn->port != NULL ? (int)(256 * (1 + PCI_SLOT(fn->port->fn->devfn))) + fn->devfn : fn->devfn);
}

/* Lock held.  true if it moved. */
static bool
bar_place(struct pci_fn *fn, unsigned n)
{
	struct pci_bar *bar = &fn->bar[n];
	uint64_t addr = bar_addr(fn, n);
	struct vm_range_spec spec = {
		.name = fn->dev->name,
		.space = VM_SPACE_MEM,
		.base = addr, .len = bar->size, .arg = bar->arg,
		.priority = -1 - (PCI_NDECODERS * place_number(fn) + (int)n),
	};

	if (bar->kind == PCI_BAR_NONE || addr == bar->addr)
		return (false);
	if (bar->kind == PCI_BAR_IO)
		spec.space = pci_host_io(fn->host, &spec.base);
	spec.read = bar->ops->read;
	spec.write = bar->ops->write;
	vm_range_remove(bar->range);
	bar->range = NULL;
	bar->addr = 0;
	if (addr == 0)
		return (true);
	bar->range = vm_range_add(fn->dev->vmm->vm, &spec);
	if (bar->range != NULL)
		bar->addr = addr;
	else
		device_guest_log(fn->dev, "BAR %u cannot be at %#" PRIx64 ": %s", n, addr, vm_errmsg());
	return (true);
}

/* BARs that moved: their bits, and where they were (0: nowhere). */
struct moves {
	unsigned	 bits;
	uint64_t	 from[PCI_NDECODERS];
};

/* Bring every BAR to where the registers say.  Lock held. */
static struct moves
bars_place(struct pci_fn *fn)
{
	struct moves m = { 0 };

	for (unsigned n = 0; n < PCI_NDECODERS; n++) {
		m.from[n] = fn->bar[n].addr;
		if (bar_place(fn, n))
			m.bits |= 1U << n;
	}
	return (m);
}

/* A BAR of another function is no longer at addr: those that it shared the place with have it to themselves. */
void
pci_fn_uncovered(struct pci_fn *fn, bool io, uint64_t addr, uint64_t len)
{
	uint64_t at[PCI_NBARS] = { 0 };

	if (fn->ops == NULL || fn->ops->bar_moved == NULL)
		return;
	/* It may be one that is only just being made. */
	pthread_mutex_lock(&fn->lock);
	for (unsigned n = 0; n < PCI_NBARS; n++) {
		const struct pci_bar *bar = &fn->bar[n];

		if (bar->kind != PCI_BAR_NONE && (bar->kind == PCI_BAR_IO) == io && bar->addr != 0 && addr < bar->addr + bar->size &&
		    bar->addr < addr + len)
			at[n] = bar->addr;
	}
	pthread_mutex_unlock(&fn->lock);
	for (unsigned n = 0; n < PCI_NBARS; n++) {
		if (at[n] != 0)
			fn->ops->bar_moved(fn, n, true, at[n]);
	}
}

/* Tell the device, and the others that were in the same place.  Segment's lock held, the function's not. */
static void
tell_moved(struct pci_fn *fn, const struct moves *m)
{
	for (unsigned n = 0; n < PCI_NDECODERS; n++) {
		const struct pci_bar *bar = &fn->bar[n];

		if ((m->bits & (1U << n)) == 0)
			continue;
		if (fn->ops != NULL && fn->ops->bar_moved != NULL)
			fn->ops->bar_moved(fn, n, bar->addr != 0, bar->addr);
		if (m->from[n] != 0)
			pci_host_uncovered(fn->host, fn, bar->kind == PCI_BAR_IO, m->from[n], bar->size);
	}
}

/* What was set up is what a reset gives. */
static void
keep_initial(struct pci_fn *fn)
{
	memcpy(fn->initial, fn->cfg, sizeof(fn->initial));
}

/* No such register, or a BAR has it: those of 64 bits have two. */
static bool
bar_taken(const struct pci_fn *fn, unsigned n)
{
	return (n >= PCI_NDECODERS || fn->bar[n].kind != PCI_BAR_NONE ||
	    (n > 0 && n != PCI_ROM && fn->bar[n - 1].kind == PCI_BAR_MEM64));
}

int
pci_add_bar(struct pci_fn *fn, unsigned n, enum pci_bar_kind kind, uint64_t size, const struct pci_bar_ops *ops,
    void *arg)
{
	bool wide = kind == PCI_BAR_MEM64;
	uint64_t mask = ~(size - 1);
	unsigned reg = bar_reg(n);

	if (bar_taken(fn, n) || (wide && bar_taken(fn, n + 1)) || (kind == PCI_BAR_ROM) != (n == PCI_ROM) || (wide && n + 1 == PCI_ROM) || size < 16 || (size & (size - 1)) != 0 ||
	    size > (kind == PCI_BAR_IO ? 256 : wide ? 1ULL << 48 : 1ULL << 31))
		return (vmm_fail(EINVAL, "%s: BAR %u of %#" PRIx64 " bytes cannot be", fn->dev->name, n, size));
	pthread_mutex_lock(&fn->lock);
	fn->bar[n] = (struct pci_bar){ .kind = kind, .size = size, .ops = ops, .arg = arg };
	pthread_mutex_unlock(&fn->lock);
	pci_store(fn, reg, 4, kind == PCI_BAR_IO ? BAR_IO : wide ? BAR_MEM64 | BAR_PREFETCH : 0);
	for (unsigned i = 0; i < (wide ? 8U : 4U); i++)
		fn->wmask[reg + i] = (uint8_t)(mask >> (8 * i));
	/* The bits that tell what it is cannot be written. */
	fn->wmask[reg] &= kind == PCI_BAR_IO ? 0xfc : 0xf0;
	if (kind == PCI_BAR_ROM)
		fn->wmask[reg] = ROM_ENABLE;
	fn->wmask[PCI_COMMAND] |= kind == PCI_BAR_IO ? PCI_CMD_IO : PCI_CMD_MEM;
	keep_initial(fn);
	return (0);
}

/* Capabilities */

unsigned
pci_add_cap(struct pci_fn *fn, uint8_t id, unsigned len)
{
	unsigned off = fn->cap_end;

	len = (len + 3) & ~3U;
	if (len < 4 || off + len > PCI_CAPS_END)
		return (0);
	fn->cfg[fn->cap_last] = (uint8_t)off;
	fn->cfg[off] = id;
	fn->cfg[off + 1] = 0;
	fn->cap_last = (uint8_t)(off + 1);
	fn->cap_end = (uint16_t)(off + len);
	fn->cfg[PCI_STATUS] |= STATUS_CAPS;
	keep_initial(fn);
	return (off);
}

void
pci_fill(struct pci_fn *fn, unsigned off, const void *bytes, unsigned len)
{
	if (off + len > PCI_CFG_LEN)
		return;
	memcpy(fn->cfg + off, bytes, len);
	keep_initial(fn);
}

void
pci_writable(struct pci_fn *fn, unsigned off, unsigned len, uint32_t mask)
{
	for (unsigned i = 0; i < len && off + i < PCI_CFG_LEN; i++)
		fn->wmask[off + i] = (uint8_t)(mask >> (8 * (i & 3)));
}

void
pci_clearable(struct pci_fn *fn, unsigned off, unsigned len, uint32_t mask)
{
	for (unsigned i = 0; i < len && off + i < PCI_CFG_LEN; i++)
		fn->cmask[off + i] = (uint8_t)(mask >> (8 * (i & 3)));
}

/* Behind a port */

uint32_t
pci_requester(const struct pci_fn *fn)
{
	return ((fn->port != NULL ? (uint32_t)fn->up.bus << 8 : 0) | fn->devfn);
}

void
pci_fn_set_upstream(struct pci_fn *fn, const struct pci_upstream *up)
{
	bool renumbered;

	pthread_mutex_lock(&fn->lock);
	renumbered = fn->up.bus != up->bus;
	fn->up = *up;
	if (renumbered) {
		pci_msix_renumber(fn);
		pci_msi_renumber(fn);
	}
	pthread_mutex_unlock(&fn->lock);
}

static bool
same_window(const struct pci_window *a, const struct pci_window *b)
{
	return (a->base == b->base && a->limit == b->limit);
}

static bool
same_upstream(const struct pci_upstream *a, const struct pci_upstream *b)
{
	return (a->on == b->on && a->bus == b->bus && a->cmd == b->cmd && same_window(&a->io, &b->io) && same_window(&a->mem, &b->mem) &&
	    same_window(&a->pref, &b->pref));
}

void
pci_fn_follow(struct pci_fn *fn, const struct pci_upstream *up)
{
	struct moves moved;
	bool same;
	uint16_t now;

	/* Most of what is written to a port's registers is about its slot. */
	pthread_mutex_lock(&fn->lock);
	same = same_upstream(&fn->up, up);
	pthread_mutex_unlock(&fn->lock);
	if (same)
		return;
	pci_fn_set_upstream(fn, up);
	pthread_mutex_lock(&fn->lock);
	moved = bars_place(fn);
	pci_msix_update(fn);
	pci_msi_update(fn);
	drive_pin(fn);
	now = pci_command(fn);
	pthread_mutex_unlock(&fn->lock);
	tell_moved(fn, &moved);
	if (fn->ops != NULL && fn->ops->command != NULL)
		fn->ops->command(fn, now);
}

/* Accesses, by host.c */

uint32_t
pci_fn_read(struct pci_fn *fn, unsigned off, unsigned size)
{
	uint32_t v = 0;
	bool away;

	pthread_mutex_lock(&fn->lock);
	away = pci_flr_pending(fn);
	pthread_mutex_unlock(&fn->lock);
	if (away)
		return (UINT32_MAX >> (32 - 8 * size));
	if (off >= PCI_HEADER_END && fn->ops != NULL && fn->ops->cap_read != NULL &&
	    fn->ops->cap_read(fn, off, size, &v))
		return (v);
	v = pci_get(fn, off, size);
	if (fn->multi && pci_covers(off, size, PCI_HEADER_TYPE, 1))
		v |= MULTI << (8 * (PCI_HEADER_TYPE - off));
	return (v);
}

void
pci_fn_write(struct pci_fn *fn, unsigned off, unsigned size, uint32_t val)
{
	bool power = pci_power_concerns(fn, off, size), powered;
	bool cmd = power || pci_covers(off, size, PCI_COMMAND, 2);
	struct moves moved = { 0 };
	uint16_t now;

	pthread_mutex_lock(&fn->lock);
	if (pci_flr_pending(fn)) {
		pthread_mutex_unlock(&fn->lock);
		return;
	}
	powered = pci_powered(fn);
	for (unsigned i = 0; i < size; i++) {
		uint8_t *b = &fn->cfg[off + i], m = fn->wmask[off + i];

		*b = (uint8_t)((*b & ~m) | ((val >> (8 * i)) & m));
		*b &= (uint8_t)~(fn->cmask[off + i] & (val >> (8 * i)));
	}
	if (power)
		pci_power_written(fn, powered);
	/* A reset takes the same away. */
	power |= pci_flr_pending(fn);
	cmd |= power;
	if (cmd || pci_covers(off, size, PCI_BAR0, 4 * PCI_NBARS) || pci_covers(off, size, PCI_ROM_BASE, 4))
		moved = bars_place(fn);
	if (power || pci_msix_concerns(fn, off, size))
		pci_msix_update(fn);
	if (pci_msi_concerns(fn, off, size))
		pci_msi_update(fn);
	if (cmd || pci_msix_concerns(fn, off, size) || pci_msi_concerns(fn, off, size))
		drive_pin(fn);
	now = pci_command(fn);
	pci_flr_update(fn);
	pthread_mutex_unlock(&fn->lock);
	tell_moved(fn, &moved);
	if (cmd && fn->ops != NULL && fn->ops->command != NULL)
		fn->ops->command(fn, now);
	if (off >= (fn->bridge ? PCI_BRIDGE_BUSES : PCI_HEADER_END) && fn->ops != NULL && fn->ops->cap_written != NULL)
		fn->ops->cap_written(fn, off, size);
}

/* Life */

int
pci_init(struct pci_fn *fn, struct device *dev, const struct pci_ident *ident, const struct pci_ops *ops)
{
	int error;

	if (dev->place.pci == NULL)
		return (vmm_fail(EINVAL, "%s: there is no PCI bus to put it on", dev->name));
	fn->dev = dev;
	fn->host = dev->place.pci;
	fn->devfn = dev->place.devfn;
	fn->port = dev->place.port;
	fn->bridge = ident->bridge;
	fn->ops = ops;
	pci_store(fn, PCI_VENDOR, 2, ident->vendor);
	pci_store(fn, PCI_DEVICE, 2, ident->device);
	pci_store(fn, PCI_REVISION, 1, ident->revision);
	pci_store(fn, PCI_CLASS, 1, ident->class_code);
	pci_store(fn, PCI_CLASS + 1, 2, ident->class_code >> 8);
	if (ident->bridge) {
		pci_store(fn, PCI_HEADER_TYPE, 1, 1);
	} else {
		pci_store(fn, PCI_SUBVENDOR, 2, ident->subvendor);
		pci_store(fn, PCI_SUBDEVICE, 2, ident->subdevice);
	}
	pci_store(fn, PCI_INTERRUPT_PIN, 1, ident->intx ? 1 : 0);
	fn->cap_last = PCI_CAPABILITIES;
	fn->cap_end = PCI_HEADER_END;
	fn->wmask[PCI_COMMAND] = PCI_CMD_MASTER | CMD_PARITY;
	fn->wmask[PCI_COMMAND + 1] = (PCI_CMD_INTX_OFF | CMD_SERR) >> 8;
	fn->wmask[PCI_CACHE_LINE] = 0xff;
	fn->wmask[PCI_INTERRUPT_LINE] = 0xff;
	keep_initial(fn);
	pthread_mutex_init(&fn->lock, NULL);
	if (pci_power_init(fn, ident) != 0 || pci_host_attach(fn->host, fn) != 0) {
		error = errno;
		pci_power_fini(fn);
		pthread_mutex_destroy(&fn->lock);
		errno = error;
		return (-1);
	}
	return (0);
}

void
pci_fini(struct pci_fn *fn)
{
	/* No register is accessed from here on, so no BAR appears. */
	pci_host_detach(fn->host, fn);
	pci_power_fini(fn);
	for (unsigned n = 0; n < PCI_NDECODERS; n++) {
		vm_range_remove(fn->bar[n].range);
		fn->bar[n].range = NULL;
	}
	(void)vm_range_sync(fn->dev->vmm->vm);
	pci_msix_fini(fn);
	pci_msi_fini(fn);
	free(fn->rom);
	fn->rom = NULL;
	if (fn->dev->place.irq[0] != NULL && fn->initial[PCI_INTERRUPT_PIN] != 0) {
		(void)vm_irq_deassert(fn->dev->place.irq[0]);
		pci_host_pin(fn->host, fn, false);
	}
	pthread_mutex_destroy(&fn->lock);
}

void
pci_reset(struct pci_fn *fn)
{
	struct moves moved;

	pci_host_lock(fn->host);
	pthread_mutex_lock(&fn->lock);
	memcpy(fn->cfg, fn->initial, sizeof(fn->cfg));
	fn->intx = false;
	moved = bars_place(fn);
	pci_msix_reset(fn);
	pci_msi_update(fn);
	drive_pin(fn);
	pthread_mutex_unlock(&fn->lock);
	tell_moved(fn, &moved);
	pci_host_unlock(fn->host);
}

void
pci_pause(struct pci_fn *fn)
{
	pthread_mutex_lock(&fn->lock);
	pci_msix_pause(fn);
	pci_power_pause(fn);
	pthread_mutex_unlock(&fn->lock);
}

void
pci_resume(struct pci_fn *fn)
{
	struct moves moved;

	pci_host_lock(fn->host);
	pthread_mutex_lock(&fn->lock);
	moved = bars_place(fn);
	pci_msix_resume(fn);
	pci_msi_update(fn);
	drive_pin(fn);
	pci_flr_update(fn);
	pthread_mutex_unlock(&fn->lock);
	tell_moved(fn, &moved);
	pci_host_unlock(fn->host);
}

/* State */

static int
check(void *obj)
{
	struct pci_fn *fn = obj;

	for (unsigned i = 0; i < PCI_CFG_LEN; i++) {
		uint8_t fixed = (uint8_t)~(fn->wmask[i] | fn->cmask[i]);

		if (i == PCI_STATUS)		/* drive_pin() sets it at resume */
			fixed &= (uint8_t)~STATUS_INTX;
		if (((fn->cfg[i] ^ fn->initial[i]) & fixed) != 0)
			return (vm_state_complain("byte %#x of its PCI configuration is that of another device", i));
	}
	return (pci_power_check(fn));
}

static const struct vm_state_field fields[] = {
	VM_STATE_BYTES(struct pci_fn, cfg), VM_STATE_STRUCTS(struct pci_fn, msix, &pci_msix_table),
	VM_STATE_BOOL(struct pci_fn, intx),
};
const struct vm_state_table pci_state_table = VM_STATE_TABLE("pci", 1, 1, fields, check);
