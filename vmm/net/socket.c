/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * socket.c - the back end "socket": a wire between two NICs, mostly of two VMs, by a UNIX socket.
 *
 * One end listens at a path and the other connects to it; either may come first, go away and come back, and the link is up while both are
 * there and have greeted each other.  Who connects tries again by and by.
 *
 * The socket is of type SOCK_SEQPACKET: the kernel keeps messages whole, so there are no lengths to believe.  A message begins with a
 * struct wire_header, little-endian.  WIRE_HELLO, the first each way, has a struct wire_hello behind it: what its sender's guest takes
 * (NET_TAKES_*), again whenever that changes.  WIRE_FRAME has a frame behind it, and what virtio_net_hdr would say about it before it: two
 * Linux guests exchange TCP segments of 64 KiB.  What the peer does not take is finished here.
 *
 * The peer may be anybody who can open the path: a message that is none ends the connection, and a frame that is none, or asks for what was
 * not offered, is dropped.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "cut.h"
#include "offload.h"

#define	RETRY_NS	200000000ULL
#define	BATCH		64		/* messages received at a time, for others live on this thread */
#define	BUFFER		(4 << 20)	/* bytes that the kernel may keep for the peer, if it lets us have so many */

enum { WIRE_HELLO = 1, WIRE_FRAME = 2 };

struct wire_header {
	uint8_t		type, flags, gso, zero;
	uint16_t	hdr_len, gso_size, csum_start, csum_off;
};
_Static_assert(sizeof(struct wire_header) == 12, "no padding");

struct wire_hello {
	char		magic[8];	/* MAGIC */
	uint32_t	version, takes;
};
#define	MAGIC		"hyve-net"
#define	VERSION		1

struct sock {
	struct net	*net;
	struct sockaddr_un addr;
	bool		 listens;
	int		 listener, fd;	/* -1: none */
	struct event	*listener_ev, *ev, *retry;
	bool		 running;
	bool		 greeted;	/* the peer has */
	unsigned	 peer_takes;
	/* To the peer: a frame that is cut up, the segment of it that is next, and our wishes. */
	bool		 blocked;	/* the kernel takes no more now */
	bool		 refused;	/* so the NIC has a frame that waits */
	bool		 hello_due;
	struct net_cut	 cut;
	size_t		 seglen;	/* 0: none waits */
	uint8_t		*whole, *seg;
	/* From the peer: a frame that the NIC refused. */
	bool		 held;
	struct net_frame heldf;
	struct iovec	 heldiov;
	uint8_t		*in;
};

static void
watch(struct sock *s)
{
	if (s->ev != NULL)
		event_fd_set(s->ev, (s->running && !s->held ? EVENT_READ : 0) | (s->running && s->blocked ? EVENT_WRITE : 0));
}

/* The connection is over. */
static void
hang_up(struct sock *s)
{
	event_remove(s->ev);
	s->ev = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	s->greeted = s->blocked = s->hello_due = s->held = false;
	s->cut.frame = NULL;
	s->seglen = 0;
	if (s->running && !s->listens)
		event_timer_arm(s->retry, RETRY_NS);
	net_set_link(s->net, false);
	/* What the NIC kept goes the way of all frames on a wire without an end. */
	if (s->refused && s->running) {
		s->refused = false;
		net_writable(s->net);
	}
	s->refused = false;
}

/* To the peer */

