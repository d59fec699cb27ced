/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sys_arm64.c - exception generation and return, hints, barriers, and PSTATE by immediate (Arm ARM C4.1.3, C5.1, C6);
 * PSCI by HVC.
 */
#include "debug.h"
#include "sys.h"

unsigned
a64_features(const struct arm64_state *s)
{
	uint64_t isar0 = s->id[ARM64_ID_AA64ISAR0];
	unsigned aes = (unsigned)(isar0 >> 4) & 0xf, f = 0;

	/* Arm ARM D13.2.61 */
	f |= aes >= 1 ? A64_F_AES : 0;
	f |= aes >= 2 ? A64_F_PMULL : 0;
	f |= (isar0 >> 8 & 0xf) != 0 ? A64_F_SHA1 : 0;
	f |= (isar0 >> 12 & 0xf) != 0 ? A64_F_SHA256 : 0;
	f |= (isar0 >> 16 & 0xf) != 0 ? A64_F_CRC32 : 0;
	f |= (isar0 >> 20 & 0xf) != 0 ? A64_F_LSE : 0;
	return (f);
}

enum a64_status
a64_trapped(struct a64 *c, const struct a64_insn *i)
{
	uint32_t w = i->word;
	uint64_t iss = (uint64_t)a64_bits(w, 20, 19) << 20 | (uint64_t)a64_bits(w, 7, 5) << 17 |
	    (uint64_t)a64_bits(w, 18, 16) << 14 | (uint64_t)a64_bits(w, 15, 12) << 10 |
	    (uint64_t)(w & 31) << 5 | (uint64_t)a64_bits(w, 11, 8) << 1 | a64_bits(w, 21, 21);

	return (a64_raise(c, ESR_EC(EC_SYSREG) | ESR_IL | iss));
}

/* Exception generation (Arm ARM C4.1.3) */

static enum a64_status
svc(struct a64 *c, const struct a64_insn *i)
{
	a64_debug_advance(c);
	return (a64_raise_behind(c, ESR_EC(EC_SVC) | ESR_IL | i->imm));
}

static enum a64_status
brk(struct a64 *c, const struct a64_insn *i)
{
	struct vm_exit *ex;

	if (c->vcpu->caps[VM_CAP_BREAK_EXIT] != 1)
		return (a64_raise(c, ESR_EC(EC_BRK) | ESR_IL | i->imm));
	ex = a64_exit(c, VM_EXIT_DEBUG, false);
	ex->u.debug.addr = a64_pc(c, i);
	ex->u.debug.reason = VM_ARM64_DEBUG_BRK;
	ex->u.debug.why = VM_DEBUG_BY_GUEST;
	return (A_STOP);
}

static enum a64_status
suspend(struct a64 *c, enum vm_suspend_how how)
{
	a64_sync(c);
	soft_suspend(c->cpu, how);
	a64_after_device(c);
	return (A_DONE);
}

static enum a64_status
sleep_until(struct a64 *c, enum vm_arm64_run_state state)
{
	a64_sync(c);
	soft_mark(c->cpu);
	if (state == VM_ARM64_WAITING)
		c->s->x[0] = 0;
	arm64_store32(&c->s->run_state, state);
	return (A_IDLE);
}

static enum a64_status
hvc(struct a64 *c, const struct a64_insn *i)
{
	struct arm64_state *s = c->s;
	struct vm_exit *ex;
	uint64_t v;

	a64_sync(c);
	soft_outside(c->cpu);
	if (soft_replied(c->cpu, VM_EXIT_HYPERCALL, s->x[0], &v)) {
		s->x[0] = v;
		return (A_DONE);
	}
	switch (arm64_psci(c->vcpu)) {
	case ARM64_PSCI_DONE:
		return (A_DONE);
	case ARM64_PSCI_WAIT:
		return (sleep_until(c, VM_ARM64_WAITING));
	case ARM64_PSCI_OFF:
		return (sleep_until(c, VM_ARM64_OFF));
	case ARM64_PSCI_POWEROFF:
		return (suspend(c, VM_SUSPEND_POWEROFF));
	case ARM64_PSCI_RESET:
		return (suspend(c, VM_SUSPEND_RESET));
	case ARM64_PSCI_NOT:
		break;
	}
	ex = a64_exit(c, VM_EXIT_HYPERCALL, true);
	c->cpu->open_addr = s->x[0];
	ex->u.hypercall.func = s->x[0];
	for (unsigned n = 0; n < nitems(ex->u.hypercall.args); n++)
		ex->u.hypercall.args[n] = s->x[n + 1];
	return (A_EXIT);
}

