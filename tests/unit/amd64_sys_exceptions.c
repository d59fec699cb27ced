/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_exceptions.c - chapter 6: every exception's vector, error code, saved RIP and priority.
 */
#include "amd64_fixture.h"

/* 6.15, one exception after the other: vector, error code, where the saved RIP points. */

struct simple {
	const char	*name;
	const char	*code;
	unsigned	 len;		/* of code */
	unsigned	 vec;
	int		 err;
	unsigned	 off;		/* saved RIP - CODE */
};

#define	CASE(name, bytes, vec, err, off)	{ name, bytes, sizeof(bytes) - 1, vec, err, off }

static void
run_simple(const struct simple *s, size_t n, enum mode mode, unsigned cpl, bool moves_sp)
{
	struct mach m;
	uint64_t rsp;

	for (size_t i = 0; i < n; i++) {
		m_open(&m);
		m.what = s[i].name;
		m_mode(&m, mode, cpl);
		m_bytes(&m, CODE, s[i].code, s[i].len);
		m_bytes(&m, CODE + s[i].len, "\xe6\xf4", 2);
		SET(&m, RBX, DATA);
		rsp = GET(&m, RSP);
		m_expect(&m, s[i].vec, s[i].err);
		CHECK_EQ(m.f.rip, m.ip0 + s[i].off);
		if (m.f.has_ss && !moves_sp)
			CHECK_EQ(m.f.rsp, rsp);
		/* Interrupt gates clear IF, TF, NT, RF and VM of the handler (6.12.1.2, 6.8.1). */
		CHECK_EQ(GET(&m, RFLAGS) & (FL_IF | FL_TF | FL_NT | FL_RF | FL_VM), 0);
		m_close(&m);
	}
}

/* The bytes mean the same in 32- and 64-bit code.  RBX points to data that is zero. */
static const struct simple both[] = {
	CASE("div %al by 0", "\x30\xc0\xf6\xf0", DE, NOERR, 2),
	CASE("idiv overflow", "\xb8\x00\x80\x00\x00\xb2\xff\xf6\xfa", DE, NOERR, 7),
	CASE("int3", "\xcc", BP, NOERR, 1),
	CASE("int $3", "\xcd\x03", BP, NOERR, 2),
	CASE("int $0x80", "\xcd\x80", 0x80, NOERR, 2),
	CASE("ud2", "\x0f\x0b", UD, NOERR, 0),
	CASE("ud1", "\x0f\xb9\xc0", UD, NOERR, 0),
	CASE("undefined opcode 0f 04", "\x0f\x04", UD, NOERR, 0),
	CASE("lock nop", "\xf0\x90", UD, NOERR, 0),
	CASE("lock mov to memory", "\xf0\x89\x03", UD, NOERR, 0),
	CASE("lock add to a register", "\xf0\x01\xc0", UD, NOERR, 0),
	CASE("lock cmp", "\xf0\x39\x03", UD, NOERR, 0),
	CASE("lea of a register", "\x8d\xc0", UD, NOERR, 0),
	CASE("mov to cs", "\x8e\xc8", UD, NOERR, 0),
	CASE("mov to segment 6", "\x8e\xf0", UD, NOERR, 0),
	CASE("cmpxchg8b of a register", "\x0f\xc7\xc8", UD, NOERR, 0),
	CASE("fe /7", "\xfe\xf8", UD, NOERR, 0),
	CASE("ff /7", "\xff\xf8", UD, NOERR, 0),
	CASE("far call of a register", "\xff\xd8", UD, NOERR, 0),
	CASE("vmread without VMX", "\x0f\x78\xc0", UD, NOERR, 0),
	CASE("vmxon without CR4.VMXE", "\xf3\x0f\xc7\x33", UD, NOERR, 0),
	CASE("vmlaunch", "\x0f\x01\xc2", UD, NOERR, 0),
	CASE("getsec", "\x0f\x37", UD, NOERR, 0),
	CASE("rsm outside of SMM", "\x0f\xaa", UD, NOERR, 0),
	/* 6.15, interrupt 13: an instruction of more than 15 bytes. */
	CASE("16 bytes", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90", GP, 0,
	    0),
};

