/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_privilege.c - section 5.8: call gates, far transfers, RET and IRET between levels,
 * conforming code.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

/* Far jumps and calls to code segments (5.8.1). */
TEST(far_transfers_to_code)
{
	static const struct {
		const char *what;
		uint16_t sel;
		int vec0, err0, vec3, err3;	/* vec -1: arrives */
		unsigned rpl3;			/* CS.RPL after it at level 3 */
	} t[] = {
		{ "null", 0, GP, 0, GP, 0, 0 },
		{ "null with RPL", 2, GP, 0, GP, 0, 0 },
		{ "code of DPL 0", S_CODE32, -1, 0, GP, S_CODE32, 0 },
		{ "code of DPL 0 with RPL 3", S_CODE32 | 3, GP, S_CODE32, GP, S_CODE32, 0 },
		{ "code of DPL 3", U_CODE32, GP, U_CODE32 & ~3, -1, 0, 3 },
		{ "code of DPL 3 with RPL 0", U_CODE32 & ~3, GP, U_CODE32 & ~3, -1, 0, 3 },
		{ "conforming code", S_CONF, -1, 0, -1, 0, 3 },
		{ "conforming code with RPL 3", S_CONF | 3, -1, 0, -1, 0, 3 },
		{ "data", S_DATA, GP, S_DATA, GP, S_DATA, 0 },
		{ "not present", S_NPCODE, NP, S_NPCODE, GP, S_NPCODE, 0 },
		{ "empty", S_FREE, GP, S_FREE, GP, S_FREE, 0 },
		{ "behind the limit", GDT_LIMIT + 1, GP, GDT_LIMIT + 1, GP, GDT_LIMIT + 1, 0 },
		{ "execute-only", S_XOCODE, -1, 0, GP, S_XOCODE, 0 },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned k = 0; k < 4; k++) {
			unsigned cpl = (k & 1) != 0 ? 3 : 0;
			int vec = cpl == 0 ? t[i].vec0 : t[i].vec3;

			m_open(&m);
			m.what = t[i].what;
			m_mode(&m, PG32, cpl);
			m_poke(&m, DATA, CODE + 0x100, 4);
			m_poke(&m, DATA + 4, t[i].sel, 2);
			ASM_AT(&m, CODE + 0x100, 32, END);
			if ((k & 2) == 0)
				ASM(&m, 32, "ljmp *0x40000");
			else
				ASM(&m, 32, "lcall *0x40000");
			if (vec >= 0) {
				m_expect(&m, (unsigned)vec, cpl == 0 ? t[i].err0 : t[i].err3);
				CHECK_EQ(m.f.rip, CODE);
				if (cpl == 3)
					CHECK_EQ(m.f.rsp, USTACK);
			} else {
				m_end(&m);
				/* The level does not change, and RPL is it. */
				CHECK_EQ(GET(&m, CS), (t[i].sel & ~3) | cpl);
				if ((k & 2) != 0) {
					CHECK_EQ(m_peek(&m, GET(&m, RSP), 4), CODE + 6);
					CHECK_EQ(m_peek(&m, GET(&m, RSP) + 4, 2), cpl == 0 ?
					    S_CODE32 : U_CODE32);
				}
			}
			m_close(&m);
		}
	}
	/* The offset is checked against the new segment's limit: #GP(0), and nothing was pushed. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfff, 0x9b, 4));
	ASM(&m, 32, "lcall $0x100, $0x1000");
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.at, STACK0 - 12);
	/* 16-bit operand: a frame of words, an offset of 16 bits. */
	m_mode(&m, PM32, 0);
	m_poke(&m, DATA, 0x0100, 2);
	m_poke(&m, DATA + 2, S_CODE16, 2);
	ASM_AT(&m, CODE + 0x100, 16, PROBE "; lretw");
	ASM(&m, 32, ".byte 0x66, 0xff, 0x1d; .long 0x40000");
	m_probe(&m);
	CHECK_EQ(GET(&m, RSP), STACK0 - 4);
	CHECK_EQ(GET(&m, CS), S_CODE16);
	/* the return offset has lost its upper half */
	CHECK_EQ(m_peek(&m, STACK0 - 4, 4), S_CODE32 << 16 | 7);
	m_close(&m);
}

