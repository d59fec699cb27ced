/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_arm64_reg.c - the registers of a vCPU on arm64 hosts: they go into the state page and out of it one by one (the kernel's
 * Documentation/virt/kvm/api.rst, KVM_SET_ONE_REG).
 *
 * Identification.  A guest has looked at its processor and counts on what it has found, so a stream says what that was, and the page keeps it.
 * A kernel that can make its processor that one is told to.  Others show what the host has; that will do if it has all of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kvm_arm64.h"

#define	TIMER_ENABLE	1U		/* CNTP_CTL_EL0 (Arm ARM D17.11.16) */
#define	TIMER_IMASK	2U
#define	OSLSR_OSLK	2U		/* OSLSR_EL1 (Arm ARM D17.3.26) */
#define	OSLSR_OSLM	8U		/* there is an OS lock */

#define	CORE32(f)	(KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(f))
#define	CORE128(f)	(KVM_REG_ARM64 | KVM_REG_SIZE_U128 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(f))
#define	CORE_V(n)	(CORE128(fp_regs.vregs[0]) + 4U * (n))

int
kvm_reg_get(int fd, uint64_t id, void *val)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)val };

	return (kvm_ioctl(fd, KVM_GET_ONE_REG, &r));
}

int
kvm_reg_set(int fd, uint64_t id, const void *val)
{
	struct kvm_one_reg r = { .id = id, .addr = (uintptr_t)val };

	return (kvm_ioctl(fd, KVM_SET_ONE_REG, &r));
}

/* What a kernel without a call for the register makes of it. */
enum lack {
	NEEDED,
	TIMER,			/* the physical timer: may hold anything while it is off */
	ZERO,			/* it is zero, and nothing else can be loaded */
};

struct field {
	const char	*name;
	uint64_t	 id;
	uint16_t	 offset;	/* of 64 bits in the page */
	uint8_t		 lack;
};

#define	F(l, i, f)	{ .name = #f, .id = (i), .offset = offsetof(struct arm64_state, f), .lack = (l) }
#define	S(f, o0, o1, n, m, o2)	F(NEEDED, ARM64_SYS_REG(o0, o1, n, m, o2), f)
#define	Z(f, o0, o1, n, m, o2)	F(ZERO, ARM64_SYS_REG(o0, o1, n, m, o2), f)
#define	BP(n)		S(dbgbvr[n], 2, 0, 0, n, 4), S(dbgbcr[n], 2, 0, 0, n, 5)
#define	WP(n)		S(dbgwvr[n], 2, 0, 0, n, 6), S(dbgwcr[n], 2, 0, 0, n, 7)

static const struct field fields[] = {
	F(NEEDED, KVM_CORE(regs.sp), sp_el0), F(NEEDED, KVM_CORE(sp_el1), sp_el1),
	F(NEEDED, KVM_CORE(regs.pc), pc), F(NEEDED, KVM_CORE(regs.pstate), pstate),
	F(NEEDED, KVM_CORE(spsr[KVM_SPSR_EL1]), spsr_el1), F(NEEDED, KVM_CORE(elr_el1), elr_el1),
	S(esr_el1, 3, 0, 5, 2, 0), S(far_el1, 3, 0, 6, 0, 0), S(vbar_el1, 3, 0, 12, 0, 0),
	S(sctlr_el1, 3, 0, 1, 0, 0), S(ttbr0_el1, 3, 0, 2, 0, 0), S(ttbr1_el1, 3, 0, 2, 0, 1), S(tcr_el1, 3, 0, 2, 0, 2),
	S(mair_el1, 3, 0, 10, 2, 0), S(cpacr_el1, 3, 0, 1, 0, 2), S(contextidr_el1, 3, 0, 13, 0, 1),
	S(tpidr_el0, 3, 3, 13, 0, 2), S(tpidrro_el0, 3, 3, 13, 0, 3), S(tpidr_el1, 3, 0, 13, 0, 4),
	S(par_el1, 3, 0, 7, 4, 0), S(csselr_el1, 3, 2, 0, 0, 0),
	Z(scxtnum_el0, 3, 3, 13, 0, 7), Z(scxtnum_el1, 3, 0, 13, 0, 7),
	S(cntkctl_el1, 3, 0, 14, 1, 0),
	F(NEEDED, KVM_REG_ARM_TIMER_CVAL, cntv_cval_el0), F(NEEDED, KVM_REG_ARM_TIMER_CTL, cntv_ctl_el0),
	F(TIMER, KVM_REG_ARM_PTIMER_CVAL, cntp_cval_el0), F(TIMER, KVM_REG_ARM_PTIMER_CTL, cntp_ctl_el0),
	S(mdscr_el1, 2, 0, 0, 2, 2), Z(mdccint_el1, 2, 0, 0, 2, 0),
	BP(0), BP(1), BP(2), BP(3), BP(4), BP(5), WP(0), WP(1), WP(2), WP(3),
};

