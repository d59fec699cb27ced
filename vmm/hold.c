/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hold.c - stopping a VM and letting it go on.
 */
#include <stddef.h>

#include "error.h"
#include "hold.h"
#include "trace.h"

bool
vmm_held(const struct vmm *vmm)
{
	return (vmm->hold.count != 0);
}

static void
tell(struct vmm *vmm, bool held)
{
	if (vmm->hold.changed != NULL)
		vmm->hold.changed(vmm->hold.changed_arg, held);
}

/* vCPUs first: behind vm_pause() no handler of a device runs, and the clock stands before the devices do. */
static int
stop(struct vmm *vmm)
{
	if (vm_pause(vmm->vm) != 0)
		return (vmm_fail_vm("the VM cannot be stopped"));
	devices_pause(vmm);
	TRACE(vmm->log, vm__stop, NULL);
	return (0);
}

int
vmm_hold(struct vmm *vmm)
{
	if (vmm->hold.count == 0 && vmm->vm != NULL) {
		if (stop(vmm) != 0)
			return (-1);
		vmm->hold.stopped = vmm->vm;
	}
	if (vmm->hold.count++ == 0)
		tell(vmm, true);
	return (0);
}

void
vmm_release(struct vmm *vmm)
{
	event_fn *fn = vmm->hold.later;
	bool there;

	if (vmm->hold.count == 0 || --vmm->hold.count != 0)
		return;
	tell(vmm, false);
	there = vmm->vm != NULL && vmm->hold.stopped == vmm->vm;
	vmm->hold.stopped = NULL;
	vmm->hold.later = NULL;
	/* A machine that has ended meanwhile neither goes on nor has anything done to it. */
	if (!there)
		return;
	TRACE(vmm->log, vm__go, NULL);
	devices_resume(vmm);
	(void)vm_resume(vmm->vm);
	if (fn != NULL)
		fn(vmm->hold.later_arg);
}

int
vmm_begin(struct vmm *vmm)
{
	/* What was to be done was for the machine before. */
	vmm->hold.later = NULL;
	vmm->hold.stopped = NULL;
	if (!vmm_held(vmm)) {
		devices_resume(vmm);
		return (0);
	}
	if (vm_pause(vmm->vm) != 0)
		return (vmm_fail_vm("the VM cannot be held"));
	vmm->hold.stopped = vmm->vm;
	return (0);
}

void
vmm_when_released(struct vmm *vmm, event_fn *fn, void *arg)
{
	if (!vmm_held(vmm)) {
		fn(arg);
		return;
	}
	vmm->hold.later = fn;
	vmm->hold.later_arg = arg;
}

void
vmm_watch_hold(struct vmm *vmm, void (*fn)(void *arg, bool held), void *arg)
{
	vmm->hold.changed = fn;
	vmm->hold.changed_arg = arg;
}
