/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_arith.c - native code: integer arithmetic and logic, shifts, multiplication, bits.  Results and flags are the host's own, as they are in
 * the first tier (alu.h).
 *
 * An instruction that keeps some flags is given the guest's before, if somebody behind it sees those.
 */
#include "decode.h"
#include "native.h"

static bool
is_mem(const struct x86_insn *i)
{
	return ((i->flags & XI_MEM) != 0);
}

static bool
is_imm(const struct x86_insn *i)
{
	return ((i->flags & XI_IMM) != 0);
}

static bool
locked(const struct x86_insn *i)
{
	return ((i->flags & XI_LOCK) != 0);
}

/* The host's flags as the instruction needs them: what it reads, and what it keeps. */
static void
flags_before(struct nat *n)
{
	if (n->effect[n->at].reads != 0 || nat_flags_pass(n))
		nat_flags_load(n);
}

/* ADD to CMP, TEST.  row->op: enum emit_alu, or TEST. */
#define	TEST	8U

/* How the flags come back from the operands, both of them pinned or the second one an immediate. */
static const struct nat_lazy *
recipe(const struct x86_insn *i, uint32_t op, struct nat_lazy *l)
{
	static const uint8_t ops[] = {
		[ALU_ADD] = LAZY_ADD, [ALU_OR] = LAZY_RESULT, [ALU_AND] = LAZY_RESULT, [ALU_SUB] = LAZY_SUB, [ALU_XOR] = LAZY_RESULT,
		[ALU_CMP] = LAZY_CMP, [TEST] = LAZY_TEST,
	};

	*l = (struct nat_lazy){ .op = ops[op], .size = i->opsize, .a = (uint8_t)nat_host(i->r[0]), .b = EMIT_NOREG,
	    .imm = (int32_t)i->imm };
	if (nat_high(i->r[0]) || l->a == NAT_MEM || l->op == LAZY_NONE)
		return (NULL);
	if (is_imm(i))
		return (l);
	if (nat_high(i->r[1]) || nat_host(i->r[1]) == NAT_MEM)
		return (l->op == LAZY_RESULT ? l : NULL);
	l->b = (uint8_t)nat_host(i->r[1]);
	if (l->a == l->b) {
		if (op == ALU_SUB || op == ALU_XOR)
			l->op = LAZY_ZERO;
		else if (op == ALU_ADD)
			return (NULL);
	}
	return (l);
}

static void
op_rr(struct emit *e, unsigned size, uint32_t op, unsigned a, unsigned b)
{
	if (op == TEST)
		emit_test_rr(e, size, a, b);
	else
		emit_alu_rr(e, size, (enum emit_alu)op, a, b);
}

static void
op_rm(struct emit *e, unsigned size, uint32_t op, unsigned a, struct emit_mem m)
{
	if (op == TEST)
		emit_rm(e, size, size == 1 ? 0x84 : 0x85, a, m, 0);
	else
		emit_alu_rm(e, size, (enum emit_alu)op, a, m);
}

static void
op_mr(struct emit *e, unsigned size, uint32_t op, struct emit_mem m, unsigned b)
{
	if (op == TEST)
		emit_rm(e, size, size == 1 ? 0x84 : 0x85, b, m, 0);
	else
		emit_alu_mr(e, size, (enum emit_alu)op, m, b);
}

static void
op_ri(struct emit *e, unsigned size, uint32_t op, unsigned a, int32_t imm)
{
	if (op == TEST)
		emit_test_ri(e, size, a, imm);
	else
		emit_alu_ri(e, size, (enum emit_alu)op, a, imm);
}

static void
op_mi(struct emit *e, unsigned size, uint32_t op, struct emit_mem m, int32_t imm)
{
	if (op == TEST)
		emit_test_mi(e, size, m, imm);
	else
		emit_alu_mi(e, size, (enum emit_alu)op, m, imm);
}

