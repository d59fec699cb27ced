/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_net.c - the network device (virtio 1.2 section 5.1) over a network back end of net/.
 *
 * All work is done on the control thread, where the back ends live: a driver's notification only wakes it.  Transmit takes
 * a batch of chains under the lock, copies their frames and returns the chains, and then sends without the lock, for the back end may
 * call receive from inside.  So no chain is in flight between calls, and pause has nothing to wait for.
 *
 * Towards the guest a frame is refused while there are no buffers for it; the driver's next notification of the receive queue
 * tells the back end.  While no driver is there, frames are dropped.
 *
 * vd.lock guards everything but the batch and what follows it, which are the control thread's.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../net/net.h"
#include "../pci/rom.h"
#include "virtio.h"

#define	QUEUE_SIZE	256
#define	BATCH		64		/* frames sent without the lock at a time */
#define	ARENA		(256U << 10)	/* bytes of them */
#define	CHAINS_MAX	64		/* of buffers for one frame */
#define	MACS_MAX	64		/* addresses that the driver filters by */

/* Features (5.1.3) */
#define	F_CSUM		(1ULL << 0)
#define	F_GUEST_CSUM	(1ULL << 1)
#define	F_MTU		(1ULL << 3)
#define	F_MAC		(1ULL << 5)
#define	F_GUEST_TSO4	(1ULL << 7)
#define	F_GUEST_TSO6	(1ULL << 8)
#define	F_GUEST_ECN	(1ULL << 9)
#define	F_HOST_TSO4	(1ULL << 11)
#define	F_HOST_TSO6	(1ULL << 12)
#define	F_HOST_ECN	(1ULL << 13)
#define	F_MRG_RXBUF	(1ULL << 15)
#define	F_STATUS	(1ULL << 16)
#define	F_CTRL_VQ	(1ULL << 17)
#define	F_CTRL_RX	(1ULL << 18)
#define	F_CTRL_RX_EXTRA	(1ULL << 20)
#define	F_CTRL_MAC_ADDR	(1ULL << 23)

/* Queues (5.1.2) */
enum { RX, TX, CTRL, NQUEUES };

/* Header of a frame (5.1.6); num_buffers is always there (5.1.6.1, VERSION_1). */
struct header {
	uint8_t		flags, gso_type;
	uint16_t	hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct header) == 12, "5.1.6");
#define	HDR_NEEDS_CSUM	1
#define	HDR_DATA_VALID	2

/* Configuration space (5.1.4) */
struct net_config {
	uint8_t		mac[NET_ADDRLEN];
	uint16_t	status, max_virtqueue_pairs, mtu;
};
_Static_assert(sizeof(struct net_config) == 12, "5.1.4");
#define	S_LINK_UP	1

/* Control commands (5.1.6.5): class and command, big-endian in one number. */
#define	CTRL_PROMISC	0x0000
#define	CTRL_ALLMULTI	0x0001
#define	CTRL_ALLUNI	0x0002
#define	CTRL_NOMULTI	0x0003
#define	CTRL_NOUNI	0x0004
#define	CTRL_NOBCAST	0x0005
#define	CTRL_MAC_TABLE	0x0100
#define	CTRL_MAC_ADDR	0x0101
#define	CTRL_OK		0
#define	CTRL_ERR	1

/* Receive modes: bits by the number of their command. */
#define	MODE(command)	(1U << (command))
#define	MODES		(MODE(CTRL_NOBCAST) * 2 - 1)

/* A frame of a batch. */
struct out {
	uint32_t	off, len;	/* in the arena */
	struct header	hdr;
};

struct vnet {
	struct virtio	 vd;
	struct virtqueue vq[NQUEUES];
	struct virtio_ops ops;		/* what is offered depends on the back end */
	struct net	*net;
	unsigned	 mtu;
	bool		 waiting;	/* a frame was refused: the back end wants to know of buffers */
	/* A batch: of nout frames those from next on are to be sent. */
	uint8_t		*arena;
	struct out	 out[BATCH];
	unsigned	 nout, next;
	bool		 refused;	/* by the back end, which will call */
	uint64_t	 rx_dropped, tx_dropped;
	/* state */
	bool		 link;
	uint8_t		 mac[NET_ADDRLEN];
	uint8_t		 modes;		/* MODE(CTRL_*) */
	bool		 filters;	/* the driver has said what it wants to receive */
	uint8_t		 nuni, nmulti;	/* 255: more than are kept, so all */
	uint8_t		 uni[MACS_MAX * NET_ADDRLEN], multi[MACS_MAX * NET_ADDRLEN];
};

