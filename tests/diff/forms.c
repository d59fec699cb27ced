/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * forms.c - the instructions that are compared, and the encodings that each has.
 *
 * The encodings are found by asking Zydis about every opcode, so that each mnemonic can be tried as
 * often as any other, however few encodings it has.
 */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>

#include "diff.h"
#include "forms.h"

/* Instruction sets of the guest's processor, x86-64-v2 and its extras. */
static const uint8_t isa_sets[] = {
	ZYDIS_ISA_SET_CLFSH,
	ZYDIS_ISA_SET_CMOV,
	ZYDIS_ISA_SET_CMPXCHG16B,
	ZYDIS_ISA_SET_FAT_NOP,
	ZYDIS_ISA_SET_FCMOV,
	ZYDIS_ISA_SET_FXSAVE,
	ZYDIS_ISA_SET_FXSAVE64,
	ZYDIS_ISA_SET_I186,
	ZYDIS_ISA_SET_I286PROTECTED,
	ZYDIS_ISA_SET_I286REAL,
	ZYDIS_ISA_SET_I386,
	ZYDIS_ISA_SET_I486,
	ZYDIS_ISA_SET_I486REAL,
	ZYDIS_ISA_SET_I86,
	ZYDIS_ISA_SET_LAHF,
	ZYDIS_ISA_SET_LONGMODE,
	ZYDIS_ISA_SET_PAUSE,
	ZYDIS_ISA_SET_PENTIUMMMX,
	ZYDIS_ISA_SET_PENTIUMREAL,
	ZYDIS_ISA_SET_PPRO,
	ZYDIS_ISA_SET_PREFETCH_NOP,
	ZYDIS_ISA_SET_SSE,
	ZYDIS_ISA_SET_SSE2,
	ZYDIS_ISA_SET_SSE2MMX,
	ZYDIS_ISA_SET_SSE3,
	ZYDIS_ISA_SET_SSE3X87,
	ZYDIS_ISA_SET_SSEMXCSR,
	ZYDIS_ISA_SET_SSE_PREFETCH,
	ZYDIS_ISA_SET_X87,
};

/* And those that a host may lack, by CPUID leaf 1. */
static const struct {
	uint8_t		isa_set;
	uint32_t	ecx;
} host_sets[] = {
	{ ZYDIS_ISA_SET_SSSE3, 1U << 9 }, { ZYDIS_ISA_SET_SSSE3MMX, 1U << 9 },
	{ ZYDIS_ISA_SET_SSE4, 1U << 19 }, { ZYDIS_ISA_SET_SSE42, 1U << 20 },
	{ ZYDIS_ISA_SET_POPCNT, 1U << 23 }, { ZYDIS_ISA_SET_MOVBE, 1U << 22 },
	{ ZYDIS_ISA_SET_AES, 1U << 25 }, { ZYDIS_ISA_SET_PCLMULQDQ, 1U << 1 },
};

/*
 * Left out.  What tells about the machine or the time, or enters the kernel; SGDT and the others
 * that Linux emulates for users under UMIP; INT1, whose trap is not the subject here.
 */
static const uint16_t left_out[] = {
	ZYDIS_MNEMONIC_CPUID, ZYDIS_MNEMONIC_RDTSC, ZYDIS_MNEMONIC_RDPMC, ZYDIS_MNEMONIC_SYSCALL,
	ZYDIS_MNEMONIC_SYSENTER, ZYDIS_MNEMONIC_SYSRET, ZYDIS_MNEMONIC_SYSEXIT, ZYDIS_MNEMONIC_INT1,
	ZYDIS_MNEMONIC_SGDT, ZYDIS_MNEMONIC_SIDT, ZYDIS_MNEMONIC_SLDT, ZYDIS_MNEMONIC_STR,
	ZYDIS_MNEMONIC_SMSW, ZYDIS_MNEMONIC_RSM,
};

static bool
in_sets(uint8_t set)
{
	static uint32_t ecx;
	uint32_t eax, ebx, edx;

	for (size_t i = 0; i < sizeof(isa_sets); i++)
		if (isa_sets[i] == set)
			return (true);
	if (set == ZYDIS_ISA_SET_RDWRFSGS)
		return (diff_fsgsbase());
	if (ecx == 0)
		__cpuid(1, eax, ebx, ecx, edx);
	for (size_t i = 0; i < sizeof(host_sets) / sizeof(host_sets[0]); i++)
		if (host_sets[i].isa_set == set)
			return ((host_sets[i].ecx & ecx) == host_sets[i].ecx);
	return (false);
}

