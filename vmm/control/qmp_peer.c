/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_peer.c - a client of the control socket: its bytes in and out, bounded each way and in what they cost a turn of the event loop.
 *
 * A client whose answers wait is not heard until it has read them; one that does not read its events is hung up on.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "qmp_internal.h"

#define	TURN_BYTES	16384U		/* received a turn */
#define	TURN_REQUESTS	8		/* answered a turn */
#define	OUT_ENOUGH	65536U		/* bytes of answers that wait: no request is taken then */

void
qmp_enter(struct qmp *q)
{
	q->busy++;
}

void
qmp_leave(struct qmp *q)
{
	struct qmp_peer **link = &q->peers, *p;

	if (--q->busy != 0)
		return;
	while ((p = *link) != NULL) {
		if (!p->dead) {
			link = &p->next;
			continue;
		}
		*link = p->next;
		qmp_peer_free(p);
	}
}

void
qmp_peer_free(struct qmp_peer *p)
{
	event_remove(p->ev);
	close(p->fd);
	p->q->npeers--;
	qmp_stream_next(&p->in);
	free(p->rest);
	free(p->out);
	free(p);
}

/* Sending */

static size_t
waiting(const struct qmp_peer *p)
{
	return (p->outlen - p->outat);
}

static int
append(const char *bytes, size_t n, void *arg)
{
	struct qmp_peer *p = arg;

	if (p->outlen + n > p->outsize) {
		size_t size = p->outsize == 0 ? 4096 : p->outsize;
		char *out;

		while (size < p->outlen + n)
			size *= 2;
		out = realloc(p->out, size);
		if (out == NULL)
			return (-1);
		p->out = out;
		p->outsize = size;
	}
	memcpy(p->out + p->outlen, bytes, n);
	p->outlen += n;
	return (0);
}

/* What to wait for.  A client with bytes for later turns is called when it can be written to: then is the turn for its answers. */
static void
watch(struct qmp_peer *p)
{
	bool full = waiting(p) != 0, later = p->nrest != 0;

	if (p->ended && !full && !later)
		p->dead = true;
	if (!p->dead)
		event_fd_set(p->ev, (full || later ? EVENT_WRITE : 0) | (!p->ended && !later && waiting(p) < OUT_ENOUGH ? EVENT_READ : 0));
}

void
qmp_peer_flush(struct qmp_peer *p)
{
	ssize_t n;

	while (!p->dead && waiting(p) != 0) {
		n = send(p->fd, p->out + p->outat, waiting(p), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n <= 0)
			p->dead = true;
		else
			p->outat += (size_t)n;
	}
	if (waiting(p) == 0) {
		free(p->out);
		p->out = NULL;
		p->outat = p->outlen = p->outsize = 0;
	} else if (p->outat > p->outsize / 2) {
		memmove(p->out, p->out + p->outat, waiting(p));
		p->outlen = waiting(p);
		p->outat = 0;
	}
}

void
qmp_peer_say(struct qmp_peer *p, const json_t *msg, bool event)
{
	if (p->dead)
		return;
	if (event && waiting(p) > QMP_QUEUE_MAX) {
		log_msg(p->q->vmm->log, LOG_LEVEL_WARN, "control", "a client does not read its events: it is hung up on");
		p->dead = true;
		return;
	}
	if (msg == NULL || json_dump_callback(msg, append, p, 0) != 0 || append("\r\n", 2, p) != 0) {
		p->dead = true;
		return;
	}
	qmp_peer_flush(p);
	watch(p);
}

/* Receiving */

static void
say_bad(struct qmp_peer *p, const char *why)
{
	json_t *msg;

	(void)vmm_fail(EINVAL, "this is no JSON request of at most %u bytes: %s", QMP_REQUEST_MAX, why);
	msg = qmp_error("GenericError", vmm_errmsg());
	qmp_peer_say(p, msg, false);
	json_decref(msg);
}

static void
answer(struct qmp_peer *p)
{
	json_t *msg = qmp_answer(p, p->in.buf, p->in.len);

	qmp_stream_next(&p->in);
	qmp_peer_say(p, msg, false);
	json_decref(msg);
}

/* Take some of n bytes: until there were enough requests.  How many were used. */
static size_t
take(struct qmp_peer *p, const char *bytes, size_t n)
{
	size_t at = 0, used;
	const char *why;

	for (unsigned requests = 0; at < n && !p->dead && requests < TURN_REQUESTS && waiting(p) < OUT_ENOUGH; at += used) {
		switch (qmp_stream_feed(&p->in, bytes + at, n - at, &used, &why)) {
		case QMP_STREAM_VALUE:
			answer(p);
			requests++;
			break;
		case QMP_STREAM_BAD:
			say_bad(p, why);
			requests++;
			break;
		case QMP_STREAM_MORE:
			break;
		}
	}
	return (at);
}

static void
take_rest(struct qmp_peer *p)
{
	size_t used = take(p, p->rest + p->restat, p->nrest);

	p->restat += used;
	p->nrest -= used;
	if (p->nrest == 0) {
		free(p->rest);
		p->rest = NULL;
	}
}

static void
receive(struct qmp_peer *p)
{
	char buf[TURN_BYTES];
	ssize_t n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT);
	size_t used;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		p->dead = true;
	if (n <= 0) {
		/* Half of the connection may be left: what was asked is answered. */
		p->ended = true;
		return;
	}
	used = take(p, buf, (size_t)n);
	if (used == (size_t)n || p->dead)
		return;
	p->nrest = (size_t)n - used;
	p->restat = 0;
	p->rest = malloc(p->nrest);
	if (p->rest != NULL)
		memcpy(p->rest, buf + used, p->nrest);
	else
		p->dead = true;
}

static void
on_peer(void *arg, unsigned what)
{
	struct qmp_peer *p = arg;
	struct qmp *q = p->q;

	qmp_enter(q);
	qmp_peer_flush(p);
	if (p->nrest != 0 && !p->dead && waiting(p) < OUT_ENOUGH)
		take_rest(p);
	else if ((what & EVENT_READ) != 0 && p->nrest == 0 && !p->dead && !p->ended && waiting(p) < OUT_ENOUGH)
		receive(p);
	watch(p);
	qmp_leave(q);
}

struct qmp_peer *
qmp_peer_new(struct qmp *q, int fd)
{
	struct qmp_peer *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return (vmm_fail_null(ENOMEM, "control: no memory"));
	p->q = q;
	p->fd = fd;
	p->in.max = QMP_REQUEST_MAX;
	p->ev = event_fd_add(q->vmm->loop, fd, EVENT_READ, on_peer, p);
	if (p->ev == NULL) {
		free(p);
		return (vmm_fail_null(errno, "control: a client's descriptor cannot be watched"));
	}
	p->next = q->peers;
	q->peers = p;
	q->npeers++;
	return (p);
}
