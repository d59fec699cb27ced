/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.c - what a VM has to say to its operator.
 */
#include <errno.h>
#include <fnmatch.h>
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/config.h"
#include "error.h"
#include "log.h"
#include "trace.h"

#define	LOG_LINE	1024
#define	RULES_MAX	32
#define	RATE_WINDOW	10000000000ULL
#define	RATE_BURST	5

/* A level of the parts whose names match. */
struct rule {
	char		 pattern[48];
	enum log_level	 level;
};

struct levels {
	enum log_level	 others;
	unsigned	 nrules;
	struct rule	 rule[RULES_MAX];
};

struct log {
	_Atomic uint64_t traced;	/* trace_on(): first */
	pthread_mutex_t	 lock;		/* the sink, the levels, and every log_rate used with this log */
	log_sink_fn	*sink;
	void		*arg;
	_Atomic int	 most;		/* the highest of the levels: what is above is nobody's */
	struct levels	 levels;
};
_Static_assert(offsetof(struct log, traced) == 0, "trace.h");
_Static_assert(TRACE_LAST <= 64, "a bit per point");

static const char *const level_names[LOG_LEVEL_LAST] = { "error", "warn", "info", "debug", "trace" };

const char *
log_level_name(enum log_level level)
{
	return ((unsigned)level < LOG_LEVEL_LAST ? level_names[level] : "?");
}

struct log *
log_new(log_sink_fn *sink, void *arg)
{
	struct log *log = calloc(1, sizeof(*log));

	if (log == NULL)
		return (vmm_fail_null(ENOMEM, "log: out of memory"));
	pthread_mutex_init(&log->lock, NULL);
	log->sink = sink;
	log->arg = arg;
	atomic_init(&log->traced, 0);
	atomic_init(&log->most, LOG_LEVEL_INFO);
	log->levels.others = LOG_LEVEL_INFO;
	return (log);
}

void
log_free(struct log *log)
{
	if (log == NULL)
		return;
	pthread_mutex_destroy(&log->lock);
	free(log);
}

static void
use(struct log *log, const struct levels *levels)
{
	enum log_level most = levels->others;

	for (unsigned i = 0; i < levels->nrules; i++) {
		if (levels->rule[i].level > most)
			most = levels->rule[i].level;
	}
	pthread_mutex_lock(&log->lock);
	log->levels = *levels;
	atomic_store_explicit(&log->most, (int)most, memory_order_relaxed);
	pthread_mutex_unlock(&log->lock);
}

void
log_set_level(struct log *log, enum log_level level)
{
	const struct levels levels = { .others = level };

	if (log != NULL)
		use(log, &levels);
}

static const char *
name_of_level(const void *arg, size_t i)
{
	return (level_names[i]);
}

/* -1 with a sentence. */
static int
find_level(const char *name, enum log_level *level)
{
	const char *near;

	for (unsigned i = 0; i < LOG_LEVEL_TRACE; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*level = (enum log_level)i;
			return (0);
		}
	}
	near = config_nearest(name, LOG_LEVEL_TRACE, name_of_level, NULL);
	if (near != NULL)
		return (vmm_fail(EINVAL, "'%.32s' is no level of a log; did you mean '%s'?", name, near));
	return (vmm_fail(EINVAL, "'%.32s' is no level of a log: error, warn, info or debug, or PART=LEVEL", name));
}

static int
parse_levels(char *text, struct levels *levels)
{
	char *item, *level;
	struct rule *r;

	while ((item = strsep(&text, ",")) != NULL) {
		level = strrchr(item, '=');
		if (level == NULL) {
			if (find_level(item, &levels->others) != 0)
				return (-1);
			continue;
		}
		*level++ = '\0';
		if (levels->nrules == RULES_MAX)
			return (vmm_fail(E2BIG, "there are more than %d patterns of a log's parts", RULES_MAX));
		r = &levels->rule[levels->nrules];
		if (*item == '\0' || strlen(item) >= sizeof(r->pattern))
			return (vmm_fail(EINVAL, "'%.64s' is no pattern of a log's parts: it has 1 to %zu characters", item, sizeof(r->pattern) - 1));
		(void)strcpy(r->pattern, item);
		if (find_level(level, &r->level) != 0)
			return (-1);
		levels->nrules++;
	}
	return (0);
}

