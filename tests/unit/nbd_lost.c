/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbd_lost.c - NBD servers that lose what they acknowledged, are gone, or answer nothing: what becomes of writes that were not flushed,
 * and for how long somebody waits (nbd_server.h is the server).
 */
#include <fcntl.h>

#include "block/nbd.h"
#include "nbd_fixture.h"

#define	BLOCK	4096U

static void
wait_for(const atomic_uint *count, unsigned at_least)
{
	while (*count < at_least)
		usleep(1000);
}

/* Until the server is there again, and has all that was acknowledged. */
static void
flush_in_the_end(struct store *s, const uint8_t *model)
{
	int error;

	while ((error = store_flush(s)) != 0) {
		CHECK_EQ(error, ETIMEDOUT);
		usleep(10000);
	}
	pthread_mutex_lock(&ns.lock);
	CHECK(memcmp(model, ns.disk, NS_SIZE) == 0);
	pthread_mutex_unlock(&ns.lock);
}

static uint8_t *
write_blocks(struct store *s, unsigned n)
{
	uint8_t *model = calloc(1, NS_SIZE);

	CHECK(model != NULL);
	fill(model, n * BLOCK, 1);
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(store_write(s, model + i * BLOCK, BLOCK, i * BLOCK), 0);
	return (model);
}

struct flusher {
	struct store	*s;
	int		 error;
	pthread_t	 t;
};

static void *
flushes(void *arg)
{
	struct flusher *f = arg;

	f->error = store_flush(f->s);
	return (NULL);
}

/* The server hangs in what is written again: a flush that waits for that fails, and takes nothing of it along. */
TEST(flush_expires_in_replay)
{
	uint8_t *model;
	struct store *s;

	begin();
	ns_start(sock);
	s = opened_with(1, 0);
	model = write_blocks(s, 3);
	ns.hold = NS_WRITE_BIT;
	ns_crash();
	wait_for(&ns.held, 1);
	CHECK_EQ(store_flush(s), ETIMEDOUT);
	ns.hold = 0;
	flush_in_the_end(s, model);
	store_close(s);
	ns_stop();
	end();
	free(model);
}

/*
 * A server that is busy with what is written again is there: who waits for that does not fail, though it takes longer than the delay.  That
 * is what a server may be gone for, and this one is for a moment, which a busy host makes a long one.
 */
TEST(flush_waits_for_replay)
{
	struct flusher f;
	uint8_t *model;

	begin();
	ns_start(sock);
	for (unsigned multi = 0; multi < 2; multi++) {
		ns.flags |= multi != 0 ? NS_MULTI : 0;
		f.s = opened_with(20, 2);
		model = write_blocks(f.s, 3);
		ns.held = 0;
		ns.hold = NS_WRITE_BIT;
		ns_crash();
		wait_for(&ns.held, 1);
		CHECK_EQ(pthread_create(&f.t, NULL, flushes, &f), 0);
		sleep(3);
		ns.hold = 0;
		CHECK_EQ(pthread_join(f.t, NULL), 0);
		CHECK_EQ(f.error, 0);
		flush_in_the_end(f.s, model);
		store_close(f.s);
		free(model);
	}
	ns_stop();
	end();
}

/* Not one after the other: each is answered only when the next one is there. */
TEST(replay_has_several_under_way)
{
	uint8_t *model;
	struct store *s;

	begin();
	ns_start(sock);
	s = opened_with(20, 0);
	model = write_blocks(s, 200);
	ns.eager = 199;
	ns_crash();
	flush_in_the_end(s, model);
	CHECK_EQ(ns.eager, 0);
	CHECK_EQ(ns.connections, 2);
	store_close(s);
	ns_stop();
	end();
	free(model);
}

/* On several connections nothing keeps the order of what overlaps but us. */
TEST(replay_keeps_order)
{
	uint8_t model[BLOCK], back[BLOCK];
	struct store *s;
	unsigned n;

	begin();
	ns_start(sock);
	ns.flags |= NS_MULTI;
	s = opened_with(20, 20);
	wait_for(&ns.connections, 4);
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 30; i++) {
			fill(model, BLOCK, round * 30 + i + 1);
			CHECK_EQ(store_write(s, model, BLOCK, 0), 0);
		}
		/* One connection ends, and all others take part. */
		n = ns.writes;
		pthread_mutex_lock(&ns.lock);
		(void)shutdown(ns.open[0], SHUT_RDWR);
		pthread_mutex_unlock(&ns.lock);
		wait_for(&ns.writes, n + 1);
		CHECK_EQ(store_read(s, back, BLOCK, 0), 0);
		CHECKF(memcmp(back, model, BLOCK) == 0, "round %u", round);
		CHECK_EQ(store_flush(s), 0);
	}
	store_close(s);
	ns_stop();
	end();
}

