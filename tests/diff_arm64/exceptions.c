/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exceptions.c - what is not compared, and the Arm ARM's (DDI 0487) section that decides.
 */
#include <stdio.h>

#include "diff_arm64.h"

struct row {
	uint32_t	mask, value;	/* words */
	uint32_t	fpcr;		/* only if one of these bits is set; 0: always */
	uint64_t	fpsr;
	bool		skip, fault;
	const char	*why;
};

static const struct row rows[] = {
	{ 0x3fe00000, 0x08000000, 0, 0, false, true, "STXR: whether it faults when the monitor makes it fail is IMPLEMENTATION DEFINED (B2.9.2)" },
	{ 0xbfe00000, 0x88200000, 0, 0, false, true, "STXP: the same" },
	{ 0xbfbf7c00, 0x083e7c00, 0, 0, true, false, "CASP of X30 and XZR: the emulator writes SP, where register 31 is to be dropped (C6.2, J1.3)" },
	{ 0, 0, 0, 0, false, false, NULL },
};

void
exceptions_apply(uint32_t word, const struct arm_state *in, struct excuse *e)
{
	*e = (struct excuse){ .why = NULL };
	for (const struct row *r = rows; r->why != NULL; r++) {
		if ((word & r->mask) != r->value || (r->fpcr != 0 && (in->fpcr & r->fpcr) == 0))
			continue;
		e->fpsr |= r->fpsr;
		e->skip |= r->skip;
		e->fault |= r->fault;
		e->why = r->why;
	}
}

void
exceptions_print(void)
{
	for (const struct row *r = rows; r->why != NULL; r++)
		printf("%08x/%08x %s\n", r->value, r->mask, r->why);
}
