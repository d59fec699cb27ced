/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_loop.c - a block that jumps back to its own beginning, in native code: registers stay in host registers from one round to the next.
 *
 * Such a block is translated twice.  The first time finds out what a round loads from the state page; the second time all of that has its place
 * in a host register (its home) when a round begins: loaded ahead of the first one, and brought there by the jump back.  Memory has
 * what registers hold here too.  The jump back takes what the round executed off the count, and comes out as a block's beginning does.
 */
#include "native.h"

/* Homes: other than what groups take, and some are left. */
static const uint8_t general[NATIVE_WANTS] = { H_RSI, H_RDI, H_R8, H_R9, H_R10, H_R11 };
static const uint8_t vectors[NATIVE_WANTS] = { 15, 14, 13, 12, 11, 10 };

bool
native_is_back(const struct tr *t, unsigned k)
{
	const struct a64_insn *i = &t->code[k];
	uint32_t w = i->word;

	if (native_by_function(i))
		return (false);
	return (((w & 0xfc000000) == 0x14000000 || (w & 0xff000010) == 0x54000000 || (w & 0x7c000000) == 0x34000000) &&
	    (int64_t)(4 * k) + (int64_t)i->imm == 0);
}

void
native_find_loop(struct tr *t)
{
	for (unsigned k = 0; k < t->n; k++) {
		if (native_is_back(t, k))
			t->loop.length = k + 1;
	}
	t->loop.scout = t->loop.length != 0;
}

void
native_want(struct tr *t, bool vector, unsigned what)
{
	struct loop *l = &t->loop;

	if (!l->scout || t->k >= l->length)
		return;
	for (unsigned n = 0; n < l->nwanted[vector]; n++) {
		if (l->wanted[vector][n] == what)
			return;
	}
	if (l->nwanted[vector] < NATIVE_WANTS)
		l->wanted[vector][l->nwanted[vector]++] = (uint8_t)what;
}

void
native_loop_begin(struct tr *t)
{
	struct loop *l = &t->loop;

	if (l->length == 0)
		return;
	for (unsigned n = 0; !l->scout && n < l->nwanted[0]; n++) {
		t->holds[general[n]] = l->wanted[0][n];
		native_fetch(t, general[n]);
	}
	for (unsigned n = 0; !l->scout && n < l->nwanted[1]; n++) {
		t->holds[HOLDS_VECTOR + vectors[n]] = l->wanted[1][n];
		native_fetch(t, HOLDS_VECTOR + vectors[n]);
	}
	memset(t->width, 16, sizeof(t->width));
	memcpy(l->home, t->holds, sizeof(l->home));
	l->head = (struct emit_label){ 0 };
	emit_bind(t->e, &l->head);
}

/* To registers [from, to) from where they are; scratch is none of them. */
static void
go_home(struct tr *t, unsigned from, unsigned to, unsigned scratch)
{
	uint8_t source[sizeof(t->holds)];
	uint32_t open = 0, used;
	unsigned n, m;

	for (n = from; n < to; n++) {
		source[n] = NATIVE_GONE;
		if (t->loop.home[n] == NATIVE_GONE || t->holds[n] == t->loop.home[n])
			continue;
		open |= 1U << n;
		for (m = from; m < to; m++) {
			if (t->holds[m] == t->loop.home[n])
				source[n] = (uint8_t)m;
		}
	}
	while (open != 0) {
		for (used = 0, n = from; n < to; n++) {
			if ((open >> n & 1) != 0 && source[n] != NATIVE_GONE)
				used |= 1U << source[n];
		}
		if ((open & ~used) == 0) {
			/* In a circle */
			n = (unsigned)__builtin_ctz(open);
			native_move(t, scratch, n);
			for (m = from; m < to; m++) {
				if ((open >> m & 1) != 0 && source[m] == n)
					source[m] = (uint8_t)scratch;
			}
			continue;
		}
		n = (unsigned)__builtin_ctz(open & ~used);
		open &= ~(1U << n);
		if (source[n] != NATIVE_GONE) {
			native_move(t, n, source[n]);
			continue;
		}
		m = t->holds[n];
		t->holds[n] = t->loop.home[n];
		native_fetch(t, n);
		t->holds[n] = (uint8_t)m;
	}
}

void
native_loop_back(struct tr *t, int cc)
{
	struct emit_label over = { 0 }, out = { 0 };
	struct nzcv flags = t->flags;
	struct emit *e = t->e;

	if (cc >= 0)
		emit_jcc(e, (enum emit_cc)(cc ^ 1), &over);
	if (t->flags_in)
		native_save_flags(t);
	emit_alu_ri(e, 4, ALU_SUB, H_LEFT, (int32_t)(t->k + 1));
	t->flags.host = false;
	emit_jcc(e, CC_L, &out);
	go_home(t, 0, HOLDS_VECTOR, H_RAX);
	go_home(t, HOLDS_VECTOR, nitems(t->holds), HOLDS_VECTOR);
	emit_jmp(e, &t->loop.head);
	t->e = t->cold;
	emit_bind(t->e, &out);
	native_save_flags(t);
	emit_mov_ri(t->e, H_RAX, t->n << 16 | t->off);
	emit_jmp_to(t->e, t->c->stubs->out);
	t->e = e;
	if (cc >= 0)
		emit_bind(e, &over);
	t->flags = flags;
}
