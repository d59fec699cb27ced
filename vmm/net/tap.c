/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tap.c - the back end "tap": a network interface of the host, whose frames come and go by a descriptor (Linux's
 * Documentation/networking/tuntap.rst).
 *
 * The tap is there already and this user's, or is made; or the helper makes it and puts it into a bridge (helper.h).  A struct virtio_net_hdr is
 * before each frame, so that the kernel leaves checksums and segmentation to the guest and the other way round (IFF_VNET_HDR): the kernel takes
 * all that it has, and gives what the guest takes (TUNSETOFFLOAD).
 *
 * A NIC with several pairs of queues has as many descriptors (IFF_MULTI_QUEUE), and the kernel chooses by flow in the way that virtio 1.2 section
 * 5.1.6.5.5 wants it.  Those that the guest does not use are detached.
 */
#include <sys/ioctl.h>
#include <sys/uio.h>

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <linux/virtio_net.h>

#include "../error.h"
#include "helper.h"
#include "net.h"

#define	BATCH		64		/* frames of a queue at a time, for others live on this thread */
#define	IOV_MAX_TAP	64

/* Frames say it in the kernel's words. */
_Static_assert(NET_NEEDS_CSUM == VIRTIO_NET_HDR_F_NEEDS_CSUM && NET_CSUM_GOOD == VIRTIO_NET_HDR_F_DATA_VALID &&
    NET_GSO_TCP4 == VIRTIO_NET_HDR_GSO_TCPV4 && NET_GSO_TCP6 == VIRTIO_NET_HDR_GSO_TCPV6 && NET_GSO_ECN == VIRTIO_NET_HDR_GSO_ECN,
    "<linux/virtio_net.h>");

struct tap;

struct tap_queue {
	struct tap	*t;
	int		 fd;
	uint16_t	 index;
	struct event	*ev;
	bool		 attached;
	bool		 full;		/* the kernel takes no more now */
	bool		 held;		/* the NIC refused the frame in buf */
	struct net_frame f;
	struct iovec	 iov;
	uint8_t		*buf;
};

struct tap {
	struct net	*net;
	char		 name[IFNAMSIZ];
	unsigned	 n;
	bool		 running;
	bool		 refused;	/* the NIC has a frame that waits */
	struct tap_queue q[TAPDEV_QUEUES_MAX];
};

static void
watch(struct tap_queue *q)
{
	bool on = q->t->running && q->attached;

	event_fd_set(q->ev, (on && !q->held ? EVENT_READ : 0) | (on && q->full ? EVENT_WRITE : 0));
}

/* The NIC's frame that waited may be tried again. */
static void
tell_writable(struct tap *t)
{
	if (!t->refused || !t->running)
		return;
	t->refused = false;
	net_writable(t->net);
}

/* To the host */

static bool
tap_send(struct net *n, const struct net_frame *f)
{
	struct tap *t = n->priv;
	struct tap_queue *q = &t->q[f->queue < n->used ? f->queue : 0];
	struct virtio_net_hdr h = {
		.flags = f->flags & NET_NEEDS_CSUM, .gso_type = f->gso, .hdr_len = htole16(f->hdr_len), .gso_size = htole16(f->gso_size),
		.csum_start = htole16(f->csum_start), .csum_offset = htole16(f->csum_off),
	};
	struct iovec iov[1 + IOV_MAX_TAP] = { { &h, sizeof(h) } };

	if (f->niov > IOV_MAX_TAP || !net_frame_good(f, NET_TAKES_ALL))
		return (true);
	memcpy(iov + 1, f->iov, (size_t)f->niov * sizeof(*iov));
	/* Whatever else is wrong, such as an interface that is switched off, loses the frame. */
	if (writev(q->fd, iov, 1 + f->niov) >= 0 || errno != EAGAIN)
		return (true);
	q->full = t->refused = true;
	watch(q);
	return (false);
}

/* From the host */

/* The interface was removed: an error is all that its descriptors have from now on, and the loop would look at it again and again. */
static void
lost(struct tap_queue *q)
{
	struct net *n = q->t->net;

	q->attached = q->full = false;
	if (!n->link)
		return;
	device_log(n->dev, LOG_LEVEL_WARN, "tap '%s' is no more: the link is down", q->t->name);
	net_set_link(n, false);
	tell_writable(q->t);
}

