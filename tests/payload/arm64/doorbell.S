/* SPDX-License-Identifier: BSD-2-Clause */
/* PARAM(0) times: the 16-bit words 1 and 2 to MMIO_BELL. */
#include "payload.h"
	ldr	x1, [x20, #PARAM(0)]
	MOV32	x2, MMIO_BELL
1:	movz	w3, #1
	strh	w3, [x2]
	movz	w3, #2
	strh	w3, [x2]
	subs	x1, x1, #1
	b.ne	1b
	FINISH
