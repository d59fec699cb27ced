/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_run.c - the life of a VM's process: see vm_run.h.
 *
 * A guest that resets is started anew: the machine is taken down and made again from the same configuration, so that every reset
 * is a power-on.
 */
#include <sys/socket.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot/boot.h"
#include "cmd.h"
#include "console.h"
#include "console/chardev.h"
#include "console/console_server.h"
#include "control/qmp.h"
#include "error.h"
#include "firmware/firmware.h"
#include "gdb/gdb.h"
#include "hold.h"
#include "machine/machine.h"
#include "newvm.h"
#include "prealloc.h"
#include "runner.h"
#include "say.h"
#include "trace.h"
#include "vm_run.h"
#include "vmdir.h"

#define	SECOND		1000000000ULL	/* ns */

struct vm_run {
	struct runner	 r;
	struct machine	 m;
	struct console	*con;		/* NULL: no terminal is connected */
	struct chardev	*port;		/* of the console; NULL: it is the key's */
	struct console_server *server;	/* NULL: the VM has no directory */
	const struct vm_run_options *o;
	struct boot_spec spec;
	char		*module_lines[BOOT_MODULES_MAX];
	struct firmware	 fw;		/* code NULL: none */
	struct event	*force;		/* timer */
	struct qmp	*control;	/* NULL: none */
	struct gdb	*gdb;		/* NULL: nobody can debug it */
	bool		 asked;		/* the guest was asked to power off */
	const char	*host;		/* what here ended the guest, in QMP's words; NULL: nothing did */
	uint64_t	 lives;		/* power-ons so far, resets among them */
	bool		 told;		/* what was chosen was printed */
	bool		 ran;		/* the guest runs or did */
};

/* Ending */

/* End it from here: by whom, in QMP's words. */
static void
end_it(struct vm_run *run, enum vm_suspend_how how, const char *host)
{
	if (vm_suspend(run->r.vmm.vm, how) == 0)
		run->host = host;
}

static void
press(void *arg)
{
	struct vm_run *run = arg;

	run->m.cls->power_button(&run->m);
}

static void
force_end(void *arg)
{
	struct vm_run *run = arg;

	say_apart("the guest did not power off by itself");
	end_it(run, VM_SUSPEND_POWEROFF, "host-signal");
}

static void
ask_to_end(struct vm_run *run)
{
	if (run->asked) {
		end_it(run, VM_SUSPEND_POWEROFF, "host-signal");
		return;
	}
	run->asked = true;
	/* One that is stopped notices it when it goes on. */
	vmm_when_released(&run->r.vmm, press, run);
	event_timer_arm(run->force, (uint64_t)config_num(config_node(run->r.vmm.config, ""), "power_off_wait") * SECOND);
}

/* The first signal presses the power button, a second one pulls the plug; so does time. */
static void
on_signal(struct runner *r, int signo, unsigned count)
{
	struct vm_run *run = r->arg;

	if (!run->asked)
		say_apart("%s: asking the guest to power off; once more ends it at once", strsignal(signo));
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
		end_it(run, VM_SUSPEND_POWEROFF, "host-ui");
	else if (command == 'p')
		vmm_when_released(&run->r.vmm, press, run);
	else
		end_it(run, VM_SUSPEND_RESET, "host-ui");
}

/* A debugger */

static void
debugger_stop(void *arg)
{
	struct vm_run *run = arg;

	if (vmm_hold(&run->r.vmm) != 0)
		log_msg(run->r.vmm.log, LOG_LEVEL_ERROR, "gdb", "%s", vmm_errmsg());
}

static void
debugger_go(void *arg)
{
	struct vm_run *run = arg;

	vmm_release(&run->r.vmm);
}

static void
debugger_reset(void *arg)
{
	struct vm_run *run = arg;

	end_it(run, VM_SUSPEND_RESET, "host-ui");
}

static void
debugger_power_off(void *arg)
{
	struct vm_run *run = arg;

	end_it(run, VM_SUSPEND_POWEROFF, "host-ui");
}

static void
on_debug(struct runner *r, struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct vm_run *run = r->arg;

	if (run->gdb != NULL)
		gdb_debug_exit(run->gdb, vcpu, exit);
}

