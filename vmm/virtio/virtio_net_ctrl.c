/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_net_ctrl.c - the driver's commands on the control queue (virtio 1.2 section 5.1.6.5), and the filters that they set.
 *
 * Receive modes and the table of addresses filter once the driver has said anything about them; VLANs as soon as the feature is
 * negotiated.
 */
#include <endian.h>
#include <string.h>

#include "../net/headers.h"
#include "../net/offload.h"
#include "virtio_net.h"

/* Control commands: class and command, big-endian in one number. */
#define	CTRL_MAC_TABLE	0x0100
#define	CTRL_MAC_ADDR	0x0101
#define	CTRL_VLAN_ADD	0x0200
#define	CTRL_VLAN_DEL	0x0201
#define	CTRL_ANNOUNCE	0x0300
#define	CTRL_MQ_PAIRS	0x0400
#define	CTRL_OFFLOADS	0x0500
#define	CTRL_OK		0
#define	CTRL_ERR	1

/* Filters */

static bool
listed(const uint8_t *list, uint8_t n, const uint8_t *addr)
{
	if (n > VNET_MACS_MAX)
		return (true);
	for (unsigned i = 0; i < n; i++) {
		if (memcmp(list + (size_t)i * NET_ADDRLEN, addr, NET_ADDRLEN) == 0)
			return (true);
	}
	return (false);
}

/* 5.1.6.5.1, 5.1.6.5.2: whether the driver wants a frame to that address. */
static bool
address_wanted(const struct vnet *v, const uint8_t *addr)
{
	if (!v->filters || (v->modes & VNET_MODE(RX_PROMISC)) != 0)
		return (true);
	if (net_broadcast(addr))
		return ((v->modes & VNET_MODE(RX_NOBCAST)) == 0);
	if ((addr[0] & 1) != 0)
		return ((v->modes & VNET_MODE(RX_NOMULTI)) == 0 &&
		    ((v->modes & VNET_MODE(RX_ALLMULTI)) != 0 || listed(v->multi, v->nmulti, addr)));
	return ((v->modes & VNET_MODE(RX_NOUNI)) == 0 && ((v->modes & VNET_MODE(RX_ALLUNI)) != 0 ||
	    memcmp(addr, v->mac, NET_ADDRLEN) == 0 || listed(v->uni, v->nuni, addr)));
}

/* 5.1.6.5.3: whether it wants the VLAN of a frame.  VLAN 0 is a priority and no VLAN (IEEE 802.1Q 9.6). */
static bool
vlan_wanted(const struct vnet *v, const uint8_t *frame, size_t len)
{
	unsigned vid;

	if (!virtio_has(&v->vd, F_CTRL_VLAN) || (v->modes & VNET_MODE(RX_PROMISC)) != 0 || len < NET_HEADER + 2 ||
	    offload_get16(frame + ETH_TYPE_AT) != ETH_VLAN)
		return (true);
	vid = offload_get16(frame + ETH_TYPE_AT + 2) & 0xfffU;
	return (vid == 0 || (v->vlans[vid / 8] & 1U << vid % 8) != 0);
}

bool
vnet_wanted(const struct vnet *v, const uint8_t *frame, size_t len)
{
	return (address_wanted(v, frame) && vlan_wanted(v, frame, len));
}

/* Commands */

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
	*n = count > VNET_MACS_MAX ? UINT8_MAX : (uint8_t)count;
	len = count > VNET_MACS_MAX ? 0 : (size_t)count * NET_ADDRLEN;
	if (vq_copy_out(vq, chain, off, list, len) != len)
		return (0);
	return (off + (uint64_t)count * NET_ADDRLEN);
}

static bool
set_tables(struct vnet *v, struct virtqueue *vq, const struct vq_chain *chain)
{
	uint8_t uni[sizeof(v->uni)] = { 0 }, multi[sizeof(v->multi)] = { 0 }, nuni, nmulti;
	uint64_t off = read_table(vq, chain, 2, uni, &nuni);

	if (off == 0 || read_table(vq, chain, off, multi, &nmulti) == 0)
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
	if (on > 1 || !virtio_has(&v->vd, command <= RX_ALLMULTI ? F_CTRL_RX : F_CTRL_RX_EXTRA))
		return (false);
	v->modes = (uint8_t)((v->modes & ~VNET_MODE(command)) | (unsigned)on << command);
	v->filters = true;
	return (true);
}

static bool
set_address(struct vnet *v, const uint8_t *addr)
{
	if (!virtio_has(&v->vd, F_CTRL_MAC_ADDR) || (addr[0] & 1) != 0)
		return (false);
	memcpy(v->mac, addr, NET_ADDRLEN);
	return (true);
}

