/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3_lpi.c - LPIs as the redistributors have them (IHI 0069 5.1, 12.11): a configuration table that all share and a pending table of each,
 * both in guest memory.
 *
 * What is pending is written through to the pending table, so a save carries it with the guest's memory.  The configuration is looked at when
 * LPIs are enabled and when the ITS is told that it changed.  Functions are called with the controller's lock held.
 */
#include <string.h>

#include "gicv3.h"

#define	GICR_CTLR	0x0000U
#define	GICR_PROPBASER	0x0070U
#define	GICR_PENDBASER	0x0078U
#define	GICR_SYNCR	0x00c0U

#define	CTLR_ENABLE_LPIS 0x1U

static bool
enabled(const struct gic_cpu *c)
{
	return ((c->lpi_ctlr & CTLR_ENABLE_LPIS) != 0);
}

/* The first INTID beyond those that GICR_PROPBASER.IDbits has room for. */
static uint32_t
limit(const struct gic_cpu *c)
{
	unsigned bits = (unsigned)(c->propbaser & PROPBASER_IDBITS) + 1;

	return (bits >= 16 ? LPI_END : 1U << bits);
}

static bool
is_lpi(const struct gic_cpu *c, uint32_t intid)
{
	return (intid >= LPI_FIRST && intid < limit(c));
}

