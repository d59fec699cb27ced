/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cap.c - capabilities: machine-independent calls over the architecture's list.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"

static const struct md_cap *
cap_find(const struct md_ops *md, int type)
{
	for (unsigned i = 0; i < md->ncaps; i++) {
		if (md->caps[i].type == type)
			return (&md->caps[i]);
	}
	return (NULL);
}

static const struct md_cap *
cap_check(struct vcpu *vcpu, int cap)
{
	const struct md_cap *c;

	if (vcpu == NULL)
		return (vm_fail_null(EINVAL, "capability: the vCPU handle is NULL"));
	if (cap < 0 || cap >= VM_CAP_MAX)
		return (vm_fail_null(EINVAL, "capability %d: there is no such number", cap));
	c = cap_find(vcpu->vm->md, cap);
	if (c == NULL) {
		const char *name = vm_capability_type2name(cap);

		return (vm_fail_null(name != NULL ? ENOTSUP : EINVAL, "capability %s (%d): %s guests have none such",
		    name != NULL ? name : "?", cap, vcpu->vm->md->name));
	}
	return (c);
}

int
vm_get_capability(struct vcpu *vcpu, enum vm_cap_type cap, int *val)
{
	if (val == NULL)
		return (vm_fail(EINVAL, "capability: no place for the value"));
	if (cap_check(vcpu, (int)cap) == NULL)
		return (-1);
	pthread_mutex_lock(&vcpu->lock);
	*val = vcpu->caps[cap];
	pthread_mutex_unlock(&vcpu->lock);
	return (0);
}

int
vm_set_capability(struct vcpu *vcpu, enum vm_cap_type cap, int val)
{
	const struct md_cap *c = cap_check(vcpu, (int)cap);
	int error = 0;

	if (c == NULL)
		return (-1);
	if (val != 0 && val != 1)
		return (vm_fail(EINVAL, "capability %s: %d is neither 0 nor 1", c->name, val));
	if (c->fixed && val != c->initial)
		return (vm_fail(ENOTSUP, "capability %s: is always %d for %s guests", c->name, c->initial,
		    vcpu->vm->md->name));
	pthread_mutex_lock(&vcpu->lock);
	if (vcpu->running)
		error = vm_fail(EBUSY, "vcpu %d: capability %s cannot change while it runs", vcpu->id, c->name);
	else if (vcpu->accel_cpu != NULL && vcpu->vm->accel->cap_set != NULL)
		error = vcpu->vm->accel->cap_set(vcpu, (int)cap, val);
	if (error == 0) {
		vcpu->caps[cap] = (int8_t)val;
		rundir_put_caps(vcpu);
	}
	pthread_mutex_unlock(&vcpu->lock);
	return (error);
}

/* The names are one space over all architectures: a number names the same thing wherever it exists. */
static const enum vm_arch archs[] = { VM_ARCH_AMD64, VM_ARCH_ARM64 };

int
vm_capability_name2type(const char *name)
{
	for (size_t a = 0; name != NULL && a < nitems(archs); a++) {
		const struct md_ops *md = md_lookup(archs[a]);

		for (unsigned i = 0; i < md->ncaps; i++) {
			if (strcmp(md->caps[i].name, name) == 0)
				return (md->caps[i].type);
		}
	}
	return (vm_fail(EINVAL, "capability '%s': there is none of that name", name != NULL ? name : "(null)"));
}

const char *
vm_capability_type2name(int cap)
{
	for (size_t a = 0; a < nitems(archs); a++) {
		const struct md_cap *c = cap_find(md_lookup(archs[a]), cap);

		if (c != NULL)
			return (c->name);
	}
	return (NULL);
}
