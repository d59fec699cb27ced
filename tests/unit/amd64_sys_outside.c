/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * amd64_sys_outside.c - the processor and its surroundings: registers that the caller changes
 * between two runs, dirty pages of the processor's own writes, tables and stacks where there is no
 * memory, locked and string accesses to devices.
 */
#include "amd64_fixture.h"

/* What was cached of the old registers does not count after vm_set_register(). */
TEST(registers_changed_between_runs)
{
	struct mach m;

	/* CR3: another address space. */
	m_open(&m);
	m_mode(&m, LM64, 0);
	m_poke(&m, 0x50000, 0xaa, 1);
	m_poke(&m, 0x60000, 0xbb, 1);
	m_pte(&m, DATA, 0x50000 | PG_ALL);
	ASM(&m, 64, "1: mov 0x40000, %bl;" PROBE "; jmp 1b");
	m_probe(&m);
	CHECK_EQ(GET(&m, RBX), 0xaa);
	for (unsigned i = 0; i < 512; i++)
		m_poke(&m, PTX + 8 * i, (uint64_t)i << 12 | PG_ALL, 8);
	m_poke(&m, PTX + 8 * 0x40, 0x60000 | PG_ALL, 8);
	m_fill(&m, 0x71000, 0, 0x3000);
	m_poke(&m, 0x71000, 0x72000 | PG_ALL, 8);
	m_poke(&m, 0x72000, 0x73000 | PG_ALL, 8);
	m_poke(&m, 0x73000, PTX | PG_ALL, 8);
	SET(&m, CR3, 0x71000);
	m_probe(&m);
	CHECK_EQ(GET(&m, RBX), 0xbb);
	SET(&m, CR3, PML4);
	m_probe(&m);
	CHECK_EQ(GET(&m, RBX), 0xaa);
	/* WP, and the level by CS and SS. */
	m_mode(&m, LM64, 0);
	m_pte(&m, DATA, DATA | PG_P | PG_US);
	ASM(&m, 64, "1: movb $1, 0x40000;" PROBE "; jmp 1b");
	m_probe(&m);
	m_probe(&m);
	SET(&m, CR0, GET(&m, CR0) | CR0_WP);
	m_expect(&m, PF, PFE_P | PFE_W);
	m_mode(&m, LM64, 0);
	m_pte(&m, DATA, DATA | PG_P | PG_RW);
	ASM(&m, 64, "1: mov 0x40000, %bl;" PROBE "; jmp 1b");
	m_probe(&m);
	m_desc(&m, VM_AMD64_REG_CS, U_CODE64, 0, 0xffffffff, 0xa0fb);
	m_desc(&m, VM_AMD64_REG_SS, U_DATA, 0, 0xffffffff, 0xc0f3);
	m_expect(&m, PF, PFE_P | PFE_U);
	/* The mode: the same bytes as 32-bit code. */
	m_mode(&m, LM64, 0);
	m_bytes(&m, CODE, "\x48\xff\xc0\xe6\xec\xeb\xf9", 7);	/* inc %rax | dec %eax; inc %eax */
	SET(&m, RAX, 5);
	m_probe(&m);
	CHECK_EQ(GET(&m, RAX), 6);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE32, 0, 0xffffffff, 0xc09b);
	m_probe(&m);
	CHECK_EQ(GET(&m, RAX), 6);
	m_desc(&m, VM_AMD64_REG_CS, S_CODE64, 0, 0xffffffff, 0xa09b);
	m_probe(&m);
	CHECK_EQ(GET(&m, RAX), 7);
	/* Segment bases, TF, breakpoints, IF with an interrupt that waits. */
	m_mode(&m, PM32, 0);
	m_poke(&m, DATA, 0x11, 1);
	m_poke(&m, DATA + 0x1000, 0x22, 1);
	ASM(&m, 32, "movl $0x1ff, 0xfee000f0; 1: mov 0x40000, %bl;" PROBE "; jmp 1b");
	m_probe(&m);
	m_desc(&m, VM_AMD64_REG_DS, S_DATA, 0x1000, 0xffffffff, 0xc093);
	m_probe(&m);
	CHECK_EQ(GET(&m, RBX), 0x22);
	SET(&m, RFLAGS, 2 | FL_TF);
	m_expect(&m, DB, NOERR);
	SET(&m, RFLAGS, 2);
	m_poke(&m, m.f.at + 8, 2, 4);
	m_probe(&m);
	SET(&m, DR0, DATA + 0x1000);
	SET(&m, DR7, 0x30401);
	m_expect(&m, DB, NOERR);
	SET(&m, DR7, 0x400);
	m_probe(&m);
	CHECKF(vm_lapic_irq(m.cpu, 0x40) == 0, "%s", vm_errmsg());
	m_probe(&m);
	SET(&m, RFLAGS, 2 | FL_IF);
	m_expect(&m, 0x40, NOERR);
	m_close(&m);
}

