/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net_wire.h - a network back end of the tests' own, "wire".
 */
#ifndef _NET_WIRE_H_
#define	_NET_WIRE_H_

#include "net/net.h"
#include "test.h"

#define	SENT	64
#define	SEEN	2048		/* bytes of a frame that are remembered */

/* The back end: remembers what it was sent. */
static struct wire {
	struct net	*net;
	unsigned	 sent, flushes, readies, room;	/* room: frames that it takes before it refuses */
	struct { size_t len; uint8_t flags, gso; uint16_t gso_size, csum_start, csum_off, queue;
	    uint8_t data[SEEN]; } frame[SENT];
	bool		 started, closed;
	bool		 echo;		/* sends everything back at once */
	unsigned	 configured;	/* how often it was told of other wishes */
} wire;

static bool
wire_send(struct net *n, const struct net_frame *f)
{
	CHECK(wire.started);
	CHECK_EQ(f->niov, 1);
	CHECK_EQ(f->iov[0].iov_len, f->len);
	if (wire.room == 0)
		return (false);
	wire.room--;
	CHECK(wire.sent < SENT);
	wire.frame[wire.sent].len = f->len;
	wire.frame[wire.sent].flags = f->flags;
	wire.frame[wire.sent].gso = f->gso;
	wire.frame[wire.sent].gso_size = f->gso_size;
	wire.frame[wire.sent].csum_start = f->csum_start;
	wire.frame[wire.sent].csum_off = f->csum_off;
	wire.frame[wire.sent].queue = f->queue;
	memcpy(wire.frame[wire.sent++].data, f->iov[0].iov_base, f->len < SEEN ? f->len : SEEN);
	if (wire.echo)
		(void)net_receive(n, f);
	return (true);
}

static void
wire_flush(struct net *n)
{
	wire.flushes++;
	net_receive_flush(n);
}

static void
wire_ready(struct net *n)
{
	wire.readies++;
}

static void
wire_configure(struct net *n)
{
	wire.configured++;
}

static void
wire_start(struct net *n)
{
	CHECK(!wire.started);
	wire.started = true;
}

static void
wire_stop(struct net *n)
{
	CHECK(wire.started);
	wire.started = false;
}

static void
wire_close(struct net *n)
{
	CHECK(!wire.started);
	wire.closed = true;
}

/* What it takes a test may change before it opens it. */
static struct net_ops wire_ops = {
	.takes = NET_TAKES_CSUM | NET_TAKES_TSO4, .send = wire_send, .flush = wire_flush, .ready = wire_ready,
	.configure = wire_configure, .start = wire_start, .stop = wire_stop, .close = wire_close,
};

static int
wire_open(struct net *n)
{
	wire = (struct wire){ .net = n, .room = 1000 };
	n->ops = &wire_ops;
	return (0);
}

NET_BACKEND(wire, "wire", NULL, "what the test sees", wire_open);

/* A frame from outside; whether the NIC took it. */
static inline bool
wire_receive(const void *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };
	const struct net_frame f = { .iov = &iov, .niov = 1, .len = len };

	return (net_receive(wire.net, &f));
}

#endif /* _NET_WIRE_H_ */
