/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts that the harness' stores enabled; ends after PARAM(0) of them, counted in RESULT(0).  Each interrupt writes its number to
 * CTL_ACK, where the device takes its reason away, and then ends the interrupt.
 */
#include "payload.h"
	GIC_ON
	movz	w1, #1
	str	w1, [x22, #CTL_REPORT]	/* ready */
	WAIT_COUNT
	FINISH
line:
	mrs	x13, ICC_IAR1_EL1
	ldr	x14, [x21, #RESULT(0)]
	add	x14, x14, #1
	str	x14, [x21, #RESULT(0)]
	str	w13, [x22, #CTL_ACK]
	msr	ICC_EOIR1_EL1, x13
	eret
	VECTORS	line
