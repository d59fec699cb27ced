/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qcow2_meta.c - tables in memory, and the order in which they get to the file.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"

#define	SECTOR		512U		/* tables are written in whole ones */
#define	REFTABLE_FIELDS	48U		/* in the header: offset and clusters of the refcount table */

int
q_file_readv(struct qcow2 *q, const struct iovec *iov, int niov, uint64_t off, uint64_t len)
{
	uint64_t end = atomic_load(&q->file_end), have = off >= end ? 0 : end - off < len ? end - off : len;
	uint64_t at = 0;
	int error = 0;

	if (have == len)
		return (store_readv(q->file, iov, niov, off));
	for (int i = 0; i < niov && error == 0; i++) {
		size_t n = at >= have ? 0 : have - at < iov[i].iov_len ? (size_t)(have - at) : iov[i].iov_len;

		if (n != 0)
			error = store_read(q->file, iov[i].iov_base, n, off + at);
		memset((char *)iov[i].iov_base + n, 0, iov[i].iov_len - n);
		at += iov[i].iov_len;
	}
	return (error);
}

int
q_file_read(struct qcow2 *q, void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };

	return (q_file_readv(q, &iov, 1, off, len));
}

int
q_file_writev(struct qcow2 *q, const struct iovec *iov, int niov, uint64_t off, uint64_t len)
{
	uint64_t end = atomic_load(&q->file_end);
	int error = store_writev(q->file, iov, niov, off);

	if (error == 0)
		while (end < off + len && !atomic_compare_exchange_weak(&q->file_end, &end, off + len))
			;
	return (error);
}

int
q_file_write(struct qcow2 *q, const void *buf, size_t len, uint64_t off)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };

	return (q_file_writev(q, &iov, 1, off, len));
}

static struct q_table **
bucket(struct qcow2 *q, uint64_t off)
{
	return (&q->bucket[(off >> q->bits) % Q_BUCKETS]);
}

static void
unlink_age(struct qcow2 *q, struct q_table *t)
{
	*(t->newer != NULL ? &t->newer->older : &q->newest) = t->older;
	*(t->older != NULL ? &t->older->newer : &q->oldest) = t->newer;
}

static void
make_newest(struct qcow2 *q, struct q_table *t)
{
	t->newer = NULL;
	t->older = q->newest;
	*(q->newest != NULL ? &q->newest->newer : &q->oldest) = t;
	q->newest = t;
}

static void
forget(struct qcow2 *q, struct q_table *t)
{
	struct q_table **p = bucket(q, t->off);

	while (*p != t)
		p = &(*p)->chain;
	*p = t->chain;
	unlink_age(q, t);
	q->ntables--;
	free(t->data);
	free(t);
}

void
q_tables_free(struct qcow2 *q)
{
	while (q->oldest != NULL)
		forget(q, q->oldest);
}

static struct q_table *
find(struct qcow2 *q, uint64_t off)
{
	struct q_table *t = *bucket(q, off);

	while (t != NULL && t->off != off)
		t = t->chain;
	return (t);
}

/* A table without content.  The oldest that the file has goes; if there is none they are more than they should be for a while. */
static struct q_table *
make(struct qcow2 *q, uint64_t off, bool refs)
{
	struct q_table *t, *old;

	if (q->ntables >= q->max) {
		for (old = q->oldest; old != NULL && (old->lo < old->hi || old->busy); old = old->newer)
			;
		if (old != NULL)
			forget(q, old);
	}
	t = calloc(1, sizeof(*t));
	if (t == NULL || (t->data = calloc(1, q->cluster)) == NULL) {
		free(t);
		return (NULL);
	}
	t->off = off;
	t->refs = refs;
	t->chain = *bucket(q, off);
	*bucket(q, off) = t;
	make_newest(q, t);
	q->ntables++;
	return (t);
}

int
q_table_get(struct qcow2 *q, uint64_t off, bool refs, struct q_table **tp)
{
	struct q_table *t = find(q, off);
	int error;

	if (t != NULL) {
		/* The same cluster for both: writing one would damage the other. */
		if (t->refs != refs)
			return (q_damaged(q, "a refcount block is an L2 table too, at", off));
		if (t != q->newest) {
			unlink_age(q, t);
			make_newest(q, t);
		}
		*tp = t;
		return (0);
	}
	if ((off & (q->cluster - 1)) != 0 || q_is_meta(q, off, q->cluster) || off >= atomic_load(&q->file_end))
		return (q_damaged(q, refs ? "a refcount block cannot be at" : "an L2 table cannot be at", off));
	t = make(q, off, refs);
	if (t == NULL)
		return (ENOMEM);
	error = q_file_read(q, t->data, q->cluster, off);
	if (error != 0) {
		forget(q, t);
		return (error);
	}
	*tp = t;
	return (0);
}

