/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virt.h - what the files of the arm64 machine share: its map, and its devicetree.
 */
#ifndef _HYVE_VIRT_H_
#define	_HYVE_VIRT_H_

#include "../firmware/fdt.h"
#include "../firmware/firmware.h"
#include "machine.h"

#define	VIRT_RAM	0x40000000ULL
#define	VIRT_ECAM	0x4010000000ULL
#define	VIRT_MEM32_BASE	0x10000000ULL
#define	VIRT_MEM32_LIMIT 0x3eff0000ULL
#define	VIRT_PIO	0x3eff0000ULL
#define	VIRT_PIO_LEN	0x10000ULL
#define	VIRT_MEM64_BASE	0x8000000000ULL
#define	VIRT_MEM64_LIMIT 0x10000000000ULL

#define	VIRT_PCI_LINE	3		/* and the three behind it */
#define	VIRT_PCI_LINES	4

#define	VIRT_UART	0x09000000ULL
#define	VIRT_GPIO	0x09030000ULL
#define	VIRT_LINE_UART	1
#define	VIRT_LINE_GPIO	7
#define	VIRT_POWER_BUTTON 3		/* line of the GPIO */

struct virt {
	struct device	*uart, *rtc, *gpio;
	struct device	*fw_cfg;	/* NULL: no firmware */
};

/* Where distributions have firmware for this machine. */
extern const struct firmware_place virt_firmware_places[];

/* The devices that firmware starts from and asks.  -1 with a sentence. */
int	virt_firmware_init(struct machine *m);
/* Tell it everything, and put vCPU 0 at its start.  -1 with a sentence. */
int	virt_firmware_boot(struct machine *m, const struct boot_spec *spec, const struct dt_blob *fdt);

/* The devicetree of a machine whose devices exist; *blob is the caller's to dt_free().  -1 with a sentence.  Control thread. */
int	virt_fdt(struct machine *m, struct dt_blob *blob);

#endif /* _HYVE_VIRT_H_ */
