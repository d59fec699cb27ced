/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native.h - the arm64 core's front end of native code (jit/jit.h).
 *
 * native.c enters native code and comes out of it, and translates block by block; native_*.c have emitters for groups of
 * instructions.  What has none is a call of the first tier's function.
 *
 * Host registers: r15 is the core, rbp the state page + NATIVE_BIAS so that X registers are a byte's displacement away; r14 is
 * c->left, which functions find in memory; rax, rcx and rdx are anybody's; the others hold guest registers within a block.  Memory
 * always has what they hold too, so they are good for nothing but speed and forgotten at any time.
 *
 * In native code c->pc0 is the address of the page that code is in, and the instructions that functions get are copies whose
 * offset is one within the page; behind each copy is one that returns, and that has in imm how many instructions were counted
 * ahead of time.  NZCV is in c->eflags as LAHF and SETO have it, with Arm's carry, unless c->lazy says that PSTATE has it: around
 * functions that look.
 */
#ifndef _SOFT_A64_NATIVE_H_
#define	_SOFT_A64_NATIVE_H_

#include "../jit/jit.h"
#include "ops.h"

int	a64_native_create(struct a64 *c);
void	a64_native_destroy(struct a64 *c);
/* The translation of b, which is about to be entered; NULL: there is none. */
const void *a64_native_entry(struct a64 *c, struct soft_block *b);
/*
 * Run it at s->pc, within the budget that covers it.  c->done is the count up to where it came out.  A_DONE: s->pc says where
 * that is; else it is in place of the instruction c->cur, or behind it (A_JUMP).
 */
enum a64_status a64_native_run(struct a64 *c, const void *entry, uint64_t budget);
/* A block was dropped. */
void	a64_native_stale(struct a64 *c, struct soft_block *b);
/* Count and NZCV of the present instruction, in native code: a64_sync(). */
void	a64_native_sync(struct a64 *c);

/* What follows is for native*.c. */

#define	NATIVE_BIAS	128
#define	H_LEFT		H_R14

#define	ERET		0xd69f03e0U	/* the instruction */

/* Code that all translations share. */
struct a64_stubs {
	const void	*enter;		/* jumps to rcx */
	const void	*leave;		/* leave with rax */
	const void	*status;	/* leave with eax, of a function */
	const void	*out;		/* go back by eax >> 16 instructions, leave at offset eax & 0xffff of the page */
	const void	*link;		/* leave at offset ecx of the page, for the link in rax */
	const void	*miss;		/* leave at the address in rax */
	const void	*other[2];	/* go there by the other way of the entry at rcx, in this half */
	const void	*returned;	/* go on at s->pc, behind an exception return */
	const void	*to_page;	/* called: NZCV to PSTATE */
	const void	*from_page;	/* called: NZCV from PSTATE */
};

#define	NATIVE_GONE	0xffU		/* a host register that holds no guest register */
#define	HOLDS_VECTOR	16U		/* in tr.holds, the first of the host's vectors */
#define	HOLDS_PAIR	0x40U		/* of two X registers, the number of the first one */

/*
 * Where NZCV is: in c->eflags if it is saved, and in the host's flags, and it is what comes of comparing host registers that nothing
 * else gets.  It is saved or has such a recipe.
 */
struct nzcv {
	bool		 saved, host;
	bool		 borrow;	/* the host's carry is Arm's complemented */
	enum { NZCV_MEMORY, NZCV_CMP, NZCV_ADD, NZCV_TEST } how;
	uint8_t		 size, a, b;	/* host registers; */
	bool		 imm;		/* with an immediate, no b */
	int32_t		 with;
};

/* Code of a translation that is emitted behind its end. */
struct late {
	enum late_kind { LATE_SLOW, LATE_TAKEN, LATE_GROUP } kind;
	struct emit_label from, back;
	unsigned	 k, end;	/* the instruction; LATE_GROUP: what is behind the last one */
	uint8_t		 holds[32];	/* LATE_SLOW, LATE_GROUP: what has to be loaded again */
	bool		 host;		/* LATE_SLOW: and NZCV, into the host's flags */
	uint8_t		 held[32];	/* LATE_GROUP: what is there at its beginning */
	int64_t		 target;	/* LATE_TAKEN: offset from the page's start, */
	struct nzcv	 flags;		/* and where NZCV is */
};

/* What a load or store accesses: native_ldst.c. */
enum address { ADDR_IMM, ADDR_REG, ADDR_POST, ADDR_PRE, ADDR_UNPRIV, ADDR_LITERAL };

struct access {
	enum address	 how;
	unsigned	 size, total;	/* of an element; of all, 0: a hint */
	bool		 write, vector, two;
	uint8_t		 ext;		/* of a load: 0 zero-extends, 1 sign-extends to 64 bits, 2 to 32 */
	unsigned	 base;		/* host register with the base */
};

/* Accesses whose memory is looked up together, and what lies between them: native_group.c. */
#define	GROUP_BASES	3U

