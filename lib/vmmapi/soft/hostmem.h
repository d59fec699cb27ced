/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hostmem.h - loads and stores of guest memory by the host's own instructions.
 *
 * On an amd64 host one access is one instruction, aligned or not, so that it is as whole and as ordered as the guest expects of its processor
 * (SDM vol. 3 8.2), whatever other vCPUs do at the same time.  Other hosts have arm64 guests only: there an access is whole if it is aligned, and
 * ordered more than those ask for.
 *
 * It is also one that no sanitizer sees: what vCPUs and devices do to the guest's memory is ordered, or not, by the guest.
 */
#ifndef _VMMAPI_SOFT_HOSTMEM_H_
#define	_VMMAPI_SOFT_HOSTMEM_H_

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)

/* So many bytes of any kind. */
struct host2 { char b[2]; };
struct host4 { char b[4]; };
struct host8 { char b[8]; };
struct host16 { char b[16]; };

static inline __attribute__((always_inline)) uint64_t
host_load(const void *p, unsigned size)
{
	uint64_t v;
	uint32_t w;

	switch (size) {
	case 1:
		__asm__ volatile("movzbl %1, %0" : "=r" (w) : "m" (*(const uint8_t *)p));
		return (w);
	case 2:
		__asm__ volatile("movzwl %1, %0" : "=r" (w) : "m" (*(const struct host2 *)p));
		return (w);
	case 4:
		__asm__ volatile("movl %1, %0" : "=r" (w) : "m" (*(const struct host4 *)p));
		return (w);
	default:
		__asm__ volatile("movq %1, %0" : "=r" (v) : "m" (*(const struct host8 *)p));
		return (v);
	}
}

static inline __attribute__((always_inline)) void
host_store(void *p, unsigned size, uint64_t v)
{
	switch (size) {
	case 1:
		__asm__ volatile("movb %b1, %0" : "=m" (*(uint8_t *)p) : "r" (v));
		break;
	case 2:
		__asm__ volatile("movw %w1, %0" : "=m" (*(struct host2 *)p) : "r" (v));
		break;
	case 4:
		__asm__ volatile("movl %k1, %0" : "=m" (*(struct host4 *)p) : "r" (v));
		break;
	default:
		__asm__ volatile("movq %1, %0" : "=m" (*(struct host8 *)p) : "r" (v));
		break;
	}
}

/* 16 bytes: as whole as the processor's own vector accesses are. */
static inline __attribute__((always_inline)) void
host_load16(const void *p, void *v)
{
	__asm__ volatile("movdqu %1, %%xmm0; movdqu %%xmm0, %0" : "=m" (*(struct host16 *)v) :
	    "m" (*(const struct host16 *)p) : "xmm0");
}

static inline __attribute__((always_inline)) void
host_store16(void *p, const void *v)
{
	__asm__ volatile("movdqu %1, %%xmm0; movdqu %%xmm0, %0" : "=m" (*(struct host16 *)p) :
	    "m" (*(const struct host16 *)v) : "xmm0");
}

static inline __attribute__((always_inline)) void
host_zero16(void *p)
{
	__asm__ volatile("pxor %%xmm0, %%xmm0; movdqu %%xmm0, %0" : "=m" (*(struct host16 *)p) : : "xmm0");
}

/* The 16 bytes at p, aligned, become new if they are old; old becomes what was there. */
static inline bool
host_cas16(void *p, uint64_t old[2], const uint64_t new[2])
{
	bool done;

	__asm__ volatile("lock cmpxchg16b %0" : "+m" (*(struct host16 *)p), "+a" (old[0]), "+d" (old[1]), "=@ccz" (done) :
	    "b" (new[0]), "c" (new[1]) : "memory");
	return (done);
}

#else

/* Aligned: an acquire load, a release store. */
static inline uint64_t
host_load_whole(const void *p, unsigned size)
{
	switch (size) {
	case 1:
		return (__atomic_load_n((const uint8_t *)p, __ATOMIC_ACQUIRE));
	case 2:
		return (__atomic_load_n((const uint16_t *)p, __ATOMIC_ACQUIRE));
	case 4:
		return (__atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE));
	default:
		return (__atomic_load_n((const uint64_t *)p, __ATOMIC_ACQUIRE));
	}
}

static inline void
host_store_whole(void *p, unsigned size, uint64_t v)
{
	switch (size) {
	case 1:
		__atomic_store_n((uint8_t *)p, (uint8_t)v, __ATOMIC_RELEASE);
		break;
	case 2:
		__atomic_store_n((uint16_t *)p, (uint16_t)v, __ATOMIC_RELEASE);
		break;
	case 4:
		__atomic_store_n((uint32_t *)p, (uint32_t)v, __ATOMIC_RELEASE);
		break;
	default:
		__atomic_store_n((uint64_t *)p, v, __ATOMIC_RELEASE);
		break;
	}
}

