/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_delivery.c - sections 6.12 to 6.14, 6.15 (interrupt 8): entry to handlers through gates
 * of every kind, and what goes wrong on the way: exceptions of the delivery, double and triple
 * faults.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

/*
 * Interrupt gate, trap gate, 16-bit gates; what the entry pushes and which flags it clears
 * (6.12.1).
 */
TEST(gates)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PM32, 0);
	SET(&m, RFLAGS, 2 | FL_IF | FL_NT | FL_CF);
	m_gate(&m, 0x44, 15, 0, S_CODE32, STUBS + 16 * 0x44, 0);
	ASM(&m, 32, "int $0x44; int $0x45");
	m_expect(&m, 0x44, NOERR);
	CHECK_EQ(GET(&m, RFLAGS) & (FL_IF | FL_NT), FL_IF);	/* a trap gate keeps IF */
	CHECK_EQ(m.f.flags, 2 | FL_IF | FL_NT | FL_CF);
	CHECK_EQ(m.f.at, STACK0 - 12);
	/* With NT in the frame the return is an ordinary one: NT of the handler is clear. */
	m_expect(&m, 0x45, NOERR);
	CHECK_EQ(GET(&m, RFLAGS) & (FL_IF | FL_NT), 0);
	m_end(&m);
	CHECK_EQ(GET(&m, RFLAGS) & (FL_IF | FL_NT | FL_CF), FL_IF | FL_NT | FL_CF);

	/* A 286 gate pushes words. */
	m_mode(&m, PM32, 0);
	m_gate(&m, 0x44, 6, 0, S_CODE16, 0x800, 0);
	ASM_AT(&m, CODE + 0x800, 16, PROBE "; iretw");
	m_bytes(&m, CODE + 0x700, "\xcd\x44\xe6\xf4", 4);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE16, CODE, 0xffff, 0x9b);
	SET(&m, RIP, 0x700);
	m_probe(&m);
	CHECK_EQ(GET(&m, RSP), STACK0 - 6);
	CHECK_EQ(m_peek(&m, STACK0 - 6, 2), 0x702);
	CHECK_EQ(m_peek(&m, STACK0 - 4, 2), S_CODE16);
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), STACK0);

	/* 64-bit: SS and RSP always, aligned to 16 (6.14.2). */
	m_mode(&m, LM64, 0);
	SET(&m, RSP, STACK0 - 5);
	ASM(&m, 64, "int $0x44");
	m_expect(&m, 0x44, NOERR);
	CHECK_EQ(m.f.at, STACK0 - 16 - 40);
	CHECK_EQ(m.f.rsp, STACK0 - 5);
	CHECK_EQ(m.f.ss, S_DATA);
	CHECK_EQ(GET(&m, SS), S_DATA);			/* unchanged without a change of level */
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), STACK0 - 5);
	/* IST switches whatever the level (6.14.5). */
	m_mode(&m, LM64, 0);
	m_gate(&m, 0x44, 14, 0, S_CODE64, STUBS + 16 * 0x44, 2);
	ASM(&m, 64, "int $0x44");
	m_expect(&m, 0x44, NOERR);
	CHECK_EQ(m.f.at, IST2 - 40);
	m_end(&m);
	/* From level 3 SS becomes null with the new RPL, RSP comes from the TSS (6.14.4). */
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "int $0x80");
	m_expect(&m, 0x80, NOERR);
	CHECK_EQ(m.f.at, KSTACK - 40);
	CHECK_EQ(m.f.cs, U_CODE64);
	CHECK_EQ(m.f.ss, U_DATA);
	CHECK_EQ(GET(&m, SS), 0);
	CHECK_EQ(GET(&m, CS), S_CODE64);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), U_CODE64);
	CHECK_EQ(GET(&m, SS), U_DATA);
	/* The same from compatibility mode: the frame is a 64-bit one. */
	m_mode(&m, CM32, 3);
	SET(&m, RSP, USTACK - 4);
	ASM(&m, 32, "int $0x80");
	m_expect(&m, 0x80, NOERR);
	CHECK_EQ(m.f.at, KSTACK - 40);
	CHECK_EQ(m.f.cs, U_CODE32);
	CHECK_EQ(m.f.rsp, USTACK - 4);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), U_CODE32);
	/*
	 * A non-canonical stack of the TSS: #SS(0), then #DF as that finds the same, unless it
	 * has an IST.
	 */
	m_mode(&m, LM64, 3);
	m_poke(&m, TSS + 4, 0x8000000000000000, 8);
	m_gate(&m, SS, 14, 0, S_CODE64, STUBS + 16 * SS, 1);
	ASM(&m, 64, "int $0x80");
	m_expect(&m, SS, 0);
	CHECK_EQ(m.f.rip, CODE);
	m_close(&m);
}

