/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3.c - a GICv3 with one security state and affinity routing (Arm IHI 0069G): distributor, redistributors, and the CPU
 * interfaces behind the ICC_*_EL1 registers.
 *
 * Lines are the shared peripheral interrupts: line N is INTID 32 + N.  Messages are writes to GICD_SETSPI_NSR (GICD_TYPER.MBIS).  There
 * are no LPIs.  One lock protects all of it; what each CPU interface signals is kept ready in an atomic, so that a vCPU asks
 * without the lock.  Callbacks and notifications are made after the lock was dropped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arm64.h"

#define	NBANKS		(ARM64_NSPI / 32)	/* of the distributor */
#define	NINTID		(32 + ARM64_NSPI)
#define	SPURIOUS	1023U			/* IHI 0069 2.2.1 */
#define	IDLE_PRIORITY	0xffU

/*
 * Five bits of priority, as every implementation with 32 preemption levels has them (IHI 0069 4.8): one active priorities
 * register per group.
 */
#define	PRIO_BITS	5U
#define	PRIO_MASK	0xf8U
#define	BPR0_MIN	(7U - PRIO_BITS)
#define	BPR1_MIN	(BPR0_MIN + 1U)

/* Distributor (IHI 0069 12.8, 12.9) */
#define	GICD_CTLR	0x0000U
#define	GICD_TYPER	0x0004U
#define	GICD_IIDR	0x0008U
#define	GICD_SETSPI_NSR	0x0040U
#define	GICD_CLRSPI_NSR	0x0048U
#define	GICD_IROUTER	0x6000U		/* + 8 * INTID */
#define	GIC_PIDR2	0xffe8U
#define	GIC_CIDR0	0xfff0U

#define	CTLR_GRP0	0x01U
#define	CTLR_GRP1	0x02U
#define	CTLR_ARE	0x10U
#define	CTLR_DS		0x40U

#define	TYPER_MBIS	(1U << 16)
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
#define	GICR_IIDR	0x0004U
#define	GICR_TYPER	0x0008U
#define	GICR_WAKER	0x0014U
#define	GICR_SGI_BASE	0x10000U

#define	GICR_TYPER_LAST	0x10U
#define	WAKER_SLEEP	0x2U
#define	WAKER_ASLEEP	0x4U

#define	PIDR2_GICV3	0x30U		/* ArchRev */

/* ICC_CTLR_EL1 (IHI 0069 12.2.6) */
#define	ICC_CTLR_CBPR	0x1U
#define	ICC_CTLR_EOIMODE 0x2U
#define	ICC_CTLR_RO	((PRIO_BITS - 1U) << 8)

/* ICC_SRE_EL1: system registers only, no bypass */
#define	ICC_SRE_FIXED	0x7U

/* 32 interrupts, a bit each. */
struct gic_bank {
	uint32_t	group;		/* 1: group 1 */
	uint32_t	enable;
	uint32_t	latch;		/* pending by an edge or by register */
	uint32_t	level;		/* input */
	uint32_t	msg;		/* set by message, for level-triggered ones */
	uint32_t	active;
	uint32_t	edge;		/* 1: edge-triggered */
	uint8_t		prio[32];
};

/* A vCPU's part: redistributor and CPU interface. */
struct gic_cpu {
	/* declared */
	struct gic_bank	 bank;		/* SGIs and PPIs */
	uint32_t	 waker;
	uint32_t	 ctlr;		/* ICC_CTLR_EL1's two bits */
	uint32_t	 apr[2];	/* ICC_AP0R0_EL1, ICC_AP1R0_EL1 */
	uint8_t		 pmr;
	uint8_t		 bpr[2];
	uint8_t		 igrpen[2];
	/* derived */
	struct vcpu	*vcpu;
	uint32_t	 hppi;		/* highest priority pending interrupt, SPURIOUS */
	uint8_t		 hppi_prio;
	uint8_t		 hppi_group;
	_Atomic uint32_t out;		/* GIC_OUT_* */
};