/* The server fails one of them while others are under way: that is told, and the others come to an end. */
TEST(replay_fails)
{
	uint8_t *model, buf[BLOCK];
	struct store *s;

	begin();
	ns_start(sock);
	s = opened_with(5, 5);
	model = write_blocks(s, 100);
	ns.fails = 5;
	ns_crash();
	CHECK_EQ(store_flush(s), EIO);
	CHECK_EQ(store_write(s, model, BLOCK, 0), 0);
	CHECK_EQ(store_read(s, buf, sizeof(buf), 0), 0);
	CHECK(memcmp(buf, model, sizeof(buf)) == 0);
	CHECK_EQ(store_flush(s), EIO);
	store_close(s);
	ns_stop();
	end();
	free(model);
}

/* Pausing and snapshots settle a disk: what the server acknowledged is safe then, or it is said that it is not. */
TEST(settle)
{
	const struct block_options o = { .path = uri, .format = BLOCK_RAW, .timeout = 5 };
	struct block *b;
	struct store *s;
	uint8_t *model;

	begin();
	ns_start(sock);
	s = opened_with(5, 0);
	b = block_open_store(s);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	model = write_blocks(s, 3);
	CHECK_EQ(ns.flushes, 0);
	CHECKF(block_settle(b) == 0, "%s", vmm_errmsg());
	CHECK(ns.flushes != 0);
	fill(model, BLOCK, 2);
	CHECK_EQ(store_write(s, model, BLOCK, 0), 0);
	ns_stop();
	memcpy(ns.cache, ns.disk, NS_SIZE);
	CHECK(block_settle(b) != 0);
	CHECK_HAS(vmm_errmsg(), "not all that was written to it: Connection timed out");
	/* It is back: nothing was lost by that. */
	ns_start(sock);
	flush_in_the_end(s, model);
	CHECKF(block_settle(b) == 0, "%s", vmm_errmsg());
	block_close(b);
	/* With a recorder in between, too. */
	snprintf(image, sizeof(image), "%s/record", dir);
	s = store_open(&(struct block_options){ .path = uri, .format = BLOCK_RAW, .timeout = 5, .record = image }, NULL);
	CHECKF(s != NULL, "%s", vmm_errmsg());
	CHECK(s->lazy && s->keeps);
	store_close(s);
	/* Who cannot write has nothing to settle. */
	s = store_open(&(struct block_options){ .path = o.path, .format = BLOCK_RAW, .timeout = 5, .readonly = true }, NULL);
	CHECKF(s != NULL, "%s", vmm_errmsg());
	CHECK(!s->lazy);
	store_close(s);
	ns_stop();
	end();
	free(model);
}

/* And with a format in between: its tables are written again with the next flush. */
TEST(settle_qcow2)
{
	uint8_t data[2 * BLOCK], back[sizeof(data)];
	char command[128];
	struct store *s;
	struct block *b;
	int fd;

	if (system("command -v qemu-img >/dev/null") != 0)
		SKIP("qemu-img is not installed");
	begin();
	snprintf(command, sizeof(command), "qemu-img create -q -f qcow2 %s 256K", image);
	CHECK_EQ(system(command), 0);
	fd = open(image, O_RDONLY);
	CHECK(fd >= 0 && read(fd, ns.disk, NS_SIZE) > 0);
	close(fd);
	memcpy(ns.cache, ns.disk, NS_SIZE);
	ns_start(sock);
	s = store_open(&(struct block_options){ .path = uri, .format = BLOCK_QCOW2, .timeout = 20 }, NULL);
	CHECKF(s != NULL, "%s", vmm_errmsg());
	CHECK(s->lazy && s->retries);
	b = block_open_store(s);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	fill(data, sizeof(data), 1);
	CHECK_EQ(store_write(s, data, BLOCK, 0), 0);
	CHECKF(block_settle(b) == 0, "%s", vmm_errmsg());
	CHECK_EQ(store_write(s, data + BLOCK, BLOCK, 128 << 10), 0);
	/* The server is gone: neither the tables nor the flush get to it.  It is back, without what it had not flushed. */
	ns_stop();
	memcpy(ns.cache, ns.disk, NS_SIZE);
	CHECK(block_settle(b) != 0);
	CHECK_HAS(vmm_errmsg(), "not all that was written to it: ");
	ns_start(sock);
	while (block_settle(b) != 0)
		usleep(10000);
	block_close(b);
	s = store_open(&(struct block_options){ .path = uri, .format = BLOCK_QCOW2, .timeout = 20 }, NULL);
	CHECKF(s != NULL, "%s", vmm_errmsg());
	CHECK(store_read(s, back, BLOCK, 0) == 0 && store_read(s, back + BLOCK, BLOCK, 128 << 10) == 0);
	CHECK(memcmp(data, back, sizeof(data)) == 0);
	store_close(s);
	ns_stop();
	end();
}

