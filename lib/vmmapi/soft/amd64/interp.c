/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * interp.c - the amd64 core of the software back end: running blocks, and what is looked at between
 * two instructions.
 *
 * Most of the time block follows block, and between two of them only requests and the budget are
 * looked at.  x->attention says that more is to be seen to: an event, an interrupt shadow, a trap.
 * Then instructions are executed one at a time until nothing is left of that.
 */
#include <sys/mman.h>

#include <errno.h>
#include <stdlib.h>

#include "native.h"
#include "segment.h"

#define	DR6_BS		0x4000U
#define	TABLES_SIZE	((X86_TABLES + 1) * SOFT_JUMPS * sizeof(struct soft_jump))

/* Inside of blocks */

/* Behind the last instruction of a block, and in place of every instruction of one that was dropped. */
enum x86_status
x86_op_end(struct x86 *x, const struct x86_insn *i)
{
	x->s->rip = x86_rip(x, i);
	return (X_END);
}

static void
core_stale(struct soft_cpu *cpu, struct soft_block *b)
{
	struct x86_insn *i = SOFT_BLOCK_CODE(b);

	for (unsigned n = 0; n < b->n; n++)
		i[n].fn = x86_op_end;
	if (b->jit != NULL) {
		x86_of(cpu)->native.leave = true;
		jit_drop(x86_of(cpu)->jit, b);
	}
	x86_forget_jumps(x86_of(cpu));
}

void
x86_cut(struct x86 *x)
{
	struct x86_insn *next;

	if (x->cut != NULL || x->cur == NULL)
		return;
	/* The block is this vCPU's own, and ends with one that is not executed. */
	next = x->block_code + (x->cur - x->block_code) + 1;
	x->cut = next;
	x->cut_fn = next->fn;
	next->fn = x86_op_end;
}

static void
uncut(struct x86 *x)
{
	if (x->cut == NULL)
		return;
	x->cut->fn = x->cut_fn;
	x->cut = NULL;
}

static const uint32_t mxcsr_init = 0x1f80;

void
x86_sync(struct x86 *x)
{
	x86_fp_sync(x);
	if (x->cur == NULL)
		return;
	x->s->rip = x86_rip(x, x->cur);
	*x->retired = x->done + (uint64_t)(x->cur - x->block_code);
}

/*
 * A device may have asked for something, or nobody has claimed a store: then the instruction is the
 * last one for now.  What a device computed has left no flags for the guest.
 */
void
x86_after_device(struct x86 *x)
{
	__asm__ volatile("ldmxcsr %0" : : "m" (mxcsr_init));
	if (x->cpu->exiting || atomic_load_explicit(&x->vcpu->request, memory_order_relaxed) != 0)
		x86_cut(x);
}

/* One instruction or many */

/* What is in its first place goes to the other one if it is good for anything. */
static void
remember(struct x86 *x, uint64_t lin, uint64_t key, struct soft_block *b)
{
	struct soft_jump *j = soft_jump_at(x->jumps, lin, 0);

	if (j->va != lin && (j->key == x->key || j->key == x->global_key))
		*soft_jump_other(x->jumps, j) = *j;
	soft_jump_keep(j, lin, key, b);
	j->native = x86_native_none(x);
}

/* The block at RIP. */
static inline enum x86_status
find(struct x86 *x, struct soft_block **block)
{
	const struct amd64_segment *cs = &x->s->seg[SEG_CS];
	uint64_t rip = x->s->rip, lin = x->flat ? rip : (uint32_t)(cs->base + rip);
	struct soft_jump *j = x86_jump(x, lin);
	enum x86_keep keep;
	enum x86_status r;

	if (likely(j != NULL)) {
		*block = j->block;
		if (likely(x->flat || rip + (*block)->bytes - 1 <= cs->limit))
			return (X_DONE);
	}
	x->cur = NULL;
	r = x86_block(x, lin, block, &keep);
	if (r == X_DONE && keep != X86_KEEP_NOT) {
		soft_tlb_note_code(x->tlb, lin);
		soft_tlb_note_code(x->tlb, lin + (*block)->bytes - 1);
		remember(x, lin, keep == X86_KEEP_GLOBAL ? x->global_key : x->key, *block);
	}
	return (r);
}

