/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_x87.c - the software amd64 CPU's x87 where a comparison of single instructions with
 * the host does not reach: when #MF and #NM come, unmasked exceptions, error reporting the way of
 * the PC, and that host and guest do not see each other's FPU state.
 *
 * Sections are those of the Intel SDM.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "soft_amd64_x87.h"

#ifdef __x86_64__

static const struct reg indefinite = { 3ULL << 62, 0xffff };

/* When #MF comes (vol. 1 8.6, 8.7.1) */

/*
 * ZE is unmasked; ebx, ecx, edx: offsets of the division, of the first waiting instruction behind
 * it, and of where to go on.
 */
#define	MF_CODE(in, out, waiting)						\
	"fninit\n"								\
	"	movw $0x37b, " in "\n"						\
	"	fldcw " in "\n"							\
	"	fld1\n"								\
	"	mov $(1f - 771b), %ebx\n"					\
	"	mov $(2f - 771b), %ecx\n"					\
	"	mov $(3f - 771b), %edx\n"					\
	"1:	fdivs 8+" in "\n"						\
	"	movl $0x1234, 16+" in "\n"					\
	"	fnstsw %ax\n"							\
	"	fnstcw 20+" in "\n"						\
	"2:	" waiting "\n"							\
	"	movl $0x5678, 16+" in "\n"					\
	"3:	fnstenv " out "\n"						\
	"	fnclex\n"							\
	"	fwait"

static void
check_mf(struct mach *m, unsigned fop)
{
	uint64_t fip, fdp;

	m_expect(m, MF, NOERR);
	CHECK_EQ(m->f.rip, m->ip0 + GET(m, RCX));
	CHECK_EQ(m_peek(m, A_IN + 16, 4), 0x1234);
	CHECK_EQ(GET(m, RAX) & 0xffff, ES | ZE | TOP(7));
	CHECK_EQ(m_peek(m, A_IN + 20, 2), 0x37b);
	m_return_to(m, m->ip0 + GET(m, RDX));
	m_end(m);
	fip = (m->mode == REAL ? CODE : m->ip0) + GET(m, RBX);
	fdp = A_IN + 8;
	if (m->mode == REAL) {
		/* 16-bit layout: linear addresses (figure 8-12) */
		CHECK_EQ(m_peek(m, A_OUT + 6, 2), fip & 0xffff);
		CHECK_EQ(m_peek(m, A_OUT + 8, 2), (fip >> 16) << 12 | fop);
		CHECK_EQ(m_peek(m, A_OUT + 10, 2), fdp & 0xffff);
		CHECK_EQ(m_peek(m, A_OUT + 12, 2), (fdp >> 16) << 12);
	} else {
		CHECK_EQ(m_peek(m, A_OUT + 12, 4), fip);
		CHECK_EQ(m_peek(m, A_OUT + 16, 4), fop << 16);
		CHECK_EQ(m_peek(m, A_OUT + 20, 4), fdp);
		CHECK_EQ(m_peek(m, A_OUT + 24, 2), 0);
	}
}

TEST(mf_comes_with_the_next_waiting_instruction)
{
	struct mach m;

	open_mode(&m, LM64);
	ASM(&m, 64, MF_CODE(SA_IN, SA_OUT, "fwait"));
	check_mf(&m, 0x034);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, MF_CODE(SA_IN, SA_OUT, "fld1"));
	check_mf(&m, 0x034);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, MF_CODE(SA_IN, SA_OUT, "emms"));
	check_mf(&m, 0x034);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, MF_CODE(SA_IN, SA_OUT, "movd %eax, %mm0"));
	check_mf(&m, 0x034);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, MF_CODE(SA_IN, SA_OUT, "fldcw " SA_IN));
	check_mf(&m, 0x035);
	m_close(&m);
}

TEST(pointers_are_linear_in_real_mode)
{
	struct mach m;

	open_mode(&m, REAL);
	ASM(&m, 16, MF_CODE("0", "0x2000", "frndint"));
	check_mf(&m, 0x036);
	m_close(&m);
}

