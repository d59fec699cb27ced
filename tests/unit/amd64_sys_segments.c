/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_segments.c - chapters 3 and 5: limits and types, loads of segment registers, their
 * hidden parts, stacks.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

/* 5.3: limits.  An access of size bytes at offset through FS or SS, allowed or not. */
TEST(limits)
{
	static const struct {
		const char *what;
		uint32_t limit, access;
		uint32_t off;
		unsigned size;
		bool fault;
	} t[] = {
		{ "last byte", 0xfff, 0x40f3, 0xfff, 1, false },
		{ "behind the last byte", 0xfff, 0x40f3, 0x1000, 1, true },
		{ "last dword", 0xfff, 0x40f3, 0xffc, 4, false },
		{ "dword over the end", 0xfff, 0x40f3, 0xffd, 4, true },
		{ "limit 0", 0, 0x40f3, 0, 1, false },
		{ "limit 0, word", 0, 0x40f3, 0, 2, true },
		{ "4 GiB: the top", 0xffffffff, 0xc0f3, 0xfffffffc, 4, false },
		/* 5.3.1: expand-down: from limit + 1 up to FFFFH or FFFFFFFFH, by B. */
		{ "expand-down inside the limit", 0xfff, 0x40f7, 0xfff, 1, true },
		{ "expand-down over the limit", 0xfff, 0x40f7, 0xfff, 4, true },
		{ "expand-down above the limit", 0xfff, 0x40f7, 0x1000, 4, false },
		{ "expand-down, B: above 64K", 0xfff, 0x40f7, 0x10000, 4, false },
		{ "expand-down without B: above 64K", 0xfff, 0x00f7, 0x10000, 1, true },
		{ "expand-down without B: over 64K", 0xfff, 0x00f7, 0xffff, 2, true },
		{ "expand-down without B: the last byte", 0xfff, 0x00f7, 0xffff, 1, false },
		{ "expand-down, all outside", 0xffffffff, 0xc0f7, 0xffffffff, 1, true },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned seg = 0; seg < 2; seg++) {
			m_open(&m);
			m.what = t[i].what;
			m_mode(&m, PG32, 3);
			/* The top of the address space is at hand, too. */
			m_poke(&m, PD32 + 4 * 1023, PG_ALL | PG_PS, 4);
			m_desc(&m, seg == 0 ? VM_AMD64_REG_FS : VM_AMD64_REG_SS, U_DATA, 0,
			    t[i].limit, t[i].access);
			SET(&m, RBP, t[i].off);
			SET(&m, RBX, t[i].off);
			if (seg == 0)
				m_bytes(&m, CODE, t[i].size == 1 ? "\x64\x8a\x03\x90" :
				    t[i].size == 2 ? "\x64\x66\x8b\x03" :
				    "\x64\x8b\x03\x90", 4);
			else
				m_bytes(&m, CODE, t[i].size == 1 ? "\x8a\x45\x00\x90" :
				    t[i].size == 2 ? "\x66\x8b\x45\x00" :
				    "\x8b\x45\x00\x90", 4);
			m_bytes(&m, CODE + 4, "\xe6\xf4", 2);
			if (t[i].fault)
				m_expect(&m, seg == 0 ? GP : SS, 0);
			else
				m_end(&m);
			m_close(&m);
		}
	}
}