/* What became of the last instruction executed, behind it or at it. */
static enum soft_stop
finish(struct x86 *x, enum x86_status r)
{
	const struct x86_insn *i = x->cur;

	switch (r) {
	case X_END:
		break;
	case X_JUMP:
		x->done++;
		break;
	case X_HALT:
	case X_YIELD:
	case X_DONE:
		x->s->rip = x86_next_rip(x, i);
		x->done++;
		break;
	case X_FAULT:
		/* What it accessed before the fault it accesses again: a debugger is told then. */
		if (x->cpu->exiting && x->vcpu->exit.code == VM_EXIT_DEBUG && x->vcpu->exit.u.debug.why == VM_DEBUG_AT_POINT)
			x->cpu->exiting = x->cpu->restart_valid = false;
		/* It counts, so that a handler that faults does not stop the time. */
		x->s->rip = x86_rip(x, i);
		x->done++;
		*x->retired = x->done;
		x->cur = NULL;
		x->trap6 = 0;
		x->shadow = 0;
		x->attention = true;
		r = x86_exception(x);
		return (r == X_EXIT || x->cpu->exiting ? SOFT_EXIT : SOFT_OK);
	case X_AGAIN:
		/*
		 * What interrupts it finds RF set, so that a breakpoint on it is not met again (SDM
		 * vol. 3 17.3.1.1).
		 */
		x->s->rflags |= FL_RF;
		x->attention = true;
		x->again = x->flat ? x86_rip(x, i) : (uint32_t)(x->s->seg[SEG_CS].base + x86_rip(x, i));
		soft_complete(x->cpu);
		/* FALLTHROUGH */
	default:
		x->s->rip = x86_rip(x, i);
		break;
	}
	*x->retired = x->done;
	x->cur = NULL;
	if (r == X_EXIT || r == X_STOP) {
		x->vcpu->exit.insn_len = i->len;
		return (SOFT_EXIT);
	}
	if (x->cpu->exiting) {
		if (r == X_END && i > x->block_code)
			i--;			/* a store ended the block behind it */
		x->vcpu->exit.insn_len = i->len;
		return (SOFT_EXIT);
	}
	return (r == X_HALT ? SOFT_IDLE : r == X_YIELD ? SOFT_YIELD : SOFT_OK);
}

/* A debug trap behind an instruction; if that leaves for the caller, at the next run. */
static enum soft_stop
trap(struct x86 *x, uint64_t dr6, enum soft_stop stop)
{
	enum x86_status r;

	x->trap6 = 0;
	x->exc = (struct x86_exc){ .vector = EXC_DB, .dr6 = dr6 };
	x->attention = true;
	if (stop == SOFT_EXIT) {
		x86_exception_later(x);
		return (stop);
	}
	r = x86_exception(x);
	return (r == X_EXIT || x->cpu->exiting ? SOFT_EXIT : SOFT_OK);
}

static inline void
start_block(struct x86 *x, struct soft_block *b)
{
	x->block_code = SOFT_BLOCK_CODE(b);
	x->rip0 = x->s->rip;
	x->took = false;
}

/* A block came to its end, or was left, at instruction i with r. */
static enum soft_stop
left_block(struct x86 *x, const struct x86_insn *i, enum x86_status r)
{
	enum soft_stop stop;

	x->done += (uint64_t)(i - x->block_code);
	if (likely(r == X_JUMP || r == X_END)) {
		x->done += r == X_JUMP;
		*x->retired = x->done;
		if (likely(!x->attention && x->cut == NULL)) {
			x->cur = NULL;
			return (SOFT_OK);
		}
		x->done -= r == X_JUMP;
	}
	uncut(x);
	stop = finish(x, r);
	if (x->shadow != 0) {
		x->s->intr_shadow = x->shadow;
		x->shadow = 0;
		x->attention = true;
	}
	if (unlikely(x->trap6 != 0)) {
		if (x->s->intr_shadow != 2)
			return (trap(x, x->trap6, stop));
		x->s->trap_pending = (uint32_t)x->trap6;
		x->trap6 = 0;
	}
	return (stop);
}

