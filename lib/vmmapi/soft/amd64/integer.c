/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * integer.c - moves and arithmetic (Intel SDM vol. 2).
 */
#include "cpu.h"

/* Operand size of an instruction whose low opcode bit says "not bytes". */
static unsigned
opsize(const struct x86 *x)
{
	return ((x->insn.op & 1) != 0 ? x->insn.opsize : 1);
}

/* Finish a read-modify-write. */
static enum x86_status
rmw(struct x86 *x, struct x86_rmw *w, uint64_t flmask)
{
	TRY(x86_rmw(x, w, x->insn.lock));
	x86_rmw_done(x, w, flmask);
	return (X_OK);
}

static uint64_t
fn_alu(struct x86_rmw *w, uint64_t old)
{
	return (x86_alu((enum x86_alu)w->op, w->size, old, w->src, &w->fl));
}

/* op r/m, src: CMP reads only. */
static enum x86_status
alu_rm(struct x86 *x, enum x86_alu op, unsigned size, uint64_t src)
{
	struct x86_rmw w = { .fn = fn_alu, .op = op, .size = size, .src = src };
	uint64_t fl = x->s->rflags, a;

	if (op != ALU_CMP)
		return (rmw(x, &w, FL_ARITH));
	TRY(x86_rm_load(x, size, &a));
	(void)x86_alu(op, size, a, src, &fl);
	x86_flags(x, fl, FL_ARITH);
	return (X_OK);
}

/* 00 to 3B, columns 0 to 3: r/m with register, either way round */
enum x86_status
x86_op_alu(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	enum x86_alu op = (enum x86_alu)((i->op >> 3) & 7);
	unsigned size = opsize(x);
	uint64_t fl = x->s->rflags, b, r;

	if ((i->op & 2) == 0)
		return (alu_rm(x, op, size, x86_reg(x, i->reg, size)));
	TRY(x86_rm_load(x, size, &b));
	r = x86_alu(op, size, x86_reg(x, i->reg, size), b, &fl);
	if (op != ALU_CMP)
		x86_reg_set(x, i->reg, size, r);
	x86_flags(x, fl, FL_ARITH);
	return (X_OK);
}

/* 04 to 3D, columns 4 and 5: accumulator with immediate */
enum x86_status
x86_op_alu_acc(struct x86 *x)
{
	enum x86_alu op = (enum x86_alu)((x->insn.op >> 3) & 7);
	unsigned size = opsize(x);
	uint64_t fl = x->s->rflags, r;

	r = x86_alu(op, size, x86_gpr(x, RAX, size), x->insn.imm, &fl);
	if (op != ALU_CMP)
		x86_gpr_set(x, RAX, size, r);
	x86_flags(x, fl, FL_ARITH);
	return (X_OK);
}

/* 80 to 83 */
enum x86_status
x86_op_group1(struct x86 *x)
{
	return (alu_rm(x, (enum x86_alu)(x->insn.reg & 7), opsize(x), x->insn.imm));
}

static void
test_flags(struct x86 *x, unsigned size, uint64_t a, uint64_t b)
{
	uint64_t fl = x->s->rflags;

	(void)x86_alu(ALU_AND, size, a, b, &fl);
	x86_flags(x, fl, FL_ARITH);
}

/* 84, 85 */
enum x86_status
x86_op_test(struct x86 *x)
{
	unsigned size = opsize(x);
	uint64_t a;

	TRY(x86_rm_load(x, size, &a));
	test_flags(x, size, a, x86_reg(x, x->insn.reg, size));
	return (X_OK);
}

/* A8, A9 */
enum x86_status
x86_op_test_acc(struct x86 *x)
{
	unsigned size = opsize(x);

	test_flags(x, size, x86_gpr(x, RAX, size), x->insn.imm);
	return (X_OK);
}

static uint64_t
fn_not(struct x86_rmw *w, uint64_t old)
{
	return (~old);
}

