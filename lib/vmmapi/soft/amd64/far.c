/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * far.c - jumps, calls and returns to other code segments, software interrupts and IRET (Intel SDM
 * vol. 2; vol. 3 5.8, 6.12, 20.3).
 */
#include "segment.h"

/* The end of every transfer: CS, SS and flags are in place. */
static enum x86_status
arrive(struct x86 *x, uint64_t rip)
{
	x->s->rip = rip;
	x86_mode(x);
	return (X_JUMP);
}

/* Real and virtual-8086 mode: any segment is code. */
static enum x86_status
real_offset(struct x86 *x, uint64_t off)
{
	return (off > x->s->seg[SEG_CS].limit ? GP0(x) : X_DONE);
}

static enum x86_status
real_arrive(struct x86 *x, uint16_t sel, uint64_t off)
{
	x86_real_sreg(x, SEG_CS, sel);
	return (arrive(x, off));
}

/* Both L and D are set where L counts. */
static bool
both_sizes(const struct x86 *x, const struct amd64_segment *seg)
{
	return (x86_long(x) && (seg->access & VM_AMD64_SEG_L) != 0 && (seg->access & VM_AMD64_SEG_DB) != 0);
}

/* A code segment as target of JMP or CALL, without a gate: the level stays (5.8.1). */
static enum x86_status
direct_code(struct x86 *x, const struct amd64_segment *seg)
{
	uint32_t error = seg->sel & SEL_MASK;
	unsigned cpl = x86_cpl(x), rpl = seg->sel & 3, dpl = VM_AMD64_SEG_DPL(seg->access);

	if (both_sizes(x, seg) || (seg_is_conforming(seg) ? dpl > cpl : rpl > cpl || dpl != cpl))
		return (x86_fault_error(x, EXC_GP, error));
	if ((seg->access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, EXC_NP, error));
	return (X_DONE);
}

/* Gates */

struct call_gate {
	uint16_t	sel;
	uint64_t	off;
	unsigned	size;		/* of what is pushed */
	unsigned	params;
};

/* A gate or TSS may be used by the present level and its selector's (5.8.4, 7.3). */
static bool
gate_allowed(const struct x86 *x, uint16_t sel, uint64_t desc)
{
	return (DESC_DPL(desc) >= x86_cpl(x) && DESC_DPL(desc) >= (sel & 3U));
}

static enum x86_status
read_call_gate(struct x86 *x, uint16_t sel, uint64_t desc, uint64_t lin, struct call_gate *g)
{
	uint32_t error = sel & SEL_MASK;
	uint64_t high = 0;
	bool wide = (DESC_TYPE(desc) & SYS_32) != 0;

	if (!gate_allowed(x, sel, desc))
		return (x86_fault_error(x, EXC_GP, error));
	if (!DESC_P(desc))
		return (x86_fault_error(x, EXC_NP, error));
	if (x86_long(x))
		TRY(x86_read_desc_high(x, sel, lin, error, &high));
	g->sel = (uint16_t)(desc >> 16);
	g->off = (desc & 0xffff) | (wide ? (desc >> 32) & 0xffff0000 : 0) | high << 32;
	g->size = x86_long(x) ? 8 : wide ? 4 : 2;
	g->params = x86_long(x) ? 0 : (unsigned)(desc >> 32) & 31;
	return (X_DONE);
}

static enum x86_status
jump_gate(struct x86 *x, const struct call_gate *g)
{
	struct amd64_segment cs;

	TRY(x86_gate_code(x, g->sel, 0, true, &cs));
	TRY(x86_code_offset(x, &cs, g->off, 0));
	x86_set_cs(x, &cs, x86_cpl(x));
	return (arrive(x, g->off));
}

/* The old stack's pointer, and the parameters that the gate says lie there (5.8.5). */
static enum x86_status
push_caller(struct x86 *x, const struct call_gate *g, struct x86_stack *st)
{
	uint64_t mask = x86_mask(x86_stacksize(x)), sp = x->s->gpr[RSP], v = 0;

	TRY(x86_stack_push(x, st, g->size, x->s->seg[SEG_SS].sel));
	TRY(x86_stack_push(x, st, g->size, sp));
	for (unsigned n = g->params; n-- > 0;) {
		TRY(x86_load_seg(x, SEG_SS, (sp + n * g->size) & mask, g->size, &v));
		TRY(x86_stack_push(x, st, g->size, v));
	}
	return (X_DONE);
}