struct group {
	unsigned	 first, end;	/* instructions */
	unsigned	 nbases;
	struct group_base {
		uint8_t	 slot;		/* guest register, */
		const struct a64_insn *offset;	/* and what this access adds to it, NULL */
		uint8_t	 reg;		/* host register: the host's address of lo */
		bool	 known;		/* registers are what they were at the head, and delta */
		bool	 write;
		int32_t	 delta, lo, hi;	/* [lo, hi) from what the guest register was at the head */
	} base[GROUP_BASES];
	uint64_t	 member;	/* bit k - first */
	uint8_t		 of[A64_BLOCK_MAX];	/* a member's base, */
	int16_t		 at[A64_BLOCK_MAX];	/* and distance from what that was at the head */
};

/* A block that jumps back to its beginning: native_loop.c. */
#define	NATIVE_WANTS	6U

struct loop {
	unsigned	 length;	/* instructions up to the last jump back; 0: there is none */
	bool		 scout;		/* find out what a round loads: */
	uint8_t		 wanted[2][NATIVE_WANTS];	/* general registers, vectors */
	unsigned	 nwanted[2];
	uint8_t		 home[32];	/* tr.holds where a round begins, */
	struct emit_label head;		/* there */
};

/* A block being translated. */
struct tr {
	struct a64	*c;
	struct jit	*jit;
	struct jit_block *jb;
	struct emit	*e, *cold;	/* where code goes; what seldom runs */
	const struct a64_insn *code, *i;	/* the block; the present instruction */
	struct a64_insn	*copy;		/* [2 * k] and what returns behind it */
	unsigned	 k, n;
	unsigned	 off;		/* of the block in its page */
	unsigned	 half;		/* where its code is, and most likely its data */
	uint64_t	 place;		/* of the page */
	uint64_t	 seen;		/* bit k: someone may see NZCV as it is behind instruction k, */
	uint64_t	 stored;	/* and looks for it in memory */
	bool		 flags_in;	/* or as it is ahead of the block */
	struct nzcv	 flags;
	bool		 ended;		/* the present instruction went elsewhere in any case */

	uint8_t		 holds[32];	/* guest register in each host register, vector register or HOLDS_PAIR in each of the host's */
	uint16_t	 busy, vbusy;	/* host registers of the present instruction */
	uint16_t	 pinned;	/* those of NZCV's recipe */
	unsigned	 turn, vturn;
	uint64_t	 konst;		/* the value of guest register konst_of */
	uint8_t		 konst_of;
	uint8_t		 width[32];	/* of vector registers: bytes, all above which are 0 */

	struct loop	 loop;
	struct group	 group;		/* end 0: none */
	uint16_t	 kept;		/* host registers that it has */
	struct late	*head;		/* the group executed one by one */

	struct late	 late[4 * A64_BLOCK_MAX];
	unsigned	 nlate;
};

/* It ends the block by what it does: a system instruction, or one that is not allocated. */
static inline bool
native_by_function(const struct a64_insn *i)
{
	return ((i->flags & A64_I_END) != 0 && i->fn != NULL);
}

/* What an emitter says. */
enum native {
	NATIVE_NOT,		/* nothing emitted: call the function */
	NATIVE_DONE,
	NATIVE_KEPT,		/* and the host's flags are as tr.flags says */
};

static inline struct emit_mem
core_at(size_t off)
{
	return (emit_at(H_R15, (int32_t)off));
}

#define	CORE(field)	core_at(offsetof(struct a64, field))
#define	PAGE(field)	emit_at(H_RBP, (int32_t)offsetof(struct arm64_state, field) - NATIVE_BIAS)

static inline struct emit_mem
slot_at(unsigned slot)
{
	return (emit_at(H_RBP, (int32_t)(8 * slot) - NATIVE_BIAS));
}

static inline struct emit_mem
vector_at(unsigned n)
{
	return (emit_at(H_RBP, (int32_t)(offsetof(struct arm64_state, v) + 16 * n) - NATIVE_BIAS));
}

/* native_block.c: jit_ops.translate */
bool	a64_translate_block(struct soft_cpu *cpu, struct jit *jit, struct jit_block *jb, struct emit *e);

/* native_block.c: registers.  A host register stays good for the present instruction. */
unsigned native_use(struct tr *t, unsigned slot);	/* one that holds a guest register: not to be changed */
unsigned native_new(struct tr *t);			/* one to compute in */
void	native_put(struct tr *t, unsigned slot, unsigned reg);	/* all 64 bits of it become the guest register */
/* Vectors: xmm0 to xmm2 are anybody's, the others hold all of a vector register each. */
unsigned native_use_vector(struct tr *t, unsigned n);
unsigned native_new_vector(struct tr *t);
void	native_put_vector(struct tr *t, unsigned n, unsigned xmm);
void	native_put_narrow(struct tr *t, unsigned n, unsigned xmm, unsigned width);	/* whose upper bytes are 0 */
int	native_find_vector(struct tr *t, unsigned n);		/* like native_use_vector(), but -1 if it is only in memory */
void	native_lose_vector(struct tr *t, unsigned n);		/* it was changed in memory */
/* X registers n and n + 1 in one of the host's vectors; -1: they are in none. */
int	native_find_pair(struct tr *t, unsigned n);
unsigned native_use_pair(struct tr *t, unsigned n);
void	native_put_pair(struct tr *t, unsigned n, unsigned xmm);
/* Forget what host registers hold. */
void	native_forget(struct tr *t);
/* By places in tr.holds: load what it says there; from one to another. */
void	native_fetch(struct tr *t, unsigned place);
void	native_move(struct tr *t, unsigned to, unsigned from);

