/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slirp.c - the module hyve-net-slirp.so: user-mode networking by libslirp, which plays a gateway, servers for DHCP, DNS
 * and TFTP, and every host beyond them by sockets of this process.
 *
 * libslirp is single-threaded: all of it lives on the control thread.  It wants to be called around a poll(2).  Here
 * the descriptors that it named last are watched by the event loop; when one is ready, or its time has come, they are polled
 * without waiting, libslirp does its work, and names its descriptors anew (serve()).  The same follows what the guest sent.
 *
 * TCP segments that come one behind the other are merged for a guest that takes them so, until libslirp has done its work.
 *
 * What the guest cannot receive is held, up to a limit, and meanwhile libslirp's sockets are not looked at, so that the host's
 * senders wait.
 */
#include <sys/types.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <slirp/libslirp.h>

#include "merge.h"
#include "offload.h"
#include "user.h"

#define	COARSE_NS	2000000ULL
#define	HELD_MAX	(1U << 20)	/* bytes of frames for a guest that does not receive */

struct user;

/* A descriptor that libslirp has. */
struct watch {
	struct watch	*next;
	struct user	*u;
	int		 fd;
	unsigned	 round;		/* when it was last named */
	struct event	*ev;
};

/* A timer of libslirp's. */
struct timer {
	struct timer	*next;
	struct user	*u;
	SlirpTimerId	 id;
	void		*arg;
	struct event	*ev;
	bool		 missed;	/* it came while the VM was paused */
};

struct held {
	struct held	*next;
	struct net_frame f;
	struct iovec	 iov;
	uint8_t		 data[];
};

struct user {
	struct net	*net;
	const struct module_host *host;
	struct event_loop *loop;
	Slirp		*slirp;
	struct pollfd	*fds;		/* as named last */
	unsigned	 nfds, maxfds;
	struct watch	*watches;
	unsigned	 round;
	struct timer	*timers;
	struct event	*wake;		/* when libslirp wants to be called at the latest */
	uint64_t	 wake_at;	/* 0: not armed */
	bool		 running;
	struct net_merge merge;		/* comes behind what is held */
	struct held	*held, **heldend;
	size_t		 heldlen;
	uint64_t	 dropped;
	uint8_t		*linear;	/* a frame in one piece */
};

static uint64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec);
}

/* Towards the guest */

/* Keep a frame, or drop it where there are too many: TCP sends it again, and others are used to it. */
static void
hold(struct user *u, const struct net_frame *f)
{
	struct held *h = u->heldlen + f->len <= HELD_MAX ? malloc(sizeof(*h) + f->len) : NULL;

	if (h == NULL) {
		u->dropped++;
		return;
	}
	h->next = NULL;
	h->f = *f;
	h->iov = (struct iovec){ .iov_base = h->data, .iov_len = f->len };
	h->f.iov = &h->iov;
	memcpy(h->data, f->iov->iov_base, f->len);
	*u->heldend = h;
	u->heldend = &h->next;
	u->heldlen += f->len;
}

static void
offer(struct user *u, const struct net_frame *f)
{
	if (u->held != NULL || !net_receive(u->net, f))
		hold(u, f);
}

/* Hand over the segments that were merged. */
static void
offer_merged(struct user *u)
{
	struct net_frame f;
	struct iovec iov;

	if (u->merge.len == 0)
		return;
	net_merge_take(&u->merge, &f, &iov);
	if (u->running)
		offer(u, &f);
}

/* No frame follows for now. */
static void
flush(struct user *u)
{
	offer_merged(u);
	net_receive_flush(u->net);
}

/* Hand over what is held.  Whether nothing is left. */
static bool
release(struct user *u)
{
	struct held *h;

	while ((h = u->held) != NULL) {
		if (u->running && !net_receive(u->net, &h->f))
			return (false);
		u->held = h->next;
		u->heldlen -= h->f.len;
		free(h);
	}
	u->heldend = &u->held;
	return (true);
}

/* Does the guest take merged segments? */
static bool
merges(const struct user *u)
{
	unsigned takes = atomic_load(&u->net->takes), all = NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_TSO6;

	return ((takes & all) == all);
}

