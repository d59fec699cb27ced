/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_tasks.c - chapter 7: task switches by JMP, CALL, IRET, interrupts and exceptions,
 * through TSS descriptors and task gates; what is saved and loaded; busy flags, links, NT; what
 * refuses.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

/* 32-bit TSS (figure 7-2). */
#define	T_LINK	0x00
#define	T_CR3	0x1c
#define	T_EIP	0x20
#define	T_FLAGS	0x24
#define	T_EAX	0x28
#define	T_ESP	0x38
#define	T_EBP	0x3c
#define	T_ES	0x48
#define	T_CS	0x4c
#define	T_SS	0x50
#define	T_DS	0x54
#define	T_LDT	0x60
#define	T_TRAP	0x64

#define	TASKCODE	(CODE + 0x800)

static void
task(struct mach *m, uint64_t tss)
{
	m_fill(m, tss, 0, 0x68);
	m_poke(m, tss + T_CR3, m->mode == PAE32 ? PAEPDPT : PD32, 4);
	/* CR3 is not saved by a switch: the first task's has to be there for the way back. */
	m_poke(m, TSS + T_CR3, m->mode == PAE32 ? PAEPDPT : PD32, 4);
	m_poke(m, tss + T_EIP, TASKCODE, 4);
	m_poke(m, tss + T_FLAGS, 2, 4);
	for (unsigned i = 0; i < 8; i++)
		m_poke(m, tss + T_EAX + 4 * i, 0x1000 + i, 4);
	m_poke(m, tss + T_ESP, TSTACK, 4);
	for (unsigned i = 0; i < 6; i++)
		m_poke(m, tss + T_ES + 4 * i, S_DATA, 2);
	m_poke(m, tss + T_CS, S_CODE32, 2);
	m_poke(m, tss + T_LDT, S_LDT, 2);
	m_poke(m, tss + 4, STACK0, 4);			/* ESP0, SS0 */
	m_poke(m, tss + 8, S_DATA, 2);
	m_poke(m, tss + 0x66, 0x68, 2);
}

static unsigned
type_of(struct mach *m, unsigned sel)
{
	return ((unsigned)m_peek(m, GDT + sel + 5, 1) & 0x1f);
}

static void
taskgate(struct mach *m, uint64_t at, uint16_t sel, unsigned dpl)
{
	m_poke(m, at, (uint64_t)sel << 16 | (uint64_t)(0x85 | dpl << 5) << 40, 8);
}

TEST(jump_to_a_task)
{
	struct mach m;
	static const enum mode modes[] = { PM32, PG32, PAE32 };

	for (size_t k = 0; k < nitems(modes); k++) {
		m_open(&m);
		m_mode(&m, modes[k], 0);
		task(&m, TSS2);
		SET(&m, CR3, modes[k] == PAE32 ? PAEPDPT : PD32);
		SET(&m, RBX, 0xb0b0b0b0);
		SET(&m, RDI, 0xd1d1d1d1);
		ASM(&m, 32, "stc; ljmp $0xc8, $0x12345678; nop");
		ASM_AT(&m, TASKCODE, 32, PROBE "; ljmp $0x48, $0");
		m_probe(&m);
		/* The new task's registers. */
		CHECK_EQ(GET(&m, TR), S_TSS2);
		CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_TR), TSS2);
		CHECK_EQ(m_seg_access(&m, VM_AMD64_REG_TR), 0x8b);
		CHECK_EQ(GET(&m, RAX), 0x1000);
		CHECK_EQ(GET(&m, RDI), 0x1007);
		CHECK_EQ(GET(&m, RSP), TSTACK);
		CHECK_EQ(GET(&m, RFLAGS), 2);
		CHECK_EQ(GET(&m, LDTR), S_LDT);
		/* 7.2.1, 2.5: TS is set; breakpoints of the task are off. */
		CHECK((GET(&m, CR0) & CR0_TS) != 0);
		/* The old one's, saved; EIP behind the jump. */
		CHECK_EQ(m_peek(&m, TSS + T_EIP, 4), CODE + 8);
		CHECK_EQ(m_peek(&m, TSS + T_FLAGS, 4), 3);
		CHECK_EQ(m_peek(&m, TSS + T_EAX + 12, 4), 0xb0b0b0b0);
		CHECK_EQ(m_peek(&m, TSS + T_EAX + 28, 4), 0xd1d1d1d1);
		CHECK_EQ(m_peek(&m, TSS + T_ESP, 4), STACK0);
		CHECK_EQ(m_peek(&m, TSS + T_CS, 2), S_CODE32);
		CHECK_EQ(m_peek(&m, TSS + T_DS, 2), S_DATA);
		/*
		 * Table 7-2: by JMP the old task is not busy any more, nothing is linked, NT is
		 * clear.
		 */
		CHECK_EQ(type_of(&m, S_TSS), 9);
		CHECK_EQ(type_of(&m, S_TSS2), 11);
		CHECK_EQ(m_peek(&m, TSS2 + T_LINK, 2), 0);
		m_end(&m);
		CHECK_EQ(GET(&m, RDI), 0xd1d1d1d1);
		CHECK_EQ(GET(&m, RSP), STACK0);
		CHECK_EQ(type_of(&m, S_TSS), 11);
		CHECK_EQ(type_of(&m, S_TSS2), 9);
		CHECK_EQ(m_peek(&m, TSS2 + T_EIP, 4), TASKCODE + 2 + 7);
		m_close(&m);
	}
}

