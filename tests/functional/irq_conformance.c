/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * irq_conformance.c - the promises of interrupt handles (vmmapi.h, "Interrupts"), as cases for every controller.
 *
 * The case's thread is the guest's side: it takes and ends interrupts.  Producers are other threads.
 */
#include <sys/eventfd.h>

#include <poll.h>
#include <time.h>

#include "irq_conformance.h"

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

static int
take(struct conf_target *t)
{
	return (t->kind->take(t));
}

static void
eoi(struct conf_target *t, int id)
{
	t->kind->eoi(t, id);
}

/* The interrupt comes, perhaps by way of another thread. */
static void
take_this(struct conf_target *t, int id)
{
	uint64_t end = now_ms() + 60000;
	int got;

	while ((got = take(t)) < 0) {
		CHECKF(now_ms() < end, "interrupt %d did not come in a minute", id);
		h_nap();
	}
	CHECK_EQ(got, id);
}

/* Any one comes. */
static int
take_any(struct conf_target *t)
{
	uint64_t end = now_ms() + 60000;
	int got;

	while ((got = take(t)) < 0) {
		CHECKF(now_ms() < end, "no interrupt came in a minute");
		h_nap();
	}
	return (got);
}

/* None comes, though other threads have a moment for it. */
static void
take_none(struct conf_target *t)
{
	int got;

	for (int i = 0; i < 5; i++) {
		got = take(t);
		CHECKF(got < 0, "interrupt %d came", got);
		h_nap();
	}
}

/* Controllers that latch a level when it is raised may show it once after it is gone; never twice. */
static void
take_leftover(struct conf_target *t, int id)
{
	int got = take(t);

	if (got >= 0) {
		CHECK_EQ(got, id);
		eoi(t, id);
	}
	take_none(t);
}

static struct vm_irq *
open_line(struct conf_target *t, unsigned i)
{
	struct vm_irq *irq;

	PTR(irq = vm_irq_open_line(t->ctx, t->line[i]));
	return (irq);
}

static struct vm_irq *
open_msi(struct conf_target *t, unsigned n)
{
	struct vm_irq *irq;
	uint64_t addr;
	uint32_t data;

	t->kind->message(t, n, &addr, &data);
	PTR(irq = vm_irq_open_msi(t->ctx, 8 * (n + 1)));
	OK(vm_irq_set_msi(irq, addr, data));
	return (irq);
}

static struct vm_irq_info
info(struct vm_irq *irq)
{
	struct vm_irq_info i;

	OK(vm_irq_get_info(irq, &i));
	return (i);
}

/* SECTION: one source */

static void
c_edge(struct conf_target *t)
{
	struct vm_irq *irq = open_line(t, 0);

	t->kind->program(t, 0, false, true);
	take_none(t);
	for (int i = 0; i < 3; i++) {
		OK(vm_irq_pulse(irq));
		take_this(t, 0);
		eoi(t, 0);
		take_none(t);
	}
	/* Held high it is one edge; the next one needs a low in between. */
	OK(vm_irq_assert(irq));
	take_this(t, 0);
	eoi(t, 0);
	take_none(t);
	CHECK(info(irq).level);
	OK(vm_irq_assert(irq));
	take_none(t);
	OK(vm_irq_deassert(irq));
	take_none(t);
	CHECK(!info(irq).level);
	OK(vm_irq_assert(irq));
	OK(vm_irq_deassert(irq));
	take_this(t, 0);
	/* An edge while it is in service is the next interrupt. */
	OK(vm_irq_pulse(irq));
	eoi(t, 0);
	take_this(t, 0);
	eoi(t, 0);
	take_none(t);
	vm_irq_close(irq);
}

