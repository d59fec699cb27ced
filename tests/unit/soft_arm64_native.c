/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Native code of the software arm64 processor: random programs end as they do without it, whatever is dropped and made anew meanwhile.
 */
#include <test.h>

#include "soft_arm64_guest.h"

#define	LENGTH	150U		/* words of a program */
#define	nitems(a)	(sizeof(a) / sizeof((a)[0]))
#define	BASE	28U		/* this register is DATA's middle; 27 is one that moves */

static uint64_t seed = 1;

static uint32_t
rnd(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((uint32_t)(seed >> 33) % n);
}

static uint32_t
bits(unsigned n)
{
	return (rnd(1U << 16) << 16 | rnd(1U << 16)) & ((n < 32 ? 1U << n : 0) - 1);
}

/* A register to read or write: 0 to 26, or 31. */
static uint32_t
reg(void)
{
	uint32_t r = rnd(14);		/* few, so that they meet */

	return (r == 13 ? 31 : 2 * r);
}

/* Instruction classes (Arm ARM C4.1): fixed bits, bits that are random, where registers are. */
static const struct template {
	uint32_t fixed, random;
	bool	 d, n, m, a;
} templates[] = {
	{ 0x11000000, 0xe07ffc00, true, true, false, false },	/* ADD, SUB (immediate) */
	{ 0x0b000000, 0xe0407c00, true, true, true, false },	/* (shifted register): LSL, LSR */
	{ 0x0b800000, 0xe0007c00, true, true, true, false },	/* ASR */
	{ 0x0b200000, 0xe000ec00, true, true, true, false },	/* (extended register) */
	{ 0x12000000, 0xe00fbc00, true, true, false, false },	/* AND, ORR, EOR, ANDS (immediate) */
	{ 0x92400000, 0x603ffc00, true, true, false, false },
	{ 0x0a000000, 0xe0e07c00, true, true, true, false },	/* (shifted register) */
	{ 0x52800000, 0x801fffe0, true, false, false, false },	/* MOVZ */
	{ 0x12800000, 0x803fffe0, true, false, false, false },	/* MOVN */
	{ 0x72800000, 0x803fffe0, true, false, false, false },	/* MOVK */
	{ 0xf2800000, 0x007fffe0, true, false, false, false },
	{ 0x13000000, 0x601f7c00, true, true, false, false },	/* bit fields */
	{ 0x93400000, 0x603ffc00, true, true, false, false },
	{ 0x93c00000, 0x0000fc00, true, true, true, false },	/* EXTR */
	{ 0x13800000, 0x00007c00, true, true, true, false },
	{ 0x1a800000, 0xc000f400, true, true, true, false },	/* CSEL and so on */
	{ 0x3a400000, 0xc000f00f, false, true, true, false },	/* CCMN, CCMP */
	{ 0x3a400800, 0xc01ff00f, false, true, false, false },
	{ 0x1a000000, 0xe0000000, true, true, true, false },	/* ADC, SBC */
	{ 0x1b000000, 0x80008000, true, true, true, true },	/* MADD, MSUB */
	{ 0x9b200000, 0x00808000, true, true, true, true },	/* SMADDL and so on */
	{ 0x9b407c00, 0x00800000, true, true, true, false },	/* SMULH, UMULH */
	{ 0x1ac00800, 0x80000400, true, true, true, false },	/* UDIV, SDIV */
	{ 0x1ac02000, 0x80000c00, true, true, true, false },	/* LSLV and so on */
	{ 0x5ac00000, 0x80000400, true, true, false, false },	/* RBIT, REV16 */
	{ 0xdac00800, 0x00000400, true, true, false, false },	/* REV32, REV */
	{ 0x5ac01000, 0x80000400, true, true, false, false },	/* CLZ, CLS */
	{ 0x10000000, 0xe0ffffe0, true, false, false, false },	/* ADR, ADRP */
	{ 0xd53b4200, 0, true, false, false, false },		/* MRS NZCV */
	{ 0xd51b4200, 0, true, false, false, false },		/* MSR NZCV */
	{ 0x4e201c00, 0, true, true, true, false },		/* AND (vector) */
	{ 0x4ea08400, 0x00c00000, true, true, true, false },	/* ADD (vector) */
	{ 0x1e602000, 0, false, true, true, false },		/* FCMP */
	{ 0x1e600c00, 0x0000f000, true, true, true, false },	/* FCSEL */
};

