/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pc.h - what the files of the amd64 machine share.
 */
#ifndef _HYVE_PC_H_
#define	_HYVE_PC_H_

#include "../firmware/firmware.h"
#include "machine.h"

struct acpi_blob;

#define	PC_COM1		0x3f8

struct pc {
	struct vm_i8254	*pit;
	struct device	*pm, *pm_timer, *rtc, *hpet, *port92;
	struct device	*lpc;
	struct device	*kbc;		/* NULL: no keyboard controller */
	struct vm_irq	*rtc_irq;
	struct vm_range	*debug_exit;
	struct device	*fw_cfg;	/* NULL: no firmware */
	struct vm_range	*bios_log;	/* NULL: no BIOS */
	char		 bios_line[160];	/* what it has not ended yet; its vCPU's thread */
	unsigned	 bios_len;
	bool		 lax_msrs;
};

/* Where distributions have firmware for this machine. */
extern const struct firmware_place pc_firmware_places[], pc_bios_places[];

/* The devices that firmware starts from and asks.  -1 with a sentence. */
int	pc_firmware_init(struct machine *m);
/* Tell it everything.  vCPU 0 is where it starts when it is switched on.  -1 with a sentence. */
int	pc_firmware_boot(struct machine *m, const struct boot_spec *spec);

/*
 * The ACPI tables; *blob is the caller's to acpi_free().  mem64_base: where firmware may put BARs of 64 bits, 0 if it may not.  -1 with a
 * sentence.
 */
int	pc_acpi(struct machine *m, uint64_t mem64_base, struct acpi_blob *blob);

#endif /* _HYVE_PC_H_ */
