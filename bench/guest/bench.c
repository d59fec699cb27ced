/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.c - what a guest's processor, memory and kernel do in a second: the /init of an initramfs, the same for every hypervisor.
 *
 * Prints "bench NAME VALUE UNIT" per test, more is better, and powers off.  Each test runs for about TIME seconds after a first round
 * that is not counted, three times; the median counts.  All of it is our own and meant for ratios: "integer" does the kinds of work
 * that CoreMark does (lists, matrices, a state machine, CRC), but its figures are not CoreMark's.
 *
 * Arguments (on the kernel's command line, behind "--") are the names of the only tests to be run.
 */
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define	TIME		0.7
#define	ROUNDS		3
#define	MIB		(1UL << 20)

struct test {
	const char	*name, *unit;
	double		 scale;		/* of what work() counts, to the unit */
	double		(*work)(unsigned n);	/* n rounds of it; how much was done */
};

static volatile uint64_t sink;
static char *big, *other;		/* 32 MiB each */
#define	BIG	(32 * MIB)

/* Integer: lists, a matrix, a state machine over text, CRC of what came out. */

struct node {
	struct node	*next;
	int16_t		 key, data;
};

static uint16_t
crc16(uint16_t crc, uint32_t v)
{
	for (int i = 0; i < 32; i++, v >>= 1)
		crc = (uint16_t)(crc >> 1 ^ (((crc ^ v) & 1) != 0 ? 0xa001 : 0));
	return (crc);
}

static struct node *
merge(struct node *a, struct node *b)
{
	struct node head = { 0 }, *tail = &head;

	while (a != NULL && b != NULL) {
		struct node **least = a->key <= b->key ? &a : &b;

		tail->next = *least;
		tail = *least;
		*least = tail->next;
	}
	tail->next = a != NULL ? a : b;
	return (head.next);
}

static struct node *
sort(struct node *list, unsigned n)
{
	struct node *half = list, *rest;

	if (n < 2)
		return (list);
	for (unsigned i = 1; i < n / 2; i++)
		half = half->next;
	rest = half->next;
	half->next = NULL;
	return (merge(sort(list, n / 2), sort(rest, n - n / 2)));
}

static uint16_t
lists(uint16_t crc)
{
	static struct node pool[64];
	struct node *list = NULL, *last = NULL;

	for (unsigned i = 0; i < 64; i++) {
		pool[i] = (struct node){ list, (int16_t)(crc * (i + 1) % 997), (int16_t)i };
		list = &pool[i];
	}
	list = sort(list, 64);
	for (struct node *n = list; n != NULL; n = last) {	/* reversed, and summed */
		last = n->next;
		crc = crc16(crc, (uint32_t)n->key << 16 | (uint16_t)n->data);
	}
	return (crc);
}

static uint16_t
matrix(uint16_t crc)
{
	enum { N = 12 };
	static int16_t a[N][N], b[N][N];
	uint32_t sum = 0;

	for (int i = 0; i < N * N; i++) {
		a[i / N][i % N] = (int16_t)(crc + i);
		b[i / N][i % N] = (int16_t)(crc - i * 3);
	}
	for (int i = 0; i < N; i++) {
		for (int j = 0; j < N; j++) {
			int32_t s = 0;

			for (int k = 0; k < N; k++)
				s += a[i][k] * b[k][j];
			sum += (uint32_t)(s >> 3 & 0xffff);
		}
	}
	return (crc16(crc, sum));
}

static uint16_t
machine(uint16_t crc)
{
	static const char text[] = "5012,1234,-874,+122,35.54400,.1234500,-110.700,+0.64400,5.500e+3,-.123e-2,-87e+832,T0.3e-1F,1T3.4e4z";
	enum { START, SIGN, INT, FRACTION, EXP, EXPSIGN, EXPDIGIT, BAD } state = START;
	unsigned count[BAD + 1] = { 0 };

	for (const char *p = text; *p != '\0'; p++) {
		bool digit = *p >= '0' && *p <= '9';

		switch (state) {
		case START:
			state = digit ? INT : *p == '+' || *p == '-' ? SIGN : *p == '.' ? FRACTION : BAD;
			break;
		case SIGN:
		case INT:
			state = digit ? INT : *p == '.' ? FRACTION : BAD;
			break;
		case FRACTION:
			state = digit ? FRACTION : *p == 'e' ? EXP : BAD;
			break;
		case EXP:
			state = *p == '+' || *p == '-' ? EXPSIGN : BAD;
			break;
		case EXPSIGN:
		case EXPDIGIT:
			state = digit ? EXPDIGIT : BAD;
			break;
		case BAD:
			break;
		}
		count[state]++;
		if (*p == ',')
			state = START;
	}
	for (unsigned i = 0; i <= BAD; i++)
		crc = crc16(crc, count[i]);
	return (crc);
}

static double
integer(unsigned n)
{
	uint16_t crc = 1;

	for (unsigned i = 0; i < n; i++)
		crc = machine(matrix(lists(crc)));
	sink = crc;
	return (n);
}

/* Floating point: planets (scalar double), a linear system (packed by the compiler), the x87 where there is one. */

static double
nbody(unsigned n)
{
	enum { N = 5 };
	struct { double p[3], v[3], m; } b[N];
	double e = 0;

	for (int i = 0; i < N; i++) {
		for (int k = 0; k < 3; k++) {
			b[i].p[k] = i * 3.1 + k * (1.7 - i);
			b[i].v[k] = 0.1 * (k - i);
		}
		b[i].m = i == 0 ? 39.5 : 0.03 * i;
	}
	for (unsigned s = 0; s < n * 1000; s++) {
		for (int i = 0; i < N; i++) {
			for (int j = i + 1; j < N; j++) {
				double d[3], r2 = 0.01, mag;

				for (int k = 0; k < 3; k++) {
					d[k] = b[i].p[k] - b[j].p[k];
					r2 += d[k] * d[k];
				}
				mag = 0.001 / (r2 * sqrt(r2));
				for (int k = 0; k < 3; k++) {
					b[i].v[k] -= d[k] * b[j].m * mag;
					b[j].v[k] += d[k] * b[i].m * mag;
				}
			}
		}
		for (int i = 0; i < N; i++)
			for (int k = 0; k < 3; k++)
				b[i].p[k] += 0.001 * b[i].v[k];
	}
	for (int i = 0; i < N; i++)
		e += b[i].p[0];
	sink = (uint64_t)(int64_t)e;
	return (n);
}

__attribute__((optimize("O3", "fast-math"))) static double
lu(unsigned rounds)
{
	enum { N = 200 };
	static double a[N][N];

	for (unsigned r = 0; r < rounds; r++) {
		for (int i = 0; i < N; i++)
			for (int j = 0; j < N; j++)
				a[i][j] = (i == j ? N : 0) + ((i * 31 + j * 17 + (int)r) & 63) * 0.01;
		for (int k = 0; k < N; k++) {
			for (int i = k + 1; i < N; i++) {
				double f = a[i][k] /= a[k][k];

				for (int j = k + 1; j < N; j++)
					a[i][j] -= f * a[k][j];
			}
		}
	}
	sink = (uint64_t)(int64_t)a[N - 1][N - 1];
	return (rounds * (2.0 / 3) * N * N * N);
}

/* As many calls as rounds, times 1000. */
static double
libm(unsigned n)
{
	double x = 0.1, sum = 0;

	for (unsigned i = 0; i < n * 250; i++) {
		sum += sin(x) + exp(-x) + log(x) + atan(x);
		x += 0.0371;
		if (x > 20)
			x -= 19.9;
	}
	sink = (uint64_t)(int64_t)(sum * 1e3);
	return (n);
}

#ifdef __x86_64__
static double
x87(unsigned n)
{
	long double x = 0.5L, y = 1;

	for (unsigned i = 0; i < n * 1000; i++) {
		x = x * 3.7L * (1 - x);
		y = (y + x) / (1 + y * x);
	}
	sink = (uint64_t)(int64_t)(y * 1e6L);
	return (n);
}
#endif

/* Memory */

static double
copy(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		memcpy(other, big, BIG);
		__asm__ volatile("" ::: "memory");
	}
	return ((double)n * BIG);
}

