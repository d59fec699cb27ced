/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thread.h - threads of libhyve's own.
 */
#ifndef _HYVE_THREAD_H_
#define	_HYVE_THREAD_H_

#include <pthread.h>

/* Bytes of a stack.  Hosts that make huge pages of whatever is large give a thread with a usual one, of 8 MiB, 2 MiB of memory at its first call. */
#define	THREAD_STACK	(1UL << 20)

/* pthread_create() with every signal blocked: they are for the program's own threads.  0 or an errno.  Any thread. */
int	thread_create(pthread_t *thread, void *(*fn)(void *arg), void *arg);

#endif /* _HYVE_THREAD_H_ */
