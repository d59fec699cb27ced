/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msr_pc.c - a kernel that reads and writes a model-specific register that there is not, and ends the run by the debug exit port: with 2 * 10 + 1 if both
 * faulted and changed nothing, with 2 * 20 + 1 if the read gave zero and nothing faulted, and else with 2 * 30 + 1.
 */
#include "gates_pc.h"
#include "pc.h"

#define	EXIT		0x501
#define	POWER_UNIT	0x606		/* of RAPL */
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

void	kernel(void);
void
kernel(void)
{
	uint32_t low = OLD, high = OLD;

	set_gate(13, protection);
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