/* Double faults: the classes of table 6-5. */

/* Benign first: the second is handled on its own. */
TEST(benign_and_contributory_are_handled_serially)
{
	struct mach m;

	/* #UD, then #NP as its gate is not present: the second exception is reported. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	m_poke(&m, IDT + 8 * UD + 5, 0x0e, 1);
	ASM(&m, 32, "ud2");
	m_expect(&m, NP, UD * 8 + 3);
	CHECK_EQ(m.f.rip, CODE);
	/* #UD, then #PF on the gate. */
	m_mode(&m, PG32, 0);
	/* The IDT of vectors below 7 on a page that is not there, the others on one that is. */
	m_desc(&m, VM_AMD64_REG_IDTR, 0, 0x71000 - 8 * 7, 0x7ff, 0);
	for (unsigned v = 7; v < 32; v++)
		m_poke(&m, 0x71000 - 8 * 7 + 8 * v, m_peek(&m, IDT + 8 * v, 8), 8);
	m_pte(&m, 0x70000, 0);
	ASM(&m, 32, "ud2");
	m_expect(&m, PF, 0);
	CHECK_EQ(GET(&m, CR2), 0x71000 - 8);
	CHECK_EQ(m.f.rip, CODE);
	/*
	 * A contributory exception first and #PF second are serial as well: #GP, then #PF on the
	 * stack.
	 */
	m_mode(&m, PG32, 0);
	m_desc(&m, VM_AMD64_REG_IDTR, 0, 0x71000 - 8 * 14, 0x7ff, 0);
	for (unsigned v = 14; v < 32; v++)
		m_poke(&m, 0x71000 - 8 * 14 + 8 * v, m_peek(&m, IDT + 8 * v, 8), 8);
	m_pte(&m, 0x70000, 0);
	ASM(&m, 32, "mov $0x1f8, %eax; mov %eax, %ds");
	m_expect(&m, PF, 0);
	CHECK_EQ(GET(&m, CR2), 0x71000 - 8);
	CHECK_EQ(m.f.rip, CODE + 5);
	m_close(&m);
}

TEST(double_fault_of_two_contributory)
{
	static const unsigned first[] = { DE, TS, NP, SS, GP };
	static const char *const code[] = {
		"\x30\xc0\xf6\xf0", "", "\xb8\x90\0\0\0\x8e\xd8", "\xb8\x90\0\0\0\x8e\xd0",
		    "\xb8\xf8\x01\0\0\x8e\xd8"
	};
	static const unsigned len[] = { 4, 0, 7, 7, 7 };
	struct mach m;

	for (unsigned i = 0; i < 5; i++) {
		if (len[i] == 0)
			continue;
		m_open(&m);
		m_mode(&m, PM32, 0);
		m_poke(&m, IDT + 8 * first[i] + 5, 0x0e, 1);	/* not present: #NP */
		m_bytes(&m, CODE, code[i], len[i]);
		m_expect(&m, DF, 0);
		CHECK_EQ(m.f.cs, S_CODE32);
		m_close(&m);
	}
}

TEST(double_fault_of_a_page_fault_and_another)
{
	struct mach m;

	/* #PF, then contributory. */
	m_open(&m);
	m_mode(&m, PG32, 0);
	m_poke(&m, IDT + 8 * PF + 5, 0x0e, 1);
	m_pte(&m, DATA, 0);
	ASM(&m, 32, "mov 0x40000, %eax");
	m_expect(&m, DF, 0);
	CHECK_EQ(GET(&m, CR2), DATA);
	/*
	 * #PF, then #PF: its gate is on a missing page. CR2 has the second address (6.15,
	 * interrupt 14).
	 */
	m_mode(&m, PG32, 0);
	m_pte(&m, DATA, 0);
	m_desc(&m, VM_AMD64_REG_IDTR, 0, 0x71000 - 8 * 9, 0x7ff, 0);
	m_poke(&m, 0x71000 - 8, m_peek(&m, IDT + 8 * DF, 8), 8);
	m_pte(&m, 0x71000, 0);
	ASM(&m, 32, "mov 0x40000, %eax");
	m_expect(&m, DF, 0);
	CHECK_EQ(GET(&m, CR2), 0x71000 - 8 * 9 + 8 * PF);
	/* #PF as the stack of a fault from level 3 is missing: #PF again, then #DF on IST. */
	m_mode(&m, LM64, 3);
	m_gate(&m, DF, 14, 0, S_CODE64, STUBS + 16 * DF, 1);
	m_pte(&m, KSTACK - 0x1000, 0);
	m_pte(&m, DATA, 0);
	ASM(&m, 64, "mov 0x40000, %eax");
	m_expect(&m, DF, 0);
	CHECK_EQ(m.f.cs, U_CODE64);
	CHECK_EQ(m.f.rsp, USTACK);
	CHECK_EQ(GET(&m, CR2), KSTACK - 8);
	m_close(&m);
}

