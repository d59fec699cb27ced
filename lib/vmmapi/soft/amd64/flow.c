/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * flow.c - the stack, jumps and calls (Intel SDM vol. 2).
 */
#include "cpu.h"

/* A near target, cut to the operand size and checked (SDM vol. 2, JMP). */
static enum x86_status
target(struct x86 *x, uint64_t rip, uint64_t *out)
{
	rip &= x86_mask(x->insn.opsize);
	if (x86_64bit(x) ? !amd64_canonical(rip, x->s->cr4) : rip > x->s->seg[SEG_CS].limit)
		return (x86_fault_error(x, EXC_GP, 0));
	*out = rip;
	return (X_OK);
}

static enum x86_status
push(struct x86 *x, unsigned size, uint64_t val)
{
	uint64_t sp = x->s->gpr[RSP];

	TRY(x86_push_at(x, &sp, size, val));
	x86_sp_set(x, sp);
	return (X_OK);
}

/* 50 to 57 */
enum x86_status
x86_op_push(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	unsigned n = (i->op & 7) | (i->rex & 1) << 3;

	return (push(x, i->opsize, x86_gpr(x, (enum amd64_gpr)n, i->opsize)));
}

/* 68, 6A */
enum x86_status
x86_op_push_imm(struct x86 *x)
{
	return (push(x, x->insn.opsize, x->insn.imm));
}

/* 58 to 5F: POP of the stack pointer leaves what was popped */
enum x86_status
x86_op_pop(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	unsigned n = (i->op & 7) | (i->rex & 1) << 3;
	uint64_t sp = x->s->gpr[RSP], v;

	TRY(x86_pop_at(x, &sp, i->opsize, &v));
	x86_sp_set(x, sp);
	x86_gpr_set(x, (enum amd64_gpr)n, i->opsize, v);
	return (X_OK);
}

/* 8F: an address through the stack pointer is made with its value behind the pop */
enum x86_status
x86_op_pop_rm(struct x86 *x)
{
	struct x86_insn *i = &x->insn;
	uint64_t sp = x->s->gpr[RSP], v;

	if ((i->reg & 7) != 0)
		return (x86_fault(x, EXC_UD));
	TRY(x86_pop_at(x, &sp, i->opsize, &v));
	if (i->mod == 3) {
		x86_sp_set(x, sp);
		return (x86_rm_store(x, i->opsize, v));
	}
	if (i->base == RSP)
		i->disp += i->opsize;
	TRY(x86_rm_store(x, i->opsize, v));
	x86_sp_set(x, sp);
	return (X_OK);
}

/* 60, 61: in the order AX, CX, DX, BX, SP, BP, SI, DI; the popped SP is dropped */
enum x86_status
x86_op_pusha(struct x86 *x)
{
	unsigned size = x->insn.opsize;
	uint64_t sp = x->s->gpr[RSP];

	for (int n = RAX; n <= RDI; n++)
		TRY(x86_push_at(x, &sp, size, x86_gpr(x, (enum amd64_gpr)n, size)));
	x86_sp_set(x, sp);
	return (X_OK);
}

enum x86_status
x86_op_popa(struct x86 *x)
{
	unsigned size = x->insn.opsize;
	uint64_t sp = x->s->gpr[RSP], v[8];

	for (int n = RDI; n >= RAX; n--)
		TRY(x86_pop_at(x, &sp, size, &v[n]));
	x86_sp_set(x, sp);
	for (int n = RAX; n <= RDI; n++) {
		if (n != RSP)
			x86_gpr_set(x, (enum amd64_gpr)n, size, v[n]);
	}
	return (X_OK);
}

/*
 * 9C, 9D: VM and RF read as zero; what may change depends on the privilege (SDM vol. 2, POPF, table
 * 4-16)
 */
enum x86_status
x86_op_pushf(struct x86 *x)
{
	return (push(x, x->insn.opsize, x->s->rflags & ~(uint64_t)(FL_VM | FL_RF)));
}

