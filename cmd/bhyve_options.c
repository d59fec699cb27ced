/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bhyve_options.c - bhyve's options whose arguments have a form of their own.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bhyve.h"
#include "cmd.h"
#include "error.h"

int
bhyve_key(struct bhyve *b, const char *name, const char *text, int n)
{
	return (cmd_config_key(b->tree, name, text, n));
}

/* -c [[cpus=]N][,sockets=N][,cores=N][,threads=N] */
int
bhyve_option_cpus(struct bhyve *b, const char *text, int n)
{
	static const char *const names[] = { "cpus", "sockets", "cores", "threads" };
	char *copy = strdup(text), *next = copy, *item, *value, *name;
	int r = 0;
	size_t i;

	if (copy == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	/* It is the whole of it, as a later -c replaces an earlier one. */
	for (i = 0; i < 4; i++)
		config_unset(b->tree, names[i]);
	while (r == 0 && (item = strsep(&next, ",")) != NULL) {
		if (*item == '\0')
			continue;
		value = strchr(item, '=');
		name = value != NULL ? item : (char *)(uintptr_t)names[0];
		if (value != NULL)
			*value++ = '\0';
		for (i = 0; i < 4 && strcmp(names[i], name) != 0; i++)
			;
		if (i == 4)
			r = vmm_fail(EINVAL, "argument %d: -c '%.64s': there is no '%.32s'; it is [[cpus=]N][,sockets=N][,cores=N][,threads=N]", n,
			    text, name);
		else
			r = bhyve_key(b, name, value != NULL ? value : item, n);
	}
	free(copy);
	return (r);
}

/* A number of a place, up to end; -1: there is none. */
static int
number(const char *text, const char *end, int max)
{
	char *stop;
	long v;

	if (!isdigit((unsigned char)*text))
		return (-1);
	v = strtol(text, &stop, 10);
	return (stop == end && v <= max ? (int)v : -1);
}

/* "[bus:]slot[:func]", where one colon is the one before func. */
static int
parse_place(const char *text, int place[3])
{
	const char *colon[2] = { strchr(text, ':'), NULL }, *end = text + strlen(text);

	place[0] = place[2] = 0;
	if (colon[0] == NULL) {
		place[1] = number(text, end, 31);
	} else if ((colon[1] = strchr(colon[0] + 1, ':')) == NULL) {
		place[1] = number(text, colon[0], 31);
		place[2] = number(colon[0] + 1, end, 7);
	} else {
		place[0] = number(text, colon[0], 255);
		place[1] = number(colon[0] + 1, colon[1], 31);
		place[2] = number(colon[1] + 1, end, 7);
	}
	return (place[0] < 0 || place[1] < 0 || place[2] < 0 ? -1 : 0);
}

static int
add_slot(struct bhyve *b, char *text, int n)
{
	const struct bhyve_emulation *e;
	char node[32], device[48], where[2][512], *at = strsep(&text, ","), *name = strsep(&text, ",");
	const struct config_origin here = { .source = CONFIG_FROM_ARGUMENT, .number = (unsigned)n };
	struct config_value before;
	int place[3], error;

	if (parse_place(at, place) != 0)
		return (vmm_fail(EINVAL, "argument %d: -s '%.64s' is no place: [BUS:]SLOT[:FUNCTION], with buses 0 to 255, slots 0 to 31 and functions "
		    "0 to 7", n, at));
	if (name == NULL || *name == '\0')
		return (vmm_fail(EINVAL, "argument %d: -s %s: no device is named; '-s help' lists them", n, at));
	(void)snprintf(node, sizeof(node), "pci.%d.%d.%d", place[0], place[1], place[2]);
	(void)snprintf(device, sizeof(device), "%s.device", node);
	if (config_get(config_node(b->tree, ""), device, &before) == 0 && before.set)
		return (vmm_fail(EEXIST, "%s: slot %d:%d:%d has '%.64s' already, from %s", config_origin_text(&here, where[0], sizeof(where[0])),
		    place[0], place[1], place[2], before.text, config_origin_text(&before.origin, where[1], sizeof(where[1]))));
	if (bhyve_device_keys(name) == NULL)
		return (vmm_fail(errno, "argument %d: -s %s: %s", n, at, vmm_errmsg()));
	if (bhyve_key(b, device, name, n) != 0)
		return (-1);
	e = bhyve_emulation_find(name);
	if (text == NULL && (e == NULL || e->parse == NULL))
		return (0);
	if (e == NULL)
		return (vmm_fail(EINVAL, "argument %d: -s %s: bhyve has no %s; set hyve's keys of it by -o %s.KEY=VALUE", n, at, name, node));
	if (e->parse(b, e, node, text, n) == 0)
		return (0);
	/* What a key says has where it is from already. */
	error = errno;
	if (strncmp(vmm_errmsg(), "argument ", 9) == 0)
		return (-1);
	return (vmm_fail(error, "argument %d: -s %s: %s", n, at, vmm_errmsg()));
}

int
bhyve_option_slot(struct bhyve *b, const char *text, int n)
{
	char *copy = strdup(text);
	int r;

	if (copy == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	r = add_slot(b, copy, n);
	free(copy);
	return (r);
}

/* The devices of -l, with the keys of their parameters. */
static const struct lpc {
	const char	*name, *help;
	const char	*key[2];
	const char	*say;		/* it is refused */
} lpcs[] = {
	{ "bootrom", "FILE[,VARIABLES]  firmware; BHYVE_UEFI.fd stands for the installed one", { "bootrom", "bootvars" }, NULL },
	{ "com1", "stdio|DEVICE  serial port", { "lpc.com1.path", NULL }, NULL },
	{ "com2", "", { "lpc.com2.path", NULL }, NULL },
	{ "com3", "", { "lpc.com3.path", NULL }, NULL },
	{ "com4", "", { "lpc.com4.path", NULL }, NULL },
	{ "fwcfg", "bhyve|qemu", { "lpc.fwcfg", NULL }, NULL },
	{ "pc-testdev", "", { NULL, NULL }, NULL },
	{ "tpm", "", { NULL, NULL }, "hyve has no TPM yet" },
};

#define	NLPC	(sizeof(lpcs) / sizeof(lpcs[0]))

static const char *
lpc_name(const void *arg, size_t i)
{
	return (lpcs[i].name);
}

static int
add_lpc(struct bhyve *b, char *text, int n)
{
	char *name = strsep(&text, ","), *value;
	const struct lpc *l = NULL;
	const char *near;

	for (size_t i = 0; i < NLPC && l == NULL; i++)
		l = strcmp(lpcs[i].name, name) == 0 ? &lpcs[i] : NULL;
	if (l == NULL) {
		near = config_nearest(name, NLPC, lpc_name, NULL);
		return (near != NULL ? vmm_fail(ENOENT, "argument %d: -l: unknown device '%.64s'; did you mean '%s'?", n, name, near) :
		    vmm_fail(ENOENT, "argument %d: -l: unknown device '%.64s'; '-l help' lists them", n, name));
	}
	if (l->say != NULL)
		return (vmm_fail(ENOTSUP, "argument %d: -l %s: %s", n, name, l->say));
	if (l->key[0] == NULL)
		return (bhyve_key(b, "lpc.pc-testdev", "true", n));
	for (unsigned i = 0; i < 2 && l->key[i] != NULL; i++) {
		value = strsep(&text, ",");
		if (i == 0 && (value == NULL || *value == '\0'))
			return (vmm_fail(EINVAL, "argument %d: -l %s: there is nothing behind it: -l %s,%s", n, name, name, l->help));
		if (value != NULL && *value != '\0' && bhyve_key(b, l->key[i], value, n) != 0)
			return (-1);
	}
	if (text != NULL)
		return (vmm_fail(EINVAL, "argument %d: -l %s: nobody knows what '%.64s' is for", n, name, text));
	return (0);
}

int
bhyve_option_lpc(struct bhyve *b, const char *text, int n)
{
	char *copy = strdup(text);
	int r;

	if (copy == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	r = add_lpc(b, copy, n);
	free(copy);
	return (r);
}

/* -G [w][address:]port */
int
bhyve_option_gdb(struct bhyve *b, const char *text, int n)
{
	const char *colon;
	char address[64];

	if (*text == 'w') {
		if (bhyve_key(b, "gdb.wait", "true", n) != 0)
			return (-1);
		text++;
	}
	colon = strrchr(text, ':');
	if (colon != NULL) {
		(void)snprintf(address, sizeof(address), "%.*s", (int)(colon - text), text);
		if (bhyve_key(b, "gdb.address", address, n) != 0)
			return (-1);
		text = colon + 1;
	}
	return (bhyve_key(b, "gdb.port", text, n));
}

/* -p vcpu:hostcpu adds to the vCPU's set. */
int
bhyve_option_pin(struct bhyve *b, const char *text, int n)
{
	const char *colon = strchr(text, ':'), *before;
	char name[48], set[CONFIG_VALUE_MAX / 16];
	int vcpu = colon != NULL ? number(text, colon, 65535) : -1, cpu = colon != NULL ? number(colon + 1, text + strlen(text), 65535) : -1;

	if (vcpu < 0 || cpu < 0)
		return (vmm_fail(EINVAL, "argument %d: -p '%.64s' is not of the form VCPU:HOSTCPU", n, text));
	(void)snprintf(name, sizeof(name), "vcpu.%d.cpuset", vcpu);
	before = config_str(config_node(b->tree, ""), name);
	if ((size_t)snprintf(set, sizeof(set), "%s%s%d", before != NULL ? before : "", before != NULL ? "," : "", cpu) >= sizeof(set))
		return (vmm_fail(E2BIG, "argument %d: -p: there are too many for vCPU %d", n, vcpu));
	return (bhyve_key(b, name, set, n));
}

/* -f name,[string|file]=data is the next item for firmware. */
int
bhyve_option_fwcfg(struct bhyve *b, const char *text, int n)
{
	const char *comma = strchr(text, ',');
	char key[48], *name;
	const char *what = comma == NULL ? NULL : strncmp(comma + 1, "string=", 7) == 0 ? "string" : strncmp(comma + 1, "file=", 5) == 0 ? "file" : NULL;
	int r;

	if (what == NULL)
		return (vmm_fail(EINVAL, "argument %d: -f '%.64s' is not of the form NAME,string=TEXT or NAME,file=PATH", n, text));
	name = strndup(text, (size_t)(comma - text));
	if (name == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	(void)snprintf(key, sizeof(key), "firmware.item.%u.name", b->nitems);
	r = bhyve_key(b, key, name, n);
	free(name);
	(void)snprintf(key, sizeof(key), "firmware.item.%u.%s", b->nitems++, what);
	return (r == 0 ? bhyve_key(b, key, strchr(comma, '=') + 1, n) : -1);
}

void
bhyve_help_slots(void)
{
	const struct bhyve_emulation *e;

	for (unsigned i = 0; (e = bhyve_emulation_at(i)) != NULL; i++) {
		if (e->fate == BHYVE_DEVICE)
			printf("%s%s%s\n", e->name, *e->help != '\0' ? "," : "", e->help);
		else
			printf("%s  (%s: %s)\n", e->name, e->fate == BHYVE_REFUSED ? "refused" : e->fate == BHYVE_IGNORED ? "left out" : "the machine's own",
			    e->say);
	}
}

void
bhyve_help_lpc(void)
{
	for (size_t i = 0; i < NLPC; i++)
		printf("%s%s%s\n", lpcs[i].name, *lpcs[i].help != '\0' ? "," : "", lpcs[i].help);
}
