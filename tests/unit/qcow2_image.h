/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qcow2_image.h - qcow2 images in memory: a maker and a checker that know the format by themselves, and a file that may lose power.
 */
#ifndef _QCOW2_IMAGE_H_
#define	_QCOW2_IMAGE_H_

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/store.h"

#define	IMAGE_MAX	(16U << 20)	/* bytes of a file */

struct image_form {
	unsigned	 version, bits, ref_order;
	uint64_t	 size;		/* of the disk */
	const char	*backing;	/* raw; NULL */
};

static inline void
put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, 8);
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
}

static inline uint64_t
get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, 8);
	return (be64toh(v));
}

static inline uint32_t
get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return (be32toh(v));
}

static inline void
refcount_set(uint8_t *block, unsigned order, uint64_t i, uint64_t v)
{
	unsigned bits = 1U << order;

	if (bits >= 8) {
		for (unsigned k = 0; k < bits / 8; k++)
			block[i * (bits / 8) + k] = (uint8_t)(v >> 8 * (bits / 8 - 1 - k));
		return;
	}
	for (unsigned k = 0; k < bits; k++) {
		uint64_t bit = i * bits + k;

		block[bit / 8] = (uint8_t)((block[bit / 8] & ~(1U << bit % 8)) | (v >> k & 1) << bit % 8);
	}
}

static inline uint64_t
refcount_get(const uint8_t *block, unsigned order, uint64_t i)
{
	unsigned bits = 1U << order;
	uint64_t v = 0;

	if (bits >= 8)
		for (unsigned k = 0; k < bits / 8; k++)
			v = v << 8 | block[i * (bits / 8) + k];
	else
		for (unsigned k = 0; k < bits; k++)
			v |= (uint64_t)(block[(i * bits + k) / 8] >> (i * bits + k) % 8 & 1) << k;
	return (v);
}

/* An empty image in mem, which is zeros; its length.  Header, refcount table, a block of it, L1 table. */
static inline size_t
image_make(uint8_t *mem, const struct image_form *f)
{
	uint64_t cl = 1ULL << f->bits, per_l2 = cl / 8 * cl, l1 = (f->size + per_l2 - 1) / per_l2;
	uint64_t l1_clusters = (l1 * 8 + cl - 1) / cl, used = 3 + l1_clusters;

	put32(mem, 0x514649fb);
	put32(mem + 4, f->version);
	put32(mem + 20, f->bits);
	put64(mem + 24, f->size);
	put32(mem + 36, (uint32_t)l1);
	put64(mem + 40, 3 * cl);
	put64(mem + 48, cl);
	put32(mem + 56, 1);
	if (f->version == 3) {
		put32(mem + 96, f->ref_order);
		put32(mem + 100, 104);
	}
	if (f->backing != NULL) {
		uint8_t *x = mem + (f->version == 3 ? 104 : 72);

		put32(x, 0xe2792aca);
		put32(x + 4, 3);
		memcpy(x + 8, "raw", 3);
		put64(mem + 8, (uint64_t)(x + 24 - mem));
		put32(mem + 16, (uint32_t)strlen(f->backing));
		memcpy(x + 24, f->backing, strlen(f->backing));
	}
	put64(mem + cl, 2 * cl);
	for (uint64_t i = 0; i < used; i++)
		refcount_set(mem + 2 * cl, f->version == 3 ? f->ref_order : 4, i, 1);
	return ((size_t)(used * cl));
}

/* Counts references to host clusters. */
struct checker {
	const uint8_t	*mem;
	size_t		 len;
	uint64_t	 cl;
	unsigned	 bits;
	uint8_t		*refs;		/* by cluster */
	uint64_t	 nclusters;
	char		*why;		/* 256 bytes; "" while all is well */
};

static inline void
check_ref(struct checker *c, uint64_t off, const char *what)
{
	uint64_t i = off >> c->bits;

	if (c->why[0] != '\0')
		return;
	if (i >= c->nclusters)
		(void)snprintf(c->why, 256, "%s at %#llx is outside", what, (unsigned long long)off);
	else if (++c->refs[i] > 1)
		(void)snprintf(c->why, 256, "%s at %#llx has another user", what, (unsigned long long)off);
}

static inline uint64_t
check_refcount(const struct checker *c, uint64_t cluster)
{
	uint64_t rt = get64(c->mem + 48), entries = (uint64_t)get32(c->mem + 56) * c->cl / 8;
	unsigned order = get32(c->mem + 4) == 3 ? get32(c->mem + 96) : 4, bits = c->bits + 3 - order;
	uint64_t block = cluster >> bits < entries ? get64(c->mem + rt + (cluster >> bits) * 8) : 0;

	return (block == 0 || block >= c->len ? 0 : refcount_get(c->mem + block, order, cluster & ((1ULL << bits) - 1)));
}

