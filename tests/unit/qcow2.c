/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * qcow2.c - qcow2 images: what is written is read, in images of every form; what a crash at any moment leaves is consistent and has
 * everything that was flushed; what is refused.
 *
 * Every sector written begins with a number of its own, so that a sector tells which write it is of.
 */
#include <fcntl.h>

#include "error.h"
#include "test.h"
#include "qcow2_image.h"

#define	SECTORS		4725U		/* of the disk: no whole number of clusters above 512 bytes, and enough for fill() */
#define	DISK		((uint64_t)SECTORS * BLOCK_SECTOR)
#define	MOST		160U		/* sectors of a request */

static const struct image_form forms[] = {
	{ 3, 9, 4, DISK, NULL }, { 3, 9, 6, DISK, NULL }, { 3, 10, 0, DISK, NULL }, { 3, 12, 1, DISK, NULL }, { 2, 12, 4, DISK, NULL },
	{ 3, 16, 4, DISK, NULL }, { 3, 14, 3, DISK, NULL }, { 2, 9, 4, DISK, NULL }, { 3, 13, 2, DISK, NULL }, { 3, 12, 5, DISK, NULL },
};
#define	NFORMS	(sizeof(forms) / sizeof(forms[0]))

static struct image_file file;
static struct store *disk;
static struct device *log_device;
static uint64_t seed;

/* What the disk should have: a number per sector, 0 for zeros. */
static uint64_t now[SECTORS], durable[SECTORS];
static bool zeroed[SECTORS];		/* since the last flush */
static uint64_t number;

static unsigned
below(unsigned n)
{
	return ((unsigned)(test_random(&seed) >> 20) % n);
}

static struct store *
open_file(struct image_file *f, bool readonly)
{
	const struct block_options o = { .path = "/tmp/image.qcow2", .format = BLOCK_QCOW2, .readonly = readonly, .dev = log_device };
	struct store *s = store_new(&file_driver, f, f->end, readonly);

	CHECK(s != NULL);
	return (qcow2_open(s, &o, NULL));
}

static void
start(const struct image_form *form, uint64_t with)
{
	seed = with * 0x9e3779b97f4a7c15ULL + 1;
	file_init(&file, form, seed);
	disk = open_file(&file, false);
	CHECKF(disk != NULL, "%s", vmm_errmsg());
	CHECK_EQ(disk->size, DISK);
	memset(now, 0, sizeof(now));
	memset(durable, 0, sizeof(durable));
	memset(zeroed, 0, sizeof(zeroed));
	file.keeps = with % 2 != 0;
}

static void
consistent(uint64_t most_leaks)
{
	uint64_t leaks;
	char why[256];

	CHECKF(image_check(file.now, file.end, &leaks, why), "%s", why);
	CHECKF(leaks <= most_leaks, "%llu clusters leaked", (unsigned long long)leaks);
}

/* Closing leaves no leak. */
static void
finish(void)
{
	store_close(disk);
	consistent(0);
	file_fini(&file);
}

static void
sector(uint8_t *p, uint64_t n)
{
	memset(p, (int)(n % 251), BLOCK_SECTOR);
	memcpy(p, &n, sizeof(n));
	if (n == 0)
		memset(p, 0, BLOCK_SECTOR);
}

/* Cut a buffer into a vector of odd pieces. */
static int
cut(struct iovec *iov, uint8_t *buf, size_t len)
{
	int n = 0;

	while (len != 0) {
		size_t some = n == 299 ? len : 1 + below(n % 3 == 0 ? 700 : 9000);

		some = some < len ? some : len;
		iov[n++] = (struct iovec){ buf, some };
		buf += some;
		len -= some;
	}
	return (n);
}

