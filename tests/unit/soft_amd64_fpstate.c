/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_fpstate.c - the software amd64 CPU's x87, MMX and SSE state as a whole: the x87
 * environment's layouts in each mode, FSAVE and FRSTOR, what MMX instructions make of x87 state,
 * FXSAVE and FXRSTOR in and out of 64-bit mode.
 *
 * Sections are those of the Intel SDM.
 */
#include "soft_amd64_x87.h"

#ifdef __x86_64__

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
		{ PM32, 32, 4, false }, { PM32, 32, 2, false }, { LM64, 64, 4, false },
		{ LM64, 64, 2, false }, { PM16, 16, 2, false }, { PM16, 16, 4, false },
		{ CM16, 16, 2, false }, { CM16, 16, 4, false }, { REAL, 16, 2, true },
		{ REAL, 16, 4, true }, { V86, 16, 2, true }, { V86, 16, 4, true },
	};
	struct mach m;

	open_mode(&m, PM32);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool a32 = cases[i].bits == 16, other = a32 == (cases[i].width == 4);
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
	static const struct reg st[3] = {
		{ 1ULL << 63, 0x3fff }, { 3ULL << 62, 0x4000 }, { 5ULL << 61, 0xc001 },
	};
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

#else

TEST(needs_an_amd64_host)
{
	SKIP("the software amd64 CPU needs an amd64 host");
}

#endif

TEST_MAIN()
