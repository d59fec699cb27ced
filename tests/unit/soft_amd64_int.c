/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_int.c - integer instructions of the software amd64 CPU where a comparison of single
 * instructions with the host does not reach: 16-bit code, wrap-around and limits, restarts after
 * page faults, LOCK across lines and pages.  String instructions are in soft_amd64_string.c.
 */
#include <pthread.h>

#include "soft_amd64_guest.h"

#ifdef __x86_64__

/* 16-bit code */

GUEST(wrap16_code, 16,
    "	movw	$0xfff0, %sp\n"
    "	movl	$0x12345678, %eax\n"
    "	movl	%eax, %ebx\n"
    "	incw	%ax\n"				/* the upper half stays */
    "	movl	$0xabcd0002, %ecx\n"
    "1:	incw	%dx\n"
    "	loop	1b\n"				/* CX, not ECX */
    "	movl	$0x00010000, %ecx\n"
    "	jcxz	2f\n"
    FINISH
    "2:	movl	$3, %ecx\n"
    "3:	incw	%di\n"
    "	.byte	0x67\n"
    "	loop	3b\n"				/* ECX */
    "	movw	$0x8001, %si\n"			/* [BX+SI] wraps: 0xffff + 0x8001 */
    "	movw	$0xffff, %bx\n"
    "	movw	%sp, (%bx,%si)\n"
    "	leal	(%bx,%si), %ebp\n"		/* 16-bit address, zero-extended */
    "	calll	4f\n"
    FINISH
    "4:	popl	%ebx\n"
    "	pushl	%ebx\n"
    "	retl\n");

TEST(sixteen_bit_code_wraps_and_keeps_upper_halves)
{
	struct guest g;

	OPEN(&g, wrap16_code);
	mode16(&g);
	SET(&g, RDX, 0);
	SET(&g, RDI, 0);
	finish(&g);
	CHECK_EQ(GET(&g, RAX), 0x12345679);
	CHECK_EQ(GET(&g, RDX) & 0xffff, 2);
	CHECK_EQ(GET(&g, RDI) & 0xffff, 3);
	CHECK_EQ(GET(&g, RCX), 0);
	CHECK_EQ(peek(&g, 0x8000, 2), 0xfff0);
	CHECK_EQ(GET(&g, RBP), 0x8000);
	CHECK(GET(&g, RBX) < 0x100);
	CHECK_EQ(GET(&g, RSP), 0xfff0);
}

/* Addresses of 16 and of 32 bits, overrides and operands of both sizes in 16-bit code. */
GUEST(address16_code, 16,
    "	movl	$0x8000, %esp\n"
    "	movl	$0x11223344, 0x8000\n"
    "	popl	4(%esp)\n"			/* at ESP + 4 behind the pop */
    "	movw	$0xfff0, %bx\n"
    "	movb	$0x20, %al\n"
    "	movb	$0x77, 0x10\n"
    "	xlatb\n"				/* at 0x10010, cut to 0x10 */
    "	movb	%al, %cl\n"
    "	movw	$0x0800, %bx\n"
    "	movw	$0x8000, %ax\n"
    "	btsw	%ax, (%bx)\n"			/* 4096 bytes below, which wraps */
    "	movw	$2f - address16_code, %si\n"
    "	lodsb	%cs:(%si)\n"
    "	movb	%al, %ch\n"
    "	movb	$0x5a, %fs:0x40\n"
    "	movw	$0x40, %si\n"
    "	movw	$0x50, %di\n"
    "	movsb	%fs:(%si), %es:(%di)\n"
    "	pushw	$1\n"
    "	pushw	$2\n"
    "	call	3f\n"
    "	movw	%sp, %dx\n"
    "	imull	$-3, %ecx, %ebp\n"
    "	movw	$0x4000, %bx\n"
    "	pushl	$-2\n"
    "	popl	(%bx)\n"
    FINISH
    "2:	.byte	0x99\n"
    "3:	ret	$4\n");