/*
 * Not aligned: in pieces that are, so that the elements of a vector, which are aligned for themselves, stay whole (Arm ARM B2.2.1).  Of bytes
 * nothing is expected.  The host is little-endian.
 */
static inline uint64_t
host_load(const void *p, unsigned size)
{
	unsigned piece = (unsigned)((uintptr_t)p & (0 - (uintptr_t)p) & 7);
	uint64_t v = 0;

	if (((uintptr_t)p & (size - 1)) == 0)
		return (host_load_whole(p, size));
	if (piece == 1) {
		memcpy(&v, p, size);
		return (v);
	}
	for (unsigned n = 0; n < size; n += piece)
		v |= host_load_whole((const char *)p + n, piece) << (8 * n);
	return (v);
}

static inline void
host_store(void *p, unsigned size, uint64_t v)
{
	unsigned piece = (unsigned)((uintptr_t)p & (0 - (uintptr_t)p) & 7);

	if (((uintptr_t)p & (size - 1)) == 0) {
		host_store_whole(p, size, v);
	} else if (piece == 1) {
		memcpy(p, &v, size);
	} else {
		for (unsigned n = 0; n < size; n += piece)
			host_store_whole((char *)p + n, piece, v >> (8 * n));
	}
}

/* 16 bytes: two halves, as an arm64 guest expects of vectors, and of a load exclusive whose store comes to compare both. */
static inline void
host_load16(const void *p, void *v)
{
	uint64_t half[2] = { host_load(p, 8), host_load((const char *)p + 8, 8) };

	memcpy(v, half, sizeof(half));
}

static inline void
host_store16(void *p, const void *v)
{
	uint64_t half[2];

	memcpy(half, v, sizeof(half));
	host_store(p, 8, half[0]);
	host_store((char *)p + 8, 8, half[1]);
}

static inline void
host_zero16(void *p)
{
	host_store(p, 8, 0);
	host_store((char *)p + 8, 8, 0);
}

/* The 16 bytes at p, aligned, become new if they are old; old becomes what was there. */
#if defined(__aarch64__)

static inline bool
host_cas16(void *p, uint64_t old[2], const uint64_t new[2])
{
	uint64_t was[2], is[2];
	uint32_t again, done;

	/* What was there is stored again if it is not old: only then was it loaded in one piece (Arm ARM C6.2, LDAXP). */
	__asm__ volatile("1: ldaxp %0, %1, %6\n\t"
	    "cmp %0, %7\n\t"
	    "ccmp %1, %8, #0, eq\n\t"
	    "csel %2, %9, %0, eq\n\t"
	    "csel %3, %10, %1, eq\n\t"
	    "stlxp %w4, %2, %3, %6\n\t"
	    "cbnz %w4, 1b\n\t"
	    "cset %w5, eq" : "=&r" (was[0]), "=&r" (was[1]), "=&r" (is[0]), "=&r" (is[1]), "=&r" (again), "=&r" (done),
	    "+Q" (*(unsigned __int128 *)p) : "r" (old[0]), "r" (old[1]), "r" (new[0]), "r" (new[1]) : "cc", "memory");
	old[0] = was[0];
	old[1] = was[1];
	return (done != 0);
}

#else

/* The compiler's library may take a lock for it: then it is whole for others of its kind only. */
static inline bool
host_cas16(void *p, uint64_t old[2], const uint64_t new[2])
{
	unsigned __int128 o = (unsigned __int128)old[1] << 64 | old[0], n = (unsigned __int128)new[1] << 64 | new[0];
	bool done = __atomic_compare_exchange_n((unsigned __int128 *)p, &o, n, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);

	old[0] = (uint64_t)o;
	old[1] = (uint64_t)(o >> 64);
	return (done);
}

#endif

#endif

/* Any number of bytes, of guest memory at p: in order, in the largest pieces. */
static inline void
host_read(void *to, const void *p, unsigned size)
{
	for (unsigned n; size != 0; size -= n, p = (const char *)p + n, to = (char *)to + n) {
		uint64_t v;

		n = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
		v = host_load(p, n);
		memcpy(to, &v, n);
	}
}

static inline void
host_write(void *p, const void *from, unsigned size)
{
	for (unsigned n; size != 0; size -= n, p = (char *)p + n, from = (const char *)from + n) {
		uint64_t v = 0;

		n = size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
		memcpy(&v, from, n);
		host_store(p, n, v);
	}
}

#endif /* _VMMAPI_SOFT_HOSTMEM_H_ */
