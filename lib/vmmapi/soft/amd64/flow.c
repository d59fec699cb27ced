/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow.c - near branches (Intel SDM vol. 2, JMP, CALL, RET, Jcc, LOOP).  Far ones are in far.c.
 *
 * In 64-bit mode they are 64 bits wide, with an operand-size prefix too, and the target must be
 * canonical; elsewhere it is cut to the operand size and must be within the limit of CS.  What is
 * wrong with it is #GP(0) of the branch, which has then changed nothing.
 */
#include "cond.h"
#include "decode.h"

/* The usual case, before LA57 is looked at. */
X86_INLINE bool
canonical(const struct x86 *x, uint64_t rip)
{
	return (likely((uint64_t)((int64_t)(rip << 16) >> 16) == rip) || amd64_canonical(rip, x->s->cr4));
}

/* Check a target; wide: in 64-bit mode. */
X86_INLINE enum x86_status
target(struct x86 *x, const struct x86_insn *i, bool wide, uint64_t *rip)
{
	if (wide) {
		if (unlikely(!canonical(x, *rip)))
			return (GP0(x));
	} else {
		*rip &= x86_mask(i->opsize);
		if (unlikely(*rip > x->s->seg[SEG_CS].limit))
			return (GP0(x));
	}
	return (X_DONE);
}

X86_INLINE enum x86_status
jump(struct x86 *x, const struct x86_insn *i, bool wide, uint64_t rip)
{
	TRY(target(x, i, wide, &rip));
	x->s->rip = rip;
	return (X_JUMP);
}

X86_INLINE uint64_t
relative(const struct x86 *x, const struct x86_insn *i, bool wide)
{
	if (wide)
		return (x->rip0 + i->off + i->len + i->imm);
	return (x86_next_rip(x, i) + i->imm);
}

X86_INLINE enum x86_status
call(struct x86 *x, const struct x86_insn *i, bool wide, uint64_t rip)
{
	uint64_t sp = x->s->gpr[RSP] - 8;

	TRY(target(x, i, wide, &rip));
	if (wide) {
		TRY(x86_store_at(x, SEG_SS, sp, 8, x->rip0 + i->off + i->len));
		x->s->gpr[RSP] = sp;
	} else {
		sp = x->s->gpr[RSP];
		TRY(x86_push_at(x, &sp, i->opsize, x86_next_rip(x, i)));
		x86_sp_set(x, sp);
	}
	x->s->rip = rip;
	return (X_JUMP);
}

X86_INLINE enum x86_status
ret(struct x86 *x, const struct x86_insn *i, bool wide)
{
	uint64_t sp = x->s->gpr[RSP], rip;

	if (wide) {
		TRY(x86_load_at(x, SEG_SS, sp, 8, &rip));
		sp += 8;
	} else {
		TRY(x86_pop_at(x, &sp, i->opsize, &rip));
	}
	TRY(target(x, i, wide, &rip));
	sp += i->imm;
	if (wide)
		x->s->gpr[RSP] = sp;
	else
		x86_sp_set(x, sp);
	x->s->rip = rip;
	return (X_JUMP);
}

/* Where an indirect branch goes. */
X86_INLINE enum x86_status
indirect(struct x86 *x, const struct x86_insn *i, bool wide, bool mem, uint64_t *rip)
{
	unsigned size = wide ? 8 : i->opsize;

	if (mem)
		return (x86_load(x, i, size, rip));
	*rip = x86_reg(x, i->r[0], size);
	return (X_DONE);
}

#define	FORMS(suffix, wide)							\
static enum x86_status								\
jmp_rel##suffix(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (jump(x, i, wide, relative(x, i, wide)));			\
}										\
static enum x86_status								\
jmp_r##suffix(struct x86 *x, const struct x86_insn *i)				\
{										\
	uint64_t rip;								\
										\
	TRY(indirect(x, i, wide, false, &rip));					\
	return (jump(x, i, wide, rip));						\
}										\
static enum x86_status								\
jmp_m##suffix(struct x86 *x, const struct x86_insn *i)				\
{										\
	uint64_t rip;								\
										\
	TRY(indirect(x, i, wide, true, &rip));					\
	return (jump(x, i, wide, rip));						\
}										\
static enum x86_status								\
call_rel##suffix(struct x86 *x, const struct x86_insn *i)			\
{										\
	return (call(x, i, wide, relative(x, i, wide)));			\
}										\
static enum x86_status								\
call_r##suffix(struct x86 *x, const struct x86_insn *i)				\
{										\
	uint64_t rip;								\
										\
	TRY(indirect(x, i, wide, false, &rip));					\
	return (call(x, i, wide, rip));						\
}										\
static enum x86_status								\
call_m##suffix(struct x86 *x, const struct x86_insn *i)				\
{										\
	uint64_t rip;								\
										\
	TRY(indirect(x, i, wide, true, &rip));					\
	return (call(x, i, wide, rip));						\
}										\
static enum x86_status								\
ret##suffix(struct x86 *x, const struct x86_insn *i)				\
{										\
	return (ret(x, i, wide));						\
}

