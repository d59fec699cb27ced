/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat/vmmapi.h - libvmmapi under bhyve's names, for programs that were written for bhyve.
 *
 * A program outside of this tree that includes <vmmapi.h>, <machine/vmm.h>, <x86/segments.h> and so
 * on is compiled with this directory in front of its include path (-Iinclude/compat) and linked
 * with -lvmmapi.  It then sees one guest architecture, as bhyve's header does: amd64, or arm64 with
 * -DVMMAPI_COMPAT_ARM64.  Everything of ../vmmapi.h is there too, but for vm_run(), vm_get_stats()
 * and struct vm_exit, which have bhyve's shape here and are vm_native_run(), vm_native_get_stats()
 * and struct vm_native_exit in the library's.
 *
 * What bhyve's header has and this one lacks has no counterpart in hyve: its ioctl interface,
 * Capsicum, instruction emulation in the consumer, and the innards of its in-kernel devices.
 */
#ifndef HYVE_COMPAT_NATIVE_		/* the library's own headers ask for theirs: machine/vmm.h */
#ifndef _COMPAT_VMMAPI_H_
#define	_COMPAT_VMMAPI_H_

#include <sys/param.h>
#include <sys/time.h>

#include <sys/cpuset.h>

#include <machine/vmm.h>
#include <machine/vmm_dev.h>

#ifdef __cplusplus
extern "C" {
#endif

/* bhyve's vm_run(): *run->vm_exit is filled; no processor is ever named in *run->cpuset. */
static inline int vm_run(struct vcpu *vcpu, struct vm_run *run) __asm__("vmmapi_compat_run");

static inline int
vm_run(struct vcpu *vcpu, struct vm_run *run)
{
	struct vm_native_exit exit;

	if (run->cpuset != NULL && run->cpusetsize != 0)
		__builtin_memset(run->cpuset, 0, run->cpusetsize);
	if (vm_native_run(vcpu, &exit) != 0)
		return (-1);
	vm_exit_from_native(run->vm_exit, &exit);
	return (0);
}

/* bhyve's vm_get_stats(): with the time of the sample.  The array is the thread's, as the library's. */
static inline uint64_t *vm_get_stats(struct vcpu *vcpu, struct timeval *tv, int *entries)
    __asm__("vmmapi_compat_get_stats");

static inline uint64_t *
vm_get_stats(struct vcpu *vcpu, struct timeval *tv, int *entries)
{
	union {
		const uint64_t	*in;
		uint64_t	*out;
	} stats;

	stats.in = vm_native_get_stats(vcpu, entries);
	if (stats.in != NULL && tv != NULL && gettimeofday(tv, NULL) != 0)
		return (NULL);
	return (stats.out);
}

#ifdef VMMAPI_COMPAT_ARM64

/* Make an exception to EL1 pending. */
static inline int
vm_inject_exception(struct vcpu *vcpu, uint64_t esr, uint64_t far)
{
	return (vm_arm64_inject_exception(vcpu, esr, far));
}

#else	/* amd64 */

/* Make exception vector pending. */
static inline int
vm_inject_exception(struct vcpu *vcpu, int vector, int errcode_valid, uint32_t errcode, int restart_instruction)
{
	return (vm_amd64_inject_exception(vcpu, vector, errcode_valid, errcode, restart_instruction));
}

/* Make a non-maskable interrupt pending. */
static inline int
vm_inject_nmi(struct vcpu *vcpu)
{
	return (vm_amd64_inject_nmi(vcpu));
}

/* vm_get_desc() into a struct. */
static inline int
vm_get_seg_desc(struct vcpu *vcpu, int reg, struct seg_desc *seg_desc)
{
	return (vm_get_desc(vcpu, reg, &seg_desc->base, &seg_desc->limit, &seg_desc->access));
}

#endif

#ifdef __cplusplus
}
#endif

#endif /* _COMPAT_VMMAPI_H_ */
#endif /* HYVE_COMPAT_NATIVE_ */