TEST(addresses_in_sixteen_bit_code)
{
	struct guest g;

	OPEN(&g, address16_code);
	mode16(&g);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_FS, 0x30000, 0xffff, 0x93), 0);
	SET(&g, RCX, 0);
	SET(&g, RBX, 0);
	finish(&g);
	CHECK_EQ(peek(&g, 0x8008, 4), 0x11223344);
	CHECK_EQ(GET(&g, RCX), 0x9977);
	CHECK_EQ(peek(&g, 0xf800, 2), 1);
	CHECK_EQ(peek(&g, 0x30040, 1), 0x5a);
	CHECK_EQ(peek(&g, 0x50, 1), 0x5a);
	CHECK_EQ(GET(&g, RDX) & 0xffff, 0x8004);
	CHECK_EQ(GET(&g, RBP), (uint32_t)(-3 * 0x9977));
	CHECK_EQ(peek(&g, 0x4000, 4), 0xfffffffe);
	CHECK_EQ(GET(&g, RSP), 0x8004);
}

/* A near branch with a 16-bit operand cuts the target; with a 32-bit one it faults. */
GUEST(jump16_code, 16,
    "	jmp	1f\n"
    "	.org	jump16_code + 0x100\n"
    "1:	movl	$0x10200, %eax\n"
    "	jmp	*%ax\n"
    "	.org	jump16_code + 0x200\n"
    "	movw	%sp, %si\n"
    "	movl	$0x10300, %eax\n"
    "	movb	$1, %cl\n"
    "	calll	*%eax\n"
    FINISH
    "	.org	jump16_code + 0x300\n"
    FINISH
    "	.org	jump16_code + 0x400\n"
    "	movw	%sp, %bp\n"			/* IP, CS, FLAGS */
    "	movw	(%bp), %di\n"
    "	movb	$2, %cl\n"
    FINISH);

TEST(near_targets_are_cut_or_refused)
{
	struct guest g;

	OPEN(&g, jump16_code);
	mode16(&g);
	gate16(&g, 13, 0x400);
	SET(&g, RCX, 0);
	finish(&g);
	CHECK_EQ(GET(&g, RCX), 2);
	CHECK_EQ(GET(&g, RSI), STACK);
	CHECK_EQ(GET(&g, RBP) & 0xffff, STACK - 6);		/* nothing was pushed by CALL */
	CHECK_EQ(GET(&g, RDI) & 0xffff, 0x20a);
}

GUEST(pusha16_code, 16,
    "	movw	$7, %sp\n"
    "	pushaw\n"
    FINISH
    "	.org	pusha16_code + 0x100\n"
    "	movw	%sp, %bx\n"
    "	movw	$0x9000, %sp\n"
    "	movw	$0x1111, %ax\n"
    "	movw	$0x8888, %di\n"
    "	pushaw\n"
    "	movw	%sp, %si\n"
    "	xorw	%ax, %ax\n"
    "	movw	%ax, %di\n"
    "	popaw\n"
    FINISH);

TEST(pusha_in_real_mode)
{
	struct guest g;

	OPEN(&g, pusha16_code);
	mode16(&g);
	gate16(&g, 13, 0x100);
	SET(&g, RAX, 0x77770000);
	SET(&g, RSI, 0x2222);
	finish(&g);
	CHECK_EQ(GET(&g, RBX) & 0xffff, 1);		/* the handler's frame */
	CHECK_EQ(GET(&g, RAX), 0x77771111);
	CHECK_EQ(GET(&g, RDI) & 0xffff, 0x8888);
	CHECK_EQ(GET(&g, RSI) & 0xffff, 0x2222);
	CHECK_EQ(GET(&g, RSP) & 0xffff, 0x9000);
	CHECK_EQ(peek(&g, 0x9000 - 2, 2), 0x1111);
	CHECK_EQ(peek(&g, 0x9000 - 10, 2), 0x9000);	/* SP before */
	CHECK_EQ(peek(&g, 0x9000 - 16, 2), 0x8888);
}

GUEST(enter16_code, 16,
    "	movl	$0x55558000, %ebp\n"
    "	movw	$0x1111, -2(%bp)\n"
    "	movw	$0x2222, -4(%bp)\n"
    "	enter	$0x10, $3\n"
    "	movw	%sp, %si\n"
    "	movl	%ebp, %edi\n"
    "	leave\n"
    FINISH);