static uint64_t
fn_neg(struct x86_rmw *w, uint64_t old)
{
	return (x86_neg(w->size, old, &w->fl));
}

static uint64_t
fn_inc(struct x86_rmw *w, uint64_t old)
{
	return (x86_inc(w->size, old, &w->fl));
}

static uint64_t
fn_dec(struct x86_rmw *w, uint64_t old)
{
	return (x86_dec(w->size, old, &w->fl));
}

static enum x86_status
mul_acc(struct x86 *x, bool sign, unsigned size)
{
	uint64_t src, lo, hi, fl = x->s->rflags;

	TRY(x86_rm_load(x, size, &src));
	x86_mul(sign, size, x86_gpr(x, RAX, size), src, &lo, &hi, &fl);
	if (size == 1) {
		x86_gpr_set(x, RAX, 2, hi << 8 | lo);
	} else {
		x86_gpr_set(x, RAX, size, lo);
		x86_gpr_set(x, RDX, size, hi);
	}
	x86_flags(x, fl, FL_ARITH);
	return (X_OK);
}

static enum x86_status
div_acc(struct x86 *x, bool sign, unsigned size)
{
	uint64_t d, q, r, hi = size == 1 ? x86_gpr(x, RAX, 2) >> 8 : x86_gpr(x, RDX, size);

	TRY(x86_rm_load(x, size, &d));
	if (!x86_div(sign, size, hi, x86_gpr(x, RAX, size), d, &q, &r))
		return (x86_fault(x, EXC_DE));
	if (size == 1) {
		x86_gpr_set(x, RAX, 2, r << 8 | q);
	} else {
		x86_gpr_set(x, RAX, size, q);
		x86_gpr_set(x, RDX, size, r);
	}
	return (X_OK);
}

/* F6, F7 */
enum x86_status
x86_op_group3(struct x86 *x)
{
	unsigned size = opsize(x), op = x->insn.reg & 7;
	struct x86_rmw w = { .fn = op == 2 ? fn_not : fn_neg, .size = size };
	uint64_t a;

	switch (op) {
	case 0:
	case 1:
		TRY(x86_rm_load(x, size, &a));
		test_flags(x, size, a, x->insn.imm);
		return (X_OK);
	case 2:
	case 3:
		return (rmw(x, &w, FL_ARITH));
	case 4:
	case 5:
		return (mul_acc(x, op == 5, size));
	default:
		return (div_acc(x, op == 7, size));
	}
}

/* 40 to 4F outside of 64-bit mode */
enum x86_status
x86_op_incdec_reg(struct x86 *x)
{
	unsigned size = x->insn.opsize;
	enum amd64_gpr n = (enum amd64_gpr)(x->insn.op & 7);
	uint64_t fl = x->s->rflags, a = x86_gpr(x, n, size);

	a = (x->insn.op & 8) != 0 ? x86_dec(size, a, &fl) : x86_inc(size, a, &fl);
	x86_gpr_set(x, n, size, a);
	x86_flags(x, fl, FL_ARITH);
	return (X_OK);
}

/* FE, and FF /0 and /1 */
enum x86_status
x86_op_group4(struct x86 *x)
{
	unsigned op = x->insn.reg & 7;
	struct x86_rmw w = { .fn = op == 0 ? fn_inc : fn_dec, .size = opsize(x) };

	if (op > 1)
		return (x86_fault(x, EXC_UD));
	return (rmw(x, &w, FL_ARITH));
}

static uint64_t
fn_shift(struct x86_rmw *w, uint64_t old)
{
	return (x86_shift((enum x86_shift)w->op, w->size, old, (unsigned)w->src, &w->fl));
}

/* C0, C1 (imm8), D0, D1 (1), D2, D3 (CL) */
enum x86_status
x86_op_shift(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	struct x86_rmw w = { .fn = fn_shift, .op = i->reg & 7, .size = opsize(x) };

	w.src = (i->op < 0xd0 ? i->imm : i->op < 0xd2 ? 1 : x->s->gpr[RCX]) & 0xff;
	return (rmw(x, &w, FL_ARITH));
}

