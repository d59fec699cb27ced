/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_native.c - native code of soft's amd64 processor: what is known of flags when it is made, and whether it does exactly what the first
 * tier does.
 *
 * The differential fuzzer looks at one instruction at a time.  Here are stretches of random code with jumps, calls, faults and accesses that
 * the TLB does not have (soft_amd64_random.h).
 */
#include <Zydis/Zydis.h>

#include "soft/amd64/native.h"

#include "soft_amd64_random.h"

#ifdef __x86_64__

/* Flags */

static const struct nat_row *
row_of(unsigned mnemonic)
{
	static const struct nat_row *const tables[] = { nat_rows_move, nat_rows_arith, nat_rows_flow, nat_rows_system, nat_rows_sse, nat_rows_ssei };

	for (unsigned t = 0; t < sizeof(tables) / sizeof(tables[0]); t++) {
		for (const struct nat_row *r = tables[t]; r->mnemonic != 0; r++) {
			if (r->mnemonic == mnemonic)
				return (r);
		}
	}
	return (NULL);
}

static struct nat_effect
effect(unsigned mnemonic, struct x86_insn i)
{
	static const struct nat_keeps none;

	return (nat_effect(&i, row_of(mnemonic), &none));
}
#define	EFFECT(m, ...)	effect(ZYDIS_MNEMONIC_##m, (struct x86_insn){ .opsize = 8, __VA_ARGS__ })

TEST(what_instructions_do_with_flags)
{
	struct nat_effect f;

	f = EFFECT(ADD, .flags = 0);
	CHECK_EQ(f.reads, 0);
	CHECK_EQ(f.kills, FL_ARITH);
	CHECK(!f.exposed);
	CHECK(EFFECT(ADD, .flags = XI_MEM).exposed);
	CHECK_EQ(EFFECT(ADC, .flags = 0).reads, FL_CF);
	CHECK_EQ(EFFECT(INC, .flags = 0).kills, FL_ARITH & ~FL_CF);
	CHECK_EQ(EFFECT(NOT, .flags = 0).kills, 0);
	/* A count of zero leaves everything, and CL may be zero. */
	CHECK_EQ(EFFECT(SHL, .flags = XI_IMM, .imm = 3).kills, FL_ARITH);
	CHECK_EQ(EFFECT(SHL, .flags = XI_IMM, .imm = 64).kills, 0);
	CHECK_EQ(EFFECT(SHL, .flags = 0).kills, 0);
	CHECK_EQ(EFFECT(ROL, .flags = XI_IMM, .imm = 1).kills, FL_CF | FL_OF);
	CHECK_EQ(EFFECT(SETZ, .arg = 4).reads, FL_ZF);
	CHECK_EQ(EFFECT(CMOVLE, .arg = 14).reads, FL_ZF | FL_SF | FL_OF);
	/* The branch that is taken ends the block. */
	CHECK(EFFECT(JZ, .flags = XI_IMM).exposed);
	/* An address is no access. */
	CHECK(!EFFECT(LEA, .flags = XI_MEM).exposed);
	CHECK(EFFECT(MOV, .flags = XI_MEM).exposed);
	CHECK(EFFECT(CPUID, .flags = 0).exposed);
	/* Faults outside of level 0; and DIV by what it divides by. */
	CHECK(EFFECT(CLI, .flags = 0).exposed);
	CHECK(EFFECT(SWAPGS, .flags = 0).exposed);
	CHECK(EFFECT(DIV, .flags = 0).exposed);
	CHECK(!EFFECT(CLD, .flags = 0).exposed);
	CHECK(EFFECT(MOV, .flags = XI_OTHER).exposed);
}

