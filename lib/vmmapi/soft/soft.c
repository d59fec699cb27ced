/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft.c - the software back end: the loop around a processor core.
 *
 * The state page is what a core runs on, so there is little to move between the page and the back
 * end.  A core executes instructions inside guest code; this file brings it in and out, acts on
 * requests, keeps virtual time, and lets a vCPU wait that has nothing to execute.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lockstep.h"

/* What run() deals with itself; the rest is vcpu.c's. */
#define	REQ_OURS	(REQ_INTR | REQ_MD | REQ_GRACE | REQ_TURN | REQ_CODE)

/* Instructions between looks at the counters when nothing else bounds them. */
#define	BUDGET_MAX	(1ULL << 20)

static const struct soft_core *const cores[] = {
	&soft_core_amd64,
	&soft_core_arm64,
};

static const struct soft_core *
core_of(enum vm_arch arch)
{
	for (size_t i = 0; i < nitems(cores); i++) {
		if (cores[i]->arch == arch)
			return (cores[i]);
	}
	return (NULL);
}

static int
soft_probe(enum vm_arch arch, bool fast)
{
	const struct soft_core *core = core_of(arch);

	if (core == NULL)
		return (vm_fail(ENOTSUP, "soft: there is no software CPU for architecture %d",
		    (int)arch));
	return (core->probe == NULL ? 0 : core->probe());
}

static int
soft_fits(struct vmctx *vm)
{
	const struct soft_core *core = core_of(vm->md->arch);

	return (core == NULL || core->fits == NULL ? 0 : core->fits(vm));
}

/* Life */

static int
soft_vm_create(struct vmctx *vm)
{
	struct soft_vm *sv = calloc(1, sizeof(*sv));

	if (sv == NULL)
		return (vm_fail(ENOMEM, "soft: no memory for the VM"));
	pthread_mutex_init(&sv->excl_lock, NULL);
	pthread_mutex_init(&sv->log.lock, NULL);
	pthread_mutex_init(&sv->shots.lock, NULL);
	pthread_mutex_init(&sv->wlock, NULL);
	atomic_store(&sv->wgen, 1);
	vm->accel_vm = sv;
	turn_init(vm);
	return (0);
}

static void
soft_vm_destroy(struct vmctx *vm)
{
	struct soft_vm *sv = vm->accel_vm;

	if (sv == NULL)
		return;
	turn_fini(vm);
	for (unsigned i = 0; i < nitems(sv->track); i++)
		soft_track_free(atomic_load(&sv->track[i]));
	pthread_mutex_destroy(&sv->wlock);
	pthread_mutex_destroy(&sv->shots.lock);
	pthread_mutex_destroy(&sv->log.lock);
	pthread_mutex_destroy(&sv->excl_lock);
	free(sv);
	vm->accel_vm = NULL;
}

static void
soft_vcpu_destroy(struct vcpu *vcpu)
{
	struct soft_cpu *cpu = vcpu->accel_cpu;

	if (cpu == NULL)
		return;
	if (cpu->core != NULL && cpu->ops->destroy != NULL)
		cpu->ops->destroy(cpu);
	free(cpu->core);
	soft_lockstep_free(cpu);
	soft_code_free(cpu->code);
	soft_tlb_free(cpu->tlb);
	free(cpu->restart);
	free(cpu);
	vcpu->accel_cpu = NULL;
}

static int
soft_vcpu_create(struct vcpu *vcpu)
{
	const struct soft_core *core = core_of(vcpu->vm->md->arch);
	struct soft_cpu *cpu = calloc(1, sizeof(*cpu));

	if (cpu == NULL)
		return (vm_fail(ENOMEM, "soft: no memory for vcpu %d", vcpu->id));
	cpu->vcpu = vcpu;
	cpu->ops = core;
	cpu->restart_size = vcpu->vm->md->state_size;
	cpu->restart = malloc(cpu->restart_size);
	cpu->map_gen = atomic_load(&vcpu->vm->map_gen);
	vcpu->accel_cpu = cpu;
	if (core->nspaces != 0) {
		cpu->tlb = soft_tlb_create(core->nspaces, core->tlb_second);
		cpu->code = soft_code_create(cpu);
	}
	if (cpu->restart != NULL && (core->nspaces == 0 || (cpu->tlb != NULL && cpu->code != NULL)))
		cpu->core = calloc(1, core->size != 0 ? core->size : 1);
	if (cpu->core == NULL) {
		soft_vcpu_destroy(vcpu);
		return (vm_fail(ENOMEM, "soft: no memory for vcpu %d", vcpu->id));
	}
	if (core->create != NULL && core->create(cpu) != 0) {
		free(cpu->core);
		cpu->core = NULL;
		soft_vcpu_destroy(vcpu);
		return (-1);
	}
	if (soft_lockstep_create(cpu) != 0) {
		soft_vcpu_destroy(vcpu);
		return (-1);
	}
	return (0);
}

