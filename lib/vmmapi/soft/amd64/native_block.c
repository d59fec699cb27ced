/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_block.c - native code: a block, instruction by instruction, and behind it what is rarely executed.
 */
#include "native.h"

/* A call of the first tier's function: the instruction's offset from its block in r14. */
static void
call_out(struct nat *n, unsigned at)
{
	uintptr_t off = (uintptr_t)&n->insn[at] - (uintptr_t)n->b;

	emit_mov_ri(n->e, HT, off);
	emit8(n->e, 0xe8);
	emit_rel32(n->e, &n->thunk, 0);
}

/* Behind a call: flags are in x86_native, XMM registers in the state page. */
void
nat_call(struct nat *n, const struct x86_insn *i)
{
	if (n->live[n->at] != 0)
		nat_flags_save(n);
	nat_point(n, n->point);
	call_out(n, n->at);
	n->ef = false;
	n->slot = true;
	n->lazy.op = LAZY_NONE;
	n->xmm = 0;
	n->x87 = false;
	n->point = 0;
	memset(n->window, 0, sizeof(n->window));
	n->called = true;
}

void
nat_xmm(struct nat *n, unsigned need)
{
	struct nat_cold *c;

	if (n->xmm >= need)
		return;
	nat_flags_settle(n);
	c = nat_cold(n, COLD_XMM);
	c->need = (uint8_t)need;
	c->save = !n->slot;
	c->lazy = n->lazy;
	emit_alu_mi(n->e, 1, ALU_CMP, NAT_FIELD(native.xmm), (int32_t)need);
	emit_jcc(n->e, CC_B, &c->from);
	emit_bind(n->e, &c->back);
	n->xmm = (uint8_t)need;
}

/* Leave before instruction `at', which was not executed. */
static void
leave(struct nat *n, unsigned at, const void *stub)
{
	emit_alu_mi(n->e, 4, ALU_SUB, NAT_FIELD(native.left), (int32_t)at);
	emit_mov_ri(n->e, HA, n->off + n->insn[at].off);
	emit_jmp_to(n->e, stub);
}

static void
save_lazy(struct nat *n, const struct nat_cold *c)
{
	n->ef = false;
	n->slot = !c->save;
	n->lazy = c->lazy;
	nat_flags_save(n);
}

static void
cold_call(struct nat *n, struct nat_cold *c)
{
	uint8_t *over;

	save_lazy(n, c);
	nat_point(n, c->point);
	call_out(n, c->at);
	if (c->x87) {
		emit_call_to(n->e, n->x->stubs->x87);
		emit_alu_mi(n->e, 1, ALU_CMP, NAT_FIELD(native.x87), 0);
		over = emit_jcc_over(n->e, CC_NE);
		leave(n, c->at + 1U, n->x->stubs->tier1);
		emit_here(n->e, over);
	}
	if (c->xmm != 0) {
		emit_call_to(n->e, n->x->stubs->xmm);
		emit_alu_mi(n->e, 1, ALU_CMP, NAT_FIELD(native.xmm), c->xmm);
		over = emit_jcc_over(n->e, CC_AE);
		leave(n, c->at + 1U, n->x->stubs->tier1);
		emit_here(n->e, over);
	}
	nat_windows_clear(n, c->windows);
	if (c->restore) {
		n->ef = false;
		n->slot = true;
		n->lazy.op = LAZY_NONE;
		nat_flags_load(n);
	}
	emit_jmp(n->e, &c->back);
}

/*
 * The registers are loaded, or the first tier says what is wrong with them.  What is to follow is for it too if the guest's MXCSR is another.
 */
static void
cold_xmm(struct nat *n, struct nat_cold *c)
{
	emit_call_to(n->e, n->x->stubs->xmm);
	emit_alu_mi(n->e, 1, ALU_CMP, NAT_FIELD(native.xmm), c->need);
	emit_jcc(n->e, CC_AE, &c->back);
	save_lazy(n, c);
	nat_point(n, c->point);
	leave(n, c->at, n->x->stubs->tier1);
}

static void
cold_x87(struct nat *n, struct nat_cold *c)
{
	emit_call_to(n->e, n->x->stubs->x87);
	emit_alu_mi(n->e, 1, ALU_CMP, NAT_FIELD(native.x87), 0);
	emit_jcc(n->e, CC_NE, &c->back);
	save_lazy(n, c);
	leave(n, c->at, n->x->stubs->tier1);
}

