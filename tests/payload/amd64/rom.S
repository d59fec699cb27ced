/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads PARAM(0)'s word to RESULT(0), writes 0x600d there, reads it again to RESULT(1). */
#include "payload.h"
	movl	PARAM(0), %ebx
	movl	(%ebx), %eax
	movl	%eax, RESULT(0)
	movl	$0x600d, %eax
	movl	%eax, (%ebx)
	movl	(%ebx), %eax
	movl	%eax, RESULT(1)
	FINISH
