/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * native.c - the host's processor: a program that executes cases in a sandbox.
 *
 * diff starts it with four file descriptors: the shared memory, a page of code and one of
 * read-only data, and two eventfds, one to begin a batch and one to say that it is done.  It is
 * built without sanitizers, so that nothing but the windows is mapped in the low 4 GiB.
 *
 * A case is entered by IRETQ and left by a signal, whose frame has all of the state.  The handler
 * does not return to the case but to the loop here.
 *
 * Sandbox: the code page is mapped executable for the cases and writable for the loop; system calls
 * are limited to reading and writing the two eventfds and ending; no core, no files, no children;
 * it dies with its parent.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/ucontext.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "diff.h"

#define	ALTSTACK	(128U << 10)

void	native_enter(const struct diff_case *c);
void	native_signal(int sig, siginfo_t *info, void *uc);
void	native_caught(int sig, siginfo_t *info, void *uc, uint64_t fs_base, uint64_t gs_base);

/* Used by the assembly below. */
uint64_t native_rsp, native_fs_base;
uint64_t native_base[2];		/* of FS and GS as the signal found them */
uint8_t	native_fsgsbase;		/* 0: the bases go through arch_prctl() */
uint16_t native_seg[4];			/* DS, ES, FS, GS as the signal found them */

static struct diff_result *result;	/* where the running case goes; NULL: none runs */

/*
 * native_enter() loads a case and goes into it; it returns when native_signal() brings it back. The
 * signal comes with the case's flags and segments, which C code could not stand: alignment checks,
 * NT (an IRET would fault), the base of FS.
 */
__asm__(
"	.text\n"
"	.globl	native_enter\n"
"	.type	native_enter, @function\n"
"native_enter:\n"
"	push	%rbx\n"
"	push	%rbp\n"
"	push	%r12\n"
"	push	%r13\n"
"	push	%r14\n"
"	push	%r15\n"
"	mov	%rsp, native_rsp(%rip)\n"
"	fxrstor64 (%rdi)\n"
"	mov	672+6(%rdi), %ds\n"
"	mov	672+0(%rdi), %es\n"
"	mov	672+8(%rdi), %fs\n"
"	mov	672+10(%rdi), %gs\n"
/* arch_prctl() zeroes the selector, so it is for a null one; another has the base of its descriptor, 0. */
"	cmpb	$0, native_fsgsbase(%rip)\n"
"	je	1f\n"
"	mov	656(%rdi), %rax\n"
"	wrfsbase %rax\n"
"	mov	664(%rdi), %rax\n"
"	wrgsbase %rax\n"
"	jmp	3f\n"
"1:	mov	%rdi, %rbx\n"
"	cmpw	$0, 672+8(%rbx)\n"
"	jne	2f\n"
"	mov	656(%rbx), %rsi\n"
"	mov	$0x1002, %edi\n"	/* ARCH_SET_FS */
"	mov	$158, %eax\n"
"	syscall\n"
"2:	cmpw	$0, 672+10(%rbx)\n"
"	mov	%rbx, %rdi\n"
"	jne	3f\n"
"	mov	664(%rbx), %rsi\n"
"	mov	$0x1001, %edi\n"	/* ARCH_SET_GS */
"	mov	$158, %eax\n"
"	syscall\n"
"	mov	%rbx, %rdi\n"
"3:\n"
"	movzwl	672+4(%rdi), %eax\n"
"	push	%rax\n"
"	push	512+32(%rdi)\n"
"	push	648(%rdi)\n"
"	movzwl	672+2(%rdi), %eax\n"
"	push	%rax\n"
"	push	640(%rdi)\n"
"	mov	512+0(%rdi), %rax\n"
"	mov	512+8(%rdi), %rcx\n"
"	mov	512+16(%rdi), %rdx\n"
"	mov	512+24(%rdi), %rbx\n"
"	mov	512+40(%rdi), %rbp\n"
"	mov	512+48(%rdi), %rsi\n"
"	mov	512+64(%rdi), %r8\n"
"	mov	512+72(%rdi), %r9\n"
"	mov	512+80(%rdi), %r10\n"
"	mov	512+88(%rdi), %r11\n"
"	mov	512+96(%rdi), %r12\n"
"	mov	512+104(%rdi), %r13\n"
"	mov	512+112(%rdi), %r14\n"
"	mov	512+120(%rdi), %r15\n"
"	mov	512+56(%rdi), %rdi\n"
"	iretq\n"
"	.size	native_enter, .-native_enter\n"
"	.globl	native_signal\n"
"	.type	native_signal, @function\n"
"native_signal:\n"
"	pushq	$0x202\n"
"	popfq\n"
"	mov	%rdi, %r12\n"
"	mov	%rsi, %r13\n"
"	mov	%rdx, %r14\n"
"	cmpb	$0, native_fsgsbase(%rip)\n"
"	je	1f\n"
"	rdfsbase %rcx\n"
"	rdgsbase %r8\n"
"	mov	%rcx, native_base(%rip)\n"
"	mov	%r8, 8+native_base(%rip)\n"
"	jmp	2f\n"
"1:	mov	$0x1003, %edi\n"	/* ARCH_GET_FS */
"	lea	native_base(%rip), %rsi\n"
"	mov	$158, %eax\n"
"	syscall\n"
"	mov	$0x1004, %edi\n"	/* ARCH_GET_GS */
"	lea	8+native_base(%rip), %rsi\n"
"	mov	$158, %eax\n"
"	syscall\n"
"2:	mov	%ds, native_seg(%rip)\n"
"	mov	%es, 2+native_seg(%rip)\n"
"	mov	%fs, 4+native_seg(%rip)\n"
"	mov	%gs, 6+native_seg(%rip)\n"
"	xor	%eax, %eax\n"
"	mov	%eax, %ds\n"
"	mov	%eax, %es\n"
"	mov	%eax, %fs\n"
"	mov	%eax, %gs\n"
"	cmpb	$0, native_fsgsbase(%rip)\n"
"	je	3f\n"
"	mov	native_fs_base(%rip), %rax\n"
"	wrfsbase %rax\n"
"	jmp	4f\n"
"3:	mov	native_fs_base(%rip), %rsi\n"
"	mov	$0x1002, %edi\n"
"	mov	$158, %eax\n"
"	syscall\n"
"4:	mov	%r12, %rdi\n"
"	mov	%r13, %rsi\n"
"	mov	%r14, %rdx\n"
"	mov	native_base(%rip), %rcx\n"
"	mov	8+native_base(%rip), %r8\n"
"	sub	$8, %rsp\n"
"	call	native_caught\n"
"	mov	native_rsp(%rip), %rsp\n"
"	pop	%r15\n"
"	pop	%r14\n"
"	pop	%r13\n"
"	pop	%r12\n"
"	pop	%rbp\n"
"	pop	%rbx\n"
"	ret\n"
"	.size	native_signal, .-native_signal\n"
);
_Static_assert(offsetof(struct diff_case, gpr) == 512, "native_enter");
_Static_assert(offsetof(struct diff_case, rip) == 640, "native_enter");
_Static_assert(offsetof(struct diff_case, rflags) == 648, "native_enter");
_Static_assert(offsetof(struct diff_case, fs_base) == 656, "native_enter");
_Static_assert(offsetof(struct diff_case, gs_base) == 664, "native_enter");
_Static_assert(offsetof(struct diff_case, seg) == 672, "native_enter");

