/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * claim.h - ranges that requests work on: shared by those that stay out of each other's way by themselves, or one's alone.
 *
 * The owner of a struct claims has a lock for it, held in all calls.
 */
#ifndef _HYVE_BLOCK_CLAIM_H_
#define	_HYVE_BLOCK_CLAIM_H_

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* What a request works on; in its owner's memory until it is dropped. */
struct claim {
	uint64_t	 first, last;	/* in the unit of all of them */
	bool		 exclusive;
	struct claim	*next;
};

struct claims {
	struct claim	*first;		/* no order */
	unsigned	 waiting;
};

/* Take mine, whose range and kind are set.  False: somebody has a part of it that cannot be shared. */
bool	claim_take(struct claims *all, struct claim *mine);
/* Wait until something was dropped; cond is that of all claims. */
void	claim_wait(struct claims *all, pthread_cond_t *cond, pthread_mutex_t *lock);
void	claim_drop(struct claims *all, struct claim *mine, pthread_cond_t *cond);

#endif /* _HYVE_BLOCK_CLAIM_H_ */
