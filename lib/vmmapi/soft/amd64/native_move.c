/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_move.c - native code: MOV and its kin, LEA, PUSH, POP, CMOVcc, SETcc, XCHG.  Flags are left alone.
 */
#include "decode.h"
#include "native.h"

static bool
is_mem(const struct x86_insn *i)
{
	return ((i->flags & XI_MEM) != 0);
}

/* A constant into a register. */
static void
constant(struct nat *n, unsigned r, unsigned size, uint64_t imm)
{
	unsigned h = nat_host(r);
	struct emit *e = n->e;

	if (size == 4)
		imm = (uint32_t)imm;
	if (size < 4) {
		if (h == NAT_MEM) {
			emit_mov_ri(e, HA, imm & x86_mask(size));
			nat_put(n, r, size, HA);
		} else if (nat_high(r)) {
			emit_mov_ri(e, HA, imm & 0xff);
			nat_put(n, r, size, HA);
		} else {
			emit_rr(e, size, size == 1 ? 0xc6 : 0xc7, 0, h);
			emit_imm(e, size, (int32_t)imm);
		}
	} else if (h != NAT_MEM) {
		emit_mov_ri(e, h, imm);
	} else if ((int64_t)imm == (int32_t)imm) {
		emit_mov_mi(e, 8, nat_slot(r >> 3), (int32_t)imm);
	} else {
		emit_mov_ri(e, HA, imm);
		emit_mov_mr(e, 8, nat_slot(r >> 3), HA);
	}
}

static void
copy(struct nat *n, unsigned to, unsigned from, unsigned size)
{
	unsigned h = nat_host(to);

	if (h != NAT_MEM && !nat_high(to) && nat_host(from) == NAT_MEM && size >= 4)
		emit_mov_rm(n->e, size, h, nat_slot(from >> 3));
	else if (h == NAT_MEM && size == 4) {
		nat_get_into(n, HA, from, 4);
		nat_put(n, to, 4, HA);
	} else
		nat_put(n, to, size, nat_get(n, from, size));
}

static bool
mov(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize;
	struct emit_mem m;

	if (!is_mem(i)) {
		nat_clobber(n, i->r[0]);
		if (i->r[1] == X86_NOREG)
			constant(n, i->r[0], size, i->imm);
		else
			copy(n, i->r[0], i->r[1], size);
		return (true);
	}
	if (!nat_mem_ok(n, i, size))
		return (false);
	if (i->r[0] != X86_NOREG) {
		unsigned h = nat_host(i->r[0]);

		nat_clobber(n, i->r[0]);
		m = nat_mem(n, i, size, false, false);
		if (h != NAT_MEM && !nat_high(i->r[0])) {
			emit_mov_rm(n->e, size, h, m);
		} else {
			emit_movzx_rm(n->e, size, HA, m);
			nat_put(n, i->r[0], size, HA);
		}
		return (true);
	}
	m = nat_mem(n, i, size, true, false);
	if (i->r[1] == X86_NOREG)
		emit_mov_mi(n->e, size, m, (int32_t)i->imm);
	else
		emit_mov_mr(n->e, size, m, nat_get(n, i->r[1], size));
	return (true);
}

/* MOVZX, MOVSX, MOVSXD; x86_insn.imm2 is the size of the source, row->op 1 if it is signed. */
static bool
extend(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize, from = i->imm2, h = nat_host(i->r[0]), to = h == NAT_MEM || size == 2 ? HA : h, src;
	struct emit *e = n->e;
	struct emit_mem m;

	if (is_mem(i) && !nat_mem_ok(n, i, from))
		return (false);
	if (from >= size && size != 4)
		return (false);
	nat_clobber(n, i->r[0]);
	if (is_mem(i)) {
		m = nat_mem(n, i, from, false, false);
		if (row->op == 0 || from >= size)
			emit_movzx_rm(e, from, to, m);
		else
			emit_movsx_rm(e, size == 2 ? 4 : size, from, to, m);
	} else {
		src = nat_get(n, i->r[1], from);
		if (row->op == 0 || from >= size)
			emit_movzx_rr(e, from, to, src);
		else
			emit_movsx_rr(e, size == 2 ? 4 : size, from, to, src);
	}
	if (to == HA)
		nat_put(n, i->r[0], size, HA);
	return (true);
}

