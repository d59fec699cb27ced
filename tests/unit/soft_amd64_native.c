/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_native.c - native code of soft's amd64 processor: what is known of flags when it is made, and whether it does exactly what the first
 * tier does.
 *
 * The differential fuzzer looks at one instruction at a time.  Here are stretches of random code with jumps, calls, faults and accesses that
 * the TLB does not have, executed by both tiers: registers, memory, what an exception pushes, and the count of instructions have to be
 * the same.
 */
#include <Zydis/Zydis.h>

#include "soft/amd64/native.h"

#include "soft_amd64_guest.h"

#ifdef __x86_64__

/* Flags */

static const struct nat_row *
row_of(unsigned mnemonic)
{
	static const struct nat_row *const tables[] = { nat_rows_move, nat_rows_arith, nat_rows_flow, nat_rows_sse, nat_rows_ssei };

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

#define	WINDOW	DATA			/* three pages; the second one is missing at first */
#define	WINDOW_SIZE 0x3000U
#define	COUNTER	(DATA + 0x4000)
#define	RESULT	(DATA + 0x5000)		/* XMM registers, time */
#define	HANDLER	0x800U			/* of page faults, from CODE */
#define	FUNCTION 0x900U
#define	BODY	40U

struct gen {
	uint64_t	 random;
	uint8_t		 code[0x700];
	unsigned	 n;
};

static uint32_t
pick(struct gen *g, uint32_t n)
{
	g->random = g->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return ((uint32_t)(g->random >> 33) % n);
}

static void
byte(struct gen *g, unsigned b)
{
	g->code[g->n++] = (uint8_t)b;
}

static void
dword(struct gen *g, uint32_t v)
{
	memcpy(&g->code[g->n], &v, 4);
	g->n += 4;
}

static void
text(struct gen *g, const char *s, unsigned len)
{
	memcpy(&g->code[g->n], s, len);
	g->n += len;
}
#define	TEXT(g, s)	text(g, s, sizeof(s) - 1)

/* A register that may change: not RSP, RSI, RDI, R14, which are addresses. */
static unsigned
changing(struct gen *g)
{
	static const uint8_t regs[] = { 0, 1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 15 };

	return (regs[pick(g, sizeof(regs))]);
}

struct insn {
	unsigned	 prefix;	/* 0: none */
	uint32_t	 op;		/* with 0F in bits 15:8, 0F38 in bits 23:8 */
	unsigned	 size;		/* 1, 2, 4, 8 */
	unsigned	 reg;
	unsigned	 imm;		/* bytes of immediate behind it */
	int		 rm;		/* register; -1: memory */
};

/* Where in the window: mostly in a line, sometimes over the end of a page. */
static uint32_t
place(struct gen *g)
{
	switch (pick(g, 8)) {
	case 0:
		return (pick(g, 2) * 0x1000 + 0xff0 + pick(g, 32));
	case 1:
		return (0x1000 + 16 * pick(g, 200));
	default:
		return (16 * pick(g, 200));
	}
}

static void
emit_insn(struct gen *g, const struct insn *i)
{
	static const uint8_t bases[] = { 6, 7, 14 };
	unsigned base = bases[pick(g, 3)], rex = 0;
	bool rip = pick(g, 4) == 0, high;

	if (i->size == 2)
		byte(g, 0x66);
	if (i->prefix != 0)
		byte(g, i->prefix);
	if (i->size == 8)
		rex |= 8;
	rex |= (i->reg >> 3 & 1) << 2;
	rex |= i->rm >= 0 ? (unsigned)i->rm >> 3 & 1 : !rip && base == 14;
	/* AH to BH, sometimes: in place of AL to BL. */
	high = i->size == 1 && rex == 0 && pick(g, 2) == 0;
	if (rex != 0 || (i->size == 1 && !high))
		byte(g, 0x40 | rex);
	if (i->op >> 8 != 0)
		byte(g, 0x0f);
	if (i->op >> 16 != 0)
		byte(g, i->op >> 8 & 0xff);
	byte(g, i->op & 0xff);
	if (i->rm >= 0) {
		byte(g, 0xc0 | (i->reg & 7) << 3 | (i->rm & 7) | (high && i->rm < 4 ? 4U : 0));
	} else if (rip) {
		byte(g, (i->reg & 7) << 3 | 5);
		dword(g, WINDOW + place(g) - (CODE + g->n + 4 + i->imm));
	} else {
		byte(g, 0x80 | (i->reg & 7) << 3 | (base & 7));
		dword(g, place(g));
	}
	for (unsigned k = 0; k < i->imm; k++)
		byte(g, pick(g, 3) == 0 ? 0 : pick(g, 256));
}

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
		if (i.rm < 0 && pick(g, 2) != 0)
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
		{ "\x87\xd1", 2 }, { "\x4d\x87\xe0", 3 },
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

static void
one(struct gen *g)
{
	switch (pick(g, 8)) {
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
	default:
		other(g);
		break;
	}
}

/*
 * The page that is missing is taken away, translations too; then the body, with conditional jumps over one instruction; the whole three times;
 * then XMM registers and the time are stored.
 */
static void
generate(struct gen *g, uint64_t seed)
{
	unsigned top, at;

	g->random = seed * 0x9e3779b97f4a7c15ULL + 1;
	g->n = 0;
	top = g->n;
	TEXT(g, "\x50\x9c");				/* PUSH RAX; PUSHF */
	TEXT(g, "\x80\x24\x25");			/* AND BYTE [PTE], FEh */
	dword(g, PTE64(WINDOW + 0x1000));
	byte(g, 0xfe);
	TEXT(g, "\x0f\x20\xd8\x0f\x22\xd8\x9d\x58");	/* MOV RAX, CR3; MOV CR3, RAX; POPF; POP RAX */
	for (unsigned k = 0; k < BODY; k++) {
		if (pick(g, 6) == 0) {
			byte(g, 0x70 | pick(g, 16));
			byte(g, 0);
			at = g->n;
			one(g);
			g->code[at - 1] = (uint8_t)(g->n - at);
		} else {
			one(g);
		}
	}
	TEXT(g, "\xff\x0c\x25");			/* DEC DWORD [COUNTER] */
	dword(g, COUNTER);
	TEXT(g, "\x0f\x85");				/* JNZ */
	dword(g, top - (g->n + 4));
	for (unsigned k = 0; k < 16; k++) {
		byte(g, 0xf3);				/* MOVDQU [RESULT + 16 * k], XMMk */
		byte(g, 0x40 | (k >> 3) << 2);
		TEXT(g, "\x0f\x7f");
		byte(g, (k & 7) << 3 | 4);
		byte(g, 0x25);
		dword(g, RESULT + 16 * k);
	}
	TEXT(g, "\x50\x52\x9c\x0f\x31\x89\x04\x25");	/* PUSH RAX; PUSH RDX; PUSHF; RDTSC; MOV [..], EAX; POPF; POP .. */
	dword(g, RESULT + 256);
	TEXT(g, "\x9d\x5a\x58\xe6\xf4");
}

GUEST(fixed_code, 64,
    "	pushq	%rax\n"
    "	movq	%cr2, %rax\n"
    "	invlpg	(%rax)\n"
    "	orb	$1, 0x5108\n"
    "	popq	%rax\n"
    "	addq	$8, %rsp\n"
    "	iretq\n"
    ".org fixed_code + 0x100\n"
    "	leal	7(%rcx), %ecx\n"
    "	ret\n");
_Static_assert(PTE64(WINDOW + 0x1000) == 0x5108, "the handler enters this page");

static void
machine(struct guest *g, enum vm_jit_how how, uint32_t hot, size_t size)
{
	struct vm_spec spec = { .size = sizeof(spec), .arch = VM_ARCH_AMD64, .accel = VM_ACCEL_SOFT, .clock = VM_CLOCK_ICOUNT,
	    .jit = { .how = how, .hot = hot, .size = size } };

	guest_spec(g, &spec, MEMSIZE);
	mode64(g, g->vcpu);
	SET(g, CR4, 0x620);
	gate64(g, 14, HANDLER);
	memcpy(g->mem + CODE + HANDLER, fixed_code, (size_t)(fixed_code_end - fixed_code));
}

static void
execute(struct guest *g, const struct gen *gen, uint64_t seed)
{
	struct gen values = { .random = seed };

	CHECK_EQ(vm_gpa_write(g->vm, CODE, gen->code, gen->n), 0);
	for (unsigned k = 0; k < WINDOW_SIZE; k += 4) {
		uint32_t v = pick(&values, 4) == 0 ? 0 : pick(&values, UINT32_MAX) << pick(&values, 2);

		memcpy(g->mem + WINDOW + k, &v, 4);
	}
	memset(g->mem + STACK - 0x400, 0, 0x400);
	poke(g, COUNTER, 3, 4);
	for (int r = 0; r < 16; r++) {
		uint64_t v = (uint64_t)pick(&values, UINT32_MAX) << 32 | pick(&values, UINT32_MAX);

		set(g->vcpu, VM_AMD64_REG_RAX + r, v >> pick(&values, 64));
	}
	SET(g, RSP, STACK - 64);
	SET(g, RSI, WINDOW);
	SET(g, RDI, WINDOW);
	SET(g, R14, WINDOW);
	SET(g, RFLAGS, 2);
	SET(g, RIP, CODE);
	finish(g);
}

static void
show(const struct gen *gen, uint64_t seed)
{
	printf("# program %llu:", (unsigned long long)seed);
	for (unsigned k = 0; k < gen->n; k++)
		printf(" %02x", gen->code[k]);
	printf("\n");
}

static bool
same(struct guest *a, struct guest *b)
{
	bool same = true;

	for (int r = VM_AMD64_REG_RAX; r <= VM_AMD64_REG_RFLAGS; r++) {
		if (get(a->vcpu, r) != get(b->vcpu, r)) {
			printf("# register %d: %#llx, native %#llx\n", r - VM_AMD64_REG_RAX, (unsigned long long)get(a->vcpu, r),
			    (unsigned long long)get(b->vcpu, r));
			same = false;
		}
	}
	for (uint64_t at = STACK - 0x400; at < RESULT + 512; at += 8) {
		if (peek(a, at, 8) != peek(b, at, 8)) {
			printf("# memory %#llx: %#llx, native %#llx\n", (unsigned long long)at, (unsigned long long)peek(a, at, 8),
			    (unsigned long long)peek(b, at, 8));
			same = false;
		}
	}
	return (same);
}

static uint64_t
stat_of(struct guest *g, enum vm_stat which)
{
	const uint64_t *stats;
	int n;

	stats = vm_get_stats(g->vcpu, &n);
	CHECK(stats != NULL && n > (int)which);
	return (stats[which]);
}

static void
compare(uint32_t hot, size_t size, uint64_t first, unsigned count)
{
	struct guest a, b;
	struct gen gen;

	machine(&a, VM_JIT_OFF, 0, 0);
	machine(&b, VM_JIT_ON, hot, size);
	for (uint64_t seed = first; seed < first + count; seed++) {
		generate(&gen, seed);
		execute(&a, &gen, seed);
		execute(&b, &gen, seed);
		if (!same(&a, &b)) {
			show(&gen, seed);
			CHECKF(false, "program %llu: native code does something else", (unsigned long long)seed);
		}
	}
	CHECK_EQ(stat_of(&a, VM_STAT_JIT_BLOCKS), 0);
	CHECK(stat_of(&b, VM_STAT_JIT_BLOCKS) > count);
	vm_destroy(a.vm);
	vm_destroy(b.vm);
}

#define	PROGRAMS	(1500U * (unsigned)test_long(100))

TEST(random_code_is_the_same_on_both_tiers)
{
	compare(1, 0, 1, PROGRAMS);
}

/* The second time around, so that the first tier's blocks lead to native ones and back. */
TEST(random_code_is_the_same_when_it_becomes_native)
{
	compare(2, 0, 1000000, PROGRAMS);
}

/* So little memory for it that it is always full. */
TEST(native_code_that_is_dropped_is_made_again)
{
	struct guest g;
	struct gen gen;

	compare(1, 4096, 2000000, PROGRAMS / 3);
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
