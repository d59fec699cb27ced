/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_msr.c - model-specific registers (vol. 4; vol. 3 at each): which exist, what they
 * refuse; the time-stamp counter; PAT and MTRRs; CPUID agreeing with what is there.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

#define	MSR_TSC			0x10
#define	MSR_APIC_BASE		0x1b
#define	MSR_TSC_ADJUST		0x3b
#define	MSR_SPEC_CTRL		0x48
#define	MSR_MTRRCAP		0xfe
#define	MSR_SYSENTER_CS		0x174
#define	MSR_SYSENTER_ESP	0x175
#define	MSR_SYSENTER_EIP	0x176
#define	MSR_MTRR_BASE0		0x200
#define	MSR_MTRR_FIX64K		0x250
#define	MSR_PAT			0x277
#define	MSR_MTRR_DEF		0x2ff
#define	MSR_TSC_DEADLINE	0x6e0
#define	MSR_EFER		0xc0000080
#define	MSR_STAR		0xc0000081
#define	MSR_LSTAR		0xc0000082
#define	MSR_CSTAR		0xc0000083
#define	MSR_SFMASK		0xc0000084
#define	MSR_FS_BASE		0xc0000100
#define	MSR_GS_BASE		0xc0000101
#define	MSR_KGS_BASE		0xc0000102
#define	MSR_TSC_AUX		0xc0000103

/* WRMSR, then RDMSR: the vector of #GP, or -1 with the value read back; -2: nobody models it. */
static int
write_read(struct mach *m, uint32_t msr, uint64_t val, uint64_t *back)
{
	m_mode(m, LM64, 0);
	SET(m, RCX, msr);
	SET(m, RAX, (uint32_t)val);
	SET(m, RDX, val >> 32);
	ASM(m, 64, "wrmsr; xor %eax, %eax; xor %edx, %edx; rdmsr");
	m_run(m);
	if (m->ex.code == VM_EXIT_SYSREG)
		return (-2);
	if (m_vector(m) >= 0)
		return (m_vector(m));
	CHECKF(m->ex.code == VM_EXIT_IO, "msr %#x: exit %d", msr, m->ex.code);
	*back = GET(m, RDX) << 32 | GET(m, RAX);
	return (-1);
}

#define	NONCANON	0x0000800000000000ULL
#define	CANON		0xffff800012345678ULL

TEST(writes)
{
	static const struct {
		const char *what;
		uint32_t msr;
		uint64_t val;
		bool gp;
	} t[] = {
		{ "FS_BASE", MSR_FS_BASE, CANON, false },
		{ "FS_BASE non-canonical", MSR_FS_BASE, NONCANON, true },
		{ "GS_BASE", MSR_GS_BASE, CANON, false },
		{ "GS_BASE non-canonical", MSR_GS_BASE, 1ULL << 63, true },
		{ "KERNEL_GS_BASE", MSR_KGS_BASE, CANON, false },
		{ "KERNEL_GS_BASE non-canonical", MSR_KGS_BASE, NONCANON, true },
		{ "LSTAR", MSR_LSTAR, CANON, false },
		{ "LSTAR non-canonical", MSR_LSTAR, NONCANON, true },
		{ "CSTAR non-canonical", MSR_CSTAR, NONCANON, true },
		{ "SYSENTER_ESP", MSR_SYSENTER_ESP, CANON, false },
		{ "SYSENTER_ESP non-canonical", MSR_SYSENTER_ESP, NONCANON, true },
		{ "SYSENTER_EIP", MSR_SYSENTER_EIP, CANON, false },
		{ "SYSENTER_EIP non-canonical", MSR_SYSENTER_EIP, NONCANON, true },
		{ "STAR", MSR_STAR, 0x0123456789abcdefULL, false },
		{ "SFMASK", MSR_SFMASK, 0x257fd5, false },
		{ "TSC_AUX", MSR_TSC_AUX, 0xffffffff, false },
		{ "TSC_AUX upper half", MSR_TSC_AUX, 1ULL << 32, true },
		/* 11.12.2: memory types 0, 1, 4, 5, 6, 7. */
		{ "PAT", MSR_PAT, 0x0001040506070006ULL, false },
		{ "PAT type 2", MSR_PAT, 0x0002040506070006ULL, true },
		{ "PAT type 3", MSR_PAT, 0x0300000000000000ULL, true },
		{ "PAT type 8", MSR_PAT, 8, true },
		{ "PAT reserved bits of a field", MSR_PAT, 0x8600, true },
		/* 11.11.2 */
		{ "MTRR_DEF_TYPE", MSR_MTRR_DEF, 0xc06, false },
		{ "MTRR_DEF_TYPE of type 2", MSR_MTRR_DEF, 0xc02, true },
		{ "MTRR_DEF_TYPE of type 7", MSR_MTRR_DEF, 0xc07, true },
		{ "MTRR_DEF_TYPE bit 8", MSR_MTRR_DEF, 0xd06, true },
		{ "MTRR_DEF_TYPE bit 12", MSR_MTRR_DEF, 0x1c06, true },
		{ "fixed MTRR", MSR_MTRR_FIX64K, 0x0001040506060000ULL, false },
		{ "fixed MTRR of type 2", MSR_MTRR_FIX64K, 0x0002040506060000ULL, true },
		{ "fixed MTRR of type 7", MSR_MTRR_FIX64K, 7, true },
		{ "variable MTRR", MSR_MTRR_BASE0, 0x1ff12345006ULL, false },
		{ "variable MTRR of type 3", MSR_MTRR_BASE0, 0x12345003, true },
		{ "variable MTRR bit 8", MSR_MTRR_BASE0, 0x12345106, true },
		{ "variable MTRR bit 41", MSR_MTRR_BASE0, 1ULL << 41, true },
		{ "variable MTRR mask", MSR_MTRR_BASE0 + 1, 0x1fff0000800ULL, false },
		{ "variable MTRR mask bit 10", MSR_MTRR_BASE0 + 1, 0x1fff0000c00ULL, true },
		{ "variable MTRR mask bit 41", MSR_MTRR_BASE0 + 1, 1ULL << 41, true },
		{ "MTRRCAP is read-only", MSR_MTRRCAP, 0, true },
		{ "APIC_BASE reserved bit 9", MSR_APIC_BASE, 0xfee00b00, true },
		{ "APIC_BASE beyond the address width", MSR_APIC_BASE, 1ULL << 50 | 0xfee00900,
		    true },
		{ "APIC_BASE x2APIC without enable", MSR_APIC_BASE, 0xfee00500, true },
		{ "EFER reserved", MSR_EFER, 0x2500, true },
	};
	uint64_t back = 0;
	struct mach m;
	int r;

	for (size_t i = 0; i < nitems(t); i++) {
		m_open(&m);
		r = write_read(&m, t[i].msr, t[i].val, &back);
		if (t[i].gp) {
			CHECKF(r == GP, "%s: %d", t[i].what, r);
			CHECKF(m_peek(&m, GET(&m, RSP) + 8, 8) == CODE, "%s: read, not written",
			    t[i].what);
			CHECK_EQ(m_peek(&m, GET(&m, RSP), 4), 0);
		} else {
			CHECKF(r == -1, "%s: %d", t[i].what, r);
			CHECKF(back == t[i].val, "%s: %#llx came back", t[i].what,
			    (unsigned long long)back);
		}
		m_close(&m);
	}
}

/* Moved together: MSRs and what else shows them. */
TEST(msrs_and_registers)
{
	struct mach m;
	uint64_t back = 0;

	m_open(&m);
	CHECK_EQ(write_read(&m, MSR_FS_BASE, 0x123456789, &back), -1);
	CHECK_EQ(GET(&m, FS_BASE), 0x123456789);
	CHECK_EQ(write_read(&m, MSR_SYSENTER_CS, 0x1234, &back), -1);
	CHECK_EQ(GET(&m, SYSENTER_CS), 0x1234);
	CHECK_EQ(write_read(&m, MSR_EFER, EFER_LME | EFER_NXE | EFER_SCE, &back), -1);
	/* LMA is the processor's (2.2.1). */
	CHECK_EQ(back, EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE);
	m_close(&m);
	/* ECX selects, its upper half does not count; results are zero-extended. */
	m_open(&m);
	m_mode(&m, LM64, 0);
	SET(&m, TSC_AUX, 0x89abcdef);
	ASM(&m, 64, "mov $-1, %rax; mov $-1, %rdx; movabs $0x12345678c0000103, %rcx; rdmsr");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0x89abcdef);
	CHECK_EQ(GET(&m, RDX), 0);
	m_close(&m);
}

/* 10.4.4, 10.12.1: no way from x2APIC mode back to xAPIC mode but through off; x2APIC registers. */
TEST(x2apic)
{
	struct mach m;

	m_open(&m);
	if ((m_cpuid(&m, 1, 0, 'c') >> 21 & 1) == 0)
		SKIP("the processor has no x2APIC");
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $0x1b, %ecx; xor %edx, %edx; mov $0xfee00d00, %eax; wrmsr;" PROBE ";"
	    "mov $0xfee00900, %eax; wrmsr");
	m_probe(&m);
	CHECK_EQ(GET(&m, APIC_BASE), 0xfee00d00);
	m_expect(&m, GP, 0);
	m_mode(&m, LM64, 0);
	ASM(&m, 64,
	    "mov $0x1b, %ecx; xor %edx, %edx; mov $0xfee00d00, %eax; wrmsr; mov $0x802, %ecx;"
	    "rdmsr; mov %eax, %ebx;"
	    "mov $0x808, %ecx; mov $0x30, %eax; wrmsr; mov %cr8, %rsi; mov $1, %edi;"
	    "mov %rdi, %cr8; rdmsr");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0);			/* the id */
	CHECK_EQ(GET(&m, RSI), 3);
	CHECK_EQ(GET(&m, RAX), 0x10);
	/* Reserved bits, registers that are read-only or not there: #GP(0). */
	static const struct {
		uint32_t msr, val;
		bool read;
	} bad[] = {
		{ 0x802, 0, false }, { 0x803, 0, false }, { 0x80b, 1, false }, { 0x808, 0x100,
		    false }, { 0x80e, 0, true },
		{ 0x80b, 0, true }, { 0x83f, 0, true }, { 0x8ff, 0, true }, { 0x80f, 0x10000,
		    false },
	};
	for (size_t i = 0; i < nitems(bad); i++) {
		m_mode(&m, LM64, 0);
		SET(&m, RSI, bad[i].msr);
		SET(&m, RDI, bad[i].val);
		if (bad[i].read)
			ASM(&m, 64, "mov $0x1b, %ecx; xor %edx, %edx; mov $0xfee00d00, %eax;"
			    "wrmsr; mov %esi, %ecx; rdmsr");
		else
			ASM(&m, 64,
			    "mov $0x1b, %ecx; xor %edx, %edx; mov $0xfee00d00, %eax; wrmsr;"
			    "mov %esi, %ecx; mov %edi, %eax; wrmsr");
		m.what = "x2APIC register";
		m_expect(&m, GP, 0);
	}
	/* Outside of x2APIC mode its MSRs are not there. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $0x802, %ecx; rdmsr");
	m_expect(&m, GP, 0);
	m_close(&m);
}

/* 17.17: the time-stamp counter. */
TEST(time_stamp_counter)
{
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64,
	    .accel = VM_ACCEL_SOFT,
	    .clock = VM_CLOCK_ICOUNT };
	bool adjust, tscp;
	struct mach m;

	m_open(&m);
	adjust = m_cpuid(&m, 0, 0, 'a') >= 7 && (m_cpuid(&m, 7, 0, 'b') >> 1 & 1) != 0;
	tscp = (m_cpuid(&m, 0x80000001, 0, 'd') >> 27 & 1) != 0;
	m_close(&m);

	/* Counts on, and is what is written. */
	m_open_n(&m, 1, &spec);
	m_mode(&m, LM64, 0);
	ASM(&m, 64,
	    "rdtsc; mov %eax, %ebx; rdtsc; sub %ebx, %eax; mov %eax, %esi; mov $0x10, %ecx;"
	    "mov $0x1000, %eax; mov $7, %edx;"
	    "wrmsr; rdtsc; mov %edx, %edi; mov %eax, %r8d; rdmsr; mov %eax, %r9d");
	m_end(&m);
	CHECK_EQ(GET(&m, RSI), 2);			/* 1 GHz, an instruction a nanosecond */
	CHECK_EQ(GET(&m, RDI), 7);
	CHECK(GET(&m, R8) >= 0x1000 && GET(&m, R8) <= 0x1002);
	CHECK_EQ(GET(&m, R9) - GET(&m, R8), 3);
	if (tscp) {
		m_mode(&m, LM64, 3);
		SET(&m, TSC_AUX, 0x55667788);
		SET(&m, RAX, UINT64_MAX);
		SET(&m, RCX, UINT64_MAX);
		SET(&m, RDX, UINT64_MAX);
		ASM(&m, 64, "rdtscp");
		m_end(&m);
		CHECK_EQ(GET(&m, RCX), 0x55667788);
		CHECK_EQ(GET(&m, RAX) >> 32, 0);
		CHECK_EQ(GET(&m, RDX) >> 32, 0);
	}
	/* The caller's register is the guest's counter. */
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "rdtsc");
	SET(&m, TSC, 0x1234500000000);
	m_end(&m);
	CHECK(GET(&m, RAX) < 10);
	CHECK_EQ(GET(&m, RDX), 0x12345);
	CHECK(GET(&m, TSC) >= 0x1234500000000 && GET(&m, TSC) < 0x1234500000000 + 1000);
	/* 17.17.3: a write to either moves the other by as much. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $0x3b, %ecx; rdmsr");
	if (!adjust) {
		m_run(&m);
		CHECK(m_vector(&m) == GP || m.ex.code == VM_EXIT_SYSREG);
		m_close(&m);
		return;
	}
	ASM(&m, 64,
	    "mov $0x3b, %ecx; rdmsr; mov %eax, %ebx; rdtsc; mov %eax, %esi; mov $0x100000, %eax;"
	    "xor %edx, %edx; wrmsr; rdtsc;"
	    "sub %esi, %eax; mov %eax, %edi; mov $0x10, %ecx; rdtsc; add $0x200000, %eax; wrmsr;"
	    "mov $0x3b, %ecx; rdmsr");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0);
	CHECK(GET(&m, RDI) >= 0x100000 && GET(&m, RDI) < 0x100000 + 20);
	CHECK(GET(&m, RAX) >= 0x2ffff0 && GET(&m, RAX) <= 0x300010);
	m_close(&m);
}

/* 10.5.4.1: TSC-deadline mode. */
TEST(tsc_deadline)
{
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64,
	    .accel = VM_ACCEL_SOFT,
	    .clock = VM_CLOCK_ICOUNT };
	struct mach m;

	m_open(&m);
	if ((m_cpuid(&m, 1, 0, 'c') >> 24 & 1) == 0)
		SKIP("the processor has no TSC-deadline timer");
	m_close(&m);
	/* Fires at the count, once; the MSR is zero then. */
	m_open_n(&m, 1, &spec);
	m_mode(&m, PM32, 0);
	ASM(&m, 32,
	    "movl $0x1ff, 0xfee000f0; movl $0x40040, 0xfee00320; rdtsc; add $100000, %eax;"
	    "adc $0, %edx; mov %eax, %esi;"
	    "mov $0x6e0, %ecx; wrmsr; rdmsr; mov %eax, %edi; sti; hlt; cli; rdmsr");
	m_expect(&m, 0x40, NOERR);
	CHECK_EQ(GET(&m, RDI), GET(&m, RSI));
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0);
	CHECK_EQ(GET(&m, RDX), 0);
	m_close(&m);
	m_open_n(&m, 1, &spec);
	m_mode(&m, PM32, 0);
	/* A deadline that has passed fires at once; a write of zero disarms. */
	ASM(&m, 32,
	    "movl $0x1ff, 0xfee000f0; movl $0x40041, 0xfee00320; mov $0x6e0, %ecx; rdtsc; wrmsr;"
	    "sti; nop; nop; nop; cli;"
	    "rdtsc; add $1000, %eax; wrmsr; xor %eax, %eax; xor %edx, %edx; wrmsr; sti;"
	    "mov $2000, %ebx; 1: dec %ebx; jnz 1b; cli");
	m_expect(&m, 0x41, NOERR);
	m_end(&m);
	m_close(&m);
	/* In another timer mode writes are ignored, and it reads as zero. */
	m_open_n(&m, 1, &spec);
	m_mode(&m, PM32, 0);
	ASM(&m, 32,
	    "movl $0x1ff, 0xfee000f0; movl $0x00041, 0xfee00320; mov $0x6e0, %ecx; rdtsc;"
	    "add $1000, %eax; wrmsr; rdmsr;"
	    "sti; mov $2000, %ebx; 1: dec %ebx; jnz 1b; cli");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0);
	m_close(&m);
}

