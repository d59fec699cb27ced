/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.c - what the parts cost: start, exits, interrupts, dirty pages, state, and the speed of a loop, for each
 * architecture on each back end of this host.
 *
 * Each figure is the best of a few runs, so that what else the host does counts little.  usage: bench
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vmmapi.h>
#include <vmmapi/amd64.h>
#include <vmmapi/arm64.h>
#include <vmmapi/state.h>

#define	RUNS		5
#define	EXITS		20000
#define	MEMORY		((size_t)64 << 20)
#define	DIRTY_MEMORY	((size_t)1 << 30)
#define	LOOPS		((uint64_t)0x20 << 16)	/* turns of the two-instruction loop */

/* Write one byte again and again to an address that nobody claims. */
static const uint8_t amd64_exits[] = {
	0xba, 0x10, 0x05, 0x00, 0x00,	/* mov edx, 0x510 */
	0xee,				/* out dx, al */
	0xeb, 0xfd,			/* jmp to the out */
};
static const uint8_t amd64_loop[] = {
	0xb9, 0x00, 0x00, 0x20, 0x00,	/* mov ecx, LOOPS */
	0x83, 0xe9, 0x01,		/* sub ecx, 1 */
	0x75, 0xfb,			/* jnz to the sub */
	0xba, 0x10, 0x05, 0x00, 0x00,	/* mov edx, 0x510 */
	0xee,				/* out dx, al */
	0xeb, 0xee,			/* jmp to the start */
};
static const uint8_t arm64_exits[] = {
	0xc1, 0x3f, 0xa1, 0xd2,		/* movz x1, #0x9fe, lsl #16 */
	0x20, 0x00, 0x00, 0x39,		/* strb w0, [x1] */
	0xff, 0xff, 0xff, 0x17,		/* b to the strb */
};
static const uint8_t arm64_loop[] = {
	0x02, 0x04, 0xa0, 0xd2,		/* movz x2, #0x20, lsl #16 */
	0x42, 0x04, 0x00, 0xd1,		/* sub x2, x2, #1 */
	0xe2, 0xff, 0xff, 0xb5,		/* cbnz x2, to the sub */
	0xc1, 0x3f, 0xa1, 0xd2,		/* movz x1, #0x9fe, lsl #16 */
	0x20, 0x00, 0x00, 0x39,		/* strb w0, [x1] */
	0xfb, 0xff, 0xff, 0x17,		/* b to the start */
};

struct guest {
	enum vm_arch	 arch;
	vm_paddr_t	 entry;
	enum vm_space	 space;			/* of the address that the code writes to */
	uint64_t	 addr;
	const uint8_t	*exits, *loop;
	size_t		 exits_len, loop_len;
	unsigned	 line;			/* an interrupt line */
};

static const struct guest guests[] = {
	{ VM_ARCH_AMD64, 0x10000, VM_SPACE_IO, 0x510, amd64_exits, amd64_loop, sizeof(amd64_exits),
	    sizeof(amd64_loop), 20 },
	{ VM_ARCH_ARM64, 0x40080000, VM_SPACE_MEM, 0x09fe0000, arm64_exits, arm64_loop, sizeof(arm64_exits),
	    sizeof(arm64_loop), 20 },
};

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec * 1e9 + (double)ts.tv_nsec);
}

static void
need(bool ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "bench: %s: %s\n", what, vm_errmsg());
		exit(1);
	}
}

static struct vmctx *
make(const struct guest *g, enum vm_accel accel, size_t memory, const uint8_t *code, size_t len, struct vcpu **vcpup)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = g->arch, .accel = accel };
	struct vmctx *vm = vm_new(&spec);
	struct vcpu *vcpu;
	void *host;

	need(vm != NULL && vm_setup_memory(vm, memory, VM_MMAP_ALL) == 0, "memory");
	host = vm_map_gpa(vm, g->entry, len);
	need(host != NULL, "entry");
	memcpy(host, code, len);
	vcpu = vm_vcpu_open(vm, 0);
	need(vcpu != NULL, "vcpu");
	if (g->arch == VM_ARCH_AMD64)
		need(vm_setup_freebsd_registers_i386(vcpu, (uint32_t)g->entry, 0x1000, 0x8000) == 0, "registers");
	else
		need(vm_set_register(vcpu, VM_ARM64_REG_PC, g->entry) == 0, "registers");
	*vcpup = vcpu;
	return (vm);
}

static void
run(struct vcpu *vcpu, enum vm_exitcode want)
{
	struct vm_exit e;

	need(vm_run(vcpu, &e) == 0, "run");
	if (e.code != want) {
		fprintf(stderr, "bench: exit %d at 0x%jx, wanted %d\n", (int)e.code, (uintmax_t)e.pc, (int)want);
		exit(1);
	}
}

static void
report(const char *what, double value, const char *unit)
{
	printf("  %-44s %12.2f %s\n", what, value, unit);
}

static double
best(double a, double b)
{
	return (a == 0 || b < a ? b : a);
}

static void
bench_start(const struct guest *g, enum vm_accel accel, enum vm_exitcode want)
{
	double t, total = 0;
	struct vmctx *vm;
	struct vcpu *vcpu;

	for (int i = 0; i < RUNS; i++) {
		t = now();
		vm = make(g, accel, MEMORY, g->exits, g->exits_len, &vcpu);
		run(vcpu, want);
		total = best(total, now() - t);
		vm_close(vm);
	}
	report("vm_new() to the guest's first exit", total / 1e3, "us");
}

struct count {
	uint64_t	 left;
};