static bool
dirty(struct vm_dirty *d, uint64_t gpa)
{
	uint64_t bit = 0;

	CHECKF(vm_dirty_fetch(d, gpa & ~0xfffULL, 0x1000, &bit) == 0, "%s", vm_errmsg());
	return ((bit & 1) != 0);
}

/* Everything that the processor writes by itself is tracked: a migration would lose it else. */
TEST(implicit_writes_are_tracked)
{
	struct vm_dirty *d;
	struct mach m;

	/* Accessed and dirty flags of page tables; the frame of an exception. */
	m_open(&m);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, PROBE "; mov 0x40000, %eax;" PROBE "; mov %eax, 0x40000;" PROBE "; ud2");
	m_probe(&m);
	d = vm_dirty_open(m.vm);
	CHECK(d != NULL);
	(void)dirty(d, PT);
	m_probe(&m);
	CHECK(dirty(d, PT));				/* the accessed flag of DATA's entry */
	CHECK(!dirty(d, DATA));
	m_probe(&m);
	CHECK(dirty(d, PT));				/* its dirty flag */
	CHECK(dirty(d, DATA));
	m_expect(&m, UD, NOERR);
	CHECK(dirty(d, KSTACK - 8));
	vm_dirty_close(d);
	m_close(&m);
	/* The accessed flag of a descriptor, the busy flag of a TSS, the save area of a task. */
	m_open(&m);
	m_mode(&m, PM32, 0);
	m_gdt(&m, S_FREE, m_segdesc(0, 0xfffff, 0x92, 0xc));
	m_fill(&m, TSS2, 0, 0x68);
	m_poke(&m, TSS2 + 0x20, CODE + 0x100, 4);
	m_poke(&m, TSS2 + 0x24, 2, 4);
	m_poke(&m, TSS2 + 0x38, TSTACK, 4);
	for (unsigned i = 0; i < 6; i++)
		m_poke(&m, TSS2 + 0x48 + 4 * i, i == 1 ? S_CODE32 : S_DATA, 2);
	ASM(&m, 32, PROBE "; mov $0x100, %eax; mov %eax, %es;" PROBE "; ljmp $0xc8, $0");
	ASM_AT(&m, CODE + 0x100, 32, PROBE);
	m_probe(&m);
	d = vm_dirty_open(m.vm);
	CHECK(d != NULL);
	CHECK(!dirty(d, GDT));
	m_probe(&m);
	CHECK(dirty(d, GDT));
	m_probe(&m);
	CHECK(dirty(d, GDT));
	CHECK(dirty(d, TSS));
	vm_dirty_close(d);
	m_close(&m);
	/*
	 * A writer that goes on after a fetch is seen again: loops, locked accesses, string
	 * stores.
	 */
	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64,
	    "1: mov %eax, 0x50000; lock incl 0x51000; mov $0x52000, %edi; mov $0x400, %ecx;"
	    "rep stosl;" PROBE "; jmp 1b");
	m_probe(&m);
	d = vm_dirty_open(m.vm);
	CHECK(d != NULL);
	for (unsigned i = 0; i < 5; i++) {
		m_probe(&m);
		for (unsigned p = 0; p < 3; p++)
			CHECK(dirty(d, 0x50000 + p * 0x1000));
		CHECK(!dirty(d, 0x53000));
	}
	vm_dirty_close(d);
	m_close(&m);
}

/*
 * A guest may point anything anywhere. What happens is the bus's matter (ones are read, writes are
 * lost, or the caller is asked), the VM stays in order.
 */
static void
any_end(struct mach *m)
{
	for (unsigned i = 0; i < 200; i++) {
		m_run(m);
		if (m->ex.code == VM_EXIT_MMIO) {
			if (!m->ex.u.mmio.write)
				(void)vm_exit_reply(m->cpu, UINT64_MAX);
			continue;
		}
		CHECKF(m->ex.code == VM_EXIT_IO || m->ex.code == VM_EXIT_SUSPENDED ||
		    m->ex.code == VM_EXIT_ERROR,
		    "%s: exit %d", m->what, m->ex.code);
		return;
	}
	FAIL("%s: no end of exits, the last at %#llx", m->what,
	    (unsigned long long)m->ex.u.mmio.gpa);
}

