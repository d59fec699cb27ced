/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_x87.c - the software amd64 CPU's x87 where a comparison of single instructions with the
 * host does not reach: when #MF and #NM come, the environment's layouts in each mode, error reporting
 * the way of the PC, FXSAVE and FXRSTOR in and out of 64-bit mode, and that host and guest do not see
 * each other's FPU state.
 *
 * Sections are those of the Intel SDM.
 */
#include <pthread.h>

#include "amd64_fixture.h"

#ifdef __x86_64__

#define	IE	0x01
#define	ZE	0x04
#define	OE	0x08
#define	PE	0x20
#define	SF	0x40
#define	ES	0x8080		/* with B */
#define	C1	0x0200
#define	TOP(n)	((n) << 11)

/* Where guest code finds and leaves things: addresses in flat segments, offsets in real mode. */
#define	A_IN	0x40000
#define	A_FX	0x41000		/* FXRSTOR image */
#define	A_OUT	0x42000
#define	SA_IN	"0x40000"
#define	SA_FX	"0x41000"
#define	SA_OUT	"0x42000"

struct reg {
	uint64_t	m;
	uint16_t	se;
};

static const struct reg one = { 1ULL << 63, 0x3fff }, indefinite = { 3ULL << 62, 0xffff };

/* An FXRSTOR image: registers ST(0) to ST(n - 1), full; everything masked and clear. */
static void
image(struct mach *m, uint16_t fcw, uint16_t fsw, const struct reg *st, unsigned n)
{
	unsigned top = fsw >> 11 & 7, ftw = 0;

	m_fill(m, A_FX, 0, 512);
	for (unsigned i = 0; i < n; i++) {
		m_poke(m, A_FX + 32 + 16 * i, st[i].m, 8);
		m_poke(m, A_FX + 40 + 16 * i, st[i].se, 2);
		ftw |= 1U << ((top + i) & 7);
	}
	m_poke(m, A_FX, fcw, 2);
	m_poke(m, A_FX + 2, fsw, 2);
	m_poke(m, A_FX + 4, ftw, 1);
	m_poke(m, A_FX + 24, 0x1f80, 4);
}

/* A register of the FXSAVE image at A_OUT. */
static void
check_st(struct mach *m, unsigned n, struct reg want)
{
	CHECKF(m_peek(m, A_OUT + 32 + 16 * n, 8) == want.m && m_peek(m, A_OUT + 40 + 16 * n, 2) == want.se,
	    "%s: st(%u) is %04llx %016llx, wanted %04x %016llx", m->what, n,
	    (unsigned long long)m_peek(m, A_OUT + 40 + 16 * n, 2),
	    (unsigned long long)m_peek(m, A_OUT + 32 + 16 * n, 8), want.se, (unsigned long long)want.m);
}

#define	OUT_FCW(m)	m_peek((m), A_OUT, 2)
#define	OUT_FSW(m)	m_peek((m), A_OUT + 2, 2)
#define	OUT_FTW(m)	m_peek((m), A_OUT + 4, 1)

static void
open_mode(struct mach *m, enum mode mode)
{
	m_open(m);
	m_mode(m, mode, 0);
	if (mode != REAL)
		SET(m, CR4, GET(m, CR4) | CR4_OSFXSR);
	m->what = "x87";
}

/* One instruction on an image, in 64-bit mode, and the state behind it. */
#define	ON_IMAGE(m, insn) do {							\
	m_mode((m), LM64, 0);							\
	SET((m), CR4, CR4_PAE | CR4_OSFXSR);					\
	(m)->what = insn;							\
	ASM((m), 64, "fxrstor64 " SA_FX "\n\t" insn "\n\tfxsave64 " SA_OUT);	\
} while (0)

/* When #MF comes (vol. 1 8.6, 8.7.1) */

