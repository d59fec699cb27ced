/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nvstore.c - the file behind a flash chip, cut off at every write: what is found is a state that there was, whole.
 *
 * Two kinds of ends.  A process that dies: what it had written is there.  A host that dies: of what was not flushed, any sectors in
 * any order are there.  The linker puts this file between the store and its system calls (--wrap).
 */
#include <sys/stat.h>

#include <fcntl.h>

#include "error.h"
#include "firmware/nvstore.h"
#include "test.h"

#define	SIZE		(256U * 1024)
#define	BLOCK		NVSTORE_BLOCK
#define	NBLOCKS		(SIZE / BLOCK)
#define	STATES		6U
#define	SECTOR		512U
#define	EVENTS		4096U

static char dir[] = "/tmp/hyve-nvstore-XXXXXX", path[64], journal[64], template[64];

/* What the store did to its two files. */
static struct event {
	bool		 flush, journal;
	uint64_t	 off;
	size_t		 len;
	uint8_t		*data;
	unsigned	 state;		/* how many states had been told to be written when it happened */
} event[EVENTS];
static unsigned nevents, state_now;
static bool recording;
static int die_at = -1;			/* end the process at this call; with half of it done */
static int calls, fail_at = -1;
static uint64_t seed = 0x243f6a8885a308d3ULL;

static unsigned
below(unsigned n)
{
	return ((unsigned)(test_random(&seed) >> 20) % n);
}

static bool
is_journal(int fd)
{
	struct stat a, b;

	return (fstat(fd, &a) == 0 && stat(journal, &b) == 0 && a.st_ino == b.st_ino);
}

static void
record(int fd, bool is_flush, const void *data, size_t len, uint64_t off)
{
	struct event *e = &event[nevents];

	if (!recording)
		return;
	CHECK(nevents < EVENTS);
	*e = (struct event){ is_flush, is_journal(fd), off, len, NULL, state_now };
	if (len != 0) {
		e->data = malloc(len);
		CHECK(e->data != NULL);
		memcpy(e->data, data, len);
	}
	nevents++;
}

ssize_t	__real_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t	__wrap_pwrite64(int fd, const void *buf, size_t len, off_t off);
ssize_t	__wrap_pwrite(int fd, const void *buf, size_t len, off_t off);
int	__real_fdatasync(int fd);
int	__wrap_fdatasync(int fd);
int	__real_link(const char *from, const char *to);
int	__wrap_link(const char *from, const char *to);

ssize_t
__wrap_pwrite64(int fd, const void *buf, size_t len, off_t off)
{
	if (calls++ == die_at) {
		(void)!__real_pwrite64(fd, buf, len / 2, off);
		_exit(0);
	}
	if (calls - 1 == fail_at) {
		errno = ENOSPC;
		return (-1);
	}
	record(fd, false, buf, len, (uint64_t)off);
	return (__real_pwrite64(fd, buf, len, off));
}

ssize_t
__wrap_pwrite(int fd, const void *buf, size_t len, off_t off)
{
	return (__wrap_pwrite64(fd, buf, len, off));
}

int
__wrap_fdatasync(int fd)
{
	if (calls++ == die_at)
		_exit(0);
	if (calls - 1 == fail_at) {
		errno = EIO;
		return (-1);
	}
	record(fd, true, NULL, 0, 0);
	return (__real_fdatasync(fd));
}

int
__wrap_link(const char *from, const char *to)
{
	if (calls++ == die_at)
		_exit(0);
	return (__real_link(from, to));
}

/* A state: every block says which it is, and some change from state to state. */
static uint64_t
word(unsigned state, unsigned block)
{
	unsigned last = 0;

	for (unsigned s = 1; s <= state; s++) {
		if ((s * 2654435761U >> (block % 13)) % 5 < 2 || block % 31 == s)
			last = s;
	}
	return ((uint64_t)last << 32 | block);
}

