/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_tables.c - sections 2.4, 3.5, 5.10: descriptor-table registers, descriptors at the end
 * of their table, LAR, LSL, VERR, VERW, ARPL.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

/* 2.4, vol. 2: GDTR, IDTR, LDTR, TR. */
TEST(descriptor_table_registers)
{
	struct mach m;

	/*
	 * Operand size of 16 bits: 24 bits of base are loaded. (What a store of that size gives
	 * differs between editions.)
	 */
	m_open(&m);
	m_mode(&m, PM32, 0);
	m_bytes(&m, DATA, "\x34\x12\x78\x56\x34\x12", 6);
	m_fill(&m, DATA + 0x10, 0xcc, 32);
	ASM(&m, 32, ".byte 0x66; lidt 0x40000;" PROBE "; lidt 0x40000;" PROBE "; sidt 0x40010");
	m_probe(&m);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_IDTR), 0x345678);
	CHECK_EQ(m_seg_limit(&m, VM_AMD64_REG_IDTR), 0x1234);
	m_probe(&m);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_IDTR), 0x12345678);
	m_end(&m);
	CHECK_EQ(m_peek(&m, DATA + 0x10, 8), 0xcccc123456781234);
	/* 64-bit: ten bytes, canonical. */
	m_mode(&m, LM64, 0);
	m_poke(&m, DATA, 0x0fff, 2);
	m_poke(&m, DATA + 2, 0xffff800012345678, 8);
	m_fill(&m, DATA + 0x10, 0xcc, 16);
	ASM(&m, 64, "sidt 0x40020; lidt 0x40000; sidt 0x40010; .byte 0x66; lidt 0x40020");
	m_end(&m);
	CHECK_EQ(m_peek(&m, DATA + 0x10, 8), 0x8000123456780fff);
	CHECK_EQ(m_peek(&m, DATA + 0x18, 8), 0xccccccccccccffff);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_IDTR), IDT);
	for (int gdt = 0; gdt < 2; gdt++) {
		m_mode(&m, LM64, 0);
		m_poke(&m, DATA, 0x0fff, 2);
		m_poke(&m, DATA + 2, 0x0000800000000000, 8);
		if (gdt)
			ASM(&m, 64, "lgdt 0x40000");
		else
			ASM(&m, 64, "lidt 0x40000");
		m_expect(&m, GP, 0);
		CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_GDTR), GDT);
	}
	m_mode(&m, PM32, 0);
	/* LIDT of a register form: VMRUN of another vendor */
	m_bytes(&m, CODE, "\x0f\x01\xd8", 3);
	m_expect(&m, UD, NOERR);

	/* LLDT: null makes it unusable; kinds and errors. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "xor %eax, %eax; lldt %ax; mov $4, %eax; mov %eax, %ds");
	m_expect(&m, GP, 4);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x10, %eax; lldt %ax");
	m_expect(&m, GP, S_DATA);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x5c, %eax; lldt %ax");
	m_expect(&m, GP, 0x5c);				/* TI set */
	m_mode(&m, PM32, 0);
	m_gdt(&m, S_LDT, m_segdesc(LDT, 0xfff, 0x02, 0));
	ASM(&m, 32, "mov $0x58, %eax; lldt %ax");
	m_expect(&m, NP, S_LDT);
	m_mode(&m, PM32, 0);
	m_gdt(&m, S_LDT, m_segdesc(LDT + 0x100, 0x17, 0x82, 0));
	m_poke(&m, LDT + 0x110, m_segdesc(DATA, 0xff, 0x93, 4), 8);
	ASM(&m, 32, "mov $0x58, %eax; lldt %ax; sldt %bx; mov $0x14, %eax; mov %eax, %fs;"
	    "mov $0x1c, %eax; mov %eax, %gs");
	m_expect(&m, GP, 0x1c);				/* behind the LDT's limit */
	CHECK_EQ(GET(&m, RBX), S_LDT);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_FS), DATA);
	/* LTR: marks it busy, refuses a busy one. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0xc8, %eax; ltr %ax; str %ebx;" PROBE "; ltr %ax");
	m_probe(&m);
	CHECK_EQ(m_peek(&m, GDT + S_TSS2 + 5, 1), 0x8b);
	CHECK_EQ(GET(&m, RBX), S_TSS2);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_TR), TSS2);
	CHECK_EQ(m_seg_access(&m, VM_AMD64_REG_TR), 0x8b);
	m_expect(&m, GP, S_TSS2);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "xor %eax, %eax; ltr %ax");
	m_expect(&m, GP, 0);
	m_mode(&m, PM32, 0);
	m_gdt(&m, S_TSS2, m_segdesc(TSS2, 0x67, 0x09, 0));
	ASM(&m, 32, "mov $0xc8, %eax; ltr %ax");
	m_expect(&m, NP, S_TSS2);
	CHECK_EQ(m_peek(&m, GDT + S_TSS2 + 5, 1), 0x09);
	/* Long mode: 16-byte descriptors; no 16-bit TSS; a non-canonical base is #GP. */
	m_mode(&m, LM64, 0);
	m_gdt(&m, S_FREE, m_segdesc(0x12345678, 0x67, 0x89, 0));
	m_gdt(&m, S_FREE + 8, 0xffff8000);
	ASM(&m, 64, "mov $0x100, %eax; ltr %ax");
	m_end(&m);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_TR), 0xffff800012345678);
	m_mode(&m, LM64, 0);
	m_gdt(&m, S_FREE, m_segdesc(0x12345678, 0x67, 0x89, 0));
	m_gdt(&m, S_FREE + 8, 0x8000);
	ASM(&m, 64, "mov $0x100, %eax; ltr %ax");
	m_expect(&m, GP, ANYERR);
	m_mode(&m, LM64, 0);
	m_gdt(&m, S_FREE, m_segdesc(TSS2, 0x2b, 0x81, 0));
	m_gdt(&m, S_FREE + 8, 0);
	ASM(&m, 64, "mov $0x100, %eax; ltr %ax");
	m_expect(&m, GP, S_FREE);
	m_mode(&m, LM64, 0);
	m_gdt(&m, S_FREE, m_segdesc(LDT, 0x67, 0x82, 0));
	m_gdt(&m, S_FREE + 8, 0x8000);
	ASM(&m, 64, "mov $0x100, %eax; lldt %ax");
	m_expect(&m, GP, ANYERR);
	/* Bits 12:8 of the upper half are zero, as a type (3.5.2). */
	m_mode(&m, LM64, 0);
	m_gdt(&m, S_FREE, m_segdesc(TSS2, 0x67, 0x89, 0));
	m_gdt(&m, S_FREE + 8, 0x1f0000000000);
	ASM(&m, 64, "mov $0x100, %eax; ltr %ax");
	m_expect(&m, GP, S_FREE);
	m_close(&m);
}

