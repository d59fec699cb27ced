/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.c - levels, the sink, cleaning of lines, and the limit for what guests cause.
 */
#include <pthread.h>

#include "log.h"
#include "test.h"

static char lines[64][1100];
static enum log_level levels[64];
static unsigned nlines;

static void
sink(void *arg, enum log_level level, const char *line)
{
	CHECK(arg == &nlines);
	CHECK(nlines < 64);
	snprintf(lines[nlines], sizeof(lines[0]), "%s", line);
	levels[nlines++] = level;
}

TEST(levels_and_prefix)
{
	struct log *log = log_new(sink, &nlines);

	log_msg(log, LOG_LEVEL_ERROR, "com1", "cannot %s", "do that");
	log_msg(log, LOG_LEVEL_INFO, "com1", "told");
	log_msg(log, LOG_LEVEL_DEBUG, "com1", "not told");
	CHECK_EQ(nlines, 2);
	CHECK_STR(lines[0], "com1: cannot do that");
	CHECK_EQ(levels[0], LOG_LEVEL_ERROR);
	log_set_level(log, LOG_LEVEL_DEBUG);
	log_msg(log, LOG_LEVEL_DEBUG, "com1", "told now");
	CHECK_EQ(nlines, 3);
	log_set_level(log, LOG_LEVEL_ERROR);
	log_msg(log, LOG_LEVEL_WARN, "com1", "not told");
	CHECK_EQ(nlines, 3);
	CHECK_STR(log_level_name(LOG_LEVEL_WARN), "warn");
	log_free(log);
}

TEST(no_log_no_sink)
{
	struct log *log = log_new(NULL, NULL);
	struct log_rate rate = { 0 };

	log_msg(NULL, LOG_LEVEL_ERROR, "x", "y");
	log_guest(NULL, &rate, "x", "y");
	log_set_level(NULL, LOG_LEVEL_DEBUG);
	log_msg(log, LOG_LEVEL_ERROR, "x", "y");
	log_free(log);
	log_free(NULL);
}

TEST(a_guest_cannot_write_to_the_terminal)
{
	struct log *log = log_new(sink, &nlines);
	char big[5000];

	log_msg(log, LOG_LEVEL_WARN, "disk", "serial '%s'", "\x1b[2J\nroot@host\x7f");
	CHECK_STR(lines[0], "disk: serial '?[2J?root@host?'");
	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	log_msg(log, LOG_LEVEL_WARN, "disk", "%s", big);
	CHECK_EQ(strlen(lines[1]), 1023);
	log_free(log);
}

TEST(bursts_pass_and_the_rest_is_counted)
{
	struct log_rate rate = { .window_ns = 1000, .burst = 2 };
	uint64_t missed;

	CHECK(log_rate_pass(&rate, 100, &missed) && missed == 0);
	CHECK(log_rate_pass(&rate, 200, &missed) && missed == 0);
	CHECK(!log_rate_pass(&rate, 300, &missed));
	CHECK(!log_rate_pass(&rate, 1099, &missed));
	CHECK(log_rate_pass(&rate, 1100, &missed));
	CHECK_EQ(missed, 2);
	CHECK(log_rate_pass(&rate, 1101, &missed) && missed == 0);
	CHECK(!log_rate_pass(&rate, 1102, &missed));
}

TEST(guest_lines_are_limited)
{
	struct log *log = log_new(sink, &nlines);
	struct log_rate rate = { .window_ns = UINT64_MAX };

	for (int i = 0; i < 1000; i++)
		log_guest(log, &rate, "vda", "bad request %d", i);
	CHECK_EQ(nlines, 5);
	CHECK_EQ(levels[0], LOG_LEVEL_WARN);
	CHECK_STR(lines[4], "vda: bad request 4");
	CHECK_EQ(rate.suppressed, 995);
	rate.window_ns = 1;
	log_guest(log, &rate, "vda", "later");
	CHECK_STR(lines[5], "vda: later (995 similar not shown)");
	log_free(log);
}

static void *
talk(void *arg)
{
	struct log_rate rate = { .window_ns = 1, .burst = 1 };

	for (int i = 0; i < 15; i++)
		log_msg(arg, LOG_LEVEL_INFO, "thread", "line %d", i);
	log_guest(arg, &rate, "thread", "line 15");
	return (NULL);
}

TEST(lines_of_threads_do_not_mix)
{
	struct log *log = log_new(sink, &nlines);
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, talk, log), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(nlines, 64);
	for (int i = 0; i < 64; i++)
		CHECK_HAS(lines[i], "thread: line ");
	log_free(log);
}

TEST_MAIN()
