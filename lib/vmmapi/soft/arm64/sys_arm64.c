/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sys_arm64.c - exception generation, hints, barriers, PSTATE and system registers (Arm ARM C5, D13), and PSCI by HVC.
 */
#include "a64.h"

/* Registers named here; the others are in the table. */
#define	R_NZCV		ARM64_SYSREG(3, 3, 4, 2, 0)
#define	R_DAIF		ARM64_SYSREG(3, 3, 4, 2, 1)
#define	R_CURRENTEL	ARM64_SYSREG(3, 0, 4, 2, 2)
#define	R_SPSEL		ARM64_SYSREG(3, 0, 4, 2, 0)
#define	R_SP_EL0	ARM64_SYSREG(3, 0, 4, 1, 0)
#define	R_SCTLR		ARM64_SYSREG(3, 0, 1, 0, 0)
#define	R_CPACR		ARM64_SYSREG(3, 0, 1, 0, 2)
#define	R_TTBR0		ARM64_SYSREG(3, 0, 2, 0, 0)
#define	R_TTBR1		ARM64_SYSREG(3, 0, 2, 0, 1)
#define	R_TCR		ARM64_SYSREG(3, 0, 2, 0, 2)
#define	R_SPSR		ARM64_SYSREG(3, 0, 4, 0, 0)
#define	R_ELR		ARM64_SYSREG(3, 0, 4, 0, 1)
#define	R_ESR		ARM64_SYSREG(3, 0, 5, 2, 0)
#define	R_FAR		ARM64_SYSREG(3, 0, 6, 0, 0)
#define	R_MAIR		ARM64_SYSREG(3, 0, 10, 2, 0)
#define	R_VBAR		ARM64_SYSREG(3, 0, 12, 0, 0)
#define	R_CONTEXTIDR	ARM64_SYSREG(3, 0, 13, 0, 1)
#define	R_TPIDR_EL1	ARM64_SYSREG(3, 0, 13, 0, 4)
#define	R_TPIDR_EL0	ARM64_SYSREG(3, 3, 13, 0, 2)
#define	R_TPIDRRO	ARM64_SYSREG(3, 3, 13, 0, 3)
#define	R_CNTKCTL	ARM64_SYSREG(3, 0, 14, 1, 0)
#define	R_FPCR		ARM64_SYSREG(3, 3, 4, 4, 0)
#define	R_FPSR		ARM64_SYSREG(3, 3, 4, 4, 1)
#define	R_MIDR		ARM64_SYSREG(3, 0, 0, 0, 0)
#define	R_MPIDR		ARM64_SYSREG(3, 0, 0, 0, 5)
#define	R_REVIDR	ARM64_SYSREG(3, 0, 0, 0, 6)
#define	R_PFR0		ARM64_SYSREG(3, 0, 0, 4, 0)
#define	R_DFR0		ARM64_SYSREG(3, 0, 0, 5, 0)
#define	R_MMFR0		ARM64_SYSREG(3, 0, 0, 7, 0)
#define	R_CCSIDR	ARM64_SYSREG(3, 1, 0, 0, 0)
#define	R_CLIDR		ARM64_SYSREG(3, 1, 0, 0, 1)
#define	R_AIDR		ARM64_SYSREG(3, 1, 0, 0, 7)
#define	R_CSSELR	ARM64_SYSREG(3, 2, 0, 0, 0)
#define	R_CTR		ARM64_SYSREG(3, 3, 0, 0, 1)
#define	R_DCZID		ARM64_SYSREG(3, 3, 0, 0, 7)
#define	R_CNTFRQ	ARM64_SYSREG(3, 3, 14, 0, 0)
#define	R_CNTPCT	ARM64_SYSREG(3, 3, 14, 0, 1)
#define	R_CNTVCT	ARM64_SYSREG(3, 3, 14, 0, 2)
#define	R_CNTP_TVAL	ARM64_SYSREG(3, 3, 14, 2, 0)
#define	R_CNTP_CTL	ARM64_SYSREG(3, 3, 14, 2, 1)
#define	R_CNTP_CVAL	ARM64_SYSREG(3, 3, 14, 2, 2)
#define	R_CNTV_TVAL	ARM64_SYSREG(3, 3, 14, 3, 0)
#define	R_CNTV_CTL	ARM64_SYSREG(3, 3, 14, 3, 1)
#define	R_CNTV_CVAL	ARM64_SYSREG(3, 3, 14, 3, 2)

