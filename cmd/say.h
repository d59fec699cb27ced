/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * say.h - what the process of a VM tells its operator: lines on standard error, which begin with the time once that is a log.
 */
#ifndef _HYVE_SAY_H_
#define	_HYVE_SAY_H_

#include <stdarg.h>

#include "log.h"

/* Standard error is a log from now on: file name in folder dir, which begins anew whenever it has limit bytes (log_file.h).  name stays. */
void	say_to_log(int dir, const char *name, uint64_t limit);
/* Each line is an object of JSON from now on (log_json()). */
void	say_as_json(void);
/* A line of a VM's log.  Any thread. */
void	say_log(enum log_level level, const char *part, const char *text);
/* A line, without "hyve: " and newline.  On a terminal, which may be in raw mode, it begins at the left.  Any thread. */
void	say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same in the middle of what a guest writes to the terminal. */
void	say_apart(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif /* _HYVE_SAY_H_ */
