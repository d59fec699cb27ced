/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qcow2_map.c - where a guest's cluster is: L1 and L2 tables (spec, "Cluster mapping"), and compressed clusters.
 */
#include <endian.h>
#include <errno.h>
#include <string.h>
#include <zlib.h>
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "qcow2.h"

#define	L1_RESERVED	0x7f000000000001ffULL
#define	L2_RESERVED	0x3f000000000001feULL	/* of standard clusters */

static uint64_t
l1_index(const struct qcow2 *q, uint64_t off)
{
	return (off >> (q->bits + q->l2_bits));
}

static uint32_t
l2_index(const struct qcow2 *q, uint64_t off)
{
	return ((uint32_t)(off >> q->bits) & ((1U << q->l2_bits) - 1));
}

static uint64_t
entry_get(const struct q_table *t, uint32_t i)
{
	uint64_t v;

	memcpy(&v, t->data + (size_t)i * 8, 8);
	return (be64toh(v));
}

/* What one entry says. */
static int
classify(struct qcow2 *q, uint64_t e, struct q_run *r)
{
	uint64_t host = e & Q_OFFSET;

	*r = (struct q_run){ .entry = e };
	if ((e & Q_COMPRESSED) != 0) {
		r->kind = Q_PACKED;
		return (0);
	}
	if ((e & L2_RESERVED) != 0 || (host & (q->cluster - 1)) != 0 || (q->version < 3 && (e & Q_ZERO) != 0))
		return (q_damaged(q, "an L2 entry cannot be", e));
	r->kind = (e & Q_ZERO) != 0 ? Q_ZEROS : host != 0 ? Q_DATA : q->backing != NULL ? Q_HOLE : Q_ZEROS;
	r->host = host;
	r->owned = host != 0 && (e & Q_COPIED) != 0;
	return (0);
}

/* Whether b goes on where a ends, n clusters behind its start. */
static bool
goes_on(const struct qcow2 *q, const struct q_run *a, const struct q_run *b, uint64_t n)
{
	if (a->kind != b->kind || a->owned != b->owned || a->kind == Q_PACKED)
		return (false);
	if (a->kind == Q_HOLE || (a->kind == Q_ZEROS && !a->owned))
		return (true);
	return (b->host == a->host + (n << q->bits));
}

int
q_lookup(struct qcow2 *q, uint64_t off, uint64_t len, struct q_run *r)
{
	uint64_t i1 = l1_index(q, off), end = (i1 + 1) << (q->bits + q->l2_bits), l1, n = 1;
	uint64_t within = off & (q->cluster - 1);
	struct q_table *t;
	uint32_t i2 = l2_index(q, off);
	struct q_run next;
	int error;

	if (len > end - off)
		len = end - off;
	l1 = q->l1[i1];
	if ((l1 & L1_RESERVED) != 0)
		return (q_damaged(q, "an L1 entry cannot be", l1));
	if ((l1 & Q_OFFSET) == 0) {
		*r = (struct q_run){ .kind = q->backing != NULL ? Q_HOLE : Q_ZEROS, .len = len };
		return (0);
	}
	error = q_table_get(q, l1 & Q_OFFSET, false, &t);
	if (error == 0)
		error = classify(q, entry_get(t, i2), r);
	if (error != 0)
		return (error);
	while (within + len > n << q->bits && classify(q, entry_get(t, i2 + (uint32_t)n), &next) == 0 && goes_on(q, r, &next, n))
		n++;
	r->len = (n << q->bits) - within < len ? (n << q->bits) - within : len;
	if (r->host != 0)
		r->host += within;
	return (0);
}

static void
l1_set(struct qcow2 *q, uint32_t i, uint64_t entry)
{
	q->l1[i] = entry;
	if (q->l1_lo >= q->l1_hi) {
		q->l1_lo = i;
		q->l1_hi = i + 1;
	}
	q->l1_lo = i < q->l1_lo ? i : q->l1_lo;
	q->l1_hi = i >= q->l1_hi ? i + 1 : q->l1_hi;
}

