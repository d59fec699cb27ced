/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm.c - the life of a VM.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

/* The parts behind the files, in the order of their dependence. */
static const struct {
	int	(*init)(struct vmctx *vm);
	void	(*fini)(struct vmctx *vm);
} parts[] = {
	{ mem_init, mem_fini },
	{ dirty_init, dirty_fini },
	{ clock_init, clock_fini },
	{ range_init, range_fini },
	{ irq_init, irq_fini },
};

static void
vm_free(struct vmctx *vm)
{
	if (vm == NULL)
		return;
	ppt_fini(vm);
	vm_detach_accel(vm);
	fdwatch_fini(vm);
	if (vm->md != NULL && vm->md->vm_fini != NULL)
		vm->md->vm_fini(vm);
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL)
			vcpu_free(vm->vcpus[i]);
	}
	while (vm->nparts > 0)
		parts[--vm->nparts].fini(vm);
	rundir_close(vm);
	pthread_cond_destroy(&vm->stop_cond);
	pthread_cond_destroy(&vm->write_cond);
	pthread_mutex_destroy(&vm->write_lock);
	pthread_mutex_destroy(&vm->stop_lock);
	pthread_mutex_destroy(&vm->lock);
	free(vm);
}

static struct vmctx *
vm_alloc(void)
{
	struct vmctx *vm = calloc(1, sizeof(*vm));
	pthread_mutexattr_t attr;

	if (vm == NULL)
		return (vm_fail_null(ENOMEM, "vm: no memory"));
	vm->memfd = vm->hugefd = -1;
	atomic_store(&vm->epoch, 1);		/* 0 means outside the guest */
	atomic_store(&vm->map_gen, 1);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&vm->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	pthread_mutex_init(&vm->write_lock, NULL);
	pthread_cond_init(&vm->write_cond, NULL);
	pthread_mutex_init(&vm->stop_lock, NULL);
	pthread_cond_init(&vm->stop_cond, NULL);
	return (vm);
}

/* HYVE_JIT: on, off, or how many times a stretch of code is entered before it is translated.  Where nobody says, it is on. */
static void
jit_configure(struct vmctx *vm, const struct vm_spec *spec)
{
	const char *env = secure_getenv("HYVE_JIT");
	unsigned long hot;
	char *end;

	if (spec != NULL)
		vm->jit = spec->jit;
	if (vm->jit.how != VM_JIT_AUTO || env == NULL)
		return;
	if (strcmp(env, "off") == 0)
		vm->jit.how = VM_JIT_OFF;
	hot = strtoul(env, &end, 10);
	if (end != env && *end == '\0' && hot <= UINT16_MAX)
		vm->jit.hot = hot == 0 ? 1 : (uint32_t)hot;
}

static int
vm_setup(struct vmctx *vm, const struct vm_spec *spec)
{
	vm->intc_ops = vm->md->intcs[0];
	if (spec != NULL && spec->intc != NULL) {
		for (unsigned i = 0;; i++) {
			if (vm->md->intcs[i] == NULL)
				return (vm_fail(EINVAL, "vm '%s': %s guests have no interrupt controller '%s'", vm->name,
				    vm->md->name, spec->intc));
			if (strcmp(vm->md->intcs[i]->name, spec->intc) == 0) {
				vm->intc_ops = vm->md->intcs[i];
				break;
			}
		}
	}
	if (spec != NULL) {
		vm->want = spec->accel;
		vm->halt_poll = spec->halt_poll;
		vm->halt_poll_ns = spec->halt_poll_ns;
		vm->flags |= spec->flags;
	}
	jit_configure(vm, spec);
	for (; vm->nparts < nitems(parts); vm->nparts++) {
		if (parts[vm->nparts].init(vm) != 0)
			return (-1);
	}
	if (spec != NULL)
		clock_configure(vm, spec);
	return (0);
}

