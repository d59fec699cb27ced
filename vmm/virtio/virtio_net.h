/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtio_net.h - what the parts of the virtio network device share: virtio_net.c (the device, transmit), virtio_net_rx.c (receive)
 * and virtio_net_ctrl.c (control commands, filters).  Section numbers are of virtio 1.2.
 */
#ifndef _HYVE_VIRTIO_NET_H_
#define	_HYVE_VIRTIO_NET_H_

#include "../net/net.h"
#include "virtio.h"

#define	VNET_QUEUE_SIZE	256
#define	VNET_BATCH	64		/* frames sent without the lock at a time */
#define	VNET_ARENA	(256U << 10)	/* bytes of them */
#define	VNET_CHAINS_MAX	64		/* of buffers for one frame */
#define	VNET_MACS_MAX	64		/* addresses that the driver filters by */
#define	VNET_PAIRS_MAX	16
#define	VNET_NQUEUES	(2 * VNET_PAIRS_MAX + 1)
#define	VNET_FLOWS	1024		/* places of the table that steers; a power of 2 */
#define	VNET_VLANS	4096

/* Features (5.1.3) */
#define	F_CSUM		(1ULL << 0)
#define	F_GUEST_CSUM	(1ULL << 1)
#define	F_CTRL_GUEST_OFFLOADS (1ULL << 2)
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
#define	F_CTRL_VLAN	(1ULL << 19)
#define	F_CTRL_RX_EXTRA	(1ULL << 20)
#define	F_GUEST_ANNOUNCE (1ULL << 21)
#define	F_MQ		(1ULL << 22)
#define	F_CTRL_MAC_ADDR	(1ULL << 23)
#define	F_SPEED_DUPLEX	(1ULL << 63)
/* What the driver takes, of which it may take less later (5.1.6.5.6). */
#define	F_GUEST_OFFLOADS (F_GUEST_CSUM | F_GUEST_TSO4 | F_GUEST_TSO6 | F_GUEST_ECN)

/* Header of a frame (5.1.6); num_buffers is always there (5.1.6.1, VERSION_1). */
struct vnet_header {
	uint8_t		flags, gso_type;
	uint16_t	hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct vnet_header) == 12, "5.1.6");
#define	HDR_NEEDS_CSUM	1
#define	HDR_DATA_VALID	2

/* Receive modes: bits by the number of their command (5.1.6.5.1). */
enum { RX_PROMISC, RX_ALLMULTI, RX_ALLUNI, RX_NOMULTI, RX_NOUNI, RX_NOBCAST, RX_MODES };
#define	VNET_MODE(command)	(1U << (command))

/* A frame of a batch. */
struct vnet_out {
	uint32_t	off, len;	/* in the arena */
	struct vnet_header hdr;
};

struct vnet {
	struct virtio	 vd;
	struct virtqueue vq[VNET_NQUEUES];	/* receive and transmit in turns; control behind the last pair that the driver knows */
	struct virtio_ops ops;		/* what is offered depends on the keys and on the back end */
	struct net	*net;
	unsigned	 mtu, speed;
	uint16_t	 max_pairs;
	bool		 waiting;	/* a frame was refused: the back end wants to know of buffers */
	bool		 moved;		/* the state was loaded: the network does not know where the guest is now */
	/* A batch: of nout frames of one transmit queue those from next on are to be sent. */
	uint8_t		*arena;
	struct vnet_out	 out[VNET_BATCH];
	unsigned	 nout, next;
	uint16_t	 out_pair;
	bool		 refused;	/* by the back end, which will call */
	uint8_t		 flow[VNET_FLOWS];	/* the pair that a flow was last sent by (5.1.6.5.5) */
	uint64_t	 rx_dropped, tx_dropped;
	/* state */
	bool		 link;
	bool		 announce;	/* the driver is asked to tell the network of itself (5.1.6.5.4) */
	uint8_t		 mac[NET_ADDRLEN];
	uint8_t		 modes;		/* VNET_MODE() */
	bool		 filters;	/* the driver has said what it wants to receive */
	uint8_t		 nuni, nmulti;	/* 255: more than are kept, so all */
	uint8_t		 uni[VNET_MACS_MAX * NET_ADDRLEN], multi[VNET_MACS_MAX * NET_ADDRLEN];
	uint16_t	 pairs;		/* that the driver uses, 1 to max_pairs */
	uint64_t	 declined;	/* F_GUEST_* that it negotiated and takes no more */
	uint8_t		 vlans[VNET_VLANS / 8];	/* bits: VLANs that it wants */
};

static inline struct vnet *
vnet_of(struct virtio *vd)
{
	return ((struct vnet *)(void *)vd);
}

/* Whether the driver takes an offload now. */
static inline bool
vnet_takes(const struct vnet *v, uint64_t feature)
{
	return (virtio_has(&v->vd, feature) && (v->declined & feature) == 0);
}

/* The control queue's index (5.1.2); without CTRL_VQ nothing is there. */
static inline unsigned
vnet_ctrl_index(const struct vnet *v)
{
	return (virtio_has(&v->vd, F_MQ) ? 2U * v->max_pairs : 2U);
}

/* virtio_net.c: tell the back end what the driver takes and uses.  Control thread, without the lock. */
void	vnet_configure(struct vnet *v);

/* virtio_net_rx.c */

/* Remember by which pair of queues a frame's flow was sent.  Lock held. */
void	vnet_note_flow(struct vnet *v, const uint8_t *frame, size_t len, unsigned pair);
/* What the back end calls. */
bool	vnet_receive(void *arg, const struct net_frame *f);
void	vnet_flush(void *arg);

/* virtio_net_ctrl.c */

/* The driver's commands.  Control thread, without the lock. */
void	vnet_control(struct vnet *v, struct virtqueue *vq);
/* Everything that commands set to what it is at the start.  Lock held. */
void	vnet_control_reset(struct vnet *v);
/* Whether the driver wants a frame, of which the first len bytes are there.  Lock held. */
bool	vnet_wanted(const struct vnet *v, const uint8_t *frame, size_t len);

#endif /* _HYVE_VIRTIO_NET_H_ */
