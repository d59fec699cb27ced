/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native.h - native code for soft's amd64 processor: the front end of soft/jit.
 *
 * Only flat 64-bit code is translated.  Most guest registers are host registers, across blocks (nat_pin), so that an instruction
 * is mostly the guest's own again, behind a look-up of its memory operand in the TLB.  What has no host code of its own, and
 * every access that the TLB does not have, is a call of the first tier's function for the whole instruction, with everything in
 * the state page (native.c).
 *
 *   r15		struct x86
 *   rax, r14		free for every instruction
 *   r12, r13		guest RAX, RSP
 *   the others		the guest's registers of the same names, R12 to R15 apart, which are in struct x86_native
 *   XMM0 to XMM15	the guest's, if x86_native.xmm says so.  They are loaded when a block first needs them, and go to the state page
 *			around calls, as do the general registers.
 *   x87		the guest's, if x86_native.x87 says so, in the same way (native_x87.c); else nothing is on its stack
 *   MXCSR		the initial one, collecting flags, as the first tier has it (sse_mxcsr.h)
 *
 * Arithmetic flags.  A backward pass (native_flags.c) finds what nobody can see.  Of what can be seen the translator knows
 * whether it is in the host's flags, in x86_native.flags, or can be computed again from registers (struct nat_lazy): nothing of a
 * block but its end has to store them, as long as that much is left.  At the beginning and the end of a block they are in
 * x86_native.flags.
 *
 * Counting.  A block is entered if x86_native.left covers it; what leads out of it subtracts what was executed.
 */
#ifndef _VMMAPI_SOFT_AMD64_NATIVE_H_
#define	_VMMAPI_SOFT_AMD64_NATIVE_H_

#include "../jit/jit.h"
#include "cpu.h"

#define	NAT_MAX		32U		/* instructions of a block */
#define	NAT_MNEMONICS	2048U

/* Host registers with a purpose. */
#define	HA		H_RAX
#define	HT		H_R14
#define	HX		H_R15
#define	NAT_MEM		0xffU		/* none */

extern const uint8_t nat_pin[16];	/* by guest register; NAT_MEM: R12 to R15 */

/* x86_native.xmm */
#define	XMM_LOADED	1U
#define	XMM_FP		3U		/* and the guest's MXCSR is the initial one, flags apart */

/* What native code is left with: one of these, or the address of a struct jit_link that wants to be joined. */
enum nat_exit {
	NAT_GO,			/* RIP says where to go on */
	NAT_CALLED,		/* x86_native.status is that of x->cur, and all is in the state page */
	NAT_TIER1,		/* as NAT_GO, and the first tier is to do the next block */
	NAT_LAST
};

struct nat;
struct nat_row;

/*
 * A row of the tables of instructions: what has host code.  Flags are RFLAGS' arithmetic ones: those it uses, and those that are
 * the same behind it whatever they were before.
 */
typedef bool nat_emit(struct nat *n, const struct x86_insn *i, const struct nat_row *row);

#define	NK_EXPOSED	0x01U		/* may fault, or leads elsewhere, even without a memory operand */
#define	NK_NOMEM	0x02U		/* does not access its memory operand */
#define	NK_SHIFT	0x04U		/* flags depend on the count */
#define	NK_ROTATE	0x08U
#define	NK_DOUBLE	0x10U
#define	NK_SCAN		0x20U		/* what the manual leaves undefined may be what it was */
#define	NK_ALIGNED	0x40U		/* SSE: the memory operand has to be; which MXCSR there is matters */
#define	NK_FP		0x80U
#define	NK_X87		0x100U		/* its registers are not in x86_insn.r[] */
#define	NAT_X87_STORES	1U		/* nat_row.op of these */

#define	NK_BY_CONDITION	0x8000U		/* reads: what the condition x86_insn.arg looks at */

struct nat_row {
	uint16_t	 mnemonic;
	uint16_t	 reads, kills;
	uint16_t	 kind;		/* NK_* */
	uint8_t		 size;		/* the emitter's: of memory */
	uint32_t	 op;		/* the emitter's: an opcode (emit.h) */
	nat_emit	*emit;		/* false, before anything is emitted: it is to be a call */
};
/* Each ends with a mnemonic 0. */
extern const struct nat_row nat_rows_move[], nat_rows_arith[], nat_rows_flow[], nat_rows_system[], nat_rows_sse[], nat_rows_ssei[],
    nat_rows_x87[];

