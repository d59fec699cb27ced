/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_real.c - chapter 20.1, real-address mode: segments, wraps, limits, interrupts, what is
 * undefined there; switches to and from it (9.9); the A20 gate, which is outside of the processor.
 */
#include "amd64_fixture.h"

#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))

TEST(addresses)
{
	struct mach m;

	/* FFFF:0010 is linear 100000H: A20 is on in the processor. */
	m_open(&m);
	m_mode(&m, REAL, 0);
	m_poke(&m, 0x100000, 0x5a, 1);
	m_poke(&m, 0, 0x33, 1);
	ASM(&m, 16, "mov $0xffff, %ax; mov %ax, %es; mov %es:0x10, %bl; mov $0xffff, %si;"
	    "mov %es:(%si), %cl");
	m_poke(&m, 0x10ffef, 0x77, 1);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 0x5a);
	CHECK_EQ(GET(&m, RCX), 0x77);
	/* A word at FFFFH crosses the limit: #GP without error code, #SS through SS. */
	m_mode(&m, REAL, 0);
	ASM(&m, 16, "mov $0xffff, %bx; mov (%bx), %ax");
	m_expect(&m, GP, NOERR);
	CHECK_EQ(m.f.rip, 3);
	CHECK_EQ(m.f.cs, CODE >> 4);
	m_mode(&m, REAL, 0);
	ASM(&m, 16, "mov $0xffff, %bp; mov (%bp), %ax");
	m_expect(&m, SS, NOERR);
	/* 16-bit effective addresses wrap; 32-bit ones do not, and meet the limit. */
	m_mode(&m, REAL, 0);
	m_poke(&m, DATA + 0x10, 0x44, 1);
	ASM(&m, 16, "mov $0xfff0, %bx; mov $0x20, %si; mov (%bx,%si), %cl; mov $0xfff0, %eax;"
	    "mov 0x20(%eax), %dl");
	m_expect(&m, GP, NOERR);
	CHECK_EQ(GET(&m, RCX), 0x44);
	/* The stack wraps at 64K, word by word: SP = 0 is a full stack. */
	m_mode(&m, REAL, 0);
	SET(&m, RSP, 0);
	ASM(&m, 16, "mov $0x5000, %ax; mov %ax, %ss; mov $0x1234, %bx; push %bx; pop %cx;"
	    "pushl $0x11223344");
	m_end(&m);
	CHECK_EQ(m_peek(&m, 0x5fffc, 4), 0x11223344);
	CHECK_EQ(GET(&m, RSP), 0xfffc);
	CHECK_EQ(GET(&m, RCX), 0x1234);
	/* IP: near jumps with 16-bit operands wrap. */
	m_mode(&m, REAL, 0);
	m_bytes(&m, CODE + 0xfff0, "\xe9\x0d\x10", 3);		/* jmp to FFF3 + 100D = 1000 */
	ASM_AT(&m, CODE + 0x1000, 16, "mov $1, %bx;" END);
	SET(&m, RIP, 0xfff0);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX), 1);
	/* Running over the end of the segment is #GP. */
	m_mode(&m, REAL, 0);
	m_bytes(&m, CODE + 0xffff, "\x90\x90", 2);
	SET(&m, RIP, 0xffff);
	m_run(&m);
	CHECK_EQ(m_vector(&m), GP);
	/* String instructions wrap at both ends, 16 bits of CX, SI and DI. */
	m_mode(&m, REAL, 0);
	m_fill(&m, DATA, 0, 0x10000);
	SET(&m, RDI, 0xabcd0002);
	SET(&m, RCX, 0x12340005);
	ASM(&m, 16, "std; mov $0x77, %al; rep stosb");
	m_end(&m);
	CHECK_EQ(m_peek(&m, DATA, 4), 0x777777);
	CHECK_EQ(m_peek(&m, DATA + 0xfffc, 4), 0x77770000);
	CHECK_EQ(GET(&m, RDI), 0xabcdfffd);
	CHECK_EQ(GET(&m, RCX), 0x12340000);
	m_mode(&m, REAL, 0);
	m_fill(&m, DATA, 0, 0x10000);
	SET(&m, RSI, 0xfffe);
	SET(&m, RDI, 0x100);
	SET(&m, RCX, 4);
	m_poke(&m, DATA + 0xfffc, 0x4321999999999999 >> 32, 4);
	m_poke(&m, DATA, 0x8765, 2);
	ASM(&m, 16, "rep movsb");
	m_end(&m);
	CHECK_EQ(m_peek(&m, DATA + 0x100, 4), 0x87654321);
	CHECK_EQ(GET(&m, RSI), 2);
	/* A word that would wrap is #GP, and so is one of the iterations before it done. */
	m_mode(&m, REAL, 0);
	SET(&m, RDI, 0xfffd);
	SET(&m, RCX, 4);
	ASM(&m, 16, "rep stosw");
	m_expect(&m, GP, NOERR);
	CHECK_EQ(GET(&m, RCX), 3);
	CHECK_EQ(GET(&m, RDI), 0xffff);
	/* CS may be written and read; it is data like another segment (20.1.1). */
	m_mode(&m, REAL, 0);
	ASM(&m, 16, "movw $0xabcd, %cs:0x200; mov %cs:0x200, %bx");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 0xabcd);
	m_close(&m);
}