/* Guest memory is reached through the library's own map, which map_gen tells changes of. */
static int
soft_mem_map(struct vmctx *vm, struct vm_mapping *map)
{
	return (0);
}

static void
soft_mem_unmap(struct vmctx *vm, struct vm_mapping *map)
{
}

static int
soft_cap_set(struct vcpu *vcpu, int cap, int val)
{
	struct soft_cpu *cpu = vcpu->accel_cpu;

	if (cap < VM_CAP_MD_FIRST)
		return (0);
	if (cpu != NULL && cpu->ops->cap_set != NULL)
		return (cpu->ops->cap_set(cpu, cap, val));
	if (val == 0)
		return (0);
	return (vm_fail(ENOTSUP, "vcpu %d: the soft back end has no capability %s", vcpu->id,
	    vm_capability_type2name(cap)));
}

/* Exits */

void
soft_mark(struct soft_cpu *cpu)
{
	soft_outside(cpu);
	memcpy(cpu->restart, cpu->vcpu->state, cpu->restart_size);
	cpu->restart_valid = true;
}

struct vm_exit *
soft_exit(struct soft_cpu *cpu, enum vm_exitcode code, bool is_read)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct vm_exit *ex = &vcpu->exit;

	soft_outside(cpu);
	if (cpu->exiting) {
		if (cpu->nlater < SOFT_NLATER)
			cpu->nlater++;
		ex = &cpu->later[cpu->nlater - 1];
	} else {
		if (!cpu->restart_valid)
			soft_mark(cpu);
		vcpu->read_open = is_read;
		vcpu->replied = false;
		cpu->open_code = code;
		cpu->exiting = true;
	}
	memset(ex, 0, sizeof(*ex));
	ex->code = code;
	if (cpu->ops->pc != NULL)
		ex->pc = cpu->ops->pc(cpu);
	return (ex);
}

bool
soft_replied(struct soft_cpu *cpu, enum vm_exitcode code, uint64_t addr, uint64_t *val)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct soft_reply *r;

	if (!cpu->replay)
		return (false);
	if (cpu->nextreply < cpu->nreply) {
		r = &cpu->replies[cpu->nextreply];
		if (r->code != code || r->addr != addr)
			return (false);		/* not the same instruction any more */
		cpu->nextreply++;
		*val = r->val;
		return (true);
	}
	if (!vcpu->read_open || cpu->open_code != code || cpu->open_addr != addr)
		return (false);
	*val = vcpu->replied ? vcpu->reply : UINT64_MAX;
	vcpu->read_open = vcpu->replied = false;
	if (cpu->nreply < SOFT_NREPLY) {
		r = &cpu->replies[cpu->nreply++];
		r->code = code;
		r->addr = addr;
		r->val = *val;
		cpu->nextreply = cpu->nreply;
	}
	return (true);
}

void
soft_complete(struct soft_cpu *cpu)
{
	struct vcpu *vcpu = cpu->vcpu;

	if (!cpu->replay || cpu->exiting)
		return;
	vcpu->read_open = vcpu->replied = false;
	cpu->nreply = cpu->nextreply = 0;
	cpu->replay = false;
}

static void
restore(struct soft_cpu *cpu)
{
	memcpy(cpu->vcpu->state, cpu->restart, cpu->restart_size);
	if (cpu->ops->restarted != NULL)
		cpu->ops->restarted(cpu);
}

/*
 * An instruction whose read is open has not changed anything and is executed again anyway: only the
 * answers are dropped.  Any other goes back to its restart point.
 */
