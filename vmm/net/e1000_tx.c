/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * e1000_tx.c - what the gigabit controller sends (3.3 to 3.5): packets out of descriptors, checksums, TCP segmentation, VLAN tags.
 *
 * A packet is taken out of the ring once its last descriptor is there, copied, and given back to the driver; then it is sent without the
 * lock, for the back end may call receive from inside.  A packet to be cut goes to a back end that takes such ones as it is, and is cut here
 * otherwise.  Between two calls a packet may be half sent, when the back end refused; a pause loses that.
 */
#include <arpa/inet.h>

#include <string.h>

#include "e1000.h"
#include "headers.h"
#include "offload.h"

#define	BUDGET		256U		/* frames at a time, for others live on this thread */

/* Of a descriptor's second half: legacy (3.3.3), data (3.3.7), context (3.3.6). */
#define	CMD_EOP		0x01000000U
#define	CMD_IFCS	0x02000000U
#define	CMD_IC		0x04000000U	/* legacy */
#define	CMD_TSE		0x04000000U	/* the others */
#define	CMD_RS		0x08000000U
#define	CMD_DEXT	0x20000000U
#define	CMD_VLE		0x40000000U
#define	TUCMD_TCP	0x01000000U
#define	TUCMD_IP	0x02000000U
#define	STA_DD		(1ULL << 32)
#define	POPTS_IXSM	(1ULL << 40)
#define	POPTS_TXSM	(1ULL << 41)
#define	DTYP(d)		((uint32_t)(d)->rest >> 20 & 15)
#define	LENGTH(d)	((uint32_t)(d)->rest & 0xffff)
#define	DTALEN(d)	((uint32_t)(d)->rest & 0xfffff)
#define	CSO(d)		((uint8_t)((d)->rest >> 16))
#define	CSS(d)		((uint8_t)((d)->rest >> 40))
#define	SPECIAL(d)	((uint16_t)((d)->rest >> 48))

/* Out of the ring.  Lock held. */

static bool
is_context(const struct e1000_desc *d)
{
	return ((d->rest & CMD_DEXT) != 0 && DTYP(d) == 0);
}

static void
load_context(struct e1000 *e, const struct e1000_desc *d)
{
	e->context[(d->rest & CMD_TSE) != 0] = (struct e1000_context){
		.ipcss = (uint8_t)d->addr, .ipcso = (uint8_t)(d->addr >> 8), .ipcse = (uint16_t)(d->addr >> 16),
		.tucss = (uint8_t)(d->addr >> 32), .tucso = (uint8_t)(d->addr >> 40), .tucse = (uint16_t)(d->addr >> 48),
		.paylen = DTALEN(d), .hdrlen = (uint8_t)(d->rest >> 40), .mss = (uint16_t)(d->rest >> 48),
		.tcp = (d->rest & TUCMD_TCP) != 0, .ipv4 = (d->rest & TUCMD_IP) != 0,
	};
}

/* Give the first n descriptors back. */
static void
release(struct e1000 *e, uint32_t n)
{
	uint32_t size = e1000_ring_size(&e->tx), before = e1000_ring_owned(&e->tx), low = 8 * E1000_TXDCTL_LWTHRESH(e->txdctl);
	struct e1000_desc d;

	for (uint32_t i = 0; i < n; i++) {
		if (e1000_fetch(e, &e->tx, i, &d) && (d.rest & CMD_RS) != 0) {
			e1000_write_back(e, &e->tx, i, d.rest | STA_DD);
			e1000_cause(e, E1000_INT_TXDW);
		}
	}
	e->tx.head = (e->tx.head + n) % size;
	if (before == n)
		e1000_cause(e, E1000_INT_TXQE);
	if (before >= low && before - n < low)
		e1000_cause(e, E1000_INT_TXD_LOW);
}

/* How the packet's first data descriptor wants it. */
static void
begin(struct e1000 *e, const struct e1000_desc *d)
{
	struct e1000_out *o = &e->out;
	bool ext = (d->rest & CMD_DEXT) != 0;

	o->tso = ext && (d->rest & CMD_TSE) != 0;
	o->ixsm = ext && (d->rest & POPTS_IXSM) != 0;
	o->txsm = ext && (d->rest & POPTS_TXSM) != 0;
	o->context = e->context[o->tso];
	o->sum = false;
	o->sumfrom = CSS(d);
	o->len = 0;
	o->off = 0;
	o->segment = 0;
	o->made = o->whole = false;
}

