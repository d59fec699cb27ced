/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * runner.c - runs the vCPUs of a VM to its end.
 *
 * The main thread runs the event loop; each vCPU has a thread.  The end of the last vCPU thread stops the loop.
 */
#include <sys/signalfd.h>

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "error.h"
#include "hold.h"
#include "runner.h"
#include "say.h"
#include "thread.h"
#include "trace.h"

static void
log_line(void *arg, enum log_level level, const char *part, const char *text)
{
	say_log(level, part, text);
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
set_code(struct runner *run, int code)
{
	int none = -1;

	(void)atomic_compare_exchange_strong(&run->code, &none, code);
}

/* Kinds of exits, for tracing. */
static const char *const exit_names[VM_EXIT_LAST] = {
	[VM_EXIT_NONE] = "none", [VM_EXIT_MMIO] = "mmio", [VM_EXIT_IO] = "io", [VM_EXIT_HALT] = "halt", [VM_EXIT_PAUSE] = "pause",
	[VM_EXIT_KICKED] = "kicked", [VM_EXIT_SUSPENDED] = "suspended", [VM_EXIT_SYSREG] = "sysreg", [VM_EXIT_HYPERCALL] = "hypercall",
	[VM_EXIT_DEBUG] = "debug", [VM_EXIT_ERROR] = "error",
};

/* vm_range_watch(): an exit that a device has served.  Any thread. */
static void
trace_access(void *arg, const struct vm_range_access *a)
{
	struct log *log = arg;
	uint64_t cpu = a->vcpu != NULL ? (uint64_t)vcpu_id(a->vcpu) : 0;

	if (a->write)
		TRACE(log, device__write, a->name, cpu, a->off, a->size, a->val);
	else
		TRACE(log, device__read, a->name, cpu, a->off, a->size, a->val);
}

/* A vCPU does not go on: where it stands. */
static void
tell_state(struct log *log, struct vcpu *vcpu)
{
	char regs[512];

	if (vm_vcpu_describe(vcpu, regs, sizeof(regs)) == 0)
		log_msg(log, LOG_LEVEL_ERROR, "cpu", "vCPU %d has %s", vcpu_id(vcpu), regs);
	else
		log_msg(log, LOG_LEVEL_ERROR, "cpu", "vCPU %d: its registers cannot be told: %s", vcpu_id(vcpu), vm_errmsg());
}

static const char *
sysreg_name(struct runner *run, uint64_t reg, char buf[64])
{
	const char *name = vm_sysreg_name(run->vmm.vm, reg);

	if (name != NULL)
		(void)snprintf(buf, 64, "%#" PRIx64 " (%s)", reg, name);
	else
		(void)snprintf(buf, 64, "%#" PRIx64, reg);
	return (buf);
}

/* The first access to each is told when it happens, and in the end how many there were. */
static void
count_sysreg(struct runner *run, const struct vm_exit *exit)
{
	struct runner_sysreg *s = NULL;
	char buf[64];

	pthread_mutex_lock(&run->sysreg_lock);
	for (unsigned i = 0; i < run->nsysregs && s == NULL; i++) {
		if (run->sysregs[i].reg == exit->u.sysreg.reg)
			s = &run->sysregs[i];
	}
	if (s == NULL && run->nsysregs < RUNNER_NSYSREGS) {
		s = &run->sysregs[run->nsysregs++];
		*s = (struct runner_sysreg){ .reg = exit->u.sysreg.reg };
		log_msg(run->vmm.log, LOG_LEVEL_DEBUG, "cpu", "%s of system register %s, which there is not, by the code at %#" PRIx64,
		    exit->u.sysreg.write ? "write" : "read", sysreg_name(run, s->reg, buf), exit->pc);
	}
	if (s != NULL && exit->u.sysreg.write)
		s->writes++;
	else if (s != NULL)
		s->reads++;
	pthread_mutex_unlock(&run->sysreg_lock);
}

static void
tell_sysregs(struct runner *run)
{
	char buf[64];

	for (unsigned i = 0; i < run->nsysregs; i++)
		log_msg(run->vmm.log, LOG_LEVEL_DEBUG, "cpu", "system register %s, which there is not: %" PRIu64 " reads, %" PRIu64 " writes",
		    sysreg_name(run, run->sysregs[i].reg, buf), run->sysregs[i].reads, run->sysregs[i].writes);
	run->nsysregs = 0;
}

/* true: go on running. */
static bool
handle_exit(struct runner *run, struct vcpu *vcpu, const struct vm_exit *exit)
{
	struct log *log = run->vmm.log;

	TRACE(log, cpu__exit, exit_names[exit->code], (uint64_t)vcpu_id(vcpu), exit->pc);
	/* Systems probe for ports and registers by the dozen: that is for debugging only. */
	switch (exit->code) {
	case VM_EXIT_SUSPENDED:
		atomic_store(&run->how, (int)exit->u.suspended.how);
		set_code(run, exit_code(exit->u.suspended.how));
		return (false);
	case VM_EXIT_MMIO:
		log_guest(log, &run->rate, "cpu", "%s of %u bytes at %#" PRIx64 ", where nothing is, by the code at %#"
		    PRIx64, exit->u.mmio.write ? "write" : "read", exit->u.mmio.size, exit->u.mmio.gpa, exit->pc);
		return (true);
	case VM_EXIT_IO:
		log_msg(log, LOG_LEVEL_DEBUG, "cpu", "%s of %u bytes at port %#x, where nothing is, by the code at %#"
		    PRIx64, exit->u.io.write ? "output" : "input", exit->u.io.size, exit->u.io.port, exit->pc);
		return (true);
	case VM_EXIT_SYSREG:
		count_sysreg(run, exit);
		if (run->on_sysreg != NULL)
			run->on_sysreg(run, vcpu, exit);
		return (true);
	case VM_EXIT_HYPERCALL:
		log_guest(log, &run->rate, "cpu", "hypercall %#" PRIx64 " by the code at %#" PRIx64,
		    exit->u.hypercall.func, exit->pc);
		return (true);
	case VM_EXIT_DEBUG:
		if (run->on_debug != NULL)
			run->on_debug(run, vcpu, exit);
		return (true);
	case VM_EXIT_ERROR:
		log_msg(log, LOG_LEVEL_ERROR, "cpu", "vCPU %d at %#" PRIx64 ": %s", vcpu_id(vcpu), exit->pc,
		    vm_errmsg());
		tell_state(log, vcpu);
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
	struct runner_cpu *cpu = arg;
	struct runner *run = cpu->run;
	struct vm_exit exit;

	atomic_store(&run->tids[cpu - run->cpus], (int)gettid());
	do {
		if (vm_run(cpu->vcpu, &exit) != 0) {
			log_msg(run->vmm.log, LOG_LEVEL_ERROR, "cpu", "%s", vm_errmsg());
			tell_state(run->vmm.log, cpu->vcpu);
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
	struct runner *run = arg;
	struct signalfd_siginfo info;

	if (read(run->sigfd, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return;
	run->nsignals++;
	if (run->on_signal != NULL)
		run->on_signal(run, (int)info.ssi_signo, run->nsignals);
	else
		(void)vm_suspend(run->vmm.vm, VM_SUSPEND_POWEROFF);
}

int
runner_open_cpus(struct runner *run, unsigned ncpus)
{
	run->ncpus = 0;
	/* Every access of the guest to a device passes there: while nobody asks for them the call is not made. */
	if (vm_range_watch(run->vmm.vm, trace_access, run->vmm.log, trace_bits(run->vmm.log),
	    UINT64_C(1) << TRACE_device__read | UINT64_C(1) << TRACE_device__write) != 0)
		return (vmm_fail(errno, "%s", vm_errmsg()));
	for (unsigned i = 0; i < ncpus; i++) {
		run->cpus[i].run = run;
		run->cpus[i].started = false;
		run->cpus[i].vcpu = run->vcpus[i] = vm_vcpu_open(run->vmm.vm, (int)i);
		if (run->cpus[i].vcpu == NULL)
			return (vmm_fail(errno, "%s", vm_errmsg()));
		run->ncpus++;
	}
	return (0);
}

/* config_each(): keys of vCPUs that there are not. */
static int
check_vcpu_key(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	const struct runner *run = arg;
	char where[512], *end;
	unsigned long n;

	if (text == NULL || strncmp(name, "vcpu.", 5) != 0)
		return (0);
	n = strtoul(name + 5, &end, 10);
	if (end != name + 5 && *end == '.' && n < run->ncpus)
		return (0);
	return (vmm_fail(EINVAL, "%s: %s: the VM has vCPUs 0 to %u", config_origin_text(origin, where, sizeof(where)), name, run->ncpus - 1));
}

/* Start a vCPU's thread where its key says.  -1 with a sentence. */
static int
start_cpu(struct runner *run, unsigned i)
{
	struct runner_cpu *cpu = &run->cpus[i];
	struct config_node *node = NULL;
	struct config_value val = { .set = false };
	pthread_attr_t attr;
	char name[32], where[512];
	int error;

	(void)snprintf(name, sizeof(name), "vcpu.%u", i);
	if (run->vmm.config != NULL)
		node = config_node(run->vmm.config, name);
	if (node != NULL && config_is_set(node, "cpuset") && config_get(node, "cpuset", &val) != 0)
		return (-1);
	error = pthread_attr_init(&attr);
	if (error == 0)
		error = pthread_attr_setstacksize(&attr, THREAD_STACK);
	if (error == 0 && val.set)
		error = pthread_attr_setaffinity_np(&attr, sizeof(val.u.cpus), &val.u.cpus);
	if (error == 0) {
		error = pthread_create(&cpu->thread, &attr, cpu_thread, cpu);
		(void)pthread_attr_destroy(&attr);
	}
	cpu->started = error == 0;
	if (error == EINVAL && val.set)
		return (vmm_fail(EINVAL, "%s: %s.cpuset: this process may run on none of the host's processors %s",
		    config_origin_text(&val.origin, where, sizeof(where)), name, val.text));
	return (error == 0 ? 0 : vmm_fail_sys(error, "cannot make a vCPU's thread"));
}

int
runner_run(struct runner *run)
{
	int error = 0;

	atomic_store(&run->code, -1);
	atomic_store(&run->how, VM_SUSPEND_DESTROY);
	if (run->vmm.config != NULL && config_each(run->vmm.config, check_vcpu_key, run) != 0)
		return (-1);
	if (vmm_begin(&run->vmm) != 0)
		return (-1);
	atomic_store(&run->left, run->ncpus);
	for (unsigned i = 0; i < run->ncpus && error == 0; i++)
		error = start_cpu(run, i);
	if (error == 0)
		(void)event_loop_run(run->vmm.loop);
	else
		(void)vm_suspend(run->vmm.vm, VM_SUSPEND_DESTROY);
	for (unsigned i = 0; i < run->ncpus; i++) {
		if (run->cpus[i].started)
			(void)pthread_join(run->cpus[i].thread, NULL);
		atomic_store(&run->tids[i], 0);
		run->cpus[i].started = false;
	}
	tell_sysregs(run);
	return (error);
}

/* What is told, and how. */
static int
set_log(struct log *log, struct config_node *root)
{
	const char *levels = config_str(root, "log.level");

	if (config_num(root, "log.format") != 0)
		say_as_json();
	if (levels != NULL && log_set_levels(log, levels) != 0)
		return (vmm_fail(EINVAL, "log.level: %s", vmm_errmsg()));
	if (trace_select(log, config_str(root, "trace")) != 0)
		return (vmm_fail(EINVAL, "trace: %s", vmm_errmsg()));
	return (0);
}

int
runner_init(struct runner *run)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	atomic_init(&run->code, -1);
	(void)pthread_mutex_init(&run->sysreg_lock, NULL);
	run->sigfd = -1;
	run->vmm.log = log_new(log_line, NULL);
	if (run->vmm.log != NULL && run->vmm.config != NULL && set_log(run->vmm.log, config_node(run->vmm.config, "")) != 0)
		return (-1);
	run->vmm.loop = run->vmm.log != NULL ? event_loop_new() : NULL;
	if (run->vmm.loop == NULL)
		return (vmm_fail_sys(errno, "event loop"));
	/* Before any thread is made, so that all inherit it. */
	(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
	run->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (run->sigfd < 0)
		return (vmm_fail_sys(errno, "signalfd"));
	run->sigev = event_fd_add(run->vmm.loop, run->sigfd, EVENT_READ, got_signal, run);
	return (run->sigev != NULL ? 0 : -1);
}

/* A line per counter that counted, with a column per vCPU. */
static void
print_stats(struct runner *run)
{
	const char *what;
	int n = 0;

	for (int k = 0; (what = vm_get_stat_desc(run->vmm.vm, k)) != NULL; k++) {
		uint64_t sum = 0;

		for (unsigned i = 0; i < run->ncpus; i++)
			sum += vm_get_stats(run->cpus[i].vcpu, &n)[k];
		if (sum == 0)
			continue;
		fprintf(stderr, "hyve: ");
		for (unsigned i = 0; i < run->ncpus; i++)
			fprintf(stderr, "%15" PRIu64 " ", vm_get_stats(run->cpus[i].vcpu, &n)[k]);
		fprintf(stderr, "%s\n", what);
	}
}

static void
end_vm(struct runner *run, void (*end)(struct vmctx *))
{
	if (run->vmm.vm == NULL)
		return;
	if (run->ncpus != 0 && run->vmm.config != NULL && config_bool(config_node(run->vmm.config, ""), "stats"))
		print_stats(run);
	for (unsigned i = 0; i < run->ncpus; i++)
		vm_vcpu_close(run->cpus[i].vcpu);
	run->ncpus = 0;
	end(run->vmm.vm);
	run->vmm.vm = NULL;
}

void
runner_close_vm(struct runner *run)
{
	end_vm(run, vm_close);
}

void
runner_destroy_vm(struct runner *run)
{
	end_vm(run, vm_destroy);
}

void
runner_fini(struct runner *run)
{
	runner_close_vm(run);
	event_remove(run->sigev);
	if (run->sigfd >= 0)
		close(run->sigfd);
	event_loop_free(run->vmm.loop);
	log_free(run->vmm.log);
}