static void
c_level(struct conf_target *t)
{
	struct vm_irq *irq = open_line(t, 0);

	t->kind->program(t, 0, true, true);
	take_none(t);
	OK(vm_irq_assert(irq));
	OK(vm_irq_assert(irq));		/* a level, not a count */
	for (int i = 0; i < 3; i++) {
		take_this(t, 0);
		take_none(t);		/* in service: not again */
		eoi(t, 0);
	}
	OK(vm_irq_deassert(irq));
	take_leftover(t, 0);
	OK(vm_irq_assert(irq));
	take_this(t, 0);
	OK(vm_irq_deassert(irq));
	eoi(t, 0);
	take_none(t);
	/* Up and down before anyone looks. */
	OK(vm_irq_assert(irq));
	OK(vm_irq_deassert(irq));
	take_leftover(t, 0);
	/* Down and up again while in service. */
	OK(vm_irq_assert(irq));
	take_this(t, 0);
	OK(vm_irq_deassert(irq));
	OK(vm_irq_assert(irq));
	eoi(t, 0);
	take_this(t, 0);
	OK(vm_irq_deassert(irq));
	eoi(t, 0);
	take_none(t);
	/* A closed handle drives nothing. */
	OK(vm_irq_assert(irq));
	take_this(t, 0);
	vm_irq_close(irq);
	eoi(t, 0);
	take_none(t);
}

/* The controller's mask: a level waits behind it. */
static void
c_level_disabled(struct conf_target *t)
{
	struct vm_irq *irq = open_line(t, 0);

	t->kind->program(t, 0, true, false);
	OK(vm_irq_assert(irq));
	take_none(t);
	t->kind->program(t, 0, true, true);
	take_this(t, 0);
	eoi(t, 0);
	take_this(t, 0);
	OK(vm_irq_deassert(irq));
	eoi(t, 0);
	t->kind->program(t, 0, true, false);
	OK(vm_irq_assert(irq));
	OK(vm_irq_deassert(irq));
	t->kind->program(t, 0, true, true);
	take_none(t);
	vm_irq_close(irq);
}

/* The handle's mask. */
static void
c_source_masked(struct conf_target *t)
{
	struct vm_irq *irq = open_line(t, 0);

	t->kind->program(t, 0, true, true);
	OK(vm_irq_set_mask(irq, true));
	OK(vm_irq_assert(irq));
	CHECK(info(irq).level && info(irq).masked);
	take_none(t);
	OK(vm_irq_set_mask(irq, false));
	take_this(t, 0);
	OK(vm_irq_set_mask(irq, true));
	eoi(t, 0);
	take_none(t);
	CHECK(info(irq).level);
	OK(vm_irq_deassert(irq));
	OK(vm_irq_set_mask(irq, false));
	take_none(t);
	vm_irq_close(irq);
}

/* Two lines do not disturb each other. */
static void
c_two_lines(struct conf_target *t)
{
	struct vm_irq *a = open_line(t, 0), *b = open_line(t, 1);
	unsigned seen = 0;
	int id;

	t->kind->program(t, 0, true, true);
	t->kind->program(t, 1, false, true);
	OK(vm_irq_assert(a));
	OK(vm_irq_pulse(b));
	for (int i = 0; i < 2; i++) {
		id = take_any(t);
		CHECK((seen & 1U << id) == 0);
		seen |= 1U << id;
		if (id == 0)
			OK(vm_irq_deassert(a));
		eoi(t, id);
	}
	CHECK_EQ(seen, 3);
	take_none(t);
	vm_irq_close(a);
	vm_irq_close(b);
}

/* SECTION: sharing */