static ssize_t
cb_send_packet(const void *buf, size_t len, void *arg)
{
	const struct iovec iov = { .iov_base = (void *)(uintptr_t)buf, .iov_len = len };
	/* libslirp computes every checksum. */
	const struct net_frame f = { .iov = &iov, .niov = 1, .len = len, .flags = NET_CSUM_GOOD };
	struct user *u = arg;

	if (!u->running || len < NET_HEADER || len > NET_FRAME_MAX)
		return ((ssize_t)len);
	if (merges(u)) {
		if (net_merge_add(&u->merge, buf, len))
			return ((ssize_t)len);
		offer_merged(u);
		if (net_merge_add(&u->merge, buf, len))
			return ((ssize_t)len);
	}
	offer_merged(u);
	offer(u, &f);
	return ((ssize_t)len);
}

/* Descriptors and time */

static struct watch *
find_watch(struct user *u, int fd)
{
	struct watch *w;

	for (w = u->watches; w != NULL && w->fd != fd; w = w->next)
		;
	return (w);
}

static void
drop_watch(struct user *u, struct watch **link)
{
	struct watch *w = *link;

	*link = w->next;
	u->host->remove(w->ev);
	free(w);
}

/* The descriptor is new, or about to be closed: what was watched under its number is another one. */
static void
forget_fd(int fd, void *arg)
{
	struct user *u = arg;

	for (struct watch **link = &u->watches; *link != NULL; link = &(*link)->next) {
		if ((*link)->fd == fd) {
			drop_watch(u, link);
			return;
		}
	}
}

static int
cb_add_poll(int fd, int events, void *arg)
{
	struct user *u = arg;
	short bits = 0;

	if (u->nfds == u->maxfds) {
		unsigned max = u->maxfds != 0 ? 2 * u->maxfds : 64;
		struct pollfd *fds = realloc(u->fds, max * sizeof(*fds));

		if (fds == NULL)
			return (-1);
		u->fds = fds;
		u->maxfds = max;
	}
	bits |= (events & SLIRP_POLL_IN) != 0 ? POLLIN : 0;
	bits |= (events & SLIRP_POLL_OUT) != 0 ? POLLOUT : 0;
	bits |= (events & SLIRP_POLL_PRI) != 0 ? POLLPRI : 0;
	u->fds[u->nfds] = (struct pollfd){ .fd = fd, .events = bits };
	return ((int)u->nfds++);
}

static int
cb_get_revents(int i, void *arg)
{
	struct user *u = arg;
	short r;

	if (i < 0 || (unsigned)i >= u->nfds)
		return (0);
	r = u->fds[i].revents;
	return (((r & POLLIN) != 0 ? SLIRP_POLL_IN : 0) | ((r & POLLOUT) != 0 ? SLIRP_POLL_OUT : 0) |
	    ((r & POLLPRI) != 0 ? SLIRP_POLL_PRI : 0) | ((r & (POLLERR | POLLNVAL)) != 0 ? SLIRP_POLL_ERR : 0) |
	    ((r & POLLHUP) != 0 ? SLIRP_POLL_HUP : 0));
}

static void serve(struct user *u);

static void
on_fd(void *arg, unsigned what)
{
	serve(((struct watch *)arg)->u);
}

static void
on_wake(void *arg)
{
	struct user *u = arg;

	u->wake_at = 0;
	serve(u);
}

