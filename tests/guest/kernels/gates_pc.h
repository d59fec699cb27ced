/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gates_pc.h - flat segments of our own and a table of interrupt gates, in 32-bit mode.
 */
#ifndef _GATES_PC_H_
#define	_GATES_PC_H_

#include <stdint.h>

#define	CODE		8		/* selector */

static struct {
	uint16_t off, sel, type, off_high;
} idt[256];

/* Intel SDM vol. 3 6.11: an interrupt gate. */
static inline void
set_gate(unsigned vec, void (*handler)(void))
{
	uint32_t at = (uint32_t)handler;

	idt[vec].off = (uint16_t)at;
	idt[vec].sel = CODE;
	idt[vec].type = 0x8e00;
	idt[vec].off_high = (uint16_t)(at >> 16);
}

static inline void
set_tables(void)
{
	static const uint64_t gdt[] = { 0, 0x00cf9b000000ffffULL, 0x00cf93000000ffffULL };
	static struct {
		uint16_t limit;
		const void *base;
	} __attribute__((packed)) gdtr, idtr;

	gdtr.limit = sizeof(gdt) - 1;
	gdtr.base = gdt;
	idtr.limit = sizeof(idt) - 1;
	idtr.base = idt;
	__asm__ volatile("lgdt %0\n lidt %1\n ljmp %2, $1f\n 1: movw %w3, %%ds\n movw %w3, %%es\n movw %w3, %%ss"
	    : : "m"(gdtr), "m"(idtr), "i"(CODE), "r"(16) : "memory");
}

#endif /* _GATES_PC_H_ */
