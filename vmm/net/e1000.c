/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * e1000.c - an Intel 82540EM or 82545EM gigabit controller on PCI: its rings, statistics, interrupts and life.
 *
 * Nothing is delayed but by ITR: the delays of RDTR, RADV, TIDV and TADV bound how long an interrupt or a write-back may wait, and here
 * it is always at once, with one interrupt for a batch of frames.
 *
 * A write to a tail wakes the control thread, where the back ends live.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../pci/rom.h"
#include "../trace.h"
#include "e1000.h"
#include "headers.h"

#define	ITR_HZ		3906250U	/* 13.4.18: 256 ns */

static const char *const models[] = { "82540em", "82545em", NULL };
static const struct {
	uint16_t	 id;
	uint8_t		 revision;
} parts[] = { { 0x100e, 0x02 }, { 0x100f, 0x01 } };

/* Rings */

uint32_t
e1000_ring_size(const struct e1000_ring *r)
{
	return (r->len / sizeof(struct e1000_desc));
}

uint32_t
e1000_ring_owned(const struct e1000_ring *r)
{
	uint32_t size = e1000_ring_size(r);

	if (r->head >= size || r->tail >= size)
		return (0);
	return (r->tail >= r->head ? r->tail - r->head : size - r->head + r->tail);
}

/* The i-th descriptor from the head on. */
static vm_paddr_t
ring_at(const struct e1000_ring *r, uint32_t i)
{
	return (((uint64_t)r->bah << 32 | r->bal) + (uint64_t)((r->head + i) % e1000_ring_size(r)) * sizeof(struct e1000_desc));
}

/* The tail orders it behind what wrote it; that is no order that the thread sanitizer could see. */
__attribute__((no_sanitize("thread"))) bool
e1000_fetch(struct e1000 *e, const struct e1000_ring *r, uint32_t i, struct e1000_desc *d)
{
	vm_paddr_t gpa = ring_at(r, i);
	const void *p = gpa + sizeof(*d) > gpa ? vm_map_read(e1000_vm(e), gpa, sizeof(*d)) : NULL;

	*d = (struct e1000_desc){ 0 };
	if (p == NULL) {
		device_guest_log(e->dev, "a ring of descriptors is outside of RAM");
		return (false);
	}
	memcpy(d, p, sizeof(*d));
	return (true);
}

void
e1000_write_back(struct e1000 *e, const struct e1000_ring *r, uint32_t i, uint64_t rest)
{
	struct vm_wsec ws;
	vm_paddr_t gpa = ring_at(r, i) + offsetof(struct e1000_desc, rest);
	uint32_t *p = gpa + sizeof(rest) > gpa ? vm_write_begin(e1000_vm(e), gpa, sizeof(rest), &ws) : NULL;

	if (p == NULL)
		return;
	/* The driver looks at the status. */
	p[0] = (uint32_t)rest;
	__atomic_store_n(&p[1], (uint32_t)(rest >> 32), __ATOMIC_RELEASE);
	vm_write_commit(&ws);
}

/* Statistics (13.7): they stay at their maximum. */

void
e1000_count(struct e1000 *e, unsigned i, uint32_t n)
{
	e->stats[i] = e->stats[i] + n < n ? UINT32_MAX : e->stats[i] + n;
}

/* One of 64 bits, at i and i + 1. */
static void
count64(struct e1000 *e, unsigned i, uint32_t n)
{
	uint64_t v = e->stats[i] | (uint64_t)e->stats[i + 1] << 32;

	v = v + n < n ? UINT64_MAX : v + n;
	e->stats[i] = (uint32_t)v;
	e->stats[i + 1] = (uint32_t)(v >> 32);
}

/* By length; i is that of the shortest. */
static void
count_size(struct e1000 *e, unsigned i, size_t len)
{
	static const uint16_t limit[] = { 64, 127, 255, 511, 1023 };
	unsigned n = 0;

	while (n < sizeof(limit) / sizeof(limit[0]) && len + E1000_CRC > limit[n])
		n++;
	e1000_count(e, i + n, 1);
}

