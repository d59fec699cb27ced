/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_block.c - translation of an arm64 block to native code: instruction by instruction, with what they share: registers, flags, jumps, and calls of
 * the first tier's functions.
 */
#include "native.h"

/* Registers */

/* Host registers that hold guest registers. */
static const uint8_t pool[] = { H_RBX, H_RSI, H_RDI, H_R8, H_R9, H_R10, H_R11, H_R12, H_R13 };

void
native_forget(struct tr *t)
{
	memset(t->holds, NATIVE_GONE, sizeof(t->holds));
	memset(t->width, 16, sizeof(t->width));
}

/* How much is lost if it gets something else. */
static unsigned
worth_of(const struct tr *t, unsigned place)
{
	return (t->holds[place] == NATIVE_GONE ? 0 : t->loop.length == 0 || t->holds[place] != t->loop.home[place] ? 1 : 2);
}

unsigned
native_new(struct tr *t)
{
	uint16_t not = t->busy | t->kept | t->pinned;
	unsigned reg;

	/* One that holds nothing; one that is not at home; any. */
	for (unsigned n = 0, worth = 0; ; n++, t->turn++) {
		if (n == nitems(pool)) {
			n = 0;
			worth++;
		}
		reg = pool[t->turn % nitems(pool)];
		if ((not >> reg & 1) == 0 && worth_of(t, reg) <= worth)
			break;
	}
	t->turn++;
	t->busy |= (uint16_t)(1U << reg);
	t->holds[reg] = NATIVE_GONE;
	return (reg);
}

void
native_fetch(struct tr *t, unsigned place)
{
	unsigned what = t->holds[place];

	if (place >= HOLDS_VECTOR)
		emit_sse_rm(t->e, SSE_MOVDQU_LOAD, place - HOLDS_VECTOR, what >= HOLDS_PAIR ? slot_at(what - HOLDS_PAIR) : vector_at(what));
	else if (what == SLOT_ZERO)
		emit_mov_ri(t->e, place, 0);
	else
		emit_mov_rm(t->e, 8, place, slot_at(what));
}

void
native_move(struct tr *t, unsigned to, unsigned from)
{
	if (to >= HOLDS_VECTOR)
		emit_sse_rr(t->e, SSE_MOVAPS_LOAD, to - HOLDS_VECTOR, from - HOLDS_VECTOR);
	else
		emit_mov_rr(t->e, 8, to, from);
}

unsigned
native_use(struct tr *t, unsigned slot)
{
	unsigned reg;

	for (unsigned n = 0; n < nitems(pool); n++) {
		if (t->holds[pool[n]] == slot) {
			t->busy |= (uint16_t)(1U << pool[n]);
			return (pool[n]);
		}
	}
	reg = native_new(t);
	t->holds[reg] = (uint8_t)slot;
	native_fetch(t, reg);
	native_want(t, false, slot);
	return (reg);
}

static void
changed(struct tr *t, unsigned slot)
{
	for (unsigned n = 0; n < nitems(pool); n++) {
		if (t->holds[pool[n]] == slot)
			t->holds[pool[n]] = NATIVE_GONE;
	}
	for (unsigned n = HOLDS_VECTOR; n < nitems(t->holds); n++) {
		if (t->holds[n] == HOLDS_PAIR + slot || t->holds[n] == HOLDS_PAIR + slot - 1)
			t->holds[n] = NATIVE_GONE;
	}
	if (t->konst_of == slot)
		t->konst_of = NATIVE_GONE;
}

void
native_put(struct tr *t, unsigned slot, unsigned reg)
{
	if (slot == SLOT_SINK)
		return;
	changed(t, slot);
	emit_mov_mr(t->e, 8, slot_at(slot), reg);
	t->holds[reg] = (uint8_t)slot;
}

/* Vectors */

#define	FIRST_VECTOR	3U