static uint64_t
fn_shiftd(struct x86_rmw *w, uint64_t old)
{
	return (x86_shiftd(w->op != 0, w->size, old, w->src, (unsigned)w->cmp, &w->fl));
}

/* 0F A4, A5, AC, AD */
enum x86_status
x86_op_shiftd(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	struct x86_rmw w = { .fn = fn_shiftd, .op = (i->op & 8) != 0, .size = i->opsize };

	w.src = x86_reg(x, i->reg, w.size);
	w.cmp = ((i->op & 1) != 0 ? x->s->gpr[RCX] : i->imm) & 0xff;
	return (rmw(x, &w, FL_ARITH));
}

static enum x86_status
imul(struct x86 *x, uint64_t a, uint64_t b)
{
	unsigned size = x->insn.opsize;
	uint64_t lo, hi, fl = x->s->rflags;

	x86_mul(true, size, a, b, &lo, &hi, &fl);
	x86_reg_set(x, x->insn.reg, size, lo);
	x86_flags(x, fl, FL_ARITH);
	return (X_OK);
}

/* 0F AF */
enum x86_status
x86_op_imul2(struct x86 *x)
{
	uint64_t b;

	TRY(x86_rm_load(x, x->insn.opsize, &b));
	return (imul(x, x86_reg(x, x->insn.reg, x->insn.opsize), b));
}

/* 69, 6B */
enum x86_status
x86_op_imul3(struct x86 *x)
{
	uint64_t a;

	TRY(x86_rm_load(x, x->insn.opsize, &a));
	return (imul(x, a, x->insn.imm));
}

/* Bit tests: op 0 BT, 1 BTS, 2 BTR, 3 BTC */
static uint64_t
fn_bt(struct x86_rmw *w, uint64_t old)
{
	uint64_t bit = 1ULL << w->src;

	w->fl = (w->fl & ~(uint64_t)FL_CF) | ((old & bit) != 0 ? FL_CF : 0);
	switch (w->op) {
	case 1:
		return (old | bit);
	case 2:
		return (old & ~bit);
	case 3:
		return (old ^ bit);
	default:
		return (old);
	}
}

static enum x86_status
bt(struct x86 *x, unsigned op, uint64_t bit)
{
	unsigned size = x->insn.opsize;
	struct x86_rmw w = { .fn = fn_bt, .op = op, .size = size, .src = bit & (8 * size - 1) };
	uint64_t a;

	if (op != 0)
		return (rmw(x, &w, FL_CF));
	TRY(x86_rm_load(x, size, &a));
	w.fl = x->s->rflags;
	(void)fn_bt(&w, a);
	x86_flags(x, w.fl, FL_CF);
	return (X_OK);
}

/* 0F A3, AB, B3, BB: a bit offset in a register reaches beyond the operand (SDM vol. 2 3.1.1.9) */
enum x86_status
x86_op_bt(struct x86 *x)
{
	struct x86_insn *i = &x->insn;
	uint64_t bit = x86_reg(x, i->reg, i->opsize);

	if (i->mod != 3)
		i->disp += (x86_sext(bit, i->opsize) >> (i->opsize == 8 ? 6 : i->opsize == 4 ? 5 :
		    4)) * i->opsize;
	return (bt(x, (i->op >> 3) & 3, bit));
}

/* 0F BA */
enum x86_status
x86_op_bt_imm(struct x86 *x)
{
	unsigned op = x->insn.reg & 7;

	return (op < 4 ? x86_fault(x, EXC_UD) : bt(x, op & 3, x->insn.imm));
}

