/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * i8042.h - what the machine asks of the keyboard controller.
 */
#ifndef _HYVE_I8042_H_
#define	_HYVE_I8042_H_

struct device;

/* Its output port's A20 goes to that of port 92, which outlives it.  Control thread, while paused, before the first reset of the VM. */
void	i8042_set_port92(struct device *dev, struct device *port92);

#endif /* _HYVE_I8042_H_ */
