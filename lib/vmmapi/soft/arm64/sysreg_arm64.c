/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sysreg_arm64.c - system registers: MRS and MSR (Arm ARM C5.2, D13).
 *
 * One table says who may do what to which register, what a register keeps of what is written, and what has to
 * follow.  What is not in it is UNDEFINED, except for the space of IMPLEMENTATION DEFINED registers, whose accesses
 * the caller of vm_run() answers, and the registers of the interrupt controller, which has them itself.  There is no
 * PMU (ID_AA64DFR0_EL1.PMUVer 0) and no trace unit.
 */
#include <string.h>

#include "fp.h"
#include "debug.h"
#include "sys.h"

#define	S_RO		0x001U	/* MSR is UNDEFINED */
#define	S_WO		0x002U	/* MRS is UNDEFINED */
#define	S_EL0_R		0x004U
#define	S_EL0_W		0x008U
#define	S_EL0		(S_EL0_R | S_EL0_W)
#define	S_FP		0x010U	/* CPACR_EL1.FPEN guards it */
#define	S_MODE		0x020U	/* decoding or translation of what follows depends on it */
#define	S_FLUSH		0x040U	/* and translations in the TLB too */
#define	S_EVENT		0x080U	/* interrupts may be taken behind it */
#define	S_PLAIN		0x100U	/* reading it ends no block */

struct sysreg;

/* Read into, or write from, *val.  Anything but A_DONE: *val is not used. */
typedef enum a64_status sysreg_fn(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val);

struct sysreg {
	uint32_t	 reg;
	uint16_t	 flags;
	uint16_t	 off;		/* in the state page, unless there are functions */
	uint8_t		 size;
	uint64_t	 keep, res1;	/* what a write keeps, and what reads as one */
	sysreg_fn	*rd, *wr;
};

static enum a64_status
get(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	const char *p = (const char *)c->s + r->off;

	*val = r->size == 1 ? *(const uint8_t *)p : r->size == 4 ? *(const uint32_t *)(const void *)p :
	    *(const uint64_t *)(const void *)p;
	return (A_DONE);
}

static enum a64_status
put(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	char *p = (char *)c->s + r->off;
	uint64_t v = (*val & r->keep) | r->res1;

	if (r->size == 1)
		*(uint8_t *)p = (uint8_t)v;
	else if (r->size == 4)
		*(uint32_t *)(void *)p = (uint32_t)v;
	else
		*(uint64_t *)(void *)p = v;
	return (A_DONE);
}

/* Reads as zero, or as res1; writes are ignored. */
static enum a64_status
constant(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	*val = r->res1;
	return (A_DONE);
}

static enum a64_status
ignore(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	return (A_DONE);
}

/* Fields of PSTATE (C5.2): keep is the field. */
static enum a64_status
get_pstate(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	*val = c->s->pstate & r->keep;
	return (A_DONE);
}

static enum a64_status
put_pstate(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	c->s->pstate = (c->s->pstate & ~r->keep) | (*val & r->keep);
	return (A_DONE);
}

static bool
no_uma(const struct a64 *c)
{
	return (a64_el0(c) && (c->s->sctlr_el1 & SCTLR_UMA) == 0);
}

static enum a64_status
get_daif(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	return (no_uma(c) ? a64_trapped(c, i) : get_pstate(c, i, r, val));
}

static enum a64_status
put_daif(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	return (no_uma(c) ? a64_trapped(c, i) : put_pstate(c, i, r, val));
}

static enum a64_status
get_currentel(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	*val = 1U << 2;
	return (A_DONE);
}

/* Interrupts that are pending, whatever PSTATE masks (D13.2.87). */
static enum a64_status
get_isr(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	unsigned out = gicv3_output(c->vcpu);

	*val = ((out & GIC_OUT_IRQ) != 0 ? PSTATE_I : 0) | ((out & GIC_OUT_FIQ) != 0 ? PSTATE_F : 0);
	return (A_DONE);
}

static enum a64_status
get_ctr(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	if (a64_el0(c) && (c->s->sctlr_el1 & SCTLR_UCT) == 0)
		return (a64_trapped(c, i));
	return (get(c, i, r, val));
}

/* DZP: DC ZVA is prohibited at this level (D13.2.36). */
static enum a64_status
get_dczid(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	*val = c->s->dczid_el0 | (a64_el0(c) && (c->s->sctlr_el1 & SCTLR_DZE) == 0 ? 0x10 : 0);
	return (A_DONE);
}