static struct vmctx *
open_named(const char *name, const struct vm_spec *spec)
{
	struct vmctx *vm = vm_alloc();

	if (vm == NULL)
		return (NULL);
	if (rundir_open(vm, name) == 0 && vm_setup(vm, spec) == 0 && mem_adopt(vm) == 0)
		return (vm);
	vm_free(vm);
	return (NULL);
}

int
vm_create(const char *name)
{
	return (rundir_create(name, VM_ARCH_AMD64, 0));
}

struct vmctx *
vm_open(const char *name)
{
	return (open_named(name, NULL));
}

struct vmctx *
vm_openf(const char *name, int flags)
{
	bool existed = true;
	struct vmctx *vm;

	if ((flags & ~(VMMAPI_OPEN_CREATE | VMMAPI_OPEN_REINIT | VMMAPI_OPEN_CREATE_DESTROY_ON_CLOSE)) != 0)
		return (vm_fail_null(EINVAL, "vm '%s': 0x%x has unknown open flags", name != NULL ? name : "(null)",
		    (unsigned)flags));
	if ((flags & VMMAPI_OPEN_CREATE) != 0) {
		if (rundir_create(name, VM_ARCH_AMD64,
		    (flags & VMMAPI_OPEN_CREATE_DESTROY_ON_CLOSE) != 0 ? VM_SPEC_DESTROY : 0) == 0)
			existed = false;
		else if (errno != EEXIST)
			return (NULL);
	}
	vm = vm_open(name);
	if (vm == NULL)
		return (NULL);
	if (existed && (flags & VMMAPI_OPEN_REINIT) != 0 && vm_reinit(vm) != 0) {
		vm_close(vm);
		return (NULL);
	}
	return (vm);
}

static int
spec_check(const struct vm_spec *spec)
{
	if (spec == NULL || spec->size != sizeof(*spec))
		return (vm_fail(EINVAL, "vm: no specification, or its size member is not that of this library"));
	if (spec->arch != 0 && md_lookup(spec->arch) == NULL)
		return (vm_fail(EINVAL, "vm: architecture %d: there is no such number", (int)spec->arch));
	if ((int)spec->accel < VM_ACCEL_AUTO || spec->accel > VM_ACCEL_SOFT)
		return (vm_fail(EINVAL, "vm: back end %d: there is no such number", (int)spec->accel));
	if (spec->clock != VM_CLOCK_HOST && spec->clock != VM_CLOCK_ICOUNT)
		return (vm_fail(EINVAL, "vm: clock %d: there is no such number", (int)spec->clock));
	if ((spec->flags & ~(uint32_t)(VM_SPEC_CHECK_WRITES | VM_SPEC_DESTROY)) != 0)
		return (vm_fail(EINVAL, "vm: 0x%x has unknown flags", spec->flags));
	if (spec->insn_ns > 1000000)
		return (vm_fail(EINVAL, "vm: %u ns for an instruction: at most 1000000", spec->insn_ns));
	if ((int)spec->jit.how < VM_JIT_AUTO || spec->jit.how > VM_JIT_ON)
		return (vm_fail(EINVAL, "vm: native code %d: there is no such choice", (int)spec->jit.how));
	if (spec->jit.hot > UINT16_MAX || spec->jit.size > 1UL << 30)
		return (vm_fail(EINVAL, "vm: native code after %u entries and of %zu bytes: at most %u, and 1 GiB", spec->jit.hot,
		    spec->jit.size, UINT16_MAX));
	return (0);
}

