/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Native code of the software arm64 processor: random programs end as they do without it, whatever is dropped and made anew meanwhile.
 */
#include <test.h>

#include "soft_arm64_guest.h"

#include "arm64/arm64.h"

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
	{ 0x1ac04000, 0x00001800, true, true, true, false },	/* CRC32B, CRC32H, CRC32CB, CRC32CH: and words */
	{ 0x1ac04800, 0x00001000, true, true, true, false },
	{ 0x9ac04c00, 0x00001000, true, true, true, false },
	{ 0xdac00800, 0x00000400, true, true, false, false },	/* REV32, REV */
	{ 0x5ac01000, 0x80000400, true, true, false, false },	/* CLZ, CLS */
	{ 0x10000000, 0xe0ffffe0, true, false, false, false },	/* ADR, ADRP */
	{ 0xd53b4200, 0, true, false, false, false },		/* MRS NZCV */
	{ 0xd51b4200, 0, true, false, false, false },		/* MSR NZCV */
	{ 0xd5384100, 0x00000000, true, false, false, false },	/* MRS SP_EL0 */
	{ 0xd5184100, 0x00000000, true, false, false, false },	/* MSR SP_EL0 */
	{ 0xd5384020, 0x00000000, true, false, false, false },	/* MRS ELR_EL1 */
	{ 0xd53b4220, 0x00000000, true, false, false, false },	/* MRS DAIF */
	{ 0xd50340df, 0x00000720, false, false, false, false },	/* MSR DAIFSet, DAIFClr */
	{ 0xd50330bf, 0x00000f00, false, false, false, false },	/* DMB */
};

