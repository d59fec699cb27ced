/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thread.h - threads of libhyve's own.
 */
#ifndef _HYVE_THREAD_H_
#define	_HYVE_THREAD_H_

#include <pthread.h>

/* pthread_create() with every signal blocked: they are for the program's own threads.  0 or an errno.  Any thread. */
int	thread_create(pthread_t *thread, void *(*fn)(void *arg), void *arg);

#endif /* _HYVE_THREAD_H_ */
