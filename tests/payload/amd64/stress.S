/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.S - for stress.c: into 64-bit mode, exceptions and interrupts, what is to be exact instructions.
 */
#include "payload.h"

#define	TABLES		0x200000		/* PML4, PDPT, four page directories */
#define	READY		0x5ff0

	testl	%edi, %edi
	jnz	2f
	IDENTITY_MAP TABLES, 0x187		/* global */
	movl	$1, READY
2:	pause
	cmpl	$0, READY
	je	2b
	lgdt	gdtr
	/* PAE, PGE, OSFXSR, OSXMMEXCPT; LME, NXE; PG, WP, NE, MP */
	LONG_MODE TABLES, 0x6a0, 0x900, 0x80010022, wide

	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdtr:	.word	31
	.long	gdt

	.code64
wide:	movl	%edi, %edi
	movl	$0x10, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	leal	1(%rdi), %eax
	shll	$14, %eax
	leaq	stacks(%rax), %rsp
	call	stress_main
	hlt

	.text
	/* Vector, then what is on the stack: error code or 0, RIP. */
	.macro	EXCEPTION num, error
	.balign	16
	.if	\error == 0
	pushq	$0
	.endif
	pushq	$\num
	jmp	unexpected
	.endm
	.globl	exceptions
	.balign	16
exceptions:
	.irp	num, 0, 1, 2, 3, 4, 5, 6, 7
	EXCEPTION \num, 0
	.endr
	EXCEPTION 8, 1
	EXCEPTION 9, 0
	.irp	num, 10, 11, 12, 13, 14
	EXCEPTION \num, 1
	.endr
	.irp	num, 15, 16
	EXCEPTION \num, 0
	.endr
	EXCEPTION 17, 1
	.irp	num, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	EXCEPTION \num, 0
	.endr
unexpected:
	movq	(%rsp), %rsi
	movq	16(%rsp), %rdx
	movq	%cr2, %rcx
	movl	$1, %edi		/* F_FAULT */
	andq	$~15, %rsp
	call	fail
	call	md_finish

	.balign	16
	.globl	page_fault
page_fault:
	cmpq	$read_at, 8(%rsp)
	je	1f
	cmpq	$add_at, 8(%rsp)
	jne	2f
1:	pushq	%rax
	movq	%cr2, %rax
	cmpq	%rax, %rdi
	popq	%rax
	jne	2f
	movq	$faulted, 8(%rsp)
	addq	$8, %rsp
	iretq
2:	pushq	$14
	jmp	unexpected

	/* Interrupts: on this stack, whose place says which processor it is. */
	.macro	INTERRUPT name, fn, arg
	.balign	16
	.globl	\name
\name:	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	cld
	movl	$LAPIC_EOI, %eax
	movl	$0, (%rax)
	movq	%rsp, %rdi
	subq	$stacks, %rdi
	shrq	$14, %rdi
	movl	$\arg, %esi
	pushq	%rbp
	movq	%rsp, %rbp
	andq	$~15, %rsp
	call	\fn
	movq	%rbp, %rsp
	popq	%rbp
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rdx
	popq	%rcx
	popq	%rax
	iretq
	.endm
	INTERRUPT timer_came, on_timer, 0
	INTERRUPT count_came, on_ipi, 0
	INTERRUPT sync_came, on_ipi, 1
	.globl	spurious
spurious:
	iretq

	.globl	md_probe_read
md_probe_read:
read_at:
	movq	(%rdi), %rax
	movq	%rax, (%rsi)
	xorl	%eax, %eax
	ret
	.globl	md_probe_add
md_probe_add:
add_at:	addq	$1, (%rdi)
	xorl	%eax, %eax
	ret
faulted:
	movl	$1, %eax
	ret

	.macro	LOAD op, at, reg
	\op	\at(%rdi), %\reg
	.endm
	.macro	STORE op, at, reg
	\op	%\reg, \at(%rsi)
	.endm
	.macro	ALL how
	.set	at, 0
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	\how	movdqu, at, xmm\n
	.set	at, at + 16
	.endr
	.irp	reg, rax, rbx, rcx, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	\how	movq, at, \reg
	.set	at, at + 8
	.endr
	.endm

	/* RDI in, RSI out, RDX rounds. */
	.globl	md_work
md_work:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	ALL	LOAD
	fninit
	fildq	352(%rdi)
1:	addq	%rbx, %rax
	adcq	%rcx, %rbx
	rolq	$13, %rcx
	xorq	%rbp, %rcx
	imulq	%r8, %rbp
	leaq	7(%r8,%r9,4), %r8
	sbbq	%r10, %r9
	movq	%r9, 480(%rsi)
	xorq	%r11, %r10
	addq	480(%rsi), %r11
	btcq	%r12, %r11
	cmovcq	%r13, %r12
	bswapq	%r13
	addq	%r14, %r13
	shldq	$9, %r15, %r14
	rorq	%cl, %r15
	paddq	%xmm1, %xmm0
	pxor	%xmm2, %xmm1
	mulpd	%xmm3, %xmm2
	pshufd	$0x39, %xmm3, %xmm3
	paddd	%xmm5, %xmm4
	movdqu	%xmm4, 488(%rsi)
	pxor	%xmm6, %xmm5
	addps	%xmm7, %xmm6
	psrlq	$3, %xmm7
	paddw	%xmm9, %xmm8
	pmuludq	%xmm10, %xmm9
	paddq	%xmm11, %xmm10
	movdqu	488(%rsi), %xmm11
	paddb	%xmm13, %xmm12
	psubq	%xmm14, %xmm13
	pcmpgtd	%xmm15, %xmm14
	paddq	%xmm0, %xmm15
	fld1
	faddp
	fmul	%st(0), %st
	fsqrt
	decq	%rdx
	jnz	1b
	ALL	STORE
	fstpt	352(%rsi)
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret

	/* EDI the processor, ESI the number.  A copy for each. */
	.globl	md_self
md_self:
	shll	$6, %edi
	leaq	selves(%rdi), %rax
	jmp	*%rax
	.balign	64
selves:
	.rept	4
	.balign	64
	movl	%esi, 1f + 1(%rip)
	xorl	%ecx, %ecx
	nop
1:	movl	$0, %eax
	ret
	.endr

	.bss
	.balign	16384
	.globl	stacks
stacks:	.skip	4 * 16384
	.section .note.GNU-stack, "", @progbits
