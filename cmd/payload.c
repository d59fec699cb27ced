/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payload.c - hyve payload: run a flat binary on a machine of RAM, a serial port and a way to
 * end.
 *
 * The main thread runs the event loop; each vCPU has a thread.  The end of the last vCPU thread
 * stops the loop.
 */
#include <sys/signalfd.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "device.h"
#include "error.h"
#include "newvm.h"
#include "payload.h"

struct run;

struct cpu {
	struct run	*run;
	struct vcpu	*vcpu;
	pthread_t	 thread;
	bool		 started;
};

struct run {
	struct vmm	 vmm;
	const struct payload_machine *machine;
	struct cpu	 cpus[VM_MAXCPU];
	unsigned	 ncpus;
	_Atomic unsigned left;		/* vCPU threads that run */
	_Atomic int	 code;		/* exit code, -1 before it is known */
	struct vm_irq	*uart_irq;
	struct vm_range	*exit_range;
	struct log_rate	 rate;
	int		 sigfd;
	struct event	*sigev;
};

static void
log_line(void *arg, enum log_level level, const char *line)
{
	fprintf(stderr, "hyve: %s: %s\n", log_level_name(level), line);
}

/* The payload's way to end: 0 reset, 1 power off, 2 halt.  vCPU's thread. */
static void
exit_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	static const enum vm_suspend_how hows[] = { VM_SUSPEND_RESET, VM_SUSPEND_POWEROFF, VM_SUSPEND_HALT };
	struct run *run = arg;

	if (size == 1 && val < sizeof(hows) / sizeof(hows[0]))
		(void)vm_suspend(run->vmm.vm, hows[val]);
	else
		log_guest(run->vmm.log, &run->rate, "exit", "a write of %u bytes with %#" PRIx64 " ends nothing", size,
		    val);
}

static int
exit_code(enum vm_suspend_how how)
{
	switch (how) {
	case VM_SUSPEND_RESET:
		return (EXIT_VM_RESET);
	case VM_SUSPEND_POWEROFF:
		return (EXIT_VM_POWEROFF);
	case VM_SUSPEND_HALT:
		return (EXIT_VM_HALT);
	case VM_SUSPEND_TRIPLEFAULT:
		return (EXIT_VM_TRIPLEFAULT);
	default:
		return (EXIT_VM_ERROR);
	}
}

/* The first reason is the one that counts. */
static void
set_code(struct run *run, int code)
{
	int none = -1;

	(void)atomic_compare_exchange_strong(&run->code, &none, code);
}

/* true: go on running. */
static bool
handle_exit(struct run *run, struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct log *log = run->vmm.log;

	switch (exit->code) {
	case VM_EXIT_SUSPENDED:
		set_code(run, exit_code(exit->u.suspended.how));
		return (false);
	case VM_EXIT_MMIO:
		log_guest(log, &run->rate, "cpu", "%s of %u bytes at %#" PRIx64 ", where nothing is, by the code at %#"
		    PRIx64, exit->u.mmio.write ? "write" : "read", exit->u.mmio.size, exit->u.mmio.gpa, exit->pc);
		return (true);
	case VM_EXIT_IO:
		log_guest(log, &run->rate, "cpu", "%s of %u bytes at port %#x, where nothing is, by the code at %#"
		    PRIx64, exit->u.io.write ? "output" : "input", exit->u.io.size, exit->u.io.port, exit->pc);
		return (true);
	case VM_EXIT_SYSREG:
		log_guest(log, &run->rate, "cpu", "access to system register %#" PRIx64 " by the code at %#" PRIx64,
		    exit->u.sysreg.reg, exit->pc);
		return (true);
	case VM_EXIT_HYPERCALL:
		log_guest(log, &run->rate, "cpu", "hypercall %#" PRIx64 " by the code at %#" PRIx64,
		    exit->u.hypercall.func, exit->pc);
		return (true);
	case VM_EXIT_ERROR:
		log_msg(log, LOG_LEVEL_ERROR, "cpu", "vCPU %d at %#" PRIx64 ": %s", vcpu_id(vcpu), exit->pc,
		    vm_errmsg());
		set_code(run, EXIT_VM_ERROR);
		(void)vm_suspend(run->vmm.vm, VM_SUSPEND_DESTROY);
		return (false);
	default:
		return (true);
	}
}

static void *
cpu_thread(void *arg)
{
	struct cpu *cpu = arg;
	struct run *run = cpu->run;
	struct vm_exit exit;

	do {
		if (vm_run(cpu->vcpu, &exit) != 0) {
			log_msg(run->vmm.log, LOG_LEVEL_ERROR, "cpu", "%s", vm_errmsg());
			set_code(run, EXIT_VM_ERROR);
			(void)vm_suspend(run->vmm.vm, VM_SUSPEND_DESTROY);
			break;
		}
	} while (handle_exit(run, cpu->vcpu, &exit));
	if (atomic_fetch_sub(&run->left, 1) == 1)
		event_loop_stop(run->vmm.loop);
	return (NULL);
}