/* Send a message.  false: not now. */
static bool
send_message(struct sock *s, const struct wire_header *h, const struct iovec *iov, int niov)
{
	struct iovec all[1 + 64];
	struct msghdr msg = { .msg_iov = all, .msg_iovlen = (size_t)niov + 1 };

	if (niov > 64)
		return (true);
	all[0] = (struct iovec){ .iov_base = (void *)(uintptr_t)h, .iov_len = sizeof(*h) };
	memcpy(all + 1, iov, (size_t)niov * sizeof(*iov));
	if (sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return (true);
	/* A peer that went away is noticed by receiving; anything else is a frame that is lost. */
	if (errno != EAGAIN)
		return (true);
	s->blocked = true;
	watch(s);
	return (false);
}

static void
send_hello(struct sock *s)
{
	static const struct wire_header h = { .type = WIRE_HELLO };
	struct wire_hello hello = { .version = htole32(VERSION), .takes = htole32(atomic_load(&s->net->takes) & NET_TAKES_ALL) };
	const struct iovec iov = { .iov_base = &hello, .iov_len = sizeof(hello) };

	memcpy(hello.magic, MAGIC, sizeof(hello.magic));
	s->hello_due = !send_message(s, &h, &iov, 1);
}

static bool
send_plain(struct sock *s, uint8_t *p, size_t len, uint8_t flags)
{
	const struct wire_header h = { .type = WIRE_FRAME, .flags = flags };
	const struct iovec iov = { .iov_base = p, .iov_len = len };

	return (send_message(s, &h, &iov, 1));
}

/* What is left of a frame that is cut up.  Whether all of it went. */
static bool
send_segments(struct sock *s)
{
	for (;;) {
		if (s->seglen == 0)
			s->seglen = net_cut_next(&s->cut, s->seg);
		if (s->seglen == 0)
			return (true);
		if (!send_plain(s, s->seg, s->seglen, NET_CSUM_GOOD))
			return (false);
		s->seglen = 0;
	}
}

/* A frame whose offloads the peer does not take.  The copy is finished: the NIC's must not be so twice, nor go before the last segment has. */
static bool
send_finished(struct sock *s, const struct net_frame *f)
{
	(void)offload_copy(f, s->whole);
	if (f->gso == NET_GSO_NONE)
		return (!offload_finish_csum(s->whole, f) || send_plain(s, s->whole, f->len, NET_CSUM_GOOD));
	if (net_cut_begin(&s->cut, s->whole, f))
		(void)send_segments(s);
	return (true);
}

static bool
sock_send(struct net *n, const struct net_frame *f)
{
	struct sock *s = n->priv;
	const struct wire_header h = {
		.type = WIRE_FRAME, .flags = f->flags, .gso = f->gso, .hdr_len = htole16(f->hdr_len), .gso_size = htole16(f->gso_size),
		.csum_start = htole16(f->csum_start), .csum_off = htole16(f->csum_off),
	};
	bool sent;

	if (!s->greeted || !net_frame_good(f, NET_TAKES_ALL))
		return (true);
	sent = !s->blocked && (net_frame_good(f, s->peer_takes) ? send_message(s, &h, f->iov, f->niov) : send_finished(s, f));
	s->refused |= !sent;
	return (sent);
}

static void
on_writable(struct sock *s)
{
	s->blocked = false;
	if (s->hello_due)
		send_hello(s);
	if (!s->blocked)
		(void)send_segments(s);
	if (!s->blocked && s->refused) {
		s->refused = false;
		net_writable(s->net);
	}
	watch(s);
}

/* From the peer */

/* -1: this is none of ours. */
static int
take_hello(struct sock *s, const uint8_t *body, size_t len)
{
	struct wire_hello hello;

	if (len != sizeof(hello))
		return (-1);
	memcpy(&hello, body, sizeof(hello));
	if (memcmp(hello.magic, MAGIC, sizeof(hello.magic)) != 0 || le32toh(hello.version) != VERSION)
		return (-1);
	s->peer_takes = le32toh(hello.takes) & NET_TAKES_ALL;
	s->greeted = true;
	net_set_link(s->net, true);
	return (0);
}

static void
take_frame(struct sock *s, const struct wire_header *h, size_t len)
{
	struct device *dev = s->net->dev;
	unsigned takes = atomic_load(&s->net->takes);

	s->heldiov = (struct iovec){ .iov_base = s->in, .iov_len = len };
	s->heldf = (struct net_frame){
		.iov = &s->heldiov, .niov = 1, .len = len, .flags = h->flags & (NET_NEEDS_CSUM | NET_CSUM_GOOD), .gso = h->gso,
		.hdr_len = le16toh(h->hdr_len), .gso_size = le16toh(h->gso_size), .csum_start = le16toh(h->csum_start),
		.csum_off = le16toh(h->csum_off),
	};
	if (!net_frame_good(&s->heldf, takes)) {
		/* It may have been on its way when the guest changed its mind. */
		if (!net_frame_good(&s->heldf, NET_TAKES_ALL) || s->heldf.gso != NET_GSO_NONE || !offload_finish_csum(s->in, &s->heldf)) {
			device_guest_log(dev, "network: the peer sent a frame of %zu bytes that is not possible, or not taken", len);
			return;
		}
		s->heldf.flags = NET_CSUM_GOOD;
	}
	s->held = !net_receive(s->net, &s->heldf);
}

/* One message.  false: none is there, or the connection is over. */
static bool
receive_one(struct sock *s)
{
	struct wire_header h;
	struct iovec iov[2] = { { &h, sizeof(h) }, { s->in, NET_FRAME_MAX } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n = recvmsg(s->fd, &msg, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return (false);
	if (n <= 0) {
		hang_up(s);
		return (false);
	}
	if ((msg.msg_flags & MSG_TRUNC) == 0 && (size_t)n >= sizeof(h)) {
		size_t len = (size_t)n - sizeof(h);

		if (h.type == WIRE_FRAME && s->greeted) {
			take_frame(s, &h, len);
			return (!s->held);
		}
		if (h.type == WIRE_HELLO && take_hello(s, s->in, len) == 0)
			return (true);
	}
	device_guest_log(s->net->dev, "network: at '%s' is something else than a network card of hyve, or one of another version",
	    s->addr.sun_path);
	hang_up(s);
	return (false);
}

static void
on_socket(void *arg, unsigned what)
{
	struct sock *s = arg;

	if (!s->running)
		return;
	if ((what & EVENT_WRITE) != 0)
		on_writable(s);
	if ((what & EVENT_READ) == 0)
		return;
	for (unsigned i = 0; i < BATCH && s->fd >= 0 && !s->held && receive_one(s); i++)
		continue;
	net_receive_flush(s->net);
	watch(s);
}

/* Connections */

/* The descriptor is ours now. */
static void
connected(struct sock *s, int fd)
{
	int size = BUFFER;

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	s->ev = event_fd_add(s->net->dev->vmm->loop, fd, 0, on_socket, s);
	if (s->ev == NULL) {
		close(fd);
		return;
	}
	s->fd = fd;
	send_hello(s);
	watch(s);
}

static void
on_listener(void *arg, unsigned what)
{
	struct sock *s = arg;
	int fd = s->running ? accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK) : -1;

	if (fd < 0) {
		/* Who waits stays there: without a descriptor for it this would be called again and again. */
		if (s->running && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
			event_fd_set(s->listener_ev, 0);
			event_timer_arm(s->retry, RETRY_NS);
		}
		return;
	}
	/* A wire has two ends. */
	if (s->fd >= 0)
		close(fd);
	else
		connected(s, fd);
}

/* Later: connect, or accept again. */
static void
try_connect(void *arg)
{
	struct sock *s = arg;
	int fd;

	if (s->running && s->listens) {
		event_fd_set(s->listener_ev, EVENT_READ);
		return;
	}
	if (!s->running || s->fd >= 0)
		return;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&s->addr, sizeof(s->addr)) == 0) {
		connected(s, fd);
	} else if (fd >= 0)
		close(fd);
	if (s->fd < 0)
		event_timer_arm(s->retry, RETRY_NS);
}

