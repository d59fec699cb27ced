/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.c - see json.h.  The library parses, but forgets where a value was; so the text is gone through once more for the lines of its
 * values, in the order in which the tree is walked then.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "json.h"

struct reader {
	struct config	*cfg;
	const char	*what;
	unsigned	*lines;		/* of each value, in the order of the text */
	size_t		 next;		/* value that is walked next */
	json_t		*seen;		/* names that were set, with their lines */
};

bool
config_is_json(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (strchr(" \t\r\n", text[i]) == NULL || text[i] == '\0')
			return (text[i] == '{');
	}
	return (false);
}

/* The byte behind a string that begins at p. */
static const char *
skip_string(const char *p, const char *end, unsigned *line)
{
	for (p++; p < end && *p != '"'; p++) {
		if (*p == '\\' && p + 1 < end)
			p++;
		*line += *p == '\n';
	}
	return (p < end ? p + 1 : end);
}

static bool
is_name(const char *p, const char *end)
{
	while (p < end && isspace((unsigned char)*p))
		p++;
	return (p < end && *p == ':');
}

/* Text that the library took.  Every value has a byte at least, so there are no more than len. */
static unsigned *
value_lines(const char *text, size_t len)
{
	unsigned *lines = calloc(len + 1, sizeof(*lines)), line = 1, at;
	const char *end = text + len;
	size_t n = 0;

	if (lines == NULL)
		return (NULL);
	for (const char *p = text; p < end;) {
		if (*p == '"') {
			at = line;
			p = skip_string(p, end, &line);
			if (!is_name(p, end))
				lines[n++] = at;
		} else if (*p == '{' || *p == '[') {
			lines[n++] = line;
			p++;
		} else if (isalnum((unsigned char)*p) || *p == '-') {
			lines[n++] = line;
			while (p < end && (isalnum((unsigned char)*p) || strchr("+-.", *p) != NULL))
				p++;
		} else
			line += *p++ == '\n';
	}
	return (lines);
}

static int
set_text(struct reader *r, const char *name, const char *text, unsigned line)
{
	struct config_origin origin = { .source = CONFIG_FROM_FILE, .what = r->what, .number = line };
	json_t *before = json_object_get(r->seen, name);

	if (before != NULL)
		return (vmm_fail(EINVAL, "%s:%u: '%s' was set before, at line %lld", r->what, line, name,
		    (long long)json_integer_value(before)));
	if (config_set(r->cfg, name, text, &origin) != 0)
		return (-1);
	if (json_object_set_new(r->seen, name, json_integer(line)) != 0)
		return (vmm_fail(ENOMEM, "%s: out of memory", r->what));
	return (0);
}

static int	set_value(struct reader *r, const char *name, json_t *value);

static int
set_member(struct reader *r, const char *parent, const char *name, json_t *value)
{
	char full[CONFIG_NAME_MAX + 1];

	if ((size_t)snprintf(full, sizeof(full), "%s%s%s", parent, *parent != '\0' ? "." : "", name) >= sizeof(full))
		return (vmm_fail(E2BIG, "%s:%u: the name '%.64s...' is longer than %d bytes", r->what, r->lines[r->next], full,
		    CONFIG_NAME_MAX));
	return (set_value(r, full, value));
}

