/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - hyve run: a VM described by options, run here or, with -d, made and started.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd.h"
#include "error.h"
#include "named.h"
#include "options.h"
#include "vm_run.h"

/* -d: a VM with a directory, named by key name. */
static int
run_detached(struct config *cfg)
{
	struct config_value val;
	struct vmdir *dir;
	char *name;
	int code;

	if (config_get(config_node(cfg, ""), "name", &val) != 0)
		return (cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg()));
	if (val.text == NULL)
		return (cmd_fail(EXIT_VM_ERROR, "a VM that is detached needs a name, to find it by: --name NAME"));
	/* It is set anew. */
	name = strdup(val.text);
	if (name == NULL)
		return (cmd_fail(EXIT_VM_ERROR, "no memory"));
	dir = named_create(name, cfg);
	if (dir == NULL && errno == EEXIST)
		code = cmd_fail(EXIT_VM_ERROR, "%s; 'hyve start %s' starts it, 'hyve delete %s' removes it", vmm_errmsg(), name, name);
	else if (dir == NULL)
		code = cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	else if ((code = named_start(dir, true)) != 0)
		/* Its log is there, and what is wrong may be somewhere else. */
		fprintf(stderr, "hyve: the VM was made all the same: 'hyve start %s' tries it again, 'hyve delete %s' removes it\n", name, name);
	free(name);
	vmdir_close(dir);
	return (code);
}

int
cmd_run(const struct verb *verb, int argc, char **argv)
{
	static const struct own_option own[] = {
		{ "detach", NULL, 'd', "make a VM of that name (hyve create) and start it (hyve start); needs --name" },
		{ NULL, NULL, 0, NULL },
	};
	static const struct vm_run_options plain = { .who = "hyve run" };
	struct config *cfg = cmd_config_new();
	struct options o;
	bool detach = false;
	int opt, code = -1;

	if (cfg == NULL || options_init(&o, verb, cfg, true, own) != 0) {
		config_free(cfg);
		return (cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg()));
	}
	while (code < 0 && (opt = options_next(&o, argc, argv)) != -1) {
		if (opt == 'd')
			detach = true;
		else if (opt == 'h') {
			code = options_help(&o);
			puts("\nExit codes: 0 reset, 1 powered off, 2 halted, 3 triple fault, 4 error.");
		} else
			code = opt == '!' ? cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg()) : cmd_usage(verb, EXIT_VM_ERROR);
	}
	if (code < 0 && options_images(&o, argc, argv) != 0)
		code = cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	if (code < 0)
		code = detach ? run_detached(cfg) : run_vm(cfg, &plain);
	options_fini(&o);
	config_free(cfg);
	return (code);
}
