/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block.c - images: who may open them, what their sizes may be, and requests of many threads, in each way that there is to a file.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "block_wait.h"
#include "error.h"
#include "test.h"

static char path[] = "/tmp/hyve-block-XXXXXX";
static int fd;

/* A file of so many bytes, each the low byte of its sector's number plus 1. */
static void
image(off_t size)
{
	uint8_t s[BLOCK_SECTOR];

	fd = mkstemp(path);
	CHECK(fd >= 0);
	for (off_t at = 0; at < size; at += (off_t)sizeof(s)) {
		size_t n = size - at < (off_t)sizeof(s) ? (size_t)(size - at) : sizeof(s);

		memset(s, (int)(at / BLOCK_SECTOR + 1), sizeof(s));
		CHECK_EQ(pwrite(fd, s, n, at), (ssize_t)n);
	}
}

static void
forget(void)
{
	close(fd);
	CHECK_EQ(unlink(path), 0);
}

/* How images are read and written: cases that are about files come once for each. */
static const struct way {
	const char	*name;
	enum block_aio	 aio;
	bool		 nocache;
} ways[] = {
	{ "uring", BLOCK_AIO_URING, false }, { "threads", BLOCK_AIO_THREADS, false }, { "uring_nocache", BLOCK_AIO_URING, true },
	{ "threads_nocache", BLOCK_AIO_THREADS, true }, { "auto", BLOCK_AIO_AUTO, false },
};
static struct way way;

/* Skip the case if this host, or its file system of /tmp, has no such way. */
static void
begin(const void *arg)
{
	struct block_options o = { .path = path };
	struct block *b;

	way = *(const struct way *)arg;
	o.aio = way.aio;
	o.nocache = way.nocache;
	image(4096);
	b = block_open(&o);
	if (b == NULL && errno != EBUSY) {
		forget();
		SKIP(vmm_errmsg());
	}
	CHECK(way.aio == BLOCK_AIO_AUTO || block_uses_uring(b) == (way.aio == BLOCK_AIO_URING));
	block_close(b);
	forget();
	(void)strcpy(path, "/tmp/hyve-block-XXXXXX");
}

