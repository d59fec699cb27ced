/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sys.h - what the system part of the core shares: control.c, flags.c, io.c, system.c, cpuid.c, msr.c,
 * time.c, debug.c.
 */
#ifndef _VMMAPI_SOFT_AMD64_SYS_H_
#define	_VMMAPI_SOFT_AMD64_SYS_H_

#include "decode.h"

/* Model-specific registers that more than one file has to do with (SDM vol. 4). */
#define	MSR_TSC			0x010U
#define	MSR_APIC_BASE		0x01bU
#define	MSR_TSC_DEADLINE	0x6e0U


/* cpuid.c */

/* EAX, EBX, ECX, EDX as CPUID returns them for the vCPU in its present mode. */
/*
 * IA32_ARCH_CAPABILITIES, where a model has it.  The processor is not affected by what these bits name, so that a guest takes no trouble: RDCL_NO,
 * IBRS_ALL, SKIP_L1DFL_VMENTRY, SSB_NO, MDS_NO, IF_PSCHANGE_MC_NO, TAA_NO, SBDR_SSDP_NO, FBSDP_NO,
 * PSDP_NO, BHI_NO, PBRSB_NO, GDS_NO, RFDS_NO, ITS_NO.
 */
#define	X86_IMMUNE							\
	(1ULL << 0 | 1ULL << 1 | 1ULL << 3 | 1ULL << 4 | 1ULL << 5 | 1ULL << 6 | 1ULL << 8 |	\
	1ULL << 13 | 1ULL << 14 | 1ULL << 15 | 1ULL << 20 | 1ULL << 24 | 1ULL << 26 |		\
	1ULL << 27 | 1ULL << 62)

void	x86_cpuid(struct x86 *x, uint32_t leaf, uint32_t sub, uint32_t r[4]);
/* Bits of CR4 and EFER that the model has. */
uint64_t x86_cr4_bits(const struct x86 *x);
uint64_t x86_efer_bits(const struct x86 *x);

/* msr.c: X_DONE, X_FAULT, X_EXIT; nothing is changed but by X_DONE */
enum x86_status x86_rdmsr(struct x86 *x, uint32_t msr, uint64_t *val);
enum x86_status x86_wrmsr(struct x86 *x, uint32_t msr, uint64_t val);
/* The controller's register `reg'; *ok: it has that, and the access was right. */
bool	x86_controller(struct x86 *x, uint64_t reg, bool write, uint64_t *val);
/* The interrupt controller may have another opinion now. */
void	x86_look_again(struct x86 *x);

/* time.c */

/* IA32_TSC_ADJUST: TSC and offset move together (SDM vol. 3 17.17.3). */
void	x86_tsc_adjust_set(struct x86 *x, uint64_t adjust);
/* The page's TSC is that of now: before the controller compares a deadline with it. */
void	x86_tsc_refresh(struct x86 *x);
/* kvmclock was switched on, off or moved: s->kvm_system_time. */
void	x86_kvmclock_write(struct x86 *x);
/* The time of day at the VM clock's zero, to gpa. */
void	x86_wallclock_write(struct x86 *x, uint64_t gpa);
/* How ticks of the TSC become nanoseconds (pvclock): (ticks << shift) * mul >> 32. */
void	x86_kvmclock_scale(uint64_t hz, uint32_t *mul, int8_t *shift);

#endif /* _VMMAPI_SOFT_AMD64_SYS_H_ */
