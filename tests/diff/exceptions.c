/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * exceptions.c - what of a case's result is not compared, and which manual says so.
 *
 * A row is about one mnemonic or a range of them in Zydis's alphabetical order, under a condition.
 * SDM is the Intel 64 and IA-32 Architectures Software Developer's Manual, APM the AMD64
 * Architecture Programmer's Manual.
 */
#include <stdio.h>
#include <string.h>

#include "exceptions.h"

#define	M(name)		ZYDIS_MNEMONIC_##name, ZYDIS_MNEMONIC_##name
#define	ALL		0, ZYDIS_MNEMONIC_MAX_VALUE
#define	OSZAPC		EFL_ARITH
#define	CP		(EFL_CF | EFL_PF)

/* Conditions */

/* The masked count of a shift or rotate: immediate, CL or 1. */
static unsigned
count(const struct excuse *e)
{
	const ZydisDecodedInstruction *z = &e->insn.z;
	unsigned n =
	    z->mnemonic == ZYDIS_MNEMONIC_SHLD || z->mnemonic == ZYDIS_MNEMONIC_SHRD ? 2 : 1;
	unsigned mask = e->insn.op[0].size == 64 ? 63 : 31;

	if (e->insn.op[n].type == ZYDIS_OPERAND_TYPE_IMMEDIATE)
		return ((unsigned)e->insn.op[n].imm.value.u & mask);
	return ((unsigned)e->c->gpr[D_RCX] & mask);
}

static bool
count_not_0(const struct excuse *e)
{
	return (count(e) != 0);
}

static bool
count_above_1(const struct excuse *e)
{
	return (count(e) > 1);
}

/* Rotates: the manual speaks of the masked count. */
static bool
count_not_1(const struct excuse *e)
{
	return (count(e) != 1 && count(e) != 0);
}

static bool
count_as_size(const struct excuse *e)
{
	return (count(e) >= e->insn.op[0].size);
}

static bool
count_above_size(const struct excuse *e)
{
	return (count(e) > e->insn.op[0].size);
}

static bool
was_zero(const struct excuse *e)	/* BSF, BSR: it is in ZF */
{
	return ((e->native->rflags & EFL_ZF) != 0);
}

/* The instruction came to its end: what fails is the fetch of the next one, or its breakpoint. */
static bool
ended(const struct diff_case *c, const struct diff_result *r)
{
	if (r->vector == VEC_PF)
		return ((r->error & 0x10) != 0 && r->cr2 == r->rip && r->rip != c->rip);
	return (r->vector == VEC_BP && c->mnemonic != ZYDIS_MNEMONIC_INT3);
}

static bool
faults(const struct excuse *e)
{
	return (!ended(e->c, e->native));
}

static bool
null_loaded(const struct excuse *e)
{
	ZydisMnemonic m = e->insn.z.mnemonic;
	ZydisRegister reg = m == ZYDIS_MNEMONIC_LFS ? ZYDIS_REGISTER_FS
	    : m == ZYDIS_MNEMONIC_LGS ? ZYDIS_REGISTER_GS : e->insn.op[0].reg.value;

	if (e->insn.op[0].type != ZYDIS_OPERAND_TYPE_REGISTER)
		return (false);
	return ((reg == ZYDIS_REGISTER_FS && (e->native->seg[D_FS] & ~3U) == 0) ||
	    (reg == ZYDIS_REGISTER_GS && (e->native->seg[D_GS] & ~3U) == 0));
}

/* The operand is misaligned and goes on in a page that it may not access. */
static bool
both_ac_and_pf(const struct excuse *e)
{
	return (e->native->vector == VEC_AC && e->soft->vector == VEC_PF);
}

/* Two faults of one instruction, out of those that its checks and accesses may raise. */
static bool
two_faults(const struct excuse *e)
{
	uint32_t n = e->native->vector, s = e->soft->vector;

	return (((n >= VEC_NP && n <= VEC_PF) || n == VEC_AC) && s >= VEC_NP && s <= VEC_PF &&
	    (n != s || e->native->error != e->soft->error ||
	    (n == VEC_PF && e->native->cr2 != e->soft->cr2)));
}

static bool
soft_ends(const struct excuse *e)
{
	return (ended(e->c, e->soft));
}

/* An unmasked invalid operation is pending after the instruction. */
static bool
invalid_unmasked(const struct excuse *e)
{
	return ((e->native->fx.fsw & ~e->native->fx.fcw & 1) != 0);
}

/* The memory operand faults; so does the value, and nothing is stored then. */
static bool
unmasked_store(const struct excuse *e)
{
	return (ended(e->c, e->soft) && (e->soft->fx.fsw & 0x80) != 0 &&
	    (e->native->fx.fsw & 0x80) == 0);
}

static bool
is_xm(const struct excuse *e)
{
	return (e->native->vector == VEC_XM);
}

