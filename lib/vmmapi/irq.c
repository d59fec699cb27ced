/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * irq.c - interrupt handles: sources of lines and messages, over whatever controller the VM has.
 *
 * A line is the wired-OR of its sources.  Its lock is held while its output changes and the
 * controller is told, so the controller sees the changes of a line in order.  Before vm_start()
 * there is no controller: levels and pending messages are recorded, and irq_replay() brings them
 * in.
 *
 * Two locks.  vm->irq_lock serialises whatever changes how a source is connected (open, close,
 * bind, mask, message address, hold); it may wait for the event thread's call of a source.  The
 * line's lock, or irq->lock of a message, guards levels, pending bits and addresses; it is all that
 * raising an interrupt takes.  Order: irq_lock, then a line's or message's lock, then the
 * controller's.  End-of-interrupt callbacks run with none of them.
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* A handle, with what only this file needs of it. */
struct irq_source {
	struct vm_irq	 irq;		/* first: handles are pointers to it */
	uint64_t	 eoi_seen;	/* pass of vm_intc_eoi() that called it last */
	bool		 watching;	/* counts in its line's watchers */
	bool		 in_accel;	/* trigger is bound in the back end */
	bool		 closed;	/* closed by its own callback: freed after that */
};

struct irq_line {
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;		/* an end-of-interrupt callback returned */
	struct vm_irq	*sources;	/* changed with irq_lock and lock held */
	unsigned	 asserted;	/* sources that drive it */
	unsigned	 watchers;	/* sources that want to know of its EOIs */
	bool		 output;	/* level that the controller was told */
	bool		 watched;	/* accel->eoi_watch() is on */
	uint64_t	 eoi_pass;
};

/* All lines of a VM; vm->lines points at lines[]. */
struct irq_lines {
	_Atomic bool	 started;	/* there is a controller */
	unsigned	 n;
	struct irq_line	 lines[];
};

/* Callbacks that this thread is inside of, innermost first. */
struct eoi_call {
	struct vm_irq	*irq;
	struct eoi_call	*outer;
};

static _Thread_local struct eoi_call *eoi_calls;

static struct irq_lines *
lines_of(struct vmctx *vm)
{
	return ((struct irq_lines *)(void *)((char *)vm->lines - offsetof(struct irq_lines, lines)));
}

static struct irq_source *
source_of(struct vm_irq *irq)
{
	return ((struct irq_source *)irq);
}

bool
irq_started(struct vmctx *vm)
{
	return (atomic_load_explicit(&lines_of(vm)->started, memory_order_acquire));
}

/* SECTION: levels */

/* Tell the controller the line's level, if that is news.  line->lock is held. */
static void
line_update(struct vmctx *vm, unsigned n)
{
	struct irq_line *line = &vm->lines[n];
	bool level = line->asserted != 0;

	if (level == line->output || !irq_started(vm))
		return;
	line->output = level;
	if (vm->accel->irq_set != NULL)
		(void)vm->accel->irq_set(vm, n, level);
	else
		vm->intc_ops->set_line(vm, n, level);
}

/* Set the level and mask of a source of a line.  line->lock is held. */
static void
source_set(struct vm_irq *irq, bool level, bool masked)
{
	struct irq_line *line = &irq->vm->lines[irq->line];
	bool was = irq->level && !irq->masked, is = level && !masked;

	irq->level = level;
	irq->masked = masked;
	if (was == is)
		return;
	if (is)
		line->asserted++;
	else
		line->asserted--;
	line_update(irq->vm, irq->line);
}

int
irq_send_msi(struct vmctx *vm, uint32_t requester, uint64_t addr, uint32_t data)
{
	int error;

	if (!irq_started(vm))
		return (vm_fail(ENODEV, "vm '%s': a message before the VM started has no controller to go to",
		    vm->name));
	if (vm->accel->irq_set != NULL)
		error = vm->accel->msi_send == NULL ? -1 : vm->accel->msi_send(vm, requester, addr, data);
	else
		error = vm->intc_ops->msi(vm, requester, addr, data);
	if (error != 0)
		return (vm_fail(EINVAL,
		    "vm '%s': message 0x%jx = 0x%x of requester 0x%x is for no interrupt controller", vm->name,
		    (uintmax_t)addr, data, requester));
	return (0);
}