int
log_set_levels(struct log *log, const char *text)
{
	struct levels levels = { .others = LOG_LEVEL_INFO };
	char *copy = strdup(text);
	int r = copy != NULL ? parse_levels(copy, &levels) : vmm_fail(ENOMEM, "log: out of memory");

	free(copy);
	if (r == 0 && log != NULL)
		use(log, &levels);
	return (r);
}

/* What nobody wants is found out without the lock. */
static bool
log_wants(struct log *log, enum log_level level)
{
	return (log != NULL && log->sink != NULL && (int)level <= atomic_load_explicit(&log->most, memory_order_relaxed));
}

/* Lock held. */
static bool
part_wants(const struct log *log, enum log_level level, const char *part)
{
	for (unsigned i = log->levels.nrules; i-- != 0;) {
		if (fnmatch(log->levels.rule[i].pattern, part, 0) == 0)
			return (level <= log->levels.rule[i].level);
	}
	return (level <= log->levels.others);
}

const char *
log_json(enum log_level level, const char *part, const char *text, char *buf, size_t size)
{
	struct timespec ts;
	struct tm tm;
	char date[32], when[64], *line;
	json_t *object;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	(void)gmtime_r(&ts.tv_sec, &tm);
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(when, sizeof(when), "%s.%06ldZ", date, ts.tv_nsec / 1000);
	/* What is cut off within a character of UTF-8 is no text of JSON. */
	object = json_pack("{s:s, s:s, s:s, s:s}", "time", when, "level", log_level_name(level), "part", part, "text", text);
	if (object == NULL)
		object = json_pack("{s:s, s:s, s:s, s:s}", "time", when, "level", log_level_name(level), "part", "log", "text",
		    "a line that is no UTF-8");
	line = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
	json_decref(object);
	(void)snprintf(buf, size, "%s", line != NULL ? line : "{}");
	free(line);
	return (buf);
}

