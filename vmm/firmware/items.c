/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * items.c - what a user has firmware told, or the system behind it: files of fw_cfg, which by custom begin with "opt/".
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../device.h"
#include "../error.h"
#include "firmware.h"
#include "fw_cfg.h"

static const struct config_key keys[] = {
	KEY_STRING("name", REQUIRED, "a file that firmware and the system behind it are given by fw_cfg, as opt/org.example/key"),
	KEY_STRING("string", NULL, "what is in it; or"),
	KEY_PATH("file", NULL, "the host's file that is in it"),
};

const struct config_keys firmware_item_keys = {
	.key = keys,
	.nkeys = sizeof(keys) / sizeof(keys[0]),
};

/* config_each(): one item, by its name. */
static int
publish(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	struct device *fw_cfg = arg;
	struct boot_file file = { .path = NULL };
	char place[CONFIG_NAME_MAX + 1], where[512];
	const char *string, *path;
	struct config_node *node;
	int r;

	if (key != &keys[0] || text == NULL)
		return (0);
	(void)snprintf(place, sizeof(place), "%.*s", (int)(strrchr(name, '.') - name), name);
	node = config_node(fw_cfg->vmm->config, place);
	string = config_str(node, "string");
	path = config_str(node, "file");
	if ((string == NULL) == (path == NULL))
		return (vmm_fail(EINVAL, "%s: %s has either a string or a file", config_origin_text(origin, where, sizeof(where)), place));
	if (path == NULL)
		return (fw_cfg_add_file(fw_cfg, config_str(node, "name"), string, strlen(string)));
	if (boot_read_file(path, &file) != 0)
		return (-1);
	r = fw_cfg_add_file(fw_cfg, config_str(node, "name"), file.data, file.len);
	free((void *)(uintptr_t)file.data);
	return (r);
}

int
firmware_publish_items(struct device *fw_cfg)
{
	return (config_each(fw_cfg->vmm->config, publish, fw_cfg));
}
