/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * error.h - the sentence behind a failure of libhyve.
 *
 * libvmmapi keeps its own (vm_errmsg()); a part of libhyve that passes such a failure on wraps
 * the sentence, so that whoever reports needs to ask only here.  The text is the calling
 * thread's.
 */
#ifndef _HYVE_ERROR_H_
#define	_HYVE_ERROR_H_

/* Set errno and the sentence; returns -1.  Name the object first, no trailing dot. */
int	vmm_fail(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, with ": " and strerror(error) behind it. */
int	vmm_fail_sys(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same, with ": " and the sentence of the libvmmapi call that just failed; its errno. */
int	vmm_fail_vm(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* As vmm_fail(), for functions that return a pointer. */
void	*vmm_fail_null(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The sentence of this thread's last failure, "" if there was none. */
const char *vmm_errmsg(void);

#endif /* _HYVE_ERROR_H_ */
