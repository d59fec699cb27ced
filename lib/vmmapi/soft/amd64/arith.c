/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arith.c - ADD to CMP, TEST, INC, DEC, NEG, NOT, the flags' own instructions and sign extensions of
 * the accumulator (Intel SDM vol. 2, by instruction).
 *
 * One function for each operation, operand size and form of operands: r register, m memory, i
 * immediate, destination first.  What an operation computes is in alu.h; its LOCK forms are in
 * atomic.c.
 */
#include "alu.h"
#include "atomic.h"
#include "decode.h"

/* CMP and TEST only read. */
X86_INLINE bool
writes(enum alu_op op)
{
	return (op != ALU_CMP && op != ALU_TEST);
}

/* Into a register. */
X86_INLINE enum x86_status
to_reg(struct x86 *x, const struct x86_insn *i, enum alu_op op, unsigned size, uint64_t b)
{
	unsigned ax;
	uint64_t v = alu2(op, size, x86_reg(x, i->r[0], size), b, x->s->rflags, &ax);

	if (writes(op))
		x86_reg_set(x, i->r[0], size, v);
	alu_set(x, ax);
	return (X_DONE);
}

/* Into memory. */
X86_INLINE enum x86_status
to_mem(struct x86 *x, const struct x86_insn *i, enum alu_op op, unsigned size, uint64_t b)
{
	struct x86_ref ref;
	uint64_t a;
	unsigned ax;

	if (!writes(op)) {
		TRY(x86_load(x, i, size, &a));
		(void)alu2(op, size, a, b, x->s->rflags, &ax);
	} else {
		TRY(x86_rmw_load(x, i, size, &ref, &a));
		a = alu2(op, size, a, b, x->s->rflags, &ax);
		TRY(x86_rmw_store(x, i, size, &ref, a));
	}
	alu_set(x, ax);
	return (X_DONE);
}

struct forms {
	x86_op *rr, *ri, *rm, *mr, *mi;
};

#define	FORMS(name, op, size)							\
static enum x86_status								\
name##size##_rr(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (to_reg(x, i, op, size, x86_reg(x, i->r[1], size)));		\
}										\
static enum x86_status								\
name##size##_ri(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (to_reg(x, i, op, size, i->imm));				\
}										\
static enum x86_status								\
name##size##_rm(struct x86 *x, const struct x86_insn *i)			\
{										\
	uint64_t b;								\
										\
	TRY(x86_load(x, i, size, &b));						\
	return (to_reg(x, i, op, size, b));					\
}										\
static enum x86_status								\
name##size##_mr(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (to_mem(x, i, op, size, x86_reg(x, i->r[1], size)));		\
}										\
static enum x86_status								\
name##size##_mi(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (to_mem(x, i, op, size, i->imm));				\
}
#define	ALL_SIZES(name, op)							\
	FORMS(name, op, 1) FORMS(name, op, 2) FORMS(name, op, 4) FORMS(name, op, 8)

ALL_SIZES(add, ALU_ADD)
ALL_SIZES(or, ALU_OR)
ALL_SIZES(adc, ALU_ADC)
ALL_SIZES(sbb, ALU_SBB)
ALL_SIZES(and, ALU_AND)
ALL_SIZES(sub, ALU_SUB)
ALL_SIZES(xor, ALU_XOR)
ALL_SIZES(cmp, ALU_CMP)
ALL_SIZES(test, ALU_TEST)

#define	F(name, size)	{ name##size##_rr, name##size##_ri, name##size##_rm, name##size##_mr, name##size##_mi }
#define	ROW(name)	{ F(name, 1), F(name, 2), F(name, 4), F(name, 8) }
static const struct forms forms[][4] = {
	[ALU_ADD] = ROW(add), [ALU_OR] = ROW(or), [ALU_ADC] = ROW(adc), [ALU_SBB] = ROW(sbb),
	[ALU_AND] = ROW(and), [ALU_SUB] = ROW(sub), [ALU_XOR] = ROW(xor), [ALU_CMP] = ROW(cmp),
	[ALU_TEST] = ROW(test),
};
#undef	F
#undef	ROW

/* XOR or SUB of a register with itself, 32 or 64 bits: what compilers clear registers with. */
static enum x86_status
clear(struct x86 *x, const struct x86_insn *i)
{
	x86_reg_set(x, i->r[0], 8, 0);
	x86_flags(x, FL_ZF | FL_PF, FL_ARITH);
	return (X_DONE);
}

