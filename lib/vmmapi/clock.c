/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.c - the VM's clock and the timers on it.
 *
 * The clock is nanoseconds since the VM first ran.  With the host's time a thread of the VM sleeps until the first deadline; with
 * virtual time (icount) the clock is retired instructions, and whoever counts them fires what is due, at the same
 * instruction in every run.  Deadlines are kept as counts and turned into clock time when they are armed.
 *
 * clock->lock is the last in the lock order and is never held while fire() runs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "internal.h"

#define	NSEC	UINT64_C(1000000000)
#define	MAXHZ	UINT64_C(10000000000)

typedef unsigned __int128 u128;

struct vm_timer {
	struct vmctx	*vm;
	struct vm_timer	*next;		/* armed ones, by due */
	uint64_t	 hz, offset;	/* count = clock * hz / NSEC + offset */
	uint64_t	 deadline;	/* count */
	uint64_t	 due;		/* clock time of the deadline */
	bool		 armed;
	bool		 closed;	/* by its own fire(), which frees it at its end */
	unsigned	 firing;
	pthread_t	 fire_thread;
	void		(*fire)(void *arg);
	void		*arg;
};

struct clock {
	enum vm_clock_source source;
	uint64_t	 seed;
	uint64_t	 insn_ns;

	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;		/* thread: the list or the clock changed */
	pthread_cond_t	 idle;		/* a fire() returned */
	pthread_t	 thread;
	bool		 have_thread, quit;
	bool		 running;
	uint64_t	 base;		/* clock at host time `start`, or at instruction 0 */
	uint64_t	 start;
	uint64_t	 insns;
	struct vm_timer	*armed;
	unsigned	 ntimers;
	unsigned	 nfiring;	/* fire() calls under way */
};

static _Thread_local struct vmctx *firing_vm;

uint64_t
muldiv64(uint64_t a, uint64_t b, uint64_t c)
{
	return ((uint64_t)((u128)a * b / c));
}

static uint64_t
host_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * NSEC + (uint64_t)ts.tv_nsec);
}

static uint64_t
now_locked(const struct clock *c)
{
	if (c->source == VM_CLOCK_ICOUNT)
		return (c->base + c->insns * c->insn_ns);
	return (c->running ? c->base + (host_ns() - c->start) : c->base);
}

uint64_t
vm_clock_now(struct vmctx *ctx)
{
	uint64_t now;

	if (ctx == NULL)
		return (0);
	pthread_mutex_lock(&ctx->clock->lock);
	now = now_locked(ctx->clock);
	pthread_mutex_unlock(&ctx->clock->lock);
	return (now);
}

static uint64_t
count_at(const struct vm_timer *t, uint64_t now)
{
	return ((uint64_t)((u128)now * t->hz / NSEC) + t->offset);
}

/* The first clock time at which the count has reached the deadline. */
static uint64_t
due_at(const struct vm_timer *t, uint64_t now)
{
	u128 raw = (u128)now * t->hz / NSEC, ns;
	uint64_t left = t->deadline - ((uint64_t)raw + t->offset);

	if ((int64_t)left <= 0)
		return (now);
	ns = ((raw + left) * NSEC + t->hz - 1) / t->hz;
	return (ns > UINT64_MAX ? UINT64_MAX : (uint64_t)ns);
}

static void
list_remove(struct clock *c, struct vm_timer *t)
{
	for (struct vm_timer **p = &c->armed; *p != NULL; p = &(*p)->next) {
		if (*p == t) {
			*p = t->next;
			break;
		}
	}
	t->armed = false;
}

static void
list_insert(struct clock *c, struct vm_timer *t)
{
	struct vm_timer **p = &c->armed;

	t->due = due_at(t, now_locked(c));
	while (*p != NULL && (*p)->due <= t->due)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
	t->armed = true;
}

/* The clock jumped: sort anew. */
static void
list_resort(struct clock *c)
{
	struct vm_timer *all = c->armed, *next;

	c->armed = NULL;
	for (struct vm_timer *t = all; t != NULL; t = next) {
		next = t->next;
		list_insert(c, t);
	}
}

