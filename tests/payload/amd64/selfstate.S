/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A hash over PARAM(0) rounds, kept in registers, on the stack and in memory, and shown on PORT_PROBE every 8 rounds: for round i,
 * h = h * 33 + i; table[i mod 16] ^= h; h += table[(i + 5) mod 16].  The end is RESULT(0).
 */
#include "payload.h"
	movl	$5381, %eax
	xorl	%ecx, %ecx
1:	pushl	%ecx
	call	mix
	popl	%ecx
	leal	5(%ecx), %ebx
	andl	$15, %ebx
	addl	ARENA(,%ebx,4), %eax
	testl	$7, %ecx
	jnz	2f
	movl	$PORT_PROBE, %edx
	outl	%eax, %dx
2:	incl	%ecx
	cmpl	PARAM(0), %ecx
	jb	1b
	movl	%eax, RESULT(0)
	FINISH
mix:	MIX
