/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.c - amd64's part of ../stress.c (Intel SDM vol. 3: 4.5 and 4.10 for paging, 8.1.3 for code, 10 for the local APIC).
 */
#include "../stress.h"

#define	TABLES		0x200000UL		/* as in stress.S */
#define	LAPIC(reg)	(*(volatile uint32_t *)(0xfee00000UL + (reg)))
#define	VECTOR_TIMER	0x40U
#define	VECTOR_IPI	0x41U			/* and on */

#define	PTE_P		(1UL << 0)
#define	PTE_W		(1UL << 1)
#define	PTE_D		(1UL << 6)
#define	PTE_G		(1UL << 8)
#define	PTE_NX		(1UL << 63)
#define	CR4_PGE		(1UL << 7)
#define	CR4_PCIDE	(1UL << 17)
#define	CR3_KEEP	(1UL << 63)

const bool md_replaces = true;

static uint64_t idt[256][2] __attribute__((aligned(16)));
static _Atomic uint32_t turn;			/* ways to do the same thing take turns */
static bool has_pcid, has_invpcid;

extern uint8_t exceptions[], page_fault[], timer_came[], count_came[], sync_came[], spurious[];

uint64_t
md_param(unsigned n)
{
	return (*(volatile uint64_t *)(0x6000UL + 8 * n));
}

void
md_result(unsigned n, uint64_t val)
{
	*(volatile uint64_t *)(0x6800UL + 8 * n) = val;
}

bool
md_told_to_stop(void)
{
	uint32_t val;

	__asm__ volatile("inl %1, %0" : "=a" (val) : "d" ((uint16_t)0x608));
	return (val != 0);
}

void
md_finish(void)
{
	__asm__ volatile("cli; outb %0, $0xf4" : : "a" ((uint8_t)0));
	for (;;)
		__asm__ volatile("hlt");
}

static void
gate(unsigned vector, const uint8_t *handler)
{
	uint64_t addr = (uint64_t)handler;

	idt[vector][0] = (addr & 0xffff) | 0x18UL << 16 | 0x8e00UL << 32 | (addr >> 16 & 0xffff) << 48;
	idt[vector][1] = addr >> 32;
}

void
md_start(unsigned cpu)
{
	struct {
		uint16_t	limit;
		uint64_t	base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint64_t)idt };

	/* Each processor stores the same. */
	for (unsigned n = 0; n < 32; n++)
		gate(n, exceptions + 16 * n);
	gate(14, page_fault);
	gate(VECTOR_TIMER, timer_came);
	gate(VECTOR_IPI + IPI_COUNT, count_came);
	gate(VECTOR_IPI + IPI_SYNC, sync_came);
	gate(0xff, spurious);
	__asm__ volatile("lidt %0" : : "m" (idtr) : "memory");
	LAPIC(0xf0) = 0x1ff;
	LAPIC(0x3e0) = 0x0b;			/* divide by 1 */
	LAPIC(0x320) = VECTOR_TIMER;		/* one shot */
	(void)cpu;
	md_interrupts(true);
}

void
md_timer(uint64_t count)
{
	LAPIC(0x380) = (uint32_t)count;
}

void
md_interrupts(bool on)
{
	if (on)
		__asm__ volatile("sti" : : : "memory");
	else
		__asm__ volatile("cli" : : : "memory");
}

void
md_wait(void)
{
	__asm__ volatile("hlt" : : : "memory");
}

void
md_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

void
md_ipi(unsigned cpu, unsigned which)
{
	LAPIC(0x310) = cpu << 24;
	LAPIC(0x300) = 0x4000 | (VECTOR_IPI + which);
}

/* Entries */

uint64_t
md_leaf(uint64_t pa, unsigned prot, bool global)
{
	return (pa | PTE_P | (prot == P_WRITE ? PTE_W : 0) | (global ? PTE_G : 0) | (prot == P_CODE ? 0 : PTE_NX));
}

uint64_t
md_table(uint64_t pa)
{
	return (pa | PTE_P | PTE_W);
}

bool
md_is_dirty(uint64_t entry)
{
	return ((entry & PTE_D) != 0);
}

void
md_space(uint64_t *pages, uint64_t *shared, uint64_t *own)
{
	pages[0] = md_table((uint64_t)(pages + LEAVES));
	for (unsigned n = 0; n < 4; n++)
		pages[LEAVES + n] = md_table(TABLES + 0x2000 + PAGE * n);
	pages[LEAVES + 4] = md_table((uint64_t)(pages + 2 * LEAVES));
	pages[2 * LEAVES] = md_table((uint64_t)shared);
	pages[2 * LEAVES + 1] = md_table((uint64_t)own);
}

