/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The GICv3 by its specification (Arm IHI 0069), as a guest's accesses and registers show it.
 */
#include <pthread.h>

#include "gic_fixture.h"

#define	GICD	0x08000000ULL
#define	GICR(n)	(0x080a0000ULL + (n) * 0x20000ULL)
#define	SGI(n)	(GICR(n) + 0x10000)

#define	CTLR		0x000
#define	TYPER		0x004
#define	SETSPI		0x040
#define	CLRSPI		0x048
#define	IGROUPR		0x080
#define	ISENABLER	0x100
#define	ICENABLER	0x180
#define	ISPENDR		0x200
#define	ICPENDR		0x280
#define	ISACTIVER	0x300
#define	ICACTIVER	0x380
#define	IPRIORITYR	0x400
#define	ICFGR		0xc00
#define	IROUTER		0x6000
#define	WAKER		0x014

static bool
irq(unsigned n)
{
	return (gicv3_output(cpu[n]) == GIC_OUT_IRQ);
}

/* A machine of n vCPUs as an operating system leaves it: awake, groups on, everything in group 1 and let through. */
static void
bring_up(unsigned n)
{
	gic_vm(0, n);
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	wr(GICD + CTLR, 4, 3);
	for (unsigned i = 1; i <= 8; i++)
		wr(GICD + IGROUPR + 4 * i, 4, UINT32_MAX);
	for (unsigned i = 0; i < n; i++) {
		wr(GICR(i) + WAKER, 4, 0);
		wr(SGI(i) + IGROUPR, 4, UINT32_MAX);
		msr(i, ICC_PMR, 0xff);
		msr(i, ICC_IGRPEN0, 1);
		msr(i, ICC_IGRPEN1, 1);
	}
}

static void
enable(unsigned intid)
{
	if (intid < 32)
		wr(SGI(0) + ISENABLER, 4, 1U << intid);
	else
		wr(GICD + ISENABLER + intid / 32 * 4, 4, 1U << intid % 32);
}

static void
edge(unsigned intid)
{
	uint64_t reg = GICD + ICFGR + intid / 16 * 4;

	wr(reg, 4, rd(reg, 4) | 2U << intid % 16 * 2);
}

static void
level(unsigned spi, bool on)
{
	vm->intc_ops->set_line(vm, spi, on);
}

TEST(identification)
{
	bring_up(3);
	CHECK_EQ(rd(GICD + 0xffe8, 4) & 0xf0, 0x30);		/* PIDR2.ArchRev: GICv3 */
	CHECK_EQ(rd(GICD + TYPER, 4) & 0x1f, 8);		/* 288 INTIDs */
	CHECK_EQ(rd(GICD + TYPER, 4) >> 16 & 1, 1);		/* MBIS */
	CHECK_EQ(rd(GICD + TYPER, 4) >> 17 & 1, 0);		/* no LPIs */
	CHECK_EQ(rd(GICD + TYPER, 4) >> 19 & 0x1f, 9);		/* 10 bits of INTID */
	CHECK_EQ(rd(GICD + CTLR, 4), 0x53);			/* DS, ARE, both groups */
	wr(GICD + CTLR, 4, 0);
	CHECK_EQ(rd(GICD + CTLR, 4), 0x50);
	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(rd(GICR(i) + 0x8, 8), (uint64_t)i << 32 | i << 8 | (i == 2 ? 0x10 : 0));
		CHECK_EQ(rd(GICR(i) + 0xc, 4), i);
		CHECK_EQ(rd(GICR(i) + 0xffe8, 4) & 0xf0, 0x30);
		CHECK_EQ(mrs(i, ICC_SRE), 7);
		CHECK_EQ(mrs(i, ICC_CTLR) >> 8 & 7, 4);		/* five bits of priority */
	}
	vm_close(vm);
}

