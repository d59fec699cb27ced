/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_debug.c - chapter 17: breakpoints on instructions, data and I/O, single-step, DR6, DR7,
 * general detect, RF, INT1, and their order with MOV SS.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))
#define	DR6_BITS	0xe00f		/* B0-B3, BD, BS, BT */
#define	BS		0x4000
#define	BD		0x2000

/* DR7 for breakpoint n: local enable, R/W and LEN fields. */
#define	ENABLE(n, rw, len)	(1ULL << 2 * (n) | (uint64_t)((len) << 2 | (rw)) << (16 + 4 * (n)))
#define	RW_X	0
#define	RW_W	1
#define	RW_IO	2
#define	RW_RW	3

static const enum mode modes[] = { PM32, PG32, LM64, CM32 };

/* RF that IRET brings is gone behind the next instruction, wherever that is: here in code that was there often, and at last in code that was not. */
TEST(rf_is_for_one_instruction)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64,
	    "mov $40, %ecx; 1: lea 2f(%rip), %rbx; lea 3f(%rip), %rdx; cmp $1, %ecx; cmove %rdx, %rbx;"
	    "mov %rsp, %rax; mov %ss, %esi; push %rsi; push %rax; pushfq; orl $0x10000, (%rsp); mov %cs, %esi; push %rsi; push %rbx; iretq;"
	    "2: dec %ecx; jnz 1b; 3: nop; nop");
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xffffffff, 1);
	CHECK_EQ(GET(&m, RFLAGS) & FL_RF, 0);
	m_close(&m);
}

/* 17.3.1.1: a fault before the instruction; RF lets it go on. */
TEST(instruction_breakpoints)
{
	struct mach m;

	for (size_t k = 0; k < nitems(modes); k++) {
		m_open(&m);
		m_mode(&m, modes[k], modes[k] == PM32 ? 0 : 3);
		SET(&m, DR1, CODE + 5);
		SET(&m, DR7, 0x400 | ENABLE(1, RW_X, 0));
		ASM(&m, 32, "mov $1, %eax; add $2, %eax; add $4, %eax");
		m_expect(&m, DB, NOERR);
		CHECK_EQ(m.f.rip, CODE + 5);
		CHECK_EQ(GET(&m, RAX), 1);
		CHECK_EQ(GET(&m, DR6) & DR6_BITS, 2);
		/* The saved RF is clear for an instruction breakpoint: the handler sets it. */
		CHECK_EQ(m.f.flags & FL_RF, 0);
		m_poke(&m, m.f.at + (modes[k] >= LM64 ? 16 : 8), m.f.flags | FL_RF, 4);
		m_end(&m);
		CHECK_EQ(GET(&m, RAX), 7);
		CHECK_EQ(GET(&m, RFLAGS) & FL_RF, 0);		/* gone after one instruction */
		m_close(&m);
	}
	/* RF covers one instruction only: the second breakpoint hits. */
	m_open(&m);
	m_mode(&m, LM64, 0);
	SET(&m, DR0, CODE);
	SET(&m, DR2, CODE + 1);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_X, 0) | ENABLE(2, RW_X, 0));
	SET(&m, RFLAGS, 2 | FL_RF);
	ASM(&m, 64, "nop; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 1);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, 4);
	/* It comes before every fault of the instruction, its fetch included (table 6-2). */
	m_mode(&m, LM64, 0);
	SET(&m, DR0, CODE + 5);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_X, 0));
	ASM(&m, 64, "mov $1, %eax; ud2");
	m_expect(&m, DB, NOERR);
	m_mode(&m, LM64, 0);
	SET(&m, DR0, DATA);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_X, 0));
	m_pte(&m, DATA, 0);
	ASM(&m, 64, "mov $0x40000, %eax; jmp *%rax");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, DATA);
	/* Only the first byte of an instruction counts; disabled ones do not. */
	m_mode(&m, LM64, 0);
	SET(&m, DR0, CODE + 1);
	SET(&m, DR1, CODE);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_X, 0));
	ASM(&m, 64, "mov $1, %eax; nop");
	m_end(&m);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, 0);
	/*
	 * RF that the handler set stays in the frame of a fault of the same instruction: after the
	 * repair the breakpoint does not hit again (17.3.1.1).
	 */
	m_mode(&m, LM64, 3);
	SET(&m, DR0, CODE + 1);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_X, 0));
	m_pte(&m, DATA, 0);
	ASM(&m, 64, "nop; mov 0x40000, %eax; nop");
	m_expect(&m, DB, NOERR);
	m_poke(&m, m.f.at + 16, m.f.flags | FL_RF, 4);
	m_expect(&m, PF, PFE_U);
	CHECK_EQ(m.f.rip, CODE + 1);
	CHECK((m.f.flags & FL_RF) != 0);
	m_pte(&m, DATA, DATA | PG_ALL);
	m_end(&m);
	/* Global enables do the same as local ones; linear addresses count, not offsets. */
	m_mode(&m, PM16, 0);
	SET(&m, DR0, CODE + 3);
	SET(&m, DR7, 0x402);
	ASM(&m, 16, "mov $1, %ax; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, 3);
	/* In a loop that has run before it was set: found at once. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64,
	    "mov $1000, %ecx; 1: dec %ecx; cmp $500, %ecx; jne 2f; mov $0x10005, %eax;"
	    "mov %rax, %dr0; mov $0x402, %eax;"
	    "mov %rax, %dr7; 2: test %ecx, %ecx; jnz 1b");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 5);
	CHECK_EQ(GET(&m, RCX), 500);
	/*
	 * A repeated string instruction: once, not at each iteration, if RF is set in the
	 * handler's frame.
	 */
	m_mode(&m, LM64, 0);
	SET(&m, DR0, CODE + 10);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_X, 0));
	ASM(&m, 64, "mov $5, %ecx; mov $0x40000, %edi; rep stosb");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(GET(&m, RCX), 5);
	m_poke(&m, m.f.at + 16, m.f.flags | FL_RF, 4);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX), 0);
	m_close(&m);
}

