/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mode.c - what follows from control registers, segments and flags: the processor's mode, its
 * privilege level and its view of memory.
 */
#include "cpu.h"

/*
 * The present address space: PCIDs are numbers of address spaces, translations of one without PCIDs
 * are those of number 0 (SDM vol. 3 4.10.1).  Without paging there is another one, so that what was
 * cached for linear addresses stays apart.
 */
uint32_t
x86_space(const struct x86 *x)
{
	const struct amd64_state *s = x->s;

	if ((s->cr0 & CR0_PG) == 0)
		return (X86_SPACE_PHYS);
	return ((s->cr4 & CR4_PCIDE) != 0 ? (uint32_t)s->cr3 & 0xfff : 0);
}

static unsigned
privilege(const struct x86 *x)
{
	if (!x86_protected(x))
		return (0);
	return (x86_v86(x) ? 3 : VM_AMD64_SEG_DPL(x->s->seg[SEG_SS].access));
}

/* Alignment is checked at level 3 with CR0.AM and RFLAGS.AC (SDM vol. 3 6.15, #AC). */
static bool
aligned(const struct x86 *x)
{
	return (x->cpl == 3 && (x->s->cr0 & CR0_AM) != 0 && (x->s->rflags & FL_AC) != 0);
}

/*
 * Explicit supervisor accesses may touch user pages with SMAP only while AC is set (SDM vol. 3
 * 4.6.1).
 */
static enum x86_mmu
rights(const struct x86 *x)
{
	if (x->cpl == 3)
		return (MMU_USER);
	if ((x->s->cr4 & CR4_SMAP) != 0 && (x->s->rflags & FL_AC) == 0)
		return (MMU_SMAP);
	return (MMU_KERNEL);
}

static uint8_t
code_mode(const struct x86 *x)
{
	const struct amd64_segment *cs = &x->s->seg[SEG_CS];
	uint8_t mode;

	if (x->flat)
		mode = X86_MODE_64;
	else
		mode = (cs->access & VM_AMD64_SEG_DB) != 0 ? X86_MODE_32 : X86_MODE_16;
	if (x->cpl != 0)
		mode |= X86_MODE_USER;
	if (x86_real_or_v86(x))
		mode |= X86_MODE_REAL;
	return (mode);
}

/*
 * What depends on the tag.  Blocks are found by address only as long as all that is in the key is the same; code in global pages has one that is the
 * same in every address space, and a table of its own with other code of level 0.
 */
static void
rekey(struct x86 *x)
{
	unsigned write = x->mmu + (unsigned)MMU_WRITE;
	bool none = aligned(x) || x->watch;

	x->row = x->tlb->e[none ? MMU_NONE : x->mmu];
	x->wrow = x->tlb->e[none ? MMU_NONE : write];
	/* Where nothing is to be found in the first level, there is nothing in the second. */
	x->second[0] = none ? x->row : x->tlb->second[x->mmu];
	x->second[1] = none ? x->wrow : x->tlb->second[write];
	x->global = x->tlb->global;
	/* Tags are odd. */
	x->jumps = &x->tables[(x->cpl == 0 ? X86_TABLES : (x->tag >> 1) % X86_TABLES) * SOFT_JUMPS];
	x->key = soft_jump_key(x->tlb, x->tag, x->mmu, x->mode);
	x->global_key = x->cpl == 0 ? soft_jump_key(x->tlb, 0, x->mmu, x->mode) : x->key;
}

void
x86_mode(struct x86 *x)
{
	x->flat = x86_long(x) && (x->s->seg[SEG_CS].access & VM_AMD64_SEG_L) != 0;
	x->cpl = (uint8_t)privilege(x);
	x->mode = code_mode(x);
	x->mmu = (uint8_t)rights(x);
	x->tag = soft_tlb_tag(x->tlb, x86_space(x));
	rekey(x);
}

void
x86_forget_jumps(struct x86 *x)
{
	soft_tlb_forget_jumps(x->tlb);
	rekey(x);
}

void
x86_flush(struct x86 *x)
{
	soft_count(x->cpu, VM_STAT_TLB_FLUSHES, 1);
	soft_tlb_flush(x->tlb);
	x->tag = soft_tlb_tag(x->tlb, x86_space(x));
	x86_forget_jumps(x);
}

void
x86_flush_space(struct x86 *x, uint32_t pcid)
{
	soft_count(x->cpu, VM_STAT_TLB_FLUSHES, 1);
	soft_tlb_flush_space(x->tlb, pcid);
	x->tag = soft_tlb_tag(x->tlb, x86_space(x));
	rekey(x);
}

void
x86_flush_page(struct x86 *x, uint32_t pcid, uint64_t lin)
{
	bool code = soft_tlb_flush_page(x->tlb, lin, soft_tlb_tag(x->tlb, pcid));

	x->tag = soft_tlb_tag(x->tlb, x86_space(x));
	if (code)
		soft_tlb_forget_jumps(x->tlb);
	rekey(x);
}
