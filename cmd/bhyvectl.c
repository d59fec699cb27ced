/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bhyvectl.c - the bhyvectl command: what managers ask of bhyve's VMs.
 *
 * A VM that bhyve runs is asked at its control socket; one that is only there, filled by a loader or made by --create, is opened.  Where there
 * is neither, one of hyve's VMs with a directory is asked as well, while it runs: its life is for hyve's verbs.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <vmmapi.h>

#include "bhyve.h"
#include "cmd.h"
#include "control/qmp_client.h"
#include "error.h"
#include "vm_ask.h"

#define	ANSWER_MS	10000U
#define	END_MS		60000U		/* until a VM's process has ended */

struct ctl {
	const char	*name;
	struct qmp_client *client;	/* it runs */
	struct vmctx	*vm;		/* it does not */
	struct vmdir	*dir;		/* of one of hyve's; NULL: it is none */
	const char	*arg;		/* the verb's */
	int		 cpu;		/* --cpu; -1: all */
};

/* Something to do.  -1 with a sentence. */
struct ctl_verb {
	const char	*name, *arg, *help;
	bool		 alone;		/* of those at most one */
	bool		 makes;		/* there need be no such VM */
	int		(*run)(struct ctl *c);
};

/* A command without an answer. */
static int
tell(struct ctl *c, const char *command)
{
	json_t *answer;

	if (c->client == NULL)
		return (vmm_fail(ESRCH, "VM '%s' does not run", c->name));
	answer = qmp_client_execute(c->client, command, NULL, ANSWER_MS);
	if (answer == NULL)
		return (-1);
	json_decref(answer);
	return (0);
}

/* Until the process has hung up. */
static int
await_end(struct ctl *c)
{
	json_t *event;

	while ((event = qmp_client_event(c->client, NULL, END_MS)) != NULL)
		json_decref(event);
	return (errno == ETIMEDOUT ? vmm_fail(ETIMEDOUT, "VM '%s' was told to end and has not", c->name) : 0);
}

static int
create(struct ctl *c)
{
	if (c->client != NULL)
		return (vmm_fail(EEXIST, "VM '%s' runs", c->name));
	if (c->vm != NULL)
		return (vmm_fail(EEXIST, "VM '%s' is there already", c->name));
	return (vm_create(c->name) == 0 ? 0 : vmm_fail(errno, "%s", vm_errmsg()));
}

static int
destroy(struct ctl *c)
{
	/* One that --create has made is bhyve's, whatever hyve has of that name. */
	if (c->vm == NULL && c->dir != NULL)
		return (vmm_fail(ENOTSUP, "VM '%s' was made by 'hyve create': 'hyve stop --force %s' ends it, 'hyve delete %s' removes it", c->name,
		    c->name, c->name));
	if (c->client != NULL) {
		if (tell(c, "quit") != 0 || await_end(c) != 0)
			return (-1);
		/* One that a loader filled stays behind its process. */
		c->vm = vm_open(c->name);
		if (c->vm == NULL)
			return (errno == ENOENT ? 0 : vmm_fail(errno, "%s", vm_errmsg()));
	}
	vm_destroy(c->vm);
	c->vm = NULL;
	return (0);
}

static int
force_reset(struct ctl *c)
{
	return (tell(c, "system_reset"));
}

static int
force_poweroff(struct ctl *c)
{
	return (tell(c, "quit"));
}

static int
inject_nmi(struct ctl *c)
{
	return (tell(c, "inject-nmi"));
}

static int
no_snapshots(struct ctl *c)
{
	return (vmm_fail(ENOTSUP, "'%s': hyve has no snapshots in files yet; VM '%s' goes on as it was", c->arg, c->name));
}

static bool
wanted(const struct ctl *c, int cpu)
{
	return (c->cpu < 0 || c->cpu == cpu);
}

/* Processors that are there. */
static int
ncpus(struct ctl *c)
{
	uint16_t sockets, cores, threads, max;
	json_t *cpus;
	int n;

	if (c->client == NULL)
		return (vm_get_topology(c->vm, &sockets, &cores, &threads, &max) == 0 ? sockets * cores * threads :
		    vmm_fail(errno, "%s", vm_errmsg()));
	cpus = qmp_client_execute(c->client, "query-cpus-fast", NULL, ANSWER_MS);
	if (cpus == NULL)
		return (-1);
	n = (int)json_array_size(cpus);
	json_decref(cpus);
	return (n);
}

static void
print_counter(const char *what, long long value)
{
	printf("%-40s\t%lld\n", what, value);
}

