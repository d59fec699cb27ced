/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_amd64.h - what the parts of the kvm back end for amd64 hosts share.
 */
#ifndef _VMMAPI_KVM_AMD64_H_
#define	_VMMAPI_KVM_AMD64_H_

#include "../amd64/model.h"
#include "kvm.h"

struct kvm_md_vm {
	struct kvm_cpuid2 *cpuid;		/* what guests see of the host, before the vCPU's own numbers */
	const struct x86_model *model;		/* NULL: the host's processor */
	uint64_t	 features;		/* ... X86_F_* */
	uint32_t	 xcr0;			/* components of extended state that guests can have; 0: no XSAVE */
	bool		 has_xsave2;
	size_t		 xsave_len;		/* of the kernel's image of it */
	bool		 has_sregs2, has_tsc_deadline;
	bool		 amd;			/* the host's processor is not Intel's */
	bool		 has_filter;		/* guests reach no model-specific registers but those of the page */
	uint32_t	 debug_flags;		/* KVM_GUESTDBG_* that exist */

	/*
	 * Time.  The guest's TSC counts at the VM's counter frequency, and stands while the VM's
	 * clock stands.  With offset and an unscaled counter its value is host TSC + offset,
	 * exactly.
	 */
	bool		 has_offset;		/* KVM_VCPU_TSC_OFFSET */
	bool		 exact;			/* ... and the guest's TSC is not scaled */
	bool fixed; /* the kernel shows guests the host's counter, whatever it is told */
	uint64_t	 host_khz, guest_khz;
	bool		 running;		/* the VM's clock */
	bool		 started;		/* it ran before */
	uint64_t	 origin;		/* host TSC at which the clock first ran */
	uint64_t	 start, stop;		/* ... and was last started, stopped */
};

struct kvm_md_cpu {
	uint8_t		*xsave;			/* a buffer of xsave_len */
	struct kvm_lapic_state lapic;		/* as it is at power-on */
	bool		 loaded;		/* state was loaded before */
	uint64_t	 tsc;			/* of the page, when it was last filled or loaded */
	uint64_t	 tsc_ref;		/* host TSC of that moment */
	bool		 stands;		/* the local APIC's timer, with ... */
	uint32_t	 left;			/* ... what was left of its count; 0: it did not count */
	uint64_t	 deadline;		/* ... or IA32_TSC_DEADLINE */
};

/* kvm_amd64_cpuid.c */
int	kvm_cpuid_init(struct vmctx *vm);
int	kvm_cpuid_set(struct vcpu *vcpu);
bool	kvm_cpuid_has(struct vmctx *vm, uint32_t leaf, int reg, unsigned bit);	/* reg: 0 EAX .. 3 EDX */

/* kvm_amd64_chips.c */
int	kvm_lapic_init(struct vcpu *vcpu);
void	kvm_lapic_stop(struct vcpu *vcpu);	/* the VM's clock stops, and goes on */
void	kvm_lapic_go(struct vcpu *vcpu);
int	kvm_chips_init(struct vmctx *vm);

/* kvm_amd64_state.c */
void	kvm_tsc_load(struct vcpu *vcpu, uint64_t tsc);
uint64_t kvm_tsc_save(struct vcpu *vcpu);

/* kvm_amd64_msr.c */
int	kvm_msr_filter(struct vmctx *vm);	/* CPUID is known */
int	kvm_msrs_save(struct vcpu *vcpu, struct amd64_state *st);
int	kvm_msrs_load(struct vcpu *vcpu, struct amd64_state *st);
int	kvm_msr_get(struct vcpu *vcpu, uint32_t msr, uint64_t *val);
int	kvm_msr_set(struct vcpu *vcpu, uint32_t msr, uint64_t val);

#define	MSR_TSC			0x010
#define	MSR_APIC_BASE		0x01b
#define	MSR_TSC_ADJUST		0x03b
#define	MSR_SPEC_CTRL		0x048
#define	MSR_ARCH_CAPABILITIES	0x10a
#define	MSR_SYSENTER_CS		0x174
#define	MSR_SYSENTER_ESP	0x175
#define	MSR_SYSENTER_EIP	0x176
#define	MSR_MCG_STATUS		0x17a
#define	MSR_MISC_ENABLE		0x1a0
#define	MSR_MTRR_BASE0		0x200
#define	MSR_MTRR_FIX_64K	0x250
#define	MSR_MTRR_FIX_16K	0x258
#define	MSR_MTRR_FIX_4K		0x268
#define	MSR_PAT			0x277
#define	MSR_MTRR_DEF		0x2ff
#define	MSR_TSC_DEADLINE	0x6e0
#define	MSR_STAR		0xc0000081
#define	MSR_LSTAR		0xc0000082
#define	MSR_CSTAR		0xc0000083
#define	MSR_SFMASK		0xc0000084
#define	MSR_KGS_BASE		0xc0000102
#define	MSR_TSC_AUX		0xc0000103
#define	MSR_KVM_WALL_CLOCK	0x4b564d00
#define	MSR_KVM_SYSTEM_TIME	0x4b564d01

#endif /* _VMMAPI_KVM_AMD64_H_ */
