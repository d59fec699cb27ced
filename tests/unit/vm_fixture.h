/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_fixture.h - VMs of the soft back end without devices, and what a test does to them from outside.
 */
#ifndef _VM_FIXTURE_H_
#define	_VM_FIXTURE_H_

#include <pthread.h>

#include <vmmapi.h>
#include <vmmapi/state.h>

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

/* A reader of what was written so far; out stays. */
static inline struct vm_state_in *
tv_reader(struct vm_state_out *out)
{
	struct vm_state_in *in;
	const void *data;
	size_t len;

	data = vm_state_out_data(out, &len);
	CHECK(data != NULL);
	in = vm_state_in_open(data, len);
	CHECKF(in != NULL, "%s", vm_errmsg());
	return (in);
}

/* vCPUs on threads of their own, each up to its exit. */
struct tv_runner {
	struct vcpu	*cpu;
	pthread_t	 thread;
	struct vm_exit	 ex;
};

static inline void *
tv_runner_main(void *arg)
{
	struct tv_runner *r = arg;

	CHECKF(vm_run(r->cpu, &r->ex) == 0, "%s", vm_errmsg());
	return (NULL);
}

/* Run n of them to their ends; the VM has been started. */
static inline void
tv_run(struct tv_runner *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(pthread_create(&r[i].thread, NULL, tv_runner_main, &r[i]), 0);
	for (unsigned i = 0; i < n; i++)
		pthread_join(r[i].thread, NULL);
}

#endif /* _VM_FIXTURE_H_ */
