/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * md_amd64.c - the amd64 architecture: its registers, capabilities and address space.
 */
#include <errno.h>
#include <string.h>

#include "msr.h"

#define	REG_(r, n, field, b, ro)						\
	{ .name = (n), .num = VM_AMD64_REG_##r,				\
	  .offset = offsetof(struct amd64_state, field),			\
	  .size = sizeof(((struct amd64_state *)0)->field), .bits = (b), .readonly = (ro) }
#define	REG(r, n, field)	REG_(r, n, field, 8 * sizeof(((struct amd64_state *)0)->field), false)
#define	REGB(r, n, field, b)	REG_(r, n, field, b, false)
#define	SEG(r, n)		REG(r, n, seg[SEG_##r].sel)

/* Sorted by number.  GDTR and IDTR are no registers in this sense: vm_set_desc() reaches them. */
static const struct md_reg amd64_regs[] = {
	REG(RAX, "rax", gpr[RAX]),
	REG(RCX, "rcx", gpr[RCX]),
	REG(RDX, "rdx", gpr[RDX]),
	REG(RBX, "rbx", gpr[RBX]),
	REG(RSP, "rsp", gpr[RSP]),
	REG(RBP, "rbp", gpr[RBP]),
	REG(RSI, "rsi", gpr[RSI]),
	REG(RDI, "rdi", gpr[RDI]),
	REG(R8, "r8", gpr[R8]),
	REG(R9, "r9", gpr[R9]),
	REG(R10, "r10", gpr[R10]),
	REG(R11, "r11", gpr[R11]),
	REG(R12, "r12", gpr[R12]),
	REG(R13, "r13", gpr[R13]),
	REG(R14, "r14", gpr[R14]),
	REG(R15, "r15", gpr[R15]),
	REG(RIP, "rip", rip),
	REG(RFLAGS, "rflags", rflags),
	REG(CR0, "cr0", cr0),
	REG(CR2, "cr2", cr2),
	REG(CR3, "cr3", cr3),
	REG(CR4, "cr4", cr4),
	REGB(CR8, "cr8", cr8, 4),
	REG(DR0, "dr0", dr[0]),
	REG(DR1, "dr1", dr[1]),
	REG(DR2, "dr2", dr[2]),
	REG(DR3, "dr3", dr[3]),
	REGB(DR6, "dr6", dr6, 32),
	REGB(DR7, "dr7", dr7, 32),
	REG(EFER, "efer", efer),
	SEG(ES, "es"),
	SEG(CS, "cs"),
	SEG(SS, "ss"),
	SEG(DS, "ds"),
	SEG(FS, "fs"),
	SEG(GS, "gs"),
	SEG(LDTR, "ldtr"),
	SEG(TR, "tr"),
	REG(FS_BASE, "fs_base", seg[SEG_FS].base),
	REG(GS_BASE, "gs_base", seg[SEG_GS].base),
	REG(KGS_BASE, "kgs_base", kgs_base),
	REG(PDPTE0, "pdpte0", pdpte[0]),
	REG(PDPTE1, "pdpte1", pdpte[1]),
	REG(PDPTE2, "pdpte2", pdpte[2]),
	REG(PDPTE3, "pdpte3", pdpte[3]),
	REGB(INTR_SHADOW, "intr_shadow", intr_shadow, 2),
	REG(TSC, "tsc", tsc),
	REG(STAR, "star", star),
	REG(LSTAR, "lstar", lstar),
	REG(CSTAR, "cstar", cstar),
	REGB(SFMASK, "sfmask", sfmask, 32),
	REGB(SYSENTER_CS, "sysenter_cs", sysenter_cs, 32),
	REG(SYSENTER_ESP, "sysenter_esp", sysenter_esp),
	REG(SYSENTER_EIP, "sysenter_eip", sysenter_eip),
	REG(PAT, "pat", pat),
	REGB(TSC_AUX, "tsc_aux", tsc_aux, 32),
	REG(APIC_BASE, "apic_base", apic_base),
	REG(MISC_ENABLE, "misc_enable", misc_enable),
	REG(XCR0, "xcr0", xcr0),
	REGB(RUN_STATE, "run_state", run_state, 8),
};

/* unrestricted_guest cannot be cleared: every back end starts processors without paging. */
static const struct md_cap amd64_caps[] = {
	{ VM_CAP_HALT_EXIT, "halt_exit", 0, false },
	{ VM_CAP_PAUSE_EXIT, "pause_exit", 0, false },
	{ VM_CAP_UNRESTRICTED_GUEST, "unrestricted_guest", 1, true },
	{ VM_CAP_MASK_INTR, "mask_hwintr", 0, false },
	{ VM_CAP_SINGLE_STEP, "single_step", 0, false },
	{ VM_CAP_BREAK_EXIT, "bpt_exit", 0, false },
	{ VM_AMD64_CAP_ENABLE_INVPCID, "enable_invpcid", 0, false },
	{ VM_AMD64_CAP_RDPID, "rdpid", 0, false },
	{ VM_AMD64_CAP_RDTSCP, "rdtscp", 0, false },
	{ VM_AMD64_CAP_IPI_EXIT, "ipi_exit", 0, false },
	{ VM_AMD64_CAP_RFLAGS_TF, "rflags_tf", 0, false },
};

