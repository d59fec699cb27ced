/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_console.c - what clients of a console's socket send, and when: several of them, a local reader, and a guest who talks between.
 *
 * Operations: a byte that says which client and what it does: connect, a message with its length in two bytes, read, hang up; or the guest
 * writes or reads, or the local reader does.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console/console_server.h"
#include "error.h"
#include "fuzz.h"
#include "fuzz_guest.h"

#define	CLIENTS	4

static char dir[] = "/tmp/hyve-fuzz.XXXXXX";
static struct sockaddr_un addr = { .sun_family = AF_UNIX };
static struct event_loop *loop;

static void
clean_up(void)
{
	(void)rmdir(dir);
	event_loop_free(loop);
}

static void
make(void)
{
	loop = event_loop_new();
	if (loop == NULL || mkdtemp(dir) == NULL)
		abort();
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/console", dir);
	(void)atexit(clean_up);
}

static void
turn(void)
{
	if (event_loop_once(loop, 0) != 0)
		abort();
}

static void
client_does(int *fd, unsigned what, const uint8_t **p, const uint8_t *end)
{
	static char buf[8192];
	size_t len;

	switch (what) {
	case 0:
		if (*fd >= 0)
			close(*fd);
		*fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
		if (*fd < 0 || connect(*fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
			abort();
		break;
	case 1:
		len = (size_t)fuzz_bytes(p, end, 2);
		len = len < (size_t)(end - *p) ? len : (size_t)(end - *p);
		(void)send(*fd, *p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		*p += len;
		break;
	case 2:
		(void)recv(*fd, buf, sizeof(buf), MSG_DONTWAIT);
		break;
	case 3:
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		break;
	}
}

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	/* A writer, whose keys get to the guest; a thief; a flood that nobody reads. */
	static const uint8_t one[] = { 0, 1, 1, 0, 'W', 1, 3, 0, 'K', 'a', 'b', 0x10, 0x11, 2, 0x12, 3 };
	static const uint8_t two[] = { 0, 1, 1, 0, 'W', 4, 5, 1, 0, 'X', 5, 2, 0, 'K', 'x', 1, 2, 0, 'K', 'y', 0x11, 7, 3, 0x11 };
	static const uint8_t three[] = { 0x13, 0, 1, 1, 0, 'R', 0x10, 0x10, 0x10, 0x14, 0x10, 0x10, 0x15, 2, 2, 0x10, 3 };
	const struct fuzz_input inputs[] = { { one, sizeof(one) }, { two, sizeof(two) }, { three, sizeof(three) } };

	return (fuzz_input(inputs, 3, n, buf, max));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char flood[65536];
	const uint8_t *p = data, *end = data + size;
	int fds[2], client[CLIENTS] = { -1, -1, -1, -1 }, local = -1;
	struct console_server *s;
	char buf[4096];

	if (loop == NULL)
		make();
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) != 0)
		abort();
	s = console_server_open(loop, NULL, fds[0], addr.sun_path);
	if (s == NULL)
		abort();
	while (p < end) {
		unsigned op = (unsigned)fuzz_bytes(&p, end, 1) & 0x17;

		if ((op & 0x10) == 0)
			client_does(&client[(op >> 2) % CLIENTS], op & 3, &p, end);
		else if (op == 0x10)
			(void)send(fds[1], flood, sizeof(flood), MSG_NOSIGNAL | MSG_DONTWAIT);
		else if (op == 0x11)
			(void)recv(fds[1], buf, sizeof(buf), MSG_DONTWAIT);
		else if (op == 0x13 && local < 0)
			local = console_server_local(s);
		else if (op == 0x14)
			(void)recv(local, buf, sizeof(buf), MSG_DONTWAIT);
		else if (op == 0x15)
			(void)send(local, "keys", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
		turn();
		if (op == 0x16) {
			for (int i = 0; i < 40; i++)
				turn();
		}
	}
	console_server_close(s);
	for (unsigned i = 0; i < CLIENTS; i++) {
		if (client[i] >= 0)
			close(client[i]);
	}
	if (local >= 0)
		close(local);
	close(fds[1]);
	if (access(addr.sun_path, F_OK) == 0)
		abort();
	return (0);
}
