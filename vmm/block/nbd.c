/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd.c - images on NBD servers (the NBD protocol, doc/proto.md and doc/uri.md of its project): storage in terms of what the server offers.
 *
 * A server has a smallest block, to which requests are aligned, and a largest one.  Reads and writes that are not aligned go through
 * a buffer, and such a write reads the blocks at its edges first; as others may write other bytes of these blocks at the same time, it
 * has its blocks alone meanwhile (direct.h).  Scattered memory is put into one buffer, for a round trip per page is worse than a copy.
 *
 * nbd_client.c has the connections.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "direct.h"
#include "nbd.h"
#include "store.h"

#define	MIN_DEFAULT	512U			/* where the server does not say ("Block size constraints") */
#define	MIN_LARGEST	65536U
#define	DATA_MAX	(32U << 20)		/* of a request; the same section */
#define	GATHER		(1U << 20)		/* of scattered memory */
#define	RANGE_MAX	(64U << 20)		/* of trim and zeroing, so that a server that writes zeros answers in time */
#define	TIMEOUT		30U

struct remote {
	const struct nbd_module *m;
	struct nbd_disk	*disk;
	struct nbd_export e;		/* min and max are not 0 */
	struct direct	 blocks;	/* of e.min bytes: claims of writers */
	struct device	*dev;
	char		*uri;
};

static const char *const schemes[] = { "nbd://", "nbds://", "nbd+unix://", "nbds+unix://" };

