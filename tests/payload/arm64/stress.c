/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.c - arm64's part of ../stress.c (Arm ARM: D5.3 for descriptors, D5.10 for TLB maintenance, B2.4.4 for code; GICv3 12).
 */
#include "../stress.h"

#define	PARAMS		0x40006000UL
#define	RESULTS		0x40006800UL
#define	EXIT		0x09ff0000UL
#define	CTL_STOP	0x09ff1008UL
#define	GICD_CTLR	0x08000000UL
#define	GICR		0x080a0000UL
#define	GICR_STRIDE	0x20000UL
#define	TIMER_INTID	27U

#define	R32(addr)	(*(volatile uint32_t *)(addr))

#define	DESC_VALID	1UL
#define	DESC_TABLE	3UL			/* or a page in the last level */
#define	DESC_NORMAL	(1UL << 2)
#define	DESC_RO		(1UL << 7)
#define	DESC_INNER	(3UL << 8)
#define	DESC_AF		(1UL << 10)
#define	DESC_NG		(1UL << 11)
#define	DESC_PXN	(1UL << 53)

/* Break before make (Arm ARM D5.10.1). */
const bool md_replaces = false;

static uint64_t hz;
static _Atomic uint32_t turn;			/* ways to do the same thing take turns */

#define	SYSREG_READ(name) ({							\
	uint64_t val_;								\
	__asm__ volatile("mrs %0, " name : "=r" (val_) : : "memory");		\
	val_;									\
})
#define	SYSREG_WRITE(name, val)	__asm__ volatile("msr " name ", %0" : : "r" ((uint64_t)(val)) : "memory")
#define	TLBI(op, arg)		__asm__ volatile("tlbi " op ", %0" : : "r" ((uint64_t)(arg)) : "memory")
#define	DSB(what)		__asm__ volatile("dsb " what : : : "memory")
#define	ISB()			__asm__ volatile("isb" : : : "memory")

void	arm64_interrupt(void);
void	arm64_unexpected(uint64_t esr, uint64_t elr, uint64_t far);

uint64_t
md_param(unsigned n)
{
	return (*(volatile uint64_t *)(PARAMS + 8 * n));
}

void
md_result(unsigned n, uint64_t val)
{
	*(volatile uint64_t *)(RESULTS + 8 * n) = val;
}

bool
md_told_to_stop(void)
{
	return (R32(CTL_STOP) != 0);
}

void
md_finish(void)
{
	__asm__ volatile("msr daifset, #2");
	*(volatile uint8_t *)EXIT = 0;
	for (;;)
		__asm__ volatile("wfi");
}

void
md_start(unsigned cpu)
{
	uint64_t frame = GICR + GICR_STRIDE * cpu, sgis = frame + 0x10000;

	hz = SYSREG_READ("cntfrq_el0");
	R32(frame + 0x14) = 0;			/* GICR_WAKER */
	while ((R32(frame + 0x14) & 4) != 0)
		;
	R32(GICD_CTLR) = 0x13;			/* affinity routing, both groups */
	R32(sgis + 0x80) = UINT32_MAX;		/* GICR_IGROUPR0 */
	R32(sgis + 0x400) = 0xa0a0a0a0;		/* GICR_IPRIORITYR */
	R32(sgis + 0x400 + (TIMER_INTID & ~3U)) = 0xa0a0a0a0;
	R32(sgis + 0x100) = 1U << TIMER_INTID | 1U << IPI_COUNT | 1U << IPI_SYNC;
	SYSREG_WRITE("S3_0_C12_C12_5", 1);	/* ICC_SRE_EL1 */
	ISB();
	SYSREG_WRITE("S3_0_C4_C6_0", 0xff);	/* ICC_PMR_EL1 */
	SYSREG_WRITE("S3_0_C12_C12_4", 0);	/* ICC_CTLR_EL1 */
	SYSREG_WRITE("S3_0_C12_C12_7", 1);	/* ICC_IGRPEN1_EL1 */
	ISB();
	md_interrupts(true);
}

void
md_timer(uint64_t count)
{
	SYSREG_WRITE("cntv_tval_el0", count * hz / 1000000000 + 1);
	SYSREG_WRITE("cntv_ctl_el0", 1);
	ISB();
}

void
md_interrupts(bool on)
{
	if (on)
		__asm__ volatile("msr daifclr, #2" : : : "memory");
	else
		__asm__ volatile("msr daifset, #2" : : : "memory");
}

void
md_wait(void)
{
	__asm__ volatile("wfi" : : : "memory");
}

void
md_pause(void)
{
	__asm__ volatile("yield" : : : "memory");
}

void
md_ipi(unsigned cpu, unsigned which)
{
	DSB("ish");
	SYSREG_WRITE("S3_0_C12_C11_5", (uint64_t)which << 24 | 1UL << cpu);	/* ICC_SGI1R_EL1 */
	ISB();
}

