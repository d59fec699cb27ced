/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - memory segments, the guest-physical map, and how devices reach RAM.
 *
 * All segments lie in one file (vm->memfd), so that a named VM needs no path for a new one.  RAM is mapped at vm->base + gpa in one
 * reserved host range with guards, as loaders expect.  The map changes only while no vCPU is in guest code (vm_stop_vcpus()); threads
 * outside hold map_lock for reading.  RAM itself never moves while the VM runs and is found without a lock.
 */
#include <sys/mman.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rundir.h"

#define	GUARD		(UINT64_C(4) << 20)	/* unmapped host bytes around RAM */
#define	SEG_ALIGN	(UINT64_C(2) << 20)	/* of segments in the file: huge pages */

static bool
aligned(uint64_t v)
{
	return ((v & (VM_PAGE_SIZE - 1)) == 0);
}

int
vm_parse_memsize(const char *arg, size_t *size)
{
	unsigned long long n;
	unsigned shift = 0;
	char *end;

	if (arg == NULL || size == NULL)
		return (vm_fail(EINVAL, "memory size: a NULL argument"));
	if (!isdigit((unsigned char)arg[0]))
		return (vm_fail(EINVAL, "memory size '%s': a number is expected, with K, M, G or T behind it if need be", arg));
	errno = 0;
	n = strtoull(arg, &end, 0);
	if (errno == ERANGE)
		return (vm_fail(ERANGE, "memory size '%s': too large", arg));
	switch (*end) {
	case '\0':
		/* Bare numbers below 1 MiB mean MiB, as bhyve has it. */
		shift = n < (1U << 20) ? 20 : 0;
		break;
	case 'k': case 'K':
		shift = 10;
		break;
	case 'm': case 'M':
		shift = 20;
		break;
	case 'g': case 'G':
		shift = 30;
		break;
	case 't': case 'T':
		shift = 40;
		break;
	default:
		return (vm_fail(EINVAL, "memory size '%s': '%s' is no unit (K, M, G or T)", arg, end));
	}
	if (*end != '\0' && (end[1] == 'b' || end[1] == 'B'))
		end++;
	if (*end != '\0' && end[1] != '\0')
		return (vm_fail(EINVAL, "memory size '%s': '%s' follows the unit", arg, end + 1));
	if (n > (SIZE_MAX >> shift))
		return (vm_fail(ERANGE, "memory size '%s': too large", arg));
	*size = (size_t)(n << shift);
	return (0);
}

/* Layouts. */

static int
layout_ranges(const char *what, vm_paddr_t maxpa, uint32_t n, const vm_paddr_t *base, const vm_paddr_t *limit,
    size_t stride)
{
	vm_paddr_t last = 0;

	if (n > VM_LAYOUT_MAX)
		return (vm_fail(EINVAL, "layout: %u %s ranges, at most %d are possible", n, what, VM_LAYOUT_MAX));
	for (uint32_t i = 0; i < n; i++) {
		vm_paddr_t b = *(const vm_paddr_t *)(const void *)((const char *)base + i * stride);
		vm_paddr_t l = *(const vm_paddr_t *)(const void *)((const char *)limit + i * stride);

		if (!aligned(b | l) || b >= l)
			return (vm_fail(EINVAL, "layout: %s range %u (0x%jx to 0x%jx) is empty or not page-aligned", what, i,
			    (uintmax_t)b, (uintmax_t)l));
		if (b < last || l > maxpa)
			return (vm_fail(EINVAL, "layout: %s range %u (0x%jx to 0x%jx) is out of order, overlaps or leaves the address space",
			    what, i, (uintmax_t)b, (uintmax_t)l));
		last = l;
	}
	return (0);
}

