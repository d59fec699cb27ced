/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3_its_table.c - the interrupt translation service's tables in guest memory (IHI 0069 5.2): devices, their events, collections.
 *
 * The entries have the form that Linux documents for its in-kernel ITS (Documentation/virt/kvm/devices/arm-vgic-its.rst, "ITS Table ABI
 * REV0"), so that they go with the guest's memory to whatever back end.  They are looked at anew for each message, and nothing that
 * stands there is believed.
 */
#include "gicv3_its.h"

#define	L1_ADDR		0x000ffffffffff000ULL

/* Entries in memory */
#define	DTE_ITT(e)	(((e) >> 5 & 0xfffffffffffULL) << 8)
#define	DTE_BITS(e)	((unsigned)((e) & 0x1f) + 1)
#define	DTE_LINK	(0x3fffULL << 49)
#define	ITE_INTID(e)	((uint32_t)((e) >> 16))
#define	ITE_ICID(e)	((uint16_t)(e))
#define	ITE_LINK	(0xffffULL << 48)
#define	CTE_TARGET(e)	((uint64_t)(e) >> 16 & 0xfffffffffULL)

static uint64_t
page_size(uint64_t baser)
{
	unsigned code = (unsigned)(baser >> 8) & 3;

	return (code == 0 ? 0x1000 : code == 1 ? 0x4000 : 0x10000);
}

static uint64_t
table_addr(uint64_t baser)
{
	if (page_size(baser) == 0x10000)	/* bits 51:48 are in 15:12 */
		return ((baser & 0x0000ffffffff0000ULL) | (baser & 0xf000) << 36);
	return (baser & 0x0000fffffffff000ULL & ~(page_size(baser) - 1));
}

static uint64_t
table_len(uint64_t baser)
{
	return (((baser & 0xff) + 1) * page_size(baser));
}

static bool
read64(struct gic *g, uint64_t gpa, uint64_t *val)
{
	const uint64_t *p = (gpa & 7) == 0 ? vm_map_read(g->vm, gpa, 8) : NULL;

	if (p == NULL)
		return (false);
	*val = __atomic_load_n(p, __ATOMIC_RELAXED);
	return (true);
}

static bool
write64(struct gic *g, uint64_t gpa, uint64_t val)
{
	struct vm_wsec ws;

	if ((gpa & 7) != 0 || vm_write_begin(g->vm, gpa, 8, &ws) == NULL)
		return (false);
	__atomic_store_n((uint64_t *)ws.host, val, __ATOMIC_RELAXED);
	vm_write_commit(&ws);
	return (true);
}

/* Where entry n of a table is; false: it has none. */
static bool
entry_at(struct gic *g, uint64_t baser, uint64_t n, uint64_t *gpa)
{
	uint64_t off = n * ITS_ENTRY_SIZE, page = page_size(baser), l1;

	if ((baser & ITS_VALID) == 0)
		return (false);
	if ((baser & ITS_INDIRECT) == 0) {
		*gpa = table_addr(baser) + off;
		return (off < table_len(baser));
	}
	if (off / page * 8 >= table_len(baser) || !read64(g, table_addr(baser) + off / page * 8, &l1) || (l1 & ITS_VALID) == 0)
		return (false);
	*gpa = (l1 & L1_ADDR & ~(page - 1)) + off % page;
	return (true);
}

/* A device's entry; false: it is not mapped. */
static bool
device_entry(struct gic *g, uint32_t device, uint64_t *dte)
{
	uint64_t gpa;

	return (device < 1U << ITS_DEVICE_BITS && entry_at(g, g->its.baser[ITS_DEVICES], device, &gpa) && read64(g, gpa, dte) &&
	    (*dte & ITS_VALID) != 0);
}

/* Where the entry of an event is. */
static bool
event_at(struct gic *g, uint32_t device, uint32_t event, uint64_t *gpa)
{
	uint64_t dte;

	if (!device_entry(g, device, &dte) || event >= 1U << ITS_EVENT_BITS || (uint64_t)event >> DTE_BITS(dte) != 0)
		return (false);
	*gpa = DTE_ITT(dte) + (uint64_t)event * ITS_ENTRY_SIZE;
	return (true);
}

/* Collections */

struct gic_cpu *
its_processor(struct gic *g, uint64_t number)
{
	return (number < VM_MAXCPU && g->vm->vcpus[number] != NULL ? g->vm->vcpus[number]->intc : NULL);
}

static bool
collection_slot(const struct gic_its *its, uint16_t icid, unsigned *slot)
{
	for (*slot = 0; *slot < its->ncoll; (*slot)++) {
		if (its->icid[*slot] == icid)
			return (true);
	}
	return (false);
}

struct gic_cpu *
its_collection(struct gic *g, uint16_t icid)
{
	unsigned slot;

	return (collection_slot(&g->its, icid, &slot) ? its_processor(g, g->its.target[slot]) : NULL);
}

static void
write_collection(struct gic *g, unsigned slot)
{
	struct gic_its *its = &g->its;
	uint64_t gpa;

	if (entry_at(g, its->baser[ITS_COLLECTIONS], slot, &gpa))
		(void)write64(g, gpa, slot < its->ncoll ?
		    ITS_VALID | (uint64_t)its->target[slot] << 16 | its->icid[slot] : 0);
}

/* The table has no gaps: the last entry moves into one. */
void
its_map_collection(struct gic *g, uint16_t icid, uint64_t target, bool valid)
{
	struct gic_its *its = &g->its;
	unsigned slot;
	bool there = collection_slot(its, icid, &slot);

	if (!valid) {
		if (!there)
			return;
		its->ncoll--;
		its->icid[slot] = its->icid[its->ncoll];
		its->target[slot] = its->target[its->ncoll];
		write_collection(g, slot);
		write_collection(g, its->ncoll);
		return;
	}
	if (its_processor(g, target) == NULL)
		return;
	if (!there) {
		uint64_t gpa;

		if (its->ncoll == its->maxcoll || !entry_at(g, its->baser[ITS_COLLECTIONS], its->ncoll, &gpa))
			return;
		slot = its->ncoll++;
		its->icid[slot] = icid;
	}
	its->target[slot] = (uint16_t)target;
	write_collection(g, slot);
	if (its->ncoll < its->maxcoll)
		write_collection(g, its->ncoll);
}

/* What the table in memory says. */
void
its_read_collections(struct gic *g)
{
	struct gic_its *its = &g->its;
	uint64_t gpa, cte;
	unsigned slot;

	its->ncoll = 0;
	for (unsigned n = 0; n < its->maxcoll; n++) {
		if (!entry_at(g, its->baser[ITS_COLLECTIONS], n, &gpa) || !read64(g, gpa, &cte) || (cte & ITS_VALID) == 0)
			break;
		if (its_processor(g, CTE_TARGET(cte)) == NULL || collection_slot(its, (uint16_t)cte, &slot))
			break;
		its->icid[its->ncoll] = (uint16_t)cte;
		its->target[its->ncoll++] = (uint16_t)CTE_TARGET(cte);
	}
}

/* Events and devices */

bool
its_translate(struct gic *g, uint32_t device, uint32_t event, struct its_event *e)
{
	if (!event_at(g, device, event, &e->gpa) || !read64(g, e->gpa, &e->ite))
		return (false);
	e->intid = ITE_INTID(e->ite);
	e->target = its_collection(g, ITE_ICID(e->ite));
	return (e->intid >= LPI_FIRST && e->intid < LPI_END);
}

void
its_map_event(struct gic *g, uint32_t device, uint32_t event, uint32_t intid, uint16_t icid)
{
	uint64_t gpa;

	if (intid >= LPI_FIRST && intid < LPI_END && event_at(g, device, event, &gpa))
		(void)write64(g, gpa, (uint64_t)intid << 16 | icid);
}

void
its_move_event(struct gic *g, const struct its_event *e, uint16_t icid)
{
	(void)write64(g, e->gpa, (e->ite & ~0xffffULL) | icid);
}

void
its_unmap_event(struct gic *g, const struct its_event *e)
{
	(void)write64(g, e->gpa, 0);
}

void
its_map_device(struct gic *g, uint32_t device, uint64_t itt, unsigned bits)
{
	uint64_t gpa;

	if (device >= 1U << ITS_DEVICE_BITS || bits > ITS_EVENT_BITS ||
	    !entry_at(g, g->its.baser[ITS_DEVICES], device, &gpa))
		return;
	(void)write64(g, gpa, bits == 0 ? 0 : ITS_VALID | (itt & 0x000fffffffffff00ULL) >> 8 << 5 | (bits - 1));
}

/* For readers that follow links */

/*
 * An entry names the distance to the next valid one, 0 if there is none or none so near.  *budget bounds what a guest can make of its
 * tables: far more entries than there are LPIs.
 */
static void
link_events(struct gic *g, uint64_t dte, unsigned *budget)
{
	uint64_t n = 1ULL << DTE_BITS(dte), last = 0, prev = 0, ite;

	for (uint64_t i = 0; i < n && *budget != 0; i++, (*budget)--) {
		uint64_t gpa = DTE_ITT(dte) + i * ITS_ENTRY_SIZE;

		if (!read64(g, gpa, &ite))
			return;
		if (ITE_INTID(ite) == 0)
			continue;
		if (last != 0 && read64(g, last, &ite))
			(void)write64(g, last, (ite & ~ITE_LINK) | (i - prev) << 48);
		last = gpa;
		prev = i;
	}
	if (last != 0 && read64(g, last, &ite))
		(void)write64(g, last, ite & ~ITE_LINK);
}

void
gic_its_link(struct gic *g)
{
	struct gic_its *its = &g->its;
	uint64_t last = 0, dte, gpa, old;
	unsigned budget = 16 * LPI_END;
	uint32_t prev = 0;

	if (its->base == 0 || (its->baser[ITS_DEVICES] & ITS_VALID) == 0)
		return;
	for (uint32_t device = 0; device < 1U << ITS_DEVICE_BITS; device++) {
		if (!device_entry(g, device, &dte) || !entry_at(g, its->baser[ITS_DEVICES], device, &gpa))
			continue;
		if (DTE_BITS(dte) <= ITS_EVENT_BITS)
			link_events(g, dte, &budget);
		if (last != 0 && read64(g, last, &old))
			(void)write64(g, last, (old & ~DTE_LINK) |
			    (uint64_t)(device - prev > 0x3fff ? 0x3fff : device - prev) << 49);
		last = gpa;
		prev = device;
	}
	if (last != 0 && read64(g, last, &old))
		(void)write64(g, last, old & ~DTE_LINK);
}