void
arm64_interrupt(void)
{
	uint64_t intid = SYSREG_READ("S3_0_C12_C12_0");				/* ICC_IAR1_EL1 */
	unsigned cpu = (unsigned)SYSREG_READ("tpidr_el1");

	if (intid == TIMER_INTID)
		on_timer(cpu);
	else if (intid == IPI_COUNT || intid == IPI_SYNC)
		on_ipi(cpu, (unsigned)intid);
	if (intid < 1020)
		SYSREG_WRITE("S3_0_C12_C12_1", intid);				/* ICC_EOIR1_EL1 */
}

void
arm64_unexpected(uint64_t esr, uint64_t elr, uint64_t far)
{
	fail(F_FAULT, esr, elr, far);
	md_finish();
}

/* Entries */

uint64_t
md_leaf(uint64_t pa, unsigned prot, bool global)
{
	return (pa | DESC_TABLE | DESC_NORMAL | DESC_INNER | DESC_AF | (prot == P_WRITE ? 0 : DESC_RO) |
	    (global ? 0 : DESC_NG) | (prot == P_CODE ? 0 : DESC_PXN));
}

uint64_t
md_table(uint64_t pa)
{
	return (pa | DESC_TABLE);
}

/* Nothing keeps account of it. */
bool
md_is_dirty(uint64_t entry)
{
	(void)entry;
	return (true);
}

void
md_space(uint64_t *pages, uint64_t *shared, uint64_t *own)
{
	pages[0] = DESC_VALID | DESC_AF;					/* blocks of 1 GiB: devices, */
	pages[1] = 0x40000000UL | DESC_VALID | DESC_NORMAL | DESC_INNER | DESC_AF;	/* RAM */
	pages[4] = md_table((uint64_t)(pages + LEAVES));
	pages[LEAVES] = md_table((uint64_t)shared);
	pages[LEAVES + 1] = md_table((uint64_t)own);
}

uint64_t *
md_own_entry(uint64_t *pages)
{
	return (&pages[LEAVES + 1]);
}

void
md_switch(const uint64_t *pages, unsigned tag, bool keep)
{
	DSB("ishst");
	SYSREG_WRITE("ttbr0_el1", (uint64_t)pages | (uint64_t)tag << 48);
	ISB();
	if (!keep)
		(void)md_forget_tag(tag, true);
}

void
md_changed(void)
{
	DSB("ishst");
	ISB();
}

void
md_forget(uint64_t va)
{
	(void)va;
}

bool
md_forget_everywhere(uint64_t va)
{
	va = va / PAGE & 0xfffffffffff;
	if (atomic_fetch_add(&turn, 1) % 2 == 0)
		TLBI("vaae1is", va);
	else
		TLBI("vaale1is", va);
	DSB("ish");
	ISB();
	return (true);
}

bool
md_forget_own(unsigned tag, uint64_t va, bool current)
{
	uint64_t arg = (va / PAGE & 0xfffffffffff) | (uint64_t)tag << 48;

	(void)current;
	switch (atomic_fetch_add(&turn, 1) % 4) {
	case 0:
		TLBI("vae1", arg);
		break;
	case 1:
		TLBI("vale1", arg);
		break;
	case 2:
		TLBI("vae1is", arg);
		break;
	default:
		TLBI("vaae1", arg);
		break;
	}
	DSB("ish");
	ISB();
	return (true);
}

bool
md_forget_tag(unsigned tag, bool current)
{
	(void)current;
	switch (atomic_fetch_add(&turn, 1) % 8) {
	case 0:
		__asm__ volatile("tlbi vmalle1" : : : "memory");
		break;
	case 1:
		TLBI("aside1is", (uint64_t)tag << 48);
		break;
	default:
		TLBI("aside1", (uint64_t)tag << 48);
		break;
	}
	DSB("ish");
	ISB();
	return (true);
}

/* Code */

void
md_code_return(uint64_t addr, uint32_t val, bool first)
{
	if (first)
		R32(addr + 4) = 0xd65f03c0;	/* ret */
	R32(addr) = 0x52800000 | (val & 0xffff) << 5;	/* mov w0, #val */
}

void
md_code_jump(uint64_t addr, uint64_t to, bool first)
{
	(void)first;
	R32(addr) = 0x14000000 | ((uint32_t)((to - addr) >> 2) & 0x3ffffff);	/* b to */
}

void
md_code_sync(uint64_t addr)
{
	__asm__ volatile("dc cvau, %0\n\tdsb ish\n\tic ivau, %0\n\tdsb ish\n\tisb" : : "r" (addr) : "memory");
}

void
md_sync(void)
{
	ISB();
}

uint32_t
md_call(uint64_t addr)
{
	return (((uint32_t (*)(void))addr)());
}
