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
#include <stdio.h>
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

/*
 * The model "baseline" is for a VM that is to move to whatever host: it has nothing that some Armv8 host lacks.  It does not say that there is
 * nothing to mitigate, has two breakpoints and watchpoints, leaves DC ZVA alone, and has caches that want to be maintained.
 */
#define	PFR0_BASELINE	(F(1, 24) | F(1, 4) | F(1, 0))
#define	DFR0_BASELINE	(F(1, 20) | F(1, 12) | F(6, 0))
#define	MMFR0_BASELINE	(F(2, 0) | F(2, 4))
#define	CTR_BASELINE	0x84448004ULL		/* virtually indexed instruction cache */
#define	DCZID_BASELINE	0x14ULL			/* DZP: prohibited */

const char *const arm64_cpu_models[] = { "v8", "v8.0-base", "baseline", NULL };

void
arm64_id_reset(struct arm64_state *s, const char *model)
{
	bool baseline = model != NULL && strcmp(model, "baseline") == 0;
	bool base = model != NULL && strcmp(model, "v8.0-base") == 0;

	memset(s->id, 0, sizeof(s->id));
	s->id[ARM64_ID_AA64PFR0] = baseline ? PFR0_BASELINE : PFR0;
	s->id[ARM64_ID_AA64DFR0] = baseline ? DFR0_BASELINE : DFR0;
	s->id[ARM64_ID_AA64ISAR0] = baseline ? 0 : base ? ISAR0_BASE : ISAR0;
	s->id[ARM64_ID_AA64MMFR0] = baseline ? MMFR0_BASELINE : MMFR0;
	s->id[ARM64_ID_AA64MMFR2] = baseline ? 0 : MMFR2;
	s->ctr_el0 = baseline ? CTR_BASELINE : CTR;
	s->dczid_el0 = baseline ? DCZID_BASELINE : DCZID;
	s->clidr_el1 = CLIDR;
	s->ccsidr_el1[0] = CCSIDR(128, 4);
	s->ccsidr_el1[1] = CCSIDR(256, 2);
	s->ccsidr_el1[2] = CCSIDR(1024, 16);
	s->midr_el1 = MIDR_HYVE;
}

void
arm64_id_copy(struct arm64_state *s, const struct arm64_state *from)
{
	memcpy(s->id, from->id, sizeof(s->id));
	s->ctr_el0 = from->ctr_el0;
	s->dczid_el0 = from->dczid_el0;
	s->clidr_el1 = from->clidr_el1;
	memcpy(s->ccsidr_el1, from->ccsidr_el1, sizeof(s->ccsidr_el1));
	s->midr_el1 = from->midr_el1;
}

static const struct {
	uint8_t		 n;
	const char	*name;
} id_names[] = {
	{ ARM64_ID_AA64PFR0, "ID_AA64PFR0_EL1" },
	{ ARM64_ID_AA64PFR1, "ID_AA64PFR1_EL1" },
	{ ARM64_ID_AA64DFR0, "ID_AA64DFR0_EL1" },
	{ ARM64_ID(5, 1), "ID_AA64DFR1_EL1" },
	{ ARM64_ID_AA64ISAR0, "ID_AA64ISAR0_EL1" },
	{ ARM64_ID(6, 1), "ID_AA64ISAR1_EL1" },
	{ ARM64_ID(6, 2), "ID_AA64ISAR2_EL1" },
	{ ARM64_ID_AA64MMFR0, "ID_AA64MMFR0_EL1" },
	{ ARM64_ID_AA64MMFR1, "ID_AA64MMFR1_EL1" },
	{ ARM64_ID_AA64MMFR2, "ID_AA64MMFR2_EL1" },
};

static bool
is_lack(struct arm64_id_lack *l, const char *name, unsigned n, unsigned bit, uint64_t wants, uint64_t has)
{
	if (name != NULL)
		(void)snprintf(l->name, sizeof(l->name), "%s", name);
	else
		(void)snprintf(l->name, sizeof(l->name), "S3_0_C0_C%u_%u", n / 8 + 1, n % 8);
	for (size_t i = 0; name == NULL && i < nitems(id_names); i++) {
		if (id_names[i].n == n)
			(void)snprintf(l->name, sizeof(l->name), "%s", id_names[i].name);
	}
	l->bit = bit;
	l->wants = wants;
	l->has = has;
	return (true);
}

