/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * root_port.c - a PCI Express root port with a slot that devices can be put into and taken out of while the guest runs.
 *
 * Section numbers are those of the PCI Express Base specification 4.0; B is the PCI-to-PCI Bridge Architecture specification 1.2.
 *
 * The slot has a button, a power controller and indicators, and no latch.  A device whose link goes down (the slot is switched off, the link
 * disabled, the bus reset) is out of reach at once and is reset before it can be reached again, by the control thread, as it is by a
 * function's own reset.  Presence and the link's state are computed when they are read, for the one is configuration and the other follows.
 *
 * The segment's lock guards what is here: ops are called with it, and functions for the machine take it.
 */
#include <errno.h>

#include "../error.h"
#include "pci_internal.h"
#include "root_port.h"

/* A generic root port, which every operating system drives by its class. */
#define	VENDOR		0x1b36
#define	DEVICE		0x000c
#define	SUBVENDOR	0x1af4
#define	SUBDEVICE	0x1100
#define	CLASS		0x060400

/* Header (B 3.2) */
#define	R_SECONDARY	0x19
#define	R_SUBORDINATE	0x1a
#define	R_PREF_LIMIT_UPPER 0x2c
#define	R_CONTROL	0x3e
#define	CONTROL_WRITABLE 0x0043U	/* parity, SERR#, reset of the bus */
#define	CONTROL_RESET	0x0040U
#define	PREF_64		0x1U		/* windows of 64 bits */

/* PCI Express capability (7.5.3) */
#define	CAP_EXPRESS	0x10
#define	EXPRESS_LEN	0x3c
#define	R_EXPRESS	0x02
#define	EXPRESS_KIND	0x0142U		/* version 2, root port, with a slot */
#define	R_DEVCAP	0x04
#define	DEVCAP_ROLE	0x00008000U
#define	R_DEVCTL	0x08
#define	DEVCTL_INITIAL	0x2810U
#define	DEVCTL_WRITABLE	0x781fU
#define	R_LINKCAP	0x0c
#define	LINKCAP		0x00100011U	/* one lane of 2.5 GT/s; says whether the link is active; the port's number is to be added */
#define	R_LINKCTL	0x10
#define	LINKCTL_WRITABLE 0x00d8U	/* all but power states, and retraining, which is over at once */
#define	LINKCTL_OFF	0x0010U
#define	R_LINKSTA	0x12
#define	LINKSTA		0x0011U
#define	LINKSTA_ACTIVE	0x2000U
#define	R_SLOTCAP	0x14
#define	SLOTCAP		0x0000005bU	/* button, power controller, both indicators, hot-plug; the slot's number is to be added */
#define	R_SLOTCTL	0x18
#define	SLOTCTL_WRITABLE 0x17ffU
#define	SLOTCTL_EVENTS	0x001fU		/* what may interrupt, at the places of the status bits */
#define	SLOTCTL_HPIE	0x0020U
#define	SLOTCTL_IND	0x0300U		/* the power indicator */
#define	IND_ON		0x0100U
#define	IND_BLINK	0x0200U
#define	SLOTCTL_OFF	0x0400U
#define	SLOTCTL_LINK	0x1000U
#define	SLOTCTL_EMPTY	0x07c0U		/* indicators and power off */
#define	SLOTCTL_FULL	0x01c0U		/* the power indicator and power on */
#define	R_SLOTSTA	0x1a
#define	SLOTSTA_BUTTON	0x0001U
#define	SLOTSTA_PRESENCE 0x0008U
#define	SLOTSTA_DONE	0x0010U
#define	SLOTSTA_PRESENT	0x0040U
#define	SLOTSTA_LINK	0x0100U
#define	SLOTSTA_EVENTS	0x011fU
#define	R_ROOTCTL	0x1c
#define	ROOTCTL_WRITABLE 0x000fU
#define	R_ROOTSTA	0x20
#define	ROOTSTA_PME	0x00010000U
#define	R_LINKCAP2	0x2c
#define	LINKCAP2_25	0x02U

#define	CAP_SUBSYSTEM	0x0d		/* B 3.2.5.13 */

#define	ANSWER_NS	6000000000ULL	/* who has heard the button blinks long before: it is 5 seconds in which one may think again (6.7.1.5) */

