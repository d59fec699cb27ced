/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_segev.c - gates, task switches, virtual-8086 mode and IRET on the software amd64 core:
 * what other tests by the manual's sections rest on.
 *
 * Every vector of the IDT leads to a stub that pushes its number and ends the run, so that the frame
 * can be looked at; tests put other gates there.
 */
#include "soft_amd64_code.h"

#ifdef __x86_64__

#define	CODE	0x10000		/* level 0, also reached from elsewhere */
#define	STUBS	0x18000		/* 16 bytes each */
#define	IDT	0x1000
#define	GDT	0x800
#define	LDT	0x700
#define	PML4	0x2000
#define	TSS_A	0x6000
#define	TSS_B	0x6100
#define	TSS_C	0x6200		/* 16 bits */
#define	STACK0	0x9000		/* where level 0 begins */
#define	INNER	0xa000		/* where the TSS says that level 0 is entered */
#define	STACK3	0xb000
#define	STACKB	0xc000
#define	MEMSIZE	(16U << 20)

#define	LOAD(name)	memcpy(g.mem + CODE, (name), (size_t)(name##_end - (name)))

/* Selectors */
enum {
	C0 = 0x08, D0 = 0x10, C3 = 0x18 | 3, D3 = 0x20 | 3, SEL_A = 0x28, SEL_B = 0x30, SEL_C = 0x38, TGATE = 0x40,
	CGATE = 0x48, LONG0 = 0x50, LONG3 = 0x58 | 3, CONF = 0x60, SEL_LDT = 0x68, TSS64 = 0x70, GDT_END = 0x80
};

static struct guest g;

#define	REG(r)	GET(&g, r)

static void
desc(unsigned sel, uint32_t base, uint32_t limit, uint32_t access)
{
	poke(&g, GDT + (sel & 0xfff8), (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
	    (uint64_t)(access & 0xf0ff) << 40 | (uint64_t)(limit & 0xf0000) << 32 | (uint64_t)(base >> 24) << 56, 8);
}

static uint64_t
access_of(unsigned sel)
{
	return (peek(&g, GDT + (sel & 0xfff8) + 5, 1));
}

/* type with P and DPL, as bits 15 to 8 of the second word have it */
static uint64_t
gate(unsigned sel, uint32_t off, unsigned type, unsigned params)
{
	return ((off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)params << 32 | (uint64_t)type << 40 |
	    (uint64_t)(off >> 16) << 48);
}

static void
idt32(unsigned vector, unsigned sel, uint32_t off, unsigned type)
{
	poke(&g, IDT + 8 * vector, gate(sel, off, type, 0), 8);
}

static void
idt64(unsigned vector, uint32_t off, unsigned type, unsigned ist)
{
	poke(&g, IDT + 16 * vector, gate(LONG0, off, type, ist), 8);
	poke(&g, IDT + 16 * vector + 8, 0, 8);
}

static void
segment(int reg, uint16_t sel, uint32_t access)
{
	CHECK_EQ(vm_set_desc(g.vcpu, reg, 0, 0xffffffff, access), 0);
	set(g.vcpu, reg, sel);
}

static void
machine(void)
{
	guest_new(&g, MEMSIZE);

	desc(C0, 0, 0xfffff, 0xc09b);
	desc(D0, 0, 0xfffff, 0xc093);
	desc(C3, 0, 0xfffff, 0xc0fb);
	desc(D3, 0, 0xfffff, 0xc0f3);
	desc(SEL_A, TSS_A, 0x67, 0x8b);
	desc(SEL_B, TSS_B, 0x67, 0x89);
	desc(SEL_C, TSS_C, 0x2b, 0x81);
	poke(&g, GDT + TGATE, gate(SEL_B, 0, 0xe5, 0), 8);
	desc(LONG0, 0, 0xfffff, 0xa09b);
	desc(LONG3, 0, 0xfffff, 0xa0fb);
	desc(CONF, 0, 0xfffff, 0xc09f);
	desc(SEL_LDT, LDT, 7, 0x82);
	desc(TSS64, TSS_A, 0x67, 0x89);
	poke(&g, TSS_A + 4, INNER, 4);
	poke(&g, TSS_A + 8, D0, 2);
	for (unsigned v = 0; v < 256; v++) {
		/* push $v, sign-extended; out */
		poke(&g, STUBS + 16 * v, 0x6a | (v & 0x7f) << 8 | 0xf4e60000, 4);
	}
}

static void
mode32(void)
{
	static const int data[] = { VM_AMD64_REG_DS, VM_AMD64_REG_ES, VM_AMD64_REG_SS, VM_AMD64_REG_FS,
	    VM_AMD64_REG_GS };

	machine();
	for (unsigned v = 0; v < 128; v++)
		idt32(v, C0, STUBS + 16 * v, v < 32 ? 0x8e : 0xee);
	segment(VM_AMD64_REG_CS, C0, 0xc09b);
	for (size_t i = 0; i < 5; i++)
		segment(data[i], D0, 0xc093);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_GDTR, GDT, GDT_END - 1, 0), 0);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_IDTR, IDT, 0x3ff, 0), 0);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_TR, TSS_A, 0x67, 0x8b), 0);
	set(g.vcpu, VM_AMD64_REG_TR, SEL_A);
	set(g.vcpu, VM_AMD64_REG_CR0, 0x11);
	set(g.vcpu, VM_AMD64_REG_RSP, STACK0);
	set(g.vcpu, VM_AMD64_REG_RIP, CODE);
}

