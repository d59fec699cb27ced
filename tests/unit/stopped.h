/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stopped.h - for tests of what ends or resets a VM.
 */
#ifndef _STOPPED_H_
#define	_STOPPED_H_

#include <vmmapi.h>

#include <test.h>

/* How the VM was stopped, and on again; VM_SUSPEND_NONE: it was not. */
static inline enum vm_suspend_how
stopped(struct vmctx *vm)
{
	struct vcpu *vcpu = vm_vcpu_open(vm, 0);
	struct vm_exit ex;

	/* The first reason wins. */
	if (vm_suspend(vm, VM_SUSPEND_DESTROY) == 0) {
		CHECK_EQ(vm_unsuspend(vm), 0);
		return (VM_SUSPEND_NONE);
	}
	CHECKF(vcpu != NULL && vm_run(vcpu, &ex) == 0, "%s", vm_errmsg());
	CHECK_EQ(ex.code, VM_EXIT_SUSPENDED);
	CHECK_EQ(vm_unsuspend(vm), 0);
	vm_vcpu_close(vcpu);
	return (ex.u.suspended.how);
}

#endif /* _STOPPED_H_ */
