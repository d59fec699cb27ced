/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * branch.c - branches (Arm ARM C4.1.3, C6.2).
 *
 * A branch that is not taken goes on within its block.  One that is goes on to the block there by itself when that is found by its address:
 * what core_arm64.c looks at between two blocks can wait for the few hundred instructions of c->chain, for nothing in between asks for it
 * but by ending its block (A64_I_END, a64_cut()).
 */
#include "ops.h"

A64_INLINE enum a64_status
jump(struct a64 *c, const struct a64_insn *i, uint64_t target)
{
	uint64_t done = c->done + i->off / 4 + 1;
	struct soft_block *next;

	if (likely(done < c->chain)) {
		next = soft_jump_hit(a64_jump_place(c, target), target, a64_key(c, target));
		if (likely(next != NULL)) {
			c->done = done;
			c->pc0 = target;
			c->block_code = SOFT_BLOCK_CODE(next);
			return (c->block_code->go(c, c->block_code));
		}
	}
	c->cur = i;
	c->s->pc = target;
	return (A_JUMP);
}

static enum a64_status
b(struct a64 *c, const struct a64_insn *i)
{
	return (jump(c, i, a64_pc(c, i) + i->imm));
}

static enum a64_status
bl(struct a64 *c, const struct a64_insn *i)
{
	uint64_t pc = a64_pc(c, i);

	c->s->x[30] = pc + 4;
	return (jump(c, i, pc + i->imm));
}

static enum a64_status
br(struct a64 *c, const struct a64_insn *i)
{
	return (jump(c, i, arm64_branch_target(c->s, R(i->rn))));
}

static enum a64_status
blr(struct a64 *c, const struct a64_insn *i)
{
	uint64_t target = arm64_branch_target(c->s, R(i->rn));

	c->s->x[30] = a64_pc(c, i) + 4;
	return (jump(c, i, target));
}

#define	BRANCH_IF(name, taken)								\
	static enum a64_status								\
	name(struct a64 *c, const struct a64_insn *i)					\
	{										\
		if (taken)								\
			return (jump(c, i, a64_pc(c, i) + i->imm));			\
		return (A64_NEXT(c, i));						\
	}

BRANCH_IF(cbz32, (uint32_t)R(i->rd) == 0)
BRANCH_IF(cbnz32, (uint32_t)R(i->rd) != 0)
BRANCH_IF(cbz, R(i->rd) == 0)
BRANCH_IF(cbnz, R(i->rd) != 0)
BRANCH_IF(tbz, (R(i->rd) >> i->arg & 1) == 0)
BRANCH_IF(tbnz, (R(i->rd) >> i->arg & 1) != 0)

#define	Z	((NZCV(c) & NZCV_Z) != 0)
#define	C	((NZCV(c) & NZCV_C) != 0)
#define	N	((NZCV(c) & NZCV_N) != 0)
#define	V	((NZCV(c) & NZCV_V) != 0)
#define	LT	(((NZCV(c) ^ NZCV(c) << 3) & NZCV_N) != 0)

BRANCH_IF(b_eq, Z)
BRANCH_IF(b_ne, !Z)
BRANCH_IF(b_cs, C)
BRANCH_IF(b_cc, !C)
BRANCH_IF(b_mi, N)
BRANCH_IF(b_pl, !N)
BRANCH_IF(b_vs, V)
BRANCH_IF(b_vc, !V)
BRANCH_IF(b_hi, (NZCV(c) & (NZCV_C | NZCV_Z)) == NZCV_C)
BRANCH_IF(b_ls, (NZCV(c) & (NZCV_C | NZCV_Z)) != NZCV_C)
BRANCH_IF(b_ge, !LT)
BRANCH_IF(b_lt, LT)
BRANCH_IF(b_gt, !Z && !LT)
BRANCH_IF(b_le, Z || LT)

static bool
decode_register(uint32_t w, struct a64_insn *i)
{
	static a64_op *const ops[3] = { br, blr, br };		/* RET is a BR that says so */
	unsigned opc = a64_bits(w, 24, 21);

	if ((w & 0x001ffc1f) != 0x001f0000 || opc > 2)
		return (false);
	i->rn = src(a64_bits(w, 9, 5));
	i->go = ops[opc];
	i->flags = A64_I_END;
	return (true);
}

bool
a64_decode_branch(uint32_t w, struct a64_insn *i)
{
	static a64_op *const conditional[16] = { b_eq, b_ne, b_cs, b_cc, b_mi, b_pl, b_vs, b_vc, b_hi, b_ls, b_ge, b_lt,
	    b_gt, b_le, b, b };
	static a64_op *const compare[2][2] = { { cbz32, cbnz32 }, { cbz, cbnz } };

	i->rd = src(w & 31);
	if ((w & 0x7c000000) == 0x14000000) {
		i->imm = (uint64_t)a64_sext((uint64_t)a64_bits(w, 25, 0) << 2, 28);
		i->go = w >> 31 != 0 ? bl : b;
		i->flags = A64_I_END;
		return (true);
	}
	if ((w & 0x7e000000) == 0x34000000) {
		i->imm = (uint64_t)a64_sext((uint64_t)a64_bits(w, 23, 5) << 2, 21);
		i->go = compare[w >> 31][a64_bits(w, 24, 24)];
		return (true);
	}
	if ((w & 0x7e000000) == 0x36000000) {
		i->imm = (uint64_t)a64_sext((uint64_t)a64_bits(w, 18, 5) << 2, 16);
		i->arg = (uint8_t)((w >> 31) << 5 | a64_bits(w, 23, 19));
		i->go = a64_bits(w, 24, 24) != 0 ? tbnz : tbz;
		return (true);
	}
	if ((w & 0xff000010) == 0x54000000) {
		i->imm = (uint64_t)a64_sext((uint64_t)a64_bits(w, 23, 5) << 2, 21);
		i->go = conditional[w & 0xf];
		if ((w & 0xe) == 0xe)
			i->flags = A64_I_END;
		return (true);
	}
	return ((w & 0xfe000000) == 0xd6000000 && decode_register(w, i));
}