enum x86_status
x86_op_popf(struct x86 *x)
{
	unsigned size = x->insn.opsize, cpl = x86_cpl(x);
	uint64_t sp = x->s->gpr[RSP], v, m = FL_ARITH | FL_TF | FL_DF | FL_NT;

	TRY(x86_pop_at(x, &sp, size, &v));
	if (size > 2)
		m |= FL_AC | FL_ID;
	if (cpl == 0)
		m |= FL_IOPL;
	if (cpl <= (x->s->rflags & FL_IOPL) >> 12)
		m |= FL_IF;
	x86_sp_set(x, sp);
	x86_flags(x, v, m);
	x86_flags(x, 0, FL_RF);
	return (X_OK);
}

static enum amd64_seg
op_sreg(const struct x86 *x)
{
	switch (x->insn.op) {
	case 0x1a0:
	case 0x1a1:
		return (SEG_FS);
	case 0x1a8:
	case 0x1a9:
		return (SEG_GS);
	default:
		return ((enum amd64_seg)((x->insn.op >> 3) & 3));
	}
}

/* 06, 0E, 16, 1E, 0F A0, 0F A8 */
enum x86_status
x86_op_push_sreg(struct x86 *x)
{
	return (push(x, x->insn.opsize, x->s->seg[op_sreg(x)].sel));
}

/* 07, 17, 1F, 0F A1, 0F A9 */
enum x86_status
x86_op_pop_sreg(struct x86 *x)
{
	enum amd64_seg seg = op_sreg(x);
	unsigned stack = x86_stacksize(x);
	uint64_t sp = x->s->gpr[RSP], v;

	TRY(x86_pop_at(x, &sp, x->insn.opsize, &v));
	TRY(x86_load_sreg(x, seg, (uint16_t)v));
	x86_gpr_set(x, RSP, stack, sp);
	if (seg == SEG_SS)
		x->shadow = 2;
	return (X_OK);
}

/* C8 */
enum x86_status
x86_op_enter(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	unsigned level = i->imm2 & 31, stack = x86_stacksize(x);
	uint64_t sp = x->s->gpr[RSP], bp = x->s->gpr[RBP], frame, v;

	TRY(x86_push_at(x, &sp, i->opsize, bp));
	frame = sp;
	for (unsigned n = 1; n < level; n++) {
		bp = (bp - i->opsize) & x86_mask(stack);
		TRY(x86_load(x, SEG_SS, bp, i->opsize, &v));
		TRY(x86_push_at(x, &sp, i->opsize, v));
	}
	if (level > 0)
		TRY(x86_push_at(x, &sp, i->opsize, frame));
	x86_sp_set(x, sp - i->imm);
	x86_gpr_set(x, RBP, i->opsize, frame);
	return (X_OK);
}

/* C9 */
enum x86_status
x86_op_leave(struct x86 *x)
{
	uint64_t sp = x86_gpr(x, RBP, x86_stacksize(x)), v;

	TRY(x86_pop_at(x, &sp, x->insn.opsize, &v));
	x86_sp_set(x, sp);
	x86_gpr_set(x, RBP, x->insn.opsize, v);
	return (X_OK);
}

static enum x86_status
call_to(struct x86 *x, uint64_t rip)
{
	uint64_t to = 0;

	TRY(target(x, rip, &to));
	TRY(push(x, x->insn.opsize, x->next));
	x->next = to;
	return (X_OK);
}

/* E8 */
enum x86_status
x86_op_call(struct x86 *x)
{
	return (call_to(x, x->next + x->insn.imm));
}

/* E9, EB */
enum x86_status
x86_op_jmp(struct x86 *x)
{
	return (target(x, x->next + x->insn.imm, &x->next));
}

/* 70 to 7F, 0F 80 to 8F */
enum x86_status
x86_op_jcc(struct x86 *x)
{
	if (!x86_cond(x->insn.op & 15, x->s->rflags))
		return (X_OK);
	return (x86_op_jmp(x));
}

/* E0 LOOPNE, E1 LOOPE, E2 LOOP, E3 JCXZ */
enum x86_status
x86_op_loop(struct x86 *x)
{
	unsigned op = x->insn.op & 3, size = x->insn.adsize;
	bool zf = (x->s->rflags & FL_ZF) != 0, taken;
	uint64_t count = x86_gpr(x, RCX, size);

	if (op == 3) {
		taken = count == 0;
	} else {
		count = (count - 1) & x86_mask(size);
		taken = count != 0 && (op == 2 || zf == (op == 1));
	}
	if (taken)
		TRY(x86_op_jmp(x));
	if (op != 3)
		x86_gpr_set(x, RCX, size, count);
	return (X_OK);
}

