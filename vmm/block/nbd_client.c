/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_client.c - the module hyve-block-nbd.so: connections to an NBD server, by libnbd.
 *
 * A thread per disk owns the connections and is the only one that calls libnbd, by its asynchronous functions: a call that waits
 * for the server has no limit of time, and would hold up the others.  So a connection has several requests under way, and
 * a server that takes several connections (NBD_FLAG_CAN_MULTI_CONN) gets some, among which they are spread.
 *
 * A connection that ends, or on which a request is not answered in time, is closed; then libnbd has forgotten all buffers, and what was
 * under way is sent again, by another connection or by the next one.  Each request of NBD leaves behind the same when it is
 * executed twice.  How long that goes on is limited in three ways: the server is gone for longer than reconnect_delay; or a request lost
 * its connection, and so long after that was not answered yet by one of those that followed, but for the time in which the server is
 * busy with what is written again (nbd_log.c); or it waited for so long (late()), whatever for.
 *
 * A server that answers nothing for so long is tried by one request at a time, and the others fail at once: else a queue of them, a few
 * of which are here at a time, would take as much longer.  Flushes have such a state of their own, for there are servers that fail at
 * nothing else; and as they come one at a time, they are not tried all the time.
 *
 * What such a request left behind at a server that is alive may be done there once more, and late: NBD has no word for taking it back.
 *
 * d->lock guards what callers and the thread share: d->incoming, d->phase, d->ending, and of a request, done and error.
 * libnbd is not called with it held, for libnbd calls completed().
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "nbd_client.h"

#define	FAREWELL_MS	1000U
#define	PATIENCE	4U		/* timeouts, and the delay: as long as a request is sent */

void
disk_tell(struct nbd_disk *d, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	d->tell(d->arg, line);
}

void
disk_opened(struct nbd_disk *d)
{
	pthread_mutex_lock(&d->lock);
	d->phase = OPEN;
	pthread_cond_signal(&d->opened);
	pthread_mutex_unlock(&d->lock);
}

void
disk_failed(struct nbd_disk *d, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&d->lock);
	d->error = error;
	d->phase = FAILED;
	pthread_cond_signal(&d->opened);
	pthread_mutex_unlock(&d->lock);
}

/* Requests */

/* Tell its caller. */
static void
answer(struct nbd_disk *d, struct request *r, int error)
{
	pthread_mutex_lock(&d->lock);
	r->error = error;
	r->done = true;
	pthread_cond_signal(&r->cond);		/* with the lock: the request is on its caller's stack */
	pthread_mutex_unlock(&d->lock);
}

/* A request that was sent has the server's answer. */
static void
finish(struct nbd_disk *d, struct request *r, int error)
{
	bool own = r->own;

	/* Who writes again may get on well, while the requests that wait for it do not. */
	if (!own || r->op == NBD_FLUSH)
		d->deaf = false;
	if (r->op == NBD_FLUSH) {
		d->deaf_to_flushes = false;
		d->log.flush.give_up = 0;
	}
	wlog_answered(d, r, error);
	if (!own)
		answer(d, r, error);
}

static void
is_deaf(struct nbd_disk *d, bool to_flushes)
{
	bool *deaf = to_flushes ? &d->deaf_to_flushes : &d->deaf;

	if (!*deaf)
		disk_tell(d, "the server does not answer%s: requests fail until it does", to_flushes ? " flushes" : "");
	*deaf = true;
}

static void
unlink_sent(struct conn *c, const struct request *r)
{
	struct request **at = &c->sent;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	c->nsent--;
}

void
request_lost(struct conn *c, struct request *r)
{
	struct nbd_disk *d = c->d;
	uint64_t now = now_ms();

	unlink_sent(c, r);
	r->conn = NULL;
	if (r->op == NBD_FLUSH)
		d->flush_lost_at = now;
	/* The log's own flush never is in todo, and so never late there. */
	if (r == &d->log.flush && r->give_up != 0 && now >= r->give_up)
		is_deaf(d, true);
	/* Another connection, where there is one, may always try; but not for a server that is deaf anyway. */
	if (d->deaf || (d->deaf_to_flushes && r->op == NBD_FLUSH))
		r->give_up = 1;
	else if (r->give_up == 0)
		r->give_up = now + (d->delay < RETRY_MIN_MS ? RETRY_MIN_MS : d->delay);
	if (!r->own) {
		r->next = d->todo;
		d->todo = r;
	}
	wlog_lost(d, r);		/* one of its own may be gone then */
}

/* What a server may say (NBD protocol, "Error values"), and what of it a disk's user can do something with. */
static int
disk_error(int error)
{
	switch (error) {
	case 0:
	case ENOSPC:
	case ENOTSUP:
	case EPERM:
	case EINVAL:
	case ENOMEM:
		return (error);
	default:
		return (EIO);
	}
}

