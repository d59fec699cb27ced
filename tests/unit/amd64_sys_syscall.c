/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_syscall.c - section 5.8.7, 5.8.8 and vol. 2: SYSCALL, SYSRET, SYSENTER, SYSEXIT,
 * SWAPGS, FSGSBASE as an Intel processor has them.
 */
#include "amd64_fixture.h"

#define	STAR	(0x0033000800000000ULL)		/* SYSRET: 33H, 3BH, 43H; SYSCALL: 8, 10H */
#define	TARGET	(CODE + 0x200)

static void
star(struct mach *m, enum mode mode, unsigned cpl)
{
	m_mode(m, mode, cpl);
	SET(m, EFER, GET(m, EFER) | EFER_SCE);
	SET(m, STAR, STAR);
	SET(m, LSTAR, TARGET);
	SET(m, CSTAR, TARGET + 0x100);
	SET(m, SFMASK, FL_IF | FL_DF);
}

/* Attributes are fixed: flat, whatever the descriptors say. */
static void
check_segment(struct mach *m, int reg, uint16_t sel, uint32_t access)
{
	CHECK_EQ(m_get(m, reg), sel);
	CHECK_EQ(m_seg_base(m, reg), 0);
	CHECK_EQ(m_seg_limit(m, reg), 0xffffffff);
	CHECK_EQ(m_seg_access(m, reg), access);
}

TEST(syscall_and_sysret)
{
	struct mach m;

	m_open(&m);
	star(&m, LM64, 3);
	SET(&m, RFLAGS, 2 | FL_IF | FL_DF | FL_CF | FL_AC | 0x3000);
	m_gdt(&m, S_CODE64, 0x0000000000000000);	/* not looked at */
	ASM(&m, 64, "syscall; mov $1, %ebx");
	ASM_AT(&m, TARGET, 64, PROBE "; sysretq");
	m_probe(&m);
	CHECK_EQ(GET(&m, RCX), CODE + 2);
	CHECK_EQ(GET(&m, R11), 2 | FL_IF | FL_DF | FL_CF | FL_AC | 0x3000);
	CHECK_EQ(GET(&m, RFLAGS), 2 | FL_CF | FL_AC | 0x3000);
	CHECK_EQ(GET(&m, RSP), USTACK);
	check_segment(&m, VM_AMD64_REG_CS, 8, 0xa09b);
	check_segment(&m, VM_AMD64_REG_SS, 0x10, 0xc093);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 1);
	CHECK_EQ(GET(&m, RFLAGS), 2 | FL_IF | FL_DF | FL_CF | FL_AC | 0x3000);
	check_segment(&m, VM_AMD64_REG_CS, U_CODE64, 0xa0fb);
	check_segment(&m, VM_AMD64_REG_SS, U_DATA, 0xc0f3);
	/* SYSRET of 32 bits: compatibility mode. */
	star(&m, LM64, 0);
	SET(&m, RCX, 0xabcd00010100);
	SET(&m, R11, 2 | FL_CF | FL_RF | FL_VM);
	ASM(&m, 64, "sysretl");
	ASM_AT(&m, CODE + 0x100, 32, "mov $1, %eax; inc %eax;" END);
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 2);
	check_segment(&m, VM_AMD64_REG_CS, U_CODE32, 0xc0fb);
	check_segment(&m, VM_AMD64_REG_SS, U_DATA, 0xc0f3);
	CHECK_EQ(GET(&m, RFLAGS), 2 | FL_CF);		/* RF and VM are not restored */
	/* The RPL of the selectors is 3, or 0, whatever STAR says. */
	star(&m, LM64, 0);
	SET(&m, STAR, 0x0030000b00000000);
	SET(&m, RCX, CODE + 0x100);
	SET(&m, R11, 2);
	ASM(&m, 64, "sysretq");
	ASM_AT(&m, CODE + 0x100, 64, "syscall");
	ASM_AT(&m, TARGET, 64, END);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), 8);
	m_close(&m);
}