static enum x86_status
bit_scan(struct x86 *x, bool reverse)
{
	const struct x86_insn *i = &x->insn;
	uint64_t a;

	TRY(x86_rm_load(x, i->opsize, &a));
	/* Of zero: the destination is left alone, as processors do. */
	if (a != 0)
		x86_reg_set(x, i->reg, i->opsize,
		    (uint64_t)(reverse ? 63 - __builtin_clzll(a) : __builtin_ctzll(a)));
	x86_flags(x, a == 0 ? FL_ZF : 0, FL_ZF);
	return (X_OK);
}

/* 0F BC */
enum x86_status
x86_op_bsf(struct x86 *x)
{
	return (bit_scan(x, false));
}

/* 0F BD */
enum x86_status
x86_op_bsr(struct x86 *x)
{
	return (bit_scan(x, true));
}

static uint64_t
fn_add(struct x86_rmw *w, uint64_t old)
{
	return (x86_alu(ALU_ADD, w->size, old, w->src, &w->fl));
}

/* 0F C0, C1: the source takes the old value before the destination is written */
enum x86_status
x86_op_xadd(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	struct x86_rmw w = { .fn = fn_add, .size = opsize(x) };

	w.src = x86_reg(x, i->reg, w.size);
	TRY(x86_rmw(x, &w, i->lock));
	x86_reg_set(x, i->reg, w.size, w.old);
	x86_rmw_done(x, &w, FL_ARITH);
	return (X_OK);
}

/* The destination is written in any case. */
static uint64_t
fn_cmpxchg(struct x86_rmw *w, uint64_t old)
{
	(void)x86_alu(ALU_CMP, w->size, w->cmp, old, &w->fl);
	return ((w->fl & FL_ZF) != 0 ? w->src : old);
}

/* 0F B0, B1 */
enum x86_status
x86_op_cmpxchg(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	struct x86_rmw w = { .fn = fn_cmpxchg, .size = opsize(x) };

	w.src = x86_reg(x, i->reg, w.size);
	w.cmp = x86_gpr(x, RAX, w.size);
	TRY(x86_rmw(x, &w, i->lock));
	if ((w.fl & FL_ZF) == 0) {
		x86_gpr_set(x, RAX, w.size, w.old);
		x86_flags(x, w.fl, FL_ARITH);
	} else {
		x86_rmw_done(x, &w, FL_ARITH);
	}
	return (X_OK);
}

static uint64_t
fn_cmpxchg8b(struct x86_rmw *w, uint64_t old)
{
	w->fl = (w->fl & ~(uint64_t)FL_ZF) | (old == w->cmp ? FL_ZF : 0);
	return (old == w->cmp ? w->src : old);
}

/* 0F C7 /1; the 16-byte form is not in the modelled processor's CPUID */
enum x86_status
x86_op_cmpxchg8b(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	struct x86_rmw w = { .fn = fn_cmpxchg8b, .size = 8 };

	if ((i->reg & 7) != 1 || i->mod == 3 || (i->rex & 8) != 0)
		return (x86_fault(x, EXC_UD));
	w.src = x86_gpr(x, RCX, 4) << 32 | x86_gpr(x, RBX, 4);
	w.cmp = x86_gpr(x, RDX, 4) << 32 | x86_gpr(x, RAX, 4);
	TRY(x86_rmw(x, &w, i->lock));
	if ((w.fl & FL_ZF) == 0) {
		x86_gpr_set(x, RAX, 4, w.old);
		x86_gpr_set(x, RDX, 4, w.old >> 32);
	}
	x86_flags(x, w.fl, FL_ZF);
	return (X_OK);
}

static uint64_t
fn_xchg(struct x86_rmw *w, uint64_t old)
{
	return (w->src);
}

/* 86, 87: locked without saying so (SDM vol. 2, XCHG) */
enum x86_status
x86_op_xchg(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	struct x86_rmw w = { .fn = fn_xchg, .size = opsize(x) };

	w.src = x86_reg(x, i->reg, w.size);
	TRY(x86_rmw(x, &w, true));
	x86_reg_set(x, i->reg, w.size, w.old);
	x86_rmw_done(x, &w, 0);
	return (X_OK);
}

