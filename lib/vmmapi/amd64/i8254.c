/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * i8254.c - the 8254 programmable interval timer of a PC (Intel 8254 datasheet, order number
 * 231164), on the VM's clock.
 *
 * Nothing is counted: a counter is the time at which its counting began and how far it counts, and
 * count and output are worked out when someone looks.  Only output 0 makes something happen by
 * itself, so there is one timer, armed for its next rising edge.  Gates 0 and 1 are tied high; gate
 * 2 is bit 0 of port 61H.
 *
 * The lock is a device's: the library's locks come after it.  The timer's callback and the range
 * handlers take it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "amd64.h"

#define	HZ		1193182
#define	NCOUNTERS	3
#define	PORT_PIT	0x40
#define	PORT_SPEAKER	0x61

/*
 * Edges of output 0 are at least this many clocks (20 us) apart: what is programmed beyond that is
 * thinned out, so that a guest cannot keep the host busy with edges that no guest could take.
 */
#define	MIN_CLOCKS	24

/* Refresh requests toggle bit 4 of port 61H every 15 us: 18 clocks. */
#define	REFRESH_CLOCKS	18

/* Control word */
#define	CW_BCD		0x01
#define	CW_MODE(v)	(((v) >> 1) & 7)
#define	CW_RW(v)	(((v) >> 4) & 3)
#define	CW_COUNTER(v)	((v) >> 6)
#define	CW_READ_BACK	3
#define	RB_NO_COUNT	0x20
#define	RB_NO_STATUS	0x10
#define	RW_LATCH	0
#define	RW_LSB		1
#define	RW_MSB		2
#define	RW_BOTH		3

#define	STATUS_OUT	0x80
#define	STATUS_NULL	0x40

/* Port 61H */
#define	SPK_GATE	0x01
#define	SPK_DATA	0x02
#define	SPK_WRITABLE	0x0f
#define	SPK_REFRESH	0x10
#define	SPK_OUT		0x20

struct counter {
	uint8_t		mode;		/* 0 to 5 */
	uint8_t		rw;		/* RW_LSB to RW_BOTH */
	bool		bcd;
	bool		gate;
	bool		loaded;		/* a count was written since the control word */
	bool		counting;	/* start is valid */
	bool		held;		/* counting stands, after `elapsed' clocks: the gate is low */
	bool		reload;		/* next waits for the end of the period, or for a trigger */
	bool		write_msb, read_msb;	/* the second byte is next */
	uint8_t		lsb;		/* first byte of a count that is being written */
	uint8_t		latched;	/* bytes of latch that were not read */
	bool		status_latched;
	uint8_t		status;
	uint16_t	latch;
	uint32_t	count;		/* clocks from start to terminal count */
	uint32_t	next;
	uint64_t	start;		/* timer count at which count was loaded */
	uint64_t	elapsed;	/* clocks from start to the hold, or to the write of next */
};

struct vm_i8254 {
	struct counter	 c[NCOUNTERS];
	uint8_t		 speaker;	/* writable bits of port 61H */
	bool		 out0;		/* level last given to the line */

	struct vmctx	*vm;
	pthread_mutex_t	 lock;
	struct vm_timer	*timer;
	struct vm_irq	*irq;
	struct vm_range	*pit_range, *spk_range;
	bool		 armed;
	uint64_t	 edge;		/* rising edge that the timer is armed for */
	uint64_t	 last;		/* timer count of the last one */
};

/* Counting.  Everything below the ranges runs with the lock held; now is the timer's count. */

/* Clocks that a written value stands for: 0 is the largest count (figure 15). */
static uint32_t
from_register(const struct counter *c, uint16_t v)
{
	if (!c->bcd)
		return (v == 0 ? 0x10000 : v);
	v = (uint16_t)((v >> 12) * 1000 + (v >> 8 & 0xf) * 100 + (v >> 4 & 0xf) * 10 + (v & 0xf));
	return (v == 0 ? 10000 : v);
}

static uint16_t
to_register(const struct counter *c, uint32_t v)
{
	if (!c->bcd)
		return ((uint16_t)v);
	v %= 10000;
	return ((uint16_t)(v / 1000 << 12 | v / 100 % 10 << 8 | v / 10 % 10 << 4 | v % 10));
}

static bool
periodic(const struct counter *c)
{
	return (c->mode == 2 || c->mode == 3);
}

