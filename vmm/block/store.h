/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.h - what images are made of: layers of storage below the queue of block.h, as a file, a recorder on it, a format on that.
 *
 * Functions return 0 or an errno.  Reads and writes may come from several threads at a time, at any byte.
 */
#ifndef _HYVE_BLOCK_STORE_H_
#define	_HYVE_BLOCK_STORE_H_

#include <pthread.h>

#include "block.h"

struct store {
	const struct block_driver *driver;
	void		*priv;
	uint64_t	 size;		/* bytes when it was opened; a file may grow by a write behind its end, a device may not */
	bool		 readonly;
	bool		 fixed;		/* it cannot grow: a device */
	struct raw	*raw;		/* raw.h: there is nothing but a file or device, for which there are other ways too; NULL */
	bool		 lazy;		/* what it was given is in memory in parts until a flush, so that nobody else could use it */
	bool		 keeps;		/* a flush that fails by ETIMEDOUT lost nothing: a later one may succeed */
	bool		 retries;	/* what a flush could not write is written by the next one: only what is below forgets */
	pthread_mutex_t	 flush_lock;	/* taken alone */
	int		 flush_error;	/* of the first flush that failed, and lost something */
};

/* Storage behind driver.  NULL with a sentence: no memory, and priv is still the caller's. */
struct store	*store_new(const struct block_driver *driver, void *priv, uint64_t size, bool readonly);
/* NULL is ignored. */
void	store_close(struct store *s);

int	store_readv(struct store *s, const struct iovec *iov, int niov, uint64_t off);
int	store_writev(struct store *s, const struct iovec *iov, int niov, uint64_t off);
int	store_read(struct store *s, void *buf, size_t len, uint64_t off);
int	store_write(struct store *s, const void *buf, size_t len, uint64_t off);
int	store_flush(struct store *s);
int	store_discard(struct store *s, uint64_t off, uint64_t len);
/* What a flush that somebody else does begins and ends with: the error that it has already, or is to have.  One at a time. */
int	store_flush_error(struct store *s);
int	store_flush_ended(struct store *s, int error);
/* Zeros are written where the driver has nothing better. */
int	store_zero(struct store *s, uint64_t off, uint64_t len, bool unmap);

/* Bytes of a vector. */
static inline uint64_t
store_length(const struct iovec *iov, int niov)
{
	uint64_t len = 0;

	for (int i = 0; i < niov; i++)
		len += iov[i].iov_len;
	return (len);
}

/* A place in a request's memory: skip bytes of iov[0] are behind it. */
struct cursor {
	const struct iovec *iov;
	int		 niov;
	size_t		 skip;
};

/* The next bytes, max at most, as a vector of at most parts; how many they are.  Empty pieces are left out. */
uint64_t cursor_slice(const struct cursor *c, uint64_t max, struct iovec *part, int parts, int *n);
/* Move on by len bytes, which there are. */
void	cursor_advance(struct cursor *c, uint64_t len);

/* Tell the log of dev, if there is one, what happened to the image of path, for which there is nobody else to be told.  Any thread. */
void	store_complain(struct device *dev, const char *path, const char *what, int error);

/* Begin with io_uring if o asks for it, or does not mind and it is there.  -1 with a sentence.  Before the first request. */
int	block_choose_engine(struct block *b, const struct block_options *o);

/* Images whose backing file leads here, the nearest first. */
struct store_chain {
	uint64_t	 dev, ino;
	unsigned	 depth;
	const struct store_chain *up;
};

/* All layers of the image of o.  up: NULL for a disk's own.  NULL with a sentence. */
struct store	*store_open(const struct block_options *o, const struct store_chain *up);
/* The file or device of o->path, locked.  NULL with a sentence. */
struct store	*raw_open(const struct block_options *o);
/* What raw_open() gave is a disk as it is, and not the file of a format.  -1 with a sentence: it cannot be one. */
int	raw_is_disk(struct store *s);
/* Whether path is the URI of an NBD export, and its storage, connected.  NULL with a sentence. */
bool	nbd_is_uri(const char *path);
struct store	*nbd_open(const struct block_options *o);
/* A recorder over s, which it takes; s is closed if it fails.  NULL with a sentence. */
struct store	*recorder_open(struct store *s, const struct block_options *o);

/* The qcow2 image in file, which it takes; closed if it fails.  chain is its own place.  NULL with a sentence. */
struct store	*qcow2_open(struct store *file, const struct block_options *o, const struct store_chain *chain);
/* Whether file begins with the format's magic. */
bool	qcow2_is(struct store *file);

#endif /* _HYVE_BLOCK_STORE_H_ */
