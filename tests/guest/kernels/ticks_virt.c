/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ticks_virt.c - the generic timers of an arm64 processor on the virt machine, for ticks.c, which starts as Linux' Image does: the virtual
 * and the physical timer by GICv3's private interrupts, with their counter as clock.  Each is used in both of the ways that drivers
 * use one: its compare value moves on by a fixed step per tick (CVAL), or it is armed anew for a period from now on (TVAL), which does
 * not count the time from a tick to the write.  The console is the PL011; it ends by PSCI.
 *
 * Specifications: Arm ARM D11 (timers) and D1.3.1 (vectors), GICv3 chapter 12, PL011 TRM (DDI 0183G) 3.3, PSCI 1.1 5.10,
 * Linux' Documentation/arch/arm64/booting.rst, Devicetree specification 0.4 chapter 5.
 */
#include "ticks.h"
#include "virt.h"

#define	GICD		0x08000000UL
#define	GICR		0x080a0000UL
#define	GICR_SGI	(GICR + 0x10000)
#define	BUTTON		3
#define	GPIO_BUTTON	(0x09030000UL + (4UL << BUTTON))	/* data of that line */

#define	PPI_VIRTUAL	27U
#define	PPI_PHYSICAL	30U

#define	SYSTEM_OFF	0x84000008UL

#define	RD(reg)		({ uint64_t v_; __asm__ volatile("isb\n mrs %0, " reg : "=r"(v_) : : "memory"); v_; })
#define	WR(reg, v)	__asm__ volatile("msr " reg ", %0\n isb" : : "r"((uint64_t)(v)) : "memory")

/* A timer of the processor. */
struct unit {
	uint32_t	 ppi;
	uint64_t	(*cval)(void);
	uint64_t	(*tval)(void);
	void		(*set_cval)(uint64_t v);
	void		(*set_tval)(uint64_t v);
	void		(*enable)(void);
};

#define	UNIT(x, irq)									\
	static uint64_t x##_cval(void) { return (RD("cnt" #x "_cval_el0")); }		\
	static uint64_t x##_tval(void) { return (RD("cnt" #x "_tval_el0")); }		\
	static void x##_set_cval(uint64_t v) { WR("cnt" #x "_cval_el0", v); }		\
	static void x##_set_tval(uint64_t v) { WR("cnt" #x "_tval_el0", v); }		\
	static void x##_enable(void) { WR("cnt" #x "_ctl_el0", 1); }			\
	static const struct unit unit_##x = { irq, x##_cval, x##_tval, x##_set_cval, x##_set_tval, x##_enable }

UNIT(v, PPI_VIRTUAL);
UNIT(p, PPI_PHYSICAL);

#define	NTIMERS		4
static const struct {
	const struct unit *unit;
	bool rearm;
} uses[NTIMERS] = { { &unit_v, false }, { &unit_p, true }, { &unit_v, true }, { &unit_p, false } };

struct timer timers[NTIMERS] = {
	{ .name = "virtual-step", .round = 0, .clocked = true, .down = true },
	{ .name = "physical-rearm", .round = 0, .clocked = true, .down = true },
	{ .name = "virtual-rearm", .round = 1, .clocked = true, .down = true },
	{ .name = "physical-step", .round = 1, .clocked = true, .down = true },
};
unsigned ntimers = NTIMERS, nrounds = 2;
uint64_t clock_counts, clock_femto = 1000000000000000ULL;
uint32_t clock_tenth;

void
machine_put(char c)
{
	uart_put(c);
}

uint64_t
clock_now(void)
{
	return (RD("cntvct_el0"));
}

/* Writing TVAL sets CVAL to the count then plus it (D11.2.4): that tells when the timer was armed. */
void
timer_start(struct timer *t, uint32_t period)
{
	const struct unit *u = uses[t - timers].unit;

	if (uses[t - timers].rearm)
		u->set_tval(period);
	else
		u->set_cval(t->before + period);
	/* The time from the first reading to here is none of the timer's. */
	t->before = u->cval() - period;
	u->enable();
}

bool
timer_due(const struct timer *t, uint64_t then)
{
	return ((int64_t)(uses[t - timers].unit->cval() - then) <= 0);
}

uint32_t
timer_left(struct timer *t, uint32_t period, uint64_t now)
{
	const struct unit *u = uses[t - timers].unit;
	int32_t left;

	if (uses[t - timers].rearm && u->cval() < now)
		t->stopped += now - u->cval();
	left = (int32_t)u->tval();
	if (left > 0)
		return ((uint32_t)left);
	/* The compare value has passed: one that steps will have made as many steps. */
	return (uses[t - timers].rearm ? 0 : period - (uint32_t)-left % period);
}

