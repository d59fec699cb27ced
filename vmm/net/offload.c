/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * offload.c - checksums and segments in software.
 */
#include <arpa/inet.h>

#include <string.h>

#include "headers.h"
#include "offload.h"

uint16_t
offload_sum(const void *buf, size_t len, uint32_t start)
{
	const uint8_t *p = buf;
	uint64_t sum = start;
	uint32_t word;
	uint16_t half;

	/* In the byte order of memory: the sum of swapped words is the swapped sum (RFC 1071 section 2 (B)). */
	for (; len >= 4; len -= 4, p += 4) {
		memcpy(&word, p, 4);
		sum += word;
	}
	if (len >= 2) {
		memcpy(&half, p, 2);
		sum += half;
		p += 2;
		len -= 2;
	}
	if (len != 0) {
		half = 0;
		memcpy(&half, p, 1);
		sum += half;
	}
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return ((uint16_t)sum);
}

bool
offload_insert(uint8_t *frame, size_t len, size_t from, size_t end, size_t at)
{
	uint16_t sum;

	if (from > end || end > len || at + 2 > len)
		return (false);
	sum = (uint16_t)~offload_sum(frame + from, end - from, 0);
	/* Of the two zeros of one's complement UDP has one for "no checksum" (RFC 768). */
	if (sum == 0)
		sum = 0xffff;
	memcpy(frame + at, &sum, 2);
	return (true);
}

uint16_t
offload_ip_length(uint8_t *ip, size_t header, size_t len)
{
	uint32_t pseudo = (uint32_t)htons(IP_TCP) + htons((uint16_t)(len - header));
	uint16_t sum;

	if (ip[0] >> 4 == 6) {
		offload_put16(ip + 4, len - IP6_LEN);
		return (offload_sum(ip + 8, 32, pseudo));
	}
	offload_put16(ip + 2, len);
	memset(ip + 10, 0, 2);
	sum = (uint16_t)~offload_sum(ip, header, 0);
	memcpy(ip + 10, &sum, 2);
	return (offload_sum(ip + 12, 8, pseudo));
}

size_t
offload_copy(const struct net_frame *f, uint8_t *buf)
{
	size_t done = 0;

	for (int i = 0; i < f->niov && done + f->iov[i].iov_len <= NET_FRAME_MAX; i++) {
		memcpy(buf + done, f->iov[i].iov_base, f->iov[i].iov_len);
		done += f->iov[i].iov_len;
	}
	return (done);
}

uint8_t *
offload_linear(const struct net_frame *f, uint8_t *buf)
{
	if (f->niov == 1)
		return (f->iov[0].iov_base);
	(void)offload_copy(f, buf);
	return (buf);
}

bool
offload_finish_csum(uint8_t *frame, const struct net_frame *f)
{
	return (offload_insert(frame, f->len, f->csum_start, f->len, (size_t)f->csum_start + f->csum_off));
}
