/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.c - the tree: declarations, nodes, origins, expansion, checks and the dump.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../error.h"
#include "config.h"

struct config_node {
	struct config	*cfg;
	struct config_node *parent, *child, *next;	/* children sorted by name */
	char		*name;			/* one component, "" for the root */
	char		*value;			/* NULL: a group, or unset */
	char		*expanded;		/* value after the last config_get() */
	struct config_origin origin;		/* what is owned by the node */
};

/* Keys below a prefix, or slots. */
struct decl {
	struct decl	*next;
	char		*prefix;
	struct config_keys table;		/* not slots */
	const struct config_key *selector;	/* slots */
	const struct config_keys *(*lookup)(const char *value);
};

struct config {
	struct config_node root;
	struct decl	*decls, **declend;
};

const char config_required[] = "(required)";

/* Names are written to files, sentences and manual pages: letters, digits, '_' and '-'; for patterns also "*". */
static bool
name_ok(const char *name, bool pattern)
{
	unsigned depth = 1, len = 0;

	if (strlen(name) > CONFIG_NAME_MAX)
		return (false);
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '.') {
			if (len == 0 || ++depth > CONFIG_DEPTH_MAX)
				return (false);
			len = 0;
		} else if (isalnum((unsigned char)*p) || *p == '_' || *p == '-' ||
		    (pattern && *p == '*' && len == 0 && (p[1] == '.' || p[1] == '\0')))
			len++;
		else
			return (false);
	}
	return (len != 0);
}

/* Length of the first component. */
static size_t
comp_len(const char *name)
{
	return (strcspn(name, "."));
}

/*
 * If the first components of name match all of pattern, the rest of name ("" if nothing is
 * left), else NULL.
 */
static const char *
match_prefix(const char *pattern, const char *name)
{
	size_t pl, nl;

	while (*pattern != '\0') {
		pl = comp_len(pattern);
		nl = comp_len(name);
		if (nl == 0 || !((pl == 1 && *pattern == '*') || (pl == nl && memcmp(pattern, name, nl) == 0)))
			return (NULL);
		pattern += pl + (pattern[pl] == '.');
		name += nl + (name[nl] == '.');
	}
	return (name);
}

struct config *
config_new(void)
{
	struct config *cfg = calloc(1, sizeof(*cfg));

	if (cfg == NULL)
		return (vmm_fail_null(ENOMEM, "configuration: out of memory"));
	cfg->root.cfg = cfg;
	cfg->root.name = strdup("");
	cfg->declend = &cfg->decls;
	if (cfg->root.name == NULL) {
		free(cfg);
		return (vmm_fail_null(ENOMEM, "configuration: out of memory"));
	}
	return (cfg);
}

static void
free_value(struct config_node *node)
{
	free(node->value);
	free(node->expanded);
	free((void *)(uintptr_t)node->origin.what);
	node->value = node->expanded = NULL;
	node->origin = (struct config_origin){ CONFIG_FROM_DEFAULT, NULL, 0 };
}

static void
free_children(struct config_node *node)
{
	struct config_node *child;

	while ((child = node->child) != NULL) {
		node->child = child->next;
		free_children(child);
		free_value(child);
		free(child->name);
		free(child);
	}
}

void
config_free(struct config *cfg)
{
	struct decl *d;

	if (cfg == NULL)
		return;
	free_children(&cfg->root);
	free(cfg->root.name);
	while ((d = cfg->decls) != NULL) {
		cfg->decls = d->next;
		free(d->prefix);
		free(d);
	}
	free(cfg);
}

static struct decl *
add_decl(struct config *cfg, const char *prefix)
{
	struct decl *d;

	if (*prefix != '\0' && !name_ok(prefix, true))
		return (vmm_fail_null(EINVAL, "configuration: '%s' is no prefix of names", prefix));
	d = calloc(1, sizeof(*d));
	if (d == NULL || (d->prefix = strdup(prefix)) == NULL) {
		free(d);
		return (vmm_fail_null(ENOMEM, "configuration: out of memory"));
	}
	*cfg->declend = d;
	cfg->declend = &d->next;
	return (d);
}