/*
 * A stack that is missing when INT n comes is one page fault, not two: INT n is no exception of a
 * class.
 */
TEST(a_page_fault_in_a_software_interrupt_is_single)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 3);
	m_gate(&m, PF, 14, 0, S_CODE64, STUBS + 16 * PF, 1);
	m_pte(&m, KSTACK - 0x1000, 0);
	ASM(&m, 64, "int $0x80");
	m_expect(&m, PF, PFE_W);			/* an access of level 0 */
	CHECK_EQ(m.f.rip, CODE);
	CHECK_EQ(m.f.cs, U_CODE64);
	CHECK_EQ(GET(&m, CR2), KSTACK - 8);
	m_close(&m);
}

TEST(triple_faults)
{
	struct mach m;

	/* No usable IDT at all. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_IDTR, 0, IDT, 0, 0);
	ASM(&m, 32, "ud2");
	m_shutdown(&m);
	CHECK_EQ(GET(&m, RUN_STATE), VM_AMD64_SHUTDOWN);
	m_close(&m);
	/* #DF's handler is not present: contributory during #DF. */
	m_open(&m);
	m_mode(&m, LM64, 0);
	m_poke(&m, IDT + 16 * GP + 5, 0, 1);
	m_poke(&m, IDT + 16 * DF + 5, 0, 1);
	ASM(&m, 64, "movabs $0x8000000000000000, %rax; mov (%rax), %al");
	m_shutdown(&m);
	m_close(&m);
	/* The stack is not mapped: #PF, #PF, #PF. */
	m_open(&m);
	m_mode(&m, PG32, 0);
	m_pte(&m, STACK0 - 0x1000, 0);
	ASM(&m, 32, "ud2");
	m_shutdown(&m);
	m_close(&m);
	/* Real mode with an IDT that ends before #GP's entry. */
	m_open(&m);
	m_mode(&m, REAL, 0);
	m_desc(&m, VM_AMD64_REG_IDTR, 0, 0, 3, 0);
	ASM(&m, 16, "int $0x40");
	m_shutdown(&m);
	m_close(&m);
}

/*
 * EXT is set when what is delivered is no software interrupt (6.13), and it is looked at before
 * anything else.
 */
TEST(errors_of_external_events)
{
	struct mach m;

	m_open(&m);
	/*
	 * An interrupt through a gate that is not present, a null and a bad selector, a data
	 * segment.
	 */
	static const struct {
		uint16_t sel;
		unsigned access;
		unsigned vec, err;
	} t[] = {
		{ S_CODE32, 0x0e, NP, 0x40 * 8 + 3 }, { 0, 0x8e, GP, 1 }, { S_DATA, 0x8e, GP,
		    S_DATA + 1 },
		{ 0x300, 0x8e, GP, 0x301 }, { S_NPCODE, 0x8e, NP, S_NPCODE + 1 }, { S_CODE32, 0x8c,
		    GP, 0x40 * 8 + 3 },
		{ S_CODE32, 0x00, GP, 0x40 * 8 + 3 },
	};
	for (size_t i = 0; i < nitems(t); i++) {
		m_mode(&m, PM32, 0);
		m_poke(&m, IDT + 8 * 0x40 + 2, t[i].sel, 2);
		m_poke(&m, IDT + 8 * 0x40 + 5, t[i].access, 1);
		ASM(&m, 32, "movl $0x1ff, 0xfee000f0;" PROBE "; sti; nop; nop");
		m_probe(&m);
		CHECKF(vm_lapic_irq(m.cpu, 0x40) == 0, "%s", vm_errmsg());
		m_expect(&m, t[i].vec, t[i].err);
		CHECK_EQ(m_peek(&m, m.f.rip - 1, 1), 0x90);	/* where the interrupt was taken */
		/* The interrupt was acknowledged: it does not come again. */
		m_poke(&m, IDT + 8 * 0x40 + 5, 0x8e, 1);
		m_poke(&m, IDT + 8 * 0x40 + 2, S_CODE32, 2);
		m_end(&m);
		m_close(&m);
		m_open(&m);
	}
	/* An NMI's. */
	m_mode(&m, LM64, 3);
	m_poke(&m, IDT + 16 * NMI + 5, 0x0e, 1);
	ASM(&m, 64, PROBE "; nop");
	m_probe(&m);
	CHECK_EQ(vm_amd64_inject_nmi(m.cpu), 0);
	m_expect(&m, NP, NMI * 8 + 3);
	/* A vector beyond the IDT's limit. */
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_IDTR, 0, IDT, 0x3f * 8 + 7, 0);
	ASM(&m, 32, "movl $0x1ff, 0xfee000f0;" PROBE "; sti; nop; nop");
	m_probe(&m);
	CHECKF(vm_lapic_irq(m.cpu, 0x40) == 0, "%s", vm_errmsg());
	m_expect(&m, GP, 0x40 * 8 + 3);
	m_close(&m);
}

