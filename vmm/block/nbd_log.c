/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_log.c - what a server acknowledged and may still lose (nbd_client.h).
 *
 * What a server wrote and was not asked to flush is gone if it ends (a qemu-nbd that is killed has tables of its image in memory) or its
 * machine does.  When it is there again, a flush would succeed and vouch for what is not there.  So writes are kept until a flush that was sent
 * after them succeeded, and are written again, in their order, before anything else is sent by a connection that came later: to whom it leads,
 * nobody knows.  What is under way by other connections ends first, for it could be older than what is written again, and come after it.
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

/* A flush would be a lie from now on. */
static void
give_up(struct nbd_disk *d, const char *why)
{
	struct nbd_log *l = &d->log;

	if (!l->broken)
		disk_tell(d, "%s: what was written is not safe, and flushes fail from now on", why);
	l->broken = true;
	l->on = l->replaying = false;
	drop(l, UINT64_MAX);
}

static void
keep(struct nbd_disk *d, const struct request *r)
{
	struct nbd_log *l = &d->log;
	size_t data = r->op == NBD_WRITE ? r->len : 0;
	struct kept *k = malloc(sizeof(*k) + data);

	l->number++;
	if (k == NULL) {
		l->gap = l->number;
		return;
	}
	*k = (struct kept){ .number = l->number, .size = sizeof(*k) + data };
	k->r = (struct request){ .op = r->op, .buf = k->data, .off = r->off, .len = r->len, .own = true };
	if (data != 0)
		memcpy(k->data, r->buf, data);
	*l->last = k;
	l->last = &k->next;
	l->size += k->size;
}

void
wlog_sent(struct nbd_disk *d, struct request *r)
{
	r->covers = d->log.number;
}

void
wlog_done(struct nbd_disk *d, const struct request *r, int error)
{
	struct nbd_log *l = &d->log;

	if (!l->on)
		return;
	if (r->op == NBD_FLUSH && error != 0) {
		give_up(d, "the server failed to flush");
	} else if (r->op == NBD_FLUSH) {
		drop(l, r->covers);
		if (l->gap <= r->covers)
			l->gap = 0;
	} else if (error == 0 && !r->own && (r->op == NBD_WRITE || r->op == NBD_ZERO || r->op == NBD_ZERO_KEEP)) {
		keep(d, r);
	}
}

void
wlog_own_done(struct nbd_disk *d, const struct request *r, int error)
{
	struct nbd_log *l = &d->log;

	if (r == &l->flush)
		l->flushing = false;
	else if (error != 0)
		give_up(d, "the server failed to write again what it may have lost");
	else if (l->replaying && l->replay != NULL && r == &l->replay->r)
		l->replay = l->replay->next;
}

void
wlog_own_lost(struct nbd_disk *d, const struct request *r)
{
	if (r == &d->log.flush)
		d->log.flushing = false;
	else
		d->log.restart = true;
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

struct request *
wlog_next(struct nbd_disk *d)
{
	struct nbd_log *l = &d->log;

	if (l->gap != 0)
		give_up(d, "there was no memory to keep what the server may have lost");
	if (l->restart)
		l->replay = l->first;
	l->restart = false;
	if (l->replay == NULL) {
		/* Once it is safe, the next new connection has nothing to write again. */
		l->replaying = false;
		l->flush_soon = true;
	}
	return (l->replaying ? &l->replay->r : NULL);
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
wlog_full(const struct nbd_disk *d)
{
	return (d->log.size >= FULL_AT);
}
