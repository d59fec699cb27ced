/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * soft_amd64_random.h - stretches of random code, executed by both tiers of soft's amd64 processor: registers, memory, what an exception pushes, the x87's
 * state and the count of instructions have to be the same.
 */
#ifndef SOFT_AMD64_RANDOM_H
#define	SOFT_AMD64_RANDOM_H

#include "soft_amd64_guest.h"

#define	WINDOW	DATA			/* three pages; the second one is missing at first */
#define	WINDOW_SIZE 0x3000U
#define	COUNTER	(DATA + 0x4000)
#define	RESULT	(DATA + 0x5000)		/* XMM registers, time */
#define	HANDLER	0x800U			/* of page faults, from CODE */
#define	HANDLER16 0x880U		/* of exceptions of the x87 */
#define	FUNCTION 0x900U
#define	BODY	40U

struct gen {
	void		(*one)(struct gen *g);	/* an instruction, or a few */
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

/*
 * The page that is missing is taken away, translations too; then the body, with conditional jumps over one instruction; the whole three times;
 * then the x87's state, XMM registers and the time are stored.
 */
static void
generate(struct gen *g, uint64_t seed)
{
	unsigned top, at;

	g->random = seed * 0x9e3779b97f4a7c15ULL + 1;
	g->n = 0;
	TEXT(g, "\xdb\xe3");				/* FNINIT */
	top = g->n;
	TEXT(g, "\x50\x9c");				/* PUSH RAX; PUSHF */
	TEXT(g, "\x80\x24\x25");			/* AND BYTE [PTE], FEh */
	dword(g, PTE64(WINDOW + 0x1000));
	byte(g, 0xfe);
	TEXT(g, "\x0f\x20\xd8\x0f\x22\xd8\x9d\x58");	/* MOV RAX, CR3; MOV CR3, RAX; POPF; POP RAX */
	for (unsigned k = 0; k < BODY && g->n < sizeof(g->code) - 400; k++) {
		if (pick(g, 6) == 0) {
			byte(g, 0x70 | pick(g, 16));
			byte(g, 0);
			at = g->n;
			g->one(g);
			g->code[at - 1] = (uint8_t)(g->n - at);
		} else {
			g->one(g);
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
	TEXT(g, "\xdd\x34\x25");				/* FNSAVE */
	dword(g, RESULT + 264);
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
    ".org fixed_code + 0x80\n"
    "	fnclex\n"
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
	SET(g, CR0, get(g->vcpu, VM_AMD64_REG_CR0) | 0x20);	/* NE */
	gate64(g, 14, HANDLER);
	gate64(g, 16, HANDLER16);
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
compare(void (*kind)(struct gen *g), uint32_t hot, size_t size, uint64_t first, unsigned count)
{
	struct gen gen = { .one = kind };
	struct guest a, b;

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

#endif /* SOFT_AMD64_RANDOM_H */
