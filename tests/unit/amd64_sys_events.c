/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_events.c - sections 6.3 to 6.9, 8.4, 10.8: interrupts and when they are taken: IF, the
 * shadows of STI and MOV SS, NMI blocking, task priority, HLT, string instructions that are
 * interrupted, INIT and SIPI.
 */
#include <pthread.h>

#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

#define	ON	"movl $0x1ff, 0xfee000f0;"		/* software-enable the local APIC */
#define	EOI	"movl $0, 0xfee000b0;"

static void
irq(struct mach *m, int vec)
{
	CHECKF(vm_lapic_irq(m->cpu, vec) == 0, "%s", vm_errmsg());
}

static void
nmi(struct mach *m)
{
	CHECKF(vm_amd64_inject_nmi(m->cpu) == 0, "%s", vm_errmsg());
}

/* 6.8.1 and vol. 2, STI: the instruction behind STI runs first; only if IF was clear. */
TEST(shadow_of_sti)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, ON PROBE "; xor %ebx, %ebx; sti; inc %ebx; inc %ebx; inc %ebx");
	m_probe(&m);
	irq(&m, 0x40);
	m_expect(&m, 0x40, NOERR);
	CHECK_EQ(GET(&m, RBX), 1);
	CHECK((m.f.flags & FL_IF) != 0);
	CHECK_EQ(GET(&m, RFLAGS) & FL_IF, 0);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 3);
	/* STI; CLI never lets one in; STI; STI holds back for one instruction only. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, ON PROBE "; sti; cli; inc %ebx;" PROBE "; sti; sti; inc %ebx; inc %ebx");
	m_probe(&m);
	irq(&m, 0x40);
	m_probe(&m);
	CHECK_EQ(GET(&m, RBX), 1);
	m_expect(&m, 0x40, NOERR);
	CHECK_EQ(GET(&m, RBX), 1);
	/* STI; HLT: the classic way to wait; no interrupt is lost between them. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, ON PROBE "; sti; hlt; inc %ebx");
	m_probe(&m);
	irq(&m, 0x40);
	m_expect(&m, 0x40, NOERR);
	CHECK_EQ(GET(&m, RBX), 0);
	CHECK_EQ(m_peek(&m, m.f.rip - 1, 1), 0xf4);
	m_end(&m);
	/* POPF has no shadow. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, ON PROBE "; push $0x202; popf; inc %ebx");
	m_probe(&m);
	irq(&m, 0x40);
	m_expect(&m, 0x40, NOERR);
	CHECK_EQ(GET(&m, RBX), 0);
	/* IRET has none either. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, ON PROBE "; push $0x202; push $0x18; push $0x10100; iret");
	ASM_AT(&m, CODE + 0x100, 32, "inc %ebx;" END);
	m_probe(&m);
	irq(&m, 0x40);
	m_expect(&m, 0x40, NOERR);
	CHECK_EQ(m.f.rip, CODE + 0x100);
	m_close(&m);
}

/* 6.8.3: MOV SS and POP SS hold interrupts and NMIs back for one instruction. */
TEST(shadow_of_mov_ss)
{
	struct mach m;
	static const bool nmis[] = { false, true };

	for (size_t k = 0; k < nitems(nmis); k++) {
		for (unsigned how = 0; how < 3; how++) {
			m_open(&m);
			m_mode(&m, PM32, 0);
			m_poke(&m, DATA, S_DATA, 2);
			/*
			 * The request arrives while MOV SS executes: it reads SS from a
			 * port-backed address, as it were.
			 */
			if (how == 0)
				ASM(&m, 32, ON "sti; nop; mov 0xd0000000, %ss; inc %ebx; inc %ebx");
			else if (how == 1)
				ASM(&m, 32, ON "sti; nop; mov 0xd0000000, %es; inc %ebx; inc %ebx");
			else
				ASM(&m, 32, ON "sti; nop; lss 0xd0000000, %esp; inc %ebx;"
				    "inc %ebx");
			m_run(&m);
			CHECK_EQ(m.ex.code, VM_EXIT_MMIO);
			if (how == 2) {
				CHECK_EQ(vm_exit_reply(m.cpu, m.ex.u.mmio.gpa == 0xd0000000 ?
				    STACK0 : S_DATA), 0);
				m_run(&m);
				CHECK_EQ(m.ex.code, VM_EXIT_MMIO);
				CHECK_EQ(vm_exit_reply(m.cpu, m.ex.u.mmio.gpa == 0xd0000000 ?
				    STACK0 : S_DATA), 0);
			} else
				CHECK_EQ(vm_exit_reply(m.cpu, S_DATA), 0);
			if (nmis[k])
				nmi(&m);
			else
				irq(&m, 0x40);
			m_expect(&m, nmis[k] ? NMI : 0x40, NOERR);
			/* LSS, which loads both at once, has no shadow. */
			CHECK_EQ(GET(&m, RBX), how == 0 ? 1 : 0);
			m_close(&m);
		}
	}
}

