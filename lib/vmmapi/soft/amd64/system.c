/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * system.c - ports, control registers, MSRs, CPUID and what else concerns the processor as such
 * (Intel SDM vol. 2; vol. 3 2.8).
 */
#include <string.h>

#include "cpu.h"

#define	GP0(x)	x86_fault_error((x), EXC_GP, 0)

/* Ports */

bool
x86_io_allowed(const struct x86 *x)
{
	return (x86_cpl(x) <= (x->s->rflags & FL_IOPL) >> 12);
}

/* E4 to E7 with the port as immediate, EC to EF in DX */
static uint16_t
port(const struct x86 *x)
{
	return ((uint16_t)((x->insn.op & 8) != 0 ? x->s->gpr[RDX] : x->insn.imm & 0xff));
}

static unsigned
port_size(const struct x86 *x)
{
	return ((x->insn.op & 1) == 0 ? 1 : x->insn.opsize == 2 ? 2 : 4);
}

enum x86_status
x86_op_in(struct x86 *x)
{
	unsigned size = port_size(x);
	uint64_t v;

	if (!x86_io_allowed(x))
		return (GP0(x));
	if (soft_in(x->cpu, port(x), size, &v) != SOFT_DONE)
		return (X_EXIT);
	x86_gpr_set(x, RAX, size, v);
	return (X_OK);
}

enum x86_status
x86_op_out(struct x86 *x)
{
	unsigned size = port_size(x);

	if (!x86_io_allowed(x))
		return (GP0(x));
	(void)soft_out(x->cpu, port(x), size, x86_gpr(x, RAX, size));
	return (X_OK);
}

/* Waiting and interrupts */

/* F4 */
enum x86_status
x86_op_hlt(struct x86 *x)
{
	if (x86_cpl(x) != 0)
		return (GP0(x));
	soft_mark(x->cpu);
	x->s->run_state = VM_AMD64_HALTED;
	return (X_HALT);
}

/* FA */
enum x86_status
x86_op_cli(struct x86 *x)
{
	if (!x86_io_allowed(x))
		return (GP0(x));
	x86_flags(x, 0, FL_IF);
	return (X_OK);
}

/* FB: interrupts wait for the end of the next instruction, if they were off */
enum x86_status
x86_op_sti(struct x86 *x)
{
	if (!x86_io_allowed(x))
		return (GP0(x));
	if ((x->s->rflags & FL_IF) == 0)
		x->shadow = 1;
	x86_flags(x, FL_IF, FL_IF);
	return (X_OK);
}

/* F3 90 */
enum x86_status
x86_op_pause(struct x86 *x)
{
	if (x->vcpu->caps[VM_CAP_PAUSE_EXIT] != 1)
		return (X_YIELD);
	(void)soft_exit(x->cpu, VM_EXIT_PAUSE, false);
	return (X_OK);
}

/* 0F 0B, and whatever has no meaning */
enum x86_status
x86_op_ud(struct x86 *x)
{
	return (x86_fault(x, EXC_UD));
}

/* 0F 08, 0F 09: no caches are modelled */
enum x86_status
x86_op_wbinvd(struct x86 *x)
{
	return (x86_cpl(x) != 0 ? GP0(x) : X_OK);
}

/* 0F AE: fences, and CLFLUSH; the rest is for floating point */
enum x86_status
x86_op_fence(struct x86 *x)
{
	unsigned op = x->insn.reg & 7;
	uint64_t v;

	if (x->insn.mod == 3 && op >= 5) {
		atomic_thread_fence(memory_order_seq_cst);
		return (X_OK);
	}
	if (x->insn.mod != 3 && op == 7)
		return (x86_load(x, (enum amd64_seg)x->insn.memseg, x86_ea(x), 1, &v));
	return (x86_fault(x, EXC_UD));
}

/* CPUID: the integer processor that this is, and no more */

#define	MAX_LEAF	1
#define	MAX_EXT		0x80000008U

