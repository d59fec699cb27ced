/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fdwatch.c - the thread of a VM that waits for eventfds, made when the first one is added.
 *
 * It stands in for the kernel where a back end cannot bind an eventfd itself, and it receives what
 * a back end reports by eventfd.  Watches are found by descriptor and generation, so that an event
 * of a watch that went away is nobody's.
 *
 * fw->lock is below every other lock of the library; no lock is held while a watch's function runs.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define	NEVENTS		16

struct watch {
	fdwatch_fn	*fn;			/* NULL: not in use */
	void		*arg;
	uint32_t	 gen;
};

struct fdwatch {
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;			/* a call returned */
	pthread_t	 thread;
	bool		 started, stop;
	int		 epfd;
	int		 wakefd;		/* tells the thread to stop */
	struct watch	*watches;		/* by descriptor */
	size_t		 nwatches;
	int		 running;		/* descriptor whose function runs, -1 */
};

/*
 * Read the eventfd without ever blocking on it: someone else may have emptied it since epoll
 * reported it.  1: it had counted, 0: it had not, -1: it will never again.
 */
static int
watch_read(int fd, uint64_t *count)
{
	struct iovec iov = { .iov_base = count, .iov_len = sizeof(*count) };
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	ssize_t n;

	n = preadv2(fd, &iov, 1, -1, RWF_NOWAIT);
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) {
		if (poll(&pfd, 1, 0) != 1 || (pfd.revents & POLLIN) == 0)
			return (0);
		n = read(fd, count, sizeof(*count));
	}
	if (n == (ssize_t)sizeof(*count))
		return (1);
	return (n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1);
}

static void
watch_event(struct fdwatch *fw, int fd, uint32_t gen)
{
	struct watch w;
	uint64_t count;
	int ready;

	pthread_mutex_lock(&fw->lock);
	if ((size_t)fd >= fw->nwatches || fw->watches[fd].fn == NULL || fw->watches[fd].gen != gen) {
		pthread_mutex_unlock(&fw->lock);
		return;
	}
	w = fw->watches[fd];
	fw->running = fd;
	pthread_mutex_unlock(&fw->lock);

	/* fdwatch_del() waits from here on, so the descriptor is still the caller's. */
	ready = watch_read(fd, &count);
	if (ready > 0)
		w.fn(w.arg, count);
	else if (ready < 0)
		(void)epoll_ctl(fw->epfd, EPOLL_CTL_DEL, fd, NULL);

	pthread_mutex_lock(&fw->lock);
	fw->running = -1;
	pthread_cond_broadcast(&fw->cond);
	pthread_mutex_unlock(&fw->lock);
}

static void *
watch_thread(void *arg)
{
	struct fdwatch *fw = arg;
	struct epoll_event ev[NEVENTS];
	bool stop;
	int n;

	for (;;) {
		n = epoll_wait(fw->epfd, ev, NEVENTS, -1);
		pthread_mutex_lock(&fw->lock);
		stop = fw->stop;
		pthread_mutex_unlock(&fw->lock);
		if (stop || (n < 0 && errno != EINTR))
			return (NULL);
		for (int i = 0; i < n; i++) {
			int fd = (int)(ev[i].data.u64 & UINT32_MAX);

			if (fd != fw->wakefd)
				watch_event(fw, fd, (uint32_t)(ev[i].data.u64 >> 32));
		}
	}
}

static void
watch_free(struct fdwatch *fw)
{
	if (fw->epfd >= 0)
		(void)close(fw->epfd);
	if (fw->wakefd >= 0)
		(void)close(fw->wakefd);
	pthread_cond_destroy(&fw->cond);
	pthread_mutex_destroy(&fw->lock);
	free(fw->watches);
	free(fw);
}

/*
 * The VM's watcher, made if there is none.  Callers may hold any lock, so this takes none: who
 * loses the race frees.
 */
