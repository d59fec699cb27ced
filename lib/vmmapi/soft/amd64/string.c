/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * string.c - string instructions (Intel SDM vol. 2, REP and by instruction).
 *
 * One iteration at a time: after each the registers are up to date and RIP is still at the
 * instruction, so that interrupts, exits and faults between iterations need no care.  An iteration
 * counts as one retired instruction.
 */
#include "cpu.h"

static uint64_t
advance(const struct x86 *x, uint64_t at, unsigned size)
{
	return ((x->s->rflags & FL_DF) != 0 ? at - size : at + size);
}

static enum x86_status
ins(struct x86 *x, unsigned size, uint64_t di)
{
	uint64_t v;

	if (!x86_io_allowed(x))
		return (x86_fault_error(x, EXC_GP, 0));
	/* Before the port is read, which may have effects. */
	TRY(x86_probe_write(x, SEG_ES, di, size));
	if (soft_in(x->cpu, (uint16_t)x->s->gpr[RDX], size, &v) != SOFT_DONE)
		return (X_EXIT);
	return (x86_store(x, SEG_ES, di, size, v));
}

static enum x86_status
outs(struct x86 *x, unsigned size, uint64_t si)
{
	uint64_t v;

	if (!x86_io_allowed(x))
		return (x86_fault_error(x, EXC_GP, 0));
	TRY(x86_load(x, (enum amd64_seg)x->insn.memseg, si, size, &v));
	(void)soft_out(x->cpu, (uint16_t)x->s->gpr[RDX], size, v);
	return (X_OK);
}

/* One iteration; *compare says whether ZF ends the repetition. */
static enum x86_status
iterate(struct x86 *x, unsigned size, uint64_t si, uint64_t di, bool *compare, bool *uses_si,
    bool *uses_di)
{
	enum amd64_seg src = (enum amd64_seg)x->insn.memseg;
	uint64_t a, b, fl = x->s->rflags;

	*compare = *uses_si = *uses_di = false;
	switch (x->insn.op & ~1U) {
	case 0x6c:
		*uses_di = true;
		return (ins(x, size, di));
	case 0x6e:
		*uses_si = true;
		return (outs(x, size, si));
	case 0xa4:
		*uses_si = *uses_di = true;
		TRY(x86_load(x, src, si, size, &a));
		return (x86_store(x, SEG_ES, di, size, a));
	case 0xa6:
		*compare = *uses_si = *uses_di = true;
		TRY(x86_load(x, src, si, size, &a));
		TRY(x86_load(x, SEG_ES, di, size, &b));
		(void)x86_alu(ALU_CMP, size, a, b, &fl);
		x86_flags(x, fl, FL_ARITH);
		return (X_OK);
	case 0xaa:
		*uses_di = true;
		return (x86_store(x, SEG_ES, di, size, x86_gpr(x, RAX, size)));
	case 0xac:
		*uses_si = true;
		TRY(x86_load(x, src, si, size, &a));
		x86_gpr_set(x, RAX, size, a);
		return (X_OK);
	default:
		*compare = *uses_di = true;
		TRY(x86_load(x, SEG_ES, di, size, &b));
		(void)x86_alu(ALU_CMP, size, x86_gpr(x, RAX, size), b, &fl);
		x86_flags(x, fl, FL_ARITH);
		return (X_OK);
	}
}

/* 6C to 6F, A4 to A7, AA to AF */
enum x86_status
x86_op_string(struct x86 *x)
{
	const struct x86_insn *i = &x->insn;
	unsigned size = (i->op & 1) == 0 ? 1 : i->op < 0x70 && i->opsize == 8 ? 4 : i->opsize,
	    ad = i->adsize;
	uint64_t si = x86_gpr(x, RSI, ad), di = x86_gpr(x, RDI, ad), count = x86_gpr(x, RCX, ad);
	bool compare, uses_si, uses_di;

	if (i->rep != 0 && count == 0)
		return (X_OK);
	TRY(iterate(x, size, si, di, &compare, &uses_si, &uses_di));
	if (uses_si)
		x86_gpr_set(x, RSI, ad, advance(x, si, size));
	if (uses_di)
		x86_gpr_set(x, RDI, ad, advance(x, di, size));
	if (i->rep == 0)
		return (X_OK);
	x86_gpr_set(x, RCX, ad, count - 1);
	x->again = count != 1 && (!compare || ((x->s->rflags & FL_ZF) != 0) == (i->rep == 0xf3));
	return (X_OK);
}
