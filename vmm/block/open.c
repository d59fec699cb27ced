/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * open.c - from a disk's keys to its layers of storage.
 */
#include <errno.h>

#include "../error.h"
#include "store.h"

struct block *
block_open(const struct block_options *o)
{
	struct store *s = raw_open(o);

	if (s != NULL && o->record != NULL)
		s = recorder_open(s, o);
	if (s != NULL && (s->size == 0 || s->size % BLOCK_SECTOR != 0)) {
		(void)vmm_fail(EINVAL, "disk '%s' has %llu bytes; a raw image is a whole number of sectors of %u bytes", o->path,
		    (unsigned long long)s->size, BLOCK_SECTOR);
		store_close(s);
		errno = EINVAL;
		return (NULL);
	}
	return (s != NULL ? block_open_store(s) : NULL);
}

struct block *
block_open_keys(struct device *dev, struct config_node *node)
{
	const struct block_options o = {
		.path = config_str(node, "path"),
		.readonly = config_bool(node, "ro"),
		.dev = dev,
		.record = config_str(node, "record"),
	};

	return (block_open(&o));
}
