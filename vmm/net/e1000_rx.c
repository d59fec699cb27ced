/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * e1000_rx.c - what the gigabit controller receives (3.2): filters, checksums, VLAN tags, and frames into descriptors.
 *
 * A frame that the driver wants and has no descriptors for is refused until it gives some.  Everything is done under the lock.
 */
#include <arpa/inet.h>

#include <string.h>

#include <zlib.h>

#include "e1000.h"
#include "headers.h"
#include "offload.h"

/* Of a descriptor's second half, behind length and packet checksum (3.2.3) */
#define	ST_DD		(1ULL << 32)
#define	ST_EOP		(1ULL << 33)
#define	ST_IXSM		(1ULL << 34)
#define	ST_VP		(1ULL << 35)
#define	ST_TCPCS	(1ULL << 37)
#define	ST_IPCS		(1ULL << 38)
#define	ST_PIF		(1ULL << 39)
#define	ER_TCPE		(1ULL << 45)
#define	ER_IPE		(1ULL << 46)

#define	PAUSE		1U		/* operation of a MAC control frame (802.3 annex 31B) */

static const struct e1000_direction received = {
	.good = E1000_GPRC, .total = E1000_TPR, .good_octets = E1000_GORC, .total_octets = E1000_TOR, .size = E1000_PRC64,
	.broadcast = E1000_BPRC, .multicast = E1000_MPRC,
};

/* Filters: how a frame got through */
enum pass { PASS_NOT, PASS_EXACT, PASS_INEXACT };

/* 13.5.2: does one of the receive addresses match? */
static bool
listed(const struct e1000 *e, const uint8_t *frame)
{
	for (unsigned i = 0; i < E1000_ADDRS; i++) {
		uint32_t low = e->ra[2 * i], high = e->ra[2 * i + 1];
		const uint8_t *addr = E1000_RAH_AS(high) == 1 ? frame + NET_ADDRLEN : frame;

		if ((high & E1000_RAH_AV) != 0 && E1000_RAH_AS(high) <= 1 &&
		    low == (addr[0] | (uint32_t)addr[1] << 8 | (uint32_t)addr[2] << 16 | (uint32_t)addr[3] << 24) &&
		    (high & 0xffff) == (addr[4] | (uint32_t)addr[5] << 8))
			return (true);
	}
	return (false);
}

/* 13.5.1: twelve bits of the address, from one of four places, choose a bit of the table. */
static bool
hashed(const struct e1000 *e, const uint8_t *dst)
{
	static const uint8_t shift[4] = { 4, 3, 2, 0 };
	unsigned bit = ((unsigned)dst[4] | (unsigned)dst[5] << 8) >> shift[E1000_RCTL_MO(e->rctl)] & 0xfff;

	return ((e->mta[bit / 32] >> (bit % 32) & 1) != 0);
}

static enum pass
by_address(const struct e1000 *e, const uint8_t *frame)
{
	if (listed(e, frame) || ((e->rctl & E1000_RCTL_BAM) != 0 && net_broadcast(frame)))
		return (PASS_EXACT);
	if ((frame[0] & 1) != 0)
		return ((e->rctl & E1000_RCTL_MPE) != 0 || hashed(e, frame) ? PASS_INEXACT : PASS_NOT);
	return ((e->rctl & E1000_RCTL_UPE) != 0 ? PASS_INEXACT : PASS_NOT);
}

static bool
is_tagged(const struct e1000 *e, const uint8_t *frame, size_t len)
{
	return (len >= NET_HEADER + ETH_TAG_LEN && offload_get16(frame + ETH_TYPE_AT) == (uint16_t)e->vet);
}

/* 9.3, 13.5.4: of tagged frames those of the networks that are let in. */
static bool
by_tag(const struct e1000 *e, const uint8_t *frame)
{
	uint16_t tag = offload_get16(frame + ETH_TYPE_AT + 2);
	unsigned vid = tag & 0xfff;

	if ((e->rctl & E1000_RCTL_VFE) == 0)
		return (true);
	if ((e->rctl & E1000_RCTL_CFIEN) != 0 && (tag >> 12 & 1) != ((e->rctl & E1000_RCTL_CFI) != 0))
		return (false);
	return ((e->vfta[vid / 32] >> (vid % 32) & 1) != 0);
}

/*
 * 8.7: a PAUSE frame, which is the hardware's while it does flow control.  Nothing here is ever so fast that it had to wait for
 * the partner, so that it is counted only.  Whether it was one.
 */
