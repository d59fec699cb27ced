/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jump.h - blocks by the virtual address that the guest goes to.
 *
 * A table with two places for each address, neighbours, in front of translation and soft_code_find().  An entry is good for one key:
 * the tag of the address space, the rights, what decoding depends on, and the TLB's number of the time since when nothing was remapped,
 * no tag was given out anew and no block was dropped.  A core computes its key again whenever one of these changes, so that a
 * comparison of two words is all there is between two blocks.  No key is zero.
 */
#ifndef _VMMAPI_SOFT_JUMP_H_
#define	_VMMAPI_SOFT_JUMP_H_

#include <stdint.h>

#include "tlb.h"

struct soft_block;

#define	SOFT_JUMP_BITS	14
#define	SOFT_JUMPS	(1U << SOFT_JUMP_BITS)

struct soft_jump {
	uint64_t	 va, key;
	struct soft_block *block;
	const void	*native;	/* its translation's entry (jit/jit.h), NULL: none, or the core has not entered it here */
};

_Static_assert(sizeof(struct soft_jump) == 32, "native code finds an entry by a shift");

/* row: of the TLB; mode: struct soft_block.mode, as far as it changes while the vCPU runs, 6 bits. */
static inline uint64_t
soft_jump_key(const struct soft_tlb *t, uint64_t tag, unsigned row, unsigned mode)
{
	return (t->gen << 24 | tag << 8 | (uint64_t)row << 6 | mode);
}

/* Where va is in the table.  Instructions are aligned to 1 << align bytes. */
static inline __attribute__((always_inline)) struct soft_jump *
soft_jump_at(struct soft_jump *table, uint64_t va, unsigned align)
{
	return (&table[(va >> align ^ va >> (align + SOFT_JUMP_BITS)) & (SOFT_JUMPS - 1)]);
}

static inline __attribute__((always_inline)) struct soft_block *
soft_jump_hit(const struct soft_jump *j, uint64_t va, uint64_t key)
{
	return (__builtin_expect(j->va == va && j->key == key, 1) ? j->block : 0);
}

/* The other place for what belongs at j. */
static inline __attribute__((always_inline)) struct soft_jump *
soft_jump_other(struct soft_jump *table, struct soft_jump *j)
{
	return (&table[(j - table) ^ 1]);
}

static inline void
soft_jump_keep(struct soft_jump *j, uint64_t va, uint64_t key, struct soft_block *block)
{
	*j = (struct soft_jump){ .va = va, .key = key, .block = block };
}

#endif /* _VMMAPI_SOFT_JUMP_H_ */
