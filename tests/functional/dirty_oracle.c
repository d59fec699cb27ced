/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dirty_oracle.c - no page ever differs unmarked.
 *
 * A consumer keeps a shadow copy of the arena, which it brings up to date only from pages that a fetch says are dirty.  While two
 * vCPUs and three device threads write all of it, each byte having one writer, the oracle looks after every fetch:
 *
 *   A page that was not in this fetch and differs from the shadow was written after the fetch; the next fetch has to have it.
 *
 * For vCPUs that holds as it stands.  A device's store may be seen before its commit, so device threads announce the pages of
 * their open sections: an announced page that differs is looked at again at the next fetch, when it still differs.
 * From time to time everything is stopped; then, after a fetch, nothing differs at all.
 *
 * The guest's memory is read while others write it.  That is what a migration does, and it is no race the test could avoid: those
 * reads, and only those, are made by look(), which ThreadSanitizer does not watch.
 */
#include <sys/resource.h>

#include <time.h>

#include "harness.h"

#define	PAGES		256U			/* of the arena; the mask below picks one */
#define	WORDS		(PAGES / 64)
#define	ARENA_LEN	((size_t)PAGES * VM_PAGE_SIZE)
#define	NDEVS		3

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define	RACY	__attribute__((no_sanitize("thread"), noinline))
#endif
#elif defined(__SANITIZE_THREAD__)
#define	RACY	__attribute__((no_sanitize("thread"), noinline))
#endif
#ifndef RACY
#define	RACY	__attribute__((noinline))
#endif

struct oracle;

/* A device thread.  It owns bytes 1024 + 512 * n to 1024 + 512 * n + 511 of each page. */
struct dev {
	struct oracle	*o;
	unsigned	 n;
	pthread_t	 thread;
	uint32_t	 lcg;
};

struct oracle {
	struct h_vm	*h;
	const void	*mem;			/* arena, for reading */
	struct dev	 dev[NDEVS];
	_Atomic bool	 stop;
	_Atomic unsigned hold;			/* device threads are to stand still */
	_Atomic unsigned held;			/* so many do */
	_Atomic unsigned busy[PAGES];		/* open sections of a page */
	_Atomic uint64_t writes;
};

struct consumer {
	struct oracle	*o;
	struct vm_dirty	*d;
	unsigned char	*shadow;
	unsigned	 first, npages;		/* of the arena */
	uint64_t	 expect[WORDS];		/* pages that the next fetch must have */
	uint64_t	 bits[WORDS];
	uint64_t	 fetches, pages, suspects;
};

/* Copy a page that is being written to.  Returns whether it differs from ref; copies it to dst unless that is NULL. */
static RACY bool
look(const volatile uint64_t *src, const unsigned char *ref, unsigned char *dst)
{
	bool differs = false;
	uint64_t v, r;

	for (unsigned i = 0; i < VM_PAGE_SIZE / 8; i++) {
		v = src[i];
		__builtin_memcpy(&r, ref + 8 * i, 8);
		differs |= v != r;
		if (dst != NULL)
			__builtin_memcpy(dst + 8 * i, &v, 8);
	}
	return (differs);
}

static bool
bit(const uint64_t *bits, unsigned n)
{
	return ((bits[n / 64] >> n % 64 & 1) != 0);
}

static void
consumer_open(struct consumer *c, struct oracle *o, unsigned first, unsigned npages)
{
	memset(c, 0, sizeof(*c));
	c->o = o;
	c->first = first;
	c->npages = npages;
	CHECK((c->shadow = malloc((size_t)npages * VM_PAGE_SIZE)) != NULL);
	PTR(c->d = vm_dirty_open(o->h->ctx));
	/* Tracked from here on; what is written while this is copied is in the first fetch. */
	for (unsigned i = 0; i < npages; i++) {
		unsigned char *s = c->shadow + (size_t)i * VM_PAGE_SIZE;

		(void)look((const uint64_t *)o->mem + (size_t)(first + i) * VM_PAGE_SIZE / 8, s, s);
	}
}

static void
consumer_close(struct consumer *c)
{
	vm_dirty_close(c->d);
	free(c->shadow);
}

/*
 * Fetch, check what was expected of this fetch, update the shadow, look for pages that differ.  exact: nobody writes now.
 */