TEST(code_limit)
{
	struct mach m;

	/* The target of a near transfer is checked by the transfer: #GP(0), RIP of the jump. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE32, 0, 0x10fff, 0x409b);
	ASM(&m, 32, "mov $0x11000, %eax; jmp *%eax");
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.rip, CODE + 5);
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE32, 0, 0x10fff, 0x409b);
	ASM(&m, 32, "mov $0x11000, %eax; call *%eax");
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.at, STACK0 - 12);			/* nothing was pushed */
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE32, 0, 0x10fff, 0x409b);
	ASM(&m, 32, "push $0x11000; ret");
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.rip, CODE + 5);
	CHECK_EQ(m.f.at, STACK0 - 4 - 12);
	/* Running off the end: #GP(0) with RIP behind it. */
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE32, 0, 0x10fff, 0x409b);
	m_bytes(&m, CODE + 0xffe, "\x90\x90\x90", 3);
	SET(&m, RIP, CODE + 0xffe);
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.rip, CODE + 0x1000);
	/* An instruction that reaches over it. */
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE32, 0, 0x10fff, 0x409b);
	m_bytes(&m, CODE + 0xffe, "\xb8\x01\x02\x03\x04", 5);
	SET(&m, RIP, CODE + 0xffe);
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.rip, CODE + 0xffe);
	CHECK_EQ(GET(&m, RAX), 0);
	/* The same bytes again under a larger limit, in case they were decoded. */
	m_mode(&m, PM32, 0);
	m_bytes(&m, CODE + 0xffe, "\xb8\x01\x02\x03\x04\xe6\xf4", 7);
	SET(&m, RIP, CODE + 0xffe);
	m_end(&m);
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE32, 0, 0x10fff, 0x409b);
	SET(&m, RIP, CODE + 0xffe);
	m_expect(&m, GP, 0);
	m_close(&m);
}

/* 5.5: what may be read and written. */
TEST(types)
{
	static const struct {
		const char *what;
		uint16_t sel;
		const char *code;
		int vec;
	} t[] = {
		{ "write to read-only data", S_RODATA, "\x64\x89\x03", GP },
		{ "read of read-only data", S_RODATA, "\x64\x8b\x03", -1 },
		{ "read of readable code", S_CODE32, "\x64\x8b\x03", -1 },
		{ "write to readable code", S_CODE32, "\x64\x89\x03", GP },
		{ "read-modify-write of read-only data", S_RODATA, "\x64\x01\x03", GP },
		{ "read through null", 0, "\x64\x8b\x03", GP },
		{ "write through null", 3, "\x64\x89\x03", GP },
		{ "read of code by override", S_DATA, "\x2e\x8b\x03", -1 },
		{ "write of code by override", S_DATA, "\x2e\x89\x03", GP },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		m_open(&m);
		m.what = t[i].what;
		m_mode(&m, PM32, 0);
		SET(&m, RDX, t[i].sel);
		SET(&m, RBX, DATA);
		m_bytes(&m, CODE, "\x8e\xe2", 2);		/* mov %edx, %fs */
		m_bytes(&m, CODE + 2, t[i].code, 3);
		m_bytes(&m, CODE + 5, "\xe6\xf4", 2);
		if (t[i].vec < 0)
			m_end(&m);
		else {
			m_expect(&m, (unsigned)t[i].vec, 0);
			CHECK_EQ(m.f.rip, CODE + 2);
		}
		m_close(&m);
	}
	/* Code that only executes cannot be read with CS either. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_CS, S_XOCODE, 0, 0xffffffff, 0xc099);
	ASM(&m, 32, "mov %cs:0x40000, %eax");
	m_expect(&m, GP, 0);
	m_close(&m);
}

/* 5.6, 5.7, vol. 2 MOV: loads of data and stack segments at each level. */
TEST(loads_of_data_segments)
{
	struct mach m;

	for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
		static const struct {
			const char *what;
			uint16_t sel;
			int vec0, vec3;			/* -1: loads */
		} t[] = {
			{ "null", 0, -1, -1 },
			{ "null with RPL", 3, -1, -1 },
			{ "data of DPL 0", S_DATA, -1, GP },
			{ "data of DPL 0 with RPL 3", S_DATA | 3, GP, GP },
			{ "data of DPL 3", U_DATA, -1, -1 },
			{ "data of DPL 3 with RPL 0", U_DATA & ~3, -1, -1 },
			{ "data of DPL 1 with RPL 0", S_DATA_1 & ~3, -1, GP },
			{ "read-only data", S_RODATA, -1, GP },
			{ "readable code of DPL 0", S_CODE32, -1, GP },
			{ "readable code of DPL 3", U_CODE32, -1, -1 },
			{ "conforming code whatever the level", S_CONF, -1, -1 },
			{ "conforming code with RPL 3", S_CONF | 3, -1, -1 },
			{ "execute-only code", S_XOCODE, GP, GP },
			{ "a TSS", S_TSS2, GP, GP },
			{ "an empty descriptor", S_FREE, GP, GP },
			{ "not present", S_NPDATA, NP, GP },
			{ "beyond the limit", GDT_LIMIT + 1, GP, GP },
		};

		for (size_t i = 0; i < nitems(t); i++) {
			int vec = cpl == 0 ? t[i].vec0 : t[i].vec3;

			m_open(&m);
			m.what = t[i].what;
			m_mode(&m, PG32, cpl);
			SET(&m, RAX, t[i].sel);
			ASM(&m, 32, "mov %eax, %es");
			if (vec >= 0) {
				m_expect(&m, (unsigned)vec, t[i].sel & ~3);
				CHECK_EQ(GET(&m, ES), cpl == 0 ? S_DATA : U_DATA);
			} else {
				m_end(&m);
				CHECK_EQ(GET(&m, ES), t[i].sel);
			}
			m_close(&m);
		}
	}
}