/* Called by native_signal(), on the alternate stack. */
void
native_caught(int sig, siginfo_t *info, void *ucv, uint64_t fs_base, uint64_t gs_base)
{
	static const int order[16] = { REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
		REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14,
		REG_R15 };
	const ucontext_t *uc = ucv;
	const greg_t *reg = uc->uc_mcontext.gregs;
	struct diff_result *r = result;
	uint64_t cs;

	if (r == NULL)
		_exit(100);		/* the signal is ours */
	for (unsigned i = 0; i < 16; i++)
		r->gpr[i] = (uint64_t)reg[order[i]];
	r->rip = (uint64_t)reg[REG_RIP];
	r->rflags = (uint64_t)reg[REG_EFL];
	r->vector = (uint32_t)reg[REG_TRAPNO];
	r->error = (uint32_t)reg[REG_ERR];
	r->cr2 = (uint64_t)reg[REG_CR2];
	r->fs_base = fs_base;
	r->gs_base = gs_base;
	cs = (uint64_t)reg[REG_CSGSFS];
	r->seg[D_CS] = (uint16_t)cs;
	r->seg[D_SS] = (uint16_t)(cs >> 48);
	r->seg[D_DS] = native_seg[0];
	r->seg[D_ES] = native_seg[1];
	r->seg[D_FS] = native_seg[2];
	r->seg[D_GS] = native_seg[3];
	memcpy(&r->fx, uc->uc_mcontext.fpregs, sizeof(r->fx));
}