#define	REG_MIDR	ARM64_SYS_REG(3, 0, 0, 0, 0)
#define	REG_OSLSR	ARM64_SYS_REG(2, 0, 1, 1, 4)
#define	REG_ID(n)	ARM64_SYS_REG(3, 0, 0, (n) / 8 + 1, (n) % 8)

static uint64_t *
field_of(struct arm64_state *st, const struct field *f)
{
	return ((uint64_t *)(void *)((uint8_t *)st + f->offset));
}

static int
field_get(int fd, struct arm64_state *st, const struct field *f)
{
	if (kvm_reg_get(fd, f->id, field_of(st, f)) == 0)
		return (0);
	if (f->lack == NEEDED || errno != ENOENT)
		return (-1);
	*field_of(st, f) = 0;
	return (0);
}

static int
field_set(int fd, struct arm64_state *st, const struct field *f)
{
	if (kvm_reg_set(fd, f->id, field_of(st, f)) == 0)
		return (0);
	if (f->lack == NEEDED || errno != ENOENT)
		return (-1);
	return (f->lack == TIMER ? (st->cntp_ctl_el0 & TIMER_ENABLE) == 0 : *field_of(st, f) == 0) ? 0 : -1;
}

/* SECTION: what the processor is */

static int
cpu_read(int fd, struct arm64_state *what)
{
	for (unsigned i = 0; i < ARM64_NID; i++) {
		if (kvm_reg_get(fd, REG_ID(i), &what->id[i]) != 0)
			what->id[i] = 0;
	}
	/* The guest reads the processor's own, as this program does. */
	__asm__ volatile("mrs %0, dczid_el0" : "=r" (what->dczid_el0));
	(void)kvm_reg_get(fd, ARM64_SYS_REG(3, 1, 0, 0, 1), &what->clidr_el1);
	for (unsigned i = 0; i < nitems(what->ccsidr_el1); i++) {
		uint32_t val = 0;

		/* Numbered as CSSELR_EL1 is: level 1 data, level 1 instructions, level 2. */
		(void)kvm_reg_get(fd, KVM_REG_ARM64 | KVM_REG_SIZE_U32 | KVM_REG_ARM_DEMUX | KVM_REG_ARM_DEMUX_ID_CCSIDR | i, &val);
		what->ccsidr_el1[i] = val;
	}
	if (kvm_reg_get(fd, ARM64_SYS_REG(3, 3, 0, 0, 1), &what->ctr_el0) != 0)
		return (-1);
	return (kvm_reg_get(fd, REG_MIDR, &what->midr_el1));
}

static bool
is_known(uint64_t id)
{
	uint64_t sys = id & 0xffff;

	switch (id & KVM_REG_ARM_COPROC_MASK) {
	case KVM_REG_ARM64_SYSREG:
		break;
	case KVM_REG_ARM_CORE:
		/* SPSRs of modes of AArch32 are not in a page. */
		return (id < KVM_CORE(spsr[KVM_SPSR_EL1 + 1]) || (id & KVM_REG_SIZE_MASK) != KVM_REG_SIZE_U64);
	default:
		return (true);		/* no registers of the guest's */
	}
	for (size_t i = 0; i < nitems(fields); i++) {
		if (fields[i].id == id)
			return (true);
	}
	/* Identification (CRn 0), and counters (CRn 14), which go on by themselves. */
	return ((sys >> 14 == 3 && (sys >> 7 & 0xf) == 0) || (sys & ~0x7fU) == (3U << 14 | 3U << 11 | 14U << 7) || id == REG_OSLSR);
}