static enum x86_status
call_gate(struct x86 *x, const struct x86_insn *i, const struct call_gate *g)
{
	struct amd64_segment cs;
	struct x86_stack st;
	unsigned cpl = x86_cpl(x), dpl;

	TRY(x86_gate_code(x, g->sel, 0, false, &cs));
	dpl = seg_is_conforming(&cs) ? cpl : VM_AMD64_SEG_DPL(cs.access);
	if (dpl != cpl) {
		TRY(x86_stack_inner(x, dpl, 0, 0, &st));
	} else {
		st = x86_stack_here(x, 0);
		if (x86_long(x))
			st.size = 8;
	}
	TRY(x86_code_offset(x, &cs, g->off, 0));
	if (dpl != cpl)
		TRY(push_caller(x, g, &st));
	TRY(x86_stack_push(x, &st, g->size, x->s->seg[SEG_CS].sel));
	TRY(x86_stack_push(x, &st, g->size, x86_next_rip(x, i)));
	x86_stack_use(x, &st);
	x86_set_cs(x, &cs, dpl);
	return (arrive(x, g->off));
}

/* A system descriptor as target: gates and tasks. */
static enum x86_status
system_transfer(struct x86 *x, const struct x86_insn *i, uint16_t sel, uint64_t desc, uint64_t lin, bool call)
{
	enum x86_task why = call ? TASK_CALL : TASK_JMP;
	uint32_t error = sel & SEL_MASK;
	unsigned type = DESC_TYPE(desc);
	struct call_gate g = { 0 };

	if (type == SYS_CALL || (type == SYS_CALL16 && !x86_long(x))) {
		TRY(read_call_gate(x, sel, desc, lin, &g));
		return (call ? call_gate(x, i, &g) : jump_gate(x, &g));
	}
	if (x86_long(x) || (type != SYS_TASK && type != SYS_TSS && type != SYS_TSS16) ||
	    !gate_allowed(x, sel, desc))
		return (x86_fault_error(x, EXC_GP, error));
	if (type == SYS_TASK) {
		if (!DESC_P(desc))
			return (x86_fault_error(x, EXC_NP, error));
		sel = (uint16_t)(desc >> 16);
	}
	return (x86_task_switch(x, sel, why, x86_next_rip(x, i), false, 0));
}

static enum x86_status
protected_transfer(struct x86 *x, const struct x86_insn *i, uint16_t sel, uint64_t off, bool call)
{
	struct amd64_segment cs;
	uint64_t desc = 0, lin = 0, sp = x->s->gpr[RSP];
	unsigned cpl = x86_cpl(x);

	if ((sel & SEL_MASK) == 0)
		return (GP0(x));
	TRY(x86_read_desc(x, sel, EXC_GP, sel & SEL_MASK, &desc, &lin));
	if ((DESC_TYPE(desc) & TYPE_S) == 0)
		return (system_transfer(x, i, sel, desc, lin, call));
	cs = x86_unpack_desc(sel, desc);
	if (!seg_is_code(&cs))
		return (x86_fault_error(x, EXC_GP, sel & SEL_MASK));
	TRY(direct_code(x, &cs));
	TRY(x86_code_offset(x, &cs, off, 0));
	if (call) {
		TRY(x86_push_at(x, &sp, i->opsize, x->s->seg[SEG_CS].sel));
		TRY(x86_push_at(x, &sp, i->opsize, x86_next_rip(x, i)));
	}
	TRY(x86_set_accessed(x, &cs, lin));
	if (call)
		x86_sp_set(x, sp);
	x86_set_cs(x, &cs, cpl);
	return (arrive(x, off));
}

static enum x86_status
transfer(struct x86 *x, const struct x86_insn *i, uint16_t sel, uint64_t off, bool call)
{
	uint64_t sp = x->s->gpr[RSP];

	if (!x86_real_or_v86(x))
		return (protected_transfer(x, i, sel, off, call));
	TRY(real_offset(x, off));
	if (call) {
		TRY(x86_push_at(x, &sp, i->opsize, x->s->seg[SEG_CS].sel));
		TRY(x86_push_at(x, &sp, i->opsize, x86_next_rip(x, i)));
		x86_sp_set(x, sp);
	}
	return (real_arrive(x, sel, off));
}

/* JMP and CALL; arg: CALL */

static enum x86_status
far_pointer(struct x86 *x, const struct x86_insn *i)
{
	return (transfer(x, i, i->imm2, i->imm & x86_mask(i->opsize), i->arg != 0));
}

