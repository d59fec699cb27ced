/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fw_cfg.h - the device by which stock firmware learns about its machine (QEMU's docs/specs/fw_cfg): numbered items and named
 * files, filled by the machine before the guest starts.
 */
#ifndef _HYVE_FW_CFG_H_
#define	_HYVE_FW_CFG_H_

#include <stddef.h>
#include <stdint.h>

struct device;

/* Items with a number of their own. */
#define	FW_CFG_RAM_SIZE		0x03	/* 8 bytes; all numbers are little-endian */
#define	FW_CFG_NB_CPUS		0x05	/* 2 bytes */
#define	FW_CFG_KERNEL_SIZE	0x08	/* 4 bytes */
#define	FW_CFG_INITRD_SIZE	0x0b	/* 4 bytes */
#define	FW_CFG_BOOT_MENU	0x0e	/* 2 bytes */
#define	FW_CFG_MAX_CPUS		0x0f	/* 2 bytes */
#define	FW_CFG_KERNEL_DATA	0x11
#define	FW_CFG_INITRD_DATA	0x12
#define	FW_CFG_CMDLINE_SIZE	0x14	/* 4 bytes, with the ending zero */
#define	FW_CFG_CMDLINE_DATA	0x15
#define	FW_CFG_ARCH_LOCAL	0x8000	/* from here on the architecture's own */

#define	FW_CFG_NAME_MAX		55	/* bytes of a file's name */
#define	FW_CFG_FILES_MAX	128
#define	FW_CFG_WRITABLE_MAX	4096	/* bytes of all writable files together */

/*
 * Add item number key, with a copy of data; or, lent, with data itself, which outlives the device.  For all of these: EEXIST if
 * there is one, EINVAL for a number or name that cannot be, ENOSPC, ENOMEM, with a sentence.  Control thread, before the guest runs.
 */
int	fw_cfg_add_key(struct device *dev, uint16_t key, const void *data, size_t len);
int	fw_cfg_lend_key(struct device *dev, uint16_t key, const void *data, size_t len);
/* A little-endian number of size bytes. */
int	fw_cfg_add_number(struct device *dev, uint16_t key, uint64_t value, unsigned size);
/* Add a file, with a copy of data; one that the guest may write begins as data again at every reset. */
int	fw_cfg_add_file(struct device *dev, const char *name, const void *data, size_t len);
int	fw_cfg_add_writable(struct device *dev, const char *name, const void *data, size_t len);

/* The item of a file; NULL if there is none.  Control thread. */
const void *fw_cfg_file(struct device *dev, const char *name, size_t *len);

#endif /* _HYVE_FW_CFG_H_ */