/* C2, C3 */
enum x86_status
x86_op_ret(struct x86 *x)
{
	uint64_t sp = x->s->gpr[RSP], v;

	TRY(x86_pop_at(x, &sp, x->insn.opsize, &v));
	TRY(target(x, v, &x->next));
	x86_sp_set(x, sp + x->insn.imm);
	return (X_OK);
}

/* CA, CB: to the same privilege */
enum x86_status
x86_op_retf(struct x86 *x)
{
	unsigned size = x->insn.opsize, stack = x86_stacksize(x);
	uint64_t sp = x->s->gpr[RSP], rip, cs;

	TRY(x86_pop_at(x, &sp, size, &rip));
	TRY(x86_pop_at(x, &sp, size, &cs));
	if (x86_protected(x) && (cs & 3) != x86_cpl(x))
		return (x86_fault_error(x, EXC_GP, (uint32_t)cs & 0xfffc));
	TRY(x86_far_jump(x, (uint16_t)cs, rip));
	x86_gpr_set(x, RSP, stack, sp + x->insn.imm);
	return (X_OK);
}

static enum x86_status
far_call(struct x86 *x, uint16_t sel, uint64_t off)
{
	unsigned size = x->insn.opsize, stack = x86_stacksize(x);
	uint64_t sp = x->s->gpr[RSP], back = x->next;

	/*
	 * The pushes first: what they need is the old code segment's stack width, and the jump is
	 * the last to fail.
	 */
	TRY(x86_push_at(x, &sp, size, x->s->seg[SEG_CS].sel));
	TRY(x86_push_at(x, &sp, size, back));
	TRY(x86_far_jump(x, sel, off));
	x86_gpr_set(x, RSP, stack, sp);
	return (X_OK);
}

/* 9A, EA */
enum x86_status
x86_op_far(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	uint64_t off = i->imm & x86_mask(i->opsize);

	return (i->op == 0x9a ? far_call(x, i->imm2, off) : x86_far_jump(x, i->imm2, off));
}

/* FF */
enum x86_status
x86_op_group5(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	unsigned op = i->reg & 7;
	uint64_t v, sel;

	switch (op) {
	case 0:
	case 1:
		return (x86_op_group4(x));
	case 2:
	case 4:
		TRY(x86_rm_load(x, i->opsize, &v));
		return (op == 2 ? call_to(x, v) : target(x, v, &x->next));
	case 3:
	case 5:
		if (i->mod == 3)
			return (x86_fault(x, EXC_UD));
		TRY(x86_rm_load(x, i->opsize, &v));
		TRY(x86_load(x, (enum amd64_seg)i->memseg,
		    (x86_ea(x) + i->opsize) & x86_mask(i->adsize), 2, &sel));
		return (op == 3 ? far_call(x, (uint16_t)sel, v) :
		    x86_far_jump(x, (uint16_t)sel, v));
	case 6:
		TRY(x86_rm_load(x, i->opsize, &v));
		return (push(x, i->opsize, v));
	default:
		return (x86_fault(x, EXC_UD));
	}
}

/* CD */
enum x86_status
x86_op_int(struct x86 *x)
{
	return (x86_deliver(x, EVENT_SOFT, (uint8_t)x->insn.imm, false, 0, x->next));
}

/* CC */
enum x86_status
x86_op_int3(struct x86 *x)
{
	struct vm_exit *ex;

	if (x->vcpu->caps[VM_CAP_BREAK_EXIT] != 1)
		return (x86_deliver(x, EVENT_SOFT, EXC_BP, false, 0, x->next));
	ex = soft_exit(x->cpu, VM_EXIT_DEBUG, false);
	ex->u.debug.addr = x->s->rip;
	ex->u.debug.reason = VM_AMD64_DEBUG_INT3;
	return (X_STOP);
}

/* CE */
enum x86_status
x86_op_into(struct x86 *x)
{
	if ((x->s->rflags & FL_OF) == 0)
		return (X_OK);
	return (x86_deliver(x, EVENT_SOFT, 4, false, 0, x->next));
}