/*
 * ZE is unmasked; ebx, ecx, edx: offsets of the division, of the first waiting instruction behind it,
 * and of where to go on.
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
check_mf(struct mach *m, unsigned fop, uint64_t linear)
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
	check_mf(&m, 0x034, 0);
	m_mode(&m, LM64, 3);
	ASM(&m, 64, MF_CODE(SA_IN, SA_OUT, "fld1"));
	check_mf(&m, 0x034, 0);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, MF_CODE(SA_IN, SA_OUT, "emms"));
	check_mf(&m, 0x034, 0);
	m_mode(&m, LM64, 0);
	ASM(&m, 64, MF_CODE(SA_IN, SA_OUT, "movd %eax, %mm0"));
	check_mf(&m, 0x034, 0);
	m_mode(&m, PM32, 0);
	ASM(&m, 32, MF_CODE(SA_IN, SA_OUT, "fldcw " SA_IN));
	check_mf(&m, 0x035, 0);
	m_close(&m);
}

TEST(pointers_are_linear_in_real_mode)
{
	struct mach m;

	open_mode(&m, REAL);
	ASM(&m, 16, MF_CODE("0", "0x2000", "frndint"));
	check_mf(&m, 0x036, CODE);
	m_close(&m);
}

/* The wait forms are FWAIT and the other instruction: the fault's address is that of FWAIT. */
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
	static const struct reg st[2] = { { 0xc000000000000001ULL, 0x7ffe }, { 0x8000000000000001ULL, 0x4003 } };
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
		{ 1ULL << 63, 0x3fff }, { 1ULL << 63, 0x4000 }, { 1ULL << 63, 0x4001 }, { 1ULL << 63, 0x4002 },
		{ 1ULL << 63, 0x4003 }, { 1ULL << 63, 0x4004 }, { 1ULL << 63, 0x4005 }, { 1ULL << 63, 0x4006 },
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

/* Environment (vol. 1 8.1.10) */

/* TOP 5: R5 valid, R6 zero, R7 infinity, R0 denormal, R1 unnormal; the rest empty */
static const struct reg kinds[5] = {
	{ 1ULL << 63, 0x3fff }, { 0, 0x8000 }, { 1ULL << 63, 0x7fff }, { 1, 0 }, { 1, 0x3fff },
};
#define	KINDS_TAGS	0x93fa		/* R7 to R0: 2 1 0 3 3 3 2 2 */

static void
check_env(struct mach *m, unsigned width, bool real)
{
	uint64_t at = A_OUT, fip, fdp, w = width;

	CHECK_EQ(m_peek(m, at, 2), 0x37a);
	CHECK_EQ(m_peek(m, at + w, 2), TOP(5) | C1 | PE);
	CHECK_EQ(m_peek(m, at + 2 * w, 2), KINDS_TAGS);
	if (w == 4) {
		CHECK_EQ(m_peek(m, at + 2, 2), 0xffff);
		CHECK_EQ(m_peek(m, at + 6, 2), 0xffff);
		CHECK_EQ(m_peek(m, at + 10, 2), 0xffff);
		CHECK_EQ(m_peek(m, at + 28, 2), 0xa5a5);
	} else {
		CHECK_EQ(m_peek(m, at + 14, 2), 0xa5a5);
	}
	if (real) {
		fip = m_peek(m, at + 3 * w, 2) | (m_peek(m, at + 4 * w, (unsigned)w) >> 12) << 16;
		fdp = m_peek(m, at + 5 * w, 2) | (m_peek(m, at + 6 * w, (unsigned)w) >> 12) << 16;
		CHECK_EQ(m_peek(m, at + 4 * w, 2) & 0xfff, 0x5a7);
	} else {
		fip = m_peek(m, at + 3 * w, (unsigned)w);
		fdp = m_peek(m, at + 5 * w, (unsigned)w);
		CHECK_EQ(m_peek(m, at + 4 * w, 2), 0);
		if (w == 4)
			CHECK_EQ(m_peek(m, at + 18, 2), 0x5a7);
		CHECK_EQ(m_peek(m, at + 6 * w, 2), 0);
	}
	CHECK_EQ(fip, width == 2 ? real ? 0x85678 : 0x5678 : 0x12385678);
	CHECK_EQ(fdp, width == 2 ? real ? 0xcabcd : 0xabcd : 0xfedcabcd);
}

/* [ebx + disp] in any mode. */
static unsigned
put(uint8_t *to, bool addr32, bool other_size, const char *opcode, unsigned reg, uint32_t disp)
{
	unsigned n = 0;

	if (addr32)
		to[n++] = 0x67;
	if (other_size)
		to[n++] = 0x66;
	while (*opcode != '\0')
		to[n++] = (uint8_t)*opcode++;
	to[n++] = (uint8_t)(0x83 | reg << 3);
	memcpy(to + n, &disp, 4);
	return (n + 4);
}