static void
consumer_fetch(struct consumer *c, bool exact)
{
	struct oracle *o = c->o;
	vm_paddr_t gpa = o->h->a->arena + (vm_paddr_t)c->first * VM_PAGE_SIZE;

	OK(vm_dirty_fetch(c->d, gpa, (size_t)c->npages * VM_PAGE_SIZE, c->bits));
	c->fetches++;
	for (unsigned i = 0; i < c->npages; i++)
		CHECKF(!bit(c->expect, i) || bit(c->bits, i), "page %u differed and was not in the next fetch (%llu)",
		    c->first + i, (unsigned long long)c->fetches);
	memset(c->expect, 0, sizeof(c->expect));
	for (unsigned i = 0; i < c->npages; i++) {
		const uint64_t *mem = (const uint64_t *)o->mem + (size_t)(c->first + i) * VM_PAGE_SIZE / 8;
		unsigned char *shadow = c->shadow + (size_t)i * VM_PAGE_SIZE;

		if (bit(c->bits, i)) {
			(void)look(mem, shadow, shadow);
			c->pages++;
			continue;
		}
		if (!look(mem, shadow, NULL))
			continue;
		CHECKF(!exact, "page %u differs unmarked", c->first + i);
		/* Seen before its commit perhaps: then its section was announced before and is still open now. */
		if (atomic_load(&o->busy[c->first + i]) == 0) {
			c->expect[i / 64] |= 1ULL << i % 64;
			c->suspects++;
		}
	}
}

/* A consumer whose use of the pages failed: they come again. */
static void
consumer_fail(struct consumer *c)
{
	vm_paddr_t gpa = c->o->h->a->arena + (vm_paddr_t)c->first * VM_PAGE_SIZE;
	uint64_t again[WORDS];

	OK(vm_dirty_fetch(c->d, gpa, (size_t)c->npages * VM_PAGE_SIZE, c->bits));
	c->fetches++;
	for (unsigned i = 0; i < c->npages; i++)
		CHECKF(!bit(c->expect, i) || bit(c->bits, i), "page %u differed and was not in the next fetch",
		    c->first + i);
	memset(c->expect, 0, sizeof(c->expect));
	OK(vm_dirty_merge(c->d, gpa, (size_t)c->npages * VM_PAGE_SIZE, c->bits));
	OK(vm_dirty_fetch(c->d, gpa, (size_t)c->npages * VM_PAGE_SIZE, again));
	for (unsigned i = 0; i < WORDS; i++)
		CHECKF((c->bits[i] & ~again[i]) == 0, "pages merged back did not come again");
	OK(vm_dirty_merge(c->d, gpa, (size_t)c->npages * VM_PAGE_SIZE, again));
}

/* SECTION: writers */

static uint32_t
draw(struct dev *d)
{
	d->lcg = d->lcg * 1664525 + 1013904223;
	return (d->lcg >> 8);
}

static void
announce(struct oracle *o, unsigned page, int by)
{
	if (by > 0)
		atomic_fetch_add(&o->busy[page], 1);
	else
		atomic_fetch_sub(&o->busy[page], 1);
}

/* One write of a random way at a random place. */
static void
dev_write(struct dev *d)
{
	struct oracle *o = d->o;
	struct vmctx *ctx = o->h->ctx;
	unsigned page = draw(d) % (PAGES - 1), off = 1024 + 512 * d->n + draw(d) % 64 * 8;
	vm_paddr_t gpa = o->h->a->arena + (vm_paddr_t)page * VM_PAGE_SIZE + off;
	uint64_t val = (uint64_t)draw(d) << 32 | draw(d);
	struct vm_wsec ws, ws2;

	announce(o, page, 1);
	announce(o, page + 1, 1);
	switch (draw(d) % 4) {
	case 0:
		OK(vm_gpa_write(ctx, gpa, &val, sizeof(val)));
		break;
	case 1:
		PTR(vm_write_begin(ctx, gpa, sizeof(val), &ws));
		memcpy(ws.host, &val, sizeof(val));
		vm_write_commit(&ws);
		break;
	case 2:
		/* A section over two pages, as long as an I/O takes; own bytes at both ends are written. */
		PTR(vm_write_begin(ctx, gpa, VM_PAGE_SIZE + sizeof(val), &ws));
		memcpy(ws.host, &val, sizeof(val));
		sched_yield();
		memcpy((char *)ws.host + VM_PAGE_SIZE, &val, sizeof(val));
		vm_write_commit(&ws);
		break;
	default:
		/* Overlapping sections, one of which is not used. */
		PTR(vm_write_begin(ctx, gpa, sizeof(val), &ws));
		PTR(vm_write_begin(ctx, gpa & ~(vm_paddr_t)(VM_PAGE_SIZE - 1), VM_PAGE_SIZE, &ws2));
		memcpy(ws.host, &val, sizeof(val));
		vm_write_cancel(&ws2);
		vm_write_commit(&ws);
		break;
	}
	announce(o, page, -1);
	announce(o, page + 1, -1);
	atomic_fetch_add(&o->writes, 1);
}