TEST(loads_of_the_stack_segment)
{
	static const struct {
		const char *what;
		uint16_t sel;
		int vec;
		int err;		/* -1: the selector */
	} t[] = {
		{ "data", S_DATA, -1, 0 },
		{ "null", 0, GP, 0 },
		{ "null with RPL", 3, GP, 0 },
		{ "RPL above CPL", S_DATA | 3, GP, -1 },
		{ "DPL above CPL", U_DATA & ~3, GP, -1 },
		{ "read-only data", S_RODATA, GP, -1 },
		{ "code", S_CODE32, GP, -1 },
		{ "not present", S_NPDATA, SS, -1 },
		{ "an empty descriptor", S_FREE, GP, -1 },
		{ "beyond the limit", GDT_LIMIT + 1, GP, -1 },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned how = 0; how < 3; how++) {
			m_open(&m);
			m.what = t[i].what;
			m_mode(&m, PG32, 0);
			SET(&m, RAX, t[i].sel);
			SET(&m, RBX, DATA);
			m_poke(&m, DATA, STACK0, 4);
			m_poke(&m, DATA + 4, t[i].sel, 2);
			if (how == 0)
				ASM(&m, 32, "mov %eax, %ss");
			else if (how == 1)
				ASM(&m, 32, "push %eax; pop %ss");
			else
				ASM(&m, 32, "lss (%ebx), %esp");
			if (t[i].vec >= 0) {
				m_expect(&m, (unsigned)t[i].vec, t[i].err == 0 ? 0 : t[i].sel & ~3);
				CHECK_EQ(GET(&m, SS), S_DATA);
				CHECK_EQ(m.f.at, STACK0 - (how == 1 ? 4 : 0) - 12);
			} else
				m_end(&m);
			m_close(&m);
		}
	}
	/* 64-bit mode: a null SS is good below level 3, with RPL = CPL (5.4.1.1). */
	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "xor %eax, %eax; mov %eax, %ss; push %rax; int $0x44; pop %rax");
	m_expect(&m, 0x44, NOERR);
	CHECK_EQ(m.f.ss, 0);
	m_end(&m);
	CHECK_EQ(GET(&m, SS), 0);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $3, %eax; mov %eax, %ss");
	m_expect(&m, GP, 0);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "mov $3, %eax; mov %eax, %ss");
	m_expect(&m, GP, 0);
	m_mode(&m, CM32, 0);
	ASM(&m, 32, "xor %eax, %eax; mov %eax, %ss");
	m_expect(&m, GP, 0);
	m_close(&m);
}

