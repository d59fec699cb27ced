/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmmapi/arm64.h - what libvmmapi adds for arm64 guests: register numbers, exit details and shims.
 *
 * Every function here fails with EINVAL for a VM of another architecture.
 */
#ifndef _VMMAPI_ARM64_H_
#define	_VMMAPI_ARM64_H_

#include <vmmapi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Registers (vm_set_register() and friends). */
enum vm_arm64_reg {
	VM_ARM64_REG_FIRST = 0x200,
	VM_ARM64_REG_X0 = VM_ARM64_REG_FIRST,
	VM_ARM64_REG_X29 = VM_ARM64_REG_X0 + 29,
	VM_ARM64_REG_LR,			/* X30 */
	VM_ARM64_REG_SP_EL0,
	VM_ARM64_REG_SP_EL1,
	VM_ARM64_REG_PC,
	VM_ARM64_REG_PSTATE,			/* in the layout of SPSR_EL1 (Arm ARM C5.2.18) */
	VM_ARM64_REG_SPSR_EL1,
	VM_ARM64_REG_ELR_EL1,
	VM_ARM64_REG_ESR_EL1,
	VM_ARM64_REG_FAR_EL1,
	VM_ARM64_REG_VBAR_EL1,
	VM_ARM64_REG_SCTLR_EL1,
	VM_ARM64_REG_TTBR0_EL1,
	VM_ARM64_REG_TTBR1_EL1,
	VM_ARM64_REG_TCR_EL1,
	VM_ARM64_REG_MAIR_EL1,
	VM_ARM64_REG_CPACR_EL1,
	VM_ARM64_REG_CONTEXTIDR_EL1,
	VM_ARM64_REG_TPIDR_EL0,
	VM_ARM64_REG_TPIDRRO_EL0,
	VM_ARM64_REG_TPIDR_EL1,
	VM_ARM64_REG_MIDR_EL1,			/* read-only */
	VM_ARM64_REG_MPIDR_EL1,			/* read-only */
	VM_ARM64_REG_FPCR,
	VM_ARM64_REG_FPSR,
	VM_ARM64_REG_RUN_STATE,			/* enum vm_arm64_run_state */
	VM_ARM64_REG_LAST
};

/* What a processor that executes nothing waits for. */
enum vm_arm64_run_state {
	VM_ARM64_RUNNING,
	VM_ARM64_WAITING,	/* WFI: an interrupt */
	VM_ARM64_OFF,		/* PSCI CPU_ON */
};

/* vm_exit.u.debug.reason */
#define	VM_ARM64_DEBUG_STEP	1
#define	VM_ARM64_DEBUG_BRK	2
#define	VM_ARM64_DEBUG_POINT	3	/* vm_debug_set() */

/*
 * SECTION: Shims by chip
 *
 * bhyve's calls for arm64, kept for its consumers over interrupt handles.
 */

/* Raise shared peripheral interrupt irq (32 and up, as bhyve counts).  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_assert_irq(struct vmctx *ctx, uint32_t irq);
/* Lower it.  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_deassert_irq(struct vmctx *ctx, uint32_t irq);

/*
 * Put the GICv3 distributor and redistributors at these addresses.
 *
 * Errors: EINVAL (unaligned, or too small for the vCPUs), EBUSY (vm_start() was called).
 * Threads: set-up.
 */
VM_PUBLIC int vm_attach_vgic(struct vmctx *ctx, uint64_t dist_start, size_t dist_size, uint64_t redist_start,
    size_t redist_size);

/* Where the parts of the GICv3 are, and their lengths; its_size 0: there is no ITS, and no MSI by it. */
struct vm_arm64_gic {
	uint64_t	dist, dist_size;
	uint64_t	redist, redist_size;
	uint64_t	its, its_size;
};

/*
 * Tell where the interrupt controller is: for firmware tables.
 *
 * Errors: EINVAL (a NULL argument), ENOMEM.
 * Threads: any.
 */
VM_PUBLIC int vm_arm64_get_gic(struct vmctx *ctx, struct vm_arm64_gic *gic);

/*
 * Give the GICv3 an interrupt translation service whose control frame is at base (its 128 KiB follow).  Messages to base + 0x10040 then
 * become LPIs, by the requester id of their handles (vm_irq_open_msi()) and the tables that the guest made (Arm IHI 0069 chapter 5).
 * Without this call there is none.
 *
 * Errors: EINVAL (unaligned, in the way of the rest of the controller, or beyond the address space), EBUSY (vm_start() was called).
 * Threads: set-up.
 */
VM_PUBLIC int vm_attach_its(struct vmctx *ctx, uint64_t base);

/*
 * Make an exception to EL1 pending, with this syndrome and fault address.  An SError (class 0x2f) waits as long as PSTATE.A masks it, and
 * leaves FAR_EL1 alone.
 *
 * Errors: EBUSY (the vCPU runs, or one is pending).
 * Threads: any, while the vCPU does not run.
 */
VM_PUBLIC int vm_arm64_inject_exception(struct vcpu *vcpu, uint64_t esr, uint64_t far);

#ifdef __cplusplus
}
#endif

#endif /* _VMMAPI_ARM64_H_ */
