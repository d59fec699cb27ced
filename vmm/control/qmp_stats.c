/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_stats.c - what disks have done, the lines of consoles, the machines that there are: what monitoring clients ask.
 */
#include <stdio.h>
#include <string.h>

#include "../block/block.h"
#include "../machine/machine.h"
#include "qmp_internal.h"

/* Disks */

/* Counters of one kind of request, by QMP's names for it. */
static int
add_counters(json_t *stats, const char *kind, const struct block_counter *c, bool bytes)
{
	const struct { const char *form; uint64_t value; } rows[] = {
		{ "%s_operations", c->done }, { "failed_%s_operations", c->failed }, { "invalid_%s_operations", c->invalid },
		{ "%s_total_time_ns", c->ns }, { "%s_bytes", c->bytes }, { "%s_merged", 0 },
	};
	char name[48];

	/* A flush has no bytes. */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) - (bytes ? 0 : 2); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(name, sizeof(name), rows[i].form, kind);
#pragma GCC diagnostic pop
		if (json_object_set_new(stats, name, json_integer((json_int_t)rows[i].value)) != 0)
			return (-1);
	}
	return (0);
}

static json_t *
image_stats(const struct block *image)
{
	json_t *stats = json_pack("{s:b, s:b, s:[]}", "account_invalid", 1, "account_failed", 1, "timed_stats");
	struct block_stats s;

	block_get_stats(image, &s);
	if (add_counters(stats, "rd", &s.read, true) == 0 && add_counters(stats, "wr", &s.write, true) == 0 &&
	    add_counters(stats, "unmap", &s.discard, true) == 0 && add_counters(stats, "flush", &s.flush, false) == 0 &&
	    json_object_set_new(stats, "wr_highest_offset", json_integer((json_int_t)s.highest)) == 0)
		return (stats);
	json_decref(stats);
	return (NULL);
}

/* A drive without a medium has done nothing that would be anybody's. */
static int
disk_stats(json_t *info, struct device *dev, const struct device_disk *disk)
{
	(void)dev;
	if (disk->image == NULL)
		return (1);
	return (json_object_set_new(info, "stats", image_stats(disk->image)));
}

static json_t *
run_blockstats(const struct qmp_call *call)
{
	return (qmp_each_disk(call, disk_stats));
}

/* What query-block says of the images alone. */
static json_t *
run_nodes(const struct qmp_call *call)
{
	json_t *disks = qmp_command_find("query-block")->run(call), *list = json_array(), *disk;
	size_t i;

	json_array_foreach(disks, i, disk) {
		if (json_object_get(disk, "inserted") != NULL)
			(void)json_array_append(list, json_object_get(disk, "inserted"));
	}
	if (disks == NULL) {
		json_decref(list);
		return (NULL);
	}
	json_decref(disks);
	return (list);
}

/* Lines */

static json_t *
run_chardev(const struct qmp_call *call)
{
	json_t *list = json_array();

	for (struct device *dev = call->q->vmm->devices; dev != NULL; dev = dev->next) {
		const char *path = dev->cls->line ? config_str(dev->config, "path") : NULL;

		if (dev->cls->line)
			(void)json_array_append_new(list, json_pack("{s:s, s:o, s:b}", "label", dev->name, "filename",
			    qmp_text(dev->place.chardev != NULL ? "console" : path != NULL ? path : "null"), "frontend-open", 1));
	}
	return (list);
}

/* Machines */

static json_t *
run_machines(const struct qmp_call *call)
{
	const struct machine *m = call->q->machine;
	const struct machine_class *cls;
	json_t *list = json_array();

	/* Of the VM's architecture, as a client expects that knows no other. */
	for (unsigned i = 0; (cls = machine_at(i)) != NULL; i++) {
		if (m == NULL || m->cls == NULL || cls->arch == m->cls->arch)
			(void)json_array_append_new(list, json_pack("{s:s, s:b, s:i, s:b, s:b, s:b, s:b}", "name", cls->name, "is-default", 1,
			    "cpu-max", (int)cls->max_cpus, "hotpluggable-cpus", 0, "numa-mem-supported", 0, "deprecated", 0, "acpi", 1));
	}
	return (list);
}