struct gic {
	/* declared */
	uint32_t	 ctlr;
	struct gic_bank	 bank[NBANKS];
	uint64_t	 router[ARM64_NSPI];
	/* not declared */
	pthread_mutex_t	 lock;
	struct vmctx	*vm;
	struct vm_range	*dist, *redist;
	uint64_t	 gicd;
	unsigned	 ncpus;
	struct gic_cpu	*cpus[VM_MAXCPU];	/* in order of id, without gaps */
	struct gic_cpu	*target[ARM64_NSPI];	/* by router; NULL: nobody's */
	uint64_t	 notify;		/* vCPUs to be told, by id, once the lock is dropped */
};

static inline uint32_t
bank_pending(const struct gic_bank *b)
{
	return (b->latch | ((b->level | b->msg) & ~b->edge));
}

/* What of a bank is a candidate for being signalled (IHI 0069 4.1): pending, enabled, not active, its group enabled. */
static inline uint32_t
bank_candidates(const struct gic *g, const struct gic_bank *b)
{
	uint32_t groups = 0;

	if ((g->ctlr & CTLR_GRP0) != 0)
		groups |= ~b->group;
	if ((g->ctlr & CTLR_GRP1) != 0)
		groups |= b->group;
	return (bank_pending(b) & b->enable & ~b->active & groups);
}

/* The bits of a priority that preempt (IHI 0069 4.8.2): BPR1 has one bit less of subpriority than BPR0. */
static unsigned
group_mask(const struct gic_cpu *c, unsigned group)
{
	if (group == 1 && (c->ctlr & ICC_CTLR_CBPR) == 0)
		return (0xffU << c->bpr[1] & 0xff);
	return (0xffU << (c->bpr[0] + 1U) & 0xff);
}

static unsigned
running_priority(const struct gic_cpu *c)
{
	uint32_t apr = c->apr[0] | c->apr[1];

	return (apr == 0 ? IDLE_PRIORITY : (unsigned)__builtin_ctz(apr) << (8 - PRIO_BITS));
}

/* The lowest value is the highest priority; among equals the lowest INTID, which comes first here. */
static void
consider(struct gic_cpu *c, const struct gic_bank *b, unsigned first, uint32_t candidates)
{
	while (candidates != 0) {
		unsigned bit = (unsigned)__builtin_ctz(candidates);

		candidates &= candidates - 1;
		if (c->hppi == SPURIOUS || b->prio[bit] < c->hppi_prio) {
			c->hppi = first + bit;
			c->hppi_prio = b->prio[bit];
			c->hppi_group = (uint8_t)(b->group >> bit & 1);
		}
	}
}

/* Recompute what a CPU interface signals.  Locked. */
static void
update_cpu(struct gic *g, struct gic_cpu *c)
{
	uint32_t out = 0, old;

	c->hppi = SPURIOUS;
	c->hppi_prio = IDLE_PRIORITY;
	c->hppi_group = 0;
	/* A redistributor asleep forwards nothing (IHI 0069 11.1). */
	if ((c->waker & WAKER_SLEEP) == 0) {
		consider(c, &c->bank, 0, bank_candidates(g, &c->bank));
		for (unsigned i = 0; i < NBANKS; i++) {
			uint32_t cand = bank_candidates(g, &g->bank[i]);

			for (uint32_t rest = cand; rest != 0; rest &= rest - 1) {
				unsigned bit = (unsigned)__builtin_ctz(rest);

				if (g->target[i * 32 + bit] != c)
					cand &= ~(1U << bit);
			}
			consider(c, &g->bank[i], 32 + i * 32, cand);
		}
	}
	if (c->hppi != SPURIOUS && c->igrpen[c->hppi_group] && c->hppi_prio < c->pmr &&
	    (c->hppi_prio & group_mask(c, c->hppi_group)) < running_priority(c))
		out = c->hppi_group == 1 ? GIC_OUT_IRQ : GIC_OUT_FIQ;
	old = atomic_exchange_explicit(&c->out, out, memory_order_acq_rel);
	if (out != 0 && out != old)
		g->notify |= 1ULL << c->vcpu->id;
}

