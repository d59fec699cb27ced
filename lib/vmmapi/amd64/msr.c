/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * msr.c - the table of model-specific registers (Intel SDM vol. 4 and AMD APM vol. 2 appendix A; KVM's own: the kernel's
 * Documentation/virt/kvm/x86/msr.rst).
 */
#include "model.h"
#include "msr.h"

#define	KEPT(n, s)		{ .first = (n), .last = (n), .name = (s), .kind = AMD64_MSR_KEPT }
#define	KEPTS(n, e, s)		{ .first = (n), .last = (e), .name = (s), .kind = AMD64_MSR_KEPT }
#define	KEPT_IF(n, s, f)	{ .first = (n), .last = (n), .name = (s), .kind = AMD64_MSR_KEPT, .need = (f) }
#define	CONST(n, s, v, w)	{ .first = (n), .last = (n), .name = (s), .kind = AMD64_MSR_CONST, .writes = AMD64_MSR_##w, .val = (v) }
#define	CALL(n, s, fn, w, f)	{ .first = (n), .last = (n), .name = (s), .kind = AMD64_MSR_CONST, .writes = AMD64_MSR_##w, .value = (fn), .need = (f) }
#define	AMD(n, s, v)		{ .first = (n), .last = (n), .name = (s), .kind = AMD64_MSR_AMD, .writes = AMD64_MSR_WRITE_ANY, .val = (v) }
#define	NONE(n, s)		{ .first = (n), .last = (n), .name = (s), .kind = AMD64_MSR_NONE }
#define	NONES(n, e, s)		{ .first = (n), .last = (e), .name = (s), .kind = AMD64_MSR_NONE }

/* Ratio of the TSC to 100 MHz, where a processor has its clock multipliers. */
static uint64_t
ratio(const struct vmctx *vm, bool amd)
{
	uint64_t r = vm->counter_hz / 100000000;

	return ((r == 0 ? 1 : r & 0xff) << 8);
}

/* One that looks recent: systems complain of the first ones of a processor.  Intel's is in the upper half (vol. 3 9.11.7.1). */
static uint64_t
microcode(const struct vmctx *vm, bool amd)
{
	return (amd ? 0x01000065 : 0x1fULL << 32);
}

static uint64_t
immune(const struct vmctx *vm, bool amd)
{
	const struct amd64_vm *av = vm->md_vm;

	return (av != NULL ? av->immune_here : 0);
}