static int
soft_restart(struct vcpu *vcpu)
{
	struct soft_cpu *cpu = vcpu->accel_cpu;

	if (!cpu->restart_valid)
		return (vm_fail(EINVAL, "vcpu %d: there is no instruction to restart", vcpu->id));
	if (!vcpu->read_open)
		restore(cpu);
	vcpu->read_open = vcpu->replied = false;
	cpu->nreply = 0;
	cpu->nlater = 0;
	cpu->halted = false;
	if (cpu->ops->adopt != NULL)
		cpu->ops->adopt(cpu);
	if (cpu->ops->save != NULL)
		cpu->ops->save(cpu);
	return (0);
}

/* The page is what the core runs on, but someone else wrote to it. */
static int
soft_state_load(struct vcpu *vcpu)
{
	struct soft_cpu *cpu = vcpu->accel_cpu;

	if (cpu->ops->adopt != NULL)
		cpu->ops->adopt(cpu);
	return (0);
}

static int
soft_state_save(struct vcpu *vcpu)
{
	struct soft_cpu *cpu = vcpu->accel_cpu;

	if (cpu->ops->save != NULL)
		cpu->ops->save(cpu);
	return (0);
}

static void
soft_refresh(struct vcpu *vcpu)
{
	(void)soft_state_save(vcpu);
}

/* What is left of the last exit is forgotten; cores follow their pages. */
static int
soft_reset(struct vmctx *vm)
{
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct soft_cpu *cpu = vm->vcpus[i] == NULL ? NULL : vm->vcpus[i]->accel_cpu;

		if (cpu == NULL)
			continue;
		cpu->restart_valid = cpu->halted = false;
		cpu->nreply = cpu->nextreply = cpu->nlater = 0;
		if (cpu->ops->adopt != NULL)
			cpu->ops->adopt(cpu);
	}
	return (0);
}

/* In and out of guest code */

/* Tell the VM's clock of the instructions that retired.  Outside guest code. */
static void
count(struct soft_cpu *cpu)
{
	uint64_t n = cpu->retired - cpu->counted;

	if (n != 0 && clock_is_icount(cpu->vcpu->vm)) {
		cpu->counted = cpu->retired;
		clock_icount_advance(cpu->vcpu->vm, n);
	}
}

void
soft_leave(struct soft_cpu *cpu)
{
	soft_outside(cpu);
	vcpu_leave(cpu->vcpu);
	count(cpu);
}

/*
 * What ran outside may have armed a timer before the end of the budget: in virtual time the core is
 * to come out at its next event check in any case, for the sake of the same run every time.
 */
void
soft_reenter(struct soft_cpu *cpu)
{
	struct vmctx *vm = cpu->vcpu->vm;

	vcpu_reenter(cpu->vcpu);
	soft_catch_up(cpu);
	if (clock_is_icount(vm))
		atomic_fetch_or(&cpu->vcpu->request, REQ_TURN);
}

uint64_t
soft_clock(struct soft_cpu *cpu)
{
	struct vmctx *vm = cpu->vcpu->vm;
	uint64_t now;

	if (!clock_is_icount(vm))
		return (vm_clock_now(vm));
	soft_leave(cpu);
	now = vm_clock_now(vm);
	soft_reenter(cpu);
	return (now);
}

void
soft_suspend(struct soft_cpu *cpu, enum vm_suspend_how how)
{
	soft_leave(cpu);
	(void)vm_suspend(cpu->vcpu->vm, how);	/* EALREADY: someone was first */
	soft_reenter(cpu);
}

/* Running */

static bool
cap(struct vcpu *vcpu, enum vm_cap_type type)
{
	return (vcpu->caps[type] == 1);
}

static bool
halted(struct soft_cpu *cpu)
{
	return (cpu->ops->halted != NULL ? cpu->ops->halted(cpu) : cpu->halted);
}

