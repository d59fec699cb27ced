/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_net_rx.c - frames from the back end into the driver's buffers (virtio 1.2 section 5.1.6.3, 5.1.6.4).
 *
 * With several pairs of queues a flow is received by the pair by which it was sent last (5.1.6.5.5), unless the back end steers.
 */
#include <endian.h>
#include <string.h>

#include "../net/headers.h"
#include "../net/offload.h"
#include "virtio_net.h"

#define	HEAD	96U		/* bytes of a frame that are looked at: Ethernet with a VLAN tag, IP, ports */

/* The first bytes of a frame, of at most HEAD. */
static size_t
copy_head(const struct net_frame *f, uint8_t head[HEAD])
{
	size_t done = 0;

	for (int i = 0; i < f->niov && done < HEAD; i++) {
		size_t n = f->iov[i].iov_len < HEAD - done ? f->iov[i].iov_len : HEAD - done;

		memcpy(head + done, f->iov[i].iov_base, n);
		done += n;
	}
	return (done);
}

/* Both ends' words of length len, whichever of them sent it. */
static uint32_t
both(uint32_t h, const uint8_t *p, size_t len)
{
	uint32_t a, b;

	for (size_t i = 0; i < len; i += 4) {
		memcpy(&a, p + i, 4);
		memcpy(&b, p + len + i, 4);
		h = (h ^ a ^ b) * 0x9e3779b1U;
	}
	return (h);
}

/* The place of a frame's flow, which is the same for both directions: addresses, protocol, and ports unless it is a fragment. */
static unsigned
flow_of(const uint8_t *frame, size_t len)
{
	size_t ip = NET_HEADER, l4;
	const uint8_t *type = frame + ETH_TYPE_AT;
	uint32_t h = 0;
	uint8_t proto;

	if (len >= ip + ETH_TAG_LEN && offload_get16(type) == ETH_VLAN) {
		type += ETH_TAG_LEN;
		ip += ETH_TAG_LEN;
	}
	if (len >= ip + IP4_LEN && offload_get16(type) == ETH_IP4) {
		l4 = ip + (frame[ip] & 0xfU) * 4U;
		proto = frame[ip + 9];
		h = both(proto, frame + ip + 12, 4);
		if ((offload_get16(frame + ip + 6) & 0x3fff) != 0)
			return ((h >> 16) % VNET_FLOWS);
	} else if (len >= ip + IP6_LEN && offload_get16(type) == ETH_IP6) {
		l4 = ip + IP6_LEN;
		proto = frame[ip + 6];
		h = both(proto, frame + ip + 8, 16);
	} else {
		return (0);
	}
	if ((proto == IP_TCP || proto == IP_UDP) && len >= l4 + 4)
		h = (h ^ (uint32_t)((frame[l4] ^ frame[l4 + 2]) << 8 | (frame[l4 + 1] ^ frame[l4 + 3]))) * 0x9e3779b1U;
	return ((h >> 16) % VNET_FLOWS);
}

void
vnet_note_flow(struct vnet *v, const uint8_t *frame, size_t len, unsigned pair)
{
	if (v->pairs > 1)
		v->flow[flow_of(frame, len)] = (uint8_t)pair;
}

/* The queue that a frame is for. */
static struct virtqueue *
choose(struct vnet *v, const struct net_frame *f, const uint8_t *head, size_t len)
{
	unsigned pair = 0;

	if (v->pairs > 1)
		pair = v->net->steers ? f->queue : v->flow[flow_of(head, len)];
	if (pair >= v->pairs || !v->vq[2 * pair].ready)
		pair = 0;
	return (&v->vq[2 * pair]);
}

/* The header of a frame to receive.  false: the driver did not say that it takes such ones. */
static bool
make_header(const struct vnet *v, const struct net_frame *f, struct vnet_header *h)
{
	uint8_t gso = f->gso & (uint8_t)~NET_GSO_ECN;

	*h = (struct vnet_header){ 0 };
	if ((f->flags & NET_NEEDS_CSUM) != 0) {
		if (!vnet_takes(v, F_GUEST_CSUM))
			return (false);
		h->flags = HDR_NEEDS_CSUM;
		h->csum_start = htole16(f->csum_start);
		h->csum_offset = htole16(f->csum_off);
	} else if ((f->flags & NET_CSUM_GOOD) != 0 && vnet_takes(v, F_GUEST_CSUM))
		h->flags = HDR_DATA_VALID;
	if (gso == NET_GSO_NONE)
		return (true);
	if (!(gso == NET_GSO_TCP4 && vnet_takes(v, F_GUEST_TSO4)) &&
	    !(gso == NET_GSO_TCP6 && vnet_takes(v, F_GUEST_TSO6)))
		return (false);
	h->gso_type = vnet_takes(v, F_GUEST_ECN) ? f->gso : gso;
	h->gso_size = htole16(f->gso_size);
	h->hdr_len = htole16(f->hdr_len);
	return (true);
}

