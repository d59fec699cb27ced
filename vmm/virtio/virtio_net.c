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
#include "../pci/rom.h"
#include "virtio_net.h"

/* Configuration space (5.1.4); what RSS has at its end is not there. */
struct net_config {
	uint8_t		mac[NET_ADDRLEN];
	uint16_t	status, max_virtqueue_pairs, mtu;
	uint32_t	speed;
	uint8_t		duplex;
} __attribute__((packed));
_Static_assert(sizeof(struct net_config) == 17, "5.1.4");
#define	S_LINK_UP	1
#define	S_ANNOUNCE	2
#define	DUPLEX_FULL	1

static const struct config_key keys[] = {
	NET_KEYS,
	DEVICE_BOOT_KEY,
	KEY_INT("queues", 1, 1, VNET_PAIRS_MAX, "pairs of queues, of which the guest uses as many as it likes: one per processor"),
	KEY_INT("speed", 10000, 1, INT32_MAX, "in Mb/s, which the guest is told and which limits nothing"),
};

/* What the driver takes, and what it may leave to us. */
static const struct {
	uint64_t	 guest, host;
	unsigned	 takes;
} offloads[] = {
	{ F_GUEST_CSUM, F_CSUM, NET_TAKES_CSUM }, { F_GUEST_TSO4, F_HOST_TSO4, NET_TAKES_TSO4 },
	{ F_GUEST_TSO6, F_HOST_TSO6, NET_TAKES_TSO6 }, { F_GUEST_ECN, F_HOST_ECN, NET_TAKES_ECN },
};
#define	NOFFLOADS	(sizeof(offloads) / sizeof(offloads[0]))

/* Transmit */

/* What a frame of the batch is; false: the driver did not negotiate that, or it cannot be. */
static bool
make_frame(const struct vnet *v, const struct vnet_out *o, const struct iovec *iov, struct net_frame *f)
{
	unsigned takes = 0;

	for (size_t i = 0; i < NOFFLOADS; i++)
		takes |= virtio_has(&v->vd, offloads[i].host) ? offloads[i].takes : 0;
	*f = (struct net_frame){
		.iov = iov, .niov = 1, .len = o->len, .queue = v->out_pair, .gso = o->hdr.gso_type,
		.flags = (o->hdr.flags & HDR_NEEDS_CSUM) != 0 ? NET_NEEDS_CSUM : 0, .hdr_len = o->hdr.hdr_len,
		.gso_size = o->hdr.gso_size, .csum_start = o->hdr.csum_start, .csum_off = o->hdr.csum_offset,
	};
	return (net_frame_good(f, takes));
}

/* Copy a chain's frame behind the others of the batch.  false: it is none. */
static bool
take_frame(struct vnet *v, struct virtqueue *vq, const struct vq_chain *chain, uint32_t off)
{
	struct vnet_out *o = &v->out[v->nout];
	struct net_frame f;
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
	o->off = off;
	o->len = len;
	if (!make_frame(v, o, NULL, &f))
		return (false);
	vnet_note_flow(v, v->arena + off, len, v->out_pair);
	v->nout++;
	return (true);
}

