/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvstore.c - the file behind a flash chip, with a journal.
 *
 * The journal is valid or not by a sum over all of it, so that one flush is enough to make it so.  Its order of writes:
 *
 *	1. header, block numbers and blocks into the journal; flush		before: the old content
 *	2. blocks into the file; flush						from here on: the new content
 *	3. the header is wiped
 *
 * A crash in 2 leaves a valid journal, from which the open does 2 again; doing it twice is doing it once.  A journal that was not wiped
 * durably has what the file has.  The next one is written over it only after 2, so a torn mixture of both, which has no valid sum, means
 * that the file is whole.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "../hash.h"
#include "nvstore.h"

#define	MAGIC		"hyvenvj1"
#define	COPY		(64U * 1024)

struct header {
	char		 magic[8];
	uint64_t	 size;		/* of the file */
	uint64_t	 nblocks;
	uint64_t	 sum;		/* of everything, with this as 0 */
};

struct nvstore {
	char		*path, *journal;	/* names, for sentences and for the close */
	int		 fd, jfd;	/* jfd -1: read-only */
	uint64_t	 size;
	bool		 readonly, made;
	/* What a read-only open found in a valid journal: it is read over the file. */
	uint8_t		*pending;
};

/* All of len bytes of a file, to it or from it: 0 or an errno. */
static int
transfer(int fd, uint8_t *in, const uint8_t *out, size_t len, uint64_t off)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = out != NULL ? pwrite(fd, out + done, len - done, (off_t)(off + done)) :
		    pread(fd, in + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (n < 0 ? errno : EIO);
		done += (size_t)n;
	}
	return (0);
}

static int
write_all(int fd, const uint8_t *p, size_t len, uint64_t off)
{
	return (transfer(fd, NULL, p, len, off));
}

static int
read_all(int fd, uint8_t *p, size_t len, uint64_t off)
{
	return (transfer(fd, p, NULL, len, off));
}

static int
flush(int fd)
{
	while (fdatasync(fd) != 0) {
		if (errno != EINTR)
			return (errno);
	}
	return (0);
}

static bool
is_zero(const uint8_t *p, size_t len)
{
	return (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

/* Making the file */

/* The template's bytes, but for zeros, which the new file has already.  0 or an errno; *big: it is longer than the file may be. */
static int
copy(int from, int to, uint64_t size, bool *big)
{
	uint8_t *buf = malloc(COPY);
	uint64_t off = 0;
	int error = buf != NULL ? 0 : ENOMEM;
	ssize_t n;

	while (error == 0 && (n = pread(from, buf, COPY, (off_t)off)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			error = errno;
		else if (off + (uint64_t)n > size) {
			*big = true;
			error = EFBIG;
		} else if (!is_zero(buf, (size_t)n))
			error = write_all(to, buf, (size_t)n, off);
		off += n > 0 ? (uint64_t)n : 0;
	}
	free(buf);
	return (error);
}

/* What was renamed is there after a crash too. */
static int
sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	int fd = dir != NULL ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, error;

	free(dir);
	if (fd < 0)
		return (errno);
	error = fsync(fd) == 0 ? 0 : errno;
	close(fd);
	/* Some file systems know no such thing. */
	return (error == EINVAL ? 0 : error);
}

static int
fill(int fd, const char *template_path, uint64_t size)
{
	bool big = false;
	int from = -1, error;

	if (ftruncate(fd, (off_t)size) != 0)
		return (vmm_fail_sys(errno, "cannot set its size"));
	if (template_path != NULL) {
		from = open(template_path, O_RDONLY | O_CLOEXEC);
		if (from < 0)
			return (vmm_fail_sys(errno, "cannot open the template '%s'", template_path));
		error = copy(from, fd, size, &big);
		close(from);
		if (big)
			return (vmm_fail(EFBIG, "the template '%s' has more than %" PRIu64 " bytes", template_path, size));
		if (error != 0)
			return (vmm_fail_sys(error, "cannot copy the template '%s'", template_path));
	}
	error = flush(fd);
	return (error == 0 ? 0 : vmm_fail_sys(error, "cannot be written"));
}

/* The file appears whole, by a link; of two that make it at once one wins. */
static int
make_file(struct nvstore *nv, const char *template_path, uint64_t size)
{
	char *temporary = NULL;
	int fd, error;

	if (asprintf(&temporary, "%s.%ld.tmp", nv->path, (long)getpid()) < 0)
		return (vmm_fail(ENOMEM, "flash '%s': no memory", nv->path));
	fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		error = vmm_fail_sys(errno, "flash '%s': cannot be made", nv->path);
		free(temporary);
		return (error);
	}
	error = fill(fd, template_path, size);
	if (error != 0) {
		char *why = strdup(vmm_errmsg());

		error = vmm_fail(errno, "flash '%s': %s", nv->path, why != NULL ? why : "no memory");
		free(why);
	} else if (link(temporary, nv->path) != 0 && errno != EEXIST)
		error = vmm_fail_sys(errno, "flash '%s': cannot be made", nv->path);
	else {
		nv->made = true;
		(void)sync_directory(nv->path);
	}
	close(fd);
	fd = errno;
	(void)unlink(temporary);
	errno = fd;
	free(temporary);
	return (error);
}

/* The journal */

static uint64_t
get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return (v);
}