/* The shadow is in the state, and can be set there (INTR_SHADOW). */
TEST(shadow_in_the_state)
{
	struct mach m;

	for (unsigned shadow = 0; shadow < 3; shadow++) {
		m_open(&m);
		m_mode(&m, PM32, 0);
		ASM(&m, 32, ON PROBE "; inc %ebx; inc %ebx");
		m_probe(&m);
		irq(&m, 0x40);
		SET(&m, RFLAGS, 2 | FL_IF);
		SET(&m, INTR_SHADOW, shadow);
		m_expect(&m, 0x40, NOERR);
		CHECK_EQ(GET(&m, RBX), shadow != 0);
		m_close(&m);
	}
	/* Single stepped by the caller, STI shows its shadow for exactly one instruction. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "sti; nop; mov %ss, %eax; mov %eax, %ss; nop");
	CHECK_EQ(vm_set_capability(m.cpu, VM_CAP_SINGLE_STEP, 1), 0);
	static const unsigned want[] = { 1, 0, 0, 2, 0 };
	for (size_t i = 0; i < nitems(want); i++) {
		m_run(&m);
		CHECK_EQ(m.ex.code, VM_EXIT_DEBUG);
		CHECK_EQ(GET(&m, INTR_SHADOW), want[i]);
	}
	m_close(&m);
}

/* 6.7.1: no further NMI until IRET; it is kept, once; other events are not blocked. */
TEST(nmi_blocking)
{
	struct mach m;

	for (unsigned k = 0; k < 2; k++) {
		enum mode mode = k == 0 ? PM32 : LM64;

		m_open(&m);
		m_mode(&m, mode, mode == LM64 ? 3 : 0);
		ASM(&m, 32, PROBE "; nop; nop");
		m_probe(&m);
		nmi(&m);
		m_expect(&m, NMI, NOERR);
		CHECK_EQ(m.f.rip, CODE + 2);
		CHECK_EQ(m.f.flags & FL_RF, 0);
		/*
		 * Two more arrive while it is handled: one is kept, and comes right after the
		 * IRET.
		 */
		nmi(&m);
		nmi(&m);
		m_expect(&m, NMI, NOERR);
		CHECK_EQ(m.f.rip, CODE + 2);
		m_end(&m);
		m_close(&m);
	}
	/*
	 * Exceptions inside the handler work, and their IRET ends the blocking: a known trait
	 * (6.7.1).
	 */
	m_open(&m);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, PROBE "; nop");
	ASM_AT(&m, STUBS + 16 * NMI, 32, "inc %edi; int3; inc %esi; .byte 0xeb, 2; nop; nop;"
	    "out %al, $0xee; iret");
	m_probe(&m);
	nmi(&m);
	m_expect(&m, BP, NOERR);
	CHECK_EQ(GET(&m, RDI), 1);
	nmi(&m);
	m_expect(&m, BP, NOERR);
	/* taken after INT3's IRET, before INC ESI */
	CHECK_EQ(GET(&m, RDI), 2);
	CHECK_EQ(GET(&m, RSI), 0);
	/* A far RET is no IRET: it stays blocked. */
	m_close(&m);
	m_open(&m);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, PROBE "; nop;" PROBE "; pushf; push %cs; push $0x10100; iret");
	ASM_AT(&m, CODE + 0x100, 32, "nop; nop;" END);
	ASM_AT(&m, STUBS + 16 * NMI, 32, "inc %edi; lret $4");
	m_probe(&m);
	nmi(&m);
	m_probe(&m);
	CHECK_EQ(GET(&m, RDI), 1);
	nmi(&m);
	ASM_AT(&m, STUBS + 16 * NMI, 32, "out %al, $0xee; iret");
	m_expect(&m, NMI, NOERR);
	CHECK_EQ(m.f.rip, CODE + 0x100);
	/* IF does not matter. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "cli;" PROBE "; nop");
	m_probe(&m);
	nmi(&m);
	m_expect(&m, NMI, NOERR);
	m_close(&m);
	/* In real mode as well. */
	m_open(&m);
	m_mode(&m, REAL, 0);
	ASM(&m, 16, PROBE "; nop");
	m_probe(&m);
	nmi(&m);
	m_expect(&m, NMI, NOERR);
	m_end(&m);
	m_close(&m);
	/*
	 * An IRET that faults has ended the blocking as well (27.2.3, NMI unblocking due to
	 * IRET).
	 */
	m_open(&m);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, PROBE "; nop");
	m_probe(&m);
	nmi(&m);
	m_expect(&m, NMI, NOERR);
	m_poke(&m, m.f.at + 4, S_FREE, 4);
	m_expect(&m, GP, S_FREE);
	nmi(&m);
	m_run(&m);
	CHECK_EQ(m_vector(&m), NMI);
	m_close(&m);
}