static enum soft_stop
run_block(struct x86 *x, struct soft_block *b)
{
	const struct x86_insn *i;
	enum x86_status r;

	start_block(x, b);
	i = x->block_code;
	for (;;) {
		x->cur = i;
		r = i->fn(x, i);
		if (unlikely(r != X_DONE))
			break;
		i++;
	}
	return (left_block(x, i, r));
}

/* The same by native code, and what it leads to; no more than `most' instructions, which are enough for b. */
static enum soft_stop
run_native(struct x86 *x, struct soft_block *b, uint64_t most)
{
	x->took = false;
	if (x86_native_run(x, b, most) == NAT_CALLED)
		return (left_block(x, x->cur, (enum x86_status)x->native.status));
	*x->retired = x->done;
	return (SOFT_OK);
}

/* Execute one instruction with everything that may be due before and behind it. */
static enum soft_stop
step(struct x86 *x)
{
	struct amd64_state *s = x->s;
	uint8_t shadow = s->intr_shadow;
	const struct x86_insn *i;
	struct soft_block *b = NULL;
	enum soft_stop stop;
	enum x86_status r;
	uint64_t bits;

	/* Instruction breakpoints come before everything else of it (SDM vol. 3 table 6-2, 17.3.1.1). */
	if ((s->rflags & FL_RF) == 0 && shadow != 2 && x86_insn_breakpoints_on(x)) {
		bits = x86_insn_breakpoint(x, x->flat ? s->rip : (uint32_t)(s->seg[SEG_CS].base + s->rip));
		if (bits != 0) {
			x->exc = (struct x86_exc){ .vector = EXC_DB, .dr6 = bits };
			r = x86_exception(x);
			return (r == X_EXIT || x->cpu->exiting ? SOFT_EXIT : SOFT_OK);
		}
	}
	r = find(x, &b);
	if (r != X_DONE) {
		*x->retired = ++x->done;
		r = x86_exception(x);
		return (r == X_EXIT || x->cpu->exiting ? SOFT_EXIT : SOFT_OK);
	}
	if (unlikely(b->debug) && x86_debug_stop(x))
		return (SOFT_EXIT);
	/* Native code comes here behind STI and IRET for as long as it cannot go on by itself. */
	if (shadow != 0 || (s->rflags & FL_RF) != 0)
		(void)x86_native_ready(x, b);
	start_block(x, b);
	i = x->block_code;
	x->trap_tf = (s->rflags & FL_TF) != 0;
	x->keep_rf = false;
	x->cur = i;
	r = i->fn(x, i);
	if (r == X_DONE) {
		/* Like the end of a block. */
		s->rip = x86_next_rip(x, i);
		r = X_JUMP;
	}
	uncut(x);
	stop = finish(x, r);
	if (r == X_EXIT || r == X_STOP || r == X_FAULT)
		return (stop);
	if (r != X_AGAIN && !x->keep_rf)
		s->rflags &= ~(uint64_t)FL_RF;
	s->intr_shadow = x->shadow;
	x->shadow = 0;
	/* MOV SS holds traps off until the instruction behind it (SDM vol. 3 6.8.3). */
	bits = x->trap6 | s->trap_pending;
	x->trap6 = 0;
	s->trap_pending = 0;
	if (s->intr_shadow == 2) {
		s->trap_pending = (uint32_t)bits;
		return (stop);
	}
	if (x->trap_tf)
		bits |= DR6_BS;
	if (bits == 0)
		return (stop);
	s->run_state = VM_AMD64_RUNNING;	/* a trap ends HLT */
	return (trap(x, bits, stop));
}

/* Whether the next instruction is to be executed by step(), apart from RF. */
static bool
careful(const struct x86 *x)
{
	const struct amd64_state *s = x->s;

	return ((s->rflags & FL_TF) != 0 || s->intr_shadow != 0 || s->trap_pending != 0 ||
	    x->cpu->replay || x86_insn_breakpoints_on(x));
}