/* Let the core execute.  Outside guest code before and after. */
static enum soft_stop
execute(struct soft_cpu *cpu, uint64_t budget)
{
	struct vcpu *vcpu = cpu->vcpu;
	enum soft_stop stop;

	soft_catch_up(cpu);
	cpu->retired = cpu->counted = 0;
	cpu->exiting = cpu->halted = cpu->restart_valid = false;
	cpu->replay = vcpu->read_open;
	cpu->nextreply = 0;
	if (!cpu->replay)
		cpu->nreply = 0;
	else
		budget = 1;

	if (cpu->lockstep != NULL && !cpu->replay && !cap(vcpu, VM_CAP_SINGLE_STEP))
		stop = soft_lockstep_run(cpu, budget);
	else
		stop = cpu->ops->run(cpu, budget, &cpu->retired);
	vcpu_leave(vcpu);

	if (cpu->retired != 0)
		soft_complete(cpu);
	cpu->replay = false;
	if (cpu->retired != 0)
		atomic_fetch_add_explicit(&vcpu->stats[VM_STAT_INSNS], cpu->retired,
		    memory_order_relaxed);
	if (stop == SOFT_IDLE) {
		cpu->halted = true;
		vcpu_count(vcpu, VM_STAT_HALT);
	}
	/* A point at data, behind the instruction, is the end of the step too. */
	if (cpu->retired != 0 && cap(vcpu, VM_CAP_SINGLE_STEP) && cpu->ops->pc != NULL &&
	    !(cpu->exiting && vcpu->exit.code == VM_EXIT_DEBUG && vcpu->exit.u.debug.why == VM_DEBUG_AT_POINT)) {
		struct vm_exit *ex = soft_exit(cpu, VM_EXIT_DEBUG, false);

		ex->u.debug.addr = ex->pc;
		ex->u.debug.reason = cpu->ops->step_reason;
		ex->u.debug.why = VM_DEBUG_BY_STEP;
		stop = SOFT_EXIT;
	}
	return (stop);
}

/* A vCPU with nothing to execute: true to look again, false to leave with VM_EXIT_HALT. */
static bool
idle(struct soft_cpu *cpu, bool icount, bool mine, bool again)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct vmctx *vm = vcpu->vm;

	if (halted(cpu) && cap(vcpu, VM_CAP_HALT_EXIT)) {
		/* Told before, and still nothing to do: virtual time has to pass somewhere. */
		if (mine && !turn_idle(cpu, false) && again && clock_icount_warp(vm))
			return (true);
		soft_exit(cpu, VM_EXIT_HALT, false);
		return (false);
	}
	if (!icount || !mine)
		vcpu_wait(vcpu, UINT64_MAX);
	else if (!turn_idle(cpu, false) && !clock_icount_warp(vm) && !turn_idle(cpu, true))
		vcpu_wait(vcpu, UINT64_MAX);
	return (true);
}

static enum accel_run
run_loop(struct soft_cpu *cpu, bool icount)
{
	struct vcpu *vcpu = cpu->vcpu;
	struct vmctx *vm = vcpu->vm;
	uint64_t budget, due;
	bool mine = false, again = halted(cpu);
	uint32_t req;
	enum soft_stop stop;

	for (;;) {
		req = atomic_fetch_and(&vcpu->request, ~REQ_OURS) & ~REQ_OURS;
		if (req != 0) {
			if (icount && (req & (REQ_KICK | REQ_SUSPEND)) != 0)
				turn_give(cpu);
			return (ACCEL_AGAIN);
		}
		budget = BUDGET_MAX;
		if (icount)
			mine = turn_mine(cpu, &budget);
		/*
		 * In virtual time an event waits for the turn too: only the holder changes what a
		 * page says.
		 */
		if ((!icount || mine) && atomic_load(&vcpu->md_events) != 0) {
			vm->md->vcpu_event(vcpu);
			if (cpu->ops->adopt != NULL)
				cpu->ops->adopt(cpu);
			cpu->halted = false;	/* it may wait for something else now */
		}
		if ((!icount || mine || halted(cpu)) && !soft_runnable(vcpu)) {
			if (!idle(cpu, icount, mine, again))
				return (ACCEL_EXIT);
			continue;
		}
		if (icount && !mine) {
			vcpu_wait(vcpu, UINT64_MAX);
			continue;
		}
		if (icount) {
			due = clock_icount_budget(vm);
			if (due < budget)
				budget = due;
		}
		if (cap(vcpu, VM_CAP_SINGLE_STEP))
			budget = 1;
		if (!vcpu_enter(vcpu)) {
			if (atomic_load(&vcpu->request) == 0)
				return (ACCEL_AGAIN);
			continue;
		}
		stop = execute(cpu, budget);
		if (icount) {
			count(cpu);
			if (stop == SOFT_YIELD)
				turn_spent(cpu, UINT64_MAX);
			else
				turn_spent(cpu, cpu->retired);
		} else if (stop == SOFT_YIELD) {
			sched_yield();
		}
		if (stop == SOFT_EXIT)
			return (ACCEL_EXIT);
		again = false;
	}
}

