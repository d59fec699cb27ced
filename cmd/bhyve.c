/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bhyve.c - the bhyve command: its options, and the life of the VM that they describe.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bhyve.h"
#include "cmd.h"
#include "error.h"
#include "firmware/firmware.h"
#include "hash.h"
#include "newvm.h"
#include "vm_run.h"

/*
 * The options: a letter, its argument for people (NULL: none), and what it is: a key that is set to what it says (with an argument: to
 * that), a function, or nothing that matters here.
 */
static const struct option {
	char		 letter;
	const char	*arg;
	const char	*key, *value;
	int		(*fn)(struct bhyve *b, const char *text, int n);
	const char	*help;
	const char	*refused;	/* a sentence instead */
} options[] = {
	{ 'a', NULL, "x86.x2apic", "false", NULL, "local APICs begin in xAPIC mode, as they do", NULL },
	{ 'A', NULL, NULL, NULL, NULL, "ACPI tables, which there are always", NULL },
	{ 'c', "[[cpus=]N][,sockets=N][,cores=N][,threads=N]", NULL, NULL, bhyve_option_cpus, "virtual processors", NULL },
	{ 'C', NULL, "memory.guest_in_core", "true", NULL, "guest memory is in core dumps", NULL },
	{ 'D', NULL, "destroy_on_poweroff", "true", NULL, "the VM is gone when it was powered off, as it is", NULL },
	{ 'e', NULL, "x86.strictio", "true", NULL, "end at accesses to unknown ports; hyve goes on", NULL },
	{ 'f', "NAME,[string|file]=DATA", NULL, NULL, bhyve_option_fwcfg, "an item for firmware, and for the system behind it", NULL },
	{ 'G', "[w][ADDRESS:]PORT", NULL, NULL, bhyve_option_gdb, "debugger's port; w: wait for one", NULL },
	{ 'h', NULL, NULL, NULL, NULL, "this help", NULL },
	{ 'H', NULL, "x86.vmexit_on_hlt", "true", NULL, "an idle vCPU gives the host's processor back, as it does", NULL },
	{ 'I', NULL, NULL, NULL, NULL, "an I/O APIC, which there is always", NULL },
	{ 'k', "FILE", NULL, NULL, NULL, "keys from a file of lines KEY=VALUE, or of JSON", NULL },
	{ 'K', "LAYOUT", "keyboard.layout", NULL, NULL, "keyboard of a screen; there is none", NULL },
	{ 'l', "help|DEVICE[,CONFIG]", NULL, NULL, bhyve_option_lpc, "a device of the LPC bridge: com1, bootrom", NULL },
	{ 'm', "SIZE[KMGT]", "memory.size", NULL, NULL, "RAM; a number alone counts MiB (256M)", NULL },
	{ 'M', NULL, "monitor", "true", NULL, "a guest that reboots is started anew and does not end the process", NULL },
	{ 'n', "DOMAIN", NULL, NULL, NULL, "a NUMA domain; refused", "hyve has no NUMA domains; all memory is in one" },
	{ 'o', "KEY=VALUE", NULL, NULL, NULL, "any key, of bhyve's or of hyve's; config.dump=1 prints them", NULL },
	{ 'p', "VCPU:HOSTCPU", NULL, NULL, bhyve_option_pin, "a vCPU runs on that processor of the host, or on another one that -p names for it", NULL },
	{ 'P', NULL, "x86.vmexit_on_pause", "true", NULL, "so does one that spins", NULL },
	{ 'r', "FILE", NULL, NULL, NULL, "resume a snapshot; refused", "hyve has no snapshots in files yet" },
	{ 's', "help|[BUS:]SLOT[:FUNCTION],DEVICE[,CONFIG]", NULL, NULL, bhyve_option_slot, "a PCI device", NULL },
	{ 'S', NULL, "memory.wired", "true", NULL, "guest memory is locked in RAM", NULL },
	{ 'u', NULL, "rtc.use_localtime", "false", NULL, "the RTC has UTC; else local time", NULL },
	{ 'U', "UUID", "uuid", NULL, NULL, "the VM's identity", NULL },
	{ 'w', NULL, "x86.strictmsr", "false", NULL, "ignore accesses to unknown MSRs; they fault", NULL },
	{ 'W', NULL, "virtio_msix", "false", NULL, "virtio without MSI-X; drivers choose", NULL },
	{ 'x', NULL, "x86.x2apic", "true", NULL, "local APICs can be in x2APIC mode, as they can", NULL },
	{ 'Y', NULL, "x86.mptable", "false", NULL, "no MP table, as there is none", NULL },
};

