/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_none.c - native code of the arm64 core on hosts that it is not made for: there is none, and c->jit stays NULL.
 */
#include <errno.h>

#include "native.h"

int
a64_native_create(struct a64 *c)
{
	if (c->vcpu->vm->jit.how == VM_JIT_ON)
		return (vm_fail(ENOTSUP, "soft: native code is made for amd64 hosts only"));
	return (0);
}

void
a64_native_destroy(struct a64 *c)
{
}

const void *
a64_native_entry(struct a64 *c, struct soft_block *b)
{
	return (NULL);
}

enum a64_status
a64_native_run(struct a64 *c, const void *entry, uint64_t budget)
{
	return (A_DONE);
}

void
a64_native_stale(struct a64 *c, struct soft_block *b)
{
}

void
a64_native_sync(struct a64 *c)
{
}
