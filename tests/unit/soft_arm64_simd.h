/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_arm64_simd.h - one Advanced SIMD instruction on a processor that is nothing but a state page: decoder and function, no core.
 */
#ifndef _SOFT_ARM64_SIMD_H_
#define	_SOFT_ARM64_SIMD_H_

#include <test.h>

#include "soft/arm64/simd.h"

#define	FEATURES	(A64_F_AES | A64_F_PMULL | A64_F_SHA1 | A64_F_SHA256)

static struct arm64_state state;
static struct a64 cpu = { .s = &state };

static inline bool
allocated(uint32_t word)
{
	struct a64_insn i = { .word = word };

	return (a64_decode_simd(word, FEATURES, &i));
}

static inline void
execute(uint32_t word)
{
	struct a64_insn i = { .word = word };

	CHECKF(a64_decode_simd(word, FEATURES, &i), "%08x is refused", word);
	CHECK_EQ(i.fn(&cpu, &i), A_DONE);
}

static inline void
set_v(unsigned n, uint64_t hi, uint64_t lo)
{
	state.v[2 * n] = lo;
	state.v[2 * n + 1] = hi;
}

#define	CHECK_V(n, hi, lo) do {							\
	CHECK_EQ(state.v[2 * (n)], (lo));					\
	CHECK_EQ(state.v[2 * (n) + 1], (hi));					\
} while (0)

#endif /* _SOFT_ARM64_SIMD_H_ */