static void
count_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	struct count *c = arg;

	if (--c->left == 0)
		vm_vcpu_kick(vcpu);
}

static void
bench_exits(const struct guest *g, enum vm_accel accel, enum vm_exitcode want)
{
	struct count count;
	struct vm_range_spec spec = { .name = "bench", .space = g->space, .base = g->addr, .len = 8,
		.write = count_write, .arg = &count };
	struct vm_range *range;
	struct vcpu *vcpu;
	struct vmctx *vm = make(g, accel, MEMORY, g->exits, g->exits_len, &vcpu);
	double t, total = 0;

	run(vcpu, want);
	for (int i = 0; i < RUNS; i++) {
		t = now();
		for (int n = 0; n < EXITS; n++)
			run(vcpu, want);
		total = best(total, now() - t);
	}
	report("access that nobody claimed: vm_run() and back", total / EXITS, "ns");

	range = vm_range_add(vm, &spec);
	need(range != NULL, "range");
	total = 0;
	for (int i = 0; i < RUNS; i++) {
		count.left = EXITS;
		t = now();
		run(vcpu, VM_EXIT_KICKED);
		total = best(total, now() - t);
	}
	report("access to a claimed range: handler call", total / EXITS, "ns");
	vm_range_remove(range);
	vm_close(vm);
}

static void
bench_loop(const struct guest *g, enum vm_accel accel, enum vm_exitcode want)
{
	struct vcpu *vcpu;
	struct vmctx *vm = make(g, accel, MEMORY, g->loop, g->loop_len, &vcpu);
	double t, total = 0;

	for (int i = 0; i < RUNS; i++) {
		t = now();
		run(vcpu, want);
		total = best(total, now() - t);
	}
	report("loop of two instructions", (double)(2 * LOOPS) / (total / 1e9) / 1e6, "million instructions/s");
	vm_close(vm);
}

static void
bench_irq(const struct guest *g, enum vm_accel accel)
{
	struct vcpu *vcpu;
	struct vmctx *vm = make(g, accel, MEMORY, g->exits, g->exits_len, &vcpu);
	struct vm_irq *irq;
	double t, total = 0;

	need(vm_start(vm) == 0, "start");
	irq = vm_irq_open_line(vm, g->line);
	need(irq != NULL, "line");
	for (int i = 0; i < RUNS; i++) {
		t = now();
		for (int n = 0; n < EXITS; n++) {
			vm_irq_assert(irq);
			vm_irq_deassert(irq);
		}
		total = best(total, now() - t);
	}
	report("interrupt line asserted and deasserted", total / EXITS, "ns");
	vm_irq_close(irq);
	vm_close(vm);
}

static void
bench_dirty(const struct guest *g, enum vm_accel accel)
{
	static uint64_t bits[DIRTY_MEMORY / VM_PAGE_SIZE / 64];
	struct vcpu *vcpu;
	struct vmctx *vm = make(g, accel, DIRTY_MEMORY, g->exits, g->exits_len, &vcpu);
	struct vm_dirty *d;
	double t, total = 0;
	vm_paddr_t base = g->entry & ~(vm_paddr_t)(((uint64_t)1 << 30) - 1);

	need(vm_start(vm) == 0, "start");
	d = vm_dirty_open(vm);
	need(d != NULL, "dirty");
	for (int i = 0; i < RUNS; i++) {
		t = now();
		need(vm_dirty_fetch(d, base, DIRTY_MEMORY, bits) == 0, "fetch");
		total = best(total, now() - t);
	}
	report("dirty pages of 1 GiB fetched", total / 1e3, "us");
	vm_dirty_close(d);
	vm_close(vm);
}

static void
bench_state(const struct guest *g, enum vm_accel accel, enum vm_exitcode want)
{
	struct vcpu *vcpu;
	struct vmctx *vm = make(g, accel, MEMORY, g->exits, g->exits_len, &vcpu);
	struct vm_state_out *out;
	double t, total = 0;
	size_t len = 0;

	run(vcpu, want);
	for (int i = 0; i < RUNS; i++) {
		t = now();
		out = vm_state_out_open();
		need(out != NULL && vm_pause(vm) == 0 && vm_state_save(vm, out) == 0, "state");
		need(vm_state_out_data(out, &len) != NULL && vm_resume(vm) == 0, "state");
		total = best(total, now() - t);
		vm_state_out_close(out);
	}
	report("pause, state saved, resume", total / 1e3, "us");
	report("length of that state", (double)len / 1024, "KiB");
	vm_close(vm);
}

int
main(void)
{
	static const enum vm_accel accels[] = { VM_ACCEL_KVM, VM_ACCEL_SOFT };

	for (size_t i = 0; i < sizeof(guests) / sizeof(guests[0]); i++) {
		const struct guest *g = &guests[i];
		enum vm_exitcode want = g->space == VM_SPACE_IO ? VM_EXIT_IO : VM_EXIT_MMIO;

		for (size_t j = 0; j < sizeof(accels) / sizeof(accels[0]); j++) {
			printf("%s on %s\n", vm_arch_name(g->arch), accels[j] == VM_ACCEL_KVM ? "kvm" : "soft");
			if (vm_accel_probe(accels[j], g->arch) != 0) {
				printf("  not here: %s\n", vm_errmsg());
				continue;
			}
			bench_start(g, accels[j], want);
			bench_exits(g, accels[j], want);
			bench_loop(g, accels[j], want);
			bench_irq(g, accels[j]);
			bench_dirty(g, accels[j]);
			bench_state(g, accels[j], want);
		}
	}
	return (0);
}
