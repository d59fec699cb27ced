/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3_mmio.c - the GICv3's memory-mapped registers: distributor and redistributors (IHI 0069 12.8 to 12.11).
 */
#include "gicv3.h"

/* Distributor (IHI 0069 12.8, 12.9) */
#define	GICD_CTLR	0x0000U
#define	GICD_TYPER	0x0004U
#define	GICD_IROUTER	0x6000U		/* + 8 * INTID */
#define	GIC_PIDR2	0xffe8U
#define	GIC_CIDR0	0xfff0U

#define	CTLR_ARE	0x10U
#define	CTLR_DS		0x40U

#define	TYPER_MBIS	(1U << 16)
#define	TYPER_LPIS	(1U << 17)
#define	TYPER_IDBITS(n)	(((n) - 1U) << 19)
#define	TYPER_NO1N	(1U << 25)

/* Both frames, banked: 32 INTIDs per bit register */
#define	GIC_IGROUPR	0x0080U
#define	GIC_ISENABLER	0x0100U
#define	GIC_ICENABLER	0x0180U
#define	GIC_ISPENDR	0x0200U
#define	GIC_ICPENDR	0x0280U
#define	GIC_ISACTIVER	0x0300U
#define	GIC_ICACTIVER	0x0380U
#define	GIC_IPRIORITYR	0x0400U
#define	GIC_IPRIORITYR_END 0x0800U
#define	GIC_ICFGR	0x0c00U
#define	GIC_ICFGR_END	0x0d00U

/* Redistributor (IHI 0069 12.10, 12.11) */
#define	GICR_TYPER	0x0008U
#define	GICR_WAKER	0x0014U
#define	GICR_SGI_BASE	0x10000U

#define	GICR_TYPER_PLPIS 0x01U
#define	GICR_TYPER_LAST	0x10U
#define	WAKER_ASLEEP	0x4U

#define	PIDR2_GICV3	0x30U		/* ArchRev */

/*
 * The registers that both frames have for their interrupts (IHI 0069 12.9.4 ff.).  bank is NULL for INTIDs that are not in this frame:
 * such registers are RES0.  Returns whether what is signalled may have changed.
 */
static bool
bank_access(struct gic_bank *b, bool sgis, uint32_t off, bool write, uint32_t *val)
{
	uint32_t v = *val;

	if (!write)
		*val = 0;
	if (b == NULL)
		return (false);
	switch (off & ~0x7fU) {
	case GIC_IGROUPR:
		if (write)
			b->group = v;
		else
			*val = b->group;
		return (write);
	case GIC_ISENABLER:
	case GIC_ICENABLER:
		if (!write)
			*val = b->enable;
		else if ((off & ~0x7fU) == GIC_ISENABLER)
			b->enable |= v;
		else
			b->enable &= ~v;
		return (write);
	case GIC_ISPENDR:
	case GIC_ICPENDR:
		if (!write)
			*val = bank_pending(b);
		else if ((off & ~0x7fU) == GIC_ISPENDR)
			b->latch |= v;
		else
			b->latch &= ~v;
		return (write);
	case GIC_ISACTIVER:
	case GIC_ICACTIVER:
		if (!write)
			*val = b->active;
		else if ((off & ~0x7fU) == GIC_ISACTIVER)
			b->active |= v;
		else
			b->active &= ~v;
		return (write);
	default:
		break;
	}
	if (off >= GIC_IPRIORITYR && off < GIC_IPRIORITYR_END) {
		for (unsigned i = 0; i < 4; i++) {
			uint8_t *p = &b->prio[(off & 0x1c) + i];

			if (write)
				*p = (uint8_t)(v >> (8 * i) & PRIO_MASK);
			else
				*val |= (uint32_t)*p << (8 * i);
		}
		return (write);
	}
	if (off >= GIC_ICFGR && off < GIC_ICFGR_END) {
		unsigned first = (off & 4) != 0 ? 16 : 0;	/* 16 interrupts to a register */

		/* SGIs are edge-triggered and stay so. */
		if (write && sgis && first == 0)
			return (false);
		for (unsigned i = 0; i < 16; i++) {
			uint32_t bit = 1U << (first + i);

			if (!write)
				*val |= (b->edge & bit) != 0 ? 2U << (2 * i) : 0;
			else if ((v >> (2 * i) & 2) != 0)
				b->edge |= bit;
			else
				b->edge &= ~bit;
		}
		return (write);
	}
	return (false);
}

/* Which INTIDs a banked register at off is for, divided by 32. */
static unsigned
bank_index(uint32_t off)
{
	if (off >= GIC_ICFGR)
		return ((off - GIC_ICFGR) / 8);
	if (off >= GIC_IPRIORITYR)
		return ((off - GIC_IPRIORITYR) / 32);
	return ((off & 0x7c) / 4);
}

static bool
is_banked(uint32_t off)
{
	return ((off >= GIC_IGROUPR && off < GIC_IPRIORITYR_END) || (off >= GIC_ICFGR && off < GIC_ICFGR_END));
}

uint32_t
gic_id_register(uint32_t off)
{
	/* CIDR0 to CIDR3 of a CoreSight component of class 0xf (IHI 0069 12.1.2). */
	static const uint8_t cidr[4] = { 0x0d, 0xf0, 0x05, 0xb1 };

	if (off == GIC_PIDR2)
		return (PIDR2_GICV3);
	if (off >= GIC_CIDR0)
		return (cidr[(off - GIC_CIDR0) / 4]);
	return (0);
}

