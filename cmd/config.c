/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config.c - hyve config: check a configuration and print it; and what the verbs share about it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "cmd.h"
#include "config/json.h"
#include "device.h"
#include "error.h"
#include "firmware/firmware.h"
#include "firmware/smbios.h"
#include "machine/machine.h"
#include "named.h"
#include "newvm.h"
#include "options.h"
#include "vm_run.h"

#define	SERIAL	"serial"	/* the node of the serial port */

struct config *
cmd_config_new(void)
{
	struct config *cfg = config_new();
	const struct device_class *uart = device_class_find("ns16550");

	if (cfg == NULL || uart == NULL || config_declare(cfg, "", &config_global_keys) != 0 ||
	    config_declare(cfg, "vcpu.*", &config_vcpu_keys) != 0 ||
	    config_declare(cfg, SERIAL, &uart->keys) != 0 || machine_declare(cfg) != 0) {
		config_free(cfg);
		return (NULL);
	}
	return (cfg);
}

int
cmd_config_file(struct config *cfg, const char *path)
{
	return (config_load_file(cfg, path));
}

int
cmd_config_arg(struct config *cfg, const char *text, int n)
{
	struct config_origin origin = { .source = CONFIG_FROM_ARGUMENT, .number = (unsigned)n };

	return (config_set_text(cfg, text, &origin));
}

int
cmd_config_key(struct config *cfg, const char *name, const char *value, int n)
{
	struct config_origin origin = { .source = CONFIG_FROM_ARGUMENT, .number = (unsigned)n };

	return (config_set(cfg, name, value, &origin));
}