static void
mode64(void)
{
	mode32();
	for (unsigned v = 0; v < 64; v++)
		idt64(v, STUBS + 16 * v, v < 32 ? 0x8e : 0xee, 0);
	poke(&g, PML4, (PML4 + 0x1000) | 7, 8);
	poke(&g, PML4 + 0x1000, (PML4 + 0x2000) | 7, 8);
	for (uint64_t i = 0; i < 8; i++)
		poke(&g, PML4 + 0x2000 + 8 * i, i << 21 | 0x87, 8);
	segment(VM_AMD64_REG_CS, LONG0, 0xa09b);
	poke(&g, TSS_A + 4, INNER, 8);
	set(g.vcpu, VM_AMD64_REG_CR3, PML4);
	set(g.vcpu, VM_AMD64_REG_CR4, 0x20);
	set(g.vcpu, VM_AMD64_REG_EFER, 0x501);
	set(g.vcpu, VM_AMD64_REG_CR0, 0x80000011);
}

static void
run(void)
{
	CHECKF(vm_run(g.vcpu, &g.ex) == 0, "%s", vm_errmsg());
	CHECKF(g.ex.code == VM_EXIT_IO && g.ex.u.io.port == 0xf4, "exit %d at %#llx", g.ex.code,
	    (unsigned long long)g.ex.pc);
}

/* What the stub left on the stack: vector, error code if there is one, EIP, CS, flags, ESP, SS */
static uint64_t
frame(unsigned n)
{
	return (peek(&g, REG(RSP) + 4 * n, 4));
}

static uint64_t
frame64(unsigned n)
{
	return (peek(&g, REG(RSP) + 8 * n, 8));
}

static void
leave(void)
{
	vm_close(g.vm);
	g.vm = NULL;
}

/* Call gates */

GUEST(ring3, 32,
    "	pushl	$0x23\n"
    "	pushl	$0xb000\n"
    "	pushl	$0x202\n"
    "	pushl	$0x1b\n"
    "	pushl	$2f - ring3 + 0x10000\n"
    "	movw	$0x10, %ax\n"
    "	movw	%ax, %es\n"
    "	movw	$0x23, %ax\n"
    "	movw	%ax, %ds\n"
    "	iretl\n"
    "2:	movl	%es, %ebx\n"			/* taken away: it was level 0's */
    "	pushl	$0x1111\n"
    "	pushl	$0x2222\n"
    "	lcall	$0x48, $0\n"
    "	movl	%esp, %esi\n"
    "	int	$0x30\n"
    "	.org	ring3 + 0x100\n"
    "	movl	8(%esp), %ecx\n"		/* the second parameter */
    "	movl	12(%esp), %edx\n"
    "	movl	16(%esp), %edi\n"		/* the caller's ESP */
    "	movl	%esp, %ebp\n"
    "	lretl	$8\n");

TEST(call_gate_copies_parameters_and_returns_outwards)
{
	mode32();
	LOAD(ring3);
	poke(&g, GDT + CGATE, gate(C0, CODE + 0x100, 0xec, 2), 8);
	run();
	CHECK_EQ(frame(0), 0x30);
	CHECK_EQ(frame(2), C3);
	CHECK_EQ(frame(5), D3);
	CHECK_EQ(REG(RSP), INNER - 24);
	CHECK_EQ(REG(RBX) & 0xffff, 0);
	CHECK_EQ(REG(RCX), 0x2222);
	CHECK_EQ(REG(RDX), 0x1111);
	CHECK_EQ(REG(RDI), STACK3 - 8);
	CHECK_EQ(REG(RBP), INNER - 24);
	CHECK_EQ(REG(RSI), STACK3);
	leave();
}

