/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * e1000_regs.c - the gigabit controller's registers, as the driver reads and writes them: BAR 0 has them, BAR 2 a window of ports onto them
 * (13.2.2).
 *
 * Most are only kept, for the driver or for the files beside this one; a table says where, which bits, and what a write or a read does
 * beyond that.
 */
#include <string.h>

#include "e1000.h"

#define	BAR_REGS	0
#define	BAR_PORTS	2
#define	REGS_LEN	0x20000U
#define	PORTS_LEN	0x40U
#define	IOADDR		0U
#define	IODATA		4U

#define	CTRL_INITIAL	(E1000_CTRL_FD | E1000_CTRL_SPEED_1000)

/* What reads and writes do.  Lock held. */

static void
write_ctrl(struct e1000 *e, uint32_t val)
{
	uint32_t was = e->ctrl;

	if ((val & E1000_CTRL_RST) != 0) {
		e1000_regs_reset(e);
		e1000_wake(e);
		return;
	}
	e->ctrl = val;
	if ((val & ~was & E1000_CTRL_PHY_RST) != 0) {
		e1000_phy_reset(e);
		e1000_cause(e, E1000_INT_LSC);
	}
	e1000_wake(e);
}

/* 13.4.2: as negotiated, or as forced. */
static uint32_t
read_status(struct e1000 *e, unsigned i)
{
	uint32_t v = E1000_STATUS_ASDV_1000;

	v |= (e->ctrl & E1000_CTRL_FRCDPLX) == 0 || (e->ctrl & E1000_CTRL_FD) != 0 ? E1000_STATUS_FD : 0;
	v |= (e->ctrl & E1000_CTRL_FRCSPD) != 0 ? (e->ctrl & E1000_CTRL_SPEED) >> 2 : E1000_STATUS_1000;
	v |= e1000_link_up(e) ? E1000_STATUS_LU : 0;
	return (v);
}

static uint32_t
read_eecd(struct e1000 *e, unsigned i)
{
	return (e1000_eecd_read(e));
}

static void
write_ctrl_ext(struct e1000 *e, uint32_t val)
{
	if ((val & E1000_CTRL_EXT_EE_RST) != 0)
		e1000_eeprom_load(e);
	e->ctrl_ext = val & ~E1000_CTRL_EXT_EE_RST;
}

/* 13.4, PBA: what is not for receiving is for sending, of 64 KiB. */
static void
write_pba(struct e1000 *e, uint32_t val)
{
	val &= 0x7f;
	e->pba = val | (val < 64 ? 64 - val : 0) << 16;
}

/* 13.4.17: reading clears. */
static uint32_t
read_icr(struct e1000 *e, unsigned i)
{
	uint32_t v = e->icr;

	e->icr = 0;
	return (v);
}

static void
write_icr(struct e1000 *e, uint32_t val)
{
	e->icr &= ~val;
}

static void
write_ics(struct e1000 *e, uint32_t val)
{
	e1000_cause(e, val & E1000_INT_ALL);
}

static void
write_ims(struct e1000 *e, uint32_t val)
{
	e->ims |= val & E1000_INT_ALL;
}

static void
write_imc(struct e1000 *e, uint32_t val)
{
	e->ims &= ~val;
}

static void
write_rctl(struct e1000 *e, uint32_t val)
{
	e->rctl = val;
	e1000_wake(e);
}

static void
write_rdt(struct e1000 *e, uint32_t val)
{
	e->rx.tail = val & 0xffff;
	if (e->waiting)
		e1000_wake(e);
}

static void
write_tctl(struct e1000 *e, uint32_t val)
{
	e->tctl = val;
	e1000_wake(e);
}

static void
write_tdt(struct e1000 *e, uint32_t val)
{
	e->tx.tail = val & 0xffff;
	e1000_wake(e);
}

/* 13.7: reading clears; a counter of 64 bits as its upper half is read. */
static uint32_t
read_stats(struct e1000 *e, unsigned i)
{
	uint32_t v = e->stats[i];

	switch (i) {
	case E1000_GORC:
	case E1000_GOTC:
	case E1000_TOR:
	case E1000_TOT:
		break;
	case E1000_GORC + 1:
	case E1000_GOTC + 1:
	case E1000_TOR + 1:
	case E1000_TOT + 1:
		e->stats[i - 1] = 0;
		/* FALLTHROUGH */
	default:
		e->stats[i] = 0;
		break;
	}
	return (v);
}

/* 13.6: the status of a wake-up is cleared by ones. */
static void
write_wus(struct e1000 *e, uint32_t val)
{
	e->wus &= ~val;
}

/* The table */

