/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shim.c - bhyve's machine-independent names that are not hyve's own.  Shims that name a chip are with
 * their architecture.
 */
#include <errno.h>

#include "internal.h"

int
vcpu_reset(struct vcpu *vcpu)
{
	return (vm_vcpu_reset(vcpu));
}

int
vm_raise_msi(struct vmctx *ctx, uint64_t addr, uint64_t msg, int bus, int slot, int func)
{
	uint32_t requester;

	if (ctx == NULL)
		return (vm_fail(EINVAL, "message: the VM handle is NULL"));
	if (bus < 0 || bus > 255 || slot < 0 || slot > 31 || func < 0 || func > 7)
		return (vm_fail(EINVAL, "message: %d/%d/%d is no PCI address (bus 0-255, slot 0-31, function 0-7)", bus, slot,
		    func));
	if (msg > UINT32_MAX)
		return (vm_fail(EINVAL, "message: data 0x%jx is wider than 32 bits", (uintmax_t)msg));
	requester = (uint32_t)(bus << 8 | slot << 3 | func);
	return (irq_send_msi(ctx, requester, addr, (uint32_t)msg));
}