/* The stack that a handler gets: of the TSS, checked as 6.15 (interrupts 10 and 12) say. */
TEST(errors_of_the_new_stack)
{
	static const struct {
		uint16_t ss;
		unsigned vec;
		int err;
	} t[] = {
		{ 0, TS, 0 }, { S_DATA, TS, S_DATA }, { S_DATA | 1, TS, S_DATA }, { U_DATA, TS,
		    U_DATA & ~3 },
		{ S_RODATA | 1, TS, S_RODATA }, { S_CODE_1, TS, S_CODE_1 & ~3 }, { 0x301, TS,
		    0x300 },
		{ S_FREE | 1, SS, S_FREE },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned k = 0; k < 2; k++) {
			m_open(&m);
			m_mode(&m, PG32, 3);
			/*
			 * The faulty entry goes to level 1 by its gate; the fault of it goes to
			 * level 0. EXT is set where it was no INT n.
			 */
			m_poke(&m, TSS + 16, t[i].ss, 2);
			m_gdt(&m, S_FREE, m_segdesc(0, 0xfffff, 0x33, 0xc));	/* not present */
			m_gate(&m, k == 0 ? 0x80 : UD, 14, 3, S_CODE_1, STUBS, 0);
			if (k == 0)
				ASM(&m, 32, "int $0x80");
			else
				ASM(&m, 32, "ud2");
			m_expect(&m, t[i].vec, t[i].err + (int)k);
			CHECK_EQ(m.f.rip, CODE);
			CHECK_EQ(m.f.rsp, USTACK);
			m_close(&m);
		}
	}
	/* No room on it: #SS with its selector (vol. 2, INT n). */
	m_open(&m);
	m_mode(&m, PG32, 3);
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfff, 0xb3, 4));
	m_poke(&m, TSS + 16, S_FREE | 1, 2);
	m_poke(&m, TSS + 12, 0x1010, 4);
	m_gate(&m, 0x80, 14, 3, S_CODE_1, STUBS, 0);
	ASM(&m, 32, "int $0x80");
	m_expect(&m, SS, S_FREE);
	/* ... in an expand-down segment it is the other way round. */
	m_mode(&m, PG32, 3);
	m_gdt(&m, S_FREE, m_segdesc(0, 0x32fff, 0xb7, 4));
	m_poke(&m, TSS + 16, S_FREE | 1, 2);
	m_poke(&m, TSS + 12, 0x33010, 4);
	m_gate(&m, 0x80, 14, 3, S_CODE_1, STUBS, 0);
	ASM(&m, 32, "int $0x80");
	m_expect(&m, SS, S_FREE);
	m_mode(&m, PG32, 3);
	m_gdt(&m, S_FREE, m_segdesc(0, 0x32fff, 0xb7, 4));
	m_poke(&m, TSS + 16, S_FREE | 1, 2);
	m_poke(&m, TSS + 12, 0x33014, 4);
	m_gate(&m, 0x80, 14, 3, S_CODE_1, CODE + 0x100, 0);
	ASM(&m, 32, "int $0x80");
	ASM_AT(&m, CODE + 0x100, 32, END);
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), 0x33000);
	/* The TSS is too small for it. */
	m_mode(&m, PG32, 3);
	m_desc(&m, VM_AMD64_REG_TR, S_TSS, TSS, 13, 0x8b);
	m_gate(&m, 0x80, 14, 3, S_CODE_1, STUBS, 0);
	ASM(&m, 32, "int $0x80");
	m_expect(&m, TS, S_TSS);
	/*
	 * Without a change of level #SS(0): an exception then, so EXT, and the handler of #SS
	 * finds the same: #DF, shutdown.
	 */
	m_mode(&m, PM32, 0);
	m_desc(&m, VM_AMD64_REG_SS, S_DATA, 0, 0xfff, 0x4093);
	SET(&m, RSP, 0x1008);
	ASM(&m, 32, "int $0x80");
	m_shutdown(&m);
	m_close(&m);
	/* A page fault on the new stack: an access of level 0, reported as such. */
	m_open(&m);
	m_mode(&m, PG32, 3);
	m_pte(&m, STACK1 - 0x1000, 0);
	m_gate(&m, 0x80, 14, 3, S_CODE_1, STUBS, 0);
	ASM(&m, 32, "int $0x80");
	m_expect(&m, PF, PFE_W);
	CHECK_EQ(m.f.rip, CODE);
	CHECK_EQ(m.f.cs, U_CODE32);
	CHECK(GET(&m, CR2) >= STACK1 - 20 && GET(&m, CR2) < STACK1);
	m_close(&m);
}