static int
write_at(unsigned first, unsigned n)
{
	static uint8_t buf[MOST * BLOCK_SECTOR];
	struct iovec iov[300] = { { NULL, 0 } };
	uint64_t before = number;
	int error, pieces;

	/* A crash may leave some of it already. */
	number += n;
	for (unsigned i = 0; i < n; i++)
		sector(buf + (size_t)i * BLOCK_SECTOR, before + i + 1);
	pieces = cut(iov, buf, (size_t)n * BLOCK_SECTOR);
	error = store_writev(disk, iov, pieces, first * (uint64_t)BLOCK_SECTOR);
	for (unsigned i = 0; i < n && error == 0; i++)
		now[first + i] = before + i + 1;
	return (error);
}

/* Every sector is written: with 64 bits for each refcount and 512 bytes for each cluster one cluster of the refcount table is too few. */
static void
fill(void)
{
	for (unsigned at = 0; at < SECTORS; at += MOST)
		CHECK_EQ(write_at(at, SECTORS - at < MOST ? SECTORS - at : MOST), 0);
}

static void
read_at(struct store *s, unsigned first, unsigned n, uint64_t *is)
{
	static uint8_t buf[MOST * BLOCK_SECTOR];
	struct iovec iov[300] = { { NULL, 0 } };
	uint8_t want[BLOCK_SECTOR];

	int pieces = cut(iov, buf, (size_t)n * BLOCK_SECTOR);

	memset(buf, 0xee, sizeof(buf));
	CHECK_EQ(store_readv(s, iov, pieces, first * (uint64_t)BLOCK_SECTOR), 0);
	for (unsigned i = 0; i < n; i++) {
		memcpy(&is[i], buf + (size_t)i * BLOCK_SECTOR, sizeof(is[i]));
		sector(want, is[i]);
		CHECKF(memcmp(want, buf + (size_t)i * BLOCK_SECTOR, BLOCK_SECTOR) == 0, "sector %u is torn", first + i);
	}
}

static void
reads_right(struct store *s)
{
	uint64_t is[MOST];

	for (unsigned at = 0; at < SECTORS; at += MOST) {
		unsigned n = SECTORS - at < MOST ? SECTORS - at : MOST;

		read_at(s, at, n, is);
		for (unsigned i = 0; i < n; i++)
			CHECKF(is[i] == now[at + i], "sector %u is %llu and not %llu", at + i, (unsigned long long)is[i],
			    (unsigned long long)now[at + i]);
	}
}

/* Zeros, or what was there. */
static void
discard_at(unsigned first, unsigned n)
{
	uint64_t is[MOST];

	CHECK_EQ(store_discard(disk, first * (uint64_t)BLOCK_SECTOR, n * (uint64_t)BLOCK_SECTOR), 0);
	read_at(disk, first, n, is);
	for (unsigned i = 0; i < n; i++) {
		CHECK(is[i] == 0 || is[i] == now[first + i]);
		zeroed[first + i] |= is[i] == 0;
		now[first + i] = is[i];
	}
}

static void
flush(void)
{
	CHECK_EQ(store_flush(disk), 0);
	memcpy(durable, now, sizeof(durable));
	memset(zeroed, 0, sizeof(zeroed));
}

static void
step(void)
{
	unsigned n = 1 + below(below(4) == 0 ? MOST : 12), first = below(SECTORS - n + 1);
	uint64_t is[MOST];

	switch (below(12)) {
	case 0:
		discard_at(first, n);
		break;
	case 1:
		CHECK_EQ(store_zero(disk, first * (uint64_t)BLOCK_SECTOR, n * (uint64_t)BLOCK_SECTOR, below(2) == 0), 0);
		for (unsigned i = 0; i < n; i++) {
			now[first + i] = 0;
			zeroed[first + i] = true;
		}
		break;
	case 2:
	case 3:
		flush();
		break;
	case 4:
	case 5:
		read_at(disk, first, n, is);
		for (unsigned i = 0; i < n; i++)
			CHECK_EQ(is[i], now[first + i]);
		break;
	default:
		CHECK_EQ(write_at(first, n), 0);
	}
}