/* Stored and loaded, in every layout. */
TEST(environment_layouts)
{
	static const struct {
		enum mode mode;
		unsigned bits, width;
		bool real;
	} cases[] = {
		{ PM32, 32, 4, false }, { PM32, 32, 2, false }, { LM64, 64, 4, false }, { LM64, 64, 2, false },
		{ PM16, 16, 2, false }, { PM16, 16, 4, false }, { CM16, 16, 2, false }, { CM16, 16, 4, false },
		{ REAL, 16, 2, true }, { REAL, 16, 4, true }, { V86, 16, 2, true }, { V86, 16, 4, true },
	};
	struct mach m;

	open_mode(&m, PM32);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool a32 = cases[i].bits == 16, other = (cases[i].bits == 16) == (cases[i].width == 4);
		uint8_t code[80];
		unsigned n = 0;

		m_mode(&m, cases[i].mode, 0);
		m.what = "layout";
		SET(&m, RBX, cases[i].real ? 0 : A_IN);
		image(&m, 0x37a, TOP(5) | C1 | PE, kinds, 5);
		m_poke(&m, A_FX + 6, 0x5a7, 2);
		m_poke(&m, A_FX + 8, 0x12385678, 4);
		m_poke(&m, A_FX + 12, 0x1111, 2);
		m_poke(&m, A_FX + 16, 0xfedcabcd, 4);
		m_poke(&m, A_FX + 20, 0x2222, 2);
		m_fill(&m, A_OUT, 0xa5, 0x200);
		/* FXRSTOR; FNSTENV, FNINIT, FLDENV of that, FNSTENV again */
		n += put(code + n, a32, false, "\x0f\xae", 1, 0x1000);
		n += put(code + n, a32, other, "\xd9", 6, 0x2100);
		memcpy(code + n, "\xdb\xe3", 2);
		n += 2;
		n += put(code + n, a32, other, "\xd9", 4, 0x2100);
		n += put(code + n, a32, other, "\xd9", 6, 0x2000);
		memcpy(code + n, "\xe6\xf4", 2);
		m_bytes(&m, CODE, code, n + 2);
		m_end(&m);
		check_env(&m, cases[i].width, cases[i].real);
	}
	m_close(&m);
}

TEST(fsave_and_frstor)
{
	static const struct reg st[3] = { { 1ULL << 63, 0x3fff }, { 3ULL << 62, 0x4000 }, { 5ULL << 61, 0xc001 } };
	struct mach m;

	open_mode(&m, LM64);
	image(&m, 0x27f, TOP(6) | PE, st, 3);
	ASM(&m, 64, "fxrstor64 " SA_FX "\n"
	    "	fnsave " SA_IN "\n"
	    "	fxsave64 0x200+" SA_OUT "\n"
	    "	fld1\n"
	    "	frstor " SA_IN "\n"
	    "	fxsave64 " SA_OUT "\n");
	m_end(&m);
	CHECK_EQ(m_peek(&m, A_IN + 28, 8), st[0].m);
	CHECK_EQ(m_peek(&m, A_IN + 36, 2), st[0].se);
	CHECK_EQ(m_peek(&m, A_IN + 38, 8), st[1].m);
	/* FNSAVE initializes */
	CHECK_EQ(m_peek(&m, A_OUT + 0x200, 4), 0x37f);
	CHECK_EQ(m_peek(&m, A_OUT + 0x204, 1), 0);
	CHECK_EQ(OUT_FCW(&m), 0x27f);
	CHECK_EQ(OUT_FSW(&m), TOP(6) | PE);
	CHECK_EQ(OUT_FTW(&m), 0xc1);
	for (unsigned i = 0; i < 3; i++)
		check_st(&m, i, st[i]);
	m_close(&m);
}

