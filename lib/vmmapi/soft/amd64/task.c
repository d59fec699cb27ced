/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * task.c - hardware task switches (Intel SDM vol. 3 chapter 7; not in IA-32e mode).
 *
 * What can fail for the old task is checked before anything changes.  From then on exceptions are
 * the new task's: it is in place when they are delivered, with what could be loaded of it.
 */
#include "segment.h"

#define	DR6_BT		0x8000U
#define	DR7_LOCAL	0x155U		/* L0 to L3 and LE */

/* Flags that a TSS can set; bit 1 always is. */
#define	FL_TASK		(FL_ARITH | FL_TF | FL_IF | FL_DF | FL_IOPL | FL_NT | FL_RF | FL_VM | FL_AC | \
			FL_VIF | FL_VIP | FL_ID)

/* Where a TSS has what (figures 7-2 and 7-10). */
struct layout {
	unsigned	size;		/* of a general register, also of RIP and flags */
	unsigned	sel_step;	/* from selector to selector */
	unsigned	min_limit;	/* of a new one */
	unsigned	ip, flags, gpr, sreg, ldt;
	unsigned	nsreg;		/* ES, CS, SS, DS; FS and GS with 32 bits only */
	unsigned	save, save_end;	/* what a switch away from it writes */
};

static const struct layout tss16 = {
	.size = 2, .sel_step = 2, .min_limit = 0x2b, .ip = 0x0e, .flags = 0x10, .gpr = 0x12, .sreg = 0x22,
	.ldt = 0x2a, .nsreg = 4, .save = 0x0e, .save_end = 0x2a,
};
static const struct layout tss32 = {
	.size = 4, .sel_step = 4, .min_limit = 0x67, .ip = 0x20, .flags = 0x24, .gpr = 0x28, .sreg = 0x48,
	.ldt = 0x60, .nsreg = 6, .save = 0x20, .save_end = 0x60,
};
#define	TSS_CR3		0x1cU		/* 32-bit TSS */
#define	TSS_TRAP	0x64U

struct task {
	uint64_t	cr3, ip, flags, gpr[8];
	uint64_t	sreg[6], ldt, trap;
};

static const struct layout *
layout_of(const struct amd64_segment *tss)
{
	return ((tss->access & SYS_32) != 0 ? &tss32 : &tss16);
}

static enum x86_status
read_task(struct x86 *x, const struct amd64_segment *tss, struct task *t)
{
	const struct layout *l = layout_of(tss);

	*t = (struct task){ 0 };
	TRY(x86_sys_load(x, tss->base + l->ip, l->size, &t->ip));
	TRY(x86_sys_load(x, tss->base + l->flags, l->size, &t->flags));
	for (unsigned n = 0; n < 8; n++)
		TRY(x86_sys_load(x, tss->base + l->gpr + n * l->size, l->size, &t->gpr[n]));
	for (unsigned n = 0; n < l->nsreg; n++)
		TRY(x86_sys_load(x, tss->base + l->sreg + n * l->sel_step, 2, &t->sreg[n]));
	TRY(x86_sys_load(x, tss->base + l->ldt, 2, &t->ldt));
	if (l == &tss32) {
		TRY(x86_sys_load(x, tss->base + TSS_CR3, 4, &t->cr3));
		TRY(x86_sys_load(x, tss->base + TSS_TRAP, 2, &t->trap));
	}
	return (X_DONE);
}

/* The stores were tried before. */
static enum x86_status
save_task(struct x86 *x, uint64_t rip, uint64_t fl)
{
	const struct amd64_segment *tss = &x->s->seg[SEG_TR];
	const struct layout *l = layout_of(tss);

	TRY(x86_sys_store(x, tss->base + l->ip, l->size, rip));
	TRY(x86_sys_store(x, tss->base + l->flags, l->size, fl));
	for (unsigned n = 0; n < 8; n++)
		TRY(x86_sys_store(x, tss->base + l->gpr + n * l->size, l->size, x->s->gpr[n]));
	for (unsigned n = 0; n < l->nsreg; n++)
		TRY(x86_sys_store(x, tss->base + l->sreg + n * l->sel_step, 2, x->s->seg[n].sel));
	return (X_DONE);
}

/* The new TSS: table 7-1, first part.  IRET comes back to a busy one, the others want it available. */
static enum x86_status
check_new(struct x86 *x, const struct x86_switch *sw, struct amd64_segment *tss, uint64_t *lin)
{
	enum x86_vector vector = sw->why == TASK_IRET ? EXC_TS : EXC_GP;
	uint32_t error = (sw->sel & SEL_MASK) | (sw->why == TASK_GATE);
	unsigned type;
	uint64_t desc = 0;

	if ((sw->sel & SEL_TI) != 0)
		return (x86_fault_error(x, vector, error));
	TRY(x86_read_desc(x, sw->sel, vector, error, &desc, lin));
	*tss = x86_unpack_desc(sw->sel, desc);
	type = seg_type(tss);
	if ((type | SYS_32) != (sw->why == TASK_IRET ? SYS_TSS_BUSY : SYS_TSS))
		return (x86_fault_error(x, vector, error));
	if ((tss->access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, EXC_NP, error));
	if (tss->limit < layout_of(tss)->min_limit)
		return (x86_fault_error(x, EXC_TS, error));
	return (X_DONE);
}

