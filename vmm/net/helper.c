/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * helper.c - a tap in a bridge from hyve-bridge-helper, a small program that may do what this process may not (cmd/bridge_helper.c says what
 * they tell each other).  It is looked for in $HYVE_HELPERS if that is set, and else beside the program and where it was installed.
 */
#include <sys/socket.h>
#include <sys/wait.h>

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "helper.h"

extern char **environ;

static void
find(char path[PATH_MAX])
{
	const char *dir = secure_getenv("HYVE_HELPERS");
	ssize_t n;

	if (dir != NULL) {
		(void)snprintf(path, PATH_MAX, "%s/hyve-bridge-helper", dir);
		return;
	}
	n = readlink("/proc/self/exe", path, PATH_MAX - sizeof("hyve-bridge-helper"));
	if (n > 0) {
		path[n] = '\0';
		(void)strcpy(strrchr(path, '/') + 1, "hyve-bridge-helper");
		if (access(path, X_OK) == 0)
			return;
	}
	(void)snprintf(path, PATH_MAX, "%s/hyve-bridge-helper", HYVE_LIBEXEC_DIR);
}

/* The descriptors of a message; how many. */
static unsigned
take_fds(struct msghdr *msg, int fds[], unsigned max)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		size_t count = c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (n < max)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return (n);
}

/* The helper's answer on a socket. */
static int
answer(const char *who, int sock, char name[IFNAMSIZ], unsigned n, int fds[])
{
	char text[512];
	struct iovec iov = { text, sizeof(text) - 1 };
	union {
		struct cmsghdr	head;
		char		room[CMSG_SPACE(TAPDEV_QUEUES_MAX * sizeof(int))];
	} control;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t len;
	unsigned got;

	do {
		len = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	} while (len < 0 && errno == EINTR);
	if (len <= 0)
		return (vmm_fail(EPIPE, "%s: bridge: hyve-bridge-helper ended without an answer", who));
	text[len] = '\0';
	got = take_fds(&msg, fds, n);
	if (text[0] == 0 && got == n && len > 1 && len <= IFNAMSIZ) {
		memcpy(name, text + 1, (size_t)len);
		return (0);
	}
	while (got > 0)
		close(fds[--got]);
	return (vmm_fail(EPERM, "%s: bridge: %s", who, text[0] != 0 ? text + 1 : "hyve-bridge-helper is of another version"));
}

int
helper_open_tap(const char *who, const char *bridge, char name[IFNAMSIZ], unsigned n, int fds[])
{
	char path[PATH_MAX], queues[16];
	char *argv[] = { path, (char *)(uintptr_t)bridge, queues, NULL };
	posix_spawn_file_actions_t actions;
	int sv[2], error, r, saved;
	pid_t pid;

	find(path);
	(void)snprintf(queues, sizeof(queues), "%u", n);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) != 0)
		return (vmm_fail_sys(errno, "%s: socketpair", who));
	error = posix_spawn_file_actions_init(&actions);
	if (error == 0) {
		error = posix_spawn_file_actions_adddup2(&actions, sv[1], STDIN_FILENO);
		if (error == 0)
			error = posix_spawn(&pid, path, &actions, NULL, argv, environ);
		(void)posix_spawn_file_actions_destroy(&actions);
	}
	close(sv[1]);
	if (error != 0) {
		close(sv[0]);
		return (vmm_fail(error, "%s: bridge: cannot start '%s': %s", who, path, strerror(error)));
	}
	r = answer(who, sv[0], name, n, fds);
	saved = errno;
	close(sv[0]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		continue;
	errno = saved;
	return (r);
}