/* One frame.  false: none is there, or the NIC takes no more. */
static bool
receive_one(struct tap_queue *q)
{
	struct virtio_net_hdr h;
	struct iovec iov[2] = { { &h, sizeof(h) }, { q->buf, NET_FRAME_MAX } };
	struct net *n = q->t->net;
	ssize_t len = readv(q->fd, iov, 2);

	if (len < 0) {
		if (errno == EBADFD)
			lost(q);
		return (false);
	}
	if ((size_t)len < sizeof(h) + NET_HEADER)
		return (true);
	q->iov = (struct iovec){ .iov_base = q->buf, .iov_len = (size_t)len - sizeof(h) };
	q->f = (struct net_frame){
		.iov = &q->iov, .niov = 1, .len = q->iov.iov_len, .queue = q->index, .flags = h.flags & (NET_NEEDS_CSUM | NET_CSUM_GOOD),
		.gso = h.gso_type, .hdr_len = le16toh(h.hdr_len), .gso_size = le16toh(h.gso_size), .csum_start = le16toh(h.csum_start),
		.csum_off = le16toh(h.csum_offset),
	};
	/* What was on its way when the guest changed its mind is lost. */
	q->held = net_frame_good(&q->f, atomic_load(&n->takes)) && !net_receive(n, &q->f);
	return (!q->held);
}

static void
on_queue(void *arg, unsigned what)
{
	struct tap_queue *q = arg;
	struct tap *t = q->t;

	if (!t->running)
		return;
	if ((what & EVENT_WRITE) != 0 && q->full) {
		q->full = false;
		tell_writable(t);
	}
	if ((what & EVENT_READ) != 0) {
		for (unsigned i = 0; i < BATCH && !q->held && receive_one(q); i++)
			continue;
		net_receive_flush(t->net);
	}
	watch(q);
}

static void
tap_ready(struct net *n)
{
	struct tap *t = n->priv;
	bool any = false;

	for (unsigned i = 0; i < t->n; i++) {
		struct tap_queue *q = &t->q[i];

		if (!q->held)
			continue;
		q->held = !net_receive(n, &q->f);
		any = true;
		watch(q);
	}
	if (any)
		net_receive_flush(n);
}

/* What the guest wants */

static void
attach(struct tap_queue *q, bool on)
{
	struct ifreq ifr = { .ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	if (q->attached == on || ioctl(q->fd, TUNSETQUEUE, &ifr) != 0)
		return;
	q->attached = on;
	q->full = false;
	watch(q);
}

static void
tap_configure(struct net *n)
{
	static const struct { unsigned takes, tun; } offloads[] = {
		{ NET_TAKES_CSUM, TUN_F_CSUM }, { NET_TAKES_TSO4, TUN_F_TSO4 }, { NET_TAKES_TSO6, TUN_F_TSO6 }, { NET_TAKES_ECN, TUN_F_TSO_ECN },
	};
	struct tap *t = n->priv;
	unsigned takes = atomic_load(&n->takes), tun = 0;

	/* The others mean nothing to the kernel without the first. */
	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]) && (takes & NET_TAKES_CSUM) != 0; i++)
		tun |= (takes & offloads[i].takes) != 0 ? offloads[i].tun : 0;
	if (ioctl(t->q[0].fd, TUNSETOFFLOAD, tun) != 0)
		device_log(n->dev, LOG_LEVEL_WARN, "tap '%s' keeps its offloads: %s", t->name, strerror(errno));
	for (unsigned i = 1; i < t->n; i++)
		attach(&t->q[i], i < n->used);
	/* What waited for a queue that is detached now would wait for ever: it goes by another one. */
	tell_writable(t);
}

/* The back end */

static void
tap_start(struct net *n)
{
	struct tap *t = n->priv;

	t->running = true;
	tap_ready(n);
	for (unsigned i = 0; i < t->n; i++)
		watch(&t->q[i]);
}

static void
tap_stop(struct net *n)
{
	struct tap *t = n->priv;

	t->running = t->refused = false;
	for (unsigned i = 0; i < t->n; i++)
		watch(&t->q[i]);
}

static void
destroy(struct tap *t)
{
	for (unsigned i = 0; i < t->n; i++) {
		event_remove(t->q[i].ev);
		if (t->q[i].fd >= 0)
			close(t->q[i].fd);
		free(t->q[i].buf);
	}
	free(t);
}

static void
tap_close(struct net *n)
{
	destroy(n->priv);
}

static const struct net_ops ops = {
	.takes = NET_TAKES_ALL,
	.send = tap_send,
	.ready = tap_ready,
	.configure = tap_configure,
	.start = tap_start,
	.stop = tap_stop,
	.close = tap_close,
};