/* An L1 or L2 entry's cluster is counted once and says so. */
static inline void
check_entry(struct checker *c, uint64_t e, const char *what)
{
	uint64_t off = e & 0x00fffffffffffe00ULL;

	check_ref(c, off, what);
	if (c->why[0] == '\0' && ((e >> 63) == 1) != (check_refcount(c, off >> c->bits) == 1))
		(void)snprintf(c->why, 256, "%s at %#llx: COPIED and its refcount %llu do not agree", what, (unsigned long long)off,
		    (unsigned long long)check_refcount(c, off >> c->bits));
}

/* An image of the maker's after writes: nothing is used twice, all that is used is counted.  *leaks: clusters counted that nothing uses. */
static inline bool
image_check(const uint8_t *mem, size_t len, uint64_t *leaks, char why[256])
{
	struct checker c = { .mem = mem, .len = len, .bits = get32(mem + 20), .why = why };
	uint64_t rt, l1;
	uint32_t nl1 = get32(mem + 36);

	why[0] = '\0';
	c.cl = 1ULL << c.bits;
	c.nclusters = IMAGE_MAX >> c.bits;
	c.refs = calloc(1, c.nclusters);
	rt = get64(mem + 48);
	l1 = get64(mem + 40);
	check_ref(&c, 0, "header");
	for (uint32_t i = 0; i < get32(mem + 56); i++)
		check_ref(&c, rt + i * c.cl, "refcount table");
	for (uint64_t i = 0; i < get32(mem + 56) * c.cl / 8; i++)
		if (get64(mem + rt + i * 8) != 0)
			check_ref(&c, get64(mem + rt + i * 8), "refcount block");
	for (uint64_t i = 0; i < nl1 * 8; i += c.cl)
		check_ref(&c, l1 + i, "L1 table");
	for (uint32_t i = 0; i < nl1 && why[0] == '\0'; i++) {
		uint64_t e = get64(mem + l1 + i * 8ULL), l2 = e & 0x00fffffffffffe00ULL;

		if (l2 == 0)
			continue;
		check_entry(&c, e, "L2 table");
		for (uint64_t k = 0; k < c.cl / 8 && why[0] == '\0'; k++) {
			uint64_t d = get64(mem + l2 + k * 8);

			if ((d & 0x00fffffffffffe00ULL) != 0)
				check_entry(&c, d, "data");
		}
	}
	*leaks = 0;
	for (uint64_t i = 0; i < c.nclusters && why[0] == '\0'; i++) {
		uint64_t count = check_refcount(&c, i);

		if (count < c.refs[i])
			(void)snprintf(why, 256, "cluster %llu is used and not counted", (unsigned long long)i);
		*leaks += count > c.refs[i];
	}
	free(c.refs);
	return (why[0] == '\0');
}

/* A file with a volatile cache: what was written since the last flush may be lost, sector by sector. */
struct image_write {
	uint64_t	 off;
	size_t		 len;
	uint8_t		*data;		/* NULL: discarded, zeros */
};

struct image_file {
	pthread_mutex_t	 lock;
	uint8_t		*now, *safe;	/* IMAGE_MAX each */
	size_t		 end;		/* of now */
	struct image_write *pending;
	size_t		 npending, maxpending;
	unsigned	 bad_write;	/* fail one in so many; 0: none */
	uint64_t	 seed;
	unsigned	 nflushes;
	bool		 ignores_flushes;
	bool		 keeps;		/* what is discarded keeps its content */
	void		(*on_flush)(void);	/* before one, without the lock; NULL */
};

static inline void
file_pend(struct image_file *f, uint64_t off, size_t len, const uint8_t *data)
{
	struct image_write *w;

	if (f->npending == f->maxpending) {
		f->maxpending = f->maxpending * 2 + 64;
		f->pending = realloc(f->pending, f->maxpending * sizeof(*f->pending));
	}
	w = &f->pending[f->npending++];
	*w = (struct image_write){ .off = off, .len = len };
	if (data != NULL) {
		w->data = malloc(len);
		memcpy(w->data, data, len);
	}
}

