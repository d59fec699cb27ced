/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * options.c - see options.h.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "cmd.h"
#include "error.h"
#include "options.h"

enum how {
	KEY,		/* the argument is the key's text */
	LITERAL,	/* likewise, percent signs and all */
	VALUE,		/* no argument: the key becomes value */
	MODULE, DISK, CDROM, NET, SHARE, FILE_OF_KEYS, SET,
};

static const struct vm_option {
	const char	*name, *arg;
	enum how	 how;
	const char	*key, *value;
	const char	*help;		/* lines, separated by newlines */
} table[] = {
	{ "kernel", "FILE", LITERAL, "boot.kernel", NULL,
	    "amd64: Linux bzImage, ELF with a PVH entry, or multiboot kernel; arm64: Linux Image" },
	{ "protocol", "P", KEY, "boot.protocol", NULL,
	    "how to start it, if its file does not say: linux, pvh, multiboot; linux, raw" },
	{ "initrd", "FILE", LITERAL, "boot.initrd", NULL, "initial RAM disk" },
	{ "module", "'FILE ARGS'", MODULE, NULL, NULL, "multiboot or PVH module; may be repeated" },
	{ "append", "STRING", LITERAL, "boot.cmdline", NULL, "the kernel's command line" },
	{ "firmware", "F", KEY, "firmware.code", NULL,
	    "uefi, bios (amd64) or an image; uefi is what starts unless there is a kernel" },
	{ "cpus", "N", KEY, "cpus", NULL, "vCPUs (1; without a kernel 2)" },
	{ "memory", "SIZE", KEY, "memory.size", NULL, "RAM (256M; without a kernel 1G, or half of the host's)" },
	{ "disk", "FILE[,key=value]...", DISK, NULL, NULL,
	    "a disk with a raw or qcow2 image: virtio-blk, or device=nvme or ahci;\n'hyve devices virtio-blk' lists the keys" },
	{ "cdrom", "FILE", CDROM, NULL, NULL, "an ISO image in a CD drive on AHCI; may be repeated" },
	{ "net", "BACKEND[,key=value]...", NET, NULL, NULL,
	    "a NIC: virtio-net, or device=e1000 or ne2k-pci; 'hyve devices virtio-net' lists the keys;\n"
	    "user: without privileges, as there is one unless --net none; such as user,hostfwd=tcp::2222-:22\n"
	    "tap,tap=NAME or tap,bridge=NAME: the host's; socket,path=FILE[,listen]: a wire to another VM" },
	{ "share", "[NAME=]FOLDER[,key=value]...", SHARE, NULL, NULL,
	    "a folder of the host, which the guest mounts as NAME (share) by 9P" },
	{ "arch", "A", KEY, "arch", NULL, "amd64 or arm64 (what the kernel is for, else amd64)" },
	{ "accel", "X", KEY, "accel", NULL, "auto, kvm or soft" },
	{ "name", "NAME", KEY, "name", NULL, "name of the VM" },
	{ "config", "FILE", FILE_OF_KEYS, NULL, NULL, "or -k FILE: keys from a file, lines or JSON" },
	{ "set", "KEY=VALUE", SET, NULL, NULL, "any key; 'hyve config --dump' prints them" },
	{ "trace", "PATTERN[,PATTERN]...", KEY, "trace", NULL, "print what the VM does at these points, such as 'block.*'; 'hyve devices --traces' lists them" },
	{ "no-reboot", NULL, VALUE, "reboot", "false", "end with code 0 when the guest resets" },
};

#define	NVM	(sizeof(table) / sizeof(table[0]))
#define	FIRST	256		/* number of the first one */

