/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block.h - disk images: asynchronous requests, by io_uring or on a few threads.
 *
 * Requests are executed in any order, as on a real disk: what is to be durable before something else is written and flushed
 * before that is submitted.
 */
#ifndef _HYVE_BLOCK_H_
#define	_HYVE_BLOCK_H_

#include <sys/uio.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../device.h"
#include "claim.h"

#define	BLOCK_SECTOR	512U		/* unit of sizes and offsets */

enum block_op {
	BLOCK_READ,
	BLOCK_WRITE,
	/*
	 * Everything that was complete before is durable when it is complete.  After one that failed all fail, for nobody knows
	 * what was lost, unless it was ETIMEDOUT of a server whose writes are kept (nbd_log.c).
	 */
	BLOCK_FLUSH,
	BLOCK_DISCARD,		/* the content of a range does not matter any more */
	BLOCK_ZERO,		/* the range reads as zeros from now on */
};

struct block;

/* A request.  The owner keeps it, the vector and its memory in place until done was called. */
struct block_req {
	enum block_op	 op;
	uint64_t	 off;		/* bytes */
	uint64_t	 len;
	struct iovec	*iov;		/* READ, WRITE: of len bytes in all; may be changed */
	int		 niov;
	bool		 unmap;		/* ZERO: the range may lose its storage */
	int		 error;		/* result: 0 or an errno */
	void		(*done)(struct block_req *req);	/* on a thread of the image, no lock held */
	void		*arg;
	struct block_req *next;		/* the image's, as what follows */
	uint64_t	 began;		/* ns of the host's clock */
	struct claim	 claim;
};

/*
 * What an image is stored in.  Functions return 0 or an errno; they are called on the image's threads, several at a
 * time.
 */
struct block_driver {
	const char	*name;
	int		(*readv)(void *priv, const struct iovec *iov, int niov, uint64_t off);
	int		(*writev)(void *priv, const struct iovec *iov, int niov, uint64_t off);
	int		(*flush)(void *priv);		/* one at a time, none after one that failed; store.h has an exception */
	int		(*discard)(void *priv, uint64_t off, uint64_t len);		/* NULL: does nothing */
	int		(*zero)(void *priv, uint64_t off, uint64_t len, bool unmap);	/* NULL: zeros are written */
	void		(*close)(void *priv);
};

/* The keys of every disk's image, in the table of the disk's own; AT: of one of several disks, behind a prefix and with path not REQUIRED. */
#define	BLOCK_KEYS		BLOCK_KEYS_AT("", REQUIRED)
#define	BLOCK_KEYS_AT(prefix, path)						\
	KEY_PATH(prefix "path", path, "image or block device behind the disk, or the URI of an NBD export"),	\
	KEY_ENUM(prefix "format", "auto", block_formats, "of the image; auto: by its name, where what it has in it agrees"),	\
	KEY_BOOL(prefix "backing", true, "open the backing file that a qcow2 image names; false refuses images that have one"),	\
	KEY_BOOL(prefix "ro", false, "refuse writes"),					\
	KEY_BOOL(prefix "nocache", false, "go around the host's cache, by O_DIRECT"),	\
	KEY_ENUM(prefix "aio", "auto", block_engines, "how a raw image is read and written; auto: by io_uring where the host has it"), \
	KEY_INT(prefix "timeout", 30, 1, 3600, "NBD: seconds in which the server connects, and in which it answers a request"),	\
	KEY_INT(prefix "reconnect-delay", 30, 0, 3600, "NBD: seconds for which requests wait for a server that is gone, before they fail"),	\
	KEY_PATH(prefix "record", NULL, "a new file that gets every write and flush in order, to test what a crash leaves")

enum block_format {
	BLOCK_AUTO,
	BLOCK_RAW,
	BLOCK_QCOW2,
};

extern const char *const block_formats[];	/* the key's values */

enum block_aio {
	BLOCK_AIO_AUTO,
	BLOCK_AIO_URING,		/* a raw image only */
	BLOCK_AIO_THREADS,
};

extern const char *const block_engines[];	/* the key's values */

/* What these keys say. */
struct block_options {
	const char	*path;
	enum block_format format;
	bool		 nobacking;
	bool		 readonly;
	bool		 nocache;
	enum block_aio	 aio;
	struct device	*dev;		/* whose log is told what becomes of the image; NULL: nobody's */
	unsigned	 timeout, reconnect_delay;	/* seconds (nbd.h); timeout 0: 30 */
	const char	*record;	/* record.c says how; slow: each write is copied.  NULL: not at all */
};

/*
 * Open the image of dev by node, dev's own or one below, which has BLOCK_KEYS: a file or block device, locked against other users: shared if
 * read-only, which readonly makes it whatever the key says.  NULL with a sentence: no such file, no permission, in use, not a whole number
 * of sectors, a damaged header, ...  Control thread.
 */
struct block	*block_open_keys(struct device *dev, struct config_node *node, bool readonly);
/* The same by options, whose strings are needed for the call only. */
struct block	*block_open(const struct block_options *o);
/* An image of another kind (tests): size bytes behind driver.  NULL with a sentence. */
struct block	*block_open_driver(const struct block_driver *driver, void *priv, uint64_t size, bool readonly);
struct store;
/* An image in s (store.h), which it takes: s is closed if it fails.  NULL with a sentence. */
struct block	*block_open_store(struct store *s);
/* Waits for requests under way.  What is lost by it the log of its device is told.  NULL is ignored.  Control thread. */
void	block_close(struct block *b);

/*
 * Bring to its file what an image has in memory, so that a copy of the file, or who opens it next, has everything.  No request is under
 * way, or will be before the end.  -1 with a sentence, and the log is told.  NULL is in order.  Control thread.
 */
int	block_settle(struct block *b);
/* What it is in: "raw", "qcow2", "nbd", "recorder" (of one of them).  A constant. */
const char *block_format(const struct block *b);
/* Whether requests go by io_uring. */
bool	block_uses_uring(const struct block *b);

/* Requests of one kind since the image was opened, those that have ended.  Bytes are of those that succeeded, ns of all. */
struct block_counter {
	uint64_t	done, failed, invalid, bytes, ns;
};
struct block_stats {
	struct block_counter read, write, flush, discard;	/* zeroing counts as a write */
	uint64_t	 highest;	/* end of the write that ended highest, in bytes */
};
/* What an image has done so far; requests that end meanwhile may be in it in part.  Any thread. */
void	block_get_stats(const struct block *b, struct block_stats *stats);

uint64_t block_size(const struct block *b);		/* bytes */
bool	block_readonly(const struct block *b);

/*
 * Begin a request; ranges are checked (EINVAL, and EROFS for what writes to a read-only image) and done is called in any
 * case, but never from inside.  Any thread, with locks held that done takes.
 */
void	block_submit(struct block *b, struct block_req *req);
/* Tell the log of dev that a request failed; who: "", or which of several disks it was, with what stands behind that.  Any thread. */
void	block_failed(struct device *dev, const char *who, const struct block_req *req);

#endif /* _HYVE_BLOCK_H_ */