/*
 * Send a message, or make it pending.  irq->lock is held, so that once a mask was set nothing is
 * sent.
 */
static int
message_raise(struct vm_irq *irq)
{
	if (irq->masked || !irq_started(irq->vm)) {
		irq->pending = true;
		return (0);
	}
	return (irq_send_msi(irq->vm, irq->requester, irq->addr, irq->data));
}

/* SECTION: eventfds */

/* A watcher of the line's EOIs comes or goes.  line->lock is held. */
static int
line_watch(struct vmctx *vm, unsigned n)
{
	struct irq_line *line = &vm->lines[n];
	bool on = line->watchers != 0;

	if (on == line->watched || !irq_started(vm) || vm->accel->eoi_watch == NULL)
		return (0);
	if (vm->accel->eoi_watch(vm, n, on) != 0 && on)
		return (-1);
	line->watched = on;
	return (0);
}

/* Bring a source's part in its line's watchers up to date.  line->lock is held. */
static int
source_watch(struct vm_irq *irq)
{
	struct irq_source *src = source_of(irq);
	struct irq_line *line = &irq->vm->lines[irq->line];
	bool want = irq->eoi != NULL || (irq->polled && irq->resample >= 0);

	if (want == src->watching)
		return (0);
	src->watching = want;
	if (want)
		line->watchers++;
	else
		line->watchers--;
	if (line_watch(irq->vm, irq->line) != 0) {
		line->watchers--;		/* only switching it on fails */
		src->watching = false;
		return (-1);
	}
	return (0);
}

/* The event thread read the trigger; writes in between are one. */
static void
source_triggered(void *arg, uint64_t count)
{
	struct vm_irq *irq = arg;

	(void)count;
	if (irq->is_msi)
		(void)vm_irq_assert(irq);
	else if (irq->resample >= 0)
		(void)vm_irq_assert(irq);	/* level: until the guest ends it */
	else
		(void)vm_irq_pulse(irq);	/* nothing would ever lower it */
}

static void
source_detach(struct vm_irq *irq)
{
	struct irq_source *src = source_of(irq);
	struct vmctx *vm = irq->vm;

	if (src->in_accel)
		(void)vm->accel->irq_bind(irq, -1, -1);
	else if (irq->polled)
		fdwatch_del(vm, irq->trigger);
	if (!irq->is_msi) {
		pthread_mutex_lock(&vm->lines[irq->line].lock);
		src->in_accel = false;
		irq->polled = false;
		(void)source_watch(irq);
		pthread_mutex_unlock(&vm->lines[irq->line].lock);
	} else {
		src->in_accel = false;
		irq->polled = false;
	}
}

static int
source_poll(struct vm_irq *irq)
{
	struct vmctx *vm = irq->vm;
	int error = 0;

	if (fdwatch_add(vm, irq->trigger, source_triggered, irq) != 0)
		return (-1);
	if (irq->is_msi) {
		irq->polled = true;
		return (0);
	}
	pthread_mutex_lock(&vm->lines[irq->line].lock);
	irq->polled = true;
	error = source_watch(irq);
	pthread_mutex_unlock(&vm->lines[irq->line].lock);
	if (error != 0)
		source_detach(irq);
	return (error);
}

static int	routes_changed(struct vmctx *vm);

/* The back end took over a line source with resample: what it drove here goes over too. */
static void
source_handover(struct vm_irq *irq)
{
	struct irq_line *line = &irq->vm->lines[irq->line];

	pthread_mutex_lock(&line->lock);
	source_of(irq)->in_accel = true;
	if (irq->level) {
		(void)eventfd_write(irq->trigger, 1);
		source_set(irq, false, irq->masked);
	}
	pthread_mutex_unlock(&line->lock);
}

/*
 * Connect a source's trigger.  Masked sources and the time before vm_start() need the library in
 * between; otherwise the back end is asked first.  irq_lock is held.
 */
static int
source_attach(struct vm_irq *irq)
{
	struct vmctx *vm = irq->vm;

	if (irq->trigger < 0)
		return (0);
	if (!irq->masked && irq_started(vm) && vm->accel->irq_bind != NULL &&
	    vm->accel->irq_bind(irq, irq->trigger, irq->resample) == 0) {
		if (!irq->is_msi) {
			source_handover(irq);
			return (0);
		}
		source_of(irq)->in_accel = true;
		return (routes_changed(vm));
	}
	return (source_poll(irq));
}

