/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat/machine/vmm.h - bhyve's names for registers, capabilities and exits of one guest
 * architecture.
 *
 * Numbers are the library's.  compat/vmmapi.h says how this is used.
 */
#ifndef _COMPAT_MACHINE_VMM_H_
#define	_COMPAT_MACHINE_VMM_H_

#if defined(_VMMAPI_H_)
#error "the library's own <vmmapi.h> was included before bhyve's names: put include/compat first in the include path"
#endif

/*
 * The library's headers, with three of their names out of the way of bhyve's.  The functions keep
 * their symbols.
 */
#define	HYVE_COMPAT_NATIVE_
#define	vm_exit			vm_native_exit
#define	vm_exitcode		vm_native_exitcode
#define	vm_run(...)		vm_native_run(__VA_ARGS__) __asm__("vm_run")
#define	vm_get_stats(...)	vm_native_get_stats(__VA_ARGS__) __asm__("vm_get_stats")
#include "../../vmmapi.h"
#ifdef VMMAPI_COMPAT_ARM64
#include "../../vmmapi/arm64.h"
#else
#include "../../vmmapi/amd64.h"
#endif
#undef	vm_exit
#undef	vm_exitcode
#undef	vm_run
#undef	vm_get_stats
#undef	HYVE_COMPAT_NATIVE_

#include <sys/cpuset.h>

#ifdef VMMAPI_COMPAT_ARM64
#include <machine/vmm_arm64.h>
#else
#include <machine/vmm_amd64.h>
#endif

static inline void
vm_exit_from_native(struct vm_exit *exit, const struct vm_native_exit *n)
{
	exit->exitcode = VM_EXITCODE_BOGUS;
	exit->inst_length = (int)n->insn_len;
	exit->native = *n;
	vm_exit_from_native_md(exit, n);
	switch (n->code) {
	case VM_EXIT_MMIO:
		exit->exitcode = VM_EXITCODE_MMIO;
		exit->u.mmio.gpa = n->u.mmio.gpa;
		exit->u.mmio.data = n->u.mmio.data;
		exit->u.mmio.size = n->u.mmio.size;
		exit->u.mmio.write = n->u.mmio.write;
		break;
	case VM_EXIT_SUSPENDED:
		exit->exitcode = VM_EXITCODE_SUSPENDED;
		exit->u.suspended.how = n->u.suspended.how;
		break;
	case VM_EXIT_ERROR:
		exit->exitcode = VM_EXITCODE_ERROR;
		break;
	default:
		break;
	}
}

/* Where vm_run() puts what it has to say. */
struct vm_run {
	struct vm_exit	*vm_exit;
	cpuset_t	*cpuset;
	size_t		 cpusetsize;
};

#endif /* _COMPAT_MACHINE_VMM_H_ */
