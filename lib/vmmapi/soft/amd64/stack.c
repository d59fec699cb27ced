/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stack.c - PUSH and POP of registers, memory and immediates, PUSHA, POPA, ENTER, LEAVE and BOUND
 * (Intel SDM vol. 1 6.2, vol. 2 by instruction).  Segment registers are in segment.c, flags in
 * flags.c.
 *
 * What is pushed is as wide as the operand, the stack pointer as wide as the stack (SDM vol. 1
 * 6.2.3).
 */
#include "decode.h"

static enum x86_status
push(struct x86 *x, unsigned size, uint64_t v)
{
	uint64_t sp = x->s->gpr[RSP];

	TRY(x86_push_at(x, &sp, size, v));
	x86_sp_set(x, sp);
	return (X_DONE);
}

/* 64 bits in 64-bit mode */
X86_INLINE enum x86_status
push_wide(struct x86 *x, uint64_t v)
{
	uint64_t sp = x->s->gpr[RSP] - 8;

	TRY(x86_store_at(x, SEG_SS, sp, 8, v));
	x->s->gpr[RSP] = sp;
	return (X_DONE);
}

static enum x86_status
push_r64(struct x86 *x, const struct x86_insn *i)
{
	return (push_wide(x, x86_reg(x, i->r[0], 8)));
}

static enum x86_status
push_m64(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v;

	TRY(x86_load(x, i, 8, &v));
	return (push_wide(x, v));
}

static enum x86_status
push_i64(struct x86 *x, const struct x86_insn *i)
{
	return (push_wide(x, i->imm));
}

static enum x86_status
push_r(struct x86 *x, const struct x86_insn *i)
{
	return (push(x, i->opsize, x86_reg(x, i->r[0], i->opsize)));
}

static enum x86_status
push_m(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v;

	TRY(x86_load(x, i, i->opsize, &v));
	return (push(x, i->opsize, v));
}

static enum x86_status
push_i(struct x86 *x, const struct x86_insn *i)
{
	return (push(x, i->opsize, i->imm));
}

/* POP of the stack pointer leaves what was popped. */

static enum x86_status
pop_r64(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x->s->gpr[RSP], v;

	TRY(x86_load_at(x, SEG_SS, sp, 8, &v));
	x->s->gpr[RSP] = sp + 8;
	x86_reg_set(x, i->r[0], 8, v);
	return (X_DONE);
}

static enum x86_status
pop_r(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x->s->gpr[RSP], v;

	TRY(x86_pop_at(x, &sp, i->opsize, &v));
	x86_sp_set(x, sp);
	x86_reg_set(x, i->r[0], i->opsize, v);
	return (X_DONE);
}

/* An address by way of the stack pointer is made with its value behind the pop (SDM vol. 2, POP). */
static enum x86_status
pop_m(struct x86 *x, const struct x86_insn *i)
{
	enum amd64_seg seg = (enum amd64_seg)i->seg;
	uint64_t sp = x->s->gpr[RSP], ea = x86_ea(x, i), v, m = x86_mask(x86_stacksize(x));

	TRY(x86_pop_at(x, &sp, i->opsize, &v));
	if (i->base == RSP)
		ea += ((sp & m) | (m == 0xffff ? x->s->gpr[RSP] & ~m : 0)) - x->s->gpr[RSP];
	TRY(x86_store_seg(x, seg, ea & x86_mask(i->adsize), i->opsize, v));
	x86_sp_set(x, sp);
	return (X_DONE);
}

static bool
general(const struct x86_decoded *d)
{
	return (!x86_is_reg(d, 0) || ZydisRegisterGetClass(d->op[0].reg.value) != ZYDIS_REGCLASS_SEGMENT);
}

static bool
bind_push(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	if ((d->mode & X86_MODE_SIZE) == X86_MODE_64 && i->opsize == 8)
		i->fn = x86_is_mem(d, 0) ? push_m64 : x86_is_imm(d, 0) ? push_i64 : push_r64;
	else
		i->fn = x86_is_mem(d, 0) ? push_m : x86_is_imm(d, 0) ? push_i : push_r;
	return (general(d));
}

static bool
bind_pop(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	if (x86_is_mem(d, 0))
		i->fn = pop_m;
	else
		i->fn = (d->mode & X86_MODE_SIZE) == X86_MODE_64 && i->opsize == 8 ? pop_r64 : pop_r;
	return (general(d));
}

/*
 * AX, CX, DX, BX, SP, BP, SI, DI.  In real mode an odd stack pointer that would run out of the stack
 * in the middle is #GP (SDM vol. 2, PUSHA).
 */
