/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64.c - the amd64 core of the software back end, through the public interface.
 *
 * Guest code is assembled beside the test that runs it.  It ends with a write to port END.  The
 * last part compares single instructions, registers, flags and memory, with the processor of an
 * amd64 host.
 */
#include <pthread.h>
#include <sys/mman.h>

#include <vmmapi/state.h>

#include "soft_amd64_code.h"

#ifdef __x86_64__

#define	CODE	0x10000		/* where guest code is loaded */
#define	STACK	0x9000
#define	GDT	0x800
#define	IDT	0x1000
#define	PML4	0x2000		/* and PDPT, PD behind it */
#define	DATA	0x20000
#define	MEMSIZE	(96U << 20)

static void
guest_open(struct guest *g)
{
	guest_new(g, MEMSIZE);
}

#define	GDT_CODE16	0x00009b000000ffffULL
#define	GDT_CODE32	0x00cf9b000000ffffULL
#define	GDT_DATA32	0x00cf93000000ffffULL
#define	GDT_CODE64	0x00af9b000000ffffULL

/* Selectors: 8 32-bit code, 0x10 data, 0x18 64-bit code, 0x20 16-bit code. */
static void
tables(struct guest *g)
{
	const uint64_t gdt[] = { 0, GDT_CODE32, GDT_DATA32, GDT_CODE64, GDT_CODE16 };

	memcpy(g->mem + GDT, gdt, sizeof(gdt));
	poke(g, PML4, (PML4 + 0x1000) | 3, 8);
	poke(g, PML4 + 0x1000, (PML4 + 0x2000) | 3, 8);
	for (uint64_t i = 0; i < 512; i++)
		poke(g, PML4 + 0x2000 + 8 * i, i << 21 | 0x83, 8);
}

static void
mode16(struct guest *g, struct vcpu *vcpu)
{
	segments(vcpu, 0x1000, CODE, 0xffff, 0x9b, 0, 0xffff, 0x93);
	set(vcpu, VM_AMD64_REG_CR0, 0x10);
	CHECK_EQ(vm_set_desc(vcpu, VM_AMD64_REG_IDTR, 0, 0x3ff, 0), 0);
	set(vcpu, VM_AMD64_REG_RSP, STACK);
	set(vcpu, VM_AMD64_REG_RIP, 0);
}

static void
mode32(struct guest *g, struct vcpu *vcpu)
{
	tables(g);
	segments(vcpu, 8, 0, 0xffffffff, 0xc09b, 0x10, 0xffffffff, 0xc093);
	CHECK_EQ(vm_set_desc(vcpu, VM_AMD64_REG_GDTR, GDT, 0x27, 0), 0);
	CHECK_EQ(vm_set_desc(vcpu, VM_AMD64_REG_IDTR, IDT, 0x7ff, 0), 0);
	set(vcpu, VM_AMD64_REG_CR0, 0x11);
	set(vcpu, VM_AMD64_REG_RSP, STACK);
	set(vcpu, VM_AMD64_REG_RIP, CODE);
}

static void
mode64(struct guest *g, struct vcpu *vcpu)
{
	mode32(g, vcpu);
	segments(vcpu, 0x18, 0, 0xffffffff, 0xa09b, 0x10, 0xffffffff, 0xc093);
	CHECK_EQ(vm_set_desc(vcpu, VM_AMD64_REG_IDTR, IDT, 0xfff, 0), 0);
	set(vcpu, VM_AMD64_REG_CR3, PML4);
	set(vcpu, VM_AMD64_REG_CR4, 0x20);
	set(vcpu, VM_AMD64_REG_EFER, 0x500);
	set(vcpu, VM_AMD64_REG_CR0, 0x80000011);
}

/* Gates of the three modes. */
static void
gate16(struct guest *g, unsigned vector, uint16_t off)
{
	poke(g, 4 * vector, off | (uint32_t)(CODE >> 4) << 16, 4);
}

static void
gate32(struct guest *g, unsigned vector, uint32_t off)
{
	poke(g, IDT + 8 * vector, (off & 0xffff) | 8U << 16 | 0x8e0000000000ULL |
	    (uint64_t)(off >> 16) << 48, 8);
}

static void
gate64(struct guest *g, unsigned vector, uint64_t off)
{
	poke(g, IDT + 16 * vector, (off & 0xffff) | 0x18U << 16 | 0x8e0000000000ULL |
	    ((off >> 16) & 0xffff) << 48, 8);
	poke(g, IDT + 16 * vector + 8, off >> 32, 8);
}

#define	LOAD(g, name)	memcpy((g)->mem + CODE, (name), (size_t)(name##_end - (name)))

static void
run(struct guest *g)
{
	CHECKF(vm_run(g->vcpu, &g->ex) == 0, "%s", vm_errmsg());
}

static bool
ended(const struct guest *g)
{
	return (g->ex.code == VM_EXIT_IO && g->ex.u.io.write && g->ex.u.io.port == END);
}

static void
finish(struct guest *g)
{
	run(g);
	CHECKF(ended(g), "exit %d at %#llx", g->ex.code, (unsigned long long)g->ex.pc);
}

static void
guest_close(struct guest *g)
{
	vm_close(g->vm);
}

/* Modes */

GUEST(real_code, 16,
    "	movw	$0x2000, %ax\n"
    "	movw	%ax, %ds\n"
    "	movw	$0x1234, 8\n"
    "	movw	$0x3000, %bx\n"
    "	movw	%bx, %es\n"
    "	movb	$0x5a, %es:0x10(%bx)\n"
    "	movl	$0x89abcdef, %ecx\n"
    "	movl	%ecx, 12\n"
    "	pushw	%ax\n"
    "	call	1f\n"
    "	popw	%dx\n"
    FINISH
    "1:	movw	%sp, %bp\n"
    "	addw	2(%bp), %cx\n"
    "	ret\n");

TEST(real_mode_runs_with_segment_bases)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, real_code);
	mode16(&g, g.vcpu);
	finish(&g);
	CHECK_EQ(peek(&g, 0x20008, 2), 0x1234);
	CHECK_EQ(peek(&g, 0x33010, 1), 0x5a);
	CHECK_EQ(peek(&g, 0x2000c, 4), 0x89abcdef);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RCX), 0x89abedef);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RDX), 0x2000 |
	    (get(g.vcpu, VM_AMD64_REG_RDX) & ~0xffffULL));
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RSP), STACK);
	guest_close(&g);
}

/*
 * From reset: the first instruction is fetched at the top of 4 GiB, from device memory that the
 * guest cannot write.
 */
GUEST(reset_code, 16,
    "	cli\n"
    "	movw	%cs:(0xff00), %ax\n"
    "	movw	%ax, %cs:(0xff00)\n"
    FINISH);

TEST(reset_vector_is_fetched_from_rom)
{
	struct guest g;
	uint8_t *rom;

	guest_open(&g);
	rom = vm_create_devmem(g.vm, VM_BOOTROM, "rom", 0x10000);
	CHECK(rom != MAP_FAILED);
	CHECK_EQ(vm_mmap_memseg(g.vm, 0xffff0000, VM_BOOTROM, 0, 0x10000, VM_PROT_READ |
	    VM_PROT_EXEC), 0);
	memcpy(rom + 0xfff0, reset_code, (size_t)(reset_code_end - reset_code));
	memcpy(rom + 0xff00, "\x77\x66", 2);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_MMIO);
	CHECK_EQ(g.ex.u.mmio.gpa, 0xffffff00);
	CHECK_EQ(g.ex.u.mmio.data, 0x6677);
	CHECK(g.ex.u.mmio.write);
	finish(&g);
	guest_close(&g);
}

GUEST(switch_code, 16,
    "	lgdtl	%cs:(switch_gdtr - switch_code)\n"
    "	movl	%cr0, %eax\n"
    "	orb	$1, %al\n"
    "	movl	%eax, %cr0\n"
    "	ljmpl	$8, $0x10000 + switch_32 - switch_code\n"
    "switch_gdtr:\n"
    "	.word	0x27\n"
    "	.long	0x800\n"
    "	.code32\n"
    "switch_32:\n"
    "	movl	$0x10, %eax\n"
    "	movl	%eax, %ds\n"
    "	movl	%eax, %es\n"
    "	movl	%eax, %ss\n"
    "	movl	$0x8000, %esp\n"
    "	movl	$0x11223344, %ebx\n"
    "	pushl	%ebx\n"
    "	movl	$0x2000, %eax\n"
    "	movl	%eax, %cr3\n"
    "	movl	$0x20, %eax\n"
    "	movl	%eax, %cr4\n"
    "	movl	$0xc0000080, %ecx\n"
    "	rdmsr\n"
    "	orl	$0x100, %eax\n"
    "	wrmsr\n"
    "	movl	%cr0, %eax\n"
    "	orl	$0x80000000, %eax\n"
    "	movl	%eax, %cr0\n"
    "	ljmpl	$0x18, $0x10000 + switch_64 - switch_code\n"
    "	.code64\n"
    "switch_64:\n"
    "	popq	%r8\n"
    "	movabsq	$0x123456789abcdef0, %r9\n"
    "	movq	%r9, 0x20000(%rip)\n"
    "1:	leaq	1b(%rip), %r10\n"
    FINISH);