#define	F1_EDX_TSC	(1U << 4)
#define	F1_EDX_MSR	(1U << 5)
#define	F1_EDX_PAE	(1U << 6)
#define	F1_EDX_CX8	(1U << 8)
#define	F1_EDX_APIC	(1U << 9)
#define	F1_EDX_PGE	(1U << 13)
#define	F1_EDX_CMOV	(1U << 15)
#define	F1_EDX_PAT	(1U << 16)
#define	F1_EDX_CLFSH	(1U << 19)
#define	F1_ECX_X2APIC	(1U << 21)
#define	F1_ECX_HYPERVISOR (1U << 31)
#define	E1_EDX_NX	(1U << 20)
#define	E1_EDX_RDTSCP	(1U << 27)
#define	E1_EDX_LM	(1U << 29)

static void
cpuid(const struct x86 *x, uint32_t leaf, uint32_t r[4])
{
	memset(r, 0, 4 * sizeof(r[0]));
	switch (leaf) {
	case 0:
		r[0] = MAX_LEAF;
		memcpy(&r[1], "Genu", 4);
		memcpy(&r[3], "ineI", 4);
		memcpy(&r[2], "ntel", 4);
		break;
	case 1:
		r[0] = AMD64_SIGNATURE;
		r[1] = (uint32_t)x->vcpu->id << 24 |
		    8 << 8;		/* APIC id; CLFLUSH line of 64 bytes */
		r[2] = F1_ECX_X2APIC | F1_ECX_HYPERVISOR;
		r[3] = F1_EDX_TSC | F1_EDX_MSR | F1_EDX_PAE | F1_EDX_CX8 | F1_EDX_APIC |
		    F1_EDX_PGE | F1_EDX_CMOV | F1_EDX_PAT |
		    F1_EDX_CLFSH;
		break;
	case 0x80000000:
		r[0] = MAX_EXT;
		break;
	case 0x80000001:
		r[3] = E1_EDX_NX | E1_EDX_RDTSCP | E1_EDX_LM;
		break;
	case 0x80000008:
		r[0] = 48 << 8 | AMD64_PHYS_BITS;
		break;
	default:
		/* Beyond the last basic leaf its data is returned (SDM vol. 2, CPUID). */
		if (leaf < 0x40000000)
			cpuid(x, MAX_LEAF, r);
		break;
	}
}

/* 0F A2 */
enum x86_status
x86_op_cpuid(struct x86 *x)
{
	uint32_t r[4];

	cpuid(x, (uint32_t)x->s->gpr[RAX], r);
	x86_gpr_set(x, RAX, 4, r[0]);
	x86_gpr_set(x, RBX, 4, r[1]);
	x86_gpr_set(x, RCX, 4, r[2]);
	x86_gpr_set(x, RDX, 4, r[3]);
	return (X_OK);
}

/* The time-stamp counter */

static uint64_t
ticks(const struct x86 *x, uint64_t now)
{
	return (muldiv64(now, x->vcpu->vm->counter_hz, 1000000000));
}

void
x86_tsc_adopt(struct x86 *x, uint64_t now)
{
	x->tsc_offset = x->s->tsc - ticks(x, now);
	x->tsc_seen = x->s->tsc;
}

void
x86_tsc_check(struct x86 *x)
{
	if (x->s->tsc != x->tsc_seen)
		x86_tsc_adopt(x, soft_clock(x->cpu));
}

void
x86_tsc_save(struct x86 *x)
{
	if (x->s->tsc != x->tsc_seen)
		return;				/* set, and not adopted yet */
	x->s->tsc = x->tsc_seen = x->tsc_offset + ticks(x, vm_clock_now(x->vcpu->vm));
}

static uint64_t
rdtsc(struct x86 *x)
{
	return (x->tsc_offset + ticks(x, soft_clock(x->cpu)));
}

static void
wrtsc(struct x86 *x, uint64_t v)
{
	x->tsc_offset = v - ticks(x, soft_clock(x->cpu));
	x->s->tsc = x->tsc_seen = v;
}

static void
set_edx_eax(struct x86 *x, uint64_t v)
{
	x86_gpr_set(x, RAX, 4, v);
	x86_gpr_set(x, RDX, 4, v >> 32);
}

