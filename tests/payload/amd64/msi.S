/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Messages as vector 0x50; ends after PARAM(0) of them, counted in RESULT(0).  Each writes PORT_ACK.
 */
#include "payload.h"
	GATE	0x50, message
	LAPIC_ON
	movl	$PORT_REPORT, %edx	/* ready */
	outl	%eax, %dx
	WAIT_COUNT
	FINISH
message:
	pushl	%eax
	pushl	%edx
	incl	RESULT(0)
	movl	$0, LAPIC_EOI
	movl	$0x50, %eax
	movl	$PORT_ACK, %edx
	outl	%eax, %dx
	popl	%edx
	popl	%eax
	RETURN
