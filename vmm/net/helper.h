/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * helper.h - a tap in a bridge, from the program hyve-bridge-helper.
 */
#ifndef _HYVE_NET_HELPER_H_
#define	_HYVE_NET_HELPER_H_

#include "tapdev.h"

/*
 * Have the helper make a tap with n queues in a bridge: its name and descriptors, which are the caller's.  Waits for the helper.  -1 with a
 * sentence that begins with who.
 */
int	helper_open_tap(const char *who, const char *bridge, char name[IFNAMSIZ], unsigned n, int fds[]);

#endif /* _HYVE_NET_HELPER_H_ */