TEST(every_form)
{
	for (unsigned f = 0; f < NFORMS; f++) {
		start(&forms[f], f);
		for (unsigned i = 0; i < 400; i++)
			step();
		reads_right(disk);
		store_close(disk);
		consistent(0);
		disk = open_file(&file, false);
		CHECK(disk != NULL);
		reads_right(disk);
		/* All of it away again: what is left is tables. */
		CHECK_EQ(store_discard(disk, 0, DISK), 0);
		finish();
	}
}

static uint8_t *left;			/* by a crash */
static unsigned crashes;		/* before a flush */

/* One crash of the file as it is: consistent, and each sector is what was flushed or came behind. */
static void
crash_once(void)
{
	struct image_file after = { .lock = PTHREAD_MUTEX_INITIALIZER, .now = left, .end = IMAGE_MAX };
	uint64_t leaks, is[MOST];
	struct store *s;
	char why[256];

	file_crash(&file, left, &seed);
	CHECKF(image_check(left, IMAGE_MAX, &leaks, why), "%s", why);
	s = open_file(&after, true);
	CHECKF(s != NULL, "%s", vmm_errmsg());
	for (unsigned at = 0; at < SECTORS; at += MOST) {
		unsigned n = SECTORS - at < MOST ? SECTORS - at : MOST;

		read_at(s, at, n, is);
		for (unsigned i = 0; i < n; i++)
			CHECKF(is[i] == durable[at + i] || (is[i] == 0 ? zeroed[at + i] : is[i] > durable[at + i] && is[i] <= number),
			    "sector %u is %llu after a crash, was %llu when flushed", at + i, (unsigned long long)is[i],
			    (unsigned long long)durable[at + i]);
	}
	store_close(s);
}

/* No flush of the file is ever sure to be reached: those in the middle of a commit too, whose writes are in the order that they make. */
static void
crash_before_flush(void)
{
	for (unsigned i = 0; i < crashes; i++)
		crash_once();
}

TEST(crashes_leave_what_was_flushed)
{
	left = malloc(IMAGE_MAX);
	for (unsigned f = 0; f < NFORMS; f++) {
		start(&forms[f], 100 + f);
		file.on_flush = crash_before_flush;
		/* The table grows once: crashes in that commit are many. */
		crashes = 20;
		if (forms[f].ref_order == 6) {
			fill();
			flush();
		}
		crashes = 2;
		for (unsigned i = 0; i < 150; i++) {
			step();
			if (i % 3 == 0)
				crash_once();
		}
		finish();
	}
	free(left);
}

/* The check of crashes itself: a file that forgets its flushes is found out. */
TEST(lost_flushes_are_noticed)
{
	bool found = false;
	uint64_t leaks;
	char why[256];

	left = malloc(IMAGE_MAX);
	start(&forms[0], 7);
	file.ignores_flushes = true;
	for (unsigned i = 0; i < 200 && !found; i++) {
		step();
		file_crash(&file, left, &seed);
		found = !image_check(left, IMAGE_MAX, &leaks, why);
	}
	CHECK(found);
	store_close(disk);
	file_fini(&file);
	free(left);
}

/* Failed writes of the file: what was told to have failed is old or new, and the image is in order. */
TEST(failing_writes)
{
	uint64_t is[MOST];
	unsigned failed = 0;

	for (unsigned f = 0; f < NFORMS; f++) {
		start(&forms[f], 200 + f);
		for (unsigned i = 0; i < 300; i++) {
			unsigned n = 1 + below(MOST), first = below(SECTORS - n + 1);
			uint64_t from = number;

			file.bad_write = 6;
			if (write_at(first, n) != 0) {
				failed++;
				file.bad_write = 0;
				read_at(disk, first, n, is);
				for (unsigned k = 0; k < n; k++) {
					CHECK(is[k] == now[first + k] || is[k] == from + k + 1);
					now[first + k] = is[k];
				}
			}
			file.bad_write = 0;
			if (i % 50 == 0)
				CHECK_EQ(store_flush(disk), 0);
		}
		reads_right(disk);
		finish();
	}
	CHECK(failed > 100);
}

