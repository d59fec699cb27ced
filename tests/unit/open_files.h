/* SPDX-License-Identifier: BSD-2-Clause */
/* open_files.h - how many files this process has open: one more on each call that leaks one. */
#ifndef _TESTS_OPEN_FILES_H_
#define	_TESTS_OPEN_FILES_H_

#include <dirent.h>

#include "test.h"

static inline unsigned
open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	CHECK(d != NULL);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return (n);
}

#endif
