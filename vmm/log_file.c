/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log_file.c - see log_file.h.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "log_file.h"

#define	OPEN_TRIES	100

static const char *
old_name(const char *name, char buf[NAME_MAX + 1])
{
	(void)snprintf(buf, NAME_MAX + 1, "%s" LOG_FILE_OLD, name);
	return (buf);
}

static int
open_file(int dir, const char *name)
{
	return (openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
}

int
log_file_open(int dir, const char *name, uint64_t limit)
{
	char old[NAME_MAX + 1];
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && (uint64_t)st.st_size >= limit)
		(void)renameat(dir, name, dir, old_name(name, old));
	return (open_file(dir, name));
}

void
log_file_turn(int fd, int dir, const char *name, uint64_t limit)
{
	char old[NAME_MAX + 1];
	struct stat st, there;
	int next;

	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size < limit)
		return;
	/* Of another file of that name, which somebody put there, nothing is known. */
	if (fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && there.st_dev == st.st_dev && there.st_ino == st.st_ino)
		(void)renameat(dir, name, dir, old_name(name, old));
	next = open_file(dir, name);
	/* Who else writes to fd at this moment writes to one of them. */
	if (next < 0 || fstat(next, &there) != 0 || there.st_ino == st.st_ino || dup3(next, fd, 0) < 0)
		(void)!ftruncate(fd, 0);
	if (next >= 0)
		close(next);
}

int
log_file_read(int dir, const char *name, int *old, int *now)
{
	char path[NAME_MAX + 1];
	struct stat was, is;
	int error;

	(void)old_name(name, path);
	/* What was the old one when the new one was opened; one that is put aside in between is in neither. */
	for (unsigned i = 0;; i++) {
		*old = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		*now = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		error = errno;
		is.st_ino = 0;
		(void)fstatat(dir, path, &is, AT_SYMLINK_NOFOLLOW);
		if (i == OPEN_TRIES || (*old >= 0 && fstat(*old, &was) == 0 ? was.st_ino : 0) == is.st_ino)
			break;
		if (*old >= 0)
			close(*old);
		if (*now >= 0)
			close(*now);
	}
	errno = error;
	return (*now >= 0 ? 0 : -1);
}
