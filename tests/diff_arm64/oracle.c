/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * oracle.c - the arm64 program that executes cases (case.h): Linux, without a C library.
 *
 * An instruction that raises a signal is left by its handler, which goes on where an instruction that ends normally does.  X0 is kept in
 * TPIDR_EL0 in between: nothing else of the processor is free.
 */
#include "case.h"

#define	SYS_READ	63
#define	SYS_WRITE	64
#define	SYS_EXIT	93
#define	SYS_SIGALTSTACK	132
#define	SYS_SIGACTION	134
#define	SYS_MMAP	222

/* rt_sigaction, signal frames: asm-generic/signal.h, arm64's asm/sigcontext.h and asm/ucontext.h */
#define	SIGILL		4
#define	SIGTRAP		5
#define	SIGBUS		7
#define	SIGFPE		8
#define	SIGSEGV		11
#define	SA_SIGINFO	0x00000004UL
#define	SA_RESTORER	0x04000000UL
#define	SA_ONSTACK	0x08000000UL

struct action {
	void		(*handler)(int, void *, void *);
	unsigned long	 flags;
	void		(*restorer)(void);
	unsigned long	 mask;
};

struct stack {
	void		*sp;
	int		 flags;
	unsigned long	 size;
};

struct siginfo {
	int		 sig, error, code, unused;
	uint64_t	 addr;
};

struct context {
	unsigned char	before[176];
	uint64_t	fault, regs[31], sp, pc, pstate;
};

void	run_case(const struct arm_state *in, struct arm_state *out);
void	case_done(void);
void	restorer(void);
void	oracle(void) __attribute__((noreturn, used));

static uint64_t
call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register long x8 __asm__("x8") = nr;
	register uint64_t x0 __asm__("x0") = a;
	register uint64_t x1 __asm__("x1") = b;
	register uint64_t x2 __asm__("x2") = c;
	register uint64_t x3 __asm__("x3") = d;
	register uint64_t x4 __asm__("x4") = e;
	register uint64_t x5 __asm__("x5") = f;

	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return (x0);
}

__asm__(
    ".text\n"
    ".globl _start\n"
    "_start:\n"
    "	b	oracle\n"
    ".globl restorer\n"
    "restorer:\n"
    "	mov	x8, #139\n"
    "	svc	#0\n"
    /* x0: in, x1: out.  host: 13 general registers from X19 on, SP, out, D8 to D15 */
    ".globl run_case\n"
    "run_case:\n"
    "	adrp	x2, host\n"
    "	add	x2, x2, :lo12:host\n"
    "	stp	x19, x20, [x2]\n"
    "	stp	x21, x22, [x2, #16]\n"
    "	stp	x23, x24, [x2, #32]\n"
    "	stp	x25, x26, [x2, #48]\n"
    "	stp	x27, x28, [x2, #64]\n"
    "	stp	x29, x30, [x2, #80]\n"
    "	mov	x3, sp\n"
    "	stp	x3, x1, [x2, #96]\n"
    "	stp	d8, d9, [x2, #112]\n"
    "	stp	d10, d11, [x2, #128]\n"
    "	stp	d12, d13, [x2, #144]\n"
    "	stp	d14, d15, [x2, #160]\n"
    "	clrex\n"
    "	ldr	x3, [x0, #768]\n"
    "	msr	nzcv, x3\n"
    "	ldr	x3, [x0, #776]\n"
    "	msr	fpcr, x3\n"
    "	ldr	x3, [x0, #784]\n"
    "	msr	fpsr, x3\n"
    "	ldr	x3, [x0, #248]\n"
    "	mov	sp, x3\n"
    "	add	x3, x0, #256\n"
    "	.irp	n, 0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30\n"
    "	ldr	q\\n, [x3], #32\n"
    "	.endr\n"
    "	add	x3, x0, #272\n"
    "	.irp	n, 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31\n"
    "	ldr	q\\n, [x3], #32\n"
    "	.endr\n"
    "	.irp	n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30\n"
    "	ldr	x\\n, [x0, #\\n*8]\n"
    "	.endr\n"
    "	ldr	x0, [x0]\n"
    "	br	x28\n"
    ".globl case_done\n"
    "case_done:\n"
    "	msr	tpidr_el0, x0\n"
    "	adrp	x0, host\n"
    "	add	x0, x0, :lo12:host\n"
    "	ldr	x0, [x0, #104]\n"
    "	.irp	n, 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30\n"
    "	str	x\\n, [x0, #\\n*8]\n"
    "	.endr\n"
    "	mrs	x1, tpidr_el0\n"
    "	str	x1, [x0]\n"
    "	mov	x1, sp\n"
    "	str	x1, [x0, #248]\n"
    "	mrs	x1, nzcv\n"
    "	str	x1, [x0, #768]\n"
    "	mrs	x1, fpcr\n"
    "	str	x1, [x0, #776]\n"
    "	mrs	x1, fpsr\n"
    "	str	x1, [x0, #784]\n"
    "	add	x1, x0, #256\n"
    "	.irp	n, 0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30\n"
    "	str	q\\n, [x1], #32\n"
    "	.endr\n"
    "	add	x1, x0, #272\n"
    "	.irp	n, 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31\n"
    "	str	q\\n, [x1], #32\n"
    "	.endr\n"
    "	msr	fpcr, xzr\n"
    "	adrp	x2, host\n"
    "	add	x2, x2, :lo12:host\n"
    "	ldp	x19, x20, [x2]\n"
    "	ldp	x21, x22, [x2, #16]\n"
    "	ldp	x23, x24, [x2, #32]\n"
    "	ldp	x25, x26, [x2, #48]\n"
    "	ldp	x27, x28, [x2, #64]\n"
    "	ldp	x29, x30, [x2, #80]\n"
    "	ldr	x3, [x2, #96]\n"
    "	mov	sp, x3\n"
    "	ldp	d8, d9, [x2, #112]\n"
    "	ldp	d10, d11, [x2, #128]\n"
    "	ldp	d12, d13, [x2, #144]\n"
    "	ldp	d14, d15, [x2, #160]\n"
    "	ret\n"
    ".bss\n"
    ".balign 16\n"
    "host:\n"
    "	.zero	176\n"
    ".text\n");