/* CPUID (vol. 2): what it says is what there is. */
TEST(cpuid)
{
	struct mach m;
	uint32_t max, ext, d1, c1, ed;
	char vendor[13] = "";

	m_open(&m);
	max = m_cpuid(&m, 0, 0, 'a');
	CHECK(max >= 1);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t v = m_cpuid(&m, 0, 0, i == 0 ? 'b' : i == 1 ? 'd' : 'c');

		memcpy(vendor + 4 * i, &v, 4);
	}
	CHECK_STR(vendor, "GenuineIntel");
	d1 = m_cpuid(&m, 1, 0, 'd');
	c1 = m_cpuid(&m, 1, 0, 'c');
	/*
	 * fpu de pse tsc msr pae cx8 apic sep mtrr pge cmov pat pse36 clflush mmx fxsr sse sse2:
	 * x86-64-v1.
	 */
	static const uint8_t v1[] = { 0, 2, 3, 4, 5, 6, 8, 9, 11, 12, 13, 15, 16, 17, 19, 23, 24,
	    25, 26 };
	for (size_t i = 0; i < nitems(v1); i++)
		CHECKF((d1 >> v1[i] & 1) != 0, "CPUID.1:EDX bit %u is clear", v1[i]);
	CHECK((c1 >> 31 & 1) != 0);			/* hypervisor */
	ext = m_cpuid(&m, 0x80000000, 0, 'a');
	CHECK(ext >= 0x80000008);
	ed = m_cpuid(&m, 0x80000001, 0, 'd');
	/* NX, LM; SYSCALL may be denied outside of 64-bit mode */
	CHECK((ed >> 20 & 1) != 0 && (ed >> 29 & 1) != 0);
	CHECK_EQ(m_cpuid(&m, 0x80000008, 0, 'a') & 0xffff, 48 << 8 | 41);
	/* APIC in leaf 1 follows its enable (10.4.3); OSXSAVE follows CR4. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32,
	    "mov $0x1b, %ecx; xor %edx, %edx; mov $0xfee00100, %eax; wrmsr; mov $1, %eax; cpuid;"
	    "mov %edx, %esi;"
	    "mov $0x1b, %ecx; xor %edx, %edx; mov $0xfee00900, %eax; wrmsr; mov $1, %eax; cpuid;"
	    "mov %edx, %edi");
	m_end(&m);
	CHECK_EQ(GET(&m, RSI) >> 9 & 1, 0);
	CHECK_EQ(GET(&m, RDI) >> 9 & 1, 1);
	/* Results are zero-extended; level 3 may ask. */
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "mov $-1, %rbx; mov $-1, %rdx; movabs $0xffffffff00000000, %rax;"
	    "xor %ecx, %ecx; cpuid");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), max);
	CHECK_EQ(GET(&m, RBX), 0x756e6547);
	CHECK_EQ(GET(&m, RDX), 0x49656e69);
	/* Leaves in between the basic and the extended ones answer as the highest basic leaf. */
	CHECK_EQ(m_cpuid(&m, 0x30000000, 0, 'a'), m_cpuid(&m, max, 0, 'a'));
	CHECK_EQ(m_cpuid(&m, 0x30000000, 0, 'b'), m_cpuid(&m, max, 0, 'b'));
	m_close(&m);
}