/* Modes in which only a rising gate starts the counting. */
static bool
triggered(const struct counter *c)
{
	return (c->mode == 1 || c->mode == 5);
}

static uint64_t
elapsed(const struct counter *c, uint64_t now)
{
	if (c->held)
		return (c->elapsed);
	/* The count is loaded by the clock after the write: until then nothing has passed. */
	return (now > c->start ? now - c->start : 0);
}

/* Clocks of a mode 3 period with the output high. */
static uint32_t
high_part(uint32_t count)
{
	return ((count + 1) / 2);
}

/*
 * Let a new count of a periodic mode take over at the end of the period (mode 2) or half period
 * (mode 3) that it was written in.
 */
static void
catch_up(struct counter *c, uint64_t now)
{
	uint64_t t, phase, base;

	if (!c->counting || c->held || !c->reload || !periodic(c) || now < c->start)
		return;
	t = c->elapsed;
	phase = t % c->count;
	base = c->start + (t - phase);
	if (c->mode == 3 && phase < high_part(c->count)) {
		if (now < base + high_part(c->count))
			return;
		/* The low half begins with the new count. */
		c->start = base + high_part(c->count) - high_part(c->next);
	} else {
		if (now < base + c->count)
			return;
		c->start = base + c->count;
	}
	c->count = c->next;
	c->reload = false;
}

static bool
output(const struct counter *c, uint64_t now)
{
	uint64_t t;

	if (!c->counting)
		return (c->mode != 0);
	if (periodic(c) && !c->gate)
		return (true);
	t = elapsed(c, now);
	switch (c->mode) {
	case 0:
	case 1:
		return (t >= c->count);
	case 2:
		return (t % c->count != c->count - 1);
	case 3:
		return (t % c->count < high_part(c->count));
	default:
		return (t != c->count);
	}
}

/* The counting element's value. */
static uint16_t
value(const struct counter *c, uint64_t now)
{
	uint32_t full = c->bcd ? 10000 : 0x10000, phase;
	uint64_t t;

	if (!c->counting)
		return (to_register(c, c->loaded ? c->next : 0));
	t = elapsed(c, now);
	switch (c->mode) {
	case 2:
		return (to_register(c, c->count - (uint32_t)(t % c->count)));
	case 3:
		/* By twos; an odd count is one less (mode 3 definition). */
		phase = (uint32_t)(t % c->count);
		if (phase >= high_part(c->count))
			phase -= high_part(c->count);
		return (to_register(c, (c->count & ~1U) - 2 * phase));
	default:
		/* Past the terminal count it wraps and goes on. */
		return (to_register(c, (uint32_t)((c->count + full - t % full) % full)));
	}
}

/* The next rising edge of the output after now, false if none comes by itself. */
static bool
next_edge(const struct counter *c, uint64_t now, uint64_t *edge)
{
	uint64_t t, n;

	if (!c->counting || c->held)
		return (false);
	if (periodic(c)) {
		t = now >= c->start ? now - c->start : 0;
		n = c->reload ? c->elapsed / c->count + 1 : t / c->count + 1;
		*edge = c->start + n * c->count;
		/*
		 * With a new count taking over in the middle of a period, this period ends
		 * otherwise.
		 */
		if (c->reload && c->mode == 3 && c->elapsed % c->count < high_part(c->count))
			*edge = c->start + (n - 1) * c->count + high_part(c->count) + c->next / 2;
		return (true);
	}
	/* Modes 4 and 5: the strobe is low for one clock. */
	*edge = c->start + c->count + (c->mode >= 4 ? 1 : 0);
	return (*edge > now);
}

/* The line */

static void
drive(struct vm_i8254 *p, bool level)
{
	p->out0 = level;
	(void)(level ? vm_irq_assert(p->irq) : vm_irq_deassert(p->irq));
}

/*
 * Counter 0 was touched, or an edge came: bring the line up to date and arm the timer for the next
 * edge.
 */
static void
update(struct vm_i8254 *p, uint64_t now)
{
	struct counter *c = &p->c[0];
	bool out;

	catch_up(c, now);
	if (p->armed && (int64_t)(now - p->edge) >= 0) {
		/* The edge, or several that are one: the output was low before it. */
		drive(p, false);
		drive(p, true);
		p->last = now;
	}
	/* The low times of modes 2 and 3 are not shown on the line, their edges are. */
	out = periodic(c) || output(c, now);
	if (out != p->out0)
		drive(p, out);
	p->armed = next_edge(c, now, &p->edge);
	if (!p->armed) {
		(void)vm_timer_disarm(p->timer);
		return;
	}
	if (periodic(c) && p->edge - p->last < MIN_CLOCKS)
		p->edge = p->last + MIN_CLOCKS;
	(void)vm_timer_arm(p->timer, p->edge);
}