/* The first operand is one of R12 to R15. */
static void
two_slot(struct nat *n, const struct x86_insn *i, uint32_t op)
{
	struct emit_mem m = nat_slot(i->r[0] >> 3);
	unsigned size = i->opsize;
	struct emit *e = n->e;

	/* Parts: as in nat_put(). */
	if (size < 4) {
		if (!is_imm(i)) {
			nat_get_into(n, nat_high(i->r[1]) ? HA : HT, i->r[1], size);
			if (nat_high(i->r[1]))
				emit_mov_rr(e, 4, HT, HA);
		}
		emit_mov_rm(e, 8, HA, m);
		if (is_imm(i))
			op_ri(e, size, op, HA, (int32_t)i->imm);
		else
			op_rr(e, size, op, HA, HT);
		if (op != ALU_CMP && op != TEST)
			emit_mov_mr(e, 8, m, HA);
	/* 32 bits are zero-extended: through a register. */
	} else if (size == 4 && op != ALU_CMP && op != TEST) {
		emit_mov_rm(e, 4, HA, m);
		if (is_imm(i))
			op_ri(e, 4, op, HA, (int32_t)i->imm);
		else if (nat_host(i->r[1]) == NAT_MEM)
			op_rm(e, 4, op, HA, nat_slot(i->r[1] >> 3));
		else
			op_rr(e, 4, op, HA, nat_host(i->r[1]));
		emit_mov_mr(e, 8, m, HA);
	} else if (is_imm(i)) {
		op_mi(e, size, op, m, (int32_t)i->imm);
	} else {
		op_mr(e, size, op, m, nat_get(n, i->r[1], size));
	}
}

/* AH to BH with an immediate: there where it is, or in the host's AH. */
static bool
two_high(struct nat *n, const struct x86_insn *i, uint32_t op)
{
	unsigned g = i->r[0] >> 3;
	struct emit *e = n->e;

	nat_clobber(n, i->r[0]);
	flags_before(n);
	if (g == RAX)
		emit_mov_rr(e, 8, HA, nat_pin[RAX]);
	emit8(e, 0x80);
	emit8(e, 0xc0 | op << 3 | (4 + g));
	emit8(e, (unsigned)i->imm & 0xff);
	if (g == RAX)
		emit_mov_rr(e, 8, nat_pin[RAX], HA);
	nat_flags_set(n, NULL);
	return (true);
}

/* AH to BH are written by two_high(). */
static bool
two_reg(struct nat *n, const struct x86_insn *i, uint32_t op)
{
	unsigned a = i->r[0], b = i->r[1], size = i->opsize;
	bool writes = op != ALU_CMP && op != TEST, by;
	struct emit *e = n->e;
	struct nat_lazy l;

	if (nat_high(a) && writes)
		return (is_imm(i) && two_high(n, i, op));
	if (nat_high(a) && !is_imm(i) && (nat_high(b) || nat_host(b) == NAT_MEM))
		return (false);
	by = is_imm(i) && size == 8 && (op == ALU_ADD || op == ALU_SUB);
	if (by) {
		nat_clobber_by(n, a);
		nat_window_moved(n, a >> 3, op == ALU_ADD ? (int64_t)i->imm : -(int64_t)i->imm);
	} else if (writes) {
		nat_clobber(n, a);
	}
	flags_before(n);
	if (nat_high(a)) {
		nat_get_into(n, HA, a, 1);
		if (is_imm(i))
			op_ri(e, 1, op, HA, (int32_t)i->imm);
		else
			op_rr(e, 1, op, HA, nat_host(b));
		nat_flags_set(n, NULL);
		return (true);
	}
	if (nat_host(a) == NAT_MEM)
		two_slot(n, i, op);
	else if (is_imm(i))
		op_ri(e, size, op, nat_host(a), (int32_t)i->imm);
	else if (nat_host(b) == NAT_MEM && size < 4) {
		nat_get_into(n, HT, b, size);
		op_rr(e, size, op, nat_host(a), HT);
	} else if (nat_host(b) == NAT_MEM)
		op_rm(e, size, op, nat_host(a), nat_slot(b >> 3));
	else
		op_rr(e, size, op, nat_host(a), nat_get(n, b, size));
	nat_flags_set(n, recipe(i, op, &l));
	return (true);
}