/* A disk that is paused: its file is complete without a flush of the guest's, for whoever copies it then. */
TEST(paused_images_are_complete)
{
	struct block *b;
	uint64_t leaks;
	char why[256];

	left = malloc(IMAGE_MAX);
	for (unsigned f = 0; f < NFORMS; f++) {
		struct image_file copy = { .lock = PTHREAD_MUTEX_INITIALIZER, .now = left };
		struct store *s;

		start(&forms[f], 300 + f);
		for (unsigned i = 0; i < 60; i++)
			step();
		b = block_open_store(disk);
		CHECKF(b != NULL, "%s", vmm_errmsg());
		CHECK_EQ(block_settle(b), 0);
		consistent(0);
		memcpy(left, file.now, IMAGE_MAX);
		copy.end = file.end;
		CHECKF(image_check(left, copy.end, &leaks, why), "%s", why);
		s = open_file(&copy, true);
		CHECKF(s != NULL, "%s", vmm_errmsg());
		reads_right(s);
		store_close(s);
		block_close(b);
		file_fini(&file);
	}
	free(left);
}

static char said[2048];

static void
sink(void *arg, enum log_level level, const char *part, const char *text)
{
	size_t len = strlen(said);

	CHECK_EQ(level, LOG_LEVEL_ERROR);
	(void)snprintf(said + len, sizeof(said) - len, "%s: %s\n", part, text);
}

/* Nobody's request fails when that happens at a pause, or when the image is closed: the log is told. */
TEST(what_pausing_and_closing_lose_is_told)
{
	char name[] = "disk3";
	struct vmm vmm = { .log = log_new(sink, NULL) };
	struct device dev = { .vmm = &vmm, .name = name };
	struct block *b;

	log_device = &dev;
	start(&forms[3], 1);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(write_at(i * 200, MOST), 0);
	file.bad_write = 1;
	b = block_open_store(disk);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	CHECK_EQ(block_settle(b), -1);
	CHECK_EQ(errno, EIO);
	CHECK_HAS(vmm_errmsg(), "not all that was written to it");
	block_close(b);
	CHECK_HAS(said, "disk3");
	CHECK_HAS(said, "closing it failed");
	CHECK_HAS(said, strerror(EIO));
	log_free(vmm.log);
	file_fini(&file);
}

/* Requests of many threads, to parts of the same clusters. */
static struct { pthread_t thread; unsigned id; } users[6];
#define	NUSERS	6U

static void *
user(void *arg)
{
	unsigned id = *(unsigned *)arg;
	uint64_t mine = id + 1, is;

	for (unsigned i = 0; i < 400; i++) {
		unsigned at = (unsigned)(test_random(&mine) >> 20) % (SECTORS / NUSERS) * NUSERS + id;
		uint8_t buf[BLOCK_SECTOR];

		if (i % 50 == 49) {
			CHECK_EQ(store_flush(disk), 0);
			continue;
		}
		CHECK_EQ(store_read(disk, buf, sizeof(buf), at * (uint64_t)BLOCK_SECTOR), 0);
		memcpy(&is, buf, sizeof(is));
		CHECK_EQ(is, now[at]);
		now[at] = (uint64_t)id << 32 | (i + 1);
		sector(buf, now[at]);
		CHECK_EQ(store_write(disk, buf, sizeof(buf), at * (uint64_t)BLOCK_SECTOR), 0);
	}
	return (NULL);
}