/*
 * ERET (D1.11).  A return to a level or state that does not exist is illegal: PC, flags and masks are set, the mode
 * stays and PSTATE.IL makes the next instruction an Illegal Execution state exception (D1.11.4).
 */
static enum a64_status
eret(struct a64 *c, const struct a64_insn *i)
{
	struct arm64_state *s = c->s;
	uint64_t spsr = s->spsr_el1, mode = spsr & PSTATE_MODE, ss = a64_debug_return_ss(c, spsr);

	if ((spsr & PSTATE_NRW) != 0 || (mode != PSTATE_EL0T && mode != PSTATE_EL1T && mode != PSTATE_EL1H)) {
		s->pstate = (s->pstate & PSTATE_MODE) | PSTATE_IL | (spsr & (PSTATE_NZCV | PSTATE_DAIF)) | ss;
		s->pc = s->elr_el1;
	} else {
		s->pstate = (spsr & (PSTATE_NZCV | PSTATE_DAIF | PSTATE_IL | PSTATE_MODE)) | ss;
		s->pc = arm64_branch_target(s, s->elr_el1);
	}
	c->s->excl_size = 0;
	c->attention = true;
	a64_mode(c);
	return (A_JUMP);
}

static bool
decode_exception(uint32_t word, unsigned mode, struct a64_insn *i)
{
	i->imm = a64_bits(word, 20, 5);
	switch (a64_bits(word, 23, 21) << 5 | (word & 0x1f)) {
	case 0 << 5 | 1:
		i->fn = svc;
		return (true);
	case 0 << 5 | 2:	/* EL1 is what calls the hypervisor */
		i->fn = hvc;
		return ((mode & A64_MODE_EL0) == 0);
	case 1 << 5 | 0:
		i->fn = brk;
		return (true);
	default:		/* SMC: no EL3; HLT and DCPS: no external debugger */
		return (false);
	}
}

/* Hints (Arm ARM C6.2.110) */

/* COND 0b1110, valid; and which one it was (Arm ARM D13.2.37, ISS for WFI and WFE). */
static enum a64_status
trap_wait(struct a64 *c, bool wfe)
{
	return (a64_raise(c, ESR_EC(EC_WFX) | ESR_IL | 0x01e00000U | wfe));
}

static enum a64_status
wfi(struct a64 *c, const struct a64_insn *i)
{
	if (a64_el0(c) && (c->s->sctlr_el1 & SCTLR_NTWI) == 0)
		return (trap_wait(c, false));
	a64_sync(c);
	soft_outside(c->cpu);
	a64_timers(c, true);
	a64_after_device(c);
	if (a64_woken(c))
		return (A_DONE);
	soft_mark(c->cpu);
	arm64_store32(&c->s->run_state, VM_ARM64_WAITING);
	return (A_IDLE);
}

static enum a64_status
yield(struct a64 *c, const struct a64_insn *i)
{
	if (c->vcpu->caps[VM_CAP_PAUSE_EXIT] != 1)
		return (A_YIELD);
	(void)a64_exit(c, VM_EXIT_PAUSE, false);
	return (A_DONE);
}

/*
 * The event register may be set at any time (Arm ARM D1.16.1), so WFE waits for nothing and only lets others go
 * first.  That is also all that the timer's event stream asks for.
 */
static enum a64_status
wfe(struct a64 *c, const struct a64_insn *i)
{
	if (a64_el0(c) && (c->s->sctlr_el1 & SCTLR_NTWE) == 0)
		return (trap_wait(c, true));
	return (yield(c, i));
}

static enum a64_status
nop(struct a64 *c, const struct a64_insn *i)
{
	return (A_DONE);
}

