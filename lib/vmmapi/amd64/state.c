/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * state.c - the declared fields of an amd64 vCPU, and what its registers can hold.
 *
 * The rules are those that processors enforce when a register is loaded (Intel SDM vol. 3 2.5, 3.4,
 * 4.1, 10.4.4) and when a VM is entered (26.3.1): a state that passes can be executed.
 */
#include <string.h>

#include "amd64.h"

/* Bits that some amd64 processor has; what the present one has is the back end's matter. */
#define	CR0_KNOWN	0xe005003fULL
#define	CR4_KNOWN	0x01f77fffULL
#define	EFER_KNOWN	0x0000fd01ULL
#define	RFLAGS_KNOWN	0x003f7fd7ULL
#define	XCR0_KNOWN	0x00000000000602ffULL
#define	SEG_ACCESS_KNOWN 0x1f0ffU

const char *
amd64_bad_cr0(uint64_t val)
{
	if ((val & ~CR0_KNOWN) != 0)
		return ("reserved bits are set");
	if ((val & CR0_PG) != 0 && (val & CR0_PE) == 0)
		return ("paging (PG) needs protected mode (PE)");
	if ((val & CR0_NW) != 0 && (val & CR0_CD) == 0)
		return ("NW needs CD");
	return (NULL);
}

const char *
amd64_bad_cr4(uint64_t val)
{
	return ((val & ~CR4_KNOWN) != 0 ? "reserved bits are set" : NULL);
}

const char *
amd64_bad_efer(uint64_t val)
{
	if ((val & ~EFER_KNOWN) != 0)
		return ("reserved bits are set");
	if ((val & EFER_LMA) != 0 && (val & EFER_LME) == 0)
		return ("LMA needs LME");
	return (NULL);
}

const char *
amd64_bad_rflags(uint64_t val)
{
	if ((val & ~RFLAGS_KNOWN) != 0)
		return ("reserved bits are set");
	if ((val & RFLAGS_FIXED) == 0)
		return ("bit 1 is always set");
	return (NULL);
}

static bool
bad_memtype(unsigned type)
{
	/* UC, WC, WT, WP, WB (SDM vol. 3 11.11, table 11-8) */
	return (type == 2 || type == 3 || type > 6);
}

const char *
amd64_bad_pat(uint64_t val)
{
	for (int i = 0; i < 8; i++) {
		unsigned type = (val >> (8 * i)) & 0xff;

		/* 7: UC-, in the PAT only (11.12.2) */
		if (type != 7 && bad_memtype(type))
			return ("an entry has a reserved memory type");
	}
	return (NULL);
}

const char *
amd64_bad_apic_base(uint64_t val)
{
	if ((val & 0x2ff) != 0 || val >= AMD64_MAXPA)
		return ("reserved bits are set");
	if ((val & APIC_BASE_EXTD) != 0 && (val & APIC_BASE_EN) == 0)
		return ("x2APIC mode needs the enable bit");
	return (NULL);
}

const char *
amd64_bad_xcr0(uint64_t val)
{
	if ((val & ~XCR0_KNOWN) != 0)
		return ("reserved bits are set");
	if ((val & 1) == 0)
		return ("bit 0 (x87) is always set");
	if ((val & 0x4) != 0 && (val & 0x2) == 0)
		return ("AVX needs SSE");
	if ((val & 0x18) != 0 && (val & 0x18) != 0x18)
		return ("BNDREG and BNDCSR go together");
	if ((val & 0xe0) != 0 && ((val & 0xe0) != 0xe0 || (val & 0x4) == 0))
		return ("the AVX-512 parts go together and need AVX");
	if ((val & 0x60000) != 0 && (val & 0x60000) != 0x60000)
		return ("the AMX parts go together");
	return (NULL);
}

bool
amd64_canonical(uint64_t va, uint64_t cr4)
{
	int shift = (cr4 & CR4_LA57) != 0 ? 64 - 57 : 64 - 48;

	return ((uint64_t)((int64_t)(va << shift) >> shift) == va);
}

static const struct vm_state_field segment_fields[] = {
	VM_STATE_U64(struct amd64_segment, base),
	VM_STATE_U32(struct amd64_segment, limit),
	VM_STATE_U32(struct amd64_segment, access),
	VM_STATE_U16(struct amd64_segment, sel),
};

static const struct vm_state_table segment_table =
    VM_STATE_TABLE("amd64.segment", 1, 1, segment_fields, NULL);

static const struct vm_state_field avx_fields[] = { VM_STATE_BYTES(struct amd64_avx, ymm_hi128) };
static const struct vm_state_table avx_table = VM_STATE_TABLE("amd64.avx", 1, 1, avx_fields, NULL);
static const struct vm_state_field avx512_fields[] = {
	VM_STATE_U64S(struct amd64_avx512, k),
	VM_STATE_BYTES(struct amd64_avx512, zmm_hi256),
	VM_STATE_BYTES(struct amd64_avx512, hi16_zmm),
};
static const struct vm_state_table avx512_table = VM_STATE_TABLE("amd64.avx512", 1, 1, avx512_fields, NULL);

