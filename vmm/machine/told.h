/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * told.h - what the firmware of any machine is told, by fw_cfg.  Control thread, before the guest starts.
 */
#ifndef _HYVE_TOLD_H_
#define	_HYVE_TOLD_H_

#include "machine.h"

/* A key that firmware decides and not the user; NULL leaves it alone.  -1 with a sentence. */
int	told_key(struct machine *m, const char *key, const char *value);

/*
 * How many processors there are, who made the machine (SMBIOS, with the processors' family), how long to wait for a key, a kernel if
 * there is one.  -1 with a sentence.
 */
int	told_machine(struct machine *m, struct device *fw_cfg, const struct boot_spec *spec, uint16_t cpu_family);

#endif /* _HYVE_TOLD_H_ */