/* 10.8.3: priority of vectors, TPR by CR8; 6.9: NMI before interrupts. */
TEST(priorities_of_interrupts)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	m_poke(&m, PDPT + 24, PTX | PG_ALL, 8);
	m_fill(&m, PTX, 0, 0x1000);
	m_poke(&m, PTX + 8 * (0x3ee00000 >> 21), 0xfee00000 | PG_ALL | PG_PS, 8);
	ASM(&m, 64,
	    "mov $0xfee00000, %edi; movl $0x1ff, 0xf0(%rdi); mov $5, %eax; mov %rax, %cr8; sti;"
	    "nop;" PROBE "; nop; nop;"
	    "mov $4, %eax; mov %rax, %cr8; mov $6, %ebx; nop; mov 0x80(%rdi), %ecx");
	m_probe(&m);
	irq(&m, 0x51);
	m_expect(&m, 0x51, NOERR);
	CHECK_EQ(GET(&m, RAX), 4);
	CHECK_EQ(GET(&m, RBX), 0);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX), 0x40);			/* TPR by memory is CR8 << 4 */
	m_close(&m);

	/* The highest first; an equal or lower class waits for EOI; NMI before all. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, ON PROBE "; sti; nop;" EOI "nop;" EOI "nop");
	m_probe(&m);
	irq(&m, 0x41);
	irq(&m, 0x62);
	irq(&m, 0x63);
	nmi(&m);
	m_expect(&m, NMI, NOERR);
	m_expect(&m, 0x63, NOERR);
	m_expect(&m, 0x62, NOERR);
	m_expect(&m, 0x41, NOERR);
	m_close(&m);
}

/* 6.3.2, vol. 2 HLT: what ends a halt, and where the handler returns. */
TEST(halt)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, ON "hlt; inc %ebx");
	CHECK_EQ(vm_set_capability(m.cpu, VM_CAP_HALT_EXIT, 1), 0);
	m_run(&m);
	CHECK_EQ(m.ex.code, VM_EXIT_HALT);
	CHECK_EQ(m_peek(&m, GET(&m, RIP) - 1, 1), 0xf4);
	CHECK_EQ(GET(&m, RUN_STATE), VM_AMD64_HALTED);
	/* With IF clear an interrupt does not wake it, an NMI does. */
	irq(&m, 0x40);
	m_run(&m);
	CHECK_EQ(m.ex.code, VM_EXIT_HALT);
	nmi(&m);
	m_expect(&m, NMI, NOERR);
	CHECK_EQ(m_peek(&m, m.f.rip - 1, 1), 0xf4);
	CHECK_EQ(GET(&m, RUN_STATE), VM_AMD64_RUNNING);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 1);
	m_close(&m);
	/* A masked interrupt (TPR) does not wake it either. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	CHECK_EQ(vm_set_capability(m.cpu, VM_CAP_HALT_EXIT, 1), 0);
	ASM(&m, 32, ON "movl $0x70, 0xfee00080; sti; hlt; inc %ebx");
	m_run(&m);
	CHECK_EQ(m.ex.code, VM_EXIT_HALT);
	irq(&m, 0x61);
	m_run(&m);
	CHECK_EQ(m.ex.code, VM_EXIT_HALT);
	irq(&m, 0x81);
	m_expect(&m, 0x81, NOERR);
	m_close(&m);
}

/*
 * 6.8.3 and vol. 2 REP: a repeated instruction is interruptible between iterations and goes on
 * where it was.
 */
