/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * port92.h - the gate of address line 20.
 */
#ifndef _HYVE_PORT92_H_
#define	_HYVE_PORT92_H_

#include <stdbool.h>

struct device;

/* What a keyboard controller says: the line is let through if it or the port's own bit says so.  Any thread. */
void	port92_gate(struct device *dev, bool on);

#endif /* _HYVE_PORT92_H_ */
