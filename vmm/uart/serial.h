/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serial.h - what serial ports share: the host's end of the line, by configuration or by the machine.
 */
#ifndef _HYVE_SERIAL_H_
#define	_HYVE_SERIAL_H_

#include "../console/chardev.h"
#include "../device.h"

/* The keys of a serial port. */
#define	SERIAL_KEYS								\
	KEY_PATH("path", NULL, "the host's end: a terminal, a FIFO, or stdio; without one, output is dropped")

/*
 * The device's character device, whose user it becomes: that of its place, else the one that its keys say.  NULL with a
 * sentence.  Control thread.
 */
struct chardev *serial_open(struct device *dev, chardev_fn *fn, void *arg);
/* Give it back; cd may be NULL. */
void	serial_close(struct device *dev, struct chardev *cd);

#endif /* _HYVE_SERIAL_H_ */
