/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core_arm64.c - the arm64 core of the software back end: running blocks, and what is looked at between two of them: interrupts and
 * injected exceptions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#ifndef __x86_64__
#include <fenv.h>
#endif

#include "debug.h"
#include "fp.h"
#include "native.h"
#include "sys.h"

/* Offsets of vectors from VBAR_EL1 (Arm ARM table D1-7) */
#define	VECTOR_SP0	0x000U
#define	VECTOR_SPX	0x200U
#define	VECTOR_EL0	0x400U
#define	VECTOR_SYNC	0x000U
#define	VECTOR_IRQ	0x080U
#define	VECTOR_FIQ	0x100U
#define	VECTOR_SERROR	0x180U

/* Exceptions */

static void
enter_el1(struct a64 *c, unsigned vector, uint64_t pc)
{
	struct arm64_state *s = c->s;
	unsigned mode = s->pstate & PSTATE_MODE;

	s->spsr_el1 = s->pstate;
	s->elr_el1 = pc;
	s->pc = s->vbar_el1 + vector +
	    (mode == PSTATE_EL0T ? VECTOR_EL0 : mode == PSTATE_EL1T ? VECTOR_SP0 : VECTOR_SPX);
	s->pstate = (s->pstate & PSTATE_NZCV) | PSTATE_DAIF | PSTATE_EL1H;
	c->attention = true;
	a64_mode(c);
}

/* Take c->exc. */
static void
take_exception(struct a64 *c)
{
	struct arm64_state *s = c->s;

	s->esr_el1 = c->exc.esr;
	if (c->exc.has_far)
		s->far_el1 = c->exc.far;
	enter_el1(c, VECTOR_SYNC, s->pc + (c->exc.behind ? 4 : 0));
}

enum a64_status
a64_raise(struct a64 *c, uint64_t esr)
{
	c->exc = (struct a64_exc){ .esr = esr };
	return (A_FAULT);
}

enum a64_status
a64_raise_far(struct a64 *c, uint64_t esr, uint64_t far)
{
	c->exc = (struct a64_exc){ .esr = esr, .far = far, .has_far = true };
	return (A_FAULT);
}

enum a64_status
a64_raise_behind(struct a64 *c, uint64_t esr)
{
	c->exc = (struct a64_exc){ .esr = esr, .behind = true };
	return (A_FAULT);
}

enum a64_status
a64_undefined(struct a64 *c)
{
	return (a64_raise(c, ESR_EC(EC_UNKNOWN) | ESR_IL));
}

uint64_t
a64_abort_esr(const struct a64 *c, unsigned ec, unsigned fsc, bool write)
{
	return (ESR_EC(ec + (a64_el0(c) ? 0 : 1)) | ESR_IL | (write ? 0x40U : 0) | fsc);
}

/* Interrupts that the processor sees: mask_hwintr holds them back. */
static unsigned
interrupts(struct a64 *c)
{
	if (c->vcpu->caps[VM_CAP_MASK_INTR] == 1)
		return (0);
	return (gicv3_output(c->vcpu));
}

/* WFI ends for an interrupt whatever PSTATE masks (Arm ARM D1.16.2). */
bool
a64_woken(struct a64 *c)
{
	return (c->s->exc_pending || interrupts(c) != 0);
}

static bool
take_interrupt(struct a64 *c)
{
	struct arm64_state *s = c->s;
	unsigned out = interrupts(c);
	bool fiq = (out & GIC_OUT_FIQ) != 0 && (s->pstate & PSTATE_F) == 0;

	if (!fiq && ((out & GIC_OUT_IRQ) == 0 || (s->pstate & PSTATE_I) != 0))
		return (false);
	soft_outside(c->cpu);
	enter_el1(c, fiq ? VECTOR_FIQ : VECTOR_IRQ, s->pc);
	vcpu_count(c->vcpu, VM_STAT_INTR);
	return (true);
}

