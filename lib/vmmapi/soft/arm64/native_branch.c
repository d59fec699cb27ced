/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_branch.c - branches in native code (Arm ARM C4.1.3): branch.c has their functions.
 */
#include "native.h"

/* The address behind the present instruction becomes X30. */
static void
link_register(struct tr *t)
{
	unsigned reg = native_new(t);

	emit_mov_rm(t->e, 8, reg, CORE(pc0));
	emit_lea(t->e, 8, reg, emit_at(reg, (int32_t)(t->off + 4 * t->k + 4)));
	native_put(t, 30, reg);
}

static int64_t
target(const struct tr *t)
{
	return ((int64_t)(t->off + 4 * t->k) + (int64_t)t->i->imm);
}

static void
taken_if(struct tr *t, enum emit_cc cc)
{
	struct late *l;

	if (native_is_back(t, t->k)) {
		native_loop_back(t, cc);
		return;
	}
	l = native_late(t, LATE_TAKEN);
	l->target = target(t);
	l->flags = t->flags;
	emit_jcc(t->e, cc, &l->from);
}

static enum native
conditional(struct tr *t, uint32_t w)
{
	enum emit_cc cc;

	if ((w & 0xe) == 0xe) {
		native_goto(t, target(t), t->k);
		t->ended = true;
		return (NATIVE_DONE);
	}
	cc = native_condition(t, w & 0xf);
	taken_if(t, cc);
	if ((t->stored >> t->k & 1) != 0)
		native_save_flags(t);
	return (NATIVE_KEPT);
}

/* Tags of branch targets (TBI) and what else is odd about them are for the function: here, where the address is plain. */
static enum native
to_register(struct tr *t, uint32_t w)
{
	unsigned opc = a64_bits(w, 24, 21), reg;
	struct late *odd;

	if ((w & 0x001ffc1f) != 0x001f0000 || opc > 2)
		return (NATIVE_NOT);
	odd = native_slow(t);
	reg = native_use(t, t->i->rn);
	/* The sign of bit 55 in all bits above it: then it stays as it is, whatever TCR_EL1 says of tags. */
	emit_mov_rr(t->e, 8, H_RAX, reg);
	emit_shift_ri(t->e, 8, SH_SHL, H_RAX, 8);
	emit_shift_ri(t->e, 8, SH_SAR, H_RAX, 8);
	emit_alu_rr(t->e, 8, ALU_CMP, H_RAX, reg);
	emit_jcc(t->e, CC_NE, &odd->from);
	if (opc == 1)
		link_register(t);
	/* The function says A_JUMP, and does not come back. */
	native_joined(t, odd);
	native_goto_rax(t);
	t->ended = true;
	return (NATIVE_DONE);
}

enum native
native_branch(struct tr *t)
{
	uint32_t w = t->i->word;
	bool set;
	unsigned bit, reg;

	if ((w & 0x7c000000) == 0x14000000) {
		if (w >> 31 != 0)
			link_register(t);
		if (native_is_back(t, t->k))
			native_loop_back(t, -1);
		else
			native_goto(t, target(t), t->k);
		t->ended = true;
		return (NATIVE_DONE);
	}
	if ((w & 0xff000010) == 0x54000000)
		return (conditional(t, w));
	set = a64_bits(w, 24, 24) != 0;
	if ((w & 0x7e000000) == 0x34000000) {
		reg = native_use(t, t->i->rd);
		emit_test_rr(t->e, w >> 31 != 0 ? 8 : 4, reg, reg);
		t->flags.host = false;
		taken_if(t, set ? CC_NE : CC_E);
		return (NATIVE_DONE);
	}
	if ((w & 0x7e000000) == 0x36000000) {
		bit = t->i->arg;
		reg = native_use(t, t->i->rd);
		emit_bt_ri(t->e, bit < 32 ? 4 : 8, 4, reg, bit);
		t->flags.host = false;
		taken_if(t, set ? CC_B : CC_AE);
		return (NATIVE_DONE);
	}
	if ((w & 0xfe000000) == 0xd6000000)
		return (to_register(t, w));
	return (NATIVE_NOT);
}