int
config_declare(struct config *cfg, const char *prefix, const struct config_keys *table)
{
	struct decl *d = add_decl(cfg, prefix);

	if (d == NULL)
		return (-1);
	d->table = *table;
	return (0);
}

int
config_declare_slots(struct config *cfg, const char *pattern, const struct config_key *selector,
    const struct config_keys *(*lookup)(const char *value))
{
	struct decl *d = add_decl(cfg, pattern);

	if (d == NULL)
		return (-1);
	d->selector = selector;
	d->lookup = lookup;
	return (0);
}

static struct config_node *
find_child(const struct config_node *node, const char *name, size_t len)
{
	for (struct config_node *c = node->child; c != NULL; c = c->next) {
		if (strlen(c->name) == len && memcmp(c->name, name, len) == 0)
			return (c);
	}
	return (NULL);
}

/* NULL if there is none; makes nothing. */
static struct config_node *
find_node(struct config_node *from, const char *name)
{
	size_t len;

	while (from != NULL && *name != '\0') {
		len = comp_len(name);
		from = find_child(from, name, len);
		name += len + (name[len] == '.');
	}
	return (from);
}

/* Siblings sort as people count: slot 2 before slot 10. */
static int
compare_names(const char *a, const char *b)
{
	size_t da = strspn(a, "0123456789"), db = strspn(b, "0123456789");

	if (a[da] == '\0' && b[db] == '\0' && da != db)
		return (da < db ? -1 : 1);
	return (strcmp(a, b));
}

/* Make what is missing.  NULL with ENOMEM. */
static struct config_node *
make_node(struct config *cfg, const char *name)
{
	struct config_node *node = &cfg->root, *child, **link;
	size_t len;

	while (*name != '\0') {
		len = comp_len(name);
		child = find_child(node, name, len);
		if (child == NULL) {
			child = calloc(1, sizeof(*child));
			if (child == NULL || (child->name = strndup(name, len)) == NULL) {
				free(child);
				return (vmm_fail_null(ENOMEM, "configuration: out of memory"));
			}
			child->cfg = cfg;
			child->parent = node;
			for (link = &node->child; *link != NULL; link = &(*link)->next) {
				if (compare_names(child->name, (*link)->name) < 0)
					break;
			}
			child->next = *link;
			*link = child;
		}
		node = child;
		name += len + (name[len] == '.');
	}
	return (node);
}

const char *
config_node_name(const struct config_node *node, char buf[CONFIG_NAME_MAX + 1])
{
	size_t pos = CONFIG_NAME_MAX, len;

	/* From the back; names never exceed CONFIG_NAME_MAX because name_ok() let them in. */
	buf[pos] = '\0';
	for (; node->parent != NULL; node = node->parent) {
		len = strlen(node->name);
		if (buf[pos] != '\0')
			buf[--pos] = '.';
		pos -= len;
		memcpy(buf + pos, node->name, len);
	}
	memmove(buf, buf + pos, CONFIG_NAME_MAX - pos + 1);
	return (buf);
}

struct config_node *
config_node(struct config *cfg, const char *name)
{
	struct config_node *node;
	char buf[CONFIG_NAME_MAX + 1];

	if (*name != '\0' && !name_ok(name, false))
		return (vmm_fail_null(EINVAL, "'%.64s' is not a configuration name", name));
	node = make_node(cfg, name);
	for (struct config_node *n = node; n != NULL; n = n->parent) {
		if (n->value != NULL)
			return (vmm_fail_null(EISDIR, "'%s' has a value, so nothing can be below it",
			    config_node_name(n, buf)));
	}
	return (node);
}