static const struct config_key keys[] = { NET_KEYS };

static const struct {
	uint64_t	 feature;
	unsigned	 takes;
} offloads[] = {
	{ F_GUEST_CSUM, NET_TAKES_CSUM }, { F_GUEST_TSO4, NET_TAKES_TSO4 }, { F_GUEST_TSO6, NET_TAKES_TSO6 },
	{ F_GUEST_ECN, NET_TAKES_ECN },
};

/* Transmit */

/* Whether the header's offloads were negotiated and fit the frame; otherwise what it stands for cannot be sent. */
static bool
header_good(const struct vnet *v, const struct header *h, uint32_t len)
{
	uint8_t gso = h->gso_type & (uint8_t)~NET_GSO_ECN;

	if ((h->flags & HDR_NEEDS_CSUM) != 0 &&
	    (!virtio_has(&v->vd, F_CSUM) || (uint32_t)h->csum_start + h->csum_offset + 2 > len))
		return (false);
	if (gso == NET_GSO_NONE)
		return (len <= NET_FRAME_MAX);
	if ((h->flags & HDR_NEEDS_CSUM) == 0 || h->gso_size == 0 ||
	    ((h->gso_type & NET_GSO_ECN) != 0 && !virtio_has(&v->vd, F_HOST_ECN)))
		return (false);
	return ((gso == NET_GSO_TCP4 && virtio_has(&v->vd, F_HOST_TSO4)) ||
	    (gso == NET_GSO_TCP6 && virtio_has(&v->vd, F_HOST_TSO6)));
}

/* Copy a chain's frame behind the others of the batch.  false: it is none. */
static bool
take_frame(struct vnet *v, const struct vq_chain *chain, uint32_t off)
{
	struct virtqueue *vq = &v->vq[TX];
	struct out *o = &v->out[v->nout];
	uint32_t len;

	if (chain->readlen < sizeof(o->hdr) + NET_HEADER || chain->readlen > sizeof(o->hdr) + NET_FRAME_MAX)
		return (false);
	len = (uint32_t)(chain->readlen - sizeof(o->hdr));
	if (vq_copy_out(vq, chain, 0, &o->hdr, sizeof(o->hdr)) != sizeof(o->hdr) ||
	    vq_copy_out(vq, chain, sizeof(o->hdr), v->arena + off, len) != len)
		return (false);
	o->hdr.hdr_len = le16toh(o->hdr.hdr_len);
	o->hdr.gso_size = le16toh(o->hdr.gso_size);
	o->hdr.csum_start = le16toh(o->hdr.csum_start);
	o->hdr.csum_offset = le16toh(o->hdr.csum_offset);
	if (!header_good(v, &o->hdr, len))
		return (false);
	o->off = off;
	o->len = len;
	v->nout++;
	return (true);
}

/* Fill the batch.  Whether the queue may have more. */
static bool
take_batch(struct vnet *v)
{
	struct virtqueue *vq = &v->vq[TX];
	struct vq_seg segs[QUEUE_SIZE];
	struct vq_chain chain = { .seg = segs, .max = QUEUE_SIZE };
	uint32_t off = 0;
	bool more = true;

	pthread_mutex_lock(&v->vd.lock);
	v->nout = v->next = 0;
	for (unsigned n = 0; n < BATCH && ARENA - off >= NET_FRAME_MAX; n++) {
		if (vq_pop(vq, &chain) != 1) {
			more = false;
			break;
		}
		if (take_frame(v, &chain, off)) {
			/* Aligned as a network header behind 14 bytes likes it. */
			off += (v->out[v->nout - 1].len + 15U) & ~15U;
		} else {
			v->tx_dropped++;
			device_guest_log(v->vd.dev, "a frame to send of %llu bytes with its header, or what that says, is not "
			    "possible", (unsigned long long)chain.readlen);
		}
		vq_push(vq, &chain, 0);
	}
	vq_signal(vq);
	pthread_mutex_unlock(&v->vd.lock);
	return (more);
}

/* Send what is left of the batch.  Whether all of it went. */
static bool
send_batch(struct vnet *v)
{
	for (; v->next < v->nout; v->next++) {
		const struct out *o = &v->out[v->next];
		const struct iovec iov = { .iov_base = v->arena + o->off, .iov_len = o->len };
		const struct net_frame f = {
			.iov = &iov, .niov = 1, .len = o->len,
			.flags = (o->hdr.flags & HDR_NEEDS_CSUM) != 0 ? NET_NEEDS_CSUM : 0, .gso = o->hdr.gso_type,
			.hdr_len = o->hdr.hdr_len, .gso_size = o->hdr.gso_size, .csum_start = o->hdr.csum_start,
			.csum_off = o->hdr.csum_offset,
		};

		if (!net_send(v->net, &f))
			return (false);
	}
	return (true);
}

