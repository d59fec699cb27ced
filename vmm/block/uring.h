/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uring.h - requests to a raw image by io_uring (io_uring(7)).
 *
 * One thread has the ring to itself: it takes what was submitted in one call with waiting for what completes, and tells of that.
 */
#ifndef _HYVE_BLOCK_URING_H_
#define	_HYVE_BLOCK_URING_H_

#include "store.h"

struct uring;

/* What becomes of requests; called on the ring's thread, no lock held. */
struct uring_calls {
	void	(*done)(void *arg, struct block_req *r);	/* r->error is set */
	void	(*pass)(void *arg, struct block_req *r);	/* it can be done on a thread only */
};

/* A ring for s, which is raw.  NULL with errno: the host has none, or does not let us. */
struct uring	*uring_open(struct store *s, const struct uring_calls *calls, void *arg);
/* Nothing is under way.  NULL is ignored. */
void	uring_close(struct uring *u);
/* Begin a request within the image, not an empty one; false: it can be done on a thread only.  Any thread. */
bool	uring_submit(struct uring *u, struct block_req *r);

#endif /* _HYVE_BLOCK_URING_H_ */
