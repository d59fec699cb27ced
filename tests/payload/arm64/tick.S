/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ends after PARAM(0) interrupts, counted in RESULT(0): of the virtual timer, every PARAM(1) counts of it, or, if that is 0, of
 * whatever the harness' stores enabled.
 */
#include "payload.h"
	GIC_ON
	ldr	x10, [x20, #PARAM(1)]
	cbz	x10, 1f
	mrs	x11, cntvct_el0
	add	x11, x11, x10
	msr	cntv_cval_el0, x11
	movz	x12, #1
	msr	cntv_ctl_el0, x12
	isb
1:	movz	w1, #1
	str	w1, [x22, #CTL_REPORT]	/* ready */
	WAIT_COUNT
	FINISH
tick:
	mrs	x13, ICC_IAR1_EL1
	ldr	x14, [x21, #RESULT(0)]
	add	x14, x14, #1
	str	x14, [x21, #RESULT(0)]
	cbz	x10, 1f
	add	x11, x11, x10
	msr	cntv_cval_el0, x11
	isb
1:	msr	ICC_EOIR1_EL1, x13
	eret
	VECTORS	tick