/* Can the old task be saved?  *lin: its descriptor, if its busy flag is to be cleared, else 0. */
static enum x86_status
check_old(struct x86 *x, const struct x86_switch *sw, uint64_t *lin)
{
	const struct amd64_segment *tss = &x->s->seg[SEG_TR];
	const struct layout *l = layout_of(tss);
	uint32_t error = (tss->sel & SEL_MASK) | (sw->why == TASK_GATE);
	uint64_t desc;

	if (l->save_end - 1 > tss->limit)
		return (x86_fault_error(x, EXC_TS, error));
	TRY(x86_sys_probe(x, tss->base + l->save, l->save_end - l->save, true));
	*lin = 0;
	if (sw->why != TASK_JMP && sw->why != TASK_IRET)
		return (X_DONE);
	/* A processor that never loaded TR has no descriptor to mark. */
	if ((tss->sel & SEL_MASK) == 0)
		return (X_DONE);
	TRY(x86_read_desc(x, tss->sel & SEL_MASK, EXC_TS, error, &desc, lin));
	return (x86_sys_probe(x, *lin + 5, 1, true));
}

/* The new task's segments: table 7-1, second part */

static enum x86_status
load_cs(struct x86 *x, uint16_t sel, uint32_t ext)
{
	uint32_t error = (sel & SEL_MASK) | ext;
	unsigned rpl = sel & 3, dpl;
	struct amd64_segment seg;
	uint64_t desc = 0, lin = 0;

	if ((sel & SEL_MASK) == 0)
		return (x86_fault_error(x, EXC_TS, error));
	TRY(x86_read_desc(x, sel, EXC_TS, error, &desc, &lin));
	seg = x86_unpack_desc(sel, desc);
	dpl = VM_AMD64_SEG_DPL(seg.access);
	if (!seg_is_code(&seg) || (seg_is_conforming(&seg) ? dpl > rpl : dpl != rpl))
		return (x86_fault_error(x, EXC_TS, error));
	if ((seg.access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, EXC_NP, error));
	TRY(x86_set_accessed(x, &seg, lin));
	x86_set_cs(x, &seg, rpl);
	return (X_DONE);
}

static enum x86_status
load_protected(struct x86 *x, const struct task *t, uint32_t ext)
{
	static const enum amd64_seg data[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };
	struct amd64_segment seg;

	TRY(load_cs(x, (uint16_t)t->sreg[SEG_CS], ext));
	TRY(x86_stack_desc(x, (uint16_t)t->sreg[SEG_SS], t->sreg[SEG_CS] & 3, EXC_TS, ext, &seg));
	x->s->seg[SEG_SS] = seg;
	x86_mode(x);
	for (unsigned n = 0; n < nitems(data); n++) {
		uint16_t sel = (uint16_t)t->sreg[data[n]];

		if ((sel & SEL_MASK) == 0)
			continue;
		TRY(x86_data_desc(x, sel, EXC_TS, ext, &seg));
		x->s->seg[data[n]] = seg;
	}
	return (X_DONE);
}

/* What the old task and the new one have of segments until those are loaded: selectors. */
static void
set_selectors(struct x86 *x, const struct task *t)
{
	unsigned cpl = t->sreg[SEG_CS] & 3;

	for (unsigned n = 0; n < 6; n++)
		x->s->seg[n] = (struct amd64_segment){ .sel = (uint16_t)t->sreg[n],
		    .access = VM_AMD64_SEG_UNUSABLE };
	x->s->seg[SEG_SS].access |= cpl << 5;
	/* There always is a code segment. */
	x->s->seg[SEG_CS] = x86_flat_code((uint16_t)t->sreg[SEG_CS], cpl, false);
	x->s->seg[SEG_LDTR] = (struct amd64_segment){ .sel = (uint16_t)t->ldt,
	    .access = VM_AMD64_SEG_UNUSABLE };
}

