/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * debug.c - where a debugger wants vCPUs to stop, and which of them it lets run.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static int
check(const struct vm_debug_point *p, unsigned n)
{
	if (n > VM_DEBUG_MAX)
		return (vm_fail(ENOSPC, "points of a debugger: %u are more than the %d that there can be", n, VM_DEBUG_MAX));
	for (unsigned i = 0; i < n; i++) {
		if ((unsigned)p[i].kind > VM_DEBUG_ACCESS)
			return (vm_fail(EINVAL, "points of a debugger: there is no kind %d", (int)p[i].kind));
		if (p[i].kind != VM_DEBUG_EXEC && (p[i].len == 0 || p[i].len - 1 > UINT64_MAX - p[i].addr))
			return (vm_fail(EINVAL, "points of a debugger: %#jx bytes at %#jx are no range", (uintmax_t)p[i].len,
			    (uintmax_t)p[i].addr));
	}
	return (0);
}

static bool
has_offset(const struct vm_debug *d, uint64_t addr)
{
	return ((d->offsets[(addr & (VM_PAGE_SIZE - 1)) / 64] >> addr % 64 & 1) != 0);
}

/*
 * What code is made by follows only when something is added, or when nothing is left.
 */
static void
update_offsets(struct vm_debug *d)
{
	bool all = d->n != 0 || !d->any;

	for (unsigned i = 0; i < d->n; i++)
		all &= d->p[i].kind != VM_DEBUG_EXEC || has_offset(d, d->p[i].addr);
	if (all)
		return;
	memset(d->offsets, 0, sizeof(d->offsets));
	for (unsigned i = 0; i < d->n; i++) {
		if (d->p[i].kind == VM_DEBUG_EXEC)
			d->offsets[(d->p[i].addr & (VM_PAGE_SIZE - 1)) / 64] |= 1ULL << d->p[i].addr % 64;
	}
	d->any = d->n != 0;
	d->code_gen++;
}

static void
put(struct vm_debug *d, const struct vm_debug_point *p, unsigned n)
{
	d->n = n;
	d->ndata = 0;
	for (unsigned i = 0; i < n; i++) {
		d->p[i] = p[i];
		d->ndata += p[i].kind != VM_DEBUG_EXEC;
	}
}

static bool
same(const struct vm_debug *d, const struct vm_debug_point *p, unsigned n)
{
	if (n != d->n)
		return (false);
	for (unsigned i = 0; i < n; i++) {
		if (p[i].kind != d->p[i].kind || p[i].addr != d->p[i].addr || p[i].len != d->p[i].len)
			return (false);
	}
	return (true);
}

static int
set(struct vmctx *vm, const struct vm_debug_point *p, unsigned n)
{
	struct vm_debug *d = &vm->debug;
	struct vm_debug_point old[VM_DEBUG_MAX];
	unsigned nold = d->n;
	int error;

	if (!atomic_load(&vm->started))
		return (vm_fail(EINVAL, "vm '%s': has no points of a debugger before it has started", vm->name));
	if (atomic_load(&vm->paused) == 0)
		return (vm_fail(EBUSY, "vm '%s': the points of a debugger change only while it is paused", vm->name));
	if (same(d, p, n))
		return (0);
	memcpy(old, d->p, sizeof(old));
	put(d, p, n);
	if (vm->accel->debug_set != NULL && vm->accel->debug_set(vm) != 0) {
		/* A part of the vCPUs may have them already: they get back what they had. */
		error = errno;
		put(d, old, nold);
		(void)vm->accel->debug_set(vm);
		errno = error;
		return (-1);
	}
	update_offsets(d);
	d->gen++;
	return (0);
}

int
vm_debug_set(struct vmctx *ctx, const struct vm_debug_point *points, unsigned n)
{
	int error;

	if (ctx == NULL || (points == NULL && n != 0))
		return (vm_fail(EINVAL, "points of a debugger: a NULL argument"));
	if (check(points, n) != 0)
		return (-1);
	pthread_mutex_lock(&ctx->lock);
	error = set(ctx, points, n);
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

int
vm_vcpu_hold(struct vcpu *vcpu, bool hold)
{
	int error = 0;

	if (vcpu == NULL)
		return (vm_fail(EINVAL, "hold: the vCPU handle is NULL"));
	pthread_mutex_lock(&vcpu->vm->lock);
	pthread_mutex_lock(&vcpu->lock);
	if (atomic_load(&vcpu->vm->paused) == 0 || vcpu->running)
		error = vm_fail(EBUSY, "vcpu %d: is held, or let go, only while the VM is paused", vcpu->id);
	else
		vcpu->held = hold;
	pthread_mutex_unlock(&vcpu->lock);
	pthread_mutex_unlock(&vcpu->vm->lock);
	return (error);
}

const struct vm_debug_point *
debug_find(const struct vmctx *vm, enum vm_debug_kind kind, uint64_t va, unsigned size, uint64_t *at)
{
	const struct vm_debug *d = &vm->debug;

	for (unsigned i = 0; i < d->n; i++) {
		const struct vm_debug_point *p = &d->p[i];

		if (kind == VM_DEBUG_EXEC) {
			if (p->kind != VM_DEBUG_EXEC || p->addr != va)
				continue;
		} else if ((p->kind != kind && p->kind != VM_DEBUG_ACCESS) ||
		    (va < p->addr ? p->addr - va >= size : va - p->addr >= p->len)) {
			continue;
		}
		*at = va < p->addr ? p->addr : va;
		return (p);
	}
	return (NULL);
}

void
debug_fill(struct vm_exit *ex, const struct vm_debug_point *p, uint64_t at, uint32_t reason)
{
	ex->u.debug.addr = at;
	ex->u.debug.reason = reason;
	ex->u.debug.why = VM_DEBUG_AT_POINT;
	ex->u.debug.kind = (uint8_t)p->kind;
}
