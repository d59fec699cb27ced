/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - hyve run: a machine, a kernel, a console, to the guest's end.
 *
 * A guest that resets is started anew: the machine is taken down and made again from the same configuration, so that every reset
 * is a power-on.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot/boot.h"
#include "cmd.h"
#include "console.h"
#include "error.h"
#include "firmware/firmware.h"
#include "machine/machine.h"
#include "newvm.h"
#include "run_devices.h"
#include "runner.h"

#define	SECOND		1000000000ULL	/* ns */

struct options {
	const char	*kernel, *append, *protocol;
	const char	*initrd;
	const char	*modules[BOOT_MODULES_MAX];
	unsigned	 nmodules;
	bool		 no_reboot, no_nic;
};

struct vm_run {
	struct runner	 r;
	struct machine	 m;
	struct console	*con;
	struct boot_spec spec;
	struct firmware	 fw;		/* code NULL: none */
	struct event	*force;		/* timer */
	bool		 asked;		/* the guest was asked to power off */
	bool		 told;		/* what was chosen was printed */
};

/* Ending */

static void
force_end(void *arg)
{
	struct vm_run *run = arg;

	fprintf(stderr, "\r\nhyve: the guest did not power off by itself\r\n");
	(void)vm_suspend(run->r.vmm.vm, VM_SUSPEND_POWEROFF);
}

static void
ask_to_end(struct vm_run *run)
{
	if (run->asked) {
		(void)vm_suspend(run->r.vmm.vm, VM_SUSPEND_POWEROFF);
		return;
	}
	run->asked = true;
	run->m.cls->power_button(&run->m);
	event_timer_arm(run->force, (uint64_t)config_num(config_node(run->r.vmm.config, ""), "power_off_wait") * SECOND);
}

/* The first signal presses the power button, a second one pulls the plug; so does time. */
static void
on_signal(struct runner *r, int signo, unsigned count)
{
	struct vm_run *run = r->arg;

	if (!run->asked)
		fprintf(stderr, "\r\nhyve: %s: asking the guest to power off; once more ends it at once\r\n", strsignal(signo));
	ask_to_end(run);
}

static void
on_sysreg(struct runner *r, struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct vm_run *run = r->arg;

	if (run->m.cls->unknown_sysreg != NULL)
		run->m.cls->unknown_sysreg(&run->m, vcpu, exit);
}

/* Behind the escape key. */
static void
on_command(void *arg, char command)
{
	struct vm_run *run = arg;

	if (command == 'q')
		(void)vm_suspend(run->r.vmm.vm, VM_SUSPEND_POWEROFF);
	else if (command == 'p')
		run->m.cls->power_button(&run->m);
	else
		(void)vm_suspend(run->r.vmm.vm, VM_SUSPEND_RESET);
}

/* Files */

static int
read_files(struct vm_run *run, const struct options *o)
{
	struct boot_spec *s = &run->spec;

	if (o->kernel == NULL && (o->initrd != NULL || o->nmodules != 0 || o->append != NULL))
		return (vmm_fail(EINVAL, "an initrd, modules and a command line are a kernel's: --kernel FILE"));
	if (o->kernel != NULL && boot_read_file(o->kernel, &s->kernel) != 0)
		return (-1);
	if (o->initrd != NULL) {
		if (boot_read_file(o->initrd, &s->modules[0]) != 0)
			return (-1);
		s->nmodules = 1;
	}
	for (unsigned i = 0; i < o->nmodules; i++) {
		char *path = strdup(o->modules[i]);
		size_t len;

		if (path == NULL)
			return (vmm_fail(ENOMEM, "no memory"));
		len = strcspn(path, " ");
		path[len] = '\0';
		if (s->nmodules == BOOT_MODULES_MAX) {
			free(path);
			return (vmm_fail(E2BIG, "there are more than %d modules", BOOT_MODULES_MAX));
		}
		if (boot_read_file(path, &s->modules[s->nmodules]) != 0) {
			free(path);
			return (-1);
		}
		free(path);
		s->modules[s->nmodules].path = o->modules[i];
		s->modules[s->nmodules++].cmdline = o->modules[i];
	}
	s->cmdline = o->append != NULL ? o->append : "";
	return (0);
}

static void
free_files(struct vm_run *run)
{
	struct boot_spec *s = &run->spec;

	free((void *)(uintptr_t)s->kernel.data);
	for (unsigned i = 0; i < s->nmodules; i++)
		free((void *)(uintptr_t)s->modules[i].data);
}

/* One power-on */