static void
update_all(struct gic *g)
{
	for (unsigned i = 0; i < g->ncpus; i++)
		update_cpu(g, g->cpus[i]);
}

static void
gic_lock(struct gic *g)
{
	pthread_mutex_lock(&g->lock);
}

static void
gic_unlock(struct gic *g)
{
	uint64_t notify = g->notify;

	g->notify = 0;
	pthread_mutex_unlock(&g->lock);
	for (; notify != 0; notify &= notify - 1)
		vcpu_notify(g->vm->vcpus[__builtin_ctzll(notify)]);
}

/* GICD_IROUTER names a processor by its affinity; others' interrupts stay pending (IHI 0069 3.2.3). */
static void
retarget(struct gic *g, unsigned spi)
{
	uint64_t aff = (g->router[spi] & 0xffffff) | (g->router[spi] >> 8 & 0xff000000);
	struct vcpu *vcpu = arm64_by_affinity(g->vm, aff);

	g->target[spi] = vcpu == NULL ? NULL : vcpu->intc;
}

/* The bank of an INTID as a vCPU sees it. */
static struct gic_bank *
bank_of(struct gic *g, struct gic_cpu *c, unsigned intid)
{
	if (intid >= NINTID)
		return (NULL);
	return (intid < 32 ? &c->bank : &g->bank[intid / 32 - 1]);
}

static void
update_intid(struct gic *g, struct gic_cpu *c, unsigned intid)
{
	if (intid >= 32)
		c = g->target[intid - 32];
	if (c != NULL)
		update_cpu(g, c);
}

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

/* Message or register: make an SPI pending, or not.  What is no SPI is ignored (IHI 0069 12.9.38).  Locked. */
static void
message(struct gic *g, uint32_t intid, bool set)
{
	struct gic_bank *b;
	uint32_t bit;

	if (intid < 32 || intid >= NINTID)
		return;
	b = &g->bank[intid / 32 - 1];
	bit = 1U << intid % 32;
	if ((b->edge & bit) == 0)
		b->msg = set ? b->msg | bit : b->msg & ~bit;
	else
		b->latch = set ? b->latch | bit : b->latch & ~bit;
	update_intid(g, NULL, intid);
}

static uint32_t
id_register(uint32_t off)
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
			update_all(g);
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
		retarget(g, spi);
		update_all(g);
		return;
	}
	switch (off) {
	case GICD_CTLR:
		if (write) {
			g->ctlr = v & (CTLR_GRP0 | CTLR_GRP1);
			update_all(g);
		} else {
			*val = g->ctlr | CTLR_ARE | CTLR_DS;
		}
		break;
	case GICD_TYPER:
		if (!write)
			*val = NINTID / 32 - 1 + TYPER_MBIS + TYPER_IDBITS(10) + TYPER_NO1N;
		break;
	case GICD_SETSPI_NSR:
	case GICD_CLRSPI_NSR:
		if (write)
			message(g, v & 0x1fff, off == GICD_SETSPI_NSR);
		break;
	default:
		if (!write)
			*val = id_register(off);
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
				update_cpu(g, c);
			return;
		}
		if (!write)
			*val = 0;
		return;
	}
	if (!write)
		*val = 0;
	switch (off) {
	case GICR_TYPER:
		if (!write)
			*val = (uint32_t)c->vcpu->id << 8 | (c == g->cpus[g->ncpus - 1] ? GICR_TYPER_LAST : 0);
		break;
	case GICR_TYPER + 4:
		if (!write)
			*val = arm64_affinity(c->vcpu->id);
		break;
	case GICR_WAKER:
		/* ChildrenAsleep follows ProcessorSleep at once. */
		if (write) {
			c->waker = v & WAKER_SLEEP;
			update_cpu(g, c);
		} else {
			*val = c->waker | ((c->waker & WAKER_SLEEP) != 0 ? WAKER_ASLEEP : 0);
		}
		break;
	default:
		if (!write)
			*val = id_register(off);
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
			b = bank_of(g, NULL, intid);
		else if (c != NULL && intid < 32)
			b = &c->bank;
		if (b != NULL && write) {
			b->prio[intid % 32] = (uint8_t)(val & PRIO_MASK);
			update_intid(g, c, intid);
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

static uint64_t
dist_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	return (mmio(arg, NULL, (uint32_t)off, size, false, 0));
}

static void
dist_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	mmio(arg, NULL, (uint32_t)off, size, true, val);
}

