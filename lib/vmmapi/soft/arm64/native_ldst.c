/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_ldst.c - loads and stores in native code (Arm ARM C4.1.4): what is in the TLB.  Anything else is the function's (ldst.c, ldst_simd.c), which does
 * the whole instruction.
 */
#include "native.h"

void
native_offset(struct tr *t, const struct a64_insn *i, unsigned base)
{
	unsigned m = native_use(t, i->rm), shift = i->arg2 >> 3;
	struct emit *e = t->e;

	if ((i->arg2 & 1) != 0 && shift <= 3) {
		emit_lea(e, 8, H_RDX, emit_idx(base, m, 1U << shift, 0));
		return;
	}
	if ((i->arg2 & 1) != 0)
		emit_mov_rr(e, 8, H_RDX, m);
	else if ((i->arg2 & 4) != 0)
		emit_movsx_rr(e, 8, 4, H_RDX, m);
	else
		emit_mov_rr(e, 4, H_RDX, m);
	if (shift != 0)
		emit_shift_ri(e, 8, SH_SHL, H_RDX, shift);
	emit_alu_rr(e, 8, ALU_ADD, H_RDX, base);
}

/* The address goes to rdx. */
static void
address(struct tr *t, struct access *a, struct late *slow)
{
	const struct a64_insn *i = t->i;
	struct emit *e = t->e;

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
	if (a->how == ADDR_POST)
		emit_mov_rr(e, 8, H_RDX, a->base);
	else if (a->how == ADDR_REG)
		native_offset(t, i, a->base);
	else
		emit_lea(e, 8, H_RDX, emit_at(a->base, (int32_t)i->imm));
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
	emit_alu_rm(e, 8, ALU_ADD, H_RAX, core_at((unpriv ? offsetof(struct a64, row_el0) : offsetof(struct a64, row)) + 8 * write));
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

/*
 * Where memory is that the present instruction accesses; *slow: what was jumped to where it is not known, NULL if the group's head has
 * seen to that.
 */
static struct emit_mem
place(struct tr *t, struct access *a, struct late **slow)
{
	struct emit_mem m;

	*slow = NULL;
	if (native_grouped(t, &m)) {
		if (a->how == ADDR_POST || a->how == ADDR_PRE)
			a->base = native_use(t, t->i->rn);
		return (m);
	}
	*slow = native_slow(t);
	address(t, a, *slow);
	native_look_up(t, a->total, a->write, a->how == ADDR_UNPRIV, *slow);
	return (emit_at(H_RDX, 0));
}

static struct emit_mem
behind(struct emit_mem m, unsigned size)
{
	m.disp += (int32_t)size;
	return (m);
}

void
native_base(struct tr *t, struct late *slow)
{
	struct access a = { .how = ADDR_POST };

	address(t, &a, slow);
}

/* What comes behind the access. */
static enum native
finish(struct tr *t, const struct access *a, struct late *slow)
{
	unsigned reg;

	if (a->how == ADDR_POST || a->how == ADDR_PRE) {
		reg = native_new(t);
		emit_lea(t->e, 8, reg, emit_at(a->base, (int32_t)t->i->imm));
		native_put(t, t->i->rn, reg);
	}
	if (slow != NULL)
		native_joined(t, slow);
	return (NATIVE_DONE);
}

/*
 * Two X registers that are next to each other and only go from memory to memory stay together in one of the host's vectors.
 */

/* STP, LDP of X registers: bits 22 (a load) and of the address left out. */
static bool
same_pair(const struct a64_insn *i, const struct a64_insn *j)
{
	return ((j->word & 0xfe000000) == 0xa8000000 && i->rd == j->rd && i->ra == j->ra);
}

/* May it have to do with an X register?  System instructions have its number in the word only. */
static bool
names(const struct a64_insn *i, unsigned n)
{
	if (i->word >> 24 == 0x54)
		return (false);			/* B.cond */
	return (i->rd == n || i->rn == n || i->rm == n || i->ra == n || (i->word >> 24 == 0xd5 && (i->word & 31) == n));
}

/* Is what the present LDP loads for an STP only, as far as the block says? */
static bool
stored_as_pair(const struct tr *t)
{
	unsigned n = t->i->rd;

	for (unsigned k = t->k + 1; k < t->n; k++) {
		const struct a64_insn *j = &t->code[k];

		if (same_pair(t->i, j))
			return ((j->word & 1U << 22) == 0 && j->rn != n && j->rn != n + 1);
		if (names(j, n) || names(j, n + 1))
			return (false);
	}
	return (false);
}

/* What the present STP stores, if it is in a vector, or will be in the next round of the loop. */
static int
find_pair(struct tr *t)
{
	int found = native_find_pair(t, t->i->rd);

	for (unsigned k = t->k + 1; found < 0 && k < t->loop.length; k++) {
		if (same_pair(t->i, &t->code[k]) && (t->code[k].word & 1U << 22) != 0)
			found = (int)native_use_pair(t, t->i->rd);
	}
	return (found);
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
load(struct tr *t, struct access *a)
{
	const struct a64_insn *i = t->i;
	struct late *slow;
	struct emit_mem m = place(t, a, &slow);
	unsigned first, second;

	if (a->two && a->size == 8 && i->ra == i->rd + 1 && stored_as_pair(t)) {
		first = native_new_vector(t);
		emit_sse_rm(t->e, SSE_MOVDQU_LOAD, first, m);
		native_put_pair(t, i->rd, first);
		return (finish(t, a, slow));
	}
	first = native_new(t);
	load_from(t, first, m, a->size, a->ext);
	if (a->two) {
		second = native_new(t);
		load_from(t, second, behind(m, a->size), a->size, a->ext);
		native_put(t, i->rd, first);
		native_put(t, i->ra, second);
	} else {
		native_put(t, i->rd, first);
	}
	return (finish(t, a, slow));
}

static enum native
store(struct tr *t, struct access *a)
{
	const struct a64_insn *i = t->i;
	unsigned first, second;
	struct late *slow;
	struct emit_mem m;
	int pair;

	pair = a->two && a->size == 8 && i->ra == i->rd + 1 ? find_pair(t) : -1;
	if (pair >= 0) {
		m = place(t, a, &slow);
		emit_sse_rm(t->e, SSE_MOVDQU_STORE, (unsigned)pair, m);
		return (finish(t, a, slow));
	}
	first = native_use(t, i->rd);
	second = a->two ? native_use(t, i->ra) : 0;
	m = place(t, a, &slow);
	emit_mov_mr(t->e, a->size, m, first);
	if (a->two)
		emit_mov_mr(t->e, a->size, behind(m, a->size), second);
	return (finish(t, a, slow));
}

/* By bits 11:10 with bit 21 clear, and by bits 24:23 of pairs. */
static const enum address kinds[4] = { ADDR_IMM, ADDR_POST, ADDR_UNPRIV, ADDR_PRE };
static const enum address pair_kinds[4] = { ADDR_IMM, ADDR_POST, ADDR_IMM, ADDR_PRE };

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
store_vector(struct tr *t, struct emit_mem to, unsigned n, unsigned size)
{
	int xmm = size == 16 ? (int)native_use_vector(t, n) : size >= 4 ? native_find_vector(t, n) : -1;

	if (xmm >= 0) {
		emit_sse_rm(t->e, size == 16 ? SSE_MOVDQU_STORE : size == 8 ? SSE_MOVQ_STORE : SSE_MOVD_STORE, (unsigned)xmm, to);
		return;
	}
	emit_movzx_rm(t->e, size, H_RAX, vector_at(n));
	emit_mov_mr(t->e, size, to, H_RAX);
}

static enum native
vector(struct tr *t, struct access *a)
{
	const struct a64_insn *i = t->i;
	unsigned first, second;
	struct late *slow;
	struct emit_mem m = place(t, a, &slow);

	if (a->write) {
		store_vector(t, m, i->rd, a->size);
		if (a->two)
			store_vector(t, behind(m, a->size), i->ra, a->size);
		return (finish(t, a, slow));
	}
	first = native_new_vector(t);
	load_vector(t, first, m, a->size);
	if (a->two) {
		second = native_new_vector(t);
		load_vector(t, second, behind(m, a->size), a->size);
		native_put_narrow(t, i->rd, first, a->size);
		native_put_narrow(t, i->ra, second, a->size);
	} else {
		native_put_narrow(t, i->rd, first, a->size);
	}
	return (finish(t, a, slow));
}

/* What an instruction accesses */

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

static bool
simd(const struct tr *t, const struct a64_insn *i, struct access *a)
{
	uint32_t w = i->word;

	a->vector = true;
	a->write = a64_bits(w, 22, 22) == 0;
	if ((w & 0x3b000000) == 0x18000000) {
		a->how = ADDR_LITERAL;
		a->size = 4U << (w >> 30);
		a->write = false;
	} else if ((w & 0x3a000000) == 0x28000000) {
		a->how = pair_kinds[a64_bits(w, 24, 23)];
		a->size = i->arg;
		a->two = true;
	} else if ((w & 0x3a000000) == 0x38000000) {
		a->how = kind_of(t, w);
		a->size = 1U << (a64_bits(w, 23, 23) << 2 | w >> 30);
	} else {
		return (false);
	}
	return (true);
}

static bool
general(const struct tr *t, const struct a64_insn *i, struct access *a)
{
	uint32_t w = i->word;
	unsigned opc = a64_bits(w, 23, 22);

	if ((w & 0x3b000000) == 0x18000000) {
		a->how = ADDR_LITERAL;
		a->size = w >> 30 == 1 ? 8 : w >> 30 == 3 ? 0 : 4;
		a->ext = w >> 30 == 2;
	} else if ((w & 0x3a000000) == 0x28000000) {
		a->how = pair_kinds[a64_bits(w, 24, 23)];
		a->size = w >> 31 != 0 ? 8 : 4;
		a->ext = w >> 30 == 1;
		a->two = true;
		a->write = a64_bits(w, 22, 22) == 0;
	} else if ((w & 0x3a000000) == 0x38000000 &&
	    (a64_bits(w, 24, 24) != 0 || a64_bits(w, 21, 21) == 0 || a64_bits(w, 11, 10) == 2)) {
		/* Atomics have bit 21 set and 11:10 clear. */
		a->how = kind_of(t, w);
		a->size = w >> 30 == 3 && opc == 2 ? 0 : 1U << (w >> 30);	/* PRFM: 0 */
		a->ext = opc == 0 ? 0 : opc - 1;
		a->write = opc == 0;
	} else {
		return (false);
	}
	return (true);
}

bool
native_access(const struct tr *t, const struct a64_insn *i, struct access *a)
{
	bool ok;

	*a = (struct access){ .how = ADDR_IMM };
	ok = a64_bits(i->word, 26, 26) != 0 ? simd(t, i, a) : general(t, i, a);
	a->total = a->two ? 2 * a->size : a->size;
	return (ok);
}

enum native
native_ldst(struct tr *t)
{
	struct access a;

	if (!native_access(t, t->i, &a))
		return (NATIVE_NOT);
	if (a.total == 0)
		return (NATIVE_KEPT);
	return (a.vector ? vector(t, &a) : a.write ? store(t, &a) : load(t, &a));
}
