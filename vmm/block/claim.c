/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * claim.c - ranges that requests work on.
 */
#include "claim.h"

bool
claim_take(struct claims *all, struct claim *mine)
{
	for (const struct claim *c = all->first; c != NULL; c = c->next)
		if (c->first <= mine->last && mine->first <= c->last && (mine->exclusive || c->exclusive))
			return (false);
	mine->next = all->first;
	all->first = mine;
	return (true);
}

void
claim_wait(struct claims *all, pthread_cond_t *cond, pthread_mutex_t *lock)
{
	all->waiting++;
	pthread_cond_wait(cond, lock);
	all->waiting--;
}

void
claim_drop(struct claims *all, struct claim *mine, pthread_cond_t *cond)
{
	struct claim **p = &all->first;

	while (*p != mine)
		p = &(*p)->next;
	*p = mine->next;
	if (all->waiting != 0)
		pthread_cond_broadcast(cond);
}