/* Remove the socket of a process that is no more.  Whether the path is free now. */
static bool
remove_stale(const struct sock *s)
{
	struct stat st;
	bool stale;
	int fd;

	if (lstat(s->addr.sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
		return (false);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return (false);
	stale = connect(fd, (const struct sockaddr *)&s->addr, sizeof(s->addr)) != 0 && errno == ECONNREFUSED;
	close(fd);
	return (stale && unlink(s->addr.sun_path) == 0);
}

static int
open_listener(struct sock *s)
{
	struct device *dev = s->net->dev;
	const struct sockaddr *sa = (const struct sockaddr *)&s->addr;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

	if (fd < 0)
		return (vmm_fail_sys(errno, "%s: socket", dev->name));
	/* For this user alone: Linux takes the mode of the file from the socket's. */
	(void)fchmod(fd, 0600);
	if (bind(fd, sa, sizeof(s->addr)) != 0 && (errno != EADDRINUSE || !remove_stale(s) || bind(fd, sa, sizeof(s->addr)) != 0)) {
		error = errno;
		close(fd);
		if (error == EADDRINUSE)
			return (vmm_fail(error, "%s: somebody listens at '%s', or it is no socket: one end listens, the other leaves "
			    "'listen' out", dev->name, s->addr.sun_path));
		return (vmm_fail(error, "%s: cannot listen at '%s': %s", dev->name, s->addr.sun_path, strerror(error)));
	}
	s->listener = fd;
	if (listen(fd, 4) != 0)
		return (vmm_fail_sys(errno, "%s: listen at '%s'", dev->name, s->addr.sun_path));
	s->listener_ev = event_fd_add(dev->vmm->loop, fd, 0, on_listener, s);
	return (s->listener_ev != NULL ? 0 : -1);
}

/* The back end */

static void
sock_ready(struct net *n)
{
	struct sock *s = n->priv;

	if (!s->held || !net_receive(n, &s->heldf))
		return;
	s->held = false;
	net_receive_flush(n);
	watch(s);
}

static void
sock_configure(struct net *n)
{
	struct sock *s = n->priv;

	if (s->fd < 0)
		return;
	s->hello_due = true;
	if (!s->blocked)
		send_hello(s);
}

static void
sock_start(struct net *n)
{
	struct sock *s = n->priv;

	s->running = true;
	if (s->listener_ev != NULL)
		event_fd_set(s->listener_ev, EVENT_READ);
	else
		try_connect(s);
	watch(s);
	sock_ready(n);
}

static void
sock_stop(struct net *n)
{
	struct sock *s = n->priv;

	s->running = false;
	/* The NIC drops what waits. */
	s->refused = false;
	event_timer_disarm(s->retry);
	if (s->listener_ev != NULL)
		event_fd_set(s->listener_ev, 0);
	watch(s);
}

static void
destroy(struct sock *s)
{
	s->running = false;
	hang_up(s);
	event_remove(s->listener_ev);
	if (s->listener >= 0) {
		(void)unlink(s->addr.sun_path);
		close(s->listener);
	}
	event_remove(s->retry);
	free(s->whole);
	free(s->seg);
	free(s->in);
	free(s);
}

static void
sock_close(struct net *n)
{
	destroy(n->priv);
}

static const struct net_ops ops = {
	.takes = NET_TAKES_ALL,
	.send = sock_send,
	.ready = sock_ready,
	.configure = sock_configure,
	.start = sock_start,
	.stop = sock_stop,
	.close = sock_close,
};

static int
sock_open(struct net *n)
{
	const char *path = config_str(n->dev->config, "path");
	struct sock *s;
	int error;

	if (path == NULL)
		return (vmm_fail(EINVAL, "%s: the back end 'socket' needs a path, the same at both ends: one of them with 'listen'",
		    n->dev->name));
	if (strlen(path) >= sizeof(s->addr.sun_path))
		return (vmm_fail(ENAMETOOLONG, "%s: path: at most %zu characters, as for every UNIX socket", n->dev->name,
		    sizeof(s->addr.sun_path) - 1));
	s = calloc(1, sizeof(*s));
	if (s == NULL)
		return (vmm_fail(ENOMEM, "%s: no memory", n->dev->name));
	s->net = n;
	s->fd = s->listener = -1;
	s->addr.sun_family = AF_UNIX;
	memcpy(s->addr.sun_path, path, strlen(path));
	s->listens = config_bool(n->dev->config, "listen");
	n->link = false;
	(void)snprintf(n->place, sizeof(n->place), s->listens ? "listens" : "connects");
	s->whole = malloc(NET_FRAME_MAX);
	s->seg = malloc(NET_FRAME_MAX);
	s->in = malloc(NET_FRAME_MAX);
	s->retry = event_timer_add(n->dev->vmm->loop, try_connect, s);
	if (s->whole == NULL || s->seg == NULL || s->in == NULL || s->retry == NULL)
		(void)vmm_fail(ENOMEM, "%s: no memory", n->dev->name);
	else if (!s->listens || open_listener(s) == 0) {
		n->priv = s;
		n->ops = &ops;
		return (0);
	}
	error = errno;
	destroy(s);
	errno = error;
	return (-1);
}

NET_BACKEND(socket, "socket", NULL, "a wire to another network card by a UNIX socket", sock_open);