static struct arm_state *current;
static unsigned char alternate[65536];

static void
handler(int sig, void *info, void *context)
{
	current->signal = (uint64_t)sig;
	current->fault = sig == SIGBUS || sig == SIGSEGV ? ((struct siginfo *)info)->addr : 0;
	((struct context *)context)->pc = (uint64_t)case_done;
}

static void
handle(uint64_t sig)
{
	struct action a = { .handler = handler, .flags = SA_SIGINFO | SA_RESTORER | SA_ONSTACK, .restorer = restorer };

	call(SYS_SIGACTION, sig, (uint64_t)&a, 0, sizeof(a.mask), 0, 0);
}

/* The page of slots as the batch wants it, and visible to instruction fetches (Arm ARM B2.4.4). */
static void
place(const struct arm_batch *b)
{
	volatile uint32_t *slot = (volatile uint32_t *)(uint64_t)ARM_SLOTS;

	for (uint32_t i = 0; i < b->nwords; i++) {
		int64_t to = (int64_t)(uint64_t)case_done - (int64_t)ARM_SLOT(i) - 4;

		slot[2 * i] = b->word[i];
		slot[2 * i + 1] = 0x14000000U | ((uint32_t)(to / 4) & 0x03ffffffU);
	}
	for (uint64_t at = ARM_SLOTS; at < ARM_SLOTS + 4096; at += 16)
		__asm__ volatile("dc cvau, %0" : : "r"(at) : "memory");
	__asm__ volatile("dsb ish" : : : "memory");
	for (uint64_t at = ARM_SLOTS; at < ARM_SLOTS + 4096; at += 16)
		__asm__ volatile("ic ivau, %0" : : "r"(at) : "memory");
	__asm__ volatile("dsb ish\n\tisb" : : : "memory");
}

static void
copy(volatile uint64_t *to, const volatile uint64_t *from)
{
	for (unsigned i = 0; i < ARM_WINDOW_LEN / 8; i++)
		to[i] = from[i];
}

void
oracle(void)
{
	volatile uint64_t *window = (volatile uint64_t *)(uint64_t)ARM_WINDOW;
	struct stack st = { .sp = alternate, .size = sizeof(alternate) };
	struct arm_batch *b;
	char byte;

	b = (struct arm_batch *)call(SYS_MMAP, 0, sizeof(*b), 3, 1, ARM_FD_SHARED, 0);
	if ((uint64_t)b > -4096UL || call(SYS_MMAP, ARM_SLOTS, 4096, 7, 0x32, -1UL, 0) != ARM_SLOTS ||
	    call(SYS_MMAP, ARM_WINDOW & ~4095UL, 8192, 3, 0x32, -1UL, 0) != (ARM_WINDOW & ~4095UL))
		call(SYS_EXIT, 2, 0, 0, 0, 0, 0);
	call(SYS_SIGALTSTACK, (uint64_t)&st, 0, 0, 0, 0, 0);
	handle(SIGILL);
	handle(SIGTRAP);
	handle(SIGBUS);
	handle(SIGFPE);
	handle(SIGSEGV);
	while (call(SYS_READ, ARM_FD_GO, (uint64_t)&byte, 1, 0, 0, 0) == 1) {
		place(b);
		for (uint32_t i = 0; i < b->nwords * ARM_SETS; i++) {
			b->at = i;
			current = &b->out[i];
			current->signal = current->fault = 0;
			if (b->memory != 0)
				copy(window, b->mem_in[i]);
			run_case(&b->in[i], current);
			if (b->memory != 0)
				copy(b->mem_out[i], window);
		}
		call(SYS_WRITE, ARM_FD_DONE, (uint64_t)&byte, 1, 0, 0, 0);
	}
	for (;;)
		call(SYS_EXIT, 0, 0, 0, 0, 0, 0);
}
