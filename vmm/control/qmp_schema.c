/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_schema.c - what query-qmp-schema answers, made of the tables: QMP's introspection.
 *
 * An entry has a name and a meta-type.  Entries refer to types by name, and every type that is referred to is an entry, arrays ("[T]") and
 * the arguments of commands ("NAME-arg") too.
 */
#include <stdio.h>
#include <string.h>

#include "qmp_internal.h"

#define	EMPTY	"empty"			/* the object without members */

/* Add an entry; -1 without memory. */
static int
add(json_t *list, json_t *entry)
{
	return (json_array_append_new(list, entry));
}

static bool
is_there(const json_t *list, const char *name)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry) {
		if (strcmp(json_string_value(json_object_get(entry, "name")), name) == 0)
			return (true);
	}
	return (false);
}

static json_t *
members_of(const struct qmp_member *members)
{
	json_t *list = json_array(), *entry;

	for (; members != NULL && members->name != NULL && strcmp(members->name, QMP_OTHERS) != 0; members++) {
		entry = json_pack("{s:s, s:s}", "name", members->name, "type", members->type);
		/* QMP's way to say optional: a default of null. */
		if (members->optional && json_object_set_new(entry, "default", json_null()) != 0) {
			json_decref(entry);
			entry = NULL;
		}
		if (add(list, entry) != 0) {
			json_decref(list);
			return (NULL);
		}
	}
	return (list);
}

static int
add_object(json_t *list, const char *name, const struct qmp_member *members)
{
	return (add(list, json_pack("{s:s, s:s, s:o}", "name", name, "meta-type", "object", "members", members_of(members))));
}

static json_t *
enum_members(const char *const *values)
{
	json_t *list = json_array();

	for (; *values != NULL; values++) {
		if (add(list, json_pack("{s:s}", "name", *values)) != 0) {
			json_decref(list);
			return (NULL);
		}
	}
	return (list);
}

/* Both forms that QMP's clients look for: names alone, and members. */
static int
add_enum(json_t *list, const struct qmp_type *type)
{
	json_t *values = json_array();

	for (size_t i = 0; type->values[i] != NULL; i++)
		(void)json_array_append_new(values, json_string(type->values[i]));
	return (add(list, json_pack("{s:s, s:s, s:o, s:o}", "name", type->name, "meta-type", "enum", "members", enum_members(type->values),
	    "values", values)));
}

/* A type's name where it is used: an array becomes an entry the first time. */
static int
add_array(json_t *list, const char *type)
{
	if (type == NULL || type[0] != '[' || is_there(list, type))
		return (0);
	return (add(list, json_pack("{s:s, s:s, s:s%}", "name", type, "meta-type", "array", "element-type", type + 1, (size_t)strlen(type) - 2)));
}

static int
add_arrays(json_t *list, const struct qmp_member *members)
{
	for (; members != NULL && members->name != NULL; members++) {
		if (add_array(list, members->type) != 0)
			return (-1);
	}
	return (0);
}

/* The arguments of a command, or the data of an event: the name of their type in buf. */
static int
add_args(json_t *list, const char *of, const struct qmp_member *members, char *buf, size_t size)
{
	(void)snprintf(buf, size, members != NULL ? "%s-arg" : EMPTY, of);
	return (members == NULL ? 0 : add_object(list, buf, members) != 0 ? -1 : add_arrays(list, members));
}

static int
add_builtins(json_t *list)
{
	static const struct { const char *name, *json; } builtin[] = {
		{ "str", "string" }, { "int", "int" }, { "number", "number" }, { "bool", "boolean" }, { "any", "value" },
	};

	for (size_t i = 0; i < sizeof(builtin) / sizeof(builtin[0]); i++) {
		if (add(list, json_pack("{s:s, s:s, s:s}", "name", builtin[i].name, "meta-type", "builtin", "json-type", builtin[i].json)) != 0)
			return (-1);
	}
	return (add_object(list, EMPTY, NULL));
}

static int
add_types(json_t *list)
{
	const struct qmp_type *type;

	for (size_t i = 0; (type = qmp_type_at(i)) != NULL; i++) {
		if ((type->members != NULL ? add_object(list, type->name, type->members) : add_enum(list, type)) != 0 ||
		    add_arrays(list, type->members) != 0)
			return (-1);
	}
	return (0);
}

static int
add_commands(json_t *list)
{
	const struct qmp_command *cmd;
	char args[96];

	for (size_t i = 0; (cmd = qmp_command_at(i)) != NULL; i++) {
		if (add_args(list, cmd->name, cmd->args, args, sizeof(args)) != 0 || add_array(list, cmd->returns) != 0 ||
		    add(list, json_pack("{s:s, s:s, s:s, s:s, s:b}", "name", cmd->name, "meta-type", "command", "arg-type", args,
		    "ret-type", cmd->returns != NULL ? cmd->returns : EMPTY, "allow-oob", 0)) != 0)
			return (-1);
	}
	return (0);
}

static int
add_events(json_t *list)
{
	const struct qmp_event_type *event;
	char args[96];

	for (size_t i = 0; (event = qmp_event_at(i)) != NULL; i++) {
		if (add_args(list, event->name, event->data, args, sizeof(args)) != 0 ||
		    add(list, json_pack("{s:s, s:s, s:s}", "name", event->name, "meta-type", "event", "arg-type", args)) != 0)
			return (-1);
	}
	return (0);
}

json_t *
qmp_schema(void)
{
	json_t *list = json_array();

	if (add_builtins(list) == 0 && add_types(list) == 0 && add_commands(list) == 0 && add_events(list) == 0)
		return (list);
	json_decref(list);
	return (NULL);
}
