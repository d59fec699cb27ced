/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_fixture.h - a control socket's server, and clients of the test's own that know bytes only.
 */
#ifndef _QMP_FIXTURE_H_
#define	_QMP_FIXTURE_H_

#include <sys/socket.h>

#include <fcntl.h>

#include "control/qmp.h"
#include "vmm_fixture.h"

/* Whoever is at the other end of a client's socket; text is what came and was not looked at. */
struct qc {
	struct qmp	*q;
	struct vmm	*vmm;
	int		 fd;
	char		*text;
	size_t		 len, size;
	bool		 ended;
};

/* A client by a pair of sockets, before the greeting was read. */
static inline void
qc_open(struct qc *c, struct qmp *q, struct vmm *vmm)
{
	int fds[2];

	*c = (struct qc){ .q = q, .vmm = vmm };
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
	c->fd = fds[0];
	(void)qmp_add_peer(q, fds[1]);
}

static inline void
qc_close(struct qc *c)
{
	close(c->fd);
	free(c->text);
}

static inline void
qc_turn(struct qc *c)
{
	CHECK_EQ(event_loop_once(c->vmm->loop, 0), 0);
}

/* Receive what is there. */
static inline void
qc_receive(struct qc *c)
{
	ssize_t n;

	for (;;) {
		if (c->size - c->len < 65536) {
			c->size = c->size * 2 + 131072;
			c->text = realloc(c->text, c->size);
			CHECK(c->text != NULL);
		}
		n = recv(c->fd, c->text + c->len, c->size - c->len - 1, MSG_DONTWAIT);
		if (n <= 0)
			break;
		c->len += (size_t)n;
	}
	c->text[c->len] = '\0';
	c->ended = n == 0 || (n < 0 && errno != EAGAIN);
}

/* Send bytes, letting the server take them; stops when it hangs up. */
static inline void
qc_send_n(struct qc *c, const char *bytes, size_t len)
{
	ssize_t n;

	while (len != 0) {
		n = send(c->fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
		qc_turn(c);
	}
}

static inline void
qc_send(struct qc *c, const char *text)
{
	qc_send_n(c, text, strlen(text));
}

/* The next message; NULL if none came or the server hung up. */
static inline json_t *
qc_try(struct qc *c)
{
	char *end = NULL;
	json_t *msg;
	size_t n;

	for (int i = 0; i < 100 && end == NULL; i++) {
		qc_receive(c);
		end = c->len != 0 ? memmem(c->text, c->len, "\r\n", 2) : NULL;
		if (end == NULL && c->ended)
			return (NULL);
		if (end == NULL)
			qc_turn(c);
	}
	if (end == NULL)
		return (NULL);
	n = (size_t)(end - c->text);
	msg = json_loadb(c->text, n, 0, NULL);
	CHECKF(msg != NULL, "no JSON: %.*s", (int)n, c->text);
	memmove(c->text, end + 2, c->len - n - 2);
	c->len -= n + 2;
	c->text[c->len] = '\0';
	return (msg);
}

static inline json_t *
qc_next(struct qc *c)
{
	json_t *msg = qc_try(c);

	CHECKF(msg != NULL, "no message came");
	return (msg);
}

/* The next message is an error of this class whose sentence has these words. */
static inline void
qc_error(struct qc *c, const char *class, const char *words)
{
	json_t *msg = qc_next(c), *error = json_object_get(msg, "error");

	CHECKF(error != NULL, "no error: %s", json_dumps(msg, 0));
	CHECK_STR(json_string_value(json_object_get(error, "class")), class);
	CHECK_HAS(json_string_value(json_object_get(error, "desc")), words);
	json_decref(msg);
}

/* The next message is an answer; a new reference to what it returns. */
static inline json_t *
qc_return(struct qc *c)
{
	json_t *msg = qc_next(c), *ret = json_incref(json_object_get(msg, "return"));

	CHECKF(ret != NULL, "no answer: %s", json_dumps(msg, 0));
	json_decref(msg);
	return (ret);
}

/* Ask, and the answer. */
static inline json_t *
qc_ask(struct qc *c, const char *request)
{
	qc_send(c, request);
	return (qc_return(c));
}

static inline void
qc_ok(struct qc *c, const char *request)
{
	json_t *ret = qc_ask(c, request);

	CHECKF(json_is_object(ret) && json_object_size(ret) == 0, "%s", json_dumps(ret, 0));
	json_decref(ret);
}

/* The next message is this event; a new reference to its data. */
static inline json_t *
qc_event(struct qc *c, const char *name)
{
	json_t *msg = qc_next(c), *data = json_incref(json_object_get(msg, "data")), *stamp = json_object_get(msg, "timestamp");

	CHECKF(json_object_get(msg, "event") != NULL, "no event: %s", json_dumps(msg, 0));
	CHECK_STR(json_string_value(json_object_get(msg, "event")), name);
	CHECK(json_integer_value(json_object_get(stamp, "seconds")) > 1600000000);
	CHECK(json_integer_value(json_object_get(stamp, "microseconds")) < 1000000);
	json_decref(msg);
	return (data);
}

/* Nothing came. */
static inline void
qc_silent(struct qc *c)
{
	json_t *msg = qc_try(c);

	CHECKF(msg == NULL && !c->ended, "%s", msg != NULL ? json_dumps(msg, 0) : "hung up");
}

/* The server has hung up, behind what is left to be read. */
static inline void
qc_gone(struct qc *c)
{
	json_t *msg;

	for (int i = 0; i < 10000 && !c->ended; i++) {
		qc_turn(c);
		c->len = 0;
		qc_receive(c);
	}
	CHECK(c->ended);
	while ((msg = qc_try(c)) != NULL)
		json_decref(msg);
}

/* Greeting and negotiation. */
static inline void
qc_ready(struct qc *c, struct qmp *q, struct vmm *vmm)
{
	qc_open(c, q, vmm);
	json_decref(qc_next(c));
	qc_ok(c, "{\"execute\": \"qmp_capabilities\"}");
}

#endif /* _QMP_FIXTURE_H_ */
