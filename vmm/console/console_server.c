/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console_server.c - see console_server.h.  Everything is on the event loop's thread.
 *
 * Each client has a place in the stream of what the guest said; the ring has the last CONSOLE_RING bytes of that.
 */
#include <sys/socket.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "../local_socket.h"
#include "console_server.h"

struct client {
	struct client	*next;
	struct console_server *s;
	int		 fd;
	struct event	*ev;
	uint64_t	 pos;		/* of the stream: what it gets next */
	pid_t		 pid;
	bool		 local;		/* plain bytes, and the guest waits for it */
	bool		 ready;		/* it has said what it wants */
	bool		 wants;		/* to write */
	bool		 dead;
};

#define	AGAIN_NS	1000000000ULL	/* until a client that could not be taken is tried again */

struct console_server {
	struct event_loop *loop;
	struct log	*log;
	int		 guest;
	struct local_socket listener;
	struct event	*guestev, *listenev, *again;
	struct client	*clients;	/* the newest first */
	unsigned	 nclients;
	struct client	*writer;
	uint64_t	 head;		/* bytes that the guest has written */
	char		 ring[CONSOLE_RING];
	char		 keys[2 * CONSOLE_KEYS_MAX];	/* for the guest */
	size_t		 nkeys;
};

/* A whole CONSOLE_TELL message. */
#define	CONSOLE_TELL_TEXT(text)	"T" text
_Static_assert(CONSOLE_TELL == 'T', "the letter above");

