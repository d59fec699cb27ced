/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uring.c - requests to a raw image by io_uring (io_uring(7)).
 *
 * Whoever submits puts a request into a list, and wakes the ring's thread by an eventfd if it sleeps; reading that is itself an
 * operation of the ring.  The thread alone touches the ring.  So what comes while it works goes with the next call, and no vCPU's thread does
 * the copying that a read from the host's cache is, or is interrupted when one completes.
 *
 * What the kernel did in part goes on from there, a flush is one for all who wait for one, and what it has no operation for is passed on.
 * If the ring itself fails, all that it did not take is, and what it did take is waited for.
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "../thread.h"
#include "raw.h"
#include "uring.h"

#define	SQES		128U
#define	DEPTH		(SQES - 2)	/* requests that the kernel has at a time, beside the eventfd's and a flush */

struct list {
	struct block_req *first, **last;
};

struct uring {
	struct io_uring	 ring;
	struct store	*store;
	struct raw	*raw;
	const struct uring_calls *calls;
	void		*arg;
	pthread_t	 thread;
	int		 wake;		/* the eventfd */
	bool		 fallocate;	/* the kernel has that */

	pthread_mutex_t	 lock;		/* of these */
	struct list	 submitted;
	bool		 asleep;	/* the thread, or it is about to: whoever comes first writes to the eventfd */
	bool		 ending;
	bool		 broken;	/* nothing is to be submitted any more; written by the thread */

	/* The thread's own. */
	struct list	 pending;	/* taken over from submitted */
	struct list	 unsent;	/* given to the ring and not to the kernel yet, in that order */
	struct list	 flushes;	/* wait for the next flush */
	struct list	 flushing;	/* are waited for by the one under way */
	struct block_req flush;		/* stands for that in the ring */
	struct block_req wakeup;	/* and for the read of the eventfd */
	uint64_t	 woken;		/* where that goes */
	bool		 listening;	/* that read is in the ring */
	unsigned	 flying;	/* requests that the ring has, the flush too */
	bool		 lost;		/* the kernel takes nothing any more */
};

