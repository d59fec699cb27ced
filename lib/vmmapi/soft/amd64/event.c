/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * event.c - interrupts and exceptions: what is taken between two instructions, and how it is
 * delivered (Intel SDM vol. 3 chapter 6; real mode 20.1.4, virtual-8086 mode 20.3; vol. 2, INT n).
 *
 * A delivery makes its accesses first and changes the state last.  What has to wait for a device's
 * answer in between stays in the state page (exc_pending, intr_pending, nmi_pending) and is taken
 * up again.
 */
#include "segment.h"

#define	DR6_BITS	0xfULL		/* breakpoints 0 to 3 */
#define	DR6_BD		0x2000U		/* debug registers were accessed while DR7.GD was set */
#define	DR6_BT		0x8000U		/* task switch */
#define	DR7_GD		0x2000U

enum kind {
	EXCEPTION,
	SOFTWARE,		/* INT n, INT3, INTO */
	ICEBP,			/* INT1 */
	EXTERNAL,		/* interrupts, NMI */
};

struct event {
	enum kind	 kind;
	uint8_t		 vector;
	bool		 has_error;
	uint32_t	 error;
	uint64_t	 rip;		/* where it came from: to be returned to */
	uint64_t	 fl;		/* flags to be returned to */
};

/* The EXT bit of error codes (6.13): the event does not come from the program. */
static uint32_t
ext(const struct event *e)
{
	return (e->kind != SOFTWARE);
}

/* Real mode (20.1.4): four bytes per vector, no error codes */
static enum x86_status
deliver_real(struct x86 *x, const struct event *e)
{
	const struct amd64_segment *idt = &x->s->seg[SEG_IDTR];
	uint64_t sp = x->s->gpr[RSP], ent = 0;

	if (e->vector * 4U + 3 > idt->limit)
		return (x86_fault_error(x, EXC_GP, e->vector * 8U + 2 + ext(e)));
	TRY(x86_sys_load(x, idt->base + e->vector * 4U, 4, &ent));
	TRY(x86_push_at(x, &sp, 2, e->fl));
	TRY(x86_push_at(x, &sp, 2, x->s->seg[SEG_CS].sel));
	TRY(x86_push_at(x, &sp, 2, e->rip));
	x86_sp_set(x, sp);
	x86_flags(x, 0, FL_IF | FL_TF | FL_AC | FL_RF);
	x86_real_sreg(x, SEG_CS, (uint16_t)(ent >> 16));
	x->s->rip = ent & 0xffff;
	return (X_DONE);
}

struct gate {
	bool		task;
	uint16_t	sel;
	uint64_t	off;
	unsigned	size;		/* of what is pushed */
	bool		trap;		/* leaves IF alone */
	unsigned	ist;
};

static bool
is_gate(const struct x86 *x, unsigned type)
{
	if (type == SYS_INT || type == SYS_TRAP)
		return (true);
	return (!x86_long(x) && (type == SYS_TASK || type == SYS_INT16 || type == SYS_TRAP16));
}

/* Figures 6-2 and 6-8; checks in the order of vol. 2, INT n. */
static enum x86_status
read_gate(struct x86 *x, const struct event *e, struct gate *g)
{
	const struct amd64_segment *idt = &x->s->seg[SEG_IDTR];
	uint32_t error = e->vector * 8U + 2 + ext(e);
	unsigned entry = x86_long(x) ? 16 : 8, type;
	uint64_t lin = idt->base + e->vector * entry, low = 0, high = 0;

	if (e->vector * entry + entry - 1 > idt->limit)
		return (x86_fault_error(x, EXC_GP, error));
	TRY(x86_sys_load(x, lin, 8, &low));
	type = DESC_TYPE(low);
	if (!is_gate(x, type) || (e->kind == SOFTWARE && DESC_DPL(low) < x86_cpl(x)))
		return (x86_fault_error(x, EXC_GP, error));
	if (!DESC_P(low))
		return (x86_fault_error(x, EXC_NP, error));
	if (entry == 16)
		TRY(x86_sys_load(x, lin + 8, 8, &high));
	g->task = type == SYS_TASK;
	g->sel = (uint16_t)(low >> 16);
	g->off = (low & 0xffff) | ((type & SYS_32) != 0 ? (low >> 32) & 0xffff0000 : 0) | high << 32;
	g->size = entry == 16 ? 8 : (type & SYS_32) != 0 ? 4 : 2;
	g->trap = (type & 1) != 0;
	g->ist = entry == 16 ? (unsigned)(low >> 32) & 7 : 0;
	return (X_DONE);
}

