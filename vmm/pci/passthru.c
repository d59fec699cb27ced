/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * passthru.c - a PCI device of the host, given to the guest.
 *
 * The guest sees a function of the framework's with the device's identity, BARs of its sizes and those capabilities that passthru_cfg.c lets it see.  Pages of
 * memory BARs are mapped into the guest where the host lets them be; all else of BARs goes by a handler.  The device itself reads and writes the
 * guest's RAM as the guest's bus mastering bit says.
 *
 * Nobody but the device knows what it is doing, so it is in no snapshot, and it goes on while the VM is paused: its interrupts wait then as for
 * a processor that has them off.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "passthru.h"
#include "pci_internal.h"
#include "rom.h"

#define	CAP_MSI		0x05
#define	CAP_MSIX	0x11
#define	R_CONTROL	2		/* of both, PCI 6.8.1.3 and 6.8.2.3 */

#define	MSI_ON		0x0001U
#define	MSI_ENABLED(c)	((c) >> 4 & 7)	/* as a power of 2 */
#define	MSI_64		0x0080U
#define	MSI_ADDR	4
#define	MSI_DATA	12
#define	MSI_LEN		14

#define	MSIX_ON		0x8000U
#define	MSIX_MASKED	0x4000U
#define	MSIX_LEN	12

#define	EXT_FIRST	0x100

struct passthru;

struct passthru_bar {
	struct passthru	*p;
	unsigned	 n;
	struct passthru_part part[3];
	unsigned	 nparts;
	uint64_t	 at;		/* where parts are mapped; 0: nowhere */
	unsigned	 mapped;	/* a bit for each that is */
};

struct passthru {
	struct pci_fn	 fn;
	struct passthru_addr addr;
	bool		 assigned;
	struct passthru_plan plan;
	struct vm_pptdev_info info;
	struct passthru_bar bar[PCI_NBARS];
	struct passthru_msix msix;
	bool		 has_msix;		/* that is made */
	uint8_t		 msi_cap, msix_cap;	/* 0: none */
	bool		 told[VM_PPTDEV_NOTICES];	/* of libvmmapi's thread */
	_Atomic bool	 raised;		/* its pin, which the host keeps masked until the guest has dealt with it */
};

/* libvmmapi's handle, and the device's address there. */
#define	DEV(p)	(p)->fn.dev->vmm->vm, (p)->addr.bus, (p)->addr.slot, (p)->addr.func

static struct passthru *
of(struct pci_fn *fn)
{
	return ((struct passthru *)fn);		/* its first member */
}

/* SECTION: BARs */

static uint64_t
bar_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct passthru_bar *b = arg;
	uint64_t val = UINT64_MAX;
	bool bad = false;

	if (passthru_msix_read(&b->p->msix, b->n, off, size, &val, &bad)) {
		if (bad)
			device_guest_log(b->p->fn.dev, "read of %u bytes at %#" PRIx64 " of BAR %u, in its message table", size, off, b->n);
	} else if (vm_pptdev_bar_read(DEV(b->p), b->n, off, size, &val) != 0)
		device_guest_log(b->p->fn.dev, "%s", vm_errmsg());
	return (val);
}

static void
bar_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct passthru_bar *b = arg;
	bool bad = false;

	if (passthru_msix_write(&b->p->msix, b->n, off, size, val, &bad)) {
		if (bad)
			device_guest_log(b->p->fn.dev, "write of %u bytes at %#" PRIx64 " of BAR %u, in its message table", size, off, b->n);
	} else if (vm_pptdev_bar_write(DEV(b->p), b->n, off, size, val) != 0)
		device_guest_log(b->p->fn.dev, "%s", vm_errmsg());
}

static const struct pci_bar_ops bar_ops = { bar_read, bar_write };

