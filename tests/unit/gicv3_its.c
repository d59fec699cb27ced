/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The interrupt translation service and LPIs by their specification (Arm IHI 0069 chapter 5): commands, tables, messages, and
 * what of it a saved state carries.
 */
#include <vmmapi/state.h>

#include "gic_fixture.h"

#define	MEG		0x100000ULL
#define	RAM		0x40000000ULL
#define	GICD		0x08000000ULL
#define	ITS		0x08080000ULL
#define	GICR(n)		(0x080a0000ULL + (n) * 0x20000ULL)
#define	TRANSLATER	(ITS + 0x10040)

#define	CONFIG		(RAM + MEG)		/* a byte for each LPI */
#define	PENDING(n)	(RAM + 2 * MEG + (n) * 0x10000ULL)
#define	QUEUE		(RAM + 3 * MEG)
#define	QUEUE_PAGES	4U
#define	DEVICES		(RAM + 4 * MEG)		/* 512 KiB */
#define	COLLECTIONS	(RAM + 5 * MEG)
#define	ITT		(RAM + 6 * MEG)
#define	L2		(RAM + 7 * MEG)

#define	GITS_CTLR	(ITS + 0x00)
#define	GITS_TYPER	(ITS + 0x08)
#define	GITS_CBASER	(ITS + 0x80)
#define	GITS_CWRITER	(ITS + 0x88)
#define	GITS_CREADR	(ITS + 0x90)
#define	GITS_BASER(n)	(ITS + 0x100 + 8 * (n))
#define	VALID		(1ULL << 63)
#define	INDIRECT	(1ULL << 62)

#define	DEV		0x18U
#define	LPI		8192U

#define	mem(gpa)	tv_peek(vm, (gpa))
#define	put(gpa, v)	tv_poke(vm, (gpa), (v))
#define	iar(n)		mrs((n), ICC_IAR1)

static void
configure(uint32_t lpi, uint8_t prio, bool on)
{
	uint8_t v = (uint8_t)(prio | (on ? 1 : 0));

	CHECK_EQ(vm_gpa_write(vm, CONFIG + (lpi - LPI), &v, 1), 0);
}

/* One command, executed by the time this returns. */
static void
command(uint64_t dw0, uint64_t dw1, uint64_t dw2, uint64_t dw3)
{
	const uint64_t dw[4] = { dw0, dw1, dw2, dw3 };
	uint64_t at = rd(GITS_CWRITER, 8);

	CHECK_EQ(vm_gpa_write(vm, QUEUE + at, dw, sizeof(dw)), 0);
	wr(GITS_CWRITER, 8, (at + 32) % (QUEUE_PAGES * 4096));
	CHECK_EQ(rd(GITS_CREADR, 8), rd(GITS_CWRITER, 8));
}

static void
mapd(uint32_t dev, unsigned bits, uint64_t itt)
{
	command((uint64_t)dev << 32 | 0x08, bits - 1, itt == 0 ? 0 : VALID | itt, 0);
}

static void
mapc(uint16_t icid, unsigned target, bool valid)
{
	command(0x09, 0, (valid ? VALID : 0) | (uint64_t)target << 16 | icid, 0);
}

static void
mapti(uint32_t dev, uint32_t event, uint32_t lpi, uint16_t icid)
{
	command((uint64_t)dev << 32 | 0x0a, (uint64_t)lpi << 32 | event, icid, 0);
}

static void
movi(uint32_t dev, uint32_t event, uint16_t icid)
{
	command((uint64_t)dev << 32 | 0x01, event, icid, 0);
}

/* INT 3, CLEAR 4, INV c, DISCARD f */
static void
on_event(unsigned op, uint32_t dev, uint32_t event)
{
	command((uint64_t)dev << 32 | op, event, 0, 0);
}

static void
invall(uint16_t icid)
{
	command(0x0d, 0, icid, 0);
}

static void
make_vm(unsigned n)
{
	gic_vm(16 * MEG, n);
	CHECKF(vm_attach_its(vm, ITS) == 0, "%s", vm_errmsg());
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
}