int
q_table_new(struct qcow2 *q, uint64_t off, bool refs, struct q_table **tp)
{
	struct q_table *t = find(q, off);

	/* Its cluster was a table before: one whose end has got to the file, or the refcounts are wrong. */
	if (t != NULL && (t->lo < t->hi || t->busy))
		return (q_damaged(q, "a table in use has a refcount of 0, at", off));
	if (t != NULL)
		forget(q, t);
	t = make(q, off, refs);
	if (t == NULL)
		return (ENOMEM);
	q_table_dirty(q, t, 0, (uint32_t)q->cluster);
	*tp = t;
	return (0);
}

void
q_table_drop(struct qcow2 *q, uint64_t off)
{
	struct q_table *t = find(q, off);

	if (t != NULL && t->lo < t->hi)
		q->ndirty--;
	if (t != NULL)
		forget(q, t);
}

void
q_table_dirty(struct qcow2 *q, struct q_table *t, uint32_t lo, uint32_t hi)
{
	if (t->lo >= t->hi) {
		t->lo = lo;
		t->hi = hi;
		q->ndirty++;
		return;
	}
	t->lo = lo < t->lo ? lo : t->lo;
	t->hi = hi > t->hi ? hi : t->hi;
}

/* What a commit takes to the file: as it was when the commit began. */
struct piece {
	struct q_table	*table;
	uint32_t	 lo, hi;
	uint8_t		*data;
};

struct commit {
	struct piece	*piece;
	unsigned	 npieces;
	uint64_t	*l1, *rt;	/* entries from l1_lo, rt_lo */
	uint32_t	 l1_lo, l1_hi, rt_lo, rt_hi;
	uint64_t	 rt_off;
	uint32_t	 rt_clusters;
	bool		 rt_moved;
	uint64_t	*frees;
	size_t		 nfrees;
};

/* Big-endian copy of some entries of a table. */
static uint64_t *
copy_entries(const uint64_t *table, uint32_t lo, uint32_t hi)
{
	uint64_t *copy = malloc((size_t)(hi - lo) * sizeof(*copy));

	for (uint32_t i = lo; copy != NULL && i < hi; i++)
		copy[i - lo] = htobe64(table[i]);
	return (copy);
}

/* Copies are all there is to fail: nothing is changed before they are made. */
static int
take_copies(struct qcow2 *q, struct commit *c)
{
	c->piece = calloc(q->ndirty + 1, sizeof(*c->piece));
	if (c->piece == NULL)
		return (ENOMEM);
	for (struct q_table *t = q->oldest; t != NULL; t = t->newer) {
		struct piece *p = &c->piece[c->npieces];

		if (t->lo >= t->hi)
			continue;
		*p = (struct piece){ .table = t, .lo = t->lo & ~(SECTOR - 1), .hi = (t->hi + SECTOR - 1) & ~(SECTOR - 1) };
		p->data = malloc(p->hi - p->lo);
		if (p->data == NULL)
			return (ENOMEM);
		memcpy(p->data, t->data + p->lo, p->hi - p->lo);
		c->npieces++;
	}
	if (q->l1_lo < q->l1_hi && (c->l1 = copy_entries(q->l1, q->l1_lo, q->l1_hi)) == NULL)
		return (ENOMEM);
	if (q->rt_moved) {
		q->rt_lo = 0;
		q->rt_hi = q->rt_n;
	}
	if (q->rt_lo < q->rt_hi && (c->rt = copy_entries(q->rt, q->rt_lo, q->rt_hi)) == NULL)
		return (ENOMEM);
	return (0);
}

static void
take(struct qcow2 *q, struct commit *c)
{
	for (unsigned i = 0; i < c->npieces; i++) {
		c->piece[i].table->lo = c->piece[i].table->hi = 0;
		c->piece[i].table->busy = true;
	}
	q->ndirty = 0;
	c->l1_lo = q->l1_lo;
	c->l1_hi = q->l1_hi;
	q->l1_lo = q->l1_hi = 0;
	c->rt_lo = q->rt_lo;
	c->rt_hi = q->rt_hi;
	q->rt_lo = q->rt_hi = 0;
	c->rt_off = q->rt_off;
	c->rt_clusters = q->rt_clusters;
	c->rt_moved = q->rt_moved;
	q->rt_moved = false;
	c->frees = q->frees;
	c->nfrees = q->nfrees;
	q->frees = NULL;
	q->nfrees = q->maxfrees = 0;
}

/* It failed: all of it is still to be done. */
static void
put_back(struct qcow2 *q, struct commit *c)
{
	for (unsigned i = 0; i < c->npieces; i++)
		q_table_dirty(q, c->piece[i].table, c->piece[i].lo, c->piece[i].hi);
	if (c->l1_lo < c->l1_hi) {
		q->l1_lo = q->l1_lo < q->l1_hi && q->l1_lo < c->l1_lo ? q->l1_lo : c->l1_lo;
		q->l1_hi = q->l1_hi > c->l1_hi ? q->l1_hi : c->l1_hi;
	}
	if (c->rt_lo < c->rt_hi) {
		q->rt_lo = q->rt_lo < q->rt_hi && q->rt_lo < c->rt_lo ? q->rt_lo : c->rt_lo;
		q->rt_hi = q->rt_hi > c->rt_hi ? q->rt_hi : c->rt_hi;
	}
	q->rt_moved |= c->rt_moved;
	for (size_t i = 0; i < c->nfrees; i++)
		q_free_later(q, c->frees[i] << q->bits, 1);
}