#define	NOPTIONS	(sizeof(options) / sizeof(options[0]))

static int
usage(FILE *out, int code)
{
	fprintf(out, "usage: bhyve [-aACDeHhIMPSuWwxY]");
	for (size_t i = 0; i < NOPTIONS; i++) {
		if (options[i].arg != NULL)
			fprintf(out, "\n             [-%c %s]", options[i].letter, options[i].arg);
	}
	fputs("\n             NAME\n", out);
	return (code);
}

static void
help(void)
{
	(void)usage(stdout, 0);
	puts("\nRuns a virtual machine on hyve by the options of FreeBSD's bhyve.\n");
	for (size_t i = 0; i < NOPTIONS; i++)
		printf("  -%c  %s\n", options[i].letter, options[i].help);
	puts("\nExit codes: 0 rebooted, 1 powered off, 2 halted, 3 triple fault, 4 error; 1 for a bad option too.");
}

/* One option; -1 with a sentence. */
static int
take(struct bhyve *b, const struct option *o, const char *arg, int n)
{
	if (o->refused != NULL)
		return (vmm_fail(ENOTSUP, "argument %d: -%c: %s", n, o->letter, o->refused));
	if (o->letter == 'k')
		return (cmd_config_file(b->tree, arg));
	if (o->letter == 'o')
		return (cmd_config_arg(b->tree, arg, n));
	if (o->fn != NULL)
		return (o->fn(b, arg, n));
	return (o->key != NULL ? bhyve_key(b, o->key, o->arg != NULL ? arg : o->value, n) : 0);
}

/* All of them and the name.  -1 with a sentence; else what to do: GO, or the exit code. */
#define	GO	100
static int
take_all(struct bhyve *b, int argc, char **argv)
{
	char letters[2 * NOPTIONS + 2], *p = letters;
	const struct option *o;
	int opt;

	*p++ = '+';
	for (size_t i = 0; i < NOPTIONS; i++) {
		*p++ = options[i].letter;
		if (options[i].arg != NULL)
			*p++ = ':';
	}
	*p = '\0';
	while ((opt = getopt(argc, argv, letters)) != -1) {
		for (o = options; o < options + NOPTIONS && o->letter != opt; o++)
			;
		if (o == options + NOPTIONS)
			return (usage(stderr, 1));
		if (opt == 'h') {
			help();
			return (0);
		}
		if ((opt == 's' || opt == 'l') && strcmp(optarg, "help") == 0) {
			if (opt == 's')
				bhyve_help_slots();
			else
				bhyve_help_lpc();
			return (0);
		}
		/* An option without argument can share its word with others. */
		if (take(b, o, optarg, o->arg != NULL ? optind - 1 : optind > 1 && argv[optind - 1][0] == '-' ? optind - 1 : optind) != 0)
			return (-1);
	}
	if (argc - optind > 1) {
		fprintf(stderr, "bhyve: there is '%s' behind the name '%s'\n", argv[optind + 1], argv[optind]);
		return (usage(stderr, 1));
	}
	if (optind < argc && bhyve_key(b, "name", argv[optind], optind) != 0)
		return (-1);
	return (GO);
}

/* config_each(): a line per key of bhyve's, with its default, and per key of hyve's that was set. */
static int
dump_one(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	struct bhyve *b = arg;
	struct vmm_topology topo;
	struct config_value val;

	/* One that both have is bhyve's. */
	if (text == NULL || config_get(config_node(b->tree, ""), name, &val) != 0 || val.key != key)
		return (0);
	/* What is said of processors in part has its rest by that. */
	if (origin->source == CONFIG_FROM_DEFAULT && strcmp(name, "sockets") == 0 && vmm_get_topology(b->hyve, &topo) == 0)
		printf("sockets=%u\n", topo.sockets);
	else if (origin->source == CONFIG_FROM_DEFAULT && strcmp(name, "cpus") == 0 && vmm_get_topology(b->hyve, &topo) == 0)
		printf("cpus=%u\n", topo.cpus);
	else if (origin->source != CONFIG_FROM_DEFAULT || bhyve_is_ruled(key))
		printf("%s=%s\n", name, text);
	return (0);
}

