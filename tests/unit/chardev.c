/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * chardev.c - the host's end of a serial line by a descriptor, and a pseudo terminal that nobody may be at.
 */
#include <sys/socket.h>

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>

#include "console/chardev.h"
#include "error.h"
#include "test.h"

static struct event_loop *loop;
static int master, own;
static char name[64];

/* As its owner has one: both ends. */
static struct chardev *
terminal(void)
{
	char what[16];
	struct chardev *cd;

	loop = event_loop_new();
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(loop != NULL && master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	CHECK_EQ(ptsname_r(master, name, sizeof(name)), 0);
	own = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	CHECK(own >= 0);
	(void)snprintf(what, sizeof(what), "fd:%d", master);
	cd = chardev_open(loop, what);
	CHECKF(cd != NULL, "%s", vmm_errmsg());
	return (cd);
}

static void
done(struct chardev *cd)
{
	chardev_close(cd);
	close(own);
	close(master);
	event_loop_free(loop);
}

static int
connect_to_it(void)
{
	int fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);

	CHECK(fd >= 0);
	return (fd);
}

/* Write until nothing is taken any more, at most 1 MiB; how much was. */
static size_t
flood(struct chardev *cd)
{
	static const char text[256] = { 'x' };
	size_t all = 0, n;

	do {
		n = chardev_write(cd, text, sizeof(text));
		all += n;
	} while (n == sizeof(text) && all < 1 << 20);
	return (all);
}

/* What is there for who reads.  The kernel brings it there when it likes. */
static size_t
empty(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[4096];
	size_t all = 0;
	ssize_t n;

	while (poll(&p, 1, 300) == 1 && (n = read(fd, buf, sizeof(buf))) > 0)
		all += (size_t)n;
	return (all);
}

TEST(bytes_pass_as_they_are)
{
	struct chardev *cd = terminal();
	struct pollfd p = { .fd = connect_to_it(), .events = POLLIN };
	char buf[8] = "";
	size_t n = 0;
	ssize_t got;

	CHECK_EQ(chardev_write(cd, "a\n\x03", 3), 3);
	/* The kernel brings them there when it likes, also one by one. */
	for (; n < 3; n += (size_t)got) {
		CHECK_EQ(poll(&p, 1, 30000), 1);
		got = read(p.fd, buf + n, sizeof(buf) - n);
		CHECK(got > 0);
	}
	n = 0;
	CHECK(memcmp(buf, "a\n\x03", 3) == 0);
	CHECK_EQ(write(p.fd, "\r\x04z", 3), 3);
	for (int i = 0; i < 3000 && n < 3; i++) {
		n += chardev_read(cd, buf + n, sizeof(buf) - n);
		(void)usleep(n < 3 ? 10000 : 0);
	}
	CHECK_EQ(n, 3);
	CHECK(memcmp(buf, "\r\x04z", 3) == 0);
	close(p.fd);
	done(cd);
}

TEST(nobody_holds_a_guest_back)
{
	struct chardev *cd = terminal();
	size_t taken;
	int fd;

	/* All is taken while nobody is there. */
	CHECK_EQ(flood(cd), 1 << 20);
	/* Who comes sees a part, and holds the writer back by not reading. */
	fd = connect_to_it();
	CHECK(empty(fd) > 0);
	taken = flood(cd);
	CHECKF(taken > 0 && taken < 1 << 20, "%zu bytes were taken", taken);
	CHECK_EQ(chardev_write(cd, "y", 1), 0);
	/* Nothing of what was taken is lost. */
	CHECK_EQ(empty(fd), taken);
	CHECK_EQ(chardev_write(cd, "y", 1), 1);
	CHECK_EQ(empty(fd), 1);
	(void)flood(cd);
	CHECK_EQ(chardev_write(cd, "y", 1), 0);
	/* And who leaves does not. */
	close(fd);
	CHECK_EQ(flood(cd), 1 << 20);
	CHECK(!chardev_eof(cd));
	done(cd);
}

static void
ready(void *arg, bool readable, bool writable)
{
	CHECK(writable);
	chardev_want(arg, false, false);
	event_loop_stop(loop);
}

/* A guest that waits for who does not read goes on when they leave. */
TEST(who_leaves_lets_go)
{
	struct chardev *cd = terminal();
	int fd = connect_to_it();

	chardev_set_user(cd, ready, cd);
	(void)flood(cd);
	CHECK_EQ(chardev_write(cd, "y", 1), 0);
	chardev_want(cd, false, true);
	close(fd);
	CHECK_EQ(event_loop_run(loop), 0);
	CHECK_EQ(chardev_write(cd, "y", 1), 1);
	done(cd);
}