/*
 * The processor as its ID registers tell it: EL0 and EL1 in AArch64 only, no floating point, GIC by system registers, nothing to
 * mitigate (CSV2, CSV3); 40 bits of physical address, 16-bit ASIDs, the 4 KiB granule only; Armv8 debug.
 */
#define	PFR0_VALUE	0x1100000001ff0011ULL
#define	DFR0_VALUE	0x6ULL
#define	MMFR0_VALUE	0x0f000022ULL
/* Caches of 64-byte lines that software need not maintain: IDC, DIC, PIPT. */
#define	CTR_VALUE	0xb444c004ULL
/* DC ZVA is prohibited. */
#define	DCZID_VALUE	0x14ULL

/* SCTLR_EL1 */
#define	SCTLR_UMA	(1U << 9)
#define	SCTLR_UCT	(1U << 15)
#define	SCTLR_NTWI	(1U << 16)
#define	SCTLR_NTWE	(1U << 18)
#define	SCTLR_UCI	(1U << 26)
#define	SCTLR_E0E_EE	0x03000000U	/* little-endian only: RES0 */

/* CNTKCTL_EL1: what EL0 may use */
#define	CNTK_PCT	0x001U
#define	CNTK_VCT	0x002U
#define	CNTK_VT		0x100U
#define	CNTK_PT		0x200U

#define	EC_WFX		0x01U

#define	F_RO		0x1U	/* writes are UNDEFINED */
#define	F_EL0_R		0x2U
#define	F_EL0_W		0x4U
#define	F_FP		0x8U	/* CPACR_EL1 guards it */
#define	F_XLATE		0x10U	/* translation depends on it */
#define	F_32		0x20U

struct sysreg {
	uint32_t	 reg;
	uint16_t	 offset;
	uint8_t		 size;
	uint8_t		 flags;
};

#define	SYSREG(r, m, f)								\
	{ .reg = (r), .offset = offsetof(struct arm64_state, m),		\
	  .size = sizeof(((struct arm64_state *)0)->m), .flags = (f) }

static const struct sysreg sysregs[] = {
	SYSREG(R_SCTLR, sctlr_el1, F_XLATE | F_32),
	SYSREG(R_CPACR, cpacr_el1, F_32),
	SYSREG(R_TTBR0, ttbr0_el1, F_XLATE),
	SYSREG(R_TTBR1, ttbr1_el1, F_XLATE),
	SYSREG(R_TCR, tcr_el1, F_XLATE),
	SYSREG(R_SPSR, spsr_el1, F_32),
	SYSREG(R_ELR, elr_el1, 0),
	SYSREG(R_ESR, esr_el1, F_32),
	SYSREG(R_FAR, far_el1, 0),
	SYSREG(R_MAIR, mair_el1, F_XLATE),
	SYSREG(R_VBAR, vbar_el1, 0),
	SYSREG(R_CONTEXTIDR, contextidr_el1, F_32),
	SYSREG(R_TPIDR_EL1, tpidr_el1, 0),
	SYSREG(R_TPIDR_EL0, tpidr_el0, F_EL0_R | F_EL0_W),
	SYSREG(R_TPIDRRO, tpidrro_el0, F_EL0_R),
	SYSREG(R_CNTKCTL, cntkctl_el1, F_32),
	SYSREG(R_FPCR, fpcr, F_EL0_R | F_EL0_W | F_FP),
	SYSREG(R_FPSR, fpsr, F_EL0_R | F_EL0_W | F_FP),
	SYSREG(R_MIDR, midr_el1, F_RO),
	SYSREG(R_MPIDR, mpidr_el1, F_RO),
};

/* CPACR_EL1.FPEN (Arm ARM D13.2.30) */
static bool
fp_trapped(const struct a64 *c)
{
	unsigned fpen = (unsigned)(c->s->cpacr_el1 >> 20) & 3;

	return (fpen != 3 && (fpen != 1 || a64_el0(c)));
}

/* Look for events behind this instruction. */
static enum a64_status
check(struct a64 *c)
{
	c->attention = true;
	a64_mode(c);
	return (A_DONE);
}

