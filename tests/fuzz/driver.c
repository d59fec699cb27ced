/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * driver.c - runs a fuzz target without a fuzzer: every seed, then mutations of seeds and noise,
 * the same ones in every run.
 *
 *	fuzz-NAME [-k FILE] [-n ROUNDS] [-s SEED]	default 20000 rounds
 *	fuzz-NAME FILE...			these inputs only: what a fuzzer or a failed run left
 *
 * With -k FILE the input under way is kept in that file, so that it is there after a crash.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

#define	MAXLEN	65536

static uint64_t state = 1;

/* xorshift64* */
static uint64_t
rnd(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * 0x2545f4914f6cdd1dULL);
}

static size_t
below(size_t n)
{
	return (n == 0 ? 0 : (size_t)(rnd() % n));
}

static void
put(uint8_t *buf, size_t len, size_t at, uint64_t val, unsigned bytes)
{
	for (unsigned i = 0; i < bytes && at + i < len; i++)
		buf[at + i] = (uint8_t)(val >> (8 * i));
}

/* Change buf a little; returns its new length. */
static size_t
mutate(uint8_t *buf, size_t len)
{
	static const uint64_t values[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0x7fffffffffffffff,
		0x8000000000000000, 0xffffffffffffffff, 0xfffffffffffff000, 4096, 65536, 1ULL << 32, 1ULL << 47,
	};
	size_t at = below(len), n, to;

	switch (below(8)) {
	case 0:						/* a bit */
		if (len > 0)
			buf[at] ^= (uint8_t)(1 << below(8));
		break;
	case 1:						/* a byte */
		if (len > 0)
			buf[at] = (uint8_t)rnd();
		break;
	case 2:						/* a number */
		put(buf, len, at, values[below(sizeof(values) / sizeof(values[0]))], 1U << below(4));
		break;
	case 3:						/* a little more or less */
		if (len > 0)
			buf[at] = (uint8_t)(buf[at] + below(9) - 4);
		break;
	case 4:						/* cut out */
		n = below(len - at < 64 ? len - at : 64);
		memmove(buf + at, buf + at + n, len - at - n);
		return (len - n);
	case 5:						/* put in */
		n = 1 + below(16);
		if (len + n > MAXLEN)
			return (len);
		memmove(buf + at + n, buf + at, len - at);
		for (size_t i = 0; i < n; i++)
			buf[at + i] = (uint8_t)rnd();
		return (len + n);
	case 6:						/* copy a piece elsewhere */
		n = below(len - at < 256 ? len - at : 256);
		to = below(len - n);
		memmove(buf + to, buf + at, n);
		break;
	default:					/* cut off */
		if (below(8) == 0)
			return (at);
	}
	return (len);
}

static const char *keep;

static void
feed(const uint8_t *data, size_t len)
{
	uint8_t *copy;
	int fd;

	if (keep != NULL && (fd = open(keep, O_WRONLY | O_CREAT | O_TRUNC, 0600)) >= 0) {
		if (write(fd, data, len) != (ssize_t)len)
			perror(keep);
		close(fd);
	}
	/* of exactly that size, so that a sanitizer sees the end of it */
	copy = malloc(len == 0 ? 1 : len);
	if (copy == NULL)
		exit(1);
	memcpy(copy, data, len);
	(void)LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static size_t
seed(unsigned n, uint8_t *buf)
{
	return (fuzz_seed == NULL ? 0 : fuzz_seed(n, buf, MAXLEN));
}

int
main(int argc, char **argv)
{
	static uint8_t buf[MAXLEN];
	unsigned long rounds = 20000;
	unsigned nseeds = 0;
	size_t len;
	FILE *f;
	int opt;

	while ((opt = getopt(argc, argv, "k:n:s:")) != -1) {
		if (opt == 'k')
			keep = optarg;
		else if (opt == 'n')
			rounds = strtoul(optarg, NULL, 0);
		else if (opt == 's')
			state = strtoull(optarg, NULL, 0) | 1;
		else
			return (64);
	}
	for (int i = optind; i < argc; i++) {
		f = fopen(argv[i], "rb");
		if (f == NULL) {
			perror(argv[i]);
			return (1);
		}
		len = fread(buf, 1, sizeof(buf), f);
		fclose(f);
		feed(buf, len);
	}
	if (optind < argc)
		return (0);
	while ((len = seed(nseeds, buf)) != 0) {
		feed(buf, len);
		nseeds++;
	}
	for (unsigned long i = 0; i < rounds; i++) {
		if (nseeds > 0 && below(16) != 0)
			len = seed((unsigned)below(nseeds), buf);
		else {
			len = below(below(8) == 0 ? 4096 : 64);
			for (size_t j = 0; j < len; j++)
				buf[j] = (uint8_t)rnd();
		}
		for (size_t n = 1 + below(below(4) == 0 ? 32 : 4); n > 0; n--)
			len = mutate(buf, len);
		feed(buf, len);
	}
	printf("%u seeds and %lu mutations\n", nseeds, rounds);
	return (0);
}
