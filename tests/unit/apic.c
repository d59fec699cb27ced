/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The amd64 interrupt controller (local APICs, I/O APIC, 8259 pair) by its manuals, on a VM of the
 * soft back end whose vCPUs do not run: registers through vm_access(), the CPU's side through the
 * controller's operations.  The VM counts virtual time, so the timer's expirations are exact.
 */
#include <pthread.h>

#include "amd64/apic.h"
#include "vm_fixture.h"

#define	LAPIC(reg)	(0xfee00000ULL + (reg))
#define	IOAPIC(reg)	(0xfec00000ULL + (reg))
#define	NCPU		4

static struct vmctx *vm;
static struct vcpu *cpu[NCPU];

static void
start_vm(enum vm_clock_source clock)
{
	vm = clock == VM_CLOCK_ICOUNT ? tv_virtual(VM_ARCH_AMD64, 1 << 20, 0) : tv_new(VM_ARCH_AMD64, 1 << 20, 0);
	for (unsigned i = 0; i < NCPU; i++)
		cpu[i] = tv_cpu(vm, i);
	if (vm_start(vm) != 0)
		FAIL("vm_start: %s", vm_errmsg());
}

static void
start(void)
{
	start_vm(VM_CLOCK_ICOUNT);
}

static void
stop(void)
{
	for (int i = 0; i < NCPU; i++)
		vm_vcpu_close(cpu[i]);
	vm_close(vm);
}

static bool
pending(int i)
{
	return (intc_apic.pending(cpu[i]));
}

static int
ack(int i)
{
	return (intc_apic.ack(cpu[i]));
}

/* The page of any vCPU, as its own accesses would reach it. */
static uint32_t
rd(int i, unsigned reg)
{
	struct lapic *lp = cpu[i]->intc;
	uint32_t val;

	pthread_mutex_lock(&lp->apic->lock);
	val = lapic_read(lp, reg >> 4);
	pthread_mutex_unlock(&lp->apic->lock);
	return (val);
}

static void
wr(int i, unsigned reg, uint32_t val)
{
	struct lapic *lp = cpu[i]->intc;
	struct apic_work w;

	apic_begin(lp->apic, &w);
	lapic_write(lp, reg >> 4, val, &w);
	apic_finish(lp->apic, &w);
}

#define	mem_read(addr)		((uint32_t)tv_read(vm, VM_SPACE_MEM, (addr), 4))
#define	mem_write(addr, val)	tv_write(vm, VM_SPACE_MEM, (addr), 4, (val))
#define	inb(port)		((uint8_t)tv_read(vm, VM_SPACE_IO, (port), 1))
#define	outb(port, val)		tv_write(vm, VM_SPACE_IO, (port), 1, (val))

static uint32_t
ioapic_rd(unsigned idx)
{
	mem_write(IOAPIC(0), idx);
	return (mem_read(IOAPIC(0x10)));
}

static void
ioapic_wr(unsigned idx, uint32_t val)
{
	mem_write(IOAPIC(0), idx);
	mem_write(IOAPIC(0x10), val);
}

static void
rte(unsigned pin, uint32_t lo, uint32_t hi)
{
	ioapic_wr(0x11 + 2 * pin, hi);
	ioapic_wr(0x10 + 2 * pin, lo);
}

static void
enable(int i)
{
	wr(i, 0xf0, 0x1ff);
}

static void
init_pics(void)
{
	outb(0x20, 0x11);
	outb(0x21, 0x20);
	outb(0x21, 0x04);
	outb(0x21, 0x01);
	outb(0xa0, 0x11);
	outb(0xa1, 0x28);
	outb(0xa1, 0x02);
	outb(0xa1, 0x01);
}

/* SECTION: power-on */

TEST(power_on_registers)
{
	start();
	CHECK_EQ(mem_read(LAPIC(0x20)), 0);
	CHECK_EQ(rd(3, 0x20), 3U << 24);
	CHECK_EQ(mem_read(LAPIC(0x30)), 0x01050014);
	CHECK_EQ(mem_read(LAPIC(0xf0)), 0xff);
	CHECK_EQ(mem_read(LAPIC(0xe0)), 0xffffffff);
	CHECK_EQ(mem_read(LAPIC(0x320)), 0x10000);
	CHECK_EQ(mem_read(LAPIC(0x350)), 0x700);	/* ExtINT for the bootstrap processor */
	CHECK_EQ(rd(1, 0x350), 0x10000);
	CHECK_EQ(mem_read(LAPIC(0x360)), 0x10000);
	CHECK_EQ(ioapic_rd(1), 0x00170020);
	for (unsigned i = 0; i < 24; i++)
		CHECK_EQ(ioapic_rd(0x10 + 2 * i), 0x10000);
	CHECK_EQ(inb(0x4d0), 0);
	stop();
}

TEST(an_8259_interrupt_reaches_the_bsp_at_once)
{
	struct vm_irq *irq;

	start();
	irq = vm_irq_open_line(vm, 4);
	init_pics();
	CHECK(!pending(0));
	CHECK_EQ(vm_irq_pulse(irq), 0);
	CHECK(pending(0));
	CHECK(!pending(1));
	CHECK_EQ(ack(0), 0x24);
	CHECK(!pending(0));
	CHECK_EQ(ack(0), -1);
	/* LINT0 masked: not any more. */
	outb(0x20, 0x20);
	mem_write(LAPIC(0x350), 0x10700);
	CHECK_EQ(vm_irq_pulse(irq), 0);
	CHECK(!pending(0));
	mem_write(LAPIC(0x350), 0x700);			/* cannot be unmasked while software-disabled */
	CHECK(!pending(0));
	mem_write(LAPIC(0xf0), 0x1ff);
	mem_write(LAPIC(0x350), 0x700);
	CHECK(pending(0));
	CHECK_EQ(ack(0), 0x24);
	vm_irq_close(irq);
	stop();
}