/* Control thread. */
static void
transmit(struct vnet *v)
{
	bool more = true;

	v->refused = !send_batch(v);
	/* One ring's worth at a time, for others live on this thread. */
	for (unsigned n = 0; n < QUEUE_SIZE / BATCH && more && !v->refused; n++) {
		more = take_batch(v);
		v->refused = !send_batch(v);
	}
	net_flush(v->net);
	if (more && !v->refused)
		virtio_notify_later(&v->vq[TX]);
}

/* Receive */

static bool
listed(const uint8_t *list, uint8_t n, const uint8_t *addr)
{
	if (n > MACS_MAX)
		return (true);
	for (unsigned i = 0; i < n; i++) {
		if (memcmp(list + (size_t)i * NET_ADDRLEN, addr, NET_ADDRLEN) == 0)
			return (true);
	}
	return (false);
}

/* 5.1.6.5.1, 5.1.6.5.2: whether the driver wants a frame to that address. */
static bool
wanted(const struct vnet *v, const uint8_t *addr)
{
	static const uint8_t broadcast[NET_ADDRLEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	if (!v->filters || (v->modes & MODE(CTRL_PROMISC)) != 0)
		return (true);
	if (memcmp(addr, broadcast, NET_ADDRLEN) == 0)
		return ((v->modes & MODE(CTRL_NOBCAST)) == 0);
	if ((addr[0] & 1) != 0)
		return ((v->modes & MODE(CTRL_NOMULTI)) == 0 &&
		    ((v->modes & MODE(CTRL_ALLMULTI)) != 0 || listed(v->multi, v->nmulti, addr)));
	return ((v->modes & MODE(CTRL_NOUNI)) == 0 && ((v->modes & MODE(CTRL_ALLUNI)) != 0 ||
	    memcmp(addr, v->mac, NET_ADDRLEN) == 0 || listed(v->uni, v->nuni, addr)));
}

/* The header of a frame to receive.  false: the driver did not say that it takes such ones. */
static bool
make_header(const struct vnet *v, const struct net_frame *f, struct header *h)
{
	uint8_t gso = f->gso & (uint8_t)~NET_GSO_ECN;

	*h = (struct header){ 0 };
	if ((f->flags & NET_NEEDS_CSUM) != 0) {
		if (!virtio_has(&v->vd, F_GUEST_CSUM))
			return (false);
		h->flags = HDR_NEEDS_CSUM;
		h->csum_start = htole16(f->csum_start);
		h->csum_offset = htole16(f->csum_off);
	} else if ((f->flags & NET_CSUM_GOOD) != 0 && virtio_has(&v->vd, F_GUEST_CSUM))
		h->flags = HDR_DATA_VALID;
	if (gso == NET_GSO_NONE)
		return (true);
	if (!(gso == NET_GSO_TCP4 && virtio_has(&v->vd, F_GUEST_TSO4)) &&
	    !(gso == NET_GSO_TCP6 && virtio_has(&v->vd, F_GUEST_TSO6)))
		return (false);
	h->gso_type = virtio_has(&v->vd, F_GUEST_ECN) ? f->gso : gso;
	h->gso_size = htole16(f->gso_size);
	h->hdr_len = htole16(f->hdr_len);
	return (true);
}

/* A frame being put into buffers: one chain, or with MRG_RXBUF as many as it takes. */
struct filling {
	const struct net_frame *f;
	int		 i;		/* vector and offset that come next */
	size_t		 off;
	struct vq_used	 used[CHAINS_MAX];
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
fill_buffers(struct vnet *v, struct filling *fill, struct header *h)
{
	struct virtqueue *vq = &v->vq[RX];
	struct vq_seg segs[QUEUE_SIZE];
	struct vq_chain chain = { .seg = segs, .max = QUEUE_SIZE }, first = { 0 };
	struct vq_seg first_segs[QUEUE_SIZE];
	size_t left = fill->f->len;

	while (left != 0) {
		uint32_t off = fill->n == 0 ? sizeof(*h) : 0, done;
		int r = fill->n < CHAINS_MAX && fill->n < vq->num ? vq_pop(vq, &chain) : -1;

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

/* Lock held.  false: no buffers now. */
static bool
receive_locked(struct vnet *v, const struct net_frame *f)
{
	struct filling fill = { .f = f };
	struct header h;
	int r;

	/* Without a driver nobody wants it; and a queue that broke never takes it. */
	if (!v->vd.active || (v->vd.status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET)) != VIRTIO_DRIVER_OK || !v->vq[RX].ready ||
	    f->iov[0].iov_len < NET_ADDRLEN || !wanted(v, f->iov[0].iov_base))
		return (true);
	r = make_header(v, f, &h) ? fill_buffers(v, &fill, &h) : -1;
	if (r == 1) {
		vq_push_all(&v->vq[RX], fill.used, fill.n);
		return (true);
	}
	for (; fill.n > 0; fill.n--)
		vq_unpop(&v->vq[RX]);
	if (r == 0)
		return (false);
	v->rx_dropped++;
	return (true);
}

static bool
vnet_receive(void *arg, const struct net_frame *f)
{
	struct vnet *v = arg;
	bool taken;

	pthread_mutex_lock(&v->vd.lock);
	taken = receive_locked(v, f);
	if (!taken) {
		v->waiting = true;
		vq_signal(&v->vq[RX]);
	}
	pthread_mutex_unlock(&v->vd.lock);
	return (taken);
}

static void
vnet_flush(void *arg)
{
	struct vnet *v = arg;

	pthread_mutex_lock(&v->vd.lock);
	if (v->vd.active)
		vq_signal(&v->vq[RX]);
	pthread_mutex_unlock(&v->vd.lock);
}

static void
vnet_writable(void *arg)
{
	transmit(arg);
}

static void
vnet_link(void *arg, bool up)
{
	struct vnet *v = arg;

	pthread_mutex_lock(&v->vd.lock);
	if (v->link != up) {
		v->link = up;
		virtio_config_changed(&v->vd);
	}
	pthread_mutex_unlock(&v->vd.lock);
}

static const struct net_nic nic = {
	.receive = vnet_receive,
	.flush = vnet_flush,
	.writable = vnet_writable,
	.link = vnet_link,
};

/* Control */

/* A table of addresses: how many, little-endian, and these.  What is behind it, 0 if it is cut off. */
static uint64_t
read_table(struct virtqueue *vq, const struct vq_chain *chain, uint64_t off, uint8_t *list, uint8_t *n)
{
	uint32_t count;
	size_t len;

	if (vq_copy_out(vq, chain, off, &count, sizeof(count)) != sizeof(count))
		return (0);
	count = le32toh(count);
	off += sizeof(count);
	if (count > (chain->readlen - off) / NET_ADDRLEN)
		return (0);
	*n = count > MACS_MAX ? UINT8_MAX : (uint8_t)count;
	len = count > MACS_MAX ? 0 : (size_t)count * NET_ADDRLEN;
	if (vq_copy_out(vq, chain, off, list, len) != len)
		return (0);
	return (off + (uint64_t)count * NET_ADDRLEN);
}

static bool
set_tables(struct vnet *v, const struct vq_chain *chain)
{
	uint8_t uni[sizeof(v->uni)] = { 0 }, multi[sizeof(v->multi)] = { 0 }, nuni, nmulti;
	uint64_t off = read_table(&v->vq[CTRL], chain, 2, uni, &nuni);

	if (off == 0 || read_table(&v->vq[CTRL], chain, off, multi, &nmulti) == 0)
		return (false);
	memcpy(v->uni, uni, sizeof(uni));
	memcpy(v->multi, multi, sizeof(multi));
	v->nuni = nuni;
	v->nmulti = nmulti;
	v->filters = true;
	return (true);
}

static bool
set_mode(struct vnet *v, unsigned command, uint8_t on)
{
	if (on > 1)
		return (false);
	v->modes = (uint8_t)((v->modes & ~MODE(command)) | (unsigned)on << command);
	v->filters = true;
	return (true);
}

/* One command; whether it could be done. */
static bool
command(struct vnet *v, const struct vq_chain *chain)
{
	struct virtqueue *vq = &v->vq[CTRL];
	uint8_t head[2], data[NET_ADDRLEN];
	unsigned what;

	if (vq_copy_out(vq, chain, 0, head, sizeof(head)) != sizeof(head))
		return (false);
	what = (unsigned)head[0] << 8 | head[1];
	if (what <= CTRL_NOBCAST)
		return (virtio_has(&v->vd, what <= CTRL_ALLMULTI ? F_CTRL_RX : F_CTRL_RX_EXTRA) &&
		    vq_copy_out(vq, chain, 2, data, 1) == 1 && set_mode(v, what, data[0]));
	if (what == CTRL_MAC_TABLE)
		return (virtio_has(&v->vd, F_CTRL_RX) && set_tables(v, chain));
	if (what != CTRL_MAC_ADDR || !virtio_has(&v->vd, F_CTRL_MAC_ADDR) ||
	    vq_copy_out(vq, chain, 2, data, sizeof(data)) != sizeof(data) || (data[0] & 1) != 0)
		return (false);
	memcpy(v->mac, data, sizeof(data));
	return (true);
}

static void
control(struct vnet *v)
{
	struct virtqueue *vq = &v->vq[CTRL];
	struct vq_seg segs[QUEUE_SIZE];
	struct vq_chain chain = { .seg = segs, .max = QUEUE_SIZE };
	uint8_t ack;

	pthread_mutex_lock(&v->vd.lock);
	for (unsigned n = 0; n < QUEUE_SIZE && vq_pop(vq, &chain) == 1; n++) {
		if (chain.writelen == 0) {
			virtio_broken(&v->vd, "a control command has no room for its answer");
			break;
		}
		ack = command(v, &chain) ? CTRL_OK : CTRL_ERR;
		(void)vq_copy_in(vq, &chain, 0, &ack, 1);
		vq_push(vq, &chain, 1);
	}
	vq_signal(vq);
	if (vq_more(vq))
		virtio_notify_later(vq);
	pthread_mutex_unlock(&v->vd.lock);
}

/* The device */

/*
 * The driver has chosen its features: tell the back end.  A queue too short for a large frame in buffers of a small one's length gets none.
 * Control thread, without the lock.
 */
static void
tell_takes(struct vnet *v)
{
	unsigned takes = 0;

	pthread_mutex_lock(&v->vd.lock);
	for (size_t i = 0; i < sizeof(offloads) / sizeof(offloads[0]); i++)
		takes |= virtio_has(&v->vd, offloads[i].feature) ? offloads[i].takes : 0;
	if (virtio_has(&v->vd, F_MRG_RXBUF) && v->vq[RX].num < CHAINS_MAX)
		takes &= ~(NET_TAKES_TSO4 | NET_TAKES_TSO6);
	pthread_mutex_unlock(&v->vd.lock);
	net_set_takes(v->net, takes);
}

static void
vnet_service(struct virtio *vd, struct virtqueue *vq)
{
	struct vnet *v = (struct vnet *)(void *)vd;
	bool waiting;

	switch (vq->index) {
	case RX:
		tell_takes(v);
		pthread_mutex_lock(&vd->lock);
		waiting = v->waiting;
		v->waiting = false;
		pthread_mutex_unlock(&vd->lock);
		if (waiting)
			net_ready(v->net);
		break;
	case TX:
		if (!v->refused)
			transmit(v);
		break;
	default:
		control(v);
		break;
	}
}

/* What the driver chose is gone; what it made the back end wait for is told when there is a driver again. */
static void
vnet_reset(struct virtio *vd)
{
	struct vnet *v = (struct vnet *)(void *)vd;

	net_set_takes(v->net, 0);
	memcpy(v->mac, v->net->mac, NET_ADDRLEN);
	v->link = v->net->link;
	v->modes = 0;
	v->filters = false;
	v->nuni = v->nmulti = 0;
	memset(v->uni, 0, sizeof(v->uni));
	memset(v->multi, 0, sizeof(v->multi));
}

/* Control thread, so nothing is under way; what the back end did not take is lost. */
static void
vnet_drain(struct virtio *vd)
{
	struct vnet *v = (struct vnet *)(void *)vd;

	net_stop(v->net);
	v->nout = v->next = 0;
	v->refused = false;
}

static uint64_t
vnet_config_read(struct virtio *vd, uint32_t off, unsigned size)
{
	const struct vnet *v = (const struct vnet *)(const void *)vd;
	struct net_config c = { .status = htole16(v->link ? S_LINK_UP : 0), .max_virtqueue_pairs = htole16(1),
	    .mtu = htole16((uint16_t)v->mtu) };
	uint64_t val = 0;

	memcpy(c.mac, v->mac, sizeof(c.mac));
	memcpy(&val, (const char *)&c + off, size);
	return (le64toh(val));
}

static const struct virtio_ops ops = {
	.id = 1,
	.features = F_MTU | F_MAC | F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_CTRL_RX | F_CTRL_RX_EXTRA | F_CTRL_MAC_ADDR |
	    F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN,
	.queue_max = QUEUE_SIZE,
	.config_len = sizeof(struct net_config),
	.service = vnet_service,
	.reset = vnet_reset,
	.drain = vnet_drain,
	.config_read = vnet_config_read,
};

static void
vnet_fini(struct device *dev)
{
	struct vnet *v = dev->soft;

	/* Paused, so the back end calls nobody; a reset by a vCPU may tell it something until the transport is gone. */
	virtio_device_fini(dev);
	net_close(v->net);
	free(v->arena);
}

static int
add_rom(struct vnet *v)
{
	struct device *dev = v->vd.dev;
	const char *path = config_str(dev->config, "rom");

	if (path == NULL)
		return (0);
	if (dev->place.on != DEVICE_ON_PCI)
		return (vmm_fail(EINVAL, "%s: rom: only a NIC on PCI has one", dev->name));
	return (pci_add_rom(&v->vd.fn, path));
}

static int
vnet_init(struct device *dev)
{
	struct vnet *v = dev->soft;
	int error;

	v->net = net_open(dev, &nic, v);
	if (v->net == NULL)
		return (-1);
	v->mtu = v->net->mtu;
	v->ops = ops;
	v->ops.features |= (v->net->ops->takes & NET_TAKES_CSUM) != 0 ? F_CSUM : 0;
	v->ops.features |= (v->net->ops->takes & NET_TAKES_TSO4) != 0 ? F_HOST_TSO4 : 0;
	v->ops.features |= (v->net->ops->takes & NET_TAKES_TSO6) != 0 ? F_HOST_TSO6 : 0;
	v->ops.features |= (v->net->ops->takes & NET_TAKES_ECN) != 0 ? F_HOST_ECN : 0;
	v->arena = malloc(ARENA);
	if (v->arena == NULL || virtio_init(&v->vd, dev, &v->ops, v->vq, NQUEUES) != 0) {
		if (v->arena == NULL)
			(void)vmm_fail(ENOMEM, "%s: no memory", dev->name);
		error = errno;
		free(v->arena);
		net_close(v->net);
		errno = error;
		return (-1);
	}
	if (add_rom(v) != 0) {
		error = errno;
		vnet_fini(dev);
		errno = error;
		return (-1);
	}
	return (0);
}

static void
vnet_resume(struct device *dev)
{
	struct vnet *v = dev->soft;
	bool changed;

	virtio_device_resume(dev);
	tell_takes(v);
	pthread_mutex_lock(&v->vd.lock);
	/* Looked at again in any case: the state may be another one than before. */
	v->waiting = true;
	changed = v->link != v->net->link;
	pthread_mutex_unlock(&v->vd.lock);
	net_start(v->net);
	if (changed)
		vnet_link(v, v->net->link);
}

static int
vnet_check(void *obj)
{
	const struct vnet *v = obj;

	if ((v->mac[0] & 1) != 0)
		return (vm_state_complain("an address that is not of one station"));
	if (v->modes > MODES)
		return (vm_state_complain("receive modes %#x do not exist", v->modes));
	if ((v->nuni > MACS_MAX && v->nuni != UINT8_MAX) || (v->nmulti > MACS_MAX && v->nmulti != UINT8_MAX))
		return (vm_state_complain("more addresses to filter by than there is room for"));
	return (0);
}

static const struct vm_state_field fields[] = {
	VIRTIO_STATE(struct vnet), VIRTIO_QUEUES(struct vnet), VM_STATE_BOOL(struct vnet, link), VM_STATE_BYTES(struct vnet, mac),
	VM_STATE_U8(struct vnet, modes), VM_STATE_BOOL(struct vnet, filters), VM_STATE_U8(struct vnet, nuni),
	VM_STATE_U8(struct vnet, nmulti), VM_STATE_BYTES(struct vnet, uni), VM_STATE_BYTES(struct vnet, multi),
};

static const struct vm_state_table state = VM_STATE_TABLE("virtio-net", 1, 1, fields, vnet_check);

DEVICE_CLASS(virtio_net, "virtio-net", "paravirtual network card", keys, &state,
    .on = DEVICE_ON_VIRTIO,
    .size = sizeof(struct vnet),
    .init = vnet_init,
    .fini = vnet_fini,
    .reset = virtio_device_reset,
    .pause = virtio_device_pause,
    .resume = vnet_resume);
