/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * code.c - decoded code, and how writes to it are noticed.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "code.h"
#include "soft.h"

#define	PAGE_OF(place)	((place) & ~(uint64_t)0xfff)
#define	SEGID(place)	((int)((place) >> 48))
#define	OFFSET(place)	((place) & 0xffffffffffffULL)

/* The 64-byte lines of [off, off + len) within a page. */
static uint64_t
lines_of(unsigned off, unsigned len)
{
	unsigned first = off >> 6, last = (off + len - 1) >> 6;

	return ((last == 63 ? UINT64_MAX : (1ULL << (last + 1)) - 1) & ~((1ULL << first) - 1));
}

/* A vCPU's blocks */

struct soft_code *
soft_code_create(struct soft_cpu *cpu)
{
	struct soft_vm *sv = cpu->vcpu->vm->accel_vm;
	struct soft_code *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return (NULL);
	c->arena = mmap(NULL, SOFT_CODE_ARENA, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (c->arena == MAP_FAILED) {
		free(c);
		return (NULL);
	}
	/* It fills from its beginning. */
	(void)madvise(c->arena, SOFT_CODE_ARENA, MADV_HUGEPAGE);
	c->seen = atomic_load(&sv->log.seq);
	return (c);
}

void
soft_code_free(struct soft_code *c)
{
	if (c == NULL)
		return;
	(void)munmap(c->arena, SOFT_CODE_ARENA);
	free(c);
}

static unsigned
hash_of(uint64_t place, uint32_t mode)
{
	uint64_t h = (place ^ ((uint64_t)mode << 40)) * 0x9e3779b97f4a7c15ULL;

	return ((unsigned)(h >> 40) & (SOFT_CODE_HASH - 1));
}

static unsigned
page_of(uint64_t place)
{
	return ((unsigned)(((place >> 12) * 0x9e3779b97f4a7c15ULL) >> 40) & (SOFT_CODE_PAGES - 1));
}

struct soft_block *
soft_code_find(struct soft_code *c, uint64_t place, uint32_t mode, uint64_t place2)
{
	struct soft_block *b;

	for (b = c->hash[hash_of(place, mode)]; b != NULL; b = b->hnext) {
		if (b->place == place && b->mode == mode &&
		    (b->place2 == SOFT_NOPLACE || b->place2 == place2))
			return (b);
	}
	return (NULL);
}

void
soft_code_add(struct soft_cpu *cpu, struct soft_block *b, size_t used)
{
	struct soft_code *c = cpu->code;
	struct soft_block **h = &c->hash[hash_of(b->place, b->mode)];
	struct soft_block **p = &c->page[page_of(b->place)];

	c->used += (((sizeof(*b) + 15) & ~(size_t)15) + used + 15) & ~(size_t)15;
	b->stale = false;
	b->heat = 0;
	b->jit = NULL;
	b->hnext = *h;
	*h = b;
	b->pnext[0] = *p;
	*p = b;
	b->pnext[1] = NULL;
	if (b->place2 != SOFT_NOPLACE) {
		p = &c->page2[page_of(b->place2)];
		b->pnext[1] = *p;
		*p = b;
	}
}

/* Whether a block has bytes in these lines of a page. */
static bool
touches(const struct soft_block *b, uint64_t page, uint64_t lines)
{
	unsigned off = (unsigned)(b->place & 0xfff), here = 4096 - off;

	if (here > b->bytes)
		here = b->bytes;
	if (PAGE_OF(b->place) == page && (lines_of(off, here) & lines) != 0)
		return (true);
	return (b->place2 == page && b->bytes > here && (lines_of(0, b->bytes - here) & lines) != 0);
}

static void
take_out(struct soft_block **list, struct soft_block *b, unsigned which)
{
	while (*list != NULL && *list != b)
		list = &(*list)->pnext[which];
	if (*list != NULL)
		*list = b->pnext[which];
}

/* The block is found no more.  Its memory stays, for it may be running. */
static void
forget(struct soft_cpu *cpu, struct soft_block *b)
{
	struct soft_code *c = cpu->code;
	struct soft_block **h = &c->hash[hash_of(b->place, b->mode)];

	while (*h != NULL && *h != b)
		h = &(*h)->hnext;
	if (*h != NULL)
		*h = b->hnext;
	take_out(&c->page[page_of(b->place)], b, 0);
	if (b->place2 != SOFT_NOPLACE)
		take_out(&c->page2[page_of(b->place2)], b, 1);
	b->stale = true;
	cpu->ops->stale(cpu, b);
}

/* Drop the blocks in these lines of a page. */
static bool
drop(struct soft_cpu *cpu, uint64_t page, uint64_t lines)
{
	struct soft_code *c = cpu->code;
	struct soft_block *b, *next;
	bool any = false;

	for (b = c->page[page_of(page)]; b != NULL; b = next) {
		next = b->pnext[0];
		if (touches(b, page, lines)) {
			forget(cpu, b);
			any = true;
		}
	}
	for (b = c->page2[page_of(page)]; b != NULL; b = next) {
		next = b->pnext[1];
		if (touches(b, page, lines)) {
			forget(cpu, b);
			any = true;
		}
	}
	return (any);
}

void
soft_code_forget(struct soft_cpu *cpu)
{
	struct soft_code *c = cpu->code;

	for (unsigned i = 0; i < SOFT_CODE_PAGES; i++) {
		while (c->page[i] != NULL)
			forget(cpu, c->page[i]);
	}
}

struct soft_block *
soft_code_alloc(struct soft_cpu *cpu, size_t size)
{
	struct soft_code *c = cpu->code;
	size_t need = ((sizeof(struct soft_block) + 15) & ~(size_t)15) + size;

	if (need > SOFT_CODE_ARENA - c->used) {
		soft_code_forget(cpu);
		c->used = 0;
		c->rounds++;
	}
	return ((struct soft_block *)(void *)(c->arena + c->used));
}

/* What the VM knows of pages */

static struct soft_track *
track_of(struct vmctx *vm, int segid)
{
	struct soft_vm *sv = vm->accel_vm;

	return (sv == NULL ? NULL : atomic_load_explicit(&sv->track[segid], memory_order_acquire));
}

/* The same, made if need be; NULL without memory. */
static struct soft_track *
track_get(struct vmctx *vm, int segid)
{
	struct soft_vm *sv = vm->accel_vm;
	struct soft_track *t = track_of(vm, segid), *old;
	size_t npages = vm->segs[segid].len >> 12;

	if (t != NULL && t->npages >= npages)
		return (t);
	pthread_mutex_lock(&sv->log.lock);
	old = atomic_load(&sv->track[segid]);
	t = old;
	if (t == NULL || t->npages < npages) {
		t = calloc(1, sizeof(*t));
		if (t != NULL) {
			t->npages = npages;
			t->lines = calloc(npages, sizeof(*t->lines));
			t->wgen = calloc(npages, sizeof(*t->wgen));
			t->older = old;
		}
		if (t == NULL || t->lines == NULL || t->wgen == NULL) {
			soft_track_free(t);
			t = NULL;
		} else {
			atomic_store_explicit(&sv->track[segid], t, memory_order_release);
		}
	}
	pthread_mutex_unlock(&sv->log.lock);
	return (t);
}

/* Of one that is in place, with those that it took the place of. */
void
soft_track_free(struct soft_track *t)
{
	struct soft_track *older;

	for (; t != NULL; t = older) {
		older = t->older;
		free(t->lines);
		free(t->wgen);
		free(t);
	}
}

bool
soft_code_writable(struct soft_cpu *cpu, int segid, size_t off)
{
	struct vmctx *vm = cpu->vcpu->vm;
	struct soft_vm *sv = vm->accel_vm;
	struct soft_track *t;
	uint32_t gen, had;

	if (cpu->code == NULL)
		return (true);
	t = track_get(vm, segid);
	if (t == NULL)
		return (false);
	/* It only grows: a vCPU that is late does not take back what another one noted. */
	gen = atomic_load(&sv->wgen);
	had = atomic_load(&t->wgen[off >> 12]);
	while (had < gen && !atomic_compare_exchange_weak(&t->wgen[off >> 12], &had, gen))
		continue;
	return (atomic_load(&t->lines[off >> 12]) == 0);
}

/* Let every vCPU drop its write tags.  In guest code, which is left for the time. */
static void
drop_writes(struct soft_cpu *cpu, const _Atomic uint32_t *wgen)
{
	struct vmctx *vm = cpu->vcpu->vm;
	struct soft_vm *sv = vm->accel_vm;
	uint32_t gen;

	soft_leave(cpu);
	pthread_mutex_lock(&sv->wlock);
	if (atomic_load(wgen) > atomic_load(&sv->wdone)) {
		gen = atomic_fetch_add(&sv->wgen, 1);
		vm_grace(vm);
		atomic_store(&sv->wdone, gen);
	}
	pthread_mutex_unlock(&sv->wlock);
	soft_reenter(cpu);
}

bool
soft_code_watch(struct soft_cpu *cpu, uint64_t place, unsigned len)
{
	struct vmctx *vm = cpu->vcpu->vm;
	struct soft_vm *sv = vm->accel_vm;
	struct soft_track *t = track_get(vm, SEGID(place));
	size_t page = OFFSET(place) >> 12;
	uint64_t mask = lines_of((unsigned)place & 0xfff, len);

	if (t == NULL)
		return (true);
	if ((atomic_load(&t->lines[page]) & mask) != mask)
		atomic_fetch_or(&t->lines[page], mask);
	if (atomic_load(&t->wgen[page]) <= atomic_load(&sv->wdone))
		return (true);
	drop_writes(cpu, &t->wgen[page]);
	return (false);
}

/* Writes */

/* Tell every vCPU. */
static void
post(struct vmctx *vm, uint64_t page, uint64_t lines)
{
	struct soft_vm *sv = vm->accel_vm;
	struct soft_log *log = &sv->log;
	uint64_t seq;

	pthread_mutex_lock(&log->lock);
	seq = atomic_load(&log->seq);
	log->e[seq % SOFT_LOG].place = page;
	log->e[seq % SOFT_LOG].lines = lines;
	atomic_store(&log->seq, seq + 1);
	pthread_mutex_unlock(&log->lock);
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL && atomic_load(&vm->vcpus[i]->epoch) != 0)
			vcpu_request(vm->vcpus[i], REQ_CODE);
	}
}

