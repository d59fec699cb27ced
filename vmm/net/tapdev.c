/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tapdev.c - taps of the Linux kernel.
 */
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <linux/virtio_net.h>

#include "tapdev.h"

/* Not so much is under way to the host's side that the guest's sender learns nothing of it. */
#define	SEND_BUFFER	(1 << 20)

/* One queue. */
static int
open_queue(char name[IFNAMSIZ], short flags, int *fd)
{
	int header = (int)sizeof(struct virtio_net_hdr), little = 1, buffer = SEND_BUFFER, error;
	struct ifreq ifr = { .ifr_flags = flags };

	*fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return (errno);
	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	if (ioctl(*fd, TUNSETIFF, &ifr) != 0 || ioctl(*fd, TUNSETVNETHDRSZ, &header) != 0 || ioctl(*fd, TUNSETVNETLE, &little) != 0 ||
	    ioctl(*fd, TUNSETSNDBUF, &buffer) != 0 || ioctl(*fd, TUNSETOFFLOAD, 0) != 0) {
		error = errno;
		close(*fd);
		return (error);
	}
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	return (0);
}

int
tapdev_open(char name[IFNAMSIZ], unsigned n, int fds[])
{
	short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (n > 1 ? IFF_MULTI_QUEUE : 0);
	int error = 0;

	for (unsigned i = 0; i < n && error == 0; i++) {
		error = open_queue(name, flags, &fds[i]);
		/* One that was made for several queues has room for one. */
		if (error == EINVAL && n == 1)
			error = open_queue(name, flags | IFF_MULTI_QUEUE, &fds[i]);
		while (error != 0 && i > 0)
			close(fds[--i]);
	}
	return (error);
}

/* A request about an interface, made by a socket of any kind. */
static int
request(unsigned long what, struct ifreq *ifr, const char *name)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return (errno);
	(void)snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	error = ioctl(fd, what, ifr) != 0 ? errno : 0;
	close(fd);
	return (error);
}

int
tapdev_get_mtu(const char *name, int *mtu)
{
	struct ifreq ifr = { 0 };
	int error = request(SIOCGIFMTU, &ifr, name);

	*mtu = ifr.ifr_mtu;
	return (error);
}

int
tapdev_set_mtu(const char *name, int mtu)
{
	struct ifreq ifr = { .ifr_mtu = mtu };

	return (request(SIOCSIFMTU, &ifr, name));
}

int
tapdev_yield_mac(const char *name)
{
	struct ifreq ifr = { 0 };
	int error = request(SIOCGIFHWADDR, &ifr, name);

	if (error != 0)
		return (error);
	/* Locally administered, of one station, and as high as that can be. */
	ifr.ifr_hwaddr.sa_data[0] = (char)0xfe;
	return (request(SIOCSIFHWADDR, &ifr, name));
}

int
tapdev_up(const char *name)
{
	struct ifreq ifr = { 0 };
	int error = request(SIOCGIFFLAGS, &ifr, name);

	if (error != 0 || (ifr.ifr_flags & IFF_UP) != 0)
		return (error);
	ifr.ifr_flags |= IFF_UP;
	return (request(SIOCSIFFLAGS, &ifr, name));
}

int
tapdev_join(const char *name, const char *bridge)
{
	struct ifreq ifr = { .ifr_ifindex = (int)if_nametoindex(name) };

	return (ifr.ifr_ifindex != 0 ? request(SIOCBRADDIF, &ifr, bridge) : errno);
}
