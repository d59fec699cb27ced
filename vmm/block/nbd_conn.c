/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_conn.c - a connection to an NBD server, from its handshake to its end (nbd_client.h).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "nbd_client.h"

#define	RETRY_MAX_MS	2000U

/* Why the last call of libnbd failed, without the name of the function that libnbd begins with. */
void
conn_keep_error(struct conn *c)
{
	const char *text = nbd_get_error(), *colon;

	if (text == NULL)
		text = "it does not say why";
	colon = strncmp(text, "nbd_", 4) == 0 ? strstr(text, ": ") : NULL;
	(void)snprintf(c->why, sizeof(c->why), "%s", colon != NULL ? colon + 2 : text);
}

bool
conn_is_dead(const struct conn *c)
{
	return (nbd_aio_is_dead(c->h) != 0 || nbd_aio_is_closed(c->h) != 0);
}

/* Close it, for c->why; what was under way is sent again. */
static void
disconnect(struct conn *c, uint64_t now)
{
	struct nbd_disk *d = c->d;
	bool ready = c->state == CONN_READY;
	struct request *r;

	c->closing = true;
	if (c->h != NULL)
		nbd_close(c->h);
	c->h = NULL;
	while ((r = c->sent) != NULL)
		request_lost(c, r);
	c->closing = c->bad = false;
	c->state = CONN_NONE;
	c->retry_at = now + c->backoff;
	c->backoff = c->backoff * 2 < RETRY_MAX_MS ? c->backoff * 2 : RETRY_MAX_MS;
	if (!ready || --d->nready != 0)
		return;
	if (!d->log.replaying)
		d->lost_at = now;
	if (c->why[0] == '\0')
		(void)snprintf(c->why, sizeof(c->why), "the server closed it");
	if (d->delay != 0)
		disk_tell(d, "the connection is lost: %s; requests wait %llu s for the server to come back", c->why,
		    (unsigned long long)d->delay / 1000);
	else
		disk_tell(d, "the connection is lost: %s; requests fail until the server is back", c->why);
	d->told |= d->delay == 0;
}

/* The connection did not come about. */
static void
cannot_connect(struct conn *c, uint64_t now)
{
	if (c->d->phase == OPENING)
		disk_failed(c->d, ECONNREFUSED, "cannot connect: %s", c->why);
	else
		disconnect(c, now);
}

static int
read_export(struct conn *c, struct nbd_export *e)
{
	int64_t size = nbd_get_size(c->h);
	int64_t min = nbd_get_block_size(c->h, LIBNBD_SIZE_MINIMUM), max = nbd_get_block_size(c->h, LIBNBD_SIZE_MAXIMUM);

	if (size < 0 || min < 0 || max < 0) {
		conn_keep_error(c);
		return (-1);
	}
	*e = (struct nbd_export){
		.size = (uint64_t)size, .min = (uint32_t)min, .max = max > UINT32_MAX ? UINT32_MAX : (uint32_t)max,
		.readonly = nbd_is_read_only(c->h) > 0, .flush = nbd_can_flush(c->h) > 0, .trim = nbd_can_trim(c->h) > 0,
		.zero = nbd_can_zero(c->h) > 0, .multi = nbd_can_multi_conn(c->h) > 0,
	};
	return (0);
}

/* Whether the export is what it was: requests were cut, and the guest told, by what it said first.  What is not written to can do less. */
static bool
same_export(struct conn *c, const struct nbd_export *was, const struct nbd_export *e)
{
	if (e->size != was->size)
		(void)snprintf(c->why, sizeof(c->why), "its export has %llu bytes now, and had %llu", (unsigned long long)e->size,
		    (unsigned long long)was->size);
	else if (c->d->writes && e->readonly && !was->readonly)
		(void)snprintf(c->why, sizeof(c->why), "its export is read-only now");
	else if (e->min != was->min || e->max != was->max || (was->multi && !e->multi) ||
	    (c->d->writes && ((was->flush && !e->flush) || (was->trim && !e->trim) || (was->zero && !e->zero))))
		(void)snprintf(c->why, sizeof(c->why), "it does not offer what it offered before");
	else
		return (true);
	return (false);
}

static void
established(struct conn *c, uint64_t now)
{
	struct nbd_disk *d = c->d;
	struct nbd_export e;

	if (read_export(c, &e) != 0) {
		cannot_connect(c, now);
		return;
	}
	if (d->phase == OPENING) {
		d->e = e;
		wlog_init(&d->log, e.flush && d->writes);
		d->nconns = e.multi ? CONNS : 1;
		disk_opened(d);
	} else if (!same_export(c, &d->e, &e)) {
		if (d->nready == 0 && !d->refused)
			disk_tell(d, "the server is refused: %s", c->why);
		d->refused = true;
		cannot_connect(c, now);
		return;
	} else if (d->nready == 0)
		disk_tell(d, "connected again");
	d->told = d->refused = false;
	if (wlog_connected(d) && d->nready != 0)
		d->lost_at = now;
	c->state = CONN_READY;
	d->nready++;
}

