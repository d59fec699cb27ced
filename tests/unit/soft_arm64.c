/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arm64 core of the software back end: instructions, memory, exceptions, translation, interrupts, PSCI, each by small programs.
 *
 * A program is the words of its instructions, the assembler's text beside them.  It starts at the beginning of RAM at EL1 with the MMU off and
 * ends by a store to DONE, where nobody is.
 */
#include <sys/syscall.h>

#include "vm_fixture.h"

#include <pthread.h>

#include "arm64/arm64.h"

#define	RAM	0x40000000ULL
#define	MEG	0x100000ULL
#define	DONE	0x09000000ULL
#define	VECTORS	(RAM + 0x1000)
#define	DATA	(RAM + 0x8000)
#define	TABLES	(RAM + 0x10000)
#define	STACK	(RAM + 0x40000)

#define	X(n)	(VM_ARM64_REG_X0 + (n))

static struct vmctx *vm;
static struct vcpu *cpu;

/* The C library's, for all of this program: the host's clock, which is as much later at each look as a test wants it to be, in nanoseconds. */
static _Atomic uint64_t clock_step, clock_ahead;

int
clock_gettime(clockid_t id, struct timespec *ts)
{
	int error = (int)syscall(SYS_clock_gettime, id, ts);
	uint64_t ns;

	if (error != 0 || id != CLOCK_MONOTONIC)
		return (error);
	ns = (uint64_t)ts->tv_nsec + atomic_fetch_add(&clock_ahead, atomic_load(&clock_step)) + atomic_load(&clock_step);
	ts->tv_sec += (time_t)(ns / 1000000000);
	ts->tv_nsec = (long)(ns % 1000000000);
	return (0);
}

#define	get		tv_get
#define	set		tv_set
#define	peek(gpa)	tv_peek(vm, (gpa))
#define	poke(gpa, v)	tv_poke(vm, (gpa), (v))

static void
load(uint64_t gpa, const uint32_t *code, size_t size)
{
	/* A way that a processor with decoded code hears of. */
	CHECK_EQ(vm_gpa_write(vm, gpa, code, size), 0);
}

static void
new_vm(enum vm_clock_source clock, unsigned ncpus)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_ARM64, .accel = VM_ACCEL_SOFT, .clock = clock };

	vm = tv_spec(&spec, 16 * MEG, ncpus);
	cpu = vm->vcpus[0];
	set(cpu, VM_ARM64_REG_PC, RAM);
	set(cpu, VM_ARM64_REG_SP_EL1, STACK);
	set(cpu, VM_ARM64_REG_VBAR_EL1, VECTORS);
}

#define	START(code) do {					\
	new_vm(VM_CLOCK_HOST, 1);				\
	load(RAM, (code), sizeof(code));			\
} while (0)

static struct vm_exit ex;

static void
step_out(void)
{
	CHECKF(vm_run(cpu, &ex) == 0, "%s", vm_errmsg());
}

/* Run to the end of the program. */
static void
finish(void)
{
	step_out();
	CHECKF(ex.code == VM_EXIT_MMIO && ex.u.mmio.gpa == DONE, "exit %d at 0x%llx, esr 0x%llx far 0x%llx elr 0x%llx",
	    (int)ex.code, (unsigned long long)ex.pc, (unsigned long long)get(cpu, VM_ARM64_REG_ESR_EL1),
	    (unsigned long long)get(cpu, VM_ARM64_REG_FAR_EL1), (unsigned long long)get(cpu, VM_ARM64_REG_ELR_EL1));
}

/* Vectors that leave the syndrome in X20, X21, X22 and end; for the table at VECTORS. */
static const uint32_t catch_all[] = {
	0xd5385214,	/* mrs x20, esr_el1 */
	0xd5386015,	/* mrs x21, far_el1 */
	0xd5384036,	/* mrs x22, elr_el1 */
	0xd2a12013,	/* mov x19, #0x9000000 */
	0xf9000273,	/* str x19, [x19] */
};

static void
vectors(void)
{
	/* Each of the sixteen says which it is by its own address: X23 is not needed, ELR and PC tell. */
	for (unsigned i = 0; i < 16; i++)
		load(VECTORS + i * 0x80, catch_all, sizeof(catch_all));
}

/* Which vector the end of the program came from. */
static unsigned
vector(void)
{
	return ((unsigned)(ex.pc - VECTORS) & ~0x7fU);
}

