/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3_its.c - the GICv3's interrupt translation service (IHI 0069 chapter 5, 12.19): a device's event becomes an LPI of a processor.
 *
 * The mappings live in guest memory, in tables whose entries have the form that Linux documents for its in-kernel ITS
 * (Documentation/virt/kvm/devices/arm-vgic-its.rst, "ITS Table ABI REV0"), so that they go with the guest's memory to whatever back end.
 * They are looked at anew for each message, and nothing that stands there is believed.
 *
 * The rare error is reported nowhere (GITS_TYPER.SEIS is 0): a command that makes no sense is passed over.  If the queue itself is not in
 * RAM, processing stalls.  Functions are called with the controller's lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gicv3.h"

/* Control frame (IHI 0069 12.18) */
#define	GITS_CTLR	0x0000U
#define	GITS_TYPER	0x0008U
#define	GITS_CBASER	0x0080U
#define	GITS_CWRITER	0x0088U
#define	GITS_CREADR	0x0090U
#define	GITS_BASER	0x0100U		/* + 8 * n */
#define	GITS_NBASER	8U

#define	CTLR_ENABLED	0x00000001U
#define	CTLR_QUIESCENT	0x80000000U

#define	DEVICE_BITS	16U
#define	EVENT_BITS	16U
#define	ENTRY_SIZE	8U
/* Physical LPIs, entries of 8 bytes, 16 bits of EventID and DeviceID; collections are in memory only and name processors by number. */
#define	TYPER_VALUE	(0x1ULL | (ENTRY_SIZE - 1ULL) << 4 | (EVENT_BITS - 1ULL) << 8 | (DEVICE_BITS - 1ULL) << 13)

#define	VALID		(1ULL << 63)
#define	CBASER_ADDR	0x000ffffffffff000ULL
#define	CBASER_MASK	(VALID | 0x7000000000000000ULL >> 1 | 0x00e0000000000000ULL | CBASER_ADDR | 0xcffULL)
#define	QUEUE_MASK	0xfffe0ULL
#define	STALLED		0x1ULL		/* in GITS_CREADR */
#define	COMMAND_LEN	32U

#define	BASER_INDIRECT	(1ULL << 62)
#define	BASER_TYPE(t)	((uint64_t)(t) << 56)
#define	BASER_FIXED(t)	(BASER_TYPE(t) | (ENTRY_SIZE - 1ULL) << 48)
#define	BASER_WRITABLE	(VALID | 0x38e0000000000000ULL | 0x0000fffffffff000ULL | 0xfffULL)
#define	TYPE_DEVICE	1
#define	TYPE_COLLECTION	4
enum { DEVICES, COLLECTIONS };		/* GITS_BASER numbers */

/* Entries in memory */
#define	DTE_ITT(e)	(((e) >> 5 & 0xfffffffffffULL) << 8)
#define	DTE_BITS(e)	((unsigned)((e) & 0x1f) + 1)
#define	DTE_LINK	(0x3fffULL << 49)
#define	ITE_INTID(e)	((uint32_t)((e) >> 16))
#define	ITE_ICID(e)	((uint16_t)(e))
#define	ITE_LINK	(0xffffULL << 48)
#define	CTE_TARGET(e)	((uint64_t)(e) >> 16 & 0xfffffffffULL)

/* Tables */

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
	uint64_t off = n * ENTRY_SIZE, page = page_size(baser), l1;

	if ((baser & VALID) == 0)
		return (false);
	if ((baser & BASER_INDIRECT) == 0) {
		*gpa = table_addr(baser) + off;
		return (off < table_len(baser));
	}
	if (off / page * 8 >= table_len(baser) || !read64(g, table_addr(baser) + off / page * 8, &l1) || (l1 & VALID) == 0)
		return (false);
	*gpa = (l1 & CBASER_ADDR & ~(page - 1)) + off % page;
	return (true);
}

/* A device's entry; false: it is not mapped. */
static bool
device_entry(struct gic *g, uint32_t device, uint64_t *dte)
{
	uint64_t gpa;

	return (device < 1U << DEVICE_BITS && entry_at(g, g->its.baser[DEVICES], device, &gpa) && read64(g, gpa, dte) &&
	    (*dte & VALID) != 0);
}

