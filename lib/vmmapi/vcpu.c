/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vcpu.c - vCPUs: running, requests, stopping, grace periods, registers.
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
#include <stdlib.h>
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
	while ((atomic_load(&vm->stop) != 0 || atomic_load(&vm->paused) != 0) &&
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

static int
claim(struct vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->lock);
	if (vcpu->claimed) {
		pthread_mutex_unlock(&vcpu->lock);
		return (vm_fail(EBUSY, "vcpu %d: another thread runs it", vcpu->id));
	}
	vcpu->claimed = vcpu->running = true;
	vcpu->thread = pthread_self();
	pthread_mutex_unlock(&vcpu->lock);
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
		if (atomic_load(&vm->stop) != 0 || atomic_load(&vm->paused) != 0) {
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
	if (vcpu->vm->accel == NULL && vm_start(vcpu->vm) != 0)
		return (-1);
	if (claim(vcpu) != 0)
		return (-1);
	if (!kick_blocked) {
		sigset_t set;

		sigemptyset(&set);
		sigaddset(&set, VM_KICK_SIGNAL);
		(void)pthread_sigmask(SIG_BLOCK, &set, NULL);
		kick_blocked = true;
	}
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

/* The state page. */

int
vcpu_fetch(struct vcpu *vcpu)
{
	const struct accel_ops *accel = vcpu->vm->accel;

	if (!vcpu->in_accel || vcpu->page_valid || accel == NULL || accel->state_save == NULL)
		return (0);
	if (accel->settle != NULL && accel->settle(vcpu) != 0)
		return (-1);
	if (accel->state_save(vcpu) != 0)
		return (-1);
	vcpu->page_valid = true;
	return (0);
}

int
vcpu_hold(struct vcpu *vcpu)
{
	pthread_mutex_lock(&vcpu->lock);
	if (vcpu->running) {
		pthread_mutex_unlock(&vcpu->lock);
		return (vm_fail(EBUSY, "vcpu %d: its state cannot be reached while it runs; pause the VM first", vcpu->id));
	}
	if (vcpu_fetch(vcpu) != 0) {
		pthread_mutex_unlock(&vcpu->lock);
		return (-1);
	}
	return (0);
}

void
vcpu_release(struct vcpu *vcpu, bool changed)
{
	if (changed)
		vcpu->in_accel = false;
	pthread_mutex_unlock(&vcpu->lock);
}

/* Registers. */

static const struct md_reg *
reg_find(const struct md_ops *md, int num)
{
	unsigned lo = 0, hi = md->nregs;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (md->regs[mid].num < num)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo < md->nregs && md->regs[lo].num == num)
		return (&md->regs[lo]);
	return (vm_fail_null(EINVAL, "register 0x%x: %s has none of that number", (unsigned)num, md->name));
}

const char *
vm_register_name(struct vmctx *ctx, int reg, unsigned *bits)
{
	const struct md_reg *r;

	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "register: the VM handle is NULL"));
	r = reg_find(ctx->md, reg);
	if (r == NULL)
		return (NULL);
	if (bits != NULL)
		*bits = r->bits;
	return (r->name);
}

int
vm_set_register_set(struct vcpu *vcpu, unsigned count, const int *regs, const uint64_t *vals)
{
	unsigned i;

	if (vcpu == NULL || (count > 0 && (regs == NULL || vals == NULL)))
		return (vm_fail(EINVAL, "registers: a NULL argument"));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	for (i = 0; i < count; i++) {
		const struct md_reg *r = reg_find(vcpu->vm->md, regs[i]);

		if (r == NULL)
			break;
		if (r->readonly) {
			(void)vm_fail(EPERM, "register %s: is read-only", r->name);
			break;
		}
		if (r->bits < 64 && vals[i] >> r->bits != 0) {
			(void)vm_fail(EINVAL, "register %s: 0x%jx has more than %u bits", r->name, (uintmax_t)vals[i], r->bits);
			break;
		}
		if (vcpu->vm->md->reg_check != NULL && vcpu->vm->md->reg_check(vcpu, r, vals[i]) != 0)
			break;
		/* Little-endian hosts only, which the build checks. */
		memcpy((uint8_t *)vcpu->state + r->offset, &vals[i], r->size);
	}
	vcpu_release(vcpu, i > 0);
	return (i == count ? 0 : -1);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "registers and state pages are little-endian");

int
vm_get_register_set(struct vcpu *vcpu, unsigned count, const int *regs, uint64_t *vals)
{
	unsigned i;

	if (vcpu == NULL || (count > 0 && (regs == NULL || vals == NULL)))
		return (vm_fail(EINVAL, "registers: a NULL argument"));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	for (i = 0; i < count; i++) {
		const struct md_reg *r = reg_find(vcpu->vm->md, regs[i]);

		if (r == NULL)
			break;
		vals[i] = 0;
		memcpy(&vals[i], (const uint8_t *)vcpu->state + r->offset, r->size);
	}
	vcpu_release(vcpu, false);
	return (i == count ? 0 : -1);
}

int
vm_set_register(struct vcpu *vcpu, int reg, uint64_t val)
{
	return (vm_set_register_set(vcpu, 1, &reg, &val));
}

int
vm_get_register(struct vcpu *vcpu, int reg, uint64_t *val)
{
	return (vm_get_register_set(vcpu, 1, &reg, val));
}

