/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_window.c - native code: one look-up for several operands.
 *
 * What a block reads and writes at several displacements from one register, a stack frame or a structure, mostly is in one page.  The first of these
 * looks up the whole range, from its first byte to its last, and keeps what is to be added to an address in x86_native.window; the others only see
 * whether there is something.  Where the range is not in one page, or not in the TLB, there is nothing, and each looks for itself, behind the block.
 *
 * That holds until the register changes, but for constants that are added, and until a function is called, which may change the TLB.  What is said ahead
 * here about instructions decides about the range only; nothing becomes wrong by it.
 */
#include "decode.h"
#include "native.h"

#define	RANGE	1024			/* bytes at most: a larger one is too often in two pages */
#define	FAR	0x100000

static struct emit_mem
kept(unsigned g)
{
	return (NAT_FIELD(native.window[g]));
}

void
nat_window_forget(struct nat *n, unsigned g)
{
	n->window[g].on = false;
	n->moved[g] = 0;
	n->changed |= (uint16_t)(1U << g);
}

void
nat_window_moved(struct nat *n, unsigned g, int64_t by)
{
	n->moved[g] += by;
	if (n->moved[g] > FAR || n->moved[g] < -FAR)
		nat_window_forget(n, g);
}

uint16_t
nat_windows(const struct nat *n)
{
	uint16_t on = 0;

	for (unsigned g = 0; g < 16; g++)
		on |= (uint16_t)(n->window[g].on << g);
	return (on);
}

void
nat_windows_clear(struct nat *n, uint16_t which)
{
	for (unsigned g = 0; g < 16; g++) {
		if ((which >> g & 1) != 0)
			emit_mov_mi(n->e, 8, kept(g), 0);
	}
}

/* Ahead */

/* Of instructions whose first operand is in memory: those that only read it. */
static bool
reads_only(const struct x86_insn *i, const struct nat_row *row)
{
	static const uint16_t mnemonics[] = {
		ZYDIS_MNEMONIC_CMP, ZYDIS_MNEMONIC_TEST, ZYDIS_MNEMONIC_BT, ZYDIS_MNEMONIC_PUSH, ZYDIS_MNEMONIC_JMP, ZYDIS_MNEMONIC_CALL,
		ZYDIS_MNEMONIC_MUL, ZYDIS_MNEMONIC_IMUL, ZYDIS_MNEMONIC_DIV, ZYDIS_MNEMONIC_LDMXCSR,
	};

	if ((row->kind & NK_X87) != 0)
		return ((row->op & NAT_X87_STORES) == 0);
	for (unsigned k = 0; k < nitems(mnemonics); k++) {
		if (i->mnemonic == mnemonics[k])
			return (true);
	}
	return (false);
}

struct range {
	int64_t		 lo, hi;	/* from the register as it was at first */
	int64_t		 moved;
	unsigned	 count;
	bool		 write;
};

static void
extend(struct range *r, int64_t off, unsigned size, bool write)
{
	int64_t lo = r->lo < r->moved + off ? r->lo : r->moved + off, hi = r->hi > r->moved + off + size ? r->hi : r->moved + off + size;

	if (hi - lo > RANGE)
		return;
	r->lo = lo;
	r->hi = hi;
	r->write |= write;
	r->count++;
}

static void
access(struct range *r, const struct x86_insn *i, const struct nat_row *row, unsigned g)
{
	if ((i->flags & (XI_MEM | XI_FLAT)) == (XI_MEM | XI_FLAT) && (row->kind & NK_NOMEM) == 0 && i->base == g && i->index == X86_NOREG)
		extend(r, i->disp, i->msize, i->r[0] == X86_NOREG && (i->flags & XI_XMM0) == 0 && !reads_only(i, row));
	if (g != RSP)
		return;
	if (i->mnemonic == ZYDIS_MNEMONIC_PUSH || i->mnemonic == ZYDIS_MNEMONIC_PUSHFQ || i->mnemonic == ZYDIS_MNEMONIC_CALL)
		extend(r, -8, 8, true);
	else if (i->mnemonic == ZYDIS_MNEMONIC_POP || i->mnemonic == ZYDIS_MNEMONIC_RET)
		extend(r, 0, 8, false);
}