const char *
config_origin_text(const struct config_origin *origin, char *buf, size_t size)
{
	switch (origin->source) {
	case CONFIG_FROM_DEFAULT:
		(void)snprintf(buf, size, "default");
		break;
	case CONFIG_FROM_FILE:
		(void)snprintf(buf, size, "%s:%u", origin->what != NULL ? origin->what : "?", origin->number);
		break;
	case CONFIG_FROM_ARGUMENT:
		(void)snprintf(buf, size, "argument %u", origin->number);
		break;
	case CONFIG_FROM_SOCKET:
		(void)snprintf(buf, size, "control socket");
		break;
	case CONFIG_FROM_CODE:
		(void)snprintf(buf, size, "%s", origin->what != NULL ? origin->what : "built in");
		break;
	}
	return (buf);
}

/*
 * Find the declaration of a full name.  *wait is set when the name lies in a slot whose
 * selector is not set or not known, so that nothing can be said yet.
 */
static const struct config_key *
find_key(struct config *cfg, const char *name, bool *wait)
{
	char slot[CONFIG_NAME_MAX + 1];
	const struct config_keys *table;
	const struct config_node *sel;
	const char *rest;

	*wait = false;
	for (struct decl *d = cfg->decls; d != NULL; d = d->next) {
		rest = match_prefix(d->prefix, name);
		if (rest == NULL || *rest == '\0')
			continue;
		table = &d->table;
		if (d->selector != NULL) {
			if (strcmp(rest, d->selector->name) == 0)
				return (d->selector);
			(void)snprintf(slot, sizeof(slot), "%.*s%s", (int)(rest - name), name,
			    d->selector->name);
			sel = find_node(&cfg->root, slot);
			if (sel == NULL || sel->value == NULL || strchr(sel->value, '%') != NULL) {
				*wait = true;
				continue;
			}
			table = d->lookup(sel->value);
			if (table == NULL) {
				*wait = true;
				continue;
			}
		}
		for (unsigned i = 0; i < table->nkeys; i++) {
			if (strcmp(rest, table->key[i].name) == 0)
				return (&table->key[i]);
		}
	}
	return (NULL);
}

/* Candidates for a name that is not known, spelled with the name's own components where a prefix has "*". */
struct nearest {
	const char	*word;
	unsigned	 best;
	char		 found[CONFIG_NAME_MAX + 1];
};

static void
consider(struct nearest *near, const char *prefix, size_t plen, const char *key)
{
	char cand[CONFIG_NAME_MAX + 1];
	unsigned d;

	if ((size_t)snprintf(cand, sizeof(cand), "%.*s%s", (int)plen, prefix, key) >= sizeof(cand))
		return;
	d = config_distance(near->word, cand);
	if (d < near->best) {
		near->best = d;
		memcpy(near->found, cand, sizeof(cand));
	}
}

/*
 * Write prefix with each "*" replaced by the component of name at that place, and a dot
 * behind.  false if name has too few.
 */
static bool
instantiate(const char *prefix, const char *name, char *out, size_t size)
{
	size_t len = 0, pl, nl;
	const char *src;

	out[0] = '\0';
	while (*prefix != '\0') {
		pl = comp_len(prefix);
		nl = comp_len(name);
		src = prefix;
		if (pl == 1 && *prefix == '*') {
			if (nl == 0)
				return (false);
			src = name;
		}
		len += (size_t)snprintf(out + len, size - len, "%.*s.", (int)(src == name ? nl : pl), src);
		if (len >= size)
			return (false);
		prefix += pl + (prefix[pl] == '.');
		name += nl + (name[nl] == '.');
	}
	return (true);
}