/* 90 to 97 */
enum x86_status
x86_op_xchg_acc(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	unsigned n = (i->op & 7) | (i->rex & 1) << 3;
	uint64_t a = x86_gpr(x, RAX, i->opsize), b = x86_gpr(x, (enum amd64_gpr)n, i->opsize);

	if (n == RAX)
		return (i->rep == 0xf3 ? x86_op_pause(x) : X_OK);
	x86_gpr_set(x, RAX, i->opsize, b);
	x86_gpr_set(x, (enum amd64_gpr)n, i->opsize, a);
	return (X_OK);
}

/* 88, 89, and MOVNTI 0F C3 */
enum x86_status
x86_op_mov_rm_r(struct x86 *x)
{
	unsigned size = opsize(x);

	if (x->insn.op == 0x1c3 && (x->insn.mod == 3 || x->insn.opsize == 2))
		return (x86_fault(x, EXC_UD));
	return (x86_rm_store(x, size, x86_reg(x, x->insn.reg, size)));
}

/* 8A, 8B */
enum x86_status
x86_op_mov_r_rm(struct x86 *x)
{
	unsigned size = opsize(x);
	uint64_t v;

	TRY(x86_rm_load(x, size, &v));
	x86_reg_set(x, x->insn.reg, size, v);
	return (X_OK);
}

/* A0 to A3 */
enum x86_status
x86_op_mov_moffs(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	unsigned size = opsize(x);
	uint64_t v;

	if ((i->op & 2) != 0)
		return (x86_store(x, i->memseg, i->imm, size, x86_gpr(x, RAX, size)));
	TRY(x86_load(x, i->memseg, i->imm, size, &v));
	x86_gpr_set(x, RAX, size, v);
	return (X_OK);
}

/* B0 to BF */
enum x86_status
x86_op_mov_imm(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;

	x86_reg_set(x, (i->op & 7) | (i->rex & 1) << 3, (i->op & 8) != 0 ? i->opsize : 1, i->imm);
	return (X_OK);
}

/* C6, C7 */
enum x86_status
x86_op_mov_rm_imm(struct x86 *x)
{
	if ((x->insn.reg & 7) != 0)
		return (x86_fault(x, EXC_UD));
	return (x86_rm_store(x, opsize(x), x->insn.imm));
}

/* 0F B6, B7 */
enum x86_status
x86_op_movzx(struct x86 *x)
{
	uint64_t v;

	TRY(x86_rm_load(x, (x->insn.op & 1) != 0 ? 2 : 1, &v));
	x86_gpr_set(x, (enum amd64_gpr)x->insn.reg, x->insn.opsize, v);
	return (X_OK);
}

/* 0F BE, BF */
enum x86_status
x86_op_movsx(struct x86 *x)
{
	unsigned size = (x->insn.op & 1) != 0 ? 2 : 1;
	uint64_t v;

	TRY(x86_rm_load(x, size, &v));
	x86_gpr_set(x, (enum amd64_gpr)x->insn.reg, x->insn.opsize, (uint64_t)x86_sext(v, size));
	return (X_OK);
}

/* 63 in 64-bit mode; elsewhere it is ARPL, which is for user code */
enum x86_status
x86_op_movsxd(struct x86 *x)
{
	unsigned size = x->insn.opsize == 2 ? 2 : 4;
	uint64_t v;

	if (!x86_64bit(x))
		return (x86_fault(x, EXC_UD));
	TRY(x86_rm_load(x, size, &v));
	x86_gpr_set(x, (enum amd64_gpr)x->insn.reg, x->insn.opsize, (uint64_t)x86_sext(v, size));
	return (X_OK);
}

