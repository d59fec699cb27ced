/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd.c - disks on NBD servers: nbdkit and qemu-nbd, which come and go; and servers that do not keep to the protocol (nbd_server.h).
 */
#include <sys/prctl.h>
#include <sys/stat.h>

#include <fcntl.h>

#include "nbd_fixture.h"

#define	SIZE	(8U << 20)

static pid_t server;

static void
make_image(uint64_t size)
{
	int fd = open(image, O_CREAT | O_TRUNC | O_WRONLY, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static bool
have(const char *program)
{
	char command[64];

	snprintf(command, sizeof(command), "command -v %s >/dev/null", program);
	return (system(command) == 0);
}

/* Whether somebody listens at the socket. */
static bool
listening(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), r;

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", sock);
	r = connect(fd, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	return (r == 0);
}

/* Run a server by a command, in which SOCK and IMAGE are its socket and its file, and wait for it. */
static void
start(const char *command)
{
	unlink(sock);
	fflush(NULL);
	server = fork();
	CHECK(server >= 0);
	if (server == 0) {
		int null = open("/dev/null", O_RDWR);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		setenv("SOCK", sock, 1);
		setenv("IMAGE", image, 1);
		(void)dup2(null, 0);
		(void)dup2(null, 2);
		(void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	while (!listening()) {
		CHECKF(waitpid(server, NULL, WNOHANG) == 0, "the server ended: %s", command);
		usleep(5000);
	}
}

static void
stop(void)
{
	CHECK_EQ(kill(server, SIGKILL), 0);
	CHECK_EQ(waitpid(server, NULL, 0), server);
}

static struct store *
opened(void)
{
	return (opened_with(20, 20));
}

static void
refused(const char *path, bool readonly, int error, const char *why)
{
	const struct block_options o = { .path = path, .readonly = readonly, .timeout = 1 };

	errno = 0;
	CHECK(block_open(&o) == NULL);
	CHECK_HAS(vmm_errmsg(), why);
	CHECK_EQ(errno, error);
	CHECK_HAS(vmm_errmsg(), path);
}

/* Requests of any size at any byte, scattered in memory, are what they are on a file. */
static void
like_a_file(struct store *s, unsigned rounds, unsigned align)
{
	uint8_t *model = calloc(1, SIZE), *buf = malloc(SIZE);
	uint64_t seed = 4711;

	CHECK(model != NULL && buf != NULL);
	for (unsigned n = 0; n < rounds; n++) {
		size_t len = (size_t)(test_random(&seed) % (n % 8 == 0 ? 3U << 20 : 20000)) / align * align, part = len / 3;
		uint64_t off = test_random(&seed) % (SIZE - len) / align * align;
		struct iovec iov[3] = { { buf, part }, { buf + part, 0 }, { buf + part, len - part } };

		switch (test_random(&seed) % 4) {
		case 0:
			fill(buf, len, n + 1);
			memcpy(model + off, buf, len);
			CHECK_EQ(store_writev(s, iov, 3, off), 0);
			break;
		case 1:
			memset(model + off, 0, len);
			CHECK_EQ(store_zero(s, off, len, n % 2 == 0), 0);
			break;
		default:
			CHECK_EQ(store_readv(s, iov, 3, off), 0);
			CHECKF(memcmp(model + off, buf, len) == 0, "round %u: %zu bytes at %llu differ", n, len, (unsigned long long)off);
		}
	}
	CHECK_EQ(store_flush(s), 0);
	CHECK_EQ(store_read(s, buf, SIZE, 0), 0);
	CHECK(memcmp(model, buf, SIZE) == 0);
	free(model);
	free(buf);
}

TEST(nbdkit)
{
	struct store *s;
	uint8_t buf[8192];
	struct stat st;

	if (!have("nbdkit"))
		SKIP("nbdkit is not installed");
	begin();
	make_image(SIZE);
	start("exec nbdkit -f -U $SOCK file $IMAGE");
	s = opened();
	CHECK_EQ(s->size, SIZE);
	CHECK(!s->readonly);
	like_a_file(s, 200, 1);
	CHECK_EQ(store_zero(s, 0, SIZE, true), 0);
	CHECK_EQ(stat(image, &st), 0);
	CHECK_EQ(st.st_blocks, 0);
	memset(buf, 1, sizeof(buf));
	CHECK_EQ(store_write(s, buf, sizeof(buf), 4096), 0);
	CHECK_EQ(store_discard(s, 4000, sizeof(buf) + 200), 0);
	CHECK_EQ(stat(image, &st), 0);
	CHECK_EQ(st.st_blocks, 0);
	/* Behind its end there is nothing to write to. */
	CHECK_EQ(store_write(s, buf, 512, SIZE), EIO);
	store_close(s);
	stop();
	end();
}

/* Encrypted: by a key that both have, which a file beside the URI names.  Without one, or with another, nothing is said in the clear. */
TEST(tls)
{
	char keys[64], others[64], secure[256];
	struct store *s;
	FILE *file;

	if (!have("nbdkit"))
		SKIP("nbdkit is not installed");
	if (system("nbdkit --dump-config | grep -qx tls=yes") != 0)
		SKIP("this nbdkit has no TLS");
	begin();
	make_image(SIZE);
	snprintf(keys, sizeof(keys), "%s/keys", dir);
	snprintf(others, sizeof(others), "%s/others", dir);
	file = fopen(keys, "we");
	CHECK(file != NULL && fprintf(file, "alice:%064x\n", 0x5eed) > 0 && fclose(file) == 0);
	file = fopen(others, "we");
	CHECK(file != NULL && fprintf(file, "alice:%064x\n", 0xbad) > 0 && fclose(file) == 0);
	CHECK_EQ(setenv("KEYS", keys, 1), 0);
	start("exec nbdkit -f -U $SOCK --tls=require --tls-psk=$KEYS file $IMAGE");
	snprintf(secure, sizeof(secure), "nbds+unix://alice@/?socket=%s&tls-psk-file=%s", sock, others);
	refused(secure, false, ECONNREFUSED, "cannot connect: gnutls_handshake: ");
	refused(uri, false, ENOENT, "refuses it; does it demand TLS (nbds)?");
	snprintf(secure, sizeof(secure), "nbds+unix://alice@/?socket=%s&tls-psk-file=%s", sock, keys);
	snprintf(uri, sizeof(uri), "%s", secure);
	s = opened();
	like_a_file(s, 60, 1);
	store_close(s);
	stop();
	/* A server that has no TLS is no server for it. */
	start("exec nbdkit -f -U $SOCK file $IMAGE");
	refused(uri, false, ECONNREFUSED, "does it offer TLS?");
	stop();
	unlink(keys);
	unlink(others);
	end();
}

/* More than a request of the protocol may have: 32 MiB where the server does not say. */
TEST(large_requests)
{
	size_t len = 36U << 20;
	uint8_t *buf = malloc(len), *back = malloc(len);
	struct store *s;

	if (!have("nbdkit"))
		SKIP("nbdkit is not installed");
	CHECK(buf != NULL && back != NULL);
	begin();
	start("exec nbdkit -f -U $SOCK memory 36M");
	s = opened();
	fill(buf, len, 1);
	CHECK_EQ(store_write(s, buf, len, 0), 0);
	CHECK_EQ(store_read(s, back, len, 0), 0);
	CHECK(memcmp(buf, back, len) == 0);
	CHECK_EQ(store_zero(s, 0, len, false), 0);
	CHECK_EQ(store_read(s, back, len, 0), 0);
	CHECK(back[0] == 0 && memcmp(back, back + 1, len - 1) == 0);
	store_close(s);
	stop();
	end();
	free(buf);
	free(back);
}

/* The server fails what is not of whole blocks, or too large. */
TEST(constraints)
{
	struct store *s;

	if (!have("nbdkit"))
		SKIP("nbdkit is not installed");
	begin();
	start("exec nbdkit -f -U $SOCK --filter=blocksize-policy memory 8M blocksize-error-policy=error blocksize-minimum=4096 "
	    "blocksize-preferred=4096 blocksize-maximum=64K");
	s = opened();
	like_a_file(s, 300, 1);
	store_close(s);
	stop();
	start("exec nbdkit -f -U $SOCK --filter=nozero memory 8M");
	s = opened();
	like_a_file(s, 100, 512);
	store_close(s);
	stop();
	end();
}

struct neighbour {
	struct store	*s;
	unsigned	 n;
};

static void *
writes_its_sectors(void *arg)
{
	const struct neighbour *me = arg;
	uint8_t buf[512];

	for (unsigned i = 0; i < 400; i++) {
		memset(buf, (int)(me->n * 50 + i % 50), sizeof(buf));
		CHECK_EQ(store_write(me->s, buf, sizeof(buf), (i % 50 * 8 + me->n) * 512), 0);
	}
	return (NULL);
}

/* Sectors of one block of the server's, written at the same time. */
TEST(neighbours_in_a_block)
{
	struct neighbour who[4];
	pthread_t t[4];
	uint8_t buf[512];
	struct store *s;

	begin();
	ns_start(sock);
	ns.min = 4096;
	ns.max = 65536;
	ns.flags |= NS_MULTI;
	s = opened();
	for (unsigned i = 0; i < 4; i++) {
		who[i] = (struct neighbour){ s, i };
		CHECK_EQ(pthread_create(&t[i], NULL, writes_its_sectors, &who[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	for (unsigned i = 0; i < 400; i++) {
		CHECK_EQ(store_read(s, buf, sizeof(buf), i * 512), 0);
		CHECK_EQ(buf[0], i % 8 < 4 ? i % 8 * 50 + i / 8 : 0);
		CHECK(memcmp(buf, buf + 1, sizeof(buf) - 1) == 0);
	}
	store_close(s);
	ns_stop();
	end();
}

TEST(errors_of_the_server)
{
	uint8_t buf[4096] = { 0 };
	struct store *s;

	if (!have("nbdkit"))
		SKIP("nbdkit is not installed");
	begin();
	start("exec nbdkit -f -U $SOCK --filter=error memory 8M error-pwrite=ENOSPC error-pwrite-rate=100% error-pread=EIO error-pread-rate=100% "
	    "error-trim=EINVAL error-trim-rate=100%");
	s = opened();
	CHECK_EQ(store_write(s, buf, sizeof(buf), 0), ENOSPC);
	CHECK_EQ(store_read(s, buf, sizeof(buf), 0), EIO);
	CHECK_EQ(store_discard(s, 0, 4096), 0);		/* a hint */
	CHECK_EQ(store_flush(s), 0);
	store_close(s);
	stop();
	/* Zeros are written where zeroing is refused. */
	start("exec nbdkit -f -U $SOCK --filter=error memory 8M error-zero=EINVAL error-zero-rate=100%");
	s = opened();
	like_a_file(s, 100, 512);
	store_close(s);
	stop();
	end();
}

TEST(sentences)
{
	char path[256];
	struct block *b;

	begin();
	refused(uri, false, ECONNREFUSED, "cannot connect: ");
	refused("nbd://127.0.0.1:1/x", false, ECONNREFUSED, "cannot connect: ");
	refused("nbd+unix:///x", false, ECONNREFUSED, "socket");
	/* Another scheme is a file's name. */
	refused("nbd+vsock:///x", false, ENOENT, "cannot be opened: No such file");
	if (!have("qemu-nbd") || !have("nbdkit"))
		SKIP("nbdkit and qemu-nbd are not installed");
	make_image(SIZE + 100);
	start("exec nbdkit -f -U $SOCK file $IMAGE");
	refused(uri, false, EINVAL, "8388708 bytes; a disk is a whole number of sectors");
	stop();
	make_image(SIZE);
	start("exec qemu-nbd -r -t -k $SOCK -f raw -x first $IMAGE");
	snprintf(path, sizeof(path), "nbd+unix:///second?socket=%s", sock);
	refused(path, false, ENOENT, "no such export");
	snprintf(path, sizeof(path), "nbd+unix:///first?socket=%s", sock);
	refused(path, false, EROFS, "the export is read-only (ro=true would do)");
	b = block_open(&(struct block_options){ .path = path, .readonly = true });
	CHECKF(b != NULL, "%s", vmm_errmsg());
	CHECK(block_readonly(b));
	block_close(b);
	snprintf(path, sizeof(path), "nbds+unix:///first?socket=%s", sock);
	refused(path, true, ECONNREFUSED, "TLS");
	stop();
	setenv("HYVE_MODULES", dir, 1);
	refused(uri, false, ENOENT, "hyve-block-nbd.so is not there");
	end();
}

static unsigned
connections(void)
{
	char line[256];
	unsigned n = 0;
	FILE *f = fopen("/proc/net/unix", "re");

	CHECK(f != NULL);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, sock) != NULL && strstr(line, " 0001 03 ") != NULL;
	fclose(f);
	return (n);
}

TEST(several_connections)
{
	struct store *s;

	if (!have("nbdkit"))
		SKIP("nbdkit is not installed");
	begin();
	start("exec nbdkit -f -U $SOCK memory 8M");
	s = opened();
	while (connections() != 4)
		usleep(1000);
	like_a_file(s, 100, 512);
	store_close(s);
	while (connections() != 0)		/* it was told that this is the end */
		usleep(1000);
	stop();
	/* Flushes of one connection are not those of all. */
	start("exec nbdkit -f -U $SOCK --filter=multi-conn memory 8M multi-conn-mode=disable");
	s = opened();
	like_a_file(s, 100, 512);
	CHECK_EQ(connections(), 1);
	store_close(s);
	stop();
	end();
}

struct writer {
	struct store	*s;
	unsigned	 n;
};

static void *
writes_and_flushes(void *arg)
{
	const struct writer *w = arg;
	uint8_t buf[4096];

	fill(buf, sizeof(buf), w->n + 1);
	CHECK_EQ(store_write(w->s, buf, sizeof(buf), w->n * 4096), 0);
	CHECK_EQ(store_flush(w->s), 0);
	return (NULL);
}

TEST(killed_and_restarted)
{
	static const char command[] = "exec nbdkit -f -U $SOCK file $IMAGE";
	uint8_t buf[4096], back[4096];
	struct writer w;
	pthread_t t;

	if (!have("nbdkit"))
		SKIP("nbdkit is not installed");
	begin();
	make_image(SIZE);
	start(command);
	w.s = opened();
	for (w.n = 0; w.n < 3; w.n++) {
		stop();
		CHECK_EQ(pthread_create(&t, NULL, writes_and_flushes, &w), 0);
		usleep(200000);
		start(command);
		CHECK_EQ(pthread_join(t, NULL), 0);
		fill(buf, sizeof(buf), w.n + 1);
		CHECK_EQ(store_read(w.s, back, sizeof(back), w.n * 4096), 0);
		CHECK(memcmp(buf, back, sizeof(buf)) == 0);
	}
	store_close(w.s);
	/* It does not come back: requests fail, also those that follow; and when it does, they do not. */
	w.s = opened_with(5, 1);
	stop();
	CHECK_EQ(store_read(w.s, back, sizeof(back), 0), EIO);
	CHECK_EQ(store_read(w.s, back, sizeof(back), 0), EIO);
	start(command);
	while (store_read(w.s, back, sizeof(back), 2 * 4096) != 0)
		usleep(10000);
	CHECK(memcmp(buf, back, sizeof(buf)) == 0);
	/* With another size it is another disk. */
	stop();
	make_image(SIZE / 2);
	start(command);
	CHECK_EQ(store_read(w.s, back, sizeof(back), 0), EIO);
	store_close(w.s);
	stop();
	end();
}

static void
halt(void)
{
	int status;

	CHECK_EQ(kill(server, SIGSTOP), 0);
	CHECK_EQ(waitpid(server, &status, WUNTRACED), server);
	CHECK(WIFSTOPPED(status));
}

/* It stands still, in the middle of things and before it answers a new connection. */
TEST(hangs)
{
	uint8_t buf[4096];
	struct store *s;

	if (!have("nbdkit"))
		SKIP("nbdkit is not installed");
	begin();
	start("exec nbdkit -f -U $SOCK memory 8M");
	s = opened_with(1, 1);
	halt();
	CHECK_EQ(store_read(s, buf, sizeof(buf), 0), EIO);
	CHECK_EQ(store_write(s, buf, sizeof(buf), 0), EIO);
	refused(uri, false, ECONNREFUSED, "does not answer");
	store_close(s);
	/* Closing does not wait for one either. */
	CHECK_EQ(kill(server, SIGCONT), 0);
	s = opened();
	halt();
	store_close(s);
	stop();
	end();
}

TEST(qemu_nbd)
{
	struct block_options o = { .path = uri, .format = BLOCK_QCOW2, .timeout = 20 };
	char command[256], path[256];
	struct store *s;

	if (!have("qemu-nbd") || !have("qemu-img"))
		SKIP("qemu-nbd and qemu-img are not installed");
	begin();
	snprintf(command, sizeof(command), "qemu-img create -q -f qcow2 %s 8M", image);
	CHECK_EQ(system(command), 0);
	start("exec qemu-nbd -t -e 4 -k $SOCK -f qcow2 $IMAGE");
	s = opened();
	like_a_file(s, 200, 1);
	store_close(s);
	CHECK_EQ(kill(server, SIGTERM), 0);
	CHECK_EQ(waitpid(server, NULL, 0), server);
	snprintf(command, sizeof(command), "qemu-img check -q -f qcow2 %s", image);
	CHECK_EQ(system(command), 0);
	/* An image's format is the guest's side of a server as of a file, as long as there is room for it. */
	snprintf(command, sizeof(command), "qemu-img create -q -f qcow2 %s 8M; truncate -s 16M %s", image, image);
	CHECK_EQ(system(command), 0);
	start("exec qemu-nbd -t -k $SOCK -f raw -x disk.qcow2 $IMAGE");
	snprintf(path, sizeof(path), "nbd+unix:///disk.qcow2?socket=%s", sock);
	o = (struct block_options){ .path = path, .timeout = 20 };
	s = store_open(&o, NULL);
	CHECKF(s != NULL, "%s", vmm_errmsg());
	CHECK_EQ(s->size, SIZE);
	like_a_file(s, 100, 512);
	store_close(s);
	stop();
	snprintf(command, sizeof(command), "qemu-img check -q -f qcow2 %s", image);
	CHECK_EQ(system(command), 0);
	end();
}

/* A server that loses what it acknowledged and was not asked to flush: nothing of it is missing after the next flush. */
TEST(server_loses_its_cache)
{
	uint8_t *model = calloc(1, NS_SIZE), *buf = malloc(NS_SIZE);
	uint64_t seed = 99;
	struct store *s;

	CHECK(model != NULL && buf != NULL);
	begin();
	ns_start(sock);
	for (unsigned multi = 0; multi < 2; multi++) {
		if (multi != 0)
			ns.flags |= NS_MULTI;
		s = opened();
		for (unsigned n = 0; n < 141; n++) {
			size_t len = (size_t)(test_random(&seed) % 64 + 1) * 512;
			uint64_t off = test_random(&seed) % ((NS_SIZE - len) / 512) * 512;

			fill(buf, len, n + 1);
			if (n % 3 == 0) {
				memset(buf, 0, len);
				CHECK_EQ(store_zero(s, off, len, false), 0);
			} else {
				CHECK_EQ(store_write(s, buf, len, off), 0);
			}
			memcpy(model + off, buf, len);
			if (n % 7 == 0)
				ns_crash();
			if (n % 20 != 0)
				continue;
			/* A connection that ends again and again gets there as well. */
			ns.limit = n % 40 == 0 ? 30 : 0;
			CHECK_EQ(store_flush(s), 0);
			pthread_mutex_lock(&ns.lock);
			CHECKF(memcmp(model, ns.disk, NS_SIZE) == 0, "after %u requests", n);
			pthread_mutex_unlock(&ns.lock);
		}
		ns.limit = 0;
		CHECK(ns.crashes > 20);
		CHECK_EQ(store_flush(s), 0);
		store_close(s);
	}
	ns_stop();
	end();
	free(model);
	free(buf);
}

/* What is kept for that is limited: by flushes that nobody asked for. */
TEST(flushes_by_itself)
{
	static uint8_t buf[1U << 20];
	struct store *s;

	begin();
	ns_start(sock);
	s = opened();
	for (unsigned i = 0; i < 110; i++) {
		memset(buf, (int)i, sizeof(buf));
		CHECK_EQ(store_write(s, buf, sizeof(buf), 0), 0);
	}
	CHECK(ns.flushes >= 3 && ns.flushes < 20);
	store_close(s);
	ns_stop();
	end();
}

/* Servers that do not keep to the protocol */

TEST(strange_exports)
{
	static const struct {
		uint64_t	 size;
		uint32_t	 min, max;
		int		 error;
		const char	*why;
	} rows[] = {
		{ 0, 0, 0, EINVAL, "has 0 bytes" },
		{ 1000, 0, 0, EINVAL, "has 1000 bytes" },
		{ UINT64_MAX, 0, 0, ECONNREFUSED, "cannot connect: " },
		{ 1ULL << 63, 0, 0, ECONNREFUSED, "cannot connect: " },
		{ NS_SIZE + 512, 4096, 65536, EPROTO, "does not consist of them" },
	};

	begin();
	ns_start(sock);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ns.size = rows[i].size;
		ns.min = rows[i].min;
		ns.max = rows[i].max;
		refused(uri, false, rows[i].error, rows[i].why);
	}
	ns_stop();
	end();
}

/* What cannot be is as if the server had not said it; then it is the server that refuses the requests. */
TEST(blocks_that_are_none)
{
	static const struct {
		uint32_t	 min, max;
		int		 error;
	} rows[] = {
		{ 3, 65536, EINVAL }, { 1U << 20, 1U << 21, EINVAL }, { 4096, 512, EINVAL }, { UINT32_MAX, UINT32_MAX, EINVAL }, { 4096, 5000, EINVAL },
		{ 4096, 8192, 0 },
	};
	uint8_t buf[10000];

	begin();
	ns_start(sock);
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct store *s;

		ns.min = rows[i].min;
		ns.max = rows[i].max;
		s = opened();
		CHECK_EQ(store_read(s, buf, sizeof(buf), 512), rows[i].error);
		store_close(s);
	}
	ns_stop();
	end();
}

TEST(closes_at_each_point)
{
	uint8_t buf[4096] = { 0 };
	struct store *s;

	begin();
	ns_start(sock);
	for (unsigned at = NS_ACCEPT; at <= NS_INFO; at++) {
		ns.closes = (enum ns_point)at;
		refused(uri, false, ECONNREFUSED, "cannot connect: ");
	}
	for (unsigned at = NS_REQUEST; at <= NS_HALF_DATA; at++) {
		ns.closes = NS_NEVER;
		s = opened_with(5, 0);
		ns.closes = (enum ns_point)at;
		if (at == NS_PAYLOAD)
			CHECK_EQ(store_write(s, buf, sizeof(buf), 0), EIO);
		else
			CHECK_EQ(store_read(s, buf, sizeof(buf), 0), EIO);
		store_close(s);
	}
	ns_stop();
	end();
}

TEST(nonsense)
{
	uint8_t buf[4096] = { 0 };
	struct store *s;

	begin();
	ns_start(sock);
	ns.magic = 0x4e42444d41474944ULL;
	refused(uri, false, ECONNREFUSED, "cannot connect: ");
	ns.magic = 0x4e42444d41474943ULL;
	ns.silent = true;
	refused(uri, false, ECONNREFUSED, "the server does not answer (waited 1 s)");
	ns.silent = false;
	ns.refuses = true;
	refused(uri, false, ENOENT, "no such export");
	ns.refuses = false;
	s = opened_with(1, 0);
	ns.reply_magic = 0x12345678;
	CHECK_EQ(store_read(s, buf, sizeof(buf), 0), EIO);
	ns.reply_magic = 0x67446698U;
	store_close(s);
	s = opened_with(1, 0);
	ns.cookie_error = 12345;
	CHECK_EQ(store_read(s, buf, sizeof(buf), 0), EIO);
	ns.cookie_error = 0;
	store_close(s);
	/* It ends a connection after every third request, answered or not: all of them are done in the end. */
	ns.limit = 3;
	s = opened_with(5, 20);
	for (unsigned i = 0; i < 20; i++) {
		memset(buf, (int)i, sizeof(buf));
		CHECK_EQ(store_write(s, buf, sizeof(buf), i * 4096), 0);
		CHECK_EQ(store_flush(s), 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		CHECK_EQ(store_read(s, buf, sizeof(buf), i * 4096), 0);
		CHECK_EQ(buf[0], i);
	}
	CHECK(ns.connections > 15);
	store_close(s);
	ns_stop();
	end();
}

TEST_MAIN()
