/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads PARAM(0)'s word to RESULT(0), writes 0x600d there, reads it again to RESULT(1). */
#include "payload.h"
	ldr	x1, [x20, #PARAM(0)]
	ldr	w2, [x1]
	str	x2, [x21, #RESULT(0)]
	movz	w2, #0x600d
	str	w2, [x1]
	ldr	w2, [x1]
	str	x2, [x21, #RESULT(1)]
	FINISH