static uint32_t
data_processing(void)
{
	const struct template *t = &templates[rnd(nitems(templates))];
	uint32_t w = t->fixed | (bits(32) & t->random);

	if ((t->fixed == 0x12000000 || t->fixed == 0x92400000) && (w >> 10 & 0x3f) == 0x3f)
		w ^= 0x400;					/* an immediate that is reserved */
	if (t->fixed == 0x0b200000)
		w = (w & ~0x1c00U) | rnd(5) << 10;
	if (t->fixed == 0x13000000 || t->fixed == 0x93400000)
		w = (w >> 29 & 3) == 3 ? w ^ 0x20000000 : w;
	w |= (t->d ? reg() : 0) | (t->n ? reg() : 0) << 5 | (t->m ? reg() : 0) << 16 | (t->a ? reg() : 0) << 10;
	/* SP is not to be written: register 31 of a destination that is one. */
	if ((w & 31) == 31 && ((w & 0x3f800000) == 0x11000000 || (w & 0x1f800000) == 0x12000000 || (w & 0x3f200000) == 0x0b200000))
		w ^= 1;
	return (w);
}

static uint32_t
load_or_store(void)
{
	static const uint32_t unsigned_offset[] = { 0x39000000, 0x39400000, 0x39800000, 0x39c00000, 0x79000000, 0x79400000,
	    0x79800000, 0x79c00000, 0xb9000000, 0xb9400000, 0xb9800000, 0xf9000000, 0xf9400000, 0x3d000000, 0x3d400000,
	    0x3d800000, 0x3dc00000, 0x7d400000, 0xbd400000, 0xfd400000, 0xfd000000 };
	static const uint32_t pairs[] = { 0x29000000, 0x29400000, 0x69400000, 0xa9000000, 0xa9400000, 0x6d000000, 0x6d400000,
	    0xad000000, 0xad400000, 0x2d400000 };
	static const uint32_t moving[] = { 0x38400400, 0x38400c00, 0xf8400400, 0xf8000c00, 0xb8000400, 0x3cc00400, 0xb8800c00 };
	uint32_t w;

	switch (rnd(5)) {
	case 0:
		w = pairs[rnd(nitems(pairs))];
		return (w | bits(7) << 15 | reg() << 10 | BASE << 5 | reg());
	case 1:
		/* Unscaled: across pages too, at the end of DATA's page. */
		w = unsigned_offset[rnd(nitems(unsigned_offset))] & ~0x01000000U;
		return (w | bits(9) << 12 | BASE << 5 | reg());
	case 2:
		w = moving[rnd(nitems(moving))];
		return (w | bits(4) << 12 | 27 << 5 | reg());
	case 3:
		return (0xf9400000 | 27 << 5 | reg());
	default:
		w = unsigned_offset[rnd(nitems(unsigned_offset))];
		return (w | bits(8) << 10 | BASE << 5 | reg());
	}
}

/* Forward, over a few; a loop now and then: its counter is X29. */
static uint32_t
branch(unsigned at)
{
	uint32_t over = 2 + rnd(4);

	if (at + over >= LENGTH)
		return (0xd503201f);				/* NOP */
	switch (rnd(5)) {
	case 0:
		return (0x14000000 | over);
	case 1:
		return (0x34000000 | bits(1) << 31 | bits(1) << 24 | over << 5 | reg());
	case 2:
		return (0x36000000 | bits(1) << 31 | bits(1) << 24 | bits(5) << 19 | over << 5 | reg());
	default:
		return (0x54000000 | over << 5 | rnd(16));
	}
}

static unsigned
program(uint32_t *p)
{
	for (unsigned n = 0; n < LENGTH; n++) {
		switch (rnd(8)) {
		case 0:
		case 1:
			p[n] = load_or_store();
			break;
		case 2:
			p[n] = branch(n);
			break;
		default:
			p[n] = data_processing();
			break;
		}
	}
	/* Three times. */
	p[LENGTH] = 0x510007bd;					/* sub w29, w29, #1 */
	p[LENGTH + 1] = 0x35000000 | (-(LENGTH + 1) & 0x7ffff) << 5 | 29;	/* cbnz w29, */
	return (LENGTH + 2);
}

static struct side {
	struct vmctx	*vm;
	struct vcpu	*cpu;
} sides[2];

