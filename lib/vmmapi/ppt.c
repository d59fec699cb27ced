/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ppt.c - passthrough of host PCI devices.  No back end offers it yet, and each call says so.
 */
#include <errno.h>

#include "internal.h"

static int
ppt_refuse(struct vmctx *ctx, int bus, int slot, int func)
{
	if (ctx == NULL)
		return (vm_fail(EINVAL, "passthrough: the VM handle is NULL"));
	if (bus < 0 || bus > 255 || slot < 0 || slot > 31 || func < 0 || func > 7)
		return (vm_fail(EINVAL, "passthrough: %d/%d/%d is no PCI address (bus 0-255, slot 0-31, function 0-7)", bus,
		    slot, func));
	return (vm_fail(ENOTSUP, "passthrough of %d/%d/%d: the %s back end cannot give host devices to a guest", bus, slot,
	    func, ctx->accel != NULL ? ctx->accel->name : "chosen"));
}

int
vm_assign_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	return (ppt_refuse(ctx, bus, slot, func));
}

int
vm_unassign_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	return (ppt_refuse(ctx, bus, slot, func));
}

int
vm_map_pptdev_mmio(struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len, vm_paddr_t hpa)
{
	return (ppt_refuse(ctx, bus, slot, func));
}

int
vm_unmap_pptdev_mmio(struct vmctx *ctx, int bus, int slot, int func, vm_paddr_t gpa, size_t len)
{
	return (ppt_refuse(ctx, bus, slot, func));
}

int
vm_setup_pptdev_msi(struct vmctx *ctx, int bus, int slot, int func, uint64_t addr, uint64_t msg, int numvec)
{
	return (ppt_refuse(ctx, bus, slot, func));
}

int
vm_setup_pptdev_msix(struct vmctx *ctx, int bus, int slot, int func, int idx, uint64_t addr, uint64_t msg,
    uint32_t vector_control)
{
	return (ppt_refuse(ctx, bus, slot, func));
}

int
vm_disable_pptdev_msix(struct vmctx *ctx, int bus, int slot, int func)
{
	return (ppt_refuse(ctx, bus, slot, func));
}

int
vm_reset_pptdev(struct vmctx *ctx, int bus, int slot, int func)
{
	return (ppt_refuse(ctx, bus, slot, func));
}