/* Floating point and vectors: registers may be any. */
static const struct template vectors[] = {
	{ 0x0e201c00, 0x60c00000, true, true, true, false },	/* AND and so on */
	{ 0x4e208400, 0x20c00000, true, true, true, false },	/* ADD, SUB */
	{ 0x0e208400, 0x20400000, true, true, true, false },
	{ 0x6e208c00, 0x00c00000, true, true, true, false },	/* CMEQ */
	{ 0x4e203400, 0x00c00000, true, true, true, false },	/* CMGT */
	{ 0x0e206400, 0x60000000, true, true, true, false },	/* SMAX, UMAX */
	{ 0x4e20bc00, 0x00c00000, true, true, true, false },	/* ADDP */
	{ 0x0e20bc00, 0x00400000, true, true, true, false },
	{ 0x6e20a400, 0x00400800, true, true, true, false },	/* UMAXP, UMINP */
	{ 0x4e203400, 0x20c00800, true, true, true, false },	/* CMGT, CMGE, CMHI, CMHS */
	{ 0x0e203400, 0x20400800, true, true, true, false },
	{ 0x4e208c00, 0x20c00000, true, true, true, false },	/* CMTST, CMEQ */
	{ 0x0e206400, 0x60400800, true, true, true, false },	/* SMAX, SMIN, UMAX, UMIN */
	{ 0x0ea06400, 0x60000800, true, true, true, false },
	{ 0x0e209c00, 0x40400000, true, true, true, false },	/* MUL */
	{ 0x4ea09c00, 0, true, true, true, false },
	{ 0x0e200800, 0x40400000, true, true, false, false },	/* REV64 */
	{ 0x2e200800, 0x40400000, true, true, false, false },	/* REV32 */
	{ 0x0e201800, 0x40000000, true, true, false, false },	/* REV16 */
	{ 0x2e205800, 0x40000000, true, true, false, false },	/* NOT */
	{ 0x4e208800, 0x20c01000, true, true, false, false },	/* CMGT, CMEQ, CMGE, CMLE with zero */
	{ 0x0e20a800, 0x00400000, true, true, false, false },	/* CMLT */
	{ 0x6e20b800, 0x00c00000, true, true, false, false },	/* NEG */
	{ 0x0e212800, 0x40400000, true, true, false, false },	/* XTN */
	{ 0x0f088400, 0x00070000, true, true, false, false },	/* SHRN */
	{ 0x0f108400, 0x400f0000, true, true, false, false },
	{ 0x0f208400, 0x001f0000, true, true, false, false },
	{ 0x0f08a400, 0x60070000, true, true, false, false },	/* SSHLL, USHLL */
	{ 0x0f10a400, 0x600f0000, true, true, false, false },
	{ 0x0f20a400, 0x601f0000, true, true, false, false },
	{ 0x0f100400, 0x600f0000, true, true, false, false },	/* SSHR, USHR */
	{ 0x4f405400, 0x003f0000, true, true, false, false },	/* SHL */
	{ 0x6e000000, 0x00007800, true, true, true, false },	/* EXT */
	{ 0x2e000000, 0x00003800, true, true, true, false },
	{ 0x4e001800, 0x00c04000, true, true, true, false },	/* UZP, and so on */
	{ 0x4e002800, 0x00c04000, true, true, true, false },	/* TRN */
	{ 0x4e003800, 0x00c04000, true, true, true, false },	/* ZIP */
	{ 0x0e001800, 0x00404000, true, true, true, false },
	{ 0x0e002800, 0x00404000, true, true, true, false },
	{ 0x0e003800, 0x00404000, true, true, true, false },
	{ 0x1e200800, 0x00403000, true, true, true, false },	/* FMUL, FDIV, FADD, FSUB */
	{ 0x1e208800, 0x00400000, true, true, true, false },	/* FNMUL */
	{ 0x1f000000, 0x00608000, true, true, true, true },	/* FMADD and so on */
	{ 0x1e202000, 0x00400018, false, true, true, false },	/* FCMP */
	{ 0x1e200c00, 0x0040f000, true, true, true, false },	/* FCSEL */
	{ 0x1e204000, 0x00418000, true, true, false, false },	/* FMOV, FABS, FNEG, FSQRT */
	{ 0x1e624000, 0, true, true, false, false },		/* FCVT */
	{ 0x1e22c000, 0, true, true, false, false },
	{ 0x1e220000, 0x80410000, true, true, false, false },	/* SCVTF, UCVTF */
	{ 0x1e380000, 0x80410000, true, true, false, false },	/* FCVTZS, FCVTZU */
	{ 0x9e660000, 0x00010000, true, true, false, false },	/* FMOV between files */
	{ 0x9eae0000, 0x00010000, true, true, false, false },
	{ 0x1e260000, 0x00010000, true, true, false, false },
	{ 0x1e601000, 0x001fe000, true, false, false, false },	/* FMOV (immediate) */
	{ 0x4e20d400, 0x00c00000, true, true, true, false },	/* FADD, FSUB (vector) */
	{ 0x6e20dc00, 0x00400000, true, true, true, false },	/* FMUL */
	{ 0x4e20cc00, 0x00c00000, true, true, true, false },	/* FMLA, FMLS */
	{ 0x4f809000, 0x00200800, true, true, true, false },	/* FMUL (by element) */
	{ 0x4ea0f800, 0x20400000, true, true, false, false },	/* FABS, FNEG (vector) */
	{ 0xd53b4420, 0, true, false, false, false },		/* MRS FPSR */
	{ 0xd51b4400, 0, true, false, false, false },		/* MSR FPCR */
};

static uint32_t
fill(const struct template *t)
{
	return (t->fixed | (bits(32) & t->random) | (t->d ? reg() : 0) | (t->n ? reg() : 0) << 5 | (t->m ? reg() : 0) << 16 |
	    (t->a ? reg() : 0) << 10);
}

/* Of BASE, all of them. */
static uint32_t
atomic(void)
{
	uint32_t at = BASE << 5;

	switch (rnd(7)) {
	case 0:
		return (0x085f7c00 | bits(2) << 30 | bits(1) << 15 | at | reg());		/* LDXR, LDAXR */
	case 1:
		return (0x08007c00 | bits(2) << 30 | bits(1) << 15 | 26 << 16 | at | 2 * rnd(12));	/* STXR, STLXR */
	case 2:
		return (0x08dffc00 | bits(2) << 30 | at | reg());				/* LDAR */
	case 3:
		return (0x089ffc00 | bits(2) << 30 | at | reg());				/* STLR */
	case 4:
		return (0x08a07c00 | bits(2) << 30 | bits(1) << 22 | bits(1) << 15 | reg() << 16 | at | reg());	/* CAS */
	case 5:
		return (0x38208000 | bits(2) << 30 | bits(2) << 22 | reg() << 16 | at | reg());	/* SWP */
	default:
		return (0x38200000 | bits(2) << 30 | bits(2) << 22 | bits(3) << 12 | reg() << 16 | at | reg());
	}
}