/*
 * vm_arm64_inject_exception(): synchronous, or an SError by its class, which PSTATE.A keeps pending (Arm ARM D1.13.4) and which has no
 * address.  false: nothing is to be taken now.
 */
static bool
take_injected(struct a64 *c)
{
	struct arm64_state *s = c->s;
	bool serror = s->exc_esr >> 26 == EC_SERROR;

	if (!s->exc_pending || (serror && (s->pstate & PSTATE_A) != 0))
		return (false);
	s->exc_pending = 0;
	s->esr_el1 = s->exc_esr;
	if (!serror)
		s->far_el1 = s->exc_far;
	enter_el1(c, serror ? VECTOR_SERROR : VECTOR_SYNC, s->pc);
	return (true);
}

bool
a64_calls(struct a64 *c)
{
	const struct arm64_state *s = c->s;

	if (atomic_load_explicit(&c->vcpu->request, memory_order_relaxed) != 0 || c->cpu->exiting)
		return (true);
	if (!c->attention)
		return (false);
	if (c->cpu->replay || s->exc_pending || (s->pstate & PSTATE_IL) != 0 || interrupts(c) != 0)
		return (true);
	c->attention = false;
	return (false);
}

/* Inside of blocks */

/* Instructions that blocks run to one another before requests are looked at; this also bounds the host's stack. */
#define	CHAIN	512U
_Static_assert(CHAIN > A64_BLOCK_MAX, "the last block of a chain is within the budget");

enum a64_status
a64_call(struct a64 *c, const struct a64_insn *i)
{
	enum a64_status r;

	c->cur = i;
	r = i->fn(c, i);
	if (unlikely(r != A_DONE))
		return (r);
	return (A64_NEXT(c, i));
}

/* Behind the last instruction of a block, and in place of every instruction of one that was dropped. */
enum a64_status
a64_end(struct a64 *c, const struct a64_insn *i)
{
	c->cur = i;
	return (A_END);
}

static void
core_stale(struct soft_cpu *cpu, struct soft_block *b)
{
	struct a64_insn *i = SOFT_BLOCK_CODE(b);

	for (unsigned n = 0; n < b->n; n++)
		i[n].go = a64_end;
	a64_native_stale(a64_of(cpu), b);
	a64_forget_jumps(a64_of(cpu));
}

void
a64_cut(struct a64 *c)
{
	struct a64_insn *next;

	if (c->cut != NULL || c->cur == NULL)
		return;
	/* The block is this vCPU's own, and ends with one that is not executed.  So are the copies that native code calls. */
	next = (struct a64_insn *)(uintptr_t)c->cur + 1;
	c->cut = next;
	c->cut_go = next->go;
	next->go = a64_end;
}

void
a64_uncut(struct a64 *c)
{
	if (c->cut == NULL)
		return;
	c->cut->go = c->cut_go;
	c->cut = NULL;
}

void
a64_sync(struct a64 *c)
{
	if (c->cur == NULL)
		return;
	c->s->pc = a64_pc(c, c->cur);
	if (c->native)
		a64_native_sync(c);
	else
		*c->retired = c->done + (uint64_t)(c->cur - c->block_code);
}

void
a64_after_device(struct a64 *c)
{
	if (c->cpu->exiting || atomic_load_explicit(&c->vcpu->request, memory_order_relaxed) != 0)
		a64_cut(c);
}

struct vm_exit *
a64_exit(struct a64 *c, enum vm_exitcode code, bool is_read)
{
	struct vm_exit *ex;

	a64_sync(c);
	ex = soft_exit(c->cpu, code, is_read);
	ex->insn_len = 4;
	return (ex);
}

/* Block after block */

