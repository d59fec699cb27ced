/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net.h - between a NIC and what it is plugged into: Ethernet frames both ways.
 *
 * A NIC (virtio_net.c) opens a network back end by its keys and sends frames to it; the back end calls the NIC with frames
 * from outside.  Both sides may be hostile in what a frame says, so neither believes more of a frame than its length.
 *
 * FRAMES begin with the Ethernet header and have no checksum behind them.  They belong to the caller and are the callee's to
 * read, and to change, only until the call returns.  What struct net_frame says beside the bytes are offloads, as struct
 * virtio_net_hdr has them (virtio 1.2 section 5.1.6): each side says which ones it takes, and gets no others.
 *
 * THREADS.  Everything here is called on the control thread with no lock held, except where it says "any thread".  A
 * back end may call receive from inside send, so a NIC sends without its lock.
 *
 * BACK PRESSURE.  Each side may refuse a frame by returning false, and then calls the other when that changes: net_ready() for
 * what the NIC refused, nic->writable() for what the back end refused.  The refused frame is still the caller's, who keeps
 * it or drops it; until then nothing more is offered.  A side that can never take a frame takes and drops it.
 *
 * BATCHES.  Behind the last of several frames comes a flush: net_flush(), nic->flush().  Interrupts, wake-ups and system calls
 * can wait for that.
 *
 * LIFE.  open, then any number of (start, stop), close.  Before start and after stop nothing is in flight: receive, writable and
 * link are not called, and nothing is sent.  A frame that a back end kept meanwhile may come after the next start, or be lost, as on
 * any wire; so a back end has no state in a snapshot.
 */
#ifndef _HYVE_NET_H_
#define	_HYVE_NET_H_

#include <sys/uio.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../device.h"

#define	NET_ADDRLEN	6U
#define	NET_HEADER	14U		/* of a frame: destination, source, type */
#define	NET_MTU		1500		/* where nothing else is said */
#define	NET_MTU_MIN	576		/* what every IPv4 host takes (RFC 791); IPv6 needs 1280 */
#define	NET_MTU_MAX	65521
#define	NET_FRAME_MAX	(65535U + NET_HEADER + 4U)	/* bytes of a frame: the longest IP packet, one VLAN tag */

/* Offloads: what a side takes beside finished frames. */
#define	NET_TAKES_CSUM	0x01U		/* NET_NEEDS_CSUM */
#define	NET_TAKES_TSO4	0x02U		/* NET_GSO_TCP4 */
#define	NET_TAKES_TSO6	0x04U		/* NET_GSO_TCP6 */
#define	NET_TAKES_ECN	0x08U		/* NET_GSO_ECN with these */
#define	NET_TAKES_ALL	(NET_TAKES_CSUM | NET_TAKES_TSO4 | NET_TAKES_TSO6 | NET_TAKES_ECN)

/* Flags of a frame */
#define	NET_NEEDS_CSUM	0x01U		/* the sum from csum_start to the end is to be stored csum_off bytes behind csum_start */
#define	NET_CSUM_GOOD	0x02U		/* whoever sent it knows that its checksums are right */

/* Frames to be cut into segments of gso_size bytes of payload; such ones have NET_NEEDS_CSUM. */
#define	NET_GSO_NONE	0
#define	NET_GSO_TCP4	1
#define	NET_GSO_TCP6	4
#define	NET_GSO_ECN	0x80

struct net_frame {
	const struct iovec *iov;
	int		 niov;
	size_t		 len;		/* of iov: NET_HEADER to NET_FRAME_MAX */
	uint16_t	 queue;		/* which of several pairs of queues; 0 */
	uint8_t		 flags;
	uint8_t		 gso;
	uint16_t	 hdr_len, gso_size, csum_start, csum_off;
};

/* The NIC's side.  writable and link may be NULL. */
struct net_nic {
	bool	(*receive)(void *arg, const struct net_frame *f);
	void	(*flush)(void *arg);
	void	(*writable)(void *arg);
	void	(*link)(void *arg, bool up);
};

struct net;