static enum accel_run
soft_run(struct vcpu *vcpu)
{
	struct soft_cpu *cpu = vcpu->accel_cpu;
	bool icount = clock_is_icount(vcpu->vm);
	enum accel_run r;

	if (cpu->nlater != 0) {
		vcpu->exit = cpu->later[0];
		memmove(cpu->later, cpu->later + 1, --cpu->nlater * sizeof(cpu->later[0]));
		return (ACCEL_EXIT);
	}
	cpu->exiting = false;
	if (!icount)
		return (run_loop(cpu, false));
	turn_in(cpu);
	r = run_loop(cpu, true);
	turn_out(cpu);
	return (r);
}

/*
 * Snapshots.  The pages are all that any back end needs; in virtual time, which only this one has,
 * the schedule and what the cores know exactly go too.
 */

static int
soft_vm_save(struct vmctx *vm, struct vm_state_out *out)
{
	struct soft_vm *sv = vm->accel_vm;
	char name[16];

	if (!clock_is_icount(vm))
		return (0);
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct soft_cpu *cpu = vm->vcpus[i] == NULL ? NULL : vm->vcpus[i]->accel_cpu;

		(void)snprintf(name, sizeof(name), "%u", i);
		if (cpu != NULL && cpu->ops->state != NULL &&
		    vm_state_put(out, cpu->ops->state, name, cpu->core) != 0)
			return (-1);
	}
	return (vm_state_put(out, &turn_state_table, "", &sv->turn));
}

static int
load_cpu(struct soft_cpu *cpu, struct vm_state_in *in)
{
	const struct vm_state_table *table = cpu->ops->state;
	bool exact = false;
	char name[16];

	if (cpu->ops->accept != NULL && cpu->ops->accept(cpu) != 0)
		return (-1);
	cpu->restart_valid = cpu->halted = false;
	cpu->nreply = cpu->nlater = 0;
	(void)snprintf(name, sizeof(name), "%d", cpu->vcpu->id);
	if (table != NULL && vm_state_has(in, table->name, name)) {
		if (vm_state_get(in, table, name, cpu->core) != 0)
			return (-1);
		exact = true;
	}
	if (cpu->ops->load != NULL)
		cpu->ops->load(cpu, exact);
	return (0);
}

static int
soft_vm_load(struct vmctx *vm, struct vm_state_in *in)
{
	struct soft_vm *sv = vm->accel_vm;

	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct soft_cpu *cpu = vm->vcpus[i] == NULL ? NULL : vm->vcpus[i]->accel_cpu;

		if (cpu != NULL && load_cpu(cpu, in) != 0)
			return (-1);
	}
	if (!vm_state_has(in, turn_state_table.name, NULL))
		return (0);
	if (vm_state_get(in, &turn_state_table, "", &sv->turn) != 0)
		return (-1);
	if (sv->turn.holder != TURN_FREE && vm->vcpus[sv->turn.holder] == NULL)
		sv->turn.holder = TURN_FREE;
	return (0);
}

const struct accel_ops accel_soft = {
	.name = "soft",
	.id = VM_ACCEL_SOFT,
	.probe = soft_probe,
	.fits = soft_fits,
	.vm_create = soft_vm_create,
	.vm_destroy = soft_vm_destroy,
	.vcpu_create = soft_vcpu_create,
	.vcpu_destroy = soft_vcpu_destroy,
	.mem_map = soft_mem_map,
	.mem_unmap = soft_mem_unmap,
	.run = soft_run,
	.restart = soft_restart,
	.state_save = soft_state_save,
	.state_load = soft_state_load,
	.state_refresh = soft_refresh,
	.reset = soft_reset,
	.cap_set = soft_cap_set,
	.mem_written = soft_mem_written,
	.vm_save = soft_vm_save,
	.vm_load = soft_vm_load,
};