/* Each of the gates holds an interrupt back, and the last one to open lets it through; GICR_WAKER is open, as EL3 leaves it. */
TEST(power_on_forwards_nothing)
{
	gic_vm(0, 1);
	CHECK_EQ(vm_start(vm), 0);
	CHECK_EQ(rd(GICR(0) + WAKER, 4), 0);
	CHECK_EQ(rd(GICD + CTLR, 4) & 3, 0);
	CHECK_EQ(mrs(0, ICC_PMR), 0);
	CHECK_EQ(mrs(0, ICC_IGRPEN1), 0);
	CHECK_EQ(mrs(0, ICC_RPR), 0xff);
	CHECK_EQ(mrs(0, ICC_IAR1), 1023);
	level(8, true);
	enable(40);
	wr(GICD + IGROUPR + 4, 4, UINT32_MAX);
	CHECK(!irq(0));
	wr(GICD + CTLR, 4, 2);
	CHECK(!irq(0));
	msr(0, ICC_IGRPEN1, 1);
	CHECK(!irq(0));
	msr(0, ICC_PMR, 0xf0);
	CHECK(irq(0));
	/* A redistributor that is put to sleep forwards nothing until it is woken. */
	wr(GICR(0) + WAKER, 4, 2);
	CHECK_EQ(rd(GICR(0) + WAKER, 4), 6);
	CHECK(!irq(0));
	wr(GICR(0) + WAKER, 4, 0);
	CHECK(irq(0));
	/* A reset closes the gates and wakes it, and the input stays. */
	wr(GICR(0) + WAKER, 4, 2);
	vm->intc_ops->reset(vm);
	CHECK_EQ(rd(GICR(0) + WAKER, 4), 0);
	CHECK(!irq(0));
	CHECK_EQ(rd(GICD + ISPENDR + 4, 4), 1U << 8);
	vm_close(vm);
}

static unsigned eois;

static void
on_eoi(void *arg)
{
	eois++;
	if (arg != NULL)
		vm_irq_deassert(arg);
}

TEST(level_line)
{
	struct vm_irq *h;

	bring_up(1);
	h = vm_irq_open_line(vm, 8);
	CHECK_EQ(vm_irq_on_eoi(h, on_eoi, NULL), 0);
	CHECK_EQ(vm_irq_assert(h), 0);
	CHECK(!irq(0));
	CHECK_EQ(rd(GICD + ISPENDR + 4, 4), 1U << 8);
	enable(40);
	CHECK(irq(0));
	CHECK_EQ(mrs(0, ICC_HPPIR1), 40);
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	CHECK(!irq(0));
	CHECK_EQ(mrs(0, ICC_IAR1), 1023);
	CHECK_EQ(rd(GICD + ISACTIVER + 4, 4), 1U << 8);
	CHECK_EQ(rd(GICD + ISPENDR + 4, 4), 1U << 8);		/* active and pending */
	CHECK_EQ(eois, 0);
	msr(0, ICC_EOIR1, 40);
	CHECK_EQ(eois, 1);
	CHECK(irq(0));						/* still asserted */
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	CHECK_EQ(vm_irq_deassert(h), 0);
	msr(0, ICC_EOIR1, 40);
	CHECK_EQ(eois, 2);
	CHECK(!irq(0));
	/* A line that falls before it is taken is forgotten. */
	CHECK_EQ(vm_irq_pulse(h), 0);
	CHECK(!irq(0));
	CHECK_EQ(rd(GICD + ISPENDR + 4, 4), 0);
	/* The end of the interrupt can take the reason away. */
	CHECK_EQ(vm_irq_on_eoi(h, on_eoi, h), 0);
	CHECK_EQ(vm_irq_assert(h), 0);
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	msr(0, ICC_EOIR1, 40);
	CHECK_EQ(eois, 3);
	CHECK(!irq(0));
	vm_irq_close(h);
	vm_close(vm);
}