void
e1000_count_frame(struct e1000 *e, const struct e1000_direction *d, const uint8_t *frame, size_t len)
{
	e1000_count(e, d->good, 1);
	e1000_count(e, d->total, 1);
	count64(e, d->good_octets, (uint32_t)len + E1000_CRC);
	count64(e, d->total_octets, (uint32_t)len + E1000_CRC);
	count_size(e, d->size, len);
	if (net_broadcast(frame))
		e1000_count(e, d->broadcast, 1);
	else if ((frame[0] & 1) != 0)
		e1000_count(e, d->multicast, 1);
}

/* Interrupts */

void
e1000_update(struct e1000 *e)
{
	uint64_t now;

	if (!e->active || (e->icr & e->ims) == 0) {
		e->asserted = false;
	} else if (!e->asserted) {
		now = vm_timer_count(e->throttle);
		if (e->itr != 0 && (int64_t)(e->next_int - now) > 0) {
			(void)vm_timer_arm(e->throttle, e->next_int);
			return;
		}
		e->next_int = now + e->itr;
		e->asserted = true;
	}
	pci_intx(&e->fn, e->asserted);
}

/* Library's or vCPU's thread: what ITR held back. */
static void
throttled(void *arg)
{
	struct e1000 *e = arg;

	TRACE(e->dev->vmm->log, timer__fire, e->dev->name);
	pthread_mutex_lock(&e->lock);
	e1000_update(e);
	pthread_mutex_unlock(&e->lock);
}

bool
e1000_link_up(const struct e1000 *e)
{
	return ((e->ctrl & E1000_CTRL_SLU) != 0 && e1000_phy_link(e));
}

void
e1000_wake(struct e1000 *e)
{
	if (e->active)
		event_timer_arm(e->kick, 0);
}

/* The back end.  Control thread. */

static void
kicked(void *arg)
{
	struct e1000 *e = arg;
	bool waiting;

	pthread_mutex_lock(&e->lock);
	waiting = e->waiting;
	e->waiting = false;
	pthread_mutex_unlock(&e->lock);
	if (waiting)
		net_ready(e->net);
	if (!e->refused)
		e1000_transmit(e);
}

static void
e1000_flush(void *arg)
{
	struct e1000 *e = arg;

	pthread_mutex_lock(&e->lock);
	e1000_update(e);
	pthread_mutex_unlock(&e->lock);
}

static void
e1000_writable(void *arg)
{
	e1000_transmit(arg);
}

static void
e1000_link(void *arg, bool up)
{
	struct e1000 *e = arg;
	bool was;

	pthread_mutex_lock(&e->lock);
	was = e1000_link_up(e);
	e->link = up;
	e->phy_lost |= !up;
	if (e1000_link_up(e) != was)
		e1000_cause(e, E1000_INT_LSC);
	e1000_update(e);
	pthread_mutex_unlock(&e->lock);
}

static const struct net_nic nic = {
	.receive = e1000_receive, .flush = e1000_flush, .writable = e1000_writable, .link = e1000_link,
};

/* Life */

/* The command register was written: the driver may have given the bus. */
static void
e1000_command(struct pci_fn *fn, uint16_t cmd)
{
	struct e1000 *e = fn->dev->soft;

	pthread_mutex_lock(&e->lock);
	if ((cmd & PCI_CMD_MASTER) != 0)
		e1000_wake(e);
	pthread_mutex_unlock(&e->lock);
}

static const struct pci_ops pci_ops = { .command = e1000_command };

/* What init took, after the function. */
static void
release(struct e1000 *e)
{
	vm_timer_close(e->throttle);
	event_remove(e->kick);
	net_close(e->net);
	free(e->in);
	free(e->out.buf);
	free(e->out.segbuf);
	pthread_mutex_destroy(&e->lock);
}

static void
e1000_fini(struct device *dev)
{
	struct e1000 *e = dev->soft;

	pci_fini(&e->fn);
	release(e);
}

