/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hold.h - a VM that is held: no processor runs, no device is at work, its clock stands.  It is what stop and a debugger do.
 *
 * Holds nest: several can want it for reasons of their own, and the VM goes on when the last has let go.  They outlive the machine: one
 * that was reset while it was held begins held.
 *
 * Control thread.
 */
#ifndef _HYVE_HOLD_H_
#define	_HYVE_HOLD_H_

#include "device.h"

/* Stop it, if nobody has.  -1 with a sentence. */
int	vmm_hold(struct vmm *vmm);
/* Undo one vmm_hold(). */
void	vmm_release(struct vmm *vmm);
/* Whether somebody holds it. */
bool	vmm_held(const struct vmm *vmm);

/*
 * A new machine is about to run, its vCPUs are open and its devices paused: they are resumed, or, if somebody holds the VM, its vCPUs are
 * kept from running.  -1 with a sentence.
 */
int	vmm_begin(struct vmm *vmm);

/*
 * Call fn(arg) now, or behind the release of who holds the VM, unless the machine has ended before.  Of several that wait the last is kept.
 */
void	vmm_when_released(struct vmm *vmm, event_fn *fn, void *arg);
/* Call fn(arg, held) when the VM has stopped, and when it is about to go on.  One watcher; fn NULL: none. */
void	vmm_watch_hold(struct vmm *vmm, void (*fn)(void *arg, bool held), void *arg);

#endif /* _HYVE_HOLD_H_ */
