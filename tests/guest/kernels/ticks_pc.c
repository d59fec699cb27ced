/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ticks_pc.c - a PC's timers, for ticks.c, which starts by multiboot: 8254 by the 8259, RTC by the 8259, HPET by messages, local APIC, all
 * at once, with the HPET's counter as clock.  The console is COM1; it ends by the debug exit port.
 *
 * Specifications: 8254 and 8259A data sheets, MC146818A data sheet, IA-PC HPET 1.0a, Intel SDM vol. 3 chapter 10.
 */
#include "pc.h"
#include "ticks.h"

#define	HPET		0xfed00000U
#define	LAPIC		0xfee00000U
#define	PM1_STS		0x600
#define	PWRBTN_STS	0x100

#define	CODE		8
#define	VEC_PIC		0x20
#define	VEC_RTC		0x28
#define	VEC_HPET	0x40
#define	VEC_LAPIC	0x50

enum { PIT, RTC, HPET0, LAPICT, NTIMERS };

/* 8254 20 Hz, RTC 16 Hz, HPET and local APIC 10 Hz; or 1 kHz.  The HPET's periods come from its rate. */
struct timer timers[NTIMERS] = {
	{ .name = "i8254", .period = { 59659, 1193 }, .down = true },
	{ .name = "rtc", .period = { 2048, 32 } },
	{ .name = "hpet", .clocked = true },
	{ .name = "lapic", .period = { 100000000, 1000000 }, .down = true },
};
unsigned ntimers = NTIMERS, nrounds = 1;
uint64_t clock_counts = 1, clock_femto;
uint32_t clock_tenth;
uint32_t nmis;			/* since machine_events() looked; its handler counts */

void
machine_put(char c)
{
	com1_put(c);
}

/* 2.4.1: 64 bits by halves. */
uint64_t
clock_now(void)
{
	uint32_t high, low;

	do {
		high = rd(HPET + 0xf4);
		low = rd(HPET + 0xf0);
	} while (high != rd(HPET + 0xf4));
	return ((uint64_t)high << 32 | low);
}

static uint8_t
rtc_read(uint8_t reg)
{
	outb(0x70, reg);
	return (inb(0x71));
}

static void
rtc_write(uint8_t reg, uint8_t v)
{
	outb(0x70, reg);
	outb(0x71, v);
}

__attribute__((used)) static void
tick(uint32_t vector)
{
	switch (vector) {
	case VEC_PIC:
		ticked(&timers[PIT]);
		outb(0x20, 0x20);
		break;
	case VEC_RTC:
		if ((rtc_read(0x0c) & 0x40) != 0)
			ticked(&timers[RTC]);
		outb(0xa0, 0x20);
		outb(0x20, 0x20);
		break;
	case VEC_HPET:
		ticked(&timers[HPET0]);
		wr(LAPIC + 0xb0, 0);
		break;
	case VEC_LAPIC:
		ticked(&timers[LAPICT]);
		wr(LAPIC + 0xb0, 0);
		break;
	}
}

