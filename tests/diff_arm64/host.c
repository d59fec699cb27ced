/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * host.c - the oracle as seen from outside: started, given batches, watched.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diff_arm64.h"

#define	PATIENCE_MS	120000		/* for one batch, on a busy machine */

struct oracle {
	pid_t		 pid;
	int		 go, done;	/* our ends */
	struct arm_batch *batch;
	char		 why[200];
};

/* In the child. */
static void
become(const char *emulator, const char *processor, const char *program, int go, int done, int shared)
{
	const char *const under[] = { emulator, "-cpu", processor, program, NULL }, *const alone[] = { program, NULL };
	int high[3] = { fcntl(go, F_DUPFD, 16), fcntl(done, F_DUPFD, 16), fcntl(shared, F_DUPFD, 16) };

	if (dup2(high[0], ARM_FD_GO) < 0 || dup2(high[1], ARM_FD_DONE) < 0 || dup2(high[2], ARM_FD_SHARED) < 0 ||
	    close_range(ARM_FD_SHARED + 1, ~0U, 0) != 0)
		_exit(97);
	if (emulator != NULL)
		execvp(emulator, (char *const *)(uintptr_t)under);
	else
		execv(program, (char *const *)(uintptr_t)alone);
	_exit(96);
}

struct oracle *
oracle_start(const char *emulator, const char *processor, const char *program, struct arm_batch **batch, const char **why)
{
	struct oracle *o = calloc(1, sizeof(*o));
	int to[2] = { -1, -1 }, from[2] = { -1, -1 }, mem = memfd_create("hyve-diff-arm64", MFD_CLOEXEC);

	*why = "cannot prepare the oracle";
	if (o == NULL)
		return (NULL);
	o->go = o->done = -1;
	o->batch = MAP_FAILED;
	if (mem < 0 || ftruncate(mem, sizeof(*o->batch)) != 0 || pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0 ||
	    (o->batch = mmap(NULL, sizeof(*o->batch), PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0)) == MAP_FAILED)
		goto out;
	o->pid = fork();
	if (o->pid == 0)
		become(emulator, processor, program, to[0], from[1], mem);
	o->go = to[1];
	o->done = from[0];
	to[1] = from[0] = -1;
out:
	for (unsigned i = 0; i < 2; i++) {
		if (to[i] >= 0)
			close(to[i]);
		if (from[i] >= 0)
			close(from[i]);
	}
	if (mem >= 0)
		close(mem);
	if (o->pid <= 0) {
		o->pid = 0;
		oracle_stop(o);
		return (NULL);
	}
	*batch = o->batch;
	return (o);
}

int
oracle_run(struct oracle *o, const char **why)
{
	struct pollfd pfd = { .fd = o->done, .events = POLLIN };
	char byte = 0;
	int status = 0;

	*why = o->why;
	signal(SIGPIPE, SIG_IGN);
	if (write(o->go, &byte, 1) == 1 && poll(&pfd, 1, PATIENCE_MS) == 1 && read(o->done, &byte, 1) == 1)
		return (0);
	kill(o->pid, SIGKILL);
	waitpid(o->pid, &status, 0);
	o->pid = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 96)
		snprintf(o->why, sizeof(o->why), "skip: no qemu-aarch64 to run the oracle");
	else
		snprintf(o->why, sizeof(o->why), "the oracle hangs or ended (status 0x%x) in case %u of its batch, word %08x", (unsigned)status,
		    o->batch->at, o->batch->word[o->batch->at / ARM_SETS % ARM_WORDS]);
	return (-1);
}

void
oracle_stop(struct oracle *o)
{
	if (o == NULL)
		return;
	if (o->go >= 0)
		close(o->go);
	if (o->done >= 0)
		close(o->done);
	if (o->pid != 0) {
		kill(o->pid, SIGKILL);
		waitpid(o->pid, NULL, 0);
	}
	if (o->batch != MAP_FAILED)
		munmap(o->batch, sizeof(*o->batch));
	free(o);
}