TEST(exceptions_in_32_bit_code)
{
	static const struct simple only32[] = {
		CASE("into", "\xb8\xff\xff\xff\x7f\x83\xc0\x01\xce", OF, NOERR, 9),
		CASE("bound", "\xb8\x01\x00\x00\x00\x62\x03", BR, NOERR, 5),
		CASE("bound of a register", "\x62\xc0\x90", UD, NOERR, 0),
		CASE("aam 0", "\xd4\x00", DE, NOERR, 0),
		CASE("les of a register", "\xc4\xc0", UD, NOERR, 0),
		CASE("syscall of Intel outside 64-bit mode", "\x0f\x05", UD, NOERR, 0),
		CASE("sysret of Intel outside 64-bit mode", "\x0f\x07", UD, NOERR, 0),
		CASE("swapgs outside 64-bit mode", "\x0f\x01\xf8", UD, NOERR, 0),
	};

	run_simple(both, sizeof(both) / sizeof(both[0]), PM32, 0, false);
	run_simple(only32, sizeof(only32) / sizeof(only32[0]), PM32, 0, false);
	run_simple(only32, sizeof(only32) / sizeof(only32[0]), PG32, 3, false);
}

TEST(exceptions_in_64_bit_code)
{
	static const struct simple only64[] = {
		CASE("push es", "\x06", UD, NOERR, 0),
		CASE("pop ds", "\x1f", UD, NOERR, 0),
		CASE("daa", "\x27", UD, NOERR, 0),
		CASE("aaa", "\x37", UD, NOERR, 0),
		CASE("pusha", "\x60", UD, NOERR, 0),
		CASE("popa", "\x61", UD, NOERR, 0),
		CASE("82 alias", "\x82\xc0\x01", UD, NOERR, 0),
		CASE("far call immediate", "\x9a\0\0\0\0\0\0", UD, NOERR, 0),
		CASE("into", "\xce", UD, NOERR, 0),
		CASE("aam", "\xd4\x0a", UD, NOERR, 0),
		CASE("salc", "\xd6", UD, NOERR, 0),
		CASE("far jump immediate", "\xea\0\0\0\0\0\0", UD, NOERR, 0),
		CASE("syscall without EFER.SCE", "\x0f\x05", UD, NOERR, 0),
		CASE("sysret without EFER.SCE", "\x0f\x07", UD, NOERR, 0),
	};
	/*
	 * Vol. 1 3.3.7.1, vol. 2 at each instruction: #SS where the stack segment is implied,
	 * else #GP.
	 */
	static const struct simple noncanon[] = {
		CASE("mov to non-canonical", "\x48\xb8\0\0\0\0\0\0\0\x80\x88\x08", GP, 0, 10),
		CASE("mov to first non-canonical", "\x48\xb8\0\0\0\0\0\x80\0\0\x8a\x08", GP, 0, 10),
		CASE("mov from last before the upper half",
		    "\x48\xb8\xff\xff\xff\xff\xff\x7f\xff\xff\x8a\x08", GP, 0, 10),
		CASE("push to non-canonical", "\x48\xbc\0\0\0\0\0\0\0\x80\x50", SS, 0, 10),
		CASE("pop from non-canonical", "\x48\xbc\0\0\0\0\0\0\0\x80\x58", SS, 0, 10),
		CASE("rbp-based non-canonical", "\x48\xbd\0\0\0\0\0\0\0\x80\x8b\x45\x00", SS, 0,
		    10),
		CASE("rsp-based non-canonical", "\x48\xbc\0\0\0\0\0\0\0\x80\x8b\x04\x24", SS, 0,
		    10),
		CASE("fs: overrides the stack segment",
		    "\x48\xbd\0\0\0\0\0\0\0\x80\x64\x8b\x45\x00", GP, 0, 10),
		CASE("call from a non-canonical stack", "\x48\xbc\0\0\0\0\0\0\0\x80\xe8\0\0\0\0",
		    SS, 0, 10),
		CASE("enter on a non-canonical stack", "\x48\xbc\0\0\0\0\0\0\0\x80\xc8\0\0\0", SS,
		    0, 10),
		CASE("leave to a non-canonical stack", "\x48\xbd\0\0\0\0\0\0\0\x80\xc9", SS, 0, 10),
		CASE("jmp to non-canonical", "\x48\xb8\0\0\0\0\0\0\0\x80\xff\xe0", GP, 0, 10),
		CASE("call to non-canonical", "\x48\xb8\0\0\0\0\0\0\0\x80\xff\xd0", GP, 0, 10),
		CASE("ret to non-canonical", "\x48\xb8\0\0\0\0\0\0\0\x80\x50\xc3", GP, 0, 11),
	};

	run_simple(both, sizeof(both) / sizeof(both[0]), LM64, 0, false);
	run_simple(both, sizeof(both) / sizeof(both[0]), LM64, 3, false);
	run_simple(only64, sizeof(only64) / sizeof(only64[0]), LM64, 3, false);
	run_simple(noncanon, sizeof(noncanon) / sizeof(noncanon[0]), LM64, 3, true);
}

