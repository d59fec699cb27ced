/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raw.c - images without a format: files and block devices.
 */
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "store.h"

struct raw {
	int		 fd;
	bool		 device;
};

/* The whole vector, in as many calls as it takes. */
static int
transfer(int fd, const struct iovec *iov, int niov, uint64_t off, bool write)
{
	struct iovec part[64];
	size_t skip = 0;		/* bytes of iov[0] that are done */
	ssize_t n;

	while (niov > 0) {
		int count = niov < 64 ? niov : 64;

		memcpy(part, iov, (size_t)count * sizeof(part[0]));
		part[0].iov_base = (char *)part[0].iov_base + skip;
		part[0].iov_len -= skip;
		n = write ? pwritev(fd, part, count, (off_t)off) : preadv(fd, part, count, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (errno);
		if (n == 0)
			return (EIO);		/* the file became shorter */
		off += (uint64_t)n;
		skip += (size_t)n;
		while (niov > 0 && skip >= iov->iov_len) {
			skip -= iov->iov_len;
			iov++;
			niov--;
		}
	}
	return (0);
}

static int
raw_readv(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	return (transfer(((struct raw *)priv)->fd, iov, niov, off, false));
}

static int
raw_writev(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	return (transfer(((struct raw *)priv)->fd, iov, niov, off, true));
}

static int
raw_flush(void *priv)
{
	while (fdatasync(((struct raw *)priv)->fd) != 0) {
		if (errno != EINTR)
			return (errno);
	}
	return (0);
}

/* A hint: storage that cannot give space back keeps it. */
static int
raw_discard(void *priv, uint64_t off, uint64_t len)
{
	const struct raw *r = priv;
	uint64_t range[2] = { off, len };

	if (r->device)
		(void)ioctl(r->fd, BLKDISCARD, range);
	else
		(void)fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
	return (0);
}

static int
raw_zero(void *priv, uint64_t off, uint64_t len, bool unmap)
{
	const struct raw *r = priv;
	int mode = unmap ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

	while (fallocate(r->fd, mode, (off_t)off, (off_t)len) != 0) {
		if (errno == EOPNOTSUPP || errno == EINVAL || errno == ENODEV || errno == ENOSYS)
			return (EOPNOTSUPP);
		if (errno != EINTR)
			return (errno);
	}
	return (0);
}

static void
raw_close(void *priv)
{
	struct raw *r = priv;

	close(r->fd);		/* and the lock with it */
	free(r);
}

static const struct block_driver raw_driver = {
	.name = "raw",
	.readv = raw_readv,
	.writev = raw_writev,
	.flush = raw_flush,
	.discard = raw_discard,
	.zero = raw_zero,
	.close = raw_close,
};

static int
find_size(const char *path, struct raw *r, uint64_t *size)
{
	struct stat st;

	if (fstat(r->fd, &st) != 0)
		return (vmm_fail_sys(errno, "disk '%s'", path));
	r->device = S_ISBLK(st.st_mode);
	if (!r->device && !S_ISREG(st.st_mode))
		return (vmm_fail(EINVAL, "disk '%s' is neither a file nor a block device", path));
	*size = (uint64_t)st.st_size;
	if (r->device && ioctl(r->fd, BLKGETSIZE64, size) != 0)
		return (vmm_fail_sys(errno, "disk '%s'", path));
	return (0);
}

/* Readers may share the image; a writer is alone. */
static int
lock(const char *path, const struct raw *r, bool readonly)
{
	while (flock(r->fd, (readonly ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			return (vmm_fail(EBUSY, "disk '%s' is in use by another VM%s", path,
			    readonly ? "" : "; read-only users may share it"));
		if (errno != EINTR)
			return (vmm_fail_sys(errno, "disk '%s': cannot be locked", path));
	}
	return (0);
}

struct store *
raw_open(const struct block_options *o)
{
	struct raw *r = calloc(1, sizeof(*r));
	struct store *s = NULL;
	uint64_t size = 0;

	if (r == NULL)
		return (vmm_fail_null(ENOMEM, "disk '%s': no memory", o->path));
	/* O_NONBLOCK: a FIFO is refused below, not waited for. */
	r->fd = open(o->path, (o->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (r->fd < 0) {
		int error = errno;

		free(r);
		(void)vmm_fail_sys(error, "disk '%s': cannot be opened%s", o->path, o->readonly || (error != EACCES &&
		    error != EROFS && error != EPERM) ? "" : " for writing (ro=true would do without)");
		return (NULL);
	}
	if (find_size(o->path, r, &size) == 0 && lock(o->path, r, o->readonly) == 0)
		s = store_new(&raw_driver, r, size, o->readonly);
	if (s == NULL)
		raw_close(r);
	else
		s->fixed = r->device;
	return (s);
}
