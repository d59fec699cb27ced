/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lapic.c - the local APIC of a vCPU (Intel SDM vol. 3 chapter 10), in xAPIC and x2APIC mode, with
 * its timer.
 *
 * The timer counts at 1 GHz before its divider.  The page of registers is decoded at its default
 * address only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "apic.h"

/* Registers: MMIO offset / 16, and MSR number - 800H (tables 10-1, 10-6). */
enum {
	REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0a, REG_EOI = 0x0b,
	REG_RRD = 0x0c, REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f, REG_ISR = 0x10, REG_TMR = 0x18,
	REG_IRR = 0x20, REG_ESR = 0x28, REG_ICR = 0x30, REG_ICR_HIGH = 0x31, REG_LVT = 0x32,
	REG_INIT_COUNT = 0x38, REG_CUR_COUNT = 0x39, REG_DIVIDE = 0x3e, REG_SELF_IPI = 0x3f,
};

#define	MSR_APIC_BASE	0x1bU
#define	MSR_TSC_DEADLINE 0x6e0U
#define	MSR_X2APIC	0x800U

/* Version 14H, six LVT entries, EOI broadcasts can be suppressed. */
#define	VERSION		(1U << 24 | (LVT_COUNT - 1U) << 16 | 0x14U)

#define	SVR_ENABLE	0x0100U
#define	SVR_NO_BROADCAST 0x1000U
#define	SVR_WRITABLE	0x13ffU

#define	DFR_FLAT	0xffffffffU

#define	ESR_SEND_VECTOR	0x20U
#define	ESR_RECV_VECTOR	0x40U
#define	ESR_REGISTER	0x80U

#define	LVT_VECTOR	0xffU
#define	LVT_MODE(v)	(((v) >> 8) & 7)
#define	LVT_TIMER_MODE	0x60000U
#define	LVT_PERIODIC	0x20000U
#define	LVT_DEADLINE	0x40000U

/* Writable bits (figure 10-8). */
static const uint32_t lvt_writable[LVT_COUNT] = {
	[LVT_TIMER] = 0x700ff,
	[LVT_THERMAL] = 0x107ff,
	[LVT_PERF] = 0x107ff,
	[LVT_LINT0] = 0x1a7ff,
	[LVT_LINT1] = 0x1a7ff,
	[LVT_ERROR] = 0x100ff,
};

/*
 * Timer expirations are at least this many nanoseconds apart: a guest that asks for more of them,
 * which no processor could handle either, gets fewer.
 */
#define	TIMER_MIN_NS	20000

static inline bool
test_bit(const uint32_t *v, unsigned n)
{
	return ((v[n / 32] >> (n % 32) & 1) != 0);
}

static inline void
set_bit(uint32_t *v, unsigned n)
{
	v[n / 32] |= 1U << (n % 32);
}

static inline void
clear_bit(uint32_t *v, unsigned n)
{
	v[n / 32] &= ~(1U << (n % 32));
}

static int
highest_bit(const uint32_t *v)
{
	for (int i = 7; i >= 0; i--) {
		if (v[i] != 0)
			return (i * 32 + 31 - __builtin_clz(v[i]));
	}
	return (-1);
}

/* Modes */

bool
lapic_enabled(const struct lapic *lp)
{
	return ((atomic_load(&lp->base) & APIC_BASE_EN) != 0);
}

bool
lapic_x2apic(const struct lapic *lp)
{
	return ((atomic_load(&lp->base) & (APIC_BASE_EN | APIC_BASE_EXTD)) == (APIC_BASE_EN | APIC_BASE_EXTD));
}