/*
 * Faulting stack instructions leave RSP as it was (6.5: a fault restores the state before the
 * instruction).
 */
TEST(a_fault_leaves_registers_as_they_were)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "movabs $0x8000000000000000, %rsp; mov %rsp, %r8; 1: call 1b");
	/* The handler has its own stack: by IST. */
	m_gate(&m, SS, 14, 0, S_CODE64, STUBS + 16 * SS, 1);
	m_expect(&m, SS, 0);
	CHECK_EQ(m.f.rsp, 0x8000000000000000ULL);
	CHECK_EQ(m.f.at, IST1 - 40);

	m_mode(&m, PG32, 3);
	m_pte(&m, DATA + 0x1000, 0);
	ASM(&m, 32,
	    "mov $0x40ffe, %esi; mov $0x40800, %edi; mov $0x11111111, %eax; lodsl");
	m_expect(&m, PF, PFE_U);
	CHECK_EQ(GET(&m, RSI), 0x40ffe);
	CHECK_EQ(GET(&m, RAX), 0x11111111);
	CHECK_EQ(GET(&m, CR2), 0x41000);

	/*
	 * POPA loads nothing if its last pop faults; PUSHA stores may have happened, ESP has not.
	 */
	m_mode(&m, PG32, 3);
	m_pte(&m, DATA + 0x1000, 0);
	ASM(&m, 32, "mov $0x40ff0, %esp; mov $0x1234, %edi; mov $0x5678, %eax; popal");
	m_expect(&m, PF, PFE_U);
	CHECK_EQ(GET(&m, RDI), 0x1234);
	CHECK_EQ(m.f.rsp, 0x40ff0);

	m_mode(&m, PG32, 3);
	m_pte(&m, DATA, 0);
	ASM(&m, 32, "mov $0x41008, %esp; pushal");
	m_expect(&m, PF, PFE_U | PFE_W);
	CHECK_EQ(m.f.rsp, 0x41008);
	CHECK_EQ(GET(&m, CR2), 0x40ffc);

	/* A memory destination that spans a bad page is not written in part. */
	m_mode(&m, PG32, 3);
	m_pte(&m, DATA + 0x1000, 0);
	m_poke(&m, DATA + 0xff8, 0x1122334455667788, 8);
	ASM(&m, 32, "addl $1, 0x40ffe");
	m_expect(&m, PF, PFE_U | PFE_W);
	CHECK_EQ(m_peek(&m, DATA + 0xff8, 8), 0x1122334455667788);
	m_mode(&m, PG32, 3);
	m_pte(&m, DATA + 0x1000, 0);
	ASM(&m, 32, "movl $-1, 0x40ffd");
	m_expect(&m, PF, PFE_U | PFE_W);
	CHECK_EQ(m_peek(&m, DATA + 0xff8, 8), 0x1122334455667788);
	m_close(&m);
}