TEST(enter_copies_outer_frames)
{
	struct guest g;

	OPEN(&g, enter16_code);
	mode16(&g);
	finish(&g);
	CHECK_EQ(peek(&g, STACK - 2, 2), 0x8000);
	CHECK_EQ(peek(&g, STACK - 4, 2), 0x1111);
	CHECK_EQ(peek(&g, STACK - 6, 2), 0x2222);
	CHECK_EQ(peek(&g, STACK - 8, 2), STACK - 2);
	CHECK_EQ(GET(&g, RDI), 0x55550000 + STACK - 2);
	CHECK_EQ(GET(&g, RSI) & 0xffff, STACK - 8 - 0x10);
	CHECK_EQ(GET(&g, RSP) & 0xffff, STACK);
	CHECK_EQ(GET(&g, RBP), 0x55558000);
}

/* Restarts after page faults */

/*
 * The stack of level 0 is where the fault is delivered to, so the code with the missing stack pages
 * runs at level 3 with a stack of its own.
 */
GUEST(pf_stack_code, 32,
    "	movl	$0x41010, %esp\n"
    "	movl	$0x1111, %eax\n"
    "	movl	$0x2222, %ecx\n"
    "	movl	$0x8888, %edi\n"
    "	pushal\n"				/* 16 bytes above the missing page */
    "	movl	%esp, 0x21000\n"
    "	movl	$0x45008, %esp\n"
    "	movl	$0x4a000, %ebp\n"
    "	enter	$0x2000, $3\n"			/* pushes across a boundary, then a probe */
    "	movl	%esp, 0x21004\n"
    "	movl	%ebp, 0x21008\n"
    "	movl	$0x4affe, %esp\n"
    "	popl	%edx\n"				/* across into a missing page */
    "	movl	%esp, 0x2100c\n"
    "	int	$0x80\n"
    "	.org	pf_stack_code + 0x200\n"
    PF32
    "	.org	pf_stack_code + 0x300\n"
    FINISH);

TEST(pusha_enter_and_pop_restart_after_page_faults)
{
	static const uint32_t missing[] = { 0x40000, 0x44000, 0x42000, 0x4b000 };
	struct guest g;

	OPEN(&g, pf_stack_code);
	paging32(&g);
	/* User code and data, a TSS for the stack of level 0. */
	poke(&g, 0x800 + 0x20, 0x00cffb000000ffffULL, 8);
	poke(&g, 0x800 + 0x28, 0x00cff3000000ffffULL, 8);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_GDTR, 0x800, 0x2f, 0), 0);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_TR, 0x6000, 0x67, 0x8b), 0);
	poke(&g, 0x6004, STACK, 4);
	poke(&g, 0x6008, 0x10, 4);
	segments(g.vcpu, 0x23, 0, 0xffffffff, 0xc0fb, 0x2b, 0xffffffff, 0xc0f3);
	gate32(&g, 14, 0x200);
	gate32(&g, 0x80, 0x300);
	g.mem[IDT + 8 * 0x80 + 5] = 0xee;
	for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
		poke(&g, PTE32(missing[i]), missing[i] | 6, 4);
	poke(&g, 0x49ffc, 0xaaaa, 4);
	poke(&g, 0x49ff8, 0xbbbb, 4);
	poke(&g, 0x4affe, 0x44332211, 4);
	finish(&g);
	CHECK_EQ(peek(&g, 0x21ff0, 4), 4 * 16);
	CHECK_EQ(peek(&g, 0x22000, 4), 0x40ffc);
	CHECK_EQ(peek(&g, 0x22004, 4), STACK - 6 * 4);	/* the frame of a fault from level 3 */
	CHECK_EQ(peek(&g, 0x22008, 4), 0x2222);
	CHECK_EQ(peek(&g, 0x21000, 4), 0x41010 - 32);
	CHECK_EQ(peek(&g, 0x4100c, 4), 0x1111);
	CHECK_EQ(peek(&g, 0x40ff0, 4), 0x8888);
	CHECK_EQ(peek(&g, 0x22010, 4), 0x44ffc);
	CHECK_EQ(peek(&g, 0x22020, 4) & ~0xfffU, 0x42000);
	CHECK_EQ(peek(&g, 0x45004, 4), 0x4a000);
	CHECK_EQ(peek(&g, 0x45000, 4), 0xaaaa);
	CHECK_EQ(peek(&g, 0x44ffc, 4), 0xbbbb);
	CHECK_EQ(peek(&g, 0x44ff8, 4), 0x45004);
	CHECK_EQ(peek(&g, 0x21004, 4), 0x44ff8 - 0x2000);
	CHECK_EQ(peek(&g, 0x21008, 4), 0x45004);
	CHECK_EQ(peek(&g, 0x22030, 4), 0x4b000);
	CHECK_EQ(GET(&g, RDX), 0x44332211);
	CHECK_EQ(peek(&g, 0x2100c, 4), 0x4b002);
}

