/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virtual_fixture.h - the fixture of vmm_fixture.h on virtual time that passes when the test says
 * so, to the nanosecond: a vCPU that has enabled its local APIC and halts with interrupts off lets
 * the clock jump from deadline to deadline.
 */
#ifndef _VIRTUAL_FIXTURE_H_
#define	_VIRTUAL_FIXTURE_H_

#include <vmmapi/amd64.h>

#include "vmm_fixture.h"

#define	NSEC	1000000000ULL

struct vfx {
	struct fx	 fx;
	struct vcpu	*vcpu;
	struct vm_timer	*end;
};

static inline void
vfx_end(void *arg)
{
	struct vfx *v = arg;

	(void)vm_vcpu_kick(v->vcpu);
}

/* Let the clock reach ns. */
static inline void
vfx_until(struct vfx *v, uint64_t ns)
{
	struct vmctx *vm = v->fx.vmm.vm;
	struct vm_exit exit;

	CHECK(vm_clock_now(vm) <= ns);
	CHECK_EQ(vm_timer_arm(v->end, ns), 0);
	CHECKF(vm_run(v->vcpu, &exit) == 0, "%s", vm_errmsg());
	CHECK_EQ(exit.code, VM_EXIT_KICKED);
	CHECK_EQ(vm_clock_now(vm), ns);
}

static inline void
vfx_open(struct vfx *v)
{
	/* movl $0x1ff, 0xfee000f0 (spurious vector register: enable); 1: hlt; jmp 1b */
	static const uint8_t code[] = { 0xc7, 0x05, 0xf0, 0x00, 0xe0, 0xfe, 0xff, 0x01, 0x00, 0x00, 0xf4, 0xeb, 0xfd };
	struct vmctx *vm;

	memset(v, 0, sizeof(*v));
	vm = v->fx.vmm.vm = tv_virtual(VM_ARCH_AMD64, FX_MEM, 0);
	v->fx.vmm.loop = event_loop_new();
	v->fx.vmm.log = log_new(fx_log, &v->fx);
	v->fx.vmm.config = config_new();
	v->fx.irq = vm_irq_open_line(vm, 8);
	v->end = vm_timer_open(vm, NSEC, vfx_end, v);
	v->vcpu = vm_vcpu_open(vm, 0);
	CHECK(v->fx.vmm.loop != NULL && v->fx.vmm.log != NULL && v->fx.vmm.config != NULL && v->fx.irq != NULL &&
	    v->end != NULL && v->vcpu != NULL);
	memcpy(vm_map_gpa(vm, 0x1000, sizeof(code)), code, sizeof(code));
	CHECKF(vm_setup_freebsd_registers_i386(v->vcpu, 0x1000, 0x800, 0x2000) == 0, "%s", vm_errmsg());
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	vfx_until(v, 1000);
	CHECK_EQ(vm_clock_set(vm, 0), 0);
}

static inline void
vfx_close(struct vfx *v)
{
	devices_destroy(&v->fx.vmm);
	vm_timer_close(v->end);
	vm_vcpu_close(v->vcpu);
	fx_close(&v->fx);
}

/* Set a key before the device is made. */
static inline void
vfx_set(struct vfx *v, const char *name, const char *value)
{
	struct config_origin origin = { .source = CONFIG_FROM_CODE, .what = "test" };

	CHECKF(config_set(v->fx.vmm.config, name, value, &origin) == 0, "%s", vmm_errmsg());
}

/* The first nanosecond at which a count of hz has reached n. */
static inline uint64_t
vfx_ns(uint64_t n, uint64_t hz)
{
	return ((uint64_t)(((unsigned __int128)n * NSEC + hz - 1) / hz));
}

/* Save all devices into one VM's twin, at the same time of its clock. */
static inline void
vfx_move(struct vfx *from, struct vfx *to)
{
	CHECK_EQ(vm_clock_set(to->fx.vmm.vm, vm_clock_now(from->fx.vmm.vm)), 0);
	fx_move(&from->fx, &to->fx);
}

/* A VM on the host's clock, which runs, for what only the library's timer thread can show. */
static inline struct vcpu *
hfx_open(struct fx *fx)
{
	struct vcpu *vcpu;

	fx_open(fx);
	vcpu = vm_vcpu_open(fx->vmm.vm, 0);
	CHECK(vcpu != NULL);
	CHECKF(vm_start(fx->vmm.vm) == 0, "%s", vm_errmsg());
	return (vcpu);
}

/* Pause and resume all of it, as a snapshot does. */
static inline void
hfx_stop_and_go(struct fx *fx)
{
	CHECK_EQ(vm_pause(fx->vmm.vm), 0);
	devices_pause(&fx->vmm);
	devices_resume(&fx->vmm);
	CHECK_EQ(vm_resume(fx->vmm.vm), 0);
}

/* Three threads do what hammer does while time passes, a step of ns and then another, and devices pause and resume before each. */
static inline void
vfx_hammer(struct vfx *v, void *(*hammer)(void *), uint64_t ns)
{
	pthread_t t[FX_THREADS];

	fx_hammer_start(t, hammer);
	for (unsigned i = 1; i < 50; i++) {
		devices_pause(&v->fx.vmm);
		devices_resume(&v->fx.vmm);
		vfx_until(v, i * ns);
	}
	fx_hammer_join(t);
}

#endif /* _VIRTUAL_FIXTURE_H_ */
