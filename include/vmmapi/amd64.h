/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vmmapi/amd64.h - what libvmmapi adds for amd64 guests: register and capability numbers, segment
 * descriptors, entry states for FreeBSD kernels, and shims for bhyve's calls by chip.
 *
 * Every function here fails with EINVAL for a VM of another architecture.
 */
#ifndef _VMMAPI_AMD64_H_
#define	_VMMAPI_AMD64_H_

#include <vmmapi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Registers (vm_set_register() and friends). */
enum vm_amd64_reg {
	VM_AMD64_REG_FIRST = 0x100,
	VM_AMD64_REG_RAX = VM_AMD64_REG_FIRST,	/* in the order of instruction encoding */
	VM_AMD64_REG_RCX,
	VM_AMD64_REG_RDX,
	VM_AMD64_REG_RBX,
	VM_AMD64_REG_RSP,
	VM_AMD64_REG_RBP,
	VM_AMD64_REG_RSI,
	VM_AMD64_REG_RDI,
	VM_AMD64_REG_R8,
	VM_AMD64_REG_R9,
	VM_AMD64_REG_R10,
	VM_AMD64_REG_R11,
	VM_AMD64_REG_R12,
	VM_AMD64_REG_R13,
	VM_AMD64_REG_R14,
	VM_AMD64_REG_R15,
	VM_AMD64_REG_RIP,
	VM_AMD64_REG_RFLAGS,
	VM_AMD64_REG_CR0,
	VM_AMD64_REG_CR2,
	VM_AMD64_REG_CR3,
	VM_AMD64_REG_CR4,
	VM_AMD64_REG_CR8,			/* task priority */
	VM_AMD64_REG_DR0,
	VM_AMD64_REG_DR1,
	VM_AMD64_REG_DR2,
	VM_AMD64_REG_DR3,
	VM_AMD64_REG_DR6,
	VM_AMD64_REG_DR7,
	VM_AMD64_REG_EFER,
	/* Segment selectors, and names for vm_set_desc().  GDTR and IDTR have only a descriptor. */
	VM_AMD64_REG_ES,
	VM_AMD64_REG_CS,
	VM_AMD64_REG_SS,
	VM_AMD64_REG_DS,
	VM_AMD64_REG_FS,
	VM_AMD64_REG_GS,
	VM_AMD64_REG_LDTR,
	VM_AMD64_REG_TR,
	VM_AMD64_REG_IDTR,
	VM_AMD64_REG_GDTR,
	/* Segment bases */
	VM_AMD64_REG_FS_BASE,
	VM_AMD64_REG_GS_BASE,
	VM_AMD64_REG_KGS_BASE,
	/* PAE page directory pointers as loaded */
	VM_AMD64_REG_PDPTE0,
	VM_AMD64_REG_PDPTE1,
	VM_AMD64_REG_PDPTE2,
	VM_AMD64_REG_PDPTE3,
	VM_AMD64_REG_INTR_SHADOW,		/* 1: after STI or MOV SS, interrupts wait */
	VM_AMD64_REG_TSC,			/* the guest's time-stamp counter */
	/* Model-specific registers with a name here */
	VM_AMD64_REG_STAR,
	VM_AMD64_REG_LSTAR,
	VM_AMD64_REG_CSTAR,
	VM_AMD64_REG_SFMASK,
	VM_AMD64_REG_SYSENTER_CS,
	VM_AMD64_REG_SYSENTER_ESP,
	VM_AMD64_REG_SYSENTER_EIP,
	VM_AMD64_REG_PAT,
	VM_AMD64_REG_TSC_AUX,
	VM_AMD64_REG_APIC_BASE,
	VM_AMD64_REG_MISC_ENABLE,
	VM_AMD64_REG_XCR0,
	VM_AMD64_REG_RUN_STATE,			/* enum vm_amd64_run_state */
	VM_AMD64_REG_LAST
};

/* What a processor that executes nothing waits for. */
enum vm_amd64_run_state {
	VM_AMD64_RUNNING,
	VM_AMD64_HALTED,	/* HLT: an interrupt */
	VM_AMD64_WAIT_SIPI,	/* INIT: a start-up message */
	VM_AMD64_SHUTDOWN,	/* triple fault */
};

