/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_system.c - native code: flags that are not arithmetic, and what else of an operating system's paths is frequent and small.  All but PUSHFQ
 * only in code of level 0, where nothing of it is denied; those flags are in the state page.
 */
#include "decode.h"
#include "native.h"

#define	STATE(field)	emit_at(HT, (int32_t)offsetof(struct amd64_state, field))

/* The state page into r14; the host's flags are free. */
static void
state(struct nat *n)
{
	nat_flags_settle(n);
	emit_mov_rm(n->e, 8, HT, NAT_FIELD(s));
}

static bool
cli(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	if (!nat_kernel(n))
		return (false);
	state(n);
	emit_alu_mi(n->e, 4, ALU_AND, STATE(rflags), (int32_t)~FL_IF);
	return (true);
}

/*
 * The function is for an interrupt that waits.  If there is none, the next instruction comes before any, which x86_native.fresh says to whoever leaves
 * before it.
 */
static bool
sti(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	struct emit *e = n->e;
	struct nat_cold *c;
	uint8_t *over;

	if (!nat_kernel(n))
		return (false);
	state(n);
	c = nat_called(n);
	emit_test_mi(e, 4, STATE(rflags), FL_IF);
	over = emit_jcc_over(e, CC_NE);
	emit_alu_mi(e, 1, ALU_CMP, NAT_FIELD(intr), 0);
	emit_jcc(e, CC_NE, &c->from);
	emit_alu_mi(e, 4, ALU_AND, STATE(rflags), (int32_t)~FL_RF);
	emit_alu_mi(e, 4, ALU_OR, STATE(rflags), FL_IF);
	emit_mov_rm(e, 4, HA, NAT_FIELD(native.left));
	emit_alu_ri(e, 4, ALU_SUB, HA, (int32_t)n->at + 1);
	emit_mov_mr(e, 4, NAT_FIELD(native.fresh), HA);
	emit_mov_mi(e, 1, NAT_FIELD(native.sti), 1);
	emit_here(e, over);
	return (true);
}

/* CLD, STD: row->op is the flag's new value. */
static bool
direction(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	state(n);
	if (row->op != 0)
		emit_alu_mi(n->e, 4, ALU_OR, STATE(rflags), FL_DF);
	else
		emit_alu_mi(n->e, 4, ALU_AND, STATE(rflags), (int32_t)~FL_DF);
	return (true);
}

/* CLAC, STAC: nothing to do if AC has its new value, row->op; else rights change, and that is for the function. */
static bool
access(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	struct nat_cold *c;

	if (!nat_kernel(n))
		return (false);
	state(n);
	c = nat_called(n);
	emit_test_mi(n->e, 4, STATE(rflags), FL_AC);
	emit_jcc(n->e, row->op != 0 ? CC_E : CC_NE, &c->from);
	return (true);
}

static bool
swapgs(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	struct emit_mem gs = STATE(seg[SEG_GS].base), kernel = STATE(kgs_base);
	struct emit *e = n->e;

	if (!nat_kernel(n))
		return (false);
	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	emit_mov_rm(e, 8, HA, gs);
	emit_push(e, H_RCX);
	emit_mov_rm(e, 8, H_RCX, kernel);
	emit_mov_mr(e, 8, gs, H_RCX);
	emit_pop(e, H_RCX);
	emit_mov_mr(e, 8, kernel, HA);
	return (true);
}

/* Loads are in order as it is, and so are stores; row->op: a full fence. */
static bool
fence(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	if (row->op != 0) {
		emit8(n->e, 0x0f);
		emit16(n->e, 0xf0ae);
	}
	return (true);
}

/* Put together in tmp2; RF and VM are not pushed. */
static bool
pushf(struct nat *n, const struct x86_insn *i, const struct nat_row *row)
{
	unsigned sp = nat_pin[RSP];
	struct emit *e = n->e;
	struct emit_mem m;

	if (i->opsize != 8)
		return (false);
	nat_clobber_by(n, 8 * RSP);
	nat_flags_save(n);
	nat_flags_settle(n);
	emit_mov_rm(e, 8, HT, NAT_FIELD(s));
	emit_mov_rm(e, 8, HA, STATE(rflags));
	emit_alu_ri(e, 8, ALU_AND, HA, (int32_t)~(FL_RF | FL_VM | FL_ARITH | 0x2aU));
	emit_movzx_rm(e, 2, HT, NAT_FIELD(native.flags));
	emit_mov_mr(e, 8, NAT_FIELD(native.tmp2), HA);
	emit_mov_rr(e, 4, HA, HT);
	emit_shift_ri(e, 4, SH_SHR, HA, 8);
	emit_alu_ri(e, 4, ALU_AND, HT, 1);
	emit_shift_ri(e, 4, SH_SHL, HT, 11);
	emit_alu_rr(e, 4, ALU_OR, HA, HT);
	emit_alu_mr(e, 8, ALU_OR, NAT_FIELD(native.tmp2), HA);
	m = nat_stack(n, -8, 8, true);
	emit_mov_rm(e, 8, HA, NAT_FIELD(native.tmp2));
	emit_mov_mr(e, 8, m, HA);
	emit_lea(e, 8, sp, emit_at(sp, -8));
	nat_window_moved(n, RSP, -8);
	return (true);
}

#define	M(n)	ZYDIS_MNEMONIC_##n

const struct nat_row nat_rows_system[] = {
	{ M(CLI), 0, 0, NK_EXPOSED, 0, 0, cli },
	{ M(STI), 0, 0, NK_EXPOSED, 0, 0, sti },
	{ M(CLD), 0, 0, 0, 0, 0, direction },
	{ M(STD), 0, 0, 0, 0, 1, direction },
	{ M(CLAC), 0, 0, NK_EXPOSED, 0, 0, access },
	{ M(STAC), 0, 0, NK_EXPOSED, 0, 1, access },
	{ M(SWAPGS), 0, 0, NK_EXPOSED, 0, 0, swapgs },
	{ M(LFENCE), 0, 0, 0, 0, 0, fence },
	{ M(SFENCE), 0, 0, 0, 0, 0, fence },
	{ M(MFENCE), 0, 0, 0, 0, 1, fence },
	{ M(PUSHFQ), FL_ARITH, 0, NK_EXPOSED, 0, 0, pushf },
	{ 0 },
};