/*
 * The first deadline moved: the thread, or the vCPU whose budget ended there, has to look again.  No lock is held: a vCPU's comes
 * before the clock's.
 */
static void
poke(struct vmctx *vm)
{
	struct clock *c = vm->clock;

	if (c->source == VM_CLOCK_HOST) {
		pthread_cond_signal(&c->cond);
		return;
	}
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL)
			vcpu_request(vm->vcpus[i], REQ_TURN);
	}
}

/* Call every timer that is due.  The lock is held on entry and on return, not in between. */
static void
fire_due(struct vmctx *vm)
{
	struct clock *c = vm->clock;
	struct vmctx *outer = firing_vm;
	struct vm_timer *t;

	while ((c->running || c->source == VM_CLOCK_ICOUNT) && (t = c->armed) != NULL && t->due <= now_locked(c)) {
		list_remove(c, t);
		t->firing++;
		c->nfiring++;
		t->fire_thread = pthread_self();
		pthread_mutex_unlock(&c->lock);
		firing_vm = vm;
		t->fire(t->arg);
		firing_vm = outer;
		pthread_mutex_lock(&c->lock);
		c->nfiring--;
		if (--t->firing == 0 && t->closed)
			free(t);
		pthread_cond_broadcast(&c->idle);
	}
}

static void *
clock_thread(void *arg)
{
	struct vmctx *vm = arg;
	struct clock *c = vm->clock;

	pthread_mutex_lock(&c->lock);
	while (!c->quit) {
		uint64_t now = now_locked(c);

		if (!c->running || c->armed == NULL)
			pthread_cond_wait(&c->cond, &c->lock);
		else if (c->armed->due <= now)
			fire_due(vm);
		else {
			uint64_t at = host_ns() + (c->armed->due - now);
			struct timespec ts;

			if (c->armed->due - now > NSEC * 3600)
				at = host_ns() + NSEC * 3600;	/* and look again */
			ts.tv_sec = (time_t)(at / NSEC);
			ts.tv_nsec = (long)(at % NSEC);
			(void)pthread_cond_timedwait(&c->cond, &c->lock, &ts);
		}
	}
	pthread_mutex_unlock(&c->lock);
	return (NULL);
}

/* The lock is held. */
static int
thread_start(struct vmctx *vm)
{
	struct clock *c = vm->clock;
	int error;

	if (c->have_thread || c->source != VM_CLOCK_HOST)
		return (0);
	error = vm_thread(&c->thread, clock_thread, vm);
	if (error != 0)
		return (vm_fail_sys(error, "vm '%s': no thread for timers", vm->name));
	c->have_thread = true;
	return (0);
}

void
clock_configure(struct vmctx *vm, const struct vm_spec *spec)
{
	vm->clock->source = spec->clock;
	vm->clock->seed = spec->seed;
	if (spec->insn_ns != 0)
		vm->clock->insn_ns = spec->insn_ns;
}

int
clock_init(struct vmctx *vm)
{
	struct clock *c = calloc(1, sizeof(*c));
	pthread_condattr_t attr;

	if (c == NULL)
		return (vm_fail_sys(ENOMEM, "vm: clock"));
	c->source = VM_CLOCK_HOST;
	c->insn_ns = 1;
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&c->cond, &attr);
	pthread_cond_init(&c->idle, NULL);
	pthread_condattr_destroy(&attr);
	vm->clock = c;
	return (0);
}

void
clock_fini(struct vmctx *vm)
{
	struct clock *c = vm->clock;

	if (c == NULL)
		return;
	pthread_mutex_lock(&c->lock);
	c->quit = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
	if (c->have_thread)
		(void)pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->idle);
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
	free(c);
	vm->clock = NULL;
}

