/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qmp_table.h - what a control socket knows: commands, types and events, as tables.
 *
 * A type is named by a string: "str", "int", "number", "bool" and "any" are JSON's, "[T]" is an array of T, and any other name is a row
 * of a table of types.
 */
#ifndef _HYVE_QMP_TABLE_H_
#define	_HYVE_QMP_TABLE_H_

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct qmp;
struct qmp_peer;

/* A member of an object: an argument, or a part of an answer.  A table of them ends with one without a name. */
struct qmp_member {
	const char	*name;
	const char	*type;
	bool		 optional;
	const char	*help;		/* one line, no capital, no dot */
};

/* As the name of the last: the object may have any others too, which are the command's own to check; they are not in the schema. */
#define	QMP_OTHERS	"*"

/* An object, or an enumeration. */
struct qmp_type {
	const char	*name;
	const struct qmp_member *members;	/* NULL: an enumeration */
	const char *const *values;		/* of that, NULL-terminated */
};

/* A request under way. */
struct qmp_call {
	struct qmp	*q;
	struct qmp_peer	*peer;		/* who asks */
	json_t		*args;		/* an object that was checked against the table; borrowed */
};

struct qmp_command {
	const char	*name;
	const struct qmp_member *args;	/* NULL: none */
	const char	*returns;	/* type of the answer; NULL: an empty object */
	/*
	 * Do it: a new reference to the answer, qmp_nothing() if there is none, or NULL with errno and a sentence in vmm_errmsg().  ENODEV is
	 * QMP's class DeviceNotFound, all else is GenericError.  Control thread, in a callback of the event loop: it must not wait for a client.
	 */
	json_t		*(*run)(const struct qmp_call *call);
	const char	*help;		/* one sentence for the manual, no capital, no dot */
};

struct qmp_event_type {
	const char	*name;
	const struct qmp_member *data;	/* NULL: none */
	const char	*help;
};

/* Rows that belong together; NULL where there are none.  A table ends with a row without a name. */
struct qmp_group {
	const struct qmp_command *commands;
	const struct qmp_type *types;
	const struct qmp_event_type *events;
};

/* Every group, NULL-terminated. */
extern const struct qmp_group *const qmp_groups[];

/* The i-th command, type or event of all groups, NULL behind the last; and one by its name, NULL if there is none. */
const struct qmp_command *qmp_command_at(size_t i);
const struct qmp_command *qmp_command_find(const char *name);
const struct qmp_type *qmp_type_at(size_t i);
const struct qmp_type *qmp_type_find(const char *name);
const struct qmp_event_type *qmp_event_at(size_t i);
const struct qmp_event_type *qmp_event_find(const char *name);

/*
 * Check that val is of a type; what is what it is called in the sentence: "argument 'id'".  -1 with a sentence that names the nearest member
 * or value, where one is near.
 */
int	qmp_check(const char *type, const json_t *val, const char *what);
/* The same for an object with members, NULL for none. */
int	qmp_check_members(const struct qmp_member *members, const json_t *val, const char *what);

/* An answer without content. */
static inline json_t *
qmp_nothing(void)
{
	return (json_object());
}

/* A string that may be no UTF-8, as names of files can be: bytes that make no sense become question marks.  NULL only without memory. */
json_t	*qmp_text(const char *s);

#endif /* _HYVE_QMP_TABLE_H_ */