static int
go_answered(void *arg, int *error)
{
	struct conn *c = arg;

	c->answered = true;
	return (1);
}

static void
begin(struct conn *c, uint64_t now)
{
	c->state = CONN_CONNECTING;
	c->since = now;
	c->answered = false;
	c->why[0] = '\0';
	c->h = nbd_create();
	if (c->h == NULL || nbd_set_opt_mode(c->h, true) != 0 ||
	    nbd_set_uri_allow_transports(c->h, LIBNBD_ALLOW_TRANSPORT_TCP | LIBNBD_ALLOW_TRANSPORT_UNIX) != 0 ||
	    nbd_set_uri_allow_local_file(c->h, true) != 0 || nbd_aio_connect_uri(c->h, c->d->uri) != 0) {
		conn_keep_error(c);
		cannot_connect(c, now);
	}
}

/* Ask for the export of the URI; what a server of the old style did without being asked. */
static void
ask(struct conn *c, uint64_t now)
{
	const nbd_completion_callback done = { .callback = go_answered, .user_data = c };

	c->state = CONN_GO;
	if (nbd_aio_opt_go(c->h, done) != 0) {
		conn_keep_error(c);
		cannot_connect(c, now);
	}
}

/*
 * The export was refused; libnbd's sentence of that is gone by now, as the answer came by itself.  The server is not asked which ones it
 * has: libnbd 1.14 reads beyond the end of an answer to that (NBD_OPT_LIST) that is too short, and the server is not to be trusted.
 */
static void
refused(struct conn *c, uint64_t now)
{
	if (c->d->phase == OPENING) {
		disk_failed(c->d, ENOENT, strncmp(c->d->uri, "nbds", 4) == 0 ?
		    "the server has no such export, or refuses it; 'nbdinfo --list' shows which it has" :
		    "the server has no such export, or refuses it; does it demand TLS (nbds)?  'nbdinfo --list' shows which it has");
		return;
	}
	(void)snprintf(c->why, sizeof(c->why), "the server refuses the export");
	cannot_connect(c, now);
}

static void
advance_handshake(struct conn *c, uint64_t now)
{
	struct nbd_disk *d = c->d;

	if (conn_is_dead(c)) {
		if (c->why[0] == '\0')
			(void)snprintf(c->why, sizeof(c->why), "the server closed the connection%s",
			    strncmp(d->uri, "nbds", 4) == 0 ? "; does it offer TLS?" : "");
		cannot_connect(c, now);
	} else if (nbd_aio_is_ready(c->h) > 0)
		established(c, now);
	else if (c->state == CONN_CONNECTING && nbd_aio_is_negotiating(c->h) > 0)
		ask(c, now);
	else if (c->state == CONN_GO && c->answered)
		refused(c, now);
	else if (now >= c->since + d->timeout) {
		(void)snprintf(c->why, sizeof(c->why), "the server does not answer (waited %llu s)", (unsigned long long)d->timeout / 1000);
		cannot_connect(c, now);
	}
}

/* When a request of the connection will have taken too long. */
static uint64_t
overdue_at(const struct conn *c)
{
	uint64_t at = UINT64_MAX;

	for (const struct request *r = c->sent; r != NULL; r = r->next)
		if (r->sent + c->d->timeout < at)
			at = r->sent + c->d->timeout;
	return (at);
}

static void
advance_once(struct conn *c, uint64_t now)
{
	if (c->state == CONN_NONE) {
		/* A new connection makes all that begin anew. */
		if (now >= c->retry_at && (c->d->nready == 0 || (!c->d->log.replaying && !c->d->log.flushing)))
			begin(c, now);
		return;
	}
	if (c->state != CONN_READY) {
		advance_handshake(c, now);
		return;
	}
	if (now >= overdue_at(c)) {
		(void)snprintf(c->why, sizeof(c->why), "a request was not answered in %llu s", (unsigned long long)c->d->timeout / 1000);
		c->bad = true;
	}
	if (c->bad || conn_is_dead(c))
		disconnect(c, now);
}

void
conn_advance(struct conn *c, uint64_t now)
{
	enum conn_state was;

	/* Where the server was quick, libnbd has its answers already, and nothing more will arrive. */
	do {
		was = c->state;
		advance_once(c, now);
	} while (c->state != was && c->d->phase != FAILED);
}

uint64_t
conn_deadline(const struct conn *c, uint64_t now)
{
	switch (c->state) {
	case CONN_NONE:
		return (c->retry_at > now || c->d->nready == 0 ? c->retry_at : now + RETRY_MIN_MS);
	case CONN_READY:
		return (c->bad ? now : overdue_at(c));
	default:
		return (c->since + c->d->timeout);
	}
}
