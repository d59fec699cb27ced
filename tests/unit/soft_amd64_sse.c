/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_sse.c - MMX and SSE instructions of the software amd64 CPU where a comparison of single
 * instructions with the host does not reach: control registers, faults of memory operands, unmasked
 * exceptions, and that nothing of the host's floating-point state shows.
 */
#include "amd64/amd64.h"
#include "soft_amd64_guest.h"

#ifdef __x86_64__

#define	FAULT	0xf5		/* port written by every exception handler */
#define	STUBS	0x18000
#define	CODE_TRIED 0x400000
#define	NONE	0xff		/* instead of a vector */

#define	CR0	0x80000011ULL
#define	EM	4ULL
#define	TS	8ULL
#define	CR4	0x620ULL
#define	OSFXSR	0x200ULL
#define	OSXMM	0x400ULL
#define	UD	6U
#define	NM	7U
#define	GP	13U
#define	PF	14U
#define	MF	16U
#define	XM	19U

/* MXCSR and FXSAVE image */
#define	IE	0x01U
#define	DE	0x02U
#define	ZE	0x04U
#define	OE	0x08U
#define	UE	0x10U
#define	PE	0x20U
#define	MASKED	0x1f80U
#define	UNMASK(e)	(MASKED & ~((e) << 7))
#define	FX_FSW	2
#define	FX_FTW	4
#define	FX_MXCSR 24
#define	FX_ST	32
#define	FX_XMM	160

static struct guest g;
static struct amd64_state *s;

static void
open_guest(void)
{
	static const uint8_t nothing[1] = { 0xf4 };

	guest_open(&g, nothing, nothing + 1);
	mode64(&g, g.vcpu);
	SET(&g, CR0, CR0);
	SET(&g, CR4, CR4);
	for (unsigned v = 0; v < 32; v++) {
		/* push $v; out %al, $FAULT */
		poke(&g, STUBS + 16 * v, 0x6a | v << 8 | 0xf5e60000U, 4);
		gate64(&g, v, STUBS - CODE + 16 * v);
	}
	s = g.vcpu->state;
	SET(&g, RDI, DATA);
	SET(&g, RSI, DATA + 0x1000);
}

static void
fx_set(unsigned at, uint64_t v, size_t size)
{
	memcpy(s->fxsave + at, &v, size);
}

static uint64_t
fx(unsigned at, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, s->fxsave + at, size);
	return (v);
}

static void
xmm_set(unsigned n, uint64_t high, uint64_t low)
{
	fx_set(FX_XMM + 16 * n, low, 8);
	fx_set(FX_XMM + 16 * n + 8, high, 8);
}

#define	CHECK_XMM(n, high, low) do {						\
	CHECK_EQ(fx(FX_XMM + 16 * (n), 8), low);				\
	CHECK_EQ(fx(FX_XMM + 16 * (n) + 8, 8), high);				\
} while (0)

/*
 * Execute code that ends with FINISH: the vector of its exception, or NONE.  Code is not replaced
 * while the guest may have it decoded: each time it is somewhere else.
 */
static unsigned
try(const uint8_t *code, const uint8_t *end)
{
	static uint64_t at = CODE_TRIED;

	memcpy(g.mem + at, code, (size_t)(end - code));
	SET(&g, RIP, at);
	at += 128;
	SET(&g, RSP, STACK);
	run(&g);
	CHECKF(g.ex.code == VM_EXIT_IO && g.ex.u.io.write, "exit %d at %#llx", g.ex.code,
	    (unsigned long long)g.ex.pc);
	if (g.ex.u.io.port == END)
		return (NONE);
	CHECK_EQ(g.ex.u.io.port, FAULT);
	return ((unsigned)peek(&g, GET(&g, RSP), 1));
}
#define	TRY(name)	try(name, name##_end)
/* The error code of the last exception that has one. */
#define	ERROR()		peek(&g, GET(&g, RSP) + 8, 8)

/*
 * Control registers and pending x87 exceptions (SDM vol. 3 13.1, 12.1, 12.5; 6.15, #MF)
 */

