/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * say.c - see say.h.  A line is one write(2), so that lines of threads do not mix.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "say.h"

static bool to_log;

void
say_to_log(void)
{
	to_log = true;
}

static void
say_line(bool apart, const char *fmt, va_list ap)
{
	bool terminal = !to_log && isatty(STDERR_FILENO);
	char when[32] = "", *text = NULL, *line = NULL;
	time_t now = time(NULL);
	struct tm tm;
	int len;

	if (to_log && gmtime_r(&now, &tm) != NULL)
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ ", &tm);
	if (vasprintf(&text, fmt, ap) < 0)
		return;
	len = asprintf(&line, "%s%shyve: %s%s\n", terminal && apart ? "\r\n" : "", when, text, terminal ? "\r" : "");
	if (len >= 0)
		(void)!write(STDERR_FILENO, line, (size_t)len);
	free(line);
	free(text);
}

void
say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_line(false, fmt, ap);
	va_end(ap);
}

void
say_apart(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say_line(true, fmt, ap);
	va_end(ap);
}
