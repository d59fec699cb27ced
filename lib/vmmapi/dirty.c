/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dirty.c - which pages were written.
 *
 * Each segment has one bitmap that every writer ORs into, after its last store (devices) or within the instruction (CPUs).  A
 * fetch moves it into the bitmaps of all consumers, waits until every vCPU has passed an event check, and hands one consumer's bits
 * out.  Why that is enough: a CPU marks a page and stores to it between two event checks.  If its mark came before the move, the
 * page is in this fetch, and the store is over before the fetch returns.  If it came after, the page is in the next one.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define	PAGE_BITS	12
#define	WORDS(npages)	(((npages) + 63) / 64)

struct vm_dirty {
	struct vmctx	*vm;
	struct vm_dirty	*next;
	uint64_t	*bits[VM_MAX_MEMSEGS];		/* under dirty_lock */
};

static size_t
seg_pages(const struct memseg *seg)
{
	return (seg->len >> PAGE_BITS);
}

int
dirty_init(struct vmctx *vm)
{
	pthread_mutex_init(&vm->dirty_lock, NULL);
	return (0);
}

void
dirty_fini(struct vmctx *vm)
{
	while (vm->consumers != NULL)
		vm_dirty_close(vm->consumers);
	pthread_mutex_destroy(&vm->dirty_lock);
}

static int
seg_bits(struct vmctx *vm, struct memseg *seg)
{
	int id = (int)(seg - vm->segs);

	if (seg->dirty == NULL) {
		seg->dirty = calloc(WORDS(seg_pages(seg)), sizeof(*seg->dirty));
		if (seg->dirty == NULL)
			return (-1);
	}
	for (struct vm_dirty *d = vm->consumers; d != NULL; d = d->next) {
		if (d->bits[id] == NULL)
			d->bits[id] = calloc(WORDS(seg_pages(seg)), sizeof(uint64_t));
		if (d->bits[id] == NULL)
			return (-1);
	}
	return (0);
}

/* A segment appeared. */
int
dirty_seg_init(struct vmctx *vm, struct memseg *seg)
{
	int error;

	pthread_mutex_lock(&vm->dirty_lock);
	/* The bitmap exists from the start, so that markers never race with its birth. */
	error = seg_bits(vm, seg);
	pthread_mutex_unlock(&vm->dirty_lock);
	return (error == 0 ? 0 : vm_fail_sys(ENOMEM, "vm '%s': dirty bitmap", vm->name));
}

void
dirty_mark_seg(struct vmctx *vm, struct memseg *seg, size_t off, size_t len)
{
	size_t first, last;

	if (atomic_load(&vm->dirty_users) == 0 || seg->dirty == NULL || len == 0)
		return;
	first = off >> PAGE_BITS;
	last = (off + len - 1) >> PAGE_BITS;
	if (last >= seg_pages(seg))
		return;
	for (size_t p = first; p <= last;) {
		unsigned bit = p & 63, n = 64 - bit;
		uint64_t mask;

		if (n > last - p + 1)
			n = (unsigned)(last - p + 1);
		mask = (n == 64 ? UINT64_MAX : (UINT64_C(1) << n) - 1) << bit;
		/* Most marks repeat one: look before taking the cache line. */
		if ((atomic_load_explicit(&seg->dirty[p / 64], memory_order_acquire) & mask) != mask)
			atomic_fetch_or(&seg->dirty[p / 64], mask);
		p += n;
	}
}

/*
 * The store must be visible before the bitmap is looked at: else a fetch between the two could take a bit that was set before, read the
 * page without the store, and nobody would mark it again.
 */
void
dirty_commit_seg(struct vmctx *vm, struct memseg *seg, size_t off, size_t len)
{
	const struct accel_ops *accel = vm->accel;

	atomic_thread_fence(memory_order_seq_cst);
	dirty_mark_seg(vm, seg, off, len);
	if (accel != NULL && accel->mem_written != NULL && len != 0)
		accel->mem_written(vm, (int)(seg - vm->segs), off, len);
}

void
vm_dirty_or(struct vmctx *vm, struct memseg *seg, size_t segoff, const uint64_t *bits, size_t npages)
{
	size_t base = segoff >> PAGE_BITS;

	if (seg->dirty == NULL)
		return;
	for (size_t i = 0; i < npages; i += 64) {
		uint64_t w = bits[i / 64];
		unsigned sh = (unsigned)((base + i) & 63);

		if (npages - i < 64)
			w &= (UINT64_C(1) << (npages - i)) - 1;
		if (w == 0)
			continue;
		atomic_fetch_or(&seg->dirty[(base + i) / 64], w << sh);
		if (sh != 0 && (w >> (64 - sh)) != 0)
			atomic_fetch_or(&seg->dirty[(base + i) / 64 + 1], w >> (64 - sh));
	}
}

