/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_fixture.h - VMs of the soft back end without devices, and what a test does to them from outside.
 */
#ifndef _VM_FIXTURE_H_
#define	_VM_FIXTURE_H_

#include <vmmapi.h>

#include <test.h>

/* A VM as spec says, with mem bytes of memory and n vCPUs. */
static inline struct vmctx *
tv_spec(const struct vm_spec *spec, size_t mem, unsigned n)
{
	struct vmctx *vm = vm_new(spec);

	CHECKF(vm != NULL, "vm_new: %s", vm_errmsg());
	if (mem != 0)
		CHECKF(vm_setup_memory(vm, mem, VM_MMAP_ALL) == 0, "%s", vm_errmsg());
	for (unsigned i = 0; i < n; i++)
		CHECKF(vm_vcpu_open(vm, (int)i) != NULL, "%s", vm_errmsg());
	return (vm);
}

/* One of an architecture. */
static inline struct vmctx *
tv_new(enum vm_arch arch, size_t mem, unsigned n)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = arch, .accel = VM_ACCEL_SOFT };

	return (tv_spec(&spec, mem, n));
}

/* The same on virtual time, which passes when the test says so. */
static inline struct vmctx *
tv_virtual(enum vm_arch arch, size_t mem, unsigned n)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = arch, .accel = VM_ACCEL_SOFT, .clock = VM_CLOCK_ICOUNT };

	return (tv_spec(&spec, mem, n));
}

/* A vCPU of it. */
static inline struct vcpu *
tv_cpu(struct vmctx *vm, unsigned i)
{
	struct vcpu *vcpu = vm_vcpu_open(vm, (int)i);

	CHECKF(vcpu != NULL, "%s", vm_errmsg());
	return (vcpu);
}

/* Registers. */
static inline uint64_t
tv_get(struct vcpu *vcpu, int reg)
{
	uint64_t val = 0;

	CHECKF(vm_get_register(vcpu, reg, &val) == 0, "%s", vm_errmsg());
	return (val);
}

static inline void
tv_set(struct vcpu *vcpu, int reg, uint64_t val)
{
	CHECKF(vm_set_register(vcpu, reg, val) == 0, "%s", vm_errmsg());
}

/* Eight bytes of memory, in a way that a processor with decoded code hears of. */
static inline uint64_t
tv_peek(struct vmctx *vm, uint64_t gpa)
{
	uint64_t val = 0;

	CHECKF(vm_gpa_read(vm, gpa, &val, sizeof(val)) == 0, "%s", vm_errmsg());
	return (val);
}

static inline void
tv_poke(struct vmctx *vm, uint64_t gpa, uint64_t val)
{
	CHECKF(vm_gpa_write(vm, gpa, &val, sizeof(val)) == 0, "%s", vm_errmsg());
}

/* Accesses as a processor's. */
static inline uint64_t
tv_read(struct vmctx *vm, enum vm_space space, uint64_t addr, unsigned size)
{
	uint64_t val = 0;

	CHECKF(vm_access(vm, space, addr, size, false, &val) == 0, "%s", vm_errmsg());
	return (val);
}

static inline void
tv_write(struct vmctx *vm, enum vm_space space, uint64_t addr, unsigned size, uint64_t val)
{
	CHECKF(vm_access(vm, space, addr, size, true, &val) == 0, "%s", vm_errmsg());
}

#endif /* _VM_FIXTURE_H_ */