TEST(syscall_refusals)
{
	struct mach m;

	m_open(&m);
	star(&m, CM32, 3);
	ASM(&m, 32, "syscall");
	m_expect(&m, UD, NOERR);			/* an Intel processor: 64-bit mode only */
	star(&m, PG32, 3);
	ASM(&m, 32, "syscall");
	m_expect(&m, UD, NOERR);
	star(&m, CM32, 0);
	ASM(&m, 32, "sysret");
	m_expect(&m, UD, NOERR);
	star(&m, LM64, 3);
	ASM(&m, 64, "sysretq");
	m_expect(&m, GP, 0);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "sysretq");
	m_expect(&m, UD, NOERR);			/* no SCE comes before all */
	/* A non-canonical return address is #GP(0) at level 0, on the user's stack pointer. */
	star(&m, LM64, 0);
	SET(&m, RCX, 0x800000000000);
	SET(&m, R11, 2);
	ASM(&m, 64, "sysretq");
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.rip, CODE);
	CHECK_EQ(m.f.cs, S_CODE64);
	m_close(&m);
}

static void
sysenter(struct mach *m, enum mode mode, unsigned cpl)
{
	m_mode(m, mode, cpl);
	SET(m, SYSENTER_CS, 8);
	SET(m, SYSENTER_EIP, TARGET);
	SET(m, SYSENTER_ESP, 0x37770);
}

TEST(sysenter_and_sysexit)
{
	struct mach m;

	/* 32-bit: flat 32-bit code of SYSENTER_CS, whatever the descriptor says. */
	m_open(&m);
	sysenter(&m, PG32, 3);
	SET(&m, RFLAGS, 2 | FL_IF | FL_CF);
	ASM(&m, 32, "sysenter");
	ASM_AT(&m, TARGET, 32, PROBE "; mov $0x10100, %edx; mov $0x36660, %ecx; sysexit");
	ASM_AT(&m, CODE + 0x100, 32, END);
	m_probe(&m);
	CHECK_EQ(GET(&m, RSP), 0x37770);
	CHECK_EQ(GET(&m, RFLAGS), 2 | FL_CF);		/* IF, VM and RF are cleared */
	check_segment(&m, VM_AMD64_REG_CS, 8, 0xc09b);
	check_segment(&m, VM_AMD64_REG_SS, 0x10, 0xc093);
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), 0x36660);
	check_segment(&m, VM_AMD64_REG_CS, 0x1b, 0xc0fb);
	check_segment(&m, VM_AMD64_REG_SS, 0x23, 0xc0f3);
	/* From virtual-8086 mode it works as well. */
	sysenter(&m, V86, 3);
	ASM(&m, 16, "sysenter");
	ASM_AT(&m, TARGET, 32, END);
	m_end(&m);
	CHECK_EQ(GET(&m, RFLAGS) & FL_VM, 0);
	check_segment(&m, VM_AMD64_REG_CS, 8, 0xc09b);
	/* 64-bit: from both sub-modes to 64-bit code. */
	for (unsigned k = 0; k < 2; k++) {
		sysenter(&m, k == 0 ? LM64 : CM32, 3);
		SET(&m, SYSENTER_ESP, 0xffff800000037770);
		ASM(&m, 64, "sysenter");
		ASM_AT(&m, TARGET, 64, PROBE "; mov $0x10100, %edx; mov $0x36660, %ecx; sysexitq");
		ASM_AT(&m, CODE + 0x100, 64, END);
		m_probe(&m);
		CHECK_EQ(GET(&m, RSP), 0xffff800000037770);
		check_segment(&m, VM_AMD64_REG_CS, 8, 0xa09b);
		check_segment(&m, VM_AMD64_REG_SS, 0x10, 0xc093);
		m_end(&m);
		check_segment(&m, VM_AMD64_REG_CS, 0x2b, 0xa0fb);
		check_segment(&m, VM_AMD64_REG_SS, 0x33, 0xc0f3);
	}
	/* SYSEXIT of 32 bits from 64-bit mode: compatibility mode, 32 bits of RCX and RDX. */
	sysenter(&m, LM64, 0);
	SET(&m, RDX, 0x100010100);
	SET(&m, RCX, 0x200036660);
	ASM(&m, 64, "sysexitl");
	ASM_AT(&m, CODE + 0x100, 32, "mov $1, %eax; inc %eax;" END);
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 2);
	CHECK_EQ(GET(&m, RSP), 0x36660);
	check_segment(&m, VM_AMD64_REG_CS, 0x1b, 0xc0fb);
	m_close(&m);
}