TEST(an_apic_that_is_switched_off_lets_the_8259_through)
{
	struct vm_irq *irq;
	uint64_t val;

	start();
	irq = vm_irq_open_line(vm, 4);
	init_pics();
	mem_write(LAPIC(0x350), 0x10000);
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_APIC_BASE, 0xfee00100), 0);
	CHECK_EQ(vm_irq_pulse(irq), 0);
	CHECK(pending(0));
	CHECK_EQ(ack(0), 0x24);
	/* Its page is not decoded. */
	val = 0;
	(void)vm_access(vm, VM_SPACE_MEM, LAPIC(0x30), 4, false, &val);
	CHECK_EQ((uint32_t)val, 0xffffffff);
	vm_irq_close(irq);
	stop();
}

/* SECTION: 8259 through the ports */

TEST(a_level_at_an_8259_comes_again_until_it_is_lowered)
{
	struct vm_irq *irq;

	start();
	irq = vm_irq_open_line(vm, 11);
	init_pics();
	outb(0x4d1, 0x08);
	CHECK_EQ(inb(0x4d1), 0x08);
	CHECK_EQ(vm_irq_assert(irq), 0);
	CHECK_EQ(ack(0), 0x2b);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	CHECK(pending(0));				/* nobody lowered it */
	CHECK_EQ(ack(0), 0x2b);
	CHECK_EQ(vm_irq_deassert(irq), 0);
	outb(0xa0, 0x20);
	outb(0x20, 0x20);
	CHECK(!pending(0));
	vm_irq_close(irq);
	stop();
}

static void
lower(void *arg)
{
	struct vm_irq **irq = arg;

	(void)vm_irq_deassert(*irq);
	irq[1] = *irq;		/* was here */
}

TEST(the_owner_lowers_its_level_when_it_is_ended)
{
	struct vm_irq *irq[2] = { NULL, NULL };

	start();
	init_pics();
	irq[0] = vm_irq_open_line(vm, 5);
	CHECK_EQ(vm_irq_on_eoi(irq[0], lower, irq), 0);
	/* An edge-triggered one has no end to tell. */
	CHECK_EQ(vm_irq_assert(irq[0]), 0);
	CHECK_EQ(ack(0), 0x25);
	outb(0x20, 0x20);
	CHECK(irq[1] == NULL);
	CHECK_EQ(vm_irq_deassert(irq[0]), 0);
	/* 8259 */
	outb(0x4d0, 0x20);
	CHECK_EQ(vm_irq_assert(irq[0]), 0);
	CHECK_EQ(ack(0), 0x25);
	outb(0x20, 0x20);
	CHECK(irq[1] == irq[0]);
	CHECK(!pending(0));
	/* I/O APIC: no second delivery either */
	outb(0x21, 0xff);
	enable(0);
	rte(5, 0x8051, 0);
	irq[1] = NULL;
	CHECK_EQ(vm_irq_assert(irq[0]), 0);
	CHECK_EQ(ack(0), 0x51);
	mem_write(LAPIC(0xb0), 0);
	CHECK(irq[1] == irq[0]);
	CHECK(!pending(0));
	CHECK_EQ(ioapic_rd(0x1a), 0x8051);
	vm_irq_close(irq[0]);
	stop();
}

/* SECTION: I/O APIC */

TEST(an_edge_is_delivered_once)
{
	struct vm_irq *irq;

	start();
	enable(0);
	irq = vm_irq_open_line(vm, 20);
	rte(20, 0x61, 0);
	CHECK_EQ(vm_irq_assert(irq), 0);
	CHECK(pending(0));
	CHECK_EQ(mem_read(LAPIC(0x200 + 0x30)), 1U << (0x61 & 31));
	CHECK_EQ(ack(0), 0x61);
	CHECK_EQ(mem_read(LAPIC(0x100 + 0x30)), 1U << (0x61 & 31));
	CHECK(!pending(0));
	mem_write(LAPIC(0xb0), 0);
	CHECK_EQ(mem_read(LAPIC(0x100 + 0x30)), 0);
	CHECK(!pending(0));
	CHECK_EQ(vm_irq_deassert(irq), 0);
	CHECK_EQ(vm_irq_pulse(irq), 0);
	CHECK_EQ(ack(0), 0x61);
	vm_irq_close(irq);
	stop();
}

TEST(a_masked_edge_is_lost_and_a_masked_level_waits)
{
	struct vm_irq *irq;

	start();
	enable(0);
	irq = vm_irq_open_line(vm, 20);
	rte(20, 0x10061, 0);
	CHECK_EQ(vm_irq_assert(irq), 0);
	rte(20, 0x00061, 0);
	CHECK(!pending(0));
	CHECK_EQ(vm_irq_deassert(irq), 0);
	rte(20, 0x18061, 0);
	CHECK_EQ(vm_irq_assert(irq), 0);
	CHECK(!pending(0));
	rte(20, 0x08061, 0);
	CHECK(pending(0));
	CHECK_EQ(ioapic_rd(0x10 + 40), 0xc061);		/* remote IRR */
	vm_irq_close(irq);
	stop();
}

TEST(a_level_comes_again_until_it_is_lowered)
{
	struct vm_irq *a, *b;

	start();
	enable(0);
	a = vm_irq_open_line(vm, 17);
	b = vm_irq_open_line(vm, 17);
	rte(17, 0x8071, 0);
	CHECK_EQ(vm_irq_assert(a), 0);
	CHECK_EQ(ack(0), 0x71);
	CHECK_EQ(vm_irq_assert(b), 0);
	CHECK(!pending(0));
	CHECK_EQ(vm_irq_deassert(a), 0);
	mem_write(LAPIC(0xb0), 0);
	CHECK_EQ(ack(0), 0x71);				/* b still drives it */
	CHECK_EQ(vm_irq_deassert(b), 0);
	mem_write(LAPIC(0xb0), 0);
	CHECK(!pending(0));
	CHECK_EQ(ioapic_rd(0x10 + 34), 0x8071);
	vm_irq_close(a);
	vm_irq_close(b);
	stop();
}