TEST(flags_that_nobody_sees_are_dead)
{
	const struct nat_effect add = EFFECT(ADD, .flags = 0), inc = EFFECT(INC, .flags = 0), adc = EFFECT(ADC, .flags = 0),
	    load = EFFECT(MOV, .flags = XI_MEM), lea = EFFECT(LEA, .flags = XI_MEM), setz = EFFECT(SETZ, .arg = 4);
	uint16_t live[8];

	nat_liveness((struct nat_effect[]){ add, lea, add }, 3, live);
	CHECK_EQ(live[3], FL_ARITH);
	CHECK_EQ(live[2], 0);
	CHECK_EQ(live[1], 0);
	CHECK_EQ(live[0], 0);
	nat_liveness((struct nat_effect[]){ add, load, add }, 3, live);
	CHECK_EQ(live[2], 0);
	CHECK_EQ(live[1], FL_ARITH);
	nat_liveness((struct nat_effect[]){ add, inc, add }, 3, live);
	CHECK_EQ(live[1], 0);
	nat_liveness((struct nat_effect[]){ add, inc, adc }, 3, live);
	CHECK_EQ(live[2], FL_CF);
	CHECK_EQ(live[1], FL_CF);
	nat_liveness((struct nat_effect[]){ add, setz, add }, 3, live);
	CHECK_EQ(live[1], FL_ZF);
}

/* Random code */

static unsigned
size_of(struct gen *g)
{
	static const uint8_t sizes[] = { 1, 2, 4, 4, 8, 8 };

	return (sizes[pick(g, sizeof(sizes))]);
}

/* A register operand of a byte instruction: AL to BL (or AH to BH) and R8B up, but not what holds addresses. */
static unsigned
operand(struct gen *g, unsigned size)
{
	unsigned r = changing(g);

	return (size == 1 && r == 5 ? 0 : r);
}

static void
arithmetic(struct gen *g)
{
	unsigned size = size_of(g);
	struct insn i = { .size = size, .reg = operand(g, size), .rm = pick(g, 2) ? -1 : (int)operand(g, size) };
	unsigned wide = size != 1;

	switch (pick(g, 14)) {
	case 0:
	case 1:
		i.op = pick(g, 8) << 3 | pick(g, 2) << 1 | wide;
		break;
	case 2:
		i.op = 0x80 | wide;
		i.reg = pick(g, 8);
		i.imm = size == 8 ? 4 : size;
		break;
	case 3:
		i.op = size == 1 ? 0x80 : 0x83;
		i.reg = pick(g, 8);
		i.imm = 1;
		break;
	case 4:
		i.op = 0x84 | wide;
		break;
	case 5:
		i.op = (pick(g, 2) ? 0xc0U : 0xd0U + 2 * pick(g, 2)) | wide;
		i.reg = pick(g, 8);
		i.imm = i.op < 0xd0;
		break;
	case 6:
		i.op = 0xfe | wide;
		i.reg = pick(g, 2);
		break;
	case 7:
		i.op = 0xf6 | wide;
		i.reg = 2 + pick(g, 4);
		break;
	case 8:
		i.op = 0x0faf;
		i.size = size == 1 ? 4 : size;
		break;
	case 9:
		i.op = 0x69;
		i.size = size == 1 ? 4 : size;
		i.imm = i.size == 8 ? 4 : i.size;
		break;
	case 10:
		i.op = 0x0fba;
		i.size = size == 1 ? 8 : size;
		i.reg = 4 + pick(g, 4);
		i.imm = 1;
		break;
	case 11:
		i.op = 0x0fbc + pick(g, 2);
		i.size = size == 1 ? 8 : size;
		break;
	case 12:
		i.op = pick(g, 2) ? 0x0fa4 : 0x0fac;
		i.size = size == 1 ? 4 : size;
		i.imm = 1;
		break;
	default:
		i.op = (pick(g, 2) ? 0x0fc0 : 0x0fb0) | wide;
		if (pick(g, 3) == 0)
			i.op = 0x86 | wide;
		else if (i.rm < 0 && pick(g, 2) != 0)
			byte(g, 0xf0);
		break;
	}
	emit_insn(g, &i);
}

