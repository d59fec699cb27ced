/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qcow2_open.c - the header of a qcow2 image (spec, "Header"), and what is refused.
 */
#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "qcow2.h"

#define	CACHE		(16U << 20)	/* bytes of tables that are kept */
#define	CACHE_MIN	16U		/* or so many of them */
#define	AUTOCLEAR_OFF	88U

/* Incompatible features */
#define	I_DIRTY		(1ULL << 0)
#define	I_CORRUPT	(1ULL << 1)
#define	I_COMPRESSION	(1ULL << 3)	/* the field compression says which */
#define	I_KNOWN		(I_DIRTY | I_CORRUPT | I_COMPRESSION)

/* Header extensions */
#define	X_END		0U
#define	X_BACKING	0xe2792acaU	/* format of the backing file */
#define	X_FEATURES	0x6803f857U	/* names of feature bits */

/* All big-endian. */
struct header {
	uint32_t	magic, version;
	uint64_t	backing_off;
	uint32_t	backing_len, cluster_bits;
	uint64_t	size;
	uint32_t	crypt, l1_size;
	uint64_t	l1_off, rt_off;
	uint32_t	rt_clusters, snapshots;
	uint64_t	snapshots_off;
	/* version 3 */
	uint64_t	incompatible, compatible, autoclear;
	uint32_t	ref_order, length;
	uint8_t		compression, pad[7];
} __attribute__((packed));

#define	LENGTH_2	72U
#define	LENGTH_3	104U

_Static_assert(sizeof(struct header) == 112, "spec, Header");
_Static_assert(offsetof(struct header, autoclear) == AUTOCLEAR_OFF, "spec, Header");

/* What the open of an image needs beside it. */
struct opening {
	const struct block_options *o;
	const struct store_chain *chain;
	struct qcow2	*q;
	struct header	 h;		/* in the host's byte order */
	uint8_t		*first;		/* the first cluster */
	char		 backing_format[16];
	char		 feature[48];	/* name of the first incompatible one that is unknown */
	unsigned	 unknown;	/* its bit */
};

bool
qcow2_is(struct store *file)
{
	uint32_t magic = 0;

	return (file->size >= 4 && store_read(file, &magic, 4, 0) == 0 && be32toh(magic) == Q_MAGIC);
}

int
q_damaged(struct qcow2 *q, const char *what, uint64_t value)
{
	if (q->dev != NULL)
		device_guest_log(q->dev, "disk '%s': the qcow2 image is damaged: %s %#llx; qemu-img check tells more", q->path, what,
		    (unsigned long long)value);
	return (EIO);
}

static bool
overlap(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return (a < b + blen && b < a + alen);
}

bool
q_is_meta(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	return (off < q->cluster || overlap(off, len, q->l1_off, (uint64_t)q->l1_n * 8) ||
	    overlap(off, len, q->rt_off, (uint64_t)q->rt_clusters << q->bits));
}

/* A sentence about the image. */
static int __attribute__((format(printf, 3, 4)))
refuse(const struct opening *p, int error, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return (vmm_fail(error, "disk '%s': %s", p->o->path, why));
}

static void
to_host(struct header *h)
{
	h->magic = be32toh(h->magic);
	h->version = be32toh(h->version);
	h->backing_off = be64toh(h->backing_off);
	h->backing_len = be32toh(h->backing_len);
	h->cluster_bits = be32toh(h->cluster_bits);
	h->size = be64toh(h->size);
	h->crypt = be32toh(h->crypt);
	h->l1_size = be32toh(h->l1_size);
	h->l1_off = be64toh(h->l1_off);
	h->rt_off = be64toh(h->rt_off);
	h->rt_clusters = be32toh(h->rt_clusters);
	h->snapshots = be32toh(h->snapshots);
	h->incompatible = be64toh(h->incompatible);
	h->compatible = be64toh(h->compatible);
	h->autoclear = be64toh(h->autoclear);
	h->ref_order = be32toh(h->ref_order);
	h->length = be32toh(h->length);
}