static void *
dev_thread(void *arg)
{
	struct dev *d = arg;
	struct oracle *o = d->o;

	while (!atomic_load(&o->stop)) {
		if (atomic_load(&o->hold) != 0) {
			atomic_fetch_add(&o->held, 1);
			while (atomic_load(&o->hold) != 0)
				h_nap();
			atomic_fetch_sub(&o->held, 1);
			continue;
		}
		dev_write(d);
	}
	return (NULL);
}

static void
hold_all(struct oracle *o)
{
	OK(vm_pause(o->h->ctx));
	atomic_store(&o->hold, 1);
	while (atomic_load(&o->held) < NDEVS)
		h_nap();
}

static void
release_all(struct oracle *o)
{
	atomic_store(&o->hold, 0);
	while (atomic_load(&o->held) != 0)
		h_nap();
	OK(vm_resume(o->h->ctx));
}

/* SECTION: cases */

static void
oracle_open(struct oracle *o, const struct h_target *t)
{
	const struct h_opts opts = { .ncpu = 2 };
	struct h_vm *h = h_open(t, "dirty", &opts);

	memset(o, 0, sizeof(*o));
	o->h = h;
	h_param(h, 0, (PAGES - 1) * VM_PAGE_SIZE);
	h_param(h, 1, 64);
	h_param(h, 4, 0x1234567);
	h_param(h, 5, 0x89abcdef);
	PTR(o->mem = vm_map_read(h->ctx, h->a->arena, ARENA_LEN));
}

static void
oracle_start(struct oracle *o)
{
	h_start(o->h);
	for (unsigned i = 0; i < NDEVS; i++) {
		o->dev[i] = (struct dev){ .o = o, .n = i, .lcg = i * 7919 + 1 };
		CHECK_EQ(pthread_create(&o->dev[i].thread, NULL, dev_thread, &o->dev[i]), 0);
	}
}

/* Has everyone written something?  On a busy host a thread may not have had its turn for seconds. */
static bool
oracle_writes(struct oracle *o)
{
	return (atomic_load(&o->writes) > 100 && atomic_load(&o->h->asked[0]) > 2 && atomic_load(&o->h->asked[1]) > 2);
}

static void
oracle_stop(struct oracle *o)
{
	while (!oracle_writes(o))
		h_nap();
	atomic_store(&o->stop, true);
	for (unsigned i = 0; i < NDEVS; i++)
		CHECK_EQ(pthread_join(o->dev[i].thread, NULL), 0);
	atomic_store(&o->h->stop, true);
	h_join(o->h);
}

/* Everyone wrote, and it was seen. */
static void
oracle_wrote(struct oracle *o)
{
	CHECK(atomic_load(&o->writes) > 100);
	for (unsigned i = 0; i < 2; i++)
		CHECK(h_result(o->h, i) > 100);
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000);
}

#define	RUN_MS		(3000 * test_long(10))

H_TEST(oracle, H_ALL)
{
	struct oracle o;
	struct consumer c;
	uint64_t end;

	oracle_open(&o, t);
	consumer_open(&c, &o, 0, PAGES);
	oracle_start(&o);
	end = now_ms() + RUN_MS;
	while (now_ms() < end || c.pages <= PAGES) {
		consumer_fetch(&c, false);
		if (c.fetches % 64 == 0) {
			hold_all(&o);
			consumer_fetch(&c, true);
			release_all(&o);
		}
	}
	oracle_stop(&o);
	consumer_fetch(&c, true);
	oracle_wrote(&o);
	CHECK(c.pages > PAGES);
	consumer_close(&c);
	h_close(o.h);
}