/* 6.15: #NM by EM and TS (2.5, table 2-2), #MF by CR0.NE, #XM by OSXMMEXCPT. */
TEST(floating_point_exceptions)
{
	static const struct {
		uint32_t cr0;
		const char *code;
		unsigned len;
		int vec;
	} t[] = {
		{ CR0_EM, "\xd9\xee", 2, NM },			/* fldz */
		{ CR0_TS, "\xd9\xee", 2, NM },
		{ CR0_TS, "\x9b", 1, -1 },			/* wait without MP */
		{ CR0_TS | CR0_MP, "\x9b", 1, NM },
		{ CR0_MP, "\x9b", 1, -1 },
		{ CR0_EM, "\x9b", 1, -1 },			/* wait ignores EM */
		{ CR0_EM, "\x0f\x57\xc0", 3, UD },		/* xorps */
		{ CR0_TS, "\x0f\x57\xc0", 3, NM },
		{ CR0_EM, "\x0f\xef\xc0", 3, UD },		/* pxor mm */
		{ CR0_TS, "\x0f\xef\xc0", 3, NM },
		{ CR0_EM | CR0_TS, "\x0f\xef\xc0", 3, UD },
		{ CR0_EM, "\x0f\xae\x03", 3, NM },		/* fxsave */
		{ CR0_TS, "\x0f\xae\x03", 3, NM },
		{ CR0_TS, "\x0f\xc3\x03", 3, -1 },		/* movnti needs no SSE state */
	};
	struct mach m;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		m_open(&m);
		m.what = t[i].code[0] == 0x0f ? "SSE or MMX" : "x87";
		m_mode(&m, LM64, 0);
		SET(&m, CR0, GET(&m, CR0) | t[i].cr0);
		SET(&m, CR4, CR4_PAE | CR4_OSFXSR);
		SET(&m, RBX, DATA);
		m_bytes(&m, CODE, t[i].code, t[i].len);
		m_bytes(&m, CODE + t[i].len, "\xe6\xf4", 2);
		if (t[i].vec < 0)
			m_end(&m);
		else {
			m_expect(&m, (unsigned)t[i].vec, NOERR);
			CHECK_EQ(m.f.rip, CODE);
		}
		m_close(&m);
	}

	/* 16-byte operands are aligned where the instruction says so (vol. 2): #GP(0). */
	static const struct {
		const char *code;
		unsigned len, vec;
	} al[] = {
		{ "\x0f\x29\x43\x08", 4, GP }, { "\x0f\x28\x43\x08", 4, GP }, {
		    "\x66\x0f\x6f\x43\x04", 5, GP },
		{ "\x66\x0f\xe7\x43\x08", 5, GP }, { "\x0f\x58\x43\x08", 4, GP }, {
		    "\x0f\xae\x43\x08", 4, GP },
		{ "\x0f\x28\x44\x24\x08", 5, GP }, { "\x0f\x11\x43\x08", 4, 0 },
	};
	for (size_t i = 0; i < sizeof(al) / sizeof(al[0]); i++) {
		m_open(&m);
		m.what = "alignment";
		m_mode(&m, LM64, 3);
		SET(&m, CR4, CR4_PAE | CR4_OSFXSR);
		SET(&m, RBX, DATA);
		m_bytes(&m, CODE, al[i].code, al[i].len);
		m_bytes(&m, CODE + al[i].len, "\xe6\xf4", 2);
		if (al[i].vec != 0)
			m_expect(&m, al[i].vec, 0);
		else
			m_end(&m);
		m_close(&m);
	}

	/* Without CR4.OSFXSR SSE is undefined (2.5). */
	m_open(&m);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "xorps %xmm0, %xmm0");
	m_expect(&m, UD, NOERR);
	/* TS does not matter then. */
	m_mode(&m, LM64, 3);
	SET(&m, CR0, GET(&m, CR0) | CR0_TS);
	ASM(&m, 64, "xorps %xmm0, %xmm0");
	m_expect(&m, UD, NOERR);

	/* #MF comes with the next waiting instruction, whose address is saved. */
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "fninit; fldcw 1f(%rip); fld1; fldz; .byte 0xde, 0xf9; nop; fnop; jmp 2f;"
	    "1: .word 0x33b; 2:");
	m_expect(&m, MF, NOERR);
	CHECK_EQ(m_peek(&m, m.f.rip, 2), 0xd0d9);	/* fnop */
	/* Non-waiting instructions do not report it. */
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "fninit; fldcw 1f(%rip); fld1; fldz; .byte 0xde, 0xf9; fnstsw %ax; fnclex;"
	    "fnop; jmp 2f; 1: .word 0x33b; 2:");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX) & 0x84, 0x84);		/* ES and ZE */

	/* #XM, or #UD without CR4.OSXMMEXCPT; the destination keeps its value. */
	for (int on = 0; on < 2; on++) {
		m_mode(&m, LM64, 3);
		SET(&m, CR4, CR4_PAE | CR4_OSFXSR | (on ? CR4_OSXMM : 0));
		ASM(&m, 64,
		    "movl $0x1d80, (%rsp); ldmxcsr (%rsp); mov $0x3f800000, %eax; movd %eax, %xmm0;"
		    "xorps %xmm1, %xmm1; divss %xmm1, %xmm0");
		m_expect(&m, on ? XM : UD, NOERR);
		CHECK_EQ(m_peek(&m, m.f.rip, 4), 0xc15e0ff3);
		m_close(&m);
		m_open(&m);
	}
	m_close(&m);
}