/* The block at PC. */
static inline enum a64_status
find(struct a64 *c, struct soft_block **block)
{
	uint64_t va = c->s->pc;
	struct soft_jump *j = a64_jump(c, va), *other;
	enum a64_status r;

	if (likely(j != NULL)) {
		*block = j->block;
		return (A_DONE);
	}
	c->cur = NULL;
	if (unlikely(c->rounds != c->code->rounds)) {
		memset(c->jumps, 0, SOFT_JUMPS * sizeof(*c->jumps));
		c->rounds = c->code->rounds;
	}
	/* The key changes more often than code does: most likely it is the same block again. */
	j = a64_jump_place(c, va);
	other = c->jumps + ((j - c->jumps) ^ 1);
	*block = j->va == va ? j->block : other->va == va ? other->block : NULL;
	r = a64_block(c, va, block);
	if (r == A_DONE) {
		if (j->va != va)
			*other = *j;
		soft_jump_keep(j, va, a64_key(c, va), *block);
		soft_tlb_note_code(c->tlb, va);
	}
	return (r);
}

static enum soft_stop
exiting(struct a64 *c)
{
	struct soft_cpu *cpu = c->cpu;

	c->vcpu->exit.insn_len = 4;
	for (unsigned n = 0; n < cpu->nlater; n++)
		cpu->later[n].insn_len = 4;
	return (SOFT_EXIT);
}

/* A block came to an end that is not its usual one. */
static enum soft_stop
finish(struct a64 *c, enum a64_status r)
{
	struct arm64_state *s = c->s;
	uint64_t pc = a64_pc(c, c->cur);
	enum soft_stop stop = SOFT_OK;

	switch (r) {
	case A_FAULT:
		/* It counts, so that a handler that faults does not stop the time. */
		s->pc = pc;
		c->done++;
		take_exception(c);
		break;
	case A_IDLE:
	case A_YIELD:
		s->pc = pc + 4;
		c->done++;
		stop = r == A_IDLE ? SOFT_IDLE : SOFT_YIELD;
		break;
	default:
		s->pc = pc;
		stop = SOFT_EXIT;
		break;
	}
	*c->retired = c->done;
	c->cur = NULL;
	return (c->cpu->exiting || stop == SOFT_EXIT ? exiting(c) : stop);
}

/* A block came to its end, in whichever way, at c->cur. */
static inline enum soft_stop
block_done(struct a64 *c, enum a64_status r)
{
	if (unlikely(c->cut != NULL))
		a64_uncut(c);
	if (likely(r == A_JUMP))
		c->done++;
	else if (r == A_END)
		c->s->pc = a64_pc(c, c->cur);
	else
		return (finish(c, r));
	*c->retired = c->done;
	c->cur = NULL;
	return (unlikely(c->cpu->exiting) ? exiting(c) : SOFT_OK);
}

/* one: no more than the first instruction. */
static inline enum soft_stop
run_block(struct a64 *c, struct soft_block *b, bool one)
{
	const struct a64_insn *code = SOFT_BLOCK_CODE(b);
	enum a64_status r;

	c->block_code = code;
	c->pc0 = c->s->pc;
	c->cur = code;
	if (one)
		a64_cut(c);
	r = code->go(c, code);
	/* Perhaps of another block: branch.c. */
	c->done += (uint64_t)(c->cur - c->block_code);
	return (block_done(c, r));
}

/* The same by its translation, and what that leads to. */
static inline enum soft_stop
run_native(struct a64 *c, const void *entry, uint64_t budget)
{
	enum a64_status r = a64_native_run(c, entry, budget);

	if (unlikely(r != A_DONE))
		return (block_done(c, r));
	*c->retired = c->done;
	c->cur = NULL;
	return (unlikely(c->cpu->exiting) ? exiting(c) : SOFT_OK);
}

/* What is to be seen to before the next instruction; true: an exception was taken. */
static bool
attend(struct a64 *c)
{
	c->attention = false;
	if (c->cpu->replay)
		return (false);
	if (take_injected(c) || take_interrupt(c))
		return (true);
	if ((c->s->pstate & PSTATE_IL) == 0)
		return (false);
	c->exc = (struct a64_exc){ .esr = ESR_EC(EC_ILLEGAL) | ESR_IL };
	take_exception(c);
	*c->retired = ++c->done;
	return (true);
}

