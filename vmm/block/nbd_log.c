/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_log.c - what a server acknowledged and may still lose (nbd_client.h).
 *
 * What a server wrote and was not asked to flush is gone if it ends (a qemu-nbd that is killed has tables of its image in memory) or its
 * machine does.  When it is there again, a flush would succeed and vouch for what is not there.  So writes are kept until a flush that was
 * sent after them succeeded, and are written again, in their order, before anything else is sent by a connection that came later: to whom
 * it leads, nobody knows.  What is under way by other connections ends first, for it could be older than what is written again, and come
 * after it.
 * Several are written again at a time, but none before an earlier one that it overlaps has its answer.
 *
 * What is kept is limited: by flushes of our own, and by writes that wait for them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nbd_client.h"

#define	FLUSH_AT	(32U << 20)
#define	FULL_AT		(96U << 20)

/* A write, with its data behind it, or a zeroing. */
struct kept {
	struct request	 r;		/* to write it again */
	struct kept	*next;
	uint64_t	 number;
	size_t		 size;		/* of memory */
	uint8_t		 data[];
};

static bool
is_kept(const struct request *r)
{
	return (r->op == NBD_WRITE || r->op == NBD_ZERO || r->op == NBD_ZERO_KEEP);
}

/* Bytes of memory that a request takes when it is kept. */
static size_t
size_of(const struct request *r)
{
	return (is_kept(r) ? sizeof(struct kept) + (r->op == NBD_WRITE ? r->len : 0) : 0);
}

static void
drop(struct nbd_log *l, uint64_t upto)
{
	struct kept *k;

	while ((k = l->first) != NULL && k->number <= upto) {
		l->first = k->next;
		l->size -= k->size;
		free(k);
	}
	if (l->first == NULL)
		l->last = &l->first;
}

void
wlog_free(struct nbd_log *l)
{
	drop(l, UINT64_MAX);
}

void
wlog_init(struct nbd_log *l, bool on)
{
	l->on = on;
	l->last = &l->first;
	l->flush = (struct request){ .op = NBD_FLUSH, .own = true };
}

/* What is of no use any more goes, once libnbd has nothing of it. */
static void
clean_up(struct nbd_log *l)
{
	if (!l->broken || l->nout != 0)
		return;
	l->replaying = false;
	drop(l, UINT64_MAX);
}

/* A flush would be a lie from now on. */
static void
give_up(struct nbd_disk *d, const char *why)
{
	struct nbd_log *l = &d->log;

	if (!l->broken)
		disk_tell(d, "%s: what was written is not safe, and flushes fail from now on", why);
	l->broken = true;
	l->on = false;
	l->gap = 0;
	clean_up(l);
}

static void
keep(struct nbd_disk *d, const struct request *r)
{
	struct nbd_log *l = &d->log;
	struct kept *k = malloc(size_of(r));

	l->number++;
	if (k == NULL) {
		l->gap = l->number;
		return;
	}
	*k = (struct kept){ .number = l->number, .size = size_of(r) };
	k->r = (struct request){ .op = r->op, .buf = k->data, .off = r->off, .len = r->len, .own = true };
	if (r->op == NBD_WRITE)
		memcpy(k->data, r->buf, r->len);
	*l->last = k;
	l->last = &k->next;
	l->size += k->size;
}

void
wlog_sent(struct nbd_disk *d, struct request *r)
{
	r->covers = d->log.number;
	if (!r->own)
		d->log.coming += size_of(r);
}

/* One that was written again is not under way any more. */
static void
not_out(struct nbd_log *l, const struct request *r)
{
	unsigned i = 0;

	while (&l->out[i]->r != r)
		i++;
	l->out[i] = l->out[--l->nout];
}

static void
flushed(struct nbd_disk *d, const struct request *r, int error)
{
	struct nbd_log *l = &d->log;

	if (r == &l->flush)
		l->flushing = false;
	if (l->on && error != 0) {
		give_up(d, "the server failed to flush");
	} else if (l->on) {
		drop(l, r->covers);
		if (l->gap <= r->covers)
			l->gap = 0;
	}
}

void
wlog_answered(struct nbd_disk *d, const struct request *r, int error)
{
	struct nbd_log *l = &d->log;

	if (r->op == NBD_FLUSH) {
		flushed(d, r, error);
	} else if (r->own) {
		not_out(l, r);
		d->lost_at = now_ms();		/* the server is there */
		if (error != 0)
			give_up(d, "the server failed to write again what it may have lost");
		clean_up(l);
	} else {
		l->coming -= size_of(r);
		if (l->on && error == 0 && is_kept(r))
			keep(d, r);
	}
}

void
wlog_lost(struct nbd_disk *d, const struct request *r)
{
	struct nbd_log *l = &d->log;

	if (r == &l->flush) {
		l->flushing = false;
	} else if (r->own) {
		not_out(l, r);
		l->restart = true;
		clean_up(l);
	} else {
		l->coming -= size_of(r);
	}
}

bool
wlog_connected(struct nbd_disk *d)
{
	struct nbd_log *l = &d->log;

	if (l->first == NULL && l->gap == 0)
		return (false);
	l->replaying = l->restart = true;
	return (true);
}

/* Whether k is to wait for an earlier one. */
static bool
overlaps(const struct nbd_log *l, const struct kept *k)
{
	for (unsigned i = 0; i < l->nout; i++)
		if (l->out[i]->r.off < k->r.off + k->r.len && k->r.off < l->out[i]->r.off + l->out[i]->r.len)
			return (true);
	return (false);
}

struct request *
wlog_next(struct nbd_disk *d, unsigned under_way)
{
	struct nbd_log *l = &d->log;
	struct kept *k;

	if (under_way != l->nout || (l->nout != 0 && (l->restart || l->broken)))
		return (NULL);
	if (l->gap != 0) {
		give_up(d, "there was no memory to keep what the server may have lost");
		return (NULL);
	}
	if (l->restart)
		l->replay = l->first;
	l->restart = false;
	k = l->replay;
	if (k != NULL && l->nout < REPLAYS && !overlaps(l, k)) {
		l->replay = k->next;
		l->out[l->nout++] = k;
		return (&k->r);
	}
	if (k == NULL && l->nout == 0) {
		/* Once it is safe, the next new connection has nothing to write again. */
		l->replaying = false;
		l->flush_soon = true;
	}
	return (NULL);
}

struct request *
wlog_flush(struct nbd_disk *d)
{
	struct nbd_log *l = &d->log;

	if (!l->on || l->flushing || l->first == NULL || (l->size < FLUSH_AT && !l->flush_soon))
		return (NULL);
	l->flushing = true;
	l->flush_soon = false;
	return (&l->flush);
}

bool
wlog_full(const struct nbd_disk *d, const struct request *r)
{
	return (d->log.on && is_kept(r) && d->log.size + d->log.coming + size_of(r) > FULL_AT);
}
