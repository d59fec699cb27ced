/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug_virt.c - debug.c on arm64's virt machine: it starts as Linux' Image does (Documentation/arch/arm64/booting.rst), on one processor; the other
 * one is started by PSCI (1.1, 5.6).
 */
#include "debug.h"

#define	UART		0x09000000UL
#define	CPU_ON		0xc4000003UL
#define	SYSTEM_OFF	0x84000008UL
#define	SYSTEM_RESET	0x84000009UL

extern const char second_start[];

static void
psci(uint64_t what, uint64_t cpu, uint64_t entry)
{
	register uint64_t x0 __asm__("x0") = what;
	register uint64_t x1 __asm__("x1") = cpu;
	register uint64_t x2 __asm__("x2") = entry;
	register uint64_t x3 __asm__("x3") = 0;

	__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : "memory");
}

void
machine_put(char c)
{
	*(volatile uint32_t *)UART = (uint8_t)c;
}

void
machine_second(void)
{
	psci(CPU_ON, 1, (uint64_t)(uintptr_t)second_start);
}

void
machine_end(uint64_t how)
{
	psci(how == 2 ? SYSTEM_RESET : SYSTEM_OFF, 0, 0);
	for (;;)
		__asm__ volatile("wfi");
}

__asm__(
    ".text\n"
    ".globl second_start, second_step\n"
    "second_start:\n"
    "	adrp	x1, second_counter\n"
    "	add	x1, x1, :lo12:second_counter\n"
    "	mov	x2, #0\n"
    "1:	add	x2, x2, #1\n"
    "second_step:\n"
    "	str	x2, [x1]\n"
    "	b	1b\n");