static void
tell(struct vm_run *run, struct config *cfg, const struct boot_protocol *protocol)
{
	struct vmctx *vm = run->r.vmm.vm;

	if (run->told)
		return;
	run->told = true;
	fprintf(stderr, "hyve: %s machine '%s', %u vCPU%s, %" PRId64 " MiB, on back end %s: %s\r\n", vm_arch_name(vm_get_arch(vm)),
	    run->m.cls->name, run->m.ncpus, run->m.ncpus == 1 ? "" : "s",
	    config_num(config_node(cfg, ""), "memory.size") >> 20, vm_accel_name(vm), vm_accel_reason(vm));
	if (protocol != NULL)
		fprintf(stderr, "hyve: starting '%s' as %s", run->spec.kernel.path, protocol->doc);
	else if (run->fw.bios)
		fprintf(stderr, "hyve: starting BIOS '%s'", run->fw.code);
	else
		fprintf(stderr, "hyve: starting firmware '%s', its variables %s%s%s", run->fw.code, run->fw.vars != NULL ? "in '" :
		    "gone with the VM (firmware.vars=FILE keeps them)", run->fw.vars != NULL ? run->fw.vars : "",
		    run->fw.vars != NULL ? "'" : "");
	fprintf(stderr, "%s\r\n", console_is_terminal(run->con) ? "; Ctrl-] then q ends it, Ctrl-] h helps" : "");
}

/* Make the VM and run it to its end; the exit code, -1 with a sentence. */
static int
power_on(struct vm_run *run, struct config *cfg)
{
	struct vmm_topology topo;
	const struct boot_protocol *protocol;
	int code = -1;

	if (vmm_get_topology(cfg, &topo) != 0)
		return (-1);
	run->m = (struct machine){ .cls = machine_find(vmm_arch(cfg)), .vmm = &run->r.vmm,
	    .console = console_chardev(run->con), .firmware = run->fw.code != NULL ? &run->fw : NULL, .guest_code = -1 };
	if (run->m.cls == NULL)
		return (-1);
	run->r.vmm.vm = vmm_new_vm(cfg, run->m.cls->layout);
	if (run->r.vmm.vm == NULL)
		return (-1);
	if (topo.cpus > run->m.cls->max_cpus) {
		(void)vmm_fail(EINVAL, "machine '%s' has at most %u vCPUs, not %u", run->m.cls->name, run->m.cls->max_cpus, topo.cpus);
		goto out;
	}
	run->m.ncpus = topo.cpus;
	run->m.vcpus = run->r.vcpus;
	if (runner_open_cpus(&run->r, topo.cpus) != 0)
		goto out;
	if (run->m.cls->init(&run->m) != 0 || run->m.cls->boot(&run->m, &run->spec, &protocol) != 0) {
		run->m.cls->fini(&run->m);
		goto out;
	}
	if (vm_start(run->r.vmm.vm) != 0) {
		(void)vmm_fail(errno, "%s", vm_errmsg());
	} else {
		tell(run, cfg, protocol);
		if (runner_run(&run->r) == 0)
			code = atomic_load(&run->r.code);
	}
	devices_pause(&run->r.vmm);
	run->m.cls->fini(&run->m);
	if (code >= 0 && atomic_load(&run->m.guest_code) >= 0)
		code = atomic_load(&run->m.guest_code);
out:
	runner_close_vm(&run->r);
	return (code);
}

/* config_each(): the first NIC that the keys have. */
static int
find_nic(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	size_t len = strlen(name);

	return (strncmp(name, "pci.", 4) == 0 && len > 8 && strcmp(name + len - 8, ".backend") == 0);
}

/* Without a kernel the machine starts firmware, if there is some for it. */
static int
default_firmware(struct config *cfg)
{
	static const struct config_origin code = { CONFIG_FROM_CODE, "hyve run", 0 };
	const struct machine_class *cls = machine_find(vmm_arch(cfg));

	if (cls == NULL)
		return (-1);
	if (cls->firmware == NULL)
		return (vmm_fail(EINVAL, "%s machines start kernels only: --kernel FILE", vm_arch_name(cls->arch)));
	return (config_set(cfg, "firmware.code", "uefi", &code));
}

/*
 * A machine that starts firmware is for a whole system: two vCPUs, and 1 GiB or half of what the host has.  Kernels keep the small machine
 * that they are tried out with.
 */
static int
default_size(struct config *cfg)
{
	static const char *const parts[] = { "cpus", "sockets", "cores", "threads" };
	static const struct config_origin code = { CONFIG_FROM_CODE, "hyve run", 0 };
	struct config_node *root = config_node(cfg, "");
	uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
	char size[24];
	size_t set = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		set += config_is_set(root, parts[i]);
	/* Comparing native code with the interpreter is for one. */
	set += config_num(root, "jit_check") != 0;
	if (set == 0 && config_set(cfg, "cpus", "2", &code) != 0)
		return (-1);
	if (config_is_set(config_node(cfg, "memory"), "size"))
		return (0);
	(void)snprintf(size, sizeof(size), "%uM", host >= 2048 ? 1024 : host < 512 ? 256 : (unsigned)(host / 2));
	return (config_set(cfg, "memory.size", size, &code));
}

