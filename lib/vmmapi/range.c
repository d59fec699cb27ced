/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * range.c - MMIO and port ranges, doorbells, and the way of an access to them.
 *
 * Ranges are in one array per space, sorted by base.  Ranges of different priority may overlap, so
 * each entry also has the largest end of all entries up to it, which tells a search when nothing
 * further down can reach the address.
 *
 * An access takes range_lock only to look up; it then counts itself in flight and calls the handler
 * with no lock held.  A thread that waits for handlers (vm_range_sync()) moves later accesses to
 * the other of two counters and waits for the first one to be zero.
 */
#include <sys/eventfd.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

struct vm_range {
	struct vmctx	*vm;
	struct vm_range_spec spec;
	uint64_t	 last;			/* last address of it */
	uint64_t	 maxlast;		/* largest last of the array up to here */
	_Atomic unsigned refs;			/* the array's and one per call */
	char		 name[];
};

/* Handlers that this thread is inside of, innermost first: a handler may make accesses. */
struct inside {
	struct vmctx	*vm;
	struct inside	*outer;
};

static _Thread_local struct inside *insides;

static uint64_t
ones(unsigned size)
{
	return (size >= 8 ? UINT64_MAX : (UINT64_C(1) << (size * 8)) - 1);
}

/* Grace: range_lock is held by those who enter, so that after a removal nobody new is inside. */

static unsigned
flight_begin(struct vmctx *vm)
{
	unsigned side;

	pthread_mutex_lock(&vm->sync_lock);
	side = (unsigned)(vm->sync_epoch & 1);
	vm->inflight[side]++;
	pthread_mutex_unlock(&vm->sync_lock);
	return (side);
}

static void
flight_end(struct vmctx *vm, unsigned side)
{
	pthread_mutex_lock(&vm->sync_lock);
	if (--vm->inflight[side] == 0)
		pthread_cond_broadcast(&vm->sync_cond);
	pthread_mutex_unlock(&vm->sync_lock);
}

int
vm_range_sync(struct vmctx *ctx)
{
	uint64_t start;

	if (ctx == NULL)
		return (vm_fail(EINVAL, "range sync: the VM handle is NULL"));
	for (struct inside *in = insides; in != NULL; in = in->outer) {
		if (in->vm == ctx)
			return (vm_fail(EDEADLK, "vm '%s': a range handler cannot wait for range handlers", ctx->name));
	}
	/*
	 * The epoch moves on only when the side it moves to is empty.  So at start + 1 the side
	 * that start did not count on is done, and when the other one is empty then, or the epoch
	 * moved again, everything that ran at the start has returned.
	 */
	pthread_mutex_lock(&ctx->sync_lock);
	start = ctx->sync_epoch;
	while (ctx->sync_epoch - start < 2) {
		if (ctx->sync_epoch == start && ctx->inflight[(start + 1) & 1] == 0) {
			ctx->sync_epoch++;
			pthread_cond_broadcast(&ctx->sync_cond);
		} else if (ctx->sync_epoch != start && ctx->inflight[start & 1] == 0)
			break;
		else
			pthread_cond_wait(&ctx->sync_cond, &ctx->sync_lock);
	}
	pthread_mutex_unlock(&ctx->sync_lock);
	return (0);
}

/* Ranges. */

static void
range_unref(struct vm_range *r)
{
	if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
		free(r);
}