struct root_port {
	struct pci_fn	 fn;
	struct pci_port	 port;
	unsigned	 express;	/* capability */
	struct event	*due;		/* timer: something is to be done to what is in the slot */
	struct root_port_owner owner;
	bool		 active;	/* between resume and pause */
	bool		 present;	/* something is in the slot */
	bool		 kept;		/* to be told: the guest keeps it */
	uint16_t	 ctl;		/* slot control before the write under way */
	/* state */
	bool		 ejecting;	/* the button was pressed to have it out */
	bool		 asked_blink;	/* the power indicator began to blink since: the guest has heard it */
	bool		 going;		/* the slot was switched off since: what is in it goes, whatever is written next */
	uint64_t	 pressed;	/* when, by the VM's clock */
	bool		 cut;		/* what is in the slot lost its link and was not reset since */
	bool		 link;		/* the link is up */
	bool		 told;		/* the message for the events that there are was sent */
};

static uint16_t
reg(struct root_port *rp, unsigned off)
{
	return ((uint16_t)pci_get(&rp->fn, rp->express + off, 2));
}

static void
add_status(struct root_port *rp, uint16_t bits)
{
	pci_put(&rp->fn, rp->express + R_SLOTSTA, 2, reg(rp, R_SLOTSTA) | bits);
}

static bool
slot_on(struct root_port *rp)
{
	return ((reg(rp, R_SLOTCTL) & SLOTCTL_OFF) == 0);
}

static bool
link_up(struct root_port *rp)
{
	return (rp->present && slot_on(rp) && !rp->going && !rp->cut && (reg(rp, R_LINKCTL) & LINKCTL_OFF) == 0 &&
	    (pci_get(&rp->fn, R_CONTROL, 2) & CONTROL_RESET) == 0);
}

/* 6.7.3.1: a message is sent when there begins to be an event for it, and when it may be sent; the pin has the same as a level. */
static void
interrupt(struct root_port *rp)
{
	uint16_t ctl = reg(rp, R_SLOTCTL), sta = reg(rp, R_SLOTSTA);
	bool event = (ctl & SLOTCTL_HPIE) != 0 &&
	    ((sta & ctl & SLOTCTL_EVENTS) != 0 || ((sta & SLOTSTA_LINK) != 0 && (ctl & SLOTCTL_LINK) != 0));
	bool message;

	if (!rp->active)
		return;
	pthread_mutex_lock(&rp->fn.lock);
	message = event && pci_msi_enabled(&rp->fn) && (pci_command(&rp->fn) & PCI_CMD_MASTER) != 0;
	pthread_mutex_unlock(&rp->fn.lock);
	pci_intx(&rp->fn, event);
	if (message && !rp->told)
		pci_msi_raise(&rp->fn);
	rp->told = message;
}

/* Windows (B 3.2.5.6, 3.2.5.8, 3.2.5.9) */
static void
windows(struct root_port *rp, struct pci_upstream *up)
{
	uint32_t io = pci_get(&rp->fn, ROOT_PORT_IO, 2), mem = pci_get(&rp->fn, ROOT_PORT_MEM, 4), pref = pci_get(&rp->fn, ROOT_PORT_PREF, 4);
	uint64_t base = pci_get(&rp->fn, ROOT_PORT_PREF_UPPER, 4), limit = pci_get(&rp->fn, R_PREF_LIMIT_UPPER, 4);

	up->io.base = (io & 0xf0) << 8;
	up->io.limit = (io & 0xf000) | 0xfff;
	up->mem.base = (uint64_t)(mem & 0xfff0) << 16;
	up->mem.limit = (mem & 0xfff00000U) | 0xfffff;
	up->pref.base = base << 32 | (uint64_t)(pref & 0xfff0) << 16;
	up->pref.limit = limit << 32 | (pref & 0xfff00000U) | 0xfffff;
}

static struct pci_upstream
through(struct root_port *rp)
{
	struct pci_upstream up = { .bus = (uint8_t)pci_get(&rp->fn, R_SECONDARY, 1) };

	pthread_mutex_lock(&rp->fn.lock);
	up.cmd = pci_command(&rp->fn);
	up.on = rp->link && pci_powered(&rp->fn);
	pthread_mutex_unlock(&rp->fn.lock);
	windows(rp, &up);
	return (up);
}

static bool
something_due(struct root_port *rp)
{
	return (rp->kept || ((rp->cut || rp->going) && rp->present));
}

/*
 * What is behind follows the registers; live: while the devices are at work, or as firmware's writes have it.  What is not in the slot yet may
 * be half made, on another thread.
 */
static void
follow(struct root_port *rp, bool live)
{
	struct pci_fn *behind = rp->present ? rp->port.behind : NULL;
	bool was = rp->link;

	rp->link = link_up(rp);
	if (was && !rp->link)
		rp->cut = rp->present;
	if (was != rp->link)
		add_status(rp, SLOTSTA_LINK);
	rp->port.up = through(rp);
	if (behind != NULL && live)
		pci_fn_follow(behind, &rp->port.up);
	else if (behind != NULL)
		pci_fn_set_upstream(behind, &rp->port.up);
	if (rp->active && something_due(rp))
		event_timer_arm(rp->due, 0);
	interrupt(rp);
}