static void
fire(void *arg)
{
	struct vm_i8254 *p = arg;

	pthread_mutex_lock(&p->lock);
	update(p, vm_timer_count(p->timer));
	pthread_mutex_unlock(&p->lock);
}

/* Programming */

static void
load(struct counter *c, uint32_t count, uint64_t now)
{
	c->count = count;
	c->next = count;
	c->start = now + 1;
	c->elapsed = 0;
	c->reload = false;
	c->counting = true;
	c->held = !c->gate;
}

/* A count is complete. */
static void
write_count(struct counter *c, uint16_t v, uint64_t now)
{
	uint32_t count = from_register(c, v);

	c->loaded = true;
	c->next = count;
	if (triggered(c)) {
		c->reload = true;		/* at the next trigger */
	} else if (periodic(c) && c->counting) {
		/* At the end of the period, or when the gate rises. */
		if (!c->held)
			c->elapsed = elapsed(c, now);
		c->reload = true;
	} else {
		load(c, count, now);
	}
}

static void
write_counter(struct vm_i8254 *p, unsigned i, uint8_t v, uint64_t now)
{
	struct counter *c = &p->c[i];

	catch_up(c, now);
	switch (c->rw) {
	case RW_LSB:
		write_count(c, v, now);
		break;
	case RW_MSB:
		write_count(c, (uint16_t)(v << 8), now);
		break;
	case RW_BOTH:
		c->write_msb = !c->write_msb;
		if (!c->write_msb) {
			write_count(c, (uint16_t)(c->lsb | v << 8), now);
			break;
		}
		c->lsb = v;
		/* Mode 0: the first byte stops the counting and puts the output low at once. */
		if (c->mode == 0)
			c->counting = false;
		break;
	}
}

static void
latch_count(struct counter *c, uint64_t now)
{
	/* A second latch before the first was read is ignored. */
	if (c->latched != 0)
		return;
	c->latch = value(c, now);
	c->latched = c->rw == RW_BOTH ? 2 : 1;
}

static void
latch_status(struct counter *c, uint64_t now)
{
	if (c->status_latched)
		return;
	c->status = (uint8_t)((output(c, now) ? STATUS_OUT : 0) | (!c->loaded || c->reload ? STATUS_NULL : 0) |
	    c->rw << 4 | c->mode << 1 | (c->bcd ? CW_BCD : 0));
	c->status_latched = true;
}

static void
write_control(struct vm_i8254 *p, uint8_t v, uint64_t now)
{
	struct counter *c;

	if (CW_COUNTER(v) == CW_READ_BACK) {
		for (unsigned i = 0; i < NCOUNTERS; i++) {
			if ((v & (2U << i)) == 0)
				continue;
			catch_up(&p->c[i], now);
			if ((v & RB_NO_COUNT) == 0)
				latch_count(&p->c[i], now);
			if ((v & RB_NO_STATUS) == 0)
				latch_status(&p->c[i], now);
		}
		return;
	}
	c = &p->c[CW_COUNTER(v)];
	catch_up(c, now);
	if (CW_RW(v) == RW_LATCH) {
		latch_count(c, now);
		return;
	}
	*c = (struct counter){
		.mode = CW_MODE(v) > 5 ? CW_MODE(v) - 4 : CW_MODE(v),	/* modes 6 and 7 are 2 and 3 */
		.rw = CW_RW(v),
		.bcd = (v & CW_BCD) != 0,
		.gate = c->gate,
	};
}

static uint8_t
read_counter(struct vm_i8254 *p, unsigned i, uint64_t now)
{
	struct counter *c = &p->c[i];
	uint16_t v;
	bool msb;

	catch_up(c, now);
	if (c->status_latched) {
		c->status_latched = false;
		return (c->status);
	}
	v = c->latched != 0 ? c->latch : value(c, now);
	msb = c->rw == RW_MSB || (c->rw == RW_BOTH && c->read_msb);
	if (c->rw == RW_BOTH)
		c->read_msb = !c->read_msb;
	if (c->latched != 0)
		c->latched--;
	return ((uint8_t)(msb ? v >> 8 : v));
}