/* 6.15, interrupt 17. */
TEST(alignment_check)
{
	static const struct {
		const char *name, *code;
		unsigned len;
		bool fault;
	} t[] = {
		{ "mov %eax,1(%rbx)", "\x89\x43\x01", 3, true },
		{ "mov %eax,4(%rbx)", "\x89\x43\x04", 3, false },
		{ "mov %ax,1(%rbx)", "\x66\x89\x43\x01", 4, true },
		{ "mov %ax,2(%rbx)", "\x66\x89\x43\x02", 4, false },
		{ "mov %al,1(%rbx)", "\x88\x43\x01", 3, false },
		{ "mov 4(%rbx),%rax", "\x48\x8b\x43\x04", 4, true },
		{ "add %eax,2(%rbx)", "\x01\x43\x02", 3, true },
		{ "lock add %eax,2(%rbx)", "\xf0\x01\x43\x02", 4, true },
		{ "push at 2", "\x48\x83\xec\x02\x50", 5, true },
		{ "movsl", "\x48\x8d\x73\x01\x48\x8d\x7b\x20\xa5", 9, true },
		{ "fldl 4(%rbx)", "\xdd\x43\x04", 3, true },
		{ "flds 4(%rbx)", "\xd9\x43\x04", 3, false },
	};
	struct mach m;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		for (unsigned k = 0; k < 4; k++) {
			/* It takes AM, AC and level 3, all of them. */
			bool am = k != 1, ac = k != 2;
			unsigned cpl = k == 3 ? 0 : 3;

			m_open(&m);
			m.what = t[i].name;
			m_mode(&m, LM64, cpl);
			SET(&m, CR0, GET(&m, CR0) | (am ? CR0_AM : 0));
			SET(&m, CR4, CR4_PAE | CR4_OSFXSR);
			SET(&m, RFLAGS, 2 | (ac ? FL_AC : 0));
			SET(&m, RBX, DATA);
			m_bytes(&m, CODE, t[i].code, t[i].len);
			m_bytes(&m, CODE + t[i].len, "\xe6\xf4", 2);
			if (t[i].fault && k == 0)
				m_expect(&m, AC, 0);
			else
				m_end(&m);
			m_close(&m);
		}
	}
	/*
	 * System structures are not checked: a descriptor load from an unaligned table, and the
	 * push of a frame by a handler's stack, are accesses of level 0.
	 */
	m_open(&m);
	m_mode(&m, PG32, 3);
	SET(&m, CR0, GET(&m, CR0) | CR0_AM);
	SET(&m, RFLAGS, 2 | FL_AC);
	m_desc(&m, VM_AMD64_REG_LDTR, S_LDT, LDT + 1, 0xf, 0x82);
	m_poke(&m, LDT + 1, m_segdesc(0, 0xfffff, 0xf3, 0xc), 8);
	m_poke(&m, TSS + 4, KSTACK - 3, 4);
	ASM(&m, 32, "mov $7, %eax; mov %eax, %es; int $0x80");
	m_expect(&m, 0x80, NOERR);
	/* A page fault comes before it: lower in table 6-2 is what an access finds last. */
	m_mode(&m, PG32, 3);
	SET(&m, CR0, GET(&m, CR0) | CR0_AM);
	SET(&m, RFLAGS, 2 | FL_AC);
	m_pte(&m, DATA, 0);
	ASM(&m, 32, "mov 0x40100, %eax; mov 0x40101, %eax");
	m_expect(&m, PF, PFE_U);
	m_close(&m);
}