/* Undefined flags that the host keeps, by class of instruction (native_flags.c). */
struct nat_keeps {
	uint16_t	 shift, rotate, dshift, scan;
};

/* What all translations share: addresses to run, and what is found out once. */
struct x86_stubs {
	const void	*call;		/* the instruction at offset r14 of the block rax */
	const void	*go;		/* leave, for the offset eax of the page */
	const void	*jump;		/* by the table of jumps to the offset eax of the page */
	const void	*tier1;		/* likewise */
	const void	*leave;		/* leave with rax */
	const void	*found;		/* leave for the address of the entry r14 of the table of jumps, which has no native code */
	const void	*begin;		/* the way in, to rcx */
	const void	*xmm;		/* load XMM registers, if they may be used, and set x86_native.xmm: a call */
	const void	*x87;		/* likewise the x87, x86_native.x87 */
	const void	*again[2];	/* called: what nat_look_up() did not find, for loads and stores, in the second level: ZF says so */
	const void	*other;		/* called: likewise nat_find(), in the other place or by the other key; rax is the address */
	struct nat_keeps keeps;
	const struct nat_row *row[NAT_MNEMONICS];
};

/* How to compute flags again, from what an instruction left. */
enum nat_lazy_op { LAZY_NONE, LAZY_CMP, LAZY_TEST, LAZY_ADD, LAZY_SUB, LAZY_RESULT, LAZY_ZERO };

struct nat_lazy {
	uint8_t		 op;		/* enum nat_lazy_op */
	uint8_t		 size;
	uint8_t		 a, b;		/* host registers; b: EMIT_NOREG for imm */
	int32_t		 imm;
};

/* Code that is rarely executed, emitted behind the block. */
enum nat_cold_what { COLD_CALL, COLD_EDGE, COLD_XMM, COLD_X87, COLD_WINDOW, COLD_AGAIN, COLD_OTHER, COLD_STACK };

struct nat_cold {
	uint8_t		 what;
	uint8_t		 at;		/* index of its instruction */
	uint8_t		 need;		/* COLD_XMM: what x86_native.xmm has to be */
	uint8_t		 xmm;		/* COLD_CALL: what it is known to be where it goes on */
	bool		 x87;		/* COLD_CALL: the x87 is loaded where it goes on */
	uint8_t		 point;		/* nat.point there */
	bool		 save;		/* flags come from lazy, or (COLD_EDGE) the host's */
	bool		 restore;	/* where it goes on they are the host's */
	uint16_t	 windows;	/* COLD_CALL: those that are in use where it goes on */
	int32_t		 target;	/* COLD_EDGE: offset in the page; COLD_WINDOW, COLD_STACK: displacement */
	uint8_t		 base, size;	/* COLD_WINDOW: of the operand; base is the guest's register */
	uint16_t	 length;	/* COLD_STACK: bytes, from target on */
	bool		 aligned;	/* COLD_STACK: to 16 */
	bool		 write, open;	/* the first one has a range to look up, of which nothing came */
	struct nat_cold	*call;		/* what becomes of it if it is not in the TLB */
	struct emit_label *miss;	/* COLD_AGAIN, COLD_OTHER, COLD_STACK: where to if there is nothing either */
	struct emit_label key;		/* COLD_OTHER: from here, if rax is not the address any more */
	struct nat_lazy	 lazy;
	struct emit_label from, back;
};

/* What an instruction does with flags. */
struct nat_effect {
	uint16_t	 reads, kills;
	bool		 exposed;	/* all flags have to be in place before it: it may fault, leave, or is a call */
};

/* A range of memory that was looked up (native_window.c), in bytes from what the register had at first. */
struct nat_window {
	bool		 on, write;
	int64_t		 lo, hi;
};