static void
bar_unmap(struct passthru_bar *b)
{
	for (unsigned i = 0; i < b->nparts; i++) {
		if ((b->mapped & 1U << i) != 0 && vm_unmap_pptdev_mmio(DEV(b->p), b->at + b->part[i].off, b->part[i].len) != 0)
			device_log(b->p->fn.dev, LOG_LEVEL_ERROR, "%s", vm_errmsg());
	}
	b->mapped = 0;
	b->at = 0;
}

/* What cannot be mapped, for the guest has put it where something else is, goes by the handler. */
static void
bar_moved(struct pci_fn *fn, unsigned n, bool mapped, uint64_t addr)
{
	struct passthru *p = of(fn);
	struct passthru_bar *b = &p->bar[n < PCI_NBARS ? n : 0];

	if (n >= PCI_NBARS)
		return;
	bar_unmap(b);
	if (!mapped || (p->info.bar[n].flags & VM_PPTDEV_BAR_MAP) == 0)
		return;
	b->at = addr;
	for (unsigned i = 0; i < b->nparts; i++) {
		if (vm_map_pptdev_mmio(DEV(p), addr + b->part[i].off, b->part[i].len, p->info.bar[n].hpa + b->part[i].off) == 0)
			b->mapped |= 1U << i;
		else
			device_guest_log(fn->dev, "BAR %u at %#" PRIx64 " is slow: %s", n, addr, vm_errmsg());
	}
}

/* SECTION: interrupts */

/* libvmmapi's thread: the device raised its pin.  An end that comes in between finds the line up still, so that there is another one. */
static void
pin_raised(void *arg)
{
	struct passthru *p = arg;

	pci_intx(&p->fn, true);
	atomic_store(&p->raised, true);
}

/* The guest has dealt with an interrupt of the line.  If the device has still something to say, it raises its pin again. */
static void
pin_done(void *arg)
{
	struct passthru *p = arg;

	if (!atomic_exchange(&p->raised, false))
		return;
	pci_intx(&p->fn, false);
	if (vm_pptdev_unmask_pin(DEV(p)) != 0)
		device_guest_log(p->fn.dev, "%s", vm_errmsg());
}

/* The pin is switched off, so it is not raised meanwhile. */
static void
pin_drop(struct passthru *p)
{
	atomic_store(&p->raised, false);
	pci_intx(&p->fn, false);
}

/* Messages were switched on, or (pin) off.  Where the host had none to give, the pin is there all the while, perhaps masked. */
static void
pin_again(struct passthru *p, bool pin)
{
	if (!pin)
		pin_drop(p);
	else if (!atomic_load(&p->raised))
		(void)vm_pptdev_unmask_pin(DEV(p));
}

static void
set_requester(struct passthru *p)
{
	uint32_t requester;

	pthread_mutex_lock(&p->fn.lock);
	requester = pci_requester(&p->fn);
	pthread_mutex_unlock(&p->fn.lock);
	(void)vm_pptdev_set_requester(DEV(p), requester);
}

static void
msi_written(struct passthru *p)
{
	uint32_t control = pci_get(&p->fn, p->msi_cap + R_CONTROL, 2);
	uint64_t addr = pci_get(&p->fn, p->msi_cap + MSI_ADDR, 4) | (uint64_t)pci_get(&p->fn, p->msi_cap + MSI_ADDR + 4, 4) << 32;
	unsigned n = 1U << MSI_ENABLED(control);

	if (n > p->plan.nmsi)
		n = p->plan.nmsi;
	if ((control & MSI_ON) == 0)
		n = 0;
	set_requester(p);
	if (vm_setup_pptdev_msi(DEV(p), addr, pci_get(&p->fn, p->msi_cap + MSI_DATA, 2), (int)n) != 0)
		device_guest_log(p->fn.dev, "%s", vm_errmsg());
	pin_again(p, n == 0);
}

/* With the table's lock. */
static void
vector_set(void *arg, unsigned vec, uint64_t addr, uint32_t data, bool masked)
{
	struct passthru *p = arg;

	if (vm_setup_pptdev_msix(DEV(p), (int)vec, addr, data, masked) != 0)
		device_guest_log(p->fn.dev, "message vector %u: %s", vec, vm_errmsg());
}

