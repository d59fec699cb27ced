/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hpet.c - the high precision event timers (IA-PC HPET specification 1.0a, "HPET"): a 64-bit
 * counter on the VM's clock and 3 to 24 comparators, each periodic or one-shot, 32 or 64 bits wide,
 * edge- or level-triggered, on an I/O APIC input, as a message ("FSB delivery"), or in place of the
 * 8254 and the RTC ("legacy replacement").
 *
 * Nothing is counted: counter and comparators are brought up to date when someone looks, and the
 * one deadline is that of the first match that raises an interrupt.  A match is the counter
 * *reaching* the comparator's value (2.3.9.2), so what is written behind the counter waits for the
 * counter to wrap, as drivers expect that read it back.
 *
 * This is the one device whose registers name interrupt inputs, so it opens their handles itself:
 * one per timer and input, for the lines are wired-OR between the timers too.
 *
 * h->lock guards everything.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "../device.h"
#include "../error.h"
#include "../line.h"
#include "hpet.h"

#define	FS		1000000000000000ULL	/* femtoseconds in a second */
#define	MAXTIMERS	24			/* that 1024 bytes have room for */
#define	NROUTES		32
#define	LEN		0x400

/* Registers (HPET table 2), by their offset; all are 64 bits wide. */
#define	R_CAP		0x000
#define	R_CONF		0x010
#define	R_STATUS	0x020
#define	R_COUNTER	0x0f0
#define	R_TIMER		0x100
#define	TIMER_STRIDE	0x20
#define	T_CONF		0x00
#define	T_COMPARATOR	0x08
#define	T_FSB		0x10

#define	CAP_REV		0x01ULL
#define	CAP_LAST(n)	((uint64_t)(n) << 8)	/* number of the last timer */
#define	CAP_64BIT	0x2000ULL
#define	CAP_LEGACY	0x8000ULL
#define	CAP_VENDOR	(0x8086ULL << 16)	/* who defined the block */

#define	CONF_ENABLE	0x1ULL
#define	CONF_LEGACY	0x2ULL

#define	TC_LEVEL	0x0002ULL
#define	TC_INT_ENB	0x0004ULL
#define	TC_PERIODIC	0x0008ULL
#define	TC_PERIODIC_CAP	0x0010ULL
#define	TC_64BIT_CAP	0x0020ULL
#define	TC_VAL_SET	0x0040ULL
#define	TC_32MODE	0x0100ULL
#define	TC_ROUTE(c)	((unsigned)((c) >> 9) & 0x1fU)
#define	TC_ROUTE_MASK	0x3e00ULL
#define	TC_FSB_EN	0x4000ULL
#define	TC_FSB_CAP	0x8000ULL
#define	TC_KEPT		(TC_LEVEL | TC_INT_ENB | TC_PERIODIC | TC_32MODE | TC_ROUTE_MASK | TC_FSB_EN)

/*
 * Periodic interrupts of one timer are at least this far apart: what is programmed beyond that is
 * thinned out, so that a guest cannot keep the host busy with edges that no guest could take.
 */
#define	MIN_PERIOD_NS	20000ULL
#define	NS		1000000000ULL

/* A deadline is never set further ahead than this, but looked at anew. */
#define	FAR_AHEAD	(1ULL << 62)

struct hpet_timer {
	struct vm_irq	*route[NROUTES];	/* by input; NULL: not one of `routes' */
	struct vm_irq	*msi;		/* NULL without the key */
	struct vm_irq	*raised;	/* the handle that is asserted for a level; derived */
	uint64_t	 sent;		/* timer count of the last match; for thinning out */
	uint64_t	 msi_fsb;	/* what msi was set to */

	/* state */
	uint32_t	 conf;		/* TC_KEPT bits */
	bool		 val_set;	/* TC_VAL_SET until the comparator is written */
	uint64_t	 comparator;	/* next match */
	uint64_t	 period;	/* last value written */
	uint64_t	 fsb;		/* value, and address << 32 */
};

struct hpet {
	struct device	*dev;
	struct vm_range	*range;
	struct vm_timer	*timer;
	pthread_mutex_t	 lock;
	bool		 active;	/* between resume and pause */
	bool		 told;		/* what legacy was called with; derived */
	uint64_t	 cap;		/* R_CAP */
	uint64_t	 min_period;	/* ticks */
	uint32_t	 freq, inputs;	/* keys */
	unsigned	 n;		/* timers */
	void		(*legacy)(void *arg, bool on);
	void		*legacy_arg;

