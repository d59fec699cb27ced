/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_code.c - section 8.1.3, 11.6: code that changes under the processor: by itself, under
 * another address, by another processor; code across pages; locked accesses in odd places.
 */
#include <pthread.h>

#include "amd64_fixture.h"

/* The next instruction, in the block that is running.  Pentium and later see it at once (11.6). */
TEST(a_store_to_the_next_instruction)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "movb $7, 1f + 1 - 771b + 0x10000; 1: mov $1, %eax; mov $0, %ebx");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 7);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "movb $7, 1f+1(%rip); 1: mov $1, %eax");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 7);
	/* Into another instruction: NOP becomes INC, of another length. */
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "movw $0x4040, 1f - 771b + 0x10000; xor %eax, %eax; 1: nop; nop");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 2);
	/* By PUSH, by STOS, by a locked XCHG, by an SSE store. */
	m_mode(&m, PM32, 0);
	SET(&m, RSP, CODE + 0x14);
	ASM(&m, 32, "xor %eax, %eax; push $0x40404040; jmp 1f; .org 771b + 0x10, 0x90; 1: nop;"
	    "nop; nop; nop");
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 4);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0x10020, %edi; mov $0x43, %al; mov $8, %ecx; xor %ebx, %ebx; rep stosb;"
	    ".org 771b + 0x20, 0x90;"
	    ".fill 8, 1, 0x90");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 8);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "xor %ebx, %ebx; mov $0x43434343, %eax; xchg %eax, 0x10020;"
	    ".org 771b + 0x20, 0x90; .fill 4, 1, 0x90");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 4);
	m_mode(&m, PM32, 0);
	SET(&m, CR4, CR4_OSFXSR);
	m_fill(&m, DATA, 0x43, 16);
	ASM(&m, 32, "xor %ebx, %ebx; movups 0x40000, %xmm0; movups %xmm0, 0x10020;"
	    ".org 771b + 0x20, 0x90; .fill 16, 1, 0x90");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 16);
	m_close(&m);
}

/* A loop that rewrites its own body each time around. */
TEST(a_loop_that_changes_itself)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "xor %ebx, %ebx; mov $1000, %ecx; 1: add $1, %ebx; incb 1b+2(%rip);"
	    "andb $3, 1b+2(%rip); dec %ecx; jnz 1b");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 1000 / 4 * (1 + 2 + 3 + 0));
	/* The branch itself. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "mov $100, %ecx; 1: dec %ecx; cmp $50, %ecx; jne 2f; movw $0x9090, 3f(%rip);"
	    "2: nop; 3: jmp 1b");
	m_end(&m);
	CHECK_EQ(GET(&m, RCX), 50);
	m_close(&m);
}

/* A function called, changed, called again: many times, from the same page and from another one. */
TEST(functions_that_change)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	m_bytes(&m, 0x50000, "\xb8\0\0\0\0\xc3", 6);		/* mov $0, %eax; ret */
	ASM(&m, 64,
	    "xor %ebx, %ebx; mov $0x50000, %edi; mov $2000, %ecx; 1: mov %ecx, 1(%rdi);"
	    "call *%rdi; add %eax, %ebx; dec %ecx; jnz 1b");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 2000 * 2001 / 2);
	/* Data beside the code, in its page, hundreds of times: nothing breaks. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "xor %ebx, %ebx; mov $5000, %ecx; 1: incl 0x10f00; add 0x10f00, %ebx;"
	    "dec %ecx; jnz 1b");
	m_poke(&m, CODE + 0xf00, 0, 4);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 5000 * 5001 / 2);
	m_close(&m);
}

/* One page at two linear addresses: a store through one changes the code at the other. */
TEST(code_under_two_addresses)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	m_pte(&m, 0x60000, 0x50000 | PG_ALL);
	m_bytes(&m, 0x50000, "\xb8\1\0\0\0\xc3", 6);
	ASM(&m, 64,
	    "mov $0x50000, %edi; call *%rdi; mov %eax, %ebx; movb $2, 0x60001; call *%rdi;"
	    "mov %eax, %ecx;"
	    "mov $0x60000, %esi; call *%rsi; mov %eax, %edx; movb $3, 0x50001; call *%rsi");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 1);
	CHECK_EQ(GET(&m, RCX), 2);
	CHECK_EQ(GET(&m, RDX), 2);
	CHECK_EQ(GET(&m, RAX), 3);
	/* One linear address that gets another page: other code. */
	m_mode(&m, LM64, 0);
	m_bytes(&m, 0x50000, "\xb8\1\0\0\0\xc3", 6);
	m_bytes(&m, 0x51000, "\xb8\2\0\0\0\xc3", 6);
	ASM(&m, 64,
	    "mov $0x50000, %edi; call *%rdi; mov %eax, %ebx; movl $0x51007, 0xb000 + 8 * 0x50;"
	    "invlpg (%rdi); call *%rdi");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 1);
	CHECK_EQ(GET(&m, RAX), 2);
	/* The same physical code in 32- and in 64-bit mode: 48 is DEC there and a prefix here. */
	m_mode(&m, LM64, 0);
	ASM_AT(&m, 0x50000, 64, "inc %rax; ret");
	ASM(&m, 64, "mov $0xffffffff, %eax; mov $0x50000, %edi; call *%rdi; mov %rax, %r8;"
	    "mov %eax, %eax; ljmp *1f(%rip); 1: .long 0x10100; .word 0x18");
	ASM_AT(&m, CODE + 0x100, 32, "mov $5, %eax; call *%edi;" END);
	m_end(&m);
	CHECK_EQ(GET(&m, R8), 0x100000000);
	CHECK_EQ(GET(&m, RAX), 5);		/* DEC EAX; INC EAX */
	m_close(&m);
}

