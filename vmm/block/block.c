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
#include "block.h"

#define	NTHREADS	4
#define	ZEROS		65536

struct block {
	const struct block_driver *driver;
	void		*priv;
	uint64_t	 size;
	bool		 readonly;
	pthread_mutex_t	 lock;
	pthread_cond_t	 work;
	struct block_req *first, **last;
	pthread_t	 thread[NTHREADS];
	unsigned	 nthreads;	/* made when there is work for them */
	unsigned	 idle, queued;
	bool		 ending;
	pthread_mutex_t	 flush_lock;	/* taken alone */
	int		 flush_error;	/* of the first flush that failed */
};

static int
write_zeros(struct block *b, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[ZEROS];
	struct iovec iov;
	int error;

	while (len != 0) {
		uint64_t n = len < sizeof(zeros) ? len : sizeof(zeros);

		iov.iov_base = (void *)(uintptr_t)zeros;
		iov.iov_len = n;
		error = b->driver->writev(b->priv, &iov, 1, off);
		if (error != 0)
			return (error);
		off += n;
		len -= n;
	}
	return (0);
}

static int
check(const struct block *b, const struct block_req *r)
{
	if (r->op == BLOCK_FLUSH)
		return (0);
	if (r->op != BLOCK_READ && b->readonly)
		return (EROFS);
	if (r->off % BLOCK_SECTOR != 0 || r->len % BLOCK_SECTOR != 0 || r->off > b->size || r->len > b->size - r->off)
		return (EINVAL);
	return (0);
}

/*
 * A host that failed to write its cache back says so once, and forgets the data: a second flush would succeed, though what it
 * stands for is lost.  So one failure makes every later flush fail, and flushes do not overlap, as only one would be told.
 */
static int
flush(struct block *b)
{
	int error;

	pthread_mutex_lock(&b->flush_lock);
	error = b->flush_error;
	if (error == 0)
		error = b->flush_error = b->driver->flush(b->priv);
	pthread_mutex_unlock(&b->flush_lock);
	return (error);
}

int
block_execute(struct block *b, struct block_req *r)
{
	const struct block_driver *d = b->driver;
	int error = check(b, r);

	if (error != 0 || (r->len == 0 && r->op != BLOCK_FLUSH))
		return (error);
	switch (r->op) {
	case BLOCK_READ:
		return (d->readv(b->priv, r->iov, r->niov, r->off));
	case BLOCK_WRITE:
		return (d->writev(b->priv, r->iov, r->niov, r->off));
	case BLOCK_FLUSH:
		return (b->readonly ? 0 : flush(b));
	case BLOCK_DISCARD:
		return (d->discard != NULL ? d->discard(b->priv, r->off, r->len) : 0);
	case BLOCK_ZERO:
		error = d->zero != NULL ? d->zero(b->priv, r->off, r->len, r->unmap) : EOPNOTSUPP;
		return (error == EOPNOTSUPP ? write_zeros(b, r->off, r->len) : error);
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
		r->error = block_execute(b, r);
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
	pthread_mutex_destroy(&b->flush_lock);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

struct block *
block_open_driver(const struct block_driver *driver, void *priv, uint64_t size, bool readonly)
{
	struct block *b = calloc(1, sizeof(*b));
	int error;

	if (b == NULL)
		return (vmm_fail_null(ENOMEM, "disk: no memory"));
	b->driver = driver;
	b->priv = priv;
	b->size = size;
	b->readonly = readonly;
	b->last = &b->first;
	pthread_mutex_init(&b->lock, NULL);
	pthread_mutex_init(&b->flush_lock, NULL);
	pthread_cond_init(&b->work, NULL);
	error = add_thread(b);
	if (error != 0) {
		free_block(b);
		(void)vmm_fail_sys(error, "disk: cannot make a thread");
		return (NULL);
	}
	return (b);
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
	b->driver->close(b->priv);
	free_block(b);
}

uint64_t
block_size(const struct block *b)
{
	return (b->size);
}

bool
block_readonly(const struct block *b)
{
	return (b->readonly);
}