TEST(tables_where_there_is_no_memory)
{
	struct mach m;

	for (unsigned i = 0; i < 9; i++) {
		m_open(&m);
		m_mode(&m, i == 6 ? PAE32 : PG32, i == 3 ? 3 : 0);
		m_poke(&m, PD32 + 4 * 0x340, 0xd0000000 | PG_ALL | PG_PS, 4);
		switch (i) {
		case 0:
			m.what = "GDT";
			m_desc(&m, VM_AMD64_REG_GDTR, 0, 0xd0000000, 0xffff, 0);
			ASM(&m, 32, "mov $0x10, %eax; mov %eax, %ds");
			break;
		case 1:
			m.what = "IDT";
			m_desc(&m, VM_AMD64_REG_IDTR, 0, 0xd0000000, 0xffff, 0);
			ASM(&m, 32, "int $0x44");
			break;
		case 2:
			m.what = "stack";
			SET(&m, RSP, 0xd0000100);
			ASM(&m, 32, "push %eax; call 1f; 1: pop %eax; int $0x44");
			break;
		case 3:
			m.what = "TSS";
			m_desc(&m, VM_AMD64_REG_TR, S_TSS, 0xd0000000, 0x2067, 0x8b);
			ASM(&m, 32, "in $0x60, %al; int $0x80");
			break;
		case 4:
			m.what = "page directory";
			ASM(&m, 32, "mov $0xd0000000, %eax; mov %eax, %cr3; nop");
			break;
		case 5:
			m.what = "page table";
			m_poke(&m, PD32 + 4 * 0x341, 0xd0000000 | PG_ALL, 4);
			ASM(&m, 32, "mov 0xd0400000, %eax; mov %eax, 0xd0400000");
			break;
		case 6:
			m.what = "PDPTEs";
			ASM(&m, 32, "mov $0xd0000000, %eax; mov %eax, %cr3; nop");
			break;
		case 7:
			m.what = "task";
			m_gdt(&m, S_TSS2, m_segdesc(0xd0000000, 0x67, 0x89, 0));
			ASM(&m, 32, "ljmp $0xc8, $0");
			break;
		default:
			m.what = "code";
			ASM(&m, 32, "mov $0xd0000ffe, %eax; jmp *%eax");
			break;
		}
		any_end(&m);
		m_close(&m);
	}
}

/*
 * Tables on a device that answers work as in memory, though each read leaves the guest: the
 * descriptor, the gate and the error code are what they were when the exception was raised.
 */
TEST(tables_on_a_device)
{
	struct mach m;

	for (unsigned i = 0; i < 4; i++) {
		m_open(&m);
		m_mode(&m, PG32, i == 3 ? 3 : 0);
		m_poke(&m, PD32 + 4 * 0x340, 0xd0000000 | PG_ALL | PG_PS, 4);
		if (i < 2)
			m_desc(&m, VM_AMD64_REG_IDTR, 0, 0xd0000000 + IDT, 0x7ff, 0);
		else if (i == 2)
			m_desc(&m, VM_AMD64_REG_GDTR, 0, 0xd0000000 + GDT, GDT_LIMIT, 0);
		else
			m_desc(&m, VM_AMD64_REG_TR, S_TSS, 0xd0000000 + TSS, TSS_LIMIT, 0x8b);
		if (i == 0)
			ASM(&m, 32, "ud2");
		else
			ASM(&m, 32, "mov $0x90, %eax; mov %eax, %ds");
		for (unsigned n = 0; n < 100; n++) {
			uint64_t gpa;

			m_run(&m);
			if (m.ex.code != VM_EXIT_MMIO)
				break;
			gpa = m.ex.u.mmio.gpa & 0xffffff;
			CHECK(!m.ex.u.mmio.write);
			CHECK_EQ(vm_exit_reply(m.cpu, m_peek(&m, gpa, m.ex.u.mmio.size)), 0);
		}
		CHECK_EQ(m_vector(&m), i == 0 ? UD : i == 3 ? GP : NP);
		if (i != 0)
			CHECK_EQ(m_peek(&m, GET(&m, RSP), 4), 0x90);
		CHECK_EQ(m_peek(&m, GET(&m, RSP) + (i != 0 ? 4 : 0), 4), i != 0 ? CODE + 5 : CODE);
		m_close(&m);
	}
}

