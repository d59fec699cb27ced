/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block_fault.c - what a crash and a bad disk may do to a guest: a block driver that records what reaches the disk, and a guest
 * behind virtio-blk that keeps a journal.
 *
 * The recording driver has a volatile cache: a write is safe when a flush that began after the write's end has ended.  A crash at any
 * moment leaves every safe write, and of the others any subset of their sectors, in any order.  Out of such an image the guest's
 * recovery must find every transaction whose commit it was told to be durable, and no half of any other.
 *
 * The device is given the driver in place of an image file by the linker (--wrap=block_open_keys).
 */
#include <pthread.h>

#include "block/block.h"
#include "blk_driver.h"

#define	SECTORS		256U
#define	SECTOR		BLOCK_SECTOR
#define	SLOTS		24U		/* of the journal: a commit record and DATA_SECTORS each */
#define	DATA_SECTORS	4U
#define	SLOT(n)		(8ULL + (n) * 8ULL)
#define	EVENTS		4096U

#define	RING		64
#define	REQS		8U		/* outstanding */

enum { IN = 0, OUT = 1, FLUSH = 4, DISCARD = 11, ZEROES = 13 };
enum { S_OK, S_IOERR, S_UNSUPP };

/* What reached the disk, in the order of its end.  begin and end count all moments. */
struct event {
	bool		 flush;
	unsigned	 begin, end;
	uint64_t	 off, len;
	uint8_t		*data;		/* NULL: discarded, so anything */
	unsigned	 told;		/* the guest's: transactions it knew to be durable */
};

