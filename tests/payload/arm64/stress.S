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
	/* What a function may change; what it keeps; what md_work() works on: to and from memory. */
	.macro	CALLERS op
	\op	x0, x1, [sp]
	\op	x2, x3, [sp, #16]
	\op	x4, x5, [sp, #32]
	\op	x6, x7, [sp, #48]
	\op	x8, x9, [sp, #64]
	\op	x10, x11, [sp, #80]
	\op	x12, x13, [sp, #96]
	\op	x14, x15, [sp, #112]
	\op	x16, x17, [sp, #128]
	\op	x18, x30, [sp, #144]
	.endm
	.macro	CALLEES op
	\op	d8, d9, [sp, #96]
	\op	d10, d11, [sp, #112]
	\op	d12, d13, [sp, #128]
	\op	d14, d15, [sp, #144]
	\op	x19, x20, [sp]
	\op	x21, x22, [sp, #16]
	\op	x23, x24, [sp, #32]
	\op	x25, x26, [sp, #48]
	\op	x27, x28, [sp, #64]
	\op	x29, x30, [sp, #80]
	.endm
	.macro	WORDS pair, one, base
	\pair	q0, q1, [\base]
	\pair	q2, q3, [\base, #32]
	\pair	q4, q5, [\base, #64]
	\pair	q6, q7, [\base, #96]
	\pair	q8, q9, [\base, #128]
	\pair	q16, q17, [\base, #160]
	\pair	q30, q31, [\base, #192]
	\pair	x3, x4, [\base, #256]
	\pair	x5, x6, [\base, #272]
	\pair	x7, x8, [\base, #288]
	\pair	x9, x10, [\base, #304]
	\pair	x11, x12, [\base, #320]
	\pair	x13, x14, [\base, #336]
	\pair	x15, x16, [\base, #352]
	\pair	x17, x19, [\base, #368]
	\pair	x20, x21, [\base, #384]
	\pair	x22, x23, [\base, #400]
	\pair	x24, x25, [\base, #416]
	\pair	x26, x27, [\base, #432]
	\pair	x28, x29, [\base, #448]
	\one	x30, [\base, #464]
	.endm

irq:	sub	sp, sp, #192
	CALLERS	stp
	mrs	x0, elr_el1
	mrs	x1, spsr_el1
	stp	x0, x1, [sp, #160]
	bl	arm64_interrupt
	ldp	x0, x1, [sp, #160]
	msr	elr_el1, x0
	msr	spsr_el1, x1
	CALLERS	ldp
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
	CALLEES	stp
	WORDS	ldp, ldr, x0
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
	WORDS	stp, str, x1
	CALLEES	ldp
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