/* Instructions and blocks across pages; each half can change. */
TEST(code_across_pages)
{
	static const uint8_t insn[] = { 0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8, 0xc3 };
	struct mach m;

	m_open(&m);
	for (unsigned split = 1; split < 10; split++) {
		uint64_t at = 0x51000 - split;

		/*
		 * movabs $imm64, %rax with the page border after split bytes; not adjacent in
		 * physical memory.
		 */
		m_mode(&m, LM64, 0);
		m_pte(&m, 0x51000, 0x70000 | PG_ALL);
		m_bytes(&m, at, insn, split);
		m_bytes(&m, 0x70000, &insn[split], sizeof(insn) - split);
		SET(&m, RDI, at);
		ASM(&m, 64, "call *%rdi; mov %rax, %rbx; movb $0x99, 9(%rdi); call *%rdi;"
		    "mov %rax, %rcx");
		m_end(&m);
		CHECK_EQ(GET(&m, RBX), 0x0807060504030201);
		CHECK_EQ(GET(&m, RCX), 0x9907060504030201);
	}
	/*
	 * The second page is mapped elsewhere: the instruction is another one, though its first
	 * page is as it was.
	 */
	m_mode(&m, LM64, 0);
	m_bytes(&m, 0x50ffe, "\xb8\x11", 2);
	m_bytes(&m, 0x51000, "\x22\x33\x44\xc3", 4);
	m_bytes(&m, 0x70000, "\x55\x66\x77\xc3", 4);
	ASM(&m, 64,
	    "mov $0x50ffe, %edi; call *%rdi; mov %eax, %ebx; movl $0x70007, 0xb000 + 8 * 0x51;"
	    "invlpg 0x51000; call *%rdi");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0x44332211);
	CHECK_EQ(GET(&m, RAX), 0x77665511);
	/* ... or gone, or not executable any more. */
	m_mode(&m, LM64, 0);
	SET(&m, EFER, GET(&m, EFER) | EFER_NXE);
	m_bytes(&m, 0x50ffe, "\xb8\x11", 2);
	m_bytes(&m, 0x51000, "\x22\x33\x44\xc3", 4);
	ASM(&m, 64,
	    "mov $0x50ffe, %edi; call *%rdi; mov %eax, %ebx; orb $0x80, 0xb007 + 8 * 0x51;"
	    "invlpg 0x51000; call *%rdi");
	m_expect(&m, PF, PFE_P | PFE_I);
	CHECK_EQ(GET(&m, CR2), 0x51000);
	CHECK_EQ(m.f.rip, 0x50ffe);
	m_close(&m);
}

/* Memory that the caller writes between two runs is what is executed. */
TEST(code_written_from_outside)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "1: mov $1, %eax;" PROBE "; jmp 1b");
	m_probe(&m);
	m_poke(&m, CODE + 1, 2, 1);
	m_probe(&m);
	CHECK_EQ(GET(&m, RAX), 2);
	m_poke(&m, CODE + 1, 3, 1);
	m_probe(&m);
	CHECK_EQ(GET(&m, RAX), 3);
	m_close(&m);
}

/*
 * Memory that is mapped elsewhere or unmapped between two runs; code that the machine made
 * read-only; nothing there.
 */