static void
c_shared(struct conf_target *t)
{
	struct vm_irq *a = open_line(t, 0), *b = open_line(t, 0), *c = open_line(t, 0);

	t->kind->program(t, 0, true, true);
	OK(vm_irq_assert(a));
	OK(vm_irq_assert(b));
	take_this(t, 0);
	OK(vm_irq_deassert(a));
	OK(vm_irq_deassert(c));		/* was not up: changes nothing */
	eoi(t, 0);
	take_this(t, 0);		/* b still holds it */
	OK(vm_irq_assert(c));
	OK(vm_irq_deassert(b));
	eoi(t, 0);
	take_this(t, 0);		/* now c does */
	OK(vm_irq_set_mask(c, true));
	eoi(t, 0);
	take_none(t);
	OK(vm_irq_set_mask(c, false));
	take_this(t, 0);
	vm_irq_close(c);
	eoi(t, 0);
	take_none(t);
	CHECK(!info(a).level && !info(b).level);
	vm_irq_close(a);
	vm_irq_close(b);
}

/* SECTION: end of interrupt */

struct eoi_count {
	_Atomic unsigned n;
	_Atomic int	 again;		/* assert so many times more */
	struct vm_irq	*irq;
};

static void
on_eoi(void *arg)
{
	struct eoi_count *c = arg;

	if (atomic_load(&c->again) > 0) {
		atomic_fetch_sub(&c->again, 1);
		OK(vm_irq_assert(c->irq));
	}
	atomic_fetch_add(&c->n, 1);
}

static void
eoi_reached(struct eoi_count *c, unsigned n)
{
	uint64_t end = now_ms() + 60000;

	while (atomic_load(&c->n) < n) {
		CHECKF(now_ms() < end, "%u ends of interrupt, %u expected", atomic_load(&c->n), n);
		h_nap();
	}
	for (int i = 0; i < 5; i++)
		h_nap();
	CHECK_EQ(atomic_load(&c->n), n);
}

#define	EOIS	60U

static void
c_eoi(struct conf_target *t)
{
	struct vm_irq *a = open_line(t, 0), *b = open_line(t, 0);
	struct eoi_count ca = { .irq = a }, cb = { .irq = b };

	t->kind->program(t, 0, true, true);
	OK(vm_irq_on_eoi(a, on_eoi, &ca));
	OK(vm_irq_on_eoi(b, on_eoi, &cb));
	OK(vm_irq_assert(a));
	take_this(t, 0);
	OK(vm_irq_deassert(a));
	CHECK_EQ(atomic_load(&ca.n), 0);
	eoi(t, 0);
	/* Every source of the line hears of it. */
	eoi_reached(&ca, 1);
	eoi_reached(&cb, 1);
	take_none(t);
	/* Asserted from the callback it is the next interrupt; each end is told, none twice. */
	atomic_store(&ca.again, EOIS - 1);
	OK(vm_irq_assert(a));
	for (unsigned i = 0; i < EOIS; i++) {
		take_this(t, 0);
		OK(vm_irq_deassert(a));
		eoi(t, 0);
		eoi_reached(&ca, 2 + i);
	}
	take_none(t);
	/* Taken back, it is not called any more. */
	OK(vm_irq_on_eoi(a, NULL, NULL));
	OK(vm_irq_assert(b));
	take_this(t, 0);
	OK(vm_irq_deassert(b));
	eoi(t, 0);
	eoi_reached(&cb, EOIS + 2);
	CHECK_EQ(atomic_load(&ca.n), EOIS + 1);
	vm_irq_close(a);
	vm_irq_close(b);
	take_none(t);
}

/* SECTION: eventfds */

static int
event(void)
{
	int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	CHECK(fd >= 0);
	return (fd);
}

static void
event_wait(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	uint64_t val;

	CHECKF(poll(&pfd, 1, 60000) == 1, "waited a minute for an eventfd");
	CHECK_EQ(eventfd_read(fd, &val), 0);
}