TEST(a_guest_climbs_from_real_to_64_bit_mode)
{
	struct guest g;
	uint64_t at;

	guest_open(&g);
	LOAD(&g, switch_code);
	mode16(&g, g.vcpu);
	tables(&g);
	poke(&g, 0x8000 - 4, 0, 4);
	poke(&g, 0x8000, 0x55667788, 4);
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_R8), 0x5566778811223344);
	at = get(g.vcpu, VM_AMD64_REG_R10);
	CHECK_EQ(peek(&g, at + 0x20000, 8), 0x123456789abcdef0);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_EFER), 0x500);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_CS), 0x18);
	guest_close(&g);
}

/*
 * Every way to address memory goes through the right segment: DS, or SS with the stack and base
 * pointers, or a prefix.
 */
GUEST(bases_code, 32,
    "	movl	$0x100, %ebp\n"
    "	movl	$0x100, %eax\n"
    "	movl	(%eax), %ebx\n"
    "	movl	(%ebp), %ecx\n"
    "	movl	(%eax,%ebp), %edx\n"
    "	movl	(%ebp,%eax), %esi\n"
    "	movl	%fs:(%ebp), %edi\n"
    "	movl	0x100, %eax\n"
    FINISH);

TEST(memory_operands_use_their_segment)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, bases_code);
	mode32(&g, g.vcpu);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_DS, 0x20000, 0xffffffff, 0xc093), 0);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_SS, 0x30000, 0xffffffff, 0xc093), 0);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_FS, 0x40000, 0xffffffff, 0xc093), 0);
	poke(&g, 0x20100, 0x2100, 4);
	poke(&g, 0x20200, 0x2200, 4);
	poke(&g, 0x30100, 0x3100, 4);
	poke(&g, 0x30200, 0x3200, 4);
	poke(&g, 0x40100, 0x4100, 4);
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RBX), 0x2100);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RCX), 0x3100);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RDX), 0x2200);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RSI), 0x3200);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RDI), 0x4100);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RAX), 0x2100);
	guest_close(&g);
}

/* Exits */

GUEST(exits_code, 32,
    "	movl	$0x510, %edx\n"
    "	movl	$0x11223344, %eax\n"
    "	outw	%ax, %dx\n"
    "	inb	%dx, %al\n"
    "	movl	%eax, %ebx\n"
    "	inl	%dx, %eax\n"
    "	movl	%eax, %ecx\n"
    "	movw	$0x55aa, 0xc0000002\n"
    "	movzbl	0xc0000008, %esi\n"
    "	addl	%eax, 0xc0000010\n"
    FINISH);

TEST(unclaimed_accesses_come_back_and_are_answered)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, exits_code);
	mode32(&g, g.vcpu);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_IO);
	CHECK(g.ex.u.io.write);
	CHECK_EQ(g.ex.u.io.port, 0x510);
	CHECK_EQ(g.ex.u.io.size, 2);
	CHECK_EQ(g.ex.u.io.data, 0x3344);
	CHECK_EQ(g.ex.pc, CODE + 10);
	CHECK_EQ(g.ex.insn_len, 2);
	CHECK_EQ(vm_exit_reply(g.vcpu, 1), -1);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_IO);
	CHECK(!g.ex.u.io.write);
	CHECK_EQ(g.ex.u.io.size, 1);
	CHECK_EQ(vm_exit_reply(g.vcpu, 0x99), 0);
	run(&g);
	CHECK_EQ(g.ex.u.io.size, 4);		/* not answered */
	CHECK(!g.ex.u.io.write);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_MMIO);
	CHECK(g.ex.u.mmio.write);
	CHECK_EQ(g.ex.u.mmio.gpa, 0xc0000002);
	CHECK_EQ(g.ex.u.mmio.size, 2);
	CHECK_EQ(g.ex.u.mmio.data, 0x55aa);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RBX), 0x11223399);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RCX), 0xffffffff);
	run(&g);
	CHECK_EQ(g.ex.u.mmio.gpa, 0xc0000008);
	CHECK(!g.ex.u.mmio.write);
	CHECK_EQ(vm_exit_reply(g.vcpu, 0x1234), 0);
	run(&g);				/* ADD: read, then write */
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RSI), 0x34);
	CHECK_EQ(g.ex.u.mmio.gpa, 0xc0000010);
	CHECK(!g.ex.u.mmio.write);
	CHECK_EQ(vm_exit_reply(g.vcpu, 3), 0);
	run(&g);
	CHECK(g.ex.u.mmio.write);
	CHECK_EQ(g.ex.u.mmio.data, 2);
	finish(&g);
	CHECK((get(g.vcpu, VM_AMD64_REG_RFLAGS) & 1) != 0);	/* carry of the ADD */
	guest_close(&g);
}

GUEST(restart_code, 32,
    "	movl	$0x510, %edx\n"
    "	outl	%eax, %dx\n"
    "	incl	%eax\n"
    "	inl	%dx, %eax\n"
    "	movl	$0xc0000000, %edi\n"
    "	stosl\n"
    "	rdmsr\n"
    "	wrmsr\n"
    FINISH);

/* Each exit comes a second time after vm_restart_instruction(), and the guest cannot tell. */
TEST(every_exit_can_be_restarted)
{
	struct guest g;
	struct vm_exit first;
	unsigned n = 0;
	uint64_t rax;

	guest_open(&g);
	LOAD(&g, restart_code);
	mode32(&g, g.vcpu);
	set(g.vcpu, VM_AMD64_REG_RAX, 7);
	set(g.vcpu, VM_AMD64_REG_RCX, 0x1234);
	for (;;) {
		run(&g);
		if (ended(&g))
			break;
		first = g.ex;
		CHECKF(vm_restart_instruction(g.vcpu) == 0, "%s", vm_errmsg());
		CHECK_EQ(vm_restart_instruction(g.vcpu), -1);
		run(&g);
		CHECK(memcmp(&first, &g.ex, sizeof(first)) == 0);
		if (g.ex.code == VM_EXIT_IO && !g.ex.u.io.write)
			CHECK_EQ(vm_exit_reply(g.vcpu, 0x5150), 0);
		if (g.ex.code == VM_EXIT_SYSREG && !g.ex.u.sysreg.write)
			CHECK_EQ(vm_exit_reply(g.vcpu, 0x1111111122222222), 0);
		if (n == 0)
			CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RAX), 7);
		n++;
	}
	CHECK_EQ(n, 5);		/* OUT, IN, STOS, RDMSR, WRMSR */
	rax = get(g.vcpu, VM_AMD64_REG_RAX);
	CHECK_EQ(rax, 0x22222222);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RDX), 0x11111111);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RDI), 0xc0000004);
	guest_close(&g);
}

/* One instruction with several exits: every read is asked for once, every write told. */
GUEST(many_code, 32,
    "	movl	$0xc0000100, %esp\n"
    "	popal\n"
    "	movl	$0xc0000200, %esp\n"
    "	pushal\n"
    FINISH);

TEST(one_instruction_may_make_many_exits)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, many_code);
	mode32(&g, g.vcpu);
	for (unsigned i = 0; i < 8; i++) {
		run(&g);
		CHECK_EQ(g.ex.code, VM_EXIT_MMIO);
		CHECK(!g.ex.u.mmio.write);
		CHECK_EQ(g.ex.u.mmio.gpa, 0xc0000100 + 4 * i);
		CHECK_EQ(vm_exit_reply(g.vcpu, 100 + i), 0);
	}
	for (unsigned i = 0; i < 8; i++) {
		run(&g);
		CHECK_EQ(g.ex.code, VM_EXIT_MMIO);
		CHECK(g.ex.u.mmio.write);
		CHECK_EQ(g.ex.u.mmio.gpa, 0xc0000200 - 4 - 4 * i);
		CHECK_EQ(g.ex.u.mmio.data, i == 4 ? 0xc0000200 : 107 - i);
	}
	finish(&g);
	guest_close(&g);
}

GUEST(cross_code, 32,
    "	movl	$0x44332211, 0x20ffe\n"		/* memory to memory */
    "	movl	0x20ffe, %ebx\n"
    "	movl	$0x88776655, 0x5fffffe\n"	/* the last two bytes of memory and two behind it */
    "	movl	0x5fffffe, %ecx\n"
    FINISH);

