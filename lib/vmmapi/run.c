/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c - running vCPUs: requests, in and out of guest code, stopping, pausing, grace periods.
 *
 * Whoever wants something from a vCPU sets bits in vcpu->request; the vCPU looks at them at its next event check, and is woken
 * or interrupted for it.  vcpu->epoch says whether it is in guest code: 0 outside, else the value of vm->epoch at its last check.
 * Two waits rest on that:
 *
 *   vm_grace()       everyone who was in guest code has passed an event check since;
 *   vm_stop_vcpus()  nobody is in guest code, and nobody enters.
 *
 * A vCPU whose thread is inside a range handler counts as outside for both, so handlers may use either while other vCPUs
 * wait for locks that the handler holds.  vm_pause() is stronger: it waits until handlers have returned and the
 * instruction is complete.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "internal.h"

static _Thread_local struct vcpu *current;	/* vm_run() of this thread */
static _Thread_local bool kick_blocked;

struct vcpu *
vcpu_current(struct vmctx *vm)
{
	return (current != NULL && current->vm == vm ? current : NULL);
}

/* Requests. */

void
vcpu_request(struct vcpu *vcpu, uint32_t bits)
{
	const struct accel_ops *accel = vcpu->vm->accel;

	atomic_fetch_or(&vcpu->request, bits);
	if (atomic_load(&vcpu->waiting) == 0 && (accel == NULL || accel->kick == NULL))
		return;
	pthread_mutex_lock(&vcpu->lock);
	pthread_cond_broadcast(&vcpu->cond);
	if (vcpu->running && accel != NULL && accel->kick != NULL)
		accel->kick(vcpu);
	pthread_mutex_unlock(&vcpu->lock);
}

void
vcpu_notify(struct vcpu *vcpu)
{
	vcpu_request(vcpu, REQ_INTR);
}

void
vcpu_post(struct vcpu *vcpu, uint32_t events)
{
	atomic_fetch_or(&vcpu->md_events, events);
	vcpu_request(vcpu, REQ_MD);
}

void
vcpu_wait(struct vcpu *vcpu, uint64_t ns)
{
	struct timespec ts;

	if (ns != UINT64_MAX) {
		(void)clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_sec += (time_t)(ns / 1000000000);
		ts.tv_nsec += (long)(ns % 1000000000);
		if (ts.tv_nsec >= 1000000000) {
			ts.tv_nsec -= 1000000000;
			ts.tv_sec++;
		}
	}
	pthread_mutex_lock(&vcpu->lock);
	atomic_fetch_add(&vcpu->waiting, 1);
	while (atomic_load(&vcpu->request) == 0) {
		if (ns == UINT64_MAX)
			pthread_cond_wait(&vcpu->cond, &vcpu->lock);
		else if (pthread_cond_timedwait(&vcpu->cond, &vcpu->lock, &ts) == ETIMEDOUT)
			break;
	}
	atomic_fetch_sub(&vcpu->waiting, 1);
	pthread_mutex_unlock(&vcpu->lock);
}

/* In and out of guest code. */

static void
tell_stoppers(struct vmctx *vm)
{
	pthread_mutex_lock(&vm->stop_lock);
	pthread_cond_broadcast(&vm->stop_cond);
	pthread_mutex_unlock(&vm->stop_lock);
}

static void
epoch_take(struct vcpu *vcpu)
{
	atomic_store(&vcpu->epoch, atomic_load(&vcpu->vm->epoch));
	/* What the guest does from here on comes after whatever happened before the epoch that was read. */
	atomic_thread_fence(memory_order_seq_cst);
}

bool
vcpu_enter(struct vcpu *vcpu)
{
	epoch_take(vcpu);
	if (atomic_load(&vcpu->vm->stop) == 0 &&
	    (atomic_load(&vcpu->request) & (REQ_KICK | REQ_SUSPEND | REQ_STOP)) == 0)
		return (true);
	vcpu_leave(vcpu);
	return (false);
}

void
vcpu_reenter(struct vcpu *vcpu)
{
	struct vmctx *vm = vcpu->vm;

	for (;;) {
		epoch_take(vcpu);
		if (atomic_load(&vm->stop) == 0)
			return;
		vcpu_leave(vcpu);
		pthread_mutex_lock(&vm->stop_lock);
		while (atomic_load(&vm->stop) != 0)
			pthread_cond_wait(&vm->stop_cond, &vm->stop_lock);
		pthread_mutex_unlock(&vm->stop_lock);
	}
}

void
vcpu_leave(struct vcpu *vcpu)
{
	atomic_store(&vcpu->epoch, 0);
	if ((atomic_load(&vcpu->request) & (REQ_GRACE | REQ_STOP)) != 0 || atomic_load(&vcpu->vm->stop) != 0) {
		atomic_fetch_and(&vcpu->request, ~REQ_GRACE);
		tell_stoppers(vcpu->vm);
	}
}