static uint64_t
redist_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct gic *g = arg;

	return (mmio(g, g->cpus[off / ARM64_GICR_SIZE], (uint32_t)(off % ARM64_GICR_SIZE), size, false, 0));
}

static void
redist_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct gic *g = arg;

	mmio(g, g->cpus[off / ARM64_GICR_SIZE], (uint32_t)(off % ARM64_GICR_SIZE), size, true, val);
}

/* CPU interface.  Locked. */

/* ICC_IARn_EL1: take the highest priority pending interrupt if it is signalled and of this group (IHI 0069 4.1.2). */
static uint32_t
acknowledge(struct gic *g, struct gic_cpu *c, unsigned group)
{
	uint32_t out = atomic_load_explicit(&c->out, memory_order_relaxed);
	uint32_t intid = c->hppi, bit = 1U << intid % 32;
	struct gic_bank *b;

	if (out != (group == 1 ? GIC_OUT_IRQ : GIC_OUT_FIQ))
		return (SPURIOUS);
	b = bank_of(g, c, intid);
	b->latch &= ~bit;
	b->active |= bit;
	c->apr[group] |= 1U << ((c->hppi_prio & group_mask(c, group)) >> (8 - PRIO_BITS));
	update_cpu(g, c);
	return (intid);
}

/* End of activity.  Returns the line that vm_intc_eoi() is owed for, -1 if none. */
static int
deactivate(struct gic *g, struct gic_cpu *c, uint32_t intid)
{
	struct gic_bank *b = bank_of(g, c, intid);
	uint32_t bit = 1U << intid % 32;

	if (b == NULL || (b->active & bit) == 0)
		return (-1);
	b->active &= ~bit;
	update_intid(g, c, intid);
	return (intid >= 32 && (b->edge & bit) == 0 ? (int)intid - 32 : -1);
}

static int
end_of_interrupt(struct gic *g, struct gic_cpu *c, unsigned group, uint64_t val)
{
	uint32_t intid = (uint32_t)val & 0xffffff;
	int line = -1;

	/* A write of a special INTID is ignored (IHI 0069 12.2.9). */
	if (intid >= NINTID)
		return (-1);
	/* Priority drop: the highest active priority of the group. */
	c->apr[group] &= c->apr[group] - 1;
	if ((c->ctlr & ICC_CTLR_EOIMODE) == 0)
		line = deactivate(g, c, intid);
	update_cpu(g, c);
	return (line);
}

static void
sgi_to(struct gic *g, struct gic_cpu *t, unsigned intid, unsigned group)
{
	/*
	 * ICC_SGI1R_EL1 reaches interrupts of group 1, ICC_SGI0R_EL1 of group 0 (IHI 0069 table 4-7, with DS 1).
	 */
	if ((t->bank.group >> intid & 1) != group)
		return;
	t->bank.latch |= 1U << intid;
	update_cpu(g, t);
}