/* As an operating system sets it up; the first eight LPIs are enabled. */
static void
bring_up(unsigned n)
{
	make_vm(n);
	wr(GICD, 4, 3);
	for (uint32_t lpi = LPI; lpi < LPI + 8; lpi++)
		configure(lpi, 0xa0, true);
	for (unsigned i = 0; i < n; i++) {
		wr(GICR(i) + 0x14, 4, 0);
		wr(GICR(i) + 0x70, 8, CONFIG | 15);
		wr(GICR(i) + 0x78, 8, PENDING(i) | 1ULL << 62);
		wr(GICR(i), 4, 1);
		msr(i, ICC_PMR, 0xff);
		msr(i, ICC_IGRPEN1, 1);
	}
	wr(GITS_BASER(0), 8, VALID | DEVICES | 0x7f);		/* 128 pages of 4 KiB */
	wr(GITS_BASER(1), 8, VALID | COLLECTIONS);
	wr(GITS_CBASER, 8, VALID | QUEUE | (QUEUE_PAGES - 1));
	wr(GITS_CWRITER, 8, 0);
	wr(GITS_CTLR, 4, 1);
}

static int
message(uint32_t dev, uint32_t event)
{
	return (vm->intc_ops->msi(vm, dev, TRANSLATER, event));
}

/* The next interrupt of a processor is lpi, and it ends. */
static void
takes(unsigned n, uint32_t lpi)
{
	CHECK_EQ(gicv3_output(cpu[n]), GIC_OUT_IRQ);
	CHECK_EQ(iar(n), lpi);
	msr(n, ICC_EOIR1, lpi);
}

static void
quiet(unsigned n)
{
	CHECK_EQ(gicv3_output(cpu[n]), 0);
	CHECK_EQ(iar(n), 1023);
}

TEST(identification)
{
	make_vm(2);
	CHECK_EQ(rd(GICD + 4, 4) >> 17 & 1, 1);			/* LPIs */
	CHECK_EQ(rd(GICD + 4, 4) >> 19 & 0x1f, 15);		/* 16 bits of INTID */
	CHECK_EQ(rd(GICR(0) + 8, 8) & 1, 1);			/* PLPIS */
	CHECK_EQ(rd(GITS_TYPER, 8), 0x1ULL | 7 << 4 | 15 << 8 | 15 << 13);
	CHECK_EQ(rd(GITS_CTLR, 4), 0x80000000U);		/* off, and quiescent */
	CHECK_EQ(rd(GITS_BASER(0), 8) >> 48, 0x0107);		/* devices, of 8 bytes */
	CHECK_EQ(rd(GITS_BASER(1), 8) >> 48, 0x0407);		/* collections */
	CHECK_EQ(rd(GITS_BASER(2), 8), 0);
	CHECK_EQ(rd(ITS + 0xffe8, 4) & 0xf0, 0x30);
	wr(GITS_BASER(0), 8, UINT64_MAX);
	CHECK_EQ(rd(GITS_BASER(0), 8) >> 48 & 0x71f, 0x107);	/* what is fixed stays */
	CHECK_EQ(rd(GITS_BASER(1), 8), 0x0407ULL << 48);
	wr(GITS_BASER(1), 8, INDIRECT);
	CHECK_EQ(rd(GITS_BASER(1), 8) & INDIRECT, 0);		/* collections are flat */
	wr(GITS_CBASER + 4, 4, 0x80000000U);			/* by halves */
	wr(GITS_CBASER, 4, 0x1003);
	CHECK_EQ(rd(GITS_CBASER, 8), VALID | 0x1003);
	vm_close(vm);
}

TEST(without_one)
{
	gic_vm(0, 1);
	CHECK_EQ(vm_attach_its(vm, 0), -1);
	CHECK_EQ(vm_attach_its(vm, 0x08080800), -1);
	CHECK_EQ(vm_attach_its(vm, 0x08000000), -1);
	CHECK_EQ(vm_attach_its(vm, 0x08090000), -1);		/* its second half is where the redistributors are */
	CHECK_EQ(vm_attach_its(vm, 1ULL << 52), -1);
	CHECK_EQ(vm_start(vm), 0);
	CHECK_EQ(vm_attach_its(vm, ITS), -1);
	CHECK_EQ(errno, EBUSY);
	CHECK_EQ(rd(GICR(0) + 8, 8) & 1, 0);
	wr(GICR(0), 4, 1);
	CHECK_EQ(rd(GICR(0), 4), 0);
	CHECK_EQ(message(DEV, 0), -1);
	vm_close(vm);
}