bool
x86_settled(struct x86 *x)
{
	if (x->shadow != 0 || x->trap6 != 0 || x->cpu->exiting || x->s->run_state != VM_AMD64_RUNNING || x86_events_pending(x) || careful(x))
		return (false);
	x->attention = false;
	return (true);
}

static void
begin(struct x86 *x, uint64_t *retired)
{
	struct vcpu *vcpu = x->vcpu;
	const struct intc_ops *intc = vcpu->vm->intc_ops;

	x->retired = retired;
	x->done = *retired;
	x->cur = NULL;
	x->took = false;
	x->shadow = 0;
	x86_tsc_check(x);
	x86_mode(x);
	if (x->s->run_state == VM_AMD64_HALTED) {
		/*
		 * HLT is behind it: no shadow, and no instruction to execute again, keeps an event
		 * away.
		 */
		x->s->intr_shadow = 0;
		x->cpu->replay = false;
	}
	x->intr = intc != NULL && intc->pending != NULL && intc->pending(vcpu);
	x->attention = true;
}

static enum soft_stop
run(struct x86 *x, uint64_t budget)
{
	struct soft_cpu *cpu = x->cpu;
	struct vcpu *vcpu = x->vcpu;
	enum soft_stop stop;
	struct soft_block *b = NULL;
	enum x86_status r;

	for (;;) {
		if (unlikely(atomic_load_explicit(&vcpu->request, memory_order_relaxed) != 0))
			return (SOFT_REQUEST);
		if (unlikely(x->done >= budget))
			return (SOFT_BUDGET);
		if (unlikely(x->attention)) {
			if (x86_events_pending(x)) {
				r = x86_events(x);
				if (r == X_EXIT || cpu->exiting)
					return (SOFT_EXIT);
				if (r == X_DONE)
					continue;
			}
			if (x->s->run_state != VM_AMD64_RUNNING)
				return (SOFT_IDLE);
			if ((x->s->rflags & FL_RF) != 0 || careful(x)) {
				stop = step(x);
				if (stop != SOFT_OK)
					return (stop);
				continue;
			}
			/* An interrupt that is held off by IF is looked at again when IF changes. */
			x->attention = false;
		}
		r = find(x, &b);
		if (unlikely(r != X_DONE)) {
			*x->retired = ++x->done;
			r = x86_exception(x);
			x->attention = true;
			if (r == X_EXIT || cpu->exiting)
				return (SOFT_EXIT);
			continue;
		}
		if (unlikely(b->debug) && x86_debug_stop(x))
			return (SOFT_EXIT);
		if (unlikely(b->n > budget - x->done)) {
			stop = step(x);
			x->attention = true;
		} else if (x86_native_ready(x, b)) {
			stop = run_native(x, b, budget - x->done);
		} else {
			stop = run_block(x, b);
		}
		if (unlikely(stop != SOFT_OK))
			return (stop);
	}
}

/*
 * Instructions may rely on the host's floating point being in its initial state but for what they
 * change themselves and put back.
 */
static enum soft_stop
core_run(struct soft_cpu *cpu, uint64_t budget, uint64_t *retired)
{
	static const uint16_t fcw = 0x37f;
	struct x86 *x = x86_of(cpu);
	enum soft_stop stop;
	uint32_t old_mxcsr;
	uint16_t old_fcw;

	__asm__ volatile("stmxcsr %0; fnstcw %1" : "=m" (old_mxcsr), "=m" (old_fcw));
	__asm__ volatile("ldmxcsr %0; fldcw %1" : : "m" (mxcsr_init), "m" (fcw));
	begin(x, retired);
	stop = run(x, budget);
	x86_fp_sync(x);
	/* Flags that the guest's work left would trap in a caller that unmasks them. */
	if ((~old_fcw & 0x3f) != 0)
		__asm__ volatile("fnclex");
	__asm__ volatile("ldmxcsr %0; fldcw %1" : : "m" (old_mxcsr), "m" (old_fcw));
	return (stop);
}

