/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_v86.c - chapter 20, virtual-8086 mode: entry and leaving, IOPL-sensitive instructions,
 * I/O, interrupts and exceptions, CR4.VME with its redirection bitmap, VIF and VIP; CR4.PVI.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

static void
v86(struct mach *m, unsigned iopl)
{
	m_mode(m, V86, 3);
	SET(m, RFLAGS, 2 | FL_VM | iopl << 12);
}

/*
 * 20.2.4, 20.2.5: IRET at level 0 enters, an interrupt leaves; segments are saved and null in the
 * handler.
 */
TEST(entry_and_leaving)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 0);
	ASM(&m, 32,
	    "push $0x4444; push $0x3333; push $0x2222; push $0x1111; push $0x5000; push $0x8000;"
	    "push $0x20202;"
	    "push $0x1000; push $0x100; iret");
	ASM_AT(&m, CODE + 0x100, 16, "mov %es, %ax; mov %ds, %bx; mov %fs, %cx; mov %gs, %dx;"
	    "push %ax; .byte 0xf1;" END);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.flags & (FL_VM | FL_IF), FL_VM | FL_IF);
	CHECK_EQ(m.f.cs, 0x1000);
	CHECK_EQ(m.f.ss, 0x5000);
	CHECK_EQ(m.f.rsp, 0x7ffe);
	CHECK_EQ(m.f.seg86[0], 0x1111);
	CHECK_EQ(m.f.seg86[1], 0x2222);
	CHECK_EQ(m.f.seg86[2], 0x3333);
	CHECK_EQ(m.f.seg86[3], 0x4444);
	CHECK_EQ(m.f.at, KSTACK - 36);
	CHECK_EQ(GET(&m, RAX) & 0xffff, 0x1111);
	CHECK_EQ(GET(&m, RDX) & 0xffff, 0x4444);
	/* The handler: level 0, VM clear, null data segments. */
	CHECK_EQ(GET(&m, CS), S_CODE32);
	CHECK_EQ(GET(&m, RFLAGS) & FL_VM, 0);
	CHECK_EQ(GET(&m, DS) | GET(&m, ES) | GET(&m, FS) | GET(&m, GS), 0);
	CHECK_EQ(m_peek(&m, 0x57ffe, 2), 0x1111);
	m_end(&m);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_ES), 0x11110);
	CHECK_EQ(m_seg_limit(&m, VM_AMD64_REG_ES), 0xffff);

	/* VM of a frame is ignored by IRET at another level, and in long mode. */
	m_mode(&m, PG32, 3);
	ASM(&m, 32, "push $0x20202; push $0x33; push $0x10100; iret");
	ASM_AT(&m, CODE + 0x100, 32, "pushf; pop %ebx;" END);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 2);
	CHECK_EQ(GET(&m, RFLAGS) & FL_VM, 0);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "pushq $0x10; pushq $0x30000; pushq $0x20202; pushq $8; pushq $0x10100; iretq");
	ASM_AT(&m, CODE + 0x100, 64, END);
	m_end(&m);
	CHECK_EQ(GET(&m, RFLAGS) & FL_VM, 0);
	/* A handler that is not at level 0, or conforming: #GP with its selector (20.3.1). */
	v86(&m, 3);
	m_gate(&m, 0x80, 14, 3, S_CODE_1, STUBS, 0);
	ASM(&m, 16, "int $0x80");
	m_expect(&m, GP, S_CODE_1 & ~3);
	v86(&m, 3);
	m_gate(&m, 0x80, 14, 3, S_CONF, STUBS, 0);
	ASM(&m, 16, "int $0x80");
	m_expect(&m, GP, S_CONF);
	m_close(&m);
}

/*
 * 20.2.7: CLI, STI, PUSHF, POPF, INT n and IRET need IOPL 3; I/O goes by the bitmap alone
 * (20.2.8.1).
 */
