/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_trace.c - trace points of a VM that runs: which are on, and switching them.  What they tell goes to the VM's log.
 */
#include <fnmatch.h>

#include "../log.h"
#include "../trace.h"
#include "qmp_internal.h"

static const char *
pattern_of(const struct qmp_call *call)
{
	return (json_string_value(json_object_get(call->args, "name")));
}

static json_t *
run_get(const struct qmp_call *call)
{
	json_t *list = json_array();

	for (unsigned p = 0; trace_name(p) != NULL; p++) {
		if (fnmatch(pattern_of(call), trace_name(p), 0) == 0)
			(void)json_array_append_new(list, json_pack("{s:s, s:s}", "name", trace_name(p), "state",
			    trace_on(call->q->vmm->log, p) ? "enabled" : "disabled"));
	}
	return (list);
}

static json_t *
run_set(const struct qmp_call *call)
{
	if (trace_switch(call->q->vmm->log, pattern_of(call), json_is_true(json_object_get(call->args, "enable"))) != 0)
		return (NULL);
	return (qmp_nothing());
}

static const char *const states[] = { "unavailable", "disabled", "enabled", NULL };
static const struct qmp_member info[] = {
	{ "name", "str", false, "of the point" }, { "state", "TraceEventState", false, "whether it is told of; never unavailable" },
	{ NULL, NULL, false, NULL },
};
static const struct qmp_member get_args[] = {
	{ "name", "str", false, "pattern of names, as a shell's" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member set_args[] = {
	{ "name", "str", false, "pattern of names, as a shell's" }, { "enable", "bool", false, "whether they are told of from now on" },
	{ "ignore-unavailable", "bool", true, "of no effect: all are there" }, { NULL, NULL, false, NULL },
};
static const struct qmp_type types[] = {
	{ "TraceEventState", NULL, states }, { "TraceEventInfo", info, NULL }, { NULL, NULL, NULL },
};
static const struct qmp_command commands[] = {
	{ "trace-event-get-state", get_args, "[TraceEventInfo]", run_get, "which trace points are told of in the log" },
	{ "trace-event-set-state", set_args, NULL, run_set, "tell of trace points in the log, or do not; others stay as they are" },
	{ NULL, NULL, NULL, NULL, NULL },
};

const struct qmp_group qmp_group_trace = { commands, types, NULL };