/* The longest instructions: FXSAVE and FXRSTOR, with every part of the image on a device. */
TEST(fxsave_on_a_device)
{
	uint8_t image[512] = { 0 };
	struct mach m;
	unsigned n = 0;

	m_open(&m);
	m_mode(&m, PM32, 0);
	SET(&m, CR4, CR4_OSFXSR);
	m_poke(&m, DATA, 0x1122334455667788, 8);
	ASM(&m, 32,
	    "fninit; fld1; fldpi; movq 0x40000, %xmm7; fxsave 0xd0000000;" PROBE "; fninit;"
	    "pxor %xmm7, %xmm7;"
	    "fxrstor 0xd0000000; movq %xmm7, 0x40010; fstpl 0x40018; fstpl 0x40020");
	for (;;) {
		m_run(&m);
		if (m.ex.code != VM_EXIT_MMIO)
			break;
		CHECK(m.ex.u.mmio.write);
		CHECK(m.ex.u.mmio.gpa >= 0xd0000000 &&
		    m.ex.u.mmio.gpa + m.ex.u.mmio.size <= 0xd0000200);
		memcpy(image + (m.ex.u.mmio.gpa - 0xd0000000), &m.ex.u.mmio.data, m.ex.u.mmio.size);
		CHECK(n++ < 512);
	}
	CHECK(m.ex.code == VM_EXIT_IO && m.ex.u.io.port == 0xec);
	CHECK(memcmp(image + 160 + 7 * 16, "\x88\x77\x66\x55\x44\x33\x22\x11", 8) == 0);
	for (n = 0;; n++) {
		uint64_t v = 0;

		CHECK(n < 512);
		m_run(&m);
		if (m.ex.code != VM_EXIT_MMIO)
			break;
		CHECK(!m.ex.u.mmio.write);
		memcpy(&v, image + (m.ex.u.mmio.gpa - 0xd0000000), m.ex.u.mmio.size);
		CHECK_EQ(vm_exit_reply(m.cpu, v), 0);
	}
	CHECK(m.ex.code == VM_EXIT_IO && m.ex.u.io.port == 0xf4);
	CHECK_EQ(m_peek(&m, DATA + 0x10, 8), 0x1122334455667788);
	CHECK_EQ(m_peek(&m, DATA + 0x18, 8), 0x400921fb54442d18);		/* pi, then 1 */
	CHECK_EQ(m_peek(&m, DATA + 0x20, 8), 0x3ff0000000000000);
	m_close(&m);
}

/* Where an exit came from: address and length of its instruction, in the middle of a block. */
TEST(place_of_an_exit)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	m_poke(&m, PDPT + 24, PTX | PG_ALL, 8);
	m_fill(&m, PTX, 0, 0x1000);
	m_poke(&m, PTX + 8 * 128, 0xd0000000 | PG_ALL | PG_PS, 8);
	ASM(&m, 64,
	    "mov $0xd0000000, %ebx; nop; movl $5, 0x123(%rbx); nop; mov (%rbx), %eax; nop;"
	    "out %al, $0x80; nop; push (%rbx)");
	static const struct {
		unsigned off, len;
	} want[] = { { 6, 10 }, { 17, 2 }, { 20, 2 }, { 23, 2 } };
	for (size_t i = 0; i < 4; i++) {
		m_run(&m);
		CHECK(m.ex.code == VM_EXIT_MMIO || m.ex.code == VM_EXIT_IO);
		CHECK_EQ(m.ex.pc, CODE + want[i].off);
		CHECK_EQ(m.ex.insn_len, want[i].len);
	}
	m_end(&m);
	m_close(&m);
}

