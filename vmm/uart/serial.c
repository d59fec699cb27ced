/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * serial.c - what serial ports share: the host's end of the line.
 */
#include <errno.h>

#include "../error.h"
#include "serial.h"

struct chardev *
serial_open(struct device *dev, chardev_fn *fn, void *arg)
{
	const char *path = config_str(dev->config, "path");
	struct chardev *cd = dev->place.chardev;

	if (cd == NULL)
		cd = chardev_open(dev->vmm->loop, path != NULL ? path : "null");
	if (cd == NULL)
		return (vmm_fail_null(errno, "%s: %s", dev->name, vmm_errmsg()));
	chardev_set_user(cd, fn, arg);
	return (cd);
}

void
serial_close(struct device *dev, struct chardev *cd)
{
	if (cd != NULL && cd == dev->place.chardev)
		chardev_set_user(cd, NULL, NULL);
	else
		chardev_close(cd);
}
