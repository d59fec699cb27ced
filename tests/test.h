/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test.h - the harness of the test programs.
 *
 *	TEST(name)
 *	{
 *		CHECK(cond);
 *		CHECK_EQ(a, b);
 *		CHECK_STR(a, b);
 *		if (...)
 *			SKIP("why");
 *	}
 *
 *	TEST_MAIN()
 *
 * Each case runs in a process of its own, so that a crash, a hang or a leak is charged to it and nothing of it
 * reaches the next one.  It prints one line: "ok name", "not ok name: why" or "skip name: why".  A failed check
 * ends the case at once, from whichever thread it is made.  The program exits 1 if a case failed, 77 (meson's
 * "skipped") if every case was skipped, else 0.
 *
 * Arguments select cases whose names contain one of them; -l lists the names; -n runs the cases in this process,
 * for a debugger.  TEST_TIMEOUT is the seconds after which a case counts as hung.
 *
 * A program may have several source files; exactly one of them has TEST_MAIN().
 */
#ifndef _TEST_H_
#define	_TEST_H_

#include <sys/types.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__has_feature)
#define	TEST_SANITIZED	(__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define	TEST_SANITIZED	1
#else
#define	TEST_SANITIZED	0
#endif

struct test_case {
	const char	*name;
	void		(*fn)(void);
	void		(*argfn)(const void *arg);	/* or this, with arg */
	const void	*arg;
	struct test_case *next;
};

/* Defined by TEST_MAIN(). */
extern struct test_case *test_first_, **test_last_;
extern const char *test_name_;			/* the running case */

/* How a case's process says what happened; other codes are a sanitizer's or its own. */
#define	TEST_FAILED_	101
#define	TEST_SKIPPED_	102

static inline void
test_add_(struct test_case *tc)
{
	if (test_last_ == NULL)
		test_last_ = &test_first_;
	*test_last_ = tc;
	test_last_ = &tc->next;
}

/* Add a case at run time (from a constructor): the same function with different arguments.  name and arg stay. */
static inline void
test_add_arg(const char *name, void (*fn)(const void *arg), const void *arg)
{
	struct test_case *tc = calloc(1, sizeof(*tc));

	if (tc == NULL)
		_exit(1);
	tc->name = name;
	tc->argfn = fn;
	tc->arg = arg;
	test_add_(tc);
}

static inline void test_end_(int code, const char *what, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 5, 6), noreturn));

/* One write, so that lines of processes and threads do not mix. */
static inline void
test_end_(int code, const char *what, const char *file, int line, const char *fmt, ...)
{
	char buf[2048];
	size_t n;
	va_list ap;

	if (file != NULL)
		n = (size_t)snprintf(buf, sizeof(buf), "%s %s: %s:%d: ", what, test_name_, file, line);
	else
		n = (size_t)snprintf(buf, sizeof(buf), "%s %s: ", what, test_name_);
	if (n < sizeof(buf)) {
		va_start(ap, fmt);
		n += (size_t)vsnprintf(buf + n, sizeof(buf) - n, fmt, ap);
		va_end(ap);
	}
	if (n > sizeof(buf) - 2)
		n = sizeof(buf) - 2;
#ifndef __x86_64__
	/* A case that fails for want of an amd64 guest cannot be run here. */
	static const char amd64[] = "amd64 guests need an amd64 host";

	if (code == TEST_FAILED_ && memmem(buf, n, amd64, sizeof(amd64) - 1) != NULL) {
		n = (size_t)snprintf(buf, sizeof(buf), "skip %s: %s", test_name_, amd64);
		code = TEST_SKIPPED_;
	}
#endif
	buf[n++] = '\n';
	fflush(stdout);
	if (write(STDOUT_FILENO, buf, n) < 0)
		code = TEST_FAILED_;
	_exit(code);
}

static inline void
test_eq_(const char *file, int line, const char *as, const char *bs, uint64_t a, uint64_t b)
{
	if (a != b)
		test_end_(TEST_FAILED_, "not ok", file, line, "%s is %lld (0x%llx), %s is %lld (0x%llx)", as,
		    (long long)a, (unsigned long long)a, bs, (long long)b, (unsigned long long)b);
}

static inline void
test_str_(const char *file, int line, const char *as, const char *bs, const char *a, const char *b)
{
	if (a == b || (a != NULL && b != NULL && strcmp(a, b) == 0))
		return;
	test_end_(TEST_FAILED_, "not ok", file, line, "%s is \"%s\", %s is \"%s\"", as, a == NULL ? "(null)" : a, bs,
	    b == NULL ? "(null)" : b);
}

static inline void
test_has_(const char *file, int line, const char *as, const char *a, const char *part)
{
	if (a == NULL || part == NULL || strstr(a, part) == NULL)
		test_end_(TEST_FAILED_, "not ok", file, line, "%s is \"%s\", without \"%s\"", as,
		    a == NULL ? "(null)" : a, part == NULL ? "(null)" : part);
}

