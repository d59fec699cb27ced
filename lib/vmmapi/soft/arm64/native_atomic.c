/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_atomic.c - exclusive, ordered and atomic accesses of one register in native code: ldst_excl.c has their functions, and what they mean.
 */
#include "native.h"

/* The address, aligned, in memory that the TLB has: the host's in rdx.  With gpa, its place in guest memory in rcx. */
static struct late *
reference(struct tr *t, unsigned size, bool write, bool gpa)
{
	struct late *slow = native_slow(t);
	struct emit *e = t->e;

	native_base(t, slow);
	if (size > 1) {
		emit_test_ri(e, 1, H_RDX, (int32_t)size - 1);
		emit_jcc(e, CC_NE, &slow->from);
	}
	native_look_up(t, 1, write, false, slow);
	if (gpa) {
		/* Host memory is mapped by pages: the offset in one is the same. */
		emit_mov_rr(e, 4, H_RCX, H_RDX);
		emit_alu_ri(e, 4, ALU_AND, H_RCX, 4095);
		emit_alu_rm(e, 8, ALU_OR, H_RCX, emit_at(H_RAX, (int32_t)offsetof(struct soft_tlbe, gpa)));
	}
	return (slow);
}

static void
put_zero_extended(struct tr *t, unsigned slot, unsigned size, unsigned from)
{
	unsigned reg = native_new(t);

	if (size == 8)
		emit_mov_rr(t->e, 8, reg, from);
	else
		emit_movzx_rr(t->e, size, reg, from);
	native_put(t, slot, reg);
}

static enum native
load_acquire(struct tr *t, unsigned size)
{
	struct late *slow = reference(t, size, false, false);
	unsigned reg = native_new(t);

	emit_movzx_rm(t->e, size, reg, emit_at(H_RDX, 0));
	native_put(t, t->i->rd, reg);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
store_release(struct tr *t, unsigned size)
{
	unsigned from = native_use(t, t->i->rd);
	struct late *slow = reference(t, size, true, false);

	emit_mov_rr(t->e, 8, H_RAX, from);
	emit_xchg_mr(t->e, size, emit_at(H_RDX, 0), H_RAX);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
load_exclusive(struct tr *t, unsigned size)
{
	struct late *slow = reference(t, size, false, true);
	unsigned reg = native_new(t);
	struct emit *e = t->e;

	emit_movzx_rm(e, size, reg, emit_at(H_RDX, 0));
	emit_mov_mr(e, 8, PAGE(excl_val[0]), reg);
	emit_mov_mi(e, 8, PAGE(excl_val[1]), 0);
	emit_mov_mr(e, 8, PAGE(excl_gpa), H_RCX);
	emit_mov_mi(e, 1, PAGE(excl_size), (int32_t)size);
	native_put(t, t->i->rd, reg);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

static enum native
store_exclusive(struct tr *t, unsigned size)
{
	unsigned from = native_use(t, t->i->rd), status = native_new(t);
	struct late *slow = reference(t, size, true, true);
	struct emit_label not = { 0 };
	struct emit *e = t->e;

	emit_mov_ri(e, status, 1);
	emit_alu_rm(e, 8, ALU_CMP, H_RCX, PAGE(excl_gpa));
	emit_jcc(e, CC_NE, &not);
	emit_alu_mi(e, 1, ALU_CMP, PAGE(excl_size), (int32_t)size);
	emit_jcc(e, CC_NE, &not);
	emit_mov_rm(e, 8, H_RAX, PAGE(excl_val[0]));
	emit_lock(e);
	emit_cmpxchg_mr(e, size, emit_at(H_RDX, 0), from);
	emit_jcc(e, CC_NE, &not);
	emit_mov_ri(e, status, 0);
	emit_bind(e, &not);
	emit_mov_mi(e, 1, PAGE(excl_size), 0);
	native_put(t, t->i->rm, status);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* Rs is ra to be read, rm to be written. */
static enum native
compare_and_swap(struct tr *t, unsigned size)
{
	unsigned old = native_use(t, t->i->ra), new = native_use(t, t->i->rd);
	struct late *slow = reference(t, size, true, false);

	emit_mov_rr(t->e, 8, H_RAX, old);
	emit_lock(t->e);
	emit_cmpxchg_mr(t->e, size, emit_at(H_RDX, 0), new);
	put_zero_extended(t, t->i->rm, size, H_RAX);
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* LDADD, LDCLR, LDEOR, LDSET, SWP; minimum and maximum are left to the function. */
static enum native
atomic_op(struct tr *t, unsigned size)
{
	static const enum emit_alu ops[4] = { ALU_ADD, ALU_AND, ALU_XOR, ALU_OR };
	unsigned op = t->i->arg, operand, again;
	struct emit_label loop = { 0 };
	struct emit *e = t->e;
	struct late *slow;

	if (op > 3 && op != 8)
		return (NATIVE_NOT);
	operand = native_use(t, t->i->rm);
	again = native_new(t);
	slow = reference(t, size, true, false);
	emit_mov_rr(e, 8, H_RCX, operand);
	if (op == 1)
		emit_unary_r(e, 8, UN_NOT, H_RCX);
	if (op == 8) {
		emit_xchg_mr(e, size, emit_at(H_RDX, 0), H_RCX);
		put_zero_extended(t, t->i->rd, size, H_RCX);
	} else if (op == 0) {
		emit_lock(e);
		emit_xadd_mr(e, size, emit_at(H_RDX, 0), H_RCX);
		put_zero_extended(t, t->i->rd, size, H_RCX);
	} else if (t->i->rd == SLOT_SINK) {
		emit_lock(e);
		emit_alu_mr(e, size, ops[op], emit_at(H_RDX, 0), H_RCX);
	} else {
		emit_mov_rm(e, size, H_RAX, emit_at(H_RDX, 0));
		emit_bind(e, &loop);
		emit_mov_rr(e, 8, again, H_RAX);
		emit_alu_rr(e, 8, ops[op], again, H_RCX);
		emit_lock(e);
		emit_cmpxchg_mr(e, size, emit_at(H_RDX, 0), again);
		emit_jcc(e, CC_NE, &loop);
		put_zero_extended(t, t->i->rd, size, H_RAX);
	}
	native_joined(t, slow);
	return (NATIVE_DONE);
}

/* The instruction is allocated, and not one that its function alone knows. */
enum native
native_atomic(struct tr *t)
{
	uint32_t w = t->i->word;
	unsigned size = 1U << (w >> 30);

	if ((w & 0x3f000000) == 0x08000000) {
		switch (a64_bits(w, 23, 21)) {
		case 0:
			return (store_exclusive(t, size));
		case 2:
			return (load_exclusive(t, size));
		case 4:
			return (store_release(t, size));
		case 6:
			return (load_acquire(t, size));
		case 5:
		case 7:
			return (compare_and_swap(t, size));
		default:
			return (NATIVE_NOT);
		}
	}
	if ((w & 0x3f200c00) != 0x38200000)
		return (NATIVE_NOT);
	if ((w & 0x00fffc00) == 0x00bfc000)
		return (load_acquire(t, size));
	return (atomic_op(t, size));
}
