/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hello.S - the demonstration payload for amd64: greet on the 16550, tick five times, power off.
 *
 * hyve payload loads and enters it at 0x10000 in flat 32-bit protected mode with paging and interrupts off and ESP
 * 0x8000.  It uses only moves, additions, comparisons, jumps and port accesses, so that the smallest interpreter runs it.
 */
#define	COM1		0x3f8		/* data register of the 16550 */
#define	COM1_LCR	0x3fb		/* its line control register */
#define	LCR_8N1		0x03		/* 8 bits, no parity, 1 stop bit; it starts with 5 bits */
#define	COM1_LSR	0x3fd		/* its line status register */
#define	LSR_THRE	0x20		/* the transmitter takes a byte (PC16550D data sheet 8.6.4) */
#define	POWER		0xf4		/* a byte 1 written here powers the machine off */
#define	TICKS		5
#define	DELAY		150000		/* turns of an empty loop between two ticks */

	.code32
	.text
	.globl	_start
_start:
	movl	$COM1_LCR, %edx
	movb	$LCR_8N1, %al
	outb	%al, %dx
	movl	$greeting, %esi
	movl	$greeting_end, %edi
	movl	$0, %ebx			/* ticks so far; 0: the greeting is being printed */
	jmp	print

tick:
	movl	$DELAY, %ecx
1:	subl	$1, %ecx
	jnz	1b
	addl	$1, %ebx
	movl	%ebx, %eax			/* the digit goes into the text */
	addl	$'0', %eax
	movb	%al, digit
	movl	$ticking, %esi
	movl	$ticking_end, %edi
	jmp	print

last:
	addl	$1, %ebx
	movl	$farewell, %esi
	movl	$farewell_end, %edi

/* Send the bytes from ESI up to EDI, then do what comes after that text. */
print:
	cmpl	%edi, %esi
	jz	printed
2:	movl	$COM1_LSR, %edx
	inb	%dx, %al
	andl	$LSR_THRE, %eax
	jz	2b
	movb	(%esi), %al
	movl	$COM1, %edx
	outb	%al, %dx
	addl	$1, %esi
	jmp	print
printed:
	cmpl	$TICKS, %ebx
	jb	tick
	jz	last

	movl	$POWER, %edx
	movb	$1, %al
	outb	%al, %dx
3:	jmp	3b

greeting:
	.ascii	"Hello from an amd64 guest on hyve.\r\n"
greeting_end:
ticking:
	.ascii	"tick "
digit:
	.ascii	"0\r\n"
ticking_end:
farewell:
	.ascii	"That was all; powering off.\r\n"
farewell_end:
