/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block_direct.c - images around the host's cache, where the host's blocks are larger than a sector: every access lies as it has to, and
 * who writes a part of a block takes nothing from others.
 *
 * The linker puts functions of the test in place of the host's (--wrap), so that any file system will do.
 */
#include <sys/stat.h>

#include "block_file.h"
#include "qcow2_image.h"

#define	ALIGN		4096U

static struct {
	uint32_t	 align, mem;	/* that statx() tells */
	_Atomic int	 fd;		/* went around the cache last; 0: none */
	_Atomic unsigned calls, bad;	/* accesses of it; those that do not lie as they have to */
	_Atomic unsigned broken;	/* one in so many is interrupted or short; 0: none */
	int		 read_error, write_error, close_error;
} host = { .align = ALIGN, .mem = 512 };

int	__wrap_statx(int dir, const char *name, int flags, unsigned mask, struct statx *st);
int	__wrap_fcntl64(int fd, int cmd, ...);
ssize_t	__real_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t	__wrap_pread64(int fd, void *buf, size_t len, off_t off);
ssize_t	__real_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t	__wrap_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t	__real_preadv64(int fd, const struct iovec *iov, int niov, off_t off);
ssize_t	__wrap_preadv64(int fd, const struct iovec *iov, int niov, off_t off);
ssize_t	__real_pwritev64(int fd, const struct iovec *iov, int niov, off_t off);
ssize_t	__wrap_pwritev64(int fd, const struct iovec *iov, int niov, off_t off);
int	__real_fcntl64(int fd, int cmd, ...);
int	__real_close(int fd);
int	__wrap_close(int fd);

int
__wrap_statx(int dir, const char *name, int flags, unsigned mask, struct statx *st)
{
	CHECK_EQ(mask, STATX_DIOALIGN);
	memset(st, 0, sizeof(*st));
	st->stx_mask = STATX_DIOALIGN;
	st->stx_dio_offset_align = host.align;
	st->stx_dio_mem_align = host.mem;
	return (0);
}

/* Any file may go around the cache, and none does. */
int
__wrap_fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	int flags;

	va_start(ap, cmd);
	flags = va_arg(ap, int);
	va_end(ap);
	if (cmd == F_SETFL && (flags & O_DIRECT) != 0)
		host.fd = fd;
	return (__real_fcntl64(fd, cmd, flags & ~O_DIRECT));
}

/* An access: whether it lies as it has to; how much of it happens, -1: it is interrupted. */
static ssize_t
access_of(int fd, const struct iovec *iov, int niov, off_t off)
{
	ssize_t len = 0;
	bool good = off % host.align == 0;

	for (int i = 0; i < niov; i++) {
		good &= (uintptr_t)iov[i].iov_base % host.mem == 0 && iov[i].iov_len % host.align == 0;
		len += (ssize_t)iov[i].iov_len;
	}
	if (fd != host.fd)
		return (len);
	host.bad += !good;
	if (host.broken == 0 || ++host.calls % host.broken != 0)
		return (len);
	if (host.calls / host.broken % 2 == 0) {
		errno = EINTR;
		return (-1);
	}
	return (iov->iov_len > host.align ? (ssize_t)host.align : len);
}

ssize_t
__wrap_pread64(int fd, void *buf, size_t len, off_t off)
{
	struct iovec iov = { buf, len };
	ssize_t n = access_of(fd, &iov, 1, off);

	if (fd == host.fd && host.read_error != 0) {
		errno = host.read_error;
		return (-1);
	}
	return (n < 0 ? n : __real_pread64(fd, buf, (size_t)n, off));
}

ssize_t
__wrap_pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	struct iovec iov = { (void *)(uintptr_t)buf, len };
	ssize_t n = access_of(fd, &iov, 1, off);

	if (fd == host.fd && host.write_error != 0) {
		errno = host.write_error;
		return (-1);
	}
	return (n < 0 ? n : __real_pwrite64(fd, buf, (size_t)n, off));
}