static void
movement(struct gen *g)
{
	unsigned size = size_of(g), r;
	struct insn i = { .size = size, .reg = operand(g, size), .rm = pick(g, 3) ? -1 : (int)operand(g, size) };

	switch (pick(g, 9)) {
	case 0:
	case 1:
		i.op = 0x88 | pick(g, 2) << 1 | (size != 1);
		break;
	case 2:
		i.op = 0xc6 | (size != 1);
		i.reg = 0;
		i.imm = size == 8 ? 4 : size;
		break;
	case 3:
		i.op = (pick(g, 2) ? 0x0fb6U : 0x0fbeU) + pick(g, 2);
		i.size = size == 1 ? 4 : size;
		if (i.rm == 5)
			i.rm = 3;
		break;
	case 4:
		i.op = 0x8d;
		i.size = size == 1 ? 8 : size;
		i.rm = -1;
		break;
	case 5:
		i.op = 0x0f40 | pick(g, 16);
		i.size = size == 1 ? 4 : size;
		break;
	case 6:
		i.op = 0x0f90 | pick(g, 16);
		i.size = 1;
		i.reg = 0;
		if (i.rm == 5)
			i.rm = 1;
		break;
	case 7:
		r = changing(g);
		byte(g, 0x40 | r >> 3);			/* PUSH, POP */
		byte(g, 0x50 | (r & 7));
		r = changing(g);
		byte(g, 0x40 | r >> 3);
		byte(g, 0x58 | (r & 7));
		return;
	default:
		i.op = 0x63;
		i.size = 8;
		break;
	}
	emit_insn(g, &i);
}

/* XMM registers: moves, integers, scalars, comparisons. */
static void
vector(struct gen *g)
{
	static const struct {
		uint8_t prefix;
		uint32_t op;
	} ops[] = {
		{ 0xf3, 0x0f6f }, { 0xf3, 0x0f7f }, { 0, 0x0f10 }, { 0, 0x0f11 }, { 0xf3, 0x0f7e }, { 0x66, 0x0fd6 }, { 0xf2, 0x0f10 },
		{ 0xf3, 0x0f5a }, { 0xf2, 0x0f58 }, { 0xf2, 0x0f59 }, { 0xf3, 0x0f5c }, { 0xf2, 0x0f5e }, { 0x66, 0x0f2e }, { 0, 0x0f2f },
		{ 0x66, 0x0ffe }, { 0x66, 0x0fef }, { 0x66, 0x0f74 }, { 0x66, 0x0f6c }, { 0x66, 0x0ff4 }, { 0x66, 0x0f3800 },
	};
	unsigned k = pick(g, sizeof(ops) / sizeof(ops[0]) + 3);
	struct insn i = { .size = 4, .reg = pick(g, 16), .rm = (int)pick(g, 16) };

	if (k < sizeof(ops) / sizeof(ops[0])) {
		i.prefix = ops[k].prefix;
		i.op = ops[k].op;
		/* The last ones want their memory aligned: only registers, but for the first. */
		if (k < 14 && pick(g, 2) != 0)
			i.rm = -1;
	} else if (k == sizeof(ops) / sizeof(ops[0])) {
		i.prefix = 0x66;
		i.op = 0x0fd7;				/* PMOVMSKB */
		i.reg = changing(g);
	} else if (k == sizeof(ops) / sizeof(ops[0]) + 1) {
		i.prefix = 0xf2;
		i.op = 0x0f2a;				/* CVTSI2SD */
		i.rm = (int)changing(g);
	} else {
		i.prefix = 0xf2;
		i.op = 0x0f2c;				/* CVTTSD2SI */
		i.reg = changing(g);
	}
	emit_insn(g, &i);
}

static void
other(struct gen *g)
{
	static const struct {
		const char *bytes;
		unsigned len;
	} texts[] = {
		{ "\x98", 1 }, { "\x48\x98", 2 }, { "\x99", 1 }, { "\x48\x99", 2 }, { "\xf8", 1 }, { "\xf9", 1 }, { "\xf5", 1 },
		{ "\x9f", 1 }, { "\x9e", 1 }, { "\x9c\x58", 2 }, { "\x0f\xc9", 2 }, { "\x49\x0f\xcc", 3 }, { "\x0f\x31", 2 }, { "\x90", 1 },
		{ "\x87\xd1", 2 }, { "\xfa", 1 }, { "\x9c\x41\x5c", 3 }, { "\x4d\x87\xe0", 3 },
	};
	unsigned k = pick(g, sizeof(texts) / sizeof(texts[0]) + 2);

	if (k < sizeof(texts) / sizeof(texts[0])) {
		text(g, texts[k].bytes, texts[k].len);
	} else if (k == sizeof(texts) / sizeof(texts[0])) {
		/* POPF of the six flags alone: AND EBX, 8D5h; PUSH RBX; POPF */
		TEXT(g, "\x81\xe3\xd5\x08\x00\x00\x53\x9d");
	} else {
		byte(g, 0xe8);				/* CALL of a function that returns */
		dword(g, FUNCTION - (g->n + 4));
	}
}