/* What is so unless it was said otherwise: the architecture that the kernel is for, firmware and the machine's size with it, entropy, a NIC. */
static int
defaults(struct config *cfg, const struct boot_file *kernel, bool no_nic)
{
	static const struct config_origin code = { CONFIG_FROM_CODE, "hyve run", 0 }, file = { CONFIG_FROM_CODE, "the kernel", 0 };
	const struct boot_protocol *protocol = kernel->data != NULL ? boot_probe(kernel) : NULL;

	if (protocol != NULL && !config_is_set(config_node(cfg, ""), "arch") &&
	    config_set(cfg, "arch", vm_arch_name(protocol->arch), &file) != 0)
		return (-1);
	if (kernel->data == NULL && ((!firmware_wanted(cfg) && default_firmware(cfg) != 0) || default_size(cfg) != 0))
		return (-1);
	if (config_str(config_node(cfg, "pci.0.1.0"), "device") == NULL &&
	    config_set(cfg, "pci.0.1.0.device", "virtio-rnd", &code) != 0)
		return (-1);
	if (no_nic || config_str(config_node(cfg, "pci.0.2.0"), "device") != NULL || config_each(cfg, find_nic, NULL) != 0)
		return (0);
	return (config_set(cfg, "pci.0.2.0.device", "virtio-net", &code));
}

/* Complete the configuration and check it. */
static int
configure(struct vm_run *run, struct config *cfg, const struct options *o)
{
	const struct machine_class *cls;

	if (read_files(run, o) != 0 || defaults(cfg, &run->spec.kernel, o->no_nic) != 0 || config_check(cfg) != 0)
		return (-1);
	cls = machine_find(vmm_arch(cfg));
	if (cls == NULL || (firmware_wanted(cfg) && firmware_choose(cfg, cls->firmware, cls->bios, &run->fw) != 0))
		return (-1);
	if (o->protocol == NULL)
		return (0);
	run->spec.protocol = boot_protocol_find(vmm_arch(cfg), o->protocol);
	return (run->spec.protocol != NULL ? 0 : -1);
}

static int
run_vm(struct config *cfg, const struct options *o)
{
	struct vm_run run = { .r = { .sigfd = -1, .on_signal = on_signal, .on_sysreg = on_sysreg } };
	int code = -1;

	run.r.arg = &run;
	run.r.vmm.config = cfg;
	if (configure(&run, cfg, o) == 0 && runner_init(&run.r) == 0) {
		run.force = event_timer_add(run.r.vmm.loop, force_end, &run);
		run.con = run.force != NULL ? console_open(run.r.vmm.loop, on_command, &run) : NULL;
		if (run.con != NULL) {
			do {
				code = power_on(&run, cfg);
			} while (code == EXIT_VM_RESET && !o->no_reboot && !run.asked);
		}
	}
	console_close(run.con);
	event_remove(run.force);
	runner_fini(&run.r);
	firmware_free(&run.fw);
	free_files(&run);
	if (code < 0)
		code = cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	return (code);
}

/* Options */

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

int
cmd_run(const struct verb *verb, int argc, char **argv)
{
	enum {
		FIRST = 256, ARCH = FIRST, ACCEL, CPUS, MEMORY, KERNEL, INITRD, MODULE, APPEND, PROTOCOL, FIRMWARE, DISK, CDROM, NET, SHARE, NAME, SET,
		NO_REBOOT,
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
	    [MEMORY - FIRST] = "memory.size", [NAME - FIRST] = "name" };
	struct config *cfg = cmd_config_new();
	struct options o = { 0 };
	struct run_devices devices = { .config = cfg };
	int opt, r = 0, code;

	if (cfg == NULL)
		return (cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg()));
	while (r == 0 && (opt = getopt_long(argc, argv, "k:h", options, NULL)) != -1) {
		switch (opt) {
		case ARCH:
		case ACCEL:
		case CPUS:
		case MEMORY:
		case NAME:
			r = cmd_config_key(cfg, keys[opt - FIRST], optarg, optind - 1);
			break;
		case KERNEL:
			o.kernel = optarg;
			break;
		case INITRD:
			o.initrd = optarg;
			break;
		case MODULE:
			if (o.nmodules == BOOT_MODULES_MAX)
				r = vmm_fail(E2BIG, "there are more than %d modules", BOOT_MODULES_MAX);
			else
				o.modules[o.nmodules++] = optarg;
			break;
		case APPEND:
			o.append = optarg;
			break;
		case PROTOCOL:
			o.protocol = optarg;
			break;
		case FIRMWARE:
			r = cmd_config_key(cfg, "firmware.code", optarg, optind - 1);
			break;
		case DISK:
		case CDROM:
			r = run_add_drive(&devices, optarg, opt == CDROM, optind - 1);
			break;
		case NET:
			if (strcmp(optarg, "none") == 0)
				o.no_nic = true;
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
			o.no_reboot = true;
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
		code = run_vm(cfg, &o);
	config_free(cfg);
	return (code);
}