/* The A20 gate: the machine maps memory so; the processor sees what is mapped at 1 MiB. */
TEST(a20)
{
	const struct vm_layout layout = { .name = "a20", .nram = 2,
	    .ram = { { 0, 0x100000 }, { 0x200000, 0x80000000 } } };
	struct mach m;

	memset(&m, 0, sizeof(m));
	m.vm = vm_new(&(struct vm_spec){ .size = sizeof(struct vm_spec), .arch = VM_ARCH_AMD64,
	    .accel = VM_ACCEL_SOFT,
	    .layout = &layout });
	CHECKF(m.vm != NULL, "%s", vm_errmsg());
	CHECKF(vm_setup_memory(m.vm, 8U << 20, VM_MMAP_ALL) == 0, "%s", vm_errmsg());
	m.cpu = vm_vcpu_open(m.vm, 0);
	/* Off: the first megabyte once more.  On: memory of its own. */
	CHECKF(vm_mmap_memseg(m.vm, 0x100000, VM_SYSMEM, 0, 0x100000, VM_PROT_ALL) == 0, "%s",
	    vm_errmsg());
	m_mode(&m, REAL, 0);
	ASM(&m, 16,
	    "mov $0xffff, %ax; mov %ax, %es; movw $0x1111, %es:0x510; mov $0, %ax; mov %ax, %ds;"
	    "mov 0x500, %bx;" PROBE
	    "; movw $0x2222, %es:0x510; mov 0x500, %cx; mov %es:0x510, %dx");
	m_probe(&m);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 0x1111);
	CHECKF(vm_munmap_memseg(m.vm, 0x100000, 0x100000) == 0, "%s", vm_errmsg());
	CHECK(vm_create_devmem(m.vm, VM_BOOTROM, "high", 0x100000) != NULL);
	CHECKF(vm_mmap_memseg(m.vm, 0x100000, VM_BOOTROM, 0, 0x100000, VM_PROT_ALL) == 0, "%s",
	    vm_errmsg());
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xffff, 0x1111);
	CHECK_EQ(GET(&m, RDX) & 0xffff, 0x2222);
	m_close(&m);
}

/*
 * 20.1.3, 20.1.4: interrupts through the table at IDTR's base; no error codes; IF and TF are
 * cleared.
 */
