/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_flow.c - native code: near branches, and what leads from block to block.
 *
 * Within the page a jump leads to the other translation itself (struct jit_link): as long as this page's code runs, its address means the
 * same place.  Everything else is looked up in the table of jumps, which has what may be entered at an address now (jump.h).  What is
 * not there is a call of the instruction, which has changed nothing so far; so the stack pointer is written last.
 */
#include "decode.h"
#include "native.h"

static void
executed(struct nat *n, unsigned k)
{
	emit_alu_mi(n->e, 4, ALU_SUB, NAT_FIELD(native.left), (int32_t)k);
}

void
nat_place(struct emit *e)
{
	emit_mov_rr(e, 4, HT, HA);
	emit_shift_ri(e, 4, SH_SHR, HT, SOFT_JUMP_BITS);
	emit_alu_rr(e, 4, ALU_XOR, HT, HA);
	emit_alu_ri(e, 4, ALU_AND, HT, SOFT_JUMPS - 1);
	emit_shift_ri(e, 4, SH_SHL, HT, 5);
	emit_alu_rm(e, 8, ALU_ADD, HT, NAT_FIELD(jumps));
}

void
nat_enter(struct emit *e)
{
	emit_mov_rm(e, 8, HA, emit_at(HT, offsetof(struct soft_jump, va)));
	emit_alu_ri(e, 8, ALU_AND, HA, -4096);
	emit_mov_mr(e, 8, NAT_FIELD(native.page), HA);
	emit_jmp_m(e, emit_at(HT, offsetof(struct soft_jump, native)));
}

/*
 * The block at address rax: r14 is its entry in the table of jumps; rax is lost.  First it is looked for where and by what key it is most of the
 * time, then in both places and by both keys.  miss: a label of struct nat.
 */
static void
find(struct nat *n, struct emit_label *miss)
{
	struct nat_cold *c = nat_cold(n, COLD_OTHER);
	struct emit *e = n->e;

	c->miss = miss;
	nat_place(e);
	emit_alu_rm(e, 8, ALU_CMP, HA, emit_at(HT, offsetof(struct soft_jump, va)));
	emit_jcc(e, CC_NE, &c->from);
	emit_mov_rm(e, 8, HA, nat_kernel(n) ? NAT_FIELD(global_key) : NAT_FIELD(key));
	emit_alu_rm(e, 8, ALU_CMP, HA, emit_at(HT, offsetof(struct soft_jump, key)));
	emit_jcc(e, CC_NE, &c->key);
	emit_bind(e, &c->back);
}

void
nat_cold_other(struct nat *n, struct nat_cold *c)
{
	struct emit *e = n->e;

	emit_call_to(n->e, n->x->stubs->other);
	emit_jcc(e, CC_E, &c->back);
	emit_jmp(e, c->miss);
	emit_bind(e, &c->key);
	emit_mov_rm(e, 8, HA, emit_at(HT, offsetof(struct soft_jump, va)));
	emit_jmp(e, &c->from);
}

/* Behind k instructions. */
static void
enter(struct nat *n, unsigned k)
{
	executed(n, k);
	nat_enter(n->e);
}

/* The address of an offset of the page into rax. */
static void
address(struct nat *n, int64_t off)
{
	emit_mov_rm(n->e, 8, HA, NAT_FIELD(native.page));
	if (off != 0)
		emit_lea(n->e, 8, HA, emit_at(HA, (int32_t)off));
}

static bool
in_page(int64_t off)
{
	return (off >= 0 && off < 4096);
}

/* To a place in the page. */
static void
chain(struct nat *n, unsigned k, int32_t off)
{
	struct emit *e = n->e;
	struct jit_link *l;

	executed(n, k);
	if ((unsigned)off == n->off && n->b->place2 == SOFT_NOPLACE) {
		emit_jmp(e, &n->head);
		return;
	}
	emit8(e, 0xe9);
	emit32(e, 0);
	l = jit_link(n->jit, e);
	if (l == NULL) {
		n->failed = true;
		return;
	}
	l->out = e->at;
	l->arg = (uint64_t)off;
	emit_mov_ri(e, HA, (uintptr_t)l);
	emit_jmp_to(e, n->x->stubs->leave);
	l->detour = e->at;
	emit_mov_ri(e, HA, (uint64_t)off);
	emit_jmp_to(e, n->x->stubs->jump);
}

void
nat_lookup(struct nat *n, unsigned k, int64_t target, struct emit_label *miss)
{
	address(n, target);
	find(n, miss);
	enter(n, k);
}

void
nat_edge(struct nat *n, unsigned k, int64_t target, struct emit_label *miss)
{
	if (in_page(target)) {
		chain(n, k, (int32_t)target);
		return;
	}
	nat_lookup(n, k, target, miss);
}

