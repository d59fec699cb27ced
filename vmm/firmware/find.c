/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * find.c - finds firmware and a place for its variables, and hands it a kernel.
 */
#include <sys/stat.h>

#include <endian.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../error.h"
#include "firmware.h"
#include "fw_cfg.h"

static const struct config_key keys[] = {
	KEY_STRING("code", NULL, "firmware to start with: uefi or, on amd64, bios, which are looked for where distributions have them, or an image"),
	KEY_PATH("vars", NULL, "file of the firmware's variables, made if it is missing; else one for the VM's name or disk"),
	KEY_INT("wait", 0, 0, 60, "seconds that it waits for a key, ESC or F2, that opens its menu"),
	KEY_PATH("template", NULL, "what new variables begin with; else the file that belongs to the image"),
};

const struct config_keys firmware_keys = {
	.key = keys,
	.nkeys = sizeof(keys) / sizeof(keys[0]),
};

bool
firmware_wanted(struct config *cfg)
{
	return (config_str(config_node(cfg, "firmware"), "code") != NULL);
}

static bool
readable(const char *path)
{
	return (access(path, R_OK) == 0);
}

/* All the places, for the sentence. */
static void
list(const struct firmware_place *places, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (const struct firmware_place *p = places; p->code != NULL && len < size; p++)
		len += (size_t)snprintf(buf + len, size - len, "%s%s (package %s)", p == places ? "" : ", ", p->code, p->package);
}

static const struct firmware_place *
find_installed(const struct firmware_place *places, const char *what)
{
	char where[1024];

	for (const struct firmware_place *p = places; p->code != NULL; p++) {
		if (readable(p->code))
			return (p);
	}
	list(places, where, sizeof(where));
	return (vmm_fail_null(ENOENT, "no %s for this machine is installed; looked for %s. Install one of them, or name an image: "
	    "--firmware FILE", what, where));
}

/*
 * The template beside an image: AAVMF_VARS.fd beside AAVMF_CODE.fd, in the spelling that the name has.  NULL if there is none.
 */
static char *
sibling(const char *code)
{
	static const char *const pairs[][2] = { { "CODE", "VARS" }, { "code", "vars" } };
	const char *slash = strrchr(code, '/'), *name = slash != NULL ? slash + 1 : code;
	char *path;

	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		const char *at = strstr(name, pairs[i][0]);

		if (at == NULL)
			continue;
		path = strdup(code);
		if (path != NULL)
			memcpy(path + (at - code), pairs[i][1], 4);
		if (path != NULL && readable(path))
			return (path);
		free(path);
	}
	return (NULL);
}

/* Variables */

/* The user's folder for what programs keep (XDG base directory specification); made if it is missing. */
static char *
state_path(const char *name)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *dir = NULL, *path = NULL;

	if (state != NULL && state[0] == '/') {
		if (asprintf(&dir, "%s/hyve", state) < 0)
			return (NULL);
	} else if (home == NULL || asprintf(&dir, "%s/.local/state/hyve", home) < 0)
		return (NULL);
	/* Its parents too. */
	for (char *p = dir + 1; p != NULL; p = strchr(p + 1, '/')) {
		if (*p != '/')
			continue;
		*p = '\0';
		(void)mkdir(dir, 0700);
		*p = '/';
	}
	(void)mkdir(dir, 0700);
	if (asprintf(&path, "%s/%s.vars", dir, name) < 0)
		path = NULL;
	free(dir);
	return (path);
}

struct first_disk {
	struct config	*cfg;
	const char	*path;
};

/* Whether what has the key called name, which ends in ".path", is a CD drive. */
static bool
is_cd(struct config *cfg, const char *name)
{
	char node[CONFIG_NAME_MAX + 1];
	const char *type;

	(void)snprintf(node, sizeof(node), "%.*s", (int)(strlen(name) - strlen(".path")), name);
	type = config_str(config_node(cfg, node), "type");
	return (type != NULL && strcmp(type, "cd") == 0);
}

/* config_each(): the first disk's file. */
static int
first_disk(void *arg, const char *name, const struct config_key *key, const char *text, const struct config_origin *origin)
{
	size_t len = strlen(name);
	struct first_disk *disk = arg;
	struct stat st;

	if (key == NULL || key->type != CONFIG_PATH || text == NULL || strncmp(name, "pci.", 4) != 0 || len < 5 ||
	    strcmp(name + len - 5, ".path") != 0 || stat(text, &st) != 0 || !S_ISREG(st.st_mode) || is_cd(disk->cfg, name))
		return (0);
	disk->path = text;
	return (1);
}