FORMS(64, true)
FORMS(32, false)

static bool
is_wide(const struct x86_decoded *d)
{
	return ((d->mode & X86_MODE_SIZE) == X86_MODE_64);
}

/* Near JMP and CALL: 0 and 1. */
static bool
bind_branch(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	static x86_op *const fns[2][3][2] = {
		{ { jmp_rel32, jmp_rel64 }, { jmp_r32, jmp_r64 }, { jmp_m32, jmp_m64 } },
		{ { call_rel32, call_rel64 }, { call_r32, call_r64 }, { call_m32, call_m64 } },
	};
	unsigned form = x86_is_mem(d, 0) ? 2 : x86_is_reg(d, 0) ? 1 : 0;

	i->fn = fns[arg][form][is_wide(d)];
	return (d->z->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR);
}

static bool
bind_ret(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	i->fn = is_wide(d) ? ret64 : ret32;
	i->imm &= 0xffff;
	return (d->z->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR);
}

#define	JCC(name, cc)								\
static enum x86_status								\
j##name##_64(struct x86 *x, const struct x86_insn *i)				\
{										\
	if (!x86_cond(cc, x->s->rflags))					\
		return (X_DONE);							\
	return (jump(x, i, true, relative(x, i, true)));			\
}										\
static enum x86_status								\
j##name##_32(struct x86 *x, const struct x86_insn *i)				\
{										\
	if (!x86_cond(cc, x->s->rflags))					\
		return (X_DONE);							\
	return (jump(x, i, false, relative(x, i, false)));			\
}
CONDITIONS(JCC)

static bool
bind_jcc(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
#define	ROW(name, cc)	[cc] = { j##name##_32, j##name##_64 },
	static x86_op *const fns[16][2] = { CONDITIONS(ROW) };
#undef	ROW

	i->fn = fns[arg][is_wide(d)];
	return (true);
}

/* rCX as wide as an address */

static enum x86_status
jrcxz(struct x86 *x, const struct x86_insn *i)
{
	if (x86_gpr(x, RCX, i->adsize) != 0)
		return (X_DONE);
	return (jump(x, i, x->flat, relative(x, i, x->flat)));
}

enum { LOOP, LOOPE, LOOPNE };

static enum x86_status
loop(struct x86 *x, const struct x86_insn *i)
{
	uint64_t count = (x86_gpr(x, RCX, i->adsize) - 1) & x86_mask(i->adsize),
	    rip = relative(x, i, x->flat);
	bool zf = (x->s->rflags & FL_ZF) != 0, taken;

	taken = count != 0 && (i->arg == LOOP || zf == (i->arg == LOOPE));
	if (taken)
		TRY(target(x, i, x->flat, &rip));
	x86_gpr_set(x, RCX, i->adsize, count);
	if (!taken)
		return (X_DONE);
	x->s->rip = rip;
	return (X_JUMP);
}

#define	JCC_ENTRY(name, cc)	{ ZYDIS_MNEMONIC_J##name, 0, cc, NULL, bind_jcc },

const struct x86_opdesc x86_ops_flow[] = {
	{ ZYDIS_MNEMONIC_JMP, XD_END, 0, NULL, bind_branch },
	{ ZYDIS_MNEMONIC_CALL, XD_END, 1, NULL, bind_branch },
	{ ZYDIS_MNEMONIC_RET, XD_END, 0, NULL, bind_ret },
	CONDITIONS(JCC_ENTRY)
	{ ZYDIS_MNEMONIC_JCXZ, 0, 0, jrcxz, NULL },
	{ ZYDIS_MNEMONIC_JECXZ, 0, 0, jrcxz, NULL },
	{ ZYDIS_MNEMONIC_JRCXZ, 0, 0, jrcxz, NULL },
	{ ZYDIS_MNEMONIC_LOOP, 0, LOOP, loop, NULL },
	{ ZYDIS_MNEMONIC_LOOPE, 0, LOOPE, loop, NULL },
	{ ZYDIS_MNEMONIC_LOOPNE, 0, LOOPNE, loop, NULL },
	{ 0 },
};