	/* state */
	uint64_t	 caps;		/* cap, hz and routes of who wrote the state */
	uint32_t	 hz, routes;
	uint8_t		 conf;		/* CONF_* */
	uint32_t	 status;
	uint64_t	 counter;	/* at timer count `seen' */
	uint64_t	 seen;
	struct hpet_timer t[MAXTIMERS];
};

/* Interrupts */

static bool
is_enabled(const struct hpet *h)
{
	return ((h->conf & CONF_ENABLE) != 0);
}

/* "The individual routing bits for timers 0 and 1 will have no impact" (2.3.5, LEG_RT_CNF). */
static bool
is_legacy(const struct hpet *h, unsigned i)
{
	return (i < 2 && (h->conf & CONF_LEGACY) != 0);
}

static bool
is_message(const struct hpet *h, unsigned i)
{
	return (!is_legacy(h, i) && (h->t[i].conf & TC_FSB_EN) != 0);
}

/* Where the timer's interrupts go, NULL for nowhere. */
static struct vm_irq *
output(struct hpet *h, unsigned i)
{
	struct hpet_timer *t = &h->t[i];

	if (is_legacy(h, i))
		return (h->dev->place.irq[i]);
	return (is_message(h, i) ? t->msi : t->route[TC_ROUTE(t->conf)]);
}

/* Whether an interrupt of the timer is a level, which follows its status bit. */
static bool
is_level(const struct hpet *h, unsigned i)
{
	return ((h->t[i].conf & TC_LEVEL) != 0 && !is_message(h, i));
}

static void
drive_level(struct hpet *h, unsigned i)
{
	struct hpet_timer *t = &h->t[i];
	struct vm_irq *want = NULL;

	if (is_enabled(h) && is_level(h, i) && (t->conf & TC_INT_ENB) != 0 && (h->status & 1U << i) != 0)
		want = output(h, i);
	if (want == t->raised)
		return;
	device_line(h->dev, t->raised, false);
	t->raised = want;
	device_line(h->dev, want, true);
}

static void
send(struct hpet *h, unsigned i)
{
	struct hpet_timer *t = &h->t[i];
	struct vm_irq *irq = output(h, i);

	if (!h->active || irq == NULL)
		return;
	if (irq != t->msi) {
		TRACE(h->dev->vmm->log, irq__pulse, h->dev->name);
		(void)vm_irq_pulse(irq);
		return;
	}
	if (t->msi_fsb != t->fsb) {
		(void)vm_irq_set_msi(irq, t->fsb >> 32, (uint32_t)t->fsb);
		t->msi_fsb = t->fsb;
	}
	TRACE(h->dev->vmm->log, irq__msi, h->dev->name, i, (uint32_t)t->fsb, t->fsb >> 32);
	(void)vm_irq_assert(irq);
}

/* Counting */

/* All ones of what the timer compares. */
static uint64_t
width(const struct hpet_timer *t)
{
	return ((t->conf & TC_32MODE) != 0 ? UINT32_MAX : UINT64_MAX);
}

/* Ticks until the counter reaches the comparator, 0 for a whole 2^64. */
static uint64_t
distance(const struct hpet *h, const struct hpet_timer *t)
{
	uint64_t d = (t->comparator - h->counter) & width(t);

	return (d == 0 && width(t) != UINT64_MAX ? width(t) + 1 : d);
}

/* The counter advances by passed: whether the timer matches, and where it matches next. */
static bool
step(struct hpet *h, struct hpet_timer *t, uint64_t passed)
{
	uint64_t d = distance(h, t), p = t->period & width(t);

	if (d == 0 || passed < d)
		return (false);
	/* "The value in this register is increased by the last value written" (2.3.9.2.2). */
	if ((t->conf & TC_PERIODIC) != 0 && p != 0)
		t->comparator = (t->comparator + (1 + (passed - d) / p) * p) & width(t);
	return (true);
}