/* Features that CPUID denies are not there: #UD, and reserved bits of CR4. */
TEST(features_that_are_denied)
{
	static const struct {
		const char *what, *code;
		unsigned len;
		uint32_t leaf;
		char reg;
		unsigned bit;
	} t[] = {
		{ "popcnt", "\xf3\x0f\xb8\xc0", 4, 1, 'c', 23 },
		{ "movbe", "\x0f\x38\xf0\x03", 4, 1, 'c', 22 },
		{ "cmpxchg16b", "\x48\x0f\xc7\x0b", 4, 1, 'c', 13 },
		{ "pshufb", "\x66\x0f\x38\x00\xc0", 5, 1, 'c', 9 },
		{ "addsubps", "\xf2\x0f\xd0\xc0", 4, 1, 'c', 0 },
		{ "pmulld", "\x66\x0f\x38\x40\xc0", 5, 1, 'c', 19 },
		{ "crc32", "\xf2\x0f\x38\xf1\xc0", 5, 1, 'c', 20 },
		{ "aesenc", "\x66\x0f\x38\xdc\xc0", 5, 1, 'c', 25 },
		{ "pclmulqdq", "\x66\x0f\x3a\x44\xc0\x00", 6, 1, 'c', 1 },
		{ "rdrand", "\x0f\xc7\xf0", 3, 1, 'c', 30 },
		{ "rdseed", "\x0f\xc7\xf8", 3, 7, 'b', 18 },
		{ "xgetbv", "\x0f\x01\xd0", 3, 1, 'c', 27 },
		{ "monitor", "\x0f\x01\xc8", 3, 1, 'c', 3 },
		{ "vaddps", "\xc5\xf8\x58\xc0", 4, 1, 'c', 28 },
		{ "rdtscp", "\x0f\x01\xf9", 3, 0x80000001, 'd', 27 },
		{ "rdpid", "\xf3\x0f\xc7\xf8", 4, 7, 'c', 22 },
		{ "adcx", "\x66\x0f\x38\xf6\xc0", 5, 7, 'b', 19 },
		{ "sha1msg1", "\x0f\x38\xc9\xc0", 4, 7, 'b', 29 },
		{ "clwb", "\x66\x0f\xae\x33", 4, 7, 'b', 24 },
		{ "lahf in 64-bit mode", "\x9f", 1, 0x80000001, 'c', 0 },
		{ "andn", "\xc4\xe2\x78\xf2\xc0", 5, 7, 'b', 3 },
		{ "invpcid", "\x66\x0f\x38\x82\x03", 5, 7, 'b', 10 },
		{ "xbegin", "\xc7\xf8\0\0\0\0", 6, 7, 'b', 11 },
		{ "3DNow!", "\x0f\x0f\xc0\x9e", 4, 0x80000001, 'd', 31 },
		{ "movntss of AMD", "\xf3\x0f\x2b\x03", 4, 0x80000001, 'c', 6 },
	};
	struct mach m;

	m_open(&m);
	for (size_t i = 0; i < nitems(t); i++) {
		uint32_t max = m_cpuid(&m, t[i].leaf & 0x80000000, 0, 'a');
		bool has = max >= t[i].leaf && (m_cpuid(&m, t[i].leaf, 0,
		    t[i].reg) >> t[i].bit & 1) != 0;

		m.what = t[i].what;
		m_mode(&m, LM64, 0);
		SET(&m, CR4, CR4_PAE | CR4_OSFXSR | CR4_OSXMM);
		SET(&m, RBX, DATA);
		m_bytes(&m, CODE, t[i].code, t[i].len);
		m_bytes(&m, CODE + t[i].len, "\xe6\xf4", 2);
		m_run(&m);
		if (has)
			CHECKF(m_vector(&m) != UD, "%s: CPUID has it, it is undefined", t[i].what);
		else
			CHECKF(m_vector(&m) == UD, "%s: CPUID has it not, vector %d", t[i].what,
			    m_vector(&m));
	}
	m_close(&m);
}

/*
 * An MSR that nobody models comes out to the caller, with the number; an unanswered read is all
 * ones or #GP as the caller says.
 */
TEST(unknown_registers)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "mov $0x12345, %ecx; rdmsr");
	m_expect(&m, GP, 0);				/* never from level 3 */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $0x12345, %ecx; rdmsr");
	m_run(&m);
	CHECK(m_vector(&m) == GP || m.ex.code == VM_EXIT_SYSREG);
	if (m.ex.code == VM_EXIT_SYSREG) {
		CHECK_EQ(m.ex.u.sysreg.reg, 0x12345);
		CHECK(!m.ex.u.sysreg.write);
		/* The caller may answer by an exception. */
		CHECKF(vm_amd64_inject_exception(m.cpu, GP, 1, 0, 1) == 0, "%s", vm_errmsg());
		m_expect(&m, GP, 0);
		CHECK_EQ(m.f.rip, CODE + 5);
	}
	m_close(&m);
}

TEST_MAIN()