TEST(accesses_cross_pages)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, cross_code);
	mode32(&g, g.vcpu);
	run(&g);
	CHECK_EQ(peek(&g, 0x20ffe, 4), 0x44332211);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RBX), 0x44332211);
	CHECK_EQ(g.ex.code, VM_EXIT_MMIO);
	CHECK_EQ(g.ex.u.mmio.gpa, MEMSIZE);
	CHECK_EQ(g.ex.u.mmio.size, 2);
	CHECK_EQ(g.ex.u.mmio.data, 0x8877);
	CHECK_EQ(peek(&g, MEMSIZE - 2, 2), 0x6655);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_MMIO);
	CHECK(!g.ex.u.mmio.write);
	CHECK_EQ(vm_exit_reply(g.vcpu, 0xaabb), 0);
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RCX), 0xaabb6655);
	guest_close(&g);
}

/* String instructions */

GUEST(string_code, 32,
    "	movl	$0x20000, %edi\n"
    "	movl	$0xdeadbeef, %eax\n"
    "	movl	$1500, %ecx\n"
    "	rep stosl\n"
    "	movl	$0x20000, %esi\n"
    "	movl	$0x30001, %edi\n"
    "	movl	$6000, %ecx\n"
    "	rep movsb\n"
    "	movl	$0x20000, %esi\n"
    "	movl	$0x30001, %edi\n"
    "	movl	$6000, %ecx\n"
    "	movb	$0x55, 0x30001 + 5000\n"
    "	repe cmpsb\n"
    "	movl	%ecx, %ebx\n"
    "	movl	$0x30001, %edi\n"
    "	movl	$6000, %ecx\n"
    "	movb	$0x55, %al\n"
    "	repne scasb\n"
    "	std\n"
    "	movl	$0x40010, %edi\n"
    "	movl	$2, %ecx\n"
    "	rep stosw\n"
    "	cld\n"
    "	xorl	%ecx, %ecx\n"
    "	rep stosw\n"
    FINISH);

TEST(string_instructions)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, string_code);
	mode32(&g, g.vcpu);
	finish(&g);
	CHECK_EQ(peek(&g, 0x20000 + 5996, 8), 0xdeadbeef);
	CHECK_EQ(peek(&g, 0x30001 + 5999, 2), 0xde);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RBX), 999);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RCX), 0);
	CHECK_EQ(peek(&g, 0x4000e, 4), 0xbe55be55);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RDI), 0x4000c);
	guest_close(&g);
}

/* Exceptions and interrupts */

GUEST(int16_code, 16,
    "	movw	$0x1111, %ax\n"
    "	stc\n"
    "	int	$0x40\n"
    "	movw	%ax, %bx\n"
    "	pushfw\n"
    "	popw	%si\n"
    "	xorw	%cx, %cx\n"
    "	divw	%cx\n"
    FINISH
    ".org int16_code + 0x100\n"
    "	addw	$1, %ax\n"
    "	iretw\n"
    ".org int16_code + 0x200\n"
    "	popw	%cx\n"
    "	incw	%cx\n"
    "	incw	%cx\n"
    "	pushw	%cx\n"
    "	iretw\n");

TEST(real_mode_interrupts_and_exceptions)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, int16_code);
	mode16(&g, g.vcpu);
	gate16(&g, 0x40, 0x100);
	gate16(&g, 0, 0x200);
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RBX) & 0xffff, 0x1112);
	CHECK((get(g.vcpu, VM_AMD64_REG_RSI) & 1) != 0);	/* IRET brought the carry back */
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RSP) & 0xffff, STACK);
	guest_close(&g);
}

GUEST(fault32_code, 32,
    "	ud2\n"
    "	movl	%eax, %ebx\n"
    "	movl	$0x99, %ecx\n"
    "	movl	%ecx, %ds\n"
    "	movl	%eax, %esi\n"
    FINISH
    ".org fault32_code + 0x100\n"		/* #UD: no error code */
    "	movl	$0x0d, %eax\n"
    "	addl	$2, (%esp)\n"
    "	iretl\n"
    ".org fault32_code + 0x200\n"		/* #GP: error code */
    "	popl	%eax\n"
    "	addl	$2, (%esp)\n"
    "	iretl\n");

TEST(protected_mode_exceptions)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, fault32_code);
	mode32(&g, g.vcpu);
	gate32(&g, 6, CODE + 0x100);
	gate32(&g, 13, CODE + 0x200);
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RBX), 0x0d);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RSI), 0x98);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RSP), STACK);
	guest_close(&g);
}

GUEST(fault64_code, 64,
    "	movq	$0x7654321, %rbx\n"
    "	movq	$-8, %rax\n"
    "	movq	%rbx, 0x40000000\n"
    "	movq	%rsp, %r8\n"
    "	movabsq	$0x8000000000000000, %rax\n"
    "	movq	(%rax), %rax\n"
    "	movq	%r9, %r10\n"
    FINISH
    ".org fault64_code + 0x100\n"		/* #PF */
    "	popq	%rcx\n"
    "	movq	%cr2, %rdx\n"
    "	testq	$15, %rsp\n"
    "	setnz	%dil\n"
    "	addq	$8, (%rsp)\n"
    "	iretq\n"
    ".org fault64_code + 0x200\n"		/* #GP */
    "	popq	%r9\n"
    "	orq	$0x100, %r9\n"
    "	addq	$3, (%rsp)\n"
    "	iretq\n");

TEST(long_mode_exceptions)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, fault64_code);
	mode64(&g, g.vcpu);
	gate64(&g, 14, CODE + 0x100);
	gate64(&g, 13, CODE + 0x200);
	set(g.vcpu, VM_AMD64_REG_RSP, STACK - 3);
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RCX), 2);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RDX), 0x40000000);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_CR2), 0x40000000);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_R8), STACK - 3);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_R10), 0x100);
	guest_close(&g);
}

GUEST(double_code, 32,
    "	ud2\n"
    ".org double_code + 0x100\n"
    "	popl	%ebx\n"
    FINISH);

TEST(double_fault_and_triple_fault)
{
	struct guest g;

	/* #UD has no gate, so #GP; that has none either, so #DF. */
	guest_open(&g);
	LOAD(&g, double_code);
	mode32(&g, g.vcpu);
	gate32(&g, 8, CODE + 0x100);
	set(g.vcpu, VM_AMD64_REG_RBX, 77);
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RBX), 0);
	guest_close(&g);

	guest_open(&g);
	LOAD(&g, double_code);
	mode32(&g, g.vcpu);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_SUSPENDED);
	CHECK_EQ(g.ex.u.suspended.how, VM_SUSPEND_TRIPLEFAULT);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RUN_STATE), VM_AMD64_SHUTDOWN);
	guest_close(&g);
}

GUEST(irq_code, 32,
    "	movl	$0x1ff, 0xfee000f0\n"
    "	movl	$0x510, %edx\n"
    "	outb	%al, %dx\n"			/* the test raises vector 0x40 here */
    "	movl	$1, %ebx\n"
    "	sti\n"
    "	movl	$2, %ebx\n"			/* shadow of STI */
    "	movl	$3, %ebx\n"
    "	outb	%al, %dx\n"
    "	cli\n"
    "	outb	%al, %dx\n"			/* and here */
    "	sti\n"
    "	hlt\n"
    "	cli\n"
    FINISH
    ".org irq_code + 0x100\n"
    "	movl	%ebx, %ecx\n"
    "	incl	%esi\n"
    "	movl	$0, 0xfee000b0\n"
    "	iretl\n");

TEST(interrupts_wait_for_the_flag_and_the_shadow)
{
	struct guest g;
	const uint64_t *stats;
	int n;

	guest_open(&g);
	LOAD(&g, irq_code);
	mode32(&g, g.vcpu);
	gate32(&g, 0x40, CODE + 0x100);
	run(&g);
	CHECK_EQ(g.ex.u.io.port, 0x510);
	CHECKF(vm_lapic_irq(g.vcpu, 0x40) == 0, "%s", vm_errmsg());
	run(&g);
	CHECK_EQ(g.ex.u.io.port, 0x510);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RCX), 2);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RBX), 3);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RSI), 1);
	run(&g);
	CHECK_EQ(g.ex.u.io.port, 0x510);
	CHECK_EQ(vm_lapic_irq(g.vcpu, 0x40), 0);
	finish(&g);			/* taken between HLT and CLI */
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RSI), 2);
	stats = vm_get_stats(g.vcpu, &n);
	CHECK_EQ(stats[VM_STAT_INTR], 2);
	CHECK(stats[VM_STAT_INSNS] > 15);
	guest_close(&g);
}