unsigned
native_new_vector(struct tr *t)
{
	unsigned xmm;

	for (unsigned n = 0, worth = 0; ; n++, t->vturn++) {
		if (n == 16 - FIRST_VECTOR) {
			n = 0;
			worth++;
		}
		xmm = FIRST_VECTOR + t->vturn % (16 - FIRST_VECTOR);
		if ((t->vbusy >> xmm & 1) == 0 && worth_of(t, HOLDS_VECTOR + xmm) <= worth)
			break;
	}
	t->vturn++;
	t->vbusy |= (uint16_t)(1U << xmm);
	t->holds[HOLDS_VECTOR + xmm] = NATIVE_GONE;
	return (xmm);
}

static int
find_vector(struct tr *t, unsigned n)
{
	for (unsigned xmm = FIRST_VECTOR; xmm < 16; xmm++) {
		if (t->holds[HOLDS_VECTOR + xmm] == n) {
			t->vbusy |= (uint16_t)(1U << xmm);
			return ((int)xmm);
		}
	}
	return (-1);
}

int
native_find_vector(struct tr *t, unsigned n)
{
	int found = find_vector(t, n);

	if (found < 0)
		native_want(t, true, n);
	return (found);
}

unsigned
native_use_vector(struct tr *t, unsigned n)
{
	int found = native_find_vector(t, n);
	unsigned xmm;

	if (found >= 0)
		return ((unsigned)found);
	xmm = native_new_vector(t);
	t->holds[HOLDS_VECTOR + xmm] = (uint8_t)n;
	native_fetch(t, HOLDS_VECTOR + xmm);
	return (xmm);
}

int
native_find_pair(struct tr *t, unsigned n)
{
	return (find_vector(t, HOLDS_PAIR + n));
}

unsigned
native_use_pair(struct tr *t, unsigned n)
{
	return (native_use_vector(t, HOLDS_PAIR + n));
}

void
native_put_pair(struct tr *t, unsigned n, unsigned xmm)
{
	changed(t, n);
	changed(t, n + 1);
	emit_sse_rm(t->e, SSE_MOVDQU_STORE, xmm, slot_at(n));
	t->holds[HOLDS_VECTOR + xmm] = (uint8_t)(HOLDS_PAIR + n);
}

void
native_lose_vector(struct tr *t, unsigned n)
{
	for (unsigned xmm = FIRST_VECTOR; xmm < 16; xmm++) {
		if (t->holds[HOLDS_VECTOR + xmm] == n)
			t->holds[HOLDS_VECTOR + xmm] = NATIVE_GONE;
	}
	t->width[n] = 16;
}

void
native_put_vector(struct tr *t, unsigned n, unsigned xmm)
{
	unsigned from = xmm;

	native_lose_vector(t, n);
	emit_sse_rm(t->e, SSE_MOVDQU_STORE, xmm, vector_at(n));
	if (xmm < FIRST_VECTOR) {
		xmm = native_new_vector(t);
		emit_sse_rr(t->e, SSE_MOVAPS_LOAD, xmm, from);
	}
	t->holds[HOLDS_VECTOR + xmm] = (uint8_t)n;
}

void
native_put_narrow(struct tr *t, unsigned n, unsigned xmm, unsigned width)
{
	native_put_vector(t, n, xmm);
	t->width[n] = (uint8_t)width;
}

/* Behind a function that was called late: what code expects in registers. */
static void
fetch_again(struct tr *t, const struct late *l)
{
	for (unsigned n = 0; n < nitems(l->holds); n++) {
		if (l->holds[n] == NATIVE_GONE || (l->kind == LATE_GROUP && l->holds[n] == t->holds[n]))
			continue;
		t->holds[n] = l->holds[n];
		native_fetch(t, n);
	}
}

/* Elsewhere */

static void
give_back(struct tr *t, unsigned k)
{
	if (k + 1 < t->n)
		emit_lea(t->e, 4, H_LEFT, emit_at(H_LEFT, (int32_t)(t->n - 1 - k)));
}