static void
expect_ring3(unsigned vector, uint64_t error)
{
	run();
	CHECK_EQ(frame(0), vector);
	CHECK_EQ(frame(1), error);
	CHECK_EQ(frame(3), C3);
	leave();
}

TEST(call_gate_errors_name_what_is_wrong)
{
	mode32();
	LOAD(ring3);
	poke(&g, GDT + CGATE, gate(C0, CODE + 0x100, 0x8c, 2), 8);	/* for level 0 */
	expect_ring3(13, CGATE);
	mode32();
	LOAD(ring3);
	poke(&g, GDT + CGATE, gate(C0, CODE + 0x100, 0x6c, 2), 8);	/* not present */
	expect_ring3(11, CGATE);
	mode32();
	LOAD(ring3);
	poke(&g, GDT + CGATE, gate(D0, CODE + 0x100, 0xec, 2), 8);	/* no code */
	expect_ring3(13, D0);
	mode32();
	LOAD(ring3);
	poke(&g, GDT + CGATE, gate(CONF, CODE + 0x100, 0xec, 2), 8);
	run();							/* the level stays: the frame has no stack */
	CHECK_EQ(frame(0), 0x30);
	CHECK_EQ(REG(RCX), 0x2222);
	CHECK_EQ(REG(RBP), STACK3 - 16);
	leave();
}

/* Tasks */

GUEST(tasks, 32,
    "	movl	$0x11111111, %ecx\n"
    "	lcall	$0x40, $0\n"			/* through the gate */
    "	pushfl\n"
    "	popl	%esi\n"
    "	ljmp	$0x38, $0\n"			/* to the 16-bit task */
    "	.org	tasks + 0x100\n"
    "	pushfl\n"
    "	popl	%edx\n"
    "	strw	%bx\n"
    "	iretl\n"
    "	hlt\n"
    "	.org	tasks + 0x200\n"
    "	int	$0x30\n");

static void
task_b(void)
{
	poke(&g, TSS_B + 0x20, CODE + 0x100, 4);
	poke(&g, TSS_B + 0x24, 2, 4);
	poke(&g, TSS_B + 0x38, STACKB, 4);
	poke(&g, TSS_B + 0x48, D0, 2);
	poke(&g, TSS_B + 0x4c, C0, 2);
	poke(&g, TSS_B + 0x50, D0, 2);
	poke(&g, TSS_B + 0x54, D0, 2);
	poke(&g, TSS_B + 0x60, SEL_LDT, 2);
}

TEST(tasks_nest_return_and_are_left)
{
	mode32();
	LOAD(tasks);
	task_b();
	poke(&g, TSS_C + 0x0e, 0x200, 2);
	desc(CONF, CODE, 0xffff, 0x9b);
	poke(&g, TSS_C + 0x10, 2, 2);
	poke(&g, TSS_C + 0x12, 0x5555, 2);
	poke(&g, TSS_C + 0x1a, STACKB, 2);
	poke(&g, TSS_C + 0x22, D0, 2);
	poke(&g, TSS_C + 0x24, CONF, 2);
	poke(&g, TSS_C + 0x26, D0, 2);
	poke(&g, TSS_C + 0x28, D0, 2);
	run();
	CHECK_EQ(frame(0), 0x30);
	/* What B left behind: NT in its flags, its link, TR as it saw it; and it is available again. */
	CHECK_EQ(peek(&g, TSS_B, 2), SEL_A);
	CHECK_EQ(peek(&g, TSS_B + 0x30, 4), 0x4002);
	CHECK_EQ(peek(&g, TSS_B + 0x34, 2), SEL_B);
	CHECK_EQ(peek(&g, TSS_B + 0x24, 4), 2);
	CHECK_EQ(access_of(SEL_B), 0x89);
	/* A had its registers again, and was left by JMP. */
	CHECK_EQ(peek(&g, TSS_A + 0x2c, 4), 0x11111111);
	CHECK_EQ(peek(&g, TSS_A + 0x40, 4), 2);
	CHECK_EQ(access_of(SEL_A), 0x89);
	CHECK_EQ(access_of(SEL_C), 0x83);
	CHECK_EQ(REG(TR), SEL_C);
	CHECK_EQ(REG(RAX), 0x5555);
	CHECK_EQ(REG(FS), 0);
	CHECK_EQ(REG(CR0) & 8, 8);
	leave();
}

