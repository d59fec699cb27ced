/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_restricted.c - section 5.9, 2.5: privileged instructions, those that CR4 restricts;
 * vol. 1 chapter 18: IOPL and the I/O bitmap; flags that a level cannot change.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

/* Privileged instructions (5.9): #GP(0) at every level but 0, in every mode. */
TEST(privileged_instructions)
{
	static const struct {
		const char *what, *code;
		unsigned len;
		bool only64, only32;
	} t[] = {
		{ "hlt", "\xf4", 1, false, false },
		{ "mov %cr0,%eax", "\x0f\x20\xc0", 3, false, false },
		{ "mov %eax,%cr0", "\x0f\x22\xc0", 3, false, false },
		{ "mov %cr2,%eax", "\x0f\x20\xd0", 3, false, false },
		{ "mov %eax,%cr3", "\x0f\x22\xd8", 3, false, false },
		{ "mov %cr4,%eax", "\x0f\x20\xe0", 3, false, false },
		{ "mov %cr8,%rax", "\x44\x0f\x20\xc0", 4, true, false },
		{ "mov %dr0,%eax", "\x0f\x21\xc0", 3, false, false },
		{ "mov %eax,%dr7", "\x0f\x23\xf8", 3, false, false },
		{ "clts", "\x0f\x06", 2, false, false },
		{ "invd", "\x0f\x08", 2, false, false },
		{ "wbinvd", "\x0f\x09", 2, false, false },
		{ "rdmsr", "\x0f\x32", 2, false, false },
		{ "wrmsr", "\x0f\x30", 2, false, false },
		{ "lgdt", "\x0f\x01\x13", 3, false, false },
		{ "lidt", "\x0f\x01\x1b", 3, false, false },
		{ "lldt", "\x0f\x00\xd0", 3, false, false },
		{ "ltr", "\x0f\x00\xd8", 3, false, false },
		{ "lmsw", "\x0f\x01\xf0", 3, false, false },
		{ "invlpg", "\x0f\x01\x3b", 3, false, false },
		{ "swapgs", "\x0f\x01\xf8", 3, true, false },
		{ "sysexit", "\x0f\x35", 2, false, false },
		{ "rdpmc without PCE", "\x0f\x33", 2, false, false },
		{ "cli with IOPL 0", "\xfa", 1, false, false },
		{ "sti with IOPL 0", "\xfb", 1, false, false },
		{ "in with IOPL 0 and the bit set", "\xe4\x60", 2, false, false },
		{ "out %dx", "\xef", 1, false, false },
		{ "insb", "\x6c", 1, false, false },
		{ "rep outsl", "\xf3\x6f", 2, false, false },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		static const struct {
			enum mode mode;
			unsigned cpl;
		} at[] = { { LM64, 3 }, { CM32, 3 }, { PG32, 3 }, { PG32, 2 }, { PM32, 1 } };

		for (size_t k = 0; k < nitems(at); k++) {
			if ((t[i].only64 && at[k].mode != LM64) || (t[i].only32 &&
			    at[k].mode == LM64))
				continue;
			m_open(&m);
			m.what = t[i].what;
			m_mode(&m, at[k].mode, at[k].cpl);
			SET(&m, RBX, DATA);
			SET(&m, RSI, DATA);
			SET(&m, RDI, DATA);
			SET(&m, RDX, 0x510);
			SET(&m, RCX, 0x10);
			SET(&m, SYSENTER_CS, S_CODE64);
			m_bytes(&m, CODE, t[i].code, t[i].len);
			m_expect(&m, GP, 0);
			CHECK_EQ(m.f.rip, m.ip0);
			CHECK_EQ(m.f.cs & 3, at[k].cpl);
			m_close(&m);
		}
	}
}