TEST(message_to_lpi)
{
	struct vm_irq *h;

	bring_up(2);
	mapc(0, 0, true);
	mapc(1, 1, true);
	mapd(DEV, 5, ITT);
	mapti(DEV, 3, LPI + 2, 1);
	CHECK_EQ(message(DEV, 3), 0);
	quiet(0);
	CHECK_EQ(mem(PENDING(1) + 1024) & 0xff, 4);		/* the guest's table says so too */
	takes(1, LPI + 2);
	CHECK_EQ(mem(PENDING(1) + 1024) & 0xff, 0);
	quiet(1);
	/* Two messages before the first is taken are one; one after that is another. */
	(void)message(DEV, 3);
	(void)message(DEV, 3);
	CHECK_EQ(iar(1), LPI + 2);
	(void)message(DEV, 3);
	quiet(1);						/* the same priority does not preempt */
	msr(1, ICC_EOIR1, LPI + 2);
	takes(1, LPI + 2);
	quiet(1);
	/* By a handle, whose requester tells the device. */
	h = vm_irq_open_msi(vm, DEV);
	CHECK_EQ(vm_irq_set_msi(h, TRANSLATER, 3), 0);
	CHECK_EQ(vm_irq_set_mask(h, false), 0);
	CHECK_EQ(vm_irq_assert(h), 0);
	takes(1, LPI + 2);
	vm_irq_close(h);
	/* Other devices' events, events beyond the table, what was never mapped: nothing. */
	(void)message(DEV + 1, 3);
	(void)message(DEV, 4);
	(void)message(DEV, 32);
	(void)message(DEV, UINT32_MAX);
	(void)message(UINT32_MAX, 3);
	quiet(0);
	quiet(1);
	/* A processor's store to the register is no device's message. */
	wr(TRANSLATER, 4, 3);
	quiet(1);
	vm_close(vm);
}

TEST(entries_have_the_documented_form)
{
	bring_up(2);
	mapc(7, 1, true);
	mapd(DEV, 5, ITT);
	mapti(DEV, 3, LPI + 2, 7);
	CHECK_EQ(mem(DEVICES + 8 * DEV), VALID | ITT >> 8 << 5 | 4);
	CHECK_EQ(mem(COLLECTIONS), VALID | 1ULL << 16 | 7);
	CHECK_EQ(mem(ITT + 8 * 3), (uint64_t)(LPI + 2) << 16 | 7);
	vm_close(vm);
}

TEST(priorities_and_enables)
{
	bring_up(1);
	configure(LPI + 1, 0x40, true);
	configure(LPI + 2, 0x80, false);
	mapc(0, 0, true);
	mapd(DEV, 5, ITT);
	for (unsigned i = 0; i < 3; i++)
		mapti(DEV, i, LPI + i, 0);
	invall(0);
	for (unsigned i = 0; i < 3; i++)
		(void)message(DEV, i);
	CHECK_EQ(iar(0), LPI + 1);				/* the highest priority first */
	quiet(0);
	msr(0, ICC_EOIR1, LPI + 1);
	takes(0, LPI);
	quiet(0);						/* 2 is not enabled */
	configure(LPI + 2, 0x80, true);
	quiet(0);						/* nobody was told */
	on_event(0x0c, DEV, 2);
	takes(0, LPI + 2);
	/* And off again: it stays pending. */
	configure(LPI + 2, 0x80, false);
	on_event(0x0c, DEV, 2);
	(void)message(DEV, 2);
	quiet(0);
	configure(LPI + 2, 0x80, true);
	invall(0);
	takes(0, LPI + 2);
	/* The group's enable at the distributor, and the priority mask. */
	wr(GICD, 4, 1);
	(void)message(DEV, 0);
	quiet(0);
	wr(GICD, 4, 3);
	msr(0, ICC_PMR, 0x80);
	quiet(0);
	msr(0, ICC_PMR, 0xff);
	takes(0, LPI);
	vm_close(vm);
}