static void
make_state(unsigned state, uint8_t *buf)
{
	for (unsigned b = 0; b < NBLOCKS; b++) {
		for (unsigned i = 0; i < BLOCK; i += 8) {
			uint64_t w = word(state, b) * 0x9e3779b97f4a7c15ULL + i;

			memcpy(buf + b * BLOCK + i, &w, 8);
		}
	}
}

/* The state that a buffer is, -1 if it is none. */
static int
which(const uint8_t *buf)
{
	static uint8_t want[SIZE];

	for (unsigned s = 0; s <= STATES; s++) {
		make_state(s, want);
		if (memcmp(buf, want, SIZE) == 0)
			return ((int)s);
	}
	return (-1);
}

static void
put(const char *name, const uint8_t *data, size_t len)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CHECK(fd >= 0 && __real_pwrite64(fd, data, len, 0) == (ssize_t)len);
	close(fd);
}

static void
setup(void)
{
	static uint8_t buf[SIZE];

	CHECK(mkdtemp(dir) != NULL);
	(void)snprintf(path, sizeof(path), "%s/vars", dir);
	(void)snprintf(journal, sizeof(journal), "%s/vars.journal", dir);
	(void)snprintf(template, sizeof(template), "%s/template", dir);
	make_state(0, buf);
	put(template, buf, SIZE);
}

static void
finish(void)
{
	(void)unlink(path);
	(void)unlink(journal);
	(void)unlink(template);
	CHECK_EQ(rmdir(dir), 0);
	for (unsigned i = 0; i < nevents; i++)
		free(event[i].data);
}

static struct nvstore *
store(void)
{
	struct nvstore *nv = nvstore_open(path, template, SIZE, false);

	CHECKF(nv != NULL, "%s", vmm_errmsg());
	return (nv);
}

/* Go from state to state; the blocks that differ. */
static int
write_state(struct nvstore *nv, unsigned state)
{
	static uint8_t old[SIZE], new[SIZE], data[SIZE];
	uint64_t block[NBLOCKS];
	size_t n = 0;

	make_state(state - 1, old);
	make_state(state, new);
	for (unsigned b = 0; b < NBLOCKS; b++) {
		if (memcmp(old + b * BLOCK, new + b * BLOCK, BLOCK) == 0)
			continue;
		block[n] = b;
		memcpy(data + n++ * BLOCK, new + b * BLOCK, BLOCK);
	}
	CHECK(n > 3 && n < NBLOCKS);
	return (nvstore_write(nv, n, block, data));
}

/* What the next open finds. */
static int
found(void)
{
	static uint8_t buf[SIZE];
	struct nvstore *nv = store();

	memset(buf, 0, sizeof(buf));
	CHECKF(nvstore_read(nv, buf) == 0, "%s", vmm_errmsg());
	nvstore_close(nv);
	CHECK(access(journal, F_OK) != 0);
	return (which(buf));
}

TEST(made_from_a_template)
{
	static uint8_t buf[SIZE];
	struct nvstore *nv;
	struct stat st;

	setup();
	nv = store();
	CHECK(nvstore_is_new(nv));
	CHECK_EQ(nvstore_size(nv), SIZE);
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	nvstore_close(nv);
	CHECK_EQ(found(), 0);
	nv = store();
	CHECK(!nvstore_is_new(nv));
	nvstore_close(nv);

	/* A short template has zeros behind it; none is all zeros, and takes no room. */
	CHECK_EQ(unlink(path), 0);
	put(template, (const uint8_t *)"short", 5);
	nv = store();
	CHECK_EQ(nvstore_read(nv, buf), 0);
	CHECK(memcmp(buf, "short\0", 6) == 0 && buf[SIZE - 1] == 0);
	nvstore_close(nv);
	CHECK_EQ(unlink(path), 0);
	nv = nvstore_open(path, NULL, SIZE, false);
	CHECK(nv != NULL);
	CHECK_EQ(stat(path, &st), 0);
	CHECK(st.st_size == SIZE && st.st_blocks * 512 < SIZE / 2);
	nvstore_close(nv);
	finish();
}