GUEST(xmm_add, 64, "paddb %xmm1, %xmm0\n" FINISH);
GUEST(xmm_move, 64, "movups %xmm1, (%rdi)\n" FINISH);
GUEST(xmm_float, 64, "addps %xmm1, %xmm0\n" FINISH);
GUEST(xmm_convert, 64, "cvtsi2sd %rax, %xmm0\n" FINISH);
GUEST(mm_add, 64, "paddb %mm1, %mm0\n" FINISH);
GUEST(mm_shuffle, 64, "pshufw $0x1b, %mm1, %mm0\n" FINISH);
GUEST(mm_move, 64, "movq %mm1, (%rdi)\n" FINISH);
GUEST(mm_to_xmm, 64, "movq2dq %mm1, %xmm0\n" FINISH);
GUEST(mm_convert, 64, "cvtpi2ps %mm1, %xmm0\n" FINISH);
GUEST(mem_convert, 64, "cvtpi2pd (%rdi), %xmm0\n" FINISH);
GUEST(store_int, 64, "movnti %eax, (%rdi)\n" FINISH);

TEST(control_registers_deny_mmx_and_sse)
{
	static const struct {
		const uint8_t *code, *end;
		bool xmm, mm;
	} insns[] = {
#define	I(name, xmm, mm)	{ name, name##_end, xmm, mm }
		I(xmm_add, true, false), I(xmm_move, true, false), I(xmm_float, true, false),
		I(xmm_convert, true, false), I(mm_add, false, true), I(mm_shuffle, false, true),
		I(mm_move, false, true), I(mm_to_xmm, true, true), I(mm_convert, true, true),
		I(mem_convert, true, false), I(store_int, false, false),
#undef I
	};

	open_guest();
	for (size_t n = 0; n < sizeof(insns) / sizeof(insns[0]); n++) {
		bool xmm = insns[n].xmm, mm = insns[n].mm;
#define	EXPECT(cr0, cr4, vector) do {						\
	unsigned want_ = (vector), got_;					\
	SET(&g, CR0, cr0);							\
	SET(&g, CR4, cr4);							\
	got_ = try(insns[n].code, insns[n].end);				\
	CHECKF(got_ == want_, "instruction %zu: vector %u instead of %u", n, got_, want_);	\
} while (0)
		fx_set(FX_FSW, 0, 2);
		EXPECT(CR0, CR4, NONE);
		EXPECT(CR0 | EM, CR4, xmm || mm ? UD : NONE);
		EXPECT(CR0 | TS, CR4, xmm || mm ? NM : NONE);
		EXPECT(CR0 | EM | TS, CR4, xmm || mm ? UD : NONE);
		EXPECT(CR0, CR4 & ~OSFXSR, xmm ? UD : NONE);
		EXPECT(CR0 | TS, CR4 & ~OSFXSR, xmm ? UD : mm ? NM : NONE);
		/* an invalid operation that waits */
		fx_set(0, 0x37e, 2);
		fx_set(FX_FSW, 0x8081, 2);
		EXPECT(CR0 | 0x20, CR4, mm ? MF : NONE);
		EXPECT(CR0 | 0x20 | TS, CR4, xmm || mm ? NM : NONE);
		fx_set(0, 0x37f, 2);
#undef EXPECT
	}
}

/*
 * Memory operands (SDM vol. 2 2.4)
 */

GUEST(load_aligned, 64, "movaps (%rsi), %xmm0\n" FINISH);
GUEST(store_aligned, 64, "movdqa %xmm0, (%rsi)\n" FINISH);
GUEST(store_past, 64, "movntdq %xmm0, (%rsi)\n" FINISH);
GUEST(operand, 64, "pxor (%rsi), %xmm0\n" FINISH);
GUEST(float_operand, 64, "sqrtps (%rsi), %xmm0\n" FINISH);
GUEST(load_any, 64, "movups (%rsi), %xmm0\n" FINISH);
GUEST(load_lddqu, 64, "lddqu (%rsi), %xmm0\n" FINISH);
GUEST(store_any, 64, "movdqu %xmm0, (%rsi)\n" FINISH);
GUEST(compare_any, 64, "pcmpistri $0, (%rsi), %xmm0\n" FINISH);
GUEST(scalar_any, 64, "addsd (%rsi), %xmm0\n" FINISH);
GUEST(half_any, 64, "pmovzxbw (%rsi), %xmm0\n" FINISH);
GUEST(mm_any, 64, "paddd (%rsi), %mm0\n" FINISH);