static bool
bind_two(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	const struct forms *f = &forms[arg][x86_size_index(i->opsize)];

	if ((i->flags & XI_LOCK) != 0)
		i->fn = x86_lock_two(i->opsize, x86_is_imm(d, 1));
	else if (x86_is_mem(d, 0))
		i->fn = x86_is_imm(d, 1) ? f->mi : f->mr;
	else if (x86_is_mem(d, 1))
		i->fn = f->rm;
	else if (x86_is_imm(d, 1))
		i->fn = f->ri;
	else if ((arg == ALU_XOR || arg == ALU_SUB) && i->r[0] == i->r[1] && i->opsize >= 4)
		i->fn = clear;
	else
		i->fn = f->rr;
	return (true);
}

/* INC, DEC, NEG, NOT */

#define	FORMS1(name, op, size)							\
static enum x86_status								\
name##size##_r(struct x86 *x, const struct x86_insn *i)				\
{										\
	unsigned ax;								\
										\
	x86_reg_set(x, i->r[0], size, alu1(op, size, x86_reg(x, i->r[0], size),	\
	    x->s->rflags, &ax));						\
	if ((op) != ALU_NOT)							\
		alu_set(x, ax);							\
	return (X_DONE);								\
}										\
static enum x86_status								\
name##size##_m(struct x86 *x, const struct x86_insn *i)				\
{										\
	struct x86_ref ref;							\
	uint64_t v;								\
	unsigned ax;								\
										\
	TRY(x86_rmw_load(x, i, size, &ref, &v));				\
	v = alu1(op, size, v, x->s->rflags, &ax);				\
	TRY(x86_rmw_store(x, i, size, &ref, v));				\
	if ((op) != ALU_NOT)							\
		alu_set(x, ax);							\
	return (X_DONE);								\
}
#define	ALL_SIZES1(name, op)							\
	FORMS1(name, op, 1) FORMS1(name, op, 2) FORMS1(name, op, 4) FORMS1(name, op, 8)

ALL_SIZES1(inc, ALU_INC)
ALL_SIZES1(dec, ALU_DEC)
ALL_SIZES1(neg, ALU_NEG)
ALL_SIZES1(not, ALU_NOT)

#define	F(name, size)	{ name##size##_r, name##size##_m }
#define	ROW(name)	{ F(name, 1), F(name, 2), F(name, 4), F(name, 8) }
static x86_op *const forms1[][4][2] = {
	[ALU_INC] = ROW(inc), [ALU_DEC] = ROW(dec), [ALU_NEG] = ROW(neg), [ALU_NOT] = ROW(not),
};
#undef	F
#undef	ROW

static bool
bind_one(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	if ((i->flags & XI_LOCK) != 0)
		i->fn = x86_lock_one(i->opsize);
	else
		i->fn = forms1[arg][x86_size_index(i->opsize)][x86_is_mem(d, 0)];
	return (true);
}

/* Flags */

static enum x86_status
clc(struct x86 *x, const struct x86_insn *i)
{
	x->s->rflags &= ~(uint64_t)FL_CF;
	return (X_DONE);
}

static enum x86_status
stc(struct x86 *x, const struct x86_insn *i)
{
	x->s->rflags |= FL_CF;
	return (X_DONE);
}

static enum x86_status
cmc(struct x86 *x, const struct x86_insn *i)
{
	x->s->rflags ^= FL_CF;
	return (X_DONE);
}

static enum x86_status
cld(struct x86 *x, const struct x86_insn *i)
{
	x->s->rflags &= ~(uint64_t)FL_DF;
	return (X_DONE);
}

static enum x86_status
std(struct x86 *x, const struct x86_insn *i)
{
	x->s->rflags |= FL_DF;
	return (X_DONE);
}

#define	AH	1U		/* as a register: its offset */
#define	FL_LAHF	(FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF)

static enum x86_status
lahf(struct x86 *x, const struct x86_insn *i)
{
	x86_reg_set(x, AH, 1, (x->s->rflags & FL_LAHF) | RFLAGS_FIXED);
	return (X_DONE);
}

