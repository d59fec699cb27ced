/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * litmus.S - memory-ordering tests.  PARAM(0): which, a row of tests below; PARAM(1): iterations; PARAM(2): vCPUs.
 *
 * In iteration i everyone meets at a barrier, does its part and meets again; a store stores i, so that "the new value" is i and the
 * old one is less, and nothing has to be cleared.  vCPU 0 then judges what was read, as up to four numbers in SEEN, by the shape's
 * table, and counts: RESULT(0): all new; RESULT(1): all old; RESULT(2): the outcome that the shape is about, which is for weak ordering
 * only; RESULT(3): iterations.
 *
 * X23 is i, X24 what the barrier has to reach, X25 and X26 are the places X and Y, X27 SEEN, X28 the vCPU's word in tests.
 */
#include "payload.h"

#define	BARRIER		0x200			/* off X25 */
#define	COUNT		0x300
#define	FAULTS		0x3a0			/* alignment faults */
#define	X		ARENA
#define	Y		(ARENA + 0x100)
#define	SEEN		(ARENA + 0x400)

	MMU_ON
	ADDR	x1, vectors
	msr	vbar_el1, x1
	isb
	movz	x23, #0
	movz	x24, #0
	MOV32	x25, X
	MOV32	x26, Y
	MOV32	x27, SEEN
	ldr	x1, [x20, #PARAM(0)]
	ADDR	x28, tests
	add	x28, x28, x1, lsl #5
	add	x28, x28, x19, lsl #2
again:	add	x23, x23, #1
	ldr	x1, [x20, #PARAM(1)]
	cmp	x23, x1
	b.hi	done
	bl	meet
	ldr	w1, [x28]
	br	x1

join:	bl	meet
	cbnz	x19, again
	ldr	x1, [x21, #RESULT(3)]
	add	x1, x1, #1
	str	x1, [x21, #RESULT(3)]
	ldr	w4, [x28, #16]			/* the shape's table */
	cbz	w4, again
	movz	x3, #0
	.irp	n, 3, 2, 1, 0
	ldr	w1, [x27, #(0x40 * \n)]
	cmp	w1, w23
	cset	w1, eq
	orr	w3, w1, w3, lsl #1
	.endr
	ldrb	w1, [x4, x3]
	tbnz	w1, #2, again
	add	x1, x21, x1, lsl #3
	ldr	x2, [x1]
	add	x2, x2, #1
	str	x2, [x1]
	b	again
done:	FINISH

meet:	ldr	x1, [x20, #PARAM(2)]
	add	x24, x24, x1
	movz	x1, #1
	add	x3, x25, #BARRIER
	ldaddal	x1, x2, [x3]
	movz	x4, #1000			/* turns without a pause, so that all leave at the same time */
1:	ldar	x2, [x3]
	cmp	x2, x24
	b.hs	2f
	subs	x4, x4, #1
	b.ne	1b
	yield
	movz	x4, #1
	b	1b
2:	ret

/* Ways to store i and to load.  Some clobber X2 and X3. */
	.macro	PLAIN_ST at
	str	w23, [\at]
	.endm
	.macro	REL_ST at
	stlr	w23, [\at]
	.endm
	.macro	SWP_ST at
	swpal	w23, w2, [\at]
	.endm
	.macro	CAS_ST at			/* any value that it meets is less */
1:	ldr	w2, [\at]
	add	w3, w2, #0
	casal	w2, w23, [\at]
	cmp	w2, w3
	b.ne	1b
	.endm
	.macro	EXCL_ST at
1:	ldaxr	w2, [\at]
	stlxr	w3, w23, [\at]
	cbnz	w3, 1b
	.endm
	.macro	PLAIN_LD reg, at
	ldr	\reg, [\at]
	.endm
	.macro	ACQ_LD reg, at
	ldar	\reg, [\at]
	.endm
	.macro	EXCL_LD reg, at
	ldaxr	\reg, [\at]
	.endm
	.macro	SAW reg, n
	str	\reg, [x27, #(0x40 * \n)]
	.endm

/* Store buffering: each stores and then loads what the other stores. */
	.macro	SB name, st, mid, ld
\name\()0:
	\st	x25
	\mid
	\ld	w1, x26
	SAW	w1, 0
	b	join
\name\()1:
	\st	x26
	\mid
	\ld	w1, x25
	SAW	w1, 1
	b	join
	.endm

/* Message passing: data and flag are stored; flag and data are loaded.  dep: the load of the data depends on the flag's value. */
	.macro	MP name, st, stmid, ld, ldmid, dep=0
\name\()0:
	str	w23, [x25]
	\stmid
	\st	x26
	b	join
\name\()1:
	\ld	w1, x26
	\ldmid
	.if \dep
	eor	w3, w1, w1
	ldr	w2, [x25, x3]
	.else
	ldr	w2, [x25]
	.endif
	SAW	w1, 0
	SAW	w2, 1
	b	join
	.endm

/* Load buffering: each loads and then stores what the other loads.  dep: the stored value depends on the loaded one. */
	.macro	LB name, ld, mid, st, dep=0
\name\()0:
	LBPART	\ld, "\mid", \st, \dep, x25, x26, 0
\name\()1:
	LBPART	\ld, "\mid", \st, \dep, x26, x25, 1
	.endm
	.macro	LBPART ld, mid, st, dep, from, to, n
	\ld	w1, \from
	\mid
	.if \dep
	eor	w3, w1, w1
	orr	w3, w3, w23
	str	w3, [\to]
	.else
	\st	\to
	.endif
	SAW	w1, \n
	b	join
	.endm

/* Independent reads of independent writes: two store, two load both in opposite order. */
	.macro	IRIW name, st, ld, mid, dep=0
\name\()0:
	\st	x25
	b	join
\name\()1:
	\st	x26
	b	join
\name\()2:
	IRPART	\ld, "\mid", \dep, x25, x26, 0, 1
\name\()3:
	IRPART	\ld, "\mid", \dep, x26, x25, 2, 3
	.endm
	.macro	IRPART ld, mid, dep, first, second, n, m
	\ld	w1, \first
	\mid
	.if \dep
	eor	w3, w1, w1
	ldr	w2, [\second, x3]
	.else
	\ld	w2, \second
	.endif
	SAW	w1, \n
	SAW	w2, \m
	b	join
	.endm

/* Arm ARM B2.3: only dependencies, barriers, acquire and release order accesses to different places. */
	SB	sb, PLAIN_ST, nop, PLAIN_LD
	SB	sb_dmb, PLAIN_ST, "dmb ish", PLAIN_LD
	SB	sb_rcsc, REL_ST, nop, ACQ_LD
	SB	sb_swp, SWP_ST, nop, ACQ_LD
	SB	sb_cas, CAS_ST, nop, ACQ_LD
	SB	sb_excl, EXCL_ST, nop, ACQ_LD
	MP	mp, PLAIN_ST, nop, PLAIN_LD, nop
	MP	mp_rel, REL_ST, nop, ACQ_LD, nop
	MP	mp_dmb, PLAIN_ST, "dmb ishst", PLAIN_LD, "dmb ishld"
	MP	mp_addr, PLAIN_ST, "dmb ishst", PLAIN_LD, nop, 1
	MP	mp_excl, EXCL_ST, nop, EXCL_LD, nop
	LB	lb, PLAIN_LD, nop, PLAIN_ST
	LB	lb_rel, ACQ_LD, nop, REL_ST
	LB	lb_dmb, PLAIN_LD, "dmb ishld", PLAIN_ST
	LB	lb_data, PLAIN_LD, nop, PLAIN_ST, 1
	IRIW	iriw, PLAIN_ST, PLAIN_LD, nop
	IRIW	iriw_rel, REL_ST, ACQ_LD, nop
	IRIW	iriw_dmb, PLAIN_ST, PLAIN_LD, "dmb ish"
	IRIW	iriw_addr, PLAIN_ST, PLAIN_LD, nop, 1

/* Coherence: two loads of one place do not go back (B2.3.1). */
corr0:	str	w23, [x25]
	b	join
corr1:	ldr	w1, [x25]
	ldr	w2, [x25]
	SAW	w1, 0
	SAW	w2, 1
	b	join

/* Aligned accesses are whole, of a pair each half, of a pair in an exclusive or CASP all of it (B2.2.1). */
whole0:	orr	x1, x23, x23, lsl #32
	add	x2, x25, #0x10
	stp	x1, x1, [x2]
	add	x2, x25, #0x20
1:	ldxp	x3, x4, [x2]
	stxp	w5, x1, x1, [x2]
	cbnz	w5, 1b
	b	join
whole1:	ldp	x1, x2, [x25, #0x10]
	bl	halves
	add	x1, x2, #0
	bl	halves
	add	x6, x25, #0x20
1:	ldxp	x1, x2, [x6]
	stxp	w5, x1, x2, [x6]
	cbnz	w5, 1b
	cmp	x1, x2
	b.ne	torn
	bl	halves
	movz	x2, #0				/* CASP of zero for zero is a load */
	movz	x3, #0
	movz	x4, #0
	movz	x5, #0
	caspal	x2, x3, x4, x5, [x6]
	cmp	x2, x3
	b.ne	torn
	add	x1, x2, #0
	bl	halves
	SAW	w1, 0
	SAW	w1, 1
	b	join
halves:	lsr	x3, x1, #32
	cmp	w1, w3
	b.ne	torn
	ret
torn:	SAW	w23, 0
	SAW	wzr, 1
	b	join

/* Atomics: nothing is lost.  litmus.c has the sums. */
	.macro	EXCL suffix, reg, at
	add	x10, x9, #\at
1:	ldxr\suffix \reg\()1, [x10]
	add	\reg\()1, \reg\()1, #1
	stxr\suffix w2, \reg\()1, [x10]
	cbnz	w2, 1b
	.endm
	.macro	LSE op, reg, at
	add	x10, x9, #\at
	\op	\reg\()8, \reg\()1, [x10]
	.endm
add:	add	x9, x25, #COUNT
	movz	x8, #1
	LSE	ldadd, x, 0
	LSE	ldaddal, w, 8
	LSE	ldaddah, w, 12
	LSE	ldaddlb, w, 14
	EXCL	, x, 16
	EXCL	, w, 24
	EXCL	h, w, 28
	EXCL	b, w, 30
	add	x10, x9, #32			/* pairs: lower half by 1, upper by 2 */
1:	ldxp	x1, x2, [x10]
	add	x1, x1, #1
	add	x2, x2, #2
	stxp	w3, x1, x2, [x10]
	cbnz	w3, 1b
	add	x10, x9, #48
	ldp	x2, x3, [x10]
1:	add	x4, x2, #1
	add	x5, x3, #2
	add	x6, x2, #0
	add	x7, x3, #0
	caspal	x2, x3, x4, x5, [x10]
	cmp	x2, x6
	b.ne	1b
	cmp	x3, x7
	b.ne	1b
	add	x10, x9, #64
	ldr	x1, [x10]
1:	add	x2, x1, #1
	add	x3, x1, #0
	cas	x1, x2, [x10]
	cmp	x1, x3
	b.ne	1b
	add	x10, x9, #72
	ldp	w2, w3, [x10]
1:	add	w4, w2, #1
	add	w5, w3, #2
	orr	x6, x2, x3, lsl #32
	casp	w2, w3, w4, w5, [x10]
	orr	x7, x2, x3, lsl #32
	cmp	x6, x7
	b.ne	1b
	add	x10, x9, #80			/* a lock by SWP, and what it protects */
1:	swpa	x8, x1, [x10]
	cbz	x1, 2f
	yield
	b	1b
2:	ldr	x1, [x10, #8]
	add	x1, x1, #1
	str	x1, [x10, #8]
	stlr	xzr, [x10]
	add	x10, x9, #96			/* own bits: toggled; set and cleared */
	lsl	x1, x8, x19
	ldeor	x1, x2, [x10]
	add	x10, x9, #104
	ldset	x1, x2, [x10]
	ldclr	x1, x2, [x10]
	add	x10, x9, #112			/* the greatest and, of negative numbers, the least */
	ldumax	x23, x2, [x10]
	add	x10, x9, #120
	sub	x1, xzr, x23
	ldsmin	x1, x2, [x10]
	add	x10, x9, #128
1:	ldxp	w1, w2, [x10]
	add	w1, w1, #1
	add	w2, w2, #2
	stxp	w3, w1, w2, [x10]
	cbnz	w3, 1b
	b	join

/* Across lines and pages atomics are alignment faults (B2.5.2; there is no FEAT_LSE2) and change nothing; plain accesses are none. */
split:	add	x9, x25, #(COUNT + 0x40)
	add	x10, x25, #0x3000
	movz	x1, #1
	ldadd	x1, x2, [x9]			/* aligned: counted */
	.irp	at, x9, x10
	sub	x11, \at, #4
	ldadd	x1, x2, [x11]
	ldxr	x2, [x11]
	stxr	w3, x1, [x11]
	cas	x2, x1, [x11]
	sub	x11, \at, #8
	ldxp	x2, x3, [x11]
	caspal	x2, x3, x4, x5, [x11]
	sub	x11, \at, #3
	stlr	w1, [x11]
	ldar	w1, [x11]
	movz	x1, #1
	.endr
	add	x11, x10, x19, lsl #12
	add	x11, x11, #0xffc
	str	x23, [x11]
	ldr	x2, [x11]
	cmp	x2, x23
	b.ne	join				/* is not counted then */
	add	x10, x9, #8
	ldadd	x1, x2, [x10]
	b	join

/* Alignment faults are counted and their instructions passed over; everything else is the end (D13.2.37: EC 0x25, DFSC 0x21). */
fault:	mrs	x16, esr_el1
	lsr	x17, x16, #26
	cmp	x17, #0x25
	b.ne	.
	and	x17, x16, #0x3f
	cmp	x17, #0x21
	b.ne	.
	movz	x16, #1
	add	x17, x25, #FAULTS
	ldadd	x16, x16, [x17]
	mrs	x16, elr_el1
	add	x16, x16, #4
	msr	elr_el1, x16
	eret

/* By bits of what is new, SEEN(0) being bit 0: 0 all new, 1 all old, 2 what the shape is about, 4 is not counted. */
both_old: .byte	2, 4, 4, 0
flag_only: .byte 1, 2, 4, 0
both_new: .byte	1, 4, 4, 2
disagree: .byte	1, 4, 4, 4, 4, 2, 4, 4, 4, 4, 4, 4, 4, 4, 4, 0

	.macro	TEST shape, a, b, c=join, d=join
	.word	\a, \b, \c, \d, \shape, 0, 0, 0
	.endm
	.macro	TEST2 shape, name
	TEST	\shape, \name\()0, \name\()1
	.endm
	.macro	TEST4 name
	TEST	disagree, \name\()0, \name\()1, \name\()2, \name\()3
	.endm
	.balign	32
tests:	TEST2	both_old, sb
	TEST2	both_old, sb_dmb
	TEST2	both_old, sb_rcsc
	TEST2	both_old, sb_swp
	TEST2	both_old, sb_cas
	TEST2	both_old, sb_excl
	TEST2	flag_only, mp
	TEST2	flag_only, mp_rel
	TEST2	flag_only, mp_dmb
	TEST2	flag_only, mp_addr
	TEST2	flag_only, mp_excl
	TEST2	both_new, lb
	TEST2	both_new, lb_rel
	TEST2	both_new, lb_dmb
	TEST2	both_new, lb_data
	TEST4	iriw
	TEST4	iriw_rel
	TEST4	iriw_dmb
	TEST4	iriw_addr
	TEST2	flag_only, corr
	TEST2	flag_only, whole
	TEST	0, add, add, add, add
	TEST	0, split, split, split, split

	VECTORS	., fault