/* The back end could not take the routes: let the library poll all messages.  irq_lock is held. */
static int
routes_drop(struct vmctx *vm)
{
	int error = 0;

	for (struct vm_irq *irq = vm->msis; irq != NULL; irq = irq->next) {
		if (source_of(irq)->in_accel) {
			source_detach(irq);
			if (source_poll(irq) != 0)
				error = -1;
		}
	}
	return (error);
}

/*
 * Messages of bound handles changed: tell the back end, now or at the release.  irq_lock is held.
 */
static int
routes_changed(struct vmctx *vm)
{
	vm->route_dirty = true;
	if (vm->irq_hold != 0)
		return (0);
	vm->route_dirty = false;
	if (vm->accel->route_commit == NULL || vm->accel->route_commit(vm) == 0)
		return (0);
	return (routes_drop(vm));
}

/* SECTION: handles */

static struct vm_irq *
source_new(struct vmctx *vm)
{
	struct irq_source *src = calloc(1, sizeof(*src));

	if (src == NULL)
		return (vm_fail_null(ENOMEM, "vm '%s': interrupt handle: out of memory", vm->name));
	src->irq.vm = vm;
	src->irq.trigger = src->irq.resample = -1;
	src->irq.gsi = -1;
	pthread_mutex_init(&src->irq.lock, NULL);
	return (&src->irq);
}

static void
source_free(struct vm_irq *irq)
{
	pthread_mutex_destroy(&irq->lock);
	free(source_of(irq));
}

struct vm_irq *
vm_irq_open_line(struct vmctx *ctx, unsigned line)
{
	struct vm_irq *irq;

	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "interrupt line: the VM handle is NULL"));
	if (line >= ctx->md->nlines)
		return (vm_fail_null(EINVAL, "vm '%s': there is no interrupt line %u, only 0 to %u", ctx->name, line,
		    ctx->md->nlines - 1));
	irq = source_new(ctx);
	if (irq == NULL)
		return (NULL);
	irq->line = line;
	pthread_mutex_lock(&ctx->irq_lock);
	pthread_mutex_lock(&ctx->lines[line].lock);
	irq->next = ctx->lines[line].sources;
	ctx->lines[line].sources = irq;
	pthread_mutex_unlock(&ctx->lines[line].lock);
	ctx->nirqs++;
	pthread_mutex_unlock(&ctx->irq_lock);
	return (irq);
}

struct vm_irq *
vm_irq_open_msi(struct vmctx *ctx, uint32_t requester)
{
	struct vm_irq *irq;

	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "interrupt message: the VM handle is NULL"));
	if (requester > 0xffff)
		return (vm_fail_null(EINVAL, "vm '%s': interrupt message: 0x%x is no requester id of 16 bits",
		    ctx->name, requester));
	irq = source_new(ctx);
	if (irq == NULL)
		return (NULL);
	irq->is_msi = true;
	irq->masked = true;
	irq->requester = requester;
	pthread_mutex_lock(&ctx->irq_lock);
	irq->next = ctx->msis;
	ctx->msis = irq;
	ctx->nirqs++;
	pthread_mutex_unlock(&ctx->irq_lock);
	return (irq);
}

static void
list_remove(struct vm_irq **head, struct vm_irq *irq)
{
	while (*head != NULL && *head != irq)
		head = &(*head)->next;
	if (*head == irq)
		*head = irq->next;
}

/* How many calls of its callback this thread is inside of. */
static unsigned
calls_of_mine(const struct vm_irq *irq)
{
	unsigned n = 0;

	for (const struct eoi_call *c = eoi_calls; c != NULL; c = c->outer)
		n += c->irq == irq;
	return (n);
}

/* Wait until no other thread runs the source's callback.  line->lock is held. */
static void
calls_wait(struct irq_line *line, struct vm_irq *irq)
{
	unsigned mine = calls_of_mine(irq);

	while (irq->calls > mine)
		pthread_cond_wait(&line->cond, &line->lock);
}