static bool
decode_hint(unsigned n, struct a64_insn *i)
{
	i->flags = n >= 1 && n <= 3 ? A64_I_END : 0;
	i->fn = n == 1 ? yield : n == 2 ? wfe : n == 3 ? wfi : nop;
	return (true);
}

/* Barriers (Arm ARM C6.2, B2.3.5) */

static enum a64_status
clrex(struct a64 *c, const struct a64_insn *i)
{
	c->s->excl_size = 0;
	return (A_DONE);
}

static enum a64_status
dmb(struct a64 *c, const struct a64_insn *i)
{
	/* What gcc's thread sanitizer also knows, unlike atomic_thread_fence(). */
	__sync_synchronize();
	return (A_DONE);
}

/* TLB maintenance is complete behind it (D5.10.2). */
static enum a64_status
dsb(struct a64 *c, const struct a64_insn *i)
{
	__sync_synchronize();
	return (a64_complete(c));
}

/* The block ends, so what follows is looked up, after requests to drop code have been looked at. */
static enum a64_status
isb(struct a64 *c, const struct a64_insn *i)
{
	__sync_synchronize();
	return (A_DONE);
}

static bool
decode_barrier(unsigned op2, struct a64_insn *i)
{
	static a64_op *const barriers[8] = { [2] = clrex, [4] = dsb, [5] = dmb, [6] = isb };

	i->fn = barriers[op2];
	i->flags = op2 == 6 ? A64_I_END : 0;
	return (i->fn != NULL);
}

/* MSR (immediate) */

static enum a64_status
msr_spsel(struct a64 *c, const struct a64_insn *i)
{
	c->s->pstate = (c->s->pstate & ~1ULL) | (i->imm & 1);
	a64_mode(c);
	return (A_DONE);
}

static enum a64_status
msr_daif(struct a64 *c, const struct a64_insn *i)
{
	struct arm64_state *s = c->s;

	if (a64_el0(c) && (s->sctlr_el1 & SCTLR_UMA) == 0)
		return (a64_trapped(c, i));
	if (i->arg != 0)
		s->pstate |= i->imm << 6;
	else
		s->pstate &= ~(i->imm << 6);
	c->attention = true;
	a64_mode(c);
	return (A_DONE);
}

static bool
decode_msr_immediate(uint32_t word, unsigned mode, struct a64_insn *i)
{
	i->imm = a64_bits(word, 11, 8);
	switch (a64_bits(word, 18, 16) << 3 | a64_bits(word, 7, 5)) {
	case 0 << 3 | 5:	/* SPSel */
		i->fn = msr_spsel;
		return ((mode & A64_MODE_EL0) == 0 && i->imm <= 1);
	case 3 << 3 | 6:	/* DAIFSet */
	case 3 << 3 | 7:	/* DAIFClr */
		i->fn = msr_daif;
		i->arg = a64_bits(word, 7, 5) == 6;
		return (true);
	default:
		return (false);
	}
}

bool
a64_decode_system(uint32_t word, unsigned features, unsigned mode, struct a64_insn *i)
{
	unsigned op0 = a64_bits(word, 20, 19), crn = a64_bits(word, 15, 12), op2 = a64_bits(word, 7, 5);

	i->word = word;
	i->flags = A64_I_END;
	i->rd = (uint8_t)(word & 31);
	if (word == 0xd69f03e0U) {
		i->fn = eret;
		return ((mode & A64_MODE_EL0) == 0);
	}
	if (word >> 24 == 0xd4)
		return (decode_exception(word, mode, i));
	if (word >> 22 != 0xd5000000U >> 22)
		return (false);
	if (op0 >= 2)
		return (a64_decode_sysreg(word, mode, i));
	if (op0 == 1)
		return (a64_decode_maintenance(word, mode, i));
	if (a64_bits(word, 21, 21) != 0 || (word & 31) != 31)
		return (false);
	if (crn == 4)
		return (decode_msr_immediate(word, mode, i));
	if (a64_bits(word, 18, 16) != 3)
		return (false);
	if (crn == 2)
		return (decode_hint(a64_bits(word, 11, 8) << 3 | op2, i));
	return (crn == 3 && decode_barrier(op2, i));
}