/* Bring counter, comparators and status up to date; edges and messages go out. */
static void
catch_up(struct hpet *h)
{
	uint64_t now = vm_timer_count(h->timer), passed = now - h->seen;

	h->seen = now;
	/* The VM's clock was set back: there is no such thing here. */
	if (!is_enabled(h) || (int64_t)passed <= 0)
		return;
	for (unsigned i = 0; i < h->n; i++) {
		struct hpet_timer *t = &h->t[i];

		if (!step(h, t, passed))
			continue;
		t->sent = now;
		/* "The timer can still operate and generate appropriate status bits" (2.3.8, INT_ENB). */
		if ((t->conf & TC_LEVEL) != 0)
			h->status |= 1U << i;
		if (!is_level(h, i) && (t->conf & TC_INT_ENB) != 0)
			send(h, i);
	}
	h->counter += passed;
}

/* Timer count of the timer's next interrupt; false if the next match raises none. */
static bool
next_interrupt(const struct hpet *h, unsigned i, uint64_t *when)
{
	const struct hpet_timer *t = &h->t[i];
	uint64_t d = distance(h, t);

	if ((t->conf & TC_INT_ENB) == 0 || (is_level(h, i) && (h->status & 1U << i) != 0))
		return (false);
	if (d == 0 || d > FAR_AHEAD)
		d = FAR_AHEAD;
	*when = h->seen + d;
	if ((t->conf & TC_PERIODIC) != 0 && (int64_t)(*when - (t->sent + h->min_period)) < 0)
		*when = t->sent + h->min_period;
	return (true);
}

/* After anything: levels, the legacy lines' other users, and the deadline. */
static void
settle(struct hpet *h)
{
	bool legacy = h->conf == (CONF_ENABLE | CONF_LEGACY), any = false;
	uint64_t first = 0, when;

	if (!h->active)
		return;
	if (legacy != h->told) {
		h->told = legacy;
		if (h->legacy != NULL)
			h->legacy(h->legacy_arg, legacy);
	}
	for (unsigned i = 0; i < h->n; i++) {
		drive_level(h, i);
		if (!is_enabled(h) || !next_interrupt(h, i, &when))
			continue;
		if (!any || (int64_t)(when - first) < 0)
			first = when;
		any = true;
	}
	if (any)
		(void)vm_timer_arm(h->timer, first);
	else
		(void)vm_timer_disarm(h->timer);
}

/* Library's thread. */
static void
timer_fired(void *arg)
{
	struct hpet *h = arg;

	TRACE(h->dev->vmm->log, timer__fire, h->dev->name);
	pthread_mutex_lock(&h->lock);
	if (h->active) {
		catch_up(h);
		settle(h);
	}
	pthread_mutex_unlock(&h->lock);
}

/* Registers */

static uint64_t
merge(uint64_t old, uint64_t val, uint64_t mask)
{
	return ((old & ~mask) | (val & mask));
}

static uint64_t
timer_conf(const struct hpet *h, const struct hpet_timer *t)
{
	return (t->conf | TC_PERIODIC_CAP | TC_64BIT_CAP | (t->msi != NULL ? TC_FSB_CAP : 0) |
	    (uint64_t)h->inputs << 32);
}

static uint64_t
read_timer(const struct hpet *h, const struct hpet_timer *t, unsigned reg)
{
	switch (reg) {
	case T_CONF:
		return (timer_conf(h, t));
	case T_COMPARATOR:
		return (t->comparator & width(t));
	case T_FSB:
		return (t->fsb);
	default:
		return (0);
	}
}

static uint64_t
read_reg(const struct hpet *h, unsigned reg)
{
	unsigned i;

	switch (reg) {
	case R_CAP:
		return (h->cap);
	case R_CONF:
		return (h->conf);
	case R_STATUS:
		return (h->status);
	case R_COUNTER:
		return (h->counter);
	}
	if (reg < R_TIMER || (i = (reg - R_TIMER) / TIMER_STRIDE) >= h->n)
		return (0);
	return (read_timer(h, &h->t[i], reg % TIMER_STRIDE));
}