/* By CSSELR_EL1: level 1 data or instructions, level 2; nothing beyond (D13.2.26). */
static enum a64_status
get_ccsidr(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	unsigned n = (unsigned)c->s->csselr_el1 & 0xf;

	*val = n < nitems(c->s->ccsidr_el1) ? c->s->ccsidr_el1[n] : 0;
	return (A_DONE);
}

static enum a64_status
get_scxtnum(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	return (a64_el0(c) && (c->s->sctlr_el1 & SCTLR_TSCXT) != 0 ? a64_trapped(c, i) : get(c, i, r, val));
}

static enum a64_status
put_scxtnum(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	return (a64_el0(c) && (c->s->sctlr_el1 & SCTLR_TSCXT) != 0 ? a64_trapped(c, i) : put(c, i, r, val));
}

/* Debug (D13.3) */

static enum a64_status
put_oslar(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	c->s->oslk = *val & 1;
	return (A_DONE);
}

static enum a64_status
get_oslsr(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	*val = 0x8U | (c->s->oslk != 0 ? 0x2U : 0);	/* OSLM 0b10: the lock is there */
	return (A_DONE);
}

static enum a64_status
put_claimset(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	c->s->dbgclaim |= *val & 0xff;
	return (A_DONE);
}

static enum a64_status
put_claimclr(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	c->s->dbgclaim &= ~*val;
	return (A_DONE);
}

/* The debug communications channel: nobody is at its other end (D13.3.20). */
static enum a64_status
get_dcc(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	if (a64_el0(c) && (c->s->mdscr_el1 & MDSCR_TDCC) != 0)
		return (a64_trapped(c, i));
	*val = 0;
	return (A_DONE);
}

static enum a64_status
put_dcc(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	return (a64_el0(c) && (c->s->mdscr_el1 & MDSCR_TDCC) != 0 ? a64_trapped(c, i) : A_DONE);
}

/* The generic timer (D11.2, D13.8): Op2 of the physical and the virtual timer's registers. */
#define	TVAL		0U
#define	CTL		1U
#define	CVAL		2U

#define	CNTK_PCT	0x001U
#define	CNTK_VCT	0x002U
#define	CNTK_VT		0x100U
#define	CNTK_PT		0x200U

/* May EL0 do this?  CNTKCTL_EL1 (D13.8.15); any of bits is enough. */
static bool
kept(const struct a64 *c, uint64_t bits)
{
	return (a64_el0(c) && (c->s->cntkctl_el1 & bits) == 0);
}

static uint64_t
count(struct a64 *c, unsigned timer)
{
	uint64_t v;

	a64_sync(c);
	v = a64_count(c, timer);
	a64_after_device(c);
	return (v);
}

static enum a64_status
get_cntfrq(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	if (kept(c, CNTK_PCT | CNTK_VCT))
		return (a64_trapped(c, i));
	*val = (uint32_t)c->vcpu->vm->counter_hz;
	return (A_DONE);
}

static enum a64_status
get_count(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	bool virt = (r->reg & 7) == 2;

	if (kept(c, virt ? CNTK_VCT : CNTK_PCT))
		return (a64_trapped(c, i));
	*val = count(c, !virt);
	return (A_DONE);
}

static bool
is_virtual(const struct sysreg *r)
{
	return ((r->reg >> 3 & 0xf) == 3);
}

static enum a64_status
get_timer(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	struct arm64_state *s = c->s;
	bool virt = is_virtual(r);
	uint64_t cval = virt ? s->cntv_cval_el0 : s->cntp_cval_el0;

	if (kept(c, virt ? CNTK_VT : CNTK_PT))
		return (a64_trapped(c, i));
	switch (r->reg & 7) {
	case TVAL:
		*val = (uint32_t)(cval - count(c, !virt));
		break;
	case CTL:
		*val = virt ? s->cntv_ctl_el0 : s->cntp_ctl_el0;
		/* ISTATUS, while enabled, masked or not */
		if ((*val & 1) != 0 && count(c, !virt) >= cval)
			*val |= 4;
		break;
	default:
		*val = cval;
		break;
	}
	return (A_DONE);
}