/* 5.8.4, 5.8.5: call gates. */

/* Level 3 calls a gate to level 0 with two parameters. */
TEST(call_gate_to_a_more_privileged_level)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 3);
	m_callgate(&m, S_GATE, 12, 3, S_CODE32, CODE + 0x200, 2);
	ASM(&m, 32, "push $0x11; push $0x22; lcall $0xe3, $0x12345678; pushf");
	ASM_AT(&m, CODE + 0x200, 32, PROBE "; mov $0x10, %eax; mov %eax, %ds; mov $0x3b, %eax;"
	    "mov %eax, %es; lret $8");
	m_probe(&m);
	CHECK_EQ(GET(&m, CS), S_CODE32);
	CHECK_EQ(GET(&m, SS), S_DATA);
	CHECK_EQ(GET(&m, RSP), KSTACK - 24);
	CHECK_EQ(m_peek(&m, KSTACK - 24, 4), CODE + 2 + 2 + 7);
	CHECK_EQ(m_peek(&m, KSTACK - 20, 2), U_CODE32);
	CHECK_EQ(m_peek(&m, KSTACK - 16, 4), 0x22);
	CHECK_EQ(m_peek(&m, KSTACK - 12, 4), 0x11);
	CHECK_EQ(m_peek(&m, KSTACK - 8, 4), USTACK - 8);
	CHECK_EQ(m_peek(&m, KSTACK - 4, 2), U_DATA);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), U_CODE32);
	CHECK_EQ(GET(&m, SS), U_DATA);
	/* both stacks drop the parameters; then PUSHF */
	CHECK_EQ(GET(&m, RSP), USTACK - 4);
	/* Data segments of more privilege do not come back (5.8.6). */
	CHECK_EQ(GET(&m, DS), 0);
	CHECK_EQ(GET(&m, ES), U_DATA);

	/*
	 * JMP through a gate stays at its level: a non-conforming target of more privilege is
	 * #GP.
	 */
	m_mode(&m, PG32, 3);
	m_callgate(&m, S_GATE, 12, 3, S_CODE32, CODE + 0x200, 0);
	ASM(&m, 32, "ljmp $0xe3, $0");
	m_expect(&m, GP, S_CODE32);
	/* To conforming code neither changes level. */
	m_mode(&m, PG32, 3);
	m_callgate(&m, S_GATE, 12, 3, S_CONF, CODE + 0x200, 0);
	ASM_AT(&m, CODE + 0x200, 32, END);
	ASM(&m, 32, "lcall $0xe3, $0");
	m_end(&m);
	CHECK_EQ(GET(&m, CS), S_CONF | 3);
	CHECK_EQ(GET(&m, RSP), USTACK - 8);
	/* Same level: an ordinary far call. */
	m_mode(&m, PG32, 0);
	m_callgate(&m, S_GATE, 12, 3, S_CODE32, CODE + 0x200, 3);
	ASM_AT(&m, CODE + 0x200, 32, END);
	ASM(&m, 32, "lcall $0xe0, $0");
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), STACK0 - 8);
	/* To level 1: its stack of the TSS. */
	m_mode(&m, PG32, 3);
	m_callgate(&m, S_GATE, 12, 3, S_CODE_1, CODE + 0x200, 0);
	ASM_AT(&m, CODE + 0x200, 32, END);
	ASM(&m, 32, "lcall $0xe3, $0");
	m_end(&m);
	CHECK_EQ(GET(&m, CS), S_CODE_1);
	CHECK_EQ(GET(&m, SS), S_DATA_1);
	CHECK_EQ(GET(&m, RSP), STACK1 - 16);
	/* A 286 gate: words. */
	m_mode(&m, PG32, 3);
	m_callgate(&m, S_GATE, 4, 3, S_CODE32, 0, 1);
	m_bytes(&m, 0, "\xe6\xf4", 2);
	ASM(&m, 32, "pushw $0x1234; lcall $0xe3, $0");
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), KSTACK - 10);
	CHECK_EQ(m_peek(&m, KSTACK - 6, 2), 0x1234);
	CHECK_EQ(m_peek(&m, KSTACK - 8, 2), U_CODE32);
	m_close(&m);
}