static bool
from_memory(const struct excuse *e)
{
	return (e->insn.op[1].type == ZYDIS_OPERAND_TYPE_MEMORY);
}

static bool
mf_by_memory(const struct excuse *e)
{
	return (from_memory(e) && e->soft->vector == VEC_MF);
}

static bool
ac_either(const struct excuse *e)
{
	return (e->native->vector == VEC_AC);
}

static bool
prefetch_register(const struct excuse *e)
{
	return (e->insn.z.opcode == 0x0d);
}

/* In 32-bit code: an operand lies across the end of a segment of 4 GiB. */
static bool
across_end(const struct excuse *e)
{
	for (unsigned i = 0; i < e->insn.z.operand_count && e->c->mode == 32; i++) {
		const ZydisDecodedOperand *op = &e->insn.op[i];
		unsigned size = op->size / 8U;
		uint64_t base;

		if (op->type != ZYDIS_OPERAND_TYPE_MEMORY)
			continue;
		base = op->mem.segment == ZYDIS_REGISTER_FS ? e->c->fs_base :
		    op->mem.segment == ZYDIS_REGISTER_GS ? e->c->gs_base : 0;
		if (size < 512 && (size > 16 || op->mem.base == ZYDIS_REGISTER_ESP))
			size = 128;		/* environments, frames */
		if ((uint32_t)(gen_ea(&e->insn, e->c, op) - base) > 0U - size ||
		    (op->mem.base == ZYDIS_REGISTER_ESP && (uint32_t)e->c->gpr[D_RSP] < 128))
			return (true);
	}
	return (false);
}

/* An offset that is not canonical while the sum with the base of FS or GS is. */
static bool
odd_offset(const struct excuse *e)
{
	uint32_t v = e->native->vector;

	if (e->c->mode != 64 || (v != VEC_GP && v != VEC_SS) || e->soft->vector == v)
		return (false);
	for (unsigned i = 0; i < e->insn.z.operand_count; i++) {
		const ZydisDecodedOperand *op = &e->insn.op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    (op->mem.segment == ZYDIS_REGISTER_FS || op->mem.segment == ZYDIS_REGISTER_GS))
			return (true);
	}
	return (false);
}

static bool
count_is_0(const struct excuse *e)
{
	unsigned width = e->insn.z.address_width;
	uint64_t mask = width == 64 ? ~0ULL : (1ULL << width) - 1;

	return ((e->insn.z.attributes & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE |
	    ZYDIS_ATTRIB_HAS_REPNE)) != 0 && (e->c->gpr[D_RCX] & mask) == 0);
}

static bool
size_16(const struct excuse *e)
{
	return (e->insn.op[0].size == 16);
}

static bool
soft_gp(const struct excuse *e)
{
	return (e->soft->vector == VEC_GP);
}

static bool
repeat_prefix(const struct excuse *e)
{
	for (unsigned i = 0; i < e->insn.z.raw.prefix_count; i++)
		if ((e->insn.z.raw.prefixes[i].value & 0xfe) == 0xf2)
			return (true);
	return (false);
}

static bool
debug_4_5(const struct excuse *e)
{
	return (e->insn.z.opcode_map == ZYDIS_OPCODE_MAP_0F && (e->insn.z.opcode & 0xfd) == 0x21 &&
	    (e->insn.z.raw.modrm.reg & 6) == 4 && e->soft->vector == VEC_UD);
}

static bool
cut_off(const struct excuse *e)
{
	return (e->c->rip % DIFF_PAGE + e->c->len > DIFF_PAGE);
}

/* Where the host's processor is Intel's, conditions that say so hold; the others are of processors in general, or were found on AMD's. */
static bool
intel(const struct excuse *e)
{
	static int known = -1;

	(void)e;
	if (known < 0)
		known = diff_intel();
	return (known != 0);
}

/* Two faults, of which soft's may be of alignment too. */
static bool
intel_order(const struct excuse *e)
{
	uint32_t n = e->native->vector;

	return (intel(e) && (two_faults(e) || (e->soft->vector == VEC_AC && n >= VEC_NP && n <= VEC_PF)));
}

/* A remainder that is tiny and exact, with underflow unmasked. */
static bool
intel_tiny(const struct excuse *e)
{
	return (intel(e) && (e->soft->fx.fsw & ~e->soft->fx.fcw & 0x10) != 0 && (e->native->fx.fsw & 0x10) == 0);
}

/* A selector is read and written by its 16 bits, and what is above them may be where nothing is. */
static bool
intel_selector(const struct excuse *e)
{
	return (intel(e) && ended(e->c, e->native) != ended(e->c, e->soft));
}

/* One bound is out of range, and the other one where nothing is. */
static bool
intel_bound(const struct excuse *e)
{
	return (intel(e) && e->native->vector == VEC_BR && e->soft->vector == VEC_PF);
}