/* The gate's effects (figure 20). */
static void
set_gate(struct counter *c, bool gate, uint64_t now)
{
	if (gate == c->gate)
		return;
	catch_up(c, now);
	if (triggered(c)) {
		c->gate = gate;
		if (gate && c->loaded)
			load(c, c->next, now);
		return;
	}
	c->gate = gate;
	if (!c->counting)
		return;
	if (!gate) {
		c->elapsed = elapsed(c, now);
		c->held = true;
	} else if (periodic(c)) {
		load(c, c->next, now);			/* begins anew */
	} else {
		/*
		 * Modes 0 and 4 go on; what was written in this very clock is loaded by the next
		 * one.
		 */
		if (now >= c->start)
			c->start = now - c->elapsed;
		c->held = false;
	}
}

/* Ranges */

static uint64_t
pit_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct vm_i8254 *p = arg;
	uint64_t now, val = ~0ULL;

	pthread_mutex_lock(&p->lock);
	now = vm_timer_count(p->timer);
	for (unsigned i = 0; i < size && off + i < NCOUNTERS; i++) {
		uint64_t byte = read_counter(p, (unsigned)(off + i), now);

		val = (val & ~(0xffULL << (8 * i))) | byte << (8 * i);
	}
	pthread_mutex_unlock(&p->lock);
	return (val);
}

static void
pit_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct vm_i8254 *p = arg;
	uint64_t now;

	pthread_mutex_lock(&p->lock);
	now = vm_timer_count(p->timer);
	/* An edge that is due comes before what is written. */
	update(p, now);
	for (unsigned i = 0; i < size && off + i <= NCOUNTERS; i++) {
		uint8_t byte = (uint8_t)(val >> (8 * i));

		if (off + i == NCOUNTERS)
			write_control(p, byte, now);
		else
			write_counter(p, (unsigned)(off + i), byte, now);
	}
	update(p, now);
	pthread_mutex_unlock(&p->lock);
}

static uint64_t
speaker_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	struct vm_i8254 *p = arg;
	uint64_t now, val;

	pthread_mutex_lock(&p->lock);
	now = vm_timer_count(p->timer);
	catch_up(&p->c[2], now);
	val = p->speaker | (now / REFRESH_CLOCKS % 2 != 0 ? SPK_REFRESH : 0) | (output(&p->c[2], now) ? SPK_OUT : 0);
	pthread_mutex_unlock(&p->lock);
	return (val | ~0xffULL);
}

static void
speaker_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct vm_i8254 *p = arg;

	pthread_mutex_lock(&p->lock);
	p->speaker = val & SPK_WRITABLE;
	set_gate(&p->c[2], (val & SPK_GATE) != 0, vm_timer_count(p->timer));
	pthread_mutex_unlock(&p->lock);
}

/* Life */

static void
reset(struct vm_i8254 *p)
{
	/*
	 * The datasheet leaves the power-on state open: here every counter waits for a count, with
	 * its output high.
	 */
	memset(p->c, 0, sizeof(p->c));
	for (unsigned i = 0; i < NCOUNTERS; i++) {
		p->c[i].mode = 3;
		p->c[i].rw = RW_BOTH;
		p->c[i].gate = i != 2;
	}
	p->speaker = 0;
	p->armed = false;
	update(p, vm_timer_count(p->timer));
}

void
vm_amd64_i8254_reset(struct vm_i8254 *pit)
{
	if (pit == NULL)
		return;
	pthread_mutex_lock(&pit->lock);
	reset(pit);
	pthread_mutex_unlock(&pit->lock);
}

void
vm_amd64_i8254_close(struct vm_i8254 *pit)
{
	if (pit == NULL)
		return;
	vm_range_remove(pit->pit_range);
	vm_range_remove(pit->spk_range);
	(void)vm_range_sync(pit->vm);
	vm_timer_close(pit->timer);
	vm_irq_close(pit->irq);
	pthread_mutex_destroy(&pit->lock);
	free(pit);
}