static enum a64_status
yield(struct a64 *c)
{
	if (c->vcpu->caps[VM_CAP_PAUSE_EXIT] != 1)
		return (A_YIELD);
	(void)a64_exit(c, VM_EXIT_PAUSE, false);
	return (A_DONE);
}

static enum a64_status
a64_fp(struct a64 *c)
{
	/* The syndrome of an unconditional instruction: COND 0b1110, valid (Arm ARM D13.2.37). */
	if (fp_trapped(c))
		return (a64_raise(c, ESR_EC(EC_FP) | ESR_IL | 0x01e00000U));
	return (a64_undefined(c));
}

static enum a64_status
a64_eret(struct a64 *c)
{
	struct arm64_state *s = c->s;
	uint64_t spsr = s->spsr_el1, mode = spsr & PSTATE_MODE;

	if (a64_el0(c))
		return (a64_undefined(c));
	/* Back to a level or state that does not exist: illegal (Arm ARM D1.11.4). */
	if ((spsr & PSTATE_NRW) != 0 || (mode != PSTATE_EL0T && mode != PSTATE_EL1T && mode != PSTATE_EL1H))
		s->pstate = (s->pstate & PSTATE_MODE) | PSTATE_IL | (spsr & (PSTATE_NZCV | PSTATE_DAIF));
	else
		s->pstate = spsr & (PSTATE_NZCV | PSTATE_DAIF | PSTATE_IL | PSTATE_MODE);
	s->pc = s->elr_el1;
	c->excl = false;
	a64_mode(c);
	c->attention = true;
	return (A_JUMP);
}

static enum a64_status
hypercall(struct a64 *c)
{
	struct arm64_state *s = c->s;
	struct vm_exit *ex;
	uint64_t v;

	if (a64_el0(c))
		return (a64_undefined(c));
	if (soft_replied(c->cpu, VM_EXIT_HYPERCALL, s->x[0], &v)) {
		s->x[0] = v;
		return (check(c));
	}
	switch (arm64_psci(c->vcpu)) {
	case ARM64_PSCI_DONE:
		return (check(c));
	case ARM64_PSCI_WAIT:
		soft_mark(c->cpu);
		s->x[0] = 0;
		arm64_store32(&s->run_state, VM_ARM64_WAITING);
		return (A_IDLE);
	case ARM64_PSCI_OFF:
		soft_mark(c->cpu);
		arm64_store32(&s->run_state, VM_ARM64_OFF);
		return (A_IDLE);
	case ARM64_PSCI_POWEROFF:
		soft_suspend(c->cpu, VM_SUSPEND_POWEROFF);
		return (A_DONE);
	case ARM64_PSCI_RESET:
		soft_suspend(c->cpu, VM_SUSPEND_RESET);
		return (A_DONE);
	case ARM64_PSCI_NOT:
		break;
	}
	ex = a64_exit(c, VM_EXIT_HYPERCALL, true);
	c->cpu->open_addr = s->x[0];
	ex->u.hypercall.func = s->x[0];
	for (unsigned i = 0; i < nitems(ex->u.hypercall.args); i++)
		ex->u.hypercall.args[i] = s->x[i + 1];
	return (A_STOP);
}

static enum a64_status
a64_exception_insn(struct a64 *c, uint32_t insn)
{
	uint64_t imm = a64_bits(insn, 20, 5);
	struct vm_exit *ex;

	switch (a64_bits(insn, 23, 21) << 5 | (insn & 0x1f)) {
	case 0 << 5 | 1:	/* SVC returns behind itself */
		return (a64_raise_behind(c, ESR_EC(EC_SVC) | ESR_IL | imm));
	case 0 << 5 | 2:
		return (hypercall(c));
	case 1 << 5 | 0:	/* BRK */
		if (c->vcpu->caps[VM_CAP_BREAK_EXIT] == 1) {
			ex = a64_exit(c, VM_EXIT_DEBUG, false);
			ex->u.debug.addr = c->s->pc;
			ex->u.debug.reason = VM_ARM64_DEBUG_BRK;
			return (A_STOP);
		}
		return (a64_raise(c, ESR_EC(EC_BRK) | ESR_IL | imm));
	default:		/* SMC too: there is no EL3 */
		return (a64_undefined(c));
	}
}

