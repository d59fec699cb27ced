/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tapdev.h - taps of the Linux kernel: what the back end (tap.c) and the helper that puts taps into bridges (cmd/bridge_helper.c) share.
 * Linux's Documentation/networking/tuntap.rst and <linux/if_tun.h>.  Errors are numbers of errno, 0 for none.
 */
#ifndef _HYVE_NET_TAPDEV_H_
#define	_HYVE_NET_TAPDEV_H_

#include <net/if.h>

#define	TAPDEV_QUEUES_MAX	16U

/*
 * Open a tap with n queues; its frames have a struct virtio_net_hdr before them.  One that is not there is made, which needs
 * CAP_NET_ADMIN, and is gone with its last descriptor; where name has "%d" the kernel finds a number.  name becomes the tap's.
 */
int	tapdev_open(char name[IFNAMSIZ], unsigned n, int fds[]);
/* The largest packet of an interface. */
int	tapdev_get_mtu(const char *name, int *mtu);
/* With CAP_NET_ADMIN: set that; switch an interface on; put it into a bridge. */
int	tapdev_set_mtu(const char *name, int mtu);
int	tapdev_up(const char *name);
/*
 * With CAP_NET_ADMIN, before it joins: a high address of its own.  A bridge that was given no address has the lowest of its ports', and
 * the host would change its own with each VM.
 */
int	tapdev_yield_mac(const char *name);
int	tapdev_join(const char *name, const char *bridge);

#endif /* _HYVE_NET_TAPDEV_H_ */