int
options_init(struct options *o, const struct verb *verb, struct config *config, bool vm, const struct own_option *own)
{
	size_t nown = 0, n = 0, letters = 0;

	*o = (struct options){ .verb = verb, .config = config, .own = own, .vm = vm, .devices.config = config };
	while (own != NULL && own[nown].name != NULL)
		nown++;
	o->all = calloc(NVM + nown + 2, sizeof(*o->all));
	if (o->all == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	o->letters[letters++] = 'h';
	for (size_t i = 0; i < nown; i++) {
		o->all[n++] = (struct option){ own[i].name, own[i].arg != NULL ? required_argument : no_argument, NULL, own[i].letter };
		if (own[i].letter < FIRST && letters + 3 < sizeof(o->letters))
			o->letters[letters++] = (char)own[i].letter;
	}
	for (size_t i = 0; vm && i < NVM; i++)
		o->all[n++] = (struct option){ table[i].name, table[i].arg != NULL ? required_argument : no_argument, NULL, FIRST + (int)i };
	if (vm) {
		o->letters[letters++] = 'k';
		o->letters[letters++] = ':';
	}
	o->all[n] = (struct option){ "help", no_argument, NULL, 'h' };
	return (0);
}

/* --module 'FILE ARGS' is the next module. */
static int
add_module(struct options *o, const char *text, int argument)
{
	char name[sizeof("boot.module..path") + 12], *path = strdup(text), *args;
	int r;

	if (path == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	args = strchr(path, ' ');
	if (args != NULL)
		*args++ = '\0';
	(void)snprintf(name, sizeof(name), "boot.module.%u.path", o->modules);
	r = o->modules < BOOT_MODULES_MAX ? cmd_config_literal(o->config, name, path, argument) :
	    vmm_fail(E2BIG, "there are more than %d modules", BOOT_MODULES_MAX);
	if (r == 0 && args != NULL) {
		(void)snprintf(name, sizeof(name), "boot.module.%u.args", o->modules);
		r = cmd_config_literal(o->config, name, args, argument);
	}
	free(path);
	o->modules++;
	return (r);
}

static int
apply(struct options *o, const struct vm_option *opt, int n)
{
	switch (opt->how) {
	case KEY:
		return (cmd_config_key(o->config, opt->key, optarg, n));
	case LITERAL:
		return (cmd_config_literal(o->config, opt->key, optarg, n));
	case VALUE:
		return (cmd_config_key(o->config, opt->key, opt->value, n));
	case MODULE:
		return (add_module(o, optarg, n));
	case DISK:
	case CDROM:
		return (run_add_drive(&o->devices, optarg, opt->how == CDROM, n));
	case NET:
		if (strcmp(optarg, "none") == 0)
			return (cmd_config_key(o->config, "default_nic", "false", n));
		return (run_add_nic(&o->devices, optarg, n));
	case SHARE:
		return (run_add_share(&o->devices, optarg, n));
	case FILE_OF_KEYS:
		return (cmd_config_file(o->config, optarg));
	case SET:
		return (cmd_config_arg(o->config, optarg, n));
	}
	return (0);
}

int
options_next(struct options *o, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, o->letters, o->all, NULL)) != -1) {
		if (opt == 'k' && o->vm) {
			if (cmd_config_file(o->config, optarg) != 0)
				return ('!');
		} else if (opt >= FIRST && opt < FIRST + (int)NVM) {
			if (apply(o, &table[opt - FIRST], optind - 1) != 0)
				return ('!');
		} else
			return (opt);
	}
	return (-1);
}

int
options_images(struct options *o, int argc, char **argv)
{
	for (; optind < argc; optind++) {
		if (run_add_drive(&o->devices, argv[optind], false, optind) != 0)
			return (-1);
	}
	return (0);
}

void
options_fini(struct options *o)
{
	free(o->all);
	o->all = NULL;
}

const char *
options_vm_at(unsigned i, const char **arg)
{
	if (i >= NVM)
		return (NULL);
	*arg = table[i].arg;
	return (table[i].name);
}

static void
help_line(int letter, const char *name, const char *arg, const char *help)
{
	char left[64];
	int len;

	len = letter < FIRST && letter != 0 ? snprintf(left, sizeof(left), "-%c, --%s", letter, name) : snprintf(left, sizeof(left), "--%s", name);
	(void)snprintf(left + len, sizeof(left) - (size_t)len, "%s%s", arg != NULL ? " " : "", arg != NULL ? arg : "");
	printf("  %-17s%s", left, strlen(left) > 16 ? "  " : " ");
	for (; *help != '\0'; help++) {
		putchar(*help);
		if (*help == '\n')
			printf("%20s", "");
	}
	putchar('\n');
}

int
options_help(const struct options *o)
{
	(void)cmd_usage(o->verb, 0);
	printf("\n%s.\n\n", o->verb->doc);
	for (const struct own_option *own = o->own; own != NULL && own->name != NULL; own++)
		help_line(own->letter, own->name, own->arg, own->help);
	for (size_t i = 0; o->vm && i < NVM; i++)
		help_line(0, table[i].name, table[i].arg, table[i].help);
	return (0);
}

bool
options_name(const struct verb *verb, const struct own_option *own, int argc, char **argv, bool optional, const char **name,
    char found[16], int *code)
{
	struct options o;
	size_t n = 0;
	int opt;

	*code = -1;
	*name = NULL;
	if (options_init(&o, verb, NULL, false, own) != 0) {
		*code = cmd_fail(1, "%s", vmm_errmsg());
		return (false);
	}
	while (*code < 0 && (opt = options_next(&o, argc, argv)) != -1) {
		if (opt == 'h')
			*code = options_help(&o);
		else if (opt == '?')
			*code = cmd_usage(verb, 1);
		else if (n < 15)
			found[n++] = (char)opt;
	}
	found[n] = '\0';
	options_fini(&o);
	if (*code < 0 && (argc - optind > 1 || (argc == optind && !optional)))
		*code = cmd_usage(verb, 1);
	if (*code < 0 && optind < argc)
		*name = argv[optind];
	return (*code < 0);
}