bool
lapic_decodes(const struct lapic *lp)
{
	uint64_t base = atomic_load(&lp->base);

	return ((base & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN && (base & APIC_BASE_ADDR) == APIC_DEFAULT);
}

bool
lapic_accepting(const struct lapic *lp)
{
	return (lapic_enabled(lp) && (lp->svr & SVR_ENABLE) != 0);
}

/*
 * The 8259's INTR: straight to the CPU while the APIC is switched off (10.4.3), else through LINT0
 * as ExtINT.  It is wired to the bootstrap processor.
 */
bool
lapic_takes_pic(const struct lapic *lp)
{
	if (lp->vcpu->id != 0)
		return (false);
	if (!lapic_enabled(lp))
		return (true);
	return ((lp->lvt[LVT_LINT0] & LVT_MASKED) == 0 && LVT_MODE(lp->lvt[LVT_LINT0]) == APIC_EXTINT);
}

/* Logical destination of an x2APIC id (10.12.10.2). */
static uint32_t
x2apic_ldr(const struct lapic *lp)
{
	uint32_t id = (uint32_t)lp->vcpu->id;

	return ((id >> 4) << 16 | 1U << (id & 0xf));
}

bool
lapic_matches(const struct lapic *lp, const struct apic_msg *msg)
{
	uint32_t dest = msg->dest, ldr;

	if (!lapic_enabled(lp))
		return (false);
	if (dest == (msg->wide ? 0xffffffffU : 0xffU) && (!msg->logical || msg->wide))
		return (true);
	if (!msg->logical)
		return (dest == (uint32_t)lp->vcpu->id);
	if (lapic_x2apic(lp)) {
		ldr = x2apic_ldr(lp);
		return (dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff) != 0);
	}
	/* 10.6.2.2: flat model, cluster model (cluster 15: all). */
	dest &= 0xff;
	ldr = lp->ldr >> 24;
	if (lp->dfr >> 28 == 0xf)
		return ((dest & ldr) != 0);
	return ((dest >> 4 == 0xf || dest >> 4 == ldr >> 4) && (dest & ldr & 0xf) != 0);
}

/* Priorities (10.8.3.1) */

uint8_t
lapic_ppr(const struct lapic *lp)
{
	int isrv = highest_bit(lp->isr);
	uint8_t tpr = (uint8_t)lp->tpr;

	if (isrv < 0 || (tpr & 0xf0) >= (isrv & 0xf0))
		return (tpr);
	return ((uint8_t)(isrv & 0xf0));
}

/* The vector that the CPU may have now, -1 if none. */
static int
deliverable(const struct lapic *lp)
{
	int irrv;

	if (!lapic_enabled(lp))
		return (-1);
	irrv = highest_bit(lp->irr);
	return (irrv >= 0 && (irrv & 0xf0) > (lapic_ppr(lp) & 0xf0) ? irrv : -1);
}

void
lapic_update(struct lapic *lp, struct apic_work *w)
{
	bool out = deliverable(lp) >= 0 || (lapic_takes_pic(lp) && i8259_intr(&lp->apic->pic));

	if (atomic_exchange(&lp->out, out) != out)
		w->notify |= 1ULL << lp->vcpu->id;
}

/* An error was found (10.5.3). */
static void
error(struct lapic *lp, uint32_t bit, struct apic_work *w)
{
	if ((lp->esr_new & bit) != 0)
		return;
	lp->esr_new |= bit;
	/* The error's own vector may be a bad one: that is not another error. */
	if ((lp->lvt[LVT_ERROR] & LVT_MASKED) == 0 && (lp->lvt[LVT_ERROR] & LVT_VECTOR) >= 16)
		(void)lapic_accept(lp, (uint8_t)lp->lvt[LVT_ERROR], false, w);
}

bool
lapic_accept(struct lapic *lp, uint8_t vector, bool level, struct apic_work *w)
{
	if (!lapic_accepting(lp))
		return (false);
	if (vector < 16) {
		error(lp, ESR_RECV_VECTOR, w);
		return (false);
	}
	set_bit(lp->irr, vector);
	if (level)
		set_bit(lp->tmr, vector);
	else
		clear_bit(lp->tmr, vector);
	lapic_update(lp, w);
	return (true);
}

int
lapic_ack(struct lapic *lp, struct apic_work *w)
{
	int vector;
	uint16_t ended = 0;

	/* ExtINT has no priority in the APIC: the CPU's INTA goes to the 8259 first. */
	if (lapic_takes_pic(lp) && i8259_intr(&lp->apic->pic)) {
		vector = i8259_ack(&lp->apic->pic, &ended);
		w->pic |= ended;
		lapic_update(lp, w);
		return (vector);
	}
	vector = deliverable(lp);
	if (vector >= 0) {
		clear_bit(lp->irr, (unsigned)vector);
		set_bit(lp->isr, (unsigned)vector);
	}
	lapic_update(lp, w);
	return (vector);
}

