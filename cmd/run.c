/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - hyve run: its options, which all become keys.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "cmd.h"
#include "error.h"
#include "run_devices.h"
#include "vm_run.h"

static void
help(const struct verb *verb)
{
	(void)cmd_usage(verb, 0);
	puts("\nRuns a guest with its serial console here.\n\n"
	    "  --kernel FILE     amd64: Linux bzImage, ELF with a PVH entry, or multiboot kernel; arm64: Linux Image\n"
	    "  --protocol P      how to start it, if its file does not say: linux, pvh, multiboot; linux, raw\n"
	    "  --initrd FILE     initial RAM disk\n"
	    "  --module 'FILE ARGS'  multiboot or PVH module; may be repeated\n"
	    "  --append STRING   the kernel's command line\n"
	    "  --firmware F      uefi, bios (amd64) or an image; uefi is what starts unless there is a kernel\n"
	    "  --cpus N          vCPUs (1; without a kernel 2)\n"
	    "  --memory SIZE     RAM (256M; without a kernel 1G, or half of the host's)\n"
	    "  --disk FILE[,key=value]...  a disk with a raw or qcow2 image: virtio-blk, or device=nvme or ahci;\n"
	    "                    'hyve devices virtio-blk' lists the keys\n"
	    "  --cdrom FILE      an ISO image in a CD drive on AHCI; may be repeated\n"
	    "  --net BACKEND[,key=value]...  a NIC: virtio-net, or device=e1000 or ne2k-pci; 'hyve devices virtio-net' lists the keys;\n"
	    "                    user: without privileges, as there is one unless --net none; such as user,hostfwd=tcp::2222-:22\n"
	    "                    tap,tap=NAME or tap,bridge=NAME: the host's; socket,path=FILE[,listen]: a wire to another VM\n"
	    "  --share [NAME=]FOLDER[,key=value]...  a folder of the host, which the guest mounts as NAME (share) by 9P\n"
	    "  --arch A          amd64 or arm64 (what the kernel is for, else amd64)\n"
	    "  --accel X         auto, kvm or soft\n"
	    "  --name NAME       name of the VM\n"
	    "  --config FILE, -k FILE  keys from a file\n"
	    "  --set KEY=VALUE   any key; 'hyve config' prints them\n"
	    "  --no-reboot       end with code 0 when the guest resets\n\n"
	    "Exit codes: 0 reset, 1 powered off, 2 halted, 3 triple fault, 4 error.");
}

/* --module 'FILE ARGS' is the next module. */
static int
add_module(struct config *cfg, unsigned *n, const char *text, int argument)
{
	char name[sizeof("boot.module..path") + 12], *path = strdup(text), *args;
	int r;

	if (path == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	args = strchr(path, ' ');
	if (args != NULL)
		*args++ = '\0';
	(void)snprintf(name, sizeof(name), "boot.module.%u.path", *n);
	r = *n < BOOT_MODULES_MAX ? cmd_config_literal(cfg, name, path, argument) :
	    vmm_fail(E2BIG, "there are more than %d modules", BOOT_MODULES_MAX);
	if (r == 0 && args != NULL) {
		(void)snprintf(name, sizeof(name), "boot.module.%u.args", *n);
		r = cmd_config_literal(cfg, name, args, argument);
	}
	free(path);
	++*n;
	return (r);
}

int
cmd_run(const struct verb *verb, int argc, char **argv)
{
	enum {
		FIRST = 256, ARCH = FIRST, ACCEL, CPUS, MEMORY, FIRMWARE, NAME, PROTOCOL, LITERAL, KERNEL = LITERAL, INITRD, APPEND, OTHER,
		MODULE = OTHER, DISK, CDROM, NET, SHARE, SET, NO_REBOOT,
	};
	static const struct option options[] = {
		{ "arch", required_argument, NULL, ARCH }, { "accel", required_argument, NULL, ACCEL },
		{ "cpus", required_argument, NULL, CPUS }, { "memory", required_argument, NULL, MEMORY },
		{ "kernel", required_argument, NULL, KERNEL }, { "initrd", required_argument, NULL, INITRD },
		{ "module", required_argument, NULL, MODULE }, { "append", required_argument, NULL, APPEND },
		{ "protocol", required_argument, NULL, PROTOCOL }, { "firmware", required_argument, NULL, FIRMWARE },
		{ "disk", required_argument, NULL, DISK }, { "cdrom", required_argument, NULL, CDROM }, { "net", required_argument, NULL, NET },
		{ "share", required_argument, NULL, SHARE }, { "name", required_argument, NULL, NAME },
		{ "config", required_argument, NULL, 'k' }, { "set", required_argument, NULL, SET },
		{ "no-reboot", no_argument, NULL, NO_REBOOT }, { "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const char *const keys[] = { [ARCH - FIRST] = "arch", [ACCEL - FIRST] = "accel", [CPUS - FIRST] = "cpus",
	    [MEMORY - FIRST] = "memory.size", [NAME - FIRST] = "name", [FIRMWARE - FIRST] = "firmware.code",
	    [PROTOCOL - FIRST] = "boot.protocol", [KERNEL - FIRST] = "boot.kernel", [INITRD - FIRST] = "boot.initrd",
	    [APPEND - FIRST] = "boot.cmdline" };
	static const struct vm_run_options plain = { .who = "hyve run" };
	struct config *cfg = cmd_config_new();
	struct run_devices devices = { .config = cfg };
	unsigned modules = 0;
	int opt, r = 0, code;

	if (cfg == NULL)
		return (cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg()));
	while (r == 0 && (opt = getopt_long(argc, argv, "k:h", options, NULL)) != -1) {
		if (opt >= FIRST && opt < OTHER) {
			r = (opt < LITERAL ? cmd_config_key : cmd_config_literal)(cfg, keys[opt - FIRST], optarg, optind - 1);
			continue;
		}
		switch (opt) {
		case MODULE:
			r = add_module(cfg, &modules, optarg, optind - 1);
			break;
		case DISK:
		case CDROM:
			r = run_add_drive(&devices, optarg, opt == CDROM, optind - 1);
			break;
		case NET:
			if (strcmp(optarg, "none") == 0)
				r = cmd_config_key(cfg, "default_nic", "false", optind - 1);
			else
				r = run_add_nic(&devices, optarg, optind - 1);
			break;
		case SHARE:
			r = run_add_share(&devices, optarg, optind - 1);
			break;
		case 'k':
			r = cmd_config_file(cfg, optarg);
			break;
		case SET:
			r = cmd_config_arg(cfg, optarg, optind - 1);
			break;
		case NO_REBOOT:
			r = cmd_config_key(cfg, "reboot", "false", optind - 1);
			break;
		case 'h':
			help(verb);
			config_free(cfg);
			return (0);
		default:
			config_free(cfg);
			return (cmd_usage(verb, EXIT_VM_ERROR));
		}
	}
	for (; r == 0 && optind < argc; optind++)
		r = run_add_drive(&devices, argv[optind], false, optind);
	if (r != 0)
		code = cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	else
		code = run_vm(cfg, &plain);
	config_free(cfg);
	return (code);
}
