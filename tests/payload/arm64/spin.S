/* SPDX-License-Identifier: BSD-2-Clause */
/* Never ends, counting. */
#include "payload.h"
	movz	w1, #1
	str	w1, [x22, #CTL_REPORT]
1:	add	x2, x2, #1
	b	1b