/* 17.2.5: data breakpoints: traps behind the instruction. */
TEST(data_breakpoints)
{
	static const struct {
		const char *what;
		uint64_t addr;
		unsigned rw, len;
		const char *code;
		unsigned n;
		bool hit;
	} t[] = {
		{ "write, byte", DATA, RW_W, 0, "\x88\x03", 2, true },
		{ "write does not hit a read", DATA, RW_W, 0, "\x8a\x03", 2, false },
		{ "read/write, read", DATA, RW_RW, 0, "\x8a\x03", 2, true },
		{ "read/write, write", DATA, RW_RW, 0, "\x88\x03", 2, true },
		{ "beside it", DATA + 1, RW_RW, 0, "\x8a\x03", 2, false },
		{ "inside a longer access", DATA + 3, RW_W, 0, "\x89\x03", 2, true },
		{ "behind a longer access", DATA + 4, RW_W, 0, "\x89\x03", 2, false },
		{ "word range, access to its second byte", DATA, RW_W, 1, "\x88\x43\x01", 3, true },
		{ "word range, the byte behind", DATA, RW_W, 1, "\x88\x43\x02", 3, false },
		{ "dword range: low bits of the address are ignored", DATA + 3, RW_W, 3, "\x88\x03",
		    2, true },
		{ "dword range, last byte", DATA, RW_W, 3, "\x88\x43\x03", 3, true },
		{ "unaligned access over the range", DATA + 4, RW_W, 3, "\x89\x43\x02", 3, true },
		{ "a read-modify-write", DATA, RW_W, 0, "\x80\x03\x01", 3, true },
		{ "cmp does not write", DATA, RW_W, 0, "\x80\x3b\x00", 3, false },
		{ "lea does not access", DATA, RW_RW, 0, "\x8d\x03", 2, false },
		{ "push", STACK0 - 4, RW_W, 0, "\x50", 1, true },
		{ "movaps", DATA + 8, RW_W, 3, "\x0f\x29\x03", 3, true },
		{ "x87 store", DATA, RW_W, 3, "\xd9\x3b", 2, true },
	};
	struct mach m;

	for (size_t i = 0; i < nitems(t); i++) {
		for (unsigned k = 0; k < 2; k++) {
			m_open(&m);
			m.what = t[i].what;
			m_mode(&m, k == 0 ? PG32 : LM64, 0);
			SET(&m, CR4, GET(&m, CR4) | CR4_OSFXSR);
			SET(&m, RBX, DATA);
			SET(&m, DR3, t[i].addr);
			SET(&m, DR7, 0x400 | ENABLE(3, t[i].rw, t[i].len));
			m_bytes(&m, CODE, t[i].code, t[i].n);
			m_bytes(&m, CODE + t[i].n, "\x90\xe6\xf4", 3);
			if (t[i].hit) {
				m_expect(&m, DB, NOERR);
				CHECK_EQ(m.f.rip, CODE + t[i].n);
				CHECK_EQ(GET(&m, DR6) & DR6_BITS, 8);
				CHECK_EQ(m.f.flags & FL_RF, 0);
			} else {
				m_end(&m);
				CHECK_EQ(GET(&m, DR6) & DR6_BITS, 0);
			}
			m_close(&m);
		}
	}
	/* LEN 10B is eight bytes in 64-bit-capable processors. */
	m_open(&m);
	m_mode(&m, LM64, 0);
	SET(&m, DR0, DATA);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_W, 2));
	ASM(&m, 64, "movb $1, 0x40007; nop");
	m_expect(&m, DB, NOERR);
	/* Two at once: both bits. */
	m_mode(&m, LM64, 0);
	SET(&m, DR0, DATA);
	SET(&m, DR1, DATA + 8);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_W, 0) | ENABLE(1, RW_RW, 0));
	ASM(&m, 64, "mov $0x40008, %esi; mov $0x40000, %edi; movsb; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, 3);
	/* In REP: after the iteration that hit (17.3.1.2). */
	m_mode(&m, LM64, 0);
	SET(&m, DR0, DATA + 4);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_W, 0));
	ASM(&m, 64, "mov $10, %ecx; mov $0x40000, %edi; mov $0x77, %al; rep stosb");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(GET(&m, RCX), 5);
	CHECK_EQ(GET(&m, RDI), DATA + 5);
	CHECK_EQ(m.f.rip, CODE + 12);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX), 0);
	CHECK_EQ(m_peek(&m, DATA + 8, 2), 0x7777);
	/* An instruction that faults does not trap. */
	m_mode(&m, PG32, 3);
	SET(&m, DR0, DATA + 0xffe);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_W, 0));
	m_pte(&m, DATA + 0x1000, 0);
	ASM(&m, 32, "mov %eax, 0x40ffe");
	m_expect(&m, PF, PFE_U | PFE_W);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, 0);
	/* Set while the loop that makes the accesses runs; and an access over two pages. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64,
	    "mov $1000, %ecx; 1: mov %ecx, 0x40ffe; dec %ecx; cmp $500, %ecx; jne 2f;"
	    "mov $0x41000, %eax; mov %rax, %dr0;"
	    "mov $0x10401, %eax; mov %rax, %dr7; 2: test %ecx, %ecx; jnz 1b");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(GET(&m, RCX), 500);
	CHECK_EQ(m_peek(&m, m.f.rip, 2), 0xc9ff);
	/* Stack accesses of CALL, RET, and of segment base; FS. */
	m_mode(&m, PG32, 0);
	SET(&m, DR0, STACK0 - 4);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_RW, 3));
	ASM(&m, 32, "call 1f; 1: nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 5);
	m_mode(&m, LM64, 3);
	SET(&m, FS_BASE, 0x1000);
	SET(&m, DR0, DATA + 0x1000);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_RW, 0));
	ASM(&m, 64, "mov 0x40000, %al; mov %fs:0x40000, %al; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 7 + 8);
	/* In real mode too, on linear addresses. */
	m_mode(&m, REAL, 0);
	SET(&m, DR0, DATA + 0x10);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_W, 0));
	ASM(&m, 16, "movb $1, 0x10; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, 5);
	m_close(&m);
}

