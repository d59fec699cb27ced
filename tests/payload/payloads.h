/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * payloads.h - the payload images that were built, embedded by embed.py.
 */
#ifndef _PAYLOADS_H_
#define	_PAYLOADS_H_

#include <stddef.h>

struct payload {
	const char	*arch;		/* NULL ends the table */
	const char	*name;
	const unsigned char *data;
	size_t		 len;
};

extern const struct payload payloads[];

#endif /* _PAYLOADS_H_ */