/* TOP moves, registers stay: what FINIT and FLDENV do is seen by their new distance. */
TEST(registers_stay_when_top_is_loaded)
{
	static const struct reg st[2] = { { 1ULL << 63, 0x3fff }, { 3ULL << 62, 0x4000 } };
	struct mach m;

	open_mode(&m, LM64);
	image(&m, 0x37f, TOP(6), st, 2);
	ASM(&m, 64, "fxrstor64 " SA_FX "\n"
	    "	fincstp\n"
	    "	fxsave64 0x400+" SA_OUT "\n"
	    "	fninit\n"
	    "	fxsave64 0x200+" SA_OUT "\n"
	    "	fnstenv " SA_IN "\n"
	    "	orw $0x3800, 4+" SA_IN "\n"
	    "	fldenv " SA_IN "\n"
	    "	fxsave64 " SA_OUT "\n");
	m_end(&m);
	CHECK_EQ(m_peek(&m, A_OUT + 0x402, 2), TOP(7));
	CHECK_EQ(m_peek(&m, A_OUT + 0x404, 1), 0xc0);
	CHECK_EQ(m_peek(&m, A_OUT + 0x400 + 40, 2), st[1].se);
	/* R6 is ST(6) with TOP 0, and ST(7) with TOP 7 */
	CHECK_EQ(m_peek(&m, A_OUT + 0x202, 2), 0);
	CHECK_EQ(m_peek(&m, A_OUT + 0x200 + 40 + 16 * 6, 2), st[0].se);
	CHECK_EQ(OUT_FSW(&m), TOP(7));
	CHECK_EQ(OUT_FTW(&m), 0);
	check_st(&m, 0, st[1]);
	check_st(&m, 7, st[0]);
	m_close(&m);
}

/* MMX registers are the x87's by number (vol. 3 12.2). */
TEST(mmx_and_x87_share_registers)
{
	struct mach m;

	open_mode(&m, LM64);
	image(&m, 0x37f, TOP(6), &one, 1);
	m_poke(&m, A_IN, 0x0123456789abcdefULL, 8);
	ASM(&m, 64, "fxrstor64 " SA_FX "\n"
	    "	movq " SA_IN ", %mm2\n"
	    "	movq %mm6, 8+" SA_IN "\n"
	    "	fxsave64 " SA_OUT "\n"
	    "	emms\n"
	    "	fnstenv 0x200+" SA_OUT "\n");
	m_end(&m);
	CHECK_EQ(m_peek(&m, A_IN + 8, 8), one.m);
	CHECK_EQ(OUT_FSW(&m), 0);
	CHECK_EQ(OUT_FTW(&m), 0xff);
	check_st(&m, 2, (struct reg){ 0x0123456789abcdefULL, 0xffff });
	check_st(&m, 6, one);
	CHECK_EQ(m_peek(&m, A_OUT + 0x208, 2), 0xffff);
	m_close(&m);
}

/* FXSAVE, FXRSTOR (vol. 1 10.5) */

TEST(fxsave_layouts)
{
	struct mach m;

	open_mode(&m, LM64);
	image(&m, 0x37f, TOP(7), &one, 1);
	m_poke(&m, A_FX + 6, 0xffff, 2);
	m_poke(&m, A_FX + 8, 0x1122334455667788ULL, 8);
	m_poke(&m, A_FX + 16, 0x99aabbccddeeff00ULL, 8);
	m_fill(&m, A_FX + 160, 0x77, 256);
	m_fill(&m, A_OUT, 0xa5, 0x400);
	ASM(&m, 64, "fxrstor64 " SA_FX "\n"
	    "	fxsave64 " SA_OUT "\n"
	    "	fxsave 0x200+" SA_OUT "\n");
	m_end(&m);
	CHECK_EQ(m_peek(&m, A_OUT + 6, 2), 0x7ff);
	CHECK_EQ(m_peek(&m, A_OUT + 8, 8), 0x1122334455667788ULL);
	CHECK_EQ(m_peek(&m, A_OUT + 16, 8), 0x99aabbccddeeff00ULL);
	CHECK_EQ(m_peek(&m, A_OUT + 28, 4), 0xffff);
	CHECK_EQ(m_peek(&m, A_OUT + 160 + 248, 8), 0x7777777777777777ULL);
	CHECK_EQ(m_peek(&m, A_OUT + 416, 8), 0xa5a5a5a5a5a5a5a5ULL);
	CHECK_EQ(m_peek(&m, A_OUT + 504, 8), 0xa5a5a5a5a5a5a5a5ULL);
	/* 32-bit pointers; no selectors (CPUID leaf 7, EBX bit 13) */
	CHECK_EQ(m_peek(&m, A_OUT + 0x208, 8), 0x55667788);
	CHECK_EQ(m_peek(&m, A_OUT + 0x210, 8), 0xddeeff00);
	CHECK_EQ(m_peek(&m, A_OUT + 0x200 + 160 + 248, 8), 0x7777777777777777ULL);
	/* Outside 64-bit mode there are eight XMM registers. */
	m_mode(&m, PM32, 0);
	SET(&m, CR4, CR4_OSFXSR);
	m_fill(&m, A_OUT, 0xa5, 0x400);
	ASM(&m, 32, "fxrstor " SA_FX "\n	fxsave " SA_OUT "\n");
	m_end(&m);
	CHECK_EQ(m_peek(&m, A_OUT + 160 + 120, 8), 0x7777777777777777ULL);
	CHECK_EQ(m_peek(&m, A_OUT + 160 + 128, 8), 0xa5a5a5a5a5a5a5a5ULL);
	/* Without CR4.OSFXSR neither XMM registers nor MXCSR are part of it. */
	SET(&m, CR4, 0);
	SET(&m, RIP, CODE);
	m_fill(&m, A_OUT, 0xa5, 0x400);
	m_poke(&m, A_FX + 24, 0xffffffff, 4);
	m_end(&m);
	CHECK_EQ(m_peek(&m, A_OUT + 24, 8), 0xa5a5a5a5a5a5a5a5ULL);
	CHECK_EQ(m_peek(&m, A_OUT + 160, 8), 0xa5a5a5a5a5a5a5a5ULL);
	check_st(&m, 0, one);
	m_close(&m);
}