static enum x86_status
pusha(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x->s->gpr[RSP], low = sp & x86_mask(x86_stacksize(x));

	if (!x86_protected(x) && low >= 7 && low <= 15 && (low & 1) != 0)
		return (GP0(x));
	for (int n = RAX; n <= RDI; n++)
		TRY(x86_push_at(x, &sp, i->opsize, x86_gpr(x, (enum amd64_gpr)n, i->opsize)));
	x86_sp_set(x, sp);
	return (X_DONE);
}

/* The stack pointer's place is skipped. */
static enum x86_status
popa(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x->s->gpr[RSP], v[8];

	for (int n = RDI; n >= RAX; n--)
		TRY(x86_pop_at(x, &sp, i->opsize, &v[n]));
	x86_sp_set(x, sp);
	for (int n = RAX; n <= RDI; n++) {
		if (n != RSP)
			x86_gpr_set(x, (enum amd64_gpr)n, i->opsize, v[n]);
	}
	return (X_DONE);
}

/*
 * The frame pointers of the outer levels are copied.  It faults if the new stack pointer could not be
 * written through (SDM vol. 2, ENTER).
 */
static enum x86_status
enter(struct x86 *x, const struct x86_insn *i)
{
	unsigned level = i->imm2 & 31, size = i->opsize;
	uint64_t sp = x->s->gpr[RSP], bp = x->s->gpr[RBP], m = x86_mask(x86_stacksize(x)), frame, v;

	TRY(x86_push_at(x, &sp, size, bp));
	frame = sp;
	for (unsigned n = 1; n < level; n++) {
		bp -= size;
		TRY(x86_load_seg(x, SEG_SS, bp & m, size, &v));
		TRY(x86_push_at(x, &sp, size, v));
	}
	if (level > 0)
		TRY(x86_push_at(x, &sp, size, frame));
	sp -= i->imm & 0xffff;
	TRY(x86_probe(x, SEG_SS, sp & m, size, true));
	x86_sp_set(x, sp);
	x86_gpr_set(x, RBP, size, frame);
	return (X_DONE);
}

static enum x86_status
leave(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x86_gpr(x, RBP, x86_stacksize(x)), v;

	TRY(x86_pop_at(x, &sp, i->opsize, &v));
	x86_sp_set(x, sp);
	x86_gpr_set(x, RBP, i->opsize, v);
	return (X_DONE);
}

static enum x86_status
leave64(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x->s->gpr[RBP], v;

	TRY(x86_load_at(x, SEG_SS, sp, 8, &v));
	x->s->gpr[RSP] = sp + 8;
	x->s->gpr[RBP] = v;
	return (X_DONE);
}

static bool
bind_leave(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	i->fn = (d->mode & X86_MODE_SIZE) == X86_MODE_64 && i->opsize == 8 ? leave64 : leave;
	return (true);
}

/* #BR if the register is not between the two signed numbers in memory. */
static enum x86_status
bound(struct x86 *x, const struct x86_insn *i)
{
	enum amd64_seg seg = (enum amd64_seg)i->seg;
	unsigned size = i->opsize;
	int64_t index = x86_sext(x86_reg(x, i->r[0], size), size);
	uint64_t ea = x86_ea(x, i), low, high;

	TRY(x86_load_seg(x, seg, ea, size, &low));
	TRY(x86_load_seg(x, seg, (ea + size) & x86_mask(i->adsize), size, &high));
	if (index < x86_sext(low, size) || index > x86_sext(high, size))
		return (x86_fault(x, EXC_BR));
	return (X_DONE);
}

const struct x86_opdesc x86_ops_stack[] = {
	{ ZYDIS_MNEMONIC_PUSH, 0, 0, NULL, bind_push },
	{ ZYDIS_MNEMONIC_POP, 0, 0, NULL, bind_pop },
	{ ZYDIS_MNEMONIC_PUSHA, XD_NO64, 0, pusha, NULL },
	{ ZYDIS_MNEMONIC_PUSHAD, XD_NO64, 0, pusha, NULL },
	{ ZYDIS_MNEMONIC_POPA, XD_NO64, 0, popa, NULL },
	{ ZYDIS_MNEMONIC_POPAD, XD_NO64, 0, popa, NULL },
	{ ZYDIS_MNEMONIC_ENTER, 0, 0, enter, NULL },
	{ ZYDIS_MNEMONIC_LEAVE, 0, 0, NULL, bind_leave },
	{ ZYDIS_MNEMONIC_BOUND, XD_NO64, 0, bound, NULL },
	{ 0 },
};