int
layout_check(const struct md_ops *md, const struct vm_layout *l)
{
	if (l->nram == 0)
		return (vm_fail(EINVAL, "layout: there is no RAM range"));
	if (layout_ranges("RAM", md->maxpa, l->nram, &l->ram[0].base, &l->ram[0].limit, sizeof(l->ram[0])) != 0 ||
	    layout_ranges("device", md->maxpa, l->nhole, &l->hole[0].base, &l->hole[0].limit, sizeof(l->hole[0])) != 0)
		return (-1);
	for (uint32_t i = 0; i < l->nram; i++) {
		for (uint32_t j = 0; j < l->nhole; j++) {
			if (l->ram[i].base < l->hole[j].limit && l->hole[j].base < l->ram[i].limit)
				return (vm_fail(EINVAL, "layout: RAM range %u overlaps device range %u", i, j));
		}
	}
	return (0);
}

int
vm_set_layout(struct vmctx *ctx, const struct vm_layout *layout)
{
	int error = 0;

	if (ctx == NULL || layout == NULL)
		return (vm_fail(EINVAL, "layout: a NULL argument"));
	if (layout_check(ctx->md, layout) != 0)
		return (-1);
	pthread_mutex_lock(&ctx->lock);
	if (ctx->nmaps > 0 || ctx->segs[VM_SYSMEM].len > 0)
		error = vm_fail(EBUSY, "vm '%s': the layout cannot change once there is memory", ctx->name);
	else {
		ctx->layout = *layout;
		ctx->layout.name[sizeof(ctx->layout.name) - 1] = '\0';
		rundir_put_memory(ctx);
	}
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

int
vm_get_layout(struct vmctx *ctx, struct vm_layout *layout)
{
	if (ctx == NULL || layout == NULL)
		return (vm_fail(EINVAL, "layout: a NULL argument"));
	*layout = ctx->layout;
	return (0);
}

/* Segments. */

static int
seg_map(struct vmctx *vm, struct memseg *seg)
{
	seg->host = mmap(NULL, seg->len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, vm->memfd, seg->offset);
	if (seg->host == MAP_FAILED) {
		seg->host = NULL;
		return (vm_fail_sys(errno, "vm '%s': segment '%s' cannot be mapped", vm->name, seg->name));
	}
	seg->view = seg->host;
	if ((vm->flags & VM_SPEC_CHECK_WRITES) != 0) {
		seg->view = mmap(NULL, seg->len, PROT_READ, MAP_SHARED | MAP_NORESERVE, vm->memfd, seg->offset);
		if (seg->view == MAP_FAILED) {
			seg->view = seg->host;
			return (vm_fail_sys(errno, "vm '%s': segment '%s' cannot be mapped", vm->name, seg->name));
		}
	}
	return (dirty_seg_init(vm, seg));
}

static int
seg_create(struct vmctx *vm, int segid, const char *name, size_t len)
{
	struct memseg *seg = &vm->segs[segid];
	off_t offset = (off_t)(((uint64_t)vm->memend + SEG_ALIGN - 1) & ~(SEG_ALIGN - 1));
	int error = 0;

	if (len > (uint64_t)INT64_MAX - (uint64_t)offset)
		return (vm_fail(EINVAL, "vm '%s': a segment of 0x%zx bytes is too large", vm->name, len));
	if (ftruncate(vm->memfd, offset + (off_t)len) != 0)
		error = errno;
	else if (!vm->rd->anon)
		error = posix_fallocate(vm->memfd, offset, (off_t)len);
	if (error != 0) {
		(void)ftruncate(vm->memfd, vm->memend);
		return (vm_fail(error, "vm '%s': no room for %zu MiB of memory: %s", vm->name, len >> 20, strerror(error)));
	}
	seg->len = len;
	seg->offset = offset;
	(void)snprintf(seg->name, sizeof(seg->name), "%s", name);
	vm->memend = offset + (off_t)len;
	return (seg_map(vm, seg));
}

static void
seg_unmap(struct memseg *seg)
{
	if (seg->view != NULL && seg->view != seg->host)
		(void)munmap(seg->view, seg->len);
	if (seg->host != NULL)
		(void)munmap(seg->host, seg->len);
	free(seg->dirty);
	memset(seg, 0, sizeof(*seg));
}

static bool
is_sysmem(int segid)
{
	return (segid >= VM_SYSMEM && segid < VM_SYSMEM + VM_MAXSYSMEM);
}

void *
vm_create_devmem(struct vmctx *ctx, int segid, const char *name, size_t len)
{
	struct memseg *seg;
	void *host = MAP_FAILED;

	if (ctx == NULL || name == NULL) {
		(void)vm_fail(EINVAL, "device memory: a NULL argument");
		return (MAP_FAILED);
	}
	if (segid < 0 || segid >= VM_MAX_MEMSEGS || is_sysmem(segid)) {
		(void)vm_fail(EINVAL, "vm '%s': %d is no segment of device memory", ctx->name, segid);
		return (MAP_FAILED);
	}
	if (len == 0 || !aligned(len) || strlen(name) > VM_MAX_SEGNAME) {
		(void)vm_fail(EINVAL, "vm '%s': device memory '%.31s' of %zu bytes: the length must be a multiple of %d and the name at most %d bytes",
		    ctx->name, name, len, VM_PAGE_SIZE, VM_MAX_SEGNAME);
		return (MAP_FAILED);
	}
	pthread_mutex_lock(&ctx->lock);
	seg = &ctx->segs[segid];
	if (seg->len != 0) {
		if (seg->len == len && strcmp(seg->name, name) == 0)
			host = seg->host;
		else
			(void)vm_fail(EEXIST, "vm '%s': segment %d exists as '%s' with %zu bytes", ctx->name, segid, seg->name,
			    seg->len);
	} else if (seg_create(ctx, segid, name, len) == 0) {
		host = seg->host;
		rundir_put_memory(ctx);
	} else
		seg_unmap(seg);
	pthread_mutex_unlock(&ctx->lock);
	return (host);
}

int
vm_get_memseg(struct vmctx *ctx, int segid, size_t *len, char *name, size_t namesize)
{
	int error = 0;

	if (ctx == NULL || len == NULL || segid < 0 || segid >= VM_MAX_MEMSEGS)
		return (vm_fail(EINVAL, "memory segment %d: a NULL argument, or there is no such number", segid));
	pthread_mutex_lock(&ctx->lock);
	*len = ctx->segs[segid].len;
	if (name != NULL && namesize <= strlen(ctx->segs[segid].name))
		error = vm_fail(ENAMETOOLONG, "memory segment %d: no room for its name '%s'", segid,
		    ctx->segs[segid].name);
	else if (name != NULL)
		memcpy(name, ctx->segs[segid].name, strlen(ctx->segs[segid].name) + 1);
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

/* RAM. */

/* The RAM range that holds all of [gpa, gpa + len). */
static const struct ram_range *
ram_find(struct vmctx *vm, vm_paddr_t gpa, size_t len)
{
	for (unsigned i = 0; i < vm->nram; i++) {
		const struct ram_range *r = &vm->ram[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->len && len <= r->len - (gpa - r->gpa))
			return (r);
	}
	return (NULL);
}

/* Lay the RAM segment out over the layout's ranges into vm->ram[].  Returns what did not fit. */
static size_t
ram_plan(struct vmctx *vm, struct memseg *seg, size_t len)
{
	size_t left = len;

	vm->nram = 0;
	for (uint32_t i = 0; i < vm->layout.nram && left > 0; i++) {
		vm_paddr_t base = vm->layout.ram[i].base;
		size_t n = vm->layout.ram[i].limit - base;

		if (n > left)
			n = left;
		if (vm->nram > 0 && vm->ram[vm->nram - 1].gpa + vm->ram[vm->nram - 1].len == base)
			vm->ram[vm->nram - 1].len += n;		/* adjacent ranges are one */
		else
			vm->ram[vm->nram++] = (struct ram_range){ .gpa = base, .len = n, .segoff = len - left, .seg = seg };
		left -= n;
	}
	return (left);
}

/* Put one view of all RAM into a reserved host range with guards. */
static uint8_t *
ram_view(struct vmctx *vm, size_t span, int prot)
{
	uint8_t *guard = mmap(NULL, span + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (guard == MAP_FAILED)
		return (vm_fail_null(errno, "vm '%s': no room for %zu MiB of addresses", vm->name, span >> 20));
	for (unsigned i = 0; i < vm->nram; i++) {
		const struct ram_range *r = &vm->ram[i];
		void *p = mmap(guard + GUARD + r->gpa, r->len, prot, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, vm->memfd,
		    r->seg->offset + (off_t)r->segoff);

		if (p == MAP_FAILED) {
			int error = errno;

			(void)munmap(guard, span + 2 * GUARD);
			return (vm_fail_null(error, "vm '%s': RAM cannot be mapped: %s", vm->name, strerror(error)));
		}
		if ((vm->memflags & VM_MEM_F_INCORE) == 0)
			(void)madvise(p, r->len, MADV_DONTDUMP);
		(void)madvise(p, r->len, MADV_HUGEPAGE);
		if ((vm->memflags & VM_MEM_F_WIRED) != 0 && (prot & PROT_WRITE) != 0 && mlock(p, r->len) != 0) {
			int error = errno;

			(void)munmap(guard, span + 2 * GUARD);
			return (vm_fail_null(error, "vm '%s': RAM cannot be wired: %s (see ulimit -l)", vm->name,
			    strerror(error)));
		}
	}
	return (guard + GUARD);
}

static int
ram_map(struct vmctx *vm)
{
	const struct ram_range *last = &vm->ram[vm->nram - 1];

	vm->span = last->gpa + last->len;
	vm->base = ram_view(vm, vm->span, PROT_READ | PROT_WRITE);
	if (vm->base == NULL)
		return (-1);
	vm->rbase = vm->base;
	if ((vm->flags & VM_SPEC_CHECK_WRITES) != 0) {
		vm->rbase = ram_view(vm, vm->span, PROT_READ);
		if (vm->rbase == NULL) {
			vm->rbase = vm->base;
			return (-1);
		}
	}
	return (0);
}

static void
ram_unmap(struct vmctx *vm)
{
	if (vm->rbase != NULL && vm->rbase != vm->base)
		(void)munmap(vm->rbase - GUARD, vm->span + 2 * GUARD);
	if (vm->base != NULL)
		(void)munmap(vm->base - GUARD, vm->span + 2 * GUARD);
	vm->base = vm->rbase = NULL;
	vm->span = 0;
	vm->nram = 0;
}

/* Host address of a mapping: RAM at home is reached through the reserved range, which loaders and devices use too. */
static uint8_t *
mapping_host(struct vmctx *vm, const struct vm_mapping *m)
{
	const struct ram_range *r = ram_find(vm, m->gpa, m->len);

	if (r != NULL && r->seg == &vm->segs[m->segid] && r->segoff + (m->gpa - r->gpa) == m->segoff)
		return (vm->base + m->gpa);
	return (vm->segs[m->segid].host + m->segoff);
}

int
vm_setup_memory(struct vmctx *ctx, size_t len, enum vm_mmap_style style)
{
	struct memseg *seg;
	size_t left;
	int error = -1;

	if (ctx == NULL)
		return (vm_fail(EINVAL, "memory: the VM handle is NULL"));
	if (style != VM_MMAP_ALL)
		return (vm_fail(ENOTSUP, "vm '%s': RAM can only be mapped whole (VM_MMAP_ALL)", ctx->name));
	if (len == 0 || !aligned(len))
		return (vm_fail(EINVAL, "vm '%s': %zu bytes of RAM: must be a multiple of %d", ctx->name, len, VM_PAGE_SIZE));
	pthread_mutex_lock(&ctx->lock);
	seg = &ctx->segs[VM_SYSMEM];
	if (seg->len != 0) {
		error = 0;			/* a loader made it: its length wins */
		goto out;
	}
	if (ctx->accel != NULL) {
		error = vm_fail(EBUSY, "vm '%s': RAM must be set up before the VM starts", ctx->name);
		goto out;
	}
	left = ram_plan(ctx, seg, len);
	if (left > 0) {
		ctx->nram = 0;
		error = vm_fail(EINVAL, "vm '%s': %zu MiB of RAM are %zu MiB more than layout '%s' has room for", ctx->name,
		    len >> 20, left >> 20, ctx->layout.name);
		goto out;
	}
	for (unsigned i = 0; i < ctx->nmaps; i++) {
		for (unsigned j = 0; j < ctx->nram; j++) {
			if (ctx->maps[i].gpa < ctx->ram[j].gpa + ctx->ram[j].len &&
			    ctx->ram[j].gpa < ctx->maps[i].gpa + ctx->maps[i].len) {
				ctx->nram = 0;
				error = vm_fail(EEXIST, "vm '%s': device memory is mapped where RAM would be", ctx->name);
				goto out;
			}
		}
	}
	if (seg_create(ctx, VM_SYSMEM, "sysmem", len) == 0 && ram_map(ctx) == 0) {
		error = 0;
		for (unsigned i = 0; i < ctx->nram && error == 0; i++)
			error = vm_mmap_memseg(ctx, ctx->ram[i].gpa, VM_SYSMEM, (vm_ooffset_t)ctx->ram[i].segoff,
			    ctx->ram[i].len, VM_PROT_ALL);
	}
	if (error != 0) {
		while (ctx->nmaps > 0 && ctx->maps[ctx->nmaps - 1].segid == VM_SYSMEM)
			ctx->nmaps--;
		ram_unmap(ctx);
		if (seg->len != 0) {
			off_t offset = seg->offset;

			seg_unmap(seg);
			ctx->memend = offset;
			(void)ftruncate(ctx->memfd, offset);
		}
	}
	rundir_put_memory(ctx);
out:
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

int
mem_adopt(struct vmctx *vm)
{
	struct memseg *sys = &vm->segs[VM_SYSMEM];

	if (rundir_get_memory(vm) != 0)
		return (-1);
	for (int i = 0; i < VM_MAX_MEMSEGS; i++) {
		if (vm->segs[i].len != 0 && seg_map(vm, &vm->segs[i]) != 0)
			return (-1);
	}
	if (sys->len != 0) {
		if (ram_plan(vm, sys, sys->len) > 0)
			return (vm_fail(EILSEQ, "vm '%s': its RAM does not fit its layout; destroy it", vm->name));
		if (ram_map(vm) != 0)
			return (-1);
	}
	for (unsigned i = 0; i < vm->nmaps; i++)
		vm->maps[i].host = mapping_host(vm, &vm->maps[i]);
	return (0);
}

void *
vm_map_gpa(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "memory: the VM handle is NULL"));
	if (ram_find(ctx, gpa, len) == NULL)
		return (vm_fail_null(EFAULT, "vm '%s': 0x%jx to 0x%jx is not all RAM", ctx->name, (uintmax_t)gpa,
		    (uintmax_t)gpa + len));
	return (ctx->base + gpa);
}

const void *
vm_map_read(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	const uint8_t *p = vm_map_gpa(ctx, gpa, len);

	return (p == NULL ? NULL : ctx->rbase + (p - ctx->base));
}

vm_paddr_t
vm_rev_map_gpa(struct vmctx *ctx, const void *addr)
{
	const uint8_t *p = addr;

	if (ctx == NULL || ctx->base == NULL)
		return ((vm_paddr_t)-1);
	for (int i = 0; i < 2; i++) {
		const uint8_t *base = i == 0 ? ctx->base : ctx->rbase;

		if (p >= base && p < base + ctx->span && ram_find(ctx, (vm_paddr_t)(p - base), 1) != NULL)
			return ((vm_paddr_t)(p - base));
	}
	return ((vm_paddr_t)-1);
}

#define	FOURGB	(UINT64_C(1) << 32)

/* The RAM range below 4 GiB that bhyve calls low memory: only one that starts at 0 counts (on arm64 there is none). */
uint32_t
vm_get_lowmem_limit(struct vmctx *ctx)
{
	if (ctx == NULL || ctx->layout.nram == 0 || ctx->layout.ram[0].base != 0 || ctx->layout.ram[0].limit >= FOURGB)
		return (0);
	return ((uint32_t)ctx->layout.ram[0].limit);
}

size_t
vm_get_lowmem_size(struct vmctx *ctx)
{
	return (vm_get_lowmem_limit(ctx) != 0 && ctx->nram > 0 ? ctx->ram[0].len : 0);
}

vm_paddr_t
vm_get_highmem_base(struct vmctx *ctx)
{
	unsigned first;

	if (ctx == NULL)
		return (0);
	first = vm_get_lowmem_limit(ctx) != 0 ? 1 : 0;
	return (first < ctx->layout.nram ? ctx->layout.ram[first].base : 0);
}

size_t
vm_get_highmem_size(struct vmctx *ctx)
{
	size_t sum = 0;

	if (ctx == NULL)
		return (0);
	for (unsigned i = vm_get_lowmem_limit(ctx) != 0 ? 1 : 0; i < ctx->nram; i++)
		sum += ctx->ram[i].len;
	return (sum);
}

void
vm_set_memflags(struct vmctx *ctx, int flags)
{
	if (ctx == NULL)
		return;
	pthread_mutex_lock(&ctx->lock);
	ctx->memflags = flags & (VM_MEM_F_INCORE | VM_MEM_F_WIRED);
	rundir_put_memory(ctx);
	pthread_mutex_unlock(&ctx->lock);
}

int
vm_get_memflags(struct vmctx *ctx)
{
	return (ctx == NULL ? 0 : ctx->memflags);
}

/* The guest-physical map. */

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
	if (len == 0 || !aligned(gpa | len) || gpa > ctx->md->maxpa || len > ctx->md->maxpa - gpa)
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
	if (segid < 0 || segid >= VM_MAX_MEMSEGS || segoff < 0 || !aligned((uint64_t)segoff) || (prot & ~VM_PROT_ALL) != 0 ||
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

/* Devices. */

void *
vm_write_begin(struct vmctx *ctx, vm_paddr_t gpa, size_t len, struct vm_wsec *ws)
{
	const struct ram_range *r;

	if (ctx == NULL || ws == NULL || len == 0)
		return (vm_fail_null(EINVAL, "write section: a NULL argument, or no length"));
	memset(ws, 0, sizeof(*ws));
	r = ram_find(ctx, gpa, len);
	if (r == NULL)
		return (vm_fail_null(EFAULT, "vm '%s': 0x%jx to 0x%jx is not all RAM", ctx->name, (uintmax_t)gpa,
		    (uintmax_t)gpa + len));
	ws->ctx = ctx;
	ws->gpa = gpa;
	ws->len = len;
	ws->host = ctx->base + gpa;
	if ((ctx->flags & VM_SPEC_CHECK_WRITES) != 0) {
		/* A mapping of the section's own, so that a store after the commit faults. */
		vm_paddr_t start = gpa & ~(vm_paddr_t)(VM_PAGE_SIZE - 1);

		ws->viewlen = (gpa - start + len + VM_PAGE_SIZE - 1) & ~(size_t)(VM_PAGE_SIZE - 1);
		ws->view = mmap(NULL, ws->viewlen, PROT_READ | PROT_WRITE, MAP_SHARED, ctx->memfd,
		    r->seg->offset + (off_t)(r->segoff + (start - r->gpa)));
		if (ws->view == MAP_FAILED) {
			ws->ctx = NULL;
			return (vm_fail_null(ENOMEM, "vm '%s': no view for a write section", ctx->name));
		}
		ws->host = (uint8_t *)ws->view + (gpa - start);
	}
	return (ws->host);
}

static void
wsec_end(struct vm_wsec *ws)
{
	if (ws->view != NULL)
		(void)munmap(ws->view, ws->viewlen);
	memset(ws, 0, sizeof(*ws));
}

void
vm_write_commit(struct vm_wsec *ws)
{
	const struct ram_range *r;

	if (ws == NULL || ws->ctx == NULL)
		return;
	r = ram_find(ws->ctx, ws->gpa, ws->len);
	if (r != NULL)
		dirty_mark_seg(ws->ctx, r->seg, r->segoff + (ws->gpa - r->gpa), ws->len);
	wsec_end(ws);
}

void
vm_write_cancel(struct vm_wsec *ws)
{
	if (ws != NULL && ws->ctx != NULL)
		wsec_end(ws);
}

int
vm_gpa_read(struct vmctx *ctx, vm_paddr_t gpa, void *buf, size_t len)
{
	const void *p;

	if (buf == NULL && len > 0)
		return (vm_fail(EINVAL, "memory: the buffer is NULL"));
	p = vm_map_read(ctx, gpa, len);
	if (p == NULL)
		return (-1);
	memcpy(buf, p, len);
	return (0);
}

int
vm_gpa_write(struct vmctx *ctx, vm_paddr_t gpa, const void *buf, size_t len)
{
	struct vm_wsec ws;

	if (buf == NULL)
		return (vm_fail(EINVAL, "memory: the buffer is NULL"));
	if (len == 0)
		return (vm_map_read(ctx, gpa, 0) == NULL ? -1 : 0);
	if (vm_write_begin(ctx, gpa, len, &ws) == NULL)
		return (-1);
	memcpy(ws.host, buf, len);
	vm_write_commit(&ws);
	return (0);
}

int
vm_dirty_mark(struct vmctx *ctx, vm_paddr_t gpa, size_t len)
{
	int error = 0;

	if (ctx == NULL || len == 0 || gpa + len < gpa)
		return (vm_fail(EINVAL, "dirty pages: a NULL handle, no length or a range that wraps"));
	pthread_rwlock_rdlock(&ctx->map_lock);
	while (len > 0) {
		const struct vm_mapping *m = mem_lookup(ctx, gpa);
		size_t n;

		if (m == NULL) {
			error = vm_fail(EFAULT, "vm '%s': nothing is mapped at 0x%jx", ctx->name, (uintmax_t)gpa);
			break;
		}
		n = m->len - (gpa - m->gpa);
		if (n > len)
			n = len;
		dirty_mark_seg(ctx, &ctx->segs[m->segid], m->segoff + (gpa - m->gpa), n);
		gpa += n;
		len -= n;
	}
	pthread_rwlock_unlock(&ctx->map_lock);
	return (error);
}

/* Life. */

int
mem_init(struct vmctx *vm)
{
#ifdef HYVE_CHECK_WRITES
	vm->flags |= VM_SPEC_CHECK_WRITES;
#endif
	vm->layout = vm->rd->hdr->layout;
	vm->counter_hz = vm->md->counter_hz;
	vm->sockets = vm->cores = vm->threads = 1;
	return (pthread_rwlock_init(&vm->map_lock, NULL) == 0 ? 0 : vm_fail_sys(ENOMEM, "vm"));
}

static void
mem_clear(struct vmctx *vm)
{
	ram_unmap(vm);
	free(vm->maps);
	vm->maps = NULL;
	vm->nmaps = 0;
	for (int i = 0; i < VM_MAX_MEMSEGS; i++) {
		if (vm->segs[i].len != 0)
			seg_unmap(&vm->segs[i]);
	}
	vm->memend = 0;
}

void
mem_fini(struct vmctx *vm)
{
	mem_clear(vm);
	pthread_rwlock_destroy(&vm->map_lock);
}

int
mem_reinit(struct vmctx *vm)
{
	mem_clear(vm);
	atomic_fetch_add(&vm->map_gen, 1);
	vm->layout = *vm->md->layout;
	vm->memflags = 0;
	rundir_put_memory(vm);
	return (ftruncate(vm->memfd, 0) == 0 ? 0 : vm_fail_sys(errno, "vm '%s': memory file", vm->name));
}
