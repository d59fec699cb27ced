/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.c - interrupts and exceptions: what is taken between two instructions, and how it is
 * delivered (Intel SDM vol. 3, chapter 6; real mode 20.1.4).
 */
#include "cpu.h"

/*
 * Flags as the handler's frame has them: RF is set for faults, so that they restart past an
 * instruction breakpoint (17.3.1.1).
 */
static uint64_t
frame_flags(const struct x86 *x, enum x86_event_kind kind, uint8_t vector)
{
	uint64_t fl = x->s->rflags;

	if (kind == EVENT_EXC && vector != EXC_DB && vector != EXC_DF)
		fl |= FL_RF;
	return (fl);
}

static enum x86_status
deliver_real(struct x86 *x, uint8_t vector, uint64_t rip)
{
	const struct amd64_segment *idt = &x->s->seg[SEG_IDTR];
	struct amd64_segment cs = x->s->seg[SEG_CS];
	uint64_t sp = x->s->gpr[RSP], ent;

	if (vector * 4U + 3 > idt->limit)
		return (x86_fault(x, EXC_GP));
	TRY(x86_load_lin(x, (idt->base + vector * 4U) & 0xffffffff, 4, &ent));
	TRY(x86_push_at(x, &sp, 2, x->s->rflags));
	TRY(x86_push_at(x, &sp, 2, cs.sel));
	TRY(x86_push_at(x, &sp, 2, rip));
	x86_sp_set(x, sp);
	x86_flags(x, 0, FL_IF | FL_TF | FL_AC | FL_RF);
	cs.sel = (uint16_t)(ent >> 16);
	cs.base = (uint64_t)cs.sel << 4;
	x86_set_cs(x, &cs);
	x->next = ent & 0xffff;
	return (X_OK);
}

struct gate {
	uint16_t	sel;
	uint64_t	off;
	unsigned	size;		/* of what is pushed */
	bool		trap;
	unsigned	ist;
};

/* SDM vol. 3 figures 6-2 and 6-8; errors 6.13 */
static enum x86_status
read_gate(struct x86 *x, enum x86_event_kind kind, uint8_t vector, struct gate *g)
{
	const struct amd64_segment *idt = &x->s->seg[SEG_IDTR];
	uint32_t error = vector * 8U + 2 + (kind != EVENT_SOFT ? 1 : 0);
	unsigned entry = x86_long(x) ? 16 : 8, type;
	uint64_t lin, low, high = 0;
	bool ok;

	if (vector * entry + entry - 1 > idt->limit)
		return (x86_fault_error(x, EXC_GP, error));
	lin = idt->base + vector * entry;
	if (entry == 8)
		lin &= 0xffffffff;
	TRY(x86_load_lin(x, lin, 8, &low));
	if (entry == 16)
		TRY(x86_load_lin(x, lin + 8, 8, &high));
	type = (unsigned)(low >> 40) & 0x1f;
	ok = type == 14 || type == 15 || (entry == 8 && (type == 6 || type == 7));
	if (!ok || (kind == EVENT_SOFT && ((low >> 45) & 3) < x86_cpl(x)))
		return (x86_fault_error(x, EXC_GP, error));
	if (((low >> 47) & 1) == 0)
		return (x86_fault_error(x, EXC_NP, error));
	g->sel = (uint16_t)(low >> 16);
	g->off = (low & 0xffff) | (type >= 14 ? (low >> 32) & 0xffff0000 : 0) | high << 32;
	g->size = entry == 16 ? 8 : type >= 14 ? 4 : 2;
	g->trap = (type & 1) != 0;
	g->ist = entry == 16 ? (unsigned)(low >> 32) & 7 : 0;
	return (X_OK);
}

/* In long mode the frame has SS:RSP always and is aligned (6.14.2). */
static enum x86_status
push_long(struct x86 *x, uint64_t *sp, uint64_t val)
{
	uint64_t to = *sp - 8;

	if (!amd64_canonical(to, x->s->cr4))
		return (x86_fault_error(x, EXC_SS, 0));
	TRY(x86_store_lin(x, to, 8, val));
	*sp = to;
	return (X_OK);
}

static enum x86_status
frame_long(struct x86 *x, const struct gate *g, uint64_t fl, uint64_t rip, uint64_t *spp)
{
	const struct amd64_segment *tr = &x->s->seg[SEG_TR];
	uint64_t sp = x->s->gpr[RSP];

	if (g->ist != 0) {
		/* IST1 is at offset 0x24 of the TSS (figure 7-11). */
		unsigned at = 0x24 + 8 * (g->ist - 1);

		if (at + 7 > tr->limit)
			return (x86_fault_error(x, EXC_TS, tr->sel & 0xfffc));
		TRY(x86_load_lin(x, tr->base + at, 8, &sp));
	}
	sp &= ~15ULL;
	TRY(push_long(x, &sp, x->s->seg[SEG_SS].sel));
	TRY(push_long(x, &sp, x->s->gpr[RSP]));
	TRY(push_long(x, &sp, fl));
	TRY(push_long(x, &sp, x->s->seg[SEG_CS].sel));
	TRY(push_long(x, &sp, rip));
	*spp = sp;
	return (X_OK);
}

