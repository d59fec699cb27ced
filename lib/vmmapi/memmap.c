/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memmap.c - the guest-physical map: which part of which segment is where, with what protection.
 *
 * The map changes only while no vCPU is in guest code (vm_stop_vcpus()), so a back end looks at it there without a lock.  Everyone
 * else holds map_lock for reading.  A change builds a new array and tells the back end the difference.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rundir.h"

/* Host address of a mapping: RAM at home is reached through the reserved range, which loaders and devices use too. */
uint8_t *
mapping_host(struct vmctx *vm, const struct vm_mapping *m)
{
	const struct ram_range *r = ram_find(vm, m->gpa, m->len);

	if (r != NULL && r->seg == &vm->segs[m->segid] && r->segoff + (m->gpa - r->gpa) == m->segoff)
		return (vm->base + m->gpa);
	return (vm->segs[m->segid].host + m->segoff);
}

/* Index of the first mapping that ends above gpa. */
static unsigned
map_index(struct vmctx *vm, vm_paddr_t gpa)
{
	unsigned lo = 0, hi = vm->nmaps;

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (vm->maps[mid].gpa + vm->maps[mid].len <= gpa)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

struct vm_mapping *
mem_lookup(struct vmctx *vm, vm_paddr_t gpa)
{
	unsigned i = map_index(vm, gpa);

	return (i < vm->nmaps && vm->maps[i].gpa <= gpa ? &vm->maps[i] : NULL);
}

/*
 * Replace the map by next (n entries, allocated).  Entries with slot -1 are new to the back end; mappings of the old map for which
 * `gone` is true are taken from it first.  vm->lock is held.
 */
static int
map_switch(struct vmctx *vm, struct vm_mapping *next, unsigned n, const bool *gone)
{
	struct vm_mapping *old = vm->maps;
	unsigned nold = vm->nmaps, i;
	int error = 0;

	if (!vm->rd->anon && n > RD_MAXMAPS) {
		free(next);
		return (vm_fail(ENOSPC, "vm '%s': a named VM has at most %d mappings", vm->name, RD_MAXMAPS));
	}
	for (i = 0; i < n; i++)
		next[i].host = mapping_host(vm, &next[i]);
	vm_stop_vcpus(vm);
	if (vm->accel != NULL) {
		for (i = 0; i < nold; i++) {
			if (gone[i])
				vm->accel->mem_unmap(vm, &old[i]);
		}
	}
	pthread_rwlock_wrlock(&vm->map_lock);
	vm->maps = next;
	vm->nmaps = n;
	atomic_fetch_add(&vm->map_gen, 1);
	pthread_rwlock_unlock(&vm->map_lock);
	if (vm->accel != NULL) {
		for (i = 0; i < n && error == 0; i++) {
			if (next[i].slot == -1)
				error = vm->accel->mem_map(vm, &next[i]);
		}
	}
	if (error != 0) {
		/* Undo: what was mapped new goes, what was there comes back. */
		for (unsigned j = 0; j + 1 < i; j++) {
			bool was = false;

			for (unsigned k = 0; k < nold; k++)
				was = was || (!gone[k] && old[k].gpa == next[j].gpa);
			if (!was)
				vm->accel->mem_unmap(vm, &next[j]);
		}
		pthread_rwlock_wrlock(&vm->map_lock);
		vm->maps = old;
		vm->nmaps = nold;
		atomic_fetch_add(&vm->map_gen, 1);
		pthread_rwlock_unlock(&vm->map_lock);
		for (i = 0; i < nold; i++) {
			if (gone[i]) {
				old[i].slot = -1;
				(void)vm->accel->mem_map(vm, &old[i]);
			}
		}
		vm_go_vcpus(vm);
		free(next);
		return (-1);
	}
	vm_go_vcpus(vm);
	free(old);
	rundir_put_memory(vm);
	return (0);
}

static int
range_check(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	if (ctx == NULL)
		return (vm_fail(EINVAL, "memory: the VM handle is NULL"));
	if (len == 0 || !page_aligned(gpa | len) || gpa > ctx->md->maxpa || len > ctx->md->maxpa - gpa)
		return (vm_fail(EINVAL, "vm '%s': 0x%jx with 0x%zx bytes is empty, not page-aligned or outside of the address space",
		    ctx->name, (uintmax_t)gpa, len));
	return (0);
}

int
vm_mmap_memseg(struct vmctx *ctx, vm_paddr_t gpa, int segid, vm_ooffset_t segoff, size_t len, int prot)
{
	struct vm_mapping *next, *m;
	bool gone[1] = { false }, *none = gone;
	unsigned at;
	int error;

	if (range_check(ctx, gpa, len) != 0)
		return (-1);
	if (segid < 0 || segid >= VM_MAX_MEMSEGS || segoff < 0 || !page_aligned((uint64_t)segoff) || (prot & ~VM_PROT_ALL) != 0 ||
	    (prot & VM_PROT_READ) == 0)
		return (vm_fail(EINVAL, "vm '%s': mapping of segment %d offset 0x%jx protection 0x%x: a value is out of range",
		    ctx->name, segid, (uintmax_t)segoff, (unsigned)prot));
	pthread_mutex_lock(&ctx->lock);
	if (ctx->segs[segid].len == 0) {
		error = vm_fail(ENOENT, "vm '%s': there is no memory segment %d", ctx->name, segid);
		goto out;
	}
	if ((size_t)segoff > ctx->segs[segid].len || len > ctx->segs[segid].len - (size_t)segoff) {
		error = vm_fail(EINVAL, "vm '%s': 0x%jx to 0x%jx is outside of segment %d '%s'", ctx->name, (uintmax_t)segoff,
		    (uintmax_t)segoff + len, segid, ctx->segs[segid].name);
		goto out;
	}
	at = map_index(ctx, gpa);
	m = at < ctx->nmaps ? &ctx->maps[at] : NULL;
	if (m != NULL && m->gpa < gpa + len) {
		if (m->gpa == gpa && m->len == len && m->segid == segid && m->segoff == (size_t)segoff && m->prot == prot)
			error = 0;
		else
			error = vm_fail(EEXIST, "vm '%s': 0x%jx is mapped already, to segment %d '%s'", ctx->name,
			    (uintmax_t)m->gpa, m->segid, ctx->segs[m->segid].name);
		goto out;
	}
	error = ppt_map_check(ctx, gpa, len);
	if (error != 0)
		goto out;
	next = calloc(ctx->nmaps + 1, sizeof(*next));
	none = calloc(ctx->nmaps + 1, sizeof(*none));
	if (next == NULL || none == NULL) {
		free(next);
		error = vm_fail_sys(ENOMEM, "vm '%s': memory map", ctx->name);
		goto out;
	}
	if (at > 0)
		memcpy(next, ctx->maps, at * sizeof(*next));
	next[at] = (struct vm_mapping){ .gpa = gpa, .len = len, .segoff = (size_t)segoff, .segid = segid, .prot = prot,
	    .slot = -1 };
	if (at < ctx->nmaps)
		memcpy(&next[at + 1], &ctx->maps[at], (ctx->nmaps - at) * sizeof(*next));
	error = map_switch(ctx, next, ctx->nmaps + 1, none);
out:
	pthread_mutex_unlock(&ctx->lock);
	if (none != gone)
		free(none);
	return (error);
}

/* Cut [gpa, gpa + len) out of the map; with prot >= 0 put it back with that protection. */
static int
map_cut(struct vmctx *vm, vm_paddr_t gpa, size_t len, int prot)
{
	vm_paddr_t end = gpa + len, at = gpa;
	struct vm_mapping *next;
	bool *gone, change = false;
	unsigned n = 0;
	int error;

	/* Each mapping gives at most three. */
	next = calloc(3 * (size_t)vm->nmaps + 1, sizeof(*next));
	gone = calloc(vm->nmaps + 1, sizeof(*gone));
	if (next == NULL || gone == NULL) {
		free(next);
		free(gone);
		return (vm_fail_sys(ENOMEM, "vm '%s': memory map", vm->name));
	}
	for (unsigned i = 0; i < vm->nmaps; i++) {
		const struct vm_mapping m = vm->maps[i];
		vm_paddr_t mend = m.gpa + m.len, lo, hi;

		if (mend <= gpa || m.gpa >= end) {
			next[n++] = m;
			continue;
		}
		if (m.gpa > at)
			break;				/* a gap */
		lo = m.gpa > gpa ? m.gpa : gpa;
		hi = mend < end ? mend : end;
		at = hi;
		if (prot == m.prot) {
			next[n++] = m;
			continue;
		}
		gone[i] = change = true;
		if (lo > m.gpa)
			next[n++] = (struct vm_mapping){ .gpa = m.gpa, .len = lo - m.gpa, .segoff = m.segoff, .segid = m.segid,
			    .prot = m.prot, .slot = -1 };
		if (prot >= 0)
			next[n++] = (struct vm_mapping){ .gpa = lo, .len = hi - lo, .segoff = m.segoff + (lo - m.gpa),
			    .segid = m.segid, .prot = prot, .slot = -1 };
		if (hi < mend)
			next[n++] = (struct vm_mapping){ .gpa = hi, .len = mend - hi, .segoff = m.segoff + (hi - m.gpa),
			    .segid = m.segid, .prot = m.prot, .slot = -1 };
	}
	if (at != end) {
		free(next);
		error = vm_fail(ENOENT, "vm '%s': nothing is mapped at 0x%jx", vm->name, (uintmax_t)at);
	} else if (!change) {
		free(next);
		error = 0;
	} else
		error = map_switch(vm, next, n, gone);
	free(gone);
	return (error);
}

int
vm_munmap_memseg(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	int error;

	if (range_check(ctx, gpa, len) != 0)
		return (-1);
	pthread_mutex_lock(&ctx->lock);
	error = map_cut(ctx, gpa, len, -1);
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

int
vm_mprotect_memseg(struct vmctx *ctx, vm_paddr_t gpa, size_t len, int prot)
{
	int error;

	if (range_check(ctx, gpa, len) != 0)
		return (-1);
	if ((prot & ~VM_PROT_ALL) != 0 || (prot & VM_PROT_READ) == 0)
		return (vm_fail(EINVAL, "vm '%s': 0x%x is no protection of mapped memory", ctx->name, (unsigned)prot));
	pthread_mutex_lock(&ctx->lock);
	error = map_cut(ctx, gpa, len, prot);
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

int
vm_mmap_getnext(struct vmctx *ctx, vm_paddr_t *gpa, int *segid, vm_ooffset_t *segoff, size_t *len, int *prot, int *flags)
{
	const struct vm_mapping *m;
	unsigned i;
	int error = 0;

	if (ctx == NULL || gpa == NULL || segid == NULL || segoff == NULL || len == NULL || prot == NULL || flags == NULL)
		return (vm_fail(EINVAL, "memory map: a NULL argument"));
	pthread_rwlock_rdlock(&ctx->map_lock);
	for (i = map_index(ctx, *gpa); i < ctx->nmaps && ctx->maps[i].gpa < *gpa; i++)
		continue;
	if (i == ctx->nmaps)
		error = vm_fail(ENOENT, "vm '%s': no mapping at or above 0x%jx", ctx->name, (uintmax_t)*gpa);
	else {
		m = &ctx->maps[i];
		*gpa = m->gpa;
		*segid = m->segid;
		*segoff = (vm_ooffset_t)m->segoff;
		*len = m->len;
		*prot = m->prot;
		*flags = 0;
	}
	pthread_rwlock_unlock(&ctx->map_lock);
	return (error);
}