/* The header, of any version, as one of version 3; and the first cluster. */
static int
read_header(struct opening *p)
{
	struct qcow2 *q = p->q;
	struct header *h = &p->h;
	int error = q_file_read(q, h, sizeof(*h), 0);

	if (error != 0)
		return (vmm_fail_sys(error, "disk '%s'", p->o->path));
	to_host(h);
	if (h->version != 2 && h->version != 3)
		return (refuse(p, ENOTSUP, "qcow2 version %u; versions 2 and 3 are known", h->version));
	if (h->cluster_bits < Q_BITS_MIN || h->cluster_bits > Q_BITS_MAX)
		return (refuse(p, EINVAL, "its clusters cannot have 2^%u bytes: from 512 bytes to 2 MiB", h->cluster_bits));
	if (h->version == 2) {
		memset(&h->incompatible, 0, sizeof(*h) - offsetof(struct header, incompatible));
		h->ref_order = 4;
		h->length = LENGTH_2;
	} else if (h->length < LENGTH_3 || h->length % 8 != 0 || h->length > 1U << h->cluster_bits)
		return (refuse(p, EINVAL, "its header cannot have %u bytes", h->length));
	if (h->length <= offsetof(struct header, compression))
		h->compression = 0;
	q->version = h->version;
	q->bits = h->cluster_bits;
	q->cluster = 1ULL << q->bits;
	p->first = malloc(q->cluster);
	if (p->first == NULL)
		return (refuse(p, ENOMEM, "no memory"));
	error = q_file_read(q, p->first, q->cluster, 0);
	return (error != 0 ? vmm_fail_sys(error, "disk '%s'", p->o->path) : 0);
}