/* Remember the values of registers that no field has. */
static int
others_learn(struct vcpu *vcpu)
{
	struct kvm_md_cpu *md = kvm_cpu(vcpu)->md;
	struct kvm_reg_list count = { .n = 0 }, *list;
	int fd = kvm_cpu(vcpu)->fd, error = -1;

	if (kvm_ioctl(fd, KVM_GET_REG_LIST, &count) == 0 || errno != E2BIG)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not list its registers", vcpu->id));
	list = calloc(1, sizeof(*list) + count.n * sizeof(list->reg[0]));
	md->others = calloc(count.n, sizeof(*md->others));
	if (list == NULL || md->others == NULL) {
		free(list);
		return (vm_fail(ENOMEM, "vcpu %d: kvm: out of memory", vcpu->id));
	}
	list->n = count.n;
	if (kvm_ioctl(fd, KVM_GET_REG_LIST, list) == 0)
		error = 0;
	for (uint64_t i = 0; error == 0 && i < list->n; i++) {
		struct kvm_other *o = &md->others[md->nothers];

		if (is_known(list->reg[i]) || (list->reg[i] & KVM_REG_SIZE_MASK) > KVM_REG_SIZE_U64)
			continue;
		o->id = list->reg[i];
		if (kvm_reg_get(fd, o->id, &o->val) == 0)
			md->nothers++;
	}
	free(list);
	return (error == 0 ? 0 : vm_fail_sys(errno, "vcpu %d: kvm does not list its registers", vcpu->id));
}

int
kvm_cpu_learn(struct vcpu *vcpu)
{
	struct kvm_md_cpu *md = kvm_cpu(vcpu)->md;

	if (cpu_read(kvm_cpu(vcpu)->fd, &md->what) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not say what it is", vcpu->id));
	arm64_id_copy(vcpu->state, &md->what);
	return (others_learn(vcpu));
}

int
kvm_cpu_whole(struct vcpu *vcpu)
{
	struct kvm_md_cpu *md = kvm_cpu(vcpu)->md;
	struct kvm_vcpu_events ev;

	for (unsigned i = 0; i < md->nothers; i++) {
		const struct kvm_other *o = &md->others[i];
		uint64_t val = 0;

		/* The kernel gives some an UNKNOWN value until the processor had them, which reads zero. */
		if (kvm_reg_get(kvm_cpu(vcpu)->fd, o->id, &val) == 0 && val != o->val && val != 0)
			return (vm_fail(ENOTSUP, "vcpu %d: kvm: register S%u_%u_C%u_C%u_%u holds 0x%llx, which a stream has no field for",
			    vcpu->id, (unsigned)(o->id >> 14 & 3), (unsigned)(o->id >> 11 & 7), (unsigned)(o->id >> 7 & 0xf),
			    (unsigned)(o->id >> 3 & 0xf), (unsigned)(o->id & 7), (unsigned long long)val));
	}
	memset(&ev, 0, sizeof(ev));
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_VCPU_EVENTS, &ev) == 0 && ev.exception.serror_pending)
		return (vm_fail(ENOTSUP, "vcpu %d: kvm: an SError waits to be taken, which a stream has no field for", vcpu->id));
	return (0);
}