static bool
flow_control(struct e1000 *e, const uint8_t *frame, size_t len)
{
	static const uint8_t group[NET_ADDRLEN] = { 0x01, 0x80, 0xc2, 0, 0, 0x01 };

	if ((e->ctrl & E1000_CTRL_RFCE) == 0 || len < NET_HEADER + 4 || offload_get16(frame + ETH_TYPE_AT) != (uint16_t)e->fct ||
	    offload_get16(frame + NET_HEADER) != PAUSE || memcmp(frame, group, sizeof(group)) != 0)
		return (false);
	e1000_count(e, offload_get16(frame + NET_HEADER + 2) != 0 ? E1000_XOFFRXC : E1000_XONRXC, 1);
	return ((e->rctl & (E1000_RCTL_PMCF | E1000_RCTL_DPF)) != E1000_RCTL_PMCF);
}

/* Checksums */

/* TCP's or UDP's with its pseudo header (RFC 9293 3.1, RFC 768, RFC 8200 8.1): n bytes, of addresses alen. */
static uint64_t
check_l4(const uint8_t *addresses, size_t alen, unsigned protocol, const uint8_t *l4, size_t n)
{
	uint32_t sum = (uint32_t)htons((uint16_t)protocol) + htons((uint16_t)n);

	if (n < (protocol == IP_TCP ? TCP_LEN : UDP_LEN) || (protocol == IP_UDP && offload_get16(l4 + 6) == 0))
		return (0);
	sum = offload_sum(addresses, alen, sum);
	return (ST_TCPCS | (offload_sum(l4, n, sum) == 0xffff ? 0 : ER_TCPE));
}

static uint64_t
check_ipv4(const struct e1000 *e, const uint8_t *ip, size_t n, bool good)
{
	size_t header = n >= IP4_LEN ? (ip[0] & 15) * 4U : 0, total = n >= IP4_LEN ? offload_get16(ip + 2) : 0;
	uint64_t status = 0;

	if (header < IP4_LEN || ip[0] >> 4 != 4 || total < header || total > n)
		return (0);
	if ((e->rxcsum & E1000_RXCSUM_IPOFLD) != 0)
		status |= ST_IPCS | (good || offload_sum(ip, header, 0) == 0xffff ? 0 : ER_IPE);
	/* table 3-5: no fragments */
	if ((e->rxcsum & E1000_RXCSUM_TUOFLD) == 0 || (offload_get16(ip + 6) & 0x3fff) != 0 || (ip[9] != IP_TCP && ip[9] != IP_UDP))
		return (status);
	return (status | (good ? ST_TCPCS : check_l4(ip + 12, 8, ip[9], ip + header, total - header)));
}

static uint64_t
check_ipv6(const struct e1000 *e, const uint8_t *ip, size_t n, bool good)
{
	size_t len = n >= IP6_LEN ? offload_get16(ip + 4) : SIZE_MAX;

	if (len > n - IP6_LEN || ip[0] >> 4 != 6 || (e->rxcsum & E1000_RXCSUM_TUOFLD) == 0 || (ip[6] != IP_TCP && ip[6] != IP_UDP))
		return (0);
	return (good ? ST_TCPCS : check_l4(ip + 8, 32, ip[6], ip + IP6_LEN, len));
}

/* 3.2.9: what a descriptor says of the checksums; good: whoever sent it vouches for them. */
static uint64_t
check(const struct e1000 *e, const uint8_t *p, size_t len, bool good)
{
	size_t at = ETH_TYPE_AT;

	if ((e->rxcsum & (E1000_RXCSUM_IPOFLD | E1000_RXCSUM_TUOFLD)) == 0)
		return (ST_IXSM);
	if (is_tagged(e, p, len))
		at += ETH_TAG_LEN;
	switch (offload_get16(p + at)) {
	case ETH_IP4:
		return (check_ipv4(e, p + at + 2, len - at - 2, good));
	case ETH_IP6:
		return (check_ipv6(e, p + at + 2, len - at - 2, good));
	default:
		return (0);
	}
}

/* Descriptors */

static uint32_t
buffer_size(const struct e1000 *e)
{
	unsigned size = E1000_RCTL_BSIZE(e->rctl);

	/* 13.4.22: 0 with BSEX is reserved */
	return ((e->rctl & E1000_RCTL_BSEX) != 0 && size != 0 ? 32768U >> size : 2048U >> size);
}

/* Put len bytes of e->in into descriptors; rest is what the last one's second half says beside its length. */
static void
fill(struct e1000 *e, size_t len, uint64_t rest)
{
	uint32_t size = e1000_ring_size(&e->rx), before = e1000_ring_owned(&e->rx), buffer = buffer_size(e), low, n = 0;
	struct e1000_desc d;

	low = size >> (E1000_RCTL_RDMTS(e->rctl) + 1);
	for (size_t off = 0; off < len; n++) {
		uint32_t part = len - off < buffer ? (uint32_t)(len - off) : buffer;
		bool last = off + part == len;

		/* What is no memory gets nothing, as on a bus that nobody answers on. */
		if (!e1000_fetch(e, &e->rx, n, &d) || d.addr + part < d.addr ||
		    vm_gpa_write(e1000_vm(e), d.addr, e->in + ETH_TAG_LEN + off, part) != 0)
			device_guest_log(e->dev, "a receive buffer is outside of RAM");
		e1000_write_back(e, &e->rx, n, last ? rest | part | ST_DD | ST_EOP : part | ST_DD);
		off += part;
	}
	e->rx.head = (e->rx.head + n) % size;
	e1000_cause(e, E1000_INT_RXT0);
	if (before > low && before - n <= low)
		e1000_cause(e, E1000_INT_RXDMT0);
	if (len <= e->rsrpd)
		e1000_cause(e, E1000_INT_SRPD);
}