/*
 * The handler's stack.  In IA-32e mode it is aligned, SS:RSP is pushed in any case, and an interrupt
 * stack table entry goes before (6.14.2, 6.14.5).
 */
static enum x86_status
handler_stack(struct x86 *x, const struct event *e, const struct gate *g, unsigned cpl, struct x86_stack *st)
{
	if (cpl != x86_cpl(x) || g->ist != 0)
		TRY(x86_stack_inner(x, cpl, g->ist, ext(e), st));
	else
		*st = x86_stack_here(x, ext(e));
	if (cpl == x86_cpl(x) && x86_long(x)) {
		/* No change of level: SS stays what it is. */
		st->ss = x->s->seg[SEG_SS];
		st->size = 8;
	}
	if (x86_long(x))
		st->sp &= ~15ULL;
	return (X_DONE);
}

static enum x86_status
push_frame(struct x86 *x, const struct event *e, const struct gate *g, bool outer, struct x86_stack *st)
{
	const struct amd64_segment *seg = x->s->seg;
	const uint64_t frame[] = {
		seg[SEG_GS].sel, seg[SEG_FS].sel, seg[SEG_DS].sel, seg[SEG_ES].sel,	/* of virtual-8086 mode */
		seg[SEG_SS].sel, x->s->gpr[RSP],					/* of an outer level */
		e->fl, seg[SEG_CS].sel, e->rip,
	};

	for (unsigned n = x86_v86(x) ? 0 : outer ? 4 : 6; n < nitems(frame); n++)
		TRY(x86_stack_push(x, st, g->size, frame[n]));
	if (e->has_error)
		TRY(x86_stack_push(x, st, g->size, e->error));
	return (X_DONE);
}

/* Interrupt and trap gates (6.12.1, 6.14; from virtual-8086 mode 20.3.1.1) */
static enum x86_status
deliver_gate(struct x86 *x, const struct event *e, const struct gate *g)
{
	struct amd64_segment cs;
	struct x86_stack st;
	unsigned cpl;

	TRY(x86_gate_code(x, g->sel, ext(e), false, &cs));
	cpl = seg_is_conforming(&cs) ? x86_cpl(x) : VM_AMD64_SEG_DPL(cs.access);
	if (x86_v86(x) && cpl != 0)
		return (x86_fault_error(x, EXC_GP, (g->sel & SEL_MASK) | ext(e)));
	TRY(handler_stack(x, e, g, cpl, &st));
	TRY(x86_code_offset(x, &cs, g->off, ext(e)));
	TRY(push_frame(x, e, g, x86_long(x) || cpl != x86_cpl(x), &st));

	if (x86_v86(x)) {
		static const enum amd64_seg data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

		for (unsigned n = 0; n < nitems(data); n++)
			x->s->seg[data[n]] = (struct amd64_segment){ .access = VM_AMD64_SEG_UNUSABLE };
	}
	x86_flags(x, 0, FL_TF | FL_NT | FL_RF | FL_VM | (g->trap ? 0 : FL_IF));
	x86_stack_use(x, &st);
	x86_set_cs(x, &cs, cpl);
	x->s->rip = g->off;
	return (X_DONE);
}

/* *committed: X_FAULT is an exception of the task that was switched to. */
static enum x86_status
deliver(struct x86 *x, const struct event *e, bool *committed)
{
	struct gate g = { 0 };

	*committed = false;
	if (!x86_protected(x)) {
		TRY(deliver_real(x, e));
	} else {
		TRY(read_gate(x, e, &g));
		if (g.task) {
			struct x86_switch sw = { .sel = g.sel, .rip = e->rip, .fl = e->fl,
			    .why = e->kind == SOFTWARE ? TASK_CALL : TASK_GATE,
			    .has_error = e->has_error, .error = e->error };
			enum x86_status r = x86_task_enter(x, &sw);

			*committed = sw.committed;
			return (r == X_JUMP ? X_DONE : r);
		}
		TRY(deliver_gate(x, e, &g));
	}
	x->s->intr_shadow = 0;
	x86_mode(x);
	x->attention = true;
	return (X_DONE);
}

/*
 * Flags in the frame of an exception: a fault sets RF, so that the instruction is restarted past its
 * breakpoint.  Debug exceptions do not, but for the one of the debug registers themselves (17.3.1.1).
 */
