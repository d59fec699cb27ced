/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * thread.c - see thread.h.
 */
#include <signal.h>

#include "thread.h"

int
thread_create(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int error = pthread_attr_init(&attr);

	if (error != 0)
		return (error);
	error = pthread_attr_setstacksize(&attr, THREAD_STACK);
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	if (error == 0)
		error = pthread_create(thread, &attr, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	return (error);
}
