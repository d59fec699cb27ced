/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mode_arm64.c - what follows from system registers and PSTATE: how code is decoded, and which view of memory there is.
 *
 * Translations are tagged with the ASID.  The upper half (TTBR1_EL1), where kernels have global mappings, has a tag of its own, so
 * that they outlive changes of the ASID.  When a mapping up there that is not global was entered, the tag is good for this ASID only.
 * Global mappings of the lower half are found anew for each ASID.
 */
#include <string.h>

#include "debug.h"
#include "fpx.h"

#define	TCR_A1		(1ULL << 22)
#define	TCR_AS		(1ULL << 36)

static uint32_t
current_asid(const struct arm64_state *s)
{
	uint64_t ttbr = (s->tcr_el1 & TCR_A1) != 0 ? s->ttbr1_el1 : s->ttbr0_el1;

	return ((uint32_t)(ttbr >> 48) & ((s->tcr_el1 & TCR_AS) != 0 ? 0xffff : 0xff));
}

/* CPACR_EL1.FPEN (Arm ARM D13.2.30) */
static bool
fp_traps(const struct arm64_state *s, bool el0)
{
	unsigned fpen = (unsigned)(s->cpacr_el1 >> 20) & 3;

	return (fpen != 3 && (fpen != 1 || el0));
}

/*
 * Blocks are found by address only as long as all of this is the same.  Native code of a page goes on without looking, so it comes out
 * when that changes for the half it is in.
 */
static void
rekey(struct a64 *c)
{
	unsigned half = c->pc0 >> 55 & 1;
	uint64_t old = c->key[half];

	c->key[0] = soft_jump_key(c->tlb, c->tag[0], c->mmu, c->mode);
	c->key[1] = soft_jump_key(c->tlb, c->tag[1], c->mmu, c->mode);
	for (unsigned n = 0; n < 2; n++)
		c->salt[n] = (c->tag[n] * 0x9e5U & (SOFT_JUMPS - 1)) << 2;
	if (c->native && c->key[half] != old)
		a64_cut(c);
}

static void
tags(struct a64 *c)
{
	if ((c->s->sctlr_el1 & SCTLR_M) == 0) {
		c->tag[0] = c->tag[1] = soft_tlb_tag(c->tlb, A64_SPACE_PHYS);
	} else {
		/* Giving out the second may void the first. */
		do {
			c->tag[0] = soft_tlb_tag(c->tlb, c->asid);
			c->tag[1] = soft_tlb_tag(c->tlb, A64_SPACE_GLOBAL);
		} while (c->tag[0] != soft_tlb_tag(c->tlb, c->asid));
	}
	rekey(c);
}

void
a64_mode(struct a64 *c)
{
	const struct arm64_state *s = c->s;
	bool el0 = a64_el0(c), none;
	uint32_t asid = current_asid(s);

	c->mode = (uint8_t)((el0 ? A64_MODE_EL0 : 0) | ((s->pstate & 1) != 0 ? A64_MODE_SPX : 0) |
	    (fp_traps(s, el0) ? A64_MODE_FPTRAP : 0) | ((s->fpcr & (FPCR_RMODE | FPCR_FZ)) != 0 ? A64_MODE_FPCR : 0));
	c->mmu = el0 ? A64_ROW_EL0 : A64_ROW_EL1;
	if (c->native && c->debug != a64_debug(c))
		a64_cut(c);
	c->debug = (uint8_t)a64_debug(c);
	none = (s->sctlr_el1 & SCTLR_A) != 0 || (c->debug & A64_DEBUG_DATA) != 0;
	for (unsigned w = 0; w < 2; w++) {
		c->row[w] = c->tlb->e[none ? (unsigned)A64_ROW_NONE : c->mmu + w * A64_ROW_WRITE];
		c->row_el0[w] = c->tlb->e[none ? (unsigned)A64_ROW_NONE : A64_ROW_EL0 + w * A64_ROW_WRITE];
	}
	if (asid != c->asid && c->upper_ng) {
		soft_tlb_flush_space(c->tlb, A64_SPACE_GLOBAL);
		c->upper_ng = false;
	}
	c->asid = asid;
	tags(c);
}

void
a64_forget_jumps(struct a64 *c)
{
	soft_tlb_forget_jumps(c->tlb);
	rekey(c);
}

/* What is known of tables goes with every invalidation. */
static void
forget_tables(struct a64 *c)
{
	memset(c->table, 0, sizeof(c->table));
}

void
a64_flush(struct a64 *c)
{
	forget_tables(c);
	soft_count(c->cpu, VM_STAT_TLB_FLUSHES, 1);
	soft_tlb_flush(c->tlb);
	c->upper_ng = false;
	tags(c);
	a64_forget_jumps(c);
}

void
a64_flush_space(struct a64 *c, uint32_t asid)
{
	forget_tables(c);
	soft_count(c->cpu, VM_STAT_TLB_FLUSHES, 1);
	soft_tlb_flush_space(c->tlb, asid);
	if (c->upper_ng) {
		soft_tlb_flush_space(c->tlb, A64_SPACE_GLOBAL);
		c->upper_ng = false;
	}
	tags(c);
}

void
a64_flush_page(struct a64 *c, uint64_t va)
{
	/* Bits 63:56 are no part of TLBI's operand. */
	bool code = soft_tlb_flush_page(c->tlb, (uint64_t)a64_sext(va, 56), 0);

	forget_tables(c);
	tags(c);
	if (code)
		a64_forget_jumps(c);
}
