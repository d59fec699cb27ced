/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer_arm64.c - the generic timer (Arm ARM D11.2): the virtual and the physical timer of EL1 on one counter, the VM's clock; there
 * is no offset.
 *
 * The deadline only brings the vCPU here again; what the timer's output is follows from the registers and the count.
 */
#include "a64.h"

#define	CTL_ENABLE	1U
#define	CTL_IMASK	2U

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

/*
 * Firmware waits by reading the count until it is late enough, for seconds if a person may press a key.  A read like that sleeps for an
 * eighth of what the wait has taken so far, so the wait ends that much late at most, and for no longer than 1 ms: another vCPU may change
 * what the guest looks at as well.  Interrupts end the sleep.  A wait is one instruction that reads and little else, for some times and 200 us.
 */
#define	POLL_READS	16
#define	POLL_INSNS	64

static bool
polls(struct a64 *c, uint64_t now)
{
	uint64_t insns = atomic_load_explicit(&c->vcpu->stats[VM_STAT_INSNS], memory_order_relaxed) + *c->retired, hz = c->vcpu->vm->counter_hz;
	uint64_t since;

	if (c->s->pc != c->poll_pc || insns - c->poll_insns > POLL_INSNS) {
		c->polls = 0;
		c->poll_pc = c->s->pc;
		c->poll_start = now;
	}
	c->poll_insns = insns;
	since = now - c->poll_start;
	if (c->polls < POLL_READS) {
		c->polls++;
		return (false);
	}
	if (since < hz / 5000)
		return (false);
	vcpu_count(c->vcpu, VM_STAT_POLLS);
	soft_leave(c->cpu);
	vcpu_wait(c->vcpu, (since / 8 < hz / 1000 ? since / 8 : hz / 1000) * 1000000000 / hz);
	soft_reenter(c->cpu);
	return (true);
}

uint64_t
a64_count(struct a64 *c, unsigned timer)
{
	uint64_t now;

	if (clock_is_icount(c->vcpu->vm)) {
		(void)soft_clock(c->cpu);
		return (vm_timer_count(c->timer[timer]));
	}
	now = vm_timer_count(c->timer[timer]);
	return (!c->cpu->replay && polls(c, now) ? vm_timer_count(c->timer[timer]) : now);
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
	if (inside)
		soft_reenter(c->cpu);
}

void
a64_timers(struct a64 *c, bool inside)
{
	static const uint8_t ppi[A64_NTIMERS] = { ARM64_PPI_VTIMER, ARM64_PPI_PTIMER };

	for (unsigned i = 0; i < A64_NTIMERS; i++) {
		uint64_t cval = timer_cval(c, i), now;
		bool on = (*timer_ctl(c, i) & (CTL_ENABLE | CTL_IMASK)) == CTL_ENABLE;
		bool met, ahead;

		/* One look at the clock: between two the time may come, and neither would see that. */
		now = on ? vm_timer_count(c->timer[i]) : 0;
		met = on && now >= cval;
		/* A deadline more than half the count away is never: the clock would take centuries. */
		ahead = on && !met && cval - now <= INT64_MAX;
		set_deadline(c, i, ahead, inside);
		gicv3_set_ppi(c->vcpu, ppi[i], met);
	}
}

void
a64_timers_destroy(struct a64 *c)
{
	for (unsigned i = 0; i < A64_NTIMERS; i++) {
		vm_timer_close(c->timer[i]);
		c->timer[i] = NULL;
	}
}

int
a64_timers_create(struct a64 *c)
{
	for (unsigned i = 0; i < A64_NTIMERS; i++) {
		c->timer[i] = vm_timer_open(c->vcpu->vm, c->vcpu->vm->counter_hz, timer_fired, c->vcpu);
		if (c->timer[i] == NULL) {
			a64_timers_destroy(c);
			return (-1);
		}
	}
	return (0);
}