GUEST(nmi_code, 32,
    "1:	hlt\n"
    "	jmp	1b\n"
    ".org nmi_code + 0x100\n"
    "	incl	%esi\n"
    "	cmpl	$2, %esi\n"
    "	jb	1f\n"
    FINISH
    "1:	outb	%al, $0x80\n"
    "	incl	%edi\n"
    "	iretl\n");

TEST(nmi_ends_a_halt_and_blocks_the_next_until_iret)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, nmi_code);
	mode32(&g, g.vcpu);
	gate32(&g, 2, CODE + 0x100);
	CHECK_EQ(vm_amd64_inject_nmi(g.vcpu), 0);
	run(&g);
	CHECK_EQ(g.ex.u.io.port, 0x80);
	CHECK_EQ(vm_amd64_inject_nmi(g.vcpu), 0);
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RSI), 2);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RDI), 1);	/* the first handler went on to its IRET */
	guest_close(&g);
}

/* Capabilities */

GUEST(caps_code, 32,
    "	movl	$1, %eax\n"
    "	incl	%eax\n"
    "	int3\n"
    "	pause\n"
    "	hlt\n"
    "	incl	%eax\n"
    FINISH);

TEST(capabilities_make_exits)
{
	struct guest g;

	guest_open(&g);
	LOAD(&g, caps_code);
	mode32(&g, g.vcpu);
	CHECK_EQ(vm_set_capability(g.vcpu, VM_CAP_SINGLE_STEP, 1), 0);
	CHECK_EQ(vm_set_capability(g.vcpu, VM_CAP_BREAK_EXIT, 1), 0);
	CHECK_EQ(vm_set_capability(g.vcpu, VM_CAP_PAUSE_EXIT, 1), 0);
	CHECK_EQ(vm_set_capability(g.vcpu, VM_CAP_HALT_EXIT, 1), 0);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_DEBUG);
	CHECK_EQ(g.ex.u.debug.reason, VM_AMD64_DEBUG_STEP);
	CHECK_EQ(g.ex.u.debug.addr, CODE + 5);
	run(&g);
	CHECK_EQ(g.ex.u.debug.addr, CODE + 6);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RAX), 2);
	CHECK_EQ(vm_set_capability(g.vcpu, VM_CAP_SINGLE_STEP, 0), 0);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_DEBUG);
	CHECK_EQ(g.ex.u.debug.reason, VM_AMD64_DEBUG_INT3);
	CHECK_EQ(g.ex.pc, CODE + 6);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RIP), CODE + 6);
	set(g.vcpu, VM_AMD64_REG_RIP, CODE + 7);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_PAUSE);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_HALT);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RUN_STATE), VM_AMD64_HALTED);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_HALT);
	CHECK_EQ(vm_restart_instruction(g.vcpu), 0);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RIP), CODE + 9);
	run(&g);
	CHECK_EQ(g.ex.code, VM_EXIT_HALT);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RIP), CODE + 10);
	set(g.vcpu, VM_AMD64_REG_RUN_STATE, VM_AMD64_RUNNING);
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RAX), 3);
	CHECK_EQ(vm_set_capability(g.vcpu, (enum vm_cap_type)VM_AMD64_CAP_RDPID, 1), -1);
	guest_close(&g);
}

/* Several processors */

struct runner {
	struct vcpu	*vcpu;
	pthread_t	 thread;
	struct vm_exit	 ex;
};

static void *
runner_main(void *arg)
{
	struct runner *r = arg;

	do {
		CHECKF(vm_run(r->vcpu, &r->ex) == 0, "%s", vm_errmsg());
	} while (r->ex.code == VM_EXIT_IO && r->ex.u.io.port != END);
	return (NULL);
}

static void
run_all(struct runner *r, unsigned n)
{
	CHECKF(vm_start(vm_vcpu_ctx(r[0].vcpu)) == 0, "%s", vm_errmsg());
	for (unsigned i = 0; i < n; i++)
		CHECK_EQ(pthread_create(&r[i].thread, NULL, runner_main, &r[i]), 0);
	for (unsigned i = 0; i < n; i++)
		pthread_join(r[i].thread, NULL);
}

/*
 * vCPU EDI counts in a word of its own, all in three shared ones: aligned, unaligned, and across
 * pages.
 */
GUEST(locked_code, 32,
    "	movl	$5000, %ecx\n"
    "	lock incl 0x22000\n"			/* start together */
    "3:	pause\n"
    "	cmpl	$3, 0x22000\n"
    "	jb	3b\n"
    "1:	lock incl 0x20000\n"
    "	movl	$3, %eax\n"
    "	lock xaddl %eax, 0x20101\n"
    "	movl	0x20ffd, %eax\n"
    "2:	leal	1(%eax), %ebx\n"
    "	lock cmpxchgl %ebx, 0x20ffd\n"
    "	jnz	2b\n"
    "	loop	1b\n"
    FINISH);

TEST(locked_instructions_are_atomic_aligned_or_not)
{
	struct runner r[3];
	struct guest g;

	guest_open(&g);
	LOAD(&g, locked_code);
	for (int i = 0; i < 3; i++) {
		r[i].vcpu = vm_vcpu_open(g.vm, i);
		CHECK(r[i].vcpu != NULL);
		mode32(&g, r[i].vcpu);
		set(r[i].vcpu, VM_AMD64_REG_RUN_STATE, VM_AMD64_RUNNING);
	}
	run_all(r, 3);
	CHECK_EQ(peek(&g, 0x20000, 4), 15000);
	CHECK_EQ(peek(&g, 0x20101, 4), 45000);
	CHECK_EQ(peek(&g, 0x20ffd, 4), 15000);
	guest_close(&g);
}

/*
 * An unlocked race: who wins each round depends on the order of execution, and ends up in a hash.
 */
GUEST(race_code, 32,
    "	movl	$3000, %ecx\n"
    "	xorl	%ebx, %ebx\n"
    "1:	movl	0x20000, %eax\n"
    "	imull	$1103515245, %eax, %eax\n"
    "	addl	%edi, %eax\n"
    "	movl	%eax, 0x20000\n"
    "	xorl	%eax, %ebx\n"
    "	roll	$3, %ebx\n"
    "	testl	$63, %ecx\n"
    "	jnz	2f\n"
    "	rdtsc\n"
    "	addl	%eax, %ebx\n"
    "	movl	%ebx, %eax\n"
    "	outl	%eax, $0x80\n"
    "2:	decl	%ecx\n"
    "	jnz	1b\n"
    "	movl	%ebx, 0x21000(,%edi,4)\n"
    FINISH);

#define	RACERS	3

static void
race_open(struct guest *g, struct runner r[RACERS], uint64_t seed)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT,
	    .clock = VM_CLOCK_ICOUNT, .seed = seed };

	guest_spec(g, &spec, MEMSIZE);
	memset(r, 0, RACERS * sizeof(*r));
	for (int i = 0; i < RACERS; i++) {
		r[i].vcpu = vm_vcpu_open(g->vm, i);
		CHECK(r[i].vcpu != NULL);
		CHECK_EQ(vm_set_capability(r[i].vcpu, VM_CAP_HALT_EXIT, 1), 0);
	}
}

static void
race_load(struct guest *g, struct runner r[RACERS])
{
	LOAD(g, race_code);
	/* The end of a vCPU would keep the turn: whoever comes to it halts instead. */
	memcpy(g->mem + CODE + (race_code_end - race_code) - 2, "\xfa\xf4", 2);
	for (int i = 0; i < RACERS; i++) {
		mode32(g, r[i].vcpu);
		set(r[i].vcpu, VM_AMD64_REG_RDI, (uint64_t)i + 1);
		set(r[i].vcpu, VM_AMD64_REG_RUN_STATE, VM_AMD64_RUNNING);
	}
}

/* The three hashes, the shared word and the time. */
static void
race_result(struct guest *g, struct runner r[RACERS], uint64_t out[5])
{
	for (int i = 0; i < RACERS; i++) {
		CHECK_EQ(r[i].ex.code, VM_EXIT_HALT);
		out[i] = peek(g, 0x21004 + 4 * (uint64_t)i, 4);
	}
	out[3] = peek(g, 0x20000, 4);
	out[4] = vm_clock_now(g->vm);
}

static void
race(uint64_t seed, uint64_t out[5])
{
	struct runner r[RACERS];
	struct guest g;

	race_open(&g, r, seed);
	race_load(&g, r);
	run_all(r, RACERS);
	race_result(&g, r, out);
	guest_close(&g);
}

TEST(virtual_time_makes_the_same_run_every_time)
{
	uint64_t first[5], again[5], other[5];

	race(1, first);
	for (int i = 0; i < 10; i++) {
		race(1, again);
		CHECK(memcmp(first, again, sizeof(first)) == 0);
	}
	race(2, other);
	CHECK(memcmp(first, other, sizeof(first)) != 0);
}