/* Where the entry of an event is. */
static bool
event_at(struct gic *g, uint32_t device, uint32_t event, uint64_t *gpa)
{
	uint64_t dte;

	if (!device_entry(g, device, &dte) || event >= 1U << EVENT_BITS || (uint64_t)event >> DTE_BITS(dte) != 0)
		return (false);
	*gpa = DTE_ITT(dte) + (uint64_t)event * ENTRY_SIZE;
	return (true);
}

/* Collections */

static struct gic_cpu *
processor(struct gic *g, uint64_t number)
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

static struct gic_cpu *
collection_target(struct gic *g, uint16_t icid)
{
	unsigned slot;

	return (collection_slot(&g->its, icid, &slot) ? processor(g, g->its.target[slot]) : NULL);
}

static void
write_collection(struct gic *g, unsigned slot)
{
	struct gic_its *its = &g->its;
	uint64_t gpa;

	if (entry_at(g, its->baser[COLLECTIONS], slot, &gpa))
		(void)write64(g, gpa, slot < its->ncoll ?
		    VALID | (uint64_t)its->target[slot] << 16 | its->icid[slot] : 0);
}

/* The table has no gaps: the last entry moves into one. */
static void
map_collection(struct gic *g, uint16_t icid, uint64_t target, bool valid)
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
	if (processor(g, target) == NULL)
		return;
	if (!there) {
		uint64_t gpa;

		if (its->ncoll == its->maxcoll || !entry_at(g, its->baser[COLLECTIONS], its->ncoll, &gpa))
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
static void
read_collections(struct gic *g)
{
	struct gic_its *its = &g->its;
	uint64_t gpa, cte;
	unsigned slot;

	its->ncoll = 0;
	for (unsigned n = 0; n < its->maxcoll; n++) {
		if (!entry_at(g, its->baser[COLLECTIONS], n, &gpa) || !read64(g, gpa, &cte) || (cte & VALID) == 0)
			break;
		if (processor(g, CTE_TARGET(cte)) == NULL || collection_slot(its, (uint16_t)cte, &slot))
			break;
		its->icid[its->ncoll] = (uint16_t)cte;
		its->target[its->ncoll++] = (uint16_t)CTE_TARGET(cte);
	}
}

/* Translation */

/* What an event is: its LPI, its collection's processor (NULL: not mapped), where that stands. */
struct event {
	uint64_t	 gpa, ite;
	uint32_t	 intid;
	struct gic_cpu	*target;
};

static bool
translate(struct gic *g, uint32_t device, uint32_t event, struct event *e)
{
	if (!event_at(g, device, event, &e->gpa) || !read64(g, e->gpa, &e->ite))
		return (false);
	e->intid = ITE_INTID(e->ite);
	e->target = collection_target(g, ITE_ICID(e->ite));
	return (e->intid >= LPI_FIRST && e->intid < LPI_END);
}

void
gic_its_message(struct gic *g, uint32_t device, uint32_t event)
{
	struct event e;

	if ((g->its.ctlr & CTLR_ENABLED) != 0 && translate(g, device, event, &e) && e.target != NULL)
		gic_lpi_set(g, e.target, e.intid, true);
}

/* Commands (IHI 0069 5.3) */

struct command {
	uint64_t	 dw[4];
	bool		*invalidate_all;	/* due at the end of the batch */
};

static uint32_t
cmd_device(const struct command *cmd)
{
	return ((uint32_t)(cmd->dw[0] >> 32));
}

static uint32_t
cmd_event(const struct command *cmd)
{
	return ((uint32_t)cmd->dw[1]);
}

static uint16_t
cmd_icid(const struct command *cmd)
{
	return ((uint16_t)cmd->dw[2]);
}

static uint64_t
cmd_target(uint64_t dw)
{
	return (dw >> 16 & 0xfffffffffULL);
}

static void
cmd_mapd(struct gic *g, const struct command *cmd)
{
	unsigned size = (unsigned)(cmd->dw[1] & 0x1f);
	uint64_t gpa;

	if (cmd_device(cmd) >= 1U << DEVICE_BITS || !entry_at(g, g->its.baser[DEVICES], cmd_device(cmd), &gpa))
		return;
	if ((cmd->dw[2] & VALID) == 0)
		(void)write64(g, gpa, 0);
	else if (size < EVENT_BITS)
		(void)write64(g, gpa, VALID | (cmd->dw[2] & 0x000fffffffffff00ULL) >> 8 << 5 | size);
}

static void
cmd_mapc(struct gic *g, const struct command *cmd)
{
	map_collection(g, cmd_icid(cmd), cmd_target(cmd->dw[2]), (cmd->dw[2] & VALID) != 0);
}

static void
map_event(struct gic *g, const struct command *cmd, uint32_t intid)
{
	uint64_t gpa;

	if (intid >= LPI_FIRST && intid < LPI_END && event_at(g, cmd_device(cmd), cmd_event(cmd), &gpa))
		(void)write64(g, gpa, (uint64_t)intid << 16 | cmd_icid(cmd));
}

static void
cmd_mapti(struct gic *g, const struct command *cmd)
{
	map_event(g, cmd, (uint32_t)(cmd->dw[1] >> 32));
}

static void
cmd_mapi(struct gic *g, const struct command *cmd)
{
	map_event(g, cmd, cmd_event(cmd));
}

/* To another collection, with what is pending. */
static void
cmd_movi(struct gic *g, const struct command *cmd)
{
	struct gic_cpu *to = collection_target(g, cmd_icid(cmd));
	struct event e;

	if (to == NULL || !translate(g, cmd_device(cmd), cmd_event(cmd), &e))
		return;
	(void)write64(g, e.gpa, (e.ite & ~0xffffULL) | cmd_icid(cmd));
	if (e.target == NULL || e.target == to || !gic_lpi_pending(e.target, e.intid))
		return;
	gic_lpi_set(g, e.target, e.intid, false);
	gic_lpi_set(g, to, e.intid, true);
}

static void
cmd_pend(struct gic *g, const struct command *cmd, bool pending)
{
	struct event e;

	if (translate(g, cmd_device(cmd), cmd_event(cmd), &e) && e.target != NULL)
		gic_lpi_set(g, e.target, e.intid, pending);
}

static void
cmd_int(struct gic *g, const struct command *cmd)
{
	cmd_pend(g, cmd, true);
}

static void
cmd_clear(struct gic *g, const struct command *cmd)
{
	cmd_pend(g, cmd, false);
}

static void
cmd_discard(struct gic *g, const struct command *cmd)
{
	struct event e;

	if (!translate(g, cmd_device(cmd), cmd_event(cmd), &e))
		return;
	if (e.target != NULL)
		gic_lpi_set(g, e.target, e.intid, false);
	(void)write64(g, e.gpa, 0);
}

static void
cmd_inv(struct gic *g, const struct command *cmd)
{
	struct event e;

	if (translate(g, cmd_device(cmd), cmd_event(cmd), &e))
		gic_lpi_invalidate(g, e.intid);
}

static void
cmd_invall(struct gic *g, const struct command *cmd)
{
	*cmd->invalidate_all = true;
}

static void
cmd_movall(struct gic *g, const struct command *cmd)
{
	struct gic_cpu *from = processor(g, cmd_target(cmd->dw[2])), *to = processor(g, cmd_target(cmd->dw[3]));

	if (from != NULL && to != NULL)
		gic_lpi_move_all(g, from, to);
}

/* A command is complete when the next one begins. */
static void
cmd_sync(struct gic *g, const struct command *cmd)
{
}

static void (*const commands[])(struct gic *g, const struct command *cmd) = {
	[0x01] = cmd_movi,
	[0x03] = cmd_int,
	[0x04] = cmd_clear,
	[0x05] = cmd_sync,
	[0x08] = cmd_mapd,
	[0x09] = cmd_mapc,
	[0x0a] = cmd_mapti,
	[0x0b] = cmd_mapi,
	[0x0c] = cmd_inv,
	[0x0d] = cmd_invall,
	[0x0e] = cmd_movall,
	[0x0f] = cmd_discard,
};

static uint64_t
queue_len(const struct gic_its *its)
{
	return (((its->cbaser & 0xff) + 1) * 0x1000);
}

/* Execute what is in the queue: at most once around. */
static void
process(struct gic *g)
{
	struct gic_its *its = &g->its;
	uint64_t len = queue_len(its);
	bool invalidate_all = false;

	if ((its->ctlr & CTLR_ENABLED) == 0 || (its->cbaser & VALID) == 0 || its->cwriter >= len || its->creadr >= len)
		return;
	while (its->creadr != its->cwriter) {
		struct command cmd = { .invalidate_all = &invalidate_all };
		uint8_t op;

		if (vm_gpa_read(g->vm, (its->cbaser & CBASER_ADDR) + its->creadr, cmd.dw, COMMAND_LEN) != 0) {
			its->creadr |= STALLED;
			break;
		}
		op = (uint8_t)cmd.dw[0];
		if (op < nitems(commands) && commands[op] != NULL)
			commands[op](g, &cmd);
		its->creadr = (its->creadr + COMMAND_LEN) % len;
	}
	if (invalidate_all)
		gic_lpi_invalidate_all(g);
}

/* Registers */

/* What a doubleword register is after a write of half of it, of the bits that can be written. */
static uint64_t
merge(uint64_t old, unsigned shift, uint32_t val, uint64_t mask)
{
	uint64_t half = 0xffffffffULL << shift & mask;

	return ((old & ~half) | ((uint64_t)val << shift & half));
}

static void
write_baser(struct gic *g, unsigned n, unsigned shift, uint32_t val)
{
	uint64_t mask = BASER_WRITABLE | (n == DEVICES ? BASER_INDIRECT : 0);

	g->its.baser[n] = merge(g->its.baser[n], shift, val, mask);
	if ((g->its.baser[n] >> 8 & 3) == 3)		/* reserved: as 64 KiB (IHI 0069 12.19.1) */
		g->its.baser[n] &= ~0x100ULL;
	if (n == COLLECTIONS)
		read_collections(g);
}

static void
write32(struct gic *g, uint32_t off, uint32_t val)
{
	struct gic_its *its = &g->its;
	unsigned shift = (off & 4) != 0 ? 32 : 0;
	bool off_now = (its->ctlr & CTLR_ENABLED) == 0;

	if (off >= GITS_BASER && off < GITS_BASER + 8 * ITS_NBASER) {
		/* While the ITS is on this is UNPREDICTABLE. */
		if (off_now)
			write_baser(g, (off - GITS_BASER) / 8, shift, val);
		return;
	}
	switch (off & ~4U) {
	case GITS_CTLR & ~4U:
		if (off == GITS_CTLR) {
			its->ctlr = val & CTLR_ENABLED;
			process(g);
		}
		break;
	case GITS_CBASER:
		if (off_now) {
			its->cbaser = merge(its->cbaser, shift, val, CBASER_MASK);
			its->creadr = 0;
		}
		break;
	case GITS_CWRITER:
		if (shift == 0) {
			its->cwriter = val & QUEUE_MASK;
			/* Retry, and any other write, goes on where it stalled. */
			its->creadr &= ~STALLED;
			process(g);
		}
		break;
	default:
		break;
	}
}

static uint32_t
read32(struct gic *g, uint32_t off)
{
	const struct gic_its *its = &g->its;
	unsigned shift = (off & 4) != 0 ? 32 : 0;

	if (off >= GITS_BASER && off < GITS_BASER + 8 * ITS_NBASER)
		return ((uint32_t)(its->baser[(off - GITS_BASER) / 8] >> shift));
	switch (off & ~4U) {
	case GITS_CTLR & ~4U:
		/* Commands and translations are over when a register is read. */
		return (off == GITS_CTLR ? its->ctlr | ((its->ctlr & CTLR_ENABLED) == 0 ? CTLR_QUIESCENT : 0) : 0);
	case GITS_TYPER:
		return ((uint32_t)(TYPER_VALUE >> shift));
	case GITS_CBASER:
		return ((uint32_t)(its->cbaser >> shift));
	case GITS_CWRITER:
		return ((uint32_t)(its->cwriter >> shift));
	case GITS_CREADR:
		return ((uint32_t)(its->creadr >> shift));
	default:
		return (off < 0x10000 ? gic_id_register(off) : 0);
	}
}

static uint64_t
its_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct gic *g = arg;
	uint64_t val = 0;

	if (size < 4 || (off & (size - 1)) != 0)
		return (0);
	gic_lock(g);
	for (unsigned i = 0; i < size / 4; i++)
		val |= (uint64_t)read32(g, (uint32_t)off + 4 * i) << (32 * i);
	gic_unlock(g);
	return (val);
}