/* Why a tap could not be had, and what helps. */
static int
explain(const struct tap *t, int error, bool there)
{
	const char *who = t->net->dev->name, *several = t->n > 1 ? " multi_queue" : "";

	switch (error) {
	case EPERM:
		if (there)
			return (vmm_fail(error, "%s: tap '%s' belongs to another user: 'ip tuntap add %s mode tap%s user NAME' makes one for a user",
			    who, t->name, t->name, several));
		return (vmm_fail(error, "%s: making a tap needs CAP_NET_ADMIN: let an administrator make it, 'ip tuntap add %s mode tap%s user "
		    "NAME', or see bridge= in hyve(1)", who, strchr(t->name, '%') != NULL ? "tap0" : t->name, several));
	case EBUSY:
		return (vmm_fail(error, "%s: tap '%s' is in use by another process", who, t->name));
	case EINVAL:
		return (vmm_fail(error, "%s: '%s' is no tap%s", who, t->name,
		    t->n > 1 ? " with several queues: make it with 'multi_queue', or say queues=1" : ""));
	case ENOENT:
	case ENODEV:
	case EACCES:
		return (vmm_fail(error, "%s: cannot open /dev/net/tun: %s; is the module tun loaded?", who, strerror(error)));
	default:
		return (vmm_fail(error, "%s: tap '%s': %s", who, t->name, strerror(error)));
	}
}

/* Open the descriptors. */
static int
open_tap(struct tap *t, int fds[])
{
	struct device *dev = t->net->dev;
	const char *name = config_str(dev->config, "tap"), *bridge = config_str(dev->config, "bridge");
	bool there;
	int error;

	if (name != NULL && bridge != NULL)
		return (vmm_fail(EINVAL, "%s: either tap, which an administrator can put into a bridge, or bridge, for which a new one is made",
		    dev->name));
	if (bridge != NULL)
		return (helper_open_tap(dev->name, bridge, t->name, t->n, fds));
	if (name != NULL && (*name == '\0' || strlen(name) >= IFNAMSIZ || strpbrk(name, "%/ :") != NULL))
		return (vmm_fail(EINVAL, "%s: tap: '%.32s' is no name of an interface: at most %d characters", dev->name, name, IFNAMSIZ - 1));
	memcpy(t->name, name != NULL ? name : "tap%d", strlen(name != NULL ? name : "tap%d"));
	there = name != NULL && if_nametoindex(name) != 0;
	error = tapdev_open(t->name, t->n, fds);
	if (error != 0)
		return (explain(t, error, there));
	if (!there)
		(void)tapdev_up(t->name);
	return (0);
}

/* The interface's, unless another one was asked for. */
static int
choose_mtu(struct tap *t)
{
	struct net *n = t->net;
	int mtu, error = tapdev_get_mtu(t->name, &mtu);

	if (error == 0 && !config_is_set(n->dev->config, "mtu")) {
		n->mtu = (unsigned)mtu;
		return (0);
	}
	if (error == 0 && (unsigned)mtu != n->mtu)
		error = tapdev_set_mtu(t->name, (int)n->mtu);
	if (error != 0)
		return (vmm_fail(error, "%s: mtu: tap '%s' cannot have an MTU of %u: %s; an administrator can set it, and without the key "
		    "the tap's is taken", n->dev->name, t->name, n->mtu, strerror(error)));
	return (0);
}

static int
set_up(struct tap *t, const int fds[])
{
	struct device *dev = t->net->dev;

	for (unsigned i = 0; i < t->n; i++) {
		t->q[i] = (struct tap_queue){ .t = t, .fd = fds[i], .index = (uint16_t)i, .attached = true };
	}
	for (unsigned i = 0; i < t->n; i++) {
		struct tap_queue *q = &t->q[i];

		q->buf = malloc(NET_FRAME_MAX);
		q->ev = q->buf != NULL ? event_fd_add(dev->vmm->loop, q->fd, 0, on_queue, q) : NULL;
		if (q->ev == NULL)
			return (vmm_fail(ENOMEM, "%s: no memory", dev->name));
		if (i > 0)
			attach(q, false);
	}
	return (choose_mtu(t));
}

static int
tap_open(struct net *n)
{
	struct tap *t = calloc(1, sizeof(*t));
	int fds[TAPDEV_QUEUES_MAX], error;
	char host[HOST_NAME_MAX + 1];

	if (t == NULL)
		return (vmm_fail(ENOMEM, "%s: no memory", n->dev->name));
	t->net = n;
	t->n = n->queues < TAPDEV_QUEUES_MAX ? n->queues : TAPDEV_QUEUES_MAX;
	if (open_tap(t, fds) != 0) {
		error = errno;
		free(t);
		errno = error;
		return (-1);
	}
	n->priv = t;
	n->ops = &ops;
	n->steers = t->n > 1;
	if (gethostname(host, sizeof(host)) == 0)
		(void)snprintf(n->place, sizeof(n->place), "%.64s/%s", host, t->name);
	if (set_up(t, fds) != 0) {
		error = errno;
		destroy(t);
		errno = error;
		return (-1);
	}
	device_log(n->dev, LOG_LEVEL_DEBUG, "tap '%s' with an MTU of %u", t->name, n->mtu);
	return (0);
}

NET_BACKEND(tap, "tap", NULL, "an interface of the host, there or made, by itself or in a bridge", tap_open);
