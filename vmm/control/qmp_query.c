/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_query.c - what a VM is: its name, processors, memory, counters and configuration.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../error.h"
#include "../machine/machine.h"
#include "qmp_internal.h"

static struct config_node *
root(const struct qmp_call *call)
{
	return (config_node(call->q->vmm->config, ""));
}

/* The machine while there is a VM in it; NULL with a sentence. */
static struct machine *
machine_of(const struct qmp_call *call)
{
	struct machine *m = call->q->machine;

	if (m != NULL && m->cls != NULL && call->q->vmm->vm != NULL)
		return (m);
	return (vmm_fail_null(EAGAIN, "the VM is being started anew; try again"));
}

/* A member that is there only if it has a value. */
static json_t *
with_text(json_t *object, const char *name, const char *text)
{
	if (text != NULL)
		(void)json_object_set_new(object, name, qmp_text(text));
	return (object);
}

static json_t *
run_name(const struct qmp_call *call)
{
	return (with_text(json_object(), "name", config_str(root(call), "name")));
}

static json_t *
run_uuid(const struct qmp_call *call)
{
	const char *uuid = config_str(root(call), "uuid");

	return (json_pack("{s:s}", "UUID", uuid != NULL ? uuid : "00000000-0000-0000-0000-000000000000"));
}

static json_t *
run_kvm(const struct qmp_call *call)
{
	struct vmctx *vm = call->q->vmm->vm;
	const char *accel = vm != NULL ? vm_accel_name(vm) : NULL;

	if (vm == NULL)
		return (vmm_fail_null(EAGAIN, "the VM is being started anew; try again"));
	return (json_pack("{s:b, s:b}", "enabled", accel != NULL && strcmp(accel, "kvm") == 0,
	    "present", vm_accel_probe(VM_ACCEL_KVM, vm_get_arch(vm)) == 0));
}

static json_t *
run_target(const struct qmp_call *call)
{
	struct machine *m = machine_of(call);

	return (m != NULL ? json_pack("{s:s}", "arch", m->cls->target) : NULL);
}

/* A processor: where it sits, and the host's thread that it is. */
static json_t *
cpu_info(struct machine *m, unsigned i)
{
	uint16_t sockets, cores, threads, max;
	char path[32];

	if (vm_get_topology(m->vmm->vm, &sockets, &cores, &threads, &max) != 0)
		return (vmm_fail_null(errno, "%s", vm_errmsg()));
	(void)snprintf(path, sizeof(path), "/machine/cpu[%u]", i);
	return (json_pack("{s:i, s:s, s:i, s:s, s:{s:i, s:i, s:i}}", "cpu-index", (int)i, "qom-path", path,
	    "thread-id", m->tids != NULL ? atomic_load(&m->tids[i]) : 0, "target", m->cls->target,
	    "props", "socket-id", (int)(i / threads / cores), "core-id", (int)(i / threads % cores), "thread-id", (int)(i % threads)));
}

static json_t *
run_cpus(const struct qmp_call *call)
{
	struct machine *m = machine_of(call);
	json_t *list;

	if (m == NULL)
		return (NULL);
	list = json_array();
	for (unsigned i = 0; i < m->ncpus; i++) {
		if (json_array_append_new(list, cpu_info(m, i)) != 0) {
			json_decref(list);
			return (NULL);
		}
	}
	return (list);
}

static json_t *
run_memory(const struct qmp_call *call)
{
	return (json_pack("{s:I, s:I}", "base-memory", (json_int_t)config_num(root(call), "memory.size"), "plugged-memory", (json_int_t)0));
}

/* One of libvmmapi's counters, of every processor. */
static json_t *
counter(struct machine *m, int k, const char *what)
{
	json_t *values = json_array();
	int n = 0;

	for (unsigned i = 0; i < m->ncpus; i++)
		(void)json_array_append_new(values, json_integer((json_int_t)vm_get_stats(m->vcpus[i], &n)[k]));
	return (json_pack("{s:s, s:o}", "what", what, "values", values));
}

static json_t *
run_stats(const struct qmp_call *call)
{
	struct machine *m = machine_of(call);
	const char *what;
	json_t *list;

	if (m == NULL)
		return (NULL);
	list = json_array();
	for (int k = 0; (what = vm_get_stat_desc(m->vmm->vm, k)) != NULL; k++)
		(void)json_array_append_new(list, counter(m, k, what));
	return (json_pack("{s:I, s:o}", "clock", (json_int_t)vm_clock_now(m->vmm->vm), "counters", list));
}