static uint32_t
data_processing(void)
{
	const struct template *t = &templates[rnd(nitems(templates))];
	uint32_t w = fill(t);

	if ((t->fixed == 0x12000000 || t->fixed == 0x92400000) && (w >> 10 & 0x3f) == 0x3f)
		w ^= 0x400;					/* an immediate that is reserved */
	if (t->fixed == 0x0b200000)
		w = (w & ~0x1c00U) | rnd(5) << 10;
	if (t->fixed == 0x13000000 || t->fixed == 0x93400000)
		w = (w >> 29 & 3) == 3 ? w ^ 0x20000000 : w;
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

	switch (rnd(6)) {
	case 4:
		return (0xd50b7420 | (27 + bits(1)));			/* DC ZVA */
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

/* Many accesses of few places, whose addresses move meanwhile; SP too, by what keeps it aligned. */
static unsigned
accesses(uint32_t *p, unsigned n)
{
	static const uint32_t moves[] = { 0x9100437b, 0xd100437b, 0x9100239c, 0xd100239c, 0x910043ff, 0xd10043ff, 0xaa1c03fb,
	    0x91002339, 0xd1002339 };
	static const uint32_t on_sp[] = { 0xa9000000, 0xa9400000, 0xad000000, 0xad400000, 0x29400000, 0xa9800000, 0xa8c00000 };
	unsigned end = n + 4 + rnd(16);

	for (; n < end && n < LENGTH; n++) {
		switch (rnd(10)) {
		case 6:
		case 7:							/* a register offset: X25 */
			p[n] = 0x38200800 | bits(2) << 30 | bits(1) << 26 | bits(1) << 22 | (2 | bits(1) | bits(1) << 2) << 13 | bits(1) << 12 |
			    25 << 16 | BASE << 5 | reg();
			break;
		case 0:
			p[n] = moves[rnd(nitems(moves))];
			break;
		case 1:
			p[n] = data_processing();
			break;
		case 2:
			p[n] = fill(&vectors[rnd(8)]);
			break;
		case 3:
			p[n] = on_sp[rnd(nitems(on_sp))] | (bits(7) & 0x7e) << 15 | reg() << 10 | 31 << 5 | reg();
			break;
		case 4:
			p[n] = 0xa9800000 | bits(1) << 22 | bits(3) << 15 | reg() << 10 | 27 << 5 | reg();	/* STP, LDP before */
			break;
		case 5:
			p[n] = 0xac800000 | bits(1) << 22 | bits(3) << 15 | reg() << 10 | 27 << 5 | reg();	/* of Q registers, behind */
			break;
		default:
			p[n] = load_or_store();
			break;
		}
	}
	return (n);
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

/* A short one within itself, whose counter X23 ends it wherever it is entered: registers of one round are those of the next. */
static unsigned
loop(uint32_t *p, unsigned n)
{
	uint32_t pair = 2 * rnd(11), body = 1 + rnd(8), head;

	p[n++] = 0x52800017 | bits(8) << 5;		/* mov w23, # */
	for (head = n; body != 0; body--) {
		switch (rnd(7)) {
		case 0:
			p[n++] = load_or_store();
			break;
		case 1:
			p[n++] = fill(&vectors[rnd(nitems(vectors))]);
			break;
		case 2:
		case 3:						/* LDP, STP */
			p[n++] = 0xa9000000 | bits(1) << 22 | bits(3) << 15 | (pair + 1) << 10 | (27 + bits(1)) << 5 | pair;
			break;
		case 4:						/* over the next one */
			p[n++] = 0x54000040 | rnd(14);
			p[n++] = data_processing();
			break;
		default:
			p[n++] = data_processing();
			break;
		}
	}
	p[n++] = 0x53017ef7;					/* lsr w23, w23, #1 */
	switch (rnd(4)) {
	case 0:							/* cbnz w23, */
		p[n] = 0x35000017;
		break;
	case 1:							/* cmp w23, #0; b.ne */
		p[n++] = 0x710002ff;
		p[n] = 0x54000001;
		break;
	case 2:							/* with something between them; b.hi */
		p[n++] = 0x710002ff;
		p[n++] = bits(1) != 0 ? load_or_store() : 0x9a800000 | bits(4) << 12 | reg() << 16 | reg() << 5 | reg();
		p[n] = 0x54000008;
		break;
	default:						/* subs wzr, w23, #1; b.lt over b */
		p[n++] = 0x710006ff;
		p[n++] = 0x5400004b;
		p[n] = 0x14000000 | ((head - n) & 0x3ffffff);
		return (n + 1);
	}
	p[n] |= ((head - n) & 0x7ffff) << 5;
	return (n + 1);
}

static unsigned
program(uint32_t *p)
{
	for (unsigned n = 0; n < LENGTH; n++) {
		switch (rnd(n + 24 < LENGTH ? 15 : 14)) {
		case 14:
			n = loop(p, n) - 1;
			break;
		case 0:
		case 1:
		case 2:
			p[n] = load_or_store();
			break;
		case 3:
			p[n] = branch(n);
			break;
		case 4:
		case 5:
		case 8:
			p[n] = fill(&vectors[rnd(nitems(vectors))]);
			break;
		case 6:
			p[n] = atomic();
			break;
		case 7:
			n = accesses(p, n) - 1;
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

/* What programs work on: at once, for each write makes a mapping where writes are checked. */
static uint64_t data[2][0x2000 / 8];

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

static struct arm64_state *
page(unsigned side)
{
	return (sides[side].cpu->state);
}

/* Half a vector register: often a number that is the last one of its kind, or near to it, of doubles or singles; or none. */
static uint64_t
number(uint64_t random)
{
	static const uint64_t edges[] = { 0, 0x0010000000000000, 0x000fffffffffffff, 1, 0x7ff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001,
	    0x3ff0000000000000, 0x1ff0000000000001, 0x2000000000000000, 0x3fefffffffffffff, 0x7fefffffffffffff, 0x0080000000800000, 0x007fffff3f800000,
	    0x7f8000001fc00001, 0x7fc000007f800001, 0x3f8000003f7fffff, 0x200000007f7fffff };

	if ((random >> 60) < 4)
		return (random);
	if ((random >> 60) < 8)
		return ((random & 0x800fffffffffffff) | (0x3f0 + (random >> 52 & 0x1f)) << 52);
	return (edges[(random >> 32) % nitems(edges)] | (random << 40 & 0x8000000000000000) | (random << 8 & 0x80000000));
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
	for (unsigned i = 0; i < 64; i++) {
		s = s * 6364136223846793005ULL + 1442695040888963407ULL;
		page(n)->v[i] = number(s);
	}
	set(VM_ARM64_REG_FPCR, 0);
	set(X(27), DATA + 0xe00);
	set(X(BASE), DATA + 0xf00);
	set(X(25), 0x100);
	set(VM_ARM64_REG_SP_EL1, RAM + 0x30000);
	set(X(29), 3);
	set(X(23), 0);
	for (unsigned i = 0; i < nitems(data[0]); i++)
		data[0][i] = s += 0x9e3779b97f4a7c15ULL;
	CHECK_EQ(vm_gpa_write(vm, DATA, data[0], sizeof(data[0])), 0);
}

/* They agree about everything. */
static void
compare(void)
{
	uint64_t v[2];
	int r;

	for (r = 0; r <= 28; r++) {
		for (unsigned i = 0; i < 2; i++)
			v[i] = tv_get(sides[i].cpu, X(r));
		CHECKF(v[0] == v[1], "x%d is %llx, natively %llx", r, (unsigned long long)v[0], (unsigned long long)v[1]);
	}
	for (r = 0; r < 64; r++)
		CHECKF(page(0)->v[r] == page(1)->v[r], "half %d of v%d is %llx, natively %llx", r & 1, r / 2,
		    (unsigned long long)page(0)->v[r], (unsigned long long)page(1)->v[r]);
	CHECK_EQ(page(1)->fpsr, page(0)->fpsr);
	CHECK_EQ(page(1)->excl_size, page(0)->excl_size);
	CHECK_EQ(page(1)->sp_el0, page(0)->sp_el0);
	for (unsigned i = 0; i < 2; i++)
		v[i] = tv_get(sides[i].cpu, VM_ARM64_REG_PSTATE);
	CHECKF(v[0] == v[1], "PSTATE is %llx, natively %llx", (unsigned long long)v[0], (unsigned long long)v[1]);
	for (unsigned i = 0; i < 2; i++)
		CHECK_EQ(vm_gpa_read(sides[i].vm, DATA, data[i], sizeof(data[i])), 0);
	CHECK(memcmp(data[0], data[1], sizeof(data[0])) == 0);
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
		compare();
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

/* A loop that goes on to where there is no page, by a load and by a store. */
TEST(a_fault_in_a_loop_finds_all_registers)
{
	static const uint32_t p[] = {
		0xa8c11c26,		/* ldp x6, x7, [x1], #16 */
		0x8b060063,		/* add x3, x3, x6 */
		0xa8811c46,		/* stp x6, x7, [x2], #16 */
		0xca070064,		/* eor x4, x3, x7 */
		0xf10004a5,		/* subs x5, x5, #1 */
		0x9a840068,		/* csel x8, x3, x4, eq */
		0x54ffff41,		/* b.ne */
	};

#ifndef __x86_64__
	SKIP("native code is made for amd64 hosts");
#endif
	open_side(0, VM_JIT_OFF, 0);
	open_side(1, VM_JIT_ON, 0);
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned k = 0; k < 2; k++) {
			start(k, i);
			set(X(1 + i % 2), 0x80001000 - 16 * (i + 1) + (i / 2) % 2 * 8);
			set(X(2 - i % 2), DATA + 0x1000);
			set(X(5), 100);
			execute(p, nitems(p));
			CHECK_EQ(get(X(21)), 0x80001000);
			CHECK_EQ(get(X(22)), RAM + 8 * (i % 2));
		}
		compare();
		CHECK_EQ(stat_of(1, VM_STAT_INSNS), stat_of(0, VM_STAT_INSNS));
	}
	vm_close(sides[0].vm);
	vm_close(sides[1].vm);
}

/* An instruction of the loop, by the loop itself, in its sixth round. */
TEST(a_loop_that_changes_itself_does_what_it_says_then)
{
	static const uint32_t p[] = {
		0xf10014bf,		/* cmp x5, #5 */
		0x9a860044,		/* csel x4, x2, x6, eq */
		0xb9000081,		/* str w1, [x4] */
		0x91000400,		/* add x0, x0, #1 */
		0xf10004a5,		/* subs x5, x5, #1 */
		0x54ffff61,		/* b.ne */
	};

#ifndef __x86_64__
	SKIP("native code is made for amd64 hosts");
#endif
	open_side(0, VM_JIT_OFF, 0);
	open_side(1, VM_JIT_ON, 0);
	for (unsigned i = 0; i < 10; i++) {
		for (unsigned k = 0; k < 2; k++) {
			start(k, i);
			set(X(0), 0);
			set(X(1), 0x91000800);		/* add x0, x0, #2 */
			set(X(2), RAM + 12);
			set(X(5), 10);
			set(X(6), DATA);
			execute(p, nitems(p));
			CHECK_EQ(get(X(0)), 15);
		}
		compare();
		CHECK_EQ(stat_of(1, VM_STAT_INSNS), stat_of(0, VM_STAT_INSNS));
	}
	vm_close(sides[0].vm);
	vm_close(sides[1].vm);
}

TEST_MAIN()
