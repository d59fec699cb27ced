/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * compat/machine/vmm_amd64.h - bhyve's names for an amd64 guest; included by machine/vmm.h.
 */
#ifndef _COMPAT_MACHINE_VMM_AMD64_H_
#define	_COMPAT_MACHINE_VMM_AMD64_H_

enum vm_reg_name {
	VM_REG_GUEST_RAX = VM_AMD64_REG_RAX,
	VM_REG_GUEST_RBX = VM_AMD64_REG_RBX,
	VM_REG_GUEST_RCX = VM_AMD64_REG_RCX,
	VM_REG_GUEST_RDX = VM_AMD64_REG_RDX,
	VM_REG_GUEST_RSI = VM_AMD64_REG_RSI,
	VM_REG_GUEST_RDI = VM_AMD64_REG_RDI,
	VM_REG_GUEST_RBP = VM_AMD64_REG_RBP,
	VM_REG_GUEST_RSP = VM_AMD64_REG_RSP,
	VM_REG_GUEST_R8 = VM_AMD64_REG_R8,
	VM_REG_GUEST_R9 = VM_AMD64_REG_R9,
	VM_REG_GUEST_R10 = VM_AMD64_REG_R10,
	VM_REG_GUEST_R11 = VM_AMD64_REG_R11,
	VM_REG_GUEST_R12 = VM_AMD64_REG_R12,
	VM_REG_GUEST_R13 = VM_AMD64_REG_R13,
	VM_REG_GUEST_R14 = VM_AMD64_REG_R14,
	VM_REG_GUEST_R15 = VM_AMD64_REG_R15,
	VM_REG_GUEST_RIP = VM_AMD64_REG_RIP,
	VM_REG_GUEST_RFLAGS = VM_AMD64_REG_RFLAGS,
	VM_REG_GUEST_CR0 = VM_AMD64_REG_CR0,
	VM_REG_GUEST_CR2 = VM_AMD64_REG_CR2,
	VM_REG_GUEST_CR3 = VM_AMD64_REG_CR3,
	VM_REG_GUEST_CR4 = VM_AMD64_REG_CR4,
	VM_REG_GUEST_DR0 = VM_AMD64_REG_DR0,
	VM_REG_GUEST_DR1 = VM_AMD64_REG_DR1,
	VM_REG_GUEST_DR2 = VM_AMD64_REG_DR2,
	VM_REG_GUEST_DR3 = VM_AMD64_REG_DR3,
	VM_REG_GUEST_DR6 = VM_AMD64_REG_DR6,
	VM_REG_GUEST_DR7 = VM_AMD64_REG_DR7,
	VM_REG_GUEST_EFER = VM_AMD64_REG_EFER,
	VM_REG_GUEST_ES = VM_AMD64_REG_ES,
	VM_REG_GUEST_CS = VM_AMD64_REG_CS,
	VM_REG_GUEST_SS = VM_AMD64_REG_SS,
	VM_REG_GUEST_DS = VM_AMD64_REG_DS,
	VM_REG_GUEST_FS = VM_AMD64_REG_FS,
	VM_REG_GUEST_GS = VM_AMD64_REG_GS,
	VM_REG_GUEST_LDTR = VM_AMD64_REG_LDTR,
	VM_REG_GUEST_TR = VM_AMD64_REG_TR,
	VM_REG_GUEST_IDTR = VM_AMD64_REG_IDTR,
	VM_REG_GUEST_GDTR = VM_AMD64_REG_GDTR,
	VM_REG_GUEST_FS_BASE = VM_AMD64_REG_FS_BASE,
	VM_REG_GUEST_GS_BASE = VM_AMD64_REG_GS_BASE,
	VM_REG_GUEST_KGS_BASE = VM_AMD64_REG_KGS_BASE,
	VM_REG_GUEST_PDPTE0 = VM_AMD64_REG_PDPTE0,
	VM_REG_GUEST_PDPTE1 = VM_AMD64_REG_PDPTE1,
	VM_REG_GUEST_PDPTE2 = VM_AMD64_REG_PDPTE2,
	VM_REG_GUEST_PDPTE3 = VM_AMD64_REG_PDPTE3,
	VM_REG_GUEST_INTR_SHADOW = VM_AMD64_REG_INTR_SHADOW,
	VM_REG_LAST = VM_AMD64_REG_LAST
};

