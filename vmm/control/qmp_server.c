/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_server.c - the control socket's server: who may connect, and what all clients are told.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../error.h"
#include "../hold.h"
#include "qmp_internal.h"

#define	ACCEPTS		8		/* clients taken a turn */
#define	AGAIN_NS	1000000000ULL

/* Say why not, if that goes at once, and hang up. */
static void
refuse(int fd, const char *why)
{
	json_t *msg = qmp_error("GenericError", why);
	char *text = msg != NULL ? json_dumps(msg, 0) : NULL;

	if (text != NULL && send(fd, text, strlen(text), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		(void)send(fd, "\r\n", 2, MSG_DONTWAIT | MSG_NOSIGNAL);
	free(text);
	json_decref(msg);
	close(fd);
}

int
qmp_add_peer(struct qmp *q, int fd)
{
	struct qmp_peer *p;
	json_t *msg;

	if (q->npeers >= QMP_PEERS_MAX) {
		(void)vmm_fail(EUSERS, "there are %d clients already, as many as there may be; close one", QMP_PEERS_MAX);
		refuse(fd, vmm_errmsg());
		return (-1);
	}
	p = qmp_peer_new(q, fd);
	if (p == NULL) {
		close(fd);
		return (-1);
	}
	msg = qmp_greeting();
	qmp_enter(q);
	qmp_peer_say(p, msg, false);
	qmp_leave(q);
	json_decref(msg);
	return (0);
}

static void
on_listener(void *arg, unsigned what)
{
	struct qmp *q = arg;

	for (unsigned i = 0; i < ACCEPTS; i++) {
		int fd = accept4(q->socket.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
			continue;
		if (fd < 0) {
			/* Without descriptors or memory the client would be told about again and again. */
			if (errno != EAGAIN) {
				event_fd_set(q->listener, 0);
				event_timer_arm(q->again, AGAIN_NS);
			}
			return;
		}
		if (!local_socket_is_owner(fd)) {
			log_msg(q->vmm->log, LOG_LEVEL_WARN, "control", "somebody else's process was refused");
			refuse(fd, "this VM is another user's");
		} else
			(void)qmp_add_peer(q, fd);
	}
}

static void
accept_again(void *arg)
{
	struct qmp *q = arg;

	event_fd_set(q->listener, EVENT_READ);
}

struct qmp *
qmp_new(struct vmm *vmm, struct machine *machine)
{
	struct qmp *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return (vmm_fail_null(ENOMEM, "control: no memory"));
	q->vmm = vmm;
	q->machine = machine;
	q->socket.fd = -1;
	vmm_watch_hold(vmm, qmp_hold_changed, q);
	vmm->plug = (struct vmm_plug){ qmp_device_gone, qmp_device_kept, q };
	return (q);
}

int
qmp_listen(struct qmp *q, const char *path)
{
	if (q->socket.fd >= 0)
		return (vmm_fail(EBUSY, "control: there is a socket at '%s'", q->socket.path));
	if (local_socket_open(&q->socket, "control", SOCK_STREAM, path) != 0)
		return (-1);
	q->again = event_timer_add(q->vmm->loop, accept_again, q);
	q->listener = q->again != NULL ? event_fd_add(q->vmm->loop, q->socket.fd, EVENT_READ, on_listener, q) : NULL;
	if (q->listener != NULL)
		return (0);
	(void)vmm_fail_sys(errno, "control: '%s' cannot be watched", path);
	event_remove(q->again);
	q->again = NULL;
	local_socket_close(&q->socket);
	return (-1);
}

void
qmp_event(struct qmp *q, const char *name, json_t *data)
{
	struct timespec now;
	json_t *msg;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	/* An owned reference that is NULL makes it fail, so data has a form of its own. */
	if (data != NULL)
		msg = json_pack("{s:s, s:o, s:{s:I, s:I}}", "event", name, "data", data, "timestamp",
		    "seconds", (json_int_t)now.tv_sec, "microseconds", (json_int_t)(now.tv_nsec / 1000));
	else
		msg = json_pack("{s:s, s:{s:I, s:I}}", "event", name, "timestamp",
		    "seconds", (json_int_t)now.tv_sec, "microseconds", (json_int_t)(now.tv_nsec / 1000));
	qmp_enter(q);
	for (struct qmp_peer *p = q->peers; p != NULL; p = p->next) {
		if (p->negotiated)
			qmp_peer_say(p, msg, true);
	}
	qmp_leave(q);
	json_decref(msg);
}

void
qmp_free(struct qmp *q)
{
	struct qmp_peer *p;

	if (q == NULL)
		return;
	vmm_watch_hold(q->vmm, NULL, NULL);
	q->vmm->plug = (struct vmm_plug){ NULL, NULL, NULL };
	if (q->stopped)
		vmm_release(q->vmm);
	event_remove(q->listener);
	event_remove(q->again);
	local_socket_close(&q->socket);
	while ((p = q->peers) != NULL) {
		q->peers = p->next;
		qmp_peer_flush(p);
		qmp_peer_free(p);
	}
	free(q);
}
