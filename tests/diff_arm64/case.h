/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * case.h - what the two programs of the arm64 differential test share.
 *
 * A case is one instruction and the registers that it finds.  The oracle (oracle.c) is an arm64 program that runs under a user-mode
 * emulator, or on an arm64 processor; the other program makes batches of cases in shared memory, lets the oracle execute them, executes
 * them with the functions of soft's arm64 processor, and compares.
 */
#ifndef _TESTS_DIFF_ARM64_CASE_H_
#define	_TESTS_DIFF_ARM64_CASE_H_

#include <stddef.h>
#include <stdint.h>

/* oracle.c's assembly knows the offsets. */
struct arm_state {
	uint64_t	x[31];
	uint64_t	sp;
	uint64_t	v[64];		/* V0.lo, V0.hi, V1.lo ... */
	uint64_t	nzcv;		/* in bits 31:28 */
	uint64_t	fpcr, fpsr;
	uint64_t	signal;		/* out: 0, or what the instruction ended with, and changed nothing */
	uint64_t	fault;		/* out: of SIGBUS and SIGSEGV, the address */
	uint64_t	unused;
};

_Static_assert(offsetof(struct arm_state, v) == 256 && offsetof(struct arm_state, nzcv) == 768 &&
    offsetof(struct arm_state, signal) == 792 && sizeof(struct arm_state) == 816, "oracle.c, cases.S");

#define	ARM_WORDS	512U		/* of a batch: a page of slots */
#define	ARM_SETS	4U		/* cases per word: a translator's time goes into new words */
#define	ARM_CASES	(ARM_WORDS * ARM_SETS)
/* Where the oracle has the instruction: a word, and a branch.  X28 has its address, for that is how the case is entered. */
#define	ARM_SLOTS	0x02000000U
#define	ARM_SLOT(word)	(ARM_SLOTS + (word) * 8U)
#define	ARM_SLOT_REG	28U
/* Memory for instructions that access it: over the end of a page, which is readable and writable as the next one is. */
#define	ARM_WINDOW	0x03000f80U
#define	ARM_WINDOW_LEN	256U
#define	ARM_NOWHERE	0x03100000U	/* nothing is there */

struct arm_batch {
	uint32_t	nwords;
	volatile uint32_t at;		/* the case that is being executed */
	uint32_t	word[ARM_WORDS];
	uint64_t	memory;		/* the window is used */
	struct arm_state in[ARM_CASES], out[ARM_CASES];
	uint64_t	mem_in[ARM_CASES][ARM_WINDOW_LEN / 8], mem_out[ARM_CASES][ARM_WINDOW_LEN / 8];
};

/* The oracle's file descriptors; it reads a byte for each batch and writes one when it is done. */
#define	ARM_FD_GO	0
#define	ARM_FD_DONE	1
#define	ARM_FD_SHARED	3

#endif /* _TESTS_DIFF_ARM64_CASE_H_ */