int
kvm_cpu_accept(struct vcpu *vcpu)
{
	const struct arm64_state *st = vcpu->state;
	struct kvm_md_cpu *md = kvm_cpu(vcpu)->md;
	struct arm64_id_lack lack;
	struct arm64_state has;
	int fd = kvm_cpu(vcpu)->fd;

	memset(&has, 0, sizeof(has));
	if (cpu_read(fd, &has) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not say what it is", vcpu->id));
	if (arm64_id_lacks(&has, st, &lack))
		return (vm_fail(ENOTSUP, "vcpu %d: state: the guest has found 0x%llx in %s, this host's processor has 0x%llx there under kvm: bits %u "
		    "and up have not what they had", vcpu->id, (unsigned long long)lack.wants, lack.name, (unsigned long long)lack.has, lack.bit));
	/* Kernels that allow it allow it before the vCPU has run. */
	for (unsigned i = 0; i < ARM64_NID; i++) {
		if (has.id[i] != st->id[i])
			(void)kvm_reg_set(fd, REG_ID(i), &st->id[i]);
	}
	arm64_id_copy(&md->what, st);
	return (0);
}

/* SECTION: the page */

uint64_t
kvm_md_pc(struct vcpu *vcpu)
{
	uint64_t pc;

	return (kvm_reg_get(kvm_cpu(vcpu)->fd, KVM_CORE(regs.pc), &pc) == 0 ? pc : 0);
}

uint64_t
kvm_md_page_pc(struct vcpu *vcpu)
{
	return (((const struct arm64_state *)vcpu->state)->pc);
}

int
kvm_md_regs_get(struct vcpu *vcpu, void *buf, size_t len)
{
	uint64_t *r = buf;

	for (unsigned i = 0; i < 31; i++) {
		if (kvm_reg_get(kvm_cpu(vcpu)->fd, KVM_CORE_X(i), &r[i]) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not give its registers", vcpu->id));
	}
	r[31] = kvm_md_pc(vcpu);
	return (0);
}

_Static_assert(32 * sizeof(uint64_t) <= KVM_MD_REGS, "registers");

int
kvm_md_regs_set(struct vcpu *vcpu, const void *buf, size_t len)
{
	const uint64_t *r = buf;

	for (unsigned i = 0; i < 31; i++) {
		if (kvm_reg_set(kvm_cpu(vcpu)->fd, KVM_CORE_X(i), &r[i]) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not take its registers", vcpu->id));
	}
	if (kvm_reg_set(kvm_cpu(vcpu)->fd, KVM_CORE(regs.pc), &r[31]) != 0)
		return (vm_fail_sys(errno, "vcpu %d: kvm does not take its registers", vcpu->id));
	return (0);
}

int
kvm_md_state_save(struct vcpu *vcpu)
{
	struct arm64_state *st = vcpu->state;
	struct kvm_md_cpu *md = kvm_cpu(vcpu)->md;
	struct kvm_mp_state m = { 0 };
	int fd = kvm_cpu(vcpu)->fd;
	uint64_t oslsr = 0;

	for (unsigned i = 0; i < 31; i++) {
		if (kvm_reg_get(fd, KVM_CORE_X(i), &st->x[i]) != 0)
			goto bad;
	}
	for (unsigned i = 0; i < 32; i++) {
		if (kvm_reg_get(fd, CORE_V(i), &st->v[2 * i]) != 0)
			goto bad;
	}
	for (size_t i = 0; i < nitems(fields); i++) {
		if (field_get(fd, st, &fields[i]) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not give its register %s", vcpu->id, fields[i].name));
	}
	/* ISTATUS is a consequence of the rest.  The page has both timers in the VM's time. */
	st->cntv_ctl_el0 &= TIMER_ENABLE | TIMER_IMASK;
	st->cntp_ctl_el0 &= TIMER_ENABLE | TIMER_IMASK;
	st->cntp_cval_el0 -= kvm_vm(vcpu->vm)->md->phys;
	(void)kvm_reg_get(fd, REG_OSLSR, &oslsr);
	st->oslk = (oslsr & OSLSR_OSLK) != 0;
	st->dbgclaim = 0;
	st->osdlr = 0;
	if (kvm_reg_get(fd, CORE32(fp_regs.fpcr), &st->fpcr) != 0 || kvm_reg_get(fd, CORE32(fp_regs.fpsr), &st->fpsr) != 0 ||
	    kvm_ioctl(fd, KVM_GET_MP_STATE, &m) != 0)
		goto bad;
	/* Waiting for an interrupt is the kernel's; going on is allowed at any time (Arm ARM D1.6.2). */
	md->off = m.mp_state == KVM_MP_STATE_STOPPED;
	arm64_store32(&st->run_state, md->off ? VM_ARM64_OFF : VM_ARM64_RUNNING);
	st->exc_pending = 0;
	st->excl_size = 0;
	arm64_id_copy(st, &md->what);
	return (0);
bad:
	return (vm_fail_sys(errno, "vcpu %d: kvm does not give its state", vcpu->id));
}

/* Take an exception to EL1 (Arm ARM D1.3.3): the kernel has no call for it. */
static void
take_exception(struct arm64_state *st)
{
	uint64_t bits = arm64_pstate_bits(st, PSTATE_EL1H), pstate, offset;

	if ((st->pstate & PSTATE_NRW) != 0)
		offset = 0x600;
	else if ((st->pstate & PSTATE_MODE) == PSTATE_EL0T)
		offset = 0x400;
	else
		offset = (st->pstate & PSTATE_MODE) == PSTATE_EL1T ? 0 : 0x200;
	pstate = (st->pstate & (PSTATE_NZCV | PSTATE_PAN)) | PSTATE_DAIF | PSTATE_EL1H | PSTATE_TCO;
	if ((st->pstate & PSTATE_NRW) == 0)
		pstate |= st->pstate & PSTATE_DIT;
	if ((st->sctlr_el1 & SCTLR_SPAN) == 0)
		pstate |= PSTATE_PAN;
	if ((st->sctlr_el1 & SCTLR_DSSBS) != 0)
		pstate |= PSTATE_SSBS;
	st->spsr_el1 = st->pstate;
	st->elr_el1 = st->pc;
	st->esr_el1 = st->exc_esr;
	st->far_el1 = st->exc_far;
	st->pc = st->vbar_el1 + offset;
	st->pstate = pstate & bits;
	st->exc_pending = 0;
}

int
kvm_cpu_exception(struct vcpu *vcpu, uint64_t esr)
{
	static const struct field used[] = {
		F(NEEDED, KVM_CORE(regs.pc), pc), F(NEEDED, KVM_CORE(regs.pstate), pstate), F(NEEDED, KVM_CORE(spsr[KVM_SPSR_EL1]), spsr_el1),
		F(NEEDED, KVM_CORE(elr_el1), elr_el1), S(esr_el1, 3, 0, 5, 2, 0), S(far_el1, 3, 0, 6, 0, 0), S(vbar_el1, 3, 0, 12, 0, 0),
		S(sctlr_el1, 3, 0, 1, 0, 0),
	};
	int fd = kvm_cpu(vcpu)->fd;
	struct arm64_state st;

	memset(&st, 0, sizeof(st));
	arm64_id_copy(&st, &kvm_cpu(vcpu)->md->what);
	for (size_t i = 0; i < nitems(used); i++) {
		if (field_get(fd, &st, &used[i]) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not give its register %s", vcpu->id, used[i].name));
	}
	st.exc_esr = esr;
	st.exc_far = st.far_el1;
	take_exception(&st);
	for (size_t i = 0; i < nitems(used); i++) {
		if (field_set(fd, &st, &used[i]) != 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not take its register %s", vcpu->id, used[i].name));
	}
	return (0);
}

/* The OS lock; a kernel that has no call for it has none. */
static void
set_oslk(int fd, bool on)
{
	uint64_t oslsr = OSLSR_OSLM | (on ? OSLSR_OSLK : 0);

	(void)kvm_reg_set(fd, REG_OSLSR, &oslsr);
}

int
kvm_md_state_load(struct vcpu *vcpu)
{
	struct arm64_state *st = vcpu->state;
	struct kvm_md_cpu *md = kvm_cpu(vcpu)->md;
	struct kvm_mp_state m = { 0 };
	int fd = kvm_cpu(vcpu)->fd;
	uint64_t cval = st->cntp_cval_el0;
	bool off;

	if (arm64_load32(&st->on_state) == ARM64_ON_READY)
		arm64_event(vcpu);		/* another back end's guest has turned it on */
	/*
	 * A vCPU that is off has nothing to load, because being turned on is a reset.  And it may be on by now (CPU_ON is the kernel's): then
	 * the kernel owes it that reset, does it before it lets a register be written, and what were written here would be over it.
	 */
	off = arm64_load32(&st->run_state) == VM_ARM64_OFF;
	if (off && md->off)
		return (0);
	if (st->exc_pending)
		take_exception(st);
	for (unsigned i = 0; i < 31; i++) {
		if (kvm_reg_set(fd, KVM_CORE_X(i), &st->x[i]) != 0)
			goto bad;
	}
	for (unsigned i = 0; i < 32; i++) {
		if (kvm_reg_set(fd, CORE_V(i), &st->v[2 * i]) != 0)
			goto bad;
	}
	st->cntp_cval_el0 += kvm_vm(vcpu->vm)->md->phys;
	for (size_t i = 0; i < nitems(fields); i++) {
		if (field_set(fd, st, &fields[i]) != 0) {
			st->cntp_cval_el0 = cval;
			return (vm_fail_sys(errno, "vcpu %d: kvm does not take 0x%llx as its register %s", vcpu->id,
			    (unsigned long long)*field_of(st, &fields[i]), fields[i].name));
		}
	}
	st->cntp_cval_el0 = cval;
	set_oslk(fd, st->oslk != 0);
	m.mp_state = off ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE;
	if (kvm_reg_set(fd, CORE32(fp_regs.fpcr), &st->fpcr) != 0 || kvm_reg_set(fd, CORE32(fp_regs.fpsr), &st->fpsr) != 0 ||
	    kvm_ioctl(fd, KVM_SET_MP_STATE, &m) != 0)
		goto bad;
	md->off = off;
	return (0);
bad:
	return (vm_fail_sys(errno, "vcpu %d: kvm does not take its state", vcpu->id));
}

/* The page has the counter's offset, which stays. */
void
kvm_md_refresh(struct vcpu *vcpu, void *copy)
{
}