int
vm_gva2gpa(struct vcpu *vcpu, uint64_t gva, int prot, vm_paddr_t *gpa, int *fault)
{
	int error;

	if (vcpu == NULL || gpa == NULL || fault == NULL || prot == 0 || (prot & ~VM_PROT_ALL) != 0)
		return (vm_fail(EINVAL, "address translation: a NULL argument, or protection 0x%x", (unsigned)prot));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	error = vcpu->vm->md->translate(vcpu, gva, prot, gpa, fault);
	vcpu_release(vcpu, false);
	return (error);
}

int
vm_vcpu_reset(struct vcpu *vcpu)
{
	if (vcpu == NULL)
		return (vm_fail(EINVAL, "reset: the vCPU handle is NULL"));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	vcpu->vm->md->vcpu_reset(vcpu);
	atomic_store(&vcpu->md_events, 0);
	atomic_fetch_and(&vcpu->request, ~REQ_MD);
	vcpu->read_open = vcpu->replied = vcpu->exit_valid = false;
	vcpu_release(vcpu, true);
	return (0);
}

/* Handles. */

int
vcpu_create(struct vmctx *vm, int id, struct vcpu **vcpup)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	pthread_condattr_t attr;

	if (vcpu == NULL)
		return (vm_fail_sys(ENOMEM, "vm '%s': vcpu %d", vm->name, id));
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->state = rundir_vcpu_page(vm, id);
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&vcpu->cond, &attr);
	pthread_condattr_destroy(&attr);
	memset(vcpu->caps, -1, sizeof(vcpu->caps));
	for (unsigned i = 0; i < vm->md->ncaps; i++)
		vcpu->caps[vm->md->caps[i].type] = (int8_t)vm->md->caps[i].initial;
	if (rundir_vcpu_used(vm, id)) {
		/* Another process filled the page: see that it makes sense before anything runs on it. */
		if (vm->md->vcpu_state->check != NULL && vm->md->vcpu_state->check(vcpu->state) != 0) {
			vcpu_free(vcpu);
			return (-1);
		}
		rundir_get_caps(vcpu);
	} else {
		memset(vcpu->state, 0, VCPU_SLOT);
		vm->md->vcpu_reset(vcpu);
		rundir_put_caps(vcpu);
		rundir_vcpu_set_used(vm, id, true);
	}
	*vcpup = vcpu;
	return (0);
}

void
vcpu_free(struct vcpu *vcpu)
{
	pthread_cond_destroy(&vcpu->cond);
	pthread_mutex_destroy(&vcpu->lock);
	free(vcpu);
}

struct vcpu *
vm_vcpu_open(struct vmctx *ctx, int vcpuid)
{
	struct vcpu *vcpu = NULL;

	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "vCPU: the VM handle is NULL"));
	if (vcpuid < 0 || vcpuid >= VM_MAXCPU)
		return (vm_fail_null(EINVAL, "vm '%s': vCPU %d: the numbers are 0 to %d", ctx->name, vcpuid, VM_MAXCPU - 1));
	pthread_mutex_lock(&ctx->lock);
	if (ctx->vcpus[vcpuid] != NULL) {
		vcpu = ctx->vcpus[vcpuid];
		vcpu->refs++;
	} else if (ctx->accel != NULL)
		(void)vm_fail(EBUSY, "vm '%s': vCPU %d cannot be added once the VM has started", ctx->name, vcpuid);
	else if (vcpu_create(ctx, vcpuid, &vcpu) == 0) {
		vcpu->refs = 1;
		ctx->vcpus[vcpuid] = vcpu;
		ctx->ncpus++;
	}
	pthread_mutex_unlock(&ctx->lock);
	return (vcpu);
}

void
vm_vcpu_close(struct vcpu *vcpu)
{
	if (vcpu == NULL)
		return;
	pthread_mutex_lock(&vcpu->vm->lock);
	if (vcpu->refs > 0)
		vcpu->refs--;
	pthread_mutex_unlock(&vcpu->vm->lock);
}

int
vcpu_id(struct vcpu *vcpu)
{
	return (vcpu == NULL ? vm_fail(EINVAL, "vCPU: the handle is NULL") : vcpu->id);
}

struct vmctx *
vm_vcpu_ctx(struct vcpu *vcpu)
{
	return (vcpu == NULL ? vm_fail_null(EINVAL, "vCPU: the handle is NULL") : vcpu->vm);
}

/* Counters. */

static const char *const stat_names[VM_STAT_LAST] = {
	[VM_STAT_INSNS] = "instructions retired",
	[VM_STAT_EXITS] = "exits to the caller",
	[VM_STAT_MMIO] = "accesses to MMIO ranges",
	[VM_STAT_IO] = "accesses to ports",
	[VM_STAT_DOORBELL] = "doorbells rung",
	[VM_STAT_INTR] = "interrupts taken",
	[VM_STAT_HALT] = "waits for an interrupt",
	[VM_STAT_KICK] = "kicks received",
};

const uint64_t *
vm_get_stats(struct vcpu *vcpu, int *entries)
{
	static _Thread_local uint64_t copy[VM_STAT_LAST];

	if (vcpu == NULL || entries == NULL)
		return (vm_fail_null(EINVAL, "counters: a NULL argument"));
	for (int i = 0; i < VM_STAT_LAST; i++)
		copy[i] = atomic_load_explicit(&vcpu->stats[i], memory_order_relaxed);
	*entries = VM_STAT_LAST;
	return (copy);
}

const char *
vm_get_stat_desc(struct vmctx *ctx, int index)
{
	if (index < 0 || index >= VM_STAT_LAST)
		return (NULL);
	return (stat_names[index]);
}
