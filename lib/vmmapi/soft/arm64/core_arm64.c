/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * core_arm64.c - the arm64 core of the software back end: the loop, exceptions, interrupts, and the generic timer.
 */
#include <errno.h>

#include "a64.h"

/* Offsets of vectors from VBAR_EL1 (Arm ARM table D1-7) */
#define	VECTOR_SP0	0x000U
#define	VECTOR_SPX	0x200U
#define	VECTOR_EL0	0x400U
#define	VECTOR_SYNC	0x000U
#define	VECTOR_IRQ	0x080U
#define	VECTOR_FIQ	0x100U
#define	VECTOR_SERROR	0x180U

#define	CTL_ENABLE	1U
#define	CTL_IMASK	2U

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
	a64_drop_fetch(c);
}

enum a64_result
a64_exception(struct a64 *c, uint64_t esr, uint64_t pc)
{
	c->s->esr_el1 = esr;
	enter_el1(c, VECTOR_SYNC, pc);
	return (A64_TAKEN);
}

enum a64_result
a64_fault(struct a64 *c, uint64_t esr, uint64_t far)
{
	c->s->far_el1 = far;
	return (a64_exception(c, esr, c->s->pc));
}

enum a64_result
a64_undefined(struct a64 *c)
{
	return (a64_exception(c, ESR_EC(EC_UNKNOWN) | ESR_IL, c->s->pc));
}

uint64_t
a64_abort_esr(const struct a64 *c, unsigned ec, unsigned fsc, bool write)
{
	return (ESR_EC(ec + (a64_el0(c) ? 0 : 1)) | ESR_IL | (write ? 0x40U : 0) | fsc);
}

static bool
read_table(void *cookie, vm_paddr_t gpa, uint64_t *desc)
{
	const void *p = soft_host(cookie, gpa, sizeof(*desc), VM_PROT_READ);

	if (p == NULL)
		return (false);
	*desc = __atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE);
	return (true);
}

enum a64_result
a64_translate(struct a64 *c, uint64_t va, int prot, bool el0, struct arm64_walk *w)
{
	bool exec = (prot & VM_PROT_EXEC) != 0;

	if (arm64_walk(c->s, va, prot, el0, read_table, c->cpu, w))
		return (A64_NEXT);
	return (a64_fault(c, a64_abort_esr(c, exec ? EC_IABT : EC_DABT, w->fsc, (prot & VM_PROT_WRITE) != 0), va));
}

struct vm_exit *
a64_exit(struct a64 *c, enum vm_exitcode code, bool is_read)
{
	struct vm_exit *ex = soft_exit(c->cpu, code, is_read);

	ex->insn_len = 4;
	c->stop = SOFT_EXIT;
	return (ex);
}

/*
 * The generic timer (Arm ARM D11.2): the virtual and the physical timer of EL1 on one counter, the VM's clock; there is no offset.
 * The deadline only brings the vCPU here again; what the timer's output is follows from the registers and the count.
 */
static void
timer_fired(void *arg)
{
	vcpu_notify(arg);
}

static uint64_t *
timer_ctl(struct a64 *c, unsigned timer)
{
	return (timer == 0 ? &c->s->cntv_ctl_el0 : &c->s->cntp_ctl_el0);
}

static uint64_t
timer_cval(const struct a64 *c, unsigned timer)
{
	return (timer == 0 ? c->s->cntv_cval_el0 : c->s->cntp_cval_el0);
}

uint64_t
a64_count(struct a64 *c, unsigned timer)
{
	(void)soft_clock(c->cpu);
	a64_drop_fetch(c);
	return (vm_timer_count(c->timer[timer]));
}

bool
a64_timer_met(struct a64 *c, unsigned timer)
{
	return (vm_timer_count(c->timer[timer]) >= timer_cval(c, timer));
}

static void
set_deadline(struct a64 *c, unsigned timer, bool arm, bool inside)
{
	uint64_t cval = timer_cval(c, timer), was;
	bool armed = vm_timer_armed(c->timer[timer], &was);

	if (arm ? armed && was == cval : !armed)
		return;
	if (inside)
		soft_leave(c->cpu);
	if (arm)
		vm_timer_arm(c->timer[timer], cval);
	else
		vm_timer_disarm(c->timer[timer]);
	if (inside) {
		soft_reenter(c->cpu);
		a64_drop_fetch(c);
	}
}

void
a64_timers(struct a64 *c, bool inside)
{
	static const uint8_t ppi[A64_NTIMERS] = { ARM64_PPI_VTIMER, ARM64_PPI_PTIMER };

	for (unsigned i = 0; i < A64_NTIMERS; i++) {
		bool on = (*timer_ctl(c, i) & (CTL_ENABLE | CTL_IMASK)) == CTL_ENABLE;
		bool met = on && a64_timer_met(c, i);
		bool ahead = on && !met;

		/* A deadline more than half the count away is never: the clock would take centuries. */
		if (ahead && timer_cval(c, i) - vm_timer_count(c->timer[i]) > INT64_MAX)
			ahead = false;
		set_deadline(c, i, ahead, inside);
		gicv3_set_ppi(c->vcpu, ppi[i], met);
	}
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

	if ((out & GIC_OUT_FIQ) != 0 && (s->pstate & PSTATE_F) == 0)
		enter_el1(c, VECTOR_FIQ, s->pc);
	else if ((out & GIC_OUT_IRQ) != 0 && (s->pstate & PSTATE_I) == 0)
		enter_el1(c, VECTOR_IRQ, s->pc);
	else
		return (false);
	vcpu_count(c->vcpu, VM_STAT_INTR);
	return (true);
}

