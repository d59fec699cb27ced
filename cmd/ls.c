/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ls.c - hyve ls and hyve info: which VMs there are, and what one of them is.
 *
 * Whether a VM runs is what its lock says; what it does then it is asked, for a moment only, so that one that hangs does not make these hang.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "cmd.h"
#include "config/json.h"
#include "error.h"
#include "named.h"
#include "options.h"
#include "vm_ask.h"

static const struct own_option own[] = {
	{ "json", NULL, 'j', "as JSON" },
	{ NULL, NULL, 0, NULL },
};

static void
put(json_t *object, const char *key, json_t *value)
{
	(void)json_object_set_new(object, key, value != NULL ? value : json_null());
}

/* "2026-11-30 08:43:12", "" if it is not known. */
static const char *
when_text(int64_t since, char buf[32])
{
	time_t t = (time_t)since;
	struct tm tm;

	buf[0] = '\0';
	if (since != 0 && localtime_r(&t, &tm) != NULL)
		(void)strftime(buf, 32, "%Y-%m-%d %H:%M:%S", &tm);
	return (buf);
}

/* What is known of a VM without its configuration; NULL with a sentence. */
static json_t *
describe(const struct vmdir *dir)
{
	struct vmdir_state state;
	json_t *vm;

	if (vmdir_state(dir, &state) != 0)
		return (NULL);
	vm = json_object();
	put(vm, "name", json_string(dir->name));
	put(vm, "state", json_string(state.running ? vm_ask_status(dir) : "stopped"));
	put(vm, "pid", state.pid != 0 ? json_integer(state.pid) : NULL);
	put(vm, "since", state.since != 0 ? json_integer(state.since) : NULL);
	put(vm, "directory", json_string(dir->path));
	return (vm != NULL ? vm : vmm_fail_null(ENOMEM, "no memory"));
}

static const char *
text_of(const json_t *vm, const char *key)
{
	const char *text = json_string_value(json_object_get(vm, key));

	return (text != NULL ? text : "");
}

static int
list_one(void *arg, const char *name)
{
	struct vmdir *dir = vmdir_open(name);
	json_t *vm = dir != NULL ? describe(dir) : NULL;

	if (vm != NULL)
		(void)json_array_append_new(arg, vm);
	else if (dir != NULL)
		(void)cmd_fail(1, "%s", vmm_errmsg());
	/* One that is gone since the list was made is not there. */
	vmdir_close(dir);
	return (0);
}

int
cmd_ls(const struct verb *verb, int argc, char **argv)
{
	json_t *list, *vm;
	const char *name;
	char found[16], when[32], pid[16];
	size_t i;
	int code;

	if (!options_name(verb, own, argc, argv, true, &name, found, &code))
		return (code);
	if (name != NULL)
		return (cmd_usage(verb, 1));
	list = json_array();
	if (list == NULL || vmdir_each(list_one, list) != 0) {
		json_decref(list);
		return (cmd_fail(1, "%s", vmm_errmsg()));
	}
	if (found[0] == 'j')
		return (cmd_json(list));
	if (json_array_size(list) != 0)
		printf("%-24s %-9s %8s  %s\n", "NAME", "STATE", "PID", "SINCE");
	json_array_foreach(list, i, vm) {
		json_int_t number = json_integer_value(json_object_get(vm, "pid"));

		(void)snprintf(pid, sizeof(pid), number != 0 ? "%" JSON_INTEGER_FORMAT : "-", number);
		printf("%-24s %-9s %8s  %s\n", text_of(vm, "name"), text_of(vm, "state"), pid,
		    when_text((int64_t)json_integer_value(json_object_get(vm, "since")), when));
	}
	json_decref(list);
	return (0);
}

/* The tree that a VM that runs has, else the one that it would start with. */
static json_t *
tree_of(const struct vmdir *dir)
{
	struct config *cfg = named_config(dir);
	json_t *tree = cfg != NULL ? config_to_json(cfg, 0) : NULL;

	config_free(cfg);
	return (tree);
}

static void
print_tree(const json_t *tree, const char *prefix)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)tree, key, value) {
		char name[CONFIG_NAME_MAX + 2], *text;

		(void)snprintf(name, sizeof(name), "%s%s", prefix, key);
		if (json_is_object(value)) {
			(void)strncat(name, ".", sizeof(name) - strlen(name) - 1);
			print_tree(value, name);
			continue;
		}
		/* Numbers and truth as JSON has them, texts without its quotes. */
		text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
		printf("  %s=%s\n", name, text != NULL ? text : json_string_value(value));
		free(text);
	}
}

int
cmd_info(const struct verb *verb, int argc, char **argv)
{
	static const char *const sockets[] = { VMDIR_CONTROL, VMDIR_CONSOLE };
	char found[16], when[32], path[2][sizeof(((struct sockaddr_un *)0)->sun_path)];
	json_t *vm = NULL, *tree = NULL;
	struct vmdir *dir;
	const char *name;
	int code;

	if (!options_name(verb, own, argc, argv, false, &name, found, &code))
		return (code);
	dir = vmdir_open(name);
	if (dir != NULL && (vm = describe(dir)) != NULL)
		tree = tree_of(dir);
	if (tree == NULL || vmdir_socket(dir, sockets[0], path[0]) != 0 || vmdir_socket(dir, sockets[1], path[1]) != 0) {
		json_decref(tree);
		json_decref(vm);
		vmdir_close(dir);
		return (cmd_fail(1, "%s", vmm_errmsg()));
	}
	for (unsigned i = 0; i < 2; i++)
		put(vm, sockets[i], json_string(path[i]));
	if (found[0] == 'j') {
		put(vm, "config", json_incref(tree));
		code = cmd_json(json_incref(vm));
	} else {
		code = 0;
		printf("name:      %s\nstate:     %s\n", dir->name, text_of(vm, "state"));
		if (json_is_integer(json_object_get(vm, "pid")))
			printf("pid:       %" JSON_INTEGER_FORMAT "\nsince:     %s\n", json_integer_value(json_object_get(vm, "pid")),
			    when_text((int64_t)json_integer_value(json_object_get(vm, "since")), when));
		printf("directory: %s\ncontrol:   %s\nconsole:   %s\nkeys:\n", dir->path, path[0], path[1]);
		print_tree(tree, "");
	}
	json_decref(tree);
	json_decref(vm);
	vmdir_close(dir);
	return (code);
}