TEST(sixteen_bytes_are_aligned_but_in_the_forms_that_say_not)
{
	static const struct {
		const uint8_t *code, *end;
		bool aligned;
	} insns[] = {
#define	I(name, aligned)	{ name, name##_end, aligned }
		I(load_aligned, true), I(store_aligned, true), I(store_past, true), I(operand, true),
		I(float_operand, true), I(load_any, false), I(load_lddqu, false), I(store_any, false),
		I(compare_any, false), I(scalar_any, false), I(half_any, false), I(mm_any, false),
#undef I
	};

	open_guest();
	for (size_t n = 0; n < sizeof(insns) / sizeof(insns[0]); n++) {
		for (unsigned off = 0; off < 16; off++) {
			unsigned want = insns[n].aligned && off != 0 ? GP : NONE, got;

			SET(&g, RSI, DATA + 0x100 + off);
			got = try(insns[n].code, insns[n].end);
			CHECKF(got == want, "instruction %zu, offset %u: vector %u instead of %u", n, off,
			    got, want);
			if (got == GP)
				CHECK_EQ(ERROR(), 0);
		}
	}
	/* the address is looked at before the page */
	poke(&g, PTE64(DATA + 0x1000), 0, 8);
	SET(&g, RSI, DATA + 0x1008);
	CHECK_EQ(TRY(load_aligned), GP);
	SET(&g, RSI, DATA + 0x1010);
	CHECK_EQ(TRY(load_aligned), PF);
	CHECK_EQ(GET(&g, CR2), DATA + 0x1010);
	CHECK_EQ(ERROR(), 0);
}

TEST(operands_across_pages_come_whole_or_not_at_all)
{
	const uint64_t a = 0x1122334455667788, b = 0x99aabbccddeeff00;

	open_guest();
	/* the pages are not neighbours in memory */
	poke(&g, PTE64(DATA + 0x1000), (DATA + 0x4000) | 3, 8);
	SET(&g, RSI, DATA + 0x1000 - 6);
	xmm_set(0, b, a);
	CHECK_EQ(TRY(store_any), NONE);
	CHECK_EQ(peek(&g, DATA + 0x1000 - 6, 6), a & 0xffffffffffff);
	CHECK_EQ(peek(&g, DATA + 0x4000, 8), a >> 48 | b << 16);
	CHECK_EQ(peek(&g, DATA + 0x4008, 2), b >> 48);
	xmm_set(0, 0, 0);
	CHECK_EQ(TRY(load_any), NONE);
	CHECK_XMM(0, b, a);

	/* the second page cannot be written: the first one stays as it is */
	SET(&g, CR0, CR0 | 0x10000);
	poke(&g, PTE64(DATA + 0x1000), (DATA + 0x4000) | 1, 8);
	SET(&g, CR3, TABLES);
	xmm_set(0, 0, 0);
	CHECK_EQ(TRY(store_any), PF);
	CHECK_EQ(GET(&g, CR2), DATA + 0x1000);
	CHECK_EQ(ERROR(), 3);
	CHECK_EQ(peek(&g, DATA + 0x1000 - 6, 6), a & 0xffffffffffff);
	CHECK_EQ(TRY(load_any), NONE);
	CHECK_XMM(0, b, a);

	/* it is not there */
	poke(&g, PTE64(DATA + 0x1000), 0, 8);
	SET(&g, CR3, TABLES);
	xmm_set(0, 1, 2);
	CHECK_EQ(TRY(load_any), PF);
	CHECK_EQ(GET(&g, CR2), DATA + 0x1000);
	CHECK_EQ(ERROR(), 0);
	CHECK_XMM(0, 1, 2);
	fx_set(FX_FSW, 0, 2);
	fx_set(FX_FTW, 0, 1);
	SET(&g, RSI, DATA + 0x1000 - 4);
	CHECK_EQ(TRY(mm_any), PF);
	CHECK_EQ(fx(FX_FTW, 1), 0);
}

GUEST(masked_store, 64, "maskmovdqu %xmm1, %xmm0\n" FINISH);
GUEST(masked_gs, 64, "gs maskmovdqu %xmm1, %xmm0\n" FINISH);