/* What a jump leads to while it is not joined: out at an offset from the page's start. */
static void
emit_out(struct tr *t, struct emit_label *out, struct jit_link *l, uint32_t off)
{
	struct emit *e = t->cold;

	emit_bind(e, out);
	l->out = e->at;
	emit_mov_ri(e, H_RAX, (uintptr_t)l);
	emit_mov_ri(e, H_RCX, off);
	emit_jmp_to(e, t->c->stubs->link);
}

/* To the page at a distance from this one: if that is what it is known to be. */
static void
goto_page(struct tr *t, int64_t delta, uint32_t off)
{
	struct emit *e = t->e;
	struct emit_label miss = { 0 }, out = { 0 }, page = { 0 }, key = { 0 };
	struct jit_link *l;

	emit_mov_rm(e, 8, H_RAX, CORE(pc0));
	emit_alu_rm(e, 8, ALU_CMP, H_RAX, emit_rip(&page));
	emit_jcc(e, CC_NE, &miss);
	emit_mov_rm(e, 8, H_RCX, core_at(offsetof(struct a64, key) + 8 * t->half));
	emit_alu_rm(e, 8, ALU_CMP, H_RCX, emit_rip(&key));
	emit_jcc(e, CC_NE, &miss);
	emit_alu_ri(e, 8, ALU_ADD, H_RAX, (int32_t)delta);
	emit_mov_mr(e, 8, CORE(pc0), H_RAX);
	emit_jmp(e, &out);
	l = jit_link(t->jit, e);
	if (l == NULL) {
		e->full = true;
		return;
	}
	e = t->cold;
	emit_bind(e, &miss);
	emit_alu_ri(e, 8, ALU_ADD, H_RAX, (int32_t)delta);
	emit_alu_ri(e, 8, ALU_ADD, H_RAX, (int32_t)off);
	emit_mov_mr(e, 8, PAGE(pc), H_RAX);
	emit_mov_ri(e, H_RAX, (uintptr_t)l);
	emit_jmp_to(e, t->c->stubs->leave);
	emit_out(t, &out, l, off);
	while ((e->at - e->start) % 8 != 0 && !e->full)
		emit8(e, 0xcc);
	l->guard = (uint64_t *)(void *)e->at;
	emit_bind(e, &page);
	emit64(e, 0);
	emit_bind(e, &key);
	emit64(e, 0);
	l->arg = (uint64_t)delta;
}

void
native_goto(struct tr *t, int64_t target, unsigned k)
{
	struct emit_label out = { 0 };
	struct emit *e = t->e;
	struct jit_link *l;

	native_save_flags(t);
	give_back(t, k);
	if (target < 0 || target >= 4096) {
		goto_page(t, target & ~4095LL, (uint32_t)(target & 4095));
		return;
	}
	emit_jmp(e, &out);
	l = jit_link(t->jit, e);
	if (l == NULL) {
		e->full = true;
		return;
	}
	emit_out(t, &out, l, (uint32_t)target);
	l->arg = t->place + (uint64_t)target;
}

/* As a64_jump() does it. */
void
native_goto_rax(struct tr *t)
{
	struct emit *e = t->e;

	give_back(t, t->k);
	emit_mov_rr(e, 8, H_RCX, H_RAX);
	emit_alu_rm(e, 8, ALU_XOR, H_RCX, core_at(offsetof(struct a64, salt) + 8 * t->half));
	emit_shift_ri(e, 8, SH_SHR, H_RCX, 2);
	emit_mov_rr(e, 8, H_RDX, H_RAX);
	emit_shift_ri(e, 8, SH_SHR, H_RDX, 2 + SOFT_JUMP_BITS);
	emit_alu_rr(e, 4, ALU_XOR, H_RCX, H_RDX);
	emit_alu_ri(e, 4, ALU_AND, H_RCX, SOFT_JUMPS - 1);
	emit_shift_ri(e, 4, SH_SHL, H_RCX, 5);
	emit_alu_rm(e, 8, ALU_ADD, H_RCX, CORE(jumps));
	native_jump(e, t->half, t->c->stubs->other[t->half], t->c->stubs->miss);
}

/* Calls of functions */

/* Behind a copy that native code calls. */
static enum a64_status
come_back(struct a64 *c, const struct a64_insn *i)
{
	return (A_DONE);
}