/*
 * Does a field offer all that the other does?  Fields are unsigned and more is more, but for those of floating point, of granules and of the
 * PMU, where 15 is none (Arm ARM D13.1.3).
 */
static bool
field_offers(unsigned n, unsigned lo, unsigned has, unsigned wants)
{
	switch (n) {
	case ARM64_ID_AA64PFR0:
		if (lo == 16 || lo == 20)
			return ((has + 1) % 16 >= (wants + 1) % 16);
		/* CSV2 above 1 is about SCXTNUM_ELx, whose values count. */
		if (lo == 56)
			return (has >= 1 || wants == 0);
		break;
	case ARM64_ID_AA64MMFR0:
		if (lo == 24 || lo == 28)
			return ((has + 1) % 16 >= (wants + 1) % 16);
		if (lo >= 32 && lo <= 40)
			return (true);		/* granules of stage 2, which is not the guest's */
		break;
	case ARM64_ID_AA64DFR0:
		if (lo == 8)
			return ((has + 1) % 16 >= (wants + 1) % 16);
		if (lo == 36)
			return (true);		/* the OS double lock, which a hypervisor may ignore */
		break;
	default:
		break;
	}
	return (has >= wants);
}

bool
arm64_id_lacks(const struct arm64_state *has, const struct arm64_state *wants, struct arm64_id_lack *l)
{
	static const struct {
		unsigned lo, mask;
	} ctr[] = { { 0, 0xf }, { 14, 3 }, { 16, 0xf }, { 28, 1 }, { 29, 1 } };
	/* Registers of AArch32 are of interest where there is AArch32. */
	bool a32 = (wants->id[ARM64_ID_AA64PFR0] & 0xf) == 2;

	for (unsigned n = a32 ? 0 : ARM64_ID_AA64PFR0; n < ARM64_NID; n++) {
		for (unsigned lo = 0; lo < 64; lo += 4) {
			if (!field_offers(n, lo, (unsigned)(has->id[n] >> lo) & 0xf, (unsigned)(wants->id[n] >> lo) & 0xf))
				return (is_lack(l, NULL, n, lo, wants->id[n], has->id[n]));
		}
	}
	/* Lines that are shorter, or caches that want more maintenance, than the guest knows. */
	for (size_t i = 0; i < nitems(ctr); i++) {
		if ((has->ctr_el0 >> ctr[i].lo & ctr[i].mask) < (wants->ctr_el0 >> ctr[i].lo & ctr[i].mask))
			return (is_lack(l, "CTR_EL0", 0, ctr[i].lo, wants->ctr_el0, has->ctr_el0));
	}
	/* DC ZVA clears blocks of one size. */
	if ((wants->dczid_el0 & 0x10) == 0 && (has->dczid_el0 & 0x1f) != wants->dczid_el0)
		return (is_lack(l, "DCZID_EL0", 0, 0, wants->dczid_el0, has->dczid_el0));
	return (false);
}

/* The bits of PSTATE that the processor has, as SPSR_EL1 has them (Arm ARM C5.2.18). */
uint64_t
arm64_pstate_bits(const struct arm64_state *s, uint64_t pstate)
{
	uint64_t bits = PSTATE_NZCV | PSTATE_SS | PSTATE_IL | PSTATE_DAIF | PSTATE_MODE, pfr1 = s->id[ARM64_ID_AA64PFR1];

	if ((pstate & (PSTATE_NRW | PSTATE_MODE)) == PSTATE_NRW && (s->id[ARM64_ID_AA64PFR0] & 0xf) == 2)
		return (UINT32_MAX);		/* a program of AArch32 */
	if ((s->id[ARM64_ID_AA64MMFR1] >> 20 & 0xf) != 0)
		bits |= PSTATE_PAN;
	if ((s->id[ARM64_ID_AA64MMFR2] >> 4 & 0xf) != 0)
		bits |= PSTATE_UAO;
	if ((s->id[ARM64_ID_AA64PFR0] >> 48 & 0xf) != 0)
		bits |= PSTATE_DIT;
	if ((pfr1 & 0xf) != 0)
		bits |= PSTATE_BTYPE;
	if ((pfr1 >> 4 & 0xf) != 0)
		bits |= PSTATE_SSBS;
	if ((pfr1 >> 8 & 0xf) != 0)
		bits |= PSTATE_TCO;
	return (bits);
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