static uint64_t
frame_flags(const struct x86 *x, const struct x86_exc *exc)
{
	uint64_t fl = x->s->rflags;

	switch (exc->vector) {
	case EXC_DB:
		return ((exc->dr6 & DR6_BD) != 0 ? fl | FL_RF : fl);
	case EXC_BP:
	case EXC_OF:
	case EXC_DF:
	case EXC_MC:
		return (fl);
	default:
		return (fl | FL_RF);
	}
}

/* What an exception leaves in registers, however its delivery ends. */
static void
note(struct x86 *x, const struct x86_exc *exc)
{
	if (exc->vector == EXC_PF)
		x->s->cr2 = exc->cr2;
	/* The breakpoints are those of this exception, the rest adds up (17.2.3). */
	if (exc->vector == EXC_DB && exc->dr6 != 0)
		x->s->dr6 = (x->s->dr6 & ~DR6_BITS) | exc->dr6;
}

/* Table 6-4 */
static bool
contributory(uint8_t vector)
{
	return (vector == EXC_DE || (vector >= EXC_TS && vector <= EXC_GP));
}

/* What a second exception during the delivery of a first one makes of both (table 6-5). */
static bool
doubles(uint8_t first, uint8_t second)
{
	if (first == EXC_PF || first == EXC_DF)
		return (second == EXC_PF || contributory(second));
	return (contributory(first) && contributory(second));
}

static enum x86_status
shut_down(struct x86 *x)
{
	x->s->exc_pending = 0;
	x->s->run_state = VM_AMD64_SHUTDOWN;
	x->attention = true;
	soft_suspend(x->cpu, VM_SUSPEND_TRIPLEFAULT);
	return (X_DONE);
}

/*
 * Exceptions in a row that none of table 6-5 covers, such as alignment checks on the handler's own
 * stack, would occupy a processor for ever.
 */
#define	ROW_MAX	16

static enum x86_status
exception(struct x86 *x, struct x86_exc cur, bool again)
{
	struct amd64_state *s = x->s;
	enum x86_status r;
	bool committed;

	for (unsigned n = 0; n < ROW_MAX; n++) {
		struct event e = { .kind = EXCEPTION, .vector = cur.vector, .has_error = cur.has_error,
		    .error = cur.error, .rip = s->rip, .fl = frame_flags(x, &cur) };

		/*
		 * In the page, in case that the delivery has to wait for an answer.  Answers so far were
		 * the instruction's, or the delivery's that failed: this one is not theirs to repeat.
		 */
		if (!again || n > 0)
			soft_complete(x->cpu);
		s->exc_pending = 1;
		s->exc_vector = cur.vector;
		s->exc_has_error = cur.has_error;
		s->exc_error = cur.error;
		r = deliver(x, &e, &committed);
		if (r == X_DONE) {
			s->exc_pending = 0;
			s->run_state = VM_AMD64_RUNNING;
			/* The handler may use the debug registers (17.2.4). */
			if (cur.vector == EXC_DB)
				s->dr7 &= ~(uint64_t)DR7_GD;
			if ((x->trap6 & DR6_BT) == 0)
				return (X_DONE);
			/* The task that was switched to wants to be told (17.3.1.5). */
			cur = (struct x86_exc){ .vector = EXC_DB, .dr6 = DR6_BT };
			x->trap6 = 0;
			note(x, &cur);
			continue;
		}
		if (r != X_FAULT)
			return (r);
		note(x, &x->exc);
		if (doubles(cur.vector, x->exc.vector)) {
			if (cur.vector == EXC_DF)
				return (shut_down(x));
			(void)x86_fault_error(x, EXC_DF, 0);
		}
		cur = x->exc;
	}
	return (shut_down(x));
}

enum x86_status
x86_exception(struct x86 *x)
{
	note(x, &x->exc);
	return (exception(x, x->exc, false));
}

void
x86_exception_later(struct x86 *x)
{
	struct amd64_state *s = x->s;

	note(x, &x->exc);
	s->exc_pending = 1;
	s->exc_vector = x->exc.vector;
	s->exc_has_error = x->exc.has_error;
	s->exc_error = x->exc.error;
	x->attention = true;
}

/*
 * From inside an instruction, which is executed again if its delivery waits.  RF was cleared when
 * the instruction began, TF is cleared by the delivery: no trap is made behind it (17.3.1.1,
 * 17.3.1.4).
 */
