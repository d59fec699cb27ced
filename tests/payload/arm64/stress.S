/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stress.S - for stress.c: translation on, exceptions and interrupts, what is to be exact instructions.
 */
#include "payload.h"
	.arch	armv8.1-a+fp+simd

	MMU_ON
	mrs	x1, tcr_el1
	orr	x1, x1, #(1 << 36)		/* AS: tags of 16 bits */
	msr	tcr_el1, x1
	movz	x1, #0x30, lsl #16		/* CPACR_EL1.FPEN */
	msr	cpacr_el1, x1
	msr	tpidr_el1, x19
	ADDR	x1, vectors
	msr	vbar_el1, x1
	isb
	ADDR	x1, stacks
	add	x2, x19, #1
	add	x1, x1, x2, lsl #14
	mov	sp, x1
	mov	w0, w19
	bl	stress_main
	b	.

	.text
irq:	sub	sp, sp, #192
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x30, [sp, #144]
	mrs	x0, elr_el1
	mrs	x1, spsr_el1
	stp	x0, x1, [sp, #160]
	bl	arm64_interrupt
	ldp	x0, x1, [sp, #160]
	msr	elr_el1, x0
	msr	spsr_el1, x1
	ldp	x0, x1, [sp]
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x30, [sp, #144]
	add	sp, sp, #192
	eret

	/* A probe's, of the address in X0: X2 is free there. */
sync:	sub	sp, sp, #32
	stp	x3, x4, [sp]
	mrs	x3, elr_el1
	ADDR	x4, read_at
	cmp	x3, x4
	b.eq	1f
	ADDR	x4, add_at
	cmp	x3, x4
	b.ne	2f
1:	mrs	x3, far_el1
	cmp	x3, x0
	b.ne	2f
	ADDR	x3, faulted
	msr	elr_el1, x3
	ldp	x3, x4, [sp]
	add	sp, sp, #32
	eret
2:	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	b	arm64_unexpected

	VECTORS	irq, sync

	.globl	md_probe_read
md_probe_read:
read_at:
	ldr	x2, [x0]
	str	x2, [x1]
	mov	w0, #0
	ret
	.globl	md_probe_add
md_probe_add:
	mov	x1, #1
add_at:	ldadd	x1, x2, [x0]
	mov	w0, #0
	ret
faulted:
	mov	w0, #1
	ret

	/* X0 in, X1 out, X2 rounds. */
	.globl	md_work
md_work:
	sub	sp, sp, #160
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	stp	x19, x20, [sp]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	ldp	q0, q1, [x0]
	ldp	q2, q3, [x0, #32]
	ldp	q4, q5, [x0, #64]
	ldp	q6, q7, [x0, #96]
	ldp	q8, q9, [x0, #128]
	ldp	q16, q17, [x0, #160]
	ldp	q30, q31, [x0, #192]
	ldp	x3, x4, [x0, #256]
	ldp	x5, x6, [x0, #272]
	ldp	x7, x8, [x0, #288]
	ldp	x9, x10, [x0, #304]
	ldp	x11, x12, [x0, #320]
	ldp	x13, x14, [x0, #336]
	ldp	x15, x16, [x0, #352]
	ldp	x17, x19, [x0, #368]
	ldp	x20, x21, [x0, #384]
	ldp	x22, x23, [x0, #400]
	ldp	x24, x25, [x0, #416]
	ldp	x26, x27, [x0, #432]
	ldp	x28, x29, [x0, #448]
	ldr	x30, [x0, #464]
1:	adds	x3, x3, x4
	adcs	x4, x4, x5
	ror	x5, x5, #13
	eor	x5, x5, x6
	mul	x6, x6, x7
	add	x7, x7, x8, lsl #4
	sbcs	x8, x8, x9
	str	x8, [x1, #480]
	eor	x9, x9, x10
	ldr	x12, [x1, #480]
	csel	x10, x10, x11, mi
	umulh	x11, x11, x12
	madd	x13, x14, x15, x13
	rev	x14, x14
	extr	x15, x15, x16, #9
	lslv	x16, x16, x17
	add	x16, x16, x19
	sub	x17, x17, x20
	ccmp	x17, x21, #5, ne
	cinc	x19, x19, hs
	orn	x20, x20, x22
	eon	x21, x21, x23
	bfi	x22, x24, #7, #20
	clz	x23, x25
	add	x24, x24, x26
	add	x25, x25, x27
	eor	x26, x26, x28
	add	x27, x27, x29
	add	x28, x28, x30
	add	x29, x29, x3
	rbit	x30, x30
	add	v0.2d, v0.2d, v1.2d
	eor	v1.16b, v1.16b, v2.16b
	fmul	v2.2d, v2.2d, v3.2d
	ext	v3.16b, v3.16b, v4.16b, #5
	add	v4.4s, v4.4s, v5.4s
	str	q4, [x1, #496]
	fadd	v6.4s, v6.4s, v7.4s
	ushr	v7.2d, v7.2d, #3
	umull	v8.2d, v8.2s, v9.2s
	ldr	q9, [x1, #496]
	mla	v16.8h, v17.8h, v30.8h
	cmgt	v17.4s, v17.4s, v31.4s
	sub	v30.16b, v30.16b, v0.16b
	fmla	v31.2d, v2.2d, v9.2d
	subs	x2, x2, #1
	b.ne	1b
	stp	q0, q1, [x1]
	stp	q2, q3, [x1, #32]
	stp	q4, q5, [x1, #64]
	stp	q6, q7, [x1, #96]
	stp	q8, q9, [x1, #128]
	stp	q16, q17, [x1, #160]
	stp	q30, q31, [x1, #192]
	stp	x3, x4, [x1, #256]
	stp	x5, x6, [x1, #272]
	stp	x7, x8, [x1, #288]
	stp	x9, x10, [x1, #304]
	stp	x11, x12, [x1, #320]
	stp	x13, x14, [x1, #336]
	stp	x15, x16, [x1, #352]
	stp	x17, x19, [x1, #368]
	stp	x20, x21, [x1, #384]
	stp	x22, x23, [x1, #400]
	stp	x24, x25, [x1, #416]
	stp	x26, x27, [x1, #432]
	stp	x28, x29, [x1, #448]
	str	x30, [x1, #464]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	ldp	x19, x20, [sp]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	add	sp, sp, #160
	ret

	/* W0 the processor, W1 the number.  A copy for each. */
	.globl	md_self
md_self:
	ADDR	x2, selves
	add	x2, x2, x0, lsl #6
	br	x2
	.balign	64
selves:
	.rept	4
	.balign	64
	movz	w3, #0x5280, lsl #16		/* mov w0, #0 */
	orr	w3, w3, w1, lsl #5
	adr	x4, 1f
	str	w3, [x4]
	dc	cvau, x4
	dsb	ish
	ic	ivau, x4
	dsb	ish
	isb
	nop
1:	mov	w0, #0
	ret
	.endr

	.bss
	.balign	16384
stacks:	.skip	4 * 16384