/* How its last one does (3.3.3, 3.3.7: VLE, IFCS and IC are looked at with EOP only). */
static void
finish(struct e1000 *e, const struct e1000_desc *d)
{
	struct e1000_out *o = &e->out;

	if ((d->rest & (CMD_DEXT | CMD_IC)) == CMD_IC) {
		o->sum = true;
		o->sumat = CSO(d);
	}
	o->tagged = (d->rest & CMD_VLE) != 0 && (e->ctrl & E1000_CTRL_VME) != 0;
	o->tag = SPECIAL(d);
	o->vet = (uint16_t)e->vet;
	o->pad = (e->tctl & E1000_TCTL_PSP) != 0;
	o->loop = (e->rctl & E1000_RCTL_LBM) != 0 || (e->phy[E1000_PHY_PCTRL] & E1000_PCTRL_LOOPBACK) != 0;
	/* What the driver has put behind it as checksum nobody asks for. */
	if ((d->rest & CMD_IFCS) == 0 && !o->tso && o->len > E1000_CRC)
		o->len -= E1000_CRC;
}

/* Append a descriptor's data.  false: what is to be sent cannot be. */
static bool
append(struct e1000 *e, const struct e1000_desc *d)
{
	struct e1000_out *o = &e->out;
	uint32_t len = (d->rest & CMD_DEXT) != 0 ? DTALEN(d) : LENGTH(d);
	size_t max = o->tso ? E1000_HDRLEN_MAX + E1000_PAYLEN_MAX : E1000_FRAME_MAX;

	if (len > max - o->len)
		return (false);
	if (len != 0 && (d->addr + len < d->addr || vm_gpa_read(e1000_vm(e), d->addr, o->buf + ETH_TAG_LEN + o->len, len) != 0))
		return (false);
	o->len += len;
	return (true);
}

/* Whether the packet can be sent. */
static bool
sane(const struct e1000_out *o)
{
	const struct e1000_context *c = &o->context;

	if (!o->tso)
		return (o->len >= NET_HEADER && o->len <= E1000_FRAME_MAX - E1000_CRC);
	/* 3.3.6: a segment fits into the transmit buffer; 3.5.5: what is changed in the header is there. */
	return (c->mss != 0 && c->hdrlen + c->mss + E1000_CRC <= E1000_FRAME_MAX && c->hdrlen >= NET_HEADER && o->len > c->hdrlen &&
	    c->ipcss + (c->ipv4 ? IP4_LEN : IP6_LEN) <= c->hdrlen && c->tucss + (c->tcp ? TCP_LEN : UDP_LEN) <= c->hdrlen);
}

/* Whether the back end cuts it. */
static bool
goes_whole(const struct e1000 *e)
{
	const struct e1000_out *o = &e->out;
	const struct e1000_context *c = &o->context;
	unsigned needs = NET_TAKES_CSUM | (c->ipv4 ? NET_TAKES_TSO4 : NET_TAKES_TSO6);

	if (!o->tso || o->loop || !c->tcp || !o->txsm || c->tucse != 0 || c->tucso < c->tucss || c->tucso + 2U > c->hdrlen ||
	    o->len - c->hdrlen <= c->mss || o->len - c->ipcss > UINT16_MAX)
		return (false);
	if ((o->buf[ETH_TAG_LEN + c->tucss + TCP_FLAGS_AT] & TCP_CWR) != 0)
		needs |= NET_TAKES_ECN;
	return ((e->net->ops->takes & needs) == needs);
}