static void
c_trigger(struct conf_target *t)
{
	struct vm_irq *irq = open_line(t, 0);
	int fd = event();

	t->kind->program(t, 0, false, true);
	OK(vm_irq_bind(irq, fd, -1));
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(eventfd_write(fd, 1), 0);
		take_this(t, 0);
		eoi(t, 0);
		take_none(t);
	}
	OK(vm_irq_bind(irq, -1, -1));
	CHECK_EQ(eventfd_write(fd, 1), 0);
	take_none(t);
	/* The handle's own calls work as before. */
	OK(vm_irq_pulse(irq));
	take_this(t, 0);
	eoi(t, 0);
	CHECK_EQ(vm_irq_bind(irq, 9999, -1), -1);
	CHECK_EQ(errno, EBADF);
	vm_irq_close(irq);
	close(fd);
}

static void
c_resample(struct conf_target *t)
{
	struct vm_irq *irq = open_line(t, 0), *other = open_line(t, 0);
	int trigger = event(), resample = event();
	uint64_t val;

	t->kind->program(t, 0, true, true);
	OK(vm_irq_bind(irq, trigger, resample));
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(eventfd_write(trigger, 1), 0);
		take_this(t, 0);
		CHECK(eventfd_read(resample, &val) != 0);
		eoi(t, 0);
		event_wait(resample);	/* it was deasserted */
		if (i % 2 == 0)
			take_none(t);
		/* else at once again: the reason persists */
	}
	/* Another source of the line keeps it up on its own. */
	CHECK_EQ(eventfd_write(trigger, 1), 0);
	take_this(t, 0);
	OK(vm_irq_assert(other));
	eoi(t, 0);
	event_wait(resample);
	take_this(t, 0);
	OK(vm_irq_deassert(other));
	eoi(t, 0);
	take_none(t);
	OK(vm_irq_bind(irq, -1, -1));
	vm_irq_close(other);
	vm_irq_close(irq);
	close(trigger);
	close(resample);
}

/* SECTION: messages */

static void
c_msi(struct conf_target *t)
{
	struct vm_irq *m0 = open_msi(t, 0), *m1 = open_msi(t, 1);
	uint64_t addr;
	uint32_t data;
	unsigned seen = 0;
	int id;

	/* They start masked: raised, they are pending. */
	OK(vm_irq_assert(m0));
	CHECK(info(m0).pending && info(m0).masked && info(m0).is_msi);
	take_none(t);
	OK(vm_irq_set_mask(m0, false));
	CHECK(!info(m0).pending);
	take_this(t, CONF_MSG);
	eoi(t, CONF_MSG);
	take_none(t);
	for (int i = 0; i < 3; i++) {
		OK(i == 1 ? vm_irq_pulse(m0) : vm_irq_assert(m0));
		OK(vm_irq_deassert(m0));	/* nothing */
		take_this(t, CONF_MSG);
		eoi(t, CONF_MSG);
		take_none(t);
	}
	/* Address and data can be changed. */
	t->kind->message(t, 1, &addr, &data);
	OK(vm_irq_set_msi(m0, addr, data));
	CHECK_EQ(info(m0).addr, addr);
	CHECK_EQ(info(m0).data, data);
	OK(vm_irq_assert(m0));
	take_this(t, CONF_MSG + 1);
	eoi(t, CONF_MSG + 1);
	t->kind->message(t, 0, &addr, &data);
	OK(vm_irq_set_msi(m0, addr, data));
	/* The pending bit by hand. */
	OK(vm_irq_set_pending(m1, true));
	CHECK(info(m1).pending);
	OK(vm_irq_set_pending(m1, false));
	OK(vm_irq_set_mask(m1, false));
	take_none(t);
	OK(vm_irq_assert(m0));
	OK(vm_irq_assert(m1));
	for (int i = 0; i < 2; i++) {
		CHECK((id = take_any(t)) >= CONF_MSG);
		seen |= 1U << (id - CONF_MSG);
		eoi(t, id);
	}
	CHECK_EQ(seen, 3);
	take_none(t);
	CHECK_EQ(vm_irq_set_msi(m0, 0x1234500000, 1), 0);
	CHECK_EQ(vm_irq_assert(m0), -1);	/* nobody takes that */
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_irq_on_eoi(m0, on_eoi, NULL), -1);
	CHECK_EQ(errno, EINVAL);
	vm_irq_close(m0);
	vm_irq_close(m1);
}

