/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walk.c - VMSAv8-64 stage 1 translation for EL1 and EL0 with the 4 KiB granule (Arm ARM D5.2 to D5.4).
 *
 * The walk changes nothing: there is no hardware update of the access flag (ID_AA64MMFR1_EL1.HAFDBS 0).
 */
#include <string.h>

#include "arm64.h"

/* TCR_EL1 (Arm ARM D13.2.131) */
#define	TCR_TSZ(tcr, upper)	((unsigned)((tcr) >> ((upper) ? 16 : 0)) & 0x3f)
#define	TCR_EPD(tcr, upper)	((tcr) >> ((upper) ? 23 : 7) & 1)
#define	TCR_TBI(tcr, upper)	((tcr) >> ((upper) ? 38 : 37) & 1)
#define	TCR_IPS(tcr)		((unsigned)((tcr) >> 32) & 7)

/* Descriptors (Arm ARM D5.3) */
#define	DESC_VALID	0x1U
#define	DESC_TABLE	0x2U		/* levels 0 to 2: table; level 3: page */
#define	DESC_ADDR	0x0000fffffffff000ULL
#define	DESC_ATTR(d)	((unsigned)((d) >> 2) & 7)
#define	DESC_AP_EL0	(1ULL << 6)	/* AP[1] */
#define	DESC_AP_RO	(1ULL << 7)	/* AP[2] */
#define	DESC_AF		(1ULL << 10)
#define	DESC_PXN	(1ULL << 53)
#define	DESC_UXN	(1ULL << 54)
#define	DESC_PXNTABLE	(1ULL << 59)
#define	DESC_UXNTABLE	(1ULL << 60)
#define	DESC_APTABLE_NOEL0 (1ULL << 61)	/* APTable[0] */
#define	DESC_APTABLE_RO	(1ULL << 62)	/* APTable[1] */

/* Sizes by TCR_EL1.IPS; larger ones than ours count as ours. */
static const uint8_t ips_bits[8] = { 32, 36, 40, 42, 44, 48, 48, 48 };

static bool
fail(struct arm64_walk *out, uint32_t fsc, unsigned level)
{
	out->fsc = fsc + level;
	return (false);
}

/* May this access be made through a last-level descriptor with the tables' limits in tattr (Arm ARM D5.4.3)? */
static bool
permitted(const struct arm64_state *s, uint64_t desc, uint64_t tattr, int prot, bool el0)
{
	bool user = (desc & DESC_AP_EL0) != 0 && (tattr & DESC_APTABLE_NOEL0) == 0;
	bool writable = (desc & DESC_AP_RO) == 0 && (tattr & DESC_APTABLE_RO) == 0;
	bool xn;

	if (el0) {
		if ((prot & (VM_PROT_READ | VM_PROT_WRITE)) != 0 && !user)
			return (false);
		xn = ((desc & DESC_UXN) != 0 || (tattr & DESC_UXNTABLE) != 0);
		if ((s->sctlr_el1 & SCTLR_WXN) != 0 && user && writable)
			xn = true;
	} else {
		xn = ((desc & DESC_PXN) != 0 || (tattr & DESC_PXNTABLE) != 0);
		/* What EL0 can write is never executable at EL1. */
		if (writable && (user || (s->sctlr_el1 & SCTLR_WXN) != 0))
			xn = true;
	}
	if ((prot & VM_PROT_WRITE) != 0 && !writable)
		return (false);
	return ((prot & VM_PROT_EXEC) == 0 || !xn);
}

bool
arm64_walk(const struct arm64_state *s, uint64_t va, int prot, bool el0, arm64_walk_read *rd, void *cookie,
    struct arm64_walk *out)
{
	uint64_t desc, table, top, tattr = 0;
	unsigned bits, tsz, pa_bits, level, shift;
	bool upper;

	memset(out, 0, sizeof(*out));
	if ((s->sctlr_el1 & SCTLR_M) == 0) {
		/* Identity; data accesses are to Device memory (Arm ARM D5.2.9). */
		if (va >> ARM64_PA_BITS != 0)
			return (fail(out, FSC_ADDRESS, 0));
		out->gpa = va;
		out->device = (prot & VM_PROT_EXEC) == 0;
		return (true);
	}