/* Take the ring's next packet, of n descriptors, apart.  Whether there is something to send. */
static bool
take_packet(struct e1000 *e, uint32_t n)
{
	struct e1000_out *o = &e->out;
	struct e1000_desc d = { 0 };
	bool first = true, good = true;

	for (uint32_t i = 0; i < n; i++) {
		if (!e1000_fetch(e, &e->tx, i, &d)) {
			good = false;
			break;
		}
		if (is_context(&d)) {
			load_context(e, &d);
			continue;
		}
		if (first)
			begin(e, &d);
		first = false;
		good = good && append(e, &d);
	}
	good = good && !first;
	if (good) {
		finish(e, &d);
		if (o->tso && o->len > (size_t)o->context.hdrlen + o->context.paylen)
			o->len = o->context.hdrlen + o->context.paylen;
		good = sane(o);
	}
	release(e, n);
	if (!good) {
		device_guest_log(e->dev, "a packet to send is not possible: of its length, its header, or its memory");
		return (false);
	}
	o->whole = goes_whole(e);
	return (true);
}

/* Fill e->out.  false: there is nothing to send, or, when what may be taken is used up, not now. */
static bool
take(struct e1000 *e, unsigned *left)
{
	struct e1000_desc d;

	while (*left != 0 && e->active && (e->tctl & E1000_TCTL_EN) != 0 && pci_master(&e->fn)) {
		uint32_t owned = e1000_ring_owned(&e->tx), n = 0;

		(*left)--;
		/* Up to a packet's last descriptor; contexts ahead of it are taken by themselves. */
		do {
			if (n == owned || !e1000_fetch(e, &e->tx, n, &d))
				return (false);
			n++;
		} while (!is_context(&d) && (d.rest & CMD_EOP) == 0);
		if (is_context(&d) && n == 1) {
			load_context(e, &d);
			release(e, 1);
			continue;
		}
		if (take_packet(e, n))
			return (true);
	}
	return (false);
}

/* Frames */

/* 3.5.5: a segment's header, of a frame of len bytes. */
static void
adapt_header(struct e1000_out *o, uint8_t *p, size_t len, bool last)
{
	const struct e1000_context *c = &o->context;
	uint8_t *ip = p + c->ipcss, *l4 = p + c->tucss;
	uint32_t seq;

	if (c->ipv4) {
		offload_put16(ip + 2, len - c->ipcss);
		offload_put16(ip + 4, offload_get16(ip + 4) + o->segment);
	} else {
		offload_put16(ip + 4, len - c->ipcss - IP6_LEN);
	}
	if (!c->tcp) {
		offload_put16(l4 + 4, len - c->tucss);
		return;
	}
	seq = ((uint32_t)offload_get16(l4 + TCP_SEQ_AT) << 16 | offload_get16(l4 + TCP_SEQ_AT + 2)) + (uint32_t)o->off;
	offload_put16(l4 + TCP_SEQ_AT, seq >> 16);
	offload_put16(l4 + TCP_SEQ_AT + 2, seq);
	if (!last)
		l4[TCP_FLAGS_AT] &= (uint8_t)~(TCP_FIN | TCP_PSH);
}

/* Store a checksum, or let the back end do it. */
static void
checksum(const struct e1000 *e, uint8_t *p, size_t len, size_t from, size_t end, size_t at, struct net_frame *f)
{
	if (end == len && at >= from && at + 2 <= len && from < len && !e->out.loop && (e->net->ops->takes & NET_TAKES_CSUM) != 0) {
		f->flags = NET_NEEDS_CSUM;
		f->csum_start = (uint16_t)from;
		f->csum_off = (uint16_t)(at - from);
	} else {
		(void)offload_insert(p, len, from, end, at);
	}
}

/* 3.5.6, 3.5.7: the last byte of the sum, where the context says one. */
static size_t
sum_end(uint16_t end, size_t len)
{
	return (end != 0 && end + 1U < len ? end + 1U : len);
}

static void
checksums(const struct e1000 *e, uint8_t *p, size_t len, struct net_frame *f)
{
	const struct e1000_out *o = &e->out;
	const struct e1000_context *c = &o->context;

	if (o->ixsm)
		(void)offload_insert(p, len, c->ipcss, sum_end(c->ipcse, len), c->ipcso);
	if (o->txsm) {
		/* The driver's sum of the pseudo header is without the length, which differs from segment to segment. */
		if (o->tso && c->tucso + 2U <= len) {
			uint32_t sum = offload_get16(p + c->tucso) + (uint32_t)(len - c->tucss);

			offload_put16(p + c->tucso, (sum & 0xffff) + (sum >> 16));
		}
		checksum(e, p, len, c->tucss, sum_end(c->tucse, len), c->tucso, f);
	} else if (o->sum) {
		checksum(e, p, len, o->sumfrom, len, o->sumat, f);
	}
}