void
vcpu_checkpoint(struct vcpu *vcpu)
{
	if ((atomic_fetch_and(&vcpu->request, ~REQ_GRACE) & REQ_GRACE) == 0)
		return;
	epoch_take(vcpu);
	tell_stoppers(vcpu->vm);
}

void
vm_grace(struct vmctx *vm)
{
	uint64_t target = atomic_fetch_add(&vm->epoch, 1) + 1, e;

	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (vcpu == NULL || (e = atomic_load(&vcpu->epoch)) == 0 || e >= target)
			continue;
		vcpu_request(vcpu, REQ_GRACE);
		pthread_mutex_lock(&vm->stop_lock);
		while ((e = atomic_load(&vcpu->epoch)) != 0 && e < target)
			pthread_cond_wait(&vm->stop_cond, &vm->stop_lock);
		pthread_mutex_unlock(&vm->stop_lock);
	}
}

void
vm_stop_vcpus(struct vmctx *vm)
{
	atomic_fetch_add(&vm->stop, 1);
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (vcpu == NULL || atomic_load(&vcpu->epoch) == 0)
			continue;
		vcpu_request(vcpu, REQ_STOP);
		pthread_mutex_lock(&vm->stop_lock);
		while (atomic_load(&vcpu->epoch) != 0)
			pthread_cond_wait(&vm->stop_cond, &vm->stop_lock);
		pthread_mutex_unlock(&vm->stop_lock);
	}
}

/* Wake every vCPU that sleeps because of stop or pause. */
static void
wake_parked(struct vmctx *vm)
{
	tell_stoppers(vm);
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (vcpu == NULL)
			continue;
		pthread_mutex_lock(&vcpu->lock);
		pthread_cond_broadcast(&vcpu->cond);
		pthread_mutex_unlock(&vcpu->lock);
	}
}

void
vm_go_vcpus(struct vmctx *vm)
{
	if (atomic_fetch_sub(&vm->stop, 1) == 1)
		wake_parked(vm);
}

/* Sleep while stopped or paused, looking to others like a vCPU that does not run. */
static void
park(struct vcpu *vcpu)
{
	struct vmctx *vm = vcpu->vm;

	pthread_mutex_lock(&vcpu->lock);
	vcpu->running = false;
	pthread_cond_broadcast(&vcpu->cond);
	atomic_fetch_add(&vcpu->waiting, 1);
	while ((atomic_load(&vm->stop) != 0 || atomic_load(&vm->paused) != 0 || vcpu->held) &&
	    (atomic_load(&vcpu->request) & (REQ_KICK | REQ_SUSPEND)) == 0)
		pthread_cond_wait(&vcpu->cond, &vcpu->lock);
	atomic_fetch_sub(&vcpu->waiting, 1);
	vcpu->running = true;
	pthread_mutex_unlock(&vcpu->lock);
}

int
vm_pause(struct vmctx *ctx)
{
	if (ctx == NULL)
		return (vm_fail(EINVAL, "pause: the VM handle is NULL"));
	if (vcpu_current(ctx) != NULL || clock_in_callback(ctx))
		return (vm_fail(EDEADLK, "vm '%s': cannot be paused from inside a handler or timer", ctx->name));
	pthread_mutex_lock(&ctx->lock);
	atomic_fetch_add(&ctx->paused, 1);
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		if (ctx->vcpus[i] != NULL)
			vcpu_request(ctx->vcpus[i], REQ_STOP);
	}
	pthread_mutex_unlock(&ctx->lock);
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		struct vcpu *vcpu = ctx->vcpus[i];

		if (vcpu == NULL)
			continue;
		pthread_mutex_lock(&vcpu->lock);
		while (vcpu->running)
			pthread_cond_wait(&vcpu->cond, &vcpu->lock);
		pthread_mutex_unlock(&vcpu->lock);
	}
	pthread_mutex_lock(&ctx->lock);
	if (ctx->accel != NULL)
		clock_run(ctx, false);
	pthread_mutex_unlock(&ctx->lock);
	return (0);
}

int
vm_resume(struct vmctx *ctx)
{
	if (ctx == NULL)
		return (vm_fail(EINVAL, "resume: the VM handle is NULL"));
	pthread_mutex_lock(&ctx->lock);
	if (atomic_load(&ctx->paused) == 0) {
		pthread_mutex_unlock(&ctx->lock);
		return (vm_fail(EINVAL, "vm '%s': is not paused", ctx->name));
	}
	if (atomic_fetch_sub(&ctx->paused, 1) == 1) {
		if (ctx->accel != NULL)
			clock_run(ctx, true);
		wake_parked(ctx);
	}
	pthread_mutex_unlock(&ctx->lock);
	return (0);
}

/* Running. */

