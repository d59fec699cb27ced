/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * turn.c - turns of the vCPUs of a VM whose clock counts instructions.
 *
 * Only the holder of the turn executes.  Its quantum comes from a generator seeded with the VM's
 * seed, and the next holder is the next vCPU, by number, that has something to execute according to
 * its state page: not according to where its thread happens to be.  If that thread is still on its
 * way into vm_run(), everyone waits for it.  So the order in which instructions are executed is a
 * function of the seed and of the guest alone.
 *
 * The turn is kept over exits to the caller, and given up when the vCPU has nothing to execute, or
 * leaves for a reason that does not come from the guest.  When nobody has anything to execute, the
 * holder lets the clock jump to the next timer.
 */
#include "soft.h"

#define	QUANTUM_MIN	1000		/* instructions */
#define	QUANTUM_SPREAD	9001

#define	NOBODY		UINT32_MAX

static struct soft_turn *
turn_of(struct vmctx *vm)
{
	struct soft_vm *sv = vm->accel_vm;

	return (&sv->turn);
}

void
turn_init(struct vmctx *vm)
{
	struct soft_turn *t = turn_of(vm);

	pthread_mutex_init(&t->lock, NULL);
	t->prng = clock_seed(vm);
	t->holder = TURN_FREE;
	t->last = VM_MAXCPU - 1;
}

void
turn_fini(struct vmctx *vm)
{
	pthread_mutex_destroy(&turn_of(vm)->lock);
}

bool
soft_runnable(struct vcpu *vcpu)
{
	struct soft_cpu *cpu = vcpu->accel_cpu;

	return (atomic_load(&vcpu->md_events) != 0 || vcpu->vm->md->vcpu_runnable(vcpu) ||
	    cpu->ops->wakeable(cpu));
}

/* The next vCPU after `after` that has something to execute, itself last. */
static uint32_t
next_runnable(struct vmctx *vm, uint32_t after)
{
	for (uint32_t i = 1; i <= VM_MAXCPU; i++) {
		uint32_t id = (after + i) % VM_MAXCPU;

		if (vm->vcpus[id] != NULL && vm->vcpus[id]->accel_cpu != NULL &&
		    !vm->vcpus[id]->held && soft_runnable(vm->vcpus[id]))
			return (id);
	}
	return (NOBODY);
}

/* Lock held. */
static void
pass(struct soft_turn *t, struct vcpu *self, uint32_t id)
{
	t->holder = id;
	t->idle = false;
	t->left = QUANTUM_MIN + splitmix64(&t->prng) % QUANTUM_SPREAD;
	if (id != (uint32_t)self->id)
		vcpu_request(self->vm->vcpus[id], REQ_TURN);
}

void
turn_in(struct soft_cpu *cpu)
{
	struct soft_turn *t = turn_of(cpu->vcpu->vm);

	pthread_mutex_lock(&t->lock);
	t->inside |= 1ULL << cpu->vcpu->id;
	pthread_mutex_unlock(&t->lock);
}

void
turn_out(struct soft_cpu *cpu)
{
	struct soft_turn *t = turn_of(cpu->vcpu->vm);

	pthread_mutex_lock(&t->lock);
	t->inside &= ~(1ULL << cpu->vcpu->id);
	pthread_mutex_unlock(&t->lock);
}

bool
turn_mine(struct soft_cpu *cpu, uint64_t *left)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct soft_turn *t = turn_of(vcpu->vm);
	uint32_t self = (uint32_t)vcpu->id, id;
	bool mine, held;

	pthread_mutex_lock(&t->lock);
	/* A debugger keeps it from running (vm_vcpu_hold()). */
	held = t->holder != TURN_FREE && vcpu->vm->vcpus[t->holder]->held;
	if (t->holder == TURN_FREE || held || (t->idle && t->holder != self)) {
		id = next_runnable(vcpu->vm, t->holder == TURN_FREE ? t->last : t->holder);
		if (id != NOBODY) {
			pass(t, vcpu, id);
		} else if (t->holder == TURN_FREE || held) {
			t->holder = self;
			t->left = 0;
		}
	}
	mine = t->holder == self;
	if (mine) {
		t->idle = false;
		if (t->left == 0)
			t->left = QUANTUM_MIN + splitmix64(&t->prng) % QUANTUM_SPREAD;
		*left = t->left;
	}
	pthread_mutex_unlock(&t->lock);
	return (mine);
}

void
turn_spent(struct soft_cpu *cpu, uint64_t insns)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct soft_turn *t = turn_of(vcpu->vm);
	uint32_t id;

	pthread_mutex_lock(&t->lock);
	if (t->holder == (uint32_t)vcpu->id) {
		t->left -= insns < t->left ? insns : t->left;
		if (t->left == 0) {
			id = next_runnable(vcpu->vm, (uint32_t)vcpu->id);
			if (id != NOBODY)
				pass(t, vcpu, id);
		}
	}
	pthread_mutex_unlock(&t->lock);
}

bool
turn_idle(struct soft_cpu *cpu, bool sleep)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct soft_turn *t = turn_of(vcpu->vm);
	bool someone = true;
	uint32_t id;

	pthread_mutex_lock(&t->lock);
	if (t->holder == (uint32_t)vcpu->id) {
		id = next_runnable(vcpu->vm, (uint32_t)vcpu->id);
		if (id != NOBODY) {
			pass(t, vcpu, id);
		} else {
			someone = false;
			t->idle = sleep;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return (someone);
}

void
turn_give(struct soft_cpu *cpu)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct soft_turn *t = turn_of(vcpu->vm);
	uint32_t self = (uint32_t)vcpu->id, id;
	uint64_t others;

	pthread_mutex_lock(&t->lock);
	if (t->holder == self) {
		id = next_runnable(vcpu->vm, self);
		others = t->inside & ~(1ULL << self);
		if (id != NOBODY && id != self) {
			pass(t, vcpu, id);
		} else if (others != 0) {
			/* Someone must stay to let the clock jump. */
			id = (uint32_t)__builtin_ctzll(others);
			t->holder = id;
			t->idle = true;
			t->left = 0;
			vcpu_request(vcpu->vm->vcpus[id], REQ_TURN);
		} else {
			t->last = self;
			t->holder = TURN_FREE;
			t->idle = false;
		}
	}
	pthread_mutex_unlock(&t->lock);
}

/* Where the schedule stands goes with a snapshot, so that the run goes on as it would have. */

static int
turn_check(void *obj)
{
	struct soft_turn *t = obj;

	if ((t->holder >= VM_MAXCPU && t->holder != TURN_FREE) || t->last >= VM_MAXCPU)
		return (vm_state_complain("soft.turn: the turn is at vCPU %u", t->holder));
	if (t->left > QUANTUM_MIN + QUANTUM_SPREAD)
		return (vm_state_complain("soft.turn: %llu instructions are left",
		    (unsigned long long)t->left));
	t->idle = false;
	return (0);
}

static const struct vm_state_field turn_fields[] = {
	VM_STATE_U64(struct soft_turn, prng),
	VM_STATE_U64(struct soft_turn, left),
	VM_STATE_U32(struct soft_turn, holder),
	VM_STATE_U32(struct soft_turn, last),
};

const struct vm_state_table turn_state_table = VM_STATE_TABLE("soft.turn", 1, 1, turn_fields,
    turn_check);
