/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * arm64.h - the state page of an arm64 vCPU, and what the arm64 parts share.
 *
 * The page is what the processor is made of, in the Arm ARM's terms (DDI 0487).  Every field is declared in arm64_state_fields
 * (state.c): add there what you add here.
 */
#ifndef _VMMAPI_ARM64_INTERNAL_H_
#define	_VMMAPI_ARM64_INTERNAL_H_

#include <vmmapi/arm64.h>

#include "../internal.h"

#define	ARM64_NSPI	256U		/* lines: line N is SPI N, INTID 32 + N */
#define	ARM64_PA_BITS	40		/* physical address size (ID_AA64MMFR0_EL1.PARange 2) */
#define	ARM64_NBRP	6U		/* breakpoints; the last one is context-aware */
#define	ARM64_NWRP	4U		/* watchpoints */

/* The ID registers S3_0_C0_C1_0 to S3_0_C0_C7_7, by CRm and Op2. */
#define	ARM64_NID		56U
#define	ARM64_ID(crm, op2)	(((crm) - 1) * 8 + (op2))
#define	ARM64_ID_AA64PFR0	ARM64_ID(4, 0)
#define	ARM64_ID_AA64PFR1	ARM64_ID(4, 1)
#define	ARM64_ID_AA64DFR0	ARM64_ID(5, 0)
#define	ARM64_ID_AA64ISAR0	ARM64_ID(6, 0)
#define	ARM64_ID_AA64MMFR0	ARM64_ID(7, 0)
#define	ARM64_ID_AA64MMFR1	ARM64_ID(7, 1)
#define	ARM64_ID_AA64MMFR2	ARM64_ID(7, 2)

struct arm64_state {
	uint64_t	x[31];
	uint64_t	sp_el0, sp_el1;
	uint64_t	zero, sink;	/* soft: register 31 where it is not SP, to read (always 0) and to write; no state */
	uint64_t	pc;
	uint64_t	pstate;		/* as SPSR_EL1 */
	uint64_t	spsr_el1, elr_el1, esr_el1, far_el1, vbar_el1;
	uint64_t	sctlr_el1, ttbr0_el1, ttbr1_el1, tcr_el1, mair_el1;
	uint64_t	cpacr_el1, contextidr_el1;
	uint64_t	tpidr_el0, tpidrro_el0, tpidr_el1;
	uint64_t	cntkctl_el1, cntv_ctl_el0, cntv_cval_el0, cntp_ctl_el0, cntp_cval_el0;
	uint64_t	midr_el1, mpidr_el1;
	uint64_t	v[64];		/* V0.lo, V0.hi, V1.lo ... */
	uint32_t	fpcr, fpsr;
	uint64_t	par_el1, csselr_el1, scxtnum_el0, scxtnum_el1;
	/* self-hosted debug (Arm ARM D2, H9) */
	uint64_t	mdscr_el1, mdccint_el1, dbgclaim;
	uint64_t	dbgbvr[ARM64_NBRP], dbgbcr[ARM64_NBRP], dbgwvr[ARM64_NWRP], dbgwcr[ARM64_NWRP];
	uint8_t		oslk, osdlr;	/* OS lock, OS double lock */
	/* soft's exclusive monitor (Arm ARM B2.9): what was loaded, from where; size 0: nothing is monitored */
	uint8_t		excl_size;
	uint64_t	excl_gpa, excl_val[2];
	/* events */
	uint32_t	run_state;	/* enum vm_arm64_run_state */
	uint8_t		exc_pending;	/* an injected exception waits to be taken */
	uint64_t	exc_esr, exc_far;
	uint64_t	on_entry, on_context;	/* PSCI CPU_ON: where to start, with what in X0 */
	uint32_t	on_state;	/* enum arm64_on: who may touch the two above */
	uint64_t	trng;		/* virtual time: where the generator of trng.c is */
	/* what the processor is (id.c) */
	uint64_t	id[ARM64_NID];
	uint64_t	ctr_el0, dczid_el0, clidr_el1;
	uint64_t	ccsidr_el1[3];	/* level 1 data, level 1 instructions, level 2 */
};

_Static_assert(sizeof(struct arm64_state) <= VCPU_SLOT, "state page");

/*
 * PSCI CPU_ON is a hand-over between two threads on the page of the processor that is off.  The caller claims it (NONE to
 * CLAIMED), fills in entry and context and offers them (CLAIMED to READY); the processor takes them (READY to NONE).  run_state
 * and on_state are therefore read and written through arm64_load32() and arm64_store32().
 */
