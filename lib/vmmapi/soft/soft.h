/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft.h - the frame of the software back end: what a processor core gets and what it gives.
 *
 * soft.c owns the loop around a core: entering and leaving the guest, event checks, waiting,
 * virtual time and turns.  A core (soft/<arch>/) executes instructions on the state page.  mmu.c
 * gives it guest-physical memory.
 *
 * Writing order makes exceptions and restarts precise: a core performs an instruction's memory
 * accesses first and changes the state page last.
 */
#ifndef _VMMAPI_SOFT_H_
#define	_VMMAPI_SOFT_H_

#include "../internal.h"
#include "code.h"
#include "tlb.h"

/* Why a core stopped. */
enum soft_stop {
	SOFT_OK,		/* go on (returned by single steps only) */
	SOFT_BUDGET,		/* the budget is used up */
	SOFT_REQUEST,		/* vcpu->request is set */
	SOFT_IDLE,		/* waits for an interrupt: state says so */
	SOFT_EXIT,		/* vcpu->exit is filled */
	SOFT_YIELD,		/* a spin-wait hint: let others go first */
};

struct soft_cpu;

struct soft_core {
	enum vm_arch	 arch;
	size_t		 size;			/* of the core's own data, in soft_cpu.core */
	int		(*create)(struct soft_cpu *cpu);	/* may be NULL */
	void		(*destroy)(struct soft_cpu *cpu);	/* may be NULL */
	/*
	 * Execute at most budget instructions; add those that retired to *retired, which is up to
	 * date whenever the core calls into mmu.c or soft.c.  Inside guest code; tests
	 * vcpu->request at block ends and loop back-edges.  What would make the guest run for ever
	 * without retiring (an instruction that faults) counts as retired too.
	 *
	 * While cpu->replay the first instruction is the one that made the last exit: no interrupt
	 * is taken before it.
	 */
	enum soft_stop	(*run)(struct soft_cpu *cpu, uint64_t budget, uint64_t *retired);
	/* Drop what was derived from the memory map. */
	void		(*flush)(struct soft_cpu *cpu);
	/*
	 * The state page was changed by someone else than run(): derive again what comes from it.
	 * May be NULL.
	 */
	void		(*adopt)(struct soft_cpu *cpu);
	/* Points of vm->debug are others now.  Between two instructions. */
	void		(*debug)(struct soft_cpu *cpu);
	/* Whether an idle vCPU has a reason to go on. */
	bool		(*wakeable)(struct soft_cpu *cpu);
	/*
	 * Whether the state page says that it waits for an interrupt, rather than to be started.
	 * NULL: as the last run() said.
	 */
	bool		(*halted)(struct soft_cpu *cpu);
	/* Can it run on this host?  0, or -1 with the reason as sentence.  May be NULL. */
	int		(*probe)(void);
	/* Can it be the VM's processor model here?  0, or -1 with ENOTSUP and a sentence.  NULL: any. */
	int		(*fits)(struct vmctx *vm);
	/*
	 * Address of the instruction that the state page is at: vm_exit.pc.  May be NULL; then the
	 * core makes single-step exits.
	 */
	uint64_t	(*pc)(struct soft_cpu *cpu);
	uint32_t	step_reason;		/* vm_exit.u.debug.reason of a single step */
	/*
	 * Bring up to date what changes in the state page by itself (counters).  The vCPU does not
	 * run.  May be NULL.
	 */
	void		(*save)(struct soft_cpu *cpu);
	/* The page is a restart point again, with counters of that time: they go on.  May be NULL. */
	void		(*restarted)(struct soft_cpu *cpu);
	/* The page came from a snapshot: is it of a processor that this core can be?  0, or -1 with a sentence.  May be NULL. */
	int		(*accept)(struct soft_cpu *cpu);
	/*
	 * The page came from a snapshot, whose time the clock shows now: what changes by itself
	 * goes on from there.  exact: the core's data came too.  May be NULL.
	 */
	void		(*load)(struct soft_cpu *cpu, bool exact);
	/*
	 * What of the core's data goes with a snapshot in virtual time, to go on at the exact
	 * count.  May be NULL.
	 */
	const struct vm_state_table *state;
	/* Capabilities beyond the machine-independent ones; NULL: none. */
	int		(*cap_set)(struct soft_cpu *cpu, int cap, int val);
	/*
	 * Address spaces of its TLB; 0: it has none, and no decoded blocks.  stale: a block was
	 * dropped; if it runs, it must not go on behind the present instruction.
	 */
	uint32_t	nspaces;
	bool		tlb_second;		/* a second level (tlb.h) */
	/* Do what another vCPU asked for by soft_shoot().  NULL: nobody asks. */
	void		(*shoot)(struct soft_cpu *cpu, uint32_t what, uint64_t arg);
	void		(*stale)(struct soft_cpu *cpu, struct soft_block *b);
};