TEST(edge_line)
{
	struct vm_irq *h;

	bring_up(1);
	h = vm_irq_open_line(vm, 8);
	CHECK_EQ(vm_irq_on_eoi(h, on_eoi, NULL), 0);
	edge(40);
	enable(40);
	CHECK_EQ(vm_irq_pulse(h), 0);
	CHECK(irq(0));
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	CHECK(!irq(0));
	/* One more edge while it is active is kept, two are one. */
	CHECK_EQ(vm_irq_pulse(h), 0);
	CHECK_EQ(vm_irq_pulse(h), 0);
	CHECK(!irq(0));
	msr(0, ICC_EOIR1, 40);
	CHECK(irq(0));
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	msr(0, ICC_EOIR1, 40);
	CHECK(!irq(0));
	/* A level that stays is one edge. */
	CHECK_EQ(vm_irq_assert(h), 0);
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	msr(0, ICC_EOIR1, 40);
	CHECK(!irq(0));
	CHECK_EQ(eois, 0);
	vm_irq_close(h);
	vm_close(vm);
}

TEST(pending_by_register)
{
	bring_up(1);
	enable(50);
	wr(GICD + ISPENDR + 4, 4, 1U << 18);
	CHECK(irq(0));
	wr(GICD + ICPENDR + 4, 4, 1U << 18);
	CHECK(!irq(0));
	wr(GICD + ISPENDR + 4, 4, 1U << 18);
	CHECK_EQ(mrs(0, ICC_IAR1), 50);
	CHECK_EQ(rd(GICD + ISPENDR + 4, 4), 0);		/* no level behind it */
	wr(GICD + ICACTIVER + 4, 4, 1U << 18);
	CHECK_EQ(rd(GICD + ISACTIVER + 4, 4), 0);
	wr(GICD + ISPENDR + 4, 4, 1U << 18);
	wr(GICD + ICENABLER + 4, 4, 1U << 18);
	CHECK(!irq(0));
	CHECK_EQ(rd(GICD + ISENABLER + 4, 4), 0);
	vm_close(vm);
}

TEST(messages)
{
	struct vm_irq *h;

	bring_up(1);
	edge(100);
	enable(100);
	h = vm_irq_open_msi(vm, 0x18);
	CHECK_EQ(vm_irq_set_msi(h, GICD + SETSPI, 100), 0);
	CHECK_EQ(vm_irq_assert(h), 0);				/* masked: pending in the handle */
	CHECK(!irq(0));
	CHECK_EQ(vm_irq_set_mask(h, false), 0);
	CHECK(irq(0));
	CHECK_EQ(mrs(0, ICC_IAR1), 100);
	msr(0, ICC_EOIR1, 100);
	CHECK(!irq(0));
	CHECK_EQ(vm_raise_msi(vm, GICD + SETSPI, 100, 0, 3, 0), 0);
	CHECK(irq(0));
	CHECK_EQ(mrs(0, ICC_IAR1), 100);
	msr(0, ICC_EOIR1, 100);
	/* The guest's own write does the same. */
	wr(GICD + SETSPI, 4, 100);
	CHECK(irq(0));
	wr(GICD + CLRSPI, 4, 100);
	CHECK(!irq(0));
	/* Level-triggered: until it is taken back. */
	enable(101);
	CHECK_EQ(vm_raise_msi(vm, GICD + SETSPI, 101, 0, 3, 0), 0);
	CHECK_EQ(mrs(0, ICC_IAR1), 101);
	msr(0, ICC_EOIR1, 101);
	CHECK(irq(0));
	CHECK_EQ(vm_raise_msi(vm, GICD + CLRSPI, 101, 0, 3, 0), 0);
	CHECK(!irq(0));
	/* What names no SPI is ignored; another address is nobody's. */
	CHECK_EQ(vm_raise_msi(vm, GICD + SETSPI, 5, 0, 3, 0), 0);
	CHECK_EQ(vm_raise_msi(vm, GICD + SETSPI, 0xffffffff, 0, 3, 0), 0);
	CHECK_EQ(vm_raise_msi(vm, 0xfee00000, 100, 0, 3, 0), -1);
	CHECK_EQ(errno, EINVAL);
	vm_irq_close(h);
	vm_close(vm);
}

