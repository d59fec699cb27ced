/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log_file.h - a file for a log's lines that does not grow without end: when it is full it is put aside, as NAME.old in place of the one that was
 * put aside before, and a new one is begun.  So twice the limit is all the room that it takes, and one line more for each.
 *
 * One process writes a file; others may read both.
 */
#ifndef _HYVE_LOG_FILE_H_
#define	_HYVE_LOG_FILE_H_

#include <stdbool.h>
#include <stdint.h>

#define	LOG_FILE_OLD	".old"
#define	LOG_FILE_NEW	".new"		/* what becomes one, for a moment */

/* In the first line of each but the first one its writer says which it is, so that readers know whether they missed some. */
#define	LOG_FILE_BEGINS	"this is log number "

/*
 * Open it to append lines, for its owner alone, and put aside what has limit bytes or more.  dir: the folder, which stays where it is.  The
 * descriptor is the caller's; -1 with errno: that of openat(2), ELOOP (it is a symbolic link).
 */
int	log_file_open(int dir, const char *name, uint64_t limit);
/*
 * Before a line is written to fd, which log_file_open() gave, or a copy of that: begin a new file if this one is full.  fd is the new one then, and stays
 * open over an execve(2).  Where there can be no new one, what is full is emptied, and what was put aside before stays.  true: fd begins anew, and
 * gets a line with LOG_FILE_BEGINS next.  Any thread, one at a time.
 */
bool	log_file_turn(int fd, int dir, const char *name, uint64_t limit);

/* The number that a file's first line says; 1: none.  fd can be read, and stays where it is. */
unsigned log_file_number(int fd);

/*
 * Both files to read them from their beginning, the caller's; nothing is between them.  *old is -1 if there is none.  -1 with errno, that of
 * openat(2), if there is no newer one; *old may be there nevertheless.
 */
int	log_file_read(int dir, const char *name, int *old, int *now);

#endif /* _HYVE_LOG_FILE_H_ */