TEST(call_of_a_task_and_return)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	ASM(&m, 32, "lcall $0xc8, $0; mov $0x77, %ebx");
	ASM_AT(&m, TASKCODE, 32, PROBE "; inc %eax; iret; inc %eax; iret");
	m_probe(&m);
	CHECK_EQ(GET(&m, RFLAGS), 2 | FL_NT);
	CHECK_EQ(m_peek(&m, TSS2 + T_LINK, 2), S_TSS);
	CHECK_EQ(type_of(&m, S_TSS), 11);
	CHECK_EQ(type_of(&m, S_TSS2), 11);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0x77);
	CHECK_EQ(GET(&m, TR), S_TSS);
	CHECK_EQ(type_of(&m, S_TSS), 11);
	CHECK_EQ(type_of(&m, S_TSS2), 9);
	/* IRET saved the task behind itself, NT cleared (table 7-2). */
	CHECK_EQ(m_peek(&m, TSS2 + T_EIP, 4), TASKCODE + 4);
	CHECK_EQ(m_peek(&m, TSS2 + T_FLAGS, 4) & FL_NT, 0);
	CHECK_EQ(m_peek(&m, TSS2 + T_EAX, 4), 0x1001);

	/* A nested task that calls another one, and both come back. */
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	task(&m, TSS3);
	m_poke(&m, TSS3 + T_EIP, TASKCODE + 0x100, 4);
	ASM(&m, 32, "lcall $0xc8, $0");
	ASM_AT(&m, TASKCODE, 32, "lcall $0xd0, $0; iret");
	ASM_AT(&m, TASKCODE + 0x100, 32, PROBE "; iret");
	m_probe(&m);
	CHECK_EQ(m_peek(&m, TSS3 + T_LINK, 2), S_TSS2);
	CHECK_EQ(m_peek(&m, TSS2 + T_LINK, 2), S_TSS);
	CHECK_EQ(type_of(&m, S_TSS) + type_of(&m, S_TSS2) + type_of(&m, S_TSS3), 33);
	m_end(&m);
	CHECK_EQ(type_of(&m, S_TSS), 11);
	CHECK_EQ(type_of(&m, S_TSS2), 9);
	CHECK_EQ(type_of(&m, S_TSS3), 9);
	m_close(&m);
}

/*
 * 7.2.5: gates in GDT, LDT and IDT; interrupts link, exceptions push their error code on the new
 * stack.
 */
