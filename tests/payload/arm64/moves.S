/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Work whose end depends on all of it, while interrupts come at any place: the rounds of selfstate.S, until CTL_STOP says so, every 64th of
 * which looks there and every 1024th of which waits for an interrupt.  Then what is under way still comes.
 *
 * Edges of SPI PARAM(1) are counted in RESULT(0), of SPI 40 in RESULT(1), which end at PARAM(0) each; the virtual timer's interrupts in
 * RESULT(2), and how often it was armed in RESULT(3): once after each, for PARAM(2) counts.  RESULT(5) is the hash, RESULT(6) the rounds, RESULT(7)
 * how often time went back.  Vector registers are loaded from IMAGE and, in the end, stored behind it.
 */
#include "payload.h"

#define	IMAGE		(ARENA + 0x1000)	/* Q0 to Q31 */

	.macro	EVERY_Q op
	MOV32	x1, (IMAGE)
	.ifc	\op, stp
	add	x1, x1, #512
	.endif
	\op	q0, q1, [x1]
	\op	q2, q3, [x1, #32]
	\op	q4, q5, [x1, #64]
	\op	q6, q7, [x1, #96]
	\op	q8, q9, [x1, #128]
	\op	q10, q11, [x1, #160]
	\op	q12, q13, [x1, #192]
	\op	q14, q15, [x1, #224]
	\op	q16, q17, [x1, #256]
	\op	q18, q19, [x1, #288]
	\op	q20, q21, [x1, #320]
	\op	q22, q23, [x1, #352]
	\op	q24, q25, [x1, #384]
	\op	q26, q27, [x1, #416]
	\op	q28, q29, [x1, #448]
	\op	q30, q31, [x1, #480]
	.endm

	movz	x1, #0x30, lsl #16
	msr	cpacr_el1, x1			/* FPEN */
	isb
	EVERY_Q	ldp
	GIC_ON
	ldr	x10, [x20, #PARAM(2)]
	ldr	x9, [x20, #PARAM(1)]
	movz	x12, #0				/* told to stop */
	movz	x23, #0				/* the counter, when it was last read */
	mrs	x11, cntvct_el0
	bl	arm
	movz	x1, #1
	msr	cntv_ctl_el0, x1
	isb
	movz	w1, #1
	str	w1, [x22, #CTL_REPORT]		/* ready */

	MOV32	x1, 5381
	movz	x2, #0
	MOV32	x3, ARENA
	msr	daifclr, #2
1:	sub	sp, sp, #16
	str	x2, [sp]
	bl	mix
	ldr	x2, [sp]
	add	sp, sp, #16
	add	w5, w2, #5
	and	w5, w5, #15
	add	x5, x3, x5, lsl #2
	ldr	w6, [x5]
	add	w1, w1, w6
	add	x2, x2, #1
	and	w5, w2, #63
	cbnz	w5, 1b
	and	w5, w2, #1023
	cbnz	w5, 2f
	wfi
2:	isb
	mrs	x5, cntvct_el0
	cmp	x5, x23
	b.hs	3f
	ldr	x6, [x21, #RESULT(7)]
	add	x6, x6, #1
	str	x6, [x21, #RESULT(7)]
3:	add	x23, x5, #0
	ldr	w5, [x22, #CTL_STOP]
	cbz	w5, 1b

	str	x1, [x21, #RESULT(5)]
	str	x2, [x21, #RESULT(6)]
	movz	x12, #1
4:	ldr	x1, [x21, #RESULT(2)]
	ldr	x2, [x21, #RESULT(3)]
	cmp	x1, x2
	b.ne	4b
	ldr	x2, [x20, #PARAM(0)]
	ldr	x1, [x21, #RESULT(0)]
	cmp	x1, x2
	b.lo	4b
	ldr	x1, [x21, #RESULT(1)]
	cmp	x1, x2
	b.lo	4b
	isb
	msr	daifset, #2
	EVERY_Q	stp
	FINISH

mix:	MIX

/* X10 counts from X11 on. */
arm:
	add	x11, x11, x10
	msr	cntv_cval_el0, x11
	ldr	x14, [x21, #RESULT(3)]
	add	x14, x14, #1
	str	x14, [x21, #RESULT(3)]
	ret

	/* X13 to X15, X24 and X25 are the handler's: NZCV comes back with ERET. */
interrupt:
	mrs	x13, ICC_IAR1_EL1
	cmp	x13, #27
	b.eq	3f
	cmp	x13, #40
	b.eq	1f
	sub	x14, x13, #32
	cmp	x14, x9
	b.ne	2f				/* it went away */
	ldr	x14, [x21, #RESULT(0)]
	add	x14, x14, #1
	str	x14, [x21, #RESULT(0)]
	b	2f
1:	ldr	x14, [x21, #RESULT(1)]
	add	x14, x14, #1
	str	x14, [x21, #RESULT(1)]
2:	msr	ICC_EOIR1_EL1, x13
	eret
3:	ldr	x14, [x21, #RESULT(2)]
	add	x14, x14, #1
	str	x14, [x21, #RESULT(2)]
	cbz	x12, 4f
	msr	cntv_ctl_el0, xzr
	isb
	b	2b
4:	add	x15, x30, #0
	mrs	x11, cntvct_el0
	bl	arm
	isb
	add	x30, x15, #0
	b	2b
	VECTORS	interrupt