/* Vol. 1 3.3.7.1: the edges of the canonical halves; accesses and code that reach over them. */
TEST(edges_of_the_canonical_halves)
{
	struct mach m;

	/* The last page of the lower half: PML4[255], and its last entries. */
	m_open(&m);
	for (unsigned i = 0; i < 4; i++) {
		m_mode(&m, LM64, 0);
		m_fill(&m, 0x71000, 0, 0x3000);
		m_poke(&m, PML4 + 8 * 255, 0x71000 | PG_ALL, 8);
		m_poke(&m, 0x71000 + 8 * 511, 0x72000 | PG_ALL, 8);
		m_poke(&m, 0x72000 + 8 * 511, 0x73000 | PG_ALL, 8);
		m_poke(&m, 0x73000 + 8 * 511, 0x60000 | PG_ALL, 8);
		m_fill(&m, 0x60000, 0x90, 0x1000);
		switch (i) {
		case 0:
			ASM(&m, 64, "movabs $0x7ffffffffff8, %rbx; mov (%rbx), %rax;"
			    "mov 4(%rbx), %rcx");
			m_expect(&m, GP, 0);
			CHECK_EQ(GET(&m, RAX), 0x9090909090909090);
			CHECK_EQ(m.f.rip, CODE + 13);
			break;
		case 1:
			ASM(&m, 64, "movabs $0x800000000000, %rsp; pop %rax");
			m_gate(&m, SS, 14, 0, S_CODE64, STUBS + 16 * SS, 1);
			m_expect(&m, SS, 0);
			break;
		case 2:
			/* Code that runs out of the half. */
			ASM(&m, 64, "movabs $0x7ffffffffffe, %rbx; jmp *%rbx");
			m_expect(&m, GP, 0);
			CHECK_EQ(m.f.rip, 0x800000000000);
			break;
		default:
			/* An instruction that lies across. */
			m_bytes(&m, 0x60fff, "\xb8", 1);
			ASM(&m, 64, "movabs $0x7fffffffffff, %rbx; jmp *%rbx");
			m_expect(&m, GP, 0);
			CHECK_EQ(m.f.rip, 0x7fffffffffff);
			break;
		}
	}
	/* From the upper half downwards. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "movabs $0xffff800000000000, %rsp; push %rax");
	m_gate(&m, SS, 14, 0, S_CODE64, STUBS + 16 * SS, 1);
	m_expect(&m, SS, 0);
	m_close(&m);
}

/* The error code of selectors: index, TI, IDT and EXT (6.13, figure 6-6). */
TEST(selector_error_codes)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x1f8, %eax; mov %eax, %ds; nop");
	m_expect(&m, GP, 0x1f8);			/* empty descriptor */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x1003, %eax; mov %eax, %ds");
	/* beyond the limit; RPL is no part of the code */
	m_expect(&m, GP, 0x1000);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x107, %eax; mov %eax, %fs");
	m_expect(&m, GP, 0x104);			/* LDT */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x90, %eax; mov %eax, %ds");
	m_expect(&m, NP, 0x90);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x90, %eax; mov %eax, %ss");
	m_expect(&m, SS, 0x90);
	/* INT n with a gate of too low DPL, an empty one, one not present, one beyond the limit. */
	m_mode(&m, PG32, 3);
	ASM(&m, 32, "int $0x44");
	m_expect(&m, GP, 0x44 * 8 + 2);
	CHECK_EQ(m.f.rip, CODE);
	m_mode(&m, PM32, 0);
	m_poke(&m, IDT + 8 * 0x44, 0, 8);
	ASM(&m, 32, "int $0x44");
	m_expect(&m, GP, 0x44 * 8 + 2);
	m_mode(&m, PM32, 0);
	m_poke(&m, IDT + 8 * 0x44 + 5, 0x0e, 1);
	ASM(&m, 32, "int $0x44");
	m_expect(&m, NP, 0x44 * 8 + 2);
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_IDTR, 0, IDT, 0x44 * 8 + 6, 0);
	ASM(&m, 32, "int $0x44");
	m_expect(&m, GP, 0x44 * 8 + 2);
	m_mode(&m, LM64, 0);
	m_desc(&m, VM_AMD64_REG_IDTR, 0, IDT, 0x44 * 16 + 14, 0);
	ASM(&m, 64, "int $0x44");
	m_expect(&m, GP, 0x44 * 8 + 2);
	/* INT3 is checked against the DPL as well, a fault is not. */
	m_mode(&m, PG32, 3);
	m_gate(&m, BP, 14, 0, S_CODE32, STUBS + 16 * BP, 0);
	ASM(&m, 32, "int3");
	m_expect(&m, GP, BP * 8 + 2);
	/* The exception's own gate: EXT is set when it was no INT n. */
	m_mode(&m, PM32, 0);
	m_poke(&m, IDT + 8 * UD + 5, 0x0e, 1);
	ASM(&m, 32, "ud2");
	m_expect(&m, NP, UD * 8 + 3);
	m_mode(&m, PM32, 0);
	m_gate(&m, UD, 14, 0, 0, STUBS, 0);		/* null code selector in the gate */
	ASM(&m, 32, "ud2");
	m_expect(&m, GP, 1);
	m_mode(&m, PM32, 0);
	m_gate(&m, UD, 14, 0, S_DATA, STUBS, 0);
	ASM(&m, 32, "ud2");
	m_expect(&m, GP, S_DATA + 1);
	m_mode(&m, PM32, 0);
	m_gate(&m, UD, 14, 0, S_NPCODE, STUBS, 0);
	ASM(&m, 32, "ud2");
	m_expect(&m, NP, S_NPCODE + 1);
	m_mode(&m, PM32, 0);
	m_gate(&m, 0x44, 14, 0, S_NPCODE, STUBS, 0);
	ASM(&m, 32, "int $0x44");
	m_expect(&m, NP, S_NPCODE);			/* INT n is not external */
	/* A handler of lower privilege (6.12.1.1): #GP. */
	m_mode(&m, PM32, 0);
	m_gate(&m, 0x44, 14, 0, U_CODE32, STUBS, 0);
	ASM(&m, 32, "int $0x44");
	m_expect(&m, GP, U_CODE32 & ~3);
	/* Long mode: the handler must be 64-bit code. */
	m_mode(&m, LM64, 0);
	m_gate(&m, 0x44, 14, 0, S_CODE32, STUBS, 0);
	ASM(&m, 64, "int $0x44");
	m_expect(&m, GP, S_CODE32);
	m_close(&m);
}

