/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * direct.c - what of a request does not lie as O_DIRECT takes it: open(2), "O_DIRECT".
 *
 * It goes by memory that does.  Where a write begins or ends within a block, the block is read, changed and written; direct.h says what
 * keeps others from losing what they write to it meanwhile.
 */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "direct.h"
#include "store.h"

#define	ALIGN_MIN	512U
#define	ALIGN_MAX	65536U
#define	BOUNCE		(256U << 10)	/* bytes at a time; a multiple of ALIGN_MAX */

void
direct_init(struct direct *d, uint32_t align, uint32_t mem)
{
	*d = (struct direct){ .align = align, .mem = mem, .claimed = align != 0 };
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
}

void
direct_fini(struct direct *d)
{
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
}

/* Kernels before 6.1, and file systems that do not tell: what a device says, or what a file takes. */
static uint32_t
try_alignment(int fd, bool device)
{
	void *buf = NULL;
	int sector = 0;
	ssize_t n;

	if (device && ioctl(fd, BLKSSZGET, &sector) == 0 && sector > 0)
		return ((uint32_t)sector);
	if (posix_memalign(&buf, 4096, 4096) != 0)
		return (4096);
	n = pread(fd, (char *)buf + ALIGN_MIN, ALIGN_MIN, ALIGN_MIN);
	free(buf);
	return (n >= 0 ? ALIGN_MIN : 4096);
}

static bool
usable(uint32_t align)
{
	return (align != 0 && align <= ALIGN_MAX && (align & (align - 1)) == 0);
}

int
direct_start(struct direct *d, int fd, bool device)
{
	uint32_t align = 0, mem = 0;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) != 0)
		return (errno);
#ifdef STATX_DIOALIGN
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && (st.stx_mask & STATX_DIOALIGN) != 0) {
		align = st.stx_dio_offset_align;
		mem = st.stx_dio_mem_align;
		if (align == 0 || mem == 0)
			return (EINVAL);	/* statx(2): it cannot */
	}
#endif
	if (align == 0)
		align = mem = try_alignment(fd, device);
	if (!usable(align) || !usable(mem))
		return (EOPNOTSUPP);
	d->align = align;
	d->mem = mem;
	d->claimed = true;
	return (0);
}

bool
direct_fits(const struct direct *d, const struct iovec *iov, int niov, uint64_t off)
{
	if (d->align == 0)
		return (true);
	if (off % d->align != 0)
		return (false);
	for (int i = 0; i < niov; i++)
		if ((uintptr_t)iov[i].iov_base % d->mem != 0 || iov[i].iov_len % d->align != 0)
			return (false);
	return (true);
}

bool
direct_enter(struct direct *d, struct claim *mine, uint64_t off, uint64_t len, bool wait)
{
	bool taken;

	if (!d->claimed || len == 0)
		return (true);
	mine->first = off / d->align;
	mine->last = (off + len - 1) / d->align;
	pthread_mutex_lock(&d->lock);
	while (!(taken = claim_take(&d->claims, mine)) && wait)
		claim_wait(&d->claims, &d->changed, &d->lock);
	pthread_mutex_unlock(&d->lock);
	return (taken);
}

void
direct_leave(struct direct *d, struct claim *mine)
{
	if (!d->claimed)
		return;
	pthread_mutex_lock(&d->lock);
	claim_drop(&d->claims, mine, &d->changed);
	pthread_mutex_unlock(&d->lock);
}

/* A request on its way through buf. */
struct bounce {
	struct direct	*d;
	int		 fd;
	char		*buf;
	const struct iovec *iov;
	int		 niov;
	size_t		 skip;		/* bytes of iov[0] that are done */
	uint64_t	 off, end;	/* of the file: what is left */
};

/*
 * At least need bytes of up to len, a whole number of blocks.  The file ends where there is less than a block, from where there is no way on
 * either: what is behind is zeros, or the file has become shorter than a disk.
 */