TEST(masked_stores_write_the_bytes_that_are_selected)
{
	open_guest();
	xmm_set(0, 0x1716151413121110, 0x0706050403020100);
	xmm_set(1, 0x80ff7f0000000081, 0x0000000000008000);
	for (unsigned k = 0; k < 24; k++)
		g.mem[DATA + k] = 0xee;
	SET(&g, RDI, DATA + 1);
	CHECK_EQ(TRY(masked_store), NONE);
	CHECK_EQ(peek(&g, DATA, 8), 0xeeeeeeeeee01eeee);
	CHECK_EQ(peek(&g, DATA + 8, 8), 0x16eeeeeeeeee10ee);
	CHECK_EQ(peek(&g, DATA + 16, 8), 0xeeeeeeeeeeeeee17);
	CHECK_EQ(vm_set_desc(g.vcpu, VM_AMD64_REG_GS, 0x800, 0xffffffff, 0xc093), 0);
	CHECK_EQ(TRY(masked_gs), NONE);
	CHECK_EQ(peek(&g, DATA + 0x801, 2), 0x0100);
}

/*
 * Unmasked exceptions (SDM vol. 1 11.5)
 */

GUEST(divide, 64, "divps %xmm1, %xmm0\n" FINISH);
GUEST(compare, 64, "xor %eax, %eax\nsub $1, %rax\ncomisd %xmm1, %xmm0\n" FINISH);
GUEST(multiply, 64, "mulss %xmm1, %xmm0\n" FINISH);
GUEST(to_int, 64, "cvtsd2si %xmm0, %rax\n" FINISH);
GUEST(dot, 64, "dpps $0xff, %xmm1, %xmm0\n" FINISH);
GUEST(round_quiet, 64, "roundsd $8, %xmm0, %xmm1\n" FINISH);
GUEST(round_loud, 64, "roundsd $0, %xmm0, %xmm1\n" FINISH);

#define	ONE4	0x3f8000003f800000ULL
#define	SINGLES(b, a)	((uint64_t)(b) << 32 | (a))

TEST(unmasked_exceptions_leave_the_destination_and_tell_what_was_found)
{
	open_guest();
	/* 1/0 beside an inexact 1/3: found before the computation, of which nothing is told */
	xmm_set(0, ONE4, ONE4);
	xmm_set(1, ONE4, SINGLES(0x40400000, 0));
	fx_set(FX_MXCSR, UNMASK(ZE), 4);
	CHECK_EQ(TRY(divide), XM);
	CHECK_EQ(fx(FX_MXCSR, 4), UNMASK(ZE) | ZE);
	CHECK_XMM(0, ONE4, ONE4);
	/* without the system's support it is an undefined instruction */
	fx_set(FX_MXCSR, UNMASK(ZE), 4);
	SET(&g, CR4, CR4 & ~OSXMM);
	CHECK_EQ(TRY(divide), UD);
	CHECK_XMM(0, ONE4, ONE4);
	SET(&g, CR4, CR4);
	/* masked: both are told; the inexact one unmasked: both, and no result */
	fx_set(FX_MXCSR, UNMASK(PE), 4);
	CHECK_EQ(TRY(divide), XM);
	CHECK_EQ(fx(FX_MXCSR, 4), UNMASK(PE) | ZE | PE);
	CHECK_XMM(0, ONE4, ONE4);
	fx_set(FX_MXCSR, MASKED | IE, 4);
	CHECK_EQ(TRY(divide), NONE);
	CHECK_EQ(fx(FX_MXCSR, 4), MASKED | IE | ZE | PE);
	CHECK_XMM(0, ONE4, SINGLES(0x3eaaaaab, 0x7f800000));
	/* a flag that is set already raises nothing */
	xmm_set(0, ONE4, ONE4);
	xmm_set(1, ONE4, ONE4);
	fx_set(FX_MXCSR, UNMASK(ZE | PE) | ZE | PE, 4);
	CHECK_EQ(TRY(divide), NONE);
}