/* CMOVcc reads memory although the condition is false; a write to read-only memory faults as such. */
GUEST(pf_cmov_code, 64,
    "	movl	$-1, %eax\n"
    "	orq	%rax, %rax\n"
    "	movq	$-1, %rax\n"
    "	cmovz	0x40000, %eax\n"
    FINISH
    "	.org	pf_cmov_code + 0x100\n"
    "	popq	%rbx\n"
    "	movq	%cr2, %rcx\n"
    "	orq	$1, 0x5000 + 8 * 0x40\n"
    "	invlpg	0x40000\n"
    "	iretq\n");

TEST(a_conditional_move_reads_in_any_case)
{
	struct guest g;

	OPEN(&g, pf_cmov_code);
	mode64(&g, g.vcpu);
	gate64(&g, 14, 0x100);
	poke(&g, PTE64(0x40000), 0x40000 | 6, 8);
	finish(&g);
	CHECK_EQ(GET(&g, RCX), 0x40000);
	CHECK_EQ(GET(&g, RBX), 0);
	CHECK_EQ(GET(&g, RAX), 0xffffffff);
}

/* Branches to where there is no code leave everything as it was. */
GUEST(canonical_code, 64,
    "	movq	%rsp, %r8\n"
    "	movabsq	$0x800000000000, %rax\n"
    "	call	*%rax\n"
    "	.org	canonical_code + 0x40\n"
    "	pushq	%rax\n"
    "	movq	%rsp, %r9\n"
    "	ret\n"
    "	.org	canonical_code + 0x80\n"
    FINISH
    "	.org	canonical_code + 0x100\n"
    "	popq	%rbx\n"
    "	movq	24(%rsp), %rdx\n"
    "	movq	%rdx, 0x20000(,%rcx,8)\n"
    "	movq	(%rsp), %rdx\n"
    "	movq	%rdx, 0x20010(,%rcx,8)\n"
    "	incl	%ecx\n"
    "	movq	%rcx, %rdx\n"
    "	shlq	$6, %rdx\n"
    "	addq	$0x10000, %rdx\n"
    "	movq	%rdx, (%rsp)\n"
    "	iretq\n");

TEST(non_canonical_targets_fault_before_anything_changes)
{
	struct guest g;

	OPEN(&g, canonical_code);
	mode64(&g, g.vcpu);
	gate64(&g, 13, 0x100);
	SET(&g, RCX, 0);
	finish(&g);
	CHECK_EQ(GET(&g, RCX), 2);
	CHECK_EQ(peek(&g, 0x20000, 8), GET(&g, R8));
	CHECK_EQ(peek(&g, 0x20010, 8), CODE + 13);
	CHECK_EQ(peek(&g, 0x20008, 8), GET(&g, R9));
	CHECK_EQ(peek(&g, 0x20018, 8), CODE + 0x44);
}

/* LOCK */

#define	TURNS	20000

GUEST(lock_code, 64,
    "	movl	$20000, %ecx\n"
    "	movl	$0x20003e, %esi\n"		/* across a line */
    "	movl	$0x201ffd, %edi\n"		/* across a page */
    "	movl	$0x204000, %ebp\n"
    "1:	lock incl (%rsi)\n"
    "	lock addq $3, (%rdi)\n"
    "	movl	$5, %edx\n"
    "	lock xaddl %edx, 0x103e(%rbp)\n"
    "	lock decw (%rbp)\n"
    "	lock xorb $1, 2(%rbp)\n"
    "2:	movl	8(%rbp), %eax\n"
    "	leal	1(%rax), %edx\n"
    "	lock cmpxchgl %edx, 8(%rbp)\n"
    "	jne	2b\n"
    "	movl	0x7e(%rbp), %eax\n"
    "	movl	0x82(%rbp), %edx\n"
    "3:	movl	%eax, %ebx\n"
    "	pushq	%rcx\n"
    "	movl	%edx, %ecx\n"
    "	addl	$1, %ebx\n"
    "	adcl	$0, %ecx\n"
    "	lock cmpxchg8b 0x7e(%rbp)\n"
    "	popq	%rcx\n"
    "	jne	3b\n"
    /* a lock by bit and one by exchange, each around a counter that is not locked */
    "4:	lock btsl $3, 0x200(%rbp)\n"
    "	jc	4b\n"
    "	incl	0x204(%rbp)\n"
    "	lock btrl $3, 0x200(%rbp)\n"
    "5:	movl	$1, %eax\n"
    "	xchgl	%eax, 0x23e(%rbp)\n"
    "	testl	%eax, %eax\n"
    "	jnz	5b\n"
    "	incl	0x248(%rbp)\n"
    "	movl	%eax, 0x23e(%rbp)\n"
    "	decl	%ecx\n"
    "	jnz	1b\n"
    FINISH);