/* 3.4.5.1: the accessed bit is set by the load, and only by one that succeeds. */
TEST(accessed_bit)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PM32, 0);
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfffff, 0x92, 0xc));
	m_gdt(&m, S_FREE + 8, m_segdesc(0, 0xfffff, 0x12, 0xc));
	m_gdt(&m, S_FREE + 16, m_segdesc(0, 0xfffff, 0x9a, 0xc));
	m_gdt(&m, S_FREE + 24, m_segdesc(0, 0xfffff, 0x92, 0xc));
	ASM(&m, 32,
	    "mov $0x118, %ecx; verr %cx; lar %ecx, %edx; lsl %ecx, %edx; mov $0x100, %eax;"
	    "mov %eax, %es;"
	    "ljmp $0x110, $(1f - 771b + 0x10000); 1: mov $0x108, %eax; mov %eax, %fs");
	m_expect(&m, NP, S_FREE + 8);
	CHECK_EQ(m_peek(&m, GDT + S_FREE + 5, 1), 0x93);
	CHECK_EQ(m_peek(&m, GDT + S_FREE + 13, 1), 0x12);
	CHECK_EQ(m_peek(&m, GDT + S_FREE + 21, 1), 0x9b);
	CHECK_EQ(m_peek(&m, GDT + S_FREE + 29, 1), 0x92);	/* VERR, LAR and LSL do not load */
	m_close(&m);
}

/* 3.4.3: the hidden part is what counts until the next load. */
TEST(hidden_parts)
{
	struct mach m;

	/* A descriptor changed behind a loaded register has no effect. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	m_poke(&m, DATA, 0x12345678, 4);
	m_poke(&m, DATA + 0x1000, 0x9abcdef0, 4);
	m_gdt(&m, S_FREE, m_segdesc(DATA, 0xfff, 0x93, 4));
	ASM(&m, 32,
	    "mov $0x100, %eax; mov %eax, %fs; mov %fs:0, %ebx; addw $0x1000, 0x2102;"
	    "mov %fs:0, %ecx;"
	    "mov %eax, %fs; mov %fs:0, %edx");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0x12345678);
	CHECK_EQ(GET(&m, RCX), 0x12345678);
	CHECK_EQ(GET(&m, RDX), 0x9abcdef0);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_FS), DATA + 0x1000);
	CHECK_EQ(m_seg_limit(&m, VM_AMD64_REG_FS), 0xfff);

	/* Unreal mode: PE off and on does not touch limits (9.9.2). */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "ljmp $0x20, $(2f - 771b); .code16; 2: mov %cr0, %eax; btr $0, %eax;"
	    "mov %eax, %cr0;"
	    "ljmp $0x1000, $(3f - 771b); 3: mov $0xabcd1234, %eax; mov $0x100000, %ebx;"
	    "mov %eax, (%ebx);"
	    "xor %cx, %cx; mov %cx, %es; mov %eax, %es:4(%ebx); mov (%ebx), %edx");
	m_end(&m);
	CHECK_EQ(m_peek(&m, 0x100000, 8), 0xabcd1234abcd1234);
	CHECK_EQ(GET(&m, RDX), 0xabcd1234);
	CHECK_EQ(GET(&m, CS), 0x1000);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_CS), 0x10000);
	/* A load in real mode sets the base and keeps limit and attributes (20.1.1). */
	CHECK_EQ(m_seg_limit(&m, VM_AMD64_REG_ES), 0xffffffff);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_ES), 0);

	/*
	 * Selector, GDT base and base in real-address terms do not mix: PE on leaves bases of
	 * before.
	 */
	m_mode(&m, REAL, 0);
	m_poke(&m, DATA + 8, 0x55aa, 2);
	ASM(&m, 16, "mov %cr0, %eax; or $1, %al; mov %eax, %cr0; mov 8, %bx; mov %cr0, %eax;"
	    "and $0xfe, %al; mov %eax, %cr0");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 0x55aa);

	/* MOV from a segment register: 16 bits to memory, zero-extended to a register. */
	m_mode(&m, PM32, 0);
	m_fill(&m, DATA, 0xff, 8);
	ASM(&m, 32, "mov $-1, %ebx; mov %ds, %ebx; mov %ds, 0x40000; mov $-1, %ecx; mov %ds, %cx");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), S_DATA);
	CHECK_EQ(GET(&m, RCX), 0xffff0000 | S_DATA);
	CHECK_EQ(m_peek(&m, DATA, 4), 0xffff0000 | S_DATA);
	/* POP takes a whole stack slot; PUSH leaves two bytes of it alone or zero (vol. 2). */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "push $0x123b003b; pop %es");
	m_end(&m);
	CHECK_EQ(GET(&m, ES), U_DATA);
	CHECK_EQ(GET(&m, RSP), STACK0);
	m_close(&m);
}

