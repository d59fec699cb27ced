/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prealloc.c - all of a guest's RAM from the host at once.
 *
 * Threads take pieces in turn, each of which the kernel fills in one call.  A host that has no more memory refuses that call, where a store would
 * have ended the process.
 */
#include <sys/mman.h>

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "log.h"
#include "prealloc.h"

#define	PIECE		((size_t)64 << 20)	/* bytes that a thread takes at once */
#define	MAX_THREADS	16U
#define	MAX_PARTS	8U
#define	TELL_S		3			/* seconds between two lines of the log */

#ifndef MADV_POPULATE_WRITE
#define	MADV_POPULATE_WRITE	23
#endif

/* A mapping of RAM. */
struct part {
	uint8_t		*host;
	size_t		 len;
};

struct work {
	struct part	 part[MAX_PARTS];
	unsigned	 nparts;
	size_t		 total;
	_Atomic size_t	 next, done;		/* bytes, counted through all parts */
	_Atomic int	 error;
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;			/* a thread has ended */
	unsigned	 left;			/* threads */
};

/* Kernels before 5.14 have no such call: a store into each page, of what it has.  Nobody else is at it yet. */
static int
fill(uint8_t *host, size_t len)
{
	volatile uint8_t *page = host;

	if (madvise(host, len, MADV_POPULATE_WRITE) == 0)
		return (0);
	if (errno != EINVAL)
		return (errno);
	for (size_t i = 0; i < len; i += VM_PAGE_SIZE)
		page[i] = page[i];
	return (0);
}

static void *
worker(void *arg)
{
	struct work *w = arg;
	size_t at;

	while (atomic_load(&w->error) == 0 && (at = atomic_fetch_add(&w->next, PIECE)) < w->total) {
		size_t off = at, left = w->total - at < PIECE ? w->total - at : PIECE;

		/* A piece may have ends of two parts. */
		for (unsigned i = 0; i < w->nparts && left > 0; i++) {
			const struct part *p = &w->part[i];
			size_t n;
			int error;

			if (off >= p->len) {
				off -= p->len;
				continue;
			}
			n = p->len - off < left ? p->len - off : left;
			error = fill(p->host + off, n);
			if (error != 0) {
				atomic_store(&w->error, error);
				break;
			}
			atomic_fetch_add(&w->done, n);
			left -= n;
			off = 0;
		}
	}
	pthread_mutex_lock(&w->lock);
	w->left--;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	return (NULL);
}

/* Tell how far it is until all threads have ended. */
static void
wait_for_all(struct work *w, struct log *log)
{
	struct timespec ts;

	pthread_mutex_lock(&w->lock);
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	while (w->left > 0) {
		ts.tv_sec += TELL_S;
		while (w->left > 0 && pthread_cond_timedwait(&w->cond, &w->lock, &ts) != ETIMEDOUT)
			continue;
		if (w->left > 0)
			log_msg(log, LOG_LEVEL_INFO, "memory", "%zu of %zu MiB are allocated", atomic_load(&w->done) >> 20, w->total >> 20);
	}
	pthread_mutex_unlock(&w->lock);
}

/* Where RAM is: what the library mapped of its segment. */
static int
find_parts(struct vmctx *vm, struct work *w)
{
	vm_paddr_t gpa = 0;
	vm_ooffset_t off;
	int seg, prot, flags;
	size_t len;

	for (; vm_mmap_getnext(vm, &gpa, &seg, &off, &len, &prot, &flags) == 0; gpa += len) {
		if (seg != VM_SYSMEM || w->nparts == MAX_PARTS)
			continue;
		w->part[w->nparts].host = vm_map_gpa(vm, gpa, len);
		if (w->part[w->nparts].host == NULL)
			return (vmm_fail(errno, "memory.prealloc: %s", vm_errmsg()));
		w->part[w->nparts++].len = len;
		w->total += len;
	}
	return (0);
}

int
vmm_prealloc(struct vmctx *vm, struct log *log)
{
	struct work w = { .total = 0 };
	pthread_t thread[MAX_THREADS];
	pthread_condattr_t attr;
	unsigned want, n = 0;
	cpu_set_t cpus;
	int error;

	if (find_parts(vm, &w) != 0)
		return (-1);
	want = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (unsigned)CPU_COUNT(&cpus) : 1;
	if (want > MAX_THREADS)
		want = MAX_THREADS;
	if (want > (w.total + PIECE - 1) / PIECE)
		want = (unsigned)((w.total + PIECE - 1) / PIECE);
	pthread_mutex_init(&w.lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&w.cond, &attr);
	pthread_condattr_destroy(&attr);
	w.left = want;
	while (n < want && pthread_create(&thread[n], NULL, worker, &w) == 0)
		n++;
	if (n < want) {
		pthread_mutex_lock(&w.lock);
		w.left -= want - n;
		pthread_mutex_unlock(&w.lock);
	}
	wait_for_all(&w, log);
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(thread[i], NULL);
	pthread_cond_destroy(&w.cond);
	pthread_mutex_destroy(&w.lock);
	error = n == 0 && want != 0 ? EAGAIN : atomic_load(&w.error);
	if (error != 0)
		return (vmm_fail(error, "memory.prealloc: the host gave %zu of %zu MiB of RAM: %s: it has less memory free, or this process may not have "
		    "more (see memory.max of its cgroup)", atomic_load(&w.done) >> 20, w.total >> 20, strerror(error)));
	return (0);
}
