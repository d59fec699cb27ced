/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walk.c - VMSAv8-64 stage 1 translation for EL1 and EL0 (Arm ARM D5.2 to D5.5), with granules of 4, 16 and 64 KiB.
 *
 * The walk changes nothing: there is no hardware update of the access flag (ID_AA64MMFR1_EL1.HAFDBS 0).  The
 * contiguous bit is a hint for a TLB (D5.3.3) and is not looked at.
 */
#include <string.h>

#include "arm64.h"

/* TCR_EL1 (Arm ARM D13.2.131) */
#define	TCR_TSZ(tcr, upper)	((unsigned)((tcr) >> ((upper) ? 16 : 0)) & 0x3f)
#define	TCR_EPD(tcr, upper)	((tcr) >> ((upper) ? 23 : 7) & 1)
#define	TCR_TG(tcr, upper)	((unsigned)((tcr) >> ((upper) ? 30 : 14)) & 3)
#define	TCR_E0PD(tcr, upper)	((tcr) >> ((upper) ? 56 : 55) & 1)
#define	TCR_IPS(tcr)		((unsigned)((tcr) >> 32) & 7)

/* Descriptors (Arm ARM D5.3) */
#define	DESC_VALID	0x1U
#define	DESC_TABLE	0x2U		/* levels 0 to 2: table; level 3: page */
#define	DESC_ADDR	0x0000fffffffff000ULL
#define	DESC_ATTR(d)	((unsigned)((d) >> 2) & 7)
#define	DESC_AP_EL0	(1ULL << 6)	/* AP[1] */
#define	DESC_AP_RO	(1ULL << 7)	/* AP[2] */
#define	DESC_AF		(1ULL << 10)
#define	DESC_NG		(1ULL << 11)
#define	DESC_PXN	(1ULL << 53)
#define	DESC_UXN	(1ULL << 54)
#define	DESC_PXNTABLE	(1ULL << 59)
#define	DESC_UXNTABLE	(1ULL << 60)
#define	DESC_APTABLE_NOEL0 (1ULL << 61)	/* APTable[0] */
#define	DESC_APTABLE_RO	(1ULL << 62)	/* APTable[1] */
#define	DESC_TABLE_ATTR	(DESC_PXNTABLE | DESC_UXNTABLE | DESC_APTABLE_NOEL0 | DESC_APTABLE_RO)

/* Sizes by TCR_EL1.IPS; larger ones than ours count as ours. */
static const uint8_t ips_bits[8] = { 32, 36, 40, 42, 44, 48, 48, 48 };

/*
 * Granules by TCR_EL1.TG0 and TG1, as bits of the page offset; a reserved encoding is one of those there are
 * (D13.2.131).
 */
static const uint8_t granule[2][4] = { { 12, 16, 14, 12 }, { 12, 14, 12, 16 } };

static bool
fail(struct arm64_walk *out, uint32_t fsc, unsigned level)
{
	out->fsc = fsc + level;
	return (false);
}

/* What a last-level descriptor allows, with the limits that the tables above it set (Arm ARM D5.4.3). */
static void
permissions(const struct arm64_state *s, uint64_t desc, uint64_t tattr, struct arm64_walk *out)
{
	bool user = (desc & DESC_AP_EL0) != 0 && (tattr & DESC_APTABLE_NOEL0) == 0;
	bool writable = (desc & DESC_AP_RO) == 0 && (tattr & DESC_APTABLE_RO) == 0;
	bool uxn = (desc & DESC_UXN) != 0 || (tattr & DESC_UXNTABLE) != 0;
	bool pxn = (desc & DESC_PXN) != 0 || (tattr & DESC_PXNTABLE) != 0;
	bool wxn = (s->sctlr_el1 & SCTLR_WXN) != 0;

	out->el1 = VM_PROT_READ;
	out->el0 = user ? VM_PROT_READ : 0;
	if (writable) {
		out->el1 |= VM_PROT_WRITE;
		if (user)
			out->el0 |= VM_PROT_WRITE;
	}
	if (!uxn && !(wxn && user && writable))
		out->el0 |= VM_PROT_EXEC;
	/* What EL0 can write is never executable at EL1. */
	if (!pxn && !(writable && (user || wxn)))
		out->el1 |= VM_PROT_EXEC;
}

/* The MMU is off: identity; data accesses are to Device-nGnRnE memory (Arm ARM D5.2.9). */
static bool
identity(const struct arm64_state *s, uint64_t va, int prot, struct arm64_walk *out)
{
	va = arm64_tbi(s, va) ? va & ~(0xffULL << 56) : va;
	if (va >> ARM64_PA_BITS != 0)
		return (fail(out, FSC_ADDRESS, 0));
	out->gpa = va;
	out->shift = 12;
	out->el0 = out->el1 = VM_PROT_ALL;
	out->device = (prot & VM_PROT_EXEC) == 0;
	out->sh = 2;
	return (true);
}

/*
 * Where the walk begins: input address bits that are translated, bits of a page's offset, or false for a translation
 * fault.
 */
