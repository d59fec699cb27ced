/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64.h - the state page of an amd64 vCPU, and what the amd64 parts share.
 *
 * The page is what the processor is made of, in the manual's terms (Intel SDM vol. 3).  soft
 * executes on it; kvm fills and empties it.  Every field is declared in amd64_state_fields
 * (state.c): add there what you add here.
 */
#ifndef _VMMAPI_AMD64_INTERNAL_H_
#define	_VMMAPI_AMD64_INTERNAL_H_

#include <vmmapi/amd64.h>

#include "../internal.h"

/* Segment registers in the order of VM_AMD64_REG_ES and of instruction encoding. */
enum amd64_seg { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_LDTR, SEG_TR, SEG_IDTR, SEG_GDTR, SEG_COUNT };
enum amd64_gpr { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15 };

struct amd64_segment {
	uint64_t	base;
	uint32_t	limit;		/* in bytes */
	uint32_t	access;		/* VM_AMD64_SEG_* */
	uint16_t	sel;
};

/* What AVX and AVX-512 add to the registers, as XSAVE has it (SDM vol. 1 13.5.2, 13.5.6). */
struct amd64_avx {
	uint8_t		ymm_hi128[256];		/* YMM0 to YMM15, bits 255:128 */
};
struct amd64_avx512 {
	uint64_t	k[8];
	uint8_t		zmm_hi256[512];		/* ZMM0 to ZMM15, bits 511:256 */
	uint8_t		hi16_zmm[1024];		/* ZMM16 to ZMM31 */
};

struct amd64_state {
	uint64_t	gpr[16];
	uint64_t	rip, rflags;
	uint64_t	cr0, cr2, cr3, cr4, cr8, xcr0;
	uint64_t	dr[4], dr6, dr7;
	uint64_t	efer;
	struct amd64_segment seg[SEG_COUNT];
	uint64_t	pdpte[4];

	/* MSRs */
	uint64_t	star, lstar, cstar, sfmask, kgs_base;
	uint64_t	sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t	pat, tsc_aux, apic_base, misc_enable;
	uint64_t	mtrr_def, mtrr_fix[11], mtrr_base[8], mtrr_mask[8];
	uint64_t	tsc;		/* value at the clock's time when the page was last valid; a core brings it up
					   to date before it passes IA32_TSC_DEADLINE to the controller */
	uint64_t	tsc_deadline, spec_ctrl;
	uint64_t	kvm_system_time, kvm_wall_clock;
	uint64_t	tsc_adjust, mcg_status;

	uint8_t		fxsave[512] __attribute__((aligned(16)));	/* x87, MMX, SSE: FXSAVE64 image
					   (SDM vol. 1 10.5) */
	struct amd64_avx avx;
	struct amd64_avx512 avx512;

	/* events */
	uint32_t	run_state;	/* enum vm_amd64_run_state */
	uint32_t	exc_error;
	uint8_t		exc_pending;	/* an exception waits to be delivered */
	uint8_t		exc_vector;
	uint8_t		exc_has_error;
	uint8_t		intr_shadow;	/* 1: STI, 2: MOV SS */
	uint8_t		nmi_pending;
	uint8_t		nmi_blocked;
	uint8_t		intr_pending;	/* an external interrupt was acknowledged and not delivered */
	uint8_t		intr_vector;
	uint32_t	trap_pending;	/* DR6 bits of a debug trap that MOV SS holds off */
};

_Static_assert(sizeof(struct amd64_state) <= VCPU_SLOT, "state page");

/* vcpu->md_events */
#define	AMD64_EV_INIT	0x01U
#define	AMD64_EV_SIPI	0x02U		/* vector in bits 15:8 */
#define	AMD64_EV_NMI	0x04U

#define	CR0_PE		0x00000001U
#define	CR0_ET		0x00000010U
#define	CR0_NE		0x00000020U
#define	CR0_MP		0x00000002U
#define	CR0_EM		0x00000004U
#define	CR0_TS		0x00000008U
#define	CR0_WP		0x00010000U
#define	CR0_AM		0x00040000U
#define	CR0_NW		0x20000000U
#define	CR0_CD		0x40000000U
#define	CR0_PG		0x80000000U
#define	CR4_VME		0x00000001U
#define	CR4_PVI		0x00000002U
#define	CR4_TSD		0x00000004U
#define	CR4_DE		0x00000008U
#define	CR4_PSE		0x00000010U
#define	CR4_PAE		0x00000020U
#define	CR4_MCE		0x00000040U
#define	CR4_PGE		0x00000080U
#define	CR4_PCE		0x00000100U
#define	CR4_OSFXSR	0x00000200U
#define	CR4_OSXMMEXCPT	0x00000400U
#define	CR4_UMIP	0x00000800U
#define	CR4_LA57	0x00001000U
#define	CR4_FSGSBASE	0x00010000U
#define	CR4_PCIDE	0x00020000U
#define	CR4_OSXSAVE	0x00040000U
#define	CR4_SMEP	0x00100000U
#define	CR4_SMAP	0x00200000U
#define	EFER_SCE	0x00000001U
#define	EFER_LME	0x00000100U
#define	EFER_LMA	0x00000400U
#define	EFER_NXE	0x00000800U
#define	RFLAGS_FIXED	0x00000002U
#define	RFLAGS_IF	0x00000200U
#define	RFLAGS_VM	0x00020000U

