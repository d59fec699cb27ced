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
	bool		skip;
	const char	*why;
};

static const struct row rows[] = {
	{ 0, 0, 0, 0, false, NULL },
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
		e->why = r->why;
	}
}

void
exceptions_print(void)
{
	for (const struct row *r = rows; r->why != NULL; r++)
		printf("%08x/%08x %s\n", r->value, r->mask, r->why);
}
