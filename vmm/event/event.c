/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.c - the event loop over epoll(7), timerfd_create(2) and eventfd(2).
 *
 * loop->lock guards every list and every event.  It is dropped around callbacks; loop->current
 * says which event is being called, and loop->cond that this or the owner changed.  An event
 * that is removed while it is current, or while a batch of epoll results may name it, is
 * unlinked at once and freed at the end of the round (loop->dead).
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../error.h"
#include "event.h"

#define	BATCH	32

struct event {
	struct event_loop *loop;
	struct event	*next, *prev;	/* in loop->events, then singly in loop->dead */
	int		 fd;		/* -1: a timer */
	unsigned	 what;
	bool		 unpollable;	/* always ready */
	bool		 dead;
	event_fd_fn	*fd_fn;
	event_fn	*fn;
	void		*arg;
	bool		 armed;
	uint64_t	 deadline;	/* CLOCK_MONOTONIC */
};

struct post {
	struct post	*next;
	event_fn	*fn;
	void		*arg;
};

struct event_loop {
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;
	int		 epfd, wakefd, timerfd;
	struct event	*events, *dead;
	struct post	*posts, **postend;
	uint64_t	 posted, ran;	/* posts made and finished */
	unsigned	 unpollable;	/* always-ready events that watch for something */
	bool		 owned;		/* a thread is inside event_loop_run(), _once(), or drains */
	bool		 draining;	/* it only drains, so that others may wait for their turn */
	bool		 stop;
	bool		 calling;	/* a callback is under way */
	struct event	*current;	/* its event, NULL for a post */
	pthread_t	 owner;
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec);
}

struct event_loop *
event_loop_new(void)
{
	struct event_loop *loop = calloc(1, sizeof(*loop));
	struct epoll_event ee;
	int error;

	if (loop == NULL)
		return (vmm_fail_null(ENOMEM, "event loop: out of memory"));
	pthread_mutex_init(&loop->lock, NULL);
	pthread_cond_init(&loop->cond, NULL);
	loop->postend = &loop->posts;
	loop->epfd = epoll_create1(EPOLL_CLOEXEC);
	loop->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (loop->epfd < 0 || loop->wakefd < 0 || loop->timerfd < 0)
		goto fail;
	ee = (struct epoll_event){ .events = EPOLLIN, .data.ptr = &loop->wakefd };
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->wakefd, &ee) != 0)
		goto fail;
	ee = (struct epoll_event){ .events = EPOLLIN, .data.ptr = &loop->timerfd };
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, loop->timerfd, &ee) != 0)
		goto fail;
	return (loop);
fail:
	error = errno;
	event_loop_free(loop);
	(void)vmm_fail_sys(error, "event loop");
	return (NULL);
}

static void
free_dead(struct event_loop *loop)
{
	struct event *ev;

	while ((ev = loop->dead) != NULL) {
		loop->dead = ev->next;
		free(ev);
	}
}

