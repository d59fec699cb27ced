/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walltime.h - the time of day that a real-time clock shows when its VM begins.
 */
#ifndef _HYVE_WALLTIME_H_
#define	_HYVE_WALLTIME_H_

#include <time.h>

#include "../device.h"

/* The keys of a real-time clock. */
extern const char *const walltime_names[];
#define	WALLTIME_KEYS								\
	KEY_ENUM("time", "utc", walltime_names, "which of the host's times the clock shows at the start"),	\
	KEY_STRING("start", NULL, "show this time at the start instead, as 2026-01-31T23:59:58")

/* The time that the device's keys say, with *nsec of the second that has begun.  -1 with a sentence. */
int	walltime_start(struct device *dev, struct tm *tm, long *nsec);

#endif /* _HYVE_WALLTIME_H_ */