static bool
intel_push(const struct excuse *e)
{
	return (intel(e) && e->insn.op[0].type == ZYDIS_OPERAND_TYPE_REGISTER &&
	    ZydisRegisterGetClass(e->insn.op[0].reg.value) == ZYDIS_REGCLASS_SEGMENT);
}

/* Nothing is stored, as the value is none: no fault of the memory operand either. */
static bool
intel_unstored(const struct excuse *e)
{
	return (intel(e) && ended(e->c, e->native) && (e->native->fx.fsw & 0x80) != 0 && !ended(e->c, e->soft));
}

static bool
intel_repeat(const struct excuse *e)
{
	return (intel(e) && repeat_prefix(e));
}

static bool
intel_repeat_32(const struct excuse *e)
{
	return (intel_repeat(e) && e->c->mode == 64 && e->insn.z.address_width == 32 && (faults(e) || count_is_0(e)));
}

static bool
intel_rex_b(const struct excuse *e)
{
	return (intel(e) && e->insn.z.raw.rex.B != 0);
}

static const struct row rows[] = {
	/* Flags that the manual calls undefined */
	{ M(AND), NULL, .rflags = EFL_AF, .why = "SDM vol. 2A AND: AF is undefined" },
	{ M(OR), NULL, .rflags = EFL_AF, .why = "SDM vol. 2B OR: AF is undefined" },
	{ M(XOR), NULL, .rflags = EFL_AF, .why = "SDM vol. 2D XOR: AF is undefined" },
	{ M(TEST), NULL, .rflags = EFL_AF, .why = "SDM vol. 2B TEST: AF is undefined" },
	{ M(MUL), NULL, .rflags = OSZAPC & ~(EFL_OF | EFL_CF),
	    .why = "SDM vol. 2B MUL: SF, ZF, AF, PF are undefined" },
	{ M(IMUL), NULL, .rflags = OSZAPC & ~(EFL_OF | EFL_CF),
	    .why = "SDM vol. 2A IMUL: SF, ZF, AF, PF are undefined" },
	{ M(DIV), NULL, .rflags = OSZAPC, .why = "SDM vol. 2A DIV: all six flags are undefined" },
	{ M(IDIV), NULL, .rflags = OSZAPC, .why = "SDM vol. 2A IDIV: all six flags are undefined" },
	{ M(AAA), NULL, .rflags = EFL_OF | EFL_SF | EFL_ZF | EFL_PF,
	    .why = "SDM vol. 2A AAA: OF, SF, ZF, PF are undefined" },
	{ M(AAS), NULL, .rflags = EFL_OF | EFL_SF | EFL_ZF | EFL_PF,
	    .why = "SDM vol. 2A AAS: OF, SF, ZF, PF are undefined" },
	{ M(AAD), NULL, .rflags = EFL_OF | EFL_AF | EFL_CF,
	    .why = "SDM vol. 2A AAD: OF, AF, CF are undefined" },
	{ M(AAM), NULL, .rflags = EFL_OF | EFL_AF | EFL_CF,
	    .why = "SDM vol. 2A AAM: OF, AF, CF are undefined" },
	{ M(DAA), NULL, .rflags = EFL_OF, .why = "SDM vol. 2A DAA: OF is undefined" },
	{ M(DAS), NULL, .rflags = EFL_OF, .why = "SDM vol. 2A DAS: OF is undefined" },
	{ M(BSF), NULL, .rflags = OSZAPC & ~EFL_ZF,
	    .why = "SDM vol. 2A BSF: CF, OF, SF, AF, PF are undefined" },
	{ M(BSR), NULL, .rflags = OSZAPC & ~EFL_ZF,
	    .why = "SDM vol. 2A BSR: CF, OF, SF, AF, PF are undefined" },
	{ M(BSF), was_zero, .destination = true,
	    .why = "SDM vol. 2A BSF: if the source is 0, the destination is undefined" },
	{ M(BSR), was_zero, .destination = true,
	    .why = "SDM vol. 2A BSR: if the source is 0, the destination is undefined" },
	{ M(BT), NULL, .rflags = OSZAPC & ~(EFL_CF | EFL_ZF),
	    .why = "SDM vol. 2A BT: OF, SF, AF, PF are undefined" },
	{ M(BTC), NULL, .rflags = OSZAPC & ~(EFL_CF | EFL_ZF),
	    .why = "SDM vol. 2A BTC: OF, SF, AF, PF are undefined" },
	{ M(BTR), NULL, .rflags = OSZAPC & ~(EFL_CF | EFL_ZF),
	    .why = "SDM vol. 2A BTR: OF, SF, AF, PF are undefined" },
	{ M(BTS), NULL, .rflags = OSZAPC & ~(EFL_CF | EFL_ZF),
	    .why = "SDM vol. 2A BTS: OF, SF, AF, PF are undefined" },
	{ M(SHL), count_not_0, .rflags = EFL_AF,
	    .why = "SDM vol. 2B SAL/SAR/SHL/SHR: AF is undefined" },
	{ M(SHR), count_not_0, .rflags = EFL_AF,
	    .why = "SDM vol. 2B SAL/SAR/SHL/SHR: AF is undefined" },
	{ M(SAR), count_not_0, .rflags = EFL_AF,
	    .why = "SDM vol. 2B SAL/SAR/SHL/SHR: AF is undefined" },
	{ M(SHL), count_above_1, .rflags = EFL_OF,
	    .why = "SDM vol. 2B SAL/SAR/SHL/SHR: OF is defined for 1-bit shifts only" },
	{ M(SHR), count_above_1, .rflags = EFL_OF,
	    .why = "SDM vol. 2B SAL/SAR/SHL/SHR: OF is defined for 1-bit shifts only" },
	{ M(SAR), count_above_1, .rflags = EFL_OF,
	    .why = "SDM vol. 2B SAL/SAR/SHL/SHR: OF is defined for 1-bit shifts only" },
	{ M(SHL), count_as_size, .rflags = EFL_CF,
	    .why = "SDM vol. 2B SAL/SAR/SHL/SHR: CF is undefined for counts from the operand's "
	    "size on" },
	{ M(SHR), count_as_size, .rflags = EFL_CF,
	    .why = "SDM vol. 2B SAL/SAR/SHL/SHR: CF is undefined for counts from the operand's "
	    "size on" },
	{ M(ROL), count_not_1, .rflags = EFL_OF,
	    .why = "SDM vol. 2B RCL/RCR/ROL/ROR: OF is defined for 1-bit rotates only" },
	{ M(ROR), count_not_1, .rflags = EFL_OF,
	    .why = "SDM vol. 2B RCL/RCR/ROL/ROR: OF is defined for 1-bit rotates only" },
	{ M(RCL), count_not_1, .rflags = EFL_OF,
	    .why = "SDM vol. 2B RCL/RCR/ROL/ROR: OF is defined for 1-bit rotates only" },
	{ M(RCR), count_not_1, .rflags = EFL_OF,
	    .why = "SDM vol. 2B RCL/RCR/ROL/ROR: OF is defined for 1-bit rotates only" },
	{ M(SHLD), count_not_0, .rflags = EFL_AF, .why = "SDM vol. 2B SHLD: AF is undefined" },
	{ M(SHRD), count_not_0, .rflags = EFL_AF, .why = "SDM vol. 2B SHRD: AF is undefined" },
	{ M(SHLD), count_above_1, .rflags = EFL_OF,
	    .why = "SDM vol. 2B SHLD: OF is undefined above 1" },
	{ M(SHRD), count_above_1, .rflags = EFL_OF,
	    .why = "SDM vol. 2B SHRD: OF is undefined above 1" },
	{ M(SHLD), count_above_size, .rflags = OSZAPC, .destination = true,
	    .why = "SDM vol. 2B SHLD: destination and flags are undefined above the operand's "
	    "size" },
	{ M(SHRD), count_above_size, .rflags = OSZAPC, .destination = true,
	    .why = "SDM vol. 2B SHRD: destination and flags are undefined above the operand's "
	    "size" },

	/* Results that processors may choose */
	{ M(RCPPS), NULL, .approximate = true,
	    .why = "SDM vol. 2B RCPPS: approximated within 1.5 * 2^-12" },
	{ M(RCPSS), NULL, .approximate = true,
	    .why = "SDM vol. 2B RCPSS: approximated within 1.5 * 2^-12" },
	{ M(RSQRTPS), NULL, .approximate = true,
	    .why = "SDM vol. 2B RSQRTPS: approximated within 1.5 * 2^-12" },
	{ M(RSQRTSS), NULL, .approximate = true,
	    .why = "SDM vol. 2B RSQRTSS: approximated within 1.5 * 2^-12" },

/* Operands that are several accesses */
#define	WIDE \
	"SDM vol. 3 8.1.1: an operand above 8 bytes may be several accesses, of which " \
	"some are made when another faults"
	{ M(FXSAVE), NULL, .faults = FAULTS, .memory = true, .cr2 = true, .why = WIDE },
	{ M(FXSAVE64), NULL, .faults = FAULTS, .memory = true, .cr2 = true, .why = WIDE },
	{ M(FNSAVE), NULL, .faults = FAULTS, .memory = true, .cr2 = true, .why = WIDE },
	{ M(FNSTENV), NULL, .faults = FAULTS, .memory = true, .cr2 = true, .why = WIDE },
	{ M(FLDENV), NULL, .faults = FAULTS, .cr2 = true, .why = WIDE },
	{ M(FRSTOR), NULL, .faults = FAULTS, .cr2 = true, .why = WIDE },
	{ M(FXRSTOR), NULL, .faults = FAULTS, .cr2 = true, .fpu = true, .sse = true, .why = WIDE },
	{ M(FXRSTOR64), NULL, .faults = FAULTS, .cr2 = true, .fpu = true, .sse = true,
	    .why = WIDE },
	{ M(MASKMOVDQU), NULL, .faults = FAULTS, .memory = true, .cr2 = true, .why = WIDE },
	{ M(MASKMOVQ), NULL, .faults = FAULTS, .memory = true, .cr2 = true, .why = WIDE },

	/* Order of faults */
#define	ORDER "SDM vol. 3 table 6-2: the order of faults of one class is the implementation's"
	{ M(CALL), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(RET), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(JMP), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(IRET), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(IRETD), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(IRETQ), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(LDS), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(LES), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(LFS), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(LGS), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(LSS), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FXSAVE), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FXSAVE64), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FXRSTOR), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FXRSTOR64), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FNSAVE), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FNSTENV), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FLDENV), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FRSTOR), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FBLD), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FBSTP), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FLD), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FSTP), two_faults, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(POPA), NULL, .faults = FAULTS, .gprs = true,
	    .why = "SDM vol. 3 6.5: a fault leaves registers alone; AMD has popped those before "
	    "it" },
	{ M(POPAD), NULL, .faults = FAULTS, .gprs = true,
	    .why = "SDM vol. 3 6.5: a fault leaves registers alone; AMD has popped those before "
	    "it" },

	/* x87 */