struct vm_dirty *
vm_dirty_open(struct vmctx *ctx)
{
	struct vm_dirty *d;
	int error = 0;

	if (ctx == NULL)
		return (vm_fail_null(EINVAL, "dirty pages: the VM handle is NULL"));
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return (vm_fail_null(ENOMEM, "vm '%s': dirty bitmap: no memory", ctx->name));
	d->vm = ctx;
	pthread_mutex_lock(&ctx->lock);
	pthread_mutex_lock(&ctx->dirty_lock);
	d->next = ctx->consumers;
	ctx->consumers = d;
	for (int i = 0; i < VM_MAX_MEMSEGS && error == 0; i++) {
		if (ctx->segs[i].len != 0)
			error = seg_bits(ctx, &ctx->segs[i]);
	}
	if (error == 0 && atomic_load(&ctx->dirty_users) == 0) {
		/* Marks of an earlier consumer's time are nobody's. */
		for (int i = 0; i < VM_MAX_MEMSEGS; i++) {
			for (size_t w = 0; ctx->segs[i].len != 0 && w < WORDS(seg_pages(&ctx->segs[i])); w++)
				atomic_store(&ctx->segs[i].dirty[w], 0);
		}
	}
	if (error == 0 && atomic_fetch_add(&ctx->dirty_users, 1) == 0) {
		if (ctx->accel != NULL && ctx->accel->dirty_start != NULL)
			error = ctx->accel->dirty_start(ctx);
		if (error != 0)
			atomic_fetch_sub(&ctx->dirty_users, 1);
	} else if (error != 0)
		(void)vm_fail_sys(ENOMEM, "vm '%s': dirty bitmap", ctx->name);
	if (error != 0)
		ctx->consumers = d->next;
	pthread_mutex_unlock(&ctx->dirty_lock);
	pthread_mutex_unlock(&ctx->lock);
	if (error != 0) {
		for (int i = 0; i < VM_MAX_MEMSEGS; i++)
			free(d->bits[i]);
		free(d);
		return (NULL);
	}
	/* A store whose "is anybody tracking?" came before may still be on its way. */
	atomic_fetch_add(&ctx->dirty_gen, 1);
	vm_grace(ctx);
	return (d);
}

void
vm_dirty_close(struct vm_dirty *d)
{
	struct vmctx *vm;
	struct vm_dirty **dp;

	if (d == NULL)
		return;
	vm = d->vm;
	pthread_mutex_lock(&vm->lock);
	pthread_mutex_lock(&vm->dirty_lock);
	for (dp = &vm->consumers; *dp != NULL && *dp != d; dp = &(*dp)->next)
		continue;
	if (*dp != NULL)
		*dp = d->next;
	if (atomic_fetch_sub(&vm->dirty_users, 1) == 1 && vm->accel != NULL && vm->accel->dirty_stop != NULL)
		vm->accel->dirty_stop(vm);
	pthread_mutex_unlock(&vm->dirty_lock);
	pthread_mutex_unlock(&vm->lock);
	for (int i = 0; i < VM_MAX_MEMSEGS; i++)
		free(d->bits[i]);
	free(d);
}

/* n (at most 64) bits of a bitmap from bit `at`. */
static uint64_t
bits_get(const uint64_t *bits, size_t at, size_t n)
{
	unsigned sh = at & 63;
	uint64_t w = bits[at / 64] >> sh;

	if (sh != 0 && n > 64 - sh)
		w |= bits[at / 64 + 1] << (64 - sh);
	return (n == 64 ? w : w & ((UINT64_C(1) << n) - 1));
}

static void
bits_or(uint64_t *bits, size_t at, uint64_t w)
{
	unsigned sh = at & 63;

	bits[at / 64] |= w << sh;
	if (sh != 0 && (w >> (64 - sh)) != 0)
		bits[at / 64 + 1] |= w >> (64 - sh);
}

static void
bits_clear(uint64_t *bits, size_t at, uint64_t w)
{
	unsigned sh = at & 63;

	bits[at / 64] &= ~(w << sh);
	if (sh != 0 && (w >> (64 - sh)) != 0)
		bits[at / 64 + 1] &= ~(w >> (64 - sh));
}

/* Set n bits of to, from bit at on, that are set in from, from bit first on. */
static void
bits_copy(uint64_t *to, size_t at, const uint64_t *from, size_t first, size_t n)
{
	for (size_t i = 0; i < n; i += 64)
		bits_or(to, at + i, bits_get(from, first + i, n - i < 64 ? n - i : 64));
}

/* Move what writers marked to every consumer. */
static void
harvest(struct vmctx *vm, struct memseg *seg, size_t segoff, size_t len)
{
	int id = (int)(seg - vm->segs);
	size_t last = (segoff + len - 1) >> PAGE_BITS;

	for (size_t w = (segoff >> PAGE_BITS) / 64; w <= last / 64; w++) {
		uint64_t bits;

		if (atomic_load(&seg->dirty[w]) == 0)
			continue;
		bits = atomic_exchange(&seg->dirty[w], 0);
		for (struct vm_dirty *d = vm->consumers; d != NULL; d = d->next)
			d->bits[id][w] |= bits;
	}
}