TEST(instructions_that_do_not_wait)
{
	struct mach m;

	open_mode(&m, LM64);
	/* a pending #Z */
	image(&m, 0x37b, ZE, &one, 1);
	ASM(&m, 64, "fxrstor64 " SA_FX "\n"
	    "	fnstcw " SA_IN "\n"
	    "	fnstsw 2+" SA_IN "\n"
	    "	fxsave64 " SA_OUT "\n"
	    "	.byte 0xdb, 0xe0, 0xdb, 0xe1, 0xdb, 0xe4\n"	/* FNENI, FNDISI, FNSETPM */
	    "	fnstenv 16+" SA_IN "\n"			/* masks */
	    "	fwait\n"
	    "	fxrstor64 " SA_FX "\n"
	    "	fnsave 64+" SA_IN "\n"			/* initializes */
	    "	fwait\n"
	    "	fxrstor64 " SA_FX "\n"
	    "	fnclex\n"
	    "	fwait\n"
	    "	fxrstor64 " SA_FX "\n"
	    "	fninit\n"
	    "	fwait\n");
	m_end(&m);
	CHECK_EQ(m_peek(&m, A_IN, 2), 0x37b);
	CHECK_EQ(m_peek(&m, A_IN + 2, 2), ES | ZE);
	CHECK_EQ(OUT_FSW(&m), ES | ZE);
	CHECK_EQ(m_peek(&m, A_IN + 16, 4), 0xffff037b);
	CHECK_EQ(m_peek(&m, A_IN + 64, 4), 0xffff037b);
	CHECK_EQ(m_peek(&m, A_IN + 68, 4), 0xffff0000 | ES | ZE);
	m_close(&m);
}

/* Masks and flags decide anew whenever one of them changes (vol. 1 8.1.3.3). */
TEST(unmasking_a_flag_makes_it_pending)
{
	struct mach m;

	open_mode(&m, LM64);
	image(&m, 0x37f, ZE, &one, 1);
	m_poke(&m, A_IN, 0x37b, 2);
	ASM(&m, 64, "fxrstor64 " SA_FX "\n"
	    "	fwait\n"
	    "	fldcw " SA_IN "\n"
	    "	mov $(1f - 771b), %ecx\n"
	    "	fxsave64 " SA_OUT "\n"
	    "1:	fldcw " SA_FX "\n");
	m_expect(&m, MF, NOERR);
	CHECK_EQ(m.f.rip, m.ip0 + GET(&m, RCX));
	CHECK_EQ(OUT_FSW(&m), ES | ZE);
	m_close(&m);
}

/* Unmasked responses (vol. 1 8.5) */

TEST(unmasked_exceptions_before_the_operation_leave_operands)
{
	static const struct reg st[2] = { { 0, 0 }, { 1ULL << 63, 0x4000 } };
	struct mach m;

	open_mode(&m, LM64);
	image(&m, 0x37b, TOP(6), st, 2);
	ON_IMAGE(&m, "fdivrp %st, %st(1)");	/* DE F1: 2 / 0, and a pop */
	m_end(&m);
	CHECK_EQ(OUT_FSW(&m), ES | ZE | TOP(6));
	CHECK_EQ(OUT_FTW(&m), 0xc0);
	check_st(&m, 0, st[0]);
	check_st(&m, 1, st[1]);
	m_close(&m);
}

TEST(unmasked_overflow_of_a_register_adjusts_the_exponent)
{
	static const struct reg st[2] = {
		{ 0xc000000000000001ULL, 0x7ffe }, { 0x8000000000000001ULL, 0x4003 },
	};
	struct mach m;

	open_mode(&m, LM64);
	image(&m, 0x377, TOP(6), st, 2);
	ON_IMAGE(&m, "fmul %st(1), %st");
	m_end(&m);
	/* (1.5 + e) (1 + e) = 1.5 + 2.5 e + e^2, where e is one in the last place: up */
	CHECK_EQ(OUT_FSW(&m), ES | OE | PE | C1 | TOP(6));
	check_st(&m, 0, (struct reg){ 0xc000000000000003ULL, 0x7ffe + 4 - 24576 });
	m_close(&m);
}