static bool
vector_pending(void *arg, unsigned vec)
{
	struct passthru *p = arg;

	return (vm_pptdev_get_pending(DEV(p), (int)vec) == 1);
}

static void
msix_written(struct passthru *p)
{
	uint32_t control = pci_get(&p->fn, p->msix_cap + R_CONTROL, 2);
	bool on = (control & MSIX_ON) != 0;

	set_requester(p);
	/* There may be many of them, and what the back end has to hear of each it hears of all. */
	(void)vm_irq_hold(p->fn.dev->vmm->vm);
	passthru_msix_control(&p->msix, on, (control & MSIX_MASKED) != 0);
	if (vm_irq_release(p->fn.dev->vmm->vm) != 0)
		device_guest_log(p->fn.dev, "message vectors: %s", vm_errmsg());
	if (!on && vm_disable_pptdev_msix(DEV(p)) != 0)
		device_guest_log(p->fn.dev, "%s", vm_errmsg());
	pin_again(p, !on);
}

/* libvmmapi's thread.  It is said once: the guest goes on, and whoever runs it decides. */
static void
noticed(void *arg, enum vm_pptdev_notice what)
{
	struct passthru *p = arg;

	if (p->told[what])
		return;
	p->told[what] = true;
	if (what == VM_PPTDEV_WANTED)
		device_log(p->fn.dev, LOG_LEVEL_WARN, "the host wants this device back: it waits until the VM ends%s",
		    p->fn.port != NULL ? ", or the device is unplugged" : "");
	else
		device_log(p->fn.dev, LOG_LEVEL_ERROR, "the device has failed, as the host's error reporting says; what it did and does is not to be relied upon");
}

/* SECTION: configuration space */

/* The capability of the device's that a register is in, whose offset in the device is *host. */
static const struct passthru_cap *
passed(const struct passthru *p, unsigned off, unsigned *host)
{
	for (unsigned i = 0; i < p->plan.ncaps; i++) {
		const struct passthru_cap *c = &p->plan.cap[i];

		if (off >= c->guest && off < (unsigned)c->guest + c->len) {
			*host = c->host + (off - c->guest);
			return (c);
		}
	}
	return (NULL);
}

/* The id and the link to the next are the guest's. */
static bool
cap_read(struct pci_fn *fn, unsigned off, unsigned size, uint32_t *val)
{
	struct passthru *p = of(fn);
	unsigned host, own;
	const struct passthru_cap *c = passed(p, off, &host);
	uint32_t mask;

	if (c == NULL)
		return (false);
	if (vm_pptdev_cfg_read(DEV(p), host, size, val) != 0)
		device_guest_log(fn->dev, "%s", vm_errmsg());
	own = off < c->guest + 2U ? c->guest + 2U - off : 0;
	mask = own >= 4 ? UINT32_MAX : (1U << (8 * own)) - 1;
	*val = (*val & ~mask) | (pci_get(fn, off, size) & mask);
	return (true);
}

/* A write to the device's own capability, of whose last register not all bytes may be its.  The kernel leaves id and link as they are. */
static void
passed_write(struct passthru *p, const struct passthru_cap *c, unsigned off, unsigned size, unsigned host)
{
	unsigned n = size, end = c->guest + c->len;
	int error = 0;

	if (off + size > end) {
		n = end - off;
		size = 1;
	}
	for (unsigned i = 0; i < n && error == 0; i += size)
		error = vm_pptdev_cfg_write(DEV(p), host + i, size, pci_get(&p->fn, off + i, size));
	if (error != 0)
		device_guest_log(p->fn.dev, "%s", vm_errmsg());
}