static int
add_parts(struct e1000 *e)
{
	const char *rom = config_str(e->dev->config, "rom");

	if (e1000_add_bars(e) != 0)
		return (-1);
	return (rom != NULL ? pci_add_rom(&e->fn, rom) : 0);
}

static int
e1000_init(struct device *dev)
{
	struct e1000 *e = dev->soft;
	unsigned model = strcmp(config_str(dev->config, "model"), models[1]) == 0;
	const struct pci_ident ident = {
		.vendor = E1000_VENDOR, .device = parts[model].id, .subvendor = E1000_VENDOR, .subdevice = parts[model].id,
		.class_code = 0x020000, .revision = parts[model].revision, .intx = true, .power = true,
	};
	int error;

	e->dev = dev;
	e->device_id = parts[model].id;
	e->net = net_open(dev, &nic, e);
	if (e->net == NULL)
		return (-1);
	pthread_mutex_init(&e->lock, NULL);
	e->kick = event_timer_add(dev->vmm->loop, kicked, e);
	e->throttle = vm_timer_open(dev->vmm->vm, ITR_HZ, throttled, e);
	e->in = malloc(ETH_TAG_LEN + E1000_FRAME_MAX + E1000_CRC);
	/* Of the first only what packets need is ever touched. */
	e->out.buf = malloc(ETH_TAG_LEN + E1000_HDRLEN_MAX + E1000_PAYLEN_MAX);
	e->out.segbuf = malloc(ETH_TAG_LEN + E1000_FRAME_MAX);
	if (e->kick == NULL || e->throttle == NULL || e->in == NULL || e->out.buf == NULL || e->out.segbuf == NULL) {
		release(e);
		return (vmm_fail(ENOMEM, "%s: no memory", dev->name));
	}
	if (pci_init(&e->fn, dev, &ident, &pci_ops) != 0) {
		error = errno;
		release(e);
		errno = error;
		return (-1);
	}
	if (add_parts(e) != 0) {
		error = errno;
		e1000_fini(dev);
		errno = error;
		return (-1);
	}
	return (0);
}

static void
e1000_reset(struct device *dev)
{
	struct e1000 *e = dev->soft;

	pci_reset(&e->fn);
	pthread_mutex_lock(&e->lock);
	e->link = e->net->link;
	e1000_eeprom_init(e);
	e1000_phy_reset(e);
	e1000_regs_reset(e);
	e1000_update(e);
	pthread_mutex_unlock(&e->lock);
}

/* Control thread, so nothing is under way; what the back end did not take is lost. */
static void
e1000_pause(struct device *dev)
{
	struct e1000 *e = dev->soft;

	net_stop(e->net);
	pthread_mutex_lock(&e->lock);
	e->active = false;
	e->out.busy = e->out.made = false;
	e->refused = false;
	(void)vm_timer_disarm(e->throttle);
	pthread_mutex_unlock(&e->lock);
	event_timer_disarm(e->kick);
	pci_pause(&e->fn);
}

static void
e1000_resume(struct device *dev)
{
	struct e1000 *e = dev->soft;

	pci_resume(&e->fn);
	pthread_mutex_lock(&e->lock);
	e->active = true;
	e->waiting = true;		/* looked at again in any case */
	e->asserted = false;
	e->next_int = vm_timer_count(e->throttle);
	e1000_update(e);
	pthread_mutex_unlock(&e->lock);
	net_start(e->net);
	e1000_link(e, e->net->link);
	event_timer_arm(e->kick, 0);
}

/* As the registers keep it: aligned, and not longer than they can say. */
static bool
ring_good(const struct e1000_ring *r)
{
	return ((r->bal & ~E1000_RING_BAL) == 0 && (r->len & ~E1000_RING_LEN) == 0 && r->head <= 0xffff && r->tail <= 0xffff);
}