/* A 32-bit access to the distributor.  Locked. */
static void
dist_access(struct gic *g, uint32_t off, bool write, uint32_t *val)
{
	uint32_t v = *val;

	if (is_banked(off)) {
		unsigned i = bank_index(off);

		/* Bank 0 is the redistributors'. */
		if (bank_access(i >= 1 && i <= NBANKS ? &g->bank[i - 1] : NULL, false, off, write, val))
			gic_update_all(g);
		return;
	}
	if (!write)
		*val = 0;
	if (off >= GICD_IROUTER + 8 * 32 && off < GICD_IROUTER + 8 * NINTID) {
		unsigned spi = (off - GICD_IROUTER) / 8 - 32;
		unsigned shift = (off & 4) != 0 ? 32 : 0;

		if (!write) {
			*val = (uint32_t)(g->router[spi] >> shift);
			return;
		}
		g->router[spi] = (g->router[spi] & ~(0xffffffffULL << shift)) | (uint64_t)v << shift;
		/* Interrupt_Routing_Mode is RES0: one of N is not supported (GICD_TYPER.No1N). */
		g->router[spi] &= 0xff00ffffffULL;
		gic_retarget(g, spi);
		gic_update_all(g);
		return;
	}
	switch (off) {
	case GICD_CTLR:
		if (write) {
			g->ctlr = v & (CTLR_GRP0 | CTLR_GRP1);
			gic_update_all(g);
		} else {
			*val = g->ctlr | CTLR_ARE | CTLR_DS;
		}
		break;
	case GICD_TYPER:
		if (!write)
			*val = NINTID / 32 - 1 + TYPER_MBIS + TYPER_NO1N +
			    (g->its.base != 0 ? TYPER_LPIS + TYPER_IDBITS(16) : TYPER_IDBITS(10));
		break;
	case GICD_SETSPI_NSR:
	case GICD_CLRSPI_NSR:
		if (write)
			gic_message(g, v & 0x1fff, off == GICD_SETSPI_NSR);
		break;
	default:
		if (!write)
			*val = gic_id_register(off);
		break;
	}
}

/* A 32-bit access to a redistributor.  Locked. */
static void
redist_access(struct gic *g, struct gic_cpu *c, uint32_t off, bool write, uint32_t *val)
{
	uint32_t v = *val;

	if (off >= GICR_SGI_BASE) {
		off -= GICR_SGI_BASE;
		if (is_banked(off)) {
			if (bank_access(bank_index(off) == 0 ? &c->bank : NULL, true, off, write, val))
				gic_update_cpu(g, c);
			return;
		}
		if (!write)
			*val = 0;
		return;
	}
	if (!write)
		*val = 0;
	if (g->its.base != 0 && gic_lpi_register(g, c, off, write, val))
		return;
	switch (off) {
	case GICR_TYPER:
		if (!write)
			*val = (uint32_t)c->vcpu->id << 8 | (c == g->cpus[g->ncpus - 1] ? GICR_TYPER_LAST : 0) |
			    (g->its.base != 0 ? GICR_TYPER_PLPIS : 0);
		break;
	case GICR_TYPER + 4:
		if (!write)
			*val = arm64_affinity(c->vcpu->id);
		break;
	case GICR_WAKER:
		/* ChildrenAsleep follows ProcessorSleep at once. */
		if (write) {
			c->waker = v & WAKER_SLEEP;
			gic_update_cpu(g, c);
		} else {
			*val = c->waker | ((c->waker & WAKER_SLEEP) != 0 ? WAKER_ASLEEP : 0);
		}
		break;
	default:
		if (!write)
			*val = gic_id_register(off);
		break;
	}
}

/*
 * Access sizes (IHI 0069 12.1.3): words; bytes for priorities; doublewords for GICD_IROUTER and GICR_TYPER.  Others are UNPREDICTABLE
 * and read as zero here.  c is NULL for the distributor.
 */
static uint64_t
mmio(struct gic *g, struct gic_cpu *c, uint32_t off, unsigned size, bool write, uint64_t val)
{
	uint32_t reg = c != NULL && off >= GICR_SGI_BASE ? off - GICR_SGI_BASE : off;
	uint64_t r = 0;

	if ((off & (size - 1)) != 0)
		return (0);
	gic_lock(g);
	if (size == 1 && reg >= GIC_IPRIORITYR && reg < GIC_IPRIORITYR_END && (c == NULL || off >= GICR_SGI_BASE)) {
		unsigned intid = reg - GIC_IPRIORITYR;
		struct gic_bank *b = NULL;

		if (c == NULL && intid >= 32)
			b = gic_bank_of(g, NULL, intid);
		else if (c != NULL && intid < 32)
			b = &c->bank;
		if (b != NULL && write) {
			b->prio[intid % 32] = (uint8_t)(val & PRIO_MASK);
			gic_update_intid(g, c, intid);
		} else if (b != NULL) {
			r = b->prio[intid % 32];
		}
	} else if (size == 4 || size == 8) {
		for (unsigned i = 0; i < size / 4; i++) {
			uint32_t v = (uint32_t)(val >> (32 * i));

			if (c == NULL)
				dist_access(g, off + 4 * i, write, &v);
			else
				redist_access(g, c, off + 4 * i, write, &v);
			r |= (uint64_t)v << (32 * i);
		}
	}
	gic_unlock(g);
	return (write ? 0 : r);
}

uint64_t
gic_dist_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (mmio(arg, NULL, (uint32_t)off, size, false, 0));
}

void
gic_dist_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	mmio(arg, NULL, (uint32_t)off, size, true, val);
}

uint64_t
gic_redist_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct gic *g = arg;

	return (mmio(g, g->cpus[off / ARM64_GICR_SIZE], (uint32_t)(off % ARM64_GICR_SIZE), size, false, 0));
}

void
gic_redist_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct gic *g = arg;

	mmio(g, g->cpus[off / ARM64_GICR_SIZE], (uint32_t)(off % ARM64_GICR_SIZE), size, true, val);
}