/* 17.2.5: I/O breakpoints with CR4.DE. */
TEST(io_breakpoints)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_DE);
	SET(&m, DR2, 0xec);
	SET(&m, DR7, 0x400 | ENABLE(2, RW_IO, 0));
	ASM(&m, 64, PROBE "; nop");
	m_probe(&m);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 2);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, 4);
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_DE);
	SET(&m, DR2, 0xed);
	SET(&m, DR7, 0x400 | ENABLE(2, RW_IO, 0));
	ASM(&m, 64, PROBE "; nop");
	m_probe(&m);
	m_end(&m);
	/* IN, and the string instructions: after the iteration. */
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_DE);
	SET(&m, DR2, 0x512);
	SET(&m, DR7, 0x400 | ENABLE(2, RW_IO, 0));
	SET(&m, RDX, 0x510);
	SET(&m, RSI, DATA);
	SET(&m, RCX, 3);
	ASM(&m, 64, "in %dx, %ax; in %dx, %eax; mov $0x512, %edx; rep outsb");
	m_run(&m);
	CHECK_EQ(m.ex.u.io.size, 2);
	m_run(&m);
	CHECK_EQ(m.ex.u.io.size, 4);
	m_expect(&m, DB, NOERR);			/* a dword at 510H touches 512H */
	CHECK_EQ(m.f.rip, CODE + 3);
	for (unsigned i = 0; i < 3; i++) {
		m_run(&m);
		CHECK_EQ(m.ex.u.io.port, 0x512);
		m_expect(&m, DB, NOERR);
		CHECK_EQ(GET(&m, RCX), 2 - i);
	}
	/* A memory access at that address does not count. */
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_DE);
	SET(&m, DR2, 0x510);
	SET(&m, DR7, 0x400 | ENABLE(2, RW_IO, 0));
	ASM(&m, 64, "mov 0x510, %al");
	m_end(&m);
	m_close(&m);
}