/* A conditional branch that is taken. */
static void
cold_edge(struct nat *n, struct nat_cold *c)
{
	struct nat_cold *miss;

	n->ef = true;
	n->slot = !c->save;
	n->lazy.op = LAZY_NONE;
	nat_flags_save(n);
	nat_point(n, c->point);
	n->at = c->at;
	if (c->target >= 0 && c->target < 4096) {
		nat_edge(n, c->at + 1U, c->target, NULL);
		return;
	}
	miss = nat_cold(n, COLD_CALL);
	miss->back = c->back;
	miss->xmm = c->xmm;
	miss->windows = c->windows;
	miss->x87 = c->x87;
	nat_edge(n, c->at + 1U, c->target, &miss->from);
}

/* More may come while these are emitted. */
static void
cold(struct nat *n)
{
	static void (*const fns[])(struct nat *, struct nat_cold *) = {
		[COLD_CALL] = cold_call, [COLD_EDGE] = cold_edge, [COLD_XMM] = cold_xmm, [COLD_X87] = cold_x87, [COLD_WINDOW] = nat_cold_window,
		[COLD_AGAIN] = nat_cold_again, [COLD_OTHER] = nat_cold_other, [COLD_STACK] = nat_cold_stack,
	};

	n->point = 0;
	for (unsigned k = 0; k < n->ncold && !n->e->full; k++) {
		struct nat_cold *c = &n->cold[k];

		emit_bind(n->e, &c->from);
		fns[c->what](n, c);
	}
	emit_bind(n->e, &n->thunk);
	emit_mov_ri(n->e, HA, (uintptr_t)n->b);
	emit_jmp_to(n->e, n->x->stubs->call);
}

/* Behind the present instruction: where its cold code goes on, and what that has to bring along. */
static void
back(struct nat *n, unsigned first)
{
	for (unsigned k = first; k < n->ncold; k++) {
		struct nat_cold *c = &n->cold[k];

		if (c->what != COLD_CALL && c->what != COLD_EDGE)
			continue;
		c->windows = nat_windows(n);
		c->restore = n->ef;
		emit_bind(n->e, &c->back);
	}
}

static void
instruction(struct nat *n, const struct x86_insn *i)
{
	const struct nat_row *row = n->x->stubs->row[i->mnemonic];
	unsigned first = n->ncold;

	n->called = false;
	n->changed = 0;
	if (n->live[n->at] == 0) {
		n->ef = n->slot = false;
		n->lazy.op = LAZY_NONE;
	}
	if (row == NULL || ((i->flags & XI_OTHER) != 0 && (row->kind & NK_X87) == 0) || !row->emit(n, i, row))
		nat_call(n, i);
	back(n, first);
}

/* Behind the last instruction.  One that was called may have changed what code there is at an address. */
static void
end(struct nat *n)
{
	const struct x86_insn *i = &n->insn[n->b->n];
	int64_t off = (int64_t)n->off + i->off;

	nat_flags_save(n);
	nat_point(n, n->point);
	if (!n->called && off < 4096) {
		nat_edge(n, n->b->n, off, NULL);
		return;
	}
	/* Not the edge within the page: what is there now? */
	nat_lookup(n, n->b->n, off, &n->unknown);
	emit_bind(n->e, &n->unknown);
	leave(n, n->b->n, n->x->stubs->go);
}

bool
x86_translate(struct soft_cpu *cpu, struct jit *jit, struct jit_block *jb, struct emit *e)
{
	struct x86 *x = x86_of(cpu);
	struct soft_block *b = jb->block;
	struct emit_label out = { NULL, NULL };
	struct nat n = { .x = x, .jit = jit, .e = e, .b = b, .insn = SOFT_BLOCK_CODE(b), .off = (unsigned)(b->place & 0xfff), .slot = true };

	if ((b->mode & X86_MODE_SIZE) != X86_MODE_64 || b->n == 0 || b->n > NAT_MAX)
		return (false);
	for (unsigned k = 0; k < b->n; k++)
		n.effect[k] = nat_effect(&n.insn[k], x->stubs->row[n.insn[k].mnemonic], &x->stubs->keeps);
	nat_liveness(n.effect, b->n, n.live);
	/* A block is entered with all flags saved, whatever becomes of them. */
	emit_bind(e, &n.head);
	emit_alu_mi(e, 4, ALU_CMP, NAT_FIELD(native.left), b->n);
	emit_jcc(e, CC_L, &out);
	for (n.at = 0; n.at < b->n && !n.failed && !e->full; n.at++)
		instruction(&n, &n.insn[n.at]);
	if (n.failed || e->full)
		return (false);
	if (!n.ended)
		end(&n);
	cold(&n);
	emit_bind(e, &out);
	emit_mov_ri(e, HA, n.off);
	emit_jmp_to(e, x->stubs->go);
	return (!n.failed);
}