static void
cap_written(struct pci_fn *fn, unsigned off, unsigned size)
{
	struct passthru *p = of(fn);
	unsigned host;
	const struct passthru_cap *c = passed(p, off, &host);

	if (c != NULL)
		passed_write(p, c, off, size, host);
	if (p->msi_cap != 0 && pci_covers(off, size, p->msi_cap + R_CONTROL, MSI_LEN - R_CONTROL))
		msi_written(p);
	if (p->msix_cap != 0 && pci_covers(off, size, p->msix_cap + R_CONTROL, 2))
		msix_written(p);
}

/* The device answers always, and where the guest can reach it is the framework's matter; what it does by itself is the guest's wish. */
static void
command(struct pci_fn *fn, uint16_t cmd)
{
	struct passthru *p = of(fn);
	uint32_t now;

	if (vm_pptdev_cfg_read(DEV(p), PCI_COMMAND, 2, &now) != 0 ||
	    vm_pptdev_cfg_write(DEV(p), PCI_COMMAND, 2, (now & ~(uint32_t)PCI_CMD_MASTER) | (cmd & PCI_CMD_MASTER)) != 0)
		device_guest_log(fn->dev, "%s", vm_errmsg());
}

static const struct pci_ops ops = {
	.bar_moved = bar_moved, .command = command, .cap_written = cap_written, .cap_read = cap_read,
};

static unsigned
add_cap(struct passthru *p, uint8_t id, unsigned len)
{
	unsigned cap = pci_add_cap(&p->fn, id, len);

	if (cap == 0)
		device_log(p->fn.dev, LOG_LEVEL_WARN, "capability %#x is not shown: there is no room for it", id);
	return (cap);
}

static void
add_msi(struct passthru *p)
{
	uint16_t control = MSI_64;
	unsigned cap = add_cap(p, CAP_MSI, MSI_LEN);

	if (cap == 0)
		return;
	for (unsigned n = p->plan.nmsi; n > 1; n /= 2)
		control += 2;
	pci_fill(&p->fn, cap + R_CONTROL, &control, sizeof(control));
	pci_writable(&p->fn, cap + R_CONTROL, 1, MSI_ON | 0x70);
	pci_writable(&p->fn, cap + MSI_ADDR, 4, ~3U);
	pci_writable(&p->fn, cap + MSI_ADDR + 4, 4, UINT32_MAX);
	pci_writable(&p->fn, cap + MSI_DATA, 2, 0xffff);
	p->msi_cap = (uint8_t)cap;
}

static void
add_msix(struct passthru *p)
{
	const uint16_t control = (uint16_t)(p->plan.nmsix - 1);
	const uint32_t at[2] = { (uint32_t)p->plan.table.off | p->plan.table.bar, (uint32_t)p->plan.pba.off | p->plan.pba.bar };
	unsigned cap = add_cap(p, CAP_MSIX, MSIX_LEN);

	if (cap == 0)
		return;
	pci_fill(&p->fn, cap + R_CONTROL, &control, sizeof(control));
	pci_fill(&p->fn, cap + 4, at, sizeof(at));
	pci_writable(&p->fn, cap + R_CONTROL, 2, MSIX_ON | MSIX_MASKED);
	p->msix_cap = (uint8_t)cap;
}

/* SECTION: life */

static const struct config_key keys[] = {
	KEY_STRING("pptdev", NULL, "the host's device: 0000:03:00.0, as lspci -D has it, or 3/0/0"),
	KEY_INT("bus", -1, -1, 255, "bus of the host's device, with slot and func in place of pptdev"),
	KEY_INT("slot", -1, -1, 31, "its slot"),
	KEY_INT("func", -1, -1, 7, "its function"),
	KEY_PATH("rom", NULL, "option ROM, by which firmware boots from it; without, it has none"),
};

