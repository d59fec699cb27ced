/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * insns.c - how fast a software processor executes: millions of instructions a second for loops of one kind each, or the
 * throughput of those that move bytes.
 *
 * The back end counts what it executed.  Figures are the best of a few runs.  usage: PROGRAM [loop ...]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "insns.h"

#define	RUNS	5
#define	MEMORY	((size_t)64 << 20)

void
need(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "%s: %s: %s\n", insns.program, what, vm_errmsg());
		exit(1);
	}
}

void
set(struct vcpu *vcpu, int reg, uint64_t val)
{
	need(vm_set_register(vcpu, reg, val) == 0, "register");
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

static uint64_t
executed(struct vcpu *vcpu)
{
	int n;
	const uint64_t *stats = vm_get_stats(vcpu, &n);

	need(stats != NULL, "statistics");
	return (stats[VM_STAT_INSNS]);
}

static void
measure(const struct loop *l)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = insns.arch, .accel = VM_ACCEL_SOFT };
	struct vmctx *vm = vm_new(&spec);
	struct vcpu *vcpu;
	struct vm_exit ex;
	size_t size = (size_t)((const uint8_t *)l->end - (const uint8_t *)l->code);
	double t, best = 0;
	uint64_t n = 0;
	void *mem;

	need(vm != NULL && vm_setup_memory(vm, MEMORY, VM_MMAP_ALL) == 0, "memory");
	mem = vm_map_gpa(vm, insns.ram, MEMORY);
	need(mem != NULL, "memory");
	/* All of it is there before something is measured. */
	memset(mem, 0, MEMORY);
	vcpu = vm_vcpu_open(vm, 0);
	need(vcpu != NULL && vm_gpa_write(vm, insns.at, l->code, size) == 0, "vcpu");
	for (int i = 0; i < RUNS; i++) {
		insns.ready(vm, vcpu);
		n = executed(vcpu);
		t = now();
		need(vm_run(vcpu, &ex) == 0, "run");
		t = now() - t;
		n = executed(vcpu) - n;
		if (!insns.at_end(&ex)) {
			fprintf(stderr, "%s: %s: exit %d at 0x%jx\n", insns.program, l->name, (int)ex.code, (uintmax_t)ex.pc);
			exit(1);
		}
		if (best == 0 || t < best)
			best = t;
	}
	vm_close(vm);
	if (l->bytes != 0)
		printf("%-12s %9.2f GB/s\n", l->name, (double)l->bytes / best / 1e9);
	else
		printf("%-12s %9.1f million instructions/s\n", l->name, (double)n / best / 1e6);
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	if (insns.nloops == 0) {
		fprintf(stderr, "%s: this host cannot assemble the loops\n", insns.program);
		return (77);
	}
	for (size_t i = 0; i < insns.nloops; i++) {
		bool wanted = argc < 2;

		for (int a = 1; a < argc; a++)
			wanted = wanted || strcmp(argv[a], insns.loops[i].name) == 0;
		if (wanted)
			measure(&insns.loops[i]);
	}
	return (0);
}
