/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.S - for stress.c: into 64-bit mode, exceptions and interrupts, what is to be exact instructions.
 */
#include "payload.h"

#define	TABLES		0x200000		/* PML4, PDPT, four page directories */
#define	READY		0x5ff0

	testl	%edi, %edi
	jnz	2f
	/* Identity map of 4 GiB in global pages of 2 MiB (SDM vol. 3 4.5). */
	movl	$(TABLES + 0x1007), TABLES
	xorl	%ecx, %ecx
1:	movl	%ecx, %eax
	shll	$12, %eax
	addl	$(TABLES + 0x2007), %eax
	movl	%eax, TABLES + 0x1000(,%ecx,8)
	incl	%ecx
	cmpl	$4, %ecx
	jb	1b
	xorl	%ecx, %ecx
1:	movl	%ecx, %eax
	shll	$21, %eax
	orl	$0x187, %eax
	movl	%eax, TABLES + 0x2000(,%ecx,8)
	incl	%ecx
	cmpl	$2048, %ecx
	jb	1b
	movl	$1, READY
2:	pause
	cmpl	$0, READY
	je	2b
	lgdt	gdtr
	movl	%cr4, %eax
	orl	$0x6a0, %eax		/* PAE, PGE, OSFXSR, OSXMMEXCPT */
	movl	%eax, %cr4
	movl	$TABLES, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx
	rdmsr
	orl	$0x900, %eax		/* LME, NXE */
	wrmsr
	movl	%cr0, %eax
	andl	$~0x6000000c, %eax	/* CD, NW, TS, EM */
	orl	$0x80010022, %eax	/* PG, WP, NE, MP */
	movl	%eax, %cr0
	ljmp	$0x18, $wide

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

	/* RDI in, RSI out, RDX rounds. */
	.globl	md_work
md_work:
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu	16*\n(%rdi), %xmm\n
	.endr
	movq	256(%rdi), %rax
	movq	264(%rdi), %rbx
	movq	272(%rdi), %rcx
	movq	280(%rdi), %rbp
	movq	288(%rdi), %r8
	movq	296(%rdi), %r9
	movq	304(%rdi), %r10
	movq	312(%rdi), %r11
	movq	320(%rdi), %r12
	movq	328(%rdi), %r13
	movq	336(%rdi), %r14
	movq	344(%rdi), %r15
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
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movdqu	%xmm\n, 16*\n(%rsi)
	.endr
	movq	%rax, 256(%rsi)
	movq	%rbx, 264(%rsi)
	movq	%rcx, 272(%rsi)
	movq	%rbp, 280(%rsi)
	movq	%r8, 288(%rsi)
	movq	%r9, 296(%rsi)
	movq	%r10, 304(%rsi)
	movq	%r11, 312(%rsi)
	movq	%r12, 320(%rsi)
	movq	%r13, 328(%rsi)
	movq	%r14, 336(%rsi)
	movq	%r15, 344(%rsi)
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