/* Several operands at one register, which moves meanwhile. */
static void
structure(struct gen *g)
{
	static const uint8_t ops[] = { 0x8b, 0x89, 0x03, 0x01, 0x39, 0x3b, 0x31, 0x8b };
	uint32_t where = place(g);
	unsigned r;

	TEXT(g, "\x48\x81\xc6");			/* ADD RSI, .. */
	dword(g, where);
	for (unsigned k = 2 + pick(g, 5); k > 0; k--) {
		r = changing(g);
		switch (pick(g, 8)) {
		case 0:
			TEXT(g, "\x48\x83\xc6\x10");	/* ADD RSI, 16 */
			where += 16;
			break;
		case 1:
			TEXT(g, "\x48\x8d\x76\xf8");	/* LEA RSI, [RSI - 8] */
			where -= 8;
			break;
		case 2:
			byte(g, 0x40 | r >> 3);			/* PUSH, ADD [RSP - 8], EAX, POP */
			byte(g, 0x50 | (r & 7));
			TEXT(g, "\x01\x44\x24\xf8");
			byte(g, 0x40 | r >> 3);
			byte(g, 0x58 | (r & 7));
			break;
		default:
			byte(g, 0x40 | pick(g, 2) << 3 | r >> 3 << 2);
			byte(g, ops[pick(g, sizeof(ops))]);
			byte(g, 0x46 | (r & 7) << 3);
			byte(g, pick(g, 96));
			break;
		}
	}
	TEXT(g, "\x48\x81\xee");			/* SUB RSI, .. */
	dword(g, where);
}

static void
one(struct gen *g)
{
	switch (pick(g, 9)) {
	case 0:
	case 1:
	case 2:
		arithmetic(g);
		break;
	case 3:
	case 4:
		movement(g);
		break;
	case 5:
		vector(g);
		break;
	case 6:
		structure(g);
		break;
	default:
		other(g);
		break;
	}
}

/* The x87.  In front of the second byte of those with registers: how many follow, one by one. */
static const struct {
	uint8_t	 first, second, count;
} x87_forms[] = {
	{ 0xd8, 0xc0, 64 }, { 0xdc, 0xc0, 64 }, { 0xd9, 0xc0, 16 }, { 0xd9, 0xc0, 8 }, { 0xd9, 0xd0, 1 }, { 0xd9, 0xe0, 2 }, { 0xd9, 0xe4, 2 },
	{ 0xd9, 0xe8, 7 }, { 0xd9, 0xf0, 16 }, { 0xda, 0xc0, 32 }, { 0xda, 0xe9, 1 }, { 0xdb, 0xc0, 32 }, { 0xdb, 0xe2, 2 }, { 0xdb, 0xe8, 16 },
	{ 0xdd, 0xc0, 8 }, { 0xdd, 0xd0, 32 }, { 0xde, 0xc0, 16 }, { 0xde, 0xe0, 32 }, { 0xde, 0xd9, 1 }, { 0xdf, 0xe0, 1 }, { 0xdf, 0xe8, 16 },
};
/* The first byte, and which of the eight have a memory operand that is no environment; mostly loads and stores. */
static const struct {
	uint8_t	 first, which;
} x87_memory[] = {
	{ 0xd8, 0xff }, { 0xd9, 0x8d }, { 0xda, 0xff }, { 0xdb, 0xaf }, { 0xdc, 0xff }, { 0xdd, 0x8f }, { 0xde, 0xff }, { 0xdf, 0xff },
	{ 0xd9, 0x01 }, { 0xdd, 0x01 }, { 0xdb, 0x29 }, { 0xdf, 0x21 }, { 0xd9, 0x08 }, { 0xdd, 0x0c },
};