TEST(sensitive_instructions)
{
	static const struct {
		const char *what, *code;
		unsigned len;
	} t[] = {
		{ "cli", "\xfa", 1 }, { "sti", "\xfb", 1 }, { "pushf", "\x9c", 1 }, { "popf",
		    "\x9d", 1 },
		{ "pushfl", "\x66\x9c", 2 }, { "popfl", "\x66\x9d", 2 }, { "iret", "\xcf", 1 }, {
		    "int $0x80", "\xcd\x80", 2 },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned iopl = 0; iopl < 4; iopl++) {
			m_open(&m);
			m.what = t[i].what;
			v86(&m, iopl);
			m_bytes(&m, CODE, t[i].code, t[i].len);
			m_bytes(&m, CODE + t[i].len, "\xe6\xf4", 2);
			/*
			 * What POPF and IRET find on the stack: 1000H:80H as an IRET frame,
			 * harmless as flags.
			 */
			m_poke(&m, USTACK - 6, 0x80, 2);
			m_poke(&m, USTACK - 4, 0x1000, 2);
			m_poke(&m, USTACK - 2, 0x0202, 2);
			m_bytes(&m, CODE + 0x80, "\xe6\xf4", 2);
			SET(&m, RSP, 0xffa);
			if (iopl < 3) {
				m_expect(&m, GP, 0);
				CHECK_EQ(m.f.rip, 0);
			} else if (t[i].code[0] == '\xcd')
				m_expect(&m, 0x80, NOERR);
			else
				m_end(&m);
			m_close(&m);
		}
	}
	/* INT3, INTO and INT1 do not look at IOPL (vol. 2, INT n). */
	m_open(&m);
	v86(&m, 0);
	ASM(&m, 16, "int3");
	m_expect(&m, BP, NOERR);
	v86(&m, 0);
	ASM(&m, 16, "mov $0x7f, %al; inc %al; into");
	m_expect(&m, OF, NOERR);
	/* IN and OUT: IOPL does not help, the bitmap does. */
	v86(&m, 3);
	ASM(&m, 16, "in $0x60, %al");
	m_expect(&m, GP, 0);
	v86(&m, 0);
	m_poke(&m, TSS_IOMAP + 0x60 / 8, 0xfe, 1);
	ASM(&m, 16, "in $0x60, %al");
	m_run(&m);
	CHECK_EQ(m.ex.code, VM_EXIT_IO);
	CHECK_EQ(m.ex.u.io.port, 0x60);
	/* Instructions of protected mode are undefined, privileged ones #GP(0). */
	static const struct {
		const char *what, *code;
		unsigned len, vec;
	} p[] = {
		{ "lar", "\x0f\x02\xc0", 3, UD }, { "lsl", "\x0f\x03\xc0", 3, UD }, { "verr",
		    "\x0f\x00\xe0", 3, UD },
		{ "arpl", "\x63\xc0", 2, UD }, { "sldt", "\x0f\x00\xc0", 3, UD }, { "str",
		    "\x0f\x00\xc8", 3, UD },
		{ "lldt", "\x0f\x00\xd0", 3, UD }, { "ltr", "\x0f\x00\xd8", 3, UD }, { "hlt",
		    "\xf4", 1, GP },
		{ "mov cr0", "\x0f\x20\xc0", 3, GP }, { "lmsw", "\x0f\x01\xf0", 3, GP }, { "clts",
		    "\x0f\x06", 2, GP },
		{ "lgdt", "\x0f\x01\x16\x00\x00", 5, GP }, { "rdmsr", "\x0f\x32", 2, GP }, {
		    "sysenter", "\x0f\x34", 2, GP },
		{ "invlpg", "\x0f\x01\x3e\x00\x00", 5, GP },
	};
	for (size_t i = 0; i < nitems(p); i++) {
		m_close(&m);
		m_open(&m);
		m.what = p[i].what;
		v86(&m, 3);
		m_bytes(&m, CODE, p[i].code, p[i].len);
		m_expect(&m, p[i].vec, p[i].vec == UD ? NOERR : 0);
	}
	m_close(&m);
}

