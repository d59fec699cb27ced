/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stat.c - hyve stat: what a VM that runs is doing, in numbers: once, or anew each second until it ends.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <jansson.h>

#include "cmd.h"
#include "control/qmp_client.h"
#include "error.h"
#include "options.h"
#include "vm_ask.h"

#define	LIMIT	10000		/* ms for an answer */
#define	LINES	24		/* of a screen whose size is not known */

struct sample {
	json_t		*stats;		/* x-hyve-query-stats */
	const char	*status;
	double		 at;		/* seconds of the host's clock */
	double		 busy;		/* seconds that the process has had a processor */
	uint64_t	 resident;	/* bytes */
};

/* What /proc has about the process: times in proc(5)'s stat, fields 14, 15 and 24, behind a name that may have anything in it. */
static void
look_at_process(pid_t pid, struct sample *s)
{
	char path[32], text[1024], *p;
	unsigned long long user, sys;
	long pages;
	size_t n;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	n = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[n] = '\0';
	p = strrchr(text, ')');
	if (p == NULL || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %*u %*u %ld", &user,
	    &sys, &pages) != 3)
		return;
	s->busy = (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
	s->resident = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* -1 with a sentence; s->stats is to be freed otherwise. */
static int
take_sample(const struct vmdir *dir, struct qmp_client *c, struct sample *s)
{
	struct vmdir_state state;
	struct timespec now;

	*s = (struct sample){ .status = "unknown" };
	s->stats = qmp_client_execute(c, "x-hyve-query-stats", NULL, LIMIT);
	if (s->stats == NULL)
		return (-1);
	s->status = vm_ask_status(dir);
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	s->at = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	if (vmdir_state(dir, &state) == 0 && state.pid != 0)
		look_at_process(state.pid, s);
	return (0);
}

static uint64_t
sum(const json_t *counter)
{
	const json_t *values = json_object_get(counter, "values");
	uint64_t total = 0;

	for (size_t i = 0; i < json_array_size(values); i++)
		total += (uint64_t)json_integer_value(json_array_get(values, i));
	return (total);
}

/* The i-th counter of the sample before, which a reset may have begun anew. */
static uint64_t
before(const struct sample *last, size_t i, uint64_t now)
{
	uint64_t v = last->stats != NULL ? sum(json_array_get(json_object_get(last->stats, "counters"), i)) : 0;

	return (v <= now ? v : now);
}

static unsigned
screen_lines(void)
{
	struct winsize size;

	return (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 4 ? size.ws_row : LINES);
}

/* One screen: what counted at all, with what it did since the last one. */
static void
show(const struct vmdir *dir, const struct sample *s, const struct sample *last, bool screen)
{
	const json_t *counters = json_object_get(s->stats, "counters");
	double seconds = last->stats != NULL ? s->at - last->at : 0;
	unsigned lines = screen ? screen_lines() : UINT32_MAX, line = 0;
	char part[32] = "";

	if (screen)
		fputs("\033[H\033[J", stdout);
	if (seconds > 0)
		(void)snprintf(part, sizeof(part), ", %.0f%% now", 100 * (s->busy - last->busy) / seconds);
	printf("%s: %s; the VM's clock is at %.3f s\n", dir->name, s->status, (double)json_integer_value(json_object_get(s->stats, "clock")) / 1e9);
	printf("its process has had %.2f s of processors%s, and has %.1f MiB of memory\n", s->busy, part, (double)s->resident / (1 << 20));
	printf("%16s %12s\n", "total", seconds > 0 ? "each second" : "");
	for (size_t i = 0; i < json_array_size(counters) && line + 4 < lines; i++) {
		const json_t *counter = json_array_get(counters, i);
		const char *what = json_string_value(json_object_get(counter, "what"));
		uint64_t now = sum(counter);

		if (now == 0)
			continue;
		line++;
		if (seconds > 0)
			printf("%16" PRIu64 " %12.0f  %s\n", now, (double)(now - before(last, i, now)) / seconds, what != NULL ? what : "");
		else
			printf("%16" PRIu64 " %12s  %s\n", now, "", what != NULL ? what : "");
	}
	(void)fflush(stdout);
}

static json_t *
to_json(const struct vmdir *dir, const struct sample *s)
{
	json_t *all = json_pack("{s:s, s:s, s:f, s:I}", "name", dir->name, "state", s->status, "processor-seconds", s->busy, "resident",
	    (json_int_t)s->resident);

	(void)json_object_update(all, s->stats);
	return (all);
}

/* Anew each second, until the process ends.  The exit code. */
static int
watch(const struct vmdir *dir, struct qmp_client *c, struct sample *last)
{
	bool screen = isatty(STDOUT_FILENO);
	struct pollfd pfd = { .fd = vm_process(dir), .events = POLLIN };
	struct sample s;
	int code = 0;

	while (pfd.fd >= 0 && poll(&pfd, 1, 1000) >= 0 && pfd.revents == 0) {
		if (take_sample(dir, c, &s) != 0) {
			/* Between two lives there are no processors to ask about. */
			if (errno == EREMOTEIO)
				continue;
			if (poll(&pfd, 1, LIMIT) <= 0)
				code = cmd_fail(1, "%s", vmm_errmsg());
			break;
		}
		show(dir, &s, last, screen);
		json_decref(last->stats);
		*last = s;
		if (fflush(stdout) != 0) {
			code = cmd_fail(1, "standard output: %s", strerror(errno));
			break;
		}
	}
	if (pfd.fd >= 0)
		close(pfd.fd);
	return (code);
}

int
cmd_stat(const struct verb *verb, int argc, char **argv)
{
	static const struct own_option own[] = {
		{ "json", NULL, 'j', "once, as JSON, with each processor's counters" },
		{ "once", NULL, '1', "print it once; without this again each second" },
		{ NULL, NULL, 0, NULL },
	};
	struct qmp_client *c = NULL;
	struct sample s = { 0 };
	struct vmdir *dir;
	const char *name;
	char found[16];
	int code;

	if (!options_name(verb, own, argc, argv, false, &name, found, &code))
		return (code);
	dir = vmdir_open(name);
	if (dir == NULL || (c = vm_ask_open(dir)) == NULL || take_sample(dir, c, &s) != 0)
		code = cmd_fail(1, "%s", vmm_errmsg());
	else if (strchr(found, 'j') != NULL)
		code = cmd_json(to_json(dir, &s));
	else {
		const struct sample none = { 0 };

		show(dir, &s, &none, strchr(found, '1') == NULL && isatty(STDOUT_FILENO));
		code = strchr(found, '1') != NULL ? 0 : watch(dir, c, &s);
	}
	json_decref(s.stats);
	qmp_client_close(c);
	vmdir_close(dir);
	return (code);
}
