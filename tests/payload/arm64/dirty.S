/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stores in pages of the arena, picked by a linear congruential generator seeded with PARAM(4 + vCPU), among pages masked by PARAM(0)
 * (an address mask), at the vCPU's own words of the page, or over the page's end; of every kind there is: single ones, pairs, SIMD, release,
 * exclusive, atomic, zeroing.  Asks CTL_STOP after every PARAM(1) stores.
 *
 * X6 is the value, X8 an address of 4 bytes, X9 one of 64, X10 the page's last 8 bytes.
 */
#include "payload.h"
	MMU_ON
	movz	x1, #0x30, lsl #16		/* CPACR_EL1.FPEN */
	msr	cpacr_el1, x1
	ADDR	x1, vectors
	msr	vbar_el1, x1
	isb
	add	x1, x20, x19, lsl #3
	ldr	x1, [x1, #PARAM(4)]
	MOV32	x2, 1664525
	MOV32	x3, 1013904223
	MOV32	x4, ARENA
	ldr	x5, [x20, #PARAM(0)]
	movz	x6, #1
	ADDR	x15, kinds
1:	ldr	x7, [x20, #PARAM(1)]
2:	mul	x1, x1, x2
	add	x1, x1, x3
	and	x8, x5, x1, lsr #16
	add	x8, x8, x4
	add	x10, x8, #0xff8
	add	x8, x8, x19, lsl #8		/* own 256 bytes of each page */
	and	x9, x1, #0xc0
	add	x9, x8, x9
	and	x11, x1, #0xfc
	add	x8, x8, x11
	dup	v0.2d, x6
	dup	v1.2d, x6
	dup	v2.2d, x6
	dup	v3.2d, x6
	lsr	x11, x1, #33
	and	x11, x11, #31
	ldr	w11, [x15, x11, lsl #2]
	blr	x11
	add	x6, x6, #1
	subs	x7, x7, #1
	b.ne	2b
	ldr	w11, [x22, #CTL_STOP]
	cbz	w11, 1b
	add	x1, x21, x19, lsl #3
	str	x6, [x1]
	FINISH

	.macro	KIND label, insns:vararg
\label:	\insns
	ret
	.endm
	.macro	KINDS label, insns
\label:	\insns
	ret
	.endm
	KIND	str_w, str w6, [x8]
	KIND	str_b, strb w6, [x8, #1]
	KIND	str_h, strh w6, [x8], #2
	KIND	str_x, str x6, [x9, #8]!
	KIND	stur_x, stur x6, [x9, #13]
	KIND	str_reg, str x6, [x9, x19, lsl #3]
	KIND	stp_x, stp x6, x6, [x9, #16]
	KIND	stp_w, stp w6, w6, [x8], #8
	KIND	stnp_x, stnp x6, x6, [x9, #32]
	KIND	str_q, str q0, [x9, #48]
	KIND	str_d, str d0, [x9]
	KIND	stp_q, stp q0, q1, [x9]
	KIND	st1_4, st1 {v0.16b, v1.16b, v2.16b, v3.16b}, [x9]
	KIND	st4_4, st4 {v0.4s, v1.4s, v2.4s, v3.4s}, [x9]
	KIND	st1_lane, st1 {v0.s}[2], [x8]
	KIND	stlr_w, stlr w6, [x8]
	KIND	stlr_x, stlr x6, [x9]
	KINDS	stx_w, "ldxr w12, [x8]; stxr w13, w6, [x8]"
	KINDS	stx_x, "ldaxr x12, [x9]; stlxr w13, x6, [x9]"
	KINDS	stx_p, "ldxp x12, x13, [x9]; stxp w14, x6, x6, [x9]"
	KIND	add_w, ldadd w6, w12, [x8]
	KIND	add_x, stadd x6, [x9]
	KIND	swp_x, swpal x6, x12, [x9]
	KIND	max_b, ldumaxb w6, w12, [x8]
	KINDS	cas_x, "ldr x12, [x9]; cas x12, x6, [x9]"
	KINDS	cas_p, "ldp x12, x13, [x9]; add x16, x6, #0; add x17, x6, #0; casp x12, x13, x16, x17, [x9]"
	KIND	zero, dc zva, x9
	KIND	over_x, stur x6, [x10, #3]
	KIND	over_h, sturh w6, [x10, #7]
	KIND	over_p, stp x6, x6, [x10]
	KIND	over_q, stp q0, q1, [x10, #-16]
	KINDS	over_4, "sub x10, x10, #24; st4 {v0.4s, v1.4s, v2.4s, v3.4s}, [x10]"
	.balign	4
kinds:	.word	str_w, str_b, str_h, str_x, stur_x, str_reg, stp_x, stp_w, stnp_x, str_q, str_d, stp_q, st1_4, st4_4, st1_lane, stlr_w
	.word	stlr_x, stx_w, stx_x, stx_p, add_w, add_x, swp_x, max_b, cas_x, cas_p, zero, over_x, over_h, over_p, over_q, over_4

/*
 * Exclusives and atomics need memory that can be written: elsewhere they are passed over (D13.2.37: DFSC 0x35).  So is all that a hypervisor
 * does not do for the processor there (DFSC 0x10, external abort).
 */
fault:	mrs	x16, esr_el1
	and	x17, x16, #0x3f
	lsr	x16, x16, #26
	and	x16, x16, #0x3f		/* kernels such as 6.1 extend the sign of an abort's syndrome */
	cmp	x16, #0x25
	b.ne	.
	cmp	x17, #0x10
	b.eq	1f
	cmp	x17, #0x35
	b.ne	.
1:	mrs	x16, elr_el1
	add	x16, x16, #4
	msr	elr_el1, x16
	eret
	VECTORS	., fault
