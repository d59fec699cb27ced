/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * a20.c - bit 20 of physical addresses, which a PC can force to 0 so that addresses wrap at 1 MiB as
 * those of an 8086 do (Intel SDM vol. 3 8.7.13.4, A20M#).
 *
 * The gate is the machine's (8042, port 92H); it tells the processors by vm_amd64_set_a20().
 */
#include <errno.h>
#include <string.h>

#include "model.h"

#define	A20	(1ULL << 20)

static int
check(struct vmctx *ctx)
{
	if (ctx == NULL)
		return (vm_fail(EINVAL, "A20: the VM handle is NULL"));
	if (ctx->md->arch != VM_ARCH_AMD64)
		return (vm_fail(EINVAL, "A20: vm '%s' is of architecture %s, not amd64", ctx->name, ctx->md->name));
	return (0);
}

uint64_t
amd64_phys_mask(const struct vmctx *vm)
{
	const struct amd64_vm *av = vm->md_vm;

	return (av != NULL && av->a20_masked ? ~A20 : UINT64_MAX);
}

/* What vCPUs have derived from it is derived anew, as after a change of the memory map. */
static void
set(struct vmctx *vm, struct amd64_vm *av, bool masked)
{
	vm_stop_vcpus(vm);
	av->a20_masked = masked;
	pthread_rwlock_wrlock(&vm->map_lock);
	atomic_fetch_add(&vm->map_gen, 1);
	pthread_rwlock_unlock(&vm->map_lock);
	vm_go_vcpus(vm);
}

int
vm_amd64_set_a20(struct vmctx *ctx, bool on)
{
	struct amd64_vm *av;
	int error = 0;

	if (check(ctx) != 0 || (av = amd64_vm_get(ctx)) == NULL)
		return (-1);
	pthread_mutex_lock(&ctx->lock);
	if (!on && ctx->accel != NULL && ctx->accel->id == VM_ACCEL_KVM)
		error = vm_fail(ENOTSUP, "vm '%s': kvm cannot mask address line 20: use soft", ctx->name);
	else if (av->a20_masked == on)
		set(ctx, av, !on);
	pthread_mutex_unlock(&ctx->lock);
	return (error);
}

int
vm_amd64_get_a20(struct vmctx *ctx, bool *on)
{
	if (check(ctx) != 0)
		return (-1);
	if (on == NULL)
		return (vm_fail(EINVAL, "A20: vm '%s': no place for the result", ctx->name));
	pthread_mutex_lock(&ctx->lock);
	*on = amd64_phys_mask(ctx) == UINT64_MAX;
	pthread_mutex_unlock(&ctx->lock);
	return (0);
}

void *
amd64_vm_object(struct vmctx *vm)
{
	return (amd64_vm_get(vm));
}

void
amd64_vm_reset(struct vmctx *vm)
{
	struct amd64_vm *av = vm->md_vm;

	if (av == NULL)
		return;
	if (av->a20_masked)
		set(vm, av, false);
	/* The guest starts anew, and looks again. */
	memcpy(av->seen, av->here, sizeof(av->seen));
	av->immune_seen = av->immune_here;
	memcpy(av->xsave_seen, av->xsave_here, sizeof(av->xsave_seen));
}

static int
vm_check(void *obj)
{
	const struct amd64_vm *av = obj;

	/* A back end that has not started has not said anything, nor has a stream that is older than that. */
	if (av->here[W1_EDX] != 0 && av->seen[W1_EDX] != 0 &&
	    (amd64_words_check(av->seen, av->here) != 0 || amd64_immune_check(av->immune_seen, av->immune_here) != 0 ||
	    amd64_xsave_check(av->xsave_seen, av->xsave_here) != 0))
		return (-1);
	if (av->possible != 0 && (av->features & ~av->possible) != 0)
		return (vm_state_complain("amd64 vm: the guest has seen instructions (AES, PCLMULQDQ) that this host's "
		    "processor does not have"));
	return (0);
}

static const struct vm_state_field fields[] = {
	VM_STATE_BOOL(struct amd64_vm, a20_masked),
	VM_STATE_U64(struct amd64_vm, clock_base),
	VM_STATE_U64(struct amd64_vm, features),
	{ .name = "seen", .type = VM_FIELD_U32, .offset = offsetof(struct amd64_vm, seen), .count = AMD64_NWORDS_2, .stride = 4, .since = 2 },
	VM_STATE_FIELD_(struct amd64_vm, immune_seen, VM_FIELD_U64, 2),
	{ .name = "seen_xsave", .type = VM_FIELD_U32, .offset = offsetof(struct amd64_vm, seen) + 4 * AMD64_NWORDS_2,
	    .count = AMD64_NWORDS - AMD64_NWORDS_2, .stride = 4, .since = 3 },
	VM_STATE_ARRAY_(struct amd64_vm, xsave_seen, VM_FIELD_U32, 3),
};
const struct vm_state_table amd64_vm_table = VM_STATE_TABLE("amd64.vm", 3, 1, fields, vm_check);