/* The sentence for a name that no table has. */
static int
unknown_name(struct config *cfg, const char *name, const struct config_origin *origin)
{
	struct nearest near = { .word = name, .best = 2 + (unsigned)(strlen(name) / 3) };
	char prefix[CONFIG_NAME_MAX + 1], sel[CONFIG_NAME_MAX + 1], where[512];
	const struct config_keys *table;
	const struct config_node *node;
	const char *text;
	size_t len;

	for (struct decl *d = cfg->decls; d != NULL; d = d->next) {
		if (!instantiate(d->prefix, name, prefix, sizeof(prefix)))
			continue;
		len = strlen(prefix);
		table = &d->table;
		if (d->selector != NULL) {
			consider(&near, prefix, len, d->selector->name);
			text = NULL;
			if ((size_t)snprintf(sel, sizeof(sel), "%s%s", prefix, d->selector->name) < sizeof(sel) &&
			    (node = find_node(&cfg->root, sel)) != NULL)
				text = node->value;
			table = text != NULL ? d->lookup(text) : NULL;
		}
		for (unsigned i = 0; table != NULL && i < table->nkeys; i++)
			consider(&near, prefix, len, table->key[i].name);
	}
	(void)config_origin_text(origin, where, sizeof(where));
	if (near.found[0] != '\0')
		return (vmm_fail(ENOENT, "%s: unknown key '%s'; did you mean '%s'?", where, name, near.found));
	return (vmm_fail(ENOENT, "%s: unknown key '%s'", where, name));
}

/* A value is one line of text. */
static int
value_ok(const char *name, const char *value, const char *where)
{
	if (strlen(value) > CONFIG_VALUE_MAX)
		return (vmm_fail(E2BIG, "%s: %s: the value is longer than %d bytes", where, name,
		    CONFIG_VALUE_MAX));
	for (const char *p = value; *p != '\0'; p++) {
		if (((unsigned char)*p < 0x20 && *p != '\t') || *p == 0x7f)
			return (vmm_fail(EINVAL, "%s: %s: the value has a control character%s", where, name,
			    *p == '\r' ? " (a carriage return: lines end with a newline only)" : ""));
	}
	return (0);
}

static int
value_error(const char *name, const struct config_origin *origin)
{
	char where[512];
	int error = errno;

	if (origin->source == CONFIG_FROM_DEFAULT)
		return (vmm_fail(error, "%s: %s", name, vmm_errmsg()));
	return (vmm_fail(error, "%s: %s: %s", config_origin_text(origin, where, sizeof(where)), name,
	    vmm_errmsg()));
}

int
config_set(struct config *cfg, const char *name, const char *value, const struct config_origin *origin)
{
	const struct config_key *key;
	struct config_value val;
	struct config_node *node, *n;
	char *copy, *what = NULL, where[512], buf[CONFIG_NAME_MAX + 1];
	bool wait;

	(void)config_origin_text(origin, where, sizeof(where));
	if (!name_ok(name, false)) {
		if (strpbrk(name, " \t") != NULL)
			return (vmm_fail(EINVAL, "%s: '%.64s': a name has no spaces, and none are around the '='",
			    where, name));
		return (vmm_fail(EINVAL, "%s: '%.64s' is not a configuration name", where, name));
	}
	if (value_ok(name, value, where) != 0)
		return (-1);
	/* Only leaves have values. */
	node = find_node(&cfg->root, name);
	if (node != NULL && node->child != NULL)
		return (vmm_fail(EISDIR, "%s: '%s' is a group of keys and has no value", where, name));
	key = find_key(cfg, name, &wait);
	if (key == NULL && !wait)
		return (unknown_name(cfg, name, origin));
	if (key != NULL && strchr(value, '%') == NULL && config_parse_value(key, value, &val) != 0)
		return (value_error(name, origin));

	copy = strdup(value);
	if (origin->what != NULL)
		what = strdup(origin->what);
	node = copy == NULL || (origin->what != NULL && what == NULL) ? NULL : make_node(cfg, name);
	if (node == NULL) {
		free(copy);
		free(what);
		return (vmm_fail(ENOMEM, "%s: %s: out of memory", where, name));
	}
	for (n = node->parent; n != NULL; n = n->parent) {
		if (n->value != NULL) {
			free(copy);
			free(what);
			return (vmm_fail(EISDIR, "%s: %s: '%s' has a value, so nothing can be below it", where, name,
			    config_node_name(n, buf)));
		}
	}
	free_value(node);
	node->value = copy;
	node->origin = *origin;
	node->origin.what = what;
	return (0);
}