static int
get(const struct bounce *b, char *buf, size_t len, size_t need, uint64_t off, bool zeros)
{
	size_t have = 0;
	bool end = false;
	ssize_t n;

	while (have < need && !end) {
		n = pread(b->fd, buf + have, len - have, (off_t)(off + have));
		if (n < 0 && errno != EINTR)
			return (errno);
		if (n >= 0) {
			have += (size_t)n;
			end = n == 0 || (size_t)n % b->d->align != 0;
		}
	}
	if (have < need && !zeros)
		return (EIO);
	memset(buf + have, 0, len - have);
	return (0);
}

static int
put(int fd, const char *buf, size_t len, uint64_t off)
{
	while (len != 0) {
		ssize_t n = pwrite(fd, buf, len, (off_t)off);

		if (n < 0 && errno != EINTR)
			return (errno);
		if (n == 0)
			return (EIO);
		if (n > 0) {
			buf += n;
			off += (uint64_t)n;
			len -= (size_t)n;
		}
	}
	return (0);
}

/* The next len bytes of the vector to buf, or from there. */
static void
copy(struct bounce *b, char *buf, size_t len, bool write)
{
	while (len != 0) {
		size_t n = b->iov->iov_len - b->skip < len ? b->iov->iov_len - b->skip : len;
		char *p = (char *)b->iov->iov_base + b->skip;

		if (n != 0)
			memcpy(write ? buf : p, write ? p : buf, n);
		buf += n;
		len -= n;
		b->skip += n;
		if (b->skip == b->iov->iov_len) {
			b->skip = 0;
			b->iov++;
			b->niov--;
		}
	}
}

/* The blocks of the next part: from *first; how many bytes of them are before the part, and in it. */
static size_t
part(const struct bounce *b, uint64_t *first, size_t *before, size_t *len)
{
	uint64_t align = b->d->align, end;

	*first = b->off & ~(align - 1);
	*before = (size_t)(b->off - *first);
	*len = b->end - b->off < BOUNCE - *before ? (size_t)(b->end - b->off) : BOUNCE - *before;
	end = (b->off + *len + align - 1) & ~(align - 1);
	return ((size_t)(end - *first));
}

static int
read_part(struct bounce *b)
{
	uint64_t first;
	size_t before, len, n = part(b, &first, &before, &len);
	int error = get(b, b->buf, n, before + len, first, false);

	if (error == 0)
		copy(b, b->buf + before, len, false);
	b->off += len;
	return (error);
}

static int
write_part(struct bounce *b)
{
	uint64_t first;
	size_t before, len, n = part(b, &first, &before, &len), align = b->d->align;
	int error = 0;

	if (before != 0)
		error = get(b, b->buf, align, align, first, true);
	/* Its last block, unless that is the first, and was read. */
	if (error == 0 && before + len != n && (n != align || before == 0))
		error = get(b, b->buf + n - align, align, align, first + n - align, true);
	if (error == 0) {
		copy(b, b->buf + before, len, true);
		error = put(b->fd, b->buf, n, first);
	}
	b->off += len;
	return (error);
}

static int
bounce(struct direct *d, int fd, const struct iovec *iov, int niov, uint64_t off, int (*some)(struct bounce *b))
{
	struct bounce b = { .d = d, .fd = fd, .iov = iov, .niov = niov, .off = off, .end = off + store_length(iov, niov) };
	void *buf;
	int error = 0;

	if (b.end == off)
		return (0);
	if (posix_memalign(&buf, d->mem > ALIGN_MIN ? d->mem : ALIGN_MIN, BOUNCE) != 0)
		return (ENOMEM);
	b.buf = buf;
	while (b.off < b.end && error == 0)
		error = some(&b);
	free(buf);
	return (error);
}

int
direct_readv(struct direct *d, int fd, const struct iovec *iov, int niov, uint64_t off)
{
	return (bounce(d, fd, iov, niov, off, read_part));
}

int
direct_writev(struct direct *d, int fd, const struct iovec *iov, int niov, uint64_t off)
{
	struct claim mine = { .exclusive = false };
	uint64_t len = store_length(iov, niov);
	int error;

	if (len == 0)
		return (0);
	mine.exclusive = off % d->align != 0 || len % d->align != 0;
	(void)direct_enter(d, &mine, off, len, true);
	error = bounce(d, fd, iov, niov, off, write_part);
	direct_leave(d, &mine);
	return (error);
}