TEST(commands_on_events)
{
	bring_up(2);
	mapc(0, 0, true);
	mapc(1, 1, true);
	mapd(DEV, 5, ITT);
	mapti(DEV, 0, LPI, 0);
	on_event(0x03, DEV, 0);					/* INT */
	on_event(0x04, DEV, 0);					/* CLEAR */
	quiet(0);
	on_event(0x03, DEV, 0);
	movi(DEV, 0, 1);					/* with what is pending */
	quiet(0);
	takes(1, LPI);
	(void)message(DEV, 0);
	command(0x0e, 0, 1ULL << 16, 0ULL << 16);		/* MOVALL from 1 to 0 */
	quiet(1);
	takes(0, LPI);
	(void)message(DEV, 0);
	on_event(0x0f, DEV, 0);					/* DISCARD: the event and what is pending */
	quiet(1);
	(void)message(DEV, 0);
	quiet(1);
	command((uint64_t)DEV << 32 | 0x0b, LPI + 1, 1, 0);	/* MAPI: event and LPI are one number; beyond the table */
	(void)message(DEV, LPI + 1);
	quiet(1);
	mapd(DEV, 16, ITT);
	command((uint64_t)DEV << 32 | 0x0b, LPI + 1, 1, 0);
	(void)message(DEV, LPI + 1);
	takes(1, LPI + 1);
	/* A collection that goes takes its interrupts along, and comes back. */
	mapc(1, 0, false);
	(void)message(DEV, LPI + 1);
	quiet(1);
	mapc(1, 0, true);
	(void)message(DEV, LPI + 1);
	takes(0, LPI + 1);
	/* And a device. */
	mapd(DEV, 16, 0);
	(void)message(DEV, LPI + 1);
	quiet(0);
	vm_close(vm);
}

TEST(the_collection_table_has_no_gaps)
{
	bring_up(2);
	for (uint16_t i = 0; i < 4; i++)
		mapc((uint16_t)(10 + i), i % 2, true);
	mapc(11, 0, false);
	CHECK_EQ(mem(COLLECTIONS) & 0xffff, 10);
	CHECK_EQ(mem(COLLECTIONS + 8) & 0xffff, 13);
	CHECK_EQ(mem(COLLECTIONS + 16) & 0xffff, 12);
	CHECK_EQ(mem(COLLECTIONS + 24), 0);
	mapc(13, 0, true);					/* moved, in place */
	CHECK_EQ(mem(COLLECTIONS + 8), VALID | 13);
	mapc(14, 99, true);					/* a processor that is not there */
	CHECK_EQ(mem(COLLECTIONS + 24), 0);
	/* 4 KiB hold 512 of them. */
	for (uint16_t i = 0; i < 600; i++)
		mapc((uint16_t)(1000 + i), 0, true);
	CHECK_EQ(mem(COLLECTIONS + 4096 - 8), VALID | (1000 + 508));
	CHECK_EQ(mem(COLLECTIONS + 4096), 0);
	vm_close(vm);
}

TEST(two_levels)
{
	bring_up(1);
	wr(GITS_CTLR, 4, 0);
	/* A first level of 64 KiB pages: each of its entries is for 8192 devices. */
	wr(GITS_BASER(0), 8, VALID | INDIRECT | DEVICES | 2 << 8);
	wr(GITS_CTLR, 4, 1);
	put(DEVICES + 8, VALID | L2);
	mapc(0, 0, true);
	mapd(8192 + 5, 5, ITT);
	CHECK_EQ(mem(L2 + 8 * 5), VALID | ITT >> 8 << 5 | 4);
	mapti(8192 + 5, 1, LPI, 0);
	(void)message(8192 + 5, 1);
	takes(0, LPI);
	mapd(5, 5, ITT);					/* no second level there */
	CHECK_EQ(mem(DEVICES), 0);
	(void)message(5, 1);
	quiet(0);
	put(DEVICES + 8, VALID | 0xff0000000000ULL);		/* nor here any more */
	(void)message(8192 + 5, 1);
	quiet(0);
	vm_close(vm);
}