/* Capabilities beyond the machine-independent ones. */
enum vm_amd64_cap {
	VM_AMD64_CAP_ENABLE_INVPCID = VM_CAP_MD_FIRST,
	VM_AMD64_CAP_RDPID,
	VM_AMD64_CAP_RDTSCP,
	VM_AMD64_CAP_IPI_EXIT,
	VM_AMD64_CAP_RFLAGS_TF,
};

/* vm_exit.u.debug.reason */
#define	VM_AMD64_DEBUG_STEP	1
#define	VM_AMD64_DEBUG_INT3	2
#define	VM_AMD64_DEBUG_DR	3	/* vm_debug_set(); kvm: md[0]: DR6 */

/* Access word of a segment descriptor, as VMX has it (Intel SDM vol. 3 section 24.4.1, table 24-2). */
#define	VM_AMD64_SEG_TYPE(a)	((a) & 0x1f)		/* type and S */
#define	VM_AMD64_SEG_DPL(a)	(((a) >> 5) & 3)
#define	VM_AMD64_SEG_P		0x00080U
#define	VM_AMD64_SEG_L		0x02000U
#define	VM_AMD64_SEG_DB		0x04000U
#define	VM_AMD64_SEG_G		0x08000U
#define	VM_AMD64_SEG_UNUSABLE	0x10000U

/*
 * SECTION: Descriptors
 *
 * The hidden parts of the segment registers.
 */

/*
 * Set base, limit (in bytes) and access word of a segment register, GDTR or IDTR (whose access is ignored).
 *
 * Errors: EINVAL (reg is no segment), EBUSY (the vCPU runs).
 * Threads: any, while the vCPU does not run.
 */
VM_COMMITTED int vm_set_desc(struct vcpu *vcpu, int reg, uint64_t base, uint32_t limit, uint32_t access);

/* Get what vm_set_desc() sets.  Errors and threads: as there. */
VM_COMMITTED int vm_get_desc(struct vcpu *vcpu, int reg, uint64_t *base, uint32_t *limit, uint32_t *access);

/*
 * SECTION: Entry states for loaders
 */

/*
 * Registers with which a 64-bit FreeBSD kernel is entered: long mode with paging, flat segments from the three
 * descriptors of vm_setup_freebsd_gdt() at gdtbase, interrupts off.
 *
 * Errors: as vm_set_register().
 * Threads: any, while the vCPU does not run.
 */
VM_COMMITTED int vm_setup_freebsd_registers(struct vcpu *vcpu, uint64_t rip, uint64_t cr3, uint64_t gdtbase,
    uint64_t rsp);

/*
 * Registers with which a 32-bit FreeBSD kernel is entered: flat protected mode without paging.  The three
 * descriptors are written to guest memory at gdtbase.
 *
 * Errors: as vm_set_register(); EFAULT (gdtbase is not RAM).
 * Threads: any, while the vCPU does not run.
 */
VM_COMMITTED int vm_setup_freebsd_registers_i386(struct vcpu *vcpu, uint32_t eip, uint32_t gdtbase,
    uint32_t esp);

/* Fill three descriptors: null, 64-bit code (selector 8), data (selector 16).  Threads: any. */
VM_COMMITTED void vm_setup_freebsd_gdt(uint64_t *gdt);

/*
 * SECTION: Events
 */

/*
 * Make an exception pending: vector 0 to 31 with an error code if errcode_valid.  With restart the instruction at
 * the PC is executed again after the handler.
 *
 * Errors: EINVAL, EBUSY (the vCPU runs, or an event is pending).
 * Threads: any, while the vCPU does not run.
 */
VM_PUBLIC int vm_amd64_inject_exception(struct vcpu *vcpu, int vector, int errcode_valid, uint32_t errcode,
    int restart);

/* Make a non-maskable interrupt pending.  Threads: any. */
VM_PUBLIC int vm_amd64_inject_nmi(struct vcpu *vcpu);

