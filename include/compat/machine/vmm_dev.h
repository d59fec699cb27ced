/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat/machine/vmm_dev.h - there is no ioctl interface under hyve; bhyve's programs include this for the types.
 */
#ifndef _COMPAT_MACHINE_VMM_DEV_H_
#define	_COMPAT_MACHINE_VMM_DEV_H_

#include <machine/vmm.h>

#endif /* _COMPAT_MACHINE_VMM_DEV_H_ */