TEST(many_users)
{
	for (unsigned f = 0; f < NFORMS; f += 2) {
		start(&forms[f], f);
		for (unsigned i = 0; i < NUSERS; i++) {
			users[i].id = i;
			CHECK_EQ(pthread_create(&users[i].thread, NULL, user, &users[i].id), 0);
		}
		for (unsigned i = 0; i < NUSERS; i++)
			pthread_join(users[i].thread, NULL);
		reads_right(disk);
		finish();
	}
}

/* Files. */
static char dir[] = "/tmp/hyve-qcow2-XXXXXX";

static const char *
in_dir(const char *name)
{
	static char path[4][128];
	static unsigned turn;

	turn = (turn + 1) % 4;
	(void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return (path[turn]);
}

static void
save(const char *name, const void *data, size_t len)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, data, len), (ssize_t)len);
	close(fd);
}

/* An empty image whose header was changed. */
static uint8_t head[1 << 16];
static size_t head_len;

static void
fresh(const char *backing)
{
	const struct image_form form = { 3, 12, 4, 1 << 20, backing };

	memset(head, 0, sizeof(head));
	head_len = image_make(head, &form);
}

static void
refused(const char *name, const struct block_options *how, const char *why)
{
	struct block_options o = *how;
	struct block *b;

	o.path = in_dir(name);
	b = block_open(&o);
	CHECKF(b == NULL, "%s was opened: no '%s'", name, why);
	CHECK_HAS(vmm_errmsg(), name);
	CHECK_HAS(vmm_errmsg(), why);
}

static void
opens(const char *name, const struct block_options *how, uint64_t size)
{
	struct block_options o = *how;
	struct block *b;

	o.path = in_dir(name);
	b = block_open(&o);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	CHECK_EQ(block_size(b), size);
	block_close(b);
}

static void
remove_dir(void)
{
	char command[64];

	(void)snprintf(command, sizeof(command), "rm -rf %s", dir);
	CHECK_EQ(system(command), 0);
}

static const struct block_options plain = { .format = BLOCK_AUTO }, raw = { .format = BLOCK_RAW }, qcow2 = { .format = BLOCK_QCOW2 },
    reading = { .format = BLOCK_AUTO, .readonly = true }, alone = { .format = BLOCK_AUTO, .nobacking = true };

/* What a guest writes into a raw image never makes it another kind of image. */
TEST(format_is_not_the_guests)
{
	CHECK(mkdtemp(dir) != NULL);
	fresh(NULL);
	save("a.qcow2", head, head_len);
	save("a.img", head, head_len);
	save("a.raw", head, head_len);
	opens("a.qcow2", &plain, 1 << 20);
	opens("a.qcow2", &raw, head_len);
	refused("a.img", &plain, "say format=qcow2 or format=raw");
	opens("a.img", &raw, head_len);
	opens("a.img", &qcow2, 1 << 20);
	opens("a.raw", &plain, head_len);
	memset(head, 0, 4);
	save("b.qcow2", head, head_len);
	save("b.img", head, head_len);
	refused("b.qcow2", &plain, "say format=raw");
	refused("b.img", &qcow2, "is no qcow2 image");
	opens("b.img", &plain, head_len);
	remove_dir();
}

struct change {
	unsigned	 off;
	uint64_t	 value;
	unsigned	 bytes;
	const char	*why;
	bool		 readable;	/* read-only, it is opened */
};