static enum x86_status
deliver_gate(struct x86 *x, enum x86_event_kind kind, uint8_t vector, bool has_error,
    uint32_t error, uint64_t rip)
{
	uint64_t fl = frame_flags(x, kind, vector), sp = x->s->gpr[RSP];
	struct amd64_segment cs;
	struct gate g = { 0 };
	bool lm = x86_long(x);

	TRY(read_gate(x, kind, vector, &g));
	TRY(x86_code_desc(x, g.sel, (g.sel & 0xfffcU) + (kind != EVENT_SOFT ? 1 : 0), &cs));
	if (lm && (cs.access & VM_AMD64_SEG_L) == 0)
		return (x86_fault_error(x, EXC_GP,
		    (g.sel & 0xfffcU) + (kind != EVENT_SOFT ? 1 : 0)));
	if (lm ? !amd64_canonical(g.off, x->s->cr4) : g.off > cs.limit)
		return (x86_fault_error(x, EXC_GP, kind != EVENT_SOFT ? 1 : 0));
	if (lm) {
		TRY(frame_long(x, &g, fl, rip, &sp));
		if (has_error)
			TRY(push_long(x, &sp, error));
		x->s->gpr[RSP] = sp;
	} else {
		TRY(x86_push_at(x, &sp, g.size, fl));
		TRY(x86_push_at(x, &sp, g.size, x->s->seg[SEG_CS].sel));
		TRY(x86_push_at(x, &sp, g.size, rip));
		if (has_error)
			TRY(x86_push_at(x, &sp, g.size, error));
		x86_sp_set(x, sp);
	}
	x86_flags(x, 0, FL_TF | FL_NT | FL_RF | FL_VM | (g.trap ? 0 : FL_IF));
	x86_set_cs(x, &cs);
	x->next = g.off;
	return (X_OK);
}

enum x86_status
x86_deliver(struct x86 *x, enum x86_event_kind kind, uint8_t vector, bool has_error, uint32_t error,
    uint64_t rip)
{
	if (!x86_protected(x))
		return (deliver_real(x, vector, rip));
	return (deliver_gate(x, kind, vector, has_error, error, rip));
}

/* An event from outside of an instruction was delivered. */
static void
arrive(struct x86 *x)
{
	x->s->rip = x->next;
	x->s->intr_shadow = 0;
	x->s->run_state = VM_AMD64_RUNNING;
}

/* Classes of SDM vol. 3 table 6-4. */
static bool
contributory(uint8_t vector)
{
	return (vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP));
}

/*
 * Whether a second exception while the first is being delivered makes a double fault (table 6-5).
 */
static bool
doubles(uint8_t first, uint8_t second)
{
	if (first == EXC_PF)
		return (second == EXC_PF || contributory(second));
	return (contributory(first) && contributory(second));
}

enum x86_status
x86_exception(struct x86 *x)
{
	struct amd64_state *s = x->s;
	struct x86_exc cur = x->exc;
	enum x86_status r;

	for (;;) {
		if (cur.vector == EXC_PF)
			s->cr2 = cur.cr2;
		/* In the page, in case that the delivery has to wait for an answer. */
		s->exc_pending = 1;
		s->exc_vector = cur.vector;
		s->exc_has_error = cur.has_error;
		s->exc_error = cur.error;
		r = x86_deliver(x, EVENT_EXC, cur.vector, cur.has_error, cur.error, s->rip);
		if (r != X_FAULT)
			break;
		if (cur.vector == EXC_DF) {
			s->exc_pending = 0;
			s->run_state = VM_AMD64_SHUTDOWN;
			soft_suspend(x->cpu, VM_SUSPEND_TRIPLEFAULT);
			return (X_OK);
		}
		if (doubles(cur.vector, x->exc.vector))
			(void)x86_fault_error(x, EXC_DF, 0);
		cur = x->exc;
	}
	if (r == X_OK) {
		s->exc_pending = 0;
		arrive(x);
	}
	return (r);
}

static bool
interruptible(const struct x86 *x)
{
	return ((x->s->rflags & FL_IF) != 0 && x->vcpu->caps[VM_CAP_MASK_INTR] != 1);
}

static bool
pending(const struct x86 *x)
{
	const struct vmctx *vm = x->vcpu->vm;

	return (vm->intc_ops != NULL && vm->intc_ops->pending != NULL &&
	    vm->intc_ops->pending(x->vcpu));
}

bool
x86_wakeable(struct x86 *x)
{
	const struct amd64_state *s = x->s;

	if (s->run_state != VM_AMD64_HALTED)
		return (s->run_state == VM_AMD64_RUNNING);
	if (s->exc_pending || s->intr_pending || (s->nmi_pending && !s->nmi_blocked))
		return (true);
	return (interruptible(x) && pending(x));
}

