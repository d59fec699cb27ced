/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * a64.h - soft's arm64 core, first tier: an interpreter of decoded blocks.
 *
 * decode.c turns a stretch of code into a block of struct a64_insn (insn.h has their contract), core_arm64.c runs block after block.  Most of
 * the time nothing but requests and the budget is looked at between two blocks; c->attention says that there is more: an interrupt, an
 * injected exception, a step.
 *
 * Blocks are threaded: an instruction goes on to the next one by itself, with A64_NEXT(); one that cannot, because it only knows the
 * contract of insn.h, is called by a64_call() and says A_DONE.  Whatever may fault, exit or need its own address is called with c->cur set.
 */
#ifndef _SOFT_A64_H_
#define	_SOFT_A64_H_

#include "../../arm64/arm64.h"
#include "../code.h"
#include "../hostmem.h"
#include "../jump.h"
#include "../soft.h"
#include "../tlb.h"
#include "insn.h"

#define	likely(e)	__builtin_expect(!!(e), 1)
#define	unlikely(e)	__builtin_expect(!!(e), 0)
#define	A64_INLINE	static inline __attribute__((always_inline))

/* Run f and pass on anything but success. */
#define	TRY(f) do {								\
	enum a64_status status_ = (f);						\
	if (unlikely(status_ != A_DONE))						\
		return (status_);						\
} while (0)

/* Go on with the instruction behind. */
#define	A64_NEXT(c, i)	((i)[1].go((c), (i) + 1))

/* A synchronous exception to EL1, to be taken in place of the instruction. */
struct a64_exc {
	uint64_t	 esr, far;
	bool		 has_far;
	bool		 behind;	/* it returns behind the instruction: SVC */
};

#define	A64_NTIMERS	2

#define	A64_BLOCK_MAX	64U	/* instructions of a block */

/* Address spaces of the TLB: ASIDs; what is global in the upper half; all of it while the MMU is off. */
#define	A64_SPACE_GLOBAL 65536U
#define	A64_SPACE_PHYS	65537U
#define	A64_SPACES	65538U

/*
 * Access modes: rows of the TLB, for loads and for stores.  They are apart so that a stream of loads and one of stores, which often have
 * the same place in a row, do not drive each other out.
 */
enum a64_row {
	A64_ROW_EL0,
	A64_ROW_EL1,
	A64_ROW_WRITE,		/* added, for stores */
	A64_ROW_NONE = SOFT_TLB_NONE	/* alignment or watchpoints are to be checked */
};

/* A table of 512 pages that a walk went through: good until something is invalidated (Arm ARM D5.10.1, caching of walks). */
struct a64_table {
	uint64_t	 ttbr, tcr;
	uint64_t	 region;	/* of 2 MiB, by its number and 1: 0 is none */
	const uint64_t	*host;
	uint64_t	 tattr;
};

#define	A64_TABLES	32U

struct a64 {
	struct arm64_state *s;
	const struct soft_tlbe *row[2];	/* of the access mode: for loads, for stores */
	uint64_t	 tag[2];	/* of the address space of the lower and the upper half */
	const struct a64_insn *cur;	/* the instruction being executed; NULL between instructions */
	uint64_t	 pc0;		/* PC of its block's start */
	bool		 attention;	/* core_arm64.c is to look at events before the next block */
	bool		 native;	/* native code runs: native.h */
	bool		 lazy;		/* NZCV is in eflags */
	uint16_t	 eflags;
	int32_t		 left;		/* native code: instructions until it is to come out */
	const struct soft_tlbe *row_el0[2];	/* of accesses with EL0's rights */
	uint64_t	 key[2];	/* of the table of jumps (jump.h), for the lower and the upper half */
	uint64_t	 salt[2];	/* where in it: of the address spaces of both halves */
	struct soft_jump *jumps;	/* two ways; aligned to both */
	uint64_t	 rounds;	/* code->rounds that they are of */
	uint64_t	 limit;		/* what *retired is when left is 0 */
	uint8_t		 mode;		/* A64_MODE_* */
	uint8_t		 mmu;		/* enum a64_row, were it not A64_ROW_NONE */
	bool		 upper_ng;	/* the upper half's tag has entries that are not global */
	uint32_t	 asid;