bool
forms_allowed(const ZydisDecodedInstruction *z)
{
	bool branch = z->meta.branch_type != ZYDIS_BRANCH_TYPE_NONE;

	if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY || !in_sets((uint8_t)z->meta.isa_set))
		return (false);
	for (size_t i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (left_out[i] == z->mnemonic)
			return (false);
	switch (z->mnemonic) {
	case ZYDIS_MNEMONIC_INT:
		/*
		 * The host's system call; and all of them where a monitor without the processor's help runs the kernel, which one
		 * knows by its descriptors: INT n is the monitor's there, and so is its error code.
		 */
		return (diff_cs32() && z->raw.imm[0].value.u != 0x80);
	case ZYDIS_MNEMONIC_BSF:	/* TZCNT and LZCNT where the host has them */
	case ZYDIS_MNEMONIC_BSR:
		for (unsigned i = 0; i < z->raw.prefix_count; i++)
			if (z->raw.prefixes[i].value == 0xf3)
				return (false);
		return (true);
	case ZYDIS_MNEMONIC_LSS:	/* 64-bit far pointers are Intel's only (APM vol. 3 LSS) */
	case ZYDIS_MNEMONIC_LFS:
	case ZYDIS_MNEMONIC_LGS:
		return ((z->attributes & ZYDIS_ATTRIB_HAS_REX) == 0 || !z->raw.rex.W);
	case ZYDIS_MNEMONIC_JMP:
	case ZYDIS_MNEMONIC_CALL:
		if (z->meta.branch_type == ZYDIS_BRANCH_TYPE_FAR)	/* likewise */
			return ((z->attributes & ZYDIS_ATTRIB_HAS_REX) == 0 || !z->raw.rex.W);
		break;
	case ZYDIS_MNEMONIC_MOV:	/* LOCK MOV CR0 is CR8 to AMD (APM vol. 3 MOV CRn) */
		if (z->opcode_map == ZYDIS_OPCODE_MAP_0F && (z->opcode & 0xfc) == 0x20)
			return ((z->attributes & ZYDIS_ATTRIB_HAS_LOCK) == 0);
		break;
	default:
		break;
	}
	/* Intel ignores an operand size prefix of near branches in 64-bit mode, AMD does not
	   (SDM vol. 2A JMP, APM vol. 3 1.2.4). */
	if (branch && z->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 &&
	    z->meta.branch_type != ZYDIS_BRANCH_TYPE_FAR)
		for (unsigned i = 0; i < z->raw.prefix_count; i++)
			if (z->raw.prefixes[i].value == 0x66)
				return (false);
	return (true);
}

bool
forms_decode(const ZydisDecoder *d, const uint8_t *code, unsigned len, struct diff_insn *insn)
{
	const ZydisDecodedInstruction *z = &insn->z;

	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(d, code, len, &insn->z, insn->op)))
		return (false);
	/* Zydis 4.0 has a base of R13D here, with a 32-bit address and REX.B: there is none (SDM
	 * vol. 2A table 2-3). */
	for (unsigned i = 0; i < z->operand_count; i++) {
		ZydisDecodedOperand *op = &insn->op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY &&
		    op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM &&
		    op->mem.base == ZYDIS_REGISTER_R13D && z->raw.modrm.mod == 0) {
			op->mem.base = ZYDIS_REGISTER_NONE;
			op->mem.disp.value = z->raw.disp.value;
		}
	}
	return (true);
}

/* Finding them */

struct search {
	struct forms	*f;
	unsigned	 room;
	struct form	 base;
};

/* Mnemonic of the opcode with this ModRM byte, 0 if it is none of ours. */
static uint16_t
ask(const struct search *s, unsigned modrm, bool *has_modrm)
{
	const struct form *b = &s->base;
	uint8_t code[ZYDIS_MAX_INSTRUCTION_LENGTH] = { 0 };
	ZydisDecodedInstruction z;
	unsigned n = 0;

	if (b->prefix != 0)
		code[n++] = b->prefix;
	if (b->rex_w)
		code[n++] = 0x48;
	if (b->map != 0)
		code[n++] = 0x0f;
	if (b->map > 1)
		code[n++] = b->map == 2 ? 0x38 : 0x3a;
	code[n++] = b->opcode;
	code[n] = (uint8_t)modrm;
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&s->f->decoder, NULL, code, sizeof(code),
		&z)))
		return (0);
	*has_modrm = (z.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
	if (!forms_allowed(&z) && z.mnemonic != ZYDIS_MNEMONIC_INT)
		return (0);
	/* A prefix that means nothing would only make the others rare. */
	if ((b->prefix == 0xf2 || b->prefix == 0xf3) && b->map == 0 &&
	    (z.attributes & (ZYDIS_ATTRIB_ACCEPTS_REP | ZYDIS_ATTRIB_ACCEPTS_REPE |
	    ZYDIS_ATTRIB_ACCEPTS_REPNE)) == 0 && z.mnemonic != ZYDIS_MNEMONIC_PAUSE)
		return (0);
	return (z.mnemonic);
}

static bool
add(struct search *s, uint16_t mnemonic, unsigned reg, unsigned rm)
{
	struct forms *f = s->f;

	if (mnemonic == 0)
		return (true);
	if (f->nform == s->room) {
		struct form *more = realloc(f->form, (s->room += 4096) * sizeof(*more));

		if (more == NULL)
			return (false);
		f->form = more;
	}
	f->form[f->nform] = s->base;
	f->form[f->nform].mnemonic = mnemonic;
	f->form[f->nform].reg = (uint8_t)reg;
	f->form[f->nform++].rm = (uint8_t)rm;
	return (true);
}