TEST(interrupts)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, REAL, 0);
	SET(&m, RFLAGS, 2 | FL_IF | FL_CF | FL_AC);
	ASM(&m, 16, "int $0x44; nop");
	m_expect(&m, 0x44, NOERR);
	CHECK_EQ(m.f.at, STACK0 - 6);
	CHECK_EQ(m.f.rip, 2);
	CHECK_EQ(m.f.cs, CODE >> 4);
	CHECK_EQ(m.f.flags, 2 | FL_IF | FL_CF);
	/* AC is cleared too (vol. 2, INT n) */
	CHECK_EQ(GET(&m, RFLAGS) & (FL_IF | FL_AC), 0);
	CHECK_EQ(GET(&m, CS), STUBS16 >> 4);
	CHECK_EQ(m_seg_base(&m, VM_AMD64_REG_CS), STUBS16);
	m_end(&m);
	/* IRET of 16 bits leaves AC as the handler had it */
	CHECK_EQ(GET(&m, RFLAGS), 2 | FL_IF | FL_CF);
	/* A table elsewhere. */
	m_mode(&m, REAL, 0);
	m_poke(&m, DATA + 4 * 0x44, 0x10000200, 4);
	m_poke(&m, DATA + 0x800, 0x3ff, 2);
	m_poke(&m, DATA + 0x802, DATA, 4);
	ASM(&m, 16, "lidtl 0x800; int $0x44");
	ASM_AT(&m, CODE + 0x200, 16, END);
	m_end(&m);
	CHECK_EQ(GET(&m, RIP) >> 8, 2);
	/* Faults save the instruction, traps what follows. */
	static const struct {
		const char *what, *code;
		unsigned len, vec, rip;
	} t[] = {
		{ "div", "\x31\xc0\xf7\xf0", 4, DE, 2 }, { "int3", "\xcc", 1, BP, 1 }, { "into",
		    "\xb0\x7f\xfe\xc0\xce", 5, OF, 5 },
		{ "bound", "\xb8\x01\x00\x62\x07", 5, BR, 3 }, { "ud2", "\x0f\x0b", 2, UD, 0 },
		{ "aam 0", "\xd4\x00", 2, DE, 0 }, { "icebp", "\xf1", 1, DB, 1 },
		{ "lock nop", "\xf0\x90", 2, UD, 0 }, { "x87 without FPU",
		    "\x0f\x20\xc0\x0c\x04\x0f\x22\xc0\xd9\xee", 10, NM, 8 },
		/* 20.1.4, table 20-1: protected-mode instructions are undefined. */
		{ "sldt", "\x0f\x00\xc0", 3, UD, 0 }, { "str", "\x0f\x00\xc8", 3, UD, 0 }, { "lldt",
		    "\x0f\x00\xd0", 3, UD, 0 },
		{ "ltr", "\x0f\x00\xd8", 3, UD, 0 }, { "verw", "\x0f\x00\xe8", 3, UD, 0 }, { "lar",
		    "\x0f\x02\xc0", 3, UD, 0 },
		{ "lsl", "\x0f\x03\xc0", 3, UD, 0 }, { "arpl", "\x63\xc0", 2, UD, 0 }, { "syscall",
		    "\x0f\x05", 2, UD, 0 },
		{ "vex", "\xc5\xc0\x58\xc0", 4, UD, 0 },
	};
	for (size_t i = 0; i < nitems(t); i++) {
		m_close(&m);
		m_open(&m);
		m.what = t[i].what;
		m_mode(&m, REAL, 0);
		m_bytes(&m, CODE, t[i].code, t[i].len);
		m_expect(&m, t[i].vec, NOERR);
		CHECK_EQ(m.f.rip, t[i].rip);
		CHECK_EQ(m.f.at, STACK0 - 6);
	}
	m_close(&m);
	/* An entry beyond the limit of IDTR: #GP's is inside here. */
	m_open(&m);
	m_mode(&m, REAL, 0);
	m_desc(&m, VM_AMD64_REG_IDTR, 0, 0, 0xff, 0);
	ASM(&m, 16, "int $0x40");
	m_expect(&m, GP, NOERR);
	m_close(&m);
}

