/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block.c - requests, and who executes them: the host by io_uring (uring.c), or threads on a queue.
 *
 * Threads are there in any case, for what io_uring cannot do.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../error.h"
#include "../thread.h"
#include "../trace.h"
#include "raw.h"
#include "uring.h"

#define	NTHREADS	4

/* struct block_counter as it is counted. */
struct counter {
	_Atomic uint64_t done, failed, invalid, bytes, ns;
};

struct block {
	struct store	*store;
	struct device	*dev;		/* NULL */
	char		*path;		/* for the log; NULL */
	struct uring	*ring;		/* NULL: none */
	_Atomic unsigned busy;		/* requests whose done() has not returned */
	pthread_mutex_t	 lock;
	pthread_cond_t	 work;
	pthread_cond_t	 quiet;		/* busy is 0 */
	struct block_req *first, **last;
	pthread_t	 thread[NTHREADS];
	unsigned	 nthreads;	/* made when there is work for them */
	unsigned	 idle, queued;
	bool		 ending;
	struct counter	 count[BLOCK_ZERO + 1];	/* by enum block_op */
	_Atomic uint64_t highest;	/* end of a write */
};

static uint64_t
now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return ((uint64_t)t.tv_sec * 1000000000U + (uint64_t)t.tv_nsec);
}

static int
check(const struct block *b, const struct block_req *r)
{
	if ((unsigned)r->op > BLOCK_ZERO)
		return (EINVAL);
	if (r->op == BLOCK_FLUSH)
		return (0);
	if (r->op != BLOCK_READ && b->store->readonly)
		return (EROFS);
	if (r->off % BLOCK_SECTOR != 0 || r->len % BLOCK_SECTOR != 0 || r->off > block_size(b) ||
	    r->len > block_size(b) - r->off)
		return (EINVAL);
	return (0);
}

static int
execute(struct block *b, struct block_req *r)
{
	struct store *s = b->store;
	int error = check(b, r);

	if (error != 0 || (r->len == 0 && r->op != BLOCK_FLUSH))
		return (error);
	switch (r->op) {
	/* The ring may have begun them. */
	case BLOCK_READ:
		return (store_readv(s, r->iov, r->niov, r->off + r->len - store_length(r->iov, r->niov)));
	case BLOCK_WRITE:
		return (store_writev(s, r->iov, r->niov, r->off + r->len - store_length(r->iov, r->niov)));
	case BLOCK_FLUSH:
		return (s->readonly ? 0 : store_flush(s));
	case BLOCK_DISCARD:
		return (store_discard(s, r->off, r->len));
	case BLOCK_ZERO:
		return (store_zero(s, r->off, r->len, r->unmap));
	}
	return (EINVAL);
}

static void
add(_Atomic uint64_t *to, uint64_t n)
{
	(void)atomic_fetch_add_explicit(to, n, memory_order_relaxed);
}

static void
account(struct block *b, const struct block_req *r)
{
	uint64_t end = r->off + r->len, highest = atomic_load_explicit(&b->highest, memory_order_relaxed);
	struct counter *c;

	if ((unsigned)r->op > BLOCK_ZERO)
		return;
	c = &b->count[r->op];
	add(&c->ns, now() - r->began);
	if (r->error != 0) {
		add(check(b, r) != 0 ? &c->invalid : &c->failed, 1);
		return;
	}
	add(&c->done, 1);
	add(&c->bytes, r->op != BLOCK_FLUSH ? r->len : 0);
	while ((r->op == BLOCK_WRITE || r->op == BLOCK_ZERO) && end > highest &&
	    !atomic_compare_exchange_weak_explicit(&b->highest, &highest, end, memory_order_relaxed, memory_order_relaxed))
		;
}