/* FXRSTOR and FXSAVE make 64 of them, a task switch about as many. */
#define	SOFT_NREPLY	96		/* unclaimed reads of one instruction */
#define	SOFT_NLATER	96		/* unclaimed writes of one instruction, beyond the first */

/* A read that the caller answered, by vm_exit_reply(). */
struct soft_reply {
	enum vm_exitcode code;
	uint64_t	addr;
	uint64_t	val;
};

/* What soft keeps of a vCPU. */
struct soft_cpu {
	struct vcpu	*vcpu;
	const struct soft_core *ops;
	void		*core;			/* core's own data */

	struct soft_tlb	*tlb;			/* NULL: the core has none */
	struct soft_code *code;			/* likewise */
	uint64_t	 dirty_gen;		/* vm->dirty_gen and soft_vm.wgen when write tags */
	uint32_t	 wgen;			/* were last dropped */
	uint64_t	 map_gen;		/* vm->map_gen when the core was last flushed */
	uint64_t	 last_gen;		/* vm->map_gen of last */
	uint64_t	 debug_gen, debug_code_gen;	/* of vm->debug, likewise */
	uint64_t	 shots_seen;		/* of the VM's log of invalidations */
	bool		 shooting;		/* soft_shoot() was called, and nobody has waited */
	struct vm_mapping *last;		/* last mapping hit */

	/* the present run() of the core */
	uint64_t	 retired;		/* what its *retired points to */
	uint64_t	 counted;		/* part of it that the VM's clock knows */
	bool		 replay;		/* its first instruction made the last exit */
	bool		 exiting;		/* an exit was filled */
	bool		 halted;		/* it ended with SOFT_IDLE */
	bool		 excl;			/* between soft_excl_begin() and soft_excl_end() */
	bool		 checking;		/* what it does is going to be compared, or thrown away */
	bool		 first_tier;		/* native code is not entered */
	struct soft_lockstep *lockstep;		/* NULL: native code is not checked */

	/*
	 * An instruction whose read nobody claimed is executed again when the caller has answered,
	 * and gets the answers given so far, in order.
	 */
	struct soft_reply replies[SOFT_NREPLY];
	unsigned	 nreply, nextreply;
	enum vm_exitcode open_code;		/* of the read that waits for an answer */
	uint64_t	 open_addr;

	/*
	 * Exits of the same instruction after the first one: returned before anything is executed.
	 */
	struct vm_exit	 later[SOFT_NLATER];
	unsigned	 nlater;

	/* restart point of the instruction that made the last exit: a copy of the state page */
	bool		 restart_valid;
	void		*restart;
	size_t		 restart_size;
};

/* Only the vCPU's own thread counts these: a locked instruction would be felt. */
static inline void
soft_count(struct soft_cpu *cpu, enum vm_stat stat, uint64_t n)
{
	_Atomic uint64_t *p = &cpu->vcpu->stats[stat];

	atomic_store_explicit(p, atomic_load_explicit(p, memory_order_relaxed) + n, memory_order_relaxed);
}

/* Turns of the vCPUs of a VM whose clock counts instructions (turn.c). */
struct soft_turn {
	pthread_mutex_t	 lock;
	uint64_t	 prng;
	uint64_t	 left;			/* instructions of the holder's quantum */
	uint32_t	 holder;		/* vCPU id, TURN_FREE */
	uint32_t	 last;			/* whose turn was before it was free */
	bool		 idle;			/* the holder found nobody to run */
	uint64_t	 inside;		/* vCPUs whose threads are in run(), a bit each */
};

