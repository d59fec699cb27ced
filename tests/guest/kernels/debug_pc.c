/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug_pc.c - debug.c on a PC: it starts by PVH (Xen, docs/misc/pvh.pandoc) and goes to 64-bit mode, all of its memory mapped to itself.  The
 * second processor is started by INIT and SIPI (SDM vol. 3 8.4.4) at address 0, and stays in real mode there, where linear addresses and
 * offsets are the same.
 */
#include "debug.h"
#include "pc.h"

#define	ICR_LOW		0xfee00300UL
#define	ICR_HIGH	0xfee00310UL
#define	INIT		0x4500U
#define	SIPI		0x4600U		/* vector 0 */

extern const char second_start[], second_end[];

void
machine_put(char c)
{
	com1_put(c);
}

static void
icr(uint32_t what)
{
	*(volatile uint32_t *)ICR_HIGH = 1U << 24;
	*(volatile uint32_t *)ICR_LOW = what;
	while ((*(volatile uint32_t *)ICR_LOW & 0x1000) != 0)
		;
}

void
machine_second(void)
{
	volatile char *to = (volatile char *)0;

	__asm__ volatile("" : "+r"(to));
	for (const char *from = second_start; from < second_end; from++)
		*to++ = *from;
	icr(INIT);
	icr(SIPI);
}

/* pc.debug_exit: 0 is status 1, which is that of a guest that powered off.  The reset is the chip set's (port 0xcf9). */
void
machine_end(uint64_t how)
{
	if (how == 2)
		outb(0xcf9, 6);
	else
		outb(0x501, 0);
	for (;;)
		__asm__ volatile("hlt");
}

__asm__(
    ".section .note.Xen, \"a\"\n"
    ".align 4\n"
    "	.long	4, 4, 18\n"			/* XEN_ELFNOTE_PHYS32_ENTRY */
    "	.asciz	\"Xen\"\n"
    "	.long	_start\n"
    ".section .head, \"ax\"\n"
    ".code32\n"
    ".globl _start\n"
    "_start:\n"
    "	cld\n"
    /* four tables of 2 MiB pages for 4 GiB, a table of these, one of that */
    "	movl	$pages, %edi\n"
    "	movl	$0x83, %eax\n"
    "	movl	$2048, %ecx\n"
    "1:	movl	%eax, (%edi)\n"
    "	addl	$0x200000, %eax\n"
    "	addl	$8, %edi\n"
    "	loop	1b\n"
    "	movl	$pages + 3, %eax\n"
    "	movl	$4, %ecx\n"
    "	movl	$directories, %edi\n"
    "1:	movl	%eax, (%edi)\n"
    "	addl	$0x1000, %eax\n"
    "	addl	$8, %edi\n"
    "	loop	1b\n"
    "	movl	$directories + 3, top\n"
    "	movl	$top, %eax\n"
    "	movl	%eax, %cr3\n"
    "	movl	$0x20, %eax\n"
    "	movl	%eax, %cr4\n"
    "	movl	$0xc0000080, %ecx\n"
    "	xorl	%edx, %edx\n"
    "	movl	$0x100, %eax\n"
    "	wrmsr\n"
    "	movl	$0x80000001, %eax\n"
    "	movl	%eax, %cr0\n"
    "	lgdt	gdtr\n"
    "	ljmp	$8, $1f\n"
    ".code64\n"
    "1:	movl	$16, %eax\n"
    "	movl	%eax, %ds\n"
    "	movl	%eax, %es\n"
    "	movl	%eax, %ss\n"
    "	movl	$stack_top, %esp\n"
    "	xorl	%ebp, %ebp\n"
    "	xorl	%edi, %edi\n"
    "	call	kernel\n"
    ".globl second_start, second_end\n"
    ".code16\n"
    "second_start:\n"
    "	xorl	%eax, %eax\n"
    "	movw	%ax, %ds\n"
    "1:	incl	%eax\n"
    "	.globl	second_code\n"
    "second_code:\n"
    "	movl	%eax, 0x100\n"
    "	jmp	1b\n"
    "second_end:\n"
    ".globl second_step\n"
    ".set second_step, second_code - second_start\n"
    ".code64\n"
    ".align 8\n"
    "gdt:	.quad	0, 0x00af9b000000ffff, 0x00cf93000000ffff\n"
    "gdtr:	.word	23\n"
    "	.long	gdt\n"
    ".bss\n"
    ".align 4096\n"
    "pages:	.skip	16384\n"
    "directories: .skip 4096\n"
    "top:	.skip	4096\n"
    "	.skip	16384\n"
    "stack_top:\n"
    ".text\n");