	upper = (va >> 55 & 1) != 0;
	tsz = TCR_TSZ(s->tcr_el1, upper);
	/* Outside of 16 to 39 the size is not implemented: treated as a translation fault at level 0 (D5.2.3). */
	if (tsz < 16 || tsz > 39)
		return (fail(out, FSC_TRANSLATION, 0));
	bits = 64 - tsz;
	/* All bits above the region's are equal; the tag byte takes no part. */
	top = TCR_TBI(s->tcr_el1, upper) ? (uint64_t)((int64_t)(va << 8) >> 8) : va;
	if (top >> bits != (upper ? UINT64_MAX >> bits : 0))
		return (fail(out, FSC_TRANSLATION, 0));
	if (TCR_EPD(s->tcr_el1, upper))
		return (fail(out, FSC_TRANSLATION, 0));
	/*
	 * Other granules are not implemented (ID_AA64MMFR0_EL1), and a field that selects one selects ours (Arm ARM D13.2.131, TG0).
	 */
	pa_bits = ips_bits[TCR_IPS(s->tcr_el1)];
	if (pa_bits > ARM64_PA_BITS)
		pa_bits = ARM64_PA_BITS;

	level = 4 - (bits - 12 + 8) / 9;
	table = (upper ? s->ttbr1_el1 : s->ttbr0_el1) & 0x0000fffffffffffeULL;
	/* The first table may have fewer entries than 512, and is aligned to its size. */
	shift = 39 - 9 * level;
	table &= ~((8ULL << (bits - shift)) - 1);
	if (table >> pa_bits != 0)
		return (fail(out, FSC_ADDRESS, 0));
	for (;; level++) {
		shift = 39 - 9 * level;
		if (!rd(cookie, table | (va >> shift & (bits - shift < 9 ? (1U << (bits - shift)) - 1 : 0x1ff)) << 3,
		    &desc))
			return (fail(out, FSC_EXTERNAL_WALK, level));
		if ((desc & DESC_VALID) == 0)
			return (fail(out, FSC_TRANSLATION, level));
		if (level == 3) {
			if ((desc & DESC_TABLE) == 0)
				return (fail(out, FSC_TRANSLATION, level));
			break;
		}
		if ((desc & DESC_TABLE) == 0) {
			/* A block: 1 GiB at level 1, 2 MiB at level 2, none at level 0. */
			if (level == 0)
				return (fail(out, FSC_TRANSLATION, level));
			break;
		}
		table = desc & DESC_ADDR;
		if (table >> pa_bits != 0)
			return (fail(out, FSC_ADDRESS, level));
		tattr |= desc & (DESC_PXNTABLE | DESC_UXNTABLE | DESC_APTABLE_NOEL0 | DESC_APTABLE_RO);
		bits = shift;		/* from here on all nine bits below are used */
	}

	out->gpa = (desc & DESC_ADDR & ~((1ULL << shift) - 1)) | (va & ((1ULL << shift) - 1));
	if (out->gpa >> pa_bits != 0)
		return (fail(out, FSC_ADDRESS, level));
	if ((desc & DESC_AF) == 0)
		return (fail(out, FSC_ACCESS, level));
	if (!permitted(s, desc, tattr, prot, el0))
		return (fail(out, FSC_PERMISSION, level));
	/* MAIR_EL1 attribute 0b0000xxxx is Device memory (Arm ARM D13.2.97). */
	out->device = (s->mair_el1 >> (8 * DESC_ATTR(desc)) & 0xf0) == 0;
	return (true);
}

static bool
read_ram(void *cookie, vm_paddr_t gpa, uint64_t *desc)
{
	struct vmctx *vm = cookie;

	return (vm_gpa_read(vm, gpa, desc, sizeof(*desc)) == 0);
}

/*
 * md_ops.translate.  Tables are looked for in RAM only, since vcpu->lock is held and the map's lock comes before it.
 */
int
arm64_translate(struct vcpu *vcpu, uint64_t gva, int prot, vm_paddr_t *gpa, int *fault)
{
	const struct arm64_state *s = vcpu->state;
	struct arm64_walk w;

	if (arm64_walk(s, gva, prot, (s->pstate & PSTATE_MODE) == PSTATE_EL0T, read_ram, vcpu->vm, &w)) {
		*gpa = w.gpa;
		*fault = 0;
	} else {
		*gpa = 0;
		*fault = 1;
	}
	return (0);
}
