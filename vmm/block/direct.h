/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * direct.h - files that are read and written around the host's cache, and what of a request does not lie as that takes.
 */
#ifndef _HYVE_BLOCK_DIRECT_H_
#define	_HYVE_BLOCK_DIRECT_H_

#include <sys/uio.h>

#include <stddef.h>

#include "claim.h"

/*
 * A file whose offsets and lengths are multiples of align, and whose memory is of mem; 0: it takes any.
 *
 * Who writes a part of a block reads the rest of it first, and has the block alone meanwhile: a claim, in blocks.  Other writers share
 * theirs.  None is needed where requests are whole blocks anyway.
 */
struct direct {
	uint32_t	 align, mem;
	bool		 claimed;	/* writers need claims */
	pthread_mutex_t	 lock;
	pthread_cond_t	 changed;
	struct claims	 claims;
};

/* What requests have to be multiples of; 0: nothing, so far. */
void	direct_init(struct direct *d, uint32_t align, uint32_t mem);
void	direct_fini(struct direct *d);
/*
 * Make fd one that is read and written around the cache.  0 or an errno: EINVAL where the file system cannot.  claimed is for the owner to
 * take back, where all requests are multiples of what is no smaller than align.
 */
int	direct_start(struct direct *d, int fd, bool device);

/* Whether a request can be given to the host as it is. */
bool	direct_fits(const struct direct *d, const struct iovec *iov, int niov, uint64_t off);
/* Requests that cannot, by memory of their own.  0 or an errno.  Any thread. */
int	direct_readv(struct direct *d, int fd, const struct iovec *iov, int niov, uint64_t off);
int	direct_writev(struct direct *d, int fd, const struct iovec *iov, int niov, uint64_t off);

/* Around a write that fits, or whatever changes the file; where !d->claimed nothing happens.  false: it would have to wait, and does not. */
bool	direct_enter(struct direct *d, struct claim *mine, uint64_t off, uint64_t len, bool wait);
void	direct_leave(struct direct *d, struct claim *mine);

#endif /* _HYVE_BLOCK_DIRECT_H_ */
