/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.c - the calling thread's last failure, as a sentence.
 */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "internal.h"

static _Thread_local char sentence[512];

const char *
vm_errmsg(void)
{
	return (sentence);
}

static void
say(int error, bool sys, const char *fmt, va_list ap)
{
	char text[sizeof(sentence)], why[128];
	int n;

	/* An argument may be the previous sentence, so build the new one beside it. */
	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (sys && n >= 0 && (size_t)n < sizeof(text))
		(void)snprintf(text + n, sizeof(text) - (size_t)n, ": %s",
		    strerror_r(error, why, sizeof(why)));
	memcpy(sentence, text, sizeof(sentence));
	errno = error;
}

int
vm_fail(int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(error, false, fmt, ap);
	va_end(ap);
	return (-1);
}

int
vm_fail_sys(int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(error, true, fmt, ap);
	va_end(ap);
	return (-1);
}

void *
vm_fail_null(int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(error, false, fmt, ap);
	va_end(ap);
	return (NULL);
}