TEST(flags_and_registers_stay_when_a_comparison_or_conversion_faults)
{
	open_guest();
	xmm_set(0, 0, 0x7ff8000000000000);
	xmm_set(1, 0, 0);
	fx_set(FX_MXCSR, UNMASK(IE), 4);
	CHECK_EQ(TRY(compare), XM);
	CHECK_EQ(GET(&g, RFLAGS) & 0x8d5, 0x95);
	CHECK_EQ(fx(FX_MXCSR, 4), UNMASK(IE) | IE);
	fx_set(FX_MXCSR, MASKED, 4);
	CHECK_EQ(TRY(compare), NONE);
	CHECK_EQ(GET(&g, RFLAGS) & 0x8d5, 0x45);
	CHECK_EQ(fx(FX_MXCSR, 4), MASKED | IE);
	SET(&g, RAX, 5);
	fx_set(FX_MXCSR, UNMASK(IE), 4);
	CHECK_EQ(TRY(to_int), XM);
	CHECK_EQ(GET(&g, RAX), 5);
	fx_set(FX_MXCSR, MASKED, 4);
	CHECK_EQ(TRY(to_int), NONE);
	CHECK_EQ(GET(&g, RAX), 0x8000000000000000);
}

/* SDM vol. 1 4.9.1.4, 4.9.1.5, 11.5.2.5 */
TEST(unmasked_overflow_and_underflow_look_at_unbounded_exponents)
{
	static const struct {
		uint32_t a, b, mx, flags;
		bool xm;
	} cases[] = {
		/* the smallest normal number / 2: tiny and exact */
		{ 0x00800000, 0x3f000000, MASKED, 0, false },
		{ 0x00800000, 0x3f000000, MASKED | 0x8000, UE | PE, false },
		{ 0x00800000, 0x3f000000, UNMASK(UE), UE, true },
		{ 0x00800000, 0x3f000000, UNMASK(UE) | 0x8000, UE, true },
		{ 0x00800000, 0x3f000000, UNMASK(PE), 0, false },
		/* exact but for the exponent; inexact anyway */
		{ 0x00800001, 0x3f000000, MASKED, UE | PE, false },
		{ 0x00800001, 0x3f000000, UNMASK(UE), UE, true },
		{ 0x00aaaaaa, 0x3aaaaaaa, UNMASK(UE), UE | PE, true },
		/* the largest number * 2, and squared */
		{ 0x7f7fffff, 0x40000000, MASKED, OE | PE, false },
		{ 0x7f7fffff, 0x40000000, UNMASK(OE), OE, true },
		{ 0x7f7fffff, 0x40000000, UNMASK(PE), OE | PE, true },
		{ 0x7f7fffff, 0x7f7fffff, UNMASK(OE), OE | PE, true },
		/* a denormal operand comes first */
		{ 0x00000001, 0x3f000000, UNMASK(UE | DE), DE, true },
		{ 0x00000001, 0x3f000000, UNMASK(UE), DE | UE, true },
		{ 0x00000001, 0x3f000000, UNMASK(UE | DE) | 0x40, 0, false },
	};

	open_guest();
	for (size_t n = 0; n < sizeof(cases) / sizeof(cases[0]); n++) {
		unsigned v;

		xmm_set(0, 3, SINGLES(2, cases[n].a));
		xmm_set(1, 7, cases[n].b);
		fx_set(FX_MXCSR, cases[n].mx, 4);
		v = TRY(multiply);
		CHECKF(v == (cases[n].xm ? XM : NONE), "case %zu: vector %u", n, v);
		CHECKF(fx(FX_MXCSR, 4) == (cases[n].mx | cases[n].flags), "case %zu: MXCSR %#llx", n,
		    (unsigned long long)fx(FX_MXCSR, 4));
		if (cases[n].xm)
			CHECK_EQ(fx(FX_XMM, 8), SINGLES(2, cases[n].a));
		CHECK_EQ(fx(FX_XMM + 4, 4), 2);
		CHECK_EQ(fx(FX_XMM + 8, 8), 3);
	}
	/* a dot product stops at the step that has the exception: the sum is invalid, the products overflow */
	xmm_set(0, 0, SINGLES(0x7f7fffff, 0x7f7fffff));
	xmm_set(1, 0, SINGLES(0xff7fffff, 0x7f7fffff));
	fx_set(FX_MXCSR, UNMASK(OE | IE), 4);
	CHECK_EQ(TRY(dot), XM);
	CHECK_EQ(fx(FX_MXCSR, 4), UNMASK(OE | IE) | OE | PE);
	fx_set(FX_MXCSR, UNMASK(IE), 4);
	CHECK_EQ(TRY(dot), XM);
	CHECK_EQ(fx(FX_MXCSR, 4), UNMASK(IE) | OE | PE | IE);
}