TEST(call_gate_checks)
{
	static const struct {
		const char *what;
		unsigned type, dpl;
		uint16_t to;
		uint16_t sel;
		int vec, err;
	} t[] = {
		{ "DPL below CPL", 12, 0, S_CODE32, S_GATE, GP, S_GATE },
		{ "DPL below RPL", 12, 2, S_CODE32, S_GATE | 3, GP, S_GATE },
		{ "null target", 12, 3, 0, S_GATE | 3, GP, 0 },
		{ "data target", 12, 3, S_DATA, S_GATE | 3, GP, S_DATA },
		{ "empty target", 12, 3, S_FREE, S_GATE | 3, GP, S_FREE },
		{ "target not present", 12, 3, S_NPCODE, S_GATE | 3, NP, S_NPCODE },
		{ "interrupt gate", 14, 3, S_CODE32, S_GATE | 3, GP, S_GATE },
		{ "LDT", 2, 3, S_CODE32, S_GATE | 3, GP, S_GATE },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		m_open(&m);
		m.what = t[i].what;
		m_mode(&m, PG32, 3);
		m_callgate(&m, S_GATE, t[i].type, t[i].dpl, t[i].to, CODE + 0x200, 0);
		m_poke(&m, DATA + 4, t[i].sel, 2);
		ASM(&m, 32, "lcall *0x40000");
		m_expect(&m, (unsigned)t[i].vec, t[i].err);
		CHECK_EQ(m.f.rip, CODE);
		m_close(&m);
	}
	m_open(&m);
	m_mode(&m, PG32, 3);
	m_callgate(&m, S_GATE, 12, 3, S_CODE32, CODE + 0x200, 0);
	m_poke(&m, GDT + S_GATE + 5, 0x6c, 1);		/* not present */
	ASM(&m, 32, "lcall $0xe3, $0");
	m_expect(&m, NP, S_GATE);
	/* The new stack: #TS with its selector (6.15, interrupt 10), #SS for not present. */
	static const struct {
		uint16_t ss;
		int vec, err;
	} st[] = {
		{ 0, TS, 0 }, { S_DATA_1 | 2, TS, S_DATA_1 & ~3 }, { U_DATA & ~2, TS, U_DATA & ~3 },
		    { S_RODATA | 1, TS, S_RODATA },
		{ S_CODE_1, TS, S_CODE_1 & ~3 }, { S_FREE | 1, SS, S_FREE }, { (S_FREE + 8) | 1, TS,
		    S_FREE + 8 },
		{ 0x301, TS, 0x300 },
	};
	for (size_t i = 0; i < nitems(st); i++) {
		/* Level 1's stack is bad; the handler runs at level 0 with a good one. */
		m_mode(&m, PG32, 3);
		/* not present, DPL 1 */
		m_gdt(&m, S_FREE, m_segdesc(0, 0xfffff, 0x33, 0xc));
		m_callgate(&m, S_GATE, 12, 3, S_CODE_1, CODE + 0x200, 0);
		m_poke(&m, TSS + 16, st[i].ss, 2);
		ASM(&m, 32, "lcall $0xe3, $0");
		m_expect(&m, (unsigned)st[i].vec, st[i].err);
		CHECK_EQ(m.f.rip, CODE);
		CHECK_EQ(m.f.rsp, USTACK);
	}
	/* A TSS too small for the stack: #TS(TSS). */
	m_mode(&m, PG32, 3);
	m_desc(&m, VM_AMD64_REG_TR, S_TSS, TSS, 13, 0x8b);
	m_callgate(&m, S_GATE, 12, 3, S_CODE_1, CODE + 0x200, 0);
	ASM(&m, 32, "lcall $0xe3, $0");
	m_expect(&m, TS, S_TSS);
	m_close(&m);
}

