/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * testdev_pc.c - a kernel that uses the test device of a PC (vmm/testdev/pc_testdev.h) and ends the run by it: with code 2 * 42 + 1, or with
 * 2 * n + 1 if the n-th of its checks fails.  It starts by multiboot and takes an interrupt by the first 8259A.
 */
#include <stdint.h>

#include "gates_pc.h"
#include "pc.h"

#define	EXIT		0xf4
#define	SIZES		0xe0
#define	LINES		0x2000
#define	MEMORY		0xff000000U

#define	PIC		0x20		/* 8259A data sheet: ICW1 and OCW2; the other words one further on */
#define	VEC_PIC		0x20
#define	LINE		5
#define	GOOD		42

static volatile unsigned interrupts;
static unsigned checks;

static void
expect(int good)
{
	checks++;
	if (!good)
		outl(EXIT, checks);
}

void	interrupt(void);

/* What the entry below calls: the line goes down before the end of the interrupt. */
void	took(void);
void
took(void)
{
	interrupts++;
	outb(LINES + LINE, 0);
	outb(PIC, 0x20);
}

__asm__(
    "interrupt:\n"
    "	pushal\n"
    "	cld\n"
    "	call	took\n"
    "	popal\n"
    "	iretl\n");

/* The line alone, by edges: vectors from VEC_PIC on. */
static void
set_pic(void)
{
	outb(PIC, 0x11);
	outb(PIC + 1, VEC_PIC);
	outb(PIC + 1, 4);
	outb(PIC + 1, 1);
	outb(PIC + 1, (uint8_t)~(1U << LINE));
}

static void
interrupt_lines(void)
{
	set_gate(VEC_PIC + LINE, interrupt);
	set_tables();
	set_pic();
	__asm__ volatile("sti");
	expect(interrupts == 0);
	for (unsigned n = 1; n <= 3; n++) {
		outb(LINES + LINE, 1);
		while (interrupts < n)
			__asm__ volatile("pause");
		expect(interrupts == n);
	}
	__asm__ volatile("cli");
}

static void
access_sizes(void)
{
	outl(SIZES, 0x44332211);
	expect(inl(SIZES) == 0x44332211 && inw(SIZES) == 0x2211 && inb(SIZES) == 0x11);
	outw(SIZES + 2, 0xbbaa);
	expect(inl(SIZES) == 0xbbaa2211);
	outb(SIZES + 1, 0xcc);
	expect(inl(SIZES) == 0xbbaacc11);
}

/* Instructions that read and write what is not memory. */
static void
memory(void)
{
	volatile uint32_t *at = (volatile uint32_t *)(MEMORY + 0x8000);
	uint32_t old;

	at[0] = 0x10;
	at[1] = 0x12345678;
	__asm__ volatile("addl $5, %0" : "+m"(at[0]));
	__asm__ volatile("lock orl $0x100, %0" : "+m"(at[0]));
	expect(at[0] == 0x115);
	__asm__ volatile("xchgl %0, %1" : "=r"(old), "+m"(at[1]) : "0"(7));
	expect(old == 0x12345678 && at[1] == 7);
	__asm__ volatile("cld\n rep stosl" : : "D"(at), "a"(0xa5a5a5a5U), "c"(64) : "memory");
	expect(at[0] == 0xa5a5a5a5U && at[63] == 0xa5a5a5a5U && at[64] == 0);
}

void	kernel(void);
void
kernel(void)
{
	access_sizes();
	memory();
	interrupt_lines();
	outl(EXIT, GOOD);
	for (;;)
		__asm__ volatile("hlt");
}