static bool
lea(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned h = nat_host(i->r[0]), to = h == NAT_MEM || i->opsize == 2 ? HA : h;

	if (!nat_mem_ok(n, i, 8))
		return (false);
	nat_clobber(n, i->r[0]);
	nat_lea(n, i, i->opsize == 8 ? 8 : 4, to);
	if (to == HA)
		nat_put(n, i->r[0], i->opsize, HA);
	return (true);
}

/* Stack: 64 bits wide. */

static bool
push(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned sp = nat_pin[RSP];
	struct emit_mem m;

	if (i->opsize != 8 || (is_mem(i) && !nat_mem_ok(n, i, 8)))
		return (false);
	nat_clobber_by(n, 8 * RSP);
	if (is_mem(i)) {
		m = nat_mem(n, i, 8, false, false);
		emit_mov_rm(n->e, 8, HA, m);
		emit_mov_mr(n->e, 8, NAT_FIELD(native.tmp2), HA);
	}
	m = nat_stack(n, -8, 8, true);
	if (is_mem(i)) {
		emit_mov_rm(n->e, 8, HA, NAT_FIELD(native.tmp2));
		emit_mov_mr(n->e, 8, m, HA);
	} else if (i->r[0] == X86_NOREG) {
		emit_mov_mi(n->e, 8, m, (int32_t)i->imm);
	} else {
		emit_mov_mr(n->e, 8, m, nat_get(n, i->r[0], 8));
	}
	emit_lea(n->e, 8, sp, emit_at(sp, -8));
	nat_window_moved(n, RSP, -8);
	return (true);
}

static bool
pop(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned sp = nat_pin[RSP], h;
	struct emit_mem m;

	if (i->opsize != 8 || is_mem(i))
		return (false);
	h = nat_host(i->r[0]);
	nat_clobber_by(n, 8 * RSP);
	nat_clobber(n, i->r[0]);
	m = nat_stack(n, 0, 8, false);
	emit_mov_rm(n->e, 8, h == NAT_MEM ? HA : h, m);
	if (h == NAT_MEM)
		nat_put(n, i->r[0], 8, HA);
	if (h != sp) {
		emit_lea(n->e, 8, sp, emit_at(sp, 8));
		nat_window_moved(n, RSP, 8);
	}
	return (true);
}

static bool
leave(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned sp = nat_pin[RSP], bp = nat_pin[RBP];
	struct emit_mem m;

	if (i->opsize != 8)
		return (false);
	nat_clobber(n, 8 * RSP);
	nat_clobber(n, 8 * RBP);
	m = nat_pinned(n, RBP, 0, 8, false);
	emit_lea(n->e, 8, sp, emit_at(bp, 8));
	emit_mov_rm(n->e, 8, bp, m);
	return (true);
}

/* Conditions */

/* Memory is read, and 32 bits zero-extended, whatever the condition says. */
static bool
cmov(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize, h = nat_host(i->r[0]), to = h == NAT_MEM ? HA : h;
	enum emit_cc cc = (enum emit_cc)i->arg;
	struct emit *e = n->e;
	unsigned src;

	if (is_mem(i) && !nat_mem_ok(n, i, size))
		return (false);
	nat_clobber(n, i->r[0]);
	src = nat_source(n, i, size);
	nat_flags_load(n);
	if (h == NAT_MEM)
		nat_get_into(n, HA, i->r[0], size);
	emit_cmov_rr(e, size, cc, to, src);
	if (h == NAT_MEM)
		nat_put(n, i->r[0], size, HA);
	return (true);
}

static bool
set(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	enum emit_cc cc = (enum emit_cc)i->arg;
	struct emit_mem m;

	if (is_mem(i)) {
		if (!nat_mem_ok(n, i, 1))
			return (false);
		m = nat_mem(n, i, 1, true, false);
		nat_flags_load(n);
		emit_setcc_m(n->e, cc, m);
		return (true);
	}
	nat_clobber(n, i->r[0]);
	nat_flags_load(n);
	if (nat_host(i->r[0]) == NAT_MEM || nat_high(i->r[0])) {
		emit_setcc_r(n->e, cc, HA);
		nat_put(n, i->r[0], 1, HA);
	} else {
		emit_setcc_r(n->e, cc, nat_host(i->r[0]));
	}
	return (true);
}

