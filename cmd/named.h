/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * named.h - VMs that have a directory: making, starting and asking them.
 */
#ifndef _HYVE_NAMED_H_
#define	_HYVE_NAMED_H_

#include "config/config.h"
#include "vmdir.h"

/*
 * Make a VM that has what is set in cfg, with paths of the host made absolute; what keys lead to is looked at first, so that a VM that
 * could not start is not made.  The directory, NULL with a sentence.
 */
struct vmdir *named_create(const char *name, struct config *cfg);
/* The tree of a VM: what its file has, and its name.  NULL with a sentence. */
struct config *named_config(const struct vmdir *dir);
/*
 * Start it: detached, returning when the guest runs, or in the foreground, returning when it has ended.  The exit code of the command; errors
 * were printed.
 */
int	named_start(struct vmdir *dir, bool detach);

#endif /* _HYVE_NAMED_H_ */
