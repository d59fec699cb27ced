/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_ldst.c - loads and stores in native code (Arm ARM C4.1.4): what is in the TLB.  Anything else is the function's (ldst.c, ldst_simd.c), which does
 * the whole instruction.
 */
#include "native.h"

#if defined(__x86_64__)

enum address { ADDR_IMM, ADDR_REG, ADDR_POST, ADDR_PRE, ADDR_UNPRIV, ADDR_LITERAL };

struct access {
	enum address	 how;
	unsigned	 size, total;
	bool		 write;
	unsigned	 base;		/* host register with the base */
};

/* The address goes to rdx. */
static void
address(struct tr *t, struct access *a, struct late *slow)
{
	const struct a64_insn *i = t->i;
	struct emit *e = t->e;
	unsigned m, shift = a->how == ADDR_REG ? i->arg2 >> 3 : 0;

	if (a->how == ADDR_LITERAL) {
		emit_mov_rm(e, 8, H_RDX, CORE(pc0));
		emit_alu_ri(e, 8, ALU_ADD, H_RDX, (int32_t)i->imm + (int32_t)(t->off + 4 * t->k));
		return;
	}
	a->base = native_use(t, i->rn);
	if (i->rn >= SLOT(sp_el0) && i->rn <= SLOT(sp_el1)) {
		/* SCTLR_EL1 may want it aligned. */
		emit_test_ri(e, 1, a->base, 15);
		emit_jcc(e, CC_NE, &slow->from);
	}
	if (a->how == ADDR_POST) {
		emit_mov_rr(e, 8, H_RDX, a->base);
	} else if (a->how != ADDR_REG) {
		emit_lea(e, 8, H_RDX, emit_at(a->base, (int32_t)i->imm));
	} else if ((i->arg2 & 1) != 0 && shift <= 3) {
		emit_lea(e, 8, H_RDX, emit_idx(a->base, native_use(t, i->rm), 1U << shift, 0));
	} else {
		m = native_use(t, i->rm);
		if ((i->arg2 & 1) != 0)
			emit_mov_rr(e, 8, H_RDX, m);
		else if ((i->arg2 & 4) != 0)
			emit_movsx_rr(e, 8, 4, H_RDX, m);
		else
			emit_mov_rr(e, 4, H_RDX, m);
		if (shift != 0)
			emit_shift_ri(e, 8, SH_SHL, H_RDX, shift);
		emit_alu_rr(e, 8, ALU_ADD, H_RDX, a->base);
	}
}

/* The page of the last byte is compared with the tag of the first one's entry, so an access across pages misses. */
void
native_look_up(struct tr *t, unsigned total, bool write, bool unpriv, struct late *slow)
{
	struct emit *e = t->e;
	unsigned half = unpriv ? 0 : t->half;

	_Static_assert(sizeof(struct soft_tlbe) == 32 && SOFT_TLB_BITS == 11, "an entry's offset is a shift and a mask");
	emit_mov_rr(e, 4, H_RAX, H_RDX);
	emit_shift_ri(e, 4, SH_SHR, H_RAX, 7);
	emit_alu_ri(e, 4, ALU_AND, H_RAX, (SOFT_TLB_SIZE - 1) << 5);
	emit_alu_rm(e, 8, ALU_ADD, H_RAX, unpriv ? CORE(row_el0) : CORE(row));
	if (total > 1)
		emit_lea(e, 8, H_RCX, emit_at(H_RDX, (int32_t)total - 1));
	else
		emit_mov_rr(e, 8, H_RCX, H_RDX);
	emit_alu_ri(e, 8, ALU_AND, H_RCX, -4096);
	emit_alu_rm(e, 8, ALU_OR, H_RCX, core_at(offsetof(struct a64, tag) + 8 * half));
	emit_alu_rm(e, 8, ALU_CMP, H_RCX,
	    emit_at(H_RAX, (int32_t)(write ? offsetof(struct soft_tlbe, wtag) : offsetof(struct soft_tlbe, rtag))));
	emit_jcc(e, CC_NE, &slow->from);
	emit_alu_rm(e, 8, ALU_ADD, H_RDX, emit_at(H_RAX, (int32_t)offsetof(struct soft_tlbe, addend)));
}