void
vm_irq_close(struct vm_irq *irq)
{
	struct irq_line *line;
	struct vmctx *vm;
	bool later;

	if (irq == NULL)
		return;
	vm = irq->vm;
	pthread_mutex_lock(&vm->irq_lock);
	source_detach(irq);
	if (irq->is_msi) {
		list_remove(&vm->msis, irq);
		vm->nirqs--;
		pthread_mutex_unlock(&vm->irq_lock);
		source_free(irq);
		return;
	}
	line = &vm->lines[irq->line];
	pthread_mutex_lock(&line->lock);
	source_set(irq, false, irq->masked);
	irq->eoi = NULL;
	(void)source_watch(irq);
	list_remove(&line->sources, irq);
	vm->nirqs--;
	/* Callbacks may take irq_lock: wait without it. */
	pthread_mutex_unlock(&vm->irq_lock);
	calls_wait(line, irq);
	later = irq->calls != 0;
	source_of(irq)->closed = later;
	pthread_mutex_unlock(&line->lock);
	if (!later)
		source_free(irq);
}

/* SECTION: raising */

/*
 * Lower a source that the back end drives: there is no call for it but to unbind, which drops its
 * level.  No lock is held.
 */
static void
source_rebind(struct vm_irq *irq)
{
	pthread_mutex_lock(&irq->vm->irq_lock);
	if (source_of(irq)->in_accel) {
		source_detach(irq);
		(void)source_attach(irq);
	}
	pthread_mutex_unlock(&irq->vm->irq_lock);
}

int
vm_irq_assert(struct vm_irq *irq)
{
	struct irq_line *line;
	int error;

	if (irq == NULL)
		return (vm_fail(EINVAL, "interrupt assert: the handle is NULL"));
	if (irq->is_msi) {
		pthread_mutex_lock(&irq->lock);
		error = message_raise(irq);
		pthread_mutex_unlock(&irq->lock);
		return (error);
	}
	line = &irq->vm->lines[irq->line];
	pthread_mutex_lock(&line->lock);
	if (source_of(irq)->in_accel)
		(void)eventfd_write(irq->trigger, 1);
	else
		source_set(irq, true, irq->masked);
	pthread_mutex_unlock(&line->lock);
	return (0);
}

int
vm_irq_deassert(struct vm_irq *irq)
{
	struct irq_line *line;
	bool in_accel;

	if (irq == NULL)
		return (vm_fail(EINVAL, "interrupt deassert: the handle is NULL"));
	if (irq->is_msi)
		return (0);
	line = &irq->vm->lines[irq->line];
	pthread_mutex_lock(&line->lock);
	in_accel = source_of(irq)->in_accel;
	source_set(irq, false, irq->masked);
	pthread_mutex_unlock(&line->lock);
	if (in_accel)
		source_rebind(irq);
	return (0);
}

int
vm_irq_pulse(struct vm_irq *irq)
{
	struct irq_line *line;

	if (irq == NULL)
		return (vm_fail(EINVAL, "interrupt pulse: the handle is NULL"));
	if (irq->is_msi)
		return (vm_irq_assert(irq));
	line = &irq->vm->lines[irq->line];
	pthread_mutex_lock(&line->lock);
	/* Where another source holds the line high there is no edge to be seen. */
	source_set(irq, true, irq->masked);
	source_set(irq, false, irq->masked);
	pthread_mutex_unlock(&line->lock);
	return (0);
}

/* SECTION: messages, masks, state */

int
vm_irq_set_msi(struct vm_irq *irq, uint64_t addr, uint32_t data)
{
	bool changed;
	int error = 0;

	if (irq == NULL)
		return (vm_fail(EINVAL, "interrupt message: the handle is NULL"));
	if (!irq->is_msi)
		return (vm_fail(EINVAL, "interrupt line %u: a line has no message", irq->line));
	pthread_mutex_lock(&irq->vm->irq_lock);
	pthread_mutex_lock(&irq->lock);
	changed = irq->addr != addr || irq->data != data;
	irq->addr = addr;
	irq->data = data;
	pthread_mutex_unlock(&irq->lock);
	if (changed && source_of(irq)->in_accel)
		error = routes_changed(irq->vm);
	else if (changed && irq->polled && !irq->masked) {
		/* Perhaps now it has an address that the back end takes. */
		source_detach(irq);
		error = source_attach(irq);
	}
	pthread_mutex_unlock(&irq->vm->irq_lock);
	return (error);
}

