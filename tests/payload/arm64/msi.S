/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages that the harness' stores enabled; ends after PARAM(0) of them, counted in RESULT(0).  Each ends the interrupt, and then
 * writes its number to CTL_ACK.
 */
#include "payload.h"
	GIC_ON
	movz	w1, #1
	str	w1, [x22, #CTL_REPORT]	/* ready */
	WAIT_COUNT
	FINISH
message:
	mrs	x13, ICC_IAR1_EL1
	ldr	x14, [x21, #RESULT(0)]
	add	x14, x14, #1
	str	x14, [x21, #RESULT(0)]
	msr	ICC_EOIR1_EL1, x13
	str	w13, [x22, #CTL_ACK]
	eret
	VECTORS	message