	struct a64_exc	 exc;
	uint64_t	 buf[8];	/* between an instruction and a64_read(), a64_write(): see mem.h */
	uint64_t	 chain;		/* up to how many retired instructions a branch goes on by itself */
	unsigned	 features;	/* A64_F_* */

	struct soft_cpu	*cpu;
	struct vcpu	*vcpu;
	struct soft_tlb	*tlb;
	struct soft_code *code;
	uint64_t	*retired;	/* of run() */
	uint64_t	 done;		/* instructions that retired before the present block */
	const struct a64_insn *block_code;	/* of the present block; this vCPU's own */
	/* an instruction made to end its block, and what it was before: a64_cut() */
	struct a64_insn	*cut;
	a64_op		*cut_go;

	/* self-hosted debug (debug.h) */
	uint8_t		 debug;		/* A64_DEBUG_*: what is to be looked at */
	bool		 stepping;	/* the present instruction is stepped */
	bool		 stepped;	/* the last one was, and no exception return since */
	bool		 step_excl;	/* it was a Load-Exclusive */

	/* native code (native.h) */
	struct jit	*jit;		/* NULL: there is none */
	struct jit_link	*link;		/* what it came out for, to be joined to the block at PC */
	const struct a64_stubs *stubs;
	struct vm_timer	*timer[A64_NTIMERS];	/* virtual, physical */

	/* reads of the count by one instruction, with next to nothing in between: timer_arm64.c */
	uint64_t	 poll_pc, poll_insns;	/* the last one; instructions retired until then */
	uint64_t	 poll_start;		/* when the first one was */
	unsigned	 polls;

	struct a64_table table[A64_TABLES];	/* by region */
};

static inline struct a64 *
a64_of(struct soft_cpu *cpu)
{
	return (cpu->core);
}

static inline bool
a64_el0(const struct a64 *c)
{
	return ((c->s->pstate & PSTATE_MODE) == PSTATE_EL0T);
}

static inline uint64_t *
a64_sp(struct a64 *c)
{
	return ((c->s->pstate & PSTATE_MODE) == PSTATE_EL1H ? &c->s->sp_el1 : &c->s->sp_el0);
}

/* X register n, 31 being zero. */
static inline uint64_t
a64_x(const struct a64 *c, unsigned n)
{
	return (n == 31 ? 0 : c->s->x[n]);
}

static inline void
a64_set_x(struct a64 *c, unsigned n, bool sf, uint64_t val)
{
	if (n != 31)
		c->s->x[n] = sf ? val : (uint32_t)val;
}

/* Bits hi to lo of an instruction. */
static inline unsigned
a64_bits(uint32_t insn, unsigned hi, unsigned lo)
{
	return (insn >> lo & ((2U << (hi - lo)) - 1));
}

static inline int64_t
a64_sext(uint64_t val, unsigned width)
{
	return ((int64_t)(val << (64 - width)) >> (64 - width));
}

/* The tag of translations at va. */
A64_INLINE uint64_t
a64_tag(const struct a64 *c, uint64_t va)
{
	return (c->tag[va >> 55 & 1]);
}

/* The key of blocks at va. */
A64_INLINE uint64_t
a64_key(const struct a64 *c, uint64_t va)
{
	return (c->key[va >> 55 & 1]);
}

/*
 * The entry for va in the table of jumps, NULL: there is none.  Address spaces have theirs in different places, so that programs that
 * take turns keep theirs, and each place has two of them.
 */
A64_INLINE struct soft_jump *
a64_jump_place(const struct a64 *c, uint64_t va)
{
	return (soft_jump_at(c->jumps, va ^ c->salt[va >> 55 & 1], 2));
}

A64_INLINE struct soft_jump *
a64_jump(const struct a64 *c, uint64_t va)
{
	struct soft_jump *j = a64_jump_place(c, va), *other = c->jumps + ((j - c->jumps) ^ 1);
	uint64_t key = a64_key(c, va);

	if (likely(j->va == va && j->key == key))
		return (j);
	return (other->va == va && other->key == key ? other : NULL);
}

/* The address of an instruction of the present block. */
static inline uint64_t
a64_pc(const struct a64 *c, const struct a64_insn *i)
{
	return (c->pc0 + i->off);
}