static enum a64_status
put_timer(struct a64 *c, const struct a64_insn *i, const struct sysreg *r, uint64_t *val)
{
	struct arm64_state *s = c->s;
	bool virt = is_virtual(r);
	uint64_t *cval = virt ? &s->cntv_cval_el0 : &s->cntp_cval_el0;

	if (kept(c, virt ? CNTK_VT : CNTK_PT))
		return (a64_trapped(c, i));
	switch (r->reg & 7) {
	case TVAL:
		*cval = count(c, !virt) + (uint64_t)(int64_t)(int32_t)*val;
		break;
	case CTL:
		*(virt ? &s->cntv_ctl_el0 : &s->cntp_ctl_el0) = *val & 3;
		break;
	default:
		*cval = *val;
		break;
	}
	a64_sync(c);
	a64_timers(c, true);
	a64_after_device(c);
	return (A_DONE);
}

/* The table */

#define	AT(m)		.off = offsetof(struct arm64_state, m), .size = sizeof(((struct arm64_state *)0)->m)
#define	REG(o0, o1, n, m, o2) .reg = ARM64_SYSREG(o0, o1, n, m, o2)
#define	PLAIN(m, k)	AT(m), .keep = (k), .rd = get, .wr = put
#define	FIELD(k)	.keep = (k), .rd = get_pstate, .wr = put_pstate
#define	ZERO		.rd = constant, .wr = ignore
#define	BP(n)										\
	{ REG(2, 0, 0, n, 4), S_MODE, PLAIN(dbgbvr[n], UINT64_MAX) },			\
	{ REG(2, 0, 0, n, 5), S_MODE, PLAIN(dbgbcr[n], 0x00ffe1e7) }
#define	WP(n)										\
	{ REG(2, 0, 0, n, 6), S_MODE, PLAIN(dbgwvr[n], ~3ULL) },			\
	{ REG(2, 0, 0, n, 7), S_MODE, PLAIN(dbgwcr[n], 0x1f1fffff) }
#define	TIMER(m, op)	{ REG(3, 3, 14, m, op), S_EL0 | S_EVENT, .rd = get_timer, .wr = put_timer }

/* What SCTLR_EL1 keeps: what there is, but not big-endian data (E0E, EE: RES0); TSCXT is no RES1 here (CSV2_2). */
#define	SCTLR_KEEP	0x041dd3bfULL
#define	SCTLR_ONES	(SCTLR_RES1 & ~SCTLR_TSCXT)
/* TCR_EL1 without hardware updates and hierarchical permission disables */
#define	TCR_KEEP	0x01800077ffffffbfULL

