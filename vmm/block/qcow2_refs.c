/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qcow2_refs.c - refcounts: finding free clusters, giving clusters back.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "qcow2.h"

#define	OFFSET_MAX	(1ULL << 56)	/* host offsets of tables' entries */
#define	SCAN_MAX	(1ULL << 28)	/* clusters looked at for a free one: no image in order has so many before it */

/* Spec, "Refcount block entry": within a byte, bit 0 is the least significant one. */
static uint64_t
count_get(const uint8_t *block, unsigned order, uint64_t i)
{
	uint64_t v64;
	uint32_t v32;
	uint16_t v16;

	switch (order) {
	case 3:
		return (block[i]);
	case 4:
		memcpy(&v16, block + i * 2, 2);
		return (be16toh(v16));
	case 5:
		memcpy(&v32, block + i * 4, 4);
		return (be32toh(v32));
	case 6:
		memcpy(&v64, block + i * 8, 8);
		return (be64toh(v64));
	default:
		return ((unsigned)block[(i << order) / 8] >> ((i << order) % 8) & ((1U << (1U << order)) - 1));
	}
}

static void
count_set(uint8_t *block, unsigned order, uint64_t i, uint64_t v)
{
	unsigned shift = (unsigned)((i << order) % 8), mask = order < 3 ? ((1U << (1U << order)) - 1) << shift : 0;
	uint8_t *byte = &block[(i << order) / 8];
	uint64_t v64 = htobe64(v);

	if (order < 3)
		*byte = (uint8_t)((*byte & ~mask) | (unsigned)v << shift);
	else
		memcpy(byte, (const uint8_t *)&v64 + 8 - (1U << (order - 3)), 1U << (order - 3));
}

static uint64_t
count_max(unsigned order)
{
	return (order == 6 ? UINT64_MAX : (1ULL << (1U << order)) - 1);
}

/* The block of a cluster's refcount: *tp is NULL if there is none. */
static int
block_of(struct qcow2 *q, uint64_t cluster, struct q_table **tp)
{
	uint64_t i = cluster >> q->ref_bits;

	*tp = NULL;
	if (i >= q->rt_n || q->rt[i] == 0)
		return (0);
	if ((q->rt[i] & ~Q_OFFSET) != 0)
		return (q_damaged(q, "a refcount table's entry cannot be", q->rt[i]));
	return (q_table_get(q, q->rt[i], true, tp));
}

static uint64_t
index_in(const struct qcow2 *q, uint64_t cluster)
{
	return (cluster & ((1ULL << q->ref_bits) - 1));
}

int
q_refs_get(struct qcow2 *q, uint64_t cluster, uint64_t *count)
{
	struct q_table *t;
	int error = block_of(q, cluster, &t);

	*count = error == 0 && t != NULL ? count_get(t->data, q->ref_order, index_in(q, cluster)) : 0;
	return (error);
}

static void
store_count(struct qcow2 *q, struct q_table *t, uint64_t cluster, uint64_t count)
{
	uint64_t i = index_in(q, cluster);
	uint32_t byte = (uint32_t)((i << q->ref_order) / 8), width = q->ref_order < 3 ? 1 : 1U << (q->ref_order - 3);

	count_set(t->data, q->ref_order, i, count);
	q_table_dirty(q, t, byte, byte + width);
	if (count == 0 && cluster < q->hint)
		q->hint = cluster;
}

int
q_refs_add(struct qcow2 *q, uint64_t cluster, int delta)
{
	struct q_table *t;
	uint64_t count;
	int error = block_of(q, cluster, &t);

	if (error != 0)
		return (error);
	count = t != NULL ? count_get(t->data, q->ref_order, index_in(q, cluster)) : 0;
	if (t == NULL || (delta < 0 && count == 0))
		return (q_damaged(q, "a cluster in use has a refcount of 0, at", cluster << q->bits));
	if (delta > 0 && count == count_max(q->ref_order))
		return (q_damaged(q, "a refcount would be too large, at", cluster << q->bits));
	store_count(q, t, cluster, count + (uint64_t)(int64_t)delta);
	return (0);
}

/* The refcount table gets an entry for the block at off. */
static void
add_block(struct qcow2 *q, uint64_t i, uint64_t off)
{
	q->rt[i] = off;
	if (q->rt_lo >= q->rt_hi) {
		q->rt_lo = (uint32_t)i;
		q->rt_hi = (uint32_t)i + 1;
	}
	q->rt_lo = i < q->rt_lo ? (uint32_t)i : q->rt_lo;
	q->rt_hi = i >= q->rt_hi ? (uint32_t)i + 1 : q->rt_hi;
}

/*
 * The refcount table is full, and cluster is the first that it has no place for.  There a larger table begins; the blocks that
 * count its clusters, and their own, are behind it.
 */