static void
send_sgi(struct gic *g, struct gic_cpu *c, unsigned group, uint64_t val)
{
	unsigned intid = (unsigned)(val >> 24) & 0xf;
	uint32_t aff = (uint32_t)(val >> 16 & 0xff) << 8 | (uint32_t)(val >> 32 & 0xff) << 16 |
	    (uint32_t)(val >> 48 & 0xff) << 24;
	unsigned range = (unsigned)(val >> 44) & 0xf;

	if ((val >> 40 & 1) != 0) {
		/* Interrupt_Routing_Mode: all but the sender. */
		for (unsigned i = 0; i < g->ncpus; i++) {
			if (g->cpus[i] != c)
				sgi_to(g, g->cpus[i], intid, group);
		}
		return;
	}
	for (uint32_t list = (uint32_t)val & 0xffff; list != 0; list &= list - 1) {
		struct vcpu *t = arm64_by_affinity(g->vm, aff | (range * 16 + (unsigned)__builtin_ctz(list)));

		if (t != NULL)
			sgi_to(g, t->intc, intid, group);
	}
}

static uint8_t
clamp_bpr(uint64_t val, unsigned min)
{
	val &= 7;
	return ((uint8_t)(val < min ? min : val));
}

static bool
read_icc(struct gic *g, struct gic_cpu *c, uint64_t reg, uint64_t *val)
{
	switch (reg) {
	case ICC_IAR0:
	case ICC_IAR1:
		*val = acknowledge(g, c, reg == ICC_IAR1);
		break;
	case ICC_HPPIR0:
	case ICC_HPPIR1:
		*val = c->hppi != SPURIOUS && c->hppi_group == (reg == ICC_HPPIR1) ? c->hppi : SPURIOUS;
		break;
	case ICC_BPR0:
		*val = c->bpr[0];
		break;
	case ICC_BPR1:
		*val = (c->ctlr & ICC_CTLR_CBPR) == 0 ? c->bpr[1] : c->bpr[0] < 7 ? c->bpr[0] + 1U : 7;
		break;
	case ICC_AP0R0:
	case ICC_AP1R0:
		*val = c->apr[reg == ICC_AP1R0];
		break;
	case ICC_PMR:
		*val = c->pmr;
		break;
	case ICC_RPR:
		*val = running_priority(c);
		break;
	case ICC_CTLR:
		*val = c->ctlr | ICC_CTLR_RO;
		break;
	case ICC_SRE:
		*val = ICC_SRE_FIXED;
		break;
	case ICC_IGRPEN0:
	case ICC_IGRPEN1:
		*val = c->igrpen[reg == ICC_IGRPEN1];
		break;
	default:
		return (false);
	}
	return (true);
}

static bool
write_icc(struct gic *g, struct gic_cpu *c, uint64_t reg, uint64_t val, int *line)
{
	switch (reg) {
	case ICC_EOIR0:
	case ICC_EOIR1:
		*line = end_of_interrupt(g, c, reg == ICC_EOIR1, val);
		break;
	case ICC_DIR:
		/* Without the split mode the write is UNPREDICTABLE (IHI 0069 12.2.8): ignored. */
		if ((c->ctlr & ICC_CTLR_EOIMODE) != 0)
			*line = deactivate(g, c, (uint32_t)val & 0xffffff);
		break;
	case ICC_BPR0:
		c->bpr[0] = clamp_bpr(val, BPR0_MIN);
		break;
	case ICC_BPR1:
		if ((c->ctlr & ICC_CTLR_CBPR) == 0)
			c->bpr[1] = clamp_bpr(val, BPR1_MIN);
		break;
	case ICC_AP0R0:
	case ICC_AP1R0:
		c->apr[reg == ICC_AP1R0] = (uint32_t)val;
		break;
	case ICC_PMR:
		c->pmr = (uint8_t)(val & PRIO_MASK);
		break;
	case ICC_CTLR:
		c->ctlr = (uint32_t)val & (ICC_CTLR_CBPR | ICC_CTLR_EOIMODE);
		break;
	case ICC_SRE:
		break;
	case ICC_IGRPEN0:
	case ICC_IGRPEN1:
		c->igrpen[reg == ICC_IGRPEN1] = val & 1;
		break;
	case ICC_SGI0R:
		send_sgi(g, c, 0, val);
		break;
	case ICC_SGI1R:
	case ICC_ASGI1R:
		/* The alias names the other security state's interrupts, and there is one state. */
		send_sgi(g, c, 1, val);
		break;
	default:
		return (false);
	}
	update_cpu(g, c);
	return (true);
}