/* Watch a descriptor as libslirp named it. */
static void
watch(struct user *u, const struct pollfd *p)
{
	unsigned what = ((p->events & (POLLIN | POLLPRI)) != 0 ? EVENT_READ : 0) | ((p->events & POLLOUT) != 0 ? EVENT_WRITE : 0);
	struct watch *w = find_watch(u, p->fd);

	if (w != NULL) {
		u->host->fd_set(w->ev, what);
		w->round = u->round;
		return;
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return;
	w->u = u;
	w->fd = p->fd;
	w->round = u->round;
	w->ev = u->host->fd_add(u->loop, p->fd, what, on_fd, w);
	if (w->ev == NULL) {
		free(w);
		return;
	}
	w->next = u->watches;
	u->watches = w;
}

static void
unwatch_all(struct user *u)
{
	while (u->watches != NULL)
		drop_watch(u, &u->watches);
}

/* Ask libslirp what it waits for, and wait for that. */
static void
rearm(struct user *u)
{
	uint32_t ms = UINT32_MAX;
	uint64_t at;

	u->nfds = 0;
	slirp_pollfds_fill(u->slirp, &ms, cb_add_poll, u);
	/* While the guest does not receive, the host's side waits too. */
	if (u->held != NULL) {
		unwatch_all(u);
		return;
	}
	u->round++;
	for (unsigned i = 0; i < u->nfds; i++)
		watch(u, &u->fds[i]);
	for (struct watch **link = &u->watches; *link != NULL;) {
		if ((*link)->round != u->round)
			drop_watch(u, link);
		else
			link = &(*link)->next;
	}
	if (ms == UINT32_MAX)
		return;
	at = now_ns() + ms * 1000000ULL;
	/* A call that comes too early does no harm, nor one that is as late as milliseconds are coarse. */
	if (u->wake_at == 0 || at + COARSE_NS < u->wake_at) {
		u->wake_at = at;
		u->host->timer_arm(u->wake, ms * 1000000ULL);
	}
}

static void
serve(struct user *u)
{
	int n;

	if (!u->running)
		return;
	if (u->held == NULL) {
		n = u->nfds != 0 ? poll(u->fds, u->nfds, 0) : 0;
		slirp_pollfds_poll(u->slirp, n < 0, cb_get_revents, u);
		flush(u);
	}
	rearm(u);
}

/* libslirp's timers */

static int64_t
cb_clock(void *arg)
{
	return ((int64_t)now_ns());
}

static void
on_timer(void *arg)
{
	struct timer *t = arg;
	struct user *u = t->u;

	if (!u->running) {
		t->missed = true;
		return;
	}
	slirp_handle_timer(u->slirp, t->id, t->arg);
	flush(u);
	rearm(u);
}

static void *
cb_timer_new(SlirpTimerId id, void *timer_arg, void *arg)
{
	struct user *u = arg;
	struct timer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return (NULL);
	t->u = u;
	t->id = id;
	t->arg = timer_arg;
	t->ev = u->host->timer_add(u->loop, on_timer, t);
	if (t->ev == NULL) {
		free(t);
		return (NULL);
	}
	t->next = u->timers;
	u->timers = t;
	return (t);
}

static void
cb_timer_free(void *timer, void *arg)
{
	struct user *u = arg;
	struct timer *t = timer, **link;

	if (t == NULL)
		return;
	for (link = &u->timers; *link != NULL && *link != t; link = &(*link)->next)
		;
	if (*link == t)
		*link = t->next;
	u->host->remove(t->ev);
	free(t);
}

/* Expires at an absolute time in milliseconds. */
static void
cb_timer_mod(void *timer, int64_t ms, void *arg)
{
	struct timer *t = timer;
	int64_t left = ms * 1000000 - (int64_t)now_ns();

	if (t != NULL)
		t->u->host->timer_arm(t->ev, left > 0 ? (uint64_t)left : 0);
}

static void
cb_guest_error(const char *msg, void *arg)
{
	struct user *u = arg;
	struct device *dev = u->net->dev;

	u->host->guest_log(dev->vmm->log, &dev->rate, dev->name, "network: %s", msg);
}

static void
cb_notify(void *arg)
{
}

static const SlirpCb callbacks = {
	.send_packet = cb_send_packet,
	.guest_error = cb_guest_error,
	.clock_get_ns = cb_clock,
	.timer_free = cb_timer_free,
	.timer_mod = cb_timer_mod,
	.register_poll_fd = forget_fd,
	.unregister_poll_fd = forget_fd,
	.notify = cb_notify,
	.timer_new_opaque = cb_timer_new,
};

/* The back end */

/*
 * A frame that is to be cut into segments is taken whole over IPv4: libslirp ends every TCP connection itself, and an IP packet may be
 * as long as that.
 */
static bool
user_send(struct net *n, const struct net_frame *f)
{
	struct user *u = n->priv;
	uint8_t *p;

	if (f->len < NET_HEADER || f->len > NET_FRAME_MAX)
		return (true);
	p = offload_linear(f, u->linear);
	if ((f->flags & NET_NEEDS_CSUM) != 0 && !offload_finish_csum(p, f))
		return (true);
	slirp_input(u->slirp, p, (int)f->len);
	return (true);
}

static void
user_flush(struct net *n)
{
	struct user *u = n->priv;

	flush(u);
	rearm(u);
}

static void
user_ready(struct net *n)
{
	struct user *u = n->priv;
	bool all = release(u);

	flush(u);
	if (all && u->held == NULL)
		rearm(u);
}

static void
user_start(struct net *n)
{
	struct user *u = n->priv;

	u->running = true;
	for (struct timer *t = u->timers; t != NULL; t = t->next) {
		if (t->missed)
			u->host->timer_arm(t->ev, 0);
		t->missed = false;
	}
	user_ready(n);
}

static void
user_stop(struct net *n)
{
	struct user *u = n->priv;

	u->running = false;
	unwatch_all(u);
	u->host->timer_disarm(u->wake);
	u->wake_at = 0;
}

static void
destroy(struct user *u)
{
	u->running = false;
	if (u->slirp != NULL)
		slirp_cleanup(u->slirp);
	(void)release(u);
	unwatch_all(u);
	while (u->timers != NULL)
		cb_timer_free(u->timers, u);
	u->host->remove(u->wake);
	free(u->fds);
	free(u->linear);
	free(u->merge.buf);
	free(u);
}

static void
user_close(struct net *n)
{
	destroy(n->priv);
}

static const struct net_ops ops = {
	/* Not NET_TAKES_TSO6: libslirp answers an IPv6 packet above the MTU with "too big". */
	.takes = NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_ECN,
	.send = user_send,
	.flush = user_flush,
	.ready = user_ready,
	.start = user_start,
	.stop = user_stop,
	.close = user_close,
};

static socklen_t
sa_len(const struct sockaddr *sa)
{
	return (sa->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
}

static int
add_forwards(struct user *u, const struct user_options *o)
{
	for (unsigned i = 0; i < o->nforwards; i++) {
		struct user_forward f = o->forward[i];
		bool v6 = f.host.sa.sa_family == AF_INET6;
		int error;

		if (!v6 && f.guest.in.sin_addr.s_addr == 0)
			f.guest.in.sin_addr = o->dhcp_start;
		if (v6 && IN6_IS_ADDR_UNSPECIFIED(&f.guest.in6.sin6_addr))
			return (u->host->fail(EINVAL, "%s: hostfwd: an IPv6 forward needs the guest's address", u->net->dev->name));
		errno = 0;
		if (slirp_add_hostxfwd(u->slirp, &f.host.sa, sa_len(&f.host.sa), &f.guest.sa, sa_len(&f.guest.sa),
		    (f.udp ? SLIRP_HOSTFWD_UDP : 0) | (v6 ? SLIRP_HOSTFWD_V6ONLY : 0)) != 0) {
			error = errno != 0 ? errno : EADDRINUSE;
			return (u->host->fail(error, "%s: hostfwd: cannot listen on %s port %u of the host: %s",
			    u->net->dev->name, f.udp ? "UDP" : "TCP",
			    ntohs(v6 ? f.host.in6.sin6_port : f.host.in.sin_port), strerror(error)));
		}
	}
	return (0);
}

static int
user_open(struct net *n, const struct module_host *host, const struct user_options *o)
{
	SlirpConfig cfg = {
		.version = 4, .restricted = o->restrict_out, .in_enabled = true, .vnetwork = o->network, .vnetmask = o->mask,
		.vhost = o->host, .in6_enabled = o->ipv6, .vprefix_addr6 = o->network6, .vprefix_len = o->prefix6,
		.vhost6 = o->host6, .vhostname = o->hostname, .tftp_path = o->tftp, .bootfile = o->bootfile,
		.vdhcp_start = o->dhcp_start, .vnameserver = o->dns, .vnameserver6 = o->dns6,
		.vdnssearch = o->search[0] != NULL ? (const char **)(uintptr_t)o->search : NULL, .vdomainname = o->domain,
		.if_mtu = n->mtu, .if_mru = n->mtu, .disable_host_loopback = !o->loopback,
	};
	struct user *u = calloc(1, sizeof(*u));

	if (u == NULL)
		return (host->fail(ENOMEM, "%s: no memory", n->dev->name));
	u->net = n;
	u->host = host;
	u->loop = n->dev->vmm->loop;
	u->heldend = &u->held;
	u->linear = malloc(NET_FRAME_MAX);
	u->merge.buf = malloc(NET_FRAME_MAX);
	u->wake = u->linear != NULL && u->merge.buf != NULL ? host->timer_add(u->loop, on_wake, u) : NULL;
	u->slirp = u->wake != NULL ? slirp_new(&cfg, &callbacks, u) : NULL;
	if (u->slirp == NULL)
		(void)host->fail(ENOMEM, "%s: libslirp does not start", n->dev->name);
	if (u->slirp == NULL || add_forwards(u, o) != 0) {
		int error = errno;

		destroy(u);
		errno = error;
		return (-1);
	}
	n->priv = u;
	n->ops = &ops;
	return (0);
}

extern const struct user_module hyve_net_slirp;
__attribute__((visibility("default"))) const struct user_module hyve_net_slirp = {
	.head = { MODULE_VERSION },
	.open = user_open,
};