#define	U8(m)	VM_STATE_U8(struct amd64_state, m)
#define	U32(m)	VM_STATE_U32(struct amd64_state, m)
#define	U64(m)	VM_STATE_U64(struct amd64_state, m)
#define	U64S(m)	VM_STATE_U64S(struct amd64_state, m)
#define	U64_2(m) VM_STATE_FIELD_(struct amd64_state, m, VM_FIELD_U64, 2)	/* since version 2 */
#define	STRUCT_3(m, t)								\
	{ .name = #m, .type = VM_FIELD_STRUCT, .offset = offsetof(struct amd64_state, m), .count = 1,	\
	  .stride = sizeof(((struct amd64_state *)0)->m), .since = 3, .sub = (t) }

static const struct vm_state_field amd64_state_fields[] = {
	U64S(gpr), U64(rip), U64(rflags),
	U64(cr0), U64(cr2), U64(cr3), U64(cr4), U64(cr8), U64(xcr0),
	U64S(dr), U64(dr6), U64(dr7),
	U64(efer),
	VM_STATE_STRUCTS(struct amd64_state, seg, &segment_table),
	U64S(pdpte),
	U64(star), U64(lstar), U64(cstar), U64(sfmask), U64(kgs_base),
	U64(sysenter_cs), U64(sysenter_esp), U64(sysenter_eip),
	U64(pat), U64(tsc_aux), U64(apic_base), U64(misc_enable),
	U64(mtrr_def), U64S(mtrr_fix), U64S(mtrr_base), U64S(mtrr_mask),
	U64(tsc), U64(tsc_deadline), U64(spec_ctrl),
	U64(kvm_system_time), U64(kvm_wall_clock),
	U64_2(tsc_adjust), U64_2(mcg_status),
	VM_STATE_BYTES(struct amd64_state, fxsave),
	U32(run_state), U32(exc_error),
	U8(exc_pending), U8(exc_vector), U8(exc_has_error), U8(intr_shadow),
	U8(nmi_pending), U8(nmi_blocked), U8(intr_pending), U8(intr_vector),
	VM_STATE_FIELD_(struct amd64_state, trap_pending, VM_FIELD_U32, 2),
	STRUCT_3(avx, &avx_table), STRUCT_3(avx512, &avx512_table),
};

/* Hidden parts of the segment registers: a processor never loads others from a descriptor. */
static const char *
bad_segment(const struct amd64_state *st, int i)
{
	const struct amd64_segment *seg = &st->seg[i];
	bool system = i == SEG_LDTR || i == SEG_TR;
	bool wide = i == SEG_FS || i == SEG_GS || system || i == SEG_IDTR || i == SEG_GDTR;
	uint32_t type = VM_AMD64_SEG_TYPE(seg->access);

	if (wide ? !amd64_canonical(seg->base, st->cr4) : seg->base > UINT32_MAX)
		return ("has an impossible base");
	if (i == SEG_IDTR || i == SEG_GDTR)
		return (seg->limit > 0xffff ? "has a limit above ffffh" : NULL);
	if ((seg->access & ~SEG_ACCESS_KNOWN) != 0)
		return ("has reserved access bits set");
	if ((seg->access & VM_AMD64_SEG_UNUSABLE) != 0)
		return (i == SEG_CS || i == SEG_TR ? "cannot be unusable" : NULL);
	/* S is bit 4 of the type field. */
	if (system != ((type & 0x10) == 0))
		return ("is of the wrong kind (system or not)");
	if (i == SEG_TR && type != 3 && type != 11)
		return ("is no busy TSS");
	if (i == SEG_LDTR && type != 2)
		return ("is no LDT");
	if ((seg->access & VM_AMD64_SEG_L) != 0 && (seg->access & VM_AMD64_SEG_DB) != 0 && i == SEG_CS &&
	    (st->efer & EFER_LMA) != 0)
		return ("has both L and D set");
	/* With G=0 a limit has 20 bits, with G=1 its low 12 bits are ones (SDM vol. 3 26.3.1.2). */
	if ((seg->access & VM_AMD64_SEG_G) != 0 ? (seg->limit & 0xfff) != 0xfff : seg->limit > 0xfffff)
		return ("has a limit that its granularity does not allow");
	return (NULL);
}