/* Read-modify-write instructions on devices: each access once, in order, also with LOCK. */
TEST(locked_accesses_to_devices)
{
	static const struct {
		const char *what, *code;
		unsigned len;
		uint64_t in, out;
	} t[] = {
		{ "add", "\x01\x03", 2, 5, 8 }, { "lock add", "\xf0\x01\x03", 3, 5, 8 }, { "xchg",
		    "\x87\x03", 2, 5, 3 },
		{ "lock inc", "\xf0\xff\x03", 3, 5, 6 }, { "lock xadd", "\xf0\x0f\xc1\x03", 4, 5,
		    8 },
		{ "not", "\xf7\x13", 2, 5, 0xfffffffa }, { "lock bts $1", "\xf0\x0f\xba\x2b\x01", 5,
		    5, 7 },
		{ "lock cmpxchg", "\xf0\x0f\xb1\x0b", 4, 3, 9 }, { "shl", "\xd1\x23", 2, 5, 10 },
	};
	struct mach m;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		m_open(&m);
		m.what = t[i].what;
		m_mode(&m, PM32, 0);
		SET(&m, RAX, 3);
		SET(&m, RCX, 9);
		SET(&m, RBX, 0xd0000010);
		m_bytes(&m, CODE, t[i].code, t[i].len);
		m_bytes(&m, CODE + t[i].len, "\xe6\xf4", 2);
		m_run(&m);
		CHECKF(m.ex.code == VM_EXIT_MMIO && !m.ex.u.mmio.write && m.ex.u.mmio.size == 4,
		    "%s: exit %d", t[i].what,
		    m.ex.code);
		CHECK_EQ(vm_exit_reply(m.cpu, t[i].in), 0);
		m_run(&m);
		CHECKF(m.ex.code == VM_EXIT_MMIO && m.ex.u.mmio.write && m.ex.u.mmio.size == 4,
		    "%s: exit %d", t[i].what,
		    m.ex.code);
		CHECK_EQ(m.ex.u.mmio.data, t[i].out);
		m_end(&m);
		m_close(&m);
	}
}

/* VMCALL that nobody models comes out, with function and arguments, and RAX is the answer. */
TEST(hypercalls)
{
	static const int args[] = { VM_AMD64_REG_RBX, VM_AMD64_REG_RCX, VM_AMD64_REG_RDX,
	    VM_AMD64_REG_RSI, VM_AMD64_REG_RDI, VM_AMD64_REG_R8, VM_AMD64_REG_R9 };
	struct mach m;

	m_open(&m);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, "vmcall; inc %rax");
	SET(&m, RAX, 0x4321);
	for (unsigned i = 0; i < 7; i++)
		m_set(&m, args[i], 100 + i);
	m_run(&m);
	CHECK_EQ(m.ex.code, VM_EXIT_HYPERCALL);
	CHECK_EQ(m.ex.u.hypercall.func, 0x4321);
	for (unsigned i = 0; i < 7; i++)
		CHECK_EQ(m.ex.u.hypercall.args[i], 100 + i);
	CHECK_EQ(vm_exit_reply(m.cpu, 0x1000), 0);
	m_end(&m);
	CHECK_EQ(GET(&m, RAX), 0x1001);
	m_close(&m);
}

/* REP INS and OUTS: each port access once, whatever faults in between. */
TEST(port_strings)
{
	struct mach m;

	m_open(&m);
	m_mode(&m, PG32, 0);
	m_bytes(&m, DATA + 0xffe, "\x11\x22\x33\x44", 4);
	m_pte(&m, DATA + 0x1000, 0);
	ASM(&m, 32, "mov $0x510, %edx; mov $0x40ffe, %esi; mov $4, %ecx; rep outsb");
	for (unsigned i = 0; i < 4; i++) {
		if (i == 2) {
			m_expect(&m, PF, 0);
			CHECK_EQ(GET(&m, RCX), 2);
			CHECK_EQ(GET(&m, RSI), DATA + 0x1000);
			m_pte(&m, DATA + 0x1000, (DATA + 0x1000) | PG_ALL);
		}
		m_run(&m);
		CHECK_EQ(m.ex.code, VM_EXIT_IO);
		CHECK_EQ(m.ex.u.io.port, 0x510);
		CHECK_EQ(m.ex.u.io.data, 0x11 * (i + 1));
	}
	m_end(&m);
	CHECK_EQ(GET(&m, RCX), 0);
	m_mode(&m, PG32, 0);
	m_pte(&m, DATA + 0x1000, 0);
	ASM(&m, 32, "mov $0x510, %edx; mov $0x40ffc, %edi; mov $3, %ecx; rep insw");
	for (unsigned i = 0; i < 3; i++) {
		if (i == 2) {
			m_expect(&m, PF, PFE_W);
			CHECK_EQ(GET(&m, RCX), 1);
			CHECK_EQ(GET(&m, RDI), DATA + 0x1000);
			m_pte(&m, DATA + 0x1000, (DATA + 0x1000) | PG_ALL);
		}
		m_run(&m);
		CHECK_EQ(m.ex.code, VM_EXIT_IO);
		CHECK(!m.ex.u.io.write);
		CHECK_EQ(m.ex.u.io.size, 2);
		CHECK_EQ(vm_exit_reply(m.cpu, 0x1010 + i), 0);
	}
	m_end(&m);
	CHECK_EQ(m_peek(&m, DATA + 0xffc, 6), 0x101210111010);
	m_close(&m);
}

TEST_MAIN()
