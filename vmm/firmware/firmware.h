/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * firmware.h - which firmware a machine starts with, and where it keeps its variables.
 *
 * Nothing is shipped: the images are those of the distribution's packages, found where these put them.
 */
#ifndef _HYVE_FIRMWARE_H_
#define	_HYVE_FIRMWARE_H_

#include <stdbool.h>

#include "../boot/boot.h"
#include "../config/config.h"

struct device;

/* Where a distribution has an image for a machine; machines have lists of these, the best first, ended by one with NULL. */
struct firmware_place {
	const char	*code;
	const char	*template;	/* of the variables' flash; NULL: it begins empty */
	const char	*package;	/* "qemu-efi-aarch64 (Debian, Ubuntu)" */
};

/* The keys below "firmware". */
extern const struct config_keys firmware_keys;
/* And below "firmware.item.N", for each file that firmware is given. */
extern const struct config_keys firmware_item_keys;

/* What was chosen; strings are the structure's. */
struct firmware {
	char		*code;		/* image */
	char		*template;	/* NULL: variables begin empty */
	char		*vars;		/* file of the variables; NULL: they are gone with the VM */
	bool		 bios;		/* a PC's BIOS, which keeps none */
};

/* Whether the configuration asks for firmware. */
bool	firmware_wanted(struct config *cfg);

/*
 * Choose by the keys and, for "uefi" and "bios", by what is installed; an image is a BIOS where there are such and it has no more than 512 KiB.
 * The variables' file is the key's, else $XDG_STATE_HOME/hyve/NAME.vars
 * (~/.local/state) for a VM with a name, else DISK.vars beside the first disk that is a file, else there is none.
 *
 * -1 with a sentence that says where it looked: ENOENT (not installed, no such file), ENOTSUP (places or bios NULL: the machine
 * has none), ENOMEM; *fw is to be freed only after a success.  Control thread.
 */
int	firmware_choose(struct config *cfg, const struct firmware_place *places, const struct firmware_place *bios, struct firmware *fw);
void	firmware_free(struct firmware *fw);

/* How long it is to wait for a key, as the keys say.  -1 with a sentence. */
int	firmware_publish_settings(struct device *fw_cfg, struct config *cfg);
/* Give it the files that the keys below "firmware.item" name.  -1 with a sentence.  Control thread. */
int	firmware_publish_items(struct device *fw_cfg);
/* Give it a kernel to start, with what is of use: an initrd, a command line (QEMU's docs/specs/fw_cfg).  -1 with a sentence. */
int	firmware_publish_kernel(struct device *fw_cfg, const struct boot_spec *spec);

#endif /* _HYVE_FIRMWARE_H_ */