void
config_unset(struct config *cfg, const char *name)
{
	struct config_node *node = name_ok(name, false) ? find_node(&cfg->root, name) : NULL;

	if (node != NULL)
		free_value(node);
}

void
config_unset_below(struct config *cfg, const char *name)
{
	struct config_node *node = name_ok(name, false) ? find_node(&cfg->root, name) : NULL;

	if (node == NULL)
		return;
	free_children(node);
	free_value(node);
}

/* A growing string with the limit of values. */
struct text {
	char	*buf;
	size_t	 len, size;
	unsigned substituted;	/* variables so far: nesting alone would allow any number */
};

static int
text_add(struct text *t, const char *s, size_t len)
{
	size_t size;
	char *buf;

	if (t->len + len > CONFIG_VALUE_MAX)
		return (vmm_fail(E2BIG, "the expanded value is longer than %d bytes", CONFIG_VALUE_MAX));
	if (t->len + len + 1 > t->size) {
		size = (t->len + len + 1) * 2;
		buf = realloc(t->buf, size);
		if (buf == NULL)
			return (vmm_fail(ENOMEM, "out of memory"));
		t->buf = buf;
		t->size = size;
	}
	memcpy(t->buf + t->len, s, len);
	t->len += len;
	t->buf[t->len] = '\0';
	return (0);
}

/* Append value to out with %(name) replaced and %% made %. */
static int
expand(struct config *cfg, const char *value, unsigned depth, struct text *out)
{
	const struct config_key *key;
	const struct config_node *node;
	char name[CONFIG_NAME_MAX + 1], def[32];
	const char *end, *text;
	size_t len;
	bool wait;
	int r;

	if (depth > CONFIG_EXPAND_DEPTH)
		return (vmm_fail(ELOOP, "variables refer to each other more than %d deep", CONFIG_EXPAND_DEPTH));
	if (text_add(out, "", 0) != 0)
		return (-1);
	while (*value != '\0') {
		len = strcspn(value, "%");
		if (text_add(out, value, len) != 0)
			return (-1);
		value += len;
		if (*value == '\0')
			break;
		if (value[1] == '%') {
			if (text_add(out, "%", 1) != 0)
				return (-1);
			value += 2;
			continue;
		}
		end = value[1] == '(' ? strchr(value, ')') : NULL;
		len = end != NULL ? (size_t)(end - value) - 2 : 0;
		if (++out->substituted > CONFIG_EXPAND_MAX)
			return (vmm_fail(ELOOP, "more than %d variables in one value", CONFIG_EXPAND_MAX));
		if (end == NULL || len > CONFIG_NAME_MAX)
			return (vmm_fail(EINVAL, "'%.16s': a '%%' begins %%(name), and %%%% stands for one", value));
		memcpy(name, value + 2, len);
		name[len] = '\0';
		value = end + 1;
		if (!name_ok(name, false))
			return (vmm_fail(EINVAL, "%%(%s) does not name a key", name));
		node = find_node(&cfg->root, name);
		key = find_key(cfg, name, &wait);
		if (node != NULL && node->value != NULL) {
			r = expand(cfg, node->value, depth + 1, out);
		} else {
			text = key != NULL ? config_default_text(key, def) : NULL;
			if (text == NULL)
				return (vmm_fail(ENOENT, "%%(%s) is not set", name));
			r = text_add(out, text, strlen(text));
		}
		if (r != 0)
			return (-1);
	}
	return (0);
}