/* Sorted by encoding. */
static const struct sysreg sysregs[] = {
	{ REG(2, 0, 0, 0, 2), 0, ZERO },					/* OSDTRRX_EL1 */
	BP(0), WP(0), BP(1), WP(1),
	{ REG(2, 0, 0, 2, 0), 0, PLAIN(mdccint_el1, 0x60000000) },
	{ REG(2, 0, 0, 2, 2), S_MODE | S_EVENT, PLAIN(mdscr_el1, MDSCR_KEEP) },
	BP(2), WP(2),
	{ REG(2, 0, 0, 3, 2), 0, ZERO },					/* OSDTRTX_EL1 */
	BP(3), WP(3), BP(4), BP(5),
	{ REG(2, 0, 0, 6, 2), 0, ZERO },					/* OSECCR_EL1 */
	{ REG(2, 0, 1, 0, 0), S_RO, ZERO },					/* MDRAR_EL1 */
	{ REG(2, 0, 1, 0, 4), S_WO | S_MODE | S_EVENT, .wr = put_oslar },
	{ REG(2, 0, 1, 1, 4), S_RO, .rd = get_oslsr },
	{ REG(2, 0, 1, 3, 4), S_MODE, PLAIN(osdlr, 1) },
	{ REG(2, 0, 1, 4, 4), 0, ZERO },					/* DBGPRCR_EL1 */
	{ REG(2, 0, 7, 8, 6), 0, .res1 = 0xff, .rd = constant, .wr = put_claimset },
	{ REG(2, 0, 7, 9, 6), 0, AT(dbgclaim), .rd = get, .wr = put_claimclr },
	{ REG(2, 0, 7, 14, 6), S_RO, .res1 = 0xa, .rd = constant },		/* DBGAUTHSTATUS_EL1: none */
	{ REG(2, 3, 0, 1, 0), S_RO | S_EL0_R, .rd = get_dcc },			/* MDCCSR_EL0 */
	{ REG(2, 3, 0, 4, 0), S_EL0, .rd = get_dcc, .wr = put_dcc },		/* DBGDTR_EL0 */
	{ REG(2, 3, 0, 5, 0), S_EL0, .rd = get_dcc, .wr = put_dcc },		/* DBGDTRRX_EL0, DBGDTRTX_EL0 */
	{ REG(3, 0, 0, 0, 0), S_RO | S_PLAIN, PLAIN(midr_el1, 0) },
	{ REG(3, 0, 0, 0, 5), S_RO | S_PLAIN, PLAIN(mpidr_el1, 0) },
	{ REG(3, 0, 0, 0, 6), S_RO | S_PLAIN, ZERO },				/* REVIDR_EL1 */
	{ REG(3, 0, 1, 0, 0), S_MODE | S_FLUSH, PLAIN(sctlr_el1, SCTLR_KEEP), .res1 = SCTLR_ONES },
	{ REG(3, 0, 1, 0, 1), 0, ZERO },					/* ACTLR_EL1 */
	{ REG(3, 0, 1, 0, 2), S_MODE, PLAIN(cpacr_el1, 0x00300000) },
	{ REG(3, 0, 2, 0, 0), S_MODE, PLAIN(ttbr0_el1, UINT64_MAX) },
	{ REG(3, 0, 2, 0, 1), S_MODE, PLAIN(ttbr1_el1, UINT64_MAX) },
	{ REG(3, 0, 2, 0, 2), S_MODE | S_FLUSH, PLAIN(tcr_el1, TCR_KEEP) },
	{ REG(3, 0, 4, 0, 0), S_PLAIN, PLAIN(spsr_el1, UINT32_MAX) },
	{ REG(3, 0, 4, 0, 1), S_PLAIN, PLAIN(elr_el1, UINT64_MAX) },
	{ REG(3, 0, 4, 1, 0), S_PLAIN, PLAIN(sp_el0, UINT64_MAX) },
	{ REG(3, 0, 4, 2, 0), S_MODE, FIELD(1) },				/* SPSel */
	{ REG(3, 0, 4, 2, 2), S_RO | S_PLAIN, .rd = get_currentel },
	{ REG(3, 0, 5, 1, 0), 0, ZERO },					/* AFSR0_EL1 */
	{ REG(3, 0, 5, 1, 1), 0, ZERO },					/* AFSR1_EL1 */
	{ REG(3, 0, 5, 2, 0), S_PLAIN, PLAIN(esr_el1, UINT32_MAX) },
	{ REG(3, 0, 6, 0, 0), S_PLAIN, PLAIN(far_el1, UINT64_MAX) },
	{ REG(3, 0, 7, 4, 0), S_PLAIN, PLAIN(par_el1, UINT64_MAX) },
	{ REG(3, 0, 10, 2, 0), S_MODE | S_FLUSH, PLAIN(mair_el1, UINT64_MAX) },
	{ REG(3, 0, 10, 3, 0), 0, ZERO },					/* AMAIR_EL1 */
	{ REG(3, 0, 12, 0, 0), 0, PLAIN(vbar_el1, ~0x7ffULL) },
	{ REG(3, 0, 12, 0, 1), S_RO, ZERO },					/* RVBAR_EL1: reset is at 0 */
	{ REG(3, 0, 12, 1, 0), S_RO, .rd = get_isr },
	{ REG(3, 0, 13, 0, 1), S_MODE, PLAIN(contextidr_el1, UINT32_MAX) },
	{ REG(3, 0, 13, 0, 4), S_PLAIN, PLAIN(tpidr_el1, UINT64_MAX) },
	{ REG(3, 0, 13, 0, 7), S_PLAIN, PLAIN(scxtnum_el1, UINT64_MAX) },
	{ REG(3, 0, 14, 1, 0), 0, PLAIN(cntkctl_el1, 0x3ff) },
	{ REG(3, 1, 0, 0, 0), S_RO, .rd = get_ccsidr },
	{ REG(3, 1, 0, 0, 1), S_RO, PLAIN(clidr_el1, 0) },
	{ REG(3, 1, 0, 0, 7), S_RO, ZERO },					/* AIDR_EL1 */
	{ REG(3, 2, 0, 0, 0), 0, PLAIN(csselr_el1, 0xf) },
	{ REG(3, 3, 0, 0, 1), S_RO | S_EL0_R | S_PLAIN, AT(ctr_el0), .rd = get_ctr },
	{ REG(3, 3, 0, 0, 7), S_RO | S_EL0_R | S_PLAIN, .rd = get_dczid },
	{ REG(3, 3, 4, 2, 0), S_EL0 | S_PLAIN, FIELD(PSTATE_NZCV) },
	{ REG(3, 3, 4, 2, 1), S_EL0 | S_EVENT | S_MODE, .keep = PSTATE_DAIF, .rd = get_daif, .wr = put_daif },
	{ REG(3, 3, 4, 4, 0), S_EL0 | S_FP | S_MODE, PLAIN(fpcr, 0x07c00000) },
	{ REG(3, 3, 4, 4, 1), S_EL0 | S_FP | S_PLAIN, PLAIN(fpsr, 0x0800009f) },
	{ REG(3, 3, 13, 0, 2), S_EL0 | S_PLAIN, PLAIN(tpidr_el0, UINT64_MAX) },
	{ REG(3, 3, 13, 0, 3), S_EL0_R | S_PLAIN, PLAIN(tpidrro_el0, UINT64_MAX) },
	{ REG(3, 3, 13, 0, 7), S_EL0, AT(scxtnum_el0), .keep = UINT64_MAX, .rd = get_scxtnum, .wr = put_scxtnum },
	{ REG(3, 3, 14, 0, 0), S_RO | S_EL0_R, .rd = get_cntfrq },
	{ REG(3, 3, 14, 0, 1), S_RO | S_EL0_R, .rd = get_count },
	{ REG(3, 3, 14, 0, 2), S_RO | S_EL0_R, .rd = get_count },
	TIMER(2, TVAL), TIMER(2, CTL), TIMER(2, CVAL), TIMER(3, TVAL), TIMER(3, CTL), TIMER(3, CVAL),
};

