/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host.c - the native program as seen from outside: started, given batches, watched.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "diff.h"

#define	HANG_CPU	2.0	/* seconds that the processor spends on one case */
#define	HANG_MS		60000	/* without any progress */

struct diff_host {
	pid_t		 pid;
	int		 fd[4];		/* the program's, in the order of diff.h */
	const char	*program;
	struct diff_shared *shared;
	char		 why[160];
};

#define	GO	(DIFF_FD_GO - DIFF_FD_SHARED)
#define	DONE	(DIFF_FD_DONE - DIFF_FD_SHARED)

static void
say(struct diff_host *h, const char **why, const char *what)
{
	snprintf(h->why, sizeof(h->why), "%s: %s", what, strerror(errno));
	*why = h->why;
}

/* In the child: nothing but the descriptors that it needs, with the numbers that it expects. */
static void
become(const char *program, const int fd[4])
{
	char name[] = "diff-native", *const argv[] = { name, NULL }, *const env[] = { NULL };
	int high[4];

	for (unsigned i = 0; i < 4; i++)
		if ((high[i] = fcntl(fd[i], F_DUPFD, 16)) < 0)
			_exit(97);
	for (unsigned i = 0; i < 4; i++)
		if (dup2(high[i], DIFF_FD_SHARED + (int)i) < 0)
			_exit(97);
	if (close_range(DIFF_FD_SHARED + 4, ~0U, 0) != 0)
		_exit(97);
	execve(program, argv, env);
	_exit(96);
}

static int
spawn(struct diff_host *h, const char **why)
{
	h->pid = fork();
	if (h->pid == 0)
		become(h->program, h->fd);
	if (h->pid > 0)
		return (0);
	h->pid = 0;
	say(h, why, "fork");
	return (-1);
}

struct diff_host *
host_start(const char *program, struct diff_shared **shared, const char **why)
{
	static const char *const names[] = { "hyve-diff", "hyve-diff-code" };
	const off_t sizes[] = { sizeof(struct diff_shared), 2 * DIFF_PAGE };
	struct diff_host *h = calloc(1, sizeof(*h));

	*why = "cannot prepare the native program";
	if (h == NULL)
		return (NULL);
	h->program = program;
	h->shared = MAP_FAILED;
	for (unsigned i = 0; i < 4; i++)
		h->fd[i] = i < 2 ? memfd_create(names[i], MFD_CLOEXEC) : eventfd(0, EFD_CLOEXEC);
	for (unsigned i = 0; i < 4; i++)
		if (h->fd[i] < 0 || (i < 2 && ftruncate(h->fd[i], sizes[i]) != 0))
			goto fail;
	h->shared = mmap(NULL, sizeof(*h->shared), PROT_READ | PROT_WRITE, MAP_SHARED, h->fd[0], 0);
	if (h->shared == MAP_FAILED || spawn(h, why) != 0)
		goto fail;
	*shared = h->shared;
	return (h);
fail:
	host_stop(h);
	return (NULL);
}

/* Why it is not there any more. */
static int
ended(struct diff_host *h, const char **why)
{
	int status;

	if (waitpid(h->pid, &status, 0) != h->pid)
		snprintf(h->why, sizeof(h->why), "the native program is lost");
	else if (WIFSIGNALED(status))
		snprintf(h->why, sizeof(h->why),
		    "the native program died of signal %d in case %u of "
		    "its batch",
		    WTERMSIG(status), h->shared->at);
	else
		snprintf(h->why, sizeof(h->why),
		    "the native program ended with %d in case %u of its "
		    "batch",
		    WEXITSTATUS(status), h->shared->at);
	h->pid = 0;
	*why = h->why;
	return (-1);
}

static double
cpu_time(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &ts) != 0)
		return (0);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

/* Begin again without the case that hangs. */
static int
hung(struct diff_host *h, const char **why)
{
	uint64_t word;

	kill(h->pid, SIGKILL);
	waitpid(h->pid, NULL, 0);
	h->pid = 0;
	/* It may have taken the word or not, and may have been about to say that it is done. */
	for (unsigned i = 2; i < 4; i++) {
		struct pollfd pfd = { .fd = h->fd[i], .events = POLLIN };

		if (poll(&pfd, 1, 0) > 0 && read(h->fd[i], &word, sizeof(word)) < 0)
			say(h, why, "eventfd");
	}
	return (spawn(h, why) == 0 ? 1 : -1);
}

int
host_run(struct diff_host *h, const char **why)
{
	uint64_t word = 1;
	uint32_t at = ~0U;
	double since = 0;
	int idle = 0, r;

	if (h->pid == 0)
		return (-1);
	if (write(h->fd[GO], &word, sizeof(word)) != (ssize_t)sizeof(word)) {
		say(h, why, "eventfd");
		return (-1);
	}
	for (;;) {
		struct pollfd pfd = { .fd = h->fd[DONE], .events = POLLIN };
		siginfo_t info = { .si_pid = 0 };

		r = poll(&pfd, 1, 200);
		if (r > 0 && read(h->fd[DONE], &word, sizeof(word)) == (ssize_t)sizeof(word))
			return (0);
		if (r < 0 && errno != EINTR) {
			say(h, why, "poll");
			return (-1);
		}
		if (waitid(P_PID, (id_t)h->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid != 0)
			return (ended(h, why));
		idle += 200;
		if (at != h->shared->at) {
			at = h->shared->at;
			since = cpu_time(h->pid);
			idle = 0;
		} else if (cpu_time(h->pid) - since > HANG_CPU || idle >= HANG_MS) {
			return (hung(h, why));
		}
	}
}

void
host_stop(struct diff_host *h)
{
	if (h == NULL)
		return;
	if (h->pid != 0) {
		kill(h->pid, SIGKILL);
		waitpid(h->pid, NULL, 0);
	}
	for (unsigned i = 0; i < 4; i++)
		if (h->fd[i] >= 0)
			close(h->fd[i]);
	if (h->shared != MAP_FAILED)
		munmap(h->shared, sizeof(*h->shared));
	free(h);
}
