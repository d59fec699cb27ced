/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Does what the harness says: reads commands from CTL_CMD, with arguments following, and answers on CTL_REPORT.
 *	0		end
 *	1 addr val	store 32 bits
 *	2 addr		load 32 bits, answer them
 *	5		let one interrupt in, answer its number or -1; with interrupts enabled CTL_STOP is read, so that a back end
 *			that looks for interrupts on its way into the guest has one
 *	6 number	end an interrupt
 */
#include "payload.h"
	GIC_ON
next:	ldr	w1, [x22, #CTL_CMD]
	cmp	w1, #1
	b.eq	store
	cmp	w1, #2
	b.eq	load
	cmp	w1, #5
	b.eq	window
	cmp	w1, #6
	b.eq	end
	FINISH
store:	ldr	w1, [x22, #CTL_CMD]
	ldr	w2, [x22, #CTL_CMD]
	str	w2, [x1]
	b	next
load:	ldr	w1, [x22, #CTL_CMD]
	ldr	w2, [x1]
	b	report
end:	ldr	w1, [x22, #CTL_CMD]
	msr	ICC_EOIR1_EL1, x1
	isb
	b	next
window:	MOV32	x2, 0xffffffff
	movz	x3, #20
	msr	daifclr, #2
	isb
	ldr	w4, [x22, #CTL_STOP]
1:	subs	x3, x3, #1
	b.ne	1b
	msr	daifset, #2
report:	str	w2, [x22, #CTL_REPORT]
	b	next
taken:
	mrs	x13, ICC_IAR1_EL1
	add	x2, x13, #0
	mrs	x13, spsr_el1		/* the interrupted code goes on with interrupts off */
	orr	x13, x13, #0x80
	msr	spsr_el1, x13
	eret
	VECTORS	taken