static bool
sysreg(struct vcpu *vcpu, uint64_t reg, bool write, uint64_t *val)
{
	struct gic *g = vcpu->vm->intc;
	struct gic_cpu *c = vcpu->intc;
	int line = -1;
	bool ok;

	gic_lock(g);
	ok = write ? write_icc(g, c, reg, *val, &line) : read_icc(g, c, reg, val);
	gic_unlock(g);
	if (line >= 0)
		vm_intc_eoi(vcpu->vm, (unsigned)line);
	return (ok);
}

unsigned
gicv3_output(struct vcpu *vcpu)
{
	struct gic_cpu *c = vcpu->intc;

	return (c == NULL ? 0 : atomic_load_explicit(&c->out, memory_order_acquire));
}

static bool
pending(struct vcpu *vcpu)
{
	return (gicv3_output(vcpu) != 0);
}

/* An input changed.  Locked. */
static void
input(struct gic_bank *b, unsigned n, bool level)
{
	uint32_t bit = 1U << n;

	if (level && (b->level & bit) == 0)
		b->latch |= b->edge & bit;
	b->level = level ? b->level | bit : b->level & ~bit;
}

static void
set_line(struct vmctx *vm, unsigned line, bool level)
{
	struct gic *g = vm->intc;

	if (line >= ARM64_NSPI)
		return;
	gic_lock(g);
	input(&g->bank[line / 32], line % 32, level);
	update_intid(g, NULL, line + 32);
	gic_unlock(g);
}

void
gicv3_set_ppi(struct vcpu *vcpu, unsigned intid, bool level)
{
	struct gic *g = vcpu->vm->intc;
	struct gic_cpu *c = vcpu->intc;

	if (c == NULL || intid < 16 || intid > 31)
		return;
	gic_lock(g);
	if ((c->bank.level >> intid & 1) != level) {
		input(&c->bank, intid, level);
		update_cpu(g, c);
	}
	gic_unlock(g);
}

static int
msi(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data)
{
	struct gic *g = vm->intc;

	if (addr != g->gicd + GICD_SETSPI_NSR && addr != g->gicd + GICD_CLRSPI_NSR)
		return (vm_fail(EINVAL, "vm '%s': nobody takes messages at 0x%llx", vm->name,
		    (unsigned long long)addr));
	gic_lock(g);
	message(g, data & 0x1fff, addr == g->gicd + GICD_SETSPI_NSR);
	gic_unlock(g);
	return (0);
}

/* Inputs keep their levels: they are others'. */
static void
reset_bank(struct gic_bank *b, uint32_t edge)
{
	uint32_t level = b->level;

	memset(b, 0, sizeof(*b));
	b->level = level;
	b->edge = edge;
}

static void
reset_locked(struct gic *g)
{
	g->ctlr = 0;
	for (unsigned i = 0; i < NBANKS; i++)
		reset_bank(&g->bank[i], 0);
	for (unsigned i = 0; i < ARM64_NSPI; i++) {
		g->router[i] = 0;
		retarget(g, i);
	}
	for (unsigned i = 0; i < g->ncpus; i++) {
		struct gic_cpu *c = g->cpus[i];

		reset_bank(&c->bank, 0x0000ffff);
		c->waker = WAKER_SLEEP;
		c->ctlr = 0;
		c->apr[0] = c->apr[1] = 0;
		c->pmr = 0;
		c->bpr[0] = BPR0_MIN;
		c->bpr[1] = BPR1_MIN;
		c->igrpen[0] = c->igrpen[1] = 0;
	}
	update_all(g);
}

