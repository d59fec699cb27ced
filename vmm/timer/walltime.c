/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walltime.c - the time of day that a real-time clock shows when its VM begins: the host's, or one that was configured.
 */
#include <errno.h>
#include <string.h>

#include "../error.h"
#include "walltime.h"

enum { UTC };				/* positions in the list */
const char *const walltime_names[] = { "utc", "local", NULL };

/* "2026-01-31T23:59:58" */
static int
parse_start(struct device *dev, const char *text, struct tm *tm)
{
	struct tm same;
	const char *end;

	memset(tm, 0, sizeof(*tm));
	end = strlen(text) == 19 ? strptime(text, "%Y-%m-%dT%H:%M:%S", tm) : NULL;
	same = *tm;
	/* timegm() finds the day of the week, and moves what is no date. */
	if (end == NULL || *end != '\0' || tm->tm_sec > 59 || timegm(&same) == (time_t)-1 ||
	    same.tm_mday != tm->tm_mday || same.tm_mon != tm->tm_mon || same.tm_year < -1900) {
		return (vmm_fail(EINVAL, "%s: start '%.32s' is no time like 2026-01-31T23:59:58", dev->name,
		    text));
	}
	*tm = same;
	return (0);
}

int
walltime_start(struct device *dev, struct tm *tm, long *nsec)
{
	const char *start = config_str(dev->config, "start");
	struct timespec ts = { 0, 0 };

	*nsec = 0;
	if (start != NULL)
		return (parse_start(dev, start, tm));
	(void)clock_gettime(CLOCK_REALTIME, &ts);
	*nsec = ts.tv_nsec;
	if ((config_num(dev->config, "time") == UTC ? gmtime_r(&ts.tv_sec, tm) : localtime_r(&ts.tv_sec, tm)) == NULL)
		return (vmm_fail(ERANGE, "%s: the host's clock shows no date", dev->name));
	return (0);
}