TEST(task_gates)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 3);
	task(&m, TSS2);
	taskgate(&m, GDT + S_GATE, S_TSS2, 3);
	ASM(&m, 32, "lcall $0xe3, $0; mov $0x66, %ebx");
	ASM_AT(&m, TASKCODE, 32, PROBE "; iret");
	m_probe(&m);
	CHECK_EQ(GET(&m, CS), S_CODE32);
	CHECK_EQ(m_peek(&m, TSS + T_CS, 2), U_CODE32);
	CHECK_EQ(m_peek(&m, TSS + T_ESP, 4), USTACK);
	m_end(&m);
	CHECK_EQ(GET(&m, CS), U_CODE32);
	CHECK_EQ(GET(&m, RBX), 0x66);
	/* In the LDT, by JMP. */
	m_mode(&m, PG32, 3);
	task(&m, TSS2);
	taskgate(&m, LDT + 8, S_TSS2, 3);
	ASM(&m, 32, "ljmp $0xf, $0");
	ASM_AT(&m, TASKCODE, 32, END);
	m_end(&m);
	CHECK_EQ(GET(&m, TR), S_TSS2);
	CHECK_EQ(type_of(&m, S_TSS), 9);
	/* The gate's DPL counts, the TSS's not; without a gate the TSS's does. */
	m_mode(&m, PG32, 3);
	task(&m, TSS2);
	taskgate(&m, GDT + S_GATE, S_TSS2, 2);
	ASM(&m, 32, "ljmp $0xe3, $0");
	m_expect(&m, GP, S_GATE);
	m_mode(&m, PG32, 3);
	task(&m, TSS2);
	ASM(&m, 32, "ljmp $0xc8, $0");
	m_expect(&m, GP, S_TSS2);
	/* Not present. */
	m_mode(&m, PG32, 3);
	task(&m, TSS2);
	taskgate(&m, GDT + S_GATE, S_TSS2, 3);
	m_poke(&m, GDT + S_GATE + 5, 0x65, 1);
	ASM(&m, 32, "ljmp $0xe3, $0");
	m_expect(&m, NP, S_GATE);

	/* INT n: RIP behind it. */
	m_mode(&m, PG32, 3);
	task(&m, TSS2);
	taskgate(&m, IDT + 8 * 0x44, S_TSS2, 3);
	ASM(&m, 32, "int $0x44; mov $0x55, %ebx");
	ASM_AT(&m, TASKCODE, 32, PROBE "; iret");
	m_probe(&m);
	CHECK_EQ(m_peek(&m, TSS + T_EIP, 4), CODE + 2);
	CHECK((GET(&m, RFLAGS) & FL_NT) != 0);
	CHECK_EQ(GET(&m, RSP), TSTACK);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0x55);
	/*
	 * An exception with error code: pushed on the new task's stack; the faulting EIP is
	 * saved.
	 */
	m_mode(&m, PG32, 3);
	task(&m, TSS2);
	taskgate(&m, IDT + 8 * PF, S_TSS2, 0);
	m_pte(&m, DATA, 0);
	ASM(&m, 32, "nop; mov 0x40010, %eax");
	ASM_AT(&m, TASKCODE, 32, PROBE "; pop %ebx; movl $0x40007, (0xd000 + 4 * 0x40); iret");
	m_probe(&m);
	CHECK_EQ(GET(&m, RSP), TSTACK - 4);
	CHECK_EQ(m_peek(&m, TSTACK - 4, 4), PFE_U);
	CHECK_EQ(m_peek(&m, TSS + T_EIP, 4), CODE + 1);
	CHECK((m_peek(&m, TSS + T_FLAGS, 4) & FL_RF) != 0);
	CHECK_EQ(GET(&m, CR2), 0x40010);
	m_end(&m);
	/* #DF on a task: the classic way out of a broken stack. */
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	taskgate(&m, IDT + 8 * DF, S_TSS2, 0);
	SET(&m, RSP, 0x3000000);
	m_poke(&m, PD32 + 4 * 11, 0, 4);
	ASM(&m, 32, "push %eax");
	ASM_AT(&m, TASKCODE, 32, END);
	m_end(&m);
	CHECK_EQ(GET(&m, RSP), TSTACK - 4);
	CHECK_EQ(m_peek(&m, TSTACK - 4, 4), 0);
	m_close(&m);
}

