/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cut.c - TCP segmentation in software (RFC 9293 section 3.1, RFC 791 section 3.1, RFC 8200 section 3; virtio 1.2 section 5.1.6.2 says
 * what the headers of the whole are like).
 */
#include <arpa/inet.h>

#include <string.h>

#include "cut.h"
#include "offload.h"

#define	IP4_LEN		20U
#define	IP6_LEN		40U
#define	TCP_LEN		20U
#define	SIZE_MIN	8U	/* bytes of payload: TCP over the smallest IPv4 packet that must pass, with all options */
#define	PROTO_TCP	6U
#define	TCP_ENDS	0x09U	/* FIN and PSH: the last segment's */
#define	TCP_CWR		0x80U	/* the first one's (RFC 3168 section 6.1.2) */

/* Whether an IP header is there and TCP behind it, where the checksum begins. */
static bool
headers_good(const struct net_cut *c, const uint8_t *frame, uint16_t type)
{
	const uint8_t *ip = frame + c->ip;

	if (c->v6)
		return (type == 0x86dd && c->tcp >= c->ip + IP6_LEN && ip[0] >> 4 == 6 &&
		    (ip[6] != PROTO_TCP || c->tcp == c->ip + IP6_LEN));
	return (type == 0x0800 && c->tcp >= c->ip + IP4_LEN && ip[0] >> 4 == 4 && ip[9] == PROTO_TCP &&
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
	type = offload_get16(frame + 12);
	if (type == 0x8100) {
		c->ip += 4;
		type = offload_get16(frame + 16);
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
	uint32_t proto = (uint32_t)htons(PROTO_TCP) + htons((uint16_t)(len - c->tcp)), seq;
	uint16_t sum;

	memcpy(&seq, tcp + 4, 4);
	seq = htonl(ntohl(seq) + (uint32_t)(c->pos - c->payload));
	memcpy(tcp + 4, &seq, 4);
	if (c->pos + (len - c->payload) < c->len)
		tcp[13] &= (uint8_t)~TCP_ENDS;
	if (c->n != 0)
		tcp[13] &= (uint8_t)~TCP_CWR;
	if (c->v6) {
		offload_put16(ip + 4, len - c->ip - IP6_LEN);
		sum = offload_sum(ip + 8, 32, proto);
	} else {
		offload_put16(ip + 2, len - c->ip);
		offload_put16(ip + 4, (size_t)offload_get16(ip + 4) + c->n);
		memset(ip + 10, 0, 2);
		sum = (uint16_t)~offload_sum(ip, (size_t)(c->tcp - c->ip), 0);
		memcpy(ip + 10, &sum, 2);
		sum = offload_sum(ip + 12, 8, proto);
	}
	memset(tcp + 16, 0, 2);
	sum = (uint16_t)~offload_sum(tcp, len - c->tcp, sum);
	memcpy(tcp + 16, &sum, 2);
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