static int
open_debugger(struct vm_run *run, struct config *cfg)
{
	const struct gdb_owner owner = { .stop = debugger_stop, .go = debugger_go, .reset = debugger_reset, .power_off = debugger_power_off,
	    .arg = run };

	if (!gdb_wanted(cfg)) {
		return (!config_bool(config_node(cfg, "gdb"), "wait") ? 0 :
		    vmm_fail(EINVAL, "gdb.wait: there is nowhere that a debugger could connect to; set gdb.path or gdb.port"));
	}
	run->gdb = gdb_open(run->r.vmm.loop, run->r.vmm.log, cfg, &owner);
	return (run->gdb != NULL ? 0 : -1);
}

/* Files */

/* A file that a key names; NULL: there is none, and nothing is read.  *path is the tree's. */
static int
read_file(struct config_node *node, const char *key, struct boot_file *file, const char **path)
{
	struct config_value val;

	if (config_get(node, key, &val) != 0)
		return (-1);
	*path = val.text;
	return (val.text != NULL ? boot_read_file(val.text, file) : 0);
}

/* The module of that number, if there is one. */
static int
read_module(struct vm_run *run, struct config *cfg, unsigned number)
{
	struct boot_spec *s = &run->spec;
	struct boot_file *file = &s->modules[s->nmodules];
	struct config_node *root = config_node(cfg, "");
	char name[2][sizeof("boot.module..path") + 12];
	struct config_value args;
	const char *path;
	char *line;

	(void)snprintf(name[0], sizeof(name[0]), "boot.module.%u.path", number);
	(void)snprintf(name[1], sizeof(name[1]), "boot.module.%u.args", number);
	if (!config_is_set(root, name[0]) && !config_is_set(root, name[1]))
		return (0);
	if (s->nmodules == BOOT_MODULES_MAX)
		return (vmm_fail(E2BIG, "there are more than %d modules, the initrd being one", BOOT_MODULES_MAX));
	if (config_get(root, name[1], &args) != 0 || read_file(root, name[0], file, &path) != 0)
		return (-1);
	s->nmodules++;
	if (asprintf(&line, "%s%s%s", path, args.text != NULL ? " " : "", args.text != NULL ? args.text : "") < 0)
		return (vmm_fail(ENOMEM, "no memory"));
	run->module_lines[s->nmodules - 1] = line;
	file->cmdline = line;
	return (0);
}

/* config_each(): modules have numbers, and a kernel to go with. */
static int
check_boot_key(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	static const char module[] = "boot.module.";
	const char *kernel = arg;
	unsigned long n;
	char *end, where[512];

	if (text == NULL || strncmp(name, "boot.", 5) != 0)
		return (0);
	(void)config_origin_text(origin, where, sizeof(where));
	if (kernel == NULL)
		return (vmm_fail(EINVAL, "%s: %s: an initrd, modules and a command line are a kernel's: --kernel FILE", where, name));
	if (strncmp(name, module, sizeof(module) - 1) != 0)
		return (0);
	n = strtoul(name + sizeof(module) - 1, &end, 10);
	if (*end != '.' || n >= BOOT_MODULES_MAX)
		return (vmm_fail(EINVAL, "%s: %s: modules have the numbers 0 to %d", where, name, BOOT_MODULES_MAX - 1));
	return (0);
}

/* What the keys below "boot" name; before the tree is checked, for the kernel says what the machine is. */
static int
read_files(struct vm_run *run, struct config *cfg)
{
	struct config_node *boot = config_node(cfg, "boot");
	struct boot_spec *s = &run->spec;
	struct config_value cmdline;
	const char *kernel, *initrd;

	if (boot == NULL || read_file(boot, "kernel", &s->kernel, &kernel) != 0 ||
	    config_each(cfg, check_boot_key, (void *)(uintptr_t)kernel) != 0 || read_file(boot, "initrd", &s->modules[0], &initrd) != 0)
		return (-1);
	s->nmodules = initrd != NULL;
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++) {
		if (read_module(run, cfg, i) != 0)
			return (-1);
	}
	if (config_get(boot, "cmdline", &cmdline) != 0)
		return (-1);
	s->cmdline = cmdline.text != NULL ? cmdline.text : "";
	return (0);
}

