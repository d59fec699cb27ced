/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_wire.h - the back end of a network card under a fuzzer: what the card sends goes to the target's wire_send().
 */
#ifndef _FUZZ_WIRE_H_
#define	_FUZZ_WIRE_H_

#include "net/net.h"

static struct net *wire;

static void
wire_nothing(struct net *n)
{
}

/* takes: NET_TAKES_*.  Behind wire_send(). */
#define	FUZZ_WIRE(what)										\
static const struct net_ops wire_ops = {							\
	.takes = (what), .send = wire_send, .start = wire_nothing, .stop = wire_nothing, .close = wire_nothing,	\
};												\
static int											\
wire_open(struct net *n)									\
{												\
	n->ops = &wire_ops;									\
	wire = n;										\
	return (0);										\
}												\
NET_BACKEND(wire, "fuzz-wire", NULL, "a fuzz target", wire_open)

#endif /* _FUZZ_WIRE_H_ */