/*
 * 3.5.1: a descriptor counts only if all of it is inside the table's limit; in long mode 16 bytes
 * of a system one.
 */
TEST(descriptors_at_the_limit)
{
	struct mach m;

	m_open(&m);
	for (unsigned limit = S_FREE + 6; limit <= S_FREE + 7; limit++) {
		m_mode(&m, PM32, 0);
		m_gdt(&m, S_FREE, m_segdesc(0, 0xfffff, 0x93, 0xc));
		m_desc(&m, VM_AMD64_REG_GDTR, 0, GDT, limit, 0);
		ASM(&m, 32, "mov $0x100, %eax; mov %eax, %es");
		if (limit == S_FREE + 6)
			m_expect(&m, GP, S_FREE);
		else
			m_end(&m);
	}
	for (unsigned limit = S_FREE + 14; limit <= S_FREE + 15; limit++) {
		m_mode(&m, LM64, 0);
		m_gdt(&m, S_FREE, m_segdesc(TSS2, 0x67, 0x89, 0));
		m_gdt(&m, S_FREE + 8, 0);
		m_desc(&m, VM_AMD64_REG_GDTR, 0, GDT, limit, 0);
		ASM(&m, 64, "mov $0x100, %eax; ltr %ax");
		if (limit == S_FREE + 14)
			m_expect(&m, GP, S_FREE);
		else
			m_end(&m);
	}
	/* Selectors of the first entry with TI are not null. */
	m_mode(&m, PM32, 0);
	m_poke(&m, LDT, m_segdesc(DATA, 0xfff, 0x93, 4), 8);
	ASM(&m, 32, "mov $4, %eax; mov %eax, %es");
	m_end(&m);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_ES), DATA);
	/*
	 * A page fault while a descriptor is read: an access of level 0; the register is as
	 * before.
	 */
	m_mode(&m, PG32, 3);
	m_desc(&m, VM_AMD64_REG_LDTR, S_LDT, 0x60ffc, 0xfff, 0x82);
	m_pte(&m, 0x61000, 0);
	m_poke(&m, 0x60ffc, 0x0000ffff, 4);
	ASM(&m, 32, "mov $7, %eax; mov %eax, %es");
	m_expect(&m, PF, 0);
	CHECK_EQ(GET(&m, CR2), 0x61000);
	CHECK_EQ(GET(&m, ES), U_DATA);
	m_close(&m);
}