/* Messages by eventfd; masked, they wait; routes may change while bound, several at once. */
static void
c_msi_trigger(struct conf_target *t)
{
	struct vm_irq *m0 = open_msi(t, 0), *m1 = open_msi(t, 1);
	int fd0 = event(), fd1 = event();
	uint64_t addr[2];
	uint32_t data[2];

	for (unsigned n = 0; n < 2; n++)
		t->kind->message(t, n, &addr[n], &data[n]);
	OK(vm_irq_bind(m0, fd0, -1));
	CHECK_EQ(eventfd_write(fd0, 1), 0);
	take_none(t);
	OK(vm_irq_set_mask(m0, false));
	take_this(t, CONF_MSG);
	eoi(t, CONF_MSG);
	OK(vm_irq_set_mask(m1, false));
	OK(vm_irq_bind(m1, fd1, -1));
	for (int i = 0; i < 6; i++) {
		CHECK_EQ(eventfd_write(fd0, 1), 0);
		take_this(t, CONF_MSG + i % 2);
		eoi(t, CONF_MSG + i % 2);
		CHECK_EQ(eventfd_write(fd1, 1), 0);
		take_this(t, CONF_MSG + 1 - i % 2);
		eoi(t, CONF_MSG + 1 - i % 2);
		take_none(t);
		/* Exchange them. */
		OK(vm_irq_hold(t->ctx));
		OK(vm_irq_set_msi(m0, addr[1 - i % 2], data[1 - i % 2]));
		OK(vm_irq_set_msi(m1, addr[i % 2], data[i % 2]));
		OK(vm_irq_release(t->ctx));
	}
	CHECK_EQ(vm_irq_release(t->ctx), -1);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(vm_irq_bind(m0, fd0, fd1), -1);	/* no level to sample again */
	CHECK_EQ(errno, EINVAL);
	vm_irq_close(m0);
	vm_irq_close(m1);
	close(fd0);
	close(fd1);
}

/* SECTION: storms */

#define	PRODUCERS	4
#define	ROUNDS		(300U * (unsigned)test_long(10))	/* of a storm */

struct storm {
	struct conf_target *t;
	struct producer {
		struct storm	*s;
		unsigned	 n;
		pthread_t	 thread;
		struct vm_irq	*irq;
		int		 fd, resample;
		_Atomic unsigned work;		/* raised for so many */
		unsigned	 seen;		/* of them when an interrupt came last */
		_Atomic bool	 waiting;	/* level: the reason is there */
	} p[PRODUCERS];
	_Atomic unsigned running;
};

static void
storm_start(struct storm *s, struct conf_target *t, void *(*fn)(void *arg))
{
	s->t = t;
	atomic_store(&s->running, PRODUCERS);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		s->p[i].s = s;
		s->p[i].n = i;
		CHECK_EQ(pthread_create(&s->p[i].thread, NULL, fn, &s->p[i]), 0);
	}
}

static void
storm_end(struct storm *s)
{
	for (unsigned i = 0; i < PRODUCERS; i++)
		CHECK_EQ(pthread_join(s->p[i].thread, NULL), 0);
	take_none(s->t);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		CHECK(!info(s->p[i].irq).level);
		vm_irq_close(s->p[i].irq);
	}
	take_none(s->t);
}

