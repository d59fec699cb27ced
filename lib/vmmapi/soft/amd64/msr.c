/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msr.c - model-specific registers (Intel SDM vol. 4; vol. 3 2.2.1, 9.4, 10.12, 11.11, 15.3, 17.17), and
 * those of KVM's paravirtual clock.
 *
 * Which there are, and constants, amd64/msr.c says.  What is nobody's here leaves vm_run() with VM_EXIT_SYSREG.
 */
#include "../../amd64/msr.h"
#include "sys.h"

#define	MSR_TSC_ADJUST		0x03bU
#define	MSR_SPEC_CTRL		0x048U
#define	MSR_PRED_CMD		0x049U
#define	MSR_FLUSH_CMD		0x10bU
#define	MSR_MCG_STATUS		0x17aU
#define	MSR_MISC_ENABLE		0x1a0U
#define	MSR_MTRR_BASE0		0x200U
#define	MSR_MTRR_END		0x210U
#define	MSR_PAT			0x277U
#define	MSR_MTRR_DEF		0x2ffU
#define	MSR_X2APIC		0x800U
#define	MSR_X2APIC_END		0x900U
#define	MSR_KVM_WALL_OLD	0x011U
#define	MSR_KVM_SYSTEM_OLD	0x012U
#define	MSR_KVM_WALL		0x4b564d00U
#define	MSR_KVM_SYSTEM		0x4b564d01U
#define	MSR_EFER		0xc0000080U
#define	MSR_TSC_AUX		0xc0000103U

/* IBRS, STIBP, SSBD, BHI_DIS_S: accepted, there is nothing to restrain */
#define	SPEC_CTRL_BITS	(0x7ULL | 1ULL << 10)

enum msr_check {
	ANY,
	CANONICAL,
	LOW32,
	FIXED_MTRR,
	DEF_MTRR,
	CHECK_PAT,
	SPEC_CTRL,
	MCG_STATUS,
};

#define	MSR(n, field, chk)	{ (n), offsetof(struct amd64_state, field), (chk) }

/* Those that are a field of the state page and nothing else. */
static const struct msr_field {
	uint32_t	msr;
	uint32_t	offset;
	enum msr_check	check;
} msrs[] = {
	MSR(MSR_SPEC_CTRL, spec_ctrl, SPEC_CTRL),
	MSR(0x174, sysenter_cs, LOW32),
	MSR(0x175, sysenter_esp, CANONICAL),
	MSR(0x176, sysenter_eip, CANONICAL),
	MSR(MSR_MCG_STATUS, mcg_status, MCG_STATUS),
	MSR(0x250, mtrr_fix[0], FIXED_MTRR),
	MSR(0x258, mtrr_fix[1], FIXED_MTRR),
	MSR(0x259, mtrr_fix[2], FIXED_MTRR),
	MSR(0x268, mtrr_fix[3], FIXED_MTRR),
	MSR(0x269, mtrr_fix[4], FIXED_MTRR),
	MSR(0x26a, mtrr_fix[5], FIXED_MTRR),
	MSR(0x26b, mtrr_fix[6], FIXED_MTRR),
	MSR(0x26c, mtrr_fix[7], FIXED_MTRR),
	MSR(0x26d, mtrr_fix[8], FIXED_MTRR),
	MSR(0x26e, mtrr_fix[9], FIXED_MTRR),
	MSR(0x26f, mtrr_fix[10], FIXED_MTRR),
	MSR(MSR_PAT, pat, CHECK_PAT),
	MSR(MSR_MTRR_DEF, mtrr_def, DEF_MTRR),
	MSR(0xc0000081, star, ANY),
	MSR(0xc0000082, lstar, CANONICAL),
	MSR(0xc0000083, cstar, CANONICAL),
	MSR(0xc0000084, sfmask, LOW32),
	MSR(0xc0000100, seg[SEG_FS].base, CANONICAL),
	MSR(0xc0000101, seg[SEG_GS].base, CANONICAL),
	MSR(0xc0000102, kgs_base, CANONICAL),
	MSR(MSR_TSC_AUX, tsc_aux, LOW32),
};

static uint64_t *
field(struct x86 *x, uint32_t msr, enum msr_check *check)
{
	for (size_t i = 0; i < nitems(msrs); i++) {
		if (msrs[i].msr == msr) {
			*check = msrs[i].check;
			return ((uint64_t *)(void *)((char *)x->s + msrs[i].offset));
		}
	}
	return (NULL);
}

static bool
bad_memtype(unsigned type)
{
	return (type == 2 || type == 3 || type > 6);	/* SDM vol. 3 table 11-8 */
}

static bool
bad_fixed(uint64_t v)
{
	for (unsigned b = 0; b < 64; b += 8) {
		if (bad_memtype((v >> b) & 0xff))
			return (true);
	}
	return (false);
}