/* The back end's side.  What may be NULL does nothing. */
struct net_ops {
	unsigned takes;		/* NET_TAKES_* */
	bool	(*send)(struct net *n, const struct net_frame *f);
	void	(*flush)(struct net *n);	/* may be NULL */
	void	(*ready)(struct net *n);	/* may be NULL */
	/* The guest takes other offloads (n->takes) or uses another number of queues (n->used).  May be NULL. */
	void	(*configure)(struct net *n);
	void	(*start)(struct net *n);
	void	(*stop)(struct net *n);
	void	(*close)(struct net *n);
};

/* A NIC's connection.  The NIC reads ops->takes, mac, mtu and link; everything else is for back ends. */
struct net {
	const struct net_ops *ops;	/* set by the back end's open */
	void		*priv;		/* the same */
	struct device	*dev;		/* whose keys and log it uses */
	const struct net_nic *nic;
	void		*arg;
	bool		(*receive)(struct net *n, const struct net_frame *f);	/* net_receive(): modules call nothing of ours by name */
	uint8_t		 mac[NET_ADDRLEN];	/* first address of the NIC; the guest may choose another */
	char		 place[96];	/* the back end's open: where on a network that others are on too, so that no two get one address */
	unsigned	 mtu;
	_Atomic bool	 link;		/* up; the back end changes it by net_set_link(); read by a vCPU that resets its NIC */
	bool		 unplugged;	/* by the key: the link stays down, whatever the back end says */
	bool		 started;
	_Atomic unsigned takes;		/* what the guest takes now */
	unsigned	 queues;	/* pairs of queues that the NIC has */
	unsigned	 used;		/* of them, those that the guest uses now */
	unsigned	 told;		/* takes when the back end was last told */
	bool		 steers;	/* the back end's: it has as many queues, and says of each frame for which one it is */
};

/* A kind of network.  A source file ends in NET_BACKEND(); there is no list. */
struct net_backend {
	const char	*name;		/* value of the key "backend" */
	const char	*alias;		/* another one; may be NULL */
	const char	*doc;		/* one line, no capital, no dot */
	/* Fill ops and priv, link if it is not up from the start.  -1 with a sentence. */
	int		(*open)(struct net *n);
};

#define	NET_BACKEND(sym, nm, al, docline, openfn)					\
	static const struct net_backend net_backend_##sym = { (nm), (al), (docline), (openfn) };	\
	static const struct net_backend *const net_entry_##sym				\
	    __attribute__((used, section("hyve_net"))) = &net_backend_##sym

/* The keys of every NIC's back end, in the table of the NIC's own. */
#define	NET_KEYS									\
	KEY_STRING("backend", "slirp", "network behind it: slirp (or user), user-mode networking that needs no privileges; "	\
	    "tap, an interface of the host; socket, a wire to another VM's card"),										\
	KEY_PATH("rom", NULL, "option ROM by which firmware boots from it, iPXE's for example"),				\
	KEY_MAC("mac", NULL, "Ethernet address; unset: one that follows from the VM's name, the device's place and the end of the wire or the tap"),		\
	KEY_BOOL("link", true, "off: the cable is not plugged in, and the link down"),						\
	KEY_INT("mtu", NET_MTU, NET_MTU_MIN, NET_MTU_MAX, "largest IP packet in bytes, which the guest is told"),		\
	KEY_STRING("tap", NULL, "tap: the interface, this user's, or made if it is not there; unset: a new one"),		\
	KEY_STRING("bridge", NULL, "tap: a new one in that bridge of the host, made by hyve-bridge-helper"),			\
	KEY_PATH("path", NULL, "socket: the UNIX socket, the same at both ends of the wire"),					\
	KEY_BOOL("listen", false, "socket: this end makes the socket and listens, the other one connects"),			\
	KEY_STRING("hostfwd", NULL, "slirp: ports of the host that lead to the guest, "						\
	    "PROTO:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT;..., from 127.0.0.1 where HOSTADDR is left out"),			\
	KEY_STRING("network", "10.0.2.0/24", "slirp: the guest's IPv4 network"),						\
	KEY_STRING("host", NULL, "slirp: IPv4 address of the gateway, which is the host; unset: the network's second"),		\
	KEY_STRING("dns", NULL, "slirp: IPv4 address of the name server, which asks the host's; unset: the third"),		\
	KEY_STRING("dhcpstart", NULL, "slirp: first IPv4 address for guests; unset: the fifteenth"),				\
	KEY_BOOL("ipv6", true, "slirp: IPv6 too"),										\
	KEY_STRING("network6", "fec0::/64", "slirp: the guest's IPv6 network"),							\
	KEY_BOOL("restrict", false, "slirp: nothing leads out of the guest's network but hostfwd"),				\
	KEY_BOOL("open", true, "slirp: the guest reaches what this host reaches; off is restrict=on"),				\
	KEY_BOOL("loopback", true, "slirp: the gateway's address reaches servers on the host's loopback"),			\
	KEY_PATH("tftp", NULL, "slirp: folder that is served by TFTP, read-only"),						\
	KEY_STRING("bootfile", NULL, "slirp: the file that DHCP tells to boot"),							\
	KEY_STRING("hostname", NULL, "slirp: the name that DHCP tells the guest"),						\
	KEY_STRING("domainname", NULL, "slirp: the domain that DHCP tells"),							\
	KEY_STRING("dnssearch", NULL, "slirp: domains to search that DHCP tells, separated by semicolons")

