/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_amd64_msr.c - model-specific registers on kvm: which of them guests reach the kernel's own of (amd64/msr.c says which there are), and those of the
 * state page.
 *
 * Where the kernel can (KVM_X86_SET_MSR_FILTER: Documentation/virt/kvm/api.rst 4.97 and 7.33), it lets guests at those of the page alone, and every other
 * access comes here.  Those to the local APIC in x2APIC mode it does not filter.
 */
#include <sys/ioctl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../amd64/msr.h"
#include "kvm_amd64.h"

/* SECTION: what guests reach */

/* Where the registers that guests may reach are. */
static const struct window {
	uint32_t	first, n;
} windows[] = {
	{ 0x0, 0x800 }, { 0x4b564d00, 0x10 }, { 0xc0000000, 0x200 },
};
#define	WINDOW_BYTES	(0x800 / 8)

/* X86_F_* of registers.  AMD's processors tell of barriers in a leaf of their own (AMD APM vol. 3 E.4.7). */
static uint64_t
features(struct vmctx *vm)
{
	const struct kvm_md_vm *md = kvm_vm(vm)->md;
	const struct amd64_vm *av = vm->md_vm;
	uint64_t f = md->features;

	if (md->model == NULL) {
		f = amd64_features(av->here);
		if ((av->here[WX8_EBX] & (1U << 12 | 1U << 14 | 1U << 15 | 1U << 24)) != 0)
			f |= X86_F_IBRS;
	}
	return (f);
}

int
kvm_msr_filter(struct vmctx *vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { KVM_MSR_EXIT_REASON_UNKNOWN } };
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_DENY };
	uint8_t bits[nitems(windows)][WINDOW_BYTES];
	struct kvm_vm *kv = kvm_vm(vm);
	uint64_t has = features(vm);

	if (ioctl(kv->kvmfd, KVM_CHECK_EXTENSION, KVM_CAP_X86_USER_SPACE_MSR) <= 0)
		return (0);
	kv->md->has_filter = ioctl(kv->kvmfd, KVM_CHECK_EXTENSION, KVM_CAP_X86_MSR_FILTER) > 0;
	if (kv->md->has_filter)
		cap.args[0] |= KVM_MSR_EXIT_REASON_FILTER;
	if (kvm_ioctl(kv->vmfd, KVM_ENABLE_CAP, &cap) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: model-specific registers cannot be answered here", vm->name));
	if (!kv->md->has_filter)
		return (0);
	memset(bits, 0, sizeof(bits));
	for (size_t w = 0; w < nitems(windows); w++) {
		for (uint32_t i = 0; i < windows[w].n; i++) {
			const struct amd64_msr *m = amd64_msr_find(windows[w].first + i);

			if (m != NULL && m->kind == AMD64_MSR_KEPT && amd64_msr_there(m, has))
				bits[w][i / 8] |= (uint8_t)(1U << i % 8);
		}
		filter.ranges[w] = (struct kvm_msr_filter_range){ .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE, .nmsrs = windows[w].n,
		    .base = windows[w].first, .bitmap = bits[w] };
	}
	if (kvm_ioctl(kv->vmfd, KVM_X86_SET_MSR_FILTER, &filter) != 0)
		return (vm_fail_sys(errno, "vm '%s': kvm: guests cannot be kept from the host's model-specific registers", vm->name));
	return (0);
}

bool
kvm_md_access_own(struct vcpu *vcpu)
{
	struct kvm_run *run = kvm_cpu(vcpu)->run;
	const struct kvm_md_vm *md = kvm_vm(vcpu->vm)->md;
	const struct amd64_msr *m = amd64_msr_find(run->msr.index);
	uint64_t val = run->msr.data;

	run->msr.error = 0;
	if (m == NULL || m->kind == AMD64_MSR_NONE)
		return (false);
	/* As on a processor: what CPUID does not tell of is not there. */
	if (!amd64_msr_there(m, features(vcpu->vm))) {
		run->msr.error = 1;
		return (true);
	}
	switch (amd64_msr_constant(vcpu->vm, m, md->model == NULL && md->amd, run->exit_reason == KVM_EXIT_X86_WRMSR, &val)) {
	case AMD64_MSR_DONE:
		run->msr.data = val;
		return (true);
	case AMD64_MSR_FAULT:
		run->msr.error = 1;
		return (true);
	default:
		return (false);
	}
}

/* SECTION: state */

/* Registers of the page that are MSRs.  Optional ones need not exist as long as the page has 0. */
struct msr_field {
	uint32_t	msr;
	uint16_t	offset;
	bool		optional;
};

#define	F(m, f, opt)	{ .msr = (m), .offset = offsetof(struct amd64_state, f), .optional = (opt) }
#define	VAR(n)		F(MSR_MTRR_BASE0 + 2 * (n), mtrr_base[n], true), F(MSR_MTRR_BASE0 + 2 * (n) + 1, mtrr_mask[n], true)