/* Load-Exclusive of one register or two (Arm ARM C4.1.4) */
#define	LDX_MASK	0x3fc00000U
#define	LDX		0x08400000U

/* An instruction under software step ended; one that waits for an answer, or that a debugger stopped at, is to come yet. */
static void
step_done(struct a64 *c, struct soft_block *b, enum soft_stop stop)
{
	const struct a64_insn *i = SOFT_BLOCK_CODE(b);

	if (stop == SOFT_EXIT && (c->vcpu->read_open || c->vcpu->exit.code == VM_EXIT_DEBUG))
		c->stepping = false;
	else
		a64_debug_after(c, (i->word & LDX_MASK) == LDX);
}

static enum soft_stop
run(struct a64 *c, uint64_t budget)
{
	struct vcpu *vcpu = c->vcpu;
	struct soft_block *b = NULL;
	const void *native;
	enum soft_stop stop;
	bool one;

	c->link = NULL;
	for (;;) {
		if (unlikely(atomic_load_explicit(&vcpu->request, memory_order_relaxed) != 0) && !c->cpu->replay)
			return (SOFT_REQUEST);
		if (unlikely(c->done >= budget))
			return (SOFT_BUDGET);
		if (unlikely(c->attention)) {
			c->link = NULL;
			if (attend(c))
				continue;
		}
		one = (c->debug & A64_DEBUG_INSN) != 0;
		if ((unlikely(one) && a64_debug_before(c) != A_DONE) || unlikely(find(c, &b) != A_DONE)) {
			*c->retired = ++c->done;
			take_exception(c);
			continue;
		}
		one |= b->n > budget - c->done;
		if (c->jit != NULL) {
			native = likely(!one) && likely(!c->cpu->first_tier) ? a64_native_entry(c, b) : NULL;
			if (likely(native != NULL)) {
				stop = run_native(c, native, budget);
				if (unlikely(stop != SOFT_OK))
					return (stop);
				continue;
			}
			/* A jump that native code came out for does not lead to what comes behind this block. */
			c->link = NULL;
		}
		/* With native code every block comes back here to be counted until it is translated. */
		c->chain = c->jit != NULL || one || budget < CHAIN ? 0 :
		    c->done < budget - CHAIN ? c->done + CHAIN - A64_BLOCK_MAX : budget - A64_BLOCK_MAX;
		stop = run_block(c, b, unlikely(one));
		if (unlikely(c->stepping))
			step_done(c, b, stop);
		if (unlikely(stop != SOFT_OK))
			return (stop);
	}
}

static enum soft_stop
enter(struct soft_cpu *cpu, uint64_t budget, uint64_t *retired)
{
	struct a64 *c = a64_of(cpu);
	struct arm64_state *s = c->s;

	c->retired = retired;
	c->done = *retired;
	c->cur = NULL;
	s->zero = 0;
	if (arm64_load32(&s->on_state) == ARM64_ON_READY)
		arm64_event(c->vcpu);
	if (arm64_load32(&s->run_state) == VM_ARM64_OFF)
		return (SOFT_IDLE);
	a64_mode(c);
	c->attention = true;
	if (!cpu->replay) {
		a64_timers(c, true);
		if (arm64_load32(&s->run_state) == VM_ARM64_WAITING) {
			if (!a64_woken(c))
				return (SOFT_IDLE);
			arm64_store32(&s->run_state, VM_ARM64_RUNNING);
		}
	} else {
		/* In place of the instruction whose read waited for an answer. */
		(void)take_injected(c);
	}
	return (run(c, budget));
}

/* Instructions find the host's floating point in its initial state (insn.h); the caller finds its own again. */
static enum soft_stop
core_run(struct soft_cpu *cpu, uint64_t budget, uint64_t *retired)
{
	enum soft_stop stop;
#ifdef __x86_64__
	static const uint32_t initial = 0x1f80;
	uint32_t old;

	__asm__ volatile("stmxcsr %0; ldmxcsr %1" : "=m" (old) : "m" (initial));
	stop = enter(cpu, budget, retired);
	a64_fp_sync(a64_of(cpu));
	__asm__ volatile("ldmxcsr %0" : : "m" (old));
#else
	fenv_t old;

	(void)feholdexcept(&old);
	(void)fesetenv(FE_DFL_ENV);
	stop = enter(cpu, budget, retired);
	a64_fp_sync(a64_of(cpu));
	(void)fesetenv(&old);
#endif
	return (stop);
}