/* Say a sentence to a client; one who does not read misses it. */
static void __attribute__((format(printf, 2, 3)))
tell(struct client *c, const char *fmt, ...)
{
	char text[256] = { CONSOLE_TELL };
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text + 1, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	if (c->local)
		log_msg(c->s->log, LOG_LEVEL_INFO, "console", "%s", text + 1);
	else
		(void)send(c->fd, text, 1 + ((size_t)len < sizeof(text) - 1 ? (size_t)len : sizeof(text) - 2), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* How far the local reader lets the guest get ahead. */
static bool
held_back(const struct console_server *s)
{
	for (const struct client *c = s->clients; c != NULL; c = c->next) {
		if (c->local && !c->dead && s->head - c->pos >= CONSOLE_DATA_MAX)
			return (true);
	}
	return (false);
}

/* Watch for what there is room for. */
static void
rewatch(struct console_server *s)
{
	bool room = s->nkeys + CONSOLE_KEYS_MAX <= sizeof(s->keys);

	event_fd_set(s->guestev, (held_back(s) ? 0 : EVENT_READ) | (s->nkeys != 0 ? EVENT_WRITE : 0));
	for (struct client *c = s->clients; c != NULL; c = c->next) {
		if (!c->dead)
			event_fd_set(c->ev, (c == s->writer && !room ? 0 : EVENT_READ) | (c->ready && c->pos != s->head ? EVENT_WRITE : 0));
	}
}

/* The oldest of those who want to write does. */
static void
next_writer(struct console_server *s)
{
	s->writer = NULL;
	for (struct client *c = s->clients; c != NULL; c = c->next) {
		if (c->wants && !c->dead)
			s->writer = c;
	}
	if (s->writer != NULL)
		tell(s->writer, "who wrote has gone: what you type goes to the guest now");
}

/* Free the dead. */
static void
reap(struct console_server *s)
{
	struct client **link = &s->clients, *c;
	bool writer = false;

	while ((c = *link) != NULL) {
		if (!c->dead) {
			link = &c->next;
			continue;
		}
		*link = c->next;
		writer |= c == s->writer;
		s->nclients--;
		event_remove(c->ev);
		close(c->fd);
		free(c);
	}
	if (writer)
		next_writer(s);
}

/* Give the client what it takes. */
static void
pump(struct client *c)
{
	struct console_server *s = c->s;
	char type = CONSOLE_DATA;

	while (c->ready && !c->dead && c->pos != s->head) {
		size_t at = (size_t)(c->pos % CONSOLE_RING), len = (size_t)(s->head - c->pos);
		struct iovec iov[2] = { { &type, 1 }, { s->ring + at, 0 } };
		struct msghdr msg = { .msg_iov = c->local ? iov + 1 : iov, .msg_iovlen = c->local ? 1 : 2 };
		ssize_t n;

		if (len > CONSOLE_DATA_MAX)
			len = CONSOLE_DATA_MAX;
		if (len > CONSOLE_RING - at)
			len = CONSOLE_RING - at;
		iov[1].iov_len = len;
		n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
			c->dead = true;
		if (n <= 0)
			break;
		c->pos += (uint64_t)n - (c->local ? 0 : 1);
	}
}

static void
feed_guest(struct console_server *s)
{
	ssize_t n;

	while (s->nkeys != 0) {
		n = send(s->guest, s->keys, s->nkeys, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			break;
		memmove(s->keys, s->keys + n, s->nkeys - (size_t)n);
		s->nkeys -= (size_t)n;
	}
}

/* Take what the guest says into the ring; false: there was nothing. */
static bool
take(struct console_server *s)
{
	size_t at = (size_t)(s->head % CONSOLE_RING);
	ssize_t n = recv(s->guest, s->ring + at, CONSOLE_RING - at < CONSOLE_DATA_MAX ? CONSOLE_RING - at : CONSOLE_DATA_MAX, MSG_DONTWAIT);

	if (n <= 0)
		return (false);
	s->head += (uint64_t)n;
	for (struct client *c = s->clients; c != NULL; c = c->next) {
		pump(c);
		/* The next piece would be written over what it has not read. */
		if (c->ready && !c->local && !c->dead && s->head - c->pos > CONSOLE_RING - CONSOLE_DATA_MAX) {
			log_msg(s->log, LOG_LEVEL_INFO, "console", "process %d did not read and was dropped", (int)c->pid);
			c->dead = true;
		}
	}
	return (true);
}

static void
on_guest(void *arg, unsigned what)
{
	struct console_server *s = arg;

	if ((what & EVENT_READ) != 0 && !held_back(s))
		(void)take(s);
	feed_guest(s);
	reap(s);
	rewatch(s);
}

/* Its first message. */
static void
hello(struct client *c, char what)
{
	struct console_server *s = c->s;

	if (what != CONSOLE_READ && what != CONSOLE_WRITE && what != CONSOLE_STEAL) {
		c->dead = true;
		return;
	}
	c->ready = true;
	c->wants = what != CONSOLE_READ;
	c->pos = s->head < CONSOLE_SHOWN ? 0 : s->head - CONSOLE_SHOWN;
	if (what == CONSOLE_STEAL && s->writer != NULL) {
		tell(s->writer, "process %d has taken over: what you type goes nowhere", (int)c->pid);
		/* The local one cannot come again. */
		s->writer->wants = s->writer->local;
		s->writer = c;
	} else if (c->wants && s->writer != NULL)
		tell(c, "process %d writes here: what you type goes nowhere until it has gone; --steal takes over", (int)s->writer->pid);
	else if (c->wants)
		s->writer = c;
}

static void
on_client(void *arg, unsigned what)
{
	struct client *c = arg;
	struct console_server *s = c->s;
	char buf[1 + CONSOLE_KEYS_MAX + 1];	/* one byte more than a message may have */
	size_t max = sizeof(s->keys) - s->nkeys;
	ssize_t n;

	if ((what & EVENT_READ) != 0 && (c != s->writer || max >= CONSOLE_KEYS_MAX)) {
		n = recv(c->fd, buf, c->local ? CONSOLE_KEYS_MAX : sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			c->dead = true;
		else if (n > 0 && !c->ready && n == 1)
			hello(c, buf[0]);
		else if (n > 0 && (!c->ready || (!c->local && buf[0] != CONSOLE_KEYS) || n > 1 + CONSOLE_KEYS_MAX))
			c->dead = true;
		else if (n > 0 && c == s->writer) {
			size_t skip = c->local ? 0 : 1, len = (size_t)n - skip;

			memcpy(s->keys + s->nkeys, buf + skip, len);
			s->nkeys += len;
			feed_guest(s);
		}
	}
	pump(c);
	reap(s);
	rewatch(s);
}

static struct client *
add_client(struct console_server *s, int fd, bool local, pid_t pid)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c != NULL) {
		*c = (struct client){ .next = s->clients, .s = s, .fd = fd, .pid = pid, .local = local, .ready = local, .wants = local };
		c->ev = event_fd_add(s->loop, fd, EVENT_READ, on_client, c);
	}
	if (c == NULL || c->ev == NULL) {
		free(c);
		return (vmm_fail_null(ENOMEM, "console: no memory"));
	}
	s->clients = c;
	s->nclients++;
	return (c);
}

static void
accept_again(void *arg)
{
	struct console_server *s = arg;

	event_fd_set(s->listenev, EVENT_READ);
}

static void
on_listener(void *arg, unsigned what)
{
	struct console_server *s = arg;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int fd = accept4(s->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	const char *why = NULL;

	if (fd < 0) {
		/* Without descriptors or memory the client would be told about again and again. */
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
			event_fd_set(s->listenev, 0);
			event_timer_arm(s->again, AGAIN_NS);
		}
		return;
	}
	if (!local_socket_is_owner(fd) || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
		why = CONSOLE_TELL_TEXT("this console is another user's");
	else if (s->nclients >= CONSOLE_CLIENTS)
		why = CONSOLE_TELL_TEXT("this console has as many readers as it can have");
	if (why != NULL || add_client(s, fd, false, peer.pid) == NULL) {
		if (why != NULL)
			(void)send(fd, why, strlen(why), MSG_DONTWAIT | MSG_NOSIGNAL);
		close(fd);
	}
}

struct console_server *
console_server_open(struct event_loop *loop, struct log *log, int guest, const char *path)
{
	struct console_server *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		close(guest);
		return (vmm_fail_null(ENOMEM, "console: no memory"));
	}
	s->loop = loop;
	s->log = log;
	s->guest = guest;
	if (local_socket_open(&s->listener, "console", SOCK_SEQPACKET, path) != 0)
		goto fail;
	if ((s->again = event_timer_add(loop, accept_again, s)) == NULL ||
	    (s->guestev = event_fd_add(loop, guest, EVENT_READ, on_guest, s)) == NULL ||
	    (s->listenev = event_fd_add(loop, s->listener.fd, EVENT_READ, on_listener, s)) == NULL) {
		(void)vmm_fail_sys(errno, "console: '%s'", path);
		goto fail;
	}
	return (s);
fail:
	console_server_close(s);
	return (NULL);
}

int
console_server_local(struct console_server *s)
{
	struct client *c;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return (vmm_fail_sys(errno, "console"));
	c = add_client(s, fds[0], true, getpid());
	if (c == NULL) {
		close(fds[0]);
		close(fds[1]);
		return (-1);
	}
	s->writer = c;
	return (fds[1]);
}

void
console_server_close(struct console_server *s)
{
	if (s == NULL)
		return;
	if (s->guestev != NULL) {
		while (take(s))
			;
	}
	for (struct client *c = s->clients; c != NULL; c = c->next) {
		/* One by one: the next writer would be told. */
		c->wants = false;
		c->dead = true;
	}
	reap(s);
	event_remove(s->guestev);
	event_remove(s->listenev);
	event_remove(s->again);
	local_socket_close(&s->listener);
	close(s->guest);
	free(s);
}