static bool
two(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize;
	bool writes = row->op != ALU_CMP && row->op != TEST;
	struct emit *e = n->e;
	struct emit_mem m;

	if (!is_mem(i))
		return (two_reg(n, i, row->op));
	if (!nat_mem_ok(n, i, size))
		return (false);
	if (i->r[0] != X86_NOREG) {
		unsigned h = nat_host(i->r[0]);

		if (nat_high(i->r[0]))
			return (false);
		if (writes)
			nat_clobber(n, i->r[0]);
		m = nat_mem(n, i, size, false, false);
		flags_before(n);
		if (h == NAT_MEM)
			nat_get_into(n, HA, i->r[0], size);
		op_rm(e, size, row->op, h == NAT_MEM ? HA : h, m);
		if (h == NAT_MEM && writes)
			nat_put(n, i->r[0], size, HA);
	} else {
		m = nat_mem(n, i, size, writes, false);
		if (locked(i))
			nat_lock(n, m, size);
		flags_before(n);
		if (is_imm(i)) {
			if (locked(i))
				emit8(e, 0xf0);
			op_mi(e, size, row->op, m, (int32_t)i->imm);
		} else {
			unsigned b = nat_get(n, i->r[1], size);

			if (locked(i))
				emit8(e, 0xf0);
			op_mr(e, size, row->op, m, b);
		}
	}
	nat_flags_set(n, NULL);
	return (true);
}

/* INC, DEC, NOT, NEG.  row->op: the opcode's reg field, and ONE_FE for the first two. */
#define	ONE_FE		8U

static bool
one(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	uint32_t op = ((row->op & ONE_FE) != 0 ? 0xfe : 0xf6) | (i->opsize != 1);
	unsigned size = i->opsize, reg = row->op & 7, h;
	struct emit *e = n->e;
	struct emit_mem m;

	if (is_mem(i)) {
		if (!nat_mem_ok(n, i, size))
			return (false);
		m = nat_mem(n, i, size, true, false);
		if (locked(i))
			nat_lock(n, m, size);
		if (row->kills != 0)
			flags_before(n);
		if (locked(i))
			emit8(e, 0xf0);
		emit_rm(e, size == 1 ? 4 : size, op, reg, m, 0);
	} else {
		if (nat_high(i->r[0]))
			return (false);
		nat_clobber(n, i->r[0]);
		if (row->kills != 0)
			flags_before(n);
		h = nat_host(i->r[0]);
		if (h == NAT_MEM)
			nat_get_into(n, HA, i->r[0], size);
		h = h == NAT_MEM ? HA : h;
		emit_opcode(e, size, op, 0, 0, h, emit_needs_rex(size, h));
		emit8(e, 0xc0 | reg << 3 | (h & 7));
		if (h == HA)
			nat_put(n, i->r[0], size, HA);
	}
	if (row->kills != 0)
		nat_flags_set(n, NULL);
	return (true);
}

/* Shifts and rotates: row->op is enum emit_shift.  By an immediate or CL, which is where it was. */
static bool
shift(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize, count = (unsigned)i->imm & 0xff, h, op;
	struct emit *e = n->e;
	struct emit_mem m;

	if (is_mem(i) ? !nat_mem_ok(n, i, size) : nat_high(i->r[0]))
		return (false);
	op = (is_imm(i) ? 0xc0U : 0xd2U) | (size != 1);
	if (is_mem(i)) {
		m = nat_mem(n, i, size, true, false);
		flags_before(n);
		emit_rm(e, size == 1 ? 4 : size, op, row->op, m, is_imm(i));
		if (is_imm(i))
			emit8(e, count);
	} else {
		nat_clobber(n, i->r[0]);
		flags_before(n);
		h = nat_host(i->r[0]);
		if (h == NAT_MEM)
			nat_get_into(n, HA, i->r[0], size);
		if (is_imm(i))
			emit_shift_ri(e, size, (enum emit_shift)row->op, h == NAT_MEM ? HA : h, count);
		else
			emit_shift_cl(e, size, (enum emit_shift)row->op, h == NAT_MEM ? HA : h);
		if (h == NAT_MEM)
			nat_put(n, i->r[0], size, HA);
	}
	nat_flags_set(n, NULL);
	return (true);
}

