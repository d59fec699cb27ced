/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bootorder.h - the order of devices in which firmware boots.
 */
#ifndef _HYVE_BOOTORDER_H_
#define	_HYVE_BOOTORDER_H_

#include "../device.h"

/*
 * Give firmware the order that the devices' bootindex keys say; none of them is set: nothing.  -1 with a sentence (two have the same).
 * Control thread, before the guest starts.
 */
int	bootorder_publish(struct vmm *vmm, struct device *fw_cfg);

/* Whether every device has a place of its own: -1 with EINVAL and a sentence.  Control thread. */
int	bootorder_check(struct vmm *vmm);

#endif /* _HYVE_BOOTORDER_H_ */