/* Whether a journal of len bytes is whole and this file's. */
static bool
valid(const struct nvstore *nv, uint8_t *j, size_t len)
{
	struct header h;
	uint64_t sum;

	if (len < sizeof(h))
		return (false);
	memcpy(&h, j, sizeof(h));
	if (memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0 || h.size != nv->size || h.nblocks > nv->size / NVSTORE_BLOCK ||
	    len < sizeof(h) + h.nblocks * (8 + NVSTORE_BLOCK))
		return (false);
	sum = h.sum;
	h.sum = 0;
	memcpy(j, &h, sizeof(h));
	if (hash_bytes(HASH_START, j, sizeof(h) + h.nblocks * (8 + NVSTORE_BLOCK)) != sum)
		return (false);
	for (uint64_t i = 0; i < h.nblocks; i++) {
		if (get64(j + sizeof(h) + 8 * i) >= nv->size / NVSTORE_BLOCK)
			return (false);
	}
	return (true);
}

/* The blocks of a valid journal into the file, or into memory. */
static int
apply(const struct nvstore *nv, const uint8_t *j, uint8_t *buf)
{
	uint64_t n = get64(j + offsetof(struct header, nblocks));
	const uint8_t *number = j + sizeof(struct header), *data = number + 8 * n;
	int error = 0;

	for (uint64_t i = 0; i < n && error == 0; i++) {
		uint64_t off = get64(number + 8 * i) * NVSTORE_BLOCK;

		if (buf != NULL)
			memcpy(buf + off, data + i * NVSTORE_BLOCK, NVSTORE_BLOCK);
		else
			error = write_all(nv->fd, data + i * NVSTORE_BLOCK, NVSTORE_BLOCK, off);
	}
	return (error);
}

static int
wipe(struct nvstore *nv)
{
	const struct header none = { .nblocks = 0 };

	return (write_all(nv->jfd, (const uint8_t *)&none, sizeof(none), 0));
}

/* Carry a valid journal out; one that is not whole was not begun to be.  0 or an errno. */
static int
finish(struct nvstore *nv, const uint8_t *j, bool is_valid)
{
	int error = is_valid ? apply(nv, j, NULL) : 0;

	if (error == 0 && is_valid)
		error = flush(nv->fd);
	return (error == 0 ? wipe(nv) : error);
}

/* What a crash left. */
static int
recover(struct nvstore *nv)
{
	int fd = nv->readonly ? open(nv->journal, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : nv->jfd, error = 0;
	uint8_t *j = NULL;
	struct stat st;
	size_t len;

	if (fd < 0)
		return (errno == ENOENT || errno == EACCES ? 0 : vmm_fail_sys(errno, "flash '%s': its journal", nv->path));
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > nv->size * 2 + COPY)
		error = EINVAL;
	else if (st.st_size >= (off_t)sizeof(struct header)) {
		len = (size_t)st.st_size;
		j = malloc(len);
		error = j == NULL ? ENOMEM : read_all(fd, j, len, 0);
		if (error == 0 && !nv->readonly)
			error = finish(nv, j, valid(nv, j, len));
		else if (error == 0 && valid(nv, j, len)) {
			nv->pending = j;
			j = NULL;
		}
	}
	free(j);
	if (nv->readonly)
		close(fd);
	return (error == 0 ? 0 : vmm_fail_sys(error, "flash '%s': its journal '%s' cannot be carried out", nv->path, nv->journal));
}

int
nvstore_write(struct nvstore *nv, size_t n, const uint64_t *block, const uint8_t *data)
{
	struct header h = { .magic = MAGIC, .size = nv->size, .nblocks = n };
	size_t len = sizeof(h) + n * (8 + NVSTORE_BLOCK);
	uint8_t *j = malloc(len);
	int error;

	if (j == NULL)
		return (vmm_fail(ENOMEM, "flash '%s': no memory", nv->path));
	memcpy(j, &h, sizeof(h));
	memcpy(j + sizeof(h), block, 8 * n);
	memcpy(j + sizeof(h) + 8 * n, data, n * NVSTORE_BLOCK);
	h.sum = hash_bytes(HASH_START, j, len);
	memcpy(j, &h, sizeof(h));
	error = write_all(nv->jfd, j, len, 0);
	if (error == 0)
		error = flush(nv->jfd);
	if (error == 0)
		error = apply(nv, j, NULL);
	if (error == 0)
		error = flush(nv->fd);
	if (error == 0)
		error = wipe(nv);
	free(j);
	return (error == 0 ? 0 : vmm_fail_sys(error, "flash '%s': cannot be written", nv->path));
}

