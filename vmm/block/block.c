/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block.c - a queue of requests and the threads that execute them.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../thread.h"
#include "store.h"

#define	NTHREADS	4

struct block {
	struct store	*store;
	pthread_mutex_t	 lock;
	pthread_cond_t	 work;
	struct block_req *first, **last;
	pthread_t	 thread[NTHREADS];
	unsigned	 nthreads;	/* made when there is work for them */
	unsigned	 idle, queued;
	bool		 ending;
};

static int
check(const struct block *b, const struct block_req *r)
{
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
	case BLOCK_READ:
		return (store_readv(s, r->iov, r->niov, r->off));
	case BLOCK_WRITE:
		return (store_writev(s, r->iov, r->niov, r->off));
	case BLOCK_FLUSH:
		return (s->readonly ? 0 : store_flush(s));
	case BLOCK_DISCARD:
		return (store_discard(s, r->off, r->len));
	case BLOCK_ZERO:
		return (store_zero(s, r->off, r->len, r->unmap));
	}
	return (EINVAL);
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
		r->done(r);
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

void
block_submit(struct block *b, struct block_req *r)
{
	pthread_mutex_lock(&b->lock);
	r->next = NULL;
	*b->last = r;
	b->last = &r->next;
	b->queued++;
	/* One thread was made at the start, so that there is always someone; block_close() has counted them when it ends. */
	if (b->queued > b->idle && b->nthreads < NTHREADS && !b->ending)
		(void)add_thread(b);
	pthread_cond_signal(&b->work);
	pthread_mutex_unlock(&b->lock);
}

static void
free_block(struct block *b)
{
	pthread_cond_destroy(&b->work);
	pthread_mutex_destroy(&b->lock);
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
	b->ending = true;
	pthread_cond_broadcast(&b->work);
	pthread_mutex_unlock(&b->lock);
	for (unsigned i = 0; i < b->nthreads; i++)
		(void)pthread_join(b->thread[i], NULL);
	store_close(b->store);
	free_block(b);
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
