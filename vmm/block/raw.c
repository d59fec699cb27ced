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
#include "raw.h"

/* The whole vector, in as many calls as it takes. */
static int
transfer(const struct raw *r, const struct iovec *iov, int niov, uint64_t off, bool write)
{
	struct cursor at = { iov, niov, 0 };
	struct iovec part[64];
	ssize_t n;
	int count;

	while (cursor_slice(&at, UINT64_MAX, part, 64, &count) != 0) {
		n = write ? pwritev(r->fd, part, count, (off_t)off) : preadv(r->fd, part, count, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return (errno);
		/* The file became shorter; or it ends within a block, from where there is no way on. */
		if (n == 0 || (r->direct.align != 0 && (uint64_t)n % r->direct.align != 0))
			return (EIO);
		off += (uint64_t)n;
		cursor_advance(&at, (uint64_t)n);
	}
	return (0);
}

static int
raw_readv(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	struct raw *r = priv;

	if (!direct_fits(&r->direct, iov, niov, off))
		return (direct_readv(&r->direct, r->fd, iov, niov, off));
	return (transfer(r, iov, niov, off, false));
}

static int
raw_writev(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	struct claim mine = { .exclusive = false };
	struct raw *r = priv;
	uint64_t len = store_length(iov, niov);
	int error;

	if (!direct_fits(&r->direct, iov, niov, off))
		return (direct_writev(&r->direct, r->fd, iov, niov, off));
	if (len == 0)
		return (0);
	(void)direct_enter(&r->direct, &mine, off, len, true);
	error = transfer(r, iov, niov, off, true);
	direct_leave(&r->direct, &mine);
	return (error);
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
	struct claim mine = { .exclusive = false };
	uint64_t range[2] = { off, len };
	struct raw *r = priv;

	(void)direct_enter(&r->direct, &mine, off, len, true);
	if (r->device)
		(void)ioctl(r->fd, BLKDISCARD, range);
	else
		(void)fallocate(r->fd, raw_zero_mode(true), (off_t)off, (off_t)len);
	direct_leave(&r->direct, &mine);
	return (0);
}

int
raw_zero_mode(bool unmap)
{
	return (FALLOC_FL_KEEP_SIZE | (unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE));
}

bool
raw_zero_cannot(int error)
{
	return (error == EOPNOTSUPP || error == EINVAL || error == ENODEV || error == ENOSYS);
}

static int
raw_zero(void *priv, uint64_t off, uint64_t len, bool unmap)
{
	struct claim mine = { .exclusive = false };
	struct raw *r = priv;
	int error = 0;

	(void)direct_enter(&r->direct, &mine, off, len, true);
	while (fallocate(r->fd, raw_zero_mode(unmap), (off_t)off, (off_t)len) != 0) {
		error = errno;
		if (error != EINTR)
			break;
		error = 0;
	}
	direct_leave(&r->direct, &mine);
	return (raw_zero_cannot(error) ? EOPNOTSUPP : error);
}

/* What a file system on a network did not write it may tell only now. */
static void
raw_close(void *priv)
{
	struct raw *r = priv;

	/* The lock goes with it.  After EINTR it is closed too. */
	if (close(r->fd) != 0 && errno != EINTR)
		store_complain(r->dev, r->path, "its last writes may be lost, it says when it is closed", errno);
	direct_fini(&r->direct);
	free(r->path);
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
	if (fcntl(r->fd, F_SETFL, 0) != 0)
		return (vmm_fail_sys(errno, "disk '%s'", path));
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

/* Around the cache, if that is asked for. */
static int
start_direct(const struct block_options *o, struct raw *r)
{
	int error = o->nocache ? direct_start(&r->direct, r->fd, r->device) : 0;

	if (error == EINVAL || error == EOPNOTSUPP)
		return (vmm_fail(ENOTSUP, "disk '%s' cannot be used around the host's cache: its file system has no O_DIRECT; leave out "
		    "nocache=true", o->path));
	return (error != 0 ? vmm_fail_sys(error, "disk '%s': nocache=true", o->path) : 0);
}

struct store *
raw_open(const struct block_options *o)
{
	struct raw *r = calloc(1, sizeof(*r));
	struct store *s = NULL;
	uint64_t size = 0;

	if (r == NULL || (r->path = strdup(o->path)) == NULL) {
		free(r);
		return (vmm_fail_null(ENOMEM, "disk '%s': no memory", o->path));
	}
	r->dev = o->dev;
	direct_init(&r->direct, 0, 0);
	/* O_NONBLOCK: a FIFO is refused below, not waited for. */
	r->fd = open(o->path, (o->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (r->fd < 0) {
		int error = errno;

		free(r->path);
		free(r);
		(void)vmm_fail_sys(error, "disk '%s': cannot be opened%s", o->path, o->readonly || (error != EACCES &&
		    error != EROFS && error != EPERM) ? "" : " for writing (ro=true would do without)");
		return (NULL);
	}
	if (find_size(o->path, r, &size) == 0 && lock(o->path, r, o->readonly) == 0 && start_direct(o, r) == 0)
		s = store_new(&raw_driver, r, size, o->readonly);
	if (s == NULL) {
		int error = errno;

		raw_close(r);
		errno = error;
		return (NULL);
	}
	s->fixed = r->device;
	s->raw = r;
	return (s);
}

/* A guest's sectors are all that is written now.  A file that is a disk keeps its size: it has to end where a block does. */
int
raw_is_disk(struct store *s)
{
	struct direct *d = &s->raw->direct;

	if (!s->readonly && d->align != 0 && s->size % d->align != 0)
		return (vmm_fail(EINVAL, "disk '%s' has %llu bytes, which are no whole number of blocks of %u bytes, as the host takes them "
		    "around its cache: leave out nocache=true, or make it longer by truncate(1)", s->raw->path,
		    (unsigned long long)s->size, d->align));
	d->claimed = d->align > BLOCK_SECTOR;
	return (0);
}