TEST(queue)
{
	static const uint64_t nonsense[4] = { 0xff, UINT64_MAX, UINT64_MAX, UINT64_MAX };
	uint64_t at;

	bring_up(1);
	/* Around the end of the queue, more than once; unknown commands are passed over. */
	for (unsigned i = 0; i < 3 * QUEUE_PAGES * 128; i++)
		command(i % 256 == 0x05 ? 0x05 : 0xff, i, i, i);
	mapc(0, 0, true);
	mapd(DEV, 5, ITT);
	mapti(DEV, 0, LPI, 0);
	(void)message(DEV, 0);
	takes(0, LPI);
	/* Several at once. */
	at = rd(GITS_CWRITER, 8);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(vm_gpa_write(vm, QUEUE + (at + 32 * i) % (QUEUE_PAGES * 4096), nonsense, 32), 0);
	wr(GITS_CWRITER, 8, (at + 96) % (QUEUE_PAGES * 4096));
	CHECK_EQ(rd(GITS_CREADR, 8), rd(GITS_CWRITER, 8));
	/* A place beyond the queue is none. */
	wr(GITS_CWRITER, 8, QUEUE_PAGES * 4096);
	CHECK(rd(GITS_CREADR, 8) < QUEUE_PAGES * 4096);
	/* While it is off, nothing is executed, and no message arrives. */
	wr(GITS_CTLR, 4, 0);
	wr(GITS_CWRITER, 8, 0);
	(void)message(DEV, 0);
	quiet(0);
	/* A queue that is not in RAM stalls. */
	wr(GITS_CBASER, 8, VALID | 0xf00000000000ULL);
	CHECK_EQ(rd(GITS_CREADR, 8), 0);
	wr(GITS_CTLR, 4, 1);
	wr(GITS_CWRITER, 8, 64);
	CHECK_EQ(rd(GITS_CREADR, 8), 1);
	vm_close(vm);
}

TEST(registers_are_fixed_while_on)
{
	bring_up(1);
	wr(GITS_BASER(0), 8, 0);
	wr(GITS_CBASER, 8, 0);
	wr(GICR(0) + 0x70, 8, 0);
	wr(GICR(0) + 0x78, 8, 0);
	CHECK_EQ(rd(GITS_BASER(0), 8) & 0xfffffffff000, DEVICES);
	CHECK_EQ(rd(GITS_CBASER, 8), VALID | QUEUE | (QUEUE_PAGES - 1));
	CHECK_EQ(rd(GICR(0) + 0x70, 8), CONFIG | 15);
	CHECK_EQ(rd(GICR(0) + 0x78, 8), PENDING(0));
	vm_close(vm);
}

TEST(pending_table_is_read)
{
	bring_up(1);
	wr(GICR(0), 4, 0);
	put(PENDING(0) + 1024, 0x21);
	wr(GICR(0) + 0x78, 8, PENDING(0));
	wr(GICR(0), 4, 1);
	takes(0, LPI);
	takes(0, LPI + 5);
	quiet(0);
	CHECK_EQ(mem(PENDING(0) + 1024), 0);
	/* Off: nothing is signalled and messages are lost. */
	mapc(0, 0, true);
	mapd(DEV, 5, ITT);
	mapti(DEV, 0, LPI, 0);
	(void)message(DEV, 0);
	wr(GICR(0), 4, 0);
	quiet(0);
	(void)message(DEV, 0);
	/* What was pending then is in the table, where it is found again. */
	wr(GICR(0), 4, 1);
	takes(0, LPI);
	quiet(0);
	/* Fewer bits of INTID than LPIs begin at: none. */
	wr(GICR(0), 4, 0);
	wr(GICR(0) + 0x70, 8, CONFIG | 10);
	wr(GICR(0), 4, 1);
	(void)message(DEV, 0);
	quiet(0);
	vm_close(vm);
}