TEST(the_polarity_bit_is_kept_and_changes_nothing)
{
	struct vm_irq *irq;

	start();
	enable(0);
	irq = vm_irq_open_line(vm, 17);
	rte(17, 0xa071, 0);
	CHECK_EQ(ioapic_rd(0x10 + 34), 0xa071);
	CHECK(!pending(0));
	CHECK_EQ(vm_irq_assert(irq), 0);
	CHECK(pending(0));
	vm_irq_close(irq);
	stop();
}

TEST(remote_irr_goes_with_a_turn_to_edge)
{
	struct vm_irq *irq;

	start();
	enable(0);
	irq = vm_irq_open_line(vm, 17);
	rte(17, 0x8071, 0);
	CHECK_EQ(vm_irq_assert(irq), 0);
	CHECK_EQ(vm_irq_deassert(irq), 0);
	CHECK_EQ(ioapic_rd(0x10 + 34), 0xc071);
	rte(17, 0x10071, 0);
	rte(17, 0x08071, 0);
	CHECK_EQ(ioapic_rd(0x10 + 34), 0x8071);
	vm_irq_close(irq);
	stop();
}

TEST(eoi_by_the_io_apics_register)
{
	struct vm_irq *irq;

	start();
	wr(0, 0xf0, 0x11ff);				/* no broadcasts */
	CHECK_EQ(rd(0, 0xf0), 0x11ff);
	irq = vm_irq_open_line(vm, 17);
	rte(17, 0x8071, 0);
	CHECK_EQ(vm_irq_assert(irq), 0);
	CHECK_EQ(ack(0), 0x71);
	mem_write(LAPIC(0xb0), 0);
	CHECK_EQ(ioapic_rd(0x10 + 34), 0xc071);
	CHECK(!pending(0));
	mem_write(IOAPIC(0x40), 0x70);
	CHECK(!pending(0));
	mem_write(IOAPIC(0x40), 0x71);
	CHECK_EQ(ack(0), 0x71);
	vm_irq_close(irq);
	stop();
}

TEST(line_0_is_input_2_and_line_2_is_nowhere)
{
	struct vm_irq *irq, *two;

	start();
	enable(0);
	irq = vm_irq_open_line(vm, 0);
	two = vm_irq_open_line(vm, 2);
	rte(0, 0x60, 0);
	rte(2, 0x62, 0);
	CHECK_EQ(vm_irq_pulse(two), 0);
	CHECK(!pending(0));
	CHECK_EQ(vm_irq_pulse(irq), 0);
	CHECK_EQ(ack(0), 0x62);
	vm_irq_close(irq);
	vm_irq_close(two);
	stop();
}

TEST(io_apic_registers)
{
	start();
	ioapic_wr(0, 0xff000000);
	CHECK_EQ(ioapic_rd(0), 0x0f000000);
	CHECK_EQ(ioapic_rd(2), 0x0f000000);
	CHECK_EQ(ioapic_rd(3), 0);
	CHECK_EQ(ioapic_rd(0x40), 0);
	CHECK_EQ(ioapic_rd(0xff), 0);
	ioapic_wr(0x40, 0xffffffff);
	ioapic_wr(0x10, 0xffffffff);
	CHECK_EQ(ioapic_rd(0x10), 0x1afff);
	ioapic_wr(0x11, 0xffffffff);
	CHECK_EQ(ioapic_rd(0x11), 0xff000000);
	CHECK_EQ(mem_read(IOAPIC(0x20)), 0);
	stop();
}

TEST(a_level_that_nobody_could_take_is_offered_again)
{
	struct vm_irq *irq;

	start();
	irq = vm_irq_open_line(vm, 17);
	rte(17, 0x8071, 2U << 24);
	CHECK_EQ(vm_irq_assert(irq), 0);
	CHECK_EQ(ioapic_rd(0x10 + 34), 0x8071);
	enable(2);
	CHECK(pending(2));
	CHECK_EQ(ack(2), 0x71);
	vm_irq_close(irq);
	stop();
}

/* SECTION: local APIC */

static int
msi(uint64_t addr, uint32_t val)
{
	return (vm_raise_msi(vm, addr, val, 0, 0, 0));
}

TEST(nothing_fixed_while_software_disabled)
{
	start();
	CHECK_EQ(msi(0xfee00000, 0x41), 0);
	CHECK(!pending(0));
	enable(0);
	CHECK(!pending(0));
	CHECK_EQ(msi(0xfee00000, 0x41), 0);
	CHECK_EQ(ack(0), 0x41);
	stop();
}

TEST(priorities)
{
	start();
	enable(0);
	CHECK_EQ(msi(0xfee00000, 0x41), 0);
	CHECK_EQ(msi(0xfee00000, 0x45), 0);
	CHECK_EQ(msi(0xfee00000, 0x71), 0);
	CHECK_EQ(ack(0), 0x71);
	CHECK_EQ(rd(0, 0xa0), 0x70);
	CHECK(!pending(0));
	CHECK_EQ(msi(0xfee00000, 0x7f), 0);		/* same class: waits */
	CHECK(!pending(0));
	CHECK_EQ(msi(0xfee00000, 0x80), 0);
	CHECK_EQ(ack(0), 0x80);
	wr(0, 0xb0, 0);
	CHECK(!pending(0));
	wr(0, 0xb0, 0);
	CHECK_EQ(ack(0), 0x7f);
	wr(0, 0xb0, 0);
	CHECK_EQ(ack(0), 0x45);
	wr(0, 0xb0, 0);
	CHECK_EQ(ack(0), 0x41);
	wr(0, 0xb0, 0);
	CHECK(!pending(0));
	stop();
}