TEST(headers_that_are_refused)
{
	static const struct change changes[] = {
		{ 4, 1, 4, "versions 2 and 3", false }, { 4, 4, 4, "versions 2 and 3", false },
		{ 20, 8, 4, "2^8 bytes", false }, { 20, 22, 4, "2^22 bytes", false }, { 20, UINT32_MAX, 4, "its clusters", false },
		{ 24, UINT64_MAX, 8, "cannot be a disk", false }, { 24, 1ULL << 60, 8, "larger clusters", false }, { 24, 0, 8, "0 bytes", false },
		{ 24, 777, 8, "777 bytes", false },
		{ 32, 1, 4, "encrypted", false }, { 32, 2, 4, "encrypted", false },
		{ 36, 0, 4, "L1 table", false }, { 36, UINT32_MAX, 4, "L1 table", false },
		{ 40, 0, 8, "L1 table", false }, { 40, 513, 8, "L1 table", false }, { 40, UINT64_MAX & ~4095ULL, 8, "L1 table", false },
		{ 48, 0, 8, "refcount table", true }, { 48, 1ULL << 60, 8, "refcount table", true }, { 48, 3 << 12, 8, "refcount table", true },
		{ 56, 0, 4, "refcount table", true }, { 56, UINT32_MAX, 4, "refcount table", false },
		{ 72, 1 << 0, 8, "qemu-img check -r all", true }, { 72, 1 << 1, 8, "corrupt", true }, { 72, 1 << 2, 8, "another file", false },
		{ 72, 1 << 3, 8, "compression", false }, { 72, 1 << 4, 8, "extended L2 entries", false },
		{ 72, 1 << 9, 8, "'without a name' (bit 9)", false }, { 72, 1ULL << 63, 8, "(bit 63)", false },
		{ 96, 7, 4, "refcounts", false }, { 100, 96, 4, "header", false }, { 100, 105, 4, "header", false }, { 100, 8192, 4, "header", false },
	};

	CHECK(mkdtemp(dir) != NULL);
	for (unsigned i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct change *c = &changes[i];

		fresh(NULL);
		if (c->bytes == 4)
			put32(head + c->off, (uint32_t)c->value);
		else
			put64(head + c->off, c->value);
		save("x.qcow2", head, head_len);
		refused("x.qcow2", &plain, c->why);
		if (c->readable)
			opens("x.qcow2", &reading, 1 << 20);
	}
	/* A feature with a name. */
	fresh(NULL);
	put64(head + 72, 1 << 9);
	put32(head + 104, 0x6803f857);
	put32(head + 108, 48);
	head[113] = 9;
	memcpy(head + 114, "time travel", 11);
	save("x.qcow2", head, head_len);
	refused("x.qcow2", &plain, "'time travel' (bit 9)");
	save("short.qcow2", head, 20);
	refused("short.qcow2", &plain, "its clusters");
	remove_dir();
}

/* Bits of features that this writer does not keep up are gone when it has opened the image for writing. */
TEST(autoclear)
{
	uint8_t back[8];
	int fd;

	CHECK(mkdtemp(dir) != NULL);
	fresh(NULL);
	put64(head + 88, 5);
	save("x.qcow2", head, head_len);
	opens("x.qcow2", &reading, 1 << 20);
	fd = open(in_dir("x.qcow2"), O_RDONLY);
	CHECK_EQ(pread(fd, back, 8, 88), 8);
	CHECK_EQ(get64(back), 5);
	opens("x.qcow2", &plain, 1 << 20);
	CHECK_EQ(pread(fd, back, 8, 88), 8);
	CHECK_EQ(get64(back), 0);
	close(fd);
	remove_dir();
}

