/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_flags.c - native code: arithmetic flags.  Which of them somebody can see, where they are, and how they get elsewhere.
 */
#include "native.h"

/* What is seen */

/*
 * Does the host keep flags that the manual leaves undefined?  The first tier executes these instructions with the guest's flags before, so what
 * it keeps belongs to the result.  Each is tried with all flags clear and all set.
 */
struct nat_keeps
nat_probe(void)
{
	static const uint64_t before[2] = { 0x202, 0x202 | FL_ARITH }, values[] = { 0x8000000080018081, 0x7fffffff7f017e01, 3, UINT64_MAX };
	struct nat_keeps k = { 0 };

#define	TRY_ONE(member, insn) do {						\
	for (unsigned n = 0; n < nitems(values); n++) {				\
		uint64_t after[2], v, w;					\
										\
		for (unsigned t = 0; t < 2; t++) {				\
			v = values[n];						\
			w = values[n ^ 1];					\
			/* The stack below is the function's own: it calls nobody. */	\
			__asm__ volatile("subq $256, %%rsp; pushq %[f]; popfq; " insn "; pushfq; popq %[a]; addq $256, %%rsp"	\
			    : [a] "=r" (after[t]), [v] "+&r" (v), [w] "+&r" (w) : [f] "r" (before[t]) : "cc", "memory");	\
		}								\
		k.member |= (uint16_t)((after[0] ^ after[1]) & FL_ARITH);	\
	}									\
} while (0)
	TRY_ONE(shift, "shlq $1, %[v]");
	TRY_ONE(shift, "shlq $7, %[v]");
	TRY_ONE(shift, "shrq $1, %[v]");
	TRY_ONE(shift, "shrl $9, %k[v]");
	TRY_ONE(shift, "sarq $3, %[v]");
	TRY_ONE(shift, "shlw $5, %w[v]");
	TRY_ONE(shift, "shrb $3, %b[v]");
	TRY_ONE(rotate, "rolq $1, %[v]");
	TRY_ONE(rotate, "rolq $9, %[v]");
	TRY_ONE(rotate, "rorl $7, %k[v]");
	TRY_ONE(dshift, "shldq $5, %[w], %[v]");
	TRY_ONE(dshift, "shrdl $9, %k[w], %k[v]");
	TRY_ONE(dshift, "shrdq $1, %[w], %[v]");
	TRY_ONE(scan, "bsfq %[w], %[v]");
	TRY_ONE(scan, "bsrl %k[w], %k[v]");
#undef TRY_ONE
	return (k);
}

/* Flags that a condition looks at. */
static uint16_t
cc_reads(unsigned cc)
{
	static const uint16_t reads[8] = {
		FL_OF, FL_CF, FL_ZF, FL_CF | FL_ZF, FL_SF, FL_PF, FL_SF | FL_OF, FL_SF | FL_OF | FL_ZF,
	};

	return (reads[cc >> 1 & 7]);
}

/* Shifts and rotates by an immediate that is not beyond the operand; others are taken to keep everything. */
static uint16_t
shift_kills(const struct x86_insn *i, const struct nat_row *row, const struct nat_keeps *keeps)
{
	unsigned count = (unsigned)i->imm & (i->opsize == 8 ? 63 : 31);
	uint16_t kills = row->kills;

	if ((i->flags & XI_IMM) == 0 || count == 0 || count >= 8U * i->opsize)
		return (0);
	if ((row->kind & NK_SHIFT) != 0)
		kills &= (uint16_t)~keeps->shift;
	if ((row->kind & NK_ROTATE) != 0)
		kills &= (uint16_t)~keeps->rotate;
	if ((row->kind & NK_DOUBLE) != 0)
		kills &= (uint16_t)~keeps->dshift;
	return (kills);
}

struct nat_effect
nat_effect(const struct x86_insn *i, const struct nat_row *row, const struct nat_keeps *keeps)
{
	struct nat_effect f = { .exposed = true };

	if (row == NULL || ((i->flags & XI_OTHER) != 0 && (row->kind & NK_X87) == 0))
		return (f);
	f.reads = row->reads;
	f.kills = row->kills;
	if ((row->kind & (NK_SHIFT | NK_ROTATE | NK_DOUBLE)) != 0)
		f.kills = shift_kills(i, row, keeps);
	if ((row->kind & NK_SCAN) != 0)
		f.kills &= (uint16_t)~keeps->scan;
	if (f.reads == NK_BY_CONDITION)
		f.reads = cc_reads(i->arg);
	f.exposed = (row->kind & NK_EXPOSED) != 0 || (i->flags & (XI_XMM0 | XI_XMM1)) != 0 ||
	    ((i->flags & XI_MEM) != 0 && (row->kind & NK_NOMEM) == 0);
	return (f);
}