/* Exceptions: return (a64_raise(...)); for the instruction c->cur. */
enum a64_status a64_raise(struct a64 *c, uint64_t esr);
enum a64_status a64_raise_far(struct a64 *c, uint64_t esr, uint64_t far);
enum a64_status a64_raise_behind(struct a64 *c, uint64_t esr);	/* returns behind it: SVC */
enum a64_status a64_undefined(struct a64 *c);
/* ESR of an abort of class ec (EC_IABT, EC_DABT) taken from the present level. */
uint64_t a64_abort_esr(const struct a64 *c, unsigned ec, unsigned fsc, bool write);

/* dp.c: does the condition hold? */
bool	a64_condition(const struct a64 *c, unsigned cond);

/* block.c */

/* The block at va; *block is one that it may be, not one of an earlier round of code->rounds, or NULL. */
enum a64_status a64_block(struct a64 *c, uint64_t va, struct soft_block **block);

/* core_arm64.c */

/* The page gets PC, and *c->retired the count, of the present instruction: before soft_exit(), soft_mark(), a device or the clock. */
void	a64_sync(struct a64 *c);
/* Guest code was left and entered again: the instruction is the last one for now if there is a reason for that. */
void	a64_after_device(struct a64 *c);
/* The present instruction is the last one of its block; no more. */
void	a64_cut(struct a64 *c);
void	a64_uncut(struct a64 *c);
/* Behind an instruction with A64_I_END: is there anything to be looked at before the next one? */
bool	a64_calls(struct a64 *c);
/*
 * Fill vcpu->exit for the present instruction: return (A_STOP), or (A_EXIT) if is_read, or finish it (it has A64_I_END) and return A_DONE.
 */
struct vm_exit *a64_exit(struct a64 *c, enum vm_exitcode code, bool is_read);
/* Has a wait for an interrupt an end? */
bool	a64_woken(struct a64 *c);
/* How fn is called when it does not know A64_NEXT(); the end of a block. */
a64_op	a64_call, a64_end;

/* mode_arm64.c */

/*
 * Follow a change of SCTLR_EL1, TCR_EL1, TTBR0_EL1, TTBR1_EL1, MAIR_EL1, CPACR_EL1, FPCR or PSTATE: mode, row, tags and key.  What was
 * cached under the old values of the registers goes only with a64_flush(): the caller's business.  The instruction has A64_I_END.
 */
void	a64_mode(struct a64 *c);
/* Drop translations: all; those of an ASID, or with them the global ones of the upper half; of the page at va, in every address space. */
void	a64_flush(struct a64 *c);
void	a64_flush_space(struct a64 *c, uint32_t asid);
void	a64_flush_page(struct a64 *c, uint64_t va);
/* Blocks found by address are not to be trusted any more. */
void	a64_forget_jumps(struct a64 *c);

/* mem_arm64.c */

/* arm64_walk() with what is known of tables. */
bool	a64_walk(struct a64 *c, uint64_t va, int prot, bool el0, struct arm64_walk *w);
/* Translate for one access by its rules; enters the TLB.  row is the rights: EL0 or EL1. */
enum a64_status a64_translate(struct a64 *c, uint64_t va, int prot, unsigned row, struct arm64_walk *w);
/* Descriptors, for arm64_walk(); the cookie is the soft_cpu. */
bool	a64_read_table(void *cookie, vm_paddr_t gpa, uint64_t *desc);
/* SOFT_TLB_* of a walk's result for va; notes what is not global. */
unsigned a64_walk_flags(struct a64 *c, uint64_t va, const struct arm64_walk *w);
/* Zero [va, va + size), size a power of two up to a page, aligned: DC ZVA. */
enum a64_status a64_zero(struct a64 *c, uint64_t va, unsigned size);

/* timer_arm64.c */

/* Recompute the timers' outputs and deadlines.  inside: in guest code; then a64_sync() before and a64_after_device() behind. */
void	a64_timers(struct a64 *c, bool inside);
/*
 * The count of a timer, for the present instruction, which is in guest code as above: what CNTVCT_EL0 and CNTPCT_EL0 read.  It sleeps
 * first if the guest does nothing else than read it.
 */
uint64_t a64_count(struct a64 *c, unsigned timer);
int	a64_timers_create(struct a64 *c);
void	a64_timers_destroy(struct a64 *c);

#endif /* _SOFT_A64_H_ */
