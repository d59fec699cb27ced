/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * merge.h - segments of one TCP connection that follow each other, made into one frame that a guest takes whole (NET_TAKES_TSO4, _TSO6).
 *
 * What a guest pays for receiving is paid per frame: twenty frames in one cost little more than one.
 */
#ifndef _HYVE_NET_MERGE_H_
#define	_HYVE_NET_MERGE_H_

#include "net.h"

/* What is being collected.  All zeros but buf: nothing. */
struct net_merge {
	uint8_t		*buf;		/* NET_FRAME_MAX bytes, the owner's */
	size_t		 len;		/* 0: nothing is there */
	unsigned	 n;		/* segments */
	uint16_t	 tcp, payload;	/* where the TCP header and the payload begin */
	uint16_t	 size;		/* bytes of payload of each segment but the last */
	uint32_t	 next;		/* sequence number that follows */
	bool		 closed;	/* nothing may follow: the last one was shorter, or pushed */
};

/*
 * Take a frame whose checksums are good.  false: it does not follow what is there, which is to be handed on first; if nothing is there,
 * it is none to be merged.
 */
bool	net_merge_add(struct net_merge *m, const uint8_t *frame, size_t len);
/* What is there as one frame, good until the next call; nothing is there then.  Only if len is not 0. */
void	net_merge_take(struct net_merge *m, struct net_frame *f, struct iovec *iov);

#endif /* _HYVE_NET_MERGE_H_ */