/* 7.3, table 7-1: what a switch checks, and in which task the exception is. */
TEST(checks_before_the_switch)
{
	static const struct {
		const char *what;
		unsigned access;
		uint32_t limit;
		bool iret;
		uint16_t link;
		int vec, err;
	} t[] = {
		{ "busy", 0x8b, 0x67, false, 0, GP, S_TSS2 },
		{ "not present", 0x09, 0x67, false, 0, NP, S_TSS2 },
		{ "limit too small", 0x89, 0x66, false, 0, TS, S_TSS2 },
		{ "an LDT", 0x82, 0x67, false, 0, GP, S_TSS2 },
		{ "IRET to one that is not busy", 0x89, 0x67, true, S_TSS2, TS, S_TSS2 },
		{ "IRET to the LDT's table", 0x8b, 0x67, true, S_TSS2 | 4, TS, S_TSS2 | 4 },
		{ "IRET to a link that is data", 0x93, 0x67, true, S_TSS2, TS, S_TSS2 },
		{ "IRET to one that is not present", 0x0b, 0x67, true, S_TSS2, NP, S_TSS2 },
		{ "IRET to a link beyond the limit", 0x8b, 0x67, true, 0x300, TS, 0x300 },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		m_open(&m);
		m.what = t[i].what;
		m_mode(&m, PG32, 0);
		task(&m, TSS2);
		m_gdt(&m, S_TSS2, m_segdesc(TSS2, t[i].limit, t[i].access, 0));
		m_poke(&m, TSS + T_LINK, t[i].link, 2);
		if (t[i].iret) {
			SET(&m, RFLAGS, 2 | FL_NT);
			ASM(&m, 32, "iret");
		} else
			ASM(&m, 32, "ljmp $0xc8, $0");
		m_expect(&m, (unsigned)t[i].vec, t[i].err);
		CHECK_EQ(m.f.rip, CODE);
		CHECK_EQ(GET(&m, TR), S_TSS);
		CHECK_EQ(type_of(&m, S_TSS), 11);
		m_close(&m);
	}
	/* By an interrupt: EXT says whether it was INT n (6.13). */
	for (unsigned k = 0; k < 2; k++) {
		m_open(&m);
		m_mode(&m, PG32, 0);
		task(&m, TSS2);
		m_gdt(&m, S_TSS2, m_segdesc(TSS2, 0x67, 0x8b, 0));
		taskgate(&m, IDT + 8 * (k == 0 ? 0x44 : UD), S_TSS2, 0);
		if (k == 0)
			ASM(&m, 32, "int $0x44");
		else
			ASM(&m, 32, "ud2");
		m_expect(&m, GP, S_TSS2 + k);
		CHECK_EQ(m.f.rip, CODE);
		CHECK_EQ(GET(&m, TR), S_TSS);
		m_mode(&m, PG32, 0);
		task(&m, TSS2);
		m_poke(&m, TSS2 + T_DS, S_XOCODE, 2);
		taskgate(&m, IDT + 8 * (k == 0 ? 0x44 : UD), S_TSS2, 0);
		if (k == 0)
			ASM(&m, 32, "int $0x44");
		else
			ASM(&m, 32, "ud2");
		m_expect(&m, TS, S_XOCODE + k);
		CHECK_EQ(m.f.rip, TASKCODE);
		m_close(&m);
	}
	/* A jump with TI set, and a null gate target. */
	m_open(&m);
	m_mode(&m, PG32, 0);
	taskgate(&m, GDT + S_GATE, S_TSS2 | 4, 0);
	ASM(&m, 32, "ljmp $0xe0, $0");
	m_expect(&m, GP, S_TSS2 | 4);
	m_close(&m);
}