/* 64-bit call gates (5.8.3.1): 16 bytes, 64-bit target, no parameters, SS null. */
TEST(call_gates_of_64_bits)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 3);
	m_callgate(&m, S_GATE, 12, 3, S_CODE64, CODE + 0x200, 0);
	m_poke(&m, DATA + 4, S_GATE | 3, 2);
	ASM(&m, 64, "lcall *0x40000");
	ASM_AT(&m, CODE + 0x200, 64, PROBE "; lretq");
	m_probe(&m);
	CHECK_EQ(GET(&m, CS), S_CODE64);
	CHECK_EQ(GET(&m, SS), 0);
	CHECK_EQ(GET(&m, RSP), KSTACK - 32);
	CHECK_EQ(m_peek(&m, KSTACK - 32, 8), CODE + 7);
	CHECK_EQ(m_peek(&m, KSTACK - 24, 8), U_CODE64);
	CHECK_EQ(m_peek(&m, KSTACK - 16, 8), USTACK);
	CHECK_EQ(m_peek(&m, KSTACK - 8, 8), U_DATA);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), U_CODE64);
	CHECK_EQ(GET(&m, SS), U_DATA);
	CHECK_EQ(GET(&m, RSP), USTACK);
	/* Compatibility mode reaches 64-bit code by it. */
	m_mode(&m, CM32, 3);
	m_callgate(&m, S_GATE, 12, 3, S_CODE64, CODE + 0x200, 0);
	ASM(&m, 32, "lcall $0xe3, $0");
	ASM_AT(&m, CODE + 0x200, 64, END);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), S_CODE64);
	CHECK_EQ(m_peek(&m, KSTACK - 24, 8), U_CODE32);
	/*
	 * The target must be 64-bit code; a non-canonical offset, a type in the upper half are
	 * #GP.
	 */
	m_mode(&m, LM64, 3);
	m_callgate(&m, S_GATE, 12, 3, S_CODE32, CODE + 0x200, 0);
	m_poke(&m, DATA + 4, S_GATE | 3, 2);
	ASM(&m, 64, "lcall *0x40000");
	m_expect(&m, GP, S_CODE32);
	m_mode(&m, LM64, 3);
	m_callgate(&m, S_GATE, 12, 3, S_CODE64, 0x8000000000000000, 0);
	m_poke(&m, DATA + 4, S_GATE | 3, 2);
	ASM(&m, 64, "lcall *0x40000");
	m_expect(&m, GP, 0);
	m_mode(&m, LM64, 3);
	m_callgate(&m, S_GATE, 12, 3, S_CODE64, CODE + 0x200, 0);
	m_poke(&m, GDT + S_GATE + 13, 0x0c, 1);
	m_poke(&m, DATA + 4, S_GATE | 3, 2);
	ASM(&m, 64, "lcall *0x40000");
	m_expect(&m, GP, S_GATE);
	/* Types 4 and 5 (16-bit call gate, task gate) and TSSs are no targets in long mode. */
	m_mode(&m, LM64, 0);
	m_callgate(&m, S_GATE, 4, 3, S_CODE64, 0, 0);
	m_poke(&m, DATA + 4, S_GATE, 2);
	ASM(&m, 64, "lcall *0x40000");
	m_expect(&m, GP, S_GATE);
	m_mode(&m, LM64, 0);
	m_poke(&m, DATA + 4, S_TSS2, 2);
	ASM(&m, 64, "ljmp *0x40000");
	m_expect(&m, GP, S_TSS2);
	m_close(&m);
}

