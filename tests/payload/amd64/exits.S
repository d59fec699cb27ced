/* SPDX-License-Identifier: BSD-2-Clause */
/* Port and memory accesses of each size, writes and reads; what was read goes to RESULT(0) to RESULT(5). */
#include "payload.h"
	movl	$PORT_PROBE, %edx
	movl	$0x11223344, %eax
	outb	%al, %dx
	outw	%ax, %dx
	outl	%eax, %dx
	xorl	%eax, %eax
	inb	%dx, %al
	movl	%eax, RESULT(0)
	xorl	%eax, %eax
	inw	%dx, %ax
	movl	%eax, RESULT(1)
	inl	%dx, %eax
	movl	%eax, RESULT(2)
	movl	$MMIO_PROBE, %ebx
	movb	$0x5a, %al
	movb	%al, (%ebx)
	movl	$0x1234, %eax
	movw	%ax, 2(%ebx)
	movl	$0xdeadbeef, %eax
	movl	%eax, 4(%ebx)
	movzbl	8(%ebx), %eax
	movl	%eax, RESULT(3)
	movzwl	10(%ebx), %eax
	movl	%eax, RESULT(4)
	movl	12(%ebx), %eax
	movl	%eax, RESULT(5)
	FINISH
