/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_client.c - a client of a control socket.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../error.h"
#include "qmp_client.h"
#include "qmp_stream.h"

#define	EVENTS_MAX	256		/* kept while nobody asks for them; then the oldest go */

struct qmp_client {
	int		 fd;
	char		*what;
	struct qmp_stream in;
	char		 buf[4096];	/* received: buf[at] to buf[n] */
	size_t		 at, n;
	json_t		*greeting;
	json_t		*events;	/* an array of those that came while an answer was waited for */
	unsigned	 id;
	char		 class[32];
};

static int64_t
now_ms(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return ((int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
}

/* Wait until the descriptor is ready.  -1 with a sentence. */
static int
wait_for(struct qmp_client *c, short what, int64_t until)
{
	struct pollfd pfd = { .fd = c->fd, .events = what };
	int64_t left;
	int n;

	for (;;) {
		left = until - now_ms();
		n = left <= 0 ? 0 : poll(&pfd, 1, left < 60000 ? (int)left : 60000);
		if (n > 0)
			return (0);
		if (left <= 0)
			return (vmm_fail(ETIMEDOUT, "%s: no answer came in time", c->what));
		if (n < 0 && errno != EINTR)
			return (vmm_fail_sys(errno, "%s", c->what));
	}
}

static int
gone(struct qmp_client *c)
{
	return (vmm_fail(ECONNRESET, "%s: whoever was there has hung up", c->what));
}

static int
send_all(struct qmp_client *c, const char *text, size_t len, int64_t until)
{
	ssize_t n;

	while (len != 0) {
		n = send(c->fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return (gone(c));
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return (vmm_fail_sys(errno, "%s", c->what));
		if (n < 0 && wait_for(c, POLLOUT, until) != 0)
			return (-1);
		if (n > 0) {
			text += n;
			len -= (size_t)n;
		}
	}
	return (0);
}

static int
receive(struct qmp_client *c, int64_t until)
{
	ssize_t n;

	for (;;) {
		n = recv(c->fd, c->buf, sizeof(c->buf), MSG_DONTWAIT);
		if (n > 0) {
			c->at = 0;
			c->n = (size_t)n;
			return (0);
		}
		if (n == 0 || errno == ECONNRESET)
			return (gone(c));
		if (errno != EAGAIN && errno != EINTR)
			return (vmm_fail_sys(errno, "%s", c->what));
		if (wait_for(c, POLLIN, until) != 0)
			return (-1);
	}
}

/* The next message, an object.  NULL with a sentence. */
static json_t *
next_message(struct qmp_client *c, int64_t until)
{
	const char *why = NULL;
	json_t *msg;
	size_t used;

	for (;;) {
		enum qmp_stream_result r;

		if (c->at == c->n && receive(c, until) != 0)
			return (NULL);
		r = qmp_stream_feed(&c->in, c->buf + c->at, c->n - c->at, &used, &why);
		c->at += used;
		if (r == QMP_STREAM_BAD)
			return (vmm_fail_null(EPROTO, "%s: whoever is there does not speak QMP: what came is no JSON: %s", c->what, why));
		if (r == QMP_STREAM_MORE)
			continue;
		msg = json_loadb(c->in.buf, c->in.len, 0, NULL);
		qmp_stream_next(&c->in);
		if (json_is_object(msg))
			return (msg);
		json_decref(msg);
		return (vmm_fail_null(EPROTO, "%s: whoever is there does not speak QMP: what came is no JSON object", c->what));
	}
}

/* A refusal: its sentence becomes ours. */
static void
refused(struct qmp_client *c, const json_t *error, int code)
{
	const char *class = json_string_value(json_object_get(error, "class")), *desc = json_string_value(json_object_get(error, "desc"));

	(void)snprintf(c->class, sizeof(c->class), "%s", class != NULL ? class : "GenericError");
	(void)vmm_fail(code, "%s", desc != NULL ? desc : "the VM refused, without a reason");
}

static json_t *
take_greeting(struct qmp_client *c, int64_t until)
{
	json_t *msg = next_message(c, until), *greeting;

	if (msg == NULL)
		return (NULL);
	greeting = json_incref(json_object_get(msg, "QMP"));
	if (greeting == NULL && json_object_get(msg, "error") != NULL)
		refused(c, json_object_get(msg, "error"), EPROTO);
	else if (greeting == NULL)
		(void)vmm_fail(EPROTO, "%s: whoever is there does not speak QMP: there is no greeting", c->what);
	json_decref(msg);
	return (greeting);
}

struct qmp_client *
qmp_client_open_fd(int fd, const char *what, unsigned timeout_ms)
{
	struct qmp_client *c = calloc(1, sizeof(*c));
	int64_t began = now_ms(), left;
	json_t *answer = NULL;
	int error;

	if (c == NULL) {
		close(fd);
		return (vmm_fail_null(ENOMEM, "%s: no memory", what));
	}
	c->fd = fd;
	c->in.max = QMP_ANSWER_MAX;
	c->what = strdup(what);
	c->events = json_array();
	if (c->what == NULL || c->events == NULL) {
		qmp_client_close(c);
		return (vmm_fail_null(ENOMEM, "%s: no memory", what));
	}
	c->greeting = take_greeting(c, began + timeout_ms);
	left = began + timeout_ms - now_ms();
	if (c->greeting != NULL)
		answer = qmp_client_execute(c, "qmp_capabilities", NULL, left > 0 ? (unsigned)left : 0);
	if (answer == NULL) {
		error = errno;
		qmp_client_close(c);
		errno = error;
		return (NULL);
	}
	json_decref(answer);
	return (c);
}

struct qmp_client *
qmp_client_open(const char *path, unsigned timeout_ms)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (path[0] == '\0' || strlen(path) >= sizeof(addr.sun_path))
		return (vmm_fail_null(path[0] == '\0' ? ENOENT : ENAMETOOLONG, "'%s' cannot be a socket's path", path));
	memcpy(addr.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		(void)vmm_fail_sys(errno, "control socket");
		return (NULL);
	}
	if (connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0) {
		int error = errno == EAGAIN ? EBUSY : errno;

		close(fd);
		if (error == ECONNREFUSED)
			return (vmm_fail_null(error, "nobody answers at the socket '%s' any more", path));
		if (error == EBUSY)
			return (vmm_fail_null(error, "too many wait at the socket '%s' already", path));
		(void)vmm_fail_sys(error, "cannot connect to the socket '%s'", path);
		return (NULL);
	}
	return (qmp_client_open_fd(fd, path, timeout_ms));
}

void
qmp_client_close(struct qmp_client *c)
{
	if (c == NULL)
		return;
	close(c->fd);
	qmp_stream_next(&c->in);
	json_decref(c->greeting);
	json_decref(c->events);
	free(c->what);
	free(c);
}

const json_t *
qmp_client_greeting(const struct qmp_client *c)
{
	return (c->greeting);
}

const char *
qmp_client_class(const struct qmp_client *c)
{
	return (c->class);
}

int
qmp_client_fd(const struct qmp_client *c)
{
	return (c->fd);
}

static void
keep_event(struct qmp_client *c, json_t *msg)
{
	if (json_array_size(c->events) == EVENTS_MAX)
		(void)json_array_remove(c->events, 0);
	(void)json_array_append(c->events, msg);
}

/* The answer to request id, a whole message. */
static json_t *
wait_answer(struct qmp_client *c, int64_t until)
{
	json_t *msg, *id;

	while ((msg = next_message(c, until)) != NULL) {
		id = json_object_get(msg, "id");
		if (json_object_get(msg, "event") != NULL)
			keep_event(c, msg);
		else if (json_is_integer(id) && json_integer_value(id) == (json_int_t)c->id)
			return (msg);
		else if (json_object_get(msg, "error") != NULL && id == NULL) {
			/* What it did not understand has no id. */
			refused(c, json_object_get(msg, "error"), EPROTO);
			json_decref(msg);
			return (NULL);
		}
		json_decref(msg);
	}
	return (NULL);
}

json_t *
qmp_client_execute(struct qmp_client *c, const char *command, json_t *args, unsigned timeout_ms)
{
	int64_t until = now_ms() + timeout_ms;
	json_t *req = json_pack("{s:s, s:I}", "execute", command, "id", (json_int_t)++c->id), *msg, *answer;
	char *text;
	int sent;

	if (args != NULL && json_object_set_new(req, "arguments", args) != 0) {
		json_decref(req);
		return (vmm_fail_null(ENOMEM, "%s: no memory", c->what));
	}
	text = json_dumps(req, 0);
	json_decref(req);
	if (text == NULL)
		return (vmm_fail_null(EINVAL, "%s: '%s' is no name of a command, or there is no memory", c->what, command));
	sent = send_all(c, text, strlen(text), until) != 0 ? -1 : send_all(c, "\n", 1, until);
	free(text);
	msg = sent == 0 ? wait_answer(c, until) : NULL;
	if (msg == NULL)
		return (NULL);
	answer = json_incref(json_object_get(msg, "return"));
	if (answer == NULL && json_object_get(msg, "error") != NULL)
		refused(c, json_object_get(msg, "error"), EREMOTEIO);
	else if (answer == NULL)
		(void)vmm_fail(EPROTO, "%s: an answer to '%s' came that is none", c->what, command);
	json_decref(msg);
	return (answer);
}

static bool
is_event(const json_t *msg, const char *name)
{
	const char *event = json_string_value(json_object_get(msg, "event"));

	return (event != NULL && (name == NULL || strcmp(event, name) == 0));
}

json_t *
qmp_client_event(struct qmp_client *c, const char *name, unsigned timeout_ms)
{
	int64_t until = now_ms() + timeout_ms;
	json_t *msg;

	for (;;) {
		if (json_array_size(c->events) != 0) {
			msg = json_incref(json_array_get(c->events, 0));
			(void)json_array_remove(c->events, 0);
		} else
			msg = next_message(c, until);
		if (msg == NULL || is_event(msg, name))
			return (msg);
		json_decref(msg);
	}
}