/* The pending table has a bit for each INTID (IHI 0069 5.1.3). */
static void
write_through(struct gic *g, struct gic_cpu *c, uint32_t intid, bool pending)
{
	uint64_t gpa = (c->pendbaser & PENDBASER_ADDR) + intid / 8;
	uint8_t bit = (uint8_t)(1U << intid % 8);
	struct vm_wsec ws;

	/* Where there is no memory the guest has none to miss. */
	if (vm_write_begin(g->vm, gpa, 1, &ws) == NULL)
		return;
	if (pending)
		__atomic_fetch_or((uint8_t *)ws.host, bit, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and((uint8_t *)ws.host, (uint8_t)~bit, __ATOMIC_RELAXED);
	vm_write_commit(&ws);
}

bool
gic_lpi_pending(const struct gic_cpu *c, uint32_t intid)
{
	unsigned n = intid - LPI_FIRST;

	return (is_lpi(c, intid) && (c->lpi[n / 64] >> n % 64 & 1) != 0);
}

/* While LPIs are off they are discarded (IHI 0069 12.11.2). */
void
gic_lpi_set(struct gic *g, struct gic_cpu *c, uint32_t intid, bool pending)
{
	unsigned n = intid - LPI_FIRST;

	if (!enabled(c) || !is_lpi(c, intid) || gic_lpi_pending(c, intid) == pending)
		return;
	c->lpi[n / 64] ^= 1ULL << n % 64;
	c->nlpi += pending ? 1 : -1U;
	write_through(g, c, intid, pending);
	gic_update_cpu(g, c);
}

void
gic_lpi_move_all(struct gic *g, struct gic_cpu *from, struct gic_cpu *to)
{
	if (from == to)
		return;
	for (unsigned w = 0; w < nitems(from->lpi); w++) {
		for (uint64_t rest = from->lpi[w]; rest != 0; rest &= rest - 1) {
			uint32_t intid = LPI_FIRST + w * 64 + (unsigned)__builtin_ctzll(rest);

			gic_lpi_set(g, from, intid, false);
			gic_lpi_set(g, to, intid, true);
		}
	}
}

/* Bytes of LPIs from the configuration table, which redistributors share (IHI 0069 5.1.2): any that has it. */
static const struct gic_cpu *
configured(const struct gic *g)
{
	for (unsigned i = 0; i < g->ncpus; i++) {
		if (enabled(g->cpus[i]))
			return (g->cpus[i]);
	}
	return (NULL);
}

static void
read_config(struct gic *g, const struct gic_cpu *c, uint32_t intid, uint32_t n)
{
	uint64_t gpa = (c->propbaser & PROPBASER_ADDR) + (intid - LPI_FIRST);
	const uint8_t *p = vm_map_read(g->vm, gpa, n);

	for (uint32_t i = 0; i < n; i++)
		g->lpi_conf[intid - LPI_FIRST + i] = p == NULL ? 0 : __atomic_load_n(p + i, __ATOMIC_RELAXED);
}

void
gic_lpi_invalidate(struct gic *g, uint32_t intid)
{
	const struct gic_cpu *c = configured(g);

	if (c == NULL || !is_lpi(c, intid))
		return;
	read_config(g, c, intid, 1);
	gic_update_all(g);
}

void
gic_lpi_invalidate_all(struct gic *g)
{
	const struct gic_cpu *c = configured(g);

	if (c == NULL)
		return;
	if (limit(c) > LPI_FIRST)
		read_config(g, c, LPI_FIRST, limit(c) - LPI_FIRST);
	gic_update_all(g);
}

static void
forget_pending(struct gic_cpu *c)
{
	memset(c->lpi, 0, sizeof(c->lpi));
	c->nlpi = 0;
}

static void
read_pending(struct gic *g, struct gic_cpu *c)
{
	const uint8_t *p;
	uint32_t end = limit(c);

	forget_pending(c);
	if (!enabled(c) || end <= LPI_FIRST)
		return;
	p = vm_map_read(g->vm, (c->pendbaser & PENDBASER_ADDR) + LPI_FIRST / 8, (end - LPI_FIRST) / 8);
	if (p == NULL)
		return;
	for (uint32_t i = 0; i < (end - LPI_FIRST) / 8; i++)
		c->lpi[i / 8] |= (uint64_t)__atomic_load_n(p + i, __ATOMIC_RELAXED) << i % 8 * 8;
	for (unsigned w = 0; w < nitems(c->lpi); w++)
		c->nlpi += (unsigned)__builtin_popcountll(c->lpi[w]);
}

static void
write_ctlr(struct gic *g, struct gic_cpu *c, uint32_t val)
{
	bool was = enabled(c);

	c->lpi_ctlr = val & CTLR_ENABLE_LPIS;
	if (enabled(c) && !was) {
		/* With PTZ the guest says that its table is all zeros (IHI 0069 12.11): it is what it reads anyway. */
		c->pendbaser &= ~PENDBASER_PTZ;
		read_pending(g, c);
		gic_lpi_invalidate_all(g);
	} else if (!enabled(c) && was) {
		forget_pending(c);
		gic_update_cpu(g, c);
	}
}

/* A half of a doubleword register; what it keeps of a value is mask.  Not while LPIs are enabled, when a write is UNPREDICTABLE. */
static void
half(const struct gic_cpu *c, uint64_t *reg, uint64_t mask, bool high, bool write, uint32_t *val)
{
	unsigned shift = high ? 32 : 0;

	if (!write)
		*val = (uint32_t)((*reg & ~PENDBASER_PTZ) >> shift);	/* which only writes */
	else if (!enabled(c))
		*reg = ((*reg & ~(0xffffffffULL << shift)) | (uint64_t)*val << shift) & mask;
}

bool
gic_lpi_register(struct gic *g, struct gic_cpu *c, uint32_t off, bool write, uint32_t *val)
{
	switch (off) {
	case GICR_CTLR:
		if (write)
			write_ctlr(g, c, *val);
		else
			*val = c->lpi_ctlr;
		return (true);
	case GICR_PROPBASER:
	case GICR_PROPBASER + 4:
		half(c, &c->propbaser, PROPBASER_MASK, off != GICR_PROPBASER, write, val);
		return (true);
	case GICR_PENDBASER:
	case GICR_PENDBASER + 4:
		half(c, &c->pendbaser, PENDBASER_MASK | PENDBASER_PTZ, off != GICR_PENDBASER, write, val);
		return (true);
	case GICR_SYNCR:
		if (!write)
			*val = 0;	/* nothing is ever under way */
		return (true);
	default:
		return (false);
	}
}

void
gic_lpi_reset(struct gic_cpu *c)
{
	c->lpi_ctlr = 0;
	c->propbaser = c->pendbaser = 0;
	forget_pending(c);
}

void
gic_lpi_loaded(struct gic *g)
{
	/* A stream may say more than this VM has. */
	for (unsigned i = 0; i < g->ncpus; i++) {
		if (g->lpi_conf == NULL)
			gic_lpi_reset(g->cpus[i]);
		read_pending(g, g->cpus[i]);
	}
	gic_lpi_invalidate_all(g);
}
