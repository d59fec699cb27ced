/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * simd_host.h - the host's own AES and polynomial products, where this is compiled for a processor that may have them.
 *
 * HOST_CRYPTO is defined if there is something here; host_crypto() says at run time whether the processor has it.  Functions that call
 * the others have to be HOST_CRYPTO too.
 */
#ifndef _SOFT_A64_SIMD_HOST_H_
#define	_SOFT_A64_SIMD_HOST_H_

#include "simd.h"

#if defined(__x86_64__)
#include <wmmintrin.h>

#define	HOST_CRYPTO	__attribute__((target("aes,pclmul")))

static inline bool
host_crypto(void)
{
	return (__builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul"));
}

/* ShiftRows and SubBytes, and their inverses: the last round, its key being zero (Intel SDM vol. 2A, AESENCLAST). */
static inline HOST_CRYPTO vu64
host_aes_sub(vu64 v)
{
	return ((vu64)_mm_aesenclast_si128((__m128i)v, _mm_setzero_si128()));
}

static inline HOST_CRYPTO vu64
host_aes_unsub(vu64 v)
{
	return ((vu64)_mm_aesdeclast_si128((__m128i)v, _mm_setzero_si128()));
}

/* A whole round behind the inverse of its first two steps leaves MixColumns. */
static inline HOST_CRYPTO vu64
host_aes_mix(vu64 v)
{
	return ((vu64)_mm_aesenc_si128((__m128i)host_aes_unsub(v), _mm_setzero_si128()));
}

static inline HOST_CRYPTO vu64
host_aes_unmix(vu64 v)
{
	return ((vu64)_mm_aesimc_si128((__m128i)v));
}

static inline HOST_CRYPTO vu64
host_product(uint64_t a, uint64_t b)
{
	const __m128i x = (__m128i)(vu64){ a, 0 }, y = (__m128i)(vu64){ b, 0 };

	return ((vu64)_mm_clmulepi64_si128(x, y, 0));
}
#endif

#endif /* _SOFT_A64_SIMD_HOST_H_ */