TEST(code_in_mapped_memory)
{
	struct mach m;
	uint8_t *rom;

	m_open(&m);
	rom = vm_create_devmem(m.vm, VM_BOOTROM, "rom", 0x2000);
	memcpy(rom, "\xb8\1\0\0\0\xc3", 6);
	memcpy(rom + 0x1000, "\xb8\2\0\0\0\xc3", 6);
	CHECKF(vm_mmap_memseg(m.vm, 0xd0000000, VM_BOOTROM, 0, 0x1000,
	    VM_PROT_READ | VM_PROT_EXEC) == 0, "%s",
	    vm_errmsg());
	m_mode(&m, PM32, 0);
	ASM(&m, 32, "mov $0xd0000000, %edi; 1: call *%edi;" PROBE "; jmp 1b");
	m_probe(&m);
	CHECK_EQ(GET(&m, RAX), 1);
	m_probe(&m);
	CHECKF(vm_munmap_memseg(m.vm, 0xd0000000, 0x1000) == 0, "%s", vm_errmsg());
	CHECKF(vm_mmap_memseg(m.vm, 0xd0000000, VM_BOOTROM, 0x1000, 0x1000,
	    VM_PROT_READ | VM_PROT_EXEC) == 0, "%s",
	    vm_errmsg());
	m_probe(&m);
	CHECK_EQ(GET(&m, RAX), 2);
	/* A write of the guest to it does not arrive, and the code stays. */
	m_close(&m);
	m_open(&m);
	m_mode(&m, PM32, 0);
	/* Where nothing is mapped the bus gives ones: FFFFH is an undefined instruction. */
	ASM(&m, 32, "mov $0xd0000000, %edi; jmp *%edi");
	m_run(&m);
	CHECKF(m_vector(&m) == UD || m.ex.code == VM_EXIT_MMIO || m.ex.code == VM_EXIT_ERROR,
	    "exit %d, vector %d",
	    m.ex.code, m_vector(&m));
	m_close(&m);
}

/*
 * A store that changes the running block's later part, then faults or exits before it gets there.
 */
TEST(changes_and_exits)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "movb $7, 1f+1(%rip);" PROBE "; 1: mov $1, %eax; mov $2, %ebx");
	m_probe(&m);
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 7);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "movb $7, 1f+1(%rip); ud2; 1: mov $1, %eax; mov $2, %ebx");
	m_expect(&m, UD, NOERR);
	m_return_to(&m, m.f.rip + 2);
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 7);
	/* REP MOVS over what follows it. */
	m_mode(&m, PM32, 0);
	m_fill(&m, DATA, 0x43, 64);
	ASM(&m, 32,
	    "xor %ebx, %ebx; mov $0x40000, %esi; mov $0x1001a, %edi; mov $6, %ecx;"
	    ".org 771b + 0x18, 0x90; rep movsb; nop; nop;"
	    "nop; nop; nop; nop");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 6);
	CHECK_EQ(GET(&m, RCX), 0);
	/* The same block, entered in the middle. */
	m_mode(&m, LM64, 0);
	ASM(&m, 64,
	    "xor %ebx, %ebx; mov $3, %ecx; lea 1f(%rip), %rdi; call *%rdi; lea 2f(%rip), %rdi;"
	    "call *%rdi; movb $5, 2f+2(%rip);"
	    "call *%rdi; lea 1f(%rip), %rdi; call *%rdi; jmp 3f; 1: add $100, %ebx;"
	    "2: add $1, %ebx; ret; 3:");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 101 + 1 + 5 + 105);
	m_close(&m);
}

/* Several processors. */

static void
two_cpus(struct mach *m, struct tv_runner r[2], enum mode mode)
{
	const struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64,
	    .accel = VM_ACCEL_SOFT };

	memset(r, 0, 2 * sizeof(r[0]));
	m_open_n(m, 2, &spec);
	for (int i = 1; i >= 0; i--) {
		r[i].cpu = m->cpu = vm_vcpu_open(m->vm, i);
		m_mode(m, mode, 0);
		SET(m, RSP, i == 0 ? STACK0 : TSTACK);
		SET(m, RDI, (uint64_t)i);
	}
}

static void
run_both(struct mach *m, struct tv_runner r[2])
{
	CHECKF(vm_start(m->vm) == 0, "%s", vm_errmsg());
	tv_run(r, 2);
	for (unsigned i = 0; i < 2; i++) {
		CHECK_EQ(r[i].ex.code, VM_EXIT_IO);
		CHECK_EQ(r[i].ex.u.io.port, 0xf4);
	}
}

/*
 * 8.1.3: processor 1 rewrites code that processor 0 spins in; a serializing instruction on its
 * side, and it is seen.
 */
