/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jit.c - native code: its memory, the way in and out, and which translations lead to which.
 */
#include <sys/mman.h>

#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../hostmem.h"
#include "jit.h"

/* Entries before a block is translated: what runs less often is not worth the time. */
#define	HOT		16U
#define	SIZE		(16UL << 20)
/* More than any translation takes, with what belongs to it. */
#define	ROOM		(96UL << 10)
/* Code memory is asked for in steps of so much. */
#define	STEP		(256UL << 10)

#ifndef MFD_EXEC
#define	MFD_EXEC	0x0010U		/* Linux 6.3 */
#endif

/* LAHF and SAHF in 64-bit mode (SDM vol. 2, CPUID 80000001h:ECX[0]): all but the very first. */
static bool
host_can(void)
{
	unsigned a, b, c, d;

	return (__get_cpuid(0x80000001U, &a, &b, &c, &d) != 0 && (c & 1) != 0);
}

/* Close to the library, whose functions are then called directly; elsewhere it works too. */
static void *
map_near(size_t size, int fd)
{
	uintptr_t here = (uintptr_t)&jit_run & ~(uintptr_t)0x1fffff;
	void *p;

	for (uintptr_t off = 64UL << 20; off < (1UL << 30) && off < here; off *= 2) {
		p = mmap((void *)(here - off), size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
		if (p == MAP_FAILED)
			return (p);
		if ((uintptr_t)p + (1UL << 30) > here && (uintptr_t)p < here + (1UL << 30))
			return (p);
		(void)munmap(p, size);
	}
	return (mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
}

/* perf(1) looks into its list for addresses without a file only: memory without a name, mapped a second time (mremap(2), a size of 0). */
static int
map_nameless(struct jit *j)
{
	void *w = mmap(NULL, j->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), *x;

	if (w == MAP_FAILED)
		return (-1);
	j->write = w;
	x = mremap(w, 0, j->size, MREMAP_MAYMOVE);
	if (x == MAP_FAILED)
		return (-1);
	j->run = x;
	return (mprotect(x, j->size, PROT_READ | PROT_EXEC));
}

static int
map_code(struct jit *j)
{
	void *w = MAP_FAILED, *x = MAP_FAILED;
	int fd;

	if (j->map >= 0)
		return (map_nameless(j));
	fd = memfd_create("hyve-native", MFD_CLOEXEC | MFD_EXEC);
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("hyve-native", MFD_CLOEXEC);
	if (fd < 0)
		return (-1);
	if (ftruncate(fd, (off_t)j->size) == 0) {
		w = mmap(NULL, j->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		x = map_near(j->size, fd);
	}
	(void)close(fd);
	if (w != MAP_FAILED)
		j->write = w;
	if (x != MAP_FAILED)
		j->run = x;
	return (j->write == NULL || j->run == NULL ? -1 : 0);
}

/*
 * For perf(1), which looks for names of addresses without a file there: a line per translation, named after the guest's address.  What memory was
 * used for before it was full stays in it; the last line counts.
 */
static int
map_open(struct jit *j)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/tmp/perf-%ld.map", (long)getpid());
	j->map = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
	return (j->map >= 0 ? 0 : vm_fail_sys(errno, "soft: the list of native code for perf: '%s'", path));
}

static void
map_add(struct jit *j, const struct jit_block *jb, size_t size)
{
	char line[96];
	int n;

	if (j->map < 0)
		return;
	n = snprintf(line, sizeof(line), "%lx %zx guest_0x%llx\n", (unsigned long)(uintptr_t)jb->entry, size,
	    (unsigned long long)j->cpu->ops->pc(j->cpu));
	/* It is for a person who watches: a full disk stops nothing. */
	if (write(j->map, line, (size_t)n) != n) {
		(void)close(j->map);
		j->map = -1;
	}
}

static void
emit_begin(struct jit *j, struct emit *e, size_t from, size_t to)
{
	*e = (struct emit){ .start = j->write + from, .at = j->write + from, .end = j->write + to,
	    .run = (intptr_t)((uintptr_t)j->run - (uintptr_t)j->write) };
}

/* Pages that code is about to be written to: many at once are cheaper than a fault for each. */
static void
make_ready(const struct jit *j, size_t *ready, size_t need)
{
#ifdef MADV_POPULATE_WRITE
	size_t step = STEP;

	while (*ready < need && *ready < j->size) {
		if (step > j->size - *ready)
			step = j->size - *ready;
		(void)madvise(j->write + *ready, step, MADV_POPULATE_WRITE);
		*ready += step;
	}
#endif
}

/* How much of the code memory is used, in steps that keep code aligned. */
static size_t
used_up(const struct jit *j, const struct emit *e)
{
	return (((size_t)(e->at - j->write) + 15) & ~(size_t)15);
}

/* System V ABI: what a function keeps.  Seven words below the return address leave the stack aligned. */
static const uint8_t saved[] = { H_RBX, H_RBP, H_R12, H_R13, H_R14, H_R15 };

static void
make_stubs(struct jit *j)
{
	struct emit e;

	emit_begin(j, &e, 0, j->size);
	for (unsigned i = 0; i < sizeof(saved); i++)
		emit_push(&e, saved[i]);
	emit_alu_ri(&e, 8, ALU_SUB, H_RSP, 8);
	emit_mov_rr(&e, 8, H_R15, H_RDI);
	emit_mov_rr(&e, 8, H_RBP, H_RSI);
	emit_jmp_r(&e, H_RDX);
	j->leave = jit_run_address(j, e.at);
	emit_alu_ri(&e, 8, ALU_ADD, H_RSP, 8);
	for (unsigned i = sizeof(saved); i-- > 0;)
		emit_pop(&e, saved[i]);
	emit_ret(&e);
	j->ops->stubs(j->cpu, j, &e);
	j->used = j->stubs = (size_t)(e.at - j->write);
	j->cold_at = j->cold_used = (j->size - j->size / 100 * j->ops->cold) & ~(size_t)15;
	j->cold_ready = j->cold_at & ~(size_t)4095;
}

typedef uint64_t jit_way_in(void *core, void *base, const void *first, uint64_t arg);

uint64_t
jit_run(struct jit *j, void *core, void *base, const void *first, uint64_t arg)
{
	jit_way_in *in;

	memcpy(&in, &j->run, sizeof(in));	/* the first of the stubs */
	soft_count(j->cpu, VM_STAT_JIT_ENTRIES, 1);
	return (in(core, base, first, arg));
}

static void
release(struct jit *j)
{
	if (j->write != NULL)
		(void)munmap(j->write, j->size);
	if (j->run != NULL)
		(void)munmap((void *)(uintptr_t)j->run, j->size);
	if (j->data != NULL)
		(void)munmap(j->data, j->data_size);
	if (j->map >= 0)
		(void)close(j->map);
	free(j);
}

int
jit_create(struct soft_cpu *cpu, const struct jit_ops *ops, struct jit **jit)
{
	const struct vm_jit *set = &cpu->vcpu->vm->jit;
	struct jit *j;
	void *p;

	*jit = NULL;
	if (set->how == VM_JIT_OFF)
		return (0);
	if (!host_can()) {
		return (set->how == VM_JIT_ON ? vm_fail(ENOTSUP, "soft: native code needs LAHF in 64-bit mode, which this processor lacks") : 0);
	}
	j = calloc(1, sizeof(*j));
	if (j == NULL)
		return (vm_fail(ENOMEM, "soft: no memory for native code"));
	j->cpu = cpu;
	j->ops = ops;
	j->map = -1;
	if (set->map && map_open(j) != 0) {
		release(j);
		return (-1);
	}
	j->hot = set->hot == 0 ? HOT : set->hot;
	j->size = set->size == 0 ? SIZE : set->size < 4 * ROOM ? 4 * ROOM : (set->size + 4095) & ~(size_t)4095;
	j->data_size = j->size;
	p = mmap(NULL, j->data_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p != MAP_FAILED) {
		j->data = p;
		(void)madvise(p, j->data_size, MADV_HUGEPAGE);
	}
	if (j->data == NULL || map_code(j) != 0) {
		release(j);
		return (set->how == VM_JIT_ON ? vm_fail(errno, "soft: there can be no memory that runs native code here: %s",
		    strerror(errno)) : 0);
	}
	make_stubs(j);
	*jit = j;
	return (0);
}

void
jit_free(struct jit *j)
{
	if (j != NULL)
		release(j);
}

/* Translations */

void *
jit_alloc(struct jit *j, size_t size)
{
	void *p = j->data + j->data_used;

	size = (size + 15) & ~(size_t)15;
	if (size > j->data_size - j->data_used)
		return (NULL);
	j->data_used += size;
	memset(p, 0, size);
	return (p);
}

void
jit_flush(struct jit *j)
{
	for (struct jit_block *b = j->all; b != NULL; b = b->next) {
		if (b->block != NULL) {
			b->block->jit = NULL;
			b->block->heat = 0;
		}
	}
	j->all = NULL;
	j->used = j->stubs;
	j->cold_used = j->cold_at;
	j->data_used = 0;
	soft_count(j->cpu, VM_STAT_JIT_FLUSHES, 1);
	j->ops->flushed(j->cpu);
}

const void *
jit_count(struct jit *j, struct soft_block *b)
{
	struct jit_block *jb;
	struct emit e;
	bool made;

	if (b->debug || ++b->heat < j->hot)
		return (NULL);
	b->heat = 0;
	if (j->cold_at - j->used < ROOM || j->data_size - j->data_used < ROOM ||
	    (j->ops->cold != 0 && j->size - j->cold_used < ROOM))
		jit_flush(j);
	make_ready(j, &j->ready, j->used + ROOM);
	if (j->ops->cold != 0)
		make_ready(j, &j->cold_ready, j->cold_used + ROOM);
	jb = jit_alloc(j, sizeof(*jb));
	emit_begin(j, &e, j->used, j->cold_at);
	emit_begin(j, &j->cold, j->cold_used, j->size);
	jb->block = b;
	jb->entry = jit_run_address(j, e.at);
	made = j->ops->translate(j->cpu, j, jb, &e);
	if (!made || e.full || j->cold.full)
		return (NULL);
	soft_count(j->cpu, VM_STAT_JIT_BYTES, (uint64_t)(e.at - e.start) + (uint64_t)(j->cold.at - j->cold.start));
	soft_count(j->cpu, VM_STAT_JIT_BLOCKS, 1);
	map_add(j, jb, (size_t)(e.at - e.start));
	j->used = used_up(j, &e);
	j->cold_used = used_up(j, &j->cold);
	jb->next = j->all;
	j->all = jb;
	b->jit = jb;
	return (jb->entry);
}

/* From jump to jump */

struct jit_link *
jit_link(struct jit *j, struct emit *e)
{
	struct jit_link *l = jit_alloc(j, sizeof(*l));

	if (l != NULL)
		l->rel = e->at - 4;
	return (l);
}

/*
 * The processor that runs the code is the one that writes it, and has left it meanwhile.  The displacement is written whole: it may be in a line
 * that is being executed further up.
 */
static void
turn(struct jit_link *l, const uint8_t *to)
{
	uint32_t rel = (uint32_t)(to - (l->rel + 4));

	host_store(l->rel, 4, rel);
}

static void
take_out(struct jit_link *l)
{
	struct jit_link **p = &l->to->in;

	while (*p != NULL && *p != l)
		p = &(*p)->next;
	if (*p != NULL)
		*p = l->next;
	l->to = NULL;
}

void
jit_join(struct jit *j, struct jit_link *l, struct jit_block *to)
{
	if (l->to != to) {
		if (l->to != NULL)
			take_out(l);
		l->to = to;
		l->next = to->in;
		to->in = l;
		turn(l, j->write + ((const uint8_t *)to->entry - j->run));
	}
	soft_count(j->cpu, VM_STAT_JIT_LINKS, 1);
}

void
jit_detour(struct jit *j, struct jit_link *l)
{
	if (l->to != NULL)
		take_out(l);
	turn(l, l->detour);
	soft_count(j->cpu, VM_STAT_JIT_LINKS, 1);
}

void
jit_drop(struct jit *j, struct soft_block *b)
{
	struct jit_block *jb = b->jit;
	struct jit_link *next;

	if (jb == NULL)
		return;
	for (struct jit_link *l = jb->in; l != NULL; l = next) {
		next = l->next;
		l->to = NULL;
		turn(l, l->out);
	}
	jb->in = NULL;
	jb->block = NULL;
	b->jit = NULL;
}