static enum x86_status
far_memory(struct x86 *x, const struct x86_insn *i)
{
	enum amd64_seg seg = (enum amd64_seg)i->seg;
	uint64_t ea = x86_ea(x, i), off = 0, sel = 0;

	TRY(x86_load_seg(x, seg, ea, i->opsize, &off));
	TRY(x86_load_seg(x, seg, (ea + i->opsize) & x86_mask(i->adsize), 2, &sel));
	return (transfer(x, i, (uint16_t)sel, off, i->arg != 0));
}

static bool
bind_far(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	i->fn = x86_is_mem(d, 0) ? far_memory : far_pointer;
	return (d->z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR);
}

/* Returns */

struct ret {
	struct amd64_segment cs, ss;
	uint64_t	rip, rsp;
	unsigned	cpl;		/* that is returned to */
};

/* The code segment of a return address (vol. 2, RET and IRET). */
static enum x86_status
return_code(struct x86 *x, uint16_t sel, struct ret *r)
{
	uint32_t error = sel & SEL_MASK;
	unsigned rpl = sel & 3, dpl;
	uint64_t desc = 0, lin = 0;

	if (error == 0)
		return (GP0(x));
	TRY(x86_read_desc(x, sel, EXC_GP, error, &desc, &lin));
	r->cs = x86_unpack_desc(sel, desc);
	r->cpl = rpl;
	dpl = VM_AMD64_SEG_DPL(r->cs.access);
	if (rpl < x86_cpl(x) || !seg_is_code(&r->cs) || both_sizes(x, &r->cs) ||
	    (seg_is_conforming(&r->cs) ? dpl > rpl : dpl != rpl))
		return (x86_fault_error(x, EXC_GP, error));
	if ((r->cs.access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, EXC_NP, error));
	return (x86_set_accessed(x, &r->cs, lin));
}

/* The stack segment: null only for 64-bit code below level 3 (5.8.6, 6.14.3). */
static enum x86_status
return_stack(struct x86 *x, uint16_t sel, struct ret *r)
{
	bool wide = x86_long(x) && (r->cs.access & VM_AMD64_SEG_L) != 0;

	if ((sel & SEL_MASK) == 0) {
		if (!wide || r->cpl == 3 || (sel & 3) != r->cpl)
			return (GP0(x));
		r->ss = x86_null_ss(sel, r->cpl);
		return (X_DONE);
	}
	return (x86_stack_desc(x, sel, r->cpl, EXC_GP, 0, &r->ss));
}

/*
 * What the outer level may not see is taken away (5.8.6).  Bases stay: 64-bit code has FS and GS with
 * null selectors.
 */
static void
drop_segments(struct x86 *x, unsigned cpl)
{
	static const enum amd64_seg data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

	for (unsigned n = 0; n < nitems(data); n++) {
		struct amd64_segment *seg = &x->s->seg[data[n]];
		bool conforming = seg_is_code(seg) && seg_is_conforming(seg);

		if ((seg->access & VM_AMD64_SEG_UNUSABLE) == 0 && (conforming ||
		    VM_AMD64_SEG_DPL(seg->access) >= cpl))
			continue;
		seg->sel = 0;
		seg->access = VM_AMD64_SEG_UNUSABLE;
	}
}

/* Take the stack of the return in use, as wide as it is addressed there. */
static void
use_stack(struct x86 *x, const struct ret *r)
{
	bool wide = x86_long(x) && (r->cs.access & VM_AMD64_SEG_L) != 0;

	x->s->seg[SEG_SS] = r->ss;
	x86_gpr_set(x, RSP, wide ? 8 : (r->ss.access & VM_AMD64_SEG_DB) != 0 ? 4 : 2, r->rsp);
}

/* The outer stack of a return, off the present one. */
static enum x86_status
pop_stack(struct x86 *x, uint64_t *sp, unsigned size, struct ret *r)
{
	uint64_t ss = 0;

	TRY(x86_pop_at(x, sp, size, &r->rsp));
	TRY(x86_pop_at(x, sp, size, &ss));
	return (return_stack(x, (uint16_t)ss, r));
}

/* Code and stack of a return from level cpl: nothing faults behind the check of the code. */
static enum x86_status
go_back(struct x86 *x, struct ret *r, uint64_t sp, unsigned cpl, bool stack)
{
	TRY(x86_code_offset(x, &r->cs, r->rip, 0));
	if (stack)
		use_stack(x, r);
	else
		x86_sp_set(x, sp);
	x86_set_cs(x, &r->cs, r->cpl);
	if (r->cpl != cpl)
		drop_segments(x, r->cpl);
	return (X_DONE);
}