static const struct sysreg *
lookup(uint32_t reg)
{
	size_t lo = 0, hi = nitems(sysregs);

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (sysregs[mid].reg == reg)
			return (&sysregs[mid]);
		if (sysregs[mid].reg < reg)
			lo = mid + 1;
		else
			hi = mid;
	}
	return (NULL);
}

/* Instructions; imm is the register's place in the table, or its number where there is no table. */

static enum a64_status
mrs(struct a64 *c, const struct a64_insn *i)
{
	const struct sysreg *r = &sysregs[i->imm];
	enum a64_status st;
	uint64_t val = 0;

	if ((r->flags & S_FP) != 0)
		a64_fp_sync(c);
	if ((st = r->rd(c, i, r, &val)) == A_DONE)
		a64_set_x(c, i->rd, true, val);
	return (st);
}

static enum a64_status
msr(struct a64 *c, const struct a64_insn *i)
{
	const struct sysreg *r = &sysregs[i->imm];
	uint64_t val = a64_x(c, i->rd);
	enum a64_status st;

	if ((r->flags & S_FP) != 0)
		a64_fp_sync(c);
	if ((st = r->wr(c, i, r, &val)) != A_DONE)
		return (st);
	if ((r->flags & S_FLUSH) != 0)
		a64_flush(c);
	if ((r->flags & S_EVENT) != 0)
		c->attention = true;
	if ((r->flags & S_MODE) != 0)
		a64_mode(c);
	return (A_DONE);
}

/* The ID space (D12.3.1): what no feature gives a meaning reads as zero. */
static enum a64_status
mrs_id(struct a64 *c, const struct a64_insn *i)
{
	a64_set_x(c, i->rd, true, c->s->id[i->imm]);
	return (A_DONE);
}

/* The controller's registers.  Ending an interrupt may call a device: outside guest code. */
static enum a64_status
icc(struct a64 *c, const struct a64_insn *i)
{
	const struct intc_ops *ops = c->vcpu->vm->intc_ops;
	uint32_t reg = (uint32_t)i->imm;
	bool write = i->arg != 0, ends = reg == ICC_EOIR0 || reg == ICC_EOIR1 || reg == ICC_DIR, ok;
	uint64_t val = write ? a64_x(c, i->rd) : 0;

	if (ops == NULL || ops->sysreg == NULL)
		return (a64_undefined(c));
	a64_sync(c);
	soft_outside(c->cpu);
	if (ends && write) {
		soft_leave(c->cpu);
		ok = ops->sysreg(c->vcpu, reg, write, &val);
		soft_reenter(c->cpu);
		a64_after_device(c);
	} else {
		ok = ops->sysreg(c->vcpu, reg, write, &val);
	}
	if (!ok)
		return (a64_undefined(c));
	if (!write)
		a64_set_x(c, i->rd, true, val);
	c->attention = true;
	return (A_DONE);
}

