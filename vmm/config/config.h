/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.h - the configuration of one VM: a tree of typed keys with dotted names.
 *
 * Every way in (command line, file, control socket, a machine's own choice) writes the same
 * tree; the last one wins, and each value knows where it came from.  Keys are declared in
 * tables; a name that no table has is an error that tells the nearest one.
 *
 * Order of use: declare, then set, then check, then read.  Declared tables are the caller's and
 * must outlive the tree.  A tree belongs to one thread at a time.  Functions that can fail
 * return -1 or NULL with errno and a sentence in vmm_errmsg().
 */
#ifndef _HYVE_CONFIG_H_
#define	_HYVE_CONFIG_H_

#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define	CONFIG_NAME_MAX		127	/* bytes of a full dotted name */
#define	CONFIG_DEPTH_MAX	8	/* components of it */
#define	CONFIG_VALUE_MAX	65535	/* bytes of a value, before and after expansion */
#define	CONFIG_EXPAND_DEPTH	16	/* %(a) names b names c ... */
#define	CONFIG_EXPAND_MAX	1024	/* variables replaced for one value, nested ones included */

enum config_type {
	CONFIG_STRING,		/* min and max: length in bytes */
	CONFIG_PATH,		/* of the host; not empty */
	CONFIG_INT,		/* strtol(3) base 0, in [min, max] */
	CONFIG_BOOL,		/* true on yes 1, false off no 0, any case */
	CONFIG_SIZE,		/* bytes; K, M, G, T multiply by powers of 1024; in [min, max] */
	CONFIG_MEMSIZE,		/* the same, but a bare number below 1 MiB counts MiB (vm_parse_memsize()) */
	CONFIG_ENUM,		/* one of choices */
	CONFIG_MAC,		/* 02:00:5e:10:00:01, unicast */
	CONFIG_CPUSET,		/* 0-3,8 */
	CONFIG_UUID,		/* 8-4-4-4-12 hexadecimal digits */
};

/* A declared key.  The macros below fill it in. */
struct config_key {
	const char	*name;		/* dotted, relative to where its table is declared */
	enum config_type type;
	const char	*def;		/* default as text; NULL: unset; config_required: must be set */
	int64_t		 ndef;		/* INT, SIZE, MEMSIZE, BOOL: the default (then def is NULL) */
	int64_t		 min, max;
	const char *const *choices;	/* ENUM: NULL-terminated */
	const char	*help;		/* one line, no capital, no dot */
};

/* As default: there is none, and check fails if the key was not set. */
extern const char config_required[];
#define	REQUIRED	config_required

#define	KEY_STRING(n, d, h)							\
	{ .name = (n), .type = CONFIG_STRING, .def = (d), .max = CONFIG_VALUE_MAX, .help = (h) }
#define	KEY_PATH(n, d, h)							\
	{ .name = (n), .type = CONFIG_PATH, .def = (d), .min = 1, .max = PATH_MAX - 1, .help = (h) }
#define	KEY_INT(n, d, lo, hi, h)						\
	{ .name = (n), .type = CONFIG_INT, .ndef = (d), .min = (lo), .max = (hi), .help = (h) }
#define	KEY_BOOL(n, d, h)							\
	{ .name = (n), .type = CONFIG_BOOL, .ndef = (d), .min = 0, .max = 1, .help = (h) }
#define	KEY_SIZE(n, d, lo, hi, h)						\
	{ .name = (n), .type = CONFIG_SIZE, .ndef = (d), .min = (lo), .max = (hi), .help = (h) }
#define	KEY_MEMSIZE(n, d, lo, hi, h)						\
	{ .name = (n), .type = CONFIG_MEMSIZE, .ndef = (d), .min = (lo), .max = (hi), .help = (h) }
#define	KEY_ENUM(n, d, c, h)							\
	{ .name = (n), .type = CONFIG_ENUM, .def = (d), .choices = (c), .help = (h) }
#define	KEY_MAC(n, d, h)							\
	{ .name = (n), .type = CONFIG_MAC, .def = (d), .help = (h) }
#define	KEY_CPUSET(n, d, h)							\
	{ .name = (n), .type = CONFIG_CPUSET, .def = (d), .help = (h) }
#define	KEY_UUID(n, d, h)							\
	{ .name = (n), .type = CONFIG_UUID, .def = (d), .help = (h) }

/* A table of keys, as devices have one. */
struct config_keys {
	const struct config_key *key;
	unsigned	 nkeys;
};

/* Where a value came from. */
enum config_source {
	CONFIG_FROM_DEFAULT,
	CONFIG_FROM_FILE,	/* what: file name; number: line */
	CONFIG_FROM_ARGUMENT,	/* number: of the argument */
	CONFIG_FROM_SOCKET,
	CONFIG_FROM_CODE,	/* what: who set it, for people ("--image") */
};

struct config_origin {
	enum config_source source;
	const char	*what;		/* copied by config_set(); may be NULL */
	unsigned	 number;
};

struct config;
struct config_node;	/* a name in the tree: a group or a leaf */

/* The keys of a VM itself, whatever its machine is. */
extern const struct config_keys config_global_keys;
/* And of its vCPU N, below "vcpu.N". */
extern const struct config_keys config_vcpu_keys;

/*
 * Make an empty tree with nothing declared.  NULL with errno ENOMEM.
 */
struct config *config_new(void);

/*
 * Free the tree, its nodes and every string got from it.  NULL is ignored.
 */
void	config_free(struct config *cfg);

/*
 * Declare the keys of table under prefix, "" for the root.  A component "*" of the prefix
 * stands for any one component, so that ("port.*", keys) declares port.0.path and port.1.path.
 * Later declarations of the same name lose.  Fails with EINVAL for a malformed prefix, with
 * ENOMEM.
 */
int	config_declare(struct config *cfg, const char *prefix, const struct config_keys *table);

/*
 * Declare slots: each node that matches pattern has a key named selector whose value picks the
 * table of its other keys, as pci.0.4.0.device=virtio-blk does.  lookup returns the table, or
 * NULL with a sentence in vmm_errmsg() when no such thing exists.  Keys of a slot may be set
 * before its selector; they are checked by config_check().
 */
int	config_declare_slots(struct config *cfg, const char *pattern, const struct config_key *selector,
	    const struct config_keys *(*lookup)(const char *value));

/*
 * Set the key called name to the text value, replacing what was there.  The text is checked at
 * once unless it has to wait: for %(var), or for a slot's selector.  An empty value is allowed
 * where the type has one.
 *
 * Errors: ENOENT (no such key; the sentence has the nearest), EINVAL (the value breaks the
 * key's rule, or the name is malformed), EISDIR (the name is a group), E2BIG (too long),
 * ENOMEM.  On failure the tree is as before.
 */
int	config_set(struct config *cfg, const char *name, const char *value, const struct config_origin *origin);

/*
 * Set from the text "name=value", as -o and --set take it.
 */
int	config_set_text(struct config *cfg, const char *text, const struct config_origin *origin);

/*
 * Forget what was set for name, so that its default holds again.  Unset names are ignored.
 */
void	config_unset(struct config *cfg, const char *name);

/*
 * Forget what was set for name and everything below it.  Nobody may have a node below it, or a string got from there.
 */
void	config_unset_below(struct config *cfg, const char *name);

/*
 * Read a file of lines name=value; blank lines and lines that begin with '#' are skipped,
 * nothing is trimmed.  A file whose first byte that is not blank is '{' is JSON (json.h).
 * Stops at the first error, whose sentence has file and line.  Errors of open(2) and read(2),
 * those of config_set() and of config_load_json().
 */
int	config_load_file(struct config *cfg, const char *path);

/*
 * The same for text in memory that is called what in origins.
 */
int	config_load_text(struct config *cfg, const char *what, const char *text, size_t len);

/*
 * After the last set: expand every value, check it, look every name up, and see that required
 * keys are there.  Once this has succeeded, reading cannot fail.
 */
int	config_check(struct config *cfg);

/*
 * The node called name ("" the root), made if it is missing.  It is the place that a device
 * reads its keys from.  NULL with errno EINVAL (malformed), EISDIR (name is a leaf with a
 * value), ENOMEM.  The tree owns it.
 */
struct config_node *config_node(struct config *cfg, const char *name);

/*
 * The full name of a node, written to buf, which is returned.
 */
const char *config_node_name(const struct config_node *node, char buf[CONFIG_NAME_MAX + 1]);

/*
 * The same rules as config_check() for one node's keys only: for a device that is made after
 * the tree was checked.
 */
int	config_check_node(struct config_node *node);

/* A parsed value. */
struct config_value {
	const struct config_key *key;
	const char	*text;		/* expanded; NULL: unset and without default */
	struct config_origin origin;
	bool		 set;		/* not the default */
	union {
		int64_t		i;	/* INT */
		uint64_t	size;	/* SIZE, MEMSIZE */
		bool		b;
		unsigned	choice;	/* ENUM: index in choices */
		uint8_t		mac[6];
		uint8_t		uuid[16];	/* in the order of the text */
		cpu_set_t	cpus;
	} u;
};

/*
 * The value of the key that is called name below node: the one set, else the default.  Strings
 * in *val live until the key is set again or the tree is freed; they are also what config_str()
 * returns.
 *
 * Errors: ENOENT (not declared), and what config_check() would have found.
 */
int	config_get(struct config_node *node, const char *name, struct config_value *val);

/*
 * The value alone, for a declared key after a successful check.  For anything else they return
 * NULL, 0 or false.  config_num() is for INT, SIZE, MEMSIZE, ENUM (the index) and BOOL (0 or 1).
 */
const char *config_str(struct config_node *node, const char *name);
int64_t	config_num(struct config_node *node, const char *name);
bool	config_bool(struct config_node *node, const char *name);

/*
 * Whether the key was set, not defaulted.
 */
bool	config_is_set(struct config_node *node, const char *name);

/*
 * Parse text by key's rule into *val (key, text and u).  Errors: EINVAL, with a sentence that
 * says the rule.
 */
int	config_parse_value(const struct config_key *key, const char *text, struct config_value *val);

/*
 * A key's default as text in buf, NULL if it has none.
 */
const char *config_default_text(const struct config_key *key, char buf[32]);

/*
 * A key's rule for people ("an integer from 1 to 64", "one of auto, kvm, soft") in buf, which
 * is returned.
 */
const char *config_rule_text(const struct config_key *key, char *buf, size_t size);

/*
 * Call fn for every declared key in order of declaration, for slots and patterns once for each
 * node that is there, and then for what was set without a declaration (key NULL).  text is
 * unexpanded and NULL if unset without default.  Stops when fn returns nonzero, and returns
 * that.
 */
int	config_each(struct config *cfg, int (*fn)(void *arg, const char *name, const struct config_key *key,
	    const char *text, const struct config_origin *origin), void *arg);

#define	CONFIG_DUMP_ALL		0x01	/* defaults too */
#define	CONFIG_DUMP_ORIGIN	0x02	/* with the origin of each value behind it */

/*
 * Print the tree, a line per value.  Without CONFIG_DUMP_ORIGIN the output can be loaded again.
 */
void	config_dump(struct config *cfg, FILE *out, unsigned flags);

/*
 * An origin in words in buf, which is returned: "default", "vm.conf:3", "argument 2", "control
 * socket".
 */
const char *config_origin_text(const struct config_origin *origin, char *buf, size_t size);

/*
 * Of n names the one that is nearest to word by Damerau-Levenshtein distance (optimal string
 * alignment), NULL if none is near enough to be what was meant.  name(arg, i) returns the i-th.
 */
const char *config_nearest(const char *word, size_t n, const char *(*name)(const void *arg, size_t i),
	    const void *arg);

/*
 * The distance itself, cut off at CONFIG_NAME_MAX characters.
 */
unsigned config_distance(const char *a, const char *b);

#endif /* _HYVE_CONFIG_H_ */