/* A translation in the making. */
struct nat {
	struct x86	*x;
	struct jit	*jit;
	struct emit	*e;
	struct soft_block *b;
	const struct x86_insn *insn;
	unsigned	 at;		/* index of the present instruction */
	unsigned	 off;		/* of the block in its page */
	struct nat_effect effect[NAT_MAX];
	uint16_t	 live[NAT_MAX + 1]; /* flags that somebody may see before each instruction */
	bool		 ef, slot;	/* flags are in the host's, in x86_native.flags */
	struct nat_lazy	 lazy;
	uint8_t		 xmm;		/* what x86_native.xmm is at least */
	bool		 x87;		/* x86_native.x87 is set */
	uint8_t		 point;		/* the last x87 instruction, less 1, if what points to it is not in x86_native yet; else 0 */
	struct nat_window window[16];	/* by guest register */
	int64_t		 moved[16];	/* what was added to it since its window's `at first' */
	uint16_t	 changed;	/* registers that the present instruction changes */
	bool		 ended;		/* nothing falls out of the present instruction */
	bool		 called;	/* the present instruction is a call */
	bool		 failed;
	struct emit_label head, thunk, unknown;	/* unknown: behind its end, nothing is known there */
	struct nat_cold	 cold[12 * NAT_MAX], spare;
	unsigned	 ncold;
};

/* native_flags.c */

struct nat_keeps nat_probe(void);
/* row may be NULL. */
struct nat_effect nat_effect(const struct x86_insn *i, const struct nat_row *row, const struct nat_keeps *keeps);
/* live[k]: flags that somebody may see before instruction k of n, when all are visible behind the last. */
void	nat_liveness(const struct nat_effect *f, unsigned n, uint16_t live[]);

void	nat_flags_save(struct nat *n);		/* into x86_native.flags, if they are not there: keeps the host's */
void	nat_flags_load(struct nat *n);		/* into the host's */
void	nat_flags_settle(struct nat *n);	/* the host's are about to go */
void	nat_lazy_load(struct nat *n, const struct nat_lazy *l);
/* The instruction has left the host's flags; lazy may be NULL. */
void	nat_flags_set(struct nat *n, const struct nat_lazy *lazy);
/* Guest register r is about to change: call it before anything is in rax. */
void	nat_clobber(struct nat *n, unsigned r);
/* The same if it is by a constant; nat_window_moved() is to follow. */
void	nat_clobber_by(struct nat *n, unsigned r);
/* Does somebody behind the present instruction want flags that it keeps? */
bool	nat_flags_pass(const struct nat *n);

/* native_mem.c */

#define	NAT_FIELD(f)	emit_at(H_R15, (int32_t)offsetof(struct x86, f))

static inline struct emit_mem
nat_slot(unsigned r)				/* of R12 to R15 */
{
	return (emit_at(H_R15, (int32_t)(offsetof(struct x86, native.gpr) + 8 * (r - R12))));
}

struct nat_cold *nat_cold(struct nat *n, enum nat_cold_what what);
/* COLD_CALL for the present instruction, whose host flags are settled. */
struct nat_cold *nat_called(struct nat *n);
/* Is it code of level 0, which knows global pages? */
bool	nat_kernel(const struct nat *n);
/* r14 is an address, rax that of the last byte; r14 becomes what is to be added to the address.  miss: a label of struct nat. */
void	nat_look_up(struct nat *n, bool write, struct emit_label *miss);
void	nat_cold_again(struct nat *n, struct nat_cold *c);
/* The same for length bytes at [guest RSP + disp], of the page that the stack is in most of the time. */
void	nat_look_up_stack(struct nat *n, int32_t disp, unsigned length, bool write, bool aligned, struct emit_label *miss);
void	nat_cold_stack(struct nat *n, struct nat_cold *c);
/* Can the memory operand be found inline? */
bool	nat_mem_ok(const struct nat *n, const struct x86_insn *i, unsigned size);
/*
 * Find the memory operand, size bytes, in the TLB: what it is for the host.  Flags of the host and rax are lost; r14 belongs to
 * the operand.  What is not found becomes a call of the instruction.  aligned: to 16.
 */
struct emit_mem nat_mem(struct nat *n, const struct x86_insn *i, unsigned size, bool write, bool aligned);
/*
 * The second operand, memory or a general register that is not AH to BH, in a host register: the pinned one, or r14.  Else as
 * nat_mem().
 */
unsigned nat_source(struct nat *n, const struct x86_insn *i, unsigned size);
/* nat_mem() for [guest RSP + disp]. */
struct emit_mem nat_stack(struct nat *n, int32_t disp, unsigned size, bool write);
struct emit_mem nat_pinned(struct nat *n, unsigned g, int32_t disp, unsigned size, bool write);

/* A locked access is the host's own if it is within a line (atomic.h); others are for the first tier.  m is the operand; rax is lost. */
void	nat_lock(struct nat *n, struct emit_mem m, unsigned size);