/* Capabilities; VM_CAP_HALT_EXIT, _PAUSE_EXIT and _UNRESTRICTED_GUEST are the library's own. */
#define	VM_CAP_MTRAP_EXIT	VM_CAP_SINGLE_STEP
#define	VM_CAP_BPT_EXIT		VM_CAP_BREAK_EXIT
#define	VM_CAP_MASK_HWINTR	VM_CAP_MASK_INTR
#define	VM_CAP_ENABLE_INVPCID	((enum vm_cap_type)VM_AMD64_CAP_ENABLE_INVPCID)
#define	VM_CAP_RDPID		((enum vm_cap_type)VM_AMD64_CAP_RDPID)
#define	VM_CAP_RDTSCP		((enum vm_cap_type)VM_AMD64_CAP_RDTSCP)
#define	VM_CAP_IPI_EXIT		((enum vm_cap_type)VM_AMD64_CAP_IPI_EXIT)
#define	VM_CAP_RFLAGS_TF	((enum vm_cap_type)VM_AMD64_CAP_RFLAGS_TF)

/* Hidden part of a segment register; the access word is in VMX's format. */
struct seg_desc {
	uint64_t	base;
	uint32_t	limit;
	uint32_t	access;
};
#define	SEG_DESC_TYPE(access)		VM_AMD64_SEG_TYPE(access)
#define	SEG_DESC_DPL(access)		VM_AMD64_SEG_DPL(access)
#define	SEG_DESC_PRESENT(access)	(((access) & VM_AMD64_SEG_P) != 0)
#define	SEG_DESC_DEF32(access)		(((access) & VM_AMD64_SEG_DB) != 0)
#define	SEG_DESC_GRANULARITY(access)	(((access) & VM_AMD64_SEG_G) != 0)
#define	SEG_DESC_UNUSABLE(access)	(((access) & VM_AMD64_SEG_UNUSABLE) != 0)

/*
 * Why vm_run() returned.  An access to unclaimed memory comes decoded, as VM_EXITCODE_MMIO.  A read
 * of memory, a port or an MSR is answered by vm_exit_reply() before the next vm_run(): setting the
 * register that gets the value is not enough, since the instruction is completed only then.
 */
enum vm_exitcode {
	VM_EXITCODE_BOGUS,		/* nothing to do: run again */
	VM_EXITCODE_INOUT,		/* u.inout */
	VM_EXITCODE_HLT,
	VM_EXITCODE_PAUSE,
	VM_EXITCODE_RDMSR,		/* u.msr */
	VM_EXITCODE_WRMSR,
	VM_EXITCODE_SUSPENDED,		/* u.suspended */
	VM_EXITCODE_MTRAP,		/* VM_CAP_MTRAP_EXIT: after each instruction */
	VM_EXITCODE_BPT,		/* VM_CAP_BPT_EXIT: INT3 */
	VM_EXITCODE_DB,			/* debug exception */
	VM_EXITCODE_MMIO,		/* u.mmio; hyve's own */
	VM_EXITCODE_HYPERCALL,		/* native; hyve's own */
	VM_EXITCODE_ERROR,		/* native: the back end cannot go on; hyve's own */
	VM_EXITCODE_MAX
};

struct vm_exit {
	enum vm_exitcode exitcode;
	int		 inst_length;	/* 0: unknown */
	uint64_t	 rip;
	union {
		struct {
			uint16_t	bytes;		/* 1, 2 or 4 */
			uint16_t	in;		/* 1: IN, 0: OUT */
			uint16_t	port;
			uint32_t	eax;		/* of OUT: the value */
		} inout;
		struct {
			uint32_t	code;		/* its number */
			uint64_t	wval;		/* of WRMSR */
		} msr;
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
	exit->rip = n->pc;
	switch (n->code) {
	case VM_EXIT_IO:
		exit->exitcode = VM_EXITCODE_INOUT;
		exit->u.inout.bytes = n->u.io.size;
		exit->u.inout.in = !n->u.io.write;
		exit->u.inout.port = n->u.io.port;
		exit->u.inout.eax = (uint32_t)n->u.io.data;
		break;
	case VM_EXIT_HALT:
		exit->exitcode = VM_EXITCODE_HLT;
		break;
	case VM_EXIT_PAUSE:
		exit->exitcode = VM_EXITCODE_PAUSE;
		break;
	case VM_EXIT_SYSREG:
		exit->exitcode = n->u.sysreg.write ? VM_EXITCODE_WRMSR : VM_EXITCODE_RDMSR;
		exit->u.msr.code = (uint32_t)n->u.sysreg.reg;
		exit->u.msr.wval = n->u.sysreg.data;
		break;
	case VM_EXIT_DEBUG:
		exit->exitcode = n->u.debug.reason == VM_AMD64_DEBUG_STEP ? VM_EXITCODE_MTRAP :
		    n->u.debug.reason == VM_AMD64_DEBUG_INT3 ? VM_EXITCODE_BPT : VM_EXITCODE_DB;
		break;
	case VM_EXIT_HYPERCALL:
		exit->exitcode = VM_EXITCODE_HYPERCALL;
		break;
	default:
		break;
	}
}

#endif /* _COMPAT_MACHINE_VMM_AMD64_H_ */
