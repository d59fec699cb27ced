/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gic_fixture.h - a VM with a GICv3 and what a test does to its registers.
 */
#ifndef _TEST_GIC_FIXTURE_H_
#define	_TEST_GIC_FIXTURE_H_

#include "arm64/arm64.h"
#include "vm_fixture.h"

static struct vmctx *vm;
static struct vcpu *cpu[3];

#define	rd(addr, size)		tv_read(vm, VM_SPACE_MEM, (addr), (size))
#define	wr(addr, size, val)	tv_write(vm, VM_SPACE_MEM, (addr), (size), (val))

/* Of n vCPUs, not started. */
static inline void
gic_vm(size_t mem, unsigned n)
{
	vm = tv_new(VM_ARCH_ARM64, mem, 0);
	for (unsigned i = 0; i < n; i++)
		cpu[i] = tv_cpu(vm, i);
}

/* Registers of vCPU n's interface. */
static inline uint64_t
mrs(unsigned n, uint32_t reg)
{
	uint64_t v = 0;

	CHECK(vm->intc_ops->sysreg(cpu[n], reg, false, &v));
	return (v);
}

static inline void
msr(unsigned n, uint32_t reg, uint64_t v)
{
	CHECK(vm->intc_ops->sysreg(cpu[n], reg, true, &v));
}

#endif /* _TEST_GIC_FIXTURE_H_ */