static const char *
bad_mode(const struct amd64_state *st)
{
	bool lma = (st->efer & EFER_LMA) != 0;
	bool pg = (st->cr0 & CR0_PG) != 0;

	if (lma != (pg && (st->efer & EFER_LME) != 0))
		return ("EFER.LMA contradicts LME and CR0.PG");
	if (lma && (st->cr4 & CR4_PAE) == 0)
		return ("long mode without PAE");
	if ((st->rflags & RFLAGS_VM) != 0 && (lma || (st->cr0 & CR0_PE) == 0))
		return ("virtual-8086 mode outside of protected mode");
	if ((st->cr4 & CR4_PCIDE) != 0 && !lma)
		return ("PCIDs outside of long mode");
	return (NULL);
}

static const char *
bad_mtrr(const struct amd64_state *st)
{
	if ((st->mtrr_def & ~0xcffULL) != 0 || bad_memtype(st->mtrr_def & 0xff))
		return ("a bad default memory type");
	for (size_t i = 0; i < nitems(st->mtrr_fix); i++) {
		for (int b = 0; b < 64; b += 8) {
			if (bad_memtype((st->mtrr_fix[i] >> b) & 0xff))
				return ("a bad type in a fixed-range MTRR");
		}
	}
	for (size_t i = 0; i < nitems(st->mtrr_base); i++) {
		if ((st->mtrr_base[i] & 0xf00) != 0 || bad_memtype(st->mtrr_base[i] & 0xff) ||
		    (st->mtrr_mask[i] & 0x7ff) != 0 || st->mtrr_base[i] >> 52 != 0 || st->mtrr_mask[i] >> 52 != 0)
			return ("a bad variable-range MTRR");
	}
	return (NULL);
}

static int
amd64_state_check(void *obj)
{
	static const char *const segname[] = { "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr", "idtr", "gdtr" };
	const struct amd64_state *st = obj;
	const uint64_t addr[] = { st->lstar, st->cstar, st->kgs_base, st->sysenter_esp, st->sysenter_eip };
	const char *why;
	uint32_t mxcsr;

	if ((why = amd64_bad_cr0(st->cr0)) != NULL)
		return (vm_state_complain("amd64 vcpu: cr0 %#llx: %s", (unsigned long long)st->cr0, why));
	if ((why = amd64_bad_cr4(st->cr4)) != NULL)
		return (vm_state_complain("amd64 vcpu: cr4 %#llx: %s", (unsigned long long)st->cr4, why));
	if ((why = amd64_bad_efer(st->efer)) != NULL)
		return (vm_state_complain("amd64 vcpu: efer %#llx: %s", (unsigned long long)st->efer, why));
	if ((why = amd64_bad_rflags(st->rflags)) != NULL)
		return (vm_state_complain("amd64 vcpu: rflags %#llx: %s", (unsigned long long)st->rflags, why));
	if ((why = bad_mode(st)) != NULL || (why = bad_mtrr(st)) != NULL)
		return (vm_state_complain("amd64 vcpu: %s", why));
	if ((why = amd64_bad_pat(st->pat)) != NULL)
		return (vm_state_complain("amd64 vcpu: pat: %s", why));
	if ((why = amd64_bad_apic_base(st->apic_base)) != NULL)
		return (vm_state_complain("amd64 vcpu: apic_base: %s", why));
	if ((why = amd64_bad_xcr0(st->xcr0)) != NULL)
		return (vm_state_complain("amd64 vcpu: xcr0: %s", why));
	for (int i = 0; i < SEG_COUNT; i++) {
		if ((why = bad_segment(st, i)) != NULL)
			return (vm_state_complain("amd64 vcpu: %s %s", segname[i], why));
	}
	for (size_t i = 0; i < nitems(addr); i++) {
		if (!amd64_canonical(addr[i], st->cr4))
			return (vm_state_complain("amd64 vcpu: a non-canonical address in an MSR"));
	}
	if (st->cr3 >> 52 != 0 || st->cr8 > 15 || st->dr6 >> 32 != 0 || st->dr7 >> 32 != 0)
		return (vm_state_complain("amd64 vcpu: reserved bits in cr3, cr8, dr6 or dr7"));
	/* Loading such an MXCSR faults, also in an executor. */
	memcpy(&mxcsr, st->fxsave + 24, sizeof(mxcsr));
	if ((mxcsr & ~0xffffU) != 0)
		return (vm_state_complain("amd64 vcpu: reserved bits in mxcsr"));
	if (st->run_state > VM_AMD64_SHUTDOWN)
		return (vm_state_complain("amd64 vcpu: run state %u", st->run_state));
	if (st->intr_shadow > 2 || st->exc_pending > 1 || st->exc_has_error > 1 || st->nmi_pending > 1 ||
	    st->nmi_blocked > 1 || st->intr_pending > 1)
		return (vm_state_complain("amd64 vcpu: an event flag is out of range"));
	if (st->exc_vector > 31)
		return (vm_state_complain("amd64 vcpu: exception vector %u", st->exc_vector));
	return (0);
}

const struct vm_state_table amd64_state_table =
    VM_STATE_TABLE("amd64.vcpu", 3, 1, amd64_state_fields, amd64_state_check);