/* The core as soft.c sees it */

/* The memory map changed.  Blocks stay: they are found by where their bytes are. */
static void
core_flush(struct soft_cpu *cpu)
{
	a64_flush(a64_of(cpu));
}

/* What is derived from the page is derived again. */
static void
core_adopt(struct soft_cpu *cpu)
{
	struct a64 *c = a64_of(cpu);

	c->features = a64_features(c->s);
	c->stepped = false;
	a64_flush(c);
	a64_mode(c);
}

/* A guest that found more in its ID registers than there is here would use it. */
static int
core_accept(struct soft_cpu *cpu)
{
	const struct arm64_state *s = a64_of(cpu)->s;
	struct arm64_state ours;
	struct arm64_id_lack lack;

	memset(&ours, 0, sizeof(ours));
	arm64_id_reset(&ours, NULL);
	if (!arm64_id_lacks(&ours, s, &lack))
		return (0);
	return (vm_fail(ENOTSUP, "vcpu %d: state: the guest has found 0x%llx in %s, the software processor has 0x%llx there: bits %u and up have "
	    "not what they had", cpu->vcpu->id, (unsigned long long)lack.wants, lack.name, (unsigned long long)lack.has, lack.bit));
}

static void
core_load(struct soft_cpu *cpu, bool exact)
{
	core_adopt(cpu);
}

static bool
core_wakeable(struct soft_cpu *cpu)
{
	struct a64 *c = a64_of(cpu);

	switch (arm64_load32(&c->s->run_state)) {
	case VM_ARM64_RUNNING:
		return (true);
	case VM_ARM64_WAITING:
		a64_timers(c, false);
		return (a64_woken(c));
	default:
		return (arm64_load32(&c->s->on_state) == ARM64_ON_READY);
	}
}

static void
core_debug(struct soft_cpu *cpu)
{
	a64_mode(a64_of(cpu));
}

static uint64_t
core_pc(struct soft_cpu *cpu)
{
	return (a64_of(cpu)->s->pc);
}

static void
core_destroy(struct soft_cpu *cpu)
{
	struct a64 *c = a64_of(cpu);

	a64_timers_destroy(c);
	a64_native_destroy(c);
	free(c->jumps);
}

static int
core_create(struct soft_cpu *cpu)
{
	struct a64 *c = a64_of(cpu);

	c->cpu = cpu;
	c->vcpu = cpu->vcpu;
	c->s = cpu->vcpu->state;
	c->tlb = cpu->tlb;
	c->code = cpu->code;
	c->jumps = aligned_alloc(2 * sizeof(*c->jumps), SOFT_JUMPS * sizeof(*c->jumps));
	if (c->jumps != NULL)
		memset(c->jumps, 0, SOFT_JUMPS * sizeof(*c->jumps));
	if (c->jumps == NULL || a64_native_create(c) != 0 || a64_timers_create(c) != 0) {
		a64_native_destroy(c);
		free(c->jumps);
		return (-1);
	}
	core_adopt(cpu);
	return (0);
}

const struct soft_core soft_core_arm64 = {
	.arch = VM_ARCH_ARM64,
	.size = sizeof(struct a64),
	.create = core_create,
	.destroy = core_destroy,
	.run = core_run,
	.flush = core_flush,
	.adopt = core_adopt,
	.debug = core_debug,
	.wakeable = core_wakeable,
	.pc = core_pc,
	.step_reason = VM_ARM64_DEBUG_STEP,
	.accept = core_accept,
	.load = core_load,
	.nspaces = A64_SPACES,
	.stale = core_stale,
	.shoot = a64_shoot,
};