/* Priorities between exceptions of one instruction (6.9, table 6-2). */
TEST(priorities)
{
	struct mach m;

	m_open(&m);
	/*
	 * Fetch: a page fault on the second page of an instruction comes before what decoding
	 * would say.
	 */
	m_mode(&m, LM64, 3);
	m_bytes(&m, 0x50fff, "\x0f", 1);
	m_pte(&m, 0x51000, 0);
	SET(&m, RIP, 0x50fff);
	m_expect(&m, PF, PFE_U);
	CHECK_EQ(GET(&m, CR2), 0x51000);
	CHECK_EQ(m.f.rip, 0x50fff);
	/* But an instruction that ends with the page is not touched by the next one. */
	m_mode(&m, LM64, 3);
	m_bytes(&m, 0x50ffe, "\x0f\x0b", 2);
	m_pte(&m, 0x51000, 0);
	SET(&m, RIP, 0x50ffe);
	m_expect(&m, UD, NOERR);
	/* Undefined before privileged: LOCK with HLT at level 3. */
	m_mode(&m, LM64, 3);
	ASM(&m, 64, ".byte 0xf0; hlt");
	m_expect(&m, UD, NOERR);
	/* Privilege before the memory operand: LGDT from a missing page at level 3. */
	m_mode(&m, LM64, 3);
	m_pte(&m, DATA, 0);
	ASM(&m, 64, "lgdt 0x40000");
	m_expect(&m, GP, 0);
	/* #NM before the memory operand. */
	m_mode(&m, LM64, 3);
	SET(&m, CR0, GET(&m, CR0) | CR0_TS);
	m_pte(&m, DATA, 0);
	ASM(&m, 64, "fldl 0x40000");
	m_expect(&m, NM, NOERR);
	/* #PF on the divisor before #DE. */
	m_mode(&m, LM64, 3);
	m_pte(&m, DATA, 0);
	ASM(&m, 64, "divl 0x40000");
	m_expect(&m, PF, PFE_U);
	/* Segment limit before page: #GP. */
	m_mode(&m, PG32, 3);
	m_desc(&m, VM_AMD64_REG_DS, U_DATA, 0, 0xfff, 0x40f3);
	m_pte(&m, DATA, 0);
	ASM(&m, 32, "mov 0x40000, %eax");
	m_expect(&m, GP, 0);
	/* #NM is found when decoding, before an x87 error that is pending. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64,
	    "fninit; fldcw 1f(%rip); fld1; fldz; .byte 0xde, 0xf9; mov %cr0, %rax; or $8, %rax;"
	    "mov %rax, %cr0; fnop;"
	    "1: .word 0x33b");
	m_expect(&m, NM, NOERR);
	m_close(&m);
}

/* RF in the saved flags (17.3.1.1, 6.8.3): set by faults, not by traps, software interrupts. */
TEST(resume_flag_of_frames)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "ud2");
	m_expect(&m, UD, NOERR);
	CHECK((m.f.flags & FL_RF) != 0);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "int3");
	m_expect(&m, BP, NOERR);
	CHECK_EQ(m.f.flags & FL_RF, 0);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "int $0x80");
	m_expect(&m, 0x80, NOERR);
	CHECK_EQ(m.f.flags & FL_RF, 0);
	/* A page fault in the middle of a repeated string instruction. */
	m_mode(&m, LM64, 3);
	m_pte(&m, DATA + 0x1000, 0);
	ASM(&m, 64, "mov $0x40ff0, %edi; mov $100, %ecx; rep stosb");
	m_expect(&m, PF, PFE_U | PFE_W);
	CHECK((m.f.flags & FL_RF) != 0);
	CHECK_EQ(GET(&m, RCX), 84);
	CHECK_EQ(GET(&m, RDI), 0x41000);
	m_close(&m);
}

/* Exceptions that the caller makes pending (vm_amd64_inject_exception()). */
TEST(injected_exceptions)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "mov $1, %eax");
	CHECKF(vm_amd64_inject_exception(m.cpu, GP, 1, 0x1230, 1) == 0, "%s", vm_errmsg());
	CHECK_EQ(vm_amd64_inject_exception(m.cpu, GP, 1, 0, 1), -1);
	m_expect(&m, GP, 0x1230);
	CHECK_EQ(m.f.rip, CODE);
	CHECK_EQ(GET(&m, RAX), 0);
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 1);
	m_close(&m);
}

TEST_MAIN()
