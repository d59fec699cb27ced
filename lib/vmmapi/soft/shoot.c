/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shoot.c - translations dropped by one vCPU for all of them.
 *
 * Who invalidates writes down what (soft_shoot()), and every vCPU does the same to its own TLB when it comes into
 * guest code the next time (soft_catch_up()).  Before the guest may rely on it, which its architecture says at what
 * instruction that is, the writer waits until all have passed an event check (soft_shoot_wait()).  It is outside
 * guest code while it waits, so two that do this at once wait for nobody.
 */
#include "soft.h"

void
soft_shoot(struct soft_cpu *cpu, uint32_t what, uint64_t arg)
{
	struct soft_vm *sv = cpu->vcpu->vm->accel_vm;
	struct soft_shots *log = &sv->shots;
	uint64_t seq;

	/* Nobody else: nobody to tell. */
	if (cpu->vcpu->vm->ncpus == 1)
		return;
	pthread_mutex_lock(&log->lock);
	seq = atomic_load(&log->seq);
	log->e[seq % SOFT_SHOTS].what = what;
	log->e[seq % SOFT_SHOTS].arg = arg;
	log->e[seq % SOFT_SHOTS].from = (uint32_t)cpu->vcpu->id;
	atomic_store(&log->seq, seq + 1);
	pthread_mutex_unlock(&log->lock);
	cpu->shooting = true;
}

bool
soft_shoot_done(struct soft_cpu *cpu)
{
	struct vmctx *vm = cpu->vcpu->vm;

	if (!cpu->shooting)
		return (true);
	/* Who is outside comes in after the log was written. */
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL && vm->vcpus[i] != cpu->vcpu && atomic_load(&vm->vcpus[i]->epoch) != 0)
			return (false);
	}
	cpu->shooting = false;
	return (true);
}

void
soft_shoot_wait(struct soft_cpu *cpu)
{
	soft_leave(cpu);
	vm_grace(cpu->vcpu->vm);
	cpu->shooting = false;
	soft_reenter(cpu);
}

void
soft_shoot_catch_up(struct soft_cpu *cpu)
{
	struct soft_vm *sv = cpu->vcpu->vm->accel_vm;
	struct soft_shots *log = &sv->shots;

	if (atomic_load(&log->seq) == cpu->shots_seen)
		return;
	pthread_mutex_lock(&log->lock);
	if (atomic_load(&log->seq) - cpu->shots_seen > SOFT_SHOTS) {
		cpu->shots_seen = atomic_load(&log->seq);
		cpu->ops->shoot(cpu, SOFT_SHOOT_ALL, 0);
	}
	for (; cpu->shots_seen != atomic_load(&log->seq); cpu->shots_seen++) {
		unsigned n = (unsigned)(cpu->shots_seen % SOFT_SHOTS);

		if (log->e[n].from != (uint32_t)cpu->vcpu->id)
			cpu->ops->shoot(cpu, log->e[n].what, log->e[n].arg);
	}
	pthread_mutex_unlock(&log->lock);
}