/* A case that comes in all ways. */
#define	WAYS_TEST(fn)								\
	static void fn(const void *arg);					\
	__attribute__((constructor)) static void				\
	add_##fn(void)							\
	{									\
		static char names[sizeof(ways) / sizeof(ways[0])][64];		\
										\
		for (unsigned i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {	\
			(void)snprintf(names[i], sizeof(names[i]), #fn "_%s", ways[i].name); \
			test_add_arg(names[i], fn, &ways[i]);			\
		}								\
	}									\
	static void								\
	fn(const void *arg)

static struct block *
opened(bool readonly)
{
	const struct block_options o = { .path = path, .readonly = readonly, .aio = way.aio, .nocache = way.nocache };

	return (block_open(&o));
}

static struct block *
recorded(const char *log)
{
	const struct block_options o = { .path = path, .record = log };

	return (block_open(&o));
}

static void
refused(bool readonly, int error, const char *why)
{
	errno = 0;
	CHECK(opened(readonly) == NULL);
	CHECK_EQ(errno, error);
	CHECK_HAS(vmm_errmsg(), path);
	CHECK_HAS(vmm_errmsg(), why);
}

static int
run(struct block *b, enum block_op op, uint64_t off, uint64_t len, void *buf, bool unmap)
{
	struct iovec iov = { buf, len };

	return (wait_for_request(b, &(struct block_req){ .op = op, .off = off, .len = len, .iov = &iov, .niov = 1, .unmap = unmap }));
}

WAYS_TEST(reads_and_writes)
{
	uint8_t buf[4096], back[4096];
	struct block *b;

	begin(arg);
	image(64 * 512);
	b = opened(false);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	CHECK_EQ(block_size(b), 64 * 512);
	CHECK(!block_readonly(b));
	CHECK_EQ(run(b, BLOCK_READ, 5 * 512, 1024, buf, false), 0);
	CHECK_EQ(buf[0], 6);
	CHECK_EQ(buf[1023], 7);
	memset(buf, 0xa5, sizeof(buf));
	CHECK_EQ(run(b, BLOCK_WRITE, 56 * 512, 4096, buf, false), 0);
	CHECK_EQ(run(b, BLOCK_FLUSH, 0, 0, NULL, false), 0);
	CHECK_EQ(pread(fd, back, 4096, 56 * 512), 4096);
	CHECK(memcmp(buf, back, 4096) == 0);
	/* Ranges. */
	CHECK_EQ(run(b, BLOCK_READ, 64 * 512, 0, buf, false), 0);
	CHECK_EQ(run(b, BLOCK_READ, 64 * 512, 512, buf, false), EINVAL);
	CHECK_EQ(run(b, BLOCK_READ, 63 * 512, 1024, buf, false), EINVAL);
	CHECK_EQ(run(b, BLOCK_READ, UINT64_MAX - 511, 512, buf, false), EINVAL);
	CHECK_EQ(run(b, BLOCK_WRITE, 0, UINT64_MAX - 511, buf, false), EINVAL);
	CHECK_EQ(run(b, BLOCK_READ, 1, 512, buf, false), EINVAL);
	CHECK_EQ(run(b, BLOCK_READ, 0, 511, buf, false), EINVAL);
	CHECK_EQ(run(b, BLOCK_ZERO, 60 * 512, 5 * 512, NULL, false), EINVAL);
	CHECK_EQ(run(b, (enum block_op)77, 0, 512, NULL, false), EINVAL);
	block_close(b);
	forget();
}

/* More pieces than a call of the host takes at once, of odd sizes and some empty. */
#define	PIECES	2500
WAYS_TEST(long_vectors)
{
	static struct iovec iov[PIECES];
	static uint8_t buf[PIECES * 512];
	struct waiter w = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	size_t at = 0;
	struct block *b;

	begin(arg);
	image((PIECES + 56) * 512);
	b = opened(true);
	CHECK(b != NULL);
	for (unsigned i = 0; i < PIECES; i++) {
		iov[i].iov_base = buf + at;
		iov[i].iov_len = i % 5 == 0 ? 0 : i == PIECES - 1 ? sizeof(buf) - at : 1 + i * 3 % 500;
		at += iov[i].iov_len;
	}
	w.req = (struct block_req){ .op = BLOCK_READ, .off = 512, .len = sizeof(buf), .iov = iov, .niov = PIECES, .done = woken,
	    .arg = &w };
	block_submit(b, &w.req);
	block_close(b);
	CHECK_EQ(w.calls, 1);
	CHECK_EQ(w.req.error, 0);
	for (size_t i = 0; i < sizeof(buf); i++)
		CHECK_EQ(buf[i], (uint8_t)(i / 512 + 2));
	forget();
}

WAYS_TEST(read_only)
{
	uint8_t buf[512] = { 0 };
	struct block *b;

	begin(arg);
	image(4096);
	b = opened(true);
	CHECK(b != NULL && block_readonly(b));
	CHECK_EQ(run(b, BLOCK_WRITE, 0, 512, buf, false), EROFS);
	CHECK_EQ(run(b, BLOCK_ZERO, 0, 512, NULL, true), EROFS);
	CHECK_EQ(run(b, BLOCK_DISCARD, 0, 512, NULL, false), EROFS);
	CHECK_EQ(run(b, BLOCK_FLUSH, 0, 0, NULL, false), 0);
	CHECK_EQ(run(b, BLOCK_READ, 512, 512, buf, false), 0);
	CHECK_EQ(buf[0], 2);
	block_close(b);
	forget();
}

WAYS_TEST(one_writer_or_many_readers)
{
	struct block *a, *b;

	begin(arg);
	image(4096);
	a = opened(false);
	CHECK(a != NULL);
	refused(false, EBUSY, "in use by another VM");
	refused(true, EBUSY, "in use by another VM");
	block_close(a);
	a = opened(true);
	b = opened(true);
	CHECK(a != NULL && b != NULL);
	refused(false, EBUSY, "read-only users may share it");
	block_close(a);
	block_close(b);
	/* The lock went with the descriptors. */
	a = opened(false);
	CHECK(a != NULL);
	block_close(a);
	forget();
}

TEST(what_is_no_image)
{
	static const off_t bad[] = { 0, 1, 511, 513, 1000 };

	image(0);
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		CHECK_EQ(ftruncate(fd, bad[i]), 0);
		refused(false, EINVAL, "whole number of sectors");
	}
	CHECK_EQ(ftruncate(fd, 512), 0);
	if (geteuid() != 0) {
		CHECK_EQ(chmod(path, 0400), 0);
		refused(false, EACCES, "ro=true would do without");
		CHECK_EQ(chmod(path, 0), 0);
		refused(true, EACCES, "cannot be opened");
	}
	forget();
	refused(true, ENOENT, "cannot be opened");
	/* Nobody waits for the other end of a FIFO. */
	CHECK_EQ(mkfifo(path, 0600), 0);
	refused(true, EINVAL, "neither a file nor a block device");
	refused(false, EINVAL, "neither a file nor a block device");
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(mkdir(path, 0700), 0);
	refused(true, EINVAL, "neither a file nor a block device");
	refused(false, EISDIR, "cannot be opened");
	CHECK_EQ(rmdir(path), 0);
	(void)strcpy(path, "/dev/null");
	refused(true, EINVAL, "neither a file nor a block device");
}

/* Someone cut the file while it was in use. */
WAYS_TEST(file_becomes_shorter)
{
	uint8_t buf[2048];
	struct block *b;

	begin(arg);
	image(8192);
	b = opened(false);
	CHECK(b != NULL);
	CHECK_EQ(ftruncate(fd, 1000), 0);
	CHECK_EQ(run(b, BLOCK_READ, 4096, 512, buf, false), EIO);
	CHECK_EQ(run(b, BLOCK_READ, 0, 2048, buf, false), EIO);
	CHECK_EQ(run(b, BLOCK_READ, 0, 512, buf, false), 0);
	CHECK_EQ(buf[511], 1);
	memset(buf, 7, sizeof(buf));
	CHECK_EQ(run(b, BLOCK_WRITE, 4096, 512, buf, false), 0);
	CHECK_EQ(run(b, BLOCK_READ, 4096, 512, buf, false), 0);
	CHECK_EQ(buf[0], 7);
	block_close(b);
	forget();
}

/* In a file, by whatever way its file system has. */
WAYS_TEST(zeros_and_discards)
{
	uint8_t buf[8192];
	struct block *b;

	begin(arg);
	image(128 * 512);
	b = opened(false);
	CHECK(b != NULL);
	CHECK_EQ(run(b, BLOCK_ZERO, 512, 4096, NULL, false), 0);
	CHECK_EQ(run(b, BLOCK_ZERO, 20 * 512, 8192, NULL, true), 0);
	CHECK_EQ(run(b, BLOCK_DISCARD, 64 * 512, 64 * 512, NULL, false), 0);
	CHECK_EQ(pread(fd, buf, 8192, 0), 8192);
	CHECK_EQ(buf[511], 1);
	for (unsigned i = 512; i < 4608; i++)
		CHECK_EQ(buf[i], 0);
	CHECK_EQ(buf[4608], 10);
	CHECK_EQ(pread(fd, buf, 8192, 20 * 512), 8192);
	for (unsigned i = 0; i < 8192; i++)
		CHECK_EQ(buf[i], 0);
	CHECK_EQ(pread(fd, buf, 512, 36 * 512), 512);
	CHECK_EQ(buf[0], 37);
	CHECK_EQ(lseek(fd, 0, SEEK_END), 128 * 512);
	block_close(b);
	forget();
}

/* A driver with nothing but reads and writes, and one that says no. */
static struct {
	uint8_t		 store[1 << 18];
	int		 write_error, flush_error, zero_error;
	unsigned	 writes, flushes, closed, together, most;
	bool		 slow;
} mem;

static int
mem_readv(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	unsigned n = __atomic_add_fetch(&mem.together, 1, __ATOMIC_SEQ_CST), most;

	most = __atomic_load_n(&mem.most, __ATOMIC_SEQ_CST);
	while (n > most && !__atomic_compare_exchange_n(&mem.most, &most, n, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
	if (mem.slow)
		usleep(20000);
	for (int i = 0; i < niov; i++) {
		memcpy(iov[i].iov_base, mem.store + off, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	__atomic_sub_fetch(&mem.together, 1, __ATOMIC_SEQ_CST);
	return (0);
}

static int
mem_writev(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	__atomic_add_fetch(&mem.writes, 1, __ATOMIC_SEQ_CST);
	if (mem.write_error != 0)
		return (mem.write_error);
	for (int i = 0; i < niov; i++) {
		memcpy(mem.store + off, iov[i].iov_base, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	return (0);
}

static int
mem_flush(void *priv)
{
	mem.flushes++;		/* one at a time */
	return (mem.flush_error);
}

static int
mem_zero(void *priv, uint64_t off, uint64_t len, bool unmap)
{
	return (mem.zero_error);
}

static void
mem_close(void *priv)
{
	mem.closed++;
}

static const struct block_driver plain = {
	.name = "plain", .readv = mem_readv, .writev = mem_writev, .flush = mem_flush, .close = mem_close,
};
static const struct block_driver zeroing = {
	.name = "zeroing", .readv = mem_readv, .writev = mem_writev, .flush = mem_flush, .zero = mem_zero, .close = mem_close,
};

TEST(drivers_that_cannot)
{
	struct block *b = block_open_driver(&plain, NULL, sizeof(mem.store), false);

	CHECK(b != NULL);
	memset(mem.store, 9, sizeof(mem.store));
	CHECK_EQ(run(b, BLOCK_DISCARD, 0, 4096, NULL, false), 0);
	CHECK_EQ(mem.store[0], 9);
	CHECK_EQ(run(b, BLOCK_ZERO, 512, 200 * 1024, NULL, true), 0);
	CHECK_EQ(mem.store[511], 9);
	for (unsigned i = 0; i < 200 * 1024; i++)
		CHECK_EQ(mem.store[512 + i], 0);
	CHECK_EQ(mem.store[512 + 200 * 1024], 9);
	mem.write_error = ENOSPC;
	mem.writes = 0;
	CHECK_EQ(run(b, BLOCK_ZERO, 0, 200 * 1024, NULL, false), ENOSPC);
	CHECK_EQ(mem.writes, 1);
	block_close(b);
	CHECK_EQ(mem.closed, 1);
	mem.write_error = 0;
	b = block_open_driver(&zeroing, NULL, sizeof(mem.store), false);
	CHECK(b != NULL);
	mem.zero_error = EOPNOTSUPP;
	CHECK_EQ(run(b, BLOCK_ZERO, 0, 512, NULL, false), 0);
	CHECK_EQ(mem.store[0], 0);
	mem.zero_error = EIO;
	CHECK_EQ(run(b, BLOCK_ZERO, 0, 512, NULL, false), EIO);
	block_close(b);
}

/* The host tells once that it lost data; the image remembers. */
TEST(a_failed_flush_stays_failed)
{
	uint8_t buf[512] = { 0 };
	struct block *b = block_open_driver(&plain, NULL, sizeof(mem.store), false);

	CHECK(b != NULL);
	CHECK_EQ(run(b, BLOCK_FLUSH, 0, 0, NULL, false), 0);
	mem.flush_error = ENOSPC;
	CHECK_EQ(run(b, BLOCK_FLUSH, 0, 0, NULL, false), ENOSPC);
	mem.flush_error = 0;
	CHECK_EQ(run(b, BLOCK_WRITE, 0, 512, buf, false), 0);
	CHECK_EQ(run(b, BLOCK_FLUSH, 0, 0, NULL, false), ENOSPC);
	CHECK_EQ(mem.flushes, 2);
	block_close(b);
}

/* Requests that come at once are not queued behind one thread. */
TEST(slow_requests_overlap)
{
	static uint8_t buf[8][512];
	static struct waiter w[8];
	struct iovec iov[8];
	struct block *b = block_open_driver(&plain, NULL, sizeof(mem.store), false);

	CHECK(b != NULL);
	mem.slow = true;
	usleep(20000);		/* the first thread waits */
	for (unsigned i = 0; i < 8; i++) {
		iov[i] = (struct iovec){ buf[i], 512 };
		pthread_mutex_init(&w[i].lock, NULL);
		pthread_cond_init(&w[i].cond, NULL);
		w[i].req = (struct block_req){ .op = BLOCK_READ, .len = 512, .iov = &iov[i], .niov = 1, .done = woken, .arg = &w[i] };
		block_submit(b, &w[i].req);
	}
	block_close(b);		/* waits for all of them */
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(w[i].calls, 1);
	CHECK(mem.most > 1);
}

/* Many submitters, each with sectors of its own and a request that its completion submits again. */
#define	WRITERS	8U
#define	ROUNDS	200U

struct chain {
	struct block	*b;
	struct block_req req;
	struct iovec	 iov;
	uint8_t		 buf[1024];
	unsigned	 round, me;
	bool		 wrong;
	pthread_mutex_t	 lock;
	pthread_cond_t	 cond;
};

static void
step(struct block_req *req)
{
	struct chain *c = req->arg;

	if (req->error != 0)
		c->wrong = true;
	/* Write, read back, flush now and then. */
	if (req->op == BLOCK_READ) {
		for (unsigned i = 0; i < sizeof(c->buf); i++)
			c->wrong |= c->buf[i] != (uint8_t)(c->me * 16 + c->round);
	}
	if (req->op == BLOCK_WRITE) {
		memset(c->buf, 0, sizeof(c->buf));
		req->op = BLOCK_READ;
	} else if (req->op == BLOCK_READ && c->round % 50 == 0) {
		req->op = BLOCK_FLUSH;
	} else {
		pthread_mutex_lock(&c->lock);
		c->round++;
		pthread_cond_signal(&c->cond);
		pthread_mutex_unlock(&c->lock);
		if (c->round == ROUNDS)
			return;
		memset(c->buf, (int)(c->me * 16 + c->round), sizeof(c->buf));
		req->op = BLOCK_WRITE;
	}
	c->iov = (struct iovec){ c->buf, sizeof(c->buf) };
	block_submit(c->b, req);
}

static void *
writer(void *arg)
{
	struct chain *c = arg;

	c->iov = (struct iovec){ c->buf, sizeof(c->buf) };
	c->req = (struct block_req){ .op = BLOCK_WRITE, .off = c->me * 4096ULL, .len = sizeof(c->buf), .iov = &c->iov, .niov = 1,
	    .done = step, .arg = c };
	memset(c->buf, (int)(c->me * 16), sizeof(c->buf));
	block_submit(c->b, &c->req);
	return (NULL);
}

WAYS_TEST(many_threads)
{
	static struct chain c[WRITERS];
	pthread_t t[WRITERS];
	struct block *b;

	begin(arg);
	image(WRITERS * 4096);
	b = opened(false);
	CHECK(b != NULL);
	for (unsigned i = 0; i < WRITERS; i++) {
		c[i].b = b;
		c[i].me = i;
		pthread_mutex_init(&c[i].lock, NULL);
		pthread_cond_init(&c[i].cond, NULL);
		CHECK_EQ(pthread_create(&t[i], NULL, writer, &c[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	/* Half of them are waited for; the rest ends because close waits, submissions from completions included. */
	for (unsigned i = 0; i < WRITERS / 2; i++) {
		pthread_mutex_lock(&c[i].lock);
		while (c[i].round < ROUNDS)
			pthread_cond_wait(&c[i].cond, &c[i].lock);
		pthread_mutex_unlock(&c[i].lock);
	}
	block_close(b);
	for (unsigned i = 0; i < WRITERS; i++) {
		CHECK_EQ(c[i].round, ROUNDS);
		CHECK(!c[i].wrong);
	}
	forget();
}

/* What a record says, and that one is never written over another or with a hole. */
TEST(recorded)
{
	struct { uint32_t magic, op, error, reserved; uint64_t began, off, len; } rec[4];
	uint8_t buf[1024], back[1024];
	struct block *b;
	char log[64];
	int lfd;

	image(64 * 512);
	(void)snprintf(log, sizeof(log), "%s.log", path);
	b = recorded(log);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	CHECK_EQ(block_size(b), 64 * 512);
	memset(buf, 0x5a, sizeof(buf));
	CHECK_EQ(run(b, BLOCK_WRITE, 4 * 512, 1024, buf, false), 0);
	CHECK_EQ(run(b, BLOCK_READ, 4 * 512, 1024, back, false), 0);
	CHECK(memcmp(buf, back, 1024) == 0);
	CHECK_EQ(run(b, BLOCK_FLUSH, 0, 0, NULL, false), 0);
	CHECK_EQ(run(b, BLOCK_ZERO, 5 * 512, 512, NULL, true), 0);
	CHECK_EQ(run(b, BLOCK_DISCARD, 8 * 512, 512, NULL, false), 0);
	CHECK_EQ(run(b, BLOCK_WRITE, 64 * 512, 512, buf, false), EINVAL);
	CHECK(recorded("/tmp/no/such/place") == NULL);
	CHECK_HAS(vmm_errmsg(), path);
	block_close(b);

	lfd = open(log, O_RDONLY);
	CHECK(lfd >= 0);
	CHECK_EQ(read(lfd, &rec[0], 40), 40);
	CHECK_EQ(read(lfd, back, 1024), 1024);
	CHECK(memcmp(buf, back, 1024) == 0);
	CHECK_EQ(read(lfd, &rec[1], 120), 120);
	CHECK_EQ(read(lfd, back, 1), 0);
	close(lfd);
	for (unsigned i = 0; i < 4; i++) {
		static const enum block_op op[4] = { BLOCK_WRITE, BLOCK_FLUSH, BLOCK_ZERO, BLOCK_DISCARD };
		static const uint64_t off[4] = { 4, 0, 5, 8 }, len[4] = { 2, 0, 1, 1 };

		CHECK_EQ(rec[i].magic, 0x6b6c6276);
		CHECK_EQ(rec[i].op, op[i]);
		CHECK_EQ(rec[i].error, 0);
		CHECK_EQ(rec[i].began, i);
		CHECK_EQ(rec[i].off, off[i] * 512);
		CHECK_EQ(rec[i].len, len[i] * 512);
	}

	CHECK(recorded(log) == NULL);
	CHECK_EQ(errno, EEXIST);
	CHECK_HAS(vmm_errmsg(), log);
	CHECK_EQ(unlink(log), 0);
	forget();
}

TEST(what_was_done_is_counted)
{
	static const struct { enum block_op op; uint64_t off, len; int error; } rows[] = {
		{ BLOCK_WRITE, 4096, 8192, 0 }, { BLOCK_WRITE, 512, 512, 0 }, { BLOCK_READ, 0, 4096, 0 }, { BLOCK_ZERO, 0, 1024, 0 },
		{ BLOCK_FLUSH, 0, 0, 0 }, { BLOCK_DISCARD, 512, 1024, 0 }, { BLOCK_READ, 3, 512, EINVAL }, { BLOCK_WRITE, 1 << 20, 512, EINVAL },
	};
	char name[] = "/tmp/hyve-block-XXXXXX";
	struct block_options o = { .path = name, .format = BLOCK_RAW };
	static uint8_t data[8192];
	struct block_stats s;
	struct block *b;
	int file = mkstemp(name);

	CHECK(file >= 0 && ftruncate(file, 1 << 20) == 0);
	close(file);
	b = block_open(&o);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct iovec iov = { data, rows[i].len };

		CHECK_EQ(wait_for_request(b, &(struct block_req){ .op = rows[i].op, .off = rows[i].off, .len = rows[i].len, .iov = &iov, .niov = 1 }),
		    rows[i].error);
	}
	block_get_stats(b, &s);
	CHECK_EQ(s.write.done, 3);
	CHECK_EQ(s.write.bytes, 8192 + 512 + 1024);
	CHECK_EQ(s.write.invalid, 1);
	CHECK_EQ(s.read.done, 1);
	CHECK_EQ(s.read.bytes, 4096);
	CHECK_EQ(s.read.invalid, 1);
	CHECK_EQ(s.flush.done, 1);
	CHECK_EQ(s.flush.bytes, 0);
	CHECK_EQ(s.discard.done, 1);
	CHECK_EQ(s.discard.bytes, 1024);
	CHECK_EQ(s.highest, 4096 + 8192);
	CHECK(s.read.failed + s.write.failed + s.flush.failed + s.discard.failed == 0 && s.write.ns != 0);
	block_close(b);
	unlink(name);
}

TEST_MAIN()
