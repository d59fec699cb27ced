/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kvm_arm64.h - what the files of the kvm back end on arm64 hosts share.
 */
#ifndef _VMMAPI_KVM_ARM64_H_
#define	_VMMAPI_KVM_ARM64_H_

#include "../arm64/arm64.h"
#include "kvm.h"

#define	KVM_ARM64_NIRQS	(32 + ARM64_NSPI)

struct kvm_md_vm {
	int		 gicfd;
	int		 itsfd;			/* -1: there is none */
	uint64_t	 count;			/* virtual counter when the clock was stopped */
	uint64_t	 phys;			/* by how much the physical counter is ahead of it */
	bool		 started, stopped;
};

/* A register that no field of the state page has: it may not change (kvm_arm64_reg.c). */
struct kvm_other {
	uint64_t	 id, val;
};

struct kvm_md_cpu {
	bool		 off;		/* what the kernel was told, or said, last */
	struct arm64_state what;	/* of which only the identification counts: what the guest has found its processor to be */
	struct kvm_other *others;
	unsigned	 nothers;
};

/* kvm_arm64_reg.c: ONE_REG of a vCPU. */
int	kvm_reg_get(int fd, uint64_t id, void *val);
int	kvm_reg_set(int fd, uint64_t id, const void *val);
/* The vCPU is as the kernel makes it: learn what it is, and put that into its page. */
int	kvm_cpu_learn(struct vcpu *vcpu);
/* The page comes from a stream, and says what the guest has found: 0, or ENOTSUP with the register that this host's processor cannot be. */
int	kvm_cpu_accept(struct vcpu *vcpu);
/* Is there nothing in it that a stream has no field for?  ENOTSUP with its name if there is. */
int	kvm_cpu_whole(struct vcpu *vcpu);

/* The vCPU has left the guest: have it take this exception to EL1, which the page does not know.  0, or -1 with a sentence. */
int	kvm_cpu_exception(struct vcpu *vcpu, uint64_t esr);

#define	KVM_CORE(f)	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(f))
/* General registers are two 32-bit units of the core space each, vector registers four. */
#define	KVM_CORE_X(n)	(KVM_CORE(regs.regs[0]) + 2U * (n))

/* kvm_arm64.c: the VM's clock was set by a stream, and is stopped: the counters follow. */
void	kvm_counter_load(struct vmctx *vm);

/* kvm_arm64_gic.c: the kernel's GICv3, and its ITS if the VM has one. */
int	kvm_gic_create(struct vmctx *vm);
int	kvm_gic_finalize(struct vmctx *vm);
void	kvm_gic_destroy(struct vmctx *vm);
int	kvm_gic_reset(struct vmctx *vm);

#endif /* _VMMAPI_KVM_ARM64_H_ */