/* A frame being put into buffers: one chain, or with MRG_RXBUF as many as it takes. */
struct filling {
	const struct net_frame *f;
	int		 i;		/* vector and offset that come next */
	size_t		 off;
	struct vq_used	 used[VNET_CHAINS_MAX];
	unsigned	 n;
};

/* Copy from the frame into a chain at off; the bytes copied. */
static uint32_t
fill_chain(struct virtqueue *vq, struct filling *fill, const struct vq_chain *chain, uint32_t off)
{
	uint32_t done = 0;

	while (fill->i < fill->f->niov) {
		const struct iovec *iov = &fill->f->iov[fill->i];
		size_t want = iov->iov_len - fill->off, n;

		n = vq_copy_in(vq, chain, off + done, (const uint8_t *)iov->iov_base + fill->off, want);
		done += (uint32_t)n;
		fill->off += n;
		if (n < want)
			break;
		fill->i++;
		fill->off = 0;
	}
	return (done);
}

/*
 * Find buffers for a frame with its header and fill them: 1, 0 if there are not enough, -1 if it can never fit.
 */
static int
fill_buffers(struct vnet *v, struct virtqueue *vq, struct filling *fill, struct vnet_header *h)
{
	struct vq_seg segs[VNET_QUEUE_SIZE];
	struct vq_chain chain = { .seg = segs, .max = VNET_QUEUE_SIZE }, first = { 0 };
	struct vq_seg first_segs[VNET_QUEUE_SIZE];
	size_t left = fill->f->len;

	while (left != 0) {
		uint32_t off = fill->n == 0 ? sizeof(*h) : 0, done;
		int r = fill->n < VNET_CHAINS_MAX && fill->n < vq->num ? vq_pop(vq, &chain) : -1;

		if (r != 1)
			return (r);
		/* 5.1.6.3.1: a buffer has room for the header at least. */
		if (chain.writelen < sizeof(*h)) {
			virtio_broken(&v->vd, "a receive buffer has no room for the header");
			return (-1);
		}
		if (fill->n == 0) {
			first = chain;
			first.seg = first_segs;
			memcpy(first_segs, segs, (chain.nread + chain.nwrite) * sizeof(*segs));
		}
		done = fill_chain(vq, fill, &chain, off);
		left -= done;
		fill->used[fill->n++] = (struct vq_used){ .head = chain.head, .written = off + done };
		if (left != 0 && !virtio_has(&v->vd, F_MRG_RXBUF))
			return (-1);
	}
	h->num_buffers = htole16((uint16_t)fill->n);
	(void)vq_copy_in(vq, &first, 0, h, sizeof(*h));
	return (1);
}

/* Lock held.  The queue that has no buffers now; NULL: the frame is taken, or dropped. */
static struct virtqueue *
receive_locked(struct vnet *v, const struct net_frame *f)
{
	struct filling fill = { .f = f };
	struct virtqueue *vq;
	struct vnet_header h;
	uint8_t head[HEAD];
	size_t len;
	int r;

	/* Without a driver nobody wants it; and a queue that broke never takes it. */
	if (!v->vd.active || (v->vd.status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) != VIRTIO_DRIVER_OK || !v->vq[0].ready)
		return (NULL);
	len = copy_head(f, head);
	if (len < NET_HEADER || !vnet_wanted(v, head, len))
		return (NULL);
	vq = choose(v, f, head, len);
	r = make_header(v, f, &h) ? fill_buffers(v, vq, &fill, &h) : -1;
	if (r == 1) {
		vq_push_all(vq, fill.used, fill.n);
		return (NULL);
	}
	for (; fill.n > 0; fill.n--)
		vq_unpop(vq);
	if (r == 0)
		return (vq);
	v->rx_dropped++;
	return (NULL);
}

bool
vnet_receive(void *arg, const struct net_frame *f)
{
	struct vnet *v = arg;
	struct virtqueue *full;

	pthread_mutex_lock(&v->vd.lock);
	full = receive_locked(v, f);
	if (full != NULL) {
		v->waiting = true;
		vq_signal(full);
	}
	pthread_mutex_unlock(&v->vd.lock);
	return (full == NULL);
}

void
vnet_flush(void *arg)
{
	struct vnet *v = arg;

	pthread_mutex_lock(&v->vd.lock);
	for (unsigned i = 0; v->vd.active && i < v->pairs; i++) {
		if (v->vq[2 * i].ready)
			vq_signal(&v->vq[2 * i]);
	}
	pthread_mutex_unlock(&v->vd.lock);
}