TEST(checks_in_the_new_task)
{
	static const struct {
		const char *what;
		unsigned field;
		uint16_t sel;
		int vec, err;
	} t[] = {
		{ "LDT of data", T_LDT, S_DATA, TS, S_DATA },
		{ "LDT in the LDT", T_LDT, S_LDT | 4, TS, S_LDT | 4 },
		{ "null CS", T_CS, 0, TS, 0 },
		{ "CS of data", T_CS, S_DATA, TS, S_DATA },
		{ "CS with DPL not RPL", T_CS, S_CODE32 | 3, TS, S_CODE32 },
		{ "CS not present", T_CS, S_NPCODE, NP, S_NPCODE },
		{ "null SS", T_SS, 0, TS, 0 },
		{ "SS with RPL not CPL", T_SS, S_DATA | 3, TS, S_DATA },
		{ "SS with DPL not CPL", T_SS, U_DATA & ~3, TS, U_DATA & ~3 },
		{ "SS read-only", T_SS, S_RODATA, TS, S_RODATA },
		{ "SS not present", T_SS, S_NPDATA, SS, S_NPDATA },
		{ "DS of execute-only code", T_DS, S_XOCODE, TS, S_XOCODE },
		{ "DS not present", T_DS, S_NPDATA, NP, S_NPDATA },
		{ "ES beyond the limit", T_ES, 0x300, TS, 0x300 },
		{ "ES of less privilege than RPL", T_ES, S_DATA | 3, TS, S_DATA },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		m_open(&m);
		m.what = t[i].what;
		m_mode(&m, PG32, 0);
		task(&m, TSS2);
		task(&m, TSS3);
		m_poke(&m, TSS2 + t[i].field, t[i].sel, 2);
		/* The handler is a task, so that it runs whatever is wrong. */
		m_poke(&m, TSS3 + T_EIP, TASKCODE + 0x100, 4);
		taskgate(&m, IDT + 8 * (unsigned)t[i].vec, S_TSS3, 0);
		ASM(&m, 32, "ljmp $0xc8, $0");
		ASM_AT(&m, TASKCODE, 32, END);
		ASM_AT(&m, TASKCODE + 0x100, 32, PROBE);
		m_probe(&m);
		CHECK_EQ(m_peek(&m, GET(&m, RSP), 4), (unsigned)t[i].err);
		/* It happened in the new task, before its first instruction. */
		CHECK_EQ(m_peek(&m, TSS3 + T_LINK, 2), S_TSS2);
		CHECK_EQ(m_peek(&m, TSS2 + T_EIP, 4), TASKCODE);
		CHECK_EQ(type_of(&m, S_TSS2), 11);
		CHECK_EQ(type_of(&m, S_TSS), 9);
		m_close(&m);
	}
	/* EIP beyond the new limit: #GP(0) in the new task. */
	m_open(&m);
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfff, 0x9b, 4));
	m_poke(&m, TSS2 + T_CS, S_FREE, 2);
	ASM(&m, 32, "ljmp $0xc8, $0");
	m_expect(&m, GP, 0);
	CHECK_EQ(m.f.rip, TASKCODE);
	CHECK_EQ(m.f.cs, S_FREE);
	CHECK_EQ(GET(&m, TR), S_TSS2);
	m_close(&m);
}

/*
 * A task at level 3, a virtual-8086 task, an address space of its own, an LDT of its own (7.2.1).
 */
