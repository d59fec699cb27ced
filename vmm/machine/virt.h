/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * virt.h - what the files of the arm64 machine share: its map, and its devicetree.
 */
#ifndef _HYVE_VIRT_H_
#define	_HYVE_VIRT_H_

#include "../firmware/fdt.h"
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

#define	VIRT_POWER_BUTTON 3		/* line of the GPIO */

struct virt {
	struct device	*uart, *rtc, *gpio;
};

/* The devicetree of a machine whose devices exist; *blob is the caller's to dt_free().  -1 with a sentence.  Control thread. */
int	virt_fdt(struct machine *m, struct dt_blob *blob);

#endif /* _HYVE_VIRT_H_ */