ssize_t
__wrap_preadv64(int fd, const struct iovec *iov, int niov, off_t off)
{
	ssize_t n = access_of(fd, iov, niov, off);

	if (n < 0)
		return (n);
	return ((size_t)n < iov->iov_len ? __real_pread64(fd, iov->iov_base, (size_t)n, off) : __real_preadv64(fd, iov, niov, off));
}

ssize_t
__wrap_pwritev64(int fd, const struct iovec *iov, int niov, off_t off)
{
	ssize_t n = access_of(fd, iov, niov, off);

	if (n < 0)
		return (n);
	return ((size_t)n < iov->iov_len ? __real_pwrite64(fd, iov->iov_base, (size_t)n, off) : __real_pwritev64(fd, iov, niov, off));
}

int
__wrap_close(int fd)
{
	int error = __real_close(fd);

	if (fd == host.fd && host.close_error != 0) {
		errno = host.close_error;
		return (-1);
	}
	return (error);
}

static struct block *
opened(enum block_aio aio)
{
	const struct block_options o = { .path = path, .aio = aio, .nocache = true };
	struct block *b = block_open(&o);

	if (b == NULL && aio == BLOCK_AIO_URING) {
		unlink(path);
		SKIP(vmm_errmsg());
	}
	CHECKF(b != NULL, "%s", vmm_errmsg());
	CHECK(host.fd != 0);
	return (b);
}

static void
ended(struct block *b)
{
	block_close(b);
	CHECK_EQ(host.bad, 0);
	file_is_model();
	CHECK_EQ(unlink(path), 0);
}

static void
parts(enum block_aio aio)
{
	struct block *b;

	file_make(DISK);
	b = opened(aio);
	for (unsigned i = 0; i < 1500; i++)
		step(b);
	ended(b);
}

TEST(parts_of_blocks_by_threads)
{
	parts(BLOCK_AIO_THREADS);
}

TEST(parts_of_blocks_by_uring)
{
	parts(BLOCK_AIO_URING);
}

/* The same while the host interrupts, and does less than it is asked for. */
TEST(short_transfers)
{
	host.broken = 3;
	parts(BLOCK_AIO_THREADS);
	CHECK(host.calls > 500);
}

/* Memory of any alignment with blocks that are whole. */
TEST(any_memory)
{
	host.align = 512;
	host.mem = 4;
	parts(BLOCK_AIO_THREADS);
}

/* Disks of several writers, each with sectors of its own in blocks that they have in common; now and then one writes whole blocks. */
#define	WRITERS	8U
#define	ROUNDS	150U

static struct block *shared;
static struct neighbour {
	unsigned	 id;
	uint64_t	 seed;
	pthread_t	 thread;
} neighbours[WRITERS];

static void *
neighbour(void *arg)
{
	struct neighbour *n = arg;
	uint8_t buf[BLOCK_SECTOR];
	struct iovec iov;

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t r = test_random(&n->seed) >> 20, off = (r % 4) * ALIGN + n->id * BLOCK_SECTOR;

		iov = (struct iovec){ buf, sizeof(buf) };
		CHECK_EQ(run(shared, BLOCK_READ, off, &iov, 1, sizeof(buf)), 0);
		CHECKF(memcmp(buf, model + off, sizeof(buf)) == 0, "round %u: sector %u of block %u is not what was written", i, n->id,
		    (unsigned)(off / ALIGN));
		if (i % 5 == 4) {
			CHECK_EQ(run(shared, BLOCK_ZERO, off, NULL, 0, sizeof(buf)), 0);
			memset(model + off, 0, sizeof(buf));
			continue;
		}
		memset(buf, (int)(r >> 8), sizeof(buf));
		memset(model + off, (int)(r >> 8), sizeof(buf));
		iov = (struct iovec){ buf, sizeof(buf) };
		CHECK_EQ(run(shared, BLOCK_WRITE, off, &iov, 1, sizeof(buf)), 0);
	}
	return (NULL);
}

