/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qcow2.c - reads, writes and discards of a qcow2 image; qcow2.h has what holds for them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"

#define	PARTS	256		/* pieces of a request's vector that one call takes */
#define	ZEROS	65536

static void
clear(const struct iovec *iov, int niov)
{
	for (int i = 0; i < niov; i++)
		memset(iov[i].iov_base, 0, iov[i].iov_len);
}

static void
scatter(const struct iovec *iov, int niov, const uint8_t *from)
{
	for (int i = 0; i < niov; i++) {
		memcpy(iov[i].iov_base, from, iov[i].iov_len);
		from += iov[i].iov_len;
	}
}

/* Lock held.  False: somebody has them, and was waited for; look again. */
static bool
claim(struct qcow2 *q, struct claim *mine, uint64_t off, uint64_t len, bool exclusive)
{
	*mine = (struct claim){ .first = off >> q->bits, .last = (off + len - 1) >> q->bits, .exclusive = exclusive };
	if (claim_take(&q->claims, mine))
		return (true);
	claim_wait(&q->claims, &q->changed, &q->lock);
	return (false);
}

static void
unclaim(struct qcow2 *q, struct claim *mine)
{
	claim_drop(&q->claims, mine, &q->changed);
}

/* Of the compressed cluster of entry, from byte within.  Sequential readers come again for the same one. */
static int
read_packed(struct qcow2 *q, uint64_t entry, uint64_t within, const struct iovec *iov, int niov)
{
	uint8_t *in = NULL, *out = NULL, *old;
	uint64_t off, len;
	int error = 0;

	pthread_mutex_lock(&q->unpacked_lock);
	if (q->unpacked != NULL && q->unpacked_entry == entry) {
		scatter(iov, niov, q->unpacked + within);
		pthread_mutex_unlock(&q->unpacked_lock);
		return (0);
	}
	pthread_mutex_unlock(&q->unpacked_lock);
	q_packed_place(q, entry, &off, &len);
	in = malloc((size_t)len);
	out = malloc(q->cluster);
	if (in == NULL || out == NULL)
		error = ENOMEM;
	if (error == 0)
		error = q_file_read(q, in, (size_t)len, off);
	if (error == 0 && q_unpack(q, in, (size_t)len, out) != 0)
		error = q_damaged(q, "a compressed cluster is damaged, at", off);
	free(in);
	if (error != 0) {
		free(out);
		return (error);
	}
	scatter(iov, niov, out + within);
	pthread_mutex_lock(&q->unpacked_lock);
	old = q->unpacked;
	q->unpacked = out;
	q->unpacked_entry = entry;
	pthread_mutex_unlock(&q->unpacked_lock);
	free(old);
	return (0);
}

/* The backing file may be shorter. */
static int
read_backing(struct qcow2 *q, const struct iovec *iov, int niov, uint64_t off, uint64_t len)
{
	uint64_t have = off >= q->backing->size ? 0 : q->backing->size - off;
	struct iovec part[PARTS];
	struct cursor c = { iov, niov, 0 };
	int n, error = 0;

	if (have > len)
		have = len;
	if (have != 0) {
		(void)cursor_slice(&c, have, part, PARTS, &n);
		error = store_readv(q->backing, part, n, off);
	}
	cursor_advance(&c, have);
	(void)cursor_slice(&c, len - have, part, PARTS, &n);
	clear(part, n);
	return (error);
}

/* iov is no longer than r, and has PARTS at most. */
static int
read_run(struct qcow2 *q, const struct q_run *r, const struct iovec *iov, int niov, uint64_t off, uint64_t len)
{
	switch (r->kind) {
	case Q_HOLE:
		return (read_backing(q, iov, niov, off, len));
	case Q_ZEROS:
		clear(iov, niov);
		return (0);
	case Q_DATA:
		return (q_file_readv(q, iov, niov, r->host, len));
	case Q_PACKED:
		return (read_packed(q, r->entry, off & (q->cluster - 1), iov, niov));
	}
	return (EIO);
}