#define	UNSET \
	"SDM vol. 2A FCOM, FCOMI, FTST, FUCOM: flags are not set by an unmasked invalid " \
	"operation; AMD sets them"
	{ M(FCOM), invalid_unmasked, .fsw = 0x4500, .why = UNSET },
	{ M(FCOMP), invalid_unmasked, .fsw = 0x4500, .why = UNSET },
	{ M(FCOMPP), invalid_unmasked, .fsw = 0x4500, .why = UNSET },
	{ M(FUCOM), invalid_unmasked, .fsw = 0x4500, .why = UNSET },
	{ M(FUCOMP), invalid_unmasked, .fsw = 0x4500, .why = UNSET },
	{ M(FUCOMPP), invalid_unmasked, .fsw = 0x4500, .why = UNSET },
	{ M(FICOM), invalid_unmasked, .fsw = 0x4500, .why = UNSET },
	{ M(FICOMP), invalid_unmasked, .fsw = 0x4500, .why = UNSET },
	{ M(FTST), invalid_unmasked, .fsw = 0x4500, .why = UNSET },
	{ M(FCOMI), invalid_unmasked, .rflags = EFL_ZF | EFL_PF | EFL_CF, .why = UNSET },
	{ M(FCOMI), NULL, .fsw = 0x200, .why = "SDM vol. 2A FCOMI: C1 is set to 0; AMD leaves it" },
	{ M(FCOMIP), invalid_unmasked, .rflags = EFL_ZF | EFL_PF | EFL_CF, .why = UNSET },
	{ M(FCOMIP), NULL, .fsw = 0x200,
	    .why = "SDM vol. 2A FCOMI: C1 is set to 0; AMD leaves it" },
	{ M(FUCOMI), invalid_unmasked, .rflags = EFL_ZF | EFL_PF | EFL_CF, .why = UNSET },
	{ M(FUCOMI), NULL, .fsw = 0x200,
	    .why = "SDM vol. 2A FCOMI: C1 is set to 0; AMD leaves it" },
	{ M(FUCOMIP), invalid_unmasked, .rflags = EFL_ZF | EFL_PF | EFL_CF, .why = UNSET },
	{ M(FUCOMIP), NULL, .fsw = 0x200,
	    .why = "SDM vol. 2A FCOMI: C1 is set to 0; AMD leaves it" },
	{ M(FIST), unmasked_store, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FISTP), unmasked_store, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FISTTP), unmasked_store, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FST), unmasked_store, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FSTP), unmasked_store, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(FBSTP), unmasked_store, .faults = FAULTS, .skip = true, .why = ORDER },

	/* MMX: when the x87 state becomes that of MMX */
	{ ZYDIS_MNEMONIC_MASKMOVDQU, ZYDIS_MNEMONIC_MASKMOVQ, soft_ends, .faults = FAULTS,
	    .skip = true, .why = "SDM vol. 2B MASKMOVQ: bytes not selected may fault or not" },
	{ ZYDIS_MNEMONIC_MASKMOVDQU, ZYDIS_MNEMONIC_MASKMOVQ, two_faults, .faults = FAULTS,
	    .skip = true, .why = ORDER },
	{ M(MASKMOVQ), NULL, .faults = FAULTS, .fpu = true,
	    .why = "SDM vol. 2B MASKMOVQ: the transition to MMX state comes with a fault or not" },
	{ M(CVTPD2PI), is_xm, .faults = FAULTS, .fpu = true,
	    .why = "SDM vol. 2A CVTPD2PI: the transition to MMX state comes with an exception or "
	    "not" },
	{ M(CVTPS2PI), is_xm, .faults = FAULTS, .fpu = true,
	    .why = "SDM vol. 2A CVTPS2PI: the transition to MMX state comes with an exception or "
	    "not" },
	{ M(CVTTPD2PI), is_xm, .faults = FAULTS, .fpu = true,
	    .why = "SDM vol. 2A CVTTPD2PI: the transition to MMX state comes with an exception or "
	    "not" },
	{ M(CVTTPS2PI), is_xm, .faults = FAULTS, .fpu = true,
	    .why = "SDM vol. 2A CVTTPS2PI: the transition to MMX state comes with an exception or "
	    "not" },
	{ M(CVTPI2PS), is_xm, .faults = FAULTS, .fpu = true,
	    .why = "SDM vol. 2A CVTPI2PS: the transition to MMX state comes with an exception or "
	    "not" },
	{ M(CVTPI2PS), mf_by_memory, .faults = EITHER, .skip = true,
	    .why = "SDM vol. 2A CVTPI2PS: a transition to MMX state; AMD makes none for memory "
	    "operands" },
	{ M(CVTPI2PS), from_memory, .fpu = true,
	    .why = "SDM vol. 2A CVTPI2PS: a transition to MMX state; AMD makes none for memory "
	    "operands" },

	/* Alignment checks */
	{ ALL, both_ac_and_pf, .faults = FAULTS, .skip = true,
	    .why = "SDM vol. 3 table 6-2: a page fault comes before the alignment check; "
		   "APM vol. 2 table 8-9 has them in one class" },