static void
crowd(enum block_aio aio)
{
	file_make(DISK);
	shared = opened(aio);
	for (unsigned i = 0; i < WRITERS; i++) {
		neighbours[i].id = neighbours[i].seed = i;
		CHECK_EQ(pthread_create(&neighbours[i].thread, NULL, neighbour, &neighbours[i]), 0);
	}
	for (unsigned i = 0; i < WRITERS; i++)
		CHECK_EQ(pthread_join(neighbours[i].thread, NULL), 0);
	ended(shared);
}

TEST(neighbours_in_a_block_by_threads)
{
	crowd(BLOCK_AIO_THREADS);
}

TEST(neighbours_in_a_block_by_uring)
{
	crowd(BLOCK_AIO_URING);
}

/* A whole block and a part of it at once: the rest of the block is the whole one's, whichever comes last. */
static void
race(enum block_aio aio)
{
	static _Alignas(4096) uint8_t all[ALIGN];
	uint8_t one[BLOCK_SECTOR], back[ALIGN];
	struct waiter w[2] = { { .lock = PTHREAD_MUTEX_INITIALIZER }, { .lock = PTHREAD_MUTEX_INITIALIZER } };
	struct block *b;

	file_make(DISK);
	b = opened(aio);
	for (unsigned i = 0; i < 300; i++) {
		struct iovec whole = { all, sizeof(all) }, part = { one, sizeof(one) }, iov = { back, sizeof(back) };

		memset(all, (int)(2 * i), sizeof(all));
		memset(one, (int)(2 * i + 1), sizeof(one));
		for (unsigned k = 0; k < 2; k++) {
			bool first = (k + i) % 2 == 0;

			w[k].calls = 0;
			pthread_cond_init(&w[k].cond, NULL);
			w[k].req = (struct block_req){ .op = BLOCK_WRITE, .off = first ? 0 : BLOCK_SECTOR, .len = first ? ALIGN : BLOCK_SECTOR,
			    .iov = first ? &whole : &part, .niov = 1, .done = woken, .arg = &w[k] };
			block_submit(b, &w[k].req);
		}
		for (unsigned k = 0; k < 2; k++) {
			pthread_mutex_lock(&w[k].lock);
			while (w[k].calls == 0)
				pthread_cond_wait(&w[k].cond, &w[k].lock);
			pthread_mutex_unlock(&w[k].lock);
			CHECK_EQ(w[k].req.error, 0);
		}
		CHECK_EQ(run(b, BLOCK_READ, 0, &iov, 1, ALIGN), 0);
		for (unsigned k = 0; k < ALIGN; k++)
			CHECK(back[k] == (uint8_t)(2 * i) || (k / BLOCK_SECTOR == 1 && back[k] == (uint8_t)(2 * i + 1)));
		memcpy(model, back, ALIGN);
	}
	ended(b);
}

TEST(block_and_part_at_once_by_threads)
{
	race(BLOCK_AIO_THREADS);
}

TEST(block_and_part_at_once_by_uring)
{
	race(BLOCK_AIO_URING);
}

/* Nothing of a block is written when the rest of it cannot be read. */
TEST(errors)
{
	uint8_t buf[BLOCK_SECTOR] = { 0 };
	struct block *b;

	file_make(DISK);
	b = opened(BLOCK_AIO_THREADS);
	host.read_error = EIO;
	CHECK_EQ(run_sectors(b, BLOCK_WRITE, 3, 1, buf), EIO);
	CHECK_EQ(run_sectors(b, BLOCK_READ, 3, 1, buf), EIO);
	host.read_error = 0;
	host.write_error = ENOSPC;
	CHECK_EQ(run_sectors(b, BLOCK_WRITE, 3, 1, buf), ENOSPC);
	host.write_error = 0;
	file_is_model();
	CHECK_EQ(run_sectors(b, BLOCK_READ, 3, 1, buf), 0);
	CHECK(memcmp(buf, model + (size_t)3 * BLOCK_SECTOR, sizeof(buf)) == 0);
	ended(b);
}