/* SHLD, SHRD of registers: row->op is the opcode of the form with an immediate; x86_insn.imm2: by CL. */
static bool
double_shift(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize, a = nat_host(i->r[0]), b = nat_host(i->r[1]);
	struct emit *e = n->e;

	if (is_mem(i))
		return (false);
	nat_clobber(n, i->r[0]);
	flags_before(n);
	if (a == NAT_MEM)
		nat_get_into(n, HA, i->r[0], size);
	if (b == NAT_MEM)
		nat_get_into(n, HT, i->r[1], size);
	emit_rr(e, size, i->imm2 != 0 ? row->op + 1 : row->op, b == NAT_MEM ? HT : b, a == NAT_MEM ? HA : a);
	if (i->imm2 == 0)
		emit8(e, (unsigned)i->imm & 0xff);
	if (a == NAT_MEM)
		nat_put(n, i->r[0], size, HA);
	nat_flags_set(n, NULL);
	return (true);
}

/* IMUL with two or three operands. */
static bool
imul(struct nat *n, const struct x86_insn *i, unsigned size)
{
	unsigned h = nat_host(i->r[0]), to = h == NAT_MEM ? HA : h;
	int32_t imm = (int32_t)i->imm;
	struct emit *e = n->e;
	struct emit_mem m;

	nat_clobber(n, i->r[0]);
	if (is_mem(i)) {
		m = nat_mem(n, i, size, false, false);
		flags_before(n);
	} else {
		flags_before(n);
		m = nat_slot(i->r[1] >> 3);	/* if it is one of those */
	}
	if (!is_imm(i) && h == NAT_MEM)
		nat_get_into(n, HA, i->r[0], size);
	if (is_imm(i)) {
		if (is_mem(i) || nat_host(i->r[1]) == NAT_MEM)
			emit_rm(e, size, 0x69, to, m, size == 2 ? 2 : 4);
		else
			emit_rr(e, size, 0x69, to, nat_host(i->r[1]));
		emit_imm(e, size == 8 ? 4 : size, imm);
	} else if (is_mem(i) || nat_host(i->r[1]) == NAT_MEM) {
		emit_imul_rm(e, size, to, m);
	} else {
		emit_imul_rr(e, size, to, nat_host(i->r[1]));
	}
	if (h == NAT_MEM)
		nat_put(n, i->r[0], size, HA);
	nat_flags_set(n, NULL);
	return (true);
}

/* MUL, IMUL into rDX:rAX, of 32 or 64 bits: row->op is enum emit_unary. */
static bool
multiply(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize, h;
	struct emit *e = n->e;
	struct emit_mem m;

	if (is_mem(i) && !nat_mem_ok(n, i, size))
		return (false);
	if (i->r[0] != X86_NOREG && (is_mem(i) || i->r[1] != X86_NOREG))
		return (imul(n, i, size));
	if (size < 4)
		return (false);
	nat_clobber(n, 8 * RAX);
	nat_clobber(n, 8 * RDX);
	if (is_mem(i)) {
		m = nat_mem(n, i, size, false, false);
		flags_before(n);
		emit_mov_rr(e, size, HA, nat_pin[RAX]);
		emit_rm(e, size, 0xf7, row->op, m, 0);
	} else {
		flags_before(n);
		h = nat_host(i->r[0]);
		if (h == NAT_MEM) {
			h = HT;
			nat_get_into(n, HT, i->r[0], size);
		}
		emit_mov_rr(e, size, HA, nat_pin[RAX]);
		emit_unary_r(e, size, (enum emit_unary)row->op, h);
	}
	emit_mov_rr(e, 8, nat_pin[RAX], HA);
	nat_flags_set(n, NULL);
	return (true);
}

/* DIV of 32 or 64 bits.  What the host would fault on, zero or too large a quotient, is the function's. */
static bool
divide(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize;
	struct emit *e = n->e;
	struct nat_cold *c;
	struct emit_mem m;

	if (size < 4 || (is_mem(i) && !nat_mem_ok(n, i, size)))
		return (false);
	nat_clobber(n, 8 * RAX);
	nat_clobber(n, 8 * RDX);
	if (is_mem(i)) {
		m = nat_mem(n, i, size, false, false);
		emit_mov_rm(e, size, HT, m);
	} else {
		nat_flags_settle(n);
		nat_get_into(n, HT, i->r[0], size);
	}
	c = nat_called(n);
	emit_alu_rr(e, size, ALU_CMP, nat_pin[RDX], HT);
	emit_jcc(e, CC_AE, &c->from);
	flags_before(n);
	emit_mov_rr(e, size, HA, nat_pin[RAX]);
	emit_unary_r(e, size, UN_DIV, HT);
	emit_mov_rr(e, size, nat_pin[RAX], HA);
	nat_flags_set(n, NULL);
	return (true);
}