TEST(refusals)
{
	static uint8_t buf[2 * SIZE];
	struct nvstore *nv, *other;

	setup();
	nv = store();
	other = nvstore_open(path, NULL, SIZE, false);
	CHECK(other == NULL && errno == EBUSY);
	CHECK_HAS(vmm_errmsg(), "in use by another VM");
	nvstore_close(nv);
	/* Readers share. */
	nv = nvstore_open(path, NULL, SIZE, true);
	other = nvstore_open(path, NULL, SIZE, true);
	CHECK(nv != NULL && other != NULL);
	CHECK(nvstore_open(path, NULL, SIZE, false) == NULL && errno == EBUSY);
	nvstore_close(nv);
	nvstore_close(other);
	CHECK(access(journal, F_OK) != 0);

	CHECK(nvstore_open(path, NULL, SIZE / 2, false) == NULL && errno == EINVAL);
	CHECK_HAS(vmm_errmsg(), "the chip has 131072");
	CHECK(nvstore_open(path, NULL, SIZE / 2, true) == NULL && errno == EFBIG);
	CHECK(nvstore_open(dir, NULL, SIZE, true) == NULL && errno == EINVAL);
	CHECK(nvstore_open("/nowhere/vars", NULL, SIZE, false) == NULL && errno == ENOENT);
	CHECK(nvstore_open("/nowhere/vars", NULL, SIZE, true) == NULL && errno == ENOENT);
	CHECK_EQ(unlink(path), 0);
	CHECK(nvstore_open(path, "/nowhere/template", SIZE, false) == NULL && errno == ENOENT);
	CHECK_HAS(vmm_errmsg(), "template");
	put(template, buf, sizeof(buf));
	CHECK(nvstore_open(path, template, SIZE, false) == NULL && errno == EFBIG);
	CHECK(access(path, F_OK) != 0);
	finish();
}

/* Ended at its n-th call, for every n, with half of a write done: what is found is the last state it was sure of, or the next. */
TEST(process_ends_at_every_call)
{
	unsigned ends = 0, sure;
	int status, pipes[2], is;

	for (int n = 0;; n++) {
		pid_t pid;

		if (n == 0)
			setup();
		(void)unlink(path);
		(void)unlink(journal);
		CHECK_EQ(pipe(pipes), 0);
		pid = fork();
		CHECK(pid >= 0);
		if (pid == 0) {
			struct nvstore *nv;

			die_at = n;
			calls = 0;
			nv = store();
			for (unsigned s = 1; s <= STATES; s++) {
				if (write_state(nv, s) != 0 || write(pipes[1], &s, sizeof(s)) != sizeof(s))
					_exit(1);
			}
			nvstore_close(nv);
			_exit(99);
		}
		close(pipes[1]);
		sure = 0;
		while (read(pipes[0], &sure, sizeof(sure)) == sizeof(sure))
			;
		close(pipes[0]);
		CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		if (WEXITSTATUS(status) == 99)
			break;
		CHECK_EQ(WEXITSTATUS(status), 0);
		ends++;
		is = found();
		CHECKF(is == (int)sure || is == (int)sure + 1, "ended at call %d, sure of state %u: state %d is there", n, sure, is);
	}
	CHECKF(ends > 60, "only %u ends", ends);
	CHECK_EQ(found(), STATES);
	/* What unfinished creations left. */
	CHECK(system("rm -f /tmp/hyve-nvstore-*/vars.*.tmp") == 0);
	finish();
}