/*
 * Wherever it is interrupted, looked at and taken up again: in the same VM, and in another one from
 * a snapshot.
 */
TEST(virtual_time_goes_on_after_pause_and_snapshot)
{
	uint64_t first[5], again[5], rax;
	struct vm_state_out *out;
	struct vm_state_in *in;
	struct runner r[RACERS], q[RACERS];
	struct guest g, h;

	race(3, first);
	for (int n = 0; n < 10; n++) {
		race_open(&g, r, 3);
		race_load(&g, r);
		CHECKF(vm_start(g.vm) == 0, "%s", vm_errmsg());
		for (int i = 0; i < RACERS; i++)
			CHECK_EQ(pthread_create(&r[i].thread, NULL, runner_main, &r[i]), 0);
		usleep((useconds_t)(300 * n));
		CHECK_EQ(vm_pause(g.vm), 0);
		CHECK_EQ(vm_get_register(r[n % RACERS].vcpu, VM_AMD64_REG_RAX, &rax), 0);
		out = vm_state_out_open();
		CHECK(out != NULL);
		CHECKF(vm_state_save(g.vm, out) == 0, "%s", vm_errmsg());
		in = tv_reader(out);
		race_open(&h, q, 99);		/* the seed comes with the state */
		memcpy(h.mem, g.mem, 1 << 20);
		CHECKF(vm_state_load(h.vm, in) == 0, "%s", vm_errmsg());
		CHECKF(vm_state_in_done(in) == 0, "%s", vm_errmsg());
		vm_state_in_close(in);
		vm_state_out_close(out);
		CHECK_EQ(vm_resume(g.vm), 0);
		for (int i = 0; i < RACERS; i++)
			pthread_join(r[i].thread, NULL);
		race_result(&g, r, again);
		CHECK(memcmp(first, again, sizeof(first)) == 0);
		guest_close(&g);

		run_all(q, RACERS);
		race_result(&h, q, again);
		CHECK(memcmp(first, again, sizeof(first)) == 0);
		guest_close(&h);
	}
}

/*
 * vCPU 0 starts vCPU 1 in real mode and waits for it, both by spinning and by halting until a
 * message comes back.
 */
GUEST(sipi_code, 32,
    "	movl	$0x1ff, 0xfee000f0\n"
    "	movl	$0x01000000, 0xfee00310\n"
    "	movl	$0x4500, 0xfee00300\n"
    "	movl	$0x4611, 0xfee00300\n"
    "1:	pause\n"
    "	cmpl	$0, 0x20000\n"
    "	jz	1b\n"
    "	rdtsc\n"
    "	movl	%eax, %ebx\n"
    "2:	sti\n"
    "	hlt\n"
    "	cli\n"
    "	testl	%esi, %esi\n"
    "	jz	2b\n"
    FINISH
    ".org sipi_code + 0x100\n"
    "	incl	%esi\n"
    "	movl	$0, 0xfee000b0\n"
    "	iretl\n"
    ".org sipi_code + 0x1000\n"
    "	.code16\n"
    "	movw	$0x2000, %ax\n"
    "	movw	%ax, %ds\n"
    "	movw	$5000, %cx\n"
    "1:	loop	1b\n"
    "	movl	$1, 0\n"
    "	movw	$5000, %cx\n"
    "2:	loop	2b\n"
    /* In real mode the APIC is reached by its MSRs only. */
    "	movl	$0x1b, %ecx\n"
    "	rdmsr\n"
    "	orl	$0xc00, %eax\n"
    "	wrmsr\n"
    "	movl	$0x830, %ecx\n"
    "	xorl	%edx, %edx\n"
    "	movl	$0x4040, %eax\n"		/* vector 0x40 to APIC id 0 */
    "	wrmsr\n"
    "3:	hlt\n"
    "	jmp	3b\n");

static void
sipi(uint64_t seed, uint64_t out[2])
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT,
	    .clock = VM_CLOCK_ICOUNT, .seed = seed };
	struct runner r = { 0 };
	struct guest g;

	guest_spec(&g, &spec, MEMSIZE);
	LOAD(&g, sipi_code);
	mode32(&g, g.vcpu);
	gate32(&g, 0x40, CODE + 0x100);
	r.vcpu = vm_vcpu_open(g.vm, 1);
	CHECK(r.vcpu != NULL);
	CHECKF(vm_start(g.vm) == 0, "%s", vm_errmsg());
	CHECK_EQ(pthread_create(&r.thread, NULL, runner_main, &r), 0);
	finish(&g);
	out[0] = get(g.vcpu, VM_AMD64_REG_RBX);
	out[1] = vm_clock_now(g.vm);
	CHECK_EQ(vm_suspend(g.vm, VM_SUSPEND_POWEROFF), 0);
	pthread_join(r.thread, NULL);
	CHECK_EQ(r.ex.code, VM_EXIT_SUSPENDED);
	guest_close(&g);
}

TEST(start_up_messages_in_virtual_time)
{
	uint64_t first[2], again[2];

	sipi(5, first);
	CHECK(first[1] > 10000);
	for (int i = 0; i < 10; i++) {
		sipi(5, again);
		CHECK_EQ(again[0], first[0]);
		CHECK_EQ(again[1], first[1]);
	}
}

static void
timer_fired(void *arg)
{
	struct vcpu *vcpu = arg;

	CHECKF(vm_lapic_irq(vcpu, 0x40) == 0, "%s", vm_errmsg());
}

/* Everyone halts: the clock jumps to the timer, exactly. */
GUEST(jump_code, 32,
    "	movl	$0x1ff, 0xfee000f0\n"
    "	sti\n"
    "	hlt\n"
    "	rdtsc\n"
    "	movl	%eax, %ebx\n"
    FINISH
    ".org jump_code + 0x100\n"
    "	iretl\n");

TEST(an_idle_vm_jumps_to_its_next_timer)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT,
	    .clock = VM_CLOCK_ICOUNT };
	struct vm_timer *timer;
	struct guest g;

	guest_spec(&g, &spec, MEMSIZE);
	CHECK_EQ(vm_set_counter_freq(g.vm, 1000000000), 0);
	LOAD(&g, jump_code);
	mode32(&g, g.vcpu);
	gate32(&g, 0x40, CODE + 0x100);
	timer = vm_timer_open(g.vm, 1000000000, timer_fired, g.vcpu);
	CHECK(timer != NULL);
	CHECK_EQ(vm_timer_arm(timer, 3600000000000), 0);	/* an hour */
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RBX), 3600000000000ULL % (1ULL << 32) + 1);	/* IRET */
	CHECK_EQ(vm_clock_now(g.vm), 3600000000000ULL + 4);
	vm_timer_close(timer);
	guest_close(&g);
}

/* Virtual time: a halted guest's clock jumps to the next timer; the counter is instructions. */
GUEST(tsc_code, 32,
    "	rdtsc\n"
    "	movl	%eax, %ebx\n"
    "	nop\n"
    "	nop\n"
    "	rdtsc\n"
    "	subl	%ebx, %eax\n"
    "	movl	%eax, %ebx\n"
    FINISH);

TEST(virtual_time_counts_instructions)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT,
	    .clock = VM_CLOCK_ICOUNT, .insn_ns = 10 };
	struct guest g;

	guest_spec(&g, &spec, MEMSIZE);
	CHECK_EQ(vm_set_counter_freq(g.vm, 1000000000), 0);
	LOAD(&g, tsc_code);
	mode32(&g, g.vcpu);
	finish(&g);
	CHECK_EQ(get(g.vcpu, VM_AMD64_REG_RBX), 40);
	CHECK_EQ(vm_clock_now(g.vm), 80);
	guest_close(&g);
}

/* Dirty pages */

GUEST(dirty_code, 32,
    "	movl	$1, 0x30000\n"
    "	lock incl 0x40000\n"
    "	movl	$1, 0x50ffe\n"
    "	pushl	%eax\n"
    FINISH);

TEST(stores_mark_their_pages_dirty)
{
	static uint64_t bits[MEMSIZE / 4096 / 64];
	struct vm_dirty *d;
	struct guest g;

	guest_open(&g);
	LOAD(&g, dirty_code);
	mode32(&g, g.vcpu);
	d = vm_dirty_open(g.vm);
	CHECK(d != NULL);
	finish(&g);
	CHECK_EQ(vm_dirty_fetch(d, 0, MEMSIZE, bits), 0);
	for (unsigned p = 0; p < MEMSIZE / 4096; p++) {
		bool want = p == 8 || p == 0x30 || p == 0x40 || p == 0x50 || p == 0x51;

		CHECKF(((bits[p / 64] >> (p % 64)) & 1) == want, "page %#x", p);
	}
	vm_dirty_close(d);
	guest_close(&g);
}

