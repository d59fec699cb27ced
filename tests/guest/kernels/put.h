/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * put.h - text and numbers on a kernel's console; behind a declaration of machine_put().
 */
#ifndef _PUT_H_
#define	_PUT_H_

#include <stdint.h>

static inline void
put(const char *text)
{
	for (; *text != '\0'; text++)
		machine_put(*text);
}

/* All sixteen digits, behind a blank. */
static inline void
put_hex(uint64_t v)
{
	put(" ");
	for (int shift = 60; shift >= 0; shift -= 4)
		machine_put("0123456789abcdef"[(v >> shift) & 15]);
}

#endif /* _PUT_H_ */