/* vm_arm64_inject_exception(): synchronous, or an SError by its class. */
static void
take_injected(struct a64 *c)
{
	struct arm64_state *s = c->s;

	s->exc_pending = 0;
	s->esr_el1 = s->exc_esr;
	s->far_el1 = s->exc_far;
	enter_el1(c, s->exc_esr >> 26 == EC_SERROR ? VECTOR_SERROR : VECTOR_SYNC, s->pc);
}

/*
 * The instruction at pc, or the exception for there being none.  A page's host address is kept from one instruction to the next within a
 * run: the memory map changes only while no vCPU is in guest code.
 */
static enum a64_result
fetch(struct a64 *c, uint32_t *insn)
{
	struct arm64_state *s = c->s;
	struct arm64_walk w;
	enum a64_result r;
	const uint8_t *p;

	if ((s->pc & 3) != 0)
		return (a64_fault(c, ESR_EC(EC_PC_ALIGN) | ESR_IL, s->pc));
	if ((s->pstate & PSTATE_IL) != 0)
		return (a64_exception(c, ESR_EC(EC_ILLEGAL) | ESR_IL, s->pc));
	if ((s->pc & ~(uint64_t)(VM_PAGE_SIZE - 1)) != c->fetch_va) {
		if ((r = a64_translate(c, s->pc, VM_PROT_EXEC, a64_el0(c), &w)) != A64_NEXT)
			return (r);
		p = soft_host(c->cpu, w.gpa & ~(vm_paddr_t)(VM_PAGE_SIZE - 1), VM_PAGE_SIZE, VM_PROT_EXEC);
		/* Code is memory: a synchronous external abort (IFSC 0x10) elsewhere. */
		if (p == NULL)
			return (a64_fault(c, a64_abort_esr(c, EC_IABT, 0x10, false), s->pc));
		c->fetch = p;
		c->fetch_va = s->pc & ~(uint64_t)(VM_PAGE_SIZE - 1);
	}
	*insn = __atomic_load_n((const uint32_t *)(const void *)(c->fetch + (s->pc & (VM_PAGE_SIZE - 1))),
	    __ATOMIC_RELAXED);
	return (A64_NEXT);
}

static inline bool
requested(struct a64 *c)
{
	return (atomic_load_explicit(&c->vcpu->request, memory_order_acquire) != 0);
}

static enum soft_stop
run(struct soft_cpu *cpu, uint64_t budget, uint64_t *retired)
{
	struct a64 *c = cpu->core;
	struct arm64_state *s = c->s;
	enum a64_result r;
	uint32_t insn = 0;

	a64_drop_fetch(c);
	c->late = false;
	if (arm64_load32(&s->on_state) == ARM64_ON_READY)
		arm64_event(c->vcpu);
	if (arm64_load32(&s->run_state) == VM_ARM64_OFF)
		return (SOFT_IDLE);
	if (!cpu->replay) {
		a64_timers(c, true);
		if (arm64_load32(&s->run_state) == VM_ARM64_WAITING) {
			if (!a64_woken(c))
				return (SOFT_IDLE);
			arm64_store32(&s->run_state, VM_ARM64_RUNNING);
		}
		if (requested(c))
			return (SOFT_REQUEST);
		(void)take_interrupt(c);
	}
	/* In place of the instruction, also of one whose read waits for an answer. */
	if (s->exc_pending)
		take_injected(c);

	while (*retired < budget) {
		if ((r = fetch(c, &insn)) == A64_NEXT)
			r = a64_execute(c, insn);
		switch (r) {
		case A64_NEXT:
		case A64_CHECK:
		case A64_LAST:
			s->pc += 4;
			break;
		case A64_STOP:
			return (c->stop);
		case A64_JUMP:
		case A64_TAKEN:
			break;
		}
		(*retired)++;
		if (r == A64_LAST)
			return (c->stop);
		if (c->late)
			return (SOFT_EXIT);
		if (r == A64_NEXT)
			continue;
		if (requested(c))
			return (SOFT_REQUEST);
		if (*retired < budget)
			(void)take_interrupt(c);
	}
	return (SOFT_BUDGET);
}

static void
flush(struct soft_cpu *cpu)
{
	struct a64 *c = cpu->core;

	a64_drop_fetch(c);
	c->excl = false;
}

static bool
wakeable(struct soft_cpu *cpu)
{
	struct a64 *c = cpu->core;

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

static uint64_t
pc(struct soft_cpu *cpu)
{
	struct a64 *c = cpu->core;

	return (c->s->pc);
}

static void
destroy(struct soft_cpu *cpu)
{
	struct a64 *c = cpu->core;

	for (unsigned i = 0; i < A64_NTIMERS; i++) {
		vm_timer_close(c->timer[i]);
		c->timer[i] = NULL;
	}
}

static int
create(struct soft_cpu *cpu)
{
	struct a64 *c = cpu->core;

	c->cpu = cpu;
	c->vcpu = cpu->vcpu;
	c->s = cpu->vcpu->state;
	a64_drop_fetch(c);
	for (unsigned i = 0; i < A64_NTIMERS; i++) {
		c->timer[i] = vm_timer_open(c->vcpu->vm, c->vcpu->vm->counter_hz, timer_fired, c->vcpu);
		if (c->timer[i] == NULL) {
			destroy(cpu);
			return (-1);
		}
	}
	return (0);
}

const struct soft_core soft_core_arm64 = {
	.arch = VM_ARCH_ARM64,
	.size = sizeof(struct a64),
	.create = create,
	.destroy = destroy,
	.run = run,
	.flush = flush,
	.wakeable = wakeable,
	.pc = pc,
	.step_reason = VM_ARM64_DEBUG_STEP,
};