static bool
allows(const struct x86 *x, enum msr_check check, uint64_t v)
{
	switch (check) {
	case CANONICAL:
		return (amd64_canonical(v, x->s->cr4));
	case LOW32:
		return (v >> 32 == 0);
	case FIXED_MTRR:
		return (!bad_fixed(v));
	case DEF_MTRR:
		return ((v & ~0xcffULL) == 0 && !bad_memtype(v & 0xff));
	case CHECK_PAT:
		return (amd64_bad_pat(v) == NULL);
	case SPEC_CTRL:
		return ((v & ~SPEC_CTRL_BITS) == 0);
	case MCG_STATUS:
		return (v >> 3 == 0);		/* RIPV, EIPV, MCIP */
	default:
		return (true);
	}
}

/* The interrupt controller's */

void
x86_look_again(struct x86 *x)
{
	const struct intc_ops *ops = x->vcpu->vm->intc_ops;

	x->intr = ops != NULL && ops->pending != NULL && ops->pending(x->vcpu);
	x->attention = true;
}

bool
x86_controller(struct x86 *x, uint64_t reg, bool write, uint64_t *val)
{
	const struct intc_ops *ops = x->vcpu->vm->intc_ops;
	bool mine;

	if (ops == NULL || ops->sysreg == NULL)
		return (false);
	x86_sync(x);
	soft_leave(x->cpu);
	mine = ops->sysreg(x->vcpu, reg, write, val);
	soft_reenter(x->cpu);
	x86_look_again(x);
	x86_after_device(x);
	return (mine);
}

static bool
is_controllers(uint32_t msr)
{
	return (msr == MSR_APIC_BASE || msr == MSR_TSC_DEADLINE || (msr >= MSR_X2APIC && msr < MSR_X2APIC_END));
}

/* Variable-range MTRRs (SDM vol. 3 11.11.2.3) */

static bool
is_mtrr(uint32_t msr)
{
	return (msr >= MSR_MTRR_BASE0 && msr < MSR_MTRR_END);
}

static uint64_t *
mtrr(struct x86 *x, uint32_t msr)
{
	unsigned n = (msr - MSR_MTRR_BASE0) / 2;

	return ((msr & 1) == 0 ? &x->s->mtrr_base[n] : &x->s->mtrr_mask[n]);
}

static bool
mtrr_allows(uint32_t msr, uint64_t v)
{
	if (v >> AMD64_PHYS_BITS != 0)
		return (false);
	if ((msr & 1) != 0)
		return ((v & 0x7ff) == 0);
	return ((v & 0xf00) == 0 && !bad_memtype(v & 0xff));
}

/* A register that there is not for this processor's features, or one that is a constant (amd64/msr.c): false if it is neither. */
static bool
settled(struct x86 *x, uint32_t msr, bool write, uint64_t *v, enum x86_status *status)
{
	const struct amd64_msr *m = amd64_msr_find(msr);

	if (m == NULL)
		return (false);
	if (!amd64_msr_there(m, x->features)) {
		*status = GP0(x);
		return (true);
	}
	switch (amd64_msr_constant(x->vcpu->vm, m, false, write, v)) {
	case AMD64_MSR_DONE:
		*status = X_DONE;
		return (true);
	case AMD64_MSR_FAULT:
		*status = GP0(x);
		return (true);
	default:
		return (false);
	}
}

enum x86_status
x86_rdmsr(struct x86 *x, uint32_t msr, uint64_t *v)
{
	enum msr_check check = ANY;
	enum x86_status status;
	const uint64_t *p;
	struct vm_exit *ex;

	if (is_controllers(msr))
		return (x86_controller(x, msr, false, v) ? X_DONE : GP0(x));
	if (settled(x, msr, false, v, &status))
		return (status);
	p = is_mtrr(msr) ? mtrr(x, msr) : field(x, msr, &check);
	if (p != NULL) {
		*v = *p;
		return (X_DONE);
	}
	switch (msr) {
	case MSR_TSC:
		*v = x86_tsc(x);
		return (X_DONE);
	case MSR_TSC_ADJUST:
		*v = x->s->tsc_adjust;
		return (X_DONE);
	case MSR_MISC_ENABLE:
		*v = x->s->misc_enable | 0x1800;	/* no branch trace store, no precise sampling */
		return (X_DONE);
	case MSR_EFER:
		*v = x->s->efer;
		return (X_DONE);
	case MSR_PRED_CMD:		/* to be written only */
	case MSR_FLUSH_CMD:
		return (GP0(x));
	case MSR_KVM_WALL_OLD:
	case MSR_KVM_WALL:
		*v = x->s->kvm_wall_clock;
		return (X_DONE);
	case MSR_KVM_SYSTEM_OLD:
	case MSR_KVM_SYSTEM:
		*v = x->s->kvm_system_time;
		return (X_DONE);
	default:
		break;
	}
	if (soft_replied(x->cpu, VM_EXIT_SYSREG, msr, v))
		return (X_DONE);
	x86_sync(x);
	ex = soft_exit(x->cpu, VM_EXIT_SYSREG, true);
	ex->u.sysreg.reg = msr;
	x->cpu->open_addr = msr;
	return (X_EXIT);
}