static int
message_set_mask(struct vm_irq *irq, bool masked)
{
	int error = 0;

	pthread_mutex_lock(&irq->lock);
	irq->masked = masked;
	if (!masked && irq->pending && irq_started(irq->vm)) {
		error = message_raise(irq);
		irq->pending = error != 0;
	}
	pthread_mutex_unlock(&irq->lock);
	return (error);
}

static void
line_set_mask(struct vm_irq *irq, bool masked)
{
	struct irq_line *line = &irq->vm->lines[irq->line];

	pthread_mutex_lock(&line->lock);
	source_set(irq, irq->level, masked);
	pthread_mutex_unlock(&line->lock);
}

int
vm_irq_set_mask(struct vm_irq *irq, bool masked)
{
	bool in_accel, rebind;
	int error = 0;

	if (irq == NULL)
		return (vm_fail(EINVAL, "interrupt mask: the handle is NULL"));
	pthread_mutex_lock(&irq->vm->irq_lock);
	in_accel = source_of(irq)->in_accel;
	/* While masked the library must see the trigger; unmasked the back end may have it. */
	rebind = irq->trigger >= 0 && irq->masked != masked &&
	    (in_accel || (irq_started(irq->vm) && irq->vm->accel->irq_bind != NULL));
	if (rebind)
		source_detach(irq);
	if (irq->is_msi)
		error = message_set_mask(irq, masked);
	else
		line_set_mask(irq, masked);
	if (rebind && source_attach(irq) != 0)
		error = -1;
	/*
	 * The back end took a level with it that it could not tell: have the owner look whether its
	 * reason persists.
	 */
	if (rebind && in_accel && irq->resample >= 0)
		(void)eventfd_write(irq->resample, 1);
	pthread_mutex_unlock(&irq->vm->irq_lock);
	return (error);
}

int
vm_irq_set_pending(struct vm_irq *irq, bool pending)
{
	int error = 0;

	if (irq == NULL)
		return (vm_fail(EINVAL, "interrupt message: the handle is NULL"));
	if (!irq->is_msi)
		return (vm_fail(EINVAL, "interrupt line %u: a line has no pending bit", irq->line));
	pthread_mutex_lock(&irq->lock);
	irq->pending = false;
	if (pending)
		error = message_raise(irq);	/* unmasked: it does not stay pending */
	pthread_mutex_unlock(&irq->lock);
	return (error);
}

int
vm_irq_get_info(struct vm_irq *irq, struct vm_irq_info *info)
{
	pthread_mutex_t *lock;

	if (irq == NULL || info == NULL)
		return (vm_fail(EINVAL, "interrupt info: the %s is NULL", irq == NULL ? "handle" : "record"));
	lock = irq->is_msi ? &irq->lock : &irq->vm->lines[irq->line].lock;
	memset(info, 0, sizeof(*info));
	pthread_mutex_lock(lock);
	info->is_msi = irq->is_msi;
	info->masked = irq->masked;
	info->level = irq->level;
	info->pending = irq->pending;
	info->line = irq->line;
	info->requester = irq->requester;
	info->data = irq->data;
	info->addr = irq->addr;
	pthread_mutex_unlock(lock);
	return (0);
}

/* SECTION: binding and end of interrupt */

int
vm_irq_bind(struct vm_irq *irq, int trigger, int resample)
{
	pthread_mutex_t *lock;
	int error;

	if (irq == NULL)
		return (vm_fail(EINVAL, "interrupt bind: the handle is NULL"));
	if (trigger < -1 || (trigger >= 0 && fcntl(trigger, F_GETFD) < 0))
		return (vm_fail(EBADF, "interrupt bind: trigger %d is no open descriptor", trigger));
	if (resample < -1 || (resample >= 0 && fcntl(resample, F_GETFD) < 0))
		return (vm_fail(EBADF, "interrupt bind: resample %d is no open descriptor", resample));
	if (resample >= 0 && irq->is_msi)
		return (vm_fail(EINVAL, "interrupt bind: a message has no level to resample"));
	if (resample >= 0 && trigger < 0)
		return (vm_fail(EINVAL, "interrupt bind: resample %d without a trigger", resample));
	lock = irq->is_msi ? &irq->lock : &irq->vm->lines[irq->line].lock;
	pthread_mutex_lock(&irq->vm->irq_lock);
	source_detach(irq);
	pthread_mutex_lock(lock);
	irq->trigger = trigger;
	irq->resample = resample;
	pthread_mutex_unlock(lock);
	error = source_attach(irq);
	if (error != 0) {
		source_detach(irq);
		pthread_mutex_lock(lock);
		irq->trigger = irq->resample = -1;
		pthread_mutex_unlock(lock);
	}
	pthread_mutex_unlock(&irq->vm->irq_lock);
	return (error);
}

