/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ring of PARAM(1) vCPUs.  PARAM(0) times each adds 1 to RESULT(0), locked, sends the next one an interrupt, and halts until one came from the
 * vCPU before.  RESULT(1 + n) is 1 when vCPU n takes interrupts, and one more for each that it took: the next is not sent before, so that no
 * two become one.
 */
#include "payload.h"
	movl	%edi, %eax
	shll	$12, %eax
	leal	0x81000(%eax), %esp
	GATE	0x60, taken
	LAPIC_ON
	leal	1(%edi), %esi		/* the next one */
	cmpl	PARAM(1), %esi
	jb	1f
	xorl	%esi, %esi
1:	xorl	%ebp, %ebp		/* that were taken */
	movl	$1, RESULT(1)(,%edi,8)
2:	lock incl RESULT(0)
3:	pause
	cmpl	%ebp, RESULT(1)(,%esi,8)
	jbe	3b
	movl	%esi, %eax
	shll	$24, %eax
	movl	%eax, LAPIC + 0x310	/* ICR (SDM vol. 3 10.6.1): destination, */
	movl	$0x60, LAPIC + 0x300	/* and fixed delivery, edge */
4:	sti
	hlt
	jmp	4b
	/* Interrupts are taken at the HLT alone: there is nothing to return to. */
taken:
	movl	$0, LAPIC_EOI
	addl	$12, %esp
	incl	%ebp
	leal	1(%ebp), %eax
	movl	%eax, RESULT(1)(,%edi,8)
	cmpl	PARAM(0), %ebp
	jb	2b
	FINISH