static void
catch_signals(void)
{
	static const int sigs[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	struct sigaction sa;
	stack_t ss = { .ss_size = ALTSTACK };

	ss.ss_sp = mmap(NULL, ALTSTACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS |
	    MAP_POPULATE, -1, 0);
	if (ss.ss_sp == MAP_FAILED || sigaltstack(&ss, NULL) != 0)
		_exit(101);
	memset(&sa, 0, sizeof(sa));
	sa.sa_sigaction = native_signal;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;	/* no handler ever returns */
	for (size_t i = 0; i < sizeof(sigs) / sizeof(sigs[0]); i++)
		if (sigaction(sigs[i], &sa, NULL) != 0)
			_exit(101);
}

static uint8_t *
map_at(uint32_t addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *p = mmap((void *)(uintptr_t)addr, len, prot, flags | MAP_FIXED_NOREPLACE, fd, off);

	if (p != (void *)(uintptr_t)addr)
		_exit(102);
	return (p);
}

#define	STMT(code, k)		BPF_STMT((code), (k))
#define	JUMP(code, k, t, f)	BPF_JUMP((code), (k), (t), (f))
#define	LOAD(field)	STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))

/* From here on: read(GO), write(DONE), exit_group and, where it is needed, arch_prctl; anything else ends the program. */
static void
sandbox(void)
{
	struct sock_filter filter[] = {
		LOAD(arch),
		JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, 9),
		LOAD(nr),
		JUMP(BPF_JMP | BPF_JEQ | BPF_K, native_fsgsbase ? UINT32_MAX : SYS_arch_prctl, 8, 0),
		JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_read, 2, 0),
		JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 3, 0),
		JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 5, 4),
		LOAD(args[0]),
		JUMP(BPF_JMP | BPF_JEQ | BPF_K, DIFF_FD_GO, 3, 2),
		LOAD(args[0]),
		JUMP(BPF_JMP | BPF_JEQ | BPF_K, DIFF_FD_DONE, 1, 0),
		STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(filter) / sizeof(filter[0]), filter };
	const struct { int what; rlim_t max; } limits[] = {
		{ RLIMIT_CORE, 0 }, { RLIMIT_NOFILE, 0 }, { RLIMIT_NPROC, 0 }, { RLIMIT_FSIZE, 0 },
		{ RLIMIT_MEMLOCK, 0 },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		struct rlimit rl = { limits[i].max, limits[i].max };

		if (setrlimit(limits[i].what, &rl) != 0)
			_exit(103);
	}
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0) != 0)
		_exit(104);
}

int
main(void)
{
	struct diff_shared *sh;
	uint8_t *code, *page[DIFF_NPAGES];
	uint64_t word;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
		return (99);
	native_fsgsbase = diff_fsgsbase();
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
	    DIFF_FD_SHARED, 0);
	code = mmap(NULL, 2 * DIFF_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
	    DIFF_FD_CODE, 0);
	if (sh == MAP_FAILED || code == MAP_FAILED)
		return (98);
	(void)map_at(DIFF_CODE, DIFF_PAGE, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_POPULATE,
	    DIFF_FD_CODE, 0);
	page[0] = code + DIFF_PAGE;
	(void)map_at(DIFF_DATA, DIFF_PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, DIFF_FD_CODE,
	    DIFF_PAGE);
	page[1] = map_at(DIFF_RW, 2 * DIFF_PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	page[2] = page[1] + DIFF_PAGE;
	page[3] = map_at(DIFF_STACK, DIFF_PAGE, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	close(DIFF_FD_SHARED);
	close(DIFF_FD_CODE);
	catch_signals();
	if (syscall(SYS_arch_prctl, 0x1003, &native_fs_base) != 0)	/* ARCH_GET_FS */
		return (97);
	memset(code, 0xcc, DIFF_PAGE);
	sandbox();

	for (;;) {
		if (read(DIFF_FD_GO, &word, sizeof(word)) != (ssize_t)sizeof(word))
			_exit(0);
		for (unsigned p = 0; p < DIFF_NPAGES; p++)
			memcpy(page[p], sh->window + p * DIFF_PAGE, DIFF_PAGE);
		for (uint32_t i = 0; i < sh->ncases; i++) {
			const struct diff_case *c = &sh->cases[i];
			size_t off = c->rip % DIFF_PAGE, n = DIFF_PAGE - off;

			if (c->skip)
				continue;
			if (n > c->len)
				n = c->len;
			diff_patch(c, page);
			memcpy(code + off, c->code, n);
			sh->at = i;
			result = &sh->native[i];
			native_enter(c);
			result = NULL;
			memset(code + off, 0xcc, n);
			diff_collect(sh->window, page, &sh->native[i]);
		}
		word = 1;
		if (write(DIFF_FD_DONE, &word, sizeof(word)) != (ssize_t)sizeof(word))
			_exit(0);
	}
}