#define	GIB	(1ULL << 30)
#define	TIB	(1ULL << 40)

/*
 * The pc's default address space.  Low RAM ends where stock firmware puts the PCIe configuration
 * window; above the first MMIO window are the chips (I/O APIC, HPET, local APIC) and the ROM that
 * ends at 4 GiB.
 */
static const struct vm_layout amd64_layout = {
	.name = "pc",
	.nram = 2,
	.ram = {
		{ 0, 0xb0000000ULL },
		{ 4 * GIB, 4 * GIB + TIB },
	},
	.nhole = 4,
	.hole = {
		{ 0xb0000000ULL, 0xc0000000ULL },
		{ 0xc0000000ULL, 0xfec00000ULL },
		{ 0xfec00000ULL, 4 * GIB },
		{ 4 * GIB + TIB, AMD64_MAXPA },
	},
};

/* Mode and place; where the stack is; what the last fault and its tables were. */
static const int amd64_told[] = {
	VM_AMD64_REG_RIP, VM_AMD64_REG_CS, VM_AMD64_REG_RFLAGS, VM_AMD64_REG_RSP, VM_AMD64_REG_CR0, VM_AMD64_REG_CR2, VM_AMD64_REG_CR3,
	VM_AMD64_REG_CR4, VM_AMD64_REG_EFER, -1
};

static const struct intc_ops *const amd64_intcs[] = { &intc_apic, NULL };

int
amd64_reg_check(struct vcpu *vcpu, const struct md_reg *reg, uint64_t val)
{
	const struct amd64_state *st = vcpu->state;
	const char *why = NULL;

	switch (reg->num) {
	case VM_AMD64_REG_RFLAGS:
		why = amd64_bad_rflags(val);
		break;
	case VM_AMD64_REG_CR0:
		why = amd64_bad_cr0(val);
		break;
	case VM_AMD64_REG_CR3:
		/*
		 * Bit 63 of the operand is an order, not a part of the register (SDM vol. 3
		 * 4.10.4.1).
		 */
		if (val >> 52 != 0)
			why = "bits 63 to 52 are reserved";
		break;
	case VM_AMD64_REG_CR4:
		why = amd64_bad_cr4(val);
		break;
	case VM_AMD64_REG_EFER:
		why = amd64_bad_efer(val);
		break;
	case VM_AMD64_REG_FS_BASE:
	case VM_AMD64_REG_GS_BASE:
	case VM_AMD64_REG_KGS_BASE:
	case VM_AMD64_REG_LSTAR:
	case VM_AMD64_REG_CSTAR:
	case VM_AMD64_REG_SYSENTER_ESP:
	case VM_AMD64_REG_SYSENTER_EIP:
		if (!amd64_canonical(val, st->cr4))
			why = "the address is not canonical";
		break;
	case VM_AMD64_REG_INTR_SHADOW:
		if (val > 2)
			why = "it is 0, 1 (STI) or 2 (MOV SS)";
		break;
	case VM_AMD64_REG_PAT:
		why = amd64_bad_pat(val);
		break;
	case VM_AMD64_REG_APIC_BASE:
		why = amd64_bad_apic_base(val);
		break;
	case VM_AMD64_REG_XCR0:
		why = amd64_bad_xcr0(val);
		break;
	case VM_AMD64_REG_RUN_STATE:
		if (val > VM_AMD64_SHUTDOWN)
			why = "there is no such run state";
		break;
	default:
		break;
	}
	if (why != NULL) {
		return (vm_fail(EINVAL, "vcpu %d: register %s cannot hold %#llx: %s", vcpu->id, reg->name,
		    (unsigned long long)val, why));
	}
	return (0);
}

static const char *
amd64_sysreg_name(uint64_t reg)
{
	return (reg <= UINT32_MAX ? amd64_msr_name((uint32_t)reg) : NULL);
}

const struct md_ops md_amd64 = {
	.arch = VM_ARCH_AMD64,
	.name = "amd64",
	.regs = amd64_regs,
	.nregs = nitems(amd64_regs),
	.told = amd64_told,
	.caps = amd64_caps,
	.ncaps = nitems(amd64_caps),
	.layout = &amd64_layout,
	.maxpa = AMD64_MAXPA,
	.counter_hz = 1000000000,
	.nlines = AMD64_NLINES,
	.has_io = true,
	.state_size = sizeof(struct amd64_state),
	.vcpu_state = &amd64_state_table,
	.intcs = amd64_intcs,
	.cpu_models = amd64_cpu_models,
	.vm_state = &amd64_vm_table,
	.vcpu_reset = amd64_reset,
	.reg_check = amd64_reg_check,
	.vcpu_event = amd64_event,
	.vcpu_runnable = amd64_runnable,
	.vm_object = amd64_vm_object,
	.vm_reset = amd64_vm_reset,
	.vm_fini = amd64_vm_fini,
	.sysreg_name = amd64_sysreg_name,
	.translate = amd64_translate,
};