const struct amd64_msr amd64_msrs[] = {
	CONST(0x000, "IA32_P5_MC_ADDR", 0, WRITE_ANY),		/* no error was found */
	CONST(0x001, "IA32_P5_MC_TYPE", 0, WRITE_ANY),
	KEPT(0x010, "IA32_TIME_STAMP_COUNTER"),
	KEPT(0x011, "MSR_KVM_WALL_CLOCK"),
	KEPT(0x012, "MSR_KVM_SYSTEM_TIME"),
	CONST(0x017, "IA32_PLATFORM_ID", 0, READ_ONLY),
	KEPT(0x01b, "IA32_APIC_BASE"),
	CONST(0x02a, "MSR_EBL_CR_POWERON", 0, WRITE_ANY),
	NONE(0x033, "MSR_TEST_CTRL"),
	CONST(0x034, "MSR_SMI_COUNT", 0, READ_ONLY),		/* there is no such mode */
	CONST(0x03a, "IA32_FEATURE_CONTROL", 1, READ_ONLY),	/* locked: no VMX, no SMX */
	KEPT(0x03b, "IA32_TSC_ADJUST"),
	KEPT_IF(0x048, "IA32_SPEC_CTRL", X86_F_IBRS | X86_F_STIBP | X86_F_SSBD | X86_F_BHI_CTRL),
	KEPT_IF(0x049, "IA32_PRED_CMD", X86_F_IBRS),
	NONE(0x04e, "IA32_PPIN_CTL"),
	NONE(0x04f, "IA32_PPIN"),
	NONE(0x079, "IA32_BIOS_UPDT_TRIG"),
	CALL(0x08b, "IA32_BIOS_SIGN_ID", microcode, WRITE_ANY, 0),	/* is written before CPUID brings the revision */
	NONE(0x09b, "IA32_SMM_MONITOR_CTL"),
	NONE(0x09e, "IA32_SMBASE"),
	NONES(0x0c1, 0x0c8, "IA32_PMCn"),
	NONE(0x0cd, "MSR_FSB_FREQ"),
	CALL(0x0ce, "MSR_PLATFORM_INFO", ratio, READ_ONLY, 0),
	NONE(0x0cf, "IA32_CORE_CAPABILITIES"),
	NONE(0x0e1, "IA32_UMWAIT_CONTROL"),
	NONE(0x0e2, "MSR_PKG_CST_CONFIG_CONTROL"),
	NONE(0x0e4, "MSR_PMG_IO_CAPTURE_BASE"),
	NONE(0x0e7, "IA32_MPERF"),
	NONE(0x0e8, "IA32_APERF"),
	CONST(0x0fe, "IA32_MTRRCAP", 0x508, READ_ONLY),		/* 8 variable ranges, fixed ranges, write-combining */
	CALL(0x10a, "IA32_ARCH_CAPABILITIES", immune, READ_ONLY, X86_F_ARCH_CAPS),
	KEPT_IF(0x10b, "IA32_FLUSH_CMD", X86_F_L1D_FLUSH),
	NONE(0x122, "IA32_TSX_CTRL"),
	NONE(0x123, "IA32_MCU_OPT_CTRL"),
	NONE(0x140, "MSR_MISC_FEATURES_ENABLES"),
	KEPT(0x174, "IA32_SYSENTER_CS"),
	KEPT(0x175, "IA32_SYSENTER_ESP"),
	KEPT(0x176, "IA32_SYSENTER_EIP"),
	CONST(0x179, "IA32_MCG_CAP", 0, WRITE_SAME),		/* no banks, no MCG_CTL */
	KEPT(0x17a, "IA32_MCG_STATUS"),
	NONE(0x17b, "IA32_MCG_CTL"),
	NONES(0x186, 0x18d, "IA32_PERFEVTSELn"),
	CALL(0x198, "IA32_PERF_STATUS", ratio, READ_ONLY, 0),
	NONE(0x199, "IA32_PERF_CTL"),
	NONE(0x19a, "IA32_CLOCK_MODULATION"),
	NONE(0x19b, "IA32_THERM_INTERRUPT"),
	NONE(0x19c, "IA32_THERM_STATUS"),
	KEPT(0x1a0, "IA32_MISC_ENABLE"),
	NONE(0x1a2, "MSR_TEMPERATURE_TARGET"),
	NONE(0x1a4, "MSR_MISC_FEATURE_CONTROL"),
	NONES(0x1a6, 0x1a7, "MSR_OFFCORE_RSP_n"),
	NONE(0x1aa, "MSR_MISC_PWR_MGMT"),
	NONES(0x1ad, 0x1ae, "MSR_TURBO_RATIO_LIMITn"),
	NONE(0x1b0, "IA32_ENERGY_PERF_BIAS"),
	NONE(0x1b1, "IA32_PACKAGE_THERM_STATUS"),
	NONE(0x1b2, "IA32_PACKAGE_THERM_INTERRUPT"),
	NONE(0x1c4, "IA32_XFD"),
	NONE(0x1c5, "IA32_XFD_ERR"),
	NONE(0x1c8, "MSR_LBR_SELECT"),
	NONE(0x1c9, "MSR_LASTBRANCH_TOS"),
	CONST(0x1d9, "IA32_DEBUGCTL", 0, WRITE_SAME),		/* neither branch records nor branch traps */
	NONE(0x1db, "MSR_LASTBRANCHFROMIP"),
	NONE(0x1dc, "MSR_LASTBRANCHTOIP"),
	NONE(0x1dd, "MSR_LER_FROM_LIP"),
	NONE(0x1de, "MSR_LER_TO_LIP"),
	NONES(0x1f2, 0x1f3, "IA32_SMRR_PHYSn"),
	NONE(0x1fc, "MSR_POWER_CTL"),
	KEPTS(0x200, 0x20f, "IA32_MTRR_PHYSn"),
	KEPT(0x250, "IA32_MTRR_FIX64K_00000"),
	KEPTS(0x258, 0x259, "IA32_MTRR_FIX16K_n"),
	KEPTS(0x268, 0x26f, "IA32_MTRR_FIX4K_n"),
	KEPT(0x277, "IA32_PAT"),
	NONES(0x280, 0x29f, "IA32_MCn_CTL2"),
	KEPT(0x2ff, "IA32_MTRR_DEF_TYPE"),
	NONES(0x309, 0x30c, "IA32_FIXED_CTRn"),
	NONE(0x329, "MSR_PERF_METRICS"),
	NONE(0x345, "IA32_PERF_CAPABILITIES"),
	NONE(0x38d, "IA32_FIXED_CTR_CTRL"),
	NONES(0x38e, 0x392, "IA32_PERF_GLOBAL_n"),
	NONE(0x3f1, "IA32_PEBS_ENABLE"),
	NONES(0x3f8, 0x3ff, "MSR_Cn_RESIDENCY"),
	NONES(0x400, 0x47f, "IA32_MCn"),
	NONES(0x480, 0x493, "IA32_VMX_n"),
	NONES(0x4c1, 0x4c8, "IA32_A_PMCn"),
	NONES(0x560, 0x591, "IA32_RTIT_n"),
	NONE(0x600, "IA32_DS_AREA"),
	NONE(0x601, "MSR_VR_CURRENT_CONFIG"),
	NONE(0x606, "MSR_RAPL_POWER_UNIT"),
	NONES(0x60a, 0x60d, "MSR_PKGCn_IRTL"),
	NONES(0x610, 0x614, "MSR_PKG_POWER_n"),
	NONES(0x618, 0x61c, "MSR_DRAM_POWER_n"),
	NONES(0x620, 0x621, "MSR_UNCORE_RATIO_n"),
	NONES(0x638, 0x642, "MSR_PP_POWER_n"),
	NONES(0x648, 0x64c, "MSR_CONFIG_TDP_n"),
	NONE(0x64d, "MSR_PLATFORM_ENERGY_COUNTER"),
	NONES(0x680, 0x69f, "MSR_LASTBRANCH_n_FROM_IP"),
	NONES(0x6a0, 0x6a8, "IA32_CET_n"),
	NONES(0x6c0, 0x6df, "MSR_LASTBRANCH_n_TO_IP"),
	KEPT(0x6e0, "IA32_TSC_DEADLINE"),
	NONE(0x6e1, "IA32_PKRS"),
	NONES(0x770, 0x777, "IA32_HWP_n"),
	KEPTS(0x800, 0x8ff, "IA32_X2APIC_n"),
	NONES(0xc8d, 0xc8f, "IA32_QM_n"),
	NONES(0xc90, 0xd8f, "IA32_QOS_MASK_n"),
	NONE(0xd90, "IA32_BNDCFGS"),
	NONE(0xda0, "IA32_XSS"),
	NONES(0xdc0, 0xddf, "MSR_LBR_INFO_n"),
	NONES(0x1200, 0x121f, "IA32_LBR_n_INFO"),
	NONES(0x40000000, 0x400001ff, "HV_X64_MSR_n"),
	KEPT(0x4b564d00, "MSR_KVM_WALL_CLOCK_NEW"),
	KEPT(0x4b564d01, "MSR_KVM_SYSTEM_TIME_NEW"),
	NONE(0x4b564d02, "MSR_KVM_ASYNC_PF_EN"),
	NONE(0x4b564d03, "MSR_KVM_STEAL_TIME"),
	NONE(0x4b564d04, "MSR_KVM_EOI_EN"),
	NONE(0x4b564d05, "MSR_KVM_POLL_CONTROL"),
	NONE(0x4b564d06, "MSR_KVM_ASYNC_PF_INT"),
	NONE(0x4b564d07, "MSR_KVM_ASYNC_PF_ACK"),
	NONE(0x4b564d08, "MSR_KVM_MIGRATION_CONTROL"),
	KEPT(0xc0000080, "IA32_EFER"),
	KEPT(0xc0000081, "IA32_STAR"),
	KEPT(0xc0000082, "IA32_LSTAR"),
	KEPT(0xc0000083, "IA32_CSTAR"),
	KEPT(0xc0000084, "IA32_FMASK"),
	NONES(0xc00000e7, 0xc00000e8, "AMD_nPERF_READ_ONLY"),
	KEPT(0xc0000100, "IA32_FS_BASE"),
	KEPT(0xc0000101, "IA32_GS_BASE"),
	KEPT(0xc0000102, "IA32_KERNEL_GS_BASE"),
	KEPT_IF(0xc0000103, "IA32_TSC_AUX", X86_F_RDTSCP),
	NONE(0xc0000104, "AMD_TSC_RATIO"),
	NONES(0xc0000300, 0xc0000302, "AMD_PERF_CNTR_GLOBAL_n"),
	NONES(0xc0000408, 0xc000040f, "AMD_MC4_MISCn"),
	NONES(0xc0002000, 0xc0002fff, "AMD_MCA_n"),
	NONES(0xc0010000, 0xc0010003, "AMD_PERF_CTLn"),
	NONES(0xc0010004, 0xc0010007, "AMD_PERF_CTRn"),
	AMD(0xc0010010, "AMD_SYSCFG", 0),
	AMD(0xc0010015, "AMD_HWCR", 1ULL << 24),		/* the TSC counts at the frequency of P0 */
	AMD(0xc001001f, "AMD_NB_CFG", 0),
	AMD(0xc0010055, "AMD_INT_PENDING", 0),
	AMD(0xc0010058, "AMD_MMIO_CONFIG_BASE", 0),
	NONES(0xc0010061, 0xc0010071, "AMD_PSTATE_n"),
	NONE(0xc0010111, "AMD_SMM_BASE"),
	NONES(0xc0010112, 0xc0010113, "AMD_SMM_n"),
	NONE(0xc0010114, "AMD_VM_CR"),
	NONE(0xc0010117, "AMD_VM_HSAVE_PA"),
	NONE(0xc001011f, "AMD_VIRT_SPEC_CTRL"),
	NONES(0xc0010130, 0xc0010131, "AMD_SEV_n"),
	NONES(0xc0010140, 0xc0010141, "AMD_OSVW_n"),
	NONES(0xc0010200, 0xc001020b, "AMD_CORE_PERF_n"),
	NONES(0xc0010230, 0xc001023b, "AMD_L3_PERF_n"),
	NONES(0xc0010240, 0xc0010247, "AMD_NB_PERF_n"),
	NONES(0xc0010299, 0xc001029b, "AMD_RAPL_n"),
	NONE(0xc0011020, "AMD_LS_CFG"),
	AMD(0xc0011022, "AMD_DC_CFG", 0),
	AMD(0xc0011023, "AMD_BU_CFG", 0),
	AMD(0xc0011029, "AMD_DE_CFG", 2),			/* LFENCE serializes */
	AMD(0xc001102a, "AMD_BU_CFG2", 0),
	NONES(0xc0011030, 0xc001103d, "AMD_IBS_n"),
};
const unsigned amd64_nmsrs = nitems(amd64_msrs);