TEST(priorities_mask_and_preempt)
{
	bring_up(1);
	enable(40);
	enable(41);
	enable(42);
	wr(GICD + IPRIORITYR + 40, 1, 0xa7);
	CHECK_EQ(rd(GICD + IPRIORITYR + 40, 1), 0xa0);		/* five bits */
	wr(GICD + IPRIORITYR + 40, 4, 0x608040a0);		/* 40: a0, 41: 40, 42: 80 */
	CHECK_EQ(rd(GICD + IPRIORITYR + 41, 1), 0x40);
	CHECK_EQ(rd(GICD + IPRIORITYR + 42, 1), 0x80);
	level(8, true);
	msr(0, ICC_PMR, 0xa0);
	CHECK(!irq(0));					/* must be higher than the mask */
	msr(0, ICC_PMR, 0xa8);
	CHECK(irq(0));
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	CHECK_EQ(mrs(0, ICC_RPR), 0xa0);
	level(10, true);
	CHECK(irq(0));
	CHECK_EQ(mrs(0, ICC_IAR1), 42);
	CHECK_EQ(mrs(0, ICC_RPR), 0x80);
	level(9, true);
	CHECK_EQ(mrs(0, ICC_IAR1), 41);
	CHECK_EQ(mrs(0, ICC_RPR), 0x40);
	CHECK_EQ(mrs(0, ICC_AP1R0), 1U << 8 | 1U << 16 | 1U << 20);
	level(8, false);
	level(9, false);
	level(10, false);
	msr(0, ICC_EOIR1, 41);
	CHECK_EQ(mrs(0, ICC_RPR), 0x80);
	msr(0, ICC_EOIR1, 42);
	CHECK_EQ(mrs(0, ICC_RPR), 0xa0);
	msr(0, ICC_EOIR1, 40);
	CHECK_EQ(mrs(0, ICC_RPR), 0xff);
	/* Equal priorities: the lower INTID first, and no preemption. */
	wr(GICD + IPRIORITYR + 40, 4, 0x80808080);
	level(10, true);
	level(9, true);
	CHECK_EQ(mrs(0, ICC_IAR1), 41);
	CHECK(!irq(0));
	msr(0, ICC_EOIR1, 41);
	vm_close(vm);
}

TEST(binary_point_groups_priorities)
{
	bring_up(1);
	enable(40);
	enable(41);
	wr(GICD + IPRIORITYR + 40, 1, 0x98);
	wr(GICD + IPRIORITYR + 41, 1, 0x90);
	CHECK_EQ(mrs(0, ICC_BPR1), 3);
	CHECK_EQ(mrs(0, ICC_BPR0), 2);
	msr(0, ICC_BPR1, 0);
	CHECK_EQ(mrs(0, ICC_BPR1), 3);			/* the minimum */
	level(8, true);
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	CHECK_EQ(mrs(0, ICC_RPR), 0x98);
	level(9, true);
	CHECK(irq(0));					/* 0x90 preempts 0x98 */
	level(9, false);
	msr(0, ICC_EOIR1, 40);
	/* One bit of subpriority: both are of group priority 0x90. */
	msr(0, ICC_BPR1, 4);
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	CHECK_EQ(mrs(0, ICC_RPR), 0x90);
	level(9, true);
	CHECK(!irq(0));
	level(8, false);
	msr(0, ICC_EOIR1, 40);
	CHECK_EQ(mrs(0, ICC_IAR1), 41);
	level(9, false);
	msr(0, ICC_EOIR1, 41);
	/* The common binary point: group 1 splits as BPR0 says, which reads as one more in BPR1. */
	msr(0, ICC_BPR1, 3);
	msr(0, ICC_BPR0, 3);
	msr(0, ICC_CTLR, 1);
	CHECK_EQ(mrs(0, ICC_BPR1), 4);
	msr(0, ICC_BPR1, 7);
	CHECK_EQ(mrs(0, ICC_BPR1), 4);
	level(8, true);
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	level(9, true);
	CHECK(!irq(0));
	vm_close(vm);
}

