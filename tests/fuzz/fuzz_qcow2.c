/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_qcow2.c - a qcow2 image of anybody's, and a guest that reads, writes, discards and flushes it.
 *
 * An input is OPS operations of four bytes each, and the image behind them.  Its file is in memory and cannot grow for ever; backing
 * files are left out, which would be files of the host.
 */
#include <stdlib.h>
#include <zlib.h>

#include "error.h"
#include "fuzz.h"
#include "../test.h"
#include "../unit/qcow2_image.h"

#define	OPS		24U
#define	FILE_MAX	(1U << 20)
#define	DISK		(96U << 10)
#define	REQUEST_MAX	(64U << 10)

static uint8_t mem[FILE_MAX];
static size_t end;

static int
m_readv(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	for (int i = 0; i < niov; off += iov[i++].iov_len) {
		if (off > end || iov[i].iov_len > end - off)
			return (EIO);
		memcpy(iov[i].iov_base, mem + off, iov[i].iov_len);
	}
	return (0);
}

static int
m_writev(void *priv, const struct iovec *iov, int niov, uint64_t off)
{
	for (int i = 0; i < niov; off += iov[i++].iov_len) {
		if (off > FILE_MAX || iov[i].iov_len > FILE_MAX - off)
			return (ENOSPC);
		memcpy(mem + off, iov[i].iov_base, iov[i].iov_len);
		if (end < off + iov[i].iov_len)
			end = (size_t)(off + iov[i].iov_len);
	}
	return (0);
}

static int
m_flush(void *priv)
{
	return (0);
}

static void
m_close(void *priv)
{
}

static const struct block_driver memory = {
	.name = "memory", .readv = m_readv, .writev = m_writev, .flush = m_flush, .close = m_close,
};

static void
operate(struct store *s, const uint8_t *op)
{
	static uint8_t buf[REQUEST_MAX];
	uint64_t sectors = s->size / BLOCK_SECTOR, at = op[1] | (uint64_t)(op[0] >> 4) << 8, n = op[2] % 64 + 1U;

	/* The top of the disk too. */
	if ((op[3] & 1) != 0)
		at = sectors - 1 - at % (sectors != 0 ? sectors : 1);
	if (at >= sectors)
		return;
	if (n > sectors - at)
		n = sectors - at;
	at *= BLOCK_SECTOR;
	n *= BLOCK_SECTOR;
	memset(buf, op[3], (size_t)n);
	switch (op[0] & 7) {
	case 0: case 1: case 2:
		(void)store_write(s, buf, (size_t)n, at);
		break;
	case 3: case 4:
		(void)store_read(s, buf, (size_t)n, at);
		break;
	case 5:
		(void)store_discard(s, at, n);
		break;
	case 6:
		(void)store_zero(s, at, n, (op[3] & 2) != 0);
		break;
	case 7:
		(void)store_flush(s);
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct store_chain chain = { .depth = 0 };
	struct block_options o = { .path = "/image.qcow2", .format = BLOCK_QCOW2, .nobacking = true };

	if (size < OPS * 4ULL || size - OPS * 4ULL > FILE_MAX)
		return (0);
	memset(mem, 0, sizeof(mem));
	end = size - OPS * 4;
	memcpy(mem, data + OPS * 4, end);
	/* Written, then read by one that has not seen it, and may have more to say of it. */
	for (unsigned turn = 0; turn < 2; turn++) {
		struct store *s = store_new(&memory, NULL, end, turn == 1);

		o.readonly = turn == 1;
		if (s == NULL)
			abort();
		s = qcow2_open(s, &o, &chain);
		if (s == NULL)
			continue;
		for (unsigned i = 0; i < OPS; i++)
			if (turn == 0 || (data[i * 4] & 7) == 3)
				operate(s, data + i * 4ULL);
		store_close(s);
	}
	return (0);
}

/* Some data, by the driver itself; a compressed cluster, a zero cluster, and tables that are shared, by hand. */
static void
fill(unsigned n)
{
	const struct block_options o = { .path = "/image.qcow2", .format = BLOCK_QCOW2 };
	static uint8_t cluster[4096];
	struct store *s = qcow2_open(store_new(&memory, NULL, end, false), &o, NULL);
	uint64_t l2, bits, place;
	z_stream z = { .next_in = cluster, .avail_in = sizeof(cluster) };

	if (s == NULL)
		abort();
	memset(cluster, 0x5a, sizeof(cluster));
	(void)store_write(s, cluster, sizeof(cluster), 0);
	(void)store_write(s, cluster, 512, 20480);
	store_close(s);
	bits = get32(mem + 20);
	l2 = get64(mem + get64(mem + 40)) & 0x00fffffffffffe00ULL;
	if (bits != 12 || n % 2 == 0)
		return;
	place = end;
	z.next_out = mem + place;
	z.avail_out = 4096;
	if (deflateInit2(&z, 9, Z_DEFLATED, -12, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		abort();
	(void)deflate(&z, Z_FINISH);
	(void)deflateEnd(&z);
	end = (size_t)place + 4096;
	put64(mem + l2 + 16, 1ULL << 62 | place);
	refcount_set(mem + get64(mem + get64(mem + 48)), 4, place >> 12, 1);
	put64(mem + l2 + 24, get32(mem + 4) == 3 ? 1 : 0);
	put64(mem + get64(mem + 40), l2);
	refcount_set(mem + get64(mem + get64(mem + 48)), 4, l2 >> 12, 2);
}

size_t
fuzz_seed(unsigned n, uint8_t *buf, size_t max)
{
	static const struct image_form forms[] = {
		{ 3, 9, 4, DISK, NULL }, { 3, 12, 4, DISK, NULL }, { 2, 12, 4, DISK, NULL }, { 3, 12, 0, DISK, NULL }, { 2, 9, 4, DISK, NULL },
		{ 3, 12, 4, DISK, NULL }, { 3, 10, 6, DISK, NULL },
	};
	uint64_t seed = n + 1;

	if (n >= sizeof(forms) / sizeof(forms[0]))
		return (0);
	memset(mem, 0, sizeof(mem));
	end = image_make(mem, &forms[n]);
	fill(n);
	if (OPS * 4 + end > max)
		return (0);
	for (unsigned i = 0; i < OPS * 4; i++)
		buf[i] = (uint8_t)(test_random(&seed) >> 20);
	memcpy(buf + OPS * 4, mem, end);
	return (OPS * 4 + end);
}