#define	CR4_TSD		0x4U

/* 0F 31 */
enum x86_status
x86_op_rdtsc(struct x86 *x)
{
	if ((x->s->cr4 & CR4_TSD) != 0 && x86_cpl(x) != 0)
		return (GP0(x));
	set_edx_eax(x, rdtsc(x));
	return (X_OK);
}

/* Model-specific registers (SDM vol. 4) */

enum msr_check { ANY, CANONICAL, LOW32, MSR_PAT, MSR_EFER, MSR_APIC_BASE };

#define	MSR(n, field, chk)	{ (n), offsetof(struct amd64_state, field), (chk) }

/* Those that are a field of the state page and nothing else. */
static const struct {
	uint32_t	msr;
	uint32_t	offset;
	enum msr_check	check;
} msrs[] = {
	MSR(0x01b, apic_base, MSR_APIC_BASE),
	MSR(0x048, spec_ctrl, ANY),
	MSR(0x174, sysenter_cs, LOW32),
	MSR(0x175, sysenter_esp, CANONICAL),
	MSR(0x176, sysenter_eip, CANONICAL),
	MSR(0x1a0, misc_enable, ANY),
	MSR(0x250, mtrr_fix[0], ANY),
	MSR(0x258, mtrr_fix[1], ANY),
	MSR(0x259, mtrr_fix[2], ANY),
	MSR(0x268, mtrr_fix[3], ANY),
	MSR(0x269, mtrr_fix[4], ANY),
	MSR(0x26a, mtrr_fix[5], ANY),
	MSR(0x26b, mtrr_fix[6], ANY),
	MSR(0x26c, mtrr_fix[7], ANY),
	MSR(0x26d, mtrr_fix[8], ANY),
	MSR(0x26e, mtrr_fix[9], ANY),
	MSR(0x26f, mtrr_fix[10], ANY),
	MSR(0x277, pat, MSR_PAT),
	MSR(0x2ff, mtrr_def, ANY),
	MSR(0xc0000080, efer, MSR_EFER),
	MSR(0xc0000081, star, ANY),
	MSR(0xc0000082, lstar, CANONICAL),
	MSR(0xc0000083, cstar, CANONICAL),
	MSR(0xc0000084, sfmask, LOW32),
	MSR(0xc0000100, seg[SEG_FS].base, CANONICAL),
	MSR(0xc0000101, seg[SEG_GS].base, CANONICAL),
	MSR(0xc0000102, kgs_base, CANONICAL),
	MSR(0xc0000103, tsc_aux, LOW32),
};

#define	MSR_TSC		0x10U
#define	MSR_MTRRCAP	0xfeU
#define	MSR_MTRR_BASE0	0x200U

static uint64_t *
msr_field(struct x86 *x, uint32_t msr, enum msr_check *check)
{
	if (msr >= MSR_MTRR_BASE0 && msr < MSR_MTRR_BASE0 + 16) {
		unsigned n = (msr - MSR_MTRR_BASE0) / 2;

		*check = ANY;
		return ((msr & 1) == 0 ? &x->s->mtrr_base[n] : &x->s->mtrr_mask[n]);
	}
	for (size_t i = 0; i < nitems(msrs); i++) {
		if (msrs[i].msr == msr) {
			*check = msrs[i].check;
			return ((uint64_t *)(void *)((char *)x->s + msrs[i].offset));
		}
	}
	return (NULL);
}

/* The interrupt controller's: x2APIC, IA32_APIC_BASE, IA32_TSC_DEADLINE. */
static bool
controller_msr(struct x86 *x, uint32_t msr, bool write, uint64_t *val)
{
	const struct intc_ops *ops = x->vcpu->vm->intc_ops;
	bool mine;

	if ((msr != 0x1b && msr != 0x6e0 && (msr < 0x800 || msr > 0x8ff)) || ops == NULL ||
	    ops->sysreg == NULL)
		return (false);
	soft_leave(x->cpu);
	mine = ops->sysreg(x->vcpu, msr, write, val);
	soft_reenter(x->cpu);
	x->intr = true;		/* look again */
	return (mine);
}