/* Errors before the switch are the old task's, those behind it the new one's. */
TEST(task_switch_errors)
{
	mode32();
	LOAD(tasks);
	task_b();
	desc(SEL_B, TSS_B, 0x67, 0x8b);
	run();
	CHECK_EQ(frame(0), 13);
	CHECK_EQ(frame(1), SEL_B);
	CHECK_EQ(frame(2), CODE + 5);
	leave();

	mode32();
	LOAD(tasks);
	task_b();
	desc(SEL_B, TSS_B, 0x66, 0x89);
	run();
	CHECK_EQ(frame(0), 10);
	CHECK_EQ(frame(1), SEL_B);
	CHECK_EQ(REG(TR), SEL_A);
	leave();

	mode32();
	LOAD(tasks);
	task_b();
	poke(&g, TSS_B + 0x54, SEL_A, 2);			/* DS: no data */
	run();
	CHECK_EQ(frame(0), 10);
	CHECK_EQ(frame(1), SEL_A);
	CHECK_EQ(frame(2), CODE + 0x100);
	CHECK_EQ(REG(TR), SEL_B);
	CHECK_EQ(access_of(SEL_A), 0x8b);
	CHECK_EQ(access_of(SEL_B), 0x8b);
	leave();

	/* The T flag: a debug trap before the first instruction. */
	mode32();
	LOAD(tasks);
	task_b();
	poke(&g, TSS_B + 0x64, 1, 2);
	run();
	CHECK_EQ(frame(0), 1);
	CHECK_EQ(frame(1), CODE + 0x100);
	CHECK_EQ(REG(DR6) & 0xe00f, 0x8000);
	leave();
}

GUEST(faulting, 32,
    "	movw	$0x28, %ax\n"
    "	movw	%ax, %ds\n"
    "	.org	faulting + 0x100\n"
    "	popl	%ecx\n"
    "	int	$0x30\n");

TEST(exceptions_come_through_task_gates_with_their_error_code)
{
	mode32();
	LOAD(faulting);
	task_b();
	idt32(13, SEL_B, 0, 0x85);
	run();
	CHECK_EQ(frame(0), 0x30);
	CHECK_EQ(REG(RCX), SEL_A);
	CHECK_EQ(REG(RSP), STACKB - 16);
	CHECK_EQ(peek(&g, TSS_A + 0x20, 4), CODE + 4);
	CHECK_EQ(peek(&g, TSS_A + 0x24, 4) & 0x10000, 0x10000);
	leave();

	/* A task that cannot be had: its error has EXT set, and there are two contributory ones. */
	mode32();
	LOAD(faulting);
	task_b();
	desc(SEL_B, TSS_B, 0x67, 0x8b);
	idt32(13, SEL_B, 0, 0x85);
	run();
	CHECK_EQ(frame(0), 8);
	CHECK_EQ(frame(1), 0);
	CHECK_EQ(frame(2), CODE + 4);
	leave();
}

/* Virtual-8086 mode */

GUEST(v86, 32,
    "	pushl	$0x4000\n"			/* GS, FS, DS, ES */
    "	pushl	$0x3000\n"
    "	pushl	$0x2000\n"
    "	pushl	$0x1500\n"
    "	pushl	$0x900\n"			/* SS:SP, CS:IP */
    "	pushl	$0x100\n"
    "	pushl	%eax\n"
    "	pushl	$0x1000\n"
    "	pushl	$2f - v86\n"
    "	iretl\n"
    "	.code16\n"
    "2:	movw	%ds, %ax\n"
    "	movw	%ax, %es\n"
    "	movb	$0x77, %es:5\n"
    "	int	$0x31\n"
    "	.code32\n");