/* Take interrupts until every producer's last work was followed by one. */
static void
storm_edges(struct storm *s)
{
	uint64_t end = now_ms() + 120000 * (uint64_t)test_long(10);
	bool all = false;
	int id;

	while (!all) {
		/* What was announced before the interrupt was taken has been seen by its handler. */
		if ((id = take(s->t)) >= 0) {
			for (unsigned i = 0; i < PRODUCERS; i++) {
				if (id < CONF_MSG || id == CONF_MSG + (int)(i % CONF_NMSGS))
					s->p[i].seen = atomic_load(&s->p[i].work);
			}
			eoi(s->t, id);
		}
		all = atomic_load(&s->running) == 0;
		for (unsigned i = 0; i < PRODUCERS; i++)
			all &= s->p[i].seen == ROUNDS;
		CHECKF(all || now_ms() < end, "an edge was lost: seen %u %u %u %u of %u", s->p[0].seen, s->p[1].seen,
		    s->p[2].seen, s->p[3].seen, ROUNDS);
	}
	/* Each message or edge line can have one more, raised after what it was for had been seen. */
	for (int i = 0; i < CONF_NMSGS && (id = take(s->t)) >= 0; i++)
		eoi(s->t, id);
}

static void *
pulse_producer(void *arg)
{
	struct producer *p = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		atomic_fetch_add(&p->work, 1);
		OK(vm_irq_pulse(p->irq));
		if (i % 16 == p->n)
			h_nap();
	}
	atomic_fetch_sub(&p->s->running, 1);
	return (NULL);
}

static void
c_storm_edge(struct conf_target *t)
{
	struct storm s = { .t = t };

	t->kind->program(t, 0, false, true);
	for (unsigned i = 0; i < PRODUCERS; i++)
		s.p[i].irq = open_line(t, 0);
	storm_start(&s, t, pulse_producer);
	storm_edges(&s);
	storm_end(&s);
}

static void
c_storm_msi(struct conf_target *t)
{
	struct storm s = { .t = t };

	for (unsigned i = 0; i < PRODUCERS; i++) {
		s.p[i].irq = open_msi(t, i % CONF_NMSGS);
		OK(vm_irq_set_mask(s.p[i].irq, false));
	}
	storm_start(&s, t, pulse_producer);
	storm_edges(&s);
	storm_end(&s);
}

/* Raised while someone masks and unmasks: pending is not lost. */
static void *
mask_producer(void *arg)
{
	struct producer *p = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		OK(vm_irq_set_mask(p->irq, i % 3 != 0));
		atomic_fetch_add(&p->work, 1);
		OK(vm_irq_assert(p->irq));
	}
	OK(vm_irq_set_mask(p->irq, false));
	atomic_fetch_sub(&p->s->running, 1);
	return (NULL);
}

static void
c_storm_msi_mask(struct conf_target *t)
{
	struct storm s = { .t = t };

	for (unsigned i = 0; i < PRODUCERS; i++)
		s.p[i].irq = open_msi(t, i % CONF_NMSGS);
	storm_start(&s, t, mask_producer);
	storm_edges(&s);
	storm_end(&s);
}

static void *
trigger_producer(void *arg)
{
	struct producer *p = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		atomic_fetch_add(&p->work, 1);
		CHECK_EQ(eventfd_write(p->fd, 1), 0);
		if (i % 16 == p->n)
			h_nap();
	}
	atomic_fetch_sub(&p->s->running, 1);
	return (NULL);
}

static void
c_storm_trigger(struct conf_target *t)
{
	struct storm s = { .t = t };
	int id;

	t->kind->program(t, 0, false, true);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		s.p[i].irq = open_line(t, 0);
		s.p[i].fd = event();
		OK(vm_irq_bind(s.p[i].irq, s.p[i].fd, -1));
	}
	storm_start(&s, t, trigger_producer);
	storm_edges(&s);
	/* One trigger may still be on its way, for work that was seen: unbound, none is. */
	for (unsigned i = 0; i < PRODUCERS; i++)
		OK(vm_irq_bind(s.p[i].irq, -1, -1));
	if ((id = take(t)) >= 0)
		eoi(t, id);
	storm_end(&s);
	for (unsigned i = 0; i < PRODUCERS; i++)
		close(s.p[i].fd);
}