static void
eoi(struct lapic *lp, struct apic_work *w)
{
	int vector = highest_bit(lp->isr);

	if (vector < 0)
		return;
	clear_bit(lp->isr, (unsigned)vector);
	if (test_bit(lp->tmr, (unsigned)vector) && (lp->svr & SVR_NO_BROADCAST) == 0)
		ioapic_eoi(lp->apic, (uint8_t)vector, w);
	lapic_update(lp, w);
}

/* The timer (10.5.4) */

static uint64_t
divisor(const struct lapic *lp)
{
	unsigned v = (lp->divide & 3) | (lp->divide >> 1 & 4);

	return (v == 7 ? 1 : 2ULL << v);
}

static uint32_t
timer_mode(const struct lapic *lp)
{
	return (lp->lvt[LVT_TIMER] & LVT_TIMER_MODE);
}

static void
timer_stop(struct lapic *lp)
{
	lp->armed = false;
	(void)vm_timer_disarm(lp->timer);
}

static void
timer_arm(struct lapic *lp, uint64_t deadline)
{
	lp->deadline = deadline;
	lp->armed = true;
	(void)vm_timer_arm(lp->timer, deadline);
}

static void
timer_start(struct lapic *lp)
{
	if (lp->init_count == 0 || timer_mode(lp) == LVT_DEADLINE) {
		timer_stop(lp);
		return;
	}
	timer_arm(lp, vm_timer_count(lp->timer) + lp->init_count * divisor(lp));
}

static uint32_t
timer_current(const struct lapic *lp)
{
	uint64_t period = lp->init_count * divisor(lp), left, count;

	if (!lp->armed || timer_mode(lp) == LVT_DEADLINE)
		return (0);
	left = lp->deadline - vm_timer_count(lp->timer);
	/* The host is late with the interrupt; the count is not (10.5.4: it is reloaded as soon as it is 0). */
	if ((int64_t)left < 0)
		left = timer_mode(lp) == LVT_PERIODIC && period != 0 ? period - -left % period : 0;
	count = (left + divisor(lp) - 1) / divisor(lp);
	return (count > lp->init_count ? lp->init_count : (uint32_t)count);
}

static void
deadline_write(struct lapic *lp, uint64_t tsc)
{
	const struct amd64_state *st = lp->vcpu->state;
	uint64_t ahead, ns;

	/* In the other modes writes are ignored (10.5.4.1). */
	if (timer_mode(lp) != LVT_DEADLINE)
		return;
	lp->tsc_deadline = tsc;
	if (tsc == 0) {
		timer_stop(lp);
		return;
	}
	ahead = tsc > st->tsc ? tsc - st->tsc : 0;
	/* A year is as good as never, and leaves room in the timer's count. */
	ns = muldiv64(ahead, 1000000000, vm_get_counter_freq(lp->apic->vm));
	if (ns > 31536000000000000ULL)
		ns = 31536000000000000ULL;
	timer_arm(lp, vm_timer_count(lp->timer) + ns + 1);
}

/* vm_timer's callback, on a library's or vCPU's thread, no lock held. */
static void
timer_fire(void *arg)
{
	struct lapic *lp = arg;
	struct apic_work w;
	uint64_t now, period;

	apic_begin(lp->apic, &w);
	now = vm_timer_count(lp->timer);
	if (!lp->armed) {
		apic_finish(lp->apic, &w);
		return;
	}
	if ((int64_t)(now - lp->deadline) < 0) {	/* armed anew meanwhile */
		timer_arm(lp, lp->deadline);
		apic_finish(lp->apic, &w);
		return;
	}
	lp->armed = false;
	if (timer_mode(lp) == LVT_DEADLINE) {
		lp->tsc_deadline = 0;
		atomic_store(&lp->resync, true);
	} else if (timer_mode(lp) == LVT_PERIODIC) {
		period = lp->init_count * divisor(lp);
		if (period != 0) {
			/* Expirations that were missed are one. */
			lp->deadline += ((now - lp->deadline) / period + 1) * period;
			if (period < TIMER_MIN_NS && lp->deadline - now < TIMER_MIN_NS)
				lp->deadline = now + TIMER_MIN_NS;
			timer_arm(lp, lp->deadline);
		}
	}
	if ((lp->lvt[LVT_TIMER] & LVT_MASKED) == 0)
		(void)lapic_accept(lp, (uint8_t)lp->lvt[LVT_TIMER], false, &w);
	apic_finish(lp->apic, &w);
}