static double
set(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		memset(big, (int)i, BIG);
		__asm__ volatile("" ::: "memory");
	}
	return ((double)n * BIG);
}

/* The kernel */

static double
syscalls(unsigned n)
{
	for (unsigned i = 0; i < n * 1000; i++)
		(void)syscall(SYS_getppid);
	return (n);
}

static double
pingpong(unsigned n)
{
	int to[2], from[2];
	char c = 0;
	pid_t pid;

	if (pipe(to) != 0 || pipe(from) != 0)
		return (0);
	pid = fork();
	if (pid == 0) {
		close(to[1]);
		while (read(to[0], &c, 1) == 1 && write(from[1], &c, 1) == 1)
			;
		_exit(0);
	}
	for (unsigned i = 0; i < n * 100; i++) {
		if (write(to[1], &c, 1) != 1 || read(from[0], &c, 1) != 1)
			return (0);
	}
	close(to[1]);
	close(to[0]);
	(void)waitpid(pid, NULL, 0);
	close(from[0]);
	close(from[1]);
	return (n * 0.1);
}

static double
faults(unsigned n)
{
	enum { PAGES = 1024 };

	for (unsigned i = 0; i < n; i++) {
		char *p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			return (0);
		for (unsigned k = 0; k < PAGES; k++)
			p[k * 4096] = 1;
		munmap(p, PAGES * 4096);
	}
	return (n * (double)PAGES);
}