/* Lock held. */
static void __attribute__((format(printf, 5, 0)))
emit(struct log *log, enum log_level level, const char *subsys, uint64_t missed, const char *fmt, va_list ap)
{
	char line[LOG_LINE];
	size_t len;

	(void)vsnprintf(line, sizeof(line), fmt, ap);
	len = strlen(line);
	if (missed != 0)
		(void)snprintf(line + len, sizeof(line) - len, " (%llu similar not shown)",
		    (unsigned long long)missed);
	for (char *p = line; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	log->sink(log->arg, level, subsys, line);
}

void
log_msg(struct log *log, enum log_level level, const char *subsys, const char *fmt, ...)
{
	va_list ap;

	if (!log_wants(log, level))
		return;
	va_start(ap, fmt);
	pthread_mutex_lock(&log->lock);
	if (part_wants(log, level, subsys))
		emit(log, level, subsys, 0, fmt, ap);
	pthread_mutex_unlock(&log->lock);
	va_end(ap);
}

bool
log_rate_pass(struct log_rate *rate, uint64_t now, uint64_t *missed)
{
	uint64_t window = rate->window_ns != 0 ? rate->window_ns : RATE_WINDOW;
	uint32_t burst = rate->burst != 0 ? rate->burst : RATE_BURST;

	*missed = 0;
	if (rate->used == 0 || now - rate->start >= window) {
		rate->start = now;
		rate->used = 0;
	}
	if (rate->used == burst) {
		rate->suppressed++;
		return (false);
	}
	rate->used++;
	*missed = rate->suppressed;
	rate->suppressed = 0;
	return (true);
}

void
log_guest(struct log *log, struct log_rate *rate, const char *subsys, const char *fmt, ...)
{
	struct timespec ts;
	uint64_t missed;
	va_list ap;

	if (!log_wants(log, LOG_LEVEL_WARN))
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	va_start(ap, fmt);
	pthread_mutex_lock(&log->lock);
	if (part_wants(log, LOG_LEVEL_WARN, subsys) &&
	    log_rate_pass(rate, (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec, &missed))
		emit(log, LOG_LEVEL_WARN, subsys, missed, fmt, ap);
	pthread_mutex_unlock(&log->lock);
	va_end(ap);
}

/* Trace points */

static const struct { const char *name, *form, *help; } points[TRACE_LAST] = {
#define	TRACE_ROW(symbol, name, form, help)	[TRACE_##symbol] = { name, form, help },
	TRACE_POINTS(TRACE_ROW)
#undef TRACE_ROW
};

const char *
trace_name(enum trace_point p)
{
	return ((unsigned)p < TRACE_LAST ? points[p].name : NULL);
}

const char *
trace_help(enum trace_point p)
{
	return ((unsigned)p < TRACE_LAST ? points[p].help : NULL);
}

static const char *
name_of_point(const void *arg, size_t i)
{
	return (points[i].name);
}

/* The points of one pattern.  0 with a sentence. */
static uint64_t
select_points(const char *pattern)
{
	const char *near;
	uint64_t found = 0;

	for (unsigned i = 0; i < TRACE_LAST; i++)
		found |= (uint64_t)(fnmatch(pattern, points[i].name, 0) == 0) << i;
	if (found != 0)
		return (found);
	near = config_nearest(pattern, TRACE_LAST, name_of_point, NULL);
	(void)(near != NULL ? vmm_fail(ENOENT, "no trace point matches '%.64s'; did you mean '%s'?", pattern, near) :
	    vmm_fail(ENOENT, "no trace point matches '%.64s'; 'hyve devices --traces' lists them", pattern));
	return (0);
}

int
trace_select(struct log *log, const char *text)
{
	char *copy = text != NULL ? strdup(text) : NULL, *next = copy, *item;
	uint64_t on = 0, some = 1;

	if (text != NULL && copy == NULL)
		return (vmm_fail(ENOMEM, "log: out of memory"));
	while (some != 0 && (item = strsep(&next, ",")) != NULL)
		on |= some = select_points(item);
	free(copy);
	if (some == 0)
		return (-1);
	if (log != NULL)
		atomic_store_explicit(&log->traced, on, memory_order_relaxed);
	return (0);
}

int
trace_switch(struct log *log, const char *pattern, bool on)
{
	uint64_t some = select_points(pattern);

	if (some == 0)
		return (-1);
	if (log != NULL && on)
		atomic_fetch_or_explicit(&log->traced, some, memory_order_relaxed);
	else if (log != NULL)
		atomic_fetch_and_explicit(&log->traced, ~some, memory_order_relaxed);
	return (0);
}

static void __attribute__((format(printf, 4, 5)))
emit_point(struct log *log, const char *name, uint64_t missed, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	emit(log, LOG_LEVEL_TRACE, name, missed, fmt, ap);
	va_end(ap);
}

void
trace_emit(struct log *log, enum trace_point p, const char *who, const uint64_t args[4])
{
	char numbers[256];

	if (log->sink == NULL)
		return;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(numbers, sizeof(numbers), points[p].form, (unsigned long long)args[0], (unsigned long long)args[1],
	    (unsigned long long)args[2], (unsigned long long)args[3]);
#pragma GCC diagnostic pop
	pthread_mutex_lock(&log->lock);
	emit_point(log, points[p].name, 0, "%s%s%s", who != NULL ? who : "", who != NULL && numbers[0] != '\0' ? ": " : "", numbers);
	pthread_mutex_unlock(&log->lock);
}
