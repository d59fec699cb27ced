/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat/machine/vmm_arm64.h - bhyve's names for an arm64 guest; included by machine/vmm.h.
 */
#ifndef _COMPAT_MACHINE_VMM_ARM64_H_
#define	_COMPAT_MACHINE_VMM_ARM64_H_

/* The SP is that of EL1, where kernels and firmware are entered. */
enum vm_reg_name {
	VM_REG_GUEST_X0 = VM_ARM64_REG_X0,
	VM_REG_GUEST_X1,
	VM_REG_GUEST_X2,
	VM_REG_GUEST_X3,
	VM_REG_GUEST_X4,
	VM_REG_GUEST_X5,
	VM_REG_GUEST_X6,
	VM_REG_GUEST_X7,
	VM_REG_GUEST_X8,
	VM_REG_GUEST_X9,
	VM_REG_GUEST_X10,
	VM_REG_GUEST_X11,
	VM_REG_GUEST_X12,
	VM_REG_GUEST_X13,
	VM_REG_GUEST_X14,
	VM_REG_GUEST_X15,
	VM_REG_GUEST_X16,
	VM_REG_GUEST_X17,
	VM_REG_GUEST_X18,
	VM_REG_GUEST_X19,
	VM_REG_GUEST_X20,
	VM_REG_GUEST_X21,
	VM_REG_GUEST_X22,
	VM_REG_GUEST_X23,
	VM_REG_GUEST_X24,
	VM_REG_GUEST_X25,
	VM_REG_GUEST_X26,
	VM_REG_GUEST_X27,
	VM_REG_GUEST_X28,
	VM_REG_GUEST_X29 = VM_ARM64_REG_X29,
	VM_REG_GUEST_LR = VM_ARM64_REG_LR,
	VM_REG_GUEST_SP = VM_ARM64_REG_SP_EL1,
	VM_REG_GUEST_PC = VM_ARM64_REG_PC,
	VM_REG_GUEST_CPSR = VM_ARM64_REG_PSTATE,
	VM_REG_GUEST_SCTLR_EL1 = VM_ARM64_REG_SCTLR_EL1,
	VM_REG_GUEST_TTBR0_EL1 = VM_ARM64_REG_TTBR0_EL1,
	VM_REG_GUEST_TTBR1_EL1 = VM_ARM64_REG_TTBR1_EL1,
	VM_REG_GUEST_TCR_EL1 = VM_ARM64_REG_TCR_EL1,
	VM_REG_GUEST_MPIDR_EL1 = VM_ARM64_REG_MPIDR_EL1,
	VM_REG_LAST = VM_ARM64_REG_LAST
};

/* Capabilities; VM_CAP_HALT_EXIT, _PAUSE_EXIT and _UNRESTRICTED_GUEST are the library's own. */
#define	VM_CAP_BRK_EXIT		VM_CAP_BREAK_EXIT
#define	VM_CAP_SS_EXIT		VM_CAP_SINGLE_STEP
#define	VM_CAP_MASK_HWINTR	VM_CAP_MASK_INTR

/*
 * Why vm_run() returned.  An access to unclaimed memory comes decoded, as VM_EXITCODE_MMIO, and
 * reads are answered by vm_exit_reply().
 */
enum vm_exitcode {
	VM_EXITCODE_BOGUS,		/* nothing to do: run again */
	VM_EXITCODE_REG_EMUL,		/* native: system register that nobody models */
	VM_EXITCODE_SUSPENDED,		/* u.suspended */
	VM_EXITCODE_WFI,
	VM_EXITCODE_SMCCC,		/* u.smccc_call */
	VM_EXITCODE_DEBUG,		/* native */
	VM_EXITCODE_BRK,
	VM_EXITCODE_SS,
	VM_EXITCODE_MMIO,		/* u.mmio; hyve's own */
	VM_EXITCODE_ERROR,		/* native: the back end cannot go on; hyve's own */
	VM_EXITCODE_MAX
};

struct vm_exit {
	enum vm_exitcode exitcode;
	int		 inst_length;	/* 0: unknown */
	uint64_t	 pc;
	union {
		struct {
			uint64_t	func_id;
			uint64_t	args[7];
		} smccc_call;
		struct {
			enum vm_suspend_how how;
		} suspended;
		struct {
			uint64_t	gpa;
			uint64_t	data;		/* of a write */
			int		size;
			int		write;
		} mmio;
	} u;
	struct vm_native_exit native;	/* all that the library said */
};

/* What vmm.h leaves of an exit: the program counter, and codes that are the architecture's. */
static inline void
vm_exit_from_native_md(struct vm_exit *exit, const struct vm_native_exit *n)
{
	exit->pc = n->pc;
	switch (n->code) {
	case VM_EXIT_HALT:
		exit->exitcode = VM_EXITCODE_WFI;
		break;
	case VM_EXIT_SYSREG:
		exit->exitcode = VM_EXITCODE_REG_EMUL;
		break;
	case VM_EXIT_HYPERCALL:
		exit->exitcode = VM_EXITCODE_SMCCC;
		exit->u.smccc_call.func_id = n->u.hypercall.func;
		for (int i = 0; i < 7; i++)
			exit->u.smccc_call.args[i] = n->u.hypercall.args[i];
		break;
	case VM_EXIT_DEBUG:
		exit->exitcode = n->u.debug.reason == VM_ARM64_DEBUG_STEP ? VM_EXITCODE_SS :
		    n->u.debug.reason == VM_ARM64_DEBUG_BRK ? VM_EXITCODE_BRK : VM_EXITCODE_DEBUG;
		break;
	default:
		break;
	}
}

#endif /* _COMPAT_MACHINE_VMM_ARM64_H_ */
