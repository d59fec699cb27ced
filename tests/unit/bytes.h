/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bytes.h - tables as bytes, for tests that read what the code under test wrote.
 */
#ifndef _TEST_BYTES_H_
#define	_TEST_BYTES_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A little-endian number of size bytes. */
static inline uint64_t
num(const uint8_t *p, unsigned size)
{
	uint64_t v = 0;

	memcpy(&v, p, size);
	return (v);
}

/* The sum of n bytes, modulo 256. */
static inline unsigned
sum(const uint8_t *p, size_t n)
{
	unsigned s = 0;

	for (size_t i = 0; i < n; i++)
		s += p[i];
	return (s % 256);
}

#endif /* _TEST_BYTES_H_ */