/* A fault while IRET pops: before anything of the return is in force. */
TEST(faults_of_iret)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	m_gate(&m, PF, 14, 0, S_CODE64, STUBS + 16 * PF, 1);
	m_pte(&m, DATA + 0x1000, 0);
	SET(&m, RSP, DATA + 0x1000 - 16);
	m_poke(&m, DATA + 0x1000 - 16, CODE + 0x100, 8);
	m_poke(&m, DATA + 0x1000 - 8, U_CODE64, 8);
	ASM(&m, 64, "iretq");
	ASM_AT(&m, CODE + 0x100, 64, END);
	m_expect(&m, PF, 0);
	CHECK_EQ(m.f.rip, CODE);
	CHECK_EQ(m.f.cs, S_CODE64);
	CHECK_EQ(m.f.rsp, DATA + 0x1000 - 16);
	CHECK_EQ(GET(&m, CR2), DATA + 0x1000);
	m_pte(&m, DATA + 0x1000, (DATA + 0x1000) | PG_ALL);
	m_poke(&m, DATA + 0x1000, 2, 8);
	m_poke(&m, DATA + 0x1008, USTACK, 8);
	m_poke(&m, DATA + 0x1010, U_DATA, 8);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), U_CODE64);
	/* 32-bit operand in 64-bit code: a frame of dwords, SS and ESP too. */
	m_mode(&m, LM64, 0);
	SET(&m, RSP, DATA);
	m_bytes(&m, DATA, (uint32_t[]){ CODE + 0x100, U_CODE32, 2, USTACK, U_DATA }, 20);
	ASM(&m, 64, "iretl");
	ASM_AT(&m, CODE + 0x100, 32, END);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), U_CODE32);
	CHECK_EQ(GET(&m, RSP), USTACK);
	/* 16 bits. */
	m_mode(&m, LM64, 0);
	SET(&m, RSP, DATA);
	m_bytes(&m, DATA, (uint16_t[]){ 0x100, U_CODE16, 2, 0x8000, U_DATA }, 10);
	ASM(&m, 64, "iretw");
	ASM_AT(&m, CODE + 0x100, 16, END);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), U_CODE16);
	CHECK_EQ(GET(&m, RIP), 0x102);
	m_close(&m);
}

/*
 * Entry sets the accessed bit of the handler's code and stack segments, as any load does
 * (3.4.5.1).
 */
TEST(entry_marks_segments_accessed)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 3);
	/* code and data of level 1 */
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfffff, 0xba, 0xc));
	m_gdt(&m, S_FREE + 8, m_segdesc(0, 0xfffff, 0xb2, 0xc));
	m_poke(&m, TSS + 16, (S_FREE + 8) | 1, 2);
	m_gate(&m, 0x80, 14, 3, S_FREE, CODE + 0x100, 0);
	ASM(&m, 32, "int $0x80");
	ASM_AT(&m, CODE + 0x100, 32, END);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), S_FREE | 1);
	CHECK_EQ(m_peek(&m, GDT + S_FREE + 5, 1), 0xbb);
	CHECK_EQ(m_peek(&m, GDT + S_FREE + 13, 1), 0xb3);
	m_close(&m);
}

TEST_MAIN()