static int
get_addr(struct device *dev, struct passthru_addr *addr)
{
	const char *text = config_str(dev->config, "pptdev");
	int bus = (int)config_num(dev->config, "bus"), slot = (int)config_num(dev->config, "slot"), func = (int)config_num(dev->config, "func");

	if (text != NULL) {
		if (passthru_parse(text, addr) != 0)
			return (vmm_fail(errno, "%s: pptdev: %s", dev->name, vmm_errmsg()));
		return (0);
	}
	if (bus < 0 || slot < 0 || func < 0)
		return (vmm_fail(EINVAL, "%s: it is not said which device of the host it is: pptdev=0000:03:00.0 (lspci -D lists them), or bus, slot and func",
		    dev->name));
	*addr = (struct passthru_addr){ bus, slot, func };
	return (0);
}

static void
hide(void *arg, const char *what, const char *why)
{
	const struct device *dev = arg;

	device_log(dev, LOG_LEVEL_DEBUG, "not shown to the guest: %s: %s", what, why);
}

/* Read all of its configuration space, as VFIO has it, and decide what the guest sees. */
static int
make_plan(struct passthru *p, struct device *dev)
{
	struct vmctx *vm = dev->vmm->vm;
	uint8_t *cfg = calloc(1, PCI_CFG_LEN);
	size_t len;
	uint32_t v;
	int error = -1;

	if (cfg == NULL)
		return (vmm_fail(ENOMEM, "%s: no memory", dev->name));
	for (len = 0; len < PCI_CFG_LEN && vm_pptdev_cfg_read(vm, p->addr.bus, p->addr.slot, p->addr.func, (unsigned)len, 4, &v) == 0; len += 4)
		memcpy(cfg + len, &v, 4);
	if (len < PASSTHRU_CFG || vm_pptdev_get_info(vm, p->addr.bus, p->addr.slot, p->addr.func, &p->info) != 0)
		(void)vmm_fail_vm("%s", dev->name);
	else if (passthru_plan(cfg, len, &p->info, &p->plan, hide, dev) != 0)
		(void)vmm_fail(errno, "%s: the host's device: %s", dev->name, vmm_errmsg());
	else
		error = 0;
	free(cfg);
	return (error);
}

static int
add_bars(struct passthru *p)
{
	for (unsigned n = 0; n < PCI_NBARS; n++) {
		struct passthru_bar *b = &p->bar[n];

		b->p = p;
		b->n = n;
		if (p->plan.bar[n].kind == PCI_BAR_NONE)
			continue;
		b->nparts = passthru_parts(&p->plan, n, (uint64_t)sysconf(_SC_PAGESIZE), b->part);
		if (pci_add_bar(&p->fn, n, p->plan.bar[n].kind, p->plan.bar[n].size, &bar_ops, b) != 0)
			return (-1);
	}
	return (0);
}

static void
add_caps(struct passthru *p)
{
	if (p->plan.nmsi != 0)
		add_msi(p);
	if (p->plan.nmsix != 0)
		add_msix(p);
	for (unsigned i = 0; i < p->plan.ncaps; i++) {
		struct passthru_cap *c = &p->plan.cap[i];
		unsigned cap = add_cap(p, c->id, c->len);

		c->guest = (uint8_t)cap;
		if (cap == 0)
			c->len = 0;
		else
			pci_writable(&p->fn, cap + 2, c->len - 2U, UINT32_MAX);
	}
	if (p->plan.has_serial)
		pci_fill(&p->fn, EXT_FIRST, p->plan.serial, sizeof(p->plan.serial));
}

/* After whatever of init succeeded. */
static void
release(struct passthru *p, struct device *dev, bool has_fn)
{
	int error = errno;

	if (p->assigned) {
		/* These functions are called no more, then nothing that they use is used. */
		(void)vm_pptdev_set_notice(dev->vmm->vm, p->addr.bus, p->addr.slot, p->addr.func, NULL, NULL);
		(void)vm_pptdev_set_pin(dev->vmm->vm, p->addr.bus, p->addr.slot, p->addr.func, NULL, NULL);
		if (dev->place.irq[0] != NULL)
			(void)vm_irq_on_eoi(dev->place.irq[0], NULL, NULL);
	}
	if (has_fn)
		pci_fini(&p->fn);
	if (p->assigned)
		(void)vm_unassign_pptdev(dev->vmm->vm, p->addr.bus, p->addr.slot, p->addr.func);
	if (p->has_msix)
		passthru_msix_fini(&p->msix);
	errno = error;
}