/* 0F 32 */
enum x86_status
x86_op_rdmsr(struct x86 *x)
{
	uint32_t msr = (uint32_t)x->s->gpr[RCX];
	enum msr_check check;
	const uint64_t *field;
	struct vm_exit *ex;
	uint64_t v = 0;

	if (x86_cpl(x) != 0)
		return (GP0(x));
	if (msr == MSR_TSC) {
		v = rdtsc(x);
	} else if (msr == MSR_MTRRCAP) {
		v = 0x508;		/* 8 variable ranges, fixed ranges, write-combining */
	} else if (!controller_msr(x, msr, false, &v)) {
		field = msr_field(x, msr, &check);
		if (field != NULL) {
			v = *field;
		} else if (!soft_replied(x->cpu, VM_EXIT_SYSREG, msr, &v)) {
			ex = soft_exit(x->cpu, VM_EXIT_SYSREG, true);
			ex->u.sysreg.reg = msr;
			x->cpu->open_addr = msr;
			return (X_EXIT);
		}
	}
	set_edx_eax(x, v);
	return (X_OK);
}

static bool
msr_allows(const struct x86 *x, enum msr_check check, uint64_t v)
{
	switch (check) {
	case CANONICAL:
		return (amd64_canonical(v, x->s->cr4));
	case LOW32:
		return (v >> 32 == 0);
	case MSR_PAT:
		return (amd64_bad_pat(v) == NULL);
	case MSR_APIC_BASE:
		return (amd64_bad_apic_base(v) == NULL);
	case MSR_EFER:
		/* LME cannot change while paging is on (SDM vol. 3 4.1.2). */
		return (amd64_bad_efer(v & ~(uint64_t)EFER_LMA) == NULL &&
		    ((x->s->cr0 & CR0_PG) == 0 || ((v ^ x->s->efer) & EFER_LME) == 0));
	default:
		return (true);
	}
}

/* 0F 30 */
enum x86_status
x86_op_wrmsr(struct x86 *x)
{
	uint32_t msr = (uint32_t)x->s->gpr[RCX];
	uint64_t v = x86_gpr(x, RDX, 4) << 32 | x86_gpr(x, RAX, 4), *field;
	enum msr_check check;
	struct vm_exit *ex;

	if (x86_cpl(x) != 0)
		return (GP0(x));
	if (msr == MSR_TSC) {
		wrtsc(x, v);
		return (X_OK);
	}
	if (msr == MSR_MTRRCAP)
		return (GP0(x));
	if (controller_msr(x, msr, true, &v))
		return (X_OK);
	field = msr_field(x, msr, &check);
	if (field == NULL) {
		ex = soft_exit(x->cpu, VM_EXIT_SYSREG, false);
		ex->u.sysreg.reg = msr;
		ex->u.sysreg.data = v;
		ex->u.sysreg.write = true;
		return (X_OK);
	}
	if (!msr_allows(x, check, v))
		return (GP0(x));
	/* LMA follows LME and paging, whatever is written. */
	*field = check == MSR_EFER ? (v & ~(uint64_t)EFER_LMA) | (*field & EFER_LMA) : v;
	return (X_OK);
}

/* Control registers */

/* Legacy PAE paging keeps four entries in the processor (SDM vol. 3 4.4.1). */
static enum x86_status
load_pdptes(struct x86 *x, uint64_t cr0, uint64_t cr3, uint64_t cr4)
{
	uint64_t e[4];

	if ((cr0 & CR0_PG) == 0 || (cr4 & CR4_PAE) == 0 || (x->s->efer & EFER_LME) != 0)
		return (X_OK);
	for (unsigned i = 0; i < 4; i++) {
		if (soft_load(x->cpu, (cr3 & 0xffffffe0) + 8 * i, 8, &e[i]) != SOFT_DONE)
			return (X_EXIT);
		if ((e[i] & 1) != 0 && ((e[i] & 0x1e6) != 0 || e[i] >> AMD64_PHYS_BITS != 0))
			return (GP0(x));
	}
	memcpy(x->s->pdpte, e, sizeof(e));
	return (X_OK);
}