#define	MAY_AC \
	"SDM vol. 2B MOVUPS: an alignment check exception may or may not be generated, " \
	"depending on the processor"
	{ M(MOVUPS), ac_either, .faults = FAULTS, .skip = true, .why = MAY_AC },
	{ M(MOVUPD), ac_either, .faults = FAULTS, .skip = true, .why = MAY_AC },
	{ M(MOVDQU), ac_either, .faults = FAULTS, .skip = true, .why = MAY_AC },
	{ M(LDDQU), ac_either, .faults = FAULTS, .skip = true, .why = MAY_AC },
	{ M(MASKMOVDQU), ac_either, .faults = FAULTS, .skip = true, .why = MAY_AC },
	{ M(MASKMOVQ), ac_either, .faults = FAULTS, .skip = true, .why = MAY_AC },
#define	FX_AC \
	"SDM vol. 2A FXSAVE, FXRSTOR: signalling of #AC may vary with implementation; #GP " \
	"is signalled in its place"
	{ M(FXSAVE), ac_either, .faults = FAULTS, .skip = true, .why = FX_AC },
	{ M(FXSAVE64), ac_either, .faults = FAULTS, .skip = true, .why = FX_AC },
	{ M(FXRSTOR), ac_either, .faults = FAULTS, .skip = true, .why = FX_AC },
	{ M(FXRSTOR64), ac_either, .faults = FAULTS, .skip = true, .why = FX_AC },
	{ ZYDIS_MNEMONIC_PCMPESTRI, ZYDIS_MNEMONIC_PCMPESTRM, ac_either, .faults = FAULTS,
	    .skip = true, .why = MAY_AC },
	{ ZYDIS_MNEMONIC_PCMPISTRI, ZYDIS_MNEMONIC_PCMPISTRM, ac_either, .faults = FAULTS,
	    .skip = true, .why = MAY_AC },

	/* Where AMD and Intel differ */
	{ M(NOP), prefetch_register, .faults = FAULTS, .skip = true,
	    .why = "SDM vol. 2D table A-3: 0F 0D with a register is NOP; APM vol. 3 PREFETCH: it "
	    "is undefined" },
	{ ALL, odd_offset, .faults = FAULTS, .skip = true,
	    .why = "SDM vol. 3 3.3.7.1: the linear address has to be canonical; to AMD the offset "
	    "in FS or GS as well" },
	{ ALL, across_end, .faults = EITHER, .skip = true,
	    .why = "SDM vol. 3 5.3: whether accesses across a limit of FFFFFFFFH fault is the "
	    "implementation's" },
	{ ZYDIS_MNEMONIC_LOOPE, ZYDIS_MNEMONIC_LOOPNE, repeat_prefix, .faults = EITHER,
	    .skip = true,
	    .why = "SDM vol. 2A 2.1.1: repeat prefixes of other instructions are reserved; to AMD "
	    "F2 and F3 say which "
		"of LOOPE and LOOPNE it is" },
	{ M(MOV), debug_4_5, .faults = FAULTS, .skip = true,
	    .why = "SDM vol. 2B MOV DR: #UD for DR4 and DR5 with CR4.DE; AMD looks at the "
	    "privilege before" },
	{ M(ARPL), soft_gp, .faults = EITHER, .skip = true,
	    .why = "SDM vol. 2A ARPL: #GP for a segment that is not writable; AMD only if it "
	    "writes" },
	{ M(MOVSXD), size_16, .faults = FAULTS, .skip = true,
	    .why = "SDM vol. 2B MOVSXD: 16 bits are read with a 16-bit operand; AMD reads 32" },
	{ ZYDIS_MNEMONIC_INSB, ZYDIS_MNEMONIC_INSW, count_is_0, .faults = FAULTS, .skip = true,
	    .why = "SDM vol. 2B REP: nothing is done for a count of 0; AMD checks the permission" },
	{ ZYDIS_MNEMONIC_OUTSB, ZYDIS_MNEMONIC_OUTSW, count_is_0, .faults = FAULTS, .skip = true,
	    .why = "SDM vol. 2B REP: nothing is done for a count of 0; AMD checks the permission" },
	{ ZYDIS_MNEMONIC_UD0, ZYDIS_MNEMONIC_UD1, cut_off, .faults = FAULTS, .skip = true,
	    .why = "SDM vol. 2B UD: processors differ in whether they fetch a ModRM byte" },