#define	TURN_FREE	UINT32_MAX

/* Invalidations of translations that vCPUs have to hear of (shoot.c). */
#define	SOFT_SHOTS	256U
#define	SOFT_SHOOT_ALL	0U			/* what: everything; the others are the core's own */

struct soft_shots {
	pthread_mutex_t	 lock;
	_Atomic uint64_t seq;			/* entries ever made */
	struct {
		uint64_t arg;
		uint32_t what, from;
	} e[SOFT_SHOTS];
};

/* What soft keeps of a VM: vm->accel_vm. */
struct soft_vm {
	struct soft_turn turn;
	pthread_mutex_t	 excl_lock;		/* one vCPU at a time stops the others */

	struct soft_shots shots;

	/* code.c */
	struct soft_track *_Atomic track[VM_MAX_MEMSEGS];
	struct soft_log	 log;
	pthread_mutex_t	 wlock;			/* one vCPU at a time lets write tags be dropped */
	_Atomic uint32_t wgen;			/* a bump asks for that */
	_Atomic uint32_t wdone;			/* it is done for those entered at this one and before */
};

extern const struct soft_core soft_core_amd64, soft_core_arm64;

/* mmu.c: guest-physical accesses of a core in guest code. */

/* The mapping that covers gpa, NULL if none does. */
struct vm_mapping *soft_mapping(struct soft_cpu *cpu, vm_paddr_t gpa);
/* A store through soft_host() was made, or by a fast path that soft_host() allowed. */
void	soft_wrote(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size);

enum soft_access {
	SOFT_DONE,		/* it happened */
	SOFT_MMIO_EXIT,		/* read: stop now with SOFT_EXIT and execute again after it;
				   write: finish the instruction, then stop with SOFT_EXIT */
};

/*
 * Host address of [gpa, gpa + size) within one page if it is plain memory with that protection,
 * else NULL.  For prot with VM_PROT_WRITE the page is marked dirty, and soft_wrote() is called after
 * the store.  Good until the core's next event check or slow access.
 */
void	*soft_host(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, int prot);
/*
 * Load or store 1, 2, 4 or 8 bytes, also across pages, memory or not.  Around handlers the vCPU
 * leaves the guest.
 */
enum soft_access soft_load(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, uint64_t *val);
enum soft_access soft_store(struct soft_cpu *cpu, vm_paddr_t gpa, unsigned size, uint64_t val);
/*
 * An access by virtual address, translated: in one piece, or in two if it crosses a page.  The core fills gpa[], the second one only if
 * size[1] is not 0.
 */
struct soft_spot {
	vm_paddr_t	 gpa[2];
	unsigned	 size[2];
};

static inline void
soft_spot_split(struct soft_spot *s, uint64_t va, unsigned size)
{
	unsigned left = (unsigned)(VM_PAGE_SIZE - (va & (VM_PAGE_SIZE - 1)));

	s->size[0] = size < left ? size : left;
	s->size[1] = size - s->size[0];
}

/*
 * Load or store all of it, in order, by accesses of piece bytes, a power of two, where that many are left in the page.  At most 8 at a
 * time.  A load ends early with SOFT_MMIO_EXIT; a store goes on.
 */
enum soft_access soft_load_spot(struct soft_cpu *cpu, const struct soft_spot *s, unsigned piece, void *buf);
void	soft_store_spot(struct soft_cpu *cpu, const struct soft_spot *s, unsigned piece, const void *buf);
/* The same as soft_load() and soft_store() for ports. */
enum soft_access soft_in(struct soft_cpu *cpu, uint16_t port, unsigned size, uint64_t *val);
enum soft_access soft_out(struct soft_cpu *cpu, uint16_t port, unsigned size, uint64_t val);
/*
 * Fill vcpu->exit, with the restart point; the core then returns SOFT_EXIT.  Called before the
 * instruction changes the state page.  A second exit of the same instruction is kept for later.
 * is_read: the caller answers, and the instruction asks soft_replied() first when it is executed
 * again.
 */