TEST(interrupted_string_instructions)
{
	struct mach m;

	for (unsigned k = 0; k < 2; k++) {
		m_open(&m);
		m_mode(&m, PM32, 0);
		ASM(&m, 32, ON "sti; cld; mov $0xd0000000, %esi; mov $0x40000, %edi; mov $6, %ecx;"
		    "rep movsl; inc %ebx");
		for (unsigned i = 0; i < 6; i++) {
			m_run(&m);
			if (m_vector(&m) == (k == 0 ? 0x40 : NMI)) {
				/*
				 * The request came with the read of iteration 2, which ended
				 * first.
				 */
				CHECK_EQ(i, 3);
				CHECK_EQ(GET(&m, RCX), 3);
				CHECK_EQ(GET(&m, RSI), 0xd000000c);
				CHECK_EQ(GET(&m, RDI), DATA + 12);
				/* EIP: at the prefix */
				CHECK_EQ(m_peek(&m, m_peek(&m, GET(&m, RSP), 4), 2), 0xa5f3);
				/* 17.3.1.1 */
				CHECK((m_peek(&m, GET(&m, RSP) + 8, 4) & FL_RF) != 0);
				m_run(&m);
			}
			CHECK_EQ(m.ex.code, VM_EXIT_MMIO);
			CHECK_EQ(m.ex.u.mmio.gpa, 0xd0000000 + 4 * i);
			CHECK_EQ(vm_exit_reply(m.cpu, 100 + i), 0);
			if (i == 2 && k == 0)
				irq(&m, 0x40);
			else if (i == 2)
				nmi(&m);
		}
		m_end(&m);
		for (unsigned i = 0; i < 6; i++)
			CHECK_EQ(m_peek(&m, DATA + 4 * i, 4), 100 + i);
		CHECK_EQ(GET(&m, RCX), 0);
		CHECK_EQ(GET(&m, RBX), 1);
		m_close(&m);
	}
	/* Overlapping, backwards, and a page fault in the middle of each direction. */
	m_open(&m);
	m_mode(&m, PG32, 3);
	m_pte(&m, DATA + 0x1000, 0);
	ASM(&m, 32, "std; mov $0x42003, %edi; mov $0x52003, %esi; mov $0x2004, %ecx; rep movsb");
	m_expect(&m, PF, PFE_U | PFE_W);
	CHECK_EQ(GET(&m, CR2), DATA + 0x1fff);
	CHECK_EQ(GET(&m, RCX), 0x2000);
	CHECK_EQ(GET(&m, RDI), DATA + 0x1fff);
	CHECK_EQ(GET(&m, RSI), 0x51fff);
	m_pte(&m, DATA + 0x1000, (DATA + 0x1000) | PG_ALL);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX), 0);
	CHECK_EQ(GET(&m, RDI), DATA - 1);
	/* The address size says which count register: CX wraps by itself, ECX stays. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x10002, %ecx; mov $0x7ffff, %edi; mov $0xaa, %al; addr16 rep stosb");
	m_end(&m);
	CHECK_EQ(GET(&m, RCX), 0x10000);
	CHECK_EQ(GET(&m, RDI), 0x70001);
	CHECK_EQ(m_peek(&m, 0xffff, 1), 0xaa);
	m_poke(&m, 0, 0, 1);
	/* ECX = 0 does nothing, not even a check of the address. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "xor %eax, %eax; mov %eax, %es; xor %ecx, %ecx; rep stosb; rep movsl");
	m_end(&m);
	/* REPE and REPNE end with the flags of the last comparison. */
	m_mode(&m, PM32, 0);
	m_bytes(&m, DATA, "aaaab", 5);
	ASM(&m, 32, "mov $0x40000, %edi; mov $'a', %al; mov $10, %ecx; repe scasb; setz %bl");
	m_end(&m);
	CHECK_EQ(GET(&m, RCX), 5);
	CHECK_EQ(GET(&m, RDI), DATA + 5);
	CHECK_EQ(GET(&m, RBX), 0);
	m_close(&m);
}

