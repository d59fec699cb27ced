/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a processor without a PMU says of itself, and what it takes for what it has not: ID_AA64DFR0_EL1 goes to RESULT(0); RESULT(1) on have ESR_EL1 of
 * what PMCR_EL0, PMCCNTR_EL0 and BRK #7 become, each of which is passed over.  X9 is where the next one goes.
 */
#include "payload.h"
	ADDR	x1, vectors
	msr	vbar_el1, x1
	isb
	mrs	x1, id_aa64dfr0_el1
	str	x1, [x21, #RESULT(0)]
	add	x9, x21, #RESULT(1)
	mrs	x2, pmcr_el0
	mrs	x2, pmccntr_el0
	brk	#7
	FINISH
fault:	mrs	x16, esr_el1
	str	x16, [x9], #8
	mrs	x16, elr_el1
	add	x16, x16, #4
	msr	elr_el1, x16
	eret
	VECTORS	., fault
