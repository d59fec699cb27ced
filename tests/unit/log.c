/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * log.c - levels, the sink, cleaning of lines, and the limit for what guests cause.
 */
#include <sys/resource.h>
#include <sys/stat.h>

#include <fcntl.h>
#include <pthread.h>

#include "error.h"
#include "log.h"
#include "log_file.h"
#include "test.h"
#include "trace.h"

static char lines[64][1100];
static enum log_level levels[64];
static unsigned nlines;

static void
sink(void *arg, enum log_level level, const char *part, const char *text)
{
	CHECK(arg == &nlines);
	CHECK(nlines < 64);
	snprintf(lines[nlines], sizeof(lines[0]), "%s: %s", part, text);
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
	CHECK_EQ(strlen(lines[1]), strlen("disk: ") + 1023);
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

TEST(levels_of_parts)
{
	struct log *log = log_new(sink, &nlines);

	CHECKF(log_set_levels(log, "warn,pci.*=debug,cpu=error,pci.0.3.0=warn") == 0, "%s", vmm_errmsg());
	log_msg(log, LOG_LEVEL_DEBUG, "pci.0.2.0", "told");
	log_msg(log, LOG_LEVEL_INFO, "pci.0.3.0", "not told: the last that matches counts");
	log_msg(log, LOG_LEVEL_INFO, "com1", "not told");
	log_msg(log, LOG_LEVEL_WARN, "com1", "told");
	log_msg(log, LOG_LEVEL_WARN, "cpu", "not told");
	log_guest(log, &(struct log_rate){ 0 }, "cpu", "not told");
	log_guest(log, &(struct log_rate){ 0 }, "com1", "told");
	CHECK_EQ(nlines, 3);
	/* Later ones replace all of it, and parts that nothing names have the usual one. */
	CHECK_EQ(log_set_levels(log, "cpu=debug"), 0);
	log_msg(log, LOG_LEVEL_INFO, "com1", "told");
	log_msg(log, LOG_LEVEL_DEBUG, "com1", "not told");
	log_msg(log, LOG_LEVEL_DEBUG, "cpu", "told");
	CHECK_EQ(nlines, 5);
	log_set_level(log, LOG_LEVEL_ERROR);
	log_msg(log, LOG_LEVEL_DEBUG, "cpu", "not told");
	CHECK_EQ(nlines, 5);
	log_free(log);
}

TEST(levels_that_are_none)
{
	static const struct { const char *text, *why; } rows[] = {
		{ "warning", "'warning' is no level of a log; did you mean 'warn'?" },
		{ "cpu=dbug", "'dbug' is no level of a log; did you mean 'debug'?" },
		{ "cpu=7", "'7' is no level of a log: error, warn, info or debug, or PART=LEVEL" },
		{ "trace", "'trace' is no level of a log: error, warn, info or debug, or PART=LEVEL" },
		{ "=debug", "'' is no pattern of a log's parts: it has 1 to 47 characters" },
		{ "info,", "'' is no level of a log: error, warn, info or debug, or PART=LEVEL" },
	};
	struct log *log = log_new(sink, &nlines);
	char many[400] = "info";

	CHECK_EQ(log_set_levels(log, "cpu=debug"), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CHECK_EQ(log_set_levels(log, rows[i].text), -1);
		CHECK_STR(vmm_errmsg(), rows[i].why);
	}
	for (int i = 0; i < 33; i++)
		strcat(many, ",a=warn");
	CHECK_EQ(log_set_levels(NULL, many), -1);
	CHECK_HAS(vmm_errmsg(), "more than 32");
	/* What was set before stays. */
	log_msg(log, LOG_LEVEL_DEBUG, "cpu", "told");
	CHECK_EQ(nlines, 1);
	log_free(log);
}

TEST(lines_as_json)
{
	char buf[512], small[12];

	(void)log_json(LOG_LEVEL_WARN, "com1", "a \"quoted\" thing", buf, sizeof(buf));
	CHECK_HAS(buf, "{\"time\":\"20");
	CHECK_HAS(buf, "Z\",\"level\":\"warn\",\"part\":\"com1\",\"text\":\"a \\\"quoted\\\" thing\"}");
	CHECK_HAS(log_json(LOG_LEVEL_WARN, "com1", "\xff\xc3", buf, sizeof(buf)), "\"text\":\"a line that is no UTF-8\"");
	CHECK_EQ(strlen(log_json(LOG_LEVEL_WARN, "com1", "long", small, sizeof(small))), 11);
}

TEST(trace_points)
{
	struct log *log = log_new(sink, &nlines);
	const char *name;

	TRACE(log, block__begin, "disk.img", 1, 4096, 512);
	TRACE((struct log *)NULL, block__begin, "disk.img", 1, 4096, 512);
	CHECK_EQ(nlines, 0);
	CHECKF(trace_select(log, "block.*,device.reset") == 0, "%s", vmm_errmsg());
	TRACE(log, block__begin, "disk.img", 1, 4096, 512);
	TRACE(log, block__end, NULL, 1, 4096, 512, 5);
	TRACE(log, device__reset, "pci.0.1.0", 0);
	TRACE(log, net__send, "pci.0.2.0", 60, 0);
	CHECK_EQ(nlines, 3);
	CHECK_EQ(levels[0], LOG_LEVEL_TRACE);
	CHECK_STR(lines[0], "block.begin: disk.img: operation 1, 4096 bytes at 512");
	CHECK_STR(lines[1], "block.end: operation 1, 4096 bytes at 512: error 5");
	CHECK_STR(lines[2], "device.reset: pci.0.1.0");
	/* Nothing is changed by what matches nothing. */
	CHECK_EQ(trace_select(log, "net.*,blok.begin"), -1);
	CHECK_STR(vmm_errmsg(), "no trace point matches 'blok.begin'; did you mean 'block.begin'?");
	CHECK_EQ(trace_select(NULL, "zebra*"), -1);
	CHECK_STR(vmm_errmsg(), "no trace point matches 'zebra*'; 'hyve devices --traces' lists them");
	TRACE(log, block__begin, NULL, 0, 0, 0);
	CHECK_EQ(nlines, 4);
	CHECK_EQ(trace_select(log, NULL), 0);
	TRACE(log, block__begin, NULL, 0, 0, 0);
	CHECK_EQ(nlines, 4);
	/* One by one, while others stay. */
	CHECK_EQ(trace_switch(log, "block.*", true) | trace_switch(log, "net.send", true) | trace_switch(log, "block.end", false), 0);
	CHECK(trace_on(log, TRACE_block__begin) && trace_on(log, TRACE_net__send) && !trace_on(log, TRACE_block__end) && !trace_on(log, TRACE_vm__stop));
	CHECK_EQ(trace_switch(log, "net.sent", true), -1);
	CHECK_STR(vmm_errmsg(), "no trace point matches 'net.sent'; did you mean 'net.send'?");
	for (unsigned p = 0; (name = trace_name(p)) != NULL; p++)
		CHECK(strchr(name, '.') != NULL && trace_help(p)[0] != '\0');
	log_free(log);
}

/* Both files of a log, one behind the other. */
static const char *
both(int dir, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n;
	int fd[2];

	CHECK_EQ(log_file_read(dir, "log", &fd[0], &fd[1]), 0);
	for (unsigned i = 0; i < 2; i++) {
		while (fd[i] >= 0 && (n = read(fd[i], buf + len, size - 1 - len)) > 0)
			len += (size_t)n;
		if (fd[i] >= 0)
			close(fd[i]);
	}
	buf[len] = '\0';
	return (buf);
}

static void
write_line(int fd, int dir, unsigned i)
{
	char line[32];
	int len = snprintf(line, sizeof(line), "line %05u\n", i);

	log_file_turn(fd, dir, "log", 1000);
	CHECK_EQ(write(fd, line, (size_t)len), len);
}

TEST(a_file_of_lines_does_not_grow_without_end)
{
	char path[] = "/tmp/hyve-log-XXXXXX", buf[8192], last[32];
	struct stat st;
	int dir, fd, old, now;

	CHECK(mkdtemp(path) != NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	CHECK_EQ(log_file_read(dir, "log", &old, &now), -1);
	CHECK(errno == ENOENT && old < 0 && now < 0);
	fd = log_file_open(dir, "log", 1000);
	CHECK(fd >= 0);
	for (unsigned i = 0; i < 1000; i++) {
		const char *text;
		char *end;
		unsigned first;

		write_line(fd, dir, i);
		if (i % 50 != 49)
			continue;
		/* What is there is the end of all that was written, without a gap, and as much as it may be. */
		text = both(dir, buf, sizeof(buf));
		first = (unsigned)strtoul(text + 5, &end, 10);
		CHECK_EQ(strlen(text), (i + 1 - first) * 11);
		CHECKF(strlen(text) < 2 * (1000 + 11) && (i < 200 || strlen(text) > 1000), "%zu bytes", strlen(text));
		(void)snprintf(last, sizeof(last), "line %05u\n", i);
		CHECK_STR(text + strlen(text) - 11, last);
	}
	/* One that somebody has removed is begun anew, when it is full. */
	CHECK_EQ(unlinkat(dir, "log", 0), 0);
	for (unsigned i = 0; i < 200; i++)
		write_line(fd, dir, i);
	CHECK_HAS(both(dir, buf, sizeof(buf)), "line 00199\n");
	/* Another one, which is none of ours, stays; there is no new one, so the old one is emptied. */
	CHECK_EQ(unlinkat(dir, "log", 0), 0);
	CHECK_EQ(unlinkat(dir, "log.old", 0), 0);
	CHECK_EQ(symlinkat("/dev/null", dir, "log"), 0);
	for (unsigned i = 0; i < 200; i++)
		write_line(fd, dir, i);
	CHECK_EQ(fstat(fd, &st), 0);
	CHECKF(st.st_size != 0 && st.st_size < 1000 + 11, "%lld bytes", (long long)st.st_size);
	CHECK_EQ(fstatat(dir, "log", &st, AT_SYMLINK_NOFOLLOW), 0);
	CHECK(S_ISLNK(st.st_mode));
	CHECK(log_file_open(dir, "log", 1000) < 0 && errno == ELOOP);
	/* A full one is put aside when it is opened. */
	CHECK_EQ(unlinkat(dir, "log", 0), 0);
	close(fd);
	fd = log_file_open(dir, "log", 1000);
	CHECK_EQ(ftruncate(fd, 1000), 0);
	close(fd);
	fd = log_file_open(dir, "log", 1000);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 0 && (st.st_mode & 07777) == 0600);
	CHECK(fstatat(dir, "log.old", &st, 0) == 0 && st.st_size == 1000);
	close(fd);
	CHECK_EQ(unlinkat(dir, "log", 0) + unlinkat(dir, "log.old", 0) + rmdir(path), 0);
	close(dir);
}

/* No descriptor for another file, and a folder in the way of one. */
TEST(a_log_that_was_put_aside_outlives_one_that_cannot_be)
{
	char path[] = "/tmp/hyve-log-XXXXXX", buf[8192];
	struct rlimit were, none;
	struct stat st;
	int dir, fd;

	CHECK(mkdtemp(path) != NULL);
	dir = open(path, O_RDONLY | O_DIRECTORY);
	fd = log_file_open(dir, "log", 1000);
	/* The first file has lines 0 to 90, the second is full with 181. */
	for (unsigned i = 0; i < 182; i++)
		write_line(fd, dir, i);
	CHECK(fstatat(dir, "log.old", &st, 0) == 0 && st.st_size == 91 * 11);
	CHECK_EQ(getrlimit(RLIMIT_NOFILE, &were), 0);
	none = were;
	none.rlim_cur = 0;
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
	CHECK(log_file_turn(fd, dir, "log", 1000));
	CHECK_EQ(setrlimit(RLIMIT_NOFILE, &were), 0);
	CHECK(fstat(fd, &st) == 0 && st.st_size == 0);
	CHECK(strncmp(both(dir, buf, sizeof(buf)), "line 00000\n", 11) == 0 && strlen(buf) == 91 * 11);
	/* A file that is becoming one and was left there is in nobody's way; a folder is. */
	CHECK_EQ(ftruncate(fd, 1000), 0);
	CHECK_EQ(symlinkat("/dev/null", dir, "log.new"), 0);
	CHECK(log_file_turn(fd, dir, "log", 1000));
	CHECK(fstatat(dir, "log.old", &st, 0) == 0 && st.st_size == 1000);
	CHECK(fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0 && fstatat(dir, "log.new", &st, AT_SYMLINK_NOFOLLOW) != 0);
	CHECK_EQ(ftruncate(fd, 1001), 0);
	CHECK_EQ(mkdirat(dir, "log.new", 0700), 0);
	CHECK(log_file_turn(fd, dir, "log", 1000));
	CHECK(fstatat(dir, "log.old", &st, 0) == 0 && st.st_size == 1000);
	CHECK(fstatat(dir, "log", &st, 0) == 0 && st.st_size == 0);
	CHECK(!log_file_turn(fd, dir, "log", 1000));
	close(fd);
	CHECK_EQ(unlinkat(dir, "log", 0) + unlinkat(dir, "log.old", 0) + unlinkat(dir, "log.new", AT_REMOVEDIR) + rmdir(path), 0);
	close(dir);
}

/* What a first line says, and nothing else. */
TEST(the_number_of_a_log)
{
	static const struct { const char *text; unsigned number; } rows[] = {
		{ "", 1 },
		{ "2026-11-30T08:43:12Z hyve: starting VM 'x'\nthis is log number 7\n", 1 },
		{ "2026-11-30T08:43:12Z hyve: this is log number 2\n", 2 },
		{ "{\"text\":\"this is log number 4294967295\"}\n", 4294967295 },
		{ "this is log number \n", 1 },
	};
	FILE *f;

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		f = tmpfile();
		CHECK(f != NULL && fputs(rows[i].text, f) >= 0 && fflush(f) == 0);
		CHECK_EQ(log_file_number(fileno(f)), rows[i].number);
		(void)fclose(f);
	}
}

TEST_MAIN()
