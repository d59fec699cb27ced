/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native_system.c - system instructions in native code that are frequent and simple (Arm ARM C5.2, C6.2): hints that do nothing, barriers, registers that are
 * no more than their place in the state page, masks of interrupts.
 */
#include "debug.h"
#include "native.h"
#include "sys.h"

#define	DAIF		0x3c0U
#define	DAIF_D		0x200U

/* On to the next instruction, although the block ends here for who decodes. */
static enum native
go_on(struct tr *t)
{
	native_goto(t, t->off + 4 * t->k + 4, t->k);
	t->ended = true;
	return (NATIVE_DONE);
}

static enum native
daif_immediate(struct tr *t, bool set, unsigned mask)
{
	struct late *slow;

	if ((t->c->mode & A64_MODE_EL0) != 0)
		return (NATIVE_NOT);
	slow = native_slow(t);
	/* D is what debugging depends on, where there is any. */
	if ((mask & 8) != 0) {
		emit_test_mi(t->e, 4, PAGE(mdscr_el1), MDSCR_SS | MDSCR_MDE);
		emit_jcc(t->e, CC_NE, &slow->from);
	}
	if (set) {
		emit_alu_mi(t->e, 4, ALU_OR, PAGE(pstate), (int32_t)(mask << 6));
		native_joined(t, slow);
		return (go_on(t));
	}
	emit_alu_mi(t->e, 4, ALU_AND, PAGE(pstate), (int32_t)~(mask << 6));
	emit_mov_mi(t->e, 1, CORE(attention), 1);
	native_joined(t, slow);
	native_look(t);
	return (NATIVE_DONE);
}

static enum native
read_daif(struct tr *t, unsigned rd)
{
	unsigned reg = native_new(t);

	native_settle_flags(t);
	emit_mov_rm(t->e, 4, reg, PAGE(pstate));
	emit_alu_ri(t->e, 4, ALU_AND, reg, DAIF);
	native_put(t, dst(rd), reg);
	return (go_on(t));
}

/* An interrupt can be taken behind it only where something is masked no more. */
static enum native
write_daif(struct tr *t, unsigned rt)
{
	struct emit_label same = { 0 }, plain = { 0 };
	struct late *slow = native_slow(t);
	unsigned reg = native_use(t, src(rt));
	struct emit *e = t->e;

	emit_mov_rr(e, 4, H_RAX, reg);
	emit_alu_rm(e, 4, ALU_XOR, H_RAX, PAGE(pstate));
	emit_alu_ri(e, 4, ALU_AND, H_RAX, DAIF);
	emit_jcc(e, CC_E, &same);
	emit_test_ri(e, 4, H_RAX, DAIF_D);
	emit_jcc(e, CC_E, &plain);
	emit_test_mi(e, 4, PAGE(mdscr_el1), MDSCR_SS | MDSCR_MDE);
	emit_jcc(e, CC_NE, &slow->from);
	emit_bind(e, &plain);
	emit_alu_mr(e, 4, ALU_XOR, PAGE(pstate), H_RAX);
	emit_mov_rm(e, 4, H_RCX, PAGE(pstate));
	emit_alu_rr(e, 4, ALU_AND, H_RCX, H_RAX);
	emit_alu_rr(e, 4, ALU_CMP, H_RCX, H_RAX);
	emit_jcc(e, CC_E, &same);
	emit_mov_mi(e, 1, CORE(attention), 1);
	native_joined(t, slow);
	native_look(t);
	emit_bind(e, &same);
	return (go_on(t));
}

static enum native
sysreg(struct tr *t, uint32_t w)
{
	uint64_t keep = UINT64_MAX;
	int off = a64_sysreg_place(t->i, &keep);
	unsigned slot = (unsigned)off / 8, rt = w & 31, from, reg;
	bool read = a64_bits(w, 21, 21) != 0, cached = slot < NATIVE_GONE;

	if (off < 0 || (keep != UINT64_MAX && keep != UINT32_MAX && !read) || (!read && !cached))
		return (NATIVE_NOT);
	reg = native_new(t);
	if (!read) {
		from = native_use(t, src(rt));
		emit_mov_rr(t->e, keep == UINT32_MAX ? 4 : 8, reg, from);
		native_put(t, slot, reg);
		return (NATIVE_KEPT);
	}
	if (cached)
		emit_mov_rr(t->e, 8, reg, native_use(t, slot));
	else
		emit_mov_rm(t->e, 8, reg, emit_at(H_RBP, off - NATIVE_BIAS));
	native_put(t, dst(rt), reg);
	return (NATIVE_KEPT);
}

/* DC ZVA: a line of 64 bytes */
static enum native
zero_line(struct tr *t, unsigned rt)
{
	struct late *slow = native_slow(t);
	struct emit *e = t->e;

	if ((t->c->mode & A64_MODE_EL0) != 0) {
		emit_test_mi(e, 4, PAGE(sctlr_el1), SCTLR_DZE);
		emit_jcc(e, CC_E, &slow->from);
	}
	emit_mov_rr(e, 8, H_RDX, native_use(t, src(rt)));
	emit_alu_ri(e, 8, ALU_AND, H_RDX, -64);
	native_look_up(t, 64, true, false, slow);
	emit_sse_rr(e, SSE_XORPS, 0, 0);
	for (int n = 0; n < 64; n += 16)
		emit_sse_rm(e, SSE_MOVDQU_STORE, 0, emit_at(H_RDX, n));
	native_joined(t, slow);
	return (go_on(t));
}

enum native
native_system(struct tr *t)
{
	uint32_t w = t->i->word;

	/* Hints other than YIELD, WFE, WFI */
	if ((w & 0xfffff01f) == 0xd503201f && (t->i->flags & A64_I_END) == 0)
		return (NATIVE_KEPT);
	/* DMB: what the host does not keep in order is a store before a load. */
	if ((w & 0xfffff0ff) == 0xd50330bf) {
		if (a64_bits(w, 9, 8) == 1 || a64_bits(w, 9, 8) == 2)
			return (NATIVE_KEPT);
		emit_lock(t->e);
		emit_alu_mi(t->e, 4, ALU_OR, emit_at(H_RSP, 0), 0);
		return (NATIVE_DONE);
	}
	if (w == ERET && (t->c->mode & A64_MODE_EL0) == 0) {
		native_return(t);
		return (NATIVE_DONE);
	}
	if ((w & 0xfffff0df) == 0xd50340df)
		return (daif_immediate(t, a64_bits(w, 5, 5) == 0, a64_bits(w, 11, 8)));
	if ((w & 0xffffffe0) == 0xd53b4220 && (t->c->mode & A64_MODE_EL0) == 0)
		return (read_daif(t, w & 31));
	if ((w & 0xffffffe0) == 0xd51b4220 && (t->c->mode & A64_MODE_EL0) == 0)
		return (write_daif(t, w & 31));
	if ((w & 0xffffffe0) == 0xd50b7420)
		return (zero_line(t, w & 31));
	if (w >> 20 == 0xd53 || w >> 20 == 0xd51)
		return (sysreg(t, w));
	return (NATIVE_NOT);
}
