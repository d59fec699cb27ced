/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - what a fuzz target is.
 *
 * A target feeds outside bytes to a parser: it must neither crash, hang, leak nor upset a
 * sanitizer, whatever they are.  It is built twice: with libFuzzer (meson -Dfuzz=true, clang), and
 * always with driver.c, a plain program that feeds it seeds, mutations of them and noise from a
 * fixed pseudo-random sequence, as a test.
 */
#ifndef _FUZZ_H_
#define	_FUZZ_H_

#include <stddef.h>
#include <stdint.h>

int	LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * A target may define this: write valid input number n (from 0) into buf and return its length, 0
 * when there is no such one.
 */
size_t	fuzz_seed(unsigned n, uint8_t *buf, size_t max) __attribute__((weak));

#endif /* _FUZZ_H_ */