/* Life */

static int
check_size(struct nvstore *nv, uint64_t size)
{
	struct stat st;

	if (fstat(nv->fd, &st) != 0)
		return (vmm_fail_sys(errno, "flash '%s'", nv->path));
	if (!S_ISREG(st.st_mode) || st.st_size == 0)
		return (vmm_fail(EINVAL, "flash '%s' is not a file with something in it", nv->path));
	nv->size = (uint64_t)st.st_size;
	if (nv->readonly && nv->size > size)
		return (vmm_fail(EFBIG, "flash '%s' has %" PRIu64 " bytes; the chip has %" PRIu64, nv->path, nv->size, size));
	if (!nv->readonly && nv->size != size)
		return (vmm_fail(EINVAL, "flash '%s' has %" PRIu64 " bytes; the chip has %" PRIu64 ". Is it a file of variables for "
		    "this machine?", nv->path, nv->size, size));
	return (0);
}

static int
lock(const struct nvstore *nv)
{
	while (flock(nv->fd, (nv->readonly ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
		if (errno == EWOULDBLOCK)
			return (vmm_fail(EBUSY, "flash '%s' is in use by another VM; give this one a file of its own "
			    "(firmware.vars)", nv->path));
		if (errno != EINTR)
			return (vmm_fail_sys(errno, "flash '%s': cannot be locked", nv->path));
	}
	return (0);
}

static int
open_files(struct nvstore *nv, const char *template_path, uint64_t size)
{
	nv->fd = open(nv->path, (nv->readonly ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (nv->fd < 0 && errno == ENOENT && !nv->readonly) {
		if (make_file(nv, template_path, size) != 0)
			return (-1);
		nv->fd = open(nv->path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	}
	if (nv->fd < 0)
		return (vmm_fail_sys(errno, "flash '%s': cannot be opened", nv->path));
	if (check_size(nv, size) != 0 || lock(nv) != 0)
		return (-1);
	if (!nv->readonly) {
		/* Not to be followed: it is beside a file that the user named, and it is written. */
		nv->jfd = open(nv->journal, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (nv->jfd < 0)
			return (vmm_fail_sys(errno, "flash '%s': cannot make its journal '%s'", nv->path, nv->journal));
	}
	return (recover(nv));
}

struct nvstore *
nvstore_open(const char *path, const char *template_path, uint64_t size, bool readonly)
{
	struct nvstore *nv = calloc(1, sizeof(*nv));
	int error;

	if (nv == NULL)
		return (vmm_fail_null(ENOMEM, "flash '%s': no memory", path));
	nv->fd = nv->jfd = -1;
	nv->readonly = readonly;
	nv->path = strdup(path);
	if (nv->path == NULL || asprintf(&nv->journal, "%s.journal", path) < 0) {
		nv->journal = NULL;
		(void)vmm_fail(ENOMEM, "flash '%s': no memory", path);
	} else if (open_files(nv, template_path, size) == 0)
		return (nv);
	error = errno;
	nvstore_close(nv);
	errno = error;
	return (NULL);
}

uint64_t
nvstore_size(const struct nvstore *nv)
{
	return (nv->size);
}

bool
nvstore_is_new(const struct nvstore *nv)
{
	return (nv->made);
}

int
nvstore_read(struct nvstore *nv, uint8_t *buf)
{
	uint8_t *piece = malloc(COPY);
	int error = piece != NULL ? 0 : ENOMEM;

	for (uint64_t off = 0; off < nv->size && error == 0; off += COPY) {
		size_t n = nv->size - off < COPY ? (size_t)(nv->size - off) : COPY;

		error = read_all(nv->fd, piece, n, off);
		/* Memory that is not written takes no room. */
		if (error == 0 && !is_zero(piece, n))
			memcpy(buf + off, piece, n);
	}
	free(piece);
	if (error == 0 && nv->pending != NULL)
		error = apply(nv, nv->pending, buf);
	return (error == 0 ? 0 : vmm_fail_sys(error, "flash '%s': cannot be read", nv->path));
}

void
nvstore_close(struct nvstore *nv)
{
	struct header h;

	if (nv == NULL)
		return;
	/* One that is still to be carried out stays for the next open. */
	if (nv->jfd >= 0 && (read_all(nv->jfd, (uint8_t *)&h, sizeof(h), 0) != 0 || memcmp(h.magic, MAGIC, sizeof(h.magic)) != 0))
		(void)unlink(nv->journal);
	if (nv->jfd >= 0)
		close(nv->jfd);
	if (nv->fd >= 0)
		close(nv->fd);		/* and the lock with it */
	free(nv->pending);
	free(nv->journal);
	free(nv->path);
	free(nv);
}