TEST(split_end_of_interrupt)
{
	struct vm_irq *h;

	bring_up(1);
	h = vm_irq_open_line(vm, 8);
	CHECK_EQ(vm_irq_on_eoi(h, on_eoi, NULL), 0);
	enable(40);
	msr(0, ICC_CTLR, 2);
	CHECK_EQ(mrs(0, ICC_CTLR) & 3, 2);
	CHECK_EQ(vm_irq_assert(h), 0);
	CHECK_EQ(mrs(0, ICC_IAR1), 40);
	msr(0, ICC_EOIR1, 40);				/* drops the priority only */
	CHECK_EQ(mrs(0, ICC_RPR), 0xff);
	CHECK_EQ(rd(GICD + ISACTIVER + 4, 4), 1U << 8);
	CHECK_EQ(eois, 0);
	CHECK(!irq(0));
	msr(0, ICC_DIR, 40);
	CHECK_EQ(eois, 1);
	CHECK_EQ(rd(GICD + ISACTIVER + 4, 4), 0);
	CHECK(irq(0));
	vm_irq_close(h);
	vm_close(vm);
}

TEST(software_generated_interrupts)
{
	bring_up(3);
	for (unsigned i = 0; i < 3; i++)
		wr(SGI(i) + ISENABLER, 4, 0xffff);
	msr(0, ICC_SGI1R, 5ULL << 24 | 1 << 1);			/* 5 to vCPU 1 */
	CHECK(!irq(0) && irq(1) && !irq(2));
	CHECK_EQ(mrs(1, ICC_IAR1), 5);
	msr(1, ICC_EOIR1, 5);
	msr(1, ICC_SGI1R, 15ULL << 24 | 1ULL << 40);		/* 15 to all others */
	CHECK(irq(0) && !irq(1) && irq(2));
	CHECK_EQ(mrs(0, ICC_IAR1), 15);
	CHECK_EQ(mrs(2, ICC_IAR1), 15);
	msr(0, ICC_EOIR1, 15);
	msr(2, ICC_EOIR1, 15);
	msr(2, ICC_SGI1R, 1ULL << 24 | 0x7);			/* to all three, itself too */
	CHECK(irq(0) && irq(1) && irq(2));
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(mrs(i, ICC_IAR1), 1);
	/* Nobody has these affinities. */
	msr(0, ICC_SGI1R, 2ULL << 24 | 0xfff8);
	msr(0, ICC_SGI1R, 2ULL << 24 | 1ULL << 16 | 1);
	msr(0, ICC_SGI1R, 2ULL << 24 | 1ULL << 32 | 1);
	msr(0, ICC_SGI1R, 2ULL << 24 | 1ULL << 44 | 1);
	msr(0, ICC_SGI1R, 2ULL << 24 | 1ULL << 48 | 1);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(rd(SGI(i) + ISPENDR, 4), 0);
	/* Group 1's register does not reach one of group 0. */
	wr(SGI(1) + IGROUPR, 4, ~(1U << 3));
	msr(0, ICC_SGI1R, 3ULL << 24 | 2);
	CHECK_EQ(rd(SGI(1) + ISPENDR, 4), 0);
	msr(0, ICC_SGI0R, 3ULL << 24 | 2);
	CHECK_EQ(rd(SGI(1) + ISPENDR, 4), 1U << 3);
	/* They are edge-triggered whatever is written. */
	wr(SGI(0) + ICFGR, 4, 0);
	CHECK_EQ(rd(SGI(0) + ICFGR, 4), 0xaaaaaaaa);
	vm_close(vm);
}

