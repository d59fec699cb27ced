/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory accesses of each size, writes and reads; what was read goes to RESULT(0) to RESULT(3). */
#include "payload.h"
	MOV32	x1, MMIO_PROBE
	MOV32	x2, 0x11223344
	strb	w2, [x1]
	strh	w2, [x1, #2]
	str	w2, [x1, #4]
	MOV32	x3, 0x99aabbcc
	movk	x3, #0xddee, lsl #32
	movk	x3, #0xff01, lsl #48
	str	x3, [x1, #8]
	ldrb	w4, [x1, #16]
	str	x4, [x21, #RESULT(0)]
	ldrh	w4, [x1, #18]
	str	x4, [x21, #RESULT(1)]
	ldr	w4, [x1, #20]
	str	x4, [x21, #RESULT(2)]
	ldr	x4, [x1, #24]
	str	x4, [x21, #RESULT(3)]
	FINISH
