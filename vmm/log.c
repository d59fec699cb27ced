/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.c - what a VM has to say to its operator.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "error.h"
#include "log.h"

#define	LOG_LINE	1024
#define	RATE_WINDOW	10000000000ULL
#define	RATE_BURST	5

struct log {
	pthread_mutex_t	 lock;		/* the sink, and every log_rate used with this log */
	log_sink_fn	*sink;
	void		*arg;
	_Atomic int	 level;
};

static const char *const level_names[LOG_LEVEL_LAST] = { "error", "warn", "info", "debug" };

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
	atomic_init(&log->level, LOG_LEVEL_INFO);
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

void
log_set_level(struct log *log, enum log_level level)
{
	if (log != NULL)
		atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

static bool
log_wants(struct log *log, enum log_level level)
{
	return (log != NULL && log->sink != NULL &&
	    (int)level <= atomic_load_explicit(&log->level, memory_order_relaxed));
}

/* Lock held. */
static void __attribute__((format(printf, 5, 0)))
emit(struct log *log, enum log_level level, const char *subsys, uint64_t missed, const char *fmt, va_list ap)
{
	char line[LOG_LINE];
	size_t len;

	(void)snprintf(line, sizeof(line), "%s: ", subsys);
	len = strlen(line);
	(void)vsnprintf(line + len, sizeof(line) - len, fmt, ap);
	len = strlen(line);
	if (missed != 0)
		(void)snprintf(line + len, sizeof(line) - len, " (%llu similar not shown)",
		    (unsigned long long)missed);
	for (char *p = line; *p != '\0'; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	log->sink(log->arg, level, line);
}

void
log_msg(struct log *log, enum log_level level, const char *subsys, const char *fmt, ...)
{
	va_list ap;

	if (!log_wants(log, level))
		return;
	va_start(ap, fmt);
	pthread_mutex_lock(&log->lock);
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
	if (log_rate_pass(rate, (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec, &missed))
		emit(log, LOG_LEVEL_WARN, subsys, missed, fmt, ap);
	pthread_mutex_unlock(&log->lock);
	va_end(ap);
}
