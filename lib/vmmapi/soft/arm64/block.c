/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * block.c - from code to blocks: fetching (Arm ARM D5.4, B2.2.5) and decoding (C4.1).
 *
 * A block ends behind an instruction that always jumps or that changes what decoding depends on, and at the end of its page.
 */
#include <string.h>

#include "debug.h"
#include "ops.h"

static enum a64_status
op_undefined(struct a64 *c, const struct a64_insn *i)
{
	return (a64_undefined(c));
}

/* The syndrome of an unconditional instruction: COND 0b1110, valid (Arm ARM D13.2.37). */
static enum a64_status
op_fp_trap(struct a64 *c, const struct a64_insn *i)
{
	return (a64_raise(c, ESR_EC(EC_FP) | ESR_IL | 0x01e00000U));
}

/* C4.1, "A64 instruction set encoding" */
static bool
group(const struct a64 *c, uint32_t w, struct a64_insn *i)
{
	bool trap = (c->mode & A64_MODE_FPTRAP) != 0;
	bool found;

	switch (a64_bits(w, 28, 25)) {
	case 0x8:
	case 0x9:
	case 0x5:
	case 0xd:
		return (a64_decode_dp(w, c->features, c->mode, i));
	case 0xa:
	case 0xb:
		return (a64_decode_branch(w, i) || a64_decode_system(w, c->features, c->mode, i));
	case 0x4:
	case 0x6:
	case 0xc:
	case 0xe:
		if (a64_bits(w, 26, 26) == 0)
			return (a64_decode_ldst(w, c->features, c->mode, i));
		found = a64_decode_ldst_simd(w, c->mode, i);
		break;
	case 0x7:
	case 0xf:
		found = a64_decode_fp(w, c->features, i) || a64_decode_simd(w, c->features, i);
		break;
	default:
		return (false);
	}
	if (found && trap) {
		i->fn = op_fp_trap;
		i->go = NULL;
		i->flags = A64_I_END;
	}
	return (found);
}

/* true: more may follow in the block. */
static bool
decode(const struct a64 *c, uint32_t w, struct a64_insn *i, unsigned off)
{
	memset(i, 0, sizeof(*i));
	i->word = w;
	i->off = (uint16_t)off;
	if (!group(c, w, i)) {
		memset(i, 0, sizeof(*i));
		i->word = w;
		i->off = (uint16_t)off;
		i->fn = op_undefined;
		i->flags = A64_I_END;
	}
	if (i->go == NULL)
		i->go = a64_call;
	return ((i->flags & A64_I_END) == 0);
}

static void
end(struct a64_insn *i, unsigned off)
{
	memset(i, 0, sizeof(*i));
	i->go = a64_end;
	i->off = (uint16_t)off;
}

/* Where the page of va is. */
static enum a64_status
code_page(struct a64 *c, uint64_t va, const struct soft_itlbe **e)
{
	const struct soft_itlbe *t = &c->tlb->i[c->mmu][(va >> 12) & (SOFT_ITLB_SIZE - 1)];
	struct arm64_walk w;

	*e = t;
	if (t->tag == (SOFT_PAGE(va) | a64_tag(c, va)))
		return (A_DONE);
	if (!a64_walk(c, va, VM_PROT_EXEC, (c->mode & A64_MODE_EL0) != 0, &w))
		return (a64_raise_far(c, a64_abort_esr(c, EC_IABT, w.fsc, false), va));
	*e = soft_tlb_fill_code(c->cpu, c->tlb, c->mmu, (uint16_t)a64_tag(c, va), va, w.gpa, a64_walk_flags(c, va, &w));
	/* Code is memory: a synchronous external abort (IFSC 0x10) elsewhere. */
	if (*e == NULL)
		return (a64_raise_far(c, a64_abort_esr(c, EC_IABT, 0x10, false), va));
	return (A_DONE);
}

/* A block is good for the instructions that the VM has: those may change when its state is loaded. */
static uint32_t
block_mode(const struct a64 *c)
{
	return (c->features << A64_MODE_BITS | c->mode);
}

/* Decode as much as goes into one block; NULL: guest code was left, start over. */
static struct soft_block *
build(struct a64 *c, uint64_t place, const uint8_t *code, unsigned left)
{
	struct soft_block *b;
	struct a64_insn *i;
	unsigned n = 0, max = left / 4 < A64_BLOCK_MAX ? left / 4 : A64_BLOCK_MAX;
	bool more = true, debug = debug_offset(c->vcpu->vm, place);

	b = soft_code_alloc(c->cpu, (A64_BLOCK_MAX + 1) * sizeof(struct a64_insn));
	i = SOFT_BLOCK_CODE(b);
	for (; more && n < max; n++) {
		/* What may be stopped at is a block of its own. */
		if (n != 0 && (debug || debug_offset(c->vcpu->vm, place + 4 * n)))
			break;
		if (!soft_code_watch(c->cpu, place + 4 * n, 4))
			return (NULL);
		more = decode(c, (uint32_t)host_load(code + 4 * n, 4), &i[n], 4 * n);
	}
	end(&i[n], 4 * n);
	if (debug) {
		/* The instruction's own way is kept behind it. */
		i[1].fn = i[0].go;
		i[0].go = a64_debug_stop;
	}
	b->debug = debug;
	b->place = place;
	b->place2 = SOFT_NOPLACE;
	b->mode = block_mode(c);
	b->bytes = (uint16_t)(4 * n);
	b->n = (uint16_t)n;
	soft_code_add(c->cpu, b, (n + 1) * sizeof(*i));
	return (b);
}

enum a64_status
a64_block(struct a64 *c, uint64_t va, struct soft_block **block)
{
	struct soft_block *b = *block;
	const struct soft_itlbe *e = NULL;
	unsigned off = (unsigned)(va & 4095);

	if ((va & 3) != 0)
		return (a64_raise_far(c, ESR_EC(EC_PC_ALIGN) | ESR_IL, va));
	do {
		TRY(code_page(c, va, &e));
		if (b != NULL && !b->stale && b->place == e->place + off && b->mode == block_mode(c))
			return (A_DONE);
		*block = soft_code_find(c->code, e->place + off, block_mode(c), SOFT_NOPLACE);
		if (*block == NULL)
			*block = build(c, e->place + off, e->host + off, 4096 - off);
		b = NULL;
	} while (*block == NULL);
	return (A_DONE);
}
