/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * net.c - what network back ends share: finding one, and the rules of net.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "../hash.h"
#include "../trace.h"
#include "net.h"

/* The linker's bounds of the section that NET_BACKEND() fills. */
extern const struct net_backend *const __start_hyve_net[], *const __stop_hyve_net[];

static unsigned
count(void)
{
	return ((unsigned)(__stop_hyve_net - __start_hyve_net));
}

const struct net_backend *
net_backend_at(unsigned i)
{
	/* By rank of the name, as the section is in the order of linking. */
	for (unsigned a = 0; a < count(); a++) {
		unsigned before = 0;

		for (unsigned b = 0; b < count(); b++)
			before += strcmp(__start_hyve_net[b]->name, __start_hyve_net[a]->name) < 0;
		if (before == i)
			return (__start_hyve_net[a]);
	}
	return (NULL);
}

/* Names and aliases in turn. */
static const char *
name_at(const void *arg, size_t i)
{
	const struct net_backend *b = __start_hyve_net[i / 2];

	return (i % 2 == 0 || b->alias == NULL ? b->name : b->alias);
}

const struct net_backend *
net_backend_find(const char *name)
{
	const char *near;

	for (unsigned i = 0; i < count(); i++) {
		const struct net_backend *b = __start_hyve_net[i];

		if (strcmp(b->name, name) == 0 || (b->alias != NULL && strcmp(b->alias, name) == 0))
			return (b);
	}
	near = config_nearest(name, 2 * (size_t)count(), name_at, NULL);
	return (vmm_fail_null(ENOENT, "there is no network back end '%.64s'; did you mean '%s'?", name,
	    near != NULL ? near : "user"));
}

/* A string and its end. */
static uint64_t
hash(uint64_t h, const char *s)
{
	return (hash_bytes(h, s, strlen(s) + 1));
}

void
net_default_mac(const char *vm, const char *device, const char *place, uint8_t mac[NET_ADDRLEN])
{
	uint64_t h = hash(hash(HASH_START, vm != NULL ? vm : ""), device);

	if (*place != '\0')
		h = hash(h, place);
	h ^= h >> 32;
	/* Locally administered, unicast. */
	mac[0] = 0x02;
	for (unsigned i = 1; i < NET_ADDRLEN; i++)
		mac[i] = (uint8_t)(h >> (8 * (i - 1)));
}

static bool
receive(struct net *n, const struct net_frame *f)
{
	bool taken = !n->link || n->nic->receive(n->arg, f);

	TRACE(n->dev->vmm->log, net__receive, n->dev->name, f->len, f->queue, taken);
	return (taken);
}

struct net *
net_open(struct device *dev, const struct net_nic *nic, void *arg)
{
	const struct net_backend *b = net_backend_find(config_str(dev->config, "backend"));
	struct config_node *root = config_node(dev->vmm->config, "");
	struct config_value mac, queues;
	struct net *n;
	int error;

	if (b == NULL)
		return (vmm_fail_null(errno, "%s: %s", dev->name, vmm_errmsg()));
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return (vmm_fail_null(ENOMEM, "%s: no memory", dev->name));
	n->dev = dev;
	n->nic = nic;
	n->arg = arg;
	n->receive = receive;
	n->mtu = (unsigned)config_num(dev->config, "mtu");
	n->link = true;
	/* Of NICs that have the key. */
	n->queues = config_get(dev->config, "queues", &queues) == 0 ? (unsigned)queues.u.i : 1;
	n->used = 1;
	if (b->open(n) != 0) {
		error = errno;
		free(n);
		errno = error;
		return (NULL);
	}
	n->unplugged = !config_bool(dev->config, "link");
	if (n->unplugged)
		n->link = false;
	if (config_get(dev->config, "mac", &mac) == 0 && mac.text != NULL)
		memcpy(n->mac, mac.u.mac, sizeof(n->mac));
	else
		net_default_mac(root != NULL ? config_str(root, "name") : NULL, dev->name, n->place, n->mac);
	return (n);
}

void
net_close(struct net *n)
{
	if (n == NULL)
		return;
	net_stop(n);
	n->ops->close(n);
	free(n);
}

void
net_start(struct net *n)
{
	if (n->started)
		return;
	n->started = true;
	n->ops->start(n);
}

void
net_stop(struct net *n)
{
	if (!n->started)
		return;
	n->ops->stop(n);
	n->started = false;
}

bool
net_send(struct net *n, const struct net_frame *f)
{
	TRACE(n->dev->vmm->log, net__send, n->dev->name, f->len, f->queue);
	if (!n->started || !n->link)
		return (true);
	return (n->ops->send(n, f));
}

void
net_flush(struct net *n)
{
	if (n->started && n->ops->flush != NULL)
		n->ops->flush(n);
}

void
net_ready(struct net *n)
{
	if (n->started && n->ops->ready != NULL)
		n->ops->ready(n);
}

void
net_set_link(struct net *n, bool up)
{
	up = up && !n->unplugged;
	if (n->link == up)
		return;
	n->link = up;
	if (n->started && n->nic->link != NULL)
		n->nic->link(n->arg, up);
}

void
net_set_takes(struct net *n, unsigned takes)
{
	atomic_store(&n->takes, takes);
}

void
net_configure(struct net *n, unsigned takes, unsigned used)
{
	if (n->used == used && n->told == takes) {
		atomic_store(&n->takes, takes);
		return;
	}
	n->used = used;
	n->told = takes;
	atomic_store(&n->takes, takes);
	if (n->ops->configure != NULL)
		n->ops->configure(n);
}

bool
net_broadcast(const uint8_t addr[NET_ADDRLEN])
{
	static const uint8_t all[NET_ADDRLEN] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

	return (memcmp(addr, all, sizeof(all)) == 0);
}

bool
net_frame_good(const struct net_frame *f, unsigned takes)
{
	unsigned gso = f->gso & ~(unsigned)NET_GSO_ECN;

	if (f->len < NET_HEADER || f->len > NET_FRAME_MAX)
		return (false);
	if ((f->flags & NET_NEEDS_CSUM) != 0 &&
	    ((takes & NET_TAKES_CSUM) == 0 || (size_t)f->csum_start + f->csum_off + 2 > f->len))
		return (false);
	if (f->gso == NET_GSO_NONE)
		return (true);
	if ((f->flags & NET_NEEDS_CSUM) == 0 || f->gso_size == 0 ||
	    ((f->gso & NET_GSO_ECN) != 0 && (takes & NET_TAKES_ECN) == 0))
		return (false);
	return ((gso == NET_GSO_TCP4 && (takes & NET_TAKES_TSO4) != 0) || (gso == NET_GSO_TCP6 && (takes & NET_TAKES_TSO6) != 0));
}
