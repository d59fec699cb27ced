/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3.c - a GICv3 with one security state and affinity routing (Arm IHI 0069G): its inputs, what it signals, and its life.
 *
 * Lines are the shared peripheral interrupts: line N is INTID 32 + N.  Messages are writes to GICD_SETSPI_NSR (GICD_TYPER.MBIS), and to
 * GITS_TRANSLATER if there is an ITS.  Callbacks and notifications are made after the lock was dropped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gicv3.h"

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
unsigned
gic_group_mask(const struct gic_cpu *c, unsigned group)
{
	if (group == 1 && (c->ctlr & ICC_CTLR_CBPR) == 0)
		return (0xffU << c->bpr[1] & 0xff);
	return (0xffU << (c->bpr[0] + 1U) & 0xff);
}

unsigned
gic_running_priority(const struct gic_cpu *c)
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

/* LPIs are never active and always of group 1 (IHI 0069 4.8.5, 5.1). */
static void
consider_lpis(const struct gic *g, struct gic_cpu *c)
{
	unsigned left = (g->ctlr & CTLR_GRP1) != 0 && (c->lpi_ctlr & 1) != 0 ? c->nlpi : 0;

	for (unsigned w = 0; left != 0 && w < nitems(c->lpi); w++) {
		for (uint64_t rest = c->lpi[w]; rest != 0; rest &= rest - 1, left--) {
			unsigned n = w * 64 + (unsigned)__builtin_ctzll(rest);
			uint8_t prio = g->lpi_conf[n] & PRIO_MASK;

			if ((g->lpi_conf[n] & LPI_CONF_ENABLE) == 0 || (c->hppi != SPURIOUS && prio >= c->hppi_prio))
				continue;
			c->hppi = LPI_FIRST + n;
			c->hppi_prio = prio;
			c->hppi_group = 1;
		}
	}
}

/* Recompute what a CPU interface signals.  Locked. */
void
gic_update_cpu(struct gic *g, struct gic_cpu *c)
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
		consider_lpis(g, c);
	}
	if (c->hppi != SPURIOUS && c->igrpen[c->hppi_group] && c->hppi_prio < c->pmr &&
	    (c->hppi_prio & gic_group_mask(c, c->hppi_group)) < gic_running_priority(c))
		out = c->hppi_group == 1 ? GIC_OUT_IRQ : GIC_OUT_FIQ;
	old = atomic_exchange_explicit(&c->out, out, memory_order_acq_rel);
	if (out != 0 && out != old)
		g->notify |= 1ULL << c->vcpu->id;
}

void
gic_update_all(struct gic *g)
{
	for (unsigned i = 0; i < g->ncpus; i++)
		gic_update_cpu(g, g->cpus[i]);
}

void
gic_lock(struct gic *g)
{
	pthread_mutex_lock(&g->lock);
}

void
gic_unlock(struct gic *g)
{
	uint64_t notify = g->notify;

	g->notify = 0;
	pthread_mutex_unlock(&g->lock);
	for (; notify != 0; notify &= notify - 1)
		vcpu_notify(g->vm->vcpus[__builtin_ctzll(notify)]);
}

/* GICD_IROUTER names a processor by its affinity; others' interrupts stay pending (IHI 0069 3.2.3). */
void
gic_retarget(struct gic *g, unsigned spi)
{
	uint64_t aff = (g->router[spi] & 0xffffff) | (g->router[spi] >> 8 & 0xff000000);
	struct vcpu *vcpu = arm64_by_affinity(g->vm, aff);

	g->target[spi] = vcpu == NULL ? NULL : vcpu->intc;
}

/* The bank of an INTID as a vCPU sees it. */
struct gic_bank *
gic_bank_of(struct gic *g, struct gic_cpu *c, unsigned intid)
{
	if (intid >= NINTID)
		return (NULL);
	return (intid < 32 ? &c->bank : &g->bank[intid / 32 - 1]);
}

void
gic_update_intid(struct gic *g, struct gic_cpu *c, unsigned intid)
{
	if (intid >= 32)
		c = g->target[intid - 32];
	if (c != NULL)
		gic_update_cpu(g, c);
}

/* Message or register: make an SPI pending, or not.  What is no SPI is ignored (IHI 0069 12.9.38).  Locked. */
void
gic_message(struct gic *g, uint32_t intid, bool set)
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
	gic_update_intid(g, NULL, intid);
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
	gic_update_intid(g, NULL, line + 32);
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
		gic_update_cpu(g, c);
	}
	gic_unlock(g);
}

static int
msi(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data)
{
	struct gic *g = vm->intc;

	if (g->its.base != 0 && addr == g->its.base + GITS_TRANSLATER) {
		gic_lock(g);
		gic_its_message(g, requester, data);
		gic_unlock(g);
		return (0);
	}
	if (addr != g->gicd + GICD_SETSPI_NSR && addr != g->gicd + GICD_CLRSPI_NSR)
		return (vm_fail(EINVAL, "vm '%s': nobody takes messages at 0x%llx", vm->name,
		    (unsigned long long)addr));
	gic_lock(g);
	gic_message(g, data & 0x1fff, addr == g->gicd + GICD_SETSPI_NSR);
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
		gic_retarget(g, i);
	}
	for (unsigned i = 0; i < g->ncpus; i++) {
		struct gic_cpu *c = g->cpus[i];

		reset_bank(&c->bank, 0x0000ffff);
		/*
		 * The architecture has a redistributor reset asleep, to be woken by the firmware of EL3 (IHI 0069 11.1).  There is no
		 * EL3, so it is as that firmware leaves it: what runs at EL1 counts on that and need not wake it.
		 */
		c->waker = 0;
		c->ctlr = 0;
		c->apr[0] = c->apr[1] = 0;
		c->pmr = 0;
		c->bpr[0] = BPR0_MIN;
		c->bpr[1] = BPR1_MIN;
		c->igrpen[0] = c->igrpen[1] = 0;
		gic_lpi_reset(c);
	}
	gic_its_reset(g);
	gic_update_all(g);
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
		gic_retarget(g, i);
	gic_its_loaded(g);
	gic_lpi_loaded(g);
	gic_update_all(g);
	/* The vCPUs were not told of what they had before. */
	for (unsigned i = 0; i < g->ncpus; i++) {
		if (atomic_load_explicit(&g->cpus[i]->out, memory_order_relaxed) != 0)
			g->notify |= 1ULL << g->cpus[i]->vcpu->id;
	}
	gic_unlock(g);
}

static void
saving(struct vmctx *vm)
{
	struct gic *g = vm->intc;

	gic_lock(g);
	gic_its_link(g);
	gic_unlock(g);
}

static void
destroy(struct vmctx *vm)
{
	struct gic *g = vm->intc;

	if (g == NULL)
		return;
	gic_its_destroy(g);
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
	spec.read = gic_dist_read;
	spec.write = gic_dist_write;
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
	spec.read = gic_redist_read;
	spec.write = gic_redist_write;
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
	if (create_cpus(g) != 0 || claim(g, av) != 0 || (av->its != 0 && gic_its_create(g, av->its) != 0)) {
		destroy(vm);
		return (-1);
	}
	reset(vm);
	return (0);
}

const struct intc_ops intc_gicv3 = {
	.name = "gicv3",
	.create = create,
	.destroy = destroy,
	.reset = reset,
	.set_line = set_line,
	.msi = msi,
	.pending = pending,
	.sysreg = gic_sysreg,
	.state = &gic_state_table,
	.cpu_state = &gic_cpu_state_table,
	.saving = saving,
	.loaded = loaded,
};