/* All keys, as -k takes them, and as comments what they become. */
static void
dump(struct bhyve *b)
{
	char *text = NULL, *next, *line;
	size_t len;
	FILE *f;

	(void)config_each(b->tree, dump_one, b);
	f = open_memstream(&text, &len);
	if (f == NULL)
		return;
	config_dump(b->hyve, f, 0);
	fclose(f);
	puts("# The same as hyve's keys:");
	for (next = text; (line = strsep(&next, "\n")) != NULL && *line != '\0';)
		printf("# %s\n", line);
	free(text);
}

/* As bhyve: one that follows from the VM's name and the host's. */
static int
default_uuid(struct config *cfg)
{
	static const struct config_origin code = { CONFIG_FROM_CODE, "bhyve", 0 };
	const char *name = config_str(config_node(cfg, ""), "name");
	uint64_t h[2] = { HASH_START, ~HASH_START };
	char host[256] = "", text[40];

	if (config_is_set(config_node(cfg, ""), "uuid"))
		return (0);
	(void)gethostname(host, sizeof(host) - 1);
	for (unsigned i = 0; i < 2; i++) {
		h[i] = hash_bytes(h[i], name, strlen(name) + 1);
		h[i] = hash_bytes(h[i], host, strlen(host) + 1);
	}
	/* RFC 9562 5.8: version 8 is for ways of one's own. */
	(void)snprintf(text, sizeof(text), "%08x-%04x-8%03x-%04x-%012llx", (unsigned)(h[0] >> 32), (unsigned)(h[0] >> 16) & 0xffff,
	    (unsigned)h[0] & 0xfff, (unsigned)(h[1] >> 48 & 0x3fff) | 0x8000, (unsigned long long)h[1] & 0xffffffffffffULL);
	return (config_set(cfg, "uuid", text, &code));
}

/* Whether there is a VM of that name; one that is in use is. */
static bool
is_there(const char *name)
{
	struct vmctx *vm = vm_open(name);

	if (vm == NULL)
		return (errno != ENOENT);
	vm_close(vm);
	return (true);
}

/* Where bhyvectl asks, unless another place is named. */
static int
default_control(struct config *cfg)
{
	static const struct config_origin code = { CONFIG_FROM_CODE, "bhyve", 0 };
	struct config_node *root = config_node(cfg, "");
	char path[PATH_MAX];

	if (config_is_set(root, "control"))
		return (0);
	if (bhyve_socket(config_str(root, "name"), true, path, sizeof(path)) != 0)
		return (-1);
	return (config_set(cfg, "control", path, &code));
}

static int
run(struct bhyve *b)
{
	struct vm_run_options o = { .who = "bhyve", .bare = true, .unnamed = true };
	struct config_node *root = config_node(b->hyve, "");
	const char *com1;

	if (config_str(root, "name") == NULL) {
		fputs("bhyve: the VM has no name\n", stderr);
		return (usage(stderr, 1));
	}
	if (default_uuid(b->hyve) != 0 || default_control(b->hyve) != 0)
		return (cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg()));
	o.loaded = !firmware_wanted(b->hyve) && !config_is_set(root, "boot.kernel");
	o.gone = config_bool(config_node(b->tree, ""), "destroy_on_poweroff");
	if (o.loaded && !is_there(config_str(root, "name")))
		return (cmd_fail(EXIT_VM_ERROR, "VM '%s' has nothing to start: -l bootrom,FILE gives it firmware, or a loader fills it before",
		    config_str(root, "name")));
	com1 = config_str(root, "com1.path");
	o.own_port = com1 == NULL || strcmp(com1, "stdio") != 0;
	if (com1 == NULL && b->has_screen)
		fputs("bhyve: the guest has neither screen nor serial port; -l com1,stdio gives it one here\n", stderr);
	return (run_vm(b->hyve, &o));
}

int
bhyve_main(int argc, char **argv)
{
	struct bhyve b = { .tree = bhyve_tree(), .hyve = cmd_config_new() };
	int code = b.tree != NULL && b.hyve != NULL ? take_all(&b, argc, argv) : -1;

	if (code == GO) {
		if (bhyve_translate(&b) != 0)
			code = -1;
		else if (config_bool(config_node(b.tree, ""), "config.dump")) {
			dump(&b);
			code = 0;
		} else
			code = run(&b);
	}
	if (code == -1)
		code = cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	config_free(b.tree);
	config_free(b.hyve);
	return (code);
}