/* The core as soft.c sees it */

static void
core_destroy(struct soft_cpu *cpu)
{
	struct x86 *x = x86_of(cpu);

	x86_translator_destroy(x);
	x86_jit_destroy(x);
	if (x->tables != NULL)
		(void)munmap(x->tables, TABLES_SIZE);
}

/* What is derived from the page is derived again. */
static void
core_adopt(struct soft_cpu *cpu)
{
	struct x86 *x = x86_of(cpu);

	x86_flush(x);
	x86_debug_changed(x);
	x86_mode(x);
}

static int
core_create(struct soft_cpu *cpu)
{
	struct x86 *x = x86_of(cpu);
	void *p;

	x->cpu = cpu;
	x->vcpu = cpu->vcpu;
	x->s = cpu->vcpu->state;
	x->tlb = cpu->tlb;
	x->code = cpu->code;
	x->phys_mask = UINT64_MAX;
	x->rotate_keeps = x86_probe_rotates();
	/* Pairs of entries are lines of the cache. */
	p = mmap(NULL, TABLES_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	x->jumps = x->tables = p == MAP_FAILED ? NULL : p;
	if (x->tables == NULL)
		return (vm_fail(ENOMEM, "soft: no memory for vcpu %d", x->vcpu->id));
	if (x86_model_init(x) != 0 || x86_translator_create(x) != 0 || x86_jit_create(x) != 0) {
		core_destroy(cpu);
		return (-1);
	}
	x86_tsc_adopt(x, vm_clock_now(x->vcpu->vm));
	core_adopt(cpu);
	return (0);
}

/* The memory map changed.  Blocks stay: they are found by where their bytes are. */
static void
core_flush(struct soft_cpu *cpu)
{
	struct x86 *x = x86_of(cpu);

	x->phys_mask = amd64_phys_mask(cpu->vcpu->vm);
	x86_flush(x);
}

static bool
core_wakeable(struct soft_cpu *cpu)
{
	return (x86_wakeable(x86_of(cpu)));
}

static bool
core_halted(struct soft_cpu *cpu)
{
	return (x86_of(cpu)->s->run_state == VM_AMD64_HALTED);
}

static uint64_t
core_pc(struct soft_cpu *cpu)
{
	return (x86_of(cpu)->s->rip);
}

static void
core_save(struct soft_cpu *cpu)
{
	x86_tsc_save(x86_of(cpu));
}

static void
core_restarted(struct soft_cpu *cpu)
{
	x86_tsc_restarted(x86_of(cpu));
}

static void
core_load(struct soft_cpu *cpu, bool exact)
{
	x86_model_loaded(x86_of(cpu));
	if (!exact)
		x86_tsc_loaded(x86_of(cpu));
	core_adopt(cpu);
}

static void
core_debug(struct soft_cpu *cpu)
{
	x86_debug_changed(x86_of(cpu));
}

static const struct vm_state_field core_fields[] = {
	VM_STATE_U64(struct x86, tsc_offset),
	VM_STATE_U64(struct x86, tsc_seen),
	VM_STATE_U64(struct x86, prng),
	VM_STATE_BOOL(struct x86, clock_stale),
};
static const struct vm_state_table core_state = VM_STATE_TABLE("soft.amd64", 1, 1, core_fields,
    NULL);

const struct soft_core soft_core_amd64 = {
	.arch = VM_ARCH_AMD64,
	.size = sizeof(struct x86),
	.create = core_create,
	.destroy = core_destroy,
	.run = core_run,
	.flush = core_flush,
	.adopt = core_adopt,
	.debug = core_debug,
	.wakeable = core_wakeable,
	.halted = core_halted,
	.fits = x86_model_fits,
	.pc = core_pc,
	.step_reason = VM_AMD64_DEBUG_STEP,
	.save = core_save,
	.restarted = core_restarted,
	.load = core_load,
	.state = &core_state,
	.nspaces = X86_SPACES,
	.tlb_second = true,
	.stale = core_stale,
};