/* May the function of this one look at NZCV, or change it?  Of what is frequent it is known that it does not. */
static bool
knows_flags(uint32_t w)
{
	switch (a64_bits(w, 28, 25)) {
	case 0x4:
	case 0x6:
	case 0xc:
	case 0xe:
		return (false);			/* loads and stores */
	case 0x7:
	case 0xf:
		/* Scalar floating point: compare, conditional compare and select */
		return ((w & 0x5f200c00) == 0x1e200400 || (w & 0x5f200c00) == 0x1e200c00 || (w & 0x5f203c00) == 0x1e202000);
	case 0x5:
	case 0xd:
		/* One to three sources */
		return ((w & 0x1f000000) != 0x1b000000 && (w & 0x1fe00000) != 0x1ac00000);
	default:
		return (true);
	}
}

static void
call(struct tr *t, unsigned k, bool flags)
{
	struct emit *e = t->e;

	native_settle_flags(t);
	if (flags)
		emit_call_to(e, t->c->stubs->to_page);
	emit_mov_mr(e, 4, CORE(left), H_LEFT);
	emit_mov_rr(e, 8, H_RDI, H_R15);
	emit_mov_ri(e, H_RSI, (uintptr_t)&t->copy[2 * k]);
	emit_call_to(e, (const void *)(uintptr_t)t->code[k].go);
	t->flags.host = false;
}

void
native_return(struct tr *t)
{
	native_settle_flags(t);
	call(t, t->k, true);
	emit_alu_ri(t->e, 4, ALU_CMP, H_RAX, A_JUMP);
	emit_jcc_to(t->e, CC_NE, t->c->stubs->status);
	emit_jmp_to(t->e, t->c->stubs->returned);
	t->ended = true;
}

void
native_look(struct tr *t)
{
	struct emit_label out = { 0 };
	struct emit *e = t->e;

	emit_mov_rr(e, 8, H_RDI, H_R15);
	emit_call_to(e, (const void *)(uintptr_t)a64_calls);
	emit_test_rr(e, 1, H_RAX, H_RAX);
	emit_jcc(e, CC_NE, &out);
	native_goto(t, t->off + 4 * t->k + 4, t->k);
	t->ended = true;
	emit_bind(t->cold, &out);
	emit_mov_ri(t->cold, H_RAX, t->off + 4 * t->k + 4);
	emit_jmp_to(t->cold, t->c->stubs->out);
}

void
native_call(struct tr *t, unsigned k)
{
	bool flags = knows_flags(t->code[k].word);
	struct emit *e = t->e;

	call(t, k, flags);
	emit_test_rr(e, 4, H_RAX, H_RAX);
	emit_jcc_to(e, CC_NE, t->c->stubs->status);
	if (flags)
		emit_call_to(e, t->c->stubs->from_page);
}

struct late *
native_slow(struct tr *t)
{
	native_settle_flags(t);
	return (native_late(t, LATE_SLOW));
}

void
native_joined(struct tr *t, struct late *l)
{
	memcpy(l->holds, t->holds, sizeof(l->holds));
	emit_bind(t->e, &l->back);
}

static void
emit_late(struct tr *t, struct late *l)
{
	struct emit *hot = t->e;

	if (l->kind == LATE_TAKEN) {
		emit_bind(t->e, &l->from);
		t->flags = l->flags;
		native_goto(t, l->target, l->k);
		return;
	}
	t->e = t->cold;
	t->flags = (struct nzcv){ .saved = true };
	t->pinned = 0;
	emit_bind(t->e, &l->from);
	if (l->kind == LATE_GROUP)
		native_group_late(t, l);
	else
		native_call(t, l->k);
	fetch_again(t, l);
	if (l->host)
		native_carry(t, false);
	emit_jmp(t->e, &l->back);
	t->e = hot;
}

/* Blocks */