TEST(task_priority_and_cr8_are_one)
{
	uint64_t val;

	start();
	enable(0);
	wr(0, 0x80, 0x55);
	CHECK_EQ(rd(0, 0xa0), 0x55);
	CHECK_EQ(msi(0xfee00000, 0x51), 0);
	CHECK(!pending(0));
	CHECK_EQ(vm_get_register(cpu[0], VM_AMD64_REG_CR8, &val), 0);
	CHECK_EQ(val, 5);
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_CR8, 4), 0);
	CHECK(pending(0));
	CHECK_EQ(rd(0, 0x80), 0x40);
	CHECK_EQ(vm_set_register(cpu[0], VM_AMD64_REG_CR8, 15), 0);
	CHECK(!pending(0));
	CHECK_EQ(ack(0), -1);
	stop();
}

TEST(logical_destinations)
{
	start();
	for (int i = 0; i < NCPU; i++) {
		enable(i);
		wr(i, 0xd0, 1U << (24 + i));
	}
	/* flat */
	CHECK_EQ(msi(0xfee00004 | 0x0a << 12, 0x41), 0);
	CHECK(!pending(0) && pending(1) && !pending(2) && pending(3));
	CHECK_EQ(ack(1), 0x41);
	CHECK_EQ(ack(3), 0x41);
	wr(1, 0xb0, 0);
	wr(3, 0xb0, 0);
	/* cluster: 0 and 1 in cluster 1, 2 and 3 in cluster 2 */
	for (int i = 0; i < NCPU; i++) {
		wr(i, 0xe0, 0x0fffffff);
		wr(i, 0xd0, (uint32_t)(i / 2 + 1) << 28 | 1U << (24 + i % 2));
	}
	CHECK_EQ(msi(0xfee00004 | 0x22 << 12, 0x42), 0);
	CHECK(!pending(0) && !pending(1) && !pending(2) && pending(3));
	CHECK_EQ(ack(3), 0x42);
	CHECK_EQ(msi(0xfee00004 | 0xf1 << 12, 0x43), 0);
	CHECK(pending(0) && !pending(1) && pending(2));
	/* physical broadcast */
	CHECK_EQ(msi(0xfee00000 | 0xff << 12, 0x90), 0);
	CHECK(pending(0) && pending(1) && pending(2) && pending(3));
	stop();
}

TEST(lowest_priority_goes_to_one)
{
	int n[NCPU] = { 0 };

	start();
	for (int i = 0; i < NCPU; i++) {
		enable(i);
		wr(i, 0xd0, 1U << (24 + i));
	}
	wr(2, 0x80, 0x30);
	for (int k = 0; k < 9; k++) {
		int taken = 0;

		CHECK_EQ(msi(0xfee0000c | 0x0f << 12, 0x141), 0);
		for (int i = 0; i < NCPU; i++) {
			if (pending(i)) {
				CHECK_EQ(ack(i), 0x41);
				wr(i, 0xb0, 0);
				n[i]++;
				taken++;
			}
		}
		CHECK_EQ(taken, 1);
	}
	CHECK_EQ(n[2], 0);
	CHECK(n[0] == 3 && n[1] == 3 && n[3] == 3);
	stop();
}

