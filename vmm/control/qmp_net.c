/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_net.c - what guests want to receive: the filters that drivers of virtio-net have set.
 */
#include <errno.h>
#include <stdio.h>

#include "../error.h"
#include "../machine/plug.h"
#include "../virtio/virtio_net.h"
#include "qmp_internal.h"

#define	OVERFLOW	UINT8_MAX	/* struct vnet: more addresses than are kept */

static json_t *
address(const uint8_t *mac)
{
	char text[18];

	(void)snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
	return (json_string(text));
}

static json_t *
addresses(const uint8_t *list, uint8_t n)
{
	json_t *table = json_array();

	for (unsigned i = 0; n != OVERFLOW && i < n; i++)
		(void)json_array_append_new(table, address(list + (size_t)i * NET_ADDRLEN));
	return (table);
}

static json_t *
vlans(const struct vnet *v)
{
	json_t *table = json_array();

	for (unsigned vid = 0; vid < VNET_VLANS; vid++) {
		if ((v->vlans[vid / 8] & 1U << vid % 8) != 0)
			(void)json_array_append_new(table, json_integer((json_int_t)vid));
	}
	return (table);
}

/* RxState of a kind of address. */
static const char *
state(const struct vnet *v, unsigned none, unsigned all)
{
	return ((v->modes & VNET_MODE(none)) != 0 ? "none" : (v->modes & VNET_MODE(all)) != 0 ? "all" : "normal");
}

/* A driver that has said nothing of what it wants gets everything. */
static json_t *
filter(struct device *dev)
{
	struct vnet *v = dev->soft;
	const char *id = plug_id(dev);
	json_t *info;

	pthread_mutex_lock(&v->vd.lock);
	info = json_pack("{s:o, s:b, s:s, s:s, s:s, s:b, s:b, s:b, s:o, s:o, s:o, s:o}", "name", qmp_text(id != NULL ? id : dev->name),
	    "promiscuous", !v->filters || (v->modes & VNET_MODE(RX_PROMISC)) != 0,
	    "multicast", state(v, RX_NOMULTI, RX_ALLMULTI), "unicast", state(v, RX_NOUNI, RX_ALLUNI),
	    "vlan", virtio_has(&v->vd, F_CTRL_VLAN) ? "normal" : "all", "broadcast-allowed", (v->modes & VNET_MODE(RX_NOBCAST)) == 0,
	    "multicast-overflow", v->nmulti == OVERFLOW, "unicast-overflow", v->nuni == OVERFLOW, "main-mac", address(v->mac),
	    "vlan-table", vlans(v), "unicast-table", addresses(v->uni, v->nuni), "multicast-table", addresses(v->multi, v->nmulti));
	pthread_mutex_unlock(&v->vd.lock);
	return (info);
}

static json_t *
run_rx_filter(const struct qmp_call *call)
{
	const char *name = json_string_value(json_object_get(call->args, "name"));
	const struct device_class *nic = device_class_find("virtio-net");
	json_t *list = json_array();

	for (struct device *dev = call->q->vmm->devices; dev != NULL; dev = dev->next) {
		if (dev->cls == nic && (name == NULL || plug_is_called(dev, name)))
			(void)json_array_append_new(list, filter(dev));
	}
	if (name == NULL || json_array_size(list) != 0)
		return (list);
	json_decref(list);
	return (vmm_fail_null(ENODEV, "there is no virtio-net '%.64s'; query-rx-filter without a name lists them", name));
}

/* Tables */

static const char *const rx_states[] = { "normal", "none", "all", NULL };
static const struct qmp_member filter_args[] = {
	{ "name", "str", true, "id or name of the device; without it all are listed" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member filter_members[] = {
	{ "name", "str", false, "id or name of the device" }, { "promiscuous", "bool", false, "whether every frame is received" },
	{ "multicast", "RxState", false, "which frames to groups are: those in the table, none, all" },
	{ "unicast", "RxState", false, "the same of those to single addresses; the main one is in any table" },
	{ "vlan", "RxState", false, "the same of those of a VLAN" }, { "broadcast-allowed", "bool", false, "whether those to everybody are" },
	{ "multicast-overflow", "bool", false, "whether there were too many groups for a table, so that all are received" },
	{ "unicast-overflow", "bool", false, "the same of single addresses" }, { "main-mac", "str", false, "the NIC's address" },
	{ "vlan-table", "[int]", false, "VLANs" }, { "unicast-table", "[str]", false, "single addresses" },
	{ "multicast-table", "[str]", false, "groups" }, { NULL, NULL, false, NULL },
};
static const struct qmp_type types[] = {
	{ "RxState", NULL, rx_states }, { "RxFilterInfo", filter_members, NULL }, { NULL, NULL, NULL },
};
static const struct qmp_command commands[] = {
	{ "query-rx-filter", filter_args, "[RxFilterInfo]", run_rx_filter, "what drivers of virtio-net want to receive" },
	{ NULL, NULL, NULL, NULL, NULL },
};

const struct qmp_group qmp_group_net = { commands, types, NULL };