/* true if there was code.  The store is visible. */
static bool
written(struct vmctx *vm, int segid, size_t off, size_t len)
{
	struct soft_track *t = track_of(vm, segid);
	bool any = false;

	if (t == NULL)
		return (false);
	while (len != 0) {
		size_t page = off >> 12, n = 4096 - (off & 0xfff);
		uint64_t mask;

		if (n > len)
			n = len;
		if (page >= t->npages)
			break;
		mask = lines_of((unsigned)off & 0xfff, (unsigned)n);
		if ((atomic_load(&t->lines[page]) & mask) != 0) {
			mask &= atomic_fetch_and(&t->lines[page], ~mask);
			if (mask != 0) {
				post(vm, SOFT_PLACE(segid, page << 12), mask);
				any = true;
			}
		}
		off += n;
		len -= n;
	}
	return (any);
}

void
soft_code_wrote(struct soft_cpu *cpu, int segid, size_t off, size_t len)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (written(cpu->vcpu->vm, segid, off, len))
		(void)soft_code_catch_up(cpu);
}

void
soft_mem_written(struct vmctx *vm, int segid, size_t off, size_t len)
{
	(void)written(vm, segid, off, len);
}

bool
soft_code_catch_up(struct soft_cpu *cpu)
{
	struct soft_vm *sv = cpu->vcpu->vm->accel_vm;
	struct soft_log *log = &sv->log;
	struct soft_code *c = cpu->code;
	bool any = false;

	if (atomic_load(&log->seq) == c->seen)
		return (false);
	pthread_mutex_lock(&log->lock);
	if (atomic_load(&log->seq) - c->seen > SOFT_LOG) {
		soft_code_forget(cpu);
		any = true;
	} else {
		for (; c->seen != atomic_load(&log->seq); c->seen++)
			any |= drop(cpu, log->e[c->seen % SOFT_LOG].place, log->e[c->seen % SOFT_LOG].lines);
	}
	c->seen = atomic_load(&log->seq);
	pthread_mutex_unlock(&log->lock);
	return (any);
}