/* A thread that comes to a paused VM is parked before anyone can see it run: the pause's owner may be looking at the state. */
static int
claim(struct vcpu *vcpu)
{
	bool paused;

	pthread_mutex_lock(&vcpu->lock);
	if (vcpu->claimed) {
		pthread_mutex_unlock(&vcpu->lock);
		return (vm_fail(EBUSY, "vcpu %d: another thread runs it", vcpu->id));
	}
	paused = atomic_load(&vcpu->vm->paused) != 0;
	vcpu->claimed = true;
	vcpu->running = !paused;
	vcpu->thread = pthread_self();
	pthread_mutex_unlock(&vcpu->lock);
	if (paused)
		park(vcpu);
	return (0);
}

static void
unclaim(struct vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->lock);
	vcpu->claimed = vcpu->running = false;
	pthread_cond_broadcast(&vcpu->cond);
	pthread_mutex_unlock(&vcpu->lock);
}

/* An exit at an instruction boundary: what an earlier exit left open stays open. */
static void
exit_boundary(struct vcpu *vcpu, enum vm_exitcode code, enum vm_suspend_how how)
{
	struct vm_exit *e = &vcpu->exit;

	memset(e, 0, sizeof(*e));
	e->code = code;
	if (code == VM_EXIT_SUSPENDED)
		e->u.suspended.how = how;
	vcpu->exit_valid = true;
}

static int
run_loop(struct vcpu *vcpu)
{
	struct vmctx *vm = vcpu->vm;
	const struct accel_ops *accel = vm->accel;

	for (;;) {
		uint32_t how = atomic_load(&vm->suspended);

		if (how != VM_SUSPEND_NONE) {
			exit_boundary(vcpu, VM_EXIT_SUSPENDED, (enum vm_suspend_how)how);
			return (0);
		}
		if ((atomic_fetch_and(&vcpu->request, ~(REQ_KICK | REQ_STOP)) & REQ_KICK) != 0) {
			vcpu_count(vcpu, VM_STAT_KICK);
			exit_boundary(vcpu, VM_EXIT_KICKED, VM_SUSPEND_NONE);
			return (0);
		}
		/* STOP was cleared before this look, so that one set after it is seen by vcpu_enter(). */
		if (atomic_load(&vm->stop) != 0 || atomic_load(&vm->paused) != 0 || vcpu->held) {
			park(vcpu);
			continue;
		}
		if (!vcpu->in_accel) {
			if (accel->state_load != NULL && accel->state_load(vcpu) != 0)
				return (-1);
			vcpu->in_accel = true;
		}
		vcpu->page_valid = false;
		if (accel->run(vcpu) == ACCEL_EXIT) {
			vcpu->exit_valid = true;
			vcpu_count(vcpu, VM_STAT_EXITS);
			if (vcpu->exit.code == VM_EXIT_SYSREG)
				vcpu_count(vcpu, VM_STAT_SYSREG);
			return (0);
		}
	}
}

int
vm_run(struct vcpu *vcpu, struct vm_exit *exit)
{
	struct vcpu *outer = current;
	int error;

	if (vcpu == NULL || exit == NULL)
		return (vm_fail(EINVAL, "vm_run: a NULL argument"));
	if (!atomic_load(&vcpu->vm->started) && vm_start(vcpu->vm) != 0)
		return (-1);
	if (!kick_blocked) {
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, VM_KICK_SIGNAL);
		(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
		kick_blocked = true;
	}
	/* From here on it may be kicked. */
	if (claim(vcpu) != 0)
		return (-1);
	current = vcpu;
	error = run_loop(vcpu);
	current = outer;
	if (error == 0)
		*exit = vcpu->exit;
	unclaim(vcpu);
	return (error);
}

int
vm_exit_reply(struct vcpu *vcpu, uint64_t value)
{
	if (vcpu == NULL)
		return (vm_fail(EINVAL, "exit: the vCPU handle is NULL"));
	if (!vcpu->read_open)
		return (vm_fail(EINVAL, "vcpu %d: no exit waits for a value", vcpu->id));
	vcpu->reply = value;
	vcpu->replied = true;
	return (0);
}

int
vm_vcpu_kick(struct vcpu *vcpu)
{
	if (vcpu == NULL)
		return (vm_fail(EINVAL, "kick: the vCPU handle is NULL"));
	vcpu_request(vcpu, REQ_KICK);
	return (0);
}

int
vm_restart_instruction(struct vcpu *vcpu)
{
	int error;

	if (vcpu == NULL)
		return (vm_fail(EINVAL, "restart: the vCPU handle is NULL"));
	pthread_mutex_lock(&vcpu->lock);
	if (vcpu->running)
		error = vm_fail(EBUSY, "vcpu %d: runs", vcpu->id);
	else if (!vcpu->exit_valid)
		error = vm_fail(EINVAL, "vcpu %d: there was no exit to restart from", vcpu->id);
	else if (vcpu->exit.code == VM_EXIT_KICKED || vcpu->exit.code == VM_EXIT_SUSPENDED)
		error = 0;			/* between two instructions */
	else
		error = vcpu->vm->accel->restart(vcpu);
	if (error == 0)
		vcpu->exit_valid = false;
	pthread_mutex_unlock(&vcpu->lock);
	return (error);
}