struct vmctx *
vm_new(const struct vm_spec *spec)
{
	enum vm_arch arch;
	struct vmctx *vm;

	if (spec_check(spec) != 0)
		return (NULL);
	arch = spec->arch != 0 ? spec->arch : VM_ARCH_AMD64;
	if (spec->layout != NULL && layout_check(md_lookup(arch), spec->layout) != 0)
		return (NULL);
	if (spec->name != NULL) {
		if (rundir_create(spec->name, arch, spec->flags) != 0)
			return (NULL);
		vm = open_named(spec->name, spec);
	} else {
		vm = vm_alloc();
		if (vm == NULL)
			return (NULL);
		vm->md = md_lookup(arch);
		if (rundir_anon(vm) != 0 || vm_setup(vm, spec) != 0) {
			vm_free(vm);
			return (NULL);
		}
	}
	if (vm != NULL && spec->layout != NULL)
		(void)vm_set_layout(vm, spec->layout);		/* checked above */
	return (vm);
}

void
vm_close(struct vmctx *ctx)
{
	if (ctx == NULL)
		return;
	if ((ctx->flags & VM_SPEC_DESTROY) != 0 && ctx->name[0] != '\0') {
		vm_destroy(ctx);
		return;
	}
	vm_free(ctx);
}

void
vm_destroy(struct vmctx *ctx)
{
	if (ctx == NULL)
		return;
	vm_detach_accel(ctx);
	(void)rundir_destroy(ctx);
	vm_free(ctx);
}

int
vm_start(struct vmctx *ctx)
{
	int error = 0;

	if (ctx == NULL)
		return (vm_fail(EINVAL, "start: the VM handle is NULL"));
	pthread_mutex_lock(&ctx->lock);
	if (ctx->accel == NULL)
		error = vm_attach_accel(ctx);
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

/* What stands in the way of a reinit. */
static int
reinit_check(struct vmctx *vm)
{
	for (int i = 0; i < VM_MAXCPU; i++) {
		struct vcpu *vcpu = vm->vcpus[i];
		bool claimed;

		if (vcpu == NULL)
			continue;
		pthread_mutex_lock(&vcpu->lock);
		claimed = vcpu->claimed;
		pthread_mutex_unlock(&vcpu->lock);
		if (claimed)
			return (vm_fail(EBUSY, "vm '%s': cannot be reinitialised while vCPU %d runs", vm->name, i));
	}
	if (ppt_any(vm))
		return (vm_fail(EBUSY, "vm '%s': cannot be reinitialised while host devices are assigned to it", vm->name));
	if (vm->consumers != NULL)
		return (vm_fail(EBUSY, "vm '%s': cannot be reinitialised while dirty pages are tracked", vm->name));
	return (0);
}

static int
reinit_check_handles(struct vmctx *vm)
{
	if (vm->nirqs > 0)
		return (vm_fail(EBUSY, "vm '%s': cannot be reinitialised: %u interrupt handles are open", vm->name, vm->nirqs));
	if (vm->nranges[VM_SPACE_MEM] + vm->nranges[VM_SPACE_IO] > 0)
		return (vm_fail(EBUSY, "vm '%s': cannot be reinitialised: %u ranges are claimed", vm->name,
		    vm->nranges[VM_SPACE_MEM] + vm->nranges[VM_SPACE_IO]));
	if (vm->doorbells != NULL)
		return (vm_fail(EBUSY, "vm '%s': cannot be reinitialised: a doorbell is open", vm->name));
	if (clock_timers(vm) > 0)
		return (vm_fail(EBUSY, "vm '%s': cannot be reinitialised: %u timers are open", vm->name, clock_timers(vm)));
	return (0);
}

int
vm_reinit(struct vmctx *ctx)
{
	int error;

	if (ctx == NULL)
		return (vm_fail(EINVAL, "reinit: the VM handle is NULL"));
	pthread_mutex_lock(&ctx->lock);
	error = reinit_check(ctx);
	if (error == 0) {
		/* The controller's own ranges and timers go with the back end; what is left then is the caller's. */
		vm_detach_accel(ctx);
		if (ctx->md->vm_fini != NULL)
			ctx->md->vm_fini(ctx);
		error = reinit_check_handles(ctx);
	}
	if (error == 0)
		error = mem_reinit(ctx);
	for (int i = 0; error == 0 && i < VM_MAXCPU; i++) {
		struct vcpu *vcpu = ctx->vcpus[i];

		if (vcpu == NULL) {
			rundir_vcpu_set_used(ctx, i, false);
			continue;
		}
		error = vm_vcpu_reset(vcpu);
		atomic_store(&vcpu->request, 0);
		for (unsigned c = 0; c < ctx->md->ncaps; c++)
			vcpu->caps[ctx->md->caps[c].type] = (int8_t)ctx->md->caps[c].initial;
		rundir_put_caps(vcpu);
	}
	if (error == 0) {
		atomic_store(&ctx->suspended, VM_SUSPEND_NONE);
		ctx->sockets = ctx->cores = ctx->threads = 1;
		ctx->counter_hz = ctx->md->counter_hz;
		ctx->counter_set = false;
		ctx->cpu_model = NULL;
		(void)vm_clock_set(ctx, 0);
		rundir_put_memory(ctx);
	}
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

int
vm_suspend(struct vmctx *ctx, enum vm_suspend_how how)
{
	uint32_t none = VM_SUSPEND_NONE;

	if (ctx == NULL || (int)how <= VM_SUSPEND_NONE || how >= VM_SUSPEND_LAST)
		return (vm_fail(EINVAL, "suspend: a NULL handle, or %d is no reason", (int)how));
	if (!atomic_compare_exchange_strong(&ctx->suspended, &none, (uint32_t)how))
		return (vm_fail(EALREADY, "vm '%s': is suspended already", ctx->name));
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (ctx->vcpus[i] != NULL)
			vcpu_request(ctx->vcpus[i], REQ_SUSPEND);
	}
	return (0);
}

int
vm_unsuspend(struct vmctx *ctx)
{
	if (ctx == NULL)
		return (vm_fail(EINVAL, "suspend: the VM handle is NULL"));
	atomic_store(&ctx->suspended, VM_SUSPEND_NONE);
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (ctx->vcpus[i] != NULL)
			atomic_fetch_and(&ctx->vcpus[i]->request, ~REQ_SUSPEND);
	}
	return (0);
}