TEST(routing)
{
	bring_up(2);
	enable(40);
	level(8, true);
	CHECK(irq(0) && !irq(1));
	wr(GICD + IROUTER + 8 * 40, 8, 1);
	CHECK_EQ(rd(GICD + IROUTER + 8 * 40, 8), 1);
	CHECK(!irq(0) && irq(1));
	wr(GICD + IROUTER + 8 * 40, 8, 0x40);			/* nobody */
	CHECK(!irq(0) && !irq(1));
	wr(GICD + IROUTER + 8 * 40, 8, 1ULL << 31 | 1);		/* one of N is not there */
	CHECK_EQ(rd(GICD + IROUTER + 8 * 40, 8), 1);
	wr(GICD + IROUTER + 8 * 40 + 4, 4, 7);			/* Aff3 */
	CHECK_EQ(rd(GICD + IROUTER + 8 * 40, 8), 7ULL << 32 | 1);
	CHECK(!irq(0) && !irq(1));
	vm_close(vm);
}

TEST(group_0_is_fiq)
{
	bring_up(1);
	enable(40);
	wr(GICD + IGROUPR + 4, 4, ~(1U << 8));
	level(8, true);
	CHECK_EQ(gicv3_output(cpu[0]), GIC_OUT_FIQ);
	CHECK_EQ(mrs(0, ICC_HPPIR1), 1023);
	CHECK_EQ(mrs(0, ICC_HPPIR0), 40);
	CHECK_EQ(mrs(0, ICC_IAR1), 1023);
	CHECK_EQ(mrs(0, ICC_IAR0), 40);
	CHECK_EQ(mrs(0, ICC_AP0R0), 1);
	level(8, false);
	msr(0, ICC_EOIR0, 40);
	CHECK_EQ(mrs(0, ICC_AP0R0), 0);
	level(8, true);
	msr(0, ICC_IGRPEN0, 0);
	CHECK_EQ(gicv3_output(cpu[0]), 0);
	msr(0, ICC_IGRPEN0, 1);
	wr(GICD + CTLR, 4, 2);
	CHECK_EQ(gicv3_output(cpu[0]), 0);
	vm_close(vm);
}

TEST(private_interrupts)
{
	bring_up(2);
	wr(SGI(1) + ISENABLER, 4, 1U << 27);
	gicv3_set_ppi(cpu[0], 27, true);
	gicv3_set_ppi(cpu[1], 27, true);
	CHECK(!irq(0) && irq(1));
	CHECK_EQ(mrs(1, ICC_IAR1), 27);
	msr(1, ICC_EOIR1, 27);
	CHECK(irq(1));
	gicv3_set_ppi(cpu[1], 27, false);
	CHECK(!irq(1));
	gicv3_set_ppi(cpu[1], 5, true);			/* not a PPI */
	gicv3_set_ppi(cpu[1], 40, true);
	CHECK_EQ(rd(SGI(1) + ISPENDR, 4), 0);
	/* The distributor has no registers for them. */
	wr(GICD + ISENABLER, 4, UINT32_MAX);
	CHECK_EQ(rd(GICD + ISENABLER, 4), 0);
	CHECK_EQ(rd(SGI(0) + ISENABLER, 4), 0);
	vm_close(vm);
}

