/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * manage.c - hyve stop, kill, reset, pause and resume: a VM that runs is told something.
 */
#include <sys/pidfd.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
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

#define	ANSWER		30000	/* ms that a command may take */
#define	FORCED		10	/* seconds that the end of a process may take that was told to end */
#define	TIMEOUT		60	/* seconds that a guest has to power off */

/* The VM of a verb that has only its name; NULL: *code is the exit code. */
static struct vmdir *
open_named(const struct verb *verb, int argc, char **argv, int *code)
{
	struct vmdir *dir;
	const char *name;
	char found[16];

	if (!options_name(verb, NULL, argc, argv, false, &name, found, code))
		return (NULL);
	dir = vmdir_open(name);
	*code = dir != NULL ? 0 : cmd_fail(1, "%s", vmm_errmsg());
	return (dir);
}

/* Have it execute a command without arguments.  -1 with a sentence. */
static int
execute(const struct vmdir *dir, const char *command)
{
	struct qmp_client *c = vm_ask_open(dir);
	json_t *answer = c != NULL ? qmp_client_execute(c, command, NULL, ANSWER) : NULL;

	qmp_client_close(c);
	if (answer == NULL)
		return (-1);
	json_decref(answer);
	return (0);
}

static int
simple(const struct verb *verb, int argc, char **argv, const char *command)
{
	struct vmdir *dir;
	int code;

	dir = open_named(verb, argc, argv, &code);
	if (dir == NULL)
		return (code);
	code = execute(dir, command) == 0 ? 0 : cmd_fail(1, "%s", vmm_errmsg());
	vmdir_close(dir);
	return (code);
}

int
cmd_reset(const struct verb *verb, int argc, char **argv)
{
	return (simple(verb, argc, argv, "system_reset"));
}

int
cmd_pause(const struct verb *verb, int argc, char **argv)
{
	return (simple(verb, argc, argv, "stop"));
}

int
cmd_resume(const struct verb *verb, int argc, char **argv)
{
	return (simple(verb, argc, argv, "cont"));
}

/* Whether a process ends within a time, telling who waits. */
static bool
ends(int process, unsigned seconds, const char *name)
{
	struct pollfd pfd = { .fd = process, .events = POLLIN };
	bool terminal = isatty(STDERR_FILENO);
	struct timespec start, now;

	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		unsigned gone;

		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		gone = (unsigned)(now.tv_sec - start.tv_sec);
		if (gone > 0 && terminal)
			fprintf(stderr, "\rhyve: waiting for '%s' to power off: %u s of %u ", name, gone, seconds);
		if (poll(&pfd, 1, seconds > gone ? 1000 : 0) > 0 || gone >= seconds) {
			if (gone > 0 && terminal)
				fputc('\n', stderr);
			return ((pfd.revents & POLLIN) != 0);
		}
	}
}

/* End the process, whatever the guest does: told, or if it does not listen by a signal.  -1 with a sentence. */
static int
force(const struct vmdir *dir, int process)
{
	if (execute(dir, "quit") == 0 && ends(process, FORCED, dir->name))
		return (0);
	if (pidfd_send_signal(process, SIGKILL, NULL, 0) != 0 && errno != ESRCH)
		return (vmm_fail_sys(errno, "VM '%s': cannot kill its process", dir->name));
	return (ends(process, FORCED, dir->name) ? 0 : vmm_fail(ETIMEDOUT, "VM '%s': its process does not end", dir->name));
}

int
cmd_kill(const struct verb *verb, int argc, char **argv)
{
	struct vmdir *dir;
	int process, code;

	dir = open_named(verb, argc, argv, &code);
	if (dir == NULL)
		return (code);
	process = vm_process(dir);
	if (process < 0 || (pidfd_send_signal(process, SIGKILL, NULL, 0) != 0 && errno != ESRCH))
		code = cmd_fail(1, "%s", process < 0 ? vmm_errmsg() : strerror(errno));
	else if (!ends(process, FORCED, dir->name))
		code = cmd_fail(1, "VM '%s': its process does not end", dir->name);
	if (process >= 0)
		close(process);
	vmdir_close(dir);
	return (code);
}

static int
parse_timeout(const char *text, unsigned *seconds)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || n > 86400)
		return (vmm_fail(EINVAL, "--timeout: '%s' is no number of seconds from 0 to 86400", text));
	*seconds = (unsigned)n;
	return (0);
}

/* Ask the guest, and insist when its time is over. */
static int
stop(const struct vmdir *dir, unsigned timeout, bool at_once)
{
	int process = vm_process(dir), r = 0;

	if (process < 0)
		return (-1);
	if (at_once)
		r = force(dir, process);
	else {
		r = execute(dir, "system_powerdown");
		if (r == 0 && !ends(process, timeout, dir->name)) {
			fprintf(stderr, "hyve: '%s' did not power off within %u seconds: ending it\n", dir->name, timeout);
			r = force(dir, process);
		}
		/* It may have ended meanwhile, by itself. */
		if (r != 0 && ends(process, 0, dir->name))
			r = 0;
	}
	close(process);
	return (r);
}

int
cmd_stop(const struct verb *verb, int argc, char **argv)
{
	static const struct own_option own[] = {
		{ "timeout", "SECONDS", 't' + OPTIONS_OWN, "how long the guest has to power off until it is ended (60)" },
		{ "force", NULL, 'f', "end it at once, as by pulling the plug" },
		{ NULL, NULL, 0, NULL },
	};
	struct vmdir *dir = NULL;
	unsigned timeout = TIMEOUT;
	struct options o;
	bool at_once = false;
	int opt, code = -1;

	if (options_init(&o, verb, NULL, false, own) != 0)
		return (cmd_fail(1, "%s", vmm_errmsg()));
	while (code < 0 && (opt = options_next(&o, argc, argv)) != -1) {
		if (opt == 'f')
			at_once = true;
		else if (opt == 't' + OPTIONS_OWN)
			code = parse_timeout(optarg, &timeout) == 0 ? -1 : cmd_fail(1, "%s", vmm_errmsg());
		else
			code = opt == 'h' ? options_help(&o) : cmd_usage(verb, 1);
	}
	options_fini(&o);
	if (code < 0 && argc - optind != 1)
		code = cmd_usage(verb, 1);
	if (code >= 0)
		return (code);
	dir = vmdir_open(argv[optind]);
	code = dir != NULL && stop(dir, timeout, at_once) == 0 ? 0 : cmd_fail(1, "%s", vmm_errmsg());
	vmdir_close(dir);
	return (code);
}