TEST(tasks_of_other_kinds)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	for (unsigned i = 0; i < 6; i++)
		m_poke(&m, TSS2 + T_ES + 4 * i, U_DATA, 2);
	m_poke(&m, TSS2 + T_CS, U_CODE32, 2);
	m_poke(&m, TSS2 + T_FLAGS, 0x202, 4);
	m_poke(&m, TSS2 + 0x66, 0x68, 2);
	ASM(&m, 32, "ljmp $0xc8, $0");
	ASM_AT(&m, TASKCODE, 32, "mov $0x40000, %eax; incl (%eax); int $0x80");
	m_expect(&m, 0x80, NOERR);
	CHECK_EQ(m.f.cs, U_CODE32);
	CHECK_EQ(m.f.at, STACK0 - 20);			/* ESP0 of the task */
	CHECK_EQ(m.f.flags & FL_IF, FL_IF);
	/* Virtual-8086. */
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	for (unsigned i = 0; i < 6; i++)
		m_poke(&m, TSS2 + T_ES + 4 * i, DATA >> 4, 2);
	m_poke(&m, TSS2 + T_CS, CODE >> 4, 2);
	m_poke(&m, TSS2 + T_EIP, 0x800, 4);
	m_poke(&m, TSS2 + T_ESP, 0x8000, 4);
	m_poke(&m, TSS2 + T_FLAGS, FL_VM | 2, 4);
	m_poke(&m, DATA + 0x10, 0xbeef, 2);
	ASM(&m, 32, "ljmp $0xc8, $0");
	ASM_AT(&m, TASKCODE, 16, "mov 0x10, %ax; int $0x80");
	m_expect(&m, GP, 0);				/* IOPL 0 */
	CHECK((m.f.flags & FL_VM) != 0);
	CHECK_EQ(GET(&m, RAX) & 0xffff, 0xbeef);
	CHECK_EQ(m.f.cs, CODE >> 4);
	CHECK_EQ(m.f.seg86[1], DATA >> 4);
	/* CR3 and the LDT change with the task. */
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	for (unsigned i = 0; i < 1024; i++)
		m_poke(&m, 0x60000 + 4 * i, i << 22 | (uint32_t)(PG_ALL | PG_PS), 4);
	m_poke(&m, 0x60000, 0x61000 | PG_ALL, 4);
	for (unsigned i = 0; i < 1024; i++)
		m_poke(&m, 0x61000 + 4 * i, i << 12 | (uint32_t)PG_ALL, 4);
	m_poke(&m, 0x61000 + 4 * 0x40, 0x50000 | PG_ALL, 4);
	m_poke(&m, DATA, 0x1111, 4);
	m_poke(&m, 0x50000, 0x2222, 4);
	m_poke(&m, TSS2 + T_CR3, 0x60000, 4);
	m_gdt(&m, S_FREE, m_segdesc(0x62000, 0xf, 0x82, 0));
	m_poke(&m, TSS2 + T_LDT, S_FREE, 2);
	m_poke(&m, TSS2 + T_ES, 0xc, 2);
	m_poke(&m, 0x62008, m_segdesc(0x50, 0xfffff, 0x93, 0xc), 8);
	ASM(&m, 32, "mov 0x40000, %eax; lcall $0xc8, $0; mov 0x40000, %edx");
	ASM_AT(&m, TASKCODE, 32, "mov 0x40000, %eax; mov %es:0x3ffb0, %ebx;" PROBE "; iret");
	m_probe(&m);
	CHECK_EQ(GET(&m, CR3), 0x60000);
	CHECK_EQ(GET(&m, RAX), 0x2222);
	CHECK_EQ(GET(&m, RBX), 0x2222);
	CHECK_EQ(GET(&m, ES), 0xc);
	m_end(&m);
	CHECK_EQ(GET(&m, CR3), PD32);
	CHECK_EQ(GET(&m, RAX), 0x1111);
	CHECK_EQ(GET(&m, RDX), 0x1111);
	m_close(&m);
}

/* 7.2.1: the T flag raises #DB with DR6.BT before the first instruction. */
TEST(debug_trap_of_a_task)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	m_poke(&m, TSS2 + T_TRAP, 1, 1);
	ASM(&m, 32, "ljmp $0xc8, $0");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, TASKCODE);
	CHECK_EQ(GET(&m, DR6) & 0xe00f, 0x8000);
	/* A switch clears the local enables of DR7. */
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	SET(&m, DR7, 0x4ff);
	SET(&m, DR0, 0x9000000);
	SET(&m, DR1, 0x9000000);
	SET(&m, DR2, 0x9000000);
	SET(&m, DR3, 0x9000000);
	ASM(&m, 32, "ljmp $0xc8, $0");
	ASM_AT(&m, TASKCODE, 32, END);
	m_end(&m);
	CHECK_EQ(GET(&m, DR7) & 0xff, 0xaa);
	m_close(&m);
}

/* The flags of a new task are in force at once: TF behind its first instruction, IF before it. */
TEST(flags_of_a_task)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	m_poke(&m, TSS2 + T_FLAGS, 0x102, 4);
	ASM(&m, 32, "ljmp $0xc8, $0");
	ASM_AT(&m, TASKCODE, 32, "nop; nop;" END);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, TASKCODE + 1);
	m_mode(&m, PG32, 0);
	task(&m, TSS2);
	m_poke(&m, TSS2 + T_FLAGS, 0x202, 4);
	ASM(&m, 32, "movl $0x1ff, 0xfee000f0;" PROBE "; ljmp $0xc8, $0");
	ASM_AT(&m, TASKCODE, 32, "nop; nop;" END);
	m_probe(&m);
	CHECKF(vm_lapic_irq(m.cpu, 0x40) == 0, "%s", vm_errmsg());
	m_expect(&m, 0x40, NOERR);
	CHECK_EQ(m.f.rip, TASKCODE);
	m_end(&m);
	m_close(&m);
}

