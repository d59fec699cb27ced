/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block_file.h - an image in a file, what it should have in it, and requests that are waited for.
 */
#ifndef _BLOCK_FILE_H_
#define	_BLOCK_FILE_H_

#include <fcntl.h>

#include "block_wait.h"
#include "error.h"

#define	DISK		(64U * 4096)
#define	MOST		40U		/* sectors of a request */

static char path[] = "/tmp/hyve-block-XXXXXX";
static uint8_t model[DISK];		/* what the disk should have */
static uint64_t dice = 1;

static inline unsigned
below(unsigned n)
{
	return ((unsigned)(test_random(&dice) >> 20) % n);
}

/* A file like the model. */
static inline void
file_make(size_t size)
{
	int fd = mkstemp(path);

	CHECK(fd >= 0);
	for (size_t i = 0; i < sizeof(model); i++)
		model[i] = (uint8_t)(i / BLOCK_SECTOR + i);
	CHECK_EQ(write(fd, model, size), (ssize_t)size);
	CHECK_EQ(close(fd), 0);
}

static inline void
file_is_model(void)
{
	static uint8_t have[DISK + 1];
	int fd = open(path, O_RDONLY);

	CHECK(fd >= 0);
	CHECK_EQ(read(fd, have, sizeof(have)), DISK);
	CHECK_EQ(close(fd), 0);
	for (unsigned i = 0; i < DISK; i++)
		CHECKF(have[i] == model[i], "byte %u of the file is %u and not %u", i, have[i], model[i]);
}

static inline int
run(struct block *b, enum block_op op, uint64_t off, struct iovec *iov, int niov, uint64_t len)
{
	return (wait_for_request(b, &(struct block_req){ .op = op, .off = off, .len = len, .iov = iov, .niov = niov }));
}

/* Some sectors to or from buf, as a vector of a few pieces, that lie as they like. */
static inline int
run_sectors(struct block *b, enum block_op op, unsigned first, unsigned n, uint8_t *buf)
{
	size_t len = (size_t)n * BLOCK_SECTOR, cut = below((unsigned)len + 1), cut2 = cut + below((unsigned)(len - cut) + 1);
	struct iovec iov[3] = { { buf, cut }, { buf + cut, cut2 - cut }, { buf + cut2, len - cut2 } };
	bool whole = below(2) == 0;

	if (whole)
		iov[0].iov_len = len;
	return (run(b, op, first * (uint64_t)BLOCK_SECTOR, iov, whole ? 1 : 3, len));
}

/* A request that the model has too. */
static inline void
step(struct block *b)
{
	static _Alignas(4096) uint8_t memory[(MOST + 1) * BLOCK_SECTOR];
	static unsigned number;
	uint8_t *buf = memory + (below(2) == 0 ? 0 : below(BLOCK_SECTOR));
	unsigned n = 1 + below(below(2) == 0 ? 3 : MOST), first = below(DISK / BLOCK_SECTOR - n + 1);
	size_t off = (size_t)first * BLOCK_SECTOR, len = (size_t)n * BLOCK_SECTOR;

	if (below(64) == 0)
		CHECK_EQ(run(b, BLOCK_FLUSH, 0, NULL, 0, 0), 0);
	switch (below(7)) {
	case 1:
		CHECK_EQ(run(b, BLOCK_ZERO, off, NULL, 0, len), 0);
		memset(model + off, 0, len);
		break;
	case 2:
	case 3:
	case 4:
		memset(buf, 0xee, len);
		CHECK_EQ(run_sectors(b, BLOCK_READ, first, n, buf), 0);
		CHECKF(memcmp(buf, model + off, len) == 0, "%u sectors from %u are not what was written", n, first);
		break;
	default:
		number++;
		for (size_t i = 0; i < len; i++)
			buf[i] = model[off + i] = (uint8_t)(number * 7 + i / BLOCK_SECTOR);
		CHECK_EQ(run_sectors(b, BLOCK_WRITE, first, n, buf), 0);
	}
}

#endif /* _BLOCK_FILE_H_ */