static void
open_side(unsigned n, enum vm_jit_how how, size_t size)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_ARM64, .accel = VM_ACCEL_SOFT,
	    .jit = { .how = how, .hot = 1, .size = size } };
	static const uint32_t vector[] = { 0xd5385214, 0xd5386015, 0xd5384036, 0xd2a1201e, 0xf90003de };

	vm = sides[n].vm = vm_new(&spec);
	CHECKF(vm != NULL, "%s", vm_errmsg());
	CHECK_EQ(vm_setup_memory(vm, 16 << 20, VM_MMAP_ALL), 0);
	cpu = sides[n].cpu = vm_vcpu_open(vm, 0);
	CHECK(cpu != NULL);
	mmu_on();
	set(VM_ARM64_REG_SP_EL1, RAM + 0x30000);
	set(VM_ARM64_REG_VBAR_EL1, VECTORS);
	load_code(VECTORS + 0x200, vector, sizeof(vector));
	set(VM_ARM64_REG_CPACR_EL1, 3 << 20);
}

static void
start(unsigned n, uint64_t at)
{
	uint64_t s = at * 77;

	vm = sides[n].vm;
	cpu = sides[n].cpu;
	for (unsigned i = 0; i < 27; i++) {
		s = s * 6364136223846793005ULL + 1442695040888963407ULL;
		set(X(i), (s >> 60) < 4 ? s >> 58 : (s >> 60) == 4 ? -(s >> 58) : s ^ s >> 32);
	}
	set(X(27), DATA + 0xe00);
	set(X(BASE), DATA + 0xf00);
	set(X(29), 3);
	for (unsigned i = 0; i < 0x2000; i += 8)
		poke(DATA + i, s += 0x9e3779b97f4a7c15ULL);
}

static void
compare(const uint32_t *p, unsigned n)
{
	uint64_t v[2];
	int r;

	for (r = 0; r <= 28; r++) {
		for (unsigned i = 0; i < 2; i++)
			v[i] = tv_get(sides[i].cpu, X(r));
		CHECKF(v[0] == v[1], "x%d is %llx, natively %llx", r, (unsigned long long)v[0], (unsigned long long)v[1]);
	}
	for (unsigned i = 0; i < 2; i++)
		v[i] = tv_get(sides[i].cpu, VM_ARM64_REG_PSTATE);
	CHECKF(v[0] == v[1], "PSTATE is %llx, natively %llx", (unsigned long long)v[0], (unsigned long long)v[1]);
	for (unsigned i = 0; i < 0x2000; i += 8)
		CHECK_EQ(tv_peek(sides[1].vm, DATA + i), tv_peek(sides[0].vm, DATA + i));
}

static uint64_t
stat_of(unsigned side, enum vm_stat stat)
{
	int n;

	return (vm_get_stats(sides[side].cpu, &n)[stat]);
}

/* Without native code, and with it: the same registers, flags, memory, and count. */
static void
random_programs(unsigned programs, size_t size)
{
	uint32_t p[LENGTH + 8];
	unsigned n, faults = 0;

#ifndef __x86_64__
	SKIP("native code is made for amd64 hosts");
#endif
	open_side(0, VM_JIT_OFF, 0);
	open_side(1, VM_JIT_ON, size);
	for (unsigned i = 0; i < programs; i++) {
		n = program(p);
		for (unsigned k = 0; k < 2; k++) {
			start(k, i);
			execute(p, n);
		}
		compare(p, n);
		faults += tv_get(sides[0].cpu, X(29)) != 0;
		CHECK_EQ(stat_of(1, VM_STAT_INSNS), stat_of(0, VM_STAT_INSNS));
	}
	CHECK(faults < programs / 10);
	CHECK_EQ(stat_of(0, VM_STAT_JIT_BLOCKS), 0);
	CHECK(stat_of(1, VM_STAT_JIT_BLOCKS) > programs);
	CHECK(size == 0 || stat_of(1, VM_STAT_JIT_FLUSHES) > 0);
	vm_close(sides[0].vm);
	vm_close(sides[1].vm);
}

TEST(random_programs_end_as_without_native_code)
{
	random_programs((unsigned)test_long(10) * 1000, 0);
}

TEST(native_code_that_is_full_is_made_anew)
{
	random_programs(500, 4096);
}

TEST_MAIN()
