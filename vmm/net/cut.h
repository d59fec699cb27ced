/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cut.h - a frame of NET_GSO_* cut into the segments that it stands for, for a peer that takes only finished frames.
 */
#ifndef _HYVE_NET_CUT_H_
#define	_HYVE_NET_CUT_H_

#include "net.h"

/* A frame being cut.  All zeros: none. */
struct net_cut {
	const uint8_t	*frame;
	size_t		 len, payload;	/* bytes of it; where its payload begins */
	size_t		 pos;		/* of the payload that comes next */
	uint16_t	 ip, tcp, size;	/* where the headers begin; payload of a segment */
	uint16_t	 n;		/* segments that were made */
	bool		 v6;
};

/*
 * Begin with a frame in one piece that net_frame_good() passed; it stays the caller's, until the last segment was made.  false:
 * its headers are not what its gso says.
 */
bool	net_cut_begin(struct net_cut *c, const uint8_t *frame, const struct net_frame *f);
/* The next segment, with its checksums, in out, which has room for NET_FRAME_MAX; its length, 0 behind the last. */
size_t	net_cut_next(struct net_cut *c, uint8_t *out);

#endif /* _HYVE_NET_CUT_H_ */