static enum x86_status
software(struct x86 *x, const struct x86_insn *i, enum kind kind, uint8_t vector)
{
	struct event e = { .kind = kind, .vector = vector, .rip = x86_next_rip(x, i),
	    .fl = x->s->rflags & ~(uint64_t)FL_RF };
	bool committed;
	enum x86_status r;

	r = deliver(x, &e, &committed);
	if (r == X_FAULT && committed) {
		x86_exception_later(x);
		r = X_DONE;
	}
	if (r != X_DONE)
		return (r);
	x->trap_tf = false;
	return (X_JUMP);
}

enum x86_status
x86_soft_int(struct x86 *x, const struct x86_insn *i, uint8_t vector)
{
	return (software(x, i, SOFTWARE, vector));
}

enum x86_status
x86_icebp(struct x86 *x, const struct x86_insn *i)
{
	enum x86_status r = software(x, i, ICEBP, EXC_DB);

	if (r == X_JUMP)
		x->s->dr7 &= ~(uint64_t)DR7_GD;
	return (r);
}

/* Between instructions */

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

/* MOV SS holds everything off, STI only interrupts (6.8.3; vol. 2, STI). */
static bool
nmi_due(const struct x86 *x)
{
	return (x->s->nmi_pending && !x->s->nmi_blocked && x->s->intr_shadow != 2);
}

static bool
intr_due(const struct x86 *x)
{
	return (x->intr && x->s->intr_shadow == 0 && interruptible(x));
}

bool
x86_events_pending(const struct x86 *x)
{
	const struct amd64_state *s = x->s;

	return (s->exc_pending || s->intr_pending || nmi_due(x) || intr_due(x));
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

/* Deliver an event from outside; *waits is what holds it while its delivery waits for an answer. */
static enum x86_status
external(struct x86 *x, uint8_t vector, uint8_t *waits)
{
	struct event e = { .kind = EXTERNAL, .vector = vector, .rip = x->s->rip, .fl = x->s->rflags };
	bool committed;
	enum x86_status r;

	r = deliver(x, &e, &committed);
	if (r == X_EXIT)
		return (r);
	*waits = 0;
	if (r == X_FAULT)
		return (x86_exception(x));
	x->s->run_state = VM_AMD64_RUNNING;
	if ((x->trap6 & DR6_BT) != 0) {
		x->trap6 = 0;
		x->exc = (struct x86_exc){ .vector = EXC_DB, .dr6 = DR6_BT };
		return (x86_exception(x));
	}
	return (X_DONE);
}

/* Further ones wait for the next IRET, also if this one cannot be delivered (6.7.1). */
static enum x86_status
nmi(struct x86 *x)
{
	enum x86_status r = external(x, EXC_NMI, &x->s->nmi_pending);

	if (r != X_EXIT || !x->s->nmi_pending)
		x->s->nmi_blocked = 1;
	return (r);
}

static enum x86_status
interrupt(struct x86 *x)
{
	int vector;

	soft_leave(x->cpu);
	vector = x->vcpu->vm->intc_ops->ack(x->vcpu);
	soft_reenter(x->cpu);
	x->intr = pending(x);
	if (vector < 0)
		return (X_HALT);
	x->s->intr_pending = 1;
	x->s->intr_vector = (uint8_t)vector;
	/* Interrupts without an instruction in between must not stop the time. */
	if (x->took)
		*x->retired = ++x->done;
	x->took = true;
	vcpu_count(x->vcpu, VM_STAT_INTR);
	return (external(x, x->s->intr_vector, &x->s->intr_pending));
}

/*
 * In the order of table 6-2, where traps of the last instruction went before.  Events whose delivery
 * was cut short are still to be made and come first.
 */
enum x86_status
x86_events(struct x86 *x)
{
	struct amd64_state *s = x->s;

	if (s->exc_pending)
		return (exception(x, (struct x86_exc){ .vector = s->exc_vector,
		    .has_error = s->exc_has_error != 0, .error = s->exc_error, .cr2 = s->cr2 }, true));
	if (s->intr_pending)
		return (external(x, s->intr_vector, &s->intr_pending));
	if (x->cpu->replay || s->run_state > VM_AMD64_HALTED)
		return (X_HALT);
	if (nmi_due(x))
		return (nmi(x));
	return (intr_due(x) ? interrupt(x) : X_HALT);
}