/* Far RET and IRET: same level, outward, and what refuses. */
TEST(far_returns)
{
	static const struct {
		const char *what;
		uint16_t cs, ss;
		int vec, err;
	} t[] = {
		{ "same level", S_CODE32, 0, -1, 0 },
		{ "to level 3", U_CODE32, U_DATA, -1, 0 },
		{ "to level 1", S_CODE_1, S_DATA_1, -1, 0 },
		{ "null CS", 0, 0, GP, 0 },
		{ "CS of data", S_DATA, 0, GP, S_DATA },
		{ "CS beyond the limit", 0x200, 0, GP, 0x200 },
		{ "DPL not RPL", S_CODE32 | 3, U_DATA, GP, S_CODE32 },
		{ "conforming at level 3", S_CONF | 3, U_DATA, -1, 0 },
		{ "CS not present", S_NPCODE, 0, NP, S_NPCODE },
		{ "null SS to level 3", U_CODE32, 0, GP, 0 },
		{ "SS with another RPL", U_CODE32, U_DATA & ~3, GP, U_DATA & ~3 },
		{ "SS with another DPL", U_CODE32, S_DATA | 3, GP, S_DATA },
		{ "SS of code", U_CODE32, U_CODE32, GP, U_CODE32 & ~3 },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned iret = 0; iret < 2; iret++) {
			uint64_t sp = STACK0 - 0x20;
			unsigned n = 0;

			m_open(&m);
			m.what = t[i].what;
			m_mode(&m, PG32, 0);
			m_poke(&m, sp + 4 * n++, CODE + 0x100, 4);
			m_poke(&m, sp + 4 * n++, t[i].cs, 4);
			if (iret)
				m_poke(&m, sp + 4 * n++, 0x3202, 4);
			m_poke(&m, sp + 4 * n++, USTACK, 4);
			m_poke(&m, sp + 4 * n++, t[i].ss, 4);
			SET(&m, RSP, sp);
			ASM_AT(&m, CODE + 0x100, 32, "pushf; pop %ebx;" END);
			if (iret)
				ASM(&m, 32, "iret");
			else
				ASM(&m, 32, "lret");
			if (t[i].vec >= 0) {
				m_expect(&m, (unsigned)t[i].vec, t[i].err);
				CHECK_EQ(m.f.rip, CODE);
				CHECK_EQ(m.f.at, sp - 12);
			} else {
				m_end(&m);
				CHECK_EQ(GET(&m, CS), t[i].cs);
				if ((t[i].cs & 3) != 0) {
					CHECK_EQ(GET(&m, SS), t[i].ss);
					CHECK_EQ(GET(&m, RSP), USTACK);
					CHECK_EQ(GET(&m, DS), 0);		/* of DPL 0 */
				} else
					CHECK_EQ(GET(&m, RSP), sp + (iret ? 12 : 8));
				CHECK_EQ(GET(&m, RBX), iret ? 0x3202 : 2);
			}
			m_close(&m);
		}
	}
	/* Inward is never a return's way. */
	m_open(&m);
	m_mode(&m, PG32, 3);
	ASM(&m, 32, "push $0x18; push $0x10100; lret");
	m_expect(&m, GP, S_CODE32);
	m_mode(&m, PG32, 3);
	ASM(&m, 32, "pushf; push $0x18; push $0x10100; iret");
	m_expect(&m, GP, S_CODE32);
	/* EIP beyond the new limit: #GP(0). */
	m_mode(&m, PG32, 0);
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfff, 0x9b, 4));
	ASM(&m, 32, "push $0x100; push $0x1000; lret");
	m_expect(&m, GP, 0);
	/* RET n to the outside drops n from both stacks. */
	m_mode(&m, PG32, 0);
	ASM(&m, 32, "push $0x3b; push $0x37000; push $1; push $2; push $0x33; push $0x10100;"
	    "lret $8");
	ASM_AT(&m, CODE + 0x100, 32, END);
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), 0x37008);
	m_close(&m);
}