/* native_flags.c: rax may be lost in all of these. */
/* Who may see NZCV: tr.seen, stored, flags_in. */
void	native_find_flags(struct tr *t);
bool	native_flags_seen(const struct tr *t);
/* The present instruction compared f; emitted: host flags are the outcome, else that is left to whoever needs it. */
void	native_compared(struct tr *t, struct nzcv f, bool emitted);
/* Host flags, of an operation that borrows where Arm does not carry if `borrow', become NZCV, saved. */
void	native_set_flags(struct tr *t, bool borrow);
/* NZCV is in c->eflags, too; or there and nowhere else that takes registers.  Host flags stay if they have it. */
void	native_save_flags(struct tr *t);
void	native_settle_flags(struct tr *t);
/* NZCV to the host's flags, with this kind of carry. */
void	native_carry(struct tr *t, bool borrow);
/* The host's condition for one of NZCV, with flags loaded. */
enum emit_cc native_condition(struct tr *t, unsigned cond);

/* Execute instruction k by its function; rax, flags and what host registers hold are lost. */
void	native_call(struct tr *t, unsigned k);
/* The same of one that changes the PC: ERET. */
void	native_return(struct tr *t);
/*
 * For jumps (to its `from') to code behind the block's end, which executes the present instruction by its function and comes back
 * to native_joined().
 */
struct late *native_slow(struct tr *t);
void	native_joined(struct tr *t, struct late *l);
/*
 * Go to an offset from the page's start; what was counted of instructions behind the present one is given back.  Does not come
 * back.
 */
void	native_goto(struct tr *t, int64_t target, unsigned k);
/* By the entry of the table of jumps at rcx, if it is the one for rax in this half; rdx is lost. */
void	native_jump(struct emit *e, unsigned half, const void *other, const void *miss);
/* Go to the address in rax, likewise. */
void	native_goto_rax(struct tr *t);

static inline unsigned
native_size(uint32_t w)
{
	return (w >> 31 != 0 ? 8 : 4);
}

static inline unsigned
native_copy(struct tr *t, unsigned size, unsigned slot)
{
	unsigned from = native_use(t, slot), reg = native_new(t);

	emit_mov_rr(t->e, size, reg, from);
	return (reg);
}

static inline struct late *
native_late(struct tr *t, enum late_kind kind)
{
	struct late *l = &t->late[t->nlate < nitems(t->late) - 1 ? t->nlate++ : t->nlate];

	if (t->nlate == nitems(t->late) - 1)
		t->e->full = true;
	*l = (struct late){ .kind = kind, .k = t->k };
	return (l);
}

/* Emitters by groups. */
enum native native_branch(struct tr *t);
enum native native_dp(struct tr *t);
enum native native_sources(struct tr *t);	/* of native_dp() */
enum native native_ldst(struct tr *t);
enum native native_atomic(struct tr *t);
enum native native_system(struct tr *t);
enum native native_fp(struct tr *t);
enum native native_simd(struct tr *t);		/* of native_fp() */
enum native native_permute(struct tr *t);	/* of native_simd() */

/* Execute the present instruction. */
void	native_one(struct tr *t);
/* Behind the present instruction, which ends the block: come out if anything is to be looked at, else go on. */
void	native_look(struct tr *t);

/* native_loop.c: is instruction k a jump back to the block's beginning?  All of them. */
bool	native_is_back(const struct tr *t, unsigned k);
void	native_find_loop(struct tr *t);
/* The present instruction had to load a guest register, vector register or pair. */
void	native_want(struct tr *t, bool vector, unsigned what);
/* Where a round begins; jump back there if cc holds, -1: always. */
void	native_loop_begin(struct tr *t);
void	native_loop_back(struct tr *t, int cc);

/* native_group.c: where a group begins; the present instruction's memory, if it is a member; where it ends; the same one by one. */
void	native_group_begin(struct tr *t);
bool	native_grouped(const struct tr *t, struct emit_mem *m);
void	native_group_end(struct tr *t);
void	native_group_late(struct tr *t, const struct late *l);

/* native_ldst.c: false: it is none that is known here. */
bool	native_access(const struct tr *t, const struct a64_insn *i, struct access *a);
/* rdx = the host register with the base, and an access's register offset. */
void	native_offset(struct tr *t, const struct a64_insn *i, unsigned base);
/* For native_atomic.c: the address of a base register to rdx. */
void	native_base(struct tr *t, struct late *slow);
/* soft_tlb_hit() of rdx, which becomes the host's address; rax is the entry's, rcx is lost. */
void	native_look_up(struct tr *t, unsigned total, bool write, bool unpriv, struct late *slow);

#endif /* _SOFT_A64_NATIVE_H_ */