/* The value of a leaf by its full name. */
static int
get_value(struct config *cfg, const char *name, struct config_value *val)
{
	static const struct config_origin by_default = { CONFIG_FROM_DEFAULT, NULL, 0 };
	const struct config_key *key;
	struct config_node *node = find_node(&cfg->root, name);
	struct text t = { NULL, 0, 0, 0 };
	bool wait;

	memset(val, 0, sizeof(*val));
	key = find_key(cfg, name, &wait);
	if (key == NULL)
		return (unknown_name(cfg, name, node != NULL ? &node->origin : &by_default));
	if (node != NULL && node->value != NULL) {
		if (expand(cfg, node->value, 0, &t) != 0 || config_parse_value(key, t.buf, val) != 0) {
			free(t.buf);
			return (value_error(name, &node->origin));
		}
		/* Strings handed out before stay good while nothing changed. */
		if (node->expanded != NULL && strcmp(node->expanded, t.buf) == 0)
			free(t.buf);
		else {
			free(node->expanded);
			node->expanded = t.buf;
		}
		val->text = node->expanded;
		val->origin = node->origin;
		val->set = true;
		return (0);
	}
	if (key->def == config_required)
		return (vmm_fail(EINVAL, "%s: required, but not set: %s", name, key->help));
	val->key = key;
	val->origin = by_default;
	switch (key->type) {
	case CONFIG_INT:
		val->u.i = key->ndef;
		break;
	case CONFIG_SIZE:
	case CONFIG_MEMSIZE:
		val->u.size = (uint64_t)key->ndef;
		break;
	case CONFIG_BOOL:
		val->u.b = key->ndef != 0;
		break;
	default:
		if (key->def != NULL && config_parse_value(key, key->def, val) != 0)
			return (value_error(name, &by_default));
		break;
	}
	return (0);
}

static int
join(const struct config_node *node, const char *name, char full[CONFIG_NAME_MAX + 1])
{
	size_t len;

	(void)config_node_name(node, full);
	len = strlen(full);
	if (len + strlen(name) + 1 > CONFIG_NAME_MAX)
		return (vmm_fail(ENOENT, "'%.64s' is not a configuration name", name));
	(void)snprintf(full + len, CONFIG_NAME_MAX + 1 - len, "%s%s", len != 0 ? "." : "", name);
	return (0);
}

int
config_get(struct config_node *node, const char *name, struct config_value *val)
{
	char full[CONFIG_NAME_MAX + 1];

	memset(val, 0, sizeof(*val));
	if (join(node, name, full) != 0)
		return (-1);
	return (get_value(node->cfg, full, val));
}

const char *
config_str(struct config_node *node, const char *name)
{
	struct config_value val;

	return (config_get(node, name, &val) == 0 ? val.text : NULL);
}

int64_t
config_num(struct config_node *node, const char *name)
{
	struct config_value val;

	if (config_get(node, name, &val) != 0)
		return (0);
	switch (val.key->type) {
	case CONFIG_INT:
		return (val.u.i);
	case CONFIG_SIZE:
	case CONFIG_MEMSIZE:
		return ((int64_t)val.u.size);
	case CONFIG_ENUM:
		return (val.u.choice);
	case CONFIG_BOOL:
		return (val.u.b);
	default:
		return (0);
	}
}

bool
config_bool(struct config_node *node, const char *name)
{
	struct config_value val;

	return (config_get(node, name, &val) == 0 && val.key->type == CONFIG_BOOL && val.u.b);
}

bool
config_is_set(struct config_node *node, const char *name)
{
	char full[CONFIG_NAME_MAX + 1];
	const struct config_node *leaf;

	if (join(node, name, full) != 0)
		return (false);
	leaf = find_node(&node->cfg->root, full);
	return (leaf != NULL && leaf->value != NULL);
}

