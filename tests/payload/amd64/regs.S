/* SPDX-License-Identifier: BSD-2-Clause */
/* Adds a constant to each register. */
#include "payload.h"
	addl	$0x01010101, %eax
	addl	$0x02020202, %ecx
	addl	$0x03030303, %edx
	addl	$0x04040404, %ebx
	addl	$0x05050505, %ebp
	addl	$0x06060606, %esi
	addl	$0x07070707, %edi
	outb	%al, $PORT_EXIT
9:	jmp	9b