static void
look_up(struct tr *t, const struct access *a, struct late *slow)
{
	native_look_up(t, a->total, a->write, a->how == ADDR_UNPRIV, slow);
}

void
native_base(struct tr *t, struct late *slow)
{
	struct access a = { .how = ADDR_POST };

	address(t, &a, slow);
}

static void
write_back(struct tr *t, const struct access *a)
{
	unsigned reg;

	if (a->how != ADDR_POST && a->how != ADDR_PRE)
		return;
	reg = native_new(t);
	emit_lea(t->e, 8, reg, emit_at(a->base, (int32_t)t->i->imm));
	native_put(t, t->i->rn, reg);
}

/* ext: 0 zero-extends, 1 sign-extends to 64 bits, 2 to 32. */
static void
load_from(struct tr *t, unsigned reg, struct emit_mem m, unsigned size, unsigned ext)
{
	if (ext == 0 || size == 8)
		emit_movzx_rm(t->e, size, reg, m);
	else
		emit_movsx_rm(t->e, ext == 1 ? 8 : 4, size, reg, m);
}

static enum native
load(struct tr *t, struct access *a, unsigned ext)
{
	struct late *slow = native_slow(t);
	unsigned reg;

	a->total = a->size;
	address(t, a, slow);
	look_up(t, a, slow);
	reg = native_new(t);
	load_from(t, reg, emit_at(H_RDX, 0), a->size, ext);
	native_put(t, t->i->rd, reg);
	write_back(t, a);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
store(struct tr *t, struct access *a)
{
	struct late *slow = native_slow(t);
	unsigned reg = native_use(t, t->i->rd);

	a->total = a->size;
	a->write = true;
	address(t, a, slow);
	look_up(t, a, slow);
	emit_mov_mr(t->e, a->size, emit_at(H_RDX, 0), reg);
	write_back(t, a);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* By bits 11:10 with bit 21 clear, and by bits 24:23 of pairs. */
static const enum address kinds[4] = { ADDR_IMM, ADDR_POST, ADDR_UNPRIV, ADDR_PRE };
static const enum address pair_kinds[4] = { ADDR_IMM, ADDR_POST, ADDR_IMM, ADDR_PRE };

static enum address
kind_of(const struct tr *t, uint32_t w)
{
	if (a64_bits(w, 24, 24) != 0)
		return (ADDR_IMM);
	if (a64_bits(w, 21, 21) != 0)
		return (ADDR_REG);
	if (a64_bits(w, 11, 10) == 2 && (t->c->mode & A64_MODE_EL0) != 0)
		return (ADDR_IMM);
	return (kinds[a64_bits(w, 11, 10)]);
}

static enum native
one(struct tr *t, uint32_t w)
{
	struct access a = { .how = kind_of(t, w), .size = 1U << (w >> 30) };
	unsigned opc = a64_bits(w, 23, 22);

	if (w >> 30 == 3 && opc == 2)
		return (NATIVE_KEPT);			/* PRFM */
	if (opc == 0)
		return (store(t, &a));
	return (load(t, &a, opc - 1));
}

static enum native
pair(struct tr *t, uint32_t w)
{
	struct access a = { .how = pair_kinds[a64_bits(w, 24, 23)], .size = w >> 31 != 0 ? 8 : 4,
	    .write = a64_bits(w, 22, 22) == 0 };
	struct late *slow = native_slow(t);
	const struct a64_insn *i = t->i;
	unsigned first = 0, second = 0;

	a.total = 2 * a.size;
	if (a.write) {
		first = native_use(t, i->rd);
		second = native_use(t, i->ra);
	}
	address(t, &a, slow);
	look_up(t, &a, slow);
	if (a.write) {
		emit_mov_mr(t->e, a.size, emit_at(H_RDX, 0), first);
		emit_mov_mr(t->e, a.size, emit_at(H_RDX, (int32_t)a.size), second);
	} else {
		first = native_new(t);
		second = native_new(t);
		load_from(t, first, emit_at(H_RDX, 0), a.size, w >> 30 == 1);
		load_from(t, second, emit_at(H_RDX, (int32_t)a.size), a.size, w >> 30 == 1);
		native_put(t, i->rd, first);
		native_put(t, i->ra, second);
	}
	write_back(t, &a);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
literal(struct tr *t, uint32_t w)
{
	struct access a = { .how = ADDR_LITERAL, .size = w >> 30 == 1 ? 8 : 4 };

	if (w >> 30 == 3)
		return (NATIVE_KEPT);			/* PRFM */
	return (load(t, &a, w >> 30 == 2));
}

/* SIMD&FP registers: what is loaded into them clears the rest. */

/* From memory to xmm reg, zero-extended; RAX is lost. */
static void
load_vector(struct tr *t, unsigned reg, struct emit_mem m, unsigned size)
{
	switch (size) {
	case 16:
		emit_sse_rm(t->e, SSE_MOVDQU_LOAD, reg, m);
		break;
	case 8:
		emit_sse_rm(t->e, SSE_MOVQ_LOAD, reg, m);
		break;
	case 4:
		emit_sse_rm(t->e, SSE_MOVD_LOAD, reg, m);
		break;
	default:
		emit_movzx_rm(t->e, size, H_RAX, m);
		emit_rr(t->e, 4, SSE_MOVD_LOAD, reg, H_RAX);
		break;
	}
}

static void
store_vector(struct tr *t, struct emit_mem to, struct emit_mem from, unsigned size)
{
	if (size == 16) {
		emit_sse_rm(t->e, SSE_MOVDQU_LOAD, 0, from);
		emit_sse_rm(t->e, SSE_MOVDQU_STORE, 0, to);
		return;
	}
	emit_movzx_rm(t->e, size, H_RAX, from);
	emit_mov_mr(t->e, size, to, H_RAX);
}

static enum native
vector(struct tr *t, struct access *a, bool two)
{
	struct late *slow = native_slow(t);
	const struct a64_insn *i = t->i;

	a->total = two ? 2 * a->size : a->size;
	address(t, a, slow);
	look_up(t, a, slow);
	if (a->write) {
		store_vector(t, emit_at(H_RDX, 0), vector_at(i->rd), a->size);
		if (two)
			store_vector(t, emit_at(H_RDX, (int32_t)a->size), vector_at(i->ra), a->size);
	} else {
		load_vector(t, 0, emit_at(H_RDX, 0), a->size);
		if (two)
			load_vector(t, 1, emit_at(H_RDX, (int32_t)a->size), a->size);
		emit_sse_rm(t->e, SSE_MOVDQU_STORE, 0, vector_at(i->rd));
		if (two)
			emit_sse_rm(t->e, SSE_MOVDQU_STORE, 1, vector_at(i->ra));
	}
	write_back(t, a);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
simd(struct tr *t, uint32_t w)
{
	struct access a = { .write = a64_bits(w, 22, 22) == 0 };

	if ((w & 0x3b000000) == 0x18000000) {
		a = (struct access){ .how = ADDR_LITERAL, .size = 4U << (w >> 30) };
		return (vector(t, &a, false));
	}
	if ((w & 0x3a000000) == 0x28000000) {
		a.how = pair_kinds[a64_bits(w, 24, 23)];
		a.size = t->i->arg;
		return (vector(t, &a, true));
	}
	if ((w & 0x3a000000) == 0x38000000) {
		a.how = a64_bits(w, 24, 24) != 0 ? ADDR_IMM : a64_bits(w, 21, 21) != 0 ? ADDR_REG : kinds[a64_bits(w, 11, 10)];
		a.size = 1U << (a64_bits(w, 23, 23) << 2 | w >> 30);
		return (vector(t, &a, false));
	}
	return (NATIVE_NOT);
}

enum native
native_ldst(struct tr *t)
{
	uint32_t w = t->i->word;

	if (a64_bits(w, 26, 26) != 0)
		return (simd(t, w));
	if ((w & 0x3b000000) == 0x18000000)
		return (literal(t, w));
	if ((w & 0x3a000000) == 0x28000000)
		return (pair(t, w));
	/* Atomics have bits 21 set and 11:10 clear. */
	if ((w & 0x3a000000) == 0x38000000 && (a64_bits(w, 24, 24) != 0 || a64_bits(w, 21, 21) == 0 || a64_bits(w, 11, 10) == 2))
		return (one(t, w));
	return (NATIVE_NOT);
}

#endif