static bool
blinks(uint16_t ctl)
{
	return ((ctl & SLOTCTL_IND) == IND_BLINK);
}

/*
 * Slot control was written: a command, which is completed (6.7.3.2).  The indicator blinks too while a guest switches a slot on, so it is an
 * answer to the button only if it began behind the press.
 */
static void
slot_command(struct root_port *rp)
{
	uint16_t old = rp->ctl, now = reg(rp, R_SLOTCTL);

	rp->ctl = now;
	add_status(rp, SLOTSTA_DONE);
	if (!rp->ejecting)
		return;
	if ((now & SLOTCTL_OFF) != 0)
		rp->going = true;
	if (!blinks(old) && blinks(now))
		rp->asked_blink = true;
	if (!rp->going && rp->asked_blink && blinks(old) && (now & SLOTCTL_IND) == IND_ON) {
		rp->ejecting = rp->asked_blink = false;
		rp->kept = true;
	}
}

static void
written(struct pci_fn *fn, unsigned off, unsigned size)
{
	struct root_port *rp = (struct root_port *)(void *)fn;

	if (pci_covers(off, size, rp->express + R_SLOTCTL, 2))
		slot_command(rp);
	follow(rp, true);
}

static void
command(struct pci_fn *fn, uint16_t cmd)
{
	follow((struct root_port *)(void *)fn, true);
}

/* What is computed. */
static bool
cap_read(struct pci_fn *fn, unsigned off, unsigned size, uint32_t *val)
{
	struct root_port *rp = (struct root_port *)(void *)fn;
	unsigned sta = rp->express + R_SLOTSTA, link = rp->express + R_LINKSTA + 1;

	*val = pci_get(fn, off, size);
	if (rp->present && pci_covers(off, size, sta, 1))
		*val |= SLOTSTA_PRESENT << (8 * (sta - off));
	if (rp->link && pci_covers(off, size, link, 1))
		*val |= (LINKSTA_ACTIVE >> 8) << (8 * (link - off));
	return (true);
}

static const struct pci_ops pci_ops = { .command = command, .cap_written = written, .cap_read = cap_read };

/* Control thread, as pause and fini are.  The owner may end what is in the slot, or put something else in. */
static void
something_to_do(void *arg)
{
	struct root_port *rp = arg;
	struct device *dev = rp->fn.dev;
	struct pci_fn *behind;
	bool kept, released, cut;

	pci_host_lock(rp->fn.host);
	kept = rp->kept;
	released = rp->present && rp->going;
	cut = rp->present && rp->cut && !released;
	behind = rp->port.behind;
	rp->kept = false;
	pci_host_unlock(rp->fn.host);
	if (kept && rp->owner.kept != NULL)
		rp->owner.kept(rp->owner.arg, dev);
	if (released && rp->owner.released != NULL)
		rp->owner.released(rp->owner.arg, dev);
	if (!cut || behind == NULL)
		return;
	if (device_restart(behind->dev) != 0) {
		device_log(dev, LOG_LEVEL_ERROR, "what is in its slot cannot be reset: %s", vmm_errmsg());
		return;
	}
	pci_host_lock(rp->fn.host);
	rp->cut = false;
	follow(rp, true);
	pci_host_unlock(rp->fn.host);
}

/* The slot, for the machine */

static struct root_port *
port_of(struct device *dev)
{
	return (dev->soft);
}

/* Of what was in the slot, or was asked about it. */
static void
forget(struct root_port *rp)
{
	rp->ejecting = rp->asked_blink = rp->going = rp->cut = rp->kept = false;
}

void
root_port_insert(struct device *dev, bool hot)
{
	struct root_port *rp = port_of(dev);

	pci_host_lock(rp->fn.host);
	/* A snapshot may tell something about a slot that is empty. */
	forget(rp);
	rp->present = true;
	/* A card that is put in, and its button pressed: a guest that still sees to the one before has missed the presence, not the button. */
	if (hot)
		add_status(rp, SLOTSTA_PRESENCE | SLOTSTA_BUTTON);
	else {
		pci_put(&rp->fn, rp->express + R_SLOTCTL, 2, SLOTCTL_FULL);
		rp->link = link_up(rp);
	}
	follow(rp, !dev->vmm->paused);
	pci_host_unlock(rp->fn.host);
}

