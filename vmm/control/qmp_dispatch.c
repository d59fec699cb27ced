/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_dispatch.c - requests of the control socket and their answers, and the commands about the socket itself.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../config/config.h"
#include "../error.h"
#include "../trace.h"
#include "qmp_internal.h"

/* Answers */

json_t *
qmp_error(const char *class, const char *desc)
{
	return (json_pack("{s:{s:s, s:o}}", "error", "class", class, "desc", qmp_text(desc)));
}

/* Of the failure that errno and vmm_errmsg() tell. */
static json_t *
failure(void)
{
	return (qmp_error(errno == ENODEV ? "DeviceNotFound" : "GenericError", vmm_errmsg()));
}

static const char *
command_name(const void *arg, size_t i)
{
	return (qmp_command_at(i)->name);
}

static json_t *
unknown(const char *name)
{
	const char *near;
	size_t n = 0;

	while (qmp_command_at(n) != NULL)
		n++;
	near = config_nearest(name, n, command_name, NULL);
	if (near != NULL)
		(void)vmm_fail(ENOENT, "there is no command '%.64s'; did you mean '%s'?", name, near);
	else
		(void)vmm_fail(ENOENT, "there is no command '%.64s'; query-commands lists them", name);
	return (qmp_error("CommandNotFound", vmm_errmsg()));
}

static json_t *
execute(struct qmp_peer *p, const char *name, json_t *args)
{
	const struct qmp_command *cmd = qmp_command_find(name);
	struct qmp_call call = { .q = p->q, .peer = p };
	bool negotiating = strcmp(name, "qmp_capabilities") == 0;
	char what[128];
	json_t *answer;

	if (!p->negotiated && !negotiating)
		return (qmp_error("CommandNotFound", "capabilities have to be negotiated first, by qmp_capabilities"));
	if (cmd == NULL)
		return (unknown(name));
	if (p->negotiated && negotiating)
		return (qmp_error("CommandNotFound", "capabilities were negotiated already"));
	TRACE(p->q->vmm->log, control__command, cmd->name);
	(void)snprintf(what, sizeof(what), "the arguments of '%s'", name);
	call.args = args != NULL ? json_incref(args) : json_object();
	/* A command that finds no memory for its answer need not say so. */
	(void)vmm_fail(ENOMEM, "there is no memory for the answer to '%s'", name);
	answer = call.args == NULL || qmp_check_members(cmd->args, call.args, what) != 0 ? NULL : cmd->run(&call);
	if (answer == NULL)
		answer = failure();
	else
		answer = json_pack("{s:o}", "return", answer);
	json_decref(call.args);
	return (answer);
}

/* A request as an object: {"execute": name, "arguments": object, "id": anything}. */
static json_t *
request(struct qmp_peer *p, const json_t *req)
{
	static const struct qmp_member members[] = {
		{ "execute", "str", false, NULL }, { "arguments", "any", true, NULL }, { "id", "any", true, NULL }, { NULL, NULL, false, NULL },
	};

	if (json_object_get(req, "exec-oob") != NULL)
		return (qmp_error("GenericError", "commands out of band need the capability 'oob', which there is not"));
	if (qmp_check_members(members, req, "a request") != 0)
		return (failure());
	return (execute(p, json_string_value(json_object_get(req, "execute")), json_object_get(req, "arguments")));
}

json_t *
qmp_answer(struct qmp_peer *p, const char *text, size_t len)
{
	json_error_t error;
	json_t *req = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error), *answer, *id;

	if (req == NULL) {
		(void)vmm_fail(EINVAL, "this is no JSON: %s, at byte %d", error.text, error.position);
		return (qmp_error("GenericError", vmm_errmsg()));
	}
	answer = request(p, req);
	id = json_object_get(req, "id");
	if (answer != NULL && id != NULL && json_object_set(answer, "id", id) != 0) {
		json_decref(answer);
		answer = NULL;
	}
	json_decref(req);
	return (answer);
}

/* The commands about the socket itself */

static json_t *
version(void)
{
	int major = 0, minor = 0, micro = 0;

	(void)sscanf(HYVE_VERSION, "%d.%d.%d", &major, &minor, &micro);
	return (json_pack("{s:{s:i, s:i, s:i}, s:s}", "qemu", "major", major, "minor", minor, "micro", micro, "package", "hyve " HYVE_VERSION));
}

json_t *
qmp_greeting(void)
{
	return (json_pack("{s:{s:o, s:[]}}", "QMP", "version", version(), "capabilities"));
}

static json_t *
run_capabilities(const struct qmp_call *call)
{
	const json_t *enable = json_object_get(call->args, "enable");

	if (json_array_size(enable) != 0) {
		(void)vmm_fail(ENOTSUP, "there is no capability '%.64s': none were offered", json_string_value(json_array_get(enable, 0)));
		return (NULL);
	}
	call->peer->negotiated = true;
	return (qmp_nothing());
}

static json_t *
run_version(const struct qmp_call *call)
{
	return (version());
}

static json_t *
run_commands(const struct qmp_call *call)
{
	json_t *list = json_array();

	for (size_t i = 0; qmp_command_at(i) != NULL; i++)
		(void)json_array_append_new(list, json_pack("{s:s}", "name", qmp_command_at(i)->name));
	return (list);
}

static json_t *
run_events(const struct qmp_call *call)
{
	json_t *list = json_array();

	for (size_t i = 0; qmp_event_at(i) != NULL; i++)
		(void)json_array_append_new(list, json_pack("{s:s}", "name", qmp_event_at(i)->name));
	return (list);
}

static json_t *
run_schema(const struct qmp_call *call)
{
	return (qmp_schema());
}

static const struct qmp_member args_capabilities[] = {
	{ "enable", "[str]", true, "capabilities of the greeting that the client wants; there are none" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member version_triple[] = {
	{ "major", "int", false, "first number" }, { "minor", "int", false, "second number" },
	{ "micro", "int", false, "third number" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member version_info[] = {
	{ "qemu", "VersionTriple", false, "hyve's version; the name is the protocol's" },
	{ "package", "str", false, "the same for people" }, { NULL, NULL, false, NULL },
};
static const struct qmp_member name_info[] = {
	{ "name", "str", false, "what it is called" }, { NULL, NULL, false, NULL },
};

static const struct qmp_type types[] = {
	{ "VersionTriple", version_triple, NULL }, { "VersionInfo", version_info, NULL }, { "CommandInfo", name_info, NULL },
	{ "EventInfo", name_info, NULL }, { NULL, NULL, NULL },
};
static const struct qmp_command commands[] = {
	{ "qmp_capabilities", args_capabilities, NULL, run_capabilities, "end the negotiation; until then nothing else is taken" },
	{ "query-version", NULL, "VersionInfo", run_version, "the version of hyve" },
	{ "query-commands", NULL, "[CommandInfo]", run_commands, "the names of all commands" },
	{ "query-events", NULL, "[EventInfo]", run_events, "the names of all events" },
	{ "query-qmp-schema", NULL, "[any]", run_schema, "all commands, events and types, as QMP describes them" },
	{ NULL, NULL, NULL, NULL, NULL },
};

const struct qmp_group qmp_group_server = { commands, types, NULL };