static bool
set_vlan(struct vnet *v, unsigned vid, bool on)
{
	if (!virtio_has(&v->vd, F_CTRL_VLAN) || vid >= VNET_VLANS)
		return (false);
	if (on)
		v->vlans[vid / 8] |= (uint8_t)(1U << vid % 8);
	else
		v->vlans[vid / 8] &= (uint8_t)~(1U << vid % 8);
	return (true);
}

static bool
announced(struct vnet *v)
{
	if (!virtio_has(&v->vd, F_GUEST_ANNOUNCE))
		return (false);
	v->announce = false;
	return (true);
}

static bool
set_pairs(struct vnet *v, unsigned pairs)
{
	if (!virtio_has(&v->vd, F_MQ) || pairs == 0 || pairs > v->max_pairs)
		return (false);
	v->pairs = (uint16_t)pairs;
	memset(v->flow, 0, sizeof(v->flow));
	return (true);
}

/* 5.1.6.5.6: of what was negotiated, what the driver takes from now on. */
static bool
set_offloads(struct vnet *v, uint64_t takes)
{
	uint64_t negotiated = v->vd.driver_features & F_GUEST_OFFLOADS;

	if (!virtio_has(&v->vd, F_CTRL_GUEST_OFFLOADS) || (takes & ~negotiated) != 0)
		return (false);
	v->declined = negotiated & ~takes;
	return (true);
}

/* One command; whether it could be done. */
static bool
command(struct vnet *v, struct virtqueue *vq, const struct vq_chain *chain)
{
	static const struct { uint16_t what; uint8_t len; } args[] = {
		{ CTRL_MAC_TABLE, 0 }, { CTRL_MAC_ADDR, NET_ADDRLEN }, { CTRL_VLAN_ADD, 2 }, { CTRL_VLAN_DEL, 2 }, { CTRL_ANNOUNCE, 0 },
		{ CTRL_MQ_PAIRS, 2 }, { CTRL_OFFLOADS, 8 },
	};
	uint8_t head[2], data[8] = { 0 };
	unsigned what, len = 1;
	uint64_t val;

	if (vq_copy_out(vq, chain, 0, head, sizeof(head)) != sizeof(head))
		return (false);
	what = (unsigned)head[0] << 8 | head[1];
	for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
		if (args[i].what == what)
			len = args[i].len;
	}
	if (vq_copy_out(vq, chain, 2, data, len) != len)
		return (false);
	memcpy(&val, data, sizeof(val));
	val = le64toh(val);
	switch (what) {
	case CTRL_MAC_TABLE:
		return (virtio_has(&v->vd, F_CTRL_RX) && set_tables(v, vq, chain));
	case CTRL_MAC_ADDR:
		return (set_address(v, data));
	case CTRL_VLAN_ADD:
	case CTRL_VLAN_DEL:
		return (set_vlan(v, (unsigned)val, what == CTRL_VLAN_ADD));
	case CTRL_ANNOUNCE:
		return (announced(v));
	case CTRL_MQ_PAIRS:
		return (set_pairs(v, (unsigned)val));
	case CTRL_OFFLOADS:
		return (set_offloads(v, val));
	default:
		return (what < RX_MODES && set_mode(v, what, data[0]));
	}
}

void
vnet_control(struct vnet *v, struct virtqueue *vq)
{
	struct vq_seg segs[VNET_QUEUE_SIZE];
	struct vq_chain chain = { .seg = segs, .max = VNET_QUEUE_SIZE };
	uint8_t ack;

	pthread_mutex_lock(&v->vd.lock);
	for (unsigned n = 0; n < VNET_QUEUE_SIZE && vq_pop(vq, &chain) == 1; n++) {
		if (chain.writelen == 0) {
			virtio_broken(&v->vd, "a control command has no room for its answer");
			break;
		}
		ack = command(v, vq, &chain) ? CTRL_OK : CTRL_ERR;
		(void)vq_copy_in(vq, &chain, 0, &ack, 1);
		vq_push(vq, &chain, 1);
	}
	vq_signal(vq);
	if (vq_more(vq))
		virtio_notify_later(vq);
	pthread_mutex_unlock(&v->vd.lock);
	vnet_configure(v);
}

void
vnet_control_reset(struct vnet *v)
{
	memcpy(v->mac, v->net->mac, NET_ADDRLEN);
	v->modes = 0;
	v->filters = false;
	v->nuni = v->nmulti = 0;
	memset(v->uni, 0, sizeof(v->uni));
	memset(v->multi, 0, sizeof(v->multi));
	v->pairs = 1;
	v->declined = 0;
	v->announce = false;
	memset(v->vlans, 0, sizeof(v->vlans));
	memset(v->flow, 0, sizeof(v->flow));
}