static enum x86_status
set_cr0(struct x86 *x, uint64_t v)
{
	struct amd64_state *s = x->s;
	bool on = (v & CR0_PG) != 0, was = (s->cr0 & CR0_PG) != 0;

	v |= CR0_ET;
	if (amd64_bad_cr0(v) != NULL)
		return (GP0(x));
	if (on && !was && (s->efer & EFER_LME) != 0 &&
	    ((s->cr4 & CR4_PAE) == 0 || (s->seg[SEG_CS].access & VM_AMD64_SEG_L) != 0))
		return (GP0(x));
	if (!on && was && (x86_64bit(x) || (s->cr4 & CR4_PCIDE) != 0))
		return (GP0(x));
	if (!was || ((v ^ s->cr0) & (CR0_CD | CR0_NW)) != 0)
		TRY(load_pdptes(x, v, s->cr3, s->cr4));
	if (on && !was && (s->efer & EFER_LME) != 0)
		s->efer |= EFER_LMA;
	else if (!on)
		s->efer &= ~(uint64_t)EFER_LMA;
	s->cr0 = v;
	return (X_OK);
}

static enum x86_status
set_cr4(struct x86 *x, uint64_t v)
{
	struct amd64_state *s = x->s;
	uint64_t diff = v ^ s->cr4;

	if (amd64_bad_cr4(v) != NULL || (x86_long(x) &&
	    ((v & CR4_PAE) == 0 || (diff & CR4_LA57) != 0)))
		return (GP0(x));
	if ((diff & v & CR4_PCIDE) != 0 && (!x86_long(x) || (s->cr3 & 0xfff) != 0))
		return (GP0(x));
	if ((diff & (CR4_PAE | CR4_PSE)) != 0)
		TRY(load_pdptes(x, s->cr0, s->cr3, v));
	s->cr4 = v;
	return (X_OK);
}

static enum x86_status
set_cr3(struct x86 *x, uint64_t v)
{
	/* Bit 63 asks to keep translations, of which there are none here. */
	if ((x->s->cr4 & CR4_PCIDE) != 0)
		v &= ~(1ULL << 63);
	if (v >> AMD64_PHYS_BITS != 0)
		return (GP0(x));
	TRY(load_pdptes(x, x->s->cr0, v, x->s->cr4));
	x->s->cr3 = v;
	return (X_OK);
}

/* 0F 20, 0F 22: the operand is as wide as addresses of the mode */
enum x86_status
x86_op_mov_from_cr(struct x86 *x)
{
	const struct amd64_state *s = x->s;
	uint64_t v;

	switch (x->insn.reg) {
	case 0:
		v = s->cr0;
		break;
	case 2:
		v = s->cr2;
		break;
	case 3:
		v = s->cr3;
		break;
	case 4:
		v = s->cr4;
		break;
	case 8:
		v = s->cr8;
		break;
	default:
		return (x86_fault(x, EXC_UD));
	}
	if (x86_cpl(x) != 0)
		return (GP0(x));
	x86_gpr_set(x, (enum amd64_gpr)x->insn.rm, x86_64bit(x) ? 8 : 4, v);
	return (X_OK);
}

enum x86_status
x86_op_mov_to_cr(struct x86 *x)
{
	uint64_t v = x86_gpr(x, (enum amd64_gpr)x->insn.rm, x86_64bit(x) ? 8 : 4);
	unsigned n = x->insn.reg;

	if (n != 0 && n != 2 && n != 3 && n != 4 && n != 8)
		return (x86_fault(x, EXC_UD));
	if (x86_cpl(x) != 0)
		return (GP0(x));
	switch (n) {
	case 0:
		return (set_cr0(x, v));
	case 2:
		x->s->cr2 = v;
		return (X_OK);
	case 3:
		return (set_cr3(x, v));
	case 4:
		return (set_cr4(x, v));
	default:
		if (v > 15)
			return (GP0(x));
		x->s->cr8 = v;
		x->intr = true;		/* the task priority may let an interrupt through */
		return (X_OK);
	}
}

