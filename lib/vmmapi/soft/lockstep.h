/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lockstep.h - native code checked against the first tier, as the VM runs (vm_jit.check).
 */
#ifndef _VMMAPI_SOFT_LOCKSTEP_H_
#define	_VMMAPI_SOFT_LOCKSTEP_H_

#include "soft.h"

struct soft_lockstep;

/* 0, or -1 with a sentence: virtual time, one vCPU. */
int	soft_lockstep_create(struct soft_cpu *cpu);
void	soft_lockstep_free(struct soft_cpu *cpu);
/*
 * In place of the core's run(): in guest code, which is left and entered on the way.  SOFT_EXIT with VM_EXIT_ERROR, and the difference as
 * vm_errmsg(), if the two are not the same.
 */
enum soft_stop soft_lockstep_run(struct soft_cpu *cpu, uint64_t budget);

#endif /* _VMMAPI_SOFT_LOCKSTEP_H_ */