TEST(messages_to_nobody)
{
	start();
	enable(0);
	CHECK_EQ(msi(0xfee09000, 0x41), 0);		/* no such processor */
	CHECK_EQ(msi(0xfed00000, 0x41), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(msi(0x1fee00000ULL, 0x41), -1);
	CHECK_EQ(msi(0xfee00000, 0x8041), 0);		/* a level that goes away */
	CHECK(!pending(0));
	stop();
}

TEST(interprocessor_interrupts)
{
	start();
	for (int i = 0; i < NCPU; i++)
		enable(i);
	wr(0, 0x310, 2U << 24);
	wr(0, 0x300, 0x4051);
	CHECK(pending(2) && !pending(0) && !pending(1));
	CHECK_EQ(rd(0, 0x300), 0x4051);
	CHECK_EQ(ack(2), 0x51);
	wr(1, 0x300, 0x44052);				/* self */
	CHECK(pending(1) && !pending(0) && !pending(3));
	CHECK_EQ(ack(1), 0x52);
	wr(0, 0x300, 0x84053);				/* all */
	CHECK(pending(0) && pending(3));
	wr(0, 0x300, 0xc4054);				/* all but self */
	CHECK_EQ(ack(0), 0x53);
	CHECK(!pending(0));
	CHECK_EQ(ack(3), 0x54);
	stop();
}

TEST(errors_are_recorded)
{
	start();
	enable(0);
	wr(0, 0x370, 0xfe);
	wr(0, 0x300, 0x44005);				/* vector 5 */
	CHECK_EQ(rd(0, 0x280), 0);
	CHECK_EQ(ack(0), 0xfe);
	wr(0, 0x280, 0);
	CHECK_EQ(rd(0, 0x280), 0x20);
	wr(0, 0x280, 0);
	CHECK_EQ(rd(0, 0x280), 0);
	wr(0, 0x3f0, 1);				/* no such register */
	wr(0, 0x280, 0);
	CHECK_EQ(rd(0, 0x280), 0x80);
	CHECK_EQ(msi(0xfee00000, 0x03), 0);
	wr(0, 0x280, 0);
	CHECK_EQ(rd(0, 0x280), 0x40);
	stop();
}

TEST(init_and_start_up)
{
	uint64_t val;

	start();
	enable(0);
	enable(1);
	CHECK_EQ(vm_get_register(cpu[1], VM_AMD64_REG_RUN_STATE, &val), 0);
	CHECK_EQ(val, VM_AMD64_WAIT_SIPI);
	wr(0, 0x310, 1U << 24);
	wr(0, 0x300, 0xc500);				/* INIT */
	CHECK_EQ(atomic_load(&cpu[1]->md_events), AMD64_EV_INIT);
	CHECK_EQ(rd(1, 0xf0), 0xff);			/* its APIC too */
	wr(0, 0x300, 0x8500);				/* de-assert: nothing */
	wr(0, 0x300, 0x4699);				/* SIPI, twice */
	wr(0, 0x300, 0x469a);
	amd64_event(cpu[1]);
	CHECK_EQ(vm_get_register(cpu[1], VM_AMD64_REG_RUN_STATE, &val), 0);
	CHECK_EQ(val, VM_AMD64_RUNNING);
	CHECK_EQ(vm_get_register(cpu[1], VM_AMD64_REG_CS, &val), 0);
	CHECK_EQ(val, 0x9900);
	CHECK_EQ(vm_get_register(cpu[1], VM_AMD64_REG_RIP, &val), 0);
	CHECK_EQ(val, 0);
	/* A running processor ignores it. */
	CHECK_EQ(vm_set_register(cpu[1], VM_AMD64_REG_RIP, 0x123), 0);
	wr(0, 0x300, 0x4698);
	amd64_event(cpu[1]);
	CHECK_EQ(vm_get_register(cpu[1], VM_AMD64_REG_RIP, &val), 0);
	CHECK_EQ(val, 0x123);
	/* An INIT takes back a start-up message that was not looked at. */
	wr(0, 0x300, 0x4677);
	wr(0, 0x300, 0xc500);
	amd64_event(cpu[1]);
	CHECK_EQ(vm_get_register(cpu[1], VM_AMD64_REG_RUN_STATE, &val), 0);
	CHECK_EQ(val, VM_AMD64_WAIT_SIPI);
	stop();
}

TEST(nmi_by_message)
{
	start();
	CHECK_EQ(msi(0xfee01000, 0x400), 0);
	CHECK_EQ(atomic_load(&cpu[1]->md_events), AMD64_EV_NMI);
	amd64_event(cpu[1]);
	CHECK_EQ(((struct amd64_state *)cpu[1]->state)->nmi_pending, 1);
	CHECK_EQ(vm_amd64_inject_nmi(cpu[0]), 0);
	CHECK_EQ(atomic_load(&cpu[0]->md_events), AMD64_EV_NMI);
	stop();
}

TEST(software_disabling_masks_the_lvt)
{
	start();
	enable(0);
	wr(0, 0x320, 0x20040);
	wr(0, 0x360, 0x400);
	wr(0, 0xf0, 0xff);
	CHECK_EQ(rd(0, 0x320), 0x30040);
	CHECK_EQ(rd(0, 0x360), 0x10400);
	CHECK_EQ(rd(0, 0x350), 0x10700);
	wr(0, 0x320, 0x20040);
	CHECK_EQ(rd(0, 0x320), 0x30040);
	stop();
}

/* SECTION: x2APIC */

static bool
rdmsr(int i, uint32_t msr, uint64_t *val)
{
	return (intc_apic.sysreg(cpu[i], msr, false, val));
}

static bool
wrmsr(int i, uint32_t msr, uint64_t val)
{
	return (intc_apic.sysreg(cpu[i], msr, true, &val));
}

static void
x2apic(int i)
{
	uint64_t val;

	CHECK(rdmsr(i, 0x1b, &val));
	CHECK(wrmsr(i, 0x1b, val | 0x400));
}

TEST(x2apic_mode)
{
	uint64_t val;

	start();
	CHECK(!rdmsr(3, 0x802, &val));			/* not in xAPIC mode */
	for (int i = 0; i < NCPU; i++) {
		x2apic(i);
		CHECK(wrmsr(i, 0x80f, 0x1ff));
	}
	CHECK(rdmsr(3, 0x802, &val));
	CHECK_EQ(val, 3);
	CHECK(rdmsr(3, 0x80d, &val));
	CHECK_EQ(val, 8);
	CHECK(!wrmsr(3, 0x80d, 1));
	CHECK(!rdmsr(3, 0x80e, &val));			/* no DFR */
	CHECK(!rdmsr(3, 0x831, &val));			/* no second half */
	CHECK(!wrmsr(3, 0x80b, 1));
	CHECK(!wrmsr(3, 0x80f, 0x10000));
	CHECK(!rdmsr(3, 0x83f, &val));
	/* physical, logical, self */
	CHECK(wrmsr(0, 0x830, 2ULL << 32 | 0x61));
	CHECK_EQ(ack(2), 0x61);
	CHECK(wrmsr(2, 0x80b, 0));
	CHECK(wrmsr(0, 0x830, 0xaULL << 32 | 0x862));
	CHECK(pending(1) && pending(3) && !pending(0) && !pending(2));
	CHECK(wrmsr(0, 0x83f, 0x63));
	CHECK_EQ(ack(0), 0x63);
	CHECK(wrmsr(0, 0x830, 0xffffffffULL << 32 | 0x94));
	CHECK(pending(0) && pending(2));
	/* Its page is gone. */
	CHECK_EQ(mem_read(LAPIC(0x30)), 0xffffffff);
	/* Back only through off. */
	CHECK(!wrmsr(0, 0x1b, 0xfee00900));
	CHECK(wrmsr(0, 0x1b, 0xfee00100));
	CHECK(!wrmsr(0, 0x1b, 0xfee00d00));
	CHECK(wrmsr(0, 0x1b, 0xfee00900));
	CHECK(!wrmsr(0, 0x1b, 0xfee01900));		/* the page cannot be moved */
	CHECK_EQ(mem_read(LAPIC(0xf0)), 0xff);
	CHECK(!intc_apic.sysreg(cpu[0], 0x10, false, &val));
	stop();
}

/* SECTION: timer, in virtual time */

static void
pass(uint64_t ns)
{
	clock_icount_advance(vm, ns);
}

TEST(one_shot)
{
	start();
	enable(0);
	wr(0, 0x3e0, 0xb);				/* by 1 */
	wr(0, 0x320, 0x40);
	wr(0, 0x380, 1000);
	pass(400);
	CHECK_EQ(rd(0, 0x390), 600);
	pass(599);
	CHECK(!pending(0));
	pass(1);
	CHECK_EQ(ack(0), 0x40);
	CHECK_EQ(rd(0, 0x390), 0);
	wr(0, 0xb0, 0);
	pass(100000);
	CHECK(!pending(0));
	/* A write of 0 stops it. */
	wr(0, 0x380, 1000);
	wr(0, 0x380, 0);
	pass(5000);
	CHECK(!pending(0));
	stop();
}

TEST(divider)
{
	static const struct { uint32_t reg; unsigned by; } div[] = {
		{ 0, 2 }, { 1, 4 }, { 2, 8 }, { 3, 16 }, { 8, 32 }, { 9, 64 }, { 10, 128 }, { 11, 1 },
	};

	start();
	enable(0);
	wr(0, 0x320, 0x40);
	for (size_t i = 0; i < nitems(div); i++) {
		wr(0, 0x3e0, div[i].reg);
		CHECK_EQ(rd(0, 0x3e0), div[i].reg);
		wr(0, 0x380, 100);
		pass(99ULL * div[i].by);
		CHECK_EQ(rd(0, 0x390), 1);
		CHECK(!pending(0));
		pass(div[i].by);
		CHECK_EQ(ack(0), 0x40);
		wr(0, 0xb0, 0);
	}
	stop();
}

TEST(periodic)
{
	start();
	enable(0);
	wr(0, 0x3e0, 0xb);
	wr(0, 0x320, 0x20040);
	wr(0, 0x380, 100000);
	for (int i = 0; i < 10; i++) {
		pass(99999);
		CHECK(!pending(0));
		pass(1);
		CHECK_EQ(ack(0), 0x40);
		wr(0, 0xb0, 0);
	}
	pass(30000);
	CHECK_EQ(rd(0, 0x390), 70000);
	/* Masked, it goes on in silence. */
	wr(0, 0x320, 0x30040);
	pass(100000);
	CHECK(!pending(0));
	CHECK_EQ(rd(0, 0x390), 70000);
	stop();
}

TEST(tsc_deadline)
{
	struct amd64_state *st;
	uint64_t val;

	start();
	enable(0);
	st = cpu[0]->state;
	CHECK(wrmsr(0, 0x6e0, 5000));			/* ignored in the other modes */
	CHECK(rdmsr(0, 0x6e0, &val));
	CHECK_EQ(val, 0);
	wr(0, 0x320, 0x40040);
	st->tsc = 1000000;
	CHECK(wrmsr(0, 0x6e0, 1005000));
	CHECK(rdmsr(0, 0x6e0, &val));
	CHECK_EQ(val, 1005000);
	CHECK_EQ(rd(0, 0x390), 0);
	pass(4999);
	CHECK(!pending(0));
	pass(2);
	CHECK_EQ(ack(0), 0x40);
	CHECK(rdmsr(0, 0x6e0, &val));
	CHECK_EQ(val, 0);
	wr(0, 0xb0, 0);
	/* The past is at once. */
	CHECK(wrmsr(0, 0x6e0, 1));
	pass(1);
	CHECK_EQ(ack(0), 0x40);
	wr(0, 0xb0, 0);
	/* 0 disarms. */
	CHECK(wrmsr(0, 0x6e0, 1005000));
	CHECK(wrmsr(0, 0x6e0, 0));
	pass(100000);
	CHECK(!pending(0));
	/* As far away as can be is not now. */
	CHECK(wrmsr(0, 0x6e0, UINT64_MAX));
	pass(1000000);
	CHECK(!pending(0));
	stop();
}

TEST(a_frantic_timer_is_held_to_a_rate)
{
	int n = 0;

	start();
	enable(0);
	wr(0, 0x3e0, 0xb);
	wr(0, 0x320, 0x20040);
	wr(0, 0x380, 1);
	for (int i = 0; i < 1000; i++) {
		pass(1000);
		if (pending(0)) {
			n++;
			CHECK_EQ(ack(0), 0x40);
			wr(0, 0xb0, 0);
		}
	}
	CHECK(n > 10 && n <= 60);
	stop();
}

/* SECTION: state */

TEST(state_is_carried_over)
{
	struct vm_state_out *out;
	struct vm_state_in *in;
	struct vm_irq *irq;
	const void *buf;
	size_t len;

	start();
	enable(0);
	enable(1);
	irq = vm_irq_open_line(vm, 17);
	rte(17, 0x8071, 1U << 24);
	CHECK_EQ(vm_irq_assert(irq), 0);
	CHECK_EQ(ack(1), 0x71);
	CHECK_EQ(msi(0xfee01000, 0x55), 0);
	wr(0, 0x3e0, 0xb);
	wr(0, 0x320, 0x40);
	wr(0, 0x380, 1000);
	wr(0, 0x80, 0x20);
	pass(400);
	out = vm_state_out_open();
	CHECK(out != NULL);
	if (vm_state_save(vm, out) != 0)
		FAIL("vm_state_save: %s", vm_errmsg());
	buf = vm_state_out_data(out, &len);
	CHECK(buf != NULL);
	vm_irq_close(irq);
	stop();

	start();
	in = vm_state_in_open(buf, len);
	CHECK(in != NULL);
	if (vm_state_load(vm, in) != 0)
		FAIL("vm_state_load: %s", vm_errmsg());
	vm_state_in_close(in);
	vm_state_out_close(out);
	irq = vm_irq_open_line(vm, 17);
	CHECK_EQ(vm_irq_assert(irq), 0);
	CHECK_EQ(ioapic_rd(0x10 + 34), 0xc071);
	CHECK_EQ(rd(1, 0x100 + 0x30), 1U << (0x71 & 31));
	CHECK(!pending(1));				/* 0x55 below 0x71, which is in service */
	CHECK_EQ(vm_irq_deassert(irq), 0);
	wr(1, 0xb0, 0);
	CHECK_EQ(ioapic_rd(0x10 + 34), 0x8071);
	CHECK_EQ(ack(1), 0x55);
	CHECK_EQ(rd(0, 0x80), 0x20);
	CHECK_EQ(rd(0, 0x390), 600);
	pass(600);
	CHECK_EQ(ack(0), 0x40);
	vm_irq_close(irq);
	stop();
}

TEST(impossible_state_is_refused)
{
	static const struct lapic bad[] = {
		{ .dfr = 0xffffffff, .irr = { 1 } },
		{ .dfr = 0xffffffff, .tpr = 0x100 },
		{ .dfr = 0xffffffff, .lvt = { 0x1000000 } },
		{ .dfr = 0 },
		{ .dfr = 0xffffffff, .divide = 4 },
		{ .dfr = 0xffffffff, .svr = 0x80000000 },
	};
	struct ioapic io = { .line = 0 };
	struct lapic got;

	for (size_t i = 0; i < nitems(bad); i++) {
		struct vm_state_out *out = vm_state_out_open();
		struct vm_state_in *in;
		const void *buf;
		size_t len;

		CHECK_EQ(vm_state_put(out, &lapic_table, "0", &bad[i]), 0);
		io.rte[0] = i == 0 ? 0x4000 : 0x20000;
		CHECK_EQ(vm_state_put(out, &ioapic_table, "0", &io), 0);
		buf = vm_state_out_data(out, &len);
		in = vm_state_in_open(buf, len);
		CHECK(in != NULL);
		memset(&got, 0, sizeof(got));
		CHECK_EQ(vm_state_get(in, &lapic_table, "0", &got), -1);
		CHECK_EQ(errno, EILSEQ);
		memset(&io, 0, sizeof(io));
		CHECK_EQ(vm_state_get(in, &ioapic_table, "0", &io), -1);
		CHECK_EQ(errno, EILSEQ);
		vm_state_in_close(in);
		vm_state_out_close(out);
	}
}

TEST(reset)
{
	struct vm_irq *irq;

	start();
	enable(0);
	irq = vm_irq_open_line(vm, 17);
	rte(17, 0x8071, 0);
	CHECK_EQ(vm_irq_assert(irq), 0);
	CHECK(pending(0));
	intc_apic.reset(vm);
	CHECK(!pending(0));
	CHECK_EQ(ioapic_rd(0x10 + 34), 0x10000);
	CHECK_EQ(rd(0, 0xf0), 0xff);
	/* A processor's reset is its APIC's too. */
	enable(1);
	CHECK_EQ(vm_vcpu_reset(cpu[1]), 0);
	CHECK_EQ(rd(1, 0xf0), 0xff);
	vm_irq_close(irq);
	stop();
}

/* SECTION: several threads */

static void *
storm(void *arg)
{
	uintptr_t seed = (uintptr_t)arg;
	struct vm_irq *irq = vm_irq_open_line(vm, 16 + (unsigned)(seed % 4));
	uint64_t x = seed * 2654435761u + 1;

	for (int i = 0; i < 20000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		switch (x >> 8 & 3) {
		case 0:
			(void)vm_irq_assert(irq);
			break;
		case 1:
			(void)vm_irq_deassert(irq);
			break;
		case 2:
			(void)msi(0xfee00000 | (x >> 16 & 3) << 12, 0x90 + (x >> 20 & 0x3f));
			break;
		default:
			(void)vm_irq_pulse(irq);
			break;
		}
	}
	vm_irq_close(irq);
	return (NULL);
}

static _Atomic bool done;

static void *
processor(void *arg)
{
	int i = (int)(uintptr_t)arg;

	while (!atomic_load(&done)) {
		while (pending(i)) {
			int v = ack(i);

			if (v >= 0)
				wr(i, 0xb0, 0);
		}
		wr(i, 0x300, 0x84000 | (unsigned)(0x50 + i));
		usleep(50);
	}
	while (pending(i)) {
		if (ack(i) >= 0)
			wr(i, 0xb0, 0);
	}
	return (NULL);
}

TEST(storms_from_several_threads)
{
	pthread_t src[4], dst[NCPU];

	start_vm(VM_CLOCK_HOST);
	for (int i = 0; i < NCPU; i++) {
		enable(i);
		wr(i, 0x3e0, 0xb);
		wr(i, 0x320, 0x200e0);
		wr(i, 0x380, 50000);
	}
	for (unsigned i = 16; i < 20; i++)
		rte(i, (i % 2 != 0 ? 0x8000 : 0) | (0x60 + i), (i % NCPU) << 24);
	atomic_store(&done, false);
	for (uintptr_t i = 0; i < NCPU; i++)
		CHECK_EQ(pthread_create(&dst[i], NULL, processor, (void *)i), 0);
	for (uintptr_t i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&src[i], NULL, storm, (void *)i), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(src[i], NULL);
	for (int i = 0; i < NCPU; i++)
		wr(i, 0x380, 0);
	atomic_store(&done, true);
	for (int i = 0; i < NCPU; i++)
		pthread_join(dst[i], NULL);
	/* When all is quiet and all that was left is taken, no input waits for an end. */
	for (int k = 0; k < 2; k++) {
		for (int i = 0; i < NCPU; i++) {
			while (pending(i)) {
				if (ack(i) >= 0)
					wr(i, 0xb0, 0);
			}
		}
	}
	for (unsigned i = 16; i < 20; i++)
		CHECK_EQ(ioapic_rd(0x10 + 2 * i) & 0x4000, 0);
	stop();
}

/* SECTION: bhyve's calls by chip */

TEST(shims)
{
	int n;

	start();
	enable(0);
	enable(1);
	init_pics();
	CHECK_EQ(vm_ioapic_pincount(vm, &n), 0);
	CHECK_EQ(n, 24);
	CHECK_EQ(vm_apicid2vcpu(vm, 3), 3);
	rte(17, 0x8071, 0);
	CHECK_EQ(vm_ioapic_assert_irq(vm, 17), 0);
	CHECK_EQ(ack(0), 0x71);
	CHECK_EQ(vm_ioapic_deassert_irq(vm, 17), 0);
	wr(0, 0xb0, 0);
	CHECK(!pending(0));
	rte(18, 0x72, 1U << 24);
	CHECK_EQ(vm_ioapic_pulse_irq(vm, 18), 0);
	CHECK_EQ(ack(1), 0x72);
	CHECK_EQ(vm_lapic_irq(cpu[1], 0x91), 0);
	CHECK_EQ(ack(1), 0x91);
	CHECK_EQ(vm_lapic_msi(vm, 0xfee01000, 0xa1), 0);
	CHECK_EQ(ack(1), 0xa1);
	/* The 8259's INTR comes through LINT0. */
	wr(0, 0x350, 0x700);
	CHECK_EQ(vm_isa_pulse_irq(vm, 4, 4), 0);
	CHECK_EQ(ack(0), 0x24);
	outb(0x20, 0x20);
	CHECK_EQ(vm_isa_assert_irq(vm, 3, -1), 0);
	CHECK_EQ(ack(0), 0x23);
	CHECK_EQ(vm_isa_deassert_irq(vm, 3, -1), 0);
	CHECK_EQ(vm_isa_assert_irq(vm, 2, -1), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_isa_assert_irq(vm, 16, -1), -1);
	CHECK_EQ(vm_ioapic_assert_irq(vm, 0), -1);
	CHECK_EQ(vm_ioapic_assert_irq(vm, 24), -1);
	CHECK_EQ(vm_ioapic_assert_irq(NULL, 5), -1);
	CHECK_EQ(vm_lapic_irq(cpu[0], 15), -1);
	CHECK_EQ(vm_lapic_irq(cpu[0], 256), -1);
	CHECK_EQ(vm_lapic_irq(NULL, 32), -1);
	stop();
}

/* Whatever a guest writes where, the controller stays whole. */
TEST(random_programming)
{
	static const uint16_t port[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
	struct vm_irq *irq[24];
	uint64_t x = 88172645463325252ULL, v;

	start();
	for (unsigned i = 0; i < 24; i++)
		irq[i] = vm_irq_open_line(vm, i);
	for (int i = 0; i < 300000; i++) {
		int c;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		c = (int)(x >> 60) % NCPU;
		v = x >> 20 & 0xffffffff;
		switch (x & 15) {
		case 0: case 1:
			(void)vm_access(vm, VM_SPACE_IO, port[x >> 8 & 3], 1, true, &v);
			break;
		case 2:
			(void)vm_access(vm, VM_SPACE_IO, port[(x >> 8) % 6], 1 + (x >> 16 & 1), x >> 17 & 1, &v);
			break;
		case 3: case 4: case 5:
			wr(c, (x >> 8 & 0x3f) << 4, (uint32_t)v);
			break;
		case 6:
			(void)vm_access(vm, VM_SPACE_MEM, LAPIC(x >> 8 & 0xff8), 8, x & 0x10, &v);
			break;
		case 7:
			ioapic_wr(x >> 8 & 0x3f, (uint32_t)v);
			break;
		case 8:
			(void)msi(0xfee00000 | (v & 0xffffc), (uint32_t)v);
			break;
		case 9:
			(void)wrmsr(c, x >> 8 & 1 ? 0x1b : 0x800 + (x >> 9 & 0x3f), x >> 30 & 1 ? v : 0xfee00800 | (v & 0x500));
			break;
		case 10:
			(void)ack(c);
			break;
		case 11:
			(void)wrmsr(c, 0x6e0, v);
			pass(v & 0xffff);
			break;
		case 12:
			amd64_event(cpu[c]);
			break;
		default:
			(void)(v & 1 ? vm_irq_assert(irq[x >> 8 & 15]) : vm_irq_deassert(irq[x >> 8 & 15]));
			break;
		}
		if (i % 50000 == 0) {
			struct vm_state_out *out = vm_state_out_open();
			struct vm_state_in *in;
			const void *buf;
			size_t len;

			/* What it has become is a state that it takes. */
			if (vm_state_save(vm, out) != 0)
				FAIL("vm_state_save: %s", vm_errmsg());
			buf = vm_state_out_data(out, &len);
			in = vm_state_in_open(buf, len);
			if (in == NULL || vm_state_load(vm, in) != 0)
				FAIL("vm_state_load: %s", vm_errmsg());
			vm_state_in_close(in);
			vm_state_out_close(out);
		}
	}
	for (unsigned i = 0; i < 24; i++)
		vm_irq_close(irq[i]);
	stop();
}

TEST_MAIN()