int
q_own_l2(struct qcow2 *q, uint64_t off)
{
	uint32_t i1 = (uint32_t)l1_index(q, off);
	uint64_t l1 = q->l1[i1], old = l1 & Q_OFFSET, at, got;
	struct q_table *t, *from;
	bool fresh;
	int error;

	if ((l1 & L1_RESERVED) != 0)
		return (q_damaged(q, "an L1 entry cannot be", l1));
	if (old != 0 && (l1 & Q_COPIED) != 0)
		return (0);
	error = q_alloc(q, 1, &at, &got, &fresh);
	if (error != 0)
		return (error);
	error = q_table_new(q, at, false, &t);
	if (error == 0 && old != 0) {
		/* t is dirty, and so stays. */
		error = q_table_get(q, old, false, &from);
		if (error == 0)
			memcpy(t->data, from->data, q->cluster);
		else
			q_table_drop(q, at);
	}
	if (error != 0) {
		q_unalloc(q, at, 1);
		return (error);
	}
	if (old != 0)
		q_free_later(q, old, 1);
	l1_set(q, i1, at | Q_COPIED);
	return (0);
}

int
q_set_entry(struct qcow2 *q, uint64_t off, uint64_t entry)
{
	uint64_t l1 = q->l1[l1_index(q, off)], old, place, len, be = htobe64(entry);
	uint32_t i2 = l2_index(q, off);
	struct q_table *t;
	int error = q_table_get(q, l1 & Q_OFFSET, false, &t);

	if (error != 0)
		return (error);
	old = entry_get(t, i2);
	memcpy(t->data + (size_t)i2 * 8, &be, 8);
	q_table_dirty(q, t, i2 * 8, i2 * 8 + 8);
	if ((old & Q_COMPRESSED) != 0) {
		q_packed_place(q, old, &place, &len);
		q_free_later(q, place, ((place + len - 1) >> q->bits) - (place >> q->bits) + 1);
	} else if ((old & Q_OFFSET) != 0 && (old & Q_OFFSET) != (entry & Q_OFFSET))
		q_free_later(q, old & Q_OFFSET, 1);
	return (0);
}

/* Spec, "Compressed Clusters Descriptor": the last of its sectors may have bytes that are another's. */
void
q_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint64_t *len)
{
	unsigned x = 62 - (q->bits - 8);
	uint64_t sectors = ((entry & ~(Q_COPIED | Q_COMPRESSED)) >> x) + 1;

	*off = entry & ((1ULL << x) - 1);
	*len = sectors * 512 - (*off & 511);
}

static int
inflate_cluster(const struct qcow2 *q, const uint8_t *in, size_t len, uint8_t *out)
{
	z_stream z = { .next_in = (uint8_t *)(uintptr_t)in, .avail_in = (unsigned)len, .next_out = out, .avail_out = (unsigned)q->cluster };
	int status;

	if (inflateInit2(&z, -15) != Z_OK)	/* raw deflate; no window is larger */
		return (ENOMEM);
	status = inflate(&z, Z_FINISH);
	(void)inflateEnd(&z);
	/* What is behind the end is another cluster's. */
	return ((status == Z_STREAM_END || status == Z_BUF_ERROR) && z.avail_out == 0 ? 0 : EIO);
}

#ifdef HAVE_ZSTD
static int
unzstd_cluster(const struct qcow2 *q, const uint8_t *in, size_t len, uint8_t *out)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer i = { .src = in, .size = len };
	ZSTD_outBuffer o = { .dst = out, .size = q->cluster };
	size_t status = 1, before;

	if (z == NULL)
		return (ENOMEM);
	/* A frame's window may be as large as it says: no larger than a cluster can use. */
	(void)ZSTD_DCtx_setParameter(z, ZSTD_d_windowLogMax, 27);
	do {
		before = i.pos + o.pos;
		status = ZSTD_decompressStream(z, &o, &i);
	} while (!ZSTD_isError(status) && status != 0 && o.pos < o.size && i.pos + o.pos != before);
	(void)ZSTD_freeDStream(z);
	return (!ZSTD_isError(status) && o.pos == o.size ? 0 : EIO);
}
#else
static int
unzstd_cluster(const struct qcow2 *q, const uint8_t *in, size_t len, uint8_t *out)
{
	return (ENOTSUP);	/* and the image was refused when it was opened */
}
#endif

int
q_unpack(const struct qcow2 *q, const uint8_t *in, size_t len, uint8_t *out)
{
	return (q->zstd ? unzstd_cluster(q, in, len, out) : inflate_cluster(q, in, len, out));
}
