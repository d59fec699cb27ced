/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to model-specific registers, one for each entry at ARENA: what (1: read, 2: write, 0: the end), the register, a value of 64 bits, which is written
 * or what was read; then 1 if it was done, 2 if it was a general protection fault at the instruction.
 */
#include "payload.h"
#define	ENTRY	24
	lidt	idt
	GATE	13, fault
	movl	$ARENA, %esi
	movl	%esp, %ebp
1:	movl	4(%esi), %ecx
	cmpl	$2, (%esi)
	ja	3f
	je	2f
	cmpl	$0, (%esi)
	je	3f
rd:	rdmsr
	movl	%eax, 8(%esi)
	movl	%edx, 12(%esi)
	jmp	4f
2:	movl	8(%esi), %eax
	movl	12(%esi), %edx
wr:	wrmsr
4:	movl	$1, 16(%esi)
5:	addl	$ENTRY, %esi
	jmp	1b
3:	FINISH
/* The stack has error code, EIP, CS and EFLAGS; what follows needs none of them. */
fault:	movl	$3, 16(%esi)
	cmpl	$0, (%esp)
	jne	6f
	cmpl	$rd, 4(%esp)
	je	7f
	cmpl	$wr, 4(%esp)
	jne	6f
7:	movl	$2, 16(%esi)
6:	movl	%ebp, %esp
	jmp	5b
	.align	8
idt:	.word	0x7ff
	.long	IDT
