/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mc146818.h - what the machine asks of the CMOS RTC beyond what every device has.
 */
#ifndef _HYVE_MC146818_H_
#define	_HYVE_MC146818_H_

#include <stdbool.h>
#include <stdint.h>

struct device;

#define	MC146818_CENTURY	0x32	/* byte with the century: the FADT's CENTURY */
#define	MC146818_SIZE		256	/* bytes: 128 behind 0x70 and 0x71, 128 behind 0x72 and 0x73 */

/*
 * Set a byte of the battery-backed RAM, as a machine does with memory sizes and boot order before
 * the guest runs.  The second bank begins at 128.
 *
 * Errors: EINVAL (not an RTC, no such byte, or one of the clock's own: 0 to 13 and the century).
 * Any thread.
 */
int	mc146818_set(struct device *dev, unsigned index, uint8_t val);

/* What a guest would read there, without the effects of reading; 0xff where nothing is.  Any thread. */
uint8_t	mc146818_get(struct device *dev, unsigned index);

/* Whether bit 7 of port 0x70 holds NMIs back.  Any thread. */
bool	mc146818_nmi_masked(struct device *dev);

#endif /* _HYVE_MC146818_H_ */
