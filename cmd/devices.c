/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * devices.c - hyve devices: what the device classes say about themselves.
 */
#include <getopt.h>
#include <stdio.h>

#include "cmd.h"
#include "device.h"
#include "error.h"

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
	puts(".Sh SEE ALSO\n.Xr hyve 1 ,\n.Xr hyve-config 5");
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

int
cmd_devices(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{ "mdoc", no_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const struct device_class *cls;
	int opt;

	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 'm') {
			mdoc();
			return (0);
		}
		return (cmd_usage(verb, opt == 'h' ? 0 : 1));
	}
	if (argc - optind > 1)
		return (cmd_usage(verb, 1));
	if (optind == argc) {
		list();
		return (0);
	}
	cls = device_class_find(argv[optind]);
	if (cls == NULL)
		return (cmd_fail(1, "%s", vmm_errmsg()));
	show(cls);
	return (0);
}