static int
set_value(struct reader *r, const char *name, json_t *value)
{
	unsigned line = r->lines[r->next++], depth = 1;
	const char *member;
	json_t *child;
	char text[32];
	size_t i;

	for (const char *p = name; *p != '\0'; p++)
		depth += *p == '.';
	if (depth > CONFIG_DEPTH_MAX)
		return (vmm_fail(EINVAL, "%s:%u: '%.64s' is nested deeper than %d names", r->what, line, name, CONFIG_DEPTH_MAX));
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		json_object_foreach(value, member, child) {
			if (set_member(r, name, member, child) != 0)
				return (-1);
		}
		return (0);
	case JSON_ARRAY:
		json_array_foreach(value, i, child) {
			(void)snprintf(text, sizeof(text), "%zu", i);
			if (set_member(r, name, text, child) != 0)
				return (-1);
		}
		return (0);
	case JSON_STRING:
		return (set_text(r, name, json_string_value(value), line));
	case JSON_INTEGER:
		(void)snprintf(text, sizeof(text), "%lld", (long long)json_integer_value(value));
		return (set_text(r, name, text, line));
	case JSON_TRUE:
	case JSON_FALSE:
		return (set_text(r, name, json_is_true(value) ? "true" : "false", line));
	case JSON_REAL:
		return (vmm_fail(EINVAL, "%s:%u: %s: %g is not an integer, and no key has other numbers", r->what, line, name,
		    json_real_value(value)));
	case JSON_NULL:
		break;
	}
	return (vmm_fail(EINVAL, "%s:%u: %s: null is no value; leave the key out for its default", r->what, line, name));
}

int
config_load_json(struct config *cfg, const char *what, const char *text, size_t len)
{
	struct reader r = { .cfg = cfg, .what = what };
	json_error_t error;
	json_t *root;
	int result;

	root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);
	if (root == NULL)
		return (vmm_fail(EINVAL, "%s:%d: no JSON: %s", what, error.line > 0 ? error.line : 1, error.text));
	r.lines = value_lines(text, len);
	r.seen = json_object();
	if (r.lines == NULL || r.seen == NULL)
		result = vmm_fail(ENOMEM, "%s: out of memory", what);
	else if (!json_is_object(root))
		result = vmm_fail(EINVAL, "%s:1: no object of keys", what);
	else
		result = set_value(&r, "", root);
	free(r.lines);
	json_decref(r.seen);
	json_decref(root);
	return (result);
}

/* Text as what its key has: a number or a boolean is one, if it says so and nothing has to be expanded in it. */
static json_t *
to_value(const struct config_key *key, const char *text)
{
	struct config_value val;
	char back[32];

	if (key != NULL && key->type == CONFIG_BOOL && config_parse_value(key, text, &val) == 0)
		return (json_boolean(val.u.b));
	if (key != NULL && key->type == CONFIG_INT && config_parse_value(key, text, &val) == 0) {
		(void)snprintf(back, sizeof(back), "%lld", (long long)val.u.i);
		if (strcmp(back, text) == 0)
			return (json_integer(val.u.i));
	}
	return (json_string(text));
}

struct writer {
	json_t		*root;
	unsigned	 flags;
};

/* config_each(): put a value where its name says.  Below a name that has a value itself, the rest stays a name with dots. */
static int
put_one(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	const struct writer *w = arg;
	json_t *at = w->root, *child, *value;
	char part[CONFIG_NAME_MAX + 1];
	const char *dot;

	if (text == NULL || (origin->source == CONFIG_FROM_DEFAULT && (w->flags & CONFIG_DUMP_ALL) == 0))
		return (0);
	value = to_value(key, text);
	if (value == NULL)
		return (vmm_fail(EILSEQ, "%s: the value is not UTF-8, as all of JSON is", name));
	for (; (dot = strchr(name, '.')) != NULL; name = dot + 1) {
		(void)snprintf(part, sizeof(part), "%.*s", (int)(dot - name), name);
		child = json_object_get(at, part);
		if (child == NULL) {
			child = json_object();
			if (json_object_set_new(at, part, child) != 0) {
				json_decref(value);
				return (vmm_fail(ENOMEM, "configuration: out of memory"));
			}
		}
		if (!json_is_object(child))
			break;
		at = child;
	}
	return (json_object_set_new(at, name, value) == 0 ? 0 : vmm_fail(ENOMEM, "configuration: out of memory"));
}

json_t *
config_to_json(struct config *cfg, unsigned flags)
{
	struct writer w = { .root = json_object(), .flags = flags };

	if (w.root == NULL)
		return (vmm_fail_null(ENOMEM, "configuration: out of memory"));
	if (config_each(cfg, put_one, &w) != 0) {
		json_decref(w.root);
		return (NULL);
	}
	return (w.root);
}