bool
nbd_is_uri(const char *path)
{
	for (unsigned i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		if (strncmp(path, schemes[i], strlen(schemes[i])) == 0)
			return (true);
	return (false);
}

static int
request(struct remote *r, enum nbd_op op, void *buf, uint64_t off, size_t len)
{
	return (r->m->request(r->disk, op, buf, off, len));
}

/* Copy len bytes between the cursor's memory and buf, and move on. */
static void
copy(struct cursor *c, uint8_t *buf, size_t len, bool gather)
{
	struct iovec part;
	int n;

	while (len != 0 && cursor_slice(c, len, &part, 1, &n) != 0) {
		memcpy(gather ? buf : part.iov_base, gather ? part.iov_base : buf, part.iov_len);
		cursor_advance(c, part.iov_len);
		buf += part.iov_len;
		len -= part.iov_len;
	}
}

/* The blocks around [off, off + len), which are at buf but for those at the edges. */
static int
read_edges(struct remote *r, uint8_t *buf, uint64_t off, uint64_t len)
{
	uint64_t min = r->e.min, start = off - off % min, last = (off + len - 1) - (off + len - 1) % min;
	int error = 0;

	if (start != off || (last == start && len != min))
		error = request(r, NBD_READ, buf, start, (size_t)min);
	if (error == 0 && last != start && (off + len) % min != 0)
		error = request(r, NBD_READ, buf + (last - start), last, (size_t)min);
	return (error);
}

/* Up to GATHER bytes through a buffer. */
static int
by_buffer(struct remote *r, struct cursor *c, uint64_t off, size_t len, bool write)
{
	uint64_t min = r->e.min, start = off - off % min, end = (off + len + min - 1) / min * min;
	struct claim mine = { .exclusive = start != off || end != off + len };
	uint8_t *buf = malloc((size_t)(end - start));
	int error = 0;

	if (buf == NULL)
		return (ENOMEM);
	if (!write) {
		error = request(r, NBD_READ, buf, start, (size_t)(end - start));
		if (error == 0)
			copy(c, buf + (off - start), len, false);
		free(buf);
		return (error);
	}
	(void)direct_enter(&r->blocks, &mine, off, len, true);
	if (mine.exclusive)
		error = read_edges(r, buf, off, len);
	if (error == 0) {
		copy(c, buf + (off - start), len, true);
		error = request(r, NBD_WRITE, buf, start, (size_t)(end - start));
	}
	direct_leave(&r->blocks, &mine);
	free(buf);
	return (error);
}

static int
straight(struct remote *r, struct cursor *c, void *buf, uint64_t off, size_t len, bool write)
{
	struct claim mine = { .exclusive = false };
	int error;

	if (write)
		(void)direct_enter(&r->blocks, &mine, off, len, true);
	error = request(r, write ? NBD_WRITE : NBD_READ, buf, off, len);
	if (write)
		direct_leave(&r->blocks, &mine);
	cursor_advance(c, len);
	return (error);
}

static int
transfer(struct remote *r, const struct iovec *iov, int niov, uint64_t off, bool write)
{
	struct cursor c = { iov, niov, 0 };
	size_t min = r->e.min, left = (size_t)store_length(iov, niov), n, gather = (r->e.max < GATHER ? r->e.max : GATHER) / min * min;
	int error = 0;

	if (off > r->e.size || left > r->e.size - off)
		return (EIO);			/* a qcow2 image that wants to grow */
	while (left != 0 && error == 0) {
		struct iovec next;
		int parts;
		size_t here = (size_t)cursor_slice(&c, left, &next, 1, &parts);

		here -= here % min;
		if (off % min == 0 && here != 0 && (here >= GATHER / 16 || here == left)) {
			n = here < r->e.max ? here : r->e.max;
			error = straight(r, &c, next.iov_base, off, n, write);
		} else {
			/* The block that off is in counts whole. */
			n = gather - (size_t)(off % min);
			n = left < n ? left : n;
			error = by_buffer(r, &c, off, n, write);
		}
		off += n;
		left -= n;
	}
	return (error);
}

static int
nbd_readv(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	return (transfer(priv, iov, niov, off, false));
}

static int
nbd_writev(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	return (transfer(priv, iov, niov, off, true));
}

/* A server without flushes has nothing that could be lost, or no way to say so. */
static int
nbd_flush(void *priv)
{
	struct remote *r = priv;

	return (r->e.flush ? request(r, NBD_FLUSH, NULL, 0, 0) : 0);
}

/* Whole blocks, in pieces. */
static int
ranges(struct remote *r, enum nbd_op op, uint64_t off, uint64_t end)
{
	struct claim mine = { .exclusive = false };
	int error = 0;

	(void)direct_enter(&r->blocks, &mine, off, end - off, true);
	while (off < end && error == 0) {
		size_t n = end - off < RANGE_MAX ? (size_t)(end - off) : RANGE_MAX;

		error = request(r, op, NULL, off, n);
		off += n;
	}
	direct_leave(&r->blocks, &mine);
	return (error);
}

/* A hint: a server that does not do it, or not there, leaves things as they are. */
static int
nbd_discard(void *priv, uint64_t off, uint64_t len)
{
	struct remote *r = priv;
	uint64_t min = r->e.min, start = (off + min - 1) / min * min, end = (off + len) / min * min;
	int error;

	if (!r->e.trim || start >= end)
		return (0);
	error = ranges(r, NBD_TRIM, start, end);
	return (error == EIO ? EIO : 0);
}

static int
write_zeros(struct remote *r, uint64_t off, uint64_t len)
{
	static const uint8_t zeros[MIN_LARGEST];
	const struct iovec iov = { .iov_base = (void *)(uintptr_t)zeros, .iov_len = (size_t)len };

	return (len != 0 ? transfer(r, &iov, 1, off, true) : 0);
}

static int
nbd_zero(void *priv, uint64_t off, uint64_t len, bool unmap)
{
	struct remote *r = priv;
	uint64_t min = r->e.min, start = (off + min - 1) / min * min, end = (off + len) / min * min;
	int error;

	if (!r->e.zero || start >= end)
		return (EOPNOTSUPP);		/* zeros are written */
	error = ranges(r, unmap ? NBD_ZERO : NBD_ZERO_KEEP, start, end);
	if (error == EINVAL)
		return (EOPNOTSUPP);
	if (error == 0)
		error = write_zeros(r, off, start - off);
	return (error != 0 ? error : write_zeros(r, end, off + len - end));
}

static void
free_remote(struct remote *r)
{
	direct_fini(&r->blocks);
	free(r->uri);
	free(r);
}

static void
nbd_close(void *priv)
{
	struct remote *r = priv;

	r->m->close(r->disk);
	free_remote(r);
}

static const struct block_driver nbd_driver = {
	.name = "nbd",
	.readv = nbd_readv,
	.writev = nbd_writev,
	.flush = nbd_flush,
	.discard = nbd_discard,
	.zero = nbd_zero,
	.close = nbd_close,
};

static void
tell(void *arg, const char *what)
{
	struct remote *r = arg;

	if (r->dev != NULL)
		device_guest_log(r->dev, "disk '%s': %s", r->uri, what);
}

/* Constraints that can be kept to. */
static int
check_export(const struct block_options *o, struct nbd_export *e)
{
	uint32_t said = e->min;

	/* Whose size is not a multiple of what is assumed, does not work in such blocks. */
	if (said == 0)
		e->min = e->size % MIN_DEFAULT == 0 ? MIN_DEFAULT : 1;
	if ((e->min & (e->min - 1)) != 0 || e->min > MIN_LARGEST)
		return (vmm_fail(EPROTO, "disk '%s': the server wants blocks of %u bytes, which is no power of two up to 65536", o->path, said));
	if (e->size % e->min != 0)
		return (vmm_fail(EPROTO, "disk '%s': the server wants blocks of %u bytes, and its export of %llu bytes does not consist of them",
		    o->path, said, (unsigned long long)e->size));
	if (e->max == 0 || e->max > DATA_MAX)
		e->max = DATA_MAX;
	if (e->max < e->min)
		return (vmm_fail(EPROTO, "disk '%s': the server wants blocks of %u bytes at least and %u at most", o->path, said, e->max));
	e->max -= e->max % e->min;
	if (e->readonly && !o->readonly)
		return (vmm_fail(EROFS, "disk '%s': the export is read-only (ro=true would do)", o->path));
	return (0);
}

static int
connect_to(const struct block_options *o, struct remote *r)
{
	const struct nbd_options n = {
		.uri = o->path, .timeout = o->timeout != 0 ? o->timeout : TIMEOUT, .reconnect_delay = o->reconnect_delay,
		.writes = !o->readonly, .tell = tell, .arg = r,
	};

	r->m = module_load("block-nbd", "hyve_block_nbd", "libnbd0");
	r->disk = r->m != NULL ? r->m->open(&module_host, &n, &r->e) : NULL;
	return (r->disk != NULL ? 0 : vmm_fail(errno, "disk '%s': %s", o->path, vmm_errmsg()));
}

struct store *
nbd_open(const struct block_options *o)
{
	struct remote *r = calloc(1, sizeof(*r));
	struct store *s = NULL;
	int error;

	if (o->nocache) {
		free(r);
		return (vmm_fail_null(ENOTSUP, "disk '%s': nocache=true is for files and devices: the cache is the server's", o->path));
	}
	if (r == NULL)
		return (vmm_fail_null(ENOMEM, "disk '%s': no memory", o->path));
	r->dev = o->dev;
	direct_init(&r->blocks, MIN_DEFAULT, 1);
	r->uri = strdup(o->path);
	if (r->uri == NULL)
		(void)vmm_fail(ENOMEM, "disk '%s': no memory", o->path);
	if (r->uri == NULL || connect_to(o, r) != 0) {
		error = errno;
		free_remote(r);
		errno = error;
		return (NULL);
	}
	if (check_export(o, &r->e) == 0) {
		r->blocks.align = r->e.min;
		s = store_new(&nbd_driver, r, r->e.size, o->readonly);
	}
	if (s == NULL) {
		error = errno;
		nbd_close(r);
		errno = error;
		return (NULL);
	}
	s->fixed = true;
	/* What the server acknowledged is safe in our memory only, until it is flushed. */
	s->lazy = s->keeps = !o->readonly && r->e.flush;
	return (s);
}