uint64_t *
md_own_entry(uint64_t *pages)
{
	return (&pages[2 * LEAVES + 1]);
}

#define	CONTROL_REGISTER(n)							\
static uint64_t									\
read_cr##n(void)								\
{										\
	uint64_t val;								\
										\
	__asm__ volatile("movq %%cr" #n ", %0" : "=r" (val));			\
	return (val);								\
}										\
										\
static void									\
write_cr##n(uint64_t val)							\
{										\
	__asm__ volatile("movq %0, %%cr" #n : : "r" (val) : "memory");		\
}

CONTROL_REGISTER(3)
CONTROL_REGISTER(4)

static void
cpuid(uint32_t leaf, uint32_t *ebx, uint32_t *ecx)
{
	uint32_t a = leaf, d;

	*ecx = 0;
	__asm__ volatile("cpuid" : "+a" (a), "=b" (*ebx), "+c" (*ecx), "=d" (d));
}

void
md_switch(const uint64_t *pages, unsigned tag, bool keep)
{
	uint32_t b, c, unused;

	if (read_cr3() == TABLES) {
		cpuid(1, &unused, &c);
		cpuid(7, &b, &unused);
		has_pcid = (c & 1U << 17) != 0;
		has_invpcid = (b & 1U << 10) != 0;
		if (has_pcid)
			write_cr4(read_cr4() | CR4_PCIDE);
	}
	write_cr3((uint64_t)pages | (has_pcid ? tag | (keep ? CR3_KEEP : 0) : 0));
}

void
md_changed(void)
{
	__asm__ volatile("" : : : "memory");
}

static void
invlpg(uint64_t va)
{
	__asm__ volatile("invlpg (%0)" : : "r" (va) : "memory");
}

static void
invpcid(uint64_t type, uint64_t tag, uint64_t va)
{
	const uint64_t desc[2] = { tag, va };

	__asm__ volatile("invpcid %0, %1" : : "m" (desc), "r" (type) : "memory");
}

void
md_forget(uint64_t va)
{
	bool all = (va & FORGET_ALL_TAGS) != 0;

	va &= ~(PAGE - 1);
	if (!all || !has_pcid) {
		invlpg(va);
		return;
	}
	if (has_invpcid && atomic_fetch_add(&turn, 1) % 2 == 0) {
		invpcid(3, 0, 0);		/* all tags, but global entries */
		return;
	}
	write_cr4(read_cr4() & ~CR4_PGE);
	write_cr4(read_cr4() | CR4_PGE);
}

bool
md_forget_everywhere(uint64_t va)
{
	(void)va;
	return (false);
}

bool
md_forget_own(unsigned tag, uint64_t va, bool current)
{
	if (current) {
		invlpg(va);
		return (true);
	}
	if (!has_pcid)
		return (true);			/* md_switch() does */
	if (!has_invpcid || atomic_fetch_add(&turn, 1) % 4 == 0)
		return (false);
	invpcid(0, tag, va);
	return (true);
}

bool
md_forget_tag(unsigned tag, bool current)
{
	if (!has_pcid && !current)
		return (true);
	if (has_pcid && has_invpcid && atomic_fetch_add(&turn, 1) % 2 == 0) {
		invpcid(1, tag, 0);
		return (true);
	}
	if (!current)
		return (false);
	write_cr3(read_cr3());
	return (true);
}

/* Code: the operand, a word of its own, is what changes. */

static void
function(uint64_t addr, uint8_t opcode, uint32_t operand, bool first)
{
	if (first) {
		*(volatile uint32_t *)addr = 0x00909090U | (uint32_t)opcode << 24;
		*(volatile uint8_t *)(addr + 8) = 0xc3;
	}
	*(volatile uint32_t *)(addr + 4) = operand;
}

void
md_code_return(uint64_t addr, uint32_t val, bool first)
{
	function(addr, 0xb8, val, first);
}

void
md_code_jump(uint64_t addr, uint64_t to, bool first)
{
	function(addr, 0xe9, (uint32_t)(to - (addr + 8)), first);
}

void
md_code_sync(uint64_t addr)
{
	(void)addr;
}

/* The return from the interrupt serializes. */
void
md_sync(void)
{
}

uint32_t
md_call(uint64_t addr)
{
	return (((uint32_t (*)(void))addr)());
}