/* 20.1, 20.2.1: addresses and segments as in the 8086. */
TEST(addresses)
{
	struct mach m;

	/*
	 * Segment loads shift; limits are 64K: an offset of 16 bits cannot reach over, one of 32
	 * bits is #GP(0), or #SS(0).
	 */
	m_open(&m);
	v86(&m, 0);
	m_poke(&m, 0x62340, 0x77, 1);
	ASM(&m, 16, "mov $0x6234, %ax; mov %ax, %ds; mov 0, %bl; mov $0x10000, %esi;"
	    "mov (%esi), %al");
	m_expect(&m, GP, 0);
	CHECK_EQ(GET(&m, RBX), 0x77);
	v86(&m, 0);
	ASM(&m, 16, "mov $0xffff, %bx; mov (%bx), %ax");
	m_expect(&m, GP, 0);
	v86(&m, 0);
	ASM(&m, 16, "mov $0xffff, %bp; mov (%bp), %ax");
	m_expect(&m, SS, 0);
	/* FFFF:0010 is 100000H: no wrap in the processor. */
	v86(&m, 0);
	m_poke(&m, 0x100000, 0x5a, 1);
	m_poke(&m, 0, 0x33, 1);
	ASM(&m, 16, "mov $0xffff, %ax; mov %ax, %es; mov %es:0x10, %bl");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0x5a);
	/* Paging holds, at level 3. */
	v86(&m, 0);
	m_pte(&m, DATA, DATA | PG_P | PG_RW);
	ASM(&m, 16, "mov 0x20, %al");
	m_expect(&m, PF, PFE_P | PFE_U);
	CHECK_EQ(GET(&m, CR2), DATA + 0x20);
	CHECK((m.f.flags & FL_VM) != 0);
	CHECK_EQ(m.f.rip, 0);
	/* Far transfers are those of the 8086. */
	v86(&m, 0);
	ASM(&m, 16, "lcall $0x1010, $0x10");
	ASM_AT(&m, CODE + 0x110, 16, PROBE "; lret");
	m_probe(&m);
	CHECK_EQ(GET(&m, CS), 0x1010);
	CHECK_EQ(m_peek(&m, USTACK - 4, 4), 0x10000005);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), 0x1000);
	/* IP behind the limit: #GP(0). */
	v86(&m, 0);
	ASM(&m, 16, "mov $0x10000, %eax; jmpl *%eax");
	m_expect(&m, GP, 0);
	m_close(&m);
}

/* 20.3: CR4.VME.  Method 5 and 6: INT n goes to the 8086 program's own vectors. */
TEST(redirected_interrupts)
{
	struct mach m;
	bool vme;

	m_open(&m);
	vme = (m_cpuid(&m, 1, 0, 'd') >> 1 & 1) != 0;
	if (!vme) {
		m_mode(&m, PM32, 0);
		ASM(&m, 32, "mov %cr4, %eax; or $1, %eax; mov %eax, %cr4");
		m_expect(&m, GP, 0);
		SKIP("the processor has no VME");
	}
	for (unsigned iopl = 0; iopl < 4; iopl += 3) {
		/* The bit is clear: by the vector at 0. */
		v86(&m, iopl);
		SET(&m, CR4, CR4_PSE | CR4_VME);
		SET(&m, RFLAGS, 2 | FL_VM | iopl << 12 | (iopl == 3 ? FL_IF : FL_VIF));
		m_poke(&m, IVT + 4 * 0x44, 0x10000100, 4);
		ASM(&m, 16, "int $0x44");
		ASM_AT(&m, CODE + 0x100, 16, PROBE "; iret");
		m_probe(&m);
		CHECK((GET(&m, RFLAGS) & FL_VM) != 0);
		CHECK_EQ(m_peek(&m, USTACK - 6, 4), 0x10000002);
		/* IOPL reads as 3, IF as VIF does below IOPL 3; VIF or IF is cleared. */
		CHECK_EQ(m_peek(&m, USTACK - 2, 2), 0x3202);
		CHECK_EQ(GET(&m, RFLAGS) & (FL_IF | FL_VIF), 0);
		m_end(&m);
		CHECK_EQ(GET(&m, RFLAGS) & (FL_IF | FL_VIF), iopl == 3 ? FL_IF : FL_VIF);
		/* The bit is set: the protected-mode handler with IOPL 3, #GP(0) below. */
		v86(&m, iopl);
		SET(&m, CR4, CR4_PSE | CR4_VME);
		m_fill(&m, TSS_REDIR, 0xff, 32);
		ASM(&m, 16, "int $0x80");
		if (iopl == 3)
			m_expect(&m, 0x80, NOERR);
		else
			m_expect(&m, GP, 0);
	}
	/* Exceptions are never redirected. */
	v86(&m, 0);
	SET(&m, CR4, CR4_PSE | CR4_VME);
	ASM(&m, 16, "int3");
	m_expect(&m, BP, NOERR);
	m_close(&m);
}

