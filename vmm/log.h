/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.h - what a VM has to say to its operator.
 *
 * A log belongs to one VM.  Its lines go to a sink that the owner gives; libhyve itself writes
 * nowhere.  A line has a level and the name of the part that speaks ("com1", "event").  What a
 * guest can cause at will goes through log_guest(), which lets a burst pass and then counts.
 * Trace points (trace.h) come the same way.
 */
#ifndef _HYVE_LOG_H_
#define	_HYVE_LOG_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,	/* something the user asked for does not work */
	LOG_LEVEL_WARN,		/* odd, and dealt with */
	LOG_LEVEL_INFO,		/* what a person wants to know once */
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_TRACE,	/* of a trace point; no level that can be set */
	LOG_LEVEL_LAST
};

struct log;

/*
 * A sink gets what part has to say, finished and without a newline, one at a time, from any thread.  Control
 * characters have been replaced, so that a guest cannot write to a terminal through the log.
 * It must not log.
 */
typedef void log_sink_fn(void *arg, enum log_level level, const char *part, const char *text);

/* Make a log at level info.  sink NULL drops everything.  NULL with errno ENOMEM. */
struct log *log_new(log_sink_fn *sink, void *arg);
/* Free it; nobody may be logging.  NULL is ignored. */
void	log_free(struct log *log);

/* Lines above this level are dropped, whatever was said of single parts before.  Any thread. */
void	log_set_level(struct log *log, enum log_level level);
/*
 * The same in words, and for single parts: "warn", "pci.*=debug,cpu=error", "info,virtio-blk*=debug".  A level alone is for all
 * parts that no pattern (fnmatch(3)) names; of several that match the last counts; without one it stays info.  -1 with a sentence, and
 * nothing changed.  log NULL: only looks whether text is one.  Any thread.
 */
int	log_set_levels(struct log *log, const char *text);
/* "error", "warn", "info", "debug", "trace". */
const char *log_level_name(enum log_level level);

/* A line as an object of JSON without a newline in buf, which is returned: time (RFC 3339, UTC), level, part, text.  Longer ones are cut off. */
const char *log_json(enum log_level level, const char *part, const char *text, char *buf, size_t size);

/* Say something as part subsys.  log NULL is allowed and silent.  Any thread; takes the log's own lock. */
void	log_msg(struct log *log, enum log_level level, const char *subsys, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));

/*
 * Limit of a source of lines: burst lines in a window of time, the others are counted and told
 * with the first line of the next window.  Zeroed is valid and means 5 lines in 10 seconds.
 * One for each place that a guest can make talk, in the device's struct.
 */
struct log_rate {
	uint64_t	window_ns;	/* 0: 10 s */
	uint32_t	burst;		/* 0: 5 */
	uint32_t	used;		/* the log's, under its lock */
	uint64_t	start;
	uint64_t	suppressed;
};

/* As log_msg() at level warn, for what a guest causes.  log NULL is allowed.  Any thread. */
void	log_guest(struct log *log, struct log_rate *rate, const char *subsys, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));

/*
 * Whether a line may pass at time now (nanoseconds of a clock that does not go back).  *missed
 * is how many were held back before it.  For log_guest() and its test; the caller serialises.
 */
bool	log_rate_pass(struct log_rate *rate, uint64_t now, uint64_t *missed);

#endif /* _HYVE_LOG_H_ */