TEST(rounding_keeps_quiet_when_told_to)
{
	open_guest();
	xmm_set(0, 0, 0x3ff8000000000000);
	xmm_set(1, 0, 0);
	fx_set(FX_MXCSR, UNMASK(PE), 4);
	CHECK_EQ(TRY(round_quiet), NONE);
	CHECK_EQ(fx(FX_MXCSR, 4), UNMASK(PE));
	CHECK_EQ(fx(FX_XMM + 16, 8), 0x4000000000000000);
	CHECK_EQ(TRY(round_loud), XM);
	CHECK_EQ(fx(FX_MXCSR, 4), UNMASK(PE) | PE);
}

/* Flags of one instruction, or of the host, are not another's. */
GUEST(inexact_then_exact, 64,
    "	divss	%xmm1, %xmm0\n"
    "	stmxcsr	(%rdi)\n"
    "	movl	$0x1f80, 4(%rdi)\n"
    "	ldmxcsr	4(%rdi)\n"
    "	mulss	%xmm2, %xmm2\n"
    "	cvtsi2ss %ebx, %xmm3\n"
    "	stmxcsr	8(%rdi)\n"
    "	divss	%xmm1, %xmm2\n"
    "	stmxcsr	12(%rdi)\n"
    "	addss	%xmm2, %xmm2\n"
    "	stmxcsr	16(%rdi)\n"
    FINISH);

TEST(exception_flags_are_those_of_the_guests_instructions)
{
	volatile double third = 3;

	open_guest();
	third = 1 / third;		/* the host has its inexact flag now */
	xmm_set(0, 0, 0x3f800000);
	xmm_set(1, 0, 0x40400000);
	xmm_set(2, 0, 0x3f800000);
	fx_set(FX_MXCSR, MASKED, 4);
	SET(&g, RBX, 3);
	CHECK_EQ(TRY(inexact_then_exact), NONE);
	CHECK_EQ(peek(&g, DATA, 4), MASKED | PE);
	CHECK_EQ(peek(&g, DATA + 8, 4), MASKED);
	CHECK_EQ(peek(&g, DATA + 12, 4), MASKED | PE);
	CHECK_EQ(peek(&g, DATA + 16, 4), MASKED | PE);
}

static volatile double device_value = 3;

static void
device_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	uint32_t mx;

	/* a device may compute, under the caller's mode or the initial one, not under the guest's */
	__asm__ volatile("stmxcsr %0" : "=m" (mx));
	CHECK_EQ(mx & ~0x3fU, MASKED);
	device_value = 1 / device_value;
}

GUEST(around_a_device, 64,
    "	divss	%xmm3, %xmm0\n"		/* by zero */
    "	out	%al, $0x70\n"
    "	mulss	%xmm1, %xmm1\n"
    "	stmxcsr	(%rdi)\n"
    "	out	%al, $0x70\n"
    "	stmxcsr	4(%rdi)\n"
    "	out	%al, $0x70\n"
    "	fxsave	0x200(%rdi)\n"
    "	divss	%xmm2, %xmm1\n"
    FINISH);

TEST(what_devices_compute_does_not_show)
{
	static const struct vm_range_spec spec = { .name = "computes", .space = VM_SPACE_IO, .base = 0x70,
	    .len = 1, .write = device_write };

	open_guest();
	CHECK(vm_range_add(g.vm, &spec) != NULL);
	for (uint32_t rc = 0; rc < 2; rc++) {
		xmm_set(0, 0, 0x3f800000);
		xmm_set(1, 0, 0x3f800000);
		xmm_set(2, 0, 0x40400000);
		xmm_set(3, 0, 0);
		fx_set(FX_MXCSR, MASKED | rc << 13, 4);
		CHECK_EQ(TRY(around_a_device), NONE);
		CHECK_EQ(peek(&g, DATA, 4), MASKED | rc << 13 | ZE);
		CHECK_EQ(peek(&g, DATA + 4, 4), MASKED | rc << 13 | ZE);
		CHECK_EQ(peek(&g, DATA + 0x200 + FX_MXCSR, 4), MASKED | rc << 13 | ZE);
		CHECK_EQ(fx(FX_MXCSR, 4), MASKED | rc << 13 | ZE | PE);
	}
}