void
nat_liveness(const struct nat_effect *f, unsigned n, uint16_t live[])
{
	live[n] = FL_ARITH;
	while (n-- > 0)
		live[n] = f[n].exposed ? FL_ARITH : (uint16_t)((live[n + 1] & ~f[n].kills) | f[n].reads);
}

/* Where they are */

static const struct emit_mem slot = { .base = H_R15, .index = EMIT_NOREG, .scale = 1, .disp = offsetof(struct x86, native.flags) };

/* The host's to x86_native.flags.  The host's stay. */
static void
store(struct nat *n)
{
	emit_lahf(n->e);
	emit_setcc_r(n->e, CC_O, HA);
	emit_mov_mr(n->e, 2, slot, HA);
	n->slot = true;
}

/* Computed again, by what they came from. */
void
nat_lazy_load(struct nat *n, const struct nat_lazy *l)
{
	struct emit *e = n->e;
	bool reg = l->b != EMIT_NOREG;

	switch ((enum nat_lazy_op)l->op) {
	case LAZY_CMP:
		if (reg)
			emit_alu_rr(e, l->size, ALU_CMP, l->a, l->b);
		else
			emit_alu_ri(e, l->size, ALU_CMP, l->a, l->imm);
		break;
	case LAZY_TEST:
		if (reg)
			emit_test_rr(e, l->size, l->a, l->b);
		else
			emit_test_ri(e, l->size, l->a, l->imm);
		break;
	case LAZY_ADD:
	case LAZY_SUB:
		/* Undone, and done again. */
		emit_mov_rr(e, 8, HA, l->a);
		for (unsigned k = 0; k < 2; k++) {
			enum emit_alu op = (l->op == LAZY_ADD) == (k == 1) ? ALU_ADD : ALU_SUB;

			if (reg)
				emit_alu_rr(e, l->size, op, HA, l->b);
			else
				emit_alu_ri(e, l->size, op, HA, l->imm);
		}
		break;
	case LAZY_RESULT:
		emit_test_rr(e, l->size, l->a, l->a);
		break;
	case LAZY_ZERO:
		emit_alu_rr(e, 4, ALU_XOR, HA, HA);
		break;
	case LAZY_NONE:
		break;
	}
}

void
nat_flags_save(struct nat *n)
{
	if (n->slot)
		return;
	if (!n->ef) {
		if (n->lazy.op == LAZY_NONE)
			return;			/* nobody wants them */
		nat_lazy_load(n, &n->lazy);
		n->ef = true;
	}
	store(n);
}

void
nat_flags_load(struct nat *n)
{
	if (n->ef)
		return;
	if (n->lazy.op != LAZY_NONE) {
		nat_lazy_load(n, &n->lazy);
	} else if (n->slot) {
		/* The addition overflows if OF is to be set. */
		emit_movzx_rm(n->e, 2, HA, slot);
		emit_alu_ri(n->e, 1, ALU_ADD, HA, 0x7f);
		emit_sahf(n->e);
	} else {
		return;
	}
	n->ef = true;
}

void
nat_flags_settle(struct nat *n)
{
	if (n->ef && !n->slot && n->lazy.op == LAZY_NONE)
		store(n);
	n->ef = false;
}

void
nat_flags_set(struct nat *n, const struct nat_lazy *lazy)
{
	static const struct nat_lazy none = { .op = LAZY_NONE };

	n->slot = false;
	n->ef = n->live[n->at + 1] != 0;
	n->lazy = n->ef && lazy != NULL ? *lazy : none;
}

void
nat_clobber(struct nat *n, unsigned r)
{
	if (r != X86_NOREG)
		nat_window_forget(n, r >> 3);
	nat_clobber_by(n, r);
}

void
nat_clobber_by(struct nat *n, unsigned r)
{
	unsigned h = nat_host(r);

	if (n->lazy.op == LAZY_NONE || h == NAT_MEM || (n->lazy.a != h && n->lazy.b != h))
		return;
	/* One that leaves no flag as it was: until it changes a register, they can be computed. */
	if ((FL_ARITH & ~n->effect[n->at].kills) == 0)
		return;
	if (!n->ef && !n->slot)
		nat_flags_save(n);
	n->lazy.op = LAZY_NONE;
}

bool
nat_flags_pass(const struct nat *n)
{
	return ((n->live[n->at + 1] & ~n->effect[n->at].kills) != 0);
}
