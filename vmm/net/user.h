/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user.h - user-mode networking: options, between user.c, which parses and checks them, and the module that has libslirp
 * (slirp.c).
 */
#ifndef _HYVE_NET_USER_H_
#define	_HYVE_NET_USER_H_

#include <netinet/in.h>
#include <sys/socket.h>

#include "../module.h"
#include "net.h"

#define	USER_FORWARDS_MAX	64
#define	USER_SEARCH_MAX		16

/* A port of the host that leads to the guest.  An unspecified guest address is the guest's first one by DHCP. */
struct user_forward {
	bool		 udp;
	union {
		struct sockaddr	sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} host, guest;
};

struct user_options {
	struct in_addr	 network, mask, host, dns, dhcp_start;
	bool		 ipv6;
	struct in6_addr	 network6, host6, dns6;
	uint8_t		 prefix6;
	bool		 restrict_out, loopback;
	const char	*tftp, *bootfile, *hostname, *domain;	/* NULL: none; the configuration's */
	char		*search_text;		/* what search points into */
	const char	*search[USER_SEARCH_MAX + 1];
	struct user_forward forward[USER_FORWARDS_MAX];
	unsigned	 nforwards;
};

/* What hyve-net-slirp.so exports as hyve_net_slirp. */
struct user_module {
	struct module_head head;
	/* Set n->ops and n->priv.  The options are read before it returns.  -1 with a sentence. */
	int		(*open)(struct net *n, const struct module_host *host, const struct user_options *o);
};

/* Add the forwards of a text to *o: "tcp:127.0.0.1:2222-:22;udp::53-10.0.2.15:53".  -1 with a sentence. */
int	user_parse_forwards(const char *text, struct user_options *o);
/* Read the keys of a NIC's node.  -1 with a sentence; user_options_free() is for success only. */
int	user_options_read(struct config_node *node, struct user_options *o);
void	user_options_free(struct user_options *o);

#endif /* _HYVE_NET_USER_H_ */