/* A processor has no DeviceID, so what it writes to GITS_TRANSLATER is nobody's event. */
static void
its_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct gic *g = arg;

	if (size < 4 || (off & (size - 1)) != 0)
		return;
	gic_lock(g);
	for (unsigned i = 0; i < size / 4; i++)
		write32(g, (uint32_t)off + 4 * i, (uint32_t)(val >> (32 * i)));
	gic_unlock(g);
}

/* Life */

void
gic_its_reset(struct gic *g)
{
	struct gic_its *its = &g->its;

	its->ctlr = 0;
	its->cbaser = its->cwriter = its->creadr = 0;
	its->baser[DEVICES] = BASER_FIXED(TYPE_DEVICE);
	its->baser[COLLECTIONS] = BASER_FIXED(TYPE_COLLECTION);
	its->ncoll = 0;
}

/* A stream is hostile, and may be of a VM with another controller: keep what registers can hold. */
void
gic_its_loaded(struct gic *g)
{
	struct gic_its *its = &g->its;

	if (its->base == 0) {
		gic_its_reset(g);
		return;
	}
	its->ctlr &= CTLR_ENABLED;
	its->cbaser &= CBASER_MASK;
	its->baser[DEVICES] = (its->baser[DEVICES] & (BASER_WRITABLE | BASER_INDIRECT)) | BASER_FIXED(TYPE_DEVICE);
	its->baser[COLLECTIONS] = (its->baser[COLLECTIONS] & BASER_WRITABLE) | BASER_FIXED(TYPE_COLLECTION);
	read_collections(g);
}