/* The log is full, and the server does not answer the flush that would empty it. */

static atomic_uint written;
static atomic_bool may_fail;

static void *
writes_until_error(void *arg)
{
	static const uint8_t buf[NS_SIZE];

	while (store_write(arg, buf, sizeof(buf), 0) == 0)
		written++;
	CHECK(may_fail);
	return (NULL);
}

/* Processor time of this process, in microseconds. */
static uint64_t
cpu_time(void)
{
	struct timespec ts;

	CHECK_EQ(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts), 0);
	return ((uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000);
}

TEST(full_log_without_flushes)
{
	static const uint8_t zeros[NS_SIZE];
	struct store *s;
	pthread_t t[4];

	begin();
	ns_start(sock);
	ns.flags |= NS_MULTI;
	ns.hold = NS_FLUSH_BIT;
	s = opened_with(1, 2);
	wait_for(&ns.connections, 4);
	may_fail = true;
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, writes_until_error, s), 0);
	for (unsigned i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK(written >= 32);
	CHECK(written < 96);
	/* It answers, and all is well. */
	ns.hold = 0;
	while (store_write(s, zeros, sizeof(zeros), 0) != 0)
		usleep(10000);
	flush_in_the_end(s, zeros);
	store_close(s);
	ns_stop();
	end();
}

/* Who waits costs nothing meanwhile. */
TEST(waiting_is_idle)
{
	struct store *s;
	uint64_t began;
	pthread_t t;

	begin();
	ns_start(sock);
	ns.flags |= NS_MULTI;
	ns.hold = NS_FLUSH_BIT;
	s = opened_with(60, 1);
	wait_for(&ns.connections, 4);
	CHECK_EQ(pthread_create(&t, NULL, writes_until_error, s), 0);
	while (written < 95)
		usleep(1000);
	usleep(100000);
	began = cpu_time();
	usleep(500000);
	CHECK(cpu_time() - began < 250000);
	CHECK_EQ(written, 95);
	may_fail = true;
	ns.hold = 0;
	/* An end of its own, by a server that is gone. */
	ns.closes = NS_ACCEPT;
	ns_cut();
	CHECK_EQ(pthread_join(t, NULL), 0);
	store_close(s);
	ns_stop();
	end();
}

/* A living server that answers no request. */

static atomic_uint done;

static void
read_done(struct block_req *r)
{
	CHECK(r->error == 0 || r->error == EIO);
	done++;
}

TEST(server_answers_nothing)
{
	static struct block_req req[64];
	static struct iovec iov[64];
	static uint8_t buf[64][512];
	struct block *b;
	struct store *s;

	begin();
	ns_start(sock);
	ns.flags |= NS_MULTI;
	s = opened_with(1, 3);
	b = block_open_store(s);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	wait_for(&ns.connections, 4);
	ns.hold = NS_ALL_BITS;
	for (unsigned i = 0; i < 64; i++) {
		iov[i] = (struct iovec){ buf[i], sizeof(buf[i]) };
		req[i] = (struct block_req){ .op = BLOCK_READ, .len = 512, .iov = &iov[i], .niov = 1, .done = read_done };
		block_submit(b, &req[i]);
	}
	wait_for(&done, 64);
	/* Each that is tried costs a connection: a few at first, again and again, but not all of them. */
	CHECKF(ns.connections < 32, "%u", (unsigned)ns.connections);
	CHECK_EQ(store_flush(s), ETIMEDOUT);
	ns.hold = 0;
	while (store_read(s, buf[0], sizeof(buf[0]), 0) != 0 || store_flush(s) != 0)
		usleep(10000);
	block_close(b);
	ns_stop();
	end();
}

