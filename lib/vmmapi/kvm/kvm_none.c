/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_none.c - the kvm back end on hosts whose architecture hyve has no guests of: it says so.
 */
#include <errno.h>

#include "../internal.h"

static int
kvm_probe(enum vm_arch arch, bool fast)
{
	return (vm_fail(ENOTSUP, "kvm: %s guests do not run on this host's architecture", vm_arch_name(arch)));
}

static int
kvm_fits(struct vmctx *vm)
{
	return (kvm_probe(vm->md->arch, false));
}

static int
kvm_vm_create(struct vmctx *vm)
{
	return (kvm_probe(vm->md->arch, false));
}

const struct accel_ops accel_kvm = {
	.name = "kvm",
	.id = VM_ACCEL_KVM,
	.probe = kvm_probe,
	.fits = kvm_fits,
	.vm_create = kvm_vm_create,
};