/*
 * Against the host: one instruction at a time in 64-bit mode, on random registers, flags and
 * memory.  Both sides have the buffer at the same address.
 */

#define	BUF	0x4000000UL
#define	BUFLEN	0x4000UL
#define	MID	(BUF + 0x1000)		/* what pointers point near */

struct regs {
	uint64_t gpr[16];
	uint64_t fl;
};

/* At fixed low addresses, so that a stub reaches them without a register. */
#define	STUB	(BUF + BUFLEN)
#define	HOSTSP	(STUB + 0x1000)
#define	REGS	(STUB + 0x1100)

static uint64_t prng = 88172645463325252ULL;

static uint64_t
rnd(void)
{
	prng ^= prng << 13;
	prng ^= prng >> 7;
	prng ^= prng << 17;
	return (prng);
}

static uint8_t *
emit(uint8_t *p, const void *bytes, size_t n)
{
	memcpy(p, bytes, n);
	return (p + n);
}

/* mov [abs32], reg or back */
static uint8_t *
emit_mov(uint8_t *p, bool store, unsigned reg, uint32_t abs)
{
	*p++ = (uint8_t)(0x48 | (reg >= 8 ? 4 : 0));
	*p++ = store ? 0x89 : 0x8b;
	*p++ = (uint8_t)(0x04 | (reg & 7) << 3);
	*p++ = 0x25;
	return (emit(p, &abs, 4));
}

/* Build at STUB: save, load the registers, one instruction, store them, restore. */
static void
build(const uint8_t *insn, size_t len)
{
	static const uint8_t save[] = { 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57,
	    0x9c };
	static const uint8_t restore[] = { 0x9d, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c,
	    0x5d, 0x5b, 0xc3 };
	static const uint8_t pushm[] = { 0xff, 0x34, 0x25 }, popm[] = { 0x8f, 0x04, 0x25 };
	uint32_t fl = REGS + offsetof(struct regs, fl);
	uint8_t *p = (uint8_t *)STUB;

	p = emit(p, save, sizeof(save));
	p = emit(p, pushm, 3);
	p = emit(p, &fl, 4);
	*p++ = 0x9d;
	p = emit_mov(p, true, 4, HOSTSP);
	for (unsigned r = 0; r < 16; r++)
		p = emit_mov(p, false, r, (uint32_t)REGS + 8 * r);
	p = emit(p, insn, len);
	for (unsigned r = 0; r < 16; r++)
		p = emit_mov(p, true, r, (uint32_t)REGS + 8 * r);
	p = emit_mov(p, false, 4, HOSTSP);
	*p++ = 0x9c;
	p = emit(p, popm, 3);
	p = emit(p, &fl, 4);
	(void)emit(p, restore, sizeof(restore));
}

#define	CF	0x001U
#define	PF	0x004U
#define	AF	0x010U
#define	ZF	0x040U
#define	SF	0x080U
#define	DF	0x400U
#define	OF	0x800U
#define	ALL	(CF | PF | AF | ZF | SF | OF)

/* What an instruction looks like, and which flags it leaves undefined. */
struct shape {
	const char	*name;
	uint16_t	 op;		/* 0x100: behind 0x0f */
	uint16_t	 last;		/* of a range of opcodes */
	int8_t		 reg;		/* /n, -1: any */
	/* m ModRM, M with imm8, Z with imm of operand size; b imm8; z imm; v imm64; . nothing */
	char		 form;
	bool		 lock;		/* may have a lock prefix in memory */
	uint32_t	 undef;
};

static const struct shape shapes[] = {
	{ "add", 0x00, 0x03, -1, 'm', true, 0 }, { "or", 0x08, 0x0b, -1, 'm', true, AF },
	{ "adc", 0x10, 0x13, -1, 'm', true, 0 },
	{ "sbb", 0x18, 0x1b, -1, 'm', true, 0 }, { "and", 0x20, 0x23, -1, 'm', true, AF },
	{ "sub", 0x28, 0x2b, -1, 'm', true, 0 },
	{ "xor", 0x30, 0x33, -1, 'm', true, AF }, { "cmp", 0x38, 0x3b, -1, 'm', false, 0 },
	{ "add al", 0x04, 0x04, -1, 'b', false, 0 }, { "adc al", 0x14, 0x14, -1, 'b', false, 0 },
	{ "and al", 0x24, 0x24, -1, 'b', false, AF },
	{ "cmp al", 0x3c, 0x3c, -1, 'b', false, 0 }, { "or eax", 0x0d, 0x0d, -1, 'z', false, AF },
	{ "sbb eax", 0x1d, 0x1d, -1, 'z', false, 0 },
	{ "sub eax", 0x2d, 0x2d, -1, 'z', false, 0 }, { "xor eax", 0x35, 0x35, -1, 'z', false, AF },
	{ "push", 0x50, 0x57, -1, '.', false, 0 }, { "pop", 0x58, 0x5f, -1, '.', false, 0 },
	{ "movsxd", 0x63, 0x63, -1, 'm', false, 0 },
	{ "push imm", 0x68, 0x68, -1, 'z', false, 0 },
	{ "imul3", 0x69, 0x69, -1, 'Z', false, SF | ZF | AF | PF },
	{ "push imm8", 0x6a, 0x6a, -1, 'b', false, 0 },
	{ "imul3b", 0x6b, 0x6b, -1, 'M', false, SF | ZF | AF | PF },
	{ "group1 b", 0x80, 0x80, -1, 'M', false, AF },
	{ "group1", 0x81, 0x81, -1, 'Z', false, AF },
	{ "group1 s", 0x83, 0x83, -1, 'M', false, AF }, { "test", 0x84, 0x85, -1, 'm', false, AF },
	{ "xchg", 0x86, 0x87, -1, 'm', true, 0 },
	{ "mov", 0x88, 0x8b, -1, 'm', false, 0 }, { "lea", 0x8d, 0x8d, -1, 'm', false, 0 },
	{ "pop m", 0x8f, 0x8f, 0, 'm', false, 0 },
	{ "xchg a", 0x90, 0x97, -1, '.', false, 0 }, { "cbw", 0x98, 0x98, -1, '.', false, 0 },
	{ "cwd", 0x99, 0x99, -1, '.', false, 0 },
	{ "pushf", 0x9c, 0x9c, -1, '.', false, 0 }, { "sahf", 0x9e, 0x9e, -1, '.', false, 0 },
	{ "lahf", 0x9f, 0x9f, -1, '.', false, 0 },
	{ "movs", 0xa4, 0xa5, -1, '.', false, 0 }, { "cmps", 0xa6, 0xa7, -1, '.', false, 0 },
	{ "test al", 0xa8, 0xa8, -1, 'b', false, AF },
	{ "test eax", 0xa9, 0xa9, -1, 'z', false, AF }, { "stos", 0xaa, 0xab, -1, '.', false, 0 },
	{ "lods", 0xac, 0xad, -1, '.', false, 0 },
	{ "scas", 0xae, 0xaf, -1, '.', false, 0 }, { "mov imm8", 0xb0, 0xb7, -1, 'b', false, 0 },
	{ "mov imm", 0xb8, 0xbf, -1, 'v', false, 0 },
	{ "shift i", 0xc0, 0xc1, -1, 'M', false, AF | OF },
	{ "mov m i8", 0xc6, 0xc6, 0, 'M', false, 0 }, { "mov m i", 0xc7, 0xc7, 0, 'Z', false, 0 },
	{ "shift 1", 0xd0, 0xd1, -1, 'm', false, AF },
	{ "shift cl", 0xd2, 0xd3, -1, 'm', false, AF | OF },
	{ "cmc", 0xf5, 0xf5, -1, '.', false, 0 }, { "clc", 0xf8, 0xf9, -1, '.', false, 0 },
	{ "cld", 0xfc, 0xfd, -1, '.', false, 0 },
	{ "test m b", 0xf6, 0xf6, 0, 'M', false, AF }, { "test m", 0xf7, 0xf7, 0, 'Z', false, AF },
	{ "not", 0xf6, 0xf7, 2, 'm', true, 0 }, { "neg", 0xf6, 0xf7, 3, 'm', true, 0 },
	{ "mul", 0xf6, 0xf7, 4, 'm', false, SF | ZF | AF | PF },
	{ "imul", 0xf6, 0xf7, 5, 'm', false, SF | ZF | AF | PF },
	{ "div", 0xf6, 0xf7, 6, 'm', false, ALL }, { "idiv", 0xf6, 0xf7, 7, 'm', false, ALL },
	{ "inc", 0xfe, 0xff, 0, 'm', true, 0 }, { "dec", 0xfe, 0xff, 1, 'm', true, 0 },
	{ "push m", 0xff, 0xff, 6, 'm', false, 0 },
	{ "nop", 0x11f, 0x11f, 0, 'm', false, 0 }, { "cmov", 0x140, 0x14f, -1, 'm', false, 0 },
	{ "setcc", 0x190, 0x19f, -1, 'm', false, 0 },
	{ "bt", 0x1a3, 0x1a3, -1, 'm', false, OF | SF | AF | PF },
	{ "bts", 0x1ab, 0x1ab, -1, 'm', true, OF | SF | AF | PF },
	{ "btr", 0x1b3, 0x1b3, -1, 'm', true, OF | SF | AF | PF },
	{ "btc", 0x1bb, 0x1bb, -1, 'm', true, OF | SF | AF | PF },
	{ "bt i", 0x1ba, 0x1ba, 4, 'M', false, OF | SF | AF | PF },
	{ "bts i", 0x1ba, 0x1ba, 5, 'M', false, OF | SF | AF | PF },
	{ "btr i", 0x1ba, 0x1ba, 6, 'M', false, OF | SF | AF | PF },
	{ "btc i", 0x1ba, 0x1ba, 7, 'M', false, OF | SF | AF | PF },
	{ "shld i", 0x1a4, 0x1a4, -1, 'M', false, AF | OF },
	{ "shld", 0x1a5, 0x1a5, -1, 'm', false, AF | OF },
	{ "shrd i", 0x1ac, 0x1ac, -1, 'M', false, AF | OF },
	{ "shrd", 0x1ad, 0x1ad, -1, 'm', false, AF | OF },
	{ "imul2", 0x1af, 0x1af, -1, 'm', false, SF | ZF | AF | PF },
	{ "cmpxchg", 0x1b0, 0x1b1, -1, 'm', true, 0 },
	{ "movzx", 0x1b6, 0x1b7, -1, 'm', false, 0 }, { "movsx", 0x1be, 0x1bf, -1, 'm', false, 0 },
	{ "bsf", 0x1bc, 0x1bc, -1, 'm', false, CF | OF | SF | AF | PF },
	{ "bsr", 0x1bd, 0x1bd, -1, 'm', false, CF | OF | SF | AF | PF },
	{ "xadd", 0x1c0, 0x1c1, -1, 'm', true, 0 }, { "cmpxchg8b", 0x1c7, 0x1c7, 1, 'm', true, 0 },
	{ "bswap", 0x1c8, 0x1cf, -1, '.', false, 0 },
};

