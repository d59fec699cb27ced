/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * uring_none.c - no io_uring: hyve was built without liburing.
 */
#include <errno.h>

#include "uring.h"

struct uring *
uring_open(struct store *s, const struct uring_calls *calls, void *arg)
{
	errno = ENOSYS;
	return (NULL);
}

void
uring_close(struct uring *u)
{
}

bool
uring_submit(struct uring *u, struct block_req *r)
{
	return (false);
}