/* Miss: the instruction is called. */
static struct emit_label *
missing(struct nat *n)
{
	struct nat_cold *c = nat_cold(n, COLD_CALL);

	c->xmm = n->xmm;
	return (&c->from);
}

/* Offset of where a relative branch goes; false: too far for a displacement. */
static bool
relative(const struct nat *n, const struct x86_insn *i, int64_t *target)
{
	*target = (int64_t)n->off + i->off + i->len + (int64_t)i->imm;
	return (*target >= INT32_MIN && *target <= INT32_MAX);
}

static bool
jcc(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	struct nat_cold *c;
	int64_t target;

	if (!relative(n, i, &target))
		return (false);
	nat_flags_load(n);
	c = nat_cold(n, COLD_EDGE);
	c->save = !n->slot;
	c->xmm = n->xmm;
	c->target = (int32_t)target;
	emit_jcc(n->e, (enum emit_cc)i->arg, &c->from);
	return (true);
}

/* Where a branch with a register or memory goes, into rax. */
static void
indirect(struct nat *n, const struct x86_insn *i)
{
	struct emit_mem m;

	if ((i->flags & XI_MEM) != 0) {
		m = nat_mem(n, i, 8, false, false);
		emit_mov_rm(n->e, 8, HA, m);
	} else {
		nat_get_into(n, HA, i->r[0], 8);
	}
}

/* What the next block wants to have in memory. */
static void
done(struct nat *n)
{
	nat_flags_save(n);
	nat_point(n, n->point);
	n->point = 0;
}

static bool
direct(const struct x86_insn *i)
{
	return ((i->flags & (XI_MEM | XI_IMM)) == XI_IMM);
}

static bool
jmp(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	int64_t target;

	if (direct(i)) {
		if (!relative(n, i, &target))
			return (false);
		done(n);
		nat_edge(n, n->at + 1, target, in_page(target) ? NULL : missing(n));
	} else {
		if ((i->flags & XI_MEM) != 0 && !nat_mem_ok(n, i, 8))
			return (false);
		done(n);
		indirect(n, i);
		find(n, missing(n));
		enter(n, n->at + 1);
	}
	n->ended = true;
	return (true);
}

/* The return address goes onto the stack. */
static void
push_next(struct nat *n, const struct x86_insn *i)
{
	struct emit_mem m = nat_stack(n, -8, 8, true);

	address(n, (int64_t)n->off + i->off + i->len);
	emit_mov_mr(n->e, 8, m, HA);
}

static bool
call(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned sp = nat_pin[RSP];
	struct emit *e = n->e;
	int64_t target = -1;

	if (direct(i) ? !relative(n, i, &target) : (i->flags & XI_MEM) != 0 && !nat_mem_ok(n, i, 8))
		return (false);
	done(n);
	if (direct(i) && in_page(target)) {
		push_next(n, i);
		emit_lea(e, 8, sp, emit_at(sp, -8));
		chain(n, n->at + 1, (int32_t)target);
	} else {
		if (direct(i))
			address(n, target);
		else
			indirect(n, i);
		find(n, missing(n));
		emit_mov_mr(e, 8, NAT_FIELD(native.tmp2), HT);
		push_next(n, i);
		emit_lea(e, 8, sp, emit_at(sp, -8));
		emit_mov_rm(e, 8, HT, NAT_FIELD(native.tmp2));
		enter(n, n->at + 1);
	}
	n->ended = true;
	return (true);
}

/* x86_insn.imm: what else is on the stack. */
static bool
ret(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned sp = nat_pin[RSP];
	struct emit_mem m;

	done(n);
	m = nat_stack(n, 0, 8, false);
	emit_mov_rm(n->e, 8, HA, m);
	find(n, missing(n));
	emit_lea(n->e, 8, sp, emit_at(sp, 8 + (int32_t)(i->imm & 0xffff)));
	enter(n, n->at + 1);
	n->ended = true;
	return (true);
}

#define	M(n)	ZYDIS_MNEMONIC_##n
#define	JCC(n)	{ M(J##n), FL_ARITH, 0, NK_EXPOSED, 0, 0, jcc }

const struct nat_row nat_rows_flow[] = {
	{ M(JMP), 0, 0, NK_EXPOSED, 0, 0, jmp },
	{ M(CALL), 0, 0, NK_EXPOSED, 0, 0, call },
	{ M(RET), 0, 0, NK_EXPOSED, 0, 0, ret },
	JCC(O), JCC(NO), JCC(B), JCC(NB), JCC(Z), JCC(NZ), JCC(BE), JCC(NBE), JCC(S), JCC(NS), JCC(P), JCC(NP), JCC(L), JCC(NL),
	JCC(LE), JCC(NLE),
	{ 0 },
};
