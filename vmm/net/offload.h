/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * offload.h - what a network card's hardware would do to a frame, in software.
 *
 * Frames are in one piece, but for the function that makes them so, and nothing that they say is believed: what does not fit is left alone.
 */
#ifndef _HYVE_NET_OFFLOAD_H_
#define	_HYVE_NET_OFFLOAD_H_

#include "net.h"

/* Numbers of headers, which are big-endian. */
static inline uint16_t
offload_get16(const uint8_t *p)
{
	return ((uint16_t)(p[0] << 8 | p[1]));
}

static inline void
offload_put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

/* Copy the bytes of a frame to buf, which has room for them, up to NET_FRAME_MAX; how many they are. */
size_t	offload_copy(const struct net_frame *f, uint8_t *buf);
/* The bytes of a frame in one piece: its own, or copied to buf, which has room for NET_FRAME_MAX. */
uint8_t	*offload_linear(const struct net_frame *f, uint8_t *buf);
/* The one's complement sum (RFC 1071) of len bytes, added to sum; not complemented.  Big-endian, as stored. */
uint16_t offload_sum(const void *buf, size_t len, uint32_t sum);
/* Store at `at' the checksum of [from, end) of a frame of len bytes, what is at `at' being part of it.  false: one of them is outside. */
bool	offload_insert(uint8_t *frame, size_t len, size_t from, size_t end, size_t at);
/*
 * The IP header at ip, of `header' bytes, gets the length of a packet of len bytes and, of IPv4, its sum; of TCP behind it that of the pseudo
 * header, for offload_sum() to go on from.
 */
uint16_t offload_ip_length(uint8_t *ip, size_t header, size_t len);
/* NET_NEEDS_CSUM: store the checksum.  false: csum_start or csum_off are outside of the frame. */
bool	offload_finish_csum(uint8_t *frame, const struct net_frame *f);

#endif /* _HYVE_NET_OFFLOAD_H_ */