/* BT, BTS, BTR, BTC of registers, and of memory with an immediate: row->op as in group 8. */
static bool
bit(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize, a, b;
	bool writes = row->op != 4;
	struct emit *e = n->e;
	struct emit_mem m;

	if (is_mem(i)) {
		if (!is_imm(i) || !nat_mem_ok(n, i, size))
			return (false);
		m = nat_mem(n, i, size, writes, false);
		if (locked(i))
			nat_lock(n, m, size);
		flags_before(n);
		if (locked(i))
			emit8(e, 0xf0);
		emit_bt_mi(e, size, row->op, m, (unsigned)i->imm & 0xff);
		nat_flags_set(n, NULL);
		return (true);
	}
	if (writes)
		nat_clobber(n, i->r[0]);
	flags_before(n);
	a = nat_host(i->r[0]);
	if (a == NAT_MEM) {
		a = HA;
		nat_get_into(n, HA, i->r[0], size);
	}
	if (is_imm(i)) {
		emit_bt_ri(e, size, row->op, a, (unsigned)i->imm & 0xff);
	} else {
		b = nat_host(i->r[1]);
		if (b == NAT_MEM) {
			b = HT;
			nat_get_into(n, HT, i->r[1], size);
		}
		emit_rr(e, size, EMIT_0F | 0x83 | row->op << 3, b, a);
	}
	if (a == HA && writes)
		nat_put(n, i->r[0], size, HA);
	nat_flags_set(n, NULL);
	return (true);
}

/* BSF, BSR: a scan that finds nothing leaves the destination alone, its upper half too. */
static bool
scan(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize, src;
	struct emit *e = n->e;
	uint8_t *over;

	if (is_mem(i) && !nat_mem_ok(n, i, size))
		return (false);
	nat_clobber(n, i->r[0]);
	src = nat_source(n, i, size);
	flags_before(n);
	emit_rr(e, size, row->op, HA, src);
	over = emit_jcc_over(e, CC_E);
	nat_put(n, i->r[0], size, HA);
	emit_here(e, over);
	nat_flags_set(n, NULL);
	return (true);
}

/* POPCNT: has a result for everything. */
static bool
popcnt(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize;
	struct emit_mem m;

	if (is_mem(i) && !nat_mem_ok(n, i, size))
		return (false);
	nat_clobber(n, i->r[0]);
	if (is_mem(i)) {
		m = nat_mem(n, i, size, false, false);
		emit_rm(n->e, size, OP(0xf3, EMIT_0F, 0xb8), HA, m, 0);
	} else {
		emit_rr(n->e, size, OP(0xf3, EMIT_0F, 0xb8), HA, nat_get(n, i->r[1], size));
	}
	nat_put(n, i->r[0], size, HA);
	nat_flags_set(n, NULL);
	return (true);
}

/* XADD, CMPXCHG with memory. */
static bool
xadd(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize;
	struct emit_mem m;

	if (!is_mem(i) || !nat_mem_ok(n, i, size) || nat_high(i->r[1]))
		return (false);
	nat_clobber(n, i->r[1]);
	m = nat_mem(n, i, size, true, false);
	nat_lock(n, m, size);
	nat_get_into(n, HA, i->r[1], size);
	emit8(n->e, 0xf0);
	emit_rm(n->e, size, EMIT_0F | 0xc0 | (size != 1), HA, m, 0);
	nat_put(n, i->r[1], size, HA);
	nat_flags_set(n, NULL);
	return (true);
}