static void
write_timer_conf(struct hpet *h, unsigned i, uint64_t val, uint64_t mask)
{
	struct hpet_timer *t = &h->t[i];
	uint64_t conf = merge(t->conf, val, mask) & TC_KEPT;

	if (t->msi == NULL)
		conf &= ~TC_FSB_EN;
	/* What the timer does not support is not taken: "the value read back will not match" (2.3.8). */
	if (t->route[TC_ROUTE(conf)] == NULL)
		conf = merge(conf, t->conf, TC_ROUTE_MASK);
	t->conf = (uint32_t)conf;
	/* For software that is not interested in a status of edges (2.3.6). */
	if ((conf & TC_LEVEL) == 0)
		h->status &= ~(1U << i);
	/* Of use to periodic timers only, and cleared by the next write of the comparator. */
	if ((val & mask & TC_VAL_SET) != 0)
		t->val_set = (conf & TC_PERIODIC) != 0;
}

/* 2.3.9.2.2: while periodic, the comparator itself is written only right after VAL_SET. */
static void
write_comparator(struct hpet_timer *t, uint64_t val, uint64_t mask)
{
	if ((t->conf & TC_PERIODIC) == 0 || t->val_set)
		t->comparator = merge(t->comparator, val, mask) & width(t);
	t->period = merge(t->period, val, mask) & width(t);
	t->val_set = false;
}

static void
write_timer(struct hpet *h, unsigned i, unsigned reg, uint64_t val, uint64_t mask)
{
	switch (reg) {
	case T_CONF:
		write_timer_conf(h, i, val, mask);
		break;
	case T_COMPARATOR:
		write_comparator(&h->t[i], val, mask);
		break;
	case T_FSB:
		h->t[i].fsb = merge(h->t[i].fsb, val, mask);
		break;
	}
}

/* Write the bits of mask of a register. */
static void
write_reg(struct hpet *h, unsigned reg, uint64_t val, uint64_t mask)
{
	unsigned i;

	switch (reg) {
	case R_CONF:
		val = merge(h->conf, val, mask) & (CONF_ENABLE | CONF_LEGACY);
		if ((h->cap & CAP_LEGACY) == 0)
			val &= ~CONF_LEGACY;
		h->conf = (uint8_t)val;
		return;
	case R_STATUS:
		h->status &= ~(uint32_t)(val & mask);
		return;
	case R_COUNTER:
		h->counter = merge(h->counter, val, mask);
		return;
	}
	if (reg >= R_TIMER && (i = (reg - R_TIMER) / TIMER_STRIDE) < h->n)
		write_timer(h, i, reg % TIMER_STRIDE, val, mask);
}

/*
 * Registers are read as a whole at one moment, and the access gets its bytes of them, across a
 * border too.
 */
static uint64_t
hpet_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct hpet *h = arg;
	unsigned reg = (unsigned)off & ~7U, shift = 8 * ((unsigned)off & 7U);
	uint64_t val;

	pthread_mutex_lock(&h->lock);
	catch_up(h);
	val = read_reg(h, reg) >> shift;
	if (shift + 8 * size > 64 && reg + 8 < LEN)
		val |= read_reg(h, reg + 8) << (64 - shift);
	settle(h);
	pthread_mutex_unlock(&h->lock);
	return (size == 8 ? val : val & ((1ULL << (8 * size)) - 1));
}

/* Aligned accesses of 32 and 64 bits only (2.3.1); others have no defined effect, and here none. */
static void
hpet_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct hpet *h = arg;
	unsigned reg = (unsigned)off & ~7U, shift = 8 * ((unsigned)off & 7U);

	if (size < 4 || off % size != 0) {
		device_guest_log(h->dev, "a write of %u bytes at offset 0x%x is ignored", size, (unsigned)off);
		return;
	}
	pthread_mutex_lock(&h->lock);
	catch_up(h);
	write_reg(h, reg, val << shift, (size == 8 ? UINT64_MAX : 0xffffffffULL) << shift);
	settle(h);
	pthread_mutex_unlock(&h->lock);
}

/* The interface to the machine. */