#define	ENTRY(name, vector)	\
	__asm__(".globl " name "\n" name ": pushal\n pushl $" #vector "\n call tick\n addl $4, %esp\n popal\n iretl\n")

ENTRY("entry_pic", 0x20);
ENTRY("entry_rtc", 0x28);
ENTRY("entry_hpet", 0x40);
ENTRY("entry_lapic", 0x50);
__asm__(".globl entry_nmi\nentry_nmi: lock incl nmis\n iretl\n");
extern char entry_nmi[], entry_pic[], entry_rtc[], entry_hpet[], entry_lapic[];

static uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
static uint64_t idt[256];

static void
gate(unsigned vector, const char *entry)
{
	uint32_t at = (uint32_t)entry;

	idt[vector] = (uint64_t)(at & 0xffff0000U) << 32 | 0x8e0000000000ULL | CODE << 16 | (at & 0xffff);
}

struct __attribute__((packed)) table {
	uint16_t limit;
	uint32_t base;
};

static void
set_tables(void)
{
	struct table g = { sizeof(gdt) - 1, (uint32_t)gdt }, i = { sizeof(idt) - 1, (uint32_t)idt };

	gate(2, entry_nmi);
	gate(VEC_PIC, entry_pic);
	gate(VEC_RTC, entry_rtc);
	gate(VEC_HPET, entry_hpet);
	gate(VEC_LAPIC, entry_lapic);
	__asm__ volatile("lgdt %0\n lidt %1\n ljmp $8, $1f\n1: mov $16, %%eax\n mov %%eax, %%ds\n mov %%eax, %%es\n mov %%eax, %%ss"
	    : : "m"(g), "m"(i) : "eax", "memory");
}

static void
set_controllers(void)
{
	static const struct { uint16_t port; uint8_t v; } icw[] = {
		{ 0x20, 0x11 }, { 0xa0, 0x11 }, { 0x21, VEC_PIC }, { 0xa1, VEC_RTC }, { 0x21, 4 }, { 0xa1, 2 }, { 0x21, 1 }, { 0xa1, 1 },
		{ 0x21, 0xfa }, { 0xa1, 0xfe },		/* OCW1: lines 0, 2 and 8 */
	};

	for (unsigned i = 0; i < sizeof(icw) / sizeof(icw[0]); i++)
		outb(icw[i].port, icw[i].v);
	wr(LAPIC + 0xf0, 0x1ff);	/* on */
	wr(LAPIC + 0x350, 0x700);	/* LINT0 is ExtINT */
}

void
timer_start(struct timer *t, uint32_t period)
{
	switch (t - timers) {
	case PIT:
		outb(0x43, 0x34);
		outb(0x40, (uint8_t)period);
		outb(0x40, (uint8_t)(period >> 8));
		break;
	case RTC:
		/* period in 1 / 32768 s is 2^(rate - 1) */
		rtc_write(0x0a, (uint8_t)(0x20 | (32 - __builtin_clz(period))));
		rtc_write(0x0b, (rtc_read(0x0b) & 0x0f) | 0x40);
		(void)rtc_read(0x0c);
		break;
	case HPET0:
		/* 2.3.9.2: periodic, by the comparator with VAL_SET and then the period */
		wr(HPET + 0x110, VEC_HPET);
		wr(HPET + 0x114, LAPIC);
		wr(HPET + 0x100, 1 << 14 | 1 << 8 | 1 << 6 | 1 << 3 | 1 << 2);
		wr(HPET + 0x108, (uint32_t)t->before + period);
		wr(HPET + 0x108, period);
		break;
	case LAPICT:
		wr(LAPIC + 0x3e0, 0xb);		/* by 1 */
		wr(LAPIC + 0x320, 1 << 17 | VEC_LAPIC);
		wr(LAPIC + 0x380, period);
		break;
	}
}

/* The channel's count, latched. */
static uint32_t
pit_count(void)
{
	uint32_t low;

	outb(0x43, 0);
	low = inb(0x40);
	return (low | (uint32_t)inb(0x40) << 8);
}

/* All of them may lose some. */
bool
timer_due(const struct timer *t, uint64_t then)
{
	return (false);
}

uint32_t
timer_left(struct timer *t, uint32_t period, uint64_t now)
{
	return (t == &timers[PIT] ? pit_count() : rd(LAPIC + 0x390));
}

void
interrupts_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* A tick takes no part in the count that came while nobody could have taken it. */
void
interrupts_off(void)
{
	__asm__ volatile("nop\n nop\n cli" : : : "memory");
}

struct multiboot {
	uint32_t flags, mem[2], boot, cmdline;
};

const char *
machine_init(const void *boot)
{
	const struct multiboot *mb = boot;

	set_tables();
	set_controllers();
	wr(HPET + 0x10, rd(HPET + 0x10) | 1);
	clock_femto = rd(HPET + 4);
	/* 10^14 fs are a tenth of a second; there is no 64-bit division here. */
	for (int i = 26; i >= 0; i--) {
		if (clock_femto * (clock_tenth | 1U << i) <= 100000000000000ULL)
			clock_tenth |= 1U << i;
	}
	timers[HPET0].period[0] = clock_tenth;
	timers[HPET0].period[1] = clock_tenth / 100;
	return ((const char *)mb->cmdline);
}

unsigned
machine_events(void)
{
	unsigned events = __atomic_exchange_n(&nmis, 0, __ATOMIC_SEQ_CST) != 0 ? EVENT_NMI : 0;

	if ((inw(PM1_STS) & PWRBTN_STS) == 0)
		return (events);
	outw(PM1_STS, PWRBTN_STS);
	return (events | EVENT_BUTTON);
}

void
machine_end(void)
{
	outb(0x501, 0);
	for (;;)
		__asm__ volatile("hlt");
}