/* It answers all but flushes, which are not tried all the time. */
TEST(server_answers_no_flush)
{
	uint8_t *model, buf[BLOCK];
	struct store *s;

	begin();
	ns_start(sock);
	ns.flags |= NS_MULTI;
	s = opened_with(1, 1);
	wait_for(&ns.connections, 4);
	model = write_blocks(s, 1);
	ns.hold = NS_FLUSH_BIT;
	for (unsigned i = 0; i < 100; i++) {
		CHECK_EQ(store_flush(s), ETIMEDOUT);
		CHECK_EQ(store_read(s, buf, sizeof(buf), 0), 0);
		CHECK(memcmp(buf, model, sizeof(buf)) == 0);
	}
	CHECKF(ns.held < 50, "%u", (unsigned)ns.held);
	ns.hold = 0;
	flush_in_the_end(s, model);
	store_close(s);
	ns_stop();
	end();
	free(model);
}

/* The module itself: what is told */

static struct {
	pthread_mutex_t	 lock;
	char		 text[8192];
} told = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void
tell(void *arg, const char *what)
{
	size_t n;

	pthread_mutex_lock(&told.lock);
	n = strlen(told.text);
	(void)snprintf(told.text + n, sizeof(told.text) - n, "%s\n", what);
	pthread_mutex_unlock(&told.lock);
}

static void
wait_told(const char *what)
{
	for (bool there = false; !there; usleep(1000)) {
		pthread_mutex_lock(&told.lock);
		there = strstr(told.text, what) != NULL;
		pthread_mutex_unlock(&told.lock);
	}
}

static struct nbd_disk *
open_disk(const struct nbd_module **m, unsigned delay)
{
	const struct nbd_options o = { .uri = uri, .timeout = 5, .reconnect_delay = delay, .writes = true, .tell = tell };
	struct nbd_export e;
	struct nbd_disk *d;

	*m = module_load("block-nbd", "hyve_block_nbd", "libnbd0");
	CHECKF(*m != NULL, "%s", vmm_errmsg());
	told.text[0] = '\0';
	d = (*m)->open(&module_host, &o, &e);
	CHECKF(d != NULL, "%s", vmm_errmsg());
	return (d);
}

TEST(told)
{
	const struct nbd_module *m;
	struct nbd_disk *d;
	uint8_t buf[BLOCK];

	begin();
	ns_start(sock);
	/* A server that ends while nothing is under way. */
	d = open_disk(&m, 7);
	ns_cut();
	wait_told("the connection is lost: the server closed it; requests wait 7 s for the server to come back\n");
	m->close(d);
	d = open_disk(&m, 0);
	memset(buf, 1, sizeof(buf));
	CHECK_EQ(m->request(d, NBD_WRITE, buf, 0, sizeof(buf)), 0);
	ns_stop();
	wait_told("the connection is lost: the server closed it; requests fail until the server is back\n");
	CHECK_EQ(m->request(d, NBD_READ, buf, 0, sizeof(buf)), EIO);
	CHECK(strstr(told.text, "may have lost") == NULL);
	/* Nobody is left to write it again. */
	m->close(d);
	CHECK_HAS(told.text, "may have lost what it was given since the last flush: up to 5 KiB are not written again\n");
	CHECK(strstr(told.text, " 0 s") == NULL);
	end();
}

/* A read-only disk is content with an export that has become one, and can do less. */
TEST(export_becomes_readonly)
{
	uint8_t buf[BLOCK];

	begin();
	ns_start(sock);
	for (unsigned readonly = 0; readonly < 2; readonly++) {
		const struct block_options o = {
			.path = uri, .format = BLOCK_RAW, .readonly = readonly != 0, .timeout = 5, .reconnect_delay = 2,
		};
		struct store *s = store_open(&o, NULL);

		CHECKF(s != NULL, "%s", vmm_errmsg());
		CHECK_EQ(store_read(s, buf, sizeof(buf), 0), 0);
		ns.flags = NS_HAS_FLAGS | NS_READ_ONLY;
		ns_cut();
		CHECK_EQ(store_read(s, buf, sizeof(buf), 0), readonly != 0 ? 0 : EIO);
		store_close(s);
		ns.flags = NS_HAS_FLAGS | NS_FLUSH | NS_TRIM | NS_ZEROES;
	}
	ns_stop();
	end();
}

TEST_MAIN()