static void
hpet_reset(struct device *dev)
{
	struct hpet *h = dev->soft;

	pthread_mutex_lock(&h->lock);
	h->caps = h->cap;
	h->hz = h->freq;
	h->routes = h->inputs;
	h->conf = 0;
	h->status = 0;
	h->counter = 0;
	h->seen = vm_timer_count(h->timer);
	for (unsigned i = 0; i < MAXTIMERS; i++) {
		struct hpet_timer *t = &h->t[i];

		if (t->raised != NULL)
			(void)vm_irq_deassert(t->raised);
		t->raised = NULL;
		t->conf = 0;
		t->val_set = false;
		t->comparator = UINT64_MAX;	/* 2.3.9, default of the comparators */
		t->period = 0;
		t->fsb = 0;
		t->sent = h->seen - h->min_period;
	}
	pthread_mutex_unlock(&h->lock);
}

int
hpet_on_legacy(struct device *dev, void (*fn)(void *arg, bool on), void *arg)
{
	struct hpet *h = dev->soft;

	if (dev->cls->reset != hpet_reset)
		return (vmm_fail(EINVAL, "%s: not an HPET", dev->name));
	h->legacy = fn;
	h->legacy_arg = arg;
	return (0);
}

uint32_t
hpet_block_id(struct device *dev)
{
	return (dev->cls->reset == hpet_reset ? (uint32_t)((struct hpet *)dev->soft)->cap : 0);
}

/* Life */

static void
hpet_fini(struct device *dev)
{
	struct hpet *h = dev->soft;

	vm_range_remove(h->range);
	(void)vm_range_sync(dev->vmm->vm);
	vm_timer_close(h->timer);
	for (unsigned i = 0; i < h->n; i++) {
		vm_irq_close(h->t[i].msi);
		for (unsigned line = 0; line < NROUTES; line++)
			vm_irq_close(h->t[i].route[line]);
	}
	pthread_mutex_destroy(&h->lock);
}

static int
open_irqs(struct hpet *h)
{
	struct device *dev = h->dev;
	bool msi = config_bool(dev->config, "msi");
	uint32_t requester = (uint32_t)config_num(dev->config, "requester");

	for (unsigned i = 0; i < h->n; i++) {
		struct hpet_timer *t = &h->t[i];

		for (unsigned line = 0; line < NROUTES; line++) {
			if ((h->inputs & 1U << line) == 0)
				continue;
			t->route[line] = vm_irq_open_line(dev->vmm->vm, line);
			if (t->route[line] == NULL)
				return (vmm_fail_vm("%s: routes", dev->name));
		}
		if (!msi)
			continue;
		t->msi = vm_irq_open_msi(dev->vmm->vm, requester);
		if (t->msi == NULL || vm_irq_set_mask(t->msi, false) != 0)
			return (vmm_fail_vm("%s", dev->name));
	}
	return (0);
}

static int
hpet_init(struct device *dev)
{
	struct hpet *h = dev->soft;

	h->dev = dev;
	h->n = (unsigned)config_num(dev->config, "timers");
	h->freq = (uint32_t)config_num(dev->config, "frequency");
	h->inputs = (uint32_t)config_num(dev->config, "routes");
	h->cap = CAP_REV | CAP_LAST(h->n - 1) | CAP_64BIT | CAP_VENDOR | (FS + h->freq / 2) / h->freq << 32;
	if (config_bool(dev->config, "legacy"))
		h->cap |= CAP_LEGACY;
	h->min_period = h->freq / (NS / MIN_PERIOD_NS);
	pthread_mutex_init(&h->lock, NULL);
	h->timer = vm_timer_open(dev->vmm->vm, h->freq, timer_fired, h);
	if (h->timer == NULL) {
		(void)vmm_fail_vm("%s", dev->name);
		goto fail;
	}
	if (open_irqs(h) != 0)
		goto fail;
	h->range = device_claim(dev, LEN, hpet_read, hpet_write, h);
	if (h->range == NULL)
		goto fail;
	return (0);
fail:
	hpet_fini(dev);
	return (-1);
}

static void
hpet_pause(struct device *dev)
{
	struct hpet *h = dev->soft;

	pthread_mutex_lock(&h->lock);
	/* A match at the very moment that the clock stopped still goes out. */
	catch_up(h);
	h->active = false;
	(void)vm_timer_disarm(h->timer);
	pthread_mutex_unlock(&h->lock);
}