static int
running_stats(struct ctl *c)
{
	json_t *answer = qmp_client_execute(c->client, "x-hyve-query-stats", NULL, ANSWER_MS), *counters, *one, *values;
	size_t n = 0, i;

	if (answer == NULL)
		return (-1);
	counters = json_object_get(answer, "counters");
	n = json_array_size(json_object_get(json_array_get(counters, 0), "values"));
	for (size_t cpu = 0; cpu < n; cpu++) {
		if (!wanted(c, (int)cpu))
			continue;
		printf("vcpu%zu stats:\n", cpu);
		json_array_foreach(counters, i, one) {
			values = json_object_get(one, "values");
			print_counter(json_string_value(json_object_get(one, "what")), json_integer_value(json_array_get(values, cpu)));
		}
	}
	json_decref(answer);
	return (0);
}

static int
get_stats(struct ctl *c)
{
	int n = ncpus(c), entries;
	struct vcpu *vcpu;
	const uint64_t *stats;
	const char *what;

	if (n < 0)
		return (-1);
	if (c->cpu >= n)
		return (vmm_fail(EINVAL, "VM '%s' has no vCPU %d; the last one is %d", c->name, c->cpu, n - 1));
	if (c->client != NULL)
		return (running_stats(c));
	for (int cpu = 0; cpu < n; cpu++) {
		if (!wanted(c, cpu))
			continue;
		vcpu = vm_vcpu_open(c->vm, cpu);
		if (vcpu == NULL)
			return (vmm_fail(errno, "%s", vm_errmsg()));
		printf("vcpu%d stats:\n", cpu);
		stats = vm_get_stats(vcpu, &entries);
		for (int k = 0; (what = vm_get_stat_desc(c->vm, k)) != NULL; k++)
			print_counter(what, (long long)stats[k]);
		vm_vcpu_close(vcpu);
	}
	return (0);
}

static int
get_topology(struct ctl *c)
{
	uint16_t sockets, cores, threads, max;
	json_t *cpus, *one, *props;
	size_t i;

	if (c->client == NULL) {
		if (vm_get_topology(c->vm, &sockets, &cores, &threads, &max) != 0)
			return (vmm_fail(errno, "%s", vm_errmsg()));
	} else {
		cpus = qmp_client_execute(c->client, "query-cpus-fast", NULL, ANSWER_MS);
		if (cpus == NULL)
			return (-1);
		sockets = cores = threads = 0;
		/* The last of them are the most. */
		json_array_foreach(cpus, i, one) {
			props = json_object_get(one, "props");
			sockets = (uint16_t)(json_integer_value(json_object_get(props, "socket-id")) + 1);
			cores = (uint16_t)(json_integer_value(json_object_get(props, "core-id")) + 1);
			threads = (uint16_t)(json_integer_value(json_object_get(props, "thread-id")) + 1);
		}
		json_decref(cpus);
	}
	printf("cpu_topology:\tsockets=%u, cores=%u, threads=%u\n", sockets, cores, threads);
	return (0);
}

static int
get_active(struct ctl *c)
{
	int n = c->client != NULL ? ncpus(c) : 0;

	if (n < 0)
		return (-1);
	fputs("active cpus:\t", stdout);
	for (int cpu = 0; cpu < n; cpu++)
		printf(" %d", cpu);
	puts(n == 0 ? "(none)" : "");
	return (0);
}

/* Stopped ones are all of a VM's. */
static int
get_suspended(struct ctl *c)
{
	json_t *status;
	bool stopped = false;
	int n = 0;

	if (c->client != NULL) {
		status = qmp_client_execute(c->client, "query-status", NULL, ANSWER_MS);
		if (status == NULL)
			return (-1);
		stopped = !json_is_true(json_object_get(status, "running"));
		json_decref(status);
		n = stopped ? ncpus(c) : 0;
		if (n < 0)
			return (-1);
	}
	fputs("suspended cpus:\t", stdout);
	for (int cpu = 0; cpu < n; cpu++)
		printf(" %d", cpu);
	puts(n == 0 ? "(none)" : "");
	return (0);
}

static int
get_memmap(struct ctl *c)
{
	vm_paddr_t gpa = 0;
	vm_ooffset_t off;
	int segid, prot, flags;
	size_t len;

	if (c->vm == NULL)
		return (vmm_fail(EBUSY, "VM '%s' runs, and its memory map is told of others only", c->name));
	printf("Address     Length      Segment     Offset      Prot\n");
	while (vm_mmap_getnext(c->vm, &gpa, &segid, &off, &len, &prot, &flags) == 0) {
		printf("%-12" PRIX64 "%-12zX%-12d%-12" PRIX64 "%c%c%c\n", (uint64_t)gpa, len, segid, (uint64_t)off, (prot & 1) != 0 ? 'R' : '-',
		    (prot & 2) != 0 ? 'W' : '-', (prot & 4) != 0 ? 'X' : '-');
		gpa += len;
	}
	return (0);
}