static int
q_readv(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	struct cursor at = { iov, niov, 0 };
	uint64_t left = store_length(iov, niov), n;
	struct qcow2 *q = priv;
	struct iovec part[PARTS];
	struct claim mine;
	struct q_run r;
	int parts, error = 0;

	while (left != 0 && error == 0) {
		pthread_mutex_lock(&q->lock);
		do {
			error = q_lookup(q, off, left, &r);
		} while (error == 0 && !claim(q, &mine, off, r.len, false));
		pthread_mutex_unlock(&q->lock);
		if (error != 0)
			break;
		n = cursor_slice(&at, r.len, part, PARTS, &parts);
		error = read_run(q, &r, part, parts, off, n);
		pthread_mutex_lock(&q->lock);
		unclaim(q, &mine);
		pthread_mutex_unlock(&q->lock);
		cursor_advance(&at, n);
		off += n;
		left -= n;
	}
	return (error);
}

/* Old content around a write; its clusters are claimed. */
static int
read_claimed(struct qcow2 *q, uint8_t *buf, uint64_t len, uint64_t off)
{
	int error = 0;

	while (len != 0 && error == 0) {
		struct iovec part = { .iov_base = buf };
		struct q_run r;

		pthread_mutex_lock(&q->lock);
		error = q_lookup(q, off, len, &r);
		pthread_mutex_unlock(&q->lock);
		if (error != 0)
			break;
		part.iov_len = (size_t)r.len;
		error = read_run(q, &r, &part, 1, off, r.len);
		buf += r.len;
		off += r.len;
		len -= r.len;
	}
	return (error);
}

/* A write to clusters that are new, or kept for zeros: the whole of each is written. */
struct fill {
	uint64_t	 off, len;	/* of the disk: what is written */
	uint64_t	 host;		/* of the first cluster */
	uint64_t	 clusters;
	bool		 fresh;		/* zeros need not be written */
};

static int
write_filled(struct qcow2 *q, const struct fill *f, const struct iovec *part, int parts)
{
	uint64_t head = f->off & (q->cluster - 1), tail = (f->clusters << q->bits) - head - f->len;
	struct iovec whole[PARTS + 2];
	uint8_t *around = NULL;
	struct q_run a = { .kind = Q_ZEROS }, b = { .kind = Q_ZEROS };
	int n = 0, error = 0;

	if (head + tail == 0)
		return (q_file_writev(q, part, parts, f->host, f->len));
	pthread_mutex_lock(&q->lock);
	if (head != 0)
		error = q_lookup(q, f->off - head, 1, &a);
	if (tail != 0 && error == 0)
		error = q_lookup(q, f->off + f->len, 1, &b);
	pthread_mutex_unlock(&q->lock);
	if (error != 0)
		return (error);
	/* The file has zeros there by itself, if only it gets long enough; or they are behind its end. */
	if (f->fresh && a.kind == Q_ZEROS && b.kind == Q_ZEROS)
		return (q_file_writev(q, part, parts, f->host + head, f->len));
	around = malloc((size_t)(head + tail));
	if (around == NULL)
		return (ENOMEM);
	error = read_claimed(q, around, head, f->off - head);
	if (error == 0)
		error = read_claimed(q, around + head, tail, f->off + f->len);
	if (error == 0) {
		if (head != 0)
			whole[n++] = (struct iovec){ .iov_base = around, .iov_len = (size_t)head };
		memcpy(whole + n, part, (size_t)parts * sizeof(*part));
		n += parts;
		if (tail != 0)
			whole[n++] = (struct iovec){ .iov_base = around + head, .iov_len = (size_t)tail };
		error = q_file_writev(q, whole, n, f->host, f->clusters << q->bits);
	}
	free(around);
	return (error);
}

static uint64_t
clusters_of(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	return (((off + len - 1) >> q->bits) - (off >> q->bits) + 1);
}

/* Lock held.  How much from off, len at most, cannot be written in place, and what there is for it: r is the first run of it. */
static void
to_be_filled(struct qcow2 *q, uint64_t off, uint64_t len, const struct q_run *r, uint64_t *fill)
{
	struct q_run next;
	int error;

	*fill = r->len;
	while (!r->owned && *fill < len) {
		error = q_lookup(q, off + *fill, len - *fill, &next);
		/* A damaged entry stops whoever gets to it. */
		if (error != 0 || next.owned || ((off + *fill) & ((1ULL << (q->bits + q->l2_bits)) - 1)) == 0)
			return;
		*fill += next.len;
	}
}

