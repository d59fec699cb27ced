/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console.c - the guest's serial console on standard input and output, with an escape key.
 *
 * The serial port is at the far end of a pair of sockets; this has the near one.  When standard output takes no more, nothing is read from the
 * guest, and its port holds it back.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cmd.h"
#include "console.h"
#include "error.h"

#define	BUF	4096

struct console {
	console_fn	*fn;
	void		*arg;
	int		 fd;		/* our end */
	struct event	*in, *out, *guest;
	bool		 terminal;
	bool		 out_terminal;	/* standard output is one: room there is told for one byte only */
	bool		 escaped;	/* the escape key was the last one */
	bool		 input_ended;
	struct termios	 saved;
	char		 buf[BUF];	/* for standard output */
	size_t		 len;
	char		 keys[BUF];	/* for the guest */
	size_t		 nkeys;
};

static void
help(void)
{
	fputs("\r\nhyve: Ctrl-] and then: q ends the VM, p presses its power button, r resets it,\r\n"
	    "      Ctrl-] sends Ctrl-], h prints this\r\n", stderr);
}

/* Give the guest what it takes; wait for room, or for more. */
static void
feed(struct console *con)
{
	ssize_t n;

	while (con->nkeys != 0) {
		n = send(con->fd, con->keys, con->nkeys, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n <= 0)
			break;
		memmove(con->keys, con->keys + n, con->nkeys - (size_t)n);
		con->nkeys -= (size_t)n;
	}
	event_fd_set(con->guest, (con->len == 0 ? EVENT_READ : 0) | (con->nkeys != 0 ? EVENT_WRITE : 0));
	if (con->in != NULL && !con->input_ended)
		event_fd_set(con->in, con->nkeys == 0 ? EVENT_READ : 0);
}

static void
key(struct console *con, char c)
{
	if (!con->terminal || (!con->escaped && c != CONSOLE_ESCAPE)) {
		con->keys[con->nkeys++] = c;
		return;
	}
	if (!con->escaped) {
		con->escaped = true;
		return;
	}
	con->escaped = false;
	if (c == CONSOLE_ESCAPE)
		con->keys[con->nkeys++] = c;
	else if (c == 'q' || c == 'p' || c == 'r')
		con->fn(con->arg, c);
	else
		help();
}

static void
input(void *arg, unsigned what)
{
	struct console *con = arg;
	char buf[BUF / 2];
	ssize_t n;

	n = read(STDIN_FILENO, buf, sizeof(buf));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		con->input_ended = true;
		event_fd_set(con->in, 0);
		return;
	}
	for (ssize_t i = 0; i < n; i++)
		key(con, buf[i]);
	feed(con);
}

/*
 * Write what is there; true if all was, or never can be.  Standard output blocks, and is not ours alone to change that: it gets no more at a
 * time than it has room for when it says that it has some.
 */
static bool
flush(struct console *con)
{
	struct pollfd pfd = { .fd = STDOUT_FILENO, .events = POLLOUT };
	size_t some = con->out_terminal ? 1 : PIPE_BUF;
	ssize_t n;

	while (con->len != 0) {
		if (poll(&pfd, 1, 0) == 0)
			return (false);
		n = write(STDOUT_FILENO, con->buf, con->len < some ? con->len : some);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return (false);
		if (n <= 0)
			n = (ssize_t)con->len;		/* nobody will ever read it */
		memmove(con->buf, con->buf + n, con->len - (size_t)n);
		con->len -= (size_t)n;
	}
	return (true);
}

static void
from_guest(void *arg, unsigned what)
{
	struct console *con = arg;
	ssize_t n;

	if ((what & EVENT_READ) != 0 && con->len == 0) {
		n = recv(con->fd, con->buf, sizeof(con->buf), MSG_DONTWAIT);
		if (n > 0)
			con->len = (size_t)n;
	}
	if (!flush(con) && con->out != NULL)
		event_fd_set(con->out, EVENT_WRITE);
	feed(con);
}

static void
output(void *arg, unsigned what)
{
	struct console *con = arg;

	if (flush(con))
		event_fd_set(con->out, 0);
	feed(con);
}

static int
raw_mode(struct console *con)
{
	struct termios raw;

	con->out_terminal = isatty(STDOUT_FILENO);
	if (!isatty(STDIN_FILENO))
		return (0);
	if (tcgetattr(STDIN_FILENO, &con->saved) != 0)
		return (vmm_fail_sys(errno, "terminal"));
	raw = con->saved;
	cfmakeraw(&raw);
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) != 0)
		return (vmm_fail_sys(errno, "terminal"));
	con->terminal = true;
	return (0);
}

struct console *
console_open(struct event_loop *loop, int fd, console_fn *fn, void *arg)
{
	struct console *con = calloc(1, sizeof(*con));

	if (con == NULL) {
		close(fd);
		return (vmm_fail_null(ENOMEM, "console: no memory"));
	}
	con->fn = fn;
	con->arg = arg;
	con->fd = fd;
	con->guest = event_fd_add(loop, con->fd, EVENT_READ, from_guest, con);
	/* Standard input and output may be one description, or closed: then there is just less to watch. */
	if (fcntl(STDIN_FILENO, F_GETFD) >= 0)
		con->in = event_fd_add(loop, STDIN_FILENO, EVENT_READ, input, con);
	if (fcntl(STDOUT_FILENO, F_GETFD) >= 0)
		con->out = event_fd_add(loop, STDOUT_FILENO, 0, output, con);
	if (con->guest == NULL || raw_mode(con) != 0) {
		(void)vmm_fail_sys(errno, "console");
		console_close(con);
		return (NULL);
	}
	return (con);
}

bool
console_is_terminal(const struct console *con)
{
	return (con->terminal);
}

void
console_close(struct console *con)
{
	struct pollfd pfd = { .fd = STDOUT_FILENO, .events = POLLOUT };
	ssize_t n;

	if (con == NULL)
		return;
	event_remove(con->in);
	event_remove(con->out);
	event_remove(con->guest);
	/* What the guest said last is worth a second. */
	for (;;) {
		if (!flush(con) && poll(&pfd, 1, 1000) <= 0)
			break;
		if (con->len != 0)
			continue;
		n = con->fd < 0 ? 0 : recv(con->fd, con->buf, sizeof(con->buf), MSG_DONTWAIT);
		if (n <= 0)
			break;
		con->len = (size_t)n;
	}
	if (con->fd >= 0)
		close(con->fd);
	if (con->terminal)
		(void)tcsetattr(STDIN_FILENO, TCSADRAIN, &con->saved);
	free(con);
}
