/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checksum.h - the checksum of tables that firmware leaves: all bytes add up to 0 (ACPI 6.4 5.2.6, SMBIOS 3.6 5.2).
 */
#ifndef _HYVE_CHECKSUM_H_
#define	_HYVE_CHECKSUM_H_

#include <stddef.h>
#include <stdint.h>

/* The sum of n bytes, modulo 256. */
static inline uint8_t
byte_sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n-- > 0)
		s = (uint8_t)(s + *p++);
	return (s);
}

#endif /* _HYVE_CHECKSUM_H_ */
