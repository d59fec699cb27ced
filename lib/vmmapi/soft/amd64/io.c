/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io.c - ports (Intel SDM vol. 1 chapter 18; vol. 2: IN, OUT).  INS and OUTS are in string.c.
 */
#include "segment.h"
#include "sys.h"

#define	TSS_IOBASE	102U		/* offset of the bitmap's offset in the TSS (vol. 3 figure 7-2) */

/*
 * Beyond IOPL, and in virtual-8086 mode at any, the bitmap of the TSS has a clear bit for each port that
 * may be used (vol. 1 18.5.2).  Two bytes are read, and both have to be within the limit.
 */
enum x86_status
x86_io_check(struct x86 *x, uint16_t port, unsigned size)
{
	const struct amd64_segment *tr = &x->s->seg[SEG_TR];
	uint64_t at = 0, bits = 0;

	if (!x86_protected(x) || (!x86_v86(x) && x86_cpl(x) <= x86_iopl(x)))
		return (X_DONE);
	if ((seg_type(tr) & ~SYS_BUSY) != SYS_TSS || tr->limit < TSS_IOBASE + 1)
		return (GP0(x));
	TRY(x86_sys_load(x, tr->base + TSS_IOBASE, 2, &at));
	at += port / 8;
	if (at + 1 > tr->limit)
		return (GP0(x));
	TRY(x86_sys_load(x, tr->base + at, 2, &bits));
	if ((bits >> (port & 7) & ((1U << size) - 1)) != 0)
		return (GP0(x));
	return (X_DONE);
}

static uint16_t
port(const struct x86 *x, const struct x86_insn *i)
{
	return (i->imm2 != 0 ? (uint16_t)(i->imm & 0xff) : (uint16_t)x->s->gpr[RDX]);
}

/* arg: bytes; imm2: the port is an immediate */
static enum x86_status
op_in(struct x86 *x, const struct x86_insn *i)
{
	uint64_t v = 0;

	TRY(x86_io_check(x, port(x, i), i->arg));
	x86_sync(x);
	if (soft_in(x->cpu, port(x, i), i->arg, &v) != SOFT_DONE)
		return (X_EXIT);
	if (x->watch)
		x86_watch_io(x, port(x, i), i->arg);
	x86_gpr_set(x, RAX, i->arg, v);
	x86_after_device(x);
	return (X_DONE);
}

static enum x86_status
op_out(struct x86 *x, const struct x86_insn *i)
{
	TRY(x86_io_check(x, port(x, i), i->arg));
	x86_sync(x);
	(void)soft_out(x->cpu, port(x, i), i->arg, x86_gpr(x, RAX, i->arg));
	if (x->watch)
		x86_watch_io(x, port(x, i), i->arg);
	x86_after_device(x);
	return (X_DONE);
}

/* arg: which operand is the accumulator */
static bool
bind_port(struct x86_insn *i, const struct x86_decoded *d, unsigned arg)
{
	i->arg = (uint8_t)(d->op[arg].size / 8);
	i->imm2 = x86_is_imm(d, 1 - arg);
	return (i->arg == 1 || i->arg == 2 || i->arg == 4);
}

const struct x86_opdesc x86_ops_io[] = {
	{ ZYDIS_MNEMONIC_IN, 0, 0, op_in, bind_port },
	{ ZYDIS_MNEMONIC_OUT, 0, 1, op_out, bind_port },
	{ 0 },
};