static void
free_files(struct vm_run *run)
{
	struct boot_spec *s = &run->spec;

	free((void *)(uintptr_t)s->kernel.data);
	for (unsigned i = 0; i < s->nmodules; i++)
		free((void *)(uintptr_t)s->modules[i].data);
	for (unsigned i = 0; i < BOOT_MODULES_MAX; i++)
		free(run->module_lines[i]);
}

/* One power-on */

static void
tell(struct vm_run *run, struct config *cfg, const struct boot_protocol *protocol)
{
	const char *keys = run->con != NULL && console_is_terminal(run->con) ? "; Ctrl-] then q ends it, Ctrl-] h helps" : "";
	struct vmctx *vm = run->r.vmm.vm;

	if (run->told)
		return;
	run->told = true;
	say("%s machine '%s', %u vCPU%s, %" PRId64 " MiB, on back end %s: %s", vm_arch_name(vm_get_arch(vm)),
	    run->m.cls->name, run->m.ncpus, run->m.ncpus == 1 ? "" : "s",
	    (int64_t)(vm_get_lowmem_size(vm) + vm_get_highmem_size(vm)) >> 20, vm_accel_name(vm), vm_accel_reason(vm));
	if (run->o->loaded)
		say("starting what a loader left%s", keys);
	else if (protocol != NULL)
		say("starting '%s' as %s%s", run->spec.kernel.path, protocol->doc, keys);
	else if (run->fw.bios)
		say("starting BIOS '%s'%s", run->fw.code, keys);
	else
		say("starting firmware '%s', its variables %s%s%s%s", run->fw.code, run->fw.vars != NULL ? "in '" :
		    "gone with the VM (firmware.vars=FILE keeps them)", run->fw.vars != NULL ? run->fw.vars : "",
		    run->fw.vars != NULL ? "'" : "", keys);
}

/* Also a guest that ended before the loop came to it did run. */
static void
now_running(void *arg)
{
	struct vm_run *run = arg;

	if (!run->ran && run->o->running != NULL)
		run->o->running(run->o->arg);
	run->ran = true;
}

/* Does a guest that ended with this code start anew? */
static bool
begins_again(struct vm_run *run, struct config *cfg, int code)
{
	return (code == EXIT_VM_RESET && config_bool(config_node(cfg, ""), "reboot") && !run->asked && !run->o->loaded &&
	    (run->control == NULL || !qmp_quitting(run->control)));
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
	    .console = run->port, .firmware = run->fw.code != NULL ? &run->fw : NULL, .guest_code = -1 };
	if (run->m.cls == NULL)
		return (-1);
	run->spec.loaded = run->o->loaded;
	run->r.vmm.vm = run->o->loaded ? vmm_open_loaded(cfg) : vmm_new_vm(cfg, run->m.cls->layout, !run->o->unnamed);
	if (run->r.vmm.vm == NULL)
		return (-1);
	if (!run->o->loaded && config_bool(config_node(cfg, ""), "memory.prealloc") && vmm_prealloc(run->r.vmm.vm, run->r.vmm.log) != 0)
		goto out;
	if (topo.cpus > run->m.cls->max_cpus) {
		(void)vmm_fail(EINVAL, "machine '%s' has at most %u vCPUs, not %u", run->m.cls->name, run->m.cls->max_cpus, topo.cpus);
		goto out;
	}
	run->m.ncpus = topo.cpus;
	run->m.vcpus = run->r.vcpus;
	run->m.tids = run->r.tids;
	if (runner_open_cpus(&run->r, topo.cpus) != 0)
		goto out;
	if (run->m.cls->init(&run->m) != 0 || run->m.cls->boot(&run->m, &run->spec, &protocol) != 0) {
		run->m.cls->fini(&run->m);
		goto out;
	}
	if (vm_start(run->r.vmm.vm) != 0) {
		(void)vmm_fail(errno, "%s", vm_errmsg());
	} else if (run->gdb == NULL || gdb_vm_on(run->gdb, run->r.vmm.vm, run->r.vcpus, topo.cpus) == 0) {
		tell(run, cfg, protocol);
		run->lives++;
		TRACE(run->r.vmm.log, vm__start, NULL, topo.cpus, run->lives);
		/* Behind what the loop has to do already: then the vCPUs have their threads. */
		if (event_post(run->r.vmm.loop, now_running, run) != 0)
			(void)vmm_fail(ENOMEM, "no memory");
		else if (runner_run(&run->r) == 0) {
			now_running(run);
			code = atomic_load(&run->r.code);
		} else
			run->ran = true;	/* what was posted runs when the devices go, and has nothing to tell */
		if (run->gdb != NULL)
			gdb_vm_off(run->gdb, begins_again(run, cfg, code), code);
	}
	devices_pause(&run->r.vmm);
	run->m.cls->fini(&run->m);
	if (code >= 0 && atomic_load(&run->m.guest_code) >= 0)
		code = atomic_load(&run->m.guest_code);
