/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Input PARAM(1) of the I/O APIC as vector 0x40, level if PARAM(2); ends after PARAM(0) interrupts, counted in RESULT(0).
 * Each interrupt writes PORT_ACK, where the device takes its reason away, and then ends the interrupt.
 */
#include "payload.h"
	GATE	0x40, line
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
	movl	PARAM(2), %eax
	andl	$1, %eax
	shll	$15, %eax		/* trigger mode */
	orl	$0x40, %eax
	movl	%eax, IOAPIC_WIN
	movl	$PORT_REPORT, %edx	/* ready */
	outl	%eax, %dx
	WAIT_COUNT
	FINISH
line:
	pushl	%eax
	pushl	%edx
	incl	RESULT(0)
	movl	$0x40, %eax
	movl	$PORT_ACK, %edx
	outl	%eax, %dx
	movl	$0, LAPIC_EOI
	popl	%edx
	popl	%eax
	RETURN
