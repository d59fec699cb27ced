/* SPDX-License-Identifier: BSD-2-Clause */
/* A triple fault: the harness gives an IDT without entries. */
#include "payload.h"
	ud2
9:	jmp	9b
