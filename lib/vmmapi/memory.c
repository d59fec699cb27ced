/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * memory.c - memory segments and RAM.
 *
 * All segments lie in one file (vm->memfd), so that a named VM needs no path for a new one.  RAM is mapped at vm->base + gpa in one
 * reserved host range with guards, as loaders expect.  RAM never moves while the VM runs and is found without a lock.
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

/* Segments. */

static bool
is_huge(const struct vmctx *vm, const struct memseg *seg)
{
	return (vm->hugefd >= 0 && seg == &vm->segs[VM_SYSMEM]);
}

/* Map a part of a segment.  Pages of hugetlb are reserved by it, so that there are enough when they are touched. */
static void *
seg_mmap(struct vmctx *vm, const struct memseg *seg, void *at, size_t off, size_t len, int prot)
{
	bool huge = is_huge(vm, seg);

	return (mmap(at, len, prot, MAP_SHARED | (at != NULL ? MAP_FIXED : 0) | (huge ? 0 : MAP_NORESERVE), huge ? vm->hugefd : vm->memfd,
	    seg->offset + (off_t)off));
}

static int
seg_map(struct vmctx *vm, struct memseg *seg)
{
	seg->host = seg_mmap(vm, seg, NULL, 0, seg->len, PROT_READ | PROT_WRITE);
	if (seg->host == MAP_FAILED) {
		seg->host = NULL;
		if (is_huge(vm, seg))
			return (huge_none(vm, errno));
		return (vm_fail_sys(errno, "vm '%s': segment '%s' cannot be mapped", vm->name, seg->name));
	}
	seg->view = seg->host;
	if ((vm->flags & VM_SPEC_CHECK_WRITES) != 0) {
		seg->view = seg_mmap(vm, seg, NULL, 0, seg->len, PROT_READ);
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

	if (segid == VM_SYSMEM && huge_size(vm) != 0) {
		if (huge_create(vm, len) != 0)
			return (-1);
		seg->len = len;
		seg->offset = 0;
		(void)snprintf(seg->name, sizeof(seg->name), "%s", name);
		return (seg_map(vm, seg));
	}
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
	if (len == 0 || !page_aligned(len) || strlen(name) > VM_MAX_SEGNAME) {
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
const struct ram_range *
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

/* A range of host addresses with guards whose RAM is aligned as the guest's, so that page tables of the host and of kvm can have huge pages. */
static uint8_t *
ram_reserve(size_t span, size_t align)
{
	size_t len = span + 2 * GUARD + align;
	uint8_t *p = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	size_t before, after;

	if (p == MAP_FAILED)
		return (NULL);
	before = (align - (((uintptr_t)p + GUARD) & (align - 1))) & (align - 1);
	after = align - before;
	if (before != 0)
		(void)munmap(p, before);
	if (after != 0)
		(void)munmap(p + before + span + 2 * GUARD, after);
	return (p + before);
}

/* Put one view of all RAM into a reserved host range with guards. */
static uint8_t *
ram_view(struct vmctx *vm, size_t span, int prot)
{
	size_t huge = huge_size(vm);
	uint8_t *guard = ram_reserve(span, huge > SEG_ALIGN ? huge : SEG_ALIGN);

	if (guard == NULL)
		return (vm_fail_null(errno, "vm '%s': no room for %zu MiB of addresses", vm->name, span >> 20));
	for (unsigned i = 0; i < vm->nram; i++) {
		const struct ram_range *r = &vm->ram[i];
		void *p = seg_mmap(vm, r->seg, guard + GUARD + r->gpa, r->segoff, r->len, prot);

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
	if (len == 0 || !page_aligned(len))
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
			off_t offset = is_huge(ctx, seg) ? ctx->memend : seg->offset;

			seg_unmap(seg);
			ctx->memend = offset;
			(void)ftruncate(ctx->memfd, offset);
		}
		huge_close(ctx);
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

void
vm_set_memflags(struct vmctx *ctx, int flags)
{
	if (ctx == NULL)
		return;
	pthread_mutex_lock(&ctx->lock);
	ctx->memflags = flags & (VM_MEM_F_INCORE | VM_MEM_F_WIRED | VM_MEM_F_HUGE_2M | VM_MEM_F_HUGE_1G);
	rundir_put_memory(ctx);
	pthread_mutex_unlock(&ctx->lock);
}

int
vm_get_memflags(struct vmctx *ctx)
{
	return (ctx == NULL ? 0 : ctx->memflags);
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
	huge_close(vm);
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