/* 17.3.1.4: single-step. */
TEST(single_step)
{
	struct mach m;

	m_open(&m);
	for (size_t k = 0; k < nitems(modes); k++) {
		m_mode(&m, modes[k], modes[k] == PM32 ? 0 : 3);
		SET(&m, RFLAGS, 2 | FL_TF);
		ASM(&m, 32, "mov $1, %ebx; jmp 1f; nop; 1: inc %ebx");
		m_expect(&m, DB, NOERR);
		CHECK_EQ(m.f.rip, CODE + 5);
		CHECK((m.f.flags & FL_TF) != 0);
		CHECK_EQ(m.f.flags & FL_RF, 0);
		CHECK_EQ(GET(&m, DR6) & DR6_BITS, BS);
		CHECK_EQ(GET(&m, RFLAGS) & FL_TF, 0);
		m_expect(&m, DB, NOERR);
		CHECK_EQ(m.f.rip, CODE + 8);
	}
	/* The instruction that sets TF is not the one that traps, the next is. */
	m_mode(&m, PG32, 3);
	ASM(&m, 32, "pushl $0x102; popf; nop; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 7);
	/* One that clears it: the trap comes still, as TF was set when it began. */
	m_mode(&m, PG32, 3);
	SET(&m, RFLAGS, 2 | FL_TF);
	ASM(&m, 32, "pushl $2; popf; nop");
	m_expect(&m, DB, NOERR);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 3);
	CHECK_EQ(m.f.flags & FL_TF, 0);
	m_end(&m);
	/* IRET to TF: after the first instruction there. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "pushq $0x10; pushq $0x30000; pushq $0x102; pushq $8; pushq $0x10100; iretq");
	ASM_AT(&m, CODE + 0x100, 64, "nop; nop;" END);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 0x101);
	/* After each iteration of REP. */
	m_mode(&m, LM64, 3);
	SET(&m, RFLAGS, 2 | FL_TF);
	SET(&m, RCX, 3);
	SET(&m, RDI, DATA);
	ASM(&m, 64, "rep stosb; nop");
	for (unsigned i = 2; i > 0; i--) {
		m_expect(&m, DB, NOERR);
		CHECK_EQ(GET(&m, RCX), i);
		CHECK_EQ(m.f.rip, CODE);
		/* 17.3.1.1: but the last iteration */
		CHECK((m.f.flags & FL_RF) != 0);
	}
	m_expect(&m, DB, NOERR);
	CHECK_EQ(GET(&m, RCX), 0);
	CHECK_EQ(m.f.rip, CODE + 2);
	/*
	 * INT n: TF is cleared on the way; the trap comes only when back, after the instruction
	 * there (17.3.1.4).
	 */
	m_mode(&m, LM64, 3);
	SET(&m, RFLAGS, 2 | FL_TF);
	ASM(&m, 64, "int $0x80; nop; nop");
	m_expect(&m, 0x80, NOERR);
	CHECK((m.f.flags & FL_TF) != 0);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 3);
	/* HLT traps when it ends, which is when something wakes it. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "movl $0x1ff, 0xfee000f0;" PROBE "; pushl $0x302; popf; hlt; nop");
	m_probe(&m);
	CHECKF(vm_lapic_irq(m.cpu, 0x41) == 0, "%s", vm_errmsg());
	m_expect(&m, 0x41, NOERR);			/* taken behind POPF, before HLT */
	CHECK_EQ(m_peek(&m, m.f.rip, 1), 0xf4);
	/* A faulting instruction does not trap: it did not end. */
	m_mode(&m, LM64, 3);
	SET(&m, RFLAGS, 2 | FL_TF);
	ASM(&m, 64, "ud2; nop");
	m_expect(&m, UD, NOERR);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, 0);
	/* SYSCALL with TF in SFMASK: no trap on the kernel's side. */
	m_mode(&m, LM64, 3);
	SET(&m, EFER, GET(&m, EFER) | EFER_SCE);
	SET(&m, STAR, 0x0033000800000000);
	SET(&m, LSTAR, CODE + 0x100);
	SET(&m, SFMASK, FL_TF);
	SET(&m, RFLAGS, 2 | FL_TF);
	ASM(&m, 64, "syscall");
	ASM_AT(&m, CODE + 0x100, 64, "nop; nop;" END);
	m_end(&m);
	/* Together with a data breakpoint: one exception, both bits. */
	m_mode(&m, LM64, 0);
	SET(&m, RFLAGS, 2 | FL_TF);
	SET(&m, DR0, DATA);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_W, 0));
	ASM(&m, 64, "movb $1, 0x40000; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, BS | 1);
	/*
	 * A trap of the last instruction, then the breakpoint on the next one: in this order
	 * (table 6-2).
	 */
	m_mode(&m, LM64, 0);
	SET(&m, RFLAGS, 2 | FL_TF);
	SET(&m, DR0, CODE + 1);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_X, 0));
	ASM(&m, 64, "nop; nop; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 1);
	CHECK((GET(&m, DR6) & BS) != 0);
	m_close(&m);
}

