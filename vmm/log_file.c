/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log_file.c - see log_file.h.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log_file.h"

#define	OPEN_TRIES	100

static const char *
with_suffix(const char *name, const char *suffix, char buf[NAME_MAX + 1])
{
	(void)snprintf(buf, NAME_MAX + 1, "%s%s", name, suffix);
	return (buf);
}

static int
open_file(int dir, const char *name, int flags)
{
	return (openat(dir, name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | flags, 0600));
}

/* A new file in place of the one that is there, which is put aside.  -1: there can be none, and what is there stays as it is. */
static int
begin_new(int dir, const char *name)
{
	char old[NAME_MAX + 1], new[NAME_MAX + 1];
	bool aside;
	int fd;

	(void)with_suffix(name, LOG_FILE_OLD, old);
	/* One that is left over is of a process that died just here. */
	(void)unlinkat(dir, with_suffix(name, LOG_FILE_NEW, new), 0);
	fd = open_file(dir, new, O_EXCL);
	if (fd < 0)
		return (-1);
	aside = renameat(dir, name, dir, old) == 0;
	if ((aside || errno == ENOENT) && renameat(dir, new, dir, name) == 0)
		return (fd);
	if (aside)
		(void)renameat(dir, old, dir, name);
	(void)unlinkat(dir, new, 0);
	close(fd);
	return (-1);
}

int
log_file_open(int dir, const char *name, uint64_t limit)
{
	struct stat st;
	int fd = -1;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size >= limit)
		fd = begin_new(dir, name);
	return (fd >= 0 ? fd : open_file(dir, name, 0));
}

bool
log_file_turn(int fd, int dir, const char *name, uint64_t limit)
{
	struct stat st, there;
	int next;
	bool turned;

	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size < limit)
		return (false);
	/* Of another file of that name, which somebody put there, nothing is known: it stays, and is gone on with. */
	if (fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) != 0 || (there.st_dev == st.st_dev && there.st_ino == st.st_ino))
		next = begin_new(dir, name);
	else
		next = open_file(dir, name, 0);
	if (next < 0)
		return (ftruncate(fd, 0) == 0);
	/* Who else writes to fd at this moment writes to one of them. */
	turned = dup3(next, fd, 0) >= 0;
	close(next);
	return (turned);
}

unsigned
log_file_number(int fd)
{
	char line[256], *text;
	ssize_t len = pread(fd, line, sizeof(line) - 1, 0);
	unsigned number;
	int end = 0;

	line[len > 0 ? len : 0] = '\0';
	line[strcspn(line, "\n")] = '\0';
	text = strstr(line, LOG_FILE_BEGINS);
	return (text != NULL && sscanf(text, LOG_FILE_BEGINS "%u%n", &number, &end) == 1 && end != 0 ? number : 1);
}

int
log_file_read(int dir, const char *name, int *old, int *now)
{
	static const struct timespec moment = { 0, 1000000 };
	char path[NAME_MAX + 1];
	struct stat was, is;
	bool between;
	int error;

	(void)with_suffix(name, LOG_FILE_OLD, path);
	/* What was the old one when the new one was opened; one that is put aside in between is in neither. */
	for (unsigned i = 0;; i++) {
		*old = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		*now = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		error = errno;
		is.st_ino = 0;
		(void)fstatat(dir, path, &is, AT_SYMLINK_NOFOLLOW);
		between = *now < 0 && error == ENOENT && *old >= 0;
		if (i == OPEN_TRIES || (!between && (*old >= 0 && fstat(*old, &was) == 0 ? was.st_ino : 0) == is.st_ino))
			break;
		if (*old >= 0)
			close(*old);
		if (*now >= 0)
			close(*now);
		/* The one has been put aside and the other is not there yet, unless their process died right then. */
		if (between)
			(void)nanosleep(&moment, NULL);
	}
	errno = error;
	return (*now >= 0 ? 0 : -1);
}
