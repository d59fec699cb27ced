/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prealloc.h - all of a guest's RAM from the host at once.
 */
#ifndef _HYVE_PREALLOC_H_
#define	_HYVE_PREALLOC_H_

#include <vmmapi.h>

struct log;

/*
 * Have the host give all of the VM's RAM now, by several threads; what takes longer is told in the log every few seconds.  Contents stay.  No
 * vCPU runs.  0, or -1 with a sentence that says how far it came: ENOMEM.
 */
int	vmm_prealloc(struct vmctx *vm, struct log *log);

#endif /* _HYVE_PREALLOC_H_ */