#define	NULL_BASE \
	"APM vol. 2 4.5.3: AMD keeps the base when a null selector is loaded into FS or GS, " \
	"Intel clears it (SDM vol. 3 5.4.1.1)"
	{ M(LFS), null_loaded, .bases = true, .why = NULL_BASE },
	{ M(LGS), null_loaded, .bases = true, .why = NULL_BASE },
	{ M(MOV), null_loaded, .bases = true, .why = NULL_BASE },
	{ M(POP), null_loaded, .bases = true, .why = NULL_BASE },
	{ ALL, NULL, .faults = EITHER, .pointers = true,
	    .why = "APM vol. 2 11.4.4: AMD keeps FIP, FDP, FOP over FXRSTOR only while ES is set" },
	{ M(FXSAVE), NULL, .fxsave = true,
	    .why = "APM vol. 2 11.4.4: FIP, FDP, FOP are stored only while ES is set; SDM vol. 1 "
	    "11.6.6: "
		"MXCSR_MASK is the processor's" },
	{ M(FXSAVE64), NULL, .fxsave = true,
	    .why = "APM vol. 2 11.4.4: FIP, FDP, FOP are stored only while ES is set; SDM vol. 1 "
	    "11.6.6: "
		"MXCSR_MASK is the processor's" },
	/* Where Intel's are alone, or the manual leaves it open and they do otherwise than AMD's */
	{ ALL, intel_order, .faults = FAULTS, .skip = true, .why = ORDER },