static void *
run_one(void *arg)
{
	struct vm_exit ex;

	CHECKF(vm_run(arg, &ex) == 0, "%s", vm_errmsg());
	CHECK_EQ(ex.code, VM_EXIT_IO);
	return (NULL);
}

TEST(locked_instructions_are_atomic_across_lines_and_pages)
{
	struct guest g;
	struct vcpu *other;
	pthread_t t;

	OPEN(&g, lock_code);
	other = vm_vcpu_open(g.vm, 1);
	CHECK(other != NULL);
	mode64(&g, g.vcpu);
	mode64(&g, other);
	set(other, VM_AMD64_REG_RSP, STACK - 0x800);
	set(other, VM_AMD64_REG_RUN_STATE, VM_AMD64_RUNNING);
	CHECK_EQ(pthread_create(&t, NULL, run_one, other), 0);
	run_one(g.vcpu);
	pthread_join(t, NULL);
	CHECK_EQ(peek(&g, 0x20003e, 4), 2 * TURNS);
	CHECK_EQ(peek(&g, 0x201ffd, 8), 6 * TURNS);
	CHECK_EQ(peek(&g, 0x20503e, 4), 10 * TURNS);
	CHECK_EQ(peek(&g, 0x204000, 2), (uint16_t)(-2 * TURNS));
	CHECK_EQ(peek(&g, 0x204002, 1), 0);
	CHECK_EQ(peek(&g, 0x204008, 4), 2 * TURNS);
	CHECK_EQ(peek(&g, 0x20407e, 8), 2 * TURNS);
	CHECK_EQ(peek(&g, 0x204204, 4), 2 * TURNS);
	CHECK_EQ(peek(&g, 0x204248, 4), 2 * TURNS);
}

/* A bit string reaches in both directions and over page ends, with and without LOCK. */
GUEST(bits_code, 64,
    "	movl	$0x202000, %esi\n"
    "	movq	$-1, %rax\n"
    "	btsq	%rax, (%rsi)\n"			/* bit 63 of the word before */
    "	setc	%bl\n"
    "	movq	$0x8003, %rax\n"		/* 4 KiB further */
    "	lock btsq %rax, (%rsi)\n"
    "	setc	%cl\n"
    "	movl	$-33, %eax\n"
    "	lock btcl %eax, 8(%rsi)\n"		/* two words before */
    "	movw	$-1, %ax\n"
    "	btsw	%ax, 2(%rsi)\n"			/* the word before, at 0 */
    "	lock btsl $5, 0x20(%rsi)\n"
    "	btl	$37, 0x20(%rsi)\n"		/* an immediate does not reach further */
    "	setc	%dl\n"
    FINISH);

TEST(bit_strings_reach_beyond_the_operand)
{
	struct guest g;

	OPEN(&g, bits_code);
	mode64(&g, g.vcpu);
	poke(&g, 0x203000, 8, 8);
	finish(&g);
	CHECK_EQ(peek(&g, 0x201ff8, 8), 1ULL << 63);
	CHECK_EQ(GET(&g, RBX) & 0xff, 0);
	CHECK_EQ(peek(&g, 0x203000, 8), 8);
	CHECK_EQ(GET(&g, RCX) & 0xff, 1);
	CHECK_EQ(peek(&g, 0x202000, 4), 1U << 31 | 1U << 15);
	CHECK_EQ(GET(&g, RDX) & 0xff, 1);
}

/* Decimal instructions and what 64-bit mode does not have */

