/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * anywhere.S - a bit of everything, to be saved and taken up again at any instruction: timer interrupts, SGIs from the other vCPU and
 * LPIs, floating point and SIMD, exclusives and LSE between vCPUs, accesses across pages, code that changes itself, waits.
 * PARAM(0): rounds; PARAM(1): period of the virtual timer; PARAM(2): vCPUs; PARAM(3): there is an ITS.  Each vCPU leaves a hash of what it
 * computed in RESULT(n), the timer interrupts that it took in RESULT(4 + n), SGIs in RESULT(8 + n), LPIs in RESULT(12 + n) and a hash
 * of the order they came in in RESULT(16 + n).
 *
 * X23 is the hash, X24 the generator, X25 the vCPU's buffer, X26 the round, X27 what is shared, X28 where the next ITS command goes.
 */
#include "payload.h"

#define	READY		ARENA
#define	SHARED		(ARENA + 0x40)

#define	GICD_CTLR	0x08000000
#define	GICR_SGI	0x080b0000
#define	ITS		0x08080000
#define	ICC_SGI1R_EL1	S3_0_C12_C11_5
#define	TIMER_INTID	27
#define	LPI		8192

/* The ITS' tables, and its queue of 128 commands. */
#define	LPI_CONFIG	0x40800000
#define	LPI_PENDING(n)	(0x40810000 + 0x10000 * (n))
#define	QUEUE		0x40850000
#define	DEVICES		0x40860000
#define	COLLECTIONS	0x40870000
#define	ITT		0x40880000
#define	DEVICE		8
#define	NEVENTS		4
#define	NCOMMANDS	7			/* to begin with */
#define	VALID		(1 << 63)

	MMU_ON
	movz	x1, #0x30, lsl #16		/* CPACR_EL1.FPEN */
	msr	cpacr_el1, x1
	isb
	MOV32	x1, READY
	cbnz	x19, 2f
	ldr	x2, [x20, #PARAM(3)]
	cbz	x2, 1f
	bl	its_on
1:	MOV32	x1, READY
	movz	w2, #1
	stlr	w2, [x1]
2:	yield
	ldar	w2, [x1]
	cbz	w2, 2b

	GIC_ON
	MOV32	x1, GICD_CTLR
	movz	w2, #0x13			/* affinity routing, both groups */
	str	w2, [x1]
	MOV32	x1, GICR_SGI
	add	x1, x1, x19, lsl #17
	movn	w2, #0
	str	w2, [x1, #0x80]			/* IGROUPR0 */
	MOV32	x2, 0xa0a0a0a0
	str	w2, [x1, #0x400]		/* IPRIORITYR */
	str	w2, [x1, #(0x400 + 24)]
	MOV32	x2, (1 << TIMER_INTID | 1)
	str	w2, [x1, #0x100]		/* ISENABLER0 */
	mrs	x1, cntvct_el0
	ldr	x2, [x20, #PARAM(1)]
	add	x1, x1, x2
	msr	cntv_cval_el0, x1
	movz	x1, #1
	msr	cntv_ctl_el0, x1

	MOV32	x24, 0x9e3779b9
	add	x24, x24, x19
	movz	x23, #0
	add	x1, x19, #1
	MOV32	x25, ARENA
	add	x25, x25, x1, lsl #16
	MOV32	x27, SHARED
	movz	x26, #0
	movz	x28, #(32 * NCOMMANDS)
	scvtf	d6, w24
	dup	v7.2d, x24
	MOV32	x9, 0x19660d
	MOV32	x10, 0x3c6ef35f

round:	mul	x24, x24, x9
	add	x24, x24, x10
	/* Interrupts come now, or wait. */
	msr	daifset, #2
	tbz	x24, #20, 1f
	msr	daifclr, #2
1:
	/* integers */
	orr	w1, w24, #1
	udiv	x2, x24, x1
	msub	x3, x2, x1, x24
	adds	x23, x23, x2
	adc	x23, x23, x3
	ror	x23, x23, #57
	umulh	x1, x23, x24
	ccmp	x1, x2, #3, ne
	csinc	x1, x1, x2, hi
	eor	x23, x23, x1
	rbit	x1, x23
	clz	x1, x1
	lsl	x1, x24, x1
	add	x23, x23, x1

	/* floating point, the rounding mode changing */
	and	x1, x24, #(3 << 22)
	msr	fpcr, x1
	scvtf	d0, w24
	fmul	d1, d0, d6
	fadd	d6, d6, d0
	fabs	d2, d1
	fsqrt	d2, d2
	fdiv	d3, d0, d2
	fmadd	d4, d3, d0, d1
	fcvt	s5, d4
	fcvtzs	x1, d4
	fmov	w2, s5
	eor	x23, x23, x1
	add	x23, x23, x2
	mrs	x1, fpsr
	add	x23, x23, x1
	msr	fpsr, xzr
	fcmp	d0, d6
	cinc	x23, x23, mi

	/* SIMD, and loads and stores of its registers, also across a page */
	add	v7.2d, v7.2d, v2.2d
	ext	v3.16b, v7.16b, v7.16b, #7
	eor	v7.16b, v7.16b, v3.16b
	umull	v4.2d, v7.2s, v3.2s
	mla	v4.4s, v7.4s, v3.4s
	uqadd	v5.8h, v4.8h, v7.8h
	addv	s1, v5.4s
	add	x1, x25, #0xff0
	str	q7, [x1, #8]!
	stp	q4, q5, [x1, #-0x30]
	ld2	{v16.4s, v17.4s}, [x1], #32
	st4	{v4.8b, v5.8b, v6.8b, v7.8b}, [x1]
	ldur	q18, [x1, #3]
	eor	v16.16b, v16.16b, v18.16b
	umov	x2, v16.d[1]
	fmov	w3, s1
	add	x23, x23, x2
	eor	x23, x23, x3

	/* copies, and zeros */
	add	x1, x25, #0x2000
	add	x2, x25, #0x3000
	add	x2, x2, #0xff1
	and	x3, x24, #31
	stp	x23, x24, [x1, #16]
1:	ldp	x4, x5, [x1], #16
	stp	x4, x5, [x2], #16
	stp	w4, w5, [x1, #0x80]
	sub	x3, x3, #1
	tbz	x3, #63, 1b
	sub	x2, x2, #0x100
	dc	zva, x2
	ldrsw	x4, [x25, x26, lsl #2]
	add	x23, x23, x4

	/* exclusives and atomics */
1:	ldaxr	x1, [x27]
	add	x1, x1, #1
	stlxr	w2, x1, [x27]
	cbnz	w2, 1b
	add	x23, x23, x1
	add	x3, x27, #16
1:	ldxp	x1, x2, [x3]
	add	x1, x1, x24
	eor	x2, x2, x1
	stxp	w4, x1, x2, [x3]
	cbnz	w4, 1b
	eor	x23, x23, x2
	add	x3, x27, #32
	ldaddal	x24, x1, [x3]
	swp	x24, x2, [x3]
	eor	x23, x23, x1
	add	x23, x23, x2
	movz	x4, #0
	movz	x5, #0
	add	x6, x24, #0
	add	x7, x23, #0
	caspal	x4, x5, x6, x7, [x3]
	add	x23, x23, x5

	/* code that changes: of both vCPUs, so that which value is seen is a matter of their turns, and right behind */
	movz	w1, #0x5280, lsl #16		/* MOVZ W0, #imm */
	bfi	w1, w24, #5, #16
	ADDR	x2, patch1
	bl	patch
	blr	x2
	add	x23, x23, x0
	lsr	x4, x24, #9
	bfi	w1, w4, #5, #16
	ADDR	x2, patch2
	bl	patch
patch2:	movz	w0, #0
	add	x23, x23, x0

	tst	x26, #7
	b.ne	1f
	bl	signal
1:	tst	x26, #63
	b.ne	1f
	MOV32	x1, MMIO_PROBE
	str	w23, [x1]
	wfi
1:	add	x26, x26, #1
	ldr	x1, [x20, #PARAM(0)]
	cmp	x26, x1
	b.lo	round

	msr	daifset, #2
	add	x1, x21, x19, lsl #3
	str	x23, [x1]
	FINISH

	.balign	64
patch1:	movz	w0, #0
	ret

/* Store the instruction W1 at X2 (B2.2.5). */
patch:	str	w1, [x2]
	dc	cvau, x2
	dsb	ish
	ic	ivau, x2
	dsb	ish
	isb
	ret

/* An SGI to the other vCPU; with an ITS, vCPU 0 makes an event happen by INT and moves one to the other vCPU by MOVI. */
signal:	movz	x1, #2
	lsr	x1, x1, x19
	msr	ICC_SGI1R_EL1, x1
	ldr	x1, [x20, #PARAM(3)]
	cbz	x1, 1f
	cbnz	x19, 1f
	MOV32	x1, QUEUE
	movz	x2, #0x03			/* INT */
	movk	x2, #DEVICE, lsl #32
	and	x3, x24, #(NEVENTS - 1)
	add	x4, x1, x28
	stp	x2, x3, [x4]
	add	x28, x28, #32
	and	x28, x28, #0xfff
	movz	x2, #0x01			/* MOVI */
	movk	x2, #DEVICE, lsl #32
	lsr	x3, x24, #8
	and	x3, x3, #(NEVENTS - 1)
	add	x4, x1, x28
	stp	x2, x3, [x4]
	lsr	x3, x24, #16
	and	x3, x3, #1
	str	x3, [x4, #16]
	add	x28, x28, #32
	and	x28, x28, #0xfff
	MOV32	x1, ITS
	str	x28, [x1, #0x88]		/* GITS_CWRITER */
1:	ret

/* Commands into the queue, LPIs enabled, registers set (IHI 0069 chapter 5). */
its_on:	MOV32	x1, LPI_CONFIG
	MOV32	x2, 0xa1a1a1a1
	str	w2, [x1]
	MOV32	x1, QUEUE
	ADDR	x2, commands
	ADDR	x3, commands_end
1:	ldp	x4, x5, [x2], #16
	stp	x4, x5, [x1], #16
	cmp	x2, x3
	b.lo	1b
	dsb	ish
	ADDR	x2, its_regs
1:	ldp	x1, x3, [x2], #16
	cbz	x1, 2f
	str	x3, [x1]
	b	1b
2:	ret

	.balign	16
commands:
	.quad	0x09, 0, VALID | 0x00000, 0				/* MAPC: collection n to processor n */
	.quad	0x09, 0, VALID | 0x10001, 0
	.quad	DEVICE << 32 | 0x08, 4, VALID | ITT, 0			/* MAPD */
	.quad	DEVICE << 32 | 0x0a, (LPI + 0) << 32 | 0, 0, 0		/* MAPTI */
	.quad	DEVICE << 32 | 0x0a, (LPI + 1) << 32 | 1, 0, 0
	.quad	DEVICE << 32 | 0x0a, (LPI + 2) << 32 | 2, 1, 0
	.quad	DEVICE << 32 | 0x0a, (LPI + 3) << 32 | 3, 1, 0
commands_end:
its_regs:
	.quad	0x080a0070, LPI_CONFIG | 15, 0x080a0078, LPI_PENDING(0) | 1 << 62, 0x080a0000, 1	/* GICR_PROPBASER, */
	.quad	0x080c0070, LPI_CONFIG | 15, 0x080c0078, LPI_PENDING(1) | 1 << 62, 0x080c0000, 1	/* PENDBASER, CTLR */
	.quad	ITS + 0x100, VALID | DEVICES, ITS + 0x108, VALID | COLLECTIONS, ITS + 0x80, VALID | QUEUE
	.quad	ITS, 1, ITS + 0x88, 32 * NCOMMANDS, 0, 0

interrupt:
	stp	x0, x1, [sp, #-32]!
	stp	x2, x3, [sp, #16]
	mrs	x0, ICC_IAR1_EL1
	add	x1, x21, x19, lsl #3
	cmp	x0, #16
	b.lo	1f
	cmp	x0, #TIMER_INTID
	b.eq	2f
	movz	x2, #LPI
	cmp	x0, x2
	b.lo	4f				/* it went away */
	add	x1, x1, #RESULT(12)
	b	3f
1:	add	x1, x1, #RESULT(8)
	b	3f
2:	mrs	x2, cntv_cval_el0
	ldr	x3, [x20, #PARAM(1)]
	add	x2, x2, x3
	add	x2, x2, x19
	msr	cntv_cval_el0, x2
	isb
	add	x1, x1, #RESULT(4)
3:	ldr	x2, [x1]
	add	x2, x2, #1
	str	x2, [x1]
	add	x1, x21, x19, lsl #3
	ldr	x2, [x1, #RESULT(16)]
	add	x2, x2, x2, lsl #5
	add	x2, x2, x0
	str	x2, [x1, #RESULT(16)]
	msr	ICC_EOIR1_EL1, x0
4:	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp], #32
	eret

	VECTORS	interrupt
