/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.h - what the differential tests of both processors share as programs.
 */
#ifndef _DIFF_PROGRAM_H_
#define	_DIFF_PROGRAM_H_

#include <libgen.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Seconds of a clock that runs on. */
static inline double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((double)ts.tv_sec + (double)ts.tv_nsec / 1e9);
}

/* The path of a program that is beside this one. */
static inline const char *
beside(const char *name)
{
	static char path[4200];
	char exe[4000];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		return (name);
	exe[n] = '\0';
	snprintf(path, sizeof(path), "%s/%s", dirname(exe), name);
	return (path);
}

#endif /* _DIFF_PROGRAM_H_ */