/* A request has an answer, or its connection ended.  Its caller forgets it as soon as it is told. */
static int
completed(void *arg, int *error)
{
	struct request *r = arg;
	struct conn *c = r->conn;

	if (c->closing)
		return (1);		/* disconnect() sees to it */
	if (c->sending == r)
		c->sending = NULL;
	/* The first is libnbd's word for an end of the connection, the second a server's for one that is coming. */
	if (*error == ENOTCONN || *error == ESHUTDOWN) {
		if (!c->bad)
			(void)snprintf(c->why, sizeof(c->why), "the server %s", *error == ESHUTDOWN ? "is shutting down" : "closed it");
		c->bad = true;
		request_lost(c, r);
	} else {
		unlink_sent(c, r);
		c->backoff = RETRY_MIN_MS;
		finish(c->d, r, disk_error(*error));
	}
	return (1);
}

static void
send_by(struct conn *c, struct request *r)
{
	const nbd_completion_callback done = { .callback = completed, .user_data = r };
	int64_t cookie = -1;
	int error;

	wlog_sent(c->d, r);
	r->conn = c;
	r->sent = now_ms();
	r->next = c->sent;
	c->sent = c->sending = r;
	c->nsent++;
	switch (r->op) {
	case NBD_READ:
		cookie = nbd_aio_pread(c->h, r->buf, r->len, r->off, done, 0);
		break;
	case NBD_WRITE:
		cookie = nbd_aio_pwrite(c->h, r->buf, r->len, r->off, done, 0);
		break;
	case NBD_FLUSH:
		cookie = nbd_aio_flush(c->h, done, 0);
		break;
	case NBD_TRIM:
		cookie = nbd_aio_trim(c->h, r->len, r->off, done, 0);
		break;
	case NBD_ZERO:
	case NBD_ZERO_KEEP:
		cookie = nbd_aio_zero(c->h, r->len, r->off, done, r->op == NBD_ZERO_KEEP ? LIBNBD_CMD_FLAG_NO_HOLE : 0);
		break;
	}
	if (cookie < 0 && c->sending == r) {
		error = nbd_get_errno();
		conn_keep_error(c);
		c->bad = conn_is_dead(c);
		if (c->bad) {
			request_lost(c, r);
		} else {
			unlink_sent(c, r);
			finish(c->d, r, disk_error(error != 0 ? error : EIO));
		}
	}
	c->sending = NULL;
}

/* The connection with the fewest requests. */
static struct conn *
idlest(struct nbd_disk *d)
{
	struct conn *best = NULL;

	for (unsigned i = 0; i < d->nconns; i++) {
		struct conn *c = &d->conn[i];

		if (c->state == CONN_READY && !c->bad && (best == NULL || c->nsent < best->nsent))
			best = c;
	}
	return (best);
}

static unsigned
under_way(const struct nbd_disk *d, bool flushes_only)
{
	unsigned n = 0;

	for (unsigned i = 0; i < d->nconns; i++)
		for (const struct request *r = d->conn[i].sent; r != NULL; r = r->next)
			n += !flushes_only || r->op == NBD_FLUSH;
	return (n);
}

/* Write again what the server may have lost.  Whether that is done. */
static bool
replay(struct nbd_disk *d)
{
	struct request *r;
	struct conn *c;

	if (!d->log.replaying)
		return (true);
	while (d->log.replaying && (c = idlest(d)) != NULL && (r = wlog_next(d, under_way(d, false))) != NULL)
		send_by(c, r);
	/* The server was busy and not gone: who waited is not late for that. */
	for (r = d->log.replaying ? NULL : d->todo; r != NULL; r = r->next)
		r->give_up = 0;
	return (!d->log.replaying);
}

/* Whether a request in todo has waited for long enough. */
static bool
late(const struct nbd_disk *d, const struct request *r, uint64_t now)
{
	return (now >= r->begun + d->delay + PATIENCE * d->timeout || (r->give_up != 0 && now >= r->give_up && !d->log.replaying));
}

/* Whether it is one too many for a server that is deaf: another one tries. */
static bool
superfluous(const struct nbd_disk *d, const struct request *r, uint64_t now)
{
	if (d->deaf && under_way(d, false) != 0)
		return (true);
	if (!d->deaf_to_flushes)
		return (false);
	return (r->op == NBD_FLUSH ? under_way(d, true) != 0 || now < d->flush_lost_at + d->timeout : wlog_full(d, r));
}

