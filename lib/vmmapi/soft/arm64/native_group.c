/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_group.c - loads and stores near to one another in native code: their memory is looked up once, ahead of the first of them.
 *
 * A group is a stretch of a block whose accesses go to few places, each some bytes around what a register is at the group's head.  The head
 * looks up each place as one access would, as a whole; what follows has nothing to look up and cannot fault.  If a look-up fails
 * nothing has happened yet, and behind the block's end the same instructions are executed one by one, each with its own.
 *
 * Nothing in a group may void what was looked up: there is no way out of native code and back in it but the functions of data
 * processing, which know nothing of memory.  Those keep the host registers that a group has.
 */
#include "native.h"

_Static_assert(SLOT(sp_el1) < 64, "registers that are bases are bits");

/* Saved by functions (System V ABI). */
static const uint8_t regs[GROUP_BASES] = { H_RBX, H_R12, H_R13 };

/* A place is no longer than that: how much more often it lies in two pages than its accesses do. */
#define	LONGEST		256

/* A loop that goes on by so many bytes or more has what is so far ahead fetched into the cache. */
#define	STREAM		32
#define	AHEAD		2048

/* The place that such accesses go to; offset NULL: with an immediate. */
static struct group_base *
base_of(struct group *g, unsigned slot, const struct a64_insn *offset)
{
	for (unsigned n = 0; n < g->nbases; n++) {
		struct group_base *b = &g->base[n];

		if (b->slot == slot && (offset == NULL ? b->offset == NULL :
		    b->offset != NULL && b->offset->rm == offset->rm && b->offset->arg2 == offset->arg2))
			return (b);
	}
	return (NULL);
}

/* A stretch being looked at. */
struct plan {
	struct group	 g;
	uint64_t	 written;	/* general registers whose value at the head is lost */
	bool		 branched;
	unsigned	 members;
};

static void
wrote(struct plan *p, unsigned slot)
{
	for (unsigned n = 0; n < p->g.nbases; n++) {
		struct group_base *b = &p->g.base[n];

		if (b->slot == slot || (b->offset != NULL && b->offset->rm == slot))
			b->known = false;
	}
	if (slot < 64)
		p->written |= 1ULL << slot;
}

/* A register moves by a constant: a place with an immediate goes on. */
static void
moved(struct plan *p, unsigned slot, int32_t by)
{
	struct group_base *b = base_of(&p->g, slot, NULL);
	bool known = b != NULL && b->known;

	wrote(p, slot);
	if (known) {
		b->known = true;
		b->delta += by;
	}
}

static bool
is_sp(unsigned slot)
{
	return (slot == SLOT(sp_el0) || slot == SLOT(sp_el1));
}

/* The place that an access goes to, perhaps a new one; NULL: none that this group can have. */
static struct group_base *
find_base(struct plan *p, const struct a64_insn *i, bool offset)
{
	struct group *g = &p->g;
	struct group_base *b = base_of(g, i->rn, offset ? i : NULL);

	if (b != NULL)
		return (b->known ? b : NULL);
	if (g->nbases == GROUP_BASES || p->branched || (p->written >> i->rn & 1) != 0 || (offset && (p->written >> i->rm & 1) != 0))
		return (NULL);
	b = &g->base[g->nbases];
	*b = (struct group_base){ .slot = i->rn, .offset = offset ? i : NULL, .known = true, .lo = INT32_MAX, .hi = INT32_MIN };
	return (b);
}

/* Instruction k accesses memory; false: not as a member of this group. */
static bool
add_access(struct plan *p, const struct a64_insn *i, const struct access *a, unsigned k)
{
	bool moves = a->how == ADDR_POST || a->how == ADDR_PRE;
	struct group *g = &p->g;
	struct group_base *b;
	int32_t at, lo, hi;

	if (a->how != ADDR_IMM && a->how != ADDR_REG && !moves)
		return (false);
	if (!a->vector && moves && (i->rd == i->rn || (a->two && i->ra == i->rn)))
		return (false);
	b = find_base(p, i, a->how == ADDR_REG);
	if (b == NULL || (is_sp(i->rn) && b->delta % 16 != 0))
		return (false);
	at = b->delta + (a->how == ADDR_POST || a->how == ADDR_REG ? 0 : (int32_t)i->imm);
	lo = at < b->lo ? at : b->lo;
	hi = at + (int32_t)a->total > b->hi ? at + (int32_t)a->total : b->hi;
	if (hi - lo > LONGEST || at < INT16_MIN || at > INT16_MAX)
		return (false);
	if (b == &g->base[g->nbases])
		g->nbases++;
	b->lo = lo;
	b->hi = hi;
	b->write |= a->write;
	g->member |= 1ULL << (k - g->first);
	g->of[k] = (uint8_t)(b - g->base);
	g->at[k] = (int16_t)at;
	g->end = k + 1;
	p->members++;
	if (!a->vector && !a->write) {
		wrote(p, i->rd);
		if (a->two)
			wrote(p, i->ra);
	}
	if (moves)
		moved(p, i->rn, (int32_t)i->imm);
	return (true);
}