TEST(returns_in_long_mode)
{
	struct mach m;

	/* IRETQ pops SS and RSP always; to the same level too. */
	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "pushq $0; pushq $0x31230; pushq $0x4003; pushq $8; pushq $0x10100; iretq");
	ASM_AT(&m, CODE + 0x100, 64, END);
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), 0x31230);
	CHECK_EQ(GET(&m, SS), 0);
	CHECK_EQ(GET(&m, RFLAGS), 0x4003);
	/* ... with NT set, it is #GP(0) in long mode. */
	m_mode(&m, LM64, 0);
	SET(&m, RFLAGS, 2 | FL_NT);
	ASM(&m, 64, "iretq");
	m_expect(&m, GP, 0);
	/* To compatibility mode, to 64-bit user mode. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "pushq $0x3b; pushq $0x37000; pushq $2; pushq $0x33; pushq $0x10100; iretq");
	ASM_AT(&m, CODE + 0x100, 32, "mov $0x41414141, %eax; inc %eax; mov $0xffffffff, %esp;"
	    "push %eax;");
	m_expect(&m, PF, PFE_W | PFE_U);
	CHECK_EQ(GET(&m, RAX), 0x41414142);		/* 40H is INC there */
	CHECK_EQ(GET(&m, CR2), 0xfffffffb);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "pushq $0x3b; pushq $0x37000; pushq $2; pushq $0x43; pushq $0x10100; iretq");
	ASM_AT(&m, CODE + 0x100, 64, END);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), U_CODE64);
	CHECK_EQ(GET(&m, RSP), 0x37000);
	/* Null SS back to 64-bit level 3 is #GP(0), to compatibility mode too. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "pushq $3; pushq $0x37000; pushq $2; pushq $0x43; pushq $0x10100; iretq");
	m_expect(&m, GP, 0);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "pushq $0; pushq $0x37000; pushq $2; pushq $0x18; pushq $0x10100; iretq");
	m_expect(&m, GP, 0);
	/* A non-canonical RIP: #GP(0), by IRETQ and by RETQ far. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64,
	    "movabs $0x800000000000, %rax; pushq $0x3b; pushq $0x37000; pushq $2; pushq $0x43;"
	    "push %rax; iretq");
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.cs, S_CODE64);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "movabs $0x800000000000, %rax; pushq $8; push %rax; lretq");
	m_expect(&m, GP, 0);
	/* 64-bit code has no limit, and lies anywhere; compatibility code has one. */
	for (unsigned k = 0; k < 4; k++) {
		m_mode(&m, LM64, 0);
		m_poke(&m, PML4 + 8 * 256, PDPT | PG_ALL, 8);
		SET(&m, RAX, 0xffff800000000000 + CODE + 0x100);
		m_poke(&m, DATA, 0xffff800000000000 + CODE + 0x100, 8);
		m_poke(&m, DATA + 8, S_CODE64, 2);
		ASM_AT(&m, CODE + 0x100, 64, END);
		if (k == 0) {
			ASM(&m, 64, "pushq $8; push %rax; lretq");
		} else if (k == 1) {
			ASM(&m, 64, "pushq $0x10; push %rsp; pushq $2; pushq $8; push %rax; iretq");
		} else if (k == 2) {
			/* far jump, m16:64 */
			ASM(&m, 64, ".byte 0x48, 0xff, 0x2c, 0x25; .long 0x40000");
		} else {
			m_callgate(&m, S_GATE, 12, 0, S_CODE64, 0xffff800000000000 + CODE + 0x100,
			    0);
			m_poke(&m, DATA + 4, S_GATE, 2);
			ASM(&m, 64, "lcall *0x40000");
		}
		m_end(&m);
		CHECK_EQ(GET(&m, RIP), 0xffff800000000000 + CODE + 0x102);
	}
	m_mode(&m, CM32, 0);
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfff, 0x9b, 4));
	ASM(&m, 32, "ljmp $0x100, $0x1000");
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.rip, CODE);
	/* RSP is loaded as it is, canonical or not. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64,
	    "movabs $0x800000000000, %rax; pushq $0x3b; push %rax; pushq $2; pushq $0x43;"
	    "pushq $0x10100; iretq");
	ASM_AT(&m, CODE + 0x100, 64, END);
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), 0x800000000000);
	/* lretq outward. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "pushq $0x3b; pushq $0x37000; pushq $0x43; pushq $0x10100; lretq");
	ASM_AT(&m, CODE + 0x100, 64, END);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), U_CODE64);
	CHECK_EQ(GET(&m, RSP), 0x37000);
	m_close(&m);
}

TEST_MAIN()