/* Of a denormal, with UM clear.  By zero it is left, by a fraction, which adds as little to its exponent, it underflows: as processors do. */
TEST(unmasked_underflow_of_a_scaled_denormal)
{
	static const struct reg by[2] = { { 0, 0 }, { 1ULL << 63, 0x3ffe } };
	static const struct reg denormal = { 1ULL << 62, 0 };

	for (unsigned k = 0; k < 2; k++) {
		const struct reg st[2] = { denormal, by[k] };
		struct mach m;

		open_mode(&m, LM64);
		image(&m, 0x36f, TOP(6), st, 2);
		ON_IMAGE(&m, "fscale");
		m_end(&m);
		CHECK_EQ(OUT_FSW(&m), k == 0 ? DENORMAL | TOP(6) : DENORMAL | UE | ES | TOP(6));
		/* 2^-16383 times 2^24576 (SDM vol. 1 8.5.5) */
		check_st(&m, 0, k == 0 ? denormal : (struct reg){ 1ULL << 63, 24576 });
		m_close(&m);
	}
}

TEST(unmasked_overflow_of_memory_stores_nothing)
{
	static const struct reg st[1] = { { 0xc000000000000000ULL, 0x4100 } };
	struct mach m;

	open_mode(&m, LM64);
	image(&m, 0x377, TOP(7), st, 1);
	m_poke(&m, A_IN, 0x11223344, 4);
	ON_IMAGE(&m, "fstps " SA_IN);
	m_end(&m);
	CHECK_EQ(m_peek(&m, A_IN, 4), 0x11223344);
	CHECK_EQ(OUT_FSW(&m), ES | OE | TOP(7));
	CHECK_EQ(OUT_FTW(&m), 0x80);
	m_close(&m);
}

TEST(stack_faults)
{
	static const struct reg full[8] = {
		{ 1ULL << 63, 0x3fff }, { 1ULL << 63, 0x4000 }, { 1ULL << 63, 0x4001 },
		{ 1ULL << 63, 0x4002 }, { 1ULL << 63, 0x4003 }, { 1ULL << 63, 0x4004 },
		{ 1ULL << 63, 0x4005 }, { 1ULL << 63, 0x4006 },
	};
	struct mach m;

	open_mode(&m, LM64);
	/* overflow: C1; the pushed indefinite replaces ST(7) */
	image(&m, 0x37f, TOP(3), full, 8);
	ON_IMAGE(&m, "fldz");
	m_end(&m);
	CHECK_EQ(OUT_FSW(&m), IE | SF | C1 | TOP(2));
	check_st(&m, 0, indefinite);
	check_st(&m, 1, full[0]);
	check_st(&m, 7, full[6]);
	/* unmasked: nothing moves */
	image(&m, 0x37e, TOP(3), full, 8);
	ON_IMAGE(&m, "fldz");
	m_end(&m);
	CHECK_EQ(OUT_FSW(&m), ES | IE | SF | C1 | TOP(3));
	check_st(&m, 0, full[0]);
	/* underflow */
	image(&m, 0x37f, C1 | TOP(3), full, 1);
	ON_IMAGE(&m, "faddp %st, %st(2)");
	m_end(&m);
	CHECK_EQ(OUT_FSW(&m), IE | SF | TOP(4));
	CHECK_EQ(OUT_FTW(&m), 1U << 5);
	check_st(&m, 1, indefinite);
	m_close(&m);
}