static int
add_key(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	char where[512];
	json_t *entry;

	(void)config_origin_text(origin, where, sizeof(where));
	entry = json_pack("{s:o, s:o, s:b}", "name", qmp_text(name), "origin", qmp_text(where), "set", origin->source != CONFIG_FROM_DEFAULT);
	return (json_array_append_new(arg, with_text(entry, "value", text)));
}

static json_t *
run_config(const struct qmp_call *call)
{
	json_t *list = json_array();

	if (config_each(call->q->vmm->config, add_key, list) == 0)
		return (list);
	json_decref(list);
	return (NULL);
}

/* Tables */

static const char *const targets[] = { "x86_64", "aarch64", NULL };
static const struct qmp_member name_info[] = {
	{ "name", "str", true, "of the VM, if it has one" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member uuid_info[] = {
	{ "UUID", "str", false, "the VM's identity; all zeros: it has none" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member kvm_info[] = {
	{ "enabled", "bool", false, "whether the guest runs on it" }, { "present", "bool", false, "whether it could" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member target_info[] = {
	{ "arch", "SysEmuTarget", false, "the guest's architecture" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member cpu_props[] = {
	{ "socket-id", "int", true, "number of the socket" }, { "core-id", "int", true, "of the core in it" },
	{ "thread-id", "int", true, "of the thread in that" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member cpu_info_fast[] = {
	{ "cpu-index", "int", false, "its number" }, { "qom-path", "str", false, "a name for it" },
	{ "thread-id", "int", false, "the host's thread" }, { "props", "CpuInstanceProperties", true, "where it sits" },
	{ "target", "SysEmuTarget", false, "its architecture" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member memory_info[] = {
	{ "base-memory", "int", false, "bytes of RAM" }, { "plugged-memory", "int", true, "bytes that were added later: none" },
	{ NULL, NULL, false, NULL },
};
static const struct qmp_member counter_info[] = {
	{ "what", "str", false, "what is counted, in words" }, { "values", "[int]", false, "of each processor" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member stats_info[] = {
	{ "clock", "int", false, "the VM's clock, in nanoseconds: it stands while the VM is stopped" },
	{ "counters", "[XHyveCounter]", false, "all counters" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member key_info[] = {
	{ "name", "str", false, "dotted name of the key" }, { "value", "str", true, "as it was set, or the default if there is one" },
	{ "origin", "str", false, "who set it, in words" }, { "set", "bool", false, "whether somebody did" }, { NULL, NULL, false, NULL },
};

static const struct qmp_type types[] = {
	{ "SysEmuTarget", NULL, targets }, { "NameInfo", name_info, NULL }, { "UuidInfo", uuid_info, NULL }, { "KvmInfo", kvm_info, NULL },
	{ "TargetInfo", target_info, NULL }, { "CpuInstanceProperties", cpu_props, NULL }, { "CpuInfoFast", cpu_info_fast, NULL },
	{ "MemoryInfo", memory_info, NULL }, { "XHyveCounter", counter_info, NULL }, { "XHyveStats", stats_info, NULL },
	{ "XHyveKey", key_info, NULL }, { NULL, NULL, NULL },
};
static const struct qmp_command commands[] = {
	{ "query-name", NULL, "NameInfo", run_name, "the VM's name" },
	{ "query-uuid", NULL, "UuidInfo", run_uuid, "the VM's identity" },
	{ "query-target", NULL, "TargetInfo", run_target, "the guest's architecture" },
	{ "query-kvm", NULL, "KvmInfo", run_kvm, "whether the host's kernel executes the guest" },
	{ "query-cpus-fast", NULL, "[CpuInfoFast]", run_cpus, "the processors" },
	{ "query-memory-size-summary", NULL, "MemoryInfo", run_memory, "how much RAM the guest has" },
	{ "x-hyve-query-stats", NULL, "XHyveStats", run_stats, "the VM's clock and the counters of its processors" },
	{ "x-hyve-query-config", NULL, "[XHyveKey]", run_config, "every key of the VM with its value and where that comes from" },
	{ NULL, NULL, NULL, NULL, NULL },
};

const struct qmp_group qmp_group_query = { commands, types, NULL };