static double
exec(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			execl("/init", "/init", "true", (char *)NULL);
			_exit(1);
		}
		(void)waitpid(pid, NULL, 0);
	}
	return (n);
}

/* Debian's busybox, if the initramfs has it, with a file of 4 MiB: bytes. */
#define	FILE_SIZE	(4 * MIB)

static double
busybox(const char *applet, unsigned n)
{
	static const char words[16][8] = {
		"kernel ", "of ", "virtual", "\tread", "page\n", "0x", " = ", "memory ", "struct ", "the ", "int ", "(void)", "{\n", "}\n", "4096", ";",
	};
	struct stat st;

	if (stat("/data", &st) != 0) {
		FILE *f = fopen("/data", "w");
		uint32_t r = 1;

		for (size_t size = 0; f != NULL && size < FILE_SIZE;) {
			r = r * 1664525 + 1013904223;
			size += (size_t)fprintf(f, "%s%x", words[r >> 28], r >> 20 & 0xf);
		}
		if (f == NULL || fclose(f) != 0)
			return (0);
	}
	for (unsigned i = 0; i < n; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			int fd = open("/out", O_WRONLY | O_CREAT | O_TRUNC, 0600);

			(void)dup2(open("/data", O_RDONLY), 0);
			(void)dup2(fd, 1);
			execl("/busybox", "busybox", applet, (char *)NULL);
			_exit(1);
		}
		if (waitpid(pid, &status, 0) != pid || status != 0)
			return (0);
	}
	return (n * (double)FILE_SIZE);
}

static double
compress(unsigned n)
{
	return (busybox("gzip", n));
}

static double
digest(unsigned n)
{
	return (busybox("sha256sum", n));
}

static const struct test tests[] = {
	{ "integer", "rounds/s", 1, integer },
	{ "n-body", "ksteps/s", 1, nbody },
	{ "LU", "MFLOPS", 1e-6, lu },
	{ "libm", "kcalls/s", 1, libm },
#ifdef __x86_64__
	{ "x87", "kiter/s", 1, x87 },
#endif
	{ "memcpy", "GB/s", 1e-9, copy },
	{ "memset", "GB/s", 1e-9, set },
	{ "getppid", "kcalls/s", 1, syscalls },
	{ "pipe", "krt/s", 1, pingpong },
	{ "faults", "kpages/s", 1e-3, faults },
	{ "fork+exec", "/s", 1, exec },
	{ "gzip", "MB/s", 1e-6, compress },
	{ "sha256sum", "MB/s", 1e-6, digest },
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return ((double)t.tv_sec + (double)t.tv_nsec * 1e-9);
}

static int
by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return ((x > y) - (x < y));
}

static double
measure(const struct test *t)
{
	double result[ROUNDS], start, took;
	unsigned n = 1;

	/* As many rounds as take the time, found by doubling. */
	for (;;) {
		start = now();
		(void)t->work(n);
		took = now() - start;
		if (took > TIME / 4)
			break;
		n *= 2;
	}
	n = (unsigned)(n * TIME / took) + 1;
	for (unsigned i = 0; i < ROUNDS; i++) {
		double done;

		start = now();
		done = t->work(n);
		result[i] = done * t->scale / (now() - start);
	}
	qsort(result, ROUNDS, sizeof(result[0]), by_value);
	return (result[ROUNDS / 2]);
}

static bool
asked_for(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], name) == 0)
			return (true);
	}
	return (argc == 1);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "true") == 0)		/* what fork+exec starts */
		return (0);
	(void)mkdir("/dev", 0755);
	if (mount("dev", "/dev", "devtmpfs", 0, NULL) == 0) {
		int fd = open("/dev/console", O_RDWR);

		for (int i = 0; fd >= 0 && i < 3; i++)
			(void)dup2(fd, i);
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	printf("bench ready 1 -\n");
	big = malloc(BIG);
	other = malloc(BIG);
	if (big == NULL || other == NULL)
		printf("bench: no memory\n");
	else {
		memset(big, 1, BIG);
		memset(other, 2, BIG);
		for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
			if (asked_for(argc, argv, tests[i].name))
				printf("bench %s %.6g %s\n", tests[i].name, measure(&tests[i]), tests[i].unit);
		}
	}
	printf("bench end 1 -\n");
	if (getpid() == 1)
		reboot(RB_POWER_OFF);
	return (0);
}