static int
write_pieces(struct qcow2 *q, const struct commit *c, bool refs)
{
	int error = 0;

	for (unsigned i = 0; i < c->npieces && error == 0; i++) {
		const struct piece *p = &c->piece[i];

		if (p->table->refs == refs)
			error = q_file_write(q, p->data, p->hi - p->lo, p->table->off + p->lo);
	}
	return (error);
}

static int
write_reftable(struct qcow2 *q, const struct commit *c)
{
	struct { uint64_t off; uint32_t clusters; } __attribute__((packed)) fields;
	int error = store_flush(q->file);		/* 2: blocks before the table */

	if (error == 0)
		error = q_file_write(q, c->rt, (size_t)(c->rt_hi - c->rt_lo) * sizeof(*c->rt), c->rt_off + (uint64_t)c->rt_lo * 8);
	if (error != 0 || !c->rt_moved)
		return (error);
	error = store_flush(q->file);
	fields.off = htobe64(c->rt_off);
	fields.clusters = htobe32(c->rt_clusters);
	return (error != 0 ? error : q_file_write(q, &fields, sizeof(fields), REFTABLE_FIELDS));
}

static int
write_all(struct qcow2 *q, const struct commit *c)
{
	bool l2 = false;
	int error = write_pieces(q, c, true);

	for (unsigned i = 0; i < c->npieces; i++)
		l2 |= !c->piece[i].table->refs;
	if (error == 0 && c->rt_lo < c->rt_hi)
		error = write_reftable(q, c);
	if (error == 0)
		error = store_flush(q->file);		/* 1: data and refcounts before the L2 tables */
	if (error == 0 && l2) {
		error = write_pieces(q, c, false);
		if (error == 0)
			error = store_flush(q->file);	/* 2: L2 tables before L1; or the end */
	}
	if (error == 0 && c->l1_lo < c->l1_hi) {
		error = q_file_write(q, c->l1, (size_t)(c->l1_hi - c->l1_lo) * sizeof(*c->l1), q->l1_off + (uint64_t)c->l1_lo * 8);
		if (error == 0)
			error = store_flush(q->file);
	}
	return (error);
}

/* A damaged image has entries for its own tables: who drops such an entry must not take them, and its header, with it. */
static bool
keeps(struct qcow2 *q, uint64_t cluster)
{
	if (!q_is_meta(q, cluster << q->bits, q->cluster))
		return (false);
	(void)q_damaged(q, "a cluster of the disk is one of the image's tables, at", cluster << q->bits);
	return (true);
}

/* 3: nothing in the file refers to these any more.  The host gets the space back before anyone else can have it.  Lock held, let go. */
static void
give_back(struct qcow2 *q, const struct commit *c)
{
	uint64_t count, first = 0, n = 0;

	for (size_t i = 0; i <= c->nfrees; i++) {
		bool last = i < c->nfrees && !keeps(q, c->frees[i]) && q_refs_get(q, c->frees[i], &count) == 0 && count == 1;

		if (last && n != 0 && c->frees[i] == first + n) {
			n++;
			continue;
		}
		if (n != 0) {
			pthread_mutex_unlock(&q->lock);
			(void)store_discard(q->file, first << q->bits, n << q->bits);
			pthread_mutex_lock(&q->lock);
		}
		first = last ? c->frees[i] : 0;
		n = last;
	}
	for (size_t i = 0; i < c->nfrees; i++) {
		if (!q_is_meta(q, c->frees[i] << q->bits, q->cluster))
			(void)q_refs_add(q, c->frees[i], -1);
	}
}

int
q_commit(struct qcow2 *q)
{
	struct commit c = { .piece = NULL };
	int error;

	while (q->committing)
		claim_wait(&q->claims, &q->changed, &q->lock);
	q->committing = true;
	error = take_copies(q, &c);
	if (error == 0) {
		take(q, &c);
		pthread_mutex_unlock(&q->lock);
		error = write_all(q, &c);
		pthread_mutex_lock(&q->lock);
		for (unsigned i = 0; i < c.npieces; i++)
			c.piece[i].table->busy = false;
		if (error != 0)
			put_back(q, &c);
		else
			give_back(q, &c);
	}
	q->committing = false;
	pthread_cond_broadcast(&q->changed);
	for (unsigned i = 0; i < c.npieces; i++)
		free(c.piece[i].data);
	free(c.piece);
	free(c.l1);
	free(c.rt);
	free(c.frees);
	return (error);
}

int
q_make_room(struct qcow2 *q)
{
	return (q->ndirty > q->max / 2 || q->nfrees > 65536 ? q_commit(q) : 0);
}
