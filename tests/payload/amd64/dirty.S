/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Stores in pages of the arena, picked by a xorshift generator seeded with PARAM(4 + vCPU), among pages masked by PARAM(0) (an address
 * mask), at the vCPU's own words of the page; asks PORT_STOP after every PARAM(1) stores.
 */
#include "payload.h"
	movl	PARAM(4)(,%edi,8), %eax
	movl	%edi, %ebp
	shll	$8, %ebp
	addl	$ARENA, %ebp		/* own 256 bytes of each page */
	movl	$1, %esi
1:	movl	PARAM(1), %ecx
2:	movl	%eax, %ebx
	shll	$13, %ebx
	xorl	%ebx, %eax
	movl	%eax, %ebx
	shrl	$17, %ebx
	xorl	%ebx, %eax
	movl	%eax, %ebx
	shll	$5, %ebx
	xorl	%ebx, %eax
	movl	%eax, %ebx
	shll	$4, %ebx
	andl	PARAM(0), %ebx
	movl	%eax, %edx
	andl	$0xfc, %edx
	addl	%edx, %ebx
	addl	%ebp, %ebx
	movl	%esi, (%ebx)
	incl	%esi
	decl	%ecx
	jnz	2b
	pushl	%eax
	movl	$PORT_STOP, %edx
	inl	%dx, %eax
	testl	%eax, %eax
	popl	%eax
	jz	1b
	movl	%esi, RESULT(0)(,%edi,8)
	FINISH
