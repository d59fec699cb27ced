/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qcow2.h - what the parts of the qcow2 format share.  "Spec" in these files is docs/interop/qcow2 of QEMU's documentation.
 *
 *	qcow2_open.c	the header, and what is refused
 *	qcow2_meta.c	tables in memory, and the order in which they get to the file
 *	qcow2_refs.c	refcounts: finding free clusters, giving clusters back
 *	qcow2_map.c	where a guest's cluster is
 *	qcow2.c		reads, writes, discards
 *
 * What a crash leaves.  The file has a volatile cache: between two flushes any sector written may get there or not.  So:
 *	1. a cluster's data and its refcount are durable before an L2 entry refers to it,
 *	2. an L2 table is durable before an L1 entry refers to it, a refcount block before the refcount table does,
 *	3. nothing refers to a cluster any more, durably, before its refcount goes down or it is used anew.
 * Tables change in memory only, and q_commit() takes them to the file in that order; what is lost with them was not flushed by
 * the guest, and leaves clusters that have a refcount and no user: leaks.
 *
 * LOCKS.  q->lock guards all but data.  Data is read and written without it, under a claim on the guest's clusters: shared
 * for data in place, exclusive where an L2 entry is going to change.
 */
#ifndef _HYVE_QCOW2_H_
#define	_HYVE_QCOW2_H_

#include <stdatomic.h>

#include "claim.h"
#include "store.h"

#define	Q_MAGIC		0x514649fbU	/* "QFI\xfb" */
#define	Q_BITS_MIN	9U
#define	Q_BITS_MAX	21U
#define	Q_L1_MAX	(32U << 20)	/* bytes of the L1 table, as much as others take */
#define	Q_REFTABLE_MAX	(64U << 20)	/* of the refcount table; far more than the image of largest L1 needs */
#define	Q_BACKING_MAX	1023U		/* bytes of a backing file's name */

/* L1 and L2 entries */
#define	Q_COPIED	(1ULL << 63)	/* the refcount is exactly one: may be written in place */
#define	Q_COMPRESSED	(1ULL << 62)
#define	Q_ZERO		(1ULL << 0)	/* version 3 */
#define	Q_OFFSET	0x00fffffffffffe00ULL

/* A table in memory: of the second level or of refcounts; a cluster. */
struct q_table {
	uint64_t	 off;		/* in the file */
	uint8_t		*data;
	uint32_t	 lo, hi;	/* bytes that the file does not have yet; lo < hi if there are any */
	bool		 refs;		/* a refcount block */
	bool		 busy;		/* on its way to the file: not to be forgotten */
	struct q_table	*chain;		/* in a hash bucket */
	struct q_table	*newer, *older;
};

#define	Q_BUCKETS	1024U

struct qcow2 {
	struct store	*file;
	struct store	*backing;	/* NULL */
	struct device	*dev;		/* NULL */
	char		*path;
	uint64_t	 size;		/* of the disk */
	bool		 readonly;
	bool		 zstd;
	unsigned	 version;
	unsigned	 bits;		/* of a cluster */
	uint64_t	 cluster;	/* bytes */
	unsigned	 l2_bits;	/* entries of an L2 table */
	unsigned	 ref_order;	/* a refcount has 1 << ref_order bits */
	unsigned	 ref_bits;	/* refcounts of a block */

	pthread_mutex_t	 lock;
	pthread_cond_t	 changed;	/* a claim was dropped, a commit has ended */
	struct claims	 claims;	/* of the guest's clusters */

	/* Tables; all in the host's byte order but those of the cache. */
	uint64_t	*l1;
	uint64_t	 l1_off;
	uint32_t	 l1_n;
	uint32_t	 l1_lo, l1_hi;	/* entries that the file does not have yet */
	uint64_t	*rt;		/* refcount table */
	uint64_t	 rt_off;
	uint32_t	 rt_clusters, rt_n;
	uint32_t	 rt_lo, rt_hi;
	bool		 rt_moved;	/* all of it is at a new place, which the header does not know yet */
	struct q_table	*bucket[Q_BUCKETS];
	struct q_table	*newest, *oldest;
	unsigned	 ntables, ndirty, max;
	bool		 committing;

	/* Clusters to be given back once the file does not refer to them any more. */
	uint64_t	*frees;
	size_t		 nfrees, maxfrees;