/* 20.3.3.5, 20.4: virtual interrupt flag. */
TEST(virtual_interrupt_flag)
{
	struct mach m;

	m_open(&m);
	if ((m_cpuid(&m, 1, 0, 'd') >> 1 & 1) == 0)
		SKIP("the processor has no VME");
	v86(&m, 0);
	SET(&m, CR4, CR4_PSE | CR4_VME);
	ASM(&m, 16, "sti; pushf; pop %bx; cli; pushf; pop %cx");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0x3200, 0x3200);
	CHECK_EQ(GET(&m, RCX) & 0x3200, 0x3000);
	CHECK_EQ(GET(&m, RFLAGS) & (FL_IF | FL_VIF), 0);
	/* STI with VIP set: #GP(0). */
	v86(&m, 0);
	SET(&m, CR4, CR4_PSE | CR4_VME);
	SET(&m, RFLAGS, 2 | FL_VM | FL_VIP);
	ASM(&m, 16, "sti");
	m_expect(&m, GP, 0);
	/* POPF that would enable with VIP, or sets TF: #GP(0).  POPFL below IOPL 3 always. */
	v86(&m, 0);
	SET(&m, CR4, CR4_PSE | CR4_VME);
	SET(&m, RFLAGS, 2 | FL_VM | FL_VIP);
	ASM(&m, 16, "pushw $0x202; popf");
	m_expect(&m, GP, 0);
	v86(&m, 0);
	SET(&m, CR4, CR4_PSE | CR4_VME);
	ASM(&m, 16, "pushw $0x102; popf");
	m_expect(&m, GP, 0);
	v86(&m, 0);
	SET(&m, CR4, CR4_PSE | CR4_VME);
	ASM(&m, 16, "pushl $2; popfl");
	m_expect(&m, GP, 0);
	/* CR4.PVI: the same for CLI and STI at level 3 of protected mode. */
	m_mode(&m, PG32, 3);
	SET(&m, CR4, CR4_PSE | CR4_PVI);
	ASM(&m, 32, "sti;" PROBE "; cli");
	m_probe(&m);
	CHECK_EQ(GET(&m, RFLAGS) & (FL_IF | FL_VIF), FL_VIF);
	m_end(&m);
	CHECK_EQ(GET(&m, RFLAGS) & (FL_IF | FL_VIF), 0);
	m_mode(&m, PG32, 3);
	SET(&m, CR4, CR4_PSE | CR4_PVI);
	SET(&m, RFLAGS, 2 | FL_VIP);
	ASM(&m, 32, "sti");
	m_expect(&m, GP, 0);
	m_close(&m);
}

/* Single-step and faults inside virtual-8086 mode come with VM in the frame, and go back there. */
TEST(events_inside)
{
	struct mach m;

	m_open(&m);
	v86(&m, 0);
	SET(&m, RFLAGS, 2 | FL_VM | FL_TF);
	ASM(&m, 16, "mov $1, %al; mov $2, %bl");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, 2);
	CHECK((m.f.flags & FL_VM) != 0);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, 4);
	CHECK_EQ(GET(&m, DR6) & 0x4000, 0x4000);
	/* #UD: emulated and skipped. */
	v86(&m, 0);
	ASM(&m, 16, "ud2; mov $3, %cl");
	m_expect(&m, UD, NOERR);
	CHECK_EQ(m.f.rip, 0);
	CHECK_EQ(GET(&m, SS), S_DATA);
	m_return_to(&m, 2);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX), 3);
	CHECK_EQ(GET(&m, SS), 0x3700);
	/* A 16-bit gate saves only words: it is there, and the frame is of words. */
	v86(&m, 3);
	m_gate(&m, 0x80, 6, 3, S_CODE16, 0x900, 0);
	ASM(&m, 16, "int $0x80");
	ASM_AT(&m, CODE + 0x900, 16, PROBE);
	m_probe(&m);
	CHECK_EQ(GET(&m, RSP), KSTACK - 18);
	CHECK_EQ(m_peek(&m, KSTACK - 18, 4), 0x10000002);
	m_close(&m);
}

TEST_MAIN()