void
clock_run(struct vmctx *vm, bool run)
{
	struct clock *c = vm->clock;
	uint64_t now;

	pthread_mutex_lock(&c->lock);
	now = now_locked(c);
	if (c->source == VM_CLOCK_HOST && c->running != run) {
		c->base = now;
		c->start = host_ns();
		c->running = run;
		pthread_cond_signal(&c->cond);
	}
	/* Paused means that no timer fires any more: wait for one that does. */
	while (!run && c->nfiring > 0)
		pthread_cond_wait(&c->idle, &c->lock);
	pthread_mutex_unlock(&c->lock);
	if (vm->accel != NULL && vm->accel->clock_run != NULL)
		(void)vm->accel->clock_run(vm, run, now);
}

int
vm_clock_set(struct vmctx *ctx, uint64_t ns)
{
	struct clock *c;

	if (ctx == NULL)
		return (vm_fail(EINVAL, "clock: the VM handle is NULL"));
	c = ctx->clock;
	pthread_mutex_lock(&c->lock);
	if (c->source == VM_CLOCK_ICOUNT)
		c->base = ns - c->insns * c->insn_ns;
	else {
		c->base = ns;
		c->start = host_ns();
	}
	list_resort(c);
	pthread_mutex_unlock(&c->lock);
	poke(ctx);
	return (0);
}

bool
clock_in_callback(struct vmctx *vm)
{
	return (firing_vm == vm);
}

unsigned
clock_timers(struct vmctx *vm)
{
	unsigned n;

	pthread_mutex_lock(&vm->clock->lock);
	n = vm->clock->ntimers;
	pthread_mutex_unlock(&vm->clock->lock);
	return (n);
}

uint64_t
vm_get_counter_freq(struct vmctx *ctx)
{
	return (ctx == NULL ? 0 : ctx->counter_hz);
}

