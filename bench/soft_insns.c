/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_insns.c - loops for the software amd64 processor, and repeated string instructions.
 *
 * Each runs until it writes to a port that nobody claims.  The host's compiler assembles them.
 */
#include <vmmapi/amd64.h>

#include "insns.h"

#ifdef __x86_64__

#define	CODE	0x10000
#define	STACK	0x9000
#define	PML4	0x2000			/* and PDPT, PD behind it */

/* Code at address CODE; RSI is 1 MiB, RDI 2 MiB. */
#define	LOOP(name, text)							\
	extern const uint8_t loop_##name[], loop_##name##_end[];		\
	__asm__(".pushsection .rodata\nloop_" #name ":\n" text			\
	    "\n	outb %al, $0xf4\nloop_" #name "_end:\n\t.popsection")

LOOP(alu,
    "	movl	$2000000, %ecx\n"
    "1:	addq	%rax, %rbx\n"
    "	xorl	%ebx, %edx\n"
    "	leaq	3(%rdx,%rax,2), %rax\n"
    "	andl	$0xffffff, %edx\n"
    "	subq	%rdx, %r8\n"
    "	movq	%r8, %r9\n"
    "	orq	%r9, %r10\n"
    "	cmpq	%r10, %r8\n"
    "	decl	%ecx\n"
    "	jnz	1b");

LOOP(shift,
    "	movl	$2000000, %ecx\n"
    "	movl	$-1, %eax\n"
    "1:	movl	%eax, %edx\n"
    "	shrl	$1, %eax\n"
    "	sall	$3, %edx\n"
    "	movzbl	%dl, %ebx\n"
    "	rorl	$7, %eax\n"
    "	xorl	%edx, %eax\n"
    "	imulq	%rax, %rbx\n"
    "	decl	%ecx\n"
    "	jnz	1b");

LOOP(memory,
    "	movl	$2000000, %ecx\n"
    "1:	movq	(%rsi), %rax\n"
    "	addq	8(%rsi), %rax\n"
    "	movq	%rax, 16(%rsi)\n"
    "	movzbl	(%rsi,%rcx), %edx\n"
    "	addl	%edx, 24(%rsi)\n"
    "	cmpl	$5, 32(%rsi)\n"
    "	movl	%edx, -8(%rdi,%rcx,8)\n"
    "	decl	%ecx\n"
    "	jnz	1b");

LOOP(branch,
    "	movl	$2000000, %ecx\n"
    "	movl	$1, %eax\n"
    "1:	imull	$1103515245, %eax, %eax\n"
    "	addl	$12345, %eax\n"
    "	testl	$0x10000, %eax\n"
    "	jz	2f\n"
    "	incl	%edx\n"
    "	jmp	3f\n"
    "2:	incl	%ebx\n"
    "3:	testl	$0x60000, %eax\n"
    "	jne	4f\n"
    "	addl	%edx, %ebx\n"
    "4:	decl	%ecx\n"
    "	jnz	1b");

/* Fibonacci numbers by recursion */
LOOP(call,
    "	movl	$27, %edi\n"
    "	call	1f\n"
    "	jmp	3f\n"
    "1:	pushq	%rbx\n"
    "	movl	%edi, %ebx\n"
    "	cmpl	$2, %edi\n"
    "	jb	2f\n"
    "	leal	-1(%rbx), %edi\n"
    "	call	1b\n"
    "	leal	-2(%rbx), %edi\n"
    "	pushq	%rax\n"
    "	call	1b\n"
    "	popq	%rdx\n"
    "	addl	%edx, %eax\n"
    "	popq	%rbx\n"
    "	ret\n"
    "2:	movl	%edi, %eax\n"
    "	popq	%rbx\n"
    "	ret\n"
    "3:");

/* The sieve of Eratosthenes over 1 MiB */
LOOP(sieve,
    "	movl	$0x100000, %ecx\n"
    "	movq	%rsi, %rdi\n"
    "	movl	$1, %eax\n"
    "	rep stosb\n"
    "	movl	$2, %ebx\n"
    "1:	cmpb	$0, (%rsi,%rbx)\n"
    "	je	3f\n"
    "	movl	%ebx, %edx\n"
    "	addl	%ebx, %edx\n"
    "	cmpl	$0x100000, %edx\n"
    "	jae	3f\n"
    "2:	movb	$0, (%rsi,%rdx)\n"
    "	addl	%ebx, %edx\n"
    "	cmpl	$0x100000, %edx\n"
    "	jb	2b\n"
    "3:	incl	%ebx\n"
    "	cmpl	$0x100000, %ebx\n"
    "	jb	1b");

/* CRC-32 of 256 KiB, bit by bit */
LOOP(crc,
    "	movl	$0x40000, %ecx\n"
    "	movl	$-1, %eax\n"
    "1:	movzbl	(%rsi), %edx\n"
    "	incq	%rsi\n"
    "	xorl	%edx, %eax\n"
    "	movl	$8, %ebx\n"
    "2:	movl	%eax, %edx\n"
    "	shrl	$1, %eax\n"
    "	andl	$1, %edx\n"
    "	negl	%edx\n"
    "	andl	$0xedb88320, %edx\n"
    "	xorl	%edx, %eax\n"
    "	decl	%ebx\n"
    "	jnz	2b\n"
    "	decl	%ecx\n"
    "	jnz	1b");

/* Sorting 2000 numbers by exchange */
LOOP(sort,
    "	movl	$2000, %ecx\n"
    "	movl	$1, %eax\n"
    "1:	imull	$1103515245, %eax, %eax\n"
    "	addl	$12345, %eax\n"
    "	movl	%eax, -4(%rsi,%rcx,4)\n"
    "	decl	%ecx\n"
    "	jnz	1b\n"
    "	movl	$1999, %ecx\n"
    "2:	xorl	%ebx, %ebx\n"
    "3:	movl	(%rsi,%rbx,4), %eax\n"
    "	movl	4(%rsi,%rbx,4), %edx\n"
    "	cmpl	%edx, %eax\n"
    "	jbe	4f\n"
    "	movl	%edx, (%rsi,%rbx,4)\n"
    "	movl	%eax, 4(%rsi,%rbx,4)\n"
    "4:	incl	%ebx\n"
    "	cmpl	%ecx, %ebx\n"
    "	jb	3b\n"
    "	decl	%ecx\n"
    "	jnz	2b");

LOOP(lock,
    "	movl	$1000000, %ecx\n"
    "1:	lock incl (%rsi)\n"
    "	lock xaddq %rax, 8(%rsi)\n"
    "	movl	$1, %edx\n"
    "	xchgl	%edx, 16(%rsi)\n"
    "	movl	%edx, %eax\n"
    "	lock cmpxchgl %ebx, 16(%rsi)\n"
    "	decl	%ecx\n"
    "	jnz	1b");

/* 64 MiB and more of each */
LOOP(movsb_4096,
    "	movl	$16384, %ebx\n"
    "1:	movl	$4096, %ecx\n"
    "	movl	$0x100010, %esi\n"
    "	movl	$0x200020, %edi\n"
    "	rep movsb\n"
    "	decl	%ebx\n"
    "	jnz	1b");
LOOP(movsq_1m,
    "	movl	$256, %ebx\n"
    "1:	movl	$0x20000, %ecx\n"
    "	movl	$0x100000, %esi\n"
    "	movl	$0x1000000, %edi\n"
    "	rep movsq\n"
    "	decl	%ebx\n"
    "	jnz	1b");
LOOP(movsb_64,
    "	movl	$1000000, %ebx\n"
    "1:	movl	$64, %ecx\n"
    "	movl	$0x100010, %esi\n"
    "	movl	$0x200020, %edi\n"
    "	rep movsb\n"
    "	decl	%ebx\n"
    "	jnz	1b");
LOOP(stosq_4096,
    "	movl	$16384, %ebx\n"
    "1:	movl	$512, %ecx\n"
    "	movl	$0x200000, %edi\n"
    "	rep stosq\n"
    "	decl	%ebx\n"
    "	jnz	1b");
LOOP(scasb_4096,
    "	movl	$16384, %ebx\n"
    "	movl	$1, %eax\n"
    "1:	movl	$4096, %ecx\n"
    "	movl	$0x300000, %edi\n"
    "	repne scasb\n"
    "	decl	%ebx\n"
    "	jnz	1b");

static const struct loop loops[] = {
#define	ENTRY(name, bytes)	{ #name, loop_##name, loop_##name##_end, bytes }
	ENTRY(alu, 0), ENTRY(shift, 0), ENTRY(memory, 0), ENTRY(branch, 0), ENTRY(call, 0), ENTRY(sieve, 0),
	ENTRY(crc, 0), ENTRY(sort, 0), ENTRY(lock, 0),
	ENTRY(movsb_64, 64000000), ENTRY(movsb_4096, 64 << 20), ENTRY(movsq_1m, 256 << 20),
	ENTRY(stosq_4096, 64 << 20), ENTRY(scasb_4096, 64 << 20),
};

/* 64-bit mode, 1 GiB mapped to itself by large pages. */
static void
long_mode(struct vmctx *vm, struct vcpu *vcpu)
{
	static const int segs[] = { VM_AMD64_REG_DS, VM_AMD64_REG_ES, VM_AMD64_REG_SS, VM_AMD64_REG_FS,
	    VM_AMD64_REG_GS };
	const uint64_t pml4 = (PML4 + 0x1000) | 3, pdpt = (PML4 + 0x2000) | 3;
	uint64_t pd[512];

	for (uint64_t i = 0; i < 512; i++)
		pd[i] = i << 21 | 0x83;
	need(vm_gpa_write(vm, PML4, &pml4, 8) == 0 && vm_gpa_write(vm, PML4 + 0x1000, &pdpt, 8) == 0 &&
	    vm_gpa_write(vm, PML4 + 0x2000, pd, sizeof(pd)) == 0, "tables");
	need(vm_set_desc(vcpu, VM_AMD64_REG_CS, 0, 0xffffffff, 0xa09b) == 0, "cs");
	for (size_t i = 0; i < sizeof(segs) / sizeof(segs[0]); i++)
		need(vm_set_desc(vcpu, segs[i], 0, 0xffffffff, 0xc093) == 0, "segment");
	set(vcpu, VM_AMD64_REG_CR3, PML4);
	set(vcpu, VM_AMD64_REG_CR4, 0x20);
	set(vcpu, VM_AMD64_REG_EFER, 0x500);
	set(vcpu, VM_AMD64_REG_CR0, 0x80000011);
	set(vcpu, VM_AMD64_REG_RSP, STACK);
	set(vcpu, VM_AMD64_REG_RSI, 0x100000);
	set(vcpu, VM_AMD64_REG_RDI, 0x200000);
	set(vcpu, VM_AMD64_REG_RIP, CODE);
}

static bool
at_end(const struct vm_exit *ex)
{
	return (ex->code == VM_EXIT_IO);
}

const struct insns insns = {
	.program = "soft_insns",
	.arch = VM_ARCH_AMD64,
	.at = CODE,
	.loops = loops,
	.nloops = sizeof(loops) / sizeof(loops[0]),
	.ready = long_mode,
	.at_end = at_end,
};

#else

const struct insns insns = { .program = "soft_insns" };

#endif