/* The name of an incompatible feature, if the image has one for it; entries are type, bit, 46 bytes of text. */
static void
name_feature(struct opening *p, const uint8_t *data, uint32_t len)
{
	for (uint32_t i = 0; i + 48 <= len; i += 48)
		if (data[i] == 0 && data[i + 1] == p->unknown && p->feature[0] == '\0')
			memcpy(p->feature, data + i + 2, 46);
	for (char *c = p->feature; *c != '\0'; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static void
read_extensions(struct opening *p)
{
	uint64_t at = p->h.length, end = p->q->cluster;
	uint32_t type, len;

	if (p->h.backing_off != 0 && p->h.backing_off < end)
		end = p->h.backing_off;
	while (at + 8 <= end) {
		memcpy(&type, p->first + at, 4);
		memcpy(&len, p->first + at + 4, 4);
		type = be32toh(type);
		len = be32toh(len);
		at += 8;
		if (type == X_END || len > end - at)
			break;
		if (type == X_BACKING && len < sizeof(p->backing_format))
			memcpy(p->backing_format, p->first + at, len);
		if (type == X_FEATURES)
			name_feature(p, p->first + at, len);
		at += (len + 7ULL) & ~7ULL;
	}
}

static int
check_features(struct opening *p)
{
	static const struct { unsigned bit; const char *what; } known[] = {
		{ 2, "its data is in another file" }, { 4, "it has extended L2 entries, which are subclusters" },
	};
	const struct header *h = &p->h;
	uint64_t unknown = h->incompatible & ~I_KNOWN;

	for (unsigned i = 0; i < 2; i++)
		if ((unknown >> known[i].bit & 1) != 0)
			return (refuse(p, ENOTSUP, "%s, which hyve does not read; qemu-img convert makes an image without", known[i].what));
	if (unknown != 0)
		return (refuse(p, ENOTSUP, "it has the feature '%s' (bit %u), which hyve does not know",
		    p->feature[0] != '\0' ? p->feature : "without a name", p->unknown));
	if (h->crypt != 0)
		return (refuse(p, ENOTSUP, "it is encrypted, which hyve does not read"));
	if (h->compression > 1 || (h->compression != 0) != ((h->incompatible & I_COMPRESSION) != 0))
		return (refuse(p, ENOTSUP, "its compression (type %u) is unknown", h->compression));
#ifndef HAVE_ZSTD
	if (h->compression == 1)
		return (refuse(p, ENOTSUP, "it is compressed by zstd, and hyve was built without that library"));
#endif
	p->q->zstd = h->compression == 1;
	if (p->q->readonly)
		return (0);
	if ((h->incompatible & I_CORRUPT) != 0)
		return (refuse(p, EINVAL, "it is marked as corrupt: it can be read (ro=true), or 'qemu-img check -r all' may repair it"));
	if ((h->incompatible & I_DIRTY) != 0)
		return (refuse(p, EINVAL, "it was not closed, and its refcounts are out of date: 'qemu-img check -r all' repairs it; "
		    "it can be read (ro=true)"));
	return (0);
}

/* A table of n big-endian entries at off; what is behind the file's end is zeros. */
static uint64_t *
read_table(struct opening *p, uint64_t off, uint32_t n)
{
	uint64_t *table = calloc((size_t)n + 1, sizeof(*table));
	int error;

	if (table == NULL)
		return (vmm_fail_null(ENOMEM, "disk '%s': no memory", p->o->path));
	error = off < p->q->file->size ? q_file_read(p->q, table, (size_t)n * sizeof(*table), off) : 0;
	if (error != 0) {
		free(table);
		(void)vmm_fail_sys(error, "disk '%s'", p->o->path);
		return (NULL);
	}
	for (uint32_t i = 0; i < n; i++)
		table[i] = be64toh(table[i]);
	return (table);
}

/* Whether a table of so many bytes may be at off. */
static bool
place_ok(const struct qcow2 *q, uint64_t off, uint64_t len)
{
	return (off >= q->cluster && off % q->cluster == 0 && off < 1ULL << 56 && off < q->file->size &&
	    (!q->file->fixed || len <= q->file->size - off));
}

static int
read_tables(struct opening *p)
{
	const struct header *h = &p->h;
	struct qcow2 *q = p->q;
	uint64_t per_l2, needed;

	if (h->ref_order > 6)
		return (refuse(p, EINVAL, "its refcounts cannot have 2^%u bits", h->ref_order));
	q->ref_order = h->ref_order;
	q->l2_bits = q->bits - 3;
	q->ref_bits = q->bits + 3 - q->ref_order;
	if (h->size > INT64_MAX || h->size >> 61 != 0)
		return (refuse(p, EINVAL, "it cannot be a disk of %llu bytes", (unsigned long long)h->size));
	q->size = h->size;
	per_l2 = 1ULL << (q->bits + q->l2_bits);
	needed = (q->size + per_l2 - 1) / per_l2;
	if (needed * 8 > Q_L1_MAX || h->l1_size > Q_L1_MAX / 8)
		return (refuse(p, EFBIG, "its L1 table is larger than 32 MiB: such a large disk needs larger clusters"));
	if (h->l1_size < needed || (needed != 0 && !place_ok(q, h->l1_off, (uint64_t)h->l1_size * 8)))
		return (refuse(p, EINVAL, "its L1 table of %u entries cannot be at %#llx", h->l1_size, (unsigned long long)h->l1_off));
	if (h->rt_clusters > Q_REFTABLE_MAX >> q->bits || (!q->readonly && (h->rt_clusters == 0 ||
	    !place_ok(q, h->rt_off, (uint64_t)h->rt_clusters << q->bits) ||
	    overlap(h->rt_off, (uint64_t)h->rt_clusters << q->bits, h->l1_off, (uint64_t)h->l1_size * 8))))
		return (refuse(p, EINVAL, "its refcount table of %u clusters cannot be at %#llx", h->rt_clusters,
		    (unsigned long long)h->rt_off));
	q->l1_off = h->l1_off;
	q->l1_n = h->l1_size;
	q->l1 = read_table(p, q->l1_off, q->l1_n);
	if (q->l1 == NULL)
		return (-1);
	if (q->readonly)
		return (0);		/* refcounts are for who allocates */
	q->rt_off = h->rt_off;
	q->rt_clusters = h->rt_clusters;
	q->rt_n = q->rt_clusters << (q->bits - 3);
	q->rt = read_table(p, q->rt_off, q->rt_n);
	return (q->rt != NULL ? 0 : -1);
}

/* The path of the backing file called name: beside the image, unless it says where. */
static int
backing_path(const struct opening *p, const char *name, char path[PATH_MAX])
{
	const char *slash = strrchr(p->o->path, '/'), *colon = strchr(name, ':'), *first = strchr(name, '/');
	int dir = slash != NULL && name[0] != '/' ? (int)(slash - p->o->path) + 1 : 0;

	if (colon != NULL && (first == NULL || colon < first))
		return (refuse(p, ENOTSUP, "its backing file '%.128s' is no path", name));
	if (snprintf(path, PATH_MAX, "%.*s%s", dir, p->o->path, name) >= PATH_MAX)
		return (refuse(p, ENAMETOOLONG, "the path of its backing file is too long"));
	return (0);
}

static int
open_backing(struct opening *p)
{
	char name[Q_BACKING_MAX + 1], path[PATH_MAX], why[512];
	struct block_options o = { .path = path, .readonly = true, .nocache = p->o->nocache, .dev = p->o->dev };
	const struct header *h = &p->h;
	int error;

	if (h->backing_off == 0 || h->backing_len == 0)
		return (0);
	if (h->backing_len > Q_BACKING_MAX || h->backing_off > p->q->cluster || h->backing_len > p->q->cluster - h->backing_off)
		return (refuse(p, EINVAL, "the name of its backing file is not in its first cluster"));
	memcpy(name, p->first + h->backing_off, h->backing_len);
	name[h->backing_len] = '\0';
	if (strlen(name) != h->backing_len)
		return (refuse(p, EINVAL, "the name of its backing file is none"));
	if (p->o->nobacking)
		return (refuse(p, EPERM, "it has the backing file '%.128s', which backing=false refuses", name));
	if (backing_path(p, name, path) != 0)
		return (-1);
	for (unsigned i = 1; block_formats[i] != NULL; i++)
		if (strcmp(p->backing_format, block_formats[i]) == 0)
			o.format = (enum block_format)i;
	if (p->backing_format[0] != '\0' && o.format == BLOCK_AUTO)
		return (refuse(p, ENOTSUP, "its backing file is of the format '%s', which hyve does not read", p->backing_format));
	p->q->backing = store_open(&o, p->chain);
	/* The innermost sentence, and whose backing file it is all about. */
	if (p->q->backing != NULL || p->chain->depth > 0)
		return (p->q->backing != NULL ? 0 : -1);
	error = errno;
	(void)snprintf(why, sizeof(why), "%s", vmm_errmsg());
	return (vmm_fail(error, "disk '%s': its backing file: %s", p->o->path, why));
}

/* Spec, "autoclear_features": who writes to the image and does not know what the bits stand for takes them away. */
static int
clear_features(struct opening *p)
{
	const uint64_t none = 0;
	int error;

	if (p->q->readonly || p->h.autoclear == 0)
		return (0);
	error = q_file_write(p->q, &none, sizeof(none), AUTOCLEAR_OFF);
	if (error == 0)
		error = store_flush(p->q->file);
	return (error != 0 ? vmm_fail_sys(error, "disk '%s'", p->o->path) : 0);
}

static struct qcow2 *
new_qcow2(struct store *file, const struct block_options *o)
{
	struct qcow2 *q = calloc(1, sizeof(*q));

	if (q == NULL || (q->path = strdup(o->path)) == NULL) {
		free(q);
		store_close(file);
		return (vmm_fail_null(ENOMEM, "disk '%s': no memory", o->path));
	}
	q->file = file;
	q->dev = o->dev;
	q->readonly = file->readonly;
	atomic_store(&q->file_end, file->size);
	pthread_mutex_init(&q->lock, NULL);
	pthread_mutex_init(&q->unpacked_lock, NULL);
	pthread_cond_init(&q->changed, NULL);
	return (q);
}

static int
fill_in(struct opening *p)
{
	struct qcow2 *q = p->q;
	uint64_t unknown;

	if (read_header(p) != 0)
		return (-1);
	unknown = p->h.incompatible & ~I_KNOWN;
	p->unknown = unknown != 0 ? (unsigned)__builtin_ctzll(unknown) : UINT_MAX;
	read_extensions(p);
	if (check_features(p) != 0 || read_tables(p) != 0 || open_backing(p) != 0)
		return (-1);
	q->max = CACHE >> q->bits > CACHE_MIN ? CACHE >> q->bits : CACHE_MIN;
	q->used_end = (q->file->size + q->cluster - 1) & ~(q->cluster - 1);
	return (clear_features(p));
}

struct store *
qcow2_open(struct store *file, const struct block_options *o, const struct store_chain *chain)
{
	struct opening p = { .o = o, .chain = chain, .q = new_qcow2(file, o) };
	struct store *s = NULL;
	int error;

	if (p.q == NULL)
		return (NULL);
	if (fill_in(&p) == 0)
		s = store_new(&qcow2_driver, p.q, p.q->size, p.q->readonly);
	if (s != NULL)
		s->lazy = s->retries = !s->readonly;
	free(p.first);
	if (s == NULL) {
		error = errno;
		p.q->readonly = true;		/* nothing to be written */
		qcow2_driver.close(p.q);
		errno = error;
	}
	return (s);
}
