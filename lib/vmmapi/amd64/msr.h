/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msr.h - which model-specific registers an amd64 guest finds, whoever executes it.
 *
 * A guest finds a register if CPUID tells it so, or if system software reads it without asking.  Everything else of the host's is none of its business
 * (counters, power, branch records, error banks, microcode, virtualization): the register does not exist, and an access faults.
 */
#ifndef _VMMAPI_AMD64_MSR_H_
#define	_VMMAPI_AMD64_MSR_H_

#include "amd64.h"

enum amd64_msr_kind {
	AMD64_MSR_KEPT,		/* a register of the processor, which whoever executes the guest has */
	AMD64_MSR_CONST,	/* reads as a value, and writes have no effect */
	AMD64_MSR_AMD,		/* the same, and there in guests alone that are shown AMD's processor */
	AMD64_MSR_NONE,		/* refused; it has its row for its name */
};

enum amd64_msr_writes {
	AMD64_MSR_READ_ONLY,
	AMD64_MSR_WRITE_SAME,	/* of what it reads as */
	AMD64_MSR_WRITE_ANY,
};

struct amd64_msr {
	uint32_t	 first, last;
	const char	*name;		/* of a range with an n for what differs */
	uint8_t		 kind, writes;
	uint64_t	 val;		/* of a constant */
	uint64_t	(*value)(const struct vmctx *vm, bool amd);	/* the same, if it depends on something */
	uint64_t	 need;		/* X86_F_*: there with one of these; 0: always */
};

/* The table, sorted; its ranges do not overlap. */
extern const struct amd64_msr amd64_msrs[];
extern const unsigned amd64_nmsrs;

/* The row of a register; NULL: nobody knows it. */
const struct amd64_msr *amd64_msr_find(uint32_t msr);
const char *amd64_msr_name(uint32_t msr);		/* NULL, likewise */
/* Do a processor's features have it?  (Of a row that is not AMD64_MSR_NONE.) */
bool	amd64_msr_there(const struct amd64_msr *m, uint64_t features);

enum amd64_msr_answer {
	AMD64_MSR_ELSEWHERE,	/* it is no constant here */
	AMD64_MSR_DONE,
	AMD64_MSR_FAULT,	/* #GP(0) */
};
/* Access to a constant, which reads into *val; amd: the guest is shown AMD's processor. */
enum amd64_msr_answer amd64_msr_constant(const struct vmctx *vm, const struct amd64_msr *m, bool amd, bool write, uint64_t *val);

#endif /* _VMMAPI_AMD64_MSR_H_ */