const struct amd64_msr *
amd64_msr_find(uint32_t msr)
{
	unsigned lo = 0, hi = nitems(amd64_msrs);

	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;

		if (msr < amd64_msrs[mid].first)
			hi = mid;
		else if (msr > amd64_msrs[mid].last)
			lo = mid + 1;
		else
			return (&amd64_msrs[mid]);
	}
	return (NULL);
}

const char *
amd64_msr_name(uint32_t msr)
{
	const struct amd64_msr *m = amd64_msr_find(msr);

	return (m != NULL ? m->name : NULL);
}

bool
amd64_msr_there(const struct amd64_msr *m, uint64_t features)
{
	return (m->need == 0 || (m->need & features) != 0);
}

enum amd64_msr_answer
amd64_msr_constant(const struct vmctx *vm, const struct amd64_msr *m, bool amd, bool write, uint64_t *val)
{
	uint64_t v;

	if (m->kind != AMD64_MSR_CONST && (m->kind != AMD64_MSR_AMD || !amd))
		return (AMD64_MSR_ELSEWHERE);
	v = m->value != NULL ? m->value(vm, amd) : m->val;
	if (write)
		return (m->writes == AMD64_MSR_WRITE_ANY || (m->writes == AMD64_MSR_WRITE_SAME && *val == v) ? AMD64_MSR_DONE : AMD64_MSR_FAULT);
	*val = v;
	return (AMD64_MSR_DONE);
}
