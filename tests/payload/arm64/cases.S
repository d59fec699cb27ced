/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cases.S - executes cases of tests/diff_arm64 (case.h) at EL0, as its oracle does under Linux.  The harness has put words, each with
 * an SVC behind, into the page at SLOTS_AT.  PARAM(0): where the states before are; PARAM(1): after; PARAM(2): the window's contents
 * before; PARAM(3): after; PARAM(4): how many.  What the instruction ended with is told as the signal that Linux makes of it.
 */
#include "payload.h"

#define	HOST		ARENA			/* the parameters, as far as they were used */
#define	STATE_SIZE	816
#define	WINDOW		0x03000f80		/* 256 bytes over the end of a page */
#define	SLOTS		0x02000000
#define	SLOTS_AT	0x40300000
#define	WINDOW_AT	0x40310000

	/* Window and slots are EL0's, in pages; the rest EL1's (Arm ARM D5.3). */
	MOV32	x1, TABLES
	MOV32	x2, (TABLES + 0x1003)
	MOV32	x3, 0x40000705
	stp	x2, x3, [x1]
	add	x2, x1, #0x1000
	MOV32	x3, (TABLES + 0x2003)
	str	x3, [x2, #(8 * 16)]
	MOV32	x3, (TABLES + 0x3003)
	str	x3, [x2, #(8 * 24)]
	MOV32	x3, 0x09e00401			/* the control block and the exit byte */
	str	x3, [x2, #(8 * 79)]
	add	x2, x2, #0x1000
	MOV32	x3, (SLOTS_AT + 0x7c7)		/* read-only */
	str	x3, [x2]
	add	x2, x2, #0x1000
	MOV32	x3, (WINDOW_AT + 0x747)
	MOV32	x4, (WINDOW_AT + 0x1747)
	stp	x3, x4, [x2]
	msr	ttbr0_el1, x1
	movz	x1, #0xff00
	msr	mair_el1, x1
	MOV32	x1, 0x803519
	movk	x1, #0x20, lsl #32		/* the top byte is ignored, as Linux has it */
	msr	tcr_el1, x1
	movz	x1, #0x30, lsl #16
	msr	cpacr_el1, x1
	ADDR	x1, vectors
	msr	vbar_el1, x1
	dsb	ish
	isb
	mrs	x1, sctlr_el1
	movz	x2, #0x1005
	orr	x1, x1, x2
	msr	sctlr_el1, x1
	isb

	MOV32	x1, HOST
	ldp	x2, x3, [x20, #PARAM(0)]
	stp	x2, x3, [x1]
	ldp	x2, x3, [x20, #PARAM(2)]
	stp	x2, x3, [x1, #16]
	ldr	x2, [x20, #PARAM(4)]
	str	x2, [x1, #32]

next:	MOV32	x2, HOST
	ldr	x0, [x2, #32]
	cbz	x0, done
	ldr	x1, [x2, #16]
	MOV32	x3, WINDOW
	bl	copy
	ldr	x0, [x2]
	clrex
	ldr	x3, [x0, #768]
	movz	x4, #0x3c0			/* EL0, DAIF */
	orr	x3, x3, x4
	msr	spsr_el1, x3
	ldr	x3, [x0, #776]
	msr	fpcr, x3
	ldr	x3, [x0, #784]
	msr	fpsr, x3
	ldr	x3, [x0, #248]
	msr	sp_el0, x3
	ldr	x3, [x0, #(28 * 8)]
	msr	elr_el1, x3
	add	x3, x0, #256
	.irp	n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
	ldr	q\n, [x3], #32
	.endr
	add	x3, x0, #272
	.irp	n, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
	ldr	q\n, [x3], #32
	.endr
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	ldr	x\n, [x0, #(\n * 8)]
	.endr
	ldr	x0, [x0]
	eret

trap:	msr	tpidr_el1, x0
	MOV32	x0, HOST
	ldr	x0, [x0, #8]
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	str	x\n, [x0, #(\n * 8)]
	.endr
	mrs	x1, tpidr_el1
	str	x1, [x0]
	mrs	x1, sp_el0
	str	x1, [x0, #248]
	mrs	x1, spsr_el1
	and	x1, x1, #0xf0000000
	str	x1, [x0, #768]
	mrs	x1, fpcr
	str	x1, [x0, #776]
	mrs	x1, fpsr
	str	x1, [x0, #784]
	add	x1, x0, #256
	.irp	n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
	str	q\n, [x1], #32
	.endr
	add	x1, x0, #272
	.irp	n, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31
	str	q\n, [x1], #32
	.endr
	/* By ESR_EL1 (D13.2.37): SVC, undefined, data abort by alignment or else; anything else is shown as it is. */
	mrs	x1, esr_el1
	lsr	x2, x1, #26
	and	x1, x1, #0x3f
	movz	x3, #0
	movz	x4, #0
	cmp	x2, #0x15
	b.eq	1f
	movz	x3, #4
	cbz	x2, 1f
	add	x3, x2, #0x100
	cmp	x2, #0x24
	b.ne	1f
	mrs	x4, far_el1
	movz	x3, #7
	cmp	x1, #0x21
	b.eq	1f
	movz	x3, #11
1:	str	x3, [x0, #792]
	str	x4, [x0, #800]
	msr	fpcr, xzr
	MOV32	x2, HOST
	MOV32	x1, WINDOW
	ldr	x3, [x2, #24]
	bl	copy
	ldp	x0, x1, [x2]
	add	x0, x0, #STATE_SIZE
	add	x1, x1, #STATE_SIZE
	stp	x0, x1, [x2]
	ldp	x0, x1, [x2, #16]
	add	x0, x0, #256
	add	x1, x1, #256
	stp	x0, x1, [x2, #16]
	ldr	x0, [x2, #32]
	sub	x0, x0, #1
	str	x0, [x2, #32]
	b	next

/* 256 bytes from X1 to X3. */
copy:	.irp	at, 0, 32, 64, 96, 128, 160, 192, 224
	ldp	q0, q1, [x1, #\at]
	stp	q0, q1, [x3, #\at]
	.endr
	ret
done:	FINISH
	VECTORS	., ., trap