static struct fdwatch *
watch_get(struct vmctx *vm)
{
	struct fdwatch *fw = __atomic_load_n(&vm->fdwatch, __ATOMIC_ACQUIRE), *none = NULL;
	struct epoll_event ev = { .events = EPOLLIN };

	if (fw != NULL)
		return (fw);
	fw = calloc(1, sizeof(*fw));
	if (fw == NULL)
		return (vm_fail_null(ENOMEM, "vm '%s': event thread: out of memory", vm->name));
	pthread_mutex_init(&fw->lock, NULL);
	pthread_cond_init(&fw->cond, NULL);
	fw->running = -1;
	fw->epfd = epoll_create1(EPOLL_CLOEXEC);
	fw->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ev.data.u64 = (uint32_t)fw->wakefd;
	if (fw->epfd < 0 || fw->wakefd < 0 || epoll_ctl(fw->epfd, EPOLL_CTL_ADD, fw->wakefd, &ev) != 0) {
		int error = errno;

		watch_free(fw);
		return (vm_fail_null(error, "vm '%s': event thread: %s", vm->name, strerror(error)));
	}
	if (!__atomic_compare_exchange_n(&vm->fdwatch, &none, fw, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		watch_free(fw);
		fw = none;
	}
	return (fw);
}

/*
 * Start the thread with every signal blocked: signals are the program's business.  fw->lock is
 * held.
 */
static int
watch_start(struct vmctx *vm, struct fdwatch *fw)
{
	int error;

	if (fw->started)
		return (0);
	error = vm_thread(&fw->thread, watch_thread, fw);
	if (error != 0)
		return (vm_fail_sys(error, "vm '%s': event thread", vm->name));
	fw->started = true;
	return (0);
}

static int
watch_room(struct vmctx *vm, struct fdwatch *fw, int fd)
{
	size_t n = fw->nwatches == 0 ? 64 : fw->nwatches;
	struct watch *more;

	while (n <= (size_t)fd)
		n *= 2;
	if (n == fw->nwatches)
		return (0);
	more = realloc(fw->watches, n * sizeof(*more));
	if (more == NULL)
		return (vm_fail(ENOMEM, "vm '%s': event thread: out of memory", vm->name));
	memset(&more[fw->nwatches], 0, (n - fw->nwatches) * sizeof(*more));
	fw->watches = more;
	fw->nwatches = n;
	return (0);
}

int
fdwatch_add(struct vmctx *vm, int fd, fdwatch_fn *fn, void *arg)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct fdwatch *fw;
	struct watch *w;
	int error = -1;

	if (fd < 0)
		return (vm_fail(EBADF, "vm '%s': descriptor %d cannot be waited for", vm->name, fd));
	fw = watch_get(vm);
	if (fw == NULL)
		return (-1);
	pthread_mutex_lock(&fw->lock);
	if (watch_start(vm, fw) != 0 || watch_room(vm, fw, fd) != 0)
		goto out;
	w = &fw->watches[fd];
	if (w->fn != NULL) {
		(void)vm_fail(EBUSY, "vm '%s': descriptor %d is bound already", vm->name, fd);
		goto out;
	}
	ev.data.u64 = (uint64_t)++w->gen << 32 | (uint32_t)fd;
	if (epoll_ctl(fw->epfd, EPOLL_CTL_ADD, fd, &ev) != 0) {
		(void)vm_fail(errno == EPERM ? EINVAL : errno, "vm '%s': descriptor %d cannot be waited for: %s",
		    vm->name, fd, strerror(errno));
		goto out;
	}
	w->fn = fn;
	w->arg = arg;
	error = 0;
out:
	pthread_mutex_unlock(&fw->lock);
	return (error);
}

void
fdwatch_del(struct vmctx *vm, int fd)
{
	struct fdwatch *fw = __atomic_load_n(&vm->fdwatch, __ATOMIC_ACQUIRE);
	struct watch *w;
	uint32_t gen;

	if (fw == NULL || fd < 0)
		return;
	pthread_mutex_lock(&fw->lock);
	if ((size_t)fd < fw->nwatches && fw->watches[fd].fn != NULL) {
		w = &fw->watches[fd];
		w->fn = NULL;
		gen = w->gen;
		(void)epoll_ctl(fw->epfd, EPOLL_CTL_DEL, fd, NULL);
		/*
		 * Another watch of the same number cannot run before this call ended: there is one
		 * thread.
		 */
		while (fw->running == fd && fw->watches[fd].gen == gen && !pthread_equal(pthread_self(), fw->thread))
			pthread_cond_wait(&fw->cond, &fw->lock);
	}
	pthread_mutex_unlock(&fw->lock);
}

void
fdwatch_fini(struct vmctx *vm)
{
	struct fdwatch *fw = vm->fdwatch;

	if (fw == NULL)
		return;
	pthread_mutex_lock(&fw->lock);
	fw->stop = true;
	pthread_mutex_unlock(&fw->lock);
	(void)eventfd_write(fw->wakefd, 1);
	if (fw->started)
		pthread_join(fw->thread, NULL);
	vm->fdwatch = NULL;
	watch_free(fw);
}
