/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Work whose end depends on all of it, while interrupts come at any place: the rounds of selfstate.S, until PORT_STOP says so, every 64th of
 * which looks there and every 1024th of which waits for an interrupt.  Then what is under way still comes.
 *
 * Edges at input PARAM(1) of the I/O APIC are counted in RESULT(0), messages as vector 0x50 in RESULT(1), which end at PARAM(0) each; the
 * timer's interrupts in RESULT(2), and how often it was armed in RESULT(3): once after each, for PARAM(2) ns, or ticks of the time-stamp counter
 * if PARAM(3) is not 0.  RESULT(5) is the hash, RESULT(6) the rounds, RESULT(7) how often time went back.  Floating-point and vector registers
 * are loaded from IMAGE and, in the end, stored behind it.
 */
#include "payload.h"

#define	IMAGE		(ARENA + 0x1000)	/* of FXRSTOR */
#define	STOPPING	(ARENA + 0x800)
#define	LAST		(ARENA + 0x808)		/* time-stamp counter, when it was last read */
#define	LVT_TIMER	(LAPIC + 0x320)
#define	INITIAL_COUNT	(LAPIC + 0x380)
#define	DIVIDE		(LAPIC + 0x3e0)

	GATE	0x40, line
	GATE	0x50, message
	GATE	0x60, timer
	LAPIC_ON
	PUTB	0x21, 0xff		/* the 8259s have the line too: OCW1, all masked */
	PUTB	0xa1, 0xff
	movl	PARAM(1), %ecx
	addl	%ecx, %ecx
	addl	$0x11, %ecx
	movl	%ecx, IOAPIC_SEL	/* redirection entry, high half: to APIC id 0 (82093AA 3.2.4) */
	movl	$0, IOAPIC_WIN
	decl	%ecx
	movl	%ecx, IOAPIC_SEL
	movl	$0x40, IOAPIC_WIN
	movl	%cr4, %eax
	orl	$0x200, %eax		/* OSFXSR */
	movl	%eax, %cr4
	fxrstor	IMAGE
	movl	$0x60, %eax
	cmpl	$0, PARAM(3)
	je	1f
	orl	$0x40000, %eax		/* TSC deadline (SDM vol. 3 10.5.4.1) */
1:	movl	%eax, LVT_TIMER
	movl	$0xb, DIVIDE		/* by 1: nanoseconds */
	call	arm
	movl	$PORT_REPORT, %edx	/* ready */
	outl	%eax, %dx

	movl	$5381, %eax
	xorl	%ecx, %ecx
1:	sti
	pushl	%ecx
	call	mix
	popl	%ecx
	leal	5(%ecx), %ebx
	andl	$15, %ebx
	addl	ARENA(,%ebx,4), %eax
	incl	%ecx
	testl	$63, %ecx
	jnz	1b
	testl	$1023, %ecx
	jnz	2f
	cli				/* RETURN leaves interrupts off: none may come before the HLT */
	sti
	hlt
2:	pushl	%eax
	cli
	rdtsc
	cmpl	LAST + 4, %edx
	ja	4f
	jb	3f
	cmpl	LAST, %eax
	jae	4f
3:	incl	RESULT(7)
4:	movl	%eax, LAST
	movl	%edx, LAST + 4
	movl	$PORT_STOP, %edx
	inl	%dx, %eax
	movl	%eax, %ebx
	popl	%eax
	testl	%ebx, %ebx
	jz	1b

	movl	%eax, RESULT(5)
	movl	%ecx, RESULT(6)
	incl	STOPPING
5:	sti				/* not halted: the timer is about to rest */
	nop
	cli
	movl	RESULT(2), %eax
	cmpl	RESULT(3), %eax
	jb	5b
	movl	PARAM(0), %eax
	cmpl	RESULT(0), %eax
	ja	5b
	cmpl	RESULT(1), %eax
	ja	5b
	sti				/* one too many would come now */
	nop
	nop
	cli
	fxsave	IMAGE + 512
	FINISH

mix:	MIX

/* Clobbers EAX, ECX, EDX. */
arm:
	incl	RESULT(3)
	cmpl	$0, PARAM(3)
	jne	1f
	movl	PARAM(2), %eax
	movl	%eax, INITIAL_COUNT
	ret
1:	rdtsc
	addl	PARAM(2), %eax
	adcl	$0, %edx
	movl	$0x6e0, %ecx		/* IA32_TSC_DEADLINE */
	wrmsr
	ret

line:
	incl	RESULT(0)
	jmp	1f
message:
	incl	RESULT(1)
1:	movl	$0, LAPIC_EOI
	RETURN
timer:
	pushl	%eax
	pushl	%ecx
	pushl	%edx
	incl	RESULT(2)
	cmpl	$0, STOPPING
	jne	1f
	call	arm
1:	movl	$0, LAPIC_EOI
	popl	%edx
	popl	%ecx
	popl	%eax
	RETURN
