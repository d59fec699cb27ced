/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * create.c - hyve create, hyve delete: a VM's directory comes and goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "error.h"
#include "named.h"
#include "options.h"
#include "vm_run.h"

static const struct vm_run_options here = { .who = "hyve create" };

/* Paths that were given where somebody was, for a process that is somewhere else. */
struct relative {
	struct relative	*next;
	char		*text;		/* as it was set */
	char		 name[CONFIG_NAME_MAX + 1];
};

/* Whether a value is a path, and one that depends on the current folder. */
static bool
is_relative(const char *name, const struct config_key *key, const char *text)
{
	static const char *const words[] = { "stdio", "null", "uefi", "bios" };

	if (text[0] == '/' || strstr(text, "://") != NULL || strncmp(text, "nbd+unix:", 9) == 0 || strstr(text, "%(") != NULL)
		return (false);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(text, words[i]) == 0)
			return (false);
	}
	return (key->type == CONFIG_PATH || strcmp(name, "firmware.code") == 0);
}

static int
find_relative(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	struct relative **list = arg, *r;

	if (key == NULL || text == NULL || origin->source == CONFIG_FROM_DEFAULT || !is_relative(name, key, text))
		return (0);
	r = calloc(1, sizeof(*r));
	if (r == NULL || (r->text = strdup(text)) == NULL) {
		free(r);
		return (vmm_fail(ENOMEM, "no memory"));
	}
	(void)snprintf(r->name, sizeof(r->name), "%s", name);
	r->next = *list;
	*list = r;
	return (0);
}

/* The current folder as the text of a key: percent signs are doubled. */
static char *
cwd_text(void)
{
	char *cwd = getcwd(NULL, 0), *text = cwd != NULL ? malloc(2 * strlen(cwd) + 1) : NULL, *to = text;

	if (text == NULL)
		return (vmm_fail_sys(errno, "the current folder") == 0 ? text : NULL);
	for (const char *from = cwd; *from != '\0'; from++) {
		if (*from == '%')
			*to++ = '%';
		*to++ = *from;
	}
	*to = '\0';
	free(cwd);
	return (text);
}

/* Set a key anew, keeping its origin. */
static int
prepend(struct config *cfg, const struct relative *r, const char *cwd)
{
	struct config_value val;
	struct config_origin origin;
	char *text = NULL, *what = NULL;
	int ret = -1;

	if (config_get(config_node(cfg, ""), r->name, &val) != 0)
		return (-1);
	origin = val.origin;
	if (asprintf(&text, "%s/%s", cwd, r->text) < 0)
		return (vmm_fail(ENOMEM, "no memory"));
	if (origin.what != NULL && (what = strdup(origin.what)) == NULL)
		(void)vmm_fail(ENOMEM, "no memory");
	else {
		origin.what = what;
		ret = config_set(cfg, r->name, text, &origin);
	}
	free(what);
	free(text);
	return (ret);
}

static int
make_absolute(struct config *cfg)
{
	struct relative *list = NULL, *next;
	char *cwd = cwd_text();
	int ret = cwd == NULL ? -1 : config_each(cfg, find_relative, &list);

	for (; list != NULL; list = next) {
		next = list->next;
		if (ret == 0)
			ret = prepend(cfg, list, cwd);
		free(list->text);
		free(list);
	}
	free(cwd);
	return (ret);
}

/* Write the keys, all of them or none. */
static int
write_conf(struct vmdir *dir, const char *text, size_t len)
{
	static const char new[] = VMDIR_CONF ".new";
	int fd = openat(dir->fd, new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	ssize_t n = fd >= 0 ? write(fd, text, len) : -1;

	if (n == (ssize_t)len && fsync(fd) == 0 && close(fd) == 0 && renameat(dir->fd, new, dir->fd, VMDIR_CONF) == 0 && fsync(dir->fd) == 0)
		return (0);
	if (n >= 0 && n != (ssize_t)len)
		errno = ENOSPC;
	return (vmm_fail_sys(errno, "cannot write '%s/" VMDIR_CONF "'", dir->path));
}

/* Whether it has keys already; then with a sentence. */
static bool
is_made(const struct vmdir *dir)
{
	if (faccessat(dir->fd, VMDIR_CONF, F_OK, 0) != 0)
		return (false);
	(void)vmm_fail(EEXIST, "there is a VM '%s' already, in '%s'", dir->name, dir->path);
	return (true);
}

struct vmdir *
named_create(const char *name, struct config *cfg)
{
	static const struct config_origin origin = { CONFIG_FROM_CODE, "hyve create", 0 };
	struct vmdir *dir = NULL;
	char *text = NULL;
	size_t len = 0;
	FILE *out;

	if (vmdir_check_name(name) != 0 || config_set(cfg, "name", name, &origin) != 0 || make_absolute(cfg) != 0)
		return (NULL);
	out = open_memstream(&text, &len);
	if (out == NULL)
		return (vmm_fail_null(ENOMEM, "no memory"));
	/* Before the defaults come in: those are chosen when it starts. */
	config_dump(cfg, out, 0);
	if (fclose(out) == 0 && check_vm(cfg, &here) == 0)
		dir = vmdir_create(name);
	/* Another create of that name may be at it, or done by now: then nothing is removed. */
	if (dir != NULL && (vmdir_lock(dir) != 0 || is_made(dir))) {
		int error = errno;

		vmdir_close(dir);
		dir = NULL;
		errno = error;
	}
	if (dir != NULL && write_conf(dir, text, len) != 0) {
		char *why = strdup(vmm_errmsg());

		(void)vmdir_remove(dir);
		vmdir_close(dir);
		dir = NULL;
		(void)vmm_fail(errno, "%s", why != NULL ? why : "no memory");
		free(why);
	}
	free(text);
	return (dir);
}

int
cmd_create(const struct verb *verb, int argc, char **argv)
{
	struct config *cfg = cmd_config_new();
	struct vmdir *dir = NULL;
	struct options o;
	int opt, code;

	if (cfg == NULL || options_init(&o, verb, cfg, true, NULL) != 0) {
		config_free(cfg);
		return (cmd_fail(1, "%s", vmm_errmsg()));
	}
	opt = options_next(&o, argc, argv);
	if (opt == 'h')
		code = options_help(&o);
	else if (opt == '?' || (opt == -1 && optind == argc))
		code = cmd_usage(verb, 1);
	else {
		const char *name = argv[optind++];

		if (opt == -1 && options_images(&o, argc, argv) == 0)
			dir = named_create(name, cfg);
		code = dir != NULL ? 0 : cmd_fail(1, "%s", vmm_errmsg());
	}
	vmdir_close(dir);
	options_fini(&o);
	config_free(cfg);
	return (code);
}

int
cmd_delete(const struct verb *verb, int argc, char **argv)
{
	struct vmdir *dir;
	const char *name;
	char found[16];
	int code;

	if (!options_name(verb, NULL, argc, argv, false, &name, found, &code))
		return (code);
	dir = vmdir_open(name);
	code = dir == NULL || vmdir_lock(dir) != 0 || vmdir_remove(dir) != 0 ? cmd_fail(1, "%s", vmm_errmsg()) : 0;
	vmdir_close(dir);
	return (code);
}
