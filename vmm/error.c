/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.c - the sentence behind a failure of libhyve.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <vmmapi.h>

#include "error.h"

#define	ERRMSG_LEN	1024

static _Thread_local char errmsg[ERRMSG_LEN];

/* Arguments may point into errmsg (a failure that wraps another), so it is made beside it first. */
static void __attribute__((format(printf, 3, 0)))
set_sentence(int error, const char *cause, const char *fmt, va_list ap)
{
	char buf[ERRMSG_LEN];
	size_t len;

	(void)vsnprintf(buf, sizeof(buf), fmt, ap);
	len = strlen(buf);
	if (cause != NULL)
		(void)snprintf(buf + len, sizeof(buf) - len, ": %s", cause);
	memcpy(errmsg, buf, sizeof(errmsg));
	errno = error;
}

int
vmm_fail(int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_sentence(error, NULL, fmt, ap);
	va_end(ap);
	return (-1);
}

int
vmm_fail_sys(int error, const char *fmt, ...)
{
	char why[128];
	va_list ap;

	va_start(ap, fmt);
	set_sentence(error, strerror_r(error, why, sizeof(why)), fmt, ap);
	va_end(ap);
	return (-1);
}

int
vmm_fail_vm(const char *fmt, ...)
{
	int error = errno;
	va_list ap;

	va_start(ap, fmt);
	set_sentence(error, vm_errmsg(), fmt, ap);
	va_end(ap);
	return (-1);
}

void *
vmm_fail_null(int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	set_sentence(error, NULL, fmt, ap);
	va_end(ap);
	return (NULL);
}

const char *
vmm_errmsg(void)
{
	return (errmsg);
}