const char *
vm_get_name(struct vmctx *ctx)
{
	return (ctx == NULL ? vm_fail_null(EINVAL, "vm: the handle is NULL") : ctx->name);
}

enum vm_arch
vm_get_arch(struct vmctx *ctx)
{
	return (ctx == NULL ? (enum vm_arch)0 : ctx->md->arch);
}

const char *
vm_accel_name(struct vmctx *ctx)
{
	return (ctx == NULL || ctx->accel == NULL ? NULL : ctx->accel->name);
}

const char *
vm_accel_reason(struct vmctx *ctx)
{
	return (ctx == NULL ? "" : ctx->reason);
}

int
vm_set_topology(struct vmctx *ctx, uint16_t sockets, uint16_t cores, uint16_t threads, uint16_t maxcpus)
{
	if (ctx == NULL || sockets == 0 || cores == 0 || threads == 0 || maxcpus != 0 ||
	    (uint64_t)sockets * cores * threads > VM_MAXCPU)
		return (vm_fail(EINVAL, "topology %u sockets x %u cores x %u threads (maxcpus %u): each at least 1, together at most %d, maxcpus 0",
		    sockets, cores, threads, maxcpus, VM_MAXCPU));
	pthread_mutex_lock(&ctx->lock);
	ctx->sockets = sockets;
	ctx->cores = cores;
	ctx->threads = threads;
	rundir_put_memory(ctx);
	pthread_mutex_unlock(&ctx->lock);
	return (0);
}

int
vm_get_topology(struct vmctx *ctx, uint16_t *sockets, uint16_t *cores, uint16_t *threads, uint16_t *maxcpus)
{
	if (ctx == NULL || sockets == NULL || cores == NULL || threads == NULL || maxcpus == NULL)
		return (vm_fail(EINVAL, "topology: a NULL argument"));
	*sockets = ctx->sockets;
	*cores = ctx->cores;
	*threads = ctx->threads;
	*maxcpus = VM_MAXCPU;
	return (0);
}