static enum native
translate_insn(struct tr *t)
{
	switch (a64_bits(t->i->word, 28, 25)) {
	case 0x8:
	case 0x9:
	case 0x5:
	case 0xd:
		return (native_dp(t));
	case 0xa:
	case 0xb:
		return (t->i->fn != NULL ? native_system(t) : native_branch(t));
	case 0x4:
	case 0x6:
	case 0xc:
	case 0xe:
		return (t->i->fn != NULL ? native_atomic(t) : native_ldst(t));
	default:
		return (native_fp(t));
	}
}

void
native_one(struct tr *t)
{
	enum native how;

	t->i = &t->code[t->k];
	t->busy = t->vbusy = 0;
	/* Of those that are not allocated or trap, nothing but the function says so: their words may look like others. */
	how = native_by_function(t->i) && t->i->word >> 22 != 0xd5000000U >> 22 && t->i->word != ERET ? NATIVE_NOT : translate_insn(t);
	if (how == NATIVE_KEPT)
		return;
	t->flags.host = false;
	if (how == NATIVE_DONE)
		return;
	native_call(t, t->k);
	native_forget(t);
	t->konst_of = NATIVE_GONE;
	/* It came back, so what this code depends on is the same; it may have asked for something. */
	if ((t->i->flags & A64_I_END) != 0)
		native_look(t);
}

static void
copy_insns(struct tr *t)
{
	for (unsigned k = 0; k < t->n; k++) {
		struct a64_insn *copy = &t->copy[2 * k];

		copy[0] = t->code[k];
		copy[0].off = (uint16_t)(t->off + 4 * k);
		copy[1].go = come_back;
		copy[1].off = (uint16_t)(copy[0].off + 4);
		copy[1].imm = t->n - k;
	}
}

/* All of it; what was emitted before is taken back. */
static void
translate(struct tr *t)
{
	struct emit_label out = { 0 };

	t->e->at = t->e->start;
	t->cold->at = t->cold->start;
	t->konst_of = NATIVE_GONE;
	t->flags = (struct nzcv){ .saved = true };
	t->pinned = t->kept = 0;
	t->nlate = t->group.end = 0;
	t->ended = false;
	native_forget(t);
	emit_alu_ri(t->e, 4, ALU_SUB, H_LEFT, (int32_t)t->n);
	emit_jcc(t->e, CC_L, &out);
	native_loop_begin(t);
	for (t->k = 0; t->k < t->n && !t->ended; t->k++) {
		if (t->group.end == 0)
			native_group_begin(t);
		native_one(t);
		if (t->group.end == t->k + 1)
			native_group_end(t);
	}
	if (!t->ended)
		native_goto(t, t->off + 4 * t->n, t->n - 1);
	for (unsigned n = 0; n < t->nlate; n++)
		emit_late(t, &t->late[n]);
	emit_bind(t->cold, &out);
	emit_mov_ri(t->cold, H_RAX, t->n << 16 | t->off);
	emit_jmp_to(t->cold, t->c->stubs->out);
}

bool
a64_translate_block(struct soft_cpu *cpu, struct jit *jit, struct jit_block *jb, struct emit *e)
{
	struct a64 *c = a64_of(cpu);
	struct tr t = { .c = c, .jit = jit, .jb = jb, .e = e, .cold = &jit->cold, .code = SOFT_BLOCK_CODE(jb->block), .n = jb->block->n,
	    .off = (unsigned)(jb->block->place & 4095), .half = c->s->pc >> 55 & 1, .place = SOFT_PAGE(jb->block->place) };
	size_t used;

	t.copy = jit_alloc(jit, 2 * t.n * sizeof(*t.copy));
	if (t.copy == NULL)
		return (false);
	jb->data = t.copy;
	jb->ndata = t.n;
	copy_insns(&t);
	native_find_flags(&t);
	native_find_loop(&t);
	used = jit->data_used;
	translate(&t);
	if (t.loop.nwanted[0] + t.loop.nwanted[1] != 0 && !e->full && !jit->cold.full) {
		/* What the first translation had is not used. */
		jit->data_used = used;
		t.loop.scout = false;
		translate(&t);
	}
	return (true);
}
