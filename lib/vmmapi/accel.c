/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * accel.c - choosing a back end and bringing it to where the VM's record is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"

const struct accel_ops *
accel_lookup(enum vm_accel id)
{
	static const struct accel_ops *const all[] = { &accel_kvm, &accel_soft };

	for (size_t i = 0; i < nitems(all); i++) {
		if (all[i]->id == id)
			return (all[i]);
	}
	return (NULL);
}

int
vm_accel_probe(enum vm_accel accel, enum vm_arch arch)
{
	const struct accel_ops *ops = accel_lookup(accel);

	if (ops == NULL)
		return (vm_fail(EINVAL, "back end %d: there is no such number", (int)accel));
	if (md_lookup(arch) == NULL)
		return (vm_fail(EINVAL, "architecture %d: there is no such number", (int)arch));
	return (ops->probe(arch, false));
}

#define	NOT_KVM	"soft; not kvm: "

/* auto: kvm when it runs this guest at hardware speed, else soft.  The reason is one line for a person. */
static const struct accel_ops *
accel_choose(struct vmctx *vm)
{
	const struct accel_ops *ops;
	char why[256];

	if (vm->want != VM_ACCEL_AUTO) {
		ops = accel_lookup(vm->want);
		if (ops->id == VM_ACCEL_KVM && clock_is_icount(vm))
			return (vm_fail_null(ENOTSUP, "vm '%s': back end kvm cannot run on virtual time (clock=icount): use soft",
			    vm->name));
		if (ops->probe(vm->md->arch, false) != 0 || ops->fits(vm) != 0)
			return (NULL);
		(void)snprintf(vm->reason, sizeof(vm->reason), "%s, as asked", ops->name);
		return (ops);
	}
	if (clock_is_icount(vm)) {
		(void)snprintf(vm->reason, sizeof(vm->reason), "soft; virtual time (clock=icount) rules kvm out");
		return (accel_soft.probe(vm->md->arch, false) == 0 && accel_soft.fits(vm) == 0 ? &accel_soft : NULL);
	}
	if (accel_kvm.probe(vm->md->arch, true) == 0 && accel_kvm.fits(vm) == 0) {
		(void)snprintf(vm->reason, sizeof(vm->reason), "kvm, at hardware speed");
		return (&accel_kvm);
	}
	(void)snprintf(vm->reason, sizeof(vm->reason), NOT_KVM "%s", vm_errmsg());
	if (accel_soft.probe(vm->md->arch, false) == 0 && accel_soft.fits(vm) == 0)
		return (&accel_soft);
	/* Neither: both reasons. */
	(void)snprintf(why, sizeof(why), "%s", vm_errmsg());
	return (vm_fail_null(ENOTSUP, "%s; and not kvm: %s", why, vm->reason + strlen(NOT_KVM)));
}

/* Someone may be at the vCPU's registers meanwhile. */
static int
replay_vcpu(struct vcpu *vcpu)
{
	const struct accel_ops *accel = vcpu->vm->accel;
	const struct md_ops *md = vcpu->vm->md;
	int error;

	pthread_mutex_lock(&vcpu->lock);
	error = accel->vcpu_create(vcpu);
	for (unsigned c = 0; error == 0 && accel->cap_set != NULL && c < md->ncaps; c++) {
		int type = md->caps[c].type, val = vcpu->caps[type];

		if (val != md->caps[c].initial)
			error = accel->cap_set(vcpu, type, val);
	}
	pthread_mutex_unlock(&vcpu->lock);
	return (error);
}

static int
accel_replay(struct vmctx *vm)
{
	const struct accel_ops *accel = vm->accel;

	if (accel->vm_create(vm) != 0)
		return (-1);
	for (unsigned i = 0; i < vm->nmaps; i++) {
		vm->maps[i].slot = -1;
		if (accel->mem_map(vm, &vm->maps[i]) != 0)
			return (-1);
	}
	if (ppt_attach(vm) != 0)
		return (-1);
	if (accel->irq_set == NULL && vm->intc_ops->create(vm) != 0)
		return (-1);
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL && replay_vcpu(vm->vcpus[i]) != 0)
			return (-1);
	}
	if (accel->vm_finalize != NULL && accel->vm_finalize(vm) != 0)
		return (-1);
	if (atomic_load(&vm->dirty_users) != 0 && accel->dirty_start != NULL && accel->dirty_start(vm) != 0)
		return (-1);
	irq_replay(vm);
	range_replay(vm);
	return (0);
}

int
vm_attach_accel(struct vmctx *vm)
{
	const struct accel_ops *ops = accel_choose(vm);

	if (ops == NULL)
		return (-1);
	vm->accel = ops;
	if (accel_replay(vm) != 0) {
		vm_detach_accel(vm);
		return (-1);
	}
	if (atomic_load(&vm->paused) == 0)
		clock_run(vm, true);
	atomic_store(&vm->started, true);
	return (0);
}

/* Take the state back into the pages and let the back end go.  vCPUs do not run. */
void
vm_detach_accel(struct vmctx *vm)
{
	if (vm->accel == NULL)
		return;
	atomic_store(&vm->started, false);
	clock_run(vm, false);
	for (int i = 0; i < VM_MAXCPU; i++) {
		struct vcpu *vcpu = vm->vcpus[i];

		if (vcpu == NULL)
			continue;
		pthread_mutex_lock(&vcpu->lock);
		if (vcpu->in_accel)
			(void)vcpu_fetch(vcpu);
		vcpu->in_accel = false;
		vcpu->read_open = vcpu->replied = vcpu->exit_valid = false;
		pthread_mutex_unlock(&vcpu->lock);
	}
	range_detach(vm);
	irq_detach(vm);
	for (int i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL)
			vm->accel->vcpu_destroy(vm->vcpus[i]);
	}
	if (vm->accel->irq_set == NULL && vm->intc != NULL)
		vm->intc_ops->destroy(vm);
	vm->intc = NULL;
	ppt_detach(vm);
	vm->accel->vm_destroy(vm);
	memset(&vm->debug, 0, sizeof(vm->debug));
	vm->accel_vm = NULL;
	vm->accel = NULL;
}