/* 5.10, vol. 2: LAR, LSL, VERR, VERW, ARPL. */
TEST(descriptor_questions)
{
	static const struct {
		const char *what;
		uint16_t sel;
		bool lar, lsl, verr, verw;	/* at level 0 */
		bool lar3, verr3, verw3;	/* at level 3 */
		uint32_t rights, limit;
	} t[] = {
		{ "null", 0, false, false, false, false, false, false, false, 0, 0 },
		{ "data", S_DATA, true, true, true, true, false, false, false, 0xc09300,
		    0xffffffff },
		{ "user data", U_DATA, true, true, true, true, true, true, true, 0xc0f300,
		    0xffffffff },
		{ "read-only data", S_RODATA, true, true, true, false, false, false, false,
		    0xc09100, 0xffffffff },
		{ "code", S_CODE32, true, true, true, false, false, false, false, 0xc09b00,
		    0xffffffff },
		{ "execute-only code", S_XOCODE, true, true, false, false, false, false, false,
		    0xc09900, 0xffffffff },
		{ "conforming code", S_CONF, true, true, true, false, true, true, false, 0xc09f00,
		    0xffffffff },
		{ "not present data", S_NPDATA, true, true, true, true, false, false, false,
		    0xc01300, 0xffffffff },
		{ "busy TSS", S_TSS, true, true, false, false, false, false, false, 0x008b00,
		    TSS_LIMIT },
		{ "LDT", S_LDT, true, true, false, false, false, false, false, 0x008200, 0xfff },
		{ "empty", S_FREE, false, false, false, false, false, false, false, 0, 0 },
		{ "beyond the limit", 0x200, false, false, false, false, false, false, false, 0,
		    0 },
		/* Call gates have rights, no limit; interrupt gates nothing. */
		{ "call gate", S_GATE, true, false, false, false, false, false, false, 0x008c00,
		    0 },
		{ "interrupt gate", S_GATE + 8, false, false, false, false, false, false, false, 0,
		    0 },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
			uint64_t zf;

			m_open(&m);
			m.what = t[i].what;
			m_mode(&m, PG32, cpl);
			m_callgate(&m, S_GATE, 12, 0, S_CODE32, STUBS, 0);
			m_gdt(&m, S_GATE + 8, 0x00008e0000180000);
			SET(&m, RAX, t[i].sel);
			SET(&m, RBX, 0x5a5a5a5a);
			SET(&m, RDX, 0x5a5a5a5a);
			ASM(&m, 32,
			    "xor %ecx, %ecx; xor %esi, %esi; lar %eax, %ebx; setz %cl;"
			    "lsl %eax, %edx; setz %ch; verr %ax;"
			    "pushf; pop %esi; verw %ax; pushf; pop %edi");
			m_end(&m);
			zf = GET(&m, RCX);
			CHECK_EQ(zf & 1, cpl == 0 ? t[i].lar : t[i].lar3);
			CHECK_EQ(zf >> 8 & 1, cpl == 0 ? t[i].lsl : t[i].lar3);
			CHECK_EQ((GET(&m, RSI) & FL_ZF) != 0, cpl == 0 ? t[i].verr : t[i].verr3);
			CHECK_EQ((GET(&m, RDI) & FL_ZF) != 0, cpl == 0 ? t[i].verw : t[i].verw3);
			/* The destination is left alone where ZF is clear. */
			/* bits 19:16 are undefined */
			CHECK_EQ(GET(&m, RBX) & ((zf & 1) != 0 ? ~0xf0000ULL : ~0ULL),
			    (zf & 1) != 0 ? t[i].rights : 0x5a5a5a5a);
			CHECK_EQ(GET(&m, RDX), (zf >> 8 & 1) != 0 ? t[i].limit : 0x5a5a5a5a);
			m_close(&m);
		}
	}
	/* A 16-bit operand gets 16 bits of it. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x10, %eax; mov $-1, %ebx; lar %ax, %bx; mov $-1, %ecx; lsl %ax, %cx");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0xffff9300);
	CHECK_EQ(GET(&m, RCX), 0xffffffff);
	/* In real mode they are undefined instructions; ARPL in 64-bit mode is MOVSXD. */
	m_mode(&m, REAL, 0);
	ASM(&m, 16, "lar %ax, %bx");
	m_expect(&m, UD, NOERR);
	m_mode(&m, REAL, 0);
	ASM(&m, 16, "verr %ax");
	m_expect(&m, UD, NOERR);
	m_mode(&m, REAL, 0);
	ASM(&m, 16, "arpl %ax, %bx");
	m_expect(&m, UD, NOERR);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x10, %eax; mov $0x2, %ebx; arpl %bx, %ax; setz %cl; mov $0x13, %edx;"
	    "arpl %bx, %dx; setz %ch");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0x12);
	CHECK_EQ(GET(&m, RDX), 0x13);
	CHECK_EQ(GET(&m, RCX) & 0xffff, 1);
	m_close(&m);
}

TEST_MAIN()