/* 7.6: 16-bit TSS, and switches between the two kinds. */
TEST(tasks_of_16_bits)
{
	struct mach m;
	uint64_t t = TSS2;

	m_open(&m);
	m_mode(&m, PG32, 0);
	m_gdt(&m, S_TSS2, m_segdesc(TSS2, 0x2b, 0x81, 0));
	m_fill(&m, t, 0, 0x2c);
	m_poke(&m, TSS + T_CR3, PD32, 4);
	m_poke(&m, t + 0x0e, 0x900, 2);			/* IP */
	m_poke(&m, t + 0x10, 2, 2);			/* FLAGS */
	for (unsigned i = 0; i < 8; i++)
		m_poke(&m, t + 0x12 + 2 * i, 0x2000 + i, 2);
	m_poke(&m, t + 0x1a, 0x7000, 2);		/* SP */
	m_poke(&m, t + 0x22, S_DATA, 2);		/* ES */
	m_poke(&m, t + 0x24, S_CODE16, 2);
	m_poke(&m, t + 0x26, S_DATA16, 2);
	m_poke(&m, t + 0x28, S_DATA, 2);
	m_poke(&m, t + 0x2a, 0, 2);			/* LDT */
	SET(&m, RBX, 0x12345678);
	ASM(&m, 32, "lcall $0xc8, $0; nop");
	ASM_AT(&m, CODE + 0x900, 16, "mov $0x1234, %bx;" PROBE "; iretw");
	m_probe(&m);
	CHECK_EQ(GET(&m, TR), S_TSS2);
	CHECK_EQ(GET(&m, RAX) & 0xffff, 0x2000);
	CHECK_EQ(GET(&m, RDI) & 0xffff, 0x2007);
	CHECK_EQ(GET(&m, RSP) & 0xffff, 0x7000);
	CHECK_EQ(GET(&m, LDTR), 0);
	CHECK_EQ(GET(&m, CR3), PD32);			/* a 16-bit TSS has none */
	CHECK_EQ(m_peek(&m, t, 2), S_TSS);
	CHECK_EQ(type_of(&m, S_TSS2), 3);
	CHECK((GET(&m, RFLAGS) & FL_NT) != 0);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0x12345678);
	CHECK_EQ(m_peek(&m, t + 0x18, 2), 0x1234);	/* BX */
	CHECK_EQ(type_of(&m, S_TSS2), 1);
	/* Smaller than 2BH: #TS. */
	m_mode(&m, PG32, 0);
	m_gdt(&m, S_TSS2, m_segdesc(TSS2, 0x2a, 0x81, 0));
	ASM(&m, 32, "ljmp $0xc8, $0");
	m_expect(&m, TS, S_TSS2);
	m_close(&m);
}

/* 7.7: no task switches in long mode. */
TEST(no_tasks_in_long_mode)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, CM32, 0);
	ASM(&m, 32, "ljmp $0xc8, $0");
	m_expect(&m, GP, S_TSS2);
	m_mode(&m, CM32, 0);
	taskgate(&m, GDT + S_GATE, S_TSS2, 3);
	ASM(&m, 32, "lcall $0xe0, $0");
	m_expect(&m, GP, S_GATE);
	m_mode(&m, LM64, 0);
	m_poke(&m, IDT + 16 * 0x44 + 5, 0x85, 1);
	ASM(&m, 64, "int $0x44");
	m_expect(&m, GP, 0x44 * 8 + 2);
	m_mode(&m, CM32, 0);
	SET(&m, RFLAGS, 2 | FL_NT);
	ASM(&m, 32, "iret");
	m_expect(&m, GP, 0);
	m_close(&m);
}

TEST_MAIN()
