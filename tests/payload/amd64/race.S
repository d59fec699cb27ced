/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PARAM(0) times: read a word that the other vCPUs change too, mix it and the time into the vCPU's hash, write a new value.  The hash
 * (RESULT(1 + vCPU)) shows every interleaving.
 */
#include "payload.h"
	movl	PARAM(0), %ecx
	movl	$1, %esi
1:	movl	RESULT(0), %eax
	movl	%esi, %ebx
	shll	$5, %ebx
	addl	%ebx, %esi
	addl	%eax, %esi
	leal	1(%eax,%edi), %eax
	movl	%eax, RESULT(0)
	testl	$0x3f, %ecx
	jnz	2f
	rdtsc
	xorl	%eax, %esi
2:	decl	%ecx
	jnz	1b
	movl	%esi, RESULT(1)(,%edi,8)
	FINISH