TEST(virtual_8086_mode_is_left_through_gates)
{
	for (unsigned iopl = 0; iopl <= 3; iopl += 3) {
		unsigned n = iopl == 3 ? 0 : 1;		/* #GP has an error code */

		mode32();
		LOAD(v86);
		set(g.vcpu, VM_AMD64_REG_RAX, 0x20002 | iopl << 12);
		run();
		CHECK_EQ(frame(0), iopl == 3 ? 0x31 : 13);
		CHECK_EQ(peek(&g, 0x20005, 1), 0x77);
		CHECK_EQ(frame(1), iopl == 3 ? (uint64_t)(v86_end - v86) : 0);
		CHECK_EQ(frame(2 + n), 0x1000);
		CHECK_EQ(frame(3 + n), (iopl == 3 ? 0x20002 : 0x30002) | iopl << 12);
		CHECK_EQ(frame(4 + n), 0x100);
		CHECK_EQ(frame(5 + n), 0x900);
		CHECK_EQ(frame(6 + n), 0x2000);
		CHECK_EQ(frame(7 + n), 0x2000);
		CHECK_EQ(frame(8 + n), 0x3000);
		CHECK_EQ(frame(9 + n), 0x4000);
		CHECK_EQ(REG(RSP), INNER - 40 - 4 * n);
		CHECK_EQ(REG(DS), 0);
		CHECK_EQ(REG(GS), 0);
		CHECK_EQ(REG(RFLAGS) & 0x20000, 0);
		leave();
	}
}

/* 64-bit mode */

GUEST(iretq, 64,
    "	pushq	%rax\n"
    "	pushq	%rbx\n"
    "	pushq	$0x202\n"
    "	pushq	%rcx\n"
    "	pushq	%rdx\n"
    "	iretq\n"
    "	.org	iretq + 0x100\n"
    "	int	$0x30\n"
    "	.org	iretq + 0x200\n"
    "	syscall\n"
    "	.org	iretq + 0x300\n"
    "	popq	%rax\n"				/* an IRET that faults, inside an NMI */
    "	iretq\n");

static void
iretq_to(uint64_t ss, uint64_t rsp, uint64_t cs, uint64_t rip)
{
	mode64();
	LOAD(iretq);
	set(g.vcpu, VM_AMD64_REG_RAX, ss);
	set(g.vcpu, VM_AMD64_REG_RBX, rsp);
	set(g.vcpu, VM_AMD64_REG_RCX, cs);
	set(g.vcpu, VM_AMD64_REG_RDX, rip);
	run();
}

static void
iretq_fails(uint64_t ss, uint64_t cs, uint64_t rip, uint64_t error)
{
	iretq_to(ss, STACK3, cs, rip);
	CHECK_EQ(frame64(0), 13);
	CHECK_EQ(frame64(1), error);
	CHECK_EQ(frame64(2), CODE + 9);
	CHECK_EQ(frame64(3), LONG0);
	leave();
}

TEST(iretq_to_every_kind_of_code)
{
	/* 64-bit level 3; the interrupt from there pushes on the TSS' stack. */
	iretq_to(D3, STACK3 + 5, LONG3, CODE + 0x100);
	CHECK_EQ(frame64(0), 0x30);
	CHECK_EQ(frame64(1), CODE + 0x102);
	CHECK_EQ(frame64(2), LONG3);
	CHECK_EQ(frame64(4), STACK3 + 5);
	CHECK_EQ(frame64(5), D3);
	CHECK_EQ(REG(RSP), INNER - 48);
	CHECK_EQ(REG(SS), 0);
	leave();
	/* Compatibility mode */
	iretq_to(D3, STACK3, C3, CODE + 0x100);
	CHECK_EQ(frame64(0), 0x30);
	CHECK_EQ(frame64(2), C3);
	leave();
	/* The same level, with a null stack segment; the frame is aligned. */
	iretq_to(0, STACK3 + 5, LONG0, CODE + 0x100);
	CHECK_EQ(frame64(0), 0x30);
	CHECK_EQ(frame64(4), STACK3 + 5);
	CHECK_EQ(frame64(5), 0);
	CHECK_EQ(REG(RSP), STACK3 - 48);
	leave();

	iretq_fails(3, LONG3, CODE, 0);			/* level 3 has a stack segment */
	iretq_fails(0, C0, CODE, 0);			/* compatibility mode has one, too */
	iretq_fails(1, LONG0, CODE, 0);
	iretq_fails(D0, LONG3, CODE, D0);
	iretq_fails(D3, LONG3, 1ULL << 47, 0);
	iretq_fails(D3, LONG3 & ~3, CODE, LONG3 & ~3);
}