static int
make(struct passthru *p, struct device *dev, bool *has_fn)
{
	struct vmctx *vm = dev->vmm->vm;
	const char *rom = config_str(dev->config, "rom");

	if (get_addr(dev, &p->addr) != 0)
		return (-1);
	if (vm_assign_pptdev(vm, p->addr.bus, p->addr.slot, p->addr.func) != 0)
		return (vmm_fail_vm("%s", dev->name));
	p->assigned = true;
	if (make_plan(p, dev) != 0)
		return (-1);
	if (passthru_msix_init(&p->msix, &p->plan) != 0)
		return (vmm_fail(errno, "%s: %s", dev->name, vmm_errmsg()));
	p->has_msix = true;
	p->msix.set = vector_set;
	p->msix.pending = vector_pending;
	p->msix.arg = p;
	if (dev->place.irq[0] == NULL)
		p->plan.ident.intx = false;
	if (pci_init(&p->fn, dev, &p->plan.ident, &ops) != 0)
		return (-1);
	*has_fn = true;
	if (add_bars(p) != 0 || (rom != NULL && pci_add_rom(&p->fn, rom) != 0))
		return (-1);
	add_caps(p);
	if (vm_pptdev_set_notice(DEV(p), noticed, p) != 0)
		return (vmm_fail_vm("%s", dev->name));
	if (!p->plan.ident.intx)
		return (0);
	if (vm_irq_on_eoi(dev->place.irq[0], pin_done, p) != 0 || vm_pptdev_set_pin(DEV(p), pin_raised, p) != 0)
		return (vmm_fail_vm("%s", dev->name));
	return (0);
}

static int
passthru_init(struct device *dev)
{
	struct passthru *p = dev->soft;
	bool has_fn = false;

	if (make(p, dev, &has_fn) == 0) {
		if (!p->info.reset)
			device_log(dev, LOG_LEVEL_WARN, "the host cannot reset this device, so a reset of the guest leaves it as it is");
		return (0);
	}
	release(p, dev, has_fn);
	return (-1);
}

static void
passthru_fini(struct device *dev)
{
	struct passthru *p = dev->soft;

	for (unsigned n = 0; n < PCI_NBARS; n++)
		bar_unmap(&p->bar[n]);
	release(p, dev, true);
}

static void
passthru_reset(struct device *dev)
{
	struct passthru *p = dev->soft;

	/* Of a device without one the messages go, and its way to memory. */
	if (vm_reset_pptdev(DEV(p)) != 0 && p->info.reset)
		device_log(dev, LOG_LEVEL_ERROR, "%s", vm_errmsg());
	passthru_msix_reset(&p->msix);
	atomic_store(&p->raised, false);
	pci_reset(&p->fn);
}

static void
passthru_pause(struct device *dev)
{
	pci_pause(&((struct passthru *)dev->soft)->fn);
}

static void
passthru_resume(struct device *dev)
{
	struct passthru *p = dev->soft;

	pci_resume(&p->fn);
	command(&p->fn, pci_master(&p->fn) ? PCI_CMD_MASTER : 0);
}

static int
passthru_saving(struct device *dev)
{
	return (vmm_fail(ENOTSUP, "%s: a device of the host is in no snapshot, since only it knows what it is doing", dev->name));
}

DEVICE_CLASS(passthru, "passthru", "PCI device of the host", keys, NULL,
    .on = DEVICE_ON_PCI,
    .hot = true,
    .size = sizeof(struct passthru),
    .init = passthru_init,
    .fini = passthru_fini,
    .reset = passthru_reset,
    .pause = passthru_pause,
    .saving = passthru_saving,
    .resume = passthru_resume);