static void
reset(struct vmctx *vm)
{
	struct gic *g = vm->intc;

	gic_lock(g);
	reset_locked(g);
	gic_unlock(g);
}

/* What a restore does not carry: where interrupts go and what is signalled. */
static void
loaded(struct vmctx *vm)
{
	struct gic *g = vm->intc;

	gic_lock(g);
	for (unsigned i = 0; i < ARM64_NSPI; i++)
		retarget(g, i);
	update_all(g);
	/* The vCPUs were not told of what they had before. */
	for (unsigned i = 0; i < g->ncpus; i++) {
		if (atomic_load_explicit(&g->cpus[i]->out, memory_order_relaxed) != 0)
			g->notify |= 1ULL << g->cpus[i]->vcpu->id;
	}
	gic_unlock(g);
}

static void
destroy(struct vmctx *vm)
{
	struct gic *g = vm->intc;

	if (g == NULL)
		return;
	vm_range_remove(g->dist);
	vm_range_remove(g->redist);
	for (unsigned i = 0; i < g->ncpus; i++) {
		g->cpus[i]->vcpu->intc = NULL;
		free(g->cpus[i]);
	}
	pthread_mutex_destroy(&g->lock);
	free(g);
	vm->intc = NULL;
}

static int
create_cpus(struct gic *g)
{
	struct vmctx *vm = g->vm;

	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct gic_cpu *c;

		if (vm->vcpus[i] == NULL)
			continue;
		if ((c = calloc(1, sizeof(*c))) == NULL)
			return (vm_fail(ENOMEM, "vm '%s': no memory for vcpu %u's redistributor", vm->name, i));
		c->vcpu = vm->vcpus[i];
		c->vcpu->intc = c;
		g->cpus[g->ncpus++] = c;
	}
	return (0);
}

static int
claim(struct gic *g, const struct arm64_vm *av)
{
	struct vmctx *vm = g->vm;
	struct vm_range_spec spec = { .space = VM_SPACE_MEM, .arg = g };

	g->gicd = av->gicd;
	spec.name = "gicd";
	spec.base = av->gicd;
	spec.len = ARM64_GICD_SIZE;
	spec.read = dist_read;
	spec.write = dist_write;
	if ((g->dist = vm_range_add(vm, &spec)) == NULL)
		return (-1);
	if (g->ncpus == 0)
		return (0);
	spec.name = "gicr";
	spec.base = av->gicr;
	spec.len = (uint64_t)g->ncpus * ARM64_GICR_SIZE;
	if (av->gicr_size != 0 && spec.len > av->gicr_size)
		return (vm_fail(EINVAL, "vm '%s': %u vCPUs' redistributors take 0x%llx bytes, vm_attach_vgic() gave 0x%llx",
		    vm->name, g->ncpus, (unsigned long long)spec.len, (unsigned long long)av->gicr_size));
	spec.read = redist_read;
	spec.write = redist_write;
	if ((g->redist = vm_range_add(vm, &spec)) == NULL)
		return (-1);
	return (0);
}

static int
create(struct vmctx *vm)
{
	const struct arm64_vm *av = arm64_vm(vm);
	struct gic *g;

	if (av == NULL)
		return (-1);
	if ((g = calloc(1, sizeof(*g))) == NULL)
		return (vm_fail(ENOMEM, "vm '%s': no memory for its interrupt controller", vm->name));
	pthread_mutex_init(&g->lock, NULL);
	g->vm = vm;
	vm->intc = g;
	if (create_cpus(g) != 0 || claim(g, av) != 0) {
		destroy(vm);
		return (-1);
	}
	reset(vm);
	return (0);
}

static const struct vm_state_field bank_fields[] = {
	VM_STATE_U32(struct gic_bank, group),
	VM_STATE_U32(struct gic_bank, enable),
	VM_STATE_U32(struct gic_bank, latch),
	VM_STATE_U32(struct gic_bank, level),
	VM_STATE_U32(struct gic_bank, msg),
	VM_STATE_U32(struct gic_bank, active),
	VM_STATE_U32(struct gic_bank, edge),
	VM_STATE_U8S(struct gic_bank, prio),
};

