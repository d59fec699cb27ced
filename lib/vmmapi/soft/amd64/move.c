/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * move.c - MOV between general registers and memory, extensions, LEA, XLAT, CMOVcc, SETcc, hints
 * (Intel SDM vol. 2, by instruction).  MOV of segment, control and debug registers is in segment.c
 * and control.c, XCHG in atomic.c.
 */
#include "cond.h"
#include "decode.h"

/* MOV: r register, m memory, i immediate, o memory at an absolute offset; destination first */

#define	MOV(size)								\
static enum x86_status								\
mov##size##_rr(struct x86 *x, const struct x86_insn *i)				\
{										\
	x86_reg_set(x, i->r[0], size, x86_reg(x, i->r[1], size));		\
	return (X_DONE);								\
}										\
static enum x86_status								\
mov##size##_ri(struct x86 *x, const struct x86_insn *i)				\
{										\
	x86_reg_set(x, i->r[0], size, i->imm);					\
	return (X_DONE);								\
}										\
static enum x86_status								\
mov##size##_rm(struct x86 *x, const struct x86_insn *i)				\
{										\
	uint64_t v;								\
										\
	TRY(x86_load(x, i, size, &v));						\
	x86_reg_set(x, i->r[0], size, v);					\
	return (X_DONE);								\
}										\
static enum x86_status								\
mov##size##_mr(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (x86_store(x, i, size, x86_reg(x, i->r[1], size)));		\
}										\
static enum x86_status								\
mov##size##_mi(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (x86_store(x, i, size, i->imm));					\
}										\
static enum x86_status								\
mov##size##_ro(struct x86 *x, const struct x86_insn *i)				\
{										\
	uint64_t v;								\
										\
	TRY(x86_load_seg(x, (enum amd64_seg)i->seg, i->imm, size, &v));		\
	x86_gpr_set(x, RAX, size, v);						\
	return (X_DONE);								\
}										\
static enum x86_status								\
mov##size##_or(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (x86_store_seg(x, (enum amd64_seg)i->seg, i->imm, size, x86_gpr(x, RAX, size)));	\
}

MOV(1)
MOV(2)
MOV(4)
MOV(8)

static bool
general(const struct x86_decoded *d, unsigned n)
{
	switch (ZydisRegisterGetClass(d->op[n].reg.value)) {
	case ZYDIS_REGCLASS_GPR8:
	case ZYDIS_REGCLASS_GPR16:
	case ZYDIS_REGCLASS_GPR32:
	case ZYDIS_REGCLASS_GPR64:
		return (true);
	default:
		return (false);
	}
}

static bool
bind_mov(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
#define	F(form)		{ mov1_##form, mov2_##form, mov4_##form, mov8_##form }
	static x86_op *const rr[] = F(rr), *const ri[] = F(ri), *const rm[] = F(rm), *const mr[] = F(mr),
	    *const mi[] = F(mi), *const ro[] = F(ro), *const or[] = F(or);
#undef	F
	unsigned s = x86_size_index(i->opsize), m = x86_is_mem(d, 0) ? 0 : 1;
	bool imm = x86_is_imm(d, 1);

	if ((x86_is_reg(d, 0) && !general(d, 0)) || (x86_is_reg(d, 1) && !general(d, 1)))
		return (false);
	if (!x86_is_mem(d, m)) {
		i->fn = imm ? ri[s] : rr[s];
	} else if (d->op[m].encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64) {
		i->imm = (uint64_t)d->op[m].mem.disp.value & x86_mask(i->adsize);
		i->fn = m == 0 ? or[s] : ro[s];
	} else if (m == 1) {
		i->fn = rm[s];
	} else {
		i->fn = imm ? mi[s] : mr[s];
	}
	return (true);
}

static bool
bind_movnti(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	i->fn = i->opsize == 8 ? mov8_mr : mov4_mr;
	return (true);
}

/* MOVZX, MOVSX, MOVSXD; with sources as wide as the destination they are MOV. */

#define	EXTEND(name, to, from, value)						\
static enum x86_status								\
name##to##_##from##_r(struct x86 *x, const struct x86_insn *i)			\
{										\
	uint64_t v = x86_reg(x, i->r[1], from);					\
										\
	x86_reg_set(x, i->r[0], to, value);					\
	return (X_DONE);								\
}										\
static enum x86_status								\
name##to##_##from##_m(struct x86 *x, const struct x86_insn *i)			\
{										\
	uint64_t v;								\
										\
	TRY(x86_load(x, i, from, &v));						\
	x86_reg_set(x, i->r[0], to, value);					\
	return (X_DONE);								\
}
#define	MOVZX(to, from)	EXTEND(movzx, to, from, v)
#define	MOVSX(to, from)	EXTEND(movsx, to, from, (uint64_t)x86_sext(v, from))