TEST(syscall_and_interrupt_stack_table)
{
	mode64();
	LOAD(iretq);
	idt64(0x30, CODE + 0x200, 0xee, 2);
	poke(&g, TSS_A + 0x24 + 8, STACKB + 8, 8);
	set(g.vcpu, VM_AMD64_REG_RIP, CODE + 0x100);
	set(g.vcpu, VM_AMD64_REG_STAR, (uint64_t)D0 << 48 | (uint64_t)LONG0 << 32);
	set(g.vcpu, VM_AMD64_REG_LSTAR, STUBS + 16 * 0x31);
	set(g.vcpu, VM_AMD64_REG_SFMASK, 0x4000);
	set(g.vcpu, VM_AMD64_REG_RFLAGS, 0x4002);
	run();
	CHECK_EQ(frame64(0), 0x31);
	CHECK_EQ(frame64(1), CODE + 0x102);
	CHECK_EQ(frame64(4), STACK0);
	CHECK_EQ(REG(RSP), STACKB - 48);
	CHECK_EQ(REG(RCX), CODE + 0x202);
	CHECK_EQ(REG(R11), 2);
	CHECK_EQ(REG(CS), LONG0);
	CHECK_EQ(REG(SS), LONG0 + 8);
	leave();
}

/* SDM vol. 3 6.7.1: the next NMI may come as soon as IRET was tried. */
TEST(iret_that_faults_ends_the_blocking_of_nmis)
{
	mode64();
	LOAD(iretq);
	idt64(2, CODE + 0x300, 0x8e, 0);
	set(g.vcpu, VM_AMD64_REG_RIP, CODE + 0x100);
	CHECK_EQ(vm_amd64_inject_nmi(g.vcpu), 0);
	idt64(13, STUBS + 16 * 13, 0x8e, 1);
	poke(&g, TSS_A + 0x24, STACKB, 8);
	run();
	/* IRET found the code selector as address and the flags as selector. */
	CHECK_EQ(frame64(0), 13);
	CHECK_EQ(frame64(2), CODE + 0x301);
	CHECK_EQ(vm_amd64_inject_nmi(g.vcpu), 0);
	idt64(2, STUBS + 16 * 2, 0x8e, 2);
	poke(&g, TSS_A + 0x2c, STACKB, 8);
	run();
	CHECK_EQ(frame64(0), 2);
	leave();
}

/*
 * Tables where nobody is: every read comes out and is answered, and the instruction or the delivery
 * goes on as if it had been memory.
 */
#define	NOWHERE	0xd0000000U

static unsigned
run_answering(void)
{
	unsigned reads = 0;

	for (;;) {
		CHECKF(vm_run(g.vcpu, &g.ex) == 0, "%s", vm_errmsg());
		if (g.ex.code != VM_EXIT_MMIO)
			break;
		CHECK(!g.ex.u.mmio.write && g.ex.u.mmio.gpa >= NOWHERE);
		CHECKF(++reads < 100, "the same read again and again");
		CHECK_EQ(vm_exit_reply(g.vcpu, peek(&g, g.ex.u.mmio.gpa - NOWHERE, g.ex.u.mmio.size)), 0);
	}
	CHECK_EQ(g.ex.code, VM_EXIT_IO);
	return (reads);
}

GUEST(undefined, 32,
    "	ud2\n");

TEST(tables_may_be_where_nobody_is)
{
	mode32();
	LOAD(ring3);
	poke(&g, GDT + CGATE, gate(C0, CODE + 0x100, 0xec, 2), 8);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_GDTR, NOWHERE + GDT, GDT_END - 1, 0), 0);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_IDTR, NOWHERE + IDT, 0x3ff, 0), 0);
	CHECK(run_answering() > 10);
	CHECK_EQ(frame(0), 0x30);
	CHECK_EQ(REG(RCX), 0x2222);
	CHECK_EQ(REG(RSI), STACK3);
	CHECK_EQ(REG(RSP), INNER - 24);
	leave();

	mode32();
	LOAD(undefined);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_GDTR, NOWHERE + GDT, GDT_END - 1, 0), 0);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_IDTR, NOWHERE + IDT, 0x3ff, 0), 0);
	CHECK_EQ(run_answering(), 2);
	CHECK_EQ(frame(0), 6);
	CHECK_EQ(frame(1), CODE);
	CHECK_EQ(frame(3), 0x10002);
	leave();
}

#else

TEST(soft_amd64_segev)
{
	SKIP("amd64 guests need an amd64 host");
}

#endif

TEST_MAIN()