/* Copy the frame to where it is wanted, and make it as long as it has to be on a wire; its length. */
static size_t
linearize(struct e1000 *e, const struct net_frame *f)
{
	uint8_t *p = e->in + ETH_TAG_LEN;
	size_t len = offload_copy(f, p);

	if (len < E1000_FRAME_MIN) {
		memset(p + len, 0, E1000_FRAME_MIN - len);
		len = E1000_FRAME_MIN;
	}
	return (len);
}

/* Lock held.  false: there is no room now. */
static bool
receive_locked(struct e1000 *e, const struct net_frame *f, bool looped)
{
	size_t max = (e->rctl & E1000_RCTL_LPE) != 0 ? E1000_FRAME_MAX : E1000_LEGAL_MAX, len;
	uint8_t *p = e->in + ETH_TAG_LEN;
	enum pass pass;
	uint64_t rest = 0;
	uint32_t crc, need;

	if (!e->active || (e->rctl & E1000_RCTL_EN) == 0 || !pci_master(&e->fn) || (!looped && !e1000_link_up(e)) || f->len < NET_HEADER)
		return (true);
	if (f->len > max - E1000_CRC) {
		e1000_count(e, E1000_ROC, 1);
		return (true);
	}
	len = linearize(e, f);
	pass = flow_control(e, p, len) ? PASS_NOT : by_address(e, p);
	if (pass == PASS_NOT || (is_tagged(e, p, len) && !by_tag(e, p)))
		return (true);
	/* With the tag, which may go: what has room for it now has it later too. */
	need = (uint32_t)(len + E1000_CRC + buffer_size(e) - 1) / buffer_size(e);
	if (e1000_ring_owned(&e->rx) < need) {
		/* A ring has one descriptor less than it is long: this frame would wait for ever, and all others behind it. */
		if (e1000_ring_size(&e->rx) <= need) {
			e1000_count(e, E1000_MPC, 1);
			return (true);
		}
		e1000_count(e, E1000_RNBC, 1);
		return (false);
	}
	e1000_count_frame(e, &received, p, len);
	crc = (uint32_t)crc32(0, p, (unsigned)len);
	memcpy(p + len, &crc, E1000_CRC);
	if (is_tagged(e, p, len) && (e->ctrl & E1000_CTRL_VME) != 0) {
		rest |= ST_VP | (uint64_t)offload_get16(p + ETH_TYPE_AT + 2) << 48;
		memmove(p + ETH_TYPE_AT, p + ETH_TYPE_AT + ETH_TAG_LEN, len + E1000_CRC - ETH_TYPE_AT - ETH_TAG_LEN);
		len -= ETH_TAG_LEN;
	}
	rest |= check(e, p, len, (f->flags & NET_CSUM_GOOD) != 0) | (pass == PASS_INEXACT ? ST_PIF : 0);
	if ((e->rctl & E1000_RCTL_SECRC) == 0)
		len += E1000_CRC;
	/* 3.2.9: the packet's own sum, for drivers that see to it themselves. */
	if (E1000_RXCSUM_PCSS(e->rxcsum) < len)
		rest |= (uint64_t)ntohs(offload_sum(p + E1000_RXCSUM_PCSS(e->rxcsum), len - E1000_RXCSUM_PCSS(e->rxcsum), 0)) << 16;
	else
		rest |= 0xffff0000U;
	fill(e, len, rest);
	return (true);
}

bool
e1000_receive(void *arg, const struct net_frame *f)
{
	struct e1000 *e = arg;
	bool looped = f == &e->out.f, taken;

	pthread_mutex_lock(&e->lock);
	/* What goes round in the chip is not heard outside, nor the other way. */
	if (!looped && (e->rctl & E1000_RCTL_LBM) != 0)
		taken = true;
	else
		taken = receive_locked(e, f, looped);
	if (!taken && looped) {
		e1000_count(e, E1000_MPC, 1);
		e1000_cause(e, E1000_INT_RXO);
	} else if (!taken) {
		e->waiting = true;
		e1000_update(e);
	}
	pthread_mutex_unlock(&e->lock);
	return (taken);
}