TEST(odd_accesses_do_nothing)
{
	static const unsigned sizes[] = { 1, 2, 4, 8 };
	static const uint32_t regs[] = { ICC_EOIR1, ICC_EOIR0, ICC_DIR };
	uint64_t x = 88172645463325252ULL, v;

	bring_up(2);
	/* Beyond the last INTID. */
	wr(GICD + ISENABLER + 9 * 4, 4, UINT32_MAX);
	CHECK_EQ(rd(GICD + ISENABLER + 9 * 4, 4), 0);
	wr(GICD + IPRIORITYR + 288, 1, 0x80);
	CHECK_EQ(rd(GICD + IPRIORITYR + 288, 1), 0);
	wr(GICD + IROUTER + 8 * 288, 8, 1);
	CHECK_EQ(rd(GICD + IROUTER + 8 * 288, 8), 0);
	CHECK_EQ(rd(GICD + ISENABLER + 4, 2), 0);
	/* Ending what was never begun, or is no interrupt. */
	for (unsigned i = 0; i < nitems(regs); i++) {
		static const uint32_t ids[] = { 0, 31, 32, 287, 288, 1019, 1020, 1023, 8192, 0xffffff };

		for (unsigned j = 0; j < nitems(ids); j++)
			msr(0, regs[i], ids[j]);
	}
	CHECK_EQ(mrs(0, ICC_RPR), 0xff);
	/* Reads of what only writes, writes of what only reads, and registers of others. */
	CHECK(!vm->intc_ops->sysreg(cpu[0], ICC_EOIR1, false, &v));
	CHECK(!vm->intc_ops->sysreg(cpu[0], ICC_SGI1R, false, &v));
	v = 0;
	CHECK(!vm->intc_ops->sysreg(cpu[0], ICC_IAR1, true, &v));
	CHECK(!vm->intc_ops->sysreg(cpu[0], ICC_RPR, true, &v));
	CHECK(!vm->intc_ops->sysreg(cpu[0], ARM64_SYSREG(3, 0, 12, 9, 1), false, &v));
	CHECK(!vm->intc_ops->sysreg(cpu[0], UINT64_MAX, false, &v));
	/* Anything anywhere. */
	for (unsigned n = 0; n < 300000; n++) {
		uint64_t base, val;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		val = x * 0x9e3779b97f4a7c15ULL;
		base = (x & 1) != 0 ? GICD + (x >> 8 & 0xffff) : GICR(0) + (x >> 8 & 0x3ffff);
		if ((x & 6) == 0)
			(void)vm->intc_ops->sysreg(cpu[x >> 3 & 1], ARM64_SYSREG(3, 0, 12, x >> 8 & 15, x >> 12 & 7),
			    (x & 16) != 0, &val);
		else if ((x & 6) == 2)
			vm->intc_ops->set_line(vm, x >> 8 & 0xff, (x & 16) != 0);
		else if ((x & 16) != 0)
			(void)vm_access(vm, VM_SPACE_MEM, base, sizes[x >> 5 & 3], true, &val);
		else
			(void)vm_access(vm, VM_SPACE_MEM, base, sizes[x >> 5 & 3], false, &val);
	}
	vm_close(vm);
}

TEST(state_survives)
{
	struct vm_state_out *out;
	struct vm_state_in *in;
	const void *data;
	struct vmctx *first;
	size_t len;

	bring_up(2);
	first = vm;
	edge(41);
	enable(40);
	enable(41);
	enable(42);
	wr(GICD + IPRIORITYR + 40, 4, 0x404080a0);
	wr(GICD + IROUTER + 8 * 42, 8, 1);
	msr(1, ICC_PMR, 0x80);
	level(8, true);
	CHECK_EQ(mrs(0, ICC_IAR1), 40);		/* active */
	level(9, true);				/* pending edge */
	level(9, false);
	level(10, true);			/* pending level, at the other one */
	CHECK(irq(0) && irq(1));
	CHECK((out = vm_state_out_open()) != NULL);
	CHECKF(vm_state_save(vm, out) == 0, "%s", vm_errmsg());
	data = vm_state_out_data(out, &len);

	bring_up(2);
	CHECK((in = vm_state_in_open(data, len)) != NULL);
	CHECKF(vm_state_load(vm, in) == 0, "%s", vm_errmsg());
	CHECK(irq(0) && irq(1));
	CHECK_EQ(mrs(0, ICC_RPR), 0xa0);
	CHECK_EQ(mrs(0, ICC_IAR1), 41);
	CHECK_EQ(mrs(1, ICC_IAR1), 42);
	msr(0, ICC_EOIR1, 41);
	msr(0, ICC_EOIR1, 40);
	CHECK_EQ(mrs(0, ICC_RPR), 0xff);
	vm_state_in_close(in);
	vm_state_out_close(out);
	vm_close(vm);
	vm_close(first);
}

