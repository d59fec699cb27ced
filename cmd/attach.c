/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attach.c - hyve console: this terminal becomes one end of a VM's serial line, until it is detached.
 */
#include <sys/socket.h>

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cmd.h"
#include "console.h"
#include "console/console_server.h"
#include "error.h"
#include "options.h"
#include "vmdir.h"

static volatile sig_atomic_t ended;

static void
on_signal(int signo)
{
	ended = signo;
}

/* The VM's console; -1 with a sentence. */
static int
connect_to(const struct vmdir *dir, char what)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct vmdir_state state;
	int fd;

	if (vmdir_state(dir, &state) != 0)
		return (-1);
	if (!state.running)
		return (vmm_fail(ESRCH, "VM '%s' does not run; 'hyve start %s' starts it", dir->name, dir->name));
	if (vmdir_socket(dir, VMDIR_CONSOLE, addr.sun_path) != 0)
		return (-1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 || send(fd, &what, 1, MSG_NOSIGNAL) != 1) {
		(void)vmm_fail_sys(errno, "the console of VM '%s', '%s'", dir->name, addr.sun_path);
		if (fd >= 0)
			close(fd);
		return (-1);
	}
	return (fd);
}

/* What was typed goes to the guest, unless that takes no more, as a terminal's keys do then; false: detach. */
static bool
typed(int fd, const char *keys, size_t len, bool terminal, bool *escaped)
{
	char msg[1 + CONSOLE_KEYS_MAX] = { CONSOLE_KEYS };
	size_t n = 1;

	for (size_t i = 0; i < len; i++) {
		if (!terminal || (!*escaped && keys[i] != CONSOLE_ESCAPE)) {
			msg[n++] = keys[i];
			continue;
		}
		if (!*escaped) {
			*escaped = true;
			continue;
		}
		*escaped = false;
		if (keys[i] == 'd')
			return (false);
		if (keys[i] == CONSOLE_ESCAPE)
			msg[n++] = keys[i];
		else
			fputs("\r\nhyve: Ctrl-] and then: d detaches, Ctrl-] sends Ctrl-], h prints this; the VM goes on\r\n", stderr);
	}
	if (n > 1)
		(void)send(fd, msg, n, MSG_NOSIGNAL | (terminal ? MSG_DONTWAIT : 0));
	return (true);
}

/* What the server sent; false: there will be no more. */
static bool
heard(int fd, bool terminal)
{
	char msg[1 + CONSOLE_DATA_MAX];
	ssize_t n = recv(fd, msg, sizeof(msg), 0), done = 1, w;

	if (n <= 0)
		return (n < 0 && errno == EINTR);
	if (msg[0] == CONSOLE_TELL)
		fprintf(stderr, "%shyve: %.*s%s\n", terminal ? "\r\n" : "", (int)n - 1, msg + 1, terminal ? "\r" : "");
	else if (msg[0] == CONSOLE_DATA) {
		while (done < n && ended == 0 && ((w = write(STDOUT_FILENO, msg + done, (size_t)(n - done))) > 0 || errno == EINTR))
			done += w > 0 ? w : 0;
		return (done == n);
	}
	return (true);
}

/* To its end, or until somebody detaches: true. */
static bool
talk(int fd, bool terminal, bool reads)
{
	struct pollfd pfd[2] = { { .fd = fd, .events = POLLIN }, { .fd = reads ? STDIN_FILENO : -1, .events = POLLIN } };
	char keys[CONSOLE_KEYS_MAX];
	bool escaped = false, input = reads, full;
	ssize_t n;

	while (ended == 0) {
		struct pollfd room = { .fd = fd, .events = POLLOUT };

		/* What comes by a pipe waits until the guest takes it, and what the guest says is read meanwhile. */
		full = input && !terminal && poll(&room, 1, 0) == 0;
		pfd[0].events = (short)(POLLIN | (full ? POLLOUT : 0));
		pfd[1].fd = input && !full ? STDIN_FILENO : -1;
		if (poll(pfd, 2, -1) < 0) {
			if (errno == EINTR)
				continue;
			return (true);
		}
		if ((pfd[0].revents & ~POLLOUT) != 0 && !heard(fd, terminal))
			return (false);
		if (pfd[1].revents == 0)
			continue;
		n = read(STDIN_FILENO, keys, sizeof(keys));
		if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
			/* A terminal that is gone has nobody at it; behind a pipe's end the rest is read. */
			if (terminal)
				return (true);
			input = false;
		} else if (n > 0 && !typed(fd, keys, (size_t)n, terminal, &escaped))
			return (true);
	}
	return (true);
}

int
cmd_console(const struct verb *verb, int argc, char **argv)
{
	static const struct own_option own[] = {
		{ "read-only", NULL, 'r', "only show what the guest writes" },
		{ "steal", NULL, 's', "write, whoever does now" },
		{ NULL, NULL, 0, NULL },
	};
	static const int signals[] = { SIGHUP, SIGINT, SIGTERM, SIGQUIT };
	struct sigaction act = { .sa_handler = on_signal };
	struct termios saved, raw;
	struct vmdir *dir;
	const char *name;
	char found[16];
	bool terminal, readonly, detached;
	int code, fd;

	if (!options_name(verb, own, argc, argv, false, &name, found, &code))
		return (code);
	readonly = strchr(found, 'r') != NULL;
	if (readonly && strchr(found, 's') != NULL)
		return (cmd_fail(1, "--read-only and --steal exclude each other"));
	dir = vmdir_open(name);
	fd = dir != NULL ? connect_to(dir, readonly ? CONSOLE_READ : found[0] == 's' ? CONSOLE_STEAL : CONSOLE_WRITE) : -1;
	vmdir_close(dir);
	if (fd < 0)
		return (cmd_fail(1, "%s", vmm_errmsg()));
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &act, NULL);
	terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &saved) == 0;
	if (terminal) {
		fprintf(stderr, "hyve: console of VM '%s'; Ctrl-] then d detaches, Ctrl-] h helps\n", name);
		raw = saved;
		cfmakeraw(&raw);
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	/* A terminal is read also by who only looks, for the keys that detach. */
	detached = talk(fd, terminal, terminal || !readonly);
	if (terminal)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &saved);
	close(fd);
	fprintf(stderr, "%shyve: %s\n", terminal ? "\n" : "", detached ? "detached; the VM goes on" : "the console has ended");
	return (0);
}
