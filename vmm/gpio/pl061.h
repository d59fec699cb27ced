/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pl061.h - what the machine asks of the PrimeCell GPIO beyond what every device has.
 */
#ifndef _HYVE_PL061_H_
#define	_HYVE_PL061_H_

struct device;

#define	PL061_LINES	8

/*
 * Press a button that is on a line, high while it is pressed, and let it go after a tenth of a second of the VM's clock.  Does
 * nothing if dev is no PL061 or has no such line.  Any thread.
 */
void	pl061_press(struct device *dev, unsigned line);

#endif /* _HYVE_PL061_H_ */
