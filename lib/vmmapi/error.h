/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.h - the sentence behind a failure.
 *
 * Every public function that fails calls one of these exactly once, at the place that knows what
 * went wrong; callers above only pass the -1 or NULL on.  The text is the calling thread's.
 */
#ifndef _VMMAPI_ERROR_H_
#define	_VMMAPI_ERROR_H_

/* Set errno and the sentence; returns -1.  No trailing dot; name the object first ("vm 'x': ..."). */
int	vm_fail(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, with ": " and strerror(error) behind it. */
int	vm_fail_sys(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for functions that return a pointer. */
void	*vm_fail_null(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif /* _VMMAPI_ERROR_H_ */