/* A shift's flags depend on its count: none for 0, OF defined for 1, CF only up to the width. */
static bool
is_shift(const struct shape *s)
{
	return ((s->op >= 0xc0 && s->op <= 0xc1) || (s->op >= 0xd0 && s->op <= 0xd3) ||
	    (s->op >= 0x1a4 && s->op <= 0x1ad && s->op != 0x1ab));
}

struct trial {
	uint8_t		 insn[16];
	size_t		 len;
	unsigned	 size;		/* of the operands */
	unsigned	 op, reg;	/* as encoded */
	bool		 mem;
	bool		 usable;
};

/* A memory operand near MID by one of the pointer registers, or RIP-free absolute. */
static uint8_t *
random_modrm(uint8_t *p, struct trial *t, int reg, bool memory)
{
	static const uint8_t base[] = { 3, 5, 6,
	    7 };		/* RBX, RBP, RSI, RDI or with REX.B R11, R13, R14, R15 */
	unsigned field = reg >= 0 ? (unsigned)reg : (unsigned)(rnd() & 7), rm = base[rnd() & 3];
	uint32_t disp = (uint32_t)(rnd() & 0x3ff) - 0x200;

	t->reg = field;
	t->mem = memory;
	if (!memory) {
		*p++ = (uint8_t)(0xc0 | field << 3 | (rnd() & 7));
		return (p);
	}
	switch (rnd() & 7) {
	case 0:				/* [abs32] by SIB */
		*p++ = (uint8_t)(field << 3 | 4);
		*p++ = 0x25;
		disp += (uint32_t)MID;
		return (emit(p, &disp, 4));
	case 1:				/* [base + disp32] */
		*p++ = (uint8_t)(0x80 | field << 3 | rm);
		return (emit(p, &disp, 4));
	case 2:				/* [rsp + disp8] */
		*p++ = (uint8_t)(0x40 | field << 3 | 4);
		*p++ = 0x24;
		*p++ = (uint8_t)disp;
		return (p);
	case 3:				/* [base + rcx * 4 + disp8]; rcx or r9 is small, see below */
		*p++ = (uint8_t)(0x40 | field << 3 | 4);
		*p++ = (uint8_t)(0x80 | 1 << 3 | rm);
		*p++ = (uint8_t)disp;
		return (p);
	default:			/* [base + disp8] */
		*p++ = (uint8_t)(0x40 | field << 3 | rm);
		*p++ = (uint8_t)disp;
		return (p);
	}
}

static void
random_insn(const struct shape *s, struct trial *t)
{
	unsigned op = s->op + (unsigned)(rnd() % (s->last - s->op + 1U));
	bool modrm = strchr("mMZ", s->form) != NULL, memory = modrm && (rnd() & 1) != 0, bytes;
	bool wide = (rnd() & 3) == 0, narrow = !wide && (rnd() & 3) == 0;
	unsigned rex = (rnd() & 1) != 0 || wide ? 0x40 | (unsigned)(rnd() & 7) | (wide ? 8 : 0) : 0,
	    imm;
	uint8_t *p = t->insn;
	uint64_t v = rnd();

	if (s->op == 0x8d || s->op == 0x8f || s->op == 0x1c7)
		memory = true;
	/* Opcodes whose low bit does not select bytes. */
	bytes = (op & 1) == 0 && ((op < 0x40) || (op >= 0x80 && op < 0x8c && op != 0x83) ||
	    (op >= 0xa4 && op < 0xb0) ||
	    (op >= 0xc0 && op < 0xd4) || op >= 0xf6) && op < 0x100;
	if (op == 0x1b0 || op == 0x1c0 || (op & 0x1f0) == 0x190 || (op >= 0xb0 && op <= 0xb7))
		bytes = true;
	t->usable = true;
	/* An index scaled by the register that also holds counts is kept off R12 (REX.X). */
	if (modrm && memory)
		rex &= ~2U;
	if ((op == 0xff && s->reg == 6) || (op & 0x1f0) == 0x050 || op == 0x68 || op == 0x6a ||
	    op == 0x8f || op == 0x9c)
		wide = true, narrow = false, rex = rex != 0 ? rex | 8 : 0;
	if (op == 0x1c7)
		rex &= ~8U, wide = narrow = false;
	if ((op >= 0x1c8 && op <= 0x1cf) || op == 0x63)
		narrow = false;			/* BSWAP of 16 bits is undefined; MOVSXD of 16 bits pointless */
	t->size = bytes ? 1 : op == 0x1c7 ? 8 : wide || (rex & 8) != 0 ? 8 : narrow ? 2 : 4;
	if (s->lock && memory && (op & 2) == (op < 0x40 ? 0 : op & 2) && (rnd() & 1) != 0)
		*p++ = 0xf0;
	if (narrow)
		*p++ = 0x66;
	if (rex != 0)
		*p++ = (uint8_t)rex;
	if (op >= 0x100)
		*p++ = 0x0f;
	*p++ = (uint8_t)op;
	t->op = op;
	if (modrm)
		p = random_modrm(p, t, s->reg, memory);
	else
		t->mem = false;
	imm = s->form == 'b' || s->form == 'M' ? 1 : s->form == 'z' || s->form == 'Z' ?
	    (t->size == 2 ? 2 : 4) :
	    s->form == 'v' ? t->size : 0;
	/* Immediates of all kinds, small ones often. */
	if ((rnd() & 1) != 0)
		v = (uint64_t)((int64_t)(v << 56) >> 58);
	p = emit(p, &v, imm);
	t->len = (size_t)(p - t->insn);
	/* 81 /n with OR, AND, XOR only have AF undefined; that is masked for all. */
}

static uint64_t
interesting(void)
{
	switch (rnd() & 7) {
	case 0:
		return (rnd() & 0xff);
	case 1:
		return (0x8000000000000000ULL >> (rnd() & 63));
	case 2:
		return (UINT64_MAX >> (rnd() & 63));
	case 3:
		return (~(UINT64_MAX >> (rnd() & 63)));
	case 4:
		return ((uint64_t)(int64_t)(int32_t)rnd());
	default:
		return (rnd());
	}
}