static bool
all_equal(const uint16_t *v, unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		if (v[i] != v[0])
			return (false);
	return (true);
}

/* The forms of one opcode: as few as tell its mnemonics apart. */
static bool
find(struct search *s)
{
	uint16_t mem[8], reg[8][8];
	bool has_modrm = true;
	unsigned i, j;

	for (i = 0; i < 8; i++) {
		mem[i] = ask(s, i << 3, &has_modrm);
		if (!has_modrm)
			return (add(s, mem[i], FORM_NONE, FORM_ANY));
		for (j = 0; j < 8; j++)
			reg[i][j] = ask(s, 0xc0 | i << 3 | j, &has_modrm);
	}
	if (all_equal(mem, 8)) {
		if (!add(s, mem[0], FORM_ANY, FORM_MEMORY))
			return (false);
	} else {
		for (i = 0; i < 8; i++)
			if (!add(s, mem[i], i, FORM_MEMORY))
				return (false);
	}
	if (all_equal(reg[0], 64))
		return (add(s, reg[0][0], FORM_ANY, FORM_ANY));
	for (i = 0; i < 8; i++) {
		if (all_equal(reg[i], 8)) {
			if (!add(s, reg[i][0], i, FORM_ANY))
				return (false);
			continue;
		}
		for (j = 0; j < 8; j++)
			if (!add(s, reg[i][j], i, j))
				return (false);
	}
	return (true);
}

static bool
is_prefix(unsigned mode, unsigned opcode)
{
	static const uint8_t prefixes[] = { 0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67,
		0xf0, 0xf2, 0xf3 };

	return (memchr(prefixes, (int)opcode, sizeof(prefixes)) != NULL ||
	    (mode == 64 && opcode >= 0x40 && opcode <= 0x4f));
}

static int
by_mnemonic(const void *a, const void *b)
{
	const struct form *fa = a, *fb = b;

	return ((int)fa->mnemonic - (int)fb->mnemonic);
}

static bool
group(struct forms *f)
{
	free(f->mnemonic);
	f->nmnemonic = 0;
	f->mnemonic = calloc(f->nform, sizeof(f->mnemonic[0]));
	if (f->mnemonic == NULL)
		return (false);
	for (unsigned i = 0; i < f->nform; i++) {
		if (i == 0 || f->form[i].mnemonic != f->form[i - 1].mnemonic) {
			f->mnemonic[f->nmnemonic].mnemonic = f->form[i].mnemonic;
			f->mnemonic[f->nmnemonic++].first = i;
		}
		f->mnemonic[f->nmnemonic - 1].count++;
	}
	return (f->nmnemonic != 0);
}

struct forms *
forms_new(unsigned mode)
{
	static const uint8_t prefixes[] = { 0, 0x66, 0xf2, 0xf3 };
	struct forms *f = calloc(1, sizeof(*f));
	struct search s = { .f = f };

	if (f == NULL)
		return (NULL);
	f->mode = mode;
	ZydisDecoderInit(&f->decoder,
	    mode == 64 ? ZYDIS_MACHINE_MODE_LONG_64 : ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
	    mode == 64 ? ZYDIS_STACK_WIDTH_64 : ZYDIS_STACK_WIDTH_32);
	for (unsigned n = 0; n < 4U * 4 * 2 * 256; n++) {
		memset(&s.base, 0, sizeof(s.base));
		s.base.opcode = (uint8_t)n;
		s.base.prefix = prefixes[(n >> 8) & 3];
		s.base.map = (n >> 10) & 3;
		s.base.rex_w = (n >> 12) & 1;
		if ((s.base.rex_w && mode != 64) ||
		    (s.base.map == 0 && is_prefix(mode, s.base.opcode)))
			continue;
		if (!find(&s)) {
			forms_free(f);
			return (NULL);
		}
	}
	if (f->nform != 0)
		qsort(f->form, f->nform, sizeof(f->form[0]), by_mnemonic);
	if (f->nform == 0 || !group(f)) {
		forms_free(f);
		return (NULL);
	}
	return (f);
}

bool
forms_only(struct forms *f, const char *name)
{
	unsigned kept = 0;
	const char *s;

	for (unsigned i = 0; i < f->nform; i++) {
		s = ZydisMnemonicGetString((ZydisMnemonic)f->form[i].mnemonic);
		if (name[0] == '=' ? strcmp(s, name + 1) == 0 : strstr(s, name) != NULL)
			f->form[kept++] = f->form[i];
	}
	f->nform = kept;
	return (kept != 0 && group(f));
}

bool
forms_has(const struct forms *f, ZydisMnemonic mnemonic)
{
	for (unsigned i = 0; i < f->nmnemonic; i++)
		if (f->mnemonic[i].mnemonic == mnemonic)
			return (true);
	return (false);
}

void
forms_free(struct forms *f)
{
	if (f == NULL)
		return;
	free(f->form);
	free(f->mnemonic);
	free(f);
}