/* Whatever stands in the tables is not believed. */
TEST(garbage_tables)
{
	bring_up(1);
	mapc(0, 0, true);
	mapd(DEV, 16, ITT);
	for (uint64_t v = 1; v != 0; v <<= 1) {
		put(ITT, v);
		put(ITT + 8, ~v);
		(void)message(DEV, 0);
		(void)message(DEV, 1);
		movi(DEV, 0, 0);
		on_event(0x0f, DEV, 1);
		put(DEVICES + 8 * DEV, VALID | v);
		(void)message(DEV, 1);
		mapti(DEV, 2, LPI, 0);
		on_event(0x0f, DEV, 2);
		put(DEVICES + 8 * DEV, ~v);
		(void)message(DEV, 1);
		mapti(DEV, 2, LPI, 0);
		put(COLLECTIONS, v);
		wr(GITS_CTLR, 4, 0);
		wr(GITS_BASER(1), 8, VALID | COLLECTIONS);
		wr(GITS_CTLR, 4, 1);
		mapd(DEV, 16, ITT);
	}
	while (iar(0) != 1023)
		continue;
	vm_close(vm);
}

/* A state that is taken up by another VM, with an LPI pending and one in service. */
TEST(state)
{
	struct vm_state_out *out;
	struct vm_state_in *in;
	struct vmctx *old;
	const void *data;
	size_t len;

	bring_up(2);
	mapc(0, 0, true);
	mapc(1, 1, true);
	mapd(DEV, 5, ITT);
	mapd(DEV + 9, 5, ITT + 4096);
	mapti(DEV, 3, LPI + 2, 1);
	mapti(DEV, 8, LPI + 3, 0);
	mapti(DEV + 9, 0, LPI + 4, 1);
	(void)message(DEV, 3);
	CHECK_EQ(iar(1), LPI + 2);
	(void)message(DEV, 3);
	(void)message(DEV, 8);
	out = vm_state_out_open();
	CHECKF(vm_state_save(vm, out) == 0, "%s", vm_errmsg());
	data = vm_state_out_data(out, &len);
	/* Entries name the distance to the next one. */
	CHECK_EQ(mem(DEVICES + 8 * DEV) >> 49 & 0x3fff, 9);
	CHECK_EQ(mem(DEVICES + 8 * (DEV + 9)) >> 49 & 0x3fff, 0);
	CHECK_EQ(mem(ITT + 8 * 3) >> 48, 5);
	CHECK_EQ(mem(ITT + 8 * 8) >> 48, 0);

	old = vm;
	make_vm(2);
	memcpy(vm_map_gpa(vm, RAM, 16 * MEG), vm_map_gpa(old, RAM, 16 * MEG), 16 * MEG);
	vm_close(old);
	in = vm_state_in_open(data, len);
	CHECKF(in != NULL && vm_state_load(vm, in) == 0, "%s", vm_errmsg());
	vm_state_in_close(in);
	vm_state_out_close(out);

	takes(0, LPI + 3);
	CHECK_EQ(gicv3_output(cpu[1]), 0);			/* still in service */
	msr(1, ICC_EOIR1, LPI + 2);
	takes(1, LPI + 2);
	(void)message(DEV + 9, 0);
	takes(1, LPI + 4);
	mapti(DEV, 4, LPI + 6, 0);
	(void)message(DEV, 4);
	takes(0, LPI + 6);
	quiet(0);
	quiet(1);
	vm_close(vm);
}

TEST(reset)
{
	bring_up(1);
	mapc(0, 0, true);
	mapd(DEV, 5, ITT);
	mapti(DEV, 0, LPI, 0);
	(void)message(DEV, 0);
	CHECK_EQ(vm_reset(vm), 0);
	CHECK_EQ(rd(GITS_CTLR, 4), 0x80000000U);
	CHECK_EQ(rd(GITS_CBASER, 8), 0);
	CHECK_EQ(rd(GITS_BASER(0), 8), 0x0107ULL << 48);
	CHECK_EQ(rd(GICR(0), 4), 0);
	quiet(0);
	(void)message(DEV, 0);
	quiet(0);
	vm_close(vm);
}

TEST_MAIN()