/* A system instruction that EL1 forbids to EL0 (EC 0x18). */
static enum a64_status
trapped(struct a64 *c, uint32_t insn)
{
	uint64_t iss = (uint64_t)a64_bits(insn, 20, 19) << 20 | (uint64_t)a64_bits(insn, 7, 5) << 17 |
	    (uint64_t)a64_bits(insn, 18, 16) << 14 | (uint64_t)a64_bits(insn, 15, 12) << 10 |
	    (uint64_t)(insn & 31) << 5 | (uint64_t)a64_bits(insn, 11, 8) << 1 | a64_bits(insn, 21, 21);

	return (a64_raise(c, ESR_EC(EC_SYSREG) | ESR_IL | iss));
}

static enum a64_status
wait_hint(struct a64 *c, bool wfi)
{
	struct arm64_state *s = c->s;

	if (a64_el0(c) && (s->sctlr_el1 & (wfi ? SCTLR_NTWI : SCTLR_NTWE)) == 0)
		return (a64_raise(c, ESR_EC(EC_WFX) | ESR_IL | 0x01e00000U | (wfi ? 0 : 1)));
	if (!wfi) {
		/* The event register may be set at any time (Arm ARM D1.16.1), so WFE waits for nothing. */
		return (yield(c));
	}
	a64_timers(c, true);
	if (a64_woken(c))
		return (check(c));
	soft_mark(c->cpu);
	arm64_store32(&s->run_state, VM_ARM64_WAITING);
	return (A_IDLE);
}

static enum a64_status
hint(struct a64 *c, unsigned n)
{
	switch (n) {
	case 1:		/* YIELD */
		return (yield(c));
	case 2:
	case 3:
		return (wait_hint(c, n == 3));
	default:
		return (A_DONE);
	}
}

static enum a64_status
barrier(struct a64 *c, unsigned op2)
{
	switch (op2) {
	case 2:		/* CLREX */
		c->excl = false;
		break;
	case 4:
	case 5:
	case 7:
		/* What gcc's thread sanitizer also knows, unlike atomic_thread_fence(). */
		__sync_synchronize();
		break;
	case 6:		/* ISB */
		break;
	default:
		return (a64_undefined(c));
	}
	return (A_DONE);
}

/* MSR (immediate) */
static enum a64_status
msr_immediate(struct a64 *c, uint32_t insn)
{
	struct arm64_state *s = c->s;
	unsigned field = a64_bits(insn, 18, 16) << 3 | a64_bits(insn, 7, 5), imm = a64_bits(insn, 11, 8);

	switch (field) {
	case 0 << 3 | 5:	/* SPSel */
		if (a64_el0(c))
			return (a64_undefined(c));
		s->pstate = (s->pstate & ~1ULL) | (imm & 1);
		return (A_DONE);
	case 3 << 3 | 6:	/* DAIFSet */
	case 3 << 3 | 7:	/* DAIFClr */
		if (a64_el0(c) && (s->sctlr_el1 & SCTLR_UMA) == 0)
			return (trapped(c, insn));
		if ((field & 7) == 6)
			s->pstate |= imm << 6;
		else
			s->pstate &= ~(uint64_t)(imm << 6);
		return (check(c));
	default:
		return (a64_undefined(c));
	}
}

/*
 * Cache and TLB maintenance: there is neither a cache nor a TLB, but the fetch page.  Address translation instructions and
 * DC ZVA are not there.
 */
static enum a64_status
maintenance(struct a64 *c, uint32_t insn)
{
	unsigned op1 = a64_bits(insn, 18, 16), crn = a64_bits(insn, 15, 12), crm = a64_bits(insn, 11, 8);

	if (a64_bits(insn, 21, 21) != 0)
		return (a64_undefined(c));
	if (crn == 8 && op1 == 0 && !a64_el0(c)) {	/* TLBI */
		a64_flush(c);
		return (A_DONE);
	}
	if (crn != 7 || crm == 8 || crm == 4)
		return (a64_undefined(c));
	if (a64_el0(c)) {
		if (op1 != 3)
			return (a64_undefined(c));
		if ((c->s->sctlr_el1 & SCTLR_UCI) == 0)
			return (trapped(c, insn));
	}
	return (A_DONE);
}

static bool
is_icc(uint32_t reg)
{
	return (reg == ICC_PMR || (reg >= ARM64_SYSREG(3, 0, 12, 8, 0) && reg < ARM64_SYSREG(3, 0, 13, 0, 0)));
}

