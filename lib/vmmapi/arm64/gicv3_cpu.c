/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3_cpu.c - the GICv3's CPU interfaces behind the ICC_*_EL1 registers (IHI 0069 12.2).  Functions of struct gic are called with the
 * lock held.
 */
#include "gicv3.h"

/* ICC_CTLR_EL1, what only reads: the number of priority bits */
#define	ICC_CTLR_RO	((PRIO_BITS - 1U) << 8)

/* ICC_SRE_EL1: system registers only, no bypass */
#define	ICC_SRE_FIXED	0x7U

/* ICC_IARn_EL1: take the highest priority pending interrupt if it is signalled and of this group (IHI 0069 4.1.2). */
static uint32_t
acknowledge(struct gic *g, struct gic_cpu *c, unsigned group)
{
	uint32_t out = atomic_load_explicit(&c->out, memory_order_relaxed);
	uint32_t intid = c->hppi, bit = 1U << intid % 32;
	uint8_t prio = c->hppi_prio;
	struct gic_bank *b;

	if (out != (group == 1 ? GIC_OUT_IRQ : GIC_OUT_FIQ))
		return (SPURIOUS);
	b = gic_bank_of(g, c, intid);
	if (b != NULL) {
		b->latch &= ~bit;
		b->active |= bit;
	} else {
		gic_lpi_set(g, c, intid, false);
	}
	c->apr[group] |= 1U << ((prio & gic_group_mask(c, group)) >> (8 - PRIO_BITS));
	gic_update_cpu(g, c);
	return (intid);
}

/* End of activity.  Returns the line that vm_intc_eoi() is owed for, -1 if none. */
static int
deactivate(struct gic *g, struct gic_cpu *c, uint32_t intid)
{
	struct gic_bank *b = gic_bank_of(g, c, intid);
	uint32_t bit = 1U << intid % 32;

	if (b == NULL || (b->active & bit) == 0)
		return (-1);
	b->active &= ~bit;
	gic_update_intid(g, c, intid);
	return (intid >= 32 && (b->edge & bit) == 0 ? (int)intid - 32 : -1);
}

static int
end_of_interrupt(struct gic *g, struct gic_cpu *c, unsigned group, uint64_t val)
{
	uint32_t intid = (uint32_t)val & 0xffffff;
	int line = -1;

	/* A write of a special INTID is ignored (IHI 0069 12.2.9), and so is one that does not exist. */
	if (intid >= NINTID && (intid < LPI_FIRST || intid >= LPI_END))
		return (-1);
	/* Priority drop: the highest active priority of the group. */
	c->apr[group] &= c->apr[group] - 1;
	if ((c->ctlr & ICC_CTLR_EOIMODE) == 0)
		line = deactivate(g, c, intid);
	gic_update_cpu(g, c);
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
	gic_update_cpu(g, t);
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
		*val = gic_running_priority(c);
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
	gic_update_cpu(g, c);
	return (true);
}

bool
gic_sysreg(struct vcpu *vcpu, uint64_t reg, bool write, uint64_t *val)
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
