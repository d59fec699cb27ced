/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exceptions.h - what of a case's result is not compared.
 */
#ifndef _TESTS_DIFF_EXCEPTIONS_H_
#define	_TESTS_DIFF_EXCEPTIONS_H_

#include "gen.h"

/* What a row's condition looks at. */
struct excuse {
	const struct diff_case *c;
	const struct diff_result *native, *soft;
	struct diff_insn insn;
};

struct row {
	uint16_t	first, last;	/* mnemonics */
	bool		(*when)(const struct excuse *e);	/* NULL: always */
	uint64_t	rflags;
	uint16_t	fsw;
	bool		destination;	/* the first operand */
	bool		gprs;		/* all but RSP */
	bool		approximate;
	bool		bases;
	bool		memory, cr2, fpu, sse, skip;
	bool		pointers;	/* FIP, FDP, FOP */
	bool		fxsave, fenv;
	enum {
		ENDS,
		FAULTS,
		EITHER
	} faults; /* about instructions that end normally on the host, that do not */
	const char	*why;
};

/* What of a case's result is not compared. */
struct diff_mask {
	uint64_t	rflags;		/* these bits */
	uint16_t	gpr;		/* these registers */
	uint16_t	fsw;		/* these bits */
	bool		skip;		/* anything */
	bool		memory, fpu, pointers, sse, bases;
	bool		cr2;		/* and the page fault's error code */
	bool		approximate;	/* XMM registers only roughly */
	bool		fxsave;		/* pointers and MXCSR_MASK in a stored FXSAVE image */
	uint8_t		fenv;		/* pointers in a stored environment of units of this size */
	unsigned	image;		/* where that is, in the windows */
	const char	*why;
};

void	exceptions_apply(const struct diff_case *c, const struct diff_result *native,
	    const struct diff_result *soft, struct diff_mask *m);

#endif /* _TESTS_DIFF_EXCEPTIONS_H_ */
