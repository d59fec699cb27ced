/* SPDX-License-Identifier: BSD-2-Clause */
/* A multiboot kernel (Multiboot 0.6.96, 3.1.1) that ends the run by the debug exit port with its first instructions. */
	.code32
	.globl	_start
	.section .text
	.align	4
	.long	0x1badb002, 0, -0x1badb002
_start:
	movw	$0x501, %dx
	movb	$0, %al
	outb	%al, %dx		/* exit code 2 * 0 + 1 */
1:	hlt
	jmp	1b