static enum x86_status
ret_protected(struct x86 *x, const struct x86_insn *i)
{
	unsigned size = i->opsize, cpl = x86_cpl(x);
	uint64_t sp = x->s->gpr[RSP], cs = 0;
	struct ret r = { .rip = 0 };

	TRY(x86_pop_at(x, &sp, size, &r.rip));
	TRY(x86_pop_at(x, &sp, size, &cs));
	TRY(return_code(x, (uint16_t)cs, &r));
	sp = (sp + i->imm) & x86_mask(x86_stacksize(x));
	if (r.cpl != cpl) {
		TRY(pop_stack(x, &sp, size, &r));
		r.rsp += i->imm;
	}
	TRY(go_back(x, &r, sp, cpl, r.cpl != cpl));
	return (arrive(x, r.rip));
}

static enum x86_status
far_ret(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x->s->gpr[RSP], rip = 0, cs = 0;

	if (!x86_real_or_v86(x))
		return (ret_protected(x, i));
	TRY(x86_pop_at(x, &sp, i->opsize, &rip));
	TRY(x86_pop_at(x, &sp, i->opsize, &cs));
	TRY(real_offset(x, rip));
	x86_sp_set(x, sp + i->imm);
	return (real_arrive(x, (uint16_t)cs, rip));
}

static bool
bind_ret(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	i->fn = far_ret;
	return (d->z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR);
}

/* Software interrupts */

/* In virtual-8086 mode INT n, and it alone, is for IOPL 3 (20.2.7; VME is not offered). */
static enum x86_status
op_int(struct x86 *x, const struct x86_insn *i)
{
	if (x86_v86(x) && x86_iopl(x) != 3)
		return (GP0(x));
	return (x86_soft_int(x, i, (uint8_t)i->imm));
}

static enum x86_status
op_int3(struct x86 *x, const struct x86_insn *i)
{
	struct vm_exit *ex;

	if (x->vcpu->caps[VM_CAP_BREAK_EXIT] != 1)
		return (x86_soft_int(x, i, EXC_BP));
	x86_sync(x);
	ex = soft_exit(x->cpu, VM_EXIT_DEBUG, false);
	ex->u.debug.addr = x->s->rip;
	ex->u.debug.reason = VM_AMD64_DEBUG_INT3;
	ex->u.debug.why = VM_DEBUG_BY_GUEST;
	return (X_STOP);
}

static enum x86_status
op_into(struct x86 *x, const struct x86_insn *i)
{
	return ((x->s->rflags & FL_OF) != 0 ? x86_soft_int(x, i, EXC_OF) : X_DONE);
}

static enum x86_status
op_int1(struct x86 *x, const struct x86_insn *i)
{
	return (x86_icebp(x, i));
}

/* IRET */

#define	FL_RETURN	(FL_ARITH | FL_TF | FL_DF | FL_NT)	/* at any level */
#define	FL_RETURN32	(FL_RF | FL_AC | FL_ID)			/* with operands of more than 16 bits */

/* Flags came from a frame: RF is the next instruction's, interrupts and traps may be due. */
static enum x86_status
iret_done(struct x86 *x, uint64_t rip, uint64_t fl, uint64_t mask)
{
	x86_flags(x, fl, mask);
	x->keep_rf = true;
	x->attention = true;
	return (arrive(x, rip));
}

static enum x86_status
iret_real(struct x86 *x, const struct x86_insn *i)
{
	uint64_t sp = x->s->gpr[RSP], rip = 0, cs = 0, fl = 0, mask = FL_RETURN | FL_IF;

	if (i->opsize > 2)
		mask |= FL_RETURN32;
	if (!x86_v86(x))
		mask |= FL_IOPL;
	else if (x86_iopl(x) != 3)
		return (GP0(x));
	TRY(x86_pop_at(x, &sp, i->opsize, &rip));
	TRY(x86_pop_at(x, &sp, i->opsize, &cs));
	TRY(x86_pop_at(x, &sp, i->opsize, &fl));
	TRY(real_offset(x, rip));
	x86_sp_set(x, sp);
	x86_real_sreg(x, SEG_CS, (uint16_t)cs);
	return (iret_done(x, rip, fl, mask));
}