/* The controller's registers.  Ending an interrupt may call a device: outside guest code. */
static enum a64_status
icc(struct a64 *c, uint32_t reg, bool write, unsigned rt)
{
	const struct intc_ops *ops = c->vcpu->vm->intc_ops;
	bool ends = reg == ICC_EOIR0 || reg == ICC_EOIR1 || reg == ICC_DIR, ok;
	uint64_t val = write ? a64_x(c, rt) : 0;

	if (ops == NULL || ops->sysreg == NULL)
		return (a64_undefined(c));
	if (ends && write) {
		soft_leave(c->cpu);
		ok = ops->sysreg(c->vcpu, reg, write, &val);
		soft_reenter(c->cpu);
		} else {
		ok = ops->sysreg(c->vcpu, reg, write, &val);
	}
	if (!ok)
		return (a64_undefined(c));
	if (!write)
		a64_set_x(c, rt, true, val);
	return (check(c));
}

/* May EL0 use this register of the timer?  CNTKCTL_EL1 (Arm ARM D13.8.15). */
static bool
timer_allowed(const struct a64 *c, uint32_t reg)
{
	uint64_t k = c->s->cntkctl_el1;

	if (!a64_el0(c))
		return (true);
	switch (reg) {
	case R_CNTFRQ:
		return ((k & (CNTK_PCT | CNTK_VCT)) != 0);
	case R_CNTPCT:
		return ((k & CNTK_PCT) != 0);
	case R_CNTVCT:
		return ((k & CNTK_VCT) != 0);
	case R_CNTP_TVAL:
	case R_CNTP_CTL:
	case R_CNTP_CVAL:
		return ((k & CNTK_PT) != 0);
	default:
		return ((k & CNTK_VT) != 0);
	}
}

static enum a64_status
read_timer(struct a64 *c, uint32_t reg, unsigned rt)
{
	bool virt = reg == R_CNTV_TVAL || reg == R_CNTV_CTL || reg == R_CNTV_CVAL;
	struct arm64_state *s = c->s;
	uint64_t cval = virt ? s->cntv_cval_el0 : s->cntp_cval_el0, v;

	switch (reg) {
	case R_CNTFRQ:
		v = (uint32_t)c->vcpu->vm->counter_hz;
		break;
	case R_CNTPCT:
		v = a64_count(c, 1);
		break;
	case R_CNTVCT:
		v = a64_count(c, 0);
		break;
	case R_CNTP_TVAL:
	case R_CNTV_TVAL:
		v = (uint32_t)(cval - a64_count(c, !virt));
		break;
	case R_CNTP_CTL:
	case R_CNTV_CTL:
		v = virt ? s->cntv_ctl_el0 : s->cntp_ctl_el0;
		/* ISTATUS, while enabled */
		if ((v & 1) != 0 && a64_count(c, !virt) >= cval)
			v |= 4;
		break;
	default:
		v = cval;
		break;
	}
	a64_set_x(c, rt, true, v);
	return (check(c));
}

static enum a64_status
write_timer(struct a64 *c, uint32_t reg, unsigned rt)
{
	struct arm64_state *s = c->s;
	uint64_t val = a64_x(c, rt);

	switch (reg) {
	case R_CNTP_TVAL:
		s->cntp_cval_el0 = a64_count(c, 1) + (uint64_t)(int64_t)(int32_t)val;
		break;
	case R_CNTV_TVAL:
		s->cntv_cval_el0 = a64_count(c, 0) + (uint64_t)(int64_t)(int32_t)val;
		break;
	case R_CNTP_CTL:
		s->cntp_ctl_el0 = val & 3;
		break;
	case R_CNTV_CTL:
		s->cntv_ctl_el0 = val & 3;
		break;
	case R_CNTP_CVAL:
		s->cntp_cval_el0 = val;
		break;
	case R_CNTV_CVAL:
		s->cntv_cval_el0 = val;
		break;
	default:
		/* The frequency is written at the highest level by firmware's firmware; here it is the machine's. */
		return (a64_undefined(c));
	}
	a64_timers(c, true);
	return (check(c));
}