/* A signal that would end us: power off, so that the terminal gets its modes back. */
static void
got_signal(void *arg, unsigned what)
{
	struct run *run = arg;
	struct signalfd_siginfo info;

	if (read(run->sigfd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		(void)vm_suspend(run->vmm.vm, VM_SUSPEND_POWEROFF);
}

/* Read the image into RAM at its place. */
static int
load_image(struct run *run, const char *path, vm_paddr_t at)
{
	const struct payload_machine *m = run->machine;
	struct stat st;
	uint8_t *to;
	size_t len, done = 0;
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return (vmm_fail_sys(errno, "cannot open '%s'", path));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0) {
		close(fd);
		return (vmm_fail(EINVAL, "'%s' is not a file with something in it", path));
	}
	len = (size_t)st.st_size;
	to = vm_map_gpa(run->vmm.vm, at, len);
	if (to == NULL) {
		close(fd);
		return (vmm_fail(EFAULT, "'%s' (%zu bytes) does not fit in RAM at %#" PRIx64, path, len, at));
	}
	if (at < m->reserved_end && at + len > m->reserved) {
		close(fd);
		return (vmm_fail(EINVAL, "'%s' covers the descriptor table at %#" PRIx64, path, m->reserved));
	}
	while (done < len) {
		n = read(fd, to + done, len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	close(fd);
	if (done < len)
		return (vmm_fail(EIO, "'%s' ended early", path));
	return (0);
}

static int
make_devices(struct run *run, struct config *cfg)
{
	const struct payload_machine *m = run->machine;
	struct vm_range_spec spec = {
		.name = "payload exit", .space = m->space, .base = m->exit, .len = 1, .write = exit_write, .arg = run,
	};
	struct device_place place = {
		.on = m->space == VM_SPACE_IO ? DEVICE_ON_IO : DEVICE_ON_MMIO, .base = m->uart, .nirqs = 1,
	};
	struct config_node *node = config_node(cfg, "serial");

	run->exit_range = vm_range_add(run->vmm.vm, &spec);
	run->uart_irq = vm_irq_open_line(run->vmm.vm, m->uart_line);
	if (run->exit_range == NULL || run->uart_irq == NULL)
		return (vmm_fail(errno, "%s", vm_errmsg()));
	place.irq[0] = run->uart_irq;
	if (node == NULL ||
	    device_create(&run->vmm, device_class_find("ns16550"), "serial", node, &place) == NULL)
		return (-1);
	return (0);
}

static int
make_cpus(struct run *run, struct config *cfg, vm_paddr_t at)
{
	struct vmm_topology topo;

	if (vmm_get_topology(cfg, &topo) != 0)
		return (-1);
	for (unsigned i = 0; i < topo.cpus; i++) {
		run->cpus[i].run = run;
		run->cpus[i].vcpu = vm_vcpu_open(run->vmm.vm, (int)i);
		if (run->cpus[i].vcpu == NULL)
			return (vmm_fail(errno, "%s", vm_errmsg()));
		run->ncpus++;
	}
	if (run->machine->enter(run->vmm.vm, run->cpus[0].vcpu, at) != 0 || vm_start(run->vmm.vm) != 0)
		return (vmm_fail(errno, "%s", vm_errmsg()));
	return (0);
}

/* Run to the end.  -1 with a sentence if that did not begin. */
static int
run_vm(struct run *run)
{
	struct cpu *cpu;
	int error = 0;

	devices_resume(&run->vmm);
	atomic_store(&run->left, run->ncpus);
	for (unsigned i = 0; i < run->ncpus && error == 0; i++) {
		cpu = &run->cpus[i];
		error = pthread_create(&cpu->thread, NULL, cpu_thread, cpu);
		cpu->started = error == 0;
	}
	if (error == 0)
		(void)event_loop_run(run->vmm.loop);
	else
		(void)vm_suspend(run->vmm.vm, VM_SUSPEND_DESTROY);
	for (unsigned i = 0; i < run->ncpus; i++) {
		if (run->cpus[i].started)
			(void)pthread_join(run->cpus[i].thread, NULL);
	}
	return (error == 0 ? 0 : vmm_fail_sys(error, "cannot make a vCPU's thread"));
}

static int
setup_host(struct run *run)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	run->sigfd = -1;
	run->vmm.log = log_new(log_line, NULL);
	run->vmm.loop = run->vmm.log != NULL ? event_loop_new() : NULL;
	if (run->vmm.loop == NULL)
		return (-1);
	/* Before any thread is made, so that all inherit it. */
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	run->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->sigfd < 0)
		return (vmm_fail_sys(errno, "signalfd"));
	run->sigev = event_fd_add(run->vmm.loop, run->sigfd, EVENT_READ, got_signal, run);
	return (run->sigev != NULL ? 0 : -1);
}

static void
teardown(struct run *run)
{
	if (run->vmm.vm != NULL) {
		if (run->vmm.loop != NULL)
			devices_destroy(&run->vmm);
		vm_range_remove(run->exit_range);
		vm_irq_close(run->uart_irq);
		for (unsigned i = 0; i < run->ncpus; i++)
			vm_vcpu_close(run->cpus[i].vcpu);
		vm_close(run->vmm.vm);
	}
	event_remove(run->sigev);
	if (run->sigfd >= 0)
		close(run->sigfd);
	event_loop_free(run->vmm.loop);
	log_free(run->vmm.log);
}

static int
payload(struct config *cfg, const char *image, bool have_at, vm_paddr_t at)
{
	static const struct payload_machine *const machines[] = { &payload_amd64, &payload_arm64 };
	struct run run = { .sigfd = -1 };
	int r = -1, code;

	atomic_init(&run.code, -1);
	if (setup_host(&run) != 0)
		goto out;
	run.vmm.config = cfg;
	run.vmm.vm = vmm_new_vm(cfg, NULL);
	if (run.vmm.vm == NULL)
		goto out;
	for (unsigned i = 0; i < sizeof(machines) / sizeof(machines[0]); i++) {
		if (machines[i]->arch == vm_get_arch(run.vmm.vm))
			run.machine = machines[i];
	}
	if (!have_at)
		at = run.machine->at;
	if (load_image(&run, image, at) != 0 || make_devices(&run, cfg) != 0 || make_cpus(&run, cfg, at) != 0)
		goto out;
	fprintf(stderr, "hyve: %s guest on back end %s: %s\n", vm_arch_name(run.machine->arch),
	    vm_accel_name(run.vmm.vm), vm_accel_reason(run.vmm.vm));
	r = run_vm(&run);
out:
	code = atomic_load(&run.code);
	if (r != 0)
		code = cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	teardown(&run);
	return (code);
}

static int
parse_addr(const char *text, vm_paddr_t *at)
{
	char *end;

	errno = 0;
	*at = strtoull(text, &end, 0);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-')
		return (vmm_fail(EINVAL, "--at: '%s' is not an address", text));
	return (0);
}

/* --arch and --accel are short for --set. */
static int
set_key(struct config *cfg, const char *name, const char *value, int n)
{
	struct config_origin origin = { .source = CONFIG_FROM_ARGUMENT, .number = (unsigned)n };

	return (config_set(cfg, name, value, &origin));
}

int
cmd_payload(const struct verb *verb, int argc, char **argv)
{
	static const struct option options[] = {
		{ "arch", required_argument, NULL, 'a' },
		{ "accel", required_argument, NULL, 'x' },
		{ "image", required_argument, NULL, 'i' },
		{ "at", required_argument, NULL, 't' },
		{ "config", required_argument, NULL, 'k' },
		{ "set", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	static const struct config_origin here = { CONFIG_FROM_CODE, "hyve payload", 0 };
	struct config *cfg = cmd_config_new();
	const char *image = NULL;
	vm_paddr_t at = 0;
	bool have_at = false;
	int opt, r = 0, code;

	if (cfg == NULL || config_set(cfg, "serial.path", "stdio", &here) != 0) {
		config_free(cfg);
		return (cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg()));
	}
	while (r == 0 && (opt = getopt_long(argc, argv, "k:h", options, NULL)) != -1) {
		switch (opt) {
		case 'a':
			r = set_key(cfg, "arch", optarg, optind - 1);
			break;
		case 'x':
			r = set_key(cfg, "accel", optarg, optind - 1);
			break;
		case 'i':
			image = optarg;
			break;
		case 't':
			r = parse_addr(optarg, &at);
			have_at = true;
			break;
		case 'k':
			r = cmd_config_file(cfg, optarg);
			break;
		case 's':
			r = cmd_config_arg(cfg, optarg, optind - 1);
			break;
		default:
			config_free(cfg);
			return (cmd_usage(verb, opt == 'h' ? 0 : EXIT_VM_ERROR));
		}
	}
	if (r == 0 && (image == NULL || optind < argc)) {
		config_free(cfg);
		return (cmd_usage(verb, EXIT_VM_ERROR));
	}
	if (r != 0 || config_check(cfg) != 0)
		code = cmd_fail(EXIT_VM_ERROR, "%s", vmm_errmsg());
	else
		code = payload(cfg, image, have_at, at);
	config_free(cfg);
	return (code);
}