/* Registers from off on, count of them, stride bytes from one to the next: where they are kept, and which bits can be written. */
struct reg {
	uint16_t	 off, count, stride;
	size_t		 place;
	uint32_t	 mask, initial;
	uint32_t	(*read)(struct e1000 *e, unsigned i);
	void		(*write)(struct e1000 *e, uint32_t val);
};

#define	REG(o, m, bits, ...)		{ .off = (o), .count = 1, .stride = 4, .place = offsetof(struct e1000, m), .mask = (bits), __VA_ARGS__ }
#define	REGS(o, n, s, m, bits, ...)	{ .off = (o), .count = (n), .stride = (s), .place = offsetof(struct e1000, m), .mask = (bits), __VA_ARGS__ }
#define	ANY	UINT32_MAX

/* By offset (table 13-3). */
static const struct reg regs[] = {
	REG(0x0000, ctrl, ANY, .initial = CTRL_INITIAL, .write = write_ctrl),
	REG(0x0004, ctrl, ANY, .initial = CTRL_INITIAL, .write = write_ctrl),
	REG(0x0008, ctrl, 0, .initial = CTRL_INITIAL, .read = read_status),
	REG(0x0010, eecd, ANY, .read = read_eecd, .write = e1000_eecd_write),
	REG(0x0014, eerd, ANY, .write = e1000_eerd_write),
	REG(0x0018, ctrl_ext, ANY, .write = write_ctrl_ext),
	REG(0x0020, mdic, ANY, .initial = E1000_MDIC_READY, .write = e1000_mdic_write),
	REG(0x0028, fcal, ANY),
	REG(0x002c, fcah, 0xffff),
	REG(0x0030, fct, 0xffff),
	REG(0x0038, vet, 0xffff, .initial = 0x8100),
	REG(0x00c0, icr, ANY, .read = read_icr, .write = write_icr),
	REG(0x00c4, itr, 0xffff),
	REG(0x00c8, icr, ANY, .write = write_ics),
	REG(0x00d0, ims, ANY, .write = write_ims),
	REG(0x00d8, ims, ANY, .write = write_imc),
	REG(0x0100, rctl, 0x06dfb3fe, .write = write_rctl),
	REG(0x0170, fcttv, 0xffff),
	REG(0x0400, tctl, 0x03fffffa, .write = write_tctl),
	REG(0x0410, tipg, 0x3fffffff),
	REG(0x0458, ait, 0xffff),
	REG(0x0e00, ledctl, 0xcfcfcfcf, .initial = 0x07068302),
	REG(0x1000, pba, ANY, .initial = 0x00100030, .write = write_pba),
	REG(0x2160, fcrtl, 0x8000fff8),
	REG(0x2168, fcrth, 0xfff8),
	REG(0x2800, rx.bal, E1000_RING_BAL),
	REG(0x2804, rx.bah, ANY),
	REG(0x2808, rx.len, E1000_RING_LEN),
	REG(0x2810, rx.head, 0xffff),
	REG(0x2818, rx.tail, ANY, .write = write_rdt),
	REG(0x2820, rdtr, 0xffff),
	REG(0x2828, rxdctl, 0x013f3f3f, .initial = 0x01010000),
	REG(0x282c, radv, 0xffff),
	REG(0x2c00, rsrpd, 0xfff),
	REG(0x3000, txdma, ANY),
	REG(0x3800, tx.bal, E1000_RING_BAL),
	REG(0x3804, tx.bah, ANY),
	REG(0x3808, tx.len, E1000_RING_LEN),
	REG(0x3810, tx.head, 0xffff),
	REG(0x3818, tx.tail, ANY, .write = write_tdt),
	REG(0x3820, tidv, 0xffff),
	REG(0x3828, txdctl, 0xff3f3f3f),
	REG(0x382c, tadv, 0xffff),
	REG(0x3830, tspmt, ANY, .initial = 0x01000400),
	REGS(0x4000, E1000_NSTATS, 4, stats, 0, .read = read_stats),
	REG(0x5000, rxcsum, 0x7ff),
	REGS(0x5200, 128, 4, mta, ANY),
	REGS(0x5400, 2 * E1000_ADDRS, 4, ra, ANY),
	REGS(0x5600, 128, 4, vfta, ANY),
	REG(0x5800, wuc, 0xb),
	REG(0x5808, wufc, 0x000f80ff),
	REG(0x5810, wus, ANY, .write = write_wus),
	REG(0x5820, manc, ANY),
	REG(0x5838, ipav, 0x0001000f),
	REGS(0x5840, 4, 8, ip4at, ANY),
	REGS(0x5880, 4, 4, ip6at, ANY),
	REGS(0x5a00, 32, 4, wupm, ANY),
	REGS(0x5f00, 4, 8, fflt, 0x7ff),
	REGS(0x9000, 128, 8, ffmt, 0xf),
	REGS(0x9800, 128, 8, ffvt, ANY),
};
#define	NREGS	(sizeof(regs) / sizeof(regs[0]))

