/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_table.c - the tables of the control socket: looking up, and checking values by them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../config/config.h"
#include "../error.h"
#include "qmp_internal.h"

const struct qmp_group *const qmp_groups[] = {
	&qmp_group_server, &qmp_group_run, &qmp_group_query, &qmp_group_devices, &qmp_group_plug, &qmp_group_stats, &qmp_group_trace, &qmp_group_net, NULL
};

/* The i-th row of the tables that are at member of each group: every row begins with its name. */
#define	ROW_AT(member, i)							\
	for (const struct qmp_group *const *g = qmp_groups; *g != NULL; g++) {	\
		for (size_t r = 0; (*g)->member != NULL && (*g)->member[r].name != NULL; r++) {	\
			if ((i)-- == 0)						\
				return (&(*g)->member[r]);			\
		}								\
	}									\
	return (NULL)
#define	ROW_FIND(at, name) do {							\
	for (size_t i = 0; at(i) != NULL; i++) {				\
		if (strcmp(at(i)->name, name) == 0)				\
			return (at(i));						\
	}									\
	return (NULL);								\
} while (0)

const struct qmp_command *
qmp_command_at(size_t i)
{
	ROW_AT(commands, i);
}

const struct qmp_command *
qmp_command_find(const char *name)
{
	ROW_FIND(qmp_command_at, name);
}

const struct qmp_type *
qmp_type_at(size_t i)
{
	ROW_AT(types, i);
}

const struct qmp_type *
qmp_type_find(const char *name)
{
	ROW_FIND(qmp_type_at, name);
}

const struct qmp_event_type *
qmp_event_at(size_t i)
{
	ROW_AT(events, i);
}

const struct qmp_event_type *
qmp_event_find(const char *name)
{
	ROW_FIND(qmp_event_at, name);
}

/* Values */

json_t *
qmp_text(const char *s)
{
	json_t *text = json_string(s);
	char *copy;

	if (text != NULL)
		return (text);
	copy = strdup(s);
	for (char *p = copy; p != NULL && *p != '\0'; p++) {
		if ((*p & 0x80) != 0)
			*p = '?';
	}
	text = copy != NULL ? json_string(copy) : NULL;
	free(copy);
	return (text);
}

static const char *
value_at(const void *arg, size_t i)
{
	return (((const char *const *)arg)[i]);
}

static const char *
member_at(const void *arg, size_t i)
{
	return (((const struct qmp_member *)arg)[i].name);
}

static int
check_enum(const struct qmp_type *type, const json_t *val, const char *what)
{
	const char *word = json_string_value(val), *near;
	size_t n = 0;

	if (word == NULL)
		return (vmm_fail(EINVAL, "%s is to be a string", what));
	for (; type->values[n] != NULL; n++) {
		if (strcmp(type->values[n], word) == 0)
			return (0);
	}
	near = config_nearest(word, n, value_at, type->values);
	if (near != NULL)
		return (vmm_fail(EINVAL, "%s cannot be '%.64s'; did you mean '%s'?", what, word, near));
	return (vmm_fail(EINVAL, "%s cannot be '%.64s': query-qmp-schema lists the values of %s", what, word, type->name));
}

int
qmp_check_members(const struct qmp_member *members, const json_t *val, const char *what)
{
	const char *key, *near;
	const json_t *part;
	char name[128];
	size_t n = 0;

	if (!json_is_object(val))
		return (vmm_fail(EINVAL, "%s is to be an object", what));
	for (; members != NULL && members[n].name != NULL; n++) {
		if (strcmp(members[n].name, QMP_OTHERS) == 0)
			return (0);
		part = json_object_get(val, members[n].name);
		(void)snprintf(name, sizeof(name), "member '%s' of %s", members[n].name, what);
		if (part == NULL && !members[n].optional)
			return (vmm_fail(EINVAL, "%s is missing", name));
		if (part != NULL && qmp_check(members[n].type, part, name) != 0)
			return (-1);
	}
	json_object_foreach((json_t *)(uintptr_t)val, key, part) {
		size_t i;

		for (i = 0; i < n && strcmp(members[i].name, key) != 0; i++)
			;
		if (i != n)
			continue;
		near = n != 0 ? config_nearest(key, n, member_at, members) : NULL;
		if (near != NULL)
			return (vmm_fail(EINVAL, "%s has no member '%.64s'; did you mean '%s'?", what, key, near));
		return (vmm_fail(EINVAL, "%s has no member '%.64s'", what, key));
	}
	return (0);
}

static int
check_array(const char *type, const json_t *val, const char *what)
{
	char element[64], name[128];
	const json_t *part;
	size_t i;

	if (!json_is_array(val))
		return (vmm_fail(EINVAL, "%s is to be an array", what));
	(void)snprintf(element, sizeof(element), "%.*s", (int)strlen(type) - 2, type + 1);
	json_array_foreach(val, i, part) {
		(void)snprintf(name, sizeof(name), "element %zu of %s", i, what);
		if (qmp_check(element, part, name) != 0)
			return (-1);
	}
	return (0);
}

int
qmp_check(const char *type, const json_t *val, const char *what)
{
	const struct qmp_type *row;

	if (type[0] == '[')
		return (check_array(type, val, what));
	if (strcmp(type, "any") == 0)
		return (0);
	if (strcmp(type, "str") == 0)
		return (json_is_string(val) ? 0 : vmm_fail(EINVAL, "%s is to be a string", what));
	if (strcmp(type, "int") == 0)
		return (json_is_integer(val) ? 0 : vmm_fail(EINVAL, "%s is to be an integer", what));
	if (strcmp(type, "number") == 0)
		return (json_is_number(val) ? 0 : vmm_fail(EINVAL, "%s is to be a number", what));
	if (strcmp(type, "bool") == 0)
		return (json_is_boolean(val) ? 0 : vmm_fail(EINVAL, "%s is to be true or false", what));
	row = qmp_type_find(type);
	if (row == NULL)
		return (vmm_fail(EINVAL, "%s is of type '%s', which nobody declared", what, type));
	return (row->members != NULL ? qmp_check_members(row->members, val, what) : check_enum(row, val, what));
}