/* Fill the batch from the transmit queue of a pair.  Whether the queue may have more. */
static bool
take_batch(struct vnet *v, unsigned pair)
{
	struct virtqueue *vq = &v->vq[2 * pair + 1];
	struct vq_seg segs[VNET_QUEUE_SIZE];
	struct vq_chain chain = { .seg = segs, .max = VNET_QUEUE_SIZE };
	uint32_t off = 0;
	bool more = true;

	pthread_mutex_lock(&v->vd.lock);
	v->nout = v->next = 0;
	v->out_pair = (uint16_t)pair;
	for (unsigned n = 0; n < VNET_BATCH && VNET_ARENA - off >= NET_FRAME_MAX; n++) {
		if (vq_pop(vq, &chain) != 1) {
			more = false;
			break;
		}
		if (take_frame(v, vq, &chain, off)) {
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
		const struct vnet_out *o = &v->out[v->next];
		const struct iovec iov = { .iov_base = v->arena + o->off, .iov_len = o->len };
		struct net_frame f;

		/* The driver may have been reset since, and has no wishes then. */
		if (!make_frame(v, o, &iov, &f))
			continue;
		if (!net_send(v->net, &f))
			return (false);
	}
	return (true);
}

/* Control thread. */
static void
transmit(struct vnet *v, unsigned pair)
{
	bool more = true;

	/* One ring's worth at a time, for others live on this thread. */
	for (unsigned n = 0; n < VNET_QUEUE_SIZE / VNET_BATCH && more && !v->refused; n++) {
		more = take_batch(v, pair);
		v->refused = !send_batch(v);
	}
	net_flush(v->net);
	if (more && !v->refused)
		virtio_notify_later(&v->vq[2 * pair + 1]);
}

/* What the back end refused, and then what waits in the queues. */
static void
vnet_writable(void *arg)
{
	struct vnet *v = arg;

	v->refused = !send_batch(v);
	for (unsigned i = 0; i < v->max_pairs && !v->refused; i++)
		transmit(v, i);
	net_flush(v->net);
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

/* The device */

/* A queue too short for a large frame in buffers of a small one's length gets none. */
void
vnet_configure(struct vnet *v)
{
	unsigned takes = 0, used;

	pthread_mutex_lock(&v->vd.lock);
	for (size_t i = 0; i < NOFFLOADS; i++)
		takes |= vnet_takes(v, offloads[i].guest) ? offloads[i].takes : 0;
	for (unsigned i = 0; i < v->pairs; i++) {
		if (virtio_has(&v->vd, F_MRG_RXBUF) && v->vq[2 * i].ready && v->vq[2 * i].num < VNET_CHAINS_MAX)
			takes &= ~(NET_TAKES_TSO4 | NET_TAKES_TSO6);
	}
	used = v->pairs;
	pthread_mutex_unlock(&v->vd.lock);
	net_configure(v->net, takes, used);
}

/* There may be buffers that the back end waits for. */
static void
buffers_came(struct vnet *v)
{
	bool waiting;

	vnet_configure(v);
	pthread_mutex_lock(&v->vd.lock);
	waiting = v->waiting;
	v->waiting = false;
	pthread_mutex_unlock(&v->vd.lock);
	if (waiting)
		net_ready(v->net);
}

static void
vnet_service(struct virtio *vd, struct virtqueue *vq)
{
	struct vnet *v = vnet_of(vd);
	unsigned ctrl = vnet_ctrl_index(v);

	if (vq->index == ctrl)
		vnet_control(v, vq);
	else if (vq->index > ctrl)
		device_guest_log(vd->dev, "notification of queue %u, which the driver did not ask for", vq->index);
	else if (vq->index % 2 == 0)
		buffers_came(v);
	else if (!v->refused)
		transmit(v, vq->index / 2U);
}

/* What the driver chose is gone; what it made the back end wait for is told when there is a driver again. */
static void
vnet_reset(struct virtio *vd)
{
	struct vnet *v = vnet_of(vd);

	net_set_takes(v->net, 0);
	v->link = v->net->link;
	v->moved = false;
	vnet_control_reset(v);
}

/* Control thread, so nothing is under way; what the back end did not take is lost. */
static void
vnet_drain(struct virtio *vd)
{
	struct vnet *v = vnet_of(vd);

	net_stop(v->net);
	v->nout = v->next = 0;
	v->refused = false;
}

static uint64_t
vnet_config_read(struct virtio *vd, uint32_t off, unsigned size)
{
	const struct vnet *v = vnet_of(vd);
	struct net_config c = { .status = htole16((v->link ? S_LINK_UP : 0) | (v->announce ? S_ANNOUNCE : 0)),
	    .max_virtqueue_pairs = htole16(v->max_pairs), .mtu = htole16((uint16_t)v->mtu), .speed = htole32(v->speed),
	    .duplex = DUPLEX_FULL };
	uint64_t val = 0;

	memcpy(c.mac, v->mac, sizeof(c.mac));
	memcpy(&val, (const char *)&c + off, size);
	return (le64toh(val));
}

static const struct virtio_ops ops = {
	.id = 1,
	.features = F_GUEST_OFFLOADS | F_CTRL_GUEST_OFFLOADS | F_MTU | F_MAC | F_MRG_RXBUF | F_STATUS | F_CTRL_VQ | F_CTRL_RX |
	    F_CTRL_VLAN | F_CTRL_RX_EXTRA | F_GUEST_ANNOUNCE | F_CTRL_MAC_ADDR | F_SPEED_DUPLEX,
	.queue_max = VNET_QUEUE_SIZE,
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
	v->speed = (unsigned)config_num(dev->config, "speed");
	v->max_pairs = (uint16_t)v->net->queues;
	v->ops = ops;
	v->ops.features |= v->max_pairs > 1 ? F_MQ : 0;
	for (size_t i = 0; i < NOFFLOADS; i++)
		v->ops.features |= (v->net->ops->takes & offloads[i].takes) != 0 ? offloads[i].host : 0;
	v->arena = malloc(VNET_ARENA);
	if (v->arena == NULL || virtio_init(&v->vd, dev, &v->ops, v->vq, 2U * v->max_pairs + 1) != 0) {
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
	vnet_configure(v);
	pthread_mutex_lock(&v->vd.lock);
	/* Looked at again in any case: the state may be another one than before. */
	v->waiting = true;
	changed = v->link != v->net->link;
	/* 5.1.6.5.4: switches send to where the guest was. */
	if (v->moved && virtio_has(&v->vd, F_GUEST_ANNOUNCE)) {
		v->announce = true;
		virtio_config_changed(&v->vd);
	}
	v->moved = false;
	pthread_mutex_unlock(&v->vd.lock);
	net_start(v->net);
	if (changed)
		vnet_link(v, v->net->link);
}

static int
vnet_check(void *obj)
{
	struct vnet *v = obj;

	if ((v->mac[0] & 1) != 0)
		return (vm_state_complain("an address that is not of one station"));
	if (v->modes >= VNET_MODE(RX_MODES))
		return (vm_state_complain("receive modes %#x do not exist", v->modes));
	if ((v->nuni > VNET_MACS_MAX && v->nuni != UINT8_MAX) || (v->nmulti > VNET_MACS_MAX && v->nmulti != UINT8_MAX))
		return (vm_state_complain("more addresses to filter by than there is room for"));
	if (v->pairs == 0 || v->pairs > v->max_pairs)
		return (vm_state_complain("%u pairs of queues of %u", v->pairs, v->max_pairs));
	if ((v->declined & ~F_GUEST_OFFLOADS) != 0)
		return (vm_state_complain("offloads %#llx, which do not exist", (unsigned long long)v->declined));
	v->moved = true;
	return (0);
}

static const struct vm_state_field fields[] = {
	VIRTIO_STATE(struct vnet), VIRTIO_QUEUES(struct vnet), VM_STATE_BOOL(struct vnet, link), VM_STATE_BYTES(struct vnet, mac),
	VM_STATE_U8(struct vnet, modes), VM_STATE_BOOL(struct vnet, filters), VM_STATE_U8(struct vnet, nuni),
	VM_STATE_U8(struct vnet, nmulti), VM_STATE_BYTES(struct vnet, uni), VM_STATE_BYTES(struct vnet, multi),
	VM_STATE_BOOL(struct vnet, announce), VM_STATE_U16(struct vnet, pairs), VM_STATE_U64(struct vnet, declined),
	VM_STATE_BYTES(struct vnet, vlans),
};

static const struct vm_state_table state = VM_STATE_TABLE("virtio-net", 2, 2, fields, vnet_check);

DEVICE_CLASS(virtio_net, "virtio-net", "paravirtual network card", keys, &state,
    .on = DEVICE_ON_VIRTIO,
    .hot = true,
    .boot = "ethernet/ethernet-phy@0",
    .size = sizeof(struct vnet),
    .init = vnet_init,
    .fini = vnet_fini,
    .reset = virtio_device_reset,
    .pause = virtio_device_pause,
    .resume = vnet_resume);