TEST(sysenter_refusals)
{
	struct mach m;

	m_open(&m);
	for (uint32_t cs = 0; cs < 4; cs += 3) {
		/* SYSENTER_CS[15:2] of 0 */
		sysenter(&m, PG32, 3);
		SET(&m, SYSENTER_CS, cs);
		ASM(&m, 32, "sysenter");
		m_expect(&m, GP, 0);
		sysenter(&m, PG32, 0);
		SET(&m, SYSENTER_CS, cs);
		ASM(&m, 32, "sysexit");
		m_expect(&m, GP, 0);
	}
	sysenter(&m, REAL, 0);
	ASM(&m, 16, "sysenter");
	m_expect(&m, GP, NOERR);
	sysenter(&m, PG32, 3);
	ASM(&m, 32, "sysexit");
	m_expect(&m, GP, 0);
	sysenter(&m, LM64, 0);
	SET(&m, RDX, 0x800000000000);
	ASM(&m, 64, "sysexitq");
	m_expect(&m, GP, 0);
	sysenter(&m, LM64, 0);
	SET(&m, RCX, 0x800000000000);
	SET(&m, RDX, CODE);
	ASM(&m, 64, "sysexitq");
	m_expect(&m, GP, 0);
	m_close(&m);
}

TEST(swapgs_and_base_instructions)
{
	struct mach m;
	bool fsgs;

	m_open(&m);
	fsgs = m_cpuid(&m, 0, 0, 'a') >= 7 && (m_cpuid(&m, 7, 0, 'b') & 1) != 0;
	m_mode(&m, LM64, 0);
	SET(&m, GS_BASE, 0x1111);
	SET(&m, KGS_BASE, 0xffff800000002222);
	ASM(&m, 64, "swapgs");
	m_end(&m);
	CHECK_EQ(GET(&m, GS_BASE), 0xffff800000002222);
	CHECK_EQ(GET(&m, KGS_BASE), 0x1111);
	if (!fsgs) {
		m_mode(&m, LM64, 0);
		ASM(&m, 64, "rdfsbase %rax");
		m_expect(&m, UD, NOERR);
		m_mode(&m, LM64, 0);
		ASM(&m, 64, "mov $0x10020, %eax; mov %rax, %cr4");
		m_expect(&m, GP, 0);
		m_close(&m);
		return;
	}
	m_mode(&m, LM64, 3);
	SET(&m, CR4, CR4_PAE | CR4_FSGSBASE);
	SET(&m, GS_BASE, 0xffff800000002222);
	ASM(&m, 64,
	    "movabs $0x123456789abc, %rax; wrfsbase %rax; rdfsbase %ebx; rdgsbase %rcx;"
	    "mov $-1, %rdx; wrgsbase %edx");
	m_end(&m);
	CHECK_EQ(GET(&m, FS_BASE), 0x123456789abc);
	CHECK_EQ(GET(&m, RBX), 0x56789abc);
	CHECK_EQ(GET(&m, RCX), 0xffff800000002222);
	CHECK_EQ(GET(&m, GS_BASE), 0xffffffff);
	m_mode(&m, LM64, 3);
	SET(&m, CR4, CR4_PAE | CR4_FSGSBASE);
	ASM(&m, 64, "movabs $0x800000000000, %rax; wrfsbase %rax");
	m_expect(&m, GP, 0);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "rdfsbase %rax");
	m_expect(&m, UD, NOERR);			/* CR4.FSGSBASE clear */
	m_mode(&m, CM32, 3);
	SET(&m, CR4, CR4_PAE | CR4_FSGSBASE);
	m_bytes(&m, CODE, "\xf3\x0f\xae\xc0", 4);
	m_expect(&m, UD, NOERR);
	m_close(&m);
}

TEST_MAIN()