/* 6.8.3: MOV SS and POP SS hold debug exceptions back until the end of the next instruction. */
TEST(debug_after_mov_ss)
{
	struct mach m;

	/* Single-step skips the instruction behind it. */
	m_open(&m);
	m_mode(&m, PG32, 0);
	SET(&m, RFLAGS, 2 | FL_TF);
	ASM(&m, 32, "mov %ss, %eax; mov %eax, %ss; mov $1, %ebx; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 2);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 9);
	CHECK_EQ(GET(&m, RBX), 1);
	m_mode(&m, PG32, 0);
	SET(&m, RFLAGS, 2 | FL_TF);
	ASM(&m, 32, "push %ss; pop %ss; mov $1, %ebx; nop");
	m_expect(&m, DB, NOERR);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 7);
	/* An instruction breakpoint on the one behind it does not hit. */
	m_mode(&m, PG32, 0);
	SET(&m, DR0, CODE + 4);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_X, 0));
	ASM(&m, 32, "mov %ss, %eax; mov %eax, %ss; mov $1, %ebx");
	m_end(&m);
	/* A data breakpoint of MOV SS itself arrives after the next instruction. */
	m_mode(&m, LM64, 0);
	m_poke(&m, DATA, S_DATA, 2);
	SET(&m, DR0, DATA);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_RW, 1));
	ASM(&m, 64, "mov 0x40000, %ss; mov $1, %ebx; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(GET(&m, RBX), 1);
	CHECK_EQ(m.f.rip, CODE + 7 + 5);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, 1);
	/*
	 * ... and if that one enters a handler, there, before its first instruction: INT n and
	 * SYSCALL alike.
	 */
	m_mode(&m, LM64, 3);
	m_poke(&m, DATA, U_DATA, 2);
	SET(&m, DR0, DATA);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_RW, 1));
	ASM(&m, 64, "mov 0x40000, %ss; int $0x80");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, STUBS + 16 * 0x80);
	CHECK_EQ(m.f.cs, S_CODE64);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, 1);
	m_expect(&m, 0x80, NOERR);
	m_mode(&m, LM64, 3);
	m_poke(&m, DATA, U_DATA, 2);
	SET(&m, EFER, GET(&m, EFER) | EFER_SCE);
	SET(&m, STAR, 0x0033000800000000);
	SET(&m, LSTAR, CODE + 0x100);
	SET(&m, DR0, DATA);
	SET(&m, DR7, 0x400 | ENABLE(0, RW_RW, 1));
	ASM(&m, 64, "mov 0x40000, %ss; syscall");
	ASM_AT(&m, CODE + 0x100, 64, "mov $0x30000, %esp;" END);
	m_gate(&m, DB, 14, 0, S_CODE64, STUBS + 16 * DB, 1);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 0x100);
	CHECK_EQ(m.f.cs, S_CODE64);
	m_end(&m);
	/*
	 * A fault behind MOV SS ends the shadow: what is pending comes with the handler's first
	 * instruction, or is lost; no hang.
	 */
	m_mode(&m, PG32, 0);
	SET(&m, RFLAGS, 2 | FL_TF);
	ASM(&m, 32, "mov %ss, %eax; mov %eax, %ss; ud2");
	m_expect(&m, DB, NOERR);
	m_expect(&m, UD, NOERR);
	CHECK_EQ(m.f.rip, CODE + 4);
	/* Loads of the other segments do not hold anything back. */
	m_mode(&m, PG32, 0);
	SET(&m, RFLAGS, 2 | FL_TF);
	ASM(&m, 32, "mov %ds, %eax; mov %eax, %es; nop");
	m_expect(&m, DB, NOERR);
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 4);
	m_close(&m);
}

