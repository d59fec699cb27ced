/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64.h - the state page of an arm64 vCPU, and what the arm64 parts share.
 *
 * The page is what the processor is made of, in the Arm ARM's terms (DDI 0487).  Every field is declared in arm64_state_fields
 * (state.c): add there what you add here.
 */
#ifndef _VMMAPI_ARM64_INTERNAL_H_
#define	_VMMAPI_ARM64_INTERNAL_H_

#include <vmmapi/arm64.h>

#include "../internal.h"

struct arm64_state {
	uint64_t	x[31];
	uint64_t	sp_el0, sp_el1;
	uint64_t	pc;
	uint64_t	pstate;		/* as SPSR_EL1 */
	uint64_t	spsr_el1, elr_el1, esr_el1, far_el1, vbar_el1;
	uint64_t	sctlr_el1, ttbr0_el1, ttbr1_el1, tcr_el1, mair_el1;
	uint64_t	cpacr_el1, contextidr_el1;
	uint64_t	tpidr_el0, tpidrro_el0, tpidr_el1;
	uint64_t	cntkctl_el1, cntv_ctl_el0, cntv_cval_el0, cntp_ctl_el0, cntp_cval_el0;
	uint64_t	midr_el1, mpidr_el1;
	uint64_t	v[64];		/* V0.lo, V0.hi, V1.lo ... */
	uint32_t	fpcr, fpsr;
	/* events */
	uint32_t	run_state;	/* enum vm_arm64_run_state */
	uint8_t		exc_pending;	/* an injected exception waits to be taken */
	uint64_t	exc_esr, exc_far;
	uint64_t	on_entry, on_context;	/* PSCI CPU_ON: where to start, with what in X0 */
};

_Static_assert(sizeof(struct arm64_state) <= VCPU_SLOT, "state page");

/* vcpu->md_events */
#define	ARM64_EV_CPU_ON	0x01U

/* PSTATE, as in SPSR_EL1 */
#define	PSTATE_N	0x80000000U
#define	PSTATE_Z	0x40000000U
#define	PSTATE_C	0x20000000U
#define	PSTATE_V	0x10000000U
#define	PSTATE_D	0x00000200U
#define	PSTATE_A	0x00000100U
#define	PSTATE_I	0x00000080U
#define	PSTATE_F	0x00000040U
#define	PSTATE_MODE	0x0000000fU
#define	PSTATE_EL0T	0x0U
#define	PSTATE_EL1T	0x4U
#define	PSTATE_EL1H	0x5U

/* Interrupts of a vCPU's own that are not lines (Arm ARM, GICv3 2.2.1): INTID 27 is the virtual timer. */
#define	ARM64_PPI_VTIMER	27

/* reset.c */
void	arm64_reset(struct vcpu *vcpu);
void	arm64_event(struct vcpu *vcpu);
bool	arm64_runnable(struct vcpu *vcpu);
int	arm64_translate(struct vcpu *vcpu, uint64_t gva, int prot, vm_paddr_t *gpa, int *fault);
/* state.c */
extern const struct vm_state_table arm64_state_table;
/* gicv3.c */
extern const struct intc_ops intc_gicv3;

#endif /* _VMMAPI_ARM64_INTERNAL_H_ */