/*
 * INS writes to a page that is missing: the fault comes before the port is read (vol. 2, INS;
 * 6.5: faults restart).
 */
TEST(port_strings_and_faults)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 0);
	m_pte(&m, DATA, 0);
	ASM(&m, 32, "mov $0x510, %edx; mov $0x40000, %edi; insb");
	m_expect(&m, PF, PFE_W);
	m_pte(&m, DATA, DATA | PG_ALL);
	m_run(&m);
	CHECK_EQ(m.ex.code, VM_EXIT_IO);
	CHECK_EQ(m.ex.u.io.port, 0x510);
	CHECK_EQ(vm_exit_reply(m.cpu, 0x42), 0);
	m_end(&m);
	CHECK_EQ(m_peek(&m, DATA, 1), 0x42);
	CHECK_EQ(GET(&m, RDI), DATA + 1);
	m_close(&m);
}

/* Table 9-1, 8.4: INIT and start-up messages. */

static void *
ap_main(void *arg)
{
	struct mach *m = arg;

	CHECKF(vm_run(m->cpu, &m->ex) == 0, "%s", vm_errmsg());
	return (NULL);
}

TEST(init_and_start_up)
{
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64,
	    .accel = VM_ACCEL_SOFT };
	struct mach m, ap;
	pthread_t thread;

	m_open_n(&m, 2, &spec);
	m_mode(&m, PM32, 0);
	ap = m;
	ap.cpu = vm_vcpu_open(m.vm, 1);
	CHECK_EQ(GET(&ap, RUN_STATE), VM_AMD64_WAIT_SIPI);
	/* What INIT resets and what it keeps. */
	SET(&ap, RAX, 0x1234);
	SET(&ap, CR4, CR4_PAE);
	SET(&ap, DR0, 0x1234);
	SET(&ap, DR7, 0x401);
	SET(&ap, LSTAR, 0x5678);
	SET(&ap, PAT, 0x0606060606060606);
	SET(&ap, TSC_AUX, 77);
	SET(&ap, CR2, 0x9999);
	/* The start-up code says so and halts; the boot processor waits for it. */
	ASM(&m, 32,
	    ON "movl $0x01000000, 0xfee00310; movl $0x4500, 0xfee00300; movl $0x4650, 0xfee00300;"
	    "1: pause; cmpl $0, 0x40000; je 1b");
	ASM_AT(&m, 0x50000, 16, "mov $0x4000, %si; mov %si, %ds; movb $1, 0;" END);
	CHECKF(vm_start(m.vm) == 0, "%s", vm_errmsg());
	CHECK_EQ(pthread_create(&thread, NULL, ap_main, &ap), 0);
	m_end(&m);
	pthread_join(thread, NULL);
	CHECK_EQ(ap.ex.code, VM_EXIT_IO);
	CHECK_EQ(ap.ex.u.io.port, 0xf4);
	CHECK_EQ(GET(&ap, CS), 0x5000);
	CHECK_EQ(m_seg_base(&ap, VM_AMD64_REG_CS), 0x50000);
	CHECK_EQ(m_seg_limit(&ap, VM_AMD64_REG_CS), 0xffff);
	CHECK_EQ(GET(&ap, RAX), 0);
	CHECK_EQ(GET(&ap, CR0) & ~(uint64_t)(CR0_CD | CR0_NW), 0x10);
	CHECK_EQ(GET(&ap, CR4), 0);
	CHECK_EQ(GET(&ap, CR2), 0);
	CHECK_EQ(GET(&ap, DR0), 0);
	CHECK_EQ(GET(&ap, DR7), 0x400);
	CHECK_EQ(GET(&ap, EFER), 0);
	CHECK_EQ(GET(&ap, RFLAGS) & (FL_IF | FL_TF | FL_VM | FL_DF), 0);
	CHECK_EQ(GET(&ap, LSTAR), 0x5678);		/* MSRs are kept, but EFER (table 9-1) */
	CHECK_EQ(GET(&ap, PAT), 0x0606060606060606);
	CHECK_EQ(GET(&ap, TSC_AUX), 77);
	m_close(&m);
}

