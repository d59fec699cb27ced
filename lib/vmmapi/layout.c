/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * layout.c - where RAM and device windows are: data of the VM, chosen by the machine.
 */
#include <errno.h>

#include "internal.h"

static int
layout_ranges(const char *what, vm_paddr_t maxpa, uint32_t n, const vm_paddr_t *base, const vm_paddr_t *limit,
    size_t stride)
{
	vm_paddr_t last = 0;

	if (n > VM_LAYOUT_MAX)
		return (vm_fail(EINVAL, "layout: %u %s ranges, at most %d are possible", n, what, VM_LAYOUT_MAX));
	for (uint32_t i = 0; i < n; i++) {
		vm_paddr_t b = *(const vm_paddr_t *)(const void *)((const char *)base + i * stride);
		vm_paddr_t l = *(const vm_paddr_t *)(const void *)((const char *)limit + i * stride);

		if (!page_aligned(b | l) || b >= l)
			return (vm_fail(EINVAL, "layout: %s range %u (0x%jx to 0x%jx) is empty or not page-aligned", what, i,
			    (uintmax_t)b, (uintmax_t)l));
		if (b < last || l > maxpa)
			return (vm_fail(EINVAL, "layout: %s range %u (0x%jx to 0x%jx) is out of order, overlaps or leaves the address space",
			    what, i, (uintmax_t)b, (uintmax_t)l));
		last = l;
	}
	return (0);
}

int
layout_check(const struct md_ops *md, const struct vm_layout *l)
{
	if (l->nram == 0)
		return (vm_fail(EINVAL, "layout: there is no RAM range"));
	if (layout_ranges("RAM", md->maxpa, l->nram, &l->ram[0].base, &l->ram[0].limit, sizeof(l->ram[0])) != 0 ||
	    layout_ranges("device", md->maxpa, l->nhole, &l->hole[0].base, &l->hole[0].limit, sizeof(l->hole[0])) != 0)
		return (-1);
	for (uint32_t i = 0; i < l->nram; i++) {
		for (uint32_t j = 0; j < l->nhole; j++) {
			if (l->ram[i].base < l->hole[j].limit && l->hole[j].base < l->ram[i].limit)
				return (vm_fail(EINVAL, "layout: RAM range %u overlaps device range %u", i, j));
		}
	}
	return (0);
}

int
vm_set_layout(struct vmctx *ctx, const struct vm_layout *layout)
{
	int error = 0;

	if (ctx == NULL || layout == NULL)
		return (vm_fail(EINVAL, "layout: a NULL argument"));
	if (layout_check(ctx->md, layout) != 0)
		return (-1);
	pthread_mutex_lock(&ctx->lock);
	if (ctx->nmaps > 0 || ctx->segs[VM_SYSMEM].len > 0)
		error = vm_fail(EBUSY, "vm '%s': the layout cannot change once there is memory", ctx->name);
	else {
		ctx->layout = *layout;
		ctx->layout.name[sizeof(ctx->layout.name) - 1] = '\0';
		rundir_put_memory(ctx);
	}
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

int
vm_get_layout(struct vmctx *ctx, struct vm_layout *layout)
{
	if (ctx == NULL || layout == NULL)
		return (vm_fail(EINVAL, "layout: a NULL argument"));
	*layout = ctx->layout;
	return (0);
}

#define	FOURGB	(UINT64_C(1) << 32)

/* The RAM range below 4 GiB that bhyve calls low memory: only one that starts at 0 counts (on arm64 there is none). */
uint32_t
vm_get_lowmem_limit(struct vmctx *ctx)
{
	if (ctx == NULL || ctx->layout.nram == 0 || ctx->layout.ram[0].base != 0 || ctx->layout.ram[0].limit >= FOURGB)
		return (0);
	return ((uint32_t)ctx->layout.ram[0].limit);
}

size_t
vm_get_lowmem_size(struct vmctx *ctx)
{
	return (vm_get_lowmem_limit(ctx) != 0 && ctx->nram > 0 ? ctx->ram[0].len : 0);
}

vm_paddr_t
vm_get_highmem_base(struct vmctx *ctx)
{
	unsigned first;

	if (ctx == NULL)
		return (0);
	first = vm_get_lowmem_limit(ctx) != 0 ? 1 : 0;
	return (first < ctx->layout.nram ? ctx->layout.ram[first].base : 0);
}

size_t
vm_get_highmem_size(struct vmctx *ctx)
{
	size_t sum = 0;

	if (ctx == NULL)
		return (0);
	for (unsigned i = vm_get_lowmem_limit(ctx) != 0 ? 1 : 0; i < ctx->nram; i++)
		sum += ctx->ram[i].len;
	return (sum);
}
