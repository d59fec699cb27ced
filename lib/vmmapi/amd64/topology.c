/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topology.c - how the APIC ids of a VM's processors are divided among threads, cores and packages, as CPUID tells it (SDM vol. 3 8.9.1:
 * each level has a field of the id, wide enough for its number).
 */
#include "amd64.h"

#define	LEVEL_THREADS	(1U << 8)
#define	LEVEL_CORES	(2U << 8)

static unsigned
threads(const struct vmctx *vm)
{
	return (vm->threads == 0 ? 1 : vm->threads);
}

static unsigned
cores(const struct vmctx *vm)
{
	return (vm->cores == 0 ? 1 : vm->cores);
}

/* Bits that the numbers of n things need. */
static unsigned
width(unsigned n)
{
	unsigned w = 0;

	while ((1U << w) < n)
		w++;
	return (w);
}

unsigned
amd64_package_cpus(const struct vmctx *vm)
{
	return (threads(vm) * cores(vm));
}

unsigned
amd64_package_bits(const struct vmctx *vm)
{
	return (width(threads(vm)) + width(cores(vm)));
}

uint32_t
amd64_leaf4_ids(const struct vmctx *vm, bool package)
{
	unsigned sharing = package ? amd64_package_bits(vm) : width(threads(vm));

	return (((1U << sharing) - 1) << 14 | ((1U << width(cores(vm))) - 1) << 26);
}

void
amd64_leafb(const struct vcpu *vcpu, uint32_t sub, uint32_t r[4])
{
	const struct vmctx *vm = vcpu->vm;

	r[0] = r[1] = 0;
	r[2] = sub & 0xff;
	r[3] = (uint32_t)vcpu->id;
	if (sub == 0) {
		r[0] = width(threads(vm));
		r[1] = threads(vm);
		r[2] |= LEVEL_THREADS;
	} else if (sub == 1) {
		r[0] = amd64_package_bits(vm);
		r[1] = amd64_package_cpus(vm);
		r[2] |= LEVEL_CORES;
	}
}