TEST(it_lasts_over_a_new_start_of_the_machine)
{
	struct chardev *cd = terminal();
	int fd = connect_to_it();
	char what[16];
	size_t n = 0;

	chardev_close(cd);
	(void)snprintf(what, sizeof(what), "fd:%d", master);
	cd = chardev_open(loop, what);
	CHECK(cd != NULL);
	/* Who was there before is known by reading. */
	CHECK_EQ(chardev_write(cd, "hello", 5), 5);
	CHECK_EQ(empty(fd), 5);
	n = flood(cd);
	CHECKF(n < 1 << 20, "%zu bytes were taken", n);
	CHECK_EQ(empty(fd), n);
	close(fd);
	done(cd);
}

/* One byte from each is enough to go on. */
static void
one_more(void *arg, bool readable, bool writable)
{
	CHECK(!readable && writable);
	CHECK_EQ(chardev_write(arg, "w", 1), 1);
	chardev_want(arg, false, false);
	event_loop_stop(loop);
}

static void
stop(void *arg)
{
	(void)arg;
	event_loop_stop(loop);
}

/* A UART writes byte by byte, and the control thread comes when it can. */
TEST(a_socket_waits_for_the_far_end)
{
	static uint8_t got[2 << 20];
	int fds[2];
	struct chardev *cd;
	struct event *soon;
	size_t sent = 0, seen = 0;
	ssize_t n;
	uint8_t byte;

	loop = event_loop_new();
	CHECK(loop != NULL);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
	cd = chardev_open_fds(loop, fds[1], fds[1], true);
	CHECKF(cd != NULL, "%s", vmm_errmsg());
	chardev_set_user(cd, one_more, cd);
	do {
		byte = (uint8_t)(sent % 251);
		n = (ssize_t)chardev_write(cd, &byte, 1);
		sent += (size_t)n;
	} while (n == 1 && sent < sizeof(got));
	CHECKF(sent >= 65536 && sent < 1 << 20, "%zu bytes were taken", sent);
	/* The far end reads; the rest comes by itself, in order, and the user hears of the room. */
	chardev_want(cd, false, true);
	while ((n = recv(fds[0], got + seen, 4096, 0)) > 0)
		seen += (size_t)n;
	CHECK(seen < sent);
	CHECK_EQ(event_loop_run(loop), 0);
	sent++;
	soon = event_timer_add(loop, stop, NULL);
	CHECK(soon != NULL);
	for (int i = 0; i < 3000 && seen < sent; i++) {
		while ((n = recv(fds[0], got + seen, 4096, 0)) > 0)
			seen += (size_t)n;
		event_timer_arm(soon, 10000000);
		CHECK_EQ(event_loop_run(loop), 0);
	}
	CHECK_EQ(seen, sent);
	for (size_t i = 0; i < sent - 1; i++)
		CHECK_EQ(got[i], i % 251);
	CHECK_EQ(got[sent - 1], 'w');
	/* What waits at the close is not lost. */
	for (sent = 0; sent < 4096; sent++)
		CHECK_EQ(chardev_write(cd, "z", 1), 1);
	chardev_close(cd);
	for (seen = 0; (n = recv(fds[0], got, 4096, 0)) > 0; seen += (size_t)n)
		;
	CHECK_EQ(seen, sent);
	event_remove(soon);
	close(fds[0]);
	event_loop_free(loop);
}

/* Who is gone for good takes everything. */
TEST(a_socket_without_far_end)
{
	struct chardev *cd;
	int fds[2];

	loop = event_loop_new();
	CHECK(loop != NULL);
	CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	cd = chardev_open_fds(loop, fds[1], fds[1], true);
	CHECK(cd != NULL);
	for (int i = 0; i < 1000; i++)
		CHECK_EQ(chardev_write(cd, "z", 1), 1);
	close(fds[0]);
	CHECK_EQ(flood(cd), 1 << 20);
	chardev_close(cd);
	event_loop_free(loop);
}

TEST(descriptors_that_are_none)
{
	static const char *const bad[] = { "fd:", "fd:x", "fd:-1", "fd:1x", "fd:99999999999" };

	loop = event_loop_new();
	CHECK(loop != NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK(chardev_open(loop, bad[i]) == NULL);
		CHECK_EQ(errno, EINVAL);
		CHECK_HAS(vmm_errmsg(), "names no descriptor");
	}
	CHECK(chardev_open(loop, "fd:999") == NULL);
	CHECK_EQ(errno, EBADF);
	CHECK_STR(vmm_errmsg(), "character device: descriptor 999: Bad file descriptor");
	event_loop_free(loop);
}

TEST_MAIN()
