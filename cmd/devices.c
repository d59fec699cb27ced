/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devices.c - hyve devices: what the device classes say about themselves.
 */
#include <stdio.h>
#include <string.h>

#include "cmd.h"
#include "device.h"
#include "error.h"
#include "options.h"
#include "trace.h"

static const struct {
	unsigned	 bit;
	const char	*name;
} buses[] = {
	{ DEVICE_ON_MMIO, "MMIO" },
	{ DEVICE_ON_IO, "I/O ports" },
	{ DEVICE_ON_PCI, "PCI" },
	{ DEVICE_ON_VIRTIO, "a virtio transport" },
};

/* "MMIO or I/O ports". */
static const char *
on_text(const struct device_class *cls, char *buf, size_t size)
{
	int len = 0;

	buf[0] = '\0';
	for (unsigned i = 0; i < sizeof(buses) / sizeof(buses[0]); i++) {
		if ((cls->on & buses[i].bit) != 0)
			len += snprintf(buf + len, size - (size_t)len, "%s%s", len != 0 ? " or " : "", buses[i].name);
	}
	return (buf);
}

/* hyve-devices(7). */
static void
mdoc(void)
{
	const struct device_class *cls;
	char on[64];

	puts(".\\\" SPDX-License-Identifier: BSD-2-Clause\n"
	    ".\\\" Generated from the device tables by 'hyve devices --mdoc'.\n"
	    ".Dd November 23, 2026\n.Dt HYVE-DEVICES 7\n.Os\n"
	    ".Sh NAME\n.Nm hyve-devices\n.Nd device models of hyve and their configuration keys\n"
	    ".Sh DESCRIPTION\n"
	    "Each device model has keys of its own, below the name of the place where it is.\n"
	    "The rules for values are in\n.Xr hyve-config 5 .");
	for (unsigned i = 0; (cls = device_class_at(i)) != NULL; i++) {
		printf(".Ss %s\nThe device\n.Cm %s\nis a %s.\nIt is attached to %s.\n", cls->name, cls->name, cls->doc,
		    on_text(cls, on, sizeof(on)));
		if (cls->keys.nkeys == 0) {
			puts("It has no keys.");
			continue;
		}
		puts(".Bl -tag -width sectorsize");
		for (unsigned k = 0; k < cls->keys.nkeys; k++)
			cmd_mdoc_key("", &cls->keys.key[k]);
		puts(".El");
	}
	puts(".Sh TRACE POINTS\n"
	    "What a VM does at one of these is printed if key\n.Va trace\nor option\n.Fl -trace\nnames it, or a client of the control socket by\n.Ic trace-event-set-state\n.Pq Xr hyve-qmp 7 .\n"
	    "Where the host's headers had them when hyve was built, they are probes of the host too, of provider\n.Cm hyve ,\nwith\n.Ql __\nfor the dot;\n"
	    "those of\n.Cm device.read\nand\n.Cm device.write\nare met only while one of the two is printed.\n"
	    ".Bl -tag -width virtio.notify");
	for (unsigned i = 0; trace_name(i) != NULL; i++)
		printf(".It Cm %s\n%s\n", trace_name(i), trace_help(i));
	puts(".El");
	puts(".Sh SEE ALSO\n.Xr hyve 1 ,\n.Xr hyve-config 5 ,\n.Xr hyve-qmp 7");
}

static void
list(void)
{
	const struct device_class *cls;
	char on[64];

	for (unsigned i = 0; (cls = device_class_at(i)) != NULL; i++)
		printf("%-16s %-20s %s\n", cls->name, on_text(cls, on, sizeof(on)), cls->doc);
}

static void
show(const struct device_class *cls)
{
	char on[64], rule[256], def[32];
	const struct config_key *key;
	const char *text;

	printf("%s: %s\nattached to: %s\n", cls->name, cls->doc, on_text(cls, on, sizeof(on)));
	puts(cls->keys.nkeys != 0 ? "keys:" : "no keys");
	for (unsigned i = 0; i < cls->keys.nkeys; i++) {
		key = &cls->keys.key[i];
		text = config_default_text(key, def);
		printf("  %-16s %s; %s", key->name, key->help, config_rule_text(key, rule, sizeof(rule)));
		if (key->def == config_required)
			printf("; required");
		else if (text != NULL)
			printf("; default %s", text);
		putchar('\n');
	}
}

/* A class with all that is declared of it. */
static json_t *
to_json(const struct device_class *cls)
{
	json_t *keys = json_array(), *key, *on = json_array();
	char rule[256], def[32];
	const char *text;

	for (unsigned i = 0; i < sizeof(buses) / sizeof(buses[0]); i++) {
		if ((cls->on & buses[i].bit) != 0)
			(void)json_array_append_new(on, json_string(buses[i].name));
	}
	for (unsigned i = 0; i < cls->keys.nkeys; i++) {
		text = config_default_text(&cls->keys.key[i], def);
		key = json_pack("{s:s, s:s, s:s, s:b}", "name", cls->keys.key[i].name, "help", cls->keys.key[i].help, "rule",
		    config_rule_text(&cls->keys.key[i], rule, sizeof(rule)), "required", cls->keys.key[i].def == config_required);
		if (text != NULL && cls->keys.key[i].def != config_required)
			(void)json_object_set_new(key, "default", json_string(text));
		(void)json_array_append_new(keys, key);
	}
	return (json_pack("{s:s, s:s, s:o, s:o}", "name", cls->name, "help", cls->doc, "on", on, "keys", keys));
}

static int
all_json(void)
{
	const struct device_class *cls;
	json_t *all = json_array();

	for (unsigned i = 0; (cls = device_class_at(i)) != NULL; i++)
		(void)json_array_append_new(all, to_json(cls));
	return (cmd_json(all));
}

static json_t *
traces_json(void)
{
	json_t *list = json_array();

	for (unsigned i = 0; trace_name(i) != NULL; i++)
		(void)json_array_append_new(list, json_pack("{s:s, s:s}", "name", trace_name(i), "doc", trace_help(i)));
	return (list);
}

int
cmd_devices(const struct verb *verb, int argc, char **argv)
{
	static const struct own_option own[] = {
		{ "json", NULL, 'j', "as JSON" },
		{ "traces", NULL, 't', "the trace points of --trace" },
		{ "mdoc", NULL, 'm', "the manual page of all" },
		{ NULL, NULL, 0, NULL },
	};
	const struct device_class *cls;
	const char *name;
	char found[16];
	int code;

	if (!options_name(verb, own, argc, argv, true, &name, found, &code))
		return (code);
	if (strchr(found, 'm') != NULL) {
		mdoc();
		return (0);
	}
	if (strchr(found, 't') != NULL && strchr(found, 'j') != NULL)
		return (cmd_json(traces_json()));
	if (strchr(found, 't') != NULL) {
		for (unsigned i = 0; trace_name(i) != NULL; i++)
			printf("%-16s %s\n", trace_name(i), trace_help(i));
		return (0);
	}
	cls = name != NULL ? device_class_find(name) : NULL;
	if (name != NULL && cls == NULL)
		return (cmd_fail(1, "%s", vmm_errmsg()));
	if (found[0] == 'j')
		return (cls != NULL ? cmd_json(to_json(cls)) : all_json());
	if (cls != NULL)
		show(cls);
	else
		list();
	return (0);
}
