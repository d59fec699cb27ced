/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * merge.c - TCP segments made into one frame (RFC 9293 section 3.1, RFC 791 section 3.1, RFC 8200 section 3).
 *
 * Two segments are merged if the second one goes on where the first one ends and says nothing else: the same addresses, ports,
 * acknowledgement, window and options, only ACK set and perhaps PSH, no fragments and no IP options.  Each but the last is as long as the
 * first, so that whoever cuts the frame up again gets what was sent.
 */
#include <string.h>

#include "headers.h"
#include "merge.h"
#include "offload.h"

#define	IP		NET_HEADER	/* where the IP header begins */

static uint32_t
get32(const uint8_t *p)
{
	return ((uint32_t)offload_get16(p) << 16 | offload_get16(p + 2));
}

static bool
is_ip6(const uint8_t *frame)
{
	return (offload_get16(frame + ETH_TYPE_AT) == ETH_IP6);
}

/* Where the TCP header begins; 0 if there is none to be merged. */
static size_t
find_tcp(const uint8_t *frame, size_t len)
{
	const uint8_t *ip = frame + IP;

	if (len < IP + IP4_LEN + TCP_LEN)
		return (0);
	if (offload_get16(frame + ETH_TYPE_AT) == ETH_IP4) {
		/* No options; whole; no padding behind it. */
		if (ip[0] != 0x45 || offload_get16(ip + 2) != len - IP || (offload_get16(ip + 6) & 0x3fff) != 0 || ip[9] != IP_TCP)
			return (0);
		return (IP + IP4_LEN);
	}
	if (!is_ip6(frame) || len < IP + IP6_LEN + TCP_LEN || ip[0] >> 4 != 6 || offload_get16(ip + 4) != len - IP - IP6_LEN ||
	    ip[6] != IP_TCP)
		return (0);
	return (IP + IP6_LEN);
}

/* Where its payload begins; 0 if it is not to be merged. */
static size_t
find_payload(const uint8_t *frame, size_t len, size_t tcp)
{
	size_t header = (size_t)(frame[tcp + 12] >> 4) * 4;

	if (header < TCP_LEN || tcp + header >= len || (frame[tcp + TCP_FLAGS_AT] & ~TCP_PSH) != TCP_ACK)
		return (0);
	return (tcp + header);
}

/* The same headers but for lengths, sums, identification, sequence number and PSH. */
static bool
same(const struct net_merge *m, const uint8_t *f)
{
	const uint8_t *b = m->buf;
	size_t t = m->tcp;

	if (memcmp(b, f, IP + 2) != 0)
		return (false);
	if (is_ip6(f)) {
		if (memcmp(b + IP + 2, f + IP + 2, 2) != 0 || memcmp(b + IP + 6, f + IP + 6, IP6_LEN - 6) != 0)
			return (false);
	} else if (memcmp(b + IP + 6, f + IP + 6, 4) != 0 || memcmp(b + IP + 12, f + IP + 12, 8) != 0) {
		return (false);
	}
	return (memcmp(b + t, f + t, 4) == 0 && memcmp(b + t + 8, f + t + 8, 5) == 0 && memcmp(b + t + 14, f + t + 14, 2) == 0 &&
	    memcmp(b + t + 18, f + t + 18, m->payload - t - 18) == 0);
}

bool
net_merge_add(struct net_merge *m, const uint8_t *frame, size_t len)
{
	size_t tcp = find_tcp(frame, len), payload = tcp != 0 ? find_payload(frame, len, tcp) : 0, n = len - payload;

	if (payload == 0)
		return (false);
	if (m->len == 0) {
		if (len > NET_FRAME_MAX)
			return (false);
		memcpy(m->buf, frame, len);
		m->len = len;
		m->n = 1;
		m->tcp = (uint16_t)tcp;
		m->payload = (uint16_t)payload;
		m->size = (uint16_t)n;
		m->next = get32(frame + tcp + TCP_SEQ_AT);
	} else {
		/* The lengths of IP have 16 bits. */
		if (m->closed || tcp != m->tcp || payload != m->payload || n > m->size || m->len + n > IP + 65535U ||
		    get32(frame + tcp + TCP_SEQ_AT) != m->next || !same(m, frame))
			return (false);
		memcpy(m->buf + m->len, frame + payload, n);
		m->len += n;
		m->n++;
		m->buf[tcp + TCP_FLAGS_AT] |= frame[tcp + TCP_FLAGS_AT] & TCP_PSH;
	}
	m->next += (uint32_t)n;
	m->closed = n < m->size || (frame[tcp + TCP_FLAGS_AT] & TCP_PSH) != 0;
	return (true);
}

/* Lengths, the IP header's sum, and of TCP's that of the pseudo header (virtio 1.2 section 5.1.6.2 has it so). */
static void
headers(struct net_merge *m)
{
	uint16_t sum = offload_ip_length(m->buf + IP, m->tcp - IP, m->len - IP);

	memcpy(m->buf + m->tcp + TCP_SUM_AT, &sum, 2);
}

void
net_merge_take(struct net_merge *m, struct net_frame *f, struct iovec *iov)
{
	*iov = (struct iovec){ .iov_base = m->buf, .iov_len = m->len };
	*f = (struct net_frame){ .iov = iov, .niov = 1, .len = m->len, .flags = NET_CSUM_GOOD };
	if (m->n > 1) {
		headers(m);
		f->flags = NET_NEEDS_CSUM;
		f->gso = is_ip6(m->buf) ? NET_GSO_TCP6 : NET_GSO_TCP4;
		f->hdr_len = m->payload;
		f->gso_size = m->size;
		f->csum_start = m->tcp;
		f->csum_off = TCP_SUM_AT;
	}
	m->len = 0;
}
