/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - configuration as JSON: the keys of the tree as nested objects.
 *
 *	{ "cpus": 2, "memory": { "size": "1G" }, "pci": { "0": { "4": { "0": { "device": "virtio-blk", "path": "disk.img" } } } } }
 *
 * Numbers and booleans stand for their text, members of a list for names that count from 0, and a name with dots for the objects that
 * it would be nested in.
 */
#ifndef _HYVE_CONFIG_JSON_H_
#define	_HYVE_CONFIG_JSON_H_

#include <jansson.h>

#include "config.h"

/*
 * Whether a file's text is JSON and not lines of name=value: its first byte that is not blank is '{', with which no name begins.
 */
bool	config_is_json(const char *text, size_t len);

/*
 * Set what the object in text, which is called what in origins, has.  Stops at the first error, whose sentence has file and line; keys
 * before it stay set.  Errors: EINVAL (no JSON, null, a number with a fraction, the same key twice), those of config_set(), ENOMEM.
 */
int	config_load_json(struct config *cfg, const char *what, const char *text, size_t len);

/*
 * The tree as such an object, which the caller owns: values as they were set, not expanded; CONFIG_DUMP_ALL has defaults too, the other
 * flags are ignored.  config_load_json() takes it again.  NULL with a sentence: EILSEQ (a value is not UTF-8), ENOMEM.
 */
json_t	*config_to_json(struct config *cfg, unsigned flags);

#endif /* _HYVE_CONFIG_JSON_H_ */
