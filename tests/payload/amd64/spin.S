/* SPDX-License-Identifier: BSD-2-Clause */
/* Never ends, counting. */
#include "payload.h"
	movl	$PORT_REPORT, %edx
	outl	%eax, %dx
1:	incl	%ecx
	jmp	1b
