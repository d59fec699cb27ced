/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hash.h - a number of 64 bits that follows from bytes, in every run the same (FNV-1a).  It is no secret and no proof of anything.
 */
#ifndef _HYVE_HASH_H_
#define	_HYVE_HASH_H_

#include <stddef.h>
#include <stdint.h>

#define	HASH_START	0xcbf29ce484222325ULL

/* Go on from h, which is HASH_START at first, with len bytes.  Any thread. */
static inline uint64_t
hash_bytes(uint64_t h, const void *buf, size_t len)
{
	const uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return (h);
}

#endif /* _HYVE_HASH_H_ */
