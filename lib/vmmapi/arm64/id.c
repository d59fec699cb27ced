/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * id.c - the modelled arm64 processors, as their ID registers tell (Arm ARM D13.2.49 to D13.2.72 and D12.3).
 *
 * A processor is Armv8.0 with EL0 and EL1 in AArch64 state only.  What is beyond that is a model's: the values are
 * part of the vCPU's state, so that a guest that moves keeps the processor it has looked at, and what the software
 * processor decodes follows from them.
 *
 * There is nothing to mitigate and the registers say so: CSV2 3 (branch predictors and histories are not shared
 * between contexts), CSV3 1, E0PD.
 */
#include <string.h>

#include "arm64.h"

/* Fields of 4 bits at their lowest bit. */
#define	F(val, lo)	((uint64_t)(val) << (lo))

/* CSV3, CSV2_3, GIC by system registers, Advanced SIMD, FP, EL1 and EL0 AArch64 */
#define	PFR0		(F(1, 60) | F(3, 56) | F(1, 24) | F(0, 20) | F(0, 16) | F(1, 4) | F(1, 0))
/* Armv8 debug; breakpoints, watchpoints and context-aware breakpoints less one; no PMU, no trace */
#define	DFR0		(F(ARM64_NWRP - 1, 20) | F(ARM64_NBRP - 1, 12) | F(6, 0))
/* AES with PMULL, SHA-1, SHA-256, CRC32, LSE */
#define	ISAR0		(F(2, 4) | F(1, 8) | F(1, 12) | F(1, 16) | F(2, 20))
#define	ISAR0_BASE	F(1, 16)
/* 40-bit addresses, 16-bit ASIDs, 16 KiB granule; 4 and 64 KiB are 0 */
#define	MMFR0		(F(2, 0) | F(2, 4) | F(1, 20))
#define	MMFR2		F(1, 60)		/* E0PD */

/*
 * 64-byte lines everywhere, PIPT; neither data (IDC) nor instructions (DIC) need maintenance to agree: stores to code
 * are noticed.
 */
#define	CTR		0xb444c004ULL
#define	DCZID		4ULL			/* DC ZVA of 64 bytes */
/* Split first level, unified second one; nothing to clean to the point of unification. */
#define	CLIDR		(3ULL | 4ULL << 3 | 2ULL << 24)
#define	CCSIDR(sets, ways) ((uint64_t)((sets) - 1) << 13 | ((ways) - 1) << 3 | 2)

/*
 * An implementer of 0 is reserved for software use (Arm ARM D13.2.86), so that no guest applies another processor's
 * errata; architecture 0xf: look at the ID registers.
 */
#define	MIDR_HYVE	0x000f0010ULL

const char *const arm64_cpu_models[] = { "v8", "v8.0-base", NULL };

void
arm64_id_reset(struct arm64_state *s, const char *model)
{
	bool base = model != NULL && strcmp(model, "v8.0-base") == 0;

	memset(s->id, 0, sizeof(s->id));
	s->id[ARM64_ID_AA64PFR0] = PFR0;
	s->id[ARM64_ID_AA64DFR0] = DFR0;
	s->id[ARM64_ID_AA64ISAR0] = base ? ISAR0_BASE : ISAR0;
	s->id[ARM64_ID_AA64MMFR0] = MMFR0;
	s->id[ARM64_ID_AA64MMFR2] = MMFR2;
	s->ctr_el0 = CTR;
	s->dczid_el0 = DCZID;
	s->clidr_el1 = CLIDR;
	s->ccsidr_el1[0] = CCSIDR(128, 4);
	s->ccsidr_el1[1] = CCSIDR(256, 2);
	s->ccsidr_el1[2] = CCSIDR(1024, 16);
	s->midr_el1 = MIDR_HYVE;
}

/*
 * Values from elsewhere: no field may offer more than there is.  Fields are unsigned but those of floating point,
 * where 15 is none (D13.1.3).
 */
bool
arm64_id_known(const struct arm64_state *s)
{
	struct arm64_state ours;

	memset(&ours, 0, sizeof(ours));
	arm64_id_reset(&ours, NULL);
	for (unsigned i = 0; i < ARM64_NID; i++) {
		for (unsigned lo = 0; lo < 64; lo += 4) {
			unsigned v = (unsigned)(s->id[i] >> lo) & 0xf, max = (unsigned)(ours.id[i] >> lo) & 0xf;

			if (i == ARM64_ID_AA64PFR0 && (lo == 16 || lo == 20)) {
				if (v != 0 && v != 0xf)
					return (false);
			} else if (v > max) {
				return (false);
			}
		}
	}
	/* A line of another size would be zeroed by DC ZVA. */
	return ((s->dczid_el0 & 0xf) == DCZID);
}

/* md_ops.cpu_model_set */
void
arm64_model_set(struct vmctx *vm)
{
	for (unsigned i = 0; i < VM_MAXCPU; i++) {
		if (vm->vcpus[i] != NULL)
			arm64_id_reset(vm->vcpus[i]->state, vm_get_cpu_model(vm));
	}
}