/* What it does with register g; false: something else than adding a constant. */
static bool
move(struct range *r, const struct x86_insn *i, unsigned g)
{
	bool to = i->r[0] == 8 * g && (i->flags & XI_XMM0) == 0;

	switch (i->mnemonic) {
	case ZYDIS_MNEMONIC_PUSH:
	case ZYDIS_MNEMONIC_PUSHFQ:
	case ZYDIS_MNEMONIC_CALL:
		r->moved -= g == RSP ? 8 : 0;
		return (true);
	case ZYDIS_MNEMONIC_POP:
		r->moved += g == RSP ? 8 : 0;
		return (!to);
	case ZYDIS_MNEMONIC_LEAVE:
		return (g != RSP && g != RBP);
	case ZYDIS_MNEMONIC_CMP:
	case ZYDIS_MNEMONIC_TEST:
		return (true);
	case ZYDIS_MNEMONIC_ADD:
	case ZYDIS_MNEMONIC_SUB:
		if (to && (i->flags & XI_IMM) != 0 && i->opsize == 8) {
			r->moved += i->mnemonic == ZYDIS_MNEMONIC_ADD ? (int64_t)i->imm : -(int64_t)i->imm;
			return (r->moved < FAR && r->moved > -FAR);
		}
		break;
	default:
		break;
	}
	return (!to);
}

/* The range of this operand and of those that follow. */
static bool
look_ahead(struct nat *n, unsigned g, int32_t disp, unsigned size, bool write)
{
	struct range r = { .moved = n->moved[g], .write = write };
	bool go = true;

	r.lo = r.moved + disp;
	r.hi = r.lo + size;
	for (unsigned k = n->at; k < n->b->n && go; k++) {
		const struct x86_insn *i = &n->insn[k];
		const struct nat_row *row = n->x->stubs->row[i->mnemonic];

		if (row == NULL)
			break;
		if (k != n->at)
			access(&r, i, row, g);
		go = move(&r, i, g);
	}
	if (r.count == 0 || r.hi - r.lo > RANGE)
		return (false);
	n->window[g] = (struct nat_window){ .on = true, .write = r.write, .lo = r.lo, .hi = r.hi };
	return (true);
}

/* Code */

/* Addresses of the first and the last byte, relative to g. */
static void
ends(struct nat *n, unsigned g, int64_t lo, int64_t hi)
{
	emit_lea(n->e, 8, HT, emit_at(nat_pin[g], (int32_t)lo));
	emit_lea(n->e, 8, HA, emit_at(nat_pin[g], (int32_t)(hi - 1)));
}

bool
nat_window(struct nat *n, unsigned g, int32_t disp, unsigned size, bool write)
{
	int64_t at = disp + n->moved[g];
	struct nat_window *w = &n->window[g];
	struct nat_cold *call, *c;
	struct emit *e = n->e;
	bool open;

	if (disp > FAR || disp < -FAR)
		return (false);
	open = !w->on || at < w->lo || at + size > w->hi || (write && !w->write);
	/* One that this instruction changes is not what it was any more when the next one looks. */
	if (open && ((n->changed >> g & 1) != 0 || !look_ahead(n, g, disp, size, write)))
		return (false);
	call = nat_cold(n, COLD_CALL);
	call->save = !n->slot;
	call->lazy = n->lazy;
	call->xmm = n->xmm;
	c = nat_cold(n, COLD_WINDOW);
	c->call = call;
	c->open = open;
	c->write = write;
	c->base = (uint8_t)g;
	c->size = (uint8_t)size;
	c->target = disp;
	if (open) {
		if (g == RSP) {
			nat_look_up_stack(n, (int32_t)(w->lo - n->moved[g]), (unsigned)(w->hi - w->lo), w->write, false, &c->from);
		} else {
			ends(n, g, w->lo - n->moved[g], w->hi - n->moved[g]);
			nat_look_up(n, w->write, &c->from);
		}
		emit_mov_mr(e, 8, kept(g), HT);
	} else {
		emit_mov_rm(e, 8, HT, kept(g));
		emit_test_rr(e, 8, HT, HT);
		emit_jcc(e, CC_E, &c->from);
	}
	emit_bind(e, &c->back);
	return (true);
}

void
nat_cold_window(struct nat *n, struct nat_cold *c)
{
	if (c->open)
		emit_mov_mi(n->e, 8, kept(c->base), 0);
	ends(n, c->base, c->target, c->target + c->size);
	nat_look_up(n, c->write, &c->call->from);
	emit_jmp(n->e, &c->back);
}