/* false: no memory. */
static bool
choose_vars(struct config *cfg, struct firmware *fw)
{
	const char *given = config_str(config_node(cfg, "firmware"), "vars"), *name = config_str(config_node(cfg, ""), "name");
	struct first_disk disk = { cfg, NULL };

	if (given != NULL)
		return ((fw->vars = strdup(given)) != NULL);
	if (name != NULL)
		return ((fw->vars = state_path(name)) != NULL);
	if (config_each(cfg, first_disk, &disk) == 0)
		return (true);
	if (asprintf(&fw->vars, "%s.vars", disk.path) < 0) {
		fw->vars = NULL;
		return (false);
	}
	return (true);
}

/* The largest that a PC's address space had room for, and less than any UEFI firmware has. */
static bool
is_bios(const char *path)
{
	struct stat st;

	return (stat(path, &st) == 0 && st.st_size <= 512 << 10);
}

int
firmware_choose(struct config *cfg, const struct firmware_place *places, const struct firmware_place *bios, struct firmware *fw)
{
	struct config_node *node = config_node(cfg, "firmware");
	const char *code = config_str(node, "code"), *template = config_str(node, "template");
	const struct firmware_place *found;

	*fw = (struct firmware){ .code = NULL };
	if (places == NULL)
		return (vmm_fail(ENOTSUP, "this machine has no firmware yet; it starts kernels only: --kernel FILE"));
	if (strcmp(code, "uefi") == 0) {
		found = find_installed(places, "UEFI firmware");
		if (found == NULL)
			return (-1);
		code = found->code;
		if (template == NULL && found->template != NULL && readable(found->template))
			template = found->template;
	} else if (strcmp(code, "bios") == 0) {
		if (bios == NULL)
			return (vmm_fail(ENOTSUP, "there is no BIOS for this machine; --firmware uefi or an image"));
		found = find_installed(bios, "BIOS");
		if (found == NULL)
			return (-1);
		code = found->code;
	} else if (!readable(code))
		return (vmm_fail_sys(errno, "firmware '%s'", code));
	if (bios != NULL && is_bios(code)) {
		fw->bios = true;
		fw->code = strdup(code);
		return (fw->code != NULL ? 0 : vmm_fail(ENOMEM, "firmware: no memory"));
	}
	fw->code = strdup(code);
	fw->template = template != NULL ? strdup(template) : sibling(code);
	if (fw->code != NULL && (template == NULL || fw->template != NULL) && choose_vars(cfg, fw))
		return (0);
	firmware_free(fw);
	return (vmm_fail(ENOMEM, "firmware: no memory"));
}

void
firmware_free(struct firmware *fw)
{
	free(fw->code);
	free(fw->template);
	free(fw->vars);
	*fw = (struct firmware){ .code = NULL };
}

int
firmware_publish_settings(struct device *fw_cfg, struct config *cfg)
{
	uint16_t wait = (uint16_t)(config_num(config_node(cfg, "firmware"), "wait") * 1000);

	/* The file counts only if there is a boot menu. */
	if (fw_cfg_add_number(fw_cfg, FW_CFG_BOOT_MENU, 1, 2) != 0)
		return (-1);
	wait = htole16(wait);
	return (fw_cfg_add_file(fw_cfg, "etc/boot-menu-wait", &wait, sizeof(wait)));
}

int
firmware_publish_kernel(struct device *fw_cfg, const struct boot_spec *spec)
{
	const struct boot_file *kernel = &spec->kernel, *initrd = &spec->modules[0];

	if (kernel->data == NULL)
		return (0);
	if (spec->nmodules > 1)
		return (vmm_fail(EINVAL, "firmware starts a kernel with one initrd, not with modules"));
	if (fw_cfg_add_number(fw_cfg, FW_CFG_KERNEL_SIZE, kernel->len, 4) != 0 ||
	    fw_cfg_lend_key(fw_cfg, FW_CFG_KERNEL_DATA, kernel->data, kernel->len) != 0 ||
	    fw_cfg_add_number(fw_cfg, FW_CFG_CMDLINE_SIZE, strlen(spec->cmdline) + 1, 4) != 0 ||
	    fw_cfg_add_key(fw_cfg, FW_CFG_CMDLINE_DATA, spec->cmdline, strlen(spec->cmdline) + 1) != 0)
		return (-1);
	if (spec->nmodules == 0)
		return (0);
	if (fw_cfg_add_number(fw_cfg, FW_CFG_INITRD_SIZE, initrd->len, 4) != 0)
		return (-1);
	return (fw_cfg_lend_key(fw_cfg, FW_CFG_INITRD_DATA, initrd->data, initrd->len));
}
