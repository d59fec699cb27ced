/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cut.c - TCP segmentation in software (RFC 9293 section 3.1, RFC 791 section 3.1, RFC 8200 section 3; virtio 1.2 section 5.1.6.2 says
 * what the headers of the whole are like).
 */
#include <arpa/inet.h>

#include <string.h>

#include "cut.h"
#include "headers.h"
#include "offload.h"

#define	SIZE_MIN	8U	/* bytes of payload: TCP over the smallest IPv4 packet that must pass, with all options */
#define	TCP_ENDS	(TCP_FIN | TCP_PSH)	/* the last segment's; CWR is the first one's (RFC 3168 section 6.1.2) */

/* Whether an IP header is there and TCP behind it, where the checksum begins. */
static bool
headers_good(const struct net_cut *c, const uint8_t *frame, uint16_t type)
{
	const uint8_t *ip = frame + c->ip;

	if (c->v6)
		return (type == ETH_IP6 && c->tcp >= c->ip + IP6_LEN && ip[0] >> 4 == 6 &&
		    (ip[6] != IP_TCP || c->tcp == c->ip + IP6_LEN));
	return (type == ETH_IP4 && c->tcp >= c->ip + IP4_LEN && ip[0] >> 4 == 4 && ip[9] == IP_TCP &&
	    c->tcp == c->ip + (ip[0] & 0xfU) * 4U);
}

bool
net_cut_begin(struct net_cut *c, const uint8_t *frame, const struct net_frame *f)
{
	uint16_t type;

	memset(c, 0, sizeof(*c));
	if (f->len > NET_FRAME_MAX || f->csum_start < NET_HEADER + IP4_LEN || f->csum_start + TCP_LEN > f->len || f->gso_size < SIZE_MIN)
		return (false);
	c->ip = NET_HEADER;
	type = offload_get16(frame + ETH_TYPE_AT);
	if (type == ETH_VLAN) {
		c->ip += ETH_TAG_LEN;
		type = offload_get16(frame + ETH_TYPE_AT + ETH_TAG_LEN);
	}
	c->tcp = f->csum_start;
	c->v6 = (f->gso & ~NET_GSO_ECN) == NET_GSO_TCP6;
	if (!headers_good(c, frame, type))
		return (false);
	c->payload = c->tcp + (frame[c->tcp + 12] >> 4) * 4U;
	if (c->payload < c->tcp + TCP_LEN || c->payload >= f->len)
		return (false);
	c->pos = c->payload;
	c->size = f->gso_size;
	c->len = f->len;
	c->frame = frame;
	return (true);
}

/* Lengths, sequence number, flags and sums of a segment of len bytes. */
static void
fix(const struct net_cut *c, uint8_t *out, size_t len)
{
	uint8_t *ip = out + c->ip, *tcp = out + c->tcp;
	uint32_t seq;
	uint16_t sum;

	memcpy(&seq, tcp + TCP_SEQ_AT, 4);
	seq = htonl(ntohl(seq) + (uint32_t)(c->pos - c->payload));
	memcpy(tcp + TCP_SEQ_AT, &seq, 4);
	if (c->pos + (len - c->payload) < c->len)
		tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_ENDS;
	if (c->n != 0)
		tcp[TCP_FLAGS_AT] &= (uint8_t)~TCP_CWR;
	if (!c->v6)
		offload_put16(ip + 4, (size_t)offload_get16(ip + 4) + c->n);
	sum = offload_ip_length(ip, (size_t)(c->tcp - c->ip), len - c->ip);
	memset(tcp + TCP_SUM_AT, 0, 2);
	sum = (uint16_t)~offload_sum(tcp, len - c->tcp, sum);
	memcpy(tcp + TCP_SUM_AT, &sum, 2);
}

size_t
net_cut_next(struct net_cut *c, uint8_t *out)
{
	size_t n;

	if (c->frame == NULL || c->pos == c->len) {
		c->frame = NULL;
		return (0);
	}
	n = c->size < c->len - c->pos ? c->size : c->len - c->pos;
	memcpy(out, c->frame, c->payload);
	memcpy(out + c->payload, c->frame + c->pos, n);
	fix(c, out, c->payload + n);
	c->pos += n;
	c->n++;
	return (c->payload + n);
}