/*
 * SECTION: Address line 20
 *
 * A PC can hold bit 20 of the addresses that its processors put out at 0.  The machine's gate (8042, port 92H) tells them so
 * here; at power-on, and after vm_reset(), the line is free.
 */

/*
 * Let address line 20 through, or hold it at 0.  May be called from a range handler.
 *
 * Errors: EINVAL (not an amd64 VM), ENOTSUP (kvm cannot hold it), ENOMEM.
 * Threads: any.
 */
VM_PUBLIC int vm_amd64_set_a20(struct vmctx *ctx, bool on);

/* Whether it is let through.  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_amd64_get_a20(struct vmctx *ctx, bool *on);

/*
 * SECTION: Interval timer
 *
 * The 8254 of a PC, on the VM's clock, for every back end: ports 0x40 to 0x43, and port 0x61 with the gate and output of
 * its counter 2.  Output 0 drives interrupt line 0.
 */

struct vm_i8254;
struct vm_state_table;

/*
 * Add an 8254 in power-on state: no counter counts.
 *
 * Ownership: the caller's; closed before the VM is.
 * Errors: EINVAL (not an amd64 VM), EEXIST (its ports are claimed), ENOMEM, EAGAIN.
 * Threads: any.
 */
VM_PUBLIC struct vm_i8254 *vm_amd64_i8254_open(struct vmctx *ctx);

/* Take it out.  NULL is ignored.  Threads: any, not from a range handler. */
VM_PUBLIC void vm_amd64_i8254_close(struct vm_i8254 *pit);

/* Power-on state.  Threads: any. */
VM_PUBLIC void vm_amd64_i8254_reset(struct vm_i8254 *pit);

/*
 * Keep output 0 off line 0, or let it drive it again: an HPET in legacy replacement routing has the line for itself.
 *
 * Threads: any.
 */
VM_PUBLIC void vm_amd64_i8254_set_mask(struct vm_i8254 *pit, bool masked);

/*
 * Its declared state: the handle is the object of vm_state_put() and vm_state_get() with this table.  After a vm_state_get() and
 * once the VM's clock is restored, vm_amd64_i8254_loaded() sets it going again.
 *
 * Threads: set-up.
 */
VM_PUBLIC const struct vm_state_table *vm_amd64_i8254_state(void);
/* See vm_amd64_i8254_state().  Threads: set-up. */
VM_PUBLIC void vm_amd64_i8254_loaded(struct vm_i8254 *pit);

/*
 * SECTION: Shims by chip
 *
 * bhyve's calls that name a chip, kept for its consumers over interrupt handles.
 */

/* Send the message addr, msg: vm_raise_msi().  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_lapic_msi(struct vmctx *ctx, uint64_t addr, uint64_t msg);
/* Raise vector (16 to 255) in the vCPU's local APIC as an edge.  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_lapic_irq(struct vcpu *vcpu, int vector);
/* Raise I/O APIC input irq.  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_ioapic_assert_irq(struct vmctx *ctx, int irq);
/* Lower I/O APIC input irq.  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_ioapic_deassert_irq(struct vmctx *ctx, int irq);
/* Pulse I/O APIC input irq.  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_ioapic_pulse_irq(struct vmctx *ctx, int irq);
/* Number of I/O APIC inputs.  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_ioapic_pincount(struct vmctx *ctx, int *pincount);
/* Raise the line behind 8259 input atpic_irq (I/O APIC input ioapic_irq, -1 for none).  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_isa_assert_irq(struct vmctx *ctx, int atpic_irq, int ioapic_irq);
/* Lower it.  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_isa_deassert_irq(struct vmctx *ctx, int atpic_irq, int ioapic_irq);
/* Pulse it.  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_isa_pulse_irq(struct vmctx *ctx, int atpic_irq, int ioapic_irq);
/* The vCPU with this APIC id: identity.  Errors: EINVAL.  Threads: any. */
VM_PUBLIC int vm_apicid2vcpu(struct vmctx *ctx, int apicid);

#ifdef __cplusplus
}
#endif

#endif /* _VMMAPI_AMD64_H_ */