TEST(fxsave_faults)
{
	struct mach m;

	open_mode(&m, LM64);
	image(&m, 0x37f, 0, &one, 1);
	ON_IMAGE(&m, "fxsave64 8+" SA_OUT);
	m_expect(&m, GP, 0);
	ON_IMAGE(&m, "fxrstor64 8+" SA_OUT);
	m_expect(&m, GP, 0);
	/* reserved bits of MXCSR: nothing is loaded */
	m_fill(&m, A_IN, 0, 512);
	m_poke(&m, A_IN + 24, 0x10000, 4);
	ON_IMAGE(&m, "fxrstor64 " SA_IN);
	m_expect(&m, GP, 0);
	ASM_AT(&m, CODE + 0x100, 64, "fxsave64 " SA_OUT "\n" END);
	m_return_to(&m, CODE + 0x100);
	m_end(&m);
	check_st(&m, 0, one);
	CHECK_EQ(m_peek(&m, A_OUT + 24, 4), 0x1f80);
	/* LDMXCSR likewise */
	ON_IMAGE(&m, "ldmxcsr 24+" SA_IN);
	m_expect(&m, GP, 0);
	m_mode(&m, LM64, 0);
	m.what = "without CR4.OSFXSR";
	ASM(&m, 64, "stmxcsr " SA_OUT);
	m_expect(&m, UD, NOERR);
	m_mode(&m, LM64, 0);
	SET(&m, CR4, CR4_PAE | CR4_OSFXSR);
	SET(&m, CR0, GET(&m, CR0) | CR0_TS);
	m.what = "with CR0.TS";
	ASM(&m, 64, "stmxcsr " SA_OUT);
	m_expect(&m, NM, NOERR);
	m_close(&m);
}

/* Error reporting the way of the PC (vol. 1 8.7.2): CR0.NE is clear */

#define	IRQ13_VECTOR	0x75

/* The 8259 pair with all but the cascade and line 13 masked. */
static const char pic_setup[] = "pic";

static void
irq13(struct mach *m, bool enabled)
{
	m->what = pic_setup;
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

static void *
kick(void *arg)
{
	usleep(100000);
	CHECK_EQ(vm_vcpu_kick(arg), 0);
	return (NULL);
}

/* With interrupts off it stands before the waiting instruction, and can be stopped there. */
TEST(ferr_without_interrupts_waits)
{
	pthread_t thread;
	struct mach m;

	m_open(&m);
	irq13(&m, false);
	CHECK_EQ(pthread_create(&thread, NULL, kick, m.cpu), 0);
	m_run(&m);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(m.ex.code, VM_EXIT_KICKED);
	CHECK_EQ(GET(&m, RIP), GET(&m, RDX) & 0xffff);
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
		__asm__ volatile("fninit; fld1; fldpi; fdivp; fstp %%st(0); fldcw %0" : : "m"(words[i]) : "st", "st(1)");
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