static void
set_registers(struct x86 *x, const struct x86_switch *sw, const struct amd64_segment *tss,
    const struct task *t)
{
	struct amd64_state *s = x->s;

	s->seg[SEG_TR] = *tss;
	s->seg[SEG_TR].access |= SYS_BUSY;
	s->cr0 |= CR0_TS;
	if (layout_of(tss) == &tss32 && (s->cr0 & CR0_PG) != 0)
		s->cr3 = t->cr3;
	s->rip = t->ip;
	s->rflags = (t->flags & FL_TASK) | RFLAGS_FIXED;
	if (sw->why == TASK_CALL || sw->why == TASK_GATE)
		s->rflags |= FL_NT;
	for (unsigned n = 0; n < 8; n++)
		s->gpr[n] = t->gpr[n];
	s->dr7 &= ~(uint64_t)DR7_LOCAL;
	s->intr_shadow = 0;
}

/* In the address space of the new task. */
static enum x86_status
load_new(struct x86 *x, const struct x86_switch *sw, const struct task *t, bool wide)
{
	uint32_t ext = sw->why == TASK_GATE;
	struct amd64_segment ldt;
	struct x86_stack st;

	/* CR3 has no PCID here; PAE paging loads its directory pointers too (4.4.1). */
	if (wide && (x->s->cr0 & CR0_PG) != 0) {
		x86_flush_space(x, 0);
		if ((x->s->cr4 & CR4_PAE) != 0)
			TRY(x86_load_pdptes(x, x->s->cr3, x->s->cr4));
	}
	x86_mode(x);
	TRY(x86_ldt_desc(x, (uint16_t)t->ldt, EXC_TS, EXC_TS, ext, &ldt));
	x->s->seg[SEG_LDTR] = ldt;
	if (x86_v86(x)) {
		for (unsigned n = 0; n < 6; n++)
			x86_real_sreg(x, (enum amd64_seg)n, (uint16_t)t->sreg[n]);
	} else {
		TRY(load_protected(x, t, ext));
	}
	x86_mode(x);
	if (sw->has_error) {
		st = x86_stack_here(x, ext);
		TRY(x86_stack_push(x, &st, wide ? 4 : 2, sw->error));
		x86_stack_use(x, &st);
	}
	return (x86_code_offset(x, &x->s->seg[SEG_CS], x->s->rip, ext));
}

enum x86_status
x86_task_enter(struct x86 *x, struct x86_switch *sw)
{
	const struct x86_insn *cur = x->cur;
	struct amd64_state saved = *x->s;
	struct amd64_segment tss;
	uint64_t lin = 0, old_lin = 0, fl = sw->fl;
	enum x86_status r;
	struct task t;
	bool nested = sw->why == TASK_CALL || sw->why == TASK_GATE;

	sw->committed = false;
	TRY(check_new(x, sw, &tss, &lin));
	TRY(check_old(x, sw, &old_lin));
	TRY(read_task(x, &tss, &t));
	if (nested)
		TRY(x86_sys_probe(x, tss.base, 2, true));
	TRY(x86_sys_probe(x, lin + 5, 1, true));

	if (sw->why == TASK_IRET)
		fl &= ~(uint64_t)FL_NT;
	TRY(save_task(x, sw->rip, fl));
	if (nested)
		TRY(x86_sys_store(x, tss.base, 2, x->s->seg[SEG_TR].sel));
	if (old_lin != 0)
		TRY(x86_sys_or(x, old_lin + 5, 0, SYS_BUSY));
	if (sw->why != TASK_IRET || old_lin == lin)
		TRY(x86_sys_or(x, lin + 5, SYS_BUSY, 0));

	/* RIP in the page is the new task's from here on. */
	x->cur = NULL;
	set_registers(x, sw, &tss, &t);
	set_selectors(x, &t);
	r = load_new(x, sw, &t, layout_of(&tss) == &tss32);
	x->cur = cur;
	if (r == X_EXIT) {
		/* A device has to be asked for a descriptor: all of it once more. */
		*x->s = saved;
		if (layout_of(&tss) == &tss32)
			x86_flush_space(x, 0);
		x86_mode(x);
		if (old_lin != 0)
			TRY(x86_sys_or(x, old_lin + 5, SYS_BUSY, 0));
		if (sw->why != TASK_IRET)
			TRY(x86_sys_or(x, lin + 5, 0, SYS_BUSY));
		return (X_EXIT);
	}
	x86_debug_changed(x);
	x->trap_tf = false;
	x->keep_rf = true;
	x->shadow = 0;
	x->attention = true;
	if (r == X_DONE && (t.trap & 1) != 0)
		x->trap6 |= DR6_BT;
	sw->committed = true;
	return (r == X_DONE ? X_JUMP : r);
}

enum x86_status
x86_task_switch(struct x86 *x, uint16_t sel, enum x86_task why, uint64_t rip, bool has_error,
    uint32_t error)
{
	struct x86_switch sw = { .sel = sel, .why = why, .rip = rip, .fl = x->s->rflags,
	    .has_error = has_error, .error = error };
	enum x86_status r = x86_task_enter(x, &sw);

	if (r != X_FAULT || !sw.committed)
		return (r);
	x86_exception_later(x);
	return (X_JUMP);
}