/* Rounding and precision; sometimes exceptions are unmasked. */
static void
control_word(struct gen *g)
{
	TEXT(g, "\x66\xc7\x44\x24\xf0");		/* MOV WORD [RSP - 16], .. */
	byte(g, pick(g, 8) == 0 ? pick(g, 64) : 0x3f | pick(g, 2) << 6);
	byte(g, pick(g, 32));
	TEXT(g, "\xd9\x6c\x24\xf0");			/* FLDCW */
}

static void
x87(struct gen *g)
{
	struct insn i = { .size = 4, .rm = -1 };
	unsigned k;

	if (pick(g, 20) == 0) {
		control_word(g);
	} else if (pick(g, 16) == 0) {
		byte(g, 0x9b);
	} else if (pick(g, 2) == 0) {
		k = pick(g, sizeof(x87_memory) / sizeof(x87_memory[0]));
		i.op = x87_memory[k].first;
		do {
			i.reg = pick(g, 8);
		} while ((x87_memory[k].which >> i.reg & 1) == 0);
		emit_insn(g, &i);
	} else {
		k = pick(g, sizeof(x87_forms) / sizeof(x87_forms[0]));
		byte(g, x87_forms[k].first);
		byte(g, x87_forms[k].second + pick(g, x87_forms[k].count));
	}
}

static void
mostly_x87(struct gen *g)
{
	if (pick(g, 4) == 0)
		one(g);
	else
		x87(g);
}
#define	PROGRAMS	(1500U * (unsigned)test_long(100))

/* A stack pointer in page zero, off by one: no page of the stack is known yet, and none is mistaken for it. */
TEST(a_stack_in_page_zero)
{
	/* MOV ECX, 9; 1: MOV RSP, 101h; PUSH RAX; POP RBX; DEC ECX; JNZ 1b */
	static const uint8_t code[] = { 0xb9, 9, 0, 0, 0, 0x48, 0xc7, 0xc4, 0x01, 0x01, 0, 0, 0x50, 0x5b, 0xff, 0xc9, 0x75, 0xf3, 0xe6, 0xf4 };
	struct gen gen = { .n = sizeof(code) };
	struct guest g;

	memcpy(gen.code, code, sizeof(code));
	machine(&g, VM_JIT_ON, 1, 0);
	for (unsigned k = 0; k < 3; k++) {
		execute(&g, &gen, k);
		CHECK_EQ(peek(&g, 0xf9, 8), GET(&g, RAX));
		CHECK_EQ(GET(&g, RBX), GET(&g, RAX));
		CHECK_EQ(GET(&g, RSP), 0x101);
	}
	CHECK(stat_of(&g, VM_STAT_JIT_BLOCKS) > 0);
	vm_destroy(g.vm);
}

TEST(random_code_is_the_same_on_both_tiers)
{
	compare(one, 1, 0, 1, PROGRAMS);
}

/* The second time around, so that the first tier's blocks lead to native ones and back. */
TEST(random_code_is_the_same_when_it_becomes_native)
{
	compare(one, 2, 0, 1000000, PROGRAMS);
}

TEST(random_x87_code_is_the_same_on_both_tiers)
{
	compare(mostly_x87, 1, 0, 3000000, PROGRAMS);
}

/* So little memory for it that it is always full. */
TEST(native_code_that_is_dropped_is_made_again)
{
	struct gen gen = { .one = one };
	struct guest g;

	compare(one, 1, 4096, 2000000, PROGRAMS / 3);
	machine(&g, VM_JIT_ON, 1, 4096);
	for (uint64_t seed = 1; seed < 300; seed++) {
		generate(&gen, seed);
		execute(&g, &gen, seed);
	}
	CHECK(stat_of(&g, VM_STAT_JIT_FLUSHES) > 0);
	vm_destroy(g.vm);
}

#endif /* __x86_64__ */

TEST_MAIN()
