/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * If the processor has AVX, its registers are filled from ARENA, with AVX-512 those and its masks whole, and kept over PARAM(0) outputs to PORT_PROBE; each
 * time they are looked at, what differs is counted, and they get other contents.  RESULT(0): bytes that were watched in each round, 0 without AVX;
 * RESULT(1): rounds that found something else.  An exception ends it: RESULT(2) is its vector, RESULT(3) where, RESULT(4) XCR0, RESULT(5) CR4.
 * Registers that 32-bit code reaches: the first eight.
 */
#include "payload.h"
#define	WANT	(ARENA)
#define	GOT	(ARENA + 0x1000)
	lidt	idt
	GATE	6, undefined
	GATE	7, absent
	GATE	13, protection
	xorl	%esi, %esi
	movl	$0, RESULT(2)
	movl	$1, %eax
	cpuid
	andl	$0x14000000, %ecx		/* AVX, XSAVE */
	cmpl	$0x14000000, %ecx
	jne	end
	movl	%cr0, %eax
	andl	$~0xc, %eax			/* TS, EM */
	movl	%eax, %cr0
	movl	%cr4, %eax
	orl	$0x40200, %eax			/* OSXSAVE, OSFXSR */
	movl	%eax, %cr4
	movl	$0xd, %eax
	xorl	%ecx, %ecx
	cpuid
	andl	$0xe7, %eax
	xorl	%edx, %edx
	xorl	%ecx, %ecx
	xsetbv
	movl	$256, %esi
	testl	$0xe0, %eax
	jz	1f
	movl	$(512 + 16), %esi		/* eight masks of 16 bits */
1:	movl	$0, RESULT(1)
	xorl	%ebp, %ebp
	/* of the round: a byte is its number, multiplied, and its place */
round:	xorl	%ecx, %ecx
	imull	$37, %ebp, %ebx
3:	leal	(%ebx,%ecx), %eax
	movb	%al, WANT(%ecx)
	incl	%ecx
	cmpl	%esi, %ecx
	jb	3b
	cmpl	$256, %esi
	jne	4f
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	vmovups	WANT + 32 * \n, %ymm\n
	.endr
	jmp	5f
4:	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	vmovups	WANT + 64 * \n, %zmm\n
	kmovw	WANT + 512 + 2 * \n, %k\n
	.endr
5:	movl	$PORT_PROBE, %edx
	movl	%ebp, %eax
	outl	%eax, %dx
	cmpl	$256, %esi
	jne	6f
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	vmovups	%ymm\n, GOT + 32 * \n
	.endr
	jmp	7f
6:	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7
	vmovups	%zmm\n, GOT + 64 * \n
	kmovw	%k\n, GOT + 512 + 2 * \n
	.endr
7:	xorl	%ecx, %ecx
8:	movb	WANT(%ecx), %al
	cmpb	%al, GOT(%ecx)
	je	1f
	incl	RESULT(1)
	jmp	2f
1:	incl	%ecx
	cmpl	%esi, %ecx
	jb	8b
2:	incl	%ebp
	cmpl	PARAM(0), %ebp
	jb	round
end:	movl	%esi, RESULT(0)
	FINISH
undefined:
	movl	$6, RESULT(2)
	jmp	1f
absent:	movl	$7, RESULT(2)
	jmp	1f
protection:
	addl	$4, %esp
	movl	$13, RESULT(2)
1:	popl	%eax
	movl	%eax, RESULT(3)
	movl	%cr4, %eax
	movl	%eax, RESULT(5)
	testl	$0x40000, %eax
	jz	end
	xorl	%ecx, %ecx
	xgetbv
	movl	%eax, RESULT(4)
	jmp	end
	.align	8
idt:	.word	0x7ff
	.long	IDT
