/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reset.c - an arm64 processor at power-on, and how PSCI turns one on.
 */
#include <string.h>

#include "arm64.h"

#define	MPIDR_RES1	0x80000000U

uint32_t
arm64_affinity(int id)
{
	return ((uint32_t)id & 0xf) | ((uint32_t)id >> 4) << 8;
}

struct vcpu *
arm64_by_affinity(struct vmctx *vm, uint64_t aff)
{
	uint64_t id = (aff & 0xf) | (aff >> 8 & 0xff) << 4;

	if ((aff & ~0xff0fULL) != 0 || id >= VM_MAXCPU)
		return (NULL);
	return (vm->vcpus[id]);
}

/*
 * Cold reset (Arm ARM D1.9): EL1 with its own stack pointer, as EL1 is the highest level there is, everything masked, MMU and caches
 * off.  What is UNKNOWN there is zero here.  Processors but the first wait for PSCI.
 */
void
arm64_reset(struct vcpu *vcpu)
{
	struct arm64_state *s = vcpu->state, was = *s;

	memset(s, 0, sizeof(*s));
	s->pstate = PSTATE_DAIF | PSTATE_EL1H;
	s->sctlr_el1 = SCTLR_RES1;
	s->oslk = 1;
	/* What the processor is, it stays. */
	if (was.id[ARM64_ID_AA64PFR0] != 0)
		arm64_id_copy(s, &was);
	else
		arm64_id_reset(s, vm_get_cpu_model(vcpu->vm));
	s->mpidr_el1 = MPIDR_RES1 | arm64_affinity(vcpu->id);
	arm64_store32(&s->run_state, vcpu->id == 0 ? VM_ARM64_RUNNING : VM_ARM64_OFF);
}

/*
 * PSCI CPU_ON reached this processor (DEN 0022 5.6.3 and 6.4): start afresh at the entry point, with the caller's word
 * in X0.
 */
void
arm64_event(struct vcpu *vcpu)
{
	struct arm64_state *s = vcpu->state;
	uint64_t entry, context, midr = s->midr_el1;

	atomic_store(&vcpu->md_events, 0);
	if (arm64_load32(&s->on_state) != ARM64_ON_READY)
		return;
	entry = s->on_entry;
	context = s->on_context;
	/* The page is this thread's until on_state says NONE again, so its value must survive the reset. */
	memset(s, 0, offsetof(struct arm64_state, run_state));
	s->pstate = PSTATE_DAIF | PSTATE_EL1H;
	s->sctlr_el1 = SCTLR_RES1;
	s->oslk = 1;
	s->midr_el1 = midr;
	s->mpidr_el1 = MPIDR_RES1 | arm64_affinity(vcpu->id);
	s->exc_pending = 0;
	s->pc = entry;
	s->x[0] = context;
	arm64_store32(&s->run_state, VM_ARM64_RUNNING);
	arm64_store32(&s->on_state, ARM64_ON_NONE);
}

bool
arm64_runnable(struct vcpu *vcpu)
{
	struct arm64_state *s = vcpu->state;

	return (arm64_load32(&s->run_state) == VM_ARM64_RUNNING ||
	    arm64_load32(&s->on_state) == ARM64_ON_READY);
}