static json_t *
run_iothreads(const struct qmp_call *call)
{
	return (json_array());
}

/* Tables */

#define	COUNTERS(kind, what)										\
	{ kind "_operations", "int", false, what " that succeeded" },					\
	{ "failed_" kind "_operations", "int", false, what " that failed" },				\
	{ "invalid_" kind "_operations", "int", false, what " that made no sense" },			\
	{ kind "_total_time_ns", "int", false, "nanoseconds that they took, all together" }
#define	AMOUNTS(kind, what)										\
	{ kind "_bytes", "int", false, "bytes of " what " that succeeded" },				\
	{ kind "_merged", "int", false, what " that were put together: none" }

static const struct qmp_member disk_stats_members[] = {
	COUNTERS("rd", "reads"), AMOUNTS("rd", "reads"), COUNTERS("wr", "writes"), AMOUNTS("wr", "writes"),
	COUNTERS("unmap", "discards"), AMOUNTS("unmap", "discards"), COUNTERS("flush", "flushes"),
	{ "wr_highest_offset", "int", false, "the end of the write that ended highest, in bytes" },
	{ "account_invalid", "bool", false, "whether times have what made no sense" },
	{ "account_failed", "bool", false, "whether times have what failed" },
	{ "timed_stats", "[any]", false, "intervals that are looked at: none" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member block_stats_members[] = {
	{ "device", "str", true, "name of the disk" }, { "qdev", "str", true, "id or name of the device that it is or is attached to" },
	{ "stats", "BlockDeviceStats", false, "counted since the machine was powered on or reset" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member chardev_members[] = {
	{ "label", "str", false, "name of the device" }, { "filename", "str", false, "what its key names; console: where the VM's console is; null: nothing" },
	{ "frontend-open", "bool", false, "whether there is a device: always" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member machine_members[] = {
	{ "name", "str", false, "of the machine" }, { "is-default", "bool", true, "whether it is the one of its architecture" },
	{ "cpu-max", "int", false, "the most processors" }, { "hotpluggable-cpus", "bool", false, "whether some can come later: no" },
	{ "numa-mem-supported", "bool", false, "whether memory has nodes: no" }, { "deprecated", "bool", false, "whether it will go" },
	{ "acpi", "bool", false, "whether it has ACPI tables, with firmware at least" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member iothread_members[] = {
	{ "id", "str", false, "name" }, { "thread-id", "int", false, "the host's thread" }, { NULL, NULL, false, NULL },
};

static const struct qmp_type types[] = {
	{ "BlockDeviceStats", disk_stats_members, NULL }, { "BlockStats", block_stats_members, NULL }, { "ChardevInfo", chardev_members, NULL },
	{ "MachineInfo", machine_members, NULL }, { "IOThreadInfo", iothread_members, NULL }, { NULL, NULL, NULL },
};
static const struct qmp_command commands[] = {
	{ "query-blockstats", NULL, "[BlockStats]", run_blockstats, "what disks and drives have done" },
	{ "query-named-block-nodes", NULL, "[BlockDeviceInfo]", run_nodes, "the images of disks and drives" },
	{ "query-chardev", NULL, "[ChardevInfo]", run_chardev, "serial ports and consoles, and what is at their other end" },
	{ "query-machines", NULL, "[MachineInfo]", run_machines, "the machines that there are for the guest's architecture" },
	{ "query-iothreads", NULL, "[IOThreadInfo]", run_iothreads, "threads that a client has made for disks: none" },
	{ NULL, NULL, NULL, NULL, NULL },
};

const struct qmp_group qmp_group_stats = { commands, types, NULL };