TEST(arithmetic)
{
static const uint32_t code[] = {
	0xd2824681,	/* mov x1, #0x1234 */
	0xf2ffffe1,	/* movk x1, #0xffff, lsl #48 */
	0x92800022,	/* mov x2, #-2 */
	0x12800003,	/* movn w3, #0 */
	0xab020024,	/* adds x4, x1, x2 */
	0x9a9f37e5,	/* cset x5, cs */
	0x6b0503e6,	/* subs w6, wzr, w5 */
	0x9a9f57e7,	/* cset x7, mi */
	0x8b010c28,	/* add x8, x1, x1, lsl #3 */
	0xcb811049,	/* sub x9, x2, x1, asr #4 */
	0x910043ea,	/* add x10, sp, #0x10 */
	0x92089c2b,	/* and x11, x1, #0xff00ff00ff00ff00 */
	0x320107ec,	/* orr w12, wzr, #0x80000001 */
	0xcac2442d,	/* eor x13, x1, x2, ror #17 */
	0x8a21004e,	/* bic x14, x2, x1 */
	0xd34cfc2f,	/* lsr x15, x1, #12 */
	0x13047c70,	/* asr w16, w3, #4 */
	0xd3442c31,	/* ubfx x17, x1, #4, #8 */
	0x93403032,	/* sbfx x18, x1, #0, #13 */
	0xb3603c22,	/* bfi x2, x1, #32, #16 */
	0x9b017c34,	/* mul x20, x1, x1 */
	0x9b08a435,	/* msub x21, x1, x8, x9 */
	0x9bc17c36,	/* umulh x22, x1, x1 */
	0x9b417c37,	/* smulh x23, x1, x1 */
	0x9ad10838,	/* udiv x24, x1, x17 */
	0x928000c0,	/* mov x0, #-7 */
	0xd2800059,	/* mov x25, #2 */
	0x9ad90c19,	/* sdiv x25, x0, x25 */
	0x9adf083a,	/* udiv x26, x1, xzr */
	0xdac00c3b,	/* rev x27, x1 */
	0xdac0123c,	/* clz x28, x17 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};
	uint64_t x1 = 0xffff000000001234, x2 = (uint64_t)-2, x8 = x1 + (x1 << 3), x9;

	START(code);
	finish();
	x9 = x2 - (uint64_t)((int64_t)x1 >> 4);
	CHECK_EQ(get(cpu, X(1)), x1);
	CHECK_EQ(get(cpu, X(3)), 0xffffffff);
	CHECK_EQ(get(cpu, X(4)), x1 + x2);
	CHECK_EQ(get(cpu, X(5)), 1);
	CHECK_EQ(get(cpu, X(6)), 0xffffffff);
	CHECK_EQ(get(cpu, X(7)), 1);
	CHECK_EQ(get(cpu, X(8)), x8);
	CHECK_EQ(get(cpu, X(9)), x9);
	CHECK_EQ(get(cpu, X(10)), STACK + 0x10);
	CHECK_EQ(get(cpu, X(11)), x1 & 0xff00ff00ff00ff00);
	CHECK_EQ(get(cpu, X(12)), 0x80000001);
	CHECK_EQ(get(cpu, X(13)), x1 ^ (x2 >> 17 | x2 << 47));
	CHECK_EQ(get(cpu, X(14)), x2 & ~x1);
	CHECK_EQ(get(cpu, X(15)), x1 >> 12);
	CHECK_EQ(get(cpu, X(16)), 0xffffffff);
	CHECK_EQ(get(cpu, X(17)), 0x23);
	CHECK_EQ(get(cpu, X(18)), 0xfffffffffffff234);
	CHECK_EQ(get(cpu, X(2)), 0xffff1234fffffffe);
	CHECK_EQ(get(cpu, X(20)), x1 * x1);
	CHECK_EQ(get(cpu, X(21)), x9 - x1 * x8);
	CHECK_EQ(get(cpu, X(22)), (uint64_t)((unsigned __int128)x1 * x1 >> 64));
	CHECK_EQ(get(cpu, X(23)), (uint64_t)((__int128)(int64_t)x1 * (int64_t)x1 >> 64));
	CHECK_EQ(get(cpu, X(24)), x1 / 0x23);
	CHECK_EQ(get(cpu, X(25)), (uint64_t)-3);
	CHECK_EQ(get(cpu, X(26)), 0);
	CHECK_EQ(get(cpu, X(27)), 0x341200000000ffff);
	CHECK_EQ(get(cpu, X(28)), 58);
	vm_close(vm);
}

TEST(more_arithmetic)
{
static const uint32_t code[] = {
	0xd28acf01,	/* mov x1, #0x5678 */
	0xf2b00001,	/* movk x1, #0x8000, lsl #16 */
	0xd2800462,	/* mov x2, #35 */
	0x9ac22023,	/* lsl x3, x1, x2 */
	0x1ac22424,	/* lsr w4, w1, w2 */
	0x1ac22825,	/* asr w5, w1, w2 */
	0x9ac22c26,	/* ror x6, x1, x2 */
	0x93c22027,	/* extr x7, x1, x2, #8 */
	0x5ac00028,	/* rbit w8, w1 */
	0xdac00429,	/* rev16 x9, x1 */
	0xdac0082a,	/* rev32 x10, x1 */
	0x5ac0142b,	/* cls w11, w1 */
	0x9280000c,	/* mov x12, #-1 */
	0xdac0158c,	/* cls x12, x12 */
	0x93401c2d,	/* sxtb x13, w1 */
	0x53003c2e,	/* uxth w14, w1 */
	0x93407c2f,	/* sxtw x15, w1 */
	0x8b21c850,	/* add x16, x2, w1, sxtw #2 */
	0xab0c019f,	/* adds xzr, x12, x12 */
	0x9a1f0051,	/* adc x17, x2, xzr */
	0xeb01003f,	/* cmp x1, x1 */
	0xda1f0052,	/* sbc x18, x2, xzr */
	0xfa421024,	/* ccmp x1, x2, #4, ne */
	0x9a9f17f4,	/* cset x20, eq */
	0xba43e84f,	/* ccmn x2, #3, #15, al */
	0x9a9f77f5,	/* cset x21, vs */
	0xda82b036,	/* csinv x22, x1, x2, lt */
	0xda82b437,	/* csneg x23, x1, x2, lt */
	0x9b220438,	/* smaddl x24, w1, w2, x1 */
	0x9ba28439,	/* umsubl x25, w1, w2, x1 */
	0xb343243a,	/* bfxil x26, x1, #3, #7 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};
	uint64_t x1 = 0x80005678, n;

	START(code);
	finish();
	CHECK_EQ(get(cpu, X(3)), x1 << 35);
	CHECK_EQ(get(cpu, X(4)), x1 >> 3);
	CHECK_EQ(get(cpu, X(5)), (uint32_t)((int32_t)x1 >> 3));
	CHECK_EQ(get(cpu, X(6)), x1 << 29 | x1 >> 35);
	CHECK_EQ(get(cpu, X(7)), x1 << 56);
	n = 0;
	for (unsigned i = 0; i < 32; i++)
		n |= (x1 >> i & 1) << (31 - i);
	CHECK_EQ(get(cpu, X(8)), n);
	CHECK_EQ(get(cpu, X(9)), 0x00807856);
	CHECK_EQ(get(cpu, X(10)), 0x78560080);
	CHECK_EQ(get(cpu, X(11)), 0);
	CHECK_EQ(get(cpu, X(12)), 63);
	CHECK_EQ(get(cpu, X(13)), 0x78);
	CHECK_EQ(get(cpu, X(14)), 0x5678);
	CHECK_EQ(get(cpu, X(15)), 0xffffffff80005678);
	CHECK_EQ(get(cpu, X(16)), 35 + (0xffffffff80005678 << 2));
	CHECK_EQ(get(cpu, X(17)), 35);		/* 63 + 63: no carry */
	CHECK_EQ(get(cpu, X(18)), 35);		/* equal: carry, nothing borrowed */
	CHECK_EQ(get(cpu, X(20)), 1);		/* ne did not hold: flags from the immediate */
	CHECK_EQ(get(cpu, X(21)), 0);
	CHECK_EQ(get(cpu, X(22)), ~35ULL);	/* lt does not hold */
	CHECK_EQ(get(cpu, X(23)), (uint64_t)-35);
	CHECK_EQ(get(cpu, X(24)), x1 + (uint64_t)((int64_t)(int32_t)x1 * 35));
	CHECK_EQ(get(cpu, X(25)), x1 - x1 * 35);
	CHECK_EQ(get(cpu, X(26)), 0x5678 >> 3 & 0x7f);
	vm_close(vm);
}

/* Flags of additions and subtractions against the host's arithmetic, and conditions against their definition (Arm ARM C1.2.4). */
TEST(flags)
{
static const uint32_t code[] = {
	0xab010002,	/* adds x2, x0, x1 */
	0xd53b4203,	/* mrs x3, nzcv */
	0xeb010004,	/* subs x4, x0, x1 */
	0xd53b4205,	/* mrs x5, nzcv */
	0x2b010006,	/* adds w6, w0, w1 */
	0xd53b4207,	/* mrs x7, nzcv */
	0x6b010008,	/* subs w8, w0, w1 */
	0xd53b4209,	/* mrs x9, nzcv */
	0xea01000a,	/* ands x10, x0, x1 */
	0xd53b420b,	/* mrs x11, nzcv */
	0xeb01001f,	/* cmp x0, x1 */
	0x9a9f17ec,	/* cset x12, eq */
	0x9a9f97ed,	/* cset x13, hi */
	0x9a9fa7ee,	/* cset x14, lt */
	0x9a9fd7ef,	/* cset x15, gt */
	0x9a9f37f0,	/* cset x16, cs */
	0x9a9f77f1,	/* cset x17, vs */
	0x9a9f57f2,	/* cset x18, mi */
	0x9a9f87f3,	/* cset x19, ls */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};
	static const uint64_t v[] = {
		0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000,
		0xffffffffffffffff, 0xffffffff80000000, 0x123456789abcdef0
	};

	START(code);
	for (unsigned i = 0; i < nitems(v); i++) {
		for (unsigned j = 0; j < nitems(v); j++) {
			uint64_t a = v[i], b = v[j], n, r;
			int64_t sr;
			int32_t wr;

			set(cpu, VM_ARM64_REG_PC, RAM);
			set(cpu, X(0), a);
			set(cpu, X(1), b);
			finish();
			r = a + b;
			n = (r >> 63) << 31 | (uint64_t)(r == 0) << 30 | (uint64_t)(r < a) << 29 |
			    (uint64_t)__builtin_add_overflow((int64_t)a, (int64_t)b, &sr) << 28;
			CHECK_EQ(get(cpu, X(2)), r);
			CHECK_EQ(get(cpu, X(3)), n);
			r = a - b;
			n = (r >> 63) << 31 | (uint64_t)(r == 0) << 30 | (uint64_t)(a >= b) << 29 |
			    (uint64_t)__builtin_sub_overflow((int64_t)a, (int64_t)b, &sr) << 28;
			CHECK_EQ(get(cpu, X(4)), r);
			CHECK_EQ(get(cpu, X(5)), n);
			r = (uint32_t)(a + b);
			n = (r >> 31) << 31 | (uint64_t)(r == 0) << 30 | (uint64_t)(r < (uint32_t)a) << 29 |
			    (uint64_t)__builtin_add_overflow((int32_t)a, (int32_t)b, &wr) << 28;
			CHECK_EQ(get(cpu, X(6)), r);
			CHECK_EQ(get(cpu, X(7)), n);
			r = (uint32_t)(a - b);
			n = (r >> 31) << 31 | (uint64_t)(r == 0) << 30 | (uint64_t)((uint32_t)a >= (uint32_t)b) << 29 |
			    (uint64_t)__builtin_sub_overflow((int32_t)a, (int32_t)b, &wr) << 28;
			CHECK_EQ(get(cpu, X(8)), r);
			CHECK_EQ(get(cpu, X(9)), n);
			r = a & b;
			CHECK_EQ(get(cpu, X(10)), r);
			CHECK_EQ(get(cpu, X(11)), (r >> 63) << 31 | (uint64_t)(r == 0) << 30);
			CHECK_EQ(get(cpu, X(12)), a == b);
			CHECK_EQ(get(cpu, X(13)), a > b);
			CHECK_EQ(get(cpu, X(14)), (int64_t)a < (int64_t)b);
			CHECK_EQ(get(cpu, X(15)), (int64_t)a > (int64_t)b);
			CHECK_EQ(get(cpu, X(16)), a >= b);
			CHECK_EQ(get(cpu, X(17)), __builtin_sub_overflow((int64_t)a, (int64_t)b, &sr));
			CHECK_EQ(get(cpu, X(18)), (a - b) >> 63);
			CHECK_EQ(get(cpu, X(19)), a <= b);
		}
	}
	vm_close(vm);
}

TEST(branches)
{
static const uint32_t code[] = {
	0xd2800000,	/* mov x0, #0 */
	0xd2800141,	/* mov x1, #10 */
	0x8b010000,	/* loop: add x0, x0, x1 */
	0xf1000421,	/* subs x1, x1, #1 */
	0x54ffffc1,	/* b.ne loop */
	0x9400000c,	/* bl func */
	0xb40000c2,	/* cbz x2, bad */
	0xb50000a3,	/* cbnz x3, bad */
	0x36180082,	/* tbz x2, #3, bad */
	0xb7400062,	/* tbnz x2, #40, bad */
	0x10000064,	/* adr x4, target */
	0xd61f0080,	/* br x4 */
	0xd2800025,	/* bad: mov x5, #1 */
	0x90000006,	/* target: adrp x6, target */
	0xd63f00e0,	/* blr x7 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
	0xd2800102,	/* func: mov x2, #8 */
	0xd2800003,	/* mov x3, #0 */
	0x10000047,	/* adr x7, func2 */
	0xd65f03c0,	/* ret */
	0xaa1e03e8,	/* func2: mov x8, x30 */
	0xd65f0100,	/* ret x8 */
};

	START(code);
	finish();
	CHECK_EQ(get(cpu, X(0)), 55);
	CHECK_EQ(get(cpu, X(5)), 0);
	CHECK_EQ(get(cpu, X(6)), RAM);
	CHECK_EQ(get(cpu, X(8)), RAM + 14 * 4 + 4);
	vm_close(vm);
}

TEST(loads_and_stores)
{
static const uint32_t code[] = {
	0x39400401,	/* ldrb w1, [x0, #1] */
	0x79400402,	/* ldrh w2, [x0, #2] */
	0xb9400403,	/* ldr w3, [x0, #4] */
	0xf9400004,	/* ldr x4, [x0] */
	0x39801c05,	/* ldrsb x5, [x0, #7] */
	0x39c01c06,	/* ldrsb w6, [x0, #7] */
	0x79800c07,	/* ldrsh x7, [x0, #6] */
	0xb9800408,	/* ldrsw x8, [x0, #4] */
	0xd2800029,	/* mov x9, #1 */
	0xb869780a,	/* ldr w10, [x0, x9, lsl #2] */
	0x1280006b,	/* mov w11, #-4 */
	0x9100200c,	/* add x12, x0, #8 */
	0xb86bc98d,	/* ldr w13, [x12, w11, sxtw] */
	0xf85f858e,	/* ldr x14, [x12], #-8 */
	0xf8408d8f,	/* ldr x15, [x12, #8]! */
	0xf85f8190,	/* ldur x16, [x12, #-8] */
	0xa9bf0fe4,	/* stp x4, x3, [sp, #-16]! */
	0xa8c14bf1,	/* ldp x17, x18, [sp], #16 */
	0x69405013,	/* ldpsw x19, x20, [x0] */
	0x39004004,	/* strb w4, [x0, #16] */
	0x79002404,	/* strh w4, [x0, #18] */
	0xb9001404,	/* str w4, [x0, #20] */
	0xf9000c04,	/* str x4, [x0, #24] */
	0x29040c04,	/* stp w4, w3, [x0, #32] */
	0xf900141f,	/* str xzr, [x0, #40] */
	0xd503201f,	/* nop */
	0x58000055,	/* ldr x21, lit */
	0x14000003,	/* b over */
	0x11223344,	/* lit: .word 0x11223344 */
	0x55667788,	/* .word 0x55667788 */
	0xf8400816,	/* over: ldtr x22, [x0] */
	0xf9800000,	/* prfm pldl1keep, [x0] */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};
	uint64_t v = 0xf1e2d3c4b5a69788;

	START(code);
	set(cpu, X(0), DATA);
	poke(DATA, v);
	poke(DATA + 8, 0x0102030405060708);
	poke(DATA + 40, 1);
	finish();
	CHECK_EQ(get(cpu, X(1)), 0x97);
	CHECK_EQ(get(cpu, X(2)), 0xb5a6);
	CHECK_EQ(get(cpu, X(3)), 0xf1e2d3c4);
	CHECK_EQ(get(cpu, X(4)), v);
	CHECK_EQ(get(cpu, X(5)), 0xfffffffffffffff1);
	CHECK_EQ(get(cpu, X(6)), 0xfffffff1);
	CHECK_EQ(get(cpu, X(7)), 0xfffffffffffff1e2);
	CHECK_EQ(get(cpu, X(8)), 0xfffffffff1e2d3c4);
	CHECK_EQ(get(cpu, X(10)), 0xf1e2d3c4);
	CHECK_EQ(get(cpu, X(13)), 0xf1e2d3c4);
	CHECK_EQ(get(cpu, X(14)), 0x0102030405060708);
	CHECK_EQ(get(cpu, X(15)), 0x0102030405060708);
	CHECK_EQ(get(cpu, X(12)), DATA + 8);
	CHECK_EQ(get(cpu, X(16)), v);
	CHECK_EQ(get(cpu, X(17)), v);
	CHECK_EQ(get(cpu, X(18)), 0xf1e2d3c4);
	CHECK_EQ(get(cpu, VM_ARM64_REG_SP_EL1), STACK);
	CHECK_EQ(get(cpu, X(19)), 0xffffffffb5a69788);
	CHECK_EQ(get(cpu, X(20)), 0xfffffffff1e2d3c4);
	CHECK_EQ(peek(DATA + 16), 0xb5a6978897880088);
	CHECK_EQ(peek(DATA + 24), v);
	CHECK_EQ(peek(DATA + 32), 0xf1e2d3c4b5a69788);
	CHECK_EQ(peek(DATA + 40), 0);
	CHECK_EQ(get(cpu, X(21)), 0x5566778811223344);
	CHECK_EQ(get(cpu, X(22)), v);
	vm_close(vm);
}

TEST(atomics)
{
static const uint32_t code[] = {
	0xd28000a1,	/* mov x1, #5 */
	0xf8210002,	/* ldadd x1, x2, [x0] */
	0xb8211003,	/* ldclr w1, w3, [x0] */
	0xf8213004,	/* ldset x1, x4, [x0] */
	0xf8e12005,	/* ldeoral x1, x5, [x0] */
	0xf8218006,	/* swp x1, x6, [x0] */
	0xd28000a7,	/* mov x7, #5 */
	0xd28009a8,	/* mov x8, #77 */
	0xc8a77c08,	/* cas x7, x8, [x0] */
	0xd2800029,	/* mov x9, #1 */
	0xc8e9fc08,	/* casal x9, x8, [x0] */
	0x1280000a,	/* mov w10, #-1 */
	0x382a400b,	/* ldsmaxb w10, w11, [x0] */
	0x782a600c,	/* ldumaxh w10, w12, [x0] */
	0xb82a500d,	/* ldsmin w10, w13, [x0] */
	0xf821700e,	/* ldumin x1, x14, [x0] */
	0xc8dffc0f,	/* ldar x15, [x0] */
	0x889ffc0a,	/* stlr w10, [x0] */
	0xc85ffc10,	/* ldaxr x16, [x0] */
	0xc811fc01,	/* stlxr w17, x1, [x0] */
	0xc8127c01,	/* stxr w18, x1, [x0] */
	0x887f5013,	/* ldxp w19, w20, [x0] */
	0x8835040a,	/* stxp w21, w10, w1, [x0] */
	0x085f7c16,	/* ldxrb w22, [x0] */
	0xd5033f5f,	/* clrex */
	0x08177c01,	/* stxrb w23, w1, [x0] */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	set(cpu, X(0), DATA);
	poke(DATA, 10);
	finish();
	CHECK_EQ(get(cpu, X(2)), 10);		/* 15 */
	CHECK_EQ(get(cpu, X(3)), 15);		/* 10 */
	CHECK_EQ(get(cpu, X(4)), 10);		/* 15 */
	CHECK_EQ(get(cpu, X(5)), 15);		/* 10 */
	CHECK_EQ(get(cpu, X(6)), 10);		/* 5 */
	CHECK_EQ(get(cpu, X(7)), 5);		/* 77 */
	CHECK_EQ(get(cpu, X(9)), 77);		/* not 1: stays 77 */
	CHECK_EQ(get(cpu, X(11)), 77);		/* max(77, -1) = 77 */
	CHECK_EQ(get(cpu, X(12)), 77);		/* 0xffff */
	CHECK_EQ(get(cpu, X(13)), 0xffff);	/* min(0xffff, -1) = -1 */
	CHECK_EQ(get(cpu, X(14)), 0xffffffff);	/* 5 */
	CHECK_EQ(get(cpu, X(15)), 5);
	CHECK_EQ(get(cpu, X(16)), 0xffffffff);
	CHECK_EQ(get(cpu, X(17)), 0);
	CHECK_EQ(get(cpu, X(18)), 1);		/* the monitor is clear */
	CHECK_EQ(get(cpu, X(19)), 5);
	CHECK_EQ(get(cpu, X(20)), 0);
	CHECK_EQ(get(cpu, X(21)), 0);
	CHECK_EQ(get(cpu, X(22)), 0xff);
	CHECK_EQ(get(cpu, X(23)), 1);
	CHECK_EQ(peek(DATA), 0x5ffffffff);
	vm_close(vm);
}

/* Devices and what nobody claimed */

TEST(unclaimed_accesses_come_back)
{
static const uint32_t code[] = {
	0xd2a10000,	/* mov x0, #0x8000000 */
	0xd2822441,	/* mov x1, #0x1122 */
	0x79000c01,	/* strh w1, [x0, #6] */
	0xf8408c02,	/* ldr x2, [x0, #8]! */
	0x39c00c03,	/* ldrsb w3, [x0, #3] */
	0xb9400004,	/* ldr w4, [x0] */
	0xa9411805,	/* ldp x5, x6, [x0, #16] */
	0x29bf0801,	/* stp w1, w2, [x0, #-8]! */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	/* The controller is where these addresses are; this one is behind the distributor. */
	poke(RAM, (uint64_t)code[1] << 32 | 0xd2a10200);	/* mov x0, #0x8100000 */
	step_out();
	CHECK_EQ(ex.code, VM_EXIT_MMIO);
	CHECK(ex.u.mmio.write);
	CHECK_EQ(ex.u.mmio.gpa, 0x8100006);
	CHECK_EQ(ex.u.mmio.size, 2);
	CHECK_EQ(ex.u.mmio.data, 0x1122);
	CHECK_EQ(ex.pc, RAM + 8);
	CHECK_EQ(ex.insn_len, 4);
	CHECK_EQ(get(cpu, VM_ARM64_REG_PC), RAM + 12);
	CHECK_EQ(vm_exit_reply(cpu, 1), -1);
	CHECK_EQ(errno, EINVAL);
	step_out();
	CHECK(ex.code == VM_EXIT_MMIO && !ex.u.mmio.write);
	CHECK_EQ(ex.u.mmio.gpa, 0x8100008);
	CHECK_EQ(ex.u.mmio.size, 8);
	CHECK_EQ(get(cpu, X(0)), 0x8100000);		/* nothing has happened yet */
	CHECK_EQ(vm_exit_reply(cpu, 0x123456789abcdef0), 0);
	step_out();
	CHECK_EQ(get(cpu, X(2)), 0x123456789abcdef0);
	CHECK_EQ(get(cpu, X(0)), 0x8100008);
	CHECK_EQ(ex.u.mmio.gpa, 0x810000b);
	CHECK_EQ(ex.u.mmio.size, 1);
	CHECK_EQ(vm_exit_reply(cpu, 0x80), 0);
	step_out();
	CHECK_EQ(get(cpu, X(3)), 0xffffff80);
	step_out();					/* no answer: all ones */
	CHECK_EQ(get(cpu, X(4)), 0xffffffff);
	CHECK_EQ(ex.u.mmio.gpa, 0x8100018);
	CHECK_EQ(vm_exit_reply(cpu, 55), 0);
	step_out();
	CHECK_EQ(ex.u.mmio.gpa, 0x8100020);		/* the pair's second */
	CHECK_EQ(vm_exit_reply(cpu, 66), 0);
	step_out();
	CHECK_EQ(get(cpu, X(5)), 55);
	CHECK_EQ(get(cpu, X(6)), 66);
	CHECK(ex.u.mmio.write);
	CHECK_EQ(ex.u.mmio.gpa, 0x8100000);
	CHECK_EQ(ex.u.mmio.data, 0x1122);
	step_out();
	CHECK(ex.u.mmio.write);
	CHECK_EQ(ex.u.mmio.gpa, 0x8100004);
	CHECK_EQ(ex.u.mmio.data, 0x9abcdef0);
	CHECK_EQ(ex.insn_len, 4);
	CHECK_EQ(get(cpu, X(0)), 0x8100000);
	finish();
	vm_close(vm);
}

TEST(an_instruction_can_be_restarted)
{
static const uint32_t code[] = {
	0xd2a12200,	/* mov x0, #0x9100000 */
	0xf8008401,	/* str x1, [x0], #8 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	set(cpu, X(1), 7);
	step_out();
	CHECK_EQ(ex.u.mmio.gpa, 0x9100000);
	CHECK_EQ(get(cpu, X(0)), 0x9100008);
	CHECKF(vm_restart_instruction(cpu) == 0, "%s", vm_errmsg());
	CHECK_EQ(get(cpu, X(0)), 0x9100000);
	CHECK_EQ(get(cpu, VM_ARM64_REG_PC), RAM + 4);
	step_out();
	CHECK_EQ(ex.u.mmio.gpa, 0x9100000);
	finish();
	vm_close(vm);
}

static uint64_t reg_value;
static unsigned reg_reads, reg_writes;

static uint64_t
reg_read(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size)
{
	reg_reads++;
	return (reg_value + off);
}

static void
reg_write(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	reg_writes++;
	reg_value = val;
}

TEST(claimed_accesses_are_calls)
{
	struct vm_range_spec spec = { .name = "dev", .space = VM_SPACE_MEM, .base = 0x9200000, .len = 0x1000,
		.read = reg_read, .write = reg_write };
	struct vm_range *r;
static const uint32_t code[] = {
	0xd2a12400,	/* mov x0, #0x9200000 */
	0xd2800881,	/* mov x1, #0x44 */
	0xb9000001,	/* str w1, [x0] */
	0xb9400402,	/* ldr w2, [x0, #4] */
	0x29411003,	/* ldp w3, w4, [x0, #8] */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	CHECK((r = vm_range_add(vm, &spec)) != NULL);
	finish();
	CHECK_EQ(get(cpu, X(2)), 0x48);
	CHECK_EQ(get(cpu, X(3)), 0x4c);
	CHECK_EQ(get(cpu, X(4)), 0x50);
	CHECK_EQ(reg_reads, 3);
	CHECK_EQ(reg_writes, 1);
	vm_range_remove(r);
	vm_close(vm);
}

/* Exceptions */

TEST(undefined_and_svc_and_brk)
{
static const uint32_t code[] = {
	0x00000000,	/* udf #0 */
	0xd4002461,	/* svc #0x123 */
	0xd42000e0,	/* brk #7 */
	0xd4000003,	/* smc #0 */
	0x1e622820,	/* fadd d0, d1, d2 */
};
	static const struct {
		uint64_t esr, elr;
	} want[] = {
		{ 0x02000000, RAM },
		{ 0x56000123, RAM + 8 },
		{ 0xf2000007, RAM + 8 },
		{ 0x02000000, RAM + 12 },
		{ 0x1fe00000, RAM + 16 },
	};

	START(code);
	vectors();
	for (unsigned i = 0; i < nitems(want); i++) {
		set(cpu, VM_ARM64_REG_PC, RAM + 4 * i);
		set(cpu, VM_ARM64_REG_PSTATE, PSTATE_EL1H | PSTATE_Z);
		finish();
		CHECK_EQ(vector(), 0x200);
		CHECK_EQ(get(cpu, X(20)), want[i].esr);
		CHECK_EQ(get(cpu, X(22)), want[i].elr);
		CHECK_EQ(get(cpu, VM_ARM64_REG_SPSR_EL1), PSTATE_EL1H | PSTATE_Z);
		CHECK_EQ(get(cpu, VM_ARM64_REG_PSTATE), PSTATE_EL1H | PSTATE_Z | PSTATE_DAIF);
	}
	/* From EL1 on EL0's stack pointer, another vector. */
	set(cpu, VM_ARM64_REG_PC, RAM);
	set(cpu, VM_ARM64_REG_PSTATE, PSTATE_EL1T);
	finish();
	CHECK_EQ(vector(), 0x000);
	/* Floating point let through: it is not there. */
	set(cpu, VM_ARM64_REG_PC, RAM + 16);
	set(cpu, VM_ARM64_REG_CPACR_EL1, 3U << 20);
	finish();
	CHECK_EQ(get(cpu, X(20)), 0x02000000);
	vm_close(vm);
}

TEST(alignment)
{
static const uint32_t code[] = {
	0xf9400001,	/* ldr x1, [x0] */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
	0xf94003e1,	/* ldr x1, [sp] */
	0xc85f7c01,	/* ldxr x1, [x0] */
};

	START(code);
	vectors();
	/* With the MMU off data accesses are to Device memory. */
	set(cpu, X(0), DATA + 1);
	finish();
	CHECK_EQ(vector(), 0x200);
	CHECK_EQ(get(cpu, X(20)), 0x96000021);
	CHECK_EQ(get(cpu, X(21)), DATA + 1);
	/* PC */
	set(cpu, VM_ARM64_REG_PC, RAM + 2);
	finish();
	CHECK_EQ(get(cpu, X(20)), 0x8a000000);
	CHECK_EQ(get(cpu, X(21)), RAM + 2);
	/* SP, where SCTLR_EL1.SA asks for it */
	set(cpu, VM_ARM64_REG_SP_EL1, STACK + 8);
	set(cpu, VM_ARM64_REG_SCTLR_EL1, SCTLR_RES1 | SCTLR_SA);
	set(cpu, VM_ARM64_REG_PC, RAM + 12);
	finish();
	CHECK_EQ(get(cpu, X(20)), 0x9a000000);
	/* Exclusives always */
	set(cpu, VM_ARM64_REG_PC, RAM + 16);
	finish();
	CHECK_EQ(get(cpu, X(20)), 0x96000021);
	vm_close(vm);
}

TEST(code_is_memory)
{
static const uint32_t code[] = {
	0xd61f0000,	/* br x0 */
};

	START(code);
	vectors();
	set(cpu, X(0), 0x9300000);
	finish();
	CHECK_EQ(vector(), 0x200);
	CHECK_EQ(get(cpu, X(20)), 0x86000010);
	CHECK_EQ(get(cpu, X(21)), 0x9300000);
	vm_close(vm);
}

TEST(el0_and_back)
{
static const uint32_t code[] = {
	0x100000c0,	/* adr x0, user */
	0xd5184020,	/* msr elr_el1, x0 */
	0xd518401f,	/* msr spsr_el1, xzr */
	0x910403e1,	/* add x1, sp, #0x100 */
	0xd5184101,	/* msr sp_el0, x1 */
	0xd69f03e0,	/* eret */
	0x910003e2,	/* user: mov x2, sp */
	0xd53bd063,	/* mrs x3, tpidrro_el0 */
	0xd2800124,	/* mov x4, #9 */
	0xd51bd044,	/* msr tpidr_el0, x4 */
	0xd5385205,	/* mrs x5, esr_el1 */
};
static const uint32_t lower[] = {
	0xd538424a,	/* mrs x10, currentel */
	0xd538400b,	/* mrs x11, spsr_el1 */
	0xd538402c,	/* mrs x12, elr_el1 */
	0xd538520d,	/* mrs x13, esr_el1 */
	0xd53bd04e,	/* mrs x14, tpidr_el0 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	vectors();
	load(VECTORS + 0x400, lower, sizeof(lower));
	set(cpu, VM_ARM64_REG_TPIDRRO_EL0, 0x77);
	finish();
	CHECK_EQ(get(cpu, X(2)), STACK + 0x100);
	CHECK_EQ(get(cpu, X(3)), 0x77);
	CHECK_EQ(get(cpu, X(10)), 4);
	CHECK_EQ(get(cpu, X(11)), 0);
	CHECK_EQ(get(cpu, X(12)), RAM + 40);
	CHECK_EQ(get(cpu, X(13)), 0x02000000);		/* EL1's registers are UNDEFINED at EL0 */
	CHECK_EQ(get(cpu, X(14)), 9);
	vm_close(vm);
}

TEST(illegal_return)
{
static const uint32_t code[] = {
	0xd2800120,	/* mov x0, #0x9 */
	0xd5184000,	/* msr spsr_el1, x0 */
	0x10000061,	/* adr x1, there */
	0xd5184021,	/* msr elr_el1, x1 */
	0xd69f03e0,	/* eret */
	0xd503201f,	/* there: nop */
};

	START(code);
	vectors();
	finish();
	CHECK_EQ(vector(), 0x200);
	CHECK_EQ(get(cpu, X(20)), 0x3a000000);
	CHECK_EQ(get(cpu, X(22)), RAM + 20);
	CHECK_EQ(get(cpu, VM_ARM64_REG_SPSR_EL1) & PSTATE_IL, PSTATE_IL);
	vm_close(vm);
}

TEST(injected_exception)
{
static const uint32_t code[] = {
	0xd2a12800,	/* mov x0, #0x9400000 */
	0xf9400001,	/* ldr x1, [x0] */
};

	START(code);
	vectors();
	step_out();
	CHECK_EQ(ex.u.mmio.gpa, 0x9400000);
	/* In place of the access: an external abort. */
	CHECK_EQ(vm_arm64_inject_exception(cpu, 0x96000010, 0x9400000), 0);
	finish();
	CHECK_EQ(vector(), 0x200);
	CHECK_EQ(get(cpu, X(20)), 0x96000010);
	CHECK_EQ(get(cpu, X(21)), 0x9400000);
	CHECK_EQ(get(cpu, X(22)), RAM + 4);
	vm_close(vm);
}

/* An SError waits for PSTATE.A to be clear, and says nothing of an address. */
TEST(injected_serror_is_masked)
{
static const uint32_t code[] = {
	0xd5034fdf,	/* msr daifset, #15 */
	0xd2a12800,	/* mov x0, #0x9400000 */
	0xf9400001,	/* ldr x1, [x0] */
	0xd280dead,	/* mov x13, #0x6f5 */
	0xd50344ff,	/* msr daifclr, #4 */
	0xd503201f,	/* nop */
};

	START(code);
	vectors();
	set(cpu, VM_ARM64_REG_FAR_EL1, 0x77);
	step_out();
	CHECK_EQ(ex.u.mmio.gpa, 0x9400000);
	CHECK_EQ(vm_arm64_inject_exception(cpu, 0xbe000000, 0x9400000), 0);
	vm_exit_reply(cpu, 5);
	finish();
	CHECK_EQ(vector(), 0x380);
	CHECK_EQ(get(cpu, X(1)), 5);
	CHECK_EQ(get(cpu, X(13)), 0x6f5);
	CHECK_EQ(get(cpu, X(20)), 0xbe000000);
	CHECK_EQ(get(cpu, X(21)), 0x77);
	CHECK_EQ(get(cpu, X(22)), RAM + 20);
	vm_close(vm);
}

TEST(pstate_registers)
{
static const uint32_t code[] = {
	0xd5034fdf,	/* msr daifset, #15 */
	0xd53b4220,	/* mrs x0, daif */
	0xd50345ff,	/* msr daifclr, #5 */
	0xd53b4221,	/* mrs x1, daif */
	0xd51b423f,	/* msr daif, xzr */
	0xd53b4222,	/* mrs x2, daif */
	0xd5384243,	/* mrs x3, currentel */
	0xd5384204,	/* mrs x4, spsel */
	0xd28a0005,	/* mov x5, #0x5000 */
	0xd5184105,	/* msr sp_el0, x5 */
	0xd50040bf,	/* msr spsel, #0 */
	0x910003e6,	/* mov x6, sp */
	0xd5384207,	/* mrs x7, spsel */
	0xd2824688,	/* mov x8, #0x1234 */
	0x9100011f,	/* mov sp, x8 */
	0xd50041bf,	/* msr spsel, #1 */
	0xd5384109,	/* mrs x9, sp_el0 */
	0xd2b4000a,	/* mov x10, #0xa0000000 */
	0xd51b420a,	/* msr nzcv, x10 */
	0xd53b420b,	/* mrs x11, nzcv */
	0xd53800ac,	/* mrs x12, mpidr_el1 */
	0xd538040d,	/* mrs x13, id_aa64pfr0_el1 */
	0xd538070e,	/* mrs x14, id_aa64mmfr0_el1 */
	0xd538048f,	/* mrs x15, s3_0_c0_c4_4 */
	0x92800010,	/* mov x16, #-1 */
	0xd518c010,	/* msr vbar_el1, x16 */
	0xd538c010,	/* mrs x16, vbar_el1 */
	0xd53be011,	/* mrs x17, cntfrq_el0 */
	0xd53b0032,	/* mrs x18, ctr_el0 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	finish();
	CHECK_EQ(get(cpu, X(0)), 0x3c0);
	CHECK_EQ(get(cpu, X(1)), 0x280);
	CHECK_EQ(get(cpu, X(2)), 0);
	CHECK_EQ(get(cpu, X(3)), 4);
	CHECK_EQ(get(cpu, X(4)), 1);
	CHECK_EQ(get(cpu, X(6)), 0x5000);
	CHECK_EQ(get(cpu, X(7)), 0);
	CHECK_EQ(get(cpu, X(9)), 0x1234);
	CHECK_EQ(get(cpu, X(11)), 0xa0000000);
	CHECK_EQ(get(cpu, X(12)), 0x80000000);
	CHECK_EQ(get(cpu, X(13)) & 0xff, 0x11);			/* AArch64 only at EL0 and EL1 */
	CHECK_EQ(get(cpu, X(13)) >> 16 & 0xff, 0);		/* floating point and Advanced SIMD are */
	CHECK_EQ(get(cpu, X(14)) & 0xf, 2);
	CHECK_EQ(get(cpu, X(15)), 0);
	CHECK_EQ(get(cpu, X(16)), ~0x7ffULL);
	CHECK_EQ(get(cpu, X(17)), vm_get_counter_freq(vm));
	vm_close(vm);
}

TEST(unknown_registers_come_back)
{
static const uint32_t code[] = {
	0xd518f140,	/* msr s3_0_c15_c1_2, x0 */
	0xd538f161,	/* mrs x1, s3_0_c15_c1_3 */
	0xd538f162,	/* mrs x2, s3_0_c15_c1_3 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	set(cpu, X(0), 0x1234);
	step_out();
	CHECK_EQ(ex.code, VM_EXIT_SYSREG);
	CHECK_EQ(ex.u.sysreg.reg, ARM64_SYSREG(3, 0, 15, 1, 2));
	CHECK_EQ(ex.u.sysreg.data, 0x1234);
	CHECK(ex.u.sysreg.write);
	step_out();
	CHECK_EQ(ex.code, VM_EXIT_SYSREG);
	CHECK(!ex.u.sysreg.write);
	CHECK_EQ(vm_exit_reply(cpu, 0x55), 0);
	step_out();
	CHECK_EQ(get(cpu, X(1)), 0x55);
	CHECK_EQ(ex.code, VM_EXIT_SYSREG);
	finish();
	CHECK_EQ(get(cpu, X(2)), UINT64_MAX);
	vm_close(vm);
}

/* Translation */

#define	D_AF	(1ULL << 10)
#define	D_RO	(1ULL << 7)
#define	D_DEV	(1ULL << 2)	/* attribute 1 */

static void
tables(void)
{
	poke(TABLES, (TABLES + 0x1000) | 3);
	poke(TABLES + 0x1000, 0 | D_AF | D_DEV | 1);			/* devices */
	poke(TABLES + 0x1000 + 8, RAM | D_AF | 1);			/* RAM as it is */
	poke(TABLES + 0x1000 + 16, (TABLES + 0x2000) | 3);		/* 0x80000000 */
	poke(TABLES + 0x2000, (TABLES + 0x3000) | 3);
	poke(TABLES + 0x3000, DATA | D_AF | 3);
	poke(TABLES + 0x3000 + 8, (DATA + 0x2000) | D_AF | 3);		/* not behind the one before */
	poke(TABLES + 0x3000 + 16, (DATA + 0x3000) | D_AF | D_RO | 3);
	poke(TABLES + 0x3000 + 24, (DATA + 0x3000) | D_AF | D_DEV | 3);
	set(cpu, VM_ARM64_REG_TTBR0_EL1, TABLES);
	set(cpu, VM_ARM64_REG_TTBR1_EL1, TABLES);
	set(cpu, VM_ARM64_REG_TCR_EL1, 16 | 16 << 16 | 2ULL << 30 | 2ULL << 32);
	set(cpu, VM_ARM64_REG_MAIR_EL1, 0x00ff);
}

TEST(mmu)
{
static const uint32_t code[] = {
	0xd5381009,	/* mrs x9, sctlr_el1 */
	0xb2400129,	/* orr x9, x9, #1 */
	0xd5181009,	/* msr sctlr_el1, x9 */
	0xd5033fdf,	/* isb */
	0xf9400001,	/* ldr x1, [x0] */
	0xf9400102,	/* ldr x2, [x8] */
	0xf9000101,	/* str x1, [x8] */
	0xf94000a3,	/* ldr x3, [x5] */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
	0xf90000c1,	/* str x1, [x6] */
	0xf94000e1,	/* ldr x1, [x7] */
};

	START(code);
	vectors();
	tables();
	poke(DATA, 0x1111111122222222);
	poke(DATA + 0xff8, 0xaabbccdd00000000);
	poke(DATA + 0x2000, 0x0000000011223344);
	set(cpu, X(0), 0x80000000);
	set(cpu, X(8), 0x80000ffc);
	set(cpu, X(5), 0xffff000080001000);		/* the same tables from above */
	finish();
	CHECK_EQ(get(cpu, X(1)), 0x1111111122222222);
	CHECK_EQ(get(cpu, X(2)), 0x11223344aabbccdd);	/* across pages that are not neighbours */
	CHECK_EQ(peek(DATA + 0xff8), 0x2222222200000000);
	CHECK_EQ(peek(DATA + 0x2000), 0x0000000011111111);
	CHECK_EQ(get(cpu, X(3)), 0x0000000011111111);
	/* Permission, translation, alignment on Device memory */
	set(cpu, VM_ARM64_REG_PC, RAM + 40);
	set(cpu, X(6), 0x80002008);
	finish();
	CHECK_EQ(get(cpu, X(20)), 0x9600004f);
	CHECK_EQ(get(cpu, X(21)), 0x80002008);
	set(cpu, VM_ARM64_REG_PC, RAM + 40);
	set(cpu, X(6), 0x80004008);
	finish();
	CHECK_EQ(get(cpu, X(20)), 0x96000047);
	set(cpu, VM_ARM64_REG_PC, RAM + 44);
	set(cpu, X(7), 0x80003001);
	finish();
	CHECK_EQ(get(cpu, X(20)), 0x96000021);
	/* The second page of two is missing: nothing is stored, and the address is the missing one's. */
	poke(TABLES + 0x3000 + 8, 0);
	poke(DATA + 0xff8, 0);
	set(cpu, VM_ARM64_REG_PC, RAM + 24);
	set(cpu, X(0), 0x80000000);
	finish();
	CHECK_EQ(get(cpu, X(20)), 0x96000047);
	CHECK_EQ(get(cpu, X(21)), 0x80001000);
	CHECK_EQ(peek(DATA + 0xff8), 0);
	vm_close(vm);
}

TEST(fetches_are_translated)
{
static const uint32_t code[] = {
	0xd61f0000,	/* br x0 */
};
static const uint32_t there[] = {
	0xd28000a1,	/* mov x1, #5 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	vectors();
	tables();
	load(DATA, there, sizeof(there));
	set(cpu, VM_ARM64_REG_SCTLR_EL1, SCTLR_RES1 | SCTLR_M);
	set(cpu, X(0), 0x80000000);
	finish();
	CHECK_EQ(get(cpu, X(1)), 5);
	CHECK_EQ(ex.pc, 0x80000008);
	set(cpu, VM_ARM64_REG_PC, RAM);
	set(cpu, X(0), 0x80005000);
	finish();
	CHECK_EQ(get(cpu, X(20)), 0x86000007);
	CHECK_EQ(get(cpu, X(21)), 0x80005000);
	vm_close(vm);
}

/* Code that the guest writes is what it executes next. */
TEST(code_can_change)
{
static const uint32_t code[] = {
	0x100000a1,	/* adr x1, here */
	0x52800402,	/* mov w2, #0x0020 */
	0x72ba5002,	/* movk w2, #0xd280, lsl #16 */
	0xd2800003,	/* mov x3, #0 */
	0xd503201f,	/* again: nop */
	0xd28000e0,	/* here: mov x0, #7 */
	0xb50000a3,	/* cbnz x3, out */
	0x91000004,	/* add x4, x0, #0 */
	0xd2800023,	/* mov x3, #1 */
	0xb9000022,	/* str w2, [x1] */
	0x17fffffa,	/* b again */
	0xd2a1201e,	/* out: mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	finish();
	CHECK_EQ(get(cpu, X(4)), 7);
	CHECK_EQ(get(cpu, X(0)), 1);
	vm_close(vm);
}

/* Interrupts and time */

/* Counts in X15, takes INTIDs to X16, at the vector of interrupts. */
static const uint32_t irq_vector[] = {
	0xd538cc10,	/* mrs x16, s3_0_c12_c12_0 - ICC_IAR1_EL1 */
	0x910005ef,	/* add x15, x15, #1 */
	0xb9000230,	/* str w16, [x17] */
	0xd518cc30,	/* msr s3_0_c12_c12_1, x16 - ICC_EOIR1_EL1 */
	0xd69f03e0,	/* eret */
};

/* The same for the virtual timer, which it masks. */
static const uint32_t timer_vector[] = {
	0xd538cc10,	/* mrs x16, s3_0_c12_c12_0 */
	0x910005ef,	/* add x15, x15, #1 */
	0xd280006e,	/* mov x14, #3 */
	0xd51be32e,	/* msr cntv_ctl_el0, x14 */
	0xd53be32d,	/* mrs x13, cntv_ctl_el0 */
	0xd518cc30,	/* msr s3_0_c12_c12_1, x16 */
	0xd69f03e0,	/* eret */
};

static void
gic_on(void)
{
	struct vcpu **c = vm->vcpus;
	uint64_t v;

	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
#define	W(addr, val) do {							\
	v = (val);								\
	CHECK_EQ(vm_access(vm, VM_SPACE_MEM, (addr), 4, true, &v), 0);		\
} while (0)
	W(0x08000000, 2);
	W(0x08000084, UINT32_MAX);
	W(0x08000104, UINT32_MAX);
	for (unsigned i = 0; c[i] != NULL; i++) {
		W(0x080a0014 + i * 0x20000, 0);
		W(0x080b0080 + i * 0x20000, UINT32_MAX);
		W(0x080b0100 + i * 0x20000, UINT32_MAX);
		v = 0xff;
		CHECK(vm->intc_ops->sysreg(c[i], ICC_PMR, true, &v));
		v = 1;
		CHECK(vm->intc_ops->sysreg(c[i], ICC_IGRPEN1, true, &v));
	}
#undef W
}

static struct vm_irq *device_irq;

/* The device has a reason a thousand times. */
static void
device_ack(void *arg, struct vcpu *vcpu, uint64_t off, unsigned size, uint64_t val)
{
	reg_value = val;
	if (++reg_writes % 1000 == 0)
		vm_irq_deassert(device_irq);
}

static void
drop(void *arg)
{
	vm_irq_deassert(arg);
}

TEST(interrupts)
{
static const uint32_t code[] = {
	0xd50342ff,	/* msr daifclr, #2 */
	0xf10fa1ff,	/* wait: cmp x15, #1000 */
	0x54000062,	/* b.hs out */
	0xd503207f,	/* wfi */
	0x17fffffd,	/* b wait */
	0xd2a1201e,	/* out: mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};
	struct vm_range_spec spec = { .name = "dev", .space = VM_SPACE_MEM, .base = 0x9200000, .len = 0x1000,
		.read = reg_read, .write = device_ack };
	struct vm_range *r;
	struct vm_irq *h;
	int n;

	START(code);
	load(VECTORS + 0x280, irq_vector, sizeof(irq_vector));
	CHECK((r = vm_range_add(vm, &spec)) != NULL);
	gic_on();
	set(cpu, X(17), 0x9200000);
	CHECK((h = device_irq = vm_irq_open_line(vm, 8)) != NULL);
	/* A level that stays is there again after each end of the interrupt. */
	CHECK_EQ(vm_irq_assert(h), 0);
	finish();
	CHECK_EQ(get(cpu, X(15)), 1000);
	CHECK_EQ(get(cpu, X(16)), 40);
	CHECK_EQ(reg_value, 40);
	CHECK_EQ(vm_get_stats(cpu, &n)[VM_STAT_INTR], 1000);
	/* Taken away by the callback: once. */
	CHECK_EQ(vm_irq_on_eoi(h, drop, h), 0);
	set(cpu, VM_ARM64_REG_PC, RAM + 4);
	set(cpu, VM_ARM64_REG_PSTATE, PSTATE_EL1H);
	set(cpu, X(15), 999);
	CHECK_EQ(vm_irq_assert(h), 0);
	finish();
	CHECK_EQ(get(cpu, X(15)), 1000);
	vm_irq_close(h);
	vm_range_remove(r);
	vm_close(vm);
}

TEST(masked_interrupts_end_wfi_only)
{
static const uint32_t code[] = {
	0xd503207f,	/* wfi */
	0xd2800020,	/* mov x0, #1 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	vectors();
	gic_on();
	CHECK_EQ(vm_assert_irq(vm, 40), 0);
	finish();
	CHECK_EQ(get(cpu, X(0)), 1);
	CHECK_EQ(get(cpu, X(20)), 0);
	/* mask_hwintr holds it back from WFI too. */
	set(cpu, VM_ARM64_REG_PC, RAM);
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_MASK_INTR, 1), 0);
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_HALT_EXIT, 1), 0);
	step_out();
	CHECK_EQ(ex.code, VM_EXIT_HALT);
	CHECK_EQ(get(cpu, VM_ARM64_REG_RUN_STATE), VM_ARM64_WAITING);
	CHECK_EQ(get(cpu, VM_ARM64_REG_PC), RAM + 4);
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_MASK_INTR, 0), 0);
	finish();
	vm_close(vm);
}

TEST(group_0_comes_as_fiq)
{
static const uint32_t code[] = {
	0xd50342ff,	/* msr daifclr, #2 - IRQ: not this one */
	0xd503201f,	/* nop */
	0xd50341ff,	/* msr daifclr, #1 */
	0xd503201f,	/* nop */
};
	uint64_t v;

	START(code);
	vectors();
	gic_on();
	v = 1;
	CHECK_EQ(vm_access(vm, VM_SPACE_MEM, 0x08000000, 4, true, &v), 0);
	CHECK(vm->intc_ops->sysreg(cpu, ICC_IGRPEN0, true, &v));
	v = ~(1U << 8);
	CHECK_EQ(vm_access(vm, VM_SPACE_MEM, 0x08000084, 4, true, &v), 0);
	CHECK_EQ(vm_assert_irq(vm, 40), 0);
	finish();
	CHECK_EQ(vector(), 0x300);
	CHECK_EQ(get(cpu, X(22)), RAM + 12);
	vm_close(vm);
}

static void
timer_program(enum vm_clock_source clock)
{
static const uint32_t code[] = {
	0xd53be040,	/* mrs x0, cntvct_el0 */
	0xd2986a01,	/* mov x1, #50000 */
	0xd51be301,	/* msr cntv_tval_el0, x1 */
	0xd2800022,	/* mov x2, #1 */
	0xd51be322,	/* msr cntv_ctl_el0, x2 */
	0xd53be323,	/* mrs x3, cntv_ctl_el0 */
	0xd503207f,	/* wait: wfi: what is masked wakes it too, so that an early one is not missed */
	0xd50342ff,	/* msr daifclr, #2 */
	0xd50342df,	/* msr daifset, #2 */
	0xb4ffffaf,	/* cbz x15, wait */
	0xd53be044,	/* mrs x4, cntvct_el0 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	new_vm(clock, 1);
	load(RAM, code, sizeof(code));
	load(VECTORS + 0x280, timer_vector, sizeof(timer_vector));
	gic_on();
	finish();
	CHECK_EQ(get(cpu, X(15)), 1);
	CHECK_EQ(get(cpu, X(16)), 27);
	/* On a busy host the time may have come before the register is read. */
	CHECK((get(cpu, X(3)) & (clock == VM_CLOCK_HOST ? ~4ULL : UINT64_MAX)) == 1);
	CHECK_EQ(get(cpu, X(13)), 7);			/* condition met, masked */
	CHECK(get(cpu, X(4)) - get(cpu, X(0)) >= 50000);
}

TEST(virtual_timer)
{
	timer_program(VM_CLOCK_HOST);
	vm_close(vm);
}

/* The time comes between one look at the clock and the next, whichever those are: the interrupt is not lost. */
TEST(the_time_comes_while_it_is_looked_at)
{
static const uint32_t code[] = {
	0xd53be040,	/* mrs x0, cntvct_el0 */
	0xd51be301,	/* msr cntv_tval_el0, x1 */
	0xd2800022,	/* mov x2, #1 */
	0xd51be322,	/* msr cntv_ctl_el0, x2 */
	0xd503207f,	/* wait: wfi */
	0xd50342ff,	/* msr daifclr, #2 */
	0xd50342df,	/* msr daifset, #2 */
	0xb4ffffaf,	/* cbz x15, wait */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};
	const uint64_t step = 20000;

	new_vm(VM_CLOCK_HOST, 1);
	load(RAM, code, sizeof(code));
	load(VECTORS + 0x280, timer_vector, sizeof(timer_vector));
	gic_on();
	/* From half a step to twenty, half a step each. */
	for (unsigned halves = 1; halves <= 40; halves++) {
		set(cpu, X(1), vm_get_counter_freq(vm) / 1000000 * step / 1000 * halves / 2);
		set(cpu, X(15), 0);
		set(cpu, VM_ARM64_REG_PC, RAM);
		atomic_store(&clock_step, step);
		finish();
		atomic_store(&clock_step, 0);
		CHECK_EQ(get(cpu, X(15)), 1);
		CHECK_EQ(get(cpu, X(13)), 7);
	}
	vm_close(vm);
}

TEST(virtual_time_is_the_same_every_time)
{
	uint64_t first[4] = { 0 };

	for (unsigned i = 0; i < 3; i++) {
		uint64_t now[4];
		int n;

		timer_program(VM_CLOCK_ICOUNT);
		now[0] = get(cpu, X(0));
		now[1] = get(cpu, X(4));
		now[2] = vm_get_stats(cpu, &n)[VM_STAT_INSNS];
		now[3] = vm_clock_now(vm);
		if (i == 0)
			memcpy(first, now, sizeof(first));
		CHECK(memcmp(first, now, sizeof(first)) == 0);
		vm_close(vm);
	}
}

TEST(timer_at_el0_needs_leave)
{
static const uint32_t code[] = {
	0xd53be040,	/* mrs x0, cntvct_el0 */
	0xd2800021,	/* mov x1, #1 */
	0xd53be342,	/* mrs x2, cntv_cval_el0 */
};

	START(code);
	vectors();
	set(cpu, VM_ARM64_REG_PSTATE, PSTATE_EL0T);
	finish();
	CHECK_EQ(vector(), 0x400);
	CHECK_EQ(get(cpu, X(20)) >> 26, 0x18);
	/* Op0 3, Op2 2, Op1 3, CRn 14, Rt 0, CRm 0, read */
	CHECK_EQ(get(cpu, X(20)) & 0x1ffffff, 3U << 20 | 2U << 17 | 3U << 14 | 14U << 10 | 1);
	((struct arm64_state *)cpu->state)->cntkctl_el1 = 2;
	set(cpu, VM_ARM64_REG_PC, RAM);
	set(cpu, VM_ARM64_REG_PSTATE, PSTATE_EL0T);
	finish();
	CHECK_EQ(get(cpu, X(1)), 1);
	CHECK_EQ(get(cpu, X(22)), RAM + 8);
	vm_close(vm);
}

static struct vm_timer *ticker;

/* Every few instructions, never as many as the last time. */
static void
tick(void *arg)
{
	unsigned *n = arg;

	++*n;
	CHECK_EQ(vm_timer_arm(ticker, vm_timer_count(ticker) + 1 + *n * 7 % 13), 0);
}

/* Execution ends and begins anywhere, also between a jump to another page and what is there. */
TEST(cut_off_behind_a_jump)
{
static const uint32_t code[] = {
	0xd2800001,	/* mov x1, #0 */
	0xd280fa02,	/* mov x2, #2000 */
	0xd2800003,	/* mov x3, #0 */
	0xd2800004,	/* mov x4, #0 */
	0x91000421,	/* loop: add x1, x1, #1 */
	0x940007fb,	/* bl other */
	0xd1000442,	/* sub x2, x2, #1 */
	0xb5ffffa2,	/* cbnz x2, loop */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};
static const uint32_t other[] = {
	0x91000463, 0x91000463, 0x91000463, 0x91000463,	/* other: add x3, x3, #1 */
	0x91000463, 0x91000463, 0x91000463, 0x91000463,
	0xb5000041,	/* cbnz x1, end */
	0xd503201f,	/* nop */
	0x91000484,	/* end: add x4, x4, #1 */
	0xd65f03c0,	/* ret */
};
	unsigned n = 0;

	new_vm(VM_CLOCK_ICOUNT, 1);
	load(RAM, code, sizeof(code));
	load(RAM + 0x2000, other, sizeof(other));
	CHECK_EQ(vm_start(vm), 0);
	ticker = vm_timer_open(vm, 1000000000, tick, &n);
	CHECK(ticker != NULL);
	CHECK_EQ(vm_timer_arm(ticker, 1), 0);
	finish();
	vm_timer_close(ticker);
	CHECK_EQ(get(cpu, X(1)), 2000);
	CHECK_EQ(get(cpu, X(3)), 16000);
	CHECK_EQ(get(cpu, X(4)), 2000);
	CHECK(n > 2000);
	vm_close(vm);
}

/* PSCI and hypercalls */

TEST(psci_answers)
{
	static const struct {
		uint64_t x0, x1, x2, want;
	} calls[] = {
		{ 0x84000000, 0, 0, 0x10001 },				/* version 1.1 */
		{ 0x80000001, 0x80008000, 0, 1 },			/* not affected by Spectre v2, */
		{ 0x80000001, 0x80003fff, 0, 1 },			/* by Spectre BHB, */
		{ 0x80000001, 0x80007fff, 0, 0xfffffffe },		/* by speculative store bypass */
		{ 0x80000001, 0x80000002, 0, 0xffffffff },		/* no SoC to name */
		{ 0x80008000, 0, 0, 0 },
		{ 0x80001234, 0, 0, 0xffffffff },
		{ 0x84000012, 1, 0, 0xfffffffe },			/* a reset of no known kind */
		{ 0xc4000012, 0x80000000, 0, (uint64_t)-1 },
		{ 0xc4000001, 0x80000000, 0, (uint64_t)-2 },		/* power state with reserved bits */
		{ 0xc4000003, 1, 1ULL << 40, (uint64_t)-9 },
		{ 0x80000000, 0, 0, 0x10001 },				/* SMCCC 1.1 */
		{ 0x8400000a, 0xc4000003, 0, 0 },			/* features: CPU_ON */
		{ 0x8400000a, 0x80000000, 0, 0 },
		{ 0x8400000a, 0x84000012, 0, 0 },			/* SYSTEM_RESET2 */
		{ 0x8400000a, 0x8400000e, 0, 0xffffffff },		/* SYSTEM_SUSPEND is not */
		{ 0x84000006, 0, 0, 2 },				/* nothing to migrate */
		{ 0xc4000004, 0, 0, 0 },				/* on */
		{ 0xc4000004, 1, 0, 1 },				/* off */
		{ 0xc4000004, 7, 0, (uint64_t)-2 },
		{ 0x84000004, 0xff00000001, 0, 1 },			/* 32-bit arguments */
		{ 0xc4000003, 0, RAM, (uint64_t)-4 },			/* already on */
		{ 0xc4000003, 2, RAM, (uint64_t)-2 },
		{ 0xc4000003, 1, RAM + 1, (uint64_t)-9 },
		{ 0xc4000014, 0, 0, (uint64_t)-1 },			/* not supported */
		{ 0xc4000003, 1, RAM, 0 },
		{ 0xc4000003, 1, RAM, (uint64_t)-5 },			/* on its way: it does not run here */
		{ 0xc4000004, 1, 0, 2 },
		/* Services that are not there: of the chip, of its maker, paravirtual time, a hypervisor of its own */
		{ 0x82000000, 0, 0, 0xffffffff },
		{ 0x83000000, 0, 0, 0xffffffff },
		{ 0xc5000020, 0, 0, (uint64_t)-1 },
		{ 0x8600ff01, 0, 0, 0xffffffff },
		/* Random numbers: version 1.0 */
		{ 0x84000050, 0, 0, 0x10000 },
		{ 0x84000051, 0xc4000053, 0, 0 },
		{ 0x84000051, 0x84000054, 0, 0xffffffff },
		{ 0xc4000050, 0, 0, (uint64_t)-1 },
		{ 0x84000053, 97, 0, 0xfffffffe },
		{ 0xc4000053, 193, 0, (uint64_t)-2 },
		{ 0xc4000053, 0, 0, (uint64_t)-2 },
	};
static const uint32_t code[] = {
	0xd4000002,	/* hvc #0 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	new_vm(VM_CLOCK_HOST, 2);
	load(RAM, code, sizeof(code));
	for (unsigned i = 0; i < nitems(calls); i++) {
		set(cpu, VM_ARM64_REG_PC, RAM);
		set(cpu, X(0), calls[i].x0);
		set(cpu, X(1), calls[i].x1);
		set(cpu, X(2), calls[i].x2);
		finish();
		CHECKF(get(cpu, X(0)) == calls[i].want, "call %u: 0x%llx", i, (unsigned long long)get(cpu, X(0)));
	}
	vm_close(vm);
}

/* As many random bits as were asked for, the lowest in X3; on virtual time the same in each VM with one seed. */
TEST(random_numbers)
{
	static const struct {
		uint64_t x0, bits, mask[3];	/* of X1 to X3 */
	} calls[] = {
		{ 0xc4000053, 192, { UINT64_MAX, UINT64_MAX, UINT64_MAX } },
		{ 0xc4000053, 65, { 0, 1, UINT64_MAX } },
		{ 0xc4000053, 64, { 0, 0, UINT64_MAX } },
		{ 0xc4000053, 7, { 0, 0, 0x7f } },
		{ 0x84000053, 96, { UINT32_MAX, UINT32_MAX, UINT32_MAX } },
		{ 0x84000053, 33, { 0, 1, UINT32_MAX } },
		{ 0x84000053, 0x100000020, { 0, 0, UINT32_MAX } },
	};
static const uint32_t code[] = {
	0xd4000002,	/* hvc #0 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};
	static const enum vm_clock_source clocks[] = { VM_CLOCK_ICOUNT, VM_CLOCK_ICOUNT, VM_CLOCK_HOST, VM_CLOCK_HOST };
	uint64_t got[nitems(clocks)][nitems(calls)][3], seen;

	for (unsigned n = 0; n < nitems(clocks); n++) {
		new_vm(clocks[n], 1);
		load(RAM, code, sizeof(code));
		for (unsigned i = 0; i < nitems(calls); i++) {
			memset(got[n][i], 0, sizeof(got[n][i]));
			/* Each bit that may be set is, sooner or later, and no other. */
			for (unsigned turn = 0; turn < 64; turn++) {
				set(cpu, VM_ARM64_REG_PC, RAM);
				set(cpu, X(0), calls[i].x0);
				set(cpu, X(1), calls[i].bits);
				finish();
				CHECK_EQ(get(cpu, X(0)), 0);
				for (int r = 0; r < 3; r++) {
					seen = get(cpu, X(1 + r));
					CHECKF((seen & ~calls[i].mask[r]) == 0, "call %u: x%d is %#llx", i, 1 + r, (unsigned long long)seen);
					got[n][i][r] = turn == 0 ? seen : got[n][i][r] | seen;
				}
			}
			CHECK(memcmp(got[n][i], calls[i].mask, sizeof(calls[i].mask)) == 0);
		}
		/* one more, to compare */
		set(cpu, VM_ARM64_REG_PC, RAM);
		set(cpu, X(0), calls[0].x0);
		set(cpu, X(1), calls[0].bits);
		finish();
		for (int r = 0; r < 3; r++)
			got[n][0][r] = get(cpu, X(1 + r));
		vm_close(vm);
	}
	CHECK(memcmp(got[0][0], got[1][0], sizeof(got[0][0])) == 0);
	CHECK(memcmp(got[2][0], got[3][0], sizeof(got[2][0])) != 0);
	CHECK(got[0][0][0] != got[0][0][1] && got[0][0][1] != got[0][0][2]);
}

TEST(psci_ends_the_machine)
{
	static const struct {
		uint32_t fn;
		enum vm_suspend_how how;
	} ends[] = { { 0x84000008, VM_SUSPEND_POWEROFF }, { 0x84000009, VM_SUSPEND_RESET } };
static const uint32_t code[] = {
	0xd4000002,	/* hvc #0 */
	0x14000000,	/* b . */
};

	for (unsigned i = 0; i < 2; i++) {
		START(code);
		set(cpu, X(0), ends[i].fn);
		step_out();
		CHECK_EQ(ex.code, VM_EXIT_SUSPENDED);
		CHECK_EQ(ex.u.suspended.how, ends[i].how);
		vm_close(vm);
	}
}

TEST(hypercalls_come_back)
{
static const uint32_t code[] = {
	0xd4000002,	/* hvc #0 */
	0xaa0003e9,	/* mov x9, x0 */
	0xd4000002,	/* hvc #0 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
	0xd4000002,	/* hvc #0 */
};

	START(code);
	vectors();
	for (unsigned i = 0; i < 8; i++)
		set(cpu, X((int)i), 0xc6000000 + i);
	step_out();
	CHECK_EQ(ex.code, VM_EXIT_HYPERCALL);
	CHECK_EQ(ex.pc, RAM);
	CHECK_EQ(ex.u.hypercall.func, 0xc6000000);
	for (unsigned i = 0; i < 7; i++)
		CHECK_EQ(ex.u.hypercall.args[i], 0xc6000001 + i);
	CHECK_EQ(vm_exit_reply(cpu, 0xc6000099), 0);
	step_out();
	CHECK_EQ(get(cpu, X(9)), 0xc6000099);
	CHECK_EQ(ex.u.hypercall.func, 0xc6000099);
	finish();
	CHECK_EQ(get(cpu, X(0)), UINT64_MAX);		/* not answered: not supported */
	/* EL0 has none. */
	set(cpu, VM_ARM64_REG_PC, RAM + 20);
	set(cpu, VM_ARM64_REG_PSTATE, PSTATE_EL0T);
	finish();
	CHECK_EQ(get(cpu, X(20)), 0x02000000);
	vm_close(vm);
}

#define	NCPU	4
#define	ROUNDS	20000

static void *
runner(void *arg)
{
	struct vcpu *c = arg;
	struct vm_exit e;

	for (;;) {
		CHECKF(vm_run(c, &e) == 0, "%s", vm_errmsg());
		if (e.code == VM_EXIT_SUSPENDED)
			return (NULL);
		CHECKF(e.code == VM_EXIT_MMIO, "exit %d", (int)e.code);
	}
}

/*
 * vCPU 0 turns the others on.  All add to one counter by LDXR and STXR, to another by LDADD, and to a third under a lock; then each reports,
 * the others turn themselves off, and vCPU 0 waits for that by AFFINITY_INFO and ends the machine.
 */
static void
smp(enum vm_clock_source clock)
{
static const uint32_t code[] = {
	0xaa0003f3,	/* mov x19, x0 */
	0xd2900015,	/* mov x21, #0x8000 */
	0xf2a80015,	/* movk x21, #0x4000, lsl #16 */
	0xb50001b3,	/* cbnz x19, work */
	0xd2800034,	/* mov x20, #1 */
	0xd2b88000,	/* on: mov x0, #0xc4000000 */
	0xf2800060,	/* movk x0, #3 */
	0xaa1403e1,	/* mov x1, x20 */
	0x10ffffa2,	/* adr x2, on */
	0xd1005042,	/* sub x2, x2, #20 */
	0xaa1403e3,	/* mov x3, x20 */
	0xd4000002,	/* hvc #0 */
	0xb50004c0,	/* cbnz x0, bad */
	0x91000694,	/* add x20, x20, #1 */
	0xf100129f,	/* cmp x20, #4 */
	0x54fffec3,	/* b.lo on */
	0xd289c409,	/* work: mov x9, #20000 */
	0x910102ab,	/* add x11, x21, #64 */
	0x910202ac,	/* add x12, x21, #128 */
	0xc85f7ea1,	/* round: ldxr x1, [x21] */
	0x91000421,	/* add x1, x1, #1 */
	0xc8027ea1,	/* stxr w2, x1, [x21] */
	0x35ffffa2,	/* cbnz w2, round */
	0xd2800023,	/* mov x3, #1 */
	0xf8230164,	/* ldadd x3, x4, [x11] */
	0x885ffd85,	/* lock: ldaxr w5, [x12] */
	0x35000365,	/* cbnz w5, spin */
	0x88067d83,	/* stxr w6, w3, [x12] */
	0x35ffffa6,	/* cbnz w6, lock */
	0xf9400587,	/* ldr x7, [x12, #8] */
	0x910004e7,	/* add x7, x7, #1 */
	0xf9000587,	/* str x7, [x12, #8] */
	0x889ffd9f,	/* stlr wzr, [x12] */
	0xf1000529,	/* subs x9, x9, #1 */
	0x54fffe21,	/* b.ne round */
	0xb5000293,	/* cbnz x19, off */
	0xd2800034,	/* mov x20, #1 */
	0xd2b88000,	/* poll: mov x0, #0xc4000000 */
	0xf2800080,	/* movk x0, #4 */
	0xaa1403e1,	/* mov x1, x20 */
	0xd2800002,	/* mov x2, #0 */
	0xd4000002,	/* hvc #0 */
	0xf100041f,	/* cmp x0, #1 */
	0x54ffff41,	/* b.ne poll */
	0x91000694,	/* add x20, x20, #1 */
	0xf100129f,	/* cmp x20, #4 */
	0x54fffee3,	/* b.lo poll */
	0xd2b08000,	/* mov x0, #0x84000000 */
	0xf2800100,	/* movk x0, #8 */
	0xd4000002,	/* hvc #0 */
	0xd2a1201e,	/* bad: mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
	0x17fffffe,	/* b bad */
	0xd503203f,	/* spin: yield */
	0x17ffffe3,	/* b lock */
	0xd2b08000,	/* off: mov x0, #0x84000000 */
	0xf2800040,	/* movk x0, #2 */
	0xd4000002,	/* hvc #0 */
	0x17fffff8,	/* b bad */
};
	pthread_t t[NCPU];

	new_vm(clock, NCPU);
	load(RAM, code, sizeof(code));
	for (unsigned i = 0; i < NCPU; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, runner, vm->vcpus[i]), 0);
	for (unsigned i = 0; i < NCPU; i++)
		pthread_join(t[i], NULL);
	CHECK_EQ(peek(DATA), NCPU * ROUNDS);
	CHECK_EQ(peek(DATA + 64), NCPU * ROUNDS);
	CHECK_EQ(peek(DATA + 128), 0);
	CHECK_EQ(peek(DATA + 136), NCPU * ROUNDS);
	for (unsigned i = 1; i < NCPU; i++)
		CHECK_EQ(get(vm->vcpus[i], VM_ARM64_REG_RUN_STATE), VM_ARM64_OFF);
}

TEST(several_vcpus)
{
	smp(VM_CLOCK_HOST);
	vm_close(vm);
}

TEST(several_vcpus_in_virtual_time)
{
	uint64_t clock = 0;

	for (unsigned i = 0; i < 2; i++) {
		smp(VM_CLOCK_ICOUNT);
		if (i == 0)
			clock = vm_clock_now(vm);
		CHECK_EQ(vm_clock_now(vm), clock);
		vm_close(vm);
	}
}

TEST(the_last_one_stays_on)
{
static const uint32_t code[] = {
	0xd4000002,	/* hvc #0 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	set(cpu, X(0), 0x84000002);
	finish();
	CHECK_EQ(get(cpu, X(0)), 0xfffffffd);		/* denied */
	vm_close(vm);
}

/* Debugging */

TEST(single_steps)
{
static const uint32_t code[] = {
	0xd2800020,	/* mov x0, #1 */
	0x91000400,	/* add x0, x0, #1 */
	0x14000002,	/* b skip */
	0xd503201f,	/* nop */
	0xd4000001,	/* skip: svc #0 */
};

	START(code);
	vectors();
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_SINGLE_STEP, 1), 0);
	for (unsigned i = 0; i < 4; i++) {
		static const uint64_t pc[] = { RAM + 4, RAM + 8, RAM + 16, VECTORS + 0x200 };

		step_out();
		CHECK_EQ(ex.code, VM_EXIT_DEBUG);
		CHECK_EQ(ex.u.debug.reason, VM_ARM64_DEBUG_STEP);
		CHECK_EQ(ex.u.debug.addr, pc[i]);
		CHECK_EQ(get(cpu, VM_ARM64_REG_PC), pc[i]);
	}
	CHECK_EQ(get(cpu, X(0)), 2);
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_SINGLE_STEP, 0), 0);
	finish();
	vm_close(vm);
}

TEST(breakpoints_can_leave)
{
static const uint32_t code[] = {
	0xd4200020,	/* brk #1 */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_BREAK_EXIT, 1), 0);
	step_out();
	CHECK_EQ(ex.code, VM_EXIT_DEBUG);
	CHECK_EQ(ex.u.debug.reason, VM_ARM64_DEBUG_BRK);
	CHECK_EQ(ex.u.debug.addr, RAM);
	CHECK_EQ(get(cpu, VM_ARM64_REG_PC), RAM);
	set(cpu, VM_ARM64_REG_PC, RAM + 4);
	finish();
	vm_close(vm);
}

TEST(spin_hints_can_leave)
{
static const uint32_t code[] = {
	0xd503203f,	/* yield */
	0xd503205f,	/* wfe */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};

	START(code);
	finish();
	set(cpu, VM_ARM64_REG_PC, RAM);
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_PAUSE_EXIT, 1), 0);
	for (unsigned i = 0; i < 2; i++) {
		step_out();
		CHECK_EQ(ex.code, VM_EXIT_PAUSE);
		CHECK_EQ(ex.pc, RAM + 4 * i);
		CHECK_EQ(get(cpu, VM_ARM64_REG_PC), RAM + 4 * i + 4);
	}
	finish();
	vm_close(vm);
}

/* A waiting vCPU, its timer and a processor on its way to be on come through a snapshot. */
TEST(state_survives)
{
static const uint32_t code[] = {
	0xd50342ff,	/* msr daifclr, #2 */
	0xd503207f,	/* wait: wfi */
	0xb4ffffef,	/* cbz x15, wait */
	0xd2a1201e,	/* mov x30, #0x9000000 */
	0xf90003de,	/* str x30, [x30] */
};
	struct vm_state_out *out;
	struct vm_state_in *in;
	struct arm64_state *s;
	struct vmctx *first;
	const void *data;
	size_t len;

	new_vm(VM_CLOCK_HOST, 2);
	first = vm;
	gic_on();
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_HALT_EXIT, 1), 0);
	load(RAM, code, sizeof(code));
	s = cpu->state;
	s->cntv_cval_el0 = UINT64_MAX / 4;
	s->cntv_ctl_el0 = 1;
	step_out();
	CHECK_EQ(ex.code, VM_EXIT_HALT);
	s = vm->vcpus[1]->state;
	s->on_entry = RAM + 12;
	s->on_context = 33;
	s->on_state = ARM64_ON_READY;
	CHECK((out = vm_state_out_open()) != NULL);
	CHECKF(vm_state_save(vm, out) == 0, "%s", vm_errmsg());
	data = vm_state_out_data(out, &len);

	new_vm(VM_CLOCK_HOST, 2);
	load(RAM, code, sizeof(code));
	load(VECTORS + 0x280, timer_vector, sizeof(timer_vector));
	CHECKF(vm_start(vm) == 0, "%s", vm_errmsg());
	CHECK((in = vm_state_in_open(data, len)) != NULL);
	CHECKF(vm_state_load(vm, in) == 0, "%s", vm_errmsg());
	CHECK_EQ(get(cpu, VM_ARM64_REG_RUN_STATE), VM_ARM64_WAITING);
	s = cpu->state;
	CHECK_EQ(s->cntv_cval_el0, UINT64_MAX / 4);
	s->cntv_cval_el0 = 1000;
	finish();
	CHECK_EQ(get(cpu, X(16)), 27);
	cpu = vm->vcpus[1];
	finish();
	CHECK_EQ(get(cpu, X(0)), 33);
	vm_state_in_close(in);
	vm_state_out_close(out);
	vm_close(vm);
	vm_close(first);
}