out:
	/* What its memory has by now is nothing to start from. */
	if (run->o->loaded && code >= 0)
		(void)vm_reinit(run->r.vmm.vm);
	if (run->o->loaded && run->o->gone && code == EXIT_VM_POWEROFF)
		runner_destroy_vm(&run->r);
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
default_firmware(struct config *cfg, const struct config_origin *code)
{
	const struct machine_class *cls = machine_find(vmm_arch(cfg));

	if (cls == NULL)
		return (-1);
	if (cls->firmware == NULL)
		return (vmm_fail(EINVAL, "%s machines start kernels only: --kernel FILE", vm_arch_name(cls->arch)));
	return (config_set(cfg, "firmware.code", "uefi", code));
}

/*
 * A machine that starts firmware is for a whole system: two vCPUs, and 1 GiB or half of what the host has.  Kernels keep the small machine
 * that they are tried out with.
 */
static int
default_size(struct config *cfg, const struct config_origin *code)
{
	static const char *const parts[] = { "cpus", "sockets", "cores", "threads" };
	struct config_node *root = config_node(cfg, "");
	uint64_t host = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE) >> 20;
	char size[24];
	size_t set = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		set += config_is_set(root, parts[i]);
	/* Comparing native code with the interpreter is for one. */
	set += config_num(root, "jit_check") != 0;
	if (set == 0 && config_set(cfg, "cpus", "2", code) != 0)
		return (-1);
	if (config_is_set(config_node(cfg, "memory"), "size"))
		return (0);
	(void)snprintf(size, sizeof(size), "%uM", host >= 2048 ? 1024 : host < 512 ? 256 : (unsigned)(host / 2));
	return (config_set(cfg, "memory.size", size, code));
}

/* What is so unless it was said otherwise: the architecture that the kernel is for, firmware and the machine's size with it, entropy, a NIC. */
static int
defaults(struct vm_run *run, struct config *cfg)
{
	static const struct config_origin file = { CONFIG_FROM_CODE, "the kernel", 0 };
	const struct config_origin code = { CONFIG_FROM_CODE, run->o->who, 0 };
	const struct boot_file *kernel = &run->spec.kernel;
	const struct boot_protocol *protocol = kernel->data != NULL ? boot_probe(kernel) : NULL;
	struct config_node *root = config_node(cfg, "");

	if (protocol != NULL && !config_is_set(root, "arch") && config_set(cfg, "arch", vm_arch_name(protocol->arch), &file) != 0)
		return (-1);
	if (kernel->data == NULL && !run->o->loaded && ((!firmware_wanted(cfg) && default_firmware(cfg, &code) != 0) ||
	    (!run->o->bare && default_size(cfg, &code) != 0)))
		return (-1);
	if (run->o->bare)
		return (0);
	if (config_str(config_node(cfg, "pci.0.1.0"), "device") == NULL &&
	    config_set(cfg, "pci.0.1.0.device", "virtio-rnd", &code) != 0)
		return (-1);
	if (!config_bool(root, "default_nic") || config_str(config_node(cfg, "pci.0.2.0"), "device") != NULL ||
	    config_each(cfg, find_nic, NULL) != 0)
		return (0);
	return (config_set(cfg, "pci.0.2.0.device", "virtio-net", &code));
}

/* Complete the configuration and check it. */
static int
configure(struct vm_run *run, struct config *cfg)
{
	const struct machine_class *cls;
	const char *protocol;

	if (read_files(run, cfg) != 0 || defaults(run, cfg) != 0 || config_check(cfg) != 0)
		return (-1);
	cls = machine_find(vmm_arch(cfg));
	if (cls == NULL || (firmware_wanted(cfg) && firmware_choose(cfg, cls->firmware, cls->bios, &run->fw) != 0))
		return (-1);
	protocol = config_str(config_node(cfg, "boot"), "protocol");
	if (protocol == NULL)
		return (0);
	run->spec.protocol = boot_protocol_find(vmm_arch(cfg), protocol);
	return (run->spec.protocol != NULL ? 0 : -1);
}

