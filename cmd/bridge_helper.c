/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bridge_helper.c - hyve-bridge-helper: makes a tap, puts it into a bridge and hands it to hyve, for users who may not do that themselves.
 *
 *	hyve-bridge-helper BRIDGE QUEUES
 *
 * Standard input is a UNIX socket of type SOCK_SEQPACKET.  One message answers: a byte 0, the tap's name, and its descriptors; or a byte 1
 * and a sentence.
 *
 * It runs with CAP_NET_ADMIN (setcap) or as root (setuid), for a user who is not trusted: it believes its arguments and its standard input as
 * little as a guest, takes nothing from the environment then, and chooses the tap's name itself, for a tap that is there is somebody's.  Who
 * may use which bridge is said by the file HYVE_BRIDGES, which belongs to root alone: lines
 *
 *	BRIDGE all
 *	BRIDGE user NAME...
 *	BRIDGE group NAME...
 *
 * Without the file only root may.
 */
#include <sys/socket.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../vmm/net/tapdev.h"

#define	LINE	1024
#define	BLANKS	" \t\n"

/* The answer that is none, and the end. */
static void __attribute__((noreturn, format(printf, 1, 2)))
refuse(const char *fmt, ...)
{
	char text[512] = { 1 };
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text + 1, sizeof(text) - 1, fmt, ap);
	va_end(ap);
	(void)send(STDIN_FILENO, text, 1 + strlen(text + 1), MSG_NOSIGNAL);
	exit(1);
}

static bool
in_group(gid_t gid)
{
	int n = getgroups(0, NULL);
	gid_t *list = n > 0 ? calloc((size_t)n, sizeof(*list)) : NULL;
	bool found = getgid() == gid;

	n = list != NULL ? getgroups(n, list) : 0;
	for (int i = 0; i < n && !found; i++)
		found = list[i] == gid;
	free(list);
	return (found);
}

/* Whether the user is named by the rest of a line: "all", "user ...", "group ...".  What is none of these is the administrator's mistake. */
static bool
named(char *rest, unsigned line)
{
	char *word, *kind = strtok_r(rest, BLANKS, &rest);
	bool found = kind != NULL && strcmp(kind, "all") == 0, user = kind != NULL && strcmp(kind, "user") == 0;

	if (!found && !user && (kind == NULL || strcmp(kind, "group") != 0))
		refuse("line %u of the list of bridges says neither 'all' nor 'user' nor 'group'", line);
	while (!found && (word = strtok_r(rest, BLANKS, &rest)) != NULL) {
		const struct passwd *pw = user ? getpwnam(word) : NULL;
		const struct group *gr = user ? NULL : getgrnam(word);

		found = user ? pw != NULL && pw->pw_uid == getuid() : gr != NULL && in_group(gr->gr_gid);
	}
	return (found);
}

/* Whether the list lets the user use the bridge. */
static bool
allowed(const char *bridge)
{
	const char *path = secure_getenv("HYVE_BRIDGES") != NULL ? secure_getenv("HYVE_BRIDGES") : HYVE_BRIDGES;
	FILE *file = fopen(path, "re");
	char text[LINE], *rest, *name;
	bool found = false;
	struct stat st;

	if (file == NULL) {
		if (errno == ENOENT && getuid() == 0)
			return (true);
		refuse("the list of bridges that users may use, '%s', cannot be read: %s", path, strerror(errno));
	}
	if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		refuse("'%s' is no file that root alone can write", path);
	for (unsigned line = 1; !found && fgets(text, sizeof(text), file) != NULL; line++) {
		if (strchr(text, '\n') == NULL && !feof(file))
			refuse("line %u of '%s' is too long", line, path);
		name = strtok_r(text, BLANKS, &rest);
		if (name != NULL && name[0] != '#' && strcmp(name, bridge) == 0)
			found = named(rest, line);
	}
	(void)fclose(file);
	return (found);
}

/* Hand the descriptors over. */
static void
give(const char *name, const int *fds, unsigned n)
{
	union {
		struct cmsghdr	head;
		char		room[CMSG_SPACE(TAPDEV_QUEUES_MAX * sizeof(int))];
	} control = { 0 };
	char zero = 0;
	struct iovec iov[2] = { { &zero, 1 }, { (void *)(uintptr_t)name, strlen(name) } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2, .msg_control = &control, .msg_controllen = CMSG_SPACE(n * sizeof(int)) };

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	if (sendmsg(STDIN_FILENO, &msg, MSG_NOSIGNAL) < 0)
		exit(1);
}

/* Whether standard input is a socket on which an answer is meant: on another kind it could be a command that root seems to give. */
static bool
asked(void)
{
	int domain = 0, type = 0;
	socklen_t len = sizeof(domain);

	if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_DOMAIN, &domain, &len) != 0)
		return (false);
	len = sizeof(type);
	return (domain == AF_UNIX && getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET);
}

int
main(int argc, char *argv[])
{
	char name[IFNAMSIZ] = "hyve%d";
	int fds[TAPDEV_QUEUES_MAX], mtu, error;
	const char *bridge = argc == 3 ? argv[1] : "";
	unsigned long n = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

	if (!asked()) {
		(void)fprintf(stderr, "hyve-bridge-helper: hyve calls this for --net tap,bridge=BRIDGE\n");
		return (2);
	}
	(void)close_range(STDERR_FILENO + 1, ~0U, 0);
	if (bridge[0] == '\0' || strlen(bridge) >= IFNAMSIZ || strpbrk(bridge, "/%:" BLANKS) != NULL || n == 0 || n > TAPDEV_QUEUES_MAX)
		refuse("the helper was called with wrong arguments");
	if (!allowed(bridge))
		refuse("you may not use bridge '%.15s'; a line '%.15s user NAME' in the list of bridges would let you", bridge, bridge);
	error = tapdev_get_mtu(bridge, &mtu);
	if (error != 0)
		refuse("bridge '%.15s': %s", bridge, strerror(error));
	error = tapdev_open(name, (unsigned)n, fds);
	if (error != 0)
		refuse("the helper cannot make a tap: %s%s", strerror(error),
		    error == EPERM ? "; it is to be setuid root, or to have cap_net_admin" : "");
	error = tapdev_set_mtu(name, mtu);
	if (error == 0)
		error = tapdev_yield_mac(name);
	if (error == 0)
		error = tapdev_join(name, bridge);
	if (error == 0)
		error = tapdev_up(name);
	if (error != 0)
		refuse("tap '%.15s' does not get into '%.15s': %s", name, bridge, error == EOPNOTSUPP || error == EINVAL ?
		    "that is no bridge" : strerror(error));
	give(name, fds, (unsigned)n);
	return (0);
}
