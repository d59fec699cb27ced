/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * console_server.c - a console with people at it: who writes, what is shown, who is dropped, and who holds the guest back.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "console/console_server.h"
#include "error.h"
#include "test.h"

static char dir[64];
static struct sockaddr_un addr;
static struct event_loop *loop;
static struct console_server *server;
static int guest;		/* the guest's end */

static void
turns(unsigned n)
{
	while (n-- != 0)
		CHECK_EQ(event_loop_once(loop, 0), 0);
}

static void
setup(void)
{
	int fds[2];

	memcpy(dir, "/tmp/hyve-test.XXXXXX", sizeof("/tmp/hyve-test.XXXXXX"));
	CHECK(mkdtemp(dir) != NULL);
	addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/console", dir);
	loop = event_loop_new();
	CHECK(loop != NULL);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	guest = fds[1];
	server = console_server_open(loop, NULL, fds[0], addr.sun_path);
	CHECKF(server != NULL, "%s", vmm_errmsg());
}

static void
teardown(void)
{
	console_server_close(server);
	CHECK(access(addr.sun_path, F_OK) != 0);
	CHECK_EQ(rmdir(dir), 0);
	close(guest);
	event_loop_free(loop);
}

static int
client(char what)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK_EQ(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	if (what != '\0')
		CHECK_EQ(send(fd, &what, 1, 0), 1);
	turns(3);
	return (fd);
}

static void
type(int fd, const char *keys)
{
	char msg[64];
	int len = snprintf(msg, sizeof(msg), "%c%s", CONSOLE_KEYS, keys);

	CHECK_EQ(send(fd, msg, (size_t)len, MSG_NOSIGNAL), len);
	turns(3);
}

/* The next message of a kind with a text in it. */
static void
expect(int fd, char what, const char *text)
{
	char buf[CONSOLE_DATA_MAX + 2];
	ssize_t n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);

	CHECK(n >= 1);
	buf[n] = '\0';
	CHECKF(buf[0] == what && strstr(buf + 1, text) != NULL, "'%s', not %c with '%s'", buf, what, text);
}

static bool
closed(int fd)
{
	char c;

	return (recv(fd, &c, 1, MSG_DONTWAIT) == 0);
}

static void
guest_reads(const char *text)
{
	char buf[256];
	ssize_t n = recv(guest, buf, sizeof(buf) - 1, MSG_DONTWAIT);

	buf[n > 0 ? n : 0] = '\0';
	CHECKF(strcmp(buf, text) == 0, "the guest reads '%s', not '%s'", buf, text);
}

/* What the guest says until nobody takes more, at most max bytes; how many it was. */
static size_t
guest_writes(size_t max)
{
	static char buf[4096];
	size_t all = 0;
	ssize_t n;

	while (all < max) {
		n = send(guest, buf, max - all < sizeof(buf) ? max - all : sizeof(buf), MSG_DONTWAIT);
		if (n > 0)
			all += (size_t)n;
		turns(2);
		if (n <= 0 && send(guest, buf, 1, MSG_DONTWAIT) != 1)
			break;
		all += n <= 0;
	}
	return (all);
}

TEST(one_writes_and_the_others_are_told)
{
	int first, second, reader, thief;

	setup();
	first = client(CONSOLE_WRITE);
	second = client(CONSOLE_WRITE);
	reader = client(CONSOLE_READ);
	expect(second, CONSOLE_TELL, "writes here");
	type(first, "a");
	type(second, "b");
	type(reader, "c");
	guest_reads("a");
	thief = client(CONSOLE_STEAL);
	expect(first, CONSOLE_TELL, "has taken over");
	type(first, "d");
	type(thief, "e");
	guest_reads("e");
	/* It passes to who still wants it: not to whom it was taken from, nor to who only reads. */
	close(thief);
	turns(3);
	expect(second, CONSOLE_TELL, "goes to the guest now");
	type(second, "f");
	type(first, "g");
	guest_reads("f");
	CHECK_EQ(send(guest, "hi", 2, 0), 2);
	turns(3);
	expect(first, CONSOLE_DATA, "hi");
	expect(second, CONSOLE_DATA, "hi");
	expect(reader, CONSOLE_DATA, "hi");
	close(first);
	close(second);
	close(reader);
	teardown();
}