/* Vol. 2, INT1: #DB without a look at the gate's DPL, a trap, DR6 as it was. */
TEST(icebp)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, ".byte 0xf1; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 1);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, 0);
	CHECK_EQ(m.f.flags & FL_RF, 0);
	/* CD 01 is INT n: it does look. */
	m_mode(&m, LM64, 3);
	ASM(&m, 64, ".byte 0xcd, 1");
	m_expect(&m, GP, 1 * 8 + 2);
	m_close(&m);
}

/*
 * Traps of instructions that leave for the caller in between come when the instruction has ended.
 */
TEST(traps_and_exits)
{
	struct mach m;

	for (unsigned how = 0; how < 2; how++) {
		m_open(&m);
		m_mode(&m, PM32, 0);
		SET(&m, RBX, 0xd0000000);
		SET(&m, RSP, STACK0);
		if (how == 0)
			SET(&m, RFLAGS, 2 | FL_TF);
		else {
			SET(&m, DR0, 0xd0000000);
			SET(&m, DR7, 0x400 | ENABLE(0, RW_RW, 3));
		}
		ASM(&m, 32, "movl $5, (%ebx); mov (%ebx), %eax; addl $1, (%ebx);"
		    "movb %al, 1(%ebx)");
		m_run(&m);			/* a store */
		CHECK_EQ(m.ex.code, VM_EXIT_MMIO);
		m_expect(&m, DB, NOERR);
		CHECK_EQ(m.f.rip, CODE + 6);
		m_run(&m);			/* a load */
		CHECK_EQ(m.ex.code, VM_EXIT_MMIO);
		CHECK_EQ(vm_exit_reply(m.cpu, 77), 0);
		m_expect(&m, DB, NOERR);
		CHECK_EQ(m.f.rip, CODE + 8);
		CHECK_EQ(GET(&m, RAX), 77);
		m_run(&m);			/* both */
		CHECK(m.ex.code == VM_EXIT_MMIO && !m.ex.u.mmio.write);
		CHECK_EQ(vm_exit_reply(m.cpu, 1), 0);
		m_run(&m);
		CHECK(m.ex.code == VM_EXIT_MMIO && m.ex.u.mmio.write);
		CHECK_EQ(m.ex.u.mmio.data, 2);
		m_expect(&m, DB, NOERR);
		CHECK_EQ(m.f.rip, CODE + 11);
		CHECK_EQ(GET(&m, DR6) & DR6_BITS, how == 0 ? BS : 1);
		m_close(&m);
	}
	/* REP from a device, single-stepped: a read and a trap for each iteration. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	SET(&m, RFLAGS, 2 | FL_TF);
	SET(&m, RSI, 0xd0000000);
	SET(&m, RDI, DATA);
	SET(&m, RCX, 3);
	ASM(&m, 32, "rep movsl; nop");
	for (unsigned i = 0; i < 3; i++) {
		m_run(&m);
		CHECK_EQ(m.ex.code, VM_EXIT_MMIO);
		CHECK_EQ(vm_exit_reply(m.cpu, i), 0);
		m_expect(&m, DB, NOERR);
		CHECK_EQ(m.f.rip, i < 2 ? CODE : CODE + 2);
		CHECK_EQ(GET(&m, RCX), 2 - i);
		CHECK_EQ(m_peek(&m, DATA + 4 * i, 4), i);
	}
	m_close(&m);
}

/* 17.2: the registers. */
TEST(registers)
{
	struct mach m;

	/* GD: any MOV DR traps before it happens, with BD; the handler has GD clear. */
	m_open(&m);
	m_mode(&m, LM64, 0);
	SET(&m, DR7, 0x400 | 1 << 13);
	ASM(&m, 64, "mov %dr0, %rax");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, BD);
	CHECK_EQ(GET(&m, DR7), 0x400);
	/* Privilege comes first. */
	m_mode(&m, LM64, 3);
	SET(&m, DR7, 0x400 | 1 << 13);
	ASM(&m, 64, "mov %dr0, %rax");
	m_expect(&m, GP, 0);
	/* DR4 and DR5: aliases, or #UD with CR4.DE. */
	m_mode(&m, LM64, 0);
	SET(&m, DR6, 0xffff0ff3);
	ASM(&m, 64, "mov %dr4, %rax; mov %dr5, %rbx; mov $0xffff4ff0, %ecx; mov %rcx, %dr4");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0xffff0ff3);
	CHECK_EQ(GET(&m, RBX), 0x400);
	CHECK_EQ(GET(&m, DR6), 0xffff4ff0);
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_DE);
	ASM(&m, 64, "mov %dr4, %rax");
	m_expect(&m, UD, NOERR);
	m_mode(&m, LM64, 0);
	m_bytes(&m, CODE, "\x44\x0f\x21\xc0", 4);	/* DR8 */
	m_expect(&m, UD, NOERR);
	/* Upper halves of DR6 and DR7: #GP(0); of DR0-3 they count. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "movabs $0x100000400, %rax; mov %rax, %dr0; mov %rax, %dr7");
	m_expect(&m, GP, 0);
	CHECK_EQ(GET(&m, DR0), 0x100000400);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "movabs $0x1ffff0ff0, %rax; mov %rax, %dr6");
	m_expect(&m, GP, 0);
	/* Fixed bits. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "xor %eax, %eax; mov %rax, %dr6; mov %rax, %dr7; mov %dr6, %rbx;"
	    "mov %dr7, %rcx");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & ~(uint64_t)(1 << 11 | 1 << 16),
	    0xffff0ff0 & ~(uint64_t)(1 << 11 | 1 << 16));
	CHECK_EQ(GET(&m, RCX), 0x400);
	/* Bits that are set stay until software clears them (17.2.3). */
	m_mode(&m, LM64, 0);
	SET(&m, DR6, 0xffff0ff1);
	SET(&m, RFLAGS, 2 | FL_TF);
	ASM(&m, 64, "nop; nop");
	m_expect(&m, DB, NOERR);
	CHECK((GET(&m, DR6) & BS) != 0);
	/* A new address or enable by MOV DR is in force for the next instruction. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $0x40000, %eax; mov %rax, %dr0; mov $0x10401, %eax; mov %rax, %dr7;"
	    "movb $1, 0x40000; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(GET(&m, DR6) & DR6_BITS, 1);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $0x10010, %eax; mov %rax, %dr0; mov $0x401, %eax; mov %rax, %dr7; nop;"
	    "nop; nop; nop; nop; nop");
	m_expect(&m, DB, NOERR);
	CHECK_EQ(m.f.rip, CODE + 0x10);
	m_close(&m);
}

TEST_MAIN()
