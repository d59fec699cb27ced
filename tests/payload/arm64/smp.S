/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vCPU 0 starts the others up to PARAM(1) by PSCI.  Each vCPU adds 1 to RESULT(0) PARAM(0) times by LDADD and by LDXR and STXR in turn,
 * and each takes the lock word RESULT(1) to add 1 to RESULT(2) by plain accesses.
 */
#include "payload.h"
	cbnz	x19, 2f
	movz	x9, #1
1:	ldr	x10, [x20, #PARAM(1)]
	cmp	x9, x10
	b.hs	2f
	MOV32	x0, 0xc4000003		/* CPU_ON (PSCI 5.1.4): target, entry, context */
	add	x1, x9, #0
	ADDR	x2, _start
	add	x3, x9, #0
	hvc	#0
	add	x9, x9, #1
	b	1b
2:	ldr	x9, [x20, #PARAM(0)]
	add	x11, x21, #RESULT(1)
	movz	x5, #1
3:	ldadd	x5, x6, [x21]
4:	ldxr	x6, [x21]
	add	x6, x6, #1
	stxr	w7, x6, [x21]
	cbnz	w7, 4b
5:	ldxr	x6, [x11]
	cbnz	x6, 6f
	stxr	w7, x5, [x11]
	cbnz	w7, 5b
	dmb	ish
	ldr	x6, [x21, #RESULT(2)]
	add	x6, x6, #1
	str	x6, [x21, #RESULT(2)]
	dmb	ish
	str	xzr, [x11]
	subs	x9, x9, #1
	b.ne	3b
	FINISH
6:	yield
	b	5b
