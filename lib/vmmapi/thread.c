/* SPDX-License-Identifier: BSD-2-Clause */
/* thread.c - the library's own threads. */
#include <signal.h>

#include "internal.h"

/*
 * Hosts that make huge pages of whatever is large give a thread with a usual stack, of 8 MiB, 2 MiB of memory at its first call.
 */
#define	STACK	(1UL << 20)

int
vm_thread(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int error = pthread_attr_init(&attr);

	if (error != 0)
		return (error);
	error = pthread_attr_setstacksize(&attr, STACK);
	/* Signals are for the program's threads, not for the library's. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	if (error == 0)
		error = pthread_create(thread, &attr, fn, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	(void)pthread_attr_destroy(&attr);
	return (error);
}
