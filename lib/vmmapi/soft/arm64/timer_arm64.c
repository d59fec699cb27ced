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

uint64_t
a64_count(struct a64 *c, unsigned timer)
{
	(void)soft_clock(c->cpu);
	return (vm_timer_count(c->timer[timer]));
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
