/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk.c - what a disk does in a second, as a guest's program sees it that goes around its kernel's cache.
 *
 * usage: disk-bench DEVICE
 *
 * Prints "bench NAME VALUE UNIT" per test, more is better.  Each runs for about TIME seconds, three times; the median counts.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <linux/fs.h>

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define	TIME		1.5
#define	ROUNDS		3
#define	MOST		8U		/* processes */

static const struct test {
	const char	*name;
	size_t		 size;		/* bytes of a request */
	unsigned	 processes;	/* one request of each at a time */
	bool		 random, write;
} tests[] = {
	{ "sequential_read", 256 << 10, 1, false, false }, { "sequential_write", 256 << 10, 1, false, true },
	{ "random_read", 4096, 1, true, false }, { "random_write", 4096, 1, true, true },
	{ "random_read_by_8", 4096, 8, true, false }, { "random_write_by_8", 4096, 8, true, true },
};

static uint64_t disk;			/* bytes */
static volatile uint64_t *counts;	/* of each process, shared */

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((double)t.tv_sec + (double)t.tv_nsec / 1e9);
}

static void
fail(const char *what)
{
	perror(what);
	exit(1);
}

static void
work(const struct test *t, const char *device, unsigned me, double end)
{
	uint64_t n = disk / t->size, at = n / t->processes * me, seed = me + 1, count = 0;
	int fd = open(device, (t->write ? O_RDWR : O_RDONLY) | O_DIRECT);
	void *buf;

	if (fd < 0 || posix_memalign(&buf, 4096, t->size) != 0)
		fail(device);
	memset(buf, 0x5a, t->size);
	for (; now() < end; count++) {
		off_t off = (off_t)(at % n * t->size);

		if ((t->write ? pwrite(fd, buf, t->size, off) : pread(fd, buf, t->size, off)) != (ssize_t)t->size)
			fail(t->name);
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		at = t->random ? seed >> 33 : at + 1;
	}
	counts[me] = count;
	close(fd);
	free(buf);
}

/* Requests a second. */
static double
once(const struct test *t, const char *device)
{
	double start = now(), total = 0;

	for (unsigned i = 0; i < t->processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			fail("fork");
		if (pid == 0) {
			work(t, device, i, start + TIME);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < t->processes; i++) {
		int status;

		if (wait(&status) < 0 || status != 0)
			exit(1);
	}
	for (unsigned i = 0; i < t->processes; i++)
		total += (double)counts[i];
	return (total / (now() - start));
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return ((x > y) - (x < y));
}

int
main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &disk) != 0)
		fail(argc == 2 ? argv[1] : "usage: disk-bench DEVICE");
	close(fd);
	counts = mmap(NULL, MOST * sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED)
		fail("mmap");
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		const struct test *t = &tests[i];
		double results[ROUNDS];

		for (unsigned r = 0; r < ROUNDS; r++)
			results[r] = once(t, argv[1]);
		qsort(results, ROUNDS, sizeof(results[0]), by_value);
		if (t->random)
			printf("bench %s %.0f requests/s\n", t->name, results[ROUNDS / 2]);
		else
			printf("bench %s %.1f MiB/s\n", t->name, results[ROUNDS / 2] * (double)t->size / (1 << 20));
		fflush(stdout);
	}
	printf("bench end 0 -\n");
	return (0);
}