__attribute__((used)) void
tick(void)
{
	uint32_t id = (uint32_t)RD("S3_0_C12_C12_0");		/* ICC_IAR1_EL1 */

	for (unsigned i = 0; i < NTIMERS; i++) {
		struct timer *t = &timers[i];
		const struct unit *u = uses[i].unit;
		uint64_t due;

		if (u->ppi != id || t->round != current_round)
			continue;
		due = u->cval();
		ticked(t);
		if (uses[i].rearm) {
			u->set_tval(t->period[fast]);
			t->stopped += u->cval() - t->period[fast] - due;
		} else {
			u->set_cval(due + t->period[fast]);
		}
	}
	WR("S3_0_C12_C12_1", id);				/* ICC_EOIR1_EL1 */
}

static void
set_controllers(void)
{
	wr(GICD, 0x12);						/* affinity routing, group 1 */
	wr(GICR + 0x14, 0);					/* GICR_WAKER */
	while ((rd(GICR + 0x14) & 4) != 0)
		;
	wr(GICR_SGI + 0x80, UINT32_MAX);			/* all in group 1 */
	wr(GICR_SGI + 0x100, 1U << PPI_VIRTUAL | 1U << PPI_PHYSICAL);
	WR("S3_0_C12_C12_5", 1);				/* ICC_SRE_EL1 */
	WR("S3_0_C4_C6_0", 0xff);				/* ICC_PMR_EL1 */
	WR("S3_0_C12_C12_7", 1);				/* ICC_IGRPEN1_EL1 */
}

void
interrupts_on(void)
{
	__asm__ volatile("msr daifclr, #2\n isb" : : : "memory");
}

void
interrupts_off(void)
{
	__asm__ volatile("isb\n nop\n msr daifset, #2" : : : "memory");
}

static uint32_t
be32(const uint8_t *p)
{
	return ((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

static bool
same(const char *a, const char *b)
{
	while (*a == *b && *a != '\0') {
		a++;
		b++;
	}
	return (*a == *b);
}

/* The value of the first property of that name in a devicetree, or nothing. */
static const char *
find_property(const uint8_t *fdt, const char *name)
{
	const uint8_t *p = fdt + be32(fdt + 8), *strings = fdt + be32(fdt + 12);

	for (;;) {
		uint32_t token = be32(p), len;

		p += 4;
		switch (token) {
		case 1:			/* FDT_BEGIN_NODE: its name, padded */
			for (len = 0; p[len] != '\0'; len++)
				;
			p += (len + 4) & ~3U;
			break;
		case 3:			/* FDT_PROP */
			len = be32(p);
			if (same((const char *)strings + be32(p + 4), name))
				return ((const char *)p + 8);
			p += 8 + ((len + 3) & ~3U);
			break;
		case 9:			/* FDT_END */
			return ("");
		}
	}
}

extern char vectors[];

const char *
machine_init(const void *boot)
{
	WR("vbar_el1", vectors);
	set_controllers();
	clock_counts = RD("cntfrq_el0");
	clock_tenth = (uint32_t)(clock_counts / 10);
	for (unsigned i = 0; i < NTIMERS; i++) {
		timers[i].period[0] = clock_tenth;
		timers[i].period[1] = clock_tenth / 100;
	}
	return (find_property(boot, "bootargs"));
}

unsigned
machine_events(void)
{
	return ((rd(GPIO_BUTTON) & 1U << BUTTON) != 0 ? EVENT_BUTTON : 0);
}

void
machine_end(void)
{
	register uint64_t x0 __asm__("x0") = SYSTEM_OFF;

	__asm__ volatile("hvc #0" : : "r"(x0) : "memory");
	for (;;)
		__asm__ volatile("wfi");
}

__asm__(
    ".text\n"
    ".balign 2048\n"
    "vectors:\n"
    "	.rept	5\n"
    "	b	.\n"
    "	.balign	128\n"
    "	.endr\n"
    /* IRQ from EL1 with SP_EL1: what a function may change */
    "	stp	x0, x1, [sp, #-160]!\n"
    "	stp	x2, x3, [sp, #16]\n"
    "	stp	x4, x5, [sp, #32]\n"
    "	stp	x6, x7, [sp, #48]\n"
    "	stp	x8, x9, [sp, #64]\n"
    "	stp	x10, x11, [sp, #80]\n"
    "	stp	x12, x13, [sp, #96]\n"
    "	stp	x14, x15, [sp, #112]\n"
    "	stp	x16, x17, [sp, #128]\n"
    "	stp	x18, x30, [sp, #144]\n"
    "	b	2f\n"
    "	.balign	128\n"
    "	.rept	10\n"
    "	b	.\n"
    "	.balign	128\n"
    "	.endr\n"
    "2:	bl	tick\n"
    "	ldp	x2, x3, [sp, #16]\n"
    "	ldp	x4, x5, [sp, #32]\n"
    "	ldp	x6, x7, [sp, #48]\n"
    "	ldp	x8, x9, [sp, #64]\n"
    "	ldp	x10, x11, [sp, #80]\n"
    "	ldp	x12, x13, [sp, #96]\n"
    "	ldp	x14, x15, [sp, #112]\n"
    "	ldp	x16, x17, [sp, #128]\n"
    "	ldp	x18, x30, [sp, #144]\n"
    "	ldp	x0, x1, [sp], #160\n"
    "	eret\n");