static inline int
file_readv(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	struct image_file *f = priv;
	int error = 0;

	pthread_mutex_lock(&f->lock);
	for (int i = 0; i < niov && error == 0; off += iov[i++].iov_len)
		if (off > f->end || iov[i].iov_len > f->end - off)
			error = EIO;
		else
			memcpy(iov[i].iov_base, f->now + off, iov[i].iov_len);
	pthread_mutex_unlock(&f->lock);
	return (error);
}

static inline int
file_writev(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	struct image_file *f = priv;
	uint64_t first = off;
	int error = 0;

	pthread_mutex_lock(&f->lock);
	if (f->bad_write != 0 && (test_random(&f->seed) >> 20) % f->bad_write == 0)
		error = EIO;
	for (int i = 0; i < niov && error == 0; off += iov[i++].iov_len) {
		if (off > IMAGE_MAX || iov[i].iov_len > IMAGE_MAX - off) {
			error = ENOSPC;
			break;
		}
		memcpy(f->now + off, iov[i].iov_base, iov[i].iov_len);
		if (off + iov[i].iov_len > f->end)
			f->end = (size_t)off + iov[i].iov_len;
	}
	if (error == 0)
		file_pend(f, first, (size_t)(off - first), f->now + first);
	pthread_mutex_unlock(&f->lock);
	return (error);
}

static inline void
write_apply(uint8_t *to, const struct image_write *w, size_t from, size_t len)
{
	if (w->data != NULL)
		memcpy(to + w->off + from, w->data + from, len);
	else
		memset(to + w->off + from, 0, len);
}

static inline int
file_flush(void *priv)
{
	struct image_file *f = priv;

	if (f->on_flush != NULL)
		f->on_flush();
	pthread_mutex_lock(&f->lock);
	f->nflushes++;
	for (size_t i = 0; i < f->npending && !f->ignores_flushes; i++) {
		write_apply(f->safe, &f->pending[i], 0, f->pending[i].len);
		free(f->pending[i].data);
	}
	if (!f->ignores_flushes)
		f->npending = 0;
	pthread_mutex_unlock(&f->lock);
	return (0);
}

static inline int
file_discard(void *priv, uint64_t off, uint64_t len)
{
	struct image_file *f = priv;

	pthread_mutex_lock(&f->lock);
	if (off < f->end && !f->keeps) {
		if (len > f->end - off)
			len = f->end - off;
		memset(f->now + off, 0, len);
		file_pend(f, off, (size_t)len, NULL);
	}
	pthread_mutex_unlock(&f->lock);
	return (0);
}

/* The file stays: it is what is looked at. */
static inline void
file_close(void *priv)
{
}

static const struct block_driver file_driver = {
	.name = "file", .readv = file_readv, .writev = file_writev, .flush = file_flush, .discard = file_discard, .close = file_close,
};

static inline void
file_init(struct image_file *f, const struct image_form *form, uint64_t seed)
{
	*f = (struct image_file){ .lock = PTHREAD_MUTEX_INITIALIZER, .seed = seed };
	f->now = calloc(1, IMAGE_MAX);
	f->safe = calloc(1, IMAGE_MAX);
	f->end = image_make(f->now, form);
	memcpy(f->safe, f->now, f->end);
}

static inline void
file_fini(struct image_file *f)
{
	for (size_t i = 0; i < f->npending; i++)
		free(f->pending[i].data);
	free(f->pending);
	free(f->now);
	free(f->safe);
}

/* What a loss of power may leave, in to (IMAGE_MAX): in any order, any of the sectors. */
static inline void
file_crash(struct image_file *f, uint8_t *to, uint64_t *seed)
{
	static const unsigned stays[] = { 0, 10, 50, 90, 100 };
	unsigned percent = stays[(test_random(seed) >> 20) % 5];

	struct image_write *left;

	pthread_mutex_lock(&f->lock);
	memcpy(to, f->safe, IMAGE_MAX);
	left = malloc((f->npending + 1) * sizeof(*left));
	if (f->npending != 0)
		memcpy(left, f->pending, f->npending * sizeof(*left));
	for (size_t n = f->npending; n != 0; n--) {
		size_t k = (size_t)(test_random(seed) >> 20) % n;
		struct image_write w = left[k];

		left[k] = left[n - 1];
		for (size_t at = 0; at < w.len;) {
			size_t some = 512 - (size_t)((w.off + at) % 512);

			some = some < w.len - at ? some : w.len - at;
			if ((test_random(seed) >> 20) % 100 < percent)
				write_apply(to, &w, at, some);
			at += some;
		}
	}
	free(left);
	pthread_mutex_unlock(&f->lock);
}

#endif /* _QCOW2_IMAGE_H_ */