/* A display and two migrations, one of which fails now and then: none takes another's pages.  One comes late. */
struct watcher {
	struct oracle	*o;
	unsigned	 first, npages;
	bool		 fails;
	pthread_t	 thread;
	struct consumer	 c;
};

static void *
watcher_thread(void *arg)
{
	struct watcher *w = arg;
	uint64_t end = now_ms() + RUN_MS;

	consumer_open(&w->c, w->o, w->first, w->npages);
	while (now_ms() < end) {
		consumer_fetch(&w->c, false);
		if (w->fails && w->c.fetches % 3 == 0)
			consumer_fail(&w->c);
		if (!w->fails)
			h_nap();
	}
	return (NULL);
}

H_TEST(oracle_consumers, H_ALL)
{
	struct oracle o;
	struct watcher w[3] = {
		{ .o = &o, .first = 0, .npages = PAGES },
		{ .o = &o, .first = 0, .npages = PAGES, .fails = true },
		{ .o = &o, .first = 70, .npages = 30 },
	};
	struct consumer late;

	oracle_open(&o, t);
	oracle_start(&o);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(pthread_create(&w[i].thread, NULL, watcher_thread, &w[i]), 0);
	for (int i = 0; i < 200; i++)
		h_nap();
	consumer_open(&late, &o, 0, PAGES);
	for (int i = 0; i < 50; i++)
		consumer_fetch(&late, false);
	for (unsigned i = 0; i < 3; i++)
		CHECK_EQ(pthread_join(w[i].thread, NULL), 0);
	oracle_stop(&o);
	for (unsigned i = 0; i < 3; i++) {
		consumer_fetch(&w[i].c, true);
		consumer_close(&w[i].c);
	}
	consumer_fetch(&late, true);
	consumer_close(&late);
	oracle_wrote(&o);
	h_close(o.h);
}

/* Tracking switched off and on again starts clean and misses nothing from then on. */
H_TEST(oracle_reopened, H_ALL)
{
	struct oracle o;
	struct consumer c;

	oracle_open(&o, t);
	oracle_start(&o);
	for (int i = 0; i < 20; i++) {
		consumer_open(&c, &o, 0, PAGES);
		for (int j = 0; j < 20; j++)
			consumer_fetch(&c, false);
		hold_all(&o);
		consumer_fetch(&c, true);
		consumer_fetch(&c, true);
		CHECK_EQ(c.bits[0] | c.bits[1] | c.bits[2] | c.bits[3], 0);	/* nobody wrote since */
		release_all(&o);
		consumer_close(&c);
	}
	oracle_stop(&o);
	oracle_wrote(&o);
	h_close(o.h);
}

static bool
exit_ignore(struct h_cpu *cpu, struct vm_exit *exit)
{
	return (exit->code == VM_EXIT_MMIO);
}

/* Write protection coming and going keeps what was marked; what is written to protected memory is nobody's. */
H_TEST(oracle_mprotect, H_ALL)
{
	struct oracle o;
	struct consumer c;
	vm_paddr_t gpa;
	unsigned n = 0;

	oracle_open(&o, t);
	o.h->on_exit = exit_ignore;
	consumer_open(&c, &o, 0, PAGES);
	h_start(o.h);
	for (int i = 0; i < 40; i++) {
		gpa = o.h->a->arena + (vm_paddr_t)(i * 5 % (int)PAGES) * VM_PAGE_SIZE;
		if (vm_mprotect_memseg(o.h->ctx, gpa, 3 * VM_PAGE_SIZE, VM_PROT_READ | VM_PROT_EXEC) != 0)
			FAIL("mprotect: %s", vm_errmsg());
		if (i % 4 == 3)
			consumer_fetch(&c, false);
		OK(vm_mprotect_memseg(o.h->ctx, gpa, 3 * VM_PAGE_SIZE, VM_PROT_ALL));
		n++;
	}
	CHECK_EQ(n, 40);
	atomic_store(&o.h->stop, true);
	h_join(o.h);
	consumer_fetch(&c, true);
	consumer_close(&c);
	h_close(o.h);
}