struct vm_exit *soft_exit(struct soft_cpu *cpu, enum vm_exitcode code, bool is_read);
/*
 * Was this read answered?  addr is what tells reads of one instruction apart (address, port,
 * register, function), and what the core put into cpu->open_addr beside soft_exit().  mmu.c asks
 * for memory and ports; a core for VM_EXIT_SYSREG and VM_EXIT_HYPERCALL.
 */
bool	soft_replied(struct soft_cpu *cpu, enum vm_exitcode code, uint64_t addr, uint64_t *val);
/*
 * An instruction that got answers, or an iteration of one, is complete without having retired: they
 * are not for what comes next.
 */
void	soft_complete(struct soft_cpu *cpu);
/*
 * Take the restart point now, before an instruction that ends with SOFT_IDLE changes the state
 * page.
 */
void	soft_mark(struct soft_cpu *cpu);

/*
 * Notice what others changed: the memory map, dirty tracking, code.  In guest code, by soft.c after
 * every entry; translations and blocks from before may be void.
 */
void	soft_catch_up(struct soft_cpu *cpu);
/*
 * Leave and enter guest code around whatever may call a device or block; brings the VM's clock up
 * to date.
 */
void	soft_leave(struct soft_cpu *cpu);
void	soft_reenter(struct soft_cpu *cpu);
/* The VM's clock at this instruction. */
uint64_t soft_clock(struct soft_cpu *cpu);
/* Suspend the VM from inside an instruction. */
void	soft_suspend(struct soft_cpu *cpu, enum vm_suspend_how how);

/*
 * lockstep.c: something outside of memory and registers is about to be changed, or to be taken into account.  Does not come back while
 * cpu->checking.
 */
void	soft_check_outside(struct soft_cpu *cpu);

static inline void
soft_outside(struct soft_cpu *cpu)
{
	if (__builtin_expect(cpu->checking, false))
		soft_check_outside(cpu);
}

/* shoot.c: in guest code.  Every other vCPU is to do this to its TLB. */
void	soft_shoot(struct soft_cpu *cpu, uint32_t what, uint64_t arg);
/* Has everyone done what this vCPU asked for? */
bool	soft_shoot_done(struct soft_cpu *cpu);
/* If not: wait.  Guest code is left for the time. */
void	soft_shoot_wait(struct soft_cpu *cpu);
void	soft_shoot_catch_up(struct soft_cpu *cpu);

/*
 * Atomic accesses that the host has no instruction for: between these no other vCPU is in guest
 * code.  soft_host() works in between, and pointers from before are void; soft_load() and the
 * others do not.
 */
void	soft_excl_begin(struct soft_cpu *cpu);
void	soft_excl_end(struct soft_cpu *cpu);

/* turn.c: outside guest code */
void	turn_init(struct vmctx *vm);
void	turn_fini(struct vmctx *vm);
/* The thread came into run(), or leaves it. */
void	turn_in(struct soft_cpu *cpu);
void	turn_out(struct soft_cpu *cpu);
/* Is it this vCPU's turn?  If so, for how many instructions. */
bool	turn_mine(struct soft_cpu *cpu, uint64_t *left);
/* The holder executed insns instructions; its turn ends with its quantum. */
void	turn_spent(struct soft_cpu *cpu, uint64_t insns);
/*
 * The holder has nothing to execute: false if nobody has.  Then it keeps the turn and makes time
 * pass; with sleep, it is about to wait for a request, and whoever gets one first may take the
 * turn.
 */
bool	turn_idle(struct soft_cpu *cpu, bool sleep);
/* Give the turn up: the vCPU leaves for something that does not come from the guest. */
void	turn_give(struct soft_cpu *cpu);
/* By what its state page says, the vCPU has something to execute. */
bool	soft_runnable(struct vcpu *vcpu);
extern const struct vm_state_table turn_state_table;

#endif /* _VMMAPI_SOFT_H_ */