static void
hpet_resume(struct device *dev)
{
	struct hpet *h = dev->soft;

	pthread_mutex_lock(&h->lock);
	h->active = true;
	h->told = h->conf != (CONF_ENABLE | CONF_LEGACY);	/* tell in any case */
	for (unsigned i = 0; i < h->n; i++) {
		struct hpet_timer *t = &h->t[i];

		/* The handle may be another one than the state wants, at any level. */
		if (t->raised != NULL)
			(void)vm_irq_deassert(t->raised);
		t->raised = NULL;
		t->msi_fsb = ~t->fsb;
		t->sent = h->seen - h->min_period;
	}
	catch_up(h);
	settle(h);
	pthread_mutex_unlock(&h->lock);
}

static void
hpet_describe(struct device *dev, struct device_description *desc)
{
	desc->hid = "PNP0103";
}

/* State */

static int
timer_check(void *obj)
{
	const struct hpet_timer *t = obj;

	if ((t->conf & ~TC_KEPT) != 0)
		return (vm_state_complain("a timer's configuration has bits that do not exist"));
	return (0);
}

/* The guest has read capabilities and period, so they must be the same. */
static int
hpet_check(void *obj)
{
	const struct hpet *h = obj;

	if (h->caps != h->cap || h->hz != h->freq || h->routes != h->inputs)
		return (vm_state_complain("an HPET of other capabilities: keys timers, frequency, routes and "
		    "legacy must be the same"));
	if ((h->conf & ~(CONF_ENABLE | CONF_LEGACY)) != 0 ||
	    ((h->conf & CONF_LEGACY) != 0 && (h->cap & CAP_LEGACY) == 0) || h->status >> h->n != 0)
		return (vm_state_complain("a register has bits that do not exist"));
	for (unsigned i = 0; i < h->n; i++) {
		const struct hpet_timer *t = &h->t[i];

		if ((t->conf & TC_FSB_EN) != 0 && t->msi == NULL)
			return (vm_state_complain("timer %u sends messages: key msi must be the same", i));
		if (TC_ROUTE(t->conf) != 0 && t->route[TC_ROUTE(t->conf)] == NULL)
			return (vm_state_complain("timer %u has a route that does not exist", i));
	}
	return (0);
}

static const struct config_key keys[] = {
	KEY_INT("timers", 3, 3, MAXTIMERS, "number of comparators"),
	KEY_INT("frequency", 100000000, 10000000, 1000000000, "ticks of the main counter in a second"),
	KEY_BOOL("legacy", true, "can take the place of the 8254 and the RTC on interrupt lines 0 and 8"),
	KEY_BOOL("msi", true, "can deliver interrupts as messages"),
	KEY_INT("routes", 0x00f00000, 0, UINT32_MAX,
	    "bit mask of the interrupt inputs that timers can use; the default is 20 to 23"),
	KEY_INT("requester", 0x00f8, 0, 0xffff, "requester id of its messages: bus << 8 | device << 3 | function"),
};

static const struct vm_state_field timer_fields[] = {
	VM_STATE_U32(struct hpet_timer, conf), VM_STATE_BOOL(struct hpet_timer, val_set),
	VM_STATE_U64(struct hpet_timer, comparator), VM_STATE_U64(struct hpet_timer, period),
	VM_STATE_U64(struct hpet_timer, fsb),
};

static const struct vm_state_table timer_table = VM_STATE_TABLE("hpet.timer", 1, 1, timer_fields, timer_check);

static const struct vm_state_field fields[] = {
	VM_STATE_U64(struct hpet, caps), VM_STATE_U32(struct hpet, hz), VM_STATE_U32(struct hpet, routes),
	VM_STATE_U8(struct hpet, conf), VM_STATE_U32(struct hpet, status),
	VM_STATE_U64(struct hpet, counter), VM_STATE_U64(struct hpet, seen),
	VM_STATE_STRUCTS(struct hpet, t, &timer_table),
};

static const struct vm_state_table state = VM_STATE_TABLE("hpet", 1, 1, fields, hpet_check);

DEVICE_CLASS(hpet, "hpet", "high precision event timers", keys, &state,
    .on = DEVICE_ON_MMIO,
    .range_len = LEN,
    .nirqs = 2,
    .size = sizeof(struct hpet),
    .init = hpet_init,
    .fini = hpet_fini,
    .reset = hpet_reset,
    .pause = hpet_pause,
    .resume = hpet_resume,
    .describe = hpet_describe);