enum arm64_on {
	ARM64_ON_NONE,
	ARM64_ON_CLAIMED,
	ARM64_ON_READY,
};

static inline uint32_t
arm64_load32(const uint32_t *p)
{
	return (__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static inline void
arm64_store32(uint32_t *p, uint32_t val)
{
	__atomic_store_n(p, val, __ATOMIC_RELEASE);
}

/* What vm->md_vm is: made when first needed, see arm64_vm(). */
struct arm64_vm {
	uint64_t	gicd, gicr;	/* addresses of the distributor and of the redistributors */
	uint64_t	gicr_size;
	uint64_t	its;		/* address of the interrupt translation service; 0: none */
	struct vm_irq	*spi[ARM64_NSPI];	/* handles behind vm_assert_irq() */
};

/* vcpu->md_events */
#define	ARM64_EV_CPU_ON	0x01U

/* PSTATE, as in SPSR_EL1 */
#define	PSTATE_N	0x80000000U
#define	PSTATE_Z	0x40000000U
#define	PSTATE_C	0x20000000U
#define	PSTATE_V	0x10000000U
#define	PSTATE_TCO	0x02000000U
#define	PSTATE_DIT	0x01000000U
#define	PSTATE_UAO	0x00800000U
#define	PSTATE_PAN	0x00400000U
#define	PSTATE_SS	0x00200000U
#define	PSTATE_IL	0x00100000U
#define	PSTATE_SSBS	0x00001000U
#define	PSTATE_BTYPE	0x00000c00U
#define	PSTATE_D	0x00000200U
#define	PSTATE_A	0x00000100U
#define	PSTATE_I	0x00000080U
#define	PSTATE_F	0x00000040U
#define	PSTATE_NZCV	0xf0000000U
#define	PSTATE_DAIF	0x000003c0U
#define	PSTATE_NRW	0x00000010U
#define	PSTATE_MODE	0x0000000fU
#define	PSTATE_EL0T	0x0U
#define	PSTATE_EL1T	0x4U
#define	PSTATE_EL1H	0x5U

/* SCTLR_EL1 (Arm ARM D13.2.118): with the bits that read as one in Armv8.0 */
#define	SCTLR_RES1	0x30d00800U
#define	SCTLR_M		0x00000001U
#define	SCTLR_A		0x00000002U
#define	SCTLR_SA	0x00000008U
#define	SCTLR_SA0	0x00000010U
#define	SCTLR_WXN	0x00080000U
#define	SCTLR_SPAN	0x00800000U
#define	SCTLR_DSSBS	(1ULL << 44)

/* Exception classes, ESR_EL1 bits 31:26 (Arm ARM D13.2.37) */
#define	ESR_EC(ec)	((uint64_t)(ec) << 26)
#define	ESR_IL		0x02000000U
#define	EC_UNKNOWN	0x00U
#define	EC_FP		0x07U
#define	EC_ILLEGAL	0x0eU
#define	EC_WFX		0x01U
#define	EC_SVC		0x15U
#define	EC_SYSREG	0x18U
#define	EC_IABT		0x20U		/* from EL0; + 1 from EL1 */
#define	EC_PC_ALIGN	0x22U
#define	EC_DABT		0x24U		/* from EL0; + 1 from EL1 */
#define	EC_SP_ALIGN	0x26U
#define	EC_SERROR	0x2fU
#define	EC_BREAKPOINT	0x30U		/* from EL0; + 1 from EL1, as the next two */
#define	EC_STEP		0x32U
#define	EC_WATCHPOINT	0x34U
#define	EC_BKPT		0x38U		/* AArch32's */
#define	EC_BRK		0x3cU

/* Fault status codes, ESR_EL1 bits 5:0 of aborts (Arm ARM D13.2.37); those of a walk have the level added. */
#define	FSC_ADDRESS	0x00U
#define	FSC_TRANSLATION	0x04U
#define	FSC_ACCESS	0x08U
#define	FSC_PERMISSION	0x0cU
#define	FSC_EXTERNAL_WALK	0x14U
#define	FSC_EXTERNAL	0x10U
#define	FSC_ALIGNMENT	0x21U
#define	FSC_DEBUG	0x22U
#define	FSC_EXCLUSIVE	0x35U		/* unsupported exclusive or atomic access */

/* A system register's number, as MSR and MRS encode it: Op0:Op1:CRn:CRm:Op2 in 2:3:4:4:3 bits. */
#define	ARM64_SYSREG(op0, op1, crn, crm, op2)						\
	((uint32_t)(op0) << 14 | (uint32_t)(op1) << 11 | (uint32_t)(crn) << 7 |		\
	(uint32_t)(crm) << 3 | (uint32_t)(op2))

/* GICv3 CPU interface (IHI 0069 12.2) */
#define	ICC_PMR		ARM64_SYSREG(3, 0, 4, 6, 0)
#define	ICC_IAR0	ARM64_SYSREG(3, 0, 12, 8, 0)
#define	ICC_EOIR0	ARM64_SYSREG(3, 0, 12, 8, 1)
#define	ICC_HPPIR0	ARM64_SYSREG(3, 0, 12, 8, 2)
#define	ICC_BPR0	ARM64_SYSREG(3, 0, 12, 8, 3)
#define	ICC_AP0R0	ARM64_SYSREG(3, 0, 12, 8, 4)
#define	ICC_AP1R0	ARM64_SYSREG(3, 0, 12, 9, 0)
#define	ICC_DIR		ARM64_SYSREG(3, 0, 12, 11, 1)
#define	ICC_RPR		ARM64_SYSREG(3, 0, 12, 11, 3)
#define	ICC_SGI1R	ARM64_SYSREG(3, 0, 12, 11, 5)
#define	ICC_ASGI1R	ARM64_SYSREG(3, 0, 12, 11, 6)
#define	ICC_SGI0R	ARM64_SYSREG(3, 0, 12, 11, 7)
#define	ICC_IAR1	ARM64_SYSREG(3, 0, 12, 12, 0)
#define	ICC_EOIR1	ARM64_SYSREG(3, 0, 12, 12, 1)
#define	ICC_HPPIR1	ARM64_SYSREG(3, 0, 12, 12, 2)
#define	ICC_BPR1	ARM64_SYSREG(3, 0, 12, 12, 3)
#define	ICC_CTLR	ARM64_SYSREG(3, 0, 12, 12, 4)
#define	ICC_SRE		ARM64_SYSREG(3, 0, 12, 12, 5)
#define	ICC_IGRPEN0	ARM64_SYSREG(3, 0, 12, 12, 6)
#define	ICC_IGRPEN1	ARM64_SYSREG(3, 0, 12, 12, 7)

/* Interrupts of a vCPU's own that are not lines (GICv3 2.2.1), as BSA 1.0 3.8.1 numbers the timers' */
#define	ARM64_PPI_VTIMER	27
#define	ARM64_PPI_PTIMER	30

/* Where stock firmware finds the controller unless vm_attach_vgic() says otherwise. */
#define	ARM64_GICD_BASE		0x08000000U
#define	ARM64_GICR_BASE		0x080a0000U
#define	ARM64_GICD_SIZE		0x10000U
#define	ARM64_GICR_SIZE		0x20000U	/* of one vCPU */
#define	ARM64_ITS_SIZE		0x20000U

/* md_arm64.c: the VM's own part, NULL (ENOMEM) if it cannot be made.  Any thread. */
struct arm64_vm *arm64_vm(struct vmctx *vm);

/* id.c */
extern const char *const arm64_cpu_models[];
/* The ID registers of a model, NULL: the default. */
void	arm64_id_reset(struct arm64_state *s, const char *model);
/* Be the processor that another is. */
void	arm64_id_copy(struct arm64_state *s, const struct arm64_state *from);
/* A register by which one processor offers less than another, from this bit on. */
struct arm64_id_lack {
	char		 name[24];
	unsigned	 bit;
	uint64_t	 wants, has;
};
/* Is there something in what `wants` says of itself that `has` does not have?  Then *lack is filled. */
bool	arm64_id_lacks(const struct arm64_state *has, const struct arm64_state *wants, struct arm64_id_lack *lack);
/* The bits that PSTATE has on such a processor, in the mode that pstate says. */
uint64_t arm64_pstate_bits(const struct arm64_state *s, uint64_t pstate);
void	arm64_model_set(struct vmctx *vm);

/* reset.c */
void	arm64_reset(struct vcpu *vcpu);
void	arm64_event(struct vcpu *vcpu);
bool	arm64_runnable(struct vcpu *vcpu);
/* MPIDR_EL1 affinity of vCPU id: sixteen to a cluster, so that one SGI reaches a cluster (IHI 0069 2.2.3). */
uint32_t arm64_affinity(int id);
/* The vCPU with this affinity, NULL if there is none. */
struct vcpu *arm64_by_affinity(struct vmctx *vm, uint64_t aff);

/* Does the tag byte of va take no part in translation?  TCR_EL1.TBI0 and TBI1, MMU on or off (Arm ARM D5.1.5). */
static inline bool
arm64_tbi(const struct arm64_state *s, uint64_t va)
{
	return ((s->tcr_el1 >> ((va >> 55 & 1) != 0 ? 38 : 37) & 1) != 0);
}

/* A branch target as it goes into the PC: without the tag. */
static inline uint64_t
arm64_branch_target(const struct arm64_state *s, uint64_t va)
{
	return (arm64_tbi(s, va) ? (uint64_t)((int64_t)(va << 8) >> 8) : va);
}

/* walk.c: VMSAv8-64 stage 1 */
struct arm64_walk {
	vm_paddr_t	 gpa;
	uint32_t	 fsc;		/* FSC_* and level, if the walk failed */
	bool		 device;	/* memory type is Device */
	bool		 ng;		/* not global: of the present ASID only */
	uint8_t		 sh;		/* shareability, as in PAR_EL1 */
	uint8_t		 shift;		/* log2 of the size of the page or block, 12 with the MMU off */
	uint8_t		 attr;		/* MAIR_EL1 attribute */
	uint8_t		 el0, el1;	/* VM_PROT_* that the page allows to each */
	/* It went through a table of 512 pages of 4 KiB: where that is, and what the tables above it forbid. */
	bool		 has_table;
	vm_paddr_t	 table;
	uint64_t	 tattr;
};
/* Read the 8 bytes of a descriptor; false if nothing is there.  cookie is the walk's caller's. */
typedef bool arm64_walk_read(void *cookie, vm_paddr_t gpa, uint64_t *desc);
bool	arm64_walk(const struct arm64_state *s, uint64_t va, int prot, bool el0, arm64_walk_read *rd,
	    void *cookie, struct arm64_walk *out);
/*
 * The same from there on, with the MMU on: desc is what the table has for va now.  TCR_EL1 and the table base are as they were, and
 * nothing was invalidated since.
 */
bool	arm64_walk_table(const struct arm64_state *s, uint64_t va, int prot, bool el0, uint64_t desc, uint64_t tattr,
	    struct arm64_walk *out);
int	arm64_translate(struct vcpu *vcpu, uint64_t gva, int prot, vm_paddr_t *gpa, int *fault);

/* psci.c */
enum arm64_psci {
	ARM64_PSCI_NOT,		/* a hypercall of the caller's: X0 to X7 are as they were */
	ARM64_PSCI_DONE,	/* X0 has the result */
	/* Nothing changed yet, and the caller is to: */
	ARM64_PSCI_WAIT,	/* let the vCPU wait for an interrupt, and put 0 into X0 */
	ARM64_PSCI_OFF,		/* turn the vCPU off */
	ARM64_PSCI_POWEROFF,	/* suspend the VM */
	ARM64_PSCI_RESET,
};
/* An HVC with an SMCCC function: on the vCPU's thread, state in the page. */
enum arm64_psci arm64_psci(struct vcpu *vcpu);

/* trng.c: a function of the random number service, with its results in X1 to X3; what goes into X0. */
int64_t	arm64_trng(struct vcpu *vcpu, uint32_t fn);
bool	arm64_is_trng(uint32_t fn);

/* state.c */
extern const struct vm_state_table arm64_state_table;

/* gicv3.c */
extern const struct intc_ops intc_gicv3;
#define	GIC_OUT_FIQ	0x1U		/* a group 0 interrupt is signalled */
#define	GIC_OUT_IRQ	0x2U		/* a group 1 interrupt is signalled */
/* What the CPU interface signals.  Any thread. */
unsigned gicv3_output(struct vcpu *vcpu);
/* The level of a private peripheral interrupt, INTID 16 to 31.  Any thread. */
void	gicv3_set_ppi(struct vcpu *vcpu, unsigned intid, bool level);

#endif /* _VMMAPI_ARM64_INTERNAL_H_ */