static void
refused(int error, const char *why)
{
	const struct block_options o = { .path = path, .nocache = true };

	errno = 0;
	CHECK(block_open(&o) == NULL);
	CHECK_EQ(errno, error);
	CHECK_HAS(vmm_errmsg(), path);
	CHECK_HAS(vmm_errmsg(), why);
}

TEST(what_cannot_be)
{
	struct block_options o = { .path = path, .nocache = true, .readonly = true };
	uint8_t buf[3 * BLOCK_SECTOR];
	struct block *b;

	file_make(DISK - BLOCK_SECTOR);
	refused(EINVAL, "no whole number of blocks of 4096 bytes");
	/* It can be read up to its end. */
	b = block_open(&o);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	CHECK_EQ(run_sectors(b, BLOCK_READ, DISK / BLOCK_SECTOR - 4, 3, buf), 0);
	CHECK(memcmp(buf, model + DISK - (size_t)4 * BLOCK_SECTOR, sizeof(buf)) == 0);
	block_close(b);
	CHECK_EQ(host.bad, 0);
	host.align = 0;
	refused(ENOTSUP, "its file system has no O_DIRECT");
	host.align = 3000;
	refused(ENOTSUP, "leave out nocache=true");
	CHECK_EQ(unlink(path), 0);
}

/* A qcow2 image has tables and clusters of any size at any place, and a file that grows. */
static void
qcow2(const struct image_form *form)
{
	static uint8_t image[IMAGE_MAX];
	struct block_options o = { .path = path, .format = BLOCK_QCOW2, .nocache = true };
	struct block *b;
	uint64_t leaks;
	char why[256];
	size_t len;
	ssize_t n;
	int fd;

	memset(image, 0, sizeof(image));
	len = image_make(image, form);
	file_make(0);
	memset(model, 0, sizeof(model));
	fd = open(path, O_RDWR);
	CHECK_EQ(write(fd, image, len), (ssize_t)len);
	b = block_open(&o);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	for (unsigned i = 0; i < 1000; i++)
		step(b);
	CHECK_EQ(block_settle(b), 0);
	n = __real_pread64(fd, image, sizeof(image), 0);
	CHECKF(n > 0 && image_check(image, (size_t)n, &leaks, why), "%s", why);
	CHECK_EQ(leaks, 0);
	block_close(b);
	CHECK_EQ(host.bad, 0);
	host.fd = 0;
	o.nocache = false;
	b = block_open(&o);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	for (unsigned i = 0; i < 500; i++)
		step(b);
	block_close(b);
	close(fd);
	CHECK_EQ(unlink(path), 0);
}

TEST(qcow2_around_the_cache)
{
	static const struct image_form forms[] = { { 3, 9, 4, DISK, NULL }, { 2, 12, 4, DISK, NULL }, { 3, 16, 4, DISK, NULL } };

	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		qcow2(&forms[i]);
		(void)strcpy(path, "/tmp/hyve-block-XXXXXX");
	}
}

static char said[512];

static void
sink(void *arg, enum log_level level, const char *part, const char *text)
{
	CHECK_EQ(level, LOG_LEVEL_ERROR);
	(void)snprintf(said, sizeof(said), "%s: %s", part, text);
}

TEST(what_closing_loses_is_told)
{
	struct vmm vmm = { .log = log_new(sink, NULL) };
	char name[] = "disk7";
	struct device dev = { .vmm = &vmm, .name = name };
	const struct block_options o = { .path = path, .nocache = true, .dev = &dev };
	struct block *b;

	file_make(DISK);
	b = block_open(&o);
	CHECKF(b != NULL, "%s", vmm_errmsg());
	host.close_error = EDQUOT;
	block_close(b);
	CHECK_HAS(said, "disk7");
	CHECK_HAS(said, path);
	CHECK_HAS(said, "its last writes may be lost");
	CHECK_HAS(said, strerror(EDQUOT));
	log_free(vmm.log);
	CHECK_EQ(unlink(path), 0);
}

TEST_MAIN()