/* Every value that was set below node: known, and its key's rule holds. */
static int
check_values(struct config_node *node)
{
	char name[CONFIG_NAME_MAX + 1];
	const struct config_key *key;
	struct config_value val;
	bool wait;

	if (node->value != NULL) {
		(void)config_node_name(node, name);
		key = find_key(node->cfg, name, &wait);
		/* In a slot without selector: the missing selector is told by check_required(). */
		if ((key != NULL || !wait) && get_value(node->cfg, name, &val) != 0)
			return (-1);
	}
	for (struct config_node *c = node->child; c != NULL; c = c->next) {
		if (check_values(c) != 0)
			return (-1);
	}
	return (0);
}

/* Call fn for each node below that matches what is left of the pattern. */
static int
each_match(struct config_node *node, const char *pattern, int (*fn)(struct config_node *, const struct decl *,
    void *), const struct decl *d, void *arg)
{
	size_t len = comp_len(pattern);
	int r;

	if (len == 0)
		return (node->value == NULL ? fn(node, d, arg) : 0);
	for (struct config_node *c = node->child; c != NULL; c = c->next) {
		if (!(len == 1 && *pattern == '*') && !(strlen(c->name) == len && memcmp(c->name, pattern, len) == 0))
			continue;
		r = each_match(c, pattern + len + (pattern[len] == '.'), fn, d, arg);
		if (r != 0)
			return (r);
	}
	return (0);
}

/* Whether anything was set in or below a node. */
static bool
in_use(const struct config_node *node)
{
	if (node->value != NULL)
		return (true);
	for (const struct config_node *c = node->child; c != NULL; c = c->next) {
		if (in_use(c))
			return (true);
	}
	return (false);
}

/* The keys of a declaration at one of its nodes; NULL with a sentence for a slot whose selector is wrong. */
static const struct config_keys *
table_at(struct config_node *node, const struct decl *d)
{
	struct config_value val;

	if (d->selector == NULL)
		return (&d->table);
	if (config_get(node, d->selector->name, &val) != 0)
		return (NULL);
	return (val.text != NULL ? d->lookup(val.text) : NULL);
}

static int
check_required(struct config_node *node, const struct decl *d, void *arg)
{
	char name[CONFIG_NAME_MAX + 1], where[512];
	const struct config_keys *table;
	const struct config_node *sel;
	struct config_value val;

	/* A node that was only asked for, as a place for keys, is not a slot that someone filled. */
	if (d->selector != NULL && !in_use(node))
		return (0);
	table = table_at(node, d);
	if (table == NULL) {
		sel = find_node(node, d->selector->name);
		if (sel == NULL || sel->value == NULL)
			return (vmm_fail(EINVAL, "%s.%s: required, but not set: %s",
			    config_node_name(node, name), d->selector->name, d->selector->help));
		return (vmm_fail(EINVAL, "%s: %s.%s: %s", config_origin_text(&sel->origin, where, sizeof(where)),
		    config_node_name(node, name), d->selector->name, vmm_errmsg()));
	}
	for (unsigned i = 0; i < table->nkeys; i++) {
		if (table->key[i].def == config_required && config_get(node, table->key[i].name, &val) != 0)
			return (-1);
	}
	return (0);
}

int
config_check(struct config *cfg)
{
	/* Slots first, so that a wrong selector is told before the keys that do not fit it. */
	for (int slots = 1; slots >= 0; slots--) {
		for (struct decl *d = cfg->decls; d != NULL; d = d->next) {
			if ((d->selector != NULL) != slots)
				continue;
			/* Plain prefixes hold even where no node was made yet. */
			if (!slots && strchr(d->prefix, '*') == NULL && config_node(cfg, d->prefix) == NULL)
				return (-1);
			if (each_match(&cfg->root, d->prefix, check_required, d, NULL) != 0)
				return (-1);
		}
	}
	return (check_values(&cfg->root));
}