TEST(impossible_state_is_refused)
{
	const struct vm_state_table *t = intc_gicv3.cpu_state;
	/* The declared part by its table: the structs are the controller's own. */
	static _Alignas(8) uint8_t obj[4096];

	memset(obj, 0, sizeof(obj));
	for (unsigned i = 0; i < t->nfields; i++) {
		if (strcmp(t->fields[i].name, "bpr") == 0)
			memset(obj + t->fields[i].offset, 3, 2);
		if (strcmp(t->fields[i].name, "bank") == 0) {
			const struct vm_state_table *b = t->fields[i].sub;

			for (unsigned j = 0; j < b->nfields; j++) {
				if (strcmp(b->fields[j].name, "edge") == 0)
					memset(obj + t->fields[i].offset + b->fields[j].offset, 0xff, 4);
			}
		}
	}
	CHECK_EQ(t->check(obj), 0);
	for (unsigned i = 0; i < t->nfields; i++) {
		const struct vm_state_field *f = &t->fields[i];
		uint8_t save[8];

		if (f->type == VM_FIELD_STRUCT || strcmp(f->name, "apr") == 0)
			continue;
		memcpy(save, obj + f->offset, f->stride);
		memset(obj + f->offset, 0xff, f->stride);
		CHECKF(t->check(obj) == -1, "%s of all ones was taken", f->name);
		memcpy(obj + f->offset, save, f->stride);
	}
	CHECK_EQ(t->check(obj), 0);
}

/* Edges from several threads while one takes interrupts: none that comes after an acknowledge is lost. */
#define	NSOURCE	3
#define	NEDGE	20000

static _Atomic uint32_t sent[NSOURCE], seen[NSOURCE];

static void *
source(void *arg)
{
	unsigned n = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < NEDGE; i++) {
		atomic_fetch_add(&sent[n], 1);
		if (n == 0) {
			CHECK_EQ(vm_raise_msi(vm, GICD + SETSPI, 60, 0, 0, 0), 0);
		} else {
			level(n + 28, true);
			level(n + 28, false);
		}
		if ((i & 255) == 0) {
			uint64_t v = 1U << 27;

			(void)vm_access(vm, VM_SPACE_MEM, GICD + ISENABLER + 4, 4, true, &v);
		}
	}
	return (NULL);
}

TEST(storm)
{
	pthread_t t[NSOURCE];
	bool all = false;

	bring_up(2);
	for (unsigned i = 60; i < 60 + NSOURCE; i++) {
		edge(i);
		enable(i);
	}
	for (unsigned i = 0; i < NSOURCE; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, source, (void *)(uintptr_t)i), 0);
	while (!all) {
		uint64_t id;

		if (irq(0)) {
			id = mrs(0, ICC_IAR1);
			CHECK(id >= 60 && id < 60 + NSOURCE);
			atomic_fetch_add(&seen[id - 60], 1);
			msr(0, ICC_EOIR1, id);
		}
		all = true;
		for (unsigned i = 0; i < NSOURCE; i++)
			all = all && atomic_load(&sent[i]) == NEDGE;
	}
	for (unsigned i = 0; i < NSOURCE; i++)
		pthread_join(t[i], NULL);
	/* What is left over is pending now. */
	while (irq(0)) {
		uint64_t id = mrs(0, ICC_IAR1);

		atomic_fetch_add(&seen[id - 60], 1);
		msr(0, ICC_EOIR1, id);
	}
	for (unsigned i = 0; i < NSOURCE; i++)
		CHECKF(atomic_load(&seen[i]) >= 1 && atomic_load(&seen[i]) <= NEDGE, "source %u was seen %u times", i,
		    atomic_load(&seen[i]));
	CHECK_EQ(rd(GICD + ISPENDR + 4, 4), 0);
	CHECK_EQ(rd(GICD + ISACTIVER + 4, 4), 0);
	CHECK_EQ(mrs(0, ICC_RPR), 0xff);
	vm_close(vm);
}

TEST_MAIN()