#define	DR6_FIXED	0xffff0ff0ULL
#define	DR7_FIXED	0x00000400ULL
#define	CR4_DE		0x8U

/*
 * 0F 21, 0F 23: kept, but no breakpoints are modelled.  4 and 5 are 6 and 7 unless CR4.DE is set.
 */
static enum x86_status
debug_reg(struct x86 *x, unsigned *n)
{
	if (x->insn.reg > 7 || ((x->insn.reg & 6) == 4 && (x->s->cr4 & CR4_DE) != 0))
		return (x86_fault(x, EXC_UD));
	if (x86_cpl(x) != 0)
		return (GP0(x));
	*n = x->insn.reg | ((x->insn.reg & 6) == 4 ? 2 : 0);
	return (X_OK);
}

enum x86_status
x86_op_mov_from_dr(struct x86 *x)
{
	unsigned n = 0;

	TRY(debug_reg(x, &n));
	x86_gpr_set(x, (enum amd64_gpr)x->insn.rm, x86_64bit(x) ? 8 : 4, n < 4 ? x->s->dr[n] :
	    n == 6 ? x->s->dr6 : x->s->dr7);
	return (X_OK);
}

enum x86_status
x86_op_mov_to_dr(struct x86 *x)
{
	uint64_t v = x86_gpr(x, (enum amd64_gpr)x->insn.rm, x86_64bit(x) ? 8 : 4);
	unsigned n = 0;

	TRY(debug_reg(x, &n));
	if (n < 4) {
		x->s->dr[n] = v;
		return (X_OK);
	}
	if (v >> 32 != 0)
		return (GP0(x));
	if (n == 6)
		x->s->dr6 = (v & 0xe00f) | DR6_FIXED;
	else
		x->s->dr7 = (v & 0xffff2bff) | DR7_FIXED;
	return (X_OK);
}

/* 0F 06 */
enum x86_status
x86_op_clts(struct x86 *x)
{
	if (x86_cpl(x) != 0)
		return (GP0(x));
	x->s->cr0 &= ~(uint64_t)CR0_TS;
	return (X_OK);
}

/* Segment and table registers */

/* 8C: to memory always 16 bits */
enum x86_status
x86_op_mov_sreg(struct x86 *x)
{
	unsigned n = x->insn.reg & 7;

	if (n > SEG_GS)
		return (x86_fault(x, EXC_UD));
	return (x86_rm_store(x, x->insn.mod == 3 ? x->insn.opsize : 2, x->s->seg[n].sel));
}

/* 8E */
enum x86_status
x86_op_mov_to_sreg(struct x86 *x)
{
	unsigned n = x->insn.reg & 7;
	uint64_t sel;

	if (n > SEG_GS || n == SEG_CS)
		return (x86_fault(x, EXC_UD));
	TRY(x86_rm_load(x, 2, &sel));
	TRY(x86_load_sreg(x, (enum amd64_seg)n, (uint16_t)sel));
	if (n == SEG_SS)
		x->shadow = 2;
	return (X_OK);
}

/* 0F 00: SLDT, STR, LLDT, LTR */
enum x86_status
x86_op_group6(struct x86 *x)
{
	unsigned op = x->insn.reg & 7;
	uint64_t sel;

	if (op > 3 || !x86_protected(x))
		return (x86_fault(x, EXC_UD));
	if (op < 2)
		return (x86_rm_store(x, x->insn.mod == 3 ? x->insn.opsize : 2,
		    x->s->seg[op == 0 ? SEG_LDTR : SEG_TR].sel));
	if (x86_cpl(x) != 0)
		return (GP0(x));
	TRY(x86_rm_load(x, 2, &sel));
	return (op == 2 ? x86_load_ldtr(x, (uint16_t)sel) : x86_load_tr(x, (uint16_t)sel));
}

