/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate.c - what calls and interrupts through gates have in common: the code segment that is entered,
 * and the stack its frame is pushed on (Intel SDM vol. 3 5.8, 6.12, 6.14).
 */
#include "segment.h"

enum x86_status
x86_gate_code(struct x86 *x, uint16_t sel, uint32_t ext, bool jump, struct amd64_segment *seg)
{
	uint32_t error = (sel & SEL_MASK) | ext;
	unsigned cpl = x86_cpl(x), dpl;
	uint64_t desc = 0, lin = 0;
	uint32_t wide;

	if ((sel & SEL_MASK) == 0)
		return (x86_fault_error(x, EXC_GP, ext));
	TRY(x86_read_desc(x, sel, EXC_GP, error, &desc, &lin));
	*seg = x86_unpack_desc(sel, desc);
	dpl = VM_AMD64_SEG_DPL(seg->access);
	wide = seg->access & (VM_AMD64_SEG_L | VM_AMD64_SEG_DB);
	if (!seg_is_code(seg) || dpl > cpl || (jump && !seg_is_conforming(seg) && dpl != cpl) ||
	    (x86_long(x) && wide != VM_AMD64_SEG_L))
		return (x86_fault_error(x, EXC_GP, error));
	if ((seg->access & VM_AMD64_SEG_P) == 0)
		return (x86_fault_error(x, EXC_NP, error));
	return (x86_set_accessed(x, seg, lin));
}

enum x86_status
x86_code_offset(struct x86 *x, const struct amd64_segment *cs, uint64_t off, uint32_t ext)
{
	bool ok;

	if (x86_long(x) && (cs->access & VM_AMD64_SEG_L) != 0)
		ok = amd64_canonical(off, x->s->cr4);
	else
		ok = off <= cs->limit;
	return (ok ? X_DONE : x86_fault_error(x, EXC_GP, ext));
}

struct x86_stack
x86_stack_here(const struct x86 *x, uint32_t ext)
{
	return ((struct x86_stack){ .ss = x->s->seg[SEG_SS], .sp = x->s->gpr[RSP],
	    .size = x86_stacksize(x), .error = ext });
}

/* In IA-32e mode the TSS has 64-bit stack pointers and no selectors (SDM vol. 3 figure 7-11). */
static enum x86_status
inner_long(struct x86 *x, unsigned dpl, unsigned ist, uint32_t ext, struct x86_stack *st)
{
	const struct amd64_segment *tr = &x->s->seg[SEG_TR];
	unsigned at = ist != 0 ? 0x1c + 8 * ist : 4 + 8 * dpl;

	if (at + 7 > tr->limit)
		return (x86_fault_error(x, EXC_TS, (tr->sel & SEL_MASK) | ext));
	*st = (struct x86_stack){ .ss = x86_null_ss((uint16_t)dpl, dpl), .size = 8, .other = true,
	    .error = ext };
	return (x86_sys_load(x, tr->base + at, 8, &st->sp));
}

enum x86_status
x86_stack_inner(struct x86 *x, unsigned dpl, unsigned ist, uint32_t ext, struct x86_stack *st)
{
	const struct amd64_segment *tr = &x->s->seg[SEG_TR];
	bool wide = (tr->access & SYS_32) != 0;
	unsigned at = wide ? 4 + 8 * dpl : 2 + 4 * dpl;
	uint64_t sp = 0, ss = 0;

	if (x86_long(x))
		return (inner_long(x, dpl, ist, ext, st));
	if (at + (wide ? 5 : 3) > tr->limit)
		return (x86_fault_error(x, EXC_TS, (tr->sel & SEL_MASK) | ext));
	TRY(x86_sys_load(x, tr->base + at, wide ? 4 : 2, &sp));
	TRY(x86_sys_load(x, tr->base + at + (wide ? 4 : 2), 2, &ss));
	*st = (struct x86_stack){ .sp = sp, .other = true, .error = ((uint32_t)ss & SEL_MASK) | ext };
	TRY(x86_stack_desc(x, (uint16_t)ss, dpl, EXC_TS, ext, &st->ss));
	st->size = (st->ss.access & VM_AMD64_SEG_DB) != 0 ? 4 : 2;
	return (X_DONE);
}

/* Whether [off, off + n) is within a stack segment; real mode's are like any other. */
static bool
room(const struct amd64_segment *ss, uint64_t off, unsigned n)
{
	uint64_t last = off + n - 1;

	if ((ss->access & TYPE_DOWN) != 0)
		return (off > ss->limit && last <= ((ss->access & VM_AMD64_SEG_DB) != 0 ? 0xffffffff : 0xffff));
	return (last <= ss->limit);
}

/*
 * Stores on the stack of a level below 3 are the supervisor's; the present level's has the access
 * rights of the moment.  What is pushed in vain lies beyond the stack pointer.
 */
enum x86_status
x86_stack_push(struct x86 *x, struct x86_stack *st, unsigned size, uint64_t v)
{
	uint64_t mask = x86_mask(st->size), to = (st->sp - size) & mask, lin = to;
	bool ok;

	if (st->size == 8) {
		ok = amd64_canonical(to, x->s->cr4) && amd64_canonical(to + size - 1, x->s->cr4);
	} else {
		ok = (st->ss.access & VM_AMD64_SEG_UNUSABLE) == 0 && room(&st->ss, to, size);
		lin = (uint32_t)(st->ss.base + to);
	}
	if (!ok)
		return (x86_fault_error(x, EXC_SS, st->error));
	if (st->other)
		TRY(x86_sys_store(x, lin, size, v));
	else
		TRY(x86_store_at(x, SEG_SS, lin, size, v));
	st->sp = (st->sp & ~mask) | to;
	return (X_DONE);
}

void
x86_stack_use(struct x86 *x, const struct x86_stack *st)
{
	if (!st->other) {
		x86_gpr_set(x, RSP, st->size, st->sp);
		return;
	}
	x->s->seg[SEG_SS] = st->ss;
	x->s->gpr[RSP] = st->sp;
}