static const struct msr_field msr_fields[] = {
	F(MSR_STAR, star, false), F(MSR_LSTAR, lstar, false), F(MSR_CSTAR, cstar, false), F(MSR_SFMASK, sfmask, false),
	F(MSR_KGS_BASE, kgs_base, false), F(MSR_SYSENTER_CS, sysenter_cs, false),
	F(MSR_SYSENTER_ESP, sysenter_esp, false), F(MSR_SYSENTER_EIP, sysenter_eip, false),
	F(MSR_PAT, pat, false), F(MSR_TSC_AUX, tsc_aux, true), F(MSR_MISC_ENABLE, misc_enable, false),
	F(MSR_MTRR_DEF, mtrr_def, false), F(MSR_MTRR_FIX_64K, mtrr_fix[0], false),
	F(MSR_MTRR_FIX_16K, mtrr_fix[1], false), F(MSR_MTRR_FIX_16K + 1, mtrr_fix[2], false),
	F(MSR_MTRR_FIX_4K, mtrr_fix[3], false), F(MSR_MTRR_FIX_4K + 1, mtrr_fix[4], false),
	F(MSR_MTRR_FIX_4K + 2, mtrr_fix[5], false), F(MSR_MTRR_FIX_4K + 3, mtrr_fix[6], false),
	F(MSR_MTRR_FIX_4K + 4, mtrr_fix[7], false), F(MSR_MTRR_FIX_4K + 5, mtrr_fix[8], false),
	F(MSR_MTRR_FIX_4K + 6, mtrr_fix[9], false), F(MSR_MTRR_FIX_4K + 7, mtrr_fix[10], false),
	VAR(0), VAR(1), VAR(2), VAR(3), VAR(4), VAR(5), VAR(6), VAR(7),
	F(MSR_TSC_DEADLINE, tsc_deadline, true), F(MSR_SPEC_CTRL, spec_ctrl, true),
	F(MSR_KVM_SYSTEM_TIME, kvm_system_time, true), F(MSR_KVM_WALL_CLOCK, kvm_wall_clock, true),
	F(MSR_TSC_ADJUST, tsc_adjust, true), F(MSR_MCG_STATUS, mcg_status, true),
};

/* A list for KVM_GET_MSRS and KVM_SET_MSRS. */
union msr_list {
	struct kvm_msrs	head;
	uint8_t		space[sizeof(struct kvm_msrs) + nitems(msr_fields) * sizeof(struct kvm_msr_entry)];
};

int
kvm_msr_get(struct vcpu *vcpu, uint32_t msr, uint64_t *val)
{
	union msr_list l;

	memset(&l, 0, sizeof(l));
	l.head.nmsrs = 1;
	l.head.entries[0].index = msr;
	if (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_MSRS, &l) != 1)
		return (-1);
	*val = l.head.entries[0].data;
	return (0);
}

int
kvm_msr_set(struct vcpu *vcpu, uint32_t msr, uint64_t val)
{
	union msr_list l;

	memset(&l, 0, sizeof(l));
	l.head.nmsrs = 1;
	l.head.entries[0].index = msr;
	l.head.entries[0].data = val;
	return (kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_MSRS, &l) == 1 ? 0 : -1);
}

static uint64_t *
msr_value(struct amd64_state *st, const struct msr_field *f)
{
	return ((uint64_t *)(void *)((uint8_t *)st + f->offset));
}

/* The kernel stops at the first one that it does not know: go on behind it. */
int
kvm_msrs_save(struct vcpu *vcpu, struct amd64_state *st)
{
	union msr_list l;
	size_t at = 0;
	int r;

	while (at < nitems(msr_fields)) {
		memset(&l, 0, sizeof(l));
		l.head.nmsrs = (uint32_t)(nitems(msr_fields) - at);
		for (size_t i = at; i < nitems(msr_fields); i++)
			l.head.entries[i - at].index = msr_fields[i].msr;
		r = kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_GET_MSRS, &l);
		if (r < 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not give its model-specific registers",
			    vcpu->id));
		for (int i = 0; i < r; i++)
			*msr_value(st, &msr_fields[at + (size_t)i]) = l.head.entries[i].data;
		at += (size_t)r;
		if (at < nitems(msr_fields)) {
			if (!msr_fields[at].optional)
				return (vm_fail(EIO, "vcpu %d: kvm does not give model-specific register 0x%x (%s)", vcpu->id, msr_fields[at].msr,
				    amd64_msr_name(msr_fields[at].msr)));
			*msr_value(st, &msr_fields[at]) = 0;
			at++;
		}
	}
	return (0);
}

/*
 * IA32_SPEC_CTRL asks a processor to restrain itself; what this one does not know of, it cannot be
 * asked for.
 */
static bool
spec_ctrl_load(struct vcpu *vcpu, uint64_t val)
{
	const uint64_t known[] = { val & 7, val & 1, 0 };

	for (size_t i = 0; i < nitems(known); i++) {
		if (kvm_msr_set(vcpu, MSR_SPEC_CTRL, known[i]) == 0)
			return (true);
	}
	return (false);
}

int
kvm_msrs_load(struct vcpu *vcpu, struct amd64_state *st)
{
	union msr_list l;
	size_t at = 0;
	int r;

	while (at < nitems(msr_fields)) {
		memset(&l, 0, sizeof(l));
		l.head.nmsrs = (uint32_t)(nitems(msr_fields) - at);
		for (size_t i = at; i < nitems(msr_fields); i++) {
			l.head.entries[i - at].index = msr_fields[i].msr;
			l.head.entries[i - at].data = *msr_value(st, &msr_fields[i]);
		}
		r = kvm_ioctl(kvm_cpu(vcpu)->fd, KVM_SET_MSRS, &l);
		if (r < 0)
			return (vm_fail_sys(errno, "vcpu %d: kvm does not take its model-specific registers",
			    vcpu->id));
		at += (size_t)r;
		if (at < nitems(msr_fields)) {
			if ((!msr_fields[at].optional || *msr_value(st, &msr_fields[at]) != 0) &&
			    (msr_fields[at].msr != MSR_SPEC_CTRL || !spec_ctrl_load(vcpu, st->spec_ctrl)))
				return (vm_fail(ENOTSUP, "vcpu %d: kvm does not take 0x%llx in model-specific register 0x%x (%s)", vcpu->id,
				    (unsigned long long)*msr_value(st, &msr_fields[at]), msr_fields[at].msr, amd64_msr_name(msr_fields[at].msr)));
			at++;
		}
	}
	return (0);
}