static bool
cmpxchg(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize, src;
	struct emit *e = n->e;
	struct emit_mem m;
	uint8_t *over;

	if (!is_mem(i) || !nat_mem_ok(n, i, size) || nat_high(i->r[1]) || nat_host(i->r[1]) == NAT_MEM)
		return (false);
	src = nat_host(i->r[1]);
	nat_clobber(n, 8 * RAX);
	m = nat_mem(n, i, size, true, false);
	nat_lock(n, m, size);
	emit_mov_rr(e, 8, HA, nat_pin[RAX]);
	emit8(e, 0xf0);
	emit_rm(e, size, EMIT_0F | 0xb0 | (size != 1), src, m, 0);
	over = emit_jcc_over(e, CC_E);
	nat_put(n, 8 * RAX, size, HA);
	emit_here(e, over);
	nat_flags_set(n, NULL);
	return (true);
}

/* CLC, STC, CMC: row->op is the opcode. */
static bool
carry(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	flags_before(n);
	emit8(n->e, row->op);
	nat_flags_set(n, NULL);
	return (true);
}

#define	M(n)	ZYDIS_MNEMONIC_##n
#define	CO	(FL_CF | FL_OF)

const struct nat_row nat_rows_arith[] = {
	{ M(ADD), 0, FL_ARITH, 0, 0, ALU_ADD, two },
	{ M(OR), 0, FL_ARITH, 0, 0, ALU_OR, two },
	{ M(ADC), FL_CF, FL_ARITH, 0, 0, ALU_ADC, two },
	{ M(SBB), FL_CF, FL_ARITH, 0, 0, ALU_SBB, two },
	{ M(AND), 0, FL_ARITH, 0, 0, ALU_AND, two },
	{ M(SUB), 0, FL_ARITH, 0, 0, ALU_SUB, two },
	{ M(XOR), 0, FL_ARITH, 0, 0, ALU_XOR, two },
	{ M(CMP), 0, FL_ARITH, 0, 0, ALU_CMP, two },
	{ M(TEST), 0, FL_ARITH, 0, 0, TEST, two },
	{ M(INC), 0, FL_ARITH & ~FL_CF, 0, 0, ONE_FE | 0, one },
	{ M(DEC), 0, FL_ARITH & ~FL_CF, 0, 0, ONE_FE | 1, one },
	{ M(NOT), 0, 0, 0, 0, 2, one },
	{ M(NEG), 0, FL_ARITH, 0, 0, 3, one },
	{ M(ROL), 0, CO, NK_ROTATE, 0, SH_ROL, shift },
	{ M(ROR), 0, CO, NK_ROTATE, 0, SH_ROR, shift },
	{ M(SHL), 0, FL_ARITH, NK_SHIFT, 0, SH_SHL, shift },
	{ M(SHR), 0, FL_ARITH, NK_SHIFT, 0, SH_SHR, shift },
	{ M(SAR), 0, FL_ARITH, NK_SHIFT, 0, SH_SAR, shift },
	{ M(SHLD), 0, FL_ARITH, NK_DOUBLE, 0, EMIT_0F | 0xa4, double_shift },
	{ M(SHRD), 0, FL_ARITH, NK_DOUBLE, 0, EMIT_0F | 0xac, double_shift },
	{ M(MUL), 0, CO, 0, 0, UN_MUL, multiply },
	{ M(IMUL), 0, CO, 0, 0, UN_IMUL, multiply },
	{ M(DIV), 0, 0, NK_EXPOSED, 0, 0, divide },
	{ M(BT), 0, FL_CF, 0, 0, 4, bit },
	{ M(BTS), 0, FL_CF, 0, 0, 5, bit },
	{ M(BTR), 0, FL_CF, 0, 0, 6, bit },
	{ M(BTC), 0, FL_CF, 0, 0, 7, bit },
	{ M(BSF), 0, FL_ARITH, NK_SCAN, 0, EMIT_0F | 0xbc, scan },
	{ M(BSR), 0, FL_ARITH, NK_SCAN, 0, EMIT_0F | 0xbd, scan },
	{ M(POPCNT), 0, FL_ARITH, 0, 0, 0, popcnt },
	{ M(XADD), 0, FL_ARITH, 0, 0, 0, xadd },
	{ M(CMPXCHG), 0, FL_ARITH, 0, 0, 0, cmpxchg },
	{ M(CLC), 0, FL_CF, 0, 0, 0xf8, carry },
	{ M(STC), 0, FL_CF, 0, 0, 0xf9, carry },
	{ M(CMC), FL_CF, FL_CF, 0, 0, 0xf5, carry },
	{ 0 },
};
