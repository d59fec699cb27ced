/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.c - an image whose writes and flushes are recorded: a test drops and reorders what a crash may.
 *
 * A record tells how many others were there when its request began.  So a write whose record is the i-th, from 0, is durable
 * as soon as a flush ends that began with more than i records; what began and has no record yet may have reached the disk, in
 * parts and in any order.
 */
#include <sys/stat.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "store.h"

#define	MAGIC	0x6b6c6276U		/* "vblk" */

/* All little-endian; BLOCK_WRITE's data follows. */
struct record {
	uint32_t	 magic;
	uint32_t	 op;		/* enum block_op */
	uint32_t	 error;		/* an errno: how much of it was done nobody knows */
	uint32_t	 reserved;
	uint64_t	 began;		/* records before */
	uint64_t	 off, len;	/* bytes */
};

_Static_assert(sizeof(struct record) == 40, "docs/testing.md");

struct recorder {
	struct store	*image;
	int		 fd;
	pthread_mutex_t	 lock;		/* of the two below, and of the file */
	uint64_t	 count;
	int		 error;		/* of the first record that could not be written */
};

static uint64_t
begin(struct recorder *r)
{
	uint64_t count;

	pthread_mutex_lock(&r->lock);
	count = r->count;
	pthread_mutex_unlock(&r->lock);
	return (count);
}

static int
write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len != 0) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno != EINTR)
			return (errno);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return (0);
}

/* A request that ended.  Without its record the request failed: a log with a hole would prove nothing. */
static int
record(struct recorder *r, enum block_op op, uint64_t began, int result, uint64_t off, uint64_t len, const void *data)
{
	struct record rec = {
		.magic = htole32(MAGIC), .op = htole32(op), .error = htole32((uint32_t)result),
		.began = htole64(began), .off = htole64(off), .len = htole64(len),
	};
	int error;

	pthread_mutex_lock(&r->lock);
	if (r->error == 0)
		r->error = write_all(r->fd, &rec, sizeof(rec));
	if (r->error == 0 && data != NULL)
		r->error = write_all(r->fd, data, (size_t)len);
	r->count++;
	error = r->error;
	pthread_mutex_unlock(&r->lock);
	return (result != 0 ? result : error);
}

static int
rec_readv(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	return (store_readv(((struct recorder *)priv)->image, iov, niov, off));
}

/* A guest may change its memory at any time: what is recorded is what was written, so that it is copied once. */
static int
rec_writev(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	struct recorder *r = priv;
	uint64_t len = store_length(iov, niov), began = begin(r);
	char *copy = malloc((size_t)len);
	size_t done = 0;
	int error;

	if (copy == NULL)
		return (ENOMEM);
	for (int i = 0; i < niov; i++) {
		memcpy(copy + done, iov[i].iov_base, iov[i].iov_len);
		done += iov[i].iov_len;
	}
	error = store_write(r->image, copy, (size_t)len, off);
	error = record(r, BLOCK_WRITE, began, error, off, len, copy);
	free(copy);
	return (error);
}

static int
rec_flush(void *priv)
{
	struct recorder *r = priv;
	uint64_t began = begin(r);
	int error = store_flush(r->image);

	return (record(r, BLOCK_FLUSH, began, error, 0, 0, NULL));
}

static int
rec_discard(void *priv, uint64_t off, uint64_t len)
{
	struct recorder *r = priv;
	uint64_t began = begin(r);
	int error = store_discard(r->image, off, len);

	return (record(r, BLOCK_DISCARD, began, error, off, len, NULL));
}

static int
rec_zero(void *priv, uint64_t off, uint64_t len, bool unmap)
{
	struct recorder *r = priv;
	uint64_t began = begin(r);
	int error = store_zero(r->image, off, len, unmap);

	return (record(r, BLOCK_ZERO, began, error, off, len, NULL));
}

static void
rec_close(void *priv)
{
	struct recorder *r = priv;

	store_close(r->image);
	if (r->fd >= 0)
		close(r->fd);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static const struct block_driver recorder_driver = {
	.name = "recorder",
	.readv = rec_readv,
	.writev = rec_writev,
	.flush = rec_flush,
	.discard = rec_discard,
	.zero = rec_zero,
	.close = rec_close,
};

struct store *
recorder_open(struct store *image, const struct block_options *o)
{
	struct recorder *r = calloc(1, sizeof(*r));
	struct store *s = NULL;

	if (r == NULL) {
		store_close(image);
		return (vmm_fail_null(ENOMEM, "disk '%s': no memory", o->path));
	}
	pthread_mutex_init(&r->lock, NULL);
	r->image = image;
	/* A record of another run is none of this one's: nothing is overwritten. */
	r->fd = open(o->record, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (r->fd < 0)
		(void)vmm_fail_sys(errno, "disk '%s': its record '%s' cannot be made", o->path, o->record);
	else
		s = store_new(&recorder_driver, r, image->size, image->readonly);
	if (s == NULL) {
		int error = errno;

		rec_close(r);
		errno = error;
		return (NULL);
	}
	s->fixed = image->fixed;
	s->lazy = image->lazy;
	s->keeps = image->keeps;
	return (s);
}