/* LME cannot change while paging is on, LMA follows both (SDM vol. 3 4.1.2, 2.2.1). */
static enum x86_status
write_efer(struct x86 *x, uint64_t v)
{
	struct amd64_state *s = x->s;
	uint64_t diff;

	v = (v & ~(uint64_t)EFER_LMA) | (s->efer & EFER_LMA);
	diff = v ^ s->efer;
	if ((v & ~x86_efer_bits(x)) != 0 || ((diff & EFER_LME) != 0 && (s->cr0 & CR0_PG) != 0))
		return (GP0(x));
	s->efer = v;
	if ((diff & EFER_NXE) != 0)
		x86_flush(x);
	x86_mode(x);
	return (X_DONE);
}

/* Fast strings, CPUID limit, task priority messages, XD disable; the rest reads as it is. */
#define	MISC_WRITABLE	(1ULL | MISC_LIMIT_CPUID | 1ULL << 23 | MISC_XD_DISABLE)
#define	MISC_FIXED	(1ULL << 7 | 1ULL << 11 | 1ULL << 12 | 1ULL << 16 | 1ULL << 18)

static enum x86_status
write_misc(struct x86 *x, uint64_t v)
{
	struct amd64_state *s = x->s;

	if ((v & ~(MISC_WRITABLE | MISC_FIXED | s->misc_enable)) != 0)
		return (GP0(x));
	s->misc_enable = (s->misc_enable & ~MISC_WRITABLE) | (v & MISC_WRITABLE);
	return (X_DONE);
}

/* Addresses are those of words; bit 1 is reserved. */
static enum x86_status
write_kvmclock(struct x86 *x, uint32_t msr, uint64_t v)
{
	bool wall = msr == MSR_KVM_WALL || msr == MSR_KVM_WALL_OLD;

	if ((v & (wall ? 3 : 2)) != 0)
		return (GP0(x));
	x86_sync(x);
	if (wall) {
		x->s->kvm_wall_clock = v;
		x86_wallclock_write(x, v);
	} else {
		x->s->kvm_system_time = v;
		x86_kvmclock_write(x);
	}
	x86_after_device(x);
	return (X_DONE);
}

enum x86_status
x86_wrmsr(struct x86 *x, uint32_t msr, uint64_t v)
{
	enum msr_check check = ANY;
	enum x86_status status;
	struct vm_exit *ex;
	uint64_t *p;

	if (is_controllers(msr)) {
		if (msr == MSR_TSC_DEADLINE)
			x86_tsc_refresh(x);
		return (x86_controller(x, msr, true, &v) ? X_DONE : GP0(x));
	}
	if (settled(x, msr, true, &v, &status))
		return (status);
	if (is_mtrr(msr)) {
		if (!mtrr_allows(msr, v))
			return (GP0(x));
		*mtrr(x, msr) = v;
		return (X_DONE);
	}
	p = field(x, msr, &check);
	if (p != NULL) {
		if (!allows(x, check, v))
			return (GP0(x));
		*p = v;
		return (X_DONE);
	}
	switch (msr) {
	case MSR_TSC:
		x86_tsc_set(x, v);
		return (X_DONE);
	case MSR_TSC_ADJUST:
		x86_tsc_adjust_set(x, v);
		return (X_DONE);
	case MSR_MISC_ENABLE:
		return (write_misc(x, v));
	case MSR_EFER:
		return (write_efer(x, v));
	case MSR_PRED_CMD:		/* a barrier, a flush: nothing to be done */
	case MSR_FLUSH_CMD:
		return (v > 1 ? GP0(x) : X_DONE);
	case MSR_KVM_WALL_OLD:
	case MSR_KVM_WALL:
	case MSR_KVM_SYSTEM_OLD:
	case MSR_KVM_SYSTEM:
		return (write_kvmclock(x, msr, v));
	default:
		break;
	}
	x86_sync(x);
	ex = soft_exit(x->cpu, VM_EXIT_SYSREG, false);
	ex->u.sysreg.reg = msr;
	ex->u.sysreg.data = v;
	ex->u.sysreg.write = true;
	x86_after_device(x);
	return (X_DONE);
}