/* Flags that the present level may change (vol. 2, IRET). */
static uint64_t
flags_allowed(const struct x86 *x, unsigned size)
{
	uint64_t mask = FL_RETURN;

	if (size > 2)
		mask |= FL_RETURN32;
	if (x86_cpl(x) <= x86_iopl(x))
		mask |= FL_IF;
	if (x86_cpl(x) == 0)
		mask |= FL_IOPL | (size > 2 ? FL_VIF | FL_VIP : 0);
	return (mask);
}

/* To virtual-8086 mode (20.2.6): ESP and SS, ES, DS, FS, GS follow. */
static enum x86_status
iret_v86(struct x86 *x, uint64_t sp, uint64_t rip, uint64_t cs, uint64_t fl)
{
	static const enum amd64_seg order[] = { SEG_SS, SEG_ES, SEG_DS, SEG_FS, SEG_GS };
	uint64_t rsp = 0, sel[nitems(order)] = { 0 };

	TRY(x86_pop_at(x, &sp, 4, &rsp));
	for (unsigned n = 0; n < nitems(order); n++)
		TRY(x86_pop_at(x, &sp, 4, &sel[n]));
	if (rip > 0xffff)
		return (GP0(x));
	x86_flags(x, fl, FL_RETURN | FL_RETURN32 | FL_IF | FL_IOPL | FL_VM | FL_VIF | FL_VIP);
	x86_real_sreg(x, SEG_CS, (uint16_t)cs);
	for (unsigned n = 0; n < nitems(order); n++)
		x86_real_sreg(x, order[n], (uint16_t)sel[n]);
	x->s->gpr[RSP] = rsp;
	return (iret_done(x, rip, fl, 0));
}

static enum x86_status
iret_protected(struct x86 *x, const struct x86_insn *i)
{
	unsigned size = i->opsize, cpl = x86_cpl(x);
	uint64_t sp = x->s->gpr[RSP], cs = 0, fl = 0, mask = flags_allowed(x, size);
	struct ret r = { .rip = 0 };
	bool stack;

	TRY(x86_pop_at(x, &sp, size, &r.rip));
	TRY(x86_pop_at(x, &sp, size, &cs));
	TRY(x86_pop_at(x, &sp, size, &fl));
	if ((fl & FL_VM) != 0 && size == 4 && cpl == 0 && !x86_long(x))
		return (iret_v86(x, sp, r.rip, cs, fl));
	TRY(return_code(x, (uint16_t)cs, &r));
	/* From 64-bit mode the stack is always in the frame (6.14.3). */
	stack = r.cpl != cpl || x86_64bit(x);
	if (stack) {
		TRY(pop_stack(x, &sp, size, &r));
	}
	TRY(go_back(x, &r, sp, cpl, stack));
	return (iret_done(x, r.rip, fl, mask));
}

/* The task that was interrupted or called from (7.4) */
static enum x86_status
iret_task(struct x86 *x, const struct x86_insn *i)
{
	uint64_t link = 0;

	TRY(x86_sys_load(x, x->s->seg[SEG_TR].base, 2, &link));
	return (x86_task_switch(x, (uint16_t)link, TASK_IRET, x86_next_rip(x, i), false, 0));
}

static enum x86_status
op_iret(struct x86 *x, const struct x86_insn *i)
{
	/* It ends the blocking of NMIs whether or not it succeeds (6.7.1, 25.3). */
	if (x->s->nmi_blocked) {
		x->s->nmi_blocked = 0;
		x->attention = true;
	}
	if (x86_real_or_v86(x))
		return (iret_real(x, i));
	if ((x->s->rflags & FL_NT) != 0)
		return (x86_long(x) ? GP0(x) : iret_task(x, i));
	return (iret_protected(x, i));
}

#define	M(n)	ZYDIS_MNEMONIC_##n

const struct x86_opdesc x86_ops_far[] = {
	{ M(JMP), XD_END, 0, NULL, bind_far },
	{ M(CALL), XD_END, 1, NULL, bind_far },
	{ M(RET), XD_END, 0, NULL, bind_ret },
	{ M(INT), XD_END, 0, op_int, NULL },
	{ M(INT3), XD_END, 0, op_int3, NULL },
	{ M(INTO), XD_END | XD_NO64, 0, op_into, NULL },
	{ M(INT1), XD_END, 0, op_int1, NULL },
	{ M(IRET), XD_END, 0, op_iret, NULL },
	{ M(IRETD), XD_END, 0, op_iret, NULL },
	{ M(IRETQ), XD_END, 0, op_iret, NULL },
	{ 0 },
};