/* The press was noted and not acted on: it came while a driver began, which clears what there is, or while the slot was being switched on. */
static bool
unheard(struct root_port *rp)
{
	return ((reg(rp, R_SLOTSTA) & SLOTSTA_BUTTON) == 0 && !blinks(reg(rp, R_SLOTCTL)) &&
	    vm_clock_now(rp->fn.dev->vmm->vm) - rp->pressed > ANSWER_NS);
}

int
root_port_eject(struct device *dev)
{
	struct root_port *rp = port_of(dev);
	int r = ROOT_PORT_ASKED;

	pci_host_lock(rp->fn.host);
	if (!slot_on(rp) || rp->going) {
		rp->ejecting = rp->going = true;
		r = ROOT_PORT_OFF;
	} else if (rp->ejecting && !unheard(rp)) {
		r = vmm_fail(EBUSY, "the guest was asked to let go of the device in the slot of %s and has not answered yet; ask again later, or reset "
		    "the machine, which removes it too", dev->name);
	} else {
		rp->ejecting = true;
		rp->asked_blink = false;
		rp->pressed = vm_clock_now(dev->vmm->vm);
		add_status(rp, SLOTSTA_BUTTON);
		interrupt(rp);
	}
	pci_host_unlock(rp->fn.host);
	return (r);
}

bool
root_port_ejecting(struct device *dev)
{
	struct root_port *rp = port_of(dev);
	bool ejecting;

	pci_host_lock(rp->fn.host);
	ejecting = rp->ejecting;
	pci_host_unlock(rp->fn.host);
	return (ejecting);
}

void
root_port_removed(struct device *dev)
{
	struct root_port *rp = port_of(dev);

	pci_host_lock(rp->fn.host);
	forget(rp);
	rp->present = false;
	add_status(rp, SLOTSTA_PRESENCE);
	follow(rp, !dev->vmm->paused);
	pci_host_unlock(rp->fn.host);
}

void
root_port_set_owner(struct device *dev, const struct root_port_owner *owner)
{
	port_of(dev)->owner = *owner;
}

/* Life */

static void
fill(struct root_port *rp, unsigned off, uint32_t val, unsigned len)
{
	pci_fill(&rp->fn, off, &val, len);
}

/*
 * Windows begin as none: a base above its limit.  The way to memory begins open, which it would not by the specification: SeaBIOS opens only
 * that of the device behind the port, and nothing is reached without that.
 */
static void
add_header(struct root_port *rp)
{
	struct pci_fn *fn = &rp->fn;

	fn->wmask[PCI_COMMAND] |= PCI_CMD_IO | PCI_CMD_MEM;
	fill(rp, PCI_COMMAND, PCI_CMD_MASTER, 2);
	pci_writable(fn, ROOT_PORT_BUSES, 3, UINT32_MAX);
	fill(rp, ROOT_PORT_IO, 0x00f0, 2);
	pci_writable(fn, ROOT_PORT_IO, 2, 0xf0f0);
	fill(rp, ROOT_PORT_MEM, 0x0000fff0, 4);
	pci_writable(fn, ROOT_PORT_MEM, 4, 0xfff0fff0U);
	fill(rp, ROOT_PORT_PREF, PREF_64 << 16 | 0xfff0 | PREF_64, 4);
	pci_writable(fn, ROOT_PORT_PREF, 4, 0xfff0fff0U);
	pci_writable(fn, ROOT_PORT_PREF_UPPER, 8, UINT32_MAX);
	pci_writable(fn, R_CONTROL, 2, CONTROL_WRITABLE);
}

static int
add_express(struct root_port *rp)
{
	struct pci_fn *fn = &rp->fn;
	uint32_t slot = PCI_SLOT(fn->devfn);
	unsigned cap = pci_add_cap(fn, CAP_EXPRESS, EXPRESS_LEN);

	if (cap == 0)
		return (vmm_fail(ENOSPC, "%s: no room for its capability", fn->dev->name));
	rp->express = cap;
	fill(rp, cap + R_EXPRESS, EXPRESS_KIND, 2);
	fill(rp, cap + R_DEVCAP, DEVCAP_ROLE, 4);
	fill(rp, cap + R_DEVCTL, DEVCTL_INITIAL, 2);
	pci_writable(fn, cap + R_DEVCTL, 2, DEVCTL_WRITABLE);
	fill(rp, cap + R_LINKCAP, LINKCAP | slot << 24, 4);
	pci_writable(fn, cap + R_LINKCTL, 2, LINKCTL_WRITABLE);
	fill(rp, cap + R_LINKSTA, LINKSTA, 2);
	fill(rp, cap + R_SLOTCAP, SLOTCAP | slot << 19, 4);
	fill(rp, cap + R_SLOTCTL, SLOTCTL_EMPTY, 2);
	pci_writable(fn, cap + R_SLOTCTL, 2, SLOTCTL_WRITABLE);
	pci_clearable(fn, cap + R_SLOTSTA, 2, SLOTSTA_EVENTS);
	pci_writable(fn, cap + R_ROOTCTL, 2, ROOTCTL_WRITABLE);
	pci_clearable(fn, cap + R_ROOTSTA, 4, ROOTSTA_PME);
	fill(rp, cap + R_LINKCAP2, LINKCAP2_25, 2);
	return (0);
}

