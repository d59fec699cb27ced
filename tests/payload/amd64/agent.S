/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does what the harness says: reads commands from PORT_CMD, with arguments following, and answers on PORT_REPORT.
 *	0		end
 *	1 addr val	store 32 bits
 *	2 addr		load 32 bits, answer them
 *	3 port val	output a byte
 *	4 port		input a byte, answer it
 *	5		let one interrupt in, answer its vector or -1; with interrupts enabled PORT_STOP is read, so that a back end
 *			that looks for interrupts on its way into the guest has one
 * A vector stays in service until the harness ends it by the controller's register.
 */
#include "payload.h"
	LAPIC_ON
	movl	$stubs, %eax		/* gates of vectors 0x20 to 0xff */
	movl	$(IDT + 8 * 0x20), %ebx
1:	movl	%eax, %edx
	andl	$0xffff, %edx
	orl	$0x80000, %edx
	movl	%edx, (%ebx)
	movl	%eax, %edx
	andl	$0xffff0000, %edx
	orl	$0x8e00, %edx
	movl	%edx, 4(%ebx)
	addl	$16, %eax
	addl	$8, %ebx
	cmpl	$(IDT + 8 * 0x100), %ebx
	jb	1b

next:	movl	$PORT_CMD, %edx
	inl	%dx, %eax
	cmpl	$1, %eax
	jz	store
	cmpl	$2, %eax
	jz	load
	cmpl	$3, %eax
	jz	output
	cmpl	$4, %eax
	jz	input
	cmpl	$5, %eax
	jz	window
	FINISH
store:	inl	%dx, %eax
	movl	%eax, %ebx
	inl	%dx, %eax
	movl	%eax, (%ebx)
	jmp	next
load:	inl	%dx, %eax
	movl	%eax, %ebx
	movl	(%ebx), %eax
	jmp	report
output:	inl	%dx, %eax
	movl	%eax, %ebx
	inl	%dx, %eax
	movl	%ebx, %edx
	outb	%al, %dx
	jmp	next
input:	inl	%dx, %eax
	movl	%eax, %edx
	xorl	%eax, %eax
	inb	%dx, %al
	jmp	report
window:	movl	$-1, %esi
	movl	$20, %ecx
	movl	$PORT_STOP, %edx
	sti
	inl	%dx, %eax
1:	decl	%ecx
	jnz	1b
	cli
	movl	%esi, %eax
report:	movl	$PORT_REPORT, %edx
	outl	%eax, %dx
	jmp	next

	.balign	16
stubs:
	.set	vec, 0x20
	.rept	0x100 - 0x20
	.balign	16
	movl	$vec, %esi
	jmp	taken
	.set	vec, vec + 1
	.endr
taken:
	andl	$~0x200, 8(%esp)	/* the interrupted code goes on with interrupts off */
	RETURN