static void
gather(const struct counter *c, struct block_counter *to)
{
	to->done += atomic_load_explicit(&c->done, memory_order_relaxed);
	to->failed += atomic_load_explicit(&c->failed, memory_order_relaxed);
	to->invalid += atomic_load_explicit(&c->invalid, memory_order_relaxed);
	to->bytes += atomic_load_explicit(&c->bytes, memory_order_relaxed);
	to->ns += atomic_load_explicit(&c->ns, memory_order_relaxed);
}

void
block_get_stats(const struct block *b, struct block_stats *stats)
{
	*stats = (struct block_stats){ .highest = atomic_load_explicit(&b->highest, memory_order_relaxed) };
	gather(&b->count[BLOCK_READ], &stats->read);
	gather(&b->count[BLOCK_WRITE], &stats->write);
	gather(&b->count[BLOCK_ZERO], &stats->write);
	gather(&b->count[BLOCK_FLUSH], &stats->flush);
	gather(&b->count[BLOCK_DISCARD], &stats->discard);
}

/* The result is there. */
static void
finish(struct block *b, struct block_req *r)
{
	TRACE(b->dev != NULL ? b->dev->vmm->log : NULL, block__end, b->path, r->op, r->len, r->off, (uint64_t)r->error);
	account(b, r);
	r->done(r);
	/* Whoever closes the image waits for this thread too, before b goes. */
	if (atomic_fetch_sub(&b->busy, 1) == 1) {
		pthread_mutex_lock(&b->lock);
		pthread_cond_broadcast(&b->quiet);
		pthread_mutex_unlock(&b->lock);
	}
}

static void *
worker(void *arg)
{
	struct block *b = arg;
	struct block_req *r;

	pthread_mutex_lock(&b->lock);
	for (;;) {
		while (b->first == NULL && !b->ending) {
			b->idle++;
			pthread_cond_wait(&b->work, &b->lock);
			b->idle--;
		}
		r = b->first;
		if (r == NULL)
			break;
		b->first = r->next;
		b->queued--;
		if (b->first == NULL)
			b->last = &b->first;
		pthread_mutex_unlock(&b->lock);
		r->error = execute(b, r);
		finish(b, r);
		pthread_mutex_lock(&b->lock);
	}
	pthread_mutex_unlock(&b->lock);
	return (NULL);
}

/* Lock held, or b is nobody's yet. */
static int
add_thread(struct block *b)
{
	int error = thread_create(&b->thread[b->nthreads], worker, b);

	if (error == 0)
		b->nthreads++;
	return (error);
}

static void
queue(struct block *b, struct block_req *r)
{
	pthread_mutex_lock(&b->lock);
	r->next = NULL;
	*b->last = r;
	b->last = &r->next;
	b->queued++;
	/* One thread was made at the start, so that there is always someone. */
	if (b->queued > b->idle && b->nthreads < NTHREADS)
		(void)add_thread(b);
	pthread_cond_signal(&b->work);
	pthread_mutex_unlock(&b->lock);
}

void
block_submit(struct block *b, struct block_req *r)
{
	bool empty = r->op == BLOCK_FLUSH ? b->store->readonly : r->len == 0;

	TRACE(b->dev != NULL ? b->dev->vmm->log : NULL, block__begin, b->path, r->op, r->len, r->off);
	r->began = now();
	atomic_fetch_add(&b->busy, 1);
	if (b->ring == NULL || empty || check(b, r) != 0 || !uring_submit(b->ring, r))
		queue(b, r);
}

/* The ring's thread */

static void
ring_done(void *arg, struct block_req *r)
{
	finish(arg, r);
}

static void
ring_pass(void *arg, struct block_req *r)
{
	queue(arg, r);
}

static const struct uring_calls ring_calls = { .done = ring_done, .pass = ring_pass };

