/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * say.c - see say.h.  A line is one write(2), so that lines of threads do not mix.
 */
#include <sys/stat.h>

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
static struct { int dir; const char *name; uint64_t limit; unsigned number; } file;
static pthread_mutex_t turning = PTHREAD_MUTEX_INITIALIZER;

static const char *
time_text(char buf[48])
{
	time_t now = time(NULL);
	struct tm tm;

	if (gmtime_r(&now, &tm) == NULL || strftime(buf, 48, "%Y-%m-%dT%H:%M:%SZ hyve: ", &tm) == 0)
		buf[0] = '\0';
	return (buf);
}

static void
write_all(const char *before, const char *text, const char *after)
{
	char *line;
	int len = asprintf(&line, "%s%s%s\n", before, text, after);

	if (len < 0)
		return;
	(void)!write(STDERR_FILENO, line, (size_t)len);
	free(line);
}

/* The first line of another log. */
static void
begin_file(void)
{
	char text[64], buf[256];

	(void)snprintf(text, sizeof(text), LOG_FILE_BEGINS "%u", ++file.number);
	if (as_json)
		write_all("", log_json(LOG_LEVEL_INFO, "hyve", text, buf, sizeof(buf)), "");
	else
		write_all(time_text(buf), text, "");
}

static void
write_line(const char *before, const char *text, const char *after)
{
	(void)pthread_mutex_lock(&turning);
	if (to_log && log_file_turn(STDERR_FILENO, file.dir, file.name, file.limit))
		begin_file();
	write_all(before, text, after);
	(void)pthread_mutex_unlock(&turning);
}

void
say_to_log(int dir, const char *name, uint64_t limit)
{
	struct stat st;
	int old, now;

	file.dir = dir;
	file.name = name;
	file.limit = limit;
	file.number = 1;
	to_log = true;
	if (log_file_read(dir, name, &old, &now) == 0) {
		file.number = log_file_number(now);
		/* The one before was put aside when this one was opened. */
		if (old >= 0 && fstat(now, &st) == 0 && st.st_size == 0) {
			file.number = log_file_number(old);
			begin_file();
		}
		close(now);
	}
	if (old >= 0)
		close(old);
}

void
say_as_json(void)
{
	as_json = true;
}

static void
say_text(bool apart, const char *text)
{
	bool terminal = !to_log && isatty(STDERR_FILENO);
	char before[48] = "";

	if (to_log)
		(void)time_text(before);
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