/* 3.4.4: segments in 64-bit mode. */
TEST(segments_in_64_bit_mode)
{
	struct mach m;

	/* Bases and limits of CS, DS, ES, SS do not count; those of FS and GS: the base does. */
	m_open(&m);
	m_mode(&m, LM64, 0);
	m_desc(&m, VM_AMD64_REG_DS, S_DATA, 0x12345000, 0xfff, 0x4093);
	m_desc(&m, VM_AMD64_REG_ES, 0, 0, 0, VM_AMD64_SEG_UNUSABLE);
	m_desc(&m, VM_AMD64_REG_FS, S_DATA, DATA, 0xf, 0x4091);
	m_poke(&m, DATA, 0x77, 8);
	ASM(&m, 64, "mov 0x40000, %ebx; mov %ebx, %es:0x41000; mov %fs:0, %ecx;"
	    "mov %ecx, %fs:0x2000");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0x77);
	CHECK_EQ(GET(&m, RCX), 0x77);
	CHECK_EQ(m_peek(&m, DATA + 0x1000, 1), 0x77);
	CHECK_EQ(m_peek(&m, DATA + 0x2000, 1), 0x77);
	/* Segment checks of DS, ES, FS, GS are not done, present and type of the load are. */
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "mov $0x10, %eax; mov %eax, %ds");
	m_expect(&m, GP, S_DATA);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $0x90, %eax; mov %eax, %gs");
	m_expect(&m, NP, S_NPDATA);
	/* A load of FS replaces the base by 32 bits of descriptor. */
	m_mode(&m, LM64, 0);
	SET(&m, FS_BASE, 0xffff800000001000);
	m_gdt(&m, S_FREE, m_segdesc(0xfedc0000, 0xfffff, 0x93, 0xc));
	ASM(&m, 64, "mov $0x100, %eax; mov %eax, %fs");
	m_end(&m);
	CHECK_EQ(GET(&m, FS_BASE), 0xfedc0000);
	/* Linear addresses of FS: base + offset in 64 bits, canonical or #GP(0). */
	m_mode(&m, LM64, 0);
	SET(&m, FS_BASE, 0x7ffffffffff0);
	ASM(&m, 64, "mov $0x10, %ebx; mov %fs:(%rbx), %al");
	m_expect(&m, GP, 0);
	m_mode(&m, LM64, 0);
	SET(&m, GS_BASE, DATA);
	m_poke(&m, DATA - 8, 0x99, 1);
	ASM(&m, 64, "mov $-8, %rbx; mov %gs:(%rbx), %al");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0x99);
	/* In 64-bit mode limits are not checked for CS either: code far above. */
	m_mode(&m, LM64, 0);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE64, 0, 0xfff, 0x209b);
	ASM(&m, 64, "jmp 1f; 1: nop");
	m_end(&m);
	/* Compatibility mode has them all back. */
	m_mode(&m, CM32, 0);
	m_desc(&m, VM_AMD64_REG_DS, S_DATA, DATA, 0xfff, 0x4093);
	m_poke(&m, DATA + 0x10, 0x31, 1);
	ASM(&m, 32, "mov 0x10, %bl; mov 0x1000, %cl");
	m_expect(&m, GP, 0);
	CHECK_EQ(GET(&m, RBX), 0x31);
	m_close(&m);
}