/* Call fn for each mapped part of [gpa, gpa + len): its segment, offset, length and distance from gpa. */
static void
each_part(struct vm_dirty *d, vm_paddr_t gpa, size_t len, uint64_t *out,
    void (*fn)(struct vm_dirty *d, struct memseg *seg, size_t segoff, size_t n, uint64_t *out, size_t page))
{
	struct vmctx *vm = d->vm;

	pthread_rwlock_rdlock(&vm->map_lock);
	for (unsigned i = 0; i < vm->nmaps; i++) {
		const struct vm_mapping *m = &vm->maps[i];
		vm_paddr_t lo = m->gpa > gpa ? m->gpa : gpa;
		vm_paddr_t hi = m->gpa + m->len < gpa + len ? m->gpa + m->len : gpa + len;

		if (lo < hi)
			fn(d, &vm->segs[m->segid], m->segoff + (lo - m->gpa), hi - lo, out, (lo - gpa) >> PAGE_BITS);
	}
	pthread_rwlock_unlock(&vm->map_lock);
}

static void
part_harvest(struct vm_dirty *d, struct memseg *seg, size_t segoff, size_t n, uint64_t *out, size_t page)
{
	harvest(d->vm, seg, segoff, n);
}

static void
part_copy(struct vm_dirty *d, struct memseg *seg, size_t segoff, size_t n, uint64_t *out, size_t page)
{
	bits_copy(out, page, d->bits[seg - d->vm->segs], segoff >> PAGE_BITS, n >> PAGE_BITS);
}

static void
part_clear(struct vm_dirty *d, struct memseg *seg, size_t segoff, size_t n, uint64_t *out, size_t page)
{
	uint64_t *bits = d->bits[seg - d->vm->segs];
	size_t from = segoff >> PAGE_BITS, np = n >> PAGE_BITS;

	for (size_t i = 0; i < np; i += 64)
		bits_clear(bits, from + i, bits_get(bits, from + i, np - i < 64 ? np - i : 64));
}

static void
part_merge(struct vm_dirty *d, struct memseg *seg, size_t segoff, size_t n, uint64_t *in, size_t page)
{
	bits_copy(d->bits[seg - d->vm->segs], segoff >> PAGE_BITS, in, page, n >> PAGE_BITS);
}

static int
dirty_check(struct vm_dirty *d, vm_paddr_t gpa, size_t len, const void *bits)
{
	if (d == NULL || bits == NULL)
		return (vm_fail(EINVAL, "dirty pages: a NULL argument"));
	if (len == 0 || ((gpa | len) & (VM_PAGE_SIZE - 1)) != 0 || gpa + len < gpa)
		return (vm_fail(EINVAL, "dirty pages: 0x%jx with 0x%zx bytes is empty, not page-aligned or wraps", (uintmax_t)gpa,
		    len));
	return (0);
}

int
vm_dirty_fetch(struct vm_dirty *d, vm_paddr_t gpa, size_t len, uint64_t *bits)
{
	struct vmctx *vm;
	int error = 0;

	if (dirty_check(d, gpa, len, bits) != 0)
		return (-1);
	vm = d->vm;
	memset(bits, 0, WORDS(len >> PAGE_BITS) * sizeof(*bits));
	ppt_dirty(vm);
	pthread_mutex_lock(&vm->dirty_lock);
	if (vm->accel != NULL && vm->accel->dirty_fetch != NULL)
		error = vm->accel->dirty_fetch(vm, gpa, len);
	if (error == 0) {
		each_part(d, gpa, len, NULL, part_harvest);
		atomic_fetch_add(&vm->dirty_gen, 1);
		vm_grace(vm);
		/* Aliases of one page report it at each address, so copy all before clearing any. */
		each_part(d, gpa, len, bits, part_copy);
		each_part(d, gpa, len, NULL, part_clear);
	}
	pthread_mutex_unlock(&vm->dirty_lock);
	return (error);
}

int
vm_dirty_merge(struct vm_dirty *d, vm_paddr_t gpa, size_t len, const uint64_t *bits)
{
	uint64_t *copy;
	size_t n = WORDS(len >> PAGE_BITS);

	if (dirty_check(d, gpa, len, bits) != 0)
		return (-1);
	/* One spare word: parts that do not start at a multiple of 64 read over the end. */
	copy = calloc(n + 1, sizeof(*copy));
	if (copy == NULL)
		return (vm_fail_sys(ENOMEM, "dirty pages"));
	memcpy(copy, bits, n * sizeof(*copy));
	pthread_mutex_lock(&d->vm->dirty_lock);
	each_part(d, gpa, len, copy, part_merge);
	pthread_mutex_unlock(&d->vm->dirty_lock);
	free(copy);
	return (0);
}