static int
get_memory(struct ctl *c, bool high)
{
	json_t *memory;

	if (c->client == NULL) {
		printf("%smem\t\t0x%016zx/%zu\n", high ? "high" : "low", high ? vm_get_highmem_size(c->vm) : vm_get_lowmem_size(c->vm),
		    high ? vm_get_highmem_size(c->vm) : vm_get_lowmem_size(c->vm));
		return (0);
	}
	if (high)
		return (0);
	memory = qmp_client_execute(c->client, "query-memory-size-summary", NULL, ANSWER_MS);
	if (memory == NULL)
		return (-1);
	printf("memory\t\t%lld\n", (long long)json_integer_value(json_object_get(memory, "base-memory")));
	json_decref(memory);
	return (0);
}

static int
get_lowmem(struct ctl *c)
{
	return (get_memory(c, false));
}

static int
get_highmem(struct ctl *c)
{
	return (get_memory(c, true));
}

static int
get_status(struct ctl *c)
{
	json_t *status;

	if (c->client == NULL) {
		printf("status\t\tnot running\n");
		return (0);
	}
	status = qmp_client_execute(c->client, "query-status", NULL, ANSWER_MS);
	if (status == NULL)
		return (-1);
	printf("status\t\t%s\n", json_string_value(json_object_get(status, "status")));
	json_decref(status);
	return (0);
}

static int
get_all(struct ctl *c)
{
	if (get_status(c) != 0 || get_lowmem(c) != 0 || get_highmem(c) != 0 || get_topology(c) != 0 || get_active(c) != 0 ||
	    get_suspended(c) != 0 || (c->vm != NULL && get_memmap(c) != 0))
		return (-1);
	return (get_stats(c));
}

static int
set_mem(struct ctl *c)
{
	size_t size;

	if (c->vm == NULL)
		return (vmm_fail(EBUSY, "VM '%s' runs and keeps the memory that it has", c->name));
	if (vm_parse_memsize(c->arg, &size) != 0)
		return (vmm_fail(EINVAL, "--set-mem: '%.32s' is not a size", c->arg));
	return (vm_setup_memory(c->vm, size, VM_MMAP_ALL) == 0 ? 0 : vmm_fail(errno, "%s", vm_errmsg()));
}

static const struct ctl_verb verbs[] = {
	{ "create", NULL, "make a VM for a loader to fill", true, true, create },
	{ "set-mem", "SIZE", "give it memory", false, false, set_mem },
	{ "get-stats", NULL, "print the counters of its vCPUs", false, false, get_stats },
	{ "get-cpu-topology", NULL, "print how the guest is told that they lie", false, false, get_topology },
	{ "get-active-cpus", NULL, "print which run or are stopped", false, false, get_active },
	{ "get-suspended-cpus", NULL, "print which are stopped", false, false, get_suspended },
	{ "get-memmap", NULL, "print where its memory is; of one that does not run", false, false, get_memmap },
	{ "get-lowmem", NULL, "print how much there is below 4 GiB", false, false, get_lowmem },
	{ "get-highmem", NULL, "and above", false, false, get_highmem },
	{ "get-all", NULL, "print all of this", false, false, get_all },
	{ "inject-nmi", NULL, "interrupt its vCPUs by an NMI", false, false, inject_nmi },
	{ "force-reset", NULL, "reset it; bhyve ends with code 0, unless it has -M", true, false, force_reset },
	{ "force-poweroff", NULL, "end it as if its plug was pulled; bhyve ends with code 1", true, false, force_poweroff },
	{ "checkpoint", "FILE", "refused: a snapshot", true, false, no_snapshots },
	{ "suspend", "FILE", "refused: a snapshot, and the VM's end", true, false, no_snapshots },
	{ "destroy", NULL, "end it if it runs, and remove it", true, false, destroy },
};

#define	NVERBS	(sizeof(verbs) / sizeof(verbs[0]))