void
event_loop_free(struct event_loop *loop)
{
	struct event *ev;
	struct post *p;

	if (loop == NULL)
		return;
	while ((ev = loop->events) != NULL) {
		loop->events = ev->next;
		free(ev);
	}
	free_dead(loop);
	while ((p = loop->posts) != NULL) {
		loop->posts = p->next;
		free(p);
	}
	if (loop->epfd >= 0)
		close(loop->epfd);
	if (loop->wakefd >= 0)
		close(loop->wakefd);
	if (loop->timerfd >= 0)
		close(loop->timerfd);
	pthread_cond_destroy(&loop->cond);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

static bool
mine(struct event_loop *loop)
{
	return (loop->owned && pthread_equal(loop->owner, pthread_self()));
}

static void
wake(struct event_loop *loop)
{
	uint64_t one = 1;

	/* EAGAIN: the counter is full, so the loop is awake already. */
	if (write(loop->wakefd, &one, sizeof(one)) < 0)
		return;
}

bool
event_loop_is_mine(struct event_loop *loop)
{
	bool is;

	pthread_mutex_lock(&loop->lock);
	is = mine(loop);
	pthread_mutex_unlock(&loop->lock);
	return (is);
}

/* Program the timer descriptor for the earliest deadline.  Lock held. */
static void
program_timer(struct event_loop *loop)
{
	struct itimerspec its = { { 0, 0 }, { 0, 0 } };
	uint64_t first = UINT64_MAX;

	for (struct event *ev = loop->events; ev != NULL; ev = ev->next) {
		if (ev->armed && ev->deadline < first)
			first = ev->deadline;
	}
	if (first != UINT64_MAX) {
		if (first == 0)
			first = 1;		/* all zero would disarm */
		its.it_value.tv_sec = (time_t)(first / 1000000000ULL);
		its.it_value.tv_nsec = (long)(first % 1000000000ULL);
	}
	(void)timerfd_settime(loop->timerfd, TFD_TIMER_ABSTIME, &its, NULL);
}

static void
link_event(struct event_loop *loop, struct event *ev)
{
	ev->next = loop->events;
	ev->prev = NULL;
	if (ev->next != NULL)
		ev->next->prev = ev;
	loop->events = ev;
}

static uint32_t
epoll_bits(unsigned what)
{
	return (((what & EVENT_READ) != 0 ? EPOLLIN | EPOLLRDHUP : 0U) |
	    ((what & EVENT_WRITE) != 0 ? EPOLLOUT : 0U));
}

struct event *
event_fd_add(struct event_loop *loop, int fd, unsigned what, event_fd_fn *fn, void *arg)
{
	struct event *ev = calloc(1, sizeof(*ev));
	struct epoll_event ee;
	int error;

	if (ev == NULL)
		return (vmm_fail_null(ENOMEM, "event loop: out of memory"));
	ev->loop = loop;
	ev->fd = fd;
	ev->what = what;
	ev->fd_fn = fn;
	ev->arg = arg;
	pthread_mutex_lock(&loop->lock);
	/*
	 * A descriptor watched for nothing is taken out of the set: epoll would report a
	 * hang-up all the same, in every round.
	 */
	ee = (struct epoll_event){ .events = epoll_bits(what), .data.ptr = ev };
	if (epoll_ctl(loop->epfd, EPOLL_CTL_ADD, fd, &ee) != 0) {
		error = errno;
		if (error != EPERM) {
			pthread_mutex_unlock(&loop->lock);
			free(ev);
			(void)vmm_fail_sys(error, "event loop: cannot watch descriptor %d", fd);
			return (NULL);
		}
		ev->unpollable = true;
		if (what != 0) {
			loop->unpollable++;
			wake(loop);
		}
	} else if (what == 0)
		(void)epoll_ctl(loop->epfd, EPOLL_CTL_DEL, fd, NULL);
	link_event(loop, ev);
	pthread_mutex_unlock(&loop->lock);
	return (ev);
}

/* Lock held. */
static void
set_what(struct event *ev, unsigned what)
{
	struct event_loop *loop = ev->loop;
	struct epoll_event ee = { .events = epoll_bits(what), .data.ptr = ev };
	unsigned old = ev->what;

	if (ev->dead || old == what)
		return;
	ev->what = what;
	if (ev->unpollable) {
		if (old == 0) {
			loop->unpollable++;
			wake(loop);
		} else if (what == 0)
			loop->unpollable--;
		return;
	}
	(void)epoll_ctl(loop->epfd, what == 0 ? EPOLL_CTL_DEL : old == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD,
	    ev->fd, &ee);
}

void
event_fd_set(struct event *ev, unsigned what)
{
	struct event_loop *loop = ev->loop;

	pthread_mutex_lock(&loop->lock);
	set_what(ev, what);
	pthread_mutex_unlock(&loop->lock);
}

struct event *
event_timer_add(struct event_loop *loop, event_fn *fn, void *arg)
{
	struct event *ev = calloc(1, sizeof(*ev));

	if (ev == NULL)
		return (vmm_fail_null(ENOMEM, "event loop: out of memory"));
	ev->loop = loop;
	ev->fd = -1;
	ev->fn = fn;
	ev->arg = arg;
	pthread_mutex_lock(&loop->lock);
	link_event(loop, ev);
	pthread_mutex_unlock(&loop->lock);
	return (ev);
}

void
event_timer_arm(struct event *ev, uint64_t ns)
{
	struct event_loop *loop = ev->loop;
	uint64_t now = now_ns();

	pthread_mutex_lock(&loop->lock);
	if (!ev->dead) {
		ev->armed = true;
		/* INT64_MAX: what the kernel's time_t arithmetic takes, some 292 years. */
		ev->deadline = ns < INT64_MAX - now ? now + ns : INT64_MAX;
		program_timer(loop);
	}
	pthread_mutex_unlock(&loop->lock);
}

void
event_timer_disarm(struct event *ev)
{
	struct event_loop *loop = ev->loop;

	pthread_mutex_lock(&loop->lock);
	ev->armed = false;
	pthread_mutex_unlock(&loop->lock);
}

void
event_remove(struct event *ev)
{
	struct event_loop *loop;

	if (ev == NULL)
		return;
	loop = ev->loop;
	pthread_mutex_lock(&loop->lock);
	if (ev->fd >= 0)
		set_what(ev, 0);
	ev->armed = false;
	ev->dead = true;
	if (ev->prev != NULL)
		ev->prev->next = ev->next;
	else
		loop->events = ev->next;
	if (ev->next != NULL)
		ev->next->prev = ev->prev;
	if (!loop->owned)
		free(ev);		/* no round is under way that could know it */
	else {
		bool self = mine(loop);

		while (!self && loop->current == ev)
			pthread_cond_wait(&loop->cond, &loop->lock);
		if (loop->owned) {
			ev->next = loop->dead;
			loop->dead = ev;
		} else
			free(ev);
	}
	pthread_mutex_unlock(&loop->lock);
}

int
event_post(struct event_loop *loop, event_fn *fn, void *arg)
{
	struct post *p = malloc(sizeof(*p));

	if (p == NULL)
		return (vmm_fail(ENOMEM, "event loop: out of memory"));
	p->next = NULL;
	p->fn = fn;
	p->arg = arg;
	pthread_mutex_lock(&loop->lock);
	*loop->postend = p;
	loop->postend = &p->next;
	loop->posted++;
	pthread_mutex_unlock(&loop->lock);
	wake(loop);
	return (0);
}

/* Around a callback: lock held before and after, not during. */
static void
call_begin(struct event_loop *loop, struct event *ev, bool *calling, struct event **current)
{
	*calling = loop->calling;
	*current = loop->current;
	loop->calling = true;
	loop->current = ev;
	pthread_mutex_unlock(&loop->lock);
}

static void
call_end(struct event_loop *loop, bool calling, struct event *current)
{
	pthread_mutex_lock(&loop->lock);
	loop->calling = calling;
	loop->current = current;
	pthread_cond_broadcast(&loop->cond);
}

/* Run what was posted up to now; posts made by these run in the next round.  Lock held. */
static void
run_posts(struct event_loop *loop)
{
	uint64_t until = loop->posted;
	struct event *current;
	struct post *p;
	bool calling;

	while (loop->ran < until && (p = loop->posts) != NULL) {
		loop->posts = p->next;
		if (loop->posts == NULL)
			loop->postend = &loop->posts;
		call_begin(loop, NULL, &calling, &current);
		p->fn(p->arg);
		free(p);
		call_end(loop, calling, current);
		loop->ran++;
	}
}

/* Lock held. */
static void
run_timers(struct event_loop *loop)
{
	uint64_t now = now_ns();
	struct event *ev, *current;
	bool calling;

	/* The list may change in a callback: look again from the start after each; what is re-armed lies after now. */
	for (;;) {
		struct event *due = NULL;

		for (ev = loop->events; ev != NULL; ev = ev->next) {
			if (ev->armed && ev->deadline <= now && (due == NULL || ev->deadline < due->deadline))
				due = ev;
		}
		if (due == NULL)
			break;
		due->armed = false;
		call_begin(loop, due, &calling, &current);
		due->fn(due->arg);
		call_end(loop, calling, current);
	}
	program_timer(loop);
}

/* Call the watcher of an event for what it still watches.  Lock held. */
static void
run_fd(struct event_loop *loop, struct event *ev, unsigned ready)
{
	struct event *current;
	bool calling;

	ready &= ev->what;
	if (ev->dead || ready == 0)
		return;
	call_begin(loop, ev, &calling, &current);
	ev->fd_fn(ev->arg, ready);
	call_end(loop, calling, current);
}

/* Lock held. */
static void
run_unpollable(struct event_loop *loop)
{
	struct event *ev, *next;

	/* Walk by position: after a call the next pointer of a dead event leads into loop->dead. */
	for (ev = loop->events; ev != NULL; ev = next) {
		if (!ev->unpollable || ev->what == 0) {
			next = ev->next;
			continue;
		}
		run_fd(loop, ev, ev->what);
		next = ev->dead ? NULL : ev->next;	/* the others follow in the next round */
	}
}

/* One round.  Lock held; the calling thread owns the loop. */
static void
one_round(struct event_loop *loop, int timeout_ms)
{
	struct epoll_event ee[BATCH];
	uint64_t count;
	int n;

	if (loop->unpollable != 0 || loop->posts != NULL)
		timeout_ms = 0;
	pthread_mutex_unlock(&loop->lock);
	n = epoll_wait(loop->epfd, ee, BATCH, timeout_ms);
	pthread_mutex_lock(&loop->lock);
	for (int i = 0; i < n; i++) {
		uint32_t bits = ee[i].events;

		if (ee[i].data.ptr == &loop->wakefd || ee[i].data.ptr == &loop->timerfd) {
			int fd = *(int *)ee[i].data.ptr;

			if (read(fd, &count, sizeof(count)) < 0)
				continue;	/* EAGAIN: re-armed meanwhile */
			continue;
		}
		run_fd(loop, ee[i].data.ptr,
		    ((bits & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0 ? EVENT_READ : 0) |
		    ((bits & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0 ? EVENT_WRITE : 0));
	}
	run_timers(loop);
	run_posts(loop);
	run_unpollable(loop);
	free_dead(loop);
}

/* Lock held. */
static int
take(struct event_loop *loop)
{
	while (loop->draining && !mine(loop))
		pthread_cond_wait(&loop->cond, &loop->lock);
	if (loop->owned)
		return (vmm_fail(EBUSY, "event loop: a thread runs it already"));
	loop->owned = true;
	loop->owner = pthread_self();
	return (0);
}

static void
give(struct event_loop *loop)
{
	loop->owned = false;
	pthread_cond_broadcast(&loop->cond);
}

int
event_loop_run(struct event_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	if (take(loop) != 0) {
		pthread_mutex_unlock(&loop->lock);
		return (-1);
	}
	while (!loop->stop)
		one_round(loop, -1);
	loop->stop = false;
	give(loop);
	pthread_mutex_unlock(&loop->lock);
	return (0);
}

int
event_loop_once(struct event_loop *loop, int timeout_ms)
{
	pthread_mutex_lock(&loop->lock);
	if (take(loop) != 0) {
		pthread_mutex_unlock(&loop->lock);
		return (-1);
	}
	one_round(loop, timeout_ms);
	give(loop);
	pthread_mutex_unlock(&loop->lock);
	return (0);
}

void
event_loop_stop(struct event_loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	loop->stop = true;
	pthread_mutex_unlock(&loop->lock);
	wake(loop);
}

void
event_drain(struct event_loop *loop)
{
	uint64_t until;

	pthread_mutex_lock(&loop->lock);
	until = loop->posted;
	while (loop->ran < until || (loop->calling && !mine(loop))) {
		if (mine(loop)) {
			/* Also from inside a post: it has not been counted yet, so stop when the list is empty. */
			if (loop->posts == NULL)
				break;
			run_posts(loop);
		} else if (!loop->owned) {
			(void)take(loop);
			loop->draining = true;
			run_posts(loop);
			loop->draining = false;
			give(loop);
		} else
			pthread_cond_wait(&loop->cond, &loop->lock);
	}
	pthread_mutex_unlock(&loop->lock);
}