/* Data processing.  A register that is a base may move by a constant. */
static void
add_integer(struct plan *p, const struct a64_insn *i)
{
	int32_t by = (int32_t)a64_bits(i->word, 21, 10);

	if ((i->word & 0xbfc00000) == 0x91000000 && i->rn == i->rd)
		moved(p, i->rd, a64_bits(i->word, 30, 30) != 0 ? -by : by);
	else
		wrote(p, i->rd);
}

/* Floating point and vectors: few write a general register (C4.1.96: conversions and moves to one, UMOV, SMOV). */
static void
add_vector(struct plan *p, const struct a64_insn *i)
{
	uint32_t w = i->word;

	if ((w & 0x5f20fc00) == 0x1e200000 || (w & 0x5f200000) == 0x1e000000 || (w & 0x9fe08400) == 0x0e000400)
		wrote(p, w & 31);
}

static bool
is_conditional(uint32_t w)
{
	return (((w & 0xff000010) == 0x54000000 && (w & 0xe) != 0xe) || (w & 0x7e000000) == 0x34000000 || (w & 0x7e000000) == 0x36000000);
}

/* May instruction k be within the group, or a member? */
static bool
add(const struct tr *t, struct plan *p, unsigned k)
{
	const struct a64_insn *i = &t->code[k];
	struct access a;

	if ((i->flags & A64_I_END) != 0)
		return (false);
	switch (a64_bits(i->word, 28, 25)) {
	case 0x4:
	case 0x6:
	case 0xc:
	case 0xe:
		if (i->fn != NULL || !native_access(t, i, &a))
			return (false);
		return (a.total == 0 || add_access(p, i, &a, k));
	case 0x8:
	case 0x9:
	case 0x5:
	case 0xd:
		add_integer(p, i);
		return (true);
	case 0x7:
	case 0xf:
		add_vector(p, i);
		return (true);
	default:
		p->branched = true;
		return (is_conditional(i->word));
	}
}

void
native_group_begin(struct tr *t)
{
	struct plan p = { .g.first = t->k };
	struct group *g = &t->group;
	unsigned held[GROUP_BASES];
	struct access a;
	struct late *l;

	switch (a64_bits(t->code[t->k].word, 28, 25)) {
	case 0x4:
	case 0x6:
	case 0xc:
	case 0xe:
		if (t->code[t->k].fn != NULL || !native_access(t, &t->code[t->k], &a) || a.total == 0)
			return;
		break;
	default:
		return;
	}
	for (unsigned k = t->k; k < t->n && add(t, &p, k); k++)
		continue;
	if (p.members <= p.g.nbases)
		return;
	*g = p.g;
	native_settle_flags(t);
	t->busy = t->vbusy = 0;
	for (unsigned n = 0; n < g->nbases; n++) {
		g->base[n].reg = regs[n];
		t->holds[regs[n]] = NATIVE_GONE;
		t->kept |= (uint16_t)(1U << regs[n]);
	}
	/* What is in registers is the same at each jump. */
	for (unsigned n = 0; n < g->nbases; n++) {
		held[n] = native_use(t, g->base[n].slot);
		if (g->base[n].offset != NULL)
			(void)native_use(t, g->base[n].offset->rm);
	}
	l = t->head = native_late(t, LATE_GROUP);
	l->end = g->end;
	memcpy(l->held, t->holds, sizeof(l->held));
	for (unsigned n = 0; n < g->nbases; n++) {
		if (is_sp(g->base[n].slot)) {
			emit_test_ri(t->e, 1, held[n], 15);
			emit_jcc(t->e, CC_NE, &l->from);
		}
		if (g->base[n].offset != NULL)
			native_offset(t, g->base[n].offset, held[n]);
		else
			emit_lea(t->e, 8, H_RDX, emit_at(held[n], g->base[n].lo));
		native_look_up(t, (unsigned)(g->base[n].hi - g->base[n].lo), g->base[n].write, false, l);
		emit_mov_rr(t->e, 8, g->base[n].reg, H_RDX);
		if (t->loop.length != 0 && g->base[n].delta >= STREAM && t->k < t->loop.length)
			emit_rm(t->e, 4, EMIT_0F | 0x18, 1, emit_at(H_RDX, AHEAD), 0);		/* PREFETCHT0 */
	}
	t->flags.host = false;
}

bool
native_grouped(const struct tr *t, struct emit_mem *m)
{
	const struct group *g = &t->group;
	const struct group_base *b;

	if (t->k >= g->end || (g->member >> (t->k - g->first) & 1) == 0)
		return (false);
	b = &g->base[g->of[t->k]];
	*m = emit_at(b->reg, g->at[t->k] - b->lo);
	return (true);
}

void
native_group_end(struct tr *t)
{
	native_settle_flags(t);
	t->group.end = 0;
	t->kept = 0;
	native_joined(t, t->head);
}

void
native_group_late(struct tr *t, const struct late *l)
{
	memcpy(t->holds, l->held, sizeof(t->holds));
	memset(t->width, 16, sizeof(t->width));
	t->konst_of = NATIVE_GONE;
	for (t->k = l->k; t->k < l->end; t->k++)
		native_one(t);
	native_settle_flags(t);
}
