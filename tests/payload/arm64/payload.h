/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload.h - what the arm64 test payloads share.
 *
 * Entered at EL1h with the MMU off and interrupts masked, at 0x40080000; SP 0x40080000 - 0x1000 * n and X0 n for vCPU n.
 *
 * X19 is the vCPU, X20 the parameters, X21 the results, X22 the control block.
 */
#define	PARAM(n)	(8 * (n))		/* off X20; set by the harness */
#define	RESULT(n)	(8 * (n))		/* off X21; read by the harness */
#define	PARAMS		0x40006000
#define	RESULTS		0x40006800
#define	STORES		0x40007000		/* pairs of address and value, up to address 0 */
#define	ARENA		0x40100000		/* data pages */
#define	TABLES		0x40400000		/* MMU_ON: a page */

#define	MMIO_EXIT	0x09ff0000		/* a byte written ends the vCPU */
#define	MMIO_CTL	0x09ff1000
#define	CTL_CMD		0			/* read the next command */
#define	CTL_REPORT	4			/* write an answer */
#define	CTL_STOP	8			/* read: time to stop? */
#define	CTL_ACK		12			/* write: an interrupt was seen */
#define	MMIO_PROBE	0x09fe0000		/* nobody's */
#define	MMIO_BELL	0x09fd0000

#define	GICR_WAKER	0x080a0014

#define	ICC_PMR_EL1	S3_0_C4_C6_0
#define	ICC_IAR1_EL1	S3_0_C12_C12_0
#define	ICC_EOIR1_EL1	S3_0_C12_C12_1
#define	ICC_CTLR_EL1	S3_0_C12_C12_4
#define	ICC_SRE_EL1	S3_0_C12_C12_5
#define	ICC_IGRPEN1_EL1	S3_0_C12_C12_7

/* A 32-bit constant. */
	.macro	MOV32 reg, val
	movz	\reg, #((\val) & 0xffff)
	movk	\reg, #(((\val) >> 16) & 0xffff), lsl #16
	.endm

/* The address of a symbol. */
	.macro	ADDR reg, sym
	movz	\reg, #:abs_g1:\sym
	movk	\reg, #:abs_g0_nc:\sym
	.endm

/* End this vCPU.  Clobbers X16, X17. */
	.macro	FINISH
	MOV32	x16, MMIO_EXIT
	movz	w17, #0
	strb	w17, [x16]
9:	wfi
	b	9b
	.endm

/* Do the harness' stores, then make the CPU interface take every group 1 interrupt (GICv3 chapters 8 and 12). */
	.macro	GIC_ON
	MOV32	x1, GICR_WAKER
	add	x1, x1, x19, lsl #17		/* redistributors are 128 KiB apart */
	str	wzr, [x1]
1:	ldr	w2, [x1]
	tbnz	w2, #2, 1b
	movz	x2, #1
	msr	ICC_SRE_EL1, x2
	isb
	movz	x2, #0xff
	msr	ICC_PMR_EL1, x2
	msr	ICC_CTLR_EL1, xzr
	movz	x2, #1
	msr	ICC_IGRPEN1_EL1, x2
	isb
	MOV32	x1, STORES
2:	ldp	x2, x3, [x1]
	cbz	x2, 3f
	str	w3, [x2]
	add	x1, x1, #16
	b	2b
3:	ADDR	x1, vectors
	msr	vbar_el1, x1
	isb
	.endm

/*
 * Identity map of the first 2 GiB for EL1, in blocks of 1 GiB: Device memory below, Normal cacheable memory from 0x40000000 (Arm ARM D5.3;
 * 4 KiB granule, 39 bits of address).  Every vCPU does it, and stores the same.  Clobbers X1 to X3.
 */
	.macro	MMU_ON
	MOV32	x1, TABLES
	movz	x2, #0x401			/* block, attributes 0, AF */
	MOV32	x3, 0x40000705			/* block, attributes 1, Inner Shareable, AF */
	stp	x2, x3, [x1]
	msr	ttbr0_el1, x1
	movz	x1, #0xff00			/* 0: Device-nGnRnE; 1: Normal, write-back */
	msr	mair_el1, x1
	MOV32	x1, 0x803519			/* T0SZ 25, write-back tables, Inner Shareable, no TTBR1_EL1 */
	msr	tcr_el1, x1
	dsb	ish
	isb
	mrs	x1, sctlr_el1
	movz	x2, #0x1005			/* I, C, M */
	orr	x1, x1, x2
	msr	sctlr_el1, x1
	isb
	.endm

/*
 * The vector table: interrupts, and synchronous exceptions if one is named, at EL1 with SP_EL1; synchronous exceptions from EL0
 * (Arm ARM D1.3.1).
 */
	.macro	VECTOR to=.
	b	\to
	.balign	128
	.endm
	.macro	VECTORS irq=., sync=., user=.
	.balign	2048
vectors:
	.rept	4
	VECTOR
	.endr
	VECTOR	\sync
	VECTOR	\irq
	VECTOR
	VECTOR
	VECTOR	\user
	.rept	7
	VECTOR
	.endr
	.endm

/*
 * Of round i, which is on top of the stack, the first half: h = h * 33 + i; table[i mod 16] ^= h.  h is W1, the table at X3.  A function, where it stands.
 * Clobbers X5, X6.
 */
	.macro	MIX
	movz	w5, #33
	mul	w1, w1, w5
	ldr	w5, [sp]
	add	w1, w1, w5
	and	w5, w5, #15
	add	x5, x3, x5, lsl #2
	ldr	w6, [x5]
	eor	w6, w6, w1
	str	w6, [x5]
	ret
	.endm

/* Wait for interrupts until RESULT(0) is PARAM(0).  An interrupt between the look and the WFI ends the WFI. */
	.macro	WAIT_COUNT
4:	msr	daifset, #2
	ldr	x1, [x21, #RESULT(0)]
	ldr	x2, [x20, #PARAM(0)]
	cmp	x1, x2
	b.hs	5f
	wfi
	msr	daifclr, #2
	isb
	b	4b
5:
	.endm

	.arch_extension lse
	.text
	.globl	_start
_start:
	add	x19, x0, #0
	MOV32	x20, PARAMS
	MOV32	x21, RESULTS
	MOV32	x22, MMIO_CTL