/*
 * Connect a NIC by the keys of dev's node.  NULL with a sentence: no such back end, a key of it, its module is missing, ...
 * It is stopped.
 */
struct net *net_open(struct device *dev, const struct net_nic *nic, void *arg);
/* Stop and give everything back.  NULL is ignored. */
void	net_close(struct net *n);

/* Begin; end, after which nothing is in flight.  No-ops where it is so already. */
void	net_start(struct net *n);
void	net_stop(struct net *n);

/* From the NIC: a frame; false: not now, nic->writable() will be called.  Dropped while stopped or the link is down. */
bool	net_send(struct net *n, const struct net_frame *f);
/* From the NIC: no frame follows for now. */
void	net_flush(struct net *n);
/* From the NIC: it can receive again. */
void	net_ready(struct net *n);
/* From the NIC: NET_TAKES_* that its driver takes from now on.  Any thread. */
void	net_set_takes(struct net *n, unsigned takes);

/*
 * From the NIC: what its driver takes, and how many pairs of queues it uses, from now on.  Unlike net_set_takes() this reaches the
 * back end at once.
 */
void	net_configure(struct net *n, unsigned takes, unsigned used);
/* Whether the offloads that a frame asks for are possible, and among those in takes.  Any thread. */
bool	net_frame_good(const struct net_frame *f, unsigned takes);

/* Whether an Ethernet address is everybody's.  Any thread. */
bool	net_broadcast(const uint8_t addr[NET_ADDRLEN]);

/* For back ends: a frame for the NIC, which is lost if the link is down, and the end of a batch; while started only. */
static inline bool
net_receive(struct net *n, const struct net_frame *f)
{
	return (n->receive(n, f));
}

static inline void
net_receive_flush(struct net *n)
{
	n->nic->flush(n->arg);
}

/* For back ends: the NIC may try again what was refused.  While started only. */
static inline void
net_writable(struct net *n)
{
	if (n->nic->writable != NULL)
		n->nic->writable(n->arg);
}

/* For back ends: the link is up or down from now on; the NIC hears of a change while started. */
void	net_set_link(struct net *n, bool up);

/* The i-th back end by name, NULL behind the last.  Any thread. */
const struct net_backend *net_backend_at(unsigned i);
/* The one called name, or by its alias.  NULL with ENOENT and a sentence.  Any thread. */
const struct net_backend *net_backend_find(const char *name);

/*
 * The address of a NIC that was given none: locally administered, and the same for the same names of VM (may be NULL), device and
 * place on its network (struct net).  Any thread.
 */
void	net_default_mac(const char *vm, const char *device, const char *place, uint8_t mac[NET_ADDRLEN]);

#endif /* _HYVE_NET_H_ */
