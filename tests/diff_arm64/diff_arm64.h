/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * diff_arm64.h - the arm64 differential test: what the parts of its own side share.
 */
#ifndef _TESTS_DIFF_ARM64_H_
#define	_TESTS_DIFF_ARM64_H_

#include <stdbool.h>
#include <stdint.h>

#include "case.h"

/* Who decodes a class, and so whether it is run. */
enum group { GROUP_DP, GROUP_SIMD, GROUP_FP, GROUP_MEM, GROUP_N };

/* classes.c: instructions by the Arm ARM's tables of C4.1 */
struct class {
	const char	*name;
	enum group	 group;
	const char	*pattern;	/* 32 times 0, 1, or . for any, from bit 31; spaces do not count */
	const char	*mnemonics;	/* what is in it, to be found by */
};

extern const struct class classes[];
extern const unsigned nclasses;

/* gen_memory.c */
/* Is this load or store one that the architecture lets do only one thing, and that can be placed? */
bool	memory_defined(uint32_t word);
/* Place its access in the window, seldom elsewhere. */
struct rng;
void	memory_place(struct rng *r, uint32_t word, struct arm_state *s);

/* gen.c: batch `number' of `seed' depends on nothing else; class_of: the class of each word */
void	gen_batch(uint64_t seed, uint64_t number, const bool *wanted, struct arm_batch *b, uint16_t class_of[ARM_WORDS]);

/* host.c: the oracle as seen from outside */
struct oracle;
/* program runs under emulator as that processor, unless emulator is NULL; NULL and the reason. */
struct oracle *oracle_start(const char *emulator, const char *processor, const char *program, struct arm_batch **batch, const char **why);
/* Execute the batch: 0, or -1 and the reason. */
int	oracle_run(struct oracle *o, const char **why);
void	oracle_stop(struct oracle *o);

/* soft.c: false if nothing decodes the word */
bool	soft_decodes(uint32_t word);
bool	soft_run(uint32_t word, const struct arm_state *in, struct arm_state *out);

/* vm.c: the same by a whole processor, in a virtual machine */
struct vm;
struct vm *vm_side_open(void);
void	vm_side_close(struct vm *vm);
/* Execute the batch. */
void	vm_side_run(struct vm *vm, const struct arm_batch *b, struct arm_state out[ARM_CASES],
	    uint64_t mem[ARM_CASES][ARM_WINDOW_LEN / 8]);

/* exceptions.c */
struct excuse {
	uint64_t	fpsr;		/* bits that are not compared */
	bool		skip;
	bool		fault;		/* our fault is none of the oracle's */
	const char	*why;
};
/* What of a case of this word is not compared. */
void	exceptions_apply(uint32_t word, const struct arm_state *in, struct excuse *e);
void	exceptions_print(void);

#endif /* _TESTS_DIFF_ARM64_H_ */