#define	TEST(name)								\
	static void test_fn_##name(void);					\
	static struct test_case test_case_##name = {				\
		#name, test_fn_##name, NULL, NULL, NULL				\
	};									\
	__attribute__((constructor)) static void				\
	test_reg_##name(void)							\
	{									\
		test_add_(&test_case_##name);					\
	}									\
	static void								\
	test_fn_##name(void)

/* The condition holds. */
#define	CHECK(cond) do {							\
	if (!(cond))								\
		test_end_(TEST_FAILED_, "not ok", __FILE__, __LINE__, "%s", #cond);	\
} while (0)
/* The condition holds, else say this. */
#define	CHECKF(cond, ...) do {							\
	if (!(cond))								\
		test_end_(TEST_FAILED_, "not ok", __FILE__, __LINE__, __VA_ARGS__);	\
} while (0)
/* Two integers or pointers are equal. */
#define	CHECK_EQ(a, b)								\
	test_eq_(__FILE__, __LINE__, #a, #b, (uint64_t)(a), (uint64_t)(b))
/* Two strings are equal. */
#define	CHECK_STR(a, b)								\
	test_str_(__FILE__, __LINE__, #a, #b, (a), (b))
/* A string contains a part. */
#define	CHECK_HAS(a, part)							\
	test_has_(__FILE__, __LINE__, #a, (a), (part))
/* The case fails here. */
#define	FAIL(...)								\
	test_end_(TEST_FAILED_, "not ok", __FILE__, __LINE__, __VA_ARGS__)
/* The case cannot be run here. */
#define	SKIP(why)								\
	test_end_(TEST_SKIPPED_, "skip", NULL, 0, "%s", (why))

static inline void
test_run_(struct test_case *tc)
{
	if (tc->fn != NULL)
		tc->fn();
	else
		tc->argfn(tc->arg);
}

/* Run one case in a child; returns TEST_FAILED_, TEST_SKIPPED_ or 0. */
static inline int
test_fork_(struct test_case *tc, unsigned timeout)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		printf("not ok %s: fork: %s\n", tc->name, strerror(errno));
		return (TEST_FAILED_);
	}
	if (pid == 0) {
		alarm(timeout);		/* no handler: SIGALRM ends a hung case */
		test_run_(tc);
		exit(0);		/* not _exit(): leak checks run at exit */
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		printf("ok %s\n", tc->name);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_SKIPPED_)
		return (TEST_SKIPPED_);
	else if (WIFEXITED(status) && WEXITSTATUS(status) == TEST_FAILED_)
		return (TEST_FAILED_);
	else if (WIFEXITED(status)) {
		printf("not ok %s: exit status %d\n", tc->name, WEXITSTATUS(status));
		return (TEST_FAILED_);
	} else if (WTERMSIG(status) == SIGALRM) {
		printf("not ok %s: hung for %u seconds\n", tc->name, timeout);
		return (TEST_FAILED_);
	} else {
		printf("not ok %s: signal %d (%s)\n", tc->name, WTERMSIG(status), strsignal(WTERMSIG(status)));
		return (TEST_FAILED_);
	}
	return (0);
}

/* How many times longer a storm or an oracle is in make accept (HYVE_TEST_LONG=1); 1 else. */
static inline int
test_long(int times)
{
	const char *env = getenv("HYVE_TEST_LONG");

	return (env != NULL && env[0] == '1' ? times : 1);
}

/* How many of n rounds that all are alike a build with sanitizers does: there each costs several times as much. */
static inline unsigned
test_rounds(unsigned n)
{
	return (TEST_SANITIZED ? n / 5 : n);
}

/* Numbers that are the same in every run: the next one of a seed that is not 0 (xorshift). */
static inline uint64_t
test_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return (*seed);
}

static inline int
test_main_(int argc, char **argv)
{
	const char *env = getenv("TEST_TIMEOUT");
	unsigned timeout = env != NULL && atoi(env) > 0 ? (unsigned)atoi(env) : 300;
	unsigned ran = 0, failed = 0, skipped = 0;
	bool list = false, nofork = false;
	int i, first = 1, r;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (; first < argc && argv[first][0] == '-'; first++) {
		list |= strcmp(argv[first], "-l") == 0;
		nofork |= strcmp(argv[first], "-n") == 0;
	}
	for (struct test_case *tc = test_first_; tc != NULL; tc = tc->next) {
		for (i = first; i < argc && strstr(tc->name, argv[i]) == NULL; i++)
			;
		if (first < argc && i == argc)
			continue;
		test_name_ = tc->name;
		ran++;
		if (list) {
			printf("%s\n", tc->name);
			continue;
		}
		if (nofork) {
			test_run_(tc);
			printf("ok %s\n", tc->name);
			continue;
		}
		r = test_fork_(tc, timeout);
		failed += r == TEST_FAILED_;
		skipped += r == TEST_SKIPPED_;
	}
	if (ran == 0) {
		fprintf(stderr, "no such case\n");
		return (1);
	}
	return (failed != 0 ? 1 : skipped == ran ? 77 : 0);
}

#define	TEST_MAIN()								\
	struct test_case *test_first_, **test_last_;				\
	const char *test_name_ = "?";						\
	int									\
	main(int argc, char **argv)						\
	{									\
		return (test_main_(argc, argv));				\
	}

#endif /* _TEST_H_ */