/* SECTION: the mode that catches an unmarked write */

/* Do fn in a child: the signal that ended it, 0 if it returned. */
static int
child_signal(void (*fn)(struct h_vm *h), struct h_vm *h)
{
	int status;
	pid_t pid;

	fflush(NULL);
	CHECK((pid = fork()) >= 0);
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };

		/* A sanitizer's handler would turn the signal into a report: here it is the expected end. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		setrlimit(RLIMIT_CORE, &none);
		fn(h);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECKF(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "exit status %d", WEXITSTATUS(status));
	return (WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void
store_unmarked(struct h_vm *h)
{
	union {
		const void	*r;
		volatile char	*w;
	} p = { .r = vm_map_read(h->ctx, h->a->arena, 64) };

	*p.w = 1;
}

static void
store_after_commit(struct h_vm *h)
{
	struct vm_wsec ws;
	volatile char *p = vm_write_begin(h->ctx, h->a->arena, 64, &ws);

	*p = 1;
	vm_write_commit(&ws);
	*p = 2;
}

static void
store_marked(struct h_vm *h)
{
	struct vm_wsec ws;
	volatile char *p = vm_write_begin(h->ctx, h->a->arena, 64, &ws);

	*p = 1;
	vm_write_commit(&ws);
	if (vm_gpa_write(h->ctx, h->a->arena + 64, "x", 1) != 0)
		_exit(1);
}

H_TEST(check_writes, H_SOFT)
{
	const struct h_opts o = { .flags = VM_SPEC_CHECK_WRITES };
	struct h_vm *h = h_open(t, "selfstate", &o);
	const unsigned char *read;
	struct vm_wsec ws;
	unsigned char *w;

	CHECK_EQ(child_signal(store_unmarked, h), SIGSEGV);
	CHECK_EQ(child_signal(store_after_commit, h), SIGSEGV);
	CHECK_EQ(child_signal(store_marked, h), 0);

	/* What a section writes is what readers see, at once and afterwards. */
	PTR(read = vm_map_read(h->ctx, h->a->arena + 100, 2 * VM_PAGE_SIZE));
	PTR(w = vm_write_begin(h->ctx, h->a->arena + 100, 2 * VM_PAGE_SIZE, &ws));
	CHECK(w == ws.host);
	w[0] = 0x11;
	w[2 * VM_PAGE_SIZE - 1] = 0x22;
	CHECK_EQ(*(const volatile unsigned char *)&read[0], 0x11);
	CHECK_EQ(*(const volatile unsigned char *)&read[2 * VM_PAGE_SIZE - 1], 0x22);
	vm_write_commit(&ws);
	CHECK_EQ(h_read(h, h->a->arena + 100, 1), 0x11);
	CHECK_EQ(vm_rev_map_gpa(h->ctx, read), h->a->arena + 100);
	h_close(h);

	/* Without the mode nothing stops it. */
	h = h_open(t, "selfstate", NULL);
#ifndef HYVE_CHECK_WRITES
	CHECK_EQ(child_signal(store_unmarked, h), 0);
#endif
	h_close(h);
}

/* The oracle in that mode: no writer of the library's own is caught. */
H_TEST(oracle_check_writes, H_ALL)
{
	const struct h_opts opts = { .ncpu = 2, .flags = VM_SPEC_CHECK_WRITES };
	struct oracle o = { .h = h_open(t, "dirty", &opts) };
	struct consumer c;

	h_param(o.h, 0, (PAGES - 1) * VM_PAGE_SIZE);
	h_param(o.h, 1, 64);
	h_param(o.h, 4, 1);
	h_param(o.h, 5, 2);
	PTR(o.mem = vm_map_read(o.h->ctx, o.h->a->arena, ARENA_LEN));
	consumer_open(&c, &o, 0, PAGES);
	oracle_start(&o);
	for (int i = 0; i < 200; i++)
		consumer_fetch(&c, false);
	oracle_stop(&o);
	consumer_fetch(&c, true);
	consumer_close(&c);
	h_close(o.h);
}

TEST_MAIN()
