/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * monitor.c - what a user of gdb can say to hyve: "monitor COMMAND".
 */
#include <stdio.h>
#include <string.h>

#include "gdb_internal.h"

struct command {
	const char	*name, *args, *help;
	bool		(*fn)(struct gdb *g, const char *args, struct rsp_text *out);	/* false: the answer comes later */
};

static bool help(struct gdb *g, const char *args, struct rsp_text *out);

static bool
info(struct gdb *g, const char *args, struct rsp_text *out)
{
	rsp_add(out, "%s guest on back end %s: %s\n", vm_arch_name(vm_get_arch(g->vm)), vm_accel_name(g->vm), vm_accel_reason(g->vm));
	for (unsigned i = 0; i < g->n; i++) {
		uint64_t pc = 0;

		(void)vm_get_register(g->cpus[i].vcpu, g->target->pc, &pc);
		rsp_add(out, "thread %u, vCPU %u: %s, at %#llx\n", i + 1, i, gdb_state(g, i), (unsigned long long)pc);
	}
	return (true);
}

static bool
physical(struct gdb *g, const char *args, struct rsp_text *out)
{
	if (strcmp(args, "on") == 0 || strcmp(args, "off") == 0)
		g->physical = args[1] == 'n';
	else if (args[0] != '\0')
		rsp_add(out, "physical is on or off, not '%s'\n", args);
	rsp_add(out, "addresses of memory are %s\n", g->physical ? "the guest's physical ones" : "those of the vCPU that is looked at");
	return (true);
}

static bool
power_off(struct gdb *g, const char *args, struct rsp_text *out)
{
	g->owner.power_off(g->owner.arg);
	return (true);
}

static bool
reset(struct gdb *g, const char *args, struct rsp_text *out)
{
	g->owes_reset = true;
	g->owner.reset(g->owner.arg);
	return (false);
}

static const struct command commands[] = {
	{ "help", "", "list these", help },
	{ "info", "", "the guest and its vCPUs", info },
	{ "physical", " [on|off]", "let addresses of memory be physical ones", physical },
	{ "poweroff", "", "end the VM, as if its plug was pulled", power_off },
	{ "reset", "", "reset the machine; it stays stopped ('maintenance flush register-cache' makes gdb look again)", reset },
};
#define	NCOMMANDS	(sizeof(commands) / sizeof(commands[0]))

static bool
help(struct gdb *g, const char *args, struct rsp_text *out)
{
	for (size_t i = 0; i < NCOMMANDS; i++)
		rsp_add(out, "%s%s: %s\n", commands[i].name, commands[i].args, commands[i].help);
	return (true);
}

static const char *
name_at(const void *arg, size_t i)
{
	const struct command *c = arg;

	return (c[i].name);
}

bool
gdb_monitor(struct gdb *g, const char *line, struct rsp_text *out)
{
	char word[32];
	const char *args, *near;
	size_t len;

	line += strspn(line, " ");
	len = strcspn(line, " ");
	args = line + len + strspn(line + len, " ");
	(void)snprintf(word, sizeof(word), "%.*s", (int)(len < sizeof(word) ? len : sizeof(word) - 1), line);
	for (size_t i = 0; i < NCOMMANDS; i++) {
		if (strcmp(commands[i].name, word) == 0)
			return (commands[i].fn(g, args, out));
	}
	near = config_nearest(word, NCOMMANDS, name_at, commands);
	rsp_add(out, "there is no command '%s'%s%s%s; 'monitor help' lists them\n", word, near != NULL ? "; did you mean '" : "",
	    near != NULL ? near : "", near != NULL ? "'?" : "");
	return (true);
}
