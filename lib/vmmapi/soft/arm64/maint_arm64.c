/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maint_arm64.c - SYS: maintenance of TLBs and caches, address translation, and DC ZVA (Arm ARM C5.3, C5.4, C5.5).
 *
 * There is no cache, and stores to code are noticed (CTR_EL0.IDC and DIC), so cache maintenance is its access checks
 * and nothing more.  TLB maintenance of the Inner Shareable domain is done here at once and by the others at their
 * next event check; DSB waits for them, as the architecture lets it (D5.10.2), so a series of TLBI waits once.
 */
#include "sys.h"

#define	CM		0x100U		/* ESR_EL1 of data aborts: cache maintenance or address translation */
#define	WNR		0x040U

/* What other vCPUs are asked for. */
enum {
	SHOOT_SPACE = SOFT_SHOOT_ALL + 1,
	SHOOT_PAGE
};

/* Encoding of SYS: op1, CRm, op2. */
#define	OP(op1, crm, op2)	((op1) << 7 | (crm) << 3 | (op2))

struct sysop {
	uint16_t	op;
	bool		el0;
	uint8_t		arg;
	a64_op		*fn;
};

static void
invalidate(struct a64 *c, uint32_t what, uint64_t arg)
{
	switch (what) {
	case SHOOT_SPACE:
		a64_flush_space(c, (uint32_t)arg);
		break;
	case SHOOT_PAGE:
		a64_flush_page(c, arg);
		break;
	default:
		a64_flush(c);
		break;
	}
}

void
a64_shoot(struct soft_cpu *cpu, uint32_t what, uint64_t arg)
{
	invalidate(cpu->core, what, arg);
}

static enum a64_status
tlbi(struct a64 *c, const struct a64_insn *i)
{
	uint64_t x = a64_x(c, i->rd), arg = 0;

	switch (i->arg) {
	case SHOOT_SPACE:
		/* An ASID of 8 bits is in the low half of the field (D13.2.131, AS). */
		arg = x >> 48 & ((c->s->tcr_el1 >> 36 & 1) != 0 ? 0xffff : 0xff);
		break;
	case SHOOT_PAGE:
		arg = (uint64_t)((int64_t)(x << 20) >> 8);
		break;
	default:
		break;
	}
	invalidate(c, i->arg, arg);
	if (i->arg2 != 0)
		soft_shoot(c->cpu, i->arg, arg);
	return (A_DONE);
}

enum a64_status
a64_complete(struct a64 *c)
{
	if (soft_shoot_done(c->cpu))
		return (A_DONE);
	a64_sync(c);
	soft_shoot_wait(c->cpu);
	a64_after_device(c);
	return (A_DONE);
}

/* By address: what a load would fault for, or for IVAC a store, with CM; it counts as a write (D13.2.37, WnR). */
static enum a64_status
cache_va(struct a64 *c, const struct a64_insn *i)
{
	unsigned row = a64_el0(c) ? A64_ROW_EL0 : A64_ROW_EL1;
	struct arm64_walk w;

	if (a64_el0(c) && (c->s->sctlr_el1 & SCTLR_UCI) == 0)
		return (a64_trapped(c, i));
	if (a64_translate(c, a64_x(c, i->rd), i->arg, row, &w) == A_DONE)
		return (A_DONE);
	c->exc.esr |= CM | WNR;
	return (A_FAULT);
}

static enum a64_status
cache_all(struct a64 *c, const struct a64_insn *i)
{
	return (A_DONE);
}

static enum a64_status
dc_zva(struct a64 *c, const struct a64_insn *i)
{
	enum a64_status r;

	if (a64_el0(c) && (c->s->sctlr_el1 & SCTLR_DZE) == 0)
		return (a64_trapped(c, i));
	r = a64_zero(c, a64_x(c, i->rd) & ~63ULL, 64);
	/* An abort has the address that was given (D13.2.40); a watchpoint says which byte it was. */
	if (r == A_FAULT && c->exc.esr >> 26 < EC_WATCHPOINT)
		c->exc.far = a64_x(c, i->rd);
	return (r);
}

/* AT (C5.5): PAR_EL1 (D13.2.104) of a walk; arg: the access. */
#define	AT_WRITE	1U
#define	AT_EL0		2U
#define	PAR_RES1	0x800U