/* A device with a reason, until the guest's handler takes it away. */
static void *
level_producer(void *arg)
{
	struct producer *p = arg;
	uint64_t end = now_ms() + 120000 * (uint64_t)test_long(10);

	for (unsigned i = 0; i < ROUNDS; i++) {
		/* In this order: a handler that ran between the two the other way round would leave the level up. */
		OK(vm_irq_assert(p->irq));
		atomic_store(&p->waiting, true);
		while (atomic_load(&p->waiting)) {
			CHECKF(now_ms() < end, "producer %u: level %u got no interrupt", p->n, i);
			sched_yield();
		}
	}
	atomic_fetch_sub(&p->s->running, 1);
	return (NULL);
}

static void
storm_levels(struct storm *s)
{
	unsigned taken = 0;
	int id;

	while (atomic_load(&s->running) != 0) {
		if ((id = take(s->t)) < 0) {
			sched_yield();
			continue;
		}
		taken++;
		for (unsigned i = 0; i < PRODUCERS; i++) {
			if (!atomic_load(&s->p[i].waiting))
				continue;
			OK(vm_irq_deassert(s->p[i].irq));
			atomic_store(&s->p[i].waiting, false);
		}
		eoi(s->t, id);
	}
	CHECK(taken > 0);
	take_leftover(s->t, 0);
}

static void
c_storm_level(struct conf_target *t)
{
	struct storm s = { .t = t };

	t->kind->program(t, 0, true, true);
	for (unsigned i = 0; i < PRODUCERS; i++)
		s.p[i].irq = open_line(t, 0);
	storm_start(&s, t, level_producer);
	storm_levels(&s);
	storm_end(&s);
}

/* The same while each producer's source is masked and unmasked under it. */
static void *
mask_toggler(void *arg)
{
	struct storm *s = arg;

	for (unsigned i = 0; atomic_load(&s->running) != 0; i++) {
		OK(vm_irq_set_mask(s->p[i % PRODUCERS].irq, true));
		sched_yield();
		OK(vm_irq_set_mask(s->p[i % PRODUCERS].irq, false));
		h_nap();
	}
	return (NULL);
}

static void
c_storm_level_mask(struct conf_target *t)
{
	struct storm s = { .t = t };
	pthread_t thread;

	t->kind->program(t, 0, true, true);
	for (unsigned i = 0; i < PRODUCERS; i++)
		s.p[i].irq = open_line(t, 0);
	storm_start(&s, t, level_producer);
	CHECK_EQ(pthread_create(&thread, NULL, mask_toggler, &s), 0);
	storm_levels(&s);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	take_leftover(t, 0);
	storm_end(&s);
}

/* Level sources by eventfd: each triggers again when its resample says that it was lowered. */
static void *
resample_producer(void *arg)
{
	struct producer *p = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		CHECK_EQ(eventfd_write(p->fd, 1), 0);
		event_wait(p->resample);
	}
	atomic_fetch_sub(&p->s->running, 1);
	return (NULL);
}

static void
c_storm_resample(struct conf_target *t)
{
	struct storm s = { .t = t };
	int id;

	t->kind->program(t, 0, true, true);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		s.p[i].irq = open_line(t, 0);
		s.p[i].fd = event();
		s.p[i].resample = event();
		OK(vm_irq_bind(s.p[i].irq, s.p[i].fd, s.p[i].resample));
	}
	storm_start(&s, t, resample_producer);
	while (atomic_load(&s.running) != 0) {
		if ((id = take(t)) >= 0)
			eoi(t, id);
		else
			sched_yield();
	}
	/*
	 * The end of one source's interrupt resamples all, also one whose trigger is still on its way.  Its level comes when nobody waits
	 * for it any more: unbind, and lower it by hand.
	 */
	for (unsigned i = 0; i < PRODUCERS; i++) {
		OK(vm_irq_bind(s.p[i].irq, -1, -1));
		OK(vm_irq_deassert(s.p[i].irq));
	}
	while ((id = take(t)) >= 0)
		eoi(t, id);
	storm_end(&s);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		close(s.p[i].fd);
		close(s.p[i].resample);
	}
}

