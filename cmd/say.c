/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * say.c - see say.h.  A line is one write(2), so that lines of threads do not mix.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "log_file.h"
#include "say.h"

static bool to_log, as_json;
static struct { int dir; const char *name; uint64_t limit; } file;
static pthread_mutex_t turning = PTHREAD_MUTEX_INITIALIZER;

void
say_to_log(int dir, const char *name, uint64_t limit)
{
	file.dir = dir;
	file.name = name;
	file.limit = limit;
	to_log = true;
}

void
say_as_json(void)
{
	as_json = true;
}

static void
write_line(const char *before, const char *text, const char *after)
{
	char *line;
	int len = asprintf(&line, "%s%s%s\n", before, text, after);

	if (len < 0)
		return;
	(void)pthread_mutex_lock(&turning);
	if (to_log)
		log_file_turn(STDERR_FILENO, file.dir, file.name, file.limit);
	(void)!write(STDERR_FILENO, line, (size_t)len);
	(void)pthread_mutex_unlock(&turning);
	free(line);
}

static void
say_text(bool apart, const char *text)
{
	bool terminal = !to_log && isatty(STDERR_FILENO);
	char before[48] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (to_log && gmtime_r(&now, &tm) != NULL)
		(void)strftime(before, sizeof(before), "%Y-%m-%dT%H:%M:%SZ hyve: ", &tm);
	else
		(void)snprintf(before, sizeof(before), "%shyve: ", terminal && apart ? "\r\n" : "");
	write_line(before, text, terminal ? "\r" : "");
}

void
say_log(enum log_level level, const char *part, const char *text)
{
	char buf[8192];

	if (as_json) {
		write_line("", log_json(level, part, text, buf, sizeof(buf)), "");
		return;
	}
	(void)snprintf(buf, sizeof(buf), "%s: %s: %s", log_level_name(level), part, text);
	say_text(false, buf);
}

static void
say_line(bool apart, const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0)
		return;
	if (as_json)
		say_log(LOG_LEVEL_INFO, "hyve", text);
	else
		say_text(apart, text);
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