TEST(the_guests_rounding_and_the_callers_do_not_meet)
{
	static const uint32_t want[4] = { 0x3eaaaaab, 0x3eaaaaaa, 0x3eaaaaab, 0x3eaaaaaa };
	uint32_t mx = 0x7f80, now;	/* towards zero */

	open_guest();
	for (uint32_t rc = 0; rc < 4; rc++) {
		xmm_set(0, 0, 0x3f800000);
		xmm_set(1, ONE4, SINGLES(0x3f800000, 0x40400000));
		fx_set(FX_MXCSR, MASKED | rc << 13, 4);
		__asm__ volatile("ldmxcsr %0" : : "m" (mx));
		CHECK_EQ(TRY(divide), NONE);
		__asm__ volatile("stmxcsr %0" : "=m" (now));
		CHECK_EQ(now & ~0x3fU, mx);
		CHECK_EQ(fx(FX_XMM, 4), want[rc]);
	}
	mx = MASKED;
	__asm__ volatile("ldmxcsr %0" : : "m" (mx));
}

/*
 * MMX registers are x87 registers (SDM vol. 1 9.2, vol. 3 12.2)
 */

GUEST(mm_write, 64, "movq %rax, %mm3\n" FINISH);
GUEST(mm_read, 64, "movq %mm5, %rax\n" FINISH);

TEST(mmx_instructions_make_register_0_the_top)
{
	open_guest();
	/* top is register 5: ST(0) */
	fx_set(FX_FSW, 5 << 11 | 0x4700, 2);
	fx_set(FX_FTW, 0x20, 1);
	for (unsigned n = 0; n < 8; n++) {
		fx_set(FX_ST + 16 * n, 0x8000000000000000 | n, 8);
		fx_set(FX_ST + 16 * n + 8, 0x4000 + n, 2);
	}
	SET(&g, RAX, 0x0123456789abcdef);
	CHECK_EQ(TRY(mm_read), NONE);
	CHECK_EQ(GET(&g, RAX), 0x8000000000000000);
	CHECK_EQ(fx(FX_FSW, 2), 0x4700);
	CHECK_EQ(fx(FX_FTW, 1), 0xff);
	SET(&g, RAX, 0x0123456789abcdef);
	CHECK_EQ(TRY(mm_write), NONE);
	for (unsigned n = 0; n < 8; n++) {
		unsigned old = (n - 5) & 7;

		CHECK_EQ(fx(FX_ST + 16 * n, 8), n == 3 ? 0x0123456789abcdef : 0x8000000000000000 | old);
		CHECK_EQ(fx(FX_ST + 16 * n + 8, 2), n == 3 ? 0xffff : 0x4000 + old);
	}
}

/*
 * 32- and 16-bit code
 */

GUEST(real_code, 16,
    "	movl	$0x600, %eax\n"
    "	movl	%eax, %cr4\n"
    "	movw	$0x2000, %ax\n"
    "	movw	%ax, %ds\n"
    "	movups	(0x11), %xmm7\n"
    "	paddw	%xmm7, %xmm7\n"
    "	movups	%xmm7, (0x31)\n"
    "	cvtsi2sd %ecx, %xmm1\n"
    "	movsd	%xmm1, (0x50)\n"
    "	movups	%xmm1, (0xfff8)\n"	/* beyond the limit */
    FINISH);

TEST(sse_works_in_real_mode)
{
	struct guest r;

	OPEN(&r, real_code);
	mode16(&r);
	gate16(&r, GP, 0x100);
	/* movb $GP, %bl; out %al, $END */
	poke(&r, CODE + 0x100, 0xf4e60db3, 4);
	poke(&r, 0x20011, 0x0001000200030004, 8);
	SET(&r, RCX, (uint64_t)(uint32_t)-3);
	finish(&r);
	CHECK_EQ(GET(&r, RBX) & 0xff, GP);
	CHECK_EQ(peek(&r, 0x20031, 8), 0x0002000400060008);
	CHECK_EQ(peek(&r, 0x20050, 8), 0xc008000000000000);
}

#else

TEST(soft_amd64_sse)
{
	SKIP("the software amd64 CPU runs on amd64 hosts");
}

#endif

TEST_MAIN()