static void
list_init(struct list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

static void
append(struct list *l, struct block_req *r)
{
	r->next = NULL;
	*l->last = r;
	l->last = &r->next;
}

static struct block_req *
take(struct list *l)
{
	struct block_req *r = l->first;

	if (r != NULL) {
		l->first = r->next;
		if (l->first == NULL)
			l->last = &l->first;
	}
	return (r);
}

/* All of from behind to. */
static void
move(struct list *to, struct list *from)
{
	if (from->first == NULL)
		return;
	*to->last = from->first;
	to->last = from->last;
	list_init(from);
}

/* SECTION: requests */

static bool
data(const struct block_req *r)
{
	return (r->op == BLOCK_READ || r->op == BLOCK_WRITE);
}

/* n bytes were transferred. */
static void
advance(struct block_req *r, uint64_t n)
{
	for (int i = 0; i < r->niov && n != 0; i++) {
		size_t some = r->iov[i].iov_len < n ? r->iov[i].iov_len : (size_t)n;

		r->iov[i].iov_base = (char *)r->iov[i].iov_base + some;
		r->iov[i].iov_len -= some;
		n -= some;
	}
}

/* A read or a write, from where it is; at most what the host takes at a time. */
static void
prepare_data(struct uring *u, struct io_uring_sqe *e, struct block_req *r)
{
	uint64_t off = r->off + r->len - store_length(r->iov, r->niov);
	int skip = 0, n;

	while (skip < r->niov - 1 && r->iov[skip].iov_len == 0)
		skip++;
	n = r->niov - skip < UIO_MAXIOV ? r->niov - skip : UIO_MAXIOV;
	if (r->op == BLOCK_READ)
		io_uring_prep_readv(e, u->raw->fd, r->iov + skip, (unsigned)n, off);
	else
		io_uring_prep_writev(e, u->raw->fd, r->iov + skip, (unsigned)n, off);
}

/* Give an entry for r to the ring.  It has room: flying is less than DEPTH, or r is one of the ring's own. */
static void
enter(struct uring *u, struct block_req *r)
{
	struct io_uring_sqe *e = io_uring_get_sqe(&u->ring);

	if (r == &u->wakeup)
		io_uring_prep_read(e, u->wake, &u->woken, sizeof(u->woken), 0);
	else if (r == &u->flush)
		io_uring_prep_fsync(e, u->raw->fd, IORING_FSYNC_DATASYNC);
	else if (data(r))
		prepare_data(u, e, r);
	else
		io_uring_prep_fallocate(e, u->raw->fd, raw_zero_mode(r->op == BLOCK_DISCARD || r->unmap), (off_t)r->off, (off_t)r->len);
	io_uring_sqe_set_data(e, r);
	append(&u->unsent, r);
	u->flying += r != &u->wakeup;
}

static void
finish(struct uring *u, struct block_req *r, int error)
{
	r->error = error;
	u->calls->done(u->arg, r);
}

/* The next flush, unless one is under way: it is for all who have come. */
static void
begin_flush(struct uring *u)
{
	struct block_req *r;
	int error;

	if (u->flushing.first != NULL || u->flushes.first == NULL)
		return;
	move(&u->flushing, &u->flushes);
	error = store_flush_error(u->store);
	if (error == 0) {
		enter(u, &u->flush);
		return;
	}
	while ((r = take(&u->flushing)) != NULL)
		finish(u, r, error);
}

static void
flushed(struct uring *u, int error)
{
	struct block_req *r;
	struct list all;

	if (error == EINTR) {
		if (u->lost)
			move(&u->pending, &u->flushing);
		else
			enter(u, &u->flush);
		return;
	}
	error = store_flush_ended(u->store, error);
	list_init(&all);
	move(&all, &u->flushing);
	while ((r = take(&all)) != NULL)
		finish(u, r, error);
}

/* A request begins. */
static void
begin(struct uring *u, struct block_req *r)
{
	r->claim.exclusive = false;
	if (r->op == BLOCK_FLUSH) {
		append(&u->flushes, r);
	} else if (r->op == BLOCK_WRITE && !direct_enter(&u->raw->direct, &r->claim, r->off, r->len, false)) {
		u->calls->pass(u->arg, r);	/* it has to wait for somebody */
	} else {
		enter(u, r);
	}
}

/* The claim that begin() got. */
static void
leave(struct uring *u, struct block_req *r)
{
	if (r->op == BLOCK_WRITE)
		direct_leave(&u->raw->direct, &r->claim);
}

/* A read or a write returned.  False: there is more to do. */
static bool
transferred(struct uring *u, struct block_req *r, int res, int *error)
{
	*error = 0;
	if (res > 0) {
		advance(r, (uint64_t)res);
		if (store_length(r->iov, r->niov) == 0)
			return (true);
	}
	/* The file became shorter; or it ends within a block, from where there is no way on. */
	if (res == 0 || (res > 0 && u->raw->direct.align != 0 && (uint32_t)res % u->raw->direct.align != 0))
		*error = EIO;
	return (*error != 0);
}

/* The kernel has done with r: a result as of a system call, but that errors are negative. */
static void
completed(struct uring *u, struct block_req *r, int res)
{
	int error = res < 0 ? -res : 0;
	bool again = error == EINTR;

	u->flying--;
	if (r == &u->flush) {
		flushed(u, error);
		return;
	}
	if (error == 0 && data(r))
		again = !transferred(u, r, res, &error);
	if (r->op == BLOCK_DISCARD) {		/* a hint */
		again = false;
		error = 0;
	}
	if (again && !u->lost) {
		enter(u, r);
		return;
	}
	leave(u, r);
	if (again || error == EAGAIN || (r->op == BLOCK_ZERO && raw_zero_cannot(error)))
		u->calls->pass(u->arg, r);
	else
		finish(u, r, error);
}

/* SECTION: the thread */

/* The kernel took the first n of what is unsent. */
static void
sent(struct uring *u, unsigned n)
{
	while (n-- > 0)
		(void)take(&u->unsent);
}

/* What has completed. */
static unsigned
reap(struct uring *u)
{
	struct io_uring_cqe *e;
	unsigned n;

	for (n = 0; io_uring_peek_cqe(&u->ring, &e) == 0; n++) {
		struct block_req *r = io_uring_cqe_get_data(e);
		int res = e->res;

		io_uring_cqe_seen(&u->ring, e);
		if (r == &u->wakeup)
			u->listening = false;
		else
			completed(u, r, res);
	}
	return (n);
}

static void
nap(void)
{
	const struct timespec ms = { .tv_nsec = 1000000 };

	(void)nanosleep(&ms, NULL);
}

/*
 * The ring takes no more: others do what it has not taken.  That begins when no flush is under way in the kernel, for of two at a time only
 * one is told of a failure (store_flush()).
 */
static void
fail(struct uring *u)
{
	struct block_req *r;

	u->lost = true;
	while ((r = take(&u->unsent)) != NULL) {
		if (r == &u->wakeup)
			continue;
		u->flying--;
		if (r == &u->flush) {
			move(&u->pending, &u->flushing);
		} else {
			leave(u, r);
			append(&u->pending, r);
		}
	}
	while (u->flushing.first != NULL)
		if (reap(u) == 0)
			nap();
	pthread_mutex_lock(&u->lock);
	u->broken = true;
	pthread_mutex_unlock(&u->lock);
	move(&u->pending, &u->flushes);
}

/* Take over what was submitted; false: the end.  From now on who submits wakes the thread. */
static bool
collect(struct uring *u)
{
	bool on;

	pthread_mutex_lock(&u->lock);
	move(&u->pending, &u->submitted);
	u->asleep = true;
	on = !u->ending;
	pthread_mutex_unlock(&u->lock);
	return (on);
}

/* Send what there is, and wait for something to complete. */
static void
turn(struct uring *u)
{
	int n = io_uring_submit_and_wait(&u->ring, 1);

	pthread_mutex_lock(&u->lock);
	u->asleep = false;
	pthread_mutex_unlock(&u->lock);
	if (n >= 0)
		sent(u, (unsigned)n);
	else if (n == -EAGAIN || n == -EBUSY)
		nap();			/* the kernel is short of memory, or of room for completions */
	else if (n != -EINTR)
		fail(u);
	(void)reap(u);
}

/* Only what the kernel still has comes from the ring. */
static void
drain_broken(struct uring *u)
{
	struct block_req *r;

	do {
		(void)collect(u);
		while ((r = take(&u->pending)) != NULL)
			u->calls->pass(u->arg, r);
		if (u->flying != 0 && reap(u) == 0)
			nap();
	} while (u->flying != 0 || u->pending.first != NULL);
}

static void *
ring_thread(void *arg)
{
	struct uring *u = arg;
	struct block_req *r;

	while (collect(u) && !u->broken) {
		while (u->flying < DEPTH && (r = take(&u->pending)) != NULL)
			begin(u, r);
		begin_flush(u);
		if (!u->listening) {
			u->listening = true;
			enter(u, &u->wakeup);
		}
		turn(u);
	}
	/* Nobody is to write to u->woken later. */
	while (u->listening && !u->broken)
		turn(u);
	if (u->broken)
		drain_broken(u);
	return (NULL);
}

/* SECTION: its users */

bool
uring_submit(struct uring *u, struct block_req *r)
{
	const uint64_t one = 1;
	bool taken, wake;

	if (data(r) && !direct_fits(&u->raw->direct, r->iov, r->niov, r->off))
		return (false);
	/* A device is told of a discard by an ioctl; and a hole must not be made where somebody changes a part of a block. */
	if ((r->op == BLOCK_DISCARD || r->op == BLOCK_ZERO) &&
	    (!u->fallocate || u->raw->direct.claimed || (r->op == BLOCK_DISCARD && u->raw->device)))
		return (false);
	pthread_mutex_lock(&u->lock);
	taken = !u->broken;
	if (taken)
		append(&u->submitted, r);
	wake = taken && u->asleep;
	u->asleep &= !wake;
	pthread_mutex_unlock(&u->lock);
	if (wake)
		(void)!write(u->wake, &one, sizeof(one));
	return (taken);
}

/* What is there since Linux 5.6 has to be. */
static int
probe(struct uring *u)
{
	static const int needed[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC, IORING_OP_READ };
	struct io_uring_probe *p = io_uring_get_probe_ring(&u->ring);
	int error = p != NULL ? 0 : ENOSYS;

	for (unsigned i = 0; error == 0 && i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!io_uring_opcode_supported(p, needed[i]))
			error = ENOSYS;
	u->fallocate = error == 0 && io_uring_opcode_supported(p, IORING_OP_FALLOCATE);
	io_uring_free_probe(p);
	return (error);
}

static void
free_uring(struct uring *u)
{
	if (u->wake >= 0)
		close(u->wake);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

struct uring *
uring_open(struct store *s, const struct uring_calls *calls, void *arg)
{
	struct uring *u = calloc(1, sizeof(*u));
	int error;

	if (u == NULL)
		return (NULL);
	u->store = s;
	u->raw = s->raw;
	u->calls = calls;
	u->arg = arg;
	pthread_mutex_init(&u->lock, NULL);
	list_init(&u->submitted);
	list_init(&u->pending);
	list_init(&u->unsent);
	list_init(&u->flushes);
	list_init(&u->flushing);
	u->wake = eventfd(0, EFD_CLOEXEC);
	error = u->wake < 0 ? errno : -io_uring_queue_init(SQES, &u->ring, 0);
	if (error == 0) {
		error = probe(u);
		if (error == 0)
			error = thread_create(&u->thread, ring_thread, u);
		if (error != 0)
			io_uring_queue_exit(&u->ring);
	}
	if (error == 0)
		return (u);
	free_uring(u);
	errno = error;
	return (NULL);
}

void
uring_close(struct uring *u)
{
	const uint64_t one = 1;

	if (u == NULL)
		return;
	pthread_mutex_lock(&u->lock);
	u->ending = true;
	pthread_mutex_unlock(&u->lock);
	(void)!write(u->wake, &one, sizeof(one));
	(void)pthread_join(u->thread, NULL);
	io_uring_queue_exit(&u->ring);
	free_uring(u);
}
