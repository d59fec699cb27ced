/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.h - the event loop: host descriptors, host time and work from other threads, on one
 * thread.
 *
 * One thread runs the loop; every callback is called there, one at a time and with no lock
 * held.  Everything else may be called from any thread, also from callbacks.
 *
 * A callback may remove any event, its own included: it is never called again, and the memory
 * goes when nobody looks at it any more.  event_remove() on another thread returns after a call
 * under way has ended, so the caller must not hold a lock that the callback takes.
 *
 * Timers count host time.  What a guest can see the time of belongs on a vm_timer instead.
 */
#ifndef _HYVE_EVENT_H_
#define	_HYVE_EVENT_H_

#include <stdbool.h>
#include <stdint.h>

struct event_loop;
struct event;		/* a watched descriptor or a timer */

#define	EVENT_READ	0x01U	/* bytes, end of file or an error can be read */
#define	EVENT_WRITE	0x02U	/* bytes can be written, or an error told */

typedef void event_fd_fn(void *arg, unsigned what);
typedef void event_fn(void *arg);

/* Make a loop.  NULL with errno (EMFILE, ENOMEM). */
struct event_loop *event_loop_new(void);
/* Free the loop and every event left in it; posted work that did not run is dropped.  The loop is not running. */
void	event_loop_free(struct event_loop *loop);

/* Make the calling thread the loop's, until event_loop_stop().  Errors: EBUSY (a thread runs it). */
int	event_loop_run(struct event_loop *loop);
/*
 * One round: wait at most timeout_ms (-1: for ever) for something to do and do it.  For front
 * ends with a loop of their own, and tests.  Errors: EBUSY.
 */
int	event_loop_once(struct event_loop *loop, int timeout_ms);
/* Make event_loop_run() return when the callback under way has ended; the next one too if none runs now. */
void	event_loop_stop(struct event_loop *loop);
/* Whether the calling thread is the one that runs the loop now. */
bool	event_loop_is_mine(struct event_loop *loop);

/*
 * Watch fd for what (EVENT_*, 0 for nothing yet); fn(arg, ready) is called as long as it is
 * ready.  Descriptors that cannot be polled (files) count as always ready.  fd stays the
 * caller's, open until the event is removed.
 *
 * Errors: EBADF, EEXIST (watched already), ENOMEM.
 */
struct event *event_fd_add(struct event_loop *loop, int fd, unsigned what, event_fd_fn *fn, void *arg);
/* Watch for what from now on. */
void	event_fd_set(struct event *ev, unsigned what);

/* A timer, not armed.  Errors: ENOMEM. */
struct event *event_timer_add(struct event_loop *loop, event_fn *fn, void *arg);
/* Call fn once, ns nanoseconds from now.  Arming again replaces the deadline. */
void	event_timer_arm(struct event *ev, uint64_t ns);
/* Take that back; a call under way on another thread may still be running. */
void	event_timer_disarm(struct event *ev);

/* Remove an event; see above.  NULL is ignored. */
void	event_remove(struct event *ev);

/* Call fn(arg) once on the loop's thread, in the order of the posts.  Errors: ENOMEM. */
int	event_post(struct event_loop *loop, event_fn *fn, void *arg);

/*
 * Return when everything posted before has run and no callback is under way: on the loop's
 * thread, or while nobody runs the loop, by running the posts here; on another thread by
 * waiting.  In a callback the callback itself does not count.
 */
void	event_drain(struct event_loop *loop);

#endif /* _HYVE_EVENT_H_ */