/* Lock held: places for f, of which it may get less. */
static int
place(struct qcow2 *q, struct fill *f, const struct q_run *r)
{
	uint64_t want = clusters_of(q, f->off, f->len), end;
	int error = q_own_l2(q, f->off);

	if (error != 0)
		return (error);
	if (r->owned) {
		f->host = r->host & ~(q->cluster - 1);
		f->clusters = want;
		return (q_is_meta(q, f->host, want << q->bits) ? q_damaged(q, "a cluster of the disk is one of the image's tables, at",
		    f->host) : 0);
	}
	error = q_alloc(q, want, &f->host, &f->clusters, &f->fresh);
	if (error != 0)
		return (error);
	end = ((f->off >> q->bits) + f->clusters) << q->bits;
	if (f->off + f->len > end)
		f->len = end - f->off;
	return (0);
}

/* Lock held: f was written, or failed. */
static int
settle(struct qcow2 *q, const struct fill *f, bool owned, int error)
{
	for (uint64_t i = 0; error == 0 && i < f->clusters; i++)
		error = q_set_entry(q, f->off + (i << q->bits), (f->host + (i << q->bits)) | Q_COPIED);
	if (error != 0 && !owned)
		q_unalloc(q, f->host, f->clusters);
	return (error);
}

/* Write what one call can, at most len bytes from at: *n. */
static int
write_some(struct qcow2 *q, const struct cursor *at, uint64_t off, uint64_t len, uint64_t *n)
{
	struct iovec part[PARTS];
	struct fill f = { .off = off };
	struct claim mine;
	struct q_run r;
	bool in_place = false;
	int parts, error;

	len = cursor_slice(at, len, part, PARTS, &parts);
	pthread_mutex_lock(&q->lock);
	do {
		error = q_make_room(q);
		if (error == 0)
			error = q_lookup(q, off, len, &r);
		if (error != 0)
			break;
		in_place = r.kind == Q_DATA && r.owned;
		f.len = r.len;
		if (!in_place)
			to_be_filled(q, off, len, &r, &f.len);
	} while (error == 0 && !claim(q, &mine, off, f.len, !in_place));
	if (error != 0) {
		pthread_mutex_unlock(&q->lock);
		return (error);
	}
	if (!in_place)
		error = place(q, &f, &r);
	else if (q_is_meta(q, r.host, f.len))
		error = q_damaged(q, "a cluster of the disk is one of the image's tables, at", r.host);
	pthread_mutex_unlock(&q->lock);
	if (error == 0) {
		*n = cursor_slice(at, f.len, part, PARTS, &parts);
		error = in_place ? q_file_writev(q, part, parts, r.host, *n) : write_filled(q, &f, part, parts);
	}
	pthread_mutex_lock(&q->lock);
	if (!in_place && f.clusters != 0)
		error = settle(q, &f, r.owned, error);
	unclaim(q, &mine);
	pthread_mutex_unlock(&q->lock);
	return (error);
}

static int
q_writev(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	struct cursor at = { iov, niov, 0 };
	uint64_t left = store_length(iov, niov), n = 0;
	int error = 0;

	while (left != 0 && error == 0) {
		error = write_some(priv, &at, off, left, &n);
		cursor_advance(&at, n);
		off += n;
		left -= n;
	}
	return (error);
}

static int
q_flush(void *priv)
{
	struct qcow2 *q = priv;
	int error;

	pthread_mutex_lock(&q->lock);
	error = q_commit(q);
	pthread_mutex_unlock(&q->lock);
	return (error);
}

enum emptying {
	DISCARD,
	ZERO_UNMAPPING,
	ZERO_KEEPING,		/* clusters stay, where there are some */
};

/* What a cluster of run r is to become: *same if it is so already.  Without version 3 only what has no backing file can lose its content. */
static uint64_t
emptied(const struct qcow2 *q, const struct q_run *r, enum emptying how, bool *same)
{
	uint64_t host = r->owned && r->kind != Q_PACKED ? r->host & ~(q->cluster - 1) : 0;

	*same = (r->kind == Q_ZEROS && (how == ZERO_KEEPING || host == 0)) || (r->kind == Q_HOLE && how == DISCARD);
	if (how == ZERO_KEEPING && host != 0)
		return (host | Q_COPIED | Q_ZERO);
	return (q->backing != NULL ? Q_ZERO : 0);
}