TEST(messages_that_there_are_not_end_the_client)
{
	static const char big[CONSOLE_KEYS_MAX + 2] = { CONSOLE_KEYS };
	int fd;

	setup();
	fd = client('?');
	CHECK(closed(fd));
	close(fd);
	fd = client('\0');
	CHECK_EQ(send(fd, "RR", 2, 0), 2);
	turns(3);
	CHECK(closed(fd));
	close(fd);
	fd = client(CONSOLE_WRITE);
	CHECK_EQ(send(fd, big, sizeof(big), 0), (ssize_t)sizeof(big));
	turns(3);
	CHECK(closed(fd));
	close(fd);
	fd = client(CONSOLE_WRITE);
	CHECK_EQ(send(fd, big, sizeof(big) - 1, 0), (ssize_t)sizeof(big) - 1);
	turns(3);
	CHECK(!closed(fd));
	close(fd);
	teardown();
}

/* 33 connections, which say nothing: the last one is refused by a sentence, and they are in nobody's way when they have gone. */
TEST(there_are_so_many_clients_at_most)
{
	int fds[CONSOLE_CLIENTS + 1];

	setup();
	for (unsigned i = 0; i <= CONSOLE_CLIENTS; i++)
		fds[i] = client('\0');
	expect(fds[CONSOLE_CLIENTS], CONSOLE_TELL, "as many readers as it can have");
	CHECK(closed(fds[CONSOLE_CLIENTS]));
	for (unsigned i = 0; i <= CONSOLE_CLIENTS; i++)
		close(fds[i]);
	turns(5);
	fds[0] = client(CONSOLE_WRITE);
	type(fds[0], "x");
	guest_reads("x");
	close(fds[0]);
	teardown();
}

TEST(the_guest_waits_for_the_local_reader_only)
{
	static char buf[65536];
	size_t taken, got = 0;
	int local, slow;
	ssize_t n;

	setup();
	slow = client(CONSOLE_READ);
	CHECK_EQ(guest_writes(4 * CONSOLE_RING), 4 * CONSOLE_RING);
	/* It was dropped, behind what had been sent to it. */
	while ((n = recv(slow, buf, sizeof(buf), MSG_DONTWAIT)) > 0)
		got += (size_t)n - 1;
	CHECK_EQ(n, 0);
	CHECK(got < 4 * CONSOLE_RING);
	close(slow);
	/* Who comes now sees the last of it. */
	slow = client(CONSOLE_READ);
	turns(50);
	for (got = 0; (n = recv(slow, buf, sizeof(buf), MSG_DONTWAIT)) > 0; got += (size_t)n - 1)
		turns(1);
	CHECK_EQ(got, CONSOLE_SHOWN);
	close(slow);
	teardown();

	setup();
	local = console_server_local(server);
	CHECK(local >= 0);
	taken = guest_writes(16 * CONSOLE_RING);
	CHECK(taken < 16 * CONSOLE_RING);
	/* None of it is lost. */
	got = 0;
	for (unsigned i = 0; i < 100000 && got < taken; i++) {
		n = recv(local, buf, sizeof(buf), MSG_DONTWAIT);
		got += n > 0 ? (size_t)n : 0;
		turns(1);
	}
	CHECK_EQ(got, taken);
	CHECK_EQ(send(local, "typed", 5, 0), 5);
	turns(3);
	guest_reads("typed");
	teardown();
	close(local);
}

TEST(the_socket_is_its_owners_and_an_old_one_is_replaced)
{
	struct stat st;
	mode_t mask = umask(0);
	int fds[2], old = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	setup();
	CHECK_EQ(stat(addr.sun_path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	teardown();
	memcpy(dir, "/tmp/hyve-test.XXXXXX", sizeof("/tmp/hyve-test.XXXXXX"));
	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/console", dir);
	CHECK_EQ(bind(old, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(old);
	loop = event_loop_new();
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	guest = fds[1];
	server = console_server_open(loop, NULL, fds[0], addr.sun_path);
	CHECKF(server != NULL, "%s", vmm_errmsg());
	old = client(CONSOLE_WRITE);
	type(old, "y");
	guest_reads("y");
	close(old);
	teardown();
	(void)umask(mask);
}

TEST_MAIN()