static bool
region(const struct arm64_state *s, uint64_t va, bool el0, unsigned *bits, unsigned *page)
{
	bool upper = (va >> 55 & 1) != 0;
	unsigned tsz = TCR_TSZ(s->tcr_el1, upper);
	uint64_t top;

	/* Outside of 16 to 39 the size is not implemented: treated as a translation fault at level 0 (D5.2.3). */
	if (tsz < 16 || tsz > 39)
		return (false);
	*bits = 64 - tsz;
	*page = granule[upper][TCR_TG(s->tcr_el1, upper)];
	/* All bits above the region's are equal; the tag byte takes no part. */
	top = arm64_tbi(s, va) ? (uint64_t)((int64_t)(va << 8) >> 8) : va;
	if (top >> *bits != (upper ? UINT64_MAX >> *bits : 0))
		return (false);
	if (TCR_EPD(s->tcr_el1, upper))
		return (false);
	return (!el0 || !TCR_E0PD(s->tcr_el1, upper));
}

/*
 * Is this a descriptor that ends the walk?  Blocks are at levels 1 and 2 with 4 KiB, else at level 2 (D5.3.1).  *leaf
 * is set; false: it is invalid or reserved.
 */
static bool
last(uint64_t desc, unsigned level, unsigned page, bool *leaf)
{
	*leaf = level == 3 || (desc & DESC_TABLE) == 0;
	if ((desc & DESC_VALID) == 0)
		return (false);
	if (level == 3)
		return ((desc & DESC_TABLE) != 0);
	return (!*leaf || level == 2 || (level == 1 && page == 12));
}

static unsigned
address_bits(const struct arm64_state *s)
{
	unsigned bits = ips_bits[TCR_IPS(s->tcr_el1)];

	return (bits > ARM64_PA_BITS ? ARM64_PA_BITS : bits);
}

/* What the descriptor says that ends the walk, at a level where it maps 1 << shift bytes. */
static bool
result(const struct arm64_state *s, uint64_t va, int prot, bool el0, uint64_t desc, unsigned level, unsigned shift,
    struct arm64_walk *out)
{
	out->gpa = (desc & DESC_ADDR & ~((1ULL << shift) - 1)) | (va & ((1ULL << shift) - 1));
	if (out->gpa >> address_bits(s) != 0)
		return (fail(out, FSC_ADDRESS, level));
	if ((desc & DESC_AF) == 0)
		return (fail(out, FSC_ACCESS, level));
	permissions(s, desc, out->tattr, out);
	if ((prot & ~(int)(el0 ? out->el0 : out->el1)) != 0)
		return (fail(out, FSC_PERMISSION, level));
	out->shift = (uint8_t)shift;
	out->ng = (desc & DESC_NG) != 0;
	out->attr = (uint8_t)(s->mair_el1 >> (8 * DESC_ATTR(desc)));
	/* MAIR_EL1 attribute 0b0000xxxx is Device memory, its reserved encodings too (Arm ARM D13.2.97). */
	out->device = (out->attr & 0xf0) == 0;
	out->sh = out->device ? 2 : (uint8_t)(desc >> 8 & 3);
	return (true);
}

bool
arm64_walk(const struct arm64_state *s, uint64_t va, int prot, bool el0, arm64_walk_read *rd, void *cookie,
    struct arm64_walk *out)
{
	unsigned bits, page, stride, pa_bits, level, shift;
	uint64_t desc, table;
	bool leaf = false;

	memset(out, 0, sizeof(*out));
	if ((s->sctlr_el1 & SCTLR_M) == 0)
		return (identity(s, va, prot, out));
	if (!region(s, va, el0, &bits, &page))
		return (fail(out, FSC_TRANSLATION, 0));
	pa_bits = address_bits(s);

	stride = page - 3;
	level = 4 - (bits - page + stride - 1) / stride;
	table = ((va >> 55 & 1) != 0 ? s->ttbr1_el1 : s->ttbr0_el1) & 0x0000fffffffffffeULL;
	/* The first table may have fewer entries than the others, and is aligned to its size. */
	shift = page + (3 - level) * stride;
	table &= ~((8ULL << (bits - shift)) - 1);
	if (table >> pa_bits != 0)
		return (fail(out, FSC_ADDRESS, 0));
	for (;; level++) {
		shift = page + (3 - level) * stride;
		if (!rd(cookie, table | (va >> shift & ((1U << (bits - shift)) - 1)) << 3, &desc))
			return (fail(out, FSC_EXTERNAL_WALK, level));
		if (!last(desc, level, page, &leaf))
			return (fail(out, FSC_TRANSLATION, level));
		if (leaf)
			break;
		table = desc & DESC_ADDR & ~((1ULL << page) - 1);
		if (table >> pa_bits != 0)
			return (fail(out, FSC_ADDRESS, level));
		out->tattr |= desc & DESC_TABLE_ATTR;
		bits = shift;		/* from here on all bits of an index are used */
	}
	/* A whole table of 4 KiB pages is one that others of its pages are found in. */
	if (level == 3 && page == 12 && bits == 21) {
		out->has_table = true;
		out->table = table;
	}
	return (result(s, va, prot, el0, desc, level, shift, out));
}

bool
arm64_walk_table(const struct arm64_state *s, uint64_t va, int prot, bool el0, uint64_t desc, uint64_t tattr, struct arm64_walk *out)
{
	unsigned bits, page;
	bool leaf;

	memset(out, 0, sizeof(*out));
	if (!region(s, va, el0, &bits, &page))
		return (fail(out, FSC_TRANSLATION, 0));
	if (!last(desc, 3, 12, &leaf))
		return (fail(out, FSC_TRANSLATION, 3));
	out->tattr = tattr;
	return (result(s, va, prot, el0, desc, 3, 12, out));
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