int
config_check_node(struct config_node *node)
{
	char name[CONFIG_NAME_MAX + 1];
	const char *rest;

	(void)config_node_name(node, name);
	for (struct decl *d = node->cfg->decls; d != NULL; d = d->next) {
		rest = match_prefix(d->prefix, name);
		if (rest != NULL && *rest == '\0' && check_required(node, d, NULL) != 0)
			return (-1);
	}
	return (check_values(node));
}

struct each {
	struct config	*cfg;
	int		(*fn)(void *, const char *, const struct config_key *, const char *,
			    const struct config_origin *);
	void		*arg;
};

static int
each_key(const struct each *e, const struct config_node *node, const struct config_key *key)
{
	static const struct config_origin by_default = { CONFIG_FROM_DEFAULT, NULL, 0 };
	char name[CONFIG_NAME_MAX + 1], def[32];
	const struct config_node *leaf;

	if (join(node, key->name, name) != 0)
		return (0);
	leaf = find_node(&e->cfg->root, name);
	if (leaf != NULL && leaf->value != NULL)
		return (e->fn(e->arg, name, key, leaf->value, &leaf->origin));
	return (e->fn(e->arg, name, key, config_default_text(key, def), &by_default));
}

static int
each_node(struct config_node *node, const struct decl *d, void *arg)
{
	const struct each *e = arg;
	const struct config_keys *table;
	int r;

	if (d->selector != NULL) {
		if (!in_use(node))
			return (0);
		r = each_key(e, node, d->selector);
		if (r != 0)
			return (r);
	}
	table = table_at(node, d);
	for (unsigned i = 0; table != NULL && i < table->nkeys; i++) {
		r = each_key(e, node, &table->key[i]);
		if (r != 0)
			return (r);
	}
	return (0);
}

static int
each_undeclared(struct config_node *node, const struct each *e)
{
	char name[CONFIG_NAME_MAX + 1];
	bool wait;
	int r;

	if (node->value != NULL) {
		(void)config_node_name(node, name);
		if (find_key(e->cfg, name, &wait) == NULL) {
			r = e->fn(e->arg, name, NULL, node->value, &node->origin);
			if (r != 0)
				return (r);
		}
	}
	for (struct config_node *c = node->child; c != NULL; c = c->next) {
		r = each_undeclared(c, e);
		if (r != 0)
			return (r);
	}
	return (0);
}

int
config_each(struct config *cfg, int (*fn)(void *arg, const char *name, const struct config_key *key,
    const char *text, const struct config_origin *origin), void *arg)
{
	struct each e = { cfg, fn, arg };
	int r;

	for (struct decl *d = cfg->decls; d != NULL; d = d->next) {
		if (strchr(d->prefix, '*') == NULL && config_node(cfg, d->prefix) == NULL)
			return (-1);
		r = each_match(&cfg->root, d->prefix, each_node, d, &e);
		if (r != 0)
			return (r);
	}
	return (each_undeclared(&cfg->root, &e));
}

struct dump {
	FILE		*out;
	unsigned	 flags;
};

static int
dump_one(void *arg, const char *name, const struct config_key *key, const char *text,
    const struct config_origin *origin)
{
	const struct dump *d = arg;
	char where[512];
	int n;

	if (origin->source == CONFIG_FROM_DEFAULT && ((d->flags & CONFIG_DUMP_ALL) == 0 || text == NULL))
		return (0);
	n = fprintf(d->out, "%s=%s", name, text);
	if ((d->flags & CONFIG_DUMP_ORIGIN) != 0)
		(void)fprintf(d->out, "%*s# %s", n > 0 && n < 39 ? 40 - n : 1, "",
		    config_origin_text(origin, where, sizeof(where)));
	(void)fputc('\n', d->out);
	return (0);
}

void
config_dump(struct config *cfg, FILE *out, unsigned flags)
{
	struct dump d = { out, flags };

	(void)config_each(cfg, dump_one, &d);
}