/* 9.9: into protected mode and back; the segment registers' hidden parts carry over. */
TEST(mode_switches)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, REAL, 0);
	m_poke(&m, DATA + 0x100, GDT_LIMIT, 2);
	m_poke(&m, DATA + 0x102, GDT, 4);
	m_poke(&m, DATA + 0x110, 0xcafe, 2);
	ASM(&m, 16,
	    /* DS as of real mode */
	    "cli; lgdtl 0x100; mov %cr0, %eax; or $1, %al; mov %eax, %cr0; mov 0x110, %bx;"
	    "ljmpl $0x18, $(1f - 771b + 0x10000); .code32; 1: mov $0x10, %eax; mov %eax, %ds;"
	    "mov %eax, %ss; mov %eax, %es;"
	    "mov $0x30000, %esp; push %eax; pop %ecx; mov 0x40110, %si; ljmp $0x20, $(2f - 771b);"
	    ".code16; 2: mov $0x28, %ax;"
	    "mov %ax, %ds; mov %ax, %ss; mov %ax, %es; mov %ax, %fs; mov %ax, %gs; mov %cr0, %eax;"
	    "and $0xfe, %al; mov %eax, %cr0;"
	    "ljmp $0x1000, $(3f - 771b); 3: mov $0x4000, %ax; mov %ax, %ds; mov 0x110, %di; sti;"
	    "int $0x44");
	m_expect(&m, 0x44, NOERR);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 0xcafe);
	CHECK_EQ(GET(&m, RSI) & 0xffff, 0xcafe);
	CHECK_EQ(GET(&m, RDI) & 0xffff, 0xcafe);
	CHECK_EQ(GET(&m, RCX), 0x10);
	CHECK_EQ(m.f.cs, 0x1000);
	CHECK_EQ(GET(&m, CR0) & 1, 0);
	m_end(&m);
	/* From power-on all the way: real, protected, long, compatibility, protected, real. */
	m_mode(&m, REAL, 0);
	m_poke(&m, DATA + 0x100, GDT_LIMIT, 2);
	m_poke(&m, DATA + 0x102, GDT, 4);
	ASM(&m, 16,
	    "lgdtl 0x100; mov %cr4, %eax; or $0x20, %al; mov %eax, %cr4; mov $0x8000, %eax;"
	    "mov %eax, %cr3; mov $0xc0000080, %ecx;"
	    "rdmsr; or $1, %ah; wrmsr; mov %cr0, %eax; or $0x80000001, %eax; mov %eax, %cr0;"
	    "ljmpl $8, $(1f - 771b + 0x10000); .code64; 1: mov $0x10, %eax; mov %eax, %ss;"
	    "mov %eax, %ds; movabs $0x123456789ab, %r15;"
	    "mov $0x30000, %esp; pushq $0x18; lea 2f(%rip), %rax; push %rax; lretq; .code32;"
	    "2: mov %cr0, %eax; btr $31, %eax;"
	    "mov %eax, %cr0; mov $0xc0000080, %ecx; rdmsr; mov %eax, %esi; and $0xfe, %ah; wrmsr;"
	    "ljmp $0x20, $(3f - 771b);"
	    ".code16; 3: mov $0x28, %ax; mov %ax, %ds; mov %ax, %ss; mov %cr0, %eax;"
	    "and $0xfe, %al; mov %eax, %cr0;"
	    "ljmp $0x1000, $(4f - 771b); 4: nop");
	m_end(&m);
	CHECK_EQ(GET(&m, R15), 0x123456789ab);
	CHECK_EQ(GET(&m, RSI), EFER_LME);			/* LMA went with PG */
	CHECK_EQ(GET(&m, EFER), 0);
	CHECK_EQ(GET(&m, CS), 0x1000);
	m_close(&m);
}

/* 16-bit protected mode: 16-bit gates, IP of 16 bits, SP of 16 bits. */
TEST(sixteen_bit_protected_mode)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PM16, 0);
	ASM(&m, 16, "mov $0x1234, %ax; push %ax; call 1f; jmp 2f; 1: pop %bx; push %bx; ret;"
	    "2: pop %cx; int $0x44; pushl $0x55667788; popl %edx");
	m_expect(&m, 0x44, NOERR);
	/* A 32-bit gate on a 16-bit stack: ESP's upper half is not used. */
	CHECK_EQ(m.f.at, STACK0 - 12);
	CHECK_EQ(m.f.cs, S_CODE16);
	CHECK_EQ(GET(&m, RCX) & 0xffff, 0x1234);
	m_end(&m);
	CHECK_EQ(GET(&m, RDX), 0x55667788);
	CHECK_EQ(GET(&m, RSP), STACK0 - 0x28000);
	/* Operand-size prefixes of branches cut EIP to 16 bits or not. */
	m_mode(&m, PM32, 0);
	ASM_AT(&m, 0x60, 32, END);
	ASM(&m, 32, "mov $0x00120060, %eax; .byte 0x66; jmp *%eax");
	m_end(&m);
	CHECK_EQ(GET(&m, RIP) >> 8, 0);
	/* The same in compatibility mode. */
	m_mode(&m, CM16, 0);
	ASM(&m, 16, "mov $1, %ax; push %ax; pop %bx; movl $0x12345678, %ecx");
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 1);
	CHECK_EQ(GET(&m, RCX), 0x12345678);
	m_close(&m);
}

TEST_MAIN()