/*
 * An entry names the distance to the next valid one, 0 if there is none or none so near.  *budget bounds what a guest can make of its
 * tables: far more entries than there are LPIs.
 */
static void
link_events(struct gic *g, uint64_t dte, unsigned *budget)
{
	uint64_t n = 1ULL << DTE_BITS(dte), last = 0, prev = 0, ite;

	for (uint64_t i = 0; i < n && *budget != 0; i++, (*budget)--) {
		uint64_t gpa = DTE_ITT(dte) + i * ENTRY_SIZE;

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

	if (its->base == 0 || (its->baser[DEVICES] & VALID) == 0)
		return;
	for (uint32_t device = 0; device < 1U << DEVICE_BITS; device++) {
		if (!device_entry(g, device, &dte) || !entry_at(g, its->baser[DEVICES], device, &gpa))
			continue;
		if (DTE_BITS(dte) <= EVENT_BITS)
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

int
gic_its_create(struct gic *g, uint64_t base)
{
	struct gic_its *its = &g->its;
	struct vm_range_spec spec = {
		.name = "its", .space = VM_SPACE_MEM, .base = base, .len = ARM64_ITS_SIZE, .read = its_read, .write = its_write, .arg = g,
	};

	its->maxcoll = 1U << 16;
	its->icid = calloc(its->maxcoll, sizeof(*its->icid));
	its->target = calloc(its->maxcoll, sizeof(*its->target));
	g->lpi_conf = calloc(NLPI, 1);
	if (its->icid == NULL || its->target == NULL || g->lpi_conf == NULL)
		return (vm_fail(ENOMEM, "vm '%s': no memory for its interrupt translation service", g->vm->name));
	its->range = vm_range_add(g->vm, &spec);
	if (its->range == NULL)
		return (-1);
	its->base = base;
	return (0);
}

void
gic_its_destroy(struct gic *g)
{
	vm_range_remove(g->its.range);
	free(g->its.icid);
	free(g->its.target);
	free(g->lpi_conf);
}