struct vm_i8254 *
vm_amd64_i8254_open(struct vmctx *ctx)
{
	const struct vm_range_spec pit_spec = {
		.name = "8254", .space = VM_SPACE_IO, .base = PORT_PIT, .len = 4, .read = pit_read, .write = pit_write,
	}, spk_spec = {
		.name = "8254 speaker", .space = VM_SPACE_IO, .base = PORT_SPEAKER, .len = 1, .read = speaker_read,
		.write = speaker_write,
	};
	struct vm_range_spec spec;
	struct vm_i8254 *p;

	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "8254: no VM"));
	if (ctx->md->arch != VM_ARCH_AMD64) {
		return (vm_fail_null(EINVAL, "8254: vm '%s' is of architecture %s, not amd64", ctx->name,
		    ctx->md->name));
	}
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return (vm_fail_null(ENOMEM, "8254: no memory"));
	p->vm = ctx;
	pthread_mutex_init(&p->lock, NULL);
	p->timer = vm_timer_open(ctx, HZ, fire, p);
	if (p->timer == NULL)
		goto fail;
	p->irq = vm_irq_open_line(ctx, 0);
	if (p->irq == NULL)
		goto fail;
	vm_amd64_i8254_reset(p);
	spec = pit_spec;
	spec.arg = p;
	p->pit_range = vm_range_add(ctx, &spec);
	if (p->pit_range == NULL)
		goto fail;
	spec = spk_spec;
	spec.arg = p;
	p->spk_range = vm_range_add(ctx, &spec);
	if (p->spk_range == NULL)
		goto fail;
	return (p);
fail:
	vm_amd64_i8254_close(p);
	return (NULL);
}

/* State */

static int
counter_check(void *obj)
{
	const struct counter *c = obj;
	uint32_t full = c->bcd ? 10000 : 0x10000;

	if (c->mode > 5 || c->rw < RW_LSB || c->rw > RW_BOTH || c->latched > 2)
		return (vm_state_complain("8254: a mode is out of range"));
	if (c->count > full || c->next > full || ((c->counting || c->loaded) && c->next == 0) ||
	    (c->counting && c->count == 0))
		return (vm_state_complain("8254: a count is out of range"));
	return (0);
}

#define	U8(m)	VM_STATE_U8(struct counter, m)
#define	BIT(m)	VM_STATE_BOOL(struct counter, m)

static const struct vm_state_field counter_fields[] = {
	U8(mode), U8(rw), BIT(bcd), BIT(gate), BIT(loaded), BIT(counting), BIT(held), BIT(reload),
	BIT(write_msb), BIT(read_msb), U8(lsb), U8(latched), BIT(status_latched), U8(status),
	VM_STATE_U16(struct counter, latch), VM_STATE_U32(struct counter, count),
	VM_STATE_U32(struct counter, next), VM_STATE_U64(struct counter, start),
	VM_STATE_U64(struct counter, elapsed),
};

static const struct vm_state_table counter_table =
    VM_STATE_TABLE("i8254.counter", 1, 1, counter_fields, counter_check);

static const struct vm_state_field i8254_fields[] = {
	VM_STATE_STRUCTS(struct vm_i8254, c, &counter_table),
	VM_STATE_U8(struct vm_i8254, speaker),
	VM_STATE_BOOL(struct vm_i8254, out0),
	VM_STATE_BOOL(struct vm_i8254, armed),
	VM_STATE_U64(struct vm_i8254, edge),
	VM_STATE_U64(struct vm_i8254, last),
};

static int
i8254_check(void *obj)
{
	const struct vm_i8254 *p = obj;

	if ((p->speaker & ~SPK_WRITABLE) != 0 || !p->c[0].gate || !p->c[1].gate ||
	    p->c[2].gate != ((p->speaker & SPK_GATE) != 0))
		return (vm_state_complain("8254: gates and port 61h contradict each other"));
	return (0);
}

static const struct vm_state_table i8254_table = VM_STATE_TABLE("i8254", 1, 1, i8254_fields, i8254_check);

void
vm_amd64_i8254_set_mask(struct vm_i8254 *pit, bool masked)
{
	if (pit != NULL)
		(void)vm_irq_set_mask(pit->irq, masked);
}

const struct vm_state_table *
vm_amd64_i8254_state(void)
{
	return (&i8254_table);
}

void
vm_amd64_i8254_loaded(struct vm_i8254 *pit)
{
	if (pit == NULL)
		return;
	pthread_mutex_lock(&pit->lock);
	drive(pit, pit->out0);
	update(pit, vm_timer_count(pit->timer));
	pthread_mutex_unlock(&pit->lock);
}