/* Registers with a constant value or none: true if reg is one. */
static bool
read_constant(const struct a64 *c, uint32_t reg, uint64_t *val)
{
	switch (reg) {
	case R_PFR0:
		*val = PFR0_VALUE;
		return (true);
	case R_DFR0:
		*val = DFR0_VALUE;
		return (true);
	case R_MMFR0:
		*val = MMFR0_VALUE;
		return (true);
	case R_REVIDR:
	case R_CCSIDR:
	case R_CLIDR:
	case R_AIDR:
	case R_CSSELR:
		*val = 0;
		return (true);
	case R_CTR:
		*val = CTR_VALUE;
		return (true);
	case R_DCZID:
		*val = DCZID_VALUE;
		return (true);
	default:
		/* The rest of the ID space reads as zero (Arm ARM D12.3.1). */
		*val = 0;
		return (reg >= ARM64_SYSREG(3, 0, 0, 1, 0) && reg <= ARM64_SYSREG(3, 0, 0, 7, 7));
	}
}

static const struct sysreg *
lookup(uint32_t reg)
{
	for (size_t i = 0; i < nitems(sysregs); i++) {
		if (sysregs[i].reg == reg)
			return (&sysregs[i]);
	}
	return (NULL);
}

/* A register that nobody models: the caller of vm_run() answers. */
static enum a64_status
unknown(struct a64 *c, uint32_t reg, bool write, unsigned rt)
{
	struct vm_exit *ex;
	uint64_t val;

	if (a64_el0(c))
		return (a64_undefined(c));
	if (!write && soft_replied(c->cpu, VM_EXIT_SYSREG, reg, &val)) {
		a64_set_x(c, rt, true, val);
		return (A_DONE);
	}
	ex = a64_exit(c, VM_EXIT_SYSREG, !write);
	c->cpu->open_addr = reg;
	ex->u.sysreg.reg = reg;
	ex->u.sysreg.data = write ? a64_x(c, rt) : 0;
	ex->u.sysreg.write = write;
	return (write ? A_DONE : A_EXIT);
}

/* PSTATE fields and SP_EL0, which no table holds.  Returns whether reg is one; *r is what became of it. */
static bool
pstate_register(struct a64 *c, uint32_t insn, uint32_t reg, bool write, unsigned rt, enum a64_status *r)
{
	struct arm64_state *s = c->s;
	uint64_t mask, val = a64_x(c, rt);
	bool el0 = a64_el0(c);

	*r = A_DONE;
	switch (reg) {
	case R_NZCV:
		mask = PSTATE_NZCV;
		break;
	case R_DAIF:
		if (el0 && (s->sctlr_el1 & SCTLR_UMA) == 0) {
			*r = trapped(c, insn);
			return (true);
		}
		mask = PSTATE_DAIF;
		*r = check(c);
		break;
	case R_CURRENTEL:
		if (el0 || write)
			*r = a64_undefined(c);
		else
			a64_set_x(c, rt, true, 1 << 2);
		return (true);
	case R_SPSEL:
		if (el0) {
			*r = a64_undefined(c);
			return (true);
		}
		mask = 1;
		break;
	case R_SP_EL0:
		/* UNDEFINED while it is the stack pointer in use (Arm ARM C5.2.16). */
		if (el0 || (s->pstate & 1) == 0)
			*r = a64_undefined(c);
		else if (write)
			s->sp_el0 = val;
		else
			a64_set_x(c, rt, true, s->sp_el0);
		return (true);
	default:
		return (false);
	}
	if (write)
		s->pstate = (s->pstate & ~mask) | (val & mask);
	else
		a64_set_x(c, rt, true, s->pstate & mask);
	return (true);
}

/* What a register keeps of a value. */
static uint64_t
writable(uint32_t reg, uint64_t val)
{
	switch (reg) {
	case R_SCTLR:
		return ((val & ~(uint64_t)SCTLR_E0E_EE) | SCTLR_RES1);
	case R_VBAR:
		return (val & ~0x7ffULL);
	default:
		return (val);
	}
}

