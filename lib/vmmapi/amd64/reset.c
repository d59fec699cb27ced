/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reset.c - amd64 processors at power-on, INIT and start-up (Intel SDM vol. 3 9.1, table 9-1; 8.4).
 */
#include <string.h>

#include "amd64.h"

#define	DR6_RESET	0xffff0ff0U
#define	DR7_RESET	0x00000400U
#define	MXCSR_RESET	0x1f80U
#define	MXCSR_MASK	0xffffU
#define	PAT_RESET	0x0007040600070406ULL
#define	MISC_FAST_STRING 0x1U

/* Access words of the segments in real mode: present, read-write or executable, accessed. */
#define	ACC_DATA	0x0093U
#define	ACC_CODE	0x009bU
#define	ACC_LDT		0x0082U
#define	ACC_TSS16_BUSY	0x008bU

static void
set_seg(struct amd64_state *st, enum amd64_seg i, uint16_t sel, uint64_t base, uint32_t access)
{
	st->seg[i] = (struct amd64_segment){ .sel = sel, .base = base, .limit = 0xffff, .access = access };
}

/* What power-on, reset and INIT have in common. */
static void
common(struct vcpu *vcpu, struct amd64_state *st)
{
	memset(st->gpr, 0, sizeof(st->gpr));
	st->gpr[RDX] = amd64_signature(vcpu->vm);
	st->rip = 0xfff0;
	st->rflags = RFLAGS_FIXED;
	st->cr2 = st->cr3 = st->cr4 = st->cr8 = 0;
	st->efer = 0;
	memset(st->dr, 0, sizeof(st->dr));
	st->dr6 = DR6_RESET;
	st->dr7 = DR7_RESET;
	memset(st->pdpte, 0, sizeof(st->pdpte));
	set_seg(st, SEG_CS, 0xf000, 0xffff0000, ACC_CODE);
	set_seg(st, SEG_ES, 0, 0, ACC_DATA);
	set_seg(st, SEG_SS, 0, 0, ACC_DATA);
	set_seg(st, SEG_DS, 0, 0, ACC_DATA);
	set_seg(st, SEG_FS, 0, 0, ACC_DATA);
	set_seg(st, SEG_GS, 0, 0, ACC_DATA);
	set_seg(st, SEG_LDTR, 0, 0, ACC_LDT);
	set_seg(st, SEG_TR, 0, 0, ACC_TSS16_BUSY);
	set_seg(st, SEG_IDTR, 0, 0, 0);
	set_seg(st, SEG_GDTR, 0, 0, 0);
	st->exc_pending = st->exc_vector = st->exc_has_error = 0;
	st->exc_error = 0;
	st->intr_shadow = 0;
	st->nmi_pending = st->nmi_blocked = 0;
	st->intr_pending = st->intr_vector = 0;
	st->trap_pending = 0;
	/* The bootstrap processor runs, the others wait for a start-up message (8.4.2). */
	st->run_state = (st->apic_base & APIC_BASE_BSP) != 0 ? VM_AMD64_RUNNING : VM_AMD64_WAIT_SIPI;
}

void
amd64_reset(struct vcpu *vcpu)
{
	struct amd64_state *st = vcpu->state;
	uint32_t mxcsr = MXCSR_RESET, mask = MXCSR_MASK;
	uint16_t fcw = 0x0040;

	memset(st, 0, sizeof(*st));
	st->apic_base = APIC_DEFAULT | APIC_BASE_EN | (vcpu->id == 0 ? APIC_BASE_BSP : 0);
	st->cr0 = CR0_CD | CR0_NW | CR0_ET;
	st->xcr0 = 1;
	st->pat = PAT_RESET;
	st->misc_enable = MISC_FAST_STRING;
	/*
	 * Table 9-1: control word 0040H, tags 5555H (all zero, none empty: in the abridged form of
	 * FXSAVE all ones), registers +0.0.
	 */
	memcpy(st->fxsave, &fcw, sizeof(fcw));
	st->fxsave[4] = 0xff;
	memcpy(st->fxsave + 24, &mxcsr, sizeof(mxcsr));
	memcpy(st->fxsave + 28, &mask, sizeof(mask));
	common(vcpu, st);
	atomic_store(&vcpu->md_events, 0);
	amd64_apic_reset(vcpu);
}

void
amd64_init(struct vcpu *vcpu)
{
	struct amd64_state *st = vcpu->state;

	/* CD and NW survive, ET reads as 1 (table 9-1, note 2). */
	st->cr0 = (st->cr0 & (CR0_CD | CR0_NW)) | CR0_ET;
	common(vcpu, st);
}

void
amd64_event(struct vcpu *vcpu)
{
	struct amd64_state *st = vcpu->state;
	uint32_t ev = atomic_exchange(&vcpu->md_events, 0);

	if ((ev & AMD64_EV_INIT) != 0)
		amd64_init(vcpu);
	/* A start-up message counts only after an INIT (8.4.4.1). */
	if ((ev & AMD64_EV_SIPI) != 0 && st->run_state == VM_AMD64_WAIT_SIPI) {
		uint32_t vector = (ev >> 8) & 0xff;

		set_seg(st, SEG_CS, (uint16_t)(vector << 8), (uint64_t)vector << 12, ACC_CODE);
		st->rip = 0;
		st->run_state = VM_AMD64_RUNNING;
	}
	/* The NMI waits in a processor that is shut down or not started; HLT ends with it. */
	if ((ev & AMD64_EV_NMI) != 0)
		st->nmi_pending = 1;
}

bool
amd64_runnable(struct vcpu *vcpu)
{
	const struct amd64_state *st = vcpu->state;

	return (st->run_state == VM_AMD64_RUNNING);
}