static int
grow_table(struct qcow2 *q, uint64_t cluster)
{
	uint64_t per = 1ULL << q->ref_bits, n = (uint64_t)q->rt_clusters * 2, blocks = 1, entries;
	uint64_t first = q->rt_n, *rt;
	struct q_table *t;
	int error;

	while (blocks * per < n + blocks)
		blocks++;
	entries = n << (q->bits - 3);
	if (entries * 8 > Q_REFTABLE_MAX || first + blocks > entries)
		return (EFBIG);
	if (q_is_meta(q, cluster << q->bits, (n + blocks) << q->bits))
		return (q_damaged(q, "the image's own tables are behind what is counted, at", cluster << q->bits));
	if (q->file->fixed && (cluster + n + blocks) << q->bits > q->file->size)
		return (ENOSPC);
	rt = realloc(q->rt, entries * sizeof(*rt));
	if (rt == NULL)
		return (ENOMEM);
	q->rt = rt;
	memset(rt + first, 0, (entries - first) * sizeof(*rt));
	/* Blocks first: as long as one cannot be made, the table is as it was. */
	for (uint64_t i = 0; i < blocks; i++) {
		error = q_table_new(q, (cluster + n + i) << q->bits, true, &t);
		if (error != 0) {
			while (i-- > 0)
				q_table_drop(q, (cluster + n + i) << q->bits);
			return (error);
		}
		for (uint64_t k = 0; k < per && i * per + k < n + blocks; k++)
			count_set(t->data, q->ref_order, k, 1);
	}
	for (uint64_t i = 0; i < blocks; i++)
		rt[first + i] = (cluster + n + i) << q->bits;
	q_free_later(q, q->rt_off, q->rt_clusters);
	q->rt_off = cluster << q->bits;
	q->rt_clusters = (uint32_t)n;
	q->rt_n = (uint32_t)entries;
	q->rt_moved = true;
	if (q->used_end < (cluster + n + blocks) << q->bits)
		q->used_end = (cluster + n + blocks) << q->bits;
	return (0);
}

/* A block for cluster, which has none: it is in that very cluster, and counts it. */
static int
make_block(struct qcow2 *q, uint64_t cluster)
{
	uint64_t i = cluster >> q->ref_bits;
	struct q_table *t;
	int error;

	/* Without a block nothing there is counted, but tables may be there all the same. */
	if (q_is_meta(q, cluster << q->bits, q->cluster))
		return (q_damaged(q, "the image's own tables have no refcount, at", cluster << q->bits));
	if (i >= q->rt_n)
		return (grow_table(q, cluster));
	error = q_table_new(q, cluster << q->bits, true, &t);
	if (error != 0)
		return (error);
	count_set(t->data, q->ref_order, index_in(q, cluster), 1);
	add_block(q, i, cluster << q->bits);
	if (q->used_end < (cluster + 1) << q->bits)
		q->used_end = (cluster + 1) << q->bits;
	return (0);
}

/* *n clusters in a row from *first, none of them counted yet. */
static int
find_free(struct qcow2 *q, uint64_t want, uint64_t *first, uint64_t *n)
{
	uint64_t limit = (q->file->fixed ? q->file->size : OFFSET_MAX) >> q->bits, start = q->hint;
	struct q_table *t = NULL;
	int error = 0;

	*n = 0;
	for (uint64_t c = start; *n < want; c++) {
		if (c >= limit)
			return (*n != 0 ? 0 : ENOSPC);
		if (c - start > SCAN_MAX)
			return (q_damaged(q, "too many clusters are in use, up to", c << q->bits));
		if (t == NULL || index_in(q, c) == 0)
			error = block_of(q, c, &t);
		if (error == 0 && t == NULL) {
			if (*n != 0)
				return (0);
			error = make_block(q, c);
			if (error == 0)
				error = block_of(q, c, &t);
		}
		if (error != 0)
			return (*n != 0 ? 0 : error);
		if (count_get(t->data, q->ref_order, index_in(q, c)) == 0) {
			if ((*n)++ == 0)
				*first = c;
			continue;
		}
		if (*n != 0)
			return (0);
		q->hint = c + 1;
	}
	return (0);
}

int
q_alloc(struct qcow2 *q, uint64_t want, uint64_t *off, uint64_t *got, bool *fresh)
{
	uint64_t first = 0, n, end;
	int error = find_free(q, want, &first, &n);

	if (error != 0)
		return (error);
	*off = first << q->bits;
	end = (first + n) << q->bits;
	if (q_is_meta(q, *off, n << q->bits))
		return (q_damaged(q, "the image's own tables have a refcount of 0, at", *off));
	for (uint64_t i = 0; i < n; i++) {
		error = q_refs_add(q, first + i, 1);
		if (error != 0) {
			q_unalloc(q, *off, i);
			return (error);
		}
	}
	q->hint = first + n;
	*got = n;
	*fresh = !q->file->fixed && *off >= q->used_end;
	if (q->used_end < end)
		q->used_end = end;
	return (0);
}

void
q_unalloc(struct qcow2 *q, uint64_t off, uint64_t n)
{
	for (uint64_t i = 0; i < n; i++)
		(void)q_refs_add(q, (off >> q->bits) + i, -1);
}

void
q_free_later(struct qcow2 *q, uint64_t off, uint64_t n)
{
	if (q->nfrees + n > q->maxfrees) {
		size_t max = q->maxfrees * 2 + 64 + (size_t)n;
		uint64_t *more = realloc(q->frees, max * sizeof(*more));

		if (more == NULL)
			return;		/* a leak */
		q->frees = more;
		q->maxfrees = max;
	}
	for (uint64_t i = 0; i < n; i++)
		q->frees[q->nfrees++] = (off >> q->bits) + i;
}