/* Reset */

/* What power-on and INIT have in common (10.4.7.1, 10.4.7.3). */
static void
clear(struct lapic *lp)
{
	timer_stop(lp);
	lp->tpr = 0;
	lp->ldr = 0;
	lp->dfr = DFR_FLAT;
	lp->svr = 0xff;
	lp->esr = lp->esr_new = 0;
	lp->icr = 0;
	memset(lp->irr, 0, sizeof(lp->irr));
	memset(lp->isr, 0, sizeof(lp->isr));
	memset(lp->tmr, 0, sizeof(lp->tmr));
	for (int i = 0; i < LVT_COUNT; i++)
		lp->lvt[i] = LVT_MASKED;
	/*
	 * A departure from 10.4.7.1: the bootstrap processor's LINT0 starts as ExtINT, as firmware
	 * sets it up, so that 8259 interrupts reach a guest that knows of no APIC.  KVM's own local
	 * APIC does the same.
	 */
	if (lp->vcpu->id == 0)
		lp->lvt[LVT_LINT0] = APIC_EXTINT << 8;
	lp->init_count = lp->divide = 0;
	lp->deadline = lp->tsc_deadline = 0;
	atomic_store(&lp->resync, true);
}

void
lapic_reset(struct lapic *lp)
{
	const struct amd64_state *st = lp->vcpu->state;
	struct apic_work w = { 0 };

	clear(lp);
	atomic_store(&lp->base, st->apic_base);
	atomic_store(&lp->cr8, (uint8_t)st->cr8);
	lapic_update(lp, &w);
}

void
lapic_init(struct lapic *lp)
{
	struct apic_work w = { 0 };

	clear(lp);
	lapic_update(lp, &w);
}

/* CPU side */

/* IA32_APIC_BASE has a new value. */
static void
set_base(struct lapic *lp, uint64_t base)
{
	uint64_t old = atomic_exchange(&lp->base, base);

	/* Off: what it had is lost (10.4.3). */
	if ((old & APIC_BASE_EN) != 0 && (base & APIC_BASE_EN) == 0)
		clear(lp);
}

void
lapic_sync(struct lapic *lp)
{
	struct amd64_state *st = lp->vcpu->state;

	if (st->apic_base != atomic_load(&lp->base))
		set_base(lp, st->apic_base);
	atomic_store(&lp->resync, false);
	if (st->cr8 != atomic_load(&lp->cr8))
		lp->tpr = (uint32_t)(st->cr8 & 0xf) << 4;	/* MOV to CR8 clears TPR[3:0] (10.8.6) */
	else
		st->cr8 = lp->tpr >> 4;
	atomic_store(&lp->cr8, (uint8_t)st->cr8);
	st->tsc_deadline = lp->tsc_deadline;
}

/* Registers */

/* A write to ICR's low half sends (10.6.1). */
static void
send_ipi(struct lapic *lp, struct apic_work *w)
{
	uint32_t lo = (uint32_t)lp->icr;
	struct apic_msg msg = {
		.wide = lapic_x2apic(lp),
		.dest = (uint32_t)(lp->icr >> 32),
		.vector = (uint8_t)lo,
		.mode = lo >> 8 & 7,
		.logical = (lo & 0x800) != 0,
	};
	bool assert = (lo & 0x4000) != 0, level = (lo & 0x8000) != 0;
	uint64_t self = 1ULL << lp->vcpu->id;

	if (!msg.wide)
		msg.dest >>= 24;
	if ((msg.mode == APIC_FIXED || msg.mode == APIC_LOWEST) && msg.vector < 16) {
		error(lp, ESR_SEND_VECTOR, w);
		return;
	}
	/* INIT level de-assert: nothing since the Pentium 4. */
	if (msg.mode == APIC_INIT && level && !assert)
		return;
	switch (lo >> 18 & 3) {
	case 0:
		(void)apic_send(lp->apic, &msg, w);
		break;
	case 1:
		(void)apic_send_to(lp->apic, self, msg.mode, msg.vector, false, w);
		break;
	case 2:
		(void)apic_send_to(lp->apic, ~0ULL, msg.mode, msg.vector, false, w);
		break;
	case 3:
		(void)apic_send_to(lp->apic, ~self, msg.mode, msg.vector, false, w);
		break;
	}
}