/* The register at an offset, which is the i-th of its row.  NULL: there is none. */
static const struct reg *
find(uint32_t off, unsigned *i)
{
	size_t low = 0, high = NREGS, mid;
	const struct reg *r;

	while (high - low > 1) {
		mid = (low + high) / 2;
		if (regs[mid].off <= off)
			low = mid;
		else
			high = mid;
	}
	r = &regs[low];
	*i = (off - r->off) / r->stride;
	return ((off - r->off) % r->stride == 0 && *i < r->count ? r : NULL);
}

static uint32_t *
place_of(struct e1000 *e, const struct reg *r, unsigned i)
{
	return ((uint32_t *)(void *)((uint8_t *)e + r->place) + i);
}

static uint32_t
reg_read(struct e1000 *e, uint32_t off)
{
	const struct reg *r;
	unsigned i;

	r = find(off, &i);
	if (r == NULL)
		return (0);
	return (r->read != NULL ? r->read(e, i) : *place_of(e, r, i));
}

static void
reg_write(struct e1000 *e, uint32_t off, uint32_t val)
{
	bool link = e1000_link_up(e);
	const struct reg *r;
	unsigned i;

	r = find(off, &i);
	if (r == NULL || r->mask == 0)
		return;
	if (r->write != NULL)
		r->write(e, val & r->mask);
	else
		*place_of(e, r, i) = val & r->mask;
	if (e1000_link_up(e) != link)
		e1000_cause(e, E1000_INT_LSC);
}

void
e1000_regs_reset(struct e1000 *e)
{
	for (size_t n = 0; n < NREGS; n++) {
		for (unsigned i = 0; i < regs[n].count; i++)
			*place_of(e, &regs[n], i) = regs[n].initial;
	}
	memset(e->context, 0, sizeof(e->context));
	e->ioaddr = 0;
	e1000_eecd_write(e, 0);
	e1000_eeprom_load(e);
}

/* vCPUs' accesses */

/* 13.2: registers are read and written as 32 bits; a part of one is read with all that the reading does. */
static uint64_t
mem_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct e1000 *e = arg;
	uint32_t reg = (uint32_t)off & ~3U;
	uint64_t v;

	pthread_mutex_lock(&e->lock);
	v = reg_read(e, reg);
	if (size == 8)
		v |= (uint64_t)reg_read(e, reg + 4) << 32;
	e1000_update(e);
	pthread_mutex_unlock(&e->lock);
	return (v >> (off & 3) * 8);
}

static void
mem_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct e1000 *e = arg;

	if (size < 4 || (off & 3) != 0)
		return;
	pthread_mutex_lock(&e->lock);
	reg_write(e, (uint32_t)off, (uint32_t)val);
	if (size == 8)
		reg_write(e, (uint32_t)off + 4, (uint32_t)(val >> 32));
	e1000_update(e);
	pthread_mutex_unlock(&e->lock);
}

static const struct pci_bar_ops mem_ops = { .read = mem_read, .write = mem_write };

/* 13.2.2: an address, and what is there.  Only the registers are. */
static uint64_t
port_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct e1000 *e = arg;
	uint64_t v = 0;

	pthread_mutex_lock(&e->lock);
	if ((off & ~3ULL) == IOADDR)
		v = e->ioaddr >> (off & 3) * 8;
	else if (off == IODATA && size == 4 && e->ioaddr < REGS_LEN)
		v = reg_read(e, e->ioaddr & ~3U);
	e1000_update(e);
	pthread_mutex_unlock(&e->lock);
	return (v);
}

static void
port_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct e1000 *e = arg;

	if (size != 4)
		return;
	pthread_mutex_lock(&e->lock);
	if (off == IOADDR)
		e->ioaddr = (uint32_t)val;
	else if (off == IODATA && e->ioaddr < REGS_LEN)
		reg_write(e, e->ioaddr & ~3U, (uint32_t)val);
	e1000_update(e);
	pthread_mutex_unlock(&e->lock);
}

static const struct pci_bar_ops port_ops = { .read = port_read, .write = port_write };

int
e1000_add_bars(struct e1000 *e)
{
	if (pci_add_bar(&e->fn, BAR_REGS, PCI_BAR_MEM32, REGS_LEN, &mem_ops, e) != 0)
		return (-1);
	return (pci_add_bar(&e->fn, BAR_PORTS, PCI_BAR_IO, PORTS_LEN, &port_ops, e));
}