int
block_choose_engine(struct block *b, const struct block_options *o)
{
	b->dev = o->dev;
	b->path = strdup(o->path);
	if (b->path == NULL)
		return (vmm_fail(ENOMEM, "disk '%s': no memory", o->path));
	if (o->aio == BLOCK_AIO_THREADS)
		return (0);
	if (b->store->raw == NULL)
		return (o->aio == BLOCK_AIO_AUTO ? 0 : vmm_fail(ENOTSUP, "disk '%s': aio=io_uring is for raw images that are not recorded", o->path));
	b->ring = uring_open(b->store, &ring_calls, b);
	if (b->ring == NULL && o->aio == BLOCK_AIO_URING)
		return (vmm_fail_sys(errno, "disk '%s': aio=io_uring: the host has none for us (aio=threads would do without)", o->path));
	if (o->dev != NULL)
		device_log(o->dev, LOG_LEVEL_DEBUG, "disk '%s': by %s%s%s", o->path, b->ring != NULL ? "io_uring" : "threads, as the host has no io_uring for us: ",
		    b->ring != NULL ? "" : strerror(errno), o->nocache ? ", around the cache" : "");
	return (0);
}

static void
free_block(struct block *b)
{
	pthread_cond_destroy(&b->quiet);
	pthread_cond_destroy(&b->work);
	pthread_mutex_destroy(&b->lock);
	free(b->path);
	free(b);
}

struct block *
block_open_store(struct store *s)
{
	struct block *b = calloc(1, sizeof(*b));
	int error;

	if (b == NULL) {
		store_close(s);
		return (vmm_fail_null(ENOMEM, "disk: no memory"));
	}
	b->store = s;
	b->last = &b->first;
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->work, NULL);
	pthread_cond_init(&b->quiet, NULL);
	error = add_thread(b);
	if (error != 0) {
		free_block(b);
		store_close(s);
		(void)vmm_fail_sys(error, "disk: cannot make a thread");
		return (NULL);
	}
	return (b);
}

struct block *
block_open_driver(const struct block_driver *driver, void *priv, uint64_t size, bool readonly)
{
	struct store *s = store_new(driver, priv, size, readonly);

	return (s != NULL ? block_open_store(s) : NULL);
}

void
block_close(struct block *b)
{
	if (b == NULL)
		return;
	pthread_mutex_lock(&b->lock);
	while (atomic_load(&b->busy) != 0)
		pthread_cond_wait(&b->quiet, &b->lock);
	b->ending = true;
	pthread_cond_broadcast(&b->work);
	pthread_mutex_unlock(&b->lock);
	for (unsigned i = 0; i < b->nthreads; i++)
		(void)pthread_join(b->thread[i], NULL);
	uring_close(b->ring);
	store_close(b->store);
	free_block(b);
}

int
block_settle(struct block *b)
{
	int error = 0;

	/* Once more for what the first one gave back. */
	for (unsigned i = 0; b != NULL && b->store->lazy && error == 0 && i < 2; i++)
		error = store_flush(b->store);
	if (error == 0)
		return (0);
	store_complain(b->dev, b->path, "its file has not all that was written to it", error);
	return (vmm_fail(error, "disk '%s': its file has not all that was written to it: %s", b->path != NULL ? b->path : "",
	    strerror(error)));
}

const char *
block_format(const struct block *b)
{
	return (b->store->driver->name);
}

bool
block_uses_uring(const struct block *b)
{
	return (b->ring != NULL);
}

void
block_failed(struct device *dev, const char *who, const struct block_req *req)
{
	static const char *const names[] = {
		[BLOCK_READ] = "read", [BLOCK_WRITE] = "write", [BLOCK_FLUSH] = "flush", [BLOCK_DISCARD] = "discard", [BLOCK_ZERO] = "zeroing",
	};

	device_guest_log(dev, "%s%s of %llu bytes at %llu: %s", who, names[req->op], (unsigned long long)req->len,
	    (unsigned long long)req->off, strerror(req->error));
}

uint64_t
block_size(const struct block *b)
{
	return (b->store->size);
}

bool
block_readonly(const struct block *b)
{
	return (b->store->readonly);
}