/* A register of the IMPLEMENTATION DEFINED space: the caller of vm_run() answers. */
static enum a64_status
outside(struct a64 *c, const struct a64_insn *i)
{
	bool write = i->arg != 0;
	struct vm_exit *ex;
	uint64_t val;

	if (!write && soft_replied(c->cpu, VM_EXIT_SYSREG, i->imm, &val)) {
		a64_set_x(c, i->rd, true, val);
		return (A_DONE);
	}
	ex = a64_exit(c, VM_EXIT_SYSREG, !write);
	c->cpu->open_addr = i->imm;
	ex->u.sysreg.reg = (uint32_t)i->imm;
	ex->u.sysreg.data = write ? a64_x(c, i->rd) : 0;
	ex->u.sysreg.write = write;
	return (write ? A_DONE : A_EXIT);
}

/* COND 0b1110, valid (D13.2.37, ISS for a trapped FP access) */
static enum a64_status
fp_trap(struct a64 *c, const struct a64_insn *i)
{
	return (a64_raise(c, ESR_EC(EC_FP) | ESR_IL | 0x01e00000U));
}

static bool
is_icc(uint32_t reg)
{
	return (reg == ICC_PMR || (reg >= ARM64_SYSREG(3, 0, 12, 8, 0) && reg < ARM64_SYSREG(3, 0, 13, 0, 0)));
}

bool
a64_decode_sysreg(uint32_t word, unsigned mode, struct a64_insn *i)
{
	uint32_t reg = a64_bits(word, 20, 5);
	bool el0 = (mode & A64_MODE_EL0) != 0, write = a64_bits(word, 21, 21) == 0;
	unsigned op0 = a64_bits(word, 20, 19), crn = a64_bits(word, 15, 12);
	const struct sysreg *r = lookup(reg);

	i->arg = write;
	if (r != NULL) {
		if ((r->flags & (write ? S_RO : S_WO)) != 0 || (el0 && (r->flags & (write ? S_EL0_W : S_EL0_R)) == 0))
			return (false);
		/* UNDEFINED while it is the stack pointer in use (C5.2.16). */
		if (reg == ARM64_SYSREG(3, 0, 4, 1, 0) && (mode & A64_MODE_SPX) == 0)
			return (false);
		i->imm = (uint64_t)(r - sysregs);
		i->fn = (r->flags & S_FP) != 0 && (mode & A64_MODE_FPTRAP) != 0 ? fp_trap : write ? msr : mrs;
		if ((r->flags & S_PLAIN) != 0)
			i->flags = 0;
		return (true);
	}
	if (el0 || op0 != 3)
		return (false);
	i->imm = reg;
	if (reg >= ARM64_SYSREG(3, 0, 0, 1, 0) && reg <= ARM64_SYSREG(3, 0, 0, 7, 7)) {
		i->imm = reg - ARM64_SYSREG(3, 0, 0, 1, 0);
		i->fn = mrs_id;
		i->flags = 0;
		return (!write);
	}
	i->fn = is_icc(reg) ? icc : outside;
	return (is_icc(reg) || crn == 11 || crn == 15);
}

int
a64_sysreg_place(const struct a64_insn *i, uint64_t *keep)
{
	const struct sysreg *r;
	bool write = i->fn == msr;

	*keep = UINT64_MAX;
	if (i->fn == mrs_id)
		return ((int)(offsetof(struct arm64_state, id) + 8 * i->imm));
	if (i->fn != mrs && !write)
		return (-1);
	r = &sysregs[i->imm];
	if ((r->flags & S_FP) != 0 || (r->flags & S_PLAIN) == 0 || r->size != 8 || r->res1 != 0)
		return (-1);
	*keep = r->keep;
	return ((write ? r->wr == put : r->rd == get) ? r->off : -1);
}