int
cmd_config_literal(struct config *cfg, const char *name, const char *value, int n)
{
	char *text = malloc(strlen(value) * 2 + 1), *to = text;
	int r;

	if (text == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	do {
		if (*value == '%')
			*to++ = '%';
		*to++ = *value;
	} while (*value++ != '\0');
	r = cmd_config_key(cfg, name, text, n);
	free(text);
	return (r);
}

void
cmd_mdoc_key(const char *prefix, const struct config_key *key)
{
	char rule[256], def[32];
	const char *text = config_default_text(key, def);

	printf(".It Va %s%s\n%c%s.\nThe value is %s", prefix, key->name,
	    key->help[0] >= 'a' && key->help[0] <= 'z' ? key->help[0] - 'a' + 'A' : key->help[0], key->help + 1,
	    config_rule_text(key, rule, sizeof(rule)));
	if (key->def == config_required)
		printf("; it is required");
	else if (text != NULL)
		printf("; the default is\n.Ql %s", text);
	printf("%s\n", key->def != config_required && text != NULL ? " ." : ".");
}

static void
mdoc_machines(void)
{
	const struct machine_class *cls;
	char prefix[32];

	for (unsigned i = 0; (cls = machine_at(i)) != NULL; i++) {
		printf(".Ss Machine %s\n.Bl -tag -width memory.guest_in_core\n", cls->name);
		(void)snprintf(prefix, sizeof(prefix), "%s.", cls->name);
		for (unsigned k = 0; k < cls->keys.nkeys; k++)
			cmd_mdoc_key(prefix, &cls->keys.key[k]);
		for (const struct machine_part *part = cls->parts; part->prefix != NULL; part++)
			printf(".It Va %s\nKeys below it are those of device\n.Cm %s\nin\n.Xr hyve-devices 7 .\n", part->prefix,
			    part->device);
		printf(".It Va %s\nA slot: its key\n.Va device\nnames the device in it, whose keys are the others.\n", MACHINE_SLOTS);
		printf(".It Va %s\nThe same for what is behind a root port, device\n.Cm root-port :\n"
		    "behind the one in slot N of bus 0 is\n.Va pci.N.0.0 ,\nwhatever number the guest gives to that bus.\n", MACHINE_BEHIND);
		for (unsigned k = 0; k < machine_slot_keys.nkeys; k++)
			cmd_mdoc_key("pci.*.*.0.", &machine_slot_keys.key[k]);
		puts(".El");
	}
}

/* hyve-config(5). */
static void
mdoc(void)
{
	puts(".\\\" SPDX-License-Identifier: BSD-2-Clause\n"
	    ".\\\" Generated from the key tables by 'hyve config --mdoc'.\n"
	    ".Dd November 23, 2026\n.Dt HYVE-CONFIG 5\n.Os\n"
	    ".Sh NAME\n.Nm hyve-config\n.Nd configuration keys of a virtual machine\n"
	    ".Sh DESCRIPTION\n"
	    "A virtual machine is described by a tree of keys with dotted names.\n"
	    "Command line, files and the machine itself write into the same tree, and the\nlast one wins.\n"
	    "A name that does not exist is an error.\n"
	    ".Pp\n"
	    "A configuration file has one\n.Ar name Ns = Ns Ar value\non a line, without spaces around the sign.\n"
	    "Empty lines and lines that begin with\n.Ql #\nare skipped.\n"
	    "A file that begins with\n.Ql {\nis JSON instead: objects within objects stand for dotted names,\nnumbers and booleans for their text,\n"
	    "and members of a list for names that count from 0.\n"
	    ".Pp\n"
	    "In a value,\n.Ql %(name)\nstands for the value of another key, and\n.Ql %%\n"
	    "for one percent sign.\n"
	    "Booleans are\n.Ql true , on , yes , 1\nand\n.Ql false , off , no , 0 ,\nin any case.\n"
	    "Sizes take a suffix\n.Ql K , M , G\nor\n.Ql T .\n"
	    ".Ss Global keys\n.Bl -tag -width memory.guest_in_core");
	for (unsigned i = 0; i < config_global_keys.nkeys; i++)
		cmd_mdoc_key("", &config_global_keys.key[i]);
	for (unsigned i = 0; i < config_vcpu_keys.nkeys; i++)
		cmd_mdoc_key("vcpu.N.", &config_vcpu_keys.key[i]);
	puts(".El\n.Ss Kernels\n.Bl -tag -width memory.guest_in_core");
	for (unsigned i = 0; i < boot_keys.nkeys; i++)
		cmd_mdoc_key("boot.", &boot_keys.key[i]);
	for (unsigned i = 0; i < boot_module_keys.nkeys; i++)
		cmd_mdoc_key("boot.module.*.", &boot_module_keys.key[i]);
	puts(".El\n.Ss Firmware\n.Bl -tag -width memory.guest_in_core");
	for (unsigned i = 0; i < firmware_keys.nkeys; i++)
		cmd_mdoc_key("firmware.", &firmware_keys.key[i]);
	for (unsigned i = 0; i < firmware_item_keys.nkeys; i++)
		cmd_mdoc_key("firmware.item.N.", &firmware_item_keys.key[i]);
	puts(".El\n.Ss Identity of the machine\n.Bl -tag -width memory.guest_in_core");
	for (unsigned i = 0; i < smbios_keys.nkeys; i++)
		cmd_mdoc_key("smbios.", &smbios_keys.key[i]);
	puts(".El");
	mdoc_machines();
	puts(".Ss Serial port of payloads\n"
	    ".Bl -tag -width serial\n.It Va " SERIAL "\nKeys below it are those of device\n.Cm ns16550\nin\n.Xr hyve-devices 7 .\n.El\n"
	    ".Sh SEE ALSO\n.Xr hyve 1 ,\n.Xr hyve-devices 7");
}

int
cmd_json(json_t *value)
{
	int r;

	if (value == NULL)
		return (cmd_fail(1, "%s", vmm_errmsg()));
	r = json_dumpf(value, stdout, JSON_INDENT(2));
	json_decref(value);
	if (r != 0)
		return (cmd_fail(1, "cannot write JSON: a text is not UTF-8, or there is no room"));
	putchar('\n');
	return (0);
}

/* A VM's name before the options: its keys come first, so that options change them. */
static int
take_named(struct config **cfg, int *argc, char ***argv)
{
	struct vmdir *dir;

	if (*argc < 2 || (*argv)[1][0] == '-')
		return (0);
	dir = vmdir_open((*argv)[1]);
	*cfg = dir != NULL ? named_config(dir) : NULL;
	vmdir_close(dir);
	if (*cfg == NULL)
		return (-1);
	--*argc;
	++*argv;
	return (0);
}

int
cmd_config(const struct verb *verb, int argc, char **argv)
{
	static const struct own_option own[] = {
		{ "dump", NULL, OPTIONS_OWN + 'd', "defaults too, and where each value comes from" },
		{ "json", NULL, OPTIONS_OWN + 'j', "as JSON" },
		{ "mdoc", NULL, OPTIONS_OWN + 'm', "the manual page of all keys" },
		{ NULL, NULL, 0, NULL },
	};
	struct config *cfg = NULL;
	struct vmm_topology topo;
	bool dump = false, json = false;
	struct options o = { 0 };
	int opt, code = -1;

	if (take_named(&cfg, &argc, &argv) != 0 || (cfg == NULL && (cfg = cmd_config_new()) == NULL) ||
	    options_init(&o, verb, cfg, true, own) != 0)
		code = cmd_fail(1, "%s", vmm_errmsg());
	while (code < 0 && (opt = options_next(&o, argc, argv)) != -1) {
		if (opt == OPTIONS_OWN + 'd')
			dump = true;
		else if (opt == OPTIONS_OWN + 'j')
			json = true;
		else if (opt == OPTIONS_OWN + 'm') {
			mdoc();
			code = 0;
		} else
			code = opt == 'h' ? options_help(&o) : opt == '!' ? cmd_fail(1, "%s", vmm_errmsg()) : cmd_usage(verb, 1);
	}
	if (code < 0 && (options_images(&o, argc, argv) != 0 || config_check(cfg) != 0 || vmm_get_topology(cfg, &topo) != 0))
		code = cmd_fail(1, "%s", vmm_errmsg());
	if (code < 0 && json)
		code = cmd_json(config_to_json(cfg, dump ? CONFIG_DUMP_ALL : 0));
	else if (code < 0) {
		config_dump(cfg, stdout, dump ? CONFIG_DUMP_ALL | CONFIG_DUMP_ORIGIN : 0);
		code = 0;
	}
	options_fini(&o);
	config_free(cfg);
	return (code);
}

int
cmd_check(const struct verb *verb, int argc, char **argv)
{
	static const struct vm_run_options here = { .who = "hyve check" };
	struct config *cfg = NULL;
	struct options o = { 0 };
	int opt = -1, code = -1;

	if (take_named(&cfg, &argc, &argv) != 0 || (cfg == NULL && (cfg = cmd_config_new()) == NULL) ||
	    options_init(&o, verb, cfg, true, NULL) != 0)
		code = cmd_fail(1, "%s", vmm_errmsg());
	else if ((opt = options_next(&o, argc, argv)) == 'h')
		code = options_help(&o);
	else if (opt == '?')
		code = cmd_usage(verb, 1);
	else if (opt != -1 || options_images(&o, argc, argv) != 0 || check_vm(cfg, &here) != 0)
		code = cmd_fail(1, "%s", vmm_errmsg());
	else
		code = 0;
	options_fini(&o);
	config_free(cfg);
	return (code);
}