TEST(code_changed_by_another_processor)
{
	struct tv_runner r[2];
	struct mach m;

	two_cpus(&m, r, LM64);
	ASM(&m, 64,
	    "test %edi, %edi; jnz 5f;"
	    /* Processor 0: calls the function until it gives 7, and says that it runs. */
	    "1: mov $0x50000, %esi; call *%rsi; movl $1, 0x40000; cmp $7, %eax; je 4f;"
	    "xor %eax, %eax; cpuid; jmp 1b;"
	    "5: pause; cmpl $0, 0x40000; je 5b; movb $7, 0x50001; jmp 4f; 4:");
	m_bytes(&m, 0x50000, "\xb8\1\0\0\0\xc3", 6);
	run_both(&m, r);
	m_close(&m);

	/*
	 * Handing over functions again and again, with flags (modify, release; acquire,
	 * serialize, execute).
	 */
	two_cpus(&m, r, LM64);
	ASM(&m, 64,
	    "mov $500, %ebp; test %edi, %edi; jnz 5f;"
	    "1: pause; cmpl %ebp, 0x40000; jne 1b; xor %eax, %eax; cpuid; mov $0x50000, %esi;"
	    "call *%rsi;"
	    "cmp %ebp, %eax; jne 9f;"
	    "incl 0x40008; 9: mov %ebp, 0x40004; dec %ebp; jnz 1b; jmp 4f;"
	    "5: mov %ebp, 0x50001; mov %ebp, 0x40000; 6: pause; cmpl %ebp, 0x40004; jne 6b;"
	    "dec %ebp;"
	    "jnz 5b; 4:");
	m_bytes(&m, 0x50000, "\xb8\1\0\0\0\xc3", 6);
	run_both(&m, r);
	CHECK_EQ(m_peek(&m, DATA + 8, 4), 500);
	m_close(&m);
}

/*
 * 8.1.2.2: locked accesses are atomic whatever the alignment, also over two pages that are not
 * neighbours.
 */
TEST(locked_accesses_across_pages)
{
	struct tv_runner r[2];
	struct mach m;

	two_cpus(&m, r, LM64);
	m_pte(&m, DATA + 0x1000, 0x70000 | PG_ALL);
	m_poke(&m, DATA + 0xffe, 0xfff0, 2);
	ASM(&m, 64,
	    "lock incl 0x40800; 2: pause; cmpl $2, 0x40800; jb 2b; mov $20000, %ecx;"
	    "1: lock incl 0x40ffe; mov $1, %eax; lock xadd %eax, 0x40103;"
	    "dec %ecx; jnz 1b");
	run_both(&m, r);
	CHECK_EQ(m_peek(&m, DATA + 0xffe, 2) | m_peek(&m, 0x70000, 2) << 16, 0xfff0 + 40000);
	CHECK_EQ(m_peek(&m, DATA + 0x103, 4), 40000);
	m_close(&m);

	/* CMPXCHG16B must be aligned; CMPXCHG8B need not. */
	m_open(&m);
	if ((m_cpuid(&m, 1, 0, 'c') >> 13 & 1) != 0) {
		m_mode(&m, LM64, 3);
		ASM(&m, 64, "lock cmpxchg16b 0x40008");
		m_expect(&m, GP, 0);
		m_mode(&m, LM64, 3);
		m_poke(&m, DATA, 1, 8);
		m_poke(&m, DATA + 8, 2, 8);
		ASM(&m, 64, "mov $1, %eax; mov $2, %edx; mov $3, %ebx; mov $4, %ecx;"
		    "lock cmpxchg16b 0x40000; setz %sil");
		m_end(&m);
		CHECK_EQ(GET(&m, RSI) & 0xff, 1);
		CHECK_EQ(m_peek(&m, DATA, 8), 3);
		CHECK_EQ(m_peek(&m, DATA + 8, 8), 4);
	}
	m_mode(&m, LM64, 3);
	m_poke(&m, DATA + 0xffc, 0x1111111100000001, 8);
	ASM(&m, 64, "mov $1, %eax; mov $0x11111111, %edx; mov $3, %ebx; mov $4, %ecx;"
	    "lock cmpxchg8b 0x40ffc; setz %sil");
	m_end(&m);
	CHECK_EQ(GET(&m, RSI) & 0xff, 1);
	CHECK_EQ(m_peek(&m, DATA + 0xffc, 8), 0x400000003);
	/* A fault in the second page: nothing is changed in the first. */
	m_mode(&m, LM64, 3);
	m_poke(&m, DATA + 0xffc, 0x11111111, 4);
	m_pte(&m, DATA + 0x1000, (DATA + 0x1000) | PG_P | PG_US);
	ASM(&m, 64, "lock addq $1, 0x40ffc");
	m_expect(&m, PF, PFE_P | PFE_W | PFE_U);
	CHECK_EQ(GET(&m, CR2), DATA + 0x1000);
	CHECK_EQ(m_peek(&m, DATA + 0xffc, 4), 0x11111111);
	m_close(&m);
}

TEST_MAIN()
