/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anywhere.S - a bit of everything, to be saved and taken up again at any instruction: 64-bit mode, timer interrupts, x87 and SSE,
 * repeated strings, atomics between vCPUs, code that changes itself.  PARAM(0): rounds; PARAM(2): vCPUs.  Each vCPU leaves a hash
 * of what it computed in RESULT(n) and the timer interrupts it took in RESULT(4 + n).
 */
#include "payload.h"

#define	TABLES		0x200000		/* PML4, PDPT, four page directories */
#define	READY		(ARENA)
#define	SHARED		(ARENA + 0x40)
#define	BUFFER(n)	(ARENA + 0x10000 * (n))	/* n from 1 */
#define	IDT64		(ARENA + 0x1000)

	testl	%edi, %edi
	jnz	2f
	IDENTITY_MAP TABLES, 0x87
	/* One 64-bit interrupt gate (SDM vol. 3 figure 6-8). */
	movl	$tick, %eax
	movl	%eax, %edx
	andl	$0xffff, %eax
	orl	$0x180000, %eax
	movl	%eax, IDT64 + 16 * 0x40
	andl	$0xffff0000, %edx
	orl	$0x8e00, %edx
	movl	%edx, IDT64 + 16 * 0x40 + 4
	movl	$1, READY
2:	pause
	cmpl	$0, READY
	je	2b
	lgdt	gdtr
	lidt	idtr
	/* PAE, OSFXSR, OSXMMEXCPT; LME; PG, NE, MP */
	LONG_MODE TABLES, 0x620, 0x100, 0x80000022, wide

	.balign	8
gdt:	.quad	0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdtr:	.word	31
	.long	gdt
idtr:	.word	0x41 * 16 - 1
	.long	IDT64

	.code64
wide:	movl	$0x10, %eax
	movl	%eax, %ss
	movl	%eax, %ds
	movl	%eax, %es
	movl	%edi, %r15d		/* vCPU */
	movl	%r15d, %eax
	incl	%eax
	shll	$16, %eax
	leal	ARENA(%rax), %r14d	/* its buffer */
	fninit
	/* Local APIC timer, periodic, divide by 1 (SDM vol. 3 10.5.4). */
	movl	$LAPIC, %ebx
	movl	$0x1ff, 0xf0(%rbx)
	movl	$0x0b, 0x3e0(%rbx)
	movl	$0x20040, 0x320(%rbx)
	movl	%r15d, %eax
	imull	$37, %eax
	addl	$311, %eax
	movl	%eax, 0x380(%rbx)
	movl	$0x9e3779b9, %r12d
	addl	%r15d, %r12d		/* the generator */
	xorl	%r13d, %r13d		/* hash */
	movl	$1, %r11d
	movq	%r11, %xmm7
	cvtsi2sd %r12d, %xmm6
	fld1
	sti

	xorl	%r10d, %r10d		/* round */
round:
	imulq	$0x19660d, %r12, %r12
	addq	$0x3c6ef35f, %r12

	/* integers */
	movq	%r12, %rax
	xorl	%edx, %edx
	movl	%r12d, %ecx
	orl	$1, %ecx
	divq	%rcx
	addq	%rax, %r13
	adcq	%rdx, %r13
	rolq	$7, %r13
	movl	%r12d, %ecx
	shrl	$27, %ecx
	rcrq	%cl, %r13
	setc	%al
	movzbl	%al, %eax
	addq	%rax, %r13

	/* floating point */
	cvtsi2sd %r12d, %xmm0
	movapd	%xmm0, %xmm1
	mulsd	%xmm6, %xmm1
	addsd	%xmm0, %xmm6
	sqrtsd	%xmm1, %xmm2
	paddq	%xmm2, %xmm7
	pshufd	$0x4e, %xmm7, %xmm3
	pxor	%xmm3, %xmm7
	movq	%xmm7, %rax
	xorq	%rax, %r13
	movl	%r12d, (%r14)
	fildl	(%r14)
	fmulp
	fabs
	fld1
	faddp
	fsqrt
	fstpt	8(%r14)
	movq	8(%r14), %rax
	addq	%rax, %r13
	fldt	8(%r14)

	/* strings */
	leaq	0x100(%r14), %rdi
	movl	%r12d, %ecx
	shrl	$22, %ecx		/* at most 1023 */
	movq	%r13, %rax
	rep stosq
	leaq	0x100(%r14), %rsi
	leaq	0x4103(%r14), %rdi
	movl	%r12d, %ecx
	shrl	$20, %ecx
	rep movsb
	leaq	0x100(%r14), %rsi
	leaq	0x4103(%r14), %rdi
	movl	$5000, %ecx
	repe cmpsb
	addq	%rcx, %r13

	/* atomics */
	movl	$1, %eax
	lock xaddl %eax, SHARED
	lock incq SHARED + 8

	/* code that changes: the immediate of an instruction about to be executed, behind a jump and in line */
	movl	%r12d, patch1 + 1(%rip)
	call	patch1
	addq	%rax, %r13
	movb	%r12b, patch2 + 2(%rip)
patch2:	leal	0x11(%rax), %eax
	addq	%rax, %r13

	testl	$63, %r10d
	jnz	1f
	movl	$PORT_PROBE, %edx
	movl	%r13d, %eax
	outl	%eax, %dx
1:	incl	%r10d
	cmpl	PARAM(0), %r10d
	jb	round

	cli
	movq	%r13, RESULT(0)(,%r15,8)
	FINISH

	.balign	64
	/* Both vCPUs write and execute it: which value is seen is a matter of their turns. */
patch1:	movl	$0, %eax
	ret

	.balign	64
tick:	pushq	%rax
	incq	RESULT(4)(,%r15,8)
	movl	$LAPIC_EOI, %eax
	movl	$0, (%rax)
	popq	%rax
	iretq