/* Deliver the external interrupt that was acknowledged. */
static enum x86_status
interrupt(struct x86 *x)
{
	enum x86_status r = x86_deliver(x, EVENT_INTR, x->s->intr_vector, false, 0, x->s->rip);

	if (r == X_EXIT)
		return (r);
	x->s->intr_pending = 0;
	if (r == X_FAULT)
		return (x86_exception(x));
	arrive(x);
	return (X_OK);
}

static enum x86_status
nmi(struct x86 *x)
{
	enum x86_status r = x86_deliver(x, EVENT_NMI, EXC_NMI, false, 0, x->s->rip);

	if (r == X_EXIT)
		return (r);
	x->s->nmi_pending = 0;
	if (r == X_FAULT)
		return (x86_exception(x));
	x->s->nmi_blocked = 1;
	arrive(x);
	return (X_OK);
}

/*
 * In the order of SDM vol. 3 table 6-2.  Events that a delivery cut short are still to be made come
 * first.
 */
enum x86_status
x86_events(struct x86 *x)
{
	struct amd64_state *s = x->s;
	int vector;

	if (s->exc_pending) {
		x->exc = (struct x86_exc){ .vector = s->exc_vector,
		    .has_error = s->exc_has_error != 0, .error = s->exc_error,
		    .cr2 = s->cr2 };
		return (x86_exception(x));
	}
	if (s->intr_pending)
		return (interrupt(x));
	if (x->cpu->replay || s->run_state > VM_AMD64_HALTED)
		return (X_HALT);
	if (s->nmi_pending && !s->nmi_blocked && s->intr_shadow != 2)
		return (nmi(x));
	if (!x->intr || x->took || s->intr_shadow != 0 || !interruptible(x))
		return (X_HALT);
	soft_leave(x->cpu);
	vector = x->vcpu->vm->intc_ops->ack(x->vcpu);
	soft_reenter(x->cpu);
	x->intr = pending(x);
	if (vector < 0)
		return (X_HALT);
	s->intr_pending = 1;
	s->intr_vector = (uint8_t)vector;
	x->took = true;
	vcpu_count(x->vcpu, VM_STAT_INTR);
	return (interrupt(x));
}

/* Flags that IRET takes from the frame (SDM vol. 2, IRET). */
static void
iret_flags(struct x86 *x, unsigned size, uint64_t fl)
{
	unsigned cpl = x86_cpl(x);
	uint64_t m = FL_ARITH | FL_TF | FL_DF | FL_NT;

	if (size > 2)
		m |= FL_RF | FL_AC | FL_ID;
	if (cpl == 0)
		m |= FL_IOPL;
	if (cpl <= (x->s->rflags & FL_IOPL) >> 12)
		m |= FL_IF;
	x86_flags(x, fl, m);
}

/* CF, to the same privilege; task returns and virtual-8086 mode are not modelled. */
enum x86_status
x86_iret(struct x86 *x)
{
	struct amd64_state *s = x->s;
	unsigned size = x->insn.opsize, stack = x86_stacksize(x);
	uint64_t sp = s->gpr[RSP], rip, cs, fl, rsp = 0, ss = 0;
	bool prot = x86_protected(x), wide = x86_64bit(x);

	if (prot && !wide && (s->rflags & FL_NT) != 0)
		return (x86_fault_error(x, EXC_GP, 0));
	TRY(x86_pop_at(x, &sp, size, &rip));
	TRY(x86_pop_at(x, &sp, size, &cs));
	TRY(x86_pop_at(x, &sp, size, &fl));
	if (wide) {
		TRY(x86_pop_at(x, &sp, size, &rsp));
		TRY(x86_pop_at(x, &sp, size, &ss));
	}
	if (prot && (cs & 3) != x86_cpl(x))
		return (x86_fault_error(x, EXC_GP, (uint32_t)cs & 0xfffc));
	if (prot && size > 2 && (fl & FL_VM) != 0)
		return (x86_fault_error(x, EXC_GP, 0));
	if (wide) {
		/*
		 * The new stack segment is checked while the old code segment still says that this
		 * is 64-bit mode.
		 */
		struct amd64_segment old = s->seg[SEG_SS];
		enum x86_status r;

		TRY(x86_load_sreg(x, SEG_SS, (uint16_t)ss));
		r = x86_far_jump(x, (uint16_t)cs, rip);
		if (r != X_OK) {
			s->seg[SEG_SS] = old;
			return (r);
		}
		x86_gpr_set(x, RSP, 8, rsp);
	} else {
		TRY(x86_far_jump(x, (uint16_t)cs, rip));
		x86_gpr_set(x, RSP, stack, sp);
	}
	iret_flags(x, size, fl);
	s->nmi_blocked = 0;
	return (X_OK);
}