/* Connect the serial port to the terminal, to the socket in the VM's directory, or to both. */
static int
connect_console(struct vm_run *run)
{
	struct event_loop *loop = run->r.vmm.loop;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		return (vmm_fail_sys(errno, "console"));
	run->port = chardev_open_fds(loop, fds[1], fds[1], true);
	if (run->port == NULL) {
		close(fds[0]);
		close(fds[1]);
		return (-1);
	}
	if (run->o->dir != NULL) {
		if (vmdir_socket(run->o->dir, VMDIR_CONSOLE, path) != 0) {
			close(fds[0]);
			return (-1);
		}
		run->server = console_server_open(loop, run->r.vmm.log, fds[0], path);
		if (run->server == NULL || run->o->detached)
			return (run->server != NULL ? 0 : -1);
		fds[0] = console_server_local(run->server);
		if (fds[0] < 0)
			return (-1);
	}
	run->con = console_open(loop, fds[0], on_command, run);
	return (run->con != NULL ? 0 : -1);
}

/* Power it on, again behind each reset.  The exit code, -1 with a sentence. */
static int
live(struct vm_run *run, struct config *cfg)
{
	bool again;
	const char *control = config_str(config_node(cfg, ""), "control");
	int code;

	run->force = event_timer_add(run->r.vmm.loop, force_end, run);
	if (run->force == NULL || open_debugger(run, cfg) != 0)
		return (-1);
	if (!run->o->own_port && connect_console(run) != 0)
		return (-1);
	if (control != NULL) {
		run->control = qmp_new(&run->r.vmm, &run->m);
		if (run->control == NULL || qmp_listen(run->control, control) != 0)
			return (-1);
	}
	do {
		run->host = NULL;
		code = power_on(run, cfg);
		TRACE(run->r.vmm.log, vm__end, NULL, (uint64_t)(code >= 0 ? code : EXIT_VM_ERROR));
		again = begins_again(run, cfg, code);
		if (run->control != NULL)
			qmp_ended(run->control, code < 0 ? VM_SUSPEND_DESTROY : (enum vm_suspend_how)atomic_load(&run->r.how), again, run->host);
	} while (again);
	return (code);
}

int
run_vm(struct config *cfg, const struct vm_run_options *o)
{
	struct vm_run run = { .r = { .sigfd = -1, .on_signal = on_signal, .on_sysreg = on_sysreg, .on_debug = on_debug }, .o = o };
	int code = -1;

	run.r.arg = &run;
	run.r.vmm.config = cfg;
	if (configure(&run, cfg) == 0 && runner_init(&run.r) == 0)
		code = live(&run, cfg);
	qmp_free(run.control);
	gdb_close(run.gdb);
	chardev_close(run.port);
	console_server_close(run.server);
	console_close(run.con);
	event_remove(run.force);
	runner_fini(&run.r);
	firmware_free(&run.fw);
	free_files(&run);
	if (code >= 0)
		return (code);
	if (o->failed != NULL)
		o->failed(o->arg, vmm_errmsg());
	else
		(void)cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	return (EXIT_VM_ERROR);
}

int
check_vm(struct config *cfg, const struct vm_run_options *o)
{
	struct vm_run run = { .o = o };
	struct vmm_topology topo;
	int r;

	r = configure(&run, cfg);
	if (r == 0)
		r = vmm_get_topology(cfg, &topo);
	if (r == 0 && topo.cpus > machine_find(vmm_arch(cfg))->max_cpus)
		r = vmm_fail(EINVAL, "machine '%s' has at most %u vCPUs, not %u", machine_find(vmm_arch(cfg))->name,
		    machine_find(vmm_arch(cfg))->max_cpus, topo.cpus);
	if (r == 0 && run.spec.kernel.data != NULL && run.spec.protocol == NULL && boot_probe(&run.spec.kernel) == NULL)
		r = vmm_fail(ENOEXEC, "'%s' is no kernel of a kind that is known; --protocol says which one it is", run.spec.kernel.path);
	firmware_free(&run.fw);
	free_files(&run);
	return (r);
}