/* Whole clusters become zeros: those of one run. */
static int
empty_some(struct qcow2 *q, uint64_t off, uint64_t len, enum emptying how, uint64_t *n)
{
	struct claim mine;
	struct q_run r;
	uint64_t entry;
	bool same;
	int error;

	pthread_mutex_lock(&q->lock);
	do {
		error = q_make_room(q);
		if (error == 0)
			error = q_lookup(q, off, len, &r);
	} while (error == 0 && !claim(q, &mine, off, r.len, true));
	if (error == 0) {
		entry = emptied(q, &r, how, &same);
		if (!same)
			error = q_own_l2(q, off);
		for (uint64_t at = 0; !same && error == 0 && at < r.len; at += q->cluster)
			error = q_set_entry(q, off + at, (entry & Q_OFFSET) != 0 ? entry + at : entry);
		unclaim(q, &mine);
		*n = r.len;
	}
	pthread_mutex_unlock(&q->lock);
	return (error);
}

/* [off, off + len) as far as it is whole clusters; the disk's last one may be a part. */
static void
whole_clusters(const struct qcow2 *q, uint64_t off, uint64_t len, uint64_t *first, uint64_t *end)
{
	*first = (off + q->cluster - 1) & ~(q->cluster - 1);
	*end = off + len == q->size ? q->size : (off + len) & ~(q->cluster - 1);
	if (*end < *first)
		*end = *first;
}

static int
empty(struct qcow2 *q, uint64_t first, uint64_t end, enum emptying how)
{
	uint64_t n = 0;
	int error = 0;

	for (; first < end && error == 0; first += n)
		error = empty_some(q, first, end - first, how, &n);
	return (error);
}

/* Discarded data reads as zeros and not as the backing file's: nobody sees what was there long ago. */
static int
q_discard(void *priv, uint64_t off, uint64_t len)
{
	struct qcow2 *q = priv;
	uint64_t first, end;

	if (q->version < 3 && q->backing != NULL)
		return (0);
	whole_clusters(q, off, len, &first, &end);
	return (empty(q, first, end, DISCARD));
}

static int
write_zeros(struct qcow2 *q, uint64_t off, uint64_t end)
{
	static const uint8_t zeros[ZEROS];
	int error = 0;

	while (off < end && error == 0) {
		struct iovec iov = { .iov_base = (void *)(uintptr_t)zeros, .iov_len = end - off < ZEROS ? (size_t)(end - off) : ZEROS };

		error = q_writev(q, &iov, 1, off);
		off += iov.iov_len;
	}
	return (error);
}

static int
q_zero(void *priv, uint64_t off, uint64_t len, bool unmap)
{
	struct qcow2 *q = priv;
	uint64_t first, end;
	int error;

	/* Version 2 has no way to say zeros where there is a backing file, nor to keep a cluster for them. */
	if (q->version < 3 && (q->backing != NULL || !unmap))
		return (EOPNOTSUPP);
	whole_clusters(q, off, len, &first, &end);
	if (first >= end)
		return (write_zeros(q, off, off + len));
	error = write_zeros(q, off, first);
	if (error == 0)
		error = empty(q, first, end, unmap ? ZERO_UNMAPPING : ZERO_KEEPING);
	if (error == 0 && end < off + len)
		error = write_zeros(q, end, off + len);
	return (error);
}

static void
q_close(void *priv)
{
	struct qcow2 *q = priv;
	int error = 0;

	if (!q->readonly) {
		pthread_mutex_lock(&q->lock);
		error = q_commit(q);
		/* Once more for what the first one gave back. */
		if (error == 0 && q->ndirty != 0)
			error = q_commit(q);
		pthread_mutex_unlock(&q->lock);
	}
	if (error != 0)
		store_complain(q->dev, q->path, "what was written since the last flush may be lost, closing it failed", error);
	q_tables_free(q);
	store_close(q->backing);
	store_close(q->file);
	free(q->frees);
	free(q->l1);
	free(q->rt);
	free(q->unpacked);
	free(q->path);
	pthread_mutex_destroy(&q->unpacked_lock);
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->changed);
	free(q);
}

const struct block_driver qcow2_driver = {
	.name = "qcow2",
	.readv = q_readv,
	.writev = q_writev,
	.flush = q_flush,
	.discard = q_discard,
	.zero = q_zero,
	.close = q_close,
};