/* 8D */
enum x86_status
x86_op_lea(struct x86 *x)
{
	if (x->insn.mod == 3)
		return (x86_fault(x, EXC_UD));
	x86_gpr_set(x, (enum amd64_gpr)x->insn.reg, x->insn.opsize, x86_ea(x));
	return (X_OK);
}

/* 98: CBW, CWDE, CDQE */
enum x86_status
x86_op_cbw(struct x86 *x)
{
	unsigned size = x->insn.opsize;

	x86_gpr_set(x, RAX, size, (uint64_t)x86_sext(x86_gpr(x, RAX, size / 2), size / 2));
	return (X_OK);
}

/* 99: CWD, CDQ, CQO */
enum x86_status
x86_op_cwd(struct x86 *x)
{
	unsigned size = x->insn.opsize;

	x86_gpr_set(x, RDX, size, x86_sext(x86_gpr(x, RAX, size), size) < 0 ? UINT64_MAX : 0);
	return (X_OK);
}

/* 0F C8 to CF; of 16 bits it is undefined, and clears them */
enum x86_status
x86_op_bswap(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	enum amd64_gpr n = (enum amd64_gpr)((i->op & 7) | (i->rex & 1) << 3);
	uint64_t v = x86_gpr(x, n, i->opsize);

	v = i->opsize == 8 ? __builtin_bswap64(v) : i->opsize == 4 ?
	    __builtin_bswap32((uint32_t)v) : 0;
	x86_gpr_set(x, n, i->opsize, v);
	return (X_OK);
}

/* 0F 90 to 9F */
enum x86_status
x86_op_setcc(struct x86 *x)
{
	return (x86_rm_store(x, 1, x86_cond(x->insn.op & 15, x->s->rflags)));
}

/* 0F 40 to 4F: the source is read, and a 32-bit destination zero-extended, either way */
enum x86_status
x86_op_cmov(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	uint64_t v;

	TRY(x86_rm_load(x, i->opsize, &v));
	if (!x86_cond(i->op & 15, x->s->rflags))
		v = x86_gpr(x, (enum amd64_gpr)i->reg, i->opsize);
	x86_gpr_set(x, (enum amd64_gpr)i->reg, i->opsize, v);
	return (X_OK);
}

#define	FL_AH	(FL_SF | FL_ZF | FL_AF | FL_PF | FL_CF)

/* 9E, 9F */
enum x86_status
x86_op_sahf(struct x86 *x)
{
	x86_flags(x, x->s->gpr[RAX] >> 8, FL_AH);
	return (X_OK);
}

enum x86_status
x86_op_lahf(struct x86 *x)
{
	x->s->gpr[RAX] = (x->s->gpr[RAX] & ~0xff00ULL) |
	    ((x->s->rflags & FL_AH) | RFLAGS_FIXED) << 8;
	return (X_OK);
}

/* F5, F8, F9, FC, FD: CMC, CLC, STC, CLD, STD */
enum x86_status
x86_op_flag(struct x86 *x)
{
	switch (x->insn.op) {
	case 0xf5:
		x->s->rflags ^= FL_CF;
		break;
	case 0xf8:
	case 0xf9:
		x86_flags(x, (x->insn.op & 1) != 0 ? FL_CF : 0, FL_CF);
		break;
	default:
		x86_flags(x, (x->insn.op & 1) != 0 ? FL_DF : 0, FL_DF);
		break;
	}
	return (X_OK);
}

/* D7 */
enum x86_status
x86_op_xlat(struct x86 *x)
{
	uint64_t off = (x->s->gpr[RBX] + (x->s->gpr[RAX] & 0xff)) & x86_mask(x->insn.adsize), v;

	TRY(x86_load(x, x->insn.memseg, off, 1, &v));
	x86_gpr_set(x, RAX, 1, v);
	return (X_OK);
}

/* 0F 0D, 18 to 1F: hints, also ENDBR */
enum x86_status
x86_op_nop(struct x86 *x)
{
	return (X_OK);
}