static int
check_bank(void *obj)
{
	const struct gic_bank *b = obj;

	for (unsigned i = 0; i < 32; i++) {
		if ((b->prio[i] & ~PRIO_MASK) != 0)
			return (vm_state_complain("priority 0x%x has bits that are not implemented", b->prio[i]));
	}
	return (0);
}

static const struct vm_state_table bank_table = VM_STATE_TABLE("gicv3.bank", 1, 1, bank_fields, check_bank);

static const struct vm_state_field gic_fields[] = {
	VM_STATE_U32(struct gic, ctlr),
	VM_STATE_STRUCTS(struct gic, bank, &bank_table),
	VM_STATE_U64S(struct gic, router),
};

static int
check_gic(void *obj)
{
	const struct gic *g = obj;

	if ((g->ctlr & ~(CTLR_GRP0 | CTLR_GRP1)) != 0)
		return (vm_state_complain("GICD_CTLR 0x%x has bits that are not stored", g->ctlr));
	for (unsigned i = 0; i < ARM64_NSPI; i++) {
		if ((g->router[i] & ~0xff00ffffffULL) != 0)
			return (vm_state_complain("GICD_IROUTER%u 0x%llx has reserved bits", i + 32,
			    (unsigned long long)g->router[i]));
	}
	return (0);
}

static const struct vm_state_table gic_table = VM_STATE_TABLE("gicv3", 1, 1, gic_fields, check_gic);

static const struct vm_state_field cpu_fields[] = {
	VM_STATE_STRUCT(struct gic_cpu, bank, &bank_table),
	VM_STATE_U32(struct gic_cpu, waker),
	VM_STATE_U32(struct gic_cpu, ctlr),
	VM_STATE_U32S(struct gic_cpu, apr),
	VM_STATE_U8(struct gic_cpu, pmr),
	VM_STATE_U8S(struct gic_cpu, bpr),
	VM_STATE_U8S(struct gic_cpu, igrpen),
};

static int
check_cpu(void *obj)
{
	const struct gic_cpu *c = obj;

	if ((c->waker & ~WAKER_SLEEP) != 0 || (c->ctlr & ~(ICC_CTLR_CBPR | ICC_CTLR_EOIMODE)) != 0)
		return (vm_state_complain("GICR_WAKER 0x%x or ICC_CTLR_EL1 0x%x has bits that are not stored", c->waker,
		    c->ctlr));
	if ((c->bank.edge & 0xffff) != 0xffff)
		return (vm_state_complain("a software-generated interrupt is not edge-triggered"));
	if ((c->pmr & ~PRIO_MASK) != 0)
		return (vm_state_complain("ICC_PMR_EL1 0x%x has bits that are not implemented", c->pmr));
	if (c->bpr[0] < BPR0_MIN || c->bpr[0] > 7 || c->bpr[1] < BPR1_MIN || c->bpr[1] > 7)
		return (vm_state_complain("ICC_BPR0_EL1 %u or ICC_BPR1_EL1 %u is out of range", c->bpr[0], c->bpr[1]));
	if (c->igrpen[0] > 1 || c->igrpen[1] > 1)
		return (vm_state_complain("ICC_IGRPENn_EL1 is not a bit"));
	return (0);
}

static const struct vm_state_table cpu_table = VM_STATE_TABLE("gicv3.cpu", 1, 1, cpu_fields, check_cpu);

const struct intc_ops intc_gicv3 = {
	.name = "gicv3",
	.create = create,
	.destroy = destroy,
	.reset = reset,
	.set_line = set_line,
	.msi = msi,
	.pending = pending,
	.sysreg = sysreg,
	.state = &gic_table,
	.cpu_state = &cpu_table,
	.loaded = loaded,
};
