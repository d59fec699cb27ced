/* SPDX-License-Identifier: BSD-2-Clause */
/* The PSCI call PARAM(0): SYSTEM_OFF or SYSTEM_RESET. */
#include "payload.h"
	ldr	x0, [x20, #PARAM(0)]
	hvc	#0
9:	b	9b