/* A store that faults leaves the FPU as it was. */
TEST(a_faulting_store_does_not_pop)
{
	struct mach m;

	open_mode(&m, LM64);
	image(&m, 0x37f, TOP(7), &one, 1);
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_OSFXSR);
	m_pte(&m, 0x50000, 0);
	m_fill(&m, 0x4fff8, 0x5a, 8);
	m.what = "fstpt into a missing page";
	ASM(&m, 64, "fxrstor64 " SA_FX "\n	fstpt 0x4fff8");
	m_expect(&m, PF, PFE_W);
	CHECK_EQ(GET(&m, CR2), 0x50000);
	CHECK_EQ(m_peek(&m, 0x4fff8, 8), 0x5a5a5a5a5a5a5a5aULL);
	ASM_AT(&m, CODE + 0x100, 64, "fxsave64 " SA_OUT "\n" END);
	m_return_to(&m, CODE + 0x100);
	m_end(&m);
	CHECK_EQ(OUT_FTW(&m), 0x80);
	CHECK_EQ(OUT_FSW(&m), TOP(7));
	/* Nor is an unmasked exception raised by what could not have been stored. */
	image(&m, 0x377, TOP(7), (const struct reg[]){ { 1ULL << 63, 0x5000 } }, 1);
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_OSFXSR);
	m_pte(&m, 0x50000, 0);
	m.what = "fstps into a missing page";
	ASM(&m, 64, "fxrstor64 " SA_FX "\n	fstps 0x50000");
	m_expect(&m, PF, PFE_W);
	ASM_AT(&m, CODE + 0x100, 64, "fxsave64 " SA_OUT "\n" END);
	m_return_to(&m, CODE + 0x100);
	m_end(&m);
	CHECK_EQ(OUT_FSW(&m), TOP(7));
	m_mode(&m, REAL, 0);
	m.what = "fstpt at the limit";
	ASM(&m, 16, "fninit\n fldpi\n fstpt 0xfff8\n");
	m_expect(&m, GP, NOERR);
	ASM_AT(&m, CODE + 0x100, 16, "fxsave 0x2000\n" END);
	m_return_to(&m, 0x100);
	m_end(&m);
	CHECK_EQ(OUT_FTW(&m), 0x80);
	CHECK_EQ(OUT_FSW(&m), TOP(7));
	m_close(&m);
}

/* #NM (vol. 3 2.5, table 2-2) */

TEST(device_not_available)
{
	static const struct {
		uint32_t cr0;
		int x87, wait, fxsave;		/* vector, -1: none */
	} cases[] = {
		{ 0, -1, -1, -1 },
		{ CR0_MP, -1, -1, -1 },
		{ CR0_TS, NM, -1, NM },
		{ CR0_TS | CR0_MP, NM, NM, NM },
		{ CR0_EM, NM, -1, NM },
		{ CR0_EM | CR0_MP, NM, -1, NM },
		{ CR0_EM | CR0_MP | CR0_TS, NM, NM, NM },
	};
	struct mach m;

	open_mode(&m, PM32);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const int want[] = { cases[i].x87, cases[i].x87, cases[i].wait, cases[i].fxsave };

		for (size_t k = 0; k < 4; k++) {
			m_mode(&m, PM32, 0);
			SET(&m, CR4, CR4_OSFXSR);
			SET(&m, CR0, GET(&m, CR0) | cases[i].cr0);
			m.what = "CR0";
			if (k == 0)
				ASM(&m, 32, "fld1");
			else if (k == 1)
				ASM(&m, 32, "fninit");
			else if (k == 2)
				ASM(&m, 32, "fwait");
			else
				ASM(&m, 32, "fxsave " SA_OUT);
			if (want[k] >= 0) {
				m_expect(&m, (unsigned)want[k], NOERR);
				CHECK_EQ(m.f.rip, m.ip0);
			} else {
				m_end(&m);
			}
		}
	}
	m_close(&m);
}

/* Error reporting the way of the PC (vol. 1 8.7.2): CR0.NE is clear */

#define	IRQ13_VECTOR	0x75

/* The 8259 pair, with all but the cascade and line 13 masked. */
static void
irq13(struct mach *m, bool enabled)
{
	m->what = "line 13";
	m_mode(m, REAL, 0);
	SET(m, CR0, 0x10);
	SET(m, RBP, enabled ? FL_IF | 2 : 2);
	m_poke(m, IVT + 4 * IRQ13_VECTOR, 0x200 | (CODE >> 4) << 16, 4);
	/* The handler: count, note FSW, clear the exception, end of interrupt at both. */
	ASM_AT(m, CODE + 0x200, 16,
	    "incw 0x30\n"
	    "	fnstsw 0x32\n"
	    "	fnclex\n"
	    "	pushw %ax\n"
	    "	movb $0x20, %al\n"
	    "	outb %al, $0xa0\n"
	    "	outb %al, $0x20\n"
	    "	popw %ax\n"
	    "	iretw\n");
	ASM(m, 16,
	    "movb $0x11, %al; outb %al, $0x20; outb %al, $0xa0\n"
	    "	movb $0x08, %al; outb %al, $0x21; movb $0x70, %al; outb %al, $0xa1\n"
	    "	movb $4, %al; outb %al, $0x21; movb $2, %al; outb %al, $0xa1\n"
	    "	movb $1, %al; outb %al, $0x21; outb %al, $0xa1\n"
	    "	movb $0xfb, %al; outb %al, $0x21; movb $0xdf, %al; outb %al, $0xa1\n"
	    "	movw $0, 0x30\n"
	    "	movw $0x37b, 0\n"
	    "	pushw %bp\n"
	    "	popfw\n"
	    "	fninit\n"
	    "	fldcw 0\n"
	    "	fld1\n"
	    "	fldz\n"
	    "	fdivrp %st, %st(1)\n"		/* DE F1 */
	    "	nop\n"
	    "	movw 0x30, %cx\n"			/* not yet */
	    "	movw $(1f - 771b), %dx\n"
	    "1:	fldpi\n"
	    "	movw 0x30, %bx\n"
	    "	fnstsw %ax\n");
}