int
vm_irq_on_eoi(struct vm_irq *irq, void (*fn)(void *arg), void *arg)
{
	struct irq_line *line;
	int error;

	if (irq == NULL)
		return (vm_fail(EINVAL, "end of interrupt: the handle is NULL"));
	if (irq->is_msi)
		return (vm_fail(EINVAL, "end of interrupt: a message is an edge, and nothing tells of its end"));
	line = &irq->vm->lines[irq->line];
	pthread_mutex_lock(&line->lock);
	irq->eoi = fn;
	irq->eoi_arg = arg;
	error = source_watch(irq);
	if (error != 0)
		irq->eoi = NULL;
	if (fn == NULL)
		calls_wait(line, irq);
	pthread_mutex_unlock(&line->lock);
	return (error);
}

/*
 * Lower the polled sources that the guest's EOI releases, and tell their owners.  line->lock is
 * held.
 */
static void
line_resample(struct irq_line *line)
{
	for (struct vm_irq *irq = line->sources; irq != NULL; irq = irq->next) {
		if (irq->resample < 0 || !irq->polled)
			continue;
		source_set(irq, false, irq->masked);
		(void)eventfd_write(irq->resample, 1);
	}
}

/*
 * The next source to call in this pass.  Passes run side by side: a later one calls for an earlier
 * one too.
 */
static struct vm_irq *
line_next_call(struct irq_line *line, uint64_t pass)
{
	for (struct vm_irq *irq = line->sources; irq != NULL; irq = irq->next) {
		if (irq->eoi != NULL && source_of(irq)->eoi_seen < pass)
			return (irq);
	}
	return (NULL);
}

void
vm_intc_eoi(struct vmctx *vm, unsigned n)
{
	struct eoi_call call = { .outer = eoi_calls };
	struct irq_line *line;
	void (*fn)(void *);
	uint64_t pass;
	void *arg;

	if (n >= vm->md->nlines)
		return;
	line = &vm->lines[n];
	pthread_mutex_lock(&line->lock);
	line_resample(line);
	pass = ++line->eoi_pass;
	while ((call.irq = line_next_call(line, pass)) != NULL) {
		struct vm_irq *irq = call.irq;

		source_of(irq)->eoi_seen = pass;
		fn = irq->eoi;
		arg = irq->eoi_arg;
		irq->calls++;
		pthread_mutex_unlock(&line->lock);
		eoi_calls = &call;
		fn(arg);
		eoi_calls = call.outer;
		pthread_mutex_lock(&line->lock);
		irq->calls--;
		if (source_of(irq)->closed && irq->calls == 0)
			source_free(irq);
		else
			pthread_cond_broadcast(&line->cond);
	}
	pthread_mutex_unlock(&line->lock);
}

/* SECTION: holding routes back */

int
vm_irq_hold(struct vmctx *ctx)
{
	if (ctx == NULL)
		return (vm_fail(EINVAL, "interrupt hold: the VM handle is NULL"));
	pthread_mutex_lock(&ctx->irq_lock);
	ctx->irq_hold++;
	pthread_mutex_unlock(&ctx->irq_lock);
	return (0);
}

int
vm_irq_release(struct vmctx *ctx)
{
	int error = 0;

	if (ctx == NULL)
		return (vm_fail(EINVAL, "interrupt release: the VM handle is NULL"));
	pthread_mutex_lock(&ctx->irq_lock);
	if (ctx->irq_hold == 0)
		error = vm_fail(EINVAL, "vm '%s': interrupt routes are not held", ctx->name);
	else if (--ctx->irq_hold == 0 && ctx->route_dirty)
		error = routes_changed(ctx);
	pthread_mutex_unlock(&ctx->irq_lock);
	return (error);
}

/* SECTION: life */

static void
replay_line(struct vmctx *vm, unsigned n)
{
	struct irq_line *line = &vm->lines[n];

	pthread_mutex_lock(&line->lock);
	line_update(vm, n);
	(void)line_watch(vm, n);
	pthread_mutex_unlock(&line->lock);
	for (struct vm_irq *irq = line->sources; irq != NULL; irq = irq->next) {
		if (irq->trigger >= 0 && vm->accel->irq_bind != NULL) {
			source_detach(irq);
			(void)source_attach(irq);
		}
	}
}

