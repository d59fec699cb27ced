/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c - the declared fields of an arm64 vCPU.
 */
#include "arm64.h"

/* Since version 2. */
#define	U64_2(m)	VM_STATE_FIELD_(struct arm64_state, m, VM_FIELD_U64, 2)
#define	U64S_2(m)	VM_STATE_ARRAY_(struct arm64_state, m, VM_FIELD_U64, 2)
#define	U8_2(m)		VM_STATE_FIELD_(struct arm64_state, m, VM_FIELD_U8, 2)

static const struct vm_state_field fields[] = {
	VM_STATE_U64S(struct arm64_state, x),
	VM_STATE_U64(struct arm64_state, sp_el0),
	VM_STATE_U64(struct arm64_state, sp_el1),
	VM_STATE_U64(struct arm64_state, pc),
	VM_STATE_U64(struct arm64_state, pstate),
	VM_STATE_U64(struct arm64_state, spsr_el1),
	VM_STATE_U64(struct arm64_state, elr_el1),
	VM_STATE_U64(struct arm64_state, esr_el1),
	VM_STATE_U64(struct arm64_state, far_el1),
	VM_STATE_U64(struct arm64_state, vbar_el1),
	VM_STATE_U64(struct arm64_state, sctlr_el1),
	VM_STATE_U64(struct arm64_state, ttbr0_el1),
	VM_STATE_U64(struct arm64_state, ttbr1_el1),
	VM_STATE_U64(struct arm64_state, tcr_el1),
	VM_STATE_U64(struct arm64_state, mair_el1),
	VM_STATE_U64(struct arm64_state, cpacr_el1),
	VM_STATE_U64(struct arm64_state, contextidr_el1),
	VM_STATE_U64(struct arm64_state, tpidr_el0),
	VM_STATE_U64(struct arm64_state, tpidrro_el0),
	VM_STATE_U64(struct arm64_state, tpidr_el1),
	VM_STATE_U64(struct arm64_state, cntkctl_el1),
	VM_STATE_U64(struct arm64_state, cntv_ctl_el0),
	VM_STATE_U64(struct arm64_state, cntv_cval_el0),
	VM_STATE_U64(struct arm64_state, cntp_ctl_el0),
	VM_STATE_U64(struct arm64_state, cntp_cval_el0),
	VM_STATE_U64(struct arm64_state, midr_el1),
	VM_STATE_U64(struct arm64_state, mpidr_el1),
	VM_STATE_U64S(struct arm64_state, v),
	VM_STATE_U32(struct arm64_state, fpcr),
	VM_STATE_U32(struct arm64_state, fpsr),
	VM_STATE_U32(struct arm64_state, run_state),
	VM_STATE_BOOL(struct arm64_state, exc_pending),
	VM_STATE_U64(struct arm64_state, exc_esr),
	VM_STATE_U64(struct arm64_state, exc_far),
	VM_STATE_U64(struct arm64_state, on_entry),
	VM_STATE_U64(struct arm64_state, on_context),
	VM_STATE_U32(struct arm64_state, on_state),
	U64_2(par_el1),
	U64_2(csselr_el1),
	U64_2(scxtnum_el0),
	U64_2(scxtnum_el1),
	U64_2(mdscr_el1),
	U64_2(mdccint_el1),
	U64_2(dbgclaim),
	U64S_2(dbgbvr),
	U64S_2(dbgbcr),
	U64S_2(dbgwvr),
	U64S_2(dbgwcr),
	U8_2(oslk),
	U8_2(osdlr),
	U64S_2(id),
	U64_2(ctr_el0),
	U64_2(dczid_el0),
	U64_2(clidr_el1),
	U64S_2(ccsidr_el1),
	VM_STATE_FIELD_(struct arm64_state, excl_size, VM_FIELD_U8, 3),
	VM_STATE_FIELD_(struct arm64_state, excl_gpa, VM_FIELD_U64, 3),
	VM_STATE_ARRAY_(struct arm64_state, excl_val, VM_FIELD_U64, 3),
	VM_STATE_FIELD_(struct arm64_state, trng, VM_FIELD_U64, 4),
};

/* Refuse what no processor can be in that is what its ID registers say. */
static int
check(void *obj)
{
	const struct arm64_state *s = obj;
	uint64_t mode = s->pstate & PSTATE_MODE;

	if ((s->pstate & ~arm64_pstate_bits(s, s->pstate)) != 0)
		return (vm_state_complain("pstate 0x%llx has reserved bits", (unsigned long long)s->pstate));
	if (mode != PSTATE_EL0T && mode != PSTATE_EL1T && mode != PSTATE_EL1H)
		return (vm_state_complain("pstate 0x%llx has no mode of EL0 or EL1", (unsigned long long)s->pstate));
	if (s->run_state > VM_ARM64_OFF)
		return (vm_state_complain("run_state %u does not exist", s->run_state));
	/* A claim lasts for part of an instruction; a snapshot is taken between instructions. */
	if (s->on_state != ARM64_ON_NONE && s->on_state != ARM64_ON_READY)
		return (vm_state_complain("on_state %u is not one to rest in", s->on_state));
	if (s->on_state == ARM64_ON_READY && s->run_state != VM_ARM64_OFF)
		return (vm_state_complain("a processor that is on waits to be turned on"));
	if ((s->cntv_ctl_el0 & ~3ULL) != 0 || (s->cntp_ctl_el0 & ~3ULL) != 0)
		return (vm_state_complain("timer control 0x%llx, 0x%llx has bits that are not stored",
		    (unsigned long long)s->cntv_ctl_el0, (unsigned long long)s->cntp_ctl_el0));
	if (s->midr_el1 > UINT32_MAX || s->contextidr_el1 > UINT32_MAX)
		return (vm_state_complain("midr_el1 or contextidr_el1 is wider than 32 bits"));
	if (s->exc_pending && s->exc_esr > UINT32_MAX)
		return (vm_state_complain("exc_esr 0x%llx is wider than 32 bits", (unsigned long long)s->exc_esr));
	return (0);
}

const struct vm_state_table arm64_state_table = VM_STATE_TABLE("arm64.cpu", 4, 1, fields, check);
