/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat_cxx.cc - bhyve's names compile and link as C++.
 */
#include <x86/segments.h>
#include <x86/specialreg.h>
#include <machine/vmm.h>
#include <machine/vmm_dev.h>
#include <vmmapi.h>

#include "compat_prototypes.h"

int
main()
{
	struct vm_exit exit;
	cpuset_t set;
	struct vm_run run = { &exit, &set, sizeof(set) };
	enum vm_cap_type cap = VM_CAP_MASK_HWINTR;

	/* never true; the compiler does not know */
	if (promised.id == nullptr && promised.run(nullptr, &run) == 0 && vm_set_capability(nullptr, cap, 1) == 0)
		return (1);
	return (vcpu_id(nullptr) == -1 && vm_errmsg()[0] != '\0' ? 0 : 1);
}
