/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * create.c - new images: raw ones, and qcow2 ones (spec: docs/interop/qcow2 of QEMU's documentation).
 *
 * A new qcow2 image has its header in the first cluster, the refcount table in the second, one block of refcounts in the third, and behind that the
 * L1 table, all of whose entries are zeros.  One block counts more clusters than those are, whatever the size.
 */
#include <sys/stat.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "create.h"

#define	BITS		16U
#define	CLUSTER		(1U << BITS)
#define	PER_L1		((uint64_t)CLUSTER * (CLUSTER / 8))	/* bytes of the disk that an L1 entry is for */
#define	REF_ORDER	4U			/* refcounts of 16 bits */
#define	LENGTH		104U			/* of the header */
#define	X_BACKING	0xe2792acaU		/* extension: format of the backing file */
#define	BACKING_MAX	1023U

/* Where fields of the header are. */
enum {
	H_MAGIC = 0, H_VERSION = 4, H_BACKING = 8, H_BACKING_LEN = 16, H_BITS = 20, H_SIZE = 24, H_L1_SIZE = 36, H_L1 = 40, H_RT = 48,
	H_RT_CLUSTERS = 56, H_REF_ORDER = 96, H_LENGTH = 100,
};

_Static_assert(QCOW2_SIZE_MAX / PER_L1 * 8 / CLUSTER + 3 < CLUSTER / 2, "one block has the refcounts of all of it");

static void
put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof(v));
}

static void
put64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof(v));
}

/* A new file of so many bytes that begins with data; it is durable, or not there. */
static int
new_file(const char *path, uint64_t size, const uint8_t *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666), error;

	if (fd < 0)
		return (vmm_fail_sys(errno, "cannot make '%s'", path));
	error = ftruncate(fd, (off_t)size) == 0 ? 0 : errno;
	while (error == 0 && len != 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			error = errno;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	if (error == 0 && fsync(fd) != 0)
		error = errno;
	if (close(fd) != 0 && error == 0)
		error = errno;
	if (error == 0)
		return (0);
	(void)unlink(path);
	return (vmm_fail_sys(error, "cannot write '%s'", path));
}

static int
check_size(const char *path, uint64_t size, uint64_t max)
{
	if (size == 0 || size % BLOCK_SECTOR != 0)
		return (vmm_fail(EINVAL, "'%s' cannot have %llu bytes; a disk is a whole number of sectors of %u bytes", path,
		    (unsigned long long)size, BLOCK_SECTOR));
	if (size > max)
		return (vmm_fail(EFBIG, "'%s' cannot have %llu bytes, more than %llu", path, (unsigned long long)size, (unsigned long long)max));
	return (0);
}

int
raw_create(const char *path, uint64_t size)
{
	return (check_size(path, size, INT64_MAX) == 0 ? new_file(path, size, NULL, 0) : -1);
}

int
qcow2_create(const char *path, uint64_t size, const char *backing, enum block_format backing_format)
{
	uint32_t l1_size = (uint32_t)((size + PER_L1 - 1) / PER_L1), l1_clusters = (l1_size * 8 + CLUSTER - 1) / CLUSTER;
	size_t name_len = backing != NULL ? strlen(backing) : 0, format_len;
	const char *format = block_formats[backing_format];
	uint8_t *meta, *p;
	int r;

	if (check_size(path, size, QCOW2_SIZE_MAX) != 0)
		return (-1);
	if (name_len > BACKING_MAX)
		return (vmm_fail(ENAMETOOLONG, "'%s': the name of its backing file has more than %u bytes", path, BACKING_MAX));
	meta = calloc(3, CLUSTER);
	if (meta == NULL)
		return (vmm_fail(ENOMEM, "no memory"));
	put32(meta + H_MAGIC, 0x514649fb);
	put32(meta + H_VERSION, 3);
	put32(meta + H_BITS, BITS);
	put64(meta + H_SIZE, size);
	put32(meta + H_L1_SIZE, l1_size);
	put64(meta + H_L1, 3 * CLUSTER);
	put64(meta + H_RT, CLUSTER);
	put32(meta + H_RT_CLUSTERS, 1);
	put32(meta + H_REF_ORDER, REF_ORDER);
	put32(meta + H_LENGTH, LENGTH);
	p = meta + LENGTH;
	if (backing != NULL) {
		format_len = strlen(format);
		put32(p, X_BACKING);
		put32(p + 4, (uint32_t)format_len);
		memcpy(p + 8, format, format_len);
		/* Padded to eight, and ended by an extension of type and length 0. */
		p += 8 + ((format_len + 7) & ~(size_t)7) + 8;
		memcpy(p, backing, name_len);
		put64(meta + H_BACKING, (uint64_t)(p - meta));
		put32(meta + H_BACKING_LEN, (uint32_t)name_len);
	}
	put64(meta + CLUSTER, 2 * CLUSTER);
	for (uint32_t i = 0; i < 3 + l1_clusters; i++) {
		meta[2 * CLUSTER + 2 * i] = 0;
		meta[2 * CLUSTER + 2 * i + 1] = 1;
	}
	r = new_file(path, (uint64_t)(3 + l1_clusters) * CLUSTER, meta, 3 * CLUSTER);
	free(meta);
	return (r);
}