static int
e1000_check(void *obj)
{
	const struct e1000 *e = obj;

	if (!ring_good(&e->rx) || !ring_good(&e->tx))
		return (vm_state_complain("a ring of descriptors that its registers cannot say"));
	if (e->ee_left > 16)
		return (vm_state_complain("the EEPROM has more to say than a word"));
	if ((e->icr | e->ims) & ~E1000_INT_ALL)
		return (vm_state_complain("causes of interrupts that do not exist"));
	return (0);
}

static const struct config_key keys[] = {
	KEY_ENUM("model", "82540em", models, "which one it is; systems have the same driver for both"),
	NET_KEYS, DEVICE_BOOT_KEY
};

#define	U8(m)	VM_STATE_U8(struct e1000_context, m)
#define	U16(m)	VM_STATE_U16(struct e1000_context, m)
static const struct vm_state_field context_fields[] = {
	U8(ipcss), U8(ipcso), U8(tucss), U8(tucso), U8(hdrlen), U16(ipcse), U16(tucse), U16(mss), VM_STATE_U32(struct e1000_context, paylen),
	VM_STATE_BOOL(struct e1000_context, tcp), VM_STATE_BOOL(struct e1000_context, ipv4),
};
static const struct vm_state_table context_table = VM_STATE_TABLE("e1000-context", 1, 1, context_fields, NULL);

static const struct vm_state_field ring_fields[] = {
	VM_STATE_U32(struct e1000_ring, bal), VM_STATE_U32(struct e1000_ring, bah), VM_STATE_U32(struct e1000_ring, len),
	VM_STATE_U32(struct e1000_ring, head), VM_STATE_U32(struct e1000_ring, tail),
};
static const struct vm_state_table ring_table = VM_STATE_TABLE("e1000-ring", 1, 1, ring_fields, NULL);

#define	U32(m)	VM_STATE_U32(struct e1000, m)
#define	U32S(m)	VM_STATE_U32S(struct e1000, m)
static const struct vm_state_field fields[] = {
	PCI_STATE(struct e1000), VM_STATE_BOOL(struct e1000, link), U32(ctrl), U32(eecd), U32(eerd), U32(ctrl_ext), U32(mdic), U32(fcal),
	U32(fcah), U32(fct), U32(vet), U32(fcttv), U32(ledctl), U32(pba), U32(fcrtl), U32(fcrth), U32(icr), U32(itr), U32(ims), U32(rctl),
	U32(rdtr), U32(radv), U32(rsrpd), U32(rxdctl), U32(rxcsum), U32(tctl), U32(tipg), U32(ait), U32(tidv), U32(txdma), U32(txdctl),
	U32(tadv), U32(tspmt), VM_STATE_STRUCT(struct e1000, rx, &ring_table), VM_STATE_STRUCT(struct e1000, tx, &ring_table), U32S(mta),
	U32S(ra), U32S(vfta), U32(wuc), U32(wufc), U32(wus), U32(ipav), U32(manc), U32S(ip4at), U32S(ip6at), U32S(wupm), U32S(fflt), U32S(ffmt),
	U32S(ffvt), U32S(stats), U32(ioaddr), VM_STATE_STRUCTS(struct e1000, context, &context_table), VM_STATE_U16S(struct e1000, eeprom),
	U32(ee_in), VM_STATE_U8(struct e1000, ee_count), VM_STATE_U16(struct e1000, ee_out), VM_STATE_U8(struct e1000, ee_left),
	VM_STATE_BOOL(struct e1000, ee_do), VM_STATE_BOOL(struct e1000, ee_writable), VM_STATE_U16S(struct e1000, phy),
	VM_STATE_BOOL(struct e1000, phy_lost),
};

static const struct vm_state_table state = VM_STATE_TABLE("e1000", 1, 1, fields, e1000_check);

DEVICE_CLASS(e1000, "e1000", "Intel gigabit network card (82540EM or 82545EM), which most systems know", keys, &state,
    .on = DEVICE_ON_PCI,
    .boot = "ethernet/ethernet-phy@0",
    .size = sizeof(struct e1000),
    .init = e1000_init,
    .fini = e1000_fini,
    .reset = e1000_reset,
    .pause = e1000_pause,
    .resume = e1000_resume);