/*
 * Vol. 2, LDS and the others: the pointer is read, then the segment loaded; the general register
 * last.
 */
TEST(loads_of_far_pointers)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 0);
	m_poke(&m, DATA, 0x12345678, 4);
	m_poke(&m, DATA + 4, S_FREE, 2);
	m_gdt(&m, S_FREE, m_segdesc(0x1000, 0xfff, 0x93, 4));
	ASM(&m, 32, "lfs 0x40000, %ebx; lgs 0x40000, %ecx; les 0x40000, %edx; lds 0x40000, %esi");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0x12345678);
	CHECK_EQ(GET(&m, RSI), 0x12345678);
	CHECK_EQ(GET(&m, DS), S_FREE);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_GS), 0x1000);
	m_mode(&m, PG32, 0);
	m_poke(&m, DATA + 4, 0x300, 2);
	ASM(&m, 32, "mov $5, %ebx; lfs 0x40000, %ebx");
	m_expect(&m, GP, 0x300);
	CHECK_EQ(GET(&m, RBX), 5);
	CHECK_EQ(GET(&m, FS), S_DATA);
	/* 16:64 in 64-bit mode. */
	m_mode(&m, LM64, 0);
	m_poke(&m, DATA, 0x123456789abcdef0, 8);
	m_poke(&m, DATA + 8, S_DATA, 2);
	/* lfs 0x40000, %rbx */
	ASM(&m, 64, ".byte 0x48, 0x0f, 0xb4, 0x1c, 0x25; .long 0x40000");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0x123456789abcdef0);
	CHECK_EQ(GET(&m, FS), S_DATA);
	/* PUSH and POP of FS take eight bytes there. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "push %fs; mov %rsp, %rbx; pop %gs; mov %rsp, %rcx");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), STACK0 - 8);
	CHECK_EQ(GET(&m, RCX), STACK0);
	/* 16-bit addresses in a large segment: the offset wraps, the operand behind it does not. */
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_DS, S_DATA, DATA, 0xffffffff, 0xc093);
	m_poke(&m, DATA + 0xfffe, 0x11223344, 4);
	ASM(&m, 32, "mov $0xfffe, %ebx; nop; nop; nop");
	m_bytes(&m, CODE + 5, "\x67\x8b\x07", 3);		/* mov (%bx), %eax */
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0x11223344);
	m_close(&m);
}

/* 6.2 of vol. 1: B of the stack segment says whether SP or ESP moves; a 16-bit stack wraps. */
TEST(stack_sizes)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_SS, S_DATA16, 0x28000, 0xffff, 0x93);
	SET(&m, RSP, 0xabcd0000);
	ASM(&m, 32, "push $0x11223344; pop %ebx; push %ebx; call 1f; 1: pop %ecx");
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), 0xabcdfffc);
	CHECK_EQ(m_peek(&m, 0x37ffc, 4), 0x11223344);
	/* ENTER and LEAVE use BP then. */
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_SS, S_DATA16, 0x28000, 0xffff, 0x93);
	SET(&m, RSP, 0x12348000);
	SET(&m, RBP, 0x56780010);
	ASM(&m, 32, "enter $8, $0;" PROBE "; leave");
	m_probe(&m);
	CHECK_EQ(GET(&m, RSP), 0x12347ff4);
	CHECK_EQ(GET(&m, RBP) & 0xffff, 0x7ffc);
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), 0x12348000);
	CHECK_EQ(GET(&m, RBP), 0x56780010);
	/* An expand-down stack ends at its limit: #SS(0). */
	m_mode(&m, PG32, 3);
	m_desc(&m, VM_AMD64_REG_SS, U_DATA, 0, 0xfffff, 0xc0f7);
	SET(&m, RSP, 0x100004);
	ASM(&m, 32, "push %eax; mov %esp, %ebx; push %eax");
	m_expect(&m, SS, 0);
	CHECK_EQ(GET(&m, RBX), 0x100000);
	m_close(&m);
}

TEST_MAIN()