MOVZX(2, 1)
MOVZX(4, 1)
MOVZX(4, 2)
MOVZX(8, 1)
MOVZX(8, 2)
MOVSX(2, 1)
MOVSX(4, 1)
MOVSX(4, 2)
MOVSX(8, 1)
MOVSX(8, 2)
MOVSX(8, 4)

static bool
bind_extend(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	/* By destination, source, memory. */
#define	F(name)		{ name##_r, name##_m }
#define	SAME(size)	{ mov##size##_rr, mov##size##_rm }
	static x86_op *const zero[4][4][2] = {
		{ { 0 } },
		{ F(movzx2_1), SAME(2) },
		{ F(movzx4_1), F(movzx4_2), SAME(4) },
		{ F(movzx8_1), F(movzx8_2) },
	}, *const sign[4][4][2] = {
		{ { 0 } },
		{ F(movsx2_1), SAME(2), SAME(2) },
		{ F(movsx4_1), F(movsx4_2), SAME(4) },
		{ F(movsx8_1), F(movsx8_2), F(movsx8_4) },
	};
#undef	F
#undef	SAME
	unsigned to = x86_size_index(i->opsize), from = x86_size_index(d->op[1].size / 8);

	i->fn = (arg != 0 ? sign : zero)[to][from][x86_is_mem(d, 1)];
	i->imm2 = d->op[1].size / 8;
	return (i->fn != NULL);
}

/* LEA */

static enum x86_status
lea2(struct x86 *x, const struct x86_insn *i)
{
	x86_reg_set(x, i->r[0], 2, x86_ea(x, i));
	return (X_DONE);
}

static enum x86_status
lea4(struct x86 *x, const struct x86_insn *i)
{
	x86_reg_set(x, i->r[0], 4, x86_ea(x, i));
	return (X_DONE);
}

static enum x86_status
lea8(struct x86 *x, const struct x86_insn *i)
{
	x86_reg_set(x, i->r[0], 8, x86_ea(x, i));
	return (X_DONE);
}

/* Base and displacement, with or without index, all of 64 bits. */
static enum x86_status
lea8_base(struct x86 *x, const struct x86_insn *i)
{
	x86_reg_set(x, i->r[0], 8, x->s->gpr[i->base] + (uint64_t)(int64_t)i->disp);
	return (X_DONE);
}

static enum x86_status
lea8_index(struct x86 *x, const struct x86_insn *i)
{
	x86_reg_set(x, i->r[0], 8, x->s->gpr[i->base] + (x->s->gpr[i->index] << i->scale) +
	    (uint64_t)(int64_t)i->disp);
	return (X_DONE);
}

static bool
bind_lea(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	if (i->opsize == 2)
		i->fn = lea2;
	else if (i->opsize == 4)
		i->fn = lea4;
	else if (i->adsize != 8 || i->base >= X86_RIP)
		i->fn = lea8;
	else
		i->fn = i->index == X86_NOREG ? lea8_base : lea8_index;
	return (true);
}

/* AL from the table at [rBX + AL] */
static enum x86_status
xlat(struct x86 *x, const struct x86_insn *i)
{
	uint64_t off = (x->s->gpr[RBX] + x86_gpr(x, RAX, 1)) & x86_mask(i->adsize), v;

	TRY(x86_load_seg(x, (enum amd64_seg)i->seg, off, 1, &v));
	x86_gpr_set(x, RAX, 1, v);
	return (X_DONE);
}

/*
 * CMOVcc: memory is read, and a 32-bit destination zero-extended, whatever the condition says (SDM
 * vol. 2, CMOVcc).
 */
X86_INLINE enum x86_status
cmov(struct x86 *x, const struct x86_insn *i, unsigned cc, unsigned size, uint64_t v)
{
	uint64_t old = x86_reg(x, i->r[0], size);

	x86_reg_set(x, i->r[0], size, x86_cond(cc, x->s->rflags) ? v : old);
	return (X_DONE);
}