uint32_t
lapic_read(struct lapic *lp, unsigned reg)
{
	switch (reg) {
	case REG_ID:
		return (lapic_x2apic(lp) ? (uint32_t)lp->vcpu->id : (uint32_t)lp->vcpu->id << 24);
	case REG_VERSION:
		return (VERSION);
	case REG_TPR:
		return (lp->tpr);
	case REG_PPR:
		return (lapic_ppr(lp));
	case REG_LDR:
		return (lapic_x2apic(lp) ? x2apic_ldr(lp) : lp->ldr);
	case REG_DFR:
		return (lp->dfr);
	case REG_SVR:
		return (lp->svr);
	case REG_ISR ... REG_ISR + 7:
		return (lp->isr[reg - REG_ISR]);
	case REG_TMR ... REG_TMR + 7:
		return (lp->tmr[reg - REG_TMR]);
	case REG_IRR ... REG_IRR + 7:
		return (lp->irr[reg - REG_IRR]);
	case REG_ESR:
		return (lp->esr);
	case REG_ICR:
		return ((uint32_t)lp->icr);
	case REG_ICR_HIGH:
		return ((uint32_t)(lp->icr >> 32));
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		return (lp->lvt[reg - REG_LVT]);
	case REG_INIT_COUNT:
		return (timer_mode(lp) == LVT_DEADLINE ? 0 : lp->init_count);
	case REG_CUR_COUNT:
		return (timer_current(lp));
	case REG_DIVIDE:
		return (lp->divide);
	default:
		return (0);
	}
}

static void
write_lvt(struct lapic *lp, unsigned i, uint32_t val, struct apic_work *w)
{
	uint32_t old = lp->lvt[i];

	val &= lvt_writable[i];
	/* While software-disabled the mask bits stay set (10.4.7.2). */
	if (!lapic_accepting(lp))
		val |= LVT_MASKED;
	lp->lvt[i] = val;
	/* A change to or from TSC-deadline mode disarms the timer (10.5.4.1). */
	if (i == LVT_TIMER && ((old ^ val) & LVT_DEADLINE) != 0) {
		timer_stop(lp);
		lp->tsc_deadline = 0;
		atomic_store(&lp->resync, true);
	}
	lapic_update(lp, w);
}

static void
write_svr(struct lapic *lp, uint32_t val, struct apic_work *w)
{
	bool was = lapic_accepting(lp);

	lp->svr = val & SVR_WRITABLE;
	if ((lp->svr & SVR_ENABLE) == 0) {
		for (int i = 0; i < LVT_COUNT; i++)
			lp->lvt[i] |= LVT_MASKED;
	}
	lapic_update(lp, w);
	if (!was)
		ioapic_retry(lp->apic, w);
}

static void
write_divide(struct lapic *lp, uint32_t val)
{
	uint64_t left = timer_current(lp);

	lp->divide = val & 0xb;
	if (lp->armed && timer_mode(lp) != LVT_DEADLINE)
		timer_arm(lp, vm_timer_count(lp->timer) + left * divisor(lp));
}