/* The address of the memory operand, its low 4 or 8 bytes, to host register `to'; rax and r14 are lost.  Flags stay. */
void	nat_lea(struct nat *n, const struct x86_insn *i, unsigned size, unsigned to);

/* Register operands, as x86_insn.r has them. */
static inline bool
nat_high(unsigned r)
{
	return ((r & 7) != 0);
}

static inline unsigned
nat_host(unsigned r)
{
	return (r == X86_NOREG ? NAT_MEM : nat_pin[r >> 3]);
}

/* A host register with the value: the pinned one, or rax. */
unsigned nat_get(struct nat *n, unsigned r, unsigned size);
/* The value into a host register, rax or r14; r14 not of AH to BH.  Flags stay. */
void	nat_get_into(struct nat *n, unsigned host, unsigned r, unsigned size);
/* From host register src, which has zeros above its 32 bits if size is 4; rax if r is AH to BH.  Flags stay. */
void	nat_put(struct nat *n, unsigned r, unsigned size, unsigned src);

/* native_window.c */

/*
 * Look up [guest register g + disp] together with others, or with what was looked up before: r14 is to be added to the address.  false: it is alone.
 */
bool	nat_window(struct nat *n, unsigned g, int32_t disp, unsigned size, bool write);
void	nat_cold_window(struct nat *n, struct nat_cold *c);
void	nat_window_forget(struct nat *n, unsigned g);	/* it changes */
void	nat_window_moved(struct nat *n, unsigned g, int64_t by);	/* it was changed by so much */
uint16_t nat_windows(const struct nat *n);		/* those in use, as bits */
void	nat_windows_clear(struct nat *n, uint16_t which);	/* there is nothing in them; flags stay */

/* native_block.c */

void	nat_call(struct nat *n, const struct x86_insn *i);
/* XMM registers are loaded, and with XMM_FP the usual MXCSR is in force. */
void	nat_xmm(struct nat *n, unsigned need);

/* native_x87.c */

/* Can it be the host's?  Rows of x87 are for that case only. */
bool	nat_x87_create(struct x86 *x);
void	nat_x87_destroy(struct x86 *x);
void	nat_x87_load(struct emit *e);		/* the stub */
void	nat_x87_spill(struct emit *e);		/* to the state page at r14, if it is loaded; rcx, rdx, rsi are lost */
/* The x87 is loaded. */
void	nat_x87(struct nat *n);
/* Instruction and opcode pointers, of nat.point; rax is lost. */
void	nat_point(struct nat *n, unsigned point);

/* native_flow.c */

/* Where the block at address rax has its first place in the table of jumps: r14.  And go to the one that an entry is of; rax is lost. */
void	nat_place(struct emit *e);
void	nat_enter(struct emit *e);
void	nat_cold_other(struct nat *n, struct nat_cold *c);
/*
 * To an offset of the page, behind `executed' instructions.  Flags are saved.  miss: it is in another page, and nothing is known
 * there.
 */
void	nat_edge(struct nat *n, unsigned executed, int64_t target, struct emit_label *miss);
/* The same by the table of jumps in any case. */
void	nat_lookup(struct nat *n, unsigned executed, int64_t target, struct emit_label *miss);

/* native.c */
int	x86_jit_create(struct x86 *x);
void	x86_jit_destroy(struct x86 *x);
/* What struct soft_jump.native is where there is none. */
static inline const void *
x86_native_none(const struct x86 *x)
{
	return (x->stubs != NULL ? x->stubs->found : NULL);
}
/* Is there native code of b, the block at RIP?  Counts an entry. */
bool	x86_native_ready(struct x86 *x, struct soft_block *b);
/*
 * Run it, and what it leads to, `most' instructions at most.  NAT_GO: x->done is up to date and RIP says where to go on.
 * NAT_CALLED: it is as if the first tier's loop had come to x->cur with x86_native.status, with x->done from before its block.
 */
enum nat_exit x86_native_run(struct x86 *x, struct soft_block *b, uint64_t most);

/*
 * interp.c: behind an instruction, with x->attention: is there nothing to see to, as run() would find?  Then that is taken back.
 */
bool	x86_settled(struct x86 *x);

/* native_block.c */
bool	x86_translate(struct soft_cpu *cpu, struct jit *jit, struct jit_block *jb, struct emit *e);

#endif /* _VMMAPI_SOFT_AMD64_NATIVE_H_ */