#define	CMOV_SIZE(name, cc, size)						\
static enum x86_status								\
cmov##name##size##_r(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (cmov(x, i, cc, size, x86_reg(x, i->r[1], size)));		\
}										\
static enum x86_status								\
cmov##name##size##_m(struct x86 *x, const struct x86_insn *i)			\
{										\
	uint64_t v;								\
										\
	TRY(x86_load(x, i, size, &v));						\
	return (cmov(x, i, cc, size, v));					\
}
#define	CMOV(name, cc)								\
	CMOV_SIZE(name, cc, 2) CMOV_SIZE(name, cc, 4) CMOV_SIZE(name, cc, 8)
CONDITIONS(CMOV)

static bool
bind_cmov(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
#define	ROW(name, cc)								\
	[cc] = { { 0 }, { cmov##name##2_r, cmov##name##2_m }, { cmov##name##4_r, cmov##name##4_m },	\
	    { cmov##name##8_r, cmov##name##8_m } },
	static x86_op *const fns[16][4][2] = { CONDITIONS(ROW) };
#undef	ROW

	i->fn = fns[arg][x86_size_index(i->opsize)][x86_is_mem(d, 1)];
	return (i->fn != NULL);
}

#define	SET(name, cc)								\
static enum x86_status								\
set##name##_r(struct x86 *x, const struct x86_insn *i)				\
{										\
	x86_reg_set(x, i->r[0], 1, x86_cond(cc, x->s->rflags));			\
	return (X_DONE);								\
}										\
static enum x86_status								\
set##name##_m(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (x86_store(x, i, 1, x86_cond(cc, x->s->rflags)));		\
}
CONDITIONS(SET)

static bool
bind_set(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
#define	ROW(name, cc)	[cc] = { set##name##_r, set##name##_m },
	static x86_op *const fns[16][2] = { CONDITIONS(ROW) };
#undef	ROW

	i->fn = fns[arg][x86_is_mem(d, 0)];
	return (true);
}

/* Hints and NOP with an operand do not touch memory. */
static enum x86_status
nop(struct x86 *x, const struct x86_insn *i)
{
	return (X_DONE);
}

/* There are no caches, but the address is checked as for a load of a byte. */
static enum x86_status
clflush(struct x86 *x, const struct x86_insn *i)
{
	return (x86_probe(x, (enum amd64_seg)i->seg, x86_ea(x, i), 1, false));
}

#define	CMOV_ENTRY(name, cc)	{ ZYDIS_MNEMONIC_CMOV##name, 0, cc, NULL, bind_cmov },
#define	SET_ENTRY(name, cc)	{ ZYDIS_MNEMONIC_SET##name, 0, cc, NULL, bind_set },

const struct x86_opdesc x86_ops_move[] = {
	{ ZYDIS_MNEMONIC_MOV, 0, 0, NULL, bind_mov },
	{ ZYDIS_MNEMONIC_MOVNTI, 0, 0, NULL, bind_movnti },
	{ ZYDIS_MNEMONIC_MOVZX, 0, 0, NULL, bind_extend },
	{ ZYDIS_MNEMONIC_MOVSX, 0, 1, NULL, bind_extend },
	{ ZYDIS_MNEMONIC_MOVSXD, 0, 1, NULL, bind_extend },
	{ ZYDIS_MNEMONIC_LEA, 0, 0, NULL, bind_lea },
	{ ZYDIS_MNEMONIC_XLAT, 0, 0, xlat, NULL },
	CONDITIONS(CMOV_ENTRY)
	CONDITIONS(SET_ENTRY)
	{ ZYDIS_MNEMONIC_NOP, 0, 0, nop, NULL },
	{ ZYDIS_MNEMONIC_PREFETCH, 0, 0, nop, NULL },
	{ ZYDIS_MNEMONIC_PREFETCHNTA, 0, 0, nop, NULL },
	{ ZYDIS_MNEMONIC_PREFETCHT0, 0, 0, nop, NULL },
	{ ZYDIS_MNEMONIC_PREFETCHT1, 0, 0, nop, NULL },
	{ ZYDIS_MNEMONIC_PREFETCHT2, 0, 0, nop, NULL },
	{ ZYDIS_MNEMONIC_PREFETCHW, 0, 0, nop, NULL },
	{ ZYDIS_MNEMONIC_PREFETCHWT1, 0, 0, nop, NULL },
	{ ZYDIS_MNEMONIC_CLFLUSH, 0, 0, clflush, NULL },
	{ 0 },
};