static int
add_subsystem(struct root_port *rp)
{
	unsigned cap = pci_add_cap(&rp->fn, CAP_SUBSYSTEM, 8);

	if (cap == 0)
		return (vmm_fail(ENOSPC, "%s: no room for its identity", rp->fn.dev->name));
	fill(rp, cap + 4, (uint32_t)SUBDEVICE << 16 | SUBVENDOR, 4);
	return (0);
}

static int
port_init(struct device *dev)
{
	const struct pci_ident ident = {
		.vendor = VENDOR, .device = DEVICE, .class_code = CLASS, .intx = dev->place.irq[0] != NULL, .bridge = true, .power = true,
	};
	struct root_port *rp = dev->soft;

	if (pci_init(&rp->fn, dev, &ident, &pci_ops) != 0)
		return (-1);
	rp->due = event_timer_add(dev->vmm->loop, something_to_do, rp);
	add_header(rp);
	if (add_express(rp) != 0 || pci_add_msi(&rp->fn) != 0 || add_subsystem(rp) != 0 ||
	    (rp->due == NULL && vmm_fail(ENOMEM, "%s: no memory", dev->name) != 0)) {
		event_remove(rp->due);
		pci_fini(&rp->fn);
		return (-1);
	}
	rp->port.fn = &rp->fn;
	pci_host_add_port(rp->fn.host, &rp->port);
	return (0);
}

static void
port_fini(struct device *dev)
{
	struct root_port *rp = dev->soft;

	pci_host_remove_port(rp->fn.host, &rp->port);
	event_remove(rp->due);
	pci_fini(&rp->fn);
}

/* What is in the slot is reset too, behind the port. */
static void
port_reset(struct device *dev)
{
	struct root_port *rp = dev->soft;

	pci_reset(&rp->fn);
	pci_host_lock(rp->fn.host);
	rp->ctl = rp->present ? SLOTCTL_FULL : SLOTCTL_EMPTY;
	pci_put(&rp->fn, rp->express + R_SLOTCTL, 2, rp->ctl);
	forget(rp);
	rp->told = false;
	rp->link = link_up(rp);
	follow(rp, false);
	pci_host_unlock(rp->fn.host);
}

static void
port_pause(struct device *dev)
{
	struct root_port *rp = dev->soft;

	pci_pause(&rp->fn);
	event_timer_disarm(rp->due);
	rp->active = false;
}

/* What is in the slot is resumed behind the port. */
static void
port_resume(struct device *dev)
{
	struct root_port *rp = dev->soft;

	pci_resume(&rp->fn);
	pci_host_lock(rp->fn.host);
	rp->active = true;
	rp->ctl = reg(rp, R_SLOTCTL);
	follow(rp, false);
	pci_host_unlock(rp->fn.host);
}

struct pci_port *
root_port_of(struct device *dev)
{
	return (dev->cls->init == port_init ? &port_of(dev)->port : NULL);
}

static const struct vm_state_field fields[] = {
	PCI_STATE(struct root_port), VM_STATE_BOOL(struct root_port, ejecting), VM_STATE_BOOL(struct root_port, asked_blink),
	VM_STATE_BOOL(struct root_port, going), VM_STATE_U64(struct root_port, pressed), VM_STATE_BOOL(struct root_port, cut),
	VM_STATE_BOOL(struct root_port, link), VM_STATE_BOOL(struct root_port, told),
};

static const struct vm_state_table state = VM_STATE_TABLE("root-port", 1, 1, fields, NULL);

DEVICE_CLASS_NOKEYS(root_port, ROOT_PORT, "PCI Express root port with a slot for hot-plug", &state,
    .on = DEVICE_ON_PCI,
    .size = sizeof(struct root_port),
    .init = port_init,
    .fini = port_fini,
    .reset = port_reset,
    .pause = port_pause,
    .resume = port_resume);