/* CR4.TSD and PCE, UMIP (2.5). */
TEST(instructions_that_cr4_restricts)
{
	struct mach m;
	bool umip, tscp;

	m_open(&m);
	umip = m_cpuid(&m, 0, 0, 'a') >= 7 && (m_cpuid(&m, 7, 0, 'c') >> 2 & 1) != 0;
	tscp = (m_cpuid(&m, 0x80000001, 0, 'd') >> 27 & 1) != 0;
	for (int tsd = 0; tsd < 2; tsd++) {
		m_mode(&m, LM64, 3);
		SET(&m, CR4, CR4_PAE | (tsd ? CR4_TSD : 0));
		ASM(&m, 64, "rdtsc");
		if (tsd)
			m_expect(&m, GP, 0);
		else
			m_end(&m);
		m_mode(&m, LM64, 3);
		SET(&m, CR4, CR4_PAE | (tsd ? CR4_TSD : 0));
		ASM(&m, 64, "rdtscp");
		if (!tscp)
			m_expect(&m, UD, NOERR);
		else if (tsd)
			m_expect(&m, GP, 0);
		else
			m_end(&m);
		m_mode(&m, LM64, 0);
		SET(&m, CR4, CR4_PAE | (tsd ? CR4_TSD : 0));
		ASM(&m, 64, "rdtsc");
		m_end(&m);
	}
	static const char *const ops[] = {
		"\x0f\x01\x03", "\x0f\x01\x0b", "\x0f\x00\xc0", "\x0f\x00\xc8", "\x0f\x01\xe0"
	};
	for (size_t i = 0; i < nitems(ops); i++) {
		/* SGDT, SIDT, SLDT, STR, SMSW */
		m_mode(&m, LM64, 3);
		SET(&m, RBX, DATA);
		m_bytes(&m, CODE, ops[i], 3);
		m_bytes(&m, CODE + 3, "\xe6\xf4", 2);
		m_end(&m);
		if (!umip) {
			m_mode(&m, LM64, 0);
			ASM(&m, 64, "mov $0x820, %eax; mov %rax, %cr4");
			m_expect(&m, GP, 0);
			continue;
		}
		for (unsigned cpl = 0; cpl <= 3; cpl += 3) {
			m_mode(&m, LM64, cpl);
			SET(&m, CR4, CR4_PAE | CR4_UMIP);
			SET(&m, RBX, DATA);
			m_bytes(&m, CODE, ops[i], 3);
			m_bytes(&m, CODE + 3, "\xe6\xf4", 2);
			if (cpl == 3)
				m_expect(&m, GP, 0);
			else
				m_end(&m);
		}
	}
	m_close(&m);
}

/* Vol. 1 18.5: IOPL, the bitmap with its limit, accesses of several bytes. */
TEST(io_permission)
{
	static const struct {
		const char *what;
		unsigned port, size;
		uint8_t map[3];			/* of the byte with port and the next ones */
		uint32_t limit;
		bool ok;
	} t[] = {
		{ "bit clear", 0x510, 1, { 0xfe, 0xff, 0xff }, TSS_LIMIT, true },
		{ "bit set", 0x510, 1, { 0x01, 0, 0 }, TSS_LIMIT, false },
		{ "word, second bit set", 0x510, 2, { 0xfe, 0, 0 }, TSS_LIMIT, false },
		{ "word", 0x510, 2, { 0xfc, 0xff, 0xff }, TSS_LIMIT, true },
		{ "dword", 0x510, 4, { 0xf0, 0xff, 0xff }, TSS_LIMIT, true },
		{ "dword, last bit set", 0x510, 4, { 0xf8, 0xff, 0xff }, TSS_LIMIT, false },
		{ "dword over two bytes", 0x516, 4, { 0x3f, 0xfc, 0xff }, TSS_LIMIT, true },
		{ "dword over two bytes, set in the second", 0x516, 4, { 0x3f, 0xfe, 0xff },
		    TSS_LIMIT, false },
		/* Two bytes of the map are read: both must be inside the TSS. */
		{ "at the limit", 0x510, 1, { 0, 0, 0 }, TSS_IOMAP - TSS + 0xa2, false },
		{ "inside the limit", 0x510, 1, { 0, 0, 0 }, TSS_IOMAP - TSS + 0xa3, true },
		{ "behind the limit", 0x510, 1, { 0, 0, 0 }, TSS_IOMAP - TSS + 0xa1, false },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned k = 0; k < 3; k++) {
			m_open(&m);
			m.what = t[i].what;
			m_mode(&m, k == 0 ? PG32 : k == 1 ? LM64 : CM32, 3);
			m_bytes(&m, TSS_IOMAP + t[i].port / 8, t[i].map, 3);
			m_desc(&m, VM_AMD64_REG_TR, S_TSS, TSS, t[i].limit, 0x8b);
			SET(&m, RDX, t[i].port);
			m_bytes(&m, CODE, t[i].size == 1 ? "\xee\x90" : t[i].size == 2 ?
			    "\x66\xef" : "\xef\x90", 2);
			if (t[i].ok) {
				m_run(&m);
				CHECKF(m.ex.code == VM_EXIT_IO && m.ex.u.io.port == t[i].port &&
				    m.ex.u.io.size == t[i].size,
				    "%s: exit %d, vector %d", t[i].what, m.ex.code, m_vector(&m));
			} else
				m_expect(&m, GP, 0);
			m_close(&m);
		}
	}
	/* IOPL at or above CPL: no look at the bitmap. */
	m_open(&m);
	for (unsigned iopl = 0; iopl < 4; iopl++) {
		for (unsigned cpl = 0; cpl < 4; cpl++) {
			m_mode(&m, PG32, cpl);
			SET(&m, RFLAGS, 2 | iopl << 12);
			ASM(&m, 32, "sti; cli; in $0x71, %al");
			if (cpl <= iopl) {
				m_run(&m);
				CHECKF(m.ex.code == VM_EXIT_IO && m.ex.u.io.port == 0x71 &&
				    !m.ex.u.io.write,
				    "iopl %u cpl %u: vector %d", iopl, cpl, m_vector(&m));
				CHECK_EQ(vm_exit_reply(m.cpu, 0x5a), 0);
				m_end(&m);
				CHECK_EQ(GET(&m, RAX), 0x5a);
			} else {
				m_expect(&m, GP, 0);
				CHECK_EQ(m.f.rip, CODE);
			}
			m_close(&m);
			m_open(&m);
		}
	}
	/* A map base at or above the limit: no ports at all.  A 16-bit TSS has none either. */
	m_mode(&m, PG32, 3);
	m_fill(&m, TSS_IOMAP, 0, 0x2000);
	m_poke(&m, TSS + 0x66, TSS_LIMIT + 1, 2);
	ASM(&m, 32, "nop");
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.rip, CODE + 1);
	m_mode(&m, PG32, 3);
	m_fill(&m, TSS_IOMAP, 0, 0x2000);
	m_desc(&m, VM_AMD64_REG_TR, S_TSS, TSS, TSS_LIMIT, 0x83);
	m_poke(&m, TSS + 2, KSTACK, 2);			/* SP0, SS0 of a 16-bit TSS */
	m_gdt(&m, S_FREE, m_segdesc(KSTACK & ~0xffffU, 0xffff, 0x93, 0));
	m_poke(&m, TSS + 4, S_FREE, 2);
	ASM(&m, 32, "nop");
	m_expect(&m, GP, 0);
	m_close(&m);
}