void
lapic_write(struct lapic *lp, unsigned reg, uint32_t val, struct apic_work *w)
{
	switch (reg) {
	case REG_TPR:
		lp->tpr = val & 0xff;
		atomic_store(&lp->resync, true);
		lapic_update(lp, w);
		break;
	case REG_EOI:
		eoi(lp, w);
		break;
	case REG_LDR:
		lp->ldr = val & 0xff000000U;
		ioapic_retry(lp->apic, w);
		break;
	case REG_DFR:
		lp->dfr = val | 0x0fffffffU;
		ioapic_retry(lp->apic, w);
		break;
	case REG_SVR:
		write_svr(lp, val, w);
		break;
	case REG_ESR:
		lp->esr = lp->esr_new;
		lp->esr_new = 0;
		break;
	case REG_ICR:
		lp->icr = (lp->icr & ~0xffffffffULL) | (val & 0xccfffU);
		send_ipi(lp, w);
		break;
	case REG_ICR_HIGH:
		lp->icr = (lp->icr & 0xffffffffU) | (uint64_t)(val & 0xff000000U) << 32;
		break;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		write_lvt(lp, reg - REG_LVT, val, w);
		break;
	case REG_INIT_COUNT:
		if (timer_mode(lp) == LVT_DEADLINE)
			break;
		lp->init_count = val;
		timer_start(lp);
		break;
	case REG_DIVIDE:
		write_divide(lp, val);
		break;
	case REG_ID:		/* not changeable, as in every processor with x2APIC mode */
	case REG_VERSION:
	case REG_APR:
	case REG_PPR:
	case REG_RRD:
	case REG_ISR ... REG_ESR - 1:
	case REG_CUR_COUNT:
		break;
	default:
		error(lp, ESR_REGISTER, w);
		break;
	}
}

/* x2APIC MSRs (10.12.1.2): false where the access faults. */

static bool
x2apic_read(struct lapic *lp, unsigned reg, uint64_t *val)
{
	switch (reg) {
	case REG_ICR:
		*val = lp->icr;
		return (true);
	case REG_ID:
	case REG_VERSION:
	case REG_TPR:
	case REG_PPR:
	case REG_LDR:
	case REG_SVR:
	case REG_ISR ... REG_ESR:
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
	case REG_INIT_COUNT:
	case REG_CUR_COUNT:
	case REG_DIVIDE:
		*val = lapic_read(lp, reg);
		return (true);
	default:
		return (false);
	}
}

static bool
x2apic_write(struct lapic *lp, unsigned reg, uint64_t val, struct apic_work *w)
{
	uint64_t allowed;

	switch (reg) {
	case REG_ICR:
		if ((val & ~0xffffffff000ccfffULL) != 0)
			return (false);
		lp->icr = val;
		send_ipi(lp, w);
		return (true);
	case REG_SELF_IPI:
		if (val > 0xff)
			return (false);
		if (val < 16)
			error(lp, ESR_SEND_VECTOR, w);
		else
			(void)lapic_accept(lp, (uint8_t)val, false, w);
		return (true);
	case REG_EOI:
	case REG_ESR:
		allowed = 0;
		break;
	case REG_TPR:
		allowed = 0xff;
		break;
	case REG_SVR:
		allowed = SVR_WRITABLE;
		break;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		allowed = lvt_writable[reg - REG_LVT] | 0x5000;		/* status bits are ignored */
		break;
	case REG_INIT_COUNT:
		allowed = 0xffffffff;
		break;
	case REG_DIVIDE:
		allowed = 0xb;
		break;
	default:
		return (false);
	}
	if ((val & ~allowed) != 0)
		return (false);
	lapic_write(lp, reg, (uint32_t)val, w);
	return (true);
}

/* WRMSR to IA32_APIC_BASE: the transitions of figure 10-27.  The page cannot be moved. */
static bool
write_base(struct lapic *lp, uint64_t val, struct apic_work *w)
{
	struct amd64_state *st = lp->vcpu->state;
	const uint64_t en = APIC_BASE_EN, extd = APIC_BASE_EXTD;
	uint64_t old = st->apic_base;

	if (amd64_bad_apic_base(val) != NULL || (val & APIC_BASE_ADDR) != APIC_DEFAULT)
		return (false);
	if ((old & extd) != 0 && (val & (en | extd)) == en)
		return (false);
	if ((old & en) == 0 && (val & extd) != 0)
		return (false);
	st->apic_base = val;
	set_base(lp, val);
	lapic_update(lp, w);
	ioapic_retry(lp->apic, w);
	return (true);
}