static void
random_regs(struct regs *r, const struct shape *s)
{
	static const uint8_t pointers[] = { 3, 5, 6, 7, 11, 12, 13, 14, 15 };

	for (unsigned i = 0; i < 16; i++)
		r->gpr[i] = interesting();
	/*
	 * Memory operands have them as bases; also the shapes without need RSI, RDI and RSP to
	 * point somewhere.
	 */
	for (unsigned i = 0; i < sizeof(pointers); i++)
		r->gpr[pointers[i]] = MID + (rnd() & 0xff);
	r->gpr[4] = MID + 0x800 + (rnd() & 0xf8);
	r->gpr[1] = (uint64_t)(int64_t)((int)(rnd() & 0xff) - 128);
	r->gpr[9] = r->gpr[1];
	r->fl = 0x202 | (rnd() & ALL);
	if (strlen(s->name) == 4 && (s->op & 0xf0) == 0xa0)
		r->fl |= rnd() & DF;
	if (s->op == 0xf6 && s->reg >= 6 && (rnd() & 3) != 0) {
		r->gpr[2] &= 0xf;		/* quotients that fit are rarer */
	}
}

/* Whether a division by a register surely makes no #DE, which would end the test. */
static bool
divides(const struct trial *t, const struct regs *r)
{
	unsigned bits = 8 * t->size, rm = t->insn[t->len - 1] & 7;
	uint64_t m = bits == 64 ? UINT64_MAX : (1ULL << bits) - 1, d = 0, lo, hi;
	bool rexp = false, rexb = false;
	unsigned __int128 n, q;

	for (size_t i = 0; i + 1 < t->len; i++) {
		if ((t->insn[i] & 0xf0) == 0x40) {
			rexp = true;
			rexb = (t->insn[i] & 1) != 0;
		}
	}
	if (t->size == 1 && !rexp && rm >= 4)
		d = r->gpr[rm - 4] >> 8;
	else
		d = r->gpr[rm | (rexb ? 8 : 0)];
	d &= m;
	lo = r->gpr[0] & m;
	hi = (t->size == 1 ? r->gpr[0] >> 8 : r->gpr[2]) & m;
	if (d == 0)
		return (false);
	n = (unsigned __int128)hi << bits | lo;
	if (t->reg == 6)
		return (n / d <= m);
	/* Signed: only what surely fits. */
	if (hi != 0 && hi != m)
		return (false);
	if (hi == m && bits < 64)
		n |= ~(((unsigned __int128)1 << (2 * bits)) - 1);
	else if (hi == m)
		n = (unsigned __int128)(__int128)(int64_t)lo;
	if (hi == 0 && (lo >> (bits - 1)) != 0)
		return (false);
	if (hi == m && (lo >> (bits - 1)) == 0)
		return (false);
	q = (unsigned __int128)lo;
	return (q != (unsigned __int128)1 << (bits - 1) || d != m);
}

static uint32_t
undefined_flags(const struct shape *s, const struct trial *t, const struct regs *before)
{
	unsigned count, bits = 8 * t->size;
	uint32_t undef = s->undef;

	if (s->op == 0x80 || s->op == 0x81 || s->op == 0x83)
		return (t->reg == 1 || t->reg == 4 || t->reg == 6 ? AF : 0);
	if (!is_shift(s))
		return (undef);
	if (s->op == 0xd2 || s->op == 0x1a5 || s->op == 0x1ad)
		count = before->gpr[1] & 0xff;
	else if (s->op == 0xd0)
		count = 1;
	else
		count = t->insn[t->len - 1];
	count &= bits == 64 ? 63 : 31;
	if (count == 0)
		return (0);
	if (s->op < 0x100 && t->reg < 4) {
		/*
		 * Rotates leave SF, ZF, AF and PF alone, and OF undefined except for a count of 1.
		 */
		return (count == 1 ? 0 : OF);
	}
	undef = AF | (count == 1 ? 0 : OF);
	if (count >= bits)
		undef |= CF;
	return (undef);
}

TEST(instructions_agree_with_the_host)
{
	const size_t nshape = sizeof(shapes) / sizeof(shapes[0]);
	uint8_t *host, *guest, *image;
	struct regs before, *now = (struct regs *)REGS;
	int regnum[17];
	uint64_t vals[17];
	struct guest g;
	unsigned done = 0;

	host = mmap((void *)BUF, BUFLEN + 0x2000, PROT_READ | PROT_WRITE | PROT_EXEC,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	if (host != (void *)BUF)
		SKIP("no executable memory at a low address");
	image = malloc(BUFLEN);
	CHECK(image != NULL);
	guest_open(&g);
	mode64(&g, g.vcpu);
	guest = g.mem + BUF;
	for (int i = 0; i < 16; i++)
		regnum[i] = VM_AMD64_REG_RAX + i;
	regnum[16] = VM_AMD64_REG_RFLAGS;

	for (unsigned n = 0; n < 1500 * nshape; n++) {
		const struct shape *s = &shapes[n % nshape];
		struct trial t;
		uint32_t undef, diff;

		random_insn(s, &t);
		random_regs(&before, s);
		for (size_t i = 0; i < BUFLEN; i += 8) {
			uint64_t v = n % 16 == 0 ? interesting() : prng * (i + 1);

			memcpy(image + i, &v, 8);
		}
		if (s->op == 0xf6 && s->reg >= 6 && (t.mem || !divides(&t, &before)))
			continue;
		/* A bit offset in a register reaches far. */
		if (t.mem && (t.op == 0x1a3 || t.op == 0x1ab || t.op == 0x1b3 || t.op == 0x1bb)) {
			if (t.reg > 2)
				continue;
			for (unsigned i = 0; i < 3; i++) {
				before.gpr[i] = rnd() & 0x3f;
				before.gpr[i + 8] = i == 1 ? before.gpr[1] : rnd() & 0x3ff;
			}
		}
		/* SHLD and SHRD of 16 bits by more: the result is undefined too. */
		if ((t.op & ~9U) == 0x1a4 && t.size == 2 &&
		    (((t.op & 1) != 0 ? before.gpr[1] : t.insn[t.len - 1]) & 31) > 16)
			continue;
		done++;

		memcpy(host, image, BUFLEN);
		build(t.insn, t.len);
		*now = before;
		((void (*)(void))STUB)();

		memcpy(guest, image, BUFLEN);
		/* Not through the mapping: the vCPU has decoded what was there before. */
		CHECK_EQ(vm_gpa_write(g.vm, CODE, t.insn, t.len), 0);
		CHECK_EQ(vm_gpa_write(g.vm, CODE + t.len, "\xe6\xf4", 2), 0);
		memcpy(vals, before.gpr, sizeof(before.gpr));
		vals[16] = before.fl;
		CHECK_EQ(vm_set_register_set(g.vcpu, 17, regnum, vals), 0);
		set(g.vcpu, VM_AMD64_REG_RIP, CODE);
		run(&g);
		CHECKF(ended(&g) && g.ex.pc == CODE + t.len,
		    "%s: %02x %02x %02x %02x %02x %02x %02x: exit %d at %#llx", s->name, t.insn[0],
		    t.insn[1], t.insn[2], t.insn[3], t.insn[4], t.insn[5], t.insn[6], g.ex.code,
		    (unsigned long long)g.ex.pc);
		CHECK_EQ(vm_get_register_set(g.vcpu, 17, regnum, vals), 0);

		undef = undefined_flags(s, &t, &before);
		for (unsigned i = 0; i < 16; i++) {
			CHECKF(vals[i] == now->gpr[i],
			    "%s: %02x %02x %02x %02x %02x %02x %02x: register %u is %#llx, on the host %#llx, was %#llx",
			    s->name, t.insn[0], t.insn[1], t.insn[2], t.insn[3], t.insn[4],
			    t.insn[5], t.insn[6], i,
			    (unsigned long long)vals[i], (unsigned long long)now->gpr[i],
			    (unsigned long long)before.gpr[i]);
		}
		diff = (uint32_t)(vals[16] ^ now->fl) & (ALL | DF) & ~undef;
		CHECKF(diff == 0,
		    "%s: %02x %02x %02x %02x %02x %02x %02x: flags are %#llx, on the host %#llx, were %#llx", s->name, t.insn[0],
		    t.insn[1], t.insn[2], t.insn[3], t.insn[4], t.insn[5], t.insn[6],
		    (unsigned long long)vals[16],
		    (unsigned long long)now->fl, (unsigned long long)before.fl);
		CHECKF(memcmp(host, guest, BUFLEN) == 0,
		    "%s: %02x %02x %02x %02x %02x: memory differs", s->name, t.insn[0], t.insn[1],
		    t.insn[2], t.insn[3], t.insn[4]);
	}
	CHECK(done > 1000 * nshape);
	free(image);
	guest_close(&g);
}

#else

TEST(soft_amd64)
{
	SKIP("amd64 guests need an amd64 host on the software back end");
}

#endif

TEST_MAIN()
