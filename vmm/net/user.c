/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * user.c - the back end "slirp": reads its options and loads the module that has libslirp.
 */
#include <arpa/inet.h>

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../error.h"
#include "user.h"

/* A decimal number from lo to hi that is the whole text. */
static bool
number(const char *text, unsigned lo, unsigned hi, unsigned *n)
{
	unsigned v = 0;

	if (*text == '\0')
		return (false);
	for (; *text != '\0'; text++) {
		if (!isdigit((unsigned char)*text) || v > hi)
			return (false);
		v = v * 10 + (unsigned)(*text - '0');
	}
	*n = v;
	return (v >= lo && v <= hi);
}

/* "ADDR:PORT", "[V6ADDR]:PORT" or ":PORT", for which addr stays as it is.  text is changed. */
static bool
endpoint(char *text, struct sockaddr_in *in, struct sockaddr_in6 *in6, bool *v6, unsigned lo)
{
	char *colon = strrchr(text, ':');
	unsigned port;

	if (colon == NULL || !number(colon + 1, lo, 65535, &port))
		return (false);
	*colon = '\0';
	*v6 = text[0] == '[';
	if (*v6) {
		size_t len = strlen(text);

		if (text[len - 1] != ']')
			return (false);
		text[len - 1] = '\0';
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		return (len == 2 || inet_pton(AF_INET6, text + 1, &in6->sin6_addr) == 1);
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	return (*text == '\0' || inet_pton(AF_INET, text, &in->sin_addr) == 1);
}

/* One forward: "tcp:127.0.0.1:2222-:22".  text is changed. */
static bool
parse_forward(char *text, struct user_forward *f)
{
	char *rest = strchr(text, ':'), *dash = NULL;
	bool host6, guest6;

	if (rest == NULL)
		return (false);
	*rest++ = '\0';
	if (strcmp(text, "udp") != 0 && strcmp(text, "tcp") != 0)
		return (false);
	f->udp = text[0] == 'u';
	dash = strchr(rest, '-');
	if (dash == NULL)
		return (false);
	*dash++ = '\0';
	memset(&f->host, 0, sizeof(f->host));
	memset(&f->guest, 0, sizeof(f->guest));
	/* For the host alone unless it is said otherwise. */
	if (rest[0] == '[')
		f->host.in6.sin6_addr = in6addr_loopback;
	else
		f->host.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return (endpoint(rest, &f->host.in, &f->host.in6, &host6, 0) &&
	    endpoint(dash, &f->guest.in, &f->guest.in6, &guest6, 1) && host6 == guest6);
}

int
user_parse_forwards(const char *text, struct user_options *o)
{
	char *copy = strdup(text), *next = copy, *item;
	int r = 0;

	if (copy == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	while (r == 0 && (item = strsep(&next, ";")) != NULL) {
		size_t at = (size_t)(item - copy), len = strlen(item);

		if (len == 0)
			continue;
		if (o->nforwards == USER_FORWARDS_MAX)
			r = vmm_fail(E2BIG, "hostfwd: there are more than %d", USER_FORWARDS_MAX);
		else if (!parse_forward(item, &o->forward[o->nforwards]))
			r = vmm_fail(EINVAL, "hostfwd: '%.*s' is not of the form tcp:127.0.0.1:2222-10.0.2.15:22 (or udp; both "
			    "addresses may be left out)", (int)(len > 80 ? 80 : len), text + at);
		else
			o->nforwards++;
	}
	free(copy);
	return (r);
}

/* "10.0.2.0/24" */
static int
parse_network(const char *text, struct user_options *o)
{
	const char *slash = strchr(text, '/');
	char addr[INET_ADDRSTRLEN];
	unsigned bits = 0;

	if (slash == NULL || slash - text >= (ptrdiff_t)sizeof(addr))
		goto bad;
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	if (inet_pton(AF_INET, addr, &o->network) != 1 || !number(slash + 1, 8, 27, &bits))
		goto bad;
	o->mask.s_addr = htonl(~0U << (32 - bits));
	if ((o->network.s_addr & ~o->mask.s_addr) != 0)
		goto bad;
	return (0);
bad:
	return (vmm_fail(EINVAL, "network: '%.64s' is not an IPv4 network like 10.0.2.0/24, with a prefix of 8 to 27 bits", text));
}

static int
parse_network6(const char *text, struct user_options *o)
{
	const char *slash = strchr(text, '/');
	char addr[INET6_ADDRSTRLEN];
	unsigned bits = 0;

	if (slash == NULL || slash - text >= (ptrdiff_t)sizeof(addr))
		goto bad;
	memcpy(addr, text, (size_t)(slash - text));
	addr[slash - text] = '\0';
	/* Stateless configuration wants 64 bits (RFC 4862, RFC 4291 2.5.1). */
	if (inet_pton(AF_INET6, addr, &o->network6) != 1 || !number(slash + 1, 64, 64, &bits))
		goto bad;
	for (unsigned i = 8; i < 16; i++) {
		if (o->network6.s6_addr[i] != 0)
			goto bad;
	}
	o->prefix6 = (uint8_t)bits;
	o->host6 = o->dns6 = o->network6;
	o->host6.s6_addr[15] = 2;
	o->dns6.s6_addr[15] = 3;
	return (0);
bad:
	return (vmm_fail(EINVAL, "network6: '%.64s' is not an IPv6 network of 64 bits like fec0::/64", text));
}

/* An address of the network; where nothing is said, number n of it. */
static int
parse_member(struct config_node *node, const char *key, unsigned n, const struct user_options *o, struct in_addr *addr)
{
	const char *text = config_str(node, key);
	uint32_t net = o->network.s_addr, mask = o->mask.s_addr;

	if (text == NULL || *text == '\0') {
		addr->s_addr = net | htonl(n);
		return (0);
	}
	if (inet_pton(AF_INET, text, addr) != 1)
		return (vmm_fail(EINVAL, "%s: '%.64s' is not an IPv4 address", key, text));
	if ((addr->s_addr & mask) != net || (addr->s_addr & ~mask) == 0 || (addr->s_addr | mask) == ~0U)
		return (vmm_fail(EINVAL, "%s: %.64s is no host's address in network %s", key, text, config_str(node, "network")));
	return (0);
}

static int
parse_search(const char *text, struct user_options *o)
{
	char *next, *item;
	unsigned n = 0;

	if (text == NULL)
		return (0);
	o->search_text = next = strdup(text);
	if (next == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	while ((item = strsep(&next, ";")) != NULL) {
		if (*item == '\0')
			continue;
		if (n == USER_SEARCH_MAX || strlen(item) > 253)
			return (vmm_fail(EINVAL, "dnssearch: at most %d domains of 253 characters", USER_SEARCH_MAX));
		o->search[n++] = item;
	}
	return (0);
}

static const char *
text_or_null(struct config_node *node, const char *key)
{
	const char *text = config_str(node, key);

	return (text != NULL && *text != '\0' ? text : NULL);
}

static int
read_options(struct config_node *node, struct user_options *o)
{
	const char *forwards;
	struct stat st;

	o->ipv6 = config_bool(node, "ipv6");
	o->restrict_out = config_bool(node, "restrict") || !config_bool(node, "open");
	o->loopback = config_bool(node, "loopback");
	o->tftp = config_str(node, "tftp");
	o->bootfile = text_or_null(node, "bootfile");
	o->hostname = text_or_null(node, "hostname");
	o->domain = text_or_null(node, "domainname");
	if (o->tftp != NULL && (stat(o->tftp, &st) != 0 || !S_ISDIR(st.st_mode)))
		return (vmm_fail(ENOTDIR, "tftp: '%s' is no folder", o->tftp));
	/* The fields of a DHCP packet (RFC 2131 section 2). */
	if (o->bootfile != NULL && strlen(o->bootfile) > 127)
		return (vmm_fail(EINVAL, "bootfile: at most 127 characters"));
	if (o->hostname != NULL && strlen(o->hostname) > 32)
		return (vmm_fail(EINVAL, "hostname: at most 32 characters"));
	if (o->domain != NULL && strlen(o->domain) > 253)
		return (vmm_fail(EINVAL, "domainname: at most 253 characters"));
	if (parse_network(config_str(node, "network"), o) != 0 || parse_network6(config_str(node, "network6"), o) != 0 ||
	    parse_member(node, "host", 2, o, &o->host) != 0 || parse_member(node, "dns", 3, o, &o->dns) != 0 ||
	    parse_member(node, "dhcpstart", 15, o, &o->dhcp_start) != 0)
		return (-1);
	if (o->host.s_addr == o->dns.s_addr || o->host.s_addr == o->dhcp_start.s_addr || o->dns.s_addr == o->dhcp_start.s_addr)
		return (vmm_fail(EINVAL, "host, dns and dhcpstart are three different addresses"));
	if (parse_search(text_or_null(node, "dnssearch"), o) != 0)
		return (-1);
	forwards = text_or_null(node, "hostfwd");
	return (forwards != NULL ? user_parse_forwards(forwards, o) : 0);
}

int
user_options_read(struct config_node *node, struct user_options *o)
{
	memset(o, 0, sizeof(*o));
	if (read_options(node, o) != 0) {
		user_options_free(o);
		return (-1);
	}
	return (0);
}

void
user_options_free(struct user_options *o)
{
	free(o->search_text);
	o->search_text = NULL;
}

static int
user_open(struct net *n)
{
	struct user_options *o = malloc(sizeof(*o));
	const struct user_module *m;
	int r;

	if (o == NULL)
		return (vmm_fail(ENOMEM, "%s: no memory", n->dev->name));
	if (user_options_read(n->dev->config, o) != 0) {
		free(o);
		return (vmm_fail(errno, "%s: %s", n->dev->name, vmm_errmsg()));
	}
	m = module_load("net-slirp", "hyve_net_slirp", "libslirp0");
	if (m == NULL)
		r = vmm_fail(errno, "%s: user-mode networking: %s", n->dev->name, vmm_errmsg());
	else
		r = m->open(n, &module_host, o);
	user_options_free(o);
	free(o);
	return (r);
}

NET_BACKEND(slirp, "slirp", "user", "user-mode networking by libslirp, without privileges", user_open);
