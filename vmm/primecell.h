/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * primecell.h - the identification registers that all of Arm's PrimeCell peripherals end with.
 */
#ifndef _HYVE_PRIMECELL_H_
#define	_HYVE_PRIMECELL_H_

#include <stdint.h>

#define	PRIMECELL_LEN	0x1000U		/* bytes of a peripheral's registers */
#define	PRIMECELL_ID	0xfe0U		/* from here on, a byte in each word */

/*
 * The word at off, at or behind PRIMECELL_ID: part number, designer (0x41, Arm) and revision in the first four words, then the
 * class (e.g. DDI 0183G 3.3.14 and 3.3.15).
 */
static inline uint32_t
primecell_id(uint32_t part, uint32_t revision, uint64_t off)
{
	uint64_t id = (uint64_t)0xb105f00d << 32 | revision << 20 | 0x41000 | part;

	return ((uint32_t)(id >> (off - PRIMECELL_ID) / 4 * 8) & 0xff);
}

#endif /* _HYVE_PRIMECELL_H_ */
