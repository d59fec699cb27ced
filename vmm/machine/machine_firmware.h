/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine_firmware.h - what the firmware of any machine is told, by fw_cfg.  Control thread, before the guest starts.
 */
#ifndef _HYVE_MACHINE_FIRMWARE_H_
#define	_HYVE_MACHINE_FIRMWARE_H_

#include "machine.h"

/* A key that firmware decides and not the user; NULL leaves it alone.  -1 with a sentence. */
int	machine_firmware_key(struct machine *m, const char *key, const char *value);

/*
 * How many processors there are, who made the machine (SMBIOS, with the processors' family), how long to wait for a key, what to boot
 * from, a kernel if there is one.  -1 with a sentence.
 */
int	machine_firmware_tell(struct machine *m, struct device *fw_cfg, const struct boot_spec *spec, uint16_t cpu_family);

#endif /* _HYVE_MACHINE_FIRMWARE_H_ */
