/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thread.c - see thread.h.
 */
#include <signal.h>

#include "thread.h"

int
thread_create(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	sigset_t all, old;
	int error;

	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(thread, NULL, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return (error);
}