/* The packet's next frame: o->f. */
static void
make_frame(struct e1000 *e)
{
	struct e1000_out *o = &e->out;
	const struct e1000_context *c = &o->context;
	struct net_frame f = { .iov = &o->iov, .niov = 1 };
	uint8_t *p = o->buf + ETH_TAG_LEN;
	size_t len = o->len, n;

	if (o->tso && !o->whole) {
		n = o->len - c->hdrlen - o->off;
		n = n < c->mss ? n : c->mss;
		p = o->segbuf + ETH_TAG_LEN;
		memcpy(p, o->buf + ETH_TAG_LEN, c->hdrlen);
		memcpy(p + c->hdrlen, o->buf + ETH_TAG_LEN + c->hdrlen + o->off, n);
		len = c->hdrlen + n;
		adapt_header(o, p, len, o->off + n == o->len - c->hdrlen);
		o->off += n;
		o->segment++;
	} else if (o->whole) {
		adapt_header(o, p, len, true);
		f.gso = (c->ipv4 ? NET_GSO_TCP4 : NET_GSO_TCP6) | ((p[c->tucss + TCP_FLAGS_AT] & TCP_CWR) != 0 ? NET_GSO_ECN : 0);
		f.gso_size = c->mss;
		f.hdr_len = c->hdrlen;
	}
	checksums(e, p, len, &f);
	if (o->pad && len < E1000_FRAME_MIN) {
		memset(p + len, 0, E1000_FRAME_MIN - len);
		len = E1000_FRAME_MIN;
	}
	if (o->tagged) {
		memmove(p - ETH_TAG_LEN, p, ETH_TYPE_AT);
		p -= ETH_TAG_LEN;
		len += ETH_TAG_LEN;
		offload_put16(p + ETH_TYPE_AT, o->vet);
		offload_put16(p + ETH_TYPE_AT + 2, o->tag);
		f.csum_start = (uint16_t)(f.csum_start + ETH_TAG_LEN);
		f.hdr_len = (uint16_t)(f.hdr_len + ETH_TAG_LEN);
	}
	o->iov = (struct iovec){ .iov_base = p, .iov_len = len };
	f.len = len;
	o->f = f;
	o->made = true;
}

/* A frame was sent.  Lock held. */
static void
sent(struct e1000 *e)
{
	static const struct e1000_direction d = {
		.good = E1000_GPTC, .total = E1000_TPT, .good_octets = E1000_GOTC, .total_octets = E1000_TOT, .size = E1000_PTC64,
		.broadcast = E1000_BPTC, .multicast = E1000_MPTC,
	};
	struct e1000_out *o = &e->out;

	o->made = false;
	o->busy = o->tso && !o->whole && o->off < o->len - o->context.hdrlen;
	e1000_count_frame(e, &d, o->iov.iov_base, o->f.len);
	if (o->tso && !o->busy)
		e1000_count(e, E1000_TSCTC, 1);
}

void
e1000_transmit(struct e1000 *e)
{
	struct e1000_out *o = &e->out;
	/* A ring may be full of what cannot be sent, and that can be long: contexts and packets. */
	unsigned n, left = 2 * BUDGET;

	e->refused = false;
	for (n = 0; n < BUDGET; n++) {
		pthread_mutex_lock(&e->lock);
		if (n != 0)
			sent(e);
		o->busy = o->busy || take(e, &left);
		pthread_mutex_unlock(&e->lock);
		if (!o->busy)
			break;
		if (!o->made)
			make_frame(e);
		if (o->loop) {
			(void)e1000_receive(e, &o->f);
		} else if (!net_send(e->net, &o->f)) {
			e->refused = true;
			break;
		}
	}
	pthread_mutex_lock(&e->lock);
	if (n == BUDGET)
		sent(e);
	e1000_update(e);
	pthread_mutex_unlock(&e->lock);
	net_flush(e->net);
	if (n == BUDGET || left == 0)
		event_timer_arm(e->kick, 0);
}