/* Vectors that go on behind the instruction. */
static const uint32_t skip_it[] = {
	0xd5384034,	/* mrs x20, elr_el1 */
	0x91001294,	/* add x20, x20, #4 */
	0xd5184034,	/* msr elr_el1, x20 */
	0xd69f03e0,	/* eret */
};

/* Whatever the words are, the vCPU goes on or comes back; it never ends the process. */
static void
random_words(bool mmu)
{
	uint64_t x = 88172645463325252ULL + mmu;
	unsigned codes[VM_EXIT_LAST] = { 0 };
	uint32_t p[18];

	new_vm(VM_CLOCK_ICOUNT, 2);
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_HALT_EXIT, 1), 0);
	CHECK_EQ(vm_set_capability(cpu, VM_CAP_SINGLE_STEP, 1), 0);
	for (unsigned n = 0; n < test_rounds(20000); n++) {
		struct arm64_state *s = cpu->state;

		for (unsigned i = 0; i < 16; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			p[i] = (uint32_t)(x >> 20);
			/* More of what is allocated: loads and stores, system, data processing. */
			if ((x & 3) == 0)
				p[i] = (p[i] & 0xc1ffffff) | 0x18000000;
			else if ((x & 15) == 1)
				p[i] = (p[i] & 0x003fffff) | 0xd5000000;
			else if ((x & 3) == 2)
				p[i] = (p[i] & 0xe1ffffff) | ((x & 8) != 0 ? 0x10000000 : 0x0a000000);
			s->x[i] = (x & 16) != 0 ? DATA + (x >> 40 & 0xff) : (x & 32) != 0 ? x : x >> 40;
		}
		p[16] = 0xd2a1201e;		/* mov x30, #0x9000000 */
		p[17] = 0xf90003de;		/* str x30, [x30] */
		load(RAM, p, sizeof(p));
		s->pc = RAM;
		s->pstate = (x & 64) != 0 ? PSTATE_EL1H | PSTATE_DAIF : PSTATE_EL0T;
		s->vbar_el1 = VECTORS;
		s->sp_el1 = STACK;
		s->run_state = VM_ARM64_RUNNING;
		for (unsigned i = 0; i < 16; i++)
			load(VECTORS + i * 0x80, skip_it, sizeof(skip_it));
		s->sctlr_el1 = SCTLR_RES1;
		if (mmu) {
			tables();
			s->sctlr_el1 |= SCTLR_M;
		}
		set(cpu, VM_ARM64_REG_PC, RAM);	/* whoever changes the page says so */
		for (unsigned i = 0; i < 60; i++) {
			if (vm_run(cpu, &ex) != 0)
				FAIL("%s", vm_errmsg());
			CHECK(ex.code != VM_EXIT_ERROR && ex.code < VM_EXIT_LAST);
			codes[ex.code]++;
			if (ex.code == VM_EXIT_SUSPENDED)
				CHECK_EQ(vm_unsuspend(vm), 0);
			if ((ex.code == VM_EXIT_MMIO && ex.u.mmio.gpa == DONE) || ex.code == VM_EXIT_HALT ||
			    ex.code == VM_EXIT_SUSPENDED)
				break;
		}
	}
	CHECK(codes[VM_EXIT_MMIO] != 0 && codes[VM_EXIT_DEBUG] != 0 && codes[VM_EXIT_SYSREG] != 0);
	vm_close(vm);
}

TEST(random_words)
{
	random_words(false);
}

TEST(random_words_with_mmu)
{
	random_words(true);
}

TEST_MAIN()