/*
 * INIT stops a processor that runs; a start-up message without INIT before it does nothing; INIT
 * and a second start-up run it again, out of HLT too (8.4.4).
 */
TEST(init_of_a_running_processor)
{
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64,
	    .accel = VM_ACCEL_SOFT };
	struct mach m, ap;
	pthread_t thread;

	m_open_n(&m, 2, &spec);
	m_mode(&m, PM32, 0);
	ap = m;
	ap.cpu = vm_vcpu_open(m.vm, 1);
	/*
	 * The start-up code counts its starts in a word, then spins at the first, halts at the
	 * second, and ends at the third start.
	 */
	ASM_AT(&m, 0x50000, 16,
	    "mov $0x4000, %si; mov %si, %ds; incw 0; cmpw $2, 0; je 2f; ja 3f; 1: incl 4; jmp 1b;"
	    "2: movw $1, 8; cli; hlt; jmp 2b; 3:"
	    END);
	ASM(&m, 32,
	    ON "movl $0x01000000, 0xfee00310; movl $0x4500, 0xfee00300; movl $0x4650, 0xfee00300;"
	    "1: pause; cmpl $1000, 0x40004; jb 1b;"
	    /* Spins: a start-up message alone is ignored. */
	    "movl $0x4650, 0xfee00300; mov $100000, %ecx; 2: dec %ecx; jnz 2b; mov 0x40000, %ebx;"
	    "movl $0x4500, 0xfee00300;"
	    /* Waits for a start-up: the count stands, as soon as the message has arrived. */
	    "6: mov 0x40004, %esi; mov $100000, %ecx; 2: dec %ecx; jnz 2b; mov 0x40004, %edi;"
	    "cmp %esi, %edi; jne 6b;"
	    "movl $0x4650, 0xfee00300; 4: pause; cmpl $1, 0x40008; jne 4b; mov $100000, %ecx;"
	    "2: dec %ecx; jnz 2b;"
	    "movl $0x4500, 0xfee00300; movl $0x4650, 0xfee00300; 5: pause; cmpw $3, 0x40000;"
	    "jne 5b");
	CHECKF(vm_start(m.vm) == 0, "%s", vm_errmsg());
	CHECK_EQ(pthread_create(&thread, NULL, ap_main, &ap), 0);
	m_end(&m);
	pthread_join(thread, NULL);
	CHECK_EQ(ap.ex.code, VM_EXIT_IO);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 1);
	CHECK_EQ(GET(&m, RSI), GET(&m, RDI));
	CHECK_EQ(m_peek(&m, DATA, 2), 3);
	m_close(&m);
}

/* Power-on (table 9-1). */
TEST(power_on)
{
	struct mach m;

	m_open(&m);
	CHECK_EQ(vm_vcpu_reset(m.cpu), 0);
	CHECK_EQ(GET(&m, RIP), 0xfff0);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_CS), 0xffff0000);
	CHECK_EQ(GET(&m, CS), 0xf000);
	CHECK_EQ(GET(&m, RFLAGS), 2);
	CHECK_EQ(GET(&m, CR0), 0x60000010);
	CHECK_EQ(m_seg_limit(&m, VM_AMD64_REG_IDTR), 0xffff);
	CHECK_EQ(GET(&m, DR6) & 0xffff0ff0, 0xffff0ff0);
	CHECK_EQ(GET(&m, DR7), 0x400);
	CHECK_EQ(GET(&m, PAT), 0x0007040600070406);
	m_close(&m);
}

/* PAUSE leaves with its capability, and runs without. */
TEST(pause)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, "pause; mov $1, %eax");
	m_end(&m);
	m_mode(&m, LM64, 3);
	CHECK_EQ(vm_set_capability(m.cpu, VM_CAP_PAUSE_EXIT, 1), 0);
	m_run(&m);
	CHECK_EQ(m.ex.code, VM_EXIT_PAUSE);
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 1);
	m_close(&m);
}

TEST_MAIN()
