/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jit.h - native code, the second tier of the software processors: what the front ends of both architectures share.
 *
 * A block (code.h) that was entered often enough is translated to host code, once, by its architecture's front end.  A
 * translation does exactly what the first tier does with the block, instruction by instruction: what has no host code of its own
 * is a call of the first tier's function.
 *
 * All of this belongs to one vCPU and happens on its thread.  Code memory is mapped twice, to be written here and to run there,
 * and no mapping is ever both or changes.  Translations are never freed one by one: when the memory is full all of them go, while
 * no native code runs.
 *
 * A translation ends in jumps that lead to other translations of the same page once those are there (struct jit_link); a block
 * that is dropped has what leads to it turned back.
 */
#ifndef _VMMAPI_SOFT_JIT_H_
#define	_VMMAPI_SOFT_JIT_H_

#include "../soft.h"
#include "emit.h"

struct jit;
struct jit_block;

/*
 * A jump, emitted by emit_jmp() or emit_jcc(), that is joined to a translation when there is one.  The front end emits it to lead
 * to `out', code that leaves with this link's address; jit_join() turns it to the translation.
 */
struct jit_link {
	struct jit_link	*next;		/* of those that lead to the same translation */
	uint8_t		*rel;		/* the jump's displacement, where it is written */
	uint8_t		*out;		/* where it leads while it is not joined, likewise */
	uint8_t		*detour;	/* front end's: where else it can lead, jit_detour() */
	struct jit_block *to;		/* NULL: not joined */
	uint64_t	*guard;		/* front end's: words in code memory that say when it may be taken (writing address) */
	uint64_t	 arg;		/* front end's: where it leads */
};

/* A translation. */
struct jit_block {
	struct jit_block *next;		/* of all */
	struct soft_block *block;	/* NULL: it was dropped */
	const void	*entry;		/* address to run */
	struct jit_link	*in;		/* jumps that lead here */
	void		*data;		/* front end's, from jit_alloc() */
	uint32_t	 ndata;
};

/* What an architecture provides. */
struct jit_ops {
	/* Emit what all translations share, once, before anything else.  Enough room is certain. */
	void		(*stubs)(struct soft_cpu *cpu, struct jit *jit, struct emit *e);
	/*
	 * Translate jb->block; jb->entry is where e stands unless it is changed.  Running out of room (e->full, jit_alloc() NULL)
	 * needs no care but of NULL: nothing of it is used.  false: this block has no translation.
	 */
	bool		(*translate)(struct soft_cpu *cpu, struct jit *jit, struct jit_block *jb, struct emit *e);
	/* All translations went: none may be found any more (jump.h). */
	void		(*flushed)(struct soft_cpu *cpu);
	/* Percentage of code memory that is for code that seldom runs, jit->cold, so that the rest lies close together; 0: none. */
	unsigned	 cold;
};

struct jit {
	const struct jit_ops *ops;
	struct soft_cpu	*cpu;
	uint32_t	 hot;		/* entries of a block before it is translated */
	uint8_t		*write;		/* code memory, to be written */
	const uint8_t	*run;		/* the same, to run */
	size_t		 size, used;	/* all of it; of what is before cold code */
	size_t		 stubs;		/* bytes of it that stay */
	size_t		 cold_at, cold_used;	/* cold code: from where on, up to where */
	size_t		 ready, cold_ready;	/* up to where the kernel was asked for it */
	struct emit	 cold;		/* where the present translation's goes */
	uint8_t		*data;		/* what belongs to translations and is not code */
	size_t		 data_size, data_used;
	struct jit_block *all;
	int		 map;		/* perf's list of translations, -1: none */
	const void	*leave;		/* code: go back to jit_run()'s caller with RAX, everything else as it may be */
};

/*
 * For a vCPU; ops must stay.  *jit becomes NULL where native code is turned off, or this host has none.  0, or -1 with the reason
 * as sentence: it was asked for expressly, and cannot be had.
 */
int	jit_create(struct soft_cpu *cpu, const struct jit_ops *ops, struct jit **jit);
void	jit_free(struct jit *jit);

/*
 * Not in native code, as everything that may translate or flush: count an entry of b, translate it when it has had enough of
 * them.
 */
const void *jit_count(struct jit *jit, struct soft_block *b);

/* Where b's translation begins; NULL: there is none (yet). */
static inline const void *
jit_entry(struct jit *jit, struct soft_block *b)
{
	if (__builtin_expect(b->jit != NULL, 1))
		return (b->jit->entry);
	return (jit_count(jit, b));
}

/*
 * Run native code: callee-saved registers are saved, r15 = core, rbp = base, rcx = arg, rsp is aligned to 16, and `first' is
 * jumped to.  What jit->leave is jumped to with in RAX.
 */
uint64_t jit_run(struct jit *jit, void *core, void *base, const void *first, uint64_t arg);

/* While b is translated: zeroed memory that lives as long as the translation, aligned to 16; NULL: full. */
void	*jit_alloc(struct jit *jit, size_t size);
/*
 * A link for the jump whose displacement was just emitted (it ends at e->at); the caller sets l->out before the translation is
 * complete.  NULL: full.
 */
struct jit_link *jit_link(struct jit *jit, struct emit *e);
/* Let it lead to a translation, in place of another one perhaps. */
void	jit_join(struct jit *jit, struct jit_link *l, struct jit_block *to);
/* Let it lead to its detour from now on: no translation is good for it in every case. */
void	jit_detour(struct jit *jit, struct jit_link *l);
/*
 * soft_core.stale(): nothing leads to b's translation any more, and b has none.  It may be running; what it has is still there.
 */
void	jit_drop(struct jit *jit, struct soft_block *b);
/* Every translation goes.  Not in native code. */
void	jit_flush(struct jit *jit);

/* Where code that is written at p runs. */
static inline const void *
jit_run_address(const struct jit *jit, const uint8_t *p)
{
	return (jit->run + (p - jit->write));
}

#endif /* _VMMAPI_SOFT_JIT_H_ */
