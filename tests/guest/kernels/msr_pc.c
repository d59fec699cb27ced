/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msr_pc.c - a kernel that reads and writes a model-specific register that there is not, and ends the run by the debug exit port: with 2 * 10 + 1 if both
 * faulted and changed nothing, with 2 * 20 + 1 if the read gave zero and nothing faulted, and else with 2 * 30 + 1.
 */
#include "pc.h"

#define	EXIT		0x501
#define	POWER_UNIT	0x606		/* of RAPL */
#define	CODE		8
#define	OLD		0x55aa55aaU

static volatile unsigned faults;

void	protection(void);

/* What a fault calls: the instruction has two bytes (Intel SDM vol. 2, RDMSR and WRMSR). */
void	took(void);
void
took(void)
{
	faults++;
}

__asm__(
    "protection:\n"
    "	addl	$4, %esp\n"
    "	addl	$2, (%esp)\n"
    "	pushal\n"
    "	cld\n"
    "	call	took\n"
    "	popal\n"
    "	iretl\n");

static void
set_tables(void)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffffULL, 0x00cf93000000ffffULL };
	static uint64_t idt[32];
	static struct {
		uint16_t limit;
		const void *base;
	} __attribute__((packed)) gdtr, idtr;
	uint32_t at = (uint32_t)protection;

	idt[13] = (uint64_t)(at >> 16) << 48 | 0x8e00ULL << 32 | CODE << 16 | (at & 0xffff);
	gdtr.limit = sizeof(gdt) - 1;
	gdtr.base = gdt;
	idtr.limit = sizeof(idt) - 1;
	idtr.base = idt;
	__asm__ volatile("lgdt %0\n lidt %1\n ljmp %2, $1f\n 1: movw %w3, %%ds\n movw %w3, %%es\n movw %w3, %%ss"
	    : : "m"(gdtr), "m"(idtr), "i"(CODE), "r"(16) : "memory");
}

void	kernel(void);
void
kernel(void)
{
	uint32_t low = OLD, high = OLD;

	set_tables();
	__asm__ volatile("rdmsr" : "+a"(low), "+d"(high) : "c"(POWER_UNIT) : "memory");
	__asm__ volatile("wrmsr" : : "a"(1), "d"(0), "c"(POWER_UNIT) : "memory");
	if (faults == 2 && low == OLD && high == OLD)
		outb(EXIT, 10);
	else
		outb(EXIT, faults == 0 && low == 0 && high == 0 ? 20 : 30);
	for (;;)
		__asm__ volatile("hlt");
}