/*
 * SGDT, SIDT, LGDT, LIDT: limit and base; LGDT and LIDT with 16-bit operands take 24 bits of base
 */
static enum x86_status
table_reg(struct x86 *x, unsigned op)
{
	const struct x86_insn *i = &x->insn;
	struct amd64_segment *t = &x->s->seg[(op & 1) == 0 ? SEG_GDTR : SEG_IDTR];
	enum amd64_seg seg = (enum amd64_seg)i->memseg;
	unsigned width = x86_64bit(x) ? 8 : 4;
	uint64_t ea = x86_ea(x), ea2 = (ea + 2) & x86_mask(i->adsize), limit, base;

	if (op < 2) {
		TRY(x86_store(x, seg, ea, 2, t->limit));
		return (x86_store(x, seg, ea2, width, t->base));
	}
	if (x86_cpl(x) != 0)
		return (GP0(x));
	TRY(x86_load(x, seg, ea, 2, &limit));
	TRY(x86_load(x, seg, ea2, width, &base));
	if (width == 4 && i->opsize == 2)
		base &= 0xffffff;
	if (width == 8 && !amd64_canonical(base, x->s->cr4))
		return (GP0(x));
	t->base = base;
	t->limit = (uint32_t)limit;
	return (X_OK);
}

/* 0F 01 C1: the guest calls, and who called vm_run() answers in RAX */
static enum x86_status
vmcall(struct x86 *x)
{
	static const enum amd64_gpr args[] = { RBX, RCX, RDX, RSI, RDI, R8, R9 };
	struct vm_exit *ex;
	uint64_t v;

	if (soft_replied(x->cpu, VM_EXIT_HYPERCALL, x->s->gpr[RAX], &v)) {
		x->s->gpr[RAX] = v;
		return (X_OK);
	}
	ex = soft_exit(x->cpu, VM_EXIT_HYPERCALL, true);
	x->cpu->open_addr = ex->u.hypercall.func = x->s->gpr[RAX];
	for (size_t n = 0; n < nitems(args); n++)
		ex->u.hypercall.args[n] = x->s->gpr[args[n]];
	return (X_EXIT);
}

/* 0F 01 with mod 3 */
static enum x86_status
group7_reg(struct x86 *x)
{
	uint64_t t;

	switch ((x->insn.reg & 7) << 3 | (x->insn.rm & 7)) {
	case 0x01:		/* VMCALL */
		return (vmcall(x));
	case 0x38:		/* SWAPGS */
		if (!x86_64bit(x))
			return (x86_fault(x, EXC_UD));
		if (x86_cpl(x) != 0)
			return (GP0(x));
		t = x->s->seg[SEG_GS].base;
		x->s->seg[SEG_GS].base = x->s->kgs_base;
		x->s->kgs_base = t;
		return (X_OK);
	case 0x39:		/* RDTSCP */
		TRY(x86_op_rdtsc(x));
		x86_gpr_set(x, RCX, 4, x->s->tsc_aux);
		return (X_OK);
	default:
		return (x86_fault(x, EXC_UD));
	}
}

/* 0F 01 */
enum x86_status
x86_op_group7(struct x86 *x)
{
	unsigned op = x->insn.reg & 7;
	uint64_t v;

	if (op == 4)		/* SMSW */
		return (x86_rm_store(x, x->insn.mod == 3 ? x->insn.opsize : 2, x->s->cr0));
	if (op == 6) {		/* LMSW: TS, EM, MP and PE, which it cannot clear */
		if (x86_cpl(x) != 0)
			return (GP0(x));
		TRY(x86_rm_load(x, 2, &v));
		return (set_cr0(x, (x->s->cr0 & ~14ULL) | (v & 15)));
	}
	if (x->insn.mod == 3)
		return (group7_reg(x));
	if (op < 4)
		return (table_reg(x, op));
	if (op == 7)		/* INVLPG: no translations are kept */
		return (x86_cpl(x) != 0 ? GP0(x) : X_OK);
	return (x86_fault(x, EXC_UD));
}