static int
usage(FILE *out, int code)
{
	fputs("usage: bhyvectl --vm=NAME [--cpu=N] --VERB...\n\n", out);
	for (size_t i = 0; i < NVERBS; i++)
		fprintf(out, "  --%s%s%-*s %s\n", verbs[i].name, verbs[i].arg != NULL ? "=" : "",
		    (int)(22 - strlen(verbs[i].name) - (verbs[i].arg != NULL)), verbs[i].arg != NULL ? verbs[i].arg : "", verbs[i].help);
	return (code);
}

/* One of hyve's, which is there only while it runs. */
static int
find_hyve(struct ctl *c)
{
	struct vmdir_state state;

	c->dir = vmdir_open(c->name);
	/* There is none, or it is no name for one; of all else nobody knows whether there is. */
	if (c->dir == NULL)
		return (errno == ENOENT || errno == EINVAL || errno == ENAMETOOLONG ? 0 : -1);
	if (vmdir_state(c->dir, &state) != 0)
		return (-1);
	if (!state.running)
		return (0);
	c->client = vm_ask_open(c->dir);
	return (c->client != NULL ? 0 : -1);
}

/* Whoever runs it, or its directory.  -1 with a sentence; neither: it is not there. */
static int
find(struct ctl *c)
{
	char path[PATH_MAX];

	/* Without the folder of sockets there is none. */
	if (bhyve_socket(c->name, false, path, sizeof(path)) == 0)
		c->client = qmp_client_open(path, ANSWER_MS);
	if (c->client != NULL)
		return (0);
	if (errno != ENOENT && errno != ECONNREFUSED)
		return (-1);
	c->vm = vm_open(c->name);
	if (c->vm != NULL)
		return (0);
	return (errno == ENOENT ? find_hyve(c) : vmm_fail(errno, "%s", vm_errmsg()));
}

static int
run_all(struct ctl *c, const bool asked[NVERBS], const char *const args[NVERBS])
{
	for (size_t i = 0; i < NVERBS; i++) {
		if (!asked[i])
			continue;
		if (c->client == NULL && c->vm == NULL && c->dir != NULL && !verbs[i].makes)
			return (vmm_fail(ESRCH, "VM '%s' was made by 'hyve create' and does not run; 'hyve start %s' starts it", c->name, c->name));
		if (c->client == NULL && c->vm == NULL && !verbs[i].makes)
			return (vmm_fail(ENOENT, "there is no VM '%s'", c->name));
		c->arg = args[i];
		if (verbs[i].run(c) != 0)
			return (-1);
		/* What was made is there for the others. */
		if (verbs[i].makes && (c->vm = vm_open(c->name)) == NULL)
			return (vmm_fail(errno, "%s", vm_errmsg()));
	}
	return (0);
}

int
bhyvectl_main(int argc, char **argv)
{
	struct option options[NVERBS + 4] = { { "vm", required_argument, NULL, 'v' }, { "cpu", required_argument, NULL, 'c' },
	    { "help", no_argument, NULL, 'h' } };
	struct ctl c = { .cpu = -1 };
	const char *args[NVERBS] = { NULL }, *only = NULL;
	bool asked[NVERBS] = { false }, any = false;
	char *end;
	int opt, r;

	for (size_t i = 0; i < NVERBS; i++)
		options[3 + i] = (struct option){ verbs[i].name, verbs[i].arg != NULL ? required_argument : no_argument, NULL, (int)(256 + i) };
	while ((opt = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (opt == 'v')
			c.name = optarg;
		else if (opt == 'c') {
			c.cpu = (int)strtol(optarg, &end, 10);
			if (*optarg == '\0' || *end != '\0' || c.cpu < 0 || c.cpu >= VM_MAXCPU)
				return (cmd_fail(1, "--cpu: '%s' is no vCPU: 0 to %d", optarg, VM_MAXCPU - 1));
		} else if (opt == 'h')
			return (usage(stdout, 0));
		else if (opt < 256)
			return (usage(stderr, 1));
		else {
			if (verbs[opt - 256].alone && only != NULL && strcmp(only, verbs[opt - 256].name) != 0)
				return (cmd_fail(1, "--%s and --%s do not go together", only, verbs[opt - 256].name));
			if (verbs[opt - 256].alone)
				only = verbs[opt - 256].name;
			asked[opt - 256] = any = true;
			args[opt - 256] = optarg;
		}
	}
	if (optind < argc || c.name == NULL || !any)
		return (usage(stderr, 1));
	r = find(&c) == 0 ? run_all(&c, asked, args) : -1;
	qmp_client_close(c.client);
	vm_close(c.vm);
	vmdir_close(c.dir);
	return (r == 0 ? 0 : cmd_fail(1, "%s", vmm_errmsg()));
}