#define	SELECTOR "SDM vol. 2B POP, RET: of a selector in memory 16 bits are accessed, or all of the operand"
	{ M(CALL), intel_selector, .faults = EITHER, .skip = true, .why = SELECTOR },
	{ M(IRET), intel_selector, .faults = EITHER, .skip = true, .why = SELECTOR },
	{ M(IRETD), intel_selector, .faults = EITHER, .skip = true, .why = SELECTOR },
	{ M(IRETQ), intel_selector, .faults = EITHER, .skip = true, .why = SELECTOR },
	{ M(POP), intel_selector, .faults = EITHER, .skip = true, .why = SELECTOR },
	{ M(PUSH), intel_selector, .faults = EITHER, .skip = true, .why = SELECTOR },
	{ M(RET), intel_selector, .faults = EITHER, .skip = true, .why = SELECTOR },
	{ M(BOUND), intel_bound, .faults = FAULTS, .skip = true, .why = ORDER },
	{ M(PUSH), intel_push, .memory = true,
	    .why = "SDM vol. 2B PUSH: of a segment register with a 32-bit operand 16 bits are written, or all 32" },
#define	PARTS "SDM vol. 3 8.1.1: what an instruction that faults has stored before"
	{ M(CALL), intel, .faults = FAULTS, .memory = true, .why = PARTS },
	{ M(ENTER), intel, .faults = FAULTS, .memory = true, .why = PARTS },
	{ M(FBSTP), intel, .faults = FAULTS, .memory = true, .why = PARTS },
	{ M(FSTP), intel, .faults = FAULTS, .memory = true, .why = PARTS },
	{ ZYDIS_MNEMONIC_FPREM, ZYDIS_MNEMONIC_FPREM1, intel_tiny, .faults = EITHER, .fpu = true,
	    .why = "SDM vol. 2A FPREM: a partial remainder is exact; whether a tiny one underflows" },
