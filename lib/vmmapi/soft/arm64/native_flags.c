/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_flags.c - NZCV in native code: where it is while a block is translated, and who may see it.
 *
 * What sets NZCV leaves it in the host's flags, and what was compared in registers that nothing else gets (a recipe), so that it can be compared
 * again.  It goes to c->eflags where somebody may look there: a function, another block.  A branch that is taken stores it on its own way, so
 * a compare in front of a branch is stored only where it is not overwritten behind that.
 */
#include "native.h"

/* What an instruction does with NZCV. */
enum flag_use {
	USE_NONE,
	USE_SETS,
	USE_READS,	/* its code knows where NZCV is */
	USE_BRANCH,	/* conditional: it stores NZCV on its ways */
	USE_BOTH,	/* reads, then sets */
	USE_ANY		/* a function, a fault, another block: it is to be in memory */
};

static enum flag_use
carry_or_condition(uint32_t w)
{
	switch (a64_bits(w, 23, 21)) {
	case 0:
		/* ADC, SBC, which have nothing in bits 15:10 */
		if (a64_bits(w, 15, 10) != 0)
			return (USE_ANY);
		return (a64_bits(w, 29, 29) != 0 ? USE_BOTH : USE_READS);
	case 2:
		return (USE_BOTH);
	case 4:
		return (USE_READS);
	case 6:
		return (USE_NONE);
	default:
		return (USE_ANY);
	}
}

static enum flag_use
flag_use(uint32_t w)
{
	switch (a64_bits(w, 28, 25)) {
	case 0x8:
	case 0x9:
		/* ADDS, SUBS, ANDS (immediate) set them all; the others do nothing with them. */
		if (a64_bits(w, 25, 23) == 2)
			return (a64_bits(w, 29, 29) != 0 ? USE_SETS : USE_NONE);
		if (a64_bits(w, 25, 23) == 4)
			return (a64_bits(w, 30, 29) == 3 ? USE_SETS : USE_NONE);
		return (USE_NONE);
	case 0x5:
	case 0xd:
		if ((w & 0x1f000000) == 0x0a000000)
			return (a64_bits(w, 30, 29) == 3 ? USE_SETS : USE_NONE);
		if ((w & 0x1f000000) == 0x0b000000)
			return (a64_bits(w, 29, 29) != 0 ? USE_SETS : USE_NONE);
		if ((w & 0x1f000000) == 0x1b000000)
			return (USE_NONE);
		return (carry_or_condition(w));
	case 0xa:
	case 0xb:
		/* Conditional branches */
		if (((w & 0xff000010) == 0x54000000 && (w & 0xe) != 0xe) || (w & 0x7c000000) == 0x34000000)
			return (USE_BRANCH);
		return (USE_ANY);
	default:
		return (USE_ANY);
	}
}

void
native_find_flags(struct tr *t)
{
	bool memory = true, seen = true;

	for (unsigned k = t->n; k-- > 0;) {
		t->stored |= (uint64_t)memory << k;
		t->seen |= (uint64_t)seen << k;
		switch (native_by_function(&t->code[k]) ? USE_ANY : flag_use(t->code[k].word)) {
		case USE_SETS:
			memory = seen = false;
			break;
		case USE_READS:
			seen = true;
			break;
		case USE_BRANCH:
			memory = false;
			seen = true;
			break;
		case USE_BOTH:
			memory = false;
			seen = true;
			break;
		case USE_ANY:
			memory = seen = true;
			break;
		default:
			break;
		}
	}
	t->flags_in = seen;
}

/* The host's flags become those of the recipe; rax is lost. */
static void
compare(struct tr *t, const struct nzcv *f)
{
	struct emit *e = t->e;

	switch (f->how) {
	case NZCV_CMP:
		if (f->imm)
			emit_alu_ri(e, f->size, ALU_CMP, f->a, f->with);
		else
			emit_alu_rr(e, f->size, ALU_CMP, f->a, f->b);
		break;
	case NZCV_TEST:
		if (f->imm)
			emit_test_ri(e, f->size, f->a, f->with);
		else
			emit_test_rr(e, f->size, f->a, f->b);
		break;
	default:
		emit_mov_rr(e, f->size, H_RAX, f->a);
		if (f->imm)
			emit_alu_ri(e, f->size, ALU_ADD, H_RAX, f->with);
		else
			emit_alu_rr(e, f->size, ALU_ADD, H_RAX, f->b);
		break;
	}
}

/* Host flags have NZCV; rax is lost. */
static void
to_host(struct tr *t)
{
	struct nzcv *f = &t->flags;

	if (f->host)
		return;
	if (f->how != NZCV_MEMORY) {
		compare(t, f);
		f->borrow = f->how == NZCV_CMP;
	} else {
		emit_movzx_rm(t->e, 2, H_RAX, CORE(eflags));
		emit_alu_ri(t->e, 1, ALU_ADD, H_RAX, 0x7f);
		emit_sahf(t->e);
		f->borrow = false;
	}
	f->host = true;
}

void
native_carry(struct tr *t, bool borrow)
{
	to_host(t);
	if (t->flags.borrow != borrow) {
		emit_cmc(t->e);
		t->flags.borrow = borrow;
	}
}

void
native_save_flags(struct tr *t)
{
	if (t->flags.saved)
		return;
	native_carry(t, false);
	emit_lahf(t->e);
	emit_setcc_r(t->e, CC_O, H_RAX);
	emit_mov_mr(t->e, 2, CORE(eflags), H_RAX);
	t->flags.saved = true;
}

void
native_settle_flags(struct tr *t)
{
	native_save_flags(t);
	t->flags.how = NZCV_MEMORY;
	t->pinned = 0;
}

bool
native_flags_seen(const struct tr *t)
{
	return ((t->seen >> t->k & 1) != 0);
}

void
native_set_flags(struct tr *t, bool borrow)
{
	t->flags = (struct nzcv){ .host = true, .borrow = borrow };
	native_settle_flags(t);
}

void
native_compared(struct tr *t, struct nzcv f, bool emitted)
{
	uint16_t pins = (uint16_t)(1U << f.a | (f.imm ? 0 : 1U << f.b));

	t->pinned = 0;
	if (!native_flags_seen(t)) {
		t->flags = (struct nzcv){ .saved = true };
		return;
	}
	f.host = f.saved = false;
	if (emitted) {
		f.host = true;
		f.borrow = f.how == NZCV_CMP;
	}
	t->flags = f;
	/* What other instructions need is left to them. */
	if (__builtin_popcount(t->kept | pins) > 4) {
		native_settle_flags(t);
		return;
	}
	t->pinned = pins;
	if ((t->stored >> t->k & 1) != 0)
		native_save_flags(t);
}

enum emit_cc
native_condition(struct tr *t, unsigned cond)
{
	/* By condition (Arm ARM C1.2.4); HI and LS with a borrow. */
	static const uint8_t ccs[14] = { CC_E, CC_NE, CC_B, CC_AE, CC_S, CC_NS, CC_O, CC_NO, CC_A, CC_BE, CC_GE, CC_L, CC_G, CC_LE };

	if (cond >> 1 == 4)
		native_carry(t, true);
	to_host(t);
	return ((enum emit_cc)(ccs[cond] ^ (cond >> 1 == 1 && t->flags.borrow)));
}
