/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gicv3_its.c - the GICv3's interrupt translation service (IHI 0069 chapter 5, 12.19): a device's event becomes an LPI of a processor.
 *
 * The mappings live in guest memory (gicv3_its_table.c).
 *
 * The rare error is reported nowhere (GITS_TYPER.SEIS is 0): a command that makes no sense is passed over.  If the queue itself is not in
 * RAM, processing stalls.  Functions are called with the controller's lock held.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "gicv3_its.h"

/* Control frame (IHI 0069 12.18) */
#define	GITS_CTLR	0x0000U
#define	GITS_TYPER	0x0008U
#define	GITS_CBASER	0x0080U
#define	GITS_CWRITER	0x0088U
#define	GITS_CREADR	0x0090U
#define	GITS_BASER	0x0100U		/* + 8 * n */

#define	CTLR_ENABLED	0x00000001U
#define	CTLR_QUIESCENT	0x80000000U

/* Physical LPIs, entries of 8 bytes, 16 bits of EventID and DeviceID; collections are in memory only and name processors by number. */
#define	TYPER_VALUE	(0x1ULL | (ITS_ENTRY_SIZE - 1ULL) << 4 | (ITS_EVENT_BITS - 1ULL) << 8 | (ITS_DEVICE_BITS - 1ULL) << 13)

#define	CBASER_ADDR	0x000ffffffffff000ULL
#define	CBASER_MASK	(ITS_VALID | 0x38e0000000000000ULL | CBASER_ADDR | 0xcffULL)
#define	QUEUE_MASK	0xfffe0ULL
#define	STALLED		0x1ULL		/* in GITS_CREADR */
#define	COMMAND_LEN	32U

#define	BASER_TYPE(t)	((uint64_t)(t) << 56)
#define	BASER_FIXED(t)	(BASER_TYPE(t) | (ITS_ENTRY_SIZE - 1ULL) << 48)
#define	BASER_WRITABLE	(ITS_VALID | 0x38e0000000000000ULL | 0x0000fffffffff000ULL | 0xfffULL)
#define	TYPE_DEVICE	1
#define	TYPE_COLLECTION	4

void
gic_its_message(struct gic *g, uint32_t device, uint32_t event)
{
	struct its_event e;

	if ((g->its.ctlr & CTLR_ENABLED) != 0 && its_translate(g, device, event, &e) && e.target != NULL)
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
	bool valid = (cmd->dw[2] & ITS_VALID) != 0;

	its_map_device(g, cmd_device(cmd), cmd->dw[2], valid ? (unsigned)(cmd->dw[1] & 0x1f) + 1 : 0);
}

static void
cmd_mapc(struct gic *g, const struct command *cmd)
{
	its_map_collection(g, cmd_icid(cmd), cmd_target(cmd->dw[2]), (cmd->dw[2] & ITS_VALID) != 0);
}

static void
cmd_mapti(struct gic *g, const struct command *cmd)
{
	its_map_event(g, cmd_device(cmd), cmd_event(cmd), (uint32_t)(cmd->dw[1] >> 32), cmd_icid(cmd));
}

static void
cmd_mapi(struct gic *g, const struct command *cmd)
{
	its_map_event(g, cmd_device(cmd), cmd_event(cmd), cmd_event(cmd), cmd_icid(cmd));
}

/* To another collection, with what is pending. */
static void
cmd_movi(struct gic *g, const struct command *cmd)
{
	struct gic_cpu *to = its_collection(g, cmd_icid(cmd));
	struct its_event e;

	if (to == NULL || !its_translate(g, cmd_device(cmd), cmd_event(cmd), &e))
		return;
	its_move_event(g, &e, cmd_icid(cmd));
	if (e.target == NULL || e.target == to || !gic_lpi_pending(e.target, e.intid))
		return;
	gic_lpi_set(g, e.target, e.intid, false);
	gic_lpi_set(g, to, e.intid, true);
}

static void
cmd_pend(struct gic *g, const struct command *cmd, bool pending)
{
	struct its_event e;

	if (its_translate(g, cmd_device(cmd), cmd_event(cmd), &e) && e.target != NULL)
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
	struct its_event e;

	if (!its_translate(g, cmd_device(cmd), cmd_event(cmd), &e))
		return;
	if (e.target != NULL)
		gic_lpi_set(g, e.target, e.intid, false);
	its_unmap_event(g, &e);
}

static void
cmd_inv(struct gic *g, const struct command *cmd)
{
	struct its_event e;

	if (its_translate(g, cmd_device(cmd), cmd_event(cmd), &e))
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
	struct gic_cpu *from = its_processor(g, cmd_target(cmd->dw[2])), *to = its_processor(g, cmd_target(cmd->dw[3]));

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

	if ((its->ctlr & CTLR_ENABLED) == 0 || (its->cbaser & ITS_VALID) == 0 || its->cwriter >= len || its->creadr >= len)
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
	uint64_t mask = BASER_WRITABLE | (n == ITS_DEVICES ? ITS_INDIRECT : 0);

	g->its.baser[n] = merge(g->its.baser[n], shift, val, mask);
	if ((g->its.baser[n] >> 8 & 3) == 3)		/* reserved: as 64 KiB (IHI 0069 12.19.1) */
		g->its.baser[n] &= ~0x100ULL;
	if (n == ITS_COLLECTIONS)
		its_read_collections(g);
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
	its->baser[ITS_DEVICES] = BASER_FIXED(TYPE_DEVICE);
	its->baser[ITS_COLLECTIONS] = BASER_FIXED(TYPE_COLLECTION);
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
	its->baser[ITS_DEVICES] = (its->baser[ITS_DEVICES] & (BASER_WRITABLE | ITS_INDIRECT)) | BASER_FIXED(TYPE_DEVICE);
	its->baser[ITS_COLLECTIONS] = (its->baser[ITS_COLLECTIONS] & BASER_WRITABLE) | BASER_FIXED(TYPE_COLLECTION);
	its_read_collections(g);
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
