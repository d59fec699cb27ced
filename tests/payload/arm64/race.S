/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PARAM(0) times: read a word that the other vCPUs change too, mix it and the time into the vCPU's hash, write a new value.  The hash
 * (RESULT(1 + vCPU)) shows every interleaving.
 */
#include "payload.h"
	ldr	x9, [x20, #PARAM(0)]
	movz	x1, #1
	movz	x2, #33
1:	ldr	x3, [x21, #RESULT(0)]
	mul	x1, x1, x2
	add	x1, x1, x3
	add	x3, x3, #1
	add	x3, x3, x19
	str	x3, [x21, #RESULT(0)]
	and	x4, x9, #0x3f
	cbnz	x4, 2f
	mrs	x4, cntvct_el0
	eor	x1, x1, x4
2:	subs	x9, x9, #1
	b.ne	1b
	add	x4, x21, x19, lsl #3
	str	x1, [x4, #RESULT(1)]
	FINISH
