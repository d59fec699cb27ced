/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_devices.h - for targets that play a guest of device models.
 */
#ifndef _FUZZ_DEVICES_H_
#define	_FUZZ_DEVICES_H_

#include "device.h"
#include "fuzz_guest.h"

static int
fuzz_save_devices(void *arg, struct vm_state_out *out)
{
	return (devices_save(arg, out));
}

static int
fuzz_load_devices(void *arg, struct vm_state_in *in)
{
	return (devices_load(arg, in));
}

/* All devices through a snapshot of themselves. */
static inline void
fuzz_move(struct vmm *vmm)
{
	devices_pause(vmm);
	fuzz_state(vmm, fuzz_save_devices, fuzz_load_devices);
	devices_resume(vmm);
}

#endif /* _FUZZ_DEVICES_H_ */