static void
send_todo(struct nbd_disk *d, uint64_t now)
{
	struct request **at = &d->todo, *r;
	struct conn *c;

	if (!replay(d))
		return;
	c = idlest(d);
	r = c != NULL ? wlog_flush(d) : NULL;
	if (r != NULL)
		send_by(c, r);
	while ((r = *at) != NULL && (c = idlest(d)) != NULL) {
		if (wlog_full(d, r) || late(d, r, now) || superfluous(d, r, now)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		if (r->op == NBD_FLUSH && d->log.broken)
			answer(d, r, EIO);
		else
			send_by(c, r);
	}
}

/* Fail what has waited for long enough.  A flush loses nothing by that: what it is about is in the log, and a later one's. */
static void
expire(struct nbd_disk *d, uint64_t now)
{
	bool gone = d->nready == 0 && now >= d->lost_at + d->delay;
	struct request **at = &d->todo, *r;

	for (r = d->todo; r != NULL && !gone; r = r->next)
		if (late(d, r, now))
			is_deaf(d, r->op == NBD_FLUSH || wlog_full(d, r));
	if (gone && d->todo != NULL && !d->told) {
		disk_tell(d, "the server is not there again after %llu s: requests fail until it is", (unsigned long long)d->delay / 1000);
		d->told = true;
	}
	while ((r = *at) != NULL) {
		if (!gone && !late(d, r, now) && !superfluous(d, r, now)) {
			at = &r->next;
			continue;
		}
		*at = r->next;
		answer(d, r, r->op == NBD_FLUSH && d->log.on ? ETIMEDOUT : EIO);
	}
}

/* Milliseconds until something is to be done though nothing arrives. */
static int
idle_time(const struct nbd_disk *d, uint64_t now)
{
	uint64_t at = UINT64_MAX;

	for (unsigned i = 0; i < d->nconns; i++) {
		uint64_t then = conn_deadline(&d->conn[i], now);

		at = then < at ? then : at;
	}
	for (const struct request *r = d->todo; r != NULL; r = r->next) {
		uint64_t then = r->begun + d->delay + PATIENCE * d->timeout;

		if (r->give_up != 0 && r->give_up < then && !d->log.replaying)
			then = r->give_up;
		if (d->nready == 0 && d->lost_at + d->delay < then)
			then = d->lost_at + d->delay;
		at = then < at ? then : at;
	}
	if (at == UINT64_MAX)
		return (-1);
	return (at <= now ? 0 : at - now > 1000 ? 1000 : (int)(at - now));
}

/* Wait for the server, for callers, or for ms; and let libnbd do what it can. */
static void
wait_and_notify(struct nbd_disk *d, int ms)
{
	struct pollfd fd[CONNS + 1] = { { .fd = d->wake, .events = POLLIN } };
	uint64_t count;

	for (unsigned i = 0; i < CONNS; i++) {
		const struct conn *c = &d->conn[i];
		unsigned dir = c->h != NULL ? nbd_aio_get_direction(c->h) : 0;

		fd[i + 1].fd = dir != 0 ? nbd_aio_get_fd(c->h) : -1;
		fd[i + 1].events = (short)((dir & LIBNBD_AIO_DIRECTION_READ ? POLLIN : 0) | (dir & LIBNBD_AIO_DIRECTION_WRITE ? POLLOUT : 0));
	}
	if (poll(fd, CONNS + 1, ms) <= 0)
		return;
	if (fd[0].revents != 0 && read(d->wake, &count, sizeof(count)) < 0)
		return;			/* somebody else's: there is none */
	for (unsigned i = 0; i < CONNS; i++) {
		struct conn *c = &d->conn[i];
		short got = fd[i + 1].revents, asked = fd[i + 1].events;
		int r = 0;

		if (got == 0 || c->h == NULL)
			continue;
		if ((asked & POLLIN) != 0 && (got & (POLLIN | POLLHUP | POLLERR)) != 0)
			r = nbd_aio_notify_read(c->h);
		else if ((asked & POLLOUT) != 0 && (got & (POLLOUT | POLLHUP | POLLERR)) != 0)
			r = nbd_aio_notify_write(c->h);
		else
			c->bad = true;
		if (r != 0)
			conn_keep_error(c);
	}
}

/* Let the server know that this is the end, and go. */
static void
farewell(struct nbd_disk *d)
{
	uint64_t end = now_ms() + FAREWELL_MS, now;
	bool open;

	for (unsigned i = 0; i < CONNS; i++)
		if (d->conn[i].state == CONN_READY)
			(void)nbd_aio_disconnect(d->conn[i].h, 0);
	do {
		open = false;
		for (unsigned i = 0; i < CONNS; i++)
			open |= d->conn[i].state == CONN_READY && !conn_is_dead(&d->conn[i]);
		now = now_ms();
		if (open && now < end)
			wait_and_notify(d, (int)(end - now));
	} while (open && now < end);
	for (unsigned i = 0; i < CONNS; i++) {
		d->conn[i].closing = true;
		if (d->conn[i].h != NULL)
			nbd_close(d->conn[i].h);
	}
}

static void *
serve(void *arg)
{
	struct nbd_disk *d = arg;
	bool ending = false;
	struct request *r;
	uint64_t now;

	while (!ending && d->phase != FAILED) {
		now = now_ms();
		for (unsigned i = 0; i < d->nconns && d->phase != FAILED; i++)
			conn_advance(&d->conn[i], now);
		pthread_mutex_lock(&d->lock);
		while ((r = d->incoming) != NULL) {
			d->incoming = r->next;
			r->next = d->todo;
			d->todo = r;
		}
		ending = d->ending || d->phase == FAILED;
		pthread_mutex_unlock(&d->lock);
		send_todo(d, now);
		expire(d, now);
		if (!ending)
			wait_and_notify(d, idle_time(d, now));
	}
	if (d->log.first != NULL && (d->nready == 0 || d->log.replaying))
		disk_tell(d, "the server is gone, and may have lost what it was given since the last flush: up to %zu KiB are not written "
		    "again", (d->log.size + 1023) / 1024);
	farewell(d);
	return (NULL);
}

/* What callers call */

static int
client_request(struct nbd_disk *d, enum nbd_op op, void *buf, uint64_t off, size_t len)
{
	struct request r = { .op = op, .buf = buf, .off = off, .len = len, .begun = now_ms() };
	static const uint64_t one = 1;

	pthread_cond_init(&r.cond, NULL);
	pthread_mutex_lock(&d->lock);
	r.next = d->incoming;
	d->incoming = &r;
	/* A counter that is full wakes the thread as well. */
	if (write(d->wake, &one, sizeof(one)) < 0 && errno != EAGAIN)
		r.error = EIO;
	while (!r.done)
		pthread_cond_wait(&r.cond, &d->lock);
	pthread_mutex_unlock(&d->lock);
	pthread_cond_destroy(&r.cond);
	return (r.error);
}

static void
destroy(struct nbd_disk *d)
{
	if (d->wake >= 0)
		close(d->wake);
	pthread_cond_destroy(&d->opened);
	pthread_mutex_destroy(&d->lock);
	wlog_free(&d->log);
	free(d->uri);
	free(d);
}

static void
client_close(struct nbd_disk *d)
{
	static const uint64_t one = 1;

	pthread_mutex_lock(&d->lock);
	d->ending = true;
	(void)!write(d->wake, &one, sizeof(one));
	pthread_mutex_unlock(&d->lock);
	(void)pthread_join(d->thread, NULL);
	destroy(d);
}

static struct nbd_disk *
make(const struct module_host *host, const struct nbd_options *o)
{
	struct nbd_disk *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return (NULL);
	d->host = host;
	d->uri = strdup(o->uri);
	d->timeout = o->timeout * 1000ULL;
	d->delay = o->reconnect_delay * 1000ULL;
	d->writes = o->writes;
	d->tell = o->tell;
	d->arg = o->arg;
	d->nconns = 1;		/* until the server has said how it is with several */
	d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->opened, NULL);
	for (unsigned i = 0; i < CONNS; i++)
		d->conn[i] = (struct conn){ .d = d, .backoff = RETRY_MIN_MS };
	if (d->uri != NULL && d->wake >= 0)
		return (d);
	destroy(d);
	return (NULL);
}