/* Number of ranges whose base is at or below addr. */
static unsigned
range_index(struct vmctx *vm, enum vm_space space, uint64_t addr)
{
	unsigned lo = 0, hi = vm->nranges[space];

	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (vm->ranges[space][mid]->spec.base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (lo);
}

/* The range that addr belongs to.  range_lock is held. */
static struct vm_range *
range_find(struct vmctx *vm, enum vm_space space, uint64_t addr)
{
	struct vm_range *best = NULL;

	for (unsigned i = range_index(vm, space, addr); i > 0; i--) {
		struct vm_range *r = vm->ranges[space][i - 1];

		if (r->maxlast < addr)
			break;
		if (r->last >= addr && (best == NULL || r->spec.priority > best->spec.priority))
			best = r;
	}
	return (best);
}

static void
range_renumber(struct vmctx *vm, enum vm_space space)
{
	uint64_t max = 0;

	for (unsigned i = 0; i < vm->nranges[space]; i++) {
		struct vm_range *r = vm->ranges[space][i];

		if (r->last > max)
			max = r->last;
		r->maxlast = max;
	}
}

static int
range_check_spec(struct vmctx *vm, const struct vm_range_spec *s, const char *name)
{
	if (s->space != VM_SPACE_MEM && s->space != VM_SPACE_IO)
		return (vm_fail(EINVAL, "range '%s': there is no address space %d", name, (int)s->space));
	if (s->space == VM_SPACE_IO && !vm->md->has_io)
		return (vm_fail(EINVAL, "range '%s': %s has no I/O ports", name, vm->md->name));
	if (s->len == 0)
		return (vm_fail(EINVAL, "range '%s': it is empty", name));
	if (s->len - 1 > UINT64_MAX - s->base)
		return (vm_fail(EINVAL, "range '%s': 0x%jx with 0x%jx bytes wraps", name, (uintmax_t)s->base,
		    (uintmax_t)s->len));
	if (s->space == VM_SPACE_IO && s->base + (s->len - 1) > 0xffff)
		return (vm_fail(EINVAL, "range '%s': 0x%jx with 0x%jx bytes reaches beyond port 0xffff", name,
		    (uintmax_t)s->base, (uintmax_t)s->len));
	return (0);
}

/* Put r into its array.  range_lock is held for writing. */
static int
range_insert(struct vmctx *vm, struct vm_range *r)
{
	enum vm_space space = r->spec.space;
	unsigned n = vm->nranges[space], at;
	struct vm_range **more;

	for (unsigned i = range_index(vm, space, r->last); i > 0; i--) {
		struct vm_range *o = vm->ranges[space][i - 1];

		if (o->maxlast < r->spec.base)
			break;
		if (o->last >= r->spec.base && o->spec.priority == r->spec.priority)
			return (vm_fail(EEXIST, "range '%s' (0x%jx to 0x%jx) overlaps range '%s' (0x%jx to 0x%jx)",
			    r->name, (uintmax_t)r->spec.base, (uintmax_t)r->last, o->name, (uintmax_t)o->spec.base,
			    (uintmax_t)o->last));
	}
	more = realloc(vm->ranges[space], (n + 1) * sizeof(struct vm_range *));
	if (more == NULL)
		return (vm_fail(ENOMEM, "range '%s': out of memory", r->name));
	vm->ranges[space] = more;
	at = range_index(vm, space, r->spec.base);
	memmove(&more[at + 1], &more[at], (n - at) * sizeof(struct vm_range *));
	more[at] = r;
	vm->nranges[space] = n + 1;
	range_renumber(vm, space);
	return (0);
}

struct vm_range *
vm_range_add(struct vmctx *ctx, const struct vm_range_spec *spec)
{
	struct vm_range *r;
	const char *name;
	size_t len;
	int error;

	if (ctx == NULL || spec == NULL)
		return (vm_fail_null(EINVAL, "range: the %s is NULL", ctx == NULL ? "VM handle" : "specification"));
	name = spec->name == NULL ? "" : spec->name;
	if (range_check_spec(ctx, spec, name) != 0)
		return (NULL);
	len = strlen(name) + 1;
	r = calloc(1, sizeof(*r) + len);
	if (r == NULL)
		return (vm_fail_null(ENOMEM, "range '%s': out of memory", name));
	memcpy(r->name, name, len);
	r->vm = ctx;
	r->spec = *spec;
	r->spec.name = r->name;
	r->last = spec->base + (spec->len - 1);
	atomic_init(&r->refs, 1);
	pthread_rwlock_wrlock(&ctx->range_lock);
	error = range_insert(ctx, r);
	pthread_rwlock_unlock(&ctx->range_lock);
	if (error != 0) {
		free(r);
		return (NULL);
	}
	return (r);
}

void
vm_range_remove(struct vm_range *range)
{
	struct vmctx *vm;
	enum vm_space space;
	unsigned n;

	if (range == NULL)
		return;
	vm = range->vm;
	space = range->spec.space;
	pthread_rwlock_wrlock(&vm->range_lock);
	n = vm->nranges[space];
	for (unsigned i = 0; i < n; i++) {
		if (vm->ranges[space][i] != range)
			continue;
		memmove(&vm->ranges[space][i], &vm->ranges[space][i + 1], (n - i - 1) * sizeof(struct vm_range *));
		vm->nranges[space] = n - 1;
		range_renumber(vm, space);
		break;
	}
	pthread_rwlock_unlock(&vm->range_lock);
	range_unref(range);
}

/* Doorbells. */

static void
doorbell_unref(struct vm_doorbell *db)
{
	if (atomic_fetch_sub_explicit(&db->refs, 1, memory_order_acq_rel) == 1)
		free(db);
}

/* The doorbell that a write rings: the one that says most about it.  range_lock is held. */
static struct vm_doorbell *
doorbell_find(struct vmctx *vm, enum vm_space space, uint64_t addr, unsigned size, uint64_t val)
{
	struct vm_doorbell *best = NULL;

	for (struct vm_doorbell *db = vm->doorbells; db != NULL; db = db->next) {
		const struct vm_doorbell_spec *s = &db->spec;

		if (s->addr != addr || s->space != space || (s->size != 0 && s->size != size) ||
		    (s->match && s->value != (val & ones(size))))
			continue;
		if (s->match)
			return (db);
		if (best == NULL || s->size != 0)
			best = db;
	}
	return (best);
}

static int
doorbell_check(struct vmctx *vm, const struct vm_doorbell_spec *s)
{
	unsigned max = s->space == VM_SPACE_IO ? 4 : 8;

	if (s->space != VM_SPACE_MEM && s->space != VM_SPACE_IO)
		return (vm_fail(EINVAL, "doorbell: there is no address space %d", (int)s->space));
	if (s->space == VM_SPACE_IO && !vm->md->has_io)
		return (vm_fail(EINVAL, "doorbell: %s has no I/O ports", vm->md->name));
	if (s->size > max || (s->size & (s->size - 1)) != 0)
		return (vm_fail(EINVAL, "doorbell 0x%jx: %u is no size of a write", (uintmax_t)s->addr, s->size));
	if (s->space == VM_SPACE_IO && s->addr + (s->size == 0 ? 1 : s->size) > 0x10000)
		return (vm_fail(EINVAL, "doorbell: 0x%jx is beyond port 0xffff", (uintmax_t)s->addr));
	if (s->addr > UINT64_MAX - max)
		return (vm_fail(EINVAL, "doorbell: 0x%jx wraps", (uintmax_t)s->addr));
	if (s->match && s->size == 0)
		return (vm_fail(EINVAL, "doorbell 0x%jx: to match a value it needs a size", (uintmax_t)s->addr));
	if (s->match && (s->value & ~ones(s->size)) != 0)
		return (vm_fail(EINVAL, "doorbell 0x%jx: 0x%jx is no value of %u bytes", (uintmax_t)s->addr,
		    (uintmax_t)s->value, s->size));
	if (s->fd < 0 || fcntl(s->fd, F_GETFD) < 0)
		return (vm_fail(EBADF, "doorbell 0x%jx: %d is no open descriptor", (uintmax_t)s->addr, s->fd));
	return (0);
}

static bool
doorbell_same(const struct vm_doorbell_spec *a, const struct vm_doorbell_spec *b)
{
	return (a->space == b->space && a->addr == b->addr && a->size == b->size && a->match == b->match &&
	    (!a->match || a->value == b->value));
}

struct vm_doorbell *
vm_doorbell_open(struct vmctx *ctx, const struct vm_doorbell_spec *spec)
{
	struct vm_doorbell *db;

	if (ctx == NULL || spec == NULL)
		return (vm_fail_null(EINVAL, "doorbell: the %s is NULL", ctx == NULL ? "VM handle" : "specification"));
	if (doorbell_check(ctx, spec) != 0)
		return (NULL);
	db = calloc(1, sizeof(*db));
	if (db == NULL)
		return (vm_fail_null(ENOMEM, "doorbell 0x%jx: out of memory", (uintmax_t)spec->addr));
	db->vm = ctx;
	db->spec = *spec;
	atomic_init(&db->refs, 1);
	pthread_rwlock_wrlock(&ctx->range_lock);
	for (struct vm_doorbell *o = ctx->doorbells; o != NULL; o = o->next) {
		if (doorbell_same(&o->spec, spec)) {
			pthread_rwlock_unlock(&ctx->range_lock);
			free(db);
			return (vm_fail_null(EEXIST, "doorbell 0x%jx: there is one like it", (uintmax_t)spec->addr));
		}
	}
	/*
	 * Before vm_start() it waits for range_replay(); a back end that cannot take it leaves the
	 * writes to the library.
	 */
	if (irq_started(ctx) && ctx->accel->doorbell_add != NULL)
		db->in_accel = ctx->accel->doorbell_add(db) == 0;
	db->next = ctx->doorbells;
	ctx->doorbells = db;
	pthread_rwlock_unlock(&ctx->range_lock);
	return (db);
}

void
vm_doorbell_close(struct vm_doorbell *db)
{
	struct vm_doorbell **p;
	struct vmctx *vm;

	if (db == NULL)
		return;
	vm = db->vm;
	pthread_rwlock_wrlock(&vm->range_lock);
	for (p = &vm->doorbells; *p != NULL && *p != db; p = &(*p)->next)
		continue;
	if (*p == db)
		*p = db->next;
	if (db->in_accel)
		vm->accel->doorbell_remove(db);
	db->in_accel = false;
	pthread_rwlock_unlock(&vm->range_lock);
	doorbell_unref(db);
}

void
range_replay(struct vmctx *vm)
{
	pthread_rwlock_wrlock(&vm->range_lock);
	for (struct vm_doorbell *db = vm->doorbells; db != NULL; db = db->next) {
		if (!db->in_accel && vm->accel->doorbell_add != NULL)
			db->in_accel = vm->accel->doorbell_add(db) == 0;
	}
	pthread_rwlock_unlock(&vm->range_lock);
}

/* The back end goes: writes come to the library until range_replay(). */
void
range_detach(struct vmctx *vm)
{
	pthread_rwlock_wrlock(&vm->range_lock);
	for (struct vm_doorbell *db = vm->doorbells; db != NULL; db = db->next) {
		if (db->in_accel)
			vm->accel->doorbell_remove(db);
		db->in_accel = false;
	}
	pthread_rwlock_unlock(&vm->range_lock);
}

/* Accesses. */

/* The part of a dispatch with the lock held: what to call, referenced and in flight. */
struct target {
	struct vm_doorbell *db;
	struct vm_range	*range;
	bool		 rung;			/* its eventfd was written: done */
	unsigned	 side;
};

static void
target_find(struct vmctx *vm, enum vm_space space, uint64_t addr, unsigned size, bool write, uint64_t val,
    struct target *t)
{
	memset(t, 0, sizeof(*t));
	pthread_rwlock_rdlock(&vm->range_lock);
	if (write && vm->doorbells != NULL)
		t->db = doorbell_find(vm, space, addr, size, val);
	if (t->db != NULL && t->db->spec.notify == NULL) {
		/*
		 * Under the lock, because after vm_doorbell_close() the descriptor is its owner's
		 * to close.
		 */
		(void)eventfd_write(t->db->spec.fd, 1);
		t->rung = true;
	} else if (t->db != NULL) {
		atomic_fetch_add_explicit(&t->db->refs, 1, memory_order_relaxed);
		t->side = flight_begin(vm);
	} else {
		t->range = range_find(vm, space, addr);
		if (t->range != NULL) {
			atomic_fetch_add_explicit(&t->range->refs, 1, memory_order_relaxed);
			t->side = flight_begin(vm);
		}
	}
	pthread_rwlock_unlock(&vm->range_lock);
}

int
vm_range_watch(struct vmctx *ctx, void (*fn)(void *arg, const struct vm_range_access *access), void *arg, const uint64_t *when, uint64_t bits)
{
	static const uint64_t always = UINT64_MAX;

	if (ctx == NULL)
		return (vm_fail(EINVAL, "range watch: the VM handle is NULL"));
	if (ctx->started)
		return (vm_fail(EBUSY, "vm '%s': who is told of accesses is fixed once the VM has started", ctx->name));
	ctx->watch = fn;
	ctx->watch_arg = arg;
	ctx->watch_when = when != NULL ? when : &always;
	ctx->watch_bits = when != NULL ? bits : UINT64_MAX;
	return (0);
}

static void
range_call(const struct vm_range_spec *s, struct vcpu *vcpu, uint64_t off, unsigned size, bool write, uint64_t *val)
{
	if (write) {
		if (s->write != NULL)
			s->write(s->arg, vcpu, off, size, *val & ones(size));
	} else
		*val = (s->read == NULL ? UINT64_MAX : s->read(s->arg, vcpu, off, size)) & ones(size);
}

bool
vm_dispatch(struct vmctx *vm, struct vcpu *vcpu, enum vm_space space, uint64_t addr, unsigned size, bool write,
    uint64_t *val)
{
	struct inside in = { .vm = vm, .outer = insides };
	struct target t;

	target_find(vm, space, addr, size, write, *val, &t);
	if (vcpu != NULL && t.db != NULL)
		vcpu_count(vcpu, VM_STAT_DOORBELL);
	else if (vcpu != NULL && space == VM_SPACE_IO)
		vcpu_count(vcpu, VM_STAT_IO);
	else if (vcpu != NULL && t.range != NULL)
		vcpu_count(vcpu, VM_STAT_MMIO);
	if (t.rung)
		return (true);
	if (t.db == NULL && t.range == NULL) {
		if (!write)
			*val = ones(size);
		return (false);
	}
	insides = &in;
	if (t.db != NULL)
		t.db->spec.notify(t.db->spec.arg);
	else
		range_call(&t.range->spec, vcpu, addr - t.range->spec.base, size, write, val);
	if (vm->watch != NULL && (__atomic_load_n(vm->watch_when, __ATOMIC_RELAXED) & vm->watch_bits) != 0 && t.range != NULL)
		vm->watch(vm->watch_arg, &(struct vm_range_access){ .name = t.range->spec.name, .vcpu = vcpu,
		    .off = addr - t.range->spec.base, .size = size, .write = write, .val = *val & ones(size) });
	insides = in.outer;
	flight_end(vm, t.side);
	if (t.db != NULL)
		doorbell_unref(t.db);
	else
		range_unref(t.range);
	return (true);
}

/*
 * One load or store of memory of a mapping; naturally aligned ones are single, as a processor's
 * are.  Other vCPUs may access the same bytes at once, which is the guest's business.
 */
static void
mem_access(uint8_t *host, unsigned size, bool write, uint64_t *val)
{
	bool single = ((uintptr_t)host & (size - 1)) == 0;
	void *p = host;

	if (write) {
		if (single && size == 8)
			__atomic_store_n((uint64_t *)p, *val, __ATOMIC_RELEASE);
		else if (single && size == 4)
			__atomic_store_n((uint32_t *)p, (uint32_t)*val, __ATOMIC_RELEASE);
		else if (single && size == 2)
			__atomic_store_n((uint16_t *)p, (uint16_t)*val, __ATOMIC_RELEASE);
		else
			for (unsigned i = 0; i < size; i++)
				__atomic_store_n(&host[i], (uint8_t)(*val >> (i * 8)), __ATOMIC_RELAXED);
	} else {
		*val = 0;
		if (single && size == 8)
			*val = __atomic_load_n((uint64_t *)p, __ATOMIC_ACQUIRE);
		else if (single && size == 4)
			*val = __atomic_load_n((uint32_t *)p, __ATOMIC_ACQUIRE);
		else if (single && size == 2)
			*val = __atomic_load_n((uint16_t *)p, __ATOMIC_ACQUIRE);
		else
			for (unsigned i = 0; i < size; i++)
				*val |= (uint64_t)__atomic_load_n(&host[i], __ATOMIC_RELAXED) << (i * 8);
	}
}

/*
 * Access mapped memory: the number of bytes from addr on that are in the mapping and were accessed,
 * 0 for none.
 */
static unsigned
mem_try(struct vmctx *vm, uint64_t addr, unsigned size, bool write, uint64_t *val)
{
	const struct vm_mapping *m;
	unsigned n = 0;

	pthread_rwlock_rdlock(&vm->map_lock);
	m = mem_lookup(vm, addr);
	if (m != NULL && (m->prot & (write ? VM_PROT_WRITE : VM_PROT_READ)) != 0) {
		uint64_t off = addr - m->gpa;

		n = m->len - off < size ? (unsigned)(m->len - off) : size;
		if (n == size) {
			mem_access(m->host + off, size, write, val);
			if (write)
				dirty_commit_seg(vm, &vm->segs[m->segid], m->segoff + off, size);
		}
	}
	pthread_rwlock_unlock(&vm->map_lock);
	return (n);
}

int
vm_access(struct vmctx *ctx, enum vm_space space, uint64_t addr, unsigned size, bool write, uint64_t *val)
{
	unsigned n = 0;
	bool all = true;

	if (ctx == NULL || val == NULL)
		return (vm_fail(EINVAL, "access: the %s is NULL", ctx == NULL ? "VM handle" : "value"));
	if (space != VM_SPACE_MEM && (space != VM_SPACE_IO || !ctx->md->has_io))
		return (vm_fail(EINVAL, "access: %s has no address space %d", ctx->md->name, (int)space));
	if (size == 0 || size > (space == VM_SPACE_IO ? 4 : 8) || (size & (size - 1)) != 0)
		return (vm_fail(EINVAL, "access to 0x%jx: %u is no size of an access", (uintmax_t)addr, size));
	if (space == VM_SPACE_IO && addr > 0xffff)
		return (vm_fail(EINVAL, "access: there is no port 0x%jx", (uintmax_t)addr));
	if (space == VM_SPACE_MEM)
		n = mem_try(ctx, addr, size, write, val);
	if (n == size)
		return (0);
	if (n == 0)
		all = vm_dispatch(ctx, NULL, space, addr, size, write, val);
	else {
		/*
		 * It leaves the mapping that it starts in: byte by byte, as a processor splits it.
		 */
		uint64_t sum = 0, byte;

		for (unsigned i = 0; i < size; i++) {
			byte = write ? *val >> (i * 8) & 0xff : 0;
			if (mem_try(ctx, addr + i, 1, write, &byte) == 0)
				all = vm_dispatch(ctx, NULL, space, addr + i, 1, write, &byte) && all;
			sum |= (byte & 0xff) << (i * 8);
		}
		if (!write)
			*val = sum;
	}
	if (!all)
		return (vm_fail(EFAULT, "vm '%s': there is nothing at %s 0x%jx", ctx->name,
		    space == VM_SPACE_IO ? "port" : "address", (uintmax_t)addr));
	return (0);
}

/* Life. */

int
range_init(struct vmctx *vm)
{
	if (pthread_rwlock_init(&vm->range_lock, NULL) != 0 || pthread_mutex_init(&vm->sync_lock, NULL) != 0 ||
	    pthread_cond_init(&vm->sync_cond, NULL) != 0)
		return (vm_fail(ENOMEM, "vm '%s': out of memory", vm->name));
	return (0);
}

void
range_fini(struct vmctx *vm)
{
	/* Whoever still has a handle must not use it after vm_close(). */
	for (int s = 0; s < 2; s++) {
		for (unsigned i = 0; i < vm->nranges[s]; i++)
			range_unref(vm->ranges[s][i]);
		free(vm->ranges[s]);
		vm->ranges[s] = NULL;
		vm->nranges[s] = 0;
	}
	while (vm->doorbells != NULL) {
		struct vm_doorbell *db = vm->doorbells;

		vm->doorbells = db->next;
		doorbell_unref(db);
	}
	pthread_cond_destroy(&vm->sync_cond);
	pthread_mutex_destroy(&vm->sync_lock);
	pthread_rwlock_destroy(&vm->range_lock);
}
