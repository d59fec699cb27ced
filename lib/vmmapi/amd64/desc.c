/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * desc.c - the hidden parts of the segment registers, and pending events.
 */
#include <errno.h>

#include "amd64.h"

int
amd64_check_vcpu(struct vcpu *vcpu, const char *what)
{
	if (vcpu == NULL)
		return (vm_fail(EINVAL, "%s: no vcpu", what));
	if (vcpu->vm->md->arch != VM_ARCH_AMD64) {
		return (vm_fail(EINVAL, "%s: vcpu %d is of architecture %s, not amd64", what, vcpu->id,
		    vcpu->vm->md->name));
	}
	return (0);
}

/* The segment registers are numbered as in the state page. */
static int
segment_index(struct vcpu *vcpu, int reg, const char *what)
{
	if (reg < VM_AMD64_REG_ES || reg > VM_AMD64_REG_GDTR)
		return (vm_fail(EINVAL, "%s: register %d is no segment register", what, reg));
	return (reg - VM_AMD64_REG_ES);
}

_Static_assert(VM_AMD64_REG_GDTR - VM_AMD64_REG_ES == (int)SEG_GDTR, "segment numbers");
_Static_assert(VM_AMD64_REG_TR - VM_AMD64_REG_ES == (int)SEG_TR, "segment numbers");

int
vm_set_desc(struct vcpu *vcpu, int reg, uint64_t base, uint32_t limit, uint32_t access)
{
	struct amd64_state *st;
	bool table = reg == VM_AMD64_REG_GDTR || reg == VM_AMD64_REG_IDTR;
	int i;

	if (amd64_check_vcpu(vcpu, "vm_set_desc") != 0 || (i = segment_index(vcpu, reg, "vm_set_desc")) < 0)
		return (-1);
	if (table && limit > 0xffff)
		return (vm_fail(EINVAL, "vm_set_desc: a descriptor table's limit has 16 bits, not %#x", limit));
	if (!table && (access & ~0x1f0ffU) != 0)
		return (vm_fail(EINVAL, "vm_set_desc: reserved bits in access word %#x", access));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	st = vcpu->state;
	if (!amd64_canonical(base, st->cr4)) {
		vcpu_release(vcpu, false);
		return (vm_fail(EINVAL, "vm_set_desc: base %#llx is not canonical", (unsigned long long)base));
	}
	st->seg[i].base = base;
	st->seg[i].limit = limit;
	if (!table)
		st->seg[i].access = access;
	vcpu_release(vcpu, true);
	return (0);
}

int
vm_get_desc(struct vcpu *vcpu, int reg, uint64_t *base, uint32_t *limit, uint32_t *access)
{
	const struct amd64_state *st;
	int i;

	if (amd64_check_vcpu(vcpu, "vm_get_desc") != 0 || (i = segment_index(vcpu, reg, "vm_get_desc")) < 0)
		return (-1);
	if (base == NULL || limit == NULL || access == NULL)
		return (vm_fail(EINVAL, "vm_get_desc: no place for the result"));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	st = vcpu->state;
	*base = st->seg[i].base;
	*limit = st->seg[i].limit;
	*access = st->seg[i].access;
	vcpu_release(vcpu, false);
	return (0);
}

/*
 * Exceptions that push an error code (SDM vol. 3 6.3, table 6-1): DF TS NP SS GP PF AC CP, and
 * AMD's VC and SX.
 */
#define	HAS_ERRCODE	((1U << 8) | (1U << 10) | (1U << 11) | (1U << 12) | (1U << 13) | (1U << 14) | (1U << 17) | \
			(1U << 21) | (1U << 29) | (1U << 30))

int
vm_amd64_inject_exception(struct vcpu *vcpu, int vector, int errcode_valid, uint32_t errcode, int restart)
{
	struct amd64_state *st;

	if (amd64_check_vcpu(vcpu, "vm_amd64_inject_exception") != 0)
		return (-1);
	if (vector < 0 || vector > 31 || vector == 2)
		return (vm_fail(EINVAL, "vcpu %d: vector %d is no exception", vcpu->id, vector));
	if (errcode_valid && (HAS_ERRCODE >> vector & 1) == 0)
		return (vm_fail(EINVAL, "vcpu %d: exception %d has no error code", vcpu->id, vector));
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	st = vcpu->state;
	if (st->exc_pending || st->intr_pending) {
		vcpu_release(vcpu, false);
		return (vm_fail(EBUSY, "vcpu %d: an event is pending already", vcpu->id));
	}
	vcpu_release(vcpu, false);
	/* With no exit to go back from, the PC is the instruction that is executed next anyway. */
	if (restart && vcpu->exit_valid && vm_restart_instruction(vcpu) != 0)
		return (-1);
	if (vcpu_hold(vcpu) != 0)
		return (-1);
	st->exc_pending = 1;
	st->exc_vector = (uint8_t)vector;
	st->exc_has_error = errcode_valid != 0;
	st->exc_error = errcode_valid ? errcode : 0;
	/* The processor is not idle any more: it has an exception to take. */
	if (st->run_state == VM_AMD64_HALTED)
		st->run_state = VM_AMD64_RUNNING;
	vcpu_release(vcpu, true);
	return (0);
}

int
vm_amd64_inject_nmi(struct vcpu *vcpu)
{
	const struct accel_ops *accel;

	if (amd64_check_vcpu(vcpu, "vm_amd64_inject_nmi") != 0)
		return (-1);
	accel = vcpu->vm->accel;
	if (accel != NULL && accel->nmi != NULL)
		return (accel->nmi(vcpu));
	vcpu_post(vcpu, AMD64_EV_NMI);
	return (0);
}