/* What a server wrote goes to a terminal. */
static void
printable(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
}

static struct nbd_disk *
client_open(const struct module_host *host, const struct nbd_options *o, struct nbd_export *e)
{
	struct nbd_disk *d = make(host, o);
	enum phase phase;
	int error;

	if (d == NULL) {
		(void)host->fail(ENOMEM, "no memory");
		return (NULL);
	}
	error = host->thread_create(&d->thread, serve, d);
	if (error != 0) {
		destroy(d);
		(void)host->fail(error, "cannot make a thread: %s", strerror(error));
		return (NULL);
	}
	pthread_mutex_lock(&d->lock);
	while (d->phase == OPENING)
		pthread_cond_wait(&d->opened, &d->lock);
	phase = d->phase;
	pthread_mutex_unlock(&d->lock);
	if (phase == OPEN) {
		*e = d->e;
		return (d);
	}
	(void)pthread_join(d->thread, NULL);
	printable(d->why);
	error = d->error;
	(void)host->fail(error, "%s", d->why);
	destroy(d);
	errno = error;
	return (NULL);
}

extern const struct nbd_module hyve_block_nbd;
__attribute__((visibility("default"))) const struct nbd_module hyve_block_nbd = {
	.head = { MODULE_VERSION },
	.open = client_open,
	.request = client_request,
	.close = client_close,
};