bool
lapic_msr(struct lapic *lp, uint64_t reg, bool write, uint64_t *val, struct apic_work *w)
{
	const struct amd64_state *st = lp->vcpu->state;

	switch (reg) {
	case MSR_APIC_BASE:
		if (write)
			return (write_base(lp, *val, w));
		*val = st->apic_base;
		return (true);
	case AMD64_SYSREG_CR8:
		/* The whole of TPR is written (10.8.6). */
		if (!write)
			return (false);
		lp->tpr = (uint32_t)(*val & 0xf) << 4;
		lapic_update(lp, w);
		return (true);
	case MSR_TSC_DEADLINE:
		if (write)
			deadline_write(lp, *val);
		else
			*val = lp->tsc_deadline;
		return (true);
	case MSR_X2APIC ... MSR_X2APIC + 0x3f:
		if (!lapic_x2apic(lp))
			return (false);
		if (write)
			return (x2apic_write(lp, (unsigned)(reg - MSR_X2APIC), *val, w));
		return (x2apic_read(lp, (unsigned)(reg - MSR_X2APIC), val));
	default:
		return (false);
	}
}

/* Life */

int
lapic_create(struct apic *a, struct vcpu *vcpu)
{
	struct lapic *lp = calloc(1, sizeof(*lp));

	if (lp == NULL)
		return (vm_fail(ENOMEM, "vcpu %d: no memory for its local APIC", vcpu->id));
	lp->vcpu = vcpu;
	lp->apic = a;
	lp->timer = vm_timer_open(a->vm, 1000000000, timer_fire, lp);
	if (lp->timer == NULL) {
		free(lp);
		return (-1);
	}
	vcpu->intc = lp;
	lapic_reset(lp);
	return (0);
}

void
lapic_destroy(struct vcpu *vcpu)
{
	struct lapic *lp = vcpu->intc;

	if (lp == NULL)
		return;
	vm_timer_close(lp->timer);
	vcpu->intc = NULL;
	free(lp);
}

void
lapic_loaded(struct lapic *lp)
{
	struct amd64_state *st = lp->vcpu->state;

	atomic_store(&lp->base, st->apic_base);
	st->cr8 = lp->tpr >> 4;
	atomic_store(&lp->cr8, (uint8_t)st->cr8);
	st->tsc_deadline = lp->tsc_deadline;
	if (lp->armed)
		(void)vm_timer_arm(lp->timer, lp->deadline);
	else
		(void)vm_timer_disarm(lp->timer);
}

static int
lapic_check(void *obj)
{
	const struct lapic *lp = obj;

	for (int i = 0; i < LVT_COUNT; i++) {
		if ((lp->lvt[i] & ~lvt_writable[i]) != 0)
			return (vm_state_complain("local APIC: LVT entry %d has impossible bits", i));
	}
	if (((lp->irr[0] | lp->isr[0] | lp->tmr[0]) & 0xffff) != 0)
		return (vm_state_complain("local APIC: a vector below 16"));
	if (lp->tpr > 0xff || (lp->svr & ~SVR_WRITABLE) != 0 || (lp->divide & ~0xbU) != 0 ||
	    (lp->dfr & 0x0fffffff) != 0x0fffffff || (lp->ldr & 0xffffff) != 0)
		return (vm_state_complain("local APIC: a register has impossible bits"));
	return (0);
}

#define	F32(m)	VM_STATE_U32(struct lapic, m)
#define	F32S(m)	VM_STATE_U32S(struct lapic, m)
#define	F64(m)	VM_STATE_U64(struct lapic, m)

static const struct vm_state_field lapic_fields[] = {
	F32(tpr), F32(ldr), F32(dfr), F32(svr), F32(esr), F32(esr_new), F64(icr),
	F32S(lvt), F32S(irr), F32S(isr), F32S(tmr),
	F32(init_count), F32(divide), F64(deadline), F64(tsc_deadline), VM_STATE_BOOL(struct lapic, armed),
};

const struct vm_state_table lapic_table = VM_STATE_TABLE("apic.cpu", 1, 1, lapic_fields, lapic_check);