#define	TO_MMX "SDM vol. 3 12.2: the transition to MMX state comes with a fault or not"
	{ M(MOVD), intel, .faults = FAULTS, .fpu = true, .why = TO_MMX },
	{ M(MOVQ), intel, .faults = FAULTS, .fpu = true, .why = TO_MMX },
	{ M(MOVNTQ), intel, .faults = FAULTS, .fpu = true, .why = TO_MMX },
	{ M(FIST), intel_unstored, .faults = EITHER, .skip = true, .why = ORDER },
	{ M(FISTP), intel_unstored, .faults = EITHER, .skip = true, .why = ORDER },
	{ M(FISTTP), intel_unstored, .faults = EITHER, .skip = true, .why = ORDER },
	{ M(FST), intel_unstored, .faults = EITHER, .skip = true, .why = ORDER },
	{ M(FSTP), intel_unstored, .faults = EITHER, .skip = true, .why = ORDER },
	{ M(FBSTP), intel_unstored, .faults = EITHER, .skip = true, .why = ORDER },
	{ ALL, intel_repeat_32, .faults = EITHER, .gprs = true,
	    .why = "SDM vol. 1 3.4.1.1: the upper halves of 32-bit counts and indices where nothing was done, or before a fault" },
	{ ZYDIS_MNEMONIC_CMPSB, ZYDIS_MNEMONIC_CMPSW, intel_repeat, .faults = FAULTS, .rflags = OSZAPC,
	    .why = "SDM vol. 2B REP: flags of the iterations before a fault" },
	{ ZYDIS_MNEMONIC_SCASB, ZYDIS_MNEMONIC_SCASW, intel_repeat, .faults = FAULTS, .rflags = OSZAPC,
	    .why = "SDM vol. 2B REP: flags of the iterations before a fault" },
	{ M(PAUSE), intel_rex_b, .faults = EITHER, .skip = true, .why = "SDM vol. 2B PAUSE, XCHG: F3 90 with REX.B is either" },
	{ M(FNSAVE), NULL, .fenv = true, .why = "SDM vol. 1 8.1.8: instruction and data pointers" },
	{ M(FNSTENV), NULL, .fenv = true,
	    .why = "SDM vol. 1 8.1.8: instruction and data pointers" },
};

#define	NROWS	(sizeof(rows) / sizeof(rows[0]))

static uint64_t used[NROWS];	/* cases that each row was about */

static unsigned
in_windows(uint64_t addr)
{
	return ((unsigned)(addr >= DIFF_STACK ? addr - DIFF_STACK + 3 * DIFF_PAGE
					      : addr - DIFF_DATA));
}

void
exceptions_apply(const struct diff_case *c, const struct diff_result *native,
    const struct diff_result *soft, struct diff_mask *m)
{
	static ZydisDecoder decoder[2];
	static bool ready;
	struct excuse e = { .c = c, .native = native, .soft = soft };
	unsigned bytes;
	int reg;

	memset(m, 0, sizeof(*m));
	if (!ready) {
		ZydisDecoderInit(&decoder[0], ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
		    ZYDIS_STACK_WIDTH_32);
		ZydisDecoderInit(&decoder[1], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
		ready = true;
	}
	if (!forms_decode(&decoder[c->mode == 64], c->code, c->len, &e.insn))
		return;
	for (size_t i = 0; i < NROWS; i++) {
		const struct row *row = &rows[i];

		if (c->mnemonic < row->first || c->mnemonic > row->last)
			continue;
		/* Results are those of instructions that come to an end. */
		if (row->faults != EITHER && row->faults != (faults(&e) ? FAULTS : ENDS))
			continue;
		if (row->when != NULL && !row->when(&e))
			continue;
		used[i]++;
		m->rflags |= row->rflags;
		m->fsw |= row->fsw;
		m->memory |= row->memory;
		m->cr2 |= row->cr2;
		m->skip |= row->skip;
		m->bases |= row->bases;
		m->fpu |= row->fpu;
		m->pointers |= row->pointers;
		m->sse |= row->sse;
		if (row->gprs)
			m->gpr |= (uint16_t)~(1U << D_RSP);
		m->approximate |= row->approximate;
		m->fxsave |= row->fxsave;
		if (row->fenv)
			m->fenv = e.insn.z.operand_width == 16 ? 2 : 4;
		if (row->fenv || row->fxsave)
			m->image = in_windows(gen_ea(&e.insn, c, &e.insn.op[0]));
		if (row->destination) {
			if (e.insn.op[0].type == ZYDIS_OPERAND_TYPE_MEMORY)
				m->memory = true;
			else if ((reg = gen_gpr(e.insn.op[0].reg.value, &bytes)) >= 0)
				m->gpr |= (uint16_t)(1U << reg);
		}
		m->why = row->why;
	}
}

void
exceptions_print(void)
{
	for (size_t i = 0; i < NROWS; i++)
		printf("%-12s %8llu %s\n", rows[i].first == 0 ? "(all)" :
		    ZydisMnemonicGetString((ZydisMnemonic)rows[i].first),
		    (unsigned long long)used[i], rows[i].why);
}