static enum a64_status
at(struct a64 *c, const struct a64_insn *i)
{
	uint64_t va = a64_x(c, i->rd), page = ~0xfffULL;
	int prot = (i->arg & AT_WRITE) != 0 ? VM_PROT_WRITE : VM_PROT_READ;
	struct arm64_walk w;

	if (arm64_walk(c->s, va, prot, (i->arg & AT_EL0) != 0, a64_read_table, c->cpu, &w)) {
		c->s->par_el1 = (w.gpa & page) | (uint64_t)w.attr << 56 | PAR_RES1 | (uint64_t)w.sh << 7;
		return (A_DONE);
	}
	/* A table that is not there is an exception of this instruction's, not a result (D5.11.4). */
	if ((w.fsc & 0x3c) == FSC_EXTERNAL_WALK)
		return (a64_raise_far(c, a64_abort_esr(c, EC_DABT, w.fsc, true) | CM, va));
	c->s->par_el1 = PAR_RES1 | (uint64_t)w.fsc << 1 | 1;
	return (A_DONE);
}

/* CRn 7 */
static const struct sysop cache_ops[] = {
	{ OP(0, 1, 0), false, 0, cache_all },			/* IC IALLUIS */
	{ OP(0, 5, 0), false, 0, cache_all },			/* IC IALLU */
	{ OP(0, 6, 1), false, VM_PROT_WRITE, cache_va },	/* DC IVAC */
	{ OP(0, 6, 2), false, 0, cache_all },			/* DC ISW */
	{ OP(0, 8, 0), false, 0, at },				/* AT S1E1R */
	{ OP(0, 8, 1), false, AT_WRITE, at },			/* AT S1E1W */
	{ OP(0, 8, 2), false, AT_EL0, at },			/* AT S1E0R */
	{ OP(0, 8, 3), false, AT_EL0 | AT_WRITE, at },		/* AT S1E0W */
	{ OP(0, 10, 2), false, 0, cache_all },			/* DC CSW */
	{ OP(0, 14, 2), false, 0, cache_all },			/* DC CISW */
	{ OP(3, 4, 1), true, 0, dc_zva },
	{ OP(3, 5, 1), true, VM_PROT_READ, cache_va },		/* IC IVAU */
	{ OP(3, 10, 1), true, VM_PROT_READ, cache_va },		/* DC CVAC */
	{ OP(3, 11, 1), true, VM_PROT_READ, cache_va },		/* DC CVAU */
	{ OP(3, 14, 1), true, VM_PROT_READ, cache_va },		/* DC CIVAC */
};

/* CRn 8, op1 0; CRm 7: this processor, 3: all of the Inner Shareable domain */
static bool
decode_tlbi(unsigned op1, unsigned crm, unsigned op2, struct a64_insn *i)
{
	static const uint8_t what[8] = {
		SOFT_SHOOT_ALL, SHOOT_PAGE, SHOOT_SPACE, SHOOT_PAGE, 0, SHOOT_PAGE, 0, SHOOT_PAGE
	};

	if (op1 != 0 || (crm != 7 && crm != 3) || op2 == 4 || op2 == 6)
		return (false);
	i->fn = tlbi;
	i->arg = what[op2];
	i->arg2 = crm == 3;
	return (true);
}

bool
a64_decode_maintenance(uint32_t word, unsigned mode, struct a64_insn *i)
{
	unsigned op1 = a64_bits(word, 18, 16), crn = a64_bits(word, 15, 12), crm = a64_bits(word, 11, 8);
	unsigned op2 = a64_bits(word, 7, 5), op = OP(op1, crm, op2);
	bool el0 = (mode & A64_MODE_EL0) != 0;

	if (a64_bits(word, 21, 21) != 0)	/* SYSL: there are none */
		return (false);
	if (crn == 8)
		return (!el0 && decode_tlbi(op1, crm, op2, i));
	if (crn != 7)
		return (false);
	for (size_t n = 0; n < nitems(cache_ops); n++) {
		if (cache_ops[n].op == op && (cache_ops[n].el0 || !el0)) {
			i->fn = cache_ops[n].fn;
			i->arg = cache_ops[n].arg;
			return (true);
		}
	}
	return (false);
}
