/* SPDX-License-Identifier: BSD-2-Clause */
/* PARAM(0) times: the words 1 and 2 to PORT_BELL, the words 1 and 2 to MMIO_BELL. */
#include "payload.h"
	movl	PARAM(0), %ecx
	movl	$PORT_BELL, %edx
	movl	$MMIO_BELL, %ebx
1:	movl	$1, %eax
	outw	%ax, %dx
	movw	%ax, (%ebx)
	incl	%eax
	outw	%ax, %dx
	movw	%ax, (%ebx)
	decl	%ecx
	jnz	1b
	FINISH
