/* SPDX-License-Identifier: BSD-2-Clause */
/* Adds its number plus 1 to each of X1 to X15 and X23 to X30; the others are the entry code's. */
#include "payload.h"
	.irp	n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 23, 24, 25, 26, 27, 28, 29, 30
	add	x\n, x\n, #(\n + 1)
	.endr
	FINISH