TEST(backing_files)
{
	uint8_t buf[BLOCK_SECTOR * 2], base[3 * BLOCK_SECTOR];
	struct block_options o = { .path = NULL };
	struct store *s;

	CHECK(mkdtemp(dir) != NULL);
	for (unsigned i = 0; i < 3; i++)
		sector(base + (size_t)i * BLOCK_SECTOR, i + 1);
	save("base.img", base, sizeof(base));
	fresh("base.img");
	save("x.qcow2", head, head_len);
	refused("x.qcow2", &alone, "backing=false");
	o.path = in_dir("x.qcow2");
	s = store_open(&o, NULL);
	CHECKF(s != NULL, "%s", vmm_errmsg());
	/* Beside the image, shorter than the disk; a write takes the rest of its cluster along. */
	CHECK_EQ(store_read(s, buf, sizeof(buf), 2 * BLOCK_SECTOR), 0);
	CHECK_EQ(buf[8], 3);
	CHECK_EQ(buf[BLOCK_SECTOR], 0);
	memset(buf, 0x77, sizeof(buf));
	CHECK_EQ(store_write(s, buf, BLOCK_SECTOR, BLOCK_SECTOR), 0);
	CHECK_EQ(store_read(s, buf, sizeof(buf), 0), 0);
	CHECK_EQ(buf[8], 1);
	CHECK_EQ(buf[BLOCK_SECTOR], 0x77);
	CHECK_EQ(store_read(s, buf, sizeof(buf), 2 * BLOCK_SECTOR), 0);
	CHECK_EQ(buf[8], 3);
	CHECK_EQ(buf[BLOCK_SECTOR], 0);
	/* What is thrown away does not come back from below. */
	CHECK_EQ(store_discard(s, 0, 4096), 0);
	CHECK_EQ(store_read(s, buf, sizeof(buf), 0), 0);
	CHECK_EQ(buf[8], 0);
	store_close(s);
	/* Others may read the base meanwhile, nobody may write to it. */
	CHECK(unlink(in_dir("base.img")) == 0);
	refused("x.qcow2", &plain, "base.img");

	fresh("x.qcow2");
	save("x.qcow2", head, head_len);
	refused("x.qcow2", &plain, "own backing file");
	fresh("json:{\"driver\":\"x\"}");
	save("y.qcow2", head, head_len);
	refused("y.qcow2", &plain, "is no path");
	fresh("base.img");
	memcpy(head + 112, "dmg", 3);
	save("z.qcow2", head, head_len);
	refused("z.qcow2", &plain, "'dmg'");
	fresh("base.img");
	put64(head + 8, 4090);
	save("z.qcow2", head, head_len);
	refused("z.qcow2", &plain, "first cluster");
	/* Without its format, the backing file is taken for what a disk's image would be. */
	fresh("n.qcow2");
	put32(head + 104, 0x11111111);
	save("m.qcow2", head, head_len);
	fresh("m.qcow2");
	put32(head + 104, 0x11111111);
	save("n.qcow2", head, head_len);
	refused("m.qcow2", &plain, "own backing file, or that of one");
	for (unsigned i = 0; i < 40; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "c%u.qcow2", i + 1);
		fresh(name);
		memcpy(head + 112, "qcow2", 5);
		put32(head + 108, 5);
		(void)snprintf(name, sizeof(name), "c%u.qcow2", i);
		save(name, head, head_len);
	}
	refused("c0.qcow2", &plain, "more than 32 backing files");
	remove_dir();
}

/*
 * qemu-img, which knows more forms than the maker.
 */
static void
shell(const char *fmt, ...)
{
	char command[512], all[600];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	(void)snprintf(all, sizeof(all), "cd %s && %s >out 2>&1 || { cat out; exit 1; }", dir, command);
	CHECKF(system(all) == 0, "%s", command);
}

static void
need_qemu_img(void)
{
	if (system("qemu-img --version >/dev/null 2>&1") != 0)
		SKIP("no qemu-img (Debian package qemu-utils)");
	CHECK(mkdtemp(dir) != NULL);
}

/* A raw disk whose sectors tell their numbers; half of it, in pieces, is zeros. */
static void
make_raw(const char *name)
{
	static uint8_t all[DISK];

	for (unsigned i = 0; i < SECTORS; i++) {
		now[i] = i / 300 % 2 == 0 ? i + 1 : 0;
		sector(all + (size_t)i * BLOCK_SECTOR, now[i]);
	}
	number = SECTORS;
	save(name, all, sizeof(all));
}

