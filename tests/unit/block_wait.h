/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block_wait.h - a request to an image that is waited for.
 */
#ifndef _BLOCK_WAIT_H_
#define	_BLOCK_WAIT_H_

#include <pthread.h>

#include "block/block.h"
#include "test.h"

struct waiter {
	struct block_req req;
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;
	unsigned	 calls;
};

static inline void
woken(struct block_req *req)
{
	struct waiter *w = req->arg;

	pthread_mutex_lock(&w->lock);
	w->calls++;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
}

/* The request's error. */
static inline int
wait_for_request(struct block *b, const struct block_req *req)
{
	struct waiter w = { .req = *req, .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };

	w.req.error = -1;
	w.req.done = woken;
	w.req.arg = &w;
	pthread_mutex_lock(&w.lock);
	block_submit(b, &w.req);
	/* Not called from inside: it would wait for the lock that is held here. */
	while (w.calls == 0)
		pthread_cond_wait(&w.cond, &w.lock);
	pthread_mutex_unlock(&w.lock);
	CHECK_EQ(w.calls, 1);
	return (w.req.error);
}

#endif /* _BLOCK_WAIT_H_ */
