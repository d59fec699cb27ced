/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stores in pages of the arena, picked by a linear congruential generator seeded with PARAM(4 + vCPU), among pages masked by PARAM(0)
 * (an address mask), at the vCPU's own words of the page; asks CTL_STOP after every PARAM(1) stores.
 */
#include "payload.h"
	add	x1, x20, x19, lsl #3
	ldr	x1, [x1, #PARAM(4)]
	MOV32	x2, 1664525
	MOV32	x3, 1013904223
	MOV32	x4, ARENA
	add	x4, x4, x19, lsl #8	/* own 256 bytes of each page */
	ldr	x5, [x20, #PARAM(0)]
	movz	x6, #1
1:	ldr	x7, [x20, #PARAM(1)]
2:	mul	x1, x1, x2
	add	x1, x1, x3
	and	x8, x5, x1, lsr #16
	and	x9, x1, #0xfc
	add	x8, x8, x9
	add	x8, x8, x4
	str	w6, [x8]
	add	x6, x6, #1
	subs	x7, x7, #1
	b.ne	2b
	ldr	w9, [x22, #CTL_STOP]
	cbz	w9, 1b
	add	x1, x21, x19, lsl #3
	str	x6, [x1]
	FINISH