/* vm_start(): the controller exists now, in power-on state. */
void
irq_replay(struct vmctx *vm)
{
	pthread_mutex_lock(&vm->irq_lock);
	atomic_store_explicit(&lines_of(vm)->started, true, memory_order_release);
	for (unsigned n = 0; n < vm->md->nlines; n++)
		replay_line(vm, n);
	vm->irq_hold++;				/* one commit for all */
	for (struct vm_irq *irq = vm->msis; irq != NULL; irq = irq->next) {
		(void)message_set_mask(irq, irq->masked);
		if (irq->trigger >= 0 && vm->accel->irq_bind != NULL) {
			source_detach(irq);
			(void)source_attach(irq);
		}
	}
	if (--vm->irq_hold == 0 && vm->route_dirty)
		(void)routes_changed(vm);
	pthread_mutex_unlock(&vm->irq_lock);
}

/* The back end is about to go, vCPUs do not run: what it had bound comes back to the library. */
void
irq_detach(struct vmctx *vm)
{
	struct vm_irq *irq;

	if (!irq_started(vm))
		return;
	pthread_mutex_lock(&vm->irq_lock);
	for (unsigned n = 0; n < vm->md->nlines; n++) {
		struct irq_line *line = &vm->lines[n];

		pthread_mutex_lock(&line->lock);
		if (line->watched && vm->accel->eoi_watch != NULL)
			(void)vm->accel->eoi_watch(vm, n, false);
		line->watched = false;
		pthread_mutex_unlock(&line->lock);
	}
	atomic_store_explicit(&lines_of(vm)->started, false, memory_order_release);
	for (unsigned n = 0; n < vm->md->nlines; n++) {
		struct irq_line *line = &vm->lines[n];

		for (irq = line->sources; irq != NULL; irq = irq->next) {
			if (source_of(irq)->in_accel) {
				source_detach(irq);
				(void)source_poll(irq);
			}
		}
		/* After the last one that knew of a controller. */
		pthread_mutex_lock(&line->lock);
		line->output = false;
		pthread_mutex_unlock(&line->lock);
	}
	routes_drop(vm);
	vm->route_dirty = false;
	/* Whoever was sending when the controller went has returned from it after this. */
	for (irq = vm->msis; irq != NULL; irq = irq->next) {
		pthread_mutex_lock(&irq->lock);
		pthread_mutex_unlock(&irq->lock);
	}
	pthread_mutex_unlock(&vm->irq_lock);
}

int
irq_init(struct vmctx *vm)
{
	struct irq_lines *l = calloc(1, sizeof(*l) + vm->md->nlines * sizeof(l->lines[0]));

	if (l == NULL)
		return (vm_fail(ENOMEM, "vm '%s': interrupt lines: out of memory", vm->name));
	l->n = vm->md->nlines;
	for (unsigned n = 0; n < l->n; n++) {
		pthread_mutex_init(&l->lines[n].lock, NULL);
		pthread_cond_init(&l->lines[n].cond, NULL);
	}
	pthread_mutex_init(&vm->irq_lock, NULL);
	vm->lines = l->lines;
	vm->msis = NULL;
	vm->nirqs = vm->irq_hold = 0;
	vm->route_dirty = false;
	return (0);
}

/* The event thread was ended (fdwatch_fini()), the back end detached.  Open handles are void. */
void
irq_fini(struct vmctx *vm)
{
	struct irq_lines *l;
	struct vm_irq *irq;

	if (vm->lines == NULL)
		return;
	l = lines_of(vm);
	for (unsigned n = 0; n < l->n; n++) {
		while ((irq = l->lines[n].sources) != NULL) {
			l->lines[n].sources = irq->next;
			source_free(irq);
		}
		pthread_cond_destroy(&l->lines[n].cond);
		pthread_mutex_destroy(&l->lines[n].lock);
	}
	while ((irq = vm->msis) != NULL) {
		vm->msis = irq->next;
		source_free(irq);
	}
	pthread_mutex_destroy(&vm->irq_lock);
	free(l);
	vm->lines = NULL;
}
