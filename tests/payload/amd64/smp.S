/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each vCPU adds 1 to RESULT(0) PARAM(0) times by XADD, CMPXCHG and INC in turn, all locked, and each takes the lock word RESULT(1) by
 * XCHG to add 1 to RESULT(2) without a lock prefix.
 */
#include "payload.h"
	movl	PARAM(0), %ecx
1:	movl	$1, %eax
	lock xaddl %eax, RESULT(0)
	movl	RESULT(0), %eax
2:	movl	%eax, %ebx
	incl	%ebx
	lock cmpxchgl %ebx, RESULT(0)
	jnz	2b
	lock incl RESULT(0)
3:	movl	$1, %eax
	xchgl	%eax, RESULT(1)
	testl	%eax, %eax
	jz	4f
	pause
	jmp	3b
4:	movl	RESULT(2), %eax
	incl	%eax
	movl	%eax, RESULT(2)
	movl	$0, RESULT(1)
	decl	%ecx
	jnz	1b
	FINISH