/* IA32_APIC_BASE (SDM vol. 3 10.4.4, 10.12.1) */
#define	APIC_BASE_BSP	0x00000100U
#define	APIC_BASE_EXTD	0x00000400U		/* x2APIC mode */
#define	APIC_BASE_EN	0x00000800U
#define	APIC_BASE_ADDR	0xfffffffff000ULL
#define	APIC_DEFAULT	0xfee00000ULL

/*
 * Physical addresses of the modelled processor: CPUID leaf 0x80000008 says the same.  Twice what the most RAM needs, and no more: OVMF
 * maps all of it, by pages of 2 MiB, before it says a word.
 */
#define	AMD64_PHYS_BITS	41
#define	AMD64_MAXPA	(1ULL << AMD64_PHYS_BITS)
#define	MISC_LIMIT_CPUID (1ULL << 22)		/* IA32_MISC_ENABLE */
#define	MISC_XD_DISABLE	(1ULL << 34)
/* model.c: the models' names, of which the first is the default; and the signature of the VM's, which EDX has after reset. */
extern const char *const amd64_cpu_models[];
uint32_t amd64_signature(const struct vmctx *vm);
#define	AMD64_NWORDS	11		/* model.h: enum amd64_word */
#define	AMD64_NWORDS_2	9		/* ... of version 2 of the stream's section */

/*
 * What intc_ops.sysreg() is given beside MSRs: MOV to CR8 of the value that the register has already,
 * which clears TPR[3:0].
 */
#define	AMD64_SYSREG_CR8 0x100000008ULL

/* What the architecture keeps of a VM: vm->md_vm, made when it is first needed. */
struct amd64_vm {
	struct vm_irq	*line[24];	/* shim.c: its sources on lines */
	_Atomic bool	 a20_masked;	/* changed with every vCPU out of the guest */
	uint64_t	 clock_base;	/* soft: the VM clock's time that paravirtual clocks count from */
	/*
	 * soft: X86_F_* that the guest has seen, and those that this host can show; 0 if there is nothing to be said.
	 */
	uint64_t	 features, possible;
	/* Words of CPUID (model.h): what the guest has seen, and what it is shown by this back end here; 0: nobody said. */
	uint32_t	 seen[AMD64_NWORDS], here[AMD64_NWORDS];
	uint64_t	 immune_seen, immune_here;	/* IA32_ARCH_CAPABILITIES, likewise */
	uint32_t	 xsave_seen[3], xsave_here[3];	/* offsets of components 5 to 7 in images of XSAVE; 0: there is none */
};
/* vm->md_vm, NULL with a sentence if there is no memory for it. */
struct amd64_vm *amd64_vm_get(struct vmctx *vm);
/* a20.c: the same as declared state, and its part of vm_reset(). */
void	*amd64_vm_object(struct vmctx *vm);
void	amd64_vm_reset(struct vmctx *vm);
extern const struct vm_state_table amd64_vm_table;

/* reset.c: INIT leaves FPU, MSRs and caches alone (SDM vol. 3 9.1.1, table 9-1). */
void	amd64_reset(struct vcpu *vcpu);
void	amd64_init(struct vcpu *vcpu);
void	amd64_event(struct vcpu *vcpu);
bool	amd64_runnable(struct vcpu *vcpu);
/* walk.c */
int	amd64_translate(struct vcpu *vcpu, uint64_t gva, int prot, vm_paddr_t *gpa, int *fault);
/* state.c */
extern const struct vm_state_table amd64_state_table;
/*
 * What a control register, MSR or the access word of a segment can hold: NULL, or why not.  Also
 * for the instructions that load them.
 */
const char *amd64_bad_cr0(uint64_t val);
const char *amd64_bad_cr4(uint64_t val);
const char *amd64_bad_efer(uint64_t val);
const char *amd64_bad_rflags(uint64_t val);
const char *amd64_bad_pat(uint64_t val);
const char *amd64_bad_apic_base(uint64_t val);
const char *amd64_bad_xcr0(uint64_t val);
bool	amd64_canonical(uint64_t va, uint64_t cr4);
/* a20.c: bits of physical addresses that reach memory; changed with every vCPU out of the guest. */
uint64_t amd64_phys_mask(const struct vmctx *vm);
/* md_amd64.c */
int	amd64_reg_check(struct vcpu *vcpu, const struct md_reg *reg, uint64_t val);
/* desc.c: is it an amd64 vCPU?  -1 with a sentence about what. */
int	amd64_check_vcpu(struct vcpu *vcpu, const char *what);
/* topology.c: processors of a package, and bits of an APIC id that they take. */
unsigned amd64_package_cpus(const struct vmctx *vm);
unsigned amd64_package_bits(const struct vmctx *vm);
/* CPUID leaf 4, EAX bits 31:14, of a cache that a package shares, or else a core; and leaf 0BH. */
uint32_t amd64_leaf4_ids(const struct vmctx *vm, bool package);
void	amd64_leafb(const struct vcpu *vcpu, uint32_t sub, uint32_t r[4]);
/* shim.c */
void	amd64_vm_fini(struct vmctx *vm);
/* apic.c: 8259 pair, I/O APIC and local APICs as one controller */
extern const struct intc_ops intc_apic;
/* The vCPU's local APIC in power-on state; nothing if the library does not model one. */
void	amd64_apic_reset(struct vcpu *vcpu);

/*
 * Interrupt wiring of the pc: lines 0 to 15 are the ISA interrupts and reach both the 8259 pair and
 * the I/O APIC, except that line 0 is on I/O APIC input 2 and line 2, the cascade, is on neither.
 */
#define	AMD64_NLINES	24
#define	AMD64_NPINS	24

#endif /* _VMMAPI_AMD64_INTERNAL_H_ */