/* Open the image, do a little of everything to it, and see that qemu-img finds it in order and the same as this does. */
static void
used_and_checked(const char *name)
{
	const struct block_options o = { .path = in_dir(name) };

	disk = store_open(&o, NULL);
	CHECKF(disk != NULL, "%s", vmm_errmsg());
	reads_right(disk);
	for (unsigned i = 0; i < 60; i++)
		step();
	reads_right(disk);
	store_close(disk);
	/* 0: no errors and no leaks */
	shell("qemu-img check -q %s", name);
	shell("qemu-img convert -O raw %s back.raw", name);
	{
		const struct block_options back = { .path = in_dir("back.raw") };

		disk = store_open(&back, NULL);
		CHECK(disk != NULL);
		reads_right(disk);
		store_close(disk);
	}
}

TEST(images_of_qemu_img)
{
	static const char *const how[] = {
		"", "-o compat=0.10", "-o cluster_size=512", "-o cluster_size=4k,refcount_bits=1", "-o cluster_size=2M", "-c",
		"-c -o cluster_size=4k", "-c -o compression_type=zstd", "-o lazy_refcounts=on", "-o refcount_bits=64", "-o preallocation=metadata",
		"-c -o compat=0.10,cluster_size=1k",
	};

	need_qemu_img();
	for (unsigned i = 0; i < sizeof(how) / sizeof(how[0]); i++) {
		seed = i;
		make_raw("a.raw");
		shell("qemu-img convert -f raw -O qcow2 %s a.raw a.qcow2", how[i]);
		used_and_checked("a.qcow2");
	}
	remove_dir();
}

TEST(backing_chains_of_qemu_img)
{
	need_qemu_img();
	seed = 5;
	make_raw("a.raw");
	shell("qemu-img convert -f raw -O qcow2 -c a.raw b.qcow2");
	shell("qemu-img create -q -f qcow2 -b b.qcow2 -F qcow2 c.qcow2");
	used_and_checked("c.qcow2");
	/* The backing file is as it was. */
	shell("qemu-img compare -q a.raw b.qcow2");
	shell("mkdir sub && qemu-img create -q -f qcow2 -b ../c.qcow2 -F qcow2 -o cluster_size=4k sub/d.qcow2");
	used_and_checked("sub/d.qcow2");
	make_raw("a.raw");
	shell("qemu-img create -q -f qcow2 -b a.raw -F raw -o compat=0.10 e.qcow2");
	used_and_checked("e.qcow2");
	remove_dir();
}

/* Internal snapshots keep what they had. */
TEST(snapshots_of_qemu_img)
{
	need_qemu_img();
	for (unsigned i = 0; i < 3; i++) {
		seed = i;
		make_raw("a.raw");
		shell("qemu-img convert -f raw -O qcow2 %s a.raw a.qcow2", i == 1 ? "-c" : i == 2 ? "-o cluster_size=4k" : "");
		shell("qemu-img snapshot -c one a.qcow2");
		used_and_checked("a.qcow2");
		shell("qemu-img snapshot -c two a.qcow2");
		used_and_checked("a.qcow2");
		shell("qemu-img snapshot -a one a.qcow2 && qemu-img compare -q a.raw a.qcow2");
		shell("qemu-img check -q a.qcow2");
	}
	remove_dir();
}

TEST(refused_of_qemu_img)
{
	need_qemu_img();
	shell("qemu-img create -q -f qcow2 -o extended_l2=on a.qcow2 1M");
	refused("a.qcow2", &reading, "extended L2 entries");
	shell("qemu-img create -q -f qcow2 -o data_file=data b.qcow2 1M");
	refused("b.qcow2", &reading, "another file");
	shell("qemu-img create -q -f qcow2 --object secret,id=s,data=x -o encrypt.format=luks,encrypt.key-secret=s,encrypt.iter-time=10 c.qcow2 1M");
	refused("c.qcow2", &reading, "encrypted");
	shell("qemu-img create -q -f vmdk d.qcow2 1M");
	refused("d.qcow2", &plain, "is no qcow2 image");
	remove_dir();
}

TEST_MAIN()