/* The two files after the host ended behind the first n events. */
static void
crash(unsigned n, uint8_t *vars, uint8_t *jrnl, size_t jlen)
{
	make_state(0, vars);
	memset(jrnl, 0, jlen);
	for (unsigned i = 0; i < n; i++) {
		const struct event *e = &event[i];
		bool safe = false;

		for (unsigned k = i + 1; k < n && !safe; k++)
			safe = event[k].flush && event[k].journal == e->journal;
		for (size_t at = 0; at < e->len; at += SECTOR) {
			size_t len = e->len - at < SECTOR ? e->len - at : SECTOR;

			/* Sectors of what was not flushed may be lost; where one is kept, nothing older comes over it. */
			if (safe || below(3) != 0)
				memcpy((e->journal ? jrnl : vars) + e->off + at, e->data + at, len);
		}
	}
}

TEST(host_ends_at_every_event)
{
	const size_t jlen = 2 * SIZE;
	static uint8_t vars[SIZE], jrnl[2 * SIZE];
	struct nvstore *nv;
	unsigned mended = 0;

	setup();
	nv = store();
	recording = true;
	for (unsigned s = 1; s <= STATES; s++) {
		CHECKF(write_state(nv, s) == 0, "%s", vmm_errmsg());
		state_now = s;
	}
	recording = false;
	nvstore_close(nv);
	for (unsigned n = 0; n <= nevents; n++) {
		unsigned sure = n < nevents ? event[n].state : STATES;

		for (int k = 0; k < 4 * test_long(10); k++) {
			int is;

			crash(n, vars, jrnl, jlen);
			mended += which(vars) < 0;
			put(path, vars, SIZE);
			put(journal, jrnl, jlen);
			is = found();
			CHECKF(is == (int)sure || is == (int)sure + 1, "after event %u, sure of state %u: state %d is there", n, sure, is);
			CHECK_EQ(found(), is);
		}
	}
	/* Without the journal the file alone would have been torn. */
	CHECKF(mended > 20, "only %u torn files", mended);
	finish();
}

/* A reader changes nothing, and sees what the journal says. */
TEST(reader_after_a_crash)
{
	static uint8_t vars[SIZE], jrnl[2 * SIZE], buf[SIZE];
	struct nvstore *nv;
	unsigned n;

	setup();
	nv = store();
	recording = true;
	CHECK_EQ(write_state(nv, 1), 0);
	recording = false;
	nvstore_close(nv);
	/* Behind the journal's flush. */
	for (n = 0; !event[n].flush; n++)
		;
	crash(n + 2, vars, jrnl, sizeof(jrnl));
	put(path, vars, SIZE);
	put(journal, jrnl, sizeof(jrnl));
	nv = nvstore_open(path, NULL, SIZE, true);
	CHECKF(nv != NULL, "%s", vmm_errmsg());
	CHECK_EQ(nvstore_read(nv, buf), 0);
	nvstore_close(nv);
	CHECK_EQ(which(buf), 1);
	CHECK_EQ(access(journal, F_OK), 0);
	/* A journal that is another file's or none is not followed. */
	jrnl[8] ^= 1;
	put(journal, jrnl, sizeof(jrnl));
	CHECK_EQ(unlink(path), 0);
	CHECK_EQ(found(), 0);
	finish();
}

/* A full disk is told; what was is still there, and the next success has everything. */
TEST(errors_are_told)
{
	struct nvstore *nv;

	setup();
	for (int n = 0; n < 8; n++) {
		(void)unlink(path);
		nv = store();
		CHECK_EQ(write_state(nv, 1), 0);
		calls = 0;
		fail_at = n;
		if (write_state(nv, 2) != 0) {
			CHECK_HAS(vmm_errmsg(), "cannot be written");
			CHECK(errno == ENOSPC || errno == EIO);
		}
		fail_at = -1;
		if (n % 2 == 0) {
			int is;

			nvstore_close(nv);
			is = found();
			CHECK(is == 1 || is == 2);
			(void)unlink(journal);
			continue;
		}
		CHECK_EQ(write_state(nv, 2), 0);
		nvstore_close(nv);
		CHECK_EQ(found(), 2);
	}
	finish();
}

TEST_MAIN()