TEST(ferr_is_interrupt_13)
{
	struct mach m;

	m_open(&m);
	irq13(&m, true);
	m_end(&m);
	CHECK_EQ(GET(&m, RCX) & 0xffff, 0);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 1);
	CHECK_EQ(m_peek(&m, A_IN + 0x32, 2), ES | ZE | TOP(6));
	CHECK_EQ(GET(&m, RAX) & 0xffff, TOP(5));
	m_close(&m);
}

static _Atomic bool kicking;

static void *
kick(void *arg)
{
	while (atomic_load(&kicking)) {
		CHECK_EQ(vm_vcpu_kick(arg), 0);
		usleep(1000);
	}
	return (NULL);
}

/* With interrupts off it stands before the waiting instruction, and can be stopped there. */
TEST(ferr_without_interrupts_waits)
{
	pthread_t thread;
	struct mach m;
	int there = 0;

	m_open(&m);
	irq13(&m, false);
	atomic_store(&kicking, true);
	CHECK_EQ(pthread_create(&thread, NULL, kick, m.cpu), 0);
	/* On a busy host the first kicks come before it is there. */
	while (there < 10) {
		m_run(&m);
		CHECK_EQ(m.ex.code, VM_EXIT_KICKED);
		if (GET(&m, RIP) != 0 && GET(&m, RIP) == (GET(&m, RDX) & 0xffff))
			there++;
		else
			CHECK_EQ(there, 0);
	}
	atomic_store(&kicking, false);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	/* One that is left over ends a run before anything else. */
	CHECK_EQ(vm_vcpu_kick(m.cpu), 0);
	m_run(&m);
	CHECK_EQ(m.ex.code, VM_EXIT_KICKED);
	/* and goes on when they come */
	SET(&m, RFLAGS, FL_IF | 2);
	m_end(&m);
	CHECK_EQ(GET(&m, RBX) & 0xffff, 1);
	m_close(&m);
}

/* The host's FPU */

/* The thread's control word and flags neither change results nor are changed. */
TEST(host_fpu_state_is_kept_apart)
{
	static const uint16_t words[] = { 0x37f, 0x27f, 0xf7f, 0x37f & ~ZE };
	struct mach m;
	uint64_t first = 0;
	uint16_t cw;
	uint32_t f = 0;

	open_mode(&m, LM64);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		image(&m, 0x37f, TOP(7), &one, 1);
		ON_IMAGE(&m, "fldpi; fdivrp; fld1; fldz; fdivrp");
		__asm__ volatile("fninit; fld1; fldpi; fdivp; fstp %%st(0); fldcw %0" : :
		    "m" (words[i]) : "st", "st(1)");
		m_end(&m);
		/* Nothing that the thread has unmasked is pending. */
		__asm__ volatile("fwait; fnstcw %0; fninit" : "=m"(cw));
		CHECK_EQ(cw, words[i]);
		CHECK_EQ(OUT_FCW(&m), 0x37f);
		if (i == 0) {
			first = m_peek(&m, A_OUT + 32 + 16, 8);
			f = (uint32_t)OUT_FSW(&m);
			CHECK_EQ(f & 0x7f, ZE | PE);
		}
		CHECK_EQ(m_peek(&m, A_OUT + 32 + 16, 8), first);
		CHECK_EQ(OUT_FSW(&m), f);
	}
	m_close(&m);
}

#else

TEST(needs_an_amd64_host)
{
	SKIP("the software amd64 CPU needs an amd64 host");
}

#endif

TEST_MAIN()