static enum a64_status
table_register(struct a64 *c, const struct sysreg *sr, bool write, unsigned rt)
{
	char *p = (char *)c->s + sr->offset;
	uint64_t val = a64_x(c, rt);

	if (a64_el0(c) && (sr->flags & (write ? F_EL0_W : F_EL0_R)) == 0)
		return (a64_undefined(c));
	if (write && (sr->flags & F_RO) != 0)
		return (a64_undefined(c));
	if ((sr->flags & F_FP) != 0 && fp_trapped(c))
		return (a64_fp(c));
	if (!write) {
		a64_set_x(c, rt, true, sr->size == 4 ? *(uint32_t *)(void *)p : *(uint64_t *)(void *)p);
		return (A_DONE);
	}
	val = writable(sr->reg, val);
	if (sr->size == 4)
		*(uint32_t *)(void *)p = (uint32_t)val;
	else
		*(uint64_t *)(void *)p = (sr->flags & F_32) != 0 ? (uint32_t)val : val;
	if ((sr->flags & F_XLATE) != 0)
		a64_flush(c);
	a64_mode(c);
	return (A_DONE);
}

static enum a64_status
move_sysreg(struct a64 *c, uint32_t insn)
{
	uint32_t reg = a64_bits(insn, 20, 5);
	unsigned rt = insn & 31;
	bool write = a64_bits(insn, 21, 21) == 0;
	const struct sysreg *sr;
	enum a64_status r;
	uint64_t val;

	if ((sr = lookup(reg)) != NULL)
		return (table_register(c, sr, write, rt));
	if (pstate_register(c, insn, reg, write, rt, &r))
		return (r);
	if (is_icc(reg))
		return (a64_el0(c) ? a64_undefined(c) : icc(c, reg, write, rt));
	if ((reg >= R_CNTFRQ && reg <= R_CNTVCT) || (reg >= R_CNTP_TVAL && reg <= R_CNTP_CVAL) ||
	    (reg >= R_CNTV_TVAL && reg <= R_CNTV_CVAL)) {
		if (!timer_allowed(c, reg))
			return (trapped(c, insn));
		if (write && (reg == R_CNTPCT || reg == R_CNTVCT))
			return (a64_undefined(c));
		return (write ? write_timer(c, reg, rt) : read_timer(c, reg, rt));
	}
	if (read_constant(c, reg, &val)) {
		if (reg == R_CTR && a64_el0(c) && (c->s->sctlr_el1 & SCTLR_UCT) == 0)
			return (trapped(c, insn));
		if (a64_el0(c) && reg != R_CTR && reg != R_DCZID)
			return (a64_undefined(c));
		if (write)
			return (reg == R_CSSELR ? A_DONE : a64_undefined(c));
		a64_set_x(c, rt, true, val);
		return (A_DONE);
	}
	return (unknown(c, reg, write, rt));
}

static enum a64_status
a64_system(struct a64 *c, uint32_t insn)
{
	unsigned op0 = a64_bits(insn, 20, 19), crn = a64_bits(insn, 15, 12), op2 = a64_bits(insn, 7, 5);

	if (op0 >= 2)
		return (move_sysreg(c, insn));
	if (op0 == 1)
		return (maintenance(c, insn));
	if (a64_bits(insn, 21, 21) != 0 || (insn & 31) != 31)
		return (a64_undefined(c));
	if (crn == 4)
		return (msr_immediate(c, insn));
	if (a64_bits(insn, 18, 16) != 3)
		return (a64_undefined(c));
	if (crn == 2)
		return (hint(c, a64_bits(insn, 11, 8) << 3 | op2));
	if (crn == 3)
		return (barrier(c, op2));
	return (a64_undefined(c));
}

static enum a64_status
op_exception(struct a64 *c, const struct a64_insn *i)
{
	a64_sync(c);
	return (a64_exception_insn(c, i->word));
}

static enum a64_status
op_eret(struct a64 *c, const struct a64_insn *i)
{
	return (a64_eret(c));
}

static enum a64_status
op_system(struct a64 *c, const struct a64_insn *i)
{
	enum a64_status r;

	a64_sync(c);
	r = a64_system(c, i->word);
	a64_mode(c);
	a64_after_device(c);
	return (r);
}

bool
a64_decode_system(uint32_t word, unsigned features, unsigned mode, struct a64_insn *i)
{
	i->flags = A64_I_END;
	if ((word & 0xff000000) == 0xd4000000)
		i->fn = op_exception;
	else if ((word & 0xffc00000) == 0xd5000000)
		i->fn = op_system;
	else if (word == 0xd69f03e0)
		i->fn = op_eret;
	return (i->fn != NULL);
}