/* Processor models */

const char *
cpu_model_find(const struct vmctx *vm, const char *name)
{
	for (const char *const *m = vm->md->cpu_models; *m != NULL; m++) {
		if (strcmp(*m, name) == 0)
			return (*m);
	}
	return (NULL);
}

/* How many letters have to be changed, put in or left out to make one of the other (Levenshtein). */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[32], diag, up, n = (unsigned)strnlen(b, nitems(row) - 1);

	for (unsigned j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned i = 1; a[i - 1] != '\0' && i < nitems(row); i++) {
		diag = row[0];
		row[0] = i;
		for (unsigned j = 1; j <= n; j++) {
			up = row[j];
			row[j] = diag + (a[i - 1] != b[j - 1]);
			if (up + 1 < row[j])
				row[j] = up + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			diag = up;
		}
	}
	return (row[n]);
}

static const char *
model_nearest(struct vmctx *vm, const char *name)
{
	const char *best = vm->md->cpu_models[0];

	for (const char *const *m = vm->md->cpu_models; *m != NULL; m++) {
		if (distance(name, *m) < distance(name, best))
			best = *m;
	}
	return (best);
}

int
vm_set_cpu_model(struct vmctx *ctx, const char *name)
{
	const char *model = NULL;
	int error = 0;

	if (ctx == NULL)
		return (vm_fail(EINVAL, "processor model: the VM handle is NULL"));
	if (name != NULL && (model = cpu_model_find(ctx, name)) == NULL)
		return (vm_fail(EINVAL, "vm '%s': %s guests have no processor model '%s'; did you mean '%s'?", ctx->name,
		    ctx->md->name, name, model_nearest(ctx, name)));
	pthread_mutex_lock(&ctx->lock);
	if (ctx->accel != NULL) {
		error = vm_fail(EBUSY, "vm '%s': the processor model is fixed once the VM has started", ctx->name);
	} else {
		ctx->cpu_model = model;
		if (ctx->md->cpu_model_set != NULL)
			ctx->md->cpu_model_set(ctx);
		rundir_put_memory(ctx);
	}
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

const char *
vm_get_cpu_model(struct vmctx *ctx)
{
	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "processor model: the VM handle is NULL"));
	if (ctx->cpu_model != NULL)
		return (ctx->cpu_model);
	return (ctx->accel != NULL && ctx->accel->shows_host ? "host" : ctx->md->cpu_models[0]);
}

/* Reset */

/* Everything is in power-on state again; the VM is paused.  vm->lock held. */
static int
reset_all(struct vmctx *vm)
{
	if (vm->accel != NULL && vm->accel->reset(vm) != 0)
		return (-1);
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL && vm_vcpu_reset(vm->vcpus[i]) != 0)
			return (-1);
	}
	if (vm->intc != NULL && vm->intc_ops->reset != NULL)
		vm->intc_ops->reset(vm);
	if (vm->md->vm_reset != NULL)
		vm->md->vm_reset(vm);
	return (0);
}

int
vm_reset(struct vmctx *ctx)
{
	int error;

	if (ctx == NULL)
		return (vm_fail(EINVAL, "reset: the VM handle is NULL"));
	/* The clock stands meanwhile, so that all processors start at the same time. */
	if (vm_pause(ctx) != 0)
		return (-1);
	pthread_mutex_lock(&ctx->lock);
	error = reset_all(ctx);
	pthread_mutex_unlock(&ctx->lock);
	if (error == 0)
		error = vm_unsuspend(ctx);
	if (error == 0)
		return (vm_resume(ctx));
	error = errno;
	(void)vm_resume(ctx);
	errno = error;
	return (-1);
}
