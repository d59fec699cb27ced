/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat/sys/cpuset.h - FreeBSD's name for a set of processors.
 */
#ifndef _COMPAT_SYS_CPUSET_H_
#define	_COMPAT_SYS_CPUSET_H_

#include <sched.h>

typedef cpu_set_t cpuset_t;

/* <sched.h> has these for _GNU_SOURCE only. */
#ifndef CPU_ZERO
#define	CPU_SETSIZE		((int)(8 * sizeof(cpuset_t)))
#define	CPU_BITS_		(8 * sizeof(((cpuset_t *)0)->__bits[0]))
#define	CPU_ZERO(p)		__builtin_memset((p), 0, sizeof(cpuset_t))
#define	CPU_SET(n, p)		((void)((p)->__bits[(size_t)(n) / CPU_BITS_] |= 1UL << (size_t)(n) % CPU_BITS_))
#define	CPU_CLR(n, p)		((void)((p)->__bits[(size_t)(n) / CPU_BITS_] &= ~(1UL << (size_t)(n) % CPU_BITS_)))
#define	CPU_ISSET(n, p)		((int)((p)->__bits[(size_t)(n) / CPU_BITS_] >> (size_t)(n) % CPU_BITS_ & 1))
#endif

#endif /* _COMPAT_SYS_CPUSET_H_ */