/* POPF and IRET: which flags each level changes (vol. 2, POPF table 4-?). */
TEST(flags_by_level)
{
	struct mach m;
	const uint32_t all = FL_IF | FL_IOPL | FL_NT | FL_AC | FL_DF | FL_CF | 0x200000;

	for (unsigned iopl = 0; iopl < 4; iopl += 3) {
		for (unsigned cpl = 0; cpl < 4; cpl++) {
			uint32_t want = 2 | FL_NT | FL_AC | FL_DF | FL_CF | 0x200000;

			m_open(&m);
			m_mode(&m, PG32, cpl);
			SET(&m, RFLAGS, 2 | iopl << 12);
			SET(&m, RAX, all | FL_VM | FL_RF | FL_VIF | FL_VIP | 0x28);
			ASM(&m, 32, "push %eax; popf; pushf; pop %ebx");
			m_end(&m);
			want |= cpl == 0 ? FL_IOPL | FL_IF : iopl << 12 | (iopl == 3 ? FL_IF : 0);
			CHECK_EQ(GET(&m, RBX), want);
			/* RF reads as zero by PUSHF and is cleared by POPF. */
			CHECK_EQ(GET(&m, RFLAGS) & FL_RF, 0);
			m_close(&m);
		}
	}
	/* POPFW leaves the upper half. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	SET(&m, RFLAGS, 2 | FL_AC);
	ASM(&m, 32, "pushw $0x4001; popfw");
	m_end(&m);
	CHECK_EQ(GET(&m, RFLAGS), 2 | FL_AC | FL_NT | FL_CF);
	/* IRET at level 3 of a frame of the same level obeys the same rule. */
	m_mode(&m, PG32, 3);
	SET(&m, RFLAGS, 2);
	ASM(&m, 32, "push $0x3202; push $0x33; push $0x10020; iret; .org 771b + 0x20, 0x90; pushf;"
	    "pop %ebx");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 2);
	m_close(&m);
}

TEST_MAIN()