	uint64_t	 hint;		/* no cluster below is free */
	uint64_t	 used_end;	/* bytes: nothing behind it was ever given out */
	_Atomic uint64_t file_end;	/* bytes: what the file has; behind it are zeros */

	pthread_mutex_t	 unpacked_lock;	/* of these: the compressed cluster read last */
	uint64_t	 unpacked_entry;
	uint8_t		*unpacked;	/* NULL: none */
};

/* The file at any byte; what is behind its end reads as zeros.  No lock needed. */
int	q_file_readv(struct qcow2 *q, const struct iovec *iov, int niov, uint64_t off, uint64_t len);
int	q_file_read(struct qcow2 *q, void *buf, size_t len, uint64_t off);
int	q_file_writev(struct qcow2 *q, const struct iovec *iov, int niov, uint64_t off, uint64_t len);
int	q_file_write(struct qcow2 *q, const void *buf, size_t len, uint64_t off);
/* Whether host bytes are the header's, the L1 table's or the refcount table's. */
bool	q_is_meta(const struct qcow2 *q, uint64_t off, uint64_t len);
/* The image is damaged: tell the log what is wrong; EIO. */
int	q_damaged(struct qcow2 *q, const char *what, uint64_t value);

/*
 * Tables, q->lock held.  One that was got may be forgotten by the next get, unless it is dirty; q_table_new() makes one of zeros,
 * dirty.  q_table_dirty(): bytes from lo to hi were changed.
 */
int	q_table_get(struct qcow2 *q, uint64_t off, bool refs, struct q_table **tp);
int	q_table_new(struct qcow2 *q, uint64_t off, bool refs, struct q_table **tp);
/* One that q_table_new() made just now, and nobody will know. */
void	q_table_drop(struct qcow2 *q, uint64_t off);
void	q_table_dirty(struct qcow2 *q, struct q_table *t, uint32_t lo, uint32_t hi);
void	q_tables_free(struct qcow2 *q);
/* Everything that is complete gets durable.  q->lock held, and let go meanwhile. */
int	q_commit(struct qcow2 *q);
/* Commit if so many tables are dirty that memory would grow.  The same. */
int	q_make_room(struct qcow2 *q);

/* Refcounts, q->lock held; clusters are numbers. */
int	q_refs_get(struct qcow2 *q, uint64_t cluster, uint64_t *count);
int	q_refs_add(struct qcow2 *q, uint64_t cluster, int delta);
/* Find and take up to want clusters in a row.  *fresh: the file has never had anything there. */
int	q_alloc(struct qcow2 *q, uint64_t want, uint64_t *off, uint64_t *got, bool *fresh);
/* Give back n clusters from off that nothing has ever referred to; what fails stays a leak. */
void	q_unalloc(struct qcow2 *q, uint64_t off, uint64_t n);
/* A reference to n clusters from off is gone in memory: their refcount goes down behind the next commit. */
void	q_free_later(struct qcow2 *q, uint64_t off, uint64_t n);

/* What a stretch of the disk is. */
enum q_kind {
	Q_HOLE,			/* reads as the backing file */
	Q_ZEROS,
	Q_DATA,
	Q_PACKED,		/* compressed */
};

struct q_run {
	enum q_kind	 kind;
	bool		 owned;		/* host may be written in place */
	uint64_t	 host;		/* of its first byte; ZEROS: of the cluster kept for it, 0 if there is none */
	uint64_t	 entry;		/* the first L2 entry */
	uint64_t	 len;		/* bytes */
};

/* The longest run from off that is the same, len at most.  q->lock held. */
int	q_lookup(struct qcow2 *q, uint64_t off, uint64_t len, struct q_run *r);
/* Make the L2 table for off one that may be written. */
int	q_own_l2(struct qcow2 *q, uint64_t off);
/* The L2 entry of off, whose table is owned; replaced, and what it referred to is given back unless the new one does too. */
int	q_set_entry(struct qcow2 *q, uint64_t off, uint64_t entry);

/* The clusters of a compressed entry: where its bytes are. */
void	q_packed_place(const struct qcow2 *q, uint64_t entry, uint64_t *off, uint64_t *len);
/* Decompress len bytes into a whole cluster: 0 or EIO. */
int	q_unpack(const struct qcow2 *q, const uint8_t *in, size_t len, uint8_t *out);

extern const struct block_driver qcow2_driver;

#endif /* _HYVE_QCOW2_H_ */