GUEST(decimal_code, 32,
    "	movl	$0x1903, %eax\n"		/* AF and no CF: the low digit borrows */
    "	movl	$0x02, %ebx\n"
    "	subb	$0x04, %al\n"			/* FF, CF and AF */
    "	das\n"					/* 99, CF */
    "	movl	%eax, %ecx\n"
    "	movl	$0x1234, %eax\n"
    "	aam\n"
    "	movl	%eax, %edx\n"
    "	aad\n"
    "	movl	%eax, %esi\n"
    "	movl	$0x5f, %eax\n"
    "	addb	$0x0, %al\n"
    "	daa\n"
    "	movl	%eax, %edi\n"
    "	aam	$0\n"
    FINISH
    "	.org	decimal_code + 0x100\n"
    "	movl	$0x99, %ebx\n"
    FINISH);

TEST(decimal_adjustments)
{
	struct guest g;

	OPEN(&g, decimal_code);
	mode32(&g);
	gate32(&g, 0, 0x100);
	finish(&g);
	CHECK_EQ(GET(&g, RCX), 0x1999);
	CHECK_EQ(GET(&g, RDX), 0x502);		/* 0x34 is 52 */
	CHECK_EQ(GET(&g, RSI), 0x34);
	CHECK_EQ(GET(&g, RDI), 0x65);
	CHECK_EQ(GET(&g, RBX), 0x99);
}

GUEST(bound_code, 32,
    "	movl	$-5, 0x20000\n"
    "	movl	$5, 0x20004\n"
    "	movl	$5, %eax\n"
    "	bound	%eax, 0x20000\n"
    "	movl	$-5, %eax\n"
    "	bound	%eax, 0x20000\n"
    "	decl	%eax\n"
    "1:	bound	%eax, 0x20000\n"
    FINISH
    "	.org	bound_code + 0x100\n"
    "	movl	(%esp), %ebx\n"
    FINISH);

TEST(bound_is_a_fault_at_the_instruction)
{
	struct guest g;

	OPEN(&g, bound_code);
	mode32(&g);
	gate32(&g, 5, 0x100);
	SET(&g, RBX, 0);
	finish(&g);
	CHECK_EQ(GET(&g, RBX), CODE + 10 + 10 + 5 + 6 + 5 + 6 + 1);
}

/* DIV: quotients that do not fit fault and leave the registers. */
GUEST(div_code, 64,
    "	movq	$-1, %rdx\n"
    "	xorl	%eax, %eax\n"
    "	movabsq	$0x8000000000000000, %rax\n"
    "	movq	$-1, %rbx\n"
    "	idivq	%rbx\n"				/* 2^63 */
    "	.org	div_code + 0x40\n"
    "	movq	$0x7fffffffffffffff, %rax\n"
    "	movq	$1, %rdx\n"
    "	movq	$1, %rbx\n"
    "	divq	%rbx\n"
    "	.org	div_code + 0x80\n"
    "	movl	$0x8000, %eax\n"
    "	movb	$0xff, %bl\n"
    "	idivb	%bl\n"
    "	.org	div_code + 0xc0\n"
    "	movq	$-1, %rdx\n"
    "	movq	$-100, %rax\n"
    "	movq	$7, %rbx\n"
    "	idivq	%rbx\n"
    "	movq	%rax, %r8\n"
    "	movq	%rdx, %r9\n"
    "	movabsq	$0x4000000000000000, %rdx\n"	/* 2^126 / (2^63 - 1), then by -2^63 */
    "	xorl	%eax, %eax\n"
    "	movabsq	$0x8000000000000000, %rbx\n"
    "	idivq	%rbx\n"				/* -2^63 fits */
    FINISH
    "	.org	div_code + 0x100\n"
    "	incl	%ecx\n"
    "	movq	%rcx, %r10\n"
    "	shlq	$6, %r10\n"
    "	addq	$0x10000, %r10\n"
    "	movq	%r10, (%rsp)\n"
    "	iretq\n");

TEST(divisions_that_do_not_fit_fault)
{
	struct guest g;

	OPEN(&g, div_code);
	mode64(&g, g.vcpu);
	gate64(&g, 0, 0x100);
	SET(&g, RCX, 0);
	finish(&g);
	CHECK_EQ(GET(&g, RCX), 3);
	CHECK_EQ(GET(&g, R8), (uint64_t)-14);
	CHECK_EQ(GET(&g, R9), (uint64_t)-2);
	CHECK_EQ(GET(&g, RAX), 0x8000000000000000);
	CHECK_EQ(GET(&g, RDX), 0);
}

#endif

TEST_MAIN()