static struct {
	pthread_mutex_t	 lock;
	unsigned	 clock;
	struct event	 event[EVENTS];
	unsigned	 nevents;
	uint8_t		 now[SECTORS * SECTOR];		/* what the disk reads as: its cache */
	/* Faults: fail writes and flushes one in so many (0: none) with error; short: half of it is written first. */
	unsigned	 bad_write, bad_flush, bad_read;
	int		 error;
	bool		 shorten;
	unsigned	 nwrites, nflushes, nreads, refused;
	bool		 closed;
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static unsigned durable;		/* transactions that the guest was told are, under disk.lock */
static uint64_t seed = 0x9e3779b97f4a7c15ULL;

static unsigned
below(unsigned n)
{
	return ((unsigned)(test_random(&seed) >> 20) % n);
}

static unsigned
begin(void)
{
	unsigned t;

	pthread_mutex_lock(&disk.lock);
	t = ++disk.clock;
	pthread_mutex_unlock(&disk.lock);
	return (t);
}

/* Lock held.  Takes data over. */
static void
record(bool is_flush, unsigned since, uint64_t off, uint64_t len, uint8_t *bytes)
{
	CHECK(disk.nevents < EVENTS);
	disk.event[disk.nevents++] = (struct event){ is_flush, since, ++disk.clock, off, len, bytes, durable };
}

/* Every n-th, if n is set. */
static bool
fails(unsigned *count, unsigned n)
{
	++*count;
	return (n != 0 && *count % n == 0);
}

static int
d_readv(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	bool bad;

	pthread_mutex_lock(&disk.lock);
	bad = fails(&disk.nreads, disk.bad_read);
	for (int i = 0; i < niov && !bad; i++) {
		memcpy(iov[i].iov_base, disk.now + off, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	pthread_mutex_unlock(&disk.lock);
	return (bad ? disk.error : 0);
}

static int
store(uint64_t off, uint64_t len, uint8_t *bytes, unsigned since)
{
	bool bad;

	pthread_mutex_lock(&disk.lock);
	bad = fails(&disk.nwrites, disk.bad_write);
	if (bad)
		len = disk.shorten ? len / 2 : 0;
	if (len != 0) {
		memcpy(disk.now + off, bytes, len);
		record(false, since, off, len, bytes);
	} else
		free(bytes);
	pthread_mutex_unlock(&disk.lock);
	return (bad ? disk.error : 0);
}

static int
d_writev(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	unsigned since = begin();
	uint64_t len = 0;
	uint8_t *bytes;

	for (int i = 0; i < niov; i++)
		len += iov[i].iov_len;
	bytes = malloc(len);
	CHECK(bytes != NULL);
	len = 0;
	for (int i = 0; i < niov; i++) {
		memcpy(bytes + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	return (store(off, len, bytes, since));
}

static int
d_zero(void *priv, uint64_t off, uint64_t len, bool unmap)
{
	uint8_t *bytes = calloc(1, len);

	CHECK(bytes != NULL);
	return (store(off, len, bytes, begin()));
}

static int
d_discard(void *priv, uint64_t off, uint64_t len)
{
	unsigned since = begin();

	pthread_mutex_lock(&disk.lock);
	record(false, since, off, len, NULL);
	pthread_mutex_unlock(&disk.lock);
	return (0);
}

/* A flush that fails forgets the cache, as a host does: the writes before it are safe by no later one. */
static int
d_flush(void *priv)
{
	unsigned since = begin();
	bool bad;

	usleep(since % 3 * 50);
	pthread_mutex_lock(&disk.lock);
	CHECK_EQ(disk.refused, 0);		/* the image stops asking */
	bad = fails(&disk.nflushes, disk.bad_flush);
	if (bad)
		disk.refused++;
	else
		record(true, since, 0, 0, NULL);
	pthread_mutex_unlock(&disk.lock);
	return (bad ? disk.error : 0);
}

static void
d_close(void *priv)
{
	disk.closed = true;
}

static const struct block_driver faulty = {
	.name = "faulty", .readv = d_readv, .writev = d_writev, .flush = d_flush, .discard = d_discard, .zero = d_zero,
	.close = d_close,
};

struct block *__wrap_block_open_keys(struct device *who, struct config_node *node, bool readonly);

struct block *
__wrap_block_open_keys(struct device *who, struct config_node *node, bool readonly)
{
	CHECK_STR(config_str(node, "path"), "faulty");
	return (block_open_driver(&faulty, NULL, sizeof(disk.now), readonly || config_bool(node, "ro")));
}

#define	F_FLUSH		(1ULL << 9)
#define	F_WCE		(1ULL << 11)
#define	F_OTHERS	(1ULL << 13 | 1ULL << 14)

static void
setup(const char *keys, uint64_t features)
{
	fx_open(&fx);
	CHECKF(blk_make("faulty", keys) != NULL, "%s", vmm_errmsg());
	blk_start(features, RING);
}

static void
finish(void)
{
	CHECK_EQ(vm_pause(fx.vmm.vm), 0);
	devices_pause(&fx.vmm);
	fx_close(&fx);
	CHECK(disk.closed);
	for (unsigned i = 0; i < disk.nevents; i++)
		free(disk.event[i].data);
}

/* The n-th request since the last wait, of len bytes at data + 4096 n. */
static void
ask(unsigned n, uint32_t type, uint64_t sector, uint32_t len)
{
	CHECK(n < REQS);
	blk_request(n, type, sector, DATA + 4096 * n, len, type == IN);
}

/* Wait for all that was asked; whether all of it went well. */
static bool
wait_all(unsigned n)
{
	bool good = true;

	blk_answers(d.avail[1]);
	for (unsigned i = 0; i < n; i++) {
		CHECK(status[i] == S_OK || status[i] == S_IOERR);
		good = good && status[i] == S_OK;
	}
	return (good);
}

/*
 * The journal: transaction t is in slot t mod SLOTS, DATA_SECTORS sectors of pattern and a commit record of one sector that says
 * t and the data's sum.  Sectors are written whole.
 */
struct commit {
	uint64_t magic, t, sum;
};

#define	MAGIC	0x6a6f75726e616c21ULL

static uint64_t
sum_of(const uint8_t *p, size_t len)
{
	uint64_t sum = 14695981039346656037ULL;

	for (size_t i = 0; i < len; i++)
		sum = (sum ^ p[i]) * 1099511628211ULL;
	return (sum);
}

static void
pattern(uint8_t *p, uint64_t t)
{
	for (unsigned i = 0; i < DATA_SECTORS * SECTOR; i++)
		p[i] = (uint8_t)(t * 7 + i / SECTOR * 31 + i);
}

/* One transaction of the guest, data in shuffled single sectors; the steps are told apart by flushes if with is set. */
static bool
transaction(uint64_t t, bool with)
{
	uint8_t body[DATA_SECTORS * SECTOR];
	unsigned order[DATA_SECTORS];
	struct commit c;

	pattern(body, t);
	for (unsigned i = 0; i < DATA_SECTORS; i++) {
		unsigned j = below(i + 1);

		order[i] = order[j];
		order[j] = i;
	}
	for (unsigned i = 0; i < DATA_SECTORS; i++) {
		memcpy(data + 4096 * i, body + order[i] * SECTOR, SECTOR);
		ask(i, OUT, SLOT(t % SLOTS) + 1 + order[i], SECTOR);
	}
	if (!wait_all(DATA_SECTORS))
		return (false);
	if (with) {
		ask(0, FLUSH, 0, 0);
		if (!wait_all(1))
			return (false);
	}
	c = (struct commit){ MAGIC, t, sum_of(body, sizeof(body)) };
	memset(data, 0, SECTOR);
	memcpy(data, &c, sizeof(c));
	ask(0, OUT, SLOT(t % SLOTS), SECTOR);
	if (!wait_all(1))
		return (false);
	if (with) {
		ask(0, FLUSH, 0, 0);
		if (!wait_all(1))
			return (false);
	}
	return (true);
}

/* Recovery on a crashed image: transactions 1 to known are whole, and whatever has a commit record is whole. */
static void
recover(const uint8_t *image, unsigned known)
{
	uint8_t body[DATA_SECTORS * SECTOR];

	for (unsigned t = 1; t < SLOTS; t++) {
		const uint8_t *slot = image + SLOT(t) * SECTOR;
		struct commit c;

		memcpy(&c, slot, sizeof(c));
		CHECKF(t > known || c.magic == MAGIC, "transaction %u was told to be durable and is lost", t);
		if (c.magic != MAGIC)
			continue;
		pattern(body, t);
		CHECK_EQ(c.t, t);
		CHECK_EQ(c.sum, sum_of(body, sizeof(body)));
		CHECKF(memcmp(slot + SECTOR, body, sizeof(body)) == 0, "transaction %u is committed with other data", t);
	}
}

/* Apply a write, or only some of its sectors; what was discarded becomes rubbish. */
static void
apply(uint8_t *image, const struct event *e, bool torn)
{
	for (uint64_t at = 0; at < e->len; at += SECTOR) {
		if (torn && below(2) == 0)
			continue;
		if (e->data != NULL)
			memcpy(image + e->off + at, e->data + at, SECTOR);
		else
			memset(image + e->off + at, (int)below(256), SECTOR);
	}
}

/* Whether any flush among the first n events began after e's end, and so made it safe. */
static bool
safe(const struct event *e, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (disk.event[i].flush && disk.event[i].begin > e->end)
			return (true);
	}
	return (false);
}

/* The image after a crash behind the first n events. */
static void
crash(uint8_t *image, unsigned n)
{
	unsigned pending[EVENTS], count = 0;

	memset(image, 0, sizeof(disk.now));
	for (unsigned i = 0; i < n; i++) {
		if (disk.event[i].flush)
			continue;
		if (safe(&disk.event[i], n))
			apply(image, &disk.event[i], false);
		else
			pending[count++] = i;
	}
	/* A shuffle, of which some are dropped, some torn. */
	for (unsigned i = count; i > 1; i--) {
		unsigned j = below(i), other = pending[i - 1];

		pending[i - 1] = pending[j];
		pending[j] = other;
	}
	for (unsigned i = 0; i < count; i++) {
		unsigned how = below(3);

		if (how != 0)
			apply(image, &disk.event[pending[i]], how == 1);
	}
}

/* Every crash that there may have been: at each event several, with what the guest knew when the event happened. */
static void
replay_all(unsigned times)
{
	static uint8_t image[sizeof(disk.now)];

	for (unsigned n = 0; n <= disk.nevents; n++) {
		/* Behind event n - 1 and before event n the guest may know up to what it knew at event n. */
		unsigned known = n < disk.nevents ? disk.event[n].told : durable;

		for (unsigned i = 0; i < times * (unsigned)test_long(10); i++) {
			crash(image, n);
			recover(image, known);
		}
	}
}

/* Write transactions until one fails or the slots are full; the number that the guest believes in. */
static unsigned
journal(bool with)
{
	unsigned t;

	for (t = 1; t < SLOTS; t++) {
		if (!transaction(t, with))
			break;
		pthread_mutex_lock(&disk.lock);
		durable = t;
		pthread_mutex_unlock(&disk.lock);
	}
	return (t - 1);
}

/* The check itself: without flushes a volatile cache must lose something, else replays show nothing. */
TEST(replays_find_what_is_not_flushed)
{
	static uint8_t image[sizeof(disk.now)];
	unsigned lost = 0;

	setup("", F_FLUSH);
	CHECK_EQ(journal(false), SLOTS - 1);
	CHECK_EQ(disk.nflushes, 0);
	for (unsigned i = 0; i < 20; i++) {
		struct commit c;

		crash(image, disk.nevents);
		for (unsigned t = 1; t < SLOTS; t++) {
			memcpy(&c, image + SLOT(t) * SECTOR, sizeof(c));
			lost += c.magic != MAGIC;
		}
	}
	CHECK(lost > 20);
	finish();
}

TEST(every_crash_recovers)
{
	setup("", F_FLUSH);
	CHECK_EQ(journal(true), SLOTS - 1);
	replay_all(20);
	finish();
}

/* Writes that go on while a flush is under way are not covered by it. */
TEST(every_crash_recovers_under_other_load)
{
	setup("", F_FLUSH | F_OTHERS);
	for (unsigned t = 1; t < SLOTS; t++) {
		/* Rubbish outside of the journal, not waited for before the flush. */
		struct { uint64_t sector; uint32_t count, flags; } r = { 204 + below(8), 1 + below(8), 0 };

		for (unsigned i = 4; i < 6; i++) {
			memset(data + 4096 * i, (int)t, SECTOR * 4);
			ask(i, OUT, 204 + below(40), SECTOR * (1 + below(4)));
		}
		memcpy(data + 4096 * 6, &r, sizeof(r));
		ask(6, below(2) != 0 ? DISCARD : ZEROES, 0, sizeof(r));
		ask(7, FLUSH, 0, 0);
		v_write(&fx, V_NOTIFY, 0);
		CHECK(transaction(t, true));
		pthread_mutex_lock(&disk.lock);
		durable = t;
		pthread_mutex_unlock(&disk.lock);
	}
	replay_all(10);
	finish();
}

/* The guest flushes nothing; every write is durable when it completes. */
TEST(writethrough)
{
	setup("disk.cache=writethrough\n", F_FLUSH);
	CHECK_EQ(journal(false), SLOTS - 1);
	replay_all(20);
	finish();
}

/* Virtio 1.2, 5.2.6.2, case 1: a driver that knows neither of flushes nor of the choice has none to make. */
TEST(driver_without_flush)
{
	setup("", 0);
	CHECK_EQ(journal(false), SLOTS - 1);
	replay_all(10);
	finish();
}

/* Case 2: the driver chose; and 5.2.5.2: without flushes the choice begins as 0. */
TEST(driver_chooses)
{
	setup("", F_FLUSH | F_WCE);
	CHECK_EQ(v_read(&fx, V_CONFIG + 32) & 0xff, 1);
	fx_write(&fx, VM_SPACE_MEM, VM_BASE + V_CONFIG + 32, 1, 0);
	CHECK_EQ(v_read(&fx, V_CONFIG + 32) & 0xff, 0);
	CHECK_EQ(journal(false), SLOTS - 1);
	replay_all(10);
	v_start(&d, &fx, F_WCE, RING);
	CHECK_EQ(v_read(&fx, V_CONFIG + 32) & 0xff, 0);
	finish();
}

/* In writethrough zeros are as durable as data. */
TEST(writethrough_zeroes)
{
	struct { uint64_t sector; uint32_t count, flags; } r[2] = { { SLOT(1), 1, 0 }, { SLOT(2), 1, 1 } };
	static uint8_t image[sizeof(disk.now)];

	setup("disk.cache=writethrough\n", F_FLUSH | F_OTHERS);
	CHECK_EQ(journal(false), SLOTS - 1);
	memcpy(data, r, sizeof(r));
	ask(0, ZEROES, 0, sizeof(r));
	CHECK(wait_all(1));
	for (unsigned i = 0; i < 50; i++) {
		crash(image, disk.nevents);
		CHECK_EQ(image[SLOT(1) * SECTOR], 0);
		CHECK_EQ(image[SLOT(2) * SECTOR], 0);
		CHECK(image[SLOT(3) * SECTOR] != 0);
	}
	finish();
}

static const struct fault {
	const char	*name, *keys;
	unsigned	 bad_write, bad_flush;
	int		 error;
	bool		 shorten, with;
} faults[] = {
	{ "write_eio", "", 17, 0, EIO, false, true },
	{ "write_enospc", "", 23, 0, ENOSPC, false, true },
	{ "write_short", "", 19, 0, ENOSPC, true, true },
	{ "flush_eio", "", 0, 7, EIO, false, true },
	{ "flush_eio_of_commit", "", 0, 8, EIO, false, true },
	{ "writethrough_write_eio", "disk.cache=writethrough\n", 21, 0, EIO, false, false },
	{ "writethrough_write_short", "disk.cache=writethrough\n", 20, 0, EIO, true, false },
	{ "writethrough_flush_enospc", "disk.cache=writethrough\n", 0, 33, ENOSPC, false, false },
};

/* The guest is told, believes nothing that was not, and what it believed before stays. */
static void
errors(const void *arg)
{
	const struct fault *f = arg;
	unsigned n;

	setup(f->keys, F_FLUSH);
	disk.bad_write = f->bad_write;
	disk.bad_flush = f->bad_flush;
	disk.error = f->error;
	disk.shorten = f->shorten;
	n = journal(f->with);
	CHECKF(n > 0 && n < SLOTS - 1, "%u transactions", n);
	CHECK_HAS(fx.log, strerror(f->error));
	/* A flush that failed is not made good by the next: what it covered is lost. */
	disk.bad_write = disk.bad_flush = 0;
	ask(0, FLUSH, 0, 0);
	CHECK_EQ(wait_all(1), f->bad_flush == 0);
	if (f->bad_write != 0)
		CHECK(transaction(n + 1, f->with));
	replay_all(10);
	finish();
}

__attribute__((constructor)) static void
add_errors(void)
{
	for (unsigned i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		test_add_arg(faults[i].name, errors, &faults[i]);
}

TEST(read_errors)
{
	setup("", F_FLUSH);
	disk.error = EIO;
	disk.bad_read = 3;
	for (unsigned i = 1; i <= 9; i++) {
		ask(0, IN, 0, SECTOR);
		CHECK_EQ(wait_all(1), i % 3 != 0);
		/* The status behind the data is no proof of data: no byte is claimed. */
		CHECK_EQ(v_used_len(&d, (uint16_t)(d.used[1] - 1)), i % 3 != 0 ? SECTOR + 1 : 0);
	}
	finish();
}

/* A write that failed is not followed by the flush that would call it durable; and its bytes are none of the guest's. */
TEST(write_error_in_writethrough_flushes_nothing)
{
	setup("disk.cache=writethrough\n", F_FLUSH);
	disk.error = EIO;
	disk.bad_write = 1;
	ask(0, OUT, 3, SECTOR);
	CHECK(!wait_all(1));
	CHECK_EQ(disk.nflushes, 0);
	CHECK_EQ(disk.nevents, 0);
	finish();
}

TEST_MAIN()