static enum x86_status
sahf(struct x86 *x, const struct x86_insn *i)
{
	x86_flags(x, x86_reg(x, AH, 1), FL_LAHF);
	return (X_DONE);
}

/* Sign extensions of the accumulator: to twice its size, or into rDX. */

static enum x86_status
cbw(struct x86 *x, const struct x86_insn *i)
{
	x86_gpr_set(x, RAX, 2, (uint64_t)x86_sext(x->s->gpr[RAX], 1));
	return (X_DONE);
}

static enum x86_status
cwde(struct x86 *x, const struct x86_insn *i)
{
	x86_gpr_set(x, RAX, 4, (uint64_t)x86_sext(x->s->gpr[RAX], 2));
	return (X_DONE);
}

static enum x86_status
cdqe(struct x86 *x, const struct x86_insn *i)
{
	x->s->gpr[RAX] = (uint64_t)x86_sext(x->s->gpr[RAX], 4);
	return (X_DONE);
}

static enum x86_status
cwd(struct x86 *x, const struct x86_insn *i)
{
	x86_gpr_set(x, RDX, 2, (uint64_t)(x86_sext(x->s->gpr[RAX], 2) >> 63));
	return (X_DONE);
}

static enum x86_status
cdq(struct x86 *x, const struct x86_insn *i)
{
	x86_gpr_set(x, RDX, 4, (uint64_t)(x86_sext(x->s->gpr[RAX], 4) >> 63));
	return (X_DONE);
}

static enum x86_status
cqo(struct x86 *x, const struct x86_insn *i)
{
	x->s->gpr[RDX] = (uint64_t)((int64_t)x->s->gpr[RAX] >> 63);
	return (X_DONE);
}

const struct x86_opdesc x86_ops_arith[] = {
	{ ZYDIS_MNEMONIC_ADD, 0, ALU_ADD, NULL, bind_two },
	{ ZYDIS_MNEMONIC_OR, 0, ALU_OR, NULL, bind_two },
	{ ZYDIS_MNEMONIC_ADC, 0, ALU_ADC, NULL, bind_two },
	{ ZYDIS_MNEMONIC_SBB, 0, ALU_SBB, NULL, bind_two },
	{ ZYDIS_MNEMONIC_AND, 0, ALU_AND, NULL, bind_two },
	{ ZYDIS_MNEMONIC_SUB, 0, ALU_SUB, NULL, bind_two },
	{ ZYDIS_MNEMONIC_XOR, 0, ALU_XOR, NULL, bind_two },
	{ ZYDIS_MNEMONIC_CMP, 0, ALU_CMP, NULL, bind_two },
	{ ZYDIS_MNEMONIC_TEST, 0, ALU_TEST, NULL, bind_two },
	{ ZYDIS_MNEMONIC_INC, 0, ALU_INC, NULL, bind_one },
	{ ZYDIS_MNEMONIC_DEC, 0, ALU_DEC, NULL, bind_one },
	{ ZYDIS_MNEMONIC_NEG, 0, ALU_NEG, NULL, bind_one },
	{ ZYDIS_MNEMONIC_NOT, 0, ALU_NOT, NULL, bind_one },
	{ ZYDIS_MNEMONIC_CLC, 0, 0, clc, NULL },
	{ ZYDIS_MNEMONIC_STC, 0, 0, stc, NULL },
	{ ZYDIS_MNEMONIC_CMC, 0, 0, cmc, NULL },
	{ ZYDIS_MNEMONIC_CLD, 0, 0, cld, NULL },
	{ ZYDIS_MNEMONIC_STD, 0, 0, std, NULL },
	{ ZYDIS_MNEMONIC_LAHF, 0, 0, lahf, NULL },
	{ ZYDIS_MNEMONIC_SAHF, 0, 0, sahf, NULL },
	{ ZYDIS_MNEMONIC_CBW, 0, 0, cbw, NULL },
	{ ZYDIS_MNEMONIC_CWDE, 0, 0, cwde, NULL },
	{ ZYDIS_MNEMONIC_CDQE, 0, 0, cdqe, NULL },
	{ ZYDIS_MNEMONIC_CWD, 0, 0, cwd, NULL },
	{ ZYDIS_MNEMONIC_CDQ, 0, 0, cdq, NULL },
	{ ZYDIS_MNEMONIC_CQO, 0, 0, cqo, NULL },
	{ 0 },
};