int
vm_set_counter_freq(struct vmctx *ctx, uint64_t hz)
{
	int error = 0;

	if (ctx == NULL || hz < 1000000 || hz > MAXHZ)
		return (vm_fail(EINVAL, "counter frequency: a NULL handle, or not between 1 MHz and 10 GHz"));
	pthread_mutex_lock(&ctx->lock);
	if (ctx->accel != NULL)
		error = vm_fail(EBUSY, "vm '%s': the counter's frequency is fixed once the VM has started", ctx->name);
	else {
		ctx->counter_hz = hz;
		ctx->counter_set = true;
		rundir_put_memory(ctx);
	}
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

/* Timers. */

struct vm_timer *
vm_timer_open(struct vmctx *ctx, uint64_t hz, void (*fire)(void *arg), void *arg)
{
	struct vm_timer *t;
	int error;

	if (ctx == NULL || fire == NULL || hz == 0 || hz > MAXHZ)
		return (vm_fail_null(EINVAL, "timer: a NULL argument, or a frequency of %ju Hz (1 to 10^10)", (uintmax_t)hz));
	t = calloc(1, sizeof(*t));
	if (t == NULL)
		return (vm_fail_null(ENOMEM, "vm '%s': timer: no memory", ctx->name));
	t->vm = ctx;
	t->hz = hz;
	t->fire = fire;
	t->arg = arg;
	pthread_mutex_lock(&ctx->clock->lock);
	error = thread_start(ctx);
	if (error == 0)
		ctx->clock->ntimers++;
	pthread_mutex_unlock(&ctx->clock->lock);
	if (error != 0) {
		free(t);
		return (NULL);
	}
	return (t);
}

void
vm_timer_close(struct vm_timer *timer)
{
	struct clock *c;

	if (timer == NULL)
		return;
	c = timer->vm->clock;
	pthread_mutex_lock(&c->lock);
	list_remove(c, timer);
	while (timer->firing > 0 && !pthread_equal(timer->fire_thread, pthread_self()))
		pthread_cond_wait(&c->idle, &c->lock);
	list_remove(c, timer);		/* its last fire may have armed it */
	c->ntimers--;
	timer->closed = true;
	if (timer->firing == 0)
		free(timer);
	pthread_mutex_unlock(&c->lock);
}

uint64_t
vm_timer_count(struct vm_timer *timer)
{
	uint64_t count;

	if (timer == NULL)
		return (0);
	pthread_mutex_lock(&timer->vm->clock->lock);
	count = count_at(timer, now_locked(timer->vm->clock));
	pthread_mutex_unlock(&timer->vm->clock->lock);
	return (count);
}

int
vm_timer_set_count(struct vm_timer *timer, uint64_t value)
{
	struct vmctx *vm;
	struct clock *c;
	bool moved;

	if (timer == NULL)
		return (vm_fail(EINVAL, "timer: the handle is NULL"));
	vm = timer->vm;
	c = vm->clock;
	pthread_mutex_lock(&c->lock);
	timer->offset += value - count_at(timer, now_locked(c));
	moved = timer->armed;
	if (moved) {
		list_remove(c, timer);
		list_insert(c, timer);
	}
	pthread_mutex_unlock(&c->lock);
	if (moved)
		poke(vm);			/* the timer may have fired and closed itself by now */
	return (0);
}

int
vm_timer_arm(struct vm_timer *timer, uint64_t deadline)
{
	struct vmctx *vm;
	struct clock *c;
	bool first;

	if (timer == NULL)
		return (vm_fail(EINVAL, "timer: the handle is NULL"));
	vm = timer->vm;
	c = vm->clock;
	pthread_mutex_lock(&c->lock);
	if (timer->armed)
		list_remove(c, timer);
	timer->deadline = deadline;
	list_insert(c, timer);
	first = c->armed == timer;
	pthread_mutex_unlock(&c->lock);
	if (first)
		poke(vm);			/* the timer may have fired and closed itself by now */
	return (0);
}

int
vm_timer_disarm(struct vm_timer *timer)
{
	if (timer == NULL)
		return (vm_fail(EINVAL, "timer: the handle is NULL"));
	pthread_mutex_lock(&timer->vm->clock->lock);
	if (timer->armed)
		list_remove(timer->vm->clock, timer);
	pthread_mutex_unlock(&timer->vm->clock->lock);
	return (0);
}

bool
vm_timer_armed(struct vm_timer *timer, uint64_t *deadline)
{
	bool armed;

	if (timer == NULL)
		return (false);
	pthread_mutex_lock(&timer->vm->clock->lock);
	armed = timer->armed;
	if (deadline != NULL)
		*deadline = timer->deadline;
	pthread_mutex_unlock(&timer->vm->clock->lock);
	return (armed);
}

/* Virtual time. */

bool
clock_is_icount(struct vmctx *vm)
{
	return (vm->clock->source == VM_CLOCK_ICOUNT);
}

uint64_t
clock_seed(struct vmctx *vm)
{
	return (vm->clock->seed);
}

uint64_t
clock_icount(struct vmctx *vm)
{
	uint64_t n;

	pthread_mutex_lock(&vm->clock->lock);
	n = vm->clock->insns;
	pthread_mutex_unlock(&vm->clock->lock);
	return (n);
}

uint64_t
clock_icount_budget(struct vmctx *vm)
{
	struct clock *c = vm->clock;
	uint64_t n = UINT64_MAX, now;

	pthread_mutex_lock(&c->lock);
	if (c->armed != NULL) {
		now = now_locked(c);
		n = c->armed->due <= now ? 1 : (c->armed->due - now + c->insn_ns - 1) / c->insn_ns;
	}
	pthread_mutex_unlock(&c->lock);
	return (n);
}

void
clock_icount_advance(struct vmctx *vm, uint64_t insns)
{
	struct clock *c = vm->clock;

	pthread_mutex_lock(&c->lock);
	c->insns += insns;
	fire_due(vm);
	pthread_mutex_unlock(&c->lock);
}

bool
clock_icount_warp(struct vmctx *vm)
{
	struct clock *c = vm->clock;
	uint64_t now;
	bool any;

	pthread_mutex_lock(&c->lock);
	any = c->armed != NULL;
	if (any) {
		now = now_locked(c);
		if (c->armed->due > now)
			c->base += c->armed->due - now;
		fire_due(vm);
	}
	pthread_mutex_unlock(&c->lock);
	return (any);
}