/* Handles come and go on a shared level line. */
static void *
churn_producer(void *arg)
{
	struct producer *p = arg;
	struct eoi_count c = { .n = 0 };
	struct vm_irq *irq;

	for (unsigned i = 0; i < ROUNDS; i++) {
		irq = open_line(p->s->t, 0);
		OK(vm_irq_on_eoi(irq, on_eoi, &c));
		OK(vm_irq_assert(irq));
		if (i % 2 == 0)
			sched_yield();
		vm_irq_close(irq);
	}
	atomic_fetch_sub(&p->s->running, 1);
	return (NULL);
}

static void
c_storm_open_close(struct conf_target *t)
{
	struct storm s = { .t = t };
	int id;

	t->kind->program(t, 0, true, true);
	for (unsigned i = 0; i < PRODUCERS; i++)
		s.p[i].irq = open_line(t, 0);
	storm_start(&s, t, churn_producer);
	while (atomic_load(&s.running) != 0) {
		if ((id = take(t)) >= 0)
			eoi(t, id);
	}
	take_leftover(t, 0);
	/* The line still works. */
	OK(vm_irq_assert(s.p[0].irq));
	take_this(t, 0);
	OK(vm_irq_deassert(s.p[0].irq));
	eoi(t, 0);
	storm_end(&s);
}

/* SECTION: the list */

static const struct conf_case {
	const char	*name;
	void		(*fn)(struct conf_target *t);
	bool		 msi;
	bool		 in_service;	/* is about interrupts in service */
} cases[] = {
	{ "edge", c_edge, false, false },
	{ "level", c_level, false, true },
	{ "level_disabled", c_level_disabled, false, true },
	{ "source_masked", c_source_masked, false, true },
	{ "two_lines", c_two_lines, false, true },
	{ "shared", c_shared, false, true },
	{ "eoi", c_eoi, false, true },
	{ "trigger", c_trigger, false, false },
	{ "resample", c_resample, false, true },
	{ "msi", c_msi, true, false },
	{ "msi_trigger", c_msi_trigger, true, false },
	{ "moves", conf_moves, false, true },
	{ "storm_edge", c_storm_edge, false, false },
	{ "storm_trigger", c_storm_trigger, false, false },
	{ "storm_level", c_storm_level, false, false },
	{ "storm_level_mask", c_storm_level_mask, false, false },
	{ "storm_resample", c_storm_resample, false, false },
	{ "storm_open_close", c_storm_open_close, false, true },
	{ "storm_msi", c_storm_msi, true, false },
	{ "storm_msi_mask", c_storm_msi_mask, true, false },
};

struct conf_run {
	const struct conf_kind *kind;
	const struct conf_case *c;
};

static void
run_case(const void *arg)
{
	const struct conf_run *r = arg;
	struct conf_target *t = r->kind->open(r->kind);
	const char *why;

	if (r->c->in_service && r->kind->no_in_service != NULL && (why = r->kind->no_in_service(r->kind)) != NULL)
		SKIP(why);
	t->kind = r->kind;
	r->c->fn(t);
	r->kind->close(t);
}

void
conf_register(const struct conf_kind *kind)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conf_run *r = malloc(sizeof(*r));
		char *name;

		if ((cases[i].msi && !kind->has_msi) || (cases[i].fn == conf_moves && kind->move == NULL)) {
			free(r);
			continue;
		}
		if (r == NULL || asprintf(&name, "%s/%s", cases[i].name, kind->name) < 0)
			_exit(1);
		r->kind = kind;
		r->c = &cases[i];
		test_add_arg(name, run_case, r);
	}
}

TEST_MAIN()