/* With memory, which is a locked access, x86_insn.arg is the register. */
static bool
xchg(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned size = i->opsize, a = i->r[0], b = i->r[1];
	struct emit_mem m;

	if (is_mem(i)) {
		if (!nat_mem_ok(n, i, size) || nat_high(i->arg))
			return (false);
		nat_clobber(n, i->arg);
		m = nat_mem(n, i, size, true, false);
		nat_lock(n, m, size);
		nat_get_into(n, HA, i->arg, size);
		emit_xchg_mr(n->e, size, m, HA);
		nat_put(n, i->arg, size, HA);
		return (true);
	}
	if (nat_high(a) || nat_high(b))
		return (false);
	nat_clobber(n, a);
	nat_clobber(n, b);
	nat_get_into(n, HA, a, size);
	nat_get_into(n, HT, b, size);
	nat_put(n, a, size, HT);
	nat_put(n, b, size, HA);
	return (true);
}

/* Hints */
static bool
nothing(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	return (true);
}

static bool
bswap(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned h = nat_host(i->r[0]);

	if (i->opsize < 4)
		return (false);
	nat_clobber(n, i->r[0]);
	if (h != NAT_MEM) {
		emit_bswap(n->e, i->opsize, h);
		return (true);
	}
	nat_get_into(n, HA, i->r[0], i->opsize);
	emit_bswap(n->e, i->opsize, HA);
	nat_put(n, i->r[0], i->opsize, HA);
	return (true);
}

/* CWDE, CDQE; to size row->op. */
static bool
cwde(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned a = nat_pin[RAX];

	nat_clobber(n, 8 * RAX);
	emit_movsx_rr(n->e, row->op, row->op / 2, a, a);
	return (true);
}

/* CDQ, CQO: the sign everywhere, without the shift that would change flags. */
static bool
cdq(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	nat_clobber(n, 8 * RDX);
	emit_mov_rr(n->e, 8, HA, nat_pin[RAX]);
	emit_cqo(n->e, row->op);		/* into rDX, which is pinned to itself */
	return (true);
}

#define	M(n)	ZYDIS_MNEMONIC_##n
#define	CC(n)	{ M(CMOV##n), NK_BY_CONDITION, 0, 0, 0, 0, cmov }, { M(SET##n), NK_BY_CONDITION, 0, 0, 0, 0, set }
#define	HINT(n)	{ M(n), 0, 0, NK_NOMEM, 0, 0, nothing }

const struct nat_row nat_rows_move[] = {
	{ M(MOV), 0, 0, 0, 0, 0, mov },
	{ M(MOVNTI), 0, 0, 0, 0, 0, mov },
	{ M(MOVZX), 0, 0, 0, 0, 0, extend },
	{ M(MOVSX), 0, 0, 0, 0, 1, extend },
	{ M(MOVSXD), 0, 0, 0, 0, 1, extend },
	{ M(LEA), 0, 0, NK_NOMEM, 0, 0, lea },
	{ M(PUSH), 0, 0, NK_EXPOSED, 0, 0, push },
	{ M(POP), 0, 0, NK_EXPOSED, 0, 0, pop },
	{ M(LEAVE), 0, 0, NK_EXPOSED, 0, 0, leave },
	{ M(XCHG), 0, 0, 0, 0, 0, xchg },
	{ M(BSWAP), 0, 0, 0, 0, 0, bswap },
	{ M(CWDE), 0, 0, 0, 0, 4, cwde },
	{ M(CDQE), 0, 0, 0, 0, 8, cwde },
	{ M(CDQ), 0, 0, 0, 0, 4, cdq },
	{ M(CQO), 0, 0, 0, 0, 8, cdq },
	CC(O), CC(NO), CC(B), CC(NB), CC(Z), CC(NZ), CC(BE), CC(NBE), CC(S), CC(NS), CC(P), CC(NP), CC(L), CC(NL), CC(LE), CC(NLE),
	HINT(NOP), HINT(PREFETCH), HINT(PREFETCHNTA), HINT(PREFETCHT0), HINT(PREFETCHT1), HINT(PREFETCHT2), HINT(PREFETCHW),
	HINT(PREFETCHWT1),
	{ 0 },
};
